/* SPDX-License-Identifier: Apache-2.0 */
/* Variants of a model: made with the engine's own llama-quantize, judged by its own llama-perplexity. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/study_run.h"

#define AS_IS	     "as_is" /* a level of quantization: the source itself */
#define LIMIT_NS     7200000000000u
#define LOG_MAX	     (64u << 20)
#define WORDS_MAX    32
#define SIGMAS_OF_95 1.959963984540054

/* ---- files ---------------------------------------------------------------------------------------- */

char *lmm_study_variant_file(const struct lmm_study *s, uint32_t level)
{
	const struct lmm_plan *p = s->plan;
	const struct lmm_factor *f = &p->factors[s->variant_factor];
	char *path;

	if (f->kind == LMM_FACTOR_MODEL)
		return strdup(f->levels[level]);
	if (strcmp(f->levels[level], AS_IS) == 0)
		return strdup(p->quantize_source);
	return asprintf(&path, "%s/variants/%.200s.gguf", s->folder, f->levels[level]) < 0 ? NULL
											   : path;
}

struct judging {
	struct lmm_study_run *r;
	struct lmm_variant *v;
	char *model;
	char base[LMM_STUDY_PATH]; /* what the reference thinks of each token of the text */
	char out[LMM_STUDY_PATH], log[LMM_STUDY_PATH];
};

/* ---- a program of the engine's ----------------------------------------------------------------------- */

/* 0; -EINTR; -1 and v->reason says why. */
static int program_run(struct judging *j, const char *const *words)
{
	struct lmm_study_child child = {
		.out_path = j->out, .log_path = j->log, .limit_ns = LIMIT_NS, .mask = j->r->mask
	};
	char *argv[WORDS_MAX + 1];
	const char *name;
	char why[512];
	unsigned n = 0;
	int rc = 0;

	for (; words[n] && n < WORDS_MAX; n++) {
		argv[n] = strdup(words[n]);
		if (!argv[n])
			rc = -ENOMEM;
	}
	argv[n] = NULL;
	child.argv = argv;
	if (rc == 0)
		rc = lmm_study_child_run(&child);
	while (n > 0)
		free(argv[--n]);
	j->r->signal = child.signal ? child.signal : j->r->signal;
	if (j->r->signal)
		return -EINTR;
	if (rc) {
		(void)snprintf(j->v->reason, sizeof(j->v->reason), "%.100s: %s", words[0],
			       lmm_strerror(rc));
		return -1;
	}
	lmm_study_child_why(&child, why, sizeof(why));
	if (!why[0])
		return 0;
	lmm_study_log_tail(j->log, why, sizeof(why));
	name = words[0] ? strrchr(words[0], '/') : NULL;
	(void)snprintf(j->v->reason, sizeof(j->v->reason), "%.60s: %.180s",
		       name	  ? name + 1
		       : words[0] ? words[0]
				  : "",
		       why);
	return -1;
}

/* What it printed, both streams; the caller frees it. */
static char *said(const struct judging *j)
{
	char *a = NULL, *b = NULL, *both = NULL;
	size_t n;

	(void)lmm_study_file(j->out, LOG_MAX, &a, &n);
	(void)lmm_study_file(j->log, LOG_MAX, &b, &n);
	if (asprintf(&both, "%s\n%s", a ? a : "", b ? b : "") < 0)
		both = NULL;
	free(a);
	free(b);
	return both;
}

/* The number behind the last `label`, and the one behind "+/-" or "±" on its line. */
static int number_find(const char *text, const char *label, struct lmm_measured *m)
{
	const char *at = NULL, *p = text, *more;
	char *end;

	while ((p = strstr(p, label))) {
		const char *behind;

		p += strlen(label);
		behind = p + strspn(p, " \t");

		/* "Mean PPL(Q)" also begins the names of others */
		if (*behind == ':' || *behind == '=')
			at = behind + 1;
	}
	if (!at)
		return -1;
	at += strspn(at, " \t");
	m->value = strtod(at, &end);
	if (end == at)
		return -1;
	more = end + strspn(end, " %");
	if (strncmp(more, "+/-", 3) == 0) {
		more += 3;
	} else if (strncmp(more, "\u00b1", 2) == 0) {
		more += 2;
	} else {
		return 0;
	}
	m->half = SIGMAS_OF_95 * strtod(more, &end);
	if (end == more)
		m->half = NAN;
	return 0;
}

/* "92.11 MiB (5.01 BPW)": as the engine says it of the model it has read or made. */
static void bits_take(struct lmm_variant *v, const char *text)
{
	const char *p = text, *at = NULL;

	while ((p = strstr(p, " BPW)"))) {
		at = p;
		p++;
	}
	while (at && at > text && *at != '(')
		at--;
	if (at && *at == '(')
		v->bits_per_weight = strtod(at + 1, NULL);
}

/* "WARNING: 211 of 272 tensor(s) required fallback quantization" */
static void fallback_take(struct lmm_variant *v, const char *text)
{
	static const char behind[] = " tensor(s) required fallback";
	const char *at = strstr(text, behind);
	double tensors, of;
	char *end;

	while (at && at > text && at[-1] != '\n' && at[-1] != ':')
		at--;
	if (!at)
		return;
	tensors = strtod(at, &end);
	if (end == at || strncmp(end, " of ", 4) != 0)
		return;
	of = strtod(end + 4, &end);
	if (!(tensors >= 0 && tensors <= of) || strncmp(end, behind, sizeof(behind) - 1) != 0)
		return;
	v->fallback_tensors = tensors;
	v->fallback_of = of;
}

/* Of what is not made but there: llama-quantize says it of what it reads. Left out where it does not. */
static void bits_ask(struct judging *j)
{
	const struct lmm_plan *p = j->r->study->plan;
	const char *words[] = { p->quantize_program ? p->quantize_program : "llama-quantize",
				"--allow-requantize",
				"--dry-run",
				p->quantize_source,
				"Q8_0",
				NULL };
	char *text = program_run(j, words) == 0 ? said(j) : NULL;
	char *at = text ? strstr(text, "model size") : NULL;

	j->v->reason[0] = '\0';
	if (at)
		at[strcspn(at, "\n")] = '\0';
	if (at)
		bits_take(j->v, at);
	free(text);
}

/* ---- making ---------------------------------------------------------------------------------------- */

static int variant_make(struct judging *j)
{
	const struct lmm_plan *p = j->r->study->plan;
	char part[LMM_STUDY_PATH + 8];
	const char *words[] = { p->quantize_program ? p->quantize_program : "llama-quantize",
				"--allow-requantize",
				p->quantize_source,
				part,
				j->v->level,
				NULL };
	struct lmm_study_nap begin;
	char *text;
	int rc;

	if (p->factors[j->r->study->variant_factor].kind != LMM_FACTOR_QUANTIZATION)
		return 0;
	if (strcmp(j->v->level, AS_IS) == 0)
		bits_ask(j);
	if (strcmp(j->v->level, AS_IS) == 0 || access(j->model, R_OK) == 0)
		return j->r->signal ? -EINTR : 0;
	lmm_study_progress(j->r, "quantizing");
	(void)snprintf(part, sizeof(part), "%s.part", j->model);
	lmm_study_nap_begin(&begin);
	rc = program_run(j, words);
	if (rc == 0 && rename(part, j->model)) {
		(void)snprintf(j->v->reason, sizeof(j->v->reason), "it wrote no model: %s",
			       lmm_strerror(-errno));
		rc = -1;
	}
	if (rc) {
		(void)unlink(part);
		return rc;
	}
	{
		struct lmm_study_nap now;

		lmm_study_nap_begin(&now);
		j->v->make_ns = (double)(now.mono_ns - begin.mono_ns);
	}
	text = said(j);
	if (text) {
		bits_take(j->v, text);
		fallback_take(j->v, text);
	}
	free(text);
	return 0;
}

/* ---- judging --------------------------------------------------------------------------------------- */

static const char *judge_program(const struct lmm_plan *p)
{
	return p->quality_program ? p->quality_program : "llama-perplexity";
}

static void count_text(char *out, size_t bytes, uint64_t n)
{
	(void)snprintf(out, bytes, "%lu", (unsigned long)n);
}

/* The words that all of its jobs have; how many. */
static unsigned words_begin(const struct judging *j, const char **words, char numbers[3][24])
{
	const struct lmm_plan *p = j->r->study->plan;
	unsigned n = 0;

	count_text(numbers[0], 24, p->quality_context);
	words[n++] = judge_program(p);
	words[n++] = "-m";
	words[n++] = j->model;
	words[n++] = "-c";
	words[n++] = numbers[0];
	if (p->quality_threads) {
		count_text(numbers[1], 24, p->quality_threads);
		words[n++] = "-t";
		words[n++] = numbers[1];
	}
	return n;
}

static void perplexity_take(struct judging *j, int is_base)
{
	char *text = said(j);
	int rc;

	if (!text)
		return;
	rc = number_find(text, is_base ? "Final estimate: PPL" : "Mean PPL(Q)", &j->v->perplexity);
	if (is_base) {
		/* what it is held against is itself */
		j->v->ratio = (struct lmm_measured){ 1, 0 };
		j->v->kld = (struct lmm_measured){ 0, 0 };
		j->v->top1 = (struct lmm_measured){ 100, 0 };
	} else if (rc == 0) {
		rc = number_find(text, "Mean PPL(Q)/PPL(base)", &j->v->ratio) |
		     number_find(text, "Mean    KLD", &j->v->kld) |
		     number_find(text, "Same top p", &j->v->top1);
	}
	if (rc) {
		(void)snprintf(
			j->v->reason, sizeof(j->v->reason),
			"%.60s said nothing of perplexity: the text may be too short for its context",
			judge_program(j->r->study->plan));
	}
	if (isnan(j->v->bits_per_weight))
		bits_take(j->v, text);
	free(text);
}

static int perplexity_judge(struct judging *j, int is_base)
{
	const struct lmm_plan *p = j->r->study->plan;
	const char *words[WORDS_MAX];
	char numbers[3][24];
	unsigned n = words_begin(j, words, numbers);
	int rc;

	if (!p->quality_text)
		return 0;
	words[n++] = "-f";
	words[n++] = p->quality_text;
	if (p->quality_chunks) {
		count_text(numbers[2], 24, p->quality_chunks);
		words[n++] = "--chunks";
		words[n++] = numbers[2];
	}
	words[n++] = "--kl-divergence-base";
	words[n++] = j->base;
	if (!is_base)
		words[n++] = "--kl-divergence";
	words[n] = NULL;
	lmm_study_progress(j->r, is_base ? "judging the reference" : "judging a variant");
	rc = program_run(j, words);
	if (rc == 0)
		perplexity_take(j, is_base);
	return rc;
}

static int task_judge(struct judging *j, unsigned kind)
{
	static const struct {
		const char *option, *count, *label;
	} kinds[LMM_TASK_KINDS] = {
		{ "--hellaswag", "--hellaswag-tasks", NULL },
		{ "--winogrande", "--winogrande-tasks", "tasks)" },
		{ "--multiple-choice", "--multiple-choice-tasks", "Final result" },
	};
	const struct lmm_plan *p = j->r->study->plan;
	const char *words[WORDS_MAX];
	char numbers[3][24], *text;
	unsigned n = words_begin(j, words, numbers);
	int rc;

	words[n++] = "-f";
	words[n++] = p->tasks[kind];
	words[n++] = kinds[kind].option;
	if (p->tasks_n) {
		count_text(numbers[2], 24, p->tasks_n);
		words[n++] = kinds[kind].count;
		words[n++] = numbers[2];
	}
	words[n] = NULL;
	lmm_study_progress(j->r, "judging by tasks");
	rc = program_run(j, words);
	text = rc ? NULL : said(j);
	if (text && kinds[kind].label) {
		(void)number_find(text, kinds[kind].label, &j->v->tasks[kind]);
	} else if (text) {
		/* "400	45.25%	[40.43%, 50.15%]", the last line of its kind */
		const char *line = strstr(text, "%\t["), *next;
		double low, high;
		char *end;

		while (line && (next = strstr(line + 1, "%\t[")))
			line = next;
		low = line ? strtod(line + strlen("%\t["), &end) : 0;
		if (line && strncmp(end, "%, ", 3) == 0) {
			high = strtod(end + 3, &end);
			j->v->tasks[kind] =
				(struct lmm_measured){ (low + high) / 2, (high - low) / 2 };
		}
	}
	free(text);
	return rc;
}

/* ---- one after the other ------------------------------------------------------------------------------ */

static void write_variant(const void *arg, FILE *out)
{
	lmm_study_write_variant(arg, out);
}

static int is_reference(const struct lmm_study *s, uint32_t level)
{
	const char *name = s->plan->factors[s->variant_factor].levels[level];

	return s->plan->quality_reference && strcmp(name, s->plan->quality_reference) == 0;
}

static int judging_begin(struct judging *j, struct lmm_study_run *r, uint32_t level)
{
	*j = (struct judging){ .r = r, .v = &r->study->variants[level] };
	(void)snprintf(j->base, sizeof(j->base), "%.4000s/variants/base.kld", r->study->folder);
	(void)snprintf(j->out, sizeof(j->out), "%.4000s/said", r->study->folder);
	(void)snprintf(j->log, sizeof(j->log), "%.4000s/log", r->study->folder);
	j->model = lmm_study_variant_file(r->study, level);
	return j->model ? 0 : -1;
}

static void size_take(struct judging *j)
{
	const char *slash = strrchr(j->model, '/');
	struct stat st;

	(void)snprintf(j->v->file, sizeof(j->v->file), "%.250s", slash ? slash + 1 : j->model);
	if (stat(j->model, &st) == 0)
		j->v->size_bytes = (double)st.st_size;
}

static int variant_judge(struct judging *j)
{
	const struct lmm_plan *p = j->r->study->plan;
	int rc = 0;

	if (!p->quality_reference)
		return 0;
	rc = perplexity_judge(j, j->v->is_reference);
	for (unsigned k = 0; rc == 0 && k < LMM_TASK_KINDS; k++) {
		if (p->tasks[k])
			rc = task_judge(j, k);
	}
	return rc;
}

/* What is stored is done: of a reference, only what it thinks of the text is asked again, for the others. */
static int variant_run(struct lmm_study_run *r, uint32_t level)
{
	char path[LMM_STUDY_PATH + 128];
	struct lmm_variant again;
	struct judging j;
	int rc, is_stored;

	if (judging_begin(&j, r, level)) {
		lmm_error("out of memory");
		return -1;
	}
	lmm_study_variant_path(r->study->folder, j.v->level, path, sizeof(path));
	is_stored = access(path, R_OK) == 0;
	again = *j.v;
	if (is_stored)
		j.v = &again;
	j.v->is_reference = (uint8_t)is_reference(r->study, level);
	rc = variant_make(&j);
	if (rc == 0 && !is_stored) {
		size_take(&j);
		rc = variant_judge(&j);
	} else if (rc == 0 && j.v->is_reference && access(j.base, R_OK)) {
		rc = perplexity_judge(&j, 1);
	}
	(void)unlink(j.out);
	free(j.model);
	if (rc == -EINTR)
		return rc;
	if (rc) {
		lmm_study_progress_clear(r);
		lmm_error("%s: %s", j.v->level, j.v->reason);
	}
	rc = is_stored ? 0 : lmm_study_store(path, write_variant, j.v);
	if (rc)
		lmm_error("cannot write %s: %s", path, lmm_strerror(rc));
	return rc ? -1 : 0;
}

static int all_are_stored(const struct lmm_study *s)
{
	for (uint32_t i = 0; i < s->n_variants; i++) {
		char path[LMM_STUDY_PATH + 128], *model = lmm_study_variant_file(s, i);
		int is_there;

		lmm_study_variant_path(s->folder, s->variants[i].level, path, sizeof(path));
		is_there = model && access(model, R_OK) == 0 && access(path, R_OK) == 0;
		free(model);
		if (!is_there)
			return 0;
	}
	return 1;
}

int lmm_study_variants(struct lmm_study_run *r)
{
	struct lmm_study *s = r->study;
	char base[LMM_STUDY_PATH];
	int rc = 0;

	if (s->n_variants == 0 || all_are_stored(s))
		return 0;
	/* the reference first: the others are held against it */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; rc == 0 && i < s->n_variants; i++) {
			if (is_reference(s, i) == (pass == 0))
				rc = variant_run(r, i);
		}
	}
	(void)snprintf(base, sizeof(base), "%.4000s/variants/base.kld", s->folder);
	if (rc == 0)
		(void)unlink(base);
	lmm_study_progress_clear(r);
	return rc;
}
