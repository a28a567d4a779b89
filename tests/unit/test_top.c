/* SPDX-License-Identifier: Apache-2.0 */
/* The live view's layout on grids of cells, of a result made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/format.h"
#include "report_sample.h"
#include "top/top.h"

static struct lmm_result sample;
static char text[64][1024]; /* the rows, UTF-8 */

static void lay_out(unsigned rows, unsigned columns, const struct lmm_top *t,
		    const struct lmm_top_view *v)
{
	struct lmm_top_screen s = { rows, columns, NULL };

	s.cells = calloc((size_t)rows * columns + 1, sizeof(*s.cells));
	assert_non_null(s.cells);
	memset(&s.cells[(size_t)rows * columns], 0x5a, sizeof(*s.cells));
	lmm_top_layout(t, v, &s);
	assert_int_equal(((uint8_t *)&s.cells[(size_t)rows * columns])[0], 0x5a);
	for (unsigned row = 0; row < rows; row++) {
		size_t n = 0;

		for (unsigned column = 0; column < columns; column++) {
			uint32_t code = s.cells[row * columns + column].code;

			assert_false(lmm_code_is_unsafe(code));
			assert_true(s.cells[row * columns + column].style < LMM_TOP_STYLES);
			n += lmm_utf8_put(text[row] + n, code);
		}
		text[row][n] = 0;
	}
	free(s.cells);
}

static int row_with(unsigned rows, const char *word)
{
	for (unsigned row = 0; row < rows; row++) {
		if (strstr(text[row], word))
			return (int)row;
	}
	return -1;
}

static struct lmm_top *top_of_sample(void)
{
	struct lmm_top *t = lmm_top_create();

	assert_non_null(t);
	sample = sample_result;
	t->result = &sample;
	t->phase = LMM_PHASE_DECODE;
	t->tokens = 51;
	return t;
}

/* Filled up with blanks. */
static const char *row_of(const char *words, int columns)
{
	static char row[256];

	(void)snprintf(row, sizeof(row), "%-*s", columns, words);
	return row;
}

static void release(struct lmm_top *t)
{
	t->result = NULL;
	lmm_top_destroy(t);
}

static void test_eighty_by_twenty_four(void **state)
{
	static const struct lmm_top_view overview = { 0 };
	struct lmm_top *t = top_of_sample();

	(void)state;
	lay_out(24, 80, t, &overview);
	assert_non_null(strstr(text[0], "recording"));
	assert_non_null(strstr(text[1], "80.0 tokens/s, 51 tokens of"));
	assert_non_null(strstr(text[1], "; decode"));
	assert_non_null(strstr(text[2], "p50 10.2 ms  p95 12.5 ms  p99 13.5 ms"));
	assert_true(row_with(24, "prefill") > 3);
	assert_true(row_with(24, "decode            79.1 %") < row_with(24, "Kernel"));
	assert_true(row_with(24, "Kernel") < row_with(24, "ffn_gate"));
	assert_non_null(strstr(text[row_with(24, "ffn_gate")], "decode"));
	assert_true(row_with(24, "model_load") < 0);
	assert_int_equal(row_with(24, "longest: 1, 188 ms"), row_with(24, "Layers"));
	assert_non_null(strstr(text[22], "0.06 % of the engine's time"));
	assert_non_null(strstr(text[22], "10 records lost"));
	assert_string_equal(text[21],
			    row_of(" Machine not readable: CPU clock, temperature, power", 80));
	assert_string_equal(
		text[23],
		row_of(" q quit ? help k kernels r requests e engines s sensors p pause", 80));
	t->has_ended = 1;
	t->tokens_per_second_now = 5;
	lay_out(24, 80, t, &overview);
	assert_non_null(strstr(text[0], "ended"));
	assert_non_null(strstr(text[1], "now 5.00"));
	assert_null(strstr(text[1], "; decode"));
	release(t);
}

/* ---- sensors ------------------------------------------------------------------------------------ */

static struct lmm_result_sensor sensors[] = {
	{ .kind = LMM_SENSOR_FREQUENCY,
	  .component = LMM_COMPONENT_CPU,
	  .name = "policy0",
	  .absent = "",
	  .samples = 3,
	  .min = 8e8,
	  .mean = 1.6e9,
	  .max = 2.4e9,
	  .newest = 2.4e9,
	  .limit = 4.7e9 },
	{ .kind = LMM_SENSOR_FREQUENCY,
	  .component = LMM_COMPONENT_CPU,
	  .name = "policy1",
	  .absent = "",
	  .samples = 3,
	  .newest = 1.2e9,
	  .limit = 4e9 },
	{ .kind = LMM_SENSOR_TEMPERATURE,
	  .name = "skin",
	  .absent = "",
	  .samples = 3,
	  .newest = 31.5,
	  .max = 90 },
	{ .kind = LMM_SENSOR_TEMPERATURE,
	  .name = "x86_pkg_temp",
	  .absent = "",
	  .samples = 3,
	  .min = 50,
	  .mean = 60,
	  .newest = 61.25,
	  .max = 62 },
	{ .kind = LMM_SENSOR_GOVERNOR,
	  .component = LMM_COMPONENT_CPU,
	  .name = "policy0",
	  .absent = "",
	  .samples = 3,
	  .state = "powersave" },
	{ .kind = LMM_SENSOR_ENERGY,
	  .name = "package-0",
	  .absent = "",
	  .samples = 3,
	  .total = 5e6 },
	{ .kind = LMM_SENSOR_FREQUENCY,
	  .component = LMM_COMPONENT_GPU,
	  .name = "GPU",
	  .absent = "no such file" },
};

static void test_machine(void **state)
{
	struct lmm_result_machine m = { .sensors = sensors,
					.n_sensors = LMM_ARRAY_SIZE(sensors),
					.sampled_ns = 1e9,
					.energy = { .is_known = 1, .total_uj = 5e6 } };
	struct lmm_top *t = top_of_sample();

	(void)state;
	sample.machine = m;
	lmm__top_machine_update(&t->machine, &m);
	/* 10 J in the half second behind it; throttled meanwhile */
	m.sampled_ns = 1.5e9;
	m.energy.total_uj = 15e6;
	m.throttled_ns = 1e6;
	lmm__top_machine_update(&t->machine, &m);
	assert_true(t->machine.power_mw > 19999 && t->machine.power_mw < 20001);
	lay_out(24, 80, t, &(struct lmm_top_view){ 0 });
	assert_string_equal(
		text[21],
		row_of(" Machine CPU 1.80 GHz of 4.70 GHz, 61 C (x86_pkg_temp), 20.0 W, throttled",
		       80));
	/* no round since: the power stands, the throttling has ended */
	lmm__top_machine_update(&t->machine, &m);
	assert_true(t->machine.power_mw > 19999 && !t->machine.is_throttled);
	lay_out(24, 80, t, &(struct lmm_top_view){ .page = LMM_TOP_SENSORS });
	assert_string_equal(
		text[2],
		row_of("  policy0          frequency          2.40 GHz    800 MHz   1.60 GHz   2.40 GHz",
		       80));
	assert_string_equal(text[6], row_of("  policy0          governor          powersave", 80));
	assert_string_equal(
		text[7],
		row_of("  package-0        energy               in all                           5.00 J",
		       80));
	assert_string_equal(text[8], row_of("  GPU: no such file", 80));
	lay_out(24, 80, t, &(struct lmm_top_view){ .page = LMM_TOP_SENSORS, .first = 6 });
	assert_string_equal(text[2], row_of("  GPU: no such file", 80));
	release(t);
}

/* ---- engines ------------------------------------------------------------------------------------ */

static void test_engines(void **state)
{
	static struct lmm_result_process processes[] = {
		{ .process = 0,
		  .pid = 4242,
		  .name = "llama-server",
		  .engine_name = "llama.cpp",
		  .requests = 2,
		  .output_tokens = 51 },
		{ .process = 1, .pid = 4250, .name = "sh", .engine_name = "" },
		{ .process = 2,
		  .pid = 4300,
		  .name = "python3",
		  .engine_name = "tvm",
		  .requests = 1,
		  .output_tokens = 7 },
	};
	struct lmm_result_request requests[] = { sample_requests[0], sample_requests[0] };
	struct lmm_top_view v = { .page = LMM_TOP_ENGINES };
	struct lmm_top *t = top_of_sample();

	(void)state;
	requests[1].id = 2;
	requests[1].process = 2;
	requests[1].complete = 0;
	sample.processes = processes;
	sample.n_processes = 3;
	sample.requests = requests;
	sample.n_requests = 2;
	t->processes[0].tokens_per_second_now = 80;
	t->processes[2].tokens_per_second_now = -1;
	lay_out(24, 80, t, &v);
	assert_string_equal(
		text[2],
		row_of("    4242  llama-server           0         2       51     80.0", 80));
	assert_string_equal(text[3],
			    row_of("    4300  python3                1         1        7", 80));
	assert_string_equal(text[4], row_of("", 80));
	assert_non_null(strstr(text[23], "p pause tab all"));
	assert_null(lmm_top_engine(t, &v));
	lay_out(24, 120, t, &v);
	assert_non_null(strstr(text[2], "llama-server  SmolLM2 135M Instruct "));
	/* one after the other, then all again; the process without an engine is none of them */
	v.page = LMM_TOP_REQUESTS;
	v.engine = 2;
	lay_out(24, 80, t, &v);
	assert_non_null(strstr(text[2], "    2    4300"));
	assert_string_equal(text[3], row_of("", 80));
	assert_non_null(strstr(text[23], "p pause tab 4300"));
	v.has_others = 1;
	v.engine = 3;
	lay_out(24, 80, t, &v);
	assert_non_null(strstr(text[3], "    1    4242"));
	assert_non_null(strstr(text[23], "p pause n next tab all"));
	release(t);
}

static void test_choice(void **state)
{
	const char *const lines[] = { "4242 llama-server", ("4300 " SAMPLE_HOSTILE), "4500 c" };
	struct lmm_top_cell cells[8 * 40];
	struct lmm_top_screen s = { 8, 40, cells };

	(void)state;
	for (unsigned n = 0; n <= 3; n++) {
		for (unsigned chosen = 0; chosen < 3; chosen++)
			lmm_top_layout_choice(lines, n, chosen, &s);
	}
	assert_int_equal(cells[4 * 40 + 2].code, '3');
	assert_int_equal(cells[4 * 40 + 2].style, LMM_TOP_TITLE);
	assert_int_equal(cells[2 * 40 + 2].code, '1');
	assert_int_equal(cells[2 * 40 + 2].style, LMM_TOP_PLAIN);
	for (unsigned i = 0; i < 8 * 40; i++)
		assert_false(lmm_code_is_unsafe(cells[i].code));
	/* longer than the screen: the chosen one is on it */
	s.rows = 5;
	lmm_top_layout_choice(lines, 3, 2, &s);
	assert_int_equal(cells[2 * 40 + 2].code, '3');
}

/* Whatever the size, nothing is written outside of the grid. */
static void test_any_size(void **state)
{
	struct lmm_top *t = top_of_sample();

	(void)state;
	for (unsigned rows = 1; rows <= 60; rows += rows < 12 ? 1 : 7) {
		for (unsigned columns = 1; columns <= 240; columns += columns < 50 ? 1 : 23) {
			for (unsigned page = LMM_TOP_OVERVIEW; page <= LMM_TOP_HELP; page++) {
				struct lmm_top_view v = { .page = (uint8_t)page,
							  .first = rows % 3 };

				lay_out(rows, columns, t, &v);
			}
		}
	}
	lay_out(7, 80, t, &(struct lmm_top_view){ 0 });
	assert_non_null(strstr(text[0], "no room"));
	release(t);
}

static void test_pages(void **state)
{
	struct lmm_top_view v = { .page = LMM_TOP_REQUESTS };
	struct lmm_top *t = top_of_sample();

	(void)state;
	lay_out(24, 100, t, &v);
	/* the newest first */
	assert_string_equal(
		text[2],
		row_of("     2    4242    3      7      0      0      -         -         -   5.00 ms",
		       100));
	assert_string_equal(
		text[3],
		row_of("     1    4242    -     20      4     51   98.0    125 ms   10.2 ms    632 ms",
		       100));
	v.engine = 1;
	lay_out(24, 100, t, &v);
	assert_non_null(strstr(text[2], "4242"));
	v.page = LMM_TOP_KERNELS;
	v.first = 1;
	lay_out(24, 100, t, &v);
	assert_true(row_with(24, "ffn_gate") < 0);
	assert_non_null(strstr(text[2], "prefill"));
	v.page = LMM_TOP_HELP;
	lay_out(24, 100, t, &v);
	assert_true(row_with(24, "the recording goes on") > 0);
	release(t);
}

static void test_nothing_yet(void **state)
{
	struct lmm_top *t = lmm_top_create();

	(void)state;
	lay_out(24, 80, t, &(struct lmm_top_view){ 0 });
	assert_non_null(strstr(text[1], "waiting"));
	lmm_top_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eighty_by_twenty_four),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_engines),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_any_size),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_nothing_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
