/* SPDX-License-Identifier: Apache-2.0 */
/* The result's part about devices: how busy they were, what they waited for, and how well that is known. */
#include <math.h>

#include "analyze/build.h"

static void costs_build(struct builder *b, struct lmm_result_device *d)
{
	const struct lmm_analysis *a = b->a;
	uint64_t ticks = 0, n = 0, most = 0;

	for (uint32_t i = 0; i < a->n_processes; i++) {
		const struct process *p = &a->processes[i];

		ticks += p->harvest_ticks;
		n += p->harvested;
		if (p->harvested < most || p->harvested == 0)
			continue;
		most = p->harvested;
		d->every = p->device_every;
		d->command_cost_ns = builder_ns(b, p->command_cost_mticks) / 1000;
	}
	if (n)
		d->harvest_cost_ns = builder_ns(b, ticks) / (double)n;
}

/* Timed steps over untimed ones, with Welch's interval. */
static void check_build(const struct ledger *l, struct lmm_result_device *d)
{
	const struct lmm_hist *x = &l->step_timed, *y = &l->step_untimed;
	double mx, my, vx, vy, freedom;

	d->steps_timed = x->count;
	d->steps_untimed = y->count;
	d->steps_half_percent = -1;
	if (x->count < 2 || y->count < 2 || y->sum == 0)
		return;
	mx = (double)x->sum / (double)x->count;
	my = (double)y->sum / (double)y->count;
	vx = lmm_hist_variance(x) / (double)x->count;
	vy = lmm_hist_variance(y) / (double)y->count;
	d->steps_percent = 100 * (mx / my - 1);
	d->steps_half_percent = 0;
	if (!(vx + vy > 0))
		return;
	freedom = (vx + vy) * (vx + vy) /
		  (vx * vx / ((double)x->count - 1) + vy * vy / ((double)y->count - 1));
	d->steps_half_percent = 100 * lmm_student_95(freedom) * sqrt(vx + vy) / my;
}

static void windows_build(const struct builder *b, struct lmm_result_device *d)
{
	const struct windows *w = &b->a->windows;
	struct lmm_result_windows *to = &d->windows;

	d->calls = w->calls;
	d->waits = w->waits;
	d->calls_ns = builder_ns(b, w->call_ticks);
	d->waits_ns = builder_ns(b, w->wait_ticks);
	to->count = w->n;
	to->steps = w->steps;
	to->openings = w->stalls[0];
	to->open_ns = builder_ns(b, w->open_ticks);
	to->records = w->records;
	to->expected = w->expected;
	to->unmatched = w->unmatched;
	to->dropped = w->dropped;
	to->invalid = w->garbage;
	for (unsigned i = 0; i < 2; i++) {
		to->stall_ns[i] = builder_ns(b, w->stall_ticks[i]);
		to->stall_max_ns[i] = builder_ns(b, w->stall_max[i]);
	}
	to->check_steps = w->check_steps;
	to->union_ns = (double)w->union_ns;
	to->pass_ns = (double)w->pass_ns;
}

int lmm__device_build(struct builder *b)
{
	const struct lmm_analysis *a = b->a;
	const struct ledger *l = a->main;
	struct lmm_result_device *d = &b->r->device;

	for (uint32_t i = 0; (i = lmm__flight_next(a, i)) < LMM_I_FLIGHT; i++)
		d->in_flight += a->flights[i].has == 1; /* COMMAND without COMPLETION */
	d->timed = l->timed;
	d->untimed = l->untimed;
	d->unavailable = a->device_unavailable;
	d->failed = a->device_failed;
	d->early = a->device_early;
	d->seen = d->timed + d->untimed + d->in_flight + a->warm->timed + a->warm->untimed > 0;
	d->busy_ns = builder_ns(b, l->device_busy);
	d->clock_error_ns = lmm_hist_quantile(&a->device_errors, 0.95) * b->rate;
	d->clock_error_max_ns = builder_ns(b, a->device_errors.max);
	costs_build(b, d);
	windows_build(b, d);
	check_build(l, d);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		d->gaps[i].cause = (uint8_t)i;
		d->gaps[i].stats = lmm__stats_make(&l->device_gaps[i].hist, b->rate);
		d->gaps[i].unsure_ns = builder_ns(b, l->device_gaps[i].unsure);
	}
	return 0;
}
