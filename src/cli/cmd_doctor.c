/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stddef.h>

#include "cli/options.h"

struct doctor_opts {
	int json;
};

static const struct lmm_opt opts_table[] = {
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct doctor_opts, json), NULL, NULL,
	  "write the answers as JSON (lmmeter.doctor/1)" },
};

static const struct lmm_command command = {
	.name = "doctor",
	.synopsis = "[--json] [-- COMMAND [ARGS]...]",
	.summary = "say what can be seen of an engine, what not, and why",
	.opts = opts_table,
	.n_opts = LMM_ARRAY_SIZE(opts_table),
	.args_max = -1,
	.stops_at_argument = 1,
};

int lmm_cmd_doctor(int argc, char **argv)
{
	struct doctor_opts opts = { 0 };

	switch (lmm_options_parse(&command, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	lmm_error("nothing can be said yet");
	return LMM_EXIT_FAILURE;
}
