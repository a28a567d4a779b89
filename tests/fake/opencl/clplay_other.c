/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios of programs, extensions, errors and processes. */
#include "clplay.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static cl_program binary_program(struct play *p)
{
	unsigned char *binary;
	cl_program program;
	size_t size = 0;
	cl_int rc, status = -1;

	DO(clGetProgramInfo, p->program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL);
	binary = malloc(size + 1);
	if (!binary)
		abort();
	DO(clGetProgramInfo, p->program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL);
	program = clCreateProgramWithBinary(p->context, 1, &p->device, &size,
					    (const unsigned char **)&binary, &status, &rc);
	tell("clCreateProgramWithBinary", rc);
	tell("binary status", status);
	DO(clBuildProgram, program, 1, &p->device, "", NULL, NULL);
	free(binary);
	return program;
}

static void kernel_tell(cl_kernel kernel)
{
	char name[64] = "";
	cl_uint n = 0;

	DO(clGetKernelInfo, kernel, CL_KERNEL_FUNCTION_NAME, sizeof(name), name, NULL);
	DO(clGetKernelInfo, kernel, CL_KERNEL_NUM_ARGS, sizeof(n), &n, NULL);
	printf("kernel %s, %u arguments\n", name, n);
}

void scene_binary(long n)
{
	struct play p;
	cl_program program;

	play_open(&p, 0);
	program = binary_program(&p);
	for (int i = 0; i < KERNELS; i++)
		DO(clReleaseKernel, p.kernels[i]);
	DO(clReleaseProgram, p.program);
	p.program = program;
	play_kernels(&p);
	for (int i = 0; i < KERNELS; i++)
		kernel_tell(p.kernels[i]);
	for (long i = 0; i < n; i++)
		play_launch(&p, p.queue, i, 0, NULL, NULL);
	printf("sum %ld\n", play_sum(&p, p.queue, p.a));
	play_close(&p);
}

/* ---- command buffers ---- */

static struct {
	clCreateCommandBufferKHR_fn create;
	clFinalizeCommandBufferKHR_fn finalize;
	clReleaseCommandBufferKHR_fn release;
	clEnqueueCommandBufferKHR_fn enqueue;
	clCommandNDRangeKernelKHR_fn kernel;
	clCommandFillBufferKHR_fn fill;
	clCommandCopyBufferKHR_fn copy;
	clCommandBarrierWithWaitListKHR_fn barrier;
	clGetCommandBufferInfoKHR_fn info;
} cb;

static void *extension(struct play *p, const char *name)
{
	return clGetExtensionFunctionAddressForPlatform(p->platform, name);
}

static bool extensions_find(struct play *p)
{
	char text[8192] = "";

	DO(clGetDeviceInfo, p->device, CL_DEVICE_EXTENSIONS, sizeof(text), text, NULL);
	if (!strstr(text, "cl_khr_command_buffer"))
		return false;
	cb.create = (clCreateCommandBufferKHR_fn)extension(p, "clCreateCommandBufferKHR");
	cb.finalize = (clFinalizeCommandBufferKHR_fn)extension(p, "clFinalizeCommandBufferKHR");
	cb.release = (clReleaseCommandBufferKHR_fn)extension(p, "clReleaseCommandBufferKHR");
	cb.enqueue = (clEnqueueCommandBufferKHR_fn)extension(p, "clEnqueueCommandBufferKHR");
	cb.kernel = (clCommandNDRangeKernelKHR_fn)extension(p, "clCommandNDRangeKernelKHR");
	cb.fill = (clCommandFillBufferKHR_fn)extension(p, "clCommandFillBufferKHR");
	cb.copy = (clCommandCopyBufferKHR_fn)extension(p, "clCommandCopyBufferKHR");
	cb.barrier =
		(clCommandBarrierWithWaitListKHR_fn)extension(p, "clCommandBarrierWithWaitListKHR");
	cb.info = (clGetCommandBufferInfoKHR_fn)extension(p, "clGetCommandBufferInfoKHR");
	return cb.create && cb.finalize && cb.release && cb.enqueue && cb.kernel && cb.fill &&
	       cb.copy && cb.barrier && cb.info;
}

static cl_command_buffer_khr buffer_record(struct play *p)
{
	const size_t size = 256;
	const cl_uint pattern = 0;
	cl_int rc;
	cl_command_buffer_khr b = cb.create(1, &p->queue, NULL, &rc);

	tell("clCreateCommandBufferKHR", rc);
	DO(cb.fill, b, NULL, p->b, &pattern, sizeof(pattern), 0, 1024, 0, NULL, NULL, NULL);
	for (int i = 0; i < 10; i++)
		DO(cb.kernel, b, NULL, NULL, p->kernels[i % KERNELS], 1, NULL, &size, NULL, 0, NULL,
		   NULL, NULL);
	DO(cb.barrier, b, NULL, 0, NULL, NULL, NULL);
	DO(cb.copy, b, NULL, p->a, p->b, 0, 0, 1024, 0, NULL, NULL, NULL);
	DO(cb.finalize, b);
	return b;
}

void scene_cmdbuf(long n)
{
	cl_command_buffer_state_khr state = 99;
	cl_command_buffer_khr b;
	struct play p;

	play_open(&p, 0);
	if (!extensions_find(&p)) {
		printf("no command buffers\n");
		play_close(&p);
		return;
	}
	b = buffer_record(&p);
	for (long i = 0; i < n; i++) {
		DO(cb.enqueue, 0, NULL, b, 0, NULL, NULL);
		DO(clFinish, p.queue);
	}
	DO(cb.info, b, CL_COMMAND_BUFFER_STATE_KHR, sizeof(state), &state, NULL);
	printf("state %u, sum %ld\n", state, play_sum(&p, p.queue, p.b));
	DO(cb.release, b);
	play_close(&p);
}

/* ---- what is said of a queue ---- */

static void queue_tell(const char *what, cl_command_queue queue)
{
	cl_command_queue_properties bits = 0;
	cl_queue_properties array[16];
	size_t size = 0;

	if (!queue) {
		printf("%s: none\n", what);
		return;
	}
	DO(clGetCommandQueueInfo, queue, CL_QUEUE_PROPERTIES, sizeof(bits), &bits, NULL);
	printf("%s: profiling %d, out of order %d", what, (bits & CL_QUEUE_PROFILING_ENABLE) != 0,
	       (bits & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0);
	if (clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES_ARRAY, sizeof(array), array, &size))
		printf(", no array\n");
	else
		printf(", array of %zu, %ld\n", size / sizeof(array[0]),
		       size > sizeof(array[0]) ? (long)array[1] : 0L);
	DO(clReleaseCommandQueue, queue);
}

static cl_command_queue queue_new(struct play *p, const cl_queue_properties *properties)
{
	cl_int rc;
	cl_command_queue queue =
		clCreateCommandQueueWithProperties(p->context, p->device, properties, &rc);

	tell("clCreateCommandQueueWithProperties", rc);
	return queue;
}

void scene_queueinfo(long n)
{
	const cl_queue_properties none[] = { 0 };
	const cl_queue_properties zero[] = { CL_QUEUE_PROPERTIES, 0, 0 };
	const cl_queue_properties order[] = { CL_QUEUE_PROPERTIES,
					      CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0 };
	const cl_queue_properties profiling[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE,
						  0 };
	struct play p;

	(void)n;
	play_open(&p, 0);
	queue_tell("without", play_queue(&p, 0));
	queue_tell("with", play_queue(&p, CL_QUEUE_PROFILING_ENABLE));
	queue_tell("NULL", queue_new(&p, NULL));
	queue_tell("empty", queue_new(&p, none));
	queue_tell("zero", queue_new(&p, zero));
	queue_tell("order", queue_new(&p, order));
	queue_tell("profiling", queue_new(&p, profiling));
	play_close(&p);
}

/* ---- wrong calls ---- */

static void code(const char *what, cl_int rc)
{
	printf("%s: %d\n", what, rc);
}

static void errors_queue(struct play *p)
{
	const cl_queue_properties bad[] = { 0x4321, 1, 0 };
	cl_int rc;

	clCreateCommandQueue(p->context, p->device, (cl_command_queue_properties)1 << 40, &rc);
	code("queue of unknown properties", rc);
	clCreateCommandQueueWithProperties(p->context, p->device, bad, &rc);
	code("queue of an unknown key", rc);
	code("no queue to finish", clFinish(NULL));
	code("unknown info", clGetCommandQueueInfo(p->queue, 0x4321, 0, NULL, NULL));
	code("no room", clGetCommandQueueInfo(p->queue, CL_QUEUE_PROPERTIES, 1, &rc, NULL));
}

static void errors_kernel(struct play *p)
{
	const size_t size = 64;
	cl_int rc;
	cl_kernel bare = clCreateKernel(p->program, "add", NULL);

	code("no kernel",
	     clEnqueueNDRangeKernel(p->queue, NULL, 1, NULL, &size, NULL, 0, NULL, NULL));
	code("no dimensions",
	     clEnqueueNDRangeKernel(p->queue, p->kernels[0], 0, NULL, &size, NULL, 0, NULL, NULL));
	code("four dimensions",
	     clEnqueueNDRangeKernel(p->queue, p->kernels[0], 4, NULL, &size, NULL, 0, NULL, NULL));
	code("arguments not set",
	     clEnqueueNDRangeKernel(p->queue, bare, 1, NULL, &size, NULL, 0, NULL, NULL));
	code("argument number 9", clSetKernelArg(p->kernels[0], 9, 4, &size));
	clCreateKernel(p->program, "no_such_kernel", &rc);
	code("unknown kernel", rc);
	DO(clReleaseKernel, bare);
}

static void errors_events(struct play *p)
{
	const size_t size = 64;
	cl_context other = clCreateContext(NULL, 1, &p->device, NULL, NULL, NULL);
	cl_event event = clCreateUserEvent(other, NULL);

	code("a list of none",
	     clEnqueueNDRangeKernel(p->queue, p->kernels[0], 1, NULL, &size, NULL, 1, NULL, NULL));
	code("none of a list", clEnqueueNDRangeKernel(p->queue, p->kernels[0], 1, NULL, &size, NULL,
						      0, &event, NULL));
	code("event of another context", clEnqueueNDRangeKernel(p->queue, p->kernels[0], 1, NULL,
								&size, NULL, 1, &event, NULL));
	code("wait for nothing", clWaitForEvents(0, NULL));
	code("stamps of a user event",
	     clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, 0, NULL, NULL));
	code("no callback", clSetEventCallback(event, CL_COMPLETE, NULL, NULL));
	DO(clSetUserEventStatus, event, CL_COMPLETE);
	code("user event set twice", clSetUserEventStatus(event, CL_COMPLETE));
	DO(clReleaseEvent, event);
	DO(clReleaseContext, other);
}

static void errors_memory(struct play *p)
{
	float host[4] = { 0 };
	cl_int rc;

	clCreateBuffer(p->context, CL_MEM_READ_WRITE, 0, NULL, &rc);
	code("buffer of no size", rc);
	code("read too far",
	     clEnqueueReadBuffer(p->queue, p->a, CL_TRUE, BYTES, 16, host, 0, NULL, NULL));
	code("read to nowhere",
	     clEnqueueReadBuffer(p->queue, p->a, CL_TRUE, 0, 16, NULL, 0, NULL, NULL));
	code("read from nothing",
	     clEnqueueReadBuffer(p->queue, NULL, CL_TRUE, 0, 16, host, 0, NULL, NULL));
	code("copy onto itself",
	     clEnqueueCopyBuffer(p->queue, p->a, p->a, 0, 8, 16, 0, NULL, NULL));
}

static void errors_stamps(struct play *p)
{
	cl_ulong t;
	cl_event event = NULL;

	play_launch(p, p->queue, 0, 0, NULL, &event);
	DO(clFinish, p->queue);
	code("stamps without profiling",
	     clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof(t), &t, NULL));
	code("unknown event info", clGetEventInfo(event, 0x4321, 0, NULL, NULL));
	DO(clReleaseEvent, event);
}

void scene_errors(long n)
{
	struct play p;

	(void)n;
	play_open(&p, 0);
	errors_queue(&p);
	errors_kernel(&p);
	errors_events(&p);
	errors_memory(&p);
	errors_stamps(&p);
	DO(clFinish, p.queue);
	play_close(&p);
}

void scene_double(long n)
{
	cl_event event = NULL;
	struct play p;

	(void)n;
	play_open(&p, 0);
	play_launch(&p, p.queue, 0, 0, NULL, &event);
	DO(clFinish, p.queue);
	DO(clReleaseEvent, event);
	code("event", clReleaseEvent(event));
	play_close(&p);
	code("kernel", clReleaseKernel(p.kernels[0]));
	code("context", clReleaseContext(p.context));
}

/* ---- processes ---- */

static void run_some(const char *who, long n)
{
	struct play p;

	play_open(&p, 0);
	for (long i = 0; i < n; i++)
		play_launch(&p, p.queue, i, 0, NULL, NULL);
	DO(clFinish, p.queue);
	printf("%s: sum %ld\n", who, play_sum(&p, p.queue, p.a));
	fflush(stdout);
	play_close(&p);
}

void scene_fork(long n)
{
	int status = 0;
	pid_t child;

	run_some("before", n);
	child = fork();
	if (!child) {
		run_some("child", n);
		exit(0);
	}
	waitpid(child, &status, 0);
	printf("child: %d\n", status);
	run_some("parent", n);
}

#define FUNCTIONS(X)                                                                               \
	X(clGetPlatformIDs)                                                                        \
	X(clGetDeviceIDs)                                                                          \
	X(clCreateContext)                                                                         \
	X(clCreateCommandQueue)                                                                    \
	X(clCreateBuffer)                                                                          \
	X(clCreateProgramWithSource)                                                               \
	X(clBuildProgram)                                                                          \
	X(clCreateKernel)                                                                          \
	X(clSetKernelArg)                                                                          \
	X(clEnqueueNDRangeKernel)                                                                  \
	X(clFinish)                                                                                \
	X(clReleaseKernel)                                                                         \
	X(clReleaseProgram)                                                                        \
	X(clReleaseMemObject)                                                                      \
	X(clReleaseCommandQueue)                                                                   \
	X(clReleaseContext)

#define MEMBER(name) __typeof__(name) *name;
static struct {
	FUNCTIONS(MEMBER)
} cl;

static bool functions_find(void)
{
	void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	bool all = library != NULL;

#define FIND(function)                                                                             \
	cl.function = library ? (__typeof__(function) *)dlsym(library, #function) : NULL;          \
	all = all && cl.function;
	FUNCTIONS(FIND)
	return all;
}

static void table_run(cl_context context, cl_device_id device, long n)
{
	const char *source = "__kernel void add(__global float *x) { x[get_global_id(0)] += 1; }";
	const size_t size = 64;
	cl_command_queue queue = cl.clCreateCommandQueue(context, device, 0, NULL);
	cl_mem mem = cl.clCreateBuffer(context, CL_MEM_READ_WRITE, BYTES, NULL, NULL);
	cl_program program = cl.clCreateProgramWithSource(context, 1, &source, NULL, NULL);
	cl_kernel kernel;

	DO(cl.clBuildProgram, program, 1, &device, "", NULL, NULL);
	kernel = cl.clCreateKernel(program, "add", NULL);
	DO(cl.clSetKernelArg, kernel, 0, sizeof(mem), &mem);
	for (long i = 0; i < n; i++)
		DO(cl.clEnqueueNDRangeKernel, queue, kernel, 1, NULL, &size, NULL, 0, NULL, NULL);
	DO(cl.clFinish, queue);
	DO(cl.clReleaseKernel, kernel);
	DO(cl.clReleaseProgram, program);
	DO(cl.clReleaseMemObject, mem);
	DO(cl.clReleaseCommandQueue, queue);
}

void scene_dlopen(long n)
{
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_int rc;

	if (!functions_find()) {
		printf("no library\n");
		return;
	}
	DO(cl.clGetPlatformIDs, 1, &platform, NULL);
	DO(cl.clGetDeviceIDs, platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL);
	context = cl.clCreateContext(NULL, 1, &device, NULL, NULL, &rc);
	tell("clCreateContext", rc);
	table_run(context, device, n);
	DO(cl.clReleaseContext, context);
	printf("kernels %ld\n", n);
}
