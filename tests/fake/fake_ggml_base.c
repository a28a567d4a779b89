/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_ggml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES_MAX 2048

struct ggml_context {
	char *mem;
	size_t size, used;
	bool owned;
};

static const char *const op_names[GGML_OP_COUNT] = {
	"NONE", "ADD",	    "MUL",	"RMS_NORM", "MUL_MAT", "GET_ROWS",
	"ROPE", "SOFT_MAX", "SET_ROWS", "GLU",	    "VIEW",    "RESHAPE",
};

uint64_t fake_duration(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 10) : otherwise;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void fake_spin_ns(uint64_t ns)
{
	uint64_t until;

	if (!ns)
		return;
	until = now_ns() + ns;
	while (now_ns() < until)
		;
}

struct ggml_context *ggml_init(struct ggml_init_params params)
{
	struct ggml_context *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->size = params.mem_size;
	ctx->owned = params.mem_buffer == NULL;
	ctx->mem =
		ctx->owned ? calloc(1, params.mem_size ? params.mem_size : 1) : params.mem_buffer;
	if (!ctx->mem) {
		free(ctx);
		return NULL;
	}
	return ctx;
}

void ggml_free(struct ggml_context *ctx)
{
	if (!ctx)
		return;
	if (ctx->owned)
		free(ctx->mem);
	free(ctx);
}

static void *ctx_take(struct ggml_context *ctx, size_t bytes)
{
	void *p;

	bytes = (bytes + 15) & ~(size_t)15;
	if (ctx->size - ctx->used < bytes) {
		fprintf(stderr, "fake ggml: not enough memory in the context\n");
		abort();
	}
	p = ctx->mem + ctx->used;
	ctx->used += bytes;
	memset(p, 0, bytes);
	return p;
}

struct ggml_tensor *ggml_new_tensor(struct ggml_context *ctx, enum ggml_type type, int n_dims,
				    const int64_t *ne)
{
	struct ggml_tensor *t = ctx_take(ctx, sizeof(*t));

	t->type = type;
	for (int i = 0; i < GGML_MAX_DIMS; i++)
		t->ne[i] = i < n_dims ? ne[i] : 1;
	t->nb[0] = ggml_type_size(type);
	t->nb[1] = t->nb[0] * (size_t)(t->ne[0] / ggml_blck_size(type));
	t->nb[2] = t->nb[1] * (size_t)t->ne[1];
	t->nb[3] = t->nb[2] * (size_t)t->ne[2];
	return t;
}

struct ggml_tensor *ggml_new_tensor_1d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0)
{
	return ggml_new_tensor(ctx, type, 1, &ne0);
}

struct ggml_tensor *ggml_new_tensor_2d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0,
				       int64_t ne1)
{
	return ggml_new_tensor(ctx, type, 2, (int64_t[]){ ne0, ne1 });
}

struct ggml_tensor *ggml_new_tensor_3d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0,
				       int64_t ne1, int64_t ne2)
{
	return ggml_new_tensor(ctx, type, 3, (int64_t[]){ ne0, ne1, ne2 });
}

struct ggml_tensor *ggml_new_tensor_4d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0,
				       int64_t ne1, int64_t ne2, int64_t ne3)
{
	return ggml_new_tensor(ctx, type, 4, (int64_t[]){ ne0, ne1, ne2, ne3 });
}

struct ggml_tensor *fake_op(struct ggml_context *ctx, enum ggml_op op, struct ggml_tensor *a,
			    struct ggml_tensor *b)
{
	int64_t ne[4] = { a->ne[0], a->ne[1], a->ne[2], a->ne[3] };
	struct ggml_tensor *t;

	if (op == GGML_OP_MUL_MAT) {
		ne[0] = a->ne[1];
		ne[1] = b->ne[1];
		ne[2] = b->ne[2];
		ne[3] = b->ne[3];
	} else if (op == GGML_OP_GET_ROWS) {
		ne[1] = b->ne[0];
		ne[2] = b->ne[1];
		ne[3] = 1;
	}
	t = ggml_new_tensor(ctx, GGML_TYPE_F32, 4, ne);
	t->op = op;
	t->src[0] = a;
	t->src[1] = b;
	return t;
}

struct ggml_tensor *ggml_add(struct ggml_context *ctx, struct ggml_tensor *a, struct ggml_tensor *b)
{
	return fake_op(ctx, GGML_OP_ADD, a, b);
}

struct ggml_tensor *ggml_mul(struct ggml_context *ctx, struct ggml_tensor *a, struct ggml_tensor *b)
{
	return fake_op(ctx, GGML_OP_MUL, a, b);
}

struct ggml_tensor *ggml_mul_mat(struct ggml_context *ctx, struct ggml_tensor *a,
				 struct ggml_tensor *b)
{
	return fake_op(ctx, GGML_OP_MUL_MAT, a, b);
}

struct ggml_tensor *ggml_get_rows(struct ggml_context *ctx, struct ggml_tensor *a,
				  struct ggml_tensor *b)
{
	return fake_op(ctx, GGML_OP_GET_ROWS, a, b);
}

struct ggml_tensor *ggml_rms_norm(struct ggml_context *ctx, struct ggml_tensor *a, float eps)
{
	struct ggml_tensor *t = fake_op(ctx, GGML_OP_RMS_NORM, a, NULL);

	memcpy(t->op_params, &eps, sizeof(eps));
	return t;
}

struct ggml_tensor *ggml_view_1d(struct ggml_context *ctx, struct ggml_tensor *a, int64_t ne0,
				 size_t offset)
{
	struct ggml_tensor *t = ggml_new_tensor_1d(ctx, a->type, ne0);

	t->op = GGML_OP_VIEW;
	t->src[0] = a;
	t->view_src = a;
	t->view_offs = offset;
	return t;
}

struct ggml_tensor *ggml_reshape_2d(struct ggml_context *ctx, struct ggml_tensor *a, int64_t ne0,
				    int64_t ne1)
{
	struct ggml_tensor *t = ggml_new_tensor_2d(ctx, a->type, ne0, ne1);

	t->op = GGML_OP_RESHAPE;
	t->src[0] = a;
	t->view_src = a;
	return t;
}

struct ggml_tensor *ggml_set_name(struct ggml_tensor *t, const char *name)
{
	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

const char *ggml_get_name(const struct ggml_tensor *t)
{
	return t->name;
}

const char *ggml_op_name(enum ggml_op op)
{
	return (unsigned)op < GGML_OP_COUNT ? op_names[op] : "?";
}

const char *ggml_op_desc(const struct ggml_tensor *t)
{
	return ggml_op_name(t->op);
}

const char *ggml_type_name(enum ggml_type type)
{
	switch (type) {
	case GGML_TYPE_F32:
		return "f32";
	case GGML_TYPE_F16:
		return "f16";
	case GGML_TYPE_Q4_1:
		return "q4_1";
	case GGML_TYPE_I32:
		return "i32";
	default:
		return "NONE";
	}
}

size_t ggml_type_size(enum ggml_type type)
{
	return type == GGML_TYPE_F16 ? 2 : type == GGML_TYPE_Q4_1 ? 20 : 4;
}

int64_t ggml_blck_size(enum ggml_type type)
{
	return type == GGML_TYPE_Q4_1 ? 32 : 1;
}

int64_t ggml_nelements(const struct ggml_tensor *t)
{
	return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

size_t ggml_nbytes(const struct ggml_tensor *t)
{
	return (size_t)(ggml_nelements(t) / ggml_blck_size(t->type)) * ggml_type_size(t->type);
}

int ggml_n_dims(const struct ggml_tensor *t)
{
	int n = GGML_MAX_DIMS;

	while (n > 1 && t->ne[n - 1] == 1)
		n--;
	return n;
}

bool ggml_is_empty(const struct ggml_tensor *t)
{
	return ggml_nelements(t) == 0;
}

void *ggml_get_data(const struct ggml_tensor *t)
{
	return t->data;
}

size_t ggml_tensor_overhead(void)
{
	return sizeof(struct ggml_tensor) + 32;
}

size_t ggml_graph_overhead(void)
{
	return sizeof(struct ggml_cgraph) + NODES_MAX * sizeof(struct ggml_tensor *) + 64;
}

struct ggml_cgraph *ggml_new_graph(struct ggml_context *ctx)
{
	struct ggml_cgraph *g = ctx_take(ctx, sizeof(*g));

	g->size = NODES_MAX;
	g->nodes = ctx_take(ctx, NODES_MAX * sizeof(*g->nodes));
	return g;
}

int ggml_graph_n_nodes(struct ggml_cgraph *graph)
{
	return graph->n_nodes;
}

struct ggml_tensor *ggml_graph_node(struct ggml_cgraph *graph, int i)
{
	return graph->nodes[i < 0 ? graph->n_nodes + i : i];
}

/* Tensors are made in the order in which they run, so one call per tensor is all the ordering there is. */
void ggml_build_forward_expand(struct ggml_cgraph *graph, struct ggml_tensor *t)
{
	if (t->op != GGML_OP_NONE && graph->n_nodes < graph->size)
		graph->nodes[graph->n_nodes++] = t;
}

const char *ggml_version(void)
{
	return "9.9.9";
}

const char *ggml_commit(void)
{
	return "fa6e";
}

static fake_graph_compute_fn backend_compute;
static int backend_threads = 1;

void fake_backend_register(fake_graph_compute_fn fn)
{
	backend_compute = fn;
}

static void (*device_get)(void *data, size_t bytes);
static void (*device_synchronize)(void);

void fake_backend_register_device(void (*get)(void *data, size_t bytes), void (*synchronize)(void))
{
	device_get = get;
	device_synchronize = synchronize;
}

void fake_backend_set_n_threads(int n)
{
	backend_threads = n;
}

int fake_backend_n_threads(void)
{
	return backend_threads;
}

bool ggml_backend_sched_alloc_graph(void *sched, struct ggml_cgraph *graph)
{
	(void)sched;
	return graph->n_nodes > 0;
}

int ggml_backend_graph_compute_async(void *backend, struct ggml_cgraph *graph)
{
	struct ggml_cplan plan = { .n_threads = backend_threads };

	(void)backend;
	if (!backend_compute) {
		fprintf(stderr, "fake ggml: no backend\n");
		abort();
	}
	return backend_compute(graph, &plan);
}

int ggml_backend_sched_graph_compute_async(void *sched, struct ggml_cgraph *graph)
{
	(void)sched;
	return ggml_backend_graph_compute_async(NULL, graph);
}

void ggml_backend_tensor_get_async(void *backend, const struct ggml_tensor *t, void *data,
				   size_t offset, size_t bytes)
{
	(void)backend;
	(void)t;
	(void)offset;
	if (device_get) {
		device_get(data, bytes);
		return;
	}
	fake_spin_ns(fake_duration("FAKE_COPY_NS", 20000));
	memset(data, 0, bytes);
}

void ggml_backend_tensor_set(struct ggml_tensor *t, const void *data, size_t offset, size_t bytes)
{
	(void)t;
	(void)data;
	(void)offset;
	(void)bytes;
}

void ggml_backend_synchronize(void *backend)
{
	(void)backend;
	if (device_synchronize)
		device_synchronize();
}
