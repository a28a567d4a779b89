/* SPDX-License-Identifier: Apache-2.0 */
/* FLOPs and bytes: shapes and nbytes are those that llama.cpp v0.5.0 reports for SmolLM2-135M; products by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/cost.h"

#define SHAPE(t, a, b, c, d)                                                                       \
	{                                                                                          \
		t,                                                                                 \
		{                                                                                  \
			a, b, c, d                                                                 \
		}                                                                                  \
	}

static struct lmm_node cost(const char *op, struct lmm_tensor_shape out, uint64_t out_bytes,
			    const struct lmm_tensor_shape *src, const uint64_t *bytes, unsigned n)
{
	struct lmm_node node;

	memset(&node, 0xaa, sizeof(node));
	lmm_cost_node(op, &out, src, bytes, n, out_bytes, &node);
	return node;
}

static void assert_cost(struct lmm_node n, uint64_t flops, uint64_t rd, uint64_t wr)
{
	assert_int_equal(n.flops, flops);
	assert_int_equal(n.bytes_read, rd);
	assert_int_equal(n.bytes_written, wr);
	assert_int_equal(n.runs, 1);
}

static void test_products(void **state)
{
	/* Qcur: 576x576 q4_1 by 4 columns */
	const struct lmm_tensor_shape q[] = { SHAPE("q4_1", 576, 576, 1, 1),
					      SHAPE("f32", 576, 4, 1, 1) };
	const uint64_t qb[] = { 207360, 9216 };
	/* kq: 256 positions, 3 heads of keys for 9 of queries: broadcast */
	const struct lmm_tensor_shape kq[] = { SHAPE("f16", 64, 256, 3, 1),
					       SHAPE("f32", 64, 4, 9, 1) };
	const uint64_t kqb[] = { 98304, 9216 };
	/* 8 experts of which 2 are chosen for each of 3 tokens */
	const struct lmm_tensor_shape id[] = { SHAPE("f16", 64, 32, 8, 1),
					       SHAPE("f32", 64, 1, 3, 1),
					       SHAPE("i32", 2, 3, 1, 1) };
	const uint64_t idb[] = { 64 * 32 * 8 * 2, 64 * 3 * 4, 24 };
	const struct lmm_tensor_shape outer[] = { SHAPE("f32", 5, 7, 1, 1),
						  SHAPE("f32", 3, 7, 1, 1) };
	const uint64_t ob[] = { 140, 84 };

	(void)state;
	assert_cost(cost("MUL_MAT", (struct lmm_tensor_shape)SHAPE("f32", 576, 4, 1, 1), 9216, q,
			 qb, 2),
		    2ull * 576 * 576 * 4, 207360 + 9216, 9216);
	assert_cost(cost("MUL_MAT", (struct lmm_tensor_shape)SHAPE("f32", 256, 4, 9, 1), 36864, kq,
			 kqb, 2),
		    2ull * 64 * 256 * 4 * 9, 98304 + 9216, 36864);
	assert_cost(cost("MUL_MAT_ID", (struct lmm_tensor_shape)SHAPE("f32", 32, 2, 3, 1), 768, id,
			 idb, 3),
		    2ull * 64 * 32 * 2 * 3, 6 * 64 * 32 * 2 + 768 + 24, 768);
	assert_cost(cost("OUT_PROD", (struct lmm_tensor_shape)SHAPE("f32", 5, 3, 1, 1), 60, outer,
			 ob, 2),
		    2ull * 7 * 15, 224, 60);
}

static void test_attention(void **state)
{
	const struct lmm_tensor_shape s[] = { SHAPE("f32", 64, 4, 9, 1),
					      SHAPE("f16", 64, 256, 3, 1),
					      SHAPE("f16", 64, 256, 3, 1),
					      SHAPE("f16", 256, 4, 1, 1) };
	const uint64_t b[] = { 9216, 98304, 98304, 2048 };

	(void)state;
	/* scores and their sum: two products of 64 for each of 256 positions, 4 tokens, 9 heads */
	assert_cost(cost("FLASH_ATTN_EXT", (struct lmm_tensor_shape)SHAPE("f32", 64, 9, 4, 1), 9216,
			 s, b, 4),
		    2ull * (64 + 64) * 256 * 4 * 9, 9216 + 2 * 98304 + 2048, 9216);
}

static void test_rows(void **state)
{
	/* one row of 576 of the embedding, 18 blocks of 34 bytes */
	const struct lmm_tensor_shape g[] = { SHAPE("q8_0", 576, 49152, 1, 1),
					      SHAPE("i32", 1, 1, 1, 1) };
	const uint64_t gb[] = { 30081024, 4 };
	/* one row into a cache of 8192 */
	const struct lmm_tensor_shape w[] = { SHAPE("f32", 192, 1, 1, 1), SHAPE("i64", 1, 1, 1, 1),
					      SHAPE("f16", 192, 8192, 1, 1) };
	const uint64_t wb[] = { 768, 8, 3145728 };
	const struct lmm_tensor_shape c[] = { SHAPE("f32", 64, 9, 1, 1) };
	const uint64_t cb[] = { 2304 };

	(void)state;
	assert_cost(cost("GET_ROWS", (struct lmm_tensor_shape)SHAPE("f32", 576, 1, 1, 1), 2304, g,
			 gb, 2),
		    0, 612 + 4, 2304);
	assert_cost(cost("SET_ROWS", (struct lmm_tensor_shape)SHAPE("f16", 192, 8192, 1, 1),
			 3145728, w, wb, 3),
		    0, 776, 384);
	assert_cost(
		cost("CPY", (struct lmm_tensor_shape)SHAPE("f16", 576, 1, 1, 1), 1152, c, cb, 1), 0,
		2304, 1152);
}

static void test_elementwise(void **state)
{
	const struct lmm_tensor_shape s[] = { SHAPE("f32", 100, 2, 1, 1),
					      SHAPE("f32", 100, 1, 1, 1) };
	const uint64_t b[] = { 800, 400 };
	const struct lmm_tensor_shape out = SHAPE("f32", 100, 2, 1, 1);

	(void)state;
	assert_cost(cost("ADD", out, 800, s, b, 2), 200, 1200, 800);
	assert_cost(cost("RMS_NORM", out, 800, s, b, 1), 600, 800, 800);
	assert_cost(cost("SOFT_MAX", out, 800, s, b, 1), 1000, 800, 800);
	assert_cost(cost("ROPE", out, 800, s, b, 1), 600, 800, 800);
	assert_cost(cost("GLU", out, 800, s, b, 1), 1000, 800, 800);
	assert_cost(cost("SWIGLU", out, 800, s, b, 1), 1000, 800, 800);
	assert_cost(cost("SILU", out, 800, s, b, 1), 800, 800, 800);
	assert_cost(cost("SUM_ROWS", (struct lmm_tensor_shape)SHAPE("f32", 1, 2, 1, 1), 8, s, b, 1),
		    200, 800, 8);
	assert_cost(cost("NEVER_HEARD_OF", out, 800, s, b, 2), 0, 1200, 800);
}

static void test_views(void **state)
{
	static const char *const views[] = { "NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE" };
	const struct lmm_tensor_shape s[] = { SHAPE("f32", 8, 1, 1, 1) };
	const uint64_t b[] = { 32 };
	struct lmm_node n;

	(void)state;
	for (unsigned i = 0; i <= 5; i++) {
		/* the sixth is a product whose result is empty */
		n = cost(i < 5 ? views[i] : "MUL_MAT",
			 (struct lmm_tensor_shape)SHAPE("f32", 8, i < 5, 1, 1), 32, s, b, 1);
		assert_int_equal(n.runs, 0);
		assert_int_equal(n.flops + n.bytes_read + n.bytes_written, 0);
	}
}

/* A strided view spans more bytes than it selects; of an unknown type only the engine's figure is known. */
static void test_view_bytes(void **state)
{
	const struct lmm_tensor_shape s[] = { SHAPE("f16", 256, 64, 3, 1),
					      SHAPE("new9", 10, 1, 1, 1) };
	const uint64_t b[] = { 3129856, 77 };

	(void)state;
	assert_cost(
		cost("CONT", (struct lmm_tensor_shape)SHAPE("f16", 256, 64, 3, 1), 98304, s, b, 1),
		0, 98304, 98304);
	assert_cost(cost("CONT", (struct lmm_tensor_shape)SHAPE("f32", 10, 1, 1, 1), 40, s + 1,
			 b + 1, 1),
		    0, 77, 40);
	assert_int_equal(lmm_cost_type_bytes("q6_K", 512), 420);
	assert_int_equal(lmm_cost_type_bytes("q4_1", 576 * 1536), 552960);
	assert_int_equal(lmm_cost_type_bytes("new9", 512), 0);
}

static struct lmm_node streamer(const char *op, const char *weight, unsigned role, unsigned n,
				const struct lmm_tensor_shape *src, uint64_t bytes_read)
{
	struct lmm_node node = {
		.op = op, .weight = weight, .role = (uint8_t)role, .runs = 1, .n_src = (uint8_t)n
	};

	node.bytes_read = bytes_read;
	memcpy(node.src, src, n * sizeof(*src));
	return node;
}

static void assert_streams(struct lmm_node n, uint64_t weight, uint64_t cache, uint64_t positions)
{
	struct lmm_cost_streams s = lmm_cost_streams(&n);

	assert_int_equal(s.weight_bytes, weight);
	assert_int_equal(s.cache_bytes, cache);
	assert_int_equal(s.positions, positions);
}

/* What comes from memory for every token: weights and KV cache, not what operators hand each other. */
static void test_streams(void **state)
{
	const struct lmm_tensor_shape q[] = { SHAPE("q4_1", 576, 576, 1, 1),
					      SHAPE("f32", 576, 4, 1, 1) };
	/* 2 of 8 experts for each of 3 tokens: 6 × 64 × 32 × 2 bytes were read */
	const struct lmm_tensor_shape id[] = { SHAPE("f16", 64, 32, 8, 1),
					       SHAPE("f32", 64, 1, 3, 1),
					       SHAPE("i32", 2, 3, 1, 1) };
	const struct lmm_tensor_shape rows[] = { SHAPE("q8_0", 576, 49152, 1, 1),
						 SHAPE("i32", 4, 1, 1, 1) };
	const struct lmm_tensor_shape norm[] = { SHAPE("f32", 576, 4, 1, 1),
						 SHAPE("f32", 576, 1, 1, 1) };
	const struct lmm_tensor_shape fa[] = { SHAPE("f32", 64, 1, 9, 1),
					       SHAPE("f16", 64, 256, 3, 1),
					       SHAPE("f16", 64, 256, 3, 1),
					       SHAPE("f16", 256, 1, 1, 1) };
	const struct lmm_tensor_shape kq[] = { SHAPE("f16", 64, 256, 3, 1),
					       SHAPE("f32", 64, 4, 9, 1) };
	const struct lmm_tensor_shape odd[] = { SHAPE("new9", 576, 576, 1, 1),
						SHAPE("f32", 576, 1, 1, 1) };
	struct lmm_node view = streamer("VIEW", "", LMM_ROLE_OTHER, 2, q, 0);

	(void)state;
	assert_streams(
		streamer("MUL_MAT", "blk.0.attn_q.weight", LMM_ROLE_ATTENTION, 2, q, 207360 + 9216),
		207360, 0, 0);
	assert_streams(streamer("MUL_MAT_ID", "blk.0.ffn_up_exps.weight", LMM_ROLE_MLP, 3, id,
				24576 + 768 + 24),
		       24576, 0, 0);
	assert_streams(streamer("GET_ROWS", "token_embd.weight", LMM_ROLE_EMBEDDING, 2, rows,
				4 * 612 + 16),
		       4 * 612, 0, 0);
	assert_streams(streamer("MUL", "output_norm.weight", LMM_ROLE_NORM, 2, norm, 9216 + 2304),
		       2304, 0, 0);
	assert_streams(streamer("FLASH_ATTN_EXT", "", LMM_ROLE_ATTENTION, 4, fa, 201000), 0,
		       2 * 98304, 256);
	assert_streams(streamer("MUL_MAT", "", LMM_ROLE_ATTENTION, 2, kq, 98304 + 9216), 0, 98304,
		       0);
	/* a type that is not known here: the engine's own size counts */
	assert_streams(streamer("MUL_MAT", "output.weight", LMM_ROLE_LM_HEAD, 2, odd, 5000 + 2304),
		       5000, 0, 0);
	assert_streams(streamer("ADD", "", LMM_ROLE_OTHER, 2, norm, 11520), 0, 0, 0);
	view.runs = 0;
	assert_streams(view, 0, 0, 0);
}

static void test_hostile_shapes(void **state)
{
	const struct lmm_tensor_shape s[] = {
		SHAPE("f32", INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX),
		SHAPE("q4_K", -5, 7, 1, 1), SHAPE("f32", INT64_MIN, 0, 1, 1)
	};
	const uint64_t b[] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
	static const char *const ops[] = { "MUL_MAT",  "MUL_MAT_ID", "FLASH_ATTN_EXT",
					   "GET_ROWS", "SET_ROWS",   "CPY",
					   "OUT_PROD", "SUM",	     "ADD" };
	struct lmm_node n;

	(void)state;
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		for (unsigned k = 0; k <= 3; k++)
			(void)cost(ops[i], s[0], UINT64_MAX, s, b, k);
	n = cost("MUL_MAT", s[0], UINT64_MAX, s, b, 2);
	assert_true(n.flops == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_products),       cmocka_unit_test(test_attention),
		cmocka_unit_test(test_rows),	       cmocka_unit_test(test_elementwise),
		cmocka_unit_test(test_views),	       cmocka_unit_test(test_view_bytes),
		cmocka_unit_test(test_hostile_shapes), cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
