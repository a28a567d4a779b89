/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/completion.h"
#include "cli/options.h"

static const char *const examples[] = {
	". <(lmmeter completion bash)",
	"in this shell, at once",
	"lmmeter completion zsh > ~/.zfunc/_lmmeter",
	"for zsh, if ~/.zfunc is in $fpath",
	NULL,
};

const struct lmm_command lmm_command_completion = {
	.name = "completion",
	.synopsis = "bash|zsh",
	.summary = "print what a shell needs to complete lmmeter's command lines",
	.description =
		"Prints what bash or zsh needs to complete commands, options, their values, recordings and processes. An installed "
		"lmmeter has brought it along.",
	.examples = examples,
	.args_min = 1,
	.args_max = 1,
};

int lmm_cmd_completion(int argc, char **argv)
{
	switch (lmm_options_parse(&lmm_command_completion, &argc, argv, NULL)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	if (strcmp(argv[1], "bash") == 0) {
		lmm_completion_bash(stdout);
	} else if (strcmp(argv[1], "zsh") == 0) {
		lmm_completion_zsh(stdout);
	} else {
		lmm_error("completion knows bash and zsh, not '%s'", argv[1]);
		return LMM_EXIT_USAGE;
	}
	return lmm_stdout_status();
}
