/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons of a study on made-up cells: how often they are wrong, how often right, and scores. (LMM_LONG: more of them.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "study_made_up.h"

#define assert_near(a, b, error) assert_true(fabs((double)(a) - (double)(b)) <= (error))

#define PLAN                                                                                             \
	"[engine]\ncommand = [\"e\", \"{a}\", \"{b}\"]\n[factors]\na = [1, 2, 3, 4, 5, 6]\nb = [1, 2]\n" \
	"[run]\nrepeats = 5\n"

/* ---- arithmetic --------------------------------------------------------------------------------- */

static void test_quantile(void **state)
{
	(void)state;
	/* from tables */
	assert_near(lmm_student_quantile(0.05, 4), 2.776445, 1e-5);
	assert_near(lmm_student_quantile(0.01, 14), 2.976843, 1e-5);
	assert_near(lmm_student_quantile(0.001, 1), 636.619249, 1e-3);
}

static void test_interval(void **state)
{
	double values[] = { 1, 2, 3, 4, 5 }, mean, half;

	(void)state;
	lmm_mean_interval(values, 5, &mean, &half);
	assert_near(mean, 3, 1e-12);
	assert_near(half, 2.776445 * sqrt(2.5 / 5), 1e-5);
	lmm_mean_interval(values, 1, &mean, &half);
	assert_near(mean, 1, 0);
	assert_true(isnan(half));
	lmm_mean_interval(values, 0, &mean, &half);
	assert_true(isnan(mean));
}

static void test_power(void **state)
{
	struct lmm_contrast_scatter own = { 0.01, 8, 0 }, sure = { 0.01, 1, 1e9 };

	(void)state;
	/* without an effect the power is the error */
	assert_near(lmm_contrast_power(0, &own, 0.05), 0.05, 1e-4);
	assert_near(lmm_contrast_power(0, &own, 0.001), 0.001, 1e-5);
	/* noncentral t, from tables: 8 degrees of freedom, shift 3, two-sided 0.05 */
	assert_near(lmm_contrast_power(0.03, &own, 0.05), 0.7486, 0.002);
	/* a known variance is the normal distribution: 1.96 away from 3 */
	assert_near(lmm_contrast_power(0.03, &sure, 0.05), 0.8508, 0.001);
	assert_near(lmm_contrast_power(lmm_contrast_least(0.8, &own, 0.01), &own, 0.01), 0.8, 1e-4);
	assert_true(lmm_contrast_least(0.8, &own, 0.001) > lmm_contrast_least(0.8, &own, 0.01));
}

/* The paired differences by hand. */
static void test_contrast_by_hand(void **state)
{
	struct lmm_study *s = made_up_study(
		"[engine]\ncommand = [\"e\", \"{b}\"]\n[factors]\nb = [1, 2]\n[run]\nrepeats = 3\n");
	const double first[] = { 100, 200, 400 }, second[] = { 110, 230, 440 };
	struct lmm_study_findings *f;
	double d[3], mean, half;

	(void)state;
	for (uint32_t b = 0; b < 3; b++) {
		lmm_study_cell(s, b, 0)->figures[LMM_FIG_TPOT] = first[b];
		lmm_study_cell(s, b, 1)->figures[LMM_FIG_TPOT] = second[b];
		d[b] = log(second[b] / first[b]);
	}
	f = lmm_study_findings_make(s);
	lmm_mean_interval(d, 3, &mean, &half);
	for (uint32_t i = 0; i < f->n_main; i++) {
		if (f->contrasts[i].figure != LMM_FIG_TPOT)
			continue;
		assert_near(f->contrasts[i].e.change, mean, 1e-12);
		assert_near(f->contrasts[i].e.high, mean + half, 1e-9);
		assert_near(f->contrasts[i].e.freedom, 2, 0);
	}
	/* blocks of 100 to 400: the interval of the difference knows nothing of that */
	assert_true(half < 0.07);
	lmm_study_findings_destroy(f);
	lmm_study_destroy(s);
}

static void test_holes(void **state)
{
	struct lmm_study *s = made_up_study(PLAN);
	struct lmm_study_findings *f;

	(void)state;
	lmm_study_cell(s, 0, 0)->status = LMM_CELL_FAILED;
	for (uint32_t b = 0; b < 5; b++) {
		/* a = 2, both b */
		lmm_study_cell(s, b, 2)->status = LMM_CELL_FAILED;
		lmm_study_cell(s, b, 3)->status = LMM_CELL_FAILED;
	}
	lmm_study_cell(s, 4, 11)->status = LMM_CELL_MISSING;
	f = lmm_study_findings_make(s);
	assert_int_equal(f->n_holes, 11);
	assert_int_equal(f->n_missing, 1);
	assert_int_equal(f->n_ok, 48);
	for (uint32_t i = 0; i < f->n_main; i++) {
		const struct lmm_study_contrast *c = &f->contrasts[i];

		if (c->factor == 0 && c->level == 1)
			assert_false(c->e.is_judged);
		else if (c->figure != LMM_FIG_TOKEN_ENERGY)
			assert_true(c->e.is_judged);
	}
	lmm_study_findings_destroy(f);
	lmm_study_destroy(s);
}

/* ---- simulations --------------------------------------------------------------------------------- */

/* A drift over blocks, conditions of different size and scatter; tails: some cells are disturbed. */
static void noise_fill(struct lmm_study *s, double scatter, int is_uneven, double tails)
{
	uint32_t n = s->plan->n_conditions;
	double drift = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		drift += 0.03 * made_up_normal();
		for (uint32_t c = 0; c < n; c++) {
			double each = is_uneven ? scatter * exp2((double)(c % 5) / 2 - 1) : scatter;

			for (unsigned k = 0; k < LMM_STUDY_COMPARED; k++) {
				double e = each * made_up_normal();

				if (made_up_uniform() < tails)
					e += 0.1 * made_up_uniform();
				lmm_study_cell(s, b, c)->figures[lmm_study_compared[k]] =
					1e7 * exp(drift + e) * (1 + c);
			}
		}
	}
}

/* A difference of levels is taken out again: identical variants differ by nothing. */
static void sizes_same(struct lmm_study *s)
{
	for (uint32_t i = 0; i < s->n_blocks * s->plan->n_conditions; i++) {
		for (unsigned k = 0; k < LMM_STUDY_COMPARED; k++)
			s->cells[i].figures[lmm_study_compared[k]] /= 1 + s->cells[i].condition;
	}
}

static unsigned is_alarm(const struct lmm_study_findings *f)
{
	for (uint32_t i = 0; i < f->n_contrasts; i++) {
		if (f->contrasts[i].e.is_changed)
			return 1;
	}
	return 0;
}

/* Sanitizers and other machines are no other statistics, and slow: a few, which are not judged. */
static int is_judged(void)
{
	return getenv("LMM_VARIANT") == NULL;
}

static unsigned repeats_of(unsigned n)
{
	if (!is_judged())
		return n / 40;
	return getenv("LMM_LONG") ? n * 5 : n;
}

static double alarms(const char *plan, double scatter, int is_uneven, double tails, unsigned n)
{
	struct lmm_study *s = made_up_study(plan);
	unsigned found = 0;

	made_up_random = 42;
	for (unsigned i = 0; i < n; i++) {
		struct lmm_study_findings *f;

		noise_fill(s, scatter, is_uneven, tails);
		sizes_same(s);
		f = lmm_study_findings_make(s);
		assert_non_null(f);
		found += is_alarm(f);
		lmm_study_findings_destroy(f);
	}
	lmm_study_destroy(s);
	print_message("scatter %g %%%s%s: %u false alarms in %u studies\n", 100 * scatter,
		      is_uneven ? ", uneven" : "", tails > 0 ? ", tails" : "", found, n);
	return is_judged() ? 100.0 * found / n : 0;
}

static void test_false_alarms(void **state)
{
	(void)state;
	assert_true(alarms(PLAN, 0.02, 0, 0, repeats_of(1000)) <= 1.0);
	assert_true(alarms(PLAN, 0.02, 1, 0.02, repeats_of(1000)) <= 1.0);
	assert_true(
		alarms("[engine]\ncommand = [\"e\", \"{a}\"]\n[factors]\na = [1, 2]\n[run]\nrepeats = 5\n",
		       0.02, 0, 0, repeats_of(1000)) <= 1.0);
}

/* One level of `a` is 2 % slower in TPOT: how often it is found, against what the reports print. */
static void power_check(double scatter, unsigned n)
{
	struct lmm_study *s = made_up_study(PLAN);
	double printed = 0;
	unsigned found = 0;

	made_up_random = 7;
	for (unsigned i = 0; i < n; i++) {
		struct lmm_study_findings *f;

		noise_fill(s, scatter, 0, 0);
		sizes_same(s);
		for (uint32_t b = 0; b < s->n_blocks; b++) {
			for (uint32_t c = 4; c < 6; c++)
				lmm_study_cell(s, b, c)->figures[LMM_FIG_TPOT] *= 1.02;
		}
		f = lmm_study_findings_make(s);
		for (uint32_t k = 0; k < f->n_main; k++) {
			const struct lmm_study_contrast *c = &f->contrasts[k];

			if (c->factor != 0 || c->level != 2 || c->figure != LMM_FIG_TPOT)
				continue;
			found += c->e.is_changed;
			printed += c->e.power_2 / n;
		}
		lmm_study_findings_destroy(f);
	}
	lmm_study_destroy(s);
	print_message("scatter %g %%: found in %.1f %%, printed %.1f %%\n", 100 * scatter,
		      100.0 * found / n, 100 * printed);
	if (is_judged())
		assert_near(100.0 * found / n, 100 * printed, 5);
}

static void test_power_as_printed(void **state)
{
	(void)state;
	power_check(0.005, repeats_of(400));
	power_check(0.01, repeats_of(400));
	power_check(0.02, repeats_of(400));
	power_check(0.07, repeats_of(400));
}

/* ---- scores -------------------------------------------------------------------------------------- */

static struct lmm_dear dear(double v, double half)
{
	return (struct lmm_dear){ v, v - half, v + half };
}

static double score(double quality, double time, double memory, double energy)
{
	const struct lmm_dear own[] = { dear(quality, 0), dear(time, 0), dear(memory, 0),
					dear(energy, 0) };
	const struct lmm_dear reference[] = { dear(10, 0), dear(100, 0), dear(1000, 0),
					      dear(5, 0) };
	const double weights[] = { 1, 1, 1, 1 };
	struct lmm_score out;

	lmm_score_make(own, reference, weights, &out);
	return out.value;
}

static void test_score_properties(void **state)
{
	(void)state;
	/* the reference: quality 1, the rest a half */
	assert_near(score(10, 100, 1000, 5), 4 / (1 + 2 + 2 + 2.0), 1e-12);
	/* monotone: dearer in anything is never better */
	made_up_random = 3;
	for (int i = 0; i < 2000; i++) {
		double v[4], more[4];

		for (int k = 0; k < 4; k++)
			more[k] = v[k] = exp(6 * made_up_uniform());
		more[i % 4] *= 1 + made_up_uniform();
		assert_true(score(more[0], more[1], more[2], more[3]) <=
			    score(v[0], v[1], v[2], v[3]));
		assert_true(score(v[0], v[1], v[2], v[3]) >= 0 &&
			    score(v[0], v[1], v[2], v[3]) <= 1);
	}
	/* what is better than the reference's quality counts as the reference's */
	assert_near(score(5, 100, 1000, 5), score(10, 100, 1000, 5), 1e-12);
	/* all quality at no cost is 1; no quality, or endless cost, is 0 */
	assert_near(score(10, 1e-12, 1e-12, 1e-12), 1, 1e-9);
	assert_near(score(1e15, 100, 1000, 5), 0, 1e-9);
	assert_near(score(10, 1e18, 1000, 5), 0, 1e-9);
}

static void test_score_scale_free(void **state)
{
	const double weights[] = { 2, 1, 0, 1 };
	struct lmm_score a, b;
	struct lmm_dear own[] = { dear(12, 1), dear(80, 2), dear(500, 1), dear(NAN, 0) };
	struct lmm_dear reference[] = { dear(10, 1), dear(100, 3), dear(1000, 1), dear(4, 0) };

	(void)state;
	lmm_score_make(own, reference, weights, &a);
	/* memory weighs nothing, energy is not known: quality and time are left */
	assert_near(a.value, 3 / (2 / (10.0 / 12) + 1 / (1 / 1.8)), 1e-12);
	assert_true(a.low < a.value && a.value < a.high);
	for (int k = 0; k < 4; k++) {
		struct lmm_dear *both[] = { &own[k], &reference[k] };

		for (int i = 0; i < 2; i++)
			*both[i] = (struct lmm_dear){ both[i]->value * 1000, both[i]->low * 1000,
						      both[i]->high * 1000 };
	}
	lmm_score_make(own, reference, weights, &b);
	assert_near(a.value, b.value, 1e-12);
	assert_near(a.low, b.low, 1e-12);
	own[0] = dear(NAN, 0);
	lmm_score_make(own, reference, weights, &b);
	assert_true(isnan(b.value));
}

static void test_pareto(void **state)
{
	/* 1 is better than 0 in both; 2 trades; 3 as 1, but its interval reaches over; 4 is not known */
	const struct lmm_dear points[] = {
		dear(10, 0.1), dear(100, 1), dear(8, 0.1), dear(90, 1),	 dear(5, 0.1),
		dear(200, 1),  dear(8, 3),   dear(90, 20), dear(NAN, 0), dear(90, 1),
	};
	int32_t by[5];

	(void)state;
	lmm_pareto(points, 5, 2, by);
	assert_int_equal(by[0], 1);
	assert_int_equal(by[1], -1);
	assert_int_equal(by[2], -1);
	assert_int_equal(by[3], -1);
	assert_int_equal(by[4], -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_power),
		cmocka_unit_test(test_contrast_by_hand),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_false_alarms),
		cmocka_unit_test(test_power_as_printed),
		cmocka_unit_test(test_score_properties),
		cmocka_unit_test(test_score_scale_free),
		cmocka_unit_test(test_pareto),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
