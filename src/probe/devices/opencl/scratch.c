/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/opencl/repeat.h"
#include "probe/devices/opencl/scratch.h"

#define BUFFERS	  4096u /* a power of two */
#define KERNELS	  1024u /* a power of two */
#define ARGS	  32u
#define COPIES	  64u
#define LEARNINGS 4u /* launches that are tried out; the rest of that step gets its copies only */
#define BYTES_MAX ((size_t)4 << 30)

/* Buffers and arguments, as the application makes and sets them: from any thread. */
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;

static struct buffer {
	cl_mem handle;
	size_t bytes;
	unsigned made; /* so many buffers were made before: a handle may come again */
} buffers[BUFFERS];
static unsigned n_buffers, n_made;

static struct kernel {
	cl_kernel handle;
	cl_mem args[ARGS]; /* NULL: not a buffer */
} kernels[KERNELS];
static unsigned n_kernels;

static struct {
	struct buffer of;
	cl_mem copy;
} copies[COPIES];
static unsigned n_copies;

static uint32_t written; /* bit: that argument */
static unsigned n_learnt;

/* ---- what the application does ------------------------------------------------------------------ */

static unsigned slot_of(const void *handle, unsigned n)
{
	return (unsigned)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)handle) & (n - 1);
}

static struct buffer *buffer_find(cl_mem handle)
{
	unsigned k = slot_of(handle, BUFFERS);

	while (buffers[k].handle && buffers[k].handle != handle)
		k = (k + 1) & (BUFFERS - 1);
	return &buffers[k];
}

static struct kernel *kernel_find(cl_kernel handle)
{
	unsigned k = slot_of(handle, KERNELS);

	while (kernels[k].handle && kernels[k].handle != handle)
		k = (k + 1) & (KERNELS - 1);
	return &kernels[k];
}

static cl_mem note_buffer(cl_mem handle, size_t bytes)
{
	struct buffer *b;

	if (!handle)
		return NULL;
	pthread_mutex_lock(&watch_lock);
	b = buffer_find(handle);
	if (b->handle || n_buffers < BUFFERS / 2) {
		n_buffers += !b->handle;
		*b = (struct buffer){ handle, bytes, ++n_made };
	}
	pthread_mutex_unlock(&watch_lock);
	return handle;
}

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t bytes,
					void *host, cl_int *error)
{
	return note_buffer(lmm_cl.clCreateBuffer(context, flags, bytes, host, error), bytes);
}

static cl_mem CL_API_CALL create_buffer_with(cl_context context,
					     const cl_mem_properties *properties,
					     cl_mem_flags flags, size_t bytes, void *host,
					     cl_int *error)
{
	return note_buffer(
		lmm_cl.clCreateBufferWithProperties(context, properties, flags, bytes, host, error),
		bytes);
}

static cl_mem CL_API_CALL create_sub_buffer(cl_mem of, cl_mem_flags flags,
					    cl_buffer_create_type type, const void *info,
					    cl_int *error)
{
	cl_mem b = lmm_cl.clCreateSubBuffer(of, flags, type, info, error);

	return b && type == CL_BUFFER_CREATE_TYPE_REGION && info
		       ? note_buffer(b, ((const cl_buffer_region *)info)->size)
		       : b;
}

static void note_arg(cl_kernel handle, cl_uint index, size_t bytes, const void *value)
{
	cl_mem mem = NULL;
	struct kernel *k;

	if (value && bytes == sizeof(cl_mem))
		memcpy(&mem, value, sizeof(cl_mem));
	pthread_mutex_lock(&watch_lock);
	if (mem && !buffer_find(mem)->handle)
		mem = NULL;
	k = kernel_find(handle);
	if (k->handle || n_kernels < KERNELS / 2) {
		n_kernels += !k->handle;
		k->handle = handle;
		k->args[index] = mem;
	}
	pthread_mutex_unlock(&watch_lock);
}

static cl_int CL_API_CALL set_arg(cl_kernel kernel, cl_uint index, size_t bytes, const void *value)
{
	if (index < ARGS)
		note_arg(kernel, index, bytes, value);
	return lmm_cl.clSetKernelArg(kernel, index, bytes, value);
}

void lmm_cl_scratch_watch(struct _cl_icd_dispatch *layer)
{
	layer->clCreateBuffer = create_buffer;
	layer->clCreateSubBuffer = create_sub_buffer;
	layer->clSetKernelArg = set_arg;
	if (lmm_cl.clCreateBufferWithProperties)
		layer->clCreateBufferWithProperties = create_buffer_with;
}

/* The buffers that stand in the kernel's arguments now; .handle is NULL where there is none. Their number. */
static unsigned args_of(cl_kernel handle, struct buffer *out)
{
	const struct kernel *k;
	unsigned n = 0;

	memset(out, 0, ARGS * sizeof(*out));
	pthread_mutex_lock(&watch_lock);
	k = kernel_find(handle);
	for (unsigned i = 0; k->handle && i < ARGS; i++) {
		if (k->args[i]) {
			out[i] = *buffer_find(k->args[i]);
			n++;
		}
	}
	pthread_mutex_unlock(&watch_lock);
	return n;
}

static cl_context context_of(cl_command_queue queue)
{
	cl_context context = NULL;

	lmm_cl.clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(cl_context), &context, NULL);
	return context;
}

/* ---- which arguments are written ---------------------------------------------------------------- */

static int read_all(const struct lmm_cl_launch *l, const struct buffer *b, void *to)
{
	return lmm_cl.clEnqueueReadBuffer(l->queue, b->handle, CL_TRUE, 0, b->bytes, to, 0, NULL,
					  NULL)
		       ? -1
		       : 0;
}

/* 1: a launch changes the copy; 0: it does not; -1: it cannot be tried. before: what the buffer held, after: room. */
static int try_arg(const struct lmm_cl_launch *l, cl_uint i, const struct buffer *b, void *before,
		   void *after)
{
	struct buffer copy = { .bytes = b->bytes };
	int rc = -1;

	copy.handle = lmm_cl.clCreateBuffer(context_of(l->queue),
					    CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, b->bytes,
					    before, NULL);
	if (!copy.handle)
		return -1;
	if (!lmm_cl.clSetKernelArg(l->kernel, i, sizeof(cl_mem), &copy.handle) &&
	    !lmm_cl.clEnqueueNDRangeKernel(l->queue, l->kernel, l->dimensions, l->offset, l->global,
					   l->local, 0, NULL, NULL) &&
	    read_all(l, &copy, after) == 0)
		rc = memcmp(before, after, b->bytes) != 0;
	lmm_cl.clSetKernelArg(l->kernel, i, sizeof(cl_mem), &b->handle);
	lmm_cl.clReleaseMemObject(copy.handle);
	return rc;
}

static size_t largest(const struct buffer *args, size_t *sum)
{
	size_t most = 0;

	*sum = 0;
	for (unsigned i = 0; i < ARGS; i++) {
		*sum += args[i].bytes;
		most = args[i].bytes > most ? args[i].bytes : most;
	}
	return most;
}

/* What all arguments hold is read before any is tried: the first launch already writes what the next would. */
static int try_all(const struct lmm_cl_launch *l, const struct buffer *args, void **before,
		   void *after)
{
	for (unsigned i = 0; i < ARGS; i++) {
		if (!args[i].handle)
			continue;
		before[i] = malloc(args[i].bytes);
		if (!before[i] || read_all(l, &args[i], before[i]))
			return -1;
	}
	for (unsigned i = 0; i < ARGS; i++) {
		int rc = args[i].handle ? try_arg(l, i, &args[i], before[i], after) : 0;

		if (rc < 0)
			return -1;
		written |= (uint32_t)rc << i;
	}
	return 0;
}

static int learn(const struct lmm_cl_launch *l, const struct buffer *args)
{
	void *before[ARGS] = { 0 }, *after;
	size_t sum, most = largest(args, &sum);
	int rc = -1;

	after = sum + most <= BYTES_MAX ? malloc(most) : NULL;
	if (after)
		rc = try_all(l, args, before, after);
	for (unsigned i = 0; i < ARGS; i++)
		free(before[i]);
	free(after);
	return rc;
}

/* ---- copies ------------------------------------------------------------------------------------- */

/* NULL: there is no room. */
static cl_mem copy_of(cl_command_queue queue, const struct buffer *b)
{
	unsigned i = 0;

	while (i < n_copies && copies[i].of.handle != b->handle)
		i++;
	if (i < n_copies && copies[i].of.made == b->made)
		return copies[i].copy;
	if (i == COPIES)
		return NULL;
	if (i < n_copies && copies[i].copy)
		lmm_cl.clReleaseMemObject(copies[i].copy);
	copies[i].copy =
		lmm_cl.clCreateBuffer(context_of(queue), CL_MEM_READ_WRITE, b->bytes, NULL, NULL);
	copies[i].of = *b;
	n_copies += i == n_copies;
	if (copies[i].copy) {
		lmm_cl.clEnqueueCopyBuffer(queue, b->handle, copies[i].copy, 0, 0, b->bytes, 0,
					   NULL, NULL);
	}
	return copies[i].copy;
}

void lmm_cl_scratch_enter(const struct lmm_cl_launch *l)
{
	struct buffer args[ARGS];

	if (!written || !args_of(l->kernel, args))
		return;
	for (cl_uint i = 0; i < ARGS; i++) {
		cl_mem copy =
			written & (1u << i) && args[i].handle ? copy_of(l->queue, &args[i]) : NULL;

		if (copy)
			lmm_cl.clSetKernelArg(l->kernel, i, sizeof(cl_mem), &copy);
	}
}

void lmm_cl_scratch_leave(const struct lmm_cl_launch *l)
{
	struct buffer args[ARGS];

	if (!written || !args_of(l->kernel, args))
		return;
	for (cl_uint i = 0; i < ARGS; i++) {
		if (written & (1u << i) && args[i].handle)
			lmm_cl.clSetKernelArg(l->kernel, i, sizeof(cl_mem), &args[i].handle);
	}
}

/* ---- the first step ----------------------------------------------------------------------------- */

bool lmm_cl_scratch_is_known(void)
{
	return n_learnt > 0;
}

void lmm_cl_scratch_learn(const struct lmm_cl_launch *l, lmm_cl_scratch_say say)
{
	struct buffer args[ARGS];
	unsigned n = args_of(l->kernel, args);

	if (n_learnt < LEARNINGS) {
		n_learnt++;
		if (n == 0) {
			say("in-place the buffers that the kernel works on are not seen\n");
		} else if (learn(l, args)) {
			say("in-place its buffers cannot be copied\n");
		} else {
			say("scratch %d %u\n", __builtin_popcount(written), n);
		}
	}
	lmm_cl_scratch_enter(l);
	lmm_cl_scratch_leave(l);
}
