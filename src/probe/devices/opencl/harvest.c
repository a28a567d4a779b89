/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the times of commands that have ended, when the application has just waited for them: then the driver answers at
 * once, and the device has nothing to do that we could hold up.
 */
#include <errno.h>

#include "probe/devices/opencl/opencl.h"

#define BATCH	    64
#define TIMER_TRIES 3
/* A harvest that asks the driver looks so far past a command that has not ended. */
#define LOOK_AHEAD 256u

struct times {
	struct lmm_device_times x;
	uint64_t t0, t1; /* of the call that handed it over */
};

/* ---- one command -------------------------------------------------------------------------------- */

static int stamp(cl_event event, cl_profiling_info what, uint64_t *t)
{
	cl_ulong v = 0;

	if (lmm_cl.clGetEventProfilingInfo(event, what, sizeof(v), &v, NULL) != CL_SUCCESS)
		return -1;
	*t = v;
	return 0;
}

static uint8_t times_read(cl_event event, struct lmm_device_times *x)
{
	if (stamp(event, CL_PROFILING_COMMAND_QUEUED, &x->queued) ||
	    stamp(event, CL_PROFILING_COMMAND_SUBMIT, &x->submitted) ||
	    stamp(event, CL_PROFILING_COMMAND_START, &x->started) ||
	    stamp(event, CL_PROFILING_COMMAND_END, &x->ended))
		return LMM_COMPLETION_UNAVAILABLE;
	if (!x->started || !x->ended || x->queued > x->submitted || x->submitted > x->started ||
	    x->started > x->ended)
		return LMM_COMPLETION_DISORDERED;
	return LMM_COMPLETION_OK;
}

/* 1: ended well; negative: with an error; 0: not yet. */
static int has_ended(cl_event event)
{
	cl_int status = CL_QUEUED;

	if (lmm_cl.clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status,
				  NULL) != CL_SUCCESS)
		return -1;
	return status < 0 ? -1 : status == CL_COMPLETE;
}

/* Takes the command at a position if it has ended. */
static int entry_take(struct lmm_cl_queue *q, uint32_t at, bool ask, struct times *x)
{
	struct lmm_cl_pending *p = &q->pending[at % LMM_CL_PENDING];
	int ended = 1;

	/* pairs with the release in pending_put() */
	if (atomic_load_explicit(&p->ready, memory_order_acquire) != at + 1 || !p->event)
		return 0;
	if (ask)
		ended = has_ended(p->event);
	if (ended == 0)
		return 0;
	*x = (struct times){ .x.id = at, .t0 = p->t0, .t1 = p->t1 };
	x->x.status = ended < 0 ? LMM_COMPLETION_FAILED : times_read(p->event, &x->x);
	/* what failed has no times either */
	if (x->x.status == LMM_COMPLETION_UNAVAILABLE && !ask && has_ended(p->event) < 0)
		x->x.status = LMM_COMPLETION_FAILED;
	lmm_cl.clReleaseEvent(p->event);
	p->event = NULL;
	return 1;
}

/* ---- telling ------------------------------------------------------------------------------------ */

static void clock_put(struct lmm_thread *th, struct lmm_cl_queue *q, uint64_t t0, uint64_t t1,
		      uint64_t device)
{
	lmm_device_clock_put(th, &q->clock, q->number, q->device_number, t0, t1, device);
}

/*
 * QUEUED was stamped by the driver inside the call, between its two stamps of ours: the shortest call says best what the
 * device's clock showed when.
 */
static void batch_clock(struct lmm_thread *th, struct lmm_cl_queue *q, const struct times *x,
			unsigned n)
{
	const struct times *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		if (x[i].x.status != LMM_COMPLETION_OK || x[i].x.queued == 0 || x[i].t1 == 0)
			continue;
		if (!best || x[i].t1 - x[i].t0 < best->t1 - best->t0)
			best = &x[i];
	}
	if (best)
		clock_put(th, q, best->t0, best->t1, best->x.queued);
}

/* The tightest of a few: the first call after a long computation finds the caches cold. */
static void timer_clock(struct lmm_thread *th, struct lmm_cl_queue *q)
{
	uint64_t t0 = lmm_now(), best_t0 = 0, best_t1 = UINT64_MAX, best = 0;

	if (lmm_device_clock_is_fresh(&q->clock, t0))
		return;
	for (int i = 0; i < TIMER_TRIES; i++) {
		cl_ulong device = 0, host = 0;
		uint64_t t1;

		if (lmm_cl.clGetDeviceAndHostTimer(q->device, &device, &host) != CL_SUCCESS ||
		    !device) {
			q->has_timer = false;
			return;
		}
		t1 = lmm_now();
		if (t1 - t0 < best_t1 - best_t0) {
			best_t0 = t0;
			best_t1 = t1;
			best = device;
		}
		t0 = t1;
	}
	clock_put(th, q, best_t0, best_t1, best);
}

static void batch_put(struct lmm_thread *th, struct lmm_cl_queue *q, const struct times *x,
		      unsigned n)
{
	batch_clock(th, q, x, n);
	for (unsigned i = 0; i < n; i++)
		lmm_device_completion_put(th, q->number, &x[i].x);
}

/* ---- a queue ------------------------------------------------------------------------------------ */

static void tail_move(struct lmm_cl_queue *q)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);

	while (tail != head) {
		const struct lmm_cl_pending *p = &q->pending[tail % LMM_CL_PENDING];

		if (atomic_load_explicit(&p->ready, memory_order_acquire) != tail + 1 || p->event)
			break;
		tail++;
	}
	/* pairs with the acquire in pending_put() */
	atomic_store_explicit(&q->tail, tail, memory_order_release);
}

static uint32_t harvest(struct lmm_thread *th, struct lmm_cl_queue *q, uint32_t upto, bool ask)
{
	uint32_t at = atomic_load_explicit(&q->tail, memory_order_relaxed), total = 0, missed = 0;
	struct times x[BATCH];
	unsigned n = 0;

	/* a command that is harvested already lies before the tail, or is done */
	for (; (int32_t)(upto - at) > 0 && missed < LOOK_AHEAD; at++) {
		if (!entry_take(q, at, ask, &x[n])) {
			missed += ask;
			if (ask && q->is_ordered)
				break;
			continue;
		}
		total++;
		if (++n == BATCH) {
			batch_put(th, q, x, n);
			n = 0;
		}
	}
	batch_put(th, q, x, n);
	tail_move(q);
	return total;
}

static void harvest_measured(struct lmm_cl_queue *q, uint32_t upto, bool ask)
{
	struct lmm_thread *th = lmm_thread_self();
	int saved = errno;
	uint64_t t0, t1;
	uint32_t n;

	if (!th || (int32_t)(upto - atomic_load_explicit(&q->tail, memory_order_relaxed)) <= 0)
		return;
	if (atomic_flag_test_and_set_explicit(&q->is_harvested, memory_order_acquire))
		return;
	t0 = lmm_now();
	if (q->has_timer)
		timer_clock(th, q);
	n = harvest(th, q, upto, ask);
	atomic_flag_clear_explicit(&q->is_harvested, memory_order_release);
	t1 = lmm_now();
	if (n)
		lmm_device_cost_harvest(&lmm_cl_api.cost, th, t0, t1, n);
	errno = saved;
}

void lmm_cl_harvest(struct lmm_cl_queue *q, uint32_t upto)
{
	harvest_measured(q, upto, !q->is_ordered);
}

void lmm_cl_harvest_ended(struct lmm_cl_queue *q)
{
	harvest_measured(q, atomic_load_explicit(&q->head, memory_order_acquire), true);
}

void lmm_cl_let_go(struct lmm_cl_queue *q)
{
	uint32_t at, head;

	if (atomic_flag_test_and_set_explicit(&q->is_harvested, memory_order_acquire))
		return;
	at = atomic_load_explicit(&q->tail, memory_order_relaxed);
	head = atomic_load_explicit(&q->head, memory_order_acquire);
	for (; at != head; at++) {
		struct lmm_cl_pending *p = &q->pending[at % LMM_CL_PENDING];

		if (atomic_load_explicit(&p->ready, memory_order_acquire) != at + 1 || !p->event)
			continue;
		lmm_cl.clReleaseEvent(p->event);
		p->event = NULL;
	}
	tail_move(q);
	atomic_flag_clear_explicit(&q->is_harvested, memory_order_release);
}

/* Position behind the event in its queue; 0 in *found: it is not there. */
static uint32_t event_find(const struct lmm_cl_queue *q, cl_event event, bool *found)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint32_t at = atomic_load_explicit(&q->head, memory_order_acquire);

	for (*found = false; at != tail; at--) {
		const struct lmm_cl_pending *p = &q->pending[(at - 1) % LMM_CL_PENDING];

		if (atomic_load_explicit(&p->ready, memory_order_acquire) == at &&
		    p->event == event) {
			*found = true;
			return at;
		}
	}
	return at;
}

bool lmm_cl_event_is_held(const struct lmm_cl_queue *q, cl_event event)
{
	bool found;

	event_find(q, event, &found);
	return found;
}

void lmm_cl_event_ended(cl_event event)
{
	cl_command_queue handle = NULL;
	struct lmm_cl_queue *q;
	uint32_t upto;
	bool found;

	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a handle is a pointer, and the pointer is asked for */
	if (lmm_cl.clGetEventInfo(event, CL_EVENT_COMMAND_QUEUE, sizeof(handle), &handle, NULL) !=
		    CL_SUCCESS ||
	    !handle)
		return; /* a user event has no queue */
	q = lmm_cl_queue_find(handle);
	if (!q)
		return;
	upto = event_find(q, event, &found);
	if (found && q->is_ordered) {
		lmm_cl_harvest(q, upto);
	} else {
		lmm_cl_harvest_ended(q);
	}
}
