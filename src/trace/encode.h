/* SPDX-License-Identifier: Apache-2.0 */
/* Items to payload bytes, before any compression. libc only: the injected library compiles this too. */
#ifndef LMM_TRACE_ENCODE_H
#define LMM_TRACE_ENCODE_H

#include <stdint.h>

#include "lmmeter/trace.h"

struct lmm_buf;
struct lmm_encoder;
struct lmm_samples_state;

struct lmm_encoder *lmm_encoder_create(void); /* NULL: no memory */
void lmm_encoder_destroy(struct lmm_encoder *e);

/*
 * Appends the payload of any item but EVENTS and SAMPLES. 0, -EINVAL (no such kind), -ENOMEM, or LMM_E_LIMIT; after an error out
 * holds nothing of use behind its former end.
 */
int lmm_encode_item(const struct lmm_item *item, struct lmm_buf *out);

/*
 * The same for a round of samples, by what it differs from *state, which then is this round; with state->is_set 0 it stands on
 * its own. -EINVAL: sensors that cannot be, or not in order. After an error the state is not set.
 */
int lmm_encode_samples(struct lmm_samples_state *state, const struct lmm_samples *samples,
		       struct lmm_buf *out);

/* The same for a batch of at most LMM_CHUNK_EVENTS_MAX events. 0, -ENOMEM or LMM_E_LIMIT. */
int lmm_encode_events(struct lmm_encoder *e, const struct lmm_events *batch, struct lmm_buf *out);

#endif
