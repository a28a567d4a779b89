/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be known before the first slice is drawn: the clock's fit over the whole session, the processes (requests are
 * drawn first), and the warm-ups, which only what follows tells.
 */
#include "report/timeline_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lmm_tl_process *lmm__tl_process(struct lmm_tl *tl, uint32_t process)
{
	struct lmm_tl_process *p = lmm_idmap_get(&tl->processes, process);

	if (p)
		return p;
	p = lmm_idmap_make(&tl->processes, process, sizeof(*p));
	if (p)
		p->process = process;
	return p;
}

struct lmm_tl_context *lmm__tl_context(struct lmm_tl *tl, uint32_t process, uint32_t context)
{
	return lmm_idmap_make(&tl->contexts, lmm_idmap_key(process, context),
			      sizeof(struct lmm_tl_context));
}

struct lmm_tl_step *lmm__tl_note_step(struct lmm_tl_process *p, const struct lmm_event *e)
{
	struct lmm_tl_step *step = &p->steps[e->id % LMM_TL_STEPS];

	memset(step, 0, sizeof(*step));
	step->step = e->id;
	step->context = (uint32_t)e->b;
	step->phase = e->phase;
	step->is_set = 1;
	return step;
}

struct lmm_tl_step *lmm__tl_find_step(struct lmm_tl_process *p, uint32_t step)
{
	struct lmm_tl_step *s = &p->steps[step % LMM_TL_STEPS];

	return s->is_set && s->step == step ? s : NULL;
}

static int scan_process(struct lmm_tl *tl, const struct lmm_process *item)
{
	struct lmm_tl_process *p = lmm__tl_process(tl, item->process);

	if (!p)
		return -ENOMEM;
	p->pid = item->pid;
	p->op_cost_ps = item->op_cost_ps;
	p->is_bench = strcmp(item->name, "llama-bench") == 0;
	p->name = lmm_strpool_add(&tl->strings, item->name, NULL);
	return p->name ? 0 : -ENOMEM;
}

static int scan_stream(struct lmm_tl *tl, const struct lmm_stream *item)
{
	struct lmm_tl_stream *s = lmm_idmap_make(&tl->streams, item->stream, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->stream = item->stream;
	s->tid = item->tid;
	s->layer = -1;
	s->process = lmm__tl_process(tl, item->process);
	return s->process ? 0 : -ENOMEM;
}

static struct lmm_tl_warmup *new_warmup(struct lmm_tl_context *c)
{
	if (!c->warmups || c->n == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 4;
		struct lmm_tl_warmup *w = realloc(c->warmups, cap * sizeof(*w));

		if (!w)
			return NULL;
		c->warmups = w;
		c->cap = cap;
	}
	c->warmups[c->n].from = c->first_step;
	return &c->warmups[c->n++];
}

/* All steps of the context's present use were a warm-up, which ends at t. */
static int add_warmup(struct lmm_tl_context *c, uint64_t t)
{
	struct lmm_tl_warmup *w = c->n > 0 ? &c->warmups[c->n - 1] : NULL;

	if (!w || w->from != c->first_step)
		w = new_warmup(c);
	if (!w)
		return -ENOMEM;
	w->before = c->last_step + 1;
	w->until_ticks = t;
	return 0;
}

static int scan_hint(struct lmm_tl_process *p, struct lmm_tl_context *c, const struct lmm_event *e)
{
	switch (e->phase) {
	case LMM_HINT_CONTEXT_NEW:
		c->has_steps = c->has_token = c->cleared = 0;
		return 0;
	case LMM_HINT_PERF_RESET:
		return c->has_steps && !c->has_token ? add_warmup(c, e->t) : 0;
	case LMM_HINT_MEMORY_CLEAR:
		if (p->is_bench && c->has_steps && !c->cleared) {
			c->cleared = 1;
			c->cleared_ticks = e->t;
		}
		return 0;
	default:
		return 0;
	}
}

static int scan_step(struct lmm_tl *tl, struct lmm_tl_process *p, const struct lmm_event *e)
{
	struct lmm_tl_context *c = lmm__tl_context(tl, p->process, (uint32_t)e->b);
	int rc = 0;

	if (!c)
		return -ENOMEM;
	lmm__tl_note_step(p, e);
	/* llama-bench: another request follows, so the first was to warm up */
	if (c->cleared == 1) {
		rc = add_warmup(c, c->cleared_ticks);
		c->cleared = 2;
	}
	if (!c->has_steps)
		c->first_step = e->id;
	c->has_steps = 1;
	c->last_step = e->id;
	return rc;
}

static int scan_event(struct lmm_tl *tl, struct lmm_tl_process *p, const struct lmm_event *e)
{
	const struct lmm_tl_step *step;
	struct lmm_tl_context *c;

	switch (e->type) {
	case LMM_EV_STEP:
		return scan_step(tl, p, e);
	case LMM_EV_TOKEN:
		step = lmm__tl_find_step(p, e->id);
		c = step ? lmm__tl_context(tl, p->process, step->context) : NULL;
		if (c)
			c->has_token = 1;
		return 0;
	case LMM_EV_HINT:
		c = lmm__tl_context(tl, p->process, (uint32_t)e->a);
		if (!c)
			return -ENOMEM;
		return scan_hint(p, c, e);
	default:
		return 0;
	}
}

static int scan_events(struct lmm_tl *tl, const struct lmm_events *item)
{
	const struct lmm_tl_stream *s = lmm_idmap_get(&tl->streams, item->stream);
	int rc = 0;

	for (uint32_t i = 0; s && i < item->n && rc == 0; i++) {
		if (lmm_event_is_wide(item->ev[i].type) || item->ev[i].type == LMM_EV_TOKEN)
			rc = scan_event(tl, s->process, &item->ev[i]);
	}
	return rc;
}

static int scan_item(struct lmm_tl *tl, const struct lmm_item *item)
{
	switch (item->kind) {
	case LMM_ITEM_SESSION:
		tl->start_ticks = item->session.start_ticks;
		return 0;
	case LMM_ITEM_PROCESS:
		return scan_process(tl, &item->process);
	case LMM_ITEM_STREAM:
		return scan_stream(tl, &item->stream);
	case LMM_ITEM_CLOCK:
		lmm_clock_fit_add(&tl->fit, &item->clock);
		return 0;
	case LMM_ITEM_EVENTS:
		return scan_events(tl, &item->events);
	default:
		return 0;
	}
}

/* The second reading finds each step anew. */
static void forget_steps(struct lmm_tl *tl)
{
	for (uint32_t i = 0; i < tl->processes.n_slots; i++) {
		struct lmm_tl_process *p = tl->processes.slots[i].value;

		if (p)
			memset(p->steps, 0, sizeof(p->steps));
	}
}

int lmm__tl_scan(struct lmm_tl *tl, struct lmm_trace *tr)
{
	const struct lmm_item *item;
	int rc = lmm_trace_rewind(tr);

	while (rc == 0 && (rc = lmm_trace_next(tr, &item)) > 0)
		rc = scan_item(tl, item);
	forget_steps(tl);
	return rc;
}
