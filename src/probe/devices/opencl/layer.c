/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in: the loader's layer interface, and the table of functions that calls go on to. */
#include <stddef.h>
#include <string.h>

#include "probe/devices/opencl/hooks.h"
#include "probe/devices/opencl/opencl.h"
#include "probe/devices/opencl/repeat.h"
#include "probe/devices/opencl/scratch.h"

/* CL/cl_layer.h as of 2021 and 2024; older headers lack half of it. */
#define LAYER_API_VERSION     0x4240
#define LAYER_NAME	      0x4241
#define LAYER_API_VERSION_100 100u
typedef cl_uint layer_info;

struct _cl_icd_dispatch lmm_cl;
_Atomic int lmm_cl_is_layer;
_Atomic int lmm_cl_is_over;

static _Atomic int is_bound;

#define DECLARE(symbol) extern __typeof__(*(cl_api_##symbol)0) lmm__layer_##symbol;
LMM_CL_HOOKS(DECLARE)

static struct _cl_icd_dispatch layer;

/* Only what the next one has: a function that it lacks must go on lacking. */
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): one line per function, by macro */
static void layer_fill(void)
{
#define FILL(symbol)                                                                               \
	if (lmm_cl.symbol)                                                                         \
		layer.symbol = lmm__layer_##symbol;
	LMM_CL_HOOKS(FILL)
#undef FILL
	if (lmm_cl_is_repeating)
		lmm_cl_scratch_watch(&layer);
}

static cl_int layer_init(cl_uint n, const struct _cl_icd_dispatch *target, cl_uint *n_out,
			 const struct _cl_icd_dispatch **out)
{
	size_t bytes = (size_t)n * sizeof(void *);

	if (!target || !n_out || !out)
		return CL_INVALID_VALUE;
	if (bytes > sizeof(lmm_cl))
		bytes = sizeof(lmm_cl);
	if (bytes <= offsetof(struct _cl_icd_dispatch, clEnqueueNDRangeKernel))
		return CL_INVALID_VALUE;
	memcpy(&lmm_cl, target, bytes);
	layer_fill();
	*out = &layer;
	*n_out = (cl_uint)(bytes / sizeof(void *));
	atomic_store(&is_bound, 1);
	atomic_store(&lmm_cl_is_layer, 1);
	return CL_SUCCESS;
}

LMM_EXPORT cl_int CL_API_CALL clGetLayerInfo(layer_info what, size_t bytes, void *value,
					     size_t *bytes_out);
LMM_EXPORT cl_int CL_API_CALL clInitLayer(cl_uint n, const struct _cl_icd_dispatch *target,
					  cl_uint *n_out, const struct _cl_icd_dispatch **out);
LMM_EXPORT cl_int CL_API_CALL clInitLayerWithProperties(cl_uint n,
							const struct _cl_icd_dispatch *target,
							cl_uint *n_out,
							const struct _cl_icd_dispatch **out,
							const void *properties);
LMM_EXPORT cl_int CL_API_CALL clDeinitLayer(void);

LMM_EXPORT cl_int CL_API_CALL clGetLayerInfo(layer_info what, size_t bytes, void *value,
					     size_t *bytes_out)
{
	static const cl_uint version = LAYER_API_VERSION_100;
	static const char name[] = "lmmeter";
	const void *from = what == LAYER_API_VERSION ? (const void *)&version : name;
	size_t n = what == LAYER_API_VERSION ? sizeof(version) : sizeof(name);

	if (what != LAYER_API_VERSION && what != LAYER_NAME)
		return CL_INVALID_VALUE;
	if (value && bytes < n)
		return CL_INVALID_VALUE;
	if (value)
		memcpy(value, from, n);
	if (bytes_out)
		*bytes_out = n;
	return CL_SUCCESS;
}

/* ocl-icd, and Khronos' loader when it is told to. */
LMM_EXPORT cl_int CL_API_CALL clInitLayer(cl_uint n, const struct _cl_icd_dispatch *target,
					  cl_uint *n_out, const struct _cl_icd_dispatch **out)
{
	return layer_init(n, target, n_out, out);
}

/* Khronos' loader. */
LMM_EXPORT cl_int CL_API_CALL clInitLayerWithProperties(cl_uint n,
							const struct _cl_icd_dispatch *target,
							cl_uint *n_out,
							const struct _cl_icd_dispatch **out,
							const void *properties)
{
	(void)properties;
	return layer_init(n, target, n_out, out);
}

/* From here on the loader tears drivers down: nothing may be asked of them any more. */
LMM_EXPORT cl_int CL_API_CALL clDeinitLayer(void)
{
	atomic_store(&lmm_cl_is_over, 1);
	memset(&layer, 0, sizeof(layer));
	return CL_SUCCESS;
}

/* ---- without a layer ---------------------------------------------------------------------------- */

#define NAMED(symbol) { #symbol, offsetof(struct _cl_icd_dispatch, symbol) },
static const struct {
	const char *name;
	size_t offset;
} functions[] = { LMM_CL_HOOKS(NAMED) LMM_CL_USED(NAMED) };

/*
 * Not as the caller's code would find them: that may be a wrapper of these very names, which asks for each again and gets our hook.
 */
LMM_COLD static int bind_slowly(const void *one)
{
	char *table = (char *)&lmm_cl;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(functions); i++) {
		void *fn = lmm_door_beside(functions[i].name, one);

		memcpy(table + functions[i].offset, &fn, sizeof(fn));
	}
	atomic_store_explicit(&is_bound, lmm_cl.clEnqueueNDRangeKernel ? 1 : -1,
			      memory_order_release);
	return lmm_cl.clEnqueueNDRangeKernel ? 0 : -1;
}

int lmm_cl_bind(const void *fn)
{
	int is = atomic_load_explicit(&is_bound, memory_order_acquire);

	if (lmm_likely(is))
		return is > 0 ? 0 : -1;
	return bind_slowly(fn);
}
