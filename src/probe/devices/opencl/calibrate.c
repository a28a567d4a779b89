/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/devices/opencl/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/opencl/opencl.h"

#define SAMPLES	    96		 /* of either kind */
#define WARM_UP	    64		 /* commands of a program without steps that are let pass */
#define AGAIN_TICKS (1ull << 34) /* some seconds, whatever the clock */
#define GONE_TICKS                                                                                 \
	(1ull << 25) /* the calibrating thread has handed nothing over for so long: another may */

_Atomic int lmm_cl_is_calibrating;

/* Of the calibrating thread alone, but for owner and cost. */
static struct {
	_Atomic(const struct lmm_thread *) owner;
	_Atomic uint64_t seen_t;      /* the owner's last sample */
	_Atomic uint64_t cost_mticks; /* thousandths of a tick; 0: not known */
	_Atomic uint64_t done_t;
	uint32_t session; /* in which the samples are taken */
	uint32_t n[2];
	uint32_t passed;
	uint64_t lot;
	uint32_t ticks[2][SAMPLES];
} cal;

void lmm_cl_calibrate_renew(void)
{
	atomic_store(&cal.cost_mticks, 0);
	atomic_store(&cal.done_t, 0);
	atomic_store(&cal.owner, NULL);
	atomic_store(&lmm_cl_is_calibrating, lmm_session_device_budget_ppm() > 0);
}

/* What is written then is not what kernels cost later. */
static bool is_loading(const struct lmm_thread *th)
{
	return th->depth &&
	       (th->phase[0] == LMM_PHASE_MODEL_LOAD || th->phase[0] == LMM_PHASE_CONTEXT_INIT);
}

/* One thread calibrates; it may have ended meanwhile, or hand nothing over any more. */
static bool is_owner(const struct lmm_thread *th)
{
	const struct lmm_thread *owner = atomic_load_explicit(&cal.owner, memory_order_relaxed);
	uint64_t now = lmm_now();

	if (owner != th) {
		if (owner &&
		    now - atomic_load_explicit(&cal.seen_t, memory_order_relaxed) < GONE_TICKS)
			return false;
		if (!atomic_compare_exchange_strong(&cal.owner, &owner, th))
			return false;
	}
	atomic_store_explicit(&cal.seen_t, now, memory_order_relaxed);
	return true;
}

bool lmm_cl_calibrate_begin(const struct lmm_thread *th, bool *is_timed)
{
	if (!is_owner(th))
		return false;
	if (cal.session != lmm_cl_session()) {
		cal.session = lmm_cl_session();
		memset(cal.n, 0, sizeof(cal.n));
		cal.passed = 0;
	}
	if (is_loading(th) || (th->step == LMM_STEP_NONE && cal.passed++ < WARM_UP))
		return false;
	cal.lot = lmm_hash_u64(cal.lot, LMM_HASH_SEED);
	*is_timed = cal.lot >> 63;
	return true;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void finish(uint64_t now)
{
	uint64_t cost;

	for (unsigned k = 0; k < 2; k++)
		qsort(cal.ticks[k], SAMPLES, sizeof(cal.ticks[k][0]), compare);
	cost = cal.ticks[1][SAMPLES / 2] > cal.ticks[0][SAMPLES / 2]
		       ? cal.ticks[1][SAMPLES / 2] - cal.ticks[0][SAMPLES / 2]
		       : 0;
	atomic_store_explicit(&cal.cost_mticks, cost * 1000 + 1, memory_order_relaxed);
	memset(cal.n, 0, sizeof(cal.n));
	atomic_store_explicit(&lmm_cl_is_calibrating, 0, memory_order_relaxed);
	atomic_store_explicit(&cal.done_t, now, memory_order_relaxed);
	atomic_store(&cal.owner, NULL);
}

void lmm_cl_calibrate_end(const struct lmm_thread *th, bool is_timed, uint64_t t0)
{
	uint64_t now = lmm_now(), ticks = now - t0;
	uint32_t n;

	if (atomic_load_explicit(&cal.owner, memory_order_relaxed) != th)
		return; /* another has taken over */
	n = cal.n[is_timed];
	if (n < SAMPLES) {
		cal.ticks[is_timed][n] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
		cal.n[is_timed] = n + 1;
	}
	if (cal.n[0] == SAMPLES && cal.n[1] == SAMPLES)
		finish(now);
}

double lmm_cl_command_cost(void)
{
	uint64_t cost = atomic_load_explicit(&cal.cost_mticks, memory_order_relaxed);
	uint64_t done = atomic_load_explicit(&cal.done_t, memory_order_relaxed);

	if (!cost)
		return 0;
	if (done && lmm_now() - done > AGAIN_TICKS) {
		atomic_store_explicit(&cal.done_t, lmm_now(), memory_order_relaxed);
		atomic_store_explicit(&lmm_cl_is_calibrating, 1, memory_order_relaxed);
	}
	return (double)cost / 1000 + lmm_cl_harvest_cost();
}

void lmm_cl_harvest_put(struct lmm_thread *th, uint64_t t0, uint64_t t1, uint32_t n)
{
	uint64_t cost = atomic_load_explicit(&cal.cost_mticks, memory_order_relaxed);
	uint64_t every = th->budget.every ? th->budget.every : 1;

	lmm_writer_put_wide(&th->w, t1, lmm_word(LMM_EV_HARVEST, 0, LMM_SEQ_NONE, n), t0,
			    (cost < UINT32_MAX ? cost : UINT32_MAX) | every << 32);
}
