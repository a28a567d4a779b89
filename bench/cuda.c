/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA calls of a token as llama.cpp makes them (six inputs, each written between two waits, a graph launched, the logits read, a
 * wait), whose functions do nothing (cuda_callee.c): what lmmeter costs the token at its default level.
 *
 *	cuda            prints one JSON object; under lmmeter it has "on" and "off", else only "bare"; ns of a token, medians: of tokens
 *			in a row, and of single ones with other data in between, as after a wait for the device ("cold")
 */
#include <lmmeter/mark.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "token.h"

#define ROUNDS	  200
#define TOKENS	  50
#define OTHER	  (4u << 20) /* bytes that come between */
#define COLD_EACH 5

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int direction, void *stream);
int cudaStreamSynchronize(void *stream);
int cudaGraphLaunch(void *exec, void *stream);

static char stream, exec;
static unsigned char other[OTHER];

static void token(void)
{
	static struct lmm_mark_part part = { 1, 1, 1, 0 };

	lmm_mark_step_begin(LMM_MARK_DECODE, &part, 1);
	for (int i = 0; i < 6; i++) {
		cudaStreamSynchronize(&stream);
		cudaMemcpyAsync(NULL, NULL, 64, 1, &stream);
		cudaStreamSynchronize(&stream);
	}
	cudaGraphLaunch(&exec, &stream);
	cudaMemcpyAsync(NULL, NULL, 607744, 2, &stream);
	cudaStreamSynchronize(&stream);
	lmm_mark_step_end();
}

static void cold_take(struct bench *b)
{
	double sum = 0;

	for (int i = 0; i < COLD_EACH; i++) {
		uint64_t from;

		for (size_t k = 0; k < OTHER; k += 64)
			other[k]++;
		from = lmm_mono_ns();
		token();
		sum += (double)(lmm_mono_ns() - from);
	}
	b->ns[b->n++] = sum / COLD_EACH;
}

static void hot_take(struct bench *b)
{
	token();
	BENCH(b, TOKENS, token());
}

int main(void)
{
	token_bench(ROUNDS, 2000000, hot_take, cold_take);
	return 0;
}
