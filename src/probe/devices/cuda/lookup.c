/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that link CUDA's runtime statically, and libraries that do (cuBLAS), reach the driver by the addresses that cuGetProcAddress() gives
 * them: of what is hooked they get ours. That function itself they look up by dlsym(), where the audit door leads them here.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "probe/devices/cuda/cuda.h"

#define PER_THREAD_STREAM 2u	/* CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM */
#define KNOWN_VERSION	  13050 /* of CUDA: a newer one may mean another function by a name */

struct variant {
	const char *symbol; /* as the driver exports it */
	void (*hook)(void);
	void (**orig)(void);
};

/* What a base name means from a version of CUDA on; newer ones stand behind older ones. */
struct entry {
	const char *name;
	int version;
	struct variant legacy, per_thread; /* whose default stream is meant */
};

/* The runtime asks for the very function that it asks with, and goes on with that. */
#define ENTRIES(ONE, TWO)                                                                          \
	ONE(cuGetProcAddress, 11030, cuGetProcAddress)                                             \
	ONE(cuGetProcAddress, 12000, cuGetProcAddress_v2)                                          \
	ONE(cuLibraryGetKernel, 12000, cuLibraryGetKernel)                                         \
	ONE(cuLibraryEnumerateKernels, 12040, cuLibraryEnumerateKernels)                           \
	ONE(cuModuleUnload, 2000, cuModuleUnload)                                                  \
	ONE(cuLibraryUnload, 12000, cuLibraryUnload)                                               \
	TWO(cuLaunchKernel, 4000, cuLaunchKernel, _ptsz)                                           \
	TWO(cuLaunchKernelEx, 11060, cuLaunchKernelEx, _ptsz)                                      \
	TWO(cuLaunchCooperativeKernel, 9000, cuLaunchCooperativeKernel, _ptsz)                     \
	TWO(cuGraphLaunch, 10000, cuGraphLaunch, _ptsz)                                            \
	TWO(cuMemcpyHtoD, 3020, cuMemcpyHtoD_v2, _ptds)                                            \
	TWO(cuMemcpyDtoH, 3020, cuMemcpyDtoH_v2, _ptds)                                            \
	TWO(cuMemcpyHtoDAsync, 3020, cuMemcpyHtoDAsync_v2, _ptsz)                                  \
	TWO(cuMemcpyDtoHAsync, 3020, cuMemcpyDtoHAsync_v2, _ptsz)                                  \
	TWO(cuMemcpyDtoDAsync, 3020, cuMemcpyDtoDAsync_v2, _ptsz)                                  \
	TWO(cuMemcpyAsync, 4000, cuMemcpyAsync, _ptsz)                                             \
	TWO(cuMemcpyPeerAsync, 4000, cuMemcpyPeerAsync, _ptsz)                                     \
	TWO(cuMemcpy2DAsync, 3020, cuMemcpy2DAsync_v2, _ptsz)                                      \
	TWO(cuMemcpy3DAsync, 3020, cuMemcpy3DAsync_v2, _ptsz)                                      \
	TWO(cuMemsetD16Async, 3020, cuMemsetD16Async, _ptsz)                                       \
	TWO(cuMemsetD8Async, 3020, cuMemsetD8Async, _ptsz)                                         \
	TWO(cuMemsetD32Async, 3020, cuMemsetD32Async, _ptsz)                                       \
	TWO(cuStreamBeginCapture, 10010, cuStreamBeginCapture_v2, _ptsz)                           \
	TWO(cuStreamEndCapture, 10000, cuStreamEndCapture, _ptsz)                                  \
	ONE(cuGraphInstantiate, 12000, cuGraphInstantiateWithFlags)                                \
	ONE(cuGraphInstantiateWithFlags, 11040, cuGraphInstantiateWithFlags)                       \
	TWO(cuGraphInstantiateWithParams, 12000, cuGraphInstantiateWithParams, _ptsz)              \
	ONE(cuGraphExecUpdate, 10020, cuGraphExecUpdate)                                           \
	ONE(cuGraphExecUpdate, 12000, cuGraphExecUpdate_v2)                                        \
	ONE(cuGraphDestroy, 10000, cuGraphDestroy)                                                 \
	ONE(cuGraphExecDestroy, 10000, cuGraphExecDestroy)                                         \
	TWO(cuStreamSynchronize, 2000, cuStreamSynchronize, _ptsz)                                 \
	ONE(cuEventSynchronize, 2000, cuEventSynchronize)                                          \
	ONE(cuCtxSynchronize, 2000, cuCtxSynchronize)                                              \
	ONE(cuCtxSynchronize, 13000, cuCtxSynchronize_v2)

/* As addresses alone: two of them have their types below. */
#define DECLARE(symbol)                                                                            \
	extern void hook_##symbol(void) __asm__("lmm_hook_" #symbol);                              \
	extern void (*slot_##symbol)(void) __asm__("lmm_orig_" #symbol);
#define DECLARE_ONE(name, version, symbol)	   DECLARE(symbol)
#define DECLARE_TWO(name, version, symbol, suffix) DECLARE(symbol) DECLARE(symbol##suffix)
ENTRIES(DECLARE_ONE, DECLARE_TWO)

/* clang-format off: it takes the string for a directive */
#define IS(symbol)                                                                                 \
	{                                                                                          \
#symbol, hook_##symbol, &slot_##symbol                                             \
	}
/* clang-format on */
#define ONE(name, version, symbol)	   { #name, version, IS(symbol), IS(symbol) },
#define TWO(name, version, symbol, suffix) { #name, version, IS(symbol), IS(symbol##suffix) },
static const struct entry entries[] = { ENTRIES(ONE, TWO) };

static const struct variant *variant_find(const char *name, int version, uint64_t flags)
{
	const struct entry *found = NULL;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(entries); i++) {
		if (entries[i].version <= version && strcmp(entries[i].name, name) == 0)
			found = &entries[i];
	}
	if (!found)
		return NULL;
	return flags & PER_THREAD_STREAM ? &found->per_thread : &found->legacy;
}

/*
 * Ours calls what the driver exports under the name, which whoever links the driver calls as well: one function behind each hook. A slot that
 * leads elsewhere is another copy's.
 */
static void lead(const char *name, void **function, int version, uint64_t flags)
{
	const struct variant *v = variant_find(name, version, flags);
	void (*expected)(void) = NULL, (*real)(void) = NULL;
	void *driver = v ? dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD) : NULL;

	if (!driver)
		return;
	*(void **)&real = dlsym(driver, v->symbol);
	(void)dlclose(driver);
	if (!real || (version > KNOWN_VERSION && real != (void (*)(void)) * function))
		return;
	if (__atomic_compare_exchange_n(v->orig, &expected, real, 0, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST) ||
	    expected == real)
		*(void (**)(void))function = v->hook;
}

static void look_up(const char *name, void **function, int version, uint64_t flags)
{
	int saved = errno;

	if (name && function && *function)
		lead(name, function, version, flags);
	errno = saved;
}

/* NOLINTBEGIN(readability-function-size): CUDA's own list of parameters */
LMM_CU_HOOK(cuGetProcAddress_v2,
	    (const char *name, void **function, int version, uint64_t flags, int *status))
{
	cuda_result rc;

	LMM_REAL_EARLY(cuGetProcAddress_v2);
	if (!fn)
		return CUDA_ERROR_INVALID_VALUE;
	rc = fn(name, function, version, flags, status);
	if (rc == 0)
		look_up(name, function, version, flags);
	return rc;
}

/* CUDA 11's. */
LMM_CU_HOOK(cuGetProcAddress, (const char *name, void **function, int version, uint64_t flags))
{
	cuda_result rc;

	LMM_REAL_EARLY(cuGetProcAddress);
	if (!fn)
		return CUDA_ERROR_INVALID_VALUE;
	rc = fn(name, function, version, flags);
	if (rc == 0)
		look_up(name, function, version, flags);
	return rc;
}
/* NOLINTEND(readability-function-size) */

/* ---- where kernels of no context come from ------------------------------------------------------ */

/* While nobody records, too: they are launched later. */
LMM_CU_HOOK(cuLibraryGetKernel, (void **kernel, void *library, const char *name))
{
	cuda_result rc;

	LMM_REAL_EARLY(cuLibraryGetKernel);
	if (!fn)
		return CUDA_ERROR_INVALID_VALUE;
	rc = fn(kernel, library, name);
	if (rc == 0 && kernel)
		lmm_cu_kernel_is_contextless(*kernel, library);
	return rc;
}

LMM_CU_HOOK(cuLibraryEnumerateKernels, (void **kernels, unsigned n, void *library))
{
	unsigned all = 0;
	cuda_result rc;

	LMM_REAL_EARLY(cuLibraryEnumerateKernels);
	if (!fn)
		return CUDA_ERROR_INVALID_VALUE;
	rc = fn(kernels, n, library);
	lmm_cu_bind((const void *)fn);
	/* n is the room that the caller has */
	if (rc || !kernels || !lmm_cu.cuLibraryGetKernelCount ||
	    lmm_cu.cuLibraryGetKernelCount(&all, library))
		return rc;
	for (unsigned i = 0; i < n && i < all; i++)
		lmm_cu_kernel_is_contextless(kernels[i], library);
	return rc;
}

/* Before it is done: then another thread may have a handle again. */
LMM_CU_HOOK(cuModuleUnload, (void *module))
{
	LMM_REAL_EARLY(cuModuleUnload);
	lmm_cu_kernels_doubt();
	return fn ? fn(module) : CUDA_ERROR_INVALID_VALUE;
}

LMM_CU_HOOK(cuLibraryUnload, (void *library))
{
	LMM_REAL_EARLY(cuLibraryUnload);
	if (library)
		lmm_cu_library_is_gone(library);
	lmm_cu_kernels_doubt();
	return fn ? fn(library) : CUDA_ERROR_INVALID_VALUE;
}
