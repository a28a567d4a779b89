/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second stage: facts of all streams, in order of time, become phases, steps and requests. Time is booked to a request as it
 * passes; how much of it counts is known by its marks: whatever comes behind the last one was after its end.
 */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

/* ---- requests ----------------------------------------------------------------------------------- */

static struct request *request_find(struct lmm_analysis *a, uint32_t context, uint16_t seq)
{
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state == REQUEST_OPEN && r->context == context && r->seq == seq)
			return r;
	}
	return NULL;
}

/* The only one that is open in a context; NULL if there are several. */
static struct request *request_only(struct lmm_analysis *a, uint32_t context)
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
	for (uint32_t i = 0; i < a->n_idles && r->n_leads < LMM_I_LEADS; i++) {
		const struct idle *x = &a->idles[i];

		if (x->stream == r->stream && x->span.t0 >= r->earlier_token &&
		    x->span.t1 <= r->first)
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

		if (x.stream == r->stream && x.span.t0 >= r->booked && x.span.t1 <= t) {
			lmm_hist_add(&r->idle, x.span.t1 - x.span.t0);
		} else {
			a->idles[kept++] = x;
		}
	}
	a->n_idles = kept;
	r->booked = t;
}

static void request_mark(struct lmm_analysis *a, struct request *r, unsigned kind, uint64_t t)
{
	struct mark *m = &r->marks[kind];

	m->is_set = 1;
	m->t = t;
	memcpy(m->sums, r->sums, sizeof(m->sums));
	if (lmm__request_mark(r) == m)
		idles_take(a, r, t);
}

/* ---- tokens ------------------------------------------------------------------------------------- */

/* In a context where no token is ever seen, a call with outputs stands for one. */
void lmm__request_guess(struct lmm_analysis *a, struct request *r)
{
	const struct context *c = lmm__context(a, r->context);

	if (r->call_outputs == 0 || r->call_end == 0 || !c || c->tokens)
		return;
	if (r->guessed++ == 0) {
		r->first_guess = r->call_end;
	} else {
		lmm_hist_add(&r->gaps, lmm__minus(r->call_end, r->last_guess));
	}
	r->last_guess = r->call_end;
	r->call_outputs = 0;
}

static void guesses_forget(struct lmm_analysis *a, uint32_t context)
{
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->context != context)
			continue;
		r->guessed = 0;
		if (r->tokens == 0)
			lmm_hist_free(&r->gaps);
	}
}

static uint64_t tokens_chosen(struct lmm_analysis *a, const struct request *r)
{
	const struct context *c = lmm__context(a, r->context);

	return r->tokens || (c && c->tokens) ? r->tokens : r->guessed;
}

/* ---- steps -------------------------------------------------------------------------------------- */

static struct step *step_slot(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	return &a->steps[(id + process * 40503u) % LMM_I_STEPS];
}

static struct step *step_find(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	struct step *st = step_slot(a, process, id);

	return st->is_set && st->process == process && st->id == id ? st : NULL;
}

static int is_new_request(struct lmm_analysis *a, const struct request *r, const struct context *c,
			  const struct fact *seq, uint64_t first)
{
	uint64_t tokens = (uint32_t)seq->a, outputs = seq->a >> 32;

	if (r->is_warm != c->is_warm2)
		return 1;
	if (tokens_chosen(a, r) && tokens > 1 && outputs < tokens)
		return 1;
	return r->has_outputs && first < r->prompt_end;
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
	struct request *r = request_find(a, st->context, seq->seq);
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
		r->cached = r->prompt_end = first;
		c->requests += !r->is_warm;
		bench_decide(a, c, st);
		/* deciding may have moved it */
		r = request_find(a, st->context, seq->seq);
		if (!r)
			return;
	}
	if (tokens_chosen(a, r) == 0) {
		r->computed += tokens;
		r->prompt_end = first + tokens;
	}
	r->holds = first + tokens;
	r->call = st->call;
	r->call_end = 0;
	r->call_outputs = seq->a >> 32;
	r->has_outputs |= r->call_outputs > 0;
	st->position = st->n_seq++ ? LMM_POS_ABSENT : first;
}

/* An engine that names no sequences has one. */
static void step_name(struct lmm_analysis *a, struct step *st, const struct fact *f)
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

static void step_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = step_slot(a, f->process, f->step);
	struct ledger *l = lmm__ledger_at(a, f->context, f->t);

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

static void seq_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = step_find(a, f->process, f->step);

	if (!st)
		return;
	st->is_unnamed = 0;
	sequence_take(a, st, f);
}

/* ---- phases ------------------------------------------------------------------------------------- */

static int is_step_phase(unsigned phase)
{
	return phase == LMM_PHASE_PREFILL || phase == LMM_PHASE_DECODE ||
	       phase == LMM_PHASE_DRAFT || phase == LMM_PHASE_VERIFY;
}

/* An occurrence has ended: it counts in the sums over all requests. */
static void occurrence_book(struct lmm_analysis *a, const struct fact *f, const struct step *st)
{
	struct ledger *l = lmm__ledger_at(a, st ? st->context : 0, f->b);
	uint64_t whole = lmm__minus(f->t, f->b);

	lmm_hist_add(&l->phases[f->phase].hist, f->a);
	l->phases[f->phase].host += whole;
	if (!is_step_phase(f->phase) || f->flags & FACT_IS_SHIFT)
		return;
	l->steps++;
	if (f->phase == LMM_PHASE_PREFILL)
		lmm_hist_add(&l->prefill, whole);
	if (f->phase != LMM_PHASE_DECODE)
		return;
	lmm_hist_add(&l->decode, whole);
	if (st && st->n_seq == 1 && st->tokens == 1)
		lmm__ledger_bin(l, st->position, whole);
}

static int is_sequence_phase(unsigned phase)
{
	return phase == LMM_PHASE_SAMPLING || phase == LMM_PHASE_SOFTMAX ||
	       phase == LMM_PHASE_DETOKENIZE;
}

/* Whose logits were read. Where the names do not meet, there must be only one that it can be. */
static struct request *request_sampled(struct lmm_analysis *a, const struct step *st, uint16_t seq)
{
	struct request *r;

	if (!st)
		return NULL;
	r = request_find(a, st->context, seq);
	return r ? r : request_only(a, st->context);
}

static int request_owns(const struct request *r, const struct fact *f, const struct step *st,
			const struct request *sampled)
{
	if (!st || f->phase == LMM_PHASE_TOKENIZE || f->phase == LMM_PHASE_MODEL_LOAD ||
	    f->phase == LMM_PHASE_CONTEXT_INIT)
		return 0;
	if (st->phase == LMM_PHASE_DRAFT)
		return r->draft_context == st->context && r->draft_call == st->call;
	if (is_sequence_phase(f->phase))
		return r == sampled;
	return r->context == st->context && r->call == st->call;
}

static unsigned request_phase(struct lmm_analysis *a, const struct request *r, unsigned phase)
{
	if (phase != LMM_PHASE_PREFILL && phase != LMM_PHASE_DECODE)
		return phase;
	return tokens_chosen(a, r) ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL;
}

/* Engines that hand calls from thread to thread: between two threads' phases no interval of either tells. */
static uint64_t request_hop(struct request *r, const struct fact *f)
{
	uint64_t t0 = f->t0;

	if (r->stream == f->stream)
		return t0;
	if (t0 > r->newest) {
		r->sums[LMM_PHASE_UNACCOUNTED].ticks += t0 - r->newest;
		r->sums[LMM_PHASE_UNACCOUNTED].count++;
		lmm_hist_add(&r->idle, t0 - r->newest);
	} else {
		t0 = r->newest < f->t ? r->newest : f->t;
	}
	r->stream = f->stream;
	return t0;
}

static void request_book(struct request *r, const struct fact *f, unsigned phase)
{
	uint64_t t0 = request_hop(r, f);

	r->sums[phase].ticks += lmm__minus(f->t, t0);
	r->sums[phase].count += f->flags & FACT_LAST;
	if (f->t > r->newest)
		r->newest = f->t;
}

static void request_step_end(struct lmm_analysis *a, struct request *r, const struct fact *f,
			     unsigned phase)
{
	if (phase != LMM_PHASE_DRAFT) {
		r->call_end = f->t;
		if (!(f->flags & FACT_IS_SHIFT) && phase == LMM_PHASE_PREFILL) {
			r->prefill_steps++;
		} else if (!(f->flags & FACT_IS_SHIFT)) {
			r->decode_steps++;
		}
	}
	request_mark(a, r, MARK_STEP, f->t);
}

static void request_own(struct lmm_analysis *a, struct request *r, const struct fact *f)
{
	unsigned phase = request_phase(a, r, f->phase);

	request_book(r, f, phase);
	if (!(f->flags & FACT_LAST))
		return;
	if (f->phase == LMM_PHASE_DETOKENIZE) {
		request_mark(a, r, MARK_DETOKENIZE, f->t);
	} else if (is_step_phase(f->phase)) {
		request_step_end(a, r, f, phase);
	}
}

static void piece_book(struct lmm_analysis *a, const struct fact *f, const struct step *st)
{
	const struct request *sampled = request_sampled(a, st, f->seq);
	uint32_t owners = 0, running = 0;

	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->process != f->process)
			continue;
		running++;
		if (!request_owns(r, f, st, sampled))
			continue;
		owners++;
		request_own(a, r, f);
	}
	if (owners == running)
		return;
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->process != f->process ||
		    r->stream != f->stream || request_owns(r, f, st, sampled))
			continue;
		/* nobody's, and nobody else is there to wait for */
		request_book(r, f,
			     running == 1 ? request_phase(a, r, f->phase) : LMM_PHASE_WAITING);
	}
}

static unsigned since_kind(unsigned phase)
{
	switch (phase) {
	case LMM_PHASE_TOKENIZE:
		return SINCE_TOKENIZE;
	case LMM_PHASE_MODEL_LOAD:
		return SINCE_LOAD;
	case LMM_PHASE_CONTEXT_INIT:
		return SINCE_INIT;
	default:
		return SINCE_OTHERS;
	}
}

static void since_add(struct lmm_analysis *a, const struct fact *f, unsigned kind)
{
	struct stream *s = lmm__stream(a, f->stream);

	if (!s)
		return;
	s->since[kind].ticks += lmm__minus(f->t, f->t0);
	s->since[kind].count += kind == SINCE_IDLE || f->flags & FACT_LAST;
}

static void tokenize_put(struct lmm_analysis *a, const struct fact *f)
{
	const struct stream *s = lmm__stream(a, f->stream);
	struct tokenize *x;

	if (a->n_tokenizes == LMM_I_TOKENIZES) {
		a->n_tokenizes /= 2;
		memmove(a->tokenizes, a->tokenizes + LMM_I_TOKENIZES - a->n_tokenizes,
			a->n_tokenizes * sizeof(*x));
	}
	x = &a->tokenizes[a->n_tokenizes++];
	memset(x, 0, sizeof(*x));
	x->process = f->process;
	x->stream = f->stream;
	x->t0 = f->b;
	x->t1 = f->t;
	x->ticks = f->a;
	if (s)
		memcpy(x->since, s->since, sizeof(x->since));
}

static void piece_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = f->step == LMM_STEP_NONE ? NULL : step_find(a, f->process, f->step);

	step_name(a, st, f);
	since_add(a, f, since_kind(f->phase));
	if (f->flags & FACT_LAST) {
		occurrence_book(a, f, st);
		if (f->phase == LMM_PHASE_TOKENIZE)
			tokenize_put(a, f);
	}
	piece_book(a, f, st);
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void idle_take(struct lmm_analysis *a, const struct fact *f)
{
	struct idle *x;

	since_add(a, f, SINCE_IDLE);
	if (a->n_idles == LMM_I_IDLES) {
		a->n_idles /= 2;
		memmove(a->idles, a->idles + LMM_I_IDLES - a->n_idles, a->n_idles * sizeof(*x));
	}
	x = &a->idles[a->n_idles++];
	x->stream = f->stream;
	x->span.t0 = f->t0;
	x->span.t1 = f->t;
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];
		uint64_t t0 = f->t0 > r->first ? f->t0 : r->first;

		if (r->state != REQUEST_OPEN || r->stream != f->stream || f->t <= r->first)
			continue;
		r->sums[LMM_PHASE_UNACCOUNTED].ticks += f->t - t0;
		r->sums[LMM_PHASE_UNACCOUNTED].count++;
		if (f->t > r->newest)
			r->newest = f->t;
	}
}

static void token_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = step_find(a, f->process, f->step);
	struct stream *s = lmm__stream(a, f->stream);
	struct request *r;
	struct context *c;

	step_name(a, st, f);
	r = request_sampled(a, st, f->seq);
	if (!r || st->phase == LMM_PHASE_DRAFT)
		return;
	if (s)
		s->last_token = f->t;
	c = lmm__context(a, r->context);
	if (c && !r->is_warm && c->tokens++ == 0)
		guesses_forget(a, r->context);
	if (r->tokens++ == 0) {
		r->first_token = f->t;
	} else {
		lmm_hist_add(&r->gaps, lmm__minus(f->t, r->last_token));
	}
	r->last_token = f->t;
	request_mark(a, r, MARK_TOKEN, f->t);
	if (c && !r->is_warm)
		lmm__context_decide(a, c);
}

/* Tells the newest tokenize of that stream how many tokens it made. */
static void count_take(struct lmm_analysis *a, const struct fact *f)
{
	for (uint32_t i = a->n_tokenizes; i-- > 0;) {
		struct tokenize *x = &a->tokenizes[i];

		if (x->stream != f->stream)
			continue;
		if (!x->has_count) {
			x->has_count = 1;
			x->tokens = f->a;
		}
		return;
	}
}

static void sequence_cut(struct lmm_analysis *a, const struct fact *f)
{
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->context != f->context)
			continue;
		if ((f->seq == LMM_SEQ_NONE || f->seq == r->seq) && f->b < r->holds)
			r->holds = f->b;
	}
}

static void hint_take(struct lmm_analysis *a, const struct fact *f)
{
	struct context *c = lmm__context(a, f->context);

	if (!c)
		return;
	switch (f->phase) {
	case LMM_HINT_MEMORY_CLEAR:
		lmm__requests_close(a, c->serial);
		break;
	case LMM_HINT_CONTEXT_NEW:
	case LMM_HINT_CONTEXT_FREE:
		lmm__context_free(a, c);
		break;
	case LMM_HINT_SEQ_RM:
		sequence_cut(a, f);
		break;
	case LMM_HINT_PERF_RESET:
		if (c->tokens == 0 && !c->is_decided)
			lmm__context_warm(a, c, f->t);
		break;
	case LMM_HINT_WARMUP_ON:
	case LMM_HINT_WARMUP_OFF:
		c->is_warm2 = f->phase == LMM_HINT_WARMUP_ON;
		break;
	default:
		break;
	}
}

void lmm__fact_take(struct lmm_analysis *a, const struct fact *f)
{
	switch (f->kind) {
	case FACT_PIECE:
		piece_take(a, f);
		break;
	case FACT_IDLE:
		idle_take(a, f);
		break;
	case FACT_STEP:
		step_take(a, f);
		break;
	case FACT_SEQ:
		seq_take(a, f);
		break;
	case FACT_TOKEN:
		token_take(a, f);
		break;
	case FACT_COUNT:
		count_take(a, f);
		break;
	case FACT_HINT:
		hint_take(a, f);
		break;
	default:
		break;
	}
}
