/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of lmm_diff_create(), on numbers alone. docs/diff.md explains it. For the diff's files and tests only. */
#ifndef LMM_ANALYZE_DIFF_STATS_H
#define LMM_ANALYZE_DIFF_STATS_H

#include <stddef.h>
#include <stdint.h>

#define LMM_DIFF_BLOCKS 32
#define LMM_DIFF_DRAWS	2000

/* One item in one run. */
struct lmm_diff_cell {
	double mean;			/* of undisturbed steps (clipped); 0: not there */
	uint32_t n_blocks;		/* 0: too few steps to tell how they scatter */
	double blocks[LMM_DIFF_BLOCKS]; /* means of consecutive steps */
};

/* values: n of them, in order of time. */
void lmm_diff_cell_fill(struct lmm_diff_cell *cell, const double *values, uint32_t n);

enum lmm_diff_kind {
	LMM_DIFF_RAW,	  /* compared as it is */
	LMM_DIFF_DIVIDED, /* the common factor is divided out */
	LMM_DIFF_LEAF,	  /* the same, and it helps to find that factor */
};

/* Logarithms throughout. */
struct lmm_diff_estimate {
	double change, low, high;
	double p; /* two-sided; 1 if is_judged is 0 */
	uint8_t is_judged;
};

/*
 * cells[item * n_runs + run], runs before first; every mean is above 0. common gets the change of the common factor
 * (is_judged 0: too few leaves for one). 0 or -ENOMEM.
 */
int lmm_diff_estimate(const struct lmm_diff_cell *cells, const uint8_t *kinds, uint32_t n_items,
		      uint32_t n_before, uint32_t n_after, struct lmm_diff_estimate *out,
		      struct lmm_diff_estimate *common);

/* Two-sided tail of Student's t. */
double lmm_diff_student_p(double t, double freedom);

/* Holm's step-down: passes[i] is 1 where p[i] stands at a family-wise error of alpha. 0 or -ENOMEM. */
int lmm_diff_holm(const double *p, uint32_t n, double alpha, uint8_t *passes);

/* The prior that variances are drawn towards: their usual size beside expected[i], and for how many observations it stands. */
struct lmm_diff_prior {
	double scale;
	double freedom;
};

void lmm_diff_prior_fit(const double *variances, const double *expected, uint32_t n, double freedom,
			struct lmm_diff_prior *prior);

#endif
