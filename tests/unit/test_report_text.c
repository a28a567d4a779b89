/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/format.h"
#include "report/report.h"
#include "report_sample.h"

static const struct lmm_text_opts plain = { 0 };
static const struct lmm_text_opts everything = {
	.requests = 1, .steps = 1, .layers = 1, .kernels = 1
};
static const struct lmm_text_opts terminal = {
	.bars = 1, .color = 1, .utf8 = 1, .requests = 1, .steps = 1
};

static char *report(const struct lmm_result *r, const struct lmm_text_opts *opts)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	lmm_report_text(r, opts, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void check_has(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("no '%s' in\n%s", wanted, text);
}

/* Columns of a line whose SGR sequences take none and whose code points take one. */
static size_t line_columns(const char *line, size_t n)
{
	size_t columns = 0;

	for (size_t i = 0; i < n; i++) {
		if (line[i] == '\x1b') {
			while (i < n && line[i] != 'm')
				i++;
		} else if (((unsigned char)line[i] & 0xc0) != 0x80) {
			columns++;
		}
	}
	return columns;
}

static void check_lines(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (line_columns(text, n) > 100)
			fail_msg("too wide: %.*s", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void test_units(void **state)
{
	static const struct {
		double in;
		const char *want;
	} times[] = {
		{ 0, "0" },
		{ -1, "-" },
		{ 0.4, "0.4 ns" },
		{ 12.3, "12 ns" },
		{ 999.4, "999 ns" },
		{ 999.6, "1.00 us" },
		{ 1234, "1.23 us" },
		{ 99960, "100 us" },
		{ 1.234e6, "1.23 ms" },
		{ 9.999e8, "1.00 s" },
		{ 59.94e9, "59.9 s" },
		{ 185e9, "3m05s" },
		{ 7320e9, "2h02m" },
	};

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(times); i++)
		assert_string_equal(lmm_human_ns(times[i].in).s, times[i].want);
	assert_string_equal(lmm_human_bytes(512).s, "512 B");
	assert_string_equal(lmm_human_bytes(1024).s, "1.00 KiB");
	assert_string_equal(lmm_human_bytes(98566144).s, "94.0 MiB");
	assert_string_equal(lmm_human_count(0).s, "0");
	assert_string_equal(lmm_human_count(999).s, "999");
	assert_string_equal(lmm_human_count(1234567).s, "1,234,567");
	assert_string_equal(lmm_human_count(UINT64_MAX).s, "18,446,744,073,709,551,615");
	assert_string_equal(lmm_human_si(134515008).s, "135 M");
	assert_string_equal(lmm_human_percent(0).s, "0.0 %");
	assert_string_equal(lmm_human_percent(0.002).s, "0.002 %");
	assert_string_equal(lmm_human_percent(0.0001).s, "~0 %");
	assert_string_equal(lmm_human_percent(0.05).s, "0.05 %");
	assert_string_equal(lmm_human_percent(99.96).s, "100.0 %");
}

static void test_fit(void **state)
{
	static const struct {
		const char *in;
		int columns;
		const char *want;
		int used;
	} cases[] = {
		{ "plain", 8, "plain", 5 },
		{ "plain", 5, "plain", 5 },
		{ "longer", 5, "long~", 5 },
		{ "a\nb", 8, "a\\x0ab", 6 },
		{ "\x1b[31m", 20, "\\x1b[31m", 8 },
		{ "\xff", 8, "\\xff", 4 },
		{ "\xc2\x9b"
		  "x",
		  8, "\\x9bx", 5 },
		{ "\xe2\x80\xae"
		  "x",
		  8, "\\u202ex", 7 },
		{ "\xe6\xbc\xa2\xe5\xad\x97", 4, "\xe6\xbc\xa2\xe5\xad\x97", 4 },
		{ "\xe6\xbc\xa2\xe5\xad\x97", 3, "\xe6\xbc\xa2~", 3 },
		{ "e\xcc\x81x", 2, "e\xcc\x81x", 2 },
		{ "\nx", 3, "~", 1 },
	};
	char small[4];

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(cases); i++) {
		char shown[64];

		assert_int_equal(lmm_text_fit(shown, sizeof(shown), cases[i].in, cases[i].columns),
				 cases[i].used);
		assert_string_equal(shown, cases[i].want);
	}
	lmm_text_fit(small, sizeof(small), "abcdefgh", 8);
	assert_string_equal(small, "ab~");
}

static void test_sections(void **state)
{
	static const char *const wanted[] = {
		"llama-completion ran 2.31 s, exit status 0 (lmmeter 0.1.0)\n",
		"Engine   llama.cpp 0.25.1 (b179c95), process 4242\n",
		"Model    SmolLM2 135M Instruct, llama 135M Q4_1, 94.0 MiB, 135 M parameters, 30 layers\n",
		"10 of 27,000 records were lost",
		"Decode took 79.1 % of the time of 2 requests, prefill 19.0 %.\n",
		"The first token came after 125 ms, each further one took 10.2 ms.\n",
		"  decode                      50   500 ms  10.0 ms  10.0 ms  12.0 ms  13.0 ms  15.0 ms  79.1 %\n",
		"prompt 133 tokens/s (16 tokens), output 80.0 tokens/s (51 tokens)\n",
		"  all 2 layers ",
		"  of no layer ",
		"ffn_gate           MUL_MAT        mlp       decode    q4_1 ",
		"\\x1b[3~+RMS_NORM ",
		"+ the next operator ran together with it",
		"level   kernels\n",
		"- no weights are visible",
		"warm-up 1 request, 1 step; not in the figures above\n",
		"27,000 emitted = 26,990 stored + 10 lost; 2 invalid",
		"measured in this very process before it began",
		"  4244 ",
	};
	char *text = report(&sample_result, &plain);

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(wanted); i++)
		check_has(text, wanted[i]);
	assert_null(strstr(text, "Requests"));
	assert_null(strstr(text, "Steps"));
	check_lines(text);
	free(text);
}

static void test_tables(void **state)
{
	char *text = report(&sample_result, &everything);

	(void)state;
	check_has(text, "\nRequests ");
	check_has(text, "* still running when the recording ended");
	check_has(text, "\nSteps ");
	check_has(text, "    at 32-63 ");
	check_has(text, "\n  0                         176 ms ");
	check_lines(text);
	free(text);
}

/* What a pipe gets: no byte that a terminal acts on, whatever names say. */
static void test_plain_is_plain(void **state)
{
	char *text = report(&sample_result, &everything);

	(void)state;
	for (const char *p = text; *p; p++) {
		if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
			fail_msg("control character %#x", (unsigned char)*p);
	}
	assert_null(strstr(text, "\u202e"));
	assert_null(strstr(text, "\u2588"));
	free(text);
}

static void test_terminal(void **state)
{
	struct lmm_text_opts no_color = terminal;
	char *text = report(&sample_result, &terminal);

	(void)state;
	check_has(text, "\u2588");
	check_has(text, "\x1b[1m");
	check_lines(text);
	free(text);
	no_color.color = 0;
	text = report(&sample_result, &no_color);
	check_has(text, "\u2588");
	assert_null(strchr(text, '\x1b'));
	free(text);
	no_color.utf8 = 0;
	text = report(&sample_result, &no_color);
	check_has(text, "####");
	assert_null(strstr(text, "\u2588"));
	free(text);
}

static void test_no_engine(void **state)
{
	struct lmm_result empty = { .id = "",
				    .lmmeter = "0.1.0",
				    .command_name = "true",
				    .command_line = "true",
				    .host_os = "",
				    .host_cpu = "",
				    .exit_status = 9,
				    .complete = 0 };
	char *text;

	(void)state;
	empty.overhead.method = "";
	text = report(&empty, &everything);
	check_has(text, "ended by signal 9");
	check_has(text, "No engine was seen");
	check_has(text, "lmmeter doctor -- COMMAND");
	check_has(text, "The recording was cut");
	check_lines(text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),	       cmocka_unit_test(test_fit),
		cmocka_unit_test(test_sections),       cmocka_unit_test(test_tables),
		cmocka_unit_test(test_plain_is_plain), cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_no_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
