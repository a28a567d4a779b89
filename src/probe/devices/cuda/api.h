/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA and CUPTI as far as they are used here: own declarations, so that lmmeter is built where no CUDA is. What stands here has been
 * the same from CUDA 11.6 to 13.5 at least; script/gpu-check holds it against the real headers where they are.
 */
#ifndef LMM_PROBE_DEVICES_CUDA_API_H
#define LMM_PROBE_DEVICES_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

/* ---- the runtime and the driver ----------------------------------------------------------------- */

typedef int cuda_result; /* cudaError_t, CUresult: 0 is success */
typedef void *cuda_stream;
typedef void *cuda_event;
typedef void *cuda_graph;
typedef void *cuda_exec;

struct cuda_dim3 {
	unsigned x, y, z;
};

#define CUDA_ERROR_INVALID_VALUE   1
#define CUDA_ERROR_INVALID_HANDLE  400
#define CUDA_ERROR_NOT_READY	   600
#define CUDA_STREAM_LEGACY	   ((void *)1)
#define CUDA_STREAM_PER_THREAD	   ((void *)2)
#define CUDA_EVENT_DEFAULT	   0u
#define CUDA_MEMCPY_HOST_TO_DEVICE 1
#define CUDA_MEMCPY_DEVICE_TO_HOST 2

/* cudaLaunchConfig_t */
struct cuda_launch_config {
	struct cuda_dim3 grid, block;
	size_t shared_bytes;
	cuda_stream stream;
	void *attributes;
	unsigned n_attributes;
};

/* CUlaunchConfig */
struct cuda_driver_config {
	unsigned grid[3], block[3];
	unsigned shared_bytes;
	cuda_stream stream;
	void *attributes;
	unsigned n_attributes;
};

enum { CUDA_MEMORY_HOST = 1 }; /* CUmemorytype */

/* CUDA_MEMCPY2D */
struct cuda_copy_end_2d {
	size_t x_bytes, y;
	int type;
	const void *host;
	uintptr_t device;
	void *array;
	size_t pitch;
};

struct cuda_copy_2d {
	struct cuda_copy_end_2d from, to;
	size_t width_bytes, height;
};

/* CUDA_MEMCPY3D */
struct cuda_copy_end_3d {
	size_t x_bytes, y, z, level;
	int type;
	const void *host;
	uintptr_t device;
	void *array, *reserved;
	size_t pitch, height;
};

struct cuda_copy_3d {
	struct cuda_copy_end_3d from, to;
	size_t width_bytes, height, depth;
};

/* ---- CUPTI -------------------------------------------------------------------------------------- */

#define CUPTI_VERSION_LEAST 17u /* CUDA 11.6: records tell their graph's node where they do now */

enum {
	CUPTI_OK = 0,
	CUPTI_ERROR_INVALID_PARAMETER = 1,
	CUPTI_ERROR_MAX_LIMIT_REACHED = 12,
	CUPTI_ERROR_NOT_COMPATIBLE = 14,
	CUPTI_ERROR_VIRTUALIZED_DEVICE_NOT_SUPPORTED = 33,
	CUPTI_ERROR_INSUFFICIENT_PRIVILEGES = 35,
	CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED = 39,
	CUPTI_ERROR_MIG_DEVICE_NOT_SUPPORTED = 43,
};

enum {
	CUPTI_KIND_MEMCPY = 1,
	CUPTI_KIND_MEMSET = 2,
	CUPTI_KIND_KERNEL = 3,
	CUPTI_KIND_CONCURRENT_KERNEL = 10,
	CUPTI_KIND_PEER_COPY = 22,
};

enum { CUPTI_DOMAIN_DRIVER = 1 };
enum { CUPTI_SITE_ENTER = 0, CUPTI_SITE_EXIT = 1 };
enum { CUPTI_FLUSH_FORCED = 1 };

/* Where the driver's calls stand in CUPTI's numbering. */
#define CUPTI_CBID_CTX_GET_DEVICE	   16u
#define CUPTI_CBID_CTX_SYNCHRONIZE	   17u
#define CUPTI_CBID_EVENT_SYNCHRONIZE	   121u
#define CUPTI_CBID_STREAM_SYNCHRONIZE	   126u
#define CUPTI_CBID_STREAM_SYNCHRONIZE_PTSZ 440u

/* The first part of CUpti_ActivityKernel7 and later. */
struct cupti_kernel {
	uint32_t kind;
	uint8_t pad0[12];
	uint64_t start, end;
	uint64_t completed;
	uint32_t device, context, stream;
	int32_t grid[3], block[3];
	uint8_t pad1[16];
	uint32_t correlation;
	int64_t grid_id;
	const char *name;
	uint8_t pad2[32];
	uint64_t graph_node;
	uint8_t pad3[4];
	uint32_t graph;
};

/* Of CUpti_ActivityMemcpy5 and later, and with other words in the first eight bytes of CUpti_ActivityMemset3 and later. */
struct cupti_transfer {
	uint32_t kind;
	uint8_t copy_kind, pad0[3];
	uint64_t bytes;
	uint64_t start, end;
	uint32_t device, context, stream, correlation;
	uint8_t pad1[16];
	uint64_t graph_node;
	uint32_t graph;
};

/* CUpti_ActivityMemcpyPtoP4: between two devices that reach each other's memory */
struct cupti_peer_copy {
	uint32_t kind;
	uint8_t copy_kind, pad0[3];
	uint64_t bytes;
	uint64_t start, end;
	uint32_t device, context, stream;
	uint32_t from_device, from_context, to_device, to_context, correlation;
	uint8_t pad1[8];
	uint64_t graph_node;
	uint32_t graph;
};

_Static_assert(offsetof(struct cupti_kernel, start) == 16, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_kernel, stream) == 48, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_kernel, correlation) == 92, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_kernel, name) == 104, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_kernel, graph_node) == 144, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_kernel, graph) == 156, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_transfer, stream) == 40, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_transfer, graph_node) == 64, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_transfer, graph) == 72, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_peer_copy, correlation) == 60, "as CUPTI has it");
_Static_assert(offsetof(struct cupti_peer_copy, graph_node) == 72, "as CUPTI has it");

/* CUpti_CallbackData */
struct cupti_callback {
	int site;
	const char *function_name;
	const void *parameters;
	void *returned;
	const char *symbol_name;
	void *context;
	uint32_t context_uid;
	uint64_t *data;
	uint32_t correlation;
};

_Static_assert(offsetof(struct cupti_callback, correlation) == 64, "as CUPTI has it");

typedef void cupti_callback_fn(void *user, int domain, uint32_t cbid, const void *data);
typedef void cupti_request_fn(uint8_t **buffer, size_t *bytes, size_t *records_max);
typedef void cupti_complete_fn(void *context, uint32_t stream, uint8_t *buffer, size_t bytes,
			       size_t valid);

#endif
