/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "report/export.h"
#include "report/tokens.h"
#include "report_sample.h"
#include "trace_util.h"

#define EVIL "</script><!--<img src=x onerror=alert(1)>&\"'"

/* ---- traces ------------------------------------------------------------------------------------- */

static const struct lmm_session session = {
	.id = "00112233445566778899aabbccddeeff",
	.lmmeter = "0.1.0",
	.command_name = "x",
	.command_line = "x",
	.host_os = "x",
	.host_cpu = "x",
	.clock = LMM_CLOCK_MONOTONIC,
	.start_ticks = 1000,
};
static const struct lmm_process process = {
	.process = 0, .pid = 1, .name = "x", .engine_name = "x", .engine_version = "x", .door = "x"
};

static struct lmm_trace *open_trace(const struct lmm_item *more, size_t n)
{
	struct lmm_item items[16] = {
		{ .kind = LMM_ITEM_SESSION, .session = session },
		{ .kind = LMM_ITEM_PROCESS, .process = process },
		{ .kind = LMM_ITEM_STREAM, .stream = { .stream = 0, .process = 0, .tid = 1 } },
		{ .kind = LMM_ITEM_STREAM, .stream = { .stream = 1, .process = 0, .tid = 2 } },
	};
	struct lmm_trace *tr;
	struct bytes b;

	assert_true(n <= LMM_ARRAY_SIZE(items) - 4);
	if (n > 0)
		memcpy(items + 4, more, n * sizeof(*more));
	b = write_items(items, 4 + n, 0);
	write_whole(temp_path("t.lmt"), b.data, b.n);
	free(b.data);
	assert_int_equal(lmm_trace_open(temp_path("t.lmt"), &tr), 0);
	return tr;
}

static char *page_of(const struct lmm_result *r)
{
	struct lmm_trace *tr = open_trace(NULL, 0);
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	assert_int_equal(lmm_export_html(tr, r, out), 0);
	assert_int_equal(fclose(out), 0);
	lmm_trace_close(tr);
	assert_int_equal(strlen(text), n);
	return text;
}

/* ---- names -------------------------------------------------------------------------------------- */

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

/* Every string of a trace becomes EVIL; the elements of the page stay those of the harmless one. */
static void test_evil_names(void **state)
{
	static const char *const marks[] = { "<script", "</script", "<img", "<!--" };
	struct lmm_result r = sample_result;
	struct lmm_result_kernel kernels[2] = { sample_kernels[0], sample_kernels[1] };
	struct lmm_result_model model = sample_models[0];
	struct lmm_result_process who = sample_processes[0];
	const char *reasons[] = { EVIL };
	char *good = page_of(&r), *bad;

	(void)state;
	kernels[0].name = kernels[0].op = kernels[0].weight_type = kernels[0].device = EVIL;
	model.name = model.file = model.description = EVIL;
	who.name = who.engine_name = who.engine_version = EVIL;
	r.kernels = kernels;
	r.models = &model;
	r.processes = &who;
	r.n_processes = 1;
	r.command_name = r.command_line = r.host_cpu = r.host_os = r.lmmeter = r.id = EVIL;
	r.overhead.method = EVIL;
	r.level.reasons = reasons;
	bad = page_of(&r);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(marks); i++)
		assert_int_equal(count(bad, marks[i]), count(good, marks[i]));
	assert_true(
		count(bad, "&lt;/script&gt;&lt;!--&lt;img src=x onerror=alert(1)&gt;&amp;&quot;") >=
		10);
	assert_true(count(bad, "\\u003c/script\\u003e\\u003c!--") >= 10);
	free(good);
	free(bad);
}

static void test_spans(void **state)
{
	struct lmm_result r = sample_result;
	struct lmm_result_named evil = sample_named[0];
	char *page = page_of(&r);

	(void)state;
	assert_int_equal(count(page, "<section id=\"spans\">"), 1);
	assert_int_equal(count(page, "<td class=\"name\">search</td><td>6.00 ms</td><td>3</td>"),
			 1);
	free(page);
	evil.name = EVIL;
	r.named = &evil;
	r.n_named = 1;
	page = page_of(&r);
	assert_int_equal(count(page, "<img"), 0);
	free(page);
	r.n_named = 0;
	page = page_of(&r);
	assert_int_equal(count(page, "<section id=\"spans\">"), 0);
	free(page);
}

static void test_control_characters(void **state)
{
	char *page = page_of(&sample_result);

	(void)state;
	assert_int_equal(count(page, "\x1b"), 0);
	assert_int_equal(count(page, "\xff"), 0);
	assert_int_equal(count(page, "\xe2\x80\xae"), 0);
	assert_true(count(page, "a&quot;b,c\\d\\x0a\\x1b[31m\\xff\xc3\xa9\\u202e") >= 1);
	free(page);
}

/* ---- tokens ------------------------------------------------------------------------------------- */

#define N_TOKENS 1000

/* A token each microsecond, but one that is late and one that is early. Their steps are another thread's and come later. */
static struct lmm_tokens *read_thousand(uint64_t points_max, struct lmm_result_request *q)
{
	static struct lmm_event steps[N_TOKENS], tokens[N_TOKENS];
	struct lmm_result r = sample_result;
	struct lmm_tokens *read;
	struct lmm_trace *tr;
	uint64_t t = 2000;

	for (uint32_t i = 0; i < N_TOKENS; i++) {
		t += i == 500 ? 9000 : i == 700 ? 10 : 1000;
		steps[i] = (struct lmm_event){ .t = t - 5,
					       .type = LMM_EV_STEP,
					       .phase = LMM_PHASE_DECODE,
					       .seq = LMM_SEQ_NONE,
					       .id = i,
					       .a = 1,
					       .b = 7 };
		tokens[i] = (struct lmm_event){ .t = t, .type = LMM_EV_TOKEN, .seq = 3, .id = i };
	}
	*q = (struct lmm_result_request){ .id = 1,
					  .context = 7,
					  .seq = 3,
					  .output_tokens = N_TOKENS,
					  .start_ns = 1000,
					  .end_ns = t - 1000,
					  /* the mean rate of a clock that changed its pace */
					  .wall_ns = (double)(t - 2000) / 2 };
	r.requests = q;
	r.n_requests = 1;
	tr = open_trace(
		(struct lmm_item[]){ { .kind = LMM_ITEM_EVENTS,
				       .events = { .stream = 1, .n = N_TOKENS, .ev = tokens } },
				     { .kind = LMM_ITEM_EVENTS,
				       .events = { .stream = 0, .n = N_TOKENS, .ev = steps } } },
		2);
	assert_int_equal(lmm_tokens_read(tr, &r, points_max, &read), 0);
	lmm_trace_close(tr);
	assert_int_equal(read->n, 1);
	assert_int_equal(read->count, N_TOKENS - 1);
	return read;
}

static void test_all_tokens(void **state)
{
	struct lmm_result_request q;
	struct lmm_tokens *read = read_thousand(8000, &q);
	const struct lmm_token_point *p = read->series[0].points;

	(void)state;
	assert_int_equal(read->series[0].n, N_TOKENS - 1);
	for (uint64_t i = 0; i < N_TOKENS - 1; i++) {
		assert_int_equal(p[i].token, i + 1);
		assert_int_equal(p[i].itl_ns, i + 1 == 500 ? 9000 : i + 1 == 700 ? 10 : 1000);
	}
	lmm_tokens_destroy(read);
}

static void test_outliers_stay(void **state)
{
	struct lmm_result_request q;
	struct lmm_tokens *read = read_thousand(20, &q);
	const struct lmm_token_series *s = &read->series[0];
	int late = 0, early = 0;

	(void)state;
	assert_true(s->n <= 22 && s->n >= 10);
	for (size_t i = 0; i < s->n; i++) {
		late += s->points[i].token == 500 && s->points[i].itl_ns == 9000;
		early += s->points[i].token == 700 && s->points[i].itl_ns == 10;
		assert_true(i == 0 || s->points[i - 1].token < s->points[i].token);
	}
	assert_int_equal(late, 1);
	assert_int_equal(early, 1);
	lmm_tokens_destroy(read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evil_names),	   cmocka_unit_test(test_spans),
		cmocka_unit_test(test_control_characters), cmocka_unit_test(test_all_tokens),
		cmocka_unit_test(test_outliers_stay),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	remove_temp_folder();
	return rc;
}
