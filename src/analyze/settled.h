/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a session is certain while it goes on: only what can grow, for those who keep counters. What may still be taken back is left
 * out: requests that are open, and contexts that may turn out to be warm-up.
 */
#ifndef LMM_ANALYZE_SETTLED_H
#define LMM_ANALYZE_SETTLED_H

#include "analyze/analysis.h"
#include "analyze/histogram.h"

struct lmm_settled {
	struct lmm_result *result;
	uint64_t output_tokens; /* of open requests too */
	/* one value for each request that has ended, in ticks */
	struct lmm_hist ttft, tpot, duration;
	double ns_per_tick;
};

/*
 * is_over: nothing more will come; then the result is that of lmm_analysis_result(), and open requests count as it has them. 0 or
 * -ENOMEM. The caller calls lmm_settled_free(), also after an error.
 */
int lmm_analysis_settled(const struct lmm_analysis *a, int is_over, struct lmm_settled *out);
void lmm_settled_free(struct lmm_settled *s);

#endif
