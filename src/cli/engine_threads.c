/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/engine_threads.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/result.h"
#include "base/compiler.h"

#define THREADS_MAX 65536

/* "4" and nothing behind it but the next word; 0: no such number (llama-bench takes lists). */
static uint32_t number_at(const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	return end != text && (*end == ' ' || !*end) && v > 0 && v <= THREADS_MAX ? (uint32_t)v : 0;
}

/* The value of the last of an option's names in a line of words: "-t 4", "--threads=4". */
static uint32_t option_value(const char *line, const char *const names[2])
{
	uint32_t found = 0;

	for (const char *word = line; word && *word; word = strchr(word, ' ')) {
		word += *word == ' ';
		for (unsigned i = 0; i < 2; i++) {
			size_t n = strlen(names[i]);

			if (strncmp(word, names[i], n) == 0 && (word[n] == ' ' || word[n] == '='))
				found = number_at(word + n + 1);
		}
	}
	return found;
}

static uint32_t recorded(const struct lmm_result *r)
{
	uint32_t n = 0;

	for (size_t i = 0; i < r->n_threads; i++) {
		if (r->threads[i].process != r->threads[0].process)
			return 0;
		n += r->threads[i].operators > 0;
	}
	return n;
}

const char *lmm_engine_threads(const struct lmm_result *r, uint32_t given, uint32_t *decode,
			       uint32_t *prefill)
{
	static const char *const threads[] = { "-t", "--threads" };
	static const char *const batch[] = { "-tb", "--threads-batch" };
	uint32_t of_batch = option_value(r->command_line, batch);

	*decode = *prefill = given;
	if (given)
		return "option";
	*decode = option_value(r->command_line, threads);
	*prefill = of_batch ? of_batch : *decode;
	if (*decode)
		return "command_line";
	*decode = *prefill = recorded(r);
	return *decode ? "recording" : "unknown";
}
