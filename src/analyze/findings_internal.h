/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_ANALYZE_FINDINGS_INTERNAL_H
#define LMM_ANALYZE_FINDINGS_INTERNAL_H

#include "analyze/findings.h"

#define SHARE_MIN_PERCENT 2.0 /* what is less is no finding, where a kind says nothing else */

struct finding_list {
	struct lmm_finding *v;
	size_t n, room;
	const struct lmm_result *r;
	const struct lmm_peaks *peaks;
	size_t n_peaks;
	double whole_ns; /* inside phases of requests */
};

/* A finding without numbers. */
struct lmm_finding lmm__finding(enum lmm_finding_kind kind, enum lmm_certainty certainty,
				unsigned phase, double ns);
void lmm__finding_say(struct lmm_finding *f, const char *name, double value);
/* Adds it if it takes min_percent of the whole or more. */
void lmm__finding_add(struct finding_list *l, const struct lmm_finding *f, double min_percent);
/* Adds what is no part of requests: it has no share. */
void lmm__finding_add_apart(struct finding_list *l, const struct lmm_finding *f);

/* A phase that is part of requests; NULL: it was not seen. */
const struct lmm_result_phase *lmm__finding_phase(const struct lmm_result *r, unsigned phase);

/* Its threads often had no core: how work is spread over threads and layers then says nothing of the program. */
int lmm__finding_is_disturbed(const struct lmm_result *r);

/* findings_bound.c, findings_tokens.c, findings_work.c */
void lmm__find_bound(struct finding_list *l);
void lmm__find_first_token(struct finding_list *l);
void lmm__find_token_times(struct finding_list *l);
void lmm__find_threads(struct finding_list *l);
void lmm__find_layers(struct finding_list *l);

/* A kernel of prefill and the one that does its work in decode. */
struct lmm_kernel_pair {
	const char *prefill, *decode; /* names; they belong to the result */
	double each_ns, than_ns;      /* for a token of a prompt; for one of decode */
	double over_ns; /* what prefill would have saved at decode's time per token; < 0: none */
};

/* The pair with the most to save; 0: there is none at all. */
int lmm__kernel_pair_worst(const struct lmm_result *r, struct lmm_kernel_pair *worst);

#endif
