/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/devices/budget.h"

#include <stdlib.h>

#include "base/hash.h"

#define SMOOTHING                                                                                  \
	0.125 /* of the newest step: some eight steps to follow a device that changes speed */

#define PAUSES_MAX 4u /* in a row; the first step may have been a short one */

static void share_take(struct lmm_budget *b, uint64_t ticks, double cost_ticks)
{
	double share = (double)b->commands * cost_ticks / (double)ticks;

	/* a pause of the program (a user who thinks) is no step: it must not make room for more, unless all are like that */
	if (b->has_share && share < b->share / 8 && b->pauses < PAUSES_MAX) {
		b->pauses++;
		return;
	}
	if (b->has_share && b->pauses < PAUSES_MAX)
		share = b->share + SMOOTHING * (share - b->share);
	b->share = share;
	b->pauses = 0;
	b->has_share = 1;
}

static uint32_t every_for(double share, uint32_t budget_ppm)
{
	double every = share * 1e6 / budget_ppm;

	if (every <= 1)
		return 1;
	return every < LMM_BUDGET_EVERY_MAX ? (uint32_t)every + 1 : LMM_BUDGET_EVERY_MAX;
}

int lmm_budget_step(struct lmm_budget *b, uint64_t now, uint32_t step, double cost_ticks,
		    uint32_t budget_ppm)
{
	if (b->begun && now > b->begun && b->commands && cost_ticks > 0)
		share_take(b, now - b->begun, cost_ticks);
	b->begun = now;
	b->commands = 0;
	b->every = budget_ppm == 0 || !b->has_share ? 1 : every_for(b->share, budget_ppm);
	/* not every Nth: a program with a rhythm of its own would always show the same face */
	return lmm_hash_u64(LMM_HASH_SEED, step) % b->every == 0;
}

/* ---- whole steps -------------------------------------------------------------------------------- */

void lmm_step_cost_renew(struct lmm_step_cost *c)
{
	atomic_store(&c->more_ticks, 0);
	if (atomic_exchange_explicit(&c->is_taken, 1, memory_order_acquire))
		return;
	c->n_more = c->n_usual = 0;
	c->before = 0;
	atomic_store_explicit(&c->is_taken, 0, memory_order_release);
}

static int compare_signed(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Adds one; when they are enough, their median is in *median and they begin anew. */
static void median_take(_Atomic uint64_t *median, int64_t *samples, uint32_t *n, int64_t ticks)
{
	int64_t middle;

	samples[(*n)++] = ticks;
	if (*n < LMM_STEP_COST_SAMPLES)
		return;
	qsort(samples, *n, sizeof(*samples), compare_signed);
	middle = samples[*n / 2];
	atomic_store_explicit(median, middle > 0 ? (uint64_t)middle : 0, memory_order_relaxed);
	*n = 0;
}

void lmm_step_cost_take(struct lmm_step_cost *c, uint64_t ticks, bool is_timed)
{
	if (atomic_exchange_explicit(&c->is_taken, 1, memory_order_acquire))
		return;
	if (!is_timed) {
		median_take(&c->usual_ticks, c->usual, &c->n_usual, (int64_t)ticks);
		c->before = ticks;
	} else if (c->before) {
		median_take(&c->more_ticks, c->more, &c->n_more, (int64_t)(ticks - c->before));
	}
	atomic_store_explicit(&c->is_taken, 0, memory_order_release);
}
