/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels by the address that the host launches them by, or by the name that the compiler gave them. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/cuda/cuda.h"

#define HANDLES 4096u /* a power of two */

/* An entry's key is written last, and never leaves its place. */
static struct {
	_Atomic(const void *) key;
	_Atomic uint32_t number;
	_Atomic uint32_t recording; /* in which it was described */
} handles[HANDLES];
static _Atomic uint32_t n_handles;

uint32_t lmm_cu_kernel_named(const char *mangled)
{
	char name[192];

	lmm_cu_demangle(mangled, name, sizeof(name));
	return lmm_device_kernel_number(name, lmm_hash_str(LMM_HASH_SEED, mangled),
					LMM_KERNEL_PROGRAM, NULL);
}

/* The program must not find an error that it has not made. */
static const char *runtime_name(const void *function)
{
	const char *name = NULL;
	cuda_result before = 0;

	if (!lmm_cu.cudaFuncGetName || !lmm_cu.cudaPeekAtLastError || !lmm_cu.cudaGetLastError)
		return NULL;
	before = lmm_cu.cudaPeekAtLastError();
	if (before == 0 && lmm_cu.cudaFuncGetName(&name, function)) {
		(void)lmm_cu.cudaGetLastError();
		name = NULL;
	}
	return name;
}

static const char *driver_name(const void *function)
{
	const char *name = NULL;

	if (!lmm_cu.cuFuncGetName || lmm_cu.cuFuncGetName(&name, (void *)(uintptr_t)function))
		return NULL;
	return name;
}

/* The same in each run, at least. */
static void place_name(const void *function, char *name, size_t bytes)
{
	const char *base;
	Dl_info i;

	if (!dladdr(function, &i) || !i.dli_fname) {
		(void)snprintf(name, bytes, "kernel");
		return;
	}
	base = strrchr(i.dli_fname, '/');
	(void)snprintf(name, bytes, "kernel %s+0x%lx", base ? base + 1 : i.dli_fname,
		       (unsigned long)((uintptr_t)function - (uintptr_t)i.dli_fbase));
}

static LMM_COLD uint32_t learn(uint32_t k, const void *function, bool is_driver)
{
	const char *mangled = is_driver ? driver_name(function) : runtime_name(function);
	uint32_t now = lmm_recording(), number;
	char name[192];

	if (!mangled) {
		place_name(function, name, sizeof(name));
		mangled = name;
	}
	number = lmm_cu_kernel_named(mangled);
	if (atomic_load(&n_handles) >= HANDLES / 2 && !atomic_load(&handles[k].key))
		return number;
	if (!atomic_load(&handles[k].key))
		atomic_fetch_add(&n_handles, 1);
	atomic_store_explicit(&handles[k].number, number, memory_order_relaxed);
	atomic_store_explicit(&handles[k].recording, now, memory_order_relaxed);
	atomic_store_explicit(&handles[k].key, function, memory_order_release);
	return number;
}

uint32_t lmm_cu_kernel_number(const void *function, bool is_driver)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)function) & (HANDLES - 1);

	for (;; k = (k + 1) & (HANDLES - 1)) {
		const void *key = atomic_load_explicit(&handles[k].key, memory_order_acquire);

		if (lmm_likely(key == function)) {
			uint32_t told =
				atomic_load_explicit(&handles[k].recording, memory_order_relaxed);

			if (lmm_unlikely(told != lmm_recording()))
				return learn(k, function, is_driver);
			return atomic_load_explicit(&handles[k].number, memory_order_relaxed);
		}
		if (!key)
			return learn(k, function, is_driver);
	}
}

void lmm_cu_kernels_after_fork(void)
{
	for (unsigned k = 0; k < HANDLES; k++)
		atomic_store_explicit(&handles[k].recording, 0, memory_order_relaxed);
}
