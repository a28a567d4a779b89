/* SPDX-License-Identifier: Apache-2.0 */
/* Every sentence of a study: said on data that carry it, not said on data that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "study_made_up.h"

#define PLAN                                                                                       \
	"[engine]\ncommand = [\"e\", \"{threads}\", \"{prompt}\"]\n[factors]\nthreads = [1, 2]\n"  \
	"prompt_tokens = [16, 256]\n[run]\nrepeats = 5\n"
#define MODELS                                                                                                \
	"[engine]\ncommand = [\"e\", \"{model}\"]\n[factors]\nquantization = [\"F16\", \"Q8_0\", \"Q2_K\"]\n" \
	"[run]\nrepeats = 5\n[quantize]\nsource = \"s\"\n[quality]\ntext = \"t\"\nreference = \"F16\"\n"

/* A little scatter, the same for every test, and for each figure however many there are: 0.2 %. */
static void shake(struct lmm_study *s)
{
	for (uint32_t i = 0; i < s->n_blocks * s->plan->n_conditions; i++) {
		for (unsigned k = 0; k < LMM_FIGURES; k++) {
			made_up_random = (uint64_t)i << 32 | (k + 11);
			s->cells[i].figures[k] *= exp(0.002 * made_up_normal());
		}
	}
}

static int says(struct lmm_study *s, const char *id, const char *words)
{
	struct lmm_study_findings *f = lmm_study_findings_make(s);
	int n = 0;

	assert_non_null(f);
	for (uint32_t i = 0; i < f->n_conclusions; i++) {
		const struct lmm_conclusion *c = &f->conclusions[i];

		if (strcmp(c->id, id) != 0)
			continue;
		assert_true(c->text[0] && c->rule[0]);
		n++;
		if (words && !strstr(c->text, words) && !strstr(c->evidence, words))
			print_error("%s: '%s' (%s) has no '%s'\n", id, c->text, c->evidence, words);
		assert_true(!words || strstr(c->text, words) || strstr(c->evidence, words));
	}
	lmm_study_findings_destroy(f);
	lmm_study_destroy(s);
	return n;
}

/* Each cell as change() leaves it. */
static struct lmm_study *made(const char *plan,
			      void (*change)(struct lmm_study *s, struct lmm_cell *c))
{
	struct lmm_study *s = made_up_study(plan);

	for (uint32_t i = 0; change && i < s->n_blocks * s->plan->n_conditions; i++)
		change(s, &s->cells[i]);
	shake(s);
	return s;
}

static uint32_t level_of(const struct lmm_study *s, const struct lmm_cell *c, uint32_t factor)
{
	return lmm_plan_level(s->plan, c->condition, factor);
}

static void test_silent(void **state)
{
	static const char *const only_on_evidence[] = {
		"holes",
		"prefill_dominates",
		"decode_dominates",
		"matmul_share",
		"device_idle",
		"effect",
		"slows_down",
		"event",
		"not_clocks",
		"not_quiet",
		"throttled",
		"lost",
		"own_cost",
		"low_mbu",
		"reference_quantized",
		"quality_lost",
		"quality_kept",
		"bytes_without_time",
		"fallback",
		"score",
		"dominated",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(only_on_evidence) / sizeof(only_on_evidence[0]); i++) {
		assert_int_equal(says(made(PLAN, NULL), only_on_evidence[i], NULL), 0);
		assert_int_equal(says(made(MODELS, NULL), only_on_evidence[i], NULL), 0);
	}
}

static void slow_down(struct lmm_study *s, struct lmm_cell *c)
{
	if (level_of(s, c, 1) == 1)
		c->figures[LMM_FIG_TTFT] *= 1.1;
}

static void slow_both(struct lmm_study *s, struct lmm_cell *c)
{
	slow_down(s, c);
	if (level_of(s, c, 1) == 1)
		c->figures[LMM_FIG_TPOT] *= 1.05;
}

static void test_effect(void **state)
{
	int n;

	(void)state;
	assert_int_equal(says(made(PLAN, slow_down), "effect",
			      "prompt_tokens=256 instead of 16: time to first token 10.1 % more"),
			 1);
	/* all that a level changes is one sentence */
	assert_int_equal(says(made(PLAN, slow_both), "effect", NULL), 1);
	assert_int_equal(
		says(made(PLAN, slow_both), "effect", "], time per output token 4.97 % more ["), 1);
	/* what changed is not among them; the others are, but for chance */
	n = says(made(PLAN, NULL), "no_difference", "no difference");
	assert_in_range(n, 3, 4);
	assert_int_equal(says(made(PLAN, slow_down), "no_difference", "no difference"), n - 1);
}

static void prefill_more(struct lmm_study *s, struct lmm_cell *c)
{
	int is_long = level_of(s, c, 1) == 1;

	c->figures[LMM_FIG_PROMPT_TOKENS] = is_long ? 256 : 16;
	c->phase_ns[LMM_PHASE_PREFILL] = is_long ? 70 + c->block : 30;
	c->phase_ns[LMM_PHASE_DECODE] = is_long ? 25 : 65 + c->block;
}

static void test_dominance(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, prefill_more), "prefill_dominates",
			      "8 prompt tokens per output token"),
			 1);
	assert_int_equal(says(made(PLAN, prefill_more), "decode_dominates", "2 of 4 conditions"),
			 1);
}

static void products(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->role_ns[1][LMM_ROLE_MLP] = 100;
	c->n_kernels = 2;
	strcpy(c->kernels[0].op, "MUL_MAT");
	c->kernels[0].total_ns = 62 + c->block * 0.1;
	strcpy(c->kernels[1].op, "SOFT_MAX");
	c->kernels[1].total_ns = 30;
}

static void fewer_products(struct lmm_study *s, struct lmm_cell *c)
{
	products(s, c);
	if (c->condition == 1)
		c->kernels[0].total_ns = 58 + c->block;
}

static void test_matmul(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, products), "matmul_share", "62 to"), 1);
	assert_int_equal(says(made(PLAN, fewer_products), "matmul_share", NULL), 0);
}

static void shifts(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_SHIFTS] = c->condition == 2 ? 3 : 0;
	if (c->condition == 2)
		c->figures[LMM_FIG_SHIFT] = 4e6 + 1e5 * (c->block % 3);
}

/* Not in every block, or of no cost that could be told. */
static void no_shifts(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_SHIFTS] = c->block == 1 ? 0 : 3;
	if (c->condition == 2 && c->block != 1)
		c->figures[LMM_FIG_SHIFT] = 4e6;
	if (c->condition == 3) {
		c->figures[LMM_FIG_SHIFTS] = 3;
		c->figures[LMM_FIG_SHIFT] = c->block % 2 ? 9e6 : 1e5;
	}
}

static void refusals(struct lmm_study *s, struct lmm_cell *c)
{
	c->figures[LMM_FIG_REFUSALS] = level_of(s, c, 0) == 0 ? 2 : 0;
}

static void one_refusal(struct lmm_study *s, struct lmm_cell *c)
{
	c->figures[LMM_FIG_REFUSALS] = c == s->cells;
}

static void test_refusals(void **state)
{
	(void)state;
	assert_true(says(made(PLAN, refusals), "context_full", "no room for 2 calls in a run") > 0);
	assert_int_equal(says(made(PLAN, one_refusal), "context_full", NULL), 0);
}

static void test_shifts(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, shifts), "context_shift", "full 3 times in a run"), 1);
	assert_int_equal(says(made(PLAN, no_shifts), "context_shift", NULL), 0);
}

static void idle(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_IDLE] = c->condition == 2 ? 25 : 5;
	c->gap_ns[0] = 1;
	c->gap_ns[1] = 3;
}

static void not_idle(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_IDLE] = 15;
}

static void test_idle(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, idle), "device_idle", "25 %"), 1);
	assert_int_equal(
		says(made(PLAN, idle), "device_idle", "together: read_back 75 %, host 25 %"), 1);
	assert_int_equal(says(made(PLAN, not_idle), "device_idle", NULL), 0);
}

static void scales_badly(struct lmm_study *s, struct lmm_cell *c)
{
	c->figures[LMM_FIG_TPOT] /= level_of(s, c, 0) ? 1.3 : 1;
}

static void scales_well(struct lmm_study *s, struct lmm_cell *c)
{
	c->figures[LMM_FIG_TPOT] /= level_of(s, c, 0) ? 1.6 : 1;
}

static void test_scaling(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, scales_badly), "poor_scaling", "1.30 times as fast"), 1);
	assert_int_equal(says(made(PLAN, scales_well), "poor_scaling", NULL), 0);
}

static void drifts(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	for (unsigned w = 0; w < LMM_CELL_WINDOWS; w++)
		c->windows[w] = 1000 + (c->condition == 3 ? 7 : 2) * w + c->block;
}

static void test_drift(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, drifts), "slows_down", "under 1 of 4 conditions"), 1);
}

static void event(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->n_spikes = 2;
	c->spikes[0] = (struct lmm_cell_spike){ 200, 50e6 };
	/* chance: another token each time */
	c->spikes[1] = (struct lmm_cell_spike){ 10 + c->block, 40e6 };
}

static void no_event(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->n_spikes = 1;
	c->spikes[0] = (struct lmm_cell_spike){ 10 + c->block, 40e6 };
}

static void test_event(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, event), "event", "Token 200 takes 5.0 times"), 4);
	assert_int_equal(says(made(PLAN, no_event), "event", NULL), 0);
}

static void troubled(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_WAITED] = c->condition == 0 ? 8 : 1;
	c->figures[LMM_FIG_THROTTLED] = c->condition == 1 ? 5 : 0;
	c->figures[LMM_FIG_LOST] = c->condition == 2 ? 3 : 0;
	c->figures[LMM_FIG_OWN] = c->condition == 3 ? 1.5 : 0.1;
	if (c->condition == 0 && c->block == 0)
		c->status = LMM_CELL_TIMEOUT;
}

static void test_remarks(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, troubled), "not_quiet", "in 4 cells"), 1);
	assert_int_equal(says(made(PLAN, troubled), "throttled", "in 5 cells"), 1);
	assert_int_equal(says(made(PLAN, troubled), "lost", "in 5 cells"), 1);
	assert_int_equal(says(made(PLAN, troubled), "own_cost", "In 5 cells"), 1);
	assert_int_equal(says(made(PLAN, troubled), "holes", "1 of 20 cells"), 1);
	assert_int_equal(says(made("[engine]\ncommand = [\"e\"]\n[factors]\nload = [0, 1]\n", NULL),
			      "not_clocks", "not a lower clock"),
			 1);
}

static void slow_reader(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_MBU] = 20;
}

static void fast_reader(struct lmm_study *s, struct lmm_cell *c)
{
	(void)s;
	c->figures[LMM_FIG_MBU] = c->condition == 1 ? 45 : 20;
}

static void kept_waiting(struct lmm_study *s, struct lmm_cell *c)
{
	slow_reader(s, c);
	c->figures[LMM_FIG_WAITED] = 50;
}

static void test_mbu(void **state)
{
	(void)state;
	assert_int_equal(says(made(PLAN, slow_reader), "low_mbu", "20 %"), 1);
	assert_int_equal(says(made(PLAN, fast_reader), "low_mbu", NULL), 0);
	assert_int_equal(says(made(PLAN, kept_waiting), "low_mbu", NULL), 0);
}

/* ---- variants ------------------------------------------------------------------------------------ */

/* Q2_K: a third of the bytes, but not faster, and worse; Q8_0: half the bytes and time, as good. */
static void quantized(struct lmm_study *s, struct lmm_cell *c)
{
	static const double bytes[] = { 300e6, 150e6, 100e6 }, ns[] = { 10e6, 5e6, 9.5e6 };
	uint32_t v = level_of(s, c, 0);

	c->figures[LMM_FIG_TOKEN_BYTES] = bytes[v];
	c->figures[LMM_FIG_TPOT] = c->figures[LMM_FIG_TTFT] = ns[v];
	c->figures[LMM_FIG_MEMORY] = bytes[v] + 50e6;
	c->n_kernels = 1;
	strcpy(c->kernels[0].name, "ffn_up");
	strcpy(c->kernels[0].op, "MUL_MAT");
	strcpy(c->kernels[0].weight_type, v == 2 ? "q2_K" : "f16");
	c->kernels[0].phase = LMM_PHASE_DECODE;
	c->kernels[0].weight_bytes = bytes[v] * 31;
	c->kernels[0].total_ns = ns[v] * 31;
}

static void slow_reference(struct lmm_study *s, struct lmm_cell *c)
{
	uint32_t v = level_of(s, c, 0);

	quantized(s, c);
	if (v != 0)
		return;
	c->figures[LMM_FIG_TOKEN_BYTES] = 100e6;
	c->figures[LMM_FIG_TPOT] = 9.5e6;
	c->kernels[0].weight_bytes = 100e6 * 31;
	c->kernels[0].total_ns = 9.5e6 * 31;
}

static struct lmm_study *models(double lost_percent)
{
	struct lmm_study *s = made(MODELS, quantized);

	s->variants[0].is_reference = 1;
	s->variants[0].ratio = (struct lmm_measured){ 1, 0 };
	s->variants[1].ratio = (struct lmm_measured){ 1.001, 0.001 };
	s->variants[2].ratio = (struct lmm_measured){ 1 + lost_percent / 20, 0.01 };
	for (uint32_t i = 0; i < 3; i++) {
		s->variants[i].perplexity =
			(struct lmm_measured){ 10 * s->variants[i].ratio.value, 1 };
		s->variants[i].kld = (struct lmm_measured){ i == 2 ? 0.3 : 0.001, 0.001 };
		s->variants[i].top1 =
			(struct lmm_measured){ i == 2 ? 100 - lost_percent : 99.5, 0.4 };
		s->variants[i].bits_per_weight = 16;
	}
	return s;
}

static void test_quality(void **state)
{
	struct lmm_study *s;

	(void)state;
	assert_int_equal(
		says(models(12), "quality_lost", "Q2_K changes the most likely token on 12 %"), 1);
	assert_int_equal(says(models(4), "quality_lost", NULL), 0);
	assert_int_equal(says(models(12), "quality_kept", "Q8_0"), 1);
	s = models(12);
	s->variants[1].top1.half = 3;
	assert_int_equal(says(s, "quality_kept", NULL), 0);
	assert_int_equal(says(models(12), "reference_quantized", NULL), 0);
	s = models(12);
	s->variants[0].bits_per_weight = 5.74;
	assert_int_equal(says(s, "reference_quantized", "5.74"), 1);
}

static void test_bytes(void **state)
{
	(void)state;
	/* Q2_K alone; its operator is named with both bandwidths, 30 and 10.5 GB/s */
	assert_int_equal(says(models(12), "bytes_without_time", "Q2_K"), 1);
	assert_int_equal(says(models(12), "bytes_without_time",
			      "ffn_up (q2_K) reads at 10.5 GB/s where F16 reads at 30"),
			 1);
	/* the reference is the one that reads less, and is slower */
	assert_int_equal(says(made(MODELS, slow_reference), "bytes_without_time",
			      "F16 reads 33 % fewer bytes per token than Q8_0"),
			 1);
	assert_int_equal(says(made(MODELS, slow_reference), "bytes_without_time",
			      "ffn_up (f16) reads at 10.5 GB/s where Q8_0 reads at 30"),
			 1);
}

static void test_fallback(void **state)
{
	struct lmm_study *s = models(12);

	(void)state;
	s->variants[2].fallback_of = 272;
	s->variants[2].fallback_tensors = 211;
	assert_int_equal(says(s, "fallback", "Q2_K (211 of 272): little more than names here"), 1);
	s = models(12);
	s->variants[2].fallback_of = 272;
	s->variants[2].fallback_tensors = 5;
	assert_int_equal(says(s, "fallback", NULL), 0);
}

static void test_worth(void **state)
{
	struct lmm_study *s;

	(void)state;
	assert_int_equal(says(models(12), "score", "Q8_0 leads"), 1);
	/* F16 is as good and dearer */
	s = models(12);
	s->variants[1].ratio = (struct lmm_measured){ 0.99, 0.001 };
	assert_int_equal(says(s, "dominated", "Q8_0 is better"), 1);
	s = models(12);
	s->variants[1].ratio = (struct lmm_measured){ 1.05, 0.001 };
	assert_int_equal(says(s, "dominated", NULL), 0);
}

/* ---- cells as files -------------------------------------------------------------------------------- */

static void test_cell_file(void **state)
{
	struct lmm_study *s = made(MODELS, quantized);
	struct lmm_cell *c = &s->cells[4], back;
	char *text = NULL, *again = NULL;
	size_t n, m;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	strcpy(c->reason, "a \"reason\"\n");
	c->n_spikes = 1;
	c->spikes[0] = (struct lmm_cell_spike){ 7, 123 };
	c->windows[9] = 5.5;
	c->start_realtime_ns = 1700000000000000000u;
	lmm_cell_write(c, f);
	fclose(f);
	assert_int_equal(lmm_cell_parse(&back, text, n), 0);
	f = open_memstream(&again, &m);
	lmm_cell_write(&back, f);
	fclose(f);
	assert_string_equal(text, again);
	/* cut or changed anywhere it is refused or read, and never more than that */
	for (size_t i = 0; i < n; i += 3)
		assert_true(lmm_cell_parse(&back, text, i) <= 0);
	assert_int_not_equal(lmm_cell_parse(&back, text, n / 2), 0);
	assert_int_not_equal(lmm_cell_parse(&back, "{}", 2), 0);
	for (size_t i = 0; i < n; i++) {
		char was = text[i];

		text[i] ^= 1 << i % 7;
		(void)lmm_cell_parse(&back, text, n);
		text[i] = was;
	}
	free(text);
	free(again);
	lmm_study_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent),	  cmocka_unit_test(test_effect),
		cmocka_unit_test(test_dominance), cmocka_unit_test(test_matmul),
		cmocka_unit_test(test_idle),	  cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_drift),	  cmocka_unit_test(test_event),
		cmocka_unit_test(test_refusals),  cmocka_unit_test(test_shifts),
		cmocka_unit_test(test_remarks),	  cmocka_unit_test(test_mbu),
		cmocka_unit_test(test_quality),	  cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_fallback),  cmocka_unit_test(test_worth),
		cmocka_unit_test(test_cell_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
