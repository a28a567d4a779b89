/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a session things were, and what ran then: part of struct lmm_result, kept for findings (findings.h), of which each names
 * a time to look at. Bounded whatever the session's length.
 */
#ifndef LMM_ANALYZE_RESULT_EVIDENCE_H
#define LMM_ANALYZE_RESULT_EVIDENCE_H

#include <stddef.h>
#include <stdint.h>

#include "lmmeter/trace.h"

/* From the session's start; both 0: there is none. */
struct lmm_result_span {
	uint64_t start_ns, end_ns;
};

/* Why a device had nothing to do. */
enum lmm_gap_cause {
	LMM_GAP_HOST = 0, /* the host handed the next command over late */
	LMM_GAP_READBACK, /* the host was reading results back, sampling, and beginning the next step */
	LMM_GAP_DRIVER,	   /* handed over in time: the driver or the device had not begun yet */
	LMM_GAP_FIRST_USE, /* the next command's kernel was made ready for its first run */
	LMM_GAP_UNKNOWN,
	LMM_GAP_CAUSES
};

/* Devices' gaps in front of commands of one phase, with one cause. */
struct lmm_result_idle {
	uint64_t count;
	double total_ns;
	struct lmm_result_span longest;
};

struct lmm_result_place {
	struct lmm_result_span all;	  /* from its first begin to its last end */
	struct lmm_result_span longest;	  /* occurrence, as the host brackets it */
	struct lmm_result_span first_use; /* drivers made things ready in it */
};

/* What explains a token that took long, the first that does. */
enum lmm_token_cause {
	LMM_TOKEN_UNKNOWN = 0, /* nothing that was recorded explains it */
	LMM_TOKEN_OTHERS,      /* other requests' work came between, or a prompt in the same pass */
	LMM_TOKEN_FIRST_USE,   /* a device's driver made something ready */
	LMM_TOKEN_LOST_CORE,   /* a thread was ready to run and had no core */
	LMM_TOKEN_PAGE_FAULTS,
	LMM_TOKEN_FREQUENCY, /* the clock was lower than on the mean */
	LMM_TOKEN_THROTTLED,
	LMM_TOKEN_CAUSES
};

/* Rounds of sensors are 100 ms long: what they say is of all that lies in the rounds that the token touches. */
struct lmm_result_slow_token {
	struct lmm_result_span span; /* from the token before */
	double usual_ns;	     /* median of the tokens before it */
	uint8_t phase;		     /* the one that was longer than it mostly is by the most */
	uint8_t cause;		     /* enum lmm_token_cause */
	uint8_t has_process;	     /* how the process fared is known: run_wait_ns and faults */
	uint8_t throttled;
	double run_wait_ns; /* of the thread that waited most */
	uint64_t major_faults, minor_faults;
	double frequency_percent; /* lowest, of the session's mean; < 0: not known */
};

#define LMM_RESULT_SLOW_TOKENS 8

/* Tokens against those just before in their request: where a token is seen at all, and one by one. */
struct lmm_result_token_times {
	uint64_t count;	   /* with enough before them to be judged */
	double total_ns;   /* of these */
	double changes_ns; /* Σ |token − median of those before|, of those that are not slow */
	uint64_t slow;	   /* more than LMM_SLOW_TOKEN_FACTOR times that median */
	double over_ns;	   /* what these took longer */
	struct lmm_result_span span;
	struct lmm_result_slow_token
		worst[LMM_RESULT_SLOW_TOKENS]; /* by excess, the largest first */
	uint8_t n_worst;
};

#define LMM_SLOW_TOKEN_FACTOR 3

/* What a process did up to its first token, warm-ups as well; without the time in which nothing known happened. */
struct lmm_result_first_token {
	struct lmm_result_span span; /* from its first phase; 0, 0: no token was chosen */
	double phases_ns[LMM_PHASE_COUNT];
	double first_use_ns; /* part of them */
};

/* Decode passes go to eight turns in rotation: what is slow in each of them is slow all the time. */
#define LMM_LAYER_TURNS 8

struct lmm_result_layer_turns {
	int32_t layer;
	uint64_t bytes; /* moved by its operators, all phases */
	double turns_ns[LMM_LAYER_TURNS];
};

struct lmm_result_evidence {
	struct lmm_result_place phases[LMM_PHASE_COUNT];
	struct lmm_result_idle idle[LMM_PHASE_COUNT][LMM_GAP_CAUSES];
	struct lmm_result_token_times tokens;
	struct lmm_result_first_token first_token; /* of the first process that chose one */
	/* longest stretches of rounds: something was throttled; threads waited for a core for a tenth of the time or more */
	struct lmm_result_span throttled, waiting;
	struct lmm_result_layer_turns *layers; /* by layer, without -1; those that ran in decode */
	size_t n_layers;
};

#endif
