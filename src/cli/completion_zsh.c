/* SPDX-License-Identifier: Apache-2.0 */
/* A function with a case per command, whose options and arguments zsh's own _arguments understands. */
#include <string.h>

#include "base/compiler.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/grammar.h"

/* Inside '…', with a backslash before each of specials. */
static void put_quoted(const char *text, const char *specials, FILE *out)
{
	for (; *text; text++) {
		if (*text == '\'') {
			fputs("'\\''", out);
		} else {
			if (strchr(specials, *text))
				fputc('\\', out);
			fputc(*text == '\n' ? ' ' : *text, out);
		}
	}
}

/* What is to be done for these kinds: code in the braces of an action. */
static void put_action(unsigned kinds, FILE *out)
{
	static const struct {
		unsigned kind;
		const char *action;
	} actions[] = {
		{ LMM_VALUE_RECORDING, "_files -g \"*.lmt\"" },
		{ LMM_VALUE_FILE, "_files" },
		{ LMM_VALUE_FOLDER, "_files -/" },
		{ LMM_VALUE_PROCESS, "_lmmeter_processes" },
		{ LMM_VALUE_COMMAND, "_lmmeter_commands" },
	};
	const char *between = "";

	for (size_t i = 0; i < LMM_ARRAY_SIZE(actions); i++) {
		if (kinds & actions[i].kind) {
			fprintf(out, "%s%s", between, actions[i].action);
			between = "; ";
		}
	}
}

static void put_value(const struct lmm_opt *opt, FILE *out)
{
	unsigned kinds = lmm_option_kinds(opt);

	fprintf(out, ":%s:", opt->value_name ? opt->value_name : opt->name);
	if (opt->choices) {
		for (int i = 0; opt->choices[i]; i++)
			fprintf(out, "%c%s", i ? ' ' : '(', opt->choices[i]);
		fputc(')', out);
	} else if (kinds) {
		fputc('{', out);
		put_action(kinds, out);
		fputc('}', out);
	}
}

static void put_option(const struct lmm_opt *opt, FILE *out)
{
	const char *joins = opt->kind == LMM_OPT_FLAG ? "" : "=";

	fputs(" \\\n\t\t\t'", out);
	if (opt->letter) {
		fprintf(out, "(-%c --%s)'{-%c%s,--%s%s}'[", opt->letter, opt->name, opt->letter,
			opt->kind == LMM_OPT_FLAG ? "" : "+", opt->name, joins);
	} else {
		fprintf(out, "--%s%s[", opt->name, joins);
	}
	put_quoted(opt->help, "[]\\", out);
	fputc(']', out);
	if (opt->kind != LMM_OPT_FLAG)
		put_value(opt, out);
	fputc('\'', out);
}

static void put_argument(const struct lmm_argument *a, unsigned number, FILE *out)
{
	if (a->kinds & LMM_VALUE_PROGRAM) {
		fputs(" \\\n\t\t\t'(-)1:command:{_command_names -e}' '*::argument:_normal'", out);
		return;
	}
	if (a->repeats) {
		fprintf(out, " \\\n\t\t\t'*:%s:", a->words);
	} else {
		fprintf(out, " \\\n\t\t\t'%u:%s:", number + 1, a->words);
	}
	if (a->kinds & LMM_VALUE_WORDS) {
		fputc('(', out);
		lmm_argument_words_put(a, " ", out);
		fputc(')', out);
	} else if (a->kinds) {
		fputc('{', out);
		put_action(a->kinds, out);
		fputc('}', out);
	}
	fputc('\'', out);
}

static void put_command(const struct lmm_command *command, FILE *out)
{
	struct lmm_argument arguments[LMM_ARGUMENTS_MAX];
	unsigned n = lmm_arguments(command, arguments);

	fprintf(out, "\t%s)\n\t\t_arguments -s -S", command->name);
	for (size_t i = 0; i < command->n_opts; i++)
		put_option(&command->opts[i], out);
	fputs(" \\\n\t\t\t'(- *)'{-h,--help}'[show help]'", out);
	for (unsigned i = 0; i < n; i++)
		put_argument(&arguments[i], i, out);
	fputs("\n\t\t;;\n", out);
}

void lmm_completion_zsh(FILE *out)
{
	const struct lmm_command_entry *c;

	fputs("#compdef lmmeter\n# zsh completion for lmmeter, as `lmmeter completion zsh` prints it\n\n"
	      "_lmmeter_processes() {\n\tlocal -a processes=(/proc/<->(Nu${UID}:t))\n\n"
	      "\tcompadd -a processes\n}\n\n"
	      "_lmmeter_commands() {\n\tlocal -a commands=(\n",
	      out);
	for (c = lmm_commands; c->about; c++) {
		fprintf(out, "\t\t'%s:", c->about->name);
		put_quoted(c->about->summary, "\\", out);
		fputs("'\n", out);
	}
	fputs("\t)\n\n\t_describe command commands\n}\n\n"
	      "_lmmeter() {\n\tif (( CURRENT == 2 )); then\n"
	      "\t\t_arguments '--help[list the commands]' '--version[print the version]' '1:command:{_lmmeter_commands}'\n"
	      "\t\treturn\n\tfi\n\tshift words\n\t(( CURRENT-- ))\n\tcase $words[1] in\n",
	      out);
	for (c = lmm_commands; c->about; c++)
		put_command(c->about, out);
	fputs("\tesac\n}\n\n"
	      "# run as a completion, or sourced\n"
	      "if [[ $funcstack[1] == _lmmeter ]]; then\n\t_lmmeter \"$@\"\nelse\n\tcompdef _lmmeter lmmeter\nfi\n",
	      out);
}
