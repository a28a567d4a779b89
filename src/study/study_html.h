/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a study's page share. */
#ifndef LMM_STUDY_STUDY_HTML_H
#define LMM_STUDY_STUDY_HTML_H

#include <stdio.h>

#include "study/study_findings.h"

/* Begins an SVG that can also stand alone; by: "" or along which factor. The end is "</svg>". */
void lmm__study_svg_begin(FILE *out, double width, double height, const char *title,
			  const char *by);

/* A rectangle of an SVG, in its units; class_name is of page.css: "attributed", "host", "idle". */
void lmm__study_rect(FILE *out, const char *class_name, double x, double y, double width,
		     double height);

/* A line of text; anchor is SVG's: "start", "middle", "end". */
void lmm__study_text(FILE *out, double x, double y, const char *anchor, const char *text);

/*
 * Plots by number, from 0 on: 1 drawn, with name: of a file, without its extension; 0: nothing is known for this one; -1: there are
 * no more.
 */
int lmm__study_growth_plot(const struct lmm_study_findings *f, unsigned number,
			   char name[LMM_STUDY_PLOT_NAME], FILE *out);

/* Sections with curves, one for each factor of at least three numbers. */
void lmm__study_growth_put(const struct lmm_study_findings *f, FILE *out);

#endif
