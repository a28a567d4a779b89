/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the runs beside the times: then a change has more than one possible cause. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/diff_internal.h"
#include "base/compiler.h"

#define VALUE_MAX 160

static int warn(struct lmm_diff *d, const char *text)
{
	const char **grown = realloc(d->warnings, (d->n_warnings + 1) * sizeof(*grown));

	if (!grown)
		return -1;
	d->warnings = grown;
	grown[d->n_warnings] = strdup(text);
	return grown[d->n_warnings++] ? 0 : -1;
}

static void get_model(const struct lmm_result *r, char *out)
{
	(void)snprintf(out, VALUE_MAX, "%s", r->n_models ? r->models[0].name : "");
}

static void get_quantization(const struct lmm_result *r, char *out)
{
	(void)snprintf(out, VALUE_MAX, "%s", r->n_models ? r->models[0].quantization : "");
}

static void get_engine(const struct lmm_result *r, char *out)
{
	out[0] = '\0';
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct lmm_result_process *p = &r->processes[i];

		if (p->engine_name[0]) {
			(void)snprintf(out, VALUE_MAX, "%s %s", p->engine_name, p->engine_version);
			return;
		}
	}
}

static void get_machine(const struct lmm_result *r, char *out)
{
	(void)snprintf(out, VALUE_MAX, "%s, %u CPUs, %s", r->host_cpu, r->host_cpus, r->host_os);
}

static void get_command(const struct lmm_result *r, char *out)
{
	(void)snprintf(out, VALUE_MAX, "%s", r->command_name);
}

/* Engines do not say it: as far as the command line does. */
static void get_threads(const struct lmm_result *r, char *out)
{
	static const char *const options[] = { " -t ", " --threads ", " threads=" };

	out[0] = '\0';
	for (size_t i = 0; i < LMM_ARRAY_SIZE(options); i++) {
		const char *at = strstr(r->command_line, options[i]);

		if (at) {
			at += strlen(options[i]);
			(void)snprintf(out, VALUE_MAX, "%.*s", (int)strcspn(at, " "), at);
		}
	}
}

static const struct fact {
	const char *name;
	void (*get)(const struct lmm_result *r, char *out);
} facts[] = {
	{ "model", get_model },	    { "quantization", get_quantization },
	{ "engine", get_engine },   { "machine", get_machine },
	{ "command", get_command }, { "thread count", get_threads },
};

/* The first run whose value is another one than that of the first run; one sentence is enough. */
static int compare_fact(struct lmm_diff *d, struct lmm_diff_run *const *runs, const struct fact *f)
{
	uint32_t n = d->n_runs[LMM_DIFF_BEFORE] + d->n_runs[LMM_DIFF_AFTER];
	char first[VALUE_MAX], other[VALUE_MAX], text[3 * VALUE_MAX];

	if (!runs[0]->facts)
		return 0;
	f->get(runs[0]->facts, first);
	for (uint32_t r = 1; r < n; r++) {
		if (!runs[r]->facts)
			continue;
		f->get(runs[r]->facts, other);
		if (strcmp(first, other) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "the %s is not the same in all runs: %s, and %s",
			       f->name, first[0] ? first : "not said",
			       other[0] ? other : "not said");
		return warn(d, text);
	}
	return 0;
}

static int warn_length(struct lmm_diff *d)
{
	const struct lmm_diff_class_facts *f = &d->classes[LMM_DIFF_DECODE];
	double before = (double)f->steps[LMM_DIFF_BEFORE] / d->n_runs[LMM_DIFF_BEFORE];
	double after = (double)f->steps[LMM_DIFF_AFTER] / d->n_runs[LMM_DIFF_AFTER];
	char text[200];

	if (!f->is_seen || (before < after * 1.1 && after < before * 1.1))
		return 0;
	(void)snprintf(
		text, sizeof(text),
		"a run has %.0f decode steps before and %.0f after: attention takes longer as the "
		"context grows",
		before, after);
	return warn(d, text);
}

static int warn_incomplete(struct lmm_diff *d, struct lmm_diff_run *const *runs)
{
	for (uint32_t r = 0; r < d->n_runs[LMM_DIFF_BEFORE] + d->n_runs[LMM_DIFF_AFTER]; r++) {
		const struct lmm_result *result = runs[r]->facts;

		if (result && result->records.dropped_detail)
			return warn(d, "of a run the oldest records were dropped (--max-size)");
		if (result && result->records.lost) {
			return warn(d,
				    "of a run records were lost: steps around them are left out");
		}
	}
	return 0;
}

int lmm__diff_warn(struct lmm_diff *d, struct lmm_diff_run *const *runs)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(facts); i++) {
		if (compare_fact(d, runs, &facts[i]))
			return -1;
	}
	return warn_length(d) || warn_incomplete(d, runs) ? -1 : 0;
}
