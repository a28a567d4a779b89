/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The made-up session of golden.h: its figures against arithmetic done by hand, and its reports against the files in
 * expected/, which were read by people before they were committed. Runs in the source tree's root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "base/compiler.h"
#include "golden.h"
#include "report/export.h"
#include "report/report.h"

#define EXPECTED "tests/golden/expected"

static char folder[64];
static char file[96];
static struct lmm_result *result;

static int set_up(void **state)
{
	struct lmm_analysis_file_opts opts = { 0 };
	enum lmm_trace_state how;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/lmmeter-golden-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(file, sizeof(file), "%s/golden.lmt", folder);
	if (lmm_golden_write(file) != 0)
		return -1;
	if (lmm_analysis_file(file, &opts, &result, &how) != 0 || how != LMM_TRACE_COMPLETE)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lmm_result_destroy(result);
	unlink(file);
	return rmdir(folder);
}

/* ---- arithmetic --------------------------------------------------------------------------------- */

/* Sums over the 19 nodes that run: their numbers add up to 171. */
#define PREFILL_SPAN (500 + 19 * 20000 + 171 * 100)
#define DECODE_SPAN  (500 + 19 * 1000 + 171 * 10)
#define PREFILL_PASS (300 + PREFILL_SPAN + 200 + 100) /* and 1000 with a copy */
#define DECODE_PASS  (300 + DECODE_SPAN + 200 + 1000 + 100)

static void check_ns(double have, double want)
{
	if (fabs(have - want) > 0.01)
		fail_msg("%.3f ns, not %.3f", have, want);
}

/* Within the half bucket that docs/json.md promises. */
static void check_about(double have, double want)
{
	if (fabs(have - want) > 0.0055 * want)
		fail_msg("%.3f ns is not within 0.55 %% of %.3f", have, want);
}

static const struct lmm_result_phase *phase_of(unsigned phase)
{
	for (size_t i = 0; i < result->n_phases; i++) {
		if (result->phases[i].phase == phase)
			return &result->phases[i];
	}
	fail_msg("no phase %s", lmm_phase_name(phase));
	return NULL;
}

static void check_phase(unsigned phase, uint64_t count, double total_ns)
{
	const struct lmm_result_phase *p = phase_of(phase);

	assert_int_equal(p->stats.count, count);
	check_ns(p->stats.total_ns, total_ns);
	check_ns(p->stats.mean_ns, total_ns / (double)count);
}

static void test_phases(void **state)
{
	double sum = 0;

	(void)state;
	check_phase(LMM_PHASE_MODEL_LOAD, 1, 100e6);
	check_phase(LMM_PHASE_CONTEXT_INIT, 1, 5e6);
	check_phase(LMM_PHASE_TOKENIZE, 2, 40000 + 20000);
	check_phase(LMM_PHASE_EMBEDDING, 9, 3 * 20000 + 6 * 1000);
	check_phase(LMM_PHASE_PREFILL, 3, 3 * PREFILL_PASS - 3 * 20000);
	check_phase(LMM_PHASE_DECODE, 6, 6 * (DECODE_PASS - 1000 - 1000));
	check_phase(LMM_PHASE_COPY_TO_CPU, 8, 8 * 1000);
	check_phase(LMM_PHASE_SOFTMAX, 8, 8 * 800);
	check_phase(LMM_PHASE_SAMPLING, 8, 8 * (3000 - 800));
	check_phase(LMM_PHASE_DETOKENIZE, 8, 8 * 500);
	check_phase(LMM_PHASE_UNACCOUNTED, 24, 24 * 700);
	check_about(phase_of(LMM_PHASE_DECODE)->stats.p50_ns, DECODE_PASS - 2000);
	check_ns(phase_of(LMM_PHASE_DECODE)->host_ns, 6 * DECODE_PASS);
	check_ns(phase_of(LMM_PHASE_SAMPLING)->host_ns, 8 * 3000);
	for (size_t i = 0; i < result->n_phases; i++)
		sum += result->phases[i].share_percent >= 0 ? result->phases[i].share_percent : 0;
	assert_true(fabs(sum - 100) < 1e-6);
}

/* From a token to the next: the rest of sampling, a gap, detokenize, a gap, a pass, a gap, sampling up to the token. */
#define TOKEN_TO_TOKEN (200 + 700 + 500 + 700 + DECODE_PASS + 700 + 2800)

static void check_request(const struct lmm_result_request *q, unsigned chunks, double tokenize_ns)
{
	double ttft = tokenize_ns + 700 + chunks * PREFILL_PASS + 1000 + 700 + 2800;
	double wall = ttft + 3 * TOKEN_TO_TOKEN + 200 + 700 + 500;
	double sum = q->unaccounted_ns;

	assert_int_equal(q->prompt_tokens, 4 * chunks);
	assert_int_equal(q->cached_tokens, 0);
	assert_int_equal(q->output_tokens, 4);
	assert_int_equal(q->prefill_steps, chunks);
	assert_int_equal(q->decode_steps, 3);
	check_ns(q->ttft_ns, ttft);
	check_ns(q->tpot_ns, TOKEN_TO_TOKEN);
	check_ns(q->wall_ns, wall);
	check_ns(q->unaccounted_ns, (1 + 2 * 4 + 3) * 700);
	for (size_t i = 0; i < q->n_phases; i++)
		sum += q->phases[i].total_ns;
	check_ns(sum, wall);
}

static void test_requests(void **state)
{
	(void)state;
	assert_int_equal(result->requests_total, 2);
	assert_int_equal(result->n_requests, 2);
	assert_int_equal(result->warmup_requests, 0);
	check_request(&result->requests[0], 2, 40000);
	check_request(&result->requests[1], 1, 20000);
	/* 1 ms to the load, 100 and 5 ms of it, 1 ms more; the second one 2 ms after the first one's end */
	assert_int_equal(result->requests[0].start_ns, 107000000);
	assert_int_equal(result->requests[1].start_ns, 107000000 + 928230 + 2000000);
	assert_int_equal(result->itl.count, 6);
	check_ns(result->itl.total_ns, 6 * TOKEN_TO_TOKEN);
	assert_true(fabs(result->output_tokens_per_second - 8 / ((928230 + 510030) * 1e-9)) < 1e-3);
	assert_true(fabs(result->prompt_tokens_per_second -
			 12 / ((3 * PREFILL_PASS + 2000) * 1e-9)) < 1e-3);
}

static void test_steps(void **state)
{
	(void)state;
	assert_int_equal(result->steps.prefill.count, 3);
	check_ns(result->steps.prefill.total_ns, 3 * PREFILL_PASS + 2 * 1000);
	check_ns(result->steps.prefill.max_ns, PREFILL_PASS + 1000);
	assert_int_equal(result->steps.decode.count, 6);
	check_ns(result->steps.decode.total_ns, 6 * DECODE_PASS);
	assert_int_equal(result->steps.prefill_tokens, 12);
	assert_int_equal(result->steps.decode_tokens, 6);
	assert_int_equal(result->steps.warmup_steps, 0);
}

static void test_operators(void **state)
{
	double kernels = 0, layers = 0;

	(void)state;
	check_ns(result->graph_span_ns, 3 * PREFILL_SPAN + 6 * DECODE_SPAN);
	check_ns(result->graph_gaps_ns, 9 * 500);
	check_ns(result->graph_own_ns, 9 * 19 * 10);
	check_ns(result->graph_kernels_ns, result->graph_span_ns - 9 * 500 - 9 * 19 * 10);
	for (size_t i = 0; i < result->n_kernels; i++)
		kernels += result->kernels[i].stats.total_ns;
	check_ns(kernels, result->graph_kernels_ns);
	for (size_t i = 0; i < result->n_layers; i++)
		layers += result->layers[i].total_ns;
	check_ns(layers, result->graph_kernels_ns);
	/* node 8 and node 16 in three prefills: the longest */
	assert_string_equal(result->kernels[0].name, "ffn_out");
	assert_int_equal(result->kernels[0].phase, LMM_PHASE_PREFILL);
	assert_int_equal(result->kernels[0].stats.count, 6);
	check_ns(result->kernels[0].stats.total_ns,
		 3 * (20000 + 800 - 10) + 3 * (20000 + 1600 - 10));
	assert_int_equal(result->kernels[0].bytes, 6 * (4096 + 256));
	assert_int_equal(result->kernels[0].flops, 6 * 8192);
}

static void test_layers(void **state)
{
	const struct lmm_result_layer *l = &result->layers[1];

	(void)state;
	assert_int_equal(result->n_layers, 3);
	assert_int_equal(result->layers[0].layer, -1);
	assert_int_equal(l->layer, 0);
	/* nodes 2 to 5, 7 and 8, 1 and 6; three prefills, six decodes */
	check_ns(l->attention_ns, 3 * (4 * 19990 + 1400) + 6 * (4 * 990 + 140));
	check_ns(l->mlp_ns, 3 * (2 * 19990 + 1500) + 6 * (2 * 990 + 150));
	check_ns(l->norm_ns, 3 * (2 * 19990 + 700) + 6 * (2 * 990 + 70));
	check_ns(l->other_ns, 0);
	check_ns(l->prefill_ns, 3 * (8 * 19990 + 3600));
	check_ns(l->decode_ns, 6 * (8 * 990 + 360));
	/* nodes 0, 17 and 18 */
	check_ns(result->layers[0].total_ns, 3 * (3 * 19990 + 3500) + 6 * (3 * 990 + 350));
}

static void test_records(void **state)
{
	/* load 3, context 2, hints 2; per request 4, passes, 4 samplings of 9, 3 times unaccounted before a decode;
	 * a pass 5 and 19 operators, 1 for its sequence, 3 for its copy */
	uint64_t first = 4 + (2 * 24 + 1 + 3) + 3 * (24 + 1 + 3) + 4 * 9 + 3;
	uint64_t second = 4 + (24 + 1 + 3) + 3 * (24 + 1 + 3) + 4 * 9 + 3;

	(void)state;
	assert_int_equal(result->records.emitted, 3 + 2 + 2 + first + second);
	assert_int_equal(result->records.stored, result->records.emitted);
	assert_int_equal(result->records.lost, 0);
	assert_int_equal(result->records.invalid, 0);
	assert_int_equal(result->records.operators, 9 * 19);
	/* pairs: load, context, 2 tokenize, 9 passes, 8 of copy, sampling, softmax and detokenize each */
	check_ns(result->overhead.total_ns, 9 * 19 * 10 + (2 + 2 + 9 + 4 * 8) * 20);
	check_ns(result->overhead.collector_cpu_ns, 5e6);
	assert_int_equal(result->level.reached, LMM_LEVEL_KERNELS);
}

/* The same from records and from items that never were in a file. */
static void test_ways(void **state)
{
	struct lmm_analysis_file_opts opts = { .recompute = 1 };
	struct lmm_analysis *a = lmm_analysis_create();
	struct lmm_result *others[2];
	enum lmm_trace_state how;
	char *text[3];
	size_t n[3];

	(void)state;
	assert_non_null(a);
	assert_int_equal(lmm_analysis_file(file, &opts, &others[0], &how), 0);
	assert_int_equal(lmm_golden_items(lmm_analysis_item, a), 0);
	others[1] = lmm_analysis_result(a);
	assert_non_null(others[1]);
	for (unsigned i = 0; i < 3; i++) {
		FILE *out = open_memstream(&text[i], &n[i]);

		assert_non_null(out);
		lmm_report_json(i == 0 ? result : others[i - 1], out);
		fclose(out);
	}
	assert_string_equal(text[1], text[0]);
	assert_string_equal(text[2], text[0]);
	for (unsigned i = 0; i < 3; i++)
		free(text[i]);
	lmm_result_destroy(others[0]);
	lmm_result_destroy(others[1]);
	lmm_analysis_destroy(a);
}

/* ---- expected files ----------------------------------------------------------------------------- */

static char *read_text(const char *path, size_t *n)
{
	FILE *in = fopen(path, "r");
	char *data;
	long size;

	if (!in)
		return NULL;
	assert_int_equal(fseek(in, 0, SEEK_END), 0);
	size = ftell(in);
	rewind(in);
	data = malloc((size_t)size + 1);
	assert_non_null(data);
	*n = fread(data, 1, (size_t)size, in);
	data[*n] = '\0';
	fclose(in);
	return data;
}

static void compare_file(const char *name, const char *have, size_t n)
{
	char path[128];
	size_t want_n = 0;
	char *want;

	(void)snprintf(path, sizeof(path), EXPECTED "/%s", name);
	if (getenv("LMM_UPDATE_GOLDEN")) {
		FILE *out = fopen(path, "w");

		assert_non_null(out);
		assert_int_equal(fwrite(have, 1, n, out), n);
		assert_int_equal(fclose(out), 0);
		return;
	}
	want = read_text(path, &want_n);
	if (!want)
		fail_msg("no %s; LMM_UPDATE_GOLDEN=1 writes it", path);
	for (size_t i = 0, line = 1; i <= n && i <= want_n; i++) {
		if (have[i] != want[i])
			fail_msg(
				"%s differs in line %zu at '%.40s'; LMM_UPDATE_GOLDEN=1 accepts it",
				path, line, have + i);
		line += have[i] == '\n';
	}
	assert_int_equal(n, want_n);
	free(want);
}

static void test_text(void **state)
{
	static const struct lmm_text_opts all = {
		.requests = 1, .steps = 1, .layers = 1, .kernels = 1
	};
	static const struct lmm_text_opts terminal = { .bars = 1, .utf8 = 1 };
	static const struct lmm_text_opts plain = { 0 };
	static const struct {
		const char *name;
		const struct lmm_text_opts *opts;
	} cases[] = { { "report.txt", &plain },
		      { "report-all.txt", &all },
		      { "report-terminal.txt", &terminal } };

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(cases); i++) {
		char *text;
		size_t n;
		FILE *out = open_memstream(&text, &n);

		assert_non_null(out);
		lmm_report_text(result, cases[i].opts, out);
		fclose(out);
		compare_file(cases[i].name, text, n);
		free(text);
	}
}

static void test_json(void **state)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	(void)state;
	assert_non_null(out);
	lmm_report_json(result, out);
	fclose(out);
	compare_file("report.json", text, n);
	free(text);
}

static void test_csv(void **state)
{
	static const char *const names[] = { "phases.csv", "requests.csv", "steps.csv",
					     "layers.csv", "kernels.csv",  "spans.csv" };
	char dir[96], path[128];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/csv", folder);
	assert_int_equal(lmm_report_csv(result, dir, 0, NULL), 0);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		size_t n = 0;
		char *data;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		data = read_text(path, &n);
		assert_non_null(data);
		compare_file(names[i], data, n);
		free(data);
		unlink(path);
	}
	rmdir(dir);
}

static void compare_export(int (*export)(struct lmm_trace *, const struct lmm_result *, FILE *),
			   const char *name)
{
	struct lmm_trace *tr;
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	assert_int_equal(lmm_trace_open(file, &tr), 0);
	assert_int_equal(export(tr, result, out), 0);
	lmm_trace_close(tr);
	fclose(out);
	compare_file(name, text, n);
	free(text);
}

static void test_exports(void **state)
{
	(void)state;
	compare_export(lmm_export_chrome, "chrome.json");
	compare_export(lmm_export_folded, "run.folded");
	compare_export(lmm_export_speedscope, "speedscope.json");
	compare_export(lmm_export_steps, "run-steps.csv");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_phases),	cmocka_unit_test(test_requests),
		cmocka_unit_test(test_steps),	cmocka_unit_test(test_operators),
		cmocka_unit_test(test_layers),	cmocka_unit_test(test_records),
		cmocka_unit_test(test_ways),	cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),	cmocka_unit_test(test_csv),
		cmocka_unit_test(test_exports),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
