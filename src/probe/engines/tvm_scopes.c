/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes of MLC-LLM: builds of March 2024 to June 2026 open one around each thing they do, for NVTX, and its functions are in
 * TVM's runtime even where NVTX is not: they do nothing then, but they are called, with a name. Names hold what users call
 * their requests: they are compared and forgotten.
 */
#include <string.h>

#include "probe/engines/tvm_calls.h"

/* What a name begins with. Some that begin alike mean nothing: "BatchDecode getting requests". */
static const struct {
	const char *begin;
	uint8_t bytes;
	uint8_t scope;
} names[] = {
#define NAME(text, scope)                                                                          \
	{                                                                                          \
		text, sizeof(text) - 1, scope                                                      \
	}
	NAME("TokenEmbed", LMM_TVM_SCOPE_EMBED),
	NAME("ImageEmbed", LMM_TVM_SCOPE_EMBED),
	NAME("BatchPrefill ", LMM_TVM_SCOPE_PREFILL),
	NAME("BatchPrefillTo", LMM_TVM_SCOPE_PREFILL),
	NAME("BatchDecode num", LMM_TVM_SCOPE_DECODE),
	NAME("BatchDecodeTo", LMM_TVM_SCOPE_DECODE),
	NAME("BatchTreeDecode", LMM_TVM_SCOPE_TREE),
	NAME("BatchVerify ", LMM_TVM_SCOPE_VERIFY),
	NAME("BatchVerifyTo", LMM_TVM_SCOPE_VERIFY),
	NAME("Compute probs", LMM_TVM_SCOPE_SOFTMAX),
	NAME("BatchRenormalize", LMM_TVM_SCOPE_SAMPLE),
	NAME("BatchSample", LMM_TVM_SCOPE_SAMPLE),
	NAME("BatchVerifyDraft", LMM_TVM_SCOPE_SAMPLE),
	NAME("EngineAction post", LMM_TVM_SCOPE_ANSWER),
#undef NAME
};

static enum lmm_tvm_scope scope_of(const char *name)
{
	if (*name != 'B' && *name != 'T' && *name != 'C' && *name != 'E' && *name != 'I')
		return LMM_TVM_SCOPE_NONE;
	for (unsigned i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		if (strncmp(name, names[i].begin, names[i].bytes) == 0)
			return (enum lmm_tvm_scope)names[i].scope;
	}
	return LMM_TVM_SCOPE_NONE;
}

/* The scope that is open; they are objects of a function, and the ones that are known do not nest. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	const void *self;
	uint8_t scope;
} open;

static _Atomic bool has_scopes;

bool lmm_tvm_has_scopes(void)
{
	return atomic_load_explicit(&has_scopes, memory_order_relaxed);
}

static void begin(const void *self, enum lmm_tvm_scope scope, struct lmm_entry at)
{
	struct lmm_thread *th = at.t ? lmm_thread_self() : NULL;

	if (lmm_unlikely(!lmm_tvm_has_scopes()))
		atomic_store_explicit(&has_scopes, true, memory_order_relaxed);
	if (!th)
		return;
	open.self = self;
	open.scope = (uint8_t)scope;
	lmm_tvm_scope_begin(th, scope, at);
}

static void end(const void *self)
{
	struct lmm_thread *th;

	if (open.self != self)
		return;
	open.self = NULL;
	th = lmm_recording() ? lmm_thread_known() : NULL;
	if (th)
		lmm_tvm_scope_end(th, (enum lmm_tvm_scope)open.scope);
}

/* NVTXScopedRange(const char *) and ~NVTXScopedRange(), each under the two names that the C++ ABI has for it. */
#define SCOPE_BEGIN(symbol)                                                                        \
	LMM_HOOK(void, symbol, void *self, const char *name)                                       \
	{                                                                                          \
		enum lmm_tvm_scope scope = name ? scope_of(name) : LMM_TVM_SCOPE_NONE;             \
		struct lmm_entry at = { 0, 0 };                                                    \
                                                                                                   \
		if (scope)                                                                         \
			at = lmm_enter();                                                          \
		LMM_REAL(symbol);                                                                  \
		fn(self, name);                                                                    \
		if (scope && !LMM_FOREIGN(symbol))                                                 \
			begin(self, scope, at.t ? at : lmm_enter());                               \
	}
#define SCOPE_END(symbol)                                                                          \
	LMM_HOOK(void, symbol, void *self)                                                         \
	{                                                                                          \
		LMM_REAL(symbol);                                                                  \
		end(self);                                                                         \
		fn(self);                                                                          \
	}

SCOPE_BEGIN(_ZN3tvm7runtime15NVTXScopedRangeC1EPKc)
SCOPE_BEGIN(_ZN3tvm7runtime15NVTXScopedRangeC2EPKc)
SCOPE_END(_ZN3tvm7runtime15NVTXScopedRangeD1Ev)
SCOPE_END(_ZN3tvm7runtime15NVTXScopedRangeD2Ev)

void lmm_tvm_scopes_late(void)
{
	LMM_TVM_IMPORT(_ZN3tvm7runtime15NVTXScopedRangeC1EPKc);
	LMM_TVM_IMPORT(_ZN3tvm7runtime15NVTXScopedRangeC2EPKc);
	LMM_TVM_IMPORT(_ZN3tvm7runtime15NVTXScopedRangeD1Ev);
	LMM_TVM_IMPORT(_ZN3tvm7runtime15NVTXScopedRangeD2Ev);
}
