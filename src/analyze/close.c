/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that have ended: their start is found, their sums are settled, and they go where they belong. */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

/* ---- when requests ran -------------------------------------------------------------------------- */

static void spans_forget_first(struct lmm_analysis *a)
{
	a->spans_past += a->spans[0].t1 - a->spans[0].t0;
	a->spans_floor = a->spans[0].t1;
	a->n_spans--;
	memmove(a->spans, a->spans + 1, a->n_spans * sizeof(a->spans[0]));
}

/* The union of all [start, end]: disjoint spans in order; the oldest become a plain sum. */
static void spans_add(struct lmm_analysis *a, uint64_t t0, uint64_t t1)
{
	struct span x = { t0 > a->spans_floor ? t0 : a->spans_floor, t1 };
	uint32_t from = 0, to;

	if (x.t1 <= x.t0)
		return;
	while (from < a->n_spans && a->spans[from].t1 < x.t0)
		from++;
	for (to = from; to < a->n_spans && a->spans[to].t0 <= x.t1; to++) {
		if (a->spans[to].t0 < x.t0)
			x.t0 = a->spans[to].t0;
		if (a->spans[to].t1 > x.t1)
			x.t1 = a->spans[to].t1;
	}
	if (to == from && a->n_spans == LMM_I_SPANS) {
		spans_forget_first(a);
		spans_add(a, x.t0, x.t1);
		return;
	}
	memmove(a->spans + from + 1, a->spans + to, (a->n_spans - to) * sizeof(x));
	a->spans[from] = x;
	a->n_spans = a->n_spans - (to - from) + 1;
}

/* ---- its tokenize ------------------------------------------------------------------------------- */

static int tokenize_fits(const struct request *r, const struct tokenize *x)
{
	return x->process == r->process && x->t1 <= r->first && !x->is_begin;
}

static struct tokenize *tokenize_find(struct lmm_analysis *a, const struct request *r)
{
	for (uint32_t i = a->n_tokenizes; i-- > 0;) {
		struct tokenize *x = &a->tokenizes[i];

		if (tokenize_fits(r, x) && x->has_count && x->tokens == r->computed + r->cached)
			return x;
	}
	for (uint32_t i = a->n_tokenizes; i-- > 0;) {
		struct tokenize *x = &a->tokenizes[i];

		if (tokenize_fits(r, x) && x->stream == r->first_stream &&
		    x->t0 >= r->earlier_token)
			return x;
	}
	return NULL;
}

static void lead_add(struct tally *into, uint64_t ticks, uint64_t count)
{
	into->ticks += ticks;
	into->count += count;
}

struct tokenize *lmm__request_begin(const struct lmm_analysis *a, const struct request *r)
{
	for (uint32_t i = a->n_tokenizes; i-- > 0;) {
		struct tokenize *x = &a->tokenizes[i];

		if (x->is_begin && x->context == r->context && x->seq == r->seq &&
		    x->t1 <= r->first)
			return x;
	}
	return NULL;
}

/* What lies between the tokenize and the first step: known by sums of its own, since then the stream's were counted. */
static void lead_claim(struct request *r, const struct tokenize *x,
		       struct tally sums[LMM_PHASE_COUNT])
{
	if (x->stream != r->first_stream) {
		lead_add(&sums[LMM_PHASE_WAITING], r->first - x->t1, 1);
		return;
	}
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		lead_add(&sums[i], lmm__minus(r->since[i].ticks, x->since[i].ticks),
			 lmm__minus(r->since[i].count, x->since[i].count));
	}
	for (uint32_t i = 0; i < r->n_leads; i++) {
		if (r->leads[i].t0 >= x->t1)
			lmm_hist_add(&r->idle, r->leads[i].t1 - r->leads[i].t0);
	}
}

/* Whoever has claimed it has it for good. */
static void tokenize_remove(struct lmm_analysis *a, struct tokenize *x)
{
	uint32_t at = (uint32_t)(x - a->tokenizes);

	a->n_tokenizes--;
	memmove(x, x + 1, (a->n_tokenizes - at) * sizeof(*x));
}

/* ---- booking ------------------------------------------------------------------------------------ */

static struct done *done_slot(struct lmm_analysis *a, uint64_t start)
{
	struct done *oldest = &a->done[0];

	if (a->n_done < LMM_RESULT_REQUESTS_MAX)
		return &a->done[a->n_done++];
	for (uint32_t i = 1; i < a->n_done; i++) {
		if (a->done[i].start < oldest->start)
			oldest = &a->done[i];
	}
	return oldest->start <= start ? oldest : NULL;
}

/* Nothing of it was ever computed. */
static int is_refused(const struct done *d)
{
	return d->refused && d->computed == 0 && d->tokens == 0;
}

static void done_count(struct lmm_analysis *a, const struct done *d)
{
	a->requests_total++;
	a->output_tokens += d->tokens;
	a->processes[d->process].requests++;
	a->processes[d->process].output_tokens += d->tokens;
	spans_add(a, d->start, d->end);
	/* of what was under way before, nobody knows the begin; what was refused altogether took no time */
	if (!d->is_joined && !is_refused(d))
		lmm_hist_add(&a->duration, lmm__minus(d->end, d->start));
	if (d->tokens && !d->is_joined)
		lmm_hist_add(&a->ttft, lmm__minus(d->first_token, d->start));
	if (d->tokens > 1)
		lmm_hist_add(&a->tpot, lmm__minus(d->last_token, d->first_token) / (d->tokens - 1));
	if (d->sums[LMM_PHASE_WAITING].count) {
		lmm_hist_add(&a->main->phases[LMM_PHASE_WAITING].hist.steady,
			     d->sums[LMM_PHASE_WAITING].ticks);
	}
}

static int is_guessed(struct lmm_analysis *a, const struct request *r)
{
	const struct context *c = lmm__context(a, r->context);

	return r->tokens == 0 && (!c || c->tokens == 0);
}

uint64_t lmm__tokens_settled(struct lmm_analysis *a)
{
	uint64_t sum = a->output_tokens;

	for (uint32_t i = 0; i < a->n_requests; i++) {
		const struct request *r = &a->requests[i];
		const struct context *c = lmm__context(a, r->context);

		if (!r->is_warm && (!c || c->is_decided))
			sum += is_guessed(a, r) ? r->guessed : r->tokens;
	}
	return sum;
}

static void done_tokens(struct lmm_analysis *a, const struct request *r, struct done *d)
{
	int is_guess = is_guessed(a, r);

	d->tokens = is_guess ? r->guessed : r->tokens;
	d->first_token = is_guess ? r->first_guess : r->first_token;
	d->last_token = is_guess ? r->last_guess : r->last_token;
}

/* Its start, and what lies between that and its first step. */
static void start_claim(struct lmm_analysis *a, struct request *r, struct done *d)
{
	struct tokenize *begin = lmm__request_begin(a, r), *x = tokenize_find(a, r);

	if (begin && x && x->t0 < begin->t0)
		x = NULL; /* another's */
	if (!x && !begin)
		return;
	d->start = begin ? begin->t0 : x->t0;
	/* behind a begin on the thread of the first step the sums have all of the thread's own */
	if (x && (!begin || x->stream != begin->stream || begin->stream != r->first_stream))
		lead_add(&d->sums[x->phase], x->ticks, 1);
	lead_claim(r, begin ? begin : x, d->sums);
	if (begin && begin->stream != r->first_stream && x) {
		d->sums[LMM_PHASE_WAITING].ticks =
			lmm__minus(d->sums[LMM_PHASE_WAITING].ticks, x->ticks);
	}
	if (x)
		tokenize_remove(a, x);
	if (begin)
		tokenize_remove(a, lmm__request_begin(a, r));
}

static void request_book(struct lmm_analysis *a, struct request *r)
{
	const struct mark *m = lmm__request_mark(r);
	struct done d = { 0 }, *to;

	d.process = r->process;
	d.context_id = r->context_id;
	d.seq = r->seq;
	d.is_complete = r->is_complete;
	d.is_joined = r->is_joined;
	d.start = r->start;
	d.end = m ? m->t : r->newest;
	d.computed = r->computed;
	d.cached = r->cached;
	d.prefill_steps = r->prefill_steps;
	d.decode_steps = r->decode_steps;
	memcpy(d.sums, m ? m->sums : r->sums, sizeof(d.sums));
	d.shifts = r->shifts.n;
	d.refused = r->refused;
	done_tokens(a, r, &d);
	d.is_complete &= !is_refused(&d);
	start_claim(a, r, &d);
	done_count(a, &d);
	a->gaps_apart += r->gaps_apart;
	a->shifts.n += r->shifts.n;
	a->shifts.tokens += r->shifts.tokens;
	a->shifts.ticks += r->shifts.ticks;
	if (lmm_hist_merge(&a->itl, &r->gaps) ||
	    lmm_hist_merge(&a->main->phases[LMM_PHASE_UNACCOUNTED].hist.steady, &r->idle))
		a->failed = 1;
	to = done_slot(a, d.start);
	if (to)
		*to = d;
}

static void request_remove(struct lmm_analysis *a, struct request *r)
{
	uint32_t at = (uint32_t)(r - a->requests);

	lmm_hist_free(&r->gaps);
	lmm_hist_free(&r->idle);
	a->n_requests--;
	memmove(r, r + 1, (a->n_requests - at) * sizeof(*r));
}

/* ---- ends --------------------------------------------------------------------------------------- */

static void held_limit(struct lmm_analysis *a, struct context *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->n_requests; i++)
		n += a->requests[i].context == c->serial && a->requests[i].state == REQUEST_HELD;
	if (n >= LMM_I_HELD_REQUESTS)
		lmm__context_decide(a, c);
}

void lmm__request_close(struct lmm_analysis *a, struct request *r, int is_complete)
{
	struct context *c = lmm__context(a, r->context);

	lmm__request_guess(a, r);
	r->is_complete = (uint8_t)is_complete;
	if (r->is_warm) {
		a->warm_requests++;
		request_remove(a, r);
	} else if (c && !c->is_decided) {
		r->state = REQUEST_HELD;
		held_limit(a, c);
	} else {
		request_book(a, r);
		request_remove(a, r);
	}
}

void lmm__requests_close(struct lmm_analysis *a, uint32_t context)
{
	uint32_t i = 0;

	while (i < a->n_requests) {
		if (a->requests[i].context == context && a->requests[i].state == REQUEST_OPEN) {
			lmm__request_close(a, &a->requests[i], 1);
			i = 0; /* others may have gone with it */
		} else {
			i++;
		}
	}
}

void lmm__requests_decided(struct lmm_analysis *a, const struct context *c)
{
	for (uint32_t i = 0; i < a->n_requests;) {
		struct request *r = &a->requests[i];

		if (r->context == c->serial && r->state == REQUEST_HELD) {
			request_book(a, r);
			request_remove(a, r);
		} else {
			i++;
		}
	}
}

void lmm__requests_warm(struct lmm_analysis *a, const struct context *c, uint64_t t)
{
	for (uint32_t i = 0; i < a->n_requests;) {
		struct request *r = &a->requests[i];

		if (r->context == c->serial && r->first < t) {
			a->warm_requests++;
			request_remove(a, r);
		} else {
			i++;
		}
	}
}

/* At the end of the recording: a process that ended with no phase open has finished its requests. */
static int is_finished(struct lmm_analysis *a, const struct request *r)
{
	const struct stream *s = lmm__stream(a, r->stream);

	return a->processes[r->process].has_ended && (!s || s->depth == 0);
}

void lmm__settle(struct lmm_analysis *a)
{
	for (unsigned i = 0; i < LMM_I_STREAMS; i++) {
		if (a->streams[i])
			lmm__load_flush(a, a->streams[i], 0, 0);
	}
	lmm__facts_flush(a);
	for (uint32_t i = 0; i < LMM_I_STEPS; i++)
		lmm__step_flush(a, &a->steps[i]);
}

void lmm__finish(struct lmm_analysis *a)
{
	lmm__settle(a);
	for (uint32_t i = 0; i < a->n_requests;) {
		struct request *r = &a->requests[i];

		if (r->state == REQUEST_OPEN) {
			lmm__request_close(a, r, is_finished(a, r));
			i = 0;
		} else {
			i++;
		}
	}
	for (uint32_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].serial)
			lmm__context_decide(a, &a->contexts[i]);
	}
	for (uint32_t i = 0; (i = lmm__flight_next(a, i)) < LMM_I_FLIGHT; i++)
		a->past_invalid += a->flights[i].has == 2; /* COMPLETION without COMMAND */
}
