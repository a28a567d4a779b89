/* SPDX-License-Identifier: Apache-2.0 */
/* The counterpart of abi_ours.c: what the headers of this machine's CUDA say. KERNEL and the like name the newest records. */
#include <cuda.h>
#include <cupti.h>
#include <stddef.h>
#include <stdio.h>

#define PLACE(name, type, field) printf("%s %zu\n", name, offsetof(type, field))
#define VALUE(name, value)	 printf("%s %ld\n", name, (long)(value))
#define CBID(name)		 VALUE(#name, CUPTI_DRIVER_TRACE_CBID_##name)

int main(void)
{
	PLACE("kernel.kind", KERNEL, kind);
	PLACE("kernel.start", KERNEL, start);
	PLACE("kernel.end", KERNEL, end);
	PLACE("kernel.streamId", KERNEL, streamId);
	PLACE("kernel.deviceId", KERNEL, deviceId);
	PLACE("kernel.gridX", KERNEL, gridX);
	PLACE("kernel.blockX", KERNEL, blockX);
	PLACE("kernel.correlationId", KERNEL, correlationId);
	PLACE("kernel.name", KERNEL, name);
	PLACE("kernel.graphNodeId", KERNEL, graphNodeId);
	PLACE("kernel.graphId", KERNEL, graphId);
	PLACE("memcpy.copyKind", MEMCPY, copyKind);
	PLACE("memcpy.bytes", MEMCPY, bytes);
	PLACE("memcpy.start", MEMCPY, start);
	PLACE("memcpy.end", MEMCPY, end);
	PLACE("memcpy.streamId", MEMCPY, streamId);
	PLACE("memcpy.deviceId", MEMCPY, deviceId);
	PLACE("memcpy.correlationId", MEMCPY, correlationId);
	PLACE("memcpy.graphNodeId", MEMCPY, graphNodeId);
	PLACE("memcpy.graphId", MEMCPY, graphId);
	PLACE("memset.bytes", MEMSET, bytes);
	PLACE("memset.start", MEMSET, start);
	PLACE("memset.end", MEMSET, end);
	PLACE("memset.streamId", MEMSET, streamId);
	PLACE("memset.correlationId", MEMSET, correlationId);
	PLACE("memset.graphNodeId", MEMSET, graphNodeId);
	PLACE("peer.bytes", PEER, bytes);
	PLACE("peer.start", PEER, start);
	PLACE("peer.end", PEER, end);
	PLACE("peer.streamId", PEER, streamId);
	PLACE("peer.deviceId", PEER, deviceId);
	PLACE("peer.correlationId", PEER, correlationId);
	PLACE("peer.graphNodeId", PEER, graphNodeId);
	PLACE("peer.graphId", PEER, graphId);
	PLACE("callback.callbackSite", CUpti_CallbackData, callbackSite);
	PLACE("callback.correlationId", CUpti_CallbackData, correlationId);
	PLACE("config.stream", CUlaunchConfig, hStream);
	PLACE("2d.srcMemoryType", CUDA_MEMCPY2D, srcMemoryType);
	PLACE("2d.dstMemoryType", CUDA_MEMCPY2D, dstMemoryType);
	PLACE("2d.WidthInBytes", CUDA_MEMCPY2D, WidthInBytes);
	PLACE("2d.Height", CUDA_MEMCPY2D, Height);
	PLACE("3d.srcMemoryType", CUDA_MEMCPY3D, srcMemoryType);
	PLACE("3d.dstMemoryType", CUDA_MEMCPY3D, dstMemoryType);
	PLACE("3d.WidthInBytes", CUDA_MEMCPY3D, WidthInBytes);
	PLACE("3d.Height", CUDA_MEMCPY3D, Height);
	PLACE("3d.Depth", CUDA_MEMCPY3D, Depth);
	VALUE("MEMORYTYPE_HOST", CU_MEMORYTYPE_HOST);
	VALUE("KIND_MEMCPY", CUPTI_ACTIVITY_KIND_MEMCPY);
	VALUE("KIND_MEMSET", CUPTI_ACTIVITY_KIND_MEMSET);
	VALUE("KIND_MEMCPY2", CUPTI_ACTIVITY_KIND_MEMCPY2);
	VALUE("KIND_CONCURRENT_KERNEL", CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
	VALUE("DOMAIN_DRIVER", CUPTI_CB_DOMAIN_DRIVER_API);
	VALUE("SITE_EXIT", CUPTI_API_EXIT);
	VALUE("FLUSH_FORCED", CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
	VALUE("ERROR_MULTIPLE_SUBSCRIBERS", CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
	VALUE("ERROR_INSUFFICIENT_PRIVILEGES", CUPTI_ERROR_INSUFFICIENT_PRIVILEGES);
	CBID(cuCtxGetDevice);
	CBID(cuCtxSynchronize);
	CBID(cuEventSynchronize);
	CBID(cuStreamSynchronize);
	CBID(cuStreamSynchronize_ptsz);
	CBID(cuLaunchKernel);
	CBID(cuLaunchKernel_ptsz);
	CBID(cuLaunchKernelEx);
	CBID(cuLaunchKernelEx_ptsz);
	CBID(cuGraphLaunch);
	CBID(cuGraphLaunch_ptsz);
	return 0;
}
