/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which call each record comes from, and which node of the engine's graph it is for. By the correlation id; inside a graph by the order in
 * which its nodes were captured, checked by what they are. Pure.
 */
#include <stdlib.h>

#include "probe/devices/cuda/window.h"

/* A runtime's call and the driver's that it makes have numbers next to each other, and records bear one or the other. */
#define NEAR	   2u
#define LOOK_AHEAD 64u

struct call {
	uint32_t correlation;
	uint32_t entry;
};

static int by_correlation(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	return (x->correlation > y->correlation) - (x->correlation < y->correlation);
}

static uint32_t calls_collect(const struct lmm_cu_entry *e, uint32_t n, struct call *calls)
{
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!e[i].is_handed)
			continue;
		for (unsigned k = 0; k < 2; k++) {
			if (e[i].call.correlation[k])
				calls[m++] = (struct call){ e[i].call.correlation[k], i + 1 };
		}
	}
	qsort(calls, m, sizeof(*calls), by_correlation);
	return m;
}

/* The call of that number, or the next one that is less than `near` above; 0: none. */
static uint32_t call_find(const struct call *calls, uint32_t n, uint32_t correlation, uint32_t near)
{
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (calls[mid].correlation < correlation) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo < n && calls[lo].correlation - correlation < near ? calls[lo].entry : 0;
}

/* By its very number, and only then by one near: a call that has records of its own is not another's. */
static void calls_match(struct lmm_cu_record *r, uint32_t n_records, struct lmm_cu_entry *e,
			const struct call *calls, uint32_t n)
{
	for (uint32_t i = 0; i < n_records; i++) {
		r[i].entry = r[i].correlation ? call_find(calls, n, r[i].correlation, 1) : 0;
		if (r[i].entry)
			e[r[i].entry - 1].is_exact = true;
	}
	for (uint32_t i = 0; i < n_records; i++) {
		uint32_t at = r[i].entry;

		if (!at && r[i].correlation)
			at = call_find(calls, n, r[i].correlation, NEAR);
		if (at && !r[i].entry && e[at - 1].is_exact)
			at = 0;
		r[i].entry = at;
		if (at)
			e[at - 1].seen++;
	}
}

/* ---- inside a graph ----------------------------------------------------------------------------- */

/* Of one launch, in the order of their nodes' numbers, which is that of the capture. */
static int by_node(const void *a, const void *b)
{
	const struct lmm_cu_record *x = a, *y = b;

	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

static int by_time(const void *a, const void *b)
{
	const struct lmm_cu_record *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

static bool is_that(const struct lmm_cu_record *r, const struct lmm_cu_node *x, bool by_name)
{
	return r->kind == x->kind && (!by_name || r->kernel == x->kernel);
}

static bool is_all(const struct lmm_cu_record *r, uint32_t n, const struct lmm_cu_graph *g,
		   bool by_name)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!is_that(&r[i], &g->nodes[i], by_name))
			return false;
	}
	return true;
}

static void tag(struct lmm_cu_record *r, const struct lmm_cu_node *x)
{
	r->tag_graph = x->graph;
	r->tag_node = x->node;
}

/* Some are missing, or were captured unseen: in order, by name. */
static void tag_some(struct lmm_cu_record *r, uint32_t n, const struct lmm_cu_graph *g, uint32_t at)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = at; k < g->n && k < at + LOOK_AHEAD; k++) {
			if (!is_that(&r[i], &g->nodes[k], true))
				continue;
			tag(&r[i], &g->nodes[k]);
			at = k + 1;
			break;
		}
	}
}

/* n_before: nodes whose records were there before these. */
static void launch_match(struct lmm_cu_record *r, uint32_t n, const struct lmm_cu_graph *g,
			 uint32_t n_before)
{
	bool is_whole = n == g->n && (is_all(r, n, g, true) || is_all(r, n, g, false));

	if (!is_whole) {
		tag_some(r, n, g, n_before);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		tag(&r[i], &g->nodes[i]);
}

static void graphs_match(struct lmm_cu_record *r, uint32_t n, const struct lmm_cu_entry *e)
{
	for (uint32_t i = 0; i < n;) {
		uint32_t end = i + 1;
		const struct lmm_cu_entry *x = r[i].entry ? &e[r[i].entry - 1] : NULL;

		while (end < n && r[end].entry == r[i].entry)
			end++;
		if (x && x->call.list)
			launch_match(&r[i], end - i, x->call.list, x->call.n_before);
		i = end;
	}
}

void lmm_cu_match(struct lmm_cu_record *r, uint32_t n_records, struct lmm_cu_entry *e,
		  uint32_t n_entries)
{
	struct call *calls = malloc(((size_t)n_entries * 2 + 1) * sizeof(*calls));
	uint32_t n = calls ? calls_collect(e, n_entries, calls) : 0;

	calls_match(r, n_records, e, calls, n);
	for (uint32_t i = 0; i < n_records; i++) {
		uint32_t at = r[i].entry;

		r[i].tag_graph = at ? e[at - 1].call.graph : 0;
		r[i].tag_node = LMM_NODE_UNKNOWN;
		if (at && e[at - 1].call.kind != LMM_KERNEL_COMMAND_BUFFER)
			r[i].tag_node = e[at - 1].call.node;
	}
	free(calls);
	qsort(r, n_records, sizeof(*r), by_node);
	graphs_match(r, n_records, e);
	qsort(r, n_records, sizeof(*r), by_time);
}
