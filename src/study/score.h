/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a variant of a model is worth: our own harmonic score of quality kept and cost saved, and the Pareto frontier. Numbers
 * alone; docs/study.md defines them and says why they are ours and not the paper's.
 */
#ifndef LMM_STUDY_SCORE_H
#define LMM_STUDY_SCORE_H

#include <stddef.h>
#include <stdint.h>

enum lmm_score_part {
	LMM_SCORE_QUALITY,
	LMM_SCORE_TIME,
	LMM_SCORE_MEMORY,
	LMM_SCORE_ENERGY,
	LMM_SCORE_PARTS
};

/* A value that is dear (less is better: perplexity, ns, bytes, uJ), above 0, and its 95 % interval; NaN: not known. */
struct lmm_dear {
	double value, low, high;
};

/* In [0, 1]; NaN: not known. */
struct lmm_score {
	double parts[LMM_SCORE_PARTS];
	double value, low, high;
};

/*
 * quality = min(1, reference / own perplexity); time, memory, energy = 1 / (1 + own / reference). The score is their weighted
 * harmonic mean; parts of weight 0, and those not known, are left out of it; without quality there is none. low and high: all
 * values at the bad, at the good ends of their intervals.
 */
void lmm_score_make(const struct lmm_dear own[LMM_SCORE_PARTS],
		    const struct lmm_dear reference[LMM_SCORE_PARTS],
		    const double weights[LMM_SCORE_PARTS], struct lmm_score *out);

#define LMM_PARETO_DIMENSIONS_MAX 8u
#define LMM_PARETO_TOLERANCE	  0.01

/*
 * points[i * dimensions + k]. dominated_by[i] gets the point that is surely better in one dimension (its interval lies below) and
 * not worse by more than the tolerance, intervals and all, in every other that both know; -1: none. What is known in fewer than
 * two dimensions is left out: it neither dominates nor is dominated.
 */
void lmm_pareto(const struct lmm_dear *points, uint32_t n, uint32_t dimensions,
		int32_t *dominated_by);

#endif
