/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/analysis.h"

#include <errno.h>
#include <stdint.h>

/* The number of the newest checkpoint among the file's items, 0: there is none. */
static int checkpoint_find(struct lmm_trace *tr, uint64_t *newest)
{
	const struct lmm_item *item;
	uint64_t n = 0;
	int rc;

	*newest = 0;
	while ((rc = lmm_trace_next(tr, &item)) > 0) {
		n++;
		if (item->kind == LMM_ITEM_CHECKPOINT)
			*newest = n;
	}
	return rc ? rc : lmm_trace_rewind(tr);
}

static int items_take(struct lmm_trace *tr, struct lmm_analysis *a, uint64_t from, int is_recompute)
{
	const struct lmm_item *item;
	uint64_t n = 0;
	int rc;

	while ((rc = lmm_trace_next(tr, &item)) > 0) {
		if (++n < from || (is_recompute && item->kind == LMM_ITEM_CHECKPOINT))
			continue;
		rc = lmm_analysis_item(a, item);
		if (rc)
			return rc;
	}
	return rc;
}

static int trace_analyze(struct lmm_trace *tr, const struct lmm_analysis_file_opts *opts,
			 struct lmm_result **result, enum lmm_trace_state *state)
{
	struct lmm_analysis *a = lmm_analysis_create();
	int is_recompute = opts && opts->recompute;
	uint64_t from = 0;
	int rc = a ? 0 : -ENOMEM;

	if (rc == 0 && !is_recompute)
		rc = checkpoint_find(tr, &from);
	if (rc == 0)
		rc = items_take(tr, a, from, is_recompute);
	if (rc == 0) {
		if (state)
			*state = lmm_trace_state(tr, NULL);
		*result = lmm_analysis_result(a);
		rc = *result ? 0 : -ENOMEM;
	}
	lmm_analysis_destroy(a);
	return rc;
}

int lmm_analysis_file(const char *path, const struct lmm_analysis_file_opts *opts,
		      struct lmm_result **result, enum lmm_trace_state *state)
{
	struct lmm_trace *tr;
	int rc = lmm_trace_open(path, &tr);

	*result = NULL;
	if (rc)
		return rc;
	rc = trace_analyze(tr, opts, result, state);
	lmm_trace_close(tr);
	return rc;
}
