/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/desc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "wire/cost.h"
#include "wire/roles.h"

/* ---- strings ------------------------------------------------------------------------------------ */

void lmm_desc_strings_free(struct lmm_desc_strings *t)
{
	free((void *)t->s);
	memset(t, 0, sizeof(*t));
}

static int strings_add(struct lmm_desc_strings *t, const char *s)
{
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;
		const char **more = realloc((void *)t->s, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->s = more;
		t->cap = cap;
	}
	t->s[t->n++] = s;
	return 0;
}

void lmm_desc_put_string(struct lmm_buf *b, struct lmm_desc_strings *t, const char *s)
{
	unsigned slot =
		(unsigned)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)s) % LMM_ARRAY_SIZE(t->recent);

	if (t->recent[slot].s == s) {
		lmm_buf_put_varint(b, t->recent[slot].number);
		return;
	}
	lmm_buf_put_varint(b, 0);
	lmm_buf_put_str(b, s);
	t->recent[slot].s = s;
	t->recent[slot].number = ++t->n;
}

/* ---- reading a graph ---------------------------------------------------------------------------- */

struct graph_reader {
	struct lmm_cur c;
	struct lmm_desc_strings strings;
	char *arena;
	size_t used, cap;
	int rc;
};

static const char *get_string(struct graph_reader *r)
{
	uint64_t k = lmm_cur_varint(&r->c);
	const char *s;
	char *copy;
	size_t n;

	if (k) {
		if (k > r->strings.n) {
			r->c.bad = 1;
			return "";
		}
		return r->strings.s[k - 1];
	}
	s = lmm_cur_str(&r->c, LMM_DESC_STR_MAX, &n);
	if (r->c.bad || n + 1 > r->cap - r->used) {
		r->c.bad = 1;
		return "";
	}
	copy = r->arena + r->used;
	memcpy(copy, s, n);
	copy[n] = 0;
	r->used += n + 1;
	if (strings_add(&r->strings, copy))
		r->rc = -ENOMEM;
	return copy;
}

struct tensor {
	const char *name;
	struct lmm_tensor_shape shape;
	uint64_t nbytes;
};

static void get_tensor(struct graph_reader *r, struct tensor *t)
{
	t->name = get_string(r);
	t->shape.type = get_string(r);
	for (int i = 0; i < 4; i++)
		t->shape.ne[i] = (int64_t)lmm_cur_varint(&r->c);
	t->nbytes = lmm_cur_varint(&r->c);
}

static void get_source(struct graph_reader *r, const struct tensor *all, uint32_t n,
		       struct tensor *t)
{
	uint64_t k = lmm_cur_varint(&r->c);

	memset(t, 0, sizeof(*t));
	t->name = t->shape.type = "";
	if (k == UINT32_MAX)
		return;
	if (k == 0) {
		get_tensor(r, t);
	} else if (k <= n) {
		*t = all[k - 1];
	}
	/* else: a node that comes later in the graph; nothing is known of it yet */
}

static void get_node(struct graph_reader *r, struct tensor *all, uint32_t i,
		     struct lmm_desc_graph *out)
{
	struct lmm_node *node = &out->nodes[i];
	struct lmm_tensor_shape shape[LMM_NODE_SRC_MAX];
	uint64_t nbytes[LMM_NODE_SRC_MAX];
	uint64_t n_src, runs;

	out->offset[i] = lmm_cur_zigzag(&r->c);
	node->op = get_string(r);
	get_tensor(r, &all[i]);
	node->name = all[i].name;
	node->out = all[i].shape;
	node->weight = "";
	runs = lmm_cur_varint(&r->c);
	n_src = lmm_cur_varint(&r->c);
	if (n_src > 64)
		r->c.bad = 1;
	for (uint64_t k = 0; k < n_src && !r->c.bad; k++) {
		struct tensor s;

		get_source(r, all, i, &s);
		if (k >= LMM_NODE_SRC_MAX)
			continue;
		shape[k] = node->src[k] = s.shape;
		nbytes[k] = s.nbytes;
		node->n_src = (uint8_t)(k + 1);
		if (!node->weight[0] && lmm_roles_is_weight(s.name))
			node->weight = s.name;
	}
	if (r->c.bad)
		return;
	lmm_cost_node(node->op, &node->out, shape, nbytes, node->n_src, all[i].nbytes, node);
	node->runs = node->runs && runs;
}

static int graph_read(struct graph_reader *r, struct lmm_desc_graph *out)
{
	uint64_t graph = lmm_cur_varint(&r->c);
	uint64_t n_tokens = lmm_cur_varint(&r->c);
	uint64_t n = lmm_cur_varint(&r->c);
	struct tensor *all;

	if (r->c.bad || graph > UINT32_MAX || n_tokens > UINT32_MAX)
		return LMM_E_CORRUPT;
	/* a node takes at least 16 bytes: an honest count is bounded by the payload */
	if (n > LMM_DESC_NODES_MAX || n > lmm_cur_left(&r->c) / 8)
		return LMM_E_LIMIT;
	out->offset = calloc(n ? n : 1, sizeof(*out->offset));
	out->nodes = calloc(n ? n : 1, sizeof(*out->nodes));
	all = calloc(n ? n : 1, sizeof(*all));
	if (!out->offset || !out->nodes || !all) {
		free(all);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n && !r->c.bad; i++)
		get_node(r, all, i, out);
	free(all);
	if (r->c.bad)
		return LMM_E_CORRUPT;
	lmm_roles_assign(out->nodes, (uint32_t)n);
	out->graph.graph = (uint32_t)graph;
	out->graph.n_tokens = (uint32_t)n_tokens;
	out->graph.n_nodes = (uint32_t)n;
	out->graph.nodes = out->nodes;
	return r->rc;
}

int lmm_desc_graph_read(const void *payload, size_t bytes, struct lmm_desc_graph *out)
{
	struct graph_reader r = { .c = lmm_cur_make(payload, bytes) };
	int rc;

	memset(out, 0, sizeof(*out));
	/* every string of the payload once, with its NUL in place of its length */
	r.cap = bytes + 16;
	r.arena = out->arena = malloc(r.cap);
	rc = r.arena ? graph_read(&r, out) : -ENOMEM;
	lmm_desc_strings_free(&r.strings);
	if (rc)
		lmm_desc_graph_free(out);
	return rc;
}

void lmm_desc_graph_free(struct lmm_desc_graph *g)
{
	free(g->offset);
	free(g->nodes);
	free(g->arena);
	memset(g, 0, sizeof(*g));
}

/* ---- reading the rest --------------------------------------------------------------------------- */

struct item_reader {
	struct lmm_cur c;
	char *arena;
	size_t used;
};

static const char *item_string(struct item_reader *r)
{
	size_t n, left = LMM_DESC_ARENA_BYTES - r->used;
	const char *s = lmm_cur_str(&r->c, LMM_DESC_STR_MAX - 1, &n);
	char *copy = r->arena + r->used;

	if (r->c.bad || n + 1 > left) {
		r->c.bad = 1;
		return "";
	}
	memcpy(copy, s, n);
	copy[n] = 0;
	r->used += n + 1;
	return copy;
}

static void read_model(struct item_reader *r, struct lmm_model *m)
{
	m->name = item_string(r);
	m->description = item_string(r);
	m->architecture = item_string(r);
	m->file = item_string(r);
	m->size_bytes = lmm_cur_varint(&r->c);
	m->parameters = lmm_cur_varint(&r->c);
	m->layers = (uint32_t)lmm_cur_varint(&r->c);
	m->vocabulary = (uint32_t)lmm_cur_varint(&r->c);
	m->embedding = (uint32_t)lmm_cur_varint(&r->c);
	/* "llama 135M Q4_1": the engine says the quantization last */
	m->quantization = strrchr(m->description, ' ') ? strrchr(m->description, ' ') + 1 : "";
}

int lmm_desc_item_read(uint32_t kind, const void *payload, size_t bytes, char *arena,
		       struct lmm_item *out)
{
	struct item_reader r = { .c = lmm_cur_make(payload, bytes), .arena = arena };

	memset(out, 0, sizeof(*out));
	switch (kind) {
	case LMM_DESC_ENGINE:
		out->kind = LMM_ITEM_PROCESS;
		out->process.engine_name = item_string(&r);
		out->process.engine_version = item_string(&r);
		out->process.door = item_string(&r);
		break;
	case LMM_DESC_MODEL:
		out->kind = LMM_ITEM_MODEL;
		read_model(&r, &out->model);
		break;
	case LMM_DESC_REASON:
		out->kind = LMM_ITEM_REASON;
		out->reason.level = (uint8_t)lmm_cur_varint(&r.c);
		out->reason.text = item_string(&r);
		break;
	case LMM_DESC_KERNEL:
		out->kind = LMM_ITEM_KERNEL;
		out->kernel.kernel = (uint32_t)lmm_cur_varint(&r.c);
		out->kernel.name = item_string(&r);
		out->kernel.device = item_string(&r);
		out->kernel.kind = (uint8_t)lmm_cur_varint(&r.c);
		out->kernel.program_hash = lmm_cur_varint(&r.c);
		break;
	case LMM_DESC_QUEUE:
		out->kind = LMM_ITEM_QUEUE;
		out->queue.queue = (uint16_t)lmm_cur_varint(&r.c);
		out->queue.device = item_string(&r);
		out->queue.ticks_per_second = lmm_cur_varint(&r.c);
		out->queue.device_number = (uint32_t)lmm_cur_varint(&r.c);
		out->queue.out_of_order = (uint8_t)lmm_cur_varint(&r.c);
		break;
	case LMM_DESC_NAME:
		out->kind = LMM_ITEM_NAME;
		out->name.number = (uint32_t)lmm_cur_varint(&r.c);
		out->name.text = item_string(&r);
		break;
	default:
		return LMM_E_CORRUPT;
	}
	return r.c.bad ? LMM_E_CORRUPT : 0;
}
