/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that marks what the test tells it to, with waits of known length for work. "ordered" is the engine of a server:
 *
 *	mark_program WHAT
 *
 *	ordered		request 7: prompt of 5 in one pass, 3 tokens; request 8: 4 of 12 tokens cached, prompt in two passes, 2 tokens
 *	batch		requests 1 and 2 share their passes
 *	reused		number 3 is used for three requests, the second of which is given up in its prompt
 *	threads		four threads, each with a request of its own; the fifth begins and tokenizes for a sixth
 *	fork		a request, then a child with one
 *	library		marks of a library that is opened when the first request is over
 *	plugin		the same, which marks until it is killed
 *	late		the same, with lmmeter's library (a further word) opened before it, out of its scope
 *	wrong		ends without begins, begins without ends, odd numbers
 *	speculative	a draft model's passes and their check
 *	endless		marks until it is killed
 *	serve		three threads with a request of 200 tokens each, and another when it is done, until it is killed
 *	names		spans with long and odd names
 */
#include <lmmeter/mark.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

static void spin_us(long us)
{
	struct timespec from, t;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((t.tv_sec - from.tv_sec) * 1000000 + (t.tv_nsec - from.tv_nsec) / 1000 < us);
}

static void tokenize(uint64_t request, unsigned tokens, long us)
{
	lmm_mark_phase_begin(LMM_MARK_TOKENIZE, request);
	spin_us(us);
	lmm_mark_phase_end(LMM_MARK_TOKENIZE);
	lmm_mark_count(LMM_MARK_TOKENIZE, tokens);
}

static void pass(uint64_t request, unsigned tokens, unsigned outputs, uint64_t position, long us)
{
	struct lmm_mark_part part = { request, tokens, outputs, position };

	lmm_mark_step_begin(LMM_MARK_AUTO, &part, 1);
	spin_us(us);
	lmm_mark_phase_begin(LMM_MARK_COPY_TO_CPU, request);
	spin_us(us / 10);
	lmm_mark_phase_end(LMM_MARK_COPY_TO_CPU);
	lmm_mark_step_end();
}

static void sample(uint64_t request, long us)
{
	lmm_mark_phase_begin(LMM_MARK_SAMPLING, request);
	lmm_mark_phase_begin(LMM_MARK_SOFTMAX, request);
	spin_us(us);
	lmm_mark_phase_end(LMM_MARK_SOFTMAX);
	lmm_mark_token(request);
	lmm_mark_phase_end(LMM_MARK_SAMPLING);
	lmm_mark_phase_begin(LMM_MARK_DETOKENIZE, request);
	spin_us(us);
	lmm_mark_phase_end(LMM_MARK_DETOKENIZE);
}

static void generate(uint64_t request, unsigned tokens, unsigned out)
{
	lmm_mark_request_begin(request);
	tokenize(request, tokens, 200);
	for (unsigned i = 0; i < out; i++) {
		pass(request, i ? 1 : tokens, 1, i ? tokens + i - 1 : 0, i ? 500 : 2000);
		sample(request, 100);
	}
	lmm_mark_request_end(request);
}

static void ordered(void)
{
	generate(7, 5, 3);
	lmm_mark_request_begin(8);
	tokenize(8, 12, 200);
	spin_us(3000); /* nobody's */
	pass(8, 6, 0, 4, 1000);
	pass(8, 2, 1, 10, 1000);
	sample(8, 100);
	pass(8, 1, 1, 12, 500);
	sample(8, 100);
	lmm_mark_request_end(8);
}

static void batch(void)
{
	struct lmm_mark_part two[2] = { { 1, 4, 1, 0 }, { 2, 6, 1, 0 } };

	lmm_mark_request_begin(1);
	lmm_mark_request_begin(2);
	for (int i = 0; i < 4; i++) {
		lmm_mark_step_begin(LMM_MARK_AUTO, two, 2);
		spin_us(500);
		lmm_mark_step_end();
		for (int k = 0; k < 2; k++) {
			sample(two[k].request, 100);
			two[k].position += two[k].tokens;
			two[k].tokens = 1;
		}
	}
	lmm_mark_request_end(1);
	lmm_mark_request_end(2);
}

static void reused(void)
{
	generate(3, 5, 2);
	lmm_mark_request_begin(3);
	pass(3, 4, 0, 0, 500);
	generate(3, 6, 4);
}

static void *one_thread(void *arg)
{
	generate((uint64_t)(uintptr_t)arg, 5, 10);
	return NULL;
}

static void *ask(void *arg)
{
	(void)arg;
	lmm_mark_request_begin(50);
	tokenize(50, 5, 2000);
	return NULL;
}

static void threads(void)
{
	pthread_t t[4], asking;

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, one_thread, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pthread_create(&asking, NULL, ask, NULL);
	pthread_join(asking, NULL);
	spin_us(3000); /* it waits for its turn */
	pass(50, 5, 1, 0, 500);
	sample(50, 100);
	lmm_mark_request_end(50);
}

/* One place, whose name the parent and the child tell each for itself. */
static void named_round(unsigned tokens, unsigned out)
{
	LMM_MARK_SPAN_BEGIN("round of both");
	generate(1, tokens, out);
	LMM_MARK_SPAN_END();
}

static int forked(void)
{
	int status = 1;

	LMM_MARK_SPAN_BEGIN("both");
	named_round(5, 3);
	if (fork() == 0) {
		/* what was open is the parent's */
		LMM_MARK_SPAN_END();
		LMM_MARK_SPAN_BEGIN("child");
		named_round(6, 4);
		LMM_MARK_SPAN_END();
		exit(0);
	}
	LMM_MARK_SPAN_END();
	return wait(&status) < 0 || status;
}

#ifdef MARK_STATIC
static int library(const char *path, int is_endless)
{
	(void)path;
	(void)is_endless;
	return 2;
}

static int late(const char *path, const char *lmmeter)
{
	(void)lmmeter;
	return library(path, 1);
}
#else
static int library(const char *path, int is_endless)
{
	void (*mark)(void);
	void *h;

	generate(1, 5, 2);
	for (int i = 0; i < 2; i++) {
		h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!h) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		*(void **)&mark = dlsym(h, "mark_library");
		do {
			mark();
			spin_us(100);
		} while (is_endless);
		dlclose(h);
	}
	/* the library is gone: nothing of it may be touched any more */
	return forked();
}

static int late(const char *path, const char *lmmeter)
{
	return !dlopen(lmmeter, RTLD_NOW | RTLD_LOCAL) || library(path, 1);
}
#endif

static void wrong(void)
{
	struct lmm_mark_part none = { 4, 0, 0, 0 };

	lmm_mark_phase_end(LMM_MARK_SAMPLING);
	lmm_mark_step_end();
	LMM_MARK_SPAN_END();
	lmm_mark_request_end(99);
	lmm_mark_token(1234567);
	lmm_mark_count(LMM_MARK_TOKENIZE, 3);
	lmm_mark_phase_begin((enum lmm_mark_phase)77, 1);
	lmm_mark_phase_end((enum lmm_mark_phase)77);
	lmm_mark_step_begin((enum lmm_mark_step)99, NULL, 3);
	lmm_mark_step_begin(LMM_MARK_AUTO, &none, 1);
	lmm_mark_phase_begin(LMM_MARK_SAMPLING, 4);
	for (int i = 0; i < 40; i++) {
		lmm_mark_phase_begin(LMM_MARK_SOFTMAX, 4);
		LMM_MARK_SPAN_BEGIN("deep");
	}
	for (int i = 0; i < 40; i++) {
		lmm_mark_phase_end(LMM_MARK_SOFTMAX);
		LMM_MARK_SPAN_END();
	}
	lmm_mark_step_end();
	generate(UINT64_MAX - 1, 5, 3);
	lmm_mark_request_begin(LMM_MARK_NO_REQUEST);
}

static void speculative(void)
{
	lmm_mark_request_begin(1);
	pass(1, 5, 1, 0, 500);
	sample(1, 100);
	for (int round = 0; round < 3; round++) {
		struct lmm_mark_part part = { 1, 4, 4, 5 + 4 * (uint64_t)round };
		struct lmm_mark_part draft = { 1, 1, 1, LMM_MARK_NO_POSITION };

		for (int i = 0; i < 3; i++) {
			lmm_mark_step_begin(LMM_MARK_DRAFT, &draft, 1);
			spin_us(100);
			lmm_mark_step_end();
			lmm_mark_phase_begin(LMM_MARK_SAMPLING, 1);
			lmm_mark_token(1); /* not one that counts */
			lmm_mark_phase_end(LMM_MARK_SAMPLING);
		}
		lmm_mark_step_begin(LMM_MARK_VERIFY, &part, 1);
		spin_us(500);
		lmm_mark_step_end();
		for (int i = 0; i < 4; i++)
			lmm_mark_token(1);
	}
	lmm_mark_request_end(1);
}

static void warmed(void)
{
	lmm_mark_warmup_begin();
	pass(1, 2, 1, 0, 500);
	lmm_mark_warmup_end();
	generate(1, 5, 3);
}

static void endless(void)
{
	for (uint64_t i = 0;; i++) {
		LMM_MARK_SPAN_BEGIN("round");
		generate(i, 5, 3);
		LMM_MARK_SPAN_END();
	}
}

static void *serve_one(void *arg)
{
	/* numbers of the threads' own */
	for (uint64_t i = (uint64_t)(uintptr_t)arg;; i += 3)
		generate(i, 5, 200);
	return NULL;
}

static void serve(void)
{
	pthread_t t[3];

	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, serve_one, (void *)i);
	pthread_join(t[0], NULL);
}

static void names(void)
{
	LMM_MARK_SPAN_BEGIN(
		"a name that is longer than the sixty-three bytes it may have \xc3\xbc\xc3\xbc\xc3\xbc");
	LMM_MARK_SPAN_BEGIN("inner \"quoted\"\n");
	spin_us(1000);
	LMM_MARK_SPAN_END();
	LMM_MARK_SPAN_BEGIN("inner \"quoted\"\n");
	spin_us(500);
	LMM_MARK_SPAN_END();
	LMM_MARK_SPAN_END();
	generate(1, 5, 2);
	mark_other_file();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "ordered";
	int rc = 0;

	errno = 77;
	lmm_mark_engine("test engine", "2.5");
	if (!strcmp(what, "ordered"))
		ordered();
	else if (!strcmp(what, "batch"))
		batch();
	else if (!strcmp(what, "reused"))
		reused();
	else if (!strcmp(what, "threads"))
		threads();
	else if (!strcmp(what, "fork"))
		rc = forked();
	else if (!strcmp(what, "library"))
		rc = library(argc > 2 ? argv[2] : "", 0);
	else if (!strcmp(what, "late"))
		rc = late(argv[2], argv[3]);
	else if (!strcmp(what, "plugin"))
		rc = library(argc > 2 ? argv[2] : "", 1);
	else if (!strcmp(what, "wrong"))
		wrong();
	else if (!strcmp(what, "speculative"))
		speculative();
	else if (!strcmp(what, "warmed"))
		warmed();
	else if (!strcmp(what, "endless"))
		endless();
	else if (!strcmp(what, "serve"))
		serve();
	else if (!strcmp(what, "names"))
		names();
	else
		return 2;
	puts(strcmp(what, "library") && strcmp(what, "fork") && errno != 77 ? "errno changed"
									    : "done");
	return rc;
}
