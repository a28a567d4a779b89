/* SPDX-License-Identifier: Apache-2.0 */
#include "study/study_findings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const uint8_t lmm_study_compared[LMM_STUDY_COMPARED] = { LMM_FIG_TTFT, LMM_FIG_TPOT,
							 LMM_FIG_REQUEST, LMM_FIG_MEMORY,
							 LMM_FIG_TOKEN_ENERGY };

/* ---- means ----------------------------------------------------------------------------------------- */

const struct lmm_mean *lmm_study_mean(const struct lmm_study_findings *f, uint32_t condition,
				      unsigned figure)
{
	return &f->means[(size_t)condition * LMM_FIGURES + figure];
}

/* Over logarithms where all are above 0, else plain: counts of lost records are not. */
static struct lmm_mean mean_of(double *values, uint32_t n)
{
	struct lmm_mean m = { NAN, NAN, NAN, n };
	double mean, half;
	int is_log = n > 0;

	for (uint32_t i = 0; i < n; i++)
		is_log &= values[i] > 0;
	for (uint32_t i = 0; is_log && i < n; i++)
		values[i] = log(values[i]);
	lmm_mean_interval(values, n, &mean, &half);
	m.value = is_log ? exp(mean) : mean;
	m.low = is_log ? exp(mean - half) : mean - half;
	m.high = is_log ? exp(mean + half) : mean + half;
	return m;
}

static void means_fill(struct lmm_study_findings *f)
{
	const struct lmm_study *s = f->s;

	for (uint32_t c = 0; c < s->plan->n_conditions; c++) {
		for (unsigned i = 0; i < LMM_FIGURES; i++) {
			double values[LMM_PLAN_REPEATS_MAX];
			uint32_t n = 0;

			for (uint32_t b = 0; b < s->n_blocks; b++) {
				const struct lmm_cell *cell = lmm_study_cell(s, b, c);

				if (cell->status == LMM_CELL_OK && !isnan(cell->figures[i]))
					values[n++] = cell->figures[i];
			}
			f->means[(size_t)c * LMM_FIGURES + i] = mean_of(values, n);
		}
	}
}

uint32_t lmm_study_cell_mean(const struct lmm_study *s, uint32_t condition,
			     lmm_cell_value_fn *value, double *mean, double *half)
{
	double values[LMM_PLAN_REPEATS_MAX];
	uint32_t n = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);
		double v = c->status == LMM_CELL_OK ? value(c) : NAN;

		if (!isnan(v))
			values[n++] = v;
	}
	lmm_mean_interval(values, n, mean, half);
	return n;
}

/* ---- shares ---------------------------------------------------------------------------------------- */

static double phase_percent(const struct lmm_cell *c, unsigned phase)
{
	double all = 0;

	for (unsigned i = LMM_PHASE_WAITING; i < LMM_PHASE_COUNT; i++)
		all += c->phase_ns[i];
	return all > 0 ? 100 * c->phase_ns[phase] / all : NAN;
}

double lmm_cell_prefill_percent(const struct lmm_cell *c)
{
	return phase_percent(c, LMM_PHASE_PREFILL);
}

double lmm_cell_decode_percent(const struct lmm_cell *c)
{
	return phase_percent(c, LMM_PHASE_DECODE);
}

double lmm_cell_matmul_percent(const struct lmm_cell *c)
{
	double all = 0, products = 0;

	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < LMM_ROLE_COUNT; i++)
			all += c->role_ns[k][i];
	}
	for (uint32_t i = 0; i < c->n_kernels; i++) {
		if (strncmp(c->kernels[i].op, "MUL_MAT", 7) == 0)
			products += c->kernels[i].total_ns;
	}
	return all > 0 && c->n_kernels ? 100 * products / all : NAN;
}

double lmm_cell_drift_percent(const struct lmm_cell *c)
{
	double first = c->windows[0], last = c->windows[LMM_CELL_WINDOWS - 1];

	return first > 0 && last > 0 ? 100 * (last / first - 1) : NAN;
}

/* ---- contrasts ------------------------------------------------------------------------------------- */

uint32_t lmm_study_base(const struct lmm_study *s, uint32_t factor)
{
	const struct lmm_factor *f = &s->plan->factors[factor];

	for (uint32_t i = 0;
	     (int)factor == s->variant_factor && s->plan->quality_reference && i < f->n; i++) {
		if (strcmp(f->levels[i], s->plan->quality_reference) == 0)
			return i;
	}
	return 0;
}

uint32_t lmm_study_with_level(const struct lmm_plan *p, uint32_t condition, uint32_t factor,
			      uint32_t level)
{
	uint32_t stride = 1;

	for (uint32_t i = p->n_factors; i-- > factor + 1;)
		stride *= p->factors[i].n;
	return condition + (level - lmm_plan_level(p, condition, factor)) * stride;
}

static double cell_log(const struct lmm_study *s, uint32_t block, uint32_t condition,
		       unsigned figure)
{
	const struct lmm_cell *c = lmm_study_cell(s, block, condition);

	return c->status == LMM_CELL_OK && c->figures[figure] > 0 ? log(c->figures[figure]) : NAN;
}

/* In each block the mean over the pairs of conditions; a block without any pair is passed over. */
static void series_fill(const struct lmm_study *s, const struct lmm_study_contrast *c,
			struct lmm_contrast_series *to, uint32_t *pairs_most)
{
	const struct lmm_plan *p = s->plan;

	*pairs_most = 0;
	for (uint32_t b = 0; b < s->n_blocks; b++) {
		double sum = 0;
		uint32_t pairs = 0;

		for (uint32_t i = 0; i < p->n_conditions; i++) {
			double d;

			if (lmm_plan_level(p, i, c->factor) != c->level ||
			    (c->condition >= 0 && (uint32_t)c->condition != i))
				continue;
			d = cell_log(s, b, i, c->figure) -
			    cell_log(s, b, lmm_study_with_level(p, i, c->factor, c->base),
				     c->figure);
			if (isnan(d))
				continue;
			sum += d;
			pairs++;
		}
		if (pairs)
			to->d[to->n++] = sum / pairs;
		if (pairs > *pairs_most)
			*pairs_most = pairs;
	}
	to->expected = *pairs_most ? 1.0 / *pairs_most : 1;
}

static uint32_t contrasts_count(const struct lmm_plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_factors; i++)
		n += (p->factors[i].n - 1) * (1 + p->n_conditions / p->factors[i].n);
	return n * LMM_STUDY_COMPARED;
}

static void contrast_add(struct lmm_study_findings *f, uint32_t factor, uint32_t level,
			 unsigned figure, int32_t condition)
{
	f->contrasts[f->n_contrasts++] =
		(struct lmm_study_contrast){ .factor = factor,
					     .level = level,
					     .base = lmm_study_base(f->s, factor),
					     .figure = lmm_study_compared[figure],
					     .condition = condition };
}

/* Of one factor: each level over all others, or (simple) each condition. */
static void contrasts_of(struct lmm_study_findings *f, uint32_t factor, int simple)
{
	const struct lmm_plan *p = f->s->plan;
	uint32_t base = lmm_study_base(f->s, factor);
	uint32_t n = simple ? p->n_conditions : p->factors[factor].n;

	/* with no other factor the effect under one condition is the effect */
	if (simple && p->n_conditions == p->factors[factor].n)
		return;
	for (uint32_t c = 0; c < n; c++) {
		uint32_t level = simple ? lmm_plan_level(p, c, factor) : c;

		for (unsigned k = 0; level != base && k < LMM_STUDY_COMPARED; k++)
			contrast_add(f, factor, level, k, simple ? (int32_t)c : -1);
	}
}

static void contrasts_list(struct lmm_study_findings *f)
{
	for (uint32_t i = 0; i < f->s->plan->n_factors; i++)
		contrasts_of(f, i, 0);
	f->n_main = f->n_contrasts;
	for (uint32_t i = 0; i < f->s->plan->n_factors; i++)
		contrasts_of(f, i, 1);
}

static int contrasts_judge(struct lmm_study_findings *f)
{
	size_t n = f->n_contrasts ? f->n_contrasts : 1;
	struct lmm_contrast_series *series = calloc(n, sizeof(*series));
	struct lmm_contrast_estimate *e = calloc(n, sizeof(*e));
	int rc = series && e ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < f->n_contrasts; i++) {
		struct lmm_study_contrast *c = &f->contrasts[i];

		series[i].group = c->figure;
		series[i].family = i < f->n_main ? LMM_CONTRAST_MAIN : LMM_CONTRAST_SIMPLE;
		series_fill(f->s, c, &series[i], &c->pairs);
	}
	if (rc == 0)
		rc = lmm_contrast_judge(series, f->n_contrasts, e);
	for (uint32_t i = 0; rc == 0 && i < f->n_contrasts; i++)
		f->contrasts[i].e = e[i];
	free(series);
	free(e);
	return rc;
}

/* ---- variants -------------------------------------------------------------------------------------- */

/* Over all other factors: in each block the geometric mean, then over blocks. */
static struct lmm_dear level_dear(const struct lmm_study *s, uint32_t level, unsigned figure)
{
	double values[LMM_PLAN_REPEATS_MAX];
	struct lmm_mean m;
	uint32_t n = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		double sum = 0;
		uint32_t count = 0;

		for (uint32_t c = 0; c < s->plan->n_conditions; c++) {
			double v = cell_log(s, b, c, figure);

			if (lmm_plan_level(s->plan, c, (uint32_t)s->variant_factor) != level ||
			    isnan(v))
				continue;
			sum += v;
			count++;
		}
		if (count)
			values[n++] = exp(sum / count);
	}
	m = mean_of(values, n);
	return (struct lmm_dear){ m.value, m.low, m.high };
}

static struct lmm_dear measured_dear(const struct lmm_measured *m)
{
	double half = isnan(m->half) ? 0 : m->half;

	return (struct lmm_dear){ m->value, m->value - half, m->value + half };
}

/* How many times as dear as the reference, by the contrast: what a block has in common is gone from it. */
static struct lmm_dear ratio_dear(const struct lmm_study_findings *f, uint32_t level,
				  unsigned figure)
{
	/* of itself, if it is known */
	if ((int32_t)level == f->reference) {
		double one = level_dear(f->s, level, figure).value > 0 ? 1 : NAN;

		return (struct lmm_dear){ one, one, one };
	}
	for (uint32_t i = 0; i < f->n_main; i++) {
		const struct lmm_study_contrast *c = &f->contrasts[i];

		if ((int)c->factor == f->s->variant_factor && c->level == level &&
		    c->figure == figure && (int32_t)c->base == f->reference && c->pairs > 0)
			return (struct lmm_dear){ exp(c->e.change), exp(c->e.low), exp(c->e.high) };
	}
	return (struct lmm_dear){ NAN, NAN, NAN };
}

static void worths_compare(struct lmm_study_findings *f, uint32_t n)
{
	const struct lmm_plan *p = f->s->plan;
	const struct lmm_dear one = { 1, 1, 1 }, reference[] = { one, one, one, one };
	const double weights[LMM_SCORE_PARTS] = { p->weight_quality, p->weight_time,
						  p->weight_memory, p->weight_energy };

	for (uint32_t i = 0; i < n; i++) {
		struct lmm_study_worth *w = &f->worths[i];
		const struct lmm_dear own[] = { w->quality, ratio_dear(f, i, LMM_FIG_TPOT),
						ratio_dear(f, i, LMM_FIG_MEMORY),
						ratio_dear(f, i, LMM_FIG_TOKEN_ENERGY) };

		lmm_score_make(own, reference, weights, &w->score);
		if (f->reference < 0)
			w->score.value = w->score.low = w->score.high = NAN;
	}
}

/* Against the reference where there is one, since ratios are surer; else as they are. */
static void point_fill(const struct lmm_study_findings *f, uint32_t i, struct lmm_dear point[5])
{
	const struct lmm_study_worth *w = &f->worths[i];
	int is_ratio = f->reference >= 0;

	point[0] = w->quality;
	point[1] = is_ratio ? ratio_dear(f, i, LMM_FIG_TTFT) : w->ttft;
	point[2] = is_ratio ? ratio_dear(f, i, LMM_FIG_TPOT) : w->tpot;
	point[3] = is_ratio ? ratio_dear(f, i, LMM_FIG_MEMORY) : w->memory;
	point[4] = is_ratio ? ratio_dear(f, i, LMM_FIG_TOKEN_ENERGY) : w->energy;
}

static int worths_make(struct lmm_study_findings *f)
{
	const struct lmm_study *s = f->s;
	struct lmm_dear *points;
	int32_t *dominated;

	f->reference = -1;
	if (s->n_variants == 0)
		return 0;
	f->worths = calloc(s->n_variants, sizeof(*f->worths));
	points = calloc((size_t)s->n_variants * 5, sizeof(*points));
	dominated = calloc(s->n_variants, sizeof(*dominated));
	if (!f->worths || !points || !dominated) {
		free(points);
		free(dominated);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < s->n_variants; i++) {
		struct lmm_study_worth *w = &f->worths[i];

		if (s->variants[i].is_reference)
			f->reference = (int32_t)i;
		w->quality = measured_dear(&s->variants[i].ratio);
		w->ttft = level_dear(s, i, LMM_FIG_TTFT);
		w->tpot = level_dear(s, i, LMM_FIG_TPOT);
		w->memory = level_dear(s, i, LMM_FIG_MEMORY);
		w->energy = level_dear(s, i, LMM_FIG_TOKEN_ENERGY);
	}
	worths_compare(f, s->n_variants);
	for (uint32_t i = 0; i < s->n_variants; i++)
		point_fill(f, i, &points[(size_t)i * 5]);
	lmm_pareto(points, s->n_variants, 5, dominated);
	for (uint32_t i = 0; i < s->n_variants; i++)
		f->worths[i].dominated_by = dominated[i];
	free(points);
	free(dominated);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void cells_count(struct lmm_study_findings *f)
{
	const struct lmm_study *s = f->s;

	for (size_t i = 0; i < (size_t)s->n_blocks * s->plan->n_conditions; i++) {
		f->n_ok += s->cells[i].status == LMM_CELL_OK;
		f->n_missing += s->cells[i].status == LMM_CELL_MISSING;
		f->n_holes += s->cells[i].status > LMM_CELL_OK;
	}
}

struct lmm_study_findings *lmm_study_findings_make(const struct lmm_study *s)
{
	struct lmm_study_findings *f = calloc(1, sizeof(*f));
	uint32_t n = contrasts_count(s->plan);

	if (!f)
		return NULL;
	f->s = s;
	f->means = calloc((size_t)s->plan->n_conditions * LMM_FIGURES, sizeof(*f->means));
	f->contrasts = calloc(n ? n : 1, sizeof(*f->contrasts));
	if (f->means && f->contrasts) {
		cells_count(f);
		means_fill(f);
		contrasts_list(f);
		if (contrasts_judge(f) == 0 && worths_make(f) == 0 && lmm_study_conclude(f) == 0)
			return f;
	}
	lmm_study_findings_destroy(f);
	return NULL;
}

void lmm_study_findings_destroy(struct lmm_study_findings *f)
{
	if (!f)
		return;
	free(f->means);
	free(f->contrasts);
	free(f->worths);
	free(f->conclusions);
	free(f);
}
