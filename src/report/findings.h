/* SPDX-License-Identifier: Apache-2.0 */
/* Findings in words, for text, JSON and HTML alike. */
#ifndef LMM_REPORT_FINDINGS_H
#define LMM_REPORT_FINDINGS_H

#include "analyze/findings.h"

/* Room for what is said below. */
#define LMM_FINDING_BYTES 400

/* What was found, as a sentence without its end. */
void lmm_finding_say(const struct lmm_finding *f, char *what, size_t bytes);
/* "12.3 % of the time, measured, at 1.2034 s for 112 ms": since the recording's start, as in an exported timeline. */
void lmm_finding_say_share(const struct lmm_finding *f, char *how, size_t bytes);
/* What to try. Static. */
const char *lmm_finding_advice(const struct lmm_finding *f);

#endif
