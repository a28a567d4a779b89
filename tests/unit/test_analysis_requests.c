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
	/* positions filled for a token, its own with them: of the prompt 1 … 6, then 7 … 10 */
	assert_true(r->steps.prefill_positions == 3.5);
	assert_true(r->steps.decode_positions == 8.5);
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

/*
 * llama-completion as it was seen: the wait for a pass is a second bracket of it (and one for the warm-up comes behind the
 * memory was cleared), the prompt is fed to the samplers and printed before its first step.
 */
static void test_pass_in_two_brackets(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	tape_begin(&p, "llama-completion", 0);
	tape_span(&p, 21000, 21000, LMM_PHASE_CONTEXT_INIT, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_in(&p, 21000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 21001, LMM_PHASE_PREFILL, 1, 2, 1, 1, 1);
	tape_out(&p, 22000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_hint(&p, 22010, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 1, 0);
	tape_idle(&p, 22000, 22020, 1);
	tape_span(&p, 22020, 22030, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_hint(&p, 22040, LMM_HINT_PERF_RESET, LMM_SEQ_NONE, 1, 0);
	tape_span(&p, 30000, 30100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(&p, 30100, LMM_PHASE_TOKENIZE, 4, 0);
	tape_idle(&p, 30100, 30150, 1);
	tape_span(&p, 30150, 30160, LMM_PHASE_SAMPLING, 1, LMM_SEQ_NONE);
	tape_span(&p, 30160, 30180, LMM_PHASE_DETOKENIZE, 1, LMM_SEQ_NONE);
	tape_idle(&p, 30180, 30200, 1);
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t t = 30200 + 1000 * i;
		unsigned phase = i ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL;

		tape_in(&p, t, phase, 2 + i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, phase, 2 + i, i ? 1 : 4, 1, 1, 2 + i);
		tape_out(&p, t + 800, phase, 2 + i, LMM_SEQ_NONE);
		tape_idle(&p, t + 800, t + 805, 2 + i);
		tape_span(&p, t + 805, t + 825, phase, 2 + i, LMM_SEQ_NONE);
		tape_in(&p, t + 825, LMM_PHASE_SAMPLING, 2 + i, LMM_SEQ_NONE);
		tape_token(&p, t + 900, 2 + i, LMM_SEQ_NONE);
		tape_out(&p, t + 900, LMM_PHASE_SAMPLING, 2 + i, LMM_SEQ_NONE);
		tape_span(&p, t + 900, t + 1000, LMM_PHASE_DETOKENIZE, 2 + i, LMM_SEQ_NONE);
	}
	tape_end(&p, 40000);
	r = tape_result(&p);
	assert_int_equal(r->warmup_requests, 1);
	assert_int_equal(r->steps.warmup_steps, 1);
	assert_int_equal(r->requests_total, 1);
	/* one value per pass */
	assert_int_equal(result_phase(r, LMM_PHASE_PREFILL)->stats.count, 1);
	assert_int_equal(result_phase(r, LMM_PHASE_DECODE)->stats.count, 2);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->stats.min_ns, 820);
	assert_int_equal(r->steps.decode.count, 2);
	assert_ns(r->steps.decode.total_ns, 2 * 820);
	assert_ns(r->steps.prefill.total_ns, 820);
	q = &r->requests[0];
	assert_int_equal(q->prefill_steps, 1);
	assert_int_equal(q->decode_steps, 2);
	assert_ns(request_phase(q, LMM_PHASE_SAMPLING), 10 + 3 * 75);
	assert_ns(request_phase(q, LMM_PHASE_DETOKENIZE), 20 + 3 * 100);
	assert_ns(request_phase(q, LMM_PHASE_WAITING), 0);
	assert_ns(q->unaccounted_ns, 50 + 20 + 3 * 5);
	assert_ns(q->wall_ns, 3200);
	assert_ns(request_sum(q), q->wall_ns);
	for (size_t i = 0; i < q->n_phases; i++)
		if (q->phases[i].phase == LMM_PHASE_DECODE)
			assert_int_equal(q->phases[i].count, 2);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* ---- prompts in pieces -------------------------------------------------------------------------- */

/* 20 tokens: a call of 12 in two passes, then one of 8; no token is chosen before the end of the second. */
static void test_chunked_prefill(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_span(&p, 10000, 10100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(&p, 10100, LMM_PHASE_TOKENIZE, 20, 0);
	tape_in(&p, 10100, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 10101, LMM_PHASE_PREFILL, 1, 12, 0, 0, 1);
	tape_seq(&p, 10102, 1, 0, 12, 0, 0);
	tape_out(&p, 11000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_in(&p, 11000, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_step(&p, 11001, LMM_PHASE_PREFILL, 2, 0, 0, 0, 1);
	tape_out(&p, 12000, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_idle(&p, 12000, 12010, 2);
	tape_in(&p, 12010, LMM_PHASE_PREFILL, 3, LMM_SEQ_NONE);
	tape_step(&p, 12011, LMM_PHASE_PREFILL, 3, 8, 1, 0, 2);
	tape_seq(&p, 12012, 3, 0, 8, 1, 12);
	tape_out(&p, 13000, LMM_PHASE_PREFILL, 3, LMM_SEQ_NONE);
	tape_in(&p, 13000, LMM_PHASE_SAMPLING, 3, 0);
	tape_token(&p, 13020, 3, 0);
	tape_out(&p, 13030, LMM_PHASE_SAMPLING, 3, 0);
	tape_in(&p, 13030, LMM_PHASE_DECODE, 4, LMM_SEQ_NONE);
	tape_step(&p, 13031, LMM_PHASE_DECODE, 4, 1, 1, 0, 3);
	tape_seq(&p, 13032, 4, 0, 1, 1, 20);
	tape_out(&p, 13100, LMM_PHASE_DECODE, 4, LMM_SEQ_NONE);
	tape_in(&p, 13100, LMM_PHASE_SAMPLING, 4, 0);
	tape_token(&p, 13120, 4, 0);
	tape_out(&p, 13130, LMM_PHASE_SAMPLING, 4, 0);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	q = &r->requests[0];
	assert_int_equal(q->prompt_tokens, 20);
	assert_int_equal(q->prefill_steps, 3);
	assert_int_equal(q->decode_steps, 1);
	assert_int_equal(q->output_tokens, 2);
	assert_ns(q->start_ns, 10000);
	assert_ns(q->ttft_ns, 3020);
	/* no detokenize: it ends with its last token */
	assert_ns(q->wall_ns, 3120);
	assert_ns(request_phase(q, LMM_PHASE_PREFILL), 900 + 1000 + 990);
	assert_ns(request_phase(q, LMM_PHASE_SAMPLING), 30 + 20);
	assert_ns(request_sum(q), q->wall_ns);
	assert_int_equal(r->steps.prefill.count, 3);
	assert_int_equal(r->steps.prefill_tokens, 20);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A second turn: its first position says what was in the cache; SEQ_RM takes back what did not fit. */
static void test_prompt_cache(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_in(&p, 10000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 10001, LMM_PHASE_PREFILL, 1, 10, 1, 0, 1);
	tape_seq(&p, 10002, 1, 0, 10, 1, 0);
	tape_out(&p, 11000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_token(&p, 11010, 1, 0);
	/* continues at 10: more than one token, fewer outputs than tokens */
	tape_in(&p, 12000, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_step(&p, 12001, LMM_PHASE_PREFILL, 2, 5, 1, 0, 2);
	tape_seq(&p, 12002, 2, 0, 5, 1, 10);
	tape_out(&p, 13000, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_token(&p, 13010, 2, 0);
	/* the same prompt again: all but its last token are there */
	tape_hint(&p, 13500, LMM_HINT_SEQ_RM, 0, 0, 14);
	tape_in(&p, 14000, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_step(&p, 14001, LMM_PHASE_DECODE, 3, 1, 1, 0, 3);
	tape_seq(&p, 14002, 3, 0, 1, 1, 14);
	tape_out(&p, 15000, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_token(&p, 15010, 3, 0);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 3);
	assert_int_equal(r->requests[0].prompt_tokens, 10);
	assert_int_equal(r->requests[0].cached_tokens, 0);
	assert_int_equal(r->requests[1].prompt_tokens, 15);
	assert_int_equal(r->requests[1].cached_tokens, 10);
	assert_int_equal(r->requests[2].prompt_tokens, 15);
	assert_int_equal(r->requests[2].cached_tokens, 14);
	/* what is a decode for the engine is this request's prefill */
	assert_int_equal(r->requests[2].prefill_steps, 1);
	assert_ns(request_phase(&r->requests[2], LMM_PHASE_PREFILL), 1000);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 1000);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void pass(struct tape *p, uint64_t t, unsigned phase, uint32_t step, uint32_t tokens,
		 uint64_t position)
{
	tape_in(p, t, phase, step, LMM_SEQ_NONE);
	tape_step(p, t + 1, phase, step, tokens, 1, 0, step);
	tape_seq(p, t + 2, step, 0, tokens, 1, position);
	tape_out(p, t + 500, phase, step, LMM_SEQ_NONE);
	tape_token(p, t + 600, step, 0);
}

static void pass_begun(struct tape *p, uint32_t stream, uint64_t t, uint32_t step, uint32_t tokens,
		       uint64_t position)
{
	unsigned phase = tokens > 1 ? LMM_PHASE_PREFILL : LMM_PHASE_DECODE;

	p->stream = stream;
	tape_in(p, t, phase, step, LMM_SEQ_NONE);
	tape_step(p, t + 1, phase, step, tokens, 1, 0, step);
	tape_seq(p, t + 2, step, 0, tokens, 1, position);
	tape_out(p, t + 500, phase, step, LMM_SEQ_NONE);
}

/* Two processes are at steps whose numbers lie so apart that they fall together: neither loses its token. */
static void test_steps_side_by_side(void **state)
{
	(void)state;
	for (uint32_t apart = 0; apart < 256; apart++) {
		struct tape p = { 0 };
		struct lmm_result *r;

		tape_begin(&p, "engine", 0);
		tape_process(&p, 1, "engine", 0);
		tape_stream(&p, 2, 1);
		pass_begun(&p, 0, 8000, 1 + apart, 4, 0);
		tape_token(&p, 8600, 1 + apart, 0);
		pass_begun(&p, 2, 9000, 1, 4, 0);
		tape_token(&p, 9600, 1, 0);
		pass_begun(&p, 0, 10000, 2 + apart, 1, 4);
		pass_begun(&p, 2, 10600, 2, 1, 4);
		p.stream = 0;
		tape_token(&p, 11200, 2 + apart, 0);
		p.stream = 2;
		tape_token(&p, 11300, 2, 0);
		tape_end(&p, 12000);
		r = tape_result(&p);
		assert_int_equal(r->n_requests, 2);
		assert_int_equal(r->requests[0].output_tokens, 2);
		assert_int_equal(r->requests[1].output_tokens, 2);
		lmm_result_destroy(r);
		tape_free(&p);
	}
}

/* A prompt for which there is no room is tried again in halves: what was refused has no tokens, and is no step of the request. */
static void test_no_room(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_in(&p, 10000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 10001, LMM_PHASE_PREFILL, 1, 6, 1, 0, 1);
	tape_seq(&p, 10002, 1, 0, 6, 1, 0);
	tape_out(&p, 10500, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_hint(&p, 10510, LMM_HINT_NO_ROOM, LMM_SEQ_NONE, 0, 1);
	tape_in(&p, 11000, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_step(&p, 11001, LMM_PHASE_PREFILL, 2, 3, 0, 0, 2);
	tape_seq(&p, 11002, 2, 0, 3, 0, 0);
	tape_out(&p, 11500, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	pass(&p, 12000, LMM_PHASE_PREFILL, 3, 3, 3);
	pass(&p, 13000, LMM_PHASE_DECODE, 4, 1, 6);
	tape_in(&p, 14000, LMM_PHASE_DECODE, 5, LMM_SEQ_NONE);
	tape_step(&p, 14001, LMM_PHASE_DECODE, 5, 1, 1, 0, 5);
	tape_seq(&p, 14002, 5, 0, 1, 1, 7);
	tape_out(&p, 14200, LMM_PHASE_DECODE, 5, LMM_SEQ_NONE);
	tape_hint(&p, 14210, LMM_HINT_NO_ROOM, LMM_SEQ_NONE, 0, 5);
	tape_end(&p, 15000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	assert_int_equal(r->requests[0].prompt_tokens, 6);
	assert_int_equal(r->requests[0].cached_tokens, 0);
	assert_int_equal(r->requests[0].output_tokens, 2);
	assert_int_equal(r->requests[0].prefill_steps, 2);
	assert_int_equal(r->requests[0].decode_steps, 1);
	assert_int_equal(r->requests[0].context_refusals, 2);
	assert_int_equal(r->context_refusals.count, 2);
	assert_ns(r->context_refusals.total_ns, 510 + 210);
	assert_int_equal(r->steps.prefill_tokens, 6);
	assert_int_equal(r->steps.decode_tokens, 1);
	assert_int_equal(r->steps.prefill.count, 2);
	assert_int_equal(r->steps.decode.count, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* One goes on where another's prompt begins: refused together, and neither has what it would have had. */
static void test_no_room_for_two(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	pass(&p, 10000, LMM_PHASE_PREFILL, 1, 4, 0);
	pass(&p, 11000, LMM_PHASE_DECODE, 2, 1, 4);
	tape_in(&p, 12000, LMM_PHASE_PREFILL, 3, LMM_SEQ_NONE);
	tape_step(&p, 12001, LMM_PHASE_PREFILL, 3, 6, 2, 0, 3);
	tape_seq(&p, 12002, 3, 0, 1, 1, 5);
	tape_seq(&p, 12003, 3, 1, 5, 1, 0);
	tape_out(&p, 12300, LMM_PHASE_PREFILL, 3, LMM_SEQ_NONE);
	tape_hint(&p, 12310, LMM_HINT_NO_ROOM, LMM_SEQ_NONE, 0, 3);
	tape_hint(&p, 12320, LMM_HINT_NO_ROOM, LMM_SEQ_NONE, 0, 77); /* of no step */
	pass(&p, 13000, LMM_PHASE_DECODE, 4, 1, 5);
	/* it is given up; what comes to its place is another one */
	tape_hint(&p, 14000, LMM_HINT_SEQ_RM, 1, 0, 0);
	tape_in(&p, 16000, LMM_PHASE_PREFILL, 5, LMM_SEQ_NONE);
	tape_step(&p, 16001, LMM_PHASE_PREFILL, 5, 7, 1, 0, 5);
	tape_seq(&p, 16002, 5, 1, 7, 1, 0);
	tape_out(&p, 16500, LMM_PHASE_PREFILL, 5, LMM_SEQ_NONE);
	tape_token(&p, 16600, 5, 1);
	tape_end(&p, 18000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 3);
	assert_int_equal(r->requests[0].prompt_tokens, 4);
	assert_int_equal(r->requests[0].output_tokens, 3);
	assert_int_equal(r->requests[0].prefill_steps, 1);
	assert_int_equal(r->requests[0].decode_steps, 2);
	assert_int_equal(r->requests[1].prompt_tokens, 0);
	assert_int_equal(r->requests[1].output_tokens, 0);
	assert_int_equal(r->requests[1].prefill_steps, 0);
	assert_int_equal(r->requests[1].complete, 0);
	assert_int_equal(r->requests[2].prompt_tokens, 7);
	assert_int_equal(r->requests[2].output_tokens, 1);
	assert_ns(r->requests[2].ttft_ns, 600);
	assert_int_equal(r->context_refusals.count, 2);
	assert_int_equal(r->steps.prefill_tokens, 11);
	assert_int_equal(r->steps.decode_tokens, 2);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A full context makes room: the request goes on, and the token behind that took longer. Before its first token it is no shift. */
static void test_context_shift(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "engine", 0);
	pass(&p, t, LMM_PHASE_PREFILL, 1, 6, 0);
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t shifted = i > 4 ? 4 : 0;

		t += 1000;
		if (i == 5) {
			tape_hint(&p, t - 100, LMM_HINT_SEQ_SHIFT, 0, 0, 4);
			t += 700;
		}
		pass(&p, t, LMM_PHASE_DECODE, 2 + i, 1, 6 + i - shifted);
	}
	tape_hint(&p, t + 1000, LMM_HINT_SEQ_RM, 0, 0, 0);
	tape_hint(&p, t + 1100, LMM_HINT_SEQ_SHIFT, 0, 0, 2);
	pass(&p, t + 2000, LMM_PHASE_PREFILL, 20, 6, 0);
	tape_hint(&p, t + 2900, LMM_HINT_SEQ_SHIFT, 0, 1, 2); /* of another sequence */
	pass(&p, t + 3000, LMM_PHASE_DECODE, 21, 1, 6);
	tape_end(&p, t + 5000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 2);
	assert_int_equal(r->requests[0].output_tokens, 11);
	assert_int_equal(r->requests[0].prompt_tokens, 6);
	assert_int_equal(r->requests[0].context_shifts, 1);
	assert_int_equal(r->requests[1].context_shifts, 0);
	assert_int_equal(r->context_shifts.count, 1);
	assert_int_equal(r->context_shifts.tokens, 1);
	assert_ns(r->context_shifts.total_ns, 1700);
	/* the median is of a histogram */
	assert_true(r->context_shifts.more_ns > 680 && r->context_shifts.more_ns < 720);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* The same without positions: they are counted. */
static void test_counted_positions(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t t = 10000 + 1000 * i;
		uint64_t tokens = i == 1 ? 1 : 6;

		if (i == 2)
			tape_hint(&p, t - 10, LMM_HINT_SEQ_RM, 0, 0, 4); /* it has one */
		tape_in(&p, t, LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, LMM_PHASE_PREFILL, i, tokens, 1, 0, i);
		tape_out(&p, t + 500, LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
		tape_token(&p, t + 500, i, LMM_SEQ_NONE);
	}
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 2);
	assert_int_equal(r->requests[0].output_tokens, 2);
	assert_int_equal(r->requests[1].cached_tokens, 4);
	assert_int_equal(r->requests[1].prompt_tokens, 10);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* ---- a server ----------------------------------------------------------------------------------- */

/*
 * Two slots. A: tokenized on the engine's thread's neighbour at 10000 … 10100, runs from 10500. B: tokenized 11000 … 11100,
 * waits, is prefilled in the step that also decodes A, then both decode together. Stream 0 is the engine's.
 */
static void server_make(struct tape *p, int is_late)
{
	tape_begin(p, "llama-server", 0);
	if (!is_late) {
		p->stream = 1;
		tape_span(p, 10000, 10100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
		tape_count(p, 10100, LMM_PHASE_TOKENIZE, 10, 0);
		tape_span(p, 11000, 11100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
		tape_count(p, 11100, LMM_PHASE_TOKENIZE, 8, 0);
		p->stream = 0;
	}
	tape_idle(p, 5000, 10500, LMM_STEP_NONE);
	tape_in(p, 10500, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(p, 10501, LMM_PHASE_PREFILL, 1, 10, 1, 0, 1);
	tape_seq(p, 10502, 1, 0, 10, 1, 0);
	tape_out(p, 12000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_in(p, 12000, LMM_PHASE_SAMPLING, 1, 0);
	tape_token(p, 12050, 1, 0);
	tape_out(p, 12060, LMM_PHASE_SAMPLING, 1, 0);
	tape_span(p, 12060, 12080, LMM_PHASE_DETOKENIZE, 1, 0);
	tape_idle(p, 12080, 12100, 1);
	/* shared: decode of A, prefill of B */
	tape_in(p, 12100, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_step(p, 12101, LMM_PHASE_PREFILL, 2, 9, 2, 0, 2);
	tape_seq(p, 12102, 2, 0, 1, 1, 10);
	tape_seq(p, 12102, 2, 1, 8, 1, 0);
	tape_out(p, 13100, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_in(p, 13100, LMM_PHASE_SAMPLING, 2, 0);
	tape_token(p, 13120, 2, 0);
	tape_out(p, 13130, LMM_PHASE_SAMPLING, 2, 0);
	tape_in(p, 13130, LMM_PHASE_SAMPLING, 2, 1);
	tape_token(p, 13170, 2, 1);
	tape_out(p, 13180, LMM_PHASE_SAMPLING, 2, 1);
	tape_span(p, 13180, 13190, LMM_PHASE_DETOKENIZE, 2, 0);
	tape_span(p, 13190, 13210, LMM_PHASE_DETOKENIZE, 2, 1);
	tape_idle(p, 13210, 13250, 2);
	tape_in(p, 13250, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_step(p, 13251, LMM_PHASE_DECODE, 3, 2, 2, 0, 3);
	tape_seq(p, 13252, 3, 0, 1, 1, 11);
	tape_seq(p, 13252, 3, 1, 1, 1, 8);
	tape_out(p, 13750, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_in(p, 13750, LMM_PHASE_SAMPLING, 3, 0);
	tape_token(p, 13770, 3, 0);
	tape_out(p, 13780, LMM_PHASE_SAMPLING, 3, 0);
	tape_in(p, 13780, LMM_PHASE_SAMPLING, 3, 1);
	tape_token(p, 13800, 3, 1);
	tape_out(p, 13820, LMM_PHASE_SAMPLING, 3, 1);
	tape_span(p, 13820, 13840, LMM_PHASE_DETOKENIZE, 3, 0);
	tape_span(p, 13840, 13870, LMM_PHASE_DETOKENIZE, 3, 1);
	tape_idle(p, 13870, 40000, 3);
	if (is_late) {
		/* the other thread's batch comes when all is over */
		p->stream = 1;
		tape_span(p, 10000, 10100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
		tape_count(p, 10100, LMM_PHASE_TOKENIZE, 10, 0);
		tape_span(p, 11000, 11100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
		tape_count(p, 11100, LMM_PHASE_TOKENIZE, 8, 0);
	}
	tape_end(p, 40000);
}

static void test_server(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *a, *b;

	(void)state;
	server_make(&p, 0);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 2);
	a = &r->requests[0];
	b = &r->requests[1];
	assert_int_equal(a->seq, 0);
	assert_int_equal(b->seq, 1);

	assert_ns(a->start_ns, 10000);
	assert_ns(a->wall_ns, 13840 - 10000);
	assert_int_equal(a->output_tokens, 3);
	assert_ns(a->ttft_ns, 2050);
	assert_ns(request_phase(a, LMM_PHASE_TOKENIZE), 100);
	assert_ns(request_phase(a, LMM_PHASE_PREFILL), 1500);
	assert_ns(request_phase(a, LMM_PHASE_DECODE), 1000 + 500);
	assert_ns(request_phase(a, LMM_PHASE_SAMPLING), 60 + 30 + 30);
	assert_ns(request_phase(a, LMM_PHASE_DETOKENIZE), 20 + 10 + 20);
	/* from its tokenize to its first step; B's sampling and detokenize */
	assert_ns(request_phase(a, LMM_PHASE_WAITING), 400 + 50 + 20 + 40);
	assert_ns(a->unaccounted_ns, 20 + 40);
	assert_ns(request_sum(a), a->wall_ns);
	assert_int_equal(a->prefill_steps, 1);
	assert_int_equal(a->decode_steps, 2);

	assert_ns(b->start_ns, 11000);
	assert_ns(b->wall_ns, 13870 - 11000);
	assert_int_equal(b->prompt_tokens, 8);
	assert_ns(b->ttft_ns, 13170 - 11000);
	assert_ns(request_phase(b, LMM_PHASE_WAITING), 1000 + 30 + 10 + 30 + 20);
	assert_ns(request_phase(b, LMM_PHASE_PREFILL), 1000);
	assert_ns(request_phase(b, LMM_PHASE_DECODE), 500);
	assert_ns(b->unaccounted_ns, 40);
	assert_ns(request_sum(b), b->wall_ns);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_server_totals(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	server_make(&p, 0);
	r = tape_result(&p);
	/* a shared step is once in the totals, an interval that both did not account for as well */
	assert_ns(phase_total(r, LMM_PHASE_PREFILL), 1500 + 1000);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 500);
	assert_ns(phase_total(r, LMM_PHASE_UNACCOUNTED), 20 + 40);
	assert_int_equal(result_phase(r, LMM_PHASE_UNACCOUNTED)->stats.count, 2);
	assert_int_equal(result_phase(r, LMM_PHASE_WAITING)->stats.count, 2);
	assert_ns(phase_total(r, LMM_PHASE_WAITING), 510 + 1090);
	assert_true(result_phase(r, LMM_PHASE_WAITING)->share_percent < 0);
	/* 5 tokens while any request ran: 10000 … 13870 */
	assert_ns(r->output_tokens_per_second, 5 / 3870e-9);
	assert_int_equal(r->itl.count, 3);
	assert_int_equal(r->steps.n_bins, 0); /* no step of one sequence alone was a decode */
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_late_batch(void **state)
{
	struct tape p = { 0 }, late = { 0 };
	struct lmm_result *r, *s;
	char *x, *y;

	(void)state;
	server_make(&p, 0);
	server_make(&late, 1);
	r = tape_result(&p);
	s = tape_result(&late);
	x = result_dump(r);
	y = result_dump(s);
	assert_string_equal(x, y);
	free(x);
	free(y);
	lmm_result_destroy(r);
	lmm_result_destroy(s);
	tape_free(&p);
	tape_free(&late);
}

/* Prompts of one length: each request takes the tokenize before its own first step; a cached prompt counts whole. */
static void test_which_tokenize(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "llama-server", 0);
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t t = 10000 + 1000 * i;

		p.stream = 1;
		tape_span(&p, t, t + 100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
		tape_count(&p, t + 100, LMM_PHASE_TOKENIZE, 8, 0);
		p.stream = 0;
		tape_in(&p, t + 500, LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
		tape_step(&p, t + 501, LMM_PHASE_PREFILL, i, i == 2 ? 3 : 8, 1, 0, i);
		tape_seq(&p, t + 502, i, i, i == 2 ? 3 : 8, 1, i == 2 ? 5 : 0);
		tape_out(&p, t + 900, LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
		tape_token(&p, t + 900, i, i);
	}
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(r->requests[i].seq, i);
		assert_ns(r->requests[i].start_ns, 10000 + 1000 * i);
		assert_ns(r->requests[i].ttft_ns, 900);
		assert_int_equal(r->requests[i].prompt_tokens, 8);
		assert_int_equal(r->requests[i].cached_tokens, i == 2 ? 5 : 0);
	}
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A slot that waits its turn between the chunks of its prompt. */
static void test_waits_for_its_turn(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	tape_begin(&p, "llama-server", 0);
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t t = 10000 + 1000 * i;
		unsigned seq = i == 1 || i == 2;

		tape_in(&p, t, LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, LMM_PHASE_PREFILL, i, 4, i >= 2, 0, i);
		tape_seq(&p, t + 1, i, seq, 4, i >= 2, i >= 2 ? 4 : 0);
		tape_out(&p, t + 900, LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
		tape_idle(&p, t + 900, t + 1000, i);
	}
	tape_token(&p, 14000, 3, 0);
	tape_end(&p, 20000);
	r = tape_result(&p);
	q = &r->requests[0];
	assert_int_equal(q->seq, 0);
	assert_ns(request_phase(q, LMM_PHASE_PREFILL), 1800);
	assert_ns(request_phase(q, LMM_PHASE_WAITING), 1800);
	assert_ns(q->unaccounted_ns, 400);
	assert_ns(request_sum(q), q->wall_ns);
	assert_ns(q->wall_ns, 4000);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Two threads take turns with the calls of one request, as a thread pool does. */
static void test_thread_pool(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	tape_begin(&p, "node", 0);
	for (int odd = 0; odd < 2; odd++) {
		p.stream = (uint32_t)odd;
		for (uint32_t i = (uint32_t)odd; i < 6; i += 2) {
			uint64_t t = 10000 + 1000 * i;

			tape_idle(&p, i >= 2 ? t - 1040 : 5000, t, i);
			tape_in(&p, t, i ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL, i, LMM_SEQ_NONE);
			tape_step(&p, t + 1, i ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL, i, i ? 1 : 7,
				  1, 0, i);
			tape_seq(&p, t + 1, i, 0, i ? 1 : 7, 1, i ? 6 + i : 0);
			tape_out(&p, t + 900, i ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL, i,
				 LMM_SEQ_NONE);
			tape_in(&p, t + 900, LMM_PHASE_SAMPLING, i, 0);
			tape_token(&p, t + 950, i, 0);
			tape_out(&p, t + 960, LMM_PHASE_SAMPLING, i, 0);
		}
	}
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	q = &r->requests[0];
	assert_int_equal(q->output_tokens, 6);
	assert_ns(q->wall_ns, 15950 - 10000);
	assert_ns(request_phase(q, LMM_PHASE_PREFILL), 900);
	assert_ns(request_phase(q, LMM_PHASE_DECODE), 5 * 900);
	/* between the threads: what lies between the phases of one and of the other */
	assert_ns(q->unaccounted_ns, 5 * 40);
	assert_ns(request_sum(q), q->wall_ns);
	assert_ns(r->itl.min_ns, 1000);
	assert_ns(r->itl.max_ns, 1000);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* ---- speculative decoding ----------------------------------------------------------------------- */

/* A draft model (context 1) proposes 3 tokens, the target checks them in one step; 2 are taken back. */
static void test_speculative(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_in(&p, 10000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 10001, LMM_PHASE_PREFILL, 1, 10, 1, 0, 1);
	tape_seq(&p, 10002, 1, 0, 10, 1, 0);
	tape_out(&p, 11000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_token(&p, 11000, 1, 0);
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t t = 11000 + 1000 * i;

		tape_in(&p, t, LMM_PHASE_DRAFT, 2 + 2 * i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, LMM_PHASE_DRAFT, 2 + 2 * i, 3, 3, 1, 10 + i);
		tape_seq(&p, t + 1, 2 + 2 * i, 0, 3, 3, 10 + 2 * i);
		tape_out(&p, t + 300, LMM_PHASE_DRAFT, 2 + 2 * i, LMM_SEQ_NONE);
		tape_token(&p, t + 300, 2 + 2 * i, 0); /* of the draft: not the request's */
		tape_in(&p, t + 300, LMM_PHASE_VERIFY, 3 + 2 * i, LMM_SEQ_NONE);
		tape_step(&p, t + 301, LMM_PHASE_VERIFY, 3 + 2 * i, 4, 4, 0, 20 + i);
		tape_seq(&p, t + 301, 3 + 2 * i, 0, 4, 4, 10 + 2 * i);
		tape_out(&p, t + 900, LMM_PHASE_VERIFY, 3 + 2 * i, LMM_SEQ_NONE);
		tape_in(&p, t + 900, LMM_PHASE_SAMPLING, 3 + 2 * i, 0);
		tape_token(&p, t + 920, 3 + 2 * i, 0);
		tape_token(&p, t + 940, 3 + 2 * i, 0);
		tape_out(&p, t + 1000, LMM_PHASE_SAMPLING, 3 + 2 * i, 0);
		tape_hint(&p, t + 1000, LMM_HINT_SEQ_RM, 0, 0, 12 + 2 * i);
	}
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	q = &r->requests[0];
	assert_int_equal(q->output_tokens, 1 + 4);
	assert_int_equal(q->prompt_tokens, 10);
	assert_ns(request_phase(q, LMM_PHASE_DRAFT), 600);
	assert_ns(request_phase(q, LMM_PHASE_VERIFY), 1200);
	assert_ns(request_phase(q, LMM_PHASE_SAMPLING), 100 + 40);
	assert_ns(request_sum(q), q->wall_ns);
	assert_ns(q->wall_ns, 2940);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* ---- warm-up ------------------------------------------------------------------------------------ */

static uint64_t bench_run(struct tape *p, uint64_t t, uint32_t *step, uint32_t context,
			  unsigned n_prompt, unsigned n_gen)
{
	tape_hint(p, t, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, context, 0);
	for (unsigned i = 0; i < n_gen + (n_prompt > 0); i++) {
		unsigned phase = n_prompt && i == 0 ? LMM_PHASE_PREFILL : LMM_PHASE_DECODE;

		tape_in(p, t, phase, *step, LMM_SEQ_NONE);
		tape_step(p, t + 1, phase, *step, phase == LMM_PHASE_PREFILL ? n_prompt : 1, 1,
			  context, *step);
		tape_out(p, t + 100, phase, *step, LMM_SEQ_NONE);
		tape_idle(p, t + 100, t + 110, *step);
		++*step;
		t += 110;
	}
	return t;
}

static void test_bench(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t step = 1;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "llama-bench", 0);
	for (uint32_t test = 0; test < 2; test++) {
		tape_hint(&p, t, LMM_HINT_CONTEXT_NEW, LMM_SEQ_NONE, 0, 0);
		/* the warm-up of a test of generation is one token */
		t = bench_run(&p, t, &step, 0, test ? 0 : 8, test ? 1 : 0);
		for (int i = 0; i < 2; i++)
			t = bench_run(&p, t, &step, 0, test ? 0 : 8, test ? 4 : 0);
		tape_hint(&p, t, LMM_HINT_CONTEXT_FREE, LMM_SEQ_NONE, 0, 0);
	}
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->warmup_requests, 2);
	assert_int_equal(r->requests_total, 4);
	assert_int_equal(r->steps.warmup_steps, 2);
	assert_int_equal(r->steps.prefill.count, 2);
	assert_int_equal(r->steps.decode.count, 8);
	assert_int_equal(r->steps.prefill_tokens, 16);
	/* it never samples: a step with outputs stands for a token */
	assert_int_equal(r->requests[0].prompt_tokens, 8);
	assert_int_equal(r->requests[0].output_tokens, 1);
	assert_ns(r->requests[0].ttft_ns, 100);
	assert_ns(r->requests[0].wall_ns, 100);
	assert_int_equal(r->requests[2].output_tokens, 4);
	assert_ns(r->requests[2].tpot_ns, 110);
	assert_ns(r->requests[2].wall_ns, 430);
	assert_ns(r->requests[2].unaccounted_ns, 30);
	assert_ns(request_sum(&r->requests[2]), 430);
	assert_int_equal(r->itl.count, 6);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A server turns each token into text on another thread: while that one waits for the next, the first is at work. */
static void test_another_thread_detokenizes(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "server", 0);
	for (uint32_t i = 0; i < 10; i++) {
		unsigned phase = i ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL;
		uint64_t t = 10000 + 1000 * i;

		p.stream = 0;
		if (i)
			tape_idle(&p, t - 250, t, i - 1);
		tape_in(&p, t, phase, i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, phase, i, i ? 1 : 4, 1, 1, i);
		tape_seq(&p, t + 2, i, 0, i ? 1 : 4, 1, i ? 3 + i : 0);
		tape_out(&p, t + 700, phase, i, LMM_SEQ_NONE);
		tape_in(&p, t + 700, LMM_PHASE_SAMPLING, i, 0);
		tape_token(&p, t + 740, i, 0);
		tape_out(&p, t + 750, LMM_PHASE_SAMPLING, i, 0);
		p.stream = 1;
		if (i)
			tape_idle(&p, t - 180, t + 800, i - 1);
		tape_span(&p, t + 800, t + 820, LMM_PHASE_DETOKENIZE, i, 0);
	}
	tape_end(&p, 30000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	assert_ns(request_sum(&r->requests[0]), r->requests[0].wall_ns);
	/* 50 before and 180 behind each detokenize */
	assert_ns(r->requests[0].unaccounted_ns, 10 * 50 + 9 * 180);
	assert_ns(phase_total(r, LMM_PHASE_UNACCOUNTED), 10 * 50 + 9 * 180);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Freed by another thread, whose events come before the last step's: that step is still the same request's. */
static void test_freed_before_its_last_step_came(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "node", 0);
	p.stream = 0;
	tape_hint(&p, 9000, LMM_HINT_CONTEXT_NEW, LMM_SEQ_NONE, 1, 0);
	for (uint32_t i = 0; i < 2; i++) {
		unsigned phase = i ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL;
		uint64_t t = 10000 + 1000 * i;

		if (i == 1) {
			p.stream = 1;
			tape_hint(&p, 12000, LMM_HINT_CONTEXT_FREE, LMM_SEQ_NONE, 1, 0);
			p.stream = 0;
		}
		tape_in(&p, t, phase, i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, phase, i, i ? 1 : 4, 1, 1, i);
		tape_seq(&p, t + 2, i, 0, i ? 1 : 4, 1, i ? 4 : 0);
		tape_out(&p, t + 500, phase, i, LMM_SEQ_NONE);
		tape_in(&p, t + 500, LMM_PHASE_SAMPLING, i, 0);
		tape_token(&p, t + 600, i, 0);
		tape_out(&p, t + 700, LMM_PHASE_SAMPLING, i, 0);
	}
	tape_end(&p, 13000);
	r = tape_result(&p);
	assert_int_equal(r->requests_total, 1);
	assert_int_equal(r->requests[0].prompt_tokens, 4);
	assert_int_equal(r->requests[0].output_tokens, 2);
	assert_int_equal(r->requests[0].decode_steps, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* In any other process two requests without a token are two requests. */
static void test_not_bench(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t step = 1;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "embedder", 0);
	for (int i = 0; i < 40; i++)
		t = bench_run(&p, t, &step, 0, 8, 0);
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->warmup_requests, 0);
	assert_int_equal(r->requests_total, 40);
	assert_int_equal(r->steps.prefill.count, 40);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_warmup_switch(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t step = 1;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "engine", 0);
	t = bench_run(&p, t, &step, 0, 3, 0);
	tape_token(&p, t, step - 1, LMM_SEQ_NONE);
	tape_hint(&p, t, LMM_HINT_WARMUP_ON, LMM_SEQ_NONE, 0, 0);
	t = bench_run(&p, t, &step, 0, 2, 2);
	tape_hint(&p, t, LMM_HINT_WARMUP_OFF, LMM_SEQ_NONE, 0, 0);
	t = bench_run(&p, t, &step, 0, 5, 0);
	tape_token(&p, t, step - 1, LMM_SEQ_NONE);
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->warmup_requests, 1);
	assert_int_equal(r->requests_total, 2);
	assert_int_equal(r->requests[1].prompt_tokens, 5);
	assert_int_equal(r->steps.warmup_steps, 3);
	assert_int_equal(r->steps.prefill.count, 2);
	assert_true(result_phase(r, LMM_PHASE_DECODE)->warmup_only);
	assert_false(result_phase(r, LMM_PHASE_PREFILL)->warmup_only);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* PERF_RESET behind a chosen token declares nothing a warm-up. */
static void test_late_perf_reset(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t step = 1;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "engine", 0);
	t = bench_run(&p, t, &step, 0, 3, 0);
	tape_token(&p, t, step - 1, LMM_SEQ_NONE);
	tape_hint(&p, t, LMM_HINT_PERF_RESET, LMM_SEQ_NONE, 0, 0);
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->warmup_requests, 0);
	assert_int_equal(r->requests_total, 1);
	assert_int_equal(r->steps.prefill.count, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* What was computed and cleared away before the first token was no request; one that still runs beside it is. */
static void test_cleared_away(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t step = 1;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "llama-server", 0);
	t = bench_run(&p, t, &step, 0, 3, 0);
	tape_hint(&p, t, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 0, 0);
	for (unsigned seq = 0; seq < 2; seq++) {
		/* sequence 0 is not through with its prompt when 1 gets its first token */
		tape_in(&p, t + 200 * seq, LMM_PHASE_PREFILL, step + seq, LMM_SEQ_NONE);
		tape_step(&p, t + 200 * seq, LMM_PHASE_PREFILL, step + seq, 9, seq, 0, step + seq);
		tape_seq(&p, t + 200 * seq, step + seq, seq, 9, seq, 0);
		tape_out(&p, t + 200 * seq + 200, LMM_PHASE_PREFILL, step + seq, LMM_SEQ_NONE);
	}
	tape_token(&p, t + 400, step + 1, 1);
	tape_end(&p, t + 500);
	r = tape_result(&p);
	assert_int_equal(r->warmup_requests, 1);
	assert_int_equal(r->steps.warmup_steps, 1);
	assert_int_equal(r->requests_total, 2);
	assert_int_equal(r->steps.prefill.count, 2);
	assert_int_equal(r->requests[0].seq, 0);
	assert_int_equal(r->requests[0].output_tokens, 0);
	assert_true(r->requests[0].ttft_ns < 0);
	assert_int_equal(r->requests[1].output_tokens, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* ---- broken recordings -------------------------------------------------------------------------- */

static void test_cut_session(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	size_t n;

	(void)state;
	completion_make(&p);
	n = p.n;
	/* cut anywhere: what is there is counted, nothing breaks, nothing is taken for complete */
	for (p.n = 10; p.n < n - 2; p.n++) {
		r = tape_result(&p);
		assert_int_equal(r->complete, 0);
		assert_int_equal(r->records.invalid, 0);
		assert_true(r->n_requests <= 1);
		if (r->n_requests) {
			/* the warm-up was complete before anything declared it one */
			if (r->requests[0].start_ns >= 30000)
				assert_int_equal(r->requests[0].complete, 0);
			assert_true(request_sum(&r->requests[0]) <= r->requests[0].wall_ns + 1e-6);
		}
		lmm_result_destroy(r);
	}
	tape_free(&p);
}

static void test_lost_phases(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_in(&p, 10000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 10001, LMM_PHASE_PREFILL, 1, 10, 1, 0, 1);
	tape_out(&p, 11000, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_in(&p, 11000, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, 11001, LMM_PHASE_DECODE, 2, 1, 1, 0, 2);
	tape_lost(&p, 15000, 12); /* among them its end */
	tape_idle(&p, 15900, 16000, 4);
	tape_in(&p, 16000, LMM_PHASE_DECODE, 5, LMM_SEQ_NONE);
	tape_step(&p, 16001, LMM_PHASE_DECODE, 5, 1, 1, 0, 5);
	tape_out(&p, 17000, LMM_PHASE_DECODE, 5, LMM_SEQ_NONE);
	tape_token(&p, 17000, 5, LMM_SEQ_NONE);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->records.lost, 12);
	assert_int_equal(r->records.invalid, 0);
	/* the pass whose end is lost has no duration */
	assert_int_equal(r->steps.decode.count, 1);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 1000);
	/* and the hole is not papered over */
	assert_ns(r->requests[0].wall_ns, 7000);
	assert_ns(request_sum(&r->requests[0]), 1000 + 100 + 1000);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_garbage_is_invalid(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_out(&p, 10000, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);	  /* 1: no begin */
	tape_in(&p, 10010, LMM_PHASE_WAITING, 1, LMM_SEQ_NONE);	  /* 2: is never recorded */
	tape_in(&p, 10020, 77, 1, LMM_SEQ_NONE);		  /* 3: no phase */
	tape_in(&p, 10030, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);	  /* 4: has no end … */
	tape_in(&p, 10040, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);	  /* … when this begins */
	tape_out(&p, 10050, LMM_PHASE_SAMPLING, 2, LMM_SEQ_NONE); /* 5 */
	tape_out(&p, 10060, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, 10070, LMM_PHASE_SAMPLING, 3, 1, 1, 0, 1); /* 6 */
	tape_idle(&p, 10090, 10080, 1);				 /* 7: ends before it begins */
	tape_hint(&p, 10100, 50, 0, 0, 0);			 /* 8 */
	(void)tape_event(&p, 10110, 0x7f);			 /* 9 */
	tape_token(&p, 10120, 1, 0); /* of no step: none can be told from one that is lost */
	tape_seq(&p, 10130, 1, 0, 1, 1, 0);
	p.stream = 42;		     /* never described */
	tape_token(&p, 10120, 1, 0); /* 10 */
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->records.invalid, 10);
	assert_int_equal(r->records.stored, 14);
	assert_int_equal(r->requests_total, 0);
	assert_int_equal(result_phase(r, LMM_PHASE_DECODE)->stats.count, 1);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 20);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_accounting(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	struct lmm_item *it;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_span(&p, 10000, 10010, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_lost(&p, 10020, 5);
	p.stream = 1;
	tape_span(&p, 10000, 10010, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	it = tape_item(&p, LMM_ITEM_LOSS);
	it->loss = (struct lmm_loss){ .stream = 0,
				      .emitted = 9,
				      .lost = 7 }; /* 2 more than were announced */
	it = tape_item(&p, LMM_ITEM_LOSS);
	it->loss = (struct lmm_loss){ .stream = 1,
				      .emitted = 4,
				      .lost = 1 }; /* 1 is missing without a word */
	tape_end(&p, 20000);
	p.entries[p.n - 1].item.end.no_ring_lost = 3;
	p.entries[p.n - 1].item.end.collector_cpu_ns = 555;
	r = tape_result(&p);
	assert_int_equal(r->records.stored, 4);
	assert_int_equal(r->records.lost, 7 + 1 + 3);
	assert_int_equal(r->records.emitted, 9 + 4 + 3);
	assert_ns(r->overhead.collector_cpu_ns, 555);
	assert_ns(r->overhead.total_ns, 2 * 50);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* From hint to hint on one thread: 400 ns before its tokenize are its own, and its last token ends it, not its one detokenize. */
static void marked_request(struct tape *p, uint64_t t, uint32_t step, unsigned seq)
{
	tape_hint(p, t, LMM_HINT_REQUEST_BEGIN, seq, 0, 0);
	tape_idle(p, t, t + 400, LMM_STEP_NONE);
	tape_span(p, t + 400, t + 500, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, t + 500, LMM_PHASE_TOKENIZE, 4, LMM_STEP_NONE);
	tape_idle(p, t + 500, t + 600, LMM_STEP_NONE);
	tape_in(p, t + 600, LMM_PHASE_PREFILL, step, LMM_SEQ_NONE);
	tape_step(p, t + 600, LMM_PHASE_PREFILL, step, 4, 1, 0, step);
	tape_seq(p, t + 600, step, seq, 4, 1, 0);
	tape_out(p, t + 1000, LMM_PHASE_PREFILL, step, LMM_SEQ_NONE);
	tape_token(p, t + 1000, step, seq);
	tape_span(p, t + 1000, t + 1100, LMM_PHASE_DETOKENIZE, step, seq);
	tape_in(p, t + 1100, LMM_PHASE_DECODE, step + 1, LMM_SEQ_NONE);
	tape_step(p, t + 1100, LMM_PHASE_DECODE, step + 1, 1, 1, 0, step + 1);
	tape_seq(p, t + 1100, step + 1, seq, 1, 1, 4);
	tape_out(p, t + 1300, LMM_PHASE_DECODE, step + 1, LMM_SEQ_NONE);
	tape_token(p, t + 1300, step + 1, seq);
	tape_hint(p, t + 1400, LMM_HINT_REQUEST_END, seq, 0, 0);
	tape_idle(p, t + 1300, t + 2000, step + 1);
}

static void check_marked(const struct lmm_result_request *q, double start)
{
	assert_ns(q->start_ns, start);
	assert_ns(q->ttft_ns, 1000);
	assert_ns(q->wall_ns, 1300);
	assert_ns(request_phase(q, LMM_PHASE_TOKENIZE), 100);
	assert_ns(q->unaccounted_ns, 500);
	assert_ns(request_phase(q, LMM_PHASE_PREFILL), 400);
	assert_ns(request_phase(q, LMM_PHASE_DECODE), 200);
	assert_ns(request_phase(q, LMM_PHASE_DETOKENIZE), 100);
	assert_int_equal(q->output_tokens, 2);
	assert_true(q->complete);
}

static void test_marked(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	marked_request(&p, 10000, 1, 3);
	/* its number again, at once */
	marked_request(&p, 12000, 3, 3);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 2);
	check_marked(&r->requests[0], 10000);
	check_marked(&r->requests[1], 12000);
	assert_int_equal(r->records.invalid, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* It arrives and is tokenized on another thread than that of its passes; one was given up in its prompt under its number. */
static void test_marked_elsewhere(void **state)
{
	struct tape p = { 0 };
	const struct lmm_result_request *q;
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_hint(&p, 9000, LMM_HINT_REQUEST_BEGIN, 3, 0, 0);
	tape_in(&p, 9100, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(&p, 9100, LMM_PHASE_PREFILL, 1, 4, 0, 0, 1);
	tape_seq(&p, 9100, 1, 3, 4, 0, 0);
	tape_out(&p, 9200, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	p.stream = 1;
	tape_hint(&p, 10000, LMM_HINT_REQUEST_BEGIN, 3, 0, 0);
	tape_in(&p, 10100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_out(&p, 10300, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(&p, 10300, LMM_PHASE_TOKENIZE, 4, LMM_STEP_NONE);
	p.stream = 0;
	tape_in(&p, 11000, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_step(&p, 11000, LMM_PHASE_PREFILL, 2, 4, 1, 0, 2);
	tape_seq(&p, 11000, 2, 3, 4, 1, 0);
	tape_out(&p, 11400, LMM_PHASE_PREFILL, 2, LMM_SEQ_NONE);
	tape_token(&p, 11400, 2, 3);
	tape_hint(&p, 11500, LMM_HINT_REQUEST_END, 3, 0, 0);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 2);
	assert_int_equal(r->requests[0].output_tokens, 0);
	assert_ns(r->requests[0].wall_ns, 200);
	q = &r->requests[1];
	assert_ns(q->ttft_ns, 1400);
	assert_ns(request_phase(q, LMM_PHASE_TOKENIZE), 200);
	assert_ns(request_phase(q, LMM_PHASE_WAITING), 800);
	assert_ns(request_phase(q, LMM_PHASE_PREFILL), 400);
	lmm_result_destroy(r);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_request),
		cmocka_unit_test(test_completion_totals),
		cmocka_unit_test(test_overlap_is_not_hidden),
		cmocka_unit_test(test_pass_in_two_brackets),
		cmocka_unit_test(test_chunked_prefill),
		cmocka_unit_test(test_prompt_cache),
		cmocka_unit_test(test_steps_side_by_side),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_no_room_for_two),
		cmocka_unit_test(test_context_shift),
		cmocka_unit_test(test_counted_positions),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_server_totals),
		cmocka_unit_test(test_late_batch),
		cmocka_unit_test(test_which_tokenize),
		cmocka_unit_test(test_waits_for_its_turn),
		cmocka_unit_test(test_thread_pool),
		cmocka_unit_test(test_speculative),
		cmocka_unit_test(test_bench),
		cmocka_unit_test(test_another_thread_detokenizes),
		cmocka_unit_test(test_freed_before_its_last_step_came),
		cmocka_unit_test(test_not_bench),
		cmocka_unit_test(test_warmup_switch),
		cmocka_unit_test(test_late_perf_reset),
		cmocka_unit_test(test_cleared_away),
		cmocka_unit_test(test_cut_session),
		cmocka_unit_test(test_lost_phases),
		cmocka_unit_test(test_garbage_is_invalid),
		cmocka_unit_test(test_accounting),
		cmocka_unit_test(test_marked),
		cmocka_unit_test(test_marked_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
