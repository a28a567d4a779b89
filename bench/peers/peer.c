/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same work for tools of the same kind: a begin and an end around nothing. What one pair costs, smallest of many rounds.
 * PEER_LTTNG: two tracepoints. Else a leaf function: -pg makes it uftrace's entry and exit, a uprobe makes it perf's.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef PEER_LTTNG
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "peer_lttng_tp.h"
#define PAIR(i)                                                                                    \
	lttng_ust_tracepoint(lmmbench, begin, (i));                                                \
	lttng_ust_tracepoint(lmmbench, end, (i))
#else
__attribute__((noinline)) uint32_t peer_leaf(uint32_t i);
__attribute__((noinline)) uint32_t peer_leaf(uint32_t i)
{
	__asm__ volatile("");
	return i + 1;
}
#define PAIR(i) peer_leaf(i)
#endif

__attribute__((no_instrument_function)) static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
	double best = 1e18;

	for (int r = 0; r < 15; r++) {
		double from = now_ns();

		for (long i = 0; i < n; i++) {
			PAIR((uint32_t)i);
		}
		from = (now_ns() - from) / (double)n;
		best = from < best ? from : best;
	}
	printf("%.3f\n", best);
	return 0;
}
