/* SPDX-License-Identifier: Apache-2.0 */
/* What a recording against the machine's peaks looks like outside. Everything writes to a stream that the caller opened and checks. */
#ifndef LMM_REPORT_ROOFLINE_H
#define LMM_REPORT_ROOFLINE_H

#include <stdio.h>

#include "analyze/roofline.h"

/* Threads of the engine: threads it used, 0 if that is not known; measured: those of the peaks that it was held against. */
struct lmm_roofline_threads {
	uint32_t threads, measured;
};

struct lmm_roofline_report {
	const struct lmm_result *r;
	const struct lmm_roofline *l;
	const struct lmm_roofline_peaks *peaks;
	struct lmm_roofline_threads decode, prefill;
	const char *threads_source; /* "option", "recording", "command_line", "unknown" */
	struct lmm_roof one_thread; /* the other end where threads are not known */
	uint64_t measured_realtime_ns;
	double spread_percent;
	int is_noisy;
	const char *const *warnings;
	size_t n_warnings;
	int all_kernels; /* text: every operator, not only the ten longest */
};

/* For people, at most 100 columns wide. */
void lmm_report_roofline_text(const struct lmm_roofline_report *x, FILE *out);

/* One JSON document, schema "lmmeter.roofline/1" (docs/json.md), and a newline. */
void lmm_report_roofline_json(const struct lmm_roofline_report *x, FILE *out);

#endif
