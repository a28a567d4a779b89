/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel of one work item costs, from the first call to the end of clFinish(): on a plain queue, on one with profiling, and
 * with an event per kernel whose four stamps are read at the end, as any profiler must at the least; of that, the stamps and giving the
 * event back alone. The same program runs by itself and under lmmeter. usage: opencl KERNELS ROUNDS; prints one JSON object, ns per kernel.
 */
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum mode { PLAIN, PROFILING, READ, MODES };

static const char *const names[MODES] = { "plain", "profiling", "read" };
static const char *source = "__kernel void add(__global int *a) { a[get_global_id(0)] += 1; }\n";

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void must(cl_int rc, const char *what)
{
	if (rc == CL_SUCCESS)
		return;
	fprintf(stderr, "%s: %d\n", what, rc);
	exit(1);
}

/* Of one round, per kernel; stamps and release are 0 without events. */
struct round {
	double whole, stamps, release;
};

static struct round round_ns(cl_command_queue queue, cl_kernel kernel, enum mode mode,
			     cl_event *events, long n)
{
	size_t one = 1;
	uint64_t t0 = now_ns(), finished, read;
	cl_ulong stamp;

	for (long i = 0; i < n; i++)
		must(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, NULL, 0, NULL,
					    mode == READ ? &events[i] : NULL),
		     "clEnqueueNDRangeKernel");
	must(clFinish(queue), "clFinish");
	finished = now_ns();
	for (long i = 0; mode == READ && i < n; i++) {
		for (cl_profiling_info k = CL_PROFILING_COMMAND_QUEUED;
		     k <= CL_PROFILING_COMMAND_END; k++)
			clGetEventProfilingInfo(events[i], k, sizeof(stamp), &stamp, NULL);
	}
	read = now_ns();
	for (long i = 0; mode == READ && i < n; i++)
		clReleaseEvent(events[i]);
	return (struct round){ (double)(now_ns() - t0) / (double)n,
			       (double)(read - finished) / (double)n,
			       (double)(now_ns() - read) / (double)n };
}

static void keep_least(double *best, double ns)
{
	*best = *best == 0 || ns < *best ? ns : *best;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 2000, rounds = argc > 2 ? atol(argv[2]) : 9;
	cl_event *events = calloc((size_t)n, sizeof(*events));
	double best[MODES] = { 0 }, stamps = 0, release = 0;
	cl_command_queue queues[2];
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_program program;
	cl_kernel kernel;
	cl_mem buffer;
	cl_int rc;

	must(clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
	must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "clGetDeviceIDs");
	context = clCreateContext(NULL, 1, &device, NULL, NULL, &rc);
	must(rc, "clCreateContext");
	program = clCreateProgramWithSource(context, 1, &source, NULL, &rc);
	must(clBuildProgram(program, 1, &device, "", NULL, NULL), "clBuildProgram");
	kernel = clCreateKernel(program, "add", &rc);
	must(rc, "clCreateKernel");
	buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 4096, NULL, &rc);
	must(clSetKernelArg(kernel, 0, sizeof(buffer), &buffer), "clSetKernelArg");
	queues[0] = clCreateCommandQueue(context, device, 0, &rc);
	queues[1] = clCreateCommandQueue(context, device, CL_QUEUE_PROFILING_ENABLE, &rc);
	must(rc, "clCreateCommandQueue");
	round_ns(queues[0], kernel, PLAIN, events, n);
	for (long r = 0; r < rounds; r++) {
		for (int m = 0; m < MODES; m++) {
			struct round ns =
				round_ns(queues[m != PLAIN], kernel, (enum mode)m, events, n);

			keep_least(&best[m], ns.whole);
			if (m == READ) {
				keep_least(&stamps, ns.stamps);
				keep_least(&release, ns.release);
			}
		}
	}
	printf("{\"%s_ns\": %.1f, \"%s_ns\": %.1f, \"%s_ns\": %.1f, \"stamps_ns\": %.1f, \"release_ns\": %.1f}\n",
	       names[0], best[0], names[1], best[1], names[2], best[2], stamps, release);
	return 0;
}
