/* SPDX-License-Identifier: Apache-2.0 */
/* From a number to a pointer. Keys come from files, so they are hashed, not indexed by. Nothing is ever taken out. */
#ifndef LMM_REPORT_IDMAP_H
#define LMM_REPORT_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct lmm_idmap {
	struct lmm_idmap_entry {
		uint64_t key;
		void *value; /* NULL: free */
	} * slots;
	uint32_t n, n_slots;
};

void *lmm_idmap_get(const struct lmm_idmap *m, uint64_t key);

/* Replaces what key had. 0 or -ENOMEM. value is not NULL and stays the caller's. */
int lmm_idmap_put(struct lmm_idmap *m, uint64_t key, void *value);

/*
 * The zeroed block of size bytes that belongs to key: made at the first call. NULL: no memory. lmm_idmap_free() frees
 * all blocks after it has called fini (may be NULL) on each.
 */
void *lmm_idmap_make(struct lmm_idmap *m, uint64_t key, size_t size);
void lmm_idmap_free(struct lmm_idmap *m, void (*fini)(void *value));

static inline uint64_t lmm_idmap_key(uint32_t high, uint32_t low)
{
	return (uint64_t)high << 32 | low;
}

#endif
