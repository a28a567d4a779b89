/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions of OpenCL are hooked, and which are only called. */
#ifndef LMM_PROBE_DEVICES_OPENCL_HOOKS_H
#define LMM_PROBE_DEVICES_OPENCL_HOOKS_H

#define LMM_CL_HOOKS(X)                                                                            \
	X(clCreateCommandQueue)                                                                    \
	X(clCreateCommandQueueWithProperties)                                                      \
	X(clGetExtensionFunctionAddress)                                                           \
	X(clGetExtensionFunctionAddressForPlatform)                                                \
	X(clGetPlatformInfo)                                                                       \
	X(clGetDeviceInfo)                                                                         \
	X(clGetCommandQueueInfo)                                                                   \
	X(clReleaseCommandQueue)                                                                   \
	X(clCreateProgramWithSource)                                                               \
	X(clCreateProgramWithBinary)                                                               \
	X(clCreateProgramWithIL)                                                                   \
	X(clBuildProgram)                                                                          \
	X(clCompileProgram)                                                                        \
	X(clLinkProgram)                                                                           \
	X(clCreateKernel)                                                                          \
	X(clCreateKernelsInProgram)                                                                \
	X(clCloneKernel)                                                                           \
	X(clReleaseKernel)                                                                         \
	X(clGetEventInfo)                                                                          \
	X(clGetEventProfilingInfo)                                                                 \
	X(clWaitForEvents)                                                                         \
	X(clFinish)                                                                                \
	X(clEnqueueNDRangeKernel)                                                                  \
	X(clEnqueueTask)                                                                           \
	X(clEnqueueReadBuffer)                                                                     \
	X(clEnqueueWriteBuffer)                                                                    \
	X(clEnqueueReadBufferRect)                                                                 \
	X(clEnqueueWriteBufferRect)                                                                \
	X(clEnqueueCopyBuffer)                                                                     \
	X(clEnqueueCopyBufferRect)                                                                 \
	X(clEnqueueFillBuffer)                                                                     \
	X(clEnqueueReadImage)                                                                      \
	X(clEnqueueWriteImage)                                                                     \
	X(clEnqueueCopyImage)                                                                      \
	X(clEnqueueCopyImageToBuffer)                                                              \
	X(clEnqueueCopyBufferToImage)                                                              \
	X(clEnqueueFillImage)                                                                      \
	X(clEnqueueMapBuffer)                                                                      \
	X(clEnqueueMapImage)                                                                       \
	X(clEnqueueUnmapMemObject)                                                                 \
	X(clEnqueueMigrateMemObjects)                                                              \
	X(clEnqueueMarkerWithWaitList)                                                             \
	X(clEnqueueBarrierWithWaitList)                                                            \
	X(clEnqueueSVMMemcpy)                                                                      \
	X(clEnqueueSVMMemFill)                                                                     \
	X(clEnqueueSVMMap)                                                                         \
	X(clEnqueueSVMUnmap)                                                                       \
	X(clEnqueueSVMMigrateMem)

#define LMM_CL_USED(X)                                                                             \
	X(clRetainEvent)                                                                           \
	X(clReleaseEvent)                                                                          \
	X(clGetKernelInfo)                                                                         \
	X(clGetImageInfo)                                                                          \
	X(clGetDeviceAndHostTimer)                                                                 \
	X(clSetKernelArg)                                                                          \
	X(clCreateBuffer)                                                                          \
	X(clReleaseMemObject)

#endif
