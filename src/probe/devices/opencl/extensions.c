/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels that are recorded once and submitted many times: cl_khr_command_buffer and cl_qcom_recordable_queues. Their functions are
 * no part of the loader's table: programs ask for them by name, and get ours. A submission is one command, whose time covers all
 * of its kernels; which they are says its name. Single kernels inside cannot be timed by anybody.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/opencl/opencl.h"

#define SEQUENCES_MAX 256
#define NAMES_MAX     6 /* kernels named in the name of a sequence */

/* The handles of either extension are pointers, and all that is read of them is their value. */
typedef struct sequence_object *sequence_handle;

struct sequence {
	sequence_handle handle;
	cl_command_queue queue; /* the first it was made for */
	uint64_t hash;
	uint32_t n_kernels;
	uint32_t n_names;
	char names[NAMES_MAX][64];
	uint32_t number, recording; /* described in that recording */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sequence *sequences[SEQUENCES_MAX];
static unsigned n_sequences;

/* With the lock held. A handle that is given out again is a new sequence. */
static struct sequence *sequence_at(sequence_handle handle)
{
	for (unsigned i = 0; i < n_sequences; i++) {
		if (sequences[i]->handle == handle)
			return sequences[i];
	}
	return NULL;
}

static void sequence_begin(sequence_handle handle, cl_command_queue queue)
{
	struct sequence *s;

	pthread_mutex_lock(&lock);
	s = sequence_at(handle);
	if (!s && n_sequences < SEQUENCES_MAX) {
		s = calloc(1, sizeof(*s));
		if (s)
			sequences[n_sequences++] = s;
	}
	if (s) {
		memset(s, 0, sizeof(*s));
		s->handle = handle;
		s->queue = queue;
		s->hash = LMM_HASH_SEED;
	}
	pthread_mutex_unlock(&lock);
}

static void sequence_add(sequence_handle handle, cl_kernel kernel)
{
	struct sequence *s;
	char name[256];
	unsigned i = 0;

	if (lmm_cl_kernel_name(kernel, name, sizeof(name)))
		return;
	pthread_mutex_lock(&lock);
	s = sequence_at(handle);
	if (s) {
		s->hash = lmm_hash_str(s->hash, name);
		s->n_kernels++;
		while (i < s->n_names && strncmp(s->names[i], name, sizeof(s->names[i]) - 1) != 0)
			i++;
		if (i == s->n_names && i < NAMES_MAX)
			snprintf(s->names[s->n_names++], sizeof(s->names[0]), "%s", name);
	}
	pthread_mutex_unlock(&lock);
}

/* "command buffer of 10 kernels: mul add norm". With the lock held. */
static void sequence_name(const struct sequence *s, char *text, size_t bytes)
{
	size_t n = (size_t)snprintf(text, bytes, "command buffer of %u kernels:", s->n_kernels);

	for (uint32_t i = 0; i < s->n_names && n < bytes; i++)
		n += (size_t)snprintf(text + n, bytes - n, " %s", s->names[i]);
}

static uint32_t sequence_number(sequence_handle handle, cl_command_queue *queue)
{
	uint32_t now = lmm_recording(), number = LMM_KERNEL_COMMAND_BUFFER;
	struct sequence *s;
	char name[512];

	pthread_mutex_lock(&lock);
	s = sequence_at(handle);
	if (s && s->recording != now) {
		sequence_name(s, name, sizeof(name));
		s->number =
			lmm_device_kernel_number(name, s->hash, LMM_KERNEL_COMMAND_BUFFER, NULL);
		s->recording = now;
	}
	if (s) {
		number = s->number;
		*queue = *queue ? *queue : s->queue;
	}
	pthread_mutex_unlock(&lock);
	return number;
}

/* Where the driver's own functions are. One driver's: a second one that has the extension too stays as it is. */
static struct {
	void *create, *ndrange, *enqueue; /* cl_khr_command_buffer */
	void *begin, *submit;		  /* cl_qcom_recordable_queues */
} real;

/* NOLINTBEGIN(readability-function-size): the extensions' own lists of parameters */

/* ---- cl_khr_command_buffer ---------------------------------------------------------------------- */

typedef sequence_handle(CL_API_CALL *khr_create)(cl_uint n, const cl_command_queue *queues,
						 const void *properties, cl_int *error);
typedef cl_int(CL_API_CALL *khr_ndrange)(sequence_handle buffer, cl_command_queue queue,
					 const void *properties, cl_kernel kernel,
					 cl_uint dimensions, const size_t *offset,
					 const size_t *global, const size_t *local, cl_uint n_sync,
					 const cl_uint *sync, cl_uint *point, void *handle);
typedef cl_int(CL_API_CALL *khr_enqueue)(cl_uint n, cl_command_queue *queues,
					 sequence_handle buffer, cl_uint n_wait,
					 const cl_event *wait, cl_event *event);

static sequence_handle CL_API_CALL create_buffer(cl_uint n, const cl_command_queue *queues,
						 const void *properties, cl_int *error)
{
	sequence_handle buffer = ((khr_create)real.create)(n, queues, properties, error);

	if (buffer)
		sequence_begin(buffer, n && queues ? queues[0] : NULL);
	return buffer;
}

static cl_int CL_API_CALL record_ndrange(sequence_handle buffer, cl_command_queue queue,
					 const void *properties, cl_kernel kernel,
					 cl_uint dimensions, const size_t *offset,
					 const size_t *global, const size_t *local, cl_uint n_sync,
					 const cl_uint *sync, cl_uint *point, void *handle)
{
	cl_int rc = ((khr_ndrange)real.ndrange)(buffer, queue, properties, kernel, dimensions,
						offset, global, local, n_sync, sync, point, handle);

	if (rc == CL_SUCCESS)
		sequence_add(buffer, kernel);
	return rc;
}

static cl_int CL_API_CALL enqueue_buffer(cl_uint n, cl_command_queue *queues,
					 sequence_handle buffer, cl_uint n_wait,
					 const cl_event *wait, cl_event *event)
{
	cl_command_queue queue = n && queues ? queues[0] : NULL;
	cl_event *asked = event;
	struct lmm_cl_command c;
	uint32_t number;
	cl_int rc;

	if (!lmm_recording())
		return ((khr_enqueue)real.enqueue)(n, queues, buffer, n_wait, wait, event);
	number = sequence_number(buffer, &queue);
	event = lmm_cl_command_begin(&c, queue, n_wait, event);
	rc = ((khr_enqueue)real.enqueue)(n, queues, buffer, n_wait, wait, event);
	if (lmm_cl_is_out_of_events(&c, rc, &event))
		rc = ((khr_enqueue)real.enqueue)(n, queues, buffer, n_wait, wait, event);
	lmm_cl_command_end(&c, rc, asked, number, 0);
	return rc;
}

/* ---- cl_qcom_recordable_queues ------------------------------------------------------------------ */

typedef sequence_handle(CL_API_CALL *qcom_begin)(cl_command_queue queue, cl_int *error);
typedef cl_int(CL_API_CALL *qcom_submit)(cl_command_queue queue, sequence_handle recording,
					 size_t n_args, const void *args, size_t n_offsets,
					 const void *offsets, size_t n_sizes, const void *sizes,
					 size_t n_locals, const void *locals, cl_uint n_wait,
					 const cl_event *wait, cl_event *event);

static sequence_handle CL_API_CALL new_recording(cl_command_queue queue, cl_int *error)
{
	sequence_handle recording = ((qcom_begin)real.begin)(queue, error);

	if (recording)
		sequence_begin(recording, queue);
	return recording;
}

static cl_int CL_API_CALL enqueue_recording(cl_command_queue queue, sequence_handle recording,
					    size_t n_args, const void *args, size_t n_offsets,
					    const void *offsets, size_t n_sizes, const void *sizes,
					    size_t n_locals, const void *locals, cl_uint n_wait,
					    const cl_event *wait, cl_event *event)
{
	cl_command_queue at = queue;
	cl_event *asked = event;
	struct lmm_cl_command c;
	uint32_t number;
	cl_int rc;

	if (!lmm_recording()) {
		return ((qcom_submit)real.submit)(queue, recording, n_args, args, n_offsets,
						  offsets, n_sizes, sizes, n_locals, locals, n_wait,
						  wait, event);
	}
	number = sequence_number(recording, &at);
	event = lmm_cl_command_begin(&c, queue, n_wait, event);
	rc = ((qcom_submit)real.submit)(queue, recording, n_args, args, n_offsets, offsets, n_sizes,
					sizes, n_locals, locals, n_wait, wait, event);
	if (lmm_cl_is_out_of_events(&c, rc, &event)) {
		rc = ((qcom_submit)real.submit)(queue, recording, n_args, args, n_offsets, offsets,
						n_sizes, sizes, n_locals, locals, n_wait, wait,
						event);
	}
	lmm_cl_command_end(&c, rc, asked, number, 0);
	return rc;
}

/* NOLINTEND(readability-function-size) */

/* ---- by name ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void **real;
	void *ours;
} functions[] = {
	{ "clCreateCommandBufferKHR", &real.create, (void *)create_buffer },
	{ "clCommandNDRangeKernelKHR", &real.ndrange, (void *)record_ndrange },
	{ "clEnqueueCommandBufferKHR", &real.enqueue, (void *)enqueue_buffer },
	{ "clNewRecordingQCOM", &real.begin, (void *)new_recording },
	{ "clEnqueueRecordingQCOM", &real.submit, (void *)enqueue_recording },
};

static void *ours_for(const char *name, void *fn)
{
	if (!fn || !name)
		return fn;
	if (lmm_session_expands_command_buffers() && strstr(name, "CommandBuffer"))
		return NULL;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(functions); i++) {
		if (strcmp(functions[i].name, name) != 0)
			continue;
		if (*functions[i].real && *functions[i].real != fn)
			return fn;
		*functions[i].real = fn;
		return functions[i].ours;
	}
	return fn;
}

LMM_CL_HOOK(void *, clGetExtensionFunctionAddress, (const char *name), (name))
{
	return ours_for(name, lmm_cl.clGetExtensionFunctionAddress(name));
}

LMM_CL_HOOK(void *, clGetExtensionFunctionAddressForPlatform,
	    (cl_platform_id platform, const char *name), (platform, name))
{
	return ours_for(name, lmm_cl.clGetExtensionFunctionAddressForPlatform(platform, name));
}

/* ---- hiding them -------------------------------------------------------------------------------- */

static const char hidden[] = "cl_khr_command_buffer";

/* Takes the names that begin so out of a list of extensions. */
static void list_cut(char *list)
{
	char *at = list;

	while ((at = strstr(at, hidden))) {
		char *end = at + strcspn(at, " ");

		while (*end == ' ')
			end++;
		memmove(at, end, strlen(end) + 1);
	}
}

/*
 * Answers with the driver's list less the hidden names: always shorter than what the application makes room for, having asked
 * the driver for the size.
 */
static void answer_cut(cl_int rc, void *to, size_t bytes)
{
	if (rc != CL_SUCCESS || !to || bytes == 0 || !lmm_session_expands_command_buffers())
		return;
	if (memchr(to, 0, bytes))
		list_cut(to);
}

LMM_CL_HOOK(cl_int, clGetPlatformInfo,
	    (cl_platform_id platform, cl_platform_info what, size_t bytes, void *to,
	     size_t *bytes_out),
	    (platform, what, bytes, to, bytes_out))
{
	cl_int rc = lmm_cl.clGetPlatformInfo(platform, what, bytes, to, bytes_out);

	if (what == CL_PLATFORM_EXTENSIONS)
		answer_cut(rc, to, bytes);
	return rc;
}

LMM_CL_HOOK(cl_int, clGetDeviceInfo,
	    (cl_device_id device, cl_device_info what, size_t bytes, void *to, size_t *bytes_out),
	    (device, what, bytes, to, bytes_out))
{
	cl_int rc = lmm_cl.clGetDeviceInfo(device, what, bytes, to, bytes_out);

	if (what == CL_DEVICE_EXTENSIONS)
		answer_cut(rc, to, bytes);
	return rc;
}
