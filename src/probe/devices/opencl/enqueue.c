/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as they are handed over. This is the hot path of every GPU kernel: docs/design.md, "Hot path". */
#include "probe/devices/opencl/hooks.h"
#include "probe/devices/opencl/opencl.h"
#include "probe/devices/opencl/repeat.h"

/* Returns where the driver shall put the event: the application's place, ours, or nowhere. */
static LMM_INLINE cl_event *command_begin(struct lmm_cl_command *c, uint32_t recording,
					  cl_command_queue queue, cl_uint n_wait, cl_event *event)
{
	struct lmm_thread *th;

	c->q = NULL;
	if (!recording)
		return event;
	c->recording = recording;
	th = lmm_thread_self();
	c->q = th ? lmm_cl_queue_find(queue) : NULL;
	if (lmm_unlikely(!c->q)) {
		if (th) {
			c->q = lmm_cl_queue_adopt(queue);
		} else {
			lmm_no_ring(1);
		}
		if (!c->q)
			return event;
	}
	c->th = th;
	c->t = lmm_now();
	lmm_device_count(th, &lmm_cl_api, c->t);
	c->is_timed = th->is_device_timed && c->q->is_timed;
	c->is_sample = false;
	c->has_to_wait = n_wait > 0;
	if (lmm_unlikely(lmm_cl_api.cost.is_calibrating) && c->q->is_timed)
		c->is_sample = lmm_device_cost_begin(&lmm_cl_api.cost, th, &c->is_timed);
	if (!c->is_timed || event)
		return event;
	c->own = NULL;
	return &c->own;
}

/* What a kernel's first run costs will not be seen again: it is timed in any step. */
static LMM_COLD cl_event *first_timed(struct lmm_cl_command *c, cl_event *event)
{
	if (c->is_timed || !c->q->is_timed || c->is_sample)
		return event;
	c->is_timed = true;
	c->own = NULL;
	return event ? event : &c->own;
}

/* Keeps the event until its times can be read. 0: there is no room, it is not timed after all. */
static LMM_INLINE int pending_put(const struct lmm_cl_command *c, cl_event event, uint32_t *id)
{
	struct lmm_cl_queue *q = c->q;
	uint32_t at = atomic_load_explicit(&q->head, memory_order_relaxed);
	struct lmm_cl_pending *p;

	do {
		if (at - atomic_load_explicit(&q->tail, memory_order_acquire) >= LMM_CL_PENDING)
			return 0;
		/* either lmm_cl_recording_end() sees this place taken, or is_over() sees that it was there */
	} while (!atomic_compare_exchange_weak_explicit(&q->head, &at, at + 1, memory_order_seq_cst,
							memory_order_relaxed));
	p = &q->pending[at % LMM_CL_PENDING];
	p->event = event;
	p->t0 = c->t;
	p->t1 = c->has_to_wait ? 0 : lmm_now();
	/* pairs with the acquire in harvest.c */
	atomic_store_explicit(&p->ready, at + 1, memory_order_release);
	*id = at;
	return 1;
}

/* The recording in which the command began has ended meanwhile: nobody will ask for what we keep. */
static LMM_INLINE bool is_over(const struct lmm_cl_command *c)
{
	const _Atomic uint32_t *word =
		atomic_load_explicit(&lmm_recording_word, memory_order_relaxed);

	return lmm_unlikely(atomic_load_explicit(word, memory_order_seq_cst) != c->recording);
}

/* An event that the application asks for gets the room of all that we keep. */
LMM_COLD bool lmm_cl_is_out_of_events(struct lmm_cl_command *c, cl_int rc, cl_event **event)
{
	struct lmm_cl_queue *const *all;
	unsigned n;

	if (rc != CL_OUT_OF_HOST_MEMORY || !c->q || !*event)
		return false;
	if (*event == &c->own) {
		*event = NULL;
		c->is_timed = false;
		return true;
	}
	all = lmm_cl_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		lmm_cl_harvest_ended(all[i]);
		lmm_cl_let_go(all[i]);
	}
	return true;
}

#define IS_OUT_OF_EVENTS(rc)                                                                       \
	(lmm_unlikely((rc) != CL_SUCCESS) && lmm_cl_is_out_of_events(&c, rc, &event))

static LMM_INLINE void command_put(const struct lmm_cl_command *c, uint32_t id, uint32_t kernel,
				   uint64_t amount)
{
	struct lmm_device_command x = {
		.t = c->t,
		.amount = amount,
		.graph = c->th->graph,
		.node = lmm_device_node(c->th),
		.kernel = kernel,
		.id = id,
		.queue = c->q->number,
		.is_timed = c->is_timed,
	};

	lmm_device_command_put(c->th, &x);
}

static LMM_INLINE void command_end(struct lmm_cl_command *c, cl_int rc, const cl_event *asked,
				   uint32_t kernel, uint64_t amount)
{
	uint32_t id = 0;

	if (rc != CL_SUCCESS)
		return;
	if (c->is_timed) {
		cl_event event = asked ? *asked : c->own;

		if (asked && event)
			lmm_cl.clRetainEvent(event);
		if (!event) {
			c->is_timed = false;
		} else if (!pending_put(c, event, &id)) {
			lmm_cl.clReleaseEvent(event);
			c->is_timed = false;
			lmm_cl_harvest_ended(c->q);
		} else if (is_over(c)) {
			lmm_cl_let_go(c->q);
			return;
		}
	}
	command_put(c, id, kernel, amount);
	if (lmm_unlikely(c->is_sample))
		lmm_device_cost_end(&lmm_cl_api.cost, c->th, c->is_timed, c->t);
	/* a program that never waits is asked now and then what has ended */
	if (lmm_unlikely(c->is_timed && (id & (LMM_CL_PENDING / 4 - 1)) == LMM_CL_PENDING / 4 - 1))
		lmm_cl_harvest_ended(c->q);
}

/* The application has waited for this command itself. */
static void waited(const struct lmm_cl_command *c, cl_int rc)
{
	if (rc != CL_SUCCESS || !c->q)
		return;
	if (c->q->is_ordered) {
		lmm_cl_harvest(c->q, atomic_load_explicit(&c->q->head, memory_order_acquire));
	} else {
		lmm_cl_harvest_ended(c->q);
	}
}

cl_event *lmm_cl_command_begin(struct lmm_cl_command *c, cl_command_queue queue, cl_uint n_wait,
			       cl_event *event)
{
	return command_begin(c, lmm_recording(), queue, n_wait, event);
}

void lmm_cl_command_end(struct lmm_cl_command *c, cl_int rc, const cl_event *asked, uint32_t kernel,
			uint64_t amount)
{
	if (c->q)
		command_end(c, rc, asked, kernel, amount);
}

static uint64_t product(const size_t *n, unsigned k)
{
	uint64_t all = 1;

	for (unsigned i = 0; n && i < k; i++) {
		if (__builtin_mul_overflow(all, n[i], &all))
			return UINT64_MAX;
	}
	return n ? all : 0;
}

static uint64_t image_bytes(cl_mem image, const size_t *region)
{
	uint64_t pixels = product(region, 3), bytes;
	size_t pixel = 0;

	if (!lmm_cl.clGetImageInfo ||
	    lmm_cl.clGetImageInfo(image, CL_IMAGE_ELEMENT_SIZE, sizeof(pixel), &pixel, NULL))
		return 0;
	return __builtin_mul_overflow(pixels, pixel, &bytes) ? UINT64_MAX : bytes;
}

/* A hook of a function that ends with (…, cl_event *event): `what` and `amount` are evaluated if it is recorded. */
#define ENQUEUE(symbol, is_blocking, what, amount, params, args)                                   \
	LMM_CL_HOOK(cl_int, symbol, params, args)                                                  \
	{                                                                                          \
		uint32_t recording = lmm_recording();                                              \
		cl_event *asked = event;                                                           \
		struct lmm_cl_command c;                                                           \
		cl_int rc;                                                                         \
                                                                                                   \
		if (!recording) /* with nothing saved: a load, a branch, a jump */                 \
			return lmm_cl.symbol args;                                                 \
		event = command_begin(&c, recording, queue, n_wait, event);                        \
		rc = lmm_cl.symbol args;                                                           \
		if (IS_OUT_OF_EVENTS(rc))                                                          \
			rc = lmm_cl.symbol args;                                                   \
		if (c.q)                                                                           \
			command_end(&c, rc, asked, what, amount);                                  \
		if (is_blocking)                                                                   \
			waited(&c, rc);                                                            \
		return rc;                                                                         \
	}
/* NOLINTBEGIN(readability-function-size): OpenCL's own lists of parameters */
static uint32_t task_number(cl_kernel kernel)
{
	bool is_first;

	return lmm_cl_kernel_number(kernel, &is_first);
}

#define KIND(kind) lmm_device_kind_number(LMM_KERNEL_##kind)

LMM_CL_HOOK(cl_int, clEnqueueNDRangeKernel,
	    (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
	     const size_t *global, const size_t *local, cl_uint n_wait, const cl_event *wait,
	     cl_event *event),
	    (queue, kernel, dimensions, offset, global, local, n_wait, wait, event))
{
	const struct lmm_cl_launch launch = { queue, kernel, dimensions, offset, global, local };
	uint32_t recording = lmm_recording();
	cl_event *asked = event;
	struct lmm_cl_command c;
	uint32_t number;
	bool is_first;
	cl_int rc;

	if (!recording) {
		return lmm_cl.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global,
						     local, n_wait, wait, event);
	}
	if (lmm_unlikely(lmm_cl_is_repeating))
		lmm_cl_repeat_before(&launch);
	event = command_begin(&c, recording, queue, n_wait, event);
	is_first = false;
	number = c.q ? lmm_cl_kernel_number(kernel, &is_first) : 0;
	if (lmm_unlikely(is_first))
		event = first_timed(&c, event);
	rc = lmm_cl.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, n_wait,
					   wait, event);
	if (!c.q)
		return rc;
	if (IS_OUT_OF_EVENTS(rc)) {
		rc = lmm_cl.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local,
						   n_wait, wait, event);
	}
	command_end(&c, rc, asked, number, product(global, dimensions));
	if (lmm_unlikely(is_first) && rc == CL_SUCCESS)
		lmm_device_first_use(c.th, c.t, number);
	if (lmm_unlikely(lmm_cl_is_repeating) && rc == CL_SUCCESS)
		lmm_cl_repeat_after(&launch);
	return rc;
}
ENQUEUE(clEnqueueTask, 0, task_number(kernel), 1,
	(cl_command_queue queue, cl_kernel kernel, cl_uint n_wait, const cl_event *wait,
	 cl_event *event),
	(queue, kernel, n_wait, wait, event))
ENQUEUE(clEnqueueReadBuffer, blocking, KIND(READ), bytes,
	(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t bytes,
	 void *to, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, buffer, blocking, offset, bytes, to, n_wait, wait, event))
ENQUEUE(clEnqueueWriteBuffer, blocking, KIND(WRITE), bytes,
	(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t bytes,
	 const void *from, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, buffer, blocking, offset, bytes, from, n_wait, wait, event))
ENQUEUE(clEnqueueReadBufferRect, blocking, KIND(READ), product(region, 3),
	(cl_command_queue queue, cl_mem buffer, cl_bool blocking, const size_t *buffer_origin,
	 const size_t *host_origin, const size_t *region, size_t buffer_row, size_t buffer_slice,
	 size_t host_row, size_t host_slice, void *to, cl_uint n_wait, const cl_event *wait,
	 cl_event *event),
	(queue, buffer, blocking, buffer_origin, host_origin, region, buffer_row, buffer_slice,
	 host_row, host_slice, to, n_wait, wait, event))
ENQUEUE(clEnqueueWriteBufferRect, blocking, KIND(WRITE), product(region, 3),
	(cl_command_queue queue, cl_mem buffer, cl_bool blocking, const size_t *buffer_origin,
	 const size_t *host_origin, const size_t *region, size_t buffer_row, size_t buffer_slice,
	 size_t host_row, size_t host_slice, const void *from, cl_uint n_wait, const cl_event *wait,
	 cl_event *event),
	(queue, buffer, blocking, buffer_origin, host_origin, region, buffer_row, buffer_slice,
	 host_row, host_slice, from, n_wait, wait, event))
ENQUEUE(clEnqueueCopyBuffer, 0, KIND(COPY), bytes,
	(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
	 size_t bytes, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, from, to, from_offset, to_offset, bytes, n_wait, wait, event))
ENQUEUE(clEnqueueCopyBufferRect, 0, KIND(COPY), product(region, 3),
	(cl_command_queue queue, cl_mem from, cl_mem to, const size_t *from_origin,
	 const size_t *to_origin, const size_t *region, size_t from_row, size_t from_slice,
	 size_t to_row, size_t to_slice, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, from, to, from_origin, to_origin, region, from_row, from_slice, to_row, to_slice,
	 n_wait, wait, event))
ENQUEUE(clEnqueueFillBuffer, 0, KIND(FILL), bytes,
	(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_bytes,
	 size_t offset, size_t bytes, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, buffer, pattern, pattern_bytes, offset, bytes, n_wait, wait, event))
ENQUEUE(clEnqueueReadImage, blocking, KIND(READ), image_bytes(image, region),
	(cl_command_queue queue, cl_mem image, cl_bool blocking, const size_t *origin,
	 const size_t *region, size_t row, size_t slice, void *to, cl_uint n_wait,
	 const cl_event *wait, cl_event *event),
	(queue, image, blocking, origin, region, row, slice, to, n_wait, wait, event))
ENQUEUE(clEnqueueWriteImage, blocking, KIND(WRITE), image_bytes(image, region),
	(cl_command_queue queue, cl_mem image, cl_bool blocking, const size_t *origin,
	 const size_t *region, size_t row, size_t slice, const void *from, cl_uint n_wait,
	 const cl_event *wait, cl_event *event),
	(queue, image, blocking, origin, region, row, slice, from, n_wait, wait, event))
ENQUEUE(clEnqueueCopyImage, 0, KIND(COPY), image_bytes(from, region),
	(cl_command_queue queue, cl_mem from, cl_mem to, const size_t *from_origin,
	 const size_t *to_origin, const size_t *region, cl_uint n_wait, const cl_event *wait,
	 cl_event *event),
	(queue, from, to, from_origin, to_origin, region, n_wait, wait, event))
ENQUEUE(clEnqueueCopyImageToBuffer, 0, KIND(COPY), image_bytes(from, region),
	(cl_command_queue queue, cl_mem from, cl_mem to, const size_t *origin, const size_t *region,
	 size_t offset, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, from, to, origin, region, offset, n_wait, wait, event))
ENQUEUE(clEnqueueCopyBufferToImage, 0, KIND(COPY), image_bytes(to, region),
	(cl_command_queue queue, cl_mem from, cl_mem to, size_t offset, const size_t *origin,
	 const size_t *region, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, from, to, offset, origin, region, n_wait, wait, event))
ENQUEUE(clEnqueueFillImage, 0, KIND(FILL), image_bytes(image, region),
	(cl_command_queue queue, cl_mem image, const void *color, const size_t *origin,
	 const size_t *region, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, image, color, origin, region, n_wait, wait, event))
ENQUEUE(clEnqueueUnmapMemObject, 0, KIND(UNMAP), 0,
	(cl_command_queue queue, cl_mem object, void *mapped, cl_uint n_wait, const cl_event *wait,
	 cl_event *event),
	(queue, object, mapped, n_wait, wait, event))
ENQUEUE(clEnqueueMigrateMemObjects, 0, KIND(MIGRATE), 0,
	(cl_command_queue queue, cl_uint n, const cl_mem *objects, cl_mem_migration_flags flags,
	 cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, n, objects, flags, n_wait, wait, event))
ENQUEUE(clEnqueueMarkerWithWaitList, 0, KIND(MARKER), 0,
	(cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, n_wait, wait, event))
ENQUEUE(clEnqueueBarrierWithWaitList, 0, KIND(MARKER), 0,
	(cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, n_wait, wait, event))
ENQUEUE(clEnqueueSVMMemcpy, blocking, KIND(COPY), bytes,
	(cl_command_queue queue, cl_bool blocking, void *to, const void *from, size_t bytes,
	 cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, blocking, to, from, bytes, n_wait, wait, event))
ENQUEUE(clEnqueueSVMMemFill, 0, KIND(FILL), bytes,
	(cl_command_queue queue, void *to, const void *pattern, size_t pattern_bytes, size_t bytes,
	 cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, to, pattern, pattern_bytes, bytes, n_wait, wait, event))
ENQUEUE(clEnqueueSVMMap, blocking, KIND(MAP), bytes,
	(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void *at, size_t bytes,
	 cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, blocking, flags, at, bytes, n_wait, wait, event))
ENQUEUE(clEnqueueSVMUnmap, 0, KIND(UNMAP), 0,
	(cl_command_queue queue, void *at, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, at, n_wait, wait, event))
ENQUEUE(clEnqueueSVMMigrateMem, 0, KIND(MIGRATE), 0,
	(cl_command_queue queue, cl_uint n, const void **pointers, const size_t *sizes,
	 cl_mem_migration_flags flags, cl_uint n_wait, const cl_event *wait, cl_event *event),
	(queue, n, pointers, sizes, flags, n_wait, wait, event))

/* The two that return the mapping itself, and the error by pointer. */
LMM_CL_HOOK(void *, clEnqueueMapBuffer,
	    (cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags,
	     size_t offset, size_t bytes, cl_uint n_wait, const cl_event *wait, cl_event *event,
	     cl_int *error),
	    (queue, buffer, blocking, flags, offset, bytes, n_wait, wait, event, error))
{
	cl_event *asked = event;
	struct lmm_cl_command c;
	cl_int own_error;
	void *at;

	error = error ? error : &own_error;
	event = command_begin(&c, lmm_recording(), queue, n_wait, event);
	at = lmm_cl.clEnqueueMapBuffer(queue, buffer, blocking, flags, offset, bytes, n_wait, wait,
				       event, error);
	if (!at && IS_OUT_OF_EVENTS(*error)) {
		at = lmm_cl.clEnqueueMapBuffer(queue, buffer, blocking, flags, offset, bytes,
					       n_wait, wait, event, error);
	}
	if (c.q)
		command_end(&c, at ? CL_SUCCESS : CL_MAP_FAILURE, asked, KIND(MAP), bytes);
	if (blocking)
		waited(&c, at ? CL_SUCCESS : CL_MAP_FAILURE);
	return at;
}

LMM_CL_HOOK(void *, clEnqueueMapImage,
	    (cl_command_queue queue, cl_mem image, cl_bool blocking, cl_map_flags flags,
	     const size_t *origin, const size_t *region, size_t *row, size_t *slice, cl_uint n_wait,
	     const cl_event *wait, cl_event *event, cl_int *error),
	    (queue, image, blocking, flags, origin, region, row, slice, n_wait, wait, event, error))
{
	cl_event *asked = event;
	struct lmm_cl_command c;
	cl_int own_error;
	void *at;

	error = error ? error : &own_error;
	event = command_begin(&c, lmm_recording(), queue, n_wait, event);
	at = lmm_cl.clEnqueueMapImage(queue, image, blocking, flags, origin, region, row, slice,
				      n_wait, wait, event, error);
	if (!at && IS_OUT_OF_EVENTS(*error)) {
		at = lmm_cl.clEnqueueMapImage(queue, image, blocking, flags, origin, region, row,
					      slice, n_wait, wait, event, error);
	}
	if (c.q) {
		command_end(&c, at ? CL_SUCCESS : CL_MAP_FAILURE, asked, KIND(MAP),
			    image_bytes(image, region));
	}
	if (blocking)
		waited(&c, at ? CL_SUCCESS : CL_MAP_FAILURE);
	return at;
}

/* NOLINTEND(readability-function-size) */

/* ---- waiting ------------------------------------------------------------------------------------ */

LMM_CL_HOOK(cl_int, clFinish, (cl_command_queue queue), (queue))
{
	struct lmm_cl_queue *q = lmm_recording() ? lmm_cl_queue_find(queue) : NULL;
	uint32_t upto = q ? atomic_load_explicit(&q->head, memory_order_acquire) : 0;
	cl_int rc = lmm_cl.clFinish(queue);

	if (q && rc == CL_SUCCESS)
		lmm_cl_harvest(q, upto);
	return rc;
}

LMM_CL_HOOK(cl_int, clWaitForEvents, (cl_uint n, const cl_event *events), (n, events))
{
	cl_int rc = lmm_cl.clWaitForEvents(n, events);

	if (rc == CL_SUCCESS && lmm_recording()) {
		for (cl_uint i = 0; i < n; i++)
			lmm_cl_event_ended(events[i]);
	}
	return rc;
}
