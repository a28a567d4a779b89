/* SPDX-License-Identifier: Apache-2.0 */
/* Device commands: two halves, from two streams, in any order. */
#include <string.h>

#include "analyze/state.h"

enum { HAS_COMMAND = 1, HAS_COMPLETION = 2 };

static struct flight *flight_at(struct lmm_analysis *a, uint32_t process, uint32_t queue,
				uint32_t id)
{
	uint32_t at = id + queue * 40503u + process * 2654435761u;

	return &a->flights[at % LMM_I_FLIGHT];
}

static int flight_is(const struct flight *f, uint32_t process, uint32_t queue, uint32_t id)
{
	return f->has && f->process == process && f->queue == queue && f->id == id;
}

static const struct queue *queue_find(const struct lmm_analysis *a, uint32_t process,
				      uint32_t queue)
{
	for (uint32_t i = 0; i < a->n_queues; i++) {
		if (a->queues[i].process == process && a->queues[i].queue == queue)
			return &a->queues[i];
	}
	return NULL;
}

static uint32_t kernel_name(const struct lmm_analysis *a, uint32_t process, uint32_t kernel)
{
	/* numbers are given in order: it is where it stands, or nearby if several processes share the list */
	for (uint32_t i = 0, at = kernel; i < a->n_device_names; i++, at++) {
		const struct device_name *d = &a->device_names[at % a->n_device_names];

		if (d->process == process && d->kernel == kernel)
			return d->name;
	}
	return 0;
}

/* Device ticks as ticks of the session. */
static uint64_t session_ticks(const struct lmm_analysis *a, uint64_t d, uint64_t ticks_per_second)
{
	double ns;

	if (ticks_per_second == 0)
		return d;
	ns = (double)d * 1e9 / (double)ticks_per_second / lmm_clock_fit_rate(&a->fit);
	return ns < 9e18 ? (uint64_t)ns : 0;
}

static void flight_book(struct lmm_analysis *a, const struct flight *f)
{
	uint32_t index = a->processes[f->process].index;
	const struct queue *q = queue_find(a, index, f->queue);
	const struct graph *g = lmm__graph_find(a, f->process, f->graph);
	const struct graph_node *n = g && f->node < g->n ? &g->nodes[f->node] : NULL;
	struct ledger *l = lmm__ledger_now(a, f->context);
	unsigned phase = f->phase < LMM_PHASE_COUNT ? f->phase : LMM_PHASE_NONE;
	struct base b = { 0 };
	struct key k = { 0 };
	uint32_t name;
	uint64_t ticks;
	uint16_t id;

	if (n)
		b = a->bases[n->base];
	name = kernel_name(a, index, f->kernel);
	if (name)
		b.name = name;
	k.base = lmm__base(a, &b);
	k.phase = (uint8_t)phase;
	if (n && n->flags & NODE_EMBEDDING)
		k.phase = LMM_PHASE_EMBEDDING;
	k.device = q ? q->device : 0;
	k.ticks_per_second = q ? q->ticks_per_second : 0;
	id = lmm__key(a, &k);
	if (lmm__ledger_grow_kernels(l, a->n_keys)) {
		a->failed = 1;
		return;
	}
	ticks = session_ticks(a, f->duration, k.ticks_per_second);
	lmm_hist_add(&l->kernels[id].hist, f->duration);
	l->kernels[id].bytes += n ? n->bytes : 0;
	l->kernels[id].flops += n ? n->flops : 0;
	l->phases[k.phase].device += ticks;
	lmm__layer_add(l, n ? n->layer : 0, n ? n->part : LAYER_OTHER, phase, ticks);
}

/* Whoever finds the place taken by another pair's half takes it over: that one waits no longer. */
static struct flight *flight_open(struct lmm_analysis *a, struct stream *s,
				  const struct lmm_event *e)
{
	struct flight *f = flight_at(a, s->process, e->seq, e->id);

	if (flight_is(f, s->process, e->seq, e->id))
		return f;
	if (f->has == HAS_COMPLETION)
		a->past_invalid++;
	memset(f, 0, sizeof(*f));
	f->process = s->process;
	f->queue = e->seq;
	f->id = e->id;
	return f;
}

static void flight_add(struct lmm_analysis *a, struct stream *s, struct flight *f, unsigned half)
{
	if (f->has & half)
		s->invalid++; /* said twice */
	f->has |= (uint8_t)half;
	if (f->has != (HAS_COMMAND | HAS_COMPLETION))
		return;
	flight_book(a, f);
	f->has = 0;
}

void lmm__command(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct flight *f = flight_open(a, s, e);
	uint32_t step = (uint32_t)e->b;

	f->phase = e->phase;
	f->kernel = (uint32_t)e->a;
	f->node = (uint32_t)(e->a >> 32);
	f->graph = s->run.graph_id;
	f->step = step;
	f->context = s->step == step ? s->step_context : 0;
	flight_add(a, s, f, HAS_COMMAND);
}

void lmm__completion(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct flight *f;

	if (e->a > INT64_MAX) { /* ended before it began */
		s->invalid++;
		return;
	}
	f = flight_open(a, s, e);
	f->duration = e->a;
	flight_add(a, s, f, HAS_COMPLETION);
}
