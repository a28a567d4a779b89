/* SPDX-License-Identifier: Apache-2.0 */
/* Every entry point of the dispatch table that the driver has, each as fake_<name> with the type the table wants. */
#ifndef FAKECL_API_H
#define FAKECL_API_H

#include "fakecl.h"

/* clang-format off */
#define FAKECL_API(X) \
	X(clGetPlatformIDs) X(clGetPlatformInfo) X(clGetDeviceIDs) X(clGetDeviceInfo) \
	X(clCreateSubDevices) X(clRetainDevice) X(clReleaseDevice) \
	X(clCreateContext) X(clCreateContextFromType) X(clRetainContext) X(clReleaseContext) \
	X(clGetContextInfo) X(clGetDeviceAndHostTimer) X(clGetHostTimer) \
	X(clSetContextDestructorCallback) X(clSetDefaultDeviceCommandQueue) \
	X(clGetExtensionFunctionAddress) X(clGetExtensionFunctionAddressForPlatform) \
	X(clCreateCommandQueue) X(clCreateCommandQueueWithProperties) X(clSetCommandQueueProperty) \
	X(clRetainCommandQueue) X(clReleaseCommandQueue) X(clGetCommandQueueInfo) \
	X(clFlush) X(clFinish) \
	X(clCreateBuffer) X(clCreateBufferWithProperties) X(clCreateSubBuffer) \
	X(clCreateImage) X(clCreateImageWithProperties) X(clCreateImage2D) X(clCreateImage3D) \
	X(clRetainMemObject) X(clReleaseMemObject) X(clGetMemObjectInfo) X(clGetImageInfo) \
	X(clGetSupportedImageFormats) X(clSetMemObjectDestructorCallback) \
	X(clCreateSampler) X(clCreateSamplerWithProperties) X(clRetainSampler) X(clReleaseSampler) \
	X(clGetSamplerInfo) X(clCreatePipe) X(clGetPipeInfo) X(clSVMAlloc) X(clSVMFree) \
	X(clCreateProgramWithSource) X(clCreateProgramWithBinary) X(clCreateProgramWithIL) \
	X(clCreateProgramWithBuiltInKernels) X(clRetainProgram) X(clReleaseProgram) \
	X(clBuildProgram) X(clCompileProgram) X(clLinkProgram) X(clUnloadCompiler) \
	X(clUnloadPlatformCompiler) X(clGetProgramInfo) X(clGetProgramBuildInfo) \
	X(clSetProgramReleaseCallback) X(clSetProgramSpecializationConstant) \
	X(clCreateKernel) X(clCreateKernelsInProgram) X(clCloneKernel) X(clRetainKernel) \
	X(clReleaseKernel) X(clSetKernelArg) X(clSetKernelArgSVMPointer) X(clSetKernelExecInfo) \
	X(clGetKernelInfo) X(clGetKernelArgInfo) X(clGetKernelWorkGroupInfo) \
	X(clGetKernelSubGroupInfo) \
	X(clWaitForEvents) X(clGetEventInfo) X(clCreateUserEvent) X(clRetainEvent) \
	X(clReleaseEvent) X(clSetUserEventStatus) X(clSetEventCallback) X(clGetEventProfilingInfo) \
	X(clEnqueueReadBuffer) X(clEnqueueWriteBuffer) X(clEnqueueReadBufferRect) \
	X(clEnqueueWriteBufferRect) X(clEnqueueFillBuffer) X(clEnqueueCopyBuffer) \
	X(clEnqueueCopyBufferRect) X(clEnqueueReadImage) X(clEnqueueWriteImage) \
	X(clEnqueueFillImage) X(clEnqueueCopyImage) X(clEnqueueCopyImageToBuffer) \
	X(clEnqueueCopyBufferToImage) X(clEnqueueMapBuffer) X(clEnqueueMapImage) \
	X(clEnqueueUnmapMemObject) X(clEnqueueMigrateMemObjects) X(clEnqueueNDRangeKernel) \
	X(clEnqueueTask) X(clEnqueueNativeKernel) X(clEnqueueMarkerWithWaitList) \
	X(clEnqueueBarrierWithWaitList) X(clEnqueueMarker) X(clEnqueueBarrier) \
	X(clEnqueueWaitForEvents) X(clEnqueueSVMFree) X(clEnqueueSVMMemcpy) \
	X(clEnqueueSVMMemFill) X(clEnqueueSVMMap) X(clEnqueueSVMUnmap) X(clEnqueueSVMMigrateMem)

#define FAKECL_EXTENSIONS(X) \
	X(clCreateCommandBufferKHR) X(clFinalizeCommandBufferKHR) X(clRetainCommandBufferKHR) \
	X(clReleaseCommandBufferKHR) X(clEnqueueCommandBufferKHR) X(clCommandNDRangeKernelKHR) \
	X(clCommandCopyBufferKHR) X(clCommandFillBufferKHR) X(clCommandBarrierWithWaitListKHR) \
	X(clGetCommandBufferInfoKHR)
/* clang-format on */

#define FAKECL_DECLARE(name)	 extern __typeof__(*(cl_api_##name)NULL) fake_##name;
#define FAKECL_DECLARE_KHR(name) extern __typeof__(*(name##_fn)NULL) fake_##name;

FAKECL_API(FAKECL_DECLARE)
FAKECL_EXTENSIONS(FAKECL_DECLARE_KHR)

#endif
