/* SPDX-License-Identifier: Apache-2.0 */
/* A fast 64-bit mixing hash for our own tables and fingerprints. Not for hostile keys, not for files. */
#ifndef LMM_BASE_HASH_H
#define LMM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LMM_HASH_SEED 0x9e3779b97f4a7c15u

static inline uint64_t lmm_hash_u64(uint64_t h, uint64_t v)
{
	h ^= v;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 32;
	return h;
}

static inline uint64_t lmm_hash_bytes(uint64_t h, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t w;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&w, p, 8);
		h = lmm_hash_u64(h, w);
	}
	w = n;
	for (size_t i = 0; i < n; i++)
		w = (w << 8) | p[i];
	return lmm_hash_u64(h, w);
}

static inline uint64_t lmm_hash_str(uint64_t h, const char *s)
{
	return lmm_hash_bytes(h, s, strlen(s));
}

#endif
