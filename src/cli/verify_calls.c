/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the reference's calls to the times of phases, by the definitions of docs/events.md and without any of the code that
 * records or analyses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verify.h"
#include "reference/reference.h"

#define CONTEXTS_MAX 64u
#define THREADS_MAX  256u

struct context {
	uint64_t id;
	size_t freed;	/* by that call; 0: it was not */
	size_t warm_to; /* passes before that call are warm-up */
	int phase;	/* of its newest pass; -1 */
};

/* The choosing of a token, on one thread. */
struct window {
	enum { CLOSED, READ, CHOSEN } state;
	uint64_t from_ns, chosen_ns;
	uint64_t read_to_ns; /* the newest call that reads what a pass left */
	int in_warmup;	     /* the newest pass */
};

struct walk {
	struct lmm_verify_run *run;
	const struct lmm_reference_call *calls;
	size_t n;
	size_t first;	     /* what lies before is warm-up */
	size_t first_choice; /* n: none */
	struct context contexts[CONTEXTS_MAX];
	unsigned n_contexts;
	struct window windows[THREADS_MAX];
	uint64_t first_pass_ns, last_pass_ns, last_token_ns, last_text_ns;
	uint64_t prompt_tokens; /* of the passes before the first choice */
	size_t first_pass;
};

/* That call i is for. An address is given out again when its context was freed. */
static struct context *context_of(struct walk *w, size_t i)
{
	uint64_t id = w->calls[i].context;
	struct context *c;

	for (unsigned k = 0; k < w->n_contexts; k++) {
		c = &w->contexts[k];
		if (c->id == id && (!c->freed || i < c->freed))
			return c;
	}
	if (w->n_contexts == CONTEXTS_MAX)
		return NULL;
	c = &w->contexts[w->n_contexts++];
	c->id = id;
	c->phase = -1;
	return c;
}

static int is_pass(enum lmm_reference_kind kind)
{
	return kind == LMM_REFERENCE_DECODE || kind == LMM_REFERENCE_ENCODE;
}

static int is_sampling(enum lmm_reference_kind kind)
{
	return kind >= LMM_REFERENCE_READ && kind <= LMM_REFERENCE_ACCEPT;
}

static void add(struct walk *w, enum lmm_verify_phase phase, uint64_t from_ns, uint64_t to_ns,
		unsigned calls)
{
	struct lmm_verify_figure *f = &w->run->reference[phase];

	if (to_ns < from_ns)
		return;
	f->ns += (double)(to_ns - from_ns);
	f->calls += calls;
}

/* ---- warm-up ------------------------------------------------------------------------------------ */

/*
 * Until a token is chosen: what lies before a reset of the engine's counters or the end of its warm-up, and what was
 * computed and cleared away. A program that never chooses (llama-bench) clears before each run, and the first warms up.
 */
static void find_warmup(struct walk *w)
{
	struct context *last = NULL, *c;

	for (size_t i = 0; i < w->first_choice; i++) {
		enum lmm_reference_kind kind = lmm_reference_kind(&w->calls[i]);

		if (is_pass(kind))
			last = context_of(w, i);
		if (kind == LMM_REFERENCE_RESET ||
		    (kind == LMM_REFERENCE_WARMUP && !w->calls[i].tokens))
			w->first = i + 1;
		if (kind == LMM_REFERENCE_CLEAR && last &&
		    (w->first_choice < w->n || !last->warm_to))
			last->warm_to = i;
		if (kind == LMM_REFERENCE_FREE) {
			c = context_of(w, i);
			if (c)
				c->freed = i;
			last = NULL;
		}
	}
}

/* The call that first chose a token; n: none did. */
static size_t find_choice(const struct walk *w)
{
	for (size_t i = 0; i < w->n; i++) {
		enum lmm_reference_kind kind = lmm_reference_kind(&w->calls[i]);

		if (kind == LMM_REFERENCE_SAMPLE || kind == LMM_REFERENCE_APPLY)
			return i;
	}
	return w->n;
}

/* ---- windows ------------------------------------------------------------------------------------ */

static void window_close(struct walk *w, struct window *win, uint64_t to_ns)
{
	add(w, LMM_VERIFY_SAMPLING, win->from_ns, to_ns, 1);
	win->state = CLOSED;
	w->last_token_ns = to_ns;
}

/* Another call of the engine: the choice was made with the last sampler, or by the program, until now. */
static void window_finish(struct walk *w, struct window *win, uint64_t now_ns)
{
	if (win->state != CLOSED)
		window_close(w, win, win->state == CHOSEN ? win->chosen_ns : now_ns);
}

static void window_open(struct window *win, uint64_t now_ns)
{
	win->state = READ;
	win->from_ns = now_ns;
}

static void on_sampling(struct walk *w, struct window *win, const struct lmm_reference_call *call)
{
	switch (lmm_reference_kind(call)) {
	case LMM_REFERENCE_READ:
	case LMM_REFERENCE_ASK:
		win->read_to_ns = call->to_ns;
		if (win->state == READ)
			return;
		window_finish(w, win, call->from_ns);
		window_open(win, call->from_ns);
		return;
	case LMM_REFERENCE_SAMPLE:
		win->read_to_ns = call->to_ns;
		window_finish(w, win, call->from_ns);
		window_open(win, call->from_ns);
		window_close(w, win, call->to_ns);
		return;
	case LMM_REFERENCE_APPLY:
		if (win->state == CLOSED)
			window_open(win, call->from_ns);
		win->state = CHOSEN;
		win->chosen_ns = call->to_ns;
		return;
	default: /* accepted */
		if (win->state == CHOSEN) {
			window_close(w, win, call->to_ns);
		} else if (win->state == CLOSED) {
			add(w, LMM_VERIFY_SAMPLING, call->from_ns, call->to_ns, 1);
		}
		return;
	}
}

/* ---- calls -------------------------------------------------------------------------------------- */

static void on_pass(struct walk *w, struct window *win, size_t i)
{
	const struct lmm_reference_call *call = &w->calls[i];
	struct context *c = context_of(w, i);

	win->in_warmup = !c || i < c->warm_to;
	if (win->in_warmup)
		return;
	c->phase = call->tokens > 1 ? LMM_VERIFY_PREFILL : LMM_VERIFY_DECODE;
	add(w, (enum lmm_verify_phase)c->phase, call->from_ns, call->to_ns, 1);
	if (!w->first_pass_ns) {
		w->first_pass_ns = call->from_ns;
		w->first_pass = i;
	}
	if (i < w->first_choice && call->tokens > 0)
		w->prompt_tokens += (uint64_t)call->tokens;
	w->last_pass_ns = call->to_ns;
}

static void on_call(struct walk *w, size_t i)
{
	const struct lmm_reference_call *call = &w->calls[i];
	struct window *win = &w->windows[lmm_reference_thread(call) % THREADS_MAX];
	const struct context *c;

	switch (lmm_reference_kind(call)) {
	case LMM_REFERENCE_DECODE:
	case LMM_REFERENCE_ENCODE:
		window_finish(w, win, call->from_ns);
		on_pass(w, win, i);
		break;
	case LMM_REFERENCE_SYNC:
		/* within a read it is a wait for the pass, and time of the window as well */
		if (call->from_ns >= win->read_to_ns)
			window_finish(w, win, call->from_ns);
		c = context_of(w, i);
		if (c && c->phase >= 0)
			add(w, (enum lmm_verify_phase)c->phase, call->from_ns, call->to_ns, 0);
		break;
	case LMM_REFERENCE_COPY:
		if (!win->in_warmup)
			add(w, LMM_VERIFY_COPY, call->from_ns, call->to_ns, 1);
		break;
	case LMM_REFERENCE_TOKENIZE:
		window_finish(w, win, call->from_ns);
		add(w, LMM_VERIFY_TOKENIZE, call->from_ns, call->to_ns, 1);
		break;
	case LMM_REFERENCE_DETOKENIZE:
		window_finish(w, win, call->from_ns);
		add(w, LMM_VERIFY_DETOKENIZE, call->from_ns, call->to_ns, 1);
		w->last_text_ns = call->to_ns;
		break;
	default:
		if (is_sampling(lmm_reference_kind(call)))
			on_sampling(w, win, call);
		break;
	}
}

/* When the newest call began that made the prompt's tokens; else the newest that made any; else the first pass. */
static uint64_t prompt_from(const struct walk *w)
{
	uint64_t any_ns = w->first_pass_ns, same_ns = 0;

	for (size_t i = w->first; i < w->first_pass; i++) {
		const struct lmm_reference_call *call = &w->calls[i];

		if (lmm_reference_kind(call) != LMM_REFERENCE_TOKENIZE || call->tokens <= 0)
			continue;
		any_ns = call->from_ns;
		if ((uint64_t)call->tokens == w->prompt_tokens)
			same_ns = call->from_ns;
	}
	return same_ns ? same_ns : any_ns;
}

/* To the last text, or else token, or else pass. */
static void add_wall(struct walk *w)
{
	uint64_t to = w->last_pass_ns;

	if (w->last_text_ns > to) {
		to = w->last_text_ns;
	} else if (w->last_token_ns > to) {
		to = w->last_token_ns;
	}
	add(w, LMM_VERIFY_SUM, prompt_from(w), to, 1);
	w->run->processes++;
}

int lmm_verify_calls_add(struct lmm_verify_run *run, const struct lmm_reference_call *calls,
			 size_t n)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->run = run;
	w->calls = calls;
	w->n = n;
	w->first_choice = find_choice(w);
	find_warmup(w);
	for (size_t i = w->first; i < n; i++) {
		if (calls[i].to_ns)
			on_call(w, i);
	}
	for (unsigned i = 0; i < THREADS_MAX; i++)
		window_finish(w, &w->windows[i], w->windows[i].from_ns);
	if (w->first_pass_ns)
		add_wall(w);
	free(w);
	return 0;
}
