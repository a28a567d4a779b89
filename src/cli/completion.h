/* SPDX-License-Identifier: Apache-2.0 */
/* What shells need to complete lmmeter's command lines, from the table of commands. */
#ifndef LMM_CLI_COMPLETION_H
#define LMM_CLI_COMPLETION_H

#include <stdio.h>

/* For bash-completion's folder `completions`, or to be sourced; bash 4 and newer, with or without bash-completion. */
void lmm_completion_bash(FILE *out);

/* A file _lmmeter for a folder of $fpath. */
void lmm_completion_zsh(FILE *out);

/* The file completion.bash. */
extern const char lmm__completion_bash[];

#endif
