/* SPDX-License-Identifier: Apache-2.0 */
/* `lmmeter study`: runs what a plan says. What the cells say together is src/study's. */
#ifndef LMM_CLI_STUDY_RUN_H
#define LMM_CLI_STUDY_RUN_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/overhead.h"
#include "study/study.h"

/* ---- one child (study_child.c) -------------------------------------------------------------------- */

struct lmm_study_child {
	char *const *argv;
	char *const *env;    /* "NAME=value" to be set, NULL-terminated; NULL: none */
	const uint8_t *cpus; /* of lmm_plan_cpus(), n_cpus of them; NULL: as it is */
	unsigned n_cpus;
	const char *cgroup;   /* its cgroup.procs; NULL */
	const char *out_path; /* its standard output; NULL: it is dropped */
	const char *log_path; /* its standard error; NULL: it is dropped */
	uint64_t limit_ns;    /* it is ended then; 0: never */
	sigset_t mask;	      /* the signals it gets */
	/* what came of it */
	int status; /* as wait(2) */
	int signal; /* that we got meanwhile and passed on; 0 */
	uint8_t timed_out;
	uint64_t wall_ns, max_rss_bytes;
};

/* Runs it to its end. 0, or a negative errno: it could not be started. Signals are blocked (cli/signals.h). */
int lmm_study_child_run(struct lmm_study_child *c);

/* "ended with status 3", "died of signal 9 (it may have run out of memory)"; "" if it ended well. */
void lmm_study_child_why(const struct lmm_study_child *c, char *out, size_t bytes);

/* The last line of a log that says something, harmless, behind what is in out. */
void lmm_study_log_tail(const char *path, char *out, size_t bytes);

/* ---- the machine (study_machine.c) ----------------------------------------------------------------- */

#define LMM_STUDY_LOADS_MAX 1024u

struct lmm_study_machine {
	struct lmm_governors governors;
	uint8_t has_governors;
	char former_max[LMM_GOVERNOR_CPUS_MAX][16]; /* frequency caps; "" */
	uint8_t has_caps;
	char cgroup[256]; /* ours, below which children are put; "" */
	pid_t loads[LMM_STUDY_LOADS_MAX];
	unsigned n_loads;
	double rest_celsius; /* before the first cell; NaN: no temperature is readable */
	struct lmm_sense *sense;
	struct lmm_study_child *child; /* cpus and cgroup of which follow the condition */
	uint8_t cpus[1024];
};

/* Whether this machine takes the levels of a plan: 0, or -1 with why. */
int lmm_study_machine_check(const struct lmm_plan *p, uint32_t factor, char *why, size_t bytes);
/* Remembers how it is. */
void lmm_study_machine_open(struct lmm_study_machine *m, const struct lmm_plan *p);
/* As it was. */
void lmm_study_machine_close(struct lmm_study_machine *m);
/* Makes it as the condition has it. 0, or -1 with why. */
int lmm_study_machine_set(struct lmm_study_machine *m, const struct lmm_plan *p, uint32_t condition,
			  char *why, size_t bytes);
/* Ends competing load. */
void lmm_study_machine_ease(struct lmm_study_machine *m);
/* The highest temperature that is readable now; NaN. */
double lmm_study_machine_celsius(struct lmm_study_machine *m);

/* ---- against other studies and sleep (study_guard.c) -------------------------------------------------- */

/* One study at a time on a machine. The descriptor to keep, or -EBUSY with *pid of the other (0: not known), or another errno. */
int lmm_study_lock(pid_t *pid);

struct lmm_study_nap {
	uint64_t mono_ns, boot_ns;
};

void lmm_study_nap_begin(struct lmm_study_nap *n);
/* For how long the machine was asleep since. Short: the clocks are not read at one instant. */
uint64_t lmm_study_nap_ns(const struct lmm_study_nap *n);
#define LMM_STUDY_NAP_MIN_NS 500000000u

/* ---- the run -------------------------------------------------------------------------------------- */

struct lmm_study_run {
	struct lmm_study *study;
	struct lmm_study_machine machine;
	char self[4096];
	sigset_t mask;
	int signal; /* that asked for the end; 0 */
	int shows_progress;
	uint64_t begin_ns;
	double *condition_ns; /* of a cell of each condition, mean; 0: not known yet */
	uint32_t *condition_n;
	uint32_t n_done, n_holes, position;
	/* of the cell that runs */
	const char *model_file;
	char prompt_file[LMM_STUDY_PATH];
	char *prompt;
};

/* Files, programs, rights, room on the disk, memory: -1 after an lmm_error() for each thing that is wrong. */
int lmm_study_check(const struct lmm_plan *p, const char *folder);

/*
 * Makes the folder, or goes on with what is in it (resume). 0, or -1 after an lmm_error(). *study gets its cells; its plan
 * becomes the study's.
 */
int lmm_study_begin(struct lmm_plan *p, const char *folder, int resume, struct lmm_study **study);

/* Variants and their quality, as far as they are not there (study_variants.c). 0, -EINTR, or -1 after an lmm_error(). */
int lmm_study_variants(struct lmm_study_run *r);
/* The file of a level; the caller frees it. */
char *lmm_study_variant_file(const struct lmm_study *s, uint32_t level);

/* Makes all models lie alike in the system's file cache (study_files.c). */
void lmm_study_files_settle(const struct lmm_study_run *r);

/* The cells that are missing. The exit status. */
int lmm_study_cells(struct lmm_study_run *r);

void lmm_study_progress(const struct lmm_study_run *r, const char *what);
void lmm_study_progress_clear(const struct lmm_study_run *r);

/* ---- the report (study_report.c) -------------------------------------------------------------------- */

struct lmm_study_report_opts {
	const char *html, *svg, *csv;
	int json, paper, force;
};

/* Of DIR; the exit status. */
int lmm_study_report(const char *folder, const struct lmm_study_report_opts *opts);

#endif
