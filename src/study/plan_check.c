/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of a plan before anything is run. */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "study/plan_internal.h"

#define CPUS_MAX 4096u

/* ---- levels ------------------------------------------------------------------------------------- */

static int is_whole(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	return text[0] >= '0' && text[0] <= '9' && !*end && v >= min && v <= max;
}

/* NULL: it is good; else what such a factor takes. */
static const char *level_refused(enum lmm_factor_kind kind, const char *text)
{
	uint8_t cpus[CPUS_MAX];

	switch (kind) {
	case LMM_FACTOR_PROMPT:
		return is_whole(text, 1, 1000000) ? NULL : "a number of tokens, 1 to 1000000";
	case LMM_FACTOR_AFFINITY:
		return lmm_plan_cpus(text, cpus, CPUS_MAX) > 0 ? NULL
							       : "CPUs such as \"0\" or \"0-3,6\"";
	case LMM_FACTOR_FREQUENCY:
		return is_whole(text, 1000, 100000000) ? NULL : "a cap in kHz";
	case LMM_FACTOR_QUOTA:
		return is_whole(text, 1, 100000) || strcmp(text, "max") == 0
			       ? NULL
			       : "percent of one CPU, or \"max\"";
	case LMM_FACTOR_LOAD:
		return is_whole(text, 0, 1024) ? NULL : "a number of threads, 0 to 1024";
	case LMM_FACTOR_GOVERNOR:
		return text[0] &&
				       strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789") ==
					       strlen(text) &&
				       strlen(text) < 32
			       ? NULL
			       : "the name of a governor";
	default:
		return text[0] || kind == LMM_FACTOR_ENV || kind == LMM_FACTOR_HOLE
			       ? NULL
			       : "a text that is not empty";
	}
}

static void levels_check(struct lmm_plan_reading *r, const struct lmm_factor *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const char *takes = level_refused(f->kind, f->levels[i]);

		if (takes) {
			lmm__plan_complain(r, f->line, "%s takes %s, not '%.60s'", f->name, takes,
					   f->levels[i]);
		}
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(f->levels[i], f->levels[k]) == 0 && !takes) {
				lmm__plan_complain(r, f->line, "%s has '%.60s' twice", f->name,
						   f->levels[i]);
			}
		}
	}
}

static void factors_check(struct lmm_plan_reading *r)
{
	struct lmm_plan *p = r->plan;
	uint64_t conditions = 1;

	for (uint32_t i = 0; i < p->n_factors; i++) {
		levels_check(r, &p->factors[i]);
		conditions *= p->factors[i].n;
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(p->factors[i].name, p->factors[k].name) == 0) {
				lmm__plan_complain(r, p->factors[i].line,
						   "the factor %s is there twice",
						   p->factors[i].name);
			}
		}
		if (conditions > LMM_PLAN_CONDITIONS_MAX) {
			lmm__plan_complain(r, p->factors[i].line,
					   "the factors up to %s make more than %u conditions",
					   p->factors[i].name, LMM_PLAN_CONDITIONS_MAX);
			return;
		}
	}
	p->n_conditions = (uint32_t)conditions;
	if (conditions * p->repeats > LMM_PLAN_CELLS_MAX) {
		lmm__plan_complain(r, r->line_of[LMM_PLAN_RUN],
				   "%u conditions, %u repeats: more than %u cells", p->n_conditions,
				   (unsigned)p->repeats, LMM_PLAN_CELLS_MAX);
	}
}

/* ---- holes -------------------------------------------------------------------------------------- */

struct holes {
	struct lmm_plan_reading *r;
	uint8_t used[LMM_PLAN_FACTORS_MAX];
	char unknown[64];
};

static int name_is(const char *name, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(name, word, n) == 0;
}

static int factor_at(const struct lmm_plan *p, const char *name, size_t n)
{
	for (uint32_t i = 0; i < p->n_factors; i++) {
		if (name_is(name, n, p->factors[i].name))
			return (int)i;
	}
	return -1;
}

static const char *hole_value(void *ctx, const char *name, size_t n)
{
	struct holes *h = ctx;
	const struct lmm_plan *p = h->r->plan;
	int at = factor_at(p, name, n);

	if (name_is(name, n, "study_dir"))
		return "";
	if (at < 0 && (name_is(name, n, "prompt") || name_is(name, n, "prompt_file")))
		at = lmm_plan_factor_of(p, LMM_FACTOR_PROMPT);
	if (at < 0 && name_is(name, n, "model"))
		at = lmm_plan_factor_of(p, LMM_FACTOR_QUANTIZATION);
	if (at >= 0) {
		h->used[at] = 1;
		return "";
	}
	(void)snprintf(h->unknown, sizeof(h->unknown), "%.*s", (int)(n < 60 ? n : 60), name);
	return NULL;
}

static void word_check(struct holes *h, const char *word)
{
	char *filled;

	h->unknown[0] = '\0';
	filled = lmm_plan_fill(word, hole_value, h);
	if (!filled && h->unknown[0]) {
		lmm__plan_complain(h->r, h->r->command_line,
				   "nothing fills {%s}: there is no factor of this name",
				   h->unknown);
	} else if (!filled) {
		lmm__plan_complain(
			h->r, h->r->command_line,
			"'%.60s': a brace is not closed, or never opened ({{ and }} stand for themselves)",
			word);
	}
	free(filled);
}

static int must_be_used(enum lmm_factor_kind kind)
{
	return kind == LMM_FACTOR_HOLE || kind == LMM_FACTOR_MODEL ||
	       kind == LMM_FACTOR_QUANTIZATION || kind == LMM_FACTOR_PROMPT;
}

static void command_check(struct lmm_plan_reading *r)
{
	struct lmm_plan *p = r->plan;
	struct holes h = { .r = r };

	if (!p->command) {
		lmm__plan_complain(
			r, 0,
			"[engine] has no command: [\"llama-completion\", \"-m\", \"{model}\", …]");
		return;
	}
	for (char **w = p->command; *w; w++)
		word_check(&h, *w);
	for (uint32_t i = 0; i < p->n_factors; i++) {
		if (must_be_used(p->factors[i].kind) && !h.used[i]) {
			lmm__plan_complain(
				r, p->factors[i].line, "%s has no effect: the command has no {%s}",
				p->factors[i].name,
				p->factors[i].kind == LMM_FACTOR_QUANTIZATION ? "model"
				: p->factors[i].kind == LMM_FACTOR_PROMPT     ? "prompt"
									      : p->factors[i].name);
		}
	}
}

/* ---- quantization and quality ---------------------------------------------------------------------- */

static int level_is_there(const struct lmm_plan *p, const char *text)
{
	static const enum lmm_factor_kind kinds[] = { LMM_FACTOR_QUANTIZATION, LMM_FACTOR_MODEL };

	for (size_t k = 0; k < LMM_ARRAY_SIZE(kinds); k++) {
		int at = lmm_plan_factor_of(p, kinds[k]);

		for (uint32_t i = 0; at >= 0 && i < p->factors[at].n; i++) {
			if (strcmp(p->factors[at].levels[i], text) == 0)
				return 1;
		}
	}
	return 0;
}

static void quantize_check(struct lmm_plan_reading *r)
{
	const struct lmm_plan *p = r->plan;
	int types = lmm_plan_factor_of(p, LMM_FACTOR_QUANTIZATION);

	if (types >= 0 && lmm_plan_factor_of(p, LMM_FACTOR_MODEL) >= 0) {
		lmm__plan_complain(r, p->factors[types].line,
				   "model and quantization both say what {model} is: one of them");
	}
	if (types >= 0 && !p->quantize_source) {
		lmm__plan_complain(
			r, p->factors[types].line,
			"quantization needs [quantize] with source, the model to make them of");
	}
	if (types < 0 && r->line_of[LMM_PLAN_QUANTIZE]) {
		lmm__plan_complain(r, r->line_of[LMM_PLAN_QUANTIZE],
				   "[quantize] has no effect: there is no factor quantization");
	}
}

static void quality_check(struct lmm_plan_reading *r)
{
	const struct lmm_plan *p = r->plan;
	int line = r->line_of[LMM_PLAN_QUALITY], has_tasks = 0;

	for (unsigned i = 0; i < LMM_TASK_KINDS; i++)
		has_tasks |= p->tasks[i] != NULL;
	if (!line)
		return;
	if (!p->quality_text && !has_tasks)
		lmm__plan_complain(r, line, "[quality] needs a text, or a file of tasks");
	if (lmm_plan_factor_of(p, LMM_FACTOR_MODEL) < 0 &&
	    lmm_plan_factor_of(p, LMM_FACTOR_QUANTIZATION) < 0) {
		lmm__plan_complain(r, line, "[quality] needs a factor model or quantization");
	} else if (!p->quality_reference) {
		lmm__plan_complain(r, line,
				   "[quality] needs a reference: a level of model or quantization");
	} else if (!level_is_there(p, p->quality_reference)) {
		lmm__plan_complain(r, line,
				   "reference '%.60s' is no level of model or quantization",
				   p->quality_reference);
	}
}

static void score_check(struct lmm_plan_reading *r)
{
	const struct lmm_plan *p = r->plan;

	if (p->weight_quality <= 0 || p->weight_time + p->weight_memory + p->weight_energy <= 0) {
		lmm__plan_complain(
			r, r->line_of[LMM_PLAN_SCORE],
			"[score] needs a weight above 0 for quality, and one for time, memory or energy");
	}
}

void lmm__plan_check(struct lmm_plan_reading *r)
{
	factors_check(r);
	quantize_check(r);
	command_check(r);
	quality_check(r);
	score_check(r);
}
