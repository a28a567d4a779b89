/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's file, key by key. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <tomlc17.h>

#include "base/compiler.h"
#include "study/plan_internal.h"

#define FILE_MAX (1 << 20)

void lmm__plan_complain(struct lmm_plan_reading *r, int line, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->n_complaints++;
	r->complain(r->ctx, line, text);
}

/* ---- values ------------------------------------------------------------------------------------- */

static const char *type_name(toml_type_t type)
{
	switch (type) {
	case TOML_STRING:
		return "a string";
	case TOML_INT64:
	case TOML_FP64:
		return "a number";
	case TOML_BOOLEAN:
		return "true or false";
	case TOML_ARRAY:
		return "a list";
	case TOML_TABLE:
		return "a table";
	default:
		return "a date";
	}
}

/* A scalar as text, variables put in; NULL when that was complained about. */
static char *text_of(struct lmm_plan_reading *r, const char *key, const toml_datum_t *v)
{
	char number[64], why[128] = "";
	char *text = NULL;

	if (v->type == TOML_STRING) {
		if (strlen(v->u.str.ptr) != (size_t)v->u.str.len) {
			lmm__plan_complain(r, v->lineno, "%s: a NUL inside the text", key);
			return NULL;
		}
		text = lmm__plan_variables(&r->variables, v->u.str.ptr, why, sizeof(why));
		if (!text) {
			lmm__plan_complain(r, v->lineno, "%s: %s", key,
					   why[0] ? why : "out of memory");
		}
	} else if (v->type == TOML_INT64 || v->type == TOML_FP64) {
		(void)snprintf(number, sizeof(number), v->type == TOML_INT64 ? "%.0f" : "%.10g",
			       v->type == TOML_INT64 ? (double)v->u.int64 : v->u.fp64);
		text = strdup(number);
	} else if (v->type == TOML_BOOLEAN) {
		text = strdup(v->u.boolean ? "true" : "false");
	} else {
		lmm__plan_complain(r, v->lineno, "%s: %s where a string or a number is expected",
				   key, type_name(v->type));
	}
	if (text && strlen(text) > LMM_PLAN_TEXT_MAX) {
		lmm__plan_complain(r, v->lineno, "%s: longer than %u bytes", key,
				   LMM_PLAN_TEXT_MAX);
		free(text);
		text = NULL;
	}
	return text;
}

static char **texts_of(struct lmm_plan_reading *r, const char *key, const toml_datum_t *v,
		       uint32_t max, uint32_t *n)
{
	uint32_t count = v->type == TOML_ARRAY ? (uint32_t)v->u.arr.size : 1;
	const toml_datum_t *all = v->type == TOML_ARRAY ? v->u.arr.elem : v;
	char **texts;

	*n = 0;
	if (count == 0 || count > max) {
		lmm__plan_complain(r, v->lineno, "%s: takes 1 to %u values, not %u", key, max,
				   count);
		return NULL;
	}
	texts = calloc((size_t)count + 1, sizeof(*texts));
	for (uint32_t i = 0; texts && i < count; i++) {
		texts[*n] = text_of(r, key, &all[i]);
		*n += texts[*n] != NULL;
	}
	return texts;
}

/* ---- keys of tables ------------------------------------------------------------------------------ */

enum key_kind { KEY_TEXT, KEY_COUNT, KEY_DURATION, KEY_WEIGHT, KEY_KEEP, KEY_COOLDOWN };

struct key {
	const char *name;
	enum key_kind kind;
	size_t offset;
	uint64_t min, max; /* KEY_COUNT */
};

#define AT(field) offsetof(struct lmm_plan, field)

static const struct key top_keys[] = {
	{ "name", KEY_TEXT, AT(name), 0, 0 },
};

static const struct key run_keys[] = {
	{ "repeats", KEY_COUNT, AT(repeats), 1, LMM_PLAN_REPEATS_MAX },
	{ "warmup", KEY_COUNT, AT(warmup), 0, 100 },
	{ "seed", KEY_COUNT, AT(seed), 0, 1000000000 },
	{ "cell_budget", KEY_DURATION, AT(cell_budget_ns), 0, 0 },
	{ "cooldown", KEY_COOLDOWN, AT(cooldown_ns), 0, 0 },
	{ "cooldown_max", KEY_DURATION, AT(cooldown_max_ns), 0, 0 },
	{ "keep", KEY_KEEP, AT(keep), 0, 0 },
	{ "lmmeter_budget", KEY_TEXT, AT(overhead_budget), 0, 0 },
	{ "prompt_text", KEY_TEXT, AT(prompt_text), 0, 0 },
};

static const struct key quantize_keys[] = {
	{ "program", KEY_TEXT, AT(quantize_program), 0, 0 },
	{ "source", KEY_TEXT, AT(quantize_source), 0, 0 },
};

static const struct key quality_keys[] = {
	{ "program", KEY_TEXT, AT(quality_program), 0, 0 },
	{ "text", KEY_TEXT, AT(quality_text), 0, 0 },
	{ "reference", KEY_TEXT, AT(quality_reference), 0, 0 },
	{ "context", KEY_COUNT, AT(quality_context), 8, 1u << 20 },
	{ "chunks", KEY_COUNT, AT(quality_chunks), 1, 1u << 20 },
	{ "threads", KEY_COUNT, AT(quality_threads), 1, 1024 },
	{ "hellaswag", KEY_TEXT, AT(tasks[LMM_TASK_HELLASWAG]), 0, 0 },
	{ "winogrande", KEY_TEXT, AT(tasks[LMM_TASK_WINOGRANDE]), 0, 0 },
	{ "multiple_choice", KEY_TEXT, AT(tasks[LMM_TASK_CHOICE]), 0, 0 },
	{ "tasks", KEY_COUNT, AT(tasks_n), 1, 1u << 20 },
};

static const struct key score_keys[] = {
	{ "quality", KEY_WEIGHT, AT(weight_quality), 0, 0 },
	{ "time", KEY_WEIGHT, AT(weight_time), 0, 0 },
	{ "memory", KEY_WEIGHT, AT(weight_memory), 0, 0 },
	{ "energy", KEY_WEIGHT, AT(weight_energy), 0, 0 },
};

static void *field_of(struct lmm_plan *p, size_t offset)
{
	return (char *)p + offset;
}

static void take_duration(struct lmm_plan_reading *r, const struct key *k, const toml_datum_t *v)
{
	char *text = text_of(r, k->name, v);

	if (text && lmm_plan_duration(text, field_of(r->plan, k->offset))) {
		lmm__plan_complain(r, v->lineno,
				   "%s takes a time such as 30s, 500ms or 2m, not '%s'", k->name,
				   text);
	}
	free(text);
}

static void take_cooldown(struct lmm_plan_reading *r, const struct key *k, const toml_datum_t *v)
{
	if (v->type == TOML_STRING && strcmp(v->u.s, "temperature") == 0) {
		r->plan->cools_by_heat = 1;
		return;
	}
	take_duration(r, k, v);
}

static void take_keep(struct lmm_plan_reading *r, const struct key *k, const toml_datum_t *v)
{
	static const char *const words[] = { "none", "first", "all" };

	for (unsigned i = 0; v->type == TOML_STRING && i < LMM_ARRAY_SIZE(words); i++) {
		if (strcmp(v->u.s, words[i]) == 0) {
			r->plan->keep = (enum lmm_plan_keep)i;
			return;
		}
	}
	lmm__plan_complain(r, v->lineno, "%s takes \"none\", \"first\" or \"all\"", k->name);
}

static void take_count(struct lmm_plan_reading *r, const struct key *k, const toml_datum_t *v)
{
	if (v->type != TOML_INT64 || v->u.int64 < 0 || (uint64_t)v->u.int64 < k->min ||
	    (uint64_t)v->u.int64 > k->max) {
		lmm__plan_complain(r, v->lineno, "%s takes a whole number from %lu to %lu", k->name,
				   (unsigned long)k->min, (unsigned long)k->max);
		return;
	}
	*(uint64_t *)field_of(r->plan, k->offset) = (uint64_t)v->u.int64;
}

static void take_weight(struct lmm_plan_reading *r, const struct key *k, const toml_datum_t *v)
{
	double w = v->type == TOML_INT64  ? (double)v->u.int64
		   : v->type == TOML_FP64 ? v->u.fp64
					  : -1;

	if (!(w >= 0 && w <= 1000)) {
		lmm__plan_complain(r, v->lineno, "%s takes a weight from 0 to 1000", k->name);
		return;
	}
	*(double *)field_of(r->plan, k->offset) = w;
}

static void key_take(struct lmm_plan_reading *r, const struct key *k, const toml_datum_t *v)
{
	char **text = field_of(r->plan, k->offset);

	switch (k->kind) {
	case KEY_TEXT:
		free(*text);
		*text = text_of(r, k->name, v);
		break;
	case KEY_COUNT:
		take_count(r, k, v);
		break;
	case KEY_DURATION:
		take_duration(r, k, v);
		break;
	case KEY_COOLDOWN:
		take_cooldown(r, k, v);
		break;
	case KEY_KEEP:
		take_keep(r, k, v);
		break;
	case KEY_WEIGHT:
		take_weight(r, k, v);
		break;
	}
}

static void table_take(struct lmm_plan_reading *r, const char *table, const toml_datum_t *t,
		       const struct key *keys, size_t n)
{
	if (t->type != TOML_TABLE) {
		lmm__plan_complain(r, t->lineno, "%s: %s where a table is expected", table,
				   type_name(t->type));
		return;
	}
	for (int32_t i = 0; i < t->u.tab.size; i++) {
		size_t k = 0;

		while (k < n && strcmp(keys[k].name, t->u.tab.key[i]) != 0)
			k++;
		if (k < n) {
			key_take(r, &keys[k], &t->u.tab.value[i]);
		} else {
			lmm__plan_complain(r, t->u.tab.value[i].lineno,
					   "there is no key '%.60s' in [%s]", t->u.tab.key[i],
					   table);
		}
	}
}

/* ---- factors ------------------------------------------------------------------------------------ */

static enum lmm_factor_kind kind_of(const char *name)
{
	static const struct {
		const char *name;
		enum lmm_factor_kind kind;
	} kinds[] = {
		{ "model", LMM_FACTOR_MODEL },
		{ "quantization", LMM_FACTOR_QUANTIZATION },
		{ "prompt_tokens", LMM_FACTOR_PROMPT },
		{ "affinity", LMM_FACTOR_AFFINITY },
		{ "governor", LMM_FACTOR_GOVERNOR },
		{ "max_frequency_khz", LMM_FACTOR_FREQUENCY },
		{ "cpu_quota_percent", LMM_FACTOR_QUOTA },
		{ "load", LMM_FACTOR_LOAD },
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(kinds); i++) {
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].kind;
	}
	return strncmp(name, "env.", 4) == 0 ? LMM_FACTOR_ENV : LMM_FACTOR_HOLE;
}

static int name_is_good(const char *name)
{
	return name[0] && strlen(name) < 64 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
		       strlen(name);
}

static void factor_take(struct lmm_plan_reading *r, const char *name, const toml_datum_t *v)
{
	struct lmm_plan *p = r->plan;
	struct lmm_factor *f = &p->factors[p->n_factors];

	if (!name_is_good(name)) {
		lmm__plan_complain(r, v->lineno,
				   "'%.60s' is no name for a factor: letters, digits, _ - .", name);
		return;
	}
	if (p->n_factors == LMM_PLAN_FACTORS_MAX) {
		lmm__plan_complain(r, v->lineno, "more than %u factors", LMM_PLAN_FACTORS_MAX);
		return;
	}
	f->levels = texts_of(r, name, v, LMM_PLAN_LEVELS_MAX, &f->n);
	if (!f->levels)
		return;
	f->name = strdup(name);
	f->line = v->lineno;
	f->kind = kind_of(name);
	p->n_factors++;
}

static void env_take(struct lmm_plan_reading *r, const toml_datum_t *t)
{
	for (int32_t i = 0; i < t->u.tab.size; i++) {
		char name[128];

		(void)snprintf(name, sizeof(name), "env.%.100s", t->u.tab.key[i]);
		factor_take(r, name, &t->u.tab.value[i]);
	}
}

static void factors_take(struct lmm_plan_reading *r, const toml_datum_t *t)
{
	if (t->type != TOML_TABLE) {
		lmm__plan_complain(r, t->lineno, "factors is a table");
		return;
	}
	for (int32_t i = 0; i < t->u.tab.size; i++) {
		const toml_datum_t *v = &t->u.tab.value[i];

		if (strcmp(t->u.tab.key[i], "env") == 0 && v->type == TOML_TABLE) {
			env_take(r, v);
		} else {
			factor_take(r, t->u.tab.key[i], v);
		}
	}
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static void engine_take(struct lmm_plan_reading *r, const toml_datum_t *t)
{
	uint32_t n;

	for (int32_t i = 0; t->type == TOML_TABLE && i < t->u.tab.size; i++) {
		const toml_datum_t *v = &t->u.tab.value[i];

		if (strcmp(t->u.tab.key[i], "command") != 0) {
			lmm__plan_complain(r, v->lineno, "there is no key '%.60s' in [engine]",
					   t->u.tab.key[i]);
		} else if (v->type != TOML_ARRAY) {
			lmm__plan_complain(
				r, v->lineno,
				"command is a list, a program and its arguments: [\"llama-completion\", \"-m\", \"{model}\"]");
		} else {
			r->command_line = v->lineno;
			r->plan->command = texts_of(r, "command", v, LMM_PLAN_WORDS_MAX, &n);
		}
	}
}

static void part_take(struct lmm_plan_reading *r, const char *key, const toml_datum_t *v)
{
	static const struct {
		const char *name;
		const struct key *keys;
		size_t n;
	} tables[] = {
		[LMM_PLAN_RUN] = { "run", run_keys, LMM_ARRAY_SIZE(run_keys) },
		[LMM_PLAN_QUANTIZE] = { "quantize", quantize_keys, LMM_ARRAY_SIZE(quantize_keys) },
		[LMM_PLAN_QUALITY] = { "quality", quality_keys, LMM_ARRAY_SIZE(quality_keys) },
		[LMM_PLAN_SCORE] = { "score", score_keys, LMM_ARRAY_SIZE(score_keys) },
	};

	if (strcmp(key, "engine") == 0) {
		engine_take(r, v);
		return;
	}
	if (strcmp(key, "factors") == 0) {
		factors_take(r, v);
		return;
	}
	if (strcmp(key, top_keys[0].name) == 0) {
		key_take(r, &top_keys[0], v);
		return;
	}
	for (size_t i = 0; i < LMM_ARRAY_SIZE(tables); i++) {
		if (strcmp(key, tables[i].name) == 0) {
			r->line_of[i] = v->lineno ? v->lineno : 1;
			table_take(r, key, v, tables[i].keys, tables[i].n);
			return;
		}
	}
	lmm__plan_complain(
		r, v->lineno,
		"there is no table or key '%.60s': name, [engine], [factors], [run], [quantize], [quality], [score]",
		key);
}

static char *file_read(struct lmm_plan_reading *r, const char *path, size_t *n)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(FILE_MAX + 1) : NULL;

	if (text) {
		*n = fread(text, 1, FILE_MAX + 1, f);
		if (ferror(f) || *n > FILE_MAX) {
			lmm__plan_complain(
				r, 0, ferror(f) ? "it cannot be read" : "it is larger than 1 MiB");
			free(text);
			text = NULL;
		} else {
			text[*n] = '\0';
		}
	} else {
		lmm__plan_complain(r, 0, "%s", strerror(errno)); /* NOLINT(concurrency-mt-unsafe) */
	}
	if (f)
		(void)fclose(f);
	return text;
}

/* "toml: (line 3) …" and the like: the line goes to where lines go. */
static void syntax_complain(struct lmm_plan_reading *r, const char *message)
{
	const char *at = strstr(message, "line ");
	char *end = NULL;
	long line = at ? strtol(at + 5, &end, 10) : 0;

	if (end) {
		message = end + strcspn(end, " ");
		message += strspn(message, " ):,");
	}
	lmm__plan_complain(r, (int)line, "%s", message);
}

static void text_take(struct lmm_plan_reading *r, const char *text, size_t n)
{
	toml_option_t options = toml_default_option();
	toml_result_t toml;

	options.check_utf8 = true;
	toml_set_option(options);
	toml = toml_parse(text, (int)n);
	if (!toml.ok) {
		syntax_complain(r, toml.errmsg);
	} else {
		for (int32_t i = 0; i < toml.toptab.u.tab.size; i++)
			part_take(r, toml.toptab.u.tab.key[i], &toml.toptab.u.tab.value[i]);
	}
	toml_free(toml);
}

static void defaults_set(struct lmm_plan *p, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');

	p->path = strdup(path);
	p->folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	p->name = dot && dot > name ? strndup(name, (size_t)(dot - name)) : strdup(name);
	p->repeats = 5;
	p->warmup = 1;
	p->seed = 1;
	p->cell_budget_ns = 600000000000u;
	p->cooldown_max_ns = 60000000000u;
	p->quality_context = 512;
	p->weight_quality = p->weight_time = p->weight_memory = 1;
}

struct lmm_plan *lmm_plan_read(const char *path, const char *variables,
			       lmm_plan_complain_fn *complain, void *ctx)
{
	struct lmm_plan_reading r = { .complain = complain,
				      .ctx = ctx,
				      .variables.given = variables };
	size_t n = 0;
	char *text;

	r.plan = calloc(1, sizeof(*r.plan));
	if (!r.plan) {
		complain(ctx, 0, "out of memory");
		return NULL;
	}
	defaults_set(r.plan, path);
	r.variables.folder = r.plan->folder;
	text = file_read(&r, path, &n);
	if (text) {
		text_take(&r, text, n);
		if (r.n_complaints == 0)
			lmm__plan_check(&r);
	}
	free(text);
	r.plan->variables = r.variables.used;
	if (r.n_complaints == 0)
		return r.plan;
	lmm_plan_destroy(r.plan);
	return NULL;
}

static void texts_free(char **texts)
{
	for (char **t = texts; t && *t; t++)
		free(*t);
	free(texts);
}

void lmm_plan_destroy(struct lmm_plan *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n_factors; i++) {
		free(p->factors[i].name);
		texts_free(p->factors[i].levels);
	}
	texts_free(p->command);
	for (unsigned i = 0; i < LMM_TASK_KINDS; i++)
		free(p->tasks[i]);
	free(p->path);
	free(p->variables);
	free(p->folder);
	free(p->name);
	free(p->overhead_budget);
	free(p->prompt_text);
	free(p->quantize_program);
	free(p->quantize_source);
	free(p->quality_program);
	free(p->quality_text);
	free(p->quality_reference);
	free(p);
}
