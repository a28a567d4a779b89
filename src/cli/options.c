/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/grammar.h"

#define HELP_COLUMN 26
#define HELP_WIDTH  98
#define WORD_MAX    32

/* ---- suggestions -------------------------------------------------------------------------------- */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein; words longer than WORD_MAX are never alike. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned row[WORD_MAX + 1];

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[m];
}

const char *lmm_suggest(const char *word, const char *const *names)
{
	const char *best = NULL;
	unsigned best_distance = WORD_MAX;

	for (; *names; names++) {
		unsigned d = edit_distance(word, *names);

		if (d < best_distance && d <= (strlen(*names) + 2) / 3) {
			best = *names;
			best_distance = d;
		}
	}
	return best;
}

/* ---- values ------------------------------------------------------------------------------------- */

static int parse_u64(const char *text, uint64_t *value, const char **end)
{
	char *stop;
	unsigned long long v;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &stop, 10);
	if (errno == ERANGE)
		return -ERANGE;
	*value = v;
	*end = stop;
	return 0;
}

/* How far "K", "MiB", "GB" shift; negative if text is none of them. */
static int unit_shift(const char *text)
{
	static const char units[] = "KMGT";
	const char *unit = *text ? strchr(units, toupper((unsigned char)*text)) : NULL;
	int shift = 0;

	if (unit) {
		shift = 10 * (int)(unit - units + 1);
		text++;
		if (*text == 'i')
			text++;
	}
	if (*text == 'B')
		text++;
	return *text ? -1 : shift;
}

int lmm_size_parse(const char *text, uint64_t *bytes)
{
	const char *end;
	uint64_t v;
	int rc = parse_u64(text, &v, &end);
	int shift;

	if (rc < 0)
		return rc;
	shift = unit_shift(end);
	if (shift < 0)
		return -EINVAL;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = v << shift;
	return 0;
}

/* "30s", "1.5m", "500ms", "10": ns. */
static int parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "", 1e9 },   { "s", 1e9 },    { "ms", 1e6 },
		      { "m", 60e9 }, { "min", 60e9 }, { "h", 3600e9 } };
	char *end;
	double v;

	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return -EINVAL;
	v = strtod(text, &end);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (!(v * units[i].ns >= 1 && v * units[i].ns < 1e18))
			return -ERANGE;
		*ns = (uint64_t)(v * units[i].ns);
		return 0;
	}
	return -EINVAL;
}

/* "1%", "0.5 %", "off": millionths; off is 0, and nothing else is. */
static int parse_share(const char *text, uint64_t *millionths)
{
	char *end;
	double v;

	if (strcmp(text, "off") == 0) {
		*millionths = 0;
		return 0;
	}
	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return -EINVAL;
	v = strtod(text, &end);
	while (*end == ' ')
		end++;
	if (*end == '%')
		end++;
	if (*end || !(v * 1e4 >= 1) || v > 100)
		return -EINVAL;
	*millionths = (uint64_t)(v * 1e4 + 0.5);
	return 0;
}

static int parse_choice(const struct lmm_opt *opt, const char *text, int *value)
{
	for (int i = 0; opt->choices[i]; i++) {
		if (strcmp(opt->choices[i], text) == 0) {
			*value = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int store_value(const struct lmm_opt *opt, const char *text, void *values)
{
	void *slot = (char *)values + opt->offset;
	const char *end;
	int rc;

	switch (opt->kind) {
	case LMM_OPT_FLAG:
		*(int *)slot = 1;
		rc = text ? parse_choice(opt, text, slot) : 0;
		if (text && rc == 0)
			*(int *)slot += 2;
		return rc;
	case LMM_OPT_STRING:
		*(const char **)slot = text;
		return 0;
	case LMM_OPT_U64:
		rc = parse_u64(text, slot, &end);
		return rc < 0 ? rc : (*end ? -EINVAL : 0);
	case LMM_OPT_SIZE:
		return lmm_size_parse(text, slot);
	case LMM_OPT_SHARE:
		return parse_share(text, slot);
	case LMM_OPT_DURATION:
		return parse_duration(text, slot);
	case LMM_OPT_CHOICE:
		return parse_choice(opt, text, slot);
	}
	return -EINVAL;
}

/* ---- help --------------------------------------------------------------------------------------- */

/* Words of text, wrapped; the first line has come to column, further ones begin at indent. */
static void print_wrapped(const char *text, int column, int indent, FILE *out)
{
	int begin = column;

	while (*text) {
		int n = (int)strcspn(text, " \n");

		if (column > begin && column + 1 + n > HELP_WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			begin = column = indent;
		} else if (column > begin) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", n, text);
		column += n;
		text += n;
		if (*text == '\n') {
			fprintf(out, "\n%*s", text[1] && text[1] != '\n' ? indent : 0, "");
			begin = column = indent;
			text++;
		} else {
			text += strspn(text, " ");
		}
	}
	fputc('\n', out);
}

static void print_choices(const struct lmm_opt *opt, char *text, size_t size)
{
	size_t n = 0;

	for (int i = 0; opt->choices[i] && n < size; i++) {
		int w = snprintf(text + n, size - n, "%s%s", i ? "|" : "", opt->choices[i]);

		n += w > 0 ? (size_t)w : 0;
	}
}

static void print_option(char letter, const char *name, const char *value, const char *help,
			 FILE *out)
{
	char left[96];
	char dash[4] = "    ";
	int n;

	if (letter) {
		dash[0] = '-';
		dash[1] = letter;
		dash[2] = ',';
		dash[3] = '\0';
	} else {
		dash[3] = '\0';
	}
	n = snprintf(left, sizeof(left), "  %s --%s%s%s", dash, name, value ? " " : "",
		     value ? value : "");
	if (n < 0 || n > HELP_COLUMN - 2) {
		fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
	} else {
		fprintf(out, "%-*s", HELP_COLUMN, left);
	}
	print_wrapped(help, HELP_COLUMN, HELP_COLUMN, out);
}

void lmm_options_help(const struct lmm_command *command, FILE *out)
{
	fprintf(out, "Usage: lmmeter %s %s\n\n", command->name, command->synopsis);
	if (command->description) {
		print_wrapped(command->description, 0, 0, out);
		fputc('\n', out);
	}
	if (command->exit_status) {
		fputs("Exit status: ", out);
		print_wrapped(command->exit_status, (int)strlen("Exit status: "), 0, out);
		fputc('\n', out);
	}
	fputs("Options:\n", out);
	for (size_t i = 0; i < command->n_opts; i++) {
		const struct lmm_opt *opt = &command->opts[i];
		char choices[64] = "", maybe[72] = "";

		if (opt->choices)
			print_choices(opt, choices, sizeof(choices));
		if (opt->kind == LMM_OPT_FLAG && opt->choices)
			(void)snprintf(maybe, sizeof(maybe), "[%s]", choices);
		print_option(opt->letter, opt->name,
			     maybe[0]	  ? maybe
			     : choices[0] ? choices
					  : opt->value_name,
			     opt->help, out);
	}
	print_option('h', "help", NULL, "show this", out);
	if (!command->examples)
		return;
	fputs("\nExamples:\n", out);
	for (const char *const *e = command->examples; e[0] && e[1]; e += 2) {
		fprintf(out, "  %s\n      ", e[0]);
		print_wrapped(e[1], 6, 6, out);
	}
}

/* ---- parsing ------------------------------------------------------------------------------------ */

static const struct lmm_opt *find_letter(const struct lmm_command *command, char letter)
{
	for (size_t i = 0; i < command->n_opts; i++) {
		if (command->opts[i].letter == letter)
			return &command->opts[i];
	}
	return NULL;
}

static enum lmm_parse unknown_long(const struct lmm_command *command, const char *name, size_t n)
{
	const char *names[64];
	char word[WORD_MAX + 1] = "";
	const char *meant;
	size_t count = 0;

	for (size_t i = 0; i < command->n_opts && count < LMM_ARRAY_SIZE(names) - 2; i++)
		names[count++] = command->opts[i].name;
	names[count++] = "help";
	names[count] = NULL;
	if (n <= WORD_MAX)
		memcpy(word, name, n);
	meant = lmm_suggest(word, names);
	if (meant && n <= WORD_MAX) {
		lmm_error("%s has no option '--%.*s'; did you mean '--%s'?", command->name, (int)n,
			  name, meant);
	} else {
		lmm_error("%s has no option '--%.*s'; 'lmmeter %s --help' lists them",
			  command->name, (int)n, name, command->name);
	}
	return LMM_PARSE_USAGE;
}

struct parser {
	const struct lmm_command *command;
	char **argv;
	int argc;
	int next;
	void *values;
};

static enum lmm_parse take_value(struct parser *p, const struct lmm_opt *opt, const char *text)
{
	char choices[64] = "";
	int rc;

	if (opt->kind == LMM_OPT_FLAG && opt->choices && !text && p->next < p->argc &&
	    parse_choice(opt, p->argv[p->next], &(int){ 0 }) == 0)
		text = p->argv[p->next++];
	if (opt->kind != LMM_OPT_FLAG && !text) {
		if (p->next >= p->argc) {
			lmm_error("--%s needs a value", opt->name);
			return LMM_PARSE_USAGE;
		}
		text = p->argv[p->next++];
	}
	rc = store_value(opt, text, p->values);
	if (rc == 0)
		return LMM_PARSE_OK;
	if (opt->choices) {
		print_choices(opt, choices, sizeof(choices));
		lmm_error("--%s takes one of %s, not '%s'", opt->name, choices, text);
	} else {
		lmm_error("--%s takes a %s, not '%s'", opt->name,
			  opt->kind == LMM_OPT_SIZE    ? "size such as 64M"
			  : opt->kind == LMM_OPT_SHARE ? "share such as 1% (0.0001% to 100%) or off"
			  : opt->kind == LMM_OPT_DURATION ? "time such as 30s or 5m"
							  : "number",
			  text);
	}
	return LMM_PARSE_USAGE;
}

static enum lmm_parse parse_long(struct parser *p, const char *name)
{
	size_t n = strcspn(name, "=");
	const struct lmm_opt *opt = lmm_option_find(p->command, name, n);

	if (!opt && n == 4 && strncmp(name, "help", 4) == 0) {
		lmm_options_help(p->command, stdout);
		return lmm_stdout_finish() < 0 ? LMM_PARSE_USAGE : LMM_PARSE_HELP;
	}
	if (!opt)
		return unknown_long(p->command, name, n);
	if (name[n] == '=' && opt->kind == LMM_OPT_FLAG && !opt->choices) {
		lmm_error("--%s takes no value", opt->name);
		return LMM_PARSE_USAGE;
	}
	return take_value(p, opt, name[n] == '=' ? name + n + 1 : NULL);
}

static enum lmm_parse parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		const struct lmm_opt *opt = find_letter(p->command, *letters);
		enum lmm_parse rc;

		if (!opt && *letters == 'h')
			return parse_long(p, "help");
		if (!opt) {
			lmm_error("%s has no option '-%c'; 'lmmeter %s --help' lists them",
				  p->command->name, *letters, p->command->name);
			return LMM_PARSE_USAGE;
		}
		if (opt->kind != LMM_OPT_FLAG)
			return take_value(p, opt, letters[1] ? letters + 1 : NULL);
		rc = take_value(p, opt, NULL);
		if (rc != LMM_PARSE_OK)
			return rc;
	}
	return LMM_PARSE_OK;
}

static enum lmm_parse check_count(const struct lmm_command *command, int n)
{
	if (n < command->args_min) {
		lmm_error("%s needs more arguments: lmmeter %s %s", command->name, command->name,
			  command->synopsis);
		return LMM_PARSE_USAGE;
	}
	if (command->args_max >= 0 && n > command->args_max) {
		lmm_error("%s got too many arguments: lmmeter %s %s", command->name, command->name,
			  command->synopsis);
		return LMM_PARSE_USAGE;
	}
	return LMM_PARSE_OK;
}

enum lmm_parse lmm_options_parse(const struct lmm_command *command, int *argc, char **argv,
				 void *values)
{
	struct parser p = { command, argv, *argc, 1, values };
	int only_args = 0;
	int n = 1;

	while (p.next < p.argc) {
		char *arg = argv[p.next++];
		enum lmm_parse rc;

		if (only_args || arg[0] != '-' || arg[1] == '\0') {
			argv[n++] = arg;
			only_args |= command->stops_at_argument;
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			only_args = 1;
			continue;
		}
		rc = arg[1] == '-' ? parse_long(&p, arg + 2) : parse_letters(&p, arg + 1);
		if (rc != LMM_PARSE_OK)
			return rc;
	}
	argv[n] = NULL;
	*argc = n;
	return check_count(command, n - 1);
}
