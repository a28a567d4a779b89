/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that took long, by those just before them in the same request: so a context that grows makes none. What ran then is put
 * together from the request's own phases and from the rounds of sensors that the token touches.
 */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

#define RECENT_MIN 8 /* fewer are no measure */

static int ticks_compare(const void *x, const void *y)
{
	const uint64_t *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static uint64_t recent_median(const struct recent *r)
{
	uint64_t sorted[RECENT_KEPT];

	memcpy(sorted, r->at, sizeof(sorted));
	qsort(sorted, r->n, sizeof(sorted[0]), ticks_compare);
	return sorted[r->n / 2];
}

static void recent_add(struct recent *r, uint64_t ticks)
{
	r->at[r->next] = ticks;
	r->next = (r->next + 1) % RECENT_KEPT;
	if (r->n < RECENT_KEPT)
		r->n++;
}

/* ---- what ran then ------------------------------------------------------------------------------ */

static void round_tell(struct slow_token *x, const struct moment *m)
{
	if (m->t1 <= x->told || m->t0 >= x->t1 || m->t1 <= x->t0)
		return;
	x->told = m->t1;
	x->has_process |= m->has_process;
	x->run_wait += m->run_wait;
	x->major += m->major;
	x->minor += m->minor;
	x->throttled |= m->throttled;
	if (m->hz && (x->hz == 0 || m->hz < x->hz))
		x->hz = m->hz;
}

void lmm__slow_tokens_tell(struct token_watch *w, const struct moment *m)
{
	for (uint32_t i = 0; i < w->n_worst; i++)
		round_tell(&w->worst[i], m);
}

static void rounds_tell(const struct moments *x, struct slow_token *s)
{
	for (uint32_t i = 0; i < x->n; i++)
		round_tell(s, &x->at[(x->next + MOMENTS_KEPT - x->n + i) % MOMENTS_KEPT]);
}

/* The phase that is longer than in the request's tokens so far by the most. */
static unsigned phase_of(const struct request *r, const struct mark *before)
{
	unsigned phase = LMM_PHASE_NONE;
	double most = 0;

	for (unsigned p = 1; p < LMM_PHASE_COUNT; p++) {
		double now = (double)(r->sums[p].ticks - before->sums[p].ticks);
		double mean = (double)before->sums[p].ticks / (double)r->tokens;

		if (p == LMM_PHASE_PREFILL)
			mean = 0;
		if (now - mean > most) {
			most = now - mean;
			phase = p;
		}
	}
	return phase;
}

/* Known from the events alone. */
static unsigned cause_of(const struct request *r, const struct mark *before, const struct step *st,
			 uint64_t over)
{
	uint64_t waited = r->sums[LMM_PHASE_WAITING].ticks - before->sums[LMM_PHASE_WAITING].ticks;

	if (st->phase == LMM_PHASE_PREFILL || waited >= over / 2)
		return LMM_TOKEN_OTHERS;
	return st->is_first_use ? LMM_TOKEN_FIRST_USE : LMM_TOKEN_UNKNOWN;
}

/* ---- which ones --------------------------------------------------------------------------------- */

static uint64_t over_of(const struct slow_token *x)
{
	return x->t1 - x->t0 - x->usual;
}

static void worst_add(struct token_watch *w, const struct slow_token *x)
{
	uint32_t at;

	if (w->n_worst == LMM_RESULT_SLOW_TOKENS) {
		if (over_of(&w->worst[w->n_worst - 1]) >= over_of(x))
			return;
		w->n_worst--;
	}
	for (at = w->n_worst++; at > 0 && over_of(&w->worst[at - 1]) < over_of(x); at--)
		w->worst[at] = w->worst[at - 1];
	w->worst[at] = *x;
}

static void slow_add(struct lmm_analysis *a, const struct request *r, const struct step *st,
		     uint64_t t, uint64_t usual)
{
	const struct mark *before = &r->marks[MARK_TOKEN];
	struct slow_token x = { .t0 = r->last_token, .t1 = t, .usual = usual };

	x.phase = (uint8_t)phase_of(r, before);
	x.cause = (uint8_t)cause_of(r, before, st, over_of(&x));
	rounds_tell(a->moments, &x);
	a->tokens.slow++;
	a->tokens.over += over_of(&x);
	worst_add(&a->tokens, &x);
}

void lmm__token_watch(struct lmm_analysis *a, struct request *r, const struct step *st, uint64_t t)
{
	struct token_watch *w = &a->tokens;
	uint64_t ticks = lmm__minus(t, r->last_token), usual;

	/* several of one pass come at once, and the next ones late: that is how they are made */
	if (r->is_warm || ticks == 0 || st->phase == LMM_PHASE_VERIFY)
		return;
	if (r->recent.n >= RECENT_MIN) {
		usual = recent_median(&r->recent);
		w->count++;
		w->ticks += ticks;
		lmm__span_extend(&w->span, r->last_token, t);
		if (ticks > LMM_SLOW_TOKEN_FACTOR * usual) {
			slow_add(a, r, st, t, usual);
		} else {
			w->changes += ticks > usual ? ticks - usual : usual - ticks;
		}
	}
	recent_add(&r->recent, ticks);
}
