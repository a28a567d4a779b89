/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed between two sets of recordings, and how sure that is. docs/diff.md has the method and what it assumes.
 *
 *	struct lmm_diff_run *runs[6];                               three before, three after
 *	lmm_diff_run_file("before-1.lmt", &runs[0], &state); …
 *	d = lmm_diff_create(runs, 3, 3);
 *	…                                                           d points into the runs
 *	lmm_diff_destroy(d); lmm_diff_run_destroy(runs[0]); …
 */
#ifndef LMM_ANALYZE_DIFF_H
#define LMM_ANALYZE_DIFF_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/result.h"
#include "lmmeter/trace.h"

/* ---- items -------------------------------------------------------------------------------------- */

/* Which steps an item's time is of: rows of one sheet each. */
enum lmm_diff_class {
	LMM_DIFF_PREFILL,
	LMM_DIFF_DECODE,
	LMM_DIFF_DRAFT,
	LMM_DIFF_VERIFY,
	LMM_DIFF_CLASSES
};

enum lmm_diff_level {
	LMM_DIFF_TOTAL,	 /* the whole step, TTFT, TPOT: no common factor is divided out */
	LMM_DIFF_PHASE,	 /* as the host brackets it, exclusive */
	LMM_DIFF_ROLE,	 /* operators of a role, all layers */
	LMM_DIFF_LAYER,	 /* operators of a layer */
	LMM_DIFF_KERNEL, /* operators or device commands of one name, all layers */
	LMM_DIFF_LEVELS
};

/* "prefill", …; "total", …. Static; "?" beyond. */
const char *lmm_diff_class_name(unsigned class_at);
const char *lmm_diff_level_name(unsigned level);

/* What makes an item the same one in another recording. What a level does not use is 0 or "". */
struct lmm_diff_key {
	uint8_t level, role, is_fused;
	int32_t layer; /* -1: none */
	const char *name, *op, *device, *weight_type;
};

/* ---- one recording ------------------------------------------------------------------------------ */

#define LMM_DIFF_ROWS	 1024 /* steps of a sheet that are kept, spread evenly over all */
#define LMM_DIFF_COLUMNS 8192

enum {
	LMM_DIFF_FIRST_USE = 1,	 /* something was made ready for its first use in this step */
	LMM_DIFF_NO_KERNELS = 2, /* not all of its device commands were timed */
};

struct lmm_diff_row {
	uint32_t n; /* values; further columns are 0 */
	uint32_t tokens;
	uint8_t flags;
	float *values; /* ticks, by column */
};

struct lmm_diff_column {
	struct lmm_diff_key key; /* strings are the column's own */
	double total;		 /* ticks, of all steady steps, kept or not */
};

/* Steps of one class: a row each, items as columns. */
struct lmm_diff_sheet {
	struct lmm_diff_column *columns;
	uint32_t n_columns, columns_cap;
	uint32_t *slots; /* hashed: column + 1, 0: free */
	uint32_t n_slots;
	struct lmm_diff_row *rows; /* LMM_DIFF_ROWS of them */
	uint32_t n_rows;
	uint32_t stride; /* steps that one row stands for */
	uint32_t in_stride;
	uint64_t random;
	uint64_t steps, tokens, first_use_steps; /* steady ones, their tokens, and the others */
};

/* The column of key, made at its first sight; -1: no memory, or LMM_DIFF_COLUMNS are taken. */
int32_t lmm_diff_sheet_column(struct lmm_diff_sheet *s, const struct lmm_diff_key *key);
int32_t lmm_diff_sheet_find(const struct lmm_diff_sheet *s, const struct lmm_diff_key *key);
/* Takes a step; 0 or -ENOMEM. */
int lmm_diff_sheet_row(struct lmm_diff_sheet *s, const double *values, uint32_t n, uint32_t tokens,
		       unsigned flags);

struct lmm_diff_run {
	struct lmm_diff_sheet sheets[LMM_DIFF_CLASSES];
	double ns_per_tick;
	double *ttft_ns, *tpot_ns; /* of each request that has one */
	uint32_t n_ttft, n_tpot;
	struct lmm_result *facts; /* NULL in runs that no file is behind */
};

struct lmm_diff_run *lmm_diff_run_create(void); /* NULL: no memory */
void lmm_diff_run_destroy(struct lmm_diff_run *run);

/* One pass over a file. 0 (also for a cut one: *state as lmm_trace_state()), or a negative error and *run is NULL. */
int lmm_diff_run_file(const char *path, struct lmm_diff_run **run, enum lmm_trace_state *state);

/* ---- the comparison ----------------------------------------------------------------------------- */

enum lmm_diff_side { LMM_DIFF_BEFORE, LMM_DIFF_AFTER, LMM_DIFF_SIDES };

enum lmm_diff_partner {
	LMM_DIFF_BOTH,
	LMM_DIFF_ONLY_BEFORE,
	LMM_DIFF_ONLY_AFTER,
	LMM_DIFF_SOMETIMES, /* on both sides, but not in every run */
};

/* Times are per step, of prefill per prompt token. Intervals are of 95 %. */
struct lmm_diff_item {
	struct lmm_diff_key key;
	uint8_t class_at;
	uint8_t partner;
	uint8_t is_judged;  /* the data allow an interval; else change is all that is known */
	uint8_t is_changed; /* beyond doubt, over the whole table, and no trifle */
	double ns[LMM_DIFF_SIDES];	/* undisturbed: mean over runs of their clipped means */
	double mean_ns[LMM_DIFF_SIDES]; /* plain, of all steps */
	double change_percent, low_percent, high_percent; /* what runs have in common divided out */
	double change_ns, low_ns, high_ns;
	double cost_percent, cost_low_percent; /* the same as a share of the step before */
	double p; /* of so large a change without a cause; not adjusted */
};

struct lmm_diff_class_facts {
	uint8_t is_seen;
	uint64_t steps[LMM_DIFF_SIDES];
	double step_ns[LMM_DIFF_SIDES];
	uint8_t has_common;
	/* what all operators have in common: the machine was faster or slower as a whole */
	double common_percent, common_low_percent, common_high_percent;
	/* the step's change in parts: changed operators (and phases without any), in common, and what is left */
	double change_ns, named_ns, common_ns, rest_ns;
};

struct lmm_diff {
	uint32_t n_runs[LMM_DIFF_SIDES];
	uint8_t is_within_only; /* one run a side: what differs from run to run is not known */
	struct lmm_diff_class_facts classes[LMM_DIFF_CLASSES];
	struct lmm_diff_item *items; /* changed ones first, the costliest first */
	size_t n_items, n_changed, n_compared, n_unpaired;
	const char **warnings; /* what else differs: model, engine, machine, … */
	size_t n_warnings;
};

/* runs: n_before, then n_after; they must outlive the result. NULL: no memory. */
struct lmm_diff *lmm_diff_create(struct lmm_diff_run *const *runs, uint32_t n_before,
				 uint32_t n_after);
void lmm_diff_destroy(struct lmm_diff *d);

/* A changed item that got slower by more than limit_percent of its step, interval and all (of totals: of itself). */
int lmm_diff_is_beyond(const struct lmm_diff_item *item, double limit_percent);

#endif
