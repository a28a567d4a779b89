/* SPDX-License-Identifier: Apache-2.0 */
/* The platform, its devices, contexts, and the device's timer. */
#include "fakecl_api.h"

#include <stdlib.h>
#include <string.h>

#define EXTENSIONS                                                                                 \
	"cl_khr_icd cl_khr_command_buffer cl_khr_byte_addressable_store "                          \
	"cl_khr_global_int32_base_atomics"
#define VERSION "OpenCL 3.0 fakecl"

struct _cl_platform_id the_platform;
struct _cl_device_id the_devices[DEVICES_MAX];

static enum { NEW, GOOD, BAD } state;

static void fork_prepare(void)
{
	driver_lock();
	log_flush();
}

static void fork_child(void)
{
	objects_forget();
	queues_forget();
	log_forked();
	driver_unlock();
}

static void object_static(struct object *o, enum kind kind)
{
	o->dispatch = &fake_dispatch;
	o->kind = kind;
	o->refs = o->uses = 1;
}

static void driver_start(void)
{
	state = BAD;
	if (script_read(getenv("FAKECL")) || log_open())
		return;
	if (pthread_atfork(fork_prepare, driver_unlock, fork_child))
		return;
	object_static(&the_platform.o, KIND_PLATFORM);
	for (uint64_t i = 0; i < script.devices; i++) {
		object_static(&the_devices[i].o, KIND_DEVICE);
		snprintf(the_devices[i].name, sizeof(the_devices[i].name), i ? "%s.%d" : "%s",
			 script.name, (int)i);
	}
	state = GOOD;
}

cl_int fake_clGetPlatformIDs(cl_uint room, cl_platform_id *platforms, cl_uint *n)
{
	WITH_LOCK;
	if (state == NEW)
		driver_start();
	if (state == BAD) {
		if (n)
			*n = 0;
		return CL_PLATFORM_NOT_FOUND_KHR;
	}
	if ((!platforms && !n) || (platforms && !room))
		return CL_INVALID_VALUE;
	if (platforms)
		*platforms = &the_platform;
	if (n)
		*n = 1;
	return CL_SUCCESS;
}

static bool platform_valid(cl_platform_id platform)
{
	return !platform || platform == &the_platform;
}

cl_int fake_clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void *to,
			      size_t *size)
{
	struct answer a = { room, to, size };

	if (!platform_valid(platform))
		return CL_INVALID_PLATFORM;
	switch (what) {
	case CL_PLATFORM_PROFILE:
		return answer_text(a, "FULL_PROFILE");
	case CL_PLATFORM_VERSION:
		return answer_text(a, VERSION);
	case CL_PLATFORM_NAME:
		return answer_text(a, "fakecl");
	case CL_PLATFORM_VENDOR:
		return answer_text(a, "lmmeter tests");
	case CL_PLATFORM_EXTENSIONS:
		return answer_text(a, EXTENSIONS);
	case CL_PLATFORM_ICD_SUFFIX_KHR:
		return answer_text(a, "FAKE");
	case CL_PLATFORM_NUMERIC_VERSION:
		return answer_uint(a, CL_MAKE_VERSION(3, 0, 0));
	case CL_PLATFORM_HOST_TIMER_RESOLUTION:
		return answer_ulong(a, script.timer ? 1 : 0);
	default:
		return CL_INVALID_VALUE;
	}
}

/* ---- devices ---- */

bool device_valid(cl_device_id device)
{
	for (uint64_t i = 0; i < script.devices; i++) {
		if (device == &the_devices[i])
			return true;
	}
	return false;
}

bool device_in(cl_context context, cl_device_id device)
{
	for (cl_uint i = 0; i < context->n_devices; i++) {
		if (context->devices[i] == device)
			return true;
	}
	return false;
}

static bool type_is_gpu(cl_device_type type)
{
	return type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT);
}

cl_int fake_clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room,
			   cl_device_id *devices, cl_uint *n)
{
	if (!platform_valid(platform))
		return CL_INVALID_PLATFORM;
	if (!type || (type != CL_DEVICE_TYPE_ALL && type >> 5))
		return CL_INVALID_DEVICE_TYPE;
	if ((!devices && !n) || (devices && !room))
		return CL_INVALID_VALUE;
	if (n)
		*n = type_is_gpu(type) ? (cl_uint)script.devices : 0;
	if (!type_is_gpu(type))
		return CL_DEVICE_NOT_FOUND;
	for (cl_uint i = 0; devices && i < room && i < script.devices; i++)
		devices[i] = &the_devices[i];
	return CL_SUCCESS;
}

static cl_int device_text(cl_device_id device, cl_device_info what, struct answer a)
{
	switch (what) {
	case CL_DEVICE_NAME:
		return answer_text(a, device->name);
	case CL_DEVICE_VENDOR:
		return answer_text(a, "lmmeter tests");
	case CL_DRIVER_VERSION:
		return answer_text(a, "1");
	case CL_DEVICE_PROFILE:
		return answer_text(a, "FULL_PROFILE");
	case CL_DEVICE_VERSION:
		return answer_text(a, VERSION);
	case CL_DEVICE_OPENCL_C_VERSION:
		return answer_text(a, "OpenCL C 1.2 fakecl");
	case CL_DEVICE_EXTENSIONS:
		return answer_text(a, EXTENSIONS);
	case CL_DEVICE_BUILT_IN_KERNELS:
	case CL_DEVICE_IL_VERSION:
		return answer_text(a, "");
	default:
		return CL_INVALID_VALUE;
	}
}

static cl_int device_size(cl_device_info what, struct answer a)
{
	const size_t items[3] = { 1024, 1024, 1024 };

	switch (what) {
	case CL_DEVICE_MAX_WORK_GROUP_SIZE:
		return answer_size(a, 1024);
	case CL_DEVICE_MAX_WORK_ITEM_SIZES:
		return answer(a, items, sizeof(items));
	case CL_DEVICE_IMAGE2D_MAX_WIDTH:
	case CL_DEVICE_IMAGE2D_MAX_HEIGHT:
	case CL_DEVICE_IMAGE_MAX_BUFFER_SIZE:
		return answer_size(a, 16384);
	case CL_DEVICE_IMAGE3D_MAX_WIDTH:
	case CL_DEVICE_IMAGE3D_MAX_HEIGHT:
	case CL_DEVICE_IMAGE3D_MAX_DEPTH:
	case CL_DEVICE_IMAGE_MAX_ARRAY_SIZE:
		return answer_size(a, 2048);
	case CL_DEVICE_MAX_PARAMETER_SIZE:
		return answer_size(a, 1024);
	case CL_DEVICE_PRINTF_BUFFER_SIZE:
		return answer_size(a, 1 << 20);
	case CL_DEVICE_PROFILING_TIMER_RESOLUTION:
		return answer_size(a, script.tick_ns ? script.tick_ns : 1);
	default:
		return CL_INVALID_VALUE;
	}
}

static cl_int device_bits(cl_device_info what, struct answer a)
{
	switch (what) {
	case CL_DEVICE_TYPE:
		return answer_ulong(a, CL_DEVICE_TYPE_GPU);
	case CL_DEVICE_GLOBAL_MEM_SIZE:
		return answer_ulong(a, (cl_ulong)4 << 30);
	case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
		return answer_ulong(a, (cl_ulong)1 << 30);
	case CL_DEVICE_LOCAL_MEM_SIZE:
	case CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE:
		return answer_ulong(a, 65536);
	case CL_DEVICE_GLOBAL_MEM_CACHE_SIZE:
		return answer_ulong(a, 1 << 20);
	case CL_DEVICE_QUEUE_ON_HOST_PROPERTIES:
		return answer_ulong(a,
				    CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE |
					    (script.no_profiling ? 0 : CL_QUEUE_PROFILING_ENABLE));
	case CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES:
	case CL_DEVICE_HALF_FP_CONFIG:
	case CL_DEVICE_DOUBLE_FP_CONFIG:
	case CL_DEVICE_PARTITION_AFFINITY_DOMAIN:
	case CL_DEVICE_COMMAND_BUFFER_REQUIRED_QUEUE_PROPERTIES_KHR:
		return answer_ulong(a, 0);
	case CL_DEVICE_SINGLE_FP_CONFIG:
		return answer_ulong(a, CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN);
	case CL_DEVICE_EXECUTION_CAPABILITIES:
		return answer_ulong(a, CL_EXEC_KERNEL);
	case CL_DEVICE_SVM_CAPABILITIES:
		return answer_ulong(a, CL_DEVICE_SVM_COARSE_GRAIN_BUFFER |
					       CL_DEVICE_SVM_FINE_GRAIN_BUFFER);
	case CL_DEVICE_COMMAND_BUFFER_CAPABILITIES_KHR:
		return answer_ulong(a, CL_COMMAND_BUFFER_CAPABILITY_SIMULTANEOUS_USE_KHR);
	default:
		return CL_INVALID_VALUE;
	}
}

static const struct {
	cl_device_info what;
	cl_uint value;
} device_numbers[] = {
	{ CL_DEVICE_VENDOR_ID, 0xfa4e },
	{ CL_DEVICE_NUMERIC_VERSION, CL_MAKE_VERSION(3, 0, 0) },
	{ CL_DEVICE_MAX_COMPUTE_UNITS, 4 },
	{ CL_DEVICE_MAX_CLOCK_FREQUENCY, 1000 },
	{ CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, 3 },
	{ CL_DEVICE_ADDRESS_BITS, 64 },
	{ CL_DEVICE_AVAILABLE, CL_TRUE },
	{ CL_DEVICE_COMPILER_AVAILABLE, CL_TRUE },
	{ CL_DEVICE_LINKER_AVAILABLE, CL_FALSE },
	{ CL_DEVICE_ENDIAN_LITTLE, CL_TRUE },
	{ CL_DEVICE_ERROR_CORRECTION_SUPPORT, CL_FALSE },
	{ CL_DEVICE_HOST_UNIFIED_MEMORY, CL_TRUE },
	{ CL_DEVICE_IMAGE_SUPPORT, CL_TRUE },
	{ CL_DEVICE_MAX_READ_IMAGE_ARGS, 128 },
	{ CL_DEVICE_MAX_WRITE_IMAGE_ARGS, 8 },
	{ CL_DEVICE_MAX_SAMPLERS, 16 },
	{ CL_DEVICE_MEM_BASE_ADDR_ALIGN, 1024 },
	{ CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE, 128 },
	{ CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, CL_READ_WRITE_CACHE },
	{ CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, 64 },
	{ CL_DEVICE_LOCAL_MEM_TYPE, CL_LOCAL },
	{ CL_DEVICE_MAX_CONSTANT_ARGS, 8 },
	{ CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, CL_TRUE },
	{ CL_DEVICE_PARTITION_MAX_SUB_DEVICES, 0 },
	{ CL_DEVICE_REFERENCE_COUNT, 1 },
	{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, 4 },
	{ CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 4 },
	{ CL_DEVICE_MAX_ON_DEVICE_QUEUES, 0 },
	{ CL_DEVICE_MAX_NUM_SUB_GROUPS, 0 },
	{ CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS, CL_FALSE },
	{ CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT, CL_TRUE },
};

cl_int fake_clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t room, void *to,
			    size_t *size)
{
	struct answer a = { room, to, size };
	cl_int rc;

	if (!device_valid(device))
		return CL_INVALID_DEVICE;
	if (what == CL_DEVICE_PLATFORM)
		return answer_pointer(a, &the_platform);
	if (what == CL_DEVICE_PARENT_DEVICE)
		return answer_pointer(a, NULL);
	for (size_t i = 0; i < sizeof(device_numbers) / sizeof(device_numbers[0]); i++) {
		if (what == device_numbers[i].what)
			return answer_uint(a, device_numbers[i].value);
	}
	rc = device_text(device, what, a);
	if (rc)
		rc = device_size(what, a);
	return rc ? device_bits(what, a) : rc;
}

cl_int fake_clCreateSubDevices(cl_device_id device, const cl_device_partition_property *properties,
			       cl_uint room, cl_device_id *devices, cl_uint *n)
{
	(void)properties;
	(void)room;
	(void)devices;
	(void)n;
	return device_valid(device) ? CL_INVALID_VALUE : CL_INVALID_DEVICE;
}

cl_int fake_clRetainDevice(cl_device_id device)
{
	return device_valid(device) ? CL_SUCCESS : CL_INVALID_DEVICE;
}

cl_int fake_clReleaseDevice(cl_device_id device)
{
	return fake_clRetainDevice(device);
}

cl_int fake_clGetDeviceAndHostTimer(cl_device_id device, cl_ulong *device_stamp, cl_ulong *host)
{
	uint64_t now, t;

	count(COUNT_TIMER);
	if (!device_valid(device))
		return CL_INVALID_DEVICE;
	if (!device_stamp || !host)
		return CL_INVALID_VALUE;
	if (!script.timer)
		return CL_INVALID_OPERATION;
	now = now_ns();
	t = device_clock(now);
	*device_stamp = script.tick_ns ? t - t % script.tick_ns : t;
	*host = now;
	return CL_SUCCESS;
}

cl_int fake_clGetHostTimer(cl_device_id device, cl_ulong *host)
{
	if (!device_valid(device))
		return CL_INVALID_DEVICE;
	if (!host)
		return CL_INVALID_VALUE;
	if (!script.timer)
		return CL_INVALID_OPERATION;
	*host = now_ns();
	return CL_SUCCESS;
}

cl_int fake_clSetDefaultDeviceCommandQueue(cl_context context, cl_device_id device,
					   cl_command_queue queue)
{
	(void)context;
	(void)device;
	(void)queue;
	return CL_INVALID_OPERATION;
}

/* ---- contexts ---- */

typedef void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *);

static cl_int context_allowed(const cl_context_properties *properties, cl_uint n,
			      const cl_device_id *devices)
{
	for (size_t i = 0; properties && properties[i]; i += 2) {
		if (i >= 14 || properties[i] != CL_CONTEXT_PLATFORM)
			return CL_INVALID_PROPERTY;
		if ((cl_platform_id)properties[i + 1] != &the_platform)
			return CL_INVALID_PLATFORM;
	}
	if (!n || !devices || n > DEVICES_MAX)
		return CL_INVALID_VALUE;
	for (cl_uint i = 0; i < n; i++) {
		if (!device_valid(devices[i]))
			return CL_INVALID_DEVICE;
	}
	return driver_lost() ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

cl_context fake_clCreateContext(const cl_context_properties *properties, cl_uint n,
				const cl_device_id *devices, notify call, void *data, cl_int *error)
{
	cl_context context;
	cl_int rc;

	WITH_LOCK;
	rc = context_allowed(properties, n, devices);
	if (rc || (!call && data))
		return fail(error, rc ? rc : CL_INVALID_VALUE);
	context = object_new(KIND_CONTEXT);
	if (!context)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	context->n_devices = n;
	memcpy(context->devices, devices, n * sizeof(*devices));
	while (properties && properties[context->n_properties])
		context->n_properties += 2;
	if (properties) {
		context->n_properties++;
		memcpy(context->properties, properties,
		       context->n_properties * sizeof(*properties));
	}
	fail(error, CL_SUCCESS);
	return context;
}

cl_context fake_clCreateContextFromType(const cl_context_properties *properties,
					cl_device_type type, notify call, void *data, cl_int *error)
{
	cl_device_id devices[DEVICES_MAX];
	cl_uint n = 0;
	cl_int rc = fake_clGetDeviceIDs(&the_platform, type, DEVICES_MAX, devices, &n);

	return rc ? fail(error, rc)
		  : fake_clCreateContext(properties, n, devices, call, data, error);
}

cl_int fake_clRetainContext(cl_context context)
{
	return object_retain(context, KIND_CONTEXT, CL_INVALID_CONTEXT);
}

cl_int fake_clReleaseContext(cl_context context)
{
	return object_release(context, KIND_CONTEXT, CL_INVALID_CONTEXT);
}

cl_int fake_clGetContextInfo(cl_context context, cl_context_info what, size_t room, void *to,
			     size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(context, KIND_CONTEXT))
		return CL_INVALID_CONTEXT;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	switch (what) {
	case CL_CONTEXT_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)context->o.refs);
	case CL_CONTEXT_NUM_DEVICES:
		return answer_uint(a, context->n_devices);
	case CL_CONTEXT_DEVICES:
		return answer(a, context->devices, context->n_devices * sizeof(cl_device_id));
	case CL_CONTEXT_PROPERTIES:
		return answer(a, context->properties,
			      context->n_properties * sizeof(cl_context_properties));
	default:
		return CL_INVALID_VALUE;
	}
}

cl_int fake_clSetContextDestructorCallback(cl_context context,
					   void(CL_CALLBACK *call)(cl_context, void *), void *data)
{
	(void)call;
	(void)data;
	WITH_LOCK;
	return object_alive(context, KIND_CONTEXT) ? CL_INVALID_OPERATION : CL_INVALID_CONTEXT;
}
