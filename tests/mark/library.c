/* SPDX-License-Identifier: Apache-2.0 */
/* Opened by the program when it has been running for a while. */
#include <lmmeter/mark.h>

__attribute__((visibility("default"))) void mark_library(void)
{
	struct lmm_mark_part part = { 20, 3, 1, 0 };

	LMM_MARK_SPAN_BEGIN("in the library");
	lmm_mark_request_begin(20);
	lmm_mark_step_begin(LMM_MARK_AUTO, &part, 1);
	lmm_mark_step_end();
	lmm_mark_token(20);
	lmm_mark_request_end(20);
	LMM_MARK_SPAN_END();
}
