/* SPDX-License-Identifier: Apache-2.0 */
/* What the analysis makes of sensors, against sums done by hand. Times in ms, so that a session lasts a while. */
#include "tape.h"

#define MS 1000000ull
#define W  1000000ll /* in uw */

#define assert_near(x, y)                                                                          \
	assert_true((x) > (y) * (1 - 1e-9) - 1e-9 && (x) < (y) * (1 + 1e-9) + 1e-9)

static const struct lmm_result_sensor *sensor_of(const struct lmm_result *r, uint32_t sensor)
{
	for (size_t i = 0; i < r->machine.n_sensors; i++) {
		if (r->machine.sensors[i].sensor == sensor)
			return &r->machine.sensors[i];
	}
	fail_msg("sensor %u is not there", sensor);
	return NULL;
}

static const struct lmm_result_energy_source *source_of(const struct lmm_result *r, uint32_t sensor)
{
	for (size_t i = 0; i < r->machine.energy.n_sources; i++) {
		if (r->machine.energy.sources[i].sensor == sensor)
			return &r->machine.energy.sources[i];
	}
	return NULL;
}

/*
 * One request: prefill of 10 tokens from 1000 to 1250, its first token from 1250 to 1270, decode from 1270 to 1350, its
 * second token from 1350 to 1360. A round every 100.
 */
static void request_put(struct tape *p, const int64_t (*rounds)[3], uint32_t n)
{
	tape_round(p, 1000 * MS, rounds[0], n);
	tape_in(p, 1000 * MS, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(p, 1000 * MS, LMM_PHASE_PREFILL, 1, 10, 1, 1, 1);
	tape_round(p, 1100 * MS, rounds[1], n);
	tape_round(p, 1200 * MS, rounds[2], n);
	tape_out(p, 1250 * MS, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_in(p, 1250 * MS, LMM_PHASE_SAMPLING, 1, LMM_SEQ_NONE);
	tape_token(p, 1260 * MS, 1, LMM_SEQ_NONE);
	tape_out(p, 1270 * MS, LMM_PHASE_SAMPLING, 1, LMM_SEQ_NONE);
	tape_in(p, 1270 * MS, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(p, 1270 * MS, LMM_PHASE_DECODE, 2, 1, 1, 1, 2);
	tape_round(p, 1300 * MS, rounds[3], n);
	tape_out(p, 1350 * MS, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_in(p, 1350 * MS, LMM_PHASE_SAMPLING, 2, LMM_SEQ_NONE);
	tape_token(p, 1355 * MS, 2, LMM_SEQ_NONE);
	tape_out(p, 1360 * MS, LMM_PHASE_SAMPLING, 2, LMM_SEQ_NONE);
	tape_round(p, 1400 * MS, rounds[4], n);
	tape_end(p, 1400 * MS);
}

/* 10, 20, 20, 10, 10 W: 1.5 + 2 + 1.5 + 1 J */
static void assert_energy(const struct lmm_result *r)
{
	const struct lmm_result_energy *e = &r->machine.energy;

	assert_int_equal(e->is_known, 1);
	assert_near(e->total_uj, 6e6);
	assert_near(e->mean_mw, 15e3);
	/* 1.5 + 2 + half of 1.5 in 250 ms */
	assert_near(e->phases[LMM_PHASE_PREFILL].total_uj, 4.25e6);
	assert_near(e->phases[LMM_PHASE_PREFILL].mean_mw, 17e3);
	/* 3/10 of 1.5, half of 1 */
	assert_near(e->phases[LMM_PHASE_DECODE].total_uj, 0.95e6);
	/* 2/10 of 1.5, 1/10 of 1 */
	assert_near(e->phases[LMM_PHASE_SAMPLING].total_uj, 0.4e6);
	assert_true(e->phases[LMM_PHASE_SOFTMAX].mean_mw < 0);
	assert_near(e->requests_uj, 5.6e6);
	assert_near(e->output_token_uj, 2.8e6);
	assert_near(e->decode_token_uj, 0.95e6);
	assert_near(e->prompt_token_uj, 0.425e6);
}

static void test_power_by_phase(void **state)
{
	static const int64_t rounds[5][3] = {
		{ 10 * W }, { 20 * W }, { 20 * W }, { 10 * W }, { 10 * W }
	};
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-cli", 0);
	tape_sensor(&p, 0, LMM_SENSOR_POWER, LMM_COMPONENT_BOARD, "VDD_IN");
	request_put(&p, rounds, 1);
	r = tape_result(&p);
	assert_energy(r);
	assert_near(sensor_of(r, 0)->mean, 15e3);
	assert_near(sensor_of(r, 0)->min, 10e3);
	assert_near(sensor_of(r, 0)->max, 20e3);
	assert_string_equal(sensor_of(r, 0)->unit, "mw");
	assert_int_equal(r->machine.rounds, 5);
	assert_near(r->machine.sampled_ns, 400e6);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* The same, told by a counter, in two parts of which one has a part that is measured twice. */
static void test_energy_by_phase(void **state)
{
	static const int64_t rounds[5][3] = { { 0, 0, 0 },
					      { 1000000, 500000, 900000 },
					      { 2500000, 1000000, 2000000 },
					      { 3500000, 1500000, 3000000 },
					      { 4000000, 2000000, 3500000 } };
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-cli", 0);
	tape_sensor(&p, 0, LMM_SENSOR_ENERGY, LMM_COMPONENT_PACKAGE, "package-0");
	tape_sensor(&p, 1, LMM_SENSOR_ENERGY, LMM_COMPONENT_MEMORY, "dram");
	tape_sensor(&p, 2, LMM_SENSOR_ENERGY, LMM_COMPONENT_CPU, "core")->part_of = 1;
	request_put(&p, rounds, 3);
	r = tape_result(&p);
	assert_energy(r);
	assert_int_equal(source_of(r, 0)->is_counted, 1);
	assert_int_equal(source_of(r, 1)->is_counted, 1);
	assert_int_equal(source_of(r, 2)->is_counted, 0);
	assert_near(source_of(r, 2)->total_uj, 3.5e6);
	assert_near(source_of(r, 1)->phases[LMM_PHASE_PREFILL].total_uj, 1.25e6);
	assert_near(sensor_of(r, 0)->total, 4e6);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Who measures the whole machine is believed alone; a battery only if nobody else says anything. */
static void test_who_is_counted(void **state)
{
	static const int64_t rounds[5][3] = { { 10 * W, 99 * W, 7 * W },
					      { 20 * W, 99 * W, 7 * W },
					      { 20 * W, 99 * W, 7 * W },
					      { 10 * W, 99 * W, 7 * W },
					      { 10 * W, 99 * W, 7 * W } };
	static const uint8_t components[][3] = {
		{ LMM_COMPONENT_BOARD, LMM_COMPONENT_BATTERY, LMM_COMPONENT_CPU_GPU },
		{ LMM_COMPONENT_SOC, LMM_COMPONENT_BATTERY, LMM_COMPONENT_BATTERY },
	};

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(components); i++) {
		struct tape p = { 0 };
		struct lmm_result *r;

		tape_begin(&p, "llama-cli", 0);
		for (uint32_t k = 0; k < 3; k++)
			tape_sensor(&p, k, LMM_SENSOR_POWER, components[i][k], "x");
		request_put(&p, rounds, 3);
		r = tape_result(&p);
		assert_energy(r);
		assert_int_equal(source_of(r, 1)->is_counted, 0);
		assert_int_equal(source_of(r, 2)->is_counted, 0);
		lmm_result_destroy(r);
		tape_free(&p);
	}
}

/* A part whose whole says nothing stands for itself. */
static void test_whole_that_is_silent(void **state)
{
	static const int64_t rounds[5][3] = { { TAPE_SILENT, 10 * W },
					      { TAPE_SILENT, 20 * W },
					      { TAPE_SILENT, 20 * W },
					      { TAPE_SILENT, 10 * W },
					      { TAPE_SILENT, 10 * W } };
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-cli", 0);
	tape_sensor(&p, 0, LMM_SENSOR_ENERGY, LMM_COMPONENT_GPU, "gpu");
	tape_sensor(&p, 1, LMM_SENSOR_POWER, LMM_COMPONENT_GPU, "gpu")->part_of = 1;
	request_put(&p, rounds, 2);
	r = tape_result(&p);
	assert_energy(r);
	assert_int_equal(sensor_of(r, 0)->samples, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Two threads decode side by side for 100 ms, of which 1 J is used: half of it each. */
static void test_side_by_side(void **state)
{
	static const int64_t ten = 10 * W;
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_energy *e;

	(void)state;
	tape_begin(&p, "llama-server", 0);
	tape_sensor(&p, 0, LMM_SENSOR_POWER, LMM_COMPONENT_BOARD, "x");
	tape_round(&p, 100 * MS, &ten, 1);
	tape_in(&p, 100 * MS, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_step(&p, 100 * MS, LMM_PHASE_DECODE, 1, 1, 1, 1, 1);
	p.stream = 1;
	tape_in(&p, 100 * MS, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_round(&p, 200 * MS, &ten, 1);
	tape_out(&p, 200 * MS, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	p.stream = 0;
	tape_out(&p, 200 * MS, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_end(&p, 300 * MS);
	r = tape_result(&p);
	e = &r->machine.energy;
	assert_near(e->total_uj, 1e6);
	assert_near(e->phases[LMM_PHASE_DECODE].mean_mw, 5e3);
	assert_near(e->phases[LMM_PHASE_TOKENIZE].mean_mw, 5e3);
	assert_near(e->phases[LMM_PHASE_DECODE].total_uj, 0.5e6);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Silence covers no time: neither the mean nor the energy knows what was in it. */
static void test_silence(void **state)
{
	static const int64_t rounds[5][3] = { { 10 * W, 0 },
					      { 20 * W, 1000000 },
					      { TAPE_SILENT, TAPE_SILENT },
					      { 30 * W, 9000000 },
					      { 30 * W, 9500000 } };
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-cli", 0);
	tape_sensor(&p, 0, LMM_SENSOR_POWER, LMM_COMPONENT_SOC, "p");
	tape_sensor(&p, 1, LMM_SENSOR_ENERGY, LMM_COMPONENT_SOC, "e");
	request_put(&p, rounds, 2);
	r = tape_result(&p);
	assert_near(sensor_of(r, 0)->mean, 22500);
	assert_near(sensor_of(r, 0)->max, 30000);
	assert_int_equal(sensor_of(r, 0)->samples, 4);
	assert_near(source_of(r, 0)->total_uj, 4.5e6);
	assert_near(source_of(r, 0)->sampled_ns, 200e6);
	assert_near(source_of(r, 1)->total_uj, 1.5e6);
	/* the counter itself went on */
	assert_near(sensor_of(r, 1)->total, 9.5e6);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_levels_and_throttling(void **state)
{
	static const int64_t rounds[5][4] = {
		{ 0, 5, 0, 1 }, { 2, 5, 0, 1 }, { 2, 5, 0, 1 }, { 0, 6, 0, 0 }, { 0, 6, 250, 0 }
	};
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-cli", 0);
	tape_sensor(&p, 0, LMM_SENSOR_COOLING, LMM_COMPONENT_CPU, "Processor")->limit = 3;
	tape_sensor(&p, 1, LMM_SENSOR_THROTTLE_COUNT, LMM_COMPONENT_CPU, "cpu0");
	tape_sensor(&p, 2, LMM_SENSOR_THROTTLE_TIME, LMM_COMPONENT_CPU, "package");
	tape_sensor(&p, 3, LMM_SENSOR_GOVERNOR, LMM_COMPONENT_CPU, "policy0")->states =
		"performance powersave";
	for (unsigned i = 0; i < 5; i++)
		tape_round(&p, (1000 + 100 * i) * MS, rounds[i], 4);
	tape_end(&p, 1400 * MS);
	r = tape_result(&p);
	/* a level stands until the next round */
	assert_near(sensor_of(r, 0)->throttled_ns, 200e6);
	assert_near(sensor_of(r, 0)->mean, 1);
	assert_near(sensor_of(r, 1)->throttled_ns, 100e6);
	assert_near(sensor_of(r, 1)->total, 1);
	assert_near(sensor_of(r, 2)->throttled_ns, 250e3);
	/* 1100 … 1300, and what the counter of time says lies in the last interval */
	assert_near(r->machine.throttled_ns, 300e6);
	assert_string_equal(sensor_of(r, 3)->state, "performance");
	assert_int_equal(sensor_of(r, 3)->has_changed, 1);
	assert_int_equal(r->machine.energy.is_known, 0);
	assert_true(r->machine.energy.output_token_uj < 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Sensors that cannot be, rounds that go back, numbers at the ends of their range: nothing breaks, nothing is made up. */
static void test_nonsense(void **state)
{
	static const int64_t wild[] = { INT64_MIN + 1, INT64_MAX, INT64_MIN + 1, 5 };
	static const int64_t other[] = { INT64_MAX, INT64_MIN + 1, INT64_MAX, 6 };
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-cli", 0);
	tape_sensor(&p, 0, LMM_SENSOR_ENERGY, 200, "e")->part_of = UINT32_MAX;
	tape_sensor(&p, 1, LMM_SENSOR_ENERGY, LMM_COMPONENT_SOC, "f")->part_of = 2;
	tape_sensor(&p, 2, LMM_SENSOR_GOVERNOR, LMM_COMPONENT_CPU, "g")->states = "only";
	tape_sensor(&p, 3, 77, LMM_COMPONENT_CPU, "h");
	tape_sensor(&p, 1024, LMM_SENSOR_LOAD, LMM_COMPONENT_CPU, "i");
	tape_sensor(&p, UINT32_MAX, LMM_SENSOR_LOAD, LMM_COMPONENT_CPU, "j");
	tape_sensor(&p, 0, LMM_SENSOR_LOAD, LMM_COMPONENT_CPU, "again");
	tape_round(&p, 1000 * MS, wild, 4);
	tape_round(&p, 1100 * MS, other, 4);
	tape_round(&p, 1050 * MS, wild, 4);
	tape_round(&p, 1100 * MS, wild, 4);
	tape_round(&p, 1200 * MS, wild, 4);
	tape_end(&p, 1400 * MS);
	r = tape_result(&p);
	assert_int_equal(r->machine.n_sensors, 3);
	assert_int_equal(r->machine.rounds, 3);
	assert_int_equal(sensor_of(r, 0)->component, LMM_COMPONENT_OTHER);
	assert_string_equal(sensor_of(r, 0)->name, "e");
	assert_string_equal(sensor_of(r, 2)->state, "");
	assert_true(r->machine.energy.total_uj >= 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_by_phase),
		cmocka_unit_test(test_energy_by_phase),
		cmocka_unit_test(test_who_is_counted),
		cmocka_unit_test(test_whole_that_is_silent),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_levels_and_throttling),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests_name("analysis_sensors", tests, NULL, NULL);
}
