/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference recorder (liblmmeter-reference.so): a ruler that `lmmeter overhead` puts into runs with and without
 * lmmeter alike, and that `lmmeter verify` holds lmmeter's figures against. It knows nothing of the rest of this tree, uses
 * libc alone and stamps with clock_gettime(), so that it can judge lmmeter's own stamps.
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
	LMM_REFERENCE_DECODE = 1, /* llama_decode; tokens: of the batch */
	LMM_REFERENCE_ENCODE = 2, /* llama_encode; likewise */
	LMM_REFERENCE_SYNC = 3,	  /* llama_synchronize */
	LMM_REFERENCE_READ = 4,	  /* logits are read: the pass before is done when it returns */
	LMM_REFERENCE_ASK = 5, /* what a sampler on the device left is asked for: may be nothing */
	LMM_REFERENCE_SAMPLE = 6,      /* llama_sampler_sample: reads as well */
	LMM_REFERENCE_APPLY = 7,       /* llama_sampler_apply: what it works on was read */
	LMM_REFERENCE_ACCEPT = 8,      /* llama_sampler_accept */
	LMM_REFERENCE_TOKENIZE = 9,    /* tokens: what it returned */
	LMM_REFERENCE_DETOKENIZE = 10, /* llama_token_to_piece, llama_detokenize */
	LMM_REFERENCE_COPY = 11,       /* ggml_backend_tensor_get_async inside DECODE or ENCODE */
	LMM_REFERENCE_RESET = 12,      /* llama_perf_context_reset */
	LMM_REFERENCE_CLEAR = 13,      /* llama_memory_clear */
	LMM_REFERENCE_WARMUP = 14,     /* llama_set_warmup; tokens: on or off */
	LMM_REFERENCE_FREE = 15,       /* llama_free: the address may be given out again */
};

/* One outermost call (COPY: one inside a pass; SYNC: also inside READ, ASK and SAMPLE). Entries are numbered when the call begins. */
struct lmm_reference_call {
	uint64_t from_ns; /* CLOCK_MONOTONIC */
	uint64_t to_ns;	  /* 0: it has not returned */
	uint64_t context; /* the engine's, as an address; 0: the function gets none */
	uint32_t
		kind; /* enum lmm_reference_kind | thread << 16; threads: 1, 2, … 65,535 the rest */
	int32_t tokens; /* as said above; else 0 */
};

static inline enum lmm_reference_kind lmm_reference_kind(const struct lmm_reference_call *call)
{
	return (enum lmm_reference_kind)(call->kind & 0xffffu);
}

static inline unsigned lmm_reference_thread(const struct lmm_reference_call *call)
{
	return call->kind >> 16;
}

struct lmm_reference {
	uint64_t magic;
	_Atomic uint64_t n; /* calls; those from LMM_REFERENCE_MAX on are counted and not kept */
	uint64_t reserved[6];
	struct lmm_reference_call calls[LMM_REFERENCE_MAX];
};

_Static_assert(sizeof(struct lmm_reference_call) == 32, "an entry of the file");
_Static_assert(sizeof(struct lmm_reference) == 64 + 32 * LMM_REFERENCE_MAX, "the file");

#endif
