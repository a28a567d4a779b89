/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios of kernels, queues and events. */
#include "clplay.h"

#include <lmmeter/mark.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUES 4

static void memory_tell(const char *when)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmRSS:", 6))
			fprintf(stderr, "%s %s", when, line);
	}
	if (f)
		fclose(f);
}

void scene_inorder(long n)
{
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < n; i++)
		play_launch(&p, p.queue, i, 0, NULL, NULL);
	DO(clFinish, p.queue);
	printf("sum %ld\n", play_sum(&p, p.queue, p.a));
	play_close(&p);
}

static void decode(long n, bool is_marked)
{
	static const struct lmm_mark_part part = { 1, 1, 1, 0 };
	struct play p;
	float token = 1, out[16];

	play_open(&p, 0);
	for (long t = 0; t < n; t++) {
		if (is_marked)
			lmm_mark_step_begin(LMM_MARK_DECODE, &part, 1);
		DO(clEnqueueWriteBuffer, p.queue, p.a, CL_FALSE, 0, sizeof(token), &token, 0, NULL,
		   NULL);
		for (long k = 0; k < 60; k++)
			play_launch(&p, p.queue, t + k, 0, NULL, NULL);
		DO(clEnqueueReadBuffer, p.queue, p.a, CL_TRUE, 0, sizeof(out), out, 0, NULL, NULL);
		token = (float)(((long)out[0] + (long)out[1] + 7 * t) % 1000);
		printf("%ld%c", (long)token, t + 1 < n ? ' ' : '\n');
		if (is_marked)
			lmm_mark_step_end();
	}
	DO(clFinish, p.queue);
	play_close(&p);
}

void scene_decode(long n)
{
	decode(n, false);
}

void scene_steps(long n)
{
	decode(n, true);
}

static void release(cl_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		if (events[i])
			DO(clReleaseEvent, events[i]);
		events[i] = NULL;
	}
}

void scene_outoforder(long n)
{
	cl_event events[5] = { 0 };
	struct play p;

	play_open(&p, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	for (long i = 0; i < n; i++) {
		play_launch(&p, p.queue, 0, 0, NULL, &events[0]);
		/* one works on a, the other on b: they may run at the same time */
		play_launch(&p, p.queue, 2, 1, events, &events[1]);
		DO(clEnqueueCopyBuffer, p.queue, p.b, p.b, 0, BYTES / 2, 1024, 1, events,
		   &events[2]);
		DO(clEnqueueMarkerWithWaitList, p.queue, 2, events + 1, &events[3]);
		play_launch(&p, p.queue, 1, 1, events + 3, &events[4]);
		DO(clEnqueueBarrierWithWaitList, p.queue, 0, NULL, NULL);
		release(events, 5);
	}
	DO(clFinish, p.queue);
	printf("sum %ld\n", play_sum(&p, p.queue, p.a));
	play_close(&p);
}

void scene_queues(long n)
{
	cl_command_queue queues[QUEUES];
	struct play p;

	play_open(&p, 0);
	for (int i = 0; i < QUEUES; i++)
		queues[i] = play_queue(&p, 0);
	for (long i = 0; i < n; i++) {
		cl_event event = NULL;

		/* each waits for the one before, on another queue: the result is the same each time */
		play_launch(&p, queues[i % QUEUES], i, 0, NULL, &event);
		DO(clFlush, queues[i % QUEUES]);
		if (event)
			DO(clEnqueueBarrierWithWaitList, queues[(i + 1) % QUEUES], 1, &event, NULL);
		release(&event, 1);
	}
	for (int i = 0; i < QUEUES; i++)
		DO(clFinish, queues[i]);
	printf("sum %ld\n", play_sum(&p, p.queue, p.a));
	for (int i = 0; i < QUEUES; i++)
		DO(clReleaseCommandQueue, queues[i]);
	play_close(&p);
}

struct worker {
	long n, sum;
};

static void *worker(void *arg)
{
	struct worker *w = arg;
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < w->n; i++)
		play_launch(&p, p.queue, i, 0, NULL, NULL);
	w->sum = play_sum(&p, p.queue, p.a);
	play_close(&p);
	return NULL;
}

void scene_threads(long n)
{
	struct worker workers[QUEUES] = { 0 };
	pthread_t threads[QUEUES];
	struct play first;

	/* not every driver bears it that threads start it together */
	play_open(&first, 0);
	play_close(&first);
	for (int i = 0; i < QUEUES; i++) {
		workers[i].n = n;
		if (pthread_create(&threads[i], NULL, worker, &workers[i]))
			abort();
	}
	for (int i = 0; i < QUEUES; i++) {
		pthread_join(threads[i], NULL);
		printf("thread %d sum %ld\n", i, workers[i].sum);
	}
}

/* Whether the stamps are there and in order. */
static bool stamps_ordered(cl_event event)
{
	cl_ulong t[4] = { 0 };

	for (cl_uint i = 0; i < 4; i++) {
		cl_int rc = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_QUEUED + i,
						    sizeof(t[i]), &t[i], NULL);

		if (rc) {
			tell("clGetEventProfilingInfo", rc);
			return false;
		}
	}
	return t[0] <= t[1] && t[1] <= t[2] && t[2] <= t[3];
}

void scene_events(long n)
{
	long single = 0, complete = 0, ordered = 0;
	cl_int status = 0;
	cl_uint refs = 0;
	struct play p;

	play_open(&p, CL_QUEUE_PROFILING_ENABLE);
	for (long i = 0; i < n; i++) {
		cl_event event = NULL;

		play_launch(&p, p.queue, i, 0, NULL, &event);
		if (!event)
			continue;
		DO(clGetEventInfo, event, CL_EVENT_REFERENCE_COUNT, sizeof(refs), &refs, NULL);
		single += refs == 1;
		DO(clWaitForEvents, 1, &event);
		DO(clGetEventInfo, event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status),
		   &status, NULL);
		complete += status == CL_COMPLETE;
		ordered += stamps_ordered(event);
		release(&event, 1);
		if (i == n / 10)
			memory_tell("tenth");
	}
	memory_tell("end");
	printf("events %ld, with one reference %ld, complete %ld, in order %ld\n", n, single,
	       complete, ordered);
	play_close(&p);
}

static void stamps_print(long i, cl_event event)
{
	cl_int rc = CL_SUCCESS;

	fprintf(stderr, "stamps %ld", i);
	for (cl_uint k = 0; k < 4 && !rc; k++) {
		cl_ulong t = 0;

		rc = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_QUEUED + k, sizeof(t), &t,
					     NULL);
		if (!rc)
			fprintf(stderr, " %lu", (unsigned long)t);
	}
	fprintf(stderr, "\n");
}

void scene_stamps(long n)
{
	cl_event *events = calloc((size_t)n + 1, sizeof(*events));
	cl_ulong device = 0, host = 0;
	struct play p;

	if (!events)
		abort();
	play_open(&p, CL_QUEUE_PROFILING_ENABLE);
	for (long i = 0; i < n; i++)
		play_launch(&p, p.queue, i, 0, NULL, &events[i]);
	DO(clFinish, p.queue);
	for (long i = 0; i < n; i++) {
		if (events[i])
			stamps_print(i, events[i]);
		release(&events[i], 1);
	}
	printf("timer: %d\n", clGetDeviceAndHostTimer(p.device, &device, &host));
	fprintf(stderr, "timer %lu %lu\n", (unsigned long)device, (unsigned long)host);
	play_close(&p);
	free(events);
}

static _Atomic long called, called_bad;

static void CL_CALLBACK on_complete(cl_event event, cl_int status, void *data)
{
	(void)event;
	if (status != CL_COMPLETE || data != &called)
		called_bad++;
	called++;
}

static void callbacks_wait(long n)
{
	for (int i = 0; i < 5000 && called < n; i++)
		usleep(1000);
}

void scene_callbacks(long n)
{
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < n; i++) {
		cl_event event = NULL;

		play_launch(&p, p.queue, i, 0, NULL, &event);
		/* some are asked for when all is over */
		if (i % 5 == 4)
			DO(clFinish, p.queue);
		if (event)
			DO(clSetEventCallback, event, CL_COMPLETE, on_complete, &called);
		release(&event, 1);
	}
	DO(clFinish, p.queue);
	callbacks_wait(n);
	printf("called %ld, wrongly %ld\n", called, called_bad);
	play_close(&p);
}

void scene_early(long n)
{
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < n; i++) {
		cl_event event = NULL;

		play_launch(&p, p.queue, i, 0, NULL, i % 2 ? &event : NULL);
		release(&event, 1);
	}
	play_close(&p);
	printf("released\n");
}

void scene_noexit(long n)
{
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < n; i++)
		play_launch(&p, p.queue, i, 0, NULL, NULL);
	DO(clFlush, p.queue);
	printf("leaving\n");
	fflush(stdout);
	_exit(0);
}

void scene_userevents(long n)
{
	struct play p;
	cl_event gate[1], last = NULL;
	cl_int rc, status = -1;

	play_open(&p, 0);
	gate[0] = clCreateUserEvent(p.context, &rc);
	tell("clCreateUserEvent", rc);
	for (long i = 0; i < n; i++)
		play_launch(&p, p.queue, i, 1, gate, i == n - 1 ? &last : NULL);
	DO(clFlush, p.queue);
	usleep(5000);
	if (last)
		DO(clGetEventInfo, last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status,
		   NULL);
	printf("before: %s\n", status > CL_COMPLETE ? "waits" : "ran");
	DO(clSetUserEventStatus, gate[0], CL_COMPLETE);
	DO(clFinish, p.queue);
	printf("sum %ld\n", play_sum(&p, p.queue, p.a));
	release(&last, 1);
	release(gate, 1);
	play_close(&p);
}

void scene_million(long n)
{
	float out[4];
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < n; i++) {
		play_launch(&p, p.queue, i, 0, NULL, NULL);
		if (i % 1000 == 999)
			DO(clEnqueueReadBuffer, p.queue, p.a, CL_TRUE, 0, sizeof(out), out, 0, NULL,
			   NULL);
		if (i == n / 10)
			memory_tell("tenth");
	}
	DO(clFinish, p.queue);
	memory_tell("end");
	printf("kernels %ld\n", n);
	play_close(&p);
}
