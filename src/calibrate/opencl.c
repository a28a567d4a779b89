/* SPDX-License-Identifier: Apache-2.0 */
/* The same of OpenCL devices, timed by the devices' own clocks. The library is opened by name, never linked. */
#include "calibrate/calibrate.h"

#include <errno.h>

#ifdef LMM_OPENCL

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "base/compiler.h"
#include "calibrate/calibrate_internal.h"

#define PLATFORMS_MAX	  8
#define REPETITIONS_MIN	  12u
#define MIB		  ((uint64_t)1 << 20)
#define WORKING_SET_MIN	  (128 * MIB)
#define WORKING_SET_MAX	  (1024 * MIB)
#define ROUNDS_MAX	  (1u << 24)
#define LOADS		  4u /* in a row of the kernel that reads */
#define SUMS		  8u
#define REPETITION_NS	  5000000.0
#define REPETITION_NS_MIN 1000000.0

/*
 * F: at least four floats, which scalar GPUs take one after the other and load at once. first and step say how items share the
 * data: neighbours side by side on a GPU, each a piece of its own on a CPU.
 */
static const char source[] =
	"#define SUM4(v) dot(v, (float4)(1.0f))\n"
	"#if W == 4\n#define F float4\n#define SUM(v) SUM4(v)\n"
	"#elif W == 8\n#define F float8\n#define SUM(v) (SUM4(v.lo) + SUM4(v.hi))\n"
	"#else\n#define F float16\n"
	"#define SUM(v) (SUM4(v.lo.lo) + SUM4(v.lo.hi) + SUM4(v.hi.lo) + SUM4(v.hi.hi))\n"
	"#endif\n"
	"__kernel void lmm_fill(__global F *x, uint n) {\n"
	"	for (size_t i = get_global_id(0); i < n; i += get_global_size(0))\n"
	"		x[i] = (F)(i * 0.37f);\n"
	"}\n"
	"__kernel void lmm_read(__global const F *x, uint count, uint first, uint step, uint rounds,\n"
	"		       __global float *out) {\n"
	"	F a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;\n"
	"	for (uint r = 0; r < rounds; r++) {\n"
	"		size_t i = get_global_id(0) * (size_t)first;\n"
	"		for (uint k = 0; k < count; k += 4, i += 4 * (size_t)step) {\n"
	"			a += x[i]; b += x[i + step]; c += x[i + 2 * step]; d += x[i + 3 * step];\n"
	"		}\n"
	"	}\n"
	"	a += b + c + d;\n"
	"	out[get_global_id(0)] = SUM(a);\n"
	"}\n"
	"__kernel void lmm_f32(float a, float b, uint rounds, __global float *out) {\n"
	"	F x0 = a, x1 = a * 2, x2 = a * 3, x3 = a * 4, x4 = a * 5, x5 = a * 6, x6 = a * 7, x7 = a * 8;\n"
	"	F va = a, vb = b + get_global_id(0) * 1e-9f;\n"
	"	for (uint r = 0; r < rounds; r++) {\n"
	"		x0 = mad(x0, va, vb); x1 = mad(x1, va, vb); x2 = mad(x2, va, vb); x3 = mad(x3, va, vb);\n"
	"		x4 = mad(x4, va, vb); x5 = mad(x5, va, vb); x6 = mad(x6, va, vb); x7 = mad(x7, va, vb);\n"
	"	}\n"
	"	x0 += x1 + x2 + x3 + x4 + x5 + x6 + x7;\n"
	"	out[get_global_id(0)] = SUM(x0);\n"
	"}\n";

/* In the order of names[]. */
struct cl {
	cl_int (*platforms)(cl_uint, cl_platform_id *, cl_uint *);
	cl_int (*platform_info)(cl_platform_id, cl_platform_info, size_t, void *, size_t *);
	cl_int (*devices)(cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *);
	cl_int (*device_info)(cl_device_id, cl_device_info, size_t, void *, size_t *);
	cl_context (*context)(const cl_context_properties *, cl_uint, const cl_device_id *,
			      void (*)(const char *, const void *, size_t, void *), void *,
			      cl_int *);
	cl_command_queue (*queue)(cl_context, cl_device_id, cl_command_queue_properties, cl_int *);
	cl_program (*program)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
	cl_int (*build)(cl_program, cl_uint, const cl_device_id *, const char *,
			void (*)(cl_program, void *), void *);
	cl_kernel (*kernel)(cl_program, const char *, cl_int *);
	cl_mem (*buffer)(cl_context, cl_mem_flags, size_t, void *, cl_int *);
	cl_int (*arg)(cl_kernel, cl_uint, size_t, const void *);
	cl_int (*run)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *,
		      const size_t *, cl_uint, const cl_event *, cl_event *);
	cl_int (*wait)(cl_uint, const cl_event *);
	cl_int (*times)(cl_event, cl_profiling_info, size_t, void *, size_t *);
	cl_int (*release_event)(cl_event);
	cl_int (*release_buffer)(cl_mem);
	cl_int (*release_kernel)(cl_kernel);
	cl_int (*release_program)(cl_program);
	cl_int (*release_queue)(cl_command_queue);
	cl_int (*release_context)(cl_context);
};

static const char *const names[] = {
	"clGetPlatformIDs",
	"clGetPlatformInfo",
	"clGetDeviceIDs",
	"clGetDeviceInfo",
	"clCreateContext",
	"clCreateCommandQueue",
	"clCreateProgramWithSource",
	"clBuildProgram",
	"clCreateKernel",
	"clCreateBuffer",
	"clSetKernelArg",
	"clEnqueueNDRangeKernel",
	"clWaitForEvents",
	"clGetEventProfilingInfo",
	"clReleaseEvent",
	"clReleaseMemObject",
	"clReleaseKernel",
	"clReleaseProgram",
	"clReleaseCommandQueue",
	"clReleaseContext",
};
_Static_assert(sizeof(struct cl) == LMM_ARRAY_SIZE(names) * sizeof(void *), "one name each");

struct device {
	const struct cl *cl;
	const struct lmm_calibrate_opts *opts;
	cl_device_id id;
	int is_cpu;
	unsigned width; /* floats of F */
	size_t items;
	cl_context context;
	cl_command_queue queue;
	cl_program program;
	cl_kernel fill, read, f32;
	cl_mem data, out;
	uint64_t bytes; /* of data */
	double repetition_ns;
	uint32_t repetitions;
};

/* ---- running ------------------------------------------------------------------------------------ */

/* Device time of one run; < 0: it failed. */
static double run_ns(const struct device *d, cl_kernel kernel)
{
	const struct cl *cl = d->cl;
	cl_ulong start = 0, end = 0;
	/* CPU runtimes join items of a group to vectors, and would gather from all their pieces */
	const size_t one = 1, *group = d->is_cpu ? &one : NULL;
	cl_event event;
	double ns = -1;

	if (cl->run(d->queue, kernel, 1, NULL, &d->items, group, 0, NULL, &event) != CL_SUCCESS)
		return -1;
	if (cl->wait(1, &event) == CL_SUCCESS &&
	    cl->times(event, CL_PROFILING_COMMAND_START, sizeof(start), &start, NULL) ==
		    CL_SUCCESS &&
	    cl->times(event, CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL) == CL_SUCCESS &&
	    end > start)
		ns = (double)(end - start);
	(void)cl->release_event(event);
	return ns;
}

/* Rounds are doubled until a run is long enough, which warms up as well. amount: of a round. */
static int measure(const struct device *d, cl_kernel kernel, cl_uint rounds_arg, double amount,
		   struct lmm_peak *peak)
{
	double rates[REPETITIONS_MAX], ns;
	cl_uint rounds = 1;

	for (;;) {
		if (d->cl->arg(kernel, rounds_arg, sizeof(rounds), &rounds) != CL_SUCCESS)
			return -EIO;
		ns = run_ns(d, kernel);
		if (ns < 0)
			return -EIO;
		if (ns >= d->repetition_ns / 2 || rounds >= ROUNDS_MAX)
			break;
		rounds *= 2;
	}
	for (unsigned i = 0; i < d->repetitions; i++) {
		ns = run_ns(d, kernel);
		if (ns < 0)
			return -EIO;
		rates[i] = amount * rounds / (ns / 1e9);
	}
	*peak = lmm_peak_of(rates, d->repetitions);
	return 0;
}

static int arg_buffer(const struct device *d, cl_kernel kernel, cl_uint at, cl_mem buffer)
{
	return d->cl->arg(kernel, at, sizeof(cl_mem), (const void *)&buffer) != CL_SUCCESS;
}

static int measure_read(const struct device *d, struct lmm_peak *peak)
{
	cl_uint all = (cl_uint)(d->bytes / (d->width * sizeof(cl_float))),
		count = all / (cl_uint)d->items;
	cl_uint first = d->is_cpu ? count : 1, step = d->is_cpu ? 1 : (cl_uint)d->items;
	const struct cl *cl = d->cl;

	if (arg_buffer(d, d->fill, 0, d->data) ||
	    cl->arg(d->fill, 1, sizeof(all), &all) != CL_SUCCESS || run_ns(d, d->fill) < 0 ||
	    arg_buffer(d, d->read, 0, d->data) ||
	    cl->arg(d->read, 1, sizeof(count), &count) != CL_SUCCESS ||
	    cl->arg(d->read, 2, sizeof(first), &first) != CL_SUCCESS ||
	    cl->arg(d->read, 3, sizeof(step), &step) != CL_SUCCESS ||
	    arg_buffer(d, d->read, 5, d->out))
		return -EIO;
	return measure(d, d->read, 4, (double)d->bytes, peak);
}

static int measure_f32(const struct device *d, struct lmm_peak *peak)
{
	cl_float a = 0.999f, b = 0.001f;
	const struct cl *cl = d->cl;

	if (cl->arg(d->f32, 0, sizeof(a), &a) != CL_SUCCESS ||
	    cl->arg(d->f32, 1, sizeof(b), &b) != CL_SUCCESS || arg_buffer(d, d->f32, 3, d->out))
		return -EIO;
	return measure(d, d->f32, 2, 2.0 * SUMS * d->width * (double)d->items, peak);
}

/* ---- a device ----------------------------------------------------------------------------------- */

static void device_close(struct device *d)
{
	const struct cl *cl = d->cl;

	if (d->data)
		(void)cl->release_buffer(d->data);
	if (d->out)
		(void)cl->release_buffer(d->out);
	if (d->fill)
		(void)cl->release_kernel(d->fill);
	if (d->read)
		(void)cl->release_kernel(d->read);
	if (d->f32)
		(void)cl->release_kernel(d->f32);
	if (d->program)
		(void)cl->release_program(d->program);
	if (d->queue)
		(void)cl->release_queue(d->queue);
	if (d->context)
		(void)cl->release_context(d->context);
}

static int program_make(struct device *d)
{
	const char *text = source;
	char opts[64];
	cl_int rc;

	(void)snprintf(opts, sizeof(opts), "-cl-mad-enable -DW=%u", d->width);
	d->program = d->cl->program(d->context, 1, &text, NULL, &rc);
	if (!d->program || d->cl->build(d->program, 1, &d->id, opts, NULL, NULL) != CL_SUCCESS)
		return -EIO;
	d->fill = d->cl->kernel(d->program, "lmm_fill", &rc);
	d->read = d->cl->kernel(d->program, "lmm_read", &rc);
	d->f32 = d->cl->kernel(d->program, "lmm_f32", &rc);
	return d->fill && d->read && d->f32 ? 0 : -EIO;
}

static int device_open(struct device *d)
{
	const struct cl *cl = d->cl;
	cl_int rc;

	d->context = cl->context(NULL, 1, &d->id, NULL, NULL, &rc);
	if (!d->context)
		return -EIO;
	d->queue = cl->queue(d->context, d->id, CL_QUEUE_PROFILING_ENABLE, &rc);
	if (!d->queue || program_make(d))
		return -EIO;
	d->out = cl->buffer(d->context, CL_MEM_WRITE_ONLY, d->items * sizeof(cl_float), NULL, &rc);
	d->data = cl->buffer(d->context, CL_MEM_READ_WRITE, (size_t)d->bytes, NULL, &rc);
	return d->out && d->data ? 0 : -ENOMEM;
}

static uint64_t number_of(const struct device *d, cl_device_info what, size_t bytes)
{
	uint64_t v = 0;

	return d->cl->device_info(d->id, what, bytes, &v, NULL) == CL_SUCCESS ? v : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How the work is cut up: more than enough items for a GPU, a few for each core of a CPU. */
static void device_size(struct device *d, struct lmm_peaks_device *p)
{
	uint64_t units = number_of(d, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint));
	uint64_t native = number_of(d, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof(cl_uint));
	uint64_t cache = number_of(d, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof(cl_ulong));
	struct caches host = { 0 };
	uint64_t each;

	units = units ? least(units, 65536) : 1;
	d->is_cpu =
		(number_of(d, CL_DEVICE_TYPE, sizeof(cl_device_type)) & CL_DEVICE_TYPE_CPU) != 0;
	for (d->width = 4; d->width < 16 && (uint64_t)d->width * 2 <= native;)
		d->width *= 2;
	d->items = (size_t)units * (d->is_cpu ? (size_t)16 : (size_t)2048);
	if (d->is_cpu) {
		lmm__caches_read(CPU_FOLDER, &host);
		cache = host.last_bytes > cache ? host.last_bytes : cache;
	}
	d->bytes =
		least(cache * 4 > WORKING_SET_MIN ? cache * 4 : WORKING_SET_MIN, WORKING_SET_MAX);
	d->bytes = least(d->bytes, number_of(d, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong)) / 4);
	d->bytes = least(d->bytes, number_of(d, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong)));
	/* whole rows of loads for every item */
	each = d->items * d->width * sizeof(cl_float) * LOADS;
	d->bytes = d->bytes < each ? each : d->bytes - d->bytes % each;
	p->compute_units = (uint32_t)units;
	p->working_set_bytes = d->bytes;
}

static int device_measure(struct device *d, struct lmm_peaks_device *p)
{
	int rc;

	device_size(d, p);
	rc = device_open(d);
	rc = rc ? rc : measure_read(d, &p->read);
	rc = rc ? rc : measure_f32(d, &p->f32);
	device_close(d);
	return rc;
}

/* ---- all of them -------------------------------------------------------------------------------- */

struct all {
	const struct lmm_calibrate_opts *opts;
	struct lmm_peaks *p;
	const char *why;
	struct cl cl;
};

static int library_open(struct cl *cl)
{
	void *slots[LMM_ARRAY_SIZE(names)];
	/* stays open: drivers do not like to be unloaded */
	void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return -ENOSYS;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		slots[i] = dlsym(library, names[i]);
		if (!slots[i])
			return -ENOSYS;
	}
	memcpy(cl, slots, sizeof(slots)); /* functions' addresses, as POSIX has it */
	return 0;
}

/* As many of a few ms each as there is time for. */
static void repetitions_plan(struct device *d)
{
	double each = d->opts->seconds * 1e9 / 2;

	d->repetitions = REPETITIONS_MIN;
	while (d->repetitions < REPETITIONS_MAX && d->repetitions * REPETITION_NS < each)
		d->repetitions++;
	each /= d->repetitions + 3;
	d->repetition_ns = each < REPETITION_NS_MIN ? REPETITION_NS_MIN : each;
}

static int device_take(struct all *all, cl_platform_id platform, cl_device_id id)
{
	struct lmm_peaks_device *p = &all->p->devices[all->p->n_devices];
	struct device d = { .cl = &all->cl, .opts = all->opts, .id = id };
	const struct cl *cl = &all->cl;

	memset(p, 0, sizeof(*p));
	(void)cl->platform_info(platform, CL_PLATFORM_NAME, sizeof(p->platform) - 1, p->platform,
				NULL);
	(void)cl->device_info(id, CL_DEVICE_NAME, sizeof(p->name) - 1, p->name, NULL);
	(void)cl->device_info(id, CL_DRIVER_VERSION, sizeof(p->driver) - 1, p->driver, NULL);
	if (!p->name[0] || lmm_peaks_device(all->p, p->name))
		return 0;
	if (all->opts->progress && all->opts->progress(all->opts->ctx, 0, p->name))
		return -EINTR;
	repetitions_plan(&d);
	if (device_measure(&d, p)) {
		all->why = "a device could not run the kernels that measure, and was left out";
		return 0;
	}
	all->p->n_devices++;
	return 0;
}

static int platform_take(struct all *all, cl_platform_id platform)
{
	cl_device_id ids[LMM_PEAKS_DEVICES_MAX];
	cl_uint n = 0;
	int rc = 0;

	if (all->cl.devices(platform, CL_DEVICE_TYPE_ALL, LMM_PEAKS_DEVICES_MAX, ids, &n) !=
	    CL_SUCCESS)
		return 0;
	for (cl_uint i = 0; rc == 0 && i < n && i < LMM_PEAKS_DEVICES_MAX; i++) {
		if (all->p->n_devices < LMM_PEAKS_DEVICES_MAX)
			rc = device_take(all, platform, ids[i]);
	}
	return rc;
}

int lmm_calibrate_opencl(const struct lmm_calibrate_opts *opts, struct lmm_peaks *p,
			 const char **why)
{
	struct all all = { .opts = opts, .p = p, .why = "" };
	cl_platform_id platforms[PLATFORMS_MAX];
	cl_uint n = 0;
	int rc = library_open(&all.cl);

	p->n_devices = 0;
	*why = "libOpenCL.so.1 is not there, or has not all of OpenCL 1.2";
	if (rc)
		return rc;
	*why = "there is no OpenCL platform: no driver is installed (/etc/OpenCL/vendors)";
	if (all.cl.platforms(PLATFORMS_MAX, platforms, &n) != CL_SUCCESS || n == 0)
		return -ENOENT;
	for (cl_uint i = 0; rc == 0 && i < n && i < PLATFORMS_MAX; i++)
		rc = platform_take(&all, platforms[i]);
	*why = all.why;
	if (rc == 0 && p->n_devices == 0) {
		*why = all.why[0] ? all.why : "the platforms have no device";
		rc = all.why[0] ? -EIO : -ENOENT;
	}
	return rc;
}

#else

int lmm_calibrate_opencl(const struct lmm_calibrate_opts *opts, struct lmm_peaks *p,
			 const char **why)
{
	(void)opts;
	p->n_devices = 0;
	*why = "lmmeter was built without OpenCL's headers";
	return -ENOSYS;
}

#endif
