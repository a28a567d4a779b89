/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/man.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "cli/commands.h"
#include "lmmeter/version.h"
#include "report/format.h"

#define PROSE_WIDTH 64 /* of a line, before what roff needs */

/* ---- roff --------------------------------------------------------------------------------------- */

static void put_code(uint32_t code, FILE *out)
{
	if (code == '\\') {
		fputs("\\e", out);
	} else if (code == '-') {
		fputs("\\-", out);
	} else if (code == '\'') {
		fputs("\\(aq", out);
	} else if (code == '`' || code == '^' || code == '~') {
		fprintf(out, "\\(%s", code == '`' ? "ga" : code == '^' ? "ha" : "ti");
	} else if (code >= 0x80) {
		fprintf(out, "\\[u%04X]", (unsigned)code);
	} else {
		fputc((int)code, out);
	}
}

/* n bytes without any meaning to roff. */
static void put_plain(const char *text, size_t n, FILE *out)
{
	const char *end = text + n;

	while (text < end) {
		uint32_t code;

		text += lmm_utf8_next(text, &code);
		put_code(code, out);
	}
}

static void put_font(char font, const char *text, size_t n, FILE *out)
{
	fprintf(out, "\\f%c", font);
	put_plain(text, n, out);
	fputs("\\fP", out);
}

/* One word. At the begin of a line a dot would be a command. */
static void put_word(const char *text, size_t n, char *font, FILE *out)
{
	if (n && *text == '.')
		fputs("\\&", out);
	while (n) {
		size_t k = 0;

		while (k < n && text[k] != '`')
			k++;
		put_plain(text, k, out);
		if (k < n) {
			*font = *font == 'B' ? 'R' : 'B';
			fprintf(out, "\\f%c", *font);
			k++;
		}
		text += k;
		n -= k;
	}
}

/* Prose: `lmmeter run` is bold; an empty line begins a paragraph. */
static void put_prose(const char *text, FILE *out)
{
	size_t column = 0;
	char font = 'R';

	while (*text) {
		size_t n = strcspn(text, " \n");

		if (column)
			fputc(column + n > PROSE_WIDTH ? '\n' : ' ', out);
		column = column + n > PROSE_WIDTH ? n + 1 : column + n + 1;
		put_word(text, n, &font, out);
		text += n;
		if (*text == '\n') {
			fputs("\n.PP\n", out);
			column = 0;
		}
		text += strspn(text, " \n");
	}
	fputc('\n', out);
}

/* "[options] -- COMMAND": words in capitals are what the user puts there. */
static void put_synopsis(const char *text, FILE *out)
{
	while (*text) {
		size_t n = 0;

		while (isupper((unsigned char)text[n]))
			n++;
		if (n) {
			put_font('I', text, n, out);
		} else {
			n = 1;
			while (text[n] && !isupper((unsigned char)text[n]))
				n++;
			put_plain(text, n, out);
		}
		text += n;
	}
	fputc('\n', out);
}

static void put_title(const char *name, FILE *out)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH"); /* NOLINT(concurrency-mt-unsafe) */
	time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
	char date[16] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		(void)strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	fputs(".TH LMMETER", out);
	if (name[0])
		fputs("\\-", out);
	for (; *name; name++)
		fputc(toupper((unsigned char)*name), out);
	fprintf(out, " 1 \"%s\" \"lmmeter %s\" \"lmmeter\"\n", date, LMM_VERSION_STRING);
}

/* ---- sections ----------------------------------------------------------------------------------- */

/* opt: NULL for one that all commands have. */
static void put_option(char letter, const char *name, const struct lmm_opt *opt, const char *help,
		       FILE *out)
{
	fputs(".TP\n", out);
	if (letter)
		fprintf(out, "\\fB\\-%c\\fP, ", letter);
	fputs("\\fB\\-\\-", out);
	put_plain(name, strlen(name), out);
	fputs("\\fP", out);
	if (opt && opt->value_name) {
		fputc(' ', out);
		put_font('I', opt->value_name, strlen(opt->value_name), out);
	}
	for (int i = 0; opt && opt->choices && opt->choices[i]; i++) {
		fputc(i ? '|' : ' ', out);
		put_font('B', opt->choices[i], strlen(opt->choices[i]), out);
	}
	fputc('\n', out);
	put_prose(help, out);
}

static int has_kind(const struct lmm_command *command, enum lmm_opt_kind kind)
{
	for (size_t i = 0; i < command->n_opts; i++) {
		if (command->opts[i].kind == kind)
			return 1;
	}
	return 0;
}

static void put_options(const struct lmm_command *command, FILE *out)
{
	fputs(".SH OPTIONS\n", out);
	for (size_t i = 0; i < command->n_opts; i++) {
		const struct lmm_opt *opt = &command->opts[i];

		put_option(opt->letter, opt->name, opt, opt->help, out);
	}
	put_option('h', "help", NULL, "show this", out);
	if (has_kind(command, LMM_OPT_SIZE)) {
		fputs(".PP\n", out);
		put_prose(
			"A SIZE is a number of bytes, or has a unit: 64K, 8M, 1G (powers of 1024).",
			out);
	}
	if (has_kind(command, LMM_OPT_DURATION)) {
		fputs(".PP\n", out);
		put_prose("A TIME has a unit: 500ms, 30s, 5m, 1h; a number alone is seconds.", out);
	}
	if (has_kind(command, LMM_OPT_SHARE)) {
		fputs(".PP\n", out);
		put_prose("A SHARE is 0.0001% to 100%, or `off`.", out);
	}
}

static void put_examples(const char *const *e, FILE *out)
{
	if (!e)
		return;
	fputs(".SH EXAMPLES\n", out);
	for (; e[0] && e[1]; e += 2) {
		fputs(".TP\n", out);
		put_font('B', e[0], strlen(e[0]), out);
		fputc('\n', out);
		put_prose(e[1], out);
	}
}

static void put_pairs(const char *heading, const char *const (*pairs)[2], size_t n, FILE *out)
{
	fprintf(out, ".SH %s\n", heading);
	for (size_t i = 0; i < n; i++) {
		fputs(".TP\n", out);
		put_font(pairs[i][0][0] == '*' || strchr(pairs[i][0], '/') ? 'I' : 'B', pairs[i][0],
			 strlen(pairs[i][0]), out);
		fputc('\n', out);
		put_prose(pairs[i][1], out);
	}
}

/* What all commands share. */
static void put_surroundings(FILE *out)
{
	static const char *const files[][2] = {
		{ "*.lmt", "Recordings. They hold no text of prompts or answers." },
		{ "/dev/shm/lmmeter-UID/",
		  "Folders of recordings that go on, one each, for this user alone. What is there after a crash is used by `lmmeter report`, and swept by the next recording; gone-… are being removed." },
	};
	static const char *const environment[][2] = {
		{ "LMMETER_DIR",
		  "Where the folders of recordings are made, before $XDG_RUNTIME_DIR, /dev/shm, $TMPDIR and /tmp are tried; `lmmeter top` then looks for them there alone." },
		{ "LMMETER_LIB_DIR",
		  "The folder of liblmmeter.so, if it is not where it was installed." },
		{ "LMMETER_OUT",
		  "A file: liblmmeter.so, preloaded without `lmmeter run`, records to it by itself." },
		{ "LMMETER_CLOCK",
		  "`monotonic`: do not use the processor's counter as the clock." },
		{ "NO_COLOR", "If it is not empty, no colours on a terminal." },
	};

	put_pairs("FILES", files, LMM_ARRAY_SIZE(files), out);
	put_pairs("ENVIRONMENT", environment, LMM_ARRAY_SIZE(environment), out);
}

static void put_reference(const char *name, int goes_on, FILE *out)
{
	fputs(".BR lmmeter", out);
	if (name[0])
		fputs("\\-", out);
	fprintf(out, "%s (1)%s\n", name, goes_on ? "," : "");
}

/* All pages but that of command. */
static void put_see_also(const struct lmm_command *command, FILE *out)
{
	const struct lmm_command *last = NULL;

	for (const struct lmm_command_entry *c = lmm_commands; c->about; c++)
		last = c->about != command ? c->about : last;
	fputs(".SH SEE ALSO\n", out);
	if (command)
		put_reference("", last != NULL, out);
	for (const struct lmm_command_entry *c = lmm_commands; c->about; c++) {
		if (c->about != command)
			put_reference(c->about->name, c->about != last, out);
	}
}

/* ---- pages -------------------------------------------------------------------------------------- */

static void put_command(const struct lmm_command *command, FILE *out)
{
	char name[256];

	put_title(command->name, out);
	fputs(".SH NAME\n", out);
	(void)snprintf(name, sizeof(name), "lmmeter-%s - %s", command->name, command->summary);
	put_prose(name, out);
	fprintf(out, ".SH SYNOPSIS\n\\fBlmmeter %s\\fP ", command->name);
	put_synopsis(command->synopsis, out);
	fputs(".SH DESCRIPTION\n", out);
	put_prose(command->description ? command->description : command->summary, out);
	put_options(command, out);
	put_examples(command->examples, out);
	fputs(".SH EXIT STATUS\n", out);
	put_prose(
		command->exit_status
			? command->exit_status
			: "0: done; 1: it failed, and one line on standard error says why; 2: the command line makes no sense.",
		out);
}

static void put_overview(FILE *out)
{
	put_title("", out);
	fputs(".SH NAME\nlmmeter \\- an online latency profiler for language models\n"
	      ".SH SYNOPSIS\n\\fBlmmeter\\fP \\fICOMMAND\\fP [options]\n.br\n"
	      "\\fBlmmeter \\-\\-version\\fP\n"
	      ".SH DESCRIPTION\n",
	      out);
	put_prose(
		"Says where every token's time goes, on an engine that is neither rebuilt nor patched: "
		"by phase, by layer and by operator, with the profiler's own cost measured.",
		out);
	fputs(".SH COMMANDS\n", out);
	for (const struct lmm_command_entry *c = lmm_commands; c->about; c++) {
		fprintf(out, ".TP\n\\fB%s\\fP\n", c->about->name);
		put_prose(c->about->summary, out);
	}
	fputs(".SH OPTIONS\n", out);
	put_option('h', "help", NULL, "list the commands; behind a command, its options", out);
	put_option(0, "version", NULL, "print the version", out);
	put_examples(lmm_commands_examples, out);
	fputs(".SH EXIT STATUS\n", out);
	put_prose(
		"0: done; 1: failure, or what was looked for was found; 2: the command line makes no sense. "
		"`lmmeter run` passes its command's own status on.",
		out);
}

void lmm_man_print(const struct lmm_command *command, FILE *out)
{
	if (command) {
		put_command(command, out);
	} else {
		put_overview(out);
	}
	put_surroundings(out);
	put_see_also(command, out);
}
