/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>

#include "cli/options.h"
#include "lmmeter/version.h"

struct command_entry {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command_entry commands[] = {
	{ "run", "run a command and record where its engine spends the time", lmm_cmd_run },
	{ "report", "show what a recording says: text, JSON or CSV", lmm_cmd_report },
	{ "export", "turn a recording into a trace for Perfetto or Chrome", lmm_cmd_export },
	{ "doctor", "say what can be seen of an engine, what not, and why", lmm_cmd_doctor },
	{ "overhead", "say how much recording slows a command down", lmm_cmd_overhead },
	{ "verify", "say how true lmmeter's figures are, here and on this engine", lmm_cmd_verify },
};

static void print_usage(FILE *out)
{
	fputs("Usage: lmmeter COMMAND [options]\n\n"
	      "Says where every token's time goes, on an engine that is neither rebuilt nor patched.\n\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].summary);
	fputs("  help      explain a command\n\n"
	      "Examples:\n"
	      "  lmmeter run -- llama-completion -m model.gguf -p 'Hello'\n"
	      "  lmmeter report lmmeter-llama-completion-1.lmt\n"
	      "  lmmeter export lmmeter-llama-completion-1.lmt --to perfetto trace.pftrace\n\n"
	      "'lmmeter COMMAND --help' lists a command's options; 'lmmeter --version' prints the version.\n",
	      out);
}

static const struct command_entry *find_command(const char *name)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[LMM_ARRAY_SIZE(commands) + 2];
	const char *meant;
	size_t n = 0;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(commands); i++)
		names[n++] = commands[i].name;
	names[n++] = "help";
	names[n] = NULL;
	meant = lmm_suggest(name, names);
	if (meant) {
		lmm_error("there is no command '%s'; did you mean '%s'?", name, meant);
	} else {
		lmm_error("there is no command '%s'; 'lmmeter help' lists them", name);
	}
	return LMM_EXIT_USAGE;
}

static int finish_stdout(int status)
{
	int rc = lmm_stdout_finish();

	if (rc < 0 && rc != -EPIPE) {
		lmm_error("cannot write to standard output: %s",
			  strerror(-rc)); /* NOLINT(concurrency-mt-unsafe) */
	}
	return rc < 0 && status == LMM_EXIT_OK ? LMM_EXIT_FAILURE : status;
}

static int print_help(int argc, char **argv)
{
	const struct command_entry *command;
	char help[] = "--help";
	char *args[3] = { NULL, help, NULL };

	if (argc < 2) {
		print_usage(stdout);
		return finish_stdout(LMM_EXIT_OK);
	}
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	args[0] = argv[1];
	return command->run(2, args);
}

int main(int argc, char **argv)
{
	const struct command_entry *command;

	if (argc < 2) {
		print_usage(stderr);
		return LMM_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return print_help(argc - 1, argv + 1);
	if (strcmp(argv[1], "--version") == 0) {
		puts("lmmeter " LMM_VERSION_STRING);
		return finish_stdout(LMM_EXIT_OK);
	}
	if (argv[1][0] == '-') {
		lmm_error("there is no option '%s' here; options follow the command", argv[1]);
		return LMM_EXIT_USAGE;
	}
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	return command->run(argc - 1, argv + 1);
}
