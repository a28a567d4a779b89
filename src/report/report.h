/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a result or a trace looks like outside: text for people, JSON and CSV for programs, and traces for the viewers of
 * others. Everything here writes to a stream that the caller opened and checks; nothing prints elsewhere.
 */
#ifndef LMM_REPORT_REPORT_H
#define LMM_REPORT_REPORT_H

#include <stdio.h>

#include "analyze/result.h"

struct lmm_text_opts {
	int bars;     /* 1: draw bars and strips (a terminal) */
	int color;    /* 1: SGR colours (a terminal without NO_COLOR) */
	int utf8;     /* 1: block characters may be used for bars, else # */
	int requests; /* 1: one line per request */
	int steps;    /* 1: step time against context length */
	int layers;   /* 1: every layer, not only a summary */
	int kernels;  /* 1: every kernel, not only the ten longest */
};

/* bars, color and utf8 as fd and the environment (NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG) allow. */
void lmm_text_opts_detect(struct lmm_text_opts *opts, int fd);

/* For people, at most 100 columns wide. Write errors stay in out's error flag. */
void lmm_report_text(const struct lmm_result *r, const struct lmm_text_opts *opts, FILE *out);

/* Phases and kernels in the form of LM-Meter's tables, beside its values (docs/paper.md). Likewise. */
void lmm_report_paper(const struct lmm_result *r, FILE *out);

/* One JSON document, schema "lmmeter.report/1" (docs/json.md), and a newline. */
void lmm_report_json(const struct lmm_result *r, FILE *out);

/*
 * phases.csv, requests.csv, steps.csv, layers.csv, kernels.csv and spans.csv in the folder path, which is made if it is not there. Existing
 * files are overwritten only with force, and without it none is written when any exists. 0 or a negative errno, then
 * *failed (may be NULL) points to the name of the file or "" for the folder; static.
 */
int lmm_report_csv(const struct lmm_result *r, const char *path, int force, const char **failed);

#endif
