/* SPDX-License-Identifier: Apache-2.0 */
/* Words that the text and the Markdown of a comparison share. Names are made harmless. */
#ifndef LMM_REPORT_DIFF_WORDS_H
#define LMM_REPORT_DIFF_WORDS_H

#include "analyze/diff.h"
#include "report/format.h"

#define LMM_DIFF_NAME_MAX 256

/* "ffn_out", "layer 3", "role mlp", "phase sampling", "whole step", "TTFT"; at most `columns` wide. */
void lmm__diff_name(const struct lmm_diff_item *i, int columns, char out[LMM_DIFF_NAME_MAX]);

/* "+1.23 %". */
struct lmm_human lmm__diff_signed(double percent);
/* "+1.2 to +3.4 %", "-" if it is not known. */
struct lmm_human lmm__diff_interval(const struct lmm_diff_item *i);
/* "per decode step", "per prompt token". Static. */
const char *lmm__diff_unit(unsigned class_at);

const struct lmm_diff_item *lmm__diff_step_item(const struct lmm_diff *d, unsigned class_at);
/* No unchanged item hides more of its step than this; < 0: none was judged. */
double lmm__diff_hidden_percent(const struct lmm_diff *d);

#endif
