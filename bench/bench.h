/* SPDX-License-Identifier: Apache-2.0 */
/* Timing loops that share a run: every round measures all candidates one after the other, so that a slow moment hits all. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define BENCH_ROUNDS_MAX 256

struct bench {
	const char *name;
	double ns[BENCH_ROUNDS_MAX]; /* per iteration, one value per round */
	int n;
};

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline void bench_sort(struct bench *b)
{
	qsort(b->ns, (size_t)b->n, sizeof(b->ns[0]), bench_compare);
}

static inline double bench_min(const struct bench *b)
{
	return b->n ? b->ns[0] : 0;
}

static inline double bench_median(const struct bench *b)
{
	return b->n ? b->ns[b->n / 2] : 0;
}

/* body runs n times; the cost of one goes into b. */
#define BENCH(b, iterations, body)                                                                 \
	do {                                                                                       \
		uint64_t bench_from = lmm_mono_ns();                                               \
		for (long bench_i = 0; bench_i < (iterations); bench_i++) {                        \
			body;                                                                      \
			__asm__ volatile("" ::: "memory");                                         \
		}                                                                                  \
		(b)->ns[(b)->n++] = (double)(lmm_mono_ns() - bench_from) / (double)(iterations);   \
	} while (0)

#endif
