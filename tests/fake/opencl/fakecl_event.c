/* SPDX-License-Identifier: Apache-2.0 */
/* Events: status, callbacks, and the stamps as the script wants them seen. */
#include "fakecl.h"

#include <stdlib.h>

#include "fakecl_api.h"

static uint64_t events_profiled;

cl_event event_new(cl_context context, cl_command_queue queue, cl_command_type type)
{
	cl_event e = object_new(KIND_EVENT);

	if (!e)
		return NULL;
	e->context = context;
	e->queue = queue;
	e->type = type;
	e->status = queue ? CL_QUEUED : CL_SUBMITTED;
	object_use(context);
	if (queue)
		object_use(queue);
	if (queue && (queue->properties & CL_QUEUE_PROFILING_ENABLE))
		e->number = ++events_profiled;
	return e;
}

void event_destroy(cl_event event)
{
	while (event->callbacks) {
		struct late_callback *next = event->callbacks->next;

		free(event->callbacks);
		event->callbacks = next;
	}
	object_put(event->queue);
	object_put(event->context);
}

cl_int event_list_check(cl_context context, cl_uint n, const cl_event *list)
{
	if (!n != !list)
		return CL_INVALID_EVENT_WAIT_LIST;
	for (cl_uint i = 0; i < n; i++) {
		if (!object_alive(list[i], KIND_EVENT))
			return CL_INVALID_EVENT_WAIT_LIST;
	}
	for (cl_uint i = 0; i < n; i++) {
		if (list[i]->context != context)
			return CL_INVALID_CONTEXT;
	}
	return CL_SUCCESS;
}

static cl_int event_status(cl_event e)
{
	const struct command *c = e->command;
	uint64_t now;

	if (!c)
		return e->status;
	now = now_ns();
	if (c->scheduled && now >= c->start_ns)
		return CL_RUNNING;
	return c->submitted && now >= c->submit_ns ? CL_SUBMITTED : CL_QUEUED;
}

/* ---- completion ---- */

struct late_callback *event_complete(cl_event event, cl_int status)
{
	struct late_callback *callbacks = event->callbacks;

	event->status = status;
	event->callbacks = NULL;
	/* each of them keeps the event until it was run */
	for (struct late_callback *c = callbacks; c; c = c->next)
		object_use(event);
	waiters_done(&event->waiters);
	if (event->dependents)
		queues_wake();
	return callbacks;
}

void callbacks_run(struct late_callback *list)
{
	while (list) {
		struct late_callback *next = list->next;
		cl_int status = list->event->status;

		list->call(list->event, status < 0 ? status : list->type, list->data);
		driver_lock();
		object_put(list->event);
		driver_unlock();
		free(list);
		list = next;
	}
}

static void callback_append(struct late_callback **at, struct late_callback *c)
{
	while (*at)
		at = &(*at)->next;
	*at = c;
}

cl_int fake_clSetEventCallback(cl_event event, cl_int type,
			       void(CL_CALLBACK *call)(cl_event, cl_int, void *), void *data)
{
	struct late_callback *c;

	count(COUNT_CALLBACK);
	WITH_LOCK;
	if (!object_alive(event, KIND_EVENT))
		return CL_INVALID_EVENT;
	if (!call || type < CL_COMPLETE || type > CL_SUBMITTED)
		return CL_INVALID_VALUE;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	c = calloc(1, sizeof(*c));
	if (!c)
		return CL_OUT_OF_HOST_MEMORY;
	c->event = event;
	c->type = type;
	c->call = call;
	c->data = data;
	if (event->status > CL_COMPLETE) {
		callback_append(&event->callbacks, c);
		return CL_SUCCESS;
	}
	object_use(event);
	if (event->queue) {
		callback_append(&event->queue->callbacks, c);
		queue_wake(event->queue);
		return CL_SUCCESS;
	}
	driver_unlock();
	callbacks_run(c);
	driver_lock();
	return CL_SUCCESS;
}

/* ---- the application's side ---- */

cl_event fake_clCreateUserEvent(cl_context context, cl_int *error)
{
	cl_event e;

	WITH_LOCK;
	if (!object_alive(context, KIND_CONTEXT))
		return fail(error, CL_INVALID_CONTEXT);
	if (driver_lost())
		return fail(error, CL_OUT_OF_RESOURCES);
	if (script.event_limit && objects_alive(KIND_EVENT) >= script.event_limit)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	e = event_new(context, NULL, CL_COMMAND_USER);
	fail(error, e ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY);
	return e;
}

static cl_int user_status_set(cl_event event, cl_int status, struct late_callback **callbacks)
{
	WITH_LOCK;
	if (!object_alive(event, KIND_EVENT) || event->queue)
		return CL_INVALID_EVENT;
	if (status > CL_COMPLETE)
		return CL_INVALID_VALUE;
	if (event->status <= CL_COMPLETE)
		return CL_INVALID_OPERATION;
	event->end_ns = now_ns();
	*callbacks = event_complete(event, status);
	return CL_SUCCESS;
}

cl_int fake_clSetUserEventStatus(cl_event event, cl_int status)
{
	struct late_callback *callbacks = NULL;
	cl_int rc = user_status_set(event, status, &callbacks);

	callbacks_run(callbacks);
	return rc;
}

cl_int fake_clRetainEvent(cl_event event)
{
	count(COUNT_RETAIN);
	return object_retain(event, KIND_EVENT, CL_INVALID_EVENT);
}

cl_int fake_clReleaseEvent(cl_event event)
{
	count(COUNT_RELEASE);
	return object_release(event, KIND_EVENT, CL_INVALID_EVENT);
}

static cl_int wait_check(cl_uint n, const cl_event *list)
{
	if (!n || !list)
		return CL_INVALID_VALUE;
	for (cl_uint i = 0; i < n; i++) {
		if (!object_alive(list[i], KIND_EVENT))
			return CL_INVALID_EVENT;
	}
	for (cl_uint i = 1; i < n; i++) {
		if (list[i]->context != list[0]->context)
			return CL_INVALID_CONTEXT;
	}
	return driver_lost() ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static cl_int event_wait(cl_event e)
{
	cl_int status;

	object_use(e);
	if (e->status > CL_COMPLETE)
		waiter_wait(&e->waiters);
	status = e->status;
	object_put(e);
	return status;
}

cl_int fake_clWaitForEvents(cl_uint n, const cl_event *list)
{
	cl_int rc;

	count(COUNT_WAIT);
	WITH_LOCK;
	rc = wait_check(n, list);
	if (rc)
		return rc;
	for (cl_uint i = 0; i < n; i++) {
		if (list[i]->queue)
			queue_flush(list[i]->queue);
	}
	for (cl_uint i = 0; i < n; i++) {
		if (event_wait(list[i]) < 0)
			rc = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
	}
	return rc;
}

cl_int fake_clGetEventInfo(cl_event event, cl_event_info what, size_t room, void *to, size_t *size)
{
	struct answer a = { room, to, size };
	cl_int status;

	count(COUNT_EVENT_INFO);
	WITH_LOCK;
	if (!object_alive(event, KIND_EVENT))
		return CL_INVALID_EVENT;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	switch (what) {
	case CL_EVENT_COMMAND_QUEUE:
		return answer_pointer(a, event->queue);
	case CL_EVENT_CONTEXT:
		return answer_pointer(a, event->context);
	case CL_EVENT_COMMAND_TYPE:
		return answer_uint(a, event->type);
	case CL_EVENT_COMMAND_EXECUTION_STATUS:
		status = event_status(event);
		return answer(a, &status, sizeof(status));
	case CL_EVENT_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)event->o.refs);
	default:
		return CL_INVALID_VALUE;
	}
}

/* ---- stamps ---- */

/* The same for the same event each time, so that a second query says the same. */
static uint64_t jitter(uint64_t number, uint64_t salt)
{
	uint64_t x = (number * 2 + salt + (script.jitter_seed << 32)) * 0x9e3779b97f4a7c15u;

	if (!script.jitter_ns)
		return 0;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (x ^ (x >> 31)) % (script.jitter_ns + 1);
}

static uint64_t start_or_end(const struct _cl_event *e, bool end)
{
	uint64_t start = e->start_ns + jitter(e->number, 0);
	uint64_t stop = e->end_ns + jitter(e->number, 1);

	return !end ? start : stop > start ? stop : start;
}

static uint64_t stamp(const struct _cl_event *e, cl_profiling_info what)
{
	bool reversed = script_nth(script.reversed_stamps_every, e->number);
	uint64_t t;

	if (script_nth(script.zero_stamps_every, e->number))
		return 0;
	switch (what) {
	case CL_PROFILING_COMMAND_QUEUED:
		if (script.queued_zero)
			return 0;
		t = script.queued_late && e->has_waited ? start_or_end(e, false) - 7000
							: e->queued_ns;
		break;
	case CL_PROFILING_COMMAND_SUBMIT:
		t = script.queued_late && e->has_waited ? start_or_end(e, false) - 4000
							: e->submit_ns;
		break;
	case CL_PROFILING_COMMAND_START:
		t = start_or_end(e, reversed);
		break;
	default:
		t = start_or_end(e, !reversed);
		break;
	}
	t = device_clock(t);
	return script.tick_ns ? t - t % script.tick_ns : t;
}

static bool stamps_there(const struct _cl_event *e)
{
	return e->queue && (e->queue->properties & CL_QUEUE_PROFILING_ENABLE) &&
	       e->status == CL_COMPLETE &&
	       !script_nth(script.profiling_unavailable_every, e->number);
}

cl_int fake_clGetEventProfilingInfo(cl_event event, cl_profiling_info what, size_t room, void *to,
				    size_t *size)
{
	struct answer a = { room, to, size };

	count(COUNT_PROFILING);
	busy_ns(script.query_ns);
	WITH_LOCK;
	if (!object_alive(event, KIND_EVENT))
		return CL_INVALID_EVENT;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	if (what < CL_PROFILING_COMMAND_QUEUED || what > CL_PROFILING_COMMAND_COMPLETE)
		return CL_INVALID_VALUE;
	if (!stamps_there(event))
		return CL_PROFILING_INFO_NOT_AVAILABLE;
	return answer_ulong(a, stamp(event, what));
}
