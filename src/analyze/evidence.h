/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things were and what ran then, so that a finding can name a time to look at: places of phases and gaps (evidence.c), what the
 * machine said lately (moments.c), tokens that took long (slow_tokens.c). In ticks, bounded, part of the state.
 */
#ifndef LMM_ANALYZE_EVIDENCE_H
#define LMM_ANALYZE_EVIDENCE_H

#include <stdint.h>

#include "analyze/result_evidence.h"

struct builder;
struct lmm_analysis;
struct request;
struct sensors;
struct step;

struct tally {
	uint64_t ticks;
	uint64_t count;
};

struct span {
	uint64_t t0, t1;
};

/* ---- evidence.c --------------------------------------------------------------------------------- */

struct gap_place {
	uint64_t count, ticks;
	struct span longest;
};

struct places {
	struct span all[LMM_PHASE_COUNT], longest[LMM_PHASE_COUNT], first_use[LMM_PHASE_COUNT];
	struct gap_place gaps[LMM_PHASE_COUNT][LMM_GAP_CAUSES];
};

/* Up to a process's first token. */
struct lead {
	uint64_t begun; /* 0: not yet */
	uint64_t token; /* 0: none yet */
	uint64_t ticks[LMM_PHASE_COUNT];
	uint64_t first_use;
};

void lmm__span_extend(struct span *s, uint64_t t0, uint64_t t1);
void lmm__span_longest(struct span *s, uint64_t t0, uint64_t t1);
void lmm__place_phase(struct places *p, unsigned phase, uint64_t t0, uint64_t t1);
void lmm__place_gap(struct places *p, unsigned phase, unsigned cause, uint64_t t0, uint64_t t1);
void lmm__places_merge(struct places *into, const struct places *from);
/* A phase was a stream's innermost one from t0 to t. */
void lmm__lead_piece(struct lead *l, unsigned phase, uint64_t t0, uint64_t t);

/* ---- moments.c: the newest rounds of sensors ---------------------------------------------------- */

#define MOMENTS_KEPT 512 /* 51 s: by then the second stage has come to what happened in them */

/* From the round before to this one. */
struct moment {
	uint64_t t0, t1;
	uint64_t run_wait; /* ns */
	uint64_t major, minor;
	uint64_t hz; /* of the fastest CPU; 0: not known */
	uint8_t has_process, throttled;
};

/* Rounds in which something went on without a break. */
struct stretch {
	struct span now; /* or the last one */
	struct span longest;
};

struct moments {
	struct moment at[MOMENTS_KEPT];
	uint32_t n, next;
	/* sums as they were in the newest round */
	uint64_t run_wait, major, minor;
	uint8_t has_process;
	double hz_ticks; /* Σ hz × ticks */
	uint64_t hz_covered;
	struct stretch throttled, waiting;
};

/* A round has been taken; it closes the interval from t0 to t1. */
void lmm__moment_add(struct lmm_analysis *a, uint64_t t0, uint64_t t1, int throttled);
#define MOMENT_WAITING 10 /* one part in so many of a round */

/* ---- slow_tokens.c ------------------------------------------------------------------------------ */

#define RECENT_KEPT 15

struct recent {
	uint64_t at[RECENT_KEPT];
	uint32_t n, next;
};

struct slow_token {
	uint64_t t0, t1, usual;
	uint64_t told; /* rounds up to here are in what follows */
	uint64_t run_wait, major, minor, hz;
	uint8_t phase, cause, has_process, throttled;
};

struct token_watch {
	uint64_t count, ticks, changes, slow, over;
	struct span span;
	struct slow_token worst[LMM_RESULT_SLOW_TOKENS]; /* by excess, the largest first */
	uint32_t n_worst;
};

/* A token of the request was chosen at t, and there was one before it. */
void lmm__token_watch(struct lmm_analysis *a, struct request *r, const struct step *st, uint64_t t);
/* What a round says of the slow tokens that lie in it. */
void lmm__slow_tokens_tell(struct token_watch *w, const struct moment *m);

/* ---- evidence_result.c -------------------------------------------------------------------------- */

/* Behind the layers and the sensors. 0 or -ENOMEM. */
int lmm__evidence_build(struct builder *b);

#endif
