/* SPDX-License-Identifier: Apache-2.0 */
/* The fit of ticks to nanoseconds, and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static void add(struct lmm_clock_fit *fit, uint64_t ticks, uint64_t ns)
{
	struct lmm_clock pair = { .ticks = ticks, .mono_ns = ns };

	lmm_clock_fit_add(fit, &pair);
}

static void test_without_pairs_ticks_are_returned(void **state)
{
	struct lmm_clock_fit fit = { 0 };

	(void)state;
	assert_int_equal(lmm_clock_fit_ns(&fit, 0), 0);
	assert_int_equal(lmm_clock_fit_ns(&fit, UINT64_MAX), UINT64_MAX);
	assert_true(lmm_clock_fit_rate(&fit) == 1.0);
}

static void test_one_pair_shifts(void **state)
{
	struct lmm_clock_fit fit = { 0 };

	(void)state;
	add(&fit, 1000, 50);
	assert_int_equal(lmm_clock_fit_ns(&fit, 1000), 50);
	assert_int_equal(lmm_clock_fit_ns(&fit, 1007), 57);
	assert_int_equal(lmm_clock_fit_ns(&fit, 990), 40);
	assert_int_equal(lmm_clock_fit_ns(&fit, 0), 0); /* before time began */
	assert_true(lmm_clock_fit_rate(&fit) == 1.0);
}

static void test_lines_between_and_beyond(void **state)
{
	struct lmm_clock_fit fit = { 0 };

	(void)state;
	add(&fit, 1000, 10000);
	add(&fit, 3000, 11000); /* ½ ns per tick */
	add(&fit, 5000, 15000); /* 2 ns per tick */
	assert_int_equal(lmm_clock_fit_ns(&fit, 1000), 10000);
	assert_int_equal(lmm_clock_fit_ns(&fit, 2000), 10500);
	assert_int_equal(lmm_clock_fit_ns(&fit, 3000), 11000);
	assert_int_equal(lmm_clock_fit_ns(&fit, 3001), 11002);
	assert_int_equal(lmm_clock_fit_ns(&fit, 5000), 15000);
	assert_int_equal(lmm_clock_fit_ns(&fit, 6000), 17000); /* the last pair's line */
	assert_int_equal(lmm_clock_fit_ns(&fit, 0), 9500);     /* the first pair's */
	assert_true(lmm_clock_fit_rate(&fit) == 5000.0 / 4000.0);
}

static void test_pairs_out_of_order_are_left_out(void **state)
{
	struct lmm_clock_fit fit = { 0 };

	(void)state;
	add(&fit, 1000, 1000);
	add(&fit, 1000, 2000); /* no time has passed */
	add(&fit, 900, 2000);
	add(&fit, 2000, 999); /* nanoseconds run backwards */
	assert_int_equal(fit.n, 1);
	add(&fit, 2000, 1000);
	assert_int_equal(fit.n, 2);
	assert_int_equal(lmm_clock_fit_ns(&fit, 1500), 1000);
}

static void test_extreme_pairs_saturate(void **state)
{
	struct lmm_clock_fit fit = { 0 };

	(void)state;
	add(&fit, 1, 1ull << 62);
	add(&fit, 2, UINT64_MAX);
	assert_int_equal(lmm_clock_fit_ns(&fit, 1ull << 60), UINT64_MAX);
	assert_int_equal(lmm_clock_fit_ns(&fit, 0), 0);
	assert_int_equal(lmm_clock_fit_ns(&fit, UINT64_MAX), 0); /* two ticks before: wrapped */
	memset(&fit, 0, sizeof(fit));
	add(&fit, 0, 0);
	add(&fit, UINT64_MAX, UINT64_MAX);
	assert_in_range(lmm_clock_fit_ns(&fit, 1ull << 62), (1ull << 62) - 1024,
			(1ull << 62) + 1024);
}

/* However many come: first and newest stay, and no stretch between is much longer than another. */
static void test_long_runs_keep_evenly_spread_pairs(void **state)
{
	static const uint32_t lengths[] = { 255, 256, 257, 511, 512, 513, 1000, 100000 };

	(void)state;
	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		struct lmm_clock_fit fit = { 0 };
		uint64_t longest = 0;

		for (uint64_t i = 0; i < lengths[k]; i++)
			add(&fit, i * 10, i * 10);
		assert_true(fit.n <= LMM_CLOCK_FIT_MAX);
		assert_int_equal(fit.pairs[0].ticks, 0);
		assert_int_equal(fit.pairs[fit.n - 1].ticks, (lengths[k] - 1) * 10);
		for (uint32_t i = 1; i < fit.n; i++) {
			uint64_t gap = fit.pairs[i].ticks - fit.pairs[i - 1].ticks;

			longest = gap > longest ? gap : longest;
		}
		/* never fewer than half of the places are used */
		assert_true(longest <= lengths[k] * 10 / (LMM_CLOCK_FIT_MAX / 2 - 1) + 10);
	}
}

/* A clock that is slewed back and forth: early instants must not drift as the run goes on. */
static void test_a_slewed_clock_stays_right_over_a_long_run(void **state)
{
	struct lmm_clock_fit fit = { 0 };
	double ns = 0, worst = 0, then = 0;

	(void)state;
	/* a day, one pair a second, 100 ppm fast for an hour and slow for the next */
	for (uint64_t s = 0; s < 86400; s++) {
		add(&fit, s * 1000000000, (uint64_t)ns);
		if (s == 5000)
			then = ns;
		ns += (s / 3600) % 2 ? 1e9 * (1 - 100e-6) : 1e9 * (1 + 100e-6);
	}
	worst = (double)lmm_clock_fit_ns(&fit, 5000000000000) - then;
	worst = worst < 0 ? -worst : worst;
	/* 86,400 s in at least 128 stretches: half of one at 100 ppm */
	assert_true(worst <= 86400.0 / 127 / 2 * 100e-6 * 1e9);
}

static void test_pairs_of_this_machine(void **state)
{
	struct lmm_clock_fit fit = { 0 };
	enum lmm_clock_kind kind;
	struct lmm_clock pair;

	(void)state;
	assert_int_equal(setenv("LMMETER_CLOCK", "monotonic", 1), 0);
	assert_int_equal(lmm_clock_choose(), LMM_CLOCK_MONOTONIC);
	assert_int_equal(unsetenv("LMMETER_CLOCK"), 0);
	kind = lmm_clock_choose();
	for (int i = 0; i < 3; i++) {
		uint64_t before = lmm_mono_ns(), after;

		lmm_clock_pair(kind, 8, &pair);
		after = lmm_mono_ns();
		assert_in_range(pair.mono_ns, before, after);
		assert_true(pair.error_ns <= after - before);
		lmm_clock_fit_add(&fit, &pair);
		while (lmm_mono_ns() - after < 2000000)
			;
	}
	assert_int_equal(fit.n, 3);
	/* 1 MHz to 10 GHz */
	assert_true(lmm_clock_fit_rate(&fit) > 0.1 && lmm_clock_fit_rate(&fit) < 1000);
	lmm_clock_pair(LMM_CLOCK_MONOTONIC, 0, &pair);
	assert_int_equal(pair.ticks, pair.mono_ns);
	assert_int_equal(pair.error_ns, 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(lmm_phase_name(LMM_PHASE_PREFILL), "prefill");
	assert_string_equal(lmm_phase_name(LMM_PHASE_COPY_TO_CPU), "copy_to_cpu");
	assert_string_equal(lmm_phase_name(LMM_PHASE_COUNT), "?");
	assert_string_equal(lmm_phase_name(UINT32_MAX), "?");
	assert_string_equal(lmm_role_name(LMM_ROLE_LM_HEAD), "lm_head");
	assert_string_equal(lmm_role_name(LMM_ROLE_COUNT), "?");
	assert_string_equal(lmm_strerror(0), "success");
	assert_string_equal(lmm_strerror(-ENOSPC), "no space left on the device");
	assert_string_equal(lmm_strerror(LMM_E_NOT_LMT), "not a .lmt file");
	assert_string_equal(lmm_strerror(-9999), "system error");
	assert_string_equal(lmm_strerror(1), "unknown error");
	for (int e = LMM_E_NO_ENGINE; e <= LMM_E_NOT_LMT; e++)
		assert_string_not_equal(lmm_strerror(e), "system error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_pairs_ticks_are_returned),
		cmocka_unit_test(test_one_pair_shifts),
		cmocka_unit_test(test_lines_between_and_beyond),
		cmocka_unit_test(test_pairs_out_of_order_are_left_out),
		cmocka_unit_test(test_extreme_pairs_saturate),
		cmocka_unit_test(test_long_runs_keep_evenly_spread_pairs),
		cmocka_unit_test(test_a_slewed_clock_stays_right_over_a_long_run),
		cmocka_unit_test(test_pairs_of_this_machine),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
