/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histogram of uint64 values (ticks), mergeable, fixed size: 64 equal buckets per power of two, so that a bucket's
 * middle is within 1/128 (0.79 %) of every value in it. Values below 64 are exact.
 * Index: values < 64 map to themselves; above, with e = floor(log2 v) >= 6, index = 64 * (e - 5) + ((v >> (e - 6)) & 63).
 */
#ifndef LMM_ANALYZE_HISTOGRAM_H
#define LMM_ANALYZE_HISTOGRAM_H

#include <stdint.h>

struct lmm_buf;
struct lmm_cur;

#define LMM_HIST_SCALE	 6
#define LMM_HIST_BUCKETS (64 * (64 - 5)) /* every uint64 has a bucket */

/*
 * Counts live in a heap block that grows to the span of indices seen, so an idle histogram is small.
 * Invariant: count = sum of counts[]; min, max and sum are exact.
 */
struct lmm_hist {
	uint64_t count;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint32_t *counts;
	uint32_t first; /* bucket index of counts[0] */
	uint32_t n;	/* buckets allocated */
};

static inline unsigned lmm_hist_index(uint64_t v)
{
	unsigned e;

	if (v < 64)
		return (unsigned)v;
	e = 63u - (unsigned)__builtin_clzll(v);
	return 64u * (e - 5u) + (unsigned)((v >> (e - 6u)) & 63u);
}

int lmm_hist_add_slow(struct lmm_hist *h, unsigned index);

/* Adds one value. On memory exhaustion the value still counts in count, sum, min and max. */
static inline void lmm_hist_add(struct lmm_hist *h, uint64_t v)
{
	unsigned i = lmm_hist_index(v);

	h->sum += v;
	if (v < h->min || h->count == 0)
		h->min = v;
	if (v > h->max)
		h->max = v;
	h->count++;
	if (__builtin_expect(i - h->first < h->n, 1)) {
		h->counts[i - h->first] += h->counts[i - h->first] != UINT32_MAX;
	} else {
		lmm_hist_add_slow(h, i);
	}
}

void lmm_hist_free(struct lmm_hist *h);
int lmm_hist_merge(struct lmm_hist *into, const struct lmm_hist *from);
/* The value at quantile q in [0, 1], as ticks: middle of its bucket, bounded by min and max; 0 if empty. */
double lmm_hist_quantile(const struct lmm_hist *h, double q);
/*
 * How many values were v or less. Where v lies inside a bucket, that is known to the bucket only: its values count if its middle
 * does, so one that differs from v by less than 1/128 (0.8 %) may be on the wrong side.
 */
uint64_t lmm_hist_count_to(const struct lmm_hist *h, double v);
/* Of the values (n - 1 in the denominator), from the middles of their buckets; 0 with fewer than two. */
double lmm_hist_variance(const struct lmm_hist *h);
/* Two-sided 95 % quantile of Student's t, for 1 degree of freedom or more; within 0.5 %. */
double lmm_student_95(double freedom);
void lmm_hist_save(const struct lmm_hist *h, struct lmm_buf *out);
int lmm_hist_load(struct lmm_hist *h, struct lmm_cur *in); /* 0 or LMM_E_CORRUPT */

#endif
