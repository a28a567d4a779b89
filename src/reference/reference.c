/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- the file ----------------------------------------------------------------------------------- */

static _Atomic(struct lmm_reference *) log_of_process;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int log_tried;
static struct lmm_reference_call nowhere; /* what is not kept goes here */

/* The pages are there before the first stamp: a full disk shows here and not as a signal later. */
static struct lmm_reference *log_open(void)
{
	const char *name = getenv(LMM_REFERENCE_ENV); /* NOLINT(concurrency-mt-unsafe) */
	char path[PATH_MAX];
	void *p = MAP_FAILED;
	int fd, n;

	n = name ? snprintf(path, sizeof(path), "%s.%ld", name, (long)getpid()) : -1;
	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	if (posix_fallocate(fd, 0, sizeof(struct lmm_reference)) == 0) {
		p = mmap(NULL, sizeof(struct lmm_reference), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, fd, 0);
	}
	close(fd);
	if (p == MAP_FAILED)
		return NULL;
	((struct lmm_reference *)p)->magic = LMM_REFERENCE_MAGIC;
	return p;
}

static struct lmm_reference *log_get(void)
{
	struct lmm_reference *log = atomic_load_explicit(&log_of_process, memory_order_acquire);

	if (__builtin_expect(log != NULL, 1))
		return log;
	pthread_mutex_lock(&log_lock);
	if (!log_tried) {
		log_tried = 1;
		atomic_store_explicit(&log_of_process, log_open(), memory_order_release);
	}
	log = atomic_load_explicit(&log_of_process, memory_order_relaxed);
	pthread_mutex_unlock(&log_lock);
	return log;
}

/* A child writes a file of its own. Only one thread lives there, which may have left the lock held by another. */
static void after_fork(void)
{
	pthread_mutex_init(&log_lock, NULL);
	log_tried = 0;
	atomic_store_explicit(&log_of_process, NULL, memory_order_relaxed);
}

__attribute__((constructor)) static void start(void)
{
	pthread_atfork(NULL, NULL, after_fork);
}

/* ---- stamps ------------------------------------------------------------------------------------- */

static _Thread_local int depth;
static _Thread_local int in_pass; /* the outermost call is a forward pass */
static _Thread_local int in_read; /* it reads what a pass left */
static _Thread_local uint32_t thread_number;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t thread_get(void)
{
	static _Atomic uint32_t threads;
	uint32_t n;

	if (!thread_number) {
		n = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
		thread_number = n < UINT16_MAX ? n : UINT16_MAX;
	}
	return thread_number;
}

static struct lmm_reference_call *call_keep(enum lmm_reference_kind kind, const void *context,
					    int32_t tokens)
{
	struct lmm_reference_call *c = &nowhere;
	struct lmm_reference *log;
	int error = errno;
	uint64_t i;

	log = log_get();
	if (log) {
		i = atomic_fetch_add_explicit(&log->n, 1, memory_order_relaxed);
		if (i < LMM_REFERENCE_MAX) {
			c = &log->calls[i];
			c->context = (uint64_t)(uintptr_t)context;
			c->kind = (uint32_t)kind | thread_get() << 16;
			c->tokens = tokens;
			c->from_ns = now_ns();
		}
	}
	errno = error;
	return c;
}

static struct lmm_reference_call *call_begin(enum lmm_reference_kind kind, const void *context,
					     int32_t tokens)
{
	if (depth++)
		return &nowhere;
	in_pass = kind == LMM_REFERENCE_DECODE || kind == LMM_REFERENCE_ENCODE;
	in_read = kind == LMM_REFERENCE_READ || kind == LMM_REFERENCE_ASK ||
		  kind == LMM_REFERENCE_SAMPLE;
	return call_keep(kind, context, tokens);
}

static void call_end(struct lmm_reference_call *c)
{
	depth--;
	if (c != &nowhere)
		c->to_ns = now_ns();
}

/* ---- the function behind ------------------------------------------------------------------------ */

struct nth_object {
	unsigned n;
	char path[PATH_MAX];
};

static int nth_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct nth_object *o = arg;

	(void)size;
	if (o->n-- > 0)
		return 0;
	(void)snprintf(o->path, sizeof(o->path), "%s", info->dlpi_name);
	return 1;
}

static void *in_object(const char *path, const char *name, const void *own)
{
	void *handle = path[0] ? dlopen(path, RTLD_LAZY | RTLD_NOLOAD) : NULL;
	void *fn = handle ? dlsym(handle, name) : NULL;

	if (handle)
		dlclose(handle);
	return fn == own ? NULL : fn;
}

/* Behind us in the global scope; else in the scope of whoever calls (an addon opened RTLD_LOCAL), else in any object. */
static void *find_next(const char *name, const void *own, const void *caller)
{
	void *fn = dlsym(RTLD_NEXT, name);
	struct nth_object o;
	Dl_info info;

	if (!fn && dladdr(caller, &info))
		fn = in_object(info.dli_fname, name, own);
	for (unsigned i = 0; !fn; i++) {
		o.n = i;
		if (!dl_iterate_phdr(nth_visit, &o))
			break;
		fn = in_object(o.path, name, own);
	}
	return fn;
}

/* Declares `next`, the real function, of the same type. */
#define NEXT(name)                                                                                 \
	static _Atomic(void *) found;                                                              \
	__typeof__(&(name)) next;                                                                  \
	do {                                                                                       \
		void *f = atomic_load_explicit(&found, memory_order_relaxed);                      \
		if (__builtin_expect(!f, 0)) {                                                     \
			f = find_next(#name, (const void *)&(name), __builtin_return_address(0));  \
			atomic_store_explicit(&found, f, memory_order_relaxed);                    \
		}                                                                                  \
		*(void **)&next = f;                                                               \
	} while (0)

/* ---- the engine's functions: if nothing is behind one, it answers as the engine does on failure ----- */

/* llama_batch is passed by value; its size and its first member have not changed since 2024. */
struct batch {
	int32_t n_tokens;
	void *rest[6];
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct batch) == 56, "passed in memory, opaque");

EXPORT int32_t llama_decode(void *ctx, struct batch batch);
EXPORT int32_t llama_decode(void *ctx, struct batch batch)
{
	struct lmm_reference_call *c;
	int32_t rc;

	NEXT(llama_decode);
	if (!next)
		return -1;
	c = call_begin(LMM_REFERENCE_DECODE, ctx, batch.n_tokens);
	rc = next(ctx, batch);
	call_end(c);
	return rc;
}

EXPORT int32_t llama_encode(void *ctx, struct batch batch);
EXPORT int32_t llama_encode(void *ctx, struct batch batch)
{
	struct lmm_reference_call *c;
	int32_t rc;

	NEXT(llama_encode);
	if (!next)
		return -1;
	c = call_begin(LMM_REFERENCE_ENCODE, ctx, batch.n_tokens);
	rc = next(ctx, batch);
	call_end(c);
	return rc;
}

EXPORT void llama_synchronize(void *ctx);
EXPORT void llama_synchronize(void *ctx)
{
	struct lmm_reference_call *c;

	NEXT(llama_synchronize);
	if (!next)
		return;
	/* releases up to 2025 call it where logits are read */
	if (depth == 1 && in_read) {
		c = call_keep(LMM_REFERENCE_SYNC, ctx, 0);
		depth++;
	} else {
		c = call_begin(LMM_REFERENCE_SYNC, ctx, 0);
	}
	next(ctx);
	call_end(c);
}

EXPORT int32_t llama_sampler_sample(void *sampler, void *ctx, int32_t i);
EXPORT int32_t llama_sampler_sample(void *sampler, void *ctx, int32_t i)
{
	struct lmm_reference_call *c;
	int32_t token;

	NEXT(llama_sampler_sample);
	if (!next)
		return -1;
	c = call_begin(LMM_REFERENCE_SAMPLE, ctx, 0);
	token = next(sampler, ctx, i);
	call_end(c);
	return token;
}

EXPORT void llama_sampler_apply(void *sampler, void *candidates);
EXPORT void llama_sampler_apply(void *sampler, void *candidates)
{
	struct lmm_reference_call *c;

	NEXT(llama_sampler_apply);
	if (!next)
		return;
	c = call_begin(LMM_REFERENCE_APPLY, NULL, 0);
	next(sampler, candidates);
	call_end(c);
}

EXPORT void llama_sampler_accept(void *sampler, int32_t token);
EXPORT void llama_sampler_accept(void *sampler, int32_t token)
{
	struct lmm_reference_call *c;

	NEXT(llama_sampler_accept);
	if (!next)
		return;
	c = call_begin(LMM_REFERENCE_ACCEPT, NULL, 0);
	next(sampler, token);
	call_end(c);
}

EXPORT float *llama_get_logits_ith(void *ctx, int32_t i);
EXPORT float *llama_get_logits_ith(void *ctx, int32_t i)
{
	struct lmm_reference_call *c;
	float *logits;

	NEXT(llama_get_logits_ith);
	if (!next)
		return NULL;
	c = call_begin(LMM_REFERENCE_READ, ctx, 0);
	logits = next(ctx, i);
	call_end(c);
	return logits;
}

EXPORT float *llama_get_logits(void *ctx);
EXPORT float *llama_get_logits(void *ctx)
{
	struct lmm_reference_call *c;
	float *logits;

	NEXT(llama_get_logits);
	if (!next)
		return NULL;
	c = call_begin(LMM_REFERENCE_READ, ctx, 0);
	logits = next(ctx);
	call_end(c);
	return logits;
}

EXPORT float *llama_get_sampled_probs_ith(void *ctx, int32_t i);
EXPORT float *llama_get_sampled_probs_ith(void *ctx, int32_t i)
{
	struct lmm_reference_call *c;
	float *probs;

	NEXT(llama_get_sampled_probs_ith);
	if (!next)
		return NULL;
	c = call_begin(LMM_REFERENCE_ASK, ctx, 0);
	probs = next(ctx, i);
	call_end(c);
	return probs;
}

EXPORT int32_t llama_tokenize(void *vocab, const char *text, int32_t bytes, int32_t *tokens,
			      int32_t max, bool special, bool parse);
EXPORT int32_t llama_tokenize(void *vocab, const char *text, int32_t bytes, int32_t *tokens,
			      int32_t max, bool special, bool parse)
{
	struct lmm_reference_call *c;
	int32_t n;

	NEXT(llama_tokenize);
	if (!next)
		return INT32_MIN;
	c = call_begin(LMM_REFERENCE_TOKENIZE, NULL, 0);
	n = next(vocab, text, bytes, tokens, max, special, parse);
	call_end(c);
	if (c != &nowhere)
		c->tokens = n;
	return n;
}

EXPORT int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf, int32_t bytes,
				    int32_t lstrip, bool special);
EXPORT int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf, int32_t bytes,
				    int32_t lstrip, bool special)
{
	struct lmm_reference_call *c;
	int32_t n;

	NEXT(llama_token_to_piece);
	if (!next)
		return 0;
	c = call_begin(LMM_REFERENCE_DETOKENIZE, NULL, 0);
	n = next(vocab, token, buf, bytes, lstrip, special);
	call_end(c);
	return n;
}

EXPORT int32_t llama_detokenize(void *vocab, const int32_t *tokens, int32_t n, char *text,
				int32_t max, bool remove, bool unparse);
EXPORT int32_t llama_detokenize(void *vocab, const int32_t *tokens, int32_t n, char *text,
				int32_t max, bool remove, bool unparse)
{
	struct lmm_reference_call *c;
	int32_t bytes;

	NEXT(llama_detokenize);
	if (!next)
		return 0;
	c = call_begin(LMM_REFERENCE_DETOKENIZE, NULL, 0);
	bytes = next(vocab, tokens, n, text, max, remove, unparse);
	call_end(c);
	return bytes;
}

/* Inside a pass this is how its results leave the device. */
EXPORT void ggml_backend_tensor_get_async(void *backend, const void *tensor, void *data,
					  size_t offset, size_t bytes);
EXPORT void ggml_backend_tensor_get_async(void *backend, const void *tensor, void *data,
					  size_t offset, size_t bytes)
{
	struct lmm_reference_call *c = &nowhere;

	NEXT(ggml_backend_tensor_get_async);
	if (!next)
		return;
	if (depth == 1 && in_pass)
		c = call_keep(LMM_REFERENCE_COPY, NULL, 0);
	depth++;
	next(backend, tensor, data, offset, bytes);
	call_end(c);
}

EXPORT void llama_perf_context_reset(void *ctx);
EXPORT void llama_perf_context_reset(void *ctx)
{
	struct lmm_reference_call *c;

	NEXT(llama_perf_context_reset);
	if (!next)
		return;
	c = call_begin(LMM_REFERENCE_RESET, ctx, 0);
	next(ctx);
	call_end(c);
}

EXPORT void llama_free(void *ctx);
EXPORT void llama_free(void *ctx)
{
	struct lmm_reference_call *c;

	NEXT(llama_free);
	if (!next)
		return;
	c = call_begin(LMM_REFERENCE_FREE, ctx, 0);
	next(ctx);
	call_end(c);
}

EXPORT void llama_memory_clear(void *memory, bool data);
EXPORT void llama_memory_clear(void *memory, bool data)
{
	struct lmm_reference_call *c;

	NEXT(llama_memory_clear);
	if (!next)
		return;
	c = call_begin(LMM_REFERENCE_CLEAR, NULL, 0);
	next(memory, data);
	call_end(c);
}

EXPORT void llama_set_warmup(void *ctx, bool on);
EXPORT void llama_set_warmup(void *ctx, bool on)
{
	struct lmm_reference_call *c;

	NEXT(llama_set_warmup);
	if (!next)
		return;
	c = call_begin(LMM_REFERENCE_WARMUP, ctx, on);
	next(ctx, on);
	call_end(c);
}
