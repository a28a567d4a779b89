/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/devices/device.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

/* The clocks are compared anew after so many ticks, or when a tighter pair of instants turns up. */
#define CLOCK_AGAIN_TICKS (1u << 25)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_device_api *apis;
static _Atomic uint32_t told; /* the session that all of them have been told of */
static _Atomic uint32_t n_queues, n_devices;

void lmm_device_api_add(struct lmm_device_api *api)
{
	pthread_mutex_lock(&lock);
	if (!api->is_known) {
		api->is_known = true;
		api->next = apis;
		apis = api;
		atomic_store(&told, 0);
	}
	pthread_mutex_unlock(&lock);
}

void lmm_device_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (struct lmm_device_api *api = apis; api; api = api->next)
		atomic_store(&api->cost.steps.is_taken, 0);
	atomic_store(&told, 0);
	lmm_device_kernels_after_fork();
	lmm_device_marks_after_fork();
}

uint16_t lmm_device_queue_next(void)
{
	return (uint16_t)atomic_fetch_add(&n_queues, 1);
}

uint16_t lmm_device_number_next(void)
{
	return (uint16_t)atomic_fetch_add(&n_devices, 1);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static LMM_COLD void recording_begin(uint32_t session)
{
	struct lmm_device_api *first;
	int saved = errno;

	pthread_mutex_lock(&lock);
	first = apis;
	pthread_mutex_unlock(&lock);
	for (struct lmm_device_api *api = first; api; api = api->next)
		api->recording_begin();
	/* pairs with the acquire in lmm_device_step_begin(): no other thread's command goes before */
	atomic_store_explicit(&told, session, memory_order_release);
	errno = saved;
}

/* Decode steps are alike; behind one that another phase follows there may be a pause. */
static void step_end(struct lmm_thread *th, struct lmm_device_api *api, uint64_t t)
{
	if (th->device_step_phase == LMM_PHASE_DECODE && th->call_phase == LMM_PHASE_DECODE &&
	    th->device_step != LMM_STEP_NONE && th->device_step_api == api &&
	    !api->cost.is_calibrating)
		lmm_device_cost_step(&api->cost, th, t - th->budget.begun);
}

void lmm_device_recording_tell(void)
{
	/* pairs with the release in recording_begin() */
	if (atomic_load_explicit(&told, memory_order_acquire) != lmm_device_session())
		recording_begin(lmm_device_session());
}

/*
 * The first of its kind is timed, whatever that costs: how the time of those that are not is split between phases is told from
 * those that were.
 */
LMM_NOINLINE void lmm_device_step_begin(struct lmm_thread *th, struct lmm_device_api *api,
					uint64_t t)
{
	uint32_t number = th->step == LMM_STEP_NONE ? (uint32_t)t : th->step;
	uint16_t kind = (uint16_t)(1u << (th->call_phase & 15u));
	uint32_t budget_ppm;
	int is_timed;

	lmm_device_recording_tell();
	step_end(th, api, t);
	budget_ppm = lmm_budget_for_timing(&th->budget, lmm_session_command_ticks(),
					   lmm_session_device_budget_ppm());
	is_timed = lmm_budget_step(&th->budget, t, number, lmm_device_cost_ticks(&api->cost),
				   budget_ppm);
	th->device_step = th->step;
	th->device_step_phase = (uint8_t)th->call_phase;
	th->device_step_api = api;
	if (!api->cost.is_calibrating && !(th->timed_kinds & kind)) {
		is_timed = 1;
		th->timed_kinds |= kind;
	}
	th->is_device_timed = (uint8_t)is_timed;
}

/* ---- records ------------------------------------------------------------------------------------ */

LMM_NOINLINE void lmm_device_graph_say(struct lmm_thread *th, uint32_t graph, uint64_t t)
{
	th->graph_said = graph;
	th->graph_said_step = th->step;
	lmm_writer_put_wide(&th->w, t, lmm_word(LMM_EV_DEVICE_GRAPH, 0, LMM_SEQ_NONE, graph), 0,
			    th->step);
}

void lmm_device_pattern_put(struct lmm_thread *th, const struct lmm_device_command *x,
			    uint32_t pattern, uint32_t n)
{
	uint64_t lost;

	if (x->graph && (x->graph != th->graph_said || th->step != th->graph_said_step))
		lmm_device_graph_say(th, x->graph, x->t);
	lost = th->w.lost;
	lmm_writer_put_wide(&th->w, x->t,
			    lmm_word(LMM_EV_PATTERN, lmm_device_phase(th), x->queue, pattern), n,
			    th->step);
	if (lmm_unlikely(th->w.lost > lost))
		lmm_writer_lose(&th->w, n - 1);
}

static uint64_t saturated(uint64_t v)
{
	return v < UINT32_MAX ? v : UINT32_MAX;
}

void lmm_device_completion_put(struct lmm_thread *th, uint16_t queue,
			       const struct lmm_device_times *x)
{
	int ok = x->status == LMM_COMPLETION_OK;

	lmm_writer_put_wide(&th->w, ok ? x->started : 0,
			    lmm_word(LMM_EV_COMPLETION, x->status, queue, x->id),
			    ok ? x->ended - x->started : 0,
			    ok ? saturated(x->submitted - x->queued) |
					    saturated(x->started - x->submitted) << 32
			       : 0);
}

bool lmm_device_clock_is_fresh(const struct lmm_device_clock *clock, uint64_t now)
{
	return clock->session == lmm_device_session() && clock->t &&
	       now - clock->t < CLOCK_AGAIN_TICKS;
}

void lmm_device_clock_put(struct lmm_thread *th, struct lmm_device_clock *clock, uint16_t queue,
			  uint16_t device, uint64_t t0, uint64_t t1, uint64_t stamp)
{
	uint64_t now = lmm_now(), error = (t1 - t0 + 1) / 2, age = now - (t0 + (t1 - t0) / 2);

	if (error > UINT32_MAX || age > UINT32_MAX)
		return;
	/* an older pair is as good until the clocks may have drifted apart */
	if (lmm_device_clock_is_fresh(clock, now) && error >= clock->error)
		return;
	clock->session = lmm_device_session();
	clock->t = now;
	clock->error = (uint32_t)error;
	lmm_writer_put_wide(&th->w, now, lmm_word(LMM_EV_DEVICE_CLOCK, 0, queue, device), stamp,
			    error | age << 32);
}

LMM_COLD void lmm_device_first_use(struct lmm_thread *th, uint64_t t0, uint32_t kernel)
{
	lmm_writer_put_wide(
		&th->w, lmm_now(),
		lmm_word(LMM_EV_FIRST_USE, lmm_device_phase(th), LMM_SEQ_NONE, th->step), t0,
		kernel);
}

void lmm_device_queue_describe(const struct lmm_device_queue *q)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_varint(&b, q->number);
	lmm_buf_put_str(&b, q->device);
	lmm_buf_put_varint(&b, q->ticks_per_second);
	lmm_buf_put_varint(&b, q->device_number);
	lmm_buf_put_varint(&b, !q->is_ordered);
	lmm_session_describe(LMM_DESC_QUEUE, &b);
	lmm_buf_free(&b);
}

/* ---- what was not seen -------------------------------------------------------------------------- */

static int visit(struct dl_phdr_info *info, size_t size, void *name)
{
	const char *base = strrchr(info->dlpi_name, '/');

	(void)size;
	return base && strncmp(base + 1, name, strlen(name)) == 0;
}

bool lmm_device_library_is_loaded(const char *name)
{
	return dl_iterate_phdr(visit, (void *)(uintptr_t)name) != 0;
}
