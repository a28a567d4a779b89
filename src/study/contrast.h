/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons over blocks: on numbers alone. A contrast is one difference of logarithms per block; what a block has in common (a
 * slow hour of the machine) is gone from it. docs/study.md has the method.
 */
#ifndef LMM_STUDY_CONTRAST_H
#define LMM_STUDY_CONTRAST_H

#include <stdint.h>

#include "study/plan.h"

/* The whole table's chance of one false alarm and more: of effects over all other factors, and of effects under one condition. */
#define LMM_CONTRAST_ALPHA_MAIN	  0.005
#define LMM_CONTRAST_ALPHA_SIMPLE 0.001
/* Smaller changes are never called one. */
#define LMM_CONTRAST_TRIFLE 0.002

struct lmm_contrast_series {
	uint32_t
		group; /* series of one group scatter alike: they lend each other their variances */
	uint32_t n;    /* blocks */
	double d[LMM_PLAN_REPEATS_MAX];
	double expected; /* how its variance stands to that of others in the group: 1/k for a mean over k pairs */
	uint8_t family; /* enum below */
};

enum lmm_contrast_family { LMM_CONTRAST_MAIN, LMM_CONTRAST_SIMPLE, LMM_CONTRAST_FAMILIES };

/* Logarithms throughout. */
struct lmm_contrast_estimate {
	double change, low, high; /* 95 %, each for itself */
	double p;		  /* two-sided, not adjusted; 1 if it is not judged */
	double freedom;
	uint8_t is_judged;  /* two blocks and more */
	uint8_t is_changed; /* stands over the whole family, and is no trifle */
	double power_2; /* how likely a change of 2 % would have been called one, by the scatter that was seen */
	double least_80; /* the smallest change that would have been with 80 % */
};

/* 0 or -ENOMEM. */
int lmm_contrast_judge(const struct lmm_contrast_series *series, uint32_t n,
		       struct lmm_contrast_estimate *out);

/* How the variance of a contrast's mean is estimated: own_freedom observations of its own, prior_freedom lent. */
struct lmm_contrast_scatter {
	double error; /* true standard error of the mean */
	double own_freedom, prior_freedom;
};

/* How likely an effect is found at a two-sided error of alpha. */
double lmm_contrast_power(double effect, const struct lmm_contrast_scatter *s, double alpha);
/* The smallest effect that is found with this power. */
double lmm_contrast_least(double power, const struct lmm_contrast_scatter *s, double alpha);

/* t at which the two-sided tail is p. */
double lmm_student_quantile(double p, double freedom);

/* Mean of n values and half its 95 % interval (NaN below two). */
void lmm_mean_interval(const double *values, uint32_t n, double *mean, double *half);

#endif
