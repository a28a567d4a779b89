/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was reached against what the machine can do: bytes and operations per second of every row of the kernel table and of every
 * phase, the share of the peaks, what bounds it, and the utilisation of memory bandwidth by whole tokens (MBU). docs/roofline.md
 * defines each figure.
 */
#ifndef LMM_ANALYZE_ROOFLINE_H
#define LMM_ANALYZE_ROOFLINE_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/result.h"

#define LMM_ROOFLINE_DEVICES_MAX 8

/* A row is bound by memory or computing if the peaks explain at least so much of its time. */
#define LMM_ROOFLINE_BOUND_PERCENT 50.0

/* Peaks per second; 0: not known. */
struct lmm_roof {
	double read_bytes, f32_ops, int8_ops;
};

struct lmm_roofline_peaks {
	struct lmm_roof cpu;	     /* of the threads that decode */
	struct lmm_roof cpu_prefill; /* of those that compute prompts */
	struct {
		const char *name; /* as in lmm_result_kernel.device */
		struct lmm_roof roof;
	} devices[LMM_ROOFLINE_DEVICES_MAX];
	uint32_t n_devices;
};

enum lmm_bound {
	LMM_BOUND_UNKNOWN = 0, /* no peak, or nothing is known of what it moves */
	LMM_BOUND_MEMORY,
	LMM_BOUND_COMPUTE,
	LMM_BOUND_NEITHER, /* it takes more than twice as long as the peaks ask for: overhead, or how it is written */
};

struct lmm_roofline_row {
	const struct lmm_result_kernel *kernel; /* NULL: a phase */
	uint8_t phase;
	uint8_t bound; /* enum lmm_bound */
	uint8_t is_int8; /* its products are of quantised weights, held against the peak of 8-bit integers */
	uint64_t count;
	double time_ns;
	double bytes, flops;
	double bytes_per_second, flops_per_second;
	double intensity;      /* operations per byte; < 0: it moves none */
	double memory_percent; /* of the peak of reading; may be above 100: caches; < 0: not known */
	double compute_percent; /* of the peak of computing; < 0: not known */
	double roof_ns;		/* the least time that the peaks allow; < 0: not known */
	double roof_percent;	/* roof_ns of time_ns; < 0: not known */
};

/* Bytes and times of a decode step, on average; with one sequence a step is a token. */
struct lmm_mbu {
	uint8_t is_known;
	uint8_t from_model_size; /* operators are not known: all weights of the model, and no cache */
	uint8_t from_window; /* positions are not known: the cache counts as far as the graph looks at it */
	const char *device;
	double weight_bytes, cache_bytes;
	double token_ns; /* between tokens: TPOT over all tokens after a request's first */
	double step_ns;	 /* of the forward pass alone */
	double peak_bytes_per_second;
	double bytes_per_second; /* over token_ns */
	double percent;		 /* the MBU; < 0: no peak */
	double step_percent;	 /* the same over step_ns */
};

struct lmm_roofline {
	struct lmm_roofline_row *kernels; /* in the order of the result's */
	size_t n_kernels;
	struct lmm_roofline_row *phases; /* those with kernels, in enum order */
	size_t n_phases;
	struct lmm_mbu mbu;
};

/* 0 or -ENOMEM. The result must outlive it. */
int lmm_roofline_make(const struct lmm_result *r, const struct lmm_roofline_peaks *peaks,
		      struct lmm_roofline *into);

void lmm_roofline_free(struct lmm_roofline *x);

/* "memory", "compute", "neither", "unknown". Static. */
const char *lmm_bound_name(unsigned bound);

#endif
