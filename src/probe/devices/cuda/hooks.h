/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions of CUDA's runtime and driver are hooked. */
#ifndef LMM_PROBE_DEVICES_CUDA_HOOKS_H
#define LMM_PROBE_DEVICES_CUDA_HOOKS_H

#define LMM_CU_HOOKS(X)                                                                            \
	X(cudaLaunchKernel)                                                                        \
	X(cudaLaunchKernel_ptsz)                                                                   \
	X(__cudaLaunchKernel)                                                                      \
	X(__cudaLaunchKernel_ptsz)                                                                 \
	X(cudaLaunchKernelExC)                                                                     \
	X(cudaLaunchKernelExC_ptsz)                                                                \
	X(cudaLaunchCooperativeKernel)                                                             \
	X(cudaLaunchCooperativeKernel_ptsz)                                                        \
	X(cuLaunchKernel)                                                                          \
	X(cuLaunchKernel_ptsz)                                                                     \
	X(cuLaunchKernelEx)                                                                        \
	X(cuLaunchKernelEx_ptsz)                                                                   \
	X(cudaMemcpy)                                                                              \
	X(cudaMemcpy_ptds)                                                                         \
	X(cudaMemcpyAsync)                                                                         \
	X(cudaMemcpyAsync_ptsz)                                                                    \
	X(cudaMemcpy2DAsync)                                                                       \
	X(cudaMemcpy2DAsync_ptsz)                                                                  \
	X(cudaMemcpyPeerAsync)                                                                     \
	X(cudaMemset)                                                                              \
	X(cudaMemset_ptds)                                                                         \
	X(cudaMemsetAsync)                                                                         \
	X(cudaMemsetAsync_ptsz)                                                                    \
	X(cuMemcpyHtoDAsync_v2)                                                                    \
	X(cuMemcpyHtoDAsync_v2_ptsz)                                                               \
	X(cuMemcpyDtoHAsync_v2)                                                                    \
	X(cuMemcpyDtoHAsync_v2_ptsz)                                                               \
	X(cuMemcpyDtoDAsync_v2)                                                                    \
	X(cuMemcpyDtoDAsync_v2_ptsz)                                                               \
	X(cuMemcpyHtoD_v2)                                                                         \
	X(cuMemcpyHtoD_v2_ptds)                                                                    \
	X(cuMemcpyDtoH_v2)                                                                         \
	X(cuMemcpyDtoH_v2_ptds)                                                                    \
	X(cudaGraphLaunch)                                                                         \
	X(cudaGraphLaunch_ptsz)                                                                    \
	X(cuGraphLaunch)                                                                           \
	X(cuGraphLaunch_ptsz)                                                                      \
	X(cudaStreamBeginCapture)                                                                  \
	X(cudaStreamBeginCapture_ptsz)                                                             \
	X(cudaStreamEndCapture)                                                                    \
	X(cudaStreamEndCapture_ptsz)                                                               \
	X(cudaGraphInstantiate)                                                                    \
	X(cudaGraphInstantiateWithFlags)                                                           \
	X(cudaGraphExecUpdate)                                                                     \
	X(cudaGraphDestroy)                                                                        \
	X(cudaGraphExecDestroy)                                                                    \
	X(cudaStreamSynchronize)                                                                   \
	X(cudaStreamSynchronize_ptsz)                                                              \
	X(cudaDeviceSynchronize)                                                                   \
	X(cudaEventSynchronize)                                                                    \
	X(cuStreamSynchronize)                                                                     \
	X(cuStreamSynchronize_ptsz)                                                                \
	X(cuCtxSynchronize)                                                                        \
	X(cuEventSynchronize)

#endif
