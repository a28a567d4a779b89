/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sensors: ranges and means over time, and energy by phase. Bounded by the number of sensors that a trace may have.
 *
 * A round closes the interval since the round before. While an interval is open the first stage books here how long phases ran in
 * it; when it closes, what a source of energy gave in it goes to the phases by their share of it.
 */
#ifndef LMM_ANALYZE_SENSORS_H
#define LMM_ANALYZE_SENSORS_H

#include <stdint.h>

#include "lmmeter/trace.h"

struct builder;
struct lmm_analysis;
struct lmm_buf;
struct lmm_cur;
struct sensors;
struct text;

struct sensors *lmm__sensors_create(void); /* NULL: no memory */
void lmm__sensors_destroy(struct sensors *x);

void lmm__sensor_put(struct lmm_analysis *a, const struct lmm_sensor *from);
void lmm__samples_take(struct lmm_analysis *a, const struct lmm_samples *from);
/* A phase was a stream's innermost one from t0 to t. */
void lmm__sensors_piece(struct sensors *x, unsigned phase, uint64_t t0, uint64_t t);

void lmm__sensors_save(struct sensors *x, struct lmm_buf *out);
/* Into what was just created. 0, or -1: not well-formed. */
int lmm__sensors_load(struct sensors *x, const struct text *text, struct lmm_cur *in);

/* Behind the phases. 0 or -ENOMEM. */
int lmm__sensors_build(struct builder *b);

#endif
