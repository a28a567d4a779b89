/* SPDX-License-Identifier: Apache-2.0 */
/* The tables for the functions of completion.bash, which says what they hold. */
#include "base/compiler.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/grammar.h"

static void put_kinds(unsigned kinds, FILE *out)
{
	static const struct {
		unsigned kind;
		const char *name;
	} names[] = {
		{ LMM_VALUE_RECORDING, "recording" }, { LMM_VALUE_FILE, "file" },
		{ LMM_VALUE_FOLDER, "folder" },	      { LMM_VALUE_PROCESS, "process" },
		{ LMM_VALUE_COMMAND, "command" },     { LMM_VALUE_PROGRAM, "program" },
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		if (kinds & names[i].kind)
			fprintf(out, " %s", names[i].name);
	}
}

static void put_options(const struct lmm_command *command, FILE *out)
{
	fprintf(out, "\t%s) echo", command->name);
	for (size_t i = 0; i < command->n_opts; i++) {
		const struct lmm_opt *opt = &command->opts[i];

		if (opt->letter)
			fprintf(out, " -%c", opt->letter);
		fprintf(out, " --%s", opt->name);
	}
	fputs(" -h --help ;;\n", out);
}

static void put_value(const struct lmm_command *command, const struct lmm_opt *opt, FILE *out)
{
	unsigned kinds = lmm_option_kinds(opt);

	if (opt->kind == LMM_OPT_FLAG)
		return;
	fprintf(out, "\t'%s --%s'", command->name, opt->name);
	if (opt->letter)
		fprintf(out, " | '%s -%c'", command->name, opt->letter);
	fputs(") echo", out);
	put_kinds(kinds, out);
	for (int i = 0; opt->choices && opt->choices[i]; i++)
		fprintf(out, " =%s", opt->choices[i]);
	fputs(kinds ? " ;;\n" : " other ;;\n", out);
}

static void put_arguments(const struct lmm_command *command, FILE *out)
{
	struct lmm_argument arguments[LMM_ARGUMENTS_MAX];
	unsigned n = lmm_arguments(command, arguments);

	for (unsigned i = 0; i < n; i++) {
		const struct lmm_argument *a = &arguments[i];

		fprintf(out, a->repeats ? "\t'%s '*) echo" : "\t'%s %u') echo", command->name, i);
		put_kinds(a->kinds, out);
		lmm_argument_words_put(a, " =", out);
		fputs(" ;;\n", out);
	}
}

static void table_begin(const char *name, const char *what, const char *key, FILE *out)
{
	fprintf(out, "_lmmeter_%s() { # %s\n\tcase %s in\n", name, what, key);
}

static void table_end(FILE *out)
{
	fputs("\tesac\n}\n\n", out);
}

void lmm_completion_bash(FILE *out)
{
	const struct lmm_command_entry *c;

	fputs("# bash completion for lmmeter, as `lmmeter completion bash` prints it\n\n", out);
	table_begin("options", "command", "$1", out);
	fputs("\t'') echo", out);
	for (c = lmm_commands; c->about; c++)
		fprintf(out, " %s", c->about->name);
	fputs(" ;;\n", out);
	for (c = lmm_commands; c->about; c++)
		put_options(c->about, out);
	table_end(out);
	table_begin("value", "command option", "\"$1 $2\"", out);
	for (c = lmm_commands; c->about; c++) {
		for (size_t i = 0; i < c->about->n_opts; i++)
			put_value(c->about, &c->about->opts[i], out);
	}
	table_end(out);
	table_begin("argument", "command number", "\"$1 $2\"", out);
	for (c = lmm_commands; c->about; c++)
		put_arguments(c->about, out);
	table_end(out);
	fputs(lmm__completion_bash, out);
}
