/* SPDX-License-Identifier: Apache-2.0 */
/* What lmmeter believes of CUDA's and CUPTI's structures, as lines; abi_real.c says the same from the headers. */
#include <stdio.h>

#include "probe/devices/cuda/api.h"

#define PLACE(name, type, field) printf("%s %zu\n", name, offsetof(type, field))
#define VALUE(name, value)	 printf("%s %ld\n", name, (long)(value))

int main(void)
{
	PLACE("kernel.kind", struct cupti_kernel, kind);
	PLACE("kernel.start", struct cupti_kernel, start);
	PLACE("kernel.end", struct cupti_kernel, end);
	PLACE("kernel.streamId", struct cupti_kernel, stream);
	PLACE("kernel.deviceId", struct cupti_kernel, device);
	PLACE("kernel.gridX", struct cupti_kernel, grid);
	PLACE("kernel.blockX", struct cupti_kernel, block);
	PLACE("kernel.correlationId", struct cupti_kernel, correlation);
	PLACE("kernel.name", struct cupti_kernel, name);
	PLACE("kernel.graphNodeId", struct cupti_kernel, graph_node);
	PLACE("kernel.graphId", struct cupti_kernel, graph);
	PLACE("memcpy.copyKind", struct cupti_transfer, copy_kind);
	PLACE("memcpy.bytes", struct cupti_transfer, bytes);
	PLACE("memcpy.start", struct cupti_transfer, start);
	PLACE("memcpy.end", struct cupti_transfer, end);
	PLACE("memcpy.streamId", struct cupti_transfer, stream);
	PLACE("memcpy.deviceId", struct cupti_transfer, device);
	PLACE("memcpy.correlationId", struct cupti_transfer, correlation);
	PLACE("memcpy.graphNodeId", struct cupti_transfer, graph_node);
	PLACE("memcpy.graphId", struct cupti_transfer, graph);
	PLACE("memset.bytes", struct cupti_transfer, bytes);
	PLACE("memset.start", struct cupti_transfer, start);
	PLACE("memset.end", struct cupti_transfer, end);
	PLACE("memset.streamId", struct cupti_transfer, stream);
	PLACE("memset.correlationId", struct cupti_transfer, correlation);
	PLACE("memset.graphNodeId", struct cupti_transfer, graph_node);
	PLACE("peer.bytes", struct cupti_peer_copy, bytes);
	PLACE("peer.start", struct cupti_peer_copy, start);
	PLACE("peer.end", struct cupti_peer_copy, end);
	PLACE("peer.streamId", struct cupti_peer_copy, stream);
	PLACE("peer.deviceId", struct cupti_peer_copy, device);
	PLACE("peer.correlationId", struct cupti_peer_copy, correlation);
	PLACE("peer.graphNodeId", struct cupti_peer_copy, graph_node);
	PLACE("peer.graphId", struct cupti_peer_copy, graph);
	PLACE("callback.callbackSite", struct cupti_callback, site);
	PLACE("callback.correlationId", struct cupti_callback, correlation);
	PLACE("config.stream", struct cuda_driver_config, stream);
	PLACE("2d.srcMemoryType", struct cuda_copy_2d, from.type);
	PLACE("2d.dstMemoryType", struct cuda_copy_2d, to.type);
	PLACE("2d.WidthInBytes", struct cuda_copy_2d, width_bytes);
	PLACE("2d.Height", struct cuda_copy_2d, height);
	PLACE("3d.srcMemoryType", struct cuda_copy_3d, from.type);
	PLACE("3d.dstMemoryType", struct cuda_copy_3d, to.type);
	PLACE("3d.WidthInBytes", struct cuda_copy_3d, width_bytes);
	PLACE("3d.Height", struct cuda_copy_3d, height);
	PLACE("3d.Depth", struct cuda_copy_3d, depth);
	VALUE("MEMORYTYPE_HOST", CUDA_MEMORY_HOST);
	VALUE("KIND_MEMCPY", CUPTI_KIND_MEMCPY);
	VALUE("KIND_MEMSET", CUPTI_KIND_MEMSET);
	VALUE("KIND_MEMCPY2", CUPTI_KIND_PEER_COPY);
	VALUE("KIND_CONCURRENT_KERNEL", CUPTI_KIND_CONCURRENT_KERNEL);
	VALUE("DOMAIN_DRIVER", CUPTI_DOMAIN_DRIVER);
	VALUE("SITE_EXIT", CUPTI_SITE_EXIT);
	VALUE("FLUSH_FORCED", CUPTI_FLUSH_FORCED);
	VALUE("ERROR_MULTIPLE_SUBSCRIBERS", CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
	VALUE("ERROR_INSUFFICIENT_PRIVILEGES", CUPTI_ERROR_INSUFFICIENT_PRIVILEGES);
	VALUE("cuCtxGetDevice", CUPTI_CBID_CTX_GET_DEVICE);
	VALUE("cuCtxSynchronize", CUPTI_CBID_CTX_SYNCHRONIZE);
	VALUE("cuEventSynchronize", CUPTI_CBID_EVENT_SYNCHRONIZE);
	VALUE("cuStreamSynchronize", CUPTI_CBID_STREAM_SYNCHRONIZE);
	VALUE("cuStreamSynchronize_ptsz", CUPTI_CBID_STREAM_SYNCHRONIZE_PTSZ);
	VALUE("cuLaunchKernel", 307);
	VALUE("cuLaunchKernel_ptsz", 442);
	VALUE("cuLaunchKernelEx", 652);
	VALUE("cuLaunchKernelEx_ptsz", 653);
	VALUE("cuGraphLaunch", 514);
	VALUE("cuGraphLaunch_ptsz", 515);
	return 0;
}
