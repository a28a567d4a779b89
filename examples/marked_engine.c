/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine of a hundred lines that lmmeter knows nothing of but what its marks say: letters are tokens, the model is one
 * layer of random weights.
 *
 *	cc -O2 -I include examples/marked_engine.c -o marked_engine -lm
 *	lmmeter run -- ./marked_engine "once upon a time" 32
 *
 * usage: marked_engine [PROMPT [TOKENS [REQUESTS]]]	says on stderr what it measured itself
 */
#include <lmmeter/mark.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VOCABULARY 256
#define WIDTH	   192
#define CONTEXT	   1024

static float embedding[VOCABULARY][WIDTH], weight[WIDTH][WIDTH], head[VOCABULARY][WIDTH];
static float state[WIDTH], logits[VOCABULARY];

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fill(float *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		w[i] = ((float)rand() / (float)RAND_MAX - 0.5f) * 0.2f;
}

static void load(void)
{
	lmm_mark_phase_begin(LMM_MARK_MODEL_LOAD, LMM_MARK_NO_REQUEST);
	fill(&embedding[0][0], VOCABULARY * WIDTH);
	fill(&weight[0][0], WIDTH * WIDTH);
	fill(&head[0][0], VOCABULARY * WIDTH);
	lmm_mark_phase_end(LMM_MARK_MODEL_LOAD);
	lmm_mark_count(LMM_MARK_MODEL_LOAD, sizeof(embedding) + sizeof(weight) + sizeof(head));
}

/* One token goes through the layer. */
static void layer(unsigned char token)
{
	float out[WIDTH];

	for (int i = 0; i < WIDTH; i++) {
		float sum = embedding[token][i];

		for (int k = 0; k < WIDTH; k++)
			sum += weight[i][k] * state[k];
		out[i] = tanhf(sum);
	}
	memcpy(state, out, sizeof(state));
}

/* A forward pass: n tokens in, the logits behind the last one out. */
static void forward(unsigned long request, const unsigned char *token, unsigned n, unsigned at)
{
	struct lmm_mark_part part = { request, n, 1, at };

	lmm_mark_step_begin(LMM_MARK_AUTO, &part, 1);
	LMM_MARK_SPAN_BEGIN("layer");
	for (unsigned i = 0; i < n; i++)
		layer(token[i]);
	LMM_MARK_SPAN_END();
	LMM_MARK_SPAN_BEGIN("head");
	for (int i = 0; i < VOCABULARY; i++) {
		logits[i] = 0;
		for (int k = 0; k < WIDTH; k++)
			logits[i] += head[i][k] * state[k];
	}
	LMM_MARK_SPAN_END();
	lmm_mark_step_end();
}

static unsigned char sample(unsigned long request)
{
	int best = 'a';

	lmm_mark_phase_begin(LMM_MARK_SAMPLING, request);
	for (int i = 'a'; i <= 'z'; i++)
		best = logits[i] > logits[best] ? i : best;
	lmm_mark_token(request);
	lmm_mark_phase_end(LMM_MARK_SAMPLING);
	return (unsigned char)best;
}

static void answer(unsigned long request, const char *prompt, int n_out)
{
	unsigned char token[CONTEXT];
	unsigned n = 0;
	double start, first = 0;

	memset(state, 0, sizeof(state));
	start = now_ms();
	lmm_mark_request_begin(request);
	lmm_mark_phase_begin(LMM_MARK_TOKENIZE, request);
	while (n < CONTEXT / 2 && prompt[n]) {
		token[n] = (unsigned char)prompt[n];
		n++;
	}
	lmm_mark_phase_end(LMM_MARK_TOKENIZE);
	lmm_mark_count(LMM_MARK_TOKENIZE, n);
	for (int i = 0; i < n_out && n < CONTEXT; i++) {
		forward(request, i ? &token[n - 1] : token, i ? 1 : n, i ? n - 1 : 0);
		token[n++] = sample(request);
		if (i == 0)
			first = now_ms();
		lmm_mark_phase_begin(LMM_MARK_DETOKENIZE, request);
		putchar(token[n - 1]);
		lmm_mark_phase_end(LMM_MARK_DETOKENIZE);
	}
	lmm_mark_request_end(request);
	fprintf(stderr, "request %lu: ttft_ms %.6f wall_ms %.6f\n", request, first - start,
		now_ms() - start);
}

int main(int argc, char **argv)
{
	const char *prompt = argc > 1 && argv[1][0] ? argv[1] : "once upon a time";
	int n_out = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 32;
	long requests = argc > 3 ? strtol(argv[3], NULL, 10) : 1;

	lmm_mark_engine("marked_engine", "1.0");
	load();
	for (long i = 0; i < requests; i++)
		answer((unsigned long)i, prompt, n_out);
	putchar('\n');
	return 0;
}
