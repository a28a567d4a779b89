// SPDX-License-Identifier: Apache-2.0
// An engine of one's own, as nvcc makes it unless told otherwise: CUDA's runtime is linked into it. It says what it handed over.
#include <cstdio>
#include <cstdlib>
#include <vector>

__global__ void scale(float *x, int n, float by)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		x[i] = x[i] * by + 1;
}

__global__ void reduce(const float *x, float *sum, int n)
{
	__shared__ float part[256];
	float mine = 0;

	for (int i = threadIdx.x; i < n; i += 256)
		mine += x[i];
	part[threadIdx.x] = mine;
	__syncthreads();
	if (threadIdx.x == 0) {
		*sum = 0;
		for (int i = 0; i < 256; i++)
			*sum += part[i];
	}
}

static void forward(float *x, float *sum, int n, cudaStream_t s)
{
	scale<<<n / 256, 256, 0, s>>>(x, n, 0.5f);
	reduce<<<1, 256, 0, s>>>(x, sum, n);
}

int main(int argc, char **argv)
{
	int n = 1 << 16, rounds = argc > 1 ? atoi(argv[1]) : 500;
	std::vector<float> in(n, 1.f);
	float *x, *sum, result = 0;
	cudaGraphExec_t exec;
	cudaGraph_t graph;
	cudaStream_t s;

	cudaStreamCreate(&s);
	cudaMalloc(&x, n * sizeof(float));
	cudaMalloc(&sum, sizeof(float));
	cudaMemcpyAsync(x, in.data(), n * sizeof(float), cudaMemcpyHostToDevice, s);
	cudaStreamSynchronize(s);
	for (int i = 0; i < rounds; i++) {
		forward(x, sum, n, s);
		cudaMemsetAsync(x, 0, 16, s);
		cudaMemcpyAsync(&result, sum, sizeof(float), cudaMemcpyDeviceToHost, s);
		cudaStreamSynchronize(s);
	}
	cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
	for (int k = 0; k < 10; k++)
		forward(x, sum, n, s);
	cudaStreamEndCapture(s, &graph);
	cudaGraphInstantiate(&exec, graph, 0);
	for (int i = 0; i < rounds; i++) {
		cudaGraphLaunch(exec, s);
		cudaMemcpyAsync(&result, sum, sizeof(float), cudaMemcpyDeviceToHost, s);
		cudaStreamSynchronize(s);
	}
	printf("sum %.9g\nkernels %d captured %d graphs %d copies %d sets %d\nerror %d\n", result, 2 * rounds, 20, rounds, 2 * rounds + 1, rounds,
	       (int)cudaDeviceSynchronize());
	return 0;
}
