/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device: one thread per queue, which gives each command its times and completes it once the clock has passed its end.
 * Times are computed from each other, not from when the thread woke up: being late does not add up.
 */
#include "fakecl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define SPIN_NS 30000

static bool in_order(cl_command_queue q)
{
	return !(q->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
}

/* When the last of what it waits for ended, in *end; false if not all of them have. Failures end up in its status. */
static bool deps_done(struct command *c, uint64_t *end)
{
	for (cl_uint i = 0; i < c->n_deps; i++) {
		const struct _cl_event *e = c->deps[i];

		if (e->status > CL_COMPLETE)
			return false;
		if (e->status < 0)
			c->status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
		if (e->end_ns > *end)
			*end = e->end_ns;
	}
	return true;
}

static bool profiled(const struct command *c)
{
	return c->event && (c->queue->properties & CL_QUEUE_PROFILING_ENABLE);
}

/* `floor` is the end of what comes before it by the queue's own order. */
static bool command_schedule(struct command *c, uint64_t floor)
{
	uint64_t start = c->submit_ns > floor ? c->submit_ns : floor;

	if (!c->submitted || !deps_done(c, &start))
		return false;
	if (!c->task.free)
		start += script.start_ns + (profiled(c) ? script.event_device_ns : 0);
	c->start_ns = start;
	c->end_ns = start + (c->status < 0 ? 0 : c->task.ns);
	c->scheduled = true;
	return true;
}

static struct command *pick_in_order(cl_command_queue q)
{
	struct command *c = q->head;

	return c && (c->scheduled || command_schedule(c, q->last_end)) ? c : NULL;
}

/* Schedules all that can be; the one that ends first, or NULL. */
static struct command *pick_out_of_order(cl_command_queue q)
{
	struct command *best = NULL;

	for (struct command *c = q->head; c; c = c->next) {
		uint64_t floor = c->task.waits_all ? q->last_end : q->barrier_end;

		if (!c->scheduled && !(c->task.waits_all && c->prev))
			command_schedule(c, floor);
		if (c->scheduled && (!best || c->end_ns < best->end_ns))
			best = c;
		if (c->task.barrier)
			break;
	}
	return best;
}

static struct command *pick(cl_command_queue q)
{
	return in_order(q) ? pick_in_order(q) : pick_out_of_order(q);
}

/* False if something else may end first meanwhile. */
static bool sleep_until(cl_command_queue q, uint64_t until)
{
	uint64_t now = now_ns(), spin = script.spin ? SPIN_NS : 0;

	if (now >= until)
		return true;
	if (now + spin < until) {
		driver_wait_until(&q->wake, until - spin);
		return false;
	}
	driver_unlock();
	while (now_ns() < until)
		;
	driver_lock();
	return true;
}

static void unlink_command(struct command *c)
{
	cl_command_queue q = c->queue;

	*(c->prev ? &c->prev->next : &q->head) = c->next;
	*(c->next ? &c->next->prev : &q->tail) = c->prev;
}

static void work(const struct task *task)
{
	if (task->has_box)
		box_run(&task->box);
	for (cl_uint i = 0; task->buffer && i < task->buffer->n; i++)
		work(&task->buffer->steps[i]);
}

static struct late_callback *event_finish(struct command *c)
{
	cl_event e = c->event;

	if (!e)
		return NULL;
	e->submit_ns = c->submit_ns;
	e->start_ns = c->start_ns;
	e->end_ns = c->end_ns;
	e->command = NULL;
	return event_complete(e, c->status);
}

static void command_free(struct command *c)
{
	deps_release(c);
	if (c->task.buffer)
		c->task.buffer->pending--;
	task_release(&c->task);
	object_put(c->event);
	object_put(c->queue);
	free(c);
}

static void command_finish(struct command *c)
{
	cl_command_queue q = c->queue;
	struct late_callback *callbacks;

	if (c->status >= 0 && (c->task.has_box || c->task.buffer)) {
		driver_unlock();
		work(&c->task);
		driver_lock();
	}
	unlink_command(c);
	if (c->end_ns > q->last_end)
		q->last_end = c->end_ns;
	if (c->task.barrier && c->end_ns > q->barrier_end)
		q->barrier_end = c->end_ns;
	log_command(c);
	callbacks = event_finish(c);
	waiters_done(&c->waiters);
	command_free(c);
	/* whoever waits for the lock gets a chance between two commands, callbacks or not */
	driver_unlock();
	callbacks_run(callbacks);
	driver_lock();
}

static void late_callbacks(cl_command_queue q)
{
	struct late_callback *list = q->callbacks;

	q->callbacks = NULL;
	driver_unlock();
	callbacks_run(list);
	driver_lock();
}

void *device_thread(void *queue)
{
	cl_command_queue q = queue;

	prctl(PR_SET_TIMERSLACK, 1UL);
	driver_lock();
	while (!q->stop || q->callbacks) {
		struct command *c = pick(q);

		if (q->callbacks) {
			late_callbacks(q);
		} else if (!c) {
			q->idle = true;
			driver_wait(&q->wake);
			q->idle = false;
		} else if (sleep_until(q, c->end_ns)) {
			command_finish(c);
		}
	}
	for (cl_command_queue *at = &all_queues; *at; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			break;
		}
	}
	object_put(q->context);
	object_free(q);
	driver_unlock();
	return NULL;
}

/* ---- boxes ---- */

void box_line(struct box *box, char *dst, const char *src, size_t size)
{
	box->dst = dst;
	box->src = src;
	box->region[0] = size;
	box->region[1] = box->region[2] = 1;
}

static void row_fill(char *to, size_t size, const char *pattern, size_t pattern_size)
{
	for (size_t i = 0; i < size; i += pattern_size)
		memcpy(to + i, pattern, pattern_size);
}

void box_run(const struct box *box)
{
	for (size_t z = 0; z < box->region[2]; z++) {
		for (size_t y = 0; y < box->region[1]; y++) {
			char *to = box->dst + z * box->dst_pitch[1] + y * box->dst_pitch[0];

			if (box->src)
				memmove(to,
					box->src + z * box->src_pitch[1] + y * box->src_pitch[0],
					box->region[0]);
			else
				row_fill(to, box->region[0], box->pattern, box->pattern_size);
		}
	}
}
