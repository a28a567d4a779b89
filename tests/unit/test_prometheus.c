/* SPDX-License-Identifier: Apache-2.0 */
/* Text exposition against lines written by hand; names that mean no good; counters that would go back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/prometheus.h"
#include "report_sample.h"

#define TTFT	 "gen_ai_server_time_to_first_token_seconds"
#define TPOT	 "gen_ai_server_time_per_output_token_seconds"
#define DURATION "gen_ai_server_request_duration_seconds"
#define ENGINE	 "gen_ai_operation_name=\"text_completion\",gen_ai_provider_name=\"llama.cpp\""
#define LABELS	 ENGINE ",gen_ai_request_model=\"SmolLM2 135M Instruct\""

/* What a test may change, and what is written of it. */
struct session {
	struct lmm_result result;
	struct lmm_settled settled;
	struct lmm_prometheus *prometheus;
	char *text;
};

static int set_up(void **state)
{
	struct session *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->result = sample_result;
	x->settled.result = &x->result;
	x->settled.output_tokens = 51;
	x->settled.ns_per_tick = 0.5;
	/* 0.9 and 30 ms; 10.2 ms; 90 s: in ticks of half a nanosecond */
	lmm_hist_add(&x->settled.ttft, 1800000);
	lmm_hist_add(&x->settled.ttft, 60000000);
	lmm_hist_add(&x->settled.tpot, 20400000);
	lmm_hist_add(&x->settled.duration, 180000000000);
	x->prometheus = lmm_prometheus_create();
	assert_non_null(x->prometheus);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct session *x = *state;

	x->settled.result = NULL;
	lmm_settled_free(&x->settled);
	lmm_prometheus_destroy(x->prometheus);
	free(x->text);
	free(x);
	return 0;
}

static void write_text(struct session *x, int has_ended)
{
	struct lmm_prometheus_opts opts = { has_ended, 1500000000 };
	size_t n;
	FILE *out;

	free(x->text);
	out = open_memstream(&x->text, &n);
	assert_non_null(out);
	assert_int_equal(lmm_prometheus_write(x->prometheus, &x->settled, &opts, out), 0);
	fclose(out);
}

static void has_line(const struct session *x, const char *line)
{
	char with_ends[512];

	(void)snprintf(with_ends, sizeof(with_ends), "\n%s\n", line);
	if (!strstr(x->text, with_ends))
		fail_msg("no '%s' in:\n%s", line, x->text);
}

static void test_values(void **state)
{
	static const char *const lines[] = {
		TTFT "_bucket{" LABELS ",le=\"0.001\"} 1",
		TTFT "_bucket{" LABELS ",le=\"0.02\"} 1",
		TTFT "_bucket{" LABELS ",le=\"0.04\"} 2",
		TTFT "_bucket{" LABELS ",le=\"+Inf\"} 2",
		TTFT "_sum{" LABELS "} 0.0309",
		TPOT "_bucket{" LABELS ",le=\"0.01\"} 0",
		TPOT "_bucket{" LABELS ",le=\"0.025\"} 1",
		DURATION "_bucket{" LABELS ",le=\"81.92\"} 0",
		DURATION "_bucket{" LABELS ",le=\"+Inf\"} 1",
		DURATION "_sum{" LABELS "} 90",
		"lmmeter_phase_seconds_total{phase=\"decode\"} 0.5",
		"lmmeter_tokens_total{kind=\"output\"} 51",
		"lmmeter_serving_cpu_seconds_total 1.5",
		"lmmeter_recording_ended 0",
	};
	struct session *x = *state;

	write_text(x, 0);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(lines); i++)
		has_line(x, lines[i]);
	write_text(x, 1);
	has_line(x, "lmmeter_recording_ended 1");
}

/* The clock's fit gets better and says a little less: no counter may. */
static void test_counters_stand_still(void **state)
{
	struct session *x = *state;

	write_text(x, 0);
	x->settled.ns_per_tick *= 0.9;
	x->settled.output_tokens = 50;
	write_text(x, 0);
	has_line(x, TTFT "_sum{" LABELS "} 0.0309");
	has_line(x, "lmmeter_tokens_total{kind=\"output\"} 51");
	x->settled.ns_per_tick *= 2;
	x->settled.output_tokens = 52;
	write_text(x, 0);
	has_line(x, TTFT "_sum{" LABELS "} 0.05562");
	has_line(x, TTFT "_bucket{" LABELS ",le=\"0.04\"} 2");
	has_line(x, "lmmeter_tokens_total{kind=\"output\"} 52");
}

/* Nothing may end a label or a line, and a path stays at home. */
static void test_hostile_names(void **state)
{
	struct lmm_result_model model = sample_models[0];
	struct session *x = *state;

	model.name = "/home/somebody/" SAMPLE_HOSTILE;
	x->result.models = &model;
	x->result.n_models = 1;
	write_text(x, 0);
	assert_null(strstr(x->text, "somebody"));
	assert_non_null(strstr(x->text, "gen_ai_request_model=\"a\\\"b,c\\\\d"));
	for (const char *c = x->text; *c; c++)
		assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && *c != 0x7f));
}

/* Of two models nobody can say which one it was. */
static void test_two_models(void **state)
{
	struct lmm_result_model models[2] = { sample_models[0], sample_models[0] };
	struct session *x = *state;

	models[1].name = "draft";
	x->result.models = models;
	x->result.n_models = 2;
	write_text(x, 0);
	assert_null(strstr(x->text, "gen_ai_request_model"));
	has_line(x, TTFT "_count{" ENGINE "} 2");
}

/* Its labels must not change, so a series waits for the model's name. */
static void test_before_the_model(void **state)
{
	struct session *x = *state;

	x->result.n_models = 0;
	lmm_hist_free(&x->settled.duration);
	write_text(x, 0);
	assert_null(strstr(x->text, "gen_ai_"));
	x->result.n_models = 1;
	write_text(x, 0);
	has_line(x, TTFT "_count{" LABELS "} 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_counters_stand_still, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_models, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_before_the_model, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
