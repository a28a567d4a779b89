/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost of an operator's record on the engine's own CPU backend: graphs of 512 additions of 64 numbers, which run for
 * some tens of ns each, so that half a nanosecond shows where whole generations scatter by per cents.
 *
 *	tinyops THREADS GRAPHS SECONDS      (whichever comes first: threads that spin for each other can take ages)
 *
 * Compiled by bench/run against the fetched engine. Prints the smallest and the median ns per operator. Where lmmeter's
 * library is loaded, recording is switched on and off from graph to graph and both are printed.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

#define OPERATORS  512
#define GRAPHS_MAX 100000
#define BLOCK	   50 /* graphs between switches: the first of them describes the graph anew */

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static ggml_backend_t backend_make(int threads)
{
	ggml_backend_dev_t dev;
	ggml_backend_t backend;
	ggml_backend_set_n_threads_t set;

	ggml_backend_load_all();
	dev = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
	backend = dev ? ggml_backend_dev_init(dev, NULL) : NULL;
	if (!backend)
		return NULL;
	*(void **)&set = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(dev),
							   "ggml_backend_set_n_threads");
	if (set)
		set(backend, threads);
	return backend;
}

static struct ggml_cgraph *graph_make(ggml_backend_t backend)
{
	struct ggml_init_params p = { ggml_tensor_overhead() * 2048 + ggml_graph_overhead(), NULL,
				      true };
	struct ggml_context *ctx = ggml_init(p);
	struct ggml_tensor *a = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, 64), *x = a;
	struct ggml_cgraph *graph = ggml_new_graph(ctx);

	for (int i = 0; i < OPERATORS; i++)
		x = ggml_add(ctx, x, a);
	ggml_build_forward_expand(graph, x);
	return ggml_backend_alloc_ctx_tensors(ctx, backend) ? graph : NULL;
}

static double per_operator(double *ns, int n, int median)
{
	qsort(ns, (size_t)n, sizeof(*ns), compare);
	return n ? ns[median ? n / 2 : 0] / OPERATORS : 0;
}

int main(int argc, char **argv)
{
	static double ns[2][GRAPHS_MAX];
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
	int graphs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 4000, n[2] = { 0, 0 };
	double until = now_ns() + 1e9 * (argc > 3 ? (double)strtol(argv[3], NULL, 10) : 20);
	ggml_backend_t backend = backend_make(threads);
	struct ggml_cgraph *graph = backend ? graph_make(backend) : NULL;
	struct timespec pause = { 0, 25000000 };
	int (*set_recording)(int on);

	if (!graph || graphs > GRAPHS_MAX)
		return 1;
	ggml_backend_graph_compute(backend, graph);
	*(void **)&set_recording = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	for (int i = 0; i < graphs && now_ns() < until; i++) {
		int on = set_recording && i / BLOCK % 2 == 0;
		double from;

		if (i % BLOCK == 0) {
			/* time for the collector to empty the ring: twelve million records a second are too many */
			nanosleep(&pause, NULL);
			if (set_recording)
				set_recording(on);
		}
		from = now_ns();
		ggml_backend_graph_compute(backend, graph);
		from = now_ns() - from;
		if (i % BLOCK > 1)
			ns[on][n[on]++] = from;
	}
	if (set_recording)
		set_recording(1);
	printf("{\"threads\":%d,\"operators\":%d,\"off_min_ns\":%.3f,\"off_median_ns\":%.3f",
	       threads, OPERATORS, per_operator(ns[0], n[0], 0), per_operator(ns[0], n[0], 1));
	if (n[1])
		printf(",\"on_min_ns\":%.3f,\"on_median_ns\":%.3f", per_operator(ns[1], n[1], 0),
		       per_operator(ns[1], n[1], 1));
	printf("}\n");
	return 0;
}
