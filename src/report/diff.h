/* SPDX-License-Identifier: Apache-2.0 */
/* What a comparison looks like outside. Everything writes to a stream that the caller opened and checks. */
#ifndef LMM_REPORT_DIFF_H
#define LMM_REPORT_DIFF_H

#include <stdio.h>

#include "analyze/diff.h"

struct lmm_diff_report {
	const struct lmm_diff *d;
	double limit_percent; /* of --fail-over; < 0: none was given */
};

/* For people, at most 100 columns wide. */
void lmm_report_diff_text(const struct lmm_diff_report *r, FILE *out);

/* For a pull request: GitHub's Markdown. */
void lmm_report_diff_markdown(const struct lmm_diff_report *r, FILE *out);

/* One JSON document, schema "lmmeter.diff/1" (docs/json.md), and a newline. */
void lmm_report_diff_json(const struct lmm_diff_report *r, FILE *out);

/* How many items are beyond the limit. */
size_t lmm_diff_beyond(const struct lmm_diff_report *r);

#endif
