/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/devices/budget.h"

#include <stdlib.h>

#include "base/hash.h"

#define SMOOTHING                                                                                  \
	0.125 /* of the newest step: some eight steps to follow a device that changes speed */

#define PAUSES_MAX 4u /* in a row; the first step may have been a short one */

static void rate_take(struct lmm_budget *b, uint64_t ticks)
{
	double rate = (double)b->commands / (double)ticks;
	double recorded = rate - (double)b->at_once / 2 / (double)ticks;

	/* a pause of the program (a user who thinks) is no step: it must not make room for more, unless all are like that */
	if (b->has_rate && rate < b->rate / 8 && b->pauses < PAUSES_MAX) {
		b->pauses++;
		return;
	}
	if (b->has_rate && b->pauses < PAUSES_MAX) {
		rate = b->rate + SMOOTHING * (rate - b->rate);
		recorded = b->recorded + SMOOTHING * (recorded - b->recorded);
	}
	b->rate = rate;
	b->recorded = recorded;
	b->pauses = 0;
	b->has_rate = 1;
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
	if (b->begun && now > b->begun && b->commands)
		rate_take(b, now - b->begun);
	b->begun = now;
	b->commands = b->at_once = b->timed = 0;
	b->every = budget_ppm == 0 || !b->has_rate || cost_ticks <= 0
			   ? 1
			   : every_for(b->rate * cost_ticks, budget_ppm);
	/* not every Nth: a program with a rhythm of its own would always show the same face */
	return lmm_hash_u64(LMM_HASH_SEED, step) % b->every == 0;
}

uint32_t lmm_budget_for_timing(const struct lmm_budget *b, double record_ticks, uint32_t budget_ppm)
{
	double recording_ppm = b->recorded * record_ticks * 1e6;
	uint32_t most = lmm_budget_part(budget_ppm, 4), least = lmm_budget_part(budget_ppm, 8);
	double left = (double)budget_ppm - recording_ppm;

	return left >= most ? most : left > least ? (uint32_t)left : least;
}

/* ---- whole steps -------------------------------------------------------------------------------- */

#define MEDIAN (LMM_STEP_COST_SAMPLES / 2)
#define SURE                                                                                       \
	(LMM_STEP_COST_SAMPLES * 3 / 8) /* what is more than scatter is more than this one, too */
#define PAUSE_FROM 4u			/* usual steps */

void lmm_step_cost_renew(struct lmm_step_cost *c)
{
	atomic_store(&c->more_ticks, 0);
	if (atomic_exchange_explicit(&c->is_taken, 1, memory_order_acquire))
		return;
	c->n_more = c->n_usual = 0;
	atomic_store_explicit(&c->is_taken, 0, memory_order_release);
}

void lmm_step_cost_age(struct lmm_step_cost *c)
{
	uint64_t more = atomic_load_explicit(&c->more_ticks, memory_order_relaxed);
	uint32_t n = atomic_load_explicit(&c->n_timed, memory_order_relaxed);

	if (atomic_exchange_explicit(&c->n_aged, n, memory_order_relaxed) == n)
		atomic_store_explicit(&c->more_ticks, more / 2, memory_order_relaxed);
}

static int compare_signed(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Adds one; when they are enough, the one at that place in their order is the result, and they begin anew. */
static void sample_take(_Atomic uint64_t *result, int64_t *samples, uint32_t *n, int64_t ticks,
			unsigned place)
{
	samples[(*n)++] = ticks;
	if (*n < LMM_STEP_COST_SAMPLES)
		return;
	qsort(samples, *n, sizeof(*samples), compare_signed);
	atomic_store_explicit(result, samples[place] > 0 ? (uint64_t)samples[place] : 0,
			      memory_order_relaxed);
	*n = 0;
}

static bool are_alike(uint32_t a, uint32_t b)
{
	return a <= b + b / 8 && b <= a + a / 8;
}

void lmm_step_cost_take(struct lmm_step_cost *c, struct lmm_step_before *before, uint64_t ticks,
			uint32_t commands, bool is_timed)
{
	uint64_t usual = atomic_load_explicit(&c->usual_ticks, memory_order_relaxed);
	bool is_pause = usual && ticks > PAUSE_FROM * usual;

	if (is_timed && is_pause)
		ticks = PAUSE_FROM * usual;

	if (atomic_exchange_explicit(&c->is_taken, 1, memory_order_acquire))
		return;
	if (!is_timed) {
		sample_take(&c->usual_ticks, c->usual, &c->n_usual, (int64_t)ticks, MEDIAN);
	} else if (before->ticks && are_alike(commands, before->commands)) {
		sample_take(&c->more_ticks, c->more, &c->n_more, (int64_t)(ticks - before->ticks),
			    SURE);
		atomic_fetch_add_explicit(&c->n_timed, 1, memory_order_relaxed);
	}
	atomic_store_explicit(&c->is_taken, 0, memory_order_release);
	if (!is_timed && !is_pause)
		*before = (struct lmm_step_before){ ticks, commands };
}
