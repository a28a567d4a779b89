/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cost.h"

#include <string.h>

#include "base/compiler.h"

static uint64_t mul(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

static uint64_t dim(const struct lmm_tensor_shape *s, unsigned i)
{
	return s->ne[i] > 0 ? (uint64_t)s->ne[i] : 0;
}

static uint64_t elements(const struct lmm_tensor_shape *s)
{
	return mul(mul(dim(s, 0), dim(s, 1)), mul(dim(s, 2), dim(s, 3)));
}

/* Elements and bytes of one block. */
static const struct type_size {
	const char *name;
	uint16_t block;
	uint16_t bytes;
} type_sizes[] = {
	{ "f32", 1, 4 },      { "f16", 1, 2 },	      { "bf16", 1, 2 },	      { "f64", 1, 8 },
	{ "i8", 1, 1 },	      { "i16", 1, 2 },	      { "i32", 1, 4 },	      { "i64", 1, 8 },
	{ "q4_0", 32, 18 },   { "q4_1", 32, 20 },     { "q5_0", 32, 22 },     { "q5_1", 32, 24 },
	{ "q8_0", 32, 34 },   { "q8_1", 32, 36 },     { "mxfp4", 32, 17 },    { "iq4_nl", 32, 18 },
	{ "q2_K", 256, 84 },  { "q3_K", 256, 110 },   { "q4_K", 256, 144 },   { "q5_K", 256, 176 },
	{ "q6_K", 256, 210 }, { "q8_K", 256, 292 },   { "iq2_xxs", 256, 66 }, { "iq2_xs", 256, 74 },
	{ "iq2_s", 256, 82 }, { "iq3_xxs", 256, 98 }, { "iq3_s", 256, 110 },  { "iq1_s", 256, 50 },
	{ "iq1_m", 256, 56 }, { "iq4_xs", 256, 136 }, { "tq1_0", 256, 54 },   { "tq2_0", 256, 66 },
};

uint64_t lmm_cost_type_bytes(const char *type, uint64_t n)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(type_sizes); i++) {
		const struct type_size *t = &type_sizes[i];

		if (strcmp(type, t->name) == 0) {
			return add(mul(n / t->block, t->bytes),
				   (n % t->block * t->bytes + t->block - 1) / t->block);
		}
	}
	return 0;
}

/* Bytes of the elements; the engine's own figure spans the holes of a strided view. */
static uint64_t bytes_of(const struct lmm_tensor_shape *s, uint64_t nbytes)
{
	uint64_t by_type = lmm_cost_type_bytes(s->type, elements(s));

	return by_type && by_type < nbytes ? by_type : nbytes;
}

/* Bytes of `some` of the tensor's elements. */
static uint64_t part_of(const struct lmm_tensor_shape *s, uint64_t nbytes, uint64_t some)
{
	uint64_t all = elements(s), by_type = lmm_cost_type_bytes(s->type, some);

	if (by_type)
		return by_type;
	return all ? (uint64_t)((double)nbytes * ((double)some / (double)all)) : 0;
}

enum cost_kind {
	COST_VIEW,
	COST_PER_OUT,
	COST_PER_IN,
	COST_PRODUCT,
	COST_PRODUCT_ID,
	COST_OUTER,
	COST_ATTENTION,
	COST_GET_ROWS,
	COST_SET_ROWS,
	COST_COPY,
};

static const struct op_cost {
	const char *op;
	uint8_t kind;
	uint8_t flops; /* per element */
} op_costs[] = {
	{ "NONE", COST_VIEW, 0 },
	{ "RESHAPE", COST_VIEW, 0 },
	{ "VIEW", COST_VIEW, 0 },
	{ "PERMUTE", COST_VIEW, 0 },
	{ "TRANSPOSE", COST_VIEW, 0 },
	{ "MUL_MAT", COST_PRODUCT, 0 },
	{ "MUL_MAT_ID", COST_PRODUCT_ID, 0 },
	{ "OUT_PROD", COST_OUTER, 0 },
	{ "FLASH_ATTN_EXT", COST_ATTENTION, 0 },
	{ "GET_ROWS", COST_GET_ROWS, 0 },
	{ "SET_ROWS", COST_SET_ROWS, 0 },
	{ "CPY", COST_COPY, 0 },
	{ "CONT", COST_COPY, 0 },
	{ "DUP", COST_COPY, 0 },
	{ "SOFT_MAX", COST_PER_OUT, 5 },
	{ "NORM", COST_PER_OUT, 5 },
	{ "GROUP_NORM", COST_PER_OUT, 5 },
	{ "RMS_NORM", COST_PER_OUT, 3 },
	{ "L2_NORM", COST_PER_OUT, 3 },
	{ "ROPE", COST_PER_OUT, 3 },
	{ "ADD", COST_PER_OUT, 1 },
	{ "ADD1", COST_PER_OUT, 1 },
	{ "ADD_ID", COST_PER_OUT, 1 },
	{ "SUB", COST_PER_OUT, 1 },
	{ "MUL", COST_PER_OUT, 1 },
	{ "DIV", COST_PER_OUT, 1 },
	{ "SCALE", COST_PER_OUT, 1 },
	{ "SQR", COST_PER_OUT, 1 },
	{ "SQRT", COST_PER_OUT, 1 },
	{ "LOG", COST_PER_OUT, 1 },
	{ "SIN", COST_PER_OUT, 1 },
	{ "COS", COST_PER_OUT, 1 },
	{ "CLAMP", COST_PER_OUT, 1 },
	{ "LEAKY_RELU", COST_PER_OUT, 1 },
	{ "RELU", COST_PER_OUT, 1 },
	{ "ABS", COST_PER_OUT, 1 },
	{ "NEG", COST_PER_OUT, 1 },
	{ "STEP", COST_PER_OUT, 1 },
	{ "SGN", COST_PER_OUT, 1 },
	{ "FLOOR", COST_PER_OUT, 1 },
	{ "CEIL", COST_PER_OUT, 1 },
	{ "ROUND", COST_PER_OUT, 1 },
	{ "TRUNC", COST_PER_OUT, 1 },
	{ "UNARY", COST_PER_OUT, 4 },
	{ "SILU", COST_PER_OUT, 4 },
	{ "GELU", COST_PER_OUT, 4 },
	{ "GELU_ERF", COST_PER_OUT, 4 },
	{ "GELU_QUICK", COST_PER_OUT, 4 },
	{ "SIGMOID", COST_PER_OUT, 4 },
	{ "TANH", COST_PER_OUT, 4 },
	{ "ELU", COST_PER_OUT, 4 },
	{ "EXP", COST_PER_OUT, 4 },
	{ "EXPM1", COST_PER_OUT, 4 },
	{ "SOFTPLUS", COST_PER_OUT, 4 },
	{ "HARDSWISH", COST_PER_OUT, 4 },
	{ "HARDSIGMOID", COST_PER_OUT, 4 },
	{ "XIELU", COST_PER_OUT, 4 },
	{ "GLU", COST_PER_OUT, 5 },
	{ "SWIGLU", COST_PER_OUT, 5 },
	{ "SWIGLU_OAI", COST_PER_OUT, 5 },
	{ "GEGLU", COST_PER_OUT, 5 },
	{ "GEGLU_ERF", COST_PER_OUT, 5 },
	{ "GEGLU_QUICK", COST_PER_OUT, 5 },
	{ "REGLU", COST_PER_OUT, 2 },
	{ "SUM", COST_PER_IN, 1 },
	{ "SUM_ROWS", COST_PER_IN, 1 },
	{ "MEAN", COST_PER_IN, 1 },
	{ "CUMSUM", COST_PER_IN, 1 },
};

static const struct op_cost *op_cost_find(const char *op)
{
	static const struct op_cost other = { "", COST_PER_OUT, 0 };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(op_costs); i++) {
		if (strcmp(op, op_costs[i].op) == 0)
			return &op_costs[i];
	}
	return &other;
}

struct operands {
	const struct lmm_tensor_shape *out;
	const struct lmm_tensor_shape *src;
	const uint64_t *src_nbytes;
	unsigned n_src;
	uint64_t out_nbytes;
};

static uint64_t read_from(const struct operands *x, unsigned first)
{
	uint64_t sum = 0;

	for (unsigned i = first; i < x->n_src; i++)
		sum = add(sum, bytes_of(&x->src[i], x->src_nbytes[i]));
	return sum;
}

static void cost_product_id(const struct operands *x, struct lmm_node *into)
{
	const struct lmm_tensor_shape *w = &x->src[0];
	uint64_t experts = dim(w, 2), used;

	into->flops = mul(2, mul(dim(w, 0), elements(x->out)));
	if (x->n_src < 3 || experts == 0)
		return;
	used = elements(&x->src[2]);
	if (used < experts) {
		into->bytes_read =
			add(part_of(w, x->src_nbytes[0], mul(mul(dim(w, 0), dim(w, 1)), used)),
			    read_from(x, 1));
	}
}

static void cost_attention(const struct operands *x, struct lmm_node *into)
{
	const struct lmm_tensor_shape *q = &x->src[0], *k, *v;

	if (x->n_src < 3)
		return;
	k = &x->src[1];
	v = &x->src[2];
	into->flops = mul(mul(2, add(dim(k, 0), dim(v, 0))),
			  mul(dim(k, 1), mul(dim(q, 1), mul(dim(q, 2), dim(q, 3)))));
}

static void cost_sources(const struct op_cost *c, const struct operands *x, struct lmm_node *into)
{
	switch (c->kind) {
	case COST_PER_IN:
		into->flops = mul(c->flops, elements(&x->src[0]));
		break;
	case COST_PRODUCT:
		into->flops = mul(2, mul(dim(&x->src[0], 0), elements(x->out)));
		break;
	case COST_PRODUCT_ID:
		cost_product_id(x, into);
		break;
	case COST_OUTER:
		into->flops = mul(2, mul(dim(&x->src[0], 1), elements(x->out)));
		break;
	case COST_ATTENTION:
		cost_attention(x, into);
		break;
	case COST_GET_ROWS:
		into->bytes_read = add(part_of(&x->src[0], x->src_nbytes[0], elements(x->out)),
				       read_from(x, 1));
		break;
	case COST_SET_ROWS:
		into->bytes_read = bytes_of(&x->src[0], x->src_nbytes[0]);
		if (x->n_src > 1) {
			into->bytes_read =
				add(into->bytes_read, bytes_of(&x->src[1], x->src_nbytes[1]));
		}
		into->bytes_written = part_of(x->out, x->out_nbytes, elements(&x->src[0]));
		break;
	case COST_COPY:
		into->bytes_read = bytes_of(&x->src[0], x->src_nbytes[0]);
		break;
	default:
		break;
	}
}

void lmm_cost_node(const char *op, const struct lmm_tensor_shape *out,
		   const struct lmm_tensor_shape *src, const uint64_t *src_nbytes, unsigned n_src,
		   uint64_t out_nbytes, struct lmm_node *into)
{
	const struct op_cost *c = op_cost_find(op);
	struct operands x = { out, src, src_nbytes, n_src, out_nbytes };

	into->bytes_read = into->bytes_written = into->flops = 0;
	into->runs = c->kind != COST_VIEW && elements(out) != 0;
	if (!into->runs)
		return;
	into->bytes_read = read_from(&x, 0);
	into->bytes_written = bytes_of(out, out_nbytes);
	if (c->kind == COST_PER_OUT) {
		into->flops = mul(c->flops, elements(out));
	} else if (n_src) {
		cost_sources(c, &x, into);
	}
}

static uint64_t node_source(const struct lmm_node *n, unsigned i)
{
	return i < n->n_src && i < LMM_NODE_SRC_MAX
		       ? lmm_cost_type_bytes(n->src[i].type, elements(&n->src[i]))
		       : 0;
}

static int weight_is_first(const struct lmm_node *n)
{
	return strncmp(n->op, "MUL_MAT", 7) == 0 || strcmp(n->op, "GET_ROWS") == 0;
}

struct lmm_cost_streams lmm_cost_streams(const struct lmm_node *n)
{
	struct lmm_cost_streams s = { 0 };
	uint64_t rest = 0;

	if (!n->runs)
		return s;
	if (strcmp(n->op, "FLASH_ATTN_EXT") == 0) {
		s.cache_bytes = add(node_source(n, 1), node_source(n, 2));
		s.positions = n->n_src > 1 ? dim(&n->src[1], 1) : 0;
	} else if (n->weight[0] && weight_is_first(n)) {
		/* not by its shape: of experts and rows only some are read, and its type may be unknown here */
		for (unsigned i = 1; i < n->n_src; i++)
			rest = add(rest, node_source(n, i));
		s.weight_bytes = n->bytes_read > rest ? n->bytes_read - rest : 0;
	} else if (n->weight[0]) {
		s.weight_bytes = node_source(n, n->n_src > 1 ? 1 : 0);
	} else if (n->role == LMM_ROLE_ATTENTION && strcmp(n->op, "MUL_MAT") == 0) {
		s.cache_bytes = node_source(n, 0);
	}
	return s;
}
