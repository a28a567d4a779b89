/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of lmmeter share. A command gets argv[0] = its own name and returns the exit status. */
#ifndef LMM_CLI_CLI_H
#define LMM_CLI_CLI_H

#include <stdio.h>

#include "base/compiler.h"

enum lmm_exit {
	LMM_EXIT_OK = 0,
	LMM_EXIT_FAILURE = 1, /* the work could not be done; one line on stderr says why */
	LMM_EXIT_USAGE = 2,   /* the command line makes no sense */
};

int lmm_cmd_run(int argc, char **argv);
int lmm_cmd_report(int argc, char **argv);
int lmm_cmd_export(int argc, char **argv);
int lmm_cmd_doctor(int argc, char **argv);
int lmm_cmd_overhead(int argc, char **argv);
int lmm_cmd_verify(int argc, char **argv);

/* "lmmeter: <text>\n" on stderr. Control characters of the arguments are shown escaped. */
LMM_PRINTF(1, 2) void lmm_error(const char *format, ...);

/*
 * A sentence of a result: its words from column 2 on (or from where the line stands), further lines four deeper, 100 wide.
 * Names in it are made harmless.
 */
LMM_PRINTF(2, 3) void lmm_say(FILE *out, const char *format, ...);

/* For results on stdout: flushes and checks. 0, or -errno; -EPIPE when the reader has gone. */
int lmm_stdout_finish(void);

/*
 * Opens where a result goes: path NULL or "-" is stdout; an existing file is only overwritten with force.
 * 0, or a negative errno with *out NULL. lmm_output_close() checks that everything was written, closes all but
 * stdout, and returns 0 or a negative errno (-EPIPE: the reader has gone).
 */
int lmm_output_open(const char *path, int force, FILE **out);
int lmm_output_close(FILE *out);

/* Takes a half-written result away; only if it is a regular file. path as for lmm_output_open(). */
void lmm_output_discard(const char *path);

/* Says why name could not be written; the exit status. -EPIPE is no failure: the reader (head, less) has seen enough. */
int lmm_output_failed(const char *name, int rc);

#endif
