/* SPDX-License-Identifier: Apache-2.0 */
/* Requests out of hand-written events. Expected figures are sums of the stamps in the script above them. */
#include "tape.h"

/* One decode step with sampling and detokenize, as llama-completion makes it: 1000 ns in all, of which 40 are nobody's. */
static void completion_step(struct tape *p, uint64_t t, uint32_t step, uint32_t call)
{
	tape_idle(p, t, t + 40, step - 1);
	tape_in(p, t + 40, LMM_PHASE_DECODE, step, LMM_SEQ_NONE);
	tape_step(p, t + 41, LMM_PHASE_DECODE, step, 1, 1, 0, call);
	tape_span(p, t + 700, t + 740, LMM_PHASE_COPY_TO_CPU, step, LMM_SEQ_NONE);
	tape_out(p, t + 750, LMM_PHASE_DECODE, step, LMM_SEQ_NONE);
	tape_in(p, t + 750, LMM_PHASE_SAMPLING, step, LMM_SEQ_NONE);
	tape_span(p, t + 800, t + 850, LMM_PHASE_SOFTMAX, step, LMM_SEQ_NONE);
	tape_token(p, t + 900, step, LMM_SEQ_NONE);
	tape_out(p, t + 920, LMM_PHASE_SAMPLING, step, LMM_SEQ_NONE);
	tape_span(p, t + 920, t + 1000, LMM_PHASE_DETOKENIZE, step, LMM_SEQ_NONE);
}

/* load, warm-up, tokenize 6 tokens, prefill, 1 + 4 tokens; no positions, no sequences */
static void completion_make(struct tape *p)
{
	tape_begin(p, "llama-completion", 0);
	tape_span(p, 10000, 20000, LMM_PHASE_MODEL_LOAD, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, 20001, LMM_PHASE_MODEL_LOAD, 777, 5 | 2ull << 32);
	tape_hint(p, 20500, LMM_HINT_CONTEXT_NEW, LMM_SEQ_NONE, 0, 0);
	/* warm-up that only PERF_RESET tells of */
	tape_in(p, 21000, LMM_PHASE_PREFILL, 0, LMM_SEQ_NONE);
	tape_step(p, 21001, LMM_PHASE_PREFILL, 0, 2, 1, 0, 1);
	tape_out(p, 22000, LMM_PHASE_PREFILL, 0, LMM_SEQ_NONE);
	tape_hint(p, 22100, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 0, 0);
	tape_hint(p, 22200, LMM_HINT_PERF_RESET, LMM_SEQ_NONE, 0, 0);
	tape_idle(p, 22000, 30000, 0);
	/* the prompt; the first call finds its buffer too small; another text is tokenized behind it */
	tape_span(p, 30000, 30050, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_idle(p, 30050, 30100, LMM_STEP_NONE);
	tape_span(p, 30100, 30200, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, 30201, LMM_PHASE_TOKENIZE, 6, 0);
	tape_idle(p, 30200, 30300, LMM_STEP_NONE);
	tape_span(p, 30300, 30310, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, 30311, LMM_PHASE_TOKENIZE, 1, 0);
	tape_idle(p, 30310, 30400, LMM_STEP_NONE);
	/* prefill 30400 … 40000, first token 40180, detokenize … 40250 */
	tape_in(p, 30400, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(p, 30401, LMM_PHASE_PREFILL, 1, 6, 1, 0, 2);
	tape_span(p, 39000, 39100, LMM_PHASE_COPY_TO_CPU, 1, LMM_SEQ_NONE);
	tape_out(p, 40000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_in(p, 40000, LMM_PHASE_SAMPLING, 1, LMM_SEQ_NONE);
	tape_token(p, 40180, 1, LMM_SEQ_NONE);
	tape_out(p, 40200, LMM_PHASE_SAMPLING, 1, LMM_SEQ_NONE);
	tape_span(p, 40200, 40250, LMM_PHASE_DETOKENIZE, 1, LMM_SEQ_NONE);
	for (uint32_t i = 0; i < 4; i++)
		completion_step(p, 40250 + 1000 * i, 2 + i, 3 + i);
	tape_idle(p, 44250, 50000, 5);
	tape_end(p, 50000);
}

static void test_completion_request(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	completion_make(&p);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	assert_int_equal(r->requests_total, 1);
	assert_int_equal(r->warmup_requests, 1);
	q = &r->requests[0];
	assert_int_equal(q->id, 1);
	assert_int_equal(q->complete, 1);
	assert_int_equal(q->prompt_tokens, 6);
	assert_int_equal(q->cached_tokens, 0);
	assert_int_equal(q->output_tokens, 5);
	assert_int_equal(q->prefill_steps, 1);
	assert_int_equal(q->decode_steps, 4);
	assert_ns(q->start_ns, 30100);
	assert_ns(q->wall_ns, 44250 - 30100);
	assert_ns(q->ttft_ns, 40180 - 30100);
	/* tokens at 40180, then 41150, 42150, … */
	assert_ns(q->tpot_ns, (44150 - 40180) / 4.0);
	assert_ns(request_phase(q, LMM_PHASE_TOKENIZE), 100 + 10);
	assert_ns(request_phase(q, LMM_PHASE_PREFILL), 9600 - 100);
	assert_ns(request_phase(q, LMM_PHASE_COPY_TO_CPU), 100 + 4 * 40);
	assert_ns(request_phase(q, LMM_PHASE_DECODE), 4 * (710 - 40));
	assert_ns(request_phase(q, LMM_PHASE_SAMPLING), 200 + 4 * (170 - 50));
	assert_ns(request_phase(q, LMM_PHASE_SOFTMAX), 4 * 50);
	assert_ns(request_phase(q, LMM_PHASE_DETOKENIZE), 50 + 4 * 80);
	assert_ns(q->unaccounted_ns, 100 + 90 + 4 * 40);
	assert_ns(request_sum(q), q->wall_ns);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_completion_totals(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	completion_make(&p);
	r = tape_result(&p);
	/* warm-up is not in it, what lies outside requests is not unaccounted */
	assert_int_equal(r->steps.prefill.count, 1);
	assert_int_equal(r->steps.decode.count, 4);
	assert_int_equal(r->steps.warmup_steps, 1);
	assert_int_equal(r->steps.prefill_tokens, 6);
	assert_int_equal(r->steps.decode_tokens, 4);
	assert_ns(r->steps.prefill.total_ns, 9600);
	assert_ns(r->steps.decode.total_ns, 4 * 710);
	assert_ns(phase_total(r, LMM_PHASE_PREFILL), 9500);
	assert_ns(result_phase(r, LMM_PHASE_PREFILL)->host_ns, 9600);
	assert_ns(phase_total(r, LMM_PHASE_MODEL_LOAD), 10000);
	assert_true(result_phase(r, LMM_PHASE_MODEL_LOAD)->share_percent < 0);
	assert_ns(phase_total(r, LMM_PHASE_UNACCOUNTED), 100 + 90 + 4 * 40);
	assert_int_equal(result_phase(r, LMM_PHASE_UNACCOUNTED)->stats.count, 6);
	assert_int_equal(r->phases[r->n_phases - 1].phase, LMM_PHASE_UNACCOUNTED);
	assert_null(result_phase(r, LMM_PHASE_WAITING));
	assert_int_equal(r->itl.count, 4);
	assert_ns(r->itl.min_ns, 970);
	assert_ns(r->itl.max_ns, 1000);
	assert_int_equal(r->ttft.count, 1);
	assert_int_equal(r->records.invalid, 0);
	/* context when each decode began: 6, 7, 8, 9 positions */
	assert_int_equal(r->steps.n_bins, 1);
	assert_int_equal(r->steps.bins[0].stats.count, 4);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Sums are made of intervals: when one is widened, they must not agree with the wall any more. */
static void test_overlap_is_not_hidden(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	size_t widened = 0;

	(void)state;
	completion_make(&p);
	for (size_t i = 0; i < p.n; i++) {
		struct lmm_event *e = &p.entries[i].ev;

		if (e->type == LMM_EV_UNACCOUNTED && e->t == 42250) {
			e->t -= 500; /* as if it had begun while the step before still ran */
			widened++;
		}
	}
	assert_int_equal(widened, 1);
	r = tape_result(&p);
	assert_ns(request_sum(&r->requests[0]), r->requests[0].wall_ns + 500);
	lmm_result_destroy(r);
	tape_free(&p);

	memset(&p, 0, sizeof(p));
	completion_make(&p);
	for (size_t i = 0; i < p.n; i++) {
		struct lmm_event *e = &p.entries[i].ev;

		if (e->type == LMM_EV_PHASE_END && e->phase == LMM_PHASE_SAMPLING && e->t == 42170)
			e->t += 30; /* ends after its follower has begun */
	}
	r = tape_result(&p);
	assert_ns(request_sum(&r->requests[0]), r->requests[0].wall_ns + 30);
	assert_int_equal(r->records.invalid, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_request),
		cmocka_unit_test(test_completion_totals),
		cmocka_unit_test(test_overlap_is_not_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
