/* SPDX-License-Identifier: Apache-2.0 */
#include "study/study.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate/json_read.h"

#define CELL_FILE_MAX  (1u << 20)
#define STUDY_FILE_MAX (1u << 20)

struct lmm_cell *lmm_study_cell(const struct lmm_study *s, uint32_t block, uint32_t condition)
{
	return &s->cells[(size_t)block * s->plan->n_conditions + condition];
}

/* Models and quantizations are what variants are of. */
static void variants_make(struct lmm_study *s)
{
	struct lmm_plan *p = s->plan;
	int at = lmm_plan_factor_of(p, LMM_FACTOR_QUANTIZATION);

	s->variant_factor = at >= 0 ? at : lmm_plan_factor_of(p, LMM_FACTOR_MODEL);
	if (s->variant_factor < 0)
		return;
	s->variants = calloc(p->factors[s->variant_factor].n, sizeof(*s->variants));
	if (!s->variants)
		return;
	s->n_variants = p->factors[s->variant_factor].n;
	for (uint32_t i = 0; i < s->n_variants; i++)
		lmm_variant_init(&s->variants[i], p->factors[s->variant_factor].levels[i]);
}

struct lmm_study *lmm_study_create(struct lmm_plan *plan)
{
	struct lmm_study *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->plan = plan;
	s->n_blocks = (uint32_t)plan->repeats;
	(void)snprintf(s->name, sizeof(s->name), "%s", plan->name);
	s->cells = calloc((size_t)s->n_blocks * plan->n_conditions, sizeof(*s->cells));
	if (!s->cells) {
		free(s);
		return NULL;
	}
	for (uint32_t b = 0; b < s->n_blocks; b++) {
		for (uint32_t c = 0; c < plan->n_conditions; c++)
			lmm_cell_init(lmm_study_cell(s, b, c), c, b);
	}
	variants_make(s);
	return s;
}

void lmm_study_destroy(struct lmm_study *s)
{
	if (!s)
		return;
	lmm_plan_destroy(s->plan);
	free(s->cells);
	free(s->variants);
	free(s);
}

/* ---- loading ------------------------------------------------------------------------------------ */

static void text_take(char *to, size_t bytes, const struct lmm_json_value *v)
{
	if (v->kind == LMM_JSON_STRING)
		(void)snprintf(to, bytes, "%s", v->text);
}

static int head_value(void *ctx, const struct lmm_json_value *v)
{
	struct lmm_study *s = ctx;

	if (strcmp(v->path, "schema") == 0) {
		return v->kind == LMM_JSON_STRING && strcmp(v->text, LMM_STUDY_SCHEMA) == 0
			       ? 0
			       : -EPROTO;
	}
	if (strcmp(v->path, "name") == 0) {
		text_take(s->name, sizeof(s->name), v);
	} else if (strcmp(v->path, "host.cpu") == 0) {
		text_take(s->cpu, sizeof(s->cpu), v);
	} else if (strcmp(v->path, "host.os") == 0) {
		text_take(s->os, sizeof(s->os), v);
	} else if (strcmp(v->path, "lmmeter_version") == 0) {
		text_take(s->lmmeter, sizeof(s->lmmeter), v);
	} else if (strcmp(v->path, "reference_note") == 0) {
		text_take(s->reference_note, sizeof(s->reference_note), v);
	} else if (v->kind == LMM_JSON_NUMBER && v->number >= 0) {
		if (strcmp(v->path, "host.cpus") == 0) {
			s->cpus = v->number < 1e9 ? (uint32_t)v->number : 0;
		} else if (strcmp(v->path, "host.memory_bytes") == 0) {
			s->memory_bytes = v->number < 1e18 ? (uint64_t)v->number : 0;
		} else if (strcmp(v->path, "start_realtime_ns") == 0) {
			s->start_realtime_ns = v->number < 9e18 ? (uint64_t)v->number : 0;
		}
	}
	return 0;
}

static int head_load(struct lmm_study *s, char *why, size_t why_bytes)
{
	char path[LMM_STUDY_PATH + 32], *text;
	size_t n;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/study.json", s->folder);
	rc = lmm_study_file(path, STUDY_FILE_MAX, &text, &n);
	if (rc == 0) {
		rc = lmm_json_walk(text, n, head_value, s) ? -EPROTO : 0;
		free(text);
	}
	if (rc == -EPROTO)
		(void)snprintf(why, why_bytes, "study.json is not what it should be");
	return rc;
}

static int cell_load(struct lmm_study *s, uint32_t block, uint32_t condition, char *why,
		     size_t why_bytes)
{
	struct lmm_cell *c = lmm_study_cell(s, block, condition);
	char path[LMM_STUDY_PATH + 64], *text;
	size_t n;
	int rc;

	lmm_study_cell_path(s->folder, block, condition, path, sizeof(path));
	rc = lmm_study_file(path, CELL_FILE_MAX, &text, &n);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0) {
		rc = lmm_cell_parse(c, text, n);
		free(text);
		if (rc == 0 && (c->block != block || c->condition != condition))
			rc = -EPROTO;
	}
	if (rc == -EPROTO || rc == -EFBIG) {
		(void)snprintf(
			why, why_bytes,
			"cells/%04u-%04u.json is not what it should be; without the file the cell is run again",
			block, condition);
	}
	return rc == -EFBIG ? -EPROTO : rc;
}

static void variants_load(struct lmm_study *s)
{
	for (uint32_t i = 0; i < s->n_variants; i++) {
		struct lmm_variant v;
		char path[LMM_STUDY_PATH + 128], *text;
		size_t n;

		lmm_study_variant_path(s->folder, s->variants[i].level, path, sizeof(path));
		if (lmm_study_file(path, CELL_FILE_MAX, &text, &n))
			continue;
		if (lmm_study_parse_variant(&v, text, n) == 0)
			s->variants[i] = v;
		free(text);
	}
}

/* As it was when the study was begun. */
static struct lmm_plan *plan_load(const char *folder, lmm_plan_complain_fn *complain, void *ctx)
{
	char path[LMM_STUDY_PATH + 32], *variables;
	struct lmm_plan *plan;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/variables", folder);
	if (lmm_study_file(path, STUDY_FILE_MAX, &variables, &n))
		variables = NULL;
	(void)snprintf(path, sizeof(path), "%s/plan.toml", folder);
	plan = lmm_plan_read(path, variables, complain, ctx);
	free(variables);
	return plan;
}

int lmm_study_load(const char *folder, struct lmm_study **out, lmm_plan_complain_fn *complain,
		   void *ctx, char *why, size_t why_bytes)
{
	struct lmm_plan *plan;
	struct lmm_study *s;
	int rc;

	*out = NULL;
	why[0] = '\0';
	if (strlen(folder) >= LMM_STUDY_PATH - 64)
		return -ENAMETOOLONG;
	plan = plan_load(folder, complain, ctx);
	if (!plan)
		return -EPROTO;
	s = lmm_study_create(plan);
	if (!s) {
		lmm_plan_destroy(plan);
		return -ENOMEM;
	}
	(void)snprintf(s->folder, sizeof(s->folder), "%s", folder);
	rc = head_load(s, why, why_bytes);
	for (uint32_t b = 0; rc == 0 && b < s->n_blocks; b++) {
		for (uint32_t c = 0; rc == 0 && c < plan->n_conditions; c++)
			rc = cell_load(s, b, c, why, why_bytes);
	}
	variants_load(s);
	if (rc) {
		lmm_study_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}
