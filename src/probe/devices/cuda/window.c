/* SPDX-License-Identifier: Apache-2.0 */
/* When CUPTI is attached and detached, and what that costs. */
#include "probe/devices/cuda/window.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define STEPS		16u	   /* of a window */
#define LONG_NS		50000000u  /* or so long, and two steps */
#define FLUSH_STEPS	64u	   /* of one that stays open, or half of the room, */
#define FLUSH_NS	100000000u /* or so long: what is not read when the recording ends is lost */
#define WAITS_MAX	256u	   /* in which it did not close */
#define READING_MS_MAX	100
#define ABANDONED_NS	1000000000u /* its owner may never wait again: whoever waits closes it */
#define FIRST_COST_NS	30000000u   /* of a window, until one was seen */
#define SHARE_OF_BUDGET 0.5	    /* the rest is for events around steps, and for recording */

#define STAYS_TEXT                                                                                 \
	"CUPTI could not be taken out of the process, which goes on paying for it (10 to 16%% of " \
	"decode speed were seen)"

_Atomic int lmm_cu_window_is_open;

/* Those in -ING but for CLOSING: whoever made it so has the window to itself. */
enum { IDLE = 0, OPENING, OPEN, READING, CLOSING, DETACHING, CLOSED, TELLING };

/* What a session asks for. Another one may begin while a window of the last still closes. */
static struct {
	_Atomic uint32_t session; /* whose settings these are */
	_Atomic int is_always;
	_Atomic int is_dead;	     /* no windows in this recording */
	_Atomic uint64_t next_t;     /* not before; 0: nothing has begun */
	_Atomic uint64_t cost_ticks; /* of a window, smoothed; 0: not known */
	_Atomic uint32_t n;	     /* windows that have closed */
} plan;

/* The owner's but for what is atomic. */
static struct {
	_Atomic int state;
	_Atomic(const struct lmm_cu_thread *)
		owner;		  /* outlives sessions, as what a thread has of one does not */
	_Atomic uint32_t session; /* in which it was opened */
	bool is_bound;
	void *subscriber;
	_Atomic uint32_t steps, told_steps;
	_Atomic uint32_t every; /* one step in how many is timed by events, on the owner's thread */
	uint32_t waits;
	uint64_t begin_t, begin_ns, close_t;
	_Atomic uint64_t read_ns; /* of one that stays open */
	uint64_t attach_ticks, detach_ticks, join_ticks, slowed_ticks;
	uint64_t union_ns, pass_ns;
	int rc; /* of the detaching calls */
} w;

static _Atomic int
	is_asked; /* a question of ours is under way, in whose callback it is to be detached */

/* A pair of instants to tell the rate of the session's clock by. */
static _Atomic uint64_t rate_ticks, rate_ns;

double lmm_cu_ticks_per_ns(void)
{
	uint64_t t = lmm_now(), ns = lmm_mono_ns(), t0 = atomic_load(&rate_ticks);
	uint64_t ns0 = atomic_load(&rate_ns);

	if (lmm_probe_clock == LMM_CLOCK_MONOTONIC)
		return 1;
	if (!ns0 || ns - ns0 < 1000000)
		return lmm_probe_clock == LMM_CLOCK_TSC ? 2.5 : 0.1;
	return (double)(t - t0) / (double)(ns - ns0);
}

static bool is_owner(void)
{
	return atomic_load_explicit(&w.owner, memory_order_relaxed) == &lmm_cu_self;
}

/* One whose thread has ended is the next one's that comes by. */
static bool is_adopted(void)
{
	const struct lmm_cu_thread *nobody = NULL;

	return !atomic_load_explicit(&w.owner, memory_order_relaxed) &&
	       atomic_compare_exchange_strong(&w.owner, &nobody, &lmm_cu_self);
}

static bool is_always(void)
{
	return atomic_load_explicit(&plan.is_always, memory_order_relaxed);
}

/* Else nobody waits for what it has seen. */
static bool is_listened_to(void)
{
	return lmm_session_is_joined() &&
	       atomic_load_explicit(&w.session, memory_order_relaxed) == lmm_device_session();
}

bool lmm_cu_window_is_mine(void)
{
	return atomic_load_explicit(&lmm_cu_window_is_open, memory_order_relaxed) && is_owner();
}

/* ---- what is told ------------------------------------------------------------------------------- */

static void window_put(struct lmm_thread *th, enum lmm_window what, uint32_t id, uint64_t a,
		       uint64_t b)
{
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_WINDOW, what, LMM_SEQ_NONE, id), a,
			    b);
}

static void give_up(const char *what, int rc)
{
	atomic_store(&plan.is_dead, 1);
	if (rc == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED ||
	    rc == CUPTI_ERROR_MAX_LIMIT_REACHED) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "another profiler uses CUPTI (%s: %s): kernels are counted and "
				   "not timed",
				   what, lmm_cupti_text(rc));
	} else if (rc == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES) {
		lmm_session_reason(
			LMM_LEVEL_PHASES,
			"this user may not profile the GPU (%s: %s): kernels are counted "
			"and not timed; the driver's option "
			"NVreg_RestrictProfilingToAdminUsers=0 allows it",
			what, lmm_cupti_text(rc));
	} else {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "CUPTI refuses (%s: %s, %d): kernels are counted and not timed",
				   what, lmm_cupti_text(rc), rc);
	}
}

/* ---- attach ------------------------------------------------------------------------------------- */

static void callback(void *user, int domain, uint32_t cbid, const void *data);

static int callbacks_enable(void)
{
	static const uint16_t waits[] = { CUPTI_CBID_CTX_SYNCHRONIZE, CUPTI_CBID_EVENT_SYNCHRONIZE,
					  CUPTI_CBID_STREAM_SYNCHRONIZE,
					  CUPTI_CBID_STREAM_SYNCHRONIZE_PTSZ,
					  CUPTI_CBID_CTX_GET_DEVICE };
	int rc = CUPTI_OK;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(waits); i++)
		rc |= lmm_cupti.cuptiEnableCallback(1, w.subscriber, CUPTI_DOMAIN_DRIVER, waits[i]);
	/* newer ones of these an older driver does not know */
	for (unsigned i = 0; i < lmm_cu_log_n_cbids; i++) {
		(void)lmm_cupti.cuptiEnableCallback(1, w.subscriber, CUPTI_DOMAIN_DRIVER,
						    lmm_cu_log_cbids[i]);
	}
	return rc;
}

static const int kinds[] = { CUPTI_KIND_CONCURRENT_KERNEL, CUPTI_KIND_MEMCPY, CUPTI_KIND_PEER_COPY,
			     CUPTI_KIND_MEMSET };

static void kinds_disable(void)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(kinds); i++)
		(void)lmm_cupti.cuptiActivityDisable(kinds[i]);
}

/* The subscription first: whoever has another one must not find its clock and its buffers changed. */
static int attach(const char **what)
{
	int rc;

	*what = "cuptiSubscribe";
	rc = lmm_cupti.cuptiSubscribe(&w.subscriber, callback, NULL);
	if (rc)
		return rc;
	*what = "cuptiEnableCallback";
	rc = callbacks_enable();
	if (rc == CUPTI_OK) {
		*what = "cuptiActivityRegisterTimestampCallback";
		rc = lmm_cupti.cuptiActivityRegisterTimestampCallback(lmm_mono_ns);
	}
	if (rc == CUPTI_OK) {
		*what = "cuptiActivityRegisterCallbacks";
		rc = lmm_cupti.cuptiActivityRegisterCallbacks(lmm_cu_records_request,
							      lmm_cu_records_complete);
	}
	for (size_t i = 0; rc == CUPTI_OK && i < LMM_ARRAY_SIZE(kinds); i++) {
		*what = "cuptiActivityEnable";
		rc = lmm_cupti.cuptiActivityEnable(kinds[i]);
	}
	return rc;
}

static int window_prepare(void)
{
	char why[320];

	if (!w.is_bound) {
		if (lmm_cupti_open(why, sizeof(why))) {
			atomic_store(&plan.is_dead, 1);
			lmm_session_reason(LMM_LEVEL_PHASES,
					   "kernels are counted and not timed: %s", why);
			return -1;
		}
		w.is_bound = true;
	}
	if (lmm_cu_log_open() || lmm_cu_records_open(lmm_mono_ns())) {
		atomic_store(&plan.is_dead, 1);
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "no memory for kernel records: they are counted and not timed");
		return -1;
	}
	return 0;
}

static void close_at_exit(void);

static LMM_COLD void window_open(struct lmm_thread *th, uint64_t t)
{
	static bool is_registered;
	const char *what;
	uint64_t t1;
	int rc;

	atomic_store(&w.session, lmm_device_session());
	if (window_prepare()) {
		atomic_store(&w.state, IDLE);
		return;
	}
	if (!is_registered) {
		is_registered = true;
		(void)atexit(close_at_exit);
	}
	atomic_store(&w.owner, &lmm_cu_self);
	w.steps = 0;
	w.told_steps = 0;
	w.waits = 0;
	w.subscriber = NULL;
	w.slowed_ticks = w.join_ticks = 0;
	w.union_ns = w.pass_ns = 0;
	w.rc = 0;
	rc = attach(&what);
	t1 = lmm_now();
	w.begin_t = t;
	w.attach_ticks = t1 - t;
	window_put(th, LMM_WINDOW_STALL, th->step, t, 0);
	if (rc) {
		give_up(what, rc);
		if (!w.subscriber) {
			atomic_store(&w.state, IDLE);
			return;
		}
		/* it is in the process now: taken out where that is safe */
		kinds_disable();
		atomic_store(&w.state, CLOSING);
		return;
	}
	w.begin_ns = lmm_mono_ns();
	w.read_ns = w.begin_ns;
	atomic_store(&w.every, lmm_cu_self.budget.every);
	w.steps = 1;
	atomic_store(&w.state, OPEN);
	atomic_store_explicit(&lmm_cu_window_is_open, 1, memory_order_release);
	/* the session may have ended meanwhile */
	if (!is_listened_to())
		lmm_cu_recording_end();
}

/* ---- detach ------------------------------------------------------------------------------------- */

/* Inside the exit callback of a call in which the owner has waited. */
static LMM_COLD void detach(void)
{
	uint64_t t = lmm_now();
	int rc, saved = errno;

	atomic_store_explicit(&lmm_cu_window_is_open, 0, memory_order_relaxed);
	kinds_disable();
	w.rc = lmm_cupti.cuptiActivityFlushAll(CUPTI_FLUSH_FORCED);
	rc = lmm_cupti.cuptiFinalize();
	if (rc) {
		(void)lmm_cupti.cuptiUnsubscribe(w.subscriber);
		give_up("cuptiFinalize", rc);
		lmm_session_reason(LMM_LEVEL_PHASES, STAYS_TEXT);
	}
	w.subscriber = NULL;
	w.close_t = lmm_now();
	w.detach_ticks = w.close_t - t;
	atomic_store_explicit(&w.state, CLOSED, memory_order_release);
	errno = saved;
}

static void callback(void *user, int domain, uint32_t cbid, const void *data)
{
	const struct cupti_callback *x = data;
	int closing = CLOSING;

	(void)user;
	if (domain != CUPTI_DOMAIN_DRIVER || !x)
		return;
	if (cbid == CUPTI_CBID_CTX_GET_DEVICE && !atomic_load(&is_asked))
		return;
	if (cbid == CUPTI_CBID_CTX_SYNCHRONIZE || cbid == CUPTI_CBID_EVENT_SYNCHRONIZE ||
	    cbid == CUPTI_CBID_STREAM_SYNCHRONIZE || cbid == CUPTI_CBID_STREAM_SYNCHRONIZE_PTSZ ||
	    cbid == CUPTI_CBID_CTX_GET_DEVICE) {
		if (x->site == CUPTI_SITE_EXIT && atomic_load(&w.state) == CLOSING &&
		    (is_owner() || !is_listened_to() || (lmm_cu_self.is_inside && is_adopted())) &&
		    atomic_compare_exchange_strong(&w.state, &closing, DETACHING))
			detach();
		return;
	}
	if (x->site == CUPTI_SITE_ENTER &&
	    atomic_load_explicit(&lmm_cu_window_is_open, memory_order_relaxed))
		lmm_cu_log_correlate(cbid, x->correlation);
}

/* ---- what it has seen --------------------------------------------------------------------------- */

static void harvest(struct lmm_thread *th, bool is_last)
{
	struct lmm_cu_losses lost;
	struct lmm_cu_joined j;
	uint64_t t = lmm_now();

	j = lmm_cu_join(th, is_last);
	lost = lmm_cu_records_losses_take();
	lost.dropped += j.dropped;
	w.union_ns += j.union_ns;
	w.join_ticks = lmm_now() - t;
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_HARVEST, 0, LMM_SEQ_NONE, j.records),
			    t, (uint64_t)atomic_load(&w.every) << 32);
	window_put(th, LMM_WINDOW_RECORDS, w.steps - w.told_steps,
		   j.records | (uint64_t)j.expected << 32, j.unmatched);
	if (lost.dropped || lost.garbage)
		window_put(th, LMM_WINDOW_LOSS, 0, lost.dropped, lost.garbage);
	if (w.pass_ns)
		window_put(th, LMM_WINDOW_CHECK, w.steps - w.told_steps, w.union_ns, w.pass_ns);
	w.told_steps = atomic_load(&w.steps);
	w.union_ns = w.pass_ns = 0;
}

static void cost_take(uint64_t now)
{
	uint64_t cost = w.attach_ticks + w.detach_ticks + w.join_ticks + w.slowed_ticks;
	double share = lmm_session_device_budget_ppm() * SHARE_OF_BUDGET / 1e6;

	/* no step says how much it slowed down: a part of it, then */
	if (!w.slowed_ticks && w.close_t > w.begin_t)
		cost += (w.close_t - w.begin_t) / 4;
	plan.cost_ticks = plan.cost_ticks ? plan.cost_ticks + cost / 4 - plan.cost_ticks / 4 : cost;
	/* this one is paid for before the next begins, whatever the mean */
	if (cost < plan.cost_ticks)
		cost = plan.cost_ticks;
	atomic_store(&plan.next_t, now + (uint64_t)((double)cost / share));
}

static void window_tell(struct lmm_thread *th)
{
	atomic_fetch_add(&plan.n, 1);
	window_put(th, LMM_WINDOW_STALL, th->step, w.close_t - w.detach_ticks, 1);
	if (!atomic_load(&plan.is_dead) || w.steps) {
		harvest(th, true);
		window_put(th, LMM_WINDOW_END, w.steps, w.begin_t, w.slowed_ticks);
	}
	cost_take(lmm_now());
}

/* Back outside of CUPTI's callback. */
static LMM_COLD void window_closed(struct lmm_thread *th)
{
	int closed = CLOSED;

	/* one that is of no interest any more may be found by several */
	if (!atomic_compare_exchange_strong(&w.state, &closed, TELLING))
		return;
	if (is_listened_to())
		window_tell(th);
	atomic_store(&w.owner, NULL);
	atomic_store(&w.state, IDLE);
}

/* In the exit callback of a call, as always; one that asks for the thread's device waits for nothing. */
static void detach_by_question(void)
{
	int device;

	atomic_store(&w.owner, &lmm_cu_self);
	atomic_store(&is_asked, 1);
	if (lmm_cu.cuCtxGetDevice)
		(void)lmm_cu.cuCtxGetDevice(&device);
	atomic_store(&is_asked, 0);
}

/*
 * At the end of the process a window may be open: its records are in CUPTI's buffers, and a process that ends with CUPTI in it may crash.
 */
static LMM_COLD void close_at_exit(void)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_self() : lmm_thread_known();
	const struct timespec a_little = { 0, 1000000 };
	int open = OPEN;

	/* another thread reads it: CUPTI must not be in its middle when libraries are taken down */
	for (int i = 0; i < READING_MS_MAX && atomic_load(&w.state) == READING; i++)
		nanosleep(&a_little, NULL);
	atomic_compare_exchange_strong(&w.state, &open, CLOSING);
	if (atomic_load(&w.state) != CLOSING)
		return;
	detach_by_question();
	if (th && atomic_load(&w.state) == CLOSED)
		window_closed(th);
}

/* ---- when --------------------------------------------------------------------------------------- */

static bool is_due(uint64_t t)
{
	uint64_t next = atomic_load_explicit(&plan.next_t, memory_order_relaxed);
	double share = lmm_session_device_budget_ppm() * SHARE_OF_BUDGET / 1e6;

	if (is_always())
		return true;
	if (lmm_unlikely(!next)) {
		double first = FIRST_COST_NS * lmm_cu_ticks_per_ns();

		atomic_store(&plan.next_t, t + (uint64_t)(first / share));
		return false;
	}
	return t >= next;
}

void lmm_cu_window_step(struct lmm_thread *th, uint64_t t)
{
	int state = atomic_load_explicit(&w.state, memory_order_acquire), idle = IDLE;

	if (lmm_unlikely(state == CLOSED && !is_listened_to())) {
		window_closed(th);
		state = atomic_load_explicit(&w.state, memory_order_acquire);
	}
	if (lmm_unlikely(state == OPEN && (lmm_cu_window_is_mine() || is_adopted()))) {
		w.steps++;
		/* with all of them like that there is nothing to hold them against */
		if (!is_always())
			window_put(th, LMM_WINDOW_STEP, th->step, 0, 0);
		return;
	}
	if (state != IDLE || atomic_load_explicit(&plan.is_dead, memory_order_relaxed) ||
	    !is_due(t) || lmm_cu_is_capturing() || !lmm_cu_is_ready())
		return;
	/* another thread may be about to */
	if (!atomic_compare_exchange_strong(&w.state, &idle, OPENING))
		return;
	if (atomic_load(&plan.is_dead)) {
		atomic_store(&w.state, IDLE);
		return;
	}
	window_open(th, t);
}

void lmm_cu_window_step_took(uint64_t ticks)
{
	uint64_t usual = lmm_cu_pair_step_ticks();

	if (w.steps == 1)
		ticks = ticks > w.attach_ticks ? ticks - w.attach_ticks : 0;
	/* one that is much longer had nothing to do for a while */
	if (usual && ticks > usual && ticks < 8 * usual)
		w.slowed_ticks += ticks - usual;
}

void lmm_cu_window_check(uint64_t pass_ns)
{
	w.pass_ns += pass_ns;
}

/* A step of as many again finds room, if any does. */
static bool is_half_full(void)
{
	return lmm_cu_log_pending() >= LMM_CU_ROOM / 2 || lmm_cu_records_n() >= LMM_CU_ROOM / 2;
}

static bool is_enough(void)
{
	if (is_always())
		return false;
	return w.steps >= STEPS || is_half_full() ||
	       (w.steps >= 2 && lmm_mono_ns() - w.begin_ns >= LONG_NS);
}

static bool is_abandoned(void)
{
	return !is_always() && (is_half_full() || lmm_mono_ns() - w.begin_ns >= ABANDONED_NS);
}

void lmm_cu_window_wait_begin(void)
{
	int open = OPEN;

	if (lmm_likely(atomic_load_explicit(&w.state, memory_order_relaxed) != OPEN) ||
	    (is_owner() ? !is_enough() : !is_abandoned()))
		return;
	if (atomic_compare_exchange_strong(&w.state, &open, CLOSING))
		atomic_store(&w.owner, &lmm_cu_self);
}

/* Of a window that stays open, when the thread's work has ended: what it has handed over has all its records. */
static LMM_COLD void window_empty(struct lmm_thread *th)
{
	int open = OPEN;

	if (!atomic_compare_exchange_strong(&w.state, &open, READING))
		return;
	(void)lmm_cupti.cuptiActivityFlushAll(CUPTI_FLUSH_FORCED);
	harvest(th, false);
	w.read_ns = lmm_mono_ns();
	atomic_store(&w.state, OPEN);
	if (!is_listened_to())
		lmm_cu_recording_end();
}

/* Waits of a kind that CUPTI does not tell us of. */
static LMM_COLD void window_force(struct lmm_thread *th)
{
	int closing = CLOSING;

	atomic_store(&plan.is_dead, 1);
	lmm_session_reason(LMM_LEVEL_PHASES, "CUPTI told of no wait in which it could be detached: "
					     "no more kernels are timed");
	detach_by_question();
	/* not told either: it stays in the process, but records nothing */
	if (atomic_compare_exchange_strong(&w.state, &closing, DETACHING)) {
		atomic_store(&lmm_cu_window_is_open, 0);
		kinds_disable();
		(void)lmm_cupti.cuptiActivityFlushAll(CUPTI_FLUSH_FORCED);
		w.close_t = lmm_now();
		w.detach_ticks = 0;
		lmm_session_reason(LMM_LEVEL_PHASES, STAYS_TEXT);
		atomic_store(&w.state, CLOSED);
	}
	window_closed(th);
}

static LMM_COLD void wait_end_slowly(struct lmm_thread *th, int state)
{
	int saved = errno;

	if (state == OPEN) {
		window_empty(th);
	} else if (state == CLOSED) {
		window_closed(th);
	} else if (++w.waits >= WAITS_MAX) {
		window_force(th);
	}
	errno = saved;
}

/* Of one that stays open. Its owner may have nothing to do any more while others go on. */
static bool is_to_be_read(void)
{
	if (!is_always())
		return false;
	if (is_half_full())
		return true;
	return lmm_cu_window_is_mine() &&
	       (w.steps - w.told_steps >= FLUSH_STEPS || lmm_mono_ns() - w.read_ns >= FLUSH_NS);
}

void lmm_cu_window_wait_end(struct lmm_thread *th)
{
	int state = atomic_load_explicit(&w.state, memory_order_acquire);

	if (lmm_unlikely(state == OPEN ? is_to_be_read()
				       : (state == CLOSING || state == CLOSED) && is_owner()))
		wait_end_slowly(th, state);
}

void lmm_cu_window_leave(void)
{
	const struct lmm_cu_thread *self = &lmm_cu_self;

	atomic_compare_exchange_strong(&w.owner, &self, NULL);
}

/* ---- sessions ----------------------------------------------------------------------------------- */

void lmm_cu_window_renew(void)
{
	enum lmm_kernel_times times = lmm_session_kernel_times();
	uint32_t session = lmm_device_session();

	if (atomic_exchange(&plan.session, session) == session)
		return;
	atomic_store(&rate_ticks, lmm_now());
	atomic_store(&rate_ns, lmm_mono_ns());
	atomic_store(&plan.is_always,
		     times == LMM_KERNEL_TIMES_ALWAYS || (times == LMM_KERNEL_TIMES_WINDOWS &&
							  !lmm_session_device_budget_ppm()));
	atomic_store(&plan.is_dead, times == LMM_KERNEL_TIMES_OFF);
	atomic_store(&plan.next_t, 0);
	atomic_store(&plan.cost_ticks, 0);
	atomic_store(&plan.n, 0);
}

void lmm_cu_window_after_fork(void)
{
	/* the parent's CUPTI is not the child's, which has no CUDA either */
	atomic_store(&lmm_cu_window_is_open, 0);
	atomic_store(&w.owner, NULL);
	atomic_store(&w.state, IDLE);
}

bool lmm_cu_window_holds(void)
{
	return atomic_load(&w.state) != IDLE;
}

void lmm_cu_recording_end(void)
{
	int open = OPEN;

	/* calls of a session that begins before it has closed are none of its */
	if (atomic_compare_exchange_strong(&w.state, &open, CLOSING))
		atomic_store(&lmm_cu_window_is_open, 0);
}

void lmm_cu_recording_tell(void)
{
	struct lmm_thread *th;
	int open = OPEN;

	if (atomic_load(&w.state) != OPEN || !is_listened_to())
		return;
	th = lmm_thread_at_end();
	if (!th || !atomic_compare_exchange_strong(&w.state, &open, READING))
		return;
	(void)lmm_cupti.cuptiActivityFlushAll(CUPTI_FLUSH_FORCED);
	/* of the step that goes on there are records, and no time between events yet */
	w.pass_ns = 0;
	harvest(th, true);
	/* nor has whoever closes it anybody to tell */
	atomic_store(&w.session, 0);
	window_put(th, LMM_WINDOW_END, w.steps, w.begin_t, w.slowed_ticks);
	atomic_store(&w.state, OPEN);
}

void lmm_cu_process_end(void)
{
	lmm_cu_calls_end();
	if (!lmm_recording() || !atomic_load(&plan.next_t) || atomic_load(&plan.n) || is_always() ||
	    atomic_load(&plan.is_dead))
		return;
	lmm_session_reason(
		LMM_LEVEL_PHASES,
		"CUDA kernels were counted and not timed: the run was too short for the "
		"budget to earn a window of kernel records; --budget 20%% has one earlier, "
		"--kernels always times all of them");
}
