/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live view, in three parts that know nothing of one another's business: the model (what is shown: results of the analysis, and
 * what changed from one to the next), the layout (where it stands, on a grid of cells) and the drawing (ncursesw). One thread.
 */
#ifndef LMM_TOP_TOP_H
#define LMM_TOP_TOP_H

#include <stdint.h>
#include <stdio.h>

#include "analyze/analysis.h"

/* ---- model (model.c) ---------------------------------------------------------------------------- */

#define LMM_TOP_PERIOD_MS 500 /* from one picture to the next */
#define LMM_TOP_HISTORY	  60  /* updates that are remembered */
#define LMM_TOP_TRACKS	  256 /* kernels whose history is kept */
#define LMM_TOP_PROCESSES 64  /* processes likewise */

/* How much of the wall time went into a kernel, from update to update, oldest first. */
struct lmm_top_track {
	uint64_t key; /* 0: free */
	double total_ns;
	uint64_t updated;
	float share[LMM_TOP_HISTORY];
};

/* How fast one process makes tokens, from update to update. */
struct lmm_top_process {
	uint64_t tokens;
	double tokens_per_second_now; /* since the update before; < 0: not known yet */
	float tokens_per_second[LMM_TOP_HISTORY];
};

/* What the machine does now; values that are not known are < 0. */
struct lmm_top_machine {
	double cpu_hz; /* mean over its policies */
	double cpu_limit_hz;
	double gpu_hz;
	double gpu_load_percent;
	double celsius;	      /* of the hottest part */
	uint32_t hottest;     /* its place in result->machine.sensors */
	double power_mw;      /* mean since the update before */
	uint8_t is_throttled; /* since the update before */
	/* at this update, to tell what is new at the next one */
	double energy_uj, sampled_ns, throttled_ns;
};

struct lmm_top {
	struct lmm_result *result; /* the newest; NULL: none yet */
	uint8_t phase;		   /* that is going on, as lmm_analysis_phase() */
	uint8_t has_ended;	   /* the recording was closed */
	uint8_t is_alone;	   /* nobody writes it any more, and it was not closed */
	uint64_t updates;
	uint64_t now_ns;	      /* of this update, CLOCK_MONOTONIC */
	uint64_t tokens;	      /* chosen so far */
	double tokens_per_second_now; /* since the update before; < 0: not known yet */
	float tokens_per_second[LMM_TOP_HISTORY];
	double phase_ns[LMM_PHASE_COUNT];  /* totals at the update before */
	double phase_now[LMM_PHASE_COUNT]; /* share of the time since the update before, 0 … 1 */
	struct lmm_top_process processes[LMM_TOP_PROCESSES]; /* as in result->processes */
	struct lmm_top_machine machine;
	double own_percent; /* of a core, by this view; < 0: not known yet */
	uint64_t own_cpu_ns;
	struct lmm_top_track tracks[LMM_TOP_TRACKS];
};

/* NULL: no memory. */
struct lmm_top *lmm_top_create(void);
void lmm_top_destroy(struct lmm_top *t);

/* What the analysis knows now. 0, or -ENOMEM: then what was shown stays. */
int lmm_top_update(struct lmm_top *t, const struct lmm_analysis *a);

/* The part of it that is about sensors (machine.c). */
void lmm__top_machine_update(struct lmm_top_machine *m, const struct lmm_result_machine *now);

/* Its history, or NULL. */
const struct lmm_top_track *lmm_top_track(const struct lmm_top *t,
					  const struct lmm_result_kernel *k);

/* ---- as lines of JSON (json.c): schema lmmeter.top/1 in docs/json.md ---------------------------- */

void lmm_top_json(const struct lmm_top *t, FILE *out);

/* ---- layout (layout.c) -------------------------------------------------------------------------- */

enum lmm_top_style {
	LMM_TOP_PLAIN = 0,
	LMM_TOP_TITLE,
	LMM_TOP_HEAD,
	LMM_TOP_DIM,
	LMM_TOP_BAR,
	LMM_TOP_WARN,
	LMM_TOP_KEY,
	LMM_TOP_STYLES
};

struct lmm_top_cell {
	uint32_t code; /* Unicode, never one that steers a terminal */
	uint8_t style;
};

struct lmm_top_screen {
	unsigned rows, columns;
	struct lmm_top_cell *cells; /* row by row */
};

enum lmm_top_page {
	LMM_TOP_OVERVIEW,
	LMM_TOP_KERNELS,
	LMM_TOP_REQUESTS,
	LMM_TOP_ENGINES,
	LMM_TOP_SENSORS,
	LMM_TOP_HELP
};

struct lmm_top_view {
	uint8_t page; /* enum lmm_top_page */
	uint8_t is_paused;
	uint8_t has_others; /* there may be other recordings to turn to */
	uint32_t engine;    /* 0: all, else the n-th, around and around */
	uint32_t first;	    /* row of a table that is longer than the screen */
};

/* Processes of the recording that have an engine, and the one that is chosen; NULL: all. */
unsigned lmm_top_engines(const struct lmm_top *t);
const struct lmm_result_process *lmm_top_engine(const struct lmm_top *t,
						const struct lmm_top_view *v);

/* Fills all cells with blanks. */
void lmm_top_clear(struct lmm_top_screen *s);

/* Fills all cells with a list to choose from. */
void lmm_top_layout_choice(const char *const *lines, unsigned n, unsigned chosen,
			   struct lmm_top_screen *s);

/* Fills all cells. Smaller than 40 × 8 it only says that there is no room. */
void lmm_top_layout(const struct lmm_top *t, const struct lmm_top_view *v,
		    struct lmm_top_screen *s);

/* ---- drawing (draw.c) --------------------------------------------------------------------------- */

struct lmm_top_terminal;

/* On /dev/tty. 0; -ENOTTY: there is none; -EINVAL: its kind is not known ($TERM); -ENOSYS: built without ncursesw. */
int lmm_top_terminal_open(struct lmm_top_terminal **out);
/* What such an error means, in words. */
const char *lmm_top_terminal_why(int rc);
void lmm_top_terminal_close(struct lmm_top_terminal *x); /* puts the screen back; accepts NULL */

/* Lays out and shows. */
void lmm_top_draw(struct lmm_top_terminal *x, const struct lmm_top *t,
		  const struct lmm_top_view *v);

enum lmm_top_key { LMM_TOP_NOTHING = 0, LMM_TOP_REDRAW, LMM_TOP_OTHERS, LMM_TOP_QUIT };

/* Shows lines and waits for one to be chosen: its number, or -1: none, leave; -EAGAIN: a second went by, lines may be new. */
int lmm_top_choose(struct lmm_top_terminal *x, const char *const *lines, unsigned n,
		   unsigned *chosen);

/* Waits up to ms for a key and does to *v what it stands for; the window's new size is a REDRAW too. */
enum lmm_top_key lmm_top_key(struct lmm_top_terminal *x, int ms, struct lmm_top_view *v);

#endif
