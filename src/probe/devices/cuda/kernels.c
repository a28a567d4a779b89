/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels by the address that the host launches them by, or by the name that the compiler gave them. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/cuda/cuda.h"

#define HANDLES (2 * LMM_DEVICE_KERNELS) /* a power of two */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Written with the lock held. An entry's key is written last, and never leaves its place. */
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

/*
 * Kernels of no context (CUkernel) are launched by the same functions, and are no CUfunction to ask for a name. They are noted where they come
 * from. Written with the lock held; when there are too many to tell apart nothing is asked any more.
 */
static struct {
	_Atomic(const void *) kernel;
	const void *library;
} contextless[HANDLES];
static _Atomic uint32_t n_contextless;
static const char gone; /* its library is unloaded, and the place stays taken */

/* *again: a place before that whose kernel is gone; HANDLES: there is none. */
static uint32_t contextless_place(const void *kernel, uint32_t *again)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)kernel) & (HANDLES - 1);
	const void *key;

	*again = HANDLES;
	while ((key = atomic_load_explicit(&contextless[k].kernel, memory_order_acquire)) &&
	       key != kernel) {
		if (key == &gone && *again == HANDLES)
			*again = k;
		k = (k + 1) & (HANDLES - 1);
	}
	return k;
}

void lmm_cu_kernel_is_contextless(const void *kernel, const void *library)
{
	uint32_t k, again;

	pthread_mutex_lock(&lock);
	k = contextless_place(kernel, &again);
	if (kernel && !atomic_load(&contextless[k].kernel) &&
	    (again < HANDLES || atomic_fetch_add(&n_contextless, 1) < HANDLES / 2)) {
		k = again < HANDLES ? again : k;
		contextless[k].library = library;
		atomic_store_explicit(&contextless[k].kernel, kernel, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
}

void lmm_cu_library_is_gone(const void *library)
{
	pthread_mutex_lock(&lock);
	for (unsigned k = 0; k < HANDLES && atomic_load(&n_contextless); k++) {
		if (contextless[k].library != library)
			continue;
		contextless[k].library = NULL;
		atomic_store_explicit(&contextless[k].kernel, &gone, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
}

void lmm_cu_kernels_doubt(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned k = 0; k < HANDLES && atomic_load(&n_handles); k++)
		atomic_store_explicit(&handles[k].recording, 0, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
}

static const char *driver_name(const void *function)
{
	cuda_result (*ask)(const char **name, void *function) = lmm_cu.cuFuncGetName;
	const char *name = NULL;
	uint32_t again;

	if (atomic_load(&contextless[contextless_place(function, &again)].kernel) == function) {
		ask = lmm_cu.cuKernelGetName;
	} else if (atomic_load(&n_contextless) > HANDLES / 2) {
		ask = NULL;
	}
	if (!ask || ask(&name, (void *)(uintptr_t)function))
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

static uint32_t number_make(const void *function, bool is_driver)
{
	int saved = errno;
	const char *mangled = is_driver ? driver_name(function) : runtime_name(function);
	char name[192];
	uint32_t number;

	if (!mangled) {
		place_name(function, name, sizeof(name));
		mangled = name;
	}
	number = lmm_cu_kernel_named(mangled);
	errno = saved;
	return number;
}

/* Its place is k or behind it, as another thread may have taken that. */
static LMM_COLD uint32_t learn(uint32_t k, const void *function, bool is_driver)
{
	uint32_t now = lmm_recording(), number = number_make(function, is_driver);
	const void *key;

	pthread_mutex_lock(&lock);
	for (;; k = (k + 1) & (HANDLES - 1)) {
		key = atomic_load(&handles[k].key);
		if (!key || key == function)
			break;
	}
	if (key || atomic_load(&n_handles) < HANDLES / 2) {
		if (!key)
			atomic_fetch_add(&n_handles, 1);
		atomic_store_explicit(&handles[k].number, number, memory_order_relaxed);
		/* both pair with the acquires in lmm_cu_kernel_number() */
		atomic_store_explicit(&handles[k].recording, now, memory_order_release);
		atomic_store_explicit(&handles[k].key, function, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return number;
}

uint32_t lmm_cu_kernel_number(const void *function, bool is_driver)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)function) & (HANDLES - 1);

	for (;; k = (k + 1) & (HANDLES - 1)) {
		const void *key = atomic_load_explicit(&handles[k].key, memory_order_acquire);

		if (lmm_likely(key == function)) {
			uint32_t told =
				atomic_load_explicit(&handles[k].recording, memory_order_acquire);

			if (lmm_unlikely(told != lmm_recording()))
				return learn(k, function, is_driver);
			return atomic_load_explicit(&handles[k].number, memory_order_relaxed);
		}
		if (key)
			continue;
		if (lmm_unlikely(atomic_load_explicit(&n_handles, memory_order_relaxed) >=
				 HANDLES / 2))
			return lmm_device_kernel_other();
		return learn(k, function, is_driver);
	}
}

void lmm_cu_kernels_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (unsigned k = 0; k < HANDLES; k++)
		atomic_store_explicit(&handles[k].recording, 0, memory_order_relaxed);
}
