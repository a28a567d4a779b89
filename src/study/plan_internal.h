/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that read a plan. */
#ifndef LMM_STUDY_PLAN_INTERNAL_H
#define LMM_STUDY_PLAN_INTERNAL_H

#include <stddef.h>

#include "study/plan.h"

/* Where variables come from, and which were used. */
struct lmm_plan_variables {
	const char *given;  /* lines; NULL: the environment */
	char *used;	    /* lines; NULL: none */
	const char *folder; /* what ${PLAN_DIR} is */
};

/*
 * "${NAME}" and "${NAME:-default}" become the environment's value, "~/" at the begin (of a default, too) the home folder. The
 * caller frees it. NULL: no memory (why is ""), or a variable is not set.
 */
char *lmm__plan_variables(struct lmm_plan_variables *v, const char *text, char *why,
			  size_t why_bytes);

/* While a plan is read: where complaints go, and whether there were any. */
struct lmm_plan_reading {
	struct lmm_plan *plan;
	struct lmm_plan_variables variables;
	lmm_plan_complain_fn *complain;
	void *ctx;
	int n_complaints;
	int command_line;
	int line_of[4]; /* of the tables run, quantize, quality, score; 0: not there */
};

enum { LMM_PLAN_RUN, LMM_PLAN_QUANTIZE, LMM_PLAN_QUALITY, LMM_PLAN_SCORE };

void lmm__plan_complain(struct lmm_plan_reading *r, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What the parts say together: holes without factors, factors without effect, values out of range. */
void lmm__plan_check(struct lmm_plan_reading *r);

#endif
