/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the words in capitals of synopses and options stand for: the shells' completion follows from them. A command says all by
 * its synopsis:
 *
 *	FILE, BEFORE, AFTER	a recording (.lmt)	PID	a process of the user's
 *	OUT			any file		COMMAND	a program and its arguments, if it ends the options
 *	DIR			a folder			(stops_at_argument); else a command of lmmeter
 *	PLAN			any file
 *	small|letters		these words
 *
 * Options likewise, but that FILE is any file. Other words (N, SIZE) have no completion.
 */
#ifndef LMM_CLI_GRAMMAR_H
#define LMM_CLI_GRAMMAR_H

#include "cli/options.h"

enum lmm_value_kind {
	LMM_VALUE_RECORDING = 1 << 0,
	LMM_VALUE_FILE = 1 << 1,
	LMM_VALUE_FOLDER = 1 << 2,
	LMM_VALUE_PROCESS = 1 << 3,
	LMM_VALUE_COMMAND = 1 << 4, /* of lmmeter */
	LMM_VALUE_PROGRAM = 1 << 5, /* it and its arguments are the rest of the line */
	LMM_VALUE_WORDS = 1 << 6,   /* the small words of it */
};

struct lmm_argument {
	unsigned kinds;	 /* enum lmm_value_kind, added up; 0: not known */
	uint8_t repeats; /* so are all that follow */
	char words[64];	 /* as in the synopsis, "PID|FILE" */
};

#define LMM_ARGUMENTS_MAX 4

/* The positional arguments, in order; how many. */
unsigned lmm_arguments(const struct lmm_command *command,
		       struct lmm_argument out[LMM_ARGUMENTS_MAX]);

/* The small words among its words, before each of which stands between. */
void lmm_argument_words_put(const struct lmm_argument *a, const char *between, FILE *out);

/* The same of an option's value; one with choices has LMM_VALUE_WORDS. Nothing for a flag. */
unsigned lmm_option_kinds(const struct lmm_opt *opt);

/* The option with this name, n bytes of it; NULL: none. */
const struct lmm_opt *lmm_option_find(const struct lmm_command *command, const char *name,
				      size_t n);

#endif
