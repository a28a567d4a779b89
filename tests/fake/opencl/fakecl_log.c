/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The truth, one line each, all times CLOCK_MONOTONIC in ns before offset, drift, ticks and jitter:
 *
 *	cmd <n> <queue> <kind> <name> <before> <after> <submit> <start> <end> <has event> <thread>
 *	sub <n> <index> <kind> <name> <start> <end>	a step of the command buffer that ran as cmd n, before its cmd
 *	failed <n> <queue> <kind> <name> <status>	terminated, since an event that it waited for failed
 *	unfinished <n> <queue> <kind> <name>		in flight when the process ended
 *	count <name> <number>				when the process ended
 *
 * <n> counts commands in the order they were taken, <queue> queues in the order they were made, both from 0. <before> is when
 * the call came in, <after> when the command was taken, right before the call returns unless it blocks; QUEUED is <after>.
 * Lines come in the order of completion. A forked child writes to FILE.<pid>.
 */
#include "fakecl.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <unistd.h>

static const char *const counter_names[COUNTERS] = {
	[COUNT_FINISH] = "clFinish",
	[COUNT_FLUSH] = "clFlush",
	[COUNT_WAIT] = "clWaitForEvents",
	[COUNT_BARRIER] = "clEnqueueBarrierWithWaitList",
	[COUNT_MARKER] = "clEnqueueMarkerWithWaitList",
	[COUNT_EVENT_INFO] = "clGetEventInfo",
	[COUNT_PROFILING] = "clGetEventProfilingInfo",
	[COUNT_CALLBACK] = "clSetEventCallback",
	[COUNT_RETAIN] = "clRetainEvent",
	[COUNT_RELEASE] = "clReleaseEvent",
	[COUNT_TIMER] = "clGetDeviceAndHostTimer",
};

static _Atomic uint64_t counters[COUNTERS];
static FILE *file;

void count(enum counter counter)
{
	atomic_fetch_add_explicit(&counters[counter], 1, memory_order_relaxed);
}

int log_open(void)
{
	if (!*script.log)
		return 0;
	file = fopen(script.log, "ae");
	if (file)
		return 0;
	fprintf(stderr, "fakecl: FAKECL: cannot write the log %s\n", script.log);
	return -1;
}

static void log_steps(const struct command *c)
{
	uint64_t at = c->start_ns;

	for (cl_uint i = 0; i < c->task.buffer->n; i++) {
		const struct task *step = &c->task.buffer->steps[i];

		at += i ? script.start_ns : 0;
		fprintf(file, "sub %" PRIu64 " %u %s %s %" PRIu64 " %" PRIu64 "\n", c->number, i,
			step->kind, step->name, at, at + step->ns);
		at += step->ns;
	}
}

void log_command(const struct command *c)
{
	if (!file)
		return;
	if (c->status < 0) {
		fprintf(file, "failed %" PRIu64 " %u %s %s %d\n", c->number, c->queue->number,
			c->task.kind, c->task.name, c->status);
		return;
	}
	if (c->task.buffer)
		log_steps(c);
	fprintf(file,
		"cmd %" PRIu64 " %u %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %d %ld\n",
		c->number, c->queue->number, c->task.kind, c->task.name, c->before_ns, c->after_ns,
		c->submit_ns, c->start_ns, c->end_ns, c->event != NULL, (long)c->thread);
}

void log_flush(void)
{
	if (file)
		fflush(file);
}

void log_forked(void)
{
	size_t length = 0;

	for (int i = 0; i < COUNTERS; i++)
		counters[i] = 0;
	if (!file)
		return;
	/* it was flushed right before the fork, and closing it is no concern of the parent's */
	fclose(file);
	while (script.log[length])
		length++;
	snprintf(script.log + length, sizeof(script.log) - length, ".%ld", (long)getpid());
	log_open();
}

static void count_write(const char *name, uint64_t n)
{
	fprintf(file, "count %s %" PRIu64 "\n", name, n);
}

static void unfinished_write(void)
{
	for (cl_command_queue q = all_queues; q; q = q->next) {
		for (const struct command *c = q->head; c; c = c->next)
			fprintf(file, "unfinished %" PRIu64 " %u %s %s\n", c->number, q->number,
				c->task.kind, c->task.name);
	}
}

__attribute__((destructor)) static void log_end(void)
{
	WITH_LOCK;
	if (!file)
		return;
	unfinished_write();
	for (int i = 0; i < COUNTERS; i++)
		count_write(counter_names[i], counters[i]);
	count_write("events_alive", objects_alive(KIND_EVENT));
	count_write("events_peak", objects_peak(KIND_EVENT));
	count_write("queues_alive", objects_alive(KIND_QUEUE));
	count_write("kernels_alive", objects_alive(KIND_KERNEL));
	count_write("contexts_alive", objects_alive(KIND_CONTEXT));
	count_write("programs_alive", objects_alive(KIND_PROGRAM));
	count_write("mems_alive", objects_alive(KIND_MEM));
	count_write("double_release", objects_double_release());
	fclose(file);
	file = NULL;
}
