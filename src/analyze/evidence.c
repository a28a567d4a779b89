/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/evidence.h"

void lmm__span_extend(struct span *s, uint64_t t0, uint64_t t1)
{
	if (t1 < t0 || t1 == 0)
		return;
	if (s->t1 == 0) {
		*s = (struct span){ t0, t1 };
		return;
	}
	if (t0 < s->t0)
		s->t0 = t0;
	if (t1 > s->t1)
		s->t1 = t1;
}

/* Of two that are as long, the first: so that the order of merging changes nothing. */
void lmm__span_longest(struct span *s, uint64_t t0, uint64_t t1)
{
	uint64_t now = s->t1 - s->t0;

	if (t1 < t0 || t1 == 0)
		return;
	if (s->t1 == 0 || t1 - t0 > now || (t1 - t0 == now && t0 < s->t0))
		*s = (struct span){ t0, t1 };
}

void lmm__place_phase(struct places *p, unsigned phase, uint64_t t0, uint64_t t1)
{
	lmm__span_extend(&p->all[phase], t0, t1);
	lmm__span_longest(&p->longest[phase], t0, t1);
}

void lmm__place_gap(struct places *p, unsigned phase, unsigned cause, uint64_t t0, uint64_t t1)
{
	struct gap_place *g = &p->gaps[phase][cause];

	g->count++;
	g->ticks += t1 - t0;
	lmm__span_longest(&g->longest, t0, t1);
}

void lmm__places_merge(struct places *into, const struct places *from)
{
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		lmm__span_extend(&into->all[i], from->all[i].t0, from->all[i].t1);
		lmm__span_longest(&into->longest[i], from->longest[i].t0, from->longest[i].t1);
		lmm__span_extend(&into->first_use[i], from->first_use[i].t0, from->first_use[i].t1);
		for (unsigned c = 0; c < LMM_GAP_CAUSES; c++) {
			const struct gap_place *g = &from->gaps[i][c];

			into->gaps[i][c].count += g->count;
			into->gaps[i][c].ticks += g->ticks;
			lmm__span_longest(&into->gaps[i][c].longest, g->longest.t0, g->longest.t1);
		}
	}
}

void lmm__lead_piece(struct lead *l, unsigned phase, uint64_t t0, uint64_t t)
{
	if (l->token || t <= t0)
		return;
	if (l->begun == 0 || t0 < l->begun)
		l->begun = t0;
	l->ticks[phase] += t - t0;
}
