/* SPDX-License-Identifier: Apache-2.0 */
/* Operators and graph runs. lmm__op() is what a report's time is made of: no search, no hash per operator. */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

unsigned lmm__role_part(unsigned role)
{
	switch (role) {
	case LMM_ROLE_ATTENTION:
		return LAYER_ATTENTION;
	case LMM_ROLE_MLP:
		return LAYER_MLP;
	case LMM_ROLE_NORM:
		return LAYER_NORM;
	default:
		return LAYER_OTHER;
	}
}

static unsigned class_of(unsigned phase)
{
	switch (phase) {
	case LMM_PHASE_PREFILL:
		return 2;
	case LMM_PHASE_DECODE:
		return 4;
	case LMM_PHASE_DRAFT:
		return 6;
	case LMM_PHASE_VERIFY:
		return 8;
	case LMM_PHASE_EMBEDDING:
		return 10;
	case LMM_PHASE_SOFTMAX:
		return 12;
	default:
		return 0;
	}
}

static unsigned class_phase(unsigned class_at)
{
	static const uint8_t phases[] = { LMM_PHASE_NONE,   LMM_PHASE_PREFILL, LMM_PHASE_DECODE,
					  LMM_PHASE_DRAFT,  LMM_PHASE_VERIFY,  LMM_PHASE_EMBEDDING,
					  LMM_PHASE_SOFTMAX };

	return phases[class_at / 2];
}

static LMM_INLINE void layer_add(struct layer_sum *y, const struct graph_node *n, unsigned phase,
				 uint32_t step, uint64_t ticks)
{
	y->part[n->part] += ticks;
	y->bytes += n->bytes;
	if (phase == LMM_PHASE_PREFILL) {
		y->prefill += ticks;
	} else {
		y->decode += ticks;
	}
	if (phase == LMM_PHASE_DECODE)
		y->turn[step % LMM_LAYER_TURNS] += ticks;
}

void lmm__layer_add(struct ledger *l, const struct graph_node *n, unsigned phase, uint32_t step,
		    uint64_t ticks)
{
	static const struct graph_node none = { .part = LAYER_OTHER };

	if (!n)
		n = &none;
	if (n->layer < l->n_layers || lmm__ledger_grow_layers(l, n->layer + 1u) == 0)
		layer_add(&l->layers[n->layer], n, phase, step, ticks);
}

/* ---- one operator ------------------------------------------------------------------------------- */

/* The key of a node that runs for the first time in this way, and room for it in the ledger. */
static LMM_NOINLINE struct kernel_sum *kernel_open(struct lmm_analysis *a, struct run *run,
						   uint32_t node, unsigned class_at)
{
	struct graph *g = run->graph;
	const struct graph_node *n = g && node < g->n ? &g->nodes[node] : NULL;
	struct key k = { 0 };
	uint16_t id;

	k.base = n ? n->base : 0;
	k.phase = (uint8_t)class_phase(class_at);
	if (n && n->flags & NODE_EMBEDDING)
		k.phase = LMM_PHASE_EMBEDDING;
	k.fused = class_at & 1;
	k.device = a->cpu;
	id = lmm__key(a, &k);
	if (n && !g->slots[class_at]) {
		g->slots[class_at] = malloc(g->n * sizeof(uint16_t));
		if (g->slots[class_at])
			memset(g->slots[class_at], 0xff, g->n * sizeof(uint16_t));
	}
	if (n && g->slots[class_at])
		g->slots[class_at][node] = id;
	if (lmm__ledger_grow_kernels(run->ledger, a->n_keys)) {
		a->failed = 1;
		return NULL;
	}
	return &run->ledger->kernels[id];
}

/* An operator that no description covers has a row and no layer. */
static LMM_NOINLINE void op_book_unknown(struct lmm_analysis *a, struct run *run, unsigned class_at,
					 uint64_t ticks)
{
	struct kernel_sum *k = kernel_open(a, run, LMM_NODE_UNKNOWN, class_at);

	if (k)
		lmm_hist_add(&k->hist.steady, ticks);
	lmm__layer_add(run->ledger, NULL, class_phase(class_at), run->turn, ticks);
}

static LMM_INLINE struct kernel_sum *kernel_at(struct lmm_analysis *a, struct run *run,
					       uint32_t node, unsigned class_at)
{
	const uint16_t *slots = run->graph->slots[class_at];

	if (lmm_likely(slots != NULL) && lmm_likely(slots[node] < run->ledger->n_kernels))
		return &run->ledger->kernels[slots[node]];
	return kernel_open(a, run, node, class_at);
}

/* The node that was fused in reads a weight (or a cache) of its own; what passes between the two is not moved. */
static LMM_INLINE void kernel_add_fused(struct kernel_sum *k, const struct graph *g, uint32_t node)
{
	if (node + 1 >= g->n)
		return;
	k->bytes += g->nodes[node + 1].streamed;
	k->streamed += g->nodes[node + 1].streamed;
	k->flops += g->nodes[node + 1].flops;
}

static LMM_INLINE void op_book(struct lmm_analysis *a, struct run *run, const struct pending_op *op,
			       uint64_t ticks)
{
	unsigned class_at = run->class_at + op->is_fused;
	const struct graph_node *n;
	struct kernel_sum *k;

	if (lmm_unlikely(!run->graph || op->node >= run->graph->n)) {
		op_book_unknown(a, run, class_at, ticks);
		return;
	}
	n = &run->graph->nodes[op->node];
	k = kernel_at(a, run, op->node, class_at);
	if (lmm_unlikely(!k))
		return;
	lmm_hist_add(&k->hist.steady, ticks);
	k->bytes += n->bytes;
	k->flops += n->flops;
	k->streamed += n->streamed;
	k->positions += n->positions;
	if (op->is_fused)
		kernel_add_fused(k, run->graph, op->node);
	if (lmm_likely(n->layer < run->ledger->n_layers)) {
		layer_add(&run->ledger->layers[n->layer], n, class_phase(class_at), run->turn,
			  ticks);
	} else {
		lmm__layer_add(run->ledger, n, class_phase(class_at), run->turn, ticks);
	}
}

/* Ends the pending operator at t. */
static LMM_INLINE void op_end(struct lmm_analysis *a, struct stream *s, uint64_t t)
{
	struct run *run = &s->run;
	struct pending_op *op = &s->op;
	uint64_t d = t - op->t, own;

	if (lmm_unlikely((int64_t)d < 0)) {
		s->invalid++;
		d = 0;
	}
	op->is_set = 0;
	if (op->barrier > op->t)
		s->wait += lmm__minus(t, op->barrier);
	s->busy += d;
	if (run->is_worker)
		return;
	own = a->processes[s->process].own_ticks;
	if (own > d)
		own = d;
	run->own += own;
	run->kernels += d - own;
	op_book(a, run, op, d - own);
	if (lmm_unlikely(run->graph && op->node < run->graph->n &&
			 run->graph->nodes[op->node].flags & NODE_EMBEDDING))
		lmm__embedding(a, s, op->t, op->t + d);
}

static LMM_INLINE void op_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct run *run = &s->run;

	if (lmm_unlikely(!run->is_active)) {
		s->invalid++;
		return;
	}
	if (lmm_likely(s->op.is_set)) {
		op_end(a, s, e->t);
	} else if (!run->is_tainted) {
		run->gap += lmm__minus(e->t, run->begin);
	}
	if (lmm_unlikely(!run->graph || e->id >= run->graph->n))
		s->invalid++;
	s->op.t = e->t;
	s->op.barrier = 0;
	s->op.node = e->id;
	s->op.is_fused = e->type == LMM_EV_OP_FUSED;
	s->op.is_set = 1;
}

uint32_t lmm__ops(struct lmm_analysis *a, struct stream *s, const struct lmm_event *ev, uint32_t n)
{
	uint32_t i = 0;

	for (; i < n && (ev[i].type == LMM_EV_OP || ev[i].type == LMM_EV_OP_FUSED); i++)
		op_take(a, s, &ev[i]);
	s->operators += i;
	s->stored += i;
	a->processes[s->process].operators += i;
	return i;
}

/* ---- runs --------------------------------------------------------------------------------------- */

static unsigned run_phase(const struct stream *s, uint32_t step)
{
	unsigned inner = s->depth ? s->frames[s->depth - 1].phase : LMM_PHASE_NONE;

	/* beside the pass, of its step all the same */
	if (inner == LMM_PHASE_EMBEDDING || inner == LMM_PHASE_SOFTMAX)
		return inner;
	if (s->step == step && s->step_context)
		return s->step_phase;
	for (uint32_t i = s->depth; i-- > 0;) {
		if (class_of(s->frames[i].phase))
			return s->frames[i].phase;
	}
	return LMM_PHASE_NONE;
}

/* Leaves a run of which no end is known. */
static void run_drop(struct stream *s)
{
	if (s->run.is_active && !s->run.is_worker && !s->run.is_tainted)
		s->invalid++;
	/* a worker's last operator ends where it reached the barrier */
	if (s->op.is_set && s->run.is_worker && s->op.barrier)
		s->busy += lmm__minus(s->op.barrier, s->op.t);
	s->op.is_set = 0;
	s->run.is_active = 0;
}

static void run_enter(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct run *run = &s->run;

	run_drop(s);
	memset(run, 0, sizeof(*run));
	run->is_active = 1;
	run->begin = e->t;
	run->graph_id = s->device_graph = e->id;
	run->graph = lmm__graph_find(a, s->process, e->id);
	run->context = s->step_context;
	run->ledger = lmm__ledger_now(a, run->context);
}

void lmm__graph_begin(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct run *run = &s->run;
	unsigned kind = FRAME_FORWARD;

	run_enter(a, s, e);
	run->class_at = (uint8_t)class_of(run_phase(s, (uint32_t)e->b));
	run->turn = (uint32_t)e->b % LMM_LAYER_TURNS;
	if (!run->graph) {
		s->invalid++;
	} else if (run->graph->n_tokens == 0 && !run->graph->embeds) {
		kind = FRAME_SHIFT;
	}
	for (uint32_t i = 0; i < s->depth; i++)
		s->frames[i].flags |= (uint8_t)kind;
}

void lmm__graph_end(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct run *run = &s->run;
	struct ledger *l = run->ledger;

	if (!run->is_active || run->is_worker || run->graph_id != e->id) {
		s->invalid++;
		run_drop(s);
		return;
	}
	if (s->op.is_set) {
		op_end(a, s, e->t);
	} else if (!run->is_tainted) {
		run->gap += lmm__minus(e->t, run->begin);
	}
	run->is_active = 0;
	if (run->is_tainted)
		return;
	l->span += lmm__minus(e->t, run->begin);
	l->kernel_ticks += run->kernels;
	l->gap += run->gap;
	l->own += run->own;
}

void lmm__epoch(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	run_enter(a, s, e);
	s->run.is_worker = 1;
}

void lmm__ops_lost(struct stream *s)
{
	s->op.is_set = 0;
	s->run.is_tainted = 1;
}

void lmm__runs_resettle(struct lmm_analysis *a)
{
	for (unsigned i = 0; i < LMM_I_STREAMS; i++) {
		struct stream *s = a->streams[i];

		if (s && s->run.is_active)
			s->run.ledger = lmm__ledger_now(a, s->run.context);
	}
}

void lmm__runs_forget(struct lmm_analysis *a, const struct graph *g)
{
	for (unsigned i = 0; i < LMM_I_STREAMS; i++) {
		struct stream *s = a->streams[i];

		if (s && s->run.graph == g)
			s->run.graph = NULL;
	}
}
