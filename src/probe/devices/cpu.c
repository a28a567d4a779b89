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
		lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_EPOCH, 0, LMM_SEQ_NONE, lmm_run_now.graph),
				    (uint64_t)(uintptr_t)lmm_run_now.base,
				    (uint64_t)lmm_run_now.step | (uint64_t)epoch << 32);
	}
	lmm_writer_put(&th->w, lmm_now(), lmm_word_op(type, node));
}

static inline void op_begin(unsigned type, const struct compute_params *params, const void *node)
{
	struct lmm_thread *th = lmm_self;

	if (lmm_likely(params->ith == 0)) {
		if (lmm_likely(th && th->ops_on))
			lmm_writer_put(&th->w, lmm_now(), lmm_word_op(type, node));
	} else if (lmm_probe_threads_all && lmm_recording()) {
		worker_op(type, node);
	}
}

/* Called by every compute thread for every node that is not fused into the one before. */
LMM_HOOK(bool, ggml_cpu_extra_compute_forward, struct compute_params *params, void *node)
{
	LMM_REAL(ggml_cpu_extra_compute_forward);
	if (!LMM_FOREIGN(ggml_cpu_extra_compute_forward))
		op_begin(LMM_EV_OP, params, node);
	return fn(params, node);
}

/* RMS_NORM with the MUL behind it (since 2026); does not come by the function above. */
LMM_HOOK(void, ggml_compute_forward_rms_norm_mul_fused, struct compute_params *params, void *node, void *mul)
{
	LMM_REAL(ggml_compute_forward_rms_norm_mul_fused);
	if (!LMM_FOREIGN(ggml_compute_forward_rms_norm_mul_fused))
		op_begin(LMM_EV_OP_FUSED, params, node);
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
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_GRAPH_BEGIN, 0, LMM_SEQ_NONE, th->graph),
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
