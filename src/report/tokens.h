/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time before every token, request by request, as points to draw. Where there are more tokens than points, `stride`
 * tokens in a row are shown by two of them, the fastest and the slowest: no outlier is lost.
 */
#ifndef LMM_REPORT_TOKENS_H
#define LMM_REPORT_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/result.h"
#include "lmmeter/trace.h"

struct lmm_token_point {
	uint64_t t_ns; /* when it was chosen, from the session's start */
	uint64_t
		token; /* 1: the second of its request, the first that has an inter-token latency */
	uint64_t itl_ns;
};

struct lmm_token_series {
	const struct lmm_result_request *request;
	struct lmm_token_point *points; /* in order of tokens */
	size_t n;
};

struct lmm_tokens {
	struct lmm_token_series *series; /* as r->requests */
	size_t n;
	uint64_t stride;
	uint64_t count; /* tokens that the points stand for */
};

/*
 * Reads tr from its beginning, twice; r is its result and must outlive *out. Memory: about points_max points and two for
 * each request. 0, -ENOMEM or the reader's error.
 */
int lmm_tokens_read(struct lmm_trace *tr, const struct lmm_result *r, uint64_t points_max,
		    struct lmm_tokens **out);
void lmm_tokens_destroy(struct lmm_tokens *tokens); /* may be NULL */

#endif
