/* SPDX-License-Identifier: Apache-2.0 */
/* What a result shows beyond its sums: where time goes that need not, how much, when, and how sure that is. docs/findings.md */
#ifndef LMM_ANALYZE_FINDINGS_H
#define LMM_ANALYZE_FINDINGS_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/result.h"

enum lmm_finding_kind {
	LMM_FINDING_FIRST_USE, /* drivers compiled programs inside requests; phase: where most of it was */
	LMM_FINDING_HOST_BOUND, /* the device waited for commands: the host hands them over late */
	LMM_FINDING_READ_BACK,	/* … while results were read and the next step was begun */
	LMM_FINDING_DRIVER,	/* … for its driver, which had been handed them in time */
	LMM_FINDING_DRAIN, /* a copy in that phase waited for work of another: the host's view of both misleads */
	LMM_FINDING_PREFILL,	    /* a prompt's token takes as long as a chosen one */
	LMM_FINDING_PREFILL_KERNEL, /* the same of a kernel and the one that does its work in decode */
	LMM_FINDING_FIRST_TOKEN, /* what came before a process's first token; cause: the largest part */
	LMM_FINDING_MEMORY_BOUND, /* operators of the phase move bytes as fast as it goes, and compute less */
	LMM_FINDING_COMPUTE_BOUND, /* the other way round */
	LMM_FINDING_TOKEN_JITTER,  /* tokens take now longer, now shorter */
	LMM_FINDING_SLOW_TOKENS, /* some take far longer than those before; cause: what ran then */
	LMM_FINDING_LOST_CORE,	 /* threads were ready to run and had no core */
	LMM_FINDING_THROTTLED,
	LMM_FINDING_THREAD_IMBALANCE,
	LMM_FINDING_SLOW_LAYER, /* a layer takes longer than its like, all the time */
	LMM_FINDING_KINDS
};

enum lmm_certainty {
	LMM_MEASURED,  /* the time itself was */
	LMM_ESTIMATED, /* that it could be saved follows from more than was measured */
	LMM_COMPARED, /* holds if the best that was seen in the recording is near what the machine can do */
	LMM_CERTAINTIES
};

/* A number that the finding follows from. Its name is static and says the unit, as keys of docs/json.md do. */
struct lmm_number {
	const char *name;
	double value;
};

#define LMM_FINDING_NUMBERS 10

struct lmm_finding {
	uint8_t kind;	   /* enum lmm_finding_kind */
	uint8_t certainty; /* enum lmm_certainty */
	uint8_t phase;	   /* NONE: of none alone */
	uint8_t n_numbers;
	double ns;		     /* at stake, of the whole session */
	double share_percent;	     /* of the time inside phases of requests; 0: not part of it */
	struct lmm_result_span span; /* where to look: the worst of it, or all of it */
	const char *cause;	     /* a word for a machine; "" */
	const char *kernel;	     /* the operator or device kernel that it is most of; "" */
	const char *than_kernel;     /* PREFILL_KERNEL: decode's; "" */
	struct lmm_number numbers[LMM_FINDING_NUMBERS];
};

/* No result has more. */
#define LMM_FINDINGS_MAX 48

/* What a device can do, or the best that was seen of it. */
struct lmm_peaks {
	const char *device;			   /* as in lmm_result_kernel */
	double bytes_per_second, flops_per_second; /* 0: not known */
	uint8_t is_measured; /* by a calibration of this machine; else the best in the same recording */
	uint8_t is_plateau; /* not measured: operators of very different FLOPs per byte compute at this rate */
};

/*
 * The worst first; at most `room`. Returns how many. Strings belong to r or are static. peaks: as measured, of n_peaks devices;
 * operators of the others are held against the best in the recording.
 */
size_t lmm_findings(const struct lmm_result *r, const struct lmm_peaks *peaks, size_t n_peaks,
		    struct lmm_finding *out, size_t room);

/* 0 if the finding has no such number. */
double lmm_finding_number(const struct lmm_finding *f, const char *name);

/* "first_use", …: stable; "measured", "estimated", "compared". Static. */
const char *lmm_finding_name(enum lmm_finding_kind kind);
const char *lmm_certainty_name(enum lmm_certainty certainty);
const char *lmm_token_cause_name(unsigned cause); /* "unknown", "others", "first_use", … */

/* ---- memory or compute -------------------------------------------------------------------------- */

enum lmm_bound { LMM_BOUND_UNKNOWN, LMM_BOUND_MEMORY, LMM_BOUND_COMPUTE };

struct lmm_bound_found {
	uint8_t bound;			     /* enum lmm_bound */
	uint8_t certainty;		     /* enum lmm_certainty */
	double bytes_percent, flops_percent; /* of the peaks */
};

/* What holds an operator back that moved so many bytes and did so many FLOPs in so many ns. Pure. */
struct lmm_bound_found lmm_bound_find(double ns, double bytes, double flops,
				      const struct lmm_peaks *peaks);

/* The best of a device's operators in the recording: of those that matter and are too large for a cache's speed. */
struct lmm_peaks lmm_peaks_seen(const struct lmm_result *r, const char *device);

#endif
