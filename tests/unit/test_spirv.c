/* SPDX-License-Identifier: Apache-2.0 */
/* Names out of SPIR-V: what the specification promises, and code that is cut or wild. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe/devices/vulkan/vulkan.h"

#define WORDS 256

struct code {
	uint32_t word[WORDS];
	size_t n;
};

static void put(struct code *c, unsigned op, const uint32_t *operands, unsigned n, const char *text)
{
	size_t words = text ? strlen(text) / 4 + 1 : 0;

	assert_true(c->n + 1 + n + words <= WORDS);
	c->word[c->n] = (uint32_t)(1 + n + words) << 16 | op;
	memcpy(&c->word[c->n + 1], operands, n * sizeof(*operands));
	memset(&c->word[c->n + 1 + n], 0, words * 4);
	if (text)
		memcpy(&c->word[c->n + 1 + n], text, strlen(text));
	c->n += 1 + n + words;
}

static void begin(struct code *c)
{
	static const uint32_t header[5] = { 0x07230203, 0x10000, 0, 64, 0 };

	memcpy(c->word, header, sizeof(header));
	c->n = 5;
}

#define OP(c, op, text, ...)                                                                       \
	do {                                                                                       \
		const uint32_t operands_[] = { __VA_ARGS__ };                                      \
		put(c, op, operands_, sizeof(operands_) / sizeof(operands_[0]), text);             \
	} while (0)

/* A copy of just that size, so that a sanitizer sees what is read behind it. */
static int name_of(const uint32_t *words, size_t bytes, const char *entry, char *name)
{
	uint32_t *exact = malloc(bytes ? bytes : 1);
	int rc;

	assert_non_null(exact);
	memcpy(exact, words, bytes);
	rc = lmm_vk_spirv_name(exact, bytes, entry, name, 32);
	free(exact);
	return rc;
}

static void whole(struct code *c)
{
	begin(c);
	OP(c, 17, NULL, 1);		     /* OpCapability */
	OP(c, 15, "main", 5, 7);	     /* OpEntryPoint GLCompute %7 */
	OP(c, 7, "shaders/mul_mat.comp", 3); /* OpString %3 */
	OP(c, 3, NULL, 2, 450, 3);	     /* OpSource GLSL 450 %3 */
	OP(c, 5, "other", 9);		     /* OpName */
}

static void test_function(void **state)
{
	struct code c;
	char name[32];

	(void)state;
	whole(&c);
	OP(&c, 5, "matmul", 7);
	assert_int_equal(name_of(c.word, c.n * 4, "main", name), 0);
	assert_string_equal(name, "matmul");
}

static void test_source(void **state)
{
	struct code c;
	char name[32];

	(void)state;
	whole(&c);
	OP(&c, 5, "main", 7);
	assert_int_equal(name_of(c.word, c.n * 4, "main", name), 0);
	assert_string_equal(name, "mul_mat.comp");
}

static void test_nothing(void **state)
{
	struct code c;
	char name[32];

	(void)state;
	begin(&c);
	OP(&c, 15, "main", 5, 7);
	assert_int_equal(name_of(c.word, c.n * 4, "main", name), -1);
	/* another entry point than the one that is asked for */
	whole(&c);
	OP(&c, 5, "matmul", 7);
	c.word[3] = 0;
	assert_int_equal(name_of(c.word, c.n * 4, "elsewhere", name), 0);
	assert_string_equal(name, "mul_mat.comp");
	c.word[0] = 0;
	assert_int_equal(name_of(c.word, c.n * 4, "main", name), -1);
	assert_int_equal(name_of(c.word, 0, "main", name), -1);
}

static void test_long_names(void **state)
{
	struct code c;
	char name[32];

	(void)state;
	begin(&c);
	OP(&c, 15, "main", 5, 7);
	OP(&c, 5, "a_name_that_is_longer_than_what_there_is_room_for", 7);
	assert_int_equal(name_of(c.word, c.n * 4, "main", name), 0);
	assert_string_equal(name, "a_name_that_is_longer_than_what");
}

/* Cut anywhere, and with every word changed: any answer but a crash, and names end. */
static void test_damage(void **state)
{
	static const uint32_t wild[] = { 0, 0xffffffffu, 0xffff0005u, 0x00010005u, 0x0001000fu };
	struct code c;
	char name[32];

	(void)state;
	whole(&c);
	OP(&c, 5, "matmul", 7);
	for (size_t bytes = 0; bytes <= c.n * 4; bytes++)
		(void)name_of(c.word, bytes, "main", name);
	for (size_t i = 1; i < c.n; i++) {
		for (size_t k = 0; k < sizeof(wild) / sizeof(wild[0]); k++) {
			struct code other = c;

			other.word[i] = wild[k];
			memset(name, 'x', sizeof(name));
			if (name_of(other.word, other.n * 4, "main", name) == 0)
				assert_non_null(memchr(name, 0, sizeof(name)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_function), cmocka_unit_test(test_source),
		cmocka_unit_test(test_nothing),	 cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
