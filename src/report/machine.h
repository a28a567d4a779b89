/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_REPORT_MACHINE_H
#define LMM_REPORT_MACHINE_H

#include "analyze/result.h"

struct lmm_machine_words {
	const struct lmm_result *r;
	/* A label ("CPU clock", "heat", "power", …) and a sentence about it; names in it are as the trace has them. */
	void (*say)(void *ctx, const char *label, const char *sentence);
	void *ctx;
};

/* What sensors said about the machine; nothing if there were none. */
void lmm_machine_say(const struct lmm_machine_words *w);

#endif
