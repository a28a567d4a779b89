/* SPDX-License-Identifier: Apache-2.0 */
/* How many steps are timed, what that is learned to cost, and what of the budget it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "probe/devices/budget.h"

/* What timing costs in the end, as a share of all steps: steps of `ticks`, `commands` each. */
static double spent(double cost, uint32_t commands, uint64_t ticks, uint32_t budget_ppm)
{
	struct lmm_budget b = { 0 };
	uint64_t now = 1000, timed = 0, whole = 0;

	for (uint32_t step = 1; step <= 20000; step++) {
		int is_timed = lmm_budget_step(&b, now, step, cost, budget_ppm);
		uint64_t took = ticks + (is_timed ? (uint64_t)(commands * cost) : 0);

		b.commands = commands;
		now += took;
		if (step <= 10)
			continue; /* nothing is known of the first */
		whole += took;
		timed += is_timed ? (uint64_t)(commands * cost) : 0;
	}
	return (double)timed / (double)whole;
}

static void test_budget(void **state)
{
	static const double costs[] = { 50, 500, 7500, 20000 };

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(costs); i++) {
		/* 600 commands in 10 ms */
		assert_true(spent(costs[i], 600, 10000000, 1000) <= 0.001 * 1.1);
		assert_true(spent(costs[i], 600, 10000000, 10000) <= 0.01 * 1.1);
		/* and it is spent, not saved */
		assert_true(spent(costs[i], 600, 10000000, 1000) >= 0.001 * 0.5);
	}
	/* cheap enough: all of them */
	assert_true(spent(90, 600, 100000000, 10000) > 0.00053);
	/* no limit, or nothing known of the cost: all of them */
	assert_true(spent(20000, 600, 10000000, 0) > 0.5);
}

/* The first step of all was a short one: that those after it are long is no pause. */
static void test_budget_after_a_short_step(void **state)
{
	struct lmm_budget b = { 0 };
	uint64_t now = 1000;
	unsigned timed = 0;

	(void)state;
	for (uint32_t step = 0; step < 2000; step++) {
		timed += (unsigned)lmm_budget_step(&b, now, step, 40000, 2500);
		b.commands = 1;
		now += step == 0 ? 10000 : 1000000;
	}
	assert_in_range(b.every, 15, 18);
	assert_in_range(timed, 80, 180);
	/* but one pause is, and makes no room */
	now += 1000000000;
	(void)lmm_budget_step(&b, now, 2000, 40000, 2500);
	assert_in_range(b.every, 15, 18);
}

/* A step of 1,000,000 +- 5 %, that slows down by a tenth meanwhile, takes 300,000 longer when it is timed. */
static void test_cost_of_steps(void **state)
{
	static struct lmm_step_cost c;
	struct lmm_step_before before = { 0, 0 };
	uint32_t seed = 1;

	(void)state;
	for (uint32_t step = 0; step < 3200; step++) {
		bool is_timed = step % 16 == 15;
		uint64_t ticks = 1000000 + step * 30;

		seed = seed * 1664525u + 1013904223u;
		ticks = ticks + seed % 100000 - 50000;
		if (step % 100 == 78) /* somebody thinks, before a timed one, */
			ticks = 90000000;
		if (step % 100 == 3) /* or behind it */
			ticks += 90000000;
		lmm_step_cost_take(&c, &before, ticks + (is_timed ? 300000 : 0), 600, is_timed);
		if (step < 31)
			assert_int_equal(atomic_load(&c.usual_ticks), 0);
		if (step < 31 * 16)
			assert_int_equal(atomic_load(&c.more_ticks), 0);
	}
	assert_in_range(atomic_load(&c.more_ticks), 260000, 320000);
	assert_in_range(atomic_load(&c.usual_ticks), 1060000, 1120000);
	/* what is still seen is not forgotten; what no step shows any more is */
	lmm_step_cost_age(&c);
	assert_in_range(atomic_load(&c.more_ticks), 260000, 320000);
	lmm_step_cost_age(&c);
	assert_in_range(atomic_load(&c.more_ticks), 130000, 160000);
	/* a step that takes six times as long is no pause */
	for (uint32_t step = 0; step < 3200; step++)
		lmm_step_cost_take(&c, &before, step % 16 == 15 ? 6000000 : 1000000, 600,
				   step % 16 == 15);
	assert_in_range(atomic_load(&c.more_ticks), 2900000, 3100000);
	lmm_step_cost_renew(&c);
	assert_int_equal(atomic_load(&c.more_ticks), 0);
}

/* Scatter is no cost, nor is another model's step, nor that timed ones are shorter. */
static void test_cost_of_steps_is_sure(void **state)
{
	static struct lmm_step_cost c;
	struct lmm_step_before before = { 0, 0 };
	uint32_t seed = 1, n_zero = 0;

	(void)state;
	for (uint32_t step = 0; step < 6400; step++) {
		seed = seed * 1664525u + 1013904223u;
		lmm_step_cost_take(&c, &before, 1000000 + (seed >> 8) % 200000, 600, seed >> 31);
		assert_in_range(atomic_load(&c.more_ticks), 0, 60000);
		n_zero += atomic_load(&c.more_ticks) == 0;
	}
	assert_in_range(n_zero, 4800, 6400);
	lmm_step_cost_renew(&c);
	for (uint32_t step = 0; step < 6400; step++) {
		seed = seed * 1664525u + 1013904223u;
		lmm_step_cost_take(&c, &before, step & 1 ? 1000000 : 3000000, step & 1 ? 200 : 600,
				   seed >> 31);
		assert_int_equal(atomic_load(&c.more_ticks), 0);
	}
	for (uint32_t step = 0; step < 3200; step++)
		lmm_step_cost_take(&c, &before, 1000000 - step % 2 * 1000, 600, step % 2);
	assert_int_equal(atomic_load(&c.more_ticks), 0);
}

static void test_parts_of_a_budget(void **state)
{
	(void)state;
	assert_int_equal(lmm_budget_part(0, 4), 0);
	assert_int_equal(lmm_budget_part(10000, 4), 2500);
	/* the smallest one is no unlimited one */
	assert_int_equal(lmm_budget_part(1, 4), 1);
}

/* 500 commands in 1,000,000 ticks: at 4 ticks each recording takes 2,000 millionths. */
static void test_what_recording_leaves(void **state)
{
	struct lmm_budget b = { 0 };

	(void)state;
	assert_int_equal(lmm_budget_for_timing(&b, 4, 10000), 2500); /* nothing is known yet */
	b.commands = 500;
	b.begun = 1;
	(void)lmm_budget_step(&b, 1000001, 1, 40, 10000);
	assert_int_equal(lmm_budget_for_timing(&b, 4, 10000), 2500);
	assert_int_equal(lmm_budget_for_timing(&b, 16, 10000), 2000);
	assert_int_equal(lmm_budget_for_timing(&b, 40, 10000), 1250);
	assert_int_equal(lmm_budget_for_timing(&b, 16, 0), 0);
	assert_int_equal(lmm_budget_for_timing(&b, 4000, 1), 1);
	/* those that are recorded at once take half */
	b = (struct lmm_budget){ .commands = 500, .at_once = 400, .begun = 1 };
	(void)lmm_budget_step(&b, 1000001, 1, 40, 10000);
	assert_in_range(lmm_budget_for_timing(&b, 27, 10000), 1899, 1900);
	b.commands = 500; /* the next step has none of these */
	(void)lmm_budget_step(&b, 2000001, 2, 40, 10000);
	assert_in_range(lmm_budget_for_timing(&b, 26, 10000), 1549, 1550);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_after_a_short_step),
		cmocka_unit_test(test_cost_of_steps),
		cmocka_unit_test(test_cost_of_steps_is_sure),
		cmocka_unit_test(test_parts_of_a_budget),
		cmocka_unit_test(test_what_recording_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
