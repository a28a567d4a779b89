/* SPDX-License-Identifier: Apache-2.0 */
/* What is handed over while a window is open. Places are given out by a counter; each is written by the thread that got it. */
#include <stdlib.h>
#include <string.h>

#include "probe/devices/cuda/window.h"

#define ENTRIES 32768u

static struct lmm_cu_entry *entries;
static _Atomic uint32_t n_entries;

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
	if (!entries)
		entries = calloc(ENTRIES, sizeof(*entries));
	if (!entries)
		return -1;
	memset(entries, 0,
	       (atomic_load(&n_entries) < ENTRIES ? atomic_load(&n_entries) : ENTRIES) *
		       sizeof(*entries));
	atomic_store(&n_entries, 0);
	return 0;
}

uint32_t lmm_cu_log_begin(struct lmm_thread *th, uint64_t t, cuda_stream stream)
{
	uint32_t at = atomic_fetch_add_explicit(&n_entries, 1, memory_order_relaxed);
	struct lmm_cu_entry *e;

	if (at >= ENTRIES || !entries)
		return 0;
	e = &entries[at];
	e->t = t;
	e->stream = stream;
	e->step = th->step;
	e->phase = (uint8_t)lmm_device_phase(th);
	e->graph = th->graph;
	e->node = lmm_device_node(th);
	atomic_store_explicit(&e->state, LMM_CU_BEGUN, memory_order_release);
	return at + 1;
}

void lmm_cu_log_end(uint32_t entry, uint32_t kernel, unsigned kind, uint64_t amount,
		    struct lmm_cu_graph *graph)
{
	struct lmm_cu_entry *e = &entries[entry - 1];

	e->kernel = kernel;
	e->kind = (uint8_t)kind;
	e->amount = amount;
	e->list = graph;
	atomic_store_explicit(&e->state, LMM_CU_HANDED, memory_order_release);
}

void lmm_cu_log_cancel(uint32_t entry)
{
	atomic_store(&entries[entry - 1].state, LMM_CU_CANCELLED);
}

static bool is_launch(uint32_t cbid)
{
	return cbid == 307 || cbid == 442 || cbid == 652 || cbid == 653 || cbid == 477 ||
	       cbid == 478;
}

void lmm_cu_log_correlate(uint32_t cbid, uint32_t correlation)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_known() : NULL;
	uint32_t entry = lmm_cu_self.entry;

	/* a library that goes past our hooks (cuBLAS): for the node that is being computed, nevertheless */
	if (!entry && th && is_launch(cbid) && !lmm_cu_self.is_inside && !lmm_cu_self.capture) {
		entry = lmm_cu_log_begin(th, lmm_now(), NULL);
		if (entry)
			lmm_cu_log_end(entry, 0, LMM_KERNEL_PROGRAM, 0, NULL);
	}
	if (!entry)
		return;
	entries[entry - 1].correlation[1] = entries[entry - 1].correlation[0];
	entries[entry - 1].correlation[0] = correlation;
}

struct lmm_cu_entry *lmm_cu_log_entries(uint32_t *n)
{
	uint32_t all = atomic_load_explicit(&n_entries, memory_order_acquire);

	*n = !entries ? 0 : all < ENTRIES ? all : ENTRIES;
	return entries;
}

uint32_t lmm_cu_log_lost(void)
{
	uint32_t all = atomic_load_explicit(&n_entries, memory_order_relaxed);

	return all > ENTRIES ? all - ENTRIES : 0;
}
