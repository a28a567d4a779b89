/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

void lmm_buf_free(struct lmm_buf *b)
{
	free(b->data);
	b->data = NULL;
	b->n = b->cap = 0;
	b->overflow = 0;
}

void lmm_buf_clear(struct lmm_buf *b)
{
	b->n = 0;
	b->overflow = 0;
}

int lmm_buf_reserve(struct lmm_buf *b, size_t more)
{
	size_t need, cap;
	uint8_t *data;

	if (b->overflow)
		return -1;
	if (more <= b->cap - b->n)
		return 0;
	need = b->n + more;
	if (need < b->n || (b->max && need > b->max)) {
		b->overflow = 1;
		return -1;
	}
	cap = b->cap ? b->cap : 256;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (b->max && cap > b->max)
		cap = b->max;
	data = realloc(b->data, cap);
	if (!data) {
		b->overflow = 1;
		return -1;
	}
	b->data = data;
	b->cap = cap;
	return 0;
}

void lmm_buf_put(struct lmm_buf *b, const void *data, size_t n)
{
	if (n == 0 || lmm_buf_reserve(b, n))
		return;
	memcpy(b->data + b->n, data, n);
	b->n += n;
}

void lmm_buf_put_u8(struct lmm_buf *b, uint8_t v)
{
	lmm_buf_put(b, &v, 1);
}

void lmm_buf_put_u32(struct lmm_buf *b, uint32_t v)
{
	lmm_buf_put(b, &v, sizeof(v));
}

void lmm_buf_put_u64(struct lmm_buf *b, uint64_t v)
{
	lmm_buf_put(b, &v, sizeof(v));
}

void lmm_buf_put_varint(struct lmm_buf *b, uint64_t v)
{
	uint8_t tmp[10];
	size_t n = 0;

	do {
		tmp[n] = (uint8_t)(v & 0x7f);
		v >>= 7;
		if (v)
			tmp[n] |= 0x80;
		n++;
	} while (v);
	lmm_buf_put(b, tmp, n);
}

void lmm_buf_put_zigzag(struct lmm_buf *b, int64_t v)
{
	lmm_buf_put_varint(b, lmm_zigzag(v));
}

void lmm_buf_put_str(struct lmm_buf *b, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	lmm_buf_put_varint(b, n);
	lmm_buf_put(b, s, n);
}

const void *lmm_cur_get(struct lmm_cur *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || n > lmm_cur_left(c)) {
		c->bad = 1;
		c->p = c->end;
		return NULL;
	}
	c->p += n;
	return p;
}

uint8_t lmm_cur_u8(struct lmm_cur *c)
{
	const uint8_t *p = lmm_cur_get(c, 1);

	return p ? *p : 0;
}

uint32_t lmm_cur_u32(struct lmm_cur *c)
{
	const void *p = lmm_cur_get(c, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t lmm_cur_u64(struct lmm_cur *c)
{
	const void *p = lmm_cur_get(c, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t lmm_cur_varint(struct lmm_cur *c)
{
	const uint8_t *p = c->p;
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && p < c->end; shift += 7) {
		uint8_t byte = *p++;

		if (shift == 63 && byte > 1)
			break; /* does not fit */
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			c->p = p;
			return v;
		}
	}
	c->bad = 1;
	c->p = c->end;
	return 0;
}

int64_t lmm_cur_zigzag(struct lmm_cur *c)
{
	return lmm_unzigzag(lmm_cur_varint(c));
}

const char *lmm_cur_str(struct lmm_cur *c, size_t max, size_t *n)
{
	uint64_t len = lmm_cur_varint(c);
	const char *s;

	*n = 0;
	if (len > max) {
		c->bad = 1;
		c->p = c->end;
		return "";
	}
	s = lmm_cur_get(c, (size_t)len);
	if (!s)
		return "";
	*n = (size_t)len;
	return s;
}
