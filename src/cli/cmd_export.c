/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "cli/options.h"
#include "cli/recover.h"
#include "report/export.h"

struct export_opts {
	int to;
	int force;
};

enum { TO_PERFETTO, TO_CHROME };

static const char *const formats[] = { "perfetto", "chrome", NULL };

static const struct lmm_opt options[] = {
	{ 0, "to", LMM_OPT_CHOICE, offsetof(struct export_opts, to), NULL, formats,
	  "the format: Perfetto's own, or the JSON of chrome://tracing (default perfetto)" },
	{ 0, "force", LMM_OPT_FLAG, offsetof(struct export_opts, force), NULL, NULL,
	  "overwrite OUT if it exists" },
};

static const char *const examples[] = {
	"lmmeter export run.lmt --to perfetto run.pftrace",
	"open run.pftrace in ui.perfetto.dev",
	"lmmeter export run.lmt --to chrome - | gzip > run.json.gz",
	"the older format, on standard output",
	NULL,
	NULL,
};

static const struct lmm_command command = {
	.name = "export",
	.synopsis = "FILE [options] OUT",
	.summary = "turn a recording into a trace for Perfetto or Chrome",
	.description =
		"Turns a recording (.lmt) into a trace that viewers open: requests, steps, phases, "
		"layers and operators on tracks of their own. OUT may be - for standard output.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 2,
	.args_max = 2,
};

static int write_export(struct lmm_trace *tr, const struct lmm_result *r, const char *path,
			const struct export_opts *opts)
{
	const char *name = strcmp(path, "-") == 0 ? "standard output" : path;
	FILE *out;
	int rc, rc_close, write_failed;

	rc = lmm_output_open(path, opts->force, &out);
	if (rc < 0)
		return lmm_output_failed(name, rc);
	if (opts->to == TO_CHROME) {
		rc = lmm_export_chrome(tr, r, out);
	} else {
		rc = lmm_export_perfetto(tr, r, out);
	}
	write_failed = ferror(out);
	rc_close = lmm_output_close(out);
	if (rc < 0 || rc_close < 0)
		lmm_output_discard(path);
	if (rc < 0 && !write_failed) {
		lmm_error("cannot export: %s", lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	rc = rc < 0 ? rc : rc_close;
	return rc < 0 ? lmm_output_failed(name, rc) : LMM_EXIT_OK;
}

static int export_file(const char *path, const char *out, const struct export_opts *opts)
{
	struct lmm_analysis_file_opts analysis = { 0 };
	enum lmm_trace_state state = LMM_TRACE_READING;
	struct lmm_trace *tr = NULL;
	struct lmm_result *r = NULL;
	int status = LMM_EXIT_FAILURE;
	int rc;

	lmm_recover(path);
	rc = lmm_analysis_file(path, &analysis, &r, &state);
	if (rc == 0)
		rc = lmm_trace_open(path, &tr);
	if (rc < 0) {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
		goto out_result;
	}
	if (state == LMM_TRACE_CUT) {
		lmm_error("%s was cut: it is exported up to there", path);
	} else if (state == LMM_TRACE_CORRUPT) {
		lmm_error("%s is damaged: it is exported up to there", path);
	}
	if (r->n_requests < r->requests_total) {
		lmm_error("the requests track shows the newest %zu of %llu requests", r->n_requests,
			  (unsigned long long)r->requests_total);
	}
	status = write_export(tr, r, out, opts);
	lmm_trace_close(tr);
out_result:
	if (r)
		lmm_result_destroy(r);
	return status;
}

int lmm_cmd_export(int argc, char **argv)
{
	struct export_opts opts = { .to = TO_PERFETTO };

	switch (lmm_options_parse(&command, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	return export_file(argv[1], argv[2], &opts);
}
