/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

void lmm__hist_add(struct lmm_hist *h, uint64_t v)
{
	lmm_hist_add(h, v);
}

struct ledger *lmm__ledger_create(void)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (l)
		l->bin_width = LMM_I_BIN_WIDTH;
	return l;
}

static void split_free(struct split *s)
{
	lmm_hist_free(&s->steady);
	lmm_hist_free(&s->first);
}

static int split_merge(struct split *into, const struct split *from)
{
	return lmm_hist_merge(&into->steady, &from->steady) |
	       lmm_hist_merge(&into->first, &from->first);
}

void lmm__ledger_destroy(struct ledger *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++)
		split_free(&l->phases[i].hist);
	split_free(&l->prefill);
	split_free(&l->decode);
	lmm_hist_free(&l->step_timed);
	lmm_hist_free(&l->step_untimed);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++)
		lmm_hist_free(&l->device_gaps[i].hist);
	for (uint32_t i = 0; i < l->n_bins; i++)
		lmm_hist_free(&l->bins[i]);
	for (uint32_t i = 0; i < l->n_kernels; i++)
		split_free(&l->kernels[i].hist);
	free(l->bins);
	free(l->layers);
	free(l->kernels);
	free(l);
}

static void *grow(void *p, uint32_t from, uint32_t to, size_t size)
{
	char *q = realloc(p, to * size);

	if (q)
		memset(q + from * size, 0, (to - from) * size);
	return q;
}

int lmm__ledger_grow_kernels(struct ledger *l, uint32_t n)
{
	struct kernel_sum *k;

	if (n <= l->n_kernels)
		return 0;
	k = grow(l->kernels, l->n_kernels, n, sizeof(*k));
	if (!k)
		return -1;
	l->kernels = k;
	l->n_kernels = n;
	return 0;
}

int lmm__ledger_grow_layers(struct ledger *l, uint32_t n)
{
	struct layer_sum *y;

	if (n <= l->n_layers)
		return 0;
	y = grow(l->layers, l->n_layers, n, sizeof(*y));
	if (!y)
		return -1;
	l->layers = y;
	l->n_layers = n;
	return 0;
}

int lmm__ledger_grow_bins(struct ledger *l, uint32_t n)
{
	struct lmm_hist *b;

	if (n <= l->n_bins)
		return 0;
	b = grow(l->bins, l->n_bins, n, sizeof(*b));
	if (!b)
		return -1;
	l->bins = b;
	l->n_bins = n;
	return 0;
}

/* Two bins become one. */
static void bins_double(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n_bins; i++) {
		struct lmm_hist h = l->bins[i];

		if (i % 2 == 0) {
			if (i == 0)
				continue;
			memset(&l->bins[i], 0, sizeof(l->bins[i]));
			l->bins[i / 2] = h;
			continue;
		}
		(void)lmm_hist_merge(&l->bins[i / 2], &h);
		lmm_hist_free(&l->bins[i]);
	}
	l->n_bins = (l->n_bins + 1) / 2;
	l->bin_width *= 2;
}

static struct lmm_hist *bin_at(struct ledger *l, uint64_t position)
{
	while (position / l->bin_width >= LMM_I_BINS)
		bins_double(l);
	if (lmm__ledger_grow_bins(l, (uint32_t)(position / l->bin_width) + 1))
		return NULL;
	return &l->bins[position / l->bin_width];
}

void lmm__ledger_bin(struct ledger *l, uint64_t position, uint64_t ticks)
{
	struct lmm_hist *h = position > INT64_MAX ? NULL : bin_at(l, position);
	if (h)
		lmm_hist_add(h, ticks);
}

static void filled_merge(struct filled *into, const struct filled *from)
{
	into->tokens += from->tokens;
	into->positions += from->positions;
}

static int bins_merge(struct ledger *into, const struct ledger *from)
{
	while (into->bin_width < from->bin_width)
		bins_double(into);
	for (uint32_t i = 0; i < from->n_bins; i++) {
		struct lmm_hist *h;

		if (from->bins[i].count == 0)
			continue;
		h = bin_at(into, i * from->bin_width);
		if (!h || lmm_hist_merge(h, &from->bins[i]))
			return -1;
	}
	return 0;
}

static int kernels_merge(struct ledger *into, const struct ledger *from)
{
	int rc = lmm__ledger_grow_kernels(into, from->n_kernels);

	for (uint32_t i = 0; rc == 0 && i < from->n_kernels; i++) {
		rc = split_merge(&into->kernels[i].hist, &from->kernels[i].hist);
		into->kernels[i].first_use += from->kernels[i].first_use;
		into->kernels[i].untimed += from->kernels[i].untimed;
		into->kernels[i].alone += from->kernels[i].alone;
		into->kernels[i].opened += from->kernels[i].opened;
		into->kernels[i].in_buffer += from->kernels[i].in_buffer;
		into->kernels[i].is_buffer |= from->kernels[i].is_buffer;
		into->kernels[i].bytes += from->kernels[i].bytes;
		into->kernels[i].flops += from->kernels[i].flops;
		into->kernels[i].streamed += from->kernels[i].streamed;
		into->kernels[i].positions += from->kernels[i].positions;
	}
	return rc;
}

static int layers_merge(struct ledger *into, const struct ledger *from)
{
	if (lmm__ledger_grow_layers(into, from->n_layers))
		return -1;
	for (uint32_t i = 0; i < from->n_layers; i++) {
		for (unsigned p = 0; p < LAYER_PARTS; p++)
			into->layers[i].part[p] += from->layers[i].part[p];
		into->layers[i].prefill += from->layers[i].prefill;
		into->layers[i].decode += from->layers[i].decode;
		into->layers[i].bytes += from->layers[i].bytes;
		for (unsigned t = 0; t < LMM_LAYER_TURNS; t++)
			into->layers[i].turn[t] += from->layers[i].turn[t];
	}
	return 0;
}

int lmm__ledger_merge(struct ledger *into, const struct ledger *from)
{
	int rc = 0;

	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		rc |= split_merge(&into->phases[i].hist, &from->phases[i].hist);
		into->phases[i].host += from->phases[i].host;
		into->phases[i].host_first += from->phases[i].host_first;
		into->phases[i].device += from->phases[i].device;
		into->phases[i].moved_in += from->phases[i].moved_in;
		into->phases[i].first_use += from->phases[i].first_use;
		into->phases[i].estimated += from->phases[i].estimated;
	}
	rc |= split_merge(&into->prefill, &from->prefill);
	rc |= split_merge(&into->decode, &from->decode);
	into->prefill_tokens += from->prefill_tokens;
	into->decode_tokens += from->decode_tokens;
	filled_merge(&into->prefill_filled, &from->prefill_filled);
	filled_merge(&into->decode_filled, &from->decode_filled);
	into->prefill_first_tokens += from->prefill_first_tokens;
	into->decode_first_tokens += from->decode_first_tokens;
	into->steps += from->steps;
	into->span += from->span;
	into->kernel_ticks += from->kernel_ticks;
	into->gap += from->gap;
	into->own += from->own;
	into->device_busy += from->device_busy;
	into->timed += from->timed;
	into->untimed += from->untimed;
	rc |= lmm_hist_merge(&into->step_timed, &from->step_timed);
	rc |= lmm_hist_merge(&into->step_untimed, &from->step_untimed);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		rc |= lmm_hist_merge(&into->device_gaps[i].hist, &from->device_gaps[i].hist);
		into->device_gaps[i].unsure += from->device_gaps[i].unsure;
	}
	lmm__places_merge(&into->places, &from->places);
	rc |= bins_merge(into, from);
	rc |= kernels_merge(into, from);
	rc |= layers_merge(into, from);
	return rc ? -1 : 0;
}
