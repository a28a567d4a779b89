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

static const char *const formats[] = { "perfetto", "chrome", "speedscope", "folded", "csv", NULL };

static lmm_export_fn *const writers[] = { lmm_export_perfetto, lmm_export_chrome,
					  lmm_export_speedscope, lmm_export_folded,
					  lmm_export_steps };

static const struct lmm_opt options[] = {
	{ 0, "to", LMM_OPT_CHOICE, offsetof(struct export_opts, to), NULL, formats,
	  "the format: Perfetto's own (default), the JSON of chrome://tracing, speedscope's, folded stacks for flame graphs, or a "
	  "table with a row per step" },
	{ 0, "force", LMM_OPT_FLAG, offsetof(struct export_opts, force), NULL, NULL,
	  "overwrite OUT if it exists" },
};

static const char *const examples[] = {
	"lmmeter export run.lmt --to perfetto run.pftrace",
	"open run.pftrace in ui.perfetto.dev",
	"lmmeter export run.lmt --to chrome - | gzip > run.json.gz",
	"the older format, on standard output",
	"lmmeter export run.lmt --to speedscope run.speedscope.json",
	"open it in speedscope.app, which reads it without sending it anywhere",
	"lmmeter export run.lmt --to folded - | flamegraph.pl --countname ns > run.svg",
	"a flame graph (likewise: inferno-flamegraph)",
	"lmmeter export run.lmt --to csv steps.csv",
	"every step with its phases, for a spreadsheet or a data frame",
	NULL,
};

const struct lmm_command lmm_command_export = {
	.name = "export",
	.synopsis = "FILE [options] OUT",
	.summary = "turn a recording into a trace, flame graph or table for other tools",
	.description =
		"Turns a recording (.lmt) into what other tools open: a trace with requests, steps, phases, layers and operators on "
		"tracks of their own, stacks of them, or a table of steps. OUT may be - for standard output.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 2,
	.args_max = 2,
};

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
		lmm_error("only the newest %zu of %llu requests are shown by name", r->n_requests,
			  (unsigned long long)r->requests_total);
	}
	status = lmm_write_export(tr, r, out, opts->force, writers[opts->to]);
	lmm_trace_close(tr);
out_result:
	if (r)
		lmm_result_destroy(r);
	return status;
}

int lmm_cmd_export(int argc, char **argv)
{
	struct export_opts opts = { 0 };

	switch (lmm_options_parse(&lmm_command_export, &argc, argv, &opts)) {
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
