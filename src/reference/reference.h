/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference recorder (liblmmeter-reference.so): a ruler that `lmmeter overhead` puts into runs with and without
 * lmmeter alike. It knows nothing of the rest of this tree, uses libc alone and stamps with clock_gettime(), so that it
 * can judge lmmeter's own stamps.
 *
 * LMMETER_REFERENCE=NAME: a process that calls an engine writes NAME.<pid>, struct lmm_reference, in host byte order. The
 * file is made at the first call: who makes none leaves none.
 */
#ifndef LMM_REFERENCE_REFERENCE_H
#define LMM_REFERENCE_REFERENCE_H

#include <stdatomic.h>
#include <stdint.h>

#define LMM_REFERENCE_ENV   "LMMETER_REFERENCE"
#define LMM_REFERENCE_MAGIC 0x31666572746d6d6cull /* "lmmtref1" */
#define LMM_REFERENCE_MAX   (1u << 17)

enum lmm_reference_kind {
	LMM_REFERENCE_DECODE = 1, /* llama_decode */
	LMM_REFERENCE_ENCODE = 2, /* llama_encode */
	LMM_REFERENCE_SYNC = 3,	  /* llama_synchronize */
	LMM_REFERENCE_READ =
		4, /* a sampler runs or logits are read: the pass before is done when it returns */
};

/* One outermost call. Entries are numbered when the call begins. */
struct lmm_reference_call {
	uint64_t from_ns; /* CLOCK_MONOTONIC */
	uint64_t to_ns;	  /* 0: it has not returned */
	uint64_t context; /* the engine's, as an address; 0: the function gets none */
	uint32_t kind;
	int32_t tokens; /* of the batch; decode and encode only */
};

struct lmm_reference {
	uint64_t magic;
	_Atomic uint64_t n; /* calls; those from LMM_REFERENCE_MAX on are counted and not kept */
	uint64_t reserved[6];
	struct lmm_reference_call calls[LMM_REFERENCE_MAX];
};

_Static_assert(sizeof(struct lmm_reference_call) == 32, "an entry of the file");
_Static_assert(sizeof(struct lmm_reference) == 64 + 32 * LMM_REFERENCE_MAX, "the file");

#endif
