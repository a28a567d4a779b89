/* SPDX-License-Identifier: Apache-2.0 */
/* Copies, fills and maps of buffers and of shared memory. */
#include "fakecl_api.h"

#include <string.h>

#define HOST_NO_READ  (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS)
#define HOST_NO_WRITE (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS)

bool buffer_holds(cl_mem mem, size_t offset, size_t size)
{
	return size && offset <= mem->size && size <= mem->size - offset;
}

static cl_int buffer_check(cl_context context, cl_mem buffer)
{
	if (!object_alive(buffer, KIND_MEM) || buffer->type != CL_MEM_OBJECT_BUFFER)
		return CL_INVALID_MEM_OBJECT;
	return buffer->context == context ? CL_SUCCESS : CL_INVALID_CONTEXT;
}

static struct task task_make(cl_command_type type, const char *kind)
{
	return (struct task){ .type = type, .kind = kind, .name = "-" };
}

/* A copy of `size` bytes between a buffer and the host, in one line. */
static cl_int line_enqueue(const struct call *call, cl_mem buffer, struct task *task, size_t offset,
			   size_t size, void *host)
{
	bool read = task->type == CL_COMMAND_READ_BUFFER;
	cl_int rc = call_check(call);

	if (!rc)
		rc = buffer_check(call->queue->context, buffer);
	if (rc)
		return rc;
	if (!host || !buffer_holds(buffer, offset, size))
		return CL_INVALID_VALUE;
	if (buffer->flags & (read ? HOST_NO_READ : HOST_NO_WRITE))
		return CL_INVALID_OPERATION;
	task->ns = script_copy_ns(size);
	task->has_box = true;
	task->held[0] = buffer;
	if (read)
		box_line(&task->box, host, buffer->data + offset, size);
	else
		box_line(&task->box, buffer->data + offset, host, size);
	return call_enqueue(call, task);
}

cl_int fake_clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
				size_t offset, size_t size, void *to, cl_uint n,
				const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_READ_BUFFER, "read");

	WITH_LOCK;
	return line_enqueue(&call, buffer, &task, offset, size, to);
}

cl_int fake_clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
				 size_t offset, size_t size, const void *from, cl_uint n,
				 const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_WRITE_BUFFER, "write");

	WITH_LOCK;
	return line_enqueue(&call, buffer, &task, offset, size, (void *)(uintptr_t)from);
}

/* ---- boxes in buffers ---- */

/* One side of a box: `size` is what may be touched, SIZE_MAX on the host. */
struct side {
	char *data;
	size_t size;
	const size_t *origin;
	size_t row, slice;
};

/* Fills in the pitches left to the driver and moves data to the origin. */
static cl_int side_settle(struct side *s, const size_t *region)
{
	size_t start, end;

	if (!s->data || !s->origin)
		return CL_INVALID_VALUE;
	if (!s->row)
		s->row = region[0];
	if (!s->slice)
		s->slice = s->row * region[1];
	if (s->row < region[0] || s->slice < s->row * region[1] || s->slice % s->row)
		return CL_INVALID_VALUE;
	start = s->origin[2] * s->slice + s->origin[1] * s->row + s->origin[0];
	end = start + (region[2] - 1) * s->slice + (region[1] - 1) * s->row + region[0];
	if (end > s->size)
		return CL_INVALID_VALUE;
	s->data += start;
	return CL_SUCCESS;
}

static cl_int sides_join(struct task *task, struct side *dst, struct side *src,
			 const size_t *region)
{
	cl_int rc;

	if (!region || !region[0] || !region[1] || !region[2])
		return CL_INVALID_VALUE;
	rc = side_settle(dst, region);
	if (!rc)
		rc = side_settle(src, region);
	if (rc)
		return rc;
	task->has_box = true;
	task->box.dst = dst->data;
	task->box.src = src->data;
	memcpy(task->box.region, region, sizeof(task->box.region));
	task->box.dst_pitch[0] = dst->row;
	task->box.dst_pitch[1] = dst->slice;
	task->box.src_pitch[0] = src->row;
	task->box.src_pitch[1] = src->slice;
	task->ns = script_copy_ns(region[0] * region[1] * region[2]);
	return CL_SUCCESS;
}

cl_int fake_clEnqueueReadBufferRect(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
				    const size_t *buffer_origin, const size_t *host_origin,
				    const size_t *region, size_t buffer_row, size_t buffer_slice,
				    size_t host_row, size_t host_slice, void *to, cl_uint n,
				    const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct side host = { to, SIZE_MAX, host_origin, host_row, host_slice }, device;
	struct task task = task_make(CL_COMMAND_READ_BUFFER_RECT, "read_rect");
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = buffer_check(queue->context, buffer);
	if (rc)
		return rc;
	device = (struct side){ buffer->data, buffer->size, buffer_origin, buffer_row,
				buffer_slice };
	task.held[0] = buffer;
	rc = sides_join(&task, &host, &device, region);
	return rc ? rc : call_enqueue(&call, &task);
}

cl_int fake_clEnqueueWriteBufferRect(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
				     const size_t *buffer_origin, const size_t *host_origin,
				     const size_t *region, size_t buffer_row, size_t buffer_slice,
				     size_t host_row, size_t host_slice, const void *from,
				     cl_uint n, const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct side host = { (char *)(uintptr_t)from, SIZE_MAX, host_origin, host_row, host_slice };
	struct task task = task_make(CL_COMMAND_WRITE_BUFFER_RECT, "write_rect");
	struct side device;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = buffer_check(queue->context, buffer);
	if (rc)
		return rc;
	device = (struct side){ buffer->data, buffer->size, buffer_origin, buffer_row,
				buffer_slice };
	task.held[0] = buffer;
	rc = sides_join(&task, &device, &host, region);
	return rc ? rc : call_enqueue(&call, &task);
}

cl_int fake_clEnqueueCopyBufferRect(cl_command_queue queue, cl_mem src, cl_mem dst,
				    const size_t *src_origin, const size_t *dst_origin,
				    const size_t *region, size_t src_row, size_t src_slice,
				    size_t dst_row, size_t dst_slice, cl_uint n,
				    const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_COPY_BUFFER_RECT, "copy_rect");
	struct side from, to;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = buffer_check(queue->context, src);
	if (!rc)
		rc = buffer_check(queue->context, dst);
	if (rc)
		return rc;
	from = (struct side){ src->data, src->size, src_origin, src_row, src_slice };
	to = (struct side){ dst->data, dst->size, dst_origin, dst_row, dst_slice };
	task.held[0] = src;
	task.held[1] = dst;
	rc = sides_join(&task, &to, &from, region);
	return rc ? rc : call_enqueue(&call, &task);
}

/* `at` is offset in src, offset in dst, size. */
cl_int copy_buffer_task(struct task *task, cl_context context, cl_mem src, cl_mem dst,
			const size_t at[3])
{
	cl_int rc = buffer_check(context, src);

	if (!rc)
		rc = buffer_check(context, dst);
	if (rc)
		return rc;
	if (!buffer_holds(src, at[0], at[2]) || !buffer_holds(dst, at[1], at[2]))
		return CL_INVALID_VALUE;
	if (src == dst && at[0] < at[1] + at[2] && at[1] < at[0] + at[2])
		return CL_MEM_COPY_OVERLAP;
	task->ns = script_copy_ns(at[2]);
	task->has_box = true;
	task->held[0] = src;
	task->held[1] = dst;
	box_line(&task->box, dst->data + at[1], src->data + at[0], at[2]);
	return CL_SUCCESS;
}

static bool pattern_set(struct task *task, const void *pattern, size_t size)
{
	if (!pattern || !size || size > PATTERN_MAX || (size & (size - 1)))
		return false;
	memcpy(task->box.pattern, pattern, size);
	task->box.pattern_size = size;
	task->has_box = true;
	return true;
}

/* `at` is size of the pattern, offset, size. */
cl_int fill_buffer_task(struct task *task, cl_context context, cl_mem buffer, const void *pattern,
			const size_t at[3])
{
	cl_int rc = buffer_check(context, buffer);

	if (rc)
		return rc;
	if (!buffer_holds(buffer, at[1], at[2]) || !pattern_set(task, pattern, at[0]) ||
	    at[1] % at[0] || at[2] % at[0])
		return CL_INVALID_VALUE;
	task->ns = script_copy_ns(at[2]);
	task->held[0] = buffer;
	box_line(&task->box, buffer->data + at[1], NULL, at[2]);
	return CL_SUCCESS;
}

cl_int fake_clEnqueueCopyBuffer(cl_command_queue queue, cl_mem src, cl_mem dst, size_t src_offset,
				size_t dst_offset, size_t size, cl_uint n, const cl_event *list,
				cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	const size_t at[3] = { src_offset, dst_offset, size };
	struct task task = task_make(CL_COMMAND_COPY_BUFFER, "copy");
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = copy_buffer_task(&task, queue->context, src, dst, at);
	return rc ? rc : call_enqueue(&call, &task);
}

cl_int fake_clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern,
				size_t pattern_size, size_t offset, size_t size, cl_uint n,
				const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	const size_t at[3] = { pattern_size, offset, size };
	struct task task = task_make(CL_COMMAND_FILL_BUFFER, "fill");
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = fill_buffer_task(&task, queue->context, buffer, pattern, at);
	return rc ? rc : call_enqueue(&call, &task);
}

/* ---- maps ---- */

void *fake_clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
			      cl_map_flags flags, size_t offset, size_t size, cl_uint n,
			      const cl_event *list, cl_event *event, cl_int *error)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_MAP_BUFFER, "map");
	char *data;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = buffer_check(queue->context, buffer);
	if (!rc && (!buffer_holds(buffer, offset, size) || !flags || flags >> 3))
		rc = CL_INVALID_VALUE;
	if (rc)
		return fail(error, rc);
	task.ns = script_copy_ns(size);
	task.held[0] = buffer;
	data = buffer->data + offset;
	rc = call_enqueue(&call, &task);
	if (rc)
		return fail(error, rc);
	buffer->maps++;
	fail(error, CL_SUCCESS);
	return data;
}

cl_int fake_clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem mem, void *mapped, cl_uint n,
				    const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_UNMAP_MEM_OBJECT, "unmap");
	const char *p = mapped;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (rc)
		return rc;
	if (!object_alive(mem, KIND_MEM))
		return CL_INVALID_MEM_OBJECT;
	if (mem->context != queue->context)
		return CL_INVALID_CONTEXT;
	if (!mem->maps || p < mem->data || p >= mem->data + mem->size)
		return CL_INVALID_VALUE;
	task.ns = script.copy_ns;
	task.held[0] = mem;
	rc = call_enqueue(&call, &task);
	mem->maps -= !rc;
	return rc;
}

cl_int fake_clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint n_mems, const cl_mem *mems,
				       cl_mem_migration_flags flags, cl_uint n,
				       const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_MIGRATE_MEM_OBJECTS, "migrate");
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (rc)
		return rc;
	if (!n_mems || !mems || flags >> 2)
		return CL_INVALID_VALUE;
	for (cl_uint i = 0; i < n_mems; i++) {
		if (!object_alive(mems[i], KIND_MEM))
			return CL_INVALID_MEM_OBJECT;
		if (mems[i]->context != queue->context)
			return CL_INVALID_CONTEXT;
	}
	task.ns = script.copy_ns;
	return call_enqueue(&call, &task);
}

/* ---- shared memory ---- */

cl_int fake_clEnqueueSVMMemcpy(cl_command_queue queue, cl_bool blocking, void *dst, const void *src,
			       size_t size, cl_uint n, const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_SVM_MEMCPY, "svm_memcpy");
	uintptr_t to = (uintptr_t)dst, from = (uintptr_t)src;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (rc)
		return rc;
	if (!dst || !src)
		return CL_INVALID_VALUE;
	if (to < from + size && from < to + size)
		return CL_MEM_COPY_OVERLAP;
	task.ns = script_copy_ns(size);
	task.has_box = true;
	box_line(&task.box, dst, src, size);
	return call_enqueue(&call, &task);
}

cl_int fake_clEnqueueSVMMemFill(cl_command_queue queue, void *to, const void *pattern,
				size_t pattern_size, size_t size, cl_uint n, const cl_event *list,
				cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_SVM_MEMFILL, "svm_fill");
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (rc)
		return rc;
	if (!to || !size || !pattern_set(&task, pattern, pattern_size) || size % pattern_size ||
	    (uintptr_t)to % pattern_size)
		return CL_INVALID_VALUE;
	task.ns = script_copy_ns(size);
	box_line(&task.box, to, NULL, size);
	return call_enqueue(&call, &task);
}

static cl_int svm_enqueue(const struct call *call, struct task *task, bool valid)
{
	cl_int rc;

	WITH_LOCK;
	rc = call_check(call);
	if (rc || !valid)
		return rc ? rc : CL_INVALID_VALUE;
	task->ns = script.copy_ns;
	return call_enqueue(call, task);
}

cl_int fake_clEnqueueSVMMap(cl_command_queue queue, cl_bool blocking, cl_map_flags flags,
			    void *pointer, size_t size, cl_uint n, const cl_event *list,
			    cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_SVM_MAP, "svm_map");

	return svm_enqueue(&call, &task, pointer && size && flags && !(flags >> 3));
}

cl_int fake_clEnqueueSVMUnmap(cl_command_queue queue, void *pointer, cl_uint n,
			      const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_SVM_UNMAP, "svm_unmap");

	return svm_enqueue(&call, &task, pointer != NULL);
}

cl_int fake_clEnqueueSVMMigrateMem(cl_command_queue queue, cl_uint n_pointers,
				   const void **pointers, const size_t *sizes,
				   cl_mem_migration_flags flags, cl_uint n, const cl_event *list,
				   cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_SVM_MIGRATE_MEM, "svm_migrate");

	(void)sizes;
	return svm_enqueue(&call, &task, n_pointers && pointers && !(flags >> 2));
}

cl_int fake_clEnqueueSVMFree(cl_command_queue queue, cl_uint n_pointers, void *pointers[],
			     void(CL_CALLBACK *call)(cl_command_queue, cl_uint, void *[], void *),
			     void *data, cl_uint n, const cl_event *list, cl_event *event)
{
	(void)queue;
	(void)n_pointers;
	(void)pointers;
	(void)call;
	(void)data;
	(void)n;
	(void)list;
	(void)event;
	return CL_INVALID_OPERATION;
}
