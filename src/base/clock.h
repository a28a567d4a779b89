/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks. "Ticks" are what the hot path stamps: the raw counter where it is invariant, else nanoseconds of
 * CLOCK_MONOTONIC. One session uses one kind, chosen once by the lmmeter process (or by the embedded collector).
 */
#ifndef LMM_BASE_CLOCK_H
#define LMM_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "lmmeter/trace.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t lmm_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The raw counter of this architecture; CLOCK_MONOTONIC where there is none. Not serialising, on purpose. */
static inline uint64_t lmm_counter(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return lmm_mono_ns();
#endif
}

/* Processor time of this process. */
static inline uint64_t lmm_cpu_ns(void)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A stamp of the given kind. kind is constant for a session, so the branch predicts. */
static inline uint64_t lmm_ticks(uint8_t kind)
{
	if (__builtin_expect(kind == LMM_CLOCK_MONOTONIC, 0))
		return lmm_mono_ns();
	return lmm_counter();
}

/*
 * The best kind for this machine: the raw counter if the hardware says that it is invariant and the kernel does not
 * distrust it (its own clock source), CLOCK_MONOTONIC otherwise. LMMETER_CLOCK=monotonic forces the latter.
 */
enum lmm_clock_kind lmm_clock_choose(void);

/*
 * Reads counter and CLOCK_MONOTONIC together: tries `tries` times and keeps the tightest bracket.
 * *error_ns gets half the bracket's width.
 */
void lmm_clock_pair(enum lmm_clock_kind kind, int tries, struct lmm_clock *out);

/*
 * Straight-line conversion through a growing list of pairs. Bounded: keeps the first, the newest and up to
 * LMM_CLOCK_FIT_MAX - 2 evenly spread ones between. Zeroed it is empty.
 */
#define LMM_CLOCK_FIT_MAX 256

struct lmm_clock_fit {
	struct lmm_clock
		pairs[LMM_CLOCK_FIT_MAX]; /* every stride-th of those taken, and the newest */
	uint32_t n;
	uint32_t stride; /* 0 counts as 1 */
	uint32_t to_go;	 /* until the newest may stay; till then the next takes its place */
};

/* Pairs must come in order: one that does not lie behind the newest, by either clock, is left out. */
void lmm_clock_fit_add(struct lmm_clock_fit *fit, const struct lmm_clock *pair);

/* See lmm_trace_ns(). */
uint64_t lmm_clock_fit_ns(const struct lmm_clock_fit *fit, uint64_t ticks);

/* Nanoseconds per tick over the whole fit; 1.0 with fewer than two pairs. */
double lmm_clock_fit_rate(const struct lmm_clock_fit *fit);

#endif
