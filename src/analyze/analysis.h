/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The analysis: takes the items of a session as they come (from the collector while it runs, or from a file) and keeps
 * aggregates of bounded size. The same items in the same order give the same result, so the report at the end of a
 * run and the one read from its file are the same numbers.
 */
#ifndef LMM_ANALYZE_ANALYSIS_H
#define LMM_ANALYZE_ANALYSIS_H

#include "analyze/result.h"
#include "lmmeter/trace.h"

struct lmm_analysis;
struct lmm_buf;

struct lmm_analysis *lmm_analysis_create(void); /* NULL: no memory */
void lmm_analysis_destroy(struct lmm_analysis *a);

/* A lmm_sink_fn: ctx is the struct lmm_analysis. A CHECKPOINT item replaces all state. 0, -ENOMEM, LMM_E_CORRUPT. */
int lmm_analysis_item(void *ctx, const struct lmm_item *item);

/* Appends the whole state, so that a fresh analysis that loads it goes on as this one would. 0 or -ENOMEM. */
int lmm_analysis_save(const struct lmm_analysis *a, struct lmm_buf *out);
int lmm_analysis_load(struct lmm_analysis *a, const void *data, size_t size_bytes);

/* What is known so far. The caller destroys it; it stays valid after the analysis is gone. NULL: no memory. */
struct lmm_result *lmm_analysis_result(const struct lmm_analysis *a);
void lmm_result_destroy(struct lmm_result *r);

/* The innermost phase of the thread that told the newest one; LMM_PHASE_NONE: none is open. For views of what goes on. */
unsigned lmm_analysis_phase(const struct lmm_analysis *a);

struct lmm_analysis_file_opts {
	int recompute; /* 1: ignore stored checkpoints and go through all records */
};

/*
 * Reads a file: starts from its newest checkpoint, or from the beginning. *result is set on 0 (also for a cut file:
 * result->complete is 0). *state as lmm_trace_state().
 */
int lmm_analysis_file(const char *path, const struct lmm_analysis_file_opts *opts,
		      struct lmm_result **result, enum lmm_trace_state *state);

/* ---- a recording that is still being written ---------------------------------------------------- */

struct lmm_follow;

/* 0, or the errors of lmm_trace_open(). What is there already is taken by the first poll. */
int lmm_follow_open(const char *path, struct lmm_follow **out);
/* Takes what has been written since. 1: it goes on. 0: it was closed in good order. Or a negative error. */
int lmm_follow_poll(struct lmm_follow *f);
/* What was taken so far; good until the next poll. */
const struct lmm_analysis *lmm_follow_analysis(const struct lmm_follow *f);
/* Accepts NULL. */
void lmm_follow_close(struct lmm_follow *f);

#endif
