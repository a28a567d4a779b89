/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of the LM-Meter paper's tables (docs/paper.md): phases and kernels of each condition in ms; governors' rates. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"
#include "report/csv_writer.h"
#include "study/study_findings.h"

static const struct {
	unsigned phase;
	const char *name;
} phases[] = { { LMM_PHASE_EMBEDDING, "embedding" },
	       { LMM_PHASE_PREFILL, "prefill" },
	       { LMM_PHASE_DECODE, "decode" },
	       { LMM_PHASE_SOFTMAX, "softmax" },
	       { LMM_PHASE_COPY_TO_CPU, "copy_probs_to_cpu" },
	       { LMM_PHASE_SAMPLING, "sampling" } };

#define PHASES LMM_ARRAY_SIZE(phases)

/* One of each, as there: the prefill of a request, the others per token. */
static double phase_ms(const struct lmm_cell *c, size_t row)
{
	double tokens = c->figures[LMM_FIG_OUTPUT_TOKENS]; /* of a request */
	double per = phases[row].phase == LMM_PHASE_PREFILL  ? 1
		     : phases[row].phase == LMM_PHASE_DECODE ? fmax(tokens - 1, 1)
							     : fmax(tokens, 1);

	return c->phase_ns[phases[row].phase] / c->figures[LMM_FIG_REQUESTS] / per / 1e6;
}

/* row PHASES: the sum of all. */
static double phase_mean_ms(const struct lmm_study *s, uint32_t condition, size_t row, double *half)
{
	double values[LMM_PLAN_REPEATS_MAX], mean;
	uint32_t n = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);
		double sum = 0;

		if (c->status != LMM_CELL_OK || !(c->figures[LMM_FIG_REQUESTS] > 0) ||
		    isnan(c->figures[LMM_FIG_OUTPUT_TOKENS]))
			continue;
		for (size_t i = 0; i < PHASES; i++)
			sum += row == PHASES || row == i ? phase_ms(c, i) : 0;
		values[n++] = sum;
	}
	lmm_mean_interval(values, n, &mean, half);
	return mean;
}

static void put_row(struct lmm_csv *c, const char *condition, const char *phase, double ms,
		    double half)
{
	lmm_csv_string(c, condition);
	lmm_csv_string(c, phase);
	lmm_csv_decimal(c, ms, 4, !isnan(ms));
	lmm_csv_decimal(c, half, 4, !isnan(half));
	lmm_csv_end(c);
}

static void put_phases(const struct lmm_study_findings *f, uint32_t condition, struct lmm_csv *c)
{
	char name[300];

	lmm_plan_condition_name(f->s->plan, condition, name, sizeof(name));
	for (size_t i = 0; i <= PHASES; i++) {
		double half, ms = phase_mean_ms(f->s, condition, i, &half);

		put_row(c, name, i < PHASES ? phases[i].name : "end_to_end", ms, half);
	}
}

/* ---- kernels ------------------------------------------------------------------------------------- */

static const struct lmm_cell_kernel *kernel_find(const struct lmm_cell *c,
						 const struct lmm_cell_kernel *like)
{
	for (uint32_t i = 0; i < c->n_kernels; i++) {
		const struct lmm_cell_kernel *k = &c->kernels[i];

		if (k->phase == like->phase && strcmp(k->name, like->name) == 0 &&
		    strcmp(k->op, like->op) == 0 && strcmp(k->weight_type, like->weight_type) == 0)
			return k;
	}
	return NULL;
}

static double kernel_mean_ms(const struct lmm_study *s, uint32_t condition,
			     const struct lmm_cell_kernel *like, double *half)
{
	double values[LMM_PLAN_REPEATS_MAX], mean;
	uint32_t n = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);
		const struct lmm_cell_kernel *k =
			c->status == LMM_CELL_OK ? kernel_find(c, like) : NULL;

		if (k && k->count)
			values[n++] = k->total_ns / (double)k->count / 1e6;
	}
	lmm_mean_interval(values, n, &mean, half);
	return mean;
}

/* Those of the first block that was measured; the longest of its phases, as cells keep them. */
static void put_kernels(const struct lmm_study_findings *f, uint32_t condition, struct lmm_csv *c)
{
	const struct lmm_cell *first = NULL;
	char name[300];

	for (uint32_t b = 0; b < f->s->n_blocks && !first; b++) {
		const struct lmm_cell *cell = lmm_study_cell(f->s, b, condition);

		first = cell->status == LMM_CELL_OK ? cell : NULL;
	}
	lmm_plan_condition_name(f->s->plan, condition, name, sizeof(name));
	for (uint32_t i = 0; first && i < first->n_kernels; i++) {
		const struct lmm_cell_kernel *k = &first->kernels[i];
		double half, ms;

		if (kernel_find(first, k) != k)
			continue;
		ms = kernel_mean_ms(f->s, condition, k, &half);
		lmm_csv_string(c, name);
		lmm_csv_string(c, k->name);
		lmm_csv_string(c, lmm_phase_name(k->phase));
		lmm_csv_string(c, k->op);
		lmm_csv_string(c, k->weight_type);
		lmm_csv_decimal(c, ms, 6, !isnan(ms));
		lmm_csv_decimal(c, half, 6, !isnan(half));
		lmm_csv_end(c);
	}
}

/* ---- rates --------------------------------------------------------------------------------------- */

static void put_rates(const struct lmm_study_findings *f, uint32_t condition, struct lmm_csv *c)
{
	const struct lmm_mean *prefill = lmm_study_mean(f, condition, LMM_FIG_PREFILL_STEP);
	const struct lmm_mean *decode = lmm_study_mean(f, condition, LMM_FIG_TPOT);
	char name[300];

	lmm_plan_condition_name(f->s->plan, condition, name, sizeof(name));
	put_row(c, name, "prefill", 1e9 / prefill->value,
		(1e9 / prefill->low - 1e9 / prefill->high) / 2);
	put_row(c, name, "decode", 1e9 / decode->value,
		(1e9 / decode->low - 1e9 / decode->high) / 2);
}

static void put_header(struct lmm_csv *c, const char *value, const char *half)
{
	lmm_csv_string(c, "condition");
	lmm_csv_string(c, "phase");
	lmm_csv_string(c, value);
	lmm_csv_string(c, half);
	lmm_csv_end(c);
}

static void put_kernel_header(struct lmm_csv *c)
{
	static const char *const columns[] = { "condition",   "kernel",	    "phase",  "operator",
					       "weight_type", "lmmeter_ms", "half_ms" };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(columns); i++)
		lmm_csv_string(c, columns[i]);
	lmm_csv_end(c);
}

void lmm_study_paper(const struct lmm_study_findings *f, FILE *out)
{
	struct lmm_csv c = { .out = out };

	fputs("# prefill of a request, the others per token; end_to_end: one of each, as published; half_ms: of the 95 % interval over blocks\r\n",
	      out);
	put_header(&c, "lmmeter_ms", "half_ms");
	for (uint32_t i = 0; i < f->s->plan->n_conditions; i++)
		put_phases(f, i, &c);
	fputs("# kernels (on a CPU, operators), each time\r\n", out);
	put_kernel_header(&c);
	for (uint32_t i = 0; i < f->s->plan->n_conditions; i++)
		put_kernels(f, i, &c);
	fputs("# tokens per second\r\n", out);
	put_header(&c, "tokens_per_s", "half_tokens_per_s");
	for (uint32_t i = 0; i < f->s->plan->n_conditions; i++)
		put_rates(f, i, &c);
}
