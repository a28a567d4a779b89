/* SPDX-License-Identifier: Apache-2.0 */
#include "report/protobuf.h"

#include <string.h>

#include "report/format.h"

enum {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_LENGTH = 2,
};

static void put_tag(struct lmm_buf *b, uint32_t field, unsigned wire)
{
	lmm_buf_put_varint(b, (uint64_t)field << 3 | wire);
}

void lmm_pb_u64(struct lmm_buf *b, uint32_t field, uint64_t value)
{
	put_tag(b, field, WIRE_VARINT);
	lmm_buf_put_varint(b, value);
}

void lmm_pb_i64(struct lmm_buf *b, uint32_t field, int64_t value)
{
	lmm_pb_u64(b, field, (uint64_t)value);
}

void lmm_pb_double(struct lmm_buf *b, uint32_t field, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	put_tag(b, field, WIRE_FIXED64);
	lmm_buf_put_u64(b, bits);
}

void lmm_pb_bytes(struct lmm_buf *b, uint32_t field, const void *data, size_t n)
{
	put_tag(b, field, WIRE_LENGTH);
	lmm_buf_put_varint(b, n);
	lmm_buf_put(b, data, n);
}

void lmm_pb_string(struct lmm_buf *b, uint32_t field, const char *value)
{
	size_t begin = lmm_pb_begin(b, field);

	while (*value) {
		uint32_t code;
		size_t n = lmm_utf8_next(value, &code);

		if (code == LMM_UTF8_INVALID) {
			lmm_buf_put(b, "\xef\xbf\xbd", 3);
		} else {
			lmm_buf_put(b, value, n);
		}
		value += n;
	}
	lmm_pb_end(b, begin);
}

size_t lmm_pb_begin(struct lmm_buf *b, uint32_t field)
{
	put_tag(b, field, WIRE_LENGTH);
	/* one byte for the length: most messages are shorter than 128 bytes, the others are moved at their end */
	lmm_buf_put_u8(b, 0);
	return b->n;
}

void lmm_pb_end(struct lmm_buf *b, size_t begin)
{
	size_t length, more = 0;

	if (b->overflow)
		return;
	length = b->n - begin;
	for (size_t rest = length >> 7; rest; rest >>= 7)
		more++;
	if (more > 0) {
		if (lmm_buf_reserve(b, more))
			return;
		memmove(b->data + begin + more, b->data + begin, length);
		b->n += more;
	}
	for (size_t i = 0; i <= more; i++) {
		b->data[begin - 1 + i] = (uint8_t)((length & 0x7f) | (i < more ? 0x80 : 0));
		length >>= 7;
	}
}
