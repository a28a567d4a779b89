/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/devices/budget.h"

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
