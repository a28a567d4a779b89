/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file into an analysis, whole or as it grows. */
#ifndef LMM_ANALYZE_FILE_H
#define LMM_ANALYZE_FILE_H

#include "analyze/analysis.h"

/*
 * Loads the newest checkpoint and leaves the reader behind it. 1: done. 0: there is none that this build can read, and the
 * reader is at the first item.
 */
int lmm__checkpoint_load(struct lmm_trace *tr, struct lmm_analysis *a);

/* All items from here to where the file ends for now; checkpoints say nothing new. 0 or a negative error. */
int lmm__items_take(struct lmm_trace *tr, struct lmm_analysis *a);

#endif
