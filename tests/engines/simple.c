/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program on llama.cpp's public interface: greedy text from a prompt. It is compiled unchanged against
 * every release that the tests take, so that one program meets all of them.
 *
 *	simple MODEL THREADS TOKENS PROMPT [GENERATIONS]
 *
 * Several generations run one after the other on one context, with its memory emptied between them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ggml-backend.h"
#include "llama.h"

#define PROMPT_MAX 1024

static void quiet(enum ggml_log_level level, const char *text, void *ctx)
{
	(void)ctx;
	if (level >= GGML_LOG_LEVEL_ERROR && level < GGML_LOG_LEVEL_CONT)
		fputs(text, stderr);
}

static struct llama_context *context_new(struct llama_model *model, int threads)
{
	struct llama_context_params p = llama_context_default_params();

	p.n_ctx = 2048;
	p.n_batch = 512;
	p.n_threads = threads;
	p.n_threads_batch = threads;
	return llama_init_from_model(model, p);
}

/* Returns the number of tokens made, or -1. */
static int generate(struct llama_context *ctx, const struct llama_vocab *vocab, const char *prompt,
		    int n)
{
	llama_token tokens[PROMPT_MAX], next;
	int n_prompt =
		llama_tokenize(vocab, prompt, (int)strlen(prompt), tokens, PROMPT_MAX, true, true);
	struct llama_sampler *sampler =
		llama_sampler_chain_init(llama_sampler_chain_default_params());
	struct llama_batch batch;
	int made = 0;

	if (n_prompt <= 0 || !sampler)
		return -1;
	llama_sampler_chain_add(sampler, llama_sampler_init_greedy());
	batch = llama_batch_get_one(tokens, n_prompt);
	while (made < n) {
		char piece[256];
		int len;

		if (llama_decode(ctx, batch)) {
			made = -1;
			break;
		}
		next = llama_sampler_sample(sampler, ctx, -1);
		made++;
		if (llama_vocab_is_eog(vocab, next))
			break;
		len = llama_token_to_piece(vocab, next, piece, sizeof(piece), 0, true);
		if (len > 0)
			fwrite(piece, 1, (size_t)len, stdout);
		batch = llama_batch_get_one(&next, 1);
	}
	putchar('\n');
	llama_sampler_free(sampler);
	return made;
}

int main(int argc, char **argv)
{
	struct llama_model_params mp;
	struct llama_model *model;
	struct llama_context *ctx;
	int generations, made = 0;

	if (argc < 5) {
		fprintf(stderr, "usage: %s MODEL THREADS TOKENS PROMPT [GENERATIONS]\n", argv[0]);
		return 2;
	}
	generations = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 1;
	llama_log_set(quiet, NULL);
	ggml_backend_load_all();
	mp = llama_model_default_params();
	model = llama_model_load_from_file(argv[1], mp);
	if (!model)
		return 1;
	ctx = context_new(model, (int)strtol(argv[2], NULL, 10));
	if (!ctx)
		return 1;
	for (int i = 0; i < generations && made >= 0; i++) {
#ifdef LLAMA_OLD_KV
		llama_kv_cache_clear(ctx);
#else
		llama_memory_clear(llama_get_memory(ctx), true);
#endif
		made = generate(ctx, llama_model_get_vocab(model), argv[4],
				(int)strtol(argv[3], NULL, 10));
	}
	fprintf(stderr, "simple: %d tokens\n", made);
	llama_free(ctx);
	llama_model_free(model);
	return made < 0;
}
