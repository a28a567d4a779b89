/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the stand-in as MLC-LLM of 2024 called TVM. usage: engine TOKENS TRUTH.jsonl [fail] [draft | tree] [scopes [gpu]] [late=LIBRARY]; what the runtime answered goes to standard output, brackets
 * as those of tests/engines/tvm/engine.cc into the file. fail: a pass behind the prompt does; draft: speculative decoding as in early 2024, tree: as since late 2024, in rounds as said below;
 * scopes: opened as MLC-LLM opens them, and something else is done between phases; gpu: it samples on the device; late: loads that library first.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

enum { PROMPT = 7, LAYERS = 3, VOCABULARY = 4096, DRAFTS = 3 };

static FILE *truth;
static int64_t answers;
static char main_cache, draft_cache;
static int fails, drafts, is_tree, has_scopes, is_gpu;

static void bracket(const char *phase, int step, int64_t t0)
{
	fprintf(truth,
		"{\"phase\": \"%s\", \"sequence\": 5, \"step\": %d, \"t0\": %lld, \"t1\": %lld}\n",
		phase, step, (long long)t0, (long long)fake_now_ns());
}

static void call(const char *name, int n, const union value *args, const int *codes)
{
	union value a[4], out;
	int c[4], code = CODE_NONE;
	void *function;

	memcpy(a, args, sizeof(*args) * (size_t)n);
	memcpy(c, codes, sizeof(*codes) * (size_t)n);
	if (TVMFuncGetGlobal(name, &function) || !function ||
	    TVMFuncCall(function, a, c, n, &out, &code) || code != CODE_INT) {
		fprintf(stderr, "%s failed\n", name);
		exit(1);
	}
	answers = answers * 31 + out.i;
	free(function);
}

static void enter(const char *function)
{
	char text[96];

	(void)snprintf(text, sizeof(text),
		       "ErrorContext(fn=%s, loc=param[0], param=x, annotation=R.Tensor)", function);
	call("vm.builtin.check_tensor_info", 2, (union value[]){ { .p = &answers }, { .p = text } },
	     (int[]){ CODE_OBJECT, CODE_STR });
}

static void sequence(const char *name, char *cache)
{
	call(name, 2, (union value[]){ { .p = cache }, { .i = 5 } },
	     (int[]){ CODE_OBJECT, CODE_INT });
}

static void pop(char *cache, int64_t n)
{
	call("vm.builtin.kv_state_popn", 3,
	     (union value[]){ { .p = cache }, { .i = 5 }, { .i = n } },
	     (int[]){ CODE_OBJECT, CODE_INT, CODE_INT });
}

static void scope_begin(void *self, const char *name)
{
	if (has_scopes)
		fake_scope_begin(self, name);
}

static void scope_end(void *self)
{
	if (has_scopes)
		fake_scope_end(self);
}

/* What the engine does between phases. */
static void between(const char *name)
{
	char scope;

	if (!has_scopes)
		return;
	scope_begin(&scope, name);
	fake_work(1000);
	scope_end(&scope);
}

static void copy_in(const void *bytes, size_t n)
{
	int array;

	_ZN3tvm7runtime7NDArray13CopyFromBytesEPKvm(&array, bytes, n);
}

static void pass(char *cache, const char *phase, int step, int64_t tokens)
{
	const int64_t id = 5, begin = fake_now_ns();
	struct shape ids = { .data = &id, .n = 1 }, lengths = { .data = &tokens, .n = 1 };
	struct shape parents = { .data = (const int64_t[]){ -1, 0, 0, 1 }, .n = DRAFTS + 1 };
	int has_parents = is_tree && strcmp(phase, "verify") == 0;
	char scope;

	scope_begin(&scope, has_parents ? "BatchVerify num_tokens=4"
			    : tokens > 1 || strcmp(phase, "prefill") == 0
				    ? "BatchPrefill num_seq=1 total_len=7"
				    : "BatchDecode num_seqs=1");
	fake_work(has_scopes ? 500 : 0);
	call("vm.builtin.kv_state_begin_forward", has_parents ? 4 : 3,
	     (union value[]){ { .p = cache }, { .p = &ids }, { .p = &lengths }, { .p = &parents } },
	     (int[]){ CODE_OBJECT, CODE_OBJECT, CODE_OBJECT, CODE_OBJECT });
	enter(phase);
	for (int layer = 0; layer < LAYERS; layer++) {
		call("vm.builtin.paged_attention_kv_cache_attention_with_fused_qkv", 2,
		     (union value[]){ { .p = cache }, { .i = layer } },
		     (int[]){ CODE_OBJECT, CODE_INT });
		fake_work(100);
	}
	call("vm.builtin.kv_state_end_forward", 1, (union value[]){ { .p = cache } },
	     (int[]){ CODE_OBJECT });
	fake_work(has_scopes ? 500 : 0);
	scope_end(&scope);
	bracket(phase, step, begin);
	between("Logit inplace update");
}

/* An argument too many: it fails, as it does when the cache is full; with scopes, the model fails behind it. */
static void failing_pass(void)
{
	const int64_t id = 5, tokens = 1, begin = fake_now_ns();
	struct shape ids = { .data = &id, .n = 1 }, lengths = { .data = &tokens, .n = 1 };
	union value a[4] = { { .p = &main_cache }, { .p = &ids }, { .p = &lengths }, { .i = 0 } },
		    out;
	int c[4] = { CODE_OBJECT, CODE_OBJECT, CODE_OBJECT, CODE_INT }, code;
	void *function;
	char scope;

	scope_begin(&scope, "BatchDecode num_seqs=1");
	if (TVMFuncGetGlobal("vm.builtin.kv_state_begin_forward", &function) || !function ||
	    (TVMFuncCall(function, a, c, has_scopes ? 3 : 4, &out, &code) == 0) != has_scopes)
		exit(1);
	free(function);
	scope_end(&scope);
	if (has_scopes) {
		bracket("decode", 0, begin);
		fake_work(8000);
	}
}

static void embed(int step, int tokens)
{
	int64_t begin;
	char scope;

	between("BatchDecode getting requests");
	begin = fake_now_ns();
	scope_begin(&scope, "TokenEmbed");
	fake_work(has_scopes ? 500 : 0);
	copy_in(&begin, 4u * (size_t)tokens);
	enter("embed");
	scope_end(&scope);
	bracket("embedding", step, begin);
	between("Copy to worker 0");
	if (has_scopes)
		copy_in(&begin, 4);
}

static void nothing_more(void)
{
}

static void choose_and(int step, void (*more)(void))
{
	const int64_t extent = VOCABULARY;
	struct tensor from = {
		.device_type = 4, .dimensions = 1, .bits = 32, .lanes = 1, .shape = &extent
	};
	struct tensor to = {
		.device_type = 1, .dimensions = 1, .bits = 32, .lanes = 1, .shape = &extent
	};
	int64_t begin;
	char scope;

	if (has_scopes)
		copy_in(&from, 4); /* a bias of the user's */
	begin = fake_now_ns();
	scope_begin(&scope, "Compute probs from logits");
	copy_in(&begin, 4);
	if (has_scopes)
		_ZN3tvm7runtime7NDArray10CopyFromToEPK8DLTensorPS2_Pv(&to, &to, NULL);
	enter("softmax_with_temperature");
	scope_end(&scope);
	bracket("softmax", step, begin);
	begin = fake_now_ns();
	if (is_gpu) {
		scope_begin(&scope, "BatchSampleTokensWithProbAfterTopP");
		copy_in(&begin, 4);
	}
	_ZN3tvm7runtime7NDArray10CopyFromToEPK8DLTensorPS2_Pv(&from, &to, NULL);
	if (is_gpu) {
		scope_end(&scope);
	} else {
		bracket("copy_to_cpu", step, begin);
		begin = fake_now_ns();
	}
	fake_work(60);
	more();
	bracket("sampling", step, begin);
	between("EngineAction postproc");
}

static void choose(int step)
{
	choose_and(step, nothing_more);
}

static int rejected;

static void reject(void)
{
	if (rejected == 0)
		return;
	pop(&main_cache, rejected);
	pop(&draft_cache, rejected);
}

static int64_t leaf;

/* The cache moves what it keeps to its place, and copies to the device for that. */
static void commit(void)
{
	const int64_t id = 5;
	struct shape ids = { .data = &id, .n = 1 }, leaves = { .data = &leaf, .n = 1 };

	if (leaf < 3)
		pop(&draft_cache, leaf == 0 ? 2 : 1);
	call("vm.builtin.attention_kv_cache_commit_accepted_token_tree_nodes", 3,
	     (union value[]){ { .p = &main_cache }, { .p = &ids }, { .p = &leaves } },
	     (int[]){ CODE_OBJECT, CODE_OBJECT, CODE_OBJECT });
}

/* The first token has two drafts behind it, the first of these one more: round k takes a path of none, one or two drafts. */
static void check_tree(int k)
{
	static const int64_t leaves[3] = { 0, 2, 3 };

	leaf = leaves[k % 3];
	choose_and(k, commit);
	if (leaf == 3) {
		embed(k, 1);
		pass(&draft_cache, "draft", k, 1);
	}
}

/* Round k checks DRAFTS drafts and takes k of them, from none to all and again. */
static void check_chain(int k)
{
	rejected = DRAFTS - k % (DRAFTS + 1);
	choose_and(k, reject);
}

static void speculate(int rounds)
{
	sequence("vm.builtin.kv_state_add_sequence", &main_cache);
	sequence("vm.builtin.kv_state_add_sequence", &draft_cache);
	embed(0, PROMPT);
	pass(&main_cache, "prefill", 0, PROMPT);
	embed(0, PROMPT);
	pass(&draft_cache, "draft", 0, PROMPT);
	choose(0);
	for (int k = 0; k < rounds; k++) {
		for (int i = 0; i < DRAFTS; i++) {
			embed(k, 1);
			pass(&draft_cache, "draft", k, 1);
			choose(k);
		}
		embed(k, DRAFTS + 1);
		pass(&main_cache, "verify", k, DRAFTS + 1);
		if (is_tree) {
			check_tree(k);
		} else {
			check_chain(k);
		}
	}
	sequence("vm.builtin.kv_state_remove_sequence", &draft_cache);
	sequence("vm.builtin.kv_state_remove_sequence", &main_cache);
}

static void generate(int tokens)
{
	int rest = has_scopes; /* of the prompt: a piece that looks like a decode */

	sequence("vm.builtin.kv_state_add_sequence", &main_cache);
	embed(0, PROMPT - rest);
	pass(&main_cache, "prefill", 0, PROMPT - rest);
	if (rest > 0) {
		embed(0, rest);
		pass(&main_cache, "prefill", 0, rest);
	}
	choose(0);
	if (fails)
		failing_pass();
	for (int k = 1; k < tokens; k++) {
		embed(k, 1);
		pass(&main_cache, "decode", k, 1);
		choose(k);
	}
	sequence("vm.builtin.kv_state_remove_sequence", &main_cache);
}

int main(int argc, char **argv)
{
	int tokens = argc >= 3 ? atoi(argv[1]) : 0;
	char scope;

	truth = argc >= 3 ? fopen(argv[2], "w") : NULL;
	if (!truth)
		return 2;
	for (int i = 3; i < argc; i++) {
		fails |= strcmp(argv[i], "fail") == 0;
		is_tree |= strcmp(argv[i], "tree") == 0;
		drafts |= is_tree || strcmp(argv[i], "draft") == 0;
		has_scopes |= strcmp(argv[i], "scopes") == 0;
		is_gpu |= strcmp(argv[i], "gpu") == 0;
		if (strncmp(argv[i], "late=", 5) == 0 && !dlopen(argv[i] + 5, RTLD_NOW))
			return 3;
	}
	scope_begin(&scope, "Add request rather-private");
	scope_end(&scope);
	if (drafts) {
		speculate(tokens);
	} else {
		generate(tokens);
	}
	printf("answers %lld\n", (long long)answers);
	return fclose(truth) != 0;
}
