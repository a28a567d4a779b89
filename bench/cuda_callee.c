/* SPDX-License-Identifier: Apache-2.0 */
/* A CUDA runtime and driver whose calls do nothing: what is left is the way through lmmeter. Built as libcudart.so.13 and libcuda.so.1. */
#include <stddef.h>

#ifdef BENCH_DRIVER
static char context;

int cuDriverGetVersion(int *version);
int cuCtxGetCurrent(void **c);
int cuCtxGetDevice(int *device);
int cuDeviceGetName(char *name, int bytes, int device);
int cuThreadExchangeStreamCaptureMode(int *mode);
int cuStreamIsCapturing(void *stream, int *status);
int cuEventCreate(void **event, unsigned flags);
int cuEventRecord(void *event, void *stream);
int cuEventQuery(void *event);
int cuEventElapsedTime(float *ms, void *from, void *to);

int cuDriverGetVersion(int *version)
{
	*version = 13000;
	return 0;
}

int cuCtxGetCurrent(void **c)
{
	*c = &context;
	return 0;
}

int cuCtxGetDevice(int *device)
{
	*device = 0;
	return 0;
}

int cuDeviceGetName(char *name, int bytes, int device)
{
	(void)device;
	if (bytes > 0)
		*name = '\0';
	return 0;
}

int cuThreadExchangeStreamCaptureMode(int *mode)
{
	(void)mode;
	return 0;
}

int cuStreamIsCapturing(void *stream, int *status)
{
	(void)stream;
	*status = 0;
	return 0;
}

int cuEventCreate(void **event, unsigned flags)
{
	(void)flags;
	*event = &context;
	return 0;
}

int cuEventRecord(void *event, void *stream)
{
	(void)event;
	(void)stream;
	return 0;
}

int cuEventQuery(void *event)
{
	(void)event;
	return 0;
}

int cuEventElapsedTime(float *ms, void *from, void *to)
{
	(void)from;
	(void)to;
	*ms = 0.01f;
	return 0;
}
#else
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int direction, void *stream);
int cudaStreamSynchronize(void *stream);
int cudaGraphLaunch(void *exec, void *stream);

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int direction, void *stream)
{
	(void)to;
	(void)from;
	(void)bytes;
	(void)direction;
	(void)stream;
	return 0;
}

int cudaStreamSynchronize(void *stream)
{
	(void)stream;
	return 0;
}

int cudaGraphLaunch(void *exec, void *stream)
{
	(void)exec;
	(void)stream;
	return 0;
}
#endif
