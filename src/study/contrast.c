/* SPDX-License-Identifier: Apache-2.0 */
#include "study/contrast.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/diff_stats.h"

#define VARIANCE_MIN   1e-8	    /* of logarithms: 0.01 % */
#define ITEMS_MIN      8u	    /* with fewer each stands on its own */
#define EFFECT_2       0.0198026273 /* log of 1.02 */
#define QUADRATURE     96
#define QUANTILES_KEPT 64u

/* ---- distributions -------------------------------------------------------------------------------- */

/* By bisection, which is slow; a study asks for a few of them thousands of times. */
static double quantile_find(double p, double freedom)
{
	double low = 0, high = 2;

	while (high < 1e9 && lmm_diff_student_p(high, freedom) > p)
		high *= 2;
	for (int i = 0; i < 60; i++) {
		double middle = (low + high) / 2;

		if (lmm_diff_student_p(middle, freedom) > p) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

double lmm_student_quantile(double p, double freedom)
{
	static _Thread_local struct {
		double p, freedom, t;
	} known[QUANTILES_KEPT];
	unsigned at = (unsigned)fabs(freedom * 37 + p * 1e4) % QUANTILES_KEPT;

	if (known[at].p != p || known[at].freedom != freedom) {
		known[at].t = quantile_find(p, freedom);
		known[at].p = p;
		known[at].freedom = freedom;
	}
	return known[at].t;
}

void lmm_mean_interval(const double *values, uint32_t n, double *mean, double *half)
{
	double sum = 0, square = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += values[i];
	*mean = n ? sum / n : NAN;
	*half = NAN;
	if (n < 2)
		return;
	for (uint32_t i = 0; i < n; i++)
		square += (values[i] - *mean) * (values[i] - *mean);
	*half = lmm_student_quantile(0.05, n - 1) * sqrt(square / (n - 1) / n);
}

static double normal_above(double z)
{
	return 0.5 * erfc(z / 1.4142135623730951);
}

/*
 * The estimated variance is the true one times (prior + chi squared of own freedom) / (prior + own): what is lent is taken to be
 * right. With y the root of chi squared, y^(own - 1) exp(-y^2 / 2) is its density but for a factor, which the same sum gives.
 */
double lmm_contrast_power(double effect, const struct lmm_contrast_scatter *s, double alpha)
{
	double all = s->own_freedom + s->prior_freedom, limit = lmm_student_quantile(alpha, all);
	double top = sqrt(s->own_freedom) + 8, sum = 0, weights = 0,
	       shift = fabs(effect) / s->error;

	for (int i = 0; i < QUADRATURE; i++) {
		double y = top * (i + 0.5) / QUADRATURE;
		double weight = exp((s->own_freedom - 1) * log(y) - y * y / 2);
		double at = limit * sqrt((s->prior_freedom + y * y) / all);

		sum += weight * (normal_above(at - shift) + normal_above(at + shift));
		weights += weight;
	}
	return sum / weights;
}

double lmm_contrast_least(double power, const struct lmm_contrast_scatter *s, double alpha)
{
	double low = 0, high = s->error;

	while (high < s->error * 1e6 && lmm_contrast_power(high, s, alpha) < power)
		high *= 2;
	for (int i = 0; i < 22; i++) {
		double middle = (low + high) / 2;

		if (lmm_contrast_power(middle, s, alpha) < power) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return high;
}

/* ---- variances ------------------------------------------------------------------------------------- */

struct judging {
	const struct lmm_contrast_series *series;
	struct lmm_contrast_estimate *out;
	uint32_t n;
	double *variances, *scratch, *expected; /* [n] */
	struct lmm_diff_prior *priors;		/* [n]: of each one's group; freedom 0: none */
};

static void own_estimate(struct judging *j, uint32_t i)
{
	const struct lmm_contrast_series *s = &j->series[i];
	double mean = 0, square = 0;

	for (uint32_t b = 0; b < s->n; b++)
		mean += s->d[b] / s->n;
	for (uint32_t b = 0; b < s->n; b++)
		square += (s->d[b] - mean) * (s->d[b] - mean);
	memset(&j->out[i], 0, sizeof(j->out[i]));
	j->out[i].change = s->n ? mean : NAN;
	j->out[i].low = -HUGE_VAL;
	j->out[i].high = HUGE_VAL;
	j->out[i].p = 1;
	j->out[i].is_judged = s->n >= 2;
	j->variances[i] = s->n >= 2 ? square / (s->n - 1) : 0;
}

/* Series with as many blocks as most have speak for the group. */
static uint32_t blocks_most(const struct judging *j, uint32_t group)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		if (j->series[i].group == group && j->series[i].n > most)
			most = j->series[i].n;
	}
	return most;
}

static void prior_find(struct judging *j, uint32_t first)
{
	uint32_t group = j->series[first].group, blocks = blocks_most(j, group), n = 0;
	struct lmm_diff_prior prior = { 0, 0 };

	for (uint32_t i = first; blocks >= 2 && i < j->n; i++) {
		const struct lmm_contrast_series *s = &j->series[i];

		if (s->group != group || s->n != blocks)
			continue;
		/* what does not scatter at all, as sizes do, says nothing of the others */
		if (j->variances[i] < VARIANCE_MIN * s->expected)
			continue;
		j->scratch[n] = j->variances[i];
		j->expected[n++] = s->expected;
	}
	if (n >= ITEMS_MIN)
		lmm_diff_prior_fit(j->scratch, j->expected, n, blocks - 1, &prior);
	for (uint32_t i = first; i < j->n; i++) {
		if (j->series[i].group == group)
			j->priors[i] = prior;
	}
}

/* ---- judging --------------------------------------------------------------------------------------- */

static void estimate(struct judging *j, uint32_t i)
{
	const struct lmm_contrast_series *s = &j->series[i];
	const struct lmm_diff_prior *prior = &j->priors[i];
	struct lmm_contrast_estimate *e = &j->out[i];
	double own = s->n - 1, variance, half;

	e->freedom = own + prior->freedom;
	variance =
		(own * j->variances[i] + prior->freedom * prior->scale * s->expected) / e->freedom;
	variance = fmax(variance, VARIANCE_MIN * s->expected);
	half = sqrt(variance / s->n);
	e->p = lmm_diff_student_p(e->change / half, e->freedom);
	half *= lmm_student_quantile(0.05, e->freedom);
	e->low = e->change - half;
	e->high = e->change + half;
}

static void powers_fill(struct judging *j, uint32_t i, double alpha)
{
	const struct lmm_contrast_series *s = &j->series[i];
	const struct lmm_diff_prior *prior = &j->priors[i];
	double variance = prior->freedom > 0 ? prior->scale * s->expected : j->variances[i];
	struct lmm_contrast_scatter scatter = {
		sqrt(fmax(variance, VARIANCE_MIN * s->expected) / s->n), s->n - 1, prior->freedom
	};

	j->out[i].power_2 = lmm_contrast_power(EFFECT_2, &scatter, alpha);
	j->out[i].least_80 = lmm_contrast_least(0.8, &scatter, alpha);
}

static int family_judge(struct judging *j, uint8_t family, double alpha)
{
	uint32_t *at = calloc(j->n ? j->n : 1, sizeof(*at)), n = 0;
	uint8_t *passes = calloc(j->n ? j->n : 1, 1);
	int rc = at && passes ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < j->n; i++) {
		if (j->series[i].family != family || !j->out[i].is_judged)
			continue;
		j->scratch[n] = j->out[i].p;
		at[n++] = i;
	}
	if (rc == 0)
		rc = lmm_diff_holm(j->scratch, n, alpha, passes);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		j->out[at[i]].is_changed =
			passes[i] && fabs(j->out[at[i]].change) >= LMM_CONTRAST_TRIFLE;
		if (family == LMM_CONTRAST_MAIN)
			powers_fill(j, at[i], alpha / n);
	}
	free(at);
	free(passes);
	return rc;
}

static int judge(struct judging *j)
{
	int rc;

	for (uint32_t i = 0; i < j->n; i++)
		own_estimate(j, i);
	for (uint32_t i = 0; i < j->n; i++) {
		uint32_t k = 0;

		while (k < i && j->series[k].group != j->series[i].group)
			k++;
		if (k == i)
			prior_find(j, i);
	}
	for (uint32_t i = 0; i < j->n; i++) {
		if (j->out[i].is_judged)
			estimate(j, i);
	}
	rc = family_judge(j, LMM_CONTRAST_MAIN, LMM_CONTRAST_ALPHA_MAIN);
	return rc ? rc : family_judge(j, LMM_CONTRAST_SIMPLE, LMM_CONTRAST_ALPHA_SIMPLE);
}

int lmm_contrast_judge(const struct lmm_contrast_series *series, uint32_t n,
		       struct lmm_contrast_estimate *out)
{
	struct judging j = { .series = series, .out = out, .n = n };
	size_t items = n ? n : 1;
	int rc = -ENOMEM;

	j.variances = calloc(items, sizeof(*j.variances));
	j.scratch = calloc(items, sizeof(*j.scratch));
	j.expected = calloc(items, sizeof(*j.expected));
	j.priors = calloc(items, sizeof(*j.priors));
	if (j.variances && j.scratch && j.expected && j.priors)
		rc = judge(&j);
	free(j.variances);
	free(j.scratch);
	free(j.expected);
	free(j.priors);
	return rc;
}
