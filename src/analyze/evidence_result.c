/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "analyze/build.h"
#include "analyze/sensors.h"

/*
 * What a fault costs at the least: one from a disk 100 us (a read from flash), one without 0.5 us (its trap and the clearing of a
 * page).
 */
#define MAJOR_FAULT_NS 100e3
#define MINOR_FAULT_NS 0.5e3

static struct lmm_result_span span_build(const struct builder *b, const struct span *s)
{
	struct lmm_result_span to = { 0 };

	if (s->t1 == 0)
		return to;
	to.start_ns = lmm__since_start(b, s->t0);
	to.end_ns = lmm__since_start(b, s->t1);
	return to;
}

static void places_build(const struct builder *b, struct lmm_result_evidence *e)
{
	const struct places *p = &b->a->main->places;

	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		e->phases[i].all = span_build(b, &p->all[i]);
		e->phases[i].longest = span_build(b, &p->longest[i]);
		e->phases[i].first_use = span_build(b, &p->first_use[i]);
		for (unsigned c = 0; c < LMM_GAP_CAUSES; c++) {
			e->idle[i][c].count = p->gaps[i][c].count;
			e->idle[i][c].total_ns = builder_ns(b, p->gaps[i][c].ticks);
			e->idle[i][c].longest = span_build(b, &p->gaps[i][c].longest);
		}
	}
}

/* ---- tokens ------------------------------------------------------------------------------------- */

/* What explains at least half of what it took longer. */
static unsigned cause_build(const struct lmm_result_slow_token *x, double ns, unsigned known)
{
	double half = (ns - x->usual_ns) / 2;
	double faults =
		(double)x->major_faults * MAJOR_FAULT_NS + (double)x->minor_faults * MINOR_FAULT_NS;

	if (known != LMM_TOKEN_UNKNOWN)
		return known;
	if (x->run_wait_ns >= half)
		return LMM_TOKEN_LOST_CORE;
	if (faults >= half)
		return LMM_TOKEN_PAGE_FAULTS;
	if (x->frequency_percent > 0 && x->usual_ns * (100 / x->frequency_percent - 1) >= half)
		return LMM_TOKEN_FREQUENCY;
	return x->throttled ? LMM_TOKEN_THROTTLED : LMM_TOKEN_UNKNOWN;
}

static void slow_token_build(const struct builder *b, const struct slow_token *from,
			     struct lmm_result_slow_token *to)
{
	const struct moments *m = b->a->moments;
	const struct span span = { from->t0, from->t1 };

	to->span = span_build(b, &span);
	to->usual_ns = builder_ns(b, from->usual);
	to->phase = from->phase;
	to->has_process = from->has_process;
	to->throttled = from->throttled;
	to->run_wait_ns = (double)from->run_wait;
	to->major_faults = from->major;
	to->minor_faults = from->minor;
	to->frequency_percent = -1;
	if (from->hz && m->hz_covered) {
		to->frequency_percent =
			100 * (double)from->hz * (double)m->hz_covered / m->hz_ticks;
	}
	to->cause = (uint8_t)cause_build(to, builder_ns(b, from->t1 - from->t0), from->cause);
}

static void tokens_build(const struct builder *b, struct lmm_result_token_times *to)
{
	const struct token_watch *w = &b->a->tokens;

	to->count = w->count;
	to->total_ns = builder_ns(b, w->ticks);
	to->changes_ns = builder_ns(b, w->changes);
	to->slow = w->slow;
	to->over_ns = builder_ns(b, w->over);
	to->span = span_build(b, &w->span);
	for (uint32_t i = 0; i < w->n_worst; i++)
		slow_token_build(b, &w->worst[i], &to->worst[i]);
	to->n_worst = (uint8_t)w->n_worst;
}

static void first_token_build(const struct builder *b, struct lmm_result_first_token *to)
{
	const struct lead *first = NULL;
	struct span span;

	for (uint32_t i = 0; i < b->a->n_processes; i++) {
		const struct lead *l = &b->a->processes[i].lead;

		if (l->token && (!first || l->token < first->token))
			first = l;
	}
	if (!first)
		return;
	span = (struct span){ first->begun ? first->begun : first->token, first->token };
	to->span = span_build(b, &span);
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++)
		to->phases_ns[p] = builder_ns(b, first->ticks[p]);
	to->first_use_ns = builder_ns(b, first->first_use);
}

/* ---- layers ------------------------------------------------------------------------------------- */

static int layer_turns_build(const struct builder *b, struct lmm_result_evidence *e)
{
	const struct ledger *l = b->a->main;

	e->layers = lmm__array_new(l->n_layers, sizeof(*e->layers));
	if (!e->layers)
		return -ENOMEM;
	for (uint32_t i = 1; i < l->n_layers; i++) {
		const struct layer_sum *y = &l->layers[i];
		struct lmm_result_layer_turns *to = &e->layers[e->n_layers];
		uint64_t sum = 0;

		for (unsigned t = 0; t < LMM_LAYER_TURNS; t++) {
			sum += y->turn[t];
			to->turns_ns[t] = builder_ns(b, y->turn[t]);
		}
		if (sum == 0)
			continue;
		to->layer = (int32_t)i - 1;
		to->bytes = y->bytes;
		e->n_layers++;
	}
	return 0;
}

int lmm__evidence_build(struct builder *b)
{
	struct lmm_result_evidence *e = &b->r->evidence;

	places_build(b, e);
	tokens_build(b, &e->tokens);
	first_token_build(b, &e->first_token);
	e->throttled = span_build(b, &b->a->moments->throttled.longest);
	e->waiting = span_build(b, &b->a->moments->waiting.longest);
	return layer_turns_build(b, e);
}
