/* SPDX-License-Identifier: Apache-2.0 */
/* Payload bytes to items. Nothing that is read is trusted. */
#ifndef LMM_TRACE_DECODE_H
#define LMM_TRACE_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "lmmeter/trace.h"

struct lmm_chunk;
struct lmm_decoder;

/* Bytes behind a payload that may be read (not used). */
#define LMM_DECODE_PAD 8

struct lmm_decoder *lmm_decoder_create(void);	 /* NULL: no memory */
void lmm_decoder_destroy(struct lmm_decoder *d); /* accepts NULL */

/* Forgets the round of samples that the next one would be told by. */
void lmm_decoder_reset(struct lmm_decoder *d);

/*
 * raw: c->raw_bytes and LMM_DECODE_PAD more. 1: *item is set; it and what it points to (also into raw) are valid until the
 * next call. 0: a kind that this build does not know, or samples that
 * are told by a round that was not read. -ENOMEM, LMM_E_CORRUPT or LMM_E_LIMIT otherwise.
 */
int lmm_decode_item(struct lmm_decoder *d, const struct lmm_chunk *c, const uint8_t *raw,
		    struct lmm_item *item);

#endif
