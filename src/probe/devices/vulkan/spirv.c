/* SPDX-License-Identifier: Apache-2.0 */
/* Names in SPIR-V, by its specification. The code is the application's: nothing in it is trusted. */
#include <stdio.h>
#include <string.h>

#include "probe/devices/vulkan/vulkan.h"

#define MAGIC	     0x07230203u
#define HEADER_WORDS 5u

enum { OP_SOURCE = 3, OP_NAME = 5, OP_STRING = 7, OP_ENTRY_POINT = 15, OP_FUNCTION = 54 };

/* A string inside an instruction of `words`, if it ends there. */
static const char *string_at(const uint32_t *at, uint32_t words)
{
	return memchr(at, 0, words * sizeof(*at)) ? (const char *)at : NULL;
}

struct names {
	uint32_t entry, file; /* ids; 0: none */
	const char *function, *source;
};

/* One instruction of `words`, at least 1. */
static void look(const uint32_t *at, uint32_t words, const char *entry, struct names *x)
{
	unsigned op = at[0] & 0xffffu;
	const char *s;

	if (op == OP_ENTRY_POINT && words > 3) {
		s = string_at(at + 3, words - 3);
		if (s && strcmp(s, entry) == 0)
			x->entry = at[2];
	} else if (op == OP_SOURCE && words > 3) {
		x->file = at[3];
	} else if (op == OP_NAME && words > 2 && x->entry && at[1] == x->entry) {
		x->function = string_at(at + 2, words - 2);
	}
}

/* The file's string stands before OP_SOURCE, which names it. */
static const char *file_find(const uint32_t *code, size_t n, uint32_t file)
{
	for (size_t at = HEADER_WORDS; at < n; at += code[at] >> 16) {
		uint32_t words = code[at] >> 16;

		if (words == 0 || words > n - at)
			return NULL;
		if ((code[at] & 0xffffu) == OP_STRING && words > 2 && code[at + 1] == file)
			return string_at(&code[at + 2], words - 2);
	}
	return NULL;
}

int lmm_vk_spirv_name(const uint32_t *code, size_t bytes, const char *entry, char *name,
		      size_t name_bytes)
{
	size_t n = bytes / sizeof(*code);
	struct names x = { 0 };
	const char *slash;

	if (n < HEADER_WORDS || code[0] != MAGIC)
		return -1;
	for (size_t at = HEADER_WORDS; at < n; at += code[at] >> 16) {
		uint32_t words = code[at] >> 16;

		if (words == 0 || words > n - at || (code[at] & 0xffffu) == OP_FUNCTION)
			break;
		look(&code[at], words, entry, &x);
	}
	if (x.function && strcmp(x.function, entry) != 0 && x.function[0]) {
		(void)snprintf(name, name_bytes, "%s", x.function);
		return 0;
	}
	if (x.file)
		x.source = file_find(code, n, x.file);
	if (!x.source || !x.source[0])
		return -1;
	slash = strrchr(x.source, '/');
	(void)snprintf(name, name_bytes, "%s", slash && slash[1] ? slash + 1 : x.source);
	return 0;
}
