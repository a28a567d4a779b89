/* SPDX-License-Identifier: Apache-2.0 */
/* Operators and device commands, booked to steps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/diff_scan.h"
#include "wire/roles.h"

#define FLIGHTS 65536u

enum { HAS_COMMAND = 1, HAS_COMPLETION = 2 };

/* ---- graphs ------------------------------------------------------------------------------------- */

void lmm__diff_graph_free(struct lmm_diff_graph *g)
{
	for (uint32_t i = 0; g->nodes && i < g->n; i++) {
		free(g->nodes[i].name);
		free(g->nodes[i].op);
		free(g->nodes[i].weight_type);
	}
	free(g->nodes);
	g->nodes = NULL;
	g->n = 0;
}

static int node_put(struct lmm_diff_node *to, const struct lmm_node *from)
{
	char name[LMM_BASE_NAME_MAX];

	lmm_roles_base_name(from, name);
	to->name = strdup(name);
	to->op = strdup(from->op);
	to->weight_type = strdup(lmm__weight_type(from));
	to->layer = from->layer >= 0 ? from->layer : -1;
	to->role = from->role < LMM_ROLE_COUNT ? from->role : LMM_ROLE_OTHER;
	memset(to->places, 0xff, sizeof(to->places));
	return to->name && to->op && to->weight_type ? 0 : -ENOMEM;
}

/* A graph of the same number is another one from here on: runs look for the newest. */
int lmm__diff_graph(struct lmm_diff_scan *sc, const struct lmm_graph *item)
{
	struct lmm_diff_graph *g = &sc->graphs[sc->n_graphs++ % LMM_DIFF_GRAPHS];
	int rc = 0;

	lmm__diff_graph_free(g);
	g->process = item->process;
	g->graph = item->graph;
	g->nodes = calloc(item->n_nodes ? item->n_nodes : 1, sizeof(*g->nodes));
	if (!g->nodes)
		return -ENOMEM;
	g->n = item->n_nodes;
	for (uint32_t i = 0; i < g->n && rc == 0; i++)
		rc = node_put(&g->nodes[i], &item->nodes[i]);
	return rc;
}

static struct lmm_diff_node *node_find(struct lmm_diff_scan *sc, uint32_t process, uint32_t graph,
				       uint32_t node)
{
	for (uint64_t back = 1; back <= LMM_DIFF_GRAPHS && back <= sc->n_graphs; back++) {
		struct lmm_diff_graph *g = &sc->graphs[(sc->n_graphs - back) % LMM_DIFF_GRAPHS];

		if (g->graph == graph && g->process == process)
			return node < g->n ? &g->nodes[node] : NULL;
	}
	return NULL;
}

/* ---- columns ------------------------------------------------------------------------------------ */

static struct lmm_diff_place place_make(struct lmm_diff_sheet *sheet,
					const struct lmm_diff_key *kernel,
					const struct lmm_diff_node *n)
{
	struct lmm_diff_key role = { LMM_DIFF_ROLE, 0, 0, -1, "", "", "", "" };
	struct lmm_diff_key layer = { LMM_DIFF_LAYER, 0, 0, -1, "", "", "", "" };
	struct lmm_diff_place p = { lmm_diff_sheet_column(sheet, kernel), -1, -1 };

	if (!n)
		return p;
	role.role = n->role;
	p.role = lmm_diff_sheet_column(sheet, &role);
	layer.layer = n->layer;
	if (n->layer >= 0)
		p.layer = lmm_diff_sheet_column(sheet, &layer);
	return p;
}

static const struct lmm_diff_place *op_place(struct lmm_diff_scan *sc, struct lmm_diff_node *n,
					     unsigned class_at, unsigned is_fused)
{
	struct lmm_diff_place *p = &n->places[class_at][is_fused];

	if (p->kernel < 0) {
		struct lmm_diff_key key = {
			LMM_DIFF_KERNEL, n->role, (uint8_t)is_fused, -1, n->name,
			n->op,		 "CPU",	  n->weight_type
		};

		*p = place_make(&sc->run->sheets[class_at], &key, n);
	}
	return p;
}

static void book_place(struct lmm_diff_scan *sc, struct lmm_diff_step *st,
		       const struct lmm_diff_place *p, double ticks)
{
	lmm__diff_book(sc, st, p->kernel, ticks);
	lmm__diff_book(sc, st, p->role, ticks);
	lmm__diff_book(sc, st, p->layer, ticks);
}

/* ---- operators ---------------------------------------------------------------------------------- */

static double own_ticks(struct lmm_diff_scan *sc, uint32_t process)
{
	const struct lmm_diff_process *p = lmm__diff_process(sc, process);
	double rate = lmm_clock_fit_rate(&sc->fit);

	return p && rate > 0 ? p->op_cost_ps / 1000.0 / rate : 0;
}

static void op_end(struct lmm_diff_scan *sc, struct lmm_diff_stream *s, uint64_t t)
{
	struct lmm_diff_step *st = lmm__diff_step(sc, s->process, s->run_step);
	struct lmm_diff_node *n = node_find(sc, s->process, s->graph, s->op_node);
	double span = t > s->op_t ? (double)(t - s->op_t) : 0;
	double own = own_ticks(sc, s->process);

	s->op_is_set = 0;
	if (!st || !n)
		return;
	book_place(sc, st, op_place(sc, n, st->class_at, s->op_is_fused),
		   span > own ? span - own : 0);
	if (n->role == LMM_ROLE_EMBEDDING && s->depth) {
		lmm__diff_book_phase(sc, st, LMM_PHASE_EMBEDDING, span);
		lmm__diff_book_phase(sc, st, s->frames[s->depth - 1].phase, -span);
	}
}

static void take_op(struct lmm_diff_scan *sc, struct lmm_diff_stream *s, const struct lmm_event *e)
{
	if (!s->in_run)
		return;
	if (s->op_is_set)
		op_end(sc, s, e->t);
	s->op_t = e->t;
	s->op_node = e->id;
	s->op_is_fused = e->type == LMM_EV_OP_FUSED;
	s->op_is_set = 1;
}

static void run_begin(struct lmm_diff_stream *s, const struct lmm_event *e)
{
	s->in_run = 1;
	s->op_is_set = 0;
	s->graph = s->device_graph = e->id;
	s->run_step = (uint32_t)e->b;
}

static void run_end(struct lmm_diff_scan *sc, struct lmm_diff_stream *s, const struct lmm_event *e)
{
	if (s->in_run && s->op_is_set)
		op_end(sc, s, e->t);
	s->in_run = s->op_is_set = 0;
}

/* ---- device commands ---------------------------------------------------------------------------- */

int lmm__diff_kernel(struct lmm_diff_scan *sc, const struct lmm_kernel *item)
{
	struct lmm_diff_kernel *k = LMM_DIFF_NEW(sc->kernels);

	if (!k)
		return -ENOMEM;
	k->process = item->process;
	k->kernel = item->kernel;
	k->kind = item->kind;
	k->name = strdup(item->name);
	return k->name ? 0 : -ENOMEM;
}

int lmm__diff_queue(struct lmm_diff_scan *sc, const struct lmm_queue *item)
{
	struct lmm_diff_queue *q = LMM_DIFF_NEW(sc->queues);

	if (!q)
		return -ENOMEM;
	q->process = item->process;
	q->queue = item->queue;
	q->ticks_per_second = item->ticks_per_second;
	q->device = strdup(item->device);
	return q->device ? 0 : -ENOMEM;
}

static const struct lmm_diff_kernel *kernel_find(const struct lmm_diff_scan *sc, uint32_t process,
						 uint32_t kernel)
{
	/* numbers are given in order: it is where it stands, or nearby */
	for (uint32_t i = 0, at = kernel; i < sc->kernels.n; i++, at++) {
		const struct lmm_diff_kernel *k = &sc->kernels.at[at % sc->kernels.n];

		if (k->kernel == kernel && k->process == process)
			return k;
	}
	return NULL;
}

static const struct lmm_diff_queue *queue_find(const struct lmm_diff_scan *sc, uint32_t process,
					       uint32_t queue)
{
	for (uint32_t i = sc->queues.n; i-- > 0;) {
		if (sc->queues.at[i].queue == queue && sc->queues.at[i].process == process)
			return &sc->queues.at[i];
	}
	return NULL;
}

static struct lmm_diff_flight *flight_get(struct lmm_diff_scan *sc, const struct lmm_diff_stream *s,
					  const struct lmm_event *e)
{
	uint32_t at = e->id % 4096u + e->seq * 4096u + s->process * 2654435761u;
	struct lmm_diff_flight *f;

	if (!sc->flights)
		sc->flights = calloc(FLIGHTS, sizeof(*sc->flights));
	if (!sc->flights) {
		sc->failed = -ENOMEM;
		return NULL;
	}
	f = &sc->flights[at % FLIGHTS];
	if (f->process != s->process || f->queue != e->seq || f->id != e->id)
		memset(f, 0, sizeof(*f));
	f->process = s->process;
	f->queue = e->seq;
	f->id = e->id;
	return f;
}

/* Both halves are there: command and completion come from two streams, in any order. */
static void flight_land(struct lmm_diff_scan *sc, struct lmm_diff_flight *f)
{
	const struct lmm_diff_queue *q = queue_find(sc, f->process, f->queue);
	struct lmm_diff_step *st = &sc->steps[f->step % LMM_DIFF_OPEN];
	struct lmm_diff_place place = { f->kernel, f->role, f->layer };

	if (f->has != (HAS_COMMAND | HAS_COMPLETION))
		return;
	if (q && st->serial == f->step && f->step && f->is_ok) {
		book_place(sc, st, &place,
			   (double)f->duration *
				   lmm_device_clock_rate(q->ticks_per_second,
							 lmm_clock_fit_rate(&sc->fit)));
	}
	f->has = 0;
}

static void take_command(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
			 const struct lmm_event *e)
{
	const struct lmm_diff_kernel *k = kernel_find(sc, s->process, (uint32_t)e->a);
	const struct lmm_diff_queue *q = queue_find(sc, s->process, e->seq);
	const struct lmm_diff_node *n =
		node_find(sc, s->process, s->device_graph, (uint32_t)(e->a >> 32));
	struct lmm_diff_step *st = lmm__diff_step(sc, s->process, (uint32_t)e->b);
	struct lmm_diff_flight *f = flight_get(sc, s, e);
	struct lmm_diff_key key = { LMM_DIFF_KERNEL, 0, 0, -1, "", "", "", "" };
	struct lmm_diff_place place;

	if (!f)
		return;
	f->has |= HAS_COMMAND;
	f->step = 0;
	if (st && k && k->kind != LMM_KERNEL_MARKER) {
		key.role = n ? n->role : LMM_ROLE_OTHER;
		key.name = k->name;
		key.op = n ? n->op : "";
		key.weight_type = n ? n->weight_type : "";
		key.device = q ? q->device : "";
		place = place_make(&sc->run->sheets[st->class_at], &key, n);
		f->step = st->serial;
		f->kernel = place.kernel;
		f->role = place.role;
		f->layer = place.layer;
	}
	flight_land(sc, f);
}

static void take_completion(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
			    const struct lmm_event *e)
{
	struct lmm_diff_flight *f = flight_get(sc, s, e);

	if (!f)
		return;
	f->has |= HAS_COMPLETION;
	f->is_ok = e->phase == LMM_COMPLETION_OK;
	f->duration = e->a;
	flight_land(sc, f);
}

static void take_untimed(struct lmm_diff_scan *sc, const struct lmm_diff_stream *s,
			 const struct lmm_event *e)
{
	struct lmm_diff_step *st = lmm__diff_step(sc, s->process, (uint32_t)e->b);

	if (st)
		st->flags |= LMM_DIFF_NO_KERNELS;
}

void lmm__diff_op_event(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
			const struct lmm_event *e)
{
	switch (e->type) {
	case LMM_EV_OP:
	case LMM_EV_OP_FUSED:
		take_op(sc, s, e);
		break;
	case LMM_EV_GRAPH_BEGIN:
		run_begin(s, e);
		break;
	case LMM_EV_GRAPH_END:
		run_end(sc, s, e);
		break;
	case LMM_EV_COMMAND:
		take_command(sc, s, e);
		break;
	case LMM_EV_COMMAND_UNTIMED:
		take_untimed(sc, s, e);
		break;
	case LMM_EV_COMPLETION:
		take_completion(sc, s, e);
		break;
	case LMM_EV_DEVICE_GRAPH:
		s->device_graph = e->id;
		break;
	case LMM_EV_EPOCH:
		/* a worker's operators are the first thread's as well */
		s->in_run = s->op_is_set = 0;
		break;
	default:
		break;
	}
}
