/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions come and go while queues live: what one is told when it begins, and what it leaves behind. A queue is told of by the
 * first command of the session, in the program's own call: drivers are asked on no thread that they do not know already.
 */
#include <time.h>

#include "probe/devices/opencl/calibrate.h"
#include "probe/devices/opencl/opencl.h"

#define WAIT_NS	  1000000
#define WAITS_MAX 100

_Atomic uint32_t lmm_cl_told;

/* ---- begin -------------------------------------------------------------------------------------- */

void lmm_cl_queue_describe(struct lmm_cl_queue *q)
{
	struct lmm_buf b = { 0 };
	char name[256] = "";

	if (lmm_cl.clGetDeviceInfo(q->device, CL_DEVICE_NAME, sizeof(name), name, NULL))
		name[0] = 0;
	name[sizeof(name) - 1] = 0;
	lmm_buf_put_varint(&b, q->number);
	lmm_buf_put_str(&b, name[0] ? name : "OpenCL device");
	lmm_buf_put_varint(&b, 1000000000u); /* stamps of OpenCL are nanoseconds by definition */
	lmm_buf_put_varint(&b, q->device_number);
	lmm_buf_put_varint(&b, !q->is_ordered);
	lmm_session_describe(LMM_DESC_QUEUE, &b);
	lmm_buf_free(&b);
	q->told = lmm_cl_session();
	if (q->is_refused && !q->is_timed) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "the OpenCL driver makes no queue with profiling: its kernels "
				   "are counted and not timed");
	} else if (!q->is_timed) {
		lmm_session_reason(
			LMM_LEVEL_PHASES,
			"an OpenCL queue was made before the recording, without profiling: its "
			"kernels are counted and not timed; lmmeter run --dormant asks for it");
	}
}

static void queues_tell(uint32_t session)
{
	struct lmm_cl_queue *const *all;
	unsigned n;

	all = lmm_cl_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		struct lmm_cl_queue *q = all[i];

		if (q->told != session && !q->is_released && atomic_load(&q->handle))
			lmm_cl_queue_describe(q);
	}
}

LMM_COLD void lmm_cl_recording_begin(void)
{
	uint32_t session = lmm_cl_session();

	lmm_cl_queues_lock();
	if (atomic_load(&lmm_cl_told) != session) {
		lmm_engine_describe_unknown("opencl");
		queues_tell(session);
		lmm_cl_harvest_renew();
		lmm_cl_calibrate_renew();
		/* pairs with the acquire in step_begin(): no other thread's command goes before */
		atomic_store_explicit(&lmm_cl_told, session, memory_order_release);
	}
	lmm_cl_queues_unlock();
	lmm_cl_queues_full_say();
	lmm_cl_marks_begin();
}

/* ---- end ---------------------------------------------------------------------------------------- */

/* False: something is left, as a thread is reading it, or has not put it down yet. */
static bool all_let_go(void)
{
	struct lmm_cl_queue *const *all;
	bool is_done = true;
	unsigned n;

	all = lmm_cl_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		struct lmm_cl_queue *q = all[i];

		if (atomic_load(&q->tail) == atomic_load(&q->head))
			continue;
		lmm_cl_let_go(q);
		is_done &= atomic_load(&q->tail) == atomic_load(&q->head);
	}
	return is_done;
}

void lmm_cl_recording_end(void)
{
	struct timespec t = { 0, WAIT_NS };

	for (int i = 0; i < WAITS_MAX && !atomic_load(&lmm_cl_is_over) && !all_let_go(); i++)
		nanosleep(&t, NULL);
}
