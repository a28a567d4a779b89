/* SPDX-License-Identifier: Apache-2.0 */
/* How many symbols a loaded object has: its tables say so only through DT_GNU_HASH. Stands alone, for the audit door shares nothing. */
#ifndef LMM_PROBE_GNU_HASH_H
#define LMM_PROBE_GNU_HASH_H

#include <link.h>
#include <stdint.h>

/* h: the section that DT_GNU_HASH points to, of an object that the loader has accepted. */
static inline uint32_t lmm_gnu_hash_count(const uint32_t *h)
{
	const uint32_t *bucket = h + 4 + h[2] * (sizeof(ElfW(Addr)) / 4);
	const uint32_t *chain = bucket + h[0];
	uint32_t last = 0;

	for (uint32_t i = 0; i < h[0]; i++)
		last = bucket[i] > last ? bucket[i] : last;
	if (last < h[1])
		return h[1];
	while (!(chain[last - h[1]] & 1))
		last++;
	return last + 1;
}

#endif
