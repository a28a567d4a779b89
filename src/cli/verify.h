/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `lmmeter verify`: lmmeter's figures (P) against a reference (G) that shares nothing with them.
 * alpha = 100 · (1 - |P - G| ÷ G) percent; epsilon = 1000 · |P - G| ÷ G us per ms.
 */
#ifndef LMM_CLI_VERIFY_H
#define LMM_CLI_VERIFY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/overhead.h"

#define LMM_VERIFY_RUNS_MAX	  100u
#define LMM_VERIFY_TOP_MAX	  16u
#define LMM_VERIFY_ROUNDS_MAX	  50u
#define LMM_VERIFY_PHASE_PERCENT  99.0
#define LMM_VERIFY_KERNEL_PERCENT 98.0
#define LMM_VERIFY_PHASE_NS	  5e3  /* shorter ones are shown and not judged */
#define LMM_VERIFY_KERNEL_NS	  20e3 /* likewise, with their absolute error */
#define LMM_VERIFY_HOOK_NS                                                                         \
	500.0 /* what lmmeter's own hook may take of a call that the reference encloses */
#define LMM_VERIFY_NAME_BYTES 128 /* of a kernel that the probe repeats */

/* ---- statistics (verify_stats.c) ------------------------------------------------------------------- */

/* NaN where g is not above 0. */
double lmm_verify_alpha(double p, double g);
double lmm_verify_epsilon(double p, double g);

/* A mean with its 95 % interval by Student's t. Without values the mean, with fewer than two the bounds are NaN. */
struct lmm_verify_interval {
	unsigned n;
	double mean, low, high;
};

void lmm_verify_mean(const double *v, unsigned n, struct lmm_verify_interval *out);

/*
 * The median (as mean) with the narrowest interval between two of the values that covers it with at least 95 % whatever their
 * distribution (sign test); fewer than six values have none: its bounds are NaN. Sorts v.
 */
void lmm_verify_median(double *v, unsigned n, struct lmm_verify_interval *out);

/* Slope of y over x by least squares; NaN: fewer than two points, or all at one x. */
double lmm_verify_slope(const double *x, const double *y, unsigned n);

enum lmm_verify_verdict {
	LMM_VERIFY_UNKNOWN,  /* there is nothing to compare */
	LMM_VERIFY_TRUE,     /* alpha reaches the limit */
	LMM_VERIFY_INTERVAL, /* it does not, but the interval does */
	LMM_VERIFY_OWN_COST, /* short of the reference by no more than lmmeter's own hooks, which it encloses */
	LMM_VERIFY_SHORT, /* too short to be judged */
	LMM_VERIFY_CALLS, /* the two did not count the same calls */
	LMM_VERIFY_OFF,
};

/* "true", "interval", … Static. */
const char *lmm_verify_verdict_name(enum lmm_verify_verdict verdict);
/* 1: nothing is wrong with it. */
int lmm_verify_is_fine(enum lmm_verify_verdict verdict);

/* ---- phases ------------------------------------------------------------------------------------------ */

enum lmm_verify_phase {
	LMM_VERIFY_PREFILL, /* passes of more than one token, and the waits behind them */
	LMM_VERIFY_DECODE,  /* of one */
	LMM_VERIFY_COPY,
	LMM_VERIFY_SAMPLING, /* with softmax */
	LMM_VERIFY_TOKENIZE,
	LMM_VERIFY_DETOKENIZE,
	LMM_VERIFY_SUM, /* of all phases and unaccounted, against the wall; of a session with one request */
	LMM_VERIFY_PHASES
};

struct lmm_verify_figure {
	double ns;
	uint64_t calls;
};

enum lmm_verify_own { LMM_VERIFY_PROMPT_EVAL, LMM_VERIFY_EVAL, LMM_VERIFY_SAMPLED, LMM_VERIFY_OWN };

/* What one run says. calls are 0 where there was nothing of the kind. */
struct lmm_verify_run {
	struct lmm_verify_figure lmmeter[LMM_VERIFY_PHASES];
	struct lmm_verify_figure reference[LMM_VERIFY_PHASES];
	double engine_ns[LMM_VERIFY_OWN]; /* as the engine prints them; 0: it does not */
	unsigned processes;		  /* that made forward passes */
	uint64_t calls, not_kept;	  /* of the engine, seen by the reference */
};

/* Adds what the calls of one process, in order, make (verify_calls.c). 0 or -ENOMEM. */
int lmm_verify_calls_add(struct lmm_verify_run *run, const struct lmm_reference_call *calls,
			 size_t n);

/* The engine's own figures, out of its standard error, of which nothing else is kept (verify_ear.c). */
struct lmm_verify_ear {
	char line[256];
	size_t n;
	double ns[LMM_VERIFY_OWN];
};

void lmm_verify_hear(struct lmm_verify_ear *ear, const char *bytes, size_t n);

/* One phase over all runs (verify_stats.c). Times are means per call. */
struct lmm_verify_row {
	double calls; /* per run, as the reference counts them */
	double lmmeter_ns, reference_ns;
	struct lmm_verify_interval alpha, epsilon;
	double engine_ns; /* of all calls of a run; 0: not printed */
	struct lmm_verify_interval engine_alpha;
	unsigned differ; /* runs in which the two counted differently */
	enum lmm_verify_verdict verdict;
};

void lmm_verify_row(const struct lmm_verify_run *runs, unsigned n, enum lmm_verify_phase phase,
		    struct lmm_verify_row *out);

/* ---- kernels ------------------------------------------------------------------------------------------- */

/* A decode step in which kernels ran again behind themselves (wire/repeat.h). */
struct lmm_verify_point {
	uint8_t mode;	  /* enum lmm_repeat_mode */
	uint16_t times;	  /* K */
	uint32_t block;	  /* over all runs */
	uint32_t further; /* runs, or fillers, that were added */
	double step_ns;	  /* from the pass's begin to the next one's, by the reference's stamps */
};

/* What lmmeter says of some runs of a kernel: device time. */
struct lmm_verify_timed {
	double ns, count;
};

/* Of further runs, the recorded ones of a block. */
struct lmm_verify_block {
	struct lmm_verify_timed warm, cold;
};

/* One kernel, run again and again behind itself. */
struct lmm_verify_kernel {
	char name[LMM_VERIFY_NAME_BYTES];
	unsigned factor;    /* of the block's repeats (wire/repeat.h) */
	double runs, steps; /* the application's own, in decode */
	struct lmm_verify_timed own, empty;
	struct lmm_verify_block *blocks; /* by number */
	uint32_t next_block;		 /* of the next run's first */
	size_t n_blocks;
	struct lmm_verify_point *points; /* in the order in which they were taken */
	size_t n, room;
	unsigned buffers, copied; /* arguments, and those of them that repeats write copies of */
	char remark[128];	  /* why there are no copies, or what could not be done; "" */
};

/*
 * Adds the decode steps of a run: those of the reference's files folder/ruler* that the probe's folder/log* tells the turn of.
 * Blocks are numbered from first_block on; *next_block gets the number for the run behind it. 0 or a negative errno.
 */
int lmm_verify_points_read(struct lmm_verify_kernel *k, const char *folder, const char *ruler,
			   const char *log, uint32_t first_block, uint32_t *next_block);

/* lmmeter's figure of further runs against what they added to the step. */
struct lmm_verify_against {
	struct lmm_verify_interval lmmeter_ns, truth_ns; /* of .n blocks; 0: nothing is known */
	double alpha, epsilon;
	int is_inside; /* the two intervals have something in common */
	enum lmm_verify_verdict verdict;
};

struct lmm_verify_kernel_row {
	double per_step; /* runs of the kernel per decode step */
	double own_ns;	 /* mean device time of the application's own runs */
	double gap_ns; /* that the device needs between two kernels; is taken off both truths. NaN: not known */
	struct lmm_verify_against warm, cold;
};

void lmm_verify_kernel_row(const struct lmm_verify_kernel *k, struct lmm_verify_kernel_row *out);

/* ---- running (verify_runs.c, verify_kernels.c) --------------------------------------------------------- */

struct lmm_verify_outcome {
	const char *command_name;
	struct lmm_host host;
	const char *kept; /* folder; NULL */
	char engine_name[64], engine_version[96];
	enum lmm_overhead_end end; /* SIGNAL, FAILED or PAIRS: all of it */
	double elapsed_ns;
	struct lmm_verify_run runs[LMM_VERIFY_RUNS_MAX];
	unsigned n;
	int device_seen;
	int asked; /* for kernels */
	unsigned rounds;
	struct lmm_verify_kernel *kernels;
	unsigned n_kernels;
};

/* Called before each run. */
typedef void (*lmm_verify_progress_fn)(void *arg, const char *what, unsigned number, unsigned of);

struct lmm_verify_plan {
	unsigned runs, top, rounds;
	lmm_verify_progress_fn progress;
	void *arg;
};

/* A warm-up and plan->runs runs. 0; -EINTR: a signal came; -1 after an lmm_error(). */
int lmm_verify_phases_run(struct lmm_overhead_bench *b, const struct lmm_verify_plan *plan,
			  struct lmm_verify_outcome *out);

/* Looks which kernels there are, then plan->rounds rounds over the longest. Likewise. */
int lmm_verify_kernels_run(struct lmm_overhead_bench *b, const struct lmm_verify_plan *plan,
			   struct lmm_verify_outcome *out);
void lmm_verify_kernels_free(struct lmm_verify_outcome *out);

/* ---- the outcome (verify_print.c, verify_json.c) ------------------------------------------------------- */

/* "prefill", "copy_to_cpu", … Static. */
const char *lmm_verify_phase_name(enum lmm_verify_phase phase);

/* alpha as published, the lowest and the highest of five models; 0: no such phase there. */
struct lmm_verify_published {
	double low, high;
};
#define LMM_VERIFY_SOURCE "LM-Meter, arXiv 2510.06126, Pixel 8 Pro"
struct lmm_verify_published lmm_verify_published(enum lmm_verify_phase phase);

/* 1: there are figures, and nothing is wrong with any. */
int lmm_verify_passed(const struct lmm_verify_outcome *o);

void lmm_verify_print_text(const struct lmm_verify_outcome *o, FILE *out);
/* Schema lmmeter.verify/1, docs/json.md. */
void lmm_verify_print_json(const struct lmm_verify_outcome *o, FILE *out);

#endif
