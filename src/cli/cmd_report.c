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
#include "report/report.h"

struct report_opts {
	int json, paper;
	const char *csv, *html;
	int requests, steps, layers, kernels;
	int recompute;
	int force;
	const char *output;
};

#define FLAG(field, text)                                                                          \
	{                                                                                          \
		0, #field, LMM_OPT_FLAG, offsetof(struct report_opts, field), NULL, NULL, text     \
	}

static const struct lmm_opt options[] = {
	FLAG(json, "a JSON document instead of text (schema lmmeter.report/1)"),
	{ 0, "csv", LMM_OPT_STRING, offsetof(struct report_opts, csv), "DIR", NULL,
	  "phases, requests, steps, layers and kernels as CSV files in DIR, which is made" },
	{ 0, "html", LMM_OPT_STRING, offsetof(struct report_opts, html), "OUT", NULL,
	  "a page for a browser, complete in itself: OUT may be sent and kept" },
	FLAG(paper, "phases and kernels in the form of LM-Meter's tables, beside its values"),
	FLAG(requests, "a line per request"),
	FLAG(steps, "step time against context length"),
	FLAG(layers, "every layer, not only their sum"),
	FLAG(kernels, "every operator, not only the ten longest"),
	FLAG(recompute, "go through all records instead of using the stored sums"),
	{ 'o', "output", LMM_OPT_STRING, offsetof(struct report_opts, output), "OUT", NULL,
	  "write to OUT instead of standard output" },
	FLAG(force, "overwrite files that exist"),
};

static const char *const examples[] = {
	"lmmeter report run.lmt",
	"where the time went, for people",
	"lmmeter report run.lmt --requests --steps --layers --kernels",
	"the same with all its tables",
	"lmmeter report run.lmt --json | jq '.phases[] | {phase, share_percent}'",
	"the same for programs",
	"lmmeter report run.lmt --csv tables/",
	"the same for spreadsheets",
	"lmmeter report run.lmt --html run.html",
	"the same as a page, with a plot of every token",
	NULL,
	NULL,
};

const struct lmm_command lmm_command_report = {
	.name = "report",
	.synopsis = "FILE [options]",
	.summary = "show what a recording says: text, JSON, CSV or a page",
	.description =
		"Shows what a recording (.lmt) says. A recording that was cut is reported up to "
		"the cut, and the report says so.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 1,
	.args_max = 1,
};

static int write_csv(const struct lmm_result *r, const struct report_opts *opts)
{
	const char *failed;
	char name[4096];
	int rc = lmm_report_csv(r, opts->csv, opts->force, &failed);

	if (rc == 0)
		return LMM_EXIT_OK;
	(void)snprintf(name, sizeof(name), "%s%s%s", opts->csv, failed[0] ? "/" : "", failed);
	return lmm_output_failed(name, rc);
}

static int write_html(const char *path, const struct lmm_result *r, const struct report_opts *opts)
{
	struct lmm_trace *tr;
	int rc = lmm_trace_open(path, &tr);
	int status;

	if (rc < 0) {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	status = lmm_write_export(tr, r, opts->html, opts->force, lmm_export_html);
	lmm_trace_close(tr);
	return status;
}

static int write_document(const struct lmm_result *r, const struct report_opts *opts)
{
	const char *name =
		opts->output && strcmp(opts->output, "-") != 0 ? opts->output : "standard output";
	struct lmm_text_opts text = { .requests = opts->requests,
				      .steps = opts->steps,
				      .layers = opts->layers,
				      .kernels = opts->kernels };
	FILE *out;
	int rc = lmm_output_open(opts->output, opts->force, &out);

	if (rc < 0)
		return lmm_output_failed(name, rc);
	if (opts->json) {
		lmm_report_json(r, out);
	} else if (opts->paper) {
		lmm_report_paper(r, out);
	} else {
		lmm_text_opts_detect(&text, fileno(out));
		lmm_report_text(r, &text, out);
	}
	rc = lmm_output_close(out);
	if (rc == 0)
		return LMM_EXIT_OK;
	lmm_output_discard(opts->output);
	return lmm_output_failed(name, rc);
}

static int report_file(const char *path, const struct report_opts *opts)
{
	struct lmm_analysis_file_opts analysis = { .recompute = opts->recompute };
	enum lmm_trace_state state = LMM_TRACE_READING;
	struct lmm_result *r;
	int status;
	int rc;

	lmm_recover(path);
	rc = lmm_analysis_file(path, &analysis, &r, &state);

	if (rc < 0) {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	if (state == LMM_TRACE_CUT) {
		lmm_error("%s was cut: it is shown up to there", path);
	} else if (state == LMM_TRACE_CORRUPT) {
		lmm_error("%s is damaged: it is shown up to there", path);
	}
	status = opts->csv ? write_csv(r, opts) : LMM_EXIT_OK;
	if (status == LMM_EXIT_OK && opts->html)
		status = write_html(path, r, opts);
	if (status == LMM_EXIT_OK && ((!opts->csv && !opts->html) || opts->json || opts->output))
		status = write_document(r, opts);
	lmm_result_destroy(r);
	return status;
}

int lmm_cmd_report(int argc, char **argv)
{
	struct report_opts opts = { 0 };

	switch (lmm_options_parse(&lmm_command_report, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	return report_file(argv[1], &opts);
}
