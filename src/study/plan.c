/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from a plan: its conditions, their order, and what tells it from another plan. */
#include "study/plan.h"

#include <inttypes.h>
#include <string.h>

uint32_t lmm_plan_level(const struct lmm_plan *p, uint32_t condition, uint32_t factor)
{
	/* the last factor changes fastest, as the rows of a table do */
	for (uint32_t i = p->n_factors; i-- > 0;) {
		if (i == factor)
			return condition % p->factors[i].n;
		condition /= p->factors[i].n;
	}
	return 0;
}

int lmm_plan_factor_find(const struct lmm_plan *p, const char *name)
{
	for (uint32_t i = 0; i < p->n_factors; i++) {
		if (strcmp(p->factors[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

int lmm_plan_factor_of(const struct lmm_plan *p, enum lmm_factor_kind kind)
{
	for (uint32_t i = 0; i < p->n_factors; i++) {
		if (p->factors[i].kind == kind)
			return (int)i;
	}
	return -1;
}

void lmm_plan_condition_name(const struct lmm_plan *p, uint32_t condition, char *out, size_t bytes)
{
	size_t n = 0;

	(void)snprintf(out, bytes, "the one condition");
	for (uint32_t i = 0; i < p->n_factors; i++) {
		const struct lmm_factor *f = &p->factors[i];
		const char *level = f->levels[lmm_plan_level(p, condition, i)];
		const char *slash = f->kind == LMM_FACTOR_MODEL ? strrchr(level, '/') : NULL;
		int put;

		if (f->n < 2)
			continue;
		put = snprintf(out + n, bytes - n, "%s%s=%s", n ? " " : "", f->name,
			       slash ? slash + 1 : level);
		if (put < 0 || (size_t)put >= bytes - n)
			return;
		n += (size_t)put;
	}
}

/* ---- order -------------------------------------------------------------------------------------- */

static uint64_t random_u64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Below n, each as likely: what would make the first ones likelier is drawn again. */
static uint32_t random_below(uint64_t *state, uint32_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;

	do {
		v = random_u64(state);
	} while (v >= limit);
	return (uint32_t)(v % n);
}

void lmm_plan_order(const struct lmm_plan *p, uint32_t block, uint32_t *order)
{
	uint64_t state = (p->seed << 32 | block) ^ 0x6c6d6d5f73747564u;

	for (uint32_t i = 0; i < p->n_conditions; i++)
		order[i] = i;
	for (uint32_t i = p->n_conditions; i > 1; i--) {
		uint32_t k = random_below(&state, i), other = order[k];

		order[k] = order[i - 1];
		order[i - 1] = other;
	}
}

/* ---- what makes it another plan ------------------------------------------------------------------- */

static void canon_text(FILE *out, const char *key, const char *text)
{
	if (text)
		fprintf(out, "%s = %s\n", key, text);
}

static void canon_quality(const struct lmm_plan *p, FILE *out)
{
	static const char *const tasks[] = { "quality.hellaswag", "quality.winogrande",
					     "quality.multiple_choice" };

	canon_text(out, "quantize.program", p->quantize_program);
	canon_text(out, "quantize.source", p->quantize_source);
	canon_text(out, "quality.program", p->quality_program);
	canon_text(out, "quality.text", p->quality_text);
	canon_text(out, "quality.reference", p->quality_reference);
	if (p->quality_reference) {
		fprintf(out, "quality.context = %" PRIu64 "\nquality.chunks = %" PRIu64 "\n",
			p->quality_context, p->quality_chunks);
	}
	for (unsigned i = 0; i < LMM_TASK_KINDS; i++)
		canon_text(out, tasks[i], p->tasks[i]);
	if (p->tasks_n)
		fprintf(out, "quality.tasks = %" PRIu64 "\n", p->tasks_n);
}

void lmm_plan_canon(const struct lmm_plan *p, FILE *out)
{
	for (char **w = p->command; *w; w++)
		fprintf(out, "engine.command[%d] = %s\n", (int)(w - p->command), *w);
	for (uint32_t i = 0; i < p->n_factors; i++) {
		for (uint32_t k = 0; k < p->factors[i].n; k++) {
			fprintf(out, "factors.%s[%u] = %s\n", p->factors[i].name, k,
				p->factors[i].levels[k]);
		}
	}
	fprintf(out,
		"run.repeats = %" PRIu64 "\nrun.warmup = %" PRIu64 "\nrun.seed = %" PRIu64 "\n",
		p->repeats, p->warmup, p->seed);
	fprintf(out, "run.cell_budget = %" PRIu64 " ns\nrun.cooldown = %" PRIu64 " ns%s\n",
		p->cell_budget_ns, p->cooldown_ns, p->cools_by_heat ? ", temperature" : "");
	canon_text(out, "run.lmmeter_budget", p->overhead_budget);
	canon_text(out, "run.prompt_text", p->prompt_text);
	canon_quality(p, out);
}
