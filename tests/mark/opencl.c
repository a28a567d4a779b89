/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine on an OpenCL device that says itself what it does: three requests of three tokens. A prompt is four kernels "add", a token's pass
 * two kernels "mul", choosing from it is one kernel "norm" in softmax; each waits for the device, and a pass reads its result.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <lmmeter/mark.h>

#include <stdio.h>

static const char *const source =
	"__kernel void add(__global float *x, float y) { x[get_global_id(0)] += y; }\n"
	"__kernel void mul(__global float *x, float y) { x[get_global_id(0)] *= y; }\n"
	"__kernel void norm(__global float *x, float y) { x[get_global_id(0)] -= y; }\n";
static cl_command_queue queue;
static cl_kernel kernel[3];
static cl_mem memory;

static int prepare(void)
{
	static const char *const names[] = { "add", "mul", "norm" };
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_program program;
	cl_float one = 1;

	if (clGetPlatformIDs(1, &platform, NULL) ||
	    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL))
		return 1;
	context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	queue = clCreateCommandQueue(context, device, 0, NULL);
	memory = clCreateBuffer(context, CL_MEM_READ_WRITE, 4096, NULL, NULL);
	program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, NULL);
	if (clBuildProgram(program, 1, &device, "", NULL, NULL))
		return 1;
	for (int i = 0; i < 3; i++) {
		kernel[i] = clCreateKernel(program, names[i], NULL);
		if (clSetKernelArg(kernel[i], 0, sizeof(memory), &memory) ||
		    clSetKernelArg(kernel[i], 1, sizeof(one), &one))
			return 1;
	}
	return 0;
}

static int launch(int which, int times)
{
	size_t size = 64;
	int rc = 0;

	for (int i = 0; i < times; i++)
		rc |= clEnqueueNDRangeKernel(queue, kernel[which], 1, NULL, &size, NULL, 0, NULL,
					     NULL);
	return rc;
}

static int pass(uint64_t request, unsigned tokens, unsigned at)
{
	struct lmm_mark_part part = { request, tokens, 1, at };
	float logits[16];
	int rc;

	lmm_mark_step_begin(LMM_MARK_AUTO, &part, 1);
	rc = tokens > 1 ? launch(0, 4) : launch(1, 2);
	rc |= clFinish(queue);
	lmm_mark_phase_begin(LMM_MARK_COPY_TO_CPU, request);
	rc |= clEnqueueReadBuffer(queue, memory, CL_TRUE, 0, sizeof(logits), logits, 0, NULL, NULL);
	lmm_mark_phase_end(LMM_MARK_COPY_TO_CPU);
	lmm_mark_step_end();
	return rc;
}

static int choose(uint64_t request)
{
	int rc;

	lmm_mark_phase_begin(LMM_MARK_SOFTMAX, request);
	rc = launch(2, 1) | clFinish(queue);
	lmm_mark_phase_end(LMM_MARK_SOFTMAX);
	lmm_mark_token(request);
	return rc;
}

int main(void)
{
	int rc = prepare();

	for (uint64_t request = 1; rc == 0 && request <= 3; request++) {
		lmm_mark_request_begin(request);
		for (unsigned i = 0; i < 3; i++)
			rc |= pass(request, i ? 1 : 8, i ? 7 + i : 0) | choose(request);
		lmm_mark_request_end(request);
	}
	puts(rc ? "failed" : "done");
	return rc != 0;
}
