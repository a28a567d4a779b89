/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on ggml's CPU backend: one stamp as each begins; the next one's beginning is its end. */
#include "probe/probe.h"

struct lmm_run lmm_run_now;

/* The head of struct ggml_compute_params, the same since it exists. */
struct compute_params {
	int ith;
	int nth;
};

/* A worker's operator: joins the run of the thread that started it, once per run. */
static LMM_NOINLINE void worker_op(unsigned type, const void *node)
{
	/* pairs with the release in run_begin() */
	uint32_t epoch = atomic_load_explicit(&lmm_run_now.epoch, memory_order_acquire);
	struct lmm_thread *th = lmm_thread_self();

	if (!th) {
		lmm_no_ring(1);
		return;
	}
	if (th->w.epoch != epoch) {
		th->w.epoch = epoch;
		lmm_writer_put_wide(&th->w, lmm_now(),
				    lmm_word(LMM_EV_EPOCH, 0, LMM_SEQ_NONE, lmm_run_now.graph),
				    (uint64_t)(uintptr_t)lmm_run_now.base,
				    (uint64_t)lmm_run_now.step | (uint64_t)epoch << 32);
	}
	lmm_writer_put(&th->w, lmm_now(), lmm_word_op(type, node));
}

/* Whatever is not the common case; the common case must not pay for its registers. */
static LMM_COLD void op_begin_slowly(unsigned type, const struct compute_params *params,
				     const void *node)
{
	struct lmm_thread *th = lmm_self;

	if (params->ith != 0) {
		if (lmm_probe_threads_all && lmm_recording())
			worker_op(type, node);
	} else if (!th) {
		lmm_no_ring(1);
	} else if (th->ops_on) {
		lmm_writer_put(&th->w, lmm_now(), lmm_word_op(type, node));
	}
}

/*
 * The hot path, 500 times per token: one stamp and two words. 0: not done here, take the slow road.
 * A thread that is not in a sampled run, or a worker whose operators nobody wants, is done by doing nothing.
 */
static inline int op_begin_fast(unsigned type, const struct compute_params *params,
				const void *node)
{
	struct lmm_thread *th = lmm_self;
	struct lmm_writer *w;

	if (lmm_unlikely(params->ith != 0))
		return !lmm_probe_threads_all;
	if (lmm_unlikely(!th))
		return !lmm_probe_lossy;
	if (lmm_unlikely(!th->ops_on))
		return 1;
	w = &th->w;
	if (lmm_unlikely(w->head >= w->limit || lmm_probe_clock == LMM_CLOCK_MONOTONIC))
		return 0;
	lmm_writer_store(w, lmm_counter(), lmm_word_op(type, node));
	return 1;
}

static LMM_COLD bool extra_slowly(struct compute_params *params, void *node, const void *ra);
static LMM_COLD void fused_slowly(struct compute_params *params, void *node, void *mul,
				  const void *ra);

/* Called by every compute thread for every node that is not fused into the one before. */
LMM_HOOK(bool, ggml_cpu_extra_compute_forward, struct compute_params *params, void *node)
{
	if (lmm_unlikely(!LMM_SITE_KNOWN(ggml_cpu_extra_compute_forward)) ||
	    lmm_unlikely(!op_begin_fast(LMM_EV_OP, params, node)))
		return extra_slowly(params, node, __builtin_return_address(0));
	return lmm_orig_ggml_cpu_extra_compute_forward(params, node);
}

static bool extra_slowly(struct compute_params *params, void *node, const void *ra)
{
	bool (*fn)(struct compute_params *, void *);

	*(void **)&fn = lmm_door_resolve(&door_ggml_cpu_extra_compute_forward, ra);
	if (!LMM_FOREIGN(ggml_cpu_extra_compute_forward))
		op_begin_slowly(LMM_EV_OP, params, node);
	return fn(params, node);
}

/* RMS_NORM with the MUL behind it (since 2026); does not come by the function above. */
LMM_HOOK(void, ggml_compute_forward_rms_norm_mul_fused, struct compute_params *params, void *node,
	 void *mul)
{
	if (lmm_unlikely(!LMM_SITE_KNOWN(ggml_compute_forward_rms_norm_mul_fused)) ||
	    lmm_unlikely(!op_begin_fast(LMM_EV_OP_FUSED, params, node))) {
		fused_slowly(params, node, mul, __builtin_return_address(0));
	} else {
		lmm_orig_ggml_compute_forward_rms_norm_mul_fused(params, node, mul);
	}
}

static void fused_slowly(struct compute_params *params, void *node, void *mul, const void *ra)
{
	void (*fn)(struct compute_params *, void *, void *);

	*(void **)&fn = lmm_door_resolve(&door_ggml_compute_forward_rms_norm_mul_fused, ra);
	if (!LMM_FOREIGN(ggml_compute_forward_rms_norm_mul_fused))
		op_begin_slowly(LMM_EV_OP_FUSED, params, node);
	fn(params, node, mul);
}

static void run_begin(struct lmm_thread *th)
{
	uint32_t every = lmm_session_op_every();
	uint32_t epoch = atomic_load_explicit(&lmm_run_now.epoch, memory_order_relaxed) + 1;

	lmm_run_now.graph = th->graph;
	lmm_run_now.base = th->graph_base;
	lmm_run_now.step = th->step;
	/* pairs with the acquire in worker_op() */
	atomic_store_explicit(&lmm_run_now.epoch, epoch, memory_order_release);
	th->ops_on = every == 1 || (every > 1 && th->step % every == 0);
	lmm_writer_put_wide(
		&th->w, lmm_now(), lmm_word(LMM_EV_GRAPH_BEGIN, 0, LMM_SEQ_NONE, th->graph),
		(uint64_t)(uintptr_t)th->graph_base, (uint64_t)th->step | (uint64_t)epoch << 32);
}

/* A run of a graph, or of the part of one that the scheduler gave to the CPU. */
LMM_HOOK(int, ggml_graph_compute, void *cgraph, void *cplan)
{
	struct lmm_thread *th;
	bool described_here;
	int rc;

	LMM_REAL(ggml_graph_compute);
	if (!lmm_recording() || LMM_FOREIGN(ggml_graph_compute))
		return fn(cgraph, cplan);
	th = lmm_thread_self();
	if (!th) {
		lmm_no_ring(2);
		return fn(cgraph, cplan);
	}
	if (lmm_llama_is_under_way(th))
		return fn(cgraph, cplan);
	if (th->ops_on) /* a run inside a run: one record of it is enough */
		return fn(cgraph, cplan);
	described_here = th->graph == 0;
	if (described_here)
		lmm_ggml_graph(th, cgraph, __builtin_return_address(0), NULL);
	run_begin(th);
	rc = fn(cgraph, cplan);
	th->ops_on = 0;
	lmm_writer_put(&th->w, lmm_now(), lmm_word(LMM_EV_GRAPH_END, 0, LMM_SEQ_NONE, th->graph));
	if (described_here)
		th->graph = 0;
	return rc;
}

/*
 * Arrival at a barrier, for --threads all. Not a hook like the others: it would cost every run two jumps per operator, so
 * the symbol itself is exported by liblmmeter-threads.so, which is preloaded only when it is wanted.
 */
static void (*barrier_orig)(void *threadpool);
static struct lmm_door door_barrier = { .name = "ggml_barrier", .orig = (void **)&barrier_orig };

LMM_EXPORT void lmm_threads_barrier(void *threadpool);

LMM_EXPORT void lmm_threads_barrier(void *threadpool)
{
	struct lmm_thread *th = lmm_self;
	void (*fn)(void *) = barrier_orig;
	const void *ra = __builtin_return_address(0);

	if (lmm_unlikely((uintptr_t)ra - door_barrier.site_lo >= door_barrier.site_len))
		*(void **)&fn = lmm_door_resolve(&door_barrier, ra);
	/* workers record once they have joined a run, the first thread while one goes on */
	if (th && fn == barrier_orig && (th->ops_on || th->w.epoch) && lmm_recording())
		lmm_writer_put(&th->w, lmm_now(), lmm_word(LMM_EV_BARRIER, 0, LMM_SEQ_NONE, 0));
	fn(threadpool);
}
