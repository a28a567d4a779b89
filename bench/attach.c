/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a recording that has ended. One process loads the model and forks twice: two children with the same memory at the
 * same addresses, of which one is attached to and detached from and the other never is. They decode in turns, a block each, so that
 * the machine's drift meets both alike.
 *
 *	attach MODEL
 *
 * First line: the numbers of the children. Then, for each line "CHILD TOKENS" read: the ns of each token of that child, in one line.
 * Run it with liblmmeter.so asleep in it; compiled by bench/run against the fetched engine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ggml-backend.h"
#include "llama.h"

#define PROMPT	128
#define CONTEXT 512

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

static void decode(struct llama_context *ctx, llama_token *tokens, int n)
{
	if (llama_decode(ctx, llama_batch_get_one(tokens, n)))
		exit(1);
	llama_synchronize(ctx);
}

static void prompt(struct llama_context *ctx)
{
	llama_token tokens[PROMPT];

	for (int i = 0; i < PROMPT; i++)
		tokens[i] = 100 + i * 7;
	llama_memory_clear(llama_get_memory(ctx), true);
	decode(ctx, tokens, PROMPT);
}

/* Decodes what is asked for on its pipe; both children are at the same position after as many tokens. */
static void child(struct llama_context *ctx, int from)
{
	FILE *in = fdopen(from, "r");
	int n, at = PROMPT;

	while (in && fscanf(in, "%d", &n) == 1) {
		for (int i = 0; i < n; i++) {
			llama_token token = 100 + at;
			double from_ns;

			if (at == CONTEXT) {
				llama_memory_seq_rm(llama_get_memory(ctx), 0, PROMPT, -1);
				at = PROMPT;
			}
			from_ns = now_ns();
			decode(ctx, &token, 1);
			printf("%.0f ", now_ns() - from_ns);
			at++;
		}
		printf("\n");
		fflush(stdout);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct llama_context_params p = llama_context_default_params();
	struct llama_model *model;
	struct llama_context *ctx;
	FILE *to[2];
	pid_t pid[2];
	int which, n;

	if (argc < 2)
		return 2;
	llama_log_set(quiet, NULL);
	ggml_backend_load_all();
	model = llama_model_load_from_file(argv[1], llama_model_default_params());
	p.n_ctx = CONTEXT;
	p.n_threads = p.n_threads_batch = 1; /* threads do not survive a fork */
	ctx = model ? llama_init_from_model(model, p) : NULL;
	if (!ctx)
		return 1;
	prompt(ctx);
	for (int i = 0; i < 2; i++) {
		int ends[2];

		if (pipe(ends))
			return 1;
		pid[i] = fork();
		if (pid[i] == 0) {
			close(ends[1]);
			child(ctx, ends[0]);
		}
		close(ends[0]);
		to[i] = fdopen(ends[1], "w");
	}
	printf("%d %d\n", (int)pid[0], (int)pid[1]);
	fflush(stdout);
	while (scanf("%d %d", &which, &n) == 2) {
		fprintf(to[which & 1], "%d\n", n);
		fflush(to[which & 1]);
	}
	return 0;
}
