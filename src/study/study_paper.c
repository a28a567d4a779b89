/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of the LM-Meter paper's tables: a row per condition and phase, in ms; governors as tokens per second. */
#include <math.h>

#include "report/csv_writer.h"
#include "study/study_findings.h"

static double phase_ms(const struct lmm_study *s, uint32_t condition, unsigned phase, double *half)
{
	double values[LMM_PLAN_REPEATS_MAX], mean;
	uint32_t n = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);

		if (c->status == LMM_CELL_OK && c->figures[LMM_FIG_REQUESTS] > 0)
			values[n++] = c->phase_ns[phase] / c->figures[LMM_FIG_REQUESTS] / 1e6;
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

/* Decode is given per token there. */
static void put_phases(const struct lmm_study_findings *f, uint32_t condition, struct lmm_csv *c)
{
	static const struct {
		unsigned phase;
		const char *name;
	} phases[] = { { LMM_PHASE_EMBEDDING, "embedding" },
		       { LMM_PHASE_PREFILL, "prefill" },
		       { LMM_PHASE_DECODE, "decode" },
		       { LMM_PHASE_SOFTMAX, "softmax" },
		       { LMM_PHASE_COPY_TO_CPU, "copy_probs_to_cpu" },
		       { LMM_PHASE_SAMPLING, "sampling" } };
	const struct lmm_mean *request = lmm_study_mean(f, condition, LMM_FIG_REQUEST);
	double tokens = lmm_study_mean(f, condition, LMM_FIG_OUTPUT_TOKENS)->value;
	char name[300];

	lmm_plan_condition_name(f->s->plan, condition, name, sizeof(name));
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		double half, ms = phase_ms(f->s, condition, phases[i].phase, &half);
		int is_prefill = phases[i].phase == LMM_PHASE_PREFILL;
		double per = is_prefill				   ? 1
			     : phases[i].phase == LMM_PHASE_DECODE ? fmax(tokens - 1, 1)
								   : fmax(tokens, 1);

		put_row(c, name, phases[i].name, ms / per, half / per);
	}
	put_row(c, name, "end_to_end", request->value / 1e6, (request->high - request->low) / 2e6);
}

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

void lmm_study_paper(const struct lmm_study_findings *f, FILE *out)
{
	struct lmm_csv c = { .out = out };

	fputs("# per request; decode, softmax, copy, sampling and embedding per token; \u00b1 is half of the 95 % interval over blocks\r\n",
	      out);
	put_header(&c, "lmmeter_ms", "half_ms");
	for (uint32_t i = 0; i < f->s->plan->n_conditions; i++)
		put_phases(f, i, &c);
	fputs("# tokens per second\r\n", out);
	put_header(&c, "tokens_per_s", "half_tokens_per_s");
	for (uint32_t i = 0; i < f->s->plan->n_conditions; i++)
		put_rates(f, i, &c);
}
