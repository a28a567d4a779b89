/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces for the viewers of others. Both formats show the same tracks, on none of which slices overlap (docs/export.md).
 * The trace is read as often as needed and written as it is read: memory does not grow with its length.
 */
#ifndef LMM_REPORT_EXPORT_H
#define LMM_REPORT_EXPORT_H

#include <stdio.h>

#include "analyze/result.h"
#include "lmmeter/trace.h"

/*
 * r is the result of the same trace: it knows the requests. 0, -ENOMEM, the reader's error, or, with ferror(out) set,
 * why writing failed; a trace that was cut is no error.
 */
int lmm_export_perfetto(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);
int lmm_export_chrome(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);

#endif
