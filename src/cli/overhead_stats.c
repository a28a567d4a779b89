/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/overhead.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double lmm_overhead_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double lmm_overhead_t975(unsigned df)
{
	static const struct {
		unsigned df;
		double t;
	} table[] = {
		{ 1, 12.706 }, { 2, 4.303 },  { 3, 3.182 },   { 4, 2.776 },   { 5, 2.571 },
		{ 6, 2.447 },  { 7, 2.365 },  { 8, 2.306 },   { 9, 2.262 },   { 10, 2.228 },
		{ 11, 2.201 }, { 12, 2.179 }, { 13, 2.160 },  { 14, 2.145 },  { 15, 2.131 },
		{ 16, 2.120 }, { 18, 2.101 }, { 20, 2.086 },  { 25, 2.060 },  { 30, 2.042 },
		{ 40, 2.021 }, { 60, 2.000 }, { 120, 1.980 }, { 250, 1.970 }, { 500, 1.965 },
	};
	size_t i = LMM_ARRAY_SIZE(table) - 1;

	while (i > 0 && table[i].df > df)
		i--;
	return table[i].t;
}

static double percent_of(double log_ratio)
{
	return expm1(log_ratio) * 100;
}

void lmm_overhead_interval(const double *log_ratios, unsigned n, struct lmm_overhead_interval *out)
{
	double mean = 0, squares = 0, half;

	memset(out, 0, sizeof(*out));
	out->n = n;
	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		mean += log_ratios[i] / n;
	out->percent = percent_of(mean);
	out->low_percent = out->high_percent = out->half_width_percent = NAN;
	if (n == 1)
		return;
	for (unsigned i = 0; i < n; i++)
		squares += (log_ratios[i] - mean) * (log_ratios[i] - mean);
	half = lmm_overhead_t975(n - 1) * sqrt(squares / (n - 1) / n);
	out->low_percent = percent_of(mean - half);
	out->high_percent = percent_of(mean + half);
	out->half_width_percent = (out->high_percent - out->low_percent) / 2;
}

static double value_of(const struct lmm_overhead_run *r, enum lmm_overhead_which which)
{
	switch (which) {
	case LMM_OVERHEAD_PREFILL:
		return r->prefill_ns;
	case LMM_OVERHEAD_DECODE:
		return r->decode_ns;
	default:
		return r->wall_ns;
	}
}

static int lies_beside_zero(const struct lmm_overhead_interval *i)
{
	return i->n >= 2 && (i->low_percent > 0 || i->high_percent < 0);
}

/* A difference is only believed if runs that do not differ in anything show a smaller one. */
static enum lmm_overhead_verdict judge(const struct lmm_overhead_metric *m)
{
	const struct lmm_overhead_interval *s = &m->slowdown;

	if (s->n < 2)
		return LMM_OVERHEAD_UNKNOWN;
	if (lies_beside_zero(s)) {
		if (lies_beside_zero(&m->same) || fabs(m->same.percent) >= fabs(s->percent))
			return LMM_OVERHEAD_TOO_NOISY;
		return s->percent > 0 ? LMM_OVERHEAD_SLOWER : LMM_OVERHEAD_FASTER;
	}
	return s->half_width_percent <= LMM_OVERHEAD_TARGET_PERCENT ? LMM_OVERHEAD_NONE_VISIBLE
								    : LMM_OVERHEAD_TOO_NOISY;
}

void lmm_overhead_compare(const struct lmm_overhead_pair *pairs, unsigned n,
			  enum lmm_overhead_which which, struct lmm_overhead_metric *out)
{
	double ratios[LMM_OVERHEAD_PAIRS_MAX] = { 0 }, same[LMM_OVERHEAD_PAIRS_MAX / 2] = { 0 };
	double sum_without = 0, sum_with = 0, before = 0;
	unsigned used = 0, n_same = 0;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < n && used < LMM_OVERHEAD_PAIRS_MAX; i++) {
		double without = value_of(&pairs[i].without, which);
		double with = value_of(&pairs[i].with, which);

		if (!(without > 0 && with > 0))
			continue;
		sum_without += log(without);
		sum_with += log(with);
		if (used % 2)
			same[n_same++] = log(without / before);
		before = without;
		ratios[used++] = log(with / without);
	}
	lmm_overhead_interval(ratios, used, &out->slowdown);
	lmm_overhead_interval(same, n_same, &out->same);
	if (used) {
		out->without_ns = exp(sum_without / used);
		out->with_ns = exp(sum_with / used);
	}
	out->verdict = judge(out);
}

int lmm_overhead_cost_per_token(const struct lmm_overhead_cost *c,
				struct lmm_overhead_per_token *out)
{
	memset(out, 0, sizeof(*out));
	if (c->reports == 0 || c->decode_tokens <= 0 || c->output_tokens <= 0)
		return 0;
	out->operators = c->decode_operators / c->decode_tokens;
	out->operator_ns = c->operator_ns / c->reports;
	out->phases = c->phases / c->output_tokens;
	out->phase_pair_ns = c->phase_pair_ns / c->reports;
	out->total_ns = out->operators * out->operator_ns + out->phases * out->phase_pair_ns;
	out->percent = c->percent / c->reports;
	return 1;
}
