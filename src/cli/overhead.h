/* SPDX-License-Identifier: Apache-2.0 */
/* `lmmeter overhead`: runs with and without lmmeter, the figures of each by a ruler of its own, and what follows from them. */
#ifndef LMM_CLI_OVERHEAD_H
#define LMM_CLI_OVERHEAD_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "collect/host.h"

#define LMM_OVERHEAD_PAIRS_MAX	    1000u
#define LMM_OVERHEAD_PAIRS_MIN	    3u	/* unless --pairs asks for fewer */
#define LMM_OVERHEAD_PAIRS_DEFAULT  10u /* at most, unless --pairs asks for more */
#define LMM_OVERHEAD_TARGET_PERCENT 0.5 /* half-width of decode's interval at which it is enough */

/* ---- one run (overhead_ruler.c) ------------------------------------------------------------------- */

/* What one run of the command took. Times are 0 where there was nothing of the kind. */
struct lmm_overhead_run {
	double wall_ns; /* from the start of the process to its end */
	double first_token_ns; /* of the run's first request: from its first pass to where its result was read */
	double prefill_ns; /* mean of all requests, likewise */
	double decode_ns; /* median of the time from one pass of a single token to the next one's begin */
	uint32_t prefills, decodes;
	uint64_t calls;	   /* of the engine that the ruler saw */
	uint64_t not_kept; /* of these, more than its file holds */
};

/* Times of one run while they are gathered, over all its processes. */
struct lmm_overhead_times {
	double *decodes, *prefills;
	size_t n_decodes, n_prefills, decodes_room, prefills_room;
	double first_token_ns;
	uint64_t first_token_at_ns; /* when that request began */
	uint64_t calls, not_kept;
};

struct lmm_json;
struct lmm_reference_call;

/*
 * Adds the calls of one process, in order. Prefill: passes of more than one token up to the end of the first read behind
 * them; of a process that never reads (llama-bench), up to the end of the wait, else to the next pass. What a process
 * that reads does without reading is a warm-up and left out. 0 or -ENOMEM.
 */
int lmm_overhead_times_add(struct lmm_overhead_times *t, const struct lmm_reference_call *calls,
			   size_t n);

/* The calls of one process, n of `all` were kept. 0 goes on; anything else ends it. */
typedef int (*lmm_reference_fn)(void *arg, const struct lmm_reference_call *calls, size_t n,
				uint64_t all);

/* Hands fn the files folder/prefix*, open for reading; it closes them. 0, what fn returned, or a negative errno. */
int lmm_runs_each_file(const char *folder, const char *prefix, int (*fn)(void *arg, int fd),
		       void *arg);

/* Goes through the files folder/prefix*. What is damaged is left out. 0, what fn returned, or a negative errno. */
int lmm_reference_each(const char *folder, const char *prefix, lmm_reference_fn fn, void *arg);

/* Adds the files folder/prefix*. What is damaged is left out. 0 or a negative errno. */
int lmm_overhead_times_read(struct lmm_overhead_times *t, const char *folder, const char *prefix);

/* Fills all but wall_ns; the times are sorted by it. */
void lmm_overhead_times_sum(struct lmm_overhead_times *t, struct lmm_overhead_run *run);

void lmm_overhead_times_free(struct lmm_overhead_times *t);

/* ---- statistics (overhead_stats.c) ------------------------------------------------------------------ */

struct lmm_overhead_pair {
	struct lmm_overhead_run without, with;
	uint8_t with_first; /* which of the two ran first was left to chance */
};

/* How much larger, in percent, with the 95 % interval of Student's t over logarithms of ratios. */
struct lmm_overhead_interval {
	unsigned
		n; /* ratios; 0: nothing is known, 1: there is no interval, and its bounds are NaN */
	double percent, low_percent, high_percent;
	double half_width_percent;
};

enum lmm_overhead_verdict {
	LMM_OVERHEAD_UNKNOWN, /* fewer than two pairs */
	LMM_OVERHEAD_SLOWER,  /* the interval lies above 0, and noise alone does not do that */
	LMM_OVERHEAD_FASTER, /* below 0: with lmmeter it took less, which is chance or placement in memory */
	LMM_OVERHEAD_NONE_VISIBLE, /* 0 is inside, and the interval is as narrow as was asked for */
	LMM_OVERHEAD_TOO_NOISY,
};

/* One quantity of the runs, compared. */
struct lmm_overhead_metric {
	double without_ns, with_ns; /* geometric means over the pairs */
	struct lmm_overhead_interval slowdown;
	struct lmm_overhead_interval
		same; /* each second run without lmmeter against the one before it: noise */
	enum lmm_overhead_verdict verdict;
};

enum lmm_overhead_which { LMM_OVERHEAD_WALL, LMM_OVERHEAD_PREFILL, LMM_OVERHEAD_DECODE };

/* Sorts v. n > 0. */
double lmm_overhead_median(double *v, size_t n);

/* 97.5 % quantile of Student's t; between the rows of its table the next larger one. df > 0. */
double lmm_overhead_t975(unsigned df);

void lmm_overhead_interval(const double *log_ratios, unsigned n, struct lmm_overhead_interval *out);

/* Pairs in which either run lacks the quantity are passed over. n <= LMM_OVERHEAD_PAIRS_MAX. */
void lmm_overhead_compare(const struct lmm_overhead_pair *pairs, unsigned n,
			  enum lmm_overhead_which which, struct lmm_overhead_metric *out);

/* ---- arithmetic: what lmmeter's own reports say, summed over the runs with it ------------------------ */

struct lmm_overhead_cost {
	unsigned reports;
	double operator_ns, phase_pair_ns, percent; /* sums over reports */
	double decode_operators,
		decode_tokens;	      /* operators of decode passes; tokens these computed */
	double phases, output_tokens; /* begin/end pairs of what happens per token; tokens chosen */
	uint64_t lost;
	uint8_t level; /* enum lmm_level: the lowest that a report reached */
	char engine_name[64], engine_version[96];
};

struct lmm_overhead_per_token {
	double operators, operator_ns;
	double phases, phase_pair_ns;
	double total_ns; /* per token of decode */
	double percent;	 /* of the time inside steps and sampling, as the reports say */
};

/* 0: there is no report with a decoded token. */
int lmm_overhead_cost_per_token(const struct lmm_overhead_cost *c,
				struct lmm_overhead_per_token *out);

/* ---- running (overhead_runs.c) --------------------------------------------------------------------- */

struct lmm_overhead_bench {
	char **argv; /* the command */
	int show;
	int keep;
	char self[4096];   /* this program */
	char ruler[4096];  /* what LD_PRELOAD gets */
	char folder[4096]; /* of traces and the ruler's files; absolute */
	sigset_t mask;	   /* that the command gets */
	int signal;	   /* that asked for the end; 0 */
};

/* argv, show set. keep_dir: made if it is not there, must be empty; NULL: a temporary folder. Blocks signals.
 * 0, or -1 after an lmm_error(). */
int lmm_overhead_open(struct lmm_overhead_bench *b, const char *keep_dir);
void lmm_overhead_close(struct lmm_overhead_bench *b);

/* How the command is to be run. */
struct lmm_overhead_arm {
	const char *name;   /* unique among the runs */
	int with;	    /* under `lmmeter run` */
	const char *budget; /* for its --budget; NULL: as it comes */
	const char *repeat; /* LMMETER_REPEAT; NULL */
	/* Gets what the command and lmmeter say on standard error; NULL: it is dropped. */
	void (*hear)(void *arg, const char *bytes, size_t n);
	/*
	 * After a good end, while the files are there: the ruler's have names in b->folder that begin with ruler, trace is
	 * a path (nothing may be there: no engine was seen). 0, or -1 after an lmm_error().
	 */
	int (*take)(void *arg, const struct lmm_overhead_bench *b, const char *ruler,
		    const char *trace);
	void *arg; /* of both */
};

/* *wall_ns: from start to end. 0; -EINTR: a signal came; -1 after an lmm_error(). */
int lmm_overhead_run_arm(struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm,
			 double *wall_ns);

/* Runs the command once; name is unique among the runs. 0; -EINTR: a signal came; -1 after an lmm_error(). */
int lmm_overhead_run_once(struct lmm_overhead_bench *b, const char *name, int with,
			  struct lmm_overhead_run *run, struct lmm_overhead_cost *cost);

/* ---- governors (overhead_governors.c) --------------------------------------------------------------- */

#define LMM_GOVERNOR_NAME_BYTES 32
#define LMM_GOVERNOR_CPUS_MAX	1024

struct lmm_governors {
	char root[1024];
	unsigned n; /* CPUs; those off line are passed over */
	char former[LMM_GOVERNOR_CPUS_MAX][LMM_GOVERNOR_NAME_BYTES];
};

#define LMM_GOVERNORS_ROOT "/sys/devices/system/cpu"

/* Remembers what is set. 0; -ENOENT: there is no cpufreq; -EACCES: it may not be set. */
int lmm_governors_open(struct lmm_governors *g, const char *root);
/* 0; -EINVAL: the kernel has no such governor; another negative errno. What was set so far stays set. */
int lmm_governors_set(const struct lmm_governors *g, const char *name);
/* Sets back what was there. 0 or the first negative errno. */
int lmm_governors_restore(const struct lmm_governors *g);

/* ---- the outcome (overhead_print.c) ----------------------------------------------------------------- */

enum lmm_overhead_end {
	LMM_OVERHEAD_END_PRECISION, /* the interval is narrow enough */
	LMM_OVERHEAD_END_PAIRS,
	LMM_OVERHEAD_END_TIME,
	LMM_OVERHEAD_END_SIGNAL,
	LMM_OVERHEAD_END_FAILED,
};

/* All pairs under one governor. */
struct lmm_overhead_series {
	const char *governor; /* NULL: as it was */
	struct lmm_overhead_pair *pairs;
	unsigned n;
	enum lmm_overhead_end end;
	double elapsed_ns;
	struct lmm_overhead_cost cost;
};

struct lmm_overhead_outcome {
	const char *command_name;
	struct lmm_host host;
	const char *governors_asked; /* as given; NULL: not asked for */
	const char *governors_error; /* why they are left as they are; NULL */
	const char *kept;	     /* folder; NULL */
	struct lmm_overhead_series *series;
	unsigned n;
};

void lmm_overhead_print_text(const struct lmm_overhead_outcome *o, FILE *out);
/* "host": {…}, as in a report's session. */
void lmm_overhead_put_host(struct lmm_json *j, const struct lmm_host *h);
/* Schema lmmeter.overhead/1, docs/json.md. */
void lmm_overhead_print_json(const struct lmm_overhead_outcome *o, FILE *out);

#endif
