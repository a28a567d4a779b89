/* SPDX-License-Identifier: Apache-2.0 */
#include "report/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static struct lmm_idmap_entry *find(const struct lmm_idmap *m, uint64_t key)
{
	uint32_t i = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, key) & (m->n_slots - 1);

	while (m->slots[i].value && m->slots[i].key != key)
		i = (i + 1) & (m->n_slots - 1);
	return &m->slots[i];
}

void *lmm_idmap_get(const struct lmm_idmap *m, uint64_t key)
{
	return m->n_slots ? find(m, key)->value : NULL;
}

static int grow(struct lmm_idmap *m)
{
	struct lmm_idmap old = *m;
	uint32_t n_slots = old.n_slots ? old.n_slots * 2 : 32;
	struct lmm_idmap_entry *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	m->slots = slots;
	m->n_slots = n_slots;
	for (uint32_t i = 0; i < old.n_slots; i++) {
		if (old.slots[i].value)
			*find(m, old.slots[i].key) = old.slots[i];
	}
	free(old.slots);
	return 0;
}

int lmm_idmap_put(struct lmm_idmap *m, uint64_t key, void *value)
{
	struct lmm_idmap_entry *e;

	if (m->n >= m->n_slots / 2 && grow(m) < 0)
		return -ENOMEM;
	e = find(m, key);
	m->n += !e->value;
	e->key = key;
	e->value = value;
	return 0;
}

void *lmm_idmap_make(struct lmm_idmap *m, uint64_t key, size_t size)
{
	void *value = lmm_idmap_get(m, key);

	if (value)
		return value;
	value = calloc(1, size);
	if (value && lmm_idmap_put(m, key, value) < 0) {
		free(value);
		return NULL;
	}
	return value;
}

void lmm_idmap_free(struct lmm_idmap *m, void (*fini)(void *value))
{
	for (uint32_t i = 0; i < m->n_slots; i++) {
		if (m->slots[i].value && fini)
			fini(m->slots[i].value);
		free(m->slots[i].value);
	}
	free(m->slots);
	memset(m, 0, sizeof(*m));
}
