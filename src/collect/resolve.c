/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Heap sort: no recursion, no extra memory, nothing to go quadratic on hostile offsets. */
static void sift(const int64_t *key, uint32_t *order, uint32_t root, uint32_t n)
{
	for (;;) {
		uint32_t child = root * 2 + 1, tmp;

		if (child >= n)
			return;
		if (child + 1 < n && key[order[child]] < key[order[child + 1]])
			child++;
		if (key[order[root]] >= key[order[child]])
			return;
		tmp = order[root];
		order[root] = order[child];
		order[child] = tmp;
		root = child;
	}
}

static void sort_order(const int64_t *key, uint32_t *order, uint32_t n)
{
	for (uint32_t i = n / 2; i > 0; i--)
		sift(key, order, i - 1, n);
	for (uint32_t end = n; end > 1; end--) {
		uint32_t tmp = order[0];

		order[0] = order[end - 1];
		order[end - 1] = tmp;
		sift(key, order, 0, end - 1);
	}
}

static void map_free(struct lmm_node_map *m)
{
	free(m->offset);
	free(m->order);
	memset(m, 0, sizeof(*m));
}

int lmm_resolver_add(struct lmm_resolver *r, uint32_t graph, uint32_t n, int64_t *offset)
{
	struct lmm_node_map *m = &r->map[graph % LMM_RESOLVE_GRAPHS];

	map_free(m);
	m->order = malloc((n ? n : 1) * sizeof(*m->order));
	if (!m->order) {
		free(offset);
		return -ENOMEM;
	}
	m->graph = graph;
	m->n = n;
	m->offset = offset;
	for (uint32_t i = 0; i < n; i++)
		m->order[i] = i;
	sort_order(offset, m->order, n);
	return 0;
}

void lmm_resolver_free(struct lmm_resolver *r)
{
	for (uint32_t i = 0; i < LMM_RESOLVE_GRAPHS; i++)
		map_free(&r->map[i]);
}

static uint32_t map_search(const struct lmm_node_map *m, int64_t offset)
{
	uint32_t lo = 0, hi = m->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int64_t o = m->offset[m->order[mid]];

		if (o == offset)
			return m->order[mid];
		if (o < offset) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return LMM_NODE_UNKNOWN;
}

/* Nodes run in the order of the graph, with views left out: the next one is near. */
static uint32_t map_find(const struct lmm_node_map *m, uint32_t cursor, int64_t offset)
{
	for (uint32_t i = cursor; i < m->n && i < cursor + 8; i++) {
		if (m->offset[i] == offset)
			return i;
	}
	return map_search(m, offset);
}

static void enter_graph(const struct lmm_resolver *r, struct lmm_resolve_at *at,
			const struct lmm_event *e)
{
	const struct lmm_node_map *m = &r->map[e->id % LMM_RESOLVE_GRAPHS];

	at->map = m->offset && m->graph == e->id ? m : NULL;
	/* addresses travel without their top byte */
	at->base = e->a & (UINT64_MAX >> 8);
	at->graph = e->id;
	at->cursor = 0;
	at->runs++;
}

void lmm_resolve(const struct lmm_resolver *r, struct lmm_resolve_at *at, struct lmm_event *ev,
		 size_t n)
{
	if (at->map && at->map->graph != at->graph)
		at->map = NULL; /* its place was taken by a newer graph since the last batch */
	for (size_t i = 0; i < n; i++) {
		struct lmm_event *e = &ev[i];

		switch (e->type) {
		case LMM_EV_OP:
		case LMM_EV_OP_FUSED:
			if (at->map) {
				e->id = map_find(at->map, at->cursor, (int64_t)(e->a - at->base));
				at->cursor = e->id == LMM_NODE_UNKNOWN ? 0 : e->id + 1;
			}
			e->a = 0;
			break;
		case LMM_EV_GRAPH_BEGIN:
		case LMM_EV_EPOCH:
			enter_graph(r, at, e);
			e->a = 0;
			break;
		case LMM_EV_GRAPH_END:
			at->map = NULL;
			break;
		default:
			break;
		}
	}
}
