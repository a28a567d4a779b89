/* SPDX-License-Identifier: Apache-2.0 */
/* What machine this is. Unknown fields are empty or 0. */
#ifndef LMM_COLLECT_HOST_H
#define LMM_COLLECT_HOST_H

#include <stddef.h>
#include <stdint.h>

struct lmm_host {
	char os[160];
	char cpu[160];
	uint32_t cpus;
	uint64_t memory_bytes;
};

void lmm_host_read(struct lmm_host *h);

/* bytes - 1 random hex digits and a NUL. */
void lmm_host_random_hex(char *text, size_t bytes);

#endif
