/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs as far as sums need them: what each node's time is booked to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"
#include "wire/cost.h"
#include "wire/roles.h"

uint32_t lmm__process_slot(const struct lmm_analysis *a, uint32_t index)
{
	for (uint32_t i = 0; i < a->n_processes; i++) {
		if (a->processes[i].index == index)
			return i;
	}
	return LMM_I_NONE;
}

void lmm__graph_free(struct graph *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < LMM_I_CLASSES; i++)
		free(g->slots[i]);
	free(g->nodes);
	free(g);
}

static void graph_drop(struct lmm_analysis *a, struct process *p, uint32_t at)
{
	struct graph *g = p->graphs[at];

	lmm__runs_forget(a, g);
	a->n_nodes -= g->n;
	p->graphs[at] = p->graphs[--p->n_graphs];
	lmm__graph_free(g);
}

static uint32_t graph_oldest(const struct process *p)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < p->n_graphs; i++) {
		if (p->graphs[i]->used < p->graphs[oldest]->used)
			oldest = i;
	}
	return oldest;
}

static void nodes_make_room(struct lmm_analysis *a, uint32_t n)
{
	while (a->n_nodes + n > LMM_I_NODES) {
		struct process *most = &a->processes[0];

		for (uint32_t i = 1; i < a->n_processes; i++) {
			if (a->processes[i].n_graphs > most->n_graphs)
				most = &a->processes[i];
		}
		if (most->n_graphs == 0)
			return;
		graph_drop(a, most, graph_oldest(most));
	}
}

/* Replaces a graph of the same number. */
struct graph *lmm__graph_new(struct lmm_analysis *a, uint32_t process, uint32_t id, uint32_t n)
{
	struct process *p = &a->processes[process];
	struct graph *g;

	if (!p->graphs) {
		p->n_graphs = 0;
		p->graphs = calloc(LMM_I_GRAPHS, sizeof(struct graph *));
	}
	if (!p->graphs)
		return NULL;
	for (uint32_t i = 0; i < p->n_graphs; i++) {
		if (p->graphs[i]->id == id) {
			graph_drop(a, p, i);
			break;
		}
	}
	if (p->n_graphs == LMM_I_GRAPHS)
		graph_drop(a, p, graph_oldest(p));
	nodes_make_room(a, n);
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->nodes = calloc(n ? n : 1, sizeof(*g->nodes));
	if (!g->nodes) {
		free(g);
		return NULL;
	}
	g->process = process;
	g->id = id;
	g->n = n;
	g->used = ++a->serial;
	a->n_nodes += n;
	p->graphs[p->n_graphs++] = g;
	return g;
}

struct graph *lmm__graph_peek(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	const struct process *p;

	if (process >= a->n_processes)
		return NULL;
	p = &a->processes[process];
	for (uint32_t i = 0; i < p->n_graphs; i++) {
		if (p->graphs[i]->id == id)
			return p->graphs[i];
	}
	return NULL;
}

struct graph *lmm__graph_find(struct lmm_analysis *a, uint32_t process, uint32_t id)
{
	struct graph *g = lmm__graph_peek(a, process, id);

	if (g)
		g->used = ++a->serial;
	return g;
}

/* Products and look-ups have their weight as first source, scales and shifts as second. */
const char *lmm__weight_type(const struct lmm_node *n)
{
	int is_first = strncmp(n->op, "MUL_MAT", 7) == 0 || strcmp(n->op, "GET_ROWS") == 0;

	if (!n->weight[0] || n->n_src == 0)
		return "";
	return n->src[is_first || n->n_src == 1 ? 0 : 1].type;
}

static void node_put(struct lmm_analysis *a, struct graph_node *to, const struct lmm_node *n)
{
	const struct lmm_cost_streams streams = lmm_cost_streams(n);
	char name[LMM_BASE_NAME_MAX];
	struct base b;

	lmm_roles_base_name(n, name);
	b.name = lmm__text_add(&a->text, name);
	b.op = lmm__text_add(&a->text, n->op);
	b.weight_type = lmm__text_add(&a->text, lmm__weight_type(n));
	b.role = n->role < LMM_ROLE_COUNT ? n->role : LMM_ROLE_OTHER;
	to->base = lmm__base(a, &b);
	to->bytes = n->bytes_read + n->bytes_written;
	to->flops = n->flops;
	to->streamed = streams.weight_bytes + streams.cache_bytes;
	to->positions = streams.positions;
	to->layer = n->layer >= 0 && n->layer < LMM_I_LAYERS - 1 ? (uint16_t)(n->layer + 1) : 0;
	to->part = (uint8_t)lmm__role_part(b.role);
	to->flags = b.role == LMM_ROLE_EMBEDDING && n->runs ? NODE_EMBEDDING : 0;
}

int lmm__graph_put(struct lmm_analysis *a, uint32_t process, const struct lmm_graph *from)
{
	uint32_t n = from->n_nodes < LMM_I_GRAPH_NODES ? from->n_nodes : LMM_I_GRAPH_NODES;
	struct graph *g = lmm__graph_new(a, process, from->graph, n);

	if (!g)
		return -ENOMEM;
	g->n_tokens = from->n_tokens;
	for (uint32_t i = 0; i < n; i++) {
		node_put(a, &g->nodes[i], &from->nodes[i]);
		g->embeds |= (g->nodes[i].flags & NODE_EMBEDDING) != 0;
	}
	return 0;
}
