/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a graph node is there for, told from names as llama.cpp gives them.
 *
 * Layer: "blk.N." of the weight, else the "-N" at the end of the tensor's name, else "cache_k_lN", else (unnamed nodes
 * only) the layer of the neighbours. -1 where there is none.
 *
 * Role, by block: NORM is every normalisation with its scale and shift, wherever it stands (a per-head norm of Q or K
 * too). ATTENTION is what else lies between attn_norm and ffn_norm: projections, rope, cache writes, scores, softmax
 * and the residual add behind it ("ffn_inp"). MLP is the feed-forward block with its gates, experts and routers, and
 * the residual add behind it ("l_out"). EMBEDDING takes rows of token_embd.weight and scales them; LM_HEAD is the
 * product with output.weight (or token_embd.weight where both are tied). Recurrent mixers (ssm, rwkv) are OTHER. A
 * node that nothing is known of takes the role of the one before it in its layer.
 */
#ifndef LMM_WIRE_ROLES_H
#define LMM_WIRE_ROLES_H

#include <stddef.h>
#include <stdint.h>

#include "lmmeter/trace.h"

#define LMM_BASE_NAME_MAX 64

/* Fills role and layer of every node from op, name and weight of all. */
void lmm_roles_assign(struct lmm_node *nodes, uint32_t n);

/* 1 if a tensor of this name is a weight (as against an input or a cache). */
int lmm_roles_is_weight(const char *tensor_name);

/*
 * The name that a node shares with its like in other layers: "Qcur-3 (view)" -> "Qcur", "cache_k_l3 (view)" ->
 * "cache_k", "node_21" of FLASH_ATTN_EXT -> "flash_attn_ext". Always NUL-terminated.
 */
void lmm_roles_base_name(const struct lmm_node *node, char out[LMM_BASE_NAME_MAX]);

#endif
