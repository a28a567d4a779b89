/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mark of lmmeter/mark.h costs: a span (begin and end) and a token, less an empty loop, beside two reads of the clock.
 *
 *	mark [ROUNDS]	prints a line for each round: what it is, and ns of the loop with it and of the empty one in turn
 *
 * Without lmmeter: a span's two marks with nobody there. Under it, with recording on and off in turn.
 */
#include <lmmeter/mark.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define ITERATIONS 100000L
#define SPANS	   20000L /* a third of what a ring holds */
#define BURST	   64L	  /* as a program's spans come: some, after a pause */

static double per_iteration(uint64_t from, long n)
{
	return (double)(lmm_mono_ns() - from) / (double)n;
}

/* The compiler may keep nothing from one iteration to the next: each mark looks by itself. */
#define LOOP(n, body)                                                                              \
	do {                                                                                       \
		for (long i_ = 0; i_ < (n); i_++) {                                                \
			body;                                                                      \
			__asm__ volatile("" ::: "memory");                                         \
		}                                                                                  \
	} while (0)

static void compare(const char *what, long n, int is_token)
{
	static struct lmm_mark_site site = LMM_MARK_SITE("span");
	uint64_t from = lmm_mono_ns();
	double with, empty;

	if (is_token) {
		LOOP(n, lmm_mark_token(1));
	} else {
		LOOP(n, lmm_mark_span_begin(&site); __asm__ volatile("" ::
									     : "memory");
		     lmm_mark_span_end());
	}
	with = per_iteration(from, n);
	from = lmm_mono_ns();
	LOOP(n, (void)0);
	empty = per_iteration(from, n);
	printf("%s %.4f %.4f\n", what, with, empty);
}

static void clocks(long n)
{
	uint8_t clock = (uint8_t)lmm_clock_choose();
	volatile uint64_t sink = 0;
	uint64_t from = lmm_mono_ns();
	double with, empty;

	LOOP(n, sink = lmm_ticks(clock); sink = lmm_ticks(clock));
	with = per_iteration(from, n);
	from = lmm_mono_ns();
	LOOP(n, (void)0);
	empty = per_iteration(from, n);
	(void)sink;
	printf("clocks %.4f %.4f\n", with, empty);
}

int main(int argc, char **argv)
{
	int (*set_recording)(int on);
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
	struct timespec pause = { 0, 30000000 };

	*(void **)&set_recording = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	for (long r = 0; r < rounds; r++) {
		clocks(SPANS);
		if (!set_recording) {
			compare("absent_pair", ITERATIONS, 0);
			compare("absent_token", ITERATIONS, 1);
			continue;
		}
		set_recording(1);
		compare("recorded_pair", SPANS, 0);
		/* so that the collector empties the ring: a full one is cheaper */
		nanosleep(&pause, NULL);
		compare("burst_pair", BURST, 0);
		set_recording(0);
		compare("asleep_pair", ITERATIONS, 0);
	}
	if (set_recording)
		set_recording(1);
	return 0;
}
