/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a request's times and the share of prefill grow along a factor of numbers (prompt length, context, threads, …), drawn: a point for
 * each level, over all conditions that have it.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "report/html_parts.h"
#include "study/study_html.h"

#define LEVELS_MIN 3u /* fewer are no curve: the table of effects has them */

#define WIDTH  640.0
#define HEIGHT 190.0
#define LEFT   70.0
#define RIGHT  20.0
#define TOP    14.0
#define BOTTOM 26.0

struct point {
	double x;	     /* the level */
	double y, low, high; /* mean and 95 % interval; y NaN: not known; low NaN: no interval */
};

enum measure { MEASURE_PREFILL, MEASURE_TTFT, MEASURE_TPOT, MEASURE_COUNT };

static const struct {
	const char *title, *name;
	int figure; /* -1: a share */
} measures[MEASURE_COUNT] = {
	[MEASURE_PREFILL] = { "Share of prefill in requests", "prefill", -1 },
	[MEASURE_TTFT] = { "Time to first token", "ttft", LMM_FIG_TTFT },
	[MEASURE_TPOT] = { "Time per output token", "tpot", LMM_FIG_TPOT },
};

/* ---- points ---------------------------------------------------------------------------------------- */

static bool number_of(const char *text, double *x)
{
	char *end;

	*x = strtod(text, &end);
	return end != text && !*end && isfinite(*x);
}

/* All levels are numbers, and they are enough for a curve. */
static bool is_of_numbers(const struct lmm_factor *k)
{
	double x;

	if (k->n < LEVELS_MIN)
		return false;
	for (uint32_t i = 0; i < k->n; i++) {
		if (!number_of(k->levels[i], &x))
			return false;
	}
	return true;
}

/* Of one condition, on the scale on which means are taken: shares as they are, times by their logarithm. */
static bool value_of(const struct lmm_study_findings *f, uint32_t condition, enum measure m,
		     double *value, double *half)
{
	const struct lmm_mean *mean;

	if (measures[m].figure < 0) {
		return lmm_study_cell_mean(f->s, condition, lmm_cell_prefill_percent, value, half) >
		       0;
	}
	mean = lmm_study_mean(f, condition, (unsigned)measures[m].figure);
	if (isnan(mean->value) || mean->value <= 0)
		return false;
	*value = log(mean->value);
	*half = isnan(mean->low) ? NAN : (log(mean->high) - log(mean->low)) / 2;
	return true;
}

/* Conditions scatter each for themselves: halves of intervals add up as squares. */
static struct point point_of(const struct lmm_study_findings *f, uint32_t factor, uint32_t level,
			     enum measure m)
{
	const struct lmm_plan *p = f->s->plan;
	struct point at = { .y = NAN, .low = NAN, .high = NAN };
	double sum = 0, squares = 0, value, half;
	uint32_t n = 0;

	(void)number_of(p->factors[factor].levels[level], &at.x);
	for (uint32_t c = 0; c < p->n_conditions; c++) {
		if (lmm_plan_level(p, c, factor) != level || !value_of(f, c, m, &value, &half))
			continue;
		sum += value;
		squares += half * half;
		n++;
	}
	if (n == 0)
		return at;
	at.y = sum / n;
	half = sqrt(squares) / n;
	at.low = at.y - half;
	at.high = at.y + half;
	if (measures[m].figure >= 0) {
		at.y = exp(at.y);
		at.low = exp(at.low);
		at.high = exp(at.high);
	}
	return at;
}

static int point_compare(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	return x->x < y->x ? -1 : x->x > y->x;
}

/* Those that are known, in the order of their levels. */
static uint32_t points_of(const struct lmm_study_findings *f, uint32_t factor, enum measure m,
			  struct point points[LMM_PLAN_LEVELS_MAX])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->s->plan->factors[factor].n; i++) {
		points[n] = point_of(f, factor, i, m);
		n += !isnan(points[n].y);
	}
	qsort(points, n, sizeof(*points), point_compare);
	return n;
}

/* ---- drawing --------------------------------------------------------------------------------------- */

struct plot {
	const struct point *points;
	uint32_t n;
	double most; /* of y, which begins at 0 */
};

static double x_of(const struct plot *p, double x)
{
	double first = p->points[0].x, last = p->points[p->n - 1].x;

	return LEFT + 10 + (WIDTH - LEFT - RIGHT - 20) * (x - first) / (last - first);
}

static double y_of(const struct plot *p, double y)
{
	return TOP + (HEIGHT - TOP - BOTTOM) * (1 - fmin(fmax(y / p->most, 0), 1));
}

static struct lmm_human y_text(enum measure m, double y)
{
	return measures[m].figure < 0 ? lmm_human_percent(y) : lmm__html_ns(y);
}

static void put_curve(const struct plot *p, FILE *out)
{
	fputs("<polyline fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.4\" points=\"",
	      out);
	for (uint32_t i = 0; i < p->n; i++) {
		fprintf(out, "%s%s,%s", i ? " " : "", lmm_decimal(x_of(p, p->points[i].x), 1).s,
			lmm_decimal(y_of(p, p->points[i].y), 1).s);
	}
	fputs("\"/>", out);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct point *at = &p->points[i];
		double x = x_of(p, at->x), y = y_of(p, at->y);

		if (!isnan(at->low)) {
			lmm__study_rect(out, "host", x - 1, y_of(p, at->high), 2,
					fmax(y_of(p, at->low) - y_of(p, at->high), 1));
		}
		lmm__study_rect(out, "attributed", x - 3, y - 3, 6, 6);
	}
}

static void put_plot(const struct plot *p, const char *factor, enum measure m, FILE *out)
{
	double last = -HUGE_VAL;

	lmm__study_svg_begin(out, WIDTH, HEIGHT, measures[m].title, factor);
	lmm__study_rect(out, "idle", LEFT, HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT, 1);
	lmm__study_rect(out, "idle", LEFT, TOP, 1, HEIGHT - TOP - BOTTOM);
	lmm__study_text(out, LEFT - 6, HEIGHT - BOTTOM + 4, "end", "0");
	lmm__study_text(out, LEFT - 6, TOP + 8, "end", y_text(m, p->most).s);
	for (uint32_t i = 0; i < p->n; i++) {
		double x = x_of(p, p->points[i].x);
		char level[32];

		if (x - last < 36) /* there is no room for it */
			continue;
		last = x;
		(void)snprintf(level, sizeof(level), "%.6g", p->points[i].x);
		lmm__study_text(out, x, HEIGHT - BOTTOM + 18, "middle", level);
	}
	put_curve(p, out);
	fputs("</svg>\n", out);
}

/* False: there are too few points. */
static bool plot_make(const struct lmm_study_findings *f, uint32_t factor, enum measure m,
		      struct point points[LMM_PLAN_LEVELS_MAX], struct plot *p)
{
	*p = (struct plot){ .points = points, .n = points_of(f, factor, m, points) };
	for (uint32_t i = 0; i < p->n; i++)
		p->most = fmax(p->most, isnan(points[i].high) ? points[i].y : points[i].high);
	return p->n >= LEVELS_MIN && p->most > 0 && points[p->n - 1].x > points[0].x;
}

static void put_factor(const struct lmm_study_findings *f, uint32_t factor, FILE *out)
{
	struct point points[LMM_PLAN_LEVELS_MAX];
	const char *name = f->s->plan->factors[factor].name;
	struct plot p;

	fputs("<section class=\"growth\">\n<h2>By ", out);
	lmm__html_text(out, name);
	fputs("</h2>\n<p class=\"quiet\">Means over all conditions with that level, 95 % intervals over blocks.</p>\n",
	      out);
	for (unsigned m = 0; m < MEASURE_COUNT; m++) {
		if (!plot_make(f, factor, (enum measure)m, points, &p))
			continue;
		fprintf(out, "<h3>%s</h3>\n", measures[m].title);
		put_plot(&p, name, (enum measure)m, out);
	}
	fputs("</section>\n", out);
}

void lmm__study_growth_put(const struct lmm_study_findings *f, FILE *out)
{
	for (uint32_t i = 0; i < f->s->plan->n_factors; i++) {
		if (is_of_numbers(&f->s->plan->factors[i]))
			put_factor(f, i, out);
	}
}

int lmm__study_growth_plot(const struct lmm_study_findings *f, unsigned number,
			   char name[LMM_STUDY_PLOT_NAME], FILE *out)
{
	uint32_t factor = number / MEASURE_COUNT;
	enum measure m = (enum measure)(number % MEASURE_COUNT);
	struct point points[LMM_PLAN_LEVELS_MAX];
	struct plot p;

	if (factor >= f->s->plan->n_factors)
		return -1;
	if (!is_of_numbers(&f->s->plan->factors[factor]) || !plot_make(f, factor, m, points, &p))
		return 0;
	(void)snprintf(name, LMM_STUDY_PLOT_NAME, "%.64s-%s", f->s->plan->factors[factor].name,
		       measures[m].name);
	put_plot(&p, f->s->plan->factors[factor].name, m, out);
	return 1;
}
