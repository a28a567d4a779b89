/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams as queues: one for commands, which CUPTI times, and one for what pairs of events time. Entries are made under a lock and never
 * freed, so that the hot path finds them without one; a handle that is given out again is the same queue. Beyond the room all are one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/cuda/cuda.h"

#define STREAMS_MAX 64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_cu_stream *streams[STREAMS_MAX];
static _Atomic unsigned n_streams;
static _Atomic(struct lmm_cu_stream *) others; /* NULL: there is room */
static _Atomic(struct lmm_cu_stream *) last_found;

uint16_t lmm_cu_device_number(bool is_pass)
{
	static uint16_t numbers[2];
	static bool is_made;

	/* one clock each: what events tell is placed less exactly */
	if (!is_made) {
		numbers[0] = lmm_device_number_next();
		numbers[1] = lmm_device_number_next();
		is_made = true;
	}
	return numbers[is_pass];
}

/* With the lock held. A thread without a context, as the one that ends a recording, knows what others have found. */
static void device_name(char *name, int bytes)
{
	static char known[128];
	int device = 0;

	name[0] = 0;
	if (!lmm_cu_is_ready() || !lmm_cu.cuCtxGetDevice || !lmm_cu.cuDeviceGetName ||
	    lmm_cu.cuCtxGetDevice(&device) || lmm_cu.cuDeviceGetName(name, bytes, device))
		name[0] = 0;
	if (name[0]) {
		(void)snprintf(known, sizeof(known), "%s", name);
	} else {
		(void)strncpy(name, known[0] ? known : "CUDA device", (size_t)bytes);
	}
	name[bytes - 1] = 0;
}

static void describe(const struct lmm_cu_stream *s, bool is_pass)
{
	char name[128];
	int saved = errno;
	struct lmm_device_queue q = { .device = name,
				      .ticks_per_second = 1000000000u,
				      .number = is_pass ? s->pass_number : s->number,
				      .device_number = lmm_cu_device_number(is_pass),
				      .is_ordered = s != atomic_load(&others) };

	device_name(name, sizeof(name));
	lmm_device_queue_describe(&q);
	errno = saved;
}

static struct lmm_cu_stream *find(cuda_stream handle)
{
	unsigned n = atomic_load_explicit(&n_streams, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		if (atomic_load_explicit(&streams[i]->handle, memory_order_relaxed) == handle)
			return streams[i];
	}
	return NULL;
}

/* With the lock held. */
static struct lmm_cu_stream *make(cuda_stream handle)
{
	struct lmm_cu_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_store(&s->handle, handle);
	s->number = lmm_device_queue_next();
	s->pass_number = lmm_device_queue_next();
	return s;
}

/* With the lock held. */
static struct lmm_cu_stream *find_or_make(cuda_stream handle)
{
	struct lmm_cu_stream *s = handle ? find(handle) : NULL;
	unsigned n = atomic_load(&n_streams);

	if (!s)
		s = atomic_load(&others);
	if (s)
		return s;
	s = make(n < STREAMS_MAX ? handle : NULL);
	if (!s)
		return NULL;
	if (n < STREAMS_MAX) {
		streams[n] = s;
		/* pairs with the acquire in find() */
		atomic_store_explicit(&n_streams, n + 1, memory_order_release);
	} else {
		atomic_store_explicit(&others, s, memory_order_release);
	}
	return s;
}

/* With the lock held: in this session, too. */
static void tell(struct lmm_cu_stream *s)
{
	if (s->told == lmm_device_session())
		return;
	describe(s, false);
	if (s == atomic_load(&others)) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "more than %u CUDA streams: further ones are one queue",
				   STREAMS_MAX);
	}
	atomic_store(&s->told, lmm_device_session());
}

static LMM_COLD struct lmm_cu_stream *learn(cuda_stream handle)
{
	struct lmm_cu_stream *s;

	pthread_mutex_lock(&lock);
	s = find_or_make(handle);
	if (s)
		tell(s);
	pthread_mutex_unlock(&lock);
	return s;
}

struct lmm_cu_stream *lmm_cu_stream_find(cuda_stream handle)
{
	struct lmm_cu_stream *s = atomic_load_explicit(&last_found, memory_order_acquire);

	if (!handle)
		handle = CUDA_STREAM_LEGACY;
	if (lmm_unlikely(!s || atomic_load_explicit(&s->handle, memory_order_relaxed) != handle)) {
		s = find(handle);
		if (lmm_unlikely(!s))
			s = atomic_load_explicit(&others, memory_order_acquire);
	}
	if (lmm_unlikely(!s || s->told != lmm_device_session()))
		s = learn(handle);
	if (s)
		atomic_store_explicit(&last_found, s, memory_order_release);
	return s;
}

void lmm_cu_stream_pass_tell(struct lmm_cu_stream *s)
{
	if (lmm_likely(atomic_load_explicit(&s->pass_told, memory_order_acquire) ==
		       lmm_device_session()))
		return;
	pthread_mutex_lock(&lock);
	if (s->pass_told != lmm_device_session()) {
		describe(s, true);
		/* pairs with the acquire above */
		atomic_store_explicit(&s->pass_told, lmm_device_session(), memory_order_release);
	}
	pthread_mutex_unlock(&lock);
}

/* ---- as CUPTI calls them ------------------------------------------------------------------------ */

struct lmm_cu_stream *lmm_cu_stream_of_cupti(uint32_t id)
{
	unsigned n = atomic_load_explicit(&n_streams, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		if (atomic_load_explicit(&streams[i]->cupti, memory_order_relaxed) == id + 1)
			return streams[i];
	}
	return NULL;
}

struct lmm_cu_stream *lmm_cu_stream_name(struct lmm_cu_stream *s, uint32_t id)
{
	struct lmm_cu_stream *known = lmm_cu_stream_of_cupti(id);

	if (known) {
		pthread_mutex_lock(&lock);
		tell(known);
		pthread_mutex_unlock(&lock);
		return known;
	}
	if (!s || atomic_load(&s->cupti))
		s = learn(NULL);
	/* those have many names */
	if (s && s != atomic_load(&others))
		atomic_store(&s->cupti, id + 1);
	return s;
}

static void forget(struct lmm_cu_stream *s)
{
	atomic_store(&s->told, 0);
	atomic_store(&s->pass_told, 0);
	atomic_store(&s->next_pass, 0);
	atomic_store(&s->cupti, 0);
	atomic_store(&s->pass_clock_is_taken, 0);
	s->next_id = 0;
}

void lmm_cu_streams_after_fork(void)
{
	struct lmm_cu_stream *s = atomic_load(&others);
	unsigned n = atomic_load(&n_streams);

	pthread_mutex_init(&lock, NULL);
	for (unsigned i = 0; i < n; i++)
		forget(streams[i]);
	if (s)
		forget(s);
}
