/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cells of a study say together: means, comparisons, what variants are worth, conclusions. A pure function of the study:
 * the same folder gives the same output, byte for byte.
 */
#ifndef LMM_STUDY_STUDY_FINDINGS_H
#define LMM_STUDY_STUDY_FINDINGS_H

#include <stdio.h>

#include "study/contrast.h"
#include "study/score.h"
#include "study/study.h"

#define LMM_STUDY_COMPARED 5u

/* Figures that are compared: TTFT, TPOT, whole request, memory, energy. */
extern const uint8_t lmm_study_compared[LMM_STUDY_COMPARED];

/* Geometric mean over blocks, 95 % interval; NaN: not known. n: blocks. */
struct lmm_mean {
	double value, low, high;
	uint32_t n;
};

/* One level of a factor against its base, by one figure. */
struct lmm_study_contrast {
	uint32_t factor, level, base;
	uint8_t figure;
	int32_t condition; /* -1: over all others; else under these levels of the others (and level) */
	uint32_t pairs;	   /* of conditions that it is a mean over */
	struct lmm_contrast_estimate e;
};

enum lmm_confidence {
	LMM_SURE,   /* stands over the whole table of comparisons */
	LMM_LIKELY, /* by its own 95 % interval */
	LMM_REMARK, /* what is to be kept in mind */
};

/* A sentence that holds. Strings are its own. */
struct lmm_conclusion {
	const char *id;	    /* of its rule */
	const char *rule;   /* when it is said, threshold and all */
	uint8_t confidence; /* enum lmm_confidence */
	double value, threshold;
	char text[512];
	char evidence[512];
};

/* What is known of one level of model or quantization, over all other factors. */
struct lmm_study_worth {
	struct lmm_dear quality, ttft, tpot, memory,
		energy; /* quality: perplexity, as a ratio to the reference's */
	struct lmm_score score;
	int32_t dominated_by; /* variant; -1: it is on the frontier */
};

struct lmm_study_findings {
	const struct lmm_study *s;
	struct lmm_mean *means; /* [condition][figure] */
	struct lmm_study_contrast *contrasts;
	uint32_t n_contrasts, n_main;
	struct lmm_study_worth *worths; /* [variant]; NULL: there are none */
	int32_t reference;		/* variant; -1 */
	struct lmm_conclusion *conclusions;
	uint32_t n_conclusions, conclusions_cap;
	uint32_t n_ok, n_holes, n_missing;
};

/* NULL: no memory. The study must outlive it. */
struct lmm_study_findings *lmm_study_findings_make(const struct lmm_study *s);
void lmm_study_findings_destroy(struct lmm_study_findings *f); /* accepts NULL */

const struct lmm_mean *lmm_study_mean(const struct lmm_study_findings *f, uint32_t condition,
				      unsigned figure);

/* The level that others of the factor are compared with. */
uint32_t lmm_study_base(const struct lmm_study *s, uint32_t factor);

/* The condition with another level of one factor. */
uint32_t lmm_study_with_level(const struct lmm_plan *p, uint32_t condition, uint32_t factor,
			      uint32_t level);

/*
 * A value of each cell that is ok, over the blocks of a condition: mean and half its 95 % interval. value() returns NaN where there
 * is none. n: of how many.
 */
typedef double lmm_cell_value_fn(const struct lmm_cell *c);
uint32_t lmm_study_cell_mean(const struct lmm_study *s, uint32_t condition,
			     lmm_cell_value_fn *value, double *mean, double *half);

/* Share of a phase in all phases of requests, percent; of matrix products in all operators. */
double lmm_cell_prefill_percent(const struct lmm_cell *c);
double lmm_cell_decode_percent(const struct lmm_cell *c);
double lmm_cell_matmul_percent(const struct lmm_cell *c);
/* The last tenth of the tokens against the first, percent longer. */
double lmm_cell_drift_percent(const struct lmm_cell *c);

/* What decoding under one condition was made of, all blocks together. Shares in percent, NaN: not known. */
struct lmm_study_decode {
	double role_percent[LMM_ROLE_COUNT];
	struct {
		const char *name;     /* of a type of weights; of a cell, "" is none */
		double gb_per_second; /* its products read */
		double share_percent; /* of the operators that cells keep */
	} types[8];		      /* the one that takes most first */
	uint32_t n_types;
};

void lmm_study_decode(const struct lmm_study *s, uint32_t condition, struct lmm_study_decode *d);

/* Fills f->conclusions; 0 or -ENOMEM. */
int lmm_study_conclude(struct lmm_study_findings *f);
const char *lmm_confidence_name(unsigned confidence);

/* ---- printing ---- */
void lmm_study_text(const struct lmm_study_findings *f, FILE *out);
void lmm_study_json(const struct lmm_study_findings *f, FILE *out);
void lmm_study_csv(const struct lmm_study_findings *f, FILE *out);
void lmm_study_html(const struct lmm_study_findings *f, FILE *out);
void lmm_study_paper(const struct lmm_study_findings *f, FILE *out);

#define LMM_STUDY_PLOT_NAME 96
/*
 * The page's plots, each as an SVG that stands alone, by number from 0 on: 1 drawn, with name: of a file, without its extension;
 * 0: nothing is known for this one; -1: there are no more.
 */
int lmm_study_plot(const struct lmm_study_findings *f, unsigned number,
		   char name[LMM_STUDY_PLOT_NAME], FILE *out);

#endif
