/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/diff.h"
#include "cli/options.h"
#include "cli/recover.h"
#include "report/diff.h"

#define RUNS_MAX 256

struct diff_opts {
	const char *against;
	uint64_t fail_over; /* millionths; UINT64_MAX: not given */
	int json, markdown;
};

static const struct lmm_opt options[] = {
	{ 0, "against", LMM_OPT_STRING, offsetof(struct diff_opts, against), "AFTER", NULL,
	  "the recordings to compare with: all files that follow" },
	{ 0, "fail-over", LMM_OPT_SHARE, offsetof(struct diff_opts, fail_over), "SHARE", NULL,
	  "exit with 1 if anything is slower by more than this share of its step, beyond doubt" },
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct diff_opts, json), NULL, NULL,
	  "a JSON document instead of text (schema lmmeter.diff/1)" },
	{ 0, "markdown", LMM_OPT_FLAG, offsetof(struct diff_opts, markdown), NULL, NULL,
	  "a summary for a pull request" },
};

static const char *const examples[] = {
	"lmmeter diff before*.lmt --against after*.lmt",
	"what changed, for people",
	"lmmeter diff before*.lmt --against after*.lmt --fail-over 3%",
	"the same as a gate: exit 1 on a regression",
	"lmmeter diff main*.lmt --against branch*.lmt --markdown >> $GITHUB_STEP_SUMMARY",
	"the same for a pull request",
	NULL,
	NULL,
};

const struct lmm_command lmm_command_diff = {
	.name = "diff",
	.synopsis = "BEFORE… --against AFTER… [options]",
	.summary = "say what changed between recordings, where, and how sure that is",
	.description =
		"Compares two sets of recordings (.lmt) by step, phase, role, layer and operator. Three runs a "
		"side or more, made in turns, tell a change from how runs scatter; with one a side only tokens "
		"within the runs can be compared, and the output says so; --fail-over then is refused.",
	.exit_status =
		"0 if nothing goes beyond --fail-over; 1 on a regression, or if a file cannot be read; 2 usage.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 1,
	.args_max = RUNS_MAX,
};

/* ---- the two sides ------------------------------------------------------------------------------ */

struct sides {
	const char *paths[RUNS_MAX + 1]; /* before, then after */
	uint32_t n_before, n_after;
};

static int position(char *const *words, int n, const char *value)
{
	for (int i = 0; i < n; i++) {
		if (value >= words[i] && value <= words[i] + strlen(words[i]))
			return i;
	}
	return -1;
}

/* words: the command line as it was, of which argv kept the arguments; those behind --against are the other side. */
static void sides_split(struct sides *s, const struct diff_opts *opts, char *const *words,
			int n_words, char *const *argv, int argc)
{
	int at = position(words, n_words, opts->against);

	for (int i = 1; i < argc; i++) {
		if (position(words, n_words, argv[i]) < at)
			s->paths[s->n_before++] = argv[i];
	}
	s->paths[s->n_before + s->n_after++] = opts->against;
	for (int i = 1; i < argc; i++) {
		if (position(words, n_words, argv[i]) > at)
			s->paths[s->n_before + s->n_after++] = argv[i];
	}
}

static int usage_check(const struct sides *s, const struct diff_opts *opts)
{
	if (s->n_before == 0) {
		lmm_error("diff needs recordings before --against, too");
		return -1;
	}
	if (opts->fail_over != UINT64_MAX && (s->n_before < 2 || s->n_after < 2)) {
		lmm_error(
			"--fail-over needs two recordings a side and more (better three, made in turns): with one, how runs scatter is not known");
		return -1;
	}
	if (opts->json && opts->markdown) {
		lmm_error("--json and --markdown: one at a time");
		return -1;
	}
	return 0;
}

/* ---- files -------------------------------------------------------------------------------------- */

static int run_read(const char *path, struct lmm_diff_run **run)
{
	enum lmm_trace_state state = LMM_TRACE_READING;
	int rc;

	lmm_recover(path);
	rc = lmm_diff_run_file(path, run, &state);
	if (rc < 0) {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
		return -1;
	}
	if (state == LMM_TRACE_CUT) {
		lmm_error("%s was cut: it is compared up to there", path);
	} else if (state == LMM_TRACE_CORRUPT) {
		lmm_error("%s is damaged: it is compared up to there", path);
	}
	for (unsigned c = 0; c < LMM_DIFF_CLASSES; c++) {
		if ((*run)->sheets[c].n_rows)
			return 0;
	}
	lmm_error("%s holds no step that could be compared", path);
	return -1;
}

static void print_diff(const struct lmm_diff_report *report, const struct diff_opts *opts)
{
	if (opts->json) {
		lmm_report_diff_json(report, stdout);
	} else if (opts->markdown) {
		lmm_report_diff_markdown(report, stdout);
	} else {
		lmm_report_diff_text(report, stdout);
	}
}

static int compare(struct lmm_diff_run *const *runs, const struct sides *s,
		   const struct diff_opts *opts)
{
	struct lmm_diff *d = lmm_diff_create(runs, s->n_before, s->n_after);
	struct lmm_diff_report report = { .d = d, .limit_percent = -1 };
	int status = LMM_EXIT_OK, rc;

	if (!d) {
		lmm_error("cannot compare: %s", lmm_strerror(-ENOMEM));
		return LMM_EXIT_FAILURE;
	}
	if (opts->fail_over != UINT64_MAX)
		report.limit_percent = (double)opts->fail_over / 1e4;
	print_diff(&report, opts);
	if (lmm_diff_beyond(&report)) {
		lmm_error("a regression beyond %g %%", report.limit_percent);
		status = LMM_EXIT_FAILURE;
	}
	rc = lmm_stdout_finish();
	lmm_diff_destroy(d);
	return rc < 0 && rc != -EPIPE ? lmm_output_failed("standard output", rc) : status;
}

static int diff_files(const struct sides *s, const struct diff_opts *opts)
{
	uint32_t n = s->n_before + s->n_after, have = 0;
	struct lmm_diff_run *runs[RUNS_MAX + 1];
	int status = LMM_EXIT_FAILURE;

	while (have < n && run_read(s->paths[have], &runs[have]) == 0)
		have++;
	if (have == n)
		status = compare(runs, s, opts);
	while (have-- > 0)
		lmm_diff_run_destroy(runs[have]);
	return status;
}

int lmm_cmd_diff(int argc, char **argv)
{
	struct diff_opts opts = { .fail_over = UINT64_MAX };
	struct sides sides = { 0 };
	int n_words = argc, status = LMM_EXIT_USAGE;
	char **words = calloc((size_t)argc + 1, sizeof(*words));

	if (!words)
		return LMM_EXIT_FAILURE;
	memcpy(words, argv, (size_t)argc * sizeof(*words));
	switch (lmm_options_parse(&lmm_command_diff, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		status = LMM_EXIT_OK;
		goto out;
	case LMM_PARSE_USAGE:
		goto out;
	case LMM_PARSE_OK:
		break;
	}
	if (!opts.against) {
		lmm_error("diff needs two sides: lmmeter diff %s", lmm_command_diff.synopsis);
		goto out;
	}
	sides_split(&sides, &opts, words, n_words, argv, argc);
	if (usage_check(&sides, &opts) == 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		status = diff_files(&sides, &opts);
	}
out:
	free(words);
	return status;
}
