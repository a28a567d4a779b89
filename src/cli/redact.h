/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines without what must not be kept: prompts, keys, and folders of the user's. */
#ifndef LMM_CLI_REDACT_H
#define LMM_CLI_REDACT_H

#include <stddef.h>

/*
 * Writes argv as one line: values of options that carry text or secrets become "…", paths lose their folders. A program
 * that is not known to take its text only through options has every argument that holds a blank or is longer than 64
 * characters blanked, too. Always NUL-terminated.
 */
void lmm_redact_command(char *const *argv, char *out, size_t bytes);

/* File name of a path. */
const char *lmm_base_name(const char *path);

#endif
