/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a result are built with (result.c, tables.c). */
#ifndef LMM_ANALYZE_BUILD_H
#define LMM_ANALYZE_BUILD_H

#include "analyze/state.h"

struct box;

struct builder {
	struct lmm_analysis *a;
	struct box *box;
	struct lmm_result *r;
	double rate; /* ns per tick */
};

static inline const char *builder_text(const struct builder *b, uint32_t id)
{
	return lmm__text(&b->a->text, id);
}

static inline double builder_ns(const struct builder *b, uint64_t ticks)
{
	return (double)ticks * b->rate;
}

/* ns from the session's start. */
uint64_t lmm__since_start(const struct builder *b, uint64_t ticks);

struct lmm_stats lmm__stats_make(const struct lmm_hist *h, double rate);
struct lmm_stats lmm__stats_split(const struct split *h, double rate);
void *lmm__array_new(size_t n, size_t size); /* zeroed, not NULL for n = 0 */

int lmm__steps_build(struct builder *b);
int lmm__layers_build(struct builder *b);
int lmm__kernels_build(struct builder *b);
int lmm__threads_build(struct builder *b);
int lmm__named_build(struct builder *b);
int lmm__device_build(struct builder *b);

#endif
