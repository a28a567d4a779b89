/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pass over a recording keeps: diff_scan.c takes phases, steps and warm-ups, diff_ops.c operators and device
 * commands, and both book to steps that are open, the newest LMM_DIFF_OPEN of the session.
 */
#ifndef LMM_ANALYZE_DIFF_SCAN_H
#define LMM_ANALYZE_DIFF_SCAN_H

#include "analyze/diff.h"
#include "analyze/state.h"

#define LMM_DIFF_OPEN	128
#define LMM_DIFF_DEPTH	16
#define LMM_DIFF_GRAPHS 512

/* A step that may still be spoken of. Further passes of its call are part of it. */
struct lmm_diff_step {
	uint64_t serial; /* 0: free */
	uint64_t lead;	 /* serial of the call's first pass; its own if it is that */
	uint32_t process, step, context, call, tokens;
	uint32_t use; /* of the context */
	uint8_t class_at, flags, is_dropped, has_ended;
	double *values;
	uint32_t n, cap;
};

/* Where a node's time goes, by class and plain or fused; -1: not looked up yet, or nowhere. */
struct lmm_diff_place {
	int32_t kernel, role, layer;
};

struct lmm_diff_node {
	char *name, *op, *weight_type;
	int32_t layer;
	uint8_t role;
	struct lmm_diff_place places[LMM_DIFF_CLASSES][2];
};

struct lmm_diff_graph {
	uint32_t process, graph, n;
	struct lmm_diff_node *nodes;
};

struct lmm_diff_frame {
	uint32_t step;
	uint8_t phase;
	uint64_t from; /* booked up to here */
};

struct lmm_diff_stream {
	uint32_t stream, process;
	struct lmm_diff_frame frames[LMM_DIFF_DEPTH];
	uint32_t depth, too_deep;
	uint64_t idle_from, idle_to; /* unaccounted, until it is known what it came before */
	uint32_t idle_step;
	/* operators */
	uint8_t in_run, op_is_set, op_is_fused;
	uint32_t graph, run_step, op_node; /* graph: place in graphs */
	uint32_t device_graph;
	uint64_t op_t;
};

struct lmm_diff_process {
	uint32_t process, op_cost_ps;
	uint8_t is_bench;
};

struct lmm_diff_context {
	uint32_t process, context, use;
	uint8_t is_decided, is_warming;
};

struct lmm_diff_kernel {
	uint32_t process, kernel;
	char *name;
	uint8_t kind;
};

struct lmm_diff_queue {
	uint32_t process, queue;
	char *device;
	uint64_t ticks_per_second;
};

struct lmm_diff_flight {
	uint8_t has; /* HAS_COMMAND, HAS_COMPLETION */
	uint8_t is_ok;
	uint32_t process, queue, id;
	uint64_t step; /* serial */
	int32_t kernel, role, layer;
	uint64_t duration;
};

/* A growing array of T. */
#define LMM_DIFF_LIST(T)                                                                           \
	struct {                                                                                   \
		T *at;                                                                             \
		uint32_t n, cap;                                                                   \
	}

struct lmm_diff_scan {
	struct lmm_diff_run *run;
	struct lmm_clock_fit fit;
	uint64_t serial;
	struct lmm_diff_step steps[LMM_DIFF_OPEN]; /* by serial % LMM_DIFF_OPEN */
	LMM_DIFF_LIST(struct lmm_diff_stream) streams;
	LMM_DIFF_LIST(struct lmm_diff_process) processes;
	LMM_DIFF_LIST(struct lmm_diff_context) contexts;
	LMM_DIFF_LIST(struct lmm_diff_kernel) kernels;
	LMM_DIFF_LIST(struct lmm_diff_queue) queues;
	struct lmm_diff_graph graphs[LMM_DIFF_GRAPHS]; /* the oldest makes room */
	uint64_t n_graphs;
	struct lmm_diff_flight *flights;
	int failed; /* sticky -ENOMEM */
};

/* The new last element, zeroed; NULL: no memory. */
void *lmm__diff_grow(void **at, uint32_t *n, uint32_t *cap, size_t size);
#define LMM_DIFF_NEW(list)                                                                         \
	lmm__diff_grow((void **)&(list).at, &(list).n, &(list).cap, sizeof(*(list).at))

struct lmm_diff_process *lmm__diff_process(struct lmm_diff_scan *sc, uint32_t process);
/* The open step, or the one that it is part of; NULL: none. */
struct lmm_diff_step *lmm__diff_step(struct lmm_diff_scan *sc, uint32_t process, uint32_t step);
void lmm__diff_book(struct lmm_diff_scan *sc, struct lmm_diff_step *st, int32_t column,
		    double ticks);
void lmm__diff_book_phase(struct lmm_diff_scan *sc, struct lmm_diff_step *st, unsigned phase,
			  double ticks);

/* diff_ops.c */
int lmm__diff_graph(struct lmm_diff_scan *sc, const struct lmm_graph *item);
void lmm__diff_graph_free(struct lmm_diff_graph *g);
int lmm__diff_kernel(struct lmm_diff_scan *sc, const struct lmm_kernel *item);
int lmm__diff_queue(struct lmm_diff_scan *sc, const struct lmm_queue *item);
/* OP, OP_FUSED, GRAPH_BEGIN, GRAPH_END, EPOCH, COMMAND, COMMAND_UNTIMED, COMPLETION, DEVICE_GRAPH. */
void lmm__diff_op_event(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
			const struct lmm_event *e);

#endif
