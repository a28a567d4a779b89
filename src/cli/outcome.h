/* SPDX-License-Identifier: Apache-2.0 */
/* What is told at the end of a recording. */
#ifndef LMM_CLI_OUTCOME_H
#define LMM_CLI_OUTCOME_H

#include "cli/record.h"
#include "report/report.h"

struct lmm_outcome {
	const char *json; /* write the report to this file, too; NULL: do not */
	int quiet;	  /* print none */
	struct lmm_text_opts text;
};

/* What may follow --kernels (text.kernels is that option), and which times of kernels it asks for (enum lmm_kernel_times). */
extern const char *const lmm_kernels_choices[];
uint8_t lmm_outcome_kernel_times(const struct lmm_outcome *o);

/* The report on standard error, and the name of the file. */
void lmm_outcome_tell(const struct lmm_outcome *o, const struct lmm_result *result,
		      const struct lmm_record *record);

#endif
