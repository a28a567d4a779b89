/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_ANALYZE_DIFF_INTERNAL_H
#define LMM_ANALYZE_DIFF_INTERNAL_H

#include "analyze/diff.h"

/* Fills warnings. 0 or -1: no memory. */
int lmm__diff_warn(struct lmm_diff *d, struct lmm_diff_run *const *runs);

#endif
