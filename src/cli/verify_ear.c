/* SPDX-License-Identifier: Apache-2.0 */
/* llama.cpp's own timings, from the lines that it prints at its end. */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/verify.h"

#define MARK "common_perf_print:"

/* "common_perf_print: prompt eval time =      40.60 ms / …", with or without a time of day before it. */
static void read_line(struct lmm_verify_ear *ear)
{
	static const struct {
		const char *name;
		enum lmm_verify_own own;
	} figures[] = {
		{ "prompt eval time", LMM_VERIFY_PROMPT_EVAL },
		{ "eval time", LMM_VERIFY_EVAL },
		{ "sampling time", LMM_VERIFY_SAMPLED },
	};
	const char *p = strstr(ear->line, MARK);

	if (!p)
		return;
	p += strlen(MARK);
	p += strspn(p, " ");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(figures); i++) {
		size_t n = strlen(figures[i].name);
		char *end;
		double ms;

		if (strncmp(p, figures[i].name, n) != 0)
			continue;
		p += n;
		p += strspn(p, " ");
		if (*p++ != '=')
			return;
		ms = strtod(p, &end);
		if (end != p && strncmp(end, " ms", 3) == 0 && ms > 0 && ms < 1e12)
			ear->ns[figures[i].own] += ms * 1e6;
		return;
	}
}

void lmm_verify_hear(struct lmm_verify_ear *ear, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n') {
			/* what is longer is cut: our lines are not */
			if (ear->n < sizeof(ear->line) - 1)
				ear->line[ear->n++] = bytes[i];
			continue;
		}
		ear->line[ear->n] = '\0';
		read_line(ear);
		memset(ear->line, 0, sizeof(ear->line));
		ear->n = 0;
	}
}
