/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA calls of a token as llama.cpp makes them (six inputs, each written and waited for, a graph launched, the logits read, a wait),
 * whose functions do nothing (cuda_callee.c): what lmmeter costs the token at its default level.
 *
 *	cuda            prints one JSON object; under lmmeter it has "on" and "off", else only "bare"; ns of a token, medians: of tokens
 *			in a row, and of single ones with other data in between, as after a wait for the device ("cold")
 */
#include <lmmeter/mark.h>

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS	  200
#define TOKENS	  50
#define OTHER	  (4u << 20) /* bytes that come between */
#define COLD_EACH 5

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int direction, void *stream);
int cudaStreamSynchronize(void *stream);
int cudaGraphLaunch(void *exec, void *stream);

static char stream, exec;
static unsigned char other[OTHER];

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void token(void)
{
	static struct lmm_mark_part part = { 1, 1, 1, 0 };

	lmm_mark_step_begin(LMM_MARK_DECODE, &part, 1);
	for (int i = 0; i < 6; i++) {
		cudaMemcpyAsync(NULL, NULL, 64, 1, &stream);
		cudaStreamSynchronize(&stream);
	}
	cudaGraphLaunch(&exec, &stream);
	cudaMemcpyAsync(NULL, NULL, 607744, 2, &stream);
	cudaStreamSynchronize(&stream);
	lmm_mark_step_end();
}

static double tokens_ns(void)
{
	double from = now_ns();

	for (int i = 0; i < TOKENS; i++)
		token();
	return (now_ns() - from) / TOKENS;
}

static double cold_ns(void)
{
	double sum = 0;

	for (int i = 0; i < COLD_EACH; i++) {
		double from;

		for (size_t k = 0; k < OTHER; k += 64)
			other[k]++;
		from = now_ns();
		token();
		sum += now_ns() - from;
	}
	return sum / COLD_EACH;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

int main(void)
{
	static double hot[2][ROUNDS], cold[2][ROUNDS];
	struct timespec pause = { 0, 2000000 };
	int (*set_recording)(int on);

	*(void **)&set_recording = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	for (int r = 0; r < 2 * ROUNDS; r++) {
		if (set_recording)
			set_recording(r & 1);
		token();
		hot[r & 1][r / 2] = tokens_ns();
		cold[r & 1][r / 2] = cold_ns();
		nanosleep(&pause, NULL);
	}
	if (set_recording) {
		set_recording(1);
		printf("{\"on_ns\":%.1f,\"off_ns\":%.1f,\"on_cold_ns\":%.1f,\"off_cold_ns\":%.1f}\n",
		       median(hot[1], ROUNDS), median(hot[0], ROUNDS), median(cold[1], ROUNDS),
		       median(cold[0], ROUNDS));
	} else {
		printf("{\"bare_ns\":%.1f,\"bare_cold_ns\":%.1f}\n", median(hot[1], ROUNDS),
		       median(cold[1], ROUNDS));
	}
	return 0;
}
