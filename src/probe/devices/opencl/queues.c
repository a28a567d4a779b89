/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues: they get the profiling bit, and the application is told what it would be told without it. Entries are made under a
 * lock and never freed, so that the hot path finds them without one.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/opencl/opencl.h"

#define QUEUES_MAX    64
#define DEVICES_MAX   16
#define LIST_MAX      (LMM_CL_ASKED_MAX - 3) /* room for our pair and the end */
#define RECORDABLE    (1ull << 30)	     /* CL_QUEUE_RECORDABLE_QCOM: refuses profiling */
#define PROPERTY_LIST 0x1098		     /* CL_QUEUE_PROPERTIES_ARRAY */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_cl_queue *queues[QUEUES_MAX];
static _Atomic unsigned n_queues;
static _Atomic(struct lmm_cl_queue *) last_found;
static struct {
	cl_device_id id;
	uint16_t number;
} devices[DEVICES_MAX];
static unsigned n_devices;
static _Atomic bool has_injected; /* some queue has the bit from us */
static _Atomic bool is_full;

struct lmm_cl_queue *lmm_cl_queue_find(cl_command_queue handle)
{
	struct lmm_cl_queue *q = atomic_load_explicit(&last_found, memory_order_acquire);
	unsigned n;

	if (lmm_likely(q && atomic_load_explicit(&q->handle, memory_order_relaxed) == handle))
		return q;
	/* pairs with the release in entry_add() */
	n = atomic_load_explicit(&n_queues, memory_order_acquire);
	for (unsigned i = 0; i < n; i++) {
		q = queues[i];
		if (atomic_load_explicit(&q->handle, memory_order_acquire) == handle) {
			atomic_store_explicit(&last_found, q, memory_order_release);
			return q;
		}
	}
	return NULL;
}

struct lmm_cl_queue *const *lmm_cl_queues(unsigned *n)
{
	*n = atomic_load_explicit(&n_queues, memory_order_acquire);
	return queues;
}

/* ---- making one --------------------------------------------------------------------------------- */

static uint16_t device_number(cl_device_id device)
{
	for (unsigned i = 0; i < n_devices; i++) {
		if (devices[i].id == device)
			return devices[i].number;
	}
	if (n_devices == DEVICES_MAX)
		return lmm_device_number_next();
	devices[n_devices].id = device;
	devices[n_devices].number = lmm_device_number_next();
	return devices[n_devices++].number;
}

void lmm_cl_queues_lock(void)
{
	pthread_mutex_lock(&lock);
}

void lmm_cl_queues_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void lmm_cl_queues_full_say(void)
{
	if (!is_full)
		return;
	lmm_session_reason(LMM_LEVEL_KERNELS,
			   "more than %d OpenCL queues: commands of further ones are not seen",
			   QUEUES_MAX);
}

/* Its queue is gone, all its commands are done with, and its number says nothing to this session. */
static bool is_free(const struct lmm_cl_queue *q)
{
	return (q->is_released || !atomic_load(&q->handle)) &&
	       (!lmm_session_is_joined() || q->told != lmm_device_session()) &&
	       atomic_load(&q->tail) == atomic_load(&q->head);
}

/* An entry whose queue is gone, or a new one. With the lock held. */
static struct lmm_cl_queue *entry_add(void)
{
	unsigned n = atomic_load(&n_queues);
	struct lmm_cl_queue *q;

	for (unsigned i = 0; i < n; i++) {
		if (is_free(queues[i])) {
			atomic_store(&queues[i]->handle, NULL);
			return queues[i];
		}
	}
	if (n == QUEUES_MAX)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->number = lmm_device_queue_next();
	queues[n] = q;
	/* pairs with the acquire in lmm_cl_queue_find() */
	atomic_store_explicit(&n_queues, n + 1, memory_order_release);
	return q;
}

/* A handle that is given out again belongs to a new queue. */
static void handle_forget(cl_command_queue handle)
{
	unsigned n = atomic_load(&n_queues);

	for (unsigned i = 0; i < n; i++) {
		if (atomic_load(&queues[i]->handle) == handle)
			atomic_store(&queues[i]->handle, NULL);
	}
}

struct wish {
	cl_device_id device;
	cl_command_queue_properties bits; /* as the application asked */
	bool has_list;			  /* made by the function that takes one */
	const cl_queue_properties *list;  /* NULL: none */
	bool is_injected;
	bool is_refused;
};

/* Keys with a value each, and a 0 behind them. A list that is too long is not remembered: the driver's answer stands. */
static void list_keep(struct lmm_cl_queue *q, const cl_queue_properties *list)
{
	unsigned n = 0;

	while (n <= LIST_MAX && list[n])
		n += 2;
	if (n > LIST_MAX)
		return;
	memcpy(q->asked, list, (n + 1) * sizeof(*list));
	q->n_asked = (uint8_t)(n + 1);
}

static void queue_note(cl_command_queue handle, const struct wish *w)
{
	struct lmm_cl_queue *q;

	lmm_device_api_add(&lmm_cl_api);
	pthread_mutex_lock(&lock);
	handle_forget(handle);
	q = entry_add();
	if (q) {
		q->device = w->device;
		q->device_number = device_number(w->device);
		q->is_released = false;
		q->is_refused = w->is_refused;
		q->is_injected = w->is_injected;
		q->is_timed = w->is_injected || (w->bits & CL_QUEUE_PROFILING_ENABLE);
		q->is_ordered = !(w->bits & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
		q->has_timer = lmm_cl.clGetDeviceAndHostTimer != NULL;
		q->has_list = w->has_list;
		q->n_asked = 0;
		if (w->list)
			list_keep(q, w->list);
		if (w->is_injected)
			atomic_store_explicit(&has_injected, true, memory_order_relaxed);
		if (lmm_session_is_joined())
			lmm_cl_queue_describe(q);
		atomic_store_explicit(&q->handle, handle, memory_order_release);
	} else {
		atomic_store(&is_full, true);
	}
	pthread_mutex_unlock(&lock);
	lmm_cl_queues_full_say();
	if (lmm_session_is_joined())
		lmm_device_marks_begin("clEnqueueNDRangeKernel");
}

LMM_COLD struct lmm_cl_queue *lmm_cl_queue_adopt(cl_command_queue handle)
{
	struct wish w = { .device = NULL };

	if (atomic_load_explicit(&is_full, memory_order_relaxed) || !lmm_cl.clGetCommandQueueInfo ||
	    /* NOLINTNEXTLINE(bugprone-sizeof-expression): a handle is a pointer, and the pointer is asked for */
	    lmm_cl.clGetCommandQueueInfo(handle, CL_QUEUE_DEVICE, sizeof(w.device), &w.device,
					 NULL) ||
	    lmm_cl.clGetCommandQueueInfo(handle, CL_QUEUE_PROPERTIES, sizeof(w.bits), &w.bits,
					 NULL))
		return NULL;
	queue_note(handle, &w);
	return lmm_cl_queue_find(handle);
}

void lmm_cl_queues_forget(void)
{
	unsigned n = atomic_load(&n_queues);

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < n; i++)
		atomic_store(&queues[i]->handle, NULL);
	atomic_store(&last_found, NULL);
	pthread_mutex_unlock(&lock);
}

/* The recording begins here, for programs in which nothing began it before. One that begins later needs the queue as well. */
static bool is_wanted(void)
{
	lmm_probe_start();
	if (!lmm_session_is_joined())
		return lmm_session_is_asleep();
	lmm_engine_describe_unknown("opencl");
	return true;
}

/* The bit costs something on some drivers: while nobody records, only who has asked for it pays. */
static bool is_injecting(void)
{
	return lmm_session_is_joined() || lmm_session_is_prepared();
}

LMM_CL_HOOK(cl_command_queue, clCreateCommandQueue,
	    (cl_context context, cl_device_id device, cl_command_queue_properties bits,
	     cl_int *error),
	    (context, device, bits, error))
{
	struct wish w = { .device = device, .bits = bits };
	cl_command_queue queue = NULL;

	if (!is_wanted())
		return lmm_cl.clCreateCommandQueue(context, device, bits, error);
	if (is_injecting() && !(bits & (CL_QUEUE_PROFILING_ENABLE | RECORDABLE))) {
		queue = lmm_cl.clCreateCommandQueue(context, device,
						    bits | CL_QUEUE_PROFILING_ENABLE, error);
		w.is_injected = queue != NULL;
	}
	w.is_refused = is_injecting() && !w.is_injected;
	if (!queue)
		queue = lmm_cl.clCreateCommandQueue(context, device, bits, error);
	if (queue)
		queue_note(queue, &w);
	return queue;
}

/* Where the bits stand in a property list; the list's length without its end in *n. */
static const cl_queue_properties *list_bits(const cl_queue_properties *list, unsigned *n)
{
	const cl_queue_properties *bits = NULL;

	for (*n = 0; list && *n <= LIST_MAX && list[*n]; *n += 2) {
		if (list[*n] == CL_QUEUE_PROPERTIES)
			bits = &list[*n + 1];
	}
	return bits;
}

/* The list with the profiling bit. 0: leave it as it is. */
static int list_inject(const cl_queue_properties *list, cl_queue_properties *out)
{
	unsigned n;
	const cl_queue_properties *bits = list_bits(list, &n);
	cl_queue_properties asked = bits ? *bits : 0;

	if (n > LIST_MAX || asked & (CL_QUEUE_PROFILING_ENABLE | CL_QUEUE_ON_DEVICE | RECORDABLE))
		return 0;
	if (n)
		memcpy(out, list, n * sizeof(*out));
	if (bits) {
		out[bits - list] |= CL_QUEUE_PROFILING_ENABLE;
	} else {
		out[n++] = CL_QUEUE_PROPERTIES;
		out[n++] = CL_QUEUE_PROFILING_ENABLE;
	}
	out[n] = 0;
	return 1;
}

LMM_CL_HOOK(cl_command_queue, clCreateCommandQueueWithProperties,
	    (cl_context context, cl_device_id device, const cl_queue_properties *list,
	     cl_int *error),
	    (context, device, list, error))
{
	cl_queue_properties injected[LMM_CL_ASKED_MAX];
	struct wish w = { .device = device, .list = list, .has_list = true };
	const cl_queue_properties *bits;
	cl_command_queue queue = NULL;
	unsigned n;

	if (!is_wanted())
		return lmm_cl.clCreateCommandQueueWithProperties(context, device, list, error);
	bits = list_bits(list, &n);
	w.bits = bits ? *bits : 0;
	if (is_injecting() && list_inject(list, injected)) {
		queue = lmm_cl.clCreateCommandQueueWithProperties(context, device, injected, error);
		w.is_injected = queue != NULL;
	}
	w.is_refused = is_injecting() && !w.is_injected;
	if (!queue)
		queue = lmm_cl.clCreateCommandQueueWithProperties(context, device, list, error);
	if (queue)
		queue_note(queue, &w);
	return queue;
}

/* ---- what the application is told --------------------------------------------------------------- */

static cl_int answer(const void *value, size_t n, size_t bytes, void *to, size_t *bytes_out)
{
	if (to && bytes < n)
		return CL_INVALID_VALUE;
	if (to && n)
		memcpy(to, value, n);
	if (bytes_out)
		*bytes_out = n;
	return CL_SUCCESS;
}

LMM_CL_HOOK(cl_int, clGetCommandQueueInfo,
	    (cl_command_queue queue, cl_command_queue_info what, size_t bytes, void *to,
	     size_t *bytes_out),
	    (queue, what, bytes, to, bytes_out))
{
	struct lmm_cl_queue *q = NULL;
	cl_int rc;

	if (atomic_load_explicit(&has_injected, memory_order_relaxed))
		q = lmm_cl_queue_find(queue);
	/* without a list the answer's size is 0, which drivers say by themselves */
	if (q && q->is_injected && what == PROPERTY_LIST && q->has_list) {
		return answer(q->asked, q->n_asked * sizeof(q->asked[0]), bytes, to, bytes_out);
	}
	rc = lmm_cl.clGetCommandQueueInfo(queue, what, bytes, to, bytes_out);
	if (rc == CL_SUCCESS && q && q->is_injected && what == CL_QUEUE_PROPERTIES && to &&
	    bytes >= sizeof(cl_command_queue_properties)) {
		cl_command_queue_properties bits;

		memcpy(&bits, to, sizeof(bits));
		bits &= ~(cl_command_queue_properties)CL_QUEUE_PROFILING_ENABLE;
		memcpy(to, &bits, sizeof(bits));
	}
	return rc;
}

LMM_CL_HOOK(cl_int, clReleaseCommandQueue, (cl_command_queue queue), (queue))
{
	struct lmm_cl_queue *q = lmm_cl_queue_find(queue);
	cl_uint n = 0;

	if (!q)
		return lmm_cl.clReleaseCommandQueue(queue);
	/* what has ended by now is the last that will be known of it: an event that we keep would keep the queue */
	if (lmm_recording())
		lmm_cl_harvest_ended(q);
	if (lmm_cl.clGetCommandQueueInfo(queue, CL_QUEUE_REFERENCE_COUNT, sizeof(n), &n, NULL) ==
		    CL_SUCCESS &&
	    n == 1) {
		lmm_cl_let_go(q);
		q->is_released = true;
	}
	return lmm_cl.clReleaseCommandQueue(queue);
}

static struct lmm_cl_queue *queue_of(cl_event event)
{
	cl_command_queue handle = NULL;

	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a handle is a pointer, and the pointer is asked for */
	if (lmm_cl.clGetEventInfo(event, CL_EVENT_COMMAND_QUEUE, sizeof(handle), &handle, NULL))
		return NULL;
	return handle ? lmm_cl_queue_find(handle) : NULL;
}

LMM_CL_HOOK(cl_int, clGetEventProfilingInfo,
	    (cl_event event, cl_profiling_info what, size_t bytes, void *to, size_t *bytes_out),
	    (event, what, bytes, to, bytes_out))
{
	struct lmm_cl_queue *q = NULL;

	if (atomic_load_explicit(&has_injected, memory_order_relaxed))
		q = queue_of(event);
	/* without us there would be nothing to know */
	if (q && q->is_injected)
		return CL_PROFILING_INFO_NOT_AVAILABLE;
	return lmm_cl.clGetEventProfilingInfo(event, what, bytes, to, bytes_out);
}

LMM_CL_HOOK(cl_int, clGetEventInfo,
	    (cl_event event, cl_event_info what, size_t bytes, void *to, size_t *bytes_out),
	    (event, what, bytes, to, bytes_out))
{
	cl_int rc = lmm_cl.clGetEventInfo(event, what, bytes, to, bytes_out);

	if (rc != CL_SUCCESS || !to)
		return rc;
	if (what == CL_EVENT_REFERENCE_COUNT && bytes >= sizeof(cl_uint)) {
		struct lmm_cl_queue *q = queue_of(event);
		cl_uint n;

		memcpy(&n, to, sizeof(n));
		n -= q && n > 1 && lmm_cl_event_is_held(q, event);
		memcpy(to, &n, sizeof(n));
	} else if (what == CL_EVENT_COMMAND_EXECUTION_STATUS && bytes >= sizeof(cl_int) &&
		   lmm_recording()) {
		cl_int status;

		memcpy(&status, to, sizeof(status));
		if (status == CL_COMPLETE)
			lmm_cl_event_ended(event);
	}
	return rc;
}

/* ---- the process's life ------------------------------------------------------------------------- */

void lmm_cl_after_fork(void)
{
	unsigned n = atomic_load(&n_queues);

	/* what is pending can be told by the parent alone; OpenCL itself asks the child to begin anew */
	pthread_mutex_init(&lock, NULL);
	for (unsigned i = 0; i < n; i++) {
		atomic_store(&queues[i]->handle, NULL);
		atomic_store(&queues[i]->tail, atomic_load(&queues[i]->head));
		queues[i]->told = 0;
	}
	atomic_store(&last_found, NULL);
	lmm_cl_told_after_fork();
	lmm_cl_kernels_after_fork();
}

void lmm_cl_look_around(void)
{
	if (atomic_load(&n_queues) || atomic_load(&lmm_cl_is_layer) ||
	    !lmm_device_library_is_loaded("libOpenCL.so"))
		return;
	lmm_session_reason(
		LMM_LEVEL_KERNELS,
		"OpenCL is loaded, and its loader takes no layers: if kernels run on it, "
		"--door preload shows them");
}
