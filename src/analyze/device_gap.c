/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a device had nothing to do between two commands of an in-order queue. Claimed inside a step, and from a step to the decode
 * step of the same context that follows it; never where a command between the two was lost or not timed.
 */
#include "analyze/state.h"

static int is_claimed(const struct queue *q, const struct flight *f)
{
	if (q->out_of_order || !q->has_last || f->is_behind_hole || f->id != q->last_id + 1)
		return 0;
	if (f->step == LMM_STEP_NONE || q->last_step == LMM_STEP_NONE)
		return 0;
	if (f->step == q->last_step)
		return 1;
	return f->context && f->context == q->last_context && f->step == q->last_step + 1 &&
	       f->phase == LMM_PHASE_DECODE;
}

static enum lmm_gap_cause cause_of(const struct queue *q, const struct flight *f, uint64_t gap,
				   uint64_t error, int *is_sure)
{
	uint64_t margin = f->t > q->last_end ? f->t - q->last_end : q->last_end - f->t;

	*is_sure = margin > error;
	if (gap <= error)
		return LMM_GAP_UNKNOWN;
	if (f->is_first)
		return LMM_GAP_FIRST_USE;
	if (f->t < q->last_end)
		return LMM_GAP_DRIVER;
	if (f->step != q->last_step || q->last_kind == LMM_KERNEL_READ ||
	    q->last_phase == LMM_PHASE_COPY_TO_CPU)
		return LMM_GAP_READBACK;
	return LMM_GAP_HOST;
}

uint64_t lmm__device_gap(struct queue *q, const struct flight *f, unsigned kind,
			 const struct busy *b, uint64_t error, struct ledger *l)
{
	uint64_t dispatch = 0;

	/* one tick is what rounding makes of two stamps that are the same */
	if (is_claimed(q, f) && b->t0 > q->last_end + 1) {
		int is_sure;
		uint64_t gap = b->t0 - q->last_end;
		enum lmm_gap_cause cause = cause_of(q, f, gap, error, &is_sure);

		lmm_hist_add(&l->device_gaps[cause].hist, gap);
		lmm__place_gap(&l->places, b->phase, cause, q->last_end, b->t0);
		if (!is_sure)
			l->device_gaps[cause].unsure += gap;
		if (f->t < q->last_end && gap > error)
			dispatch = gap;
	}
	q->has_last = 1;
	q->last_id = f->id;
	q->last_step = f->step;
	q->last_context = f->context;
	q->last_kind = (uint8_t)kind;
	q->last_phase = f->phase;
	if (b->t1 > q->last_end)
		q->last_end = b->t1;
	return dispatch;
}
