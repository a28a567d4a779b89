/* SPDX-License-Identifier: Apache-2.0 */
/* Calls in which the program waits for the device: what has ended by then is read, and a window may close in them. */
#include "probe/devices/cuda/cuda.h"
#include "probe/devices/cuda/hooks.h"
#include "probe/devices/cuda/window.h"

#define SUMS_MAX 64u /* calls and waits that may be lost of a thread that ends unseen */

void lmm_cu_waited(struct lmm_thread *th, cuda_result rc)
{
	struct lmm_cu_thread *x = &lmm_cu_self;

	lmm_cu_pair_close(); /* a copy that waits has no end yet */
	if (rc == 0)
		lmm_cu_pair_harvest(th);
	lmm_cu_window_wait_end(th);
	/* where no step is known, what follows a wait is the next one */
	if (x->step == LMM_STEP_NONE)
		x->has_step = false;
}

struct wait {
	struct lmm_thread *th;
	uint64_t t;
};

static bool wait_begin(struct wait *w, const void *fn)
{
	w->th = lmm_thread_known();
	if (!w->th || !lmm_cu_self.has_step || lmm_cu_self.capture)
		return false;
	lmm_cu_bind(fn);
	lmm_cu_pair_close();
	lmm_cu_window_wait_begin();
	w->t = lmm_now();
	lmm_cu_self.is_inside = 1;
	return true;
}

static void wait_end(const struct wait *w, cuda_result rc)
{
	struct lmm_cu_thread *x = &lmm_cu_self;

	x->is_inside = 0;
	x->sums.wait_ticks += lmm_now() - w->t;
	x->sums.waits++;
	/* a thread may never begin another step */
	if (lmm_unlikely(x->sums.waits + x->sums.calls >= SUMS_MAX))
		lmm_cu_sums_put(w->th, lmm_now());
	lmm_cu_waited(w->th, rc);
}

#define WAIT(symbol, params, args)                                                                 \
	LMM_CU_HOOK(symbol, params)                                                                \
	{                                                                                          \
		struct wait w;                                                                     \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_CU_ENTER(symbol, args);                                                        \
		if (!wait_begin(&w, (const void *)fn))                                             \
			return fn args;                                                            \
		rc = fn args;                                                                      \
		wait_end(&w, rc);                                                                  \
		return rc;                                                                         \
	}
WAIT(cudaStreamSynchronize, (cuda_stream stream), (stream))
WAIT(cudaStreamSynchronize_ptsz, (cuda_stream stream), (stream))
WAIT(cudaDeviceSynchronize, (void), ())
WAIT(cudaEventSynchronize, (cuda_event event), (event))
WAIT(cuStreamSynchronize, (cuda_stream stream), (stream))
WAIT(cuStreamSynchronize_ptsz, (cuda_stream stream), (stream))
WAIT(cuCtxSynchronize, (void), ())
WAIT(cuCtxSynchronize_v2, (void *context), (context))
WAIT(cuEventSynchronize, (cuda_event event), (event))
