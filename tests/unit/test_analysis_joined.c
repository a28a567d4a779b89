/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings that began while the engine was at work: what is known of a request whose beginning was not seen. */
#include "tape.h"

static void begin(struct tape *p, int is_joined)
{
	tape_begin(p, "server", 0);
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->entries[i].item.kind == LMM_ITEM_PROCESS)
			p->entries[i].item.process.joined = (uint8_t)is_joined;
	}
	p->stream = 0;
}

/* A pass of 500 from t for one token of seq at position; the token is chosen 100 behind it. */
static void pass(struct tape *p, uint64_t t, unsigned phase, uint32_t step, unsigned seq,
		 uint64_t tokens, uint64_t position)
{
	tape_in(p, t, phase, step, LMM_SEQ_NONE);
	tape_step(p, t + 1, phase, step, tokens, 1, 1, step);
	tape_seq(p, t + 2, step, seq, tokens, 1, position);
	tape_out(p, t + 500, phase, step, LMM_SEQ_NONE);
	tape_in(p, t + 500, LMM_PHASE_SAMPLING, step, seq);
	tape_token(p, t + 600, step, seq);
	tape_out(p, t + 700, LMM_PHASE_SAMPLING, step, seq);
}

static void tokenize(struct tape *p, uint64_t t, uint64_t tokens)
{
	tape_span(p, t, t + 50, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, t + 50, LMM_PHASE_TOKENIZE, tokens, 0);
}

static void test_in_the_middle(void **state)
{
	for (int is_joined = 0; is_joined < 2; is_joined++) {
		struct tape p = { 0 };
		struct lmm_result *r;
		const struct lmm_result_request *q;

		(void)state;
		begin(&p, is_joined);
		for (uint32_t i = 0; i < 5; i++)
			pass(&p, 10000 + 1000 * i, LMM_PHASE_DECODE, i, 0, 1, 40 + i);
		tape_end(&p, 20000);
		r = tape_result(&p);
		assert_int_equal(r->n_requests, 1);
		q = &r->requests[0];
		assert_int_equal(q->joined, is_joined);
		assert_int_equal(q->output_tokens, 5);
		assert_int_equal(r->itl.count, 4);
		assert_int_equal(r->ttft.count, is_joined ? 0 : 1);
		/* seen from its start it would be a cached prompt of 40 and a token */
		assert_int_equal(q->prompt_tokens, is_joined ? 0 : 41);
		assert_int_equal(q->cached_tokens, is_joined ? 0 : 40);
		assert_int_equal(q->prefill_steps, is_joined ? 0 : 1);
		assert_int_equal(q->decode_steps, is_joined ? 5 : 4);
		assert_true(is_joined ? q->ttft_ns < 0 : q->ttft_ns > 0);
		lmm_result_destroy(r);
		tape_free(&p);
	}
}

/* A call with its token finds no room once: the request is as good as others. */
static void test_refused_once(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	begin(&p, 1);
	pass(&p, 10000, LMM_PHASE_DECODE, 0, 0, 1, 40);
	tape_in(&p, 11000, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_step(&p, 11001, LMM_PHASE_DECODE, 1, 1, 1, 1, 1);
	tape_seq(&p, 11002, 1, 0, 1, 1, 41);
	tape_out(&p, 11100, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_hint(&p, 11110, LMM_HINT_NO_ROOM, LMM_SEQ_NONE, 1, 1);
	pass(&p, 12000, LMM_PHASE_DECODE, 2, 0, 1, 41);
	tape_hint(&p, 14000, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 1, 0);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	assert_int_equal(r->requests[0].complete, 1);
	assert_int_equal(r->requests[0].output_tokens, 2);
	assert_int_equal(r->requests[0].decode_steps, 2);
	assert_int_equal(r->requests[0].context_refusals, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_no_positions(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	begin(&p, 1);
	for (uint32_t i = 0; i < 3; i++)
		pass(&p, 10000 + 1000 * i, LMM_PHASE_DECODE, i, LMM_SEQ_NONE, 1, LMM_POS_ABSENT);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	assert_int_equal(r->requests[0].joined, 1);
	assert_int_equal(r->requests[0].prompt_tokens, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A prompt's later piece: what is seen of the prompt is computed, the rest is not called cached. */
static void test_in_the_prompt(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;

	(void)state;
	begin(&p, 1);
	pass(&p, 10000, LMM_PHASE_PREFILL, 1, 0, 32, 64);
	pass(&p, 11000, LMM_PHASE_DECODE, 2, 0, 1, 96);
	tape_end(&p, 20000);
	r = tape_result(&p);
	q = &r->requests[0];
	assert_int_equal(q->joined, 1);
	assert_int_equal(q->prompt_tokens, 32);
	assert_int_equal(q->cached_tokens, 0);
	assert_int_equal(r->ttft.count, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* What begins later is whole: from position 0, or behind a cached prompt that was tokenized. */
static void test_later_ones_are_whole(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	begin(&p, 1);
	pass(&p, 10000, LMM_PHASE_DECODE, 1, 0, 1, 40);
	tokenize(&p, 10800, 33);
	pass(&p, 11000, LMM_PHASE_DECODE, 2, 1, 1, 32);
	pass(&p, 12000, LMM_PHASE_PREFILL, 3, 2, 8, 0);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 3);
	assert_int_equal(r->requests[0].joined, 1);
	assert_int_equal(r->requests[1].joined, 0);
	assert_int_equal(r->requests[1].cached_tokens, 32);
	assert_int_equal(r->requests[2].joined, 0);
	assert_int_equal(r->requests[2].prompt_tokens, 8);
	assert_int_equal(r->ttft.count, 2);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A request that begins with the recording: tokenized first, its prompt from position 0. */
static void test_first_one_may_be_whole(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	begin(&p, 1);
	tokenize(&p, 9000, 1);
	pass(&p, 10000, LMM_PHASE_DECODE, 1, 0, 1, 0);
	pass(&p, 11000, LMM_PHASE_DECODE, 2, 0, 1, 1);
	tape_end(&p, 20000);
	r = tape_result(&p);
	assert_int_equal(r->requests[0].joined, 0);
	assert_int_equal(r->requests[0].prefill_steps, 1);
	assert_int_equal(r->ttft.count, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_middle),
		cmocka_unit_test(test_refused_once),
		cmocka_unit_test(test_no_positions),
		cmocka_unit_test(test_in_the_prompt),
		cmocka_unit_test(test_later_ones_are_whole),
		cmocka_unit_test(test_first_one_may_be_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
