/* SPDX-License-Identifier: Apache-2.0 */
/* What lmmeter costs a token: the program's calls recorded and not, in turn, in a row and with other data in between. */
#ifndef BENCH_TOKEN_H
#define BENCH_TOKEN_H

#include <dlfcn.h>
#include <time.h>

#include "bench.h"

static inline double token_median(struct bench *b)
{
	bench_sort(b);
	return bench_median(b);
}

/*
 * hot and cold each add one value to what they are given: ns of a token. Prints one JSON object; under lmmeter it has "on" and "off", else
 * only "bare". pause_ns: between rounds, for whoever reads what is recorded.
 */
static inline void token_bench(int rounds, long pause_ns, void (*hot)(struct bench *b),
			       void (*cold)(struct bench *b))
{
	static struct bench hots[2], colds[2];
	struct timespec pause = { 0, pause_ns };
	int (*set_recording)(int on);

	*(void **)&set_recording = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	for (int r = 0; r < 2 * rounds; r++) {
		if (set_recording)
			set_recording(r & 1);
		hot(&hots[r & 1]);
		cold(&colds[r & 1]);
		nanosleep(&pause, NULL);
	}
	if (set_recording) {
		set_recording(1);
		printf("{\"on_ns\":%.1f,\"off_ns\":%.1f,\"on_cold_ns\":%.1f,\"off_cold_ns\":%.1f}\n",
		       token_median(&hots[1]), token_median(&hots[0]), token_median(&colds[1]),
		       token_median(&colds[0]));
	} else {
		printf("{\"bare_ns\":%.1f,\"bare_cold_ns\":%.1f}\n", token_median(&hots[1]),
		       token_median(&colds[1]));
	}
}

#endif
