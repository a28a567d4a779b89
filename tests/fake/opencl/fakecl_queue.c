/* SPDX-License-Identifier: Apache-2.0 */
/* Command queues, and the way of a command into one. */
#include "fakecl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakecl_api.h"

#define PROPERTIES (CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE)

cl_command_queue all_queues;
static unsigned int queues_made;
static uint64_t commands_tried;
static pthread_cond_t done_cond = PTHREAD_COND_INITIALIZER;

/* ---- waiting ---- */

void waiter_wait(struct waiter **list)
{
	/* a thread waits for one thing at a time */
	static _Thread_local struct waiter me;

	me.next = *list;
	me.done = false;
	*list = &me;
	while (!me.done)
		driver_wait(&done_cond);
}

void waiters_done(struct waiter **list)
{
	struct waiter *w = *list;

	if (!w)
		return;
	*list = NULL;
	while (w) {
		w->done = true;
		w = w->next;
	}
	pthread_cond_broadcast(&done_cond);
}

void queue_wake(cl_command_queue queue)
{
	pthread_cond_signal(&queue->wake);
}

void queues_wake(void)
{
	for (cl_command_queue q = all_queues; q; q = q->next) {
		if (q->idle || (q->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
			queue_wake(q);
	}
}

/* In a child: the threads of the queues are gone. */
void queues_forget(void)
{
	all_queues = NULL;
	queues_made = 0;
	commands_tried = 0;
	pthread_cond_init(&done_cond, NULL);
}

/* ---- making queues ---- */

static cl_int queue_start(cl_command_queue q)
{
	pthread_condattr_t clock;
	pthread_attr_t detached;
	pthread_t thread;
	int rc;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wake, &clock);
	pthread_condattr_destroy(&clock);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &detached, device_thread, q);
	pthread_attr_destroy(&detached);
	return rc ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static cl_int queue_allowed(cl_context context, cl_device_id device,
			    cl_command_queue_properties properties)
{
	if (!object_alive(context, KIND_CONTEXT))
		return CL_INVALID_CONTEXT;
	if (!device_in(context, device))
		return CL_INVALID_DEVICE;
	if (properties & ~(cl_command_queue_properties)(PROPERTIES | CL_QUEUE_ON_DEVICE |
							CL_QUEUE_ON_DEVICE_DEFAULT))
		return CL_INVALID_VALUE;
	if (properties & ~(cl_command_queue_properties)PROPERTIES)
		return CL_INVALID_QUEUE_PROPERTIES;
	if (script.no_profiling && (properties & CL_QUEUE_PROFILING_ENABLE))
		return CL_INVALID_QUEUE_PROPERTIES;
	return driver_lost() ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static cl_command_queue queue_create(cl_context context, cl_device_id device,
				     cl_command_queue_properties properties, cl_int *error)
{
	cl_int rc = queue_allowed(context, device, properties);
	cl_command_queue q;

	if (rc)
		return fail(error, rc);
	q = object_new(KIND_QUEUE);
	if (!q)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	q->context = context;
	q->device = device;
	q->properties = properties;
	q->number = queues_made++;
	object_use(context);
	rc = queue_start(q);
	if (rc)
		return fail(error, rc);
	q->next = all_queues;
	all_queues = q;
	fail(error, CL_SUCCESS);
	return q;
}

void queue_destroy(cl_command_queue queue)
{
	queue->stop = true;
	queue_wake(queue);
}

cl_command_queue fake_clCreateCommandQueue(cl_context context, cl_device_id device,
					   cl_command_queue_properties properties, cl_int *error)
{
	WITH_LOCK;
	return queue_create(context, device, properties, error);
}

cl_command_queue fake_clCreateCommandQueueWithProperties(cl_context context, cl_device_id device,
							 const cl_queue_properties *properties,
							 cl_int *error)
{
	cl_command_queue_properties bits = 0;
	size_t n = 0;
	cl_command_queue q;

	WITH_LOCK;
	for (; properties && properties[n]; n += 2) {
		if (properties[n] == CL_QUEUE_SIZE)
			return fail(error, CL_INVALID_QUEUE_PROPERTIES);
		if (properties[n] != CL_QUEUE_PROPERTIES || n)
			return fail(error, CL_INVALID_VALUE);
		bits = properties[n + 1];
	}
	q = queue_create(context, device, bits, error);
	if (q && properties) {
		q->n_array = n + 1;
		memcpy(q->array, properties, (n + 1) * sizeof(*properties));
	}
	return q;
}

cl_int fake_clSetCommandQueueProperty(cl_command_queue queue,
				      cl_command_queue_properties properties, cl_bool enable,
				      cl_command_queue_properties *old)
{
	WITH_LOCK;
	(void)properties;
	(void)enable;
	(void)old;
	return object_alive(queue, KIND_QUEUE) ? CL_INVALID_OPERATION : CL_INVALID_COMMAND_QUEUE;
}

cl_int fake_clRetainCommandQueue(cl_command_queue queue)
{
	return object_retain(queue, KIND_QUEUE, CL_INVALID_COMMAND_QUEUE);
}

cl_int fake_clReleaseCommandQueue(cl_command_queue queue)
{
	return object_release(queue, KIND_QUEUE, CL_INVALID_COMMAND_QUEUE);
}

cl_int fake_clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info what, size_t room,
				  void *to, size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(queue, KIND_QUEUE))
		return CL_INVALID_COMMAND_QUEUE;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	switch (what) {
	case CL_QUEUE_CONTEXT:
		return answer_pointer(a, queue->context);
	case CL_QUEUE_DEVICE:
		return answer_pointer(a, queue->device);
	case CL_QUEUE_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)queue->o.refs);
	case CL_QUEUE_PROPERTIES:
		return answer_ulong(a, queue->properties);
	case CL_QUEUE_PROPERTIES_ARRAY:
		return answer(a, queue->array, queue->n_array * sizeof(queue->array[0]));
	case CL_QUEUE_DEVICE_DEFAULT:
		return answer_pointer(a, NULL);
	case CL_QUEUE_SIZE:
		return CL_INVALID_COMMAND_QUEUE;
	default:
		return CL_INVALID_VALUE;
	}
}

/* ---- commands ---- */

void task_hold(const struct task *task)
{
	for (int i = 0; i < HELD_MAX; i++) {
		if (task->held[i])
			object_use(task->held[i]);
	}
}

void task_release(struct task *task)
{
	for (int i = 0; i < HELD_MAX; i++)
		object_put(task->held[i]);
}

cl_int call_check(const struct call *call)
{
	if (!object_alive(call->queue, KIND_QUEUE))
		return CL_INVALID_COMMAND_QUEUE;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	return event_list_check(call->queue->context, call->n, call->list);
}

static void command_submit(struct command *c, uint64_t now)
{
	c->submitted = true;
	c->submit_ns = now + (c->task.free ? 0 : script.submit_ns);
}

void queue_flush(cl_command_queue queue)
{
	uint64_t now = now_ns();
	bool any = false;

	/* what is held back is all at the end of the list */
	for (struct command *c = queue->tail; c && !c->submitted; c = c->prev) {
		command_submit(c, now);
		any = true;
	}
	if (any)
		queue_wake(queue);
}

static cl_int command_deps(struct command *c, const struct call *call)
{
	if (!call->n)
		return CL_SUCCESS;
	c->deps = malloc(call->n * sizeof(cl_event));
	if (!c->deps)
		return CL_OUT_OF_HOST_MEMORY;
	memcpy(c->deps, call->list, call->n * sizeof(cl_event));
	c->n_deps = call->n;
	for (cl_uint i = 0; i < call->n; i++) {
		object_use(c->deps[i]);
		c->deps[i]->dependents++;
	}
	return CL_SUCCESS;
}

void deps_release(struct command *c)
{
	for (cl_uint i = 0; i < c->n_deps; i++) {
		c->deps[i]->dependents--;
		object_put(c->deps[i]);
	}
	free(c->deps);
}

static void command_append(struct command *c)
{
	cl_command_queue q = c->queue;

	c->prev = q->tail;
	*(q->tail ? &q->tail->next : &q->head) = c;
	q->tail = c;
	object_use(q);
	c->thread = gettid();
	c->number = commands_taken++;
	c->after_ns = now_ns();
	if (!script.flush_to_submit)
		command_submit(c, c->after_ns);
	if (c->event) {
		c->event->command = c;
		c->event->queued_ns = c->after_ns;
		c->event->has_waited = c->n_deps > 0;
	}
	if (q->idle || (q->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
		queue_wake(q);
}

static void call_busy(const struct call *call)
{
	bool profiled = call->event && (call->queue->properties & CL_QUEUE_PROFILING_ENABLE);
	uint64_t ns = script.enqueue_ns + (profiled ? script.event_ns : 0);

	if (!ns)
		return;
	driver_unlock();
	busy_ns(ns);
	driver_lock();
}

static cl_int command_make(const struct call *call, const struct task *task, struct command **to)
{
	struct command *c = calloc(1, sizeof(*c));
	cl_int rc;

	if (!c)
		return CL_OUT_OF_HOST_MEMORY;
	c->task = *task;
	c->queue = call->queue;
	c->before_ns = call->before_ns;
	rc = command_deps(c, call);
	if (!rc && call->event) {
		c->event = event_new(call->queue->context, call->queue, task->type);
		rc = c->event ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
	}
	if (rc) {
		deps_release(c);
		free(c);
		return rc;
	}
	if (c->event)
		object_use(c->event);
	task_hold(&c->task);
	*to = c;
	return CL_SUCCESS;
}

static void lists_flush(const struct call *call)
{
	queue_flush(call->queue);
	for (cl_uint i = 0; i < call->n; i++) {
		if (call->list[i]->queue)
			queue_flush(call->list[i]->queue);
	}
}

/* Waits for the command, which is gone afterwards: that it failed is seen by what it waited for. */
static cl_int command_wait(const struct call *call, struct command *c)
{
	cl_int rc = CL_SUCCESS;

	lists_flush(call);
	waiter_wait(&c->waiters);
	for (cl_uint i = 0; i < call->n; i++) {
		if (object_alive(call->list[i], KIND_EVENT) && call->list[i]->status < 0)
			rc = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
	}
	return rc;
}

static cl_int call_refused(const struct call *call)
{
	if (script_nth(script.fail_enqueue_every, ++commands_tried))
		return CL_OUT_OF_RESOURCES;
	if (call->event && script.event_limit && objects_alive(KIND_EVENT) >= script.event_limit)
		return CL_OUT_OF_HOST_MEMORY;
	return CL_SUCCESS;
}

cl_int call_enqueue(const struct call *call, const struct task *task)
{
	struct command *c = NULL;
	cl_int rc = call_refused(call);

	if (!rc) {
		call_busy(call);
		rc = command_make(call, task, &c);
	}
	if (rc)
		return rc;
	command_append(c);
	if (task->buffer)
		task->buffer->pending++;
	if (call->event)
		*call->event = c->event;
	return call->blocking ? command_wait(call, c) : CL_SUCCESS;
}

cl_int fake_clFlush(cl_command_queue queue)
{
	count(COUNT_FLUSH);
	WITH_LOCK;
	if (!object_alive(queue, KIND_QUEUE))
		return CL_INVALID_COMMAND_QUEUE;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	queue_flush(queue);
	return CL_SUCCESS;
}

/* Until all that the queue has now are complete. */
static void queue_drain(cl_command_queue queue)
{
	uint64_t last = queue->tail ? queue->tail->number : 0;

	object_use(queue);
	queue_flush(queue);
	if (queue->tail && !(queue->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
		waiter_wait(&queue->tail->waiters);
	while (queue->head && queue->head->number <= last)
		waiter_wait(&queue->head->waiters);
	object_put(queue);
}

cl_int fake_clFinish(cl_command_queue queue)
{
	count(COUNT_FINISH);
	WITH_LOCK;
	if (!object_alive(queue, KIND_QUEUE))
		return CL_INVALID_COMMAND_QUEUE;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	queue_drain(queue);
	log_flush();
	return CL_SUCCESS;
}
