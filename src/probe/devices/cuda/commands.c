/* SPDX-License-Identifier: Apache-2.0 */
/* Launches and copies as they are handed over. This is the hot path of every GPU kernel: docs/design.md, "Hot path". */
#include <errno.h>

#include "probe/devices/cuda/cuda.h"
#include "probe/devices/cuda/hooks.h"
#include "probe/devices/cuda/window.h"

static void recording_begin(void)
{
	lmm_engine_describe_unknown("cuda");
	lmm_cu_pairs_renew();
	lmm_cu_window_renew();
	/* the backend's nodes, whichever of its launches it imports */
	lmm_device_marks_begin("cudaGraphLaunch");
	lmm_device_marks_begin("cudaLaunchKernel");
}

struct lmm_device_api lmm_cu_api = { .recording_begin = recording_begin };

void lmm_cu_calls_end(void)
{
	struct lmm_thread *th = lmm_thread_known();

	if (th && lmm_recording() && lmm_cu_self.session == lmm_device_session())
		lmm_cu_sums_put(th, lmm_now());
}

void lmm_cu_thread_end(void)
{
	lmm_cu_calls_end();
	lmm_cu_pairs_give_back();
	lmm_cu_window_leave();
}

void lmm_cu_after_fork(void)
{
	lmm_cu_streams_after_fork();
	lmm_cu_kernels_after_fork();
	lmm_cu_graphs_after_fork();
	lmm_cu_pairs_after_fork();
	lmm_cu_window_after_fork();
	lmm_cu_self = (struct lmm_cu_thread){ 0 };
}

/* ---- steps -------------------------------------------------------------------------------------- */

static uint64_t saturated(uint64_t v)
{
	return v < UINT32_MAX ? v : UINT32_MAX;
}

void lmm_cu_sums_put(struct lmm_thread *th, uint64_t t)
{
	struct lmm_cu_sums *s = &lmm_cu_self.sums;

	if (s->calls || s->waits) {
		lmm_writer_put_wide(&th->w, t,
				    lmm_word(LMM_EV_CALLS, lmm_cu_self.step_phase, LMM_SEQ_NONE,
					     lmm_cu_self.step),
				    saturated(s->call_ticks) | (uint64_t)s->calls << 32,
				    saturated(s->wait_ticks) | (uint64_t)s->waits << 32);
	}
	*s = (struct lmm_cu_sums){ 0 };
}

LMM_NOINLINE void lmm_cu_step_begin(struct lmm_thread *th, uint64_t t)
{
	struct lmm_cu_thread *x = &lmm_cu_self;
	uint32_t number = th->step == LMM_STEP_NONE ? (uint32_t)t : th->step;
	uint64_t took = t - x->step_t;
	unsigned phase = lmm_device_phase(th);
	int saved = errno;
	uint16_t kind = (uint16_t)(1u << (phase & 15u));

	if (x->session == lmm_device_session()) {
		lmm_cu_sums_put(th, t);
		if (x->has_step && x->step_phase == LMM_PHASE_DECODE)
			lmm_cu_pair_cost_take(took, x->was_timed, x->was_in_window);
	} else {
		x->sums = (struct lmm_cu_sums){ 0 };
		x->timed_kinds = 0;
	}
	lmm_device_api_add(&lmm_cu_api);
	lmm_device_recording_tell();
	x->session = lmm_device_session();
	x->has_step = true;
	x->step = th->step;
	x->step_t = t;
	x->step_phase = (uint8_t)phase;
	lmm_cu_window_step(th, t);
	x->budget.commands = 1;
	x->is_timed = (uint8_t)lmm_budget_step(&x->budget, t, number, lmm_cu_pair_cost(),
					       lmm_budget_part(lmm_session_device_budget_ppm(), 4));
	/* the first of its kind is, whatever that costs */
	if (!(x->timed_kinds & kind)) {
		x->timed_kinds |= kind;
		x->is_timed = true;
	}
	x->was_in_window = lmm_cu_window_is_mine();
	x->is_timed |= x->was_in_window;
	x->was_timed = x->is_timed;
	errno = saved;
}

/* ---- a call ------------------------------------------------------------------------------------- */

LMM_INLINE static bool begin(struct lmm_cu_command *c, const void *fn, cuda_stream stream,
			     bool is_work)
{
	struct lmm_cu_thread *x = &lmm_cu_self;

	c->th = lmm_thread_self();
	if (!c->th) {
		lmm_no_ring(1);
		return false;
	}
	lmm_cu_bind(fn);
	c->stream = stream;
	c->t = lmm_now();
	if (lmm_unlikely(!x->has_step || c->th->step != x->step ||
			 x->session != lmm_device_session())) {
		lmm_cu_step_begin(c->th, c->t);
		c->t = lmm_now();
	}
	x->is_inside = 1;
	x->window = 0;
	if (lmm_unlikely(x->is_timed) && is_work && !x->capture)
		lmm_cu_pair_mark(c->th, stream, c->t);
	if (lmm_unlikely(atomic_load_explicit(&lmm_cu_window_is_open, memory_order_relaxed)))
		lmm_cu_log_begin();
	return true;
}

bool lmm_cu_begin(struct lmm_cu_command *c, const void *fn, cuda_stream stream, bool is_work)
{
	return begin(c, fn, stream, is_work);
}

static void put(const struct lmm_cu_command *c, uint32_t kernel, unsigned kind, uint64_t amount)
{
	const struct lmm_cu_stream *s = lmm_cu_stream_find(c->stream);
	struct lmm_device_command d = { .t = c->t,
					.amount = amount,
					.graph = c->th->graph,
					.node = LMM_NODE_UNKNOWN,
					.kernel = kernel };

	if (!s)
		return;
	d.queue = s->number;
	if (kind != LMM_KERNEL_COMMAND_BUFFER) /* which is for all of them */
		d.node = lmm_device_node(c->th);
	lmm_device_command_put(c->th, &d);
}

void lmm_cu_end(struct lmm_cu_command *c, cuda_result rc, uint32_t kernel, unsigned kind,
		uint64_t amount, struct lmm_cu_graph *graph)
{
	struct lmm_cu_thread *x = &lmm_cu_self;

	x->is_inside = 0;
	x->sums.call_ticks += lmm_now() - c->t;
	x->sums.calls++;
	if (rc)
		return;
	if (lmm_unlikely(x->capture) && kind != LMM_KERNEL_COMMAND_BUFFER &&
	    lmm_cu_is_captured(c->th, c->stream, kernel, kind))
		return;
	if (lmm_unlikely(x->window) && lmm_cu_log_put(c, kernel, kind, amount, graph))
		return;
	put(c, kernel, kind, amount);
}

/* ---- kernels ------------------------------------------------------------------------------------ */

static uint64_t threads_of(struct cuda_dim3 grid, struct cuda_dim3 block)
{
	return (uint64_t)grid.x * grid.y * grid.z * block.x * block.y * block.z;
}

#define LAUNCH(symbol, default_stream)                                                             \
	LMM_CU_HOOK(symbol, (const void *f, struct cuda_dim3 grid, struct cuda_dim3 block,         \
			     void **args, size_t shared, cuda_stream stream))                      \
	{                                                                                          \
		struct lmm_cu_command c;                                                           \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, (f, grid, block, args, shared, stream));                      \
		if (!begin(&c, (const void *)fn, stream ? stream : (default_stream), true))        \
			return fn(f, grid, block, args, shared, stream);                           \
		rc = fn(f, grid, block, args, shared, stream);                                     \
		lmm_cu_end(&c, rc, rc ? 0 : lmm_cu_kernel_number(f, false), LMM_KERNEL_PROGRAM,    \
			   threads_of(grid, block), NULL);                                         \
		return rc;                                                                         \
	}
LAUNCH(cudaLaunchKernel, CUDA_STREAM_LEGACY)
LAUNCH(cudaLaunchKernel_ptsz, CUDA_STREAM_PER_THREAD)
LAUNCH(__cudaLaunchKernel, CUDA_STREAM_LEGACY)
LAUNCH(__cudaLaunchKernel_ptsz, CUDA_STREAM_PER_THREAD)
LAUNCH(cudaLaunchCooperativeKernel, CUDA_STREAM_LEGACY)
LAUNCH(cudaLaunchCooperativeKernel_ptsz, CUDA_STREAM_PER_THREAD)

#define LAUNCH_CONFIG(symbol, default_stream)                                                      \
	LMM_CU_HOOK(symbol, (const struct cuda_launch_config *config, const void *f, void **args)) \
	{                                                                                          \
		struct lmm_cu_command c;                                                           \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, (config, f, args));                                           \
		if (!config || !begin(&c, (const void *)fn,                                        \
				      config->stream ? config->stream : (default_stream), true))   \
			return fn(config, f, args);                                                \
		rc = fn(config, f, args);                                                          \
		lmm_cu_end(&c, rc, rc ? 0 : lmm_cu_kernel_number(f, false), LMM_KERNEL_PROGRAM,    \
			   threads_of(config->grid, config->block), NULL);                         \
		return rc;                                                                         \
	}
LAUNCH_CONFIG(cudaLaunchKernelExC, CUDA_STREAM_LEGACY)
LAUNCH_CONFIG(cudaLaunchKernelExC_ptsz, CUDA_STREAM_PER_THREAD)

/* NOLINTBEGIN(readability-function-size): CUDA's own lists of parameters */
#define LAUNCH_GRID(symbol, default_stream, params, args_)                                         \
	LMM_CU_HOOK(symbol, params)                                                                \
	{                                                                                          \
		struct lmm_cu_command c;                                                           \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, args_);                                                       \
		if (!begin(&c, (const void *)fn, stream ? stream : (default_stream), true))        \
			return fn args_;                                                           \
		rc = fn args_;                                                                     \
		lmm_cu_end(&c, rc, rc ? 0 : lmm_cu_kernel_number(f, true), LMM_KERNEL_PROGRAM,     \
			   (uint64_t)gx *gy *gz *bx *by *bz, NULL);                                \
		return rc;                                                                         \
	}
#define LAUNCH_DRIVER(symbol, default_stream)                                                      \
	LAUNCH_GRID(symbol, default_stream,                                                        \
		    (void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,     \
		     unsigned bz, unsigned shared, cuda_stream stream, void **args, void **extra), \
		    (f, gx, gy, gz, bx, by, bz, shared, stream, args, extra))
LAUNCH_DRIVER(cuLaunchKernel, CUDA_STREAM_LEGACY)
LAUNCH_DRIVER(cuLaunchKernel_ptsz, CUDA_STREAM_PER_THREAD)

#define LAUNCH_COOPERATIVE(symbol, default_stream)                                                 \
	LAUNCH_GRID(symbol, default_stream,                                                        \
		    (void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,     \
		     unsigned bz, unsigned shared, cuda_stream stream, void **args),               \
		    (f, gx, gy, gz, bx, by, bz, shared, stream, args))
LAUNCH_COOPERATIVE(cuLaunchCooperativeKernel, CUDA_STREAM_LEGACY)
LAUNCH_COOPERATIVE(cuLaunchCooperativeKernel_ptsz, CUDA_STREAM_PER_THREAD)

#define LAUNCH_DRIVER_CONFIG(symbol, default_stream)                                               \
	LMM_CU_HOOK(symbol,                                                                        \
		    (const struct cuda_driver_config *config, void *f, void **args, void **extra)) \
	{                                                                                          \
		struct lmm_cu_command c;                                                           \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, (config, f, args, extra));                                    \
		if (!config || !begin(&c, (const void *)fn,                                        \
				      config->stream ? config->stream : (default_stream), true))   \
			return fn(config, f, args, extra);                                         \
		rc = fn(config, f, args, extra);                                                   \
		lmm_cu_end(&c, rc, rc ? 0 : lmm_cu_kernel_number(f, true), LMM_KERNEL_PROGRAM,     \
			   (uint64_t)config->grid[0] * config->grid[1] * config->grid[2] *         \
				   config->block[0] * config->block[1] * config->block[2],         \
			   NULL);                                                                  \
		return rc;                                                                         \
	}
LAUNCH_DRIVER_CONFIG(cuLaunchKernelEx, CUDA_STREAM_LEGACY)
LAUNCH_DRIVER_CONFIG(cuLaunchKernelEx_ptsz, CUDA_STREAM_PER_THREAD)
/* NOLINTEND(readability-function-size) */

#define LAUNCH_GRAPH(symbol, default_stream)                                                       \
	LMM_CU_HOOK(symbol, (cuda_exec exec, cuda_stream stream))                                  \
	{                                                                                          \
		struct lmm_cu_graph *g;                                                            \
		struct lmm_cu_command c;                                                           \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, (exec, stream));                                              \
		if (!begin(&c, (const void *)fn, stream ? stream : (default_stream), true))        \
			return fn(exec, stream);                                                   \
		rc = fn(exec, stream);                                                             \
		g = lmm_cu_graph_of(exec);                                                         \
		lmm_cu_end(&c, rc, rc ? 0 : lmm_cu_graph_number(g), LMM_KERNEL_COMMAND_BUFFER,     \
			   g ? g->n : 0, g);                                                       \
		return rc;                                                                         \
	}
LAUNCH_GRAPH(cudaGraphLaunch, CUDA_STREAM_LEGACY)
LAUNCH_GRAPH(cudaGraphLaunch_ptsz, CUDA_STREAM_PER_THREAD)
LAUNCH_GRAPH(cuGraphLaunch, CUDA_STREAM_LEGACY)
LAUNCH_GRAPH(cuGraphLaunch_ptsz, CUDA_STREAM_PER_THREAD)
