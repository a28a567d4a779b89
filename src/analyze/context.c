/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts, and what may still turn out to have been warm-up. A context's sums are held back in up to LMM_I_HELD ledgers
 * that follow one another in time, a new one from each hint on that a decision could name. The second stage decides: up
 * to here it was warm-up, or it was not. After the latter the context's sums go to the main ledger at once.
 */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

struct context *lmm__context(struct lmm_analysis *a, uint32_t serial)
{
	if (serial == 0)
		return NULL;
	for (uint32_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].serial == serial)
			return &a->contexts[i];
	}
	return NULL;
}

/* The one that had this number at t: what another thread did before it was freed may come later. */
static struct context *context_find(struct lmm_analysis *a, uint32_t process, uint32_t id,
				    uint64_t t)
{
	for (uint32_t i = 0; i < a->n_contexts; i++) {
		struct context *c = &a->contexts[i];

		if (c->serial && c->process == process && c->id == id &&
		    (c->gone == 0 || t < c->gone))
			return c;
	}
	return NULL;
}

static void held_open(struct lmm_analysis *a, struct context *c, uint64_t t)
{
	struct held *h;

	/* the second stage is behind and will decide: until then the last one goes on */
	if (c->n_held == LMM_I_HELD)
		return;
	h = &c->held[c->n_held];
	h->ledger = lmm__ledger_create();
	if (!h->ledger) {
		a->failed = 1;
		return;
	}
	if (c->n_held)
		h[-1].to = t;
	h->from = c->n_held ? t : 0;
	h->to = UINT64_MAX;
	c->n_held++;
	lmm__runs_resettle(a);
}

static struct context *context_oldest(struct lmm_analysis *a)
{
	struct context *oldest = &a->contexts[0];

	for (uint32_t i = 1; i < a->n_contexts; i++) {
		if (a->contexts[i].used < oldest->used)
			oldest = &a->contexts[i];
	}
	return oldest;
}

static struct context *context_slot(struct lmm_analysis *a)
{
	struct context *c;

	for (uint32_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].serial == 0)
			return &a->contexts[i];
	}
	if (a->n_contexts < LMM_I_CONTEXTS)
		return &a->contexts[a->n_contexts++];
	c = context_oldest(a);
	lmm__context_free(a, c);
	return c;
}

static struct context *context_new(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	struct context *c = context_slot(a);

	memset(c, 0, sizeof(*c));
	c->process = process;
	c->id = id;
	c->serial = ++a->next_context;
	c->used = ++a->serial;
	held_open(a, c, 0);
	return c;
}

struct context *lmm__context_get(struct lmm_analysis *a, uint32_t process, uint32_t id, uint64_t t)
{
	struct context *c = context_find(a, process, id, t);

	if (!c)
		return context_new(a, process, id);
	c->used = ++a->serial;
	return c;
}

/* ---- first stage -------------------------------------------------------------------------------- */

static int is_known(unsigned hint)
{
	return (hint >= LMM_HINT_MEMORY_CLEAR && hint <= LMM_HINT_CONTEXT_FREE) ||
	       (hint >= LMM_HINT_REQUEST_BEGIN && hint <= LMM_HINT_NO_ROOM);
}

/* What ends what a context has held by then. */
static int is_cut(unsigned hint)
{
	return hint == LMM_HINT_MEMORY_CLEAR || hint == LMM_HINT_PERF_RESET;
}

void lmm__context_hint(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e,
		       uint32_t *serial)
{
	struct context *c;

	if (!is_known(e->phase)) {
		s->invalid++;
		return;
	}
	if (e->phase == LMM_HINT_CONTEXT_NEW || e->phase == LMM_HINT_CONTEXT_FREE) {
		c = context_find(a, s->process, (uint32_t)e->a, e->t);
		/* made on one thread, used on another whose events came first: this is it */
		if (c && e->phase == LMM_HINT_CONTEXT_NEW && c->begun && e->t < c->begun)
			return;
		if (c) {
			/* also when the number is used again though nobody freed it */
			c->gone = e->t;
			*serial = c->serial;
		}
		if (e->phase == LMM_HINT_CONTEXT_NEW)
			context_new(a, s->process, (uint32_t)e->a);
		return;
	}
	c = lmm__context_get(a, s->process, (uint32_t)e->a, e->t);
	*serial = c->serial;
	if (e->phase == LMM_HINT_WARMUP_ON || e->phase == LMM_HINT_WARMUP_OFF) {
		c->is_warm1 = e->phase == LMM_HINT_WARMUP_ON;
		lmm__runs_resettle(a);
	} else if (is_cut(e->phase) && !c->is_decided) {
		held_open(a, c, e->t);
	}
}

struct ledger *lmm__ledger_now(struct lmm_analysis *a, uint32_t serial)
{
	const struct context *c = lmm__context(a, serial);

	if (!c)
		return a->main;
	if (c->is_warm1)
		return a->warm;
	return c->n_held ? c->held[c->n_held - 1].ledger : a->main;
}

/* ---- second stage ------------------------------------------------------------------------------- */

struct ledger *lmm__ledger_at(struct lmm_analysis *a, uint32_t serial, uint64_t t)
{
	const struct context *c = lmm__context(a, serial);

	if (!c)
		return a->main;
	if (c->is_warm2)
		return a->warm;
	for (uint32_t i = c->n_held; i-- > 0;) {
		if (t >= c->held[i].from)
			return c->held[i].ledger;
	}
	return c->n_held ? c->held[0].ledger : a->main;
}

static void held_end(struct lmm_analysis *a, struct context *c, uint32_t n, struct ledger *into)
{
	for (uint32_t i = 0; i < n; i++) {
		if (lmm__ledger_merge(into, c->held[i].ledger))
			a->failed = 1;
		lmm__ledger_destroy(c->held[i].ledger);
	}
	c->n_held -= n;
	memmove(c->held, c->held + n, c->n_held * sizeof(c->held[0]));
}

void lmm__context_decide(struct lmm_analysis *a, struct context *c)
{
	if (c->is_decided)
		return;
	c->is_decided = 1;
	held_end(a, c, c->n_held, a->main);
	lmm__runs_resettle(a);
	lmm__requests_decided(a, c);
}

void lmm__context_warm(struct lmm_analysis *a, struct context *c, uint64_t t)
{
	uint32_t n = 0;

	while (n < c->n_held && c->held[n].to <= t)
		n++;
	held_end(a, c, n, a->warm);
	lmm__runs_resettle(a);
	lmm__requests_warm(a, c, t);
}

void lmm__context_free(struct lmm_analysis *a, struct context *c)
{
	lmm__steps_flush(a, c);
	lmm__requests_close(a, c->serial);
	lmm__context_decide(a, c);
	memset(c, 0, sizeof(*c));
	lmm__runs_resettle(a);
}
