/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FLOPs and bytes of a graph node from its shapes: what the mathematics needs, not what a cache or an implementation
 * makes of it. E(x) is the number of elements of x, B(x) the bytes of its elements (a strided view counts only what it
 * selects), ne0 the innermost dimension.
 *
 *	op                             FLOPs                        bytes read                    written
 *	MUL_MAT(w, x)                  2 ne0(w) E(out)              B(w) + B(x)                   B(out)
 *	MUL_MAT_ID(w, x, ids)          2 ne0(w) E(out)              min(experts, E(ids)) experts  B(out)
 *	                                                            + B(x) + B(ids)
 *	OUT_PROD(a, b)                 2 ne1(a) E(out)              B(a) + B(b)                   B(out)
 *	FLASH_ATTN_EXT(q, k, v, …)     2 (ne0(k) + ne0(v)) ne1(k)   all sources                   B(out)
 *	                               ne1(q) ne2(q) ne3(q)
 *	GET_ROWS(a, ids)               0                            E(out) elements of a + B(ids) B(out)
 *	SET_ROWS(x, ids, into)         0                            B(x) + B(ids)                 E(x) elements of out
 *	CPY(x, into), CONT, DUP        0                            B(x)                          B(out)
 *	SOFT_MAX                       5 E(out)                     all sources                   B(out)
 *	NORM, GROUP_NORM               5 E(out)                     all sources                   B(out)
 *	RMS_NORM, L2_NORM              3 E(out)                     all sources                   B(out)
 *	ROPE                           3 E(out)                     all sources                   B(out)
 *	ADD SUB MUL DIV ADD1 ADD_ID    1 E(out)                     all sources                   B(out)
 *	SCALE SQR SQRT CLAMP LOG …,    1 E(out)                     all sources                   B(out)
 *	RELU ABS NEG STEP SGN
 *	other unary (SILU, GELU, …)    4 E(out)                     all sources                   B(out)
 *	GLU (SWIGLU, GEGLU, …)         5 E(out) (RELU: 2)           all sources                   B(out)
 *	SUM, SUM_ROWS, MEAN, CUMSUM    1 E(x)                       all sources                   B(out)
 *	any other                      0 (not known)                all sources                   B(out)
 *
 * Broadcasting is in E(out): every output element costs one product of length ne0(w). Attention counts every position of
 * the cache that the graph looks at, masked ones too (ggml's CPU backend skips those: an upper bound there). Views (NONE, RESHAPE, VIEW, PERMUTE, TRANSPOSE)
 * and empty tensors move nothing: all 0, runs = 0. Sums saturate.
 */
#ifndef LMM_WIRE_COST_H
#define LMM_WIRE_COST_H

#include "lmmeter/trace.h"

/*
 * Fills bytes_read, bytes_written, flops and runs of *into. op: as ggml_op_name() or ggml_op_desc() says. src and
 * src_nbytes have n_src entries; *_nbytes are the engine's own sizes and are used where a type is not known.
 */
void lmm_cost_node(const char *op, const struct lmm_tensor_shape *out,
		   const struct lmm_tensor_shape *src, const uint64_t *src_nbytes, unsigned n_src,
		   uint64_t out_nbytes, struct lmm_node *into);

/*
 * The part of a node's bytes_read that comes from memory anew for every token: its weight, or the KV cache that attention reads
 * (FLASH_ATTN_EXT's k and v; the first source of a product of attention that has no weight). positions: of the cache that
 * FLASH_ATTN_EXT looks at, which are more than are filled; 0 elsewhere.
 */
struct lmm_cost_streams {
	uint64_t weight_bytes, cache_bytes, positions;
};

struct lmm_cost_streams lmm_cost_streams(const struct lmm_node *n);

/* Bytes of n elements of a type, 0 if the type is not known. */
uint64_t lmm_cost_type_bytes(const char *type, uint64_t n);

#endif
