/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/study_run.h"
#include "report/format.h"

struct study_opts {
	const char *out;
	int resume, check;
	struct lmm_study_report_opts report;
};

static const struct lmm_opt options[] = {
	{ 'o', "output", LMM_OPT_STRING, offsetof(struct study_opts, out), "DIR", NULL,
	  "the study's folder (default: the plan's name with -study)" },
	{ 0, "resume", LMM_OPT_FLAG, offsetof(struct study_opts, resume), NULL, NULL,
	  "go on with a study that was stopped: what is done stays as it is" },
	{ 0, "check", LMM_OPT_FLAG, offsetof(struct study_opts, check), NULL, NULL,
	  "check the plan and say what it comes to; run nothing" },
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct study_opts, report.json), NULL, NULL,
	  "report: a JSON document instead of text (schema lmmeter.study_report/1)" },
	{ 0, "html", LMM_OPT_STRING, offsetof(struct study_opts, report.html), "OUT", NULL,
	  "report: one page with tables and plots" },
	{ 0, "svg", LMM_OPT_STRING, offsetof(struct study_opts, report.svg), "FOLDER", NULL,
	  "report: each plot as a file of its own" },
	{ 0, "csv", LMM_OPT_STRING, offsetof(struct study_opts, report.csv), "OUT", NULL,
	  "report: every cell as a row; - is stdout" },
	{ 0, "paper", LMM_OPT_FLAG, offsetof(struct study_opts, report.paper), NULL, NULL,
	  "report: the layout of the LM-Meter paper's tables" },
	{ 0, "force", LMM_OPT_FLAG, offsetof(struct study_opts, report.force), NULL, NULL,
	  "report: overwrite files" },
};

static const char *const examples[] = {
	"lmmeter study examples/study/quantization.toml",
	"run the matrix of a plan, unattended; then print what it says",
	"lmmeter study examples/study/quantization.toml --resume",
	"go on after a Ctrl-C or a power cut",
	"lmmeter study report quantization-study --html quantization.html",
	"tables, plots and conclusions as one page",
	"lmmeter study report quantization-study --csv - | column -s, -t | less -S",
	"every cell",
	NULL,
};

const struct lmm_command lmm_command_study = {
	.name = "study",
	.synopsis = "PLAN|report [DIR] [options]",
	.summary = "run an experiment over models, settings and conditions, and say what it shows",
	.description =
		"`lmmeter study PLAN` runs what a plan (TOML, docs/study.md) says: a command of an engine under every combination of its "
		"factors, in blocks of random order, each run recorded. Each run is stored when it ends; a Ctrl-C or a power cut costs "
		"the one that is under way. `lmmeter study report DIR` says what the runs show: tables, comparisons with intervals, "
		"conclusions with their evidence.",
	.exit_status =
		"0 if every cell was measured (or, with report, a report was made); 1 if one was not, or the study was stopped; 2 usage, "
		"and a plan that is wrong.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 1,
	.args_max = 2,
};

/* ---- running --------------------------------------------------------------------------------------- */

static void complain(void *ctx, int line, const char *text)
{
	if (line > 0) {
		lmm_error("%s:%d: %s", (const char *)ctx, line, text);
	} else {
		lmm_error("%s: %s", (const char *)ctx, text);
	}
}

static int run_all(struct lmm_study_run *r)
{
	int status = LMM_EXIT_FAILURE, rc;

	lmm_signals_block(&r->mask);
	r->begin_ns = lmm_mono_ns();
	r->shows_progress = isatty(STDERR_FILENO);
	rc = lmm_study_variants(r);
	if (rc == 0) {
		lmm_study_files_settle(r);
		status = lmm_study_cells(r);
	} else if (rc == -EINTR) {
		lmm_error("stopped by a signal; the same command with --resume goes on");
	}
	pthread_sigmask(SIG_SETMASK, &r->mask, NULL);
	return status;
}

static int self_find(char *out, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", out, bytes - 1);

	if (n <= 0) {
		lmm_error("/proc/self/exe cannot be read");
		return -1;
	}
	out[n] = '\0';
	return 0;
}

static int lock_take(void)
{
	pid_t other;
	int fd = lmm_study_lock(&other);

	if (fd >= 0)
		return fd;
	if (fd == -EBUSY) {
		lmm_error(
			"another study runs on this machine (process %d): each would spoil the other's times",
			(int)other);
	} else {
		lmm_error("cannot make sure that no other study runs: %s", lmm_strerror(fd));
	}
	return -1;
}

static int study_run(struct lmm_plan *p, const char *folder, const struct study_opts *o)
{
	static struct lmm_study_run r;
	static const struct lmm_study_report_opts text;
	int status = LMM_EXIT_FAILURE, lock;

	if (self_find(r.self, sizeof(r.self)))
		return LMM_EXIT_FAILURE;
	lock = lock_take();
	if (lock < 0)
		return LMM_EXIT_FAILURE;
	(void)signal(SIGCHLD, SIG_DFL);
	/* a limit on the size of files is an error as a full disk is */
	(void)signal(SIGXFSZ, SIG_IGN);
	if (lmm_study_begin(p, folder, o->resume, &r.study) == 0) {
		status = run_all(&r);
		if (!r.signal)
			(void)lmm_study_report(folder, &text);
		lmm_study_destroy(r.study);
	}
	close(lock);
	return status;
}

static void plan_print(const struct lmm_plan *p, const char *folder)
{
	printf("%s: %u conditions, %u repeats, %u cells, at most %s each; the folder is %s\n",
	       p->name, p->n_conditions, (unsigned)p->repeats,
	       p->n_conditions * (unsigned)p->repeats, lmm_human_ns((double)p->cell_budget_ns).s,
	       folder);
	for (uint32_t i = 0; i < p->n_factors; i++) {
		printf("  %-20s", p->factors[i].name);
		for (uint32_t k = 0; k < p->factors[i].n; k++) {
			char shown[256];

			lmm_text_fit(shown, sizeof(shown), p->factors[i].levels[k], 60);
			printf(" %s", shown);
		}
		putchar('\n');
	}
}

/* "plans/quantization.toml": "quantization-study", here. */
static void folder_name(const struct lmm_plan *p, const struct study_opts *o, char *out,
			size_t bytes)
{
	if (o->out) {
		(void)snprintf(out, bytes, "%.4090s", o->out);
	} else {
		(void)snprintf(out, bytes, "%.200s-study", p->name);
	}
	for (char *c = out; !o->out && *c; c++) {
		if (*c == '/')
			*c = '_';
	}
}

static int cmd_run(char *path, const struct study_opts *o)
{
	struct lmm_plan *p = lmm_plan_read(path, NULL, complain, path);
	char folder[LMM_STUDY_PATH];
	int status = LMM_EXIT_USAGE;

	if (!p)
		return LMM_EXIT_USAGE;
	folder_name(p, o, folder, sizeof(folder));
	if (lmm_study_check(p, folder) == 0) {
		if (o->check) {
			plan_print(p, folder);
			status = lmm_stdout_status();
		} else {
			status = study_run(p, folder, o);
		}
	}
	lmm_plan_destroy(p);
	return status;
}

/* ---- the command ------------------------------------------------------------------------------------ */

static int usage_check(int is_report, int argc, const struct study_opts *o)
{
	const struct lmm_study_report_opts *r = &o->report;

	if (is_report && argc < 3) {
		lmm_error("study report needs the folder of a study");
	} else if (!is_report && argc > 2) {
		lmm_error("study takes one plan");
	} else if (is_report && (o->resume || o->out || o->check)) {
		lmm_error("--output, --resume and --check are for running a study");
	} else if (!is_report && (r->html || r->svg || r->csv || r->json || r->paper || r->force)) {
		lmm_error("--json, --html, --svg, --csv, --paper and --force are for study report");
	} else if (r->json && r->paper) {
		lmm_error("--json and --paper: one at a time");
	} else {
		return 0;
	}
	return -1;
}

int lmm_cmd_study(int argc, char **argv)
{
	struct study_opts o = { 0 };
	int is_report;

	switch (lmm_options_parse(&lmm_command_study, &argc, argv, &o)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	is_report = strcmp(argv[1], "report") == 0;
	if (usage_check(is_report, argc, &o))
		return LMM_EXIT_USAGE;
	(void)signal(SIGPIPE, SIG_IGN);
	return is_report ? lmm_study_report(argv[2], &o.report) : cmd_run(argv[1], &o);
}
