/* SPDX-License-Identifier: Apache-2.0 */
/* A row per cell. */
#include <math.h>

#include "report/csv_writer.h"
#include "study/study_findings.h"

static void put_header(const struct lmm_plan *p, struct lmm_csv *c)
{
	lmm_csv_string(c, "block");
	lmm_csv_string(c, "condition");
	lmm_csv_string(c, "position");
	for (uint32_t i = 0; i < p->n_factors; i++)
		lmm_csv_string(c, p->factors[i].name);
	lmm_csv_string(c, "status");
	lmm_csv_string(c, "reason");
	lmm_csv_string(c, "naps");
	lmm_csv_string(c, "start_realtime_ns");
	lmm_csv_string(c, "engine");
	for (unsigned i = 0; i < LMM_FIGURES; i++)
		lmm_csv_string(c, lmm_figures[i].key);
	for (unsigned i = LMM_PHASE_MODEL_LOAD; i < LMM_PHASE_COUNT; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "phase.%s_ns", lmm_phase_name(i));
		lmm_csv_string(c, name);
	}
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < LMM_ROLE_COUNT; i++) {
			char name[64];

			(void)snprintf(name, sizeof(name), "%s.%s_ns", k ? "decode" : "prefill",
				       lmm_role_name(i));
			lmm_csv_string(c, name);
		}
	}
	lmm_csv_end(c);
}

static void put_cell(const struct lmm_plan *p, const struct lmm_cell *cell, struct lmm_csv *c)
{
	int is_ok = cell->status == LMM_CELL_OK;

	lmm_csv_u64(c, cell->block + 1);
	lmm_csv_u64(c, cell->condition);
	lmm_csv_u64(c, cell->position);
	for (uint32_t i = 0; i < p->n_factors; i++)
		lmm_csv_string(c, p->factors[i].levels[lmm_plan_level(p, cell->condition, i)]);
	lmm_csv_string(c, lmm_cell_status_name(cell->status));
	lmm_csv_string(c, cell->reason);
	lmm_csv_u64(c, cell->naps);
	lmm_csv_u64(c, cell->start_realtime_ns);
	lmm_csv_string(c, cell->engine);
	for (unsigned i = 0; i < LMM_FIGURES; i++) {
		lmm_csv_decimal(c, cell->figures[i], lmm_figures[i].decimals,
				is_ok && !isnan(cell->figures[i]));
	}
	for (unsigned i = LMM_PHASE_MODEL_LOAD; i < LMM_PHASE_COUNT; i++)
		lmm_csv_decimal(c, cell->phase_ns[i], 0, is_ok);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < LMM_ROLE_COUNT; i++)
			lmm_csv_decimal(c, cell->role_ns[k][i], 0, is_ok);
	}
	lmm_csv_end(c);
}

void lmm_study_csv(const struct lmm_study_findings *f, FILE *out)
{
	struct lmm_csv c = { .out = out };
	const struct lmm_study *s = f->s;

	put_header(s->plan, &c);
	for (size_t i = 0; i < (size_t)s->n_blocks * s->plan->n_conditions; i++)
		put_cell(s->plan, &s->cells[i], &c);
}
