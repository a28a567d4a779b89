/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions come and go while queues live: what one is told when it begins, and what it leaves behind. A queue is told of by the
 * first command of the session, in the program's own call: drivers are asked on no thread that they do not know already.
 */
#include <time.h>

#include "probe/devices/opencl/opencl.h"

#define WAIT_NS	  1000000
#define WAITS_MAX 100

struct lmm_device_api lmm_cl_api = { .recording_begin = lmm_cl_recording_begin };

static _Atomic uint32_t told; /* the session that is told of the queues */

/* ---- begin -------------------------------------------------------------------------------------- */

void lmm_cl_queue_describe(struct lmm_cl_queue *q)
{
	char name[256] = "";
	struct lmm_device_queue told_of = {
		.ticks_per_second =
			1000000000u, /* stamps of OpenCL are nanoseconds by definition */
		.number = q->number,
		.device_number = q->device_number,
		.is_ordered = q->is_ordered,
	};

	if (lmm_cl.clGetDeviceInfo(q->device, CL_DEVICE_NAME, sizeof(name), name, NULL))
		name[0] = 0;
	name[sizeof(name) - 1] = 0;
	told_of.device = name[0] ? name : "OpenCL device";
	lmm_device_queue_describe(&told_of);
	q->told = lmm_device_session();
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
	uint32_t session = lmm_device_session();

	lmm_cl_queues_lock();
	if (atomic_load(&told) != session) {
		lmm_engine_describe_unknown("opencl");
		queues_tell(session);
		lmm_device_cost_renew(&lmm_cl_api.cost);
		atomic_store(&told, session);
	}
	lmm_cl_queues_unlock();
	lmm_cl_queues_full_say();
	lmm_device_marks_begin("clEnqueueNDRangeKernel");
}

void lmm_cl_told_after_fork(void)
{
	atomic_store(&told, 0);
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
