/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a study: a command of an engine with holes in it, factors that fill the holes, and how often and in which order
 * everything is run. docs/study.md has the file's keys.
 *
 *	struct lmm_plan *p = lmm_plan_read("plan.toml", NULL, complain, ctx);     NULL: complain() has said what is wrong, line by line
 *	for (c = 0; c < p->n_conditions; c++) level = lmm_plan_level(p, c, factor);
 *	lmm_plan_destroy(p);
 *
 * A condition is one level of every factor; a cell is one run of one condition; a block is every condition once, in random order.
 */
#ifndef LMM_STUDY_PLAN_H
#define LMM_STUDY_PLAN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LMM_PLAN_FACTORS_MAX	12u
#define LMM_PLAN_LEVELS_MAX	64u
#define LMM_PLAN_CONDITIONS_MAX 2000u
#define LMM_PLAN_REPEATS_MAX	100u
#define LMM_PLAN_CELLS_MAX	10000u
#define LMM_PLAN_WORDS_MAX	256u
#define LMM_PLAN_TEXT_MAX	4000u

/* What a factor's levels do. */
enum lmm_factor_kind {
	LMM_FACTOR_HOLE,	 /* fill {name} in the command */
	LMM_FACTOR_MODEL,	 /* the same; they are files */
	LMM_FACTOR_QUANTIZATION, /* choose which variant {model} is */
	LMM_FACTOR_PROMPT,	 /* so many tokens in {prompt} and {prompt_file} */
	LMM_FACTOR_AFFINITY,	 /* CPUs the engine may use: "0", "0-3", "0,2" */
	LMM_FACTOR_GOVERNOR,	 /* of CPU frequency */
	LMM_FACTOR_FREQUENCY,	 /* a cap, in kHz */
	LMM_FACTOR_QUOTA,	 /* of CPU time, percent of one CPU, by a control group */
	LMM_FACTOR_LOAD,	 /* so many threads that compute beside the engine */
	LMM_FACTOR_ENV,		 /* an environment variable: env.NAME */
};

struct lmm_factor {
	char *name;
	enum lmm_factor_kind kind;
	int line;
	uint32_t n; /* levels, at least 1 */
	char **levels;
};

enum lmm_plan_keep { LMM_KEEP_NONE, LMM_KEEP_FIRST, LMM_KEEP_ALL };

enum lmm_task_kind { LMM_TASK_HELLASWAG, LMM_TASK_WINOGRANDE, LMM_TASK_CHOICE, LMM_TASK_KINDS };

struct lmm_plan {
	char *path, *folder; /* of the file */
	char *variables; /* those of the environment that it names and that were set: "NAME=value", a line each */
	char *name;
	char **command; /* NULL-terminated, with holes */
	struct lmm_factor factors[LMM_PLAN_FACTORS_MAX];
	uint32_t n_factors;
	uint32_t n_conditions;

	uint64_t repeats, warmup, seed;
	uint64_t cell_budget_ns, cooldown_ns, cooldown_max_ns;
	uint8_t cools_by_heat; /* wait until the temperature is back, cooldown_max_ns at most */
	enum lmm_plan_keep keep;
	char *overhead_budget; /* of lmmeter itself, for run --budget; NULL: as it comes */

	char *prompt_text; /* what prompts are made of; NULL: our own */

	char *quantize_program, *quantize_source; /* NULL: none */
	char *quality_program, *quality_text;	  /* NULL: none */
	char *quality_reference; /* level of model or quantization that the others are held against */
	uint64_t quality_context, quality_chunks, quality_threads;
	char *tasks[LMM_TASK_KINDS]; /* files in the engine's format; NULL */
	uint64_t tasks_n;	     /* of each file so many; 0: all */

	double weight_quality, weight_time, weight_memory,
		weight_energy; /* of the score; sum is above 0 */
};

/* line: 0 if none is to blame. */
typedef void lmm_plan_complain_fn(void *ctx, int line, const char *text);

/*
 * Reads and checks all that can be told from the file alone. NULL when complain() was called, at least once. variables: as in the
 * struct, instead of the environment: a study means what it meant when it was begun; NULL: the environment.
 */
struct lmm_plan *lmm_plan_read(const char *path, const char *variables,
			       lmm_plan_complain_fn *complain, void *ctx);
void lmm_plan_destroy(struct lmm_plan *p); /* accepts NULL */

/* Which level of the factor the condition has. */
uint32_t lmm_plan_level(const struct lmm_plan *p, uint32_t condition, uint32_t factor);

/* -1: there is none. */
int lmm_plan_factor_find(const struct lmm_plan *p, const char *name);
int lmm_plan_factor_of(const struct lmm_plan *p, enum lmm_factor_kind kind);

/* "threads=2 prompt_tokens=64": factors of more than one level; out gets "the one condition" where there is none. */
void lmm_plan_condition_name(const struct lmm_plan *p, uint32_t condition, char *out, size_t bytes);

/* order[n_conditions]: of one block. The same seed and block give the same order, on every machine. */
void lmm_plan_order(const struct lmm_plan *p, uint32_t block, uint32_t *order);

/*
 * Fills the holes of one word; value() returns what stands for a name (of n bytes), or NULL. "{{" and "}}" are braces. The caller
 * frees it. NULL: no memory, or a hole that value() does not know.
 */
typedef const char *lmm_plan_value_fn(void *ctx, const char *name, size_t n);
char *lmm_plan_fill(const char *word, lmm_plan_value_fn *value, void *ctx);

/* All that makes a plan another one, a line each, "run.repeats = 5": two plans are held against each other by it. */
void lmm_plan_canon(const struct lmm_plan *p, FILE *out);

/* ---- for the room itself and its tests ---- */

/* "90s", "500ms", "5m", "2h"; a number alone is seconds. 0 or -EINVAL. */
int lmm_plan_duration(const char *text, uint64_t *ns);

/* "0-3,5" as numbers below max, each once; their count, or -EINVAL. set[max] gets 1 for each. */
int lmm_plan_cpus(const char *text, uint8_t *set, unsigned max);

#endif
