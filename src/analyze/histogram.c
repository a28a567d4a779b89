/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/histogram.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lmmeter/trace.h"

#define BUCKETS ((uint32_t)LMM_HIST_BUCKETS)
#define SLACK	16 /* buckets of room on either side when a block grows */

/* Makes [from, to) part of the block. */
static int span_grow(struct lmm_hist *h, uint32_t from, uint32_t to)
{
	uint32_t first = h->first, end = h->first + h->n;
	uint32_t *counts;

	if (h->n == 0) {
		first = from;
		end = to;
	}
	if (from < first)
		first = from > SLACK ? from - SLACK : 0;
	if (to > end)
		end = to < BUCKETS - SLACK ? to + SLACK : BUCKETS;
	counts = calloc(end - first, sizeof(*counts));
	if (!counts)
		return -1;
	if (h->n)
		memcpy(counts + (h->first - first), h->counts, h->n * sizeof(*counts));
	free(h->counts);
	h->counts = counts;
	h->first = first;
	h->n = end - first;
	return 0;
}

int lmm_hist_add_slow(struct lmm_hist *h, unsigned index)
{
	if (span_grow(h, index, index + 1))
		return -1;
	h->counts[index - h->first]++;
	return 0;
}

void lmm_hist_free(struct lmm_hist *h)
{
	free(h->counts);
	memset(h, 0, sizeof(*h));
}

static uint32_t add_saturated(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

int lmm_hist_merge(struct lmm_hist *into, const struct lmm_hist *from)
{
	int rc = 0;

	if (from->count == 0)
		return 0;
	if (from->n && (from->first < into->first || from->first + from->n > into->first + into->n))
		rc = span_grow(into, from->first, from->first + from->n);
	if (rc == 0 && from->n) {
		uint32_t *to = into->counts + (from->first - into->first);

		for (uint32_t i = 0; i < from->n; i++)
			to[i] = add_saturated(to[i], from->counts[i]);
	}
	if (into->count == 0 || from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	into->count += from->count;
	into->sum += from->sum;
	return rc;
}

/* The middle of a bucket: the mean of the first and the last integer in it. */
static double bucket_middle(uint32_t index)
{
	uint32_t e = index / 64 + 5;
	double width;

	if (index < 64)
		return index;
	width = (double)(1ull << (e - 6));
	return (double)(64 + index % 64) * width + (width - 1) / 2;
}

double lmm_hist_quantile(const struct lmm_hist *h, double q)
{
	double target = q * (double)h->count, seen = 0, v = (double)h->max;

	if (h->count == 0)
		return 0;
	if (target < 1)
		target = 1;
	for (uint32_t i = 0; i < h->n; i++) {
		seen += h->counts[i];
		/* products like 0.95 * 20 come out a hair above the integer */
		if (seen >= target - 1e-6) {
			v = bucket_middle(h->first + i);
			break;
		}
	}
	if (v < (double)h->min)
		v = (double)h->min;
	return v > (double)h->max ? (double)h->max : v;
}

uint64_t lmm_hist_count_to(const struct lmm_hist *h, double v)
{
	uint64_t n = 0;

	if (h->count == 0 || v < (double)h->min)
		return 0;
	if (v >= (double)h->max)
		return h->count;
	for (uint32_t i = 0; i < h->n && bucket_middle(h->first + i) <= v; i++)
		n += h->counts[i];
	return n;
}

double lmm_hist_variance(const struct lmm_hist *h)
{
	double mean, sum = 0, n = 0;

	if (h->count < 2)
		return 0;
	mean = (double)h->sum / (double)h->count;
	for (uint32_t i = 0; i < h->n; i++) {
		double d = bucket_middle(h->first + i) - mean;

		sum += h->counts[i] * d * d;
		n += h->counts[i];
	}
	return n < 2 ? 0 : sum / (n - 1);
}

/* Cornish and Fisher's expansion about the normal distribution (Abramowitz and Stegun, 26.7.5). */
double lmm_student_95(double freedom)
{
	const double z = 1.959964, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;

	if (freedom < 1.5)
		return 12.7062;
	if (freedom < 2.5)
		return 4.30265;
	return z + (z3 + z) / (4 * freedom) +
	       (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
	       (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

/* count, sum, min, max, buckets in use, then gap and count of each. */
void lmm_hist_save(const struct lmm_hist *h, struct lmm_buf *out)
{
	uint32_t used = 0, at = 0;

	lmm_buf_put_varint(out, h->count);
	if (h->count == 0)
		return;
	lmm_buf_put_varint(out, h->sum);
	lmm_buf_put_varint(out, h->min);
	lmm_buf_put_varint(out, h->max - h->min);
	for (uint32_t i = 0; i < h->n; i++)
		used += h->counts[i] != 0;
	lmm_buf_put_varint(out, used);
	for (uint32_t i = 0; i < h->n; i++) {
		if (h->counts[i] == 0)
			continue;
		lmm_buf_put_varint(out, h->first + i - at);
		lmm_buf_put_varint(out, h->counts[i]);
		at = h->first + i;
	}
}

static int load_bucket(struct lmm_hist *h, uint64_t index, uint64_t count)
{
	if (index >= BUCKETS || count == 0 || count > UINT32_MAX)
		return LMM_E_CORRUPT;
	if (index - h->first >= h->n && span_grow(h, (uint32_t)index, (uint32_t)index + 1))
		return LMM_E_CORRUPT;
	h->counts[index - h->first] = (uint32_t)count;
	return 0;
}

int lmm_hist_load(struct lmm_hist *h, struct lmm_cur *in)
{
	uint64_t used, at = 0;

	lmm_hist_free(h);
	h->count = lmm_cur_varint(in);
	if (h->count == 0)
		return in->bad ? LMM_E_CORRUPT : 0;
	h->sum = lmm_cur_varint(in);
	h->min = lmm_cur_varint(in);
	h->max = h->min + lmm_cur_varint(in);
	used = lmm_cur_varint(in);
	if (in->bad || used > BUCKETS || h->max < h->min)
		goto err;
	for (uint64_t i = 0; i < used; i++) {
		uint64_t gap = lmm_cur_varint(in), n = lmm_cur_varint(in);

		if (in->bad || gap > BUCKETS || (i > 0 && gap == 0))
			goto err;
		at += gap;
		if (load_bucket(h, at, n))
			goto err;
	}
	return 0;
err:
	lmm_hist_free(h);
	return LMM_E_CORRUPT;
}
