/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces for the viewers and tables of others, and a page (docs/export.md).
 * The trace is read as often as needed and written as it is read: memory does not grow with its length.
 */
#ifndef LMM_REPORT_EXPORT_H
#define LMM_REPORT_EXPORT_H

#include <stdio.h>

#include "analyze/result.h"
#include "lmmeter/trace.h"

/*
 * Tracks, on none of which slices overlap; the same ones in both. r is the result of the same trace: it knows the requests. 0, -ENOMEM,
 * the reader's error, or, with ferror(out) set, why writing failed; a trace that was cut is no error.
 */
int lmm_export_perfetto(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);
int lmm_export_chrome(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);

/* Stacks (stacks.h), added up as flame graphs want them, or one after the other per thread and queue. Likewise. */
int lmm_export_folded(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);
int lmm_export_speedscope(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);

/* RFC 4180, a row for each step (docs/export.md). Likewise. */
int lmm_export_steps(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);

/* A page for people, complete in itself (docs/html.md). Likewise. */
int lmm_export_html(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);

#endif
