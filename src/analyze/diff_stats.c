/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/diff_stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

/* Steps are drawn in to what lies between these shares of them: what disturbs a step only makes it longer. */
#define CLIP_LOW	0.05
#define CLIP_HIGH	0.4
#define ABSENT_MAX	0.05
#define BLOCK_STEPS	4    /* at least, in a block */
#define LEAVES_MIN	5    /* with fewer there is no telling what is common */
#define PRIOR_ITEMS_MIN 8    /* with fewer each stands on its own */
#define PRIOR_MAX	10.0 /* the prior never counts for more: tails are heavier than the model's */
#define VARIANCE_MIN	1e-8 /* of logarithms: 0.01 % */

/* ---- cells -------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between which values all are to lie. What is absent from many steps is not clipped: nothing would be left of it. */
static void clip_find(const double *values, uint32_t n, double *low, double *high)
{
	double sorted[1024];
	uint32_t zeros = 0;

	*low = -HUGE_VAL;
	*high = HUGE_VAL;
	for (uint32_t i = 0; i < n; i++)
		zeros += values[i] <= 0;
	if (n > LMM_ARRAY_SIZE(sorted) || zeros > ABSENT_MAX * n)
		return;
	memcpy(sorted, values, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_doubles);
	*low = sorted[(uint32_t)(CLIP_LOW * n)];
	*high = sorted[(uint32_t)(CLIP_HIGH * n)];
}

/* Of so many values, the first that belongs to block b. */
static uint32_t block_begin(uint32_t b, uint32_t blocks, uint32_t n)
{
	return (uint32_t)(((uint64_t)b * n + blocks - 1) / blocks);
}

void lmm_diff_cell_fill(struct lmm_diff_cell *cell, const double *values, uint32_t n)
{
	uint32_t blocks = n / BLOCK_STEPS < LMM_DIFF_BLOCKS ? n / BLOCK_STEPS : LMM_DIFF_BLOCKS;
	double low, high;

	memset(cell, 0, sizeof(*cell));
	if (n == 0)
		return;
	clip_find(values, n, &low, &high);
	for (uint32_t i = 0; i < n; i++)
		cell->mean += fmin(fmax(values[i], low), high) / n;
	if (blocks < 2)
		return;
	cell->n_blocks = blocks;
	for (uint32_t b = 0; b < blocks; b++) {
		uint32_t from = block_begin(b, blocks, n), to = block_begin(b + 1, blocks, n);

		for (uint32_t i = from; i < to; i++)
			cell->blocks[b] += fmin(fmax(values[i], low), high) / (to - from);
	}
}

/* ---- distributions ------------------------------------------------------------------------------ */

/* Continued fraction of the incomplete beta function (Lentz). */
static double beta_fraction(double a, double b, double x)
{
	double c = 1, d = 1 / fmax(1 - (a + b) * x / (a + 1), 1e-300), h = d;

	for (int m = 1; m < 300; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));

		d = 1 / (1 + even * d);
		c = 1 + even / c;
		h *= d * c;
		d = 1 / (1 + odd * d);
		c = 1 + odd / c;
		h *= d * c;
		if (fabs(d * c - 1) < 1e-13)
			break;
	}
	return h;
}

static double log_gamma(double x)
{
	int sign;

	return lgamma_r(x, &sign);
}

static double beta_incomplete(double a, double b, double x)
{
	double front;

	if (x <= 0 || x >= 1)
		return x <= 0 ? 0 : 1;
	front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double lmm_diff_student_p(double t, double freedom)
{
	return beta_incomplete(freedom / 2, 0.5, freedom / (freedom + t * t));
}

struct by_p {
	double p;
	uint32_t at;
};

static int compare_p(const void *a, const void *b)
{
	const struct by_p *x = a, *y = b;

	if (x->p != y->p)
		return x->p < y->p ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

int lmm_diff_holm(const double *p, uint32_t n, double alpha, uint8_t *passes)
{
	struct by_p *order = calloc(n ? n : 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	memset(passes, 0, n);
	for (uint32_t i = 0; i < n; i++)
		order[i] = (struct by_p){ p[i], i };
	qsort(order, n, sizeof(*order), compare_p);
	for (uint32_t i = 0; i < n && order[i].p <= alpha / (n - i); i++)
		passes[order[i].at] = 1;
	free(order);
	return 0;
}

/* ---- the prior of variances (Smyth 2004) --------------------------------------------------------- */

static double digamma(double x)
{
	double shift = 0;

	while (x < 8) {
		shift -= 1 / x;
		x += 1;
	}
	return shift + log(x) - 1 / (2 * x) - 1 / (12 * x * x) + 1 / (120 * x * x * x * x);
}

static double trigamma(double x)
{
	double shift = 0;

	while (x < 8) {
		shift += 1 / (x * x);
		x += 1;
	}
	return shift + 1 / x + 1 / (2 * x * x) + 1 / (6 * x * x * x) - 1 / (30 * x * x * x * x * x);
}

static double trigamma_inverse(double y)
{
	double low = 1e-3, high = 1e3;

	for (int i = 0; i < 60; i++) {
		double middle = sqrt(low * high);

		if (trigamma(middle) > y) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

void lmm_diff_prior_fit(const double *variances, const double *expected, uint32_t n, double freedom,
			struct lmm_diff_prior *prior)
{
	double mean = 0, square = 0, excess;

	for (uint32_t i = 0; i < n; i++) {
		double e = log(fmax(variances[i], VARIANCE_MIN * 1e-4) / expected[i]);

		mean += e / n;
		square += e * e / n;
	}
	excess = (square - mean * mean) * n / (n - 1) - trigamma(freedom / 2);
	prior->freedom = excess > 0 ? fmin(2 * trigamma_inverse(excess), PRIOR_MAX) : PRIOR_MAX;
	prior->scale = exp(mean - digamma(freedom / 2) + log(freedom / 2) +
			   digamma(prior->freedom / 2) - log(prior->freedom / 2));
}

/* ---- the estimate ------------------------------------------------------------------------------- */

struct work {
	const struct lmm_diff_cell *cells;
	const uint8_t *kinds;
	uint32_t n_items, n_runs, n_before;
	double *levels; /* [item][run]: logarithms, the common factor divided out; the factor itself is item n_items */
	double *blocks;	   /* [item][run][block]: relative deviations, likewise */
	uint8_t *n_blocks; /* [item][run] */
	double *between,
		*within; /* [item]: variances of a run's level: as runs scatter, as steps tell */
	double *scratch; /* [max(items, draws)] */
	uint8_t *picks;	 /* [run][draw][block] */
	uint64_t random;
};

static uint64_t random_u64(struct work *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static double random_normal(struct work *w)
{
	double u = ((double)(random_u64(w) >> 11) + 0.5) / 9007199254740992.0;
	double v = (double)(random_u64(w) >> 11) / 9007199254740992.0;

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double *level(const struct work *w, uint32_t item, uint32_t run)
{
	return &w->levels[(size_t)item * w->n_runs + run];
}

static double *block(const struct work *w, uint32_t item, uint32_t run)
{
	return &w->blocks[((size_t)item * w->n_runs + run) * LMM_DIFF_BLOCKS];
}

static double side_mean(const struct work *w, uint32_t item, int is_after)
{
	uint32_t from = is_after ? w->n_before : 0, to = is_after ? w->n_runs : w->n_before;
	double sum = 0;

	for (uint32_t r = from; r < to; r++)
		sum += *level(w, item, r);
	return sum / (to - from);
}

static uint32_t leaves_count(const struct work *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_items; i++)
		n += w->kinds[i] == LMM_DIFF_LEAF;
	return n;
}

static void levels_fill(struct work *w)
{
	for (uint32_t i = 0; i < w->n_items; i++) {
		for (uint32_t r = 0; r < w->n_runs; r++) {
			const struct lmm_diff_cell *c = &w->cells[(size_t)i * w->n_runs + r];

			*level(w, i, r) = log(c->mean);
			w->n_blocks[(size_t)i * w->n_runs + r] = (uint8_t)c->n_blocks;
			for (uint32_t b = 0; b < c->n_blocks; b++)
				block(w, i, r)[b] = c->blocks[b] / c->mean - 1;
		}
	}
}

/* The run's factor: the middle of how far its leaves lie from where they lie on the whole. */
static double common_level(struct work *w, uint32_t run)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_items; i++) {
		if (w->kinds[i] != LMM_DIFF_LEAF)
			continue;
		w->scratch[n++] = *level(w, i, run) - (side_mean(w, i, 0) + side_mean(w, i, 1)) / 2;
	}
	return median(w->scratch, n);
}

static void common_blocks(struct work *w, uint32_t run)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < w->n_items; i++) {
		if (w->kinds[i] == LMM_DIFF_LEAF && w->n_blocks[(size_t)i * w->n_runs + run] > most)
			most = w->n_blocks[(size_t)i * w->n_runs + run];
	}
	w->n_blocks[(size_t)w->n_items * w->n_runs + run] = (uint8_t)most;
	for (uint32_t b = 0; b < most; b++) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < w->n_items; i++) {
			if (w->kinds[i] == LMM_DIFF_LEAF &&
			    w->n_blocks[(size_t)i * w->n_runs + run] == most)
				w->scratch[n++] = block(w, i, run)[b];
		}
		block(w, w->n_items, run)[b] = median(w->scratch, n);
	}
}

static void common_divide(struct work *w)
{
	for (uint32_t r = 0; r < w->n_runs; r++) {
		*level(w, w->n_items, r) = common_level(w, r);
		common_blocks(w, r);
	}
	for (uint32_t i = 0; i < w->n_items; i++) {
		for (uint32_t r = 0; w->kinds[i] != LMM_DIFF_RAW && r < w->n_runs; r++) {
			uint32_t n = w->n_blocks[(size_t)i * w->n_runs + r];

			*level(w, i, r) -= *level(w, w->n_items, r);
			if (n != w->n_blocks[(size_t)w->n_items * w->n_runs + r])
				continue;
			for (uint32_t b = 0; b < n; b++)
				block(w, i, r)[b] -= block(w, w->n_items, r)[b];
		}
	}
}

/* Of the mean of its blocks. */
static double within_variance(const struct work *w, uint32_t item, uint32_t run)
{
	uint32_t n = w->n_blocks[(size_t)item * w->n_runs + run];
	const double *v = block(w, item, run);
	double mean = 0, squares = 0;

	for (uint32_t b = 0; b < n; b++)
		mean += v[b] / n;
	for (uint32_t b = 0; b < n; b++)
		squares += (v[b] - mean) * (v[b] - mean);
	return n > 1 ? squares / (n - 1) / n : 0;
}

static void variances_fill(struct work *w, uint32_t item)
{
	uint32_t freedom = w->n_runs - 2;
	double squares = 0, within = 0;

	for (uint32_t r = 0; r < w->n_runs; r++) {
		double off = *level(w, item, r) - side_mean(w, item, r >= w->n_before);

		squares += off * off;
		within += within_variance(w, item, r) / w->n_runs;
	}
	w->between[item] = freedom ? squares / freedom : 0;
	w->within[item] = within;
}

/* What runs scatter by beyond what their steps account for: of the item in the middle. */
static double usual_excess(struct work *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_items; i++) {
		if (w->kinds[i] != LMM_DIFF_RAW)
			w->scratch[n++] = w->between[i] - w->within[i];
	}
	return n ? fmax(median(w->scratch, n), VARIANCE_MIN) : VARIANCE_MIN;
}

/* Draws variances towards those of their like; *freedom is what they are worth afterwards. */
static int variances_shrink(struct work *w, double *freedom)
{
	double *s = calloc((size_t)w->n_items * 2 + 1, sizeof(*s)), *expected = s + w->n_items;
	double excess = usual_excess(w);
	struct lmm_diff_prior prior;
	uint32_t n = 0;

	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_items; i++) {
		if (w->kinds[i] == LMM_DIFF_RAW)
			continue;
		s[n] = w->between[i];
		expected[n++] = w->within[i] + excess;
	}
	if (n >= PRIOR_ITEMS_MIN) {
		lmm_diff_prior_fit(s, expected, n, *freedom, &prior);
		for (uint32_t i = 0; i < w->n_items; i++) {
			if (w->kinds[i] == LMM_DIFF_RAW)
				continue;
			w->between[i] = (prior.freedom * prior.scale * (w->within[i] + excess) +
					 *freedom * w->between[i]) /
					(prior.freedom + *freedom);
		}
		*freedom += prior.freedom;
	}
	free(s);
	return 0;
}

/* ---- intervals: steps are drawn again within runs, runs from what they scatter by beyond that ----- */

static void picks_fill(struct work *w)
{
	for (size_t i = 0; i < (size_t)w->n_runs * LMM_DIFF_DRAWS * LMM_DIFF_BLOCKS; i++)
		w->picks[i] = (uint8_t)(random_u64(w) >> 59);
}
_Static_assert(LMM_DIFF_BLOCKS == 32, "five bits pick a block");

static double run_drawn(const struct work *w, uint32_t item, uint32_t run, uint32_t draw)
{
	uint32_t n = w->n_blocks[(size_t)item * w->n_runs + run];
	const uint8_t *pick = &w->picks[((size_t)run * LMM_DIFF_DRAWS + draw) * LMM_DIFF_BLOCKS];
	const double *v = block(w, item, run);
	double sum = 0;

	for (uint32_t b = 0; b < n; b++)
		sum += v[pick[b] * n / LMM_DIFF_BLOCKS];
	return n ? sum / n : 0;
}

/* Of Student's t, for whole degrees of freedom. */
static double random_student(struct work *w, unsigned freedom)
{
	double normal = random_normal(w), squares = 0;

	for (unsigned i = 0; i < freedom; i++) {
		double g = random_normal(w);

		squares += g * g;
	}
	return normal / sqrt(squares / freedom);
}

static void interval_draw(struct work *w, uint32_t item, double freedom,
			  struct lmm_diff_estimate *e)
{
	uint32_t n_after = w->n_runs - w->n_before;
	double excess = fmax(w->between[item] - w->within[item], 0);
	double spread = sqrt(excess * (1.0 / w->n_before + 1.0 / n_after));

	for (uint32_t d = 0; d < LMM_DIFF_DRAWS; d++) {
		double v = e->change;

		for (uint32_t r = 0; r < w->n_runs; r++) {
			double off = run_drawn(w, item, r, d);

			v += r < w->n_before ? -off / w->n_before : off / n_after;
		}
		if (spread > 0)
			v += spread * random_student(w, (unsigned)freedom);
		w->scratch[d] = v;
	}
	qsort(w->scratch, LMM_DIFF_DRAWS, sizeof(*w->scratch), compare_doubles);
	e->low = w->scratch[LMM_DIFF_DRAWS / 40];
	e->high = w->scratch[LMM_DIFF_DRAWS - 1 - LMM_DIFF_DRAWS / 40];
}

/* With one run a side all that is known is how its steps scatter. */
static double error_of(const struct work *w, uint32_t item, double *freedom)
{
	uint32_t n_after = w->n_runs - w->n_before, blocks = 0;

	if (w->n_runs > 2) {
		double variance = fmax(fmax(w->between[item], w->within[item]), VARIANCE_MIN);

		return sqrt(variance * (1.0 / w->n_before + 1.0 / n_after));
	}
	for (uint32_t r = 0; r < 2; r++) {
		uint32_t n = w->n_blocks[(size_t)item * 2 + r];

		if (n == 0)
			return 0;
		blocks += n;
	}
	*freedom = blocks - 2;
	return sqrt(2 * fmax(w->within[item], VARIANCE_MIN));
}

static void item_estimate(struct work *w, uint32_t item, double freedom,
			  struct lmm_diff_estimate *e)
{
	double error = error_of(w, item, &freedom);

	e->change = side_mean(w, item, 1) - side_mean(w, item, 0);
	e->low = -HUGE_VAL;
	e->high = HUGE_VAL;
	e->p = 1;
	e->is_judged = error > 0;
	if (!e->is_judged)
		return;
	e->p = lmm_diff_student_p(e->change / error, freedom);
	interval_draw(w, item, freedom, e);
}

static int work_make(struct work *w)
{
	size_t n = w->n_items + 1;
	size_t scratch = n > LMM_DIFF_DRAWS ? n : LMM_DIFF_DRAWS;

	w->levels = calloc(n * w->n_runs, sizeof(*w->levels));
	w->blocks = calloc(n * w->n_runs * LMM_DIFF_BLOCKS, sizeof(*w->blocks));
	w->n_blocks = calloc(n * w->n_runs, 1);
	w->between = calloc(n, sizeof(*w->between));
	w->within = calloc(n, sizeof(*w->within));
	w->scratch = calloc(scratch, sizeof(*w->scratch));
	w->picks = calloc((size_t)w->n_runs * LMM_DIFF_DRAWS, LMM_DIFF_BLOCKS);
	return w->levels && w->blocks && w->n_blocks && w->between && w->within && w->scratch &&
			       w->picks
		       ? 0
		       : -ENOMEM;
}

static void work_free(struct work *w)
{
	free(w->levels);
	free(w->blocks);
	free(w->n_blocks);
	free(w->between);
	free(w->within);
	free(w->scratch);
	free(w->picks);
}

static int estimate(struct work *w, struct lmm_diff_estimate *out, struct lmm_diff_estimate *common)
{
	double own = w->n_runs - 2, shrunk = own;
	int has_common = leaves_count(w) >= LEAVES_MIN;

	levels_fill(w);
	if (has_common)
		common_divide(w);
	for (uint32_t i = 0; i <= w->n_items; i++)
		variances_fill(w, i);
	if (own > 0 && variances_shrink(w, &shrunk))
		return -ENOMEM;
	picks_fill(w);
	for (uint32_t i = 0; i < w->n_items; i++)
		item_estimate(w, i, w->kinds[i] == LMM_DIFF_RAW ? own : shrunk, &out[i]);
	memset(common, 0, sizeof(*common));
	if (has_common)
		item_estimate(w, w->n_items, own, common);
	return 0;
}

int lmm_diff_estimate(const struct lmm_diff_cell *cells, const uint8_t *kinds, uint32_t n_items,
		      uint32_t n_before, uint32_t n_after, struct lmm_diff_estimate *out,
		      struct lmm_diff_estimate *common)
{
	struct work w = { .cells = cells,
			  .kinds = kinds,
			  .n_items = n_items,
			  .n_runs = n_before + n_after,
			  .n_before = n_before };
	int rc = work_make(&w);

	if (rc == 0)
		rc = estimate(&w, out, common);
	work_free(&w);
	return rc;
}
