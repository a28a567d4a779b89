/* SPDX-License-Identifier: Apache-2.0 */
/* libcudart.so.13 and .12: the runtime's functions that llama.cpp's backend calls. */
#include "fakecuda.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS 256

/* Launch configuration, as the runtime has it. */
struct config {
	struct dim3 grid, block;
	size_t shared;
	void *stream;
	void *attributes;
	unsigned n_attributes;
};

static struct {
	const void *host;
	const char *name;
} functions[FUNCTIONS];
static unsigned n_functions;
static _Thread_local int last_error;

FAKE_EXPORT void **__cudaRegisterFatBinary(void *binary);
FAKE_EXPORT void __cudaRegisterFatBinaryEnd(void **handle);
FAKE_EXPORT void __cudaRegisterFunction(void **handle, const char *host, char *device,
					const char *name, int limit, void *tid, void *bid,
					void *block, void *grid, int *size);
FAKE_EXPORT int cudaFuncGetName(const char **name, const void *func);
FAKE_EXPORT int cudaGetLastError(void);
FAKE_EXPORT int cudaPeekAtLastError(void);
FAKE_EXPORT int cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args,
				 size_t shared, void *s);
FAKE_EXPORT int __cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args,
				   size_t shared, void *s);
FAKE_EXPORT int cudaLaunchKernelExC(const struct config *c, const void *f, void **args);
FAKE_EXPORT int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *s);
FAKE_EXPORT int cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
				    size_t bytes, void *s);
FAKE_EXPORT int cudaMemcpy(void *to, const void *from, size_t bytes, int kind);
FAKE_EXPORT int cudaMemsetAsync(void *to, int value, size_t bytes, void *s);
FAKE_EXPORT int cudaMemset(void *to, int value, size_t bytes);
FAKE_EXPORT int cudaStreamCreateWithFlags(void **s, unsigned flags);
FAKE_EXPORT int cudaSetDevice(int number);
FAKE_EXPORT int cudaStreamSynchronize(void *s);
FAKE_EXPORT int cudaDeviceSynchronize(void);
FAKE_EXPORT int cudaEventCreateWithFlags(CUevent *e, unsigned flags);
FAKE_EXPORT int cudaEventRecord(CUevent e, void *s);
FAKE_EXPORT int cudaEventSynchronize(CUevent e);
FAKE_EXPORT int cudaStreamBeginCapture(void *s, int mode);
FAKE_EXPORT int cudaStreamEndCapture(void *s, CUgraph *g);
FAKE_EXPORT int cudaGraphInstantiate(CUgraphExec *e, CUgraph g, unsigned long long flags);
FAKE_EXPORT int cudaGraphExecUpdate(CUgraphExec e, CUgraph g, void *info);
FAKE_EXPORT int cudaGraphLaunch(CUgraphExec e, void *s);
FAKE_EXPORT int cudaGraphDestroy(CUgraph g);
FAKE_EXPORT int cudaGraphExecDestroy(CUgraphExec e);

/* The driver's, of libcuda.so.1. */
extern int cuEventCreate(CUevent *e, unsigned flags);
extern int cuEventRecord(CUevent e, void *s);

static int said(int rc)
{
	if (rc)
		last_error = rc;
	return rc;
}

int cudaGetLastError(void)
{
	int rc = last_error;

	last_error = 0;
	return rc;
}

int cudaPeekAtLastError(void)
{
	errno = EIO;
	return last_error;
}

/* ---- kernels ------------------------------------------------------------------------------------ */

void **__cudaRegisterFatBinary(void *binary)
{
	static void *handle;

	handle = binary;
	return &handle;
}

void __cudaRegisterFatBinaryEnd(void **handle)
{
	(void)handle;
}

/* NOLINTNEXTLINE(readability-function-size): the compiler's own list */
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
			    int limit, void *tid, void *bid, void *block, void *grid, int *size)
{
	(void)handle;
	(void)device;
	(void)limit;
	(void)tid;
	(void)bid;
	(void)block;
	(void)grid;
	(void)size;
	if (n_functions < FUNCTIONS) {
		functions[n_functions].host = host;
		functions[n_functions++].name = name;
	}
}

static const char *name_of(const void *f)
{
	for (unsigned i = 0; i < n_functions; i++) {
		if (functions[i].host == f)
			return functions[i].name;
	}
	return NULL;
}

int cudaFuncGetName(const char **name, const void *func)
{
	errno = EIO;
	*name = name_of(func);
	return *name ? 0 : said(98); /* cudaErrorInvalidDeviceFunction */
}

static int launch(uint32_t cbid, const void *f, void *s)
{
	const char *name = name_of(f);

	return said(name ? fake_launch(cbid, fake_stream_of(s), name) : 98);
}

/* Not one by the other: the real ones do not meet either. */
static int launch_sized(const void *f, struct dim3 grid, struct dim3 block, void **args,
			size_t shared, void *s)
{
	fake_log("args %u %u %u %u %u %u %zu %p\n", grid.x, grid.y, grid.z, block.x, block.y,
		 block.z, shared, (void *)args);
	return launch(307, f, s);
}

int cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args, size_t shared,
		     void *s)
{
	return launch_sized(f, grid, block, args, shared, s);
}

int __cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args,
		       size_t shared, void *s)
{
	return launch_sized(f, grid, block, args, shared, s);
}

int cudaLaunchKernelExC(const struct config *c, const void *f, void **args)
{
	(void)args;
	return launch(652, f, c->stream);
}

/* ---- copies ------------------------------------------------------------------------------------- */

static int copy(void *to, const void *from, size_t bytes, int kind, CUstream s)
{
	static const uint32_t cbids[] = { 306, 277, 279, 281, 306 };
	static const uint8_t kinds[] = { 0, 1, 2, 8, 0 };
	unsigned k = kind >= 0 && kind < 5 ? (unsigned)kind : 4;

	if (to && from)
		memmove(to, from, bytes);
	return said(fake_copy(cbids[k], s, kinds[k], bytes));
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *s)
{
	return copy(to, from, bytes, kind, fake_stream_of(s));
}

int cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
			void *s)
{
	(void)to_device;
	(void)from_device;
	if (to && from)
		memmove(to, from, bytes);
	return said(fake_copy_peer(fake_stream_of(s), bytes));
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int kind)
{
	int rc = copy(to, from, bytes, kind, fake_stream_of(NULL));

	return rc ? rc : said(fake_wait(126, fake_stream_of(NULL)));
}

int cudaMemsetAsync(void *to, int value, size_t bytes, void *s)
{
	if (to)
		memset(to, value, bytes);
	return said(fake_set(216, fake_stream_of(s), bytes));
}

int cudaMemset(void *to, int value, size_t bytes)
{
	return cudaMemsetAsync(to, value, bytes, NULL);
}

/* ---- streams, events, graphs -------------------------------------------------------------------- */

int cudaStreamCreateWithFlags(void **s, unsigned flags)
{
	(void)flags;
	*s = fake_stream_new();
	return 0;
}

int cudaSetDevice(int number)
{
	return said(fake_device_set(number));
}

int cudaStreamSynchronize(void *s)
{
	return said(fake_wait(126, fake_stream_of(s)));
}

int cudaDeviceSynchronize(void)
{
	return said(fake_wait(17, NULL));
}

int cudaEventCreateWithFlags(CUevent *e, unsigned flags)
{
	return cuEventCreate(e, flags);
}

int cudaEventRecord(CUevent e, void *s)
{
	return said(cuEventRecord(e, s));
}

int cudaEventSynchronize(CUevent e)
{
	return said(fake_event_wait(121, e));
}

int cudaStreamBeginCapture(void *s, int mode)
{
	(void)mode;
	fake_capture_begin(fake_stream_of(s));
	return 0;
}

int cudaStreamEndCapture(void *s, CUgraph *g)
{
	*g = fake_capture_end(fake_stream_of(s));
	return 0;
}

int cudaGraphInstantiate(CUgraphExec *e, CUgraph g, unsigned long long flags)
{
	(void)flags;
	*e = fake_instantiate(g);
	return 0;
}

int cudaGraphExecUpdate(CUgraphExec e, CUgraph g, void *info)
{
	(void)info;
	return said(fake_update(e, g));
}

int cudaGraphLaunch(CUgraphExec e, void *s)
{
	return said(fake_graph_launch(514, e, fake_stream_of(s)));
}

int cudaGraphDestroy(CUgraph g)
{
	fake_graph_free(g);
	return 0;
}

int cudaGraphExecDestroy(CUgraphExec e)
{
	fake_exec_free(e);
	return 0;
}
