/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the CUDA layer: names, and which call and node a record belongs to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe/devices/cuda/window.h"

static void demangle_check(const char *mangled, const char *wanted)
{
	char name[192];

	lmm_cu_demangle(mangled, name, sizeof(name));
	assert_string_equal(name, wanted);
}

/* Names of llama.cpp's kernels, of CUTLASS, and what is none. */
static void test_names(void **state)
{
	(void)state;
	demangle_check("_Z12rms_norm_f32ILi1024EEvPKfPfi", "rms_norm_f32<1024>");
	demangle_check("_Z13mul_mat_vec_qIL9ggml_type2ELi1ELb0ELb0EEvPKvS2_PKiS4_Pfjjjj",
		       "mul_mat_vec_q<2, 1, false, false>");
	demangle_check("_Z11k_bin_bcastIXadL_ZL6op_addffEEfffEvv", "k_bin_bcast<…>");
	demangle_check("_ZN7cutlass7Kernel2I4gemmILi16EfEEEvNT_6ParamsE",
		       "cutlass::Kernel2<gemm<16, float>>");
	demangle_check("_ZN12_GLOBAL__N_14copyIfEEvPT_", "(anonymous)::copy<float>");
	demangle_check("_ZL8internalv", "internal");
	demangle_check("plain_c_name", "plain_c_name");
	demangle_check("_Z", "_Z");
	demangle_check("_Z99short", "_Z99short");
	demangle_check("_ZN", "_ZN");
	demangle_check("", "");
}

/* Whatever comes in, it ends, and within the room. */
static void test_names_of_any_kind(void **state)
{
	static const char letters[] = "_ZNILEPKSt0123456789abifv";
	uint32_t random = 1;
	char mangled[64], name[16];

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t n = 2 + round % 60;

		memcpy(mangled, "_Z", 2);
		for (size_t i = 2; i < n; i++) {
			random = random * 1664525u + 1013904223u;
			mangled[i] = letters[(random >> 16) % (sizeof(letters) - 1)];
		}
		mangled[n] = 0;
		memset(name, 'x', sizeof(name));
		lmm_cu_demangle(mangled, name, sizeof(name));
		assert_non_null(memchr(name, 0, sizeof(name)));
	}
}

/* ---- records ------------------------------------------------------------------------------------ */

enum { A = 40, B, C };

static struct lmm_cu_entry handed(uint32_t correlation, struct lmm_cu_graph *list)
{
	return (struct lmm_cu_entry){
		.is_handed = true,
		.call = { .correlation = { correlation, 0 },
			  .graph = 7,
			  .node = 3,
			  .list = list,
			  .kind = list ? LMM_KERNEL_COMMAND_BUFFER : LMM_KERNEL_PROGRAM },
	};
}

static struct lmm_cu_record record(uint64_t start, uint32_t correlation, uint32_t kernel,
				   uint64_t node)
{
	return (struct lmm_cu_record){ .start = start,
				       .end = start + 5,
				       .correlation = correlation,
				       .kernel = kernel,
				       .node = node,
				       .kind = LMM_KERNEL_PROGRAM };
}

static struct lmm_cu_node nodes[] = {
	{ A, 9, 100, LMM_KERNEL_PROGRAM },
	{ B, 9, 101, LMM_KERNEL_PROGRAM },
	{ B, 9, 102, LMM_KERNEL_PROGRAM },
	{ C, 9, 103, LMM_KERNEL_PROGRAM },
};
static struct lmm_cu_graph graph = { .n = 4, .nodes = nodes };

/* By the very number, by the runtime's that lies one below, or not at all. */
static void test_calls(void **state)
{
	struct lmm_cu_entry e[] = { handed(10, NULL), handed(12, NULL), handed(14, NULL) };
	struct lmm_cu_record r[] = { record(30, 12, A, 0), record(10, 9, A, 0),
				     record(20, 14, B, 0), record(40, 99, B, 0),
				     record(50, 0, B, 0) };

	(void)state;
	e[2].is_handed = false;
	lmm_cu_match(r, 5, e, 3);
	/* in order of time now */
	assert_int_equal(r[0].start, 10);
	assert_int_equal(r[0].entry, 1);
	assert_int_equal(r[1].entry, 0); /* that call failed */
	assert_int_equal(r[2].entry, 2);
	assert_int_equal(r[2].tag_node, 3);
	assert_int_equal(r[2].tag_graph, 7);
	assert_int_equal(r[3].entry, 0);
	assert_int_equal(r[4].entry, 0);
	assert_int_equal(e[0].seen + e[1].seen, 2);
	assert_int_equal(e[2].seen, 0);
}

/* A record of a call that is not there is not the next one's, which has its own. */
static void test_calls_side_by_side(void **state)
{
	struct lmm_cu_entry e[] = { handed(10, NULL), handed(21, NULL) };
	struct lmm_cu_record r[] = { record(1, 9, A, 0), record(2, 10, A, 0), record(3, 20, A, 0) };

	(void)state;
	lmm_cu_match(r, 3, e, 2);
	assert_int_equal(r[0].entry, 0);
	assert_int_equal(r[1].entry, 1);
	assert_int_equal(r[2].entry, 2);
}

/* A whole launch: in the order of the nodes' numbers, though two branches ran side by side. */
static void test_graph(void **state)
{
	struct lmm_cu_entry e[] = { handed(10, &graph), handed(20, &graph) };
	struct lmm_cu_record r[] = { record(3, 10, C, 504), record(1, 10, A, 501),
				     record(4, 10, B, 502), record(2, 10, B, 503),
				     record(9, 20, C, 504), record(8, 20, B, 503),
				     record(7, 20, B, 502), record(6, 20, A, 501) };

	(void)state;
	lmm_cu_match(r, 8, e, 2);
	assert_int_equal(r[0].tag_node, 100); /* at 1 */
	assert_int_equal(r[1].tag_node, 102); /* at 2 */
	assert_int_equal(r[2].tag_node, 103);
	assert_int_equal(r[3].tag_node, 101);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(r[4 + i].tag_node, 100 + i);
	assert_int_equal(e[0].seen, 4);
	assert_int_equal(e[1].seen, 4);
}

/* Names that are not known (an old runtime): by order and kind, if none is missing. */
static void test_graph_without_names(void **state)
{
	struct lmm_cu_entry e[] = { handed(10, &graph) };
	struct lmm_cu_record r[] = { record(1, 10, 900, 1), record(2, 10, 901, 2),
				     record(3, 10, 902, 3), record(4, 10, 903, 4) };

	(void)state;
	lmm_cu_match(r, 4, e, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(r[i].tag_node, 100 + i);
}

/* One record is lost, one is of a kernel that was captured unseen: the others keep their nodes. */
static void test_graph_with_holes(void **state)
{
	struct lmm_cu_entry e[] = { handed(10, &graph) };
	struct lmm_cu_record r[] = { record(1, 10, A, 1), record(2, 10, 77, 2),
				     record(4, 10, C, 4) };

	(void)state;
	lmm_cu_match(r, 3, e, 1);
	assert_int_equal(r[0].tag_node, 100);
	assert_int_equal(r[1].tag_node, LMM_NODE_UNKNOWN);
	assert_int_equal(r[2].tag_node, 103);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_of_any_kind),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_calls_side_by_side),
		cmocka_unit_test(test_graph),
		cmocka_unit_test(test_graph_without_names),
		cmocka_unit_test(test_graph_with_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
