/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/format.h"
#include "report/json_writer.h"
#include "report/report.h"
#include "report_sample.h"

static char *text;
static size_t text_n;
static FILE *out;

static int set_up(void **state)
{
	(void)state;
	out = open_memstream(&text, &text_n);
	return out ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (out)
		fclose(out);
	free(text);
	text = NULL;
	return 0;
}

static const char *written(void)
{
	assert_int_equal(fflush(out), 0);
	return text;
}

/* Expected texts are those of RFC 8259 and of python3's json.dumps, not of this code. */
static void test_strings(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "q\"b\\s/", "\"q\\\"b\\\\s/\"" },
		{ "\t\n\r\x01\x1f", "\"\\u0009\\u000a\\u000d\\u0001\\u001f\"" },
		{ "\x7f", "\"\\u007f\"" },
		{ "\xc3\xa9", "\"\xc3\xa9\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
		{ "a\xff"
		  "b",
		  "\"a\\ufffdb\"" },
		{ "\xc3", "\"\\ufffd\"" },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"" },
		{ "\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf3\xa0\x80\x81", "\"\\udb40\\udc01\"" },
	};

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(cases); i++) {
		rewind(out);
		lmm_json_put_string(out, cases[i].in);
		fputc('\0', out);
		assert_string_equal(written(), cases[i].want);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		double in;
		unsigned decimals;
		const char *want;
	} cases[] = {
		{ 0, 3, "0" },
		{ -0.0, 3, "0" },
		{ 1, 3, "1" },
		{ 1.5, 3, "1.5" },
		{ 0.001, 3, "0.001" },
		{ 0.0004, 3, "0" },
		{ 0.0005, 3, "0.001" },
		{ -2.25, 3, "-2.25" },
		{ 1234567.8904, 3, "1234567.89" },
		{ 99.9999999, 6, "100" },
		{ 1e12, 3, "1000000000000" },
		{ 12345678901234.5, 3, "12345678901234" },
		{ 9007199254740993.0, 0, "9007199254740992" },
		{ 1e16, 3, "10000000000000000" },
		{ NAN, 3, "null" },
		{ INFINITY, 3, "null" },
		{ -INFINITY, 3, "null" },
	};

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(cases); i++)
		assert_string_equal(lmm_decimal(cases[i].in, cases[i].decimals).s, cases[i].want);
	assert_true(strtod(lmm_decimal(DBL_MAX, 3).s, NULL) > 1e307);
	assert_true(strtod(lmm_decimal(-DBL_MAX, 3).s, NULL) < -1e307);
}

static void test_nesting(void **state)
{
	struct lmm_json j;

	(void)state;
	lmm_json_init(&j, out, 0);
	lmm_json_object_begin(&j, NULL);
	lmm_json_array_begin(&j, "a");
	lmm_json_array_end(&j);
	lmm_json_array_begin(&j, "b");
	lmm_json_u64(&j, NULL, UINT64_MAX);
	lmm_json_i64(&j, NULL, INT64_MIN);
	lmm_json_object_begin(&j, NULL);
	lmm_json_object_end(&j);
	lmm_json_array_end(&j);
	lmm_json_bool(&j, "c", 1);
	lmm_json_null(&j, "d");
	lmm_json_ns(&j, "e", 12.3456);
	lmm_json_object_end(&j);
	assert_string_equal(written(),
			    "{\"a\":[],\"b\":[18446744073709551615,-9223372036854775808,{}],"
			    "\"c\":true,\"d\":null,\"e\":12.346}\n");
}

static void test_document(void **state)
{
	static const char *const wanted[] = {
		"\"schema\": \"lmmeter.report/1\"",
		"\"command_name\": \"llama-completion\"",
		"\"start_time\": \"2023-11-14T22:13:20.123456789Z\"",
		"\"engine\": { \"name\": \"llama.cpp\", \"version\": \"0.25.1 (b179c95)\" }",
		"\"name\": \"a\\\"b,c\\\\d\\u000a\\u001b[31m\\ufffd\xc3\xa9\\u202e\"",
		"\"share_percent\": null",
		"\"share_percent\": 79.1",
		"\"seq\": null",
		"\"ttft_ns\": null",
		"\"layer\": -1",
		"\"reached\": \"kernels\"",
		"\"emitted\": 27000, \"stored\": 26990, \"lost\": 10, \"invalid\": 2",
	};
	struct lmm_result empty = { .id = "",
				    .lmmeter = "",
				    .command_name = "",
				    .command_line = "",
				    .host_os = "",
				    .host_cpu = "",
				    .exit_status = -1 };

	(void)state;
	lmm_report_json(&sample_result, out);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(wanted); i++) {
		if (!strstr(written(), wanted[i]))
			fail_msg("no %s in\n%s", wanted[i], written());
	}
	rewind(out);
	empty.overhead.method = "";
	empty.overhead.percent = NAN;
	lmm_report_json(&empty, out);
	fputc('\0', out);
	assert_non_null(strstr(written(), "\"engine\": null"));
	assert_non_null(strstr(written(), "\"model\": null"));
	assert_non_null(strstr(written(), "\"exit_status\": null"));
	assert_non_null(strstr(written(), "\"percent\": null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_strings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nesting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_document, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
