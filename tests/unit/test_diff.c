/* SPDX-License-Identifier: Apache-2.0 */
/* lmmeter diff: statistics against arithmetic, partners, and how often it is right on made-up runs (LMM_LONG: more of them). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/diff.h"
#include "analyze/diff_stats.h"
#include "analyze/histogram.h"

#define assert_near(a, b, error) assert_true(fabs((double)(a) - (double)(b)) <= (error))

/* ---- arithmetic --------------------------------------------------------------------------------- */

static void test_student(void **state)
{
	(void)state;
	/* of one degree of freedom it is Cauchy's: 1 - 2 atan(t) / pi */
	assert_near(lmm_diff_student_p(3, 1), 1 - 2 * atan(3) / acos(-1), 1e-12);
	/* of two: 1 - t / sqrt(2 + t^2) */
	assert_near(lmm_diff_student_p(-5, 2), 1 - 5 / sqrt(27), 1e-12);
	assert_near(lmm_diff_student_p(0, 7), 1, 1e-12);
	assert_near(lmm_diff_student_p(3.2905267, 1e7), 0.001, 1e-6);
	for (int f = 1; f < 40; f++)
		assert_near(lmm_diff_student_p(lmm_student_95(f), f), 0.05, 0.002);
}

static void test_holm(void **state)
{
	const double p[] = { 0.04, 0.001, 0.02, 0.9 };
	uint8_t passes[4];

	(void)state;
	/* 0.001 <= 0.05/4, 0.02 > 0.05/3: the rest does not stand, 0.04 <= 0.05/1 notwithstanding */
	assert_int_equal(lmm_diff_holm(p, 4, 0.05, passes), 0);
	assert_memory_equal(passes, ((uint8_t[]){ 0, 1, 0, 0 }), 4);
	/* 0.02 <= 0.06/3, 0.04 > 0.06/2 */
	assert_int_equal(lmm_diff_holm(p, 4, 0.06, passes), 0);
	assert_memory_equal(passes, ((uint8_t[]){ 0, 1, 1, 0 }), 4);
}

static void test_cell(void **state)
{
	struct lmm_diff_cell cell;
	double values[100];

	(void)state;
	for (int i = 0; i < 100; i++)
		values[i] = i + 1;
	lmm_diff_cell_fill(&cell, values, 100);
	/* between the 6th and the 41st: 6 * 6 + (7 + … + 40) + 41 * 60 */
	assert_near(cell.mean, (36 + 799 + 2460) / 100.0, 1e-9);
	assert_int_equal(cell.n_blocks, 25);
	assert_near(cell.blocks[0], (6 * 4) / 4.0, 1e-9);
	assert_near(cell.blocks[24], 41, 1e-9);
	/* a step that was disturbed changes nothing */
	values[99] = 1e9;
	lmm_diff_cell_fill(&cell, values, 100);
	assert_near(cell.mean, 32.95, 1e-9);
	/* too few to tell how they scatter; what is rare is averaged as it is */
	lmm_diff_cell_fill(&cell, values, 7);
	assert_int_equal(cell.n_blocks, 0);
	memset(values, 0, sizeof(values));
	values[50] = 300;
	lmm_diff_cell_fill(&cell, values, 100);
	assert_near(cell.mean, 3, 1e-9);
}

static void test_prior_of_equals(void **state)
{
	double variances[20], expected[20];
	struct lmm_diff_prior prior;

	(void)state;
	for (int i = 0; i < 20; i++) {
		variances[i] = 4e-4;
		expected[i] = 1e-4;
	}
	lmm_diff_prior_fit(variances, expected, 20, 1000, &prior);
	/* they scatter less than chance would have it: the prior counts for as much as it may */
	assert_near(prior.freedom, 10, 1e-9);
	assert_true(prior.scale > 3.3 && prior.scale < 4.4);
}

/* ---- made-up runs ------------------------------------------------------------------------------- */

#define ITEMS  40
#define TOKENS 96

static uint64_t seed;

static double uniform(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return ((double)(seed >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

struct scene {
	double run_noise;  /* of all of a run alike */
	double item_noise; /* of an item from run to run */
	double token_noise;
	double tail; /* share of disturbed tokens */
};

static const struct scene quiet = { 0.02, 0.005, 0.02, 0.02 };
static const struct scene busy = { 0.03, 0.01, 0.04, 0.15 };

static double item_ns(unsigned item)
{
	return 3e6 * pow(0.75, item);
}

static double token_ns(void)
{
	double sum = 0;

	for (unsigned i = 0; i < ITEMS; i++)
		sum += item_ns(i);
	return sum;
}

static int32_t column(struct lmm_diff_sheet *s, unsigned level, const char *name)
{
	struct lmm_diff_key key = { (uint8_t)level, 0, 0, -1, name, "", "", "" };

	return lmm_diff_sheet_column(s, &key);
}

/* slow: item that takes extra ns more in each token; ITEMS: none. */
static struct lmm_diff_run *run_make(const struct scene *scene, unsigned slow, double extra)
{
	struct lmm_diff_run *run = lmm_diff_run_create();
	struct lmm_diff_sheet *s = &run->sheets[LMM_DIFF_DECODE];
	double common = exp(scene->run_noise * normal()), drift = 0.02 * normal();
	double levels[ITEMS], values[ITEMS + 1];
	char name[16];

	assert_int_equal(column(s, LMM_DIFF_TOTAL, "step"), 0);
	for (unsigned i = 0; i < ITEMS; i++) {
		(void)snprintf(name, sizeof(name), "op%u", i);
		(void)column(s, LMM_DIFF_KERNEL, name);
		/* some are more restless than others */
		levels[i] = exp(scene->item_noise * (0.5 + (i % 4) * 0.33) * normal());
	}
	for (unsigned t = 0; t < TOKENS; t++) {
		double all = common * (1 + drift * t / TOKENS);

		values[0] = 0;
		for (unsigned i = 0; i < ITEMS; i++) {
			double v = item_ns(i) * levels[i] * exp(scene->token_noise * normal());

			if (uniform() < scene->tail)
				v *= 1 + 0.2 / uniform();
			values[i + 1] = v * all + (i == slow ? extra : 0);
			values[0] += values[i + 1];
		}
		assert_int_equal(lmm_diff_sheet_row(s, values, ITEMS + 1, 1, 0), 0);
	}
	return run;
}

struct outcome {
	unsigned alarms; /* comparisons in which anything changed that was not touched */
	unsigned found;
	unsigned covered; /* the true change of the item lies in its interval */
};

static struct outcome compare_many(const struct scene *scene, unsigned times, unsigned slow,
				   double share)
{
	double extra = share * token_ns();
	struct outcome o = { 0 };
	char name[16];

	(void)snprintf(name, sizeof(name), "op%u", slow);
	for (unsigned k = 0; k < times; k++) {
		struct lmm_diff_run *runs[6];
		struct lmm_diff *d;
		int alarm = 0;

		for (unsigned r = 0; r < 6; r++)
			runs[r] = run_make(scene, r < 3 ? ITEMS : slow, extra);
		d = lmm_diff_create(runs, 3, 3);
		assert_non_null(d);
		for (size_t i = 0; i < d->n_items; i++) {
			const struct lmm_diff_item *item = &d->items[i];
			int is_it = strcmp(item->key.name, name) == 0;

			if (is_it && item->low_ns <= extra && item->high_ns >= extra)
				o.covered++;
			if (item->is_changed && is_it && item->change_ns > 0)
				o.found++;
			alarm |= item->is_changed && !is_it && item->key.level != LMM_DIFF_TOTAL;
		}
		o.alarms += (unsigned)alarm;
		lmm_diff_destroy(d);
		for (unsigned r = 0; r < 6; r++)
			lmm_diff_run_destroy(runs[r]);
	}
	print_message("%u comparisons: %u false alarms, %u found, %u covered\n", times, o.alarms,
		      o.found, o.covered);
	return o;
}

static unsigned times(unsigned quick)
{
	const char *is_long = getenv("LMM_LONG");

	/* sanitizers and other machines are no other statistics, and slow */
	if (getenv("LMM_VARIANT"))
		return quick / 20;
	return is_long && strcmp(is_long, "1") == 0 ? quick * 4 : quick;
}

static void test_false_alarms(void **state)
{
	unsigned n = times(100);

	(void)state;
	seed = 1;
	assert_true(compare_many(&quiet, n, ITEMS, 0).alarms * 100 <= n);
	assert_true(compare_many(&busy, n, ITEMS, 0).alarms * 100 <= n);
}

static void test_finds_the_largest_and_the_smallest(void **state)
{
	unsigned n = times(40);
	struct outcome o;

	(void)state;
	seed = 2;
	o = compare_many(&quiet, n, 0, 0.03);
	assert_true(o.found * 100 >= n * 95);
	assert_true(o.covered * 100 >= n * 85);
	o = compare_many(&quiet, n, ITEMS - 1, 0.03);
	assert_true(o.found * 100 >= n * 95);
	o = compare_many(&busy, n, 0, 0.03);
	assert_true(o.found * 100 >= n * 95);
}

/* A machine that is 20 % slower as a whole: no operator stands out, and that is said. */
static void test_common_factor(void **state)
{
	struct lmm_diff_run *runs[6];
	struct lmm_diff *d;

	(void)state;
	seed = 3;
	for (unsigned r = 0; r < 6; r++) {
		runs[r] = run_make(&quiet, ITEMS, 0);
		runs[r]->ns_per_tick = r < 3 ? 1 : 1.2;
	}
	d = lmm_diff_create(runs, 3, 3);
	assert_true(d->classes[LMM_DIFF_DECODE].has_common);
	assert_near(d->classes[LMM_DIFF_DECODE].common_percent, 20, 6);
	for (size_t i = 0; i < d->n_items; i++)
		assert_true(!d->items[i].is_changed || d->items[i].key.level == LMM_DIFF_TOTAL);
	lmm_diff_destroy(d);
	for (unsigned r = 0; r < 6; r++)
		lmm_diff_run_destroy(runs[r]);
}

/* ---- partners ----------------------------------------------------------------------------------- */

static struct lmm_diff_run *run_of(const char *one, const char *other)
{
	struct lmm_diff_run *run = lmm_diff_run_create();
	struct lmm_diff_sheet *s = &run->sheets[LMM_DIFF_DECODE];
	const double values[] = { 300, 100, 200 };

	(void)column(s, LMM_DIFF_TOTAL, "step");
	(void)column(s, LMM_DIFF_KERNEL, one);
	(void)column(s, LMM_DIFF_KERNEL, other);
	for (unsigned t = 0; t < 3000; t++)
		assert_int_equal(lmm_diff_sheet_row(s, values, 3, 1, 0), 0);
	return run;
}

static const struct lmm_diff_item *item_named(const struct lmm_diff *d, const char *name)
{
	for (size_t i = 0; i < d->n_items; i++) {
		if (strcmp(d->items[i].key.name, name) == 0)
			return &d->items[i];
	}
	return NULL;
}

static void test_partners(void **state)
{
	struct lmm_diff_run *runs[] = { run_of("a", "b"), run_of("b", "c") };
	struct lmm_diff *d = lmm_diff_create(runs, 1, 1);

	(void)state;
	assert_true(d->is_within_only);
	assert_int_equal(item_named(d, "a")->partner, LMM_DIFF_ONLY_BEFORE);
	assert_int_equal(item_named(d, "b")->partner, LMM_DIFF_BOTH);
	assert_int_equal(item_named(d, "c")->partner, LMM_DIFF_ONLY_AFTER);
	assert_near(item_named(d, "b")->ns[LMM_DIFF_BEFORE], 200, 1e-9);
	assert_near(item_named(d, "b")->ns[LMM_DIFF_AFTER], 100, 1e-9);
	assert_near(item_named(d, "b")->change_percent, -50, 1e-9);
	/* a went, b took half, c came: all of it is named, and the step took as long as before */
	assert_true(item_named(d, "b")->is_changed);
	assert_near(d->classes[LMM_DIFF_DECODE].named_ns, -100 - 100 + 200, 1e-9);
	assert_near(d->classes[LMM_DIFF_DECODE].rest_ns, 0, 1e-9);
	lmm_diff_destroy(d);
	lmm_diff_run_destroy(runs[0]);
	lmm_diff_run_destroy(runs[1]);
}

static void test_rows_are_spread_and_sums_exact(void **state)
{
	struct lmm_diff_run *run = lmm_diff_run_create();
	struct lmm_diff_sheet *s = &run->sheets[LMM_DIFF_DECODE];
	double early = 0;

	(void)state;
	(void)column(s, LMM_DIFF_TOTAL, "step");
	for (unsigned t = 0; t < 50000; t++) {
		double value = t;

		assert_int_equal(lmm_diff_sheet_row(s, &value, 1, 1, 0), 0);
	}
	assert_int_equal(s->steps, 50000);
	assert_near(s->columns[0].total, 50000.0 * 49999 / 2, 0);
	assert_true(s->n_rows > LMM_DIFF_ROWS / 2 && s->n_rows <= LMM_DIFF_ROWS);
	for (uint32_t i = 0; i < s->n_rows; i++) {
		/* each lies in its own stretch */
		assert_true(s->rows[i].values[0] >= (float)i * s->stride &&
			    s->rows[i].values[0] < (float)(i + 1) * s->stride);
		early += s->rows[i].values[0] - (double)i * s->stride < s->stride / 2.0;
	}
	assert_near(early / s->n_rows, 0.5, 0.08);
	lmm_diff_run_destroy(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_student),
		cmocka_unit_test(test_holm),
		cmocka_unit_test(test_cell),
		cmocka_unit_test(test_prior_of_equals),
		cmocka_unit_test(test_partners),
		cmocka_unit_test(test_rows_are_spread_and_sums_exact),
		cmocka_unit_test(test_common_factor),
		cmocka_unit_test(test_false_alarms),
		cmocka_unit_test(test_finds_the_largest_and_the_smallest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
