/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of one condition, as figures: what a study keeps of it, whether or not the recording is kept. A JSON file per cell,
 * schema lmmeter.cell/1 (docs/study.md).
 */
#ifndef LMM_STUDY_CELL_H
#define LMM_STUDY_CELL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "analyze/result_evidence.h"
#include "lmmeter/trace.h"

#define LMM_CELL_SCHEMA	     "lmmeter.cell/1"
#define LMM_CELL_KERNELS_MAX 48u
#define LMM_CELL_WINDOWS     10u
#define LMM_CELL_SPIKES_MAX  8u

/* In the order of lmm_figures[]. Not known: NaN. */
enum lmm_figure {
	LMM_FIG_TTFT,	      /* ns, mean over requests */
	LMM_FIG_TPOT,	      /* ns, likewise */
	LMM_FIG_ITL_P50,      /* ns */
	LMM_FIG_ITL_P99,      /* ns */
	LMM_FIG_REQUEST,      /* ns, mean wall of a request */
	LMM_FIG_PROCESS,      /* ns, of the whole command */
	LMM_FIG_LOAD,	      /* ns, of the model */
	LMM_FIG_PREFILL_STEP, /* ns, of passes over the prompt, per prompt token */
	LMM_FIG_DECODE_STEP,  /* ns, median pass of a decoded token */
	LMM_FIG_PROMPT_TOKENS,
	LMM_FIG_OUTPUT_TOKENS,
	LMM_FIG_REQUESTS,
	LMM_FIG_MEMORY,	      /* bytes, the largest resident set of any of its processes */
	LMM_FIG_MODEL,	      /* bytes, as the engine says */
	LMM_FIG_TOKEN_ENERGY, /* uJ per output token; NaN: nothing tells energy */
	LMM_FIG_FREQUENCY,    /* Hz, mean over CPUs and time */
	LMM_FIG_TEMPERATURE,  /* celsius, the highest of all sensors */
	LMM_FIG_THROTTLED,    /* ns */
	LMM_FIG_WAITED,	      /* percent of the time in which the process waited for a core */
	LMM_FIG_OWN,	      /* percent, lmmeter's own cost by arithmetic */
	LMM_FIG_LOST,	      /* records */
	LMM_FIG_IDLE,	      /* percent of a device's span in which it was idle; NaN: no device */
	LMM_FIG_REFUSALS,     /* calls for which the context had no room */
	LMM_FIG_SHIFTS,	      /* how often a context was full and made room */
	LMM_FIG_SHIFT, /* ns by which the token behind that took longer, mean; NaN: there was none */
	LMM_FIG_TOKEN_BYTES, /* weights read per decoded token */
	LMM_FIG_MBU,	     /* percent of the measured peak of reading; NaN: no peaks */
	LMM_FIGURES
};

struct lmm_figure_about {
	const char *key, *label, *unit; /* unit: "ns", "bytes", "" … */
	unsigned decimals;
	int8_t better; /* -1: less is better, 1: more is; 0: neither */
};

extern const struct lmm_figure_about lmm_figures[LMM_FIGURES];

enum lmm_cell_status {
	LMM_CELL_MISSING, /* it was not run yet */
	LMM_CELL_OK,
	LMM_CELL_FAILED, /* the command could not be started, died, or ended with a status other than 0 */
	LMM_CELL_TIMEOUT,   /* it took longer than its budget */
	LMM_CELL_NO_ENGINE, /* no request was seen */
	LMM_CELL_REFUSED,   /* the machine would not take the condition: a governor, a quota */
	LMM_CELL_STATUSES
};

/* "ok", "failed", …; static. */
const char *lmm_cell_status_name(unsigned status);

struct lmm_cell_kernel {
	char name[64], op[32], weight_type[16];
	uint8_t phase, role;
	uint64_t count;
	double total_ns, bytes, weight_bytes, flops;
};

struct lmm_cell_spike {
	uint64_t token; /* 1: the second of its request */
	double itl_ns;
};

struct lmm_cell {
	uint32_t condition, block;
	uint32_t position; /* in the order of running, from 0 */
	uint8_t status;	   /* enum lmm_cell_status */
	uint8_t naps;	   /* times it was run again because the machine had been asleep */
	char reason[400];  /* why it is not ok; "" */
	uint64_t start_realtime_ns;
	char engine[96];
	uint8_t level; /* enum lmm_level */
	double figures[LMM_FIGURES];
	double phase_ns[LMM_PHASE_COUNT];  /* exclusive, all requests */
	double device_ns[LMM_PHASE_COUNT]; /* of device commands booked to it */
	double role_ns[2][LMM_ROLE_COUNT]; /* prefill, decode */
	double gap_ns[LMM_GAP_CAUSES];	   /* of devices, by what they waited for */
	struct lmm_cell_kernel kernels[LMM_CELL_KERNELS_MAX]; /* the longest */
	uint32_t n_kernels;
	double windows
		[LMM_CELL_WINDOWS]; /* mean ITL of each tenth of the tokens; 0: fewer than 20 */
	struct lmm_cell_spike
		spikes[LMM_CELL_SPIKES_MAX]; /* tokens of more than three times the median */
	uint32_t n_spikes;
	uint64_t spikes_total;
};

/* Zeroed, figures NaN. */
void lmm_cell_init(struct lmm_cell *c, uint32_t condition, uint32_t block);

struct lmm_result;
struct lmm_tokens;

/* Takes what a recording says; tokens may be NULL. status becomes OK, or NO_ENGINE. */
void lmm_cell_take(struct lmm_cell *c, const struct lmm_result *r, const struct lmm_tokens *tokens);

void lmm_cell_write(const struct lmm_cell *c, FILE *out);

/* 0, or -EPROTO: it is no cell. */
int lmm_cell_parse(struct lmm_cell *c, const char *text, size_t n);

#endif
