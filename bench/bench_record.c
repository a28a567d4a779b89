/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a record costs against what the clock alone costs, in one process: the code of src/wire/ring.h as the injected
 * library compiles it, into a ring of the default size in shared memory, emptied as a collector would.
 *
 *	bench_record [THREADS] [ROUNDS]      prints one JSON object
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "wire/ring.h"

#define ITERATIONS  200000
#define RING_BYTES  (LMM_RING_HEADER_BYTES + ((size_t)2 << 20))
#define THREADS_MAX 16

enum { EMPTY, ONE_READ, TWO_READS, PAIR, OP, WIDE, DROP, PASS, N_CASES };

static const char *const names[N_CASES] = {
	"empty_loop", "clock_read", "two_clock_reads", "begin_end_pair",
	"operator",   "wide_event", "dropped_event",   "disabled_hook",
};

static _Atomic uint32_t never;
static const _Atomic uint32_t *volatile recording_word = &never;
static pthread_barrier_t together;
static int rounds = 25;

struct worker {
	pthread_t thread;
	struct bench b[N_CASES];
	struct lmm_ring *ring;
	uint64_t lost;
};

/* As the collector releases what it has read; here nobody reads. */
static inline void empty_ring(struct lmm_writer *w)
{
	if ((w->head & 8191) < 2)
		atomic_store_explicit(&w->ring->tail, w->head, memory_order_release);
}

static void measure(struct worker *k, uint8_t clock)
{
	const _Atomic uint32_t *word = recording_word;
	volatile uint64_t sink = 0;
	struct lmm_writer w, full;
	struct lmm_ring *small = aligned_alloc(64, 4096);

	if (!small)
		abort();
	memset(small, 0, 4096);
	lmm_ring_init(small, 4096);
	lmm_writer_attach(&w, k->ring, clock);
	lmm_writer_attach(&full, small, clock);
	while (full.lost == 0)
		lmm_writer_put(&full, 0, lmm_word(LMM_EV_TOKEN, 0, 0, 0));
	BENCH(&k->b[EMPTY], ITERATIONS, (void)0);
	BENCH(&k->b[ONE_READ], ITERATIONS, sink = lmm_ticks(clock));
	BENCH(&k->b[TWO_READS], ITERATIONS, sink = lmm_ticks(clock); sink = lmm_ticks(clock));
	BENCH(&k->b[PAIR], ITERATIONS, {
		lmm_writer_put(&w, lmm_ticks(clock),
			       lmm_word(LMM_EV_PHASE_BEGIN, LMM_PHASE_SAMPLING, 0, 7));
		lmm_writer_put(&w, lmm_ticks(clock),
			       lmm_word(LMM_EV_PHASE_END, LMM_PHASE_SAMPLING, 0, 7));
		empty_ring(&w);
	});
	BENCH(&k->b[OP], ITERATIONS, {
		lmm_writer_put(&w, lmm_ticks(clock), lmm_word_op(LMM_EV_OP, &w));
		empty_ring(&w);
	});
	BENCH(&k->b[WIDE], ITERATIONS, {
		lmm_writer_put_wide(&w, lmm_ticks(clock),
				    lmm_word(LMM_EV_STEP, LMM_PHASE_DECODE, 0, 7), 1, 2);
		empty_ring(&w);
	});
	BENCH(&k->b[DROP], ITERATIONS,
	      lmm_writer_put(&full, lmm_ticks(clock), lmm_word(LMM_EV_TOKEN, 0, 0, 0)));
	BENCH(&k->b[PASS], ITERATIONS, {
		if (lmm_unlikely(atomic_load_explicit(word, memory_order_relaxed) & 1u))
			sink = lmm_ticks(clock);
	});
	(void)sink;
	k->lost += w.lost;
	free(small);
}

static void *work(void *arg)
{
	struct worker *k = arg;
	uint8_t clock = (uint8_t)lmm_clock_choose();

	for (int r = 0; r < rounds; r++) {
		pthread_barrier_wait(&together);
		measure(k, clock);
	}
	return NULL;
}

static void print(struct worker *k, int threads)
{
	double floor, pair;

	printf("{\"threads\":%d,\"rounds\":%d,\"clock\":\"%s\",\"lost\":%llu", threads, rounds,
	       lmm_clock_choose() == LMM_CLOCK_MONOTONIC ? "monotonic" : "counter",
	       (unsigned long long)k->lost);
	for (int i = 0; i < N_CASES; i++) {
		bench_sort(&k->b[i]);
		printf(",\"%s_ns\":{\"min\":%.3f,\"median\":%.3f}", names[i], bench_min(&k->b[i]),
		       bench_median(&k->b[i]));
	}
	floor = bench_min(&k->b[TWO_READS]);
	pair = bench_min(&k->b[PAIR]);
	printf(",\"pair_over_clock\":%.4f,\"disabled_ns\":%.3f}\n", pair / floor,
	       bench_min(&k->b[PASS]) - bench_min(&k->b[EMPTY]));
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;

	if (argc > 2)
		rounds = (int)strtol(argv[2], NULL, 10);
	if (threads < 1 || threads > THREADS_MAX || rounds < 1 || rounds > BENCH_ROUNDS_MAX)
		return 2;
	pthread_barrier_init(&together, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++) {
		void *p = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (p == MAP_FAILED || lmm_ring_init(p, RING_BYTES))
			return 1;
		workers[i].ring = p;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	for (int i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	print(&workers[0], threads);
	return 0;
}
