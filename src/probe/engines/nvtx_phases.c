/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges that are phases, by their names: those of engines that say how many requests of a step are at their prompt, and those that
 * are a phase's word, alone or behind a colon. A name is read and forgotten.
 */
#include "probe/engines/nvtx_phases.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"

/* Steps: how many requests are at their prompt stands between `begin` and `behind`. */
static const struct {
	const char *begin;
	const char *behind;
} steps[] = {
	{ "execute_context_", "(" }, /* vLLM: execute_context_1(5)_generation_2(2) */
	{ "[Executor] _forward_step ",
	  " ctx" }, /* TensorRT-LLM: [Executor] _forward_step 7: 1 ctx reqs, 2 gen reqs */
	{ "executeStep: ", " ctx" }, /* TensorRT-LLM in C++: executeStep: 1 ctx reqs, 2 gen reqs */
};

static const struct {
	const char *word;
	uint8_t phase;
} words[] = {
	{ "tokenize", LMM_PHASE_TOKENIZE },	{ "embed", LMM_PHASE_EMBEDDING },
	{ "embedding", LMM_PHASE_EMBEDDING },	{ "prefill", LMM_PHASE_PREFILL },
	{ "decode", LMM_PHASE_DECODE },		{ "softmax", LMM_PHASE_SOFTMAX },
	{ "sample", LMM_PHASE_SAMPLING },	{ "sampling", LMM_PHASE_SAMPLING },
	{ "sample_async", LMM_PHASE_SAMPLING }, { "draft", LMM_PHASE_DRAFT },
	{ "verify", LMM_PHASE_VERIFY },		{ "copy_to_cpu", LMM_PHASE_COPY_TO_CPU },
	{ "detokenize", LMM_PHASE_DETOKENIZE },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_of_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The number in front of `behind`, whether it is 0; false: there is none. */
static bool has_prompts(const char *text, const char *behind, bool *yes)
{
	const char *end = strstr(text, behind), *p = end;

	while (p && p > text && is_digit(p[-1]))
		p--;
	if (!p || p == end)
		return false;
	while (p < end && *p == '0')
		p++;
	*yes = p < end;
	return true;
}

static unsigned phase_of_step(const char *text)
{
	bool prompts;

	for (unsigned i = 0; i < LMM_ARRAY_SIZE(steps); i++) {
		size_t n = strlen(steps[i].begin);

		if (strncmp(text, steps[i].begin, n) != 0)
			continue;
		if (has_prompts(text + n, steps[i].behind, &prompts))
			return prompts ? LMM_PHASE_PREFILL : LMM_PHASE_DECODE;
	}
	return LMM_PHASE_NONE;
}

static bool is_word(const char *text, size_t n, const char *word)
{
	size_t i;

	for (i = 0; i < n && word[i]; i++) {
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != word[i])
			return false;
	}
	return i == n && !word[i];
}

unsigned lmm_nvtx_phase(const char *text, bool *is_numbered)
{
	unsigned phase = phase_of_step(text);
	const char *colon = strrchr(text, ':');
	size_t n = 0;

	*is_numbered = phase != LMM_PHASE_NONE;
	if (phase)
		return phase;
	/* "gpu_model_runner: sample" */
	if (colon && colon[1] == ' ')
		text = colon + 2;
	while (*text == '_')
		text++;
	while (is_of_word(text[n]))
		n++;
	/* alone, or with numbers behind it: "decode[bs=4]", "prefill 12" */
	if (text[n] && text[n] != '[' && text[n] != '(' &&
	    !(text[n] == ' ' && is_digit(text[n + 1])))
		return LMM_PHASE_NONE;
	for (unsigned i = 0; i < LMM_ARRAY_SIZE(words); i++) {
		if (is_word(text, n, words[i].word)) {
			*is_numbered = text[n] != 0;
			return words[i].phase;
		}
	}
	return LMM_PHASE_NONE;
}
