/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers and cursors, and CRC-32C against published values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

/* The encodings as the LEB128 and zigzag rules give them by hand. */
static const struct {
	uint64_t v;
	const char *bytes;
	size_t n;
} varints[] = {
	{ 0, "\x00", 1 },
	{ 1, "\x01", 1 },
	{ 127, "\x7f", 1 },
	{ 128, "\x80\x01", 2 },
	{ 300, "\xac\x02", 2 },
	{ 16383, "\xff\x7f", 2 },
	{ 16384, "\x80\x80\x01", 3 },
	{ UINT32_MAX, "\xff\xff\xff\xff\x0f", 5 },
	{ 1ull << 63, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10 },
	{ UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 },
};

static void test_varints(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(varints) / sizeof(varints[0]); i++) {
		struct lmm_buf b = { 0 };
		struct lmm_cur c;

		lmm_buf_put_varint(&b, varints[i].v);
		assert_int_equal(b.n, varints[i].n);
		assert_memory_equal(b.data, varints[i].bytes, b.n);
		c = lmm_cur_make(b.data, b.n);
		assert_int_equal(lmm_cur_varint(&c), varints[i].v);
		assert_int_equal(lmm_cur_left(&c), 0);
		assert_false(c.bad);
		/* cut anywhere: bad, and nothing is left */
		for (size_t n = 0; n < b.n; n++) {
			c = lmm_cur_make(b.data, n);
			assert_int_equal(lmm_cur_varint(&c), 0);
			assert_true(c.bad);
			assert_int_equal(lmm_cur_left(&c), 0);
		}
		lmm_buf_free(&b);
	}
}

static void test_zigzag(void **state)
{
	static const struct {
		int64_t v;
		uint64_t coded;
	} pairs[] = {
		{ 0, 0 },
		{ -1, 1 },
		{ 1, 2 },
		{ -2, 3 },
		{ INT64_MAX, UINT64_MAX - 1 },
		{ INT64_MIN, UINT64_MAX },
	};
	struct lmm_buf b = { 0 };
	struct lmm_cur c;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(lmm_zigzag(pairs[i].v), pairs[i].coded);
		assert_int_equal(lmm_unzigzag(pairs[i].coded), pairs[i].v);
		lmm_buf_put_zigzag(&b, pairs[i].v);
	}
	c = lmm_cur_make(b.data, b.n);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_int_equal(lmm_cur_zigzag(&c), pairs[i].v);
	lmm_buf_free(&b);
}

static void test_varints_beyond_64_bits_are_bad(void **state)
{
	static const char *const wide[] = {
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		struct lmm_cur c = lmm_cur_make(wide[i], 11);

		(void)lmm_cur_varint(&c);
		assert_true(c.bad);
	}
}

static void test_fixed_integers_are_little_endian(void **state)
{
	struct lmm_buf b = { 0 };
	struct lmm_cur c;

	(void)state;
	lmm_buf_put_u8(&b, 0x01);
	lmm_buf_put_u32(&b, 0x05040302);
	lmm_buf_put_u64(&b, 0x0d0c0b0a09080706);
	assert_int_equal(b.n, 13);
	for (uint8_t i = 0; i < 13; i++)
		assert_int_equal(b.data[i], i + 1);
	c = lmm_cur_make(b.data, b.n);
	assert_int_equal(lmm_cur_u8(&c), 0x01);
	assert_int_equal(lmm_cur_u32(&c), 0x05040302);
	assert_int_equal(lmm_cur_u64(&c), 0x0d0c0b0a09080706);
	assert_false(c.bad);
	/* behind the end all is 0, and stays so */
	assert_int_equal(lmm_cur_u8(&c), 0);
	assert_true(c.bad);
	assert_int_equal(lmm_cur_u32(&c), 0);
	assert_int_equal(lmm_cur_u64(&c), 0);
	c = lmm_cur_make(b.data, 3);
	assert_int_equal(lmm_cur_u32(&c), 0);
	assert_true(c.bad);
	assert_int_equal(lmm_cur_u8(&c), 0);
	lmm_buf_free(&b);
}

static void test_strings(void **state)
{
	struct lmm_buf b = { 0 };
	struct lmm_cur c;
	const char *s;
	size_t n;

	(void)state;
	lmm_buf_put_str(&b, "abc");
	lmm_buf_put_str(&b, "");
	lmm_buf_put_str(&b, NULL);
	lmm_buf_put_str(&b, "four");
	assert_int_equal(b.n, 4 + 1 + 1 + 5);
	c = lmm_cur_make(b.data, b.n);
	s = lmm_cur_str(&c, 3, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(s, "abc", 3);
	(void)lmm_cur_str(&c, 3, &n);
	assert_int_equal(n, 0);
	(void)lmm_cur_str(&c, 3, &n);
	assert_int_equal(n, 0);
	assert_false(c.bad);
	s = lmm_cur_str(&c, 3, &n); /* longer than allowed */
	assert_string_equal(s, "");
	assert_int_equal(n, 0);
	assert_true(c.bad);
	c = lmm_cur_make("\x05"
			 "abc",
			 4); /* longer than what is there */
	s = lmm_cur_str(&c, 100, &n);
	assert_string_equal(s, "");
	assert_true(c.bad);
	lmm_buf_free(&b);
}

static void test_a_full_buffer_takes_nothing_more(void **state)
{
	struct lmm_buf b = { .max = 10 };
	struct lmm_cur c = lmm_cur_make(NULL, 0);

	(void)state;
	lmm_buf_put(&b, "12345678", 8);
	assert_false(b.overflow);
	lmm_buf_put_u32(&b, 1);
	assert_true(b.overflow);
	assert_int_equal(b.n, 8);
	lmm_buf_put_u8(&b, 1); /* would fit, but something is missing before it */
	assert_int_equal(b.n, 8);
	lmm_buf_clear(&b);
	assert_false(b.overflow);
	lmm_buf_put(&b, "1234567890", 10);
	assert_false(b.overflow);
	assert_int_equal(b.n, 10);
	assert_int_equal(lmm_buf_reserve(&b, 1), -1);
	lmm_buf_free(&b);
	assert_int_equal(lmm_buf_reserve(&b, SIZE_MAX), -1);
	assert_true(b.overflow);
	lmm_buf_free(&b);
	assert_int_equal(lmm_cur_u8(&c), 0);
	assert_true(c.bad);
}

static void test_buffer_grows(void **state)
{
	struct lmm_buf b = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		lmm_buf_put_u32(&b, i);
	assert_int_equal(b.n, 400000);
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t v;

		memcpy(&v, b.data + (size_t)i * 4, 4);
		assert_int_equal(v, i);
	}
	lmm_buf_free(&b);
}

/* RFC 3720, appendix B.4, and the catalogue's check value. */
static void test_crc32c_published_values(void **state)
{
	uint8_t data[32];

	(void)state;
	assert_int_equal(lmm_crc32c(0, "", 0), 0);
	assert_int_equal(lmm_crc32c(0, "123456789", 9), 0xe3069283);
	memset(data, 0, sizeof(data));
	assert_int_equal(lmm_crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(lmm_crc32c(0, data, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = i;
	assert_int_equal(lmm_crc32c(0, data, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = (uint8_t)(31 - i);
	assert_int_equal(lmm_crc32c(0, data, 32), 0x113fdb5c);
}

static void test_crc32c_in_parts(void **state)
{
	uint8_t data[100];

	(void)state;
	for (uint8_t i = 0; i < 100; i++)
		data[i] = (uint8_t)(i * 37);
	for (size_t n = 0; n <= 100; n++) {
		uint32_t crc = lmm_crc32c(lmm_crc32c(0, data, n), data + n, 100 - n);

		assert_int_equal(crc, lmm_crc32c(0, data, 100));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_varints),
		cmocka_unit_test(test_zigzag),
		cmocka_unit_test(test_varints_beyond_64_bits_are_bad),
		cmocka_unit_test(test_fixed_integers_are_little_endian),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_a_full_buffer_takes_nothing_more),
		cmocka_unit_test(test_buffer_grows),
		cmocka_unit_test(test_crc32c_published_values),
		cmocka_unit_test(test_crc32c_in_parts),
	};

	return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
