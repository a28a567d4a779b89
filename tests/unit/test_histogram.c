/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms against the sorted values themselves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/histogram.h"
#include "base/bytes.h"
#include "lmmeter/trace.h"

#define N 20000

static uint64_t dice_state = 1;

static uint64_t dice(void)
{
	dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
	return dice_state >> 16;
}

static int compare(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

/* The nearest-rank quantile of the values themselves. */
static uint64_t exact(const uint64_t *sorted, size_t n, double q)
{
	size_t rank = (size_t)ceil(q * (double)n - 1e-6);

	return sorted[rank ? rank - 1 : 0];
}

static uint64_t *values_make(unsigned bits)
{
	uint64_t *v = calloc(N, sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < N; i++)
		v[i] = dice() >> (48 - 1 - dice() % bits);
	return v;
}

static void test_quantiles(void **state)
{
	static const double qs[] = { 0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1 };

	(void)state;
	for (unsigned bits = 3; bits <= 47; bits += 4) {
		uint64_t *v = values_make(bits), sum = 0;
		struct lmm_hist h = { 0 };

		for (size_t i = 0; i < N; i++) {
			lmm_hist_add(&h, v[i]);
			sum += v[i];
		}
		qsort(v, N, sizeof(*v), compare);
		assert_int_equal(h.count, N);
		assert_int_equal(h.sum, sum);
		assert_int_equal(h.min, v[0]);
		assert_int_equal(h.max, v[N - 1]);
		for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
			double is = lmm_hist_quantile(&h, qs[i]),
			       should = (double)exact(v, N, qs[i]);

			/* half a bucket in 64 of a power of two; below 64 exactly */
			assert_true(fabs(is - should) <= (should < 64 ? 0 : should * 0.0079));
		}
		lmm_hist_free(&h);
		free(v);
	}
}

/* The header's promise, and no better than it says. */
static void test_bucket_error(void **state)
{
	double worst = 0;

	(void)state;
	for (uint64_t v = 1; v < 1u << 20; v = v + 1 + v / 700) {
		struct lmm_hist h = { 0 };
		double q;

		lmm_hist_add(&h, v);
		assert_true(lmm_hist_quantile(&h, 0.5) == (double)v); /* bounded by min and max */
		lmm_hist_add(&h, 0);
		lmm_hist_add(&h, UINT64_MAX);
		q = lmm_hist_quantile(&h, 0.5);
		worst = fmax(worst, fabs(q - (double)v) / (double)v);
		lmm_hist_free(&h);
	}
	assert_true(worst < 0.0079);
	assert_true(worst > 0.0070);
}

static void test_indices(void **state)
{
	unsigned last = lmm_hist_index(0);

	(void)state;
	assert_int_equal(last, 0);
	for (unsigned e = 0; e < 64; e++) {
		uint64_t v = 1ull << e;

		assert_true(lmm_hist_index(v) > last);
		assert_true(lmm_hist_index(v) == lmm_hist_index(v - 1) + 1);
		last = lmm_hist_index(v);
	}
	assert_int_equal(lmm_hist_index(UINT64_MAX), LMM_HIST_BUCKETS - 1);
}

static void assert_same(const struct lmm_hist *a, const struct lmm_hist *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->sum, b->sum);
	assert_int_equal(a->min, b->min);
	assert_int_equal(a->max, b->max);
	for (double q = 0; q <= 1; q += 0.001)
		assert_true(lmm_hist_quantile(a, q) == lmm_hist_quantile(b, q));
}

/* Merging parts gives what one histogram of all would have been, in any order. */
static void test_merge(void **state)
{
	uint64_t *v = values_make(40);
	struct lmm_hist all = { 0 }, parts[3] = { { 0 } }, sum = { 0 }, empty = { 0 };

	(void)state;
	for (size_t i = 0; i < N; i++) {
		lmm_hist_add(&all, v[i]);
		lmm_hist_add(&parts[v[i] % 3], v[i]);
	}
	for (int i = 2; i >= 0; i--)
		assert_int_equal(lmm_hist_merge(&sum, &parts[i]), 0);
	assert_int_equal(lmm_hist_merge(&sum, &empty), 0);
	assert_same(&all, &sum);
	for (int i = 0; i < 3; i++)
		lmm_hist_free(&parts[i]);
	lmm_hist_free(&all);
	lmm_hist_free(&sum);
	free(v);
}

static void test_save_load(void **state)
{
	uint64_t *v = values_make(47);
	struct lmm_hist h = { 0 }, back = { 0 };
	struct lmm_buf buf = { 0 };
	struct lmm_cur cur;

	(void)state;
	for (size_t i = 0; i < N; i++)
		lmm_hist_add(&h, v[i]);
	lmm_hist_save(&h, &buf);
	cur = lmm_cur_make(buf.data, buf.n);
	assert_int_equal(lmm_hist_load(&back, &cur), 0);
	assert_int_equal(lmm_cur_left(&cur), 0);
	assert_same(&h, &back);
	for (size_t n = 0; n < buf.n; n++) {
		cur = lmm_cur_make(buf.data, n);
		assert_int_equal(lmm_hist_load(&back, &cur), LMM_E_CORRUPT);
		assert_null(back.counts);
	}
	for (size_t i = 0; i < buf.n; i++) {
		uint8_t was = buf.data[i];

		buf.data[i] ^= (uint8_t)(1 + dice() % 255);
		cur = lmm_cur_make(buf.data, buf.n);
		(void)lmm_hist_load(&back, &cur);
		(void)lmm_hist_quantile(&back, 0.5);
		buf.data[i] = was;
	}
	lmm_hist_free(&h);
	lmm_hist_free(&back);
	lmm_buf_free(&buf);
	free(v);
}

static void test_empty_and_full(void **state)
{
	struct lmm_hist h = { 0 };

	(void)state;
	assert_true(lmm_hist_quantile(&h, 0.5) == 0);
	lmm_hist_add(&h, 100);
	h.counts[lmm_hist_index(100) - h.first] = UINT32_MAX;
	lmm_hist_add(&h, 100);
	assert_int_equal(h.counts[lmm_hist_index(100) - h.first],
			 UINT32_MAX); /* stays, does not begin anew */
	lmm_hist_free(&h);
}

/* Values that differ from a boundary by less than 1/128 of it may be on either side. */
static void test_count_to(void **state)
{
	(void)state;
	for (unsigned bits = 3; bits <= 47; bits += 4) {
		uint64_t *v = values_make(bits);
		struct lmm_hist h = { 0 };

		for (size_t i = 0; i < N; i++)
			lmm_hist_add(&h, v[i]);
		qsort(v, N, sizeof(*v), compare);
		for (size_t at = 0; at < N; at += N / 50) {
			double bound = (double)v[at] + 0.5;
			uint64_t least = 0, most = 0, got = lmm_hist_count_to(&h, bound);

			for (size_t i = 0; i < N; i++) {
				least += (double)v[i] < bound * (1 - 1 / 128.0);
				most += (double)v[i] <= bound * (1 + 1 / 128.0);
			}
			assert_in_range(got, least, most);
		}
		assert_int_equal(lmm_hist_count_to(&h, (double)v[N - 1]), N);
		assert_int_equal(lmm_hist_count_to(&h, (double)v[0] - 1), 0);
		lmm_hist_free(&h);
		free(v);
	}
	assert_int_equal(lmm_hist_count_to(&(struct lmm_hist){ 0 }, 1e9), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles),      cmocka_unit_test(test_bucket_error),
		cmocka_unit_test(test_indices),	       cmocka_unit_test(test_merge),
		cmocka_unit_test(test_save_load),      cmocka_unit_test(test_count_to),
		cmocka_unit_test(test_empty_and_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
