/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/options.h"
#include "report/report.h"

struct doctor_opts {
	int json;
};

static const struct lmm_opt opts_table[] = {
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct doctor_opts, json), NULL, NULL,
	  "write the answers as JSON (lmmeter.doctor/1)" },
};

static const char *const examples[] = {
	"lmmeter doctor",
	"is this machine ready, and what does a record cost here",
	"lmmeter doctor -- llama-server -m model.gguf",
	"which engine is it, what of it will be seen, what not and why",
	NULL,
};

const struct lmm_command lmm_command_doctor = {
	.name = "doctor",
	.synopsis = "[--json] [-- COMMAND [ARGUMENT]...]",
	.summary = "say what can be seen of an engine, what not, and why",
	.description =
		"Looks at this machine and at COMMAND, without running it: which engine the dynamic loader would bring in, which "
		"phases and operators can be seen, and the one line that mends each gap.",
	.exit_status =
		"0 if operators will be recorded (without COMMAND: if this machine can record), 1 if something is "
		"missing or cannot be told before COMMAND runs.",
	.opts = opts_table,
	.n_opts = LMM_ARRAY_SIZE(opts_table),
	.examples = examples,
	.args_max = -1,
	.stops_at_argument = 1,
};

void lmm_doctor_gap(struct lmm_doctor *d, const char *mend, const char *format, ...)
{
	struct lmm_doctor_gap *g = &d->gap[d->n_gaps];
	va_list ap;

	if (d->n_gaps == LMM_DOCTOR_GAPS)
		return;
	va_start(ap, format);
	if (vsnprintf(g->what, sizeof(g->what), format, ap) >= 0)
		d->n_gaps++;
	va_end(ap);
	(void)snprintf(g->mend, sizeof(g->mend), "%s", mend ? mend : "");
}

void lmm_doctor_note(struct lmm_doctor *d, const char *format, ...)
{
	va_list ap;

	if (d->n_notes == LMM_DOCTOR_NOTES)
		return;
	va_start(ap, format);
	if (vsnprintf(d->note[d->n_notes], sizeof(d->note[0]), format, ap) >= 0)
		d->n_notes++;
	va_end(ap);
}

/* No engine among its libraries says nothing about what it opens or starts later. */
static void note_unknown(struct lmm_doctor *d)
{
	const struct lmm_doctor_command *c = &d->command;

	if (d->level >= 0)
		return;
	if (c->loads_later) {
		lmm_doctor_note(
			d,
			"it loads the engine later, or starts it: that cannot be judged before. "
			"'lmmeter run' follows scripts and children%s",
			d->machine.libs.audit[0] ? ", and what Python opens with ctypes" : "");
	} else {
		lmm_doctor_note(
			d,
			"no engine is among its libraries. If it opens one later or starts a program that has "
			"one, 'lmmeter run' follows it");
	}
}

static int answer(struct lmm_doctor *d, const struct doctor_opts *opts)
{
	struct lmm_text_opts text = { 0 };
	int rc;

	lmm_text_opts_detect(&text, fileno(stdout));
	if (opts->json) {
		lmm_doctor_json(d, stdout);
	} else {
		lmm_doctor_text(d, stdout, text.color);
	}
	rc = lmm_stdout_finish();
	if (rc < 0) {
		if (rc != -EPIPE)
			lmm_error("cannot write to standard output: %s", lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	if (d->has_command)
		return d->level == LMM_LEVEL_KERNELS ? LMM_EXIT_OK : LMM_EXIT_FAILURE;
	return d->n_gaps ? LMM_EXIT_FAILURE : LMM_EXIT_OK;
}

int lmm_cmd_doctor(int argc, char **argv)
{
	struct doctor_opts opts = { 0 };
	struct lmm_doctor *d;
	int status;

	switch (lmm_options_parse(&lmm_command_doctor, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		lmm_error("%s", lmm_strerror(-ENOMEM));
		return LMM_EXIT_FAILURE;
	}
	d->level = LMM_LEVEL_OFF;
	lmm_doctor_machine(d);
	if (argc > 1) {
		lmm_doctor_command(d, argv[1]);
		lmm_doctor_engine(d);
		note_unknown(d);
	}
	status = answer(d, &opts);
	lmm_doctor_free(d);
	free(d);
	return status;
}
