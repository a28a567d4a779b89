/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded writing and reading of bytes: little-endian fixed integers, LEB128 varints, length-prefixed strings.
 * Both ends keep a sticky error instead of a return value per field: write or read everything, then look at it once.
 */
#ifndef LMM_BASE_BYTES_H
#define LMM_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* A growing buffer. overflow is set, and nothing more is written, when memory or `max` is exhausted. */
struct lmm_buf {
	uint8_t *data;
	size_t n;
	size_t cap;
	size_t max; /* 0: no limit */
	int overflow;
};

void lmm_buf_free(struct lmm_buf *b);
void lmm_buf_clear(struct lmm_buf *b);		     /* keeps the memory */
int lmm_buf_reserve(struct lmm_buf *b, size_t more); /* 0, or -1 and overflow set */
void lmm_buf_put(struct lmm_buf *b, const void *data, size_t n);
void lmm_buf_put_u8(struct lmm_buf *b, uint8_t v);
void lmm_buf_put_u32(struct lmm_buf *b, uint32_t v);
void lmm_buf_put_u64(struct lmm_buf *b, uint64_t v);
void lmm_buf_put_varint(struct lmm_buf *b, uint64_t v);
void lmm_buf_put_zigzag(struct lmm_buf *b, int64_t v);
void lmm_buf_put_str(struct lmm_buf *b,
		     const char *s); /* varint length, bytes, no NUL; NULL counts as "" */

/* A cursor over bytes that are not trusted. Behind the end everything reads as 0 and bad is set. */
struct lmm_cur {
	const uint8_t *p;
	const uint8_t *end;
	int bad;
};

static inline struct lmm_cur lmm_cur_make(const void *data, size_t n)
{
	const uint8_t *p = (const uint8_t *)data;
	struct lmm_cur c = { p, n ? p + n : p, 0 };

	return c;
}

static inline size_t lmm_cur_left(const struct lmm_cur *c)
{
	return (size_t)(c->end - c->p);
}

const void *lmm_cur_get(struct lmm_cur *c, size_t n); /* NULL and bad if fewer are left */
uint8_t lmm_cur_u8(struct lmm_cur *c);
uint32_t lmm_cur_u32(struct lmm_cur *c);
uint64_t lmm_cur_u64(struct lmm_cur *c);
uint64_t lmm_cur_varint(struct lmm_cur *c);
int64_t lmm_cur_zigzag(struct lmm_cur *c);
/* A string of at most max bytes: pointer into the data (no NUL) and its length; longer sets bad. */
const char *lmm_cur_str(struct lmm_cur *c, size_t max, size_t *n);

static inline uint64_t lmm_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t lmm_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
