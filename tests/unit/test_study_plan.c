/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what is read, what is refused and on which line, the order of blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "study/plan.h"

static char path[] = "/tmp/lmm-plan.XXXXXX";

struct complaints {
	int n, first_line;
	char first[400];
};

static void complain(void *ctx, int line, const char *text)
{
	struct complaints *c = ctx;

	if (c->n++ == 0) {
		c->first_line = line;
		(void)snprintf(c->first, sizeof(c->first), "%s", text);
	}
}

static struct lmm_plan *read_text(const char *text, size_t n, struct complaints *c)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fwrite(text, 1, n, f);
	assert_int_equal(fclose(f), 0);
	memset(c, 0, sizeof(*c));
	return lmm_plan_read(path, NULL, complain, c);
}

static struct lmm_plan *good(const char *text)
{
	struct complaints c;
	struct lmm_plan *p = read_text(text, strlen(text), &c);

	if (!p)
		print_error("line %d: %s\n", c.first_line, c.first);
	assert_non_null(p);
	return p;
}

#define ENGINE	"[engine]\ncommand = [\"e\", \"-m\", \"{model}\", \"-t\", \"{threads}\"]\n"
#define FACTORS "[factors]\nmodel = [\"a.gguf\", \"b.gguf\"]\nthreads = [1, 2, 4]\n"

static void test_reads(void **state)
{
	struct lmm_plan *p = good(
		"name = \"n\"\n" ENGINE FACTORS
		"affinity = \"0-1\"\n[factors.env]\nX_Y = [\"\", \"1\"]\n"
		"[run]\nrepeats = 4\nseed = 9\ncell_budget = \"90s\"\ncooldown = \"500ms\"\nkeep = \"first\"\n");

	(void)state;
	assert_string_equal(p->name, "n");
	assert_int_equal(p->n_factors, 4);
	assert_int_equal(p->n_conditions, 2 * 3 * 2);
	assert_int_equal(p->repeats, 4);
	assert_int_equal(p->cell_budget_ns, 90000000000u);
	assert_int_equal(p->cooldown_ns, 500000000u);
	assert_int_equal(p->keep, LMM_KEEP_FIRST);
	assert_int_equal(p->factors[lmm_plan_factor_find(p, "env.X_Y")].kind, LMM_FACTOR_ENV);
	/* every combination once */
	for (uint32_t a = 0; a < p->n_conditions; a++) {
		for (uint32_t b = 0; b < a; b++) {
			int same = 1;

			for (uint32_t i = 0; i < p->n_factors; i++)
				same &= lmm_plan_level(p, a, i) == lmm_plan_level(p, b, i);
			assert_false(same);
		}
	}
	lmm_plan_destroy(p);
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *says;
	} bad[] = {
		{ "", 0, "has no command" },
		{ "[engine]\ncommand = \"e -m x\"\n", 2, "command is a list" },
		{ "[engine]\ncommand = []\n", 2, "1 to 256 values" },
		{ "[engine\n", 1, "" },
		{ "x = 1\n", 1, "no table or key 'x'" },
		{ "[engine]\ncommand = [\"e\"]\nargs = 1\n", 3, "no key 'args'" },
		{ "[engine]\ncommand = [\"e\", \"{threads}\"]\n", 2, "nothing fills {threads}" },
		{ "[engine]\ncommand = [\"e\", \"{threads\"]\n[factors]\nthreads = 1\n", 2,
		  "a brace is not closed" },
		{ "[engine]\ncommand = [\"e\"]\n\n[factors]\nthreads = [1, 2]\n", 5,
		  "has no effect" },
		{ ENGINE "[factors]\nmodel = \"a\"\nthreads = [1, 1]\n", 5, "'1' twice" },
		{ ENGINE "[factors]\nmodel = \"a\"\nthreads = []\n", 5, "1 to 64 values" },
		{ ENGINE "[factors]\nmodel = \"a\"\nthreads = [[1]]\n", 5, "a list where" },
		{ ENGINE FACTORS "load = [-1]\n", 6, "load takes a number of threads" },
		{ ENGINE FACTORS "affinity = [\"0-\"]\n", 6, "affinity takes CPUs" },
		{ ENGINE FACTORS "cpu_quota_percent = [0]\n", 6, "cpu_quota_percent takes" },
		{ ENGINE FACTORS "governor = [\"Per formance\"]\n", 6, "governor takes" },
		{ ENGINE FACTORS "\"a b\" = 1\n", 6, "no name for a factor" },
		{ ENGINE FACTORS "[run]\nrepeats = 0\n", 7,
		  "repeats takes a whole number from 1 to 100" },
		{ ENGINE FACTORS "[run]\nrepeats = 2.5\n", 7, "repeats takes a whole number" },
		{ ENGINE FACTORS "[run]\ncell_budget = \"soon\"\n", 7, "cell_budget takes a time" },
		{ ENGINE FACTORS "[run]\nkeep = \"some\"\n", 7, "keep takes" },
		{ ENGINE FACTORS "[run]\nrepeat = 2\n", 7, "no key 'repeat' in [run]" },
		{ ENGINE FACTORS "[run]\nlmmeter_budget = \"${LMM_NOT_SET_ANYWHERE}\"\n", 7,
		  "LMM_NOT_SET_ANYWHERE is not set" },
		{ ENGINE FACTORS "quantization = [\"Q4_0\"]\n", 6, "both say what {model} is" },
		{ ENGINE "[factors]\nquantization = [\"Q4_0\"]\nthreads = 1\n", 4,
		  "needs [quantize]" },
		{ ENGINE FACTORS "[quantize]\nsource = \"x\"\n", 6, "[quantize] has no effect" },
		{ ENGINE FACTORS "[quality]\nreference = \"a.gguf\"\n", 6, "needs a text" },
		{ ENGINE FACTORS "[quality]\ntext = \"t\"\n", 6, "needs a reference" },
		{ ENGINE FACTORS "[quality]\ntext = \"t\"\nreference = \"c\"\n", 6, "is no level" },
		{ ENGINE FACTORS "[score]\nquality = 0\n", 6, "[score] needs a weight" },
		{ ENGINE FACTORS "[score]\nquality = -1\n", 7, "a weight from 0" },
		{ "a = \"\xff\"\n", 1, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct complaints c;
		struct lmm_plan *p = read_text(bad[i].text, strlen(bad[i].text), &c);

		if (p || c.first_line != bad[i].line || !strstr(c.first, bad[i].says))
			print_error("%s\n-> %p line %d: %s\n", bad[i].text, (void *)p, c.first_line,
				    c.first);
		assert_null(p);
		assert_int_equal(c.first_line, bad[i].line);
		assert_non_null(strstr(c.first, bad[i].says));
	}
}

static void test_limits(void **state)
{
	char text[4096] = "[engine]\ncommand = [\"e\"]\n[factors.env]\n";
	struct complaints c;

	(void)state;
	for (int f = 0; f < 3; f++) {
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "X%d = [", f);
		for (int i = 0; i < 20; i++)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d, ", i);
		strncat(text, "]\n", sizeof(text) - strlen(text) - 1);
	}
	assert_null(read_text(text, strlen(text), &c));
	assert_non_null(strstr(c.first, "more than 2000 conditions"));
}

static void test_any_bytes(void **state)
{
	const char *text = ENGINE FACTORS "[run]\nrepeats = 4\n";
	char copy[512];
	size_t n = strlen(text);
	uint32_t random = 1;

	(void)state;
	/* cut anywhere, and with any byte changed, it is read or refused */
	for (size_t i = 0; i < 600; i++) {
		struct complaints c;

		memcpy(copy, text, n + 1);
		random = random * 1664525 + 1013904223;
		copy[random % n] = (char)(random >> 16);
		lmm_plan_destroy(read_text(copy, i % 2 ? n : random % n, &c));
	}
}

static void test_order(void **state)
{
	struct lmm_plan *p = good(
		"[engine]\ncommand = [\"e\", \"{a}\"]\n[factors]\na = [1, 2, 3, 4, 5, 6, 7, 8]\n[run]\nseed = 3\n");
	uint32_t order[8], again[8], first_counts[8] = { 0 };
	int differ = 0;

	(void)state;
	for (uint32_t b = 0; b < 800; b++) {
		uint8_t seen[8] = { 0 };

		lmm_plan_order(p, b, order);
		lmm_plan_order(p, b, again);
		assert_memory_equal(order, again, sizeof(order));
		for (int i = 0; i < 8; i++) {
			assert_true(order[i] < 8 && !seen[order[i]]);
			seen[order[i]] = 1;
		}
		first_counts[order[0]]++;
		lmm_plan_order(p, b + 1, again);
		differ += memcmp(order, again, sizeof(order)) != 0;
	}
	assert_true(differ > 790);
	/* each comes first about one time in eight: 100 +- 5 standard deviations */
	for (int i = 0; i < 8; i++)
		assert_in_range(first_counts[i], 53, 147);
	p->seed = 4;
	lmm_plan_order(p, 0, again);
	p->seed = 3;
	lmm_plan_order(p, 0, order);
	assert_memory_not_equal(order, again, sizeof(order));
	lmm_plan_destroy(p);
}

static void test_variables(void **state)
{
	struct complaints c = { 0 };
	struct lmm_plan *p;

	(void)state;
	setenv("LMM_TEST_BIN", "/opt/e", 1);
	unsetenv("LMM_TEST_NONE");
	p = good(
		"[engine]\ncommand = [\"${LMM_TEST_BIN}/run\", \"${LMM_TEST_NONE:-~/x}\", \"~/y\", \"a~\", \"${PLAN_DIR}/z\", \"{{}}\"]\n");
	assert_string_equal(p->command[0], "/opt/e/run");
	assert_string_equal(p->command[3], "a~");
	assert_string_equal(p->command[4], "/tmp/z");
	if (getenv("HOME"))
		assert_int_equal(strncmp(p->command[1], getenv("HOME"), strlen(getenv("HOME"))), 0);
	assert_non_null(strstr(p->variables, "LMM_TEST_BIN=/opt/e\n"));
	/* a study means what it meant when it was begun */
	setenv("LMM_TEST_BIN", "/elsewhere", 1);
	{
		struct lmm_plan *again = lmm_plan_read(path, p->variables, complain, &c);

		assert_non_null(again);
		assert_string_equal(again->command[0], "/opt/e/run");
		lmm_plan_destroy(again);
	}
	lmm_plan_destroy(p);
}

static const char *value_of(void *ctx, const char *name, size_t n)
{
	(void)ctx;
	return n == 1 && name[0] == 'a' ? "VALUE" : NULL;
}

static void test_fill(void **state)
{
	char *s = lmm_plan_fill("x{a}{{a}}y{a}", value_of, NULL);

	(void)state;
	assert_string_equal(s, "xVALUE{a}yVALUE");
	free(s);
	assert_null(lmm_plan_fill("{b}", value_of, NULL));
	assert_null(lmm_plan_fill("{a", value_of, NULL));
	assert_null(lmm_plan_fill("a}", value_of, NULL));
}

static void test_words(void **state)
{
	uint8_t set[16];
	uint64_t ns;

	(void)state;
	assert_int_equal(lmm_plan_cpus("0-2,5,1", set, 16), 4);
	assert_int_equal(set[5], 1);
	assert_int_equal(set[3], 0);
	for (const char *const *bad =
		     (const char *const[]){ "", "-", "1-", "2-1", "16", "1,", "a", "0x1", NULL };
	     *bad; bad++)
		assert_true(lmm_plan_cpus(*bad, set, 16) < 0);
	assert_int_equal(lmm_plan_duration("1.5s", &ns), 0);
	assert_int_equal(ns, 1500000000u);
	assert_int_equal(lmm_plan_duration("2h", &ns), 0);
	for (const char *const *bad =
		     (const char *const[]){ "", "s", "-1s", "1 s", "1d", "1e30s", "nan", NULL };
	     *bad; bad++)
		assert_int_not_equal(lmm_plan_duration(*bad, &ns), 0);
}

static void test_canon(void **state)
{
	static const char *const texts[] = {
		ENGINE FACTORS,
		ENGINE FACTORS "[run]\nrepeats = 6\n",
		ENGINE FACTORS "[run]\nseed = 2\n",
		ENGINE "[factors]\nmodel = [\"a.gguf\", \"b.gguf\"]\nthreads = [1, 2]\n",
		ENGINE FACTORS "[run]\ncell_budget = \"9s\"\n",
		ENGINE FACTORS "[run]\ncooldown = \"temperature\"\n",
	};
	char *canon[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct lmm_plan *p = good(texts[i]);
		size_t n;
		FILE *f = open_memstream(&canon[i], &n);

		lmm_plan_canon(p, f);
		fclose(f);
		lmm_plan_destroy(p);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(canon[i], canon[k]);
	}
	for (int i = 0; i < 6; i++)
		free(canon[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),  cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_order),  cmocka_unit_test(test_variables),
		cmocka_unit_test(test_fill),   cmocka_unit_test(test_words),
		cmocka_unit_test(test_canon),
	};
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
