/* SPDX-License-Identifier: Apache-2.0 */
/* Schema lmmeter.study_report/1, docs/study.md. */
#include <math.h>

#include "report/json_writer.h"
#include "study/study_findings.h"

static void put_known(struct lmm_json *j, const char *key, double v, unsigned decimals)
{
	lmm_json_double(j, key, v, decimals);
}

static void put_levels(struct lmm_json *j, const struct lmm_plan *p, uint32_t condition)
{
	lmm_json_row_begin(j, "levels");
	for (uint32_t i = 0; i < p->n_factors; i++) {
		lmm_json_string(j, p->factors[i].name,
				p->factors[i].levels[lmm_plan_level(p, condition, i)]);
	}
	lmm_json_object_end(j);
}

static void put_share(struct lmm_json *j, const char *key, const struct lmm_study *s,
		      uint32_t condition, lmm_cell_value_fn *value)
{
	double mean, half;
	uint32_t n = lmm_study_cell_mean(s, condition, value, &mean, &half);

	lmm_json_row_begin(j, key);
	put_known(j, "mean", n ? mean : NAN, 4);
	put_known(j, "half", half, 4);
	lmm_json_u64(j, "count", n);
	lmm_json_object_end(j);
}

static double phase_mean(const struct lmm_study *s, uint32_t condition, unsigned phase)
{
	double sum = 0;
	uint32_t n = 0;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);

		if (c->status == LMM_CELL_OK) {
			sum += c->phase_ns[phase];
			n++;
		}
	}
	return n ? sum / n : NAN;
}

static void put_decode(struct lmm_json *j, const struct lmm_study *s, uint32_t condition)
{
	struct lmm_study_decode d;

	lmm_study_decode(s, condition, &d);
	lmm_json_row_begin(j, "decode_roles");
	for (unsigned i = 0; i < LMM_ROLE_COUNT; i++)
		put_known(j, lmm_role_name(i), d.role_percent[i], 3);
	lmm_json_object_end(j);
	lmm_json_array_begin(j, "bandwidth");
	for (uint32_t i = 0; i < d.n_types; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "weight_type", d.types[i].name);
		put_known(j, "gb_per_second", d.types[i].gb_per_second, 4);
		put_known(j, "share_percent", d.types[i].share_percent, 3);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_condition(struct lmm_json *j, const struct lmm_study_findings *f, uint32_t c)
{
	lmm_json_object_begin(j, NULL);
	lmm_json_u64(j, "condition", c);
	put_levels(j, f->s->plan, c);
	lmm_json_object_begin(j, "figures");
	for (unsigned i = 0; i < LMM_FIGURES; i++) {
		const struct lmm_mean *m = lmm_study_mean(f, c, i);

		lmm_json_row_begin(j, lmm_figures[i].key);
		put_known(j, "mean", m->value, 3);
		put_known(j, "low", m->low, 3);
		put_known(j, "high", m->high, 3);
		lmm_json_u64(j, "count", m->n);
		lmm_json_object_end(j);
	}
	lmm_json_object_end(j);
	lmm_json_row_begin(j, "phase_ns");
	for (unsigned i = LMM_PHASE_MODEL_LOAD; i < LMM_PHASE_COUNT; i++)
		put_known(j, lmm_phase_name(i), phase_mean(f->s, c, i), 0);
	lmm_json_object_end(j);
	put_share(j, "prefill_percent", f->s, c, lmm_cell_prefill_percent);
	put_share(j, "decode_percent", f->s, c, lmm_cell_decode_percent);
	put_share(j, "matmul_percent", f->s, c, lmm_cell_matmul_percent);
	put_share(j, "drift_percent", f->s, c, lmm_cell_drift_percent);
	put_decode(j, f->s, c);
	lmm_json_object_end(j);
}

static void put_contrast(struct lmm_json *j, const struct lmm_study_findings *f,
			 const struct lmm_study_contrast *c, int is_main)
{
	const struct lmm_factor *factor = &f->s->plan->factors[c->factor];
	const struct lmm_contrast_estimate *e = &c->e;

	lmm_json_row_begin(j, NULL);
	lmm_json_string(j, "factor", factor->name);
	lmm_json_string(j, "level", factor->levels[c->level]);
	lmm_json_string(j, "base", factor->levels[c->base]);
	lmm_json_string(j, "figure", lmm_figures[c->figure].key);
	if (is_main) {
		lmm_json_null(j, "condition");
	} else {
		lmm_json_u64(j, "condition", (uint64_t)c->condition);
	}
	lmm_json_u64(j, "pairs", c->pairs);
	lmm_json_bool(j, "judged", e->is_judged);
	put_known(j, "change_percent", 100 * expm1(e->change), 4);
	put_known(j, "low_percent", 100 * expm1(e->low), 4);
	put_known(j, "high_percent", e->is_judged ? 100 * expm1(e->high) : NAN, 4);
	put_known(j, "p", e->p, 9);
	lmm_json_bool(j, "changed", e->is_changed);
	put_known(j, "power_of_2_percent", is_main && e->is_judged ? e->power_2 : NAN, 4);
	put_known(j, "found_with_80_percent",
		  is_main && e->is_judged ? 100 * expm1(e->least_80) : NAN, 4);
	lmm_json_object_end(j);
}

static void put_dear(struct lmm_json *j, const char *key, const struct lmm_dear *d)
{
	lmm_json_row_begin(j, key);
	put_known(j, "value", d->value, 4);
	put_known(j, "low", d->low, 4);
	put_known(j, "high", d->high, 4);
	lmm_json_object_end(j);
}

static void put_measured(struct lmm_json *j, const char *key, const struct lmm_measured *m)
{
	lmm_json_row_begin(j, key);
	put_known(j, "value", m->value, 6);
	put_known(j, "half", m->half, 6);
	lmm_json_object_end(j);
}

static void put_variant(struct lmm_json *j, const struct lmm_study_findings *f, uint32_t i)
{
	const struct lmm_variant *v = &f->s->variants[i];
	const struct lmm_study_worth *w = &f->worths[i];

	lmm_json_object_begin(j, NULL);
	lmm_json_string(j, "level", v->level);
	lmm_json_string(j, "file", v->file);
	lmm_json_bool(j, "reference", v->is_reference);
	lmm_json_string(j, "reason", v->reason);
	put_known(j, "size_bytes", v->size_bytes, 0);
	put_known(j, "bits_per_weight", v->bits_per_weight, 4);
	put_known(j, "fallback_of", v->fallback_of, 0);
	put_known(j, "fallback_tensors", v->fallback_tensors, 0);
	put_measured(j, "perplexity", &v->perplexity);
	put_measured(j, "perplexity_ratio", &v->ratio);
	put_measured(j, "kl_divergence", &v->kld);
	put_measured(j, "top1_percent", &v->top1);
	put_measured(j, "hellaswag_percent", &v->tasks[LMM_TASK_HELLASWAG]);
	put_measured(j, "winogrande_percent", &v->tasks[LMM_TASK_WINOGRANDE]);
	put_measured(j, "multiple_choice_percent", &v->tasks[LMM_TASK_CHOICE]);
	put_dear(j, "ttft_ns", &w->ttft);
	put_dear(j, "tpot_ns", &w->tpot);
	put_dear(j, "memory_bytes", &w->memory);
	put_dear(j, "token_energy_uj", &w->energy);
	lmm_json_row_begin(j, "score");
	put_known(j, "value", w->score.value, 6);
	put_known(j, "low", w->score.low, 6);
	put_known(j, "high", w->score.high, 6);
	put_known(j, "quality", w->score.parts[LMM_SCORE_QUALITY], 6);
	put_known(j, "time", w->score.parts[LMM_SCORE_TIME], 6);
	put_known(j, "memory", w->score.parts[LMM_SCORE_MEMORY], 6);
	put_known(j, "energy", w->score.parts[LMM_SCORE_ENERGY], 6);
	lmm_json_object_end(j);
	if (w->dominated_by < 0) {
		lmm_json_null(j, "dominated_by");
	} else {
		lmm_json_string(j, "dominated_by", f->s->variants[w->dominated_by].level);
	}
	lmm_json_object_end(j);
}

static void put_conclusions(struct lmm_json *j, const struct lmm_study_findings *f)
{
	lmm_json_array_begin(j, "conclusions");
	for (uint32_t i = 0; i < f->n_conclusions; i++) {
		const struct lmm_conclusion *c = &f->conclusions[i];

		lmm_json_object_begin(j, NULL);
		lmm_json_string(j, "id", c->id);
		lmm_json_string(j, "confidence", lmm_confidence_name(c->confidence));
		lmm_json_string(j, "text", c->text);
		lmm_json_string(j, "evidence", c->evidence);
		lmm_json_string(j, "rule", c->rule);
		put_known(j, "value", c->value, 6);
		put_known(j, "threshold", c->threshold, 6);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_head(struct lmm_json *j, const struct lmm_study_findings *f)
{
	const struct lmm_study *s = f->s;

	lmm_json_string(j, "schema", "lmmeter.study_report/1");
	lmm_json_string(j, "name", s->name);
	lmm_json_string(j, "lmmeter_version", s->lmmeter);
	lmm_json_u64(j, "start_realtime_ns", s->start_realtime_ns);
	lmm_json_object_begin(j, "host");
	lmm_json_string(j, "os", s->os);
	lmm_json_string(j, "cpu", s->cpu);
	lmm_json_u64(j, "cpus", s->cpus);
	lmm_json_u64(j, "memory_bytes", s->memory_bytes);
	lmm_json_object_end(j);
	lmm_json_object_begin(j, "cells");
	lmm_json_u64(j, "ok", f->n_ok);
	lmm_json_u64(j, "failed", f->n_holes);
	lmm_json_u64(j, "missing", f->n_missing);
	lmm_json_object_end(j);
}

void lmm_study_json(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_study *s = f->s;
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	put_head(&j, f);
	put_conclusions(&j, f);
	lmm_json_array_begin(&j, "variants");
	for (uint32_t i = 0; i < s->n_variants; i++)
		put_variant(&j, f, i);
	lmm_json_array_end(&j);
	lmm_json_array_begin(&j, "conditions");
	for (uint32_t c = 0; c < s->plan->n_conditions; c++)
		put_condition(&j, f, c);
	lmm_json_array_end(&j);
	lmm_json_array_begin(&j, "contrasts");
	for (uint32_t i = 0; i < f->n_contrasts; i++)
		put_contrast(&j, f, &f->contrasts[i], i < f->n_main);
	lmm_json_array_end(&j);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
