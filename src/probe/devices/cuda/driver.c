/* SPDX-License-Identifier: Apache-2.0 */
/* What lmmeter itself asks of CUDA, and what it says of the machine. */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "probe/devices/cuda/cuda.h"

struct lmm_cu_driver lmm_cu;
_Thread_local struct lmm_cu_thread lmm_cu_self;

static _Atomic int is_bound;

static void *driver_find(void *driver, const char *name)
{
	return driver ? dlsym(driver, name) : NULL;
}

#define FIND(symbol)   (*(void **)&lmm_cu.symbol = driver_find(driver, #symbol))
#define BESIDE(symbol) (*(void **)&lmm_cu.symbol = lmm_door_beside(#symbol, fn))

LMM_COLD static void bind_slowly(const void *fn)
{
	/* whoever called has it: never brought in by us */
	void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);

	FIND(cuDriverGetVersion);
	FIND(cuCtxGetCurrent);
	FIND(cuCtxGetDevice);
	FIND(cuDeviceGetName);
	FIND(cuThreadExchangeStreamCaptureMode);
	FIND(cuStreamIsCapturing);
	FIND(cuCtxPushCurrent_v2);
	FIND(cuCtxPopCurrent_v2);
	FIND(cuEventCreate);
	FIND(cuEventDestroy_v2);
	FIND(cuEventRecord);
	FIND(cuEventQuery);
	FIND(cuEventElapsedTime);
	FIND(cuFuncGetName);
	FIND(cuKernelGetName);
	FIND(cuLibraryGetKernelCount);
	BESIDE(cudaFuncGetName);
	BESIDE(cudaPeekAtLastError);
	BESIDE(cudaGetLastError);
	/* the handle is kept: what was found must stay */
}

void lmm_cu_bind(const void *fn)
{
	int saved;

	if (lmm_likely(atomic_load_explicit(&is_bound, memory_order_acquire)))
		return;
	saved = errno;
	bind_slowly(fn);
	errno = saved;
	/* a runtime that has not made its first call yet has not opened the driver: asked again */
	if (lmm_cu.cuEventRecord)
		atomic_store_explicit(&is_bound, 1, memory_order_release);
}

void *lmm_cu_context(void)
{
	void *context = NULL;

	if (!lmm_cu.cuCtxGetCurrent || lmm_cu.cuCtxGetCurrent(&context))
		return NULL;
	return context;
}

bool lmm_cu_is_ready(void)
{
	return atomic_load_explicit(&is_bound, memory_order_acquire) && lmm_cu_context();
}
