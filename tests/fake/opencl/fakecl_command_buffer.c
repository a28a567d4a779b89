/* SPDX-License-Identifier: Apache-2.0 */
/* cl_khr_command_buffer: steps that run one after the other, as one command of the queue. */
#include "fakecl_api.h"

#include <stdlib.h>
#include <string.h>

static bool properties_read(cl_command_buffer_khr b, const cl_command_buffer_properties_khr *p)
{
	size_t n = 0;

	for (; p && p[n]; n += 2) {
		if (n || p[n] != CL_COMMAND_BUFFER_FLAGS_KHR ||
		    p[n + 1] & ~(cl_properties)CL_COMMAND_BUFFER_SIMULTANEOUS_USE_KHR)
			return false;
		b->flags = p[n + 1];
	}
	if (p) {
		b->n_properties = n + 1;
		memcpy(b->properties, p, (n + 1) * sizeof(*p));
	}
	return true;
}

cl_command_buffer_khr fake_clCreateCommandBufferKHR(cl_uint n, const cl_command_queue *queues,
						    const cl_command_buffer_properties_khr *p,
						    cl_int *error)
{
	cl_command_buffer_khr b;

	WITH_LOCK;
	if (n != 1 || !queues)
		return fail(error, CL_INVALID_VALUE);
	if (!object_alive(queues[0], KIND_QUEUE))
		return fail(error, CL_INVALID_COMMAND_QUEUE);
	if (queues[0]->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
		return fail(error, CL_INCOMPATIBLE_COMMAND_QUEUE_KHR);
	if (driver_lost())
		return fail(error, CL_OUT_OF_RESOURCES);
	b = object_new(KIND_COMMAND_BUFFER);
	if (!b)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	b->queue = queues[0];
	object_use(b->queue);
	if (!properties_read(b, p)) {
		object_put(b);
		return fail(error, CL_INVALID_PROPERTY);
	}
	fail(error, CL_SUCCESS);
	return b;
}

void command_buffer_destroy(cl_command_buffer_khr b)
{
	for (cl_uint i = 0; i < b->n; i++)
		task_release(&b->steps[i]);
	free(b->steps);
	object_put(b->queue);
}

cl_int fake_clFinalizeCommandBufferKHR(cl_command_buffer_khr b)
{
	WITH_LOCK;
	if (!object_alive(b, KIND_COMMAND_BUFFER))
		return CL_INVALID_COMMAND_BUFFER_KHR;
	if (b->final)
		return CL_INVALID_OPERATION;
	b->final = true;
	for (cl_uint i = 0; i < b->n; i++)
		b->ns += b->steps[i].ns + (i ? script.start_ns : 0);
	return CL_SUCCESS;
}

cl_int fake_clRetainCommandBufferKHR(cl_command_buffer_khr b)
{
	return object_retain(b, KIND_COMMAND_BUFFER, CL_INVALID_COMMAND_BUFFER_KHR);
}

cl_int fake_clReleaseCommandBufferKHR(cl_command_buffer_khr b)
{
	return object_release(b, KIND_COMMAND_BUFFER, CL_INVALID_COMMAND_BUFFER_KHR);
}

cl_int fake_clEnqueueCommandBufferKHR(cl_uint n_queues, cl_command_queue *queues,
				      cl_command_buffer_khr b, cl_uint n, const cl_event *list,
				      cl_event *event)
{
	struct task task = { .type = CL_COMMAND_COMMAND_BUFFER_KHR,
			     .kind = "command_buffer",
			     .name = "-",
			     .buffer = b,
			     .held = { b } };
	struct call call = CALL(NULL, n, list, event, CL_FALSE);
	cl_int rc;

	WITH_LOCK;
	if (!object_alive(b, KIND_COMMAND_BUFFER))
		return CL_INVALID_COMMAND_BUFFER_KHR;
	if (!n_queues != !queues || n_queues > 1)
		return CL_INVALID_VALUE;
	if (!b->final)
		return CL_INVALID_OPERATION;
	if (b->pending && !(b->flags & CL_COMMAND_BUFFER_SIMULTANEOUS_USE_KHR))
		return CL_INVALID_OPERATION;
	call.queue = n_queues ? queues[0] : b->queue;
	rc = call_check(&call);
	if (!rc && (call.queue->context != b->queue->context ||
		    call.queue->properties != b->queue->properties))
		rc = CL_INCOMPATIBLE_COMMAND_QUEUE_KHR;
	task.ns = b->ns;
	return rc ? rc : call_enqueue(&call, &task);
}

/* ---- recording ---- */

/* The last of every recording call. */
struct tail {
	cl_command_queue queue;
	cl_uint n;
	const cl_sync_point_khr *list;
	cl_sync_point_khr *point;
	cl_mutable_command_khr *handle;
};

static cl_int tail_check(cl_command_buffer_khr b, const struct tail *t)
{
	if (!object_alive(b, KIND_COMMAND_BUFFER))
		return CL_INVALID_COMMAND_BUFFER_KHR;
	if (t->queue)
		return CL_INVALID_COMMAND_QUEUE;
	if (b->final)
		return CL_INVALID_OPERATION;
	if (t->handle)
		return CL_INVALID_VALUE;
	if (!t->n != !t->list)
		return CL_INVALID_SYNC_POINT_WAIT_LIST_KHR;
	for (cl_uint i = 0; i < t->n; i++) {
		if (!t->list[i] || t->list[i] > b->n)
			return CL_INVALID_SYNC_POINT_WAIT_LIST_KHR;
	}
	return driver_lost() ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static cl_int step_append(cl_command_buffer_khr b, const struct task *task, const struct tail *t)
{
	struct task *more;

	if (b->n == b->room) {
		more = realloc(b->steps, (b->room * 2 + 8) * sizeof(*more));
		if (!more)
			return CL_OUT_OF_HOST_MEMORY;
		b->steps = more;
		b->room = b->room * 2 + 8;
	}
	b->steps[b->n++] = *task;
	task_hold(task);
	if (t->point)
		*t->point = b->n;
	return CL_SUCCESS;
}

cl_int fake_clCommandNDRangeKernelKHR(cl_command_buffer_khr b, cl_command_queue queue,
				      const cl_ndrange_kernel_command_properties_khr *properties,
				      cl_kernel kernel, cl_uint dims, const size_t *offset,
				      const size_t *global, const size_t *local, cl_uint n,
				      const cl_sync_point_khr *list, cl_sync_point_khr *point,
				      cl_mutable_command_khr *handle)
{
	struct task task = { .type = CL_COMMAND_NDRANGE_KERNEL, .kind = "kernel" };
	const struct tail t = { queue, n, list, point, handle };
	cl_int rc;

	(void)offset;
	WITH_LOCK;
	rc = tail_check(b, &t);
	if (!rc && properties && *properties)
		rc = CL_INVALID_VALUE;
	if (!rc)
		rc = kernel_task(&task, b->queue, kernel, dims, global, local);
	return rc ? rc : step_append(b, &task, &t);
}

cl_int fake_clCommandCopyBufferKHR(cl_command_buffer_khr b, cl_command_queue queue, cl_mem src,
				   cl_mem dst, size_t src_offset, size_t dst_offset, size_t size,
				   cl_uint n, const cl_sync_point_khr *list,
				   cl_sync_point_khr *point, cl_mutable_command_khr *handle)
{
	struct task task = { .type = CL_COMMAND_COPY_BUFFER, .kind = "copy", .name = "-" };
	const struct tail t = { queue, n, list, point, handle };
	const size_t at[3] = { src_offset, dst_offset, size };
	cl_int rc;

	WITH_LOCK;
	rc = tail_check(b, &t);
	if (!rc)
		rc = copy_buffer_task(&task, b->queue->context, src, dst, at);
	return rc ? rc : step_append(b, &task, &t);
}

cl_int fake_clCommandFillBufferKHR(cl_command_buffer_khr b, cl_command_queue queue, cl_mem buffer,
				   const void *pattern, size_t pattern_size, size_t offset,
				   size_t size, cl_uint n, const cl_sync_point_khr *list,
				   cl_sync_point_khr *point, cl_mutable_command_khr *handle)
{
	struct task task = { .type = CL_COMMAND_FILL_BUFFER, .kind = "fill", .name = "-" };
	const struct tail t = { queue, n, list, point, handle };
	const size_t at[3] = { pattern_size, offset, size };
	cl_int rc;

	WITH_LOCK;
	rc = tail_check(b, &t);
	if (!rc)
		rc = fill_buffer_task(&task, b->queue->context, buffer, pattern, at);
	return rc ? rc : step_append(b, &task, &t);
}

cl_int fake_clCommandBarrierWithWaitListKHR(cl_command_buffer_khr b, cl_command_queue queue,
					    cl_uint n, const cl_sync_point_khr *list,
					    cl_sync_point_khr *point,
					    cl_mutable_command_khr *handle)
{
	const struct task task = { .type = CL_COMMAND_BARRIER, .kind = "barrier", .name = "-" };
	const struct tail t = { queue, n, list, point, handle };
	cl_int rc;

	WITH_LOCK;
	rc = tail_check(b, &t);
	return rc ? rc : step_append(b, &task, &t);
}

cl_int fake_clGetCommandBufferInfoKHR(cl_command_buffer_khr b, cl_command_buffer_info_khr what,
				      size_t room, void *to, size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(b, KIND_COMMAND_BUFFER))
		return CL_INVALID_COMMAND_BUFFER_KHR;
	switch (what) {
	case CL_COMMAND_BUFFER_NUM_QUEUES_KHR:
		return answer_uint(a, 1);
	case CL_COMMAND_BUFFER_QUEUES_KHR:
		return answer_pointer(a, b->queue);
	case CL_COMMAND_BUFFER_REFERENCE_COUNT_KHR:
		return answer_uint(a, (cl_uint)b->o.refs);
	case CL_COMMAND_BUFFER_STATE_KHR:
		return answer_uint(a, !b->final	   ? CL_COMMAND_BUFFER_STATE_RECORDING_KHR
				      : b->pending ? CL_COMMAND_BUFFER_STATE_PENDING_KHR
						   : CL_COMMAND_BUFFER_STATE_EXECUTABLE_KHR);
	case CL_COMMAND_BUFFER_PROPERTIES_ARRAY_KHR:
		return answer(a, b->properties, b->n_properties * sizeof(b->properties[0]));
	default:
		return CL_INVALID_VALUE;
	}
}
