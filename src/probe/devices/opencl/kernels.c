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

#define HANDLES	     8192u /* a power of two */
#define KERNELS	     2048u /* told apart by number; a power of two */
#define PROGRAMS     1024u
#define FIRST_KERNEL 32u /* numbers below are kinds of commands */
#define OTHER_KERNEL (FIRST_KERNEL - 1)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* By handle, for the hot path: an entry's key is written last, and never leaves its place. */
static struct {
	_Atomic(cl_kernel) key;
	_Atomic uint32_t number; /* 0: the handle is not in use */
	uint32_t made;		 /* in which session; 0: not known. With the lock held */
} handles[HANDLES];
static unsigned n_handles;

/* By identity. */
static struct {
	uint64_t hash;
	uint32_t number;
	uint32_t recording; /* in which it was last described */
} kernels[KERNELS];
static unsigned n_kernels;

static struct {
	cl_program program;
	uint64_t hash;
} programs[PROGRAMS];
static unsigned next_program;

static _Atomic uint32_t kinds_recording; /* recording word when the kinds were described */

/* ---- descriptions ------------------------------------------------------------------------------- */

static void describe(uint32_t number, const char *name, enum lmm_kernel_kind kind, uint64_t hash)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_varint(&b, number);
	lmm_buf_put_str(&b, name);
	lmm_buf_put_str(&b, "");
	lmm_buf_put_varint(&b, kind);
	lmm_buf_put_varint(&b, hash);
	lmm_session_describe(LMM_DESC_KERNEL, &b);
	lmm_buf_free(&b);
}

static LMM_NOINLINE void kinds_describe(uint32_t recording)
{
	if (atomic_exchange(&kinds_recording, recording) == recording)
		return;
	for (unsigned k = 1; k < LMM_KERNEL_KIND_COUNT; k++)
		describe(k, lmm_kernel_kind_name(k), (enum lmm_kernel_kind)k, 0);
	describe(OTHER_KERNEL, "(other)", LMM_KERNEL_PROGRAM, 0);
}

uint32_t lmm_cl_kind_number(enum lmm_kernel_kind kind)
{
	uint32_t now = lmm_recording();

	if (lmm_unlikely(atomic_load_explicit(&kinds_recording, memory_order_relaxed) != now))
		kinds_describe(now);
	return kind;
}

void lmm_cl_kernels_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (unsigned k = 0; k < HANDLES; k++)
		atomic_store_explicit(&handles[k].number, 0, memory_order_relaxed);
	/* the child is a process of its own, which has been told nothing */
	for (unsigned k = 0; k < KERNELS; k++)
		kernels[k].recording = 0;
	atomic_store(&kinds_recording, 0);
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
		lmm_cl_first_use(th, t0, 0);
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

/* With the lock held: the number of a kernel of that name and program, described if it is new to this recording. */
static uint32_t identity_number(const char *name, uint64_t program, enum lmm_kernel_kind kind)
{
	uint64_t hash = lmm_hash_str(program ^ LMM_HASH_SEED ^ kind, name) | 1;
	uint32_t k = (uint32_t)hash & (KERNELS - 1), now = lmm_recording();

	for (; kernels[k].hash && kernels[k].hash != hash; k = (k + 1) & (KERNELS - 1))
		;
	if (!kernels[k].hash) {
		if (n_kernels >= KERNELS - 1)
			return OTHER_KERNEL;
		kernels[k].hash = hash;
		kernels[k].number = FIRST_KERNEL + n_kernels++;
	}
	if (now && kernels[k].recording != now) {
		kernels[k].recording = now;
		describe(kernels[k].number, name, kind, program);
	}
	return kernels[k].number;
}

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

uint32_t lmm_cl_sequence_number(uint64_t hash, const char *name)
{
	uint32_t number;

	pthread_mutex_lock(&lock);
	number = identity_number(name, hash, LMM_KERNEL_COMMAND_BUFFER);
	pthread_mutex_unlock(&lock);
	return number;
}

uint32_t lmm_cl_named_number(const char *name)
{
	uint32_t number;

	pthread_mutex_lock(&lock);
	number = identity_number(name, 0, LMM_KERNEL_PROGRAM);
	pthread_mutex_unlock(&lock);
	return number;
}

/* Number of what the handle stands for, and whether nothing of that name and program was before. Takes the lock. */
static uint32_t identify(cl_kernel kernel, bool *is_first)
{
	static bool is_known[FIRST_KERNEL + KERNELS];
	char name[256];
	cl_program program = NULL;
	uint32_t number;

	if (lmm_cl_kernel_name(kernel, name, sizeof(name)))
		memcpy(name, "?", 2);
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a handle is a pointer, and the pointer is asked for */
	lmm_cl.clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof(program), &program, NULL);
	pthread_mutex_lock(&lock);
	number = identity_number(name, program_hash(program), LMM_KERNEL_PROGRAM);
	*is_first = !is_known[number];
	is_known[number] = true;
	pthread_mutex_unlock(&lock);
	return number;
}

static LMM_COLD uint32_t handle_learn(cl_kernel kernel, bool *is_first)
{
	uint32_t number, k;
	bool found;

	lmm_cl_kind_number(LMM_KERNEL_PROGRAM);
	number = identify(kernel, is_first);
	pthread_mutex_lock(&lock);
	k = handle_slot(kernel, &found);
	/* one that was there before a late recording may have run unseen */
	if (lmm_session_has_joined_late() && (!found || handles[k].made != lmm_cl_session()))
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
		handles[k].made = lmm_cl_session();
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
