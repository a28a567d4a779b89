/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/devices/cost.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/device.h"

#define SAMPLES	    LMM_DEVICE_COST_SAMPLES
#define WARM_UP	    64		 /* commands of a program without steps that are let pass */
#define AGAIN_TICKS (1ull << 34) /* some seconds, whatever the clock */
#define GONE_TICKS                                                                                 \
	(1ull << 25) /* the calibrating thread has handed nothing over for so long: another may */

void lmm_device_cost_renew(struct lmm_device_cost *c)
{
	lmm_step_cost_renew(&c->steps);
	atomic_store(&c->step_commands, 0);
	atomic_store(&c->step_timed, 0);
	atomic_store(&c->harvest_mticks, 0);
	atomic_store(&c->device_mticks, 0);
	atomic_store(&c->cost_mticks, 0);
	atomic_store(&c->done_t, 0);
	atomic_store(&c->owner, NULL);
	atomic_store(&c->is_calibrating, lmm_session_device_budget_ppm() > 0);
}

/* What is written then is not what kernels cost later. */
static bool is_loading(const struct lmm_thread *th)
{
	return th->depth &&
	       (th->phase[0] == LMM_PHASE_MODEL_LOAD || th->phase[0] == LMM_PHASE_CONTEXT_INIT);
}

/* One thread calibrates; it may have ended meanwhile, or hand nothing over any more. */
static bool is_owner(struct lmm_device_cost *c, const struct lmm_thread *th)
{
	const struct lmm_thread *owner = atomic_load_explicit(&c->owner, memory_order_relaxed);
	uint64_t now = lmm_now();

	if (owner != th) {
		if (owner &&
		    now - atomic_load_explicit(&c->seen_t, memory_order_relaxed) < GONE_TICKS)
			return false;
		if (!atomic_compare_exchange_strong(&c->owner, &owner, th))
			return false;
	}
	atomic_store_explicit(&c->seen_t, now, memory_order_relaxed);
	return true;
}

static bool is_wanted(struct lmm_device_cost *c, const struct lmm_thread *th)
{
	if (!is_owner(c, th))
		return false;
	if (c->session != lmm_device_session()) {
		c->session = lmm_device_session();
		memset(c->n, 0, sizeof(c->n));
		c->passed = 0;
	}
	return !is_loading(th) && (th->step != LMM_STEP_NONE || c->passed++ >= WARM_UP);
}

bool lmm_device_cost_begin(struct lmm_device_cost *c, const struct lmm_thread *th, bool *is_timed)
{
	if (!is_wanted(c, th))
		return false;
	c->lot = lmm_hash_u64(c->lot, LMM_HASH_SEED);
	*is_timed = c->lot >> 63;
	return true;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void finish(struct lmm_device_cost *c, uint64_t now)
{
	uint64_t cost;

	for (unsigned k = 0; k < 2; k++)
		qsort(c->ticks[k], SAMPLES, sizeof(c->ticks[k][0]), compare);
	cost = c->ticks[1][SAMPLES / 2] > c->ticks[0][SAMPLES / 2]
		       ? c->ticks[1][SAMPLES / 2] - c->ticks[0][SAMPLES / 2]
		       : 0;
	atomic_store_explicit(&c->cost_mticks, cost * 1000 + 1, memory_order_relaxed);
	memset(c->n, 0, sizeof(c->n));
	atomic_store_explicit(&c->is_calibrating, 0, memory_order_relaxed);
	atomic_store_explicit(&c->done_t, now, memory_order_relaxed);
	atomic_store(&c->owner, NULL);
}

void lmm_device_cost_end(struct lmm_device_cost *c, const struct lmm_thread *th, bool is_timed,
			 uint64_t t0)
{
	uint64_t now = lmm_now(), ticks = now - t0;
	uint32_t n;

	if (atomic_load_explicit(&c->owner, memory_order_relaxed) != th)
		return; /* another has taken over */
	n = c->n[is_timed];
	if (n < SAMPLES) {
		c->ticks[is_timed][n] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
		c->n[is_timed] = n + 1;
	}
	if (c->n[0] == SAMPLES && c->n[1] == SAMPLES)
		finish(c, now);
}

void lmm_device_cost_sample(struct lmm_device_cost *c, const struct lmm_thread *th, uint64_t ticks)
{
	uint32_t n;

	if (!is_wanted(c, th))
		return;
	n = c->n[1];
	if (n < SAMPLES) {
		c->ticks[0][n] = 0;
		c->ticks[1][n] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
		c->n[0] = c->n[1] = n + 1;
	}
	if (c->n[1] == SAMPLES)
		finish(c, lmm_now());
}

void lmm_device_cost_step(struct lmm_device_cost *c, struct lmm_thread *th, uint64_t ticks)
{
	const struct lmm_budget *b = &th->budget;

	lmm_step_cost_take(&c->steps, &th->step_before, ticks, b->commands, th->is_device_timed);
	atomic_store_explicit(&c->step_commands, b->commands, memory_order_relaxed);
	if (th->is_device_timed) {
		atomic_store_explicit(&c->step_timed, b->timed ? b->timed : b->commands,
				      memory_order_relaxed);
	}
}

/* Of one of n, as whole steps say; 0: not known. */
static double mticks_by_steps(const struct lmm_device_cost *c, const _Atomic uint32_t *n)
{
	uint64_t more = atomic_load_explicit(&c->steps.more_ticks, memory_order_relaxed);
	uint32_t of = atomic_load_explicit(n, memory_order_relaxed);

	return of ? (double)more * 1000 / of : 0;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

double lmm_device_cost_ticks(struct lmm_device_cost *c)
{
	uint64_t cost = atomic_load_explicit(&c->cost_mticks, memory_order_relaxed);
	uint64_t done = atomic_load_explicit(&c->done_t, memory_order_relaxed);
	uint64_t later = atomic_load_explicit(&c->harvest_mticks, memory_order_relaxed) +
			 atomic_load_explicit(&c->device_mticks, memory_order_relaxed);

	if (!cost)
		return 0;
	if (done && lmm_now() - done > AGAIN_TICKS) {
		atomic_store_explicit(&c->done_t, lmm_now(), memory_order_relaxed);
		atomic_store_explicit(&c->is_calibrating, 1, memory_order_relaxed);
		lmm_step_cost_age(&c->steps);
	}
	return larger((double)cost + (double)later, mticks_by_steps(c, &c->step_commands)) / 1000;
}

static void smooth(_Atomic uint64_t *mticks, uint64_t now)
{
	uint64_t old = atomic_load_explicit(mticks, memory_order_relaxed);

	atomic_store_explicit(mticks, old ? old + now / 16 - old / 16 : now, memory_order_relaxed);
}

void lmm_device_cost_on_device(struct lmm_device_cost *c, double ticks)
{
	if (ticks > 0 && ticks < 1e12)
		smooth(&c->device_mticks, (uint64_t)(ticks * 1000));
}

void lmm_device_cost_harvest(struct lmm_device_cost *c, struct lmm_thread *th, uint64_t t0,
			     uint64_t t1, uint32_t n)
{
	uint64_t cost = atomic_load_explicit(&c->cost_mticks, memory_order_relaxed) +
			atomic_load_explicit(&c->device_mticks, memory_order_relaxed);
	uint64_t every = th->budget.every ? th->budget.every : 1, reading = (t1 - t0) * 1000 / n;
	double by_steps = mticks_by_steps(c, &c->step_timed) - (double)reading;

	smooth(&c->harvest_mticks, reading);
	cost = (uint64_t)larger((double)cost, by_steps);
	lmm_writer_put_wide(&th->w, t1, lmm_word(LMM_EV_HARVEST, 0, LMM_SEQ_NONE, n), t0,
			    (cost < UINT32_MAX ? cost : UINT32_MAX) | every << 32);
}
