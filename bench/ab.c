/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recording costs a real model, compared within one process: blocks of decoded tokens (or of prefills) run with
 * recording on and off, in random order, so that the machine's drift meets both alike.
 *
 *	ab MODEL THREADS decode|prefill PAIRS on|same SECONDS
 *
 * "same" switches nothing: what is then seen is the noise floor (A/A). Prints a line per call: arm, block, ns.
 * Run it under lmmeter; compiled by bench/run against the fetched engine.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml-backend.h"
#include "llama.h"

#define PROMPT	  64
#define CONTEXT	  128 /* every block starts here, so that both arms attend to as much */
#define PER_BLOCK 10
#define WARM	  2 /* calls behind a switch that are not counted: the graph is described anew */

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void quiet(enum ggml_log_level level, const char *text, void *ctx)
{
	(void)level;
	(void)text;
	(void)ctx;
}

static double call(struct llama_context *ctx, llama_token *tokens, int n)
{
	double from = now_ns();

	if (llama_decode(ctx, llama_batch_get_one(tokens, n)))
		exit(1);
	llama_synchronize(ctx);
	return now_ns() - from;
}

static void block(struct llama_context *ctx, int arm, int number, int prefill)
{
	llama_token tokens[CONTEXT];
	int n = prefill ? PROMPT : 1;

	for (int i = 0; i < CONTEXT; i++)
		tokens[i] = 100 + i * 7;
	llama_memory_clear(llama_get_memory(ctx), true);
	if (!prefill)
		call(ctx, tokens, CONTEXT);
	for (int i = 0; i < (prefill ? 3 : PER_BLOCK + WARM); i++) {
		double ns;

		if (prefill)
			llama_memory_clear(llama_get_memory(ctx), true);
		ns = call(ctx, tokens, n);
		if (i >= (prefill ? 1 : WARM))
			printf("%d %d %.0f\n", arm, number, ns);
	}
}

int main(int argc, char **argv)
{
	struct llama_context_params p = llama_context_default_params();
	struct llama_model *model;
	struct llama_context *ctx;
	int (*set_recording)(int on);
	int prefill, pairs;
	double until;

	if (argc < 7)
		return 2;
	llama_log_set(quiet, NULL);
	ggml_backend_load_all();
	model = llama_model_load_from_file(argv[1], llama_model_default_params());
	p.n_ctx = 512;
	p.n_threads = p.n_threads_batch = (int)strtol(argv[2], NULL, 10);
	ctx = model ? llama_init_from_model(model, p) : NULL;
	if (!ctx)
		return 1;
	prefill = !strcmp(argv[3], "prefill");
	pairs = (int)strtol(argv[4], NULL, 10);
	*(void **)&set_recording = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	if (!set_recording) {
		fprintf(stderr, "ab: lmmeter's library is not loaded\n");
		return 1;
	}
	until = now_ns() + 1e9 * (double)strtol(argv[6], NULL, 10);
	block(ctx, 9, -1, prefill); /* warm-up; arm 9 is dropped */
	srand(12345);
	for (int i = 0; i < pairs && now_ns() < until; i++) {
		int first = rand() >> 8 & 1;

		for (int k = 0; k < 2; k++) {
			int on = first ^ k;

			/* A/A switches as often as A/B, to the same state */
			set_recording(!strcmp(argv[5], "same") ? 0 : on);
			block(ctx, on, i, prefill);
		}
	}
	set_recording(1);
	llama_free(ctx);
	llama_model_free(model);
	return 0;
}
