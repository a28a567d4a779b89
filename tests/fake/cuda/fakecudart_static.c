/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fakecudart.c stands on where it is linked into a program, as libcudart_static.a is: the driver is opened, and each of its functions is
 * asked for by cuGetProcAddress().
 */
#include "fakecuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#define VERSION 13000

static void *driver(void)
{
	static void *handle;

	if (!handle)
		handle = dlopen("libcuda.so.1", RTLD_NOW);
	if (!handle)
		abort();
	return handle;
}

static void *function(const char *name)
{
	static int (*get)(const char *name, void **function, int version, uint64_t flags,
			  int *status);
	void *found = NULL;
	int status;

	if (!get) {
		*(void **)&get = dlsym(driver(), "cuGetProcAddress_v2");
		/* the real one does so, and goes on with what it gets */
		if (!get || get("cuGetProcAddress", &found, VERSION, 0, &status))
			abort();
		*(void **)&get = found;
	}
	if (!get || get(name, &found, VERSION, 0, &status))
		abort();
	return found;
}

/* Asked for once, at its place. */
#define CALL(result, name, types, args)                                                            \
	static result(*fn) types;                                                                  \
	if (!fn)                                                                                   \
		*(void **)&fn = function(name);                                                    \
	return fn args

/* What no driver has: the streams and the log of the fake one. */
#define CALL_FAKE(result, name, types, args)                                                       \
	static result(*fn) types;                                                                  \
	if (!fn)                                                                                   \
		*(void **)&fn = dlsym(driver(), name);                                             \
	return fn args

int cuEventCreate(CUevent *e, unsigned flags);
int cuEventRecord(CUevent e, void *s);
int cuStreamSynchronize(void *s);
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
		   unsigned bz, unsigned shared, void *s, void **args, void **extra);

int cuEventCreate(CUevent *e, unsigned flags)
{
	CALL(int, "cuEventCreate", (CUevent *, unsigned), (e, flags));
}

int cuEventRecord(CUevent e, void *s)
{
	CALL(int, "cuEventRecord", (CUevent, void *), (e, s));
}

int cuStreamSynchronize(void *s)
{
	CALL(int, "cuStreamSynchronize", (void *), (s));
}

int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
		   unsigned bz, unsigned shared, void *s, void **args, void **extra)
{
	CALL(int, "cuLaunchKernel",
	     (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *,
	      void **, void **),
	     (f, gx, gy, gz, bx, by, bz, shared, s, args, extra));
}

int cuLaunchCooperativeKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
			      unsigned by, unsigned bz, unsigned shared, void *s, void **args);
int cuMemsetD16Async(uintptr_t to, unsigned short value, size_t n, void *s);
int cuModuleUnload(void *module);
int cuMemcpy2DAsync_v2(const size_t *box, void *s);
int cuMemcpy3DAsync_v2(const size_t *box, void *s);

int cuLaunchCooperativeKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
			      unsigned by, unsigned bz, unsigned shared, void *s, void **args)
{
	CALL(int, "cuLaunchCooperativeKernel",
	     (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *,
	      void **),
	     (f, gx, gy, gz, bx, by, bz, shared, s, args));
}

int cuModuleUnload(void *module)
{
	CALL(int, "cuModuleUnload", (void *), (module));
}

int cuMemsetD16Async(uintptr_t to, unsigned short value, size_t n, void *s)
{
	CALL(int, "cuMemsetD16Async", (uintptr_t, unsigned short, size_t, void *),
	     (to, value, n, s));
}

int cuMemcpy2DAsync_v2(const size_t *box, void *s)
{
	CALL(int, "cuMemcpy2DAsync", (const size_t *, void *), (box, s));
}

int cuMemcpy3DAsync_v2(const size_t *box, void *s)
{
	CALL(int, "cuMemcpy3DAsync", (const size_t *, void *), (box, s));
}

/* Kernels of no context, as the real one's are. */
static void *kernel_of(const char *name)
{
	static struct {
		const char *name;
		void *kernel;
	} all[32];
	static int (*get)(void **kernel, void *library, const char *name);
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	void *kernel;
	unsigned i = 0;

	pthread_mutex_lock(&lock);
	if (!get)
		*(void **)&get = function("cuLibraryGetKernel");
	while (all[i].name && all[i].name != name && i < 30)
		i++;
	if (!all[i].name) {
		(void)get(&all[i].kernel, NULL, name);
		all[i].name = name;
	}
	kernel = all[i].kernel;
	pthread_mutex_unlock(&lock);
	return kernel;
}

int fake_launch(uint32_t cbid, CUstream s, const char *name)
{
	(void)cbid;
	return cuLaunchKernel(kernel_of(name), 1, 1, 1, 32, 1, 1, 0, s, NULL, NULL);
}

int fake_copy(uint32_t cbid, CUstream s, uint8_t kind, uint64_t bytes)
{
	if (cbid == 277) {
		CALL(int, "cuMemcpyHtoDAsync", (uintptr_t, const void *, size_t, void *),
		     (0, NULL, bytes, s));
	} else if (cbid == 279) {
		CALL(int, "cuMemcpyDtoHAsync", (void *, uintptr_t, size_t, void *),
		     (NULL, 0, bytes, s));
	} else {
		(void)kind;
		CALL(int, "cuMemcpyAsync", (uintptr_t, uintptr_t, size_t, void *),
		     (0, 0, bytes, s));
	}
}

int fake_copy_peer(CUstream s, uint64_t bytes)
{
	return fake_copy(306, s, 8, bytes);
}

int fake_set(uint32_t cbid, CUstream s, uint64_t bytes)
{
	(void)cbid;
	CALL(int, "cuMemsetD8Async", (uintptr_t, unsigned char, size_t, void *), (0, 0, bytes, s));
}

int fake_graph_launch(uint32_t cbid, CUgraphExec e, CUstream s)
{
	(void)cbid;
	CALL(int, "cuGraphLaunch", (CUgraphExec, void *), (e, s));
}

int fake_wait(uint32_t cbid, CUstream s)
{
	(void)cbid;
	void *context = NULL;
	int (*current)(void **context);

	if (s)
		return cuStreamSynchronize(s);
	*(void **)&current = dlsym(driver(), "cuCtxGetCurrent");
	(void)current(&context);
	/* CUDA 13's form of it */
	CALL(int, "cuCtxSynchronize", (void *), (context));
}

int fake_event_wait(uint32_t cbid, CUevent e)
{
	(void)cbid;
	CALL(int, "cuEventSynchronize", (CUevent), (e));
}

void fake_capture_begin(CUstream s)
{
	static int (*fn)(void *, int);

	if (!fn)
		*(void **)&fn = function("cuStreamBeginCapture");
	(void)fn(s, 0);
}

CUgraph fake_capture_end(CUstream s)
{
	static int (*fn)(void *, CUgraph *);
	CUgraph g = NULL;

	if (!fn)
		*(void **)&fn = function("cuStreamEndCapture");
	(void)fn(s, &g);
	return g;
}

CUgraphExec fake_instantiate(CUgraph g)
{
	static int (*fn)(CUgraphExec *, CUgraph, unsigned long long);
	CUgraphExec e = NULL;

	if (!fn)
		*(void **)&fn = function("cuGraphInstantiate");
	(void)fn(&e, g, 0);
	return e;
}

int fake_update(CUgraphExec e, CUgraph g)
{
	CALL(int, "cuGraphExecUpdate", (CUgraphExec, CUgraph, void *), (e, g, NULL));
}

void fake_graph_free(CUgraph g)
{
	static int (*fn)(CUgraph);

	if (!fn)
		*(void **)&fn = function("cuGraphDestroy");
	(void)fn(g);
}

void fake_exec_free(CUgraphExec e)
{
	static int (*fn)(CUgraphExec);

	if (!fn)
		*(void **)&fn = function("cuGraphExecDestroy");
	(void)fn(e);
}

CUstream fake_stream_new(void)
{
	CALL_FAKE(CUstream, "fake_stream_new", (void), ());
}

CUstream fake_stream_of(void *handle)
{
	CALL_FAKE(CUstream, "fake_stream_of", (void *), (handle));
}

int fake_device_set(int number)
{
	CALL_FAKE(int, "fake_device_set", (int), (number));
}

void fake_log(const char *format, ...)
{
	(void)format;
}
