/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of kernel records: what they cost, what they missed, and which steps they slowed down. */
#include "analyze/state.h"

static void stall_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct windows *w = &a->windows;
	uint64_t ticks = lmm__minus(e->t, e->a);

	if (e->a > e->t || e->b > 1) {
		s->invalid++;
		return;
	}
	w->stalls[e->b]++;
	w->stall_ticks[e->b] += ticks;
	if (ticks > w->stall_max[e->b])
		w->stall_max[e->b] = ticks;
	lmm__step_mark(a, s, e->t, e->id, FACT_SLOWED, ticks);
}

void lmm__window_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct windows *w = &a->windows;

	switch (e->phase) {
	case LMM_WINDOW_STEP:
		lmm__step_mark(a, s, e->t, e->id, FACT_SLOWED, 0);
		break;
	case LMM_WINDOW_STALL:
		stall_take(a, s, e);
		break;
	case LMM_WINDOW_RECORDS:
		w->records += (uint32_t)e->a;
		w->expected += e->a >> 32;
		w->unmatched += e->b;
		break;
	case LMM_WINDOW_LOSS:
		w->dropped += e->a;
		w->garbage += e->b;
		break;
	case LMM_WINDOW_CHECK:
		w->check_steps += e->id;
		w->union_ns += e->a;
		w->pass_ns += e->b;
		break;
	case LMM_WINDOW_END:
		if (e->a > e->t) {
			s->invalid++;
			break;
		}
		w->n++;
		w->steps += e->id;
		w->open_ticks += lmm__minus(e->t, e->a);
		w->slowed_ticks += e->b < e->t - e->a ? e->b : 0;
		break;
	default:
		s->invalid++;
		break;
	}
}

void lmm__calls_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct windows *w = &a->windows;

	(void)s;
	w->call_ticks += (uint32_t)e->a;
	w->calls += e->a >> 32;
	w->wait_ticks += (uint32_t)e->b;
	w->waits += e->b >> 32;
}
