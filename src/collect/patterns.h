/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of commands: what a process hands to a device again and again is described once (LMM_DESC_PATTERN) and told by its number
 * (LMM_EV_PATTERN). Here each is one by one again, as files and the analysis have them.
 *
 * Not thread-safe; nothing that comes from the process is trusted.
 */
#ifndef LMM_COLLECT_PATTERNS_H
#define LMM_COLLECT_PATTERNS_H

#include <stddef.h>
#include <stdint.h>

#include "lmmeter/trace.h"
#include "wire/desc.h"

struct lmm_patterns {
	struct lmm_pattern {
		uint32_t number;
		uint32_t n; /* 0: there is none in this place */
		struct lmm_pattern_command {
			uint32_t kernel, node, amount;
		} * command;
	} at[LMM_DESC_PATTERNS];
};

/* A descriptor's payload. 0, LMM_E_CORRUPT (nothing has changed) or -ENOMEM. */
int lmm_patterns_add(struct lmm_patterns *p, const void *payload, size_t bytes);
void lmm_patterns_clear(struct lmm_patterns *p);

/* How many of the n events, from the first on, are not more than max when patterns are told one by one. */
size_t lmm_patterns_fit(const struct lmm_patterns *p, const struct lmm_event *ev, size_t n,
			size_t max);
/*
 * Writes them so to `to`, max at the most. Adds to *unknown the commands of patterns that nobody knows, and what did not fit. Returns how
 * many it wrote.
 */
size_t lmm_patterns_expand(const struct lmm_patterns *p, const struct lmm_event *ev, size_t n,
			   struct lmm_event *to, size_t max, uint64_t *unknown);

#endif
