/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/engines/tvm_calls.h"

#include <errno.h>
#include <string.h>

#include "probe/patch.h"

static const struct {
	const char *name;
	enum lmm_tvm_what what;
} wanted[] = {
	{ "vm.builtin.kv_state_begin_forward", LMM_TVM_BEGIN_FORWARD },
	{ "vm.builtin.kv_state_end_forward", LMM_TVM_END_FORWARD },
	{ "vm.builtin.kv_state_add_sequence", LMM_TVM_ADD },
	{ "vm.builtin.kv_state_fork_sequence", LMM_TVM_FORK },
	{ "vm.builtin.kv_state_remove_sequence", LMM_TVM_REMOVE },
	{ "vm.builtin.kv_state_clear", LMM_TVM_CLEAR },
	{ "vm.builtin.kv_state_popn", LMM_TVM_POP },
	{ "vm.builtin.attention_kv_cache_commit_accepted_token_tree_nodes", LMM_TVM_COMMIT },
	{ "vm.builtin.check_tensor_info", LMM_TVM_CHECK },
	{ "vm.builtin.check_tuple_info", LMM_TVM_CHECK },
	{ "vm.builtin.attention_kv_cache_attention_with_fused_qkv", LMM_TVM_LAYER },
	{ "vm.builtin.attention_kv_cache_self_attention", LMM_TVM_LAYER },
	{ "vm.builtin.attention_kv_cache_attention_with_shared_kv", LMM_TVM_LAYER },
	{ "vm.builtin.paged_attention_kv_cache_attention_with_fused_qkv",
	  LMM_TVM_LAYER }, /* 2024 */
	{ "runtime.TVMTensorCopyFromBytes", LMM_TVM_COPY_IN },
	{ "runtime.TVMTensorCopyToBytes", LMM_TVM_COPY_OUT },
	{ "vm.builtin.alloc_storage", LMM_TVM_MACHINE },
	{ "vm.builtin.alloc_shape_heap", LMM_TVM_MACHINE },
};

struct lmm_tvm_pass lmm_tvm_pass_of(const void *cache, const struct lmm_tvm_shape *ids,
				    const struct lmm_tvm_shape *lengths,
				    const struct lmm_tvm_shape *parents)
{
	struct lmm_tvm_pass pass = { .cache = cache };

	if (!ids || !lengths || ids->n != lengths->n)
		return pass;
	pass.ids = ids->data;
	pass.lengths = lengths->data;
	pass.n = ids->n;
	if (parents) {
		pass.parents = parents->data;
		pass.n_parents = parents->n;
	}
	return pass;
}

int lmm_tvm_wanted(const char *name, size_t bytes)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(wanted); i++) {
		if (strlen(wanted[i].name) == bytes && memcmp(wanted[i].name, name, bytes) == 0)
			return (int)i;
	}
	return -1;
}

enum lmm_tvm_what lmm_tvm_wanted_what(unsigned i)
{
	return wanted[i].what;
}

const char *lmm_tvm_wanted_name(unsigned i)
{
	return i < LMM_ARRAY_SIZE(wanted) ? wanted[i].name : NULL;
}

void lmm_tvm_import(const char *symbol, void *hook, void **orig)
{
	if (!*orig)
		*orig = lmm_door_anyone(symbol);
	if (*orig)
		lmm_patch_imports(symbol, symbol, hook, orig);
}

/* The virtual machine checks what a function of the model is given, and says whose: "ErrorContext(fn=NAME, loc=param[0], …". */
static void check(struct lmm_thread *th, const struct lmm_tvm_call *call, struct lmm_entry at)
{
	static const char begin[] = "ErrorContext(fn=", first[] = ", loc=param[0]";
	const char *text = call->context, *name, *comma;
	size_t n = call->context_bytes;

	if (!text || n < sizeof(begin) || memcmp(text, begin, sizeof(begin) - 1) != 0)
		return;
	name = text + sizeof(begin) - 1;
	comma = memchr(name, ',', n - (sizeof(begin) - 1));
	if (comma && n - (size_t)(comma - text) >= sizeof(first) - 1 &&
	    memcmp(comma, first, sizeof(first) - 1) == 0)
		lmm_tvm_function(th, name, (size_t)(comma - name), at);
}

struct lmm_thread *lmm_tvm_enter(struct lmm_entry *at)
{
	struct lmm_thread *th;

	if (lmm_unlikely(!at->t)) {
		int saved = errno;

		lmm_probe_start();
		errno = saved;
		*at = lmm_enter();
	}
	th = at->t ? lmm_thread_self() : NULL;
	if (!th && at->t)
		lmm_no_ring(1);
	return th;
}

bool lmm_tvm_call_begin(struct lmm_thread *th, const struct lmm_tvm_call *call, struct lmm_entry at)
{
	lmm_tvm_commit_end(th); /* one that has thrown has not said so */
	switch (call->what) {
	case LMM_TVM_BEGIN_FORWARD:
		lmm_tvm_forward_begin(th, &call->pass, at);
		return false;
	case LMM_TVM_ADD:
		lmm_tvm_sequence(th, call->cache, LMM_TVM_ADDED, call->number, at);
		return false;
	case LMM_TVM_FORK:
		lmm_tvm_sequence(th, call->cache, LMM_TVM_FORKED, call->number, at);
		return false;
	case LMM_TVM_REMOVE:
		lmm_tvm_sequence(th, call->cache, LMM_TVM_REMOVED, call->number, at);
		return false;
	case LMM_TVM_CLEAR:
		lmm_tvm_sequence(th, call->cache, LMM_TVM_CLEARED, 0, at);
		return false;
	case LMM_TVM_POP:
		lmm_tvm_pop(th, call->cache, call->number, call->count);
		return false;
	case LMM_TVM_COMMIT:
		lmm_tvm_commit_begin(th, call->cache, call->pass.ids, call->pass.lengths,
				     call->pass.n);
		return true;
	case LMM_TVM_CHECK:
		check(th, call, at);
		return false;
	case LMM_TVM_LAYER:
		lmm_tvm_layer_begin(th, call->number, call->is_device);
		return true;
	case LMM_TVM_COPY_IN:
		return lmm_tvm_copy_begin(th, LMM_TVM_IN, call->bytes, at);
	case LMM_TVM_COPY_OUT:
		return lmm_tvm_copy_begin(th, LMM_TVM_OUT, call->bytes, at);
	case LMM_TVM_MACHINE:
		return false;
	default:
		return true;
	}
}

bool lmm_tvm_is_kept(enum lmm_tvm_what what)
{
	return what >= LMM_TVM_ADD && what <= LMM_TVM_CLEAR && lmm_session_is_asleep();
}

void lmm_tvm_call_unseen(const struct lmm_tvm_call *call)
{
	static const enum lmm_tvm_sequence kinds[] = {
		[0] = LMM_TVM_ADDED,
		[LMM_TVM_FORK - LMM_TVM_ADD] = LMM_TVM_FORKED,
		[LMM_TVM_REMOVE - LMM_TVM_ADD] = LMM_TVM_REMOVED,
		[LMM_TVM_CLEAR - LMM_TVM_ADD] = LMM_TVM_CLEARED,
	};
	int saved = errno;

	lmm_tvm_sequence_unseen(call->cache, kinds[call->what - LMM_TVM_ADD], call->number);
	errno = saved;
}

void lmm_tvm_call_end(struct lmm_thread *th, const struct lmm_tvm_call *call, bool has_end, int rc)
{
	if (call->what == LMM_TVM_BEGIN_FORWARD) {
		if (lmm_unlikely(rc)) {
			lmm_tvm_forward_failed(th);
		} else {
			lmm_tvm_forward_begun(th);
		}
		return;
	}
	if (!has_end)
		return;
	switch (call->what) {
	case LMM_TVM_END_FORWARD:
		lmm_tvm_forward_end(th);
		break;
	case LMM_TVM_COMMIT:
		lmm_tvm_commit_end(th);
		break;
	case LMM_TVM_LAYER:
		lmm_tvm_layer_end(th, call->number);
		break;
	default:
		lmm_tvm_copy_end(th, call->bytes);
		break;
	}
}
