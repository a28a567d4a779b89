/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a study's page share. */
#ifndef LMM_STUDY_STUDY_HTML_H
#define LMM_STUDY_STUDY_HTML_H

#include <stdio.h>

#include "study/study_findings.h"

/* A rectangle of an SVG, in its units; class_name is of page.css: "attributed", "host", "idle". */
void lmm__study_rect(FILE *out, const char *class_name, double x, double y, double width,
		     double height);

/* A line of text; anchor is SVG's: "start", "middle", "end". */
void lmm__study_text(FILE *out, double x, double y, const char *anchor, const char *text);

/* Sections with curves, one for each factor of at least three numbers. */
void lmm__study_growth_put(const struct lmm_study_findings *f, FILE *out);

#endif
