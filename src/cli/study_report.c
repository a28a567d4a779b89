/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/study_run.h"
#include "study/study_findings.h"

static void complain(void *ctx, int line, const char *text)
{
	lmm_error("%s/plan.toml:%d: %s", (const char *)ctx, line, text);
}

/* Whole or not at all. */
static int file_make(const struct lmm_study_findings *f, const char *path, int force,
		     void (*make)(const struct lmm_study_findings *f, FILE *out))
{
	FILE *out;
	int rc = lmm_output_open(path, force, &out);

	if (rc == -EEXIST) {
		lmm_error("%s exists; --force overwrites it", path);
		return LMM_EXIT_FAILURE;
	}
	if (rc)
		return lmm_output_failed(path, rc);
	make(f, out);
	rc = lmm_output_close(out);
	if (rc && rc != -EPIPE)
		lmm_output_discard(path);
	return rc ? lmm_output_failed(path, rc) : LMM_EXIT_OK;
}

static int print(const struct lmm_study_findings *f, const struct lmm_study_report_opts *opts)
{
	if (opts->html)
		return file_make(f, opts->html, opts->force, lmm_study_html);
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
