/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call through lmmeter's door, against the same call without: how much a phase (begin, end, and the interval before it)
 * and a hook that is switched off cost from end to end.
 *
 *	hook        prints one JSON object; under lmmeter it has "on" and "off", else only "bare"
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALLS  2000
#define ROUNDS 200

/* In a library of its own (hook_callee.c), as an engine's functions are. */
int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf, int32_t len, int32_t lstrip,
			     _Bool special);

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double round_ns(void)
{
	double from = now_ns();
	char buf[8];

	for (int i = 0; i < CALLS; i++)
		llama_token_to_piece(NULL, i, buf, sizeof(buf), 0, 0);
	return (now_ns() - from) / CALLS;
}

int main(void)
{
	int (*set_recording)(int on);
	double best[2] = { 1e9, 1e9 };
	struct timespec pause = { 0, 3000000 };

	*(void **)&set_recording = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	for (int r = 0; r < ROUNDS; r++) {
		double ns;

		if (set_recording)
			set_recording(r & 1);
		ns = round_ns();
		if (ns < best[r & 1])
			best[r & 1] = ns;
		/* so that the collector empties the ring: a full one is cheaper */
		nanosleep(&pause, NULL);
	}
	if (set_recording) {
		set_recording(1);
		printf("{\"on_ns\":%.3f,\"off_ns\":%.3f}\n", best[1], best[0]);
	} else {
		printf("{\"bare_ns\":%.3f}\n", best[0] < best[1] ? best[0] : best[1]);
	}
	return 0;
}
