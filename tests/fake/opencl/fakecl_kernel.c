/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels: their arguments, and what is enqueued without moving data. */
#include "fakecl_api.h"

#include <string.h>

static cl_kernel kernel_make(cl_program program, const struct signature *signature, cl_int *error)
{
	cl_kernel k = object_new(KIND_KERNEL);

	if (!k)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	k->program = program;
	k->signature = *signature;
	k->ns = script_kernel_ns(signature->name);
	program->kernels_alive++;
	object_use(program);
	fail(error, CL_SUCCESS);
	return k;
}

void kernel_destroy(cl_kernel kernel)
{
	object_put(kernel->program);
}

cl_kernel fake_clCreateKernel(cl_program program, const char *name, cl_int *error)
{
	WITH_LOCK;
	if (!object_alive(program, KIND_PROGRAM))
		return fail(error, CL_INVALID_PROGRAM);
	if (!name)
		return fail(error, CL_INVALID_VALUE);
	if (program->status != CL_BUILD_SUCCESS)
		return fail(error, CL_INVALID_PROGRAM_EXECUTABLE);
	if (driver_lost())
		return fail(error, CL_OUT_OF_RESOURCES);
	for (unsigned int i = 0; i < program->n_kernels; i++) {
		if (!strcmp(name, program->kernels[i].name))
			return kernel_make(program, &program->kernels[i], error);
	}
	return fail(error, CL_INVALID_KERNEL_NAME);
}

cl_int fake_clCreateKernelsInProgram(cl_program program, cl_uint room, cl_kernel *kernels,
				     cl_uint *n)
{
	cl_int rc = CL_SUCCESS;

	WITH_LOCK;
	if (!object_alive(program, KIND_PROGRAM))
		return CL_INVALID_PROGRAM;
	if (program->status != CL_BUILD_SUCCESS)
		return CL_INVALID_PROGRAM_EXECUTABLE;
	if (kernels && room < program->n_kernels)
		return CL_INVALID_VALUE;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	for (unsigned int i = 0; kernels && !rc && i < program->n_kernels; i++)
		kernels[i] = kernel_make(program, &program->kernels[i], &rc);
	if (n)
		*n = program->n_kernels;
	return rc;
}

cl_kernel fake_clCloneKernel(cl_kernel source, cl_int *error)
{
	cl_kernel k;

	WITH_LOCK;
	if (!object_alive(source, KIND_KERNEL))
		return fail(error, CL_INVALID_KERNEL);
	if (driver_lost())
		return fail(error, CL_OUT_OF_RESOURCES);
	k = kernel_make(source->program, &source->signature, error);
	if (k)
		k->args_set = source->args_set;
	return k;
}

cl_int fake_clRetainKernel(cl_kernel kernel)
{
	return object_retain(kernel, KIND_KERNEL, CL_INVALID_KERNEL);
}

cl_int fake_clReleaseKernel(cl_kernel kernel)
{
	return object_release(kernel, KIND_KERNEL, CL_INVALID_KERNEL);
}

static cl_int argument_check(cl_kernel kernel, cl_uint index)
{
	if (!object_alive(kernel, KIND_KERNEL))
		return CL_INVALID_KERNEL;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	return index < kernel->signature.n_args ? CL_SUCCESS : CL_INVALID_ARG_INDEX;
}

static cl_int value_check(unsigned char kind, size_t size, const void *value)
{
	cl_mem mem;

	if (kind == ARGUMENT_LOCAL)
		return value ? CL_INVALID_ARG_VALUE : !size ? CL_INVALID_ARG_SIZE : CL_SUCCESS;
	if (kind == ARGUMENT_VALUE)
		return !value ? CL_INVALID_ARG_VALUE : !size ? CL_INVALID_ARG_SIZE : CL_SUCCESS;
	if (size != sizeof(cl_mem))
		return CL_INVALID_ARG_SIZE;
	if (!value)
		return CL_SUCCESS;
	memcpy(&mem, value, sizeof(mem));
	return !mem || object_alive(mem, KIND_MEM) ? CL_SUCCESS : CL_INVALID_MEM_OBJECT;
}

cl_int fake_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	cl_int rc;

	WITH_LOCK;
	rc = argument_check(kernel, index);
	if (!rc)
		rc = value_check(kernel->signature.args[index], size, value);
	if (!rc)
		kernel->args_set |= (uint64_t)1 << index;
	return rc;
}

cl_int fake_clSetKernelArgSVMPointer(cl_kernel kernel, cl_uint index, const void *value)
{
	cl_int rc;

	(void)value;
	WITH_LOCK;
	rc = argument_check(kernel, index);
	if (!rc && kernel->signature.args[index] != ARGUMENT_MEM)
		rc = CL_INVALID_ARG_VALUE;
	if (!rc)
		kernel->args_set |= (uint64_t)1 << index;
	return rc;
}

cl_int fake_clSetKernelExecInfo(cl_kernel kernel, cl_kernel_exec_info what, size_t size,
				const void *value)
{
	WITH_LOCK;
	if (!object_alive(kernel, KIND_KERNEL))
		return CL_INVALID_KERNEL;
	if (!size || !value)
		return CL_INVALID_VALUE;
	return what == CL_KERNEL_EXEC_INFO_SVM_PTRS ||
			       what == CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM
		       ? CL_SUCCESS
		       : CL_INVALID_VALUE;
}

cl_int fake_clGetKernelInfo(cl_kernel k, cl_kernel_info what, size_t room, void *to, size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(k, KIND_KERNEL))
		return CL_INVALID_KERNEL;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	switch (what) {
	case CL_KERNEL_FUNCTION_NAME:
		return answer_text(a, k->signature.name);
	case CL_KERNEL_NUM_ARGS:
		return answer_uint(a, k->signature.n_args);
	case CL_KERNEL_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)k->o.refs);
	case CL_KERNEL_CONTEXT:
		return answer_pointer(a, k->program->context);
	case CL_KERNEL_PROGRAM:
		return answer_pointer(a, k->program);
	case CL_KERNEL_ATTRIBUTES:
		return answer_text(a, "");
	default:
		return CL_INVALID_VALUE;
	}
}

cl_int fake_clGetKernelArgInfo(cl_kernel k, cl_uint index, cl_kernel_arg_info what, size_t room,
			       void *to, size_t *size)
{
	cl_int rc;

	(void)what;
	(void)room;
	(void)to;
	(void)size;
	WITH_LOCK;
	rc = argument_check(k, index);
	return rc ? rc : CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
}

cl_int fake_clGetKernelWorkGroupInfo(cl_kernel k, cl_device_id device,
				     cl_kernel_work_group_info what, size_t room, void *to,
				     size_t *size)
{
	const size_t none[3] = { 0, 0, 0 };
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(k, KIND_KERNEL))
		return CL_INVALID_KERNEL;
	if (device ? !device_in(k->program->context, device) : k->program->context->n_devices > 1)
		return CL_INVALID_DEVICE;
	switch (what) {
	case CL_KERNEL_WORK_GROUP_SIZE:
		return answer_size(a, 1024);
	case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
		return answer_size(a, 32);
	case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
		return answer(a, none, sizeof(none));
	case CL_KERNEL_LOCAL_MEM_SIZE:
	case CL_KERNEL_PRIVATE_MEM_SIZE:
		return answer_ulong(a, 0);
	default:
		return CL_INVALID_VALUE;
	}
}

cl_int fake_clGetKernelSubGroupInfo(cl_kernel k, cl_device_id device, cl_kernel_sub_group_info what,
				    size_t in_size, const void *in, size_t room, void *to,
				    size_t *size)
{
	(void)k;
	(void)device;
	(void)what;
	(void)in_size;
	(void)in;
	(void)room;
	(void)to;
	(void)size;
	return CL_INVALID_OPERATION;
}

/* ---- enqueueing ---- */

static cl_int range_check(cl_uint dims, const size_t *global, const size_t *local)
{
	size_t group = 1;

	if (dims < 1 || dims > 3)
		return CL_INVALID_WORK_DIMENSION;
	if (!global)
		return CL_INVALID_GLOBAL_WORK_SIZE;
	for (cl_uint i = 0; local && i < dims; i++) {
		if (!local[i] || local[i] > 1024)
			return CL_INVALID_WORK_ITEM_SIZE;
		group *= local[i];
		if (group > 1024 || global[i] % local[i])
			return CL_INVALID_WORK_GROUP_SIZE;
	}
	return CL_SUCCESS;
}

cl_int kernel_task(struct task *task, cl_command_queue queue, cl_kernel kernel, cl_uint dims,
		   const size_t *global, const size_t *local)
{
	uint64_t all;

	if (!object_alive(kernel, KIND_KERNEL))
		return CL_INVALID_KERNEL;
	if (kernel->program->context != queue->context)
		return CL_INVALID_CONTEXT;
	all = kernel->signature.n_args < 64 ? ((uint64_t)1 << kernel->signature.n_args) - 1
					    : UINT64_MAX;
	if (kernel->args_set != all)
		return CL_INVALID_KERNEL_ARGS;
	task->name = kernel->signature.name;
	task->ns = kernel->ns;
	task->held[0] = kernel;
	return range_check(dims, global, local);
}

cl_int fake_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
				   const size_t *offset, const size_t *global, const size_t *local,
				   cl_uint n, const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = { .type = CL_COMMAND_NDRANGE_KERNEL, .kind = "kernel" };
	cl_int rc;

	(void)offset;
	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = kernel_task(&task, queue, kernel, dims, global, local);
	return rc ? rc : call_enqueue(&call, &task);
}

cl_int fake_clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint n, const cl_event *list,
			  cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = { .type = CL_COMMAND_TASK, .kind = "task" };
	const size_t one = 1;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = kernel_task(&task, queue, kernel, 1, &one, &one);
	return rc ? rc : call_enqueue(&call, &task);
}

cl_int fake_clEnqueueNativeKernel(cl_command_queue queue, void(CL_CALLBACK *function)(void *),
				  void *args, size_t size, cl_uint n_mems, const cl_mem *mems,
				  const void **locations, cl_uint n, const cl_event *list,
				  cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	cl_int rc;

	(void)function;
	(void)args;
	(void)size;
	(void)n_mems;
	(void)mems;
	(void)locations;
	WITH_LOCK;
	rc = call_check(&call);
	return rc ? rc : CL_INVALID_OPERATION;
}

static cl_int wait_enqueue(const struct call *call, bool barrier, bool waits_all)
{
	const struct task task = {
		.type = barrier ? CL_COMMAND_BARRIER : CL_COMMAND_MARKER,
		.kind = barrier ? "barrier" : "marker",
		.name = "-",
		.barrier = barrier,
		.waits_all = waits_all,
		.free = true,
	};
	cl_int rc;

	WITH_LOCK;
	rc = call_check(call);
	return rc ? rc : call_enqueue(call, &task);
}

cl_int fake_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint n, const cl_event *list,
					cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);

	count(COUNT_MARKER);
	return wait_enqueue(&call, false, !n);
}

cl_int fake_clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint n, const cl_event *list,
					 cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);

	count(COUNT_BARRIER);
	return wait_enqueue(&call, true, !n);
}

cl_int fake_clEnqueueMarker(cl_command_queue queue, cl_event *event)
{
	const struct call call = CALL(queue, 0, NULL, event, CL_FALSE);

	return event ? wait_enqueue(&call, false, true) : CL_INVALID_VALUE;
}

cl_int fake_clEnqueueBarrier(cl_command_queue queue)
{
	const struct call call = CALL(queue, 0, NULL, NULL, CL_FALSE);

	return wait_enqueue(&call, true, true);
}

cl_int fake_clEnqueueWaitForEvents(cl_command_queue queue, cl_uint n, const cl_event *list)
{
	const struct call call = CALL(queue, n, list, NULL, CL_FALSE);

	return n && list ? wait_enqueue(&call, true, false) : CL_INVALID_VALUE;
}
