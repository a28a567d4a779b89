/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An independent record of an engine's calls: CLOCK_MONOTONIC before and after each, in a mapping of its own. It is
 * preloaded before lmmeter's library, shares no code with it, and is the outside truth that requests, phases and their sum
 * are compared with.
 *
 * TEST_RECORDER=PREFIX: the file PREFIX.<pid> holds struct log; tests/support/truth.py reads it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "next.h"

#define ENTRIES_MAX (1u << 20)

/* Numbers are known to truth.py. */
enum call {
	CALL_DECODE = 1,     /* value: tokens of the batch */
	CALL_TOKENIZE = 2,   /* value: what it returned */
	CALL_PIECE = 3,	     /* llama_token_to_piece */
	CALL_APPLY = 4,	     /* llama_sampler_apply, outermost only */
	CALL_ACCEPT = 5,     /* llama_sampler_accept, outermost only */
	CALL_COPY = 6,	     /* ggml_backend_tensor_get_async; value: bytes */
	CALL_SAMPLE = 7,     /* llama_sampler_sample */
	CALL_PERF_RESET = 8, /* llama_perf_context_reset */
	CALL_DETOKENIZE = 10,
};

struct entry {
	uint64_t from_ns;
	uint64_t to_ns; /* 0: still in the call */
	uint32_t call;
	uint32_t tid;
	int64_t value;
	uint64_t object; /* context or sampler */
};

struct log {
	_Atomic uint64_t n; /* may pass ENTRIES_MAX; the rest is not kept */
	uint64_t pad[7];
	struct entry e[ENTRIES_MAX];
};

static struct log *entries;
static struct entry lost;

static void log_open(void)
{
	const char *prefix = getenv("TEST_RECORDER");
	char path[4096];
	void *p;
	int fd, n;

	entries = NULL;
	if (!prefix)
		return;
	n = snprintf(path, sizeof(path), "%s.%ld", prefix, (long)getpid());
	if (n < 0 || (size_t)n >= sizeof(path))
		return;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(struct log)) == 0) {
		p = mmap(NULL, sizeof(struct log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED)
			entries = p;
	}
	close(fd);
}

__attribute__((constructor)) static void start(void)
{
	log_open();
	pthread_atfork(NULL, NULL, log_open);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct entry *begin(enum call call, const void *object)
{
	static _Thread_local uint32_t tid;
	struct entry *e = &lost;
	uint64_t i;

	if (!entries)
		return e;
	if (!tid)
		tid = (uint32_t)syscall(SYS_gettid);
	i = atomic_fetch_add(&entries->n, 1);
	if (i < ENTRIES_MAX)
		e = &entries->e[i];
	e->call = (uint32_t)call;
	e->tid = tid;
	e->object = (uint64_t)(uintptr_t)object;
	e->from_ns = now_ns();
	return e;
}

static void end(struct entry *e, int64_t value)
{
	e->to_ns = now_ns();
	e->value = value;
}

/* llama_batch is passed by value; its first member and its size have not changed since 2024. */
struct batch {
	int32_t n_tokens;
	void *rest[6];
};

int32_t llama_decode(void *ctx, struct batch batch);
int32_t llama_decode(void *ctx, struct batch batch)
{
	struct entry *e;
	int32_t rc;

	NEXT(llama_decode);
	e = begin(CALL_DECODE, ctx);
	rc = next(ctx, batch);
	end(e, batch.n_tokens);
	return rc;
}

int32_t llama_tokenize(void *vocab, const char *text, int32_t len, int32_t *tokens, int32_t max,
		       char special, char parse);
int32_t llama_tokenize(void *vocab, const char *text, int32_t len, int32_t *tokens, int32_t max,
		       char special, char parse)
{
	struct entry *e;
	int32_t rc;

	NEXT(llama_tokenize);
	e = begin(CALL_TOKENIZE, vocab);
	rc = next(vocab, text, len, tokens, max, special, parse);
	end(e, rc);
	return rc;
}

int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf, int32_t len, int32_t lstrip,
			     char special);
int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf, int32_t len, int32_t lstrip,
			     char special)
{
	struct entry *e;
	int32_t rc;

	NEXT(llama_token_to_piece);
	e = begin(CALL_PIECE, vocab);
	rc = next(vocab, token, buf, len, lstrip, special);
	end(e, token);
	return rc;
}

int32_t llama_detokenize(void *vocab, const int32_t *tokens, int32_t n, char *text, int32_t max,
			 char remove, char unparse);
int32_t llama_detokenize(void *vocab, const int32_t *tokens, int32_t n, char *text, int32_t max,
			 char remove, char unparse)
{
	struct entry *e;
	int32_t rc;

	NEXT(llama_detokenize);
	e = begin(CALL_DETOKENIZE, vocab);
	rc = next(vocab, tokens, n, text, max, remove, unparse);
	end(e, n);
	return rc;
}

static _Thread_local int apply_depth;
static _Thread_local int accept_depth;

void llama_sampler_apply(void *sampler, void *candidates);
void llama_sampler_apply(void *sampler, void *candidates)
{
	struct entry *e;

	NEXT(llama_sampler_apply);
	if (apply_depth++) {
		next(sampler, candidates);
	} else {
		e = begin(CALL_APPLY, sampler);
		next(sampler, candidates);
		end(e, 0);
	}
	apply_depth--;
}

void llama_sampler_accept(void *sampler, int32_t token);
void llama_sampler_accept(void *sampler, int32_t token)
{
	struct entry *e;

	NEXT(llama_sampler_accept);
	if (accept_depth++) {
		next(sampler, token);
	} else {
		e = begin(CALL_ACCEPT, sampler);
		next(sampler, token);
		end(e, token);
	}
	accept_depth--;
}

int32_t llama_sampler_sample(void *sampler, void *ctx, int32_t i);
int32_t llama_sampler_sample(void *sampler, void *ctx, int32_t i)
{
	struct entry *e;
	int32_t token;

	NEXT(llama_sampler_sample);
	e = begin(CALL_SAMPLE, ctx);
	token = next(sampler, ctx, i);
	end(e, token);
	return token;
}

void ggml_backend_tensor_get_async(void *backend, const void *tensor, void *data, size_t offset,
				   size_t bytes);
void ggml_backend_tensor_get_async(void *backend, const void *tensor, void *data, size_t offset,
				   size_t bytes)
{
	struct entry *e;

	NEXT(ggml_backend_tensor_get_async);
	e = begin(CALL_COPY, tensor);
	next(backend, tensor, data, offset, bytes);
	end(e, (int64_t)bytes);
}

void llama_perf_context_reset(void *ctx);
void llama_perf_context_reset(void *ctx)
{
	struct entry *e;

	NEXT(llama_perf_context_reset);
	e = begin(CALL_PERF_RESET, ctx);
	next(ctx);
	end(e, 0);
}
