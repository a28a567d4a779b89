/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace as tracks with slices: what both export formats draw. Slices of one track never overlap and come in order;
 * tracks are announced before their first slice; between tracks no order is promised.
 *
 * Tracks of a process: requests (as many as ran at once), device queues, counters. Of a thread: steps, phases, layers,
 * operators, spans (as many as are open within one another). docs/export.md says what each shows.
 */
#ifndef LMM_REPORT_TIMELINE_H
#define LMM_REPORT_TIMELINE_H

#include "analyze/result.h"
#include "lmmeter/trace.h"

enum lmm_track_kind {
	LMM_TRACK_REQUESTS,
	LMM_TRACK_TOKENS, /* a counter */
	LMM_TRACK_STEPS,
	LMM_TRACK_PHASES,
	LMM_TRACK_LAYERS,
	LMM_TRACK_OPERATORS,
	LMM_TRACK_QUEUE,
	LMM_TRACK_SENSOR, /* a counter */
	LMM_TRACK_SPANS,
};

struct lmm_track {
	uint32_t track; /* 1, 2, … */
	enum lmm_track_kind kind;
	uint32_t process; /* index in the trace */
	int32_t pid;
	int32_t tid; /* of threads' tracks, else 0 */
	const char *name;
	const char *process_name;
	const struct lmm_result_sensor *sensor; /* of sensors' tracks, else NULL */
};

enum lmm_arg_kind {
	LMM_ARG_U64,
	LMM_ARG_I64,
	LMM_ARG_STRING,
};

struct lmm_arg {
	const char *key;
	enum lmm_arg_kind kind;
	union {
		uint64_t u64;
		int64_t i64;
		const char *string;
	};
};

#define LMM_SLICE_ARGS_MAX 12

/* What phases, steps, operators and commands are of: for those who add them up. 0 in other slices. */
struct lmm_slice_of {
	uint32_t step;	  /* LMM_STEP_NONE: of none */
	uint32_t context; /* of its step */
	uint16_t seq;
	uint8_t phase;
	uint8_t role;
	uint8_t is_warmup;
	uint8_t is_worker; /* an operator's share on a thread that helps */
	int32_t layer;	   /* -1: none */
	const char *op;	   /* "MUL_MAT"; NULL: not known */
};

struct lmm_slice {
	uint32_t track;
	uint64_t begin_ns; /* CLOCK_MONOTONIC */
	uint64_t end_ns;
	const char *name;
	const char *category;
	struct lmm_arg args[LMM_SLICE_ARGS_MAX];
	unsigned n_args;
	struct lmm_slice_of of;
};

struct lmm_counter {
	uint32_t track;
	const char *name; /* the track's */
	const char *unit;
	uint64_t t_ns; /* CLOCK_MONOTONIC; the value stands until the next one */
	double value;
};

/* Called for each; return 0 or a negative error, which ends the drawing. What they get is valid during the call. */
struct lmm_timeline_ops {
	/* before all others; start_ns is CLOCK_MONOTONIC at the session's start */
	int (*session)(void *ctx, const struct lmm_result *r, uint64_t start_ns);
	int (*track)(void *ctx, const struct lmm_track *track);
	int (*slice)(void *ctx, const struct lmm_slice *slice);
	int (*counter)(void *ctx, const struct lmm_counter *counter);
	/* may be NULL: a STEP, SEQ or TOKEN at t_ns, before anything is drawn that follows from it */
	int (*event)(void *ctx, uint32_t process, uint64_t t_ns, const struct lmm_event *e);
};

/* Reads tr twice from its beginning and draws it. 0 or a negative error. */
int lmm_timeline_draw(struct lmm_trace *tr, const struct lmm_result *r,
		      const struct lmm_timeline_ops *ops, void *ctx);

#endif
