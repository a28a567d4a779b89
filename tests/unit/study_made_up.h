/* SPDX-License-Identifier: Apache-2.0 */
/* Studies that were never run: a plan from text, cells from arithmetic. */
#ifndef TEST_STUDY_MADE_UP_H
#define TEST_STUDY_MADE_UP_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "study/study_findings.h"

static void made_up_complain(void *ctx, int line, const char *text)
{
	(void)ctx;
	(void)fprintf(stderr, "plan:%d: %s\n", line, text);
}

static struct lmm_plan *made_up_plan(const char *text)
{
	char path[] = "/tmp/lmm-plan.XXXXXX";
	int fd = mkstemp(path);
	struct lmm_plan *p = NULL;

	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		p = lmm_plan_read(path, NULL, made_up_complain, NULL);
	if (fd >= 0)
		close(fd);
	unlink(path);
	return p;
}

/* All cells ok, with the figures that every engine gives. */
static struct lmm_study *made_up_study(const char *text)
{
	struct lmm_plan *p = made_up_plan(text);
	struct lmm_study *s = p ? lmm_study_create(p) : NULL;

	for (uint32_t i = 0; s && i < s->n_blocks * p->n_conditions; i++) {
		struct lmm_cell *c = &s->cells[i];

		c->status = LMM_CELL_OK;
		c->figures[LMM_FIG_TTFT] = 20e6;
		c->figures[LMM_FIG_TPOT] = c->figures[LMM_FIG_ITL_P50] = 10e6;
		c->figures[LMM_FIG_REQUEST] = 340e6;
		c->figures[LMM_FIG_MEMORY] = 100e6;
		c->figures[LMM_FIG_PROMPT_TOKENS] = 32;
		c->figures[LMM_FIG_OUTPUT_TOKENS] = 32;
		c->figures[LMM_FIG_REQUESTS] = 1;
		c->figures[LMM_FIG_OWN] = 0.1;
		c->figures[LMM_FIG_LOST] = c->figures[LMM_FIG_THROTTLED] = 0;
		/* neither phase over half */
		c->phase_ns[LMM_PHASE_PREFILL] = 4;
		c->phase_ns[LMM_PHASE_DECODE] = 4;
		c->phase_ns[LMM_PHASE_SAMPLING] = 2;
	}
	return s;
}

static uint64_t made_up_random;

static double made_up_uniform(void)
{
	uint64_t z = made_up_random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return ((double)((z ^ z >> 31) >> 11) + 0.5) / 9007199254740992.0;
}

static double made_up_normal(void)
{
	double u = made_up_uniform();

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * made_up_uniform());
}

#endif
