/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program on the fake engine, with everything a test may want to vary:
 *
 *	fake_engine [key=value …]
 *
 *	prompt=N	tokens per prompt (8)
 *	tokens=N	tokens to make per request (16)
 *	requests=N	one after the other on each context (1)
 *	slots=N		sequences decoded together, as a server does; each makes `requests` requests (1)
 *	contexts=N	threads, each with a context of its own (1)
 *	threads=N	compute threads (1)
 *	gap_us=N	busy time of the program's own behind each token (0)
 *	sampler=S	greedy, or dist: top-k, temp, dist (dist)
 *	fork=N		children that go on using the engine without exec (0)
 *	warmup=1	decode two tokens first and reset the counters, as llama-completion does
 *	end=HOW		return, exit, _exit, abort, segv, kill, hang (return)
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_ggml.h"
#include "fake_llama.h"

#define SLOTS_MAX	32
#define PROMPT_TEXT_MAX 65536

static struct {
	int prompt, tokens, requests, slots, contexts, threads, gap_us, forks, warmup, context;
	const char *sampler, *end;
} opt = { 8, 16, 1, 1, 1, 1, 0, 0, 0, 0, "dist", "return" };

static struct llama_model *model;
static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;

static int option(const char *arg)
{
	const struct {
		const char *key;
		int *number;
		const char **text;
	} keys[] = {
		{ "prompt", &opt.prompt, NULL },     { "tokens", &opt.tokens, NULL },
		{ "requests", &opt.requests, NULL }, { "slots", &opt.slots, NULL },
		{ "context", &opt.context, NULL },   { "contexts", &opt.contexts, NULL },
		{ "threads", &opt.threads, NULL },   { "gap_us", &opt.gap_us, NULL },
		{ "fork", &opt.forks, NULL },	     { "warmup", &opt.warmup, NULL },
		{ "sampler", NULL, &opt.sampler },   { "end", NULL, &opt.end },
	};
	const char *eq = strchr(arg, '=');

	for (size_t i = 0; eq && i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strncmp(arg, keys[i].key, (size_t)(eq - arg)) || keys[i].key[eq - arg])
			continue;
		if (keys[i].number)
			*keys[i].number = (int)strtol(eq + 1, NULL, 10);
		else
			*keys[i].text = eq + 1;
		return 0;
	}
	fprintf(stderr, "fake_engine: %s?\n", arg);
	return -1;
}

static struct llama_sampler *sampler_make(void)
{
	struct llama_sampler *s = llama_sampler_chain_init(true);

	if (!strcmp(opt.sampler, "greedy")) {
		llama_sampler_chain_add(s, llama_sampler_init_greedy());
		return s;
	}
	llama_sampler_chain_add(s, llama_sampler_init_top_k(40));
	llama_sampler_chain_add(s, llama_sampler_init_temp(0.8f));
	llama_sampler_chain_add(s, llama_sampler_init_dist(1));
	return s;
}

static void prompt_text(char *text, int request)
{
	int n = 0;

	for (int i = 0; i < opt.prompt && n < PROMPT_TEXT_MAX - 32; i++)
		n += snprintf(text + n, 32, "%sr%dw%d", i ? " " : "", request, i);
}

struct slot {
	llama_token next;
	int made; /* of the current request */
	int request;
	int n_prompt; /* to go into the next batch, 0: decoding */
	int pos;
	int row; /* where its output is in the batch */
	llama_token prompt[8192];
	struct llama_sampler *sampler;
};

static void slot_start(struct slot *s, llama_memory_t memory, int seq)
{
	static _Thread_local char text[PROMPT_TEXT_MAX];

	prompt_text(text, s->request);
	s->n_prompt = llama_tokenize(llama_model_get_vocab(model), text, (int)strlen(text),
				     s->prompt, 8192, true, true);
	if (s->n_prompt <= 0)
		abort();
	if (opt.slots == 1)
		llama_memory_clear(memory, true);
	else
		llama_memory_seq_rm(memory, seq, 0, -1);
	s->made = 0;
	s->pos = 0;
}

static void batch_add(struct llama_batch *b, llama_token token, int pos, int seq, int output)
{
	int i = b->n_tokens++;

	b->token[i] = token;
	b->pos[i] = pos;
	b->n_seq_id[i] = 1;
	b->seq_id[i][0] = seq;
	b->logits[i] = (int8_t)output;
}

/* What every slot wants next goes into one batch. */
static void batch_fill(struct llama_batch *b, struct slot *slots)
{
	b->n_tokens = 0;
	for (int k = 0; k < opt.slots; k++) {
		struct slot *s = &slots[k];

		s->row = -1;
		if (s->request >= opt.requests)
			continue;
		for (int i = 0; i < s->n_prompt; i++)
			batch_add(b, s->prompt[i], s->pos++, k, i == s->n_prompt - 1);
		if (!s->n_prompt)
			batch_add(b, s->next, s->pos++, k, 1);
		s->n_prompt = 0;
		s->row = b->n_tokens - 1;
	}
}

/* As llama.cpp's programs do when the context is full: the first four positions stay, half of the others go. */
static void slot_shift(struct slot *s, llama_memory_t memory, int seq)
{
	int n = (s->pos - 4) / 2;

	llama_memory_seq_rm(memory, seq, 4, 4 + n);
	llama_memory_seq_add(memory, seq, 4 + n, s->pos, -n);
	s->pos -= n;
	fake_spin_ns(2000000);
}

static void slot_take(struct slot *s, struct llama_context *ctx, int seq)
{
	char piece[64];

	s->next = llama_sampler_sample(s->sampler, ctx, s->row);
	s->made++;
	if (llama_token_to_piece(llama_model_get_vocab(model), s->next, piece, sizeof(piece), 0,
				 true) > 0) {
		pthread_mutex_lock(&print_lock);
		fputs(piece, stdout);
		pthread_mutex_unlock(&print_lock);
	}
	fake_spin_ns((uint64_t)opt.gap_us * 1000);
	if (s->made < opt.tokens) {
		if (opt.context && s->pos >= opt.context)
			slot_shift(s, llama_get_memory(ctx), seq);
		return;
	}
	s->request++;
	if (s->request < opt.requests)
		slot_start(s, llama_get_memory(ctx), seq);
}

/* As llama-server does when it is refused: half of what it holds goes, and it tries again. */
static int makes_room(struct llama_context *ctx, struct llama_batch *batch, struct slot *slots)
{
	struct slot *s = &slots[0];
	int n = batch->n_tokens, moved;

	if (opt.slots > 1 || s->pos <= n + 8)
		return 0;
	s->pos -= n;
	slot_shift(s, llama_get_memory(ctx), 0);
	moved = batch->pos[0] - s->pos;
	for (int i = 0; i < n; i++)
		batch->pos[i] -= moved;
	s->pos += n;
	return llama_decode(ctx, *batch) == 0;
}

/* llama-completion decodes two tokens before the prompt, to warm up. */
static void warm_up(struct llama_context *ctx)
{
	llama_token two[2] = { 1, 2 };

	llama_set_warmup(ctx, true);
	llama_decode(ctx, llama_batch_get_one(two, 2));
	llama_memory_clear(llama_get_memory(ctx), true);
	llama_synchronize(ctx);
	llama_perf_context_reset(ctx);
	llama_set_warmup(ctx, false);
}

static void *serve(void *arg)
{
	struct llama_context_params p = llama_context_default_params();
	struct llama_batch batch = llama_batch_init(8192, 0, 1);
	struct slot *slots = calloc(SLOTS_MAX, sizeof(*slots));
	struct llama_context *ctx;

	(void)arg;
	p.n_threads = p.n_threads_batch = opt.threads;
	p.n_seq_max = (uint32_t)opt.slots;
	ctx = llama_init_from_model(model, p);
	if (!ctx || !slots)
		abort();
	if (opt.warmup)
		warm_up(ctx);
	for (int k = 0; k < opt.slots; k++) {
		slots[k].sampler = sampler_make();
		slot_start(&slots[k], llama_get_memory(ctx), k);
	}
	for (;;) {
		batch_fill(&batch, slots);
		if (!batch.n_tokens)
			break;
		if (llama_decode(ctx, batch) && !makes_room(ctx, &batch, slots))
			abort();
		for (int k = 0; k < opt.slots; k++)
			if (slots[k].row >= 0)
				slot_take(&slots[k], ctx, k);
	}
	for (int k = 0; k < opt.slots; k++)
		llama_sampler_free(slots[k].sampler);
	llama_batch_free(batch);
	llama_free(ctx);
	free(slots);
	return NULL;
}

static void serve_all(void)
{
	pthread_t threads[256];
	int n = opt.contexts < 256 ? opt.contexts : 256;

	if (n == 1) {
		serve(NULL);
		return;
	}
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, serve, NULL))
			abort();
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static int leave(void)
{
	fflush(stdout);
	if (!strcmp(opt.end, "exit"))
		exit(3);
	if (!strcmp(opt.end, "_exit"))
		_exit(4);
	if (!strcmp(opt.end, "abort"))
		abort();
	if (!strcmp(opt.end, "segv"))
		raise(SIGSEGV);
	if (!strcmp(opt.end, "kill"))
		raise(SIGKILL);
	while (!strcmp(opt.end, "hang"))
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc; i++)
		if (option(argv[i]))
			return 2;
	if (opt.slots < 1 || opt.slots > SLOTS_MAX || opt.prompt < 1 || opt.prompt > 4096)
		return 2;
	model = llama_model_load_from_file("/nowhere/fake.gguf", llama_model_default_params());
	if (!model)
		return 1;
	serve_all();
	for (int i = 0; i < opt.forks; i++) {
		fflush(stdout);
		if (fork() == 0) {
			serve_all();
			fflush(stdout);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			return 1;
	putchar('\n');
	return leave();
}
