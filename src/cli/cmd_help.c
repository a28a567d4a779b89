/* SPDX-License-Identifier: Apache-2.0 */
#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/man.h"

struct help_opts {
	int man, names;
};

static const struct lmm_opt options[] = {
	{ 0, "man", LMM_OPT_FLAG, offsetof(struct help_opts, man), NULL, NULL,
	  "write the manual page instead, as roff" },
	{ 0, "names", LMM_OPT_FLAG, offsetof(struct help_opts, names), NULL, NULL,
	  "write the names of the commands, one a line, for scripts" },
};

static const char *const examples[] = {
	"lmmeter help",
	"the commands",
	"lmmeter help report",
	"what report does, its options, examples",
	"lmmeter help --man report | man -l -",
	"the same as a manual page",
	NULL,
};

const struct lmm_command lmm_command_help = {
	.name = "help",
	.synopsis = "[COMMAND] [options]",
	.summary = "explain a command",
	.description = "Explains a command, as `lmmeter COMMAND --help` does, or lists them all.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 0,
	.args_max = 1,
};

static void print_names(void)
{
	for (const struct lmm_command_entry *c = lmm_commands; c->about; c++)
		puts(c->about->name);
}

static void print_help(const struct lmm_command *command, const struct help_opts *opts)
{
	if (opts->names) {
		print_names();
	} else if (opts->man) {
		lmm_man_print(command, stdout);
	} else if (command) {
		lmm_options_help(command, stdout);
	} else {
		lmm_commands_usage(stdout);
	}
}

int lmm_cmd_help(int argc, char **argv)
{
	const struct lmm_command_entry *command = NULL;
	struct help_opts opts = { 0 };

	switch (lmm_options_parse(&lmm_command_help, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	if (argc > 1) {
		command = lmm_command_find(argv[1]);
		if (!command)
			return LMM_EXIT_USAGE;
	}
	print_help(command ? command->about : NULL, &opts);
	return lmm_stdout_status();
}
