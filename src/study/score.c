/* SPDX-License-Identifier: Apache-2.0 */
#include "study/score.h"

#include <math.h>

static double part_value(unsigned part, double own, double reference)
{
	if (!(own > 0) || !(reference > 0))
		return NAN;
	return part == LMM_SCORE_QUALITY ? fmin(1, reference / own) : 1 / (1 + own / reference);
}

static double harmonic(const double parts[LMM_SCORE_PARTS], const double weights[LMM_SCORE_PARTS])
{
	double sum = 0, weight = 0;

	if (isnan(parts[LMM_SCORE_QUALITY]))
		return NAN;
	for (unsigned i = 0; i < LMM_SCORE_PARTS; i++) {
		if (isnan(parts[i]) || weights[i] <= 0)
			continue;
		if (parts[i] <= 0)
			return 0;
		sum += weights[i] / parts[i];
		weight += weights[i];
	}
	return weight > weights[LMM_SCORE_QUALITY] ? weight / sum : NAN;
}

static double end_or(double end, double value)
{
	return end > 0 ? end : value;
}

void lmm_score_make(const struct lmm_dear own[LMM_SCORE_PARTS],
		    const struct lmm_dear reference[LMM_SCORE_PARTS],
		    const double weights[LMM_SCORE_PARTS], struct lmm_score *out)
{
	double bad[LMM_SCORE_PARTS], good[LMM_SCORE_PARTS];

	for (unsigned i = 0; i < LMM_SCORE_PARTS; i++) {
		const struct lmm_dear *a = &own[i], *b = &reference[i];

		out->parts[i] = part_value(i, a->value, b->value);
		bad[i] = part_value(i, end_or(a->high, a->value), end_or(b->low, b->value));
		good[i] = part_value(i, end_or(a->low, a->value), end_or(b->high, b->value));
	}
	out->value = harmonic(out->parts, weights);
	out->low = harmonic(bad, weights);
	out->high = harmonic(good, weights);
}

/* ---- the frontier ---------------------------------------------------------------------------------- */

static int is_known(const struct lmm_dear *d)
{
	return d->value > 0 && d->low > 0 && d->high > 0;
}

static int dominates(const struct lmm_dear *a, const struct lmm_dear *b, uint32_t dimensions)
{
	unsigned known = 0, better = 0;

	for (uint32_t k = 0; k < dimensions; k++) {
		if (!is_known(&a[k]) || !is_known(&b[k]))
			continue;
		if (a[k].high > b[k].low * (1 + LMM_PARETO_TOLERANCE))
			return 0;
		known++;
		better += a[k].high < b[k].low;
	}
	return known >= 2 && better > 0;
}

void lmm_pareto(const struct lmm_dear *points, uint32_t n, uint32_t dimensions,
		int32_t *dominated_by)
{
	for (uint32_t i = 0; i < n; i++) {
		dominated_by[i] = -1;
		for (uint32_t k = 0; k < n && dominated_by[i] < 0; k++) {
			if (k != i && dominates(&points[(size_t)k * dimensions],
						&points[(size_t)i * dimensions], dimensions))
				dominated_by[i] = (int32_t)k;
		}
	}
}
