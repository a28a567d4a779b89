/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: what is said once, not per event. They go through a file of their own, append-only and loss-free.
 * Each is framed {uint32 payload bytes, uint32 kind} and its payload is made of varints and strings (base/bytes.h).
 *
 *	ENGINE	name, version, door
 *	MODEL	name, description, architecture, file, varints: size_bytes parameters layers vocabulary embedding
 *	REASON	varint level, text
 *	GRAPH	varints: graph, n_tokens, n_nodes; then per node:
 *		  varint address of the node less that of node 0, zigzag
 *		  op, name, type, varint ne[4], varint nbytes, varint flags (1: the engine computes it)
 *		  varint n_src; per source: varint node index + 1, or 0 and then name, type, varint ne[4], varint nbytes
 *	KERNEL	varint kernel, name, device, varint kind, varint program_hash
 *	QUEUE	varint queue, device, varints: ticks_per_second device_number out_of_order
 *	NAME	varint number, text
 *	PATTERN	varints: pattern, n; then per command: kernel node amount (collect/patterns.h)
 *
 * Strings that repeat within a GRAPH are written once: a string is varint 0 + the string, or varint k: the k-th of
 * this graph (from 1).
 */
#ifndef LMM_WIRE_DESC_H
#define LMM_WIRE_DESC_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "lmmeter/trace.h"

enum lmm_desc_kind {
	LMM_DESC_ENGINE = 1,
	LMM_DESC_MODEL = 2,
	LMM_DESC_REASON = 3,
	LMM_DESC_GRAPH = 4,
	LMM_DESC_KERNEL = 5,
	LMM_DESC_QUEUE = 6,
	LMM_DESC_NAME = 7,
	LMM_DESC_PATTERN = 8,
};

#define LMM_DESC_BYTES_MAX (16u << 20) /* of one payload */
#define LMM_DESC_NODES_MAX 65536u
#define LMM_DESC_STR_MAX   4096u

/* Commands of a PATTERN, and how many patterns of a process are known: number k is forgotten when k + LMM_DESC_PATTERNS comes. Whoever
 * writes them uses the newest half of these alone, as descriptors are read before events that are older than they. */
#define LMM_DESC_PATTERN_COMMANDS_MAX 512u
#define LMM_DESC_PATTERNS	      4096u

/* Strings of a GRAPH, numbered while it is written or read. */
struct lmm_desc_strings {
	const char **s;
	uint32_t n;
	uint32_t cap;
	struct {
		const char *s;
		uint32_t number;
	} recent[64]; /* by address: operators and types are few and static, names hardly repeat */
};

void lmm_desc_strings_free(struct lmm_desc_strings *t);
/* Pointers must stay valid while the table is used. A string is found again by its address: a miss only costs bytes. */
void lmm_desc_put_string(struct lmm_buf *b, struct lmm_desc_strings *t, const char *s);

/* A GRAPH, read: the node items own nothing, strings lie in `arena`. */
struct lmm_desc_graph {
	struct lmm_graph graph; /* nodes as lmm_item wants them, with roles and costs assigned */
	int64_t *offset;	/* address of node i less that of node 0 */
	struct lmm_node *nodes;
	char *arena;
};

/* Reads and completes a GRAPH payload. 0, LMM_E_CORRUPT, LMM_E_LIMIT or -ENOMEM; *out is to be freed on 0. */
int lmm_desc_graph_read(const void *payload, size_t bytes, struct lmm_desc_graph *out);
void lmm_desc_graph_free(struct lmm_desc_graph *g);

/* Reads any other payload into an item; strings go to arena (LMM_DESC_STR_MAX * 4 bytes). 0 or LMM_E_CORRUPT. */
#define LMM_DESC_ARENA_BYTES (LMM_DESC_STR_MAX * 4u + 16u)
int lmm_desc_item_read(uint32_t kind, const void *payload, size_t bytes, char *arena,
		       struct lmm_item *out);

#endif
