/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/study_run.h"
#include "study/study_findings.h"

static void complain(void *ctx, int line, const char *text)
{
	lmm_error("%s/plan.toml:%d: %s", (const char *)ctx, line, text);
}

/* The exit status; anything but 0 was said. */
static int file_begin(const char *path, int force, FILE **out)
{
	int rc = lmm_output_open(path, force, out);

	if (rc != -EEXIST)
		return rc ? lmm_output_failed(path, rc) : LMM_EXIT_OK;
	lmm_error("%s exists; --force overwrites it", path);
	return LMM_EXIT_FAILURE;
}

/* Whole or not at all. */
static int file_end(const char *path, FILE *out)
{
	int rc = lmm_output_close(out);

	if (rc && rc != -EPIPE)
		lmm_output_discard(path);
	return rc ? lmm_output_failed(path, rc) : LMM_EXIT_OK;
}

static int file_make(const struct lmm_study_findings *f, const char *path, int force,
		     void (*make)(const struct lmm_study_findings *f, FILE *out))
{
	FILE *out;
	int status = file_begin(path, force, &out);

	if (status)
		return status;
	make(f, out);
	return file_end(path, out);
}

/* Names of factors may hold anything. */
static void name_tame(char *name)
{
	for (; *name; name++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-",
			    *name))
			*name = '_';
	}
}

static int plot_store(const char *folder, char *name, int force, const char *text, size_t n)
{
	char path[LMM_STUDY_PATH];
	FILE *out;
	int status;

	name_tame(name);
	if (snprintf(path, sizeof(path), "%s/%s.svg", folder, name) >= (int)sizeof(path))
		return lmm_output_failed(folder, -ENAMETOOLONG);
	status = file_begin(path, force, &out);
	if (status)
		return status;
	(void)fwrite(text, 1, n, out);
	return file_end(path, out);
}

/* 1: drawn and stored; 0: there is nothing to draw; -1: that was the last; -2: it failed, and that was said. */
static int plot_make(const struct lmm_study_findings *f, unsigned number,
		     const struct lmm_study_report_opts *opts)
{
	char name[LMM_STUDY_PLOT_NAME], *text = NULL;
	size_t bytes;
	FILE *drawn = open_memstream(&text, &bytes);
	int rc = drawn ? lmm_study_plot(f, number, name, drawn) : -2;

	if (drawn && fclose(drawn))
		rc = -2;
	if (rc == -2) {
		lmm_error("out of memory");
	} else if (rc == 1 && plot_store(opts->svg, name, opts->force, text, bytes)) {
		rc = -2;
	}
	free(text);
	return rc;
}

static int plots_make(const struct lmm_study_findings *f, const struct lmm_study_report_opts *opts)
{
	unsigned n = 0;
	int rc = 0;

	if (mkdir(opts->svg, 0777) && errno != EEXIST)
		return lmm_output_failed(opts->svg, -errno);
	for (unsigned i = 0; (rc = plot_make(f, i, opts)) >= 0; i++)
		n += rc == 1;
	if (rc == -1 && n == 0) {
		lmm_error(
			"there is nothing to draw: no variants that were judged, and no factor of three numbers");
	}
	return rc == -1 && n ? LMM_EXIT_OK : LMM_EXIT_FAILURE;
}

static int print(const struct lmm_study_findings *f, const struct lmm_study_report_opts *opts)
{
	if (opts->html)
		return file_make(f, opts->html, opts->force, lmm_study_html);
	if (opts->svg)
		return plots_make(f, opts);
	if (opts->csv)
		return file_make(f, opts->csv, opts->force, lmm_study_csv);
	if (opts->json) {
		lmm_study_json(f, stdout);
	} else if (opts->paper) {
		lmm_study_paper(f, stdout);
	} else {
		lmm_study_text(f, stdout);
	}
	return lmm_stdout_status();
}

int lmm_study_report(const char *folder, const struct lmm_study_report_opts *opts)
{
	union {
		const char *in;
		void *out;
	} name = { .in = folder };
	struct lmm_study_findings *f;
	struct lmm_study *s;
	char why[256];
	int rc = lmm_study_load(folder, &s, complain, name.out, why, sizeof(why)), status;

	if (rc) {
		lmm_error("cannot read the study %s: %s", folder, why[0] ? why : lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	f = lmm_study_findings_make(s);
	if (f) {
		status = print(f, opts);
	} else {
		lmm_error("out of memory");
		status = LMM_EXIT_FAILURE;
	}
	lmm_study_findings_destroy(f);
	lmm_study_destroy(s);
	return status;
}
