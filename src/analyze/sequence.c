/* SPDX-License-Identifier: Apache-2.0 */
/* Steps and their sequences: which request a step works for, and when a new one begins. */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

struct request *lmm__request_find(struct lmm_analysis *a, uint32_t context, uint16_t seq)
{
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state == REQUEST_OPEN && r->context == context && r->seq == seq)
			return r;
	}
	return NULL;
}

/* The only one that is open in a context; NULL if there are several. */
struct request *lmm__request_only(struct lmm_analysis *a, uint32_t context)
{
	struct request *only = NULL;

	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->context != context)
			continue;
		if (only)
			return NULL;
		only = r;
	}
	return only;
}

static void request_close_oldest(struct lmm_analysis *a)
{
	struct request *oldest = &a->requests[0];

	for (uint32_t i = 1; i < a->n_requests; i++) {
		if (a->requests[i].newest < oldest->newest)
			oldest = &a->requests[i];
	}
	if (oldest->state == REQUEST_OPEN) {
		lmm__request_close(a, oldest, 1);
	} else if (lmm__context(a, oldest->context)) {
		lmm__context_decide(a, lmm__context(a, oldest->context));
	}
}

static void leads_take(struct lmm_analysis *a, struct request *r)
{
	for (uint32_t i = 0; i < a->n_idles; i++) {
		const struct idle *x = &a->idles[i];

		if (x->stream != r->stream || x->span.t0 < r->earlier_token ||
		    x->span.t1 > r->first)
			continue;
		if (r->n_leads ==
		    LMM_I_LEADS) /* the newest count: the prompt was made just before */
			memmove(r->leads, r->leads + 1, --r->n_leads * sizeof(r->leads[0]));
		r->leads[r->n_leads++] = x->span;
	}
}

static struct request *request_new(struct lmm_analysis *a, const struct step *st, uint32_t stream,
				   uint16_t seq)
{
	const struct stream *s = lmm__stream(a, stream);
	struct context *c = lmm__context(a, st->context);
	struct request *r;

	/* closing one may only hold it back */
	for (int i = 0; i < 2 && a->n_requests == LMM_I_REQUESTS; i++)
		request_close_oldest(a);
	if (!c || a->n_requests == LMM_I_REQUESTS)
		return NULL;
	r = &a->requests[a->n_requests++];
	memset(r, 0, sizeof(*r));
	r->state = REQUEST_OPEN;
	r->process = st->process;
	r->context = st->context;
	r->context_id = c->id;
	r->seq = seq;
	r->is_warm = c->is_warm2;
	r->first = r->start = r->newest = r->booked = st->begin;
	r->stream = r->first_stream = stream;
	r->call = r->draft_call = UINT64_MAX;
	if (s) {
		memcpy(r->since, s->since, sizeof(r->since));
		r->earlier_token = s->last_token;
	}
	leads_take(a, r);
	return r;
}

const struct mark *lmm__request_mark(const struct request *r)
{
	for (unsigned i = 0; i < MARKS; i++) {
		if (r->marks[i].is_set)
			return &r->marks[i];
	}
	return NULL;
}

/* Unaccounted intervals up to the mark are inside this request: each counts once, though several requests run. */
static void idles_take(struct lmm_analysis *a, struct request *r, uint64_t t)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->n_idles; i++) {
		struct idle x = a->idles[i];

		if (x.stream == r->stream && x.span.t0 >= r->on_stream && x.span.t0 >= r->booked &&
		    x.span.t1 <= t) {
			lmm_hist_add(&r->idle, x.span.t1 - x.span.t0);
		} else {
			a->idles[kept++] = x;
		}
	}
	a->n_idles = kept;
	r->booked = t;
}

void lmm__request_set_mark(struct lmm_analysis *a, struct request *r, unsigned kind, uint64_t t)
{
	struct mark *m = &r->marks[kind];

	m->is_set = 1;
	m->t = t;
	memcpy(m->sums, r->sums, sizeof(m->sums));
	if (lmm__request_mark(r) == m)
		idles_take(a, r, t);
}

void lmm__request_end_last(struct lmm_analysis *a, struct request *r)
{
	struct mark *last = &r->marks[0];

	for (unsigned i = 1; i < MARKS; i++) {
		if (r->marks[i].is_set && (!last->is_set || r->marks[i].t > last->t))
			last = &r->marks[i];
	}
	if (!last->is_set || last == &r->marks[0])
		return;
	r->marks[0] = *last;
	idles_take(a, r, last->t);
}

/* ---- tokens ------------------------------------------------------------------------------------- */

/* Between two tokens: those of steps that lmmeter slowed down say nothing of the engine. */
void lmm__request_gap(struct request *r, const struct step *st, uint64_t ticks)
{
	if (st && st->is_slowed) {
		r->gaps_apart++;
	} else {
		lmm_hist_add(&r->gaps, ticks);
	}
}

/* In a context where no token is ever seen, a call with outputs stands for one. */
void lmm__request_guess(struct lmm_analysis *a, struct request *r)
{
	const struct context *c = lmm__context(a, r->context);
	const struct step *st;

	if (r->call_outputs == 0 || r->call_end == 0 || !c || c->tokens)
		return;
	st = lmm__step_find(a, r->process, r->call_step);
	if (r->guessed++ == 0) {
		r->first_guess = r->call_end;
	} else {
		lmm__request_gap(r, st, lmm__minus(r->call_end, r->last_guess));
	}
	r->last_guess = r->call_end;
	r->call_outputs = 0;
}

void lmm__guesses_forget(struct lmm_analysis *a, uint32_t context)
{
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->context != context)
			continue;
		r->guessed = 0;
		if (r->tokens == 0) {
			lmm_hist_free(&r->gaps);
			r->gaps_apart = 0;
		}
	}
}

uint64_t lmm__tokens_chosen(struct lmm_analysis *a, const struct request *r)
{
	const struct context *c = lmm__context(a, r->context);

	return r->tokens || (c && c->tokens) ? r->tokens : r->guessed;
}

/* ---- steps -------------------------------------------------------------------------------------- */

/* Steps of a process follow one another through the sets; in a set there is room for others that are there at the same time. */
static struct step *step_set(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	size_t set = (id + process * 40503u) % (LMM_I_STEPS / LMM_I_STEP_WAYS);

	return &a->steps[set * LMM_I_STEP_WAYS];
}

struct step *lmm__step_find(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	struct step *set = step_set(a, process, id);

	for (unsigned i = 0; i < LMM_I_STEP_WAYS; i++) {
		if (set[i].is_set && set[i].process == process && set[i].id == id)
			return &set[i];
	}
	return NULL;
}

/* Its own if it is there; else a free one, or the oldest. */
static struct step *step_slot(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	struct step *set = step_set(a, process, id), *slot = lmm__step_find(a, process, id);

	for (unsigned i = 0; !slot && i < LMM_I_STEP_WAYS; i++)
		slot = set[i].is_set ? NULL : &set[i];
	if (slot)
		return slot;
	slot = set;
	for (unsigned i = 1; i < LMM_I_STEP_WAYS; i++) {
		if (set[i].begin < slot->begin)
			slot = &set[i];
	}
	return slot;
}

static void pass_fill(struct ledger *l, const struct step *st)
{
	struct filled *f = st->phase == LMM_PHASE_PREFILL  ? &l->prefill_filled
			   : st->phase == LMM_PHASE_DECODE ? &l->decode_filled
							   : NULL;

	if (!f || st->n_seq != 1 || st->position > INT32_MAX || st->tokens > INT32_MAX)
		return;
	f->tokens += st->tokens;
	f->positions += st->tokens * st->position + st->tokens * (st->tokens + 1) / 2;
}

static void pass_book(struct lmm_analysis *a, struct ledger *l, const struct step *st)
{
	uint64_t first_tokens = st->is_first_use ? st->tokens : 0;

	l->steps++;
	pass_fill(l, st);
	if (st->phase == LMM_PHASE_PREFILL) {
		lmm__split_add(&l->prefill, st->whole, st->is_first_use);
		l->prefill_first_tokens += first_tokens;
	}
	if (st->phase != LMM_PHASE_DECODE)
		return;
	lmm__split_add(&l->decode, st->whole, st->is_first_use);
	l->decode_first_tokens += first_tokens;
	if (st->n_seq != 1 || st->tokens != 1 || st->is_first_use)
		return;
	lmm__ledger_bin(l, st->position, st->whole);
	if (a->processes[st->process].commands)
		lmm_hist_add(st->is_untimed ? &l->step_untimed : &l->step_timed, st->whole);
}

/* A pass counts when nothing more can come of it: engines that wait for its result apart end it twice. */
void lmm__step_flush(struct lmm_analysis *a, struct step *st)
{
	struct ledger *l = lmm__ledger_at(a, st->context, st->begin);

	if (!st->is_pending)
		return;
	lmm__split_add(&l->phases[st->phase].hist, st->ticks, st->is_first_use);
	l->phases[st->phase].host += st->whole;
	if (st->is_first_use)
		l->phases[st->phase].host_first += st->whole;
	if (!st->is_shift && !st->is_counted) {
		pass_book(a, l, st);
		st->is_counted = 1;
	}
	st->is_pending = 0;
	st->ticks = st->whole = 0;
}

/* The pending step of a context. */
void lmm__steps_flush(struct lmm_analysis *a, const struct context *c)
{
	struct step *st = c->has_step ? lmm__step_find(a, c->process, c->step) : NULL;

	if (st && st->context == c->serial)
		lmm__step_flush(a, st);
}

static int is_new_request(struct lmm_analysis *a, const struct request *r, const struct context *c,
			  const struct fact *seq, uint64_t first)
{
	uint64_t tokens = (uint32_t)seq->a, outputs = seq->a >> 32;

	if (r->is_warm != c->is_warm2)
		return 1;
	if (lmm__tokens_chosen(a, r) && tokens > 1 && outputs < tokens)
		return 1;
	return r->has_outputs && first < r->prompt_end;
}

/* No pass of a prompt. */
static int is_behind_prompt(const struct step *st)
{
	return st->phase == LMM_PHASE_DECODE || st->phase == LMM_PHASE_VERIFY;
}

/*
 * The recording began in the middle of this request: what is seen first of its context stands behind something, and nothing was
 * tokenized that it could begin with. (A prompt's first piece of an engine that names no positions is taken for its beginning.)
 * A program that says where requests begin has not said so of this one.
 * Where each sequence has passes of its own, so does the first one of each whose position nobody knows.
 */
static uint8_t is_under_way(const struct lmm_analysis *a, const struct context *c,
			    const struct step *st, const struct request *r, const struct fact *seq)
{
	const struct process *p = &a->processes[st->process];
	int is_placed = seq->b != LMM_POS_ABSENT;
	int is_behind = is_placed ? seq->b > 0 : is_behind_prompt(st);

	if (!p->is_joined || !is_behind)
		return 0;
	if (p->is_marked)
		return !lmm__request_begin(a, r);
	return !p->has_tokenized && (st->call == c->first_call || (!is_placed && !c->cleared));
}

/* llama-bench: the first request of a context is its warm-up as soon as another follows. */
static void bench_decide(struct lmm_analysis *a, struct context *c, const struct step *st)
{
	if (!a->processes[c->process].is_bench || c->requests != 2 || c->is_decided)
		return;
	lmm__context_warm(a, c, st->begin);
	lmm__context_decide(a, c);
}

/* The draft model works for the request of the target model: the one of that sequence, else the latest. */
static void draft_attach(struct lmm_analysis *a, const struct step *st, uint16_t seq)
{
	struct request *best = NULL;

	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->process != st->process ||
		    r->context == st->context)
			continue;
		if (!best || (r->seq == seq) > (best->seq == seq) ||
		    ((r->seq == seq) == (best->seq == seq) && r->newest > best->newest))
			best = r;
	}
	if (!best)
		return;
	best->draft_call = st->call;
	best->draft_context = st->context;
}

/* Sequence seq->seq takes part in step st with tokens and outputs seq->a, from position seq->b on. */
static void sequence_take(struct lmm_analysis *a, struct step *st, const struct fact *seq)
{
	struct context *c = lmm__context(a, st->context);
	struct request *r = lmm__request_find(a, st->context, seq->seq);
	uint64_t tokens = (uint32_t)seq->a, first;

	if (st->phase == LMM_PHASE_DRAFT) {
		draft_attach(a, st, seq->seq);
		return;
	}
	if (!c)
		return;
	if (r)
		lmm__request_guess(a, r);
	first = seq->b != LMM_POS_ABSENT ? seq->b : r ? r->holds : 0;
	if (r && is_new_request(a, r, c, seq, first)) {
		lmm__request_close(a, r, 1);
		r = NULL;
	}
	if (!r) {
		r = request_new(a, st, seq->stream, seq->seq);
		if (!r)
			return;
		if (c->requests == 0)
			c->first_call = st->call;
		r->is_joined = is_under_way(a, c, st, r, seq);
		r->prompt_end = first;
		r->cached = r->is_joined ? 0 : first;
		c->requests += !r->is_warm;
		bench_decide(a, c, st);
		/* deciding may have moved it */
		r = lmm__request_find(a, st->context, seq->seq);
		if (!r)
			return;
	}
	r->newest_call.first = first;
	r->newest_call.tokens = tokens;
	r->newest_call.had_outputs = r->has_outputs;
	r->newest_call.prefill_steps = r->newest_call.decode_steps = 0;
	/* what a joined one decodes is no prompt */
	r->newest_call.is_prompt =
		lmm__tokens_chosen(a, r) == 0 && !(r->is_joined && is_behind_prompt(st));
	if (r->newest_call.is_prompt) {
		r->computed += tokens;
		r->prompt_end = first + tokens;
	}
	r->holds = first + tokens;
	r->call = st->call;
	r->call_end = 0;
	r->call_outputs = seq->a >> 32;
	r->call_step = st->id;
	r->has_outputs |= r->call_outputs > 0;
	st->position = st->n_seq++ ? LMM_POS_ABSENT : first;
}

/* An engine that names no sequences has one. */
void lmm__step_name(struct lmm_analysis *a, struct step *st, const struct fact *f)
{
	struct fact seq = *f;

	if (!st || !st->is_unnamed)
		return;
	st->is_unnamed = 0;
	seq.seq = LMM_SEQ_NONE;
	seq.a = st->tokens | st->outputs << 32;
	seq.b = LMM_POS_ABSENT;
	sequence_take(a, st, &seq);
}

void lmm__step_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = step_slot(a, f->process, f->step);
	struct ledger *l = lmm__ledger_at(a, f->context, f->t);
	const struct context *c = lmm__context(a, f->context);

	if (c)
		lmm__steps_flush(a, c);
	lmm__step_flush(a, st);
	memset(st, 0, sizeof(*st));
	st->is_set = 1;
	st->phase = f->phase;
	st->process = f->process;
	st->id = f->step;
	st->context = f->context;
	st->begin = f->t0;
	st->call = f->b;
	st->tokens = (uint32_t)f->a;
	st->outputs = f->a >> 32;
	st->position = LMM_POS_ABSENT;
	st->is_unnamed = st->tokens > 0;
	if (f->phase == LMM_PHASE_PREFILL) {
		l->prefill_tokens += st->tokens;
	} else if (f->phase == LMM_PHASE_DECODE) {
		l->decode_tokens += st->tokens;
	}
}

void lmm__seq_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = lmm__step_find(a, f->process, f->step);

	if (!st)
		return;
	st->is_unnamed = 0;
	sequence_take(a, st, f);
}
