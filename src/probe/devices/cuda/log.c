/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is handed over while a window is open. A call is noted when it has returned, so that one which is still under way belongs to no turn
 * yet. Places are given out by a counter; each is written by the thread that got it. There are two halves: one takes calls
 * while the other is read.
 */
#include <stdlib.h>

#include "probe/devices/cuda/window.h"

/* In an entry's state, beside its turn: it is being written; its turn was read before it was. */
#define BUSY 1u
#define GONE 2u

static struct lmm_cu_entry *halves[2];
static _Atomic uint64_t next; /* the turn << 32 | places given out in it */
static uint64_t turned_t;
static _Atomic uint32_t n_pending; /* records to come for the calls of this turn */
static _Atomic uint32_t n_roomless;
static _Atomic uint32_t live; /* number of the window whose calls are noted; 0: none */
static uint32_t last_live;
static _Atomic uint32_t first; /* smallest number of a call that CUPTI has told of in this window */

/* cuLaunch…, cuGraphLaunch, cuMemcpy…, cuMemset…, of all versions and streams. */
const uint16_t lmm_cu_log_cbids[] = {
	307, 442, 652, 653, 477, 478, 514, 515,			    /* kernels and graphs */
	216, 218, 220, 222, 224, 226, 428, 429, 430, 431, 432, 433, /* memsets */
	249, 250, 251, 252, 253, 254, 411, 412, 413, 414, 415, 416, 276, 277, 278, 279,
	280, 281, 287, 288, 289, 290, 291, /* copies */
	305, 306, 318, 319, 320, 321, 397, 398, 399, 405, 406, 407, 408, 409, 410, 418,
	421, 422, 423, 424, 425, 426, 427, 776, 777, 778, 779, 796, 797, 798, 799,
};
const unsigned lmm_cu_log_n_cbids = LMM_ARRAY_SIZE(lmm_cu_log_cbids);

int lmm_cu_log_open(void)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!halves[i])
			halves[i] = calloc(LMM_CU_ROOM, sizeof(*halves[i]));
	}
	if (!halves[0] || !halves[1])
		return -1;
	(void)lmm_cu_log_turn(false);
	atomic_store(&first, UINT32_MAX);
	last_live = last_live + 1 ? last_live + 1 : 1;
	atomic_store(&live, last_live);
	return 0;
}

void lmm_cu_log_begin(void)
{
	lmm_cu_self.window = atomic_load_explicit(&live, memory_order_relaxed);
	lmm_cu_self.correlation[0] = lmm_cu_self.correlation[1] = 0;
}

static uint64_t state_of(uint64_t turn)
{
	return turn << 2;
}

/* A thread that was stopped in here for two turns has no right to its place any more, nor must another have what it still writes. */
static bool is_claimed(struct lmm_cu_entry *e, uint64_t turn)
{
	uint64_t old = atomic_load_explicit(&e->state, memory_order_relaxed);

	return !(old & BUSY) && old < state_of(turn) &&
	       atomic_compare_exchange_strong_explicit(&e->state, &old, state_of(turn) | BUSY,
						       memory_order_acquire, memory_order_relaxed);
}

/* NULL: there is no room. */
static struct lmm_cu_entry *place_take(uint64_t *turn)
{
	for (;;) {
		uint64_t at = atomic_fetch_add_explicit(&next, 1, memory_order_acquire);
		struct lmm_cu_entry *e;

		*turn = at >> 32;
		if ((uint32_t)at >= LMM_CU_ROOM)
			return NULL;
		e = &halves[*turn & 1][(uint32_t)at];
		if (is_claimed(e, *turn))
			return e;
	}
}

/* False: the turn was read meanwhile, without it. */
static bool is_filled(struct lmm_cu_entry *e, uint64_t turn, const struct lmm_cu_call *call)
{
	uint64_t busy = state_of(turn) | BUSY;

	e->call = *call;
	/* pairs with the acquire in is_handed() */
	if (atomic_compare_exchange_strong_explicit(&e->state, &busy, state_of(turn),
						    memory_order_release, memory_order_relaxed))
		return true;
	atomic_fetch_and_explicit(&e->state, ~(uint64_t)BUSY, memory_order_release);
	return false;
}

/* Whether it is there now; if not, whoever has its place takes another in the next turn. */
static bool is_handed(struct lmm_cu_entry *e, uint64_t turn)
{
	uint64_t state = atomic_load_explicit(&e->state, memory_order_acquire);

	while (state != state_of(turn)) {
		if (atomic_compare_exchange_weak_explicit(
			    &e->state, &state, state_of(turn) | GONE | (state & BUSY),
			    memory_order_acquire, memory_order_acquire))
			return false;
	}
	return true;
}

bool lmm_cu_log_put(const struct lmm_cu_command *c, uint32_t kernel, unsigned kind, uint64_t amount,
		    struct lmm_cu_graph *graph)
{
	struct lmm_cu_call call = { .correlation = { lmm_cu_self.correlation[0],
						     lmm_cu_self.correlation[1] },
				    .t = c->t,
				    .amount = amount,
				    .stream = c->stream,
				    .list = graph,
				    .step = c->th->step,
				    .graph = c->th->graph,
				    .node = LMM_NODE_UNKNOWN,
				    .kernel = kernel,
				    .phase = (uint8_t)lmm_device_phase(c->th),
				    .kind = (uint8_t)kind };
	uint32_t records = graph && graph->n ? graph->n : 1;
	bool has_node = kind == LMM_KERNEL_COMMAND_BUFFER; /* which is for all of them */
	struct lmm_cu_entry *e;
	uint64_t turn;

	do {
		/* a window that has closed meanwhile, or another one, has no record of this call */
		if (lmm_cu_self.window != atomic_load_explicit(&live, memory_order_acquire))
			return false;
		atomic_fetch_add_explicit(&n_pending, records, memory_order_relaxed);
		e = place_take(&turn);
		if (!e) {
			atomic_fetch_add_explicit(&n_roomless, records, memory_order_relaxed);
			return false;
		}
		if (!has_node)
			call.node = lmm_device_node(c->th);
		has_node = true;
	} while (!is_filled(e, turn, &call));
	return true;
}

bool lmm_cu_log_carry(const struct lmm_cu_entry *e, bool is_across)
{
	struct lmm_cu_call call = e->call;
	struct lmm_cu_entry *to;
	uint64_t turn;

	/* what the device has queued up may be many turns behind; what CUPTI has lost must not fill the room */
	if (call.n_carried &&
	    (call.n_carried == LMM_CU_CARRIED_MAX ||
	     (uint32_t)atomic_load_explicit(&next, memory_order_relaxed) >= LMM_CU_ROOM / 4))
		return false;
	call.n_carried++;
	call.is_across = is_across;
	call.n_before += e->seen;
	do {
		to = place_take(&turn);
	} while (to && !is_filled(to, turn, &call));
	return to != NULL;
}

static bool is_launch(uint32_t cbid)
{
	return cbid == 307 || cbid == 442 || cbid == 652 || cbid == 653 || cbid == 477 ||
	       cbid == 478;
}

uint32_t lmm_cu_log_first(void)
{
	return atomic_load_explicit(&first, memory_order_relaxed);
}

static void first_note(uint32_t correlation)
{
	uint32_t old = lmm_cu_log_first();

	while (correlation < old &&
	       !atomic_compare_exchange_weak_explicit(&first, &old, correlation,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void lmm_cu_log_correlate(uint32_t cbid, uint32_t correlation)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_known() : NULL;
	struct lmm_cu_thread *x = &lmm_cu_self;

	first_note(correlation);
	if (x->is_inside) {
		if (!x->window) /* it opened after our hook had looked */
			lmm_cu_log_begin();
		x->correlation[1] = x->correlation[0];
		x->correlation[0] = correlation;
	} else if (th && is_launch(cbid) && !x->capture) {
		/* a library that goes past our hooks (cuBLAS): for the node that is being computed, nevertheless */
		struct lmm_cu_command c = { .th = th, .t = lmm_now() };

		lmm_cu_log_begin();
		x->correlation[0] = correlation;
		(void)lmm_cu_log_put(&c, 0, LMM_KERNEL_PROGRAM, 0, NULL);
	}
}

struct lmm_cu_log lmm_cu_log_turn(bool is_last)
{
	uint64_t turn = atomic_load(&next) >> 32, old;
	struct lmm_cu_log log = { .since_t = turned_t };

	if (is_last)
		atomic_store(&live, 0);
	turned_t = lmm_now();
	/* pairs with the acquire where places are given out: that half has been read */
	old = atomic_exchange_explicit(&next, (turn + 1) << 32, memory_order_acq_rel);
	log.roomless = atomic_exchange(&n_roomless, 0);
	atomic_store(&n_pending, 0);
	log.entries = halves[turn & 1];
	log.n = !log.entries ? 0 : (uint32_t)old < LMM_CU_ROOM ? (uint32_t)old : LMM_CU_ROOM;
	for (uint32_t i = 0; i < log.n; i++) {
		struct lmm_cu_entry *e = &log.entries[i];

		e->is_handed = is_handed(e, turn);
		e->seen = 0;
		e->is_exact = false;
	}
	return log;
}

uint32_t lmm_cu_log_turns(void)
{
	return (uint32_t)(atomic_load(&next) >> 32);
}

uint32_t lmm_cu_log_pending(void)
{
	return atomic_load_explicit(&n_pending, memory_order_relaxed);
}
