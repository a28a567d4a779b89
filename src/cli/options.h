/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options are declared once, in a table per command: parsing, --help and the suggestions for misspelt names read it.
 *
 *	struct opts { const char *out; int force; int to; };
 *	static const struct lmm_opt table[] = {
 *		{ 'o', "output", LMM_OPT_STRING, offsetof(struct opts, out), "FILE", NULL, "write to FILE" },
 *		{ 0, "force", LMM_OPT_FLAG, offsetof(struct opts, force), NULL, NULL, "overwrite" },
 *	};
 *	const struct lmm_command lmm_command_export = { .name = "export", .synopsis = "FILE OUT", .opts = table, … };
 *
 *	switch (lmm_options_parse(&lmm_command_export, &argc, argv, &opts)) {
 *	case LMM_PARSE_HELP: return LMM_EXIT_OK;
 *	case LMM_PARSE_USAGE: return LMM_EXIT_USAGE;
 *	…
 */
#ifndef LMM_CLI_OPTIONS_H
#define LMM_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum lmm_opt_kind {
	LMM_OPT_FLAG,	/* int: 1 when given; with choices one of them may follow: 2 + its index */
	LMM_OPT_STRING, /* const char *, points into argv */
	LMM_OPT_U64,	/* uint64_t: decimal */
	LMM_OPT_SIZE,	/* uint64_t bytes: 4096, 64K, 8M, 1G (powers of 1024; KiB, MiB, GiB too) */
	LMM_OPT_SHARE,	/* uint64_t millionths: 1%, 0.5%; "off" is 0 */
	LMM_OPT_DURATION, /* uint64_t ns: 30s, 500ms, 5m, 1h; a number alone is seconds; not 0 */
	LMM_OPT_CHOICE,	  /* int: index in choices */
};

/* In the order of a table's columns. */
struct lmm_opt {     /* NOLINT(clang-analyzer-optin.performance.Padding) */
	char letter; /* 0: none */
	const char *name;
	enum lmm_opt_kind kind;
	size_t offset;		    /* of the value in the command's own struct */
	const char *value_name;	    /* "FILE"; NULL for flags, and for choices, which are listed */
	const char *const *choices; /* NULL-terminated; for LMM_OPT_CHOICE */
	const char *help;
};

struct lmm_command {
	const char *name;
	const char *synopsis;	 /* what follows the name in the usage line, "FILE [options]" */
	const char *summary;	 /* one line, begins small, no full stop */
	const char *description; /* paragraphs for --help; NULL: none */
	const char
		*exit_status; /* what it means, a sentence or two; NULL: 0 ok, 1 failure, 2 usage */
	const struct lmm_opt *opts;
	size_t n_opts;
	const char *const
		*examples;	/* NULL-terminated: command line, what it does, … ; NULL: none */
	int args_min, args_max; /* positional arguments; args_max < 0: any number */
	uint8_t stops_at_argument; /* the first positional argument ends the options (run, doctor) */
};

enum lmm_parse {
	LMM_PARSE_OK = 0,
	LMM_PARSE_HELP = 1,  /* help was printed on stdout */
	LMM_PARSE_USAGE = 2, /* an explanation was printed on stderr */
};

/*
 * Reads argv[1…] into *values (which holds the defaults). Options may stand anywhere up to "--"; behind it everything is
 * an argument. On LMM_PARSE_OK argv[1] … argv[*argc - 1] are the positional arguments, in order, argv[*argc] is NULL.
 */
enum lmm_parse lmm_options_parse(const struct lmm_command *command, int *argc, char **argv,
				 void *values);

/* Usage, description, options, examples. */
void lmm_options_help(const struct lmm_command *command, FILE *out);

/* "64M" and the like. 0, or -EINVAL, -ERANGE. */
int lmm_size_parse(const char *text, uint64_t *bytes);

/* The candidate that the user may have meant (at most a third of it mistyped), or NULL. names ends with NULL. */
const char *lmm_suggest(const char *word, const char *const *names);

#endif
