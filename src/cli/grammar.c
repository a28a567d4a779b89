/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/grammar.h"

#include <ctype.h>
#include <string.h>

#include "base/compiler.h"

static const struct {
	const char *word;
	unsigned argument, option;
} meanings[] = {
	{ "FILE", LMM_VALUE_RECORDING, LMM_VALUE_FILE },
	{ "BEFORE", LMM_VALUE_RECORDING, LMM_VALUE_RECORDING },
	{ "AFTER", LMM_VALUE_RECORDING, LMM_VALUE_RECORDING },
	{ "OUT", LMM_VALUE_FILE, LMM_VALUE_FILE },
	{ "DIR", LMM_VALUE_FOLDER, LMM_VALUE_FOLDER },
	{ "PLAN", LMM_VALUE_FILE, LMM_VALUE_FILE },
	{ "PID", LMM_VALUE_PROCESS, LMM_VALUE_PROCESS },
	{ "COMMAND", LMM_VALUE_COMMAND, 0 },
};

/* Of a word of n bytes. */
static unsigned meaning_of(const char *word, size_t n, int is_option)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(meanings); i++) {
		if (strncmp(word, meanings[i].word, n) == 0 && meanings[i].word[n] == '\0')
			return is_option ? meanings[i].option : meanings[i].argument;
	}
	return n && islower((unsigned char)word[0]) ? LMM_VALUE_WORDS : 0;
}

static unsigned meaning_of_all(const char *words, int is_option)
{
	unsigned kinds = 0;

	while (1) {
		size_t n = strcspn(words, "|");

		kinds |= meaning_of(words, n, is_option);
		if (!words[n])
			return kinds;
		words += n + 1;
	}
}

void lmm_argument_words_put(const struct lmm_argument *a, const char *between, FILE *out)
{
	for (const char *p = a->words; *p;) {
		size_t n = strcspn(p, "|");

		if (meaning_of(p, n, 0) == LMM_VALUE_WORDS)
			fprintf(out, "%s%.*s", between, (int)n, p);
		p += n + (p[n] == '|');
	}
}

const struct lmm_opt *lmm_option_find(const struct lmm_command *command, const char *name, size_t n)
{
	for (size_t i = 0; i < command->n_opts; i++) {
		const char *have = command->opts[i].name;

		if (strncmp(have, name, n) == 0 && have[n] == '\0')
			return &command->opts[i];
	}
	return NULL;
}

unsigned lmm_option_kinds(const struct lmm_opt *opt)
{
	if (opt->kind == LMM_OPT_CHOICE)
		return LMM_VALUE_WORDS;
	return opt->value_name ? meaning_of_all(opt->value_name, 1) & ~(unsigned)LMM_VALUE_WORDS
			       : 0;
}

/* "[PID|FILE]", "BEFORE…": without what stands around the words. */
static void argument_read(struct lmm_argument *a, const char *token, size_t n)
{
	memset(a, 0, sizeof(*a));
	while (n && *token == '[') {
		token++;
		n--;
	}
	a->repeats = memmem(token, n, "...", 3) || memmem(token, n, "…", strlen("…"));
	for (size_t i = 0; i < n && i < sizeof(a->words) - 1; i++) {
		if (!isalpha((unsigned char)token[i]) && token[i] != '|' && token[i] != '-')
			break;
		a->words[i] = token[i];
	}
	a->kinds = meaning_of_all(a->words, 0);
}

/* "--against", "[--port": the next word is a value of it. */
static int takes_value(const struct lmm_command *command, const char *token, size_t n)
{
	size_t skip = token[0] == '[' ? 3 : 2;
	const struct lmm_opt *opt =
		n > skip ? lmm_option_find(command, token + skip, n - skip) : NULL;

	return opt && opt->kind != LMM_OPT_FLAG;
}

unsigned lmm_arguments(const struct lmm_command *command,
		       struct lmm_argument out[LMM_ARGUMENTS_MAX])
{
	unsigned count = 0;
	int is_value = 0;

	if (command->stops_at_argument) {
		out[0] = (struct lmm_argument){ LMM_VALUE_PROGRAM, 1, "COMMAND" };
		return 1;
	}
	for (const char *p = command->synopsis; *p && count < LMM_ARGUMENTS_MAX;) {
		size_t n = strcspn(p, " ");

		if (is_value) {
			is_value = 0;
		} else if (strncmp(p, "--", 2) == 0 || strncmp(p, "[--", 3) == 0) {
			is_value = takes_value(command, p, n);
		} else if (n && strncmp(p, "[options]", n) != 0) {
			argument_read(&out[count++], p, n);
		}
		p += n + (p[n] == ' ');
	}
	return count;
}
