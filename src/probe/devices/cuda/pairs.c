/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device time of a step without a profiler: events on its stream where it begins, where its phase changes, and where the program is
 * about to wait. All of them have passed when it has waited. An event tells no time of day, only how long after another it was: the
 * chain lies between the first call and the end of the wait, and is placed in the middle of what that leaves.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "probe/devices/cuda/cuda.h"
#include "probe/devices/cuda/window.h"

#define LEAST_COST                                                                                 \
	100e-6	/* seconds: at 1 % 25 steps per second; more of them would tell nothing more */
#define JUMP 4u /* the cost of one counts at most as so many times the mean */

struct lmm_cu_marks {
	uint32_t n; /* of the chain that is not read yet */
	cuda_stream stream;
	void *context;		   /* of that stream */
	uint64_t cost_ticks;	   /* spent on it by this thread */
	bool is_refused;	   /* the driver makes no events here */
	bool has_made;		   /* events, in this chain: a cost that does not come again */
	struct lmm_cu_marks *next; /* of those whose threads have ended */
	struct lmm_cu_mark at[LMM_CU_MARKS];
};

static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_cu_marks *left;

static struct {
	_Atomic uint64_t host_ticks; /* of a chain, smoothed */
	struct lmm_step_cost steps;
} cost;

/* ---- what it costs ------------------------------------------------------------------------------ */

void lmm_cu_pairs_renew(void)
{
	atomic_store(&cost.host_ticks, 0);
	lmm_step_cost_renew(&cost.steps);
}

void lmm_cu_pair_cost_take(uint64_t step_ticks, bool is_timed, bool is_in_window)
{
	if (is_in_window) {
		lmm_cu_window_step_took(step_ticks);
	} else {
		lmm_step_cost_take(&cost.steps, &lmm_cu_self.step_before, step_ticks, 0, is_timed);
	}
}

uint64_t lmm_cu_pair_step_ticks(void)
{
	return atomic_load_explicit(&cost.steps.usual_ticks, memory_order_relaxed);
}

static double least_cost(void)
{
	return LEAST_COST * 1e9 * lmm_cu_ticks_per_ns();
}

double lmm_cu_pair_cost(void)
{
	double host = (double)atomic_load_explicit(&cost.host_ticks, memory_order_relaxed);
	double more = (double)atomic_load_explicit(&cost.steps.more_ticks, memory_order_relaxed);
	double most = host > more ? host : more, least = least_cost();

	return most > least ? most : least;
}

static void host_cost_take(uint64_t ticks)
{
	uint64_t old = atomic_load_explicit(&cost.host_ticks, memory_order_relaxed);

	if (!old)
		old = (uint64_t)least_cost();
	ticks = ticks < JUMP * old ? ticks : JUMP * old;
	atomic_store_explicit(&cost.host_ticks, old + ticks / 8 - old / 8 + 1,
			      memory_order_relaxed);
}

/* ---- recording events --------------------------------------------------------------------------- */

static LMM_COLD struct lmm_cu_marks *marks_make(void)
{
	struct lmm_cu_marks *m;

	pthread_mutex_lock(&left_lock);
	m = left;
	if (m)
		left = m->next;
	pthread_mutex_unlock(&left_lock);
	return m ? m : calloc(1, sizeof(*m));
}

static struct lmm_cu_marks *marks_of_thread(void)
{
	if (!lmm_cu_self.marks)
		lmm_cu_self.marks = marks_make();
	return lmm_cu_self.marks;
}

void lmm_cu_pairs_give_back(void)
{
	struct lmm_cu_marks *m = lmm_cu_self.marks;

	if (!m)
		return;
	lmm_cu_self.marks = NULL;
	m->n = 0;
	m->cost_ticks = 0;
	m->is_refused = m->has_made = false;
	pthread_mutex_lock(&left_lock);
	m->next = left;
	left = m;
	pthread_mutex_unlock(&left_lock);
}

/* The default streams of all contexts have the same handles. */
static bool is_of_chain(const struct lmm_cu_marks *m, cuda_stream stream)
{
	return m->stream == stream && ((uintptr_t)stream > (uintptr_t)CUDA_STREAM_PER_THREAD ||
				       m->context == lmm_cu_context());
}

static bool is_possible(struct lmm_cu_marks *m, cuda_stream stream)
{
	int is_captured = 0;

	if (!m || m->is_refused || lmm_cu_is_capturing() || !lmm_cu.cuEventRecord ||
	    !lmm_cu.cuEventElapsedTime || !lmm_cu.cuEventQuery || !lmm_cu.cuEventCreate)
		return false;
	if (m->n)
		return is_of_chain(m, stream);
	/* at the first one: by another thread, unseen */
	return lmm_cu.cuStreamIsCapturing &&
	       lmm_cu.cuStreamIsCapturing(stream, &is_captured) == 0 && !is_captured;
}

static void refuse(struct lmm_cu_marks *m)
{
	m->is_refused = true;
	m->n = 0;
	lmm_session_reason(LMM_LEVEL_PHASES, "the CUDA driver refuses to record an event: "
					     "steps are not timed on the device");
}

/* Another thread's capture would fail for a call of ours that its mode forbids, so ours are told to be harmless. */
#define CAPTURE_MODE_RELAXED 2

static int capture_mode_set(int mode)
{
	if (lmm_cu.cuThreadExchangeStreamCaptureMode)
		(void)lmm_cu.cuThreadExchangeStreamCaptureMode(&mode);
	return mode;
}

static cuda_result event_record_here(struct lmm_cu_marks *m, cuda_event *event, cuda_stream stream)
{
	cuda_result rc = CUDA_ERROR_INVALID_HANDLE;

	if (*event)
		rc = lmm_cu.cuEventRecord(*event, stream);
	if (rc != CUDA_ERROR_INVALID_HANDLE)
		return rc;
	if (*event && lmm_cu.cuEventDestroy_v2)
		(void)lmm_cu.cuEventDestroy_v2(*event);
	rc = lmm_cu.cuEventCreate(event, CUDA_EVENT_DEFAULT);
	m->has_made = true;
	if (rc) {
		*event = NULL;
		return rc;
	}
	return lmm_cu.cuEventRecord(*event, stream);
}

/*
 * An event is of the context that it was made in: a thread that works with several devices may have it from another. And the thread may have
 * gone to another device since the chain began.
 */
static cuda_result event_record(struct lmm_cu_marks *m, cuda_event *event, cuda_stream stream)
{
	void *context = m->context;
	cuda_result rc;

	if (lmm_cu_context() == context)
		return event_record_here(m, event, stream);
	if (!lmm_cu.cuCtxPushCurrent_v2 || !lmm_cu.cuCtxPopCurrent_v2 ||
	    lmm_cu.cuCtxPushCurrent_v2(context))
		return CUDA_ERROR_INVALID_HANDLE;
	rc = event_record_here(m, event, stream);
	(void)lmm_cu.cuCtxPopCurrent_v2(&context);
	return rc;
}

/* Its place in the chain; NULL: none. */
static struct lmm_cu_mark *mark_put_relaxed(struct lmm_cu_marks *m, cuda_stream stream)
{
	struct lmm_cu_mark *x = m->n < LMM_CU_MARKS ? &m->at[m->n] : NULL;
	cuda_result rc;

	if (!x)
		return NULL;
	if (!m->n)
		m->context = lmm_cu_context();
	x->mono_ns = lmm_mono_ns();
	rc = event_record(m, &x->event, stream);
	if (rc) {
		/* the program's first call makes a context; and a stream may be of one that is not the thread's */
		if (rc != CUDA_ERROR_INVALID_HANDLE && lmm_cu_is_ready())
			refuse(m);
		return NULL;
	}
	m->stream = stream;
	m->n++;
	return x;
}

static struct lmm_cu_mark *mark_put(struct lmm_cu_marks *m, cuda_stream stream)
{
	int mode = capture_mode_set(CAPTURE_MODE_RELAXED);
	struct lmm_cu_mark *x = mark_put_relaxed(m, stream);

	(void)capture_mode_set(mode);
	return x;
}

static void mark_if_new(struct lmm_thread *th, cuda_stream stream, uint64_t t)
{
	struct lmm_cu_marks *m = marks_of_thread();
	unsigned phase = lmm_device_phase(th);
	struct lmm_cu_stream *s;
	struct lmm_cu_mark *x;

	if (m && m->n && m->at[m->n - 1].is_end && !is_of_chain(m, stream))
		lmm_cu_pair_harvest(th);
	if (!is_possible(m, stream))
		return;
	x = m->n ? &m->at[m->n - 1] : NULL;
	if (x && !x->is_end && x->step == th->step && x->phase == phase)
		return;
	/* an end is kept free for */
	if (m->n + 1 >= LMM_CU_MARKS)
		return;
	s = lmm_cu_stream_find(stream);
	x = s ? mark_put(m, stream) : NULL;
	if (!x)
		return;
	x->step = th->step;
	x->phase = (uint8_t)phase;
	x->is_end = false;
	x->is_in_window = lmm_cu_window_is_mine();
	if (!x->is_in_window) {
		lmm_cu_stream_pass_tell(s);
		x->id = atomic_fetch_add_explicit(&s->next_pass, 1, memory_order_relaxed);
		lmm_writer_put_wide(
			&th->w, t, lmm_word(LMM_EV_COMMAND, phase, s->pass_number, x->id),
			lmm_device_kind_number(LMM_KERNEL_PASS) | (uint64_t)LMM_NODE_UNKNOWN << 32,
			th->step);
	}
	m->cost_ticks += lmm_now() - t;
}

void lmm_cu_pair_mark(struct lmm_thread *th, cuda_stream stream, uint64_t t)
{
	int saved = errno;

	mark_if_new(th, stream, t);
	errno = saved;
}

void lmm_cu_pair_close(void)
{
	struct lmm_cu_marks *m = lmm_cu_self.marks;
	struct lmm_cu_mark *x;
	uint64_t t;
	int saved;

	if (lmm_likely(!m || !m->n || m->at[m->n - 1].is_end))
		return;
	t = lmm_now();
	if (lmm_cu_is_capturing()) {
		m->n = 0;
		return;
	}
	saved = errno;
	x = mark_put(m, m->stream);
	errno = saved;
	if (x) {
		x->is_end = true;
		x->step = m->at[m->n - 2].step;
	}
	m->cost_ticks += lmm_now() - t;
}

/* ---- reading them ------------------------------------------------------------------------------- */

struct chain {
	uint64_t after[LMM_CU_MARKS]; /* the first one, ns */
	uint64_t from,
		slack; /* where it lies, ns of CLOCK_MONOTONIC, and how far off that may be */
};

static bool chain_read(const struct lmm_cu_marks *m, struct chain *c)
{
	uint64_t now = lmm_mono_ns(), total;

	c->after[0] = 0;
	for (uint32_t i = 1; i < m->n; i++) {
		float ms = -1;

		if (lmm_cu.cuEventElapsedTime(&ms, m->at[i - 1].event, m->at[i].event) ||
		    !(ms >= 0 && ms < 1e9f))
			return false;
		c->after[i] = c->after[i - 1] + (uint64_t)((double)ms * 1e6 + 0.5);
	}
	total = c->after[m->n - 1];
	/* none was passed before it was handed over */
	c->from = m->at[0].mono_ns;
	for (uint32_t i = 1; i < m->n; i++) {
		if (m->at[i].mono_ns > c->from + c->after[i])
			c->from = m->at[i].mono_ns - c->after[i];
	}
	c->slack = now > c->from + total ? now - c->from - total : 0;
	c->from += c->slack / 2;
	return true;
}

static void pass_put(struct lmm_thread *th, struct lmm_cu_stream *s, const struct lmm_cu_mark *x,
		     uint64_t from, uint64_t to)
{
	struct lmm_device_times t = { .queued = from,
				      .submitted = from,
				      .started = from,
				      .ended = to,
				      .id = x->id,
				      .status =
					      to ? LMM_COMPLETION_OK : LMM_COMPLETION_UNAVAILABLE };

	lmm_device_completion_put(th, s->pass_number, &t);
}

static void chain_put(struct lmm_thread *th, struct lmm_cu_marks *m, const struct chain *c)
{
	struct lmm_cu_stream *s = lmm_cu_stream_find(m->stream);

	if (!s)
		return;
	/* several threads may hand work to one stream */
	if (c && !m->at[0].is_in_window && !atomic_exchange(&s->pass_clock_is_taken, 1)) {
		uint64_t t = lmm_now(), mono = lmm_mono_ns();
		double slack = (double)c->slack * lmm_cu_ticks_per_ns();
		uint64_t half = (uint64_t)(slack / 2) + 1;

		lmm_device_clock_put(th, &s->pass_clock, s->pass_number, lmm_cu_device_number(true),
				     t - 2 * half, t, mono - c->slack / 2);
		atomic_store(&s->pass_clock_is_taken, 0);
	}
	for (uint32_t i = 0; i + 1 < m->n; i++) {
		uint64_t from = c ? c->from + c->after[i] : 0;
		uint64_t to = c ? c->from + c->after[i + 1] : 0;

		if (m->at[i].is_end)
			continue;
		if (m->at[i].is_in_window) {
			lmm_cu_window_check(to - from);
		} else {
			pass_put(th, s, &m->at[i], from, to);
		}
	}
}

void lmm_cu_pair_harvest(struct lmm_thread *th)
{
	struct lmm_cu_marks *m = lmm_cu_self.marks;
	struct chain c;
	cuda_result rc;
	bool is_read;
	int mode, saved;
	uint64_t t;

	if (lmm_likely(!m || !m->n) || !m->at[m->n - 1].is_end)
		return;
	t = lmm_now();
	saved = errno;
	mode = capture_mode_set(CAPTURE_MODE_RELAXED);
	/* the program may have waited for another stream; asked, never waited for */
	rc = lmm_cu.cuEventQuery(m->at[m->n - 1].event);
	is_read = rc == 0 && chain_read(m, &c);
	(void)capture_mode_set(mode);
	errno = saved;
	if (rc == CUDA_ERROR_NOT_READY && m->n + 2 < LMM_CU_MARKS)
		return;
	chain_put(th, m, is_read ? &c : NULL);
	m->n = 0;
	if (!m->has_made)
		host_cost_take(m->cost_ticks + lmm_now() - t);
	m->cost_ticks = 0;
	m->has_made = false;
}

void lmm_cu_pairs_after_fork(void)
{
	lmm_cu_self.marks = NULL;
	left = NULL;
	pthread_mutex_init(&left_lock, NULL);
	atomic_store(&cost.steps.is_taken, 0);
}
