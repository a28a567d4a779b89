/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lmmeter/version.h"

#define COMMANDS_MAX 64 /* names to choose from when one was misspelt */

const struct lmm_command_entry lmm_commands[] = {
	{ &lmm_command_run, lmm_cmd_run },
	{ &lmm_command_attach, lmm_cmd_attach },
	{ &lmm_command_detach, lmm_cmd_detach },
	{ &lmm_command_top, lmm_cmd_top },
	{ &lmm_command_serve, lmm_cmd_serve },
	{ &lmm_command_report, lmm_cmd_report },
	{ &lmm_command_export, lmm_cmd_export },
	{ &lmm_command_diff, lmm_cmd_diff },
	{ &lmm_command_study, lmm_cmd_study },
	{ &lmm_command_calibrate, lmm_cmd_calibrate },
	{ &lmm_command_roofline, lmm_cmd_roofline },
	{ &lmm_command_doctor, lmm_cmd_doctor },
	{ &lmm_command_overhead, lmm_cmd_overhead },
	{ &lmm_command_verify, lmm_cmd_verify },
	{ &lmm_command_help, lmm_cmd_help },
	{ &lmm_command_completion, lmm_cmd_completion },
	{ NULL, NULL },
};

const char *const lmm_commands_examples[] = {
	"lmmeter run -- llama-completion -m model.gguf -p 'Hello'",
	"record one generation and report where its time went",
	"lmmeter top",
	"watch a recording that goes on",
	"lmmeter report lmmeter-llama-completion-1.lmt",
	"what the recording says",
	"lmmeter export lmmeter-llama-completion-1.lmt --to perfetto trace.pftrace",
	"the same for ui.perfetto.dev",
	NULL,
};

const struct lmm_command_entry *lmm_command_find(const char *name)
{
	const char *names[COMMANDS_MAX + 1];
	const char *meant;
	size_t n = 0;

	for (const struct lmm_command_entry *c = lmm_commands; c->about; c++) {
		if (strcmp(c->about->name, name) == 0)
			return c;
		if (n < COMMANDS_MAX)
			names[n++] = c->about->name;
	}
	names[n] = NULL;
	meant = lmm_suggest(name, names);
	if (meant) {
		lmm_error("there is no command '%s'; did you mean '%s'?", name, meant);
	} else {
		lmm_error("there is no command '%s'; 'lmmeter help' lists them", name);
	}
	return NULL;
}

void lmm_commands_usage(FILE *out)
{
	fputs("Usage: lmmeter COMMAND [options]\n\n"
	      "Says where every token's time goes, on an engine that is neither rebuilt nor patched.\n\n"
	      "Commands:\n",
	      out);
	for (const struct lmm_command_entry *c = lmm_commands; c->about; c++)
		fprintf(out, "  %-10s  %s\n", c->about->name, c->about->summary);
	fputs("\nExamples:\n", out);
	for (const char *const *e = lmm_commands_examples; *e; e += 2)
		fprintf(out, "  %s\n", *e);
	fputs("\n"
	      "'lmmeter COMMAND --help' lists a command's options; 'lmmeter --version' prints the version.\n",
	      out);
}

static int run_command(int argc, char **argv)
{
	const struct lmm_command_entry *command = lmm_command_find(argv[0]);

	return command ? command->run(argc, argv) : LMM_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	char help[] = "help";

	if (argc < 2) {
		lmm_commands_usage(stderr);
		return LMM_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		argv[1] = help;
	} else if (strcmp(argv[1], "--version") == 0) {
		puts("lmmeter " LMM_VERSION_STRING);
		return lmm_stdout_status();
	} else if (argv[1][0] == '-') {
		lmm_error("there is no option '%s' here; options follow the command", argv[1]);
		return LMM_EXIT_USAGE;
	}
	return run_command(argc - 1, argv + 1);
}
