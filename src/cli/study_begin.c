/* SPDX-License-Identifier: Apache-2.0 */
/* Before the first run: what a plan needs is there, and so is the folder. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/study_run.h"
#include "collect/host.h"
#include "lmmeter/version.h"
#include "report/format.h"
#include "report/json_writer.h"

#define DISK_SPARE_BYTES (64u << 20)

/* ---- checks -------------------------------------------------------------------------------------- */

struct checking {
	const struct lmm_plan *p;
	int n_wrong;
	uint64_t disk_bytes; /* that will be needed */
	FILE *inputs;	     /* gets a line for each file that matters; NULL */
};

static void wrong(struct checking *c, int line, const char *what)
{
	c->n_wrong++;
	if (line > 0) {
		lmm_error("%s:%d: %s", c->p->path, line, what);
	} else {
		lmm_error("%s: %s", c->p->path, what);
	}
}

static void input_note(struct checking *c, const char *path, const struct stat *st)
{
	if (c->inputs) {
		fprintf(c->inputs, "file %s = %lld bytes, changed at %lld.%09ld\n", path,
			(long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	}
}

static int file_check(struct checking *c, int line, const char *what, const char *path,
		      struct stat *st)
{
	char text[LMM_STUDY_PATH + 128];
	int rc = stat(path, st) || access(path, R_OK) ? -errno : 0;

	if (rc == 0 && !S_ISREG(st->st_mode))
		rc = -EISDIR;
	if (rc) {
		(void)snprintf(text, sizeof(text), "%s %s: %s", what, path, lmm_strerror(rc));
		wrong(c, line, text);
		return -1;
	}
	input_note(c, path, st);
	return 0;
}

static void model_check(struct checking *c, int line, const char *path)
{
	struct lmm_host host;
	struct stat st;
	char text[LMM_STUDY_PATH + 160];

	if (file_check(c, line, "model", path, &st))
		return;
	lmm_host_read(&host);
	if (host.memory_bytes && (uint64_t)st.st_size > host.memory_bytes) {
		(void)snprintf(text, sizeof(text), "model %s does not fit memory: %s of %s", path,
			       lmm_human_bytes((double)st.st_size).s,
			       lmm_human_bytes((double)host.memory_bytes).s);
		wrong(c, line, text);
	}
}

/* As execvp() looks for it. */
static int program_find(const char *name, char *out, size_t bytes)
{
	const char *path = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe) */

	if (strchr(name, '/')) {
		(void)snprintf(out, bytes, "%s", name);
		return access(name, X_OK) ? -errno : 0;
	}
	while (path && *path) {
		size_t n = strcspn(path, ":");

		(void)snprintf(out, bytes, "%.*s/%s", (int)n, path, name);
		if (access(out, X_OK) == 0)
			return 0;
		path += n + (path[n] == ':');
	}
	return -ENOENT;
}

static void program_check(struct checking *c, const char *what, const char *name)
{
	char path[LMM_STUDY_PATH], text[LMM_STUDY_PATH + 128];
	int rc = program_find(name, path, sizeof(path));
	struct stat st;

	if (rc == 0 && (stat(path, &st) || !S_ISREG(st.st_mode)))
		rc = -EACCES;
	if (rc) {
		(void)snprintf(text, sizeof(text), "%s %s: %s", what, name,
			       rc == -ENOENT ? "not found" : lmm_strerror(rc));
		wrong(c, 0, text);
		return;
	}
	input_note(c, path, &st);
}

struct first_word {
	const struct lmm_plan *p;
	uint32_t condition;
};

static const char *first_value(void *ctx, const char *name, size_t n)
{
	const struct first_word *w = ctx;

	for (uint32_t i = 0; i < w->p->n_factors; i++) {
		const struct lmm_factor *f = &w->p->factors[i];

		if (strlen(f->name) == n && memcmp(f->name, name, n) == 0)
			return f->levels[lmm_plan_level(w->p, w->condition, i)];
	}
	return "";
}

static void programs_check(struct checking *c)
{
	struct first_word w = { .p = c->p };
	char *last = NULL;

	for (; w.condition < c->p->n_conditions; w.condition++) {
		char *program = lmm_plan_fill(c->p->command[0], first_value, &w);

		if (program && (!last || strcmp(program, last) != 0))
			program_check(c, "the engine", program);
		free(last);
		last = program;
		if (!strchr(c->p->command[0], '{'))
			break;
	}
	free(last);
}

static void quality_check(struct checking *c)
{
	const struct lmm_plan *p = c->p;
	struct stat st;

	if (!p->quality_reference)
		return;
	program_check(c, "[quality] program",
		      p->quality_program ? p->quality_program : "llama-perplexity");
	if (p->quality_text)
		(void)file_check(c, 0, "[quality] text", p->quality_text, &st);
	for (unsigned i = 0; i < LMM_TASK_KINDS; i++) {
		if (p->tasks[i])
			(void)file_check(c, 0, "[quality] tasks", p->tasks[i], &st);
	}
}

static void factors_check(struct checking *c)
{
	const struct lmm_plan *p = c->p;
	struct stat st;

	for (uint32_t i = 0; i < p->n_factors; i++) {
		char why[256], text[LMM_STUDY_PATH];

		for (uint32_t k = 0; p->factors[i].kind == LMM_FACTOR_MODEL && k < p->factors[i].n;
		     k++)
			model_check(c, p->factors[i].line, p->factors[i].levels[k]);
		if (lmm_study_machine_check(p, i, why, sizeof(why))) {
			(void)snprintf(text, sizeof(text), "%s: %s", p->factors[i].name, why);
			wrong(c, p->factors[i].line, text);
		}
		if (p->factors[i].kind != LMM_FACTOR_QUANTIZATION)
			continue;
		program_check(c, "[quantize] program",
			      p->quantize_program ? p->quantize_program : "llama-quantize");
		if (file_check(c, 0, "[quantize] source", p->quantize_source, &st) == 0)
			c->disk_bytes += (uint64_t)st.st_size * 8 * p->factors[i].n;
	}
	if (p->prompt_text)
		(void)file_check(c, 0, "prompt_text", p->prompt_text, &st);
}

static void disk_check(struct checking *c, const char *folder)
{
	struct statvfs fs;
	uint64_t room, need = c->disk_bytes + DISK_SPARE_BYTES;
	char text[256];

	if (statvfs(folder, &fs) && statvfs(".", &fs))
		return;
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= need)
		return;
	(void)snprintf(text, sizeof(text), "the disk has %s left, the study may need %s",
		       lmm_human_bytes((double)room).s, lmm_human_bytes((double)need).s);
	wrong(c, 0, text);
}

static int check_all(struct checking *c, const char *folder)
{
	programs_check(c);
	factors_check(c);
	quality_check(c);
	disk_check(c, folder);
	return c->n_wrong ? -1 : 0;
}

int lmm_study_check(const struct lmm_plan *p, const char *folder)
{
	struct checking c = { .p = p };

	return check_all(&c, folder);
}

/* ---- what a study was begun with ---------------------------------------------------------------------- */

/* The plan and the files it names, a line each; the caller frees it. */
static char *inputs_make(const struct lmm_plan *p, const char *folder)
{
	struct checking c = { .p = p };
	char *text = NULL;
	size_t n = 0;

	c.inputs = open_memstream(&text, &n);
	if (!c.inputs)
		return NULL;
	lmm_plan_canon(p, c.inputs);
	(void)check_all(&c, folder);
	if (fclose(c.inputs)) {
		free(text);
		return NULL;
	}
	return text;
}

/* The first line that is not the same. 0: all are. */
static int inputs_differ(const char *then, const char *now)
{
	while (*then || *now) {
		size_t n = strcspn(then, "\n"), m = strcspn(now, "\n");

		if (n != m || memcmp(then, now, n) != 0) {
			lmm_error(
				"the plan is not the one that the study was begun with: '%.*s' was '%.*s' then; give -o another folder for a study of its own",
				(int)m, now, (int)n, then);
			return -1;
		}
		then += n + (then[n] == '\n');
		now += m + (now[m] == '\n');
	}
	return 0;
}

/* ---- the folder --------------------------------------------------------------------------------------- */

static void write_text(const void *arg, FILE *out)
{
	fputs(arg, out);
}

struct head {
	const struct lmm_plan *p;
	struct lmm_host host;
};

static void write_head(const void *arg, FILE *out)
{
	const struct head *h = arg;
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", LMM_STUDY_SCHEMA);
	lmm_json_string(&j, "name", h->p->name);
	lmm_json_string(&j, "lmmeter_version", LMM_VERSION_STRING);
	{
		struct timespec ts = { 0, 0 };

		clock_gettime(CLOCK_REALTIME, &ts);
		lmm_json_u64(&j, "start_realtime_ns",
			     (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
	}
	lmm_json_object_begin(&j, "host");
	lmm_json_string(&j, "os", h->host.os);
	lmm_json_string(&j, "cpu", h->host.cpu);
	lmm_json_u64(&j, "cpus", h->host.cpus);
	lmm_json_u64(&j, "memory_bytes", h->host.memory_bytes);
	lmm_json_object_end(&j);
	lmm_json_u64(&j, "conditions", h->p->n_conditions);
	lmm_json_u64(&j, "repeats", h->p->repeats);
	lmm_json_object_end(&j);
	fputc('\n', out);
}

static int folder_is_empty(const char *folder)
{
	/* rmdir() takes away empty folders alone */
	return rmdir(folder) == 0 && mkdir(folder, 0777) == 0;
}

static int folders_make(const char *folder)
{
	static const char *const names[] = { "cells", "quality", "variants", "traces", "prompts" };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		char path[LMM_STUDY_PATH];

		if (snprintf(path, sizeof(path), "%s/%s", folder, names[i]) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (mkdir(path, 0777) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int store_text(const char *folder, const char *name, const char *text)
{
	char path[LMM_STUDY_PATH];

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return lmm_study_store(path, write_text, text);
}

static int plan_copy(const struct lmm_plan *p, const char *folder)
{
	char *text;
	size_t n;
	int rc = lmm_study_file(p->path, 1u << 20, &text, &n);

	if (rc == 0)
		rc = store_text(folder, "plan.toml", text);
	free(rc == 0 || n ? text : NULL);
	return rc;
}

/* study.json comes last: with it, the folder is a study. */
static int begin_new(const struct lmm_plan *p, const char *folder, const char *inputs)
{
	struct head head = { .p = p };
	char path[LMM_STUDY_PATH];
	int rc = folders_make(folder);

	lmm_host_read(&head.host);
	if (rc == 0)
		rc = plan_copy(p, folder);
	if (rc == 0)
		rc = store_text(folder, "variables", p->variables ? p->variables : "");
	if (rc == 0)
		rc = store_text(folder, "inputs", inputs);
	(void)snprintf(path, sizeof(path), "%.4000s/study.json", folder);
	if (rc == 0)
		rc = lmm_study_store(path, write_head, &head);
	if (rc)
		lmm_error("cannot write into %s: %s", folder, lmm_strerror(rc));
	return rc ? -1 : 0;
}

static int begin_again(const char *folder, const char *inputs)
{
	char path[LMM_STUDY_PATH], *then;
	size_t n;
	int rc;

	(void)snprintf(path, sizeof(path), "%.4000s/inputs", folder);
	rc = lmm_study_file(path, 8u << 20, &then, &n);
	if (rc) {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
		return -1;
	}
	rc = inputs_differ(then, inputs);
	free(then);
	return rc;
}

static int folder_prepare(const struct lmm_plan *p, const char *folder, int resume)
{
	char path[LMM_STUDY_PATH], *inputs;
	int rc, is_study;

	(void)snprintf(path, sizeof(path), "%.4000s/study.json", folder);
	is_study = access(path, F_OK) == 0;
	if (is_study && !resume) {
		lmm_error(
			"%s holds a study already: --resume goes on with it, -o DIR begins another",
			folder);
		return -1;
	}
	if (!is_study && mkdir(folder, 0777) && errno != EEXIST) {
		lmm_error("cannot make the folder %s: %s", folder, lmm_strerror(-errno));
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%.4000s/plan.toml", folder);
	/* one that was stopped while it was made has a plan and no study.json */
	if (!is_study && access(path, F_OK) && !folder_is_empty(folder)) {
		lmm_error("%s is not empty, and no study: give -o another folder", folder);
		return -1;
	}
	inputs = inputs_make(p, folder);
	if (!inputs) {
		lmm_error("out of memory");
		return -1;
	}
	rc = is_study ? begin_again(folder, inputs) : begin_new(p, folder, inputs);
	free(inputs);
	return rc;
}

static void complain(void *ctx, int line, const char *text)
{
	lmm_error("%s/plan.toml:%d: %s", (const char *)ctx, line, text);
}

static int machine_is_same(const struct lmm_study *s)
{
	struct lmm_host host;

	lmm_host_read(&host);
	if (strcmp(host.cpu, s->cpu) == 0 && host.cpus == s->cpus)
		return 1;
	lmm_error("the study was begun on another machine (%s, %u CPUs)", s->cpu, s->cpus);
	return 0;
}

int lmm_study_begin(struct lmm_plan *p, const char *folder, int resume, struct lmm_study **study)
{
	union {
		const char *in;
		void *out;
	} name = { .in = folder };
	char why[256];
	int rc;

	*study = NULL;
	if (strlen(folder) >= 4000) {
		lmm_error("%s: the name is too long", folder);
		return -1;
	}
	if (folder_prepare(p, folder, resume))
		return -1;
	rc = lmm_study_load(folder, study, complain, name.out, why, sizeof(why));
	if (rc) {
		lmm_error("cannot read %s: %s", folder, why[0] ? why : lmm_strerror(rc));
		return -1;
	}
	if (!machine_is_same(*study)) {
		lmm_study_destroy(*study);
		*study = NULL;
		return -1;
	}
	return 0;
}
