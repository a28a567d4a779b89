/* SPDX-License-Identifier: Apache-2.0 */
#include "report/strpool.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

void lmm_strpool_free(struct lmm_strpool *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		free(p->strings[i]);
	free(p->strings);
	free(p->slots);
	memset(p, 0, sizeof(*p));
}

static uint32_t *find_slot(const struct lmm_strpool *p, const char *s)
{
	uint32_t i = (uint32_t)lmm_hash_str(LMM_HASH_SEED, s) & (p->n_slots - 1);

	while (p->slots[i] && strcmp(p->strings[p->slots[i] - 1], s) != 0)
		i = (i + 1) & (p->n_slots - 1);
	return &p->slots[i];
}

static int grow(struct lmm_strpool *p)
{
	uint32_t n_slots = p->n_slots ? p->n_slots * 2 : 64;
	uint32_t *slots = calloc(n_slots, sizeof(*slots));
	char **strings;

	if (!slots)
		return -1;
	strings = realloc(p->strings, n_slots / 2 * sizeof(*strings));
	if (!strings) {
		free(slots);
		return -1;
	}
	free(p->slots);
	p->strings = strings;
	p->cap = n_slots / 2;
	p->slots = slots;
	p->n_slots = n_slots;
	for (uint32_t i = 0; i < p->n; i++)
		*find_slot(p, p->strings[i]) = i + 1;
	return 0;
}

uint32_t lmm_strpool_add(struct lmm_strpool *p, const char *s, int *is_new)
{
	uint32_t *slot;

	if (is_new)
		*is_new = 0;
	if (p->n == p->cap && grow(p) < 0)
		return 0;
	slot = find_slot(p, s);
	if (*slot)
		return *slot;
	p->strings[p->n] = strdup(s);
	if (!p->strings[p->n])
		return 0;
	*slot = ++p->n;
	if (is_new)
		*is_new = 1;
	return *slot;
}
