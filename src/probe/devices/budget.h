/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many steps have their device commands timed. Arithmetic that is sure decides: what timing one command costs on this
 * device, times the commands of a step, against the step's time; from that follows "one step in N". Pure: whoever
 * uses it brings the stamps.
 *
 * struct lmm_budget: one per recording thread; not thread-safe.
 */
#ifndef LMM_PROBE_DEVICES_BUDGET_H
#define LMM_PROBE_DEVICES_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LMM_BUDGET_EVERY_MAX 100000u

struct lmm_budget {
	uint32_t every;	   /* time one step in so many; 0: nothing is known yet */
	uint32_t commands; /* of the step that goes on */
	uint32_t
		at_once; /* of these, those that are recorded at once, at half of what each would cost */
	uint32_t timed;	 /* times to be read for them: several may be timed as one */
	uint64_t begun;	 /* its first stamp, ticks */
	double rate;	 /* smoothed: commands per tick */
	double recorded; /* the same of commands as recording pays for them */
	uint8_t has_rate;
	uint8_t pauses; /* steps in a row that were taken for pauses */
};

/*
 * A step begins at `now` (ticks), the one before has ended. cost_ticks: of timing one command of a step like that, 0: not
 * known yet, then all steps are timed. budget_ppm: millionths of the step time that timing may cost, 0: all.
 * Returns 1 if the step that begins is to be timed; `step` is its number, `b->every` how rare that is.
 */
int lmm_budget_step(struct lmm_budget *b, uint64_t now, uint32_t step, double cost_ticks,
		    uint32_t budget_ppm);

/*
 * What of a budget is for timing: a quarter; less where recording, at record_ticks a command, leaves less; an eighth at least. 0, no
 * limit, stays 0.
 */
uint32_t lmm_budget_for_timing(const struct lmm_budget *b, double record_ticks,
			       uint32_t budget_ppm);

/* ---- whole steps -------------------------------------------------------------------------------- */

#define LMM_STEP_COST_SAMPLES 32

/* What timing adds to a step, whatever the reason. Thread-safe: of two threads that bring a step at once one is not heard. */
struct lmm_step_cost {
	_Atomic uint64_t more_ticks;  /* 0: nothing, or not known */
	_Atomic uint64_t usual_ticks; /* median of a step that is not timed; 0: not known */
	_Atomic int is_taken;
	_Atomic uint32_t n_timed, n_aged; /* timed steps that came; when it was aged last */
	uint32_t n_more, n_usual;
	int64_t more[LMM_STEP_COST_SAMPLES];
	int64_t usual[LMM_STEP_COST_SAMPLES];
};

/* A thread's newest step that was not timed. Zeroes: there is none. */
struct lmm_step_before {
	uint64_t ticks;
	uint32_t commands;
};

void lmm_step_cost_renew(struct lmm_step_cost *c);
/*
 * A decode step has ended that another one follows. A timed one is compared with the thread's one before it of as many commands, give or
 * take an eighth; what is longer than four usual steps has a pause in it, and counts as those. Only what is more than the scatter of
 * these differences is a cost.
 */
void lmm_step_cost_take(struct lmm_step_cost *c, struct lmm_step_before *before, uint64_t ticks,
			uint32_t commands, bool is_timed);
/* Now and then: a mistake that makes timed steps so rare that none shows what they cost must not last. */
void lmm_step_cost_age(struct lmm_step_cost *c);

/* ---- its parts ----------------------------------------------------------------------------------- */

/* One part of `parts` of a budget; what is not unlimited stays limited. */
static inline uint32_t lmm_budget_part(uint32_t budget_ppm, uint32_t parts)
{
	return budget_ppm ? (budget_ppm + parts - 1) / parts : 0;
}

#endif
