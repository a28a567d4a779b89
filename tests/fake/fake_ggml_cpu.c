/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU module: a pool of threads that all go through every node, as ggml's do. */
#include "fake_ggml.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS_MAX 64

struct team {
	struct ggml_cgraph *graph;
	int n_threads;
	_Atomic int arrived;
	_Atomic int passed;
};

struct job {
	struct team *team;
	int ith;
};

static uint64_t op_ns = 2000;

/* Through the procedure linkage table, as the real one, so that it can be stood in for. */
__attribute__((noinline)) bool ggml_cpu_extra_compute_forward(struct ggml_compute_params *params,
							      struct ggml_tensor *t)
{
	(void)params;
	(void)t;
	return false;
}

__attribute__((noinline)) void
ggml_compute_forward_rms_norm_mul_fused(struct ggml_compute_params *params, struct ggml_tensor *t,
					struct ggml_tensor *mul)
{
	(void)t;
	(void)mul;
	fake_spin_ns(op_ns / (uint64_t)params->nth);
}

__attribute__((noinline)) void ggml_barrier(void *threadpool)
{
	struct team *team = threadpool;
	int round = atomic_load(&team->passed);

	if (team->n_threads == 1)
		return;
	if (atomic_fetch_add(&team->arrived, 1) == team->n_threads - 1) {
		atomic_store(&team->arrived, 0);
		atomic_fetch_add(&team->passed, 1);
		return;
	}
	while (atomic_load(&team->passed) == round)
		sched_yield();
}

static bool is_fused(const struct ggml_cgraph *g, int i)
{
	return g->nodes[i]->op == GGML_OP_RMS_NORM && i + 1 < g->n_nodes &&
	       g->nodes[i + 1]->op == GGML_OP_MUL && g->nodes[i + 1]->src[0] == g->nodes[i];
}

static bool is_nothing(const struct ggml_tensor *t)
{
	return t->op == GGML_OP_NONE || t->op == GGML_OP_VIEW || t->op == GGML_OP_RESHAPE ||
	       ggml_is_empty(t);
}

static void graph_walk(struct team *team, int ith)
{
	struct ggml_cgraph *g = team->graph;
	struct ggml_compute_params params = { .ith = ith,
					      .nth = team->n_threads,
					      .threadpool = team };

	for (int i = 0; i < g->n_nodes; i++) {
		struct ggml_tensor *t = g->nodes[i];

		if (is_nothing(t))
			continue;
		if (is_fused(g, i)) {
			ggml_compute_forward_rms_norm_mul_fused(&params, t, g->nodes[i + 1]);
			i++;
		} else if (!ggml_cpu_extra_compute_forward(&params, t)) {
			/* matrix products take four times as long as the rest */
			fake_spin_ns((t->op == GGML_OP_MUL_MAT ? 4 : 1) * op_ns /
				     (uint64_t)params.nth);
		}
		ggml_barrier(team);
	}
}

static void *worker(void *arg)
{
	struct job *job = arg;

	graph_walk(job->team, job->ith);
	return NULL;
}

__attribute__((noinline)) int ggml_graph_compute(struct ggml_cgraph *graph, struct ggml_cplan *plan)
{
	struct team team = { .graph = graph, .n_threads = plan->n_threads };
	pthread_t threads[THREADS_MAX];
	struct job jobs[THREADS_MAX];

	if (team.n_threads > THREADS_MAX)
		team.n_threads = THREADS_MAX;
	for (int i = 1; i < team.n_threads; i++) {
		jobs[i].team = &team;
		jobs[i].ith = i;
		if (pthread_create(&threads[i], NULL, worker, &jobs[i]))
			abort();
	}
	graph_walk(&team, 0);
	for (int i = 1; i < team.n_threads; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* What the module hands out: calls ggml_graph_compute from within, as the real one does. */
static int backend_graph_compute(struct ggml_cgraph *graph, struct ggml_cplan *plan)
{
	int rc = ggml_graph_compute(graph, plan);

	/* no tail call: the caller is seen to be this module */
	__asm__ volatile("" ::: "memory");
	return rc;
}

/*
 * FAKE_POINTER hands out the public function itself. Whoever stands in for it is then called from another library than the
 * one that has it, and finds it neither in the global scope nor in the caller's.
 */
__attribute__((constructor)) static void start(void)
{
	op_ns = fake_duration("FAKE_OP_NS", op_ns);
	fake_backend_register(getenv("FAKE_POINTER") ? ggml_graph_compute : backend_graph_compute);
}
