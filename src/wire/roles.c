/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/roles.h"

#include <string.h>

#include "base/compiler.h"

#define ROLE_OPEN 0xffu /* not decided yet */
#define LAYER_MAX 65535

struct rule {
	const char *text;
	uint8_t exact; /* 1: the whole name; 0: its beginning */
	uint8_t role;
};

/* First match wins. */
static const struct rule name_rules[] = {
	{ "layer_rest", 0,
	  LMM_ROLE_OTHER }, /* of engines that tell nothing of a layer but its attention */
	{ "result_output", 0, LMM_ROLE_LM_HEAD },
	{ "lmhead", 0, LMM_ROLE_LM_HEAD },
	{ "ffn_moe", 0, LMM_ROLE_MLP },
	{ "embd", 1, LMM_ROLE_EMBEDDING },
	{ "inp_embd", 0, LMM_ROLE_EMBEDDING },
	{ "inp_scaled", 1, LMM_ROLE_EMBEDDING },
	{ "inpL", 1, LMM_ROLE_EMBEDDING },
	{ "pos_embd", 0, LMM_ROLE_EMBEDDING },
	{ "token_embd", 0, LMM_ROLE_EMBEDDING },
	{ "tok_embd", 0, LMM_ROLE_EMBEDDING },
	{ "embedding_output", 0, LMM_ROLE_EMBEDDING },
	{ "model.input_embed", 0, LMM_ROLE_EMBEDDING },
	{ "model.embed_tokens", 0, LMM_ROLE_EMBEDDING },
	{ "ffn_inp", 0, LMM_ROLE_ATTENTION },
	{ "ffn", 0, LMM_ROLE_MLP },
	{ "l_out", 1, LMM_ROLE_MLP },
	{ "layer_out", 1, LMM_ROLE_MLP },
	{ "shared_expert", 0, LMM_ROLE_MLP },
	{ "router", 0, LMM_ROLE_MLP },
	{ "post_moe", 0, LMM_ROLE_MLP },
	{ "attn", 0, LMM_ROLE_ATTENTION },
	{ "sa_out", 1, LMM_ROLE_ATTENTION },
	{ "Qcur", 0, LMM_ROLE_ATTENTION },
	{ "Kcur", 0, LMM_ROLE_ATTENTION },
	{ "Vcur", 0, LMM_ROLE_ATTENTION },
	{ "QKVcur", 0, LMM_ROLE_ATTENTION },
	{ "kq", 0, LMM_ROLE_ATTENTION },
	{ "qk", 0, LMM_ROLE_ATTENTION },
	{ "wqkv", 0, LMM_ROLE_ATTENTION },
	{ "wo", 1, LMM_ROLE_ATTENTION },
	{ "q", 1, LMM_ROLE_ATTENTION },
	{ "k", 1, LMM_ROLE_ATTENTION },
	{ "v", 1, LMM_ROLE_ATTENTION },
	{ "qr", 1, LMM_ROLE_ATTENTION },
	{ "kv", 1, LMM_ROLE_ATTENTION },
	{ "q_", 0, LMM_ROLE_ATTENTION },
	{ "k_", 0, LMM_ROLE_ATTENTION },
	{ "v_", 0, LMM_ROLE_ATTENTION },
	{ "kv_", 0, LMM_ROLE_ATTENTION },
	{ "mla_", 0, LMM_ROLE_ATTENTION },
	{ "fattn", 0, LMM_ROLE_ATTENTION },
	{ "indexer", 0, LMM_ROLE_ATTENTION },
	{ "cache_k", 0, LMM_ROLE_ATTENTION },
	{ "cache_v", 0, LMM_ROLE_ATTENTION },
};

/* Of a weight's name behind "blk.N.", or of a whole one. */
static const struct rule weight_rules[] = {
	{ "attn", 0, LMM_ROLE_ATTENTION },	  { "ffn", 0, LMM_ROLE_MLP },
	{ "exp_probs", 0, LMM_ROLE_MLP },	  { "channel_mix", 0, LMM_ROLE_MLP },
	{ "indexer", 0, LMM_ROLE_ATTENTION },	  { "cross_attn", 0, LMM_ROLE_ATTENTION },
	{ "output.", 0, LMM_ROLE_LM_HEAD },	  { "cls", 0, LMM_ROLE_LM_HEAD },
	{ "rope_", 0, LMM_ROLE_ATTENTION },	  { "position_embd", 0, LMM_ROLE_EMBEDDING },
	{ "token_types", 0, LMM_ROLE_EMBEDDING }, { "rest", 1, LMM_ROLE_OTHER },
};

static int starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static unsigned rules_find(const struct rule *rules, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		const struct rule *r = &rules[i];

		if (r->exact ? strcmp(name, r->text) == 0 : starts(name, r->text))
			return r->role;
	}
	return ROLE_OPEN;
}

/* The number that ends at `end`: its first digit is put into *from. -1 if none, or too large for a layer. */
static int32_t number_before(const char *s, size_t end, size_t *from)
{
	size_t i = end;
	int32_t v = 0;

	while (i > 0 && s[i - 1] >= '0' && s[i - 1] <= '9')
		i--;
	if (i == end || end - i > 5)
		return -1;
	*from = i;
	for (; i < end; i++)
		v = v * 10 + (s[i] - '0');
	return v <= LAYER_MAX ? v : -1;
}

/* Length of the name without " (view)", " (reshaped) (view)", … */
static size_t bare_length(const char *name)
{
	const char *p = strstr(name, " (");

	return p ? (size_t)(p - name) : strlen(name);
}

static int is_unnamed(const char *name)
{
	size_t n = bare_length(name), from;

	if (n == 0)
		return 1;
	return (starts(name, "node_") || starts(name, "leaf_")) &&
	       number_before(name, n, &from) >= 0 && from == 5;
}

/* Cuts "-N" or "_lN" off; returns N or -1. */
static int32_t split_layer(const char *name, size_t *n)
{
	size_t from;
	int32_t v = number_before(name, *n, &from);

	if (v < 0)
		return -1;
	if (from >= 2 && name[from - 1] == '-') {
		*n = from - 1;
		return v;
	}
	if (starts(name, "cache_") && from >= 3 && name[from - 1] == 'l' && name[from - 2] == '_') {
		*n = from - 2;
		return v;
	}
	return -1;
}

static int32_t weight_layer(const char *weight, const char **rest)
{
	const char *p = weight;
	int32_t v = 0;
	int digits = 0;

	*rest = weight;
	if (!starts(p, "blk."))
		return -1;
	for (p += 4; *p >= '0' && *p <= '9' && digits < 5; p++, digits++)
		v = v * 10 + (*p - '0');
	if (digits == 0 || *p != '.' || v > LAYER_MAX)
		return -1;
	*rest = p + 1;
	return v;
}

int lmm_roles_is_weight(const char *tensor_name)
{
	size_t n = strlen(tensor_name);

	return (n > 7 && strcmp(tensor_name + n - 7, ".weight") == 0) ||
	       (n > 5 && strcmp(tensor_name + n - 5, ".bias") == 0) || starts(tensor_name, "blk.");
}

static void lower(char *s)
{
	for (; *s; s++) {
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + ('a' - 'A'));
	}
}

static void copy_bounded(char out[LMM_BASE_NAME_MAX], const char *s, size_t n)
{
	if (n > LMM_BASE_NAME_MAX - 1)
		n = LMM_BASE_NAME_MAX - 1;
	memcpy(out, s, n);
	out[n] = '\0';
}

void lmm_roles_base_name(const struct lmm_node *node, char out[LMM_BASE_NAME_MAX])
{
	size_t n = bare_length(node->name);

	if (is_unnamed(node->name)) {
		copy_bounded(out, node->op, strlen(node->op));
		lower(out);
		return;
	}
	(void)split_layer(node->name, &n);
	copy_bounded(out, node->name, n);
}

static int is_norm_op(const char *op)
{
	static const char *const ops[] = { "RMS_NORM", "NORM", "GROUP_NORM", "L2_NORM" };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(ops); i++) {
		if (strcmp(op, ops[i]) == 0)
			return 1;
	}
	return 0;
}

static int is_product(const char *op)
{
	return starts(op, "MUL_MAT");
}

/* Scale and shift behind a normalisation have "norm" in their weight or their name; a product never belongs to one. */
static int is_norm(const struct lmm_node *node, const char *weight, const char *base)
{
	if (is_norm_op(node->op))
		return 1;
	if (is_product(node->op))
		return 0;
	if (weight[0])
		return strstr(weight, "norm") != NULL;
	return strstr(base, "norm") != NULL && !starts(base, "ffn_moe_weights");
}

static unsigned weight_role(const struct lmm_node *node, const char *weight)
{
	if (starts(weight, "token_embd") && !starts(weight, "token_embd_norm"))
		return is_product(node->op) ? LMM_ROLE_LM_HEAD : LMM_ROLE_EMBEDDING;
	return rules_find(weight_rules, LMM_ARRAY_SIZE(weight_rules), weight);
}

static unsigned op_role(const char *op)
{
	static const struct rule rules[] = {
		{ "FLASH_ATTN", 0, LMM_ROLE_ATTENTION }, { "ROPE", 0, LMM_ROLE_ATTENTION },
		{ "SOFT_MAX", 0, LMM_ROLE_ATTENTION },	 { "MUL_MAT_ID", 1, LMM_ROLE_MLP },
		{ "ADD_ID", 1, LMM_ROLE_MLP },
	};

	return rules_find(rules, LMM_ARRAY_SIZE(rules), op);
}

/* What the node alone says. The role may stay ROLE_OPEN. */
static unsigned judge(struct lmm_node *node)
{
	char base[LMM_BASE_NAME_MAX];
	const char *weight, *name = base;
	int32_t layer = weight_layer(node->weight, &weight);
	int unnamed = is_unnamed(node->name);
	size_t n = bare_length(node->name);
	unsigned role = ROLE_OPEN;

	if (layer < 0 && !unnamed)
		layer = split_layer(node->name, &n);
	node->layer = layer;
	lmm_roles_base_name(node, base);
	if (starts(name, "mtp_"))
		name += 4;
	if (is_norm(node, weight, unnamed ? "" : name))
		return LMM_ROLE_NORM;
	if (weight[0])
		role = weight_role(node, weight);
	if (role == ROLE_OPEN && !unnamed)
		role = rules_find(name_rules, LMM_ARRAY_SIZE(name_rules), name);
	/* sampling on the device has softmaxes that belong to no layer */
	if (role == ROLE_OPEN && (unnamed || layer >= 0))
		role = op_role(node->op);
	return role;
}

static void layers_from_neighbours(struct lmm_node *nodes, uint32_t n)
{
	int32_t before = -1;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t next = i;
		int32_t after;

		if (nodes[i].layer >= 0 || !is_unnamed(nodes[i].name)) {
			before = nodes[i].layer;
			continue;
		}
		while (next < n && nodes[next].layer < 0 && is_unnamed(nodes[next].name))
			next++;
		after = next < n ? nodes[next].layer : -1;
		/* behind a layer's last node the next layer begins */
		if (i > 0 && after >= 0 && starts(nodes[i - 1].name, "l_out"))
			before = after;
		for (; i < next; i++)
			nodes[i].layer = before;
		i--;
	}
}

static int inherits(const struct lmm_node *node, unsigned role)
{
	if (node->layer >= 0)
		return 1;
	return is_unnamed(node->name) && (role == LMM_ROLE_EMBEDDING || role == LMM_ROLE_LM_HEAD);
}

static void roles_from_neighbours(struct lmm_node *nodes, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		unsigned before = nodes[i - 1].role;

		/* what stands behind a norm and is none uses its result: the next one knows what for */
		if (nodes[i].role != ROLE_OPEN || before == ROLE_OPEN || before == LMM_ROLE_NORM)
			continue;
		if (nodes[i - 1].layer == nodes[i].layer && inherits(&nodes[i], before))
			nodes[i].role = (uint8_t)before;
	}
	for (uint32_t i = n; i-- > 1;) {
		unsigned after = nodes[i].role;

		if (nodes[i - 1].role == ROLE_OPEN && after != ROLE_OPEN && nodes[i].layer >= 0 &&
		    nodes[i - 1].layer == nodes[i].layer)
			nodes[i - 1].role = (uint8_t)after;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (nodes[i].role == ROLE_OPEN)
			nodes[i].role = LMM_ROLE_OTHER;
	}
}

void lmm_roles_assign(struct lmm_node *nodes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		nodes[i].role = (uint8_t)judge(&nodes[i]);
	layers_from_neighbours(nodes, n);
	/* an operator that was unnamed and without a layer may be in one now */
	for (uint32_t i = 0; i < n; i++) {
		if (nodes[i].role == ROLE_OPEN && nodes[i].layer >= 0)
			nodes[i].role = (uint8_t)op_role(nodes[i].op);
	}
	roles_from_neighbours(nodes, n);
}
