/* SPDX-License-Identifier: Apache-2.0 */
/* The .lmt file's fixed parts, for writer and reader alike. docs/format.md says what they mean. */
#ifndef LMM_TRACE_FORMAT_H
#define LMM_TRACE_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/crc32c.h"
#include "lmmeter/trace.h"

#define LMM_FILE_VERSION      1
#define LMM_FILE_HEADER_BYTES 64
#define LMM_FILE_HEADER_MAX   4096 /* a later version may have a longer one */

#define LMM_CHUNK_MAGIC	       0x4b43544cu /* "LTCK" */
#define LMM_CHUNK_HEADER_BYTES 32
#define LMM_CHUNK_PAYLOAD_MAX  (64u << 20) /* stored as well as raw */
#define LMM_CHUNK_EVENTS_MAX   8192	   /* what is written */
#define LMM_READ_EVENTS_MAX    65536	   /* what is read */
#define LMM_READ_NODES_MAX     131072	   /* nodes of a graph */
#define LMM_TRACE_STRING_MAX   65535	   /* bytes; longer ones are written cut */

/* Not text, and broken by whatever takes it for text. */
static const uint8_t lmm_file_signature[8] = { 0x89, 'L', 'M', 'T', '\r', '\n', 0x1a, '\n' };

enum lmm_coding {
	LMM_CODING_NONE = 0,
	LMM_CODING_ZSTD = 1,
};

/* Flag of an EVENTS chunk: the batch goes on in the next chunk; a recovery takes all of it or none. */
#define LMM_CHUNK_CONTINUED 1u
/* Flag of a SAMPLES chunk: it stands on its own; others tell the difference to the one before. */
#define LMM_CHUNK_KEY 2u

struct lmm_chunk {
	uint8_t type; /* enum lmm_item_kind */
	uint8_t coding;
	uint16_t flags;
	uint32_t stored_bytes;
	uint32_t raw_bytes;
	uint32_t count;	 /* EVENTS: number of events */
	uint32_t stream; /* EVENTS, LOSS: stream */
	uint32_t payload_crc;
};

/* The tag byte of an event: kind << 3 | flag << 2 | bytes of time delta - 1. */
#define LMM_TAG_NODE_DELTAS                                                                        \
	29u /* kinds 0 … 28: OP or, with the flag, OP_FUSED at last node + kind */
#define LMM_TAG_NODE_UNKNOWN 29u
#define LMM_TAG_NODE_FAR     30u /* node difference is in the rest column */
#define LMM_TAG_OTHER	     31u /* all else is in the rest column; with the flag the time as well */
#define LMM_TAG_FLAG	     4u

/* Which fields of an OTHER event differ from the last one of its type. */
enum {
	LMM_DIFF_PHASE = 1,
	LMM_DIFF_SEQ = 2,
	LMM_DIFF_ID = 4,
	LMM_DIFF_A_LOW = 8,
	LMM_DIFF_A_HIGH = 16,
	LMM_DIFF_B_LOW = 32,
	LMM_DIFF_B_HIGH = 64,
	LMM_DIFF_ALL = 127,
};

/* What coder and decoder remember while they go through a chunk. */
struct lmm_events_state {
	uint64_t t;	       /* of the last event that was no COMPLETION */
	uint64_t t_completion; /* of the last COMPLETION: device clocks are their own */
	uint32_t node;
	struct lmm_event last[256]; /* by type */
};

static inline void lmm_events_state_init(struct lmm_events_state *s, uint64_t t)
{
	memset(s, 0, sizeof(*s));
	s->t = s->t_completion = t;
	s->node = UINT32_MAX;
}

static inline uint64_t *lmm_events_state_clock(struct lmm_events_state *s, unsigned type)
{
	return type == LMM_EV_COMPLETION ? &s->t_completion : &s->t;
}

/* The round of samples that the next one is told by. */
struct lmm_samples_state {
	uint8_t is_set; /* 0: only one that stands on its own may follow */
	uint64_t ticks;
	int64_t value[LMM_SENSORS_MAX];
	uint8_t has[LMM_SENSORS_MAX];
};

static inline void lmm_chunk_put(uint8_t out[LMM_CHUNK_HEADER_BYTES], const struct lmm_chunk *c)
{
	uint32_t magic = LMM_CHUNK_MAGIC, crc;

	memcpy(out, &magic, 4);
	out[4] = c->type;
	out[5] = c->coding;
	memcpy(out + 6, &c->flags, 2);
	memcpy(out + 8, &c->stored_bytes, 4);
	memcpy(out + 12, &c->raw_bytes, 4);
	memcpy(out + 16, &c->count, 4);
	memcpy(out + 20, &c->stream, 4);
	memcpy(out + 24, &c->payload_crc, 4);
	crc = lmm_crc32c(0, out, 28);
	memcpy(out + 28, &crc, 4);
}

/* 0, or -1 if it is no chunk header. Lengths are as found. */
static inline int lmm_chunk_get(const uint8_t in[LMM_CHUNK_HEADER_BYTES], struct lmm_chunk *c)
{
	uint32_t magic, crc;

	memcpy(&magic, in, 4);
	memcpy(&crc, in + 28, 4);
	if (magic != LMM_CHUNK_MAGIC || crc != lmm_crc32c(0, in, 28))
		return -1;
	c->type = in[4];
	c->coding = in[5];
	memcpy(&c->flags, in + 6, 2);
	memcpy(&c->stored_bytes, in + 8, 4);
	memcpy(&c->raw_bytes, in + 12, 4);
	memcpy(&c->count, in + 16, 4);
	memcpy(&c->stream, in + 20, 4);
	memcpy(&c->payload_crc, in + 24, 4);
	return 0;
}

#endif
