/* SPDX-License-Identifier: Apache-2.0 */
/* The result's tables of steps, layers, kernels and threads. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/build.h"

/* ---- steps, layers ------------------------------------------------------------------------------ */

static double mean_positions(const struct filled *p)
{
	return p->tokens ? (double)p->positions / (double)p->tokens : -1;
}

int lmm__steps_build(struct builder *b)
{
	const struct ledger *l = b->a->main;
	struct lmm_result_steps *s = &b->r->steps;

	s->prefill = lmm__stats_split(&l->prefill, b->rate);
	s->decode = lmm__stats_split(&l->decode, b->rate);
	s->prefill_tokens = l->prefill_tokens;
	s->decode_tokens = l->decode_tokens;
	s->prefill_first_use_count = l->prefill.first.count;
	s->decode_first_use_count = l->decode.first.count;
	s->prefill_first_use_tokens = l->prefill_first_tokens;
	s->decode_first_use_tokens = l->decode_first_tokens;
	s->prefill_positions = mean_positions(&l->prefill_filled);
	s->decode_positions = mean_positions(&l->decode_filled);
	s->warmup_steps = b->a->warm->steps;
	s->bins = lmm__array_new(l->n_bins, sizeof(*s->bins));
	if (!s->bins)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n_bins; i++) {
		struct lmm_result_context_bin *to = &s->bins[s->n_bins];

		if (l->bins[i].count == 0)
			continue;
		to->context_from = i * l->bin_width;
		to->context_to = (i + 1) * l->bin_width;
		to->stats = lmm__stats_make(&l->bins[i], b->rate);
		s->n_bins++;
	}
	return 0;
}

int lmm__layers_build(struct builder *b)
{
	const struct ledger *l = b->a->main;
	struct lmm_result *r = b->r;

	r->layers = lmm__array_new(l->n_layers, sizeof(*r->layers));
	if (!r->layers)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n_layers; i++) {
		const struct layer_sum *y = &l->layers[i];
		struct lmm_result_layer *to = &r->layers[r->n_layers];

		if (y->prefill + y->decode == 0)
			continue;
		to->layer = (int32_t)i - 1;
		to->attention_ns = builder_ns(b, y->part[LAYER_ATTENTION]);
		to->mlp_ns = builder_ns(b, y->part[LAYER_MLP]);
		to->norm_ns = builder_ns(b, y->part[LAYER_NORM]);
		to->other_ns = builder_ns(b, y->part[LAYER_OTHER]);
		to->total_ns = builder_ns(b, y->prefill + y->decode);
		to->prefill_ns = builder_ns(b, y->prefill);
		to->decode_ns = builder_ns(b, y->decode);
		r->n_layers++;
	}
	r->graph_span_ns = builder_ns(b, l->span);
	r->graph_kernels_ns = builder_ns(b, l->kernel_ticks);
	r->graph_gaps_ns = builder_ns(b, l->gap);
	r->graph_own_ns = builder_ns(b, l->own);
	return 0;
}

/* ---- kernels, threads --------------------------------------------------------------------------- */

static int kernel_compare(const void *x, const void *y)
{
	const struct lmm_result_kernel *a = x, *b = y;
	int rc;

	if (a->estimate_ns != b->estimate_ns)
		return a->estimate_ns > b->estimate_ns ? -1 : 1;
	rc = strcmp(a->name, b->name);
	if (rc == 0)
		rc = strcmp(a->op, b->op);
	if (rc == 0)
		rc = strcmp(a->device, b->device);
	if (rc == 0)
		rc = strcmp(a->weight_type, b->weight_type);
	if (rc)
		return rc;
	if (a->phase != b->phase)
		return a->phase < b->phase ? -1 : 1;
	if (a->role != b->role)
		return a->role < b->role ? -1 : 1;
	return a->fused < b->fused ? -1 : a->fused > b->fused;
}

/*
 * All runs from those that were timed: as many times their mean; the interval is Student's of the mean, less what a sample
 * without replacement knows already.
 */
static void estimate(struct lmm_result_kernel *k, const struct split *split)
{
	const struct lmm_hist *h = &split->steady;
	double n = (double)h->count, all = n + (double)k->untimed, variance;

	k->estimate_ns = k->stats.total_ns;
	if (k->untimed == 0)
		return;
	k->estimate_half_ns = -1;
	k->estimate_ns += k->stats.mean_ns * (double)k->untimed;
	if (n < 2 || h->sum == 0)
		return;
	variance = lmm_hist_variance(h) * pow(k->stats.mean_ns * n / (double)h->sum, 2);
	k->estimate_half_ns = lmm_student_95(n - 1) * all * sqrt(variance / n * (1 - n / all));
}

/* What it streams is KV cache, else weights: see lmm_cost_streams(). */
static int reads_cache(const struct lmm_result_kernel *k)
{
	return strcmp(k->op, "FLASH_ATTN_EXT") == 0 ||
	       (strcmp(k->op, "MUL_MAT") == 0 && !k->weight_type[0]);
}

/* Times that command buffers were handed over without being told what they consist of, for each time that was told; by phase. */
static void buffers_scale(const struct lmm_analysis *a, const struct ledger *l, double *scale)
{
	uint64_t closed[LMM_PHASE_COUNT] = { 0 }, opened[LMM_PHASE_COUNT] = { 0 };

	for (uint32_t i = 0; i < l->n_kernels && i < a->n_keys; i++) {
		if (!l->kernels[i].is_buffer)
			continue;
		closed[a->keys[i].phase] += l->kernels[i].untimed;
		opened[a->keys[i].phase] += l->kernels[i].opened;
	}
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++)
		scale[p] = opened[p] ? (double)closed[p] / (double)opened[p] : 0;
}

static uint64_t scaled(uint64_t value, double by)
{
	double v = (double)value * by;

	return v < 1.8e19 ? (uint64_t)(v + 0.5) : UINT64_MAX;
}

/* Runs inside of command buffers are as many for each that was not looked into. */
static void buffers_add(struct lmm_result_kernel *k, const struct kernel_sum *sum, double scale)
{
	uint64_t more = scaled(sum->in_buffer, scale), seen = k->stats.count + k->untimed;
	double by = seen ? (double)(seen + more) / (double)seen : 1;

	if (!more)
		return;
	k->untimed += more;
	k->bytes = scaled(k->bytes, by);
	k->flops = scaled(k->flops, by);
	k->weight_bytes = scaled(k->weight_bytes, by);
	k->cache_bytes = scaled(k->cache_bytes, by);
	k->cache_positions = scaled(k->cache_positions, by);
}

int lmm__kernels_build(struct builder *b)
{
	const struct lmm_analysis *a = b->a;
	const struct ledger *l = a->main;
	struct lmm_result *r = b->r;
	double scale[LMM_PHASE_COUNT];

	r->kernels = lmm__array_new(l->n_kernels, sizeof(*r->kernels));
	if (!r->kernels)
		return -ENOMEM;
	buffers_scale(a, l, scale);
	for (uint32_t i = 0; i < l->n_kernels && i < a->n_keys; i++) {
		const struct key *k = &a->keys[i];
		const struct base *base = &a->bases[k->base];
		struct lmm_result_kernel *to = &r->kernels[r->n_kernels];

		if (lmm__split_count(&l->kernels[i].hist) + l->kernels[i].untimed == 0)
			continue;
		/* its kernels' rows have it */
		if (l->kernels[i].is_buffer && scale[k->phase] > 0)
			continue;
		to->name = builder_text(b, base->name);
		to->op = builder_text(b, base->op);
		to->role = base->role;
		to->device = builder_text(b, k->device);
		to->phase = k->phase;
		to->fused = k->fused;
		to->weight_type = builder_text(b, base->weight_type);
		to->stats = lmm__stats_split(&l->kernels[i].hist,
					     k->ticks_per_second ? 1e9 / (double)k->ticks_per_second
								 : b->rate);
		to->untimed = l->kernels[i].untimed;
		to->first_use_count = l->kernels[i].hist.first.count;
		to->first_use_ns = builder_ns(b, l->kernels[i].first_use);
		to->exclusive_ns = k->device == a->cpu ? to->stats.total_ns
						       : builder_ns(b, l->kernels[i].alone);
		to->bytes = l->kernels[i].bytes;
		to->flops = l->kernels[i].flops;
		if (reads_cache(to)) {
			to->cache_bytes = l->kernels[i].streamed;
		} else {
			to->weight_bytes = l->kernels[i].streamed;
		}
		to->cache_positions = l->kernels[i].positions;
		buffers_add(to, &l->kernels[i], scale[k->phase]);
		estimate(to, &l->kernels[i].hist);
		r->n_kernels++;
	}
	qsort(r->kernels, r->n_kernels, sizeof(*r->kernels), kernel_compare);
	return 0;
}

static int thread_compare(const void *x, const void *y)
{
	const struct lmm_result_thread *a = x, *b = y;

	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	return a->tid < b->tid ? -1 : a->tid > b->tid;
}

/* A thread may have had several rings, one after the other. */
static void threads_join(struct lmm_result *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_threads; i++) {
		struct lmm_result_thread *x = &r->threads[i], *last = n ? &r->threads[n - 1] : NULL;

		if (last && thread_compare(last, x) == 0) {
			last->operators += x->operators;
			last->busy_ns += x->busy_ns;
			last->wait_ns += x->wait_ns;
		} else {
			r->threads[n++] = *x;
		}
	}
	r->n_threads = n;
}

int lmm__threads_build(struct builder *b)
{
	struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;

	r->threads =
		lmm__array_new(a->session.threads_all ? LMM_I_STREAMS : 0, sizeof(*r->threads));
	if (!r->threads)
		return -ENOMEM;
	for (uint32_t i = 0; a->session.threads_all && i < LMM_I_STREAMS; i++) {
		const struct stream *s = a->streams[i];
		struct lmm_result_thread *to = &r->threads[r->n_threads];

		if (!s || s->operators == 0 || s->process == LMM_I_NONE)
			continue;
		to->process = a->processes[s->process].index;
		to->tid = s->tid;
		to->operators = s->operators;
		to->busy_ns = builder_ns(b, s->busy);
		to->wait_ns = builder_ns(b, s->wait);
		r->n_threads++;
	}
	qsort(r->threads, r->n_threads, sizeof(*r->threads), thread_compare);
	threads_join(r);
	return 0;
}
