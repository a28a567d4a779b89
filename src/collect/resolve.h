/* SPDX-License-Identifier: Apache-2.0 */
/* From the address of a tensor to its index in the graph that runs. */
#ifndef LMM_COLLECT_RESOLVE_H
#define LMM_COLLECT_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "lmmeter/trace.h"

/* The probe forgets its graphs after 1024 and gives new numbers: as many back are kept. */
#define LMM_RESOLVE_GRAPHS 1024u

struct lmm_node_map {
	uint32_t graph;
	uint32_t n;
	int64_t *offset; /* by node */
	uint32_t *order; /* nodes by offset, ascending */
};

struct lmm_resolver {
	struct lmm_node_map map[LMM_RESOLVE_GRAPHS]; /* graph number modulo the size */
};

/* Where a stream is in a graph run. */
struct lmm_resolve_at {
	const struct lmm_node_map *map; /* NULL: outside, or the graph is not known */
	uint64_t base;
	uint32_t graph;
	uint32_t cursor; /* node of the last operator + 1 */
	uint32_t runs;	 /* begun so far */
};

/* Takes over offset (malloc'ed). 0 or -ENOMEM. */
int lmm_resolver_add(struct lmm_resolver *r, uint32_t graph, uint32_t n, int64_t *offset);
void lmm_resolver_free(struct lmm_resolver *r);

/* Fills id of the OP and OP_FUSED among n events and follows GRAPH_BEGIN, EPOCH, GRAPH_END. */
void lmm_resolve(const struct lmm_resolver *r, struct lmm_resolve_at *at, struct lmm_event *ev,
		 size_t n);

#endif
