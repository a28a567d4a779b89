/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and memsets. Those that wait for the device are waits as well. */
#include "probe/devices/cuda/cuda.h"
#include "probe/devices/cuda/hooks.h"
#include "probe/devices/cuda/window.h"

static unsigned kind_of(int direction)
{
	if (direction == CUDA_MEMCPY_HOST_TO_DEVICE)
		return LMM_KERNEL_WRITE;
	return direction == CUDA_MEMCPY_DEVICE_TO_HOST ? LMM_KERNEL_READ : LMM_KERNEL_COPY;
}

static uint64_t product(uint64_t a, uint64_t b)
{
	uint64_t all;

	return __builtin_mul_overflow(a, b, &all) ? UINT64_MAX : all;
}

static void copy_end(struct lmm_cu_command *c, cuda_result rc, unsigned kind, uint64_t bytes)
{
	lmm_cu_end(c, rc, lmm_device_kind_number((enum lmm_kernel_kind)kind), kind, bytes, NULL);
}

/* NOLINTBEGIN(readability-function-size): CUDA's own lists of parameters */
/* kind and bytes are evaluated if it is recorded. A blocking one has waited for all that went before. */
#define TRANSFER(symbol, where, is_blocking, kind, bytes, params, args)                            \
	LMM_CU_HOOK(symbol, params)                                                                \
	{                                                                                          \
		struct lmm_cu_command c;                                                           \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, args);                                                        \
		if (!lmm_cu_begin(&c, (const void *)fn, where, (kind) != LMM_KERNEL_WRITE))        \
			return fn args;                                                            \
		if (is_blocking)                                                                   \
			lmm_cu_window_wait_begin();                                                \
		rc = fn args;                                                                      \
		copy_end(&c, rc, kind, bytes);                                                     \
		if (is_blocking)                                                                   \
			lmm_cu_waited(c.th, rc);                                                   \
		return rc;                                                                         \
	}
#define LEGACY	   CUDA_STREAM_LEGACY
#define PER_THREAD CUDA_STREAM_PER_THREAD

TRANSFER(cudaMemcpy, LEGACY, true, kind_of(direction), bytes,
	 (void *to, const void *from, size_t bytes, int direction), (to, from, bytes, direction))
TRANSFER(cudaMemcpy_ptds, PER_THREAD, true, kind_of(direction), bytes,
	 (void *to, const void *from, size_t bytes, int direction), (to, from, bytes, direction))
TRANSFER(cudaMemcpyAsync, stream ? stream : LEGACY, false, kind_of(direction), bytes,
	 (void *to, const void *from, size_t bytes, int direction, cuda_stream stream),
	 (to, from, bytes, direction, stream))
TRANSFER(cudaMemcpyAsync_ptsz, stream ? stream : PER_THREAD, false, kind_of(direction), bytes,
	 (void *to, const void *from, size_t bytes, int direction, cuda_stream stream),
	 (to, from, bytes, direction, stream))
TRANSFER(cudaMemcpy2DAsync, stream ? stream : LEGACY, false, kind_of(direction),
	 product(width, height),
	 (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
	  size_t height, int direction, cuda_stream stream),
	 (to, to_pitch, from, from_pitch, width, height, direction, stream))
TRANSFER(cudaMemcpy2DAsync_ptsz, stream ? stream : PER_THREAD, false, kind_of(direction),
	 product(width, height),
	 (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
	  size_t height, int direction, cuda_stream stream),
	 (to, to_pitch, from, from_pitch, width, height, direction, stream))
TRANSFER(cudaMemcpyPeerAsync, stream ? stream : LEGACY, false, LMM_KERNEL_COPY, bytes,
	 (void *to, int to_device, const void *from, int from_device, size_t bytes,
	  cuda_stream stream),
	 (to, to_device, from, from_device, bytes, stream))
TRANSFER(cudaMemset, LEGACY, false, LMM_KERNEL_FILL, bytes, (void *to, int value, size_t bytes),
	 (to, value, bytes))
TRANSFER(cudaMemset_ptds, PER_THREAD, false, LMM_KERNEL_FILL, bytes,
	 (void *to, int value, size_t bytes), (to, value, bytes))
TRANSFER(cudaMemsetAsync, stream ? stream : LEGACY, false, LMM_KERNEL_FILL, bytes,
	 (void *to, int value, size_t bytes, cuda_stream stream), (to, value, bytes, stream))
TRANSFER(cudaMemsetAsync_ptsz, stream ? stream : PER_THREAD, false, LMM_KERNEL_FILL, bytes,
	 (void *to, int value, size_t bytes, cuda_stream stream), (to, value, bytes, stream))
/* NOLINTEND(readability-function-size) */

#define DRIVER_ASYNC(symbol, default_stream, kind)                                                 \
	TRANSFER(symbol, stream ? stream : (default_stream), false, kind, bytes,                   \
		 (uintptr_t to, uintptr_t from, size_t bytes, cuda_stream stream),                 \
		 (to, from, bytes, stream))
DRIVER_ASYNC(cuMemcpyHtoDAsync_v2, LEGACY, LMM_KERNEL_WRITE)
DRIVER_ASYNC(cuMemcpyHtoDAsync_v2_ptsz, PER_THREAD, LMM_KERNEL_WRITE)
DRIVER_ASYNC(cuMemcpyDtoHAsync_v2, LEGACY, LMM_KERNEL_READ)
DRIVER_ASYNC(cuMemcpyDtoHAsync_v2_ptsz, PER_THREAD, LMM_KERNEL_READ)
DRIVER_ASYNC(cuMemcpyDtoDAsync_v2, LEGACY, LMM_KERNEL_COPY)
DRIVER_ASYNC(cuMemcpyDtoDAsync_v2_ptsz, PER_THREAD, LMM_KERNEL_COPY)
DRIVER_ASYNC(cuMemcpyAsync, LEGACY,
	     LMM_KERNEL_COPY) /* of either kind: the addresses tell the driver */
DRIVER_ASYNC(cuMemcpyAsync_ptsz, PER_THREAD, LMM_KERNEL_COPY)

#define DRIVER_PEER(symbol, default_stream)                                                        \
	TRANSFER(symbol, stream ? stream : (default_stream), false, LMM_KERNEL_COPY, bytes,        \
		 (uintptr_t to, void *to_context, uintptr_t from, void *from_context,              \
		  size_t bytes, cuda_stream stream),                                               \
		 (to, to_context, from, from_context, bytes, stream))
DRIVER_PEER(cuMemcpyPeerAsync, LEGACY)
DRIVER_PEER(cuMemcpyPeerAsync_ptsz, PER_THREAD)

/* By what either end is; unified memory is of neither kind. */
static unsigned kind_between(int from, int to)
{
	if (from == CUDA_MEMORY_HOST)
		return to == CUDA_MEMORY_HOST ? LMM_KERNEL_COPY : LMM_KERNEL_WRITE;
	return to == CUDA_MEMORY_HOST ? LMM_KERNEL_READ : LMM_KERNEL_COPY;
}

/* The driver checks what it is given, and so do we. */
#define DRIVER_BOX(symbol, default_stream, shape, volume)                                          \
	TRANSFER(symbol, stream ? stream : (default_stream), false,                                \
		 box ? kind_between(box->from.type, box->to.type) : LMM_KERNEL_COPY,               \
		 box ? (volume) : 0, (const struct shape *box, cuda_stream stream), (box, stream))
#define AREA(box) product((box)->width_bytes, (box)->height)
DRIVER_BOX(cuMemcpy2DAsync_v2, LEGACY, cuda_copy_2d, AREA(box))
DRIVER_BOX(cuMemcpy2DAsync_v2_ptsz, PER_THREAD, cuda_copy_2d, AREA(box))
DRIVER_BOX(cuMemcpy3DAsync_v2, LEGACY, cuda_copy_3d, product(AREA(box), box->depth))
DRIVER_BOX(cuMemcpy3DAsync_v2_ptsz, PER_THREAD, cuda_copy_3d, product(AREA(box), box->depth))

#define DRIVER_SET(symbol, default_stream, value_type, value_bytes)                                \
	TRANSFER(symbol, stream ? stream : (default_stream), false, LMM_KERNEL_FILL,               \
		 product(n, value_bytes),                                                          \
		 (uintptr_t to, value_type value, size_t n, cuda_stream stream),                   \
		 (to, value, n, stream))
DRIVER_SET(cuMemsetD16Async, LEGACY, unsigned short, 2)
DRIVER_SET(cuMemsetD16Async_ptsz, PER_THREAD, unsigned short, 2)
DRIVER_SET(cuMemsetD8Async, LEGACY, unsigned char, 1)
DRIVER_SET(cuMemsetD8Async_ptsz, PER_THREAD, unsigned char, 1)
DRIVER_SET(cuMemsetD32Async, LEGACY, unsigned, 4)
DRIVER_SET(cuMemsetD32Async_ptsz, PER_THREAD, unsigned, 4)

#define DRIVER(symbol, default_stream, kind)                                                       \
	TRANSFER(symbol, default_stream, true, kind, bytes,                                        \
		 (uintptr_t to, uintptr_t from, size_t bytes), (to, from, bytes))
DRIVER(cuMemcpyHtoD_v2, LEGACY, LMM_KERNEL_WRITE)
DRIVER(cuMemcpyHtoD_v2_ptds, PER_THREAD, LMM_KERNEL_WRITE)
DRIVER(cuMemcpyDtoH_v2, LEGACY, LMM_KERNEL_READ)
DRIVER(cuMemcpyDtoH_v2_ptds, PER_THREAD, LMM_KERNEL_READ)
