/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, kernel names and rows of the kernel table: each kept once, told by number. */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"
#include "base/hash.h"

#define STRING_MAX 65535
#define NAME_SLOTS 8192 /* of bases and keys: more than twice what they can hold */

static int slots_grow(struct text *x)
{
	uint32_t n = x->n_slots ? x->n_slots * 2 : 256, *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -1;
	free(x->slots);
	x->slots = slots;
	x->n_slots = n;
	for (uint32_t id = 1; id < x->n; id += (uint32_t)strlen(x->data + id) + 1) {
		uint64_t h = lmm_hash_str(LMM_HASH_SEED, x->data + id);

		while (slots[h & (n - 1)])
			h++;
		slots[h & (n - 1)] = id;
	}
	return 0;
}

static int data_grow(struct text *x, size_t more)
{
	uint32_t cap = x->cap ? x->cap : 1024;
	char *data;

	if (x->n + more > LMM_I_TEXT_BYTES)
		return -1;
	while (cap < x->n + more)
		cap *= 2;
	if (cap == x->cap)
		return 0;
	data = realloc(x->data, cap);
	if (!data)
		return -1;
	x->data = data;
	x->cap = cap;
	return 0;
}

uint32_t lmm__text_add(struct text *x, const char *s)
{
	size_t n = strnlen(s, STRING_MAX);
	uint64_t h;
	uint32_t id;

	if (n == 0 || (x->n_strings * 2 >= x->n_slots && slots_grow(x)))
		return 0;
	h = lmm_hash_bytes(LMM_HASH_SEED, s, n);
	for (; (id = x->slots[h & (x->n_slots - 1)]) != 0; h++) {
		if (strncmp(x->data + id, s, n) == 0 && x->data[id + n] == '\0')
			return id;
	}
	if (data_grow(x, n + 2))
		return 0;
	if (x->n == 0)
		x->data[x->n++] = '\0';
	id = x->n;
	memcpy(x->data + id, s, n);
	x->data[id + n] = '\0';
	x->n += (uint32_t)n + 1;
	x->slots[h & (x->n_slots - 1)] = id;
	x->n_strings++;
	return id;
}

void lmm__text_free(struct text *x)
{
	free(x->data);
	free(x->slots);
	memset(x, 0, sizeof(*x));
}

int lmm__text_is_valid(const struct text *x, uint32_t id)
{
	return id == 0 || (id < x->n && x->data[id - 1] == '\0');
}

int lmm__text_rehash(struct text *x)
{
	uint32_t n = 256;

	if (x->n == 0)
		return 0;
	if (x->data[0] != '\0' || x->data[x->n - 1] != '\0')
		return -1;
	x->n_strings = 0;
	for (uint32_t id = 1; id < x->n; id += (uint32_t)strlen(x->data + id) + 1) {
		if (x->data[id] == '\0')
			return -1;
		x->n_strings++;
	}
	while (n <= x->n_strings * 2)
		n *= 2;
	x->n_slots = n / 2;
	return slots_grow(x);
}

static uint64_t base_hash(const struct base *b)
{
	uint64_t h = lmm_hash_u64(LMM_HASH_SEED, (uint64_t)b->name << 32 | b->op);

	return lmm_hash_u64(h, (uint64_t)b->weight_type << 32 | b->role);
}

static int base_equal(const struct base *a, const struct base *b)
{
	return a->name == b->name && a->op == b->op && a->weight_type == b->weight_type &&
	       a->role == b->role;
}

static uint64_t key_hash(const struct key *k)
{
	uint64_t h =
		lmm_hash_u64(LMM_HASH_SEED, (uint64_t)k->device << 32 | (uint32_t)k->base << 16 |
						    (uint32_t)k->phase << 8 | k->fused);

	return lmm_hash_u64(h, k->ticks_per_second);
}

static int key_equal(const struct key *a, const struct key *b)
{
	return a->base == b->base && a->phase == b->phase && a->fused == b->fused &&
	       a->device == b->device && a->ticks_per_second == b->ticks_per_second;
}

uint16_t lmm__base(struct lmm_analysis *a, const struct base *b)
{
	uint64_t h = base_hash(b);
	uint16_t id;

	for (; (id = a->base_slots[h % NAME_SLOTS]) != 0; h++) {
		if (base_equal(&a->bases[id], b))
			return id;
	}
	if (a->n_bases == LMM_I_BASES)
		return 0;
	a->bases[a->n_bases] = *b;
	a->base_slots[h % NAME_SLOTS] = (uint16_t)a->n_bases;
	return (uint16_t)a->n_bases++;
}

uint16_t lmm__key(struct lmm_analysis *a, const struct key *k)
{
	uint64_t h = key_hash(k);
	uint16_t id;

	for (; (id = a->key_slots[h % NAME_SLOTS]) != 0; h++) {
		if (key_equal(&a->keys[id], k))
			return id;
	}
	if (a->n_keys == LMM_I_KEYS)
		return 0;
	a->keys[a->n_keys] = *k;
	a->key_slots[h % NAME_SLOTS] = (uint16_t)a->n_keys;
	return (uint16_t)a->n_keys++;
}

/* Numbers 0 are not in the tables: nothing may be found there by content. */
void lmm__names_rehash(struct lmm_analysis *a)
{
	memset(a->base_slots, 0, NAME_SLOTS * sizeof(*a->base_slots));
	memset(a->key_slots, 0, NAME_SLOTS * sizeof(*a->key_slots));
	for (uint32_t i = 1; i < a->n_bases; i++) {
		uint64_t h = base_hash(&a->bases[i]);

		while (a->base_slots[h % NAME_SLOTS])
			h++;
		a->base_slots[h % NAME_SLOTS] = (uint16_t)i;
	}
	for (uint32_t i = 1; i < a->n_keys; i++) {
		uint64_t h = key_hash(&a->keys[i]);

		while (a->key_slots[h % NAME_SLOTS])
			h++;
		a->key_slots[h % NAME_SLOTS] = (uint16_t)i;
	}
}
