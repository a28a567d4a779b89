/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libggml-cuda.so, a backend for the fake engine that does as llama.cpp's CUDA backend: it asks ggml_is_empty() of every node first, to see
 * whether the graph can be captured; computes a graph two times kernel by kernel, captures it the third time, and from then on
 * launches what it captured. A kernel bears the name of its operator. FAKE_BACKEND=<this file> puts it in the CPU's place.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../fake_ggml.h"

struct dim3 {
	unsigned x, y, z;
};

extern void **__cudaRegisterFatBinary(void *binary);
extern void __cudaRegisterFatBinaryEnd(void **handle);
extern void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
				   int limit, void *tid, void *bid, void *block, void *grid,
				   int *size);
extern int __cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args,
			      size_t shared, void *s);
extern int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *s);
extern int cudaStreamCreateWithFlags(void **s, unsigned flags);
extern int cudaStreamSynchronize(void *s);
extern int cudaStreamBeginCapture(void *s, int mode);
extern int cudaStreamEndCapture(void *s, void **g);
extern int cudaGraphInstantiate(void **e, void *g, unsigned long long flags);
extern int cudaGraphExecUpdate(void *e, void *g, void *info);
extern int cudaGraphLaunch(void *e, void *s);
extern int cudaGraphDestroy(void *g);

static char stubs[GGML_OP_COUNT];
static char names[GGML_OP_COUNT][48];
static void *stream, *exec;
static const struct ggml_cgraph *last;
static int last_nodes, times;

/* The engine without a device has only ggml_graph_node(), as old releases. */
__attribute__((visibility("default"))) struct ggml_tensor **
ggml_graph_nodes(struct ggml_cgraph *graph);
struct ggml_tensor **ggml_graph_nodes(struct ggml_cgraph *graph)
{
	return graph->nodes;
}

static void check(int rc)
{
	if (rc)
		abort();
}

static void start(void)
{
	static int binary;
	void **handle;

	if (stream)
		return;
	handle = __cudaRegisterFatBinary(&binary);
	for (int op = 1; op < GGML_OP_COUNT; op++) {
		snprintf(names[op], sizeof(names[op]), "k_%s", ggml_op_name((enum ggml_op)op));
		__cudaRegisterFunction(handle, &stubs[op], names[op], names[op], -1, NULL, NULL,
				       NULL, NULL, NULL);
	}
	__cudaRegisterFatBinaryEnd(handle);
	check(cudaStreamCreateWithFlags(&stream, 1));
	check(cudaMemcpyAsync(NULL, NULL, 1 << 20, 1, stream)); /* weights */
}

static bool is_nothing(const struct ggml_tensor *t)
{
	return ggml_is_empty(t) || t->op == GGML_OP_NONE || t->op == GGML_OP_VIEW ||
	       t->op == GGML_OP_RESHAPE;
}

static bool is_fused(const struct ggml_cgraph *g, int i)
{
	return g->nodes[i]->op == GGML_OP_RMS_NORM && i + 1 < g->n_nodes &&
	       g->nodes[i + 1]->op == GGML_OP_MUL;
}

static void walk(const struct ggml_cgraph *g)
{
	struct dim3 grid = { 4, 1, 1 }, block = { 32, 1, 1 };

	for (int i = 0; i < g->n_nodes; i++) {
		if (is_nothing(g->nodes[i]))
			continue;
		check(__cudaLaunchKernel(&stubs[g->nodes[i]->op], grid, block, NULL, 0, stream));
		i += is_fused(g, i);
	}
}

static bool can_be_captured(const struct ggml_cgraph *g)
{
	int n = 0;

	for (int i = 0; i < g->n_nodes; i++)
		n += !is_nothing(g->nodes[i]);
	return n > 0;
}

static void capture(const struct ggml_cgraph *g)
{
	void *graph = NULL;

	check(cudaStreamBeginCapture(stream, 2));
	walk(g);
	check(cudaStreamEndCapture(stream, &graph));
	if (exec && cudaGraphExecUpdate(exec, graph, NULL))
		exec = NULL;
	if (!exec)
		check(cudaGraphInstantiate(&exec, graph, 0));
	check(cudaGraphDestroy(graph));
}

static int compute(struct ggml_cgraph *graph, struct ggml_cplan *plan)
{
	(void)plan;
	start();
	if (graph != last || graph->n_nodes != last_nodes)
		times = 0;
	last = graph;
	last_nodes = graph->n_nodes;
	if (!can_be_captured(graph) || ++times <= 2) {
		walk(graph);
		return 0;
	}
	if (times == 3)
		capture(graph);
	check(cudaGraphLaunch(exec, stream));
	return 0;
}

static void get(void *data, size_t bytes)
{
	check(cudaMemcpyAsync(data, NULL, bytes, 2, stream));
}

static void synchronize(void)
{
	if (stream)
		check(cudaStreamSynchronize(stream));
}

__attribute__((constructor)) static void load(void)
{
	fake_backend_register(compute);
	fake_backend_register_device(get, synchronize);
}
