/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that do the same work side by side, each with data of its own, which it touches first. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "calibrate/calibrate_internal.h"

#define CHUNK_BYTES ((size_t)256 << 10) /* between two looks at the clock: some 10 us */
#define ROUNDS	    ((uint64_t)2000)	/* likewise */

struct crew {
	const struct job *job;
	pthread_mutex_t gate; /* held until all threads are there */
	pthread_barrier_t barrier;
	int is_cancelled;
};

struct window {
	uint64_t begin, end, done;
};

struct worker {
	struct crew *crew;
	pthread_t thread;
	uint8_t *data;
	size_t at; /* in data, of what is read next */
	int rc;
	uint64_t sink; /* keeps results alive */
	struct window windows[REPETITIONS_MAX];
};

static int data_make(struct worker *w)
{
	const struct job *job = w->crew->job;
	uint64_t *word;
	void *p;

	if (job->work != WORK_READ)
		return 0;
	p = mmap(NULL, job->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	/* weights lie in large pages where the system gives them; misses of the TLB are not what is measured */
	(void)madvise(p, job->bytes, MADV_HUGEPAGE);
	w->data = p;
	word = p;
	for (size_t i = 0; i < job->bytes / sizeof(*word); i++)
		word[i] = i * 0x9e3779b97f4a7c15u;
	return 0;
}

/* A chunk of the work; what it was worth. */
static uint64_t chunk(struct worker *w)
{
	const struct job *job = w->crew->job;
	const struct kernels *k = job->kernels;
	uint64_t done = 0;

	switch (job->work) {
	case WORK_F32:
		w->sink += (uint64_t)k->f32(ROUNDS, 0.999f, 0.001f);
		return ROUNDS * k->f32_ops;
	case WORK_INT8:
		w->sink += (uint64_t)k->int8(ROUNDS, 0x01020304);
		return ROUNDS * k->int8_ops;
	case WORK_READ:
		break;
	}
	while (done < CHUNK_BYTES) {
		size_t left = job->bytes - w->at, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;

		w->sink += k->read(w->data + w->at, n);
		w->at = n == left ? 0 : w->at + n;
		done += n;
	}
	return done;
}

static struct window repetition(struct worker *w)
{
	struct window x = { .begin = lmm_mono_ns() };

	do {
		x.done += chunk(w);
		x.end = lmm_mono_ns();
	} while (x.end - x.begin < w->crew->job->repetition_ns);
	return x;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct crew *crew = w->crew;
	int is_cancelled;

	pthread_mutex_lock(&crew->gate);
	is_cancelled = crew->is_cancelled;
	pthread_mutex_unlock(&crew->gate);
	if (is_cancelled)
		return NULL;
	w->rc = data_make(w);
	for (uint32_t i = 0; i <= crew->job->repetitions; i++) {
		struct window x;

		pthread_barrier_wait(&crew->barrier);
		if (w->rc)
			continue;
		x = repetition(w);
		/* the first one warms up: clocks, caches, wide registers */
		if (i)
			w->windows[i - 1] = x;
	}
	if (w->data)
		munmap(w->data, crew->job->bytes);
	return NULL;
}

/* As many threads as could be made; they wait at the gate. */
static uint32_t crew_gather(struct crew *crew, struct worker *workers)
{
	uint32_t n = 0;

	for (; n < crew->job->threads; n++) {
		workers[n].crew = crew;
		if (pthread_create(&workers[n].thread, NULL, work, &workers[n]))
			break;
	}
	return n;
}

static int crew_run(struct crew *crew, struct worker *workers)
{
	uint32_t n;
	int rc = 0;

	pthread_mutex_lock(&crew->gate);
	n = crew_gather(crew, workers);
	crew->is_cancelled = n < crew->job->threads;
	pthread_mutex_unlock(&crew->gate);
	for (uint32_t i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		rc = rc ? rc : workers[i].rc;
	}
	return crew->is_cancelled ? -EAGAIN : rc;
}

static double rate_of(const struct worker *workers, uint32_t n, uint32_t repetition)
{
	struct window all = workers[0].windows[repetition];

	for (uint32_t i = 1; i < n; i++) {
		const struct window *x = &workers[i].windows[repetition];

		all.begin = x->begin < all.begin ? x->begin : all.begin;
		all.end = x->end > all.end ? x->end : all.end;
		all.done += x->done;
	}
	return (double)all.done / ((double)(all.end - all.begin) / 1e9);
}

int lmm__job_run(const struct job *job, double rates[REPETITIONS_MAX])
{
	struct crew crew = { .job = job, .gate = PTHREAD_MUTEX_INITIALIZER };
	struct worker *workers = calloc(job->threads, sizeof(*workers));
	int rc;

	if (!workers)
		return -ENOMEM;
	rc = -pthread_barrier_init(&crew.barrier, NULL, job->threads);
	if (rc == 0) {
		rc = crew_run(&crew, workers);
		pthread_barrier_destroy(&crew.barrier);
	}
	for (uint32_t r = 0; rc == 0 && r < job->repetitions; r++)
		rates[r] = rate_of(workers, job->threads, r);
	free(workers);
	return rc;
}
