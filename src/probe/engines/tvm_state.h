/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind tvm_phases.h share: where a thread's engine is, the caches (tvm_caches.c), the layers (tvm_layers.c). */
#ifndef LMM_PROBE_ENGINES_TVM_STATE_H
#define LMM_PROBE_ENGINES_TVM_STATE_H

#include "probe/engines/tvm_phases.h"

#define LMM_TVM_SEQUENCES_MAX 128 /* of a cache, and of a pass, that are told apart */

enum lmm_tvm_doing {
	LMM_TVM_NOTHING,   /* that is known */
	LMM_TVM_EMBEDDING, /* phase is open */
	LMM_TVM_FORWARD,   /* phase is open */
	LMM_TVM_LOGITS,	   /* a pass has ended, nothing was done with its result yet */
	LMM_TVM_SOFTMAX,   /* phase is open */
	LMM_TVM_COPYING,   /* phase is open */
	LMM_TVM_SAMPLING,  /* phase is open */
};

/* What this thread is at. "The pass" is the one whose logits are read next: the last one, but for a draft's in between. */
struct lmm_tvm_now {
	uint8_t doing;
	uint8_t has_prompt;  /* a sequence was added and has not been in a pass */
	uint8_t has_next;    /* nobody reads what there is: another pass will follow */
	uint8_t has_softmax; /* the model's function was entered since the pass */
	uint8_t is_draft;    /* the pass was a draft model's: what is chosen are no tokens */
	uint8_t is_verify;   /* it checked drafts, and what was accepted is not said yet */
	uint8_t is_unread;   /* nothing was done with its logits */
	uint8_t is_aside; /* a draft model's pass is open, and the logits of the one before are still to be read */
	uint8_t has_drafted; /* since the main model's last pass */
	uint8_t catches_up;  /* the draft model's next pass is for its cache alone */
	uint8_t is_inside;   /* a call that copies on its own account */
	uint8_t scope;	     /* that is open */
	uint8_t has_scopes;  /* the engine opens them */
	uint8_t has_passes;  /* one was seen in this recording */
	uint8_t has_begun;   /* the call that begins the pass has returned */
	uint8_t has_ended;   /* the pass inside the scope */
	uint16_t n;	     /* sequences of the pass */
	uint16_t sequences[LMM_TVM_SEQUENCES_MAX];
	uint8_t tokens[LMM_TVM_SEQUENCES_MAX]; /* that each of them gets when sampling ends */
	uint32_t recording;
	uint32_t step; /* of the pass */
	uint32_t samplings;
	uint64_t head;	   /* of the ring when it had ended */
	const void *cache; /* its */
	const void *open;  /* that of the pass that is open */
	struct lmm_entry scope_at;
	uint64_t scope_head; /* of the ring then */
};
extern _Thread_local struct lmm_tvm_now lmm_tvm __attribute__((tls_model("initial-exec")));

/* A recording that has begun since knows nothing of what is open: then that is forgotten. True if this thread's calls are not ours now. */
bool lmm_tvm_is_stale(struct lmm_thread *th);
/* Ends what is open at the instant, except a pass. */
void lmm_tvm_leave(struct lmm_thread *th, struct lmm_entry at);
/* A pass that has not ended when something else begins: the model failed. Returns from when on that may begin. */
struct lmm_entry lmm_tvm_open_pass_fail(struct lmm_thread *th, struct lmm_entry at);
/* Of a pass inside the open scope. */
uint8_t lmm_tvm_scope_phase(void);

/* ---- tvm_layers.c ------------------------------------------------------------------------------- */

/* Of a model. */
struct lmm_tvm_layers {
	uint32_t between; /* commands from the end of one attention to the next */
	int32_t highest;  /* that was seen */
};

/* A pass of that model begins, ends. */
void lmm_tvm_layers_begin(struct lmm_thread *th, struct lmm_tvm_layers *of);
void lmm_tvm_layers_end(struct lmm_thread *th);

/* ---- tvm_caches.c ------------------------------------------------------------------------------- */

/* What a sequence has in a pass. */
struct lmm_tvm_share {
	uint16_t name;
	uint32_t tokens, position;
};

struct lmm_tvm_pass_taken {
	struct lmm_tvm_share share[LMM_TVM_SEQUENCES_MAX];
	uint32_t cache; /* its number */
	uint8_t phase;
	struct lmm_tvm_layers *layers;
};

/* What kind of pass it is, and what each of the first n sequences has in it; their caches take its tokens. */
void lmm_tvm_pass_take(struct lmm_tvm_pass_taken *p, const struct lmm_tvm_pass *of, size_t n);
/* The cache is a state within another one's passes, which a model of two kinds of layers keeps. */
void lmm_tvm_cache_is_part(const void *kv);
/* Whether a draft model's cache goes with this one. */
bool lmm_tvm_cache_has_draft(const void *kv);

#endif
