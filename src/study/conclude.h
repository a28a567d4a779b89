/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that draw conclusions. */
#ifndef LMM_STUDY_CONCLUDE_H
#define LMM_STUDY_CONCLUDE_H

#include "study/study_findings.h"

/* NULL: no memory. */
struct lmm_conclusion *lmm__conclusion_add(struct lmm_study_findings *f, const char *id,
					   const char *rule, unsigned confidence);

const char *lmm__level_name(const struct lmm_plan *p, uint32_t factor, uint32_t level);

/* Those on variants: quality, bytes against time, score, frontier. 0 or -ENOMEM. */
int lmm__conclude_models(struct lmm_study_findings *f);

#endif
