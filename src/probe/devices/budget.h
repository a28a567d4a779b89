/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many steps have their device commands timed. Arithmetic that is sure decides: what timing one command costs on this
 * device, times the commands of a step, against the step's time; from that follows "one step in N". Pure: whoever
 * uses it brings the stamps.
 *
 * One struct per recording thread; not thread-safe.
 */
#ifndef LMM_PROBE_DEVICES_BUDGET_H
#define LMM_PROBE_DEVICES_BUDGET_H

#include <stdint.h>

#define LMM_BUDGET_EVERY_MAX 100000u

struct lmm_budget {
	uint32_t every;	   /* time one step in so many; 0: nothing is known yet */
	uint32_t commands; /* of the step that goes on */
	uint64_t begun;	   /* its first stamp, ticks */
	double share;	   /* smoothed: cost of timing all commands ÷ step time */
	uint8_t has_share;
	uint8_t pauses; /* steps in a row that were taken for pauses */
};

/*
 * A step begins at `now` (ticks), the one before has ended. cost_ticks: of timing one command, 0: not known yet, then all
 * steps are timed. budget_ppm: millionths of the step time that timing may cost, 0: all.
 * Returns 1 if the step that begins is to be timed; `step` is its number, `b->every` how rare that is.
 */
int lmm_budget_step(struct lmm_budget *b, uint64_t now, uint32_t step, double cost_ticks,
		    uint32_t budget_ppm);

#endif
