/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/analysis.h"

#include <errno.h>
#include <stdint.h>

#include "analyze/file.h"
#include "trace/skim.h"

int lmm__checkpoint_load(struct lmm_trace *tr, struct lmm_analysis *a)
{
	const struct lmm_item *item;
	uint64_t next, newest = 0;
	int rc;

	lmm_trace_skim(tr, 1);
	(void)lmm_trace_state(tr, &next);
	while ((rc = lmm_trace_next(tr, &item)) > 0) {
		if (item->kind == LMM_ITEM_CHECKPOINT)
			newest = next;
		(void)lmm_trace_state(tr, &next);
	}
	if (rc == 0 && newest)
		rc = lmm_trace_seek(tr, newest);
	/* still skimming: events may stand between that offset and the checkpoint */
	if (rc == 0 && newest)
		rc = lmm_trace_next(tr, &item);
	lmm_trace_skim(tr, 0);
	if (rc > 0 && item->kind == LMM_ITEM_CHECKPOINT &&
	    lmm_analysis_load(a, item->checkpoint.data, item->checkpoint.size_bytes) == 0)
		return 1;
	return rc < 0 ? rc : lmm_trace_rewind(tr);
}

int lmm__items_take(struct lmm_trace *tr, struct lmm_analysis *a)
{
	const struct lmm_item *item;
	int rc;

	while ((rc = lmm_trace_next(tr, &item)) > 0) {
		/* what comes behind the newest one that could be read stands on its own */
		if (item->kind == LMM_ITEM_CHECKPOINT)
			continue;
		rc = lmm_analysis_item(a, item);
		if (rc)
			return rc;
	}
	return rc;
}

/* Without a checkpoint the events that --max-size took out were not seen: they are only counted. */
static void dropped_count(struct lmm_result_records *r)
{
	r->stored += r->dropped_detail;
	if (r->emitted < r->stored + r->lost)
		r->emitted = r->stored + r->lost;
}

static int trace_analyze(struct lmm_trace *tr, const struct lmm_analysis_file_opts *opts,
			 struct lmm_result **result, enum lmm_trace_state *state)
{
	struct lmm_analysis *a = lmm_analysis_create();
	int rc = a ? 0 : -ENOMEM, has_checkpoint = 0;

	if (rc == 0 && !(opts && opts->recompute))
		rc = has_checkpoint = lmm__checkpoint_load(tr, a);
	if (rc >= 0)
		rc = lmm__items_take(tr, a);
	if (rc == 0) {
		if (state)
			*state = lmm_trace_state(tr, NULL);
		*result = lmm_analysis_result(a);
		rc = *result ? 0 : -ENOMEM;
	}
	if (rc == 0 && !has_checkpoint)
		dropped_count(&(*result)->records);
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
