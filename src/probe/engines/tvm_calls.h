/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of TVM's runtime that tell phases apart, whatever their arguments look like (tvm.c, tvm_old.c). */
#ifndef LMM_PROBE_ENGINES_TVM_CALLS_H
#define LMM_PROBE_ENGINES_TVM_CALLS_H

#include "probe/engines/tvm_phases.h"

enum lmm_tvm_what {
	LMM_TVM_BEGIN_FORWARD, /* pass */
	LMM_TVM_END_FORWARD,
	LMM_TVM_ADD,	 /* cache, number: the sequence */
	LMM_TVM_FORK,	 /* cache, number: the new one */
	LMM_TVM_REMOVE,	 /* cache, number */
	LMM_TVM_CLEAR,	 /* cache */
	LMM_TVM_POP,	 /* cache, number, count: of tokens */
	LMM_TVM_COMMIT,	 /* pass, with leaves for lengths */
	LMM_TVM_CHECK,	 /* context */
	LMM_TVM_LAYER,	 /* number: the layer */
	LMM_TVM_COPY_IN, /* bytes */
	LMM_TVM_COPY_OUT,
	LMM_TVM_MACHINE, /* it is given the virtual machine; TVM from 2025 on */
};

/* One call, its arguments read. Pointers are good while it lasts. */
struct lmm_tvm_call {
	enum lmm_tvm_what what;
	const void *cache;
	struct lmm_tvm_pass pass;
	int64_t number, count;
	const char *context; /* what an error would be said to have happened in; NULL */
	size_t context_bytes;
	size_t bytes;
	bool is_device; /* the layer's tensors are not the host's */
};

/* A list of numbers, as either interface holds one. */
struct lmm_tvm_shape {
	const int64_t *data;
	uint64_t n;
};

/* The pass that kv_state_begin_forward is given; of no sequence if that does not fit together. parents may be NULL. */
struct lmm_tvm_pass lmm_tvm_pass_of(const void *cache, const struct lmm_tvm_shape *ids,
				    const struct lmm_tvm_shape *lengths,
				    const struct lmm_tvm_shape *parents);

/* Number of a function that tells something when it is registered under that name; -1: it tells nothing. */
int lmm_tvm_wanted(const char *name, size_t bytes);
enum lmm_tvm_what lmm_tvm_wanted_what(unsigned i);
/* NULL behind the last. */
const char *lmm_tvm_wanted_name(unsigned i);

/* What records a call that was entered at `at`: starts the recording if need be; NULL: nobody does. */
struct lmm_thread *lmm_tvm_enter(struct lmm_entry *at);
/* Around the call. True if its end is to be told. */
bool lmm_tvm_call_begin(struct lmm_thread *th, const struct lmm_tvm_call *call,
			struct lmm_entry at);
/* Whether a call tells something while nobody records, and what it tells. */
bool lmm_tvm_is_kept(enum lmm_tvm_what what);
void lmm_tvm_call_unseen(const struct lmm_tvm_call *call);
/* It has returned; rc is not 0 if it failed. */
void lmm_tvm_call_end(struct lmm_thread *th, const struct lmm_tvm_call *call, bool has_end, int rc);

/* Whether one of them came to us as it was registered. */
bool lmm_tvm_is_registered(void);

/* Lets loaded objects that import the symbol call our hook of it: for a runtime that was bound before we came. */
void lmm_tvm_import(const char *symbol, void *hook, void **orig);
#define LMM_TVM_IMPORT(symbol)                                                                     \
	lmm_tvm_import(#symbol, (void *)lmm_hook_##symbol, (void **)&lmm_orig_##symbol)
/* Copies of NDArray, as tensors were called until 2025, and scopes. */
void lmm_tvm_array_late(void);
void lmm_tvm_scopes_late(void);

#endif
