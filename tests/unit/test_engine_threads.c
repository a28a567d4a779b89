/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads the engine used, from what the recording has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/cli/engine_threads.c"

static void assert_threads(const char *line, uint32_t decode, uint32_t prefill)
{
	struct lmm_result r = { .command_line = line };
	uint32_t d = 99, p = 99;
	const char *from = lmm_engine_threads(&r, 0, &d, &p);

	if (d != decode || p != prefill)
		fail_msg("'%s': %u, %u", line, d, p);
	assert_string_equal(from, decode ? "command_line" : "unknown");
}

static void test_command_line(void **state)
{
	(void)state;
	assert_threads("llama-completion -m m.gguf -t 4 -n 8", 4, 4);
	assert_threads("llama-completion --threads 12", 12, 12);
	assert_threads("llama-completion --threads=3 -tb 8", 3, 8);
	assert_threads("llama-completion -t 2 --threads-batch 6", 2, 6);
	/* the last one counts, as it does for the engine */
	assert_threads("sh -t 1 llama -t 2", 2, 2);
	assert_threads("llama -t 2 --threads-batch 4 -t 6", 6, 4);
	/* lists, what is not a number, other options, nothing */
	assert_threads("llama-bench -t 1,2,4", 0, 0);
	assert_threads("llama -t", 0, 0);
	assert_threads("llama -t -1", 0, 0);
	assert_threads("llama -t 0 --temp 0", 0, 0);
	assert_threads("llama -tx 4 --threads-http 5 --temp 3", 0, 0);
	assert_threads("llama -t 99999999999999999999", 0, 0);
	assert_threads("", 0, 0);
}

static void test_order(void **state)
{
	struct lmm_result_thread threads[] = { { .process = 1, .operators = 9 },
					       { .process = 1, .operators = 9 },
					       { .process = 1 },
					       { .process = 2, .operators = 9 } };
	struct lmm_result r = { .command_line = "llama", .threads = threads, .n_threads = 3 };
	uint32_t d, p;

	(void)state;
	assert_string_equal(lmm_engine_threads(&r, 0, &d, &p), "recording");
	assert_true(d == 2 && p == 2);
	assert_string_equal(lmm_engine_threads(&r, 7, &d, &p), "option");
	assert_true(d == 7 && p == 7);
	r.command_line = "llama -t 1";
	assert_string_equal(lmm_engine_threads(&r, 0, &d, &p), "command_line");
	assert_int_equal(d, 1);
	/* two engines: whose? */
	r.command_line = "";
	r.n_threads = 4;
	assert_string_equal(lmm_engine_threads(&r, 0, &d, &p), "unknown");
	assert_int_equal(d, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
