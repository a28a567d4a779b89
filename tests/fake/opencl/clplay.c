/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program on whatever OpenCL driver there is:
 *
 *	clplay SCENARIO [n]
 *
 * What it prints is the same each time; stamps and memory go to stderr. Calls that fail are printed and make it end with 1.
 */
#include "clplay.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char source[] = "__kernel void add(__global float *x, float y)\n"
			     "{ size_t i = get_global_id(0); x[i] = x[i] + y; }\n"
			     "__kernel void mul(__global float *x, float y)\n"
			     "{ size_t i = get_global_id(0); x[i] = x[i] * y; }\n"
			     "__kernel void norm(__global float *x, float y)\n"
			     "{ size_t i = get_global_id(0); if (x[i] > y) x[i] = x[i] - y; }\n";
static const char *const names[KERNELS] = { "add", "mul", "norm" };
static const float values[KERNELS] = { 1, 2, 100 };

static const struct {
	const char *name;
	void (*run)(long n);
	long n;
	const char *what;
} scenes[] = {
	{ "inorder", scene_inorder, 100, "n kernels, clFinish" },
	{ "decode", scene_decode, 8, "n tokens: a write, 60 kernels, a blocking read" },
	{ "steps", scene_steps, 8, "as decode, with a mark for each token" },
	{ "outoforder", scene_outoforder, 20, "n rounds of a fork and a join by wait lists" },
	{ "queues", scene_queues, 100, "n kernels on 4 queues in turn" },
	{ "threads", scene_threads, 100, "4 threads with a queue and n kernels each" },
	{ "events", scene_events, 100, "n kernels with events, counts and stamps looked at" },
	{ "stamps", scene_stamps, 50, "n kernels with events, whose stamps go to stderr" },
	{ "callbacks", scene_callbacks, 50, "n kernels with callbacks" },
	{ "early", scene_early, 50, "everything is released behind n kernels" },
	{ "noexit", scene_noexit, 50, "_exit behind n kernels" },
	{ "copies", scene_copies, 3, "every copy, fill and map of buffers, n times" },
	{ "images", scene_images, 3, "the same with images" },
	{ "svm", scene_svm, 3, "the same with shared memory" },
	{ "binary", scene_binary, 20, "n kernels of a program made from a binary" },
	{ "cmdbuf", scene_cmdbuf, 10, "a command buffer of 10 kernels, n times" },
	{ "userevents", scene_userevents, 20, "n kernels that wait for a user event" },
	{ "queueinfo", scene_queueinfo, 0, "what queues say of their properties" },
	{ "errors", scene_errors, 0, "what wrong calls return" },
	{ "double", scene_double, 0,
	  "objects released once too often; only for drivers that bear it" },
	{ "fork", scene_fork, 20, "n kernels before, then in the child and in the parent" },
	{ "dlopen", scene_dlopen, 100, "n kernels through dlopen and dlsym" },
	{ "million", scene_million, 1000000, "n kernels, a blocking read every 1000" },
};

static _Atomic int errors;

void tell(const char *call, cl_int rc)
{
	if (rc == CL_SUCCESS)
		return;
	printf("%s: %d\n", call, rc);
	errors = 1;
}

cl_command_queue play_queue(struct play *p, cl_command_queue_properties properties)
{
	cl_int rc;
	cl_command_queue queue = clCreateCommandQueue(p->context, p->device, properties, &rc);

	tell("clCreateCommandQueue", rc);
	return queue;
}

void play_kernels(struct play *p)
{
	cl_int rc;

	for (int i = 0; i < KERNELS; i++) {
		p->kernels[i] = clCreateKernel(p->program, names[i], &rc);
		tell("clCreateKernel", rc);
		DO(clSetKernelArg, p->kernels[i], 0, sizeof(p->a), &p->a);
		DO(clSetKernelArg, p->kernels[i], 1, sizeof(values[i]), &values[i]);
	}
}

void play_open(struct play *p, cl_command_queue_properties properties)
{
	const char *text = source;
	char *zeros = calloc(1, BYTES);
	cl_int rc;

	memset(p, 0, sizeof(*p));
	rc = clGetPlatformIDs(1, &p->platform, NULL);
	if (!rc)
		rc = clGetDeviceIDs(p->platform, CL_DEVICE_TYPE_ALL, 1, &p->device, NULL);
	if (rc || !zeros) {
		printf("no device: %d\n", rc);
		exit(1);
	}
	p->context = clCreateContext(NULL, 1, &p->device, NULL, NULL, &rc);
	tell("clCreateContext", rc);
	p->queue = play_queue(p, properties);
	p->a = clCreateBuffer(p->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, BYTES, zeros,
			      &rc);
	tell("clCreateBuffer", rc);
	p->b = clCreateBuffer(p->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, BYTES, zeros,
			      &rc);
	tell("clCreateBuffer", rc);
	p->program = clCreateProgramWithSource(p->context, 1, &text, NULL, &rc);
	tell("clCreateProgramWithSource", rc);
	DO(clBuildProgram, p->program, 1, &p->device, "", NULL, NULL);
	play_kernels(p);
	free(zeros);
}

void play_close(struct play *p)
{
	for (int i = 0; i < KERNELS; i++)
		DO(clReleaseKernel, p->kernels[i]);
	DO(clReleaseProgram, p->program);
	DO(clReleaseMemObject, p->a);
	DO(clReleaseMemObject, p->b);
	DO(clReleaseCommandQueue, p->queue);
	DO(clReleaseContext, p->context);
}

void play_launch(struct play *p, cl_command_queue queue, long i, cl_uint n, const cl_event *list,
		 cl_event *event)
{
	const size_t size = 64 * (1 + (size_t)(i / KERNELS) % 16);

	DO(clEnqueueNDRangeKernel, queue, p->kernels[i % KERNELS], 1, NULL, &size, NULL, n, list,
	   event);
}

long play_sum(struct play *p, cl_command_queue queue, cl_mem mem)
{
	static _Thread_local float data[FLOATS];
	double sum = 0;

	(void)p;
	DO(clEnqueueReadBuffer, queue, mem, CL_TRUE, 0, BYTES, data, 0, NULL, NULL);
	for (int i = 0; i < FLOATS; i++)
		sum += (double)data[i];
	return (long)sum;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (strcmp(argv[1], scenes[i].name))
			continue;
		scenes[i].run(argc > 2 ? strtol(argv[2], NULL, 10) : scenes[i].n);
		printf("done\n");
		return errors;
	}
	fprintf(stderr, "clplay SCENARIO [n]\n");
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		fprintf(stderr, "\t%-10s  %s (%ld)\n", scenes[i].name, scenes[i].what, scenes[i].n);
	return 2;
}
