/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace as stacks, for flame graphs: request; phase; role; layer; operator. Every instant of a lane (a thread, or a device's queue)
 * has one stack at the most, so that sums are sums; what is no operator's is its phase's own.
 */
#ifndef LMM_REPORT_STACKS_H
#define LMM_REPORT_STACKS_H

#include "report/strpool.h"
#include "report/timeline.h"

#define LMM_STACK_DEPTH 5

enum lmm_lane_kind {
	LMM_LANE_THREAD, /* with phases */
	LMM_LANE_WORKER, /* a thread that helps with operators */
	LMM_LANE_DEVICE, /* a queue of a device, or what ran beside it */
};

struct lmm_lane {
	uint32_t lane; /* 1, 2, … */
	enum lmm_lane_kind kind;
	char name[160];
};

struct lmm_stack {
	const struct lmm_lane *lane;
	uint32_t frames[LMM_STACK_DEPTH]; /* in the string pool, the outermost first */
	unsigned depth;
	uint64_t begin_ns, end_ns; /* from the session's start; not before the lane's last one */
};

struct lmm_stacks_opts {
	/* all requests look like one; several are told apart by their numbers otherwise */
	int joins_requests;
	/* frames get their names here; its owner frees it */
	struct lmm_strpool *frames;
	/* 0 or a negative error, which ends the reading */
	int (*stack)(void *ctx, const struct lmm_stack *stack);
	void *ctx;
};

/* Reads tr from its beginning; r is its result. Warm-ups are left out. 0 or a negative error. */
int lmm_stacks_read(struct lmm_trace *tr, const struct lmm_result *r,
		    const struct lmm_stacks_opts *opts);

#endif
