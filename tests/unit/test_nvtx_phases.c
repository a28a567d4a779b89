/* SPDX-License-Identifier: Apache-2.0 */
/* What the names of ranges say of phases, as engines print them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lmmeter/trace.h"
#include "probe/engines/nvtx_phases.h"

static void check(const char *text, unsigned phase, bool numbered)
{
	bool is_numbered = !numbered;

	if (lmm_nvtx_phase(text, &is_numbered) != phase || is_numbered != numbered)
		fail_msg("'%s': %u, numbered %d", text, lmm_nvtx_phase(text, &is_numbered),
			 is_numbered);
}

static void test_steps(void **state)
{
	(void)state;
	check("execute_context_1(5)_generation_2(2)", LMM_PHASE_PREFILL, true);
	check("execute_context_0(0)_generation_64(64)", LMM_PHASE_DECODE, true);
	check("[Executor] _forward_step 10: 0 ctx reqs, 12 gen reqs", LMM_PHASE_DECODE, true);
	check("[Executor] _forward_step 7: 10 ctx reqs, 0 gen reqs", LMM_PHASE_PREFILL, true);
	check("executeStep: 3 ctx reqs, 0 gen reqs", LMM_PHASE_PREFILL, true);
	check("executeStep: 0 ctx reqs, 9 gen reqs", LMM_PHASE_DECODE, true);
	check("executeStep: many ctx reqs", LMM_PHASE_NONE, false);
	check("execute_context_", LMM_PHASE_NONE, false);
	check("execute_context_(0)", LMM_PHASE_NONE, false);
}

static void test_words(void **state)
{
	(void)state;
	check("prefill", LMM_PHASE_PREFILL, false);
	check("Decode", LMM_PHASE_DECODE, false);
	check("decode[bs=4]", LMM_PHASE_DECODE, true);
	check("prefill 12", LMM_PHASE_PREFILL, true);
	check("_sample_async", LMM_PHASE_SAMPLING, false);
	check("gpu_model_runner: sample", LMM_PHASE_SAMPLING, false);
	check("v2_gpu_model_runner: draft", LMM_PHASE_DRAFT, false);
	check("embedding", LMM_PHASE_EMBEDDING, false);
	check("softmax", LMM_PHASE_SOFTMAX, false);
	check("copy_to_cpu", LMM_PHASE_COPY_TO_CPU, false);
}

/* Words that are part of another, and whatever else programs write. */
static void test_others(void **state)
{
	static const char *const texts[] = {
		"",
		"_",
		"prefilled",
		"decoder",
		"decode the prompt",
		"gpu_model_runner: forward",
		"sample:",
		"gpu_model_runner: ",
		"samples",
		"::",
		"aten::softmax_backward",
		"dec",
		"{'Module': 'model.layers.0'}",
		"\xff\xfe",
		"[",
		"12",
		"BatchDecode num_seq=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check(texts[i], LMM_PHASE_NONE, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
