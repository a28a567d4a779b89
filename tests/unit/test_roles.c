/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles, layers and base names. tests/unit/data/graph_*.txt hold operator, tensor and weight names of graphs that llama.cpp
 * v0.5.0 built for SmolLM2-135M (prefill; layers 0, 1, 28, 29): with and without flash attention.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/roles.h"

#define NODES_MAX 256

struct names {
	struct lmm_node nodes[NODES_MAX];
	char lines[NODES_MAX][160];
	uint32_t n;
};

static void names_read(struct names *x, const char *path)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	memset(x, 0, sizeof(*x));
	while (x->n < NODES_MAX && fgets(x->lines[x->n], sizeof(x->lines[0]), f)) {
		struct lmm_node *n = &x->nodes[x->n];
		char *s = x->lines[x->n++];

		s[strcspn(s, "\n")] = '\0';
		n->op = s;
		s += strcspn(s, "\t");
		*s++ = '\0';
		n->name = s;
		s += strcspn(s, "\t");
		*s++ = '\0';
		n->weight = s;
	}
	fclose(f);
	assert_true(x->n > 100);
}

/*
 * What must come out follows from how a block is built, in this order: norm and its scale, attention up to the residual
 * add ffn_inp, norm and its scale, feed-forward up to the residual add l_out.
 */
static void check_blocks(const char *path)
{
	static const int32_t layers[] = { 0, 1, 28, 29 };
	struct names x;
	uint32_t at = 1;

	names_read(&x, path);
	lmm_roles_assign(x.nodes, x.n);
	assert_int_equal(x.nodes[0].role, LMM_ROLE_EMBEDDING);
	assert_int_equal(x.nodes[0].layer, -1);
	for (unsigned l = 0; l < 4; l++) {
		static const struct {
			const char *last;
			uint8_t role;
		} parts[] = { { "attn_norm-", LMM_ROLE_NORM },
			      { "ffn_inp-", LMM_ROLE_ATTENTION },
			      { "ffn_norm-", LMM_ROLE_NORM },
			      { "l_out-", LMM_ROLE_MLP } };

		for (unsigned i = 0; i < 4; i++) {
			int is_last = 0;

			for (; !is_last && at < x.n; at++) {
				const struct lmm_node *n = &x.nodes[at];

				if (n->role != parts[i].role || n->layer != layers[l])
					fail_msg("%s %s: role %u, layer %d", n->op, n->name,
						 n->role, n->layer);
				is_last =
					strncmp(n->name, parts[i].last, strlen(parts[i].last)) == 0;
			}
			assert_true(is_last);
		}
	}
	assert_int_equal(at, x.n - 3);
	for (uint32_t i = at; i < x.n; i++)
		assert_int_equal(x.nodes[i].layer, -1);
	assert_int_equal(x.nodes[at].role, LMM_ROLE_NORM);
	assert_int_equal(x.nodes[at + 1].role, LMM_ROLE_NORM);
	/* embedding and output are one matrix here: the operator tells them apart */
	assert_string_equal(x.nodes[at + 2].weight, "token_embd.weight");
	assert_int_equal(x.nodes[at + 2].role, LMM_ROLE_LM_HEAD);
}

static void test_real_graphs(void **state)
{
	(void)state;
	check_blocks("tests/unit/data/graph_flash.txt");
	check_blocks("tests/unit/data/graph_plain.txt");
}

struct expected {
	const char *op, *name, *weight;
	int32_t layer;
	uint8_t role;
	const char *base;
};

static void check_table(const struct expected *x, uint32_t n)
{
	struct lmm_node nodes[64];

	assert_true(n <= 64);
	memset(nodes, 0, sizeof(nodes));
	for (uint32_t i = 0; i < n; i++) {
		nodes[i].op = x[i].op;
		nodes[i].name = x[i].name;
		nodes[i].weight = x[i].weight;
	}
	lmm_roles_assign(nodes, n);
	for (uint32_t i = 0; i < n; i++) {
		char base[LMM_BASE_NAME_MAX];

		lmm_roles_base_name(&nodes[i], base);
		if (nodes[i].role != x[i].role || nodes[i].layer != x[i].layer ||
		    strcmp(base, x[i].base) != 0)
			fail_msg("%s: role %u, layer %d, base %s", x[i].name, nodes[i].role,
				 nodes[i].layer, base);
	}
}

/* A mixture of experts with biases and per-head norms, as names stand in the sources of llama.cpp's models. */
static void test_experts(void **state)
{
	static const struct expected x[] = {
		{ "GET_ROWS", "embd", "token_embd.weight", -1, LMM_ROLE_EMBEDDING, "embd" },
		{ "SCALE", "inp_scaled", "", -1, LMM_ROLE_EMBEDDING, "inp_scaled" },
		{ "CONT", "node_2", "", -1, LMM_ROLE_EMBEDDING, "cont" },
		{ "RMS_NORM", "norm-0", "", 0, LMM_ROLE_NORM, "norm" },
		{ "MUL", "attn_norm-0", "blk.0.attn_norm.weight", 0, LMM_ROLE_NORM, "attn_norm" },
		{ "MUL_MAT", "node_5", "blk.0.attn_q.weight", 0, LMM_ROLE_ATTENTION, "mul_mat" },
		{ "ADD", "Qcur-0", "blk.0.attn_q.bias", 0, LMM_ROLE_ATTENTION, "Qcur" },
		{ "RMS_NORM", "norm-0", "", 0, LMM_ROLE_NORM, "norm" },
		{ "MUL", "Qcur_normed-0", "blk.0.attn_q_norm.weight", 0, LMM_ROLE_NORM,
		  "Qcur_normed" },
		{ "ROPE", "Qcur-post-rope-0", "", 0, LMM_ROLE_ATTENTION, "Qcur-post-rope" },
		{ "SET_ROWS", "cache_k_l0 (view)", "", 0, LMM_ROLE_ATTENTION, "cache_k" },
		{ "CPY", " (view)", "", 0, LMM_ROLE_ATTENTION, "cpy" },
		{ "FLASH_ATTN_EXT", "node_12", "", 0, LMM_ROLE_ATTENTION, "flash_attn_ext" },
		{ "MUL_MAT", "attn_out-0", "blk.0.attn_output.weight", 0, LMM_ROLE_ATTENTION,
		  "attn_out" },
		{ "ADD", "ffn_inp-0", "", 0, LMM_ROLE_ATTENTION, "ffn_inp" },
		{ "RMS_NORM", "norm-0", "", 0, LMM_ROLE_NORM, "norm" },
		{ "MUL", "ffn_norm-0", "blk.0.ffn_norm.weight", 0, LMM_ROLE_NORM, "ffn_norm" },
		{ "MUL_MAT", "ffn_moe_logits-0", "blk.0.ffn_gate_inp.weight", 0, LMM_ROLE_MLP,
		  "ffn_moe_logits" },
		{ "SOFT_MAX", "ffn_moe_probs-0", "", 0, LMM_ROLE_MLP, "ffn_moe_probs" },
		{ "ARGSORT", "ffn_moe_argsort-0", "", 0, LMM_ROLE_MLP, "ffn_moe_argsort" },
		{ "GET_ROWS", "ffn_moe_weights-0", "", 0, LMM_ROLE_MLP, "ffn_moe_weights" },
		{ "DIV", "ffn_moe_weights_norm-0", "", 0, LMM_ROLE_MLP, "ffn_moe_weights_norm" },
		{ "MUL_MAT_ID", "ffn_moe_gate-0", "blk.0.ffn_gate_exps.weight", 0, LMM_ROLE_MLP,
		  "ffn_moe_gate" },
		{ "MUL_MAT_ID", "node_30", "", 0, LMM_ROLE_MLP, "mul_mat_id" },
		{ "ADD", "l_out-0", "", 0, LMM_ROLE_MLP, "l_out" },
		{ "CONT", "node_33", "", 1, LMM_ROLE_NORM, "cont" }, /* for the norm behind it */
		{ "RMS_NORM", "norm-1", "", 1, LMM_ROLE_NORM, "norm" },
		{ "SSM_SCAN", "mamba_ssm_scan-1", "blk.1.ssm_a", 1, LMM_ROLE_OTHER,
		  "mamba_ssm_scan" },
		{ "RMS_NORM", "norm", "", -1, LMM_ROLE_NORM, "norm" },
		{ "MUL", "result_norm", "output_norm.weight", -1, LMM_ROLE_NORM, "result_norm" },
		{ "MUL_MAT", "result_output", "output.weight", -1, LMM_ROLE_LM_HEAD,
		  "result_output" },
		{ "SCALE", "node_40", "", -1, LMM_ROLE_LM_HEAD, "scale" },
		{ "SOFT_MAX", "dist_probs", "", -1, LMM_ROLE_OTHER, "dist_probs" },
	};

	(void)state;
	check_table(x, sizeof(x) / sizeof(x[0]));
}

/* Names that mean nothing, or too much. */
static void test_odd_names(void **state)
{
	static const struct expected x[] = {
		{ "ADD", "", "", -1, LMM_ROLE_OTHER, "add" },
		{ "ADD", "-", "", -1, LMM_ROLE_OTHER, "-" },
		{ "ADD", "-7", "", -1, LMM_ROLE_OTHER, "-7" },
		{ "ADD", "x-99999999999", "", -1, LMM_ROLE_OTHER, "x-99999999999" },
		{ "ADD", "x-70000", "", -1, LMM_ROLE_OTHER, "x-70000" },
		{ "ADD", "node_", "", -1, LMM_ROLE_OTHER, "node_" },
		{ "ADD", "weird", "blk..attn_q.weight", -1, LMM_ROLE_OTHER, "weird" },
		{ "ADD", "weird", "blk.99999999.attn_q.weight", -1, LMM_ROLE_OTHER, "weird" },
		{ "ADD", "0123456789012345678901234567890123456789012345678901234567890123456789",
		  "", -1, LMM_ROLE_OTHER,
		  "012345678901234567890123456789012345678901234567890123456789012" },
	};

	(void)state;
	check_table(x, sizeof(x) / sizeof(x[0]));
	lmm_roles_assign(NULL, 0);
}

static void test_is_weight(void **state)
{
	(void)state;
	assert_true(lmm_roles_is_weight("token_embd.weight"));
	assert_true(lmm_roles_is_weight("blk.3.attn_q.bias"));
	assert_true(lmm_roles_is_weight("blk.3.ssm_a"));
	assert_false(lmm_roles_is_weight("inp_pos"));
	assert_false(lmm_roles_is_weight("cache_k_l3"));
	assert_false(lmm_roles_is_weight(".weight"));
	assert_false(lmm_roles_is_weight(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_graphs),
		cmocka_unit_test(test_experts),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_is_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
