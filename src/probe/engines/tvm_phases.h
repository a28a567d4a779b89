/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TVM's serving loop as phases, from a few calls of its runtime that any engine on it makes (tvm.c says how these are seen):
 *
 *	copy in, embed		EMBEDDING	of a new prompt: of no step; else of the step before
 *	begin … end forward	PREFILL, DECODE; DRAFT, VERIFY: speculative decoding
 *	… copy out		SOFTMAX		from the end of the pass
 *	copy out		COPY_TO_CPU
 *	… next copy in		SAMPLING	then a TOKEN of each sequence of the pass, or as many as were accepted of a draft
 *
 * One state per thread: an engine on TVM has one thread that does all of it.
 */
#ifndef LMM_PROBE_ENGINES_TVM_PHASES_H
#define LMM_PROBE_ENGINES_TVM_PHASES_H

#include <stdbool.h>
#include <stdint.h>

#include "probe/probe.h"

enum lmm_tvm_sequence { LMM_TVM_ADDED, LMM_TVM_FORKED, LMM_TVM_REMOVED, LMM_TVM_CLEARED };

/* What the engine does to its KV cache `kv` with the sequence of that id (CLEARED: with all of them). */
void lmm_tvm_sequence(struct lmm_thread *th, const void *kv, enum lmm_tvm_sequence what, int64_t id,
		      struct lmm_entry at);

/* The same while nobody records: which caches belong together shows only then. */
void lmm_tvm_sequence_unseen(const void *kv, enum lmm_tvm_sequence what, int64_t id);

/* The cache forgets that many of the sequence's last tokens. */
void lmm_tvm_pop(struct lmm_thread *th, const void *kv, int64_t id, int64_t tokens);
/* Of the tokens that each of n sequences had in its last pass it keeps those that lead to its leaf; -1: none. */
void lmm_tvm_commit_begin(struct lmm_thread *th, const void *kv, const int64_t *ids,
			  const int64_t *leaves, size_t n);
void lmm_tvm_commit_end(struct lmm_thread *th);

/* A pass over n sequences, each with so many new tokens. */
struct lmm_tvm_pass {
	const void *cache;
	const int64_t *ids, *lengths;
	size_t n;
	const int64_t *
		parents; /* of the new tokens, when they are drafts to be checked; NULL: they are not, or nobody says so */
	size_t n_parents;
};

void lmm_tvm_forward_begin(struct lmm_thread *th, const struct lmm_tvm_pass *of,
			   struct lmm_entry at);
/* The call that begins it has returned: another one inside is of the same pass. */
void lmm_tvm_forward_begun(struct lmm_thread *th);
void lmm_tvm_forward_end(struct lmm_thread *th);
/* There was no pass after all. */
void lmm_tvm_forward_failed(struct lmm_thread *th);

/* Tensors cross between host and device; where both are the CPU, it is not known which way. */
enum lmm_tvm_copy { LMM_TVM_IN, LMM_TVM_OUT, LMM_TVM_EITHER, LMM_TVM_NEITHER };

/* True if the end is to be told. */
bool lmm_tvm_copy_begin(struct lmm_thread *th, enum lmm_tvm_copy way, size_t bytes,
			struct lmm_entry at);
void lmm_tvm_copy_end(struct lmm_thread *th, size_t bytes);

/* The attention of a layer begins and ends; is_device: what it does is not done by the host. */
void lmm_tvm_layer_begin(struct lmm_thread *th, int64_t layer, bool is_device);
void lmm_tvm_layer_end(struct lmm_thread *th, int64_t layer);

/* A compiled function runs on the host. */
void lmm_tvm_kernel_begin(struct lmm_thread *th, uint32_t kernel);
void lmm_tvm_kernel_end(struct lmm_thread *th);

/* The virtual machine enters a function of the model. */
void lmm_tvm_function(struct lmm_thread *th, const char *name, size_t bytes, struct lmm_entry at);

/* What the engine itself says it does, where it does (tvm_scopes.c). Then nothing of that is concluded from copies. */
enum lmm_tvm_scope {
	LMM_TVM_SCOPE_NONE,
	LMM_TVM_SCOPE_EMBED,
	LMM_TVM_SCOPE_PREFILL, /* these four: a pass */
	LMM_TVM_SCOPE_DECODE,
	LMM_TVM_SCOPE_VERIFY,
	LMM_TVM_SCOPE_TREE, /* of drafts */
	LMM_TVM_SCOPE_SOFTMAX,
	LMM_TVM_SCOPE_SAMPLE, /* on the device; several may follow one another */
	LMM_TVM_SCOPE_ANSWER, /* what was chosen goes to the user */
};

/* Whether one was ever opened, recorded or not. */
bool lmm_tvm_has_scopes(void);
void lmm_tvm_scope_begin(struct lmm_thread *th, enum lmm_tvm_scope scope, struct lmm_entry at);
void lmm_tvm_scope_end(struct lmm_thread *th, enum lmm_tvm_scope scope);

#endif
