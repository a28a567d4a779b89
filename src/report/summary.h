/* SPDX-License-Identifier: Apache-2.0 */
/* What a result says in short, in whole sentences: for text and HTML alike. */
#ifndef LMM_REPORT_SUMMARY_H
#define LMM_REPORT_SUMMARY_H

#include <stddef.h>

#include "analyze/result.h"

#define LMM_SENTENCES_MAX 5

struct lmm_sentence {
	char s[256];
};

/* What took the time. Returns how many sentences: 0 where no request was seen. */
size_t lmm_say_summary(const struct lmm_result *r, struct lmm_sentence out[LMM_SENTENCES_MAX]);

/* Why not everything can be believed: 0 sentences where all is well. */
size_t lmm_say_trouble(const struct lmm_result *r, struct lmm_sentence out[LMM_SENTENCES_MAX]);

/* The first process that had an engine, or NULL. */
const struct lmm_result_process *lmm_first_engine(const struct lmm_result *r);

#endif
