/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for ggml: the exported names and calling order of the real one, a small fixed graph, and operators that spin
 * for a known time. It lets everything about recording be tested without the network, and its tensors are laid out in
 * another order than the real ones, so whoever assumes offsets is found out.
 */
#ifndef FAKE_GGML_H
#define FAKE_GGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GGML_MAX_DIMS 4
#define GGML_MAX_SRC  10
#define GGML_MAX_NAME 64

enum ggml_type {
	GGML_TYPE_F32 = 0,
	GGML_TYPE_F16 = 1,
	GGML_TYPE_Q4_1 = 3,
	GGML_TYPE_I32 = 26,
	GGML_TYPE_COUNT = 40
};

/* Numbered otherwise than upstream, which renumbers them every other month. */
enum ggml_op {
	GGML_OP_NONE,
	GGML_OP_ADD,
	GGML_OP_MUL,
	GGML_OP_RMS_NORM,
	GGML_OP_MUL_MAT,
	GGML_OP_GET_ROWS,
	GGML_OP_ROPE,
	GGML_OP_SOFT_MAX,
	GGML_OP_SET_ROWS,
	GGML_OP_GLU,
	GGML_OP_VIEW,
	GGML_OP_RESHAPE,
	GGML_OP_COUNT
};

struct ggml_tensor {
#ifdef FAKE_SHUFFLED
	char name[GGML_MAX_NAME];
	void *data;
	struct ggml_tensor *view_src;
	size_t view_offs;
	struct ggml_tensor *src[GGML_MAX_SRC];
	int32_t flags;
	int32_t op_params[16];
	enum ggml_op op;
	size_t nb[GGML_MAX_DIMS];
	int64_t ne[GGML_MAX_DIMS];
	void *buffer;
	enum ggml_type type;
	void *extra;
#else
	enum ggml_type type;
	void *buffer;
	int64_t ne[GGML_MAX_DIMS];
	size_t nb[GGML_MAX_DIMS];
	enum ggml_op op;
	int32_t op_params[16];
	int32_t flags;
	struct ggml_tensor *src[GGML_MAX_SRC];
	struct ggml_tensor *view_src;
	size_t view_offs;
	void *data;
	char name[GGML_MAX_NAME];
	void *extra;
	char padding[8];
#endif
};

struct ggml_cgraph {
	int size;
	int n_nodes;
	int n_leafs;
	struct ggml_tensor **nodes;
};

struct ggml_init_params {
	size_t mem_size;
	void *mem_buffer;
	bool no_alloc;
};

struct ggml_context;

struct ggml_compute_params {
	int ith, nth;
	size_t wsize;
	void *wdata;
	void *threadpool;
};

struct ggml_cplan {
	size_t work_size;
	uint8_t *work_data;
	int n_threads;
};

typedef int (*fake_graph_compute_fn)(struct ggml_cgraph *graph, struct ggml_cplan *plan);

/* libggml-base */
struct ggml_context *ggml_init(struct ggml_init_params params);
void ggml_free(struct ggml_context *ctx);
struct ggml_tensor *ggml_new_tensor(struct ggml_context *ctx, enum ggml_type type, int n_dims,
				    const int64_t *ne);
struct ggml_tensor *ggml_new_tensor_1d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0);
struct ggml_tensor *ggml_new_tensor_2d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0,
				       int64_t ne1);
struct ggml_tensor *ggml_new_tensor_3d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0,
				       int64_t ne1, int64_t ne2);
struct ggml_tensor *ggml_new_tensor_4d(struct ggml_context *ctx, enum ggml_type type, int64_t ne0,
				       int64_t ne1, int64_t ne2, int64_t ne3);
struct ggml_tensor *ggml_add(struct ggml_context *ctx, struct ggml_tensor *a,
			     struct ggml_tensor *b);
struct ggml_tensor *ggml_mul(struct ggml_context *ctx, struct ggml_tensor *a,
			     struct ggml_tensor *b);
struct ggml_tensor *ggml_mul_mat(struct ggml_context *ctx, struct ggml_tensor *a,
				 struct ggml_tensor *b);
struct ggml_tensor *ggml_get_rows(struct ggml_context *ctx, struct ggml_tensor *a,
				  struct ggml_tensor *b);
struct ggml_tensor *ggml_rms_norm(struct ggml_context *ctx, struct ggml_tensor *a, float eps);
struct ggml_tensor *ggml_view_1d(struct ggml_context *ctx, struct ggml_tensor *a, int64_t ne0,
				 size_t offset);
struct ggml_tensor *ggml_reshape_2d(struct ggml_context *ctx, struct ggml_tensor *a, int64_t ne0,
				    int64_t ne1);
/* Any operator of the table, for building the model's graph. */
struct ggml_tensor *fake_op(struct ggml_context *ctx, enum ggml_op op, struct ggml_tensor *a,
			    struct ggml_tensor *b);
struct ggml_tensor *ggml_set_name(struct ggml_tensor *t, const char *name);
const char *ggml_get_name(const struct ggml_tensor *t);
const char *ggml_op_name(enum ggml_op op);
const char *ggml_op_desc(const struct ggml_tensor *t);
const char *ggml_type_name(enum ggml_type type);
size_t ggml_type_size(enum ggml_type type);
int64_t ggml_blck_size(enum ggml_type type);
size_t ggml_nbytes(const struct ggml_tensor *t);
int64_t ggml_nelements(const struct ggml_tensor *t);
int ggml_n_dims(const struct ggml_tensor *t);
bool ggml_is_empty(const struct ggml_tensor *t);
void *ggml_get_data(const struct ggml_tensor *t);
size_t ggml_tensor_overhead(void);
size_t ggml_graph_overhead(void);
struct ggml_cgraph *ggml_new_graph(struct ggml_context *ctx);
int ggml_graph_n_nodes(struct ggml_cgraph *graph);
struct ggml_tensor *ggml_graph_node(struct ggml_cgraph *graph, int i);
void ggml_build_forward_expand(struct ggml_cgraph *graph, struct ggml_tensor *t);
const char *ggml_version(void);
const char *ggml_commit(void);
bool ggml_backend_sched_alloc_graph(void *sched, struct ggml_cgraph *graph);
int ggml_backend_sched_graph_compute_async(void *sched, struct ggml_cgraph *graph);
int ggml_backend_graph_compute_async(void *backend, struct ggml_cgraph *graph);
void ggml_backend_tensor_get_async(void *backend, const struct ggml_tensor *t, void *data,
				   size_t offset, size_t bytes);
void ggml_backend_tensor_set(struct ggml_tensor *t, const void *data, size_t offset, size_t bytes);
void ggml_backend_synchronize(void *backend);
/* What a backend module is registered through. */
void fake_backend_register(fake_graph_compute_fn fn);
/* Of a device: how data is got back, and how its work is waited for. */
void fake_backend_register_device(void (*get)(void *data, size_t bytes), void (*synchronize)(void));
void fake_backend_set_n_threads(int n);
int fake_backend_n_threads(void);

/* libggml-cpu */
int ggml_graph_compute(struct ggml_cgraph *graph, struct ggml_cplan *plan);
bool ggml_cpu_extra_compute_forward(struct ggml_compute_params *params, struct ggml_tensor *t);
void ggml_compute_forward_rms_norm_mul_fused(struct ggml_compute_params *params,
					     struct ggml_tensor *t, struct ggml_tensor *mul);
void ggml_barrier(void *threadpool);

/* Busy for so long. */
void fake_spin_ns(uint64_t ns);
/* A duration from the environment, in ns. */
uint64_t fake_duration(const char *name, uint64_t otherwise);

#endif
