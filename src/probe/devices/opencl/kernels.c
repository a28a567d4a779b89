/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel objects and what they are called. A kernel is its name and the hash of its program's source, intermediate code or
 * binary; handles come and go and are given out again.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/opencl/opencl.h"

#define HANDLES	 8192u /* a power of two */
#define PROGRAMS 1024u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* By handle, for the hot path: an entry's key is written last, and never leaves its place. */
static struct {
	_Atomic(cl_kernel) key;
	_Atomic uint32_t number; /* 0: the handle is not in use */
	uint32_t made;		 /* in which session; 0: not known. With the lock held */
} handles[HANDLES];
static unsigned n_handles;

static struct {
	cl_program program;
	uint64_t hash;
} programs[PROGRAMS];
static unsigned next_program;

void lmm_cl_kernels_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (unsigned k = 0; k < HANDLES; k++)
		atomic_store_explicit(&handles[k].number, 0, memory_order_relaxed);
}

/* ---- programs ----------------------------------------------------------------------------------- */

static void program_note(cl_program program, uint64_t hash)
{
	pthread_mutex_lock(&lock);
	programs[next_program % PROGRAMS].program = program;
	programs[next_program++ % PROGRAMS].hash = hash;
	pthread_mutex_unlock(&lock);
}

/* The newest of that handle. With the lock held. */
static uint64_t program_hash(cl_program program)
{
	unsigned n = next_program < PROGRAMS ? next_program : PROGRAMS;

	for (unsigned i = 1; i <= n; i++) {
		unsigned at = (next_program - i) % PROGRAMS;

		if (programs[at].program == program)
			return programs[at].hash;
	}
	return 0;
}

static uint64_t hash_texts(cl_uint n, const char *const *texts, const size_t *bytes)
{
	uint64_t h = LMM_HASH_SEED;

	for (cl_uint i = 0; texts && i < n; i++) {
		if (texts[i]) {
			h = lmm_hash_bytes(h, texts[i],
					   bytes && bytes[i] ? bytes[i] : strlen(texts[i]));
		}
	}
	return h;
}

LMM_CL_HOOK(cl_program, clCreateProgramWithSource,
	    (cl_context context, cl_uint n, const char **texts, const size_t *bytes, cl_int *error),
	    (context, n, texts, bytes, error))
{
	cl_program p = lmm_cl.clCreateProgramWithSource(context, n, texts, bytes, error);

	if (p)
		program_note(p, hash_texts(n, texts, bytes));
	return p;
}

LMM_CL_HOOK(cl_program, clCreateProgramWithBinary,
	    (cl_context context, cl_uint n, const cl_device_id *devices, const size_t *bytes,
	     const unsigned char **binaries, cl_int *status, cl_int *error),
	    (context, n, devices, bytes, binaries, status, error))
{
	cl_program p = lmm_cl.clCreateProgramWithBinary(context, n, devices, bytes, binaries,
							status, error);

	if (p && n && bytes && binaries && binaries[0])
		program_note(p, lmm_hash_bytes(LMM_HASH_SEED, binaries[0], bytes[0]));
	return p;
}

LMM_CL_HOOK(cl_program, clCreateProgramWithIL,
	    (cl_context context, const void *il, size_t bytes, cl_int *error),
	    (context, il, bytes, error))
{
	cl_program p = lmm_cl.clCreateProgramWithIL(context, il, bytes, error);

	if (p)
		program_note(p, lmm_hash_bytes(LMM_HASH_SEED, il, bytes));
	return p;
}

/* ---- building ----------------------------------------------------------------------------------- */

static LMM_COLD void build_put(uint64_t t0)
{
	struct lmm_thread *th = t0 ? lmm_thread_self() : NULL;

	if (th)
		lmm_device_first_use(th, t0, 0);
}

#define BUILD(ret, symbol, params, args)                                                           \
	LMM_CL_HOOK(ret, symbol, params, args)                                                     \
	{                                                                                          \
		uint64_t t0 = lmm_recording() ? lmm_now() : 0;                                     \
		ret made = lmm_cl.symbol args;                                                     \
                                                                                                   \
		build_put(t0);                                                                     \
		return made;                                                                       \
	}

/* NOLINTBEGIN(readability-function-size): OpenCL's own lists of parameters */
BUILD(cl_int, clBuildProgram,
      (cl_program program, cl_uint n, const cl_device_id *devices, const char *options,
       void(CL_CALLBACK *done)(cl_program program, void *arg), void *arg),
      (program, n, devices, options, done, arg))
BUILD(cl_int, clCompileProgram,
      (cl_program program, cl_uint n, const cl_device_id *devices, const char *options,
       cl_uint n_headers, const cl_program *headers, const char **names,
       void(CL_CALLBACK *done)(cl_program program, void *arg), void *arg),
      (program, n, devices, options, n_headers, headers, names, done, arg))
BUILD(cl_program, clLinkProgram,
      (cl_context context, cl_uint n, const cl_device_id *devices, const char *options,
       cl_uint n_programs, const cl_program *inputs,
       void(CL_CALLBACK *done)(cl_program program, void *arg), void *arg, cl_int *error),
      (context, n, devices, options, n_programs, inputs, done, arg, error))
/* NOLINTEND(readability-function-size) */

/* ---- kernels ------------------------------------------------------------------------------------ */

static uint32_t handle_slot(cl_kernel kernel, bool *found)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)kernel) & (HANDLES - 1);

	for (;; k = (k + 1) & (HANDLES - 1)) {
		cl_kernel key = atomic_load_explicit(&handles[k].key, memory_order_acquire);

		*found = key == kernel;
		if (*found || !key)
			return k;
	}
}

int lmm_cl_kernel_name(cl_kernel kernel, char *name, size_t bytes)
{
	name[0] = 0;
	if (lmm_cl.clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, bytes, name, NULL) !=
	    CL_SUCCESS)
		return -1;
	name[bytes - 1] = 0;
	return 0;
}

/* Number of what the handle stands for, and whether nothing of that name and program was before. Takes the lock. */
static uint32_t identify(cl_kernel kernel, bool *is_first)
{
	char name[256];
	cl_program program = NULL;
	uint64_t code;

	if (lmm_cl_kernel_name(kernel, name, sizeof(name)))
		memcpy(name, "?", 2);
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a handle is a pointer, and the pointer is asked for */
	lmm_cl.clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof(program), &program, NULL);
	pthread_mutex_lock(&lock);
	code = program_hash(program);
	pthread_mutex_unlock(&lock);
	return lmm_device_kernel_number(name, code, LMM_KERNEL_PROGRAM, is_first);
}

static LMM_COLD uint32_t handle_learn(cl_kernel kernel, bool *is_first)
{
	uint32_t number, k;
	bool found;

	lmm_device_kind_number(LMM_KERNEL_PROGRAM);
	number = identify(kernel, is_first);
	pthread_mutex_lock(&lock);
	k = handle_slot(kernel, &found);
	/* one that was there before a late recording may have run unseen */
	if (lmm_session_has_joined_late() && (!found || handles[k].made != lmm_device_session()))
		*is_first = false;
	if (found || n_handles < HANDLES / 2) {
		n_handles += !found;
		atomic_store_explicit(&handles[k].number, number, memory_order_relaxed);
		atomic_store_explicit(&handles[k].key, kernel, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return number;
}

uint32_t lmm_cl_kernel_number(cl_kernel kernel, bool *is_first)
{
	static _Atomic uint32_t recording;
	uint32_t now = lmm_recording(), number;
	bool found;
	uint32_t k;

	*is_first = false;
	if (lmm_unlikely(atomic_load_explicit(&recording, memory_order_relaxed) != now)) {
		/* a new recording has to be told everything anew */
		for (k = 0; k < HANDLES; k++)
			atomic_store_explicit(&handles[k].number, 0, memory_order_relaxed);
		atomic_store_explicit(&recording, now, memory_order_relaxed);
	}
	k = handle_slot(kernel, &found);
	number = found ? atomic_load_explicit(&handles[k].number, memory_order_relaxed) : 0;
	return lmm_likely(number) ? number : handle_learn(kernel, is_first);
}

static void handle_forget(cl_kernel kernel)
{
	bool found;
	uint32_t k = handle_slot(kernel, &found);

	if (found)
		atomic_store_explicit(&handles[k].number, 0, memory_order_relaxed);
}

/* Whatever bore this handle before is something else now. */
static void handle_renew(cl_kernel kernel)
{
	bool found;
	uint32_t k;

	pthread_mutex_lock(&lock);
	k = handle_slot(kernel, &found);
	if (found || n_handles < HANDLES / 2) {
		n_handles += !found;
		handles[k].made = lmm_device_session();
		atomic_store_explicit(&handles[k].number, 0, memory_order_relaxed);
		atomic_store_explicit(&handles[k].key, kernel, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
}

/* Its launches are not seen while nobody records: the first one that is may be any. */
static void kernel_made(cl_kernel kernel)
{
	bool is_first;

	if (!kernel)
		return;
	handle_renew(kernel);
	if (lmm_session_is_asleep())
		identify(kernel, &is_first);
}

LMM_CL_HOOK(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *error),
	    (program, name, error))
{
	cl_kernel k = lmm_cl.clCreateKernel(program, name, error);

	kernel_made(k);
	return k;
}

LMM_CL_HOOK(cl_int, clCreateKernelsInProgram,
	    (cl_program program, cl_uint n, cl_kernel *out, cl_uint *n_out),
	    (program, n, out, n_out))
{
	cl_int rc = lmm_cl.clCreateKernelsInProgram(program, n, out, n_out);
	cl_uint made = n_out && *n_out < n ? *n_out : n;

	for (cl_uint i = 0; rc == CL_SUCCESS && out && i < made; i++)
		kernel_made(out[i]);
	return rc;
}

LMM_CL_HOOK(cl_kernel, clCloneKernel, (cl_kernel kernel, cl_int *error), (kernel, error))
{
	cl_kernel k = lmm_cl.clCloneKernel(kernel, error);

	kernel_made(k);
	return k;
}

LMM_CL_HOOK(cl_int, clReleaseKernel, (cl_kernel kernel), (kernel))
{
	cl_uint n = 0;

	/* the last one: its handle may be given out again for another */
	if (lmm_recording() &&
	    lmm_cl.clGetKernelInfo(kernel, CL_KERNEL_REFERENCE_COUNT, sizeof(n), &n, NULL) ==
		    CL_SUCCESS &&
	    n == 1)
		handle_forget(kernel);
	return lmm_cl.clReleaseKernel(kernel);
}
