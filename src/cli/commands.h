/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of commands: the usage, `help`, the manual pages and the shells' completion are made from it. */
#ifndef LMM_CLI_COMMANDS_H
#define LMM_CLI_COMMANDS_H

#include <stdio.h>

#include "cli/options.h"

struct lmm_command_entry {
	const struct lmm_command *about;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; the exit status */
};

/* In the order of the usage; about is NULL behind the last one. */
extern const struct lmm_command_entry lmm_commands[];

/* Of all of them: command line, what it does, … NULL. */
extern const char *const lmm_commands_examples[];

/* NULL: there is none of this name, and an error has said so. */
const struct lmm_command_entry *lmm_command_find(const char *name);

/* What `lmmeter --help` says. */
void lmm_commands_usage(FILE *out);

#endif
