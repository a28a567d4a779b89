/* SPDX-License-Identifier: Apache-2.0 */
/* lmmeter overhead: intervals and verdicts against values worked out by hand, the ruler's calls, the governors' files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/cli/overhead_governors.c"
#include "../../src/cli/overhead_ruler.c"
#include "../../src/cli/overhead_stats.c"

#define assert_near(a, b, error) assert_true(fabs((double)(a) - (double)(b)) <= (error))

/* ---- statistics --------------------------------------------------------------------------------- */

static void test_median(void **state)
{
	double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 2 }, one[] = { 7 };

	(void)state;
	assert_near(lmm_overhead_median(odd, 3), 3, 0);
	assert_near(lmm_overhead_median(even, 4), 2.5, 0);
	assert_near(lmm_overhead_median(one, 1), 7, 0);
}

static void test_t_quantiles(void **state)
{
	(void)state;
	assert_near(lmm_overhead_t975(1), 12.706, 0);
	assert_near(lmm_overhead_t975(2), 4.303, 0);
	assert_near(lmm_overhead_t975(9), 2.262, 0);
	/* between two rows the wider one */
	assert_near(lmm_overhead_t975(17), 2.120, 0);
	assert_near(lmm_overhead_t975(119), 2.000, 0);
	assert_near(lmm_overhead_t975(100000), 1.965, 0);
}

/* Mean 0.02, standard deviation 0.01: 0.02 ± 4.303 × 0.01 / √3 = 0.02 ± 0.0248434, as percent e^x - 1. */
static void test_interval(void **state)
{
	const double ratios[] = { 0.03, 0.01, 0.02 };
	struct lmm_overhead_interval i;

	(void)state;
	lmm_overhead_interval(ratios, 3, &i);
	assert_int_equal(i.n, 3);
	assert_near(i.percent, 2.020134, 1e-6);
	assert_near(i.low_percent, -0.483167, 1e-6);
	assert_near(i.high_percent, 4.586405, 1e-6);
	assert_near(i.half_width_percent, 2.534786, 1e-6);
}

static void test_interval_of_few(void **state)
{
	const double one[] = { 0.6931471805599453 };
	struct lmm_overhead_interval i;

	(void)state;
	lmm_overhead_interval(one, 0, &i);
	assert_int_equal(i.n, 0);
	lmm_overhead_interval(one, 1, &i);
	assert_int_equal(i.n, 1);
	assert_near(i.percent, 100, 1e-9);
	assert_true(isnan(i.low_percent) && isnan(i.high_percent) && isnan(i.half_width_percent));
}

static void set_pair(struct lmm_overhead_pair *p, double without, double with)
{
	memset(p, 0, sizeof(*p));
	p->without.decode_ns = without;
	p->with.decode_ns = with;
	p->without.wall_ns = p->with.wall_ns = 1;
}

static void test_pairs_without_the_quantity(void **state)
{
	struct lmm_overhead_pair p[4];
	struct lmm_overhead_metric m;

	(void)state;
	set_pair(&p[0], 100, 110);
	set_pair(&p[1], 0, 110);
	set_pair(&p[2], 100, 0);
	set_pair(&p[3], 400, 440);
	lmm_overhead_compare(p, 4, LMM_OVERHEAD_DECODE, &m);
	assert_int_equal(m.slowdown.n, 2);
	assert_near(m.slowdown.percent, 10, 1e-9);
	assert_near(m.without_ns, 200, 1e-9); /* geometric */
	assert_near(m.with_ns, 220, 1e-9);
	assert_int_equal(m.same.n, 1);
	assert_near(m.same.percent, 300, 1e-9);
	lmm_overhead_compare(p, 4, LMM_OVERHEAD_PREFILL, &m);
	assert_int_equal(m.slowdown.n, 0);
	assert_int_equal(m.verdict, LMM_OVERHEAD_UNKNOWN);
	lmm_overhead_compare(p, 4, LMM_OVERHEAD_WALL, &m);
	assert_int_equal(m.slowdown.n, 4);
}

/* Each second run without lmmeter against the one before it. */
static void test_noise(void **state)
{
	struct lmm_overhead_pair p[5];
	struct lmm_overhead_metric m;
	double low = log(1.02), high = log(1.04);
	double mean = (low + high) / 2, half = 12.706 * (high - low) / 2;

	(void)state;
	set_pair(&p[0], 100, 100);
	set_pair(&p[1], 102, 100);
	set_pair(&p[2], 200, 100);
	set_pair(&p[3], 208, 100);
	set_pair(&p[4], 999, 100);
	lmm_overhead_compare(p, 5, LMM_OVERHEAD_DECODE, &m);
	assert_int_equal(m.same.n, 2);
	assert_near(m.same.percent, 100 * (exp(mean) - 1), 1e-9);
	assert_near(m.same.low_percent, 100 * (exp(mean - half) - 1), 1e-9);
	assert_near(m.same.high_percent, 100 * (exp(mean + half) - 1), 1e-9);
}

/* Four pairs with these times without, and with them these many percent more. */
static enum lmm_overhead_verdict verdict_of(const double *without, const double *percent)
{
	struct lmm_overhead_pair p[4];
	struct lmm_overhead_metric m;

	for (int i = 0; i < 4; i++)
		set_pair(&p[i], without[i], without[i] * (1 + percent[i] / 100));
	lmm_overhead_compare(p, 4, LMM_OVERHEAD_DECODE, &m);
	return m.verdict;
}

static void test_verdicts(void **state)
{
	const double calm[] = { 100, 100.1, 100.1, 100 }, drift[] = { 100, 110, 100, 110.1 };
	const double slower[] = { 2, 2.1, 2, 1.9 }, faster[] = { -2, -2.1, -2, -1.9 };
	const double none[] = { 0.1, -0.1, 0.1, -0.1 }, wild[] = { 10, -10, 10, -10 };
	struct lmm_overhead_pair one;
	struct lmm_overhead_metric m;

	(void)state;
	assert_int_equal(verdict_of(calm, slower), LMM_OVERHEAD_SLOWER);
	assert_int_equal(verdict_of(calm, faster), LMM_OVERHEAD_FASTER);
	assert_int_equal(verdict_of(calm, none), LMM_OVERHEAD_NONE_VISIBLE);
	assert_int_equal(verdict_of(calm, wild), LMM_OVERHEAD_TOO_NOISY);
	/* the same against itself differs by more: 2 % is not to be believed */
	assert_int_equal(verdict_of(drift, slower), LMM_OVERHEAD_TOO_NOISY);
	set_pair(&one, 100, 102);
	lmm_overhead_compare(&one, 1, LMM_OVERHEAD_DECODE, &m);
	assert_int_equal(m.verdict, LMM_OVERHEAD_UNKNOWN);
}

static void test_arithmetic(void **state)
{
	struct lmm_overhead_cost c = { .reports = 2,
				       .operator_ns = 20, /* 10 each */
				       .phase_pair_ns = 80,
				       .percent = 0.1,
				       .decode_operators = 51500,
				       .decode_tokens = 100,
				       .phases = 840,
				       .output_tokens = 105 };
	struct lmm_overhead_per_token t;

	(void)state;
	assert_true(lmm_overhead_cost_per_token(&c, &t));
	assert_near(t.operators, 515, 1e-9);
	assert_near(t.operator_ns, 10, 1e-9);
	assert_near(t.phases, 8, 1e-9);
	assert_near(t.total_ns, 515 * 10 + 8 * 40, 1e-9);
	assert_near(t.percent, 0.05, 1e-9);
	c.decode_tokens = 0;
	assert_false(lmm_overhead_cost_per_token(&c, &t));
}

/* ---- the ruler ---------------------------------------------------------------------------------- */

#define DECODE(from, to, ctx, n)                                                                   \
	{                                                                                          \
		from, to, ctx, LMM_REFERENCE_DECODE, n                                             \
	}
#define CALL(from, to, ctx, kind)                                                                  \
	{                                                                                          \
		from, to, ctx, LMM_REFERENCE_##kind, 0                                             \
	}

static void ruler(const struct lmm_reference_call *calls, size_t n, struct lmm_overhead_run *run)
{
	struct lmm_overhead_times t = { 0 };

	memset(run, 0, sizeof(*run));
	assert_int_equal(lmm_overhead_times_add(&t, calls, n), 0);
	lmm_overhead_times_sum(&t, run);
	lmm_overhead_times_free(&t);
}

/* As llama-completion does: a warm-up that only waits, a prompt in two passes, tokens, a second request. */
static void test_generation(void **state)
{
	const struct lmm_reference_call calls[] = {
		DECODE(100, 300, 7, 2),	    CALL(310, 320, 7, SYNC),   DECODE(1000, 1100, 7, 512),
		DECODE(1110, 1200, 7, 100), CALL(1200, 1210, 7, SYNC), CALL(1210, 1250, 7, READ),
		DECODE(1260, 1300, 7, 1),   CALL(1300, 1310, 0, READ), DECODE(1360, 1400, 7, 1),
		CALL(1400, 1410, 7, READ),  DECODE(1480, 1500, 7, 1),  CALL(1500, 1510, 7, READ),
		DECODE(5000, 5030, 7, 5),   CALL(5030, 5050, 0, READ), DECODE(5100, 5110, 7, 1),
		DECODE(5190, 5200, 7, 1),
	};
	struct lmm_overhead_run run;

	(void)state;
	ruler(calls, LMM_ARRAY_SIZE(calls), &run);
	assert_int_equal(run.prefills, 2);
	assert_near(run.first_token_ns, 250, 0);
	assert_near(run.prefill_ns, (250 + 50) / 2.0, 0);
	assert_int_equal(run.decodes, 3); /* 100, 120, 90; not what lies between the requests */
	assert_near(run.decode_ns, 100, 0);
}

/* As llama-bench does: nothing is read, each pass is waited for. */
static void test_without_reads(void **state)
{
	const struct lmm_reference_call calls[] = {
		DECODE(100, 110, 7, 512), CALL(110, 300, 7, SYNC),   DECODE(400, 410, 7, 512),
		CALL(410, 700, 7, SYNC),  DECODE(1000, 1010, 7, 1),  CALL(1010, 1090, 7, SYNC),
		DECODE(1100, 1110, 7, 1), CALL(1110, 1190, 7, SYNC),
	};
	struct lmm_overhead_run run;

	(void)state;
	ruler(calls, LMM_ARRAY_SIZE(calls), &run);
	assert_int_equal(run.prefills, 2);
	assert_near(run.prefill_ns, (200 + 300) / 2.0, 0);
	assert_int_equal(run.decodes, 1);
	assert_near(run.decode_ns, 100, 0);
}

/* Two contexts do not disturb each other, an encoder's pass begins a request, nothing but the next pass ends one. */
static void test_contexts_and_encoder(void **state)
{
	const struct lmm_reference_call two[] = {
		DECODE(100, 110, 7, 1), DECODE(120, 130, 8, 1), DECODE(200, 210, 7, 1),
		DECODE(320, 330, 8, 1), DECODE(300, 310, 7, 1),
	};
	const struct lmm_reference_call encoder[] = {
		CALL(100, 110, 7, ENCODE),
		DECODE(150, 160, 7, 1),
		DECODE(180, 190, 7, 1),
	};
	struct lmm_overhead_run run;

	(void)state;
	ruler(two, LMM_ARRAY_SIZE(two), &run);
	assert_int_equal(run.prefills, 0);
	assert_int_equal(run.decodes, 3);
	assert_near(run.decode_ns, 100, 0);
	ruler(encoder, LMM_ARRAY_SIZE(encoder), &run);
	assert_int_equal(run.prefills, 1);
	assert_near(run.prefill_ns, 50, 0);
	assert_near(run.decode_ns, 30, 0);
}

static void test_calls_cut_off(void **state)
{
	const struct lmm_reference_call calls[] = {
		CALL(50, 60, 0, READ),
		{ 70, 80, 7, 99, 0 },
		DECODE(100, 0, 7, 5),
		CALL(200, 0, 7, READ),
	};
	struct lmm_overhead_run run;

	(void)state;
	ruler(calls, LMM_ARRAY_SIZE(calls), &run);
	assert_int_equal(run.prefills, 0);
	ruler(calls, 0, &run);
	assert_int_equal(run.decodes, 0);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/lmm-overhead.XXXXXX", path[64];
	struct lmm_reference *log = calloc(1, sizeof(*log));
	struct lmm_overhead_times t = { 0 };
	FILE *f;

	(void)state;
	assert_non_null(log);
	assert_non_null(mkdtemp(folder));
	log->magic = LMM_REFERENCE_MAGIC;
	log->n = (uint64_t)LMM_REFERENCE_MAX + 5;
	(void)snprintf(path, sizeof(path), "%s/a.calls.1", folder);
	f = fopen(path, "we");
	assert_true(f && fwrite(log, sizeof(*log), 1, f) == 1);
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/a.calls.2", folder);
	f = fopen(path, "we"); /* cut: passed over */
	assert_true(f && fwrite(log, 100, 1, f) == 1);
	(void)fclose(f);
	assert_int_equal(lmm_overhead_times_read(&t, folder, "a.calls"), 0);
	assert_int_equal(t.calls, LMM_REFERENCE_MAX + 5);
	assert_int_equal(t.not_kept, 5);
	lmm_overhead_times_free(&t);
	assert_int_equal(lmm_overhead_times_read(&t, folder, "b.calls"), 0);
	assert_int_equal(t.calls, 0);
	assert_true(unlink(path) == 0);
	(void)snprintf(path, sizeof(path), "%s/a.calls.1", folder);
	assert_true(unlink(path) == 0 && rmdir(folder) == 0);
	assert_int_equal(lmm_overhead_times_read(&t, folder, "a"), -ENOENT);
	free(log);
}

/* ---- governors ---------------------------------------------------------------------------------- */

static void governor_file(const char *root, int cpu, const char *text, char *got, size_t bytes)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/cpu%d", root, cpu);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/cpu%d/cpufreq", root, cpu);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/cpu%d/cpufreq/scaling_governor", root, cpu);
	f = fopen(path, text ? "we" : "re");
	assert_non_null(f);
	if (text)
		assert_true(fputs(text, f) >= 0);
	else
		assert_non_null(fgets(got, (int)bytes, f));
	(void)fclose(f);
}

static void test_governors(void **state)
{
	char root[] = "/tmp/lmm-governors.XXXXXX", got[64], command[96];
	static struct lmm_governors g;

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(lmm_governors_open(&g, root), -ENOENT);
	governor_file(root, 0, "schedutil\n", NULL, 0);
	governor_file(root, 2, "powersave\n", NULL, 0); /* cpu1 is off line */
	assert_int_equal(lmm_governors_open(&g, root), 0);
	assert_int_equal(lmm_governors_set(&g, "performance"), 0);
	governor_file(root, 0, NULL, got, sizeof(got));
	assert_string_equal(got, "performance");
	governor_file(root, 2, NULL, got, sizeof(got));
	assert_string_equal(got, "performance");
	assert_int_equal(lmm_governors_restore(&g), 0);
	governor_file(root, 0, NULL, got, sizeof(got));
	assert_string_equal(got, "schedutil");
	governor_file(root, 2, NULL, got, sizeof(got));
	assert_string_equal(got, "powersave");
	(void)snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_t_quantiles),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_interval_of_few),
		cmocka_unit_test(test_pairs_without_the_quantity),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_without_reads),
		cmocka_unit_test(test_contexts_and_encoder),
		cmocka_unit_test(test_calls_cut_off),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_governors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
