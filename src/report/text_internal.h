/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the text report share. */
#ifndef LMM_REPORT_TEXT_INTERNAL_H
#define LMM_REPORT_TEXT_INTERNAL_H

#include "base/compiler.h"
#include "report/format.h"
#include "report/report.h"

#define LMM_TEXT_WIDTH 100

enum lmm_style {
	LMM_STYLE_HEAD,
	LMM_STYLE_BAR,
	LMM_STYLE_DIM,
	LMM_STYLE_WARN,
};

struct lmm_text {
	const struct lmm_result *r;
	const struct lmm_text_opts *opts;
	FILE *out;
};

void lmm__text_style_on(const struct lmm_text *t, enum lmm_style style);
void lmm__text_style_off(const struct lmm_text *t);

/* An empty line and a heading; the rest of the line is the caller's. */
void lmm__text_head(const struct lmm_text *t, const char *title, int columns);

/* text in exactly `columns` columns, made harmless. */
void lmm__text_cell(const struct lmm_text *t, const char *text, int columns);

/* label, then the words of a paragraph, wrapped at LMM_TEXT_WIDTH, all lines from column `indent` on. */
LMM_PRINTF(4, 5)
void lmm__text_wrap(const struct lmm_text *t, const char *label, int indent, const char *format,
		    ...);

void lmm__text_bar(const struct lmm_text *t, double fraction, int columns);

/* "  name   count total mean p50 p95 p99 max"; show_total 0 leaves that column empty. */
void lmm__text_stats_head(const struct lmm_text *t, const char *title, int show_total);
void lmm__text_stats(const struct lmm_text *t, const char *name, const struct lmm_stats *s,
		     int show_total);

/* findings.c */
void lmm__text_findings(const struct lmm_text *t);

/* text_tables.c */
void lmm__text_layers(const struct lmm_text *t);
void lmm__text_device(const struct lmm_text *t);
void lmm__text_kernels(const struct lmm_text *t);
void lmm__text_requests(const struct lmm_text *t);
void lmm__text_steps(const struct lmm_text *t);
void lmm__text_threads(const struct lmm_text *t);
void lmm__text_spans(const struct lmm_text *t);

#endif
