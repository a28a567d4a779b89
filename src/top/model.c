/* SPDX-License-Identifier: Apache-2.0 */
#include "top/top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"

struct lmm_top *lmm_top_create(void)
{
	static const struct lmm_result_machine nothing = { 0 };
	struct lmm_top *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->tokens_per_second_now = t->own_percent = -1;
	lmm__top_machine_update(&t->machine, &nothing);
	return t;
}

void lmm_top_destroy(struct lmm_top *t)
{
	if (!t)
		return;
	lmm_result_destroy(t->result);
	free(t);
}

static uint64_t kernel_key(const struct lmm_result_kernel *k)
{
	uint64_t h = lmm_hash_bytes(LMM_HASH_SEED, k->name, strlen(k->name) + 1);

	h = lmm_hash_bytes(h, k->op, strlen(k->op) + 1);
	h = lmm_hash_bytes(h, k->device, strlen(k->device) + 1);
	h = lmm_hash_bytes(h, k->weight_type, strlen(k->weight_type) + 1);
	h = lmm_hash_u64(h, k->phase | (uint64_t)k->role << 8 | (uint64_t)k->fused << 16);
	return h ? h : 1;
}

static void history_push(float *history, double value)
{
	memmove(history, history + 1, (LMM_TOP_HISTORY - 1) * sizeof(*history));
	history[LMM_TOP_HISTORY - 1] = (float)value;
}

/* Kernels are sorted: if there are more than can be kept, those without a place have little to show. */
static struct lmm_top_track *track_of(struct lmm_top *t, uint64_t key)
{
	struct lmm_top_track *free_one = NULL;

	for (unsigned i = 0; i < LMM_TOP_TRACKS; i++) {
		struct lmm_top_track *x = &t->tracks[i];

		if (x->key == key)
			return x;
		if (!free_one && x->key == 0)
			free_one = x;
	}
	if (free_one)
		free_one->key = key;
	return free_one;
}

static void tracks_update(struct lmm_top *t, double elapsed_ns)
{
	for (size_t i = 0; i < t->result->n_kernels && i < LMM_TOP_TRACKS; i++) {
		const struct lmm_result_kernel *k = &t->result->kernels[i];
		struct lmm_top_track *x = track_of(t, kernel_key(k));

		if (!x)
			continue;
		if (elapsed_ns > 0 && k->estimate_ns > x->total_ns + 1) {
			history_push(x->share, (k->estimate_ns - x->total_ns) / elapsed_ns);
		} else {
			history_push(x->share, 0);
		}
		x->total_ns = k->estimate_ns;
		x->updated = t->updates;
	}
}

static void phases_update(struct lmm_top *t)
{
	double sum = 0, total[LMM_PHASE_COUNT] = { 0 };

	for (size_t i = 0; i < t->result->n_phases; i++) {
		const struct lmm_result_phase *p = &t->result->phases[i];

		if (p->share_percent >= 0)
			total[p->phase] = p->stats.total_ns;
	}
	memset(t->phase_now, 0, sizeof(t->phase_now));
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		/* sums of the whole are taken anew each time: they may differ in their last digits */
		if (total[i] > t->phase_ns[i] + 1)
			sum += t->phase_now[i] = total[i] - t->phase_ns[i];
	}
	for (unsigned i = 0; i < LMM_PHASE_COUNT && sum > 0; i++)
		t->phase_now[i] /= sum;
	memcpy(t->phase_ns, total, sizeof(total));
}

static void tokens_update(struct lmm_top *t, double elapsed_ns)
{
	uint64_t before = t->tokens;

	t->tokens = t->result->ttft.count + t->result->itl.count + t->result->itl_apart;
	t->tokens_per_second_now = -1;
	if (!(elapsed_ns > 0))
		return;
	t->tokens_per_second_now =
		t->tokens > before ? (double)(t->tokens - before) / elapsed_ns * 1e9 : 0;
	history_push(t->tokens_per_second, t->tokens_per_second_now);
}

static void processes_update(struct lmm_top *t, double elapsed_ns)
{
	for (size_t i = 0; i < t->result->n_processes && i < LMM_TOP_PROCESSES; i++) {
		struct lmm_top_process *p = &t->processes[i];
		uint64_t before = p->tokens;

		p->tokens = t->result->processes[i].output_tokens;
		p->tokens_per_second_now = -1;
		if (!(elapsed_ns > 0))
			continue;
		p->tokens_per_second_now =
			p->tokens > before ? (double)(p->tokens - before) / elapsed_ns * 1e9 : 0;
		history_push(p->tokens_per_second, p->tokens_per_second_now);
	}
}

int lmm_top_update(struct lmm_top *t, const struct lmm_analysis *a)
{
	struct lmm_result *r = lmm_analysis_result(a);
	uint64_t now_ns = lmm_mono_ns(), own_ns = lmm_cpu_ns();
	double elapsed_ns = t->updates ? (double)(now_ns - t->now_ns) : 0;

	if (!r)
		return -ENOMEM;
	lmm_result_destroy(t->result);
	t->result = r;
	t->phase = (uint8_t)lmm_analysis_phase(a);
	if (elapsed_ns > 0)
		t->own_percent = 100 * (double)(own_ns - t->own_cpu_ns) / elapsed_ns;
	t->own_cpu_ns = own_ns;
	t->now_ns = now_ns;
	tokens_update(t, elapsed_ns);
	phases_update(t);
	processes_update(t, elapsed_ns);
	lmm__top_machine_update(&t->machine, &r->machine);
	tracks_update(t, elapsed_ns);
	t->updates++;
	return 0;
}

const struct lmm_top_track *lmm_top_track(const struct lmm_top *t,
					  const struct lmm_result_kernel *k)
{
	uint64_t key = kernel_key(k);

	for (unsigned i = 0; i < LMM_TOP_TRACKS; i++) {
		if (t->tracks[i].key == key)
			return &t->tracks[i];
	}
	return NULL;
}
