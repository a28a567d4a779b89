/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the timeline share: timeline.c walks the trace, timeline_scan.c looks ahead, timeline_ops.c draws
 * operators, layers and device commands; tokens.c reads tokens by the same scan. */
#ifndef LMM_REPORT_TIMELINE_INTERNAL_H
#define LMM_REPORT_TIMELINE_INTERNAL_H

#include "analyze/device_clock.h"
#include "base/clock.h"
#include "report/idmap.h"
#include "report/strpool.h"
#include "report/timeline.h"

#define LMM_TL_DEPTH	16	   /* phases nest no deeper; further ones are not drawn */
#define LMM_TL_STEPS	64	   /* steps of a process that may still be spoken of */
#define LMM_TL_LANES	8	   /* tracks of one device queue */
#define LMM_TL_SPANS	16	   /* spans nest no deeper */
#define LMM_TL_COMMANDS 4096	   /* of one queue in flight; a power of two */
#define LMM_TL_RATE_NS	500000000u /* the window of the tokens counter */

struct lmm_tl_track {
	uint32_t id; /* 0: not announced yet */
	uint64_t last_end_ns;
	const struct lmm_result_sensor *sensor; /* NULL: it is none's */
};

/* Steps from `from` to before `before` are warm-up, and what is said of them until `until_ticks`. */
struct lmm_tl_warmup {
	uint32_t from, before;
	uint64_t until_ticks;
};

/* Numbers of contexts are used again: each use may have a warm-up of its own. */
struct lmm_tl_context {
	struct lmm_tl_warmup *warmups; /* in order of steps */
	uint32_t n, cap;
	uint32_t first_step, last_step;
	uint8_t has_steps, has_token, is_warming;
	uint8_t cleared; /* its memory was emptied behind its first request, at … */
	uint64_t cleared_ticks;
};

struct lmm_tl_step {
	uint32_t step;
	uint32_t context;
	uint32_t parts; /* pieces of its pass drawn already, over all brackets */
	uint8_t phase;
	uint8_t is_set;
	uint64_t warm_until_ns; /* 0: no warm-up */
};

struct lmm_tl_process {
	uint32_t process;
	int32_t pid;
	uint32_t name; /* in the string pool */
	uint32_t op_cost_ps;
	uint8_t is_bench;
	struct lmm_tl_step steps[LMM_TL_STEPS]; /* by step % LMM_TL_STEPS */
	struct lmm_tl_track tokens_track;
	uint64_t tokens_window; /* number of the window that is being counted, from 1 */
	uint64_t tokens_count;
};

struct lmm_tl_op {
	uint32_t name, op, shape; /* in the string pool */
	int32_t layer;
	uint8_t role;
	uint64_t bytes;
	uint64_t flops;
};

struct lmm_tl_graph {
	uint32_t n_ops;
	struct lmm_tl_op *ops;
};

struct lmm_tl_phase {
	uint8_t phase;
	uint16_t seq;
	uint32_t step;
	uint32_t part; /* pieces drawn already */
	uint64_t begin_ns;
	uint64_t piece_ns; /* begin of the piece that is being made */
	uint8_t has_step;
	struct lmm_event step_event;
	uint64_t position;
	uint32_t n_seqs;
};

struct lmm_tl_stream {
	uint32_t stream;
	int32_t tid;
	struct lmm_tl_process *process;
	struct lmm_tl_track steps_track, phases_track, layers_track, operators_track;
	struct lmm_tl_track spans_track[LMM_TL_SPANS];

	struct lmm_tl_phase phases[LMM_TL_DEPTH];
	unsigned depth;
	unsigned too_deep;	 /* phases that were begun beyond and not ended */
	uint32_t embedding_step; /* step whose embedding was drawn already */
	uint8_t embedding_drawn;

	const struct lmm_tl_graph *graph;	 /* NULL: none runs, or an unknown one */
	const struct lmm_tl_graph *device_graph; /* of commands; NULL: none, or an unknown one */
	uint8_t in_graph, is_worker, op_is_open, op_is_fused;
	uint32_t run_step;
	uint32_t op_node;
	uint64_t op_ns, op_barrier_ns;
	uint32_t own_rest_ps; /* of the hook's cost, less than a nanosecond */

	struct lmm_tl_track shifts_track, refusals_track;
	uint64_t shift_ns, shift_positions; /* of a context; since the last token; 0: none */
	uint8_t has_token; /* before the first one it is a prompt that is put together */

	int32_t layer; /* -1: none is being made */
	uint64_t layer_begin_ns, layer_end_ns;
};

struct lmm_tl_command {
	uint32_t id;
	uint32_t name;
	const struct lmm_tl_op *node; /* NULL: of none */
	uint32_t step;
	uint8_t phase, is_set;
};

struct lmm_tl_queue {
	uint32_t device; /* in the string pool */
	uint64_t ticks_per_second;
	uint32_t device_number;
	struct lmm_tl_track lanes[LMM_TL_LANES];
	struct lmm_tl_command commands[LMM_TL_COMMANDS];
};

struct lmm_tl_sensor {
	const struct lmm_result_sensor *sensor; /* NULL: it is not drawn */
	struct lmm_tl_track track;
	uint32_t name; /* in the string pool */
	uint8_t is_seen, has_value;
	int64_t value; /* the newest */
	uint64_t t_ns;
};

struct lmm_tl {
	const struct lmm_timeline_ops *ops;
	void *ctx;
	const struct lmm_result *r;
	struct lmm_clock_fit fit;
	uint64_t start_ticks, start_ns; /* of the session */
	struct lmm_strpool strings;
	struct lmm_idmap processes; /* struct lmm_tl_process */
	struct lmm_idmap contexts;  /* (process, context): struct lmm_tl_context */
	struct lmm_idmap streams;   /* struct lmm_tl_stream */
	struct lmm_idmap graphs;    /* (process, graph): struct lmm_tl_graph */
	struct lmm_idmap kernels;   /* (process, kernel): uint32_t, its name */
	struct lmm_idmap names;	    /* (process, name): uint32_t, its text */
	struct lmm_idmap queues;    /* (process, queue): struct lmm_tl_queue */
	struct lmm_idmap clocks;    /* (process, device): struct lmm_device_clock */
	struct lmm_idmap sensors;   /* struct lmm_tl_sensor */
	uint32_t n_tracks;
};

/* The first reading: clocks, processes, and which steps are warm-up. */
int lmm__tl_scan(struct lmm_tl *tl, struct lmm_trace *tr);

/* Of one that calloc() made, with all that it holds. */
void lmm__tl_destroy(struct lmm_tl *tl);

struct lmm_tl_process *lmm__tl_process(struct lmm_tl *tl, uint32_t process);
struct lmm_tl_context *lmm__tl_context(struct lmm_tl *tl, uint32_t process, uint32_t context);
struct lmm_tl_step *lmm__tl_note_step(struct lmm_tl_process *p, const struct lmm_event *e);
struct lmm_tl_step *lmm__tl_find_step(struct lmm_tl_process *p, uint32_t step);

uint64_t lmm__tl_ns(const struct lmm_tl *tl, uint64_t ticks);
int lmm__tl_track(struct lmm_tl *tl, struct lmm_tl_track *track, enum lmm_track_kind kind,
		  const struct lmm_tl_process *p, int32_t tid, const char *name);
/* What a slice is of that belongs to no operator. */
struct lmm_slice_of lmm__tl_of(struct lmm_tl_process *p, unsigned phase, uint32_t step,
			       uint64_t t_ns);
/* Cuts the slice so that it lies behind the track's last one. */
int lmm__tl_slice(struct lmm_tl *tl, struct lmm_tl_track *track, struct lmm_slice *slice);

void lmm__tl_arg_u64(struct lmm_slice *s, const char *key, uint64_t value);
void lmm__tl_arg_i64(struct lmm_slice *s, const char *key, int64_t value);
void lmm__tl_arg_string(struct lmm_slice *s, const char *key, const char *value);

/* A piece [begin, end) of the embedding on the phases track of s. */
int lmm__tl_embedding(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t begin_ns,
		      uint64_t end_ns);
/* What is said of step at t_ns belongs to a warm-up. */
int lmm__tl_is_warm(struct lmm_tl_process *p, uint32_t step, uint64_t t_ns);

int lmm__tl_graph(struct lmm_tl *tl, const struct lmm_graph *graph);
int lmm__tl_run_begin(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e);
int lmm__tl_run_end(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t t_ns);
/* The run ended nowhere: its last operator has no known end. */
int lmm__tl_run_abandon(struct lmm_tl *tl, struct lmm_tl_stream *s);
int lmm__tl_op(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e);
int lmm__tl_command(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e);
int lmm__tl_completion(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e);

int lmm__tl_device_clock(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e);
void lmm__tl_device_graph(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e);

int lmm__tl_requests(struct lmm_tl *tl);

int lmm__tl_samples(struct lmm_tl *tl, const struct lmm_samples *samples);

#endif
