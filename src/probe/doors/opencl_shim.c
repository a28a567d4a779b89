/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libOpenCL.so of our own, for places with neither preload nor layers nor audit (an Android application): it stands before the
 * system's on the search path, opens that one ($LMMETER_OPENCL_LIBRARY, else the next of the usual names) and puts
 * liblmmeter.so between as the layer that it is. Every function is a jump through a table.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/opencl/cl.h"
#include "probe/doors/jump.h"

/* What a loader exports, in the order of its dispatch table, each with its place in the table of jumps. */
#define FUNCTIONS(X)                                                                               \
	X(clGetPlatformIDs, 0)                                                                     \
	X(clGetPlatformInfo, 1)                                                                    \
	X(clGetDeviceIDs, 2)                                                                       \
	X(clGetDeviceInfo, 3)                                                                      \
	X(clCreateContext, 4)                                                                      \
	X(clCreateContextFromType, 5)                                                              \
	X(clRetainContext, 6)                                                                      \
	X(clReleaseContext, 7)                                                                     \
	X(clGetContextInfo, 8)                                                                     \
	X(clCreateCommandQueue, 9)                                                                 \
	X(clRetainCommandQueue, 10)                                                                \
	X(clReleaseCommandQueue, 11)                                                               \
	X(clGetCommandQueueInfo, 12)                                                               \
	X(clSetCommandQueueProperty, 13)                                                           \
	X(clCreateBuffer, 14)                                                                      \
	X(clCreateImage2D, 15)                                                                     \
	X(clCreateImage3D, 16)                                                                     \
	X(clRetainMemObject, 17)                                                                   \
	X(clReleaseMemObject, 18)                                                                  \
	X(clGetSupportedImageFormats, 19)                                                          \
	X(clGetMemObjectInfo, 20)                                                                  \
	X(clGetImageInfo, 21)                                                                      \
	X(clCreateSampler, 22)                                                                     \
	X(clRetainSampler, 23)                                                                     \
	X(clReleaseSampler, 24)                                                                    \
	X(clGetSamplerInfo, 25)                                                                    \
	X(clCreateProgramWithSource, 26)                                                           \
	X(clCreateProgramWithBinary, 27)                                                           \
	X(clRetainProgram, 28)                                                                     \
	X(clReleaseProgram, 29)                                                                    \
	X(clBuildProgram, 30)                                                                      \
	X(clUnloadCompiler, 31)                                                                    \
	X(clGetProgramInfo, 32)                                                                    \
	X(clGetProgramBuildInfo, 33)                                                               \
	X(clCreateKernel, 34)                                                                      \
	X(clCreateKernelsInProgram, 35)                                                            \
	X(clRetainKernel, 36)                                                                      \
	X(clReleaseKernel, 37)                                                                     \
	X(clSetKernelArg, 38)                                                                      \
	X(clGetKernelInfo, 39)                                                                     \
	X(clGetKernelWorkGroupInfo, 40)                                                            \
	X(clWaitForEvents, 41)                                                                     \
	X(clGetEventInfo, 42)                                                                      \
	X(clRetainEvent, 43)                                                                       \
	X(clReleaseEvent, 44)                                                                      \
	X(clGetEventProfilingInfo, 45)                                                             \
	X(clFlush, 46)                                                                             \
	X(clFinish, 47)                                                                            \
	X(clEnqueueReadBuffer, 48)                                                                 \
	X(clEnqueueWriteBuffer, 49)                                                                \
	X(clEnqueueCopyBuffer, 50)                                                                 \
	X(clEnqueueReadImage, 51)                                                                  \
	X(clEnqueueWriteImage, 52)                                                                 \
	X(clEnqueueCopyImage, 53)                                                                  \
	X(clEnqueueCopyImageToBuffer, 54)                                                          \
	X(clEnqueueCopyBufferToImage, 55)                                                          \
	X(clEnqueueMapBuffer, 56)                                                                  \
	X(clEnqueueMapImage, 57)                                                                   \
	X(clEnqueueUnmapMemObject, 58)                                                             \
	X(clEnqueueNDRangeKernel, 59)                                                              \
	X(clEnqueueTask, 60)                                                                       \
	X(clEnqueueNativeKernel, 61)                                                               \
	X(clEnqueueMarker, 62)                                                                     \
	X(clEnqueueWaitForEvents, 63)                                                              \
	X(clEnqueueBarrier, 64)                                                                    \
	X(clGetExtensionFunctionAddress, 65)                                                       \
	X(clCreateFromGLBuffer, 66)                                                                \
	X(clCreateFromGLTexture2D, 67)                                                             \
	X(clCreateFromGLTexture3D, 68)                                                             \
	X(clCreateFromGLRenderbuffer, 69)                                                          \
	X(clGetGLObjectInfo, 70)                                                                   \
	X(clGetGLTextureInfo, 71)                                                                  \
	X(clEnqueueAcquireGLObjects, 72)                                                           \
	X(clEnqueueReleaseGLObjects, 73)                                                           \
	X(clGetGLContextInfoKHR, 74)                                                               \
	X(clSetEventCallback, 75)                                                                  \
	X(clCreateSubBuffer, 76)                                                                   \
	X(clSetMemObjectDestructorCallback, 77)                                                    \
	X(clCreateUserEvent, 78)                                                                   \
	X(clSetUserEventStatus, 79)                                                                \
	X(clEnqueueReadBufferRect, 80)                                                             \
	X(clEnqueueWriteBufferRect, 81)                                                            \
	X(clEnqueueCopyBufferRect, 82)                                                             \
	X(clCreateSubDevicesEXT, 83)                                                               \
	X(clRetainDeviceEXT, 84)                                                                   \
	X(clReleaseDeviceEXT, 85)                                                                  \
	X(clCreateEventFromGLsyncKHR, 86)                                                          \
	X(clCreateSubDevices, 87)                                                                  \
	X(clRetainDevice, 88)                                                                      \
	X(clReleaseDevice, 89)                                                                     \
	X(clCreateImage, 90)                                                                       \
	X(clCreateProgramWithBuiltInKernels, 91)                                                   \
	X(clCompileProgram, 92)                                                                    \
	X(clLinkProgram, 93)                                                                       \
	X(clUnloadPlatformCompiler, 94)                                                            \
	X(clGetKernelArgInfo, 95)                                                                  \
	X(clEnqueueFillBuffer, 96)                                                                 \
	X(clEnqueueFillImage, 97)                                                                  \
	X(clEnqueueMigrateMemObjects, 98)                                                          \
	X(clEnqueueMarkerWithWaitList, 99)                                                         \
	X(clEnqueueBarrierWithWaitList, 100)                                                       \
	X(clGetExtensionFunctionAddressForPlatform, 101)                                           \
	X(clCreateFromGLTexture, 102)                                                              \
	X(clCreateFromEGLImageKHR, 103)                                                            \
	X(clEnqueueAcquireEGLObjectsKHR, 104)                                                      \
	X(clEnqueueReleaseEGLObjectsKHR, 105)                                                      \
	X(clCreateEventFromEGLSyncKHR, 106)                                                        \
	X(clCreateCommandQueueWithProperties, 107)                                                 \
	X(clCreatePipe, 108)                                                                       \
	X(clGetPipeInfo, 109)                                                                      \
	X(clSVMAlloc, 110)                                                                         \
	X(clSVMFree, 111)                                                                          \
	X(clEnqueueSVMFree, 112)                                                                   \
	X(clEnqueueSVMMemcpy, 113)                                                                 \
	X(clEnqueueSVMMemFill, 114)                                                                \
	X(clEnqueueSVMMap, 115)                                                                    \
	X(clEnqueueSVMUnmap, 116)                                                                  \
	X(clCreateSamplerWithProperties, 117)                                                      \
	X(clSetKernelArgSVMPointer, 118)                                                           \
	X(clSetKernelExecInfo, 119)                                                                \
	X(clGetKernelSubGroupInfoKHR, 120)                                                         \
	X(clCloneKernel, 121)                                                                      \
	X(clCreateProgramWithIL, 122)                                                              \
	X(clEnqueueSVMMigrateMem, 123)                                                             \
	X(clGetDeviceAndHostTimer, 124)                                                            \
	X(clGetHostTimer, 125)                                                                     \
	X(clGetKernelSubGroupInfo, 126)                                                            \
	X(clSetDefaultDeviceCommandQueue, 127)                                                     \
	X(clSetProgramReleaseCallback, 128)                                                        \
	X(clSetProgramSpecializationConstant, 129)                                                 \
	X(clCreateBufferWithProperties, 130)                                                       \
	X(clCreateImageWithProperties, 131)                                                        \
	X(clSetContextDestructorCallback, 132)

cl_int CL_API_CALL clInitLayer(cl_uint n, const struct _cl_icd_dispatch *target, cl_uint *n_out,
			       const struct _cl_icd_dispatch **out);

#define NAME(symbol, number) FUNCTION_##symbol,
enum { FUNCTIONS(NAME) N };

__attribute__((visibility("hidden"))) void *lmm_shim_table[N];

#define JUMP(symbol, number) LMM_JUMP_BY(symbol, lmm_shim_table, number);
FUNCTIONS(JUMP)

#define PLACE(symbol, number) { #symbol, offsetof(struct _cl_icd_dispatch, symbol) },
static const struct {
	const char *name;
	size_t offset;
} functions[] = { FUNCTIONS(PLACE) };

/* Where there is no OpenCL, a program is told so by the first function it calls. */
static cl_int no_platform(void)
{
	return -1001; /* CL_PLATFORM_NOT_FOUND_KHR */
}

static intptr_t nothing(void)
{
	return 0;
}

static void *word_at(const struct _cl_icd_dispatch *d, size_t offset)
{
	void *p;

	memcpy(&p, (const char *)d + offset, sizeof(p));
	return p;
}

static void *open_real(void)
{
	static const char *const usual[] = { "libOpenCL.so.1",
					     "/system/vendor/lib64/libOpenCL.so",
					     "/vendor/lib64/libOpenCL.so",
					     "/system/lib64/libOpenCL.so",
					     "/usr/lib/x86_64-linux-gnu/libOpenCL.so.1",
					     "/usr/lib/aarch64-linux-gnu/libOpenCL.so.1" };
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): before main() */
	const char *named = getenv("LMMETER_OPENCL_LIBRARY");
	void *real = named ? dlopen(named, RTLD_NOW | RTLD_LOCAL) : NULL;

	for (size_t i = 0; !real && i < sizeof(usual) / sizeof(usual[0]); i++) {
		real = dlopen(usual[i], RTLD_NOW | RTLD_LOCAL);
		/* by its usual name it may be this library again */
		if (real && dlsym(real, "clGetPlatformIDs") == (void *)clGetPlatformIDs) {
			dlclose(real);
			real = NULL;
		}
	}
	return real;
}

static void table_fill(void *real)
{
	static struct _cl_icd_dispatch target;
	const struct _cl_icd_dispatch *layer = NULL;
	cl_uint n = 0;

	for (size_t i = 0; i < N; i++) {
		void *fn = dlsym(real, functions[i].name);

		memcpy((char *)&target + functions[i].offset, &fn, sizeof(fn));
	}
	if (clInitLayer(sizeof(target) / sizeof(void *), &target, &n, &layer) != CL_SUCCESS)
		layer = NULL;
	for (size_t i = 0; i < N; i++) {
		void *fn = layer ? word_at(layer, functions[i].offset) : NULL;

		lmm_shim_table[i] = fn ? fn : word_at(&target, functions[i].offset);
	}
}

__attribute__((constructor)) static void start(void)
{
	void *real = open_real();

	if (real)
		table_fill(real);
	for (size_t i = 0; i < N; i++) {
		if (!lmm_shim_table[i])
			lmm_shim_table[i] = i == 0 ? (void *)no_platform : (void *)nothing;
	}
}
