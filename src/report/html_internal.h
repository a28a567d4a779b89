/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the HTML report share. Every string that comes from a trace goes through lmm__html_text(). */
#ifndef LMM_REPORT_HTML_INTERNAL_H
#define LMM_REPORT_HTML_INTERNAL_H

#include <stdio.h>

#include "report/format.h"
#include "report/html_parts.h"
#include "report/tokens.h"

struct lmm_html {
	const struct lmm_result *r;
	const struct lmm_tokens *tokens;
	FILE *out;
};

/* A line of a list of names and values; the value is text. */
void lmm__html_pair(FILE *out, const char *name, const char *value);

/* 100 * part / whole, 0 where there is no whole. */
double lmm__html_percent(double part, double whole);

/* html_summary.c: what, findings, key figures, tokens, requests */
void lmm__html_head(const struct lmm_html *h);
void lmm__html_findings(const struct lmm_html *h);
void lmm__html_figures(const struct lmm_html *h);
void lmm__html_tokens(const struct lmm_html *h);

/* html_phases.c: by phase, by layer, and by what the program itself named */
void lmm__html_phases(const struct lmm_html *h);
void lmm__html_layers(const struct lmm_html *h);
void lmm__html_spans(const struct lmm_html *h);

/* html_kernels.c */
void lmm__html_kernels(const struct lmm_html *h);
void lmm__html_device(const struct lmm_html *h);

/* html_recording.c: cost, losses, what sensors said, machine, engine, model */
void lmm__html_recording(const struct lmm_html *h);
void lmm__html_state(const struct lmm_html *h);
void lmm__html_machine(const struct lmm_html *h);

#endif
