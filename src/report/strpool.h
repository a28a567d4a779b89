/* SPDX-License-Identifier: Apache-2.0 */
/* Strings that are there once: an index for each, 1, 2, … in order of first sight. Grows with the distinct ones only. */
#ifndef LMM_REPORT_STRPOOL_H
#define LMM_REPORT_STRPOOL_H

#include <stddef.h>
#include <stdint.h>

struct lmm_strpool {
	char **strings; /* strings[id - 1] */
	uint32_t n, cap;
	uint32_t *slots; /* ids, 0: free */
	uint32_t n_slots;
};

/* Of a zeroed pool. */
void lmm_strpool_free(struct lmm_strpool *p);

/* The id of s, 0 when memory is out. *is_new (may be NULL) says whether it was not there before. */
uint32_t lmm_strpool_add(struct lmm_strpool *p, const char *s, int *is_new);

static inline const char *lmm_strpool_get(const struct lmm_strpool *p, uint32_t id)
{
	return id > 0 && id <= p->n ? p->strings[id - 1] : "";
}

#endif
