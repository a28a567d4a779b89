/* SPDX-License-Identifier: Apache-2.0 */
/* Recording threads: a ring each, and the phases they are in. */
#include "probe/probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct lmm_thread *lmm_self __attribute__((tls_model("initial-exec")));

static pthread_key_t thread_key;
static int thread_key_made;
static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_ring *rings[LMM_SHM_RING_MAX];
static size_t ring_bytes[LMM_SHM_RING_MAX];
static uint32_t n_rings;
_Atomic uint32_t lmm_session_number;
/* Set once no further ring can be had, so that ten thousand threads do not each try. */
static _Atomic int rings_exhausted;
uint8_t lmm_probe_lossy;
/* Guards lmm_thread_create() against hooks that run inside what it calls. */
static _Thread_local int creating __attribute__((tls_model("initial-exec")));

/* With the lock held. A ring of a session that was left is nobody's. */
static void ring_give_up(const struct lmm_thread *th)
{
	if (th->session != atomic_load(&lmm_session_number)) {
		munmap(th->w.ring, th->ring_bytes);
		return;
	}
	/* pairs with the compare-exchange in ring_adopt(): whoever takes the ring over sees our last event */
	atomic_store_explicit(&th->w.ring->state, LMM_RING_RETIRED, memory_order_release);
	atomic_store_explicit(&rings_exhausted, 0, memory_order_relaxed);
}

static void thread_gone(void *arg)
{
	struct lmm_thread *th = arg;

	lmm_cu_thread_end();
	lmm_self = NULL;
	pthread_mutex_lock(&rings_lock);
	ring_give_up(th);
	pthread_mutex_unlock(&rings_lock);
	free(th);
}

void lmm_threads_init(void)
{
	if (!thread_key_made && pthread_key_create(&thread_key, thread_gone) == 0)
		thread_key_made = 1;
}

void lmm_threads_after_fork(void)
{
	/* The parent's rings stay mapped but are no longer known here; this thread's state is the parent's. */
	if (lmm_self) {
		if (thread_key_made)
			pthread_setspecific(thread_key, NULL);
		free(lmm_self);
	}
	lmm_self = NULL;
	n_rings = 0;
	atomic_fetch_add(&lmm_session_number, 1);
	creating = 0;
	atomic_store(&rings_exhausted, 0);
	pthread_mutex_init(&rings_lock, NULL);
}

void lmm_threads_renew_begin(void)
{
	pthread_mutex_lock(&rings_lock);
	for (uint32_t i = 0; i < n_rings; i++) {
		/* the others are their threads', which give them up when they come to know of the new session */
		if (atomic_load(&rings[i]->state) != LMM_RING_OWNED)
			munmap(rings[i], ring_bytes[i]);
	}
	n_rings = 0;
	lmm_probe_lossy = 0;
	atomic_store(&rings_exhausted, 0);
	atomic_fetch_add(&lmm_session_number, 1);
}

void lmm_threads_renew_end(void)
{
	pthread_mutex_unlock(&rings_lock);
}

/* A ring whose thread has ended, for a new one to write on. */
static struct lmm_ring *ring_adopt(uint32_t *index)
{
	for (uint32_t i = 0; i < n_rings; i++) {
		uint32_t want = LMM_RING_RETIRED;

		if (atomic_compare_exchange_strong_explicit(&rings[i]->state, &want, LMM_RING_OWNED,
							    memory_order_acquire,
							    memory_order_relaxed)) {
			*index = i;
			return rings[i];
		}
	}
	return NULL;
}

static struct lmm_ring *ring_make(uint32_t *index)
{
	size_t bytes = 0;
	struct lmm_ring *r;

	if (n_rings >= LMM_SHM_RING_MAX)
		return NULL;
	r = lmm_session_map_ring(n_rings, &bytes);
	if (!r)
		return NULL;
	if (lmm_ring_init(r, bytes))
		return NULL;
	atomic_store_explicit(&r->state, LMM_RING_OWNED, memory_order_relaxed);
	*index = n_rings;
	ring_bytes[n_rings] = bytes;
	rings[n_rings++] = r;
	lmm_session_publish_rings(n_rings);
	return r;
}

/* A ring of this session for the thread. Its calls that are under way keep the state: they find no open phase to end. */
static int thread_begin(struct lmm_thread *th)
{
	struct lmm_thread fresh = { .in_call = th->in_call,
				    .apply_depth = th->apply_depth,
				    .accept_depth = th->accept_depth,
				    .in_read = th->in_read,
				    .seq = LMM_SEQ_NONE,
				    .step = LMM_STEP_NONE,
				    .device_step = LMM_STEP_NONE - 1, /* no step is this one */
				    .mark = LMM_NODE_UNKNOWN };
	pid_t tid = (pid_t)syscall(SYS_gettid);
	struct lmm_ring *r;

	pthread_mutex_lock(&rings_lock);
	r = ring_adopt(&fresh.ring_index);
	if (!r)
		r = ring_make(&fresh.ring_index);
	if (!r) {
		atomic_store_explicit(&rings_exhausted, 1, memory_order_relaxed);
		lmm_probe_lossy = 1;
	} else {
		if (th->w.ring)
			ring_give_up(th);
		fresh.session = atomic_load(&lmm_session_number);
		fresh.ring_bytes = ring_bytes[fresh.ring_index];
	}
	pthread_mutex_unlock(&rings_lock);
	if (!r)
		return -1;
	*th = fresh;
	lmm_writer_attach(&th->w, r, lmm_probe_clock);
	atomic_store_explicit(&r->tid, tid, memory_order_relaxed);
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_THREAD, 0, LMM_SEQ_NONE, 0),
			    (uint64_t)tid, 0);
	return 0;
}

static struct lmm_thread *thread_make(void)
{
	struct lmm_thread *th = lmm_self ? lmm_self : calloc(1, sizeof(*th));

	if (!th || thread_begin(th)) {
		if (th != lmm_self)
			free(th);
		return NULL;
	}
	if (thread_key_made && th != lmm_self)
		pthread_setspecific(thread_key, th);
	lmm_self = th;
	return th;
}

static struct lmm_thread *thread_create(void)
{
	int saved = errno;
	struct lmm_thread *th;

	if (creating || atomic_load_explicit(&rings_exhausted, memory_order_relaxed))
		return NULL;
	creating = 1;
	th = thread_make();
	creating = 0;
	if (!th) {
		lmm_session_reason(
			LMM_LEVEL_KERNELS,
			"no ring for a further thread: its records are counted as lost (see --memory)");
	}
	errno = saved;
	return th;
}

LMM_COLD struct lmm_thread *lmm_thread_create(void)
{
	return lmm_recording() ? thread_create() : NULL;
}

LMM_COLD struct lmm_thread *lmm_thread_at_end(void)
{
	struct lmm_thread *th = lmm_thread_known();

	return th || !lmm_session_is_joined() ? th : thread_create();
}

void lmm_no_ring(unsigned n)
{
	if (lmm_recording())
		lmm_session_count_no_ring(n);
}

/* The gap since the last phase gets stamps of its own: what they do not cover would show as missing time. */
static void put_unaccounted(struct lmm_thread *th, uint64_t end_t)
{
	uint32_t now = lmm_recording();

	if (th->recording != now) {
		th->recording = now;
		th->left_t = 0;
	}
	if (th->left_t) {
		lmm_writer_put_wide(&th->w, th->left_t,
				    lmm_word(LMM_EV_UNACCOUNTED, 0, LMM_SEQ_NONE, th->step), end_t,
				    0);
	}
}

void lmm_phase_gap(struct lmm_thread *th, uint64_t t)
{
	if (th->depth)
		return;
	put_unaccounted(th, t);
	th->left_t = t;
}

void lmm_phase_enter(struct lmm_thread *th, unsigned phase, unsigned seq, uint32_t step,
		     struct lmm_entry at)
{
	if (th->depth == 0)
		put_unaccounted(th, at.gap_end_t);
	if (th->depth < LMM_PHASE_DEPTH)
		th->phase[th->depth] = (uint8_t)phase;
	th->depth++;
	lmm_writer_put(&th->w, at.t, lmm_word(LMM_EV_PHASE_BEGIN, phase, seq, step));
}

void lmm_phase_leave_at(struct lmm_thread *th, unsigned seq, uint32_t step, uint64_t t)
{
	unsigned phase = LMM_PHASE_NONE;

	if (th->depth == 0)
		return;
	th->depth--;
	if (th->depth < LMM_PHASE_DEPTH)
		phase = th->phase[th->depth];
	lmm_writer_put(&th->w, t, lmm_word(LMM_EV_PHASE_END, phase, seq, step));
	th->left_t = t;
}

void lmm_phase_leave(struct lmm_thread *th, unsigned seq, uint32_t step)
{
	lmm_phase_leave_at(th, seq, step, lmm_now());
	if (th->depth == 0)
		th->left_t = lmm_now();
}
