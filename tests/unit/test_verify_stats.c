/* SPDX-License-Identifier: Apache-2.0 */
/* lmmeter verify: its statistics against values worked out by hand, the reference's calls, the engine's own lines. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/cli/overhead_stats.c"
#include "../../src/cli/verify_calls.c"
#include "../../src/cli/verify_ear.c"
#include "../../src/cli/verify_stats.c"

#define assert_near(a, b, error) assert_true(fabs((double)(a) - (double)(b)) <= (error))

/* ---- numbers ------------------------------------------------------------------------------------ */

static void test_alpha(void **state)
{
	(void)state;
	/* the paper's first row: 0.8038 ms against 0.7763 ms */
	assert_near(lmm_verify_alpha(0.8038, 0.7763), 96.4576, 1e-3);
	assert_near(lmm_verify_epsilon(0.8038, 0.7763), 35.4244, 1e-3);
	assert_near(lmm_verify_alpha(99, 100), 99, 1e-12);
	assert_near(lmm_verify_alpha(101, 100), 99, 1e-12);
	assert_near(lmm_verify_epsilon(99, 100), 10, 1e-12);
	assert_near(lmm_verify_alpha(300, 100), -100, 1e-12);
	assert_true(isnan(lmm_verify_alpha(1, 0)) && isnan(lmm_verify_epsilon(1, -1)));
}

/* Mean 98, standard deviation 1: 98 ± 4.303 / √3. */
static void test_mean(void **state)
{
	const double v[] = { 97, 98, 99 };
	struct lmm_verify_interval i;

	(void)state;
	lmm_verify_mean(v, 3, &i);
	assert_near(i.mean, 98, 1e-12);
	assert_near(i.low, 98 - 2.484338, 1e-5);
	assert_near(i.high, 98 + 2.484338, 1e-5);
	lmm_verify_mean(v, 1, &i);
	assert_near(i.mean, 97, 0);
	assert_true(isnan(i.low) && isnan(i.high));
	lmm_verify_mean(v, 0, &i);
	assert_true(i.n == 0 && isnan(i.mean));
}

/* x 0 1 2 4, y 10 13 14 19: means 1.75 and 14; Sxx 8.75, Sxy 19. */
static void test_slope(void **state)
{
	const double x[] = { 0, 1, 2, 4 }, y[] = { 10, 13, 14, 19 }, same[] = { 3, 3 };

	(void)state;
	assert_near(lmm_verify_slope(x, y, 4), 19 / 8.75, 1e-12);
	assert_near(lmm_verify_slope(x, y, 2), 3, 1e-12);
	assert_true(isnan(lmm_verify_slope(x, y, 1)) && isnan(lmm_verify_slope(same, y, 2)));
}

/* Tables of the sign test, 95 %, two sides: n 5 none, 6 the extremes, 9 and 12 the second and third, 15 the fourth, 25 the eighth. */
static void test_median(void **state)
{
	static const struct {
		unsigned n, cut;
	} known[] = { { 5, 0 },	 { 6, 1 },  { 8, 1 },	 { 9, 2 },     { 12, 3 },
		      { 15, 4 }, { 25, 8 }, { 100, 40 }, { 1100, 517 } };
	struct lmm_verify_interval i;
	static double v[1100];

	(void)state;
	for (size_t k = 0; k < LMM_ARRAY_SIZE(known); k++) {
		unsigned n = known[k].n;

		for (unsigned a = 0; a < n; a++)
			v[a] = n - a;
		lmm_verify_median(v, n, &i);
		assert_int_equal(i.n, n);
		assert_near(i.mean, (n + 1) / 2.0, 1e-12);
		if (known[k].cut == 0) {
			assert_true(isnan(i.low) && isnan(i.high));
		} else {
			assert_near(i.low, known[k].cut, 0);
			assert_near(i.high, n + 1 - known[k].cut, 0);
		}
	}
	lmm_verify_median(v, 0, &i);
	assert_true(i.n == 0 && isnan(i.mean));
}

/* 2,000 times 15 values around 1, skewed as preemption makes them: the median's interval holds the true median in 95 % to 99 %. */
static void test_median_covers(void **state)
{
	uint64_t h = 88172645463325252u;
	unsigned inside = 0;

	(void)state;
	for (int run = 0; run < 2000; run++) {
		struct lmm_verify_interval i;
		double v[15];

		for (int k = 0; k < 15; k++) {
			h ^= h << 13;
			h ^= h >> 7;
			h ^= h << 17;
			v[k] = -log((double)(h >> 11) / 9007199254740992.0); /* median: ln 2 */
		}
		lmm_verify_median(v, 15, &i);
		inside += i.low <= M_LN2 && M_LN2 <= i.high;
	}
	assert_in_range(inside, 1880, 1990); /* 96.5 % by the binomial */
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* n runs of one phase, ours short by `short_by` of `theirs`. */
static struct lmm_verify_row row_of(enum lmm_verify_phase phase, uint64_t calls, const double *ours,
				    const double *theirs, unsigned n)
{
	static struct lmm_verify_run runs[LMM_VERIFY_RUNS_MAX];
	struct lmm_verify_row r;

	memset(runs, 0, sizeof(runs));
	for (unsigned i = 0; i < n; i++) {
		runs[i].lmmeter[phase] = (struct lmm_verify_figure){ ours[i], calls };
		runs[i].reference[phase] = (struct lmm_verify_figure){ theirs[i], 10 };
		runs[i].engine_ns[LMM_VERIFY_EVAL] = i ? 0 : 2 * ours[i];
	}
	lmm_verify_row(runs, n, phase, &r);
	return r;
}

static void test_row(void **state)
{
	const double ours[] = { 99e6, 198e6 }, theirs[] = { 100e6, 200e6 };
	struct lmm_verify_row r = row_of(LMM_VERIFY_DECODE, 10, ours, theirs, 2);

	(void)state;
	assert_near(r.calls, 10, 0);
	assert_near(r.lmmeter_ns, 14.85e6, 1e-3);
	assert_near(r.reference_ns, 15e6, 1e-3);
	assert_near(r.alpha.mean, 99, 1e-9);
	assert_near(r.epsilon.mean, 10, 1e-9);
	assert_int_equal(r.engine_alpha.n, 1);
	assert_near(r.engine_ns, 198e6, 1e-3);
	assert_near(r.engine_alpha.mean, 50, 1e-9);
}

static enum lmm_verify_verdict verdict(uint64_t calls, double a, double b, double reference)
{
	const double ours[] = { a, b }, theirs[] = { reference, reference };

	return row_of(LMM_VERIFY_DECODE, calls, ours, theirs, 2).verdict;
}

static void test_verdicts(void **state)
{
	(void)state;
	assert_int_equal(verdict(10, 99.2e6, 99.1e6, 100e6), LMM_VERIFY_TRUE);
	assert_int_equal(verdict(10, 100.8e6, 99.1e6, 100e6), LMM_VERIFY_TRUE);
	assert_int_equal(verdict(10, 97e6, 99e6, 100e6), LMM_VERIFY_INTERVAL);
	assert_int_equal(verdict(10, 97e6, 97.01e6, 100e6), LMM_VERIFY_OFF);
	assert_int_equal(verdict(9, 99e6, 99e6, 100e6), LMM_VERIFY_CALLS);
	assert_int_equal(verdict(10, 1e3, 1e3, 49e3), LMM_VERIFY_SHORT); /* 4.9 us a call */
	/* 10 us a call, short by 0.4 us: the hook; too long by as much, or short by 0.6 us: not */
	assert_int_equal(verdict(10, 96e3, 96e3, 100e3), LMM_VERIFY_OWN_COST);
	assert_int_equal(verdict(10, 104e3, 104e3, 100e3), LMM_VERIFY_OFF);
	assert_int_equal(verdict(10, 94e3, 94e3, 100e3), LMM_VERIFY_OFF);
	assert_int_equal(verdict(0, 0, 0, 0), LMM_VERIFY_CALLS);
	assert_int_equal(row_of(LMM_VERIFY_DECODE, 10, NULL, NULL, 0).verdict, LMM_VERIFY_UNKNOWN);
}

/* A prompt that the engine cuts gives more passes than calls, and nothing less. */
static void test_prefill_may_be_cut(void **state)
{
	const double ns[] = { 100e6 };

	(void)state;
	assert_int_equal(row_of(LMM_VERIFY_PREFILL, 40, ns, ns, 1).verdict, LMM_VERIFY_TRUE);
	assert_int_equal(row_of(LMM_VERIFY_PREFILL, 9, ns, ns, 1).verdict, LMM_VERIFY_CALLS);
}

/*
 * Two runs of the kernel in a step. A further run adds warm_ns, behind a filler cold_ns; an empty kernel 900 ns, of which lmmeter sees
 * 400; and the first block is that much slower throughout.
 */
static struct lmm_verify_kernel_row kernel_of(double warm_ns, double cold_ns, double noise,
					      double lmmeter_ns, unsigned blocks)
{
	static const struct {
		uint8_t mode, times;
	} turns[] = {
#define TURN(mode, times) { LMM_REPEAT_##mode, times },
		LMM_REPEAT_BLOCK(TURN)
	};
	static struct lmm_verify_point points[LMM_REPEAT_TURNS * 20];
	static struct lmm_verify_block means[20];
	struct lmm_verify_kernel k = { .runs = 40,
				       .steps = 20,
				       .own = { 40 * 60e3, 40 },
				       .empty = { 800, 2 },
				       .points = points,
				       .blocks = means,
				       .n_blocks = blocks };
	struct lmm_verify_kernel_row r;

	for (unsigned i = 0; i < blocks * LMM_REPEAT_TURNS; i++) {
		struct lmm_verify_point *p = &points[k.n++];
		unsigned at = i % LMM_REPEAT_TURNS, block = i / LMM_REPEAT_TURNS;
		int is_cold = turns[at].mode == LMM_REPEAT_COLD;

		p->mode = turns[at].mode;
		p->times = turns[at].times;
		p->block = block;
		p->further = 2u * p->times;
		p->step_ns = block == 0 ? 2e7 : 1e7;
		if (p->mode == LMM_REPEAT_WARM)
			p->step_ns += p->further * (warm_ns + (block % 2 ? noise : -noise));
		if (p->mode == LMM_REPEAT_FILL || is_cold)
			p->step_ns += p->further * (1e6 + is_cold * cold_ns);
		if (p->mode == LMM_REPEAT_EMPTY)
			p->step_ns += p->further * 900;
	}
	for (unsigned i = 0; i < blocks; i++) {
		means[i].warm = (struct lmm_verify_timed){ 4 * lmmeter_ns, 4 };
		means[i].cold = (struct lmm_verify_timed){ 2 * lmmeter_ns, 2 };
	}
	lmm_verify_kernel_row(&k, &r);
	return r;
}

static void test_kernel(void **state)
{
	struct lmm_verify_kernel_row r = kernel_of(51.5e3, 55e3, 0, 50e3, 7);

	(void)state;
	assert_near(r.per_step, 2, 0);
	assert_near(r.own_ns, 60e3, 1e-9);
	assert_near(r.gap_ns, 500, 1e-3);
	assert_near(r.warm.lmmeter_ns.mean, 50e3, 1e-9);
	assert_near(r.warm.truth_ns.mean, 51e3, 1e-3);
	assert_int_equal(r.warm.truth_ns.n, 7);
	assert_near(r.warm.alpha, 100 * (1 - 1.0 / 51), 1e-6);
	assert_near(r.warm.epsilon, 1000.0 / 51, 1e-6);
	assert_int_equal(r.warm.is_inside, 0);
	assert_int_equal(r.warm.verdict, LMM_VERIFY_TRUE);
	assert_near(r.cold.truth_ns.mean, 54.5e3, 1e-3);
	assert_int_equal(r.cold.verdict, LMM_VERIFY_OFF);
	assert_int_equal(kernel_of(60e3, 50e3, 0, 50e3, 7).warm.verdict, LMM_VERIFY_OFF);
	r = kernel_of(60e3, 50e3, 12e3, 50e3, 7);
	assert_int_equal(r.warm.is_inside, 1);
	assert_int_equal(r.warm.verdict, LMM_VERIFY_INTERVAL);
	assert_int_equal(kernel_of(30e3, 30e3, 0, 19.9e3, 7).warm.verdict, LMM_VERIFY_SHORT);
}

static void test_kernel_of_few_steps(void **state)
{
	struct lmm_verify_point one = { .mode = LMM_REPEAT_WARM, .further = 2, .step_ns = 1e7 };
	struct lmm_verify_block mean = { .warm = { 1, 1 } };
	struct lmm_verify_kernel k = { .points = &one, .n = 1, .blocks = &mean, .n_blocks = 1 };
	struct lmm_verify_kernel_row r;

	(void)state;
	lmm_verify_kernel_row(&k, &r);
	assert_int_equal(r.warm.verdict, LMM_VERIFY_UNKNOWN);
	assert_int_equal(r.cold.verdict, LMM_VERIFY_UNKNOWN);
	assert_true(isnan(r.warm.alpha) && isnan(r.gap_ns));
	r = kernel_of(51e3, 51e3, 0, 50e3, 5);
	assert_int_equal(r.warm.truth_ns.n, 5);
	assert_true(isnan(r.warm.truth_ns.low));
}

/* ---- calls -------------------------------------------------------------------------------------- */

#define CALL(from, to, ctx, kind, n)                                                               \
	{                                                                                          \
		from, to, ctx, LMM_REFERENCE_##kind | 1 << 16, n                                   \
	}

static void assert_phase(const struct lmm_verify_run *run, enum lmm_verify_phase phase, double ns,
			 unsigned calls)
{
	assert_near(run->reference[phase].ns, ns, 0);
	assert_int_equal(run->reference[phase].calls, calls);
}

static void test_calls_of_a_completion(void **state)
{
	const struct lmm_reference_call calls[] = {
		CALL(10, 90, 7, DECODE, 2), /* warm-up */
		CALL(20, 30, 0, COPY, 0),
		CALL(91, 92, 7, SYNC, 0),
		CALL(95, 96, 7, RESET, 0),
		CALL(100, 110, 0, TOKENIZE, -5), /* the buffer was too small */
		CALL(120, 150, 0, TOKENIZE, 5),
		CALL(151, 153, 0, ACCEPT, 0), /* of the prompt */
		CALL(160, 260, 7, DECODE, 5),
		CALL(240, 250, 0, COPY, 0),
		CALL(265, 275, 7, SYNC, 0), /* more prefill */
		CALL(280, 281, 7, ASK, 0),  /* the choice begins, once */
		CALL(282, 284, 7, READ, 0),
		CALL(282, 283, 7, SYNC, 0), /* in it: more prefill, and the choice goes on */
		CALL(285, 290, 0, APPLY, 0),
		CALL(291, 299, 0, APPLY, 0),
		CALL(300, 303, 0, ACCEPT, 0),
		CALL(305, 309, 0, DETOKENIZE, 0),
		CALL(310, 360, 7, DECODE, 1),
		CALL(361, 371, 7, SAMPLE, 0),
		CALL(372, 373, 0, DETOKENIZE, 0),
		CALL(380, 440, 7, DECODE, 1),
		CALL(445, 447, 7, READ, 0), /* the program chooses by itself */
		CALL(455, 460, 0, DETOKENIZE, 0),
		CALL(470, 0, 7, DECODE, 1), /* has not returned */
	};
	struct lmm_verify_run run = { 0 };

	(void)state;
	assert_int_equal(lmm_verify_calls_add(&run, calls, LMM_ARRAY_SIZE(calls)), 0);
	assert_phase(&run, LMM_VERIFY_PREFILL, 100 + 10 + 1, 1);
	assert_phase(&run, LMM_VERIFY_DECODE, 50 + 60, 2);
	assert_phase(&run, LMM_VERIFY_COPY, 10, 1);
	assert_phase(&run, LMM_VERIFY_SAMPLING, 2 + (303 - 280) + 10 + (455 - 445), 4);
	assert_phase(&run, LMM_VERIFY_TOKENIZE, 10 + 30, 2);
	assert_phase(&run, LMM_VERIFY_DETOKENIZE, 4 + 1 + 5, 3);
	assert_phase(&run, LMM_VERIFY_SUM, 460 - 120, 1);
	assert_int_equal(run.processes, 1);
}

/* Samplers without an accept: the choice ended with the last of them. */
static void test_calls_without_accept(void **state)
{
	const struct lmm_reference_call calls[] = {
		CALL(100, 200, 7, DECODE, 1), CALL(210, 220, 0, APPLY, 0),
		CALL(225, 230, 0, APPLY, 0),  CALL(300, 400, 7, DECODE, 1),
		CALL(410, 420, 0, APPLY, 0),
	};
	struct lmm_verify_run run = { 0 };

	(void)state;
	assert_int_equal(lmm_verify_calls_add(&run, calls, LMM_ARRAY_SIZE(calls)), 0);
	assert_phase(&run, LMM_VERIFY_SAMPLING, 20 + 10, 2);
	assert_phase(&run, LMM_VERIFY_SUM, 420 - 100, 1);
}

/* llama-bench: nothing is chosen, the first run of each context warms up, addresses come again. */
static void test_calls_of_a_bench(void **state)
{
	const struct lmm_reference_call calls[] = {
		CALL(10, 20, 0, CLEAR, 0),	CALL(30, 50, 7, DECODE, 512),
		CALL(60, 70, 0, CLEAR, 0),	CALL(80, 180, 7, DECODE, 512),
		CALL(181, 191, 7, SYNC, 0),	CALL(192, 193, 0, CLEAR, 0),
		CALL(200, 300, 7, DECODE, 512), CALL(310, 320, 7, FREE, 0),
		CALL(330, 331, 7, DECODE, 1),	CALL(340, 350, 0, CLEAR, 0),
		CALL(400, 407, 7, DECODE, 1),
	};
	struct lmm_verify_run run = { 0 };

	(void)state;
	assert_int_equal(lmm_verify_calls_add(&run, calls, LMM_ARRAY_SIZE(calls)), 0);
	assert_phase(&run, LMM_VERIFY_PREFILL, 100 + 10 + 100, 2);
	assert_phase(&run, LMM_VERIFY_DECODE, 7, 1);
}

static void test_no_calls(void **state)
{
	const struct lmm_reference_call calls[] = { CALL(10, 20, 0, TOKENIZE, 3) };
	struct lmm_verify_run run = { 0 };

	(void)state;
	assert_int_equal(lmm_verify_calls_add(&run, calls, 0), 0);
	assert_int_equal(run.processes, 0);
	assert_int_equal(lmm_verify_calls_add(&run, calls, 1), 0);
	assert_phase(&run, LMM_VERIFY_TOKENIZE, 10, 1);
	assert_phase(&run, LMM_VERIFY_SUM, 0, 0);
}

/* ---- the engine's own lines --------------------------------------------------------------------- */

static void test_ear(void **state)
{
	static const char text[] =
		"0.03.286.465 I common_perf_print:    sampling time =       0.61 ms\n"
		"common_perf_print:    samplers time =       0.23 ms /    11 tokens\n"
		"common_perf_print: prompt eval time =     968.94 ms /     5 tokens (  193.79 ms per token)\n"
		"common_perf_print:        eval time =     572.58 ms /     5 runs\n"
		"common_perf_print:        load time =    1397.08 ms\n"
		"eval time = 7 ms\ncommon_perf_print: eval time 8 ms\ncommon_perf_print: eval time = x ms\n"
		"common_perf_print: eval time = -4 ms\ncommon_perf_print: eval time = 4 s\n"
		"common_perf_print: eval time = 9 ms";
	struct lmm_verify_ear whole = { 0 }, pieces = { 0 };

	(void)state;
	lmm_verify_hear(&whole, text, strlen(text));
	for (size_t i = 0; i < strlen(text); i++)
		lmm_verify_hear(&pieces, text + i, 1);
	assert_near(whole.ns[LMM_VERIFY_SAMPLED], 0.61e6, 1e-3);
	assert_near(whole.ns[LMM_VERIFY_PROMPT_EVAL], 968.94e6, 1e-3);
	assert_near(whole.ns[LMM_VERIFY_EVAL], 572.58e6, 1e-3);
	assert_memory_equal(whole.ns, pieces.ns, sizeof(whole.ns));
}

static void test_ear_of_long_lines(void **state)
{
	static const char end[] = "common_perf_print: eval time = 1 ms\n";
	struct lmm_verify_ear ear = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		lmm_verify_hear(&ear, "x", 1);
	lmm_verify_hear(&ear, end, strlen(end));
	assert_near(ear.ns[LMM_VERIFY_EVAL], 0, 0);
	lmm_verify_hear(&ear, end, strlen(end));
	assert_near(ear.ns[LMM_VERIFY_EVAL], 1e6, 1e-6);
	assert_int_equal(ear.n, 0);
	assert_int_equal(ear.line[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alpha),
		cmocka_unit_test(test_mean),
		cmocka_unit_test(test_slope),
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_median_covers),
		cmocka_unit_test(test_row),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_prefill_may_be_cut),
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_kernel_of_few_steps),
		cmocka_unit_test(test_calls_of_a_completion),
		cmocka_unit_test(test_calls_without_accept),
		cmocka_unit_test(test_calls_of_a_bench),
		cmocka_unit_test(test_no_calls),
		cmocka_unit_test(test_ear),
		cmocka_unit_test(test_ear_of_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
