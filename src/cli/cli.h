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

struct lmm_command;

/* A command is two things: what is said of it (cli/options.h), and what it does. main.c has the table. */
extern const struct lmm_command lmm_command_run;
int lmm_cmd_run(int argc, char **argv);
extern const struct lmm_command lmm_command_attach;
int lmm_cmd_attach(int argc, char **argv);
extern const struct lmm_command lmm_command_detach;
int lmm_cmd_detach(int argc, char **argv);
extern const struct lmm_command lmm_command_top;
int lmm_cmd_top(int argc, char **argv);
extern const struct lmm_command lmm_command_serve;
int lmm_cmd_serve(int argc, char **argv);
extern const struct lmm_command lmm_command_report;
int lmm_cmd_report(int argc, char **argv);
extern const struct lmm_command lmm_command_export;
int lmm_cmd_export(int argc, char **argv);
extern const struct lmm_command lmm_command_diff;
int lmm_cmd_diff(int argc, char **argv);
extern const struct lmm_command lmm_command_study;
int lmm_cmd_study(int argc, char **argv);
extern const struct lmm_command lmm_command_calibrate;
int lmm_cmd_calibrate(int argc, char **argv);
extern const struct lmm_command lmm_command_roofline;
int lmm_cmd_roofline(int argc, char **argv);
extern const struct lmm_command lmm_command_doctor;
int lmm_cmd_doctor(int argc, char **argv);
extern const struct lmm_command lmm_command_overhead;
int lmm_cmd_overhead(int argc, char **argv);
extern const struct lmm_command lmm_command_verify;
int lmm_cmd_verify(int argc, char **argv);
extern const struct lmm_command lmm_command_help;
int lmm_cmd_help(int argc, char **argv);
extern const struct lmm_command lmm_command_completion;
int lmm_cmd_completion(int argc, char **argv);

/* "lmmeter: <text>\n" on stderr. Control characters of the arguments are shown escaped. */
LMM_PRINTF(1, 2) void lmm_error(const char *format, ...);

/*
 * A sentence of a result: its words from column 2 on (or from where the line stands), further lines four deeper, 100 wide.
 * Names in it are made harmless.
 */
LMM_PRINTF(2, 3) void lmm_say(FILE *out, const char *format, ...);

/* For results on stdout: flushes and checks. 0, or -errno; -EPIPE when the reader has gone. */
int lmm_stdout_finish(void);

/* The same for a command whose work is done with that: says what went wrong; the exit status. */
int lmm_stdout_status(void);

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

struct lmm_trace;
struct lmm_result;

/* One of report/export.h. */
typedef int lmm_export_fn(struct lmm_trace *tr, const struct lmm_result *r, FILE *out);

/* Writes what fn makes of tr to path (- is stdout), whole or not at all, and says why not; the exit status. */
int lmm_write_export(struct lmm_trace *tr, const struct lmm_result *r, const char *path, int force,
		     lmm_export_fn *fn);

#endif
