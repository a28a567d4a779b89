/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A study's folder, and all of it in memory.
 *
 *	plan.toml		the plan, byte for byte
 *	variables		of the environment that it names, as they were
 *	study.json		when it began, on which machine, what the plan comes to (lmmeter.study/1)
 *	cells/0002-0017.json	block 2, condition 17: one run; appears whole, and is never written again
 *	quality/Q4_0.json	size and quality of a variant (lmmeter.variant/1)
 *	variants/, traces/, prompts/, log
 */
#ifndef LMM_STUDY_STUDY_H
#define LMM_STUDY_STUDY_H

#include "study/cell.h"
#include "study/plan.h"

#define LMM_STUDY_SCHEMA "lmmeter.study/1"
#define LMM_STUDY_PATH	 4096u

/* A figure with half its 95 % interval, as the engine gives it; NaN: not known. */
struct lmm_measured {
	double value, half;
};

/* What is known of a model file apart from its speed. */
struct lmm_variant {
	char level[256];  /* of factor model or quantization */
	char file[256];	  /* its name */
	char reason[256]; /* "": all was measured that was asked for */
	uint8_t is_reference;
	double size_bytes, bits_per_weight; /* NaN */
	double make_ns;			    /* to quantize it; NaN: it was there */
	/* tensors that were to get a type of the K family, and how many of these got another; NaN: not said */
	double fallback_of, fallback_tensors;
	struct lmm_measured perplexity, kld;
	struct lmm_measured top1; /* percent of tokens on which it agrees with the reference */
	struct lmm_measured
		ratio; /* of its perplexity to the reference's: same text, so surer than either */
	struct lmm_measured tasks[LMM_TASK_KINDS]; /* percent right */
};

struct lmm_study {
	struct lmm_plan *plan;
	char folder[LMM_STUDY_PATH];
	char name[256];
	char cpu[160], os[160], lmmeter[64];
	uint32_t cpus;
	uint64_t memory_bytes, start_realtime_ns;
	char reference_note[256]; /* what the reference is, where that matters; "" */
	struct lmm_cell
		*cells; /* [block * n_conditions + condition]; status MISSING where there is none */
	uint32_t n_blocks;
	struct lmm_variant *variants; /* as levels of the factor */
	uint32_t n_variants;
	int variant_factor; /* -1 */
};

struct lmm_cell *lmm_study_cell(const struct lmm_study *s, uint32_t block, uint32_t condition);

/*
 * Reads a folder, all that is there. 0; a negative errno, -EPROTO with why: which file is not what it should be, or, after
 * complain() was called, the plan.
 */
int lmm_study_load(const char *folder, struct lmm_study **out, lmm_plan_complain_fn *complain,
		   void *ctx, char *why, size_t why_bytes);
void lmm_study_destroy(struct lmm_study *s); /* accepts NULL */

/* An empty one for a plan, which becomes its own. NULL: no memory (and the plan stays the caller's). */
struct lmm_study *lmm_study_create(struct lmm_plan *plan);

/* "cells/0002-0017.json" */
void lmm_study_cell_path(const char *folder, uint32_t block, uint32_t condition, char *out,
			 size_t bytes);
/* Names of levels become names of files: what is no letter, digit, - or _ becomes _, and a hash tells them apart. */
void lmm_study_variant_path(const char *folder, const char *level, char *out, size_t bytes);

/*
 * A file appears whole or not at all, and is on the disk when this returns: write() fills it. 0 or a negative errno; nothing is
 * left of one that failed.
 */
int lmm_study_store(const char *path, void (*write)(const void *arg, FILE *out), const void *arg);

void lmm_study_write_variant(const struct lmm_variant *v, FILE *out);
int lmm_study_parse_variant(struct lmm_variant *v, const char *text, size_t n);
void lmm_variant_init(struct lmm_variant *v, const char *level);

/* The whole of a file; the caller frees it. 0 or a negative errno (-EFBIG above max). */
int lmm_study_file(const char *path, size_t max, char **text, size_t *n);

#endif
