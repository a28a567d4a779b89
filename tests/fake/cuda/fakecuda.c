/* SPDX-License-Identifier: Apache-2.0 */
/* libcuda.so.1: the device's timeline, and the driver's functions that lmmeter and its tests call. */
#include "fakecuda.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ERROR_DEINITIALIZED	  4
#define ERROR_INVALID_VALUE	  1
#define ERROR_INVALID_HANDLE	  400
#define ERROR_NOT_READY		  600
#define ERROR_CONTEXT_DESTROYED	  709
#define ERROR_CAPTURE_UNSUPPORTED 900
#define STREAMS			  256
#define DEVICES			  4 /* whose default streams are the first ones */
#define NODES			  4096

struct fake_event {
	uint64_t t;
	int is_recorded;
	int device;
};

struct fake_graph {
	uint32_t id, n;
	struct fake_work node[NODES];
};

struct fake_exec {
	uint32_t id;
	struct fake_graph g;
};

struct fake_profiler fake_profiler;
uint32_t fake_correlation;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_stream streams[STREAMS];
static unsigned n_streams = DEVICES;
static uint32_t n_of_device[DEVICES];	/* beside its default one */
static _Thread_local int device, below; /* the thread's, and what it pushed another upon */
static uint64_t next_node = 1;
static uint32_t next_graph = 1;
static long n_launches, lost_after = -1;
static FILE *log_file;
static struct {
	_Atomic long launch, copy, set, graph, sync, event, elapsed, create, destroy, name;
} calls;

/* ---- script, clock, log ------------------------------------------------------------------------- */

uint64_t fake_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const char *fake_script(const char *name, unsigned n)
{
	static _Thread_local char value[256];
	const char *s = getenv("FAKECUDA");
	size_t len = strlen(name);

	while (s && *s) {
		size_t word = strcspn(s, " ");

		if (word > len && strncmp(s, name, len) == 0 && s[len] == '=' && n-- == 0) {
			snprintf(value, sizeof(value), "%.*s", (int)(word - len - 1), s + len + 1);
			return value;
		}
		s += word;
		s += strspn(s, " ");
	}
	return "";
}

long fake_script_number(const char *name, long otherwise)
{
	const char *v = fake_script(name, 0);

	return *v ? atol(v) : otherwise;
}

void fake_log(const char *format, ...)
{
	va_list ap;

	if (!log_file)
		return;
	va_start(ap, format);
	vfprintf(log_file, format, ap);
	va_end(ap);
}

void fake_sleep_until(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

static uint64_t named(const char *word, const char *name, uint64_t otherwise)
{
	for (unsigned i = 0;; i++) {
		const char *v = fake_script(word, i), *colon = strchr(v, ':');

		if (!*v)
			return otherwise;
		if (colon && strncmp(v, name, (size_t)(colon - v)) == 0 && name[colon - v] == 0)
			return strtoull(colon + 1, NULL, 10);
	}
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = fake_script("log", 0);

	log_file = *path ? fopen(path, "ae") : NULL;
	lost_after = fake_script_number("lost_after", -1);
}

__attribute__((destructor)) static void end(void)
{
	fake_log("calls launch=%ld copy=%ld set=%ld graph=%ld sync=%ld event=%ld elapsed=%ld "
		 "create=%ld destroy=%ld name=%ld\n",
		 calls.launch, calls.copy, calls.set, calls.graph, calls.sync, calls.event,
		 calls.elapsed, calls.create, calls.destroy, calls.name);
	if (log_file)
		fflush(log_file);
}

/* ---- the device --------------------------------------------------------------------------------- */

CUstream fake_stream_of(void *handle)
{
	return (uintptr_t)handle <= 2 ? &streams[device] : handle;
}

CUstream fake_stream_new(void)
{
	CUstream s;

	pthread_mutex_lock(&lock);
	s = &streams[n_streams++ % STREAMS];
	/* each device numbers its own */
	s->id = ++n_of_device[device];
	s->device = device;
	pthread_mutex_unlock(&lock);
	return s;
}

int fake_device_set(int number)
{
	if (number < 0 || number >= DEVICES)
		return 101; /* cudaErrorInvalidDevice */
	device = number;
	streams[device].device = device;
	return 0;
}

static uint64_t lasts(const struct fake_work *w)
{
	if (w->kind == FAKE_KERNEL)
		return named("ns", w->name, 10000);
	return (uint64_t)fake_script_number("copy_ns", 3000);
}

/* With the lock held. */
static void run(CUstream s, struct fake_work *w)
{
	uint64_t now = fake_now() + 1000, from = s->ready;

	if (w->kind == FAKE_KERNEL)
		from -= named("overlap", w->name, 0);
	w->start = from > now ? from : now;
	w->end = w->start + lasts(w);
	w->stream = s->id + 7;
	w->device = (uint32_t)s->device;
	if (w->end > s->ready)
		s->ready = w->end;
	fake_log("run %d %s %llu %llu %u %u %llu %u %llu\n", w->kind, w->name ? w->name : "-",
		 (unsigned long long)w->start, (unsigned long long)w->end, w->stream,
		 w->correlation, (unsigned long long)w->node, w->graph,
		 (unsigned long long)w->bytes);
	if (fake_profiler.record)
		fake_profiler.record(w);
}

static int is_lost(void)
{
	return lost_after >= 0 && n_launches >= lost_after;
}

static uint32_t api_enter(uint32_t cbid)
{
	uint32_t correlation = 0;

	if (fake_profiler.record || fake_profiler.api) {
		/* the runtime's call has a number of its own */
		correlation = __atomic_add_fetch(&fake_correlation, 2, __ATOMIC_RELAXED);
	}
	if (fake_profiler.api)
		fake_profiler.api(0, cbid, correlation);
	return correlation;
}

static void api_exit(uint32_t cbid, uint32_t correlation)
{
	if (fake_profiler.api)
		fake_profiler.api(1, cbid, correlation);
}

static uint32_t seen_as(uint32_t correlation)
{
	return correlation && fake_script_number("cupti_only", 0) ? correlation - 1 : correlation;
}

static int submit_all(uint32_t cbid, CUstream s, struct fake_work *w, unsigned n)
{
	uint32_t correlation = api_enter(cbid);

	pthread_mutex_lock(&lock);
	n_launches++;
	if (is_lost()) {
		pthread_mutex_unlock(&lock);
		api_exit(cbid, correlation);
		return ERROR_CONTEXT_DESTROYED;
	}
	for (unsigned i = 0; i < n; i++) {
		w[i].correlation = seen_as(correlation);
		if (!s->capture) {
			run(s, &w[i]);
		} else if (s->capture->n < NODES) {
			w[i].node = next_node++;
			s->capture->node[s->capture->n++] = w[i];
		}
	}
	pthread_mutex_unlock(&lock);
	api_exit(cbid, correlation);
	return 0;
}

static int submit(uint32_t cbid, CUstream s, struct fake_work *w)
{
	return submit_all(cbid, s, w, 1);
}

int fake_launch(uint32_t cbid, CUstream s, const char *name)
{
	struct fake_work w = { .kind = FAKE_KERNEL, .name = name };

	calls.launch++;
	return submit(cbid, s, &w);
}

int fake_copy(uint32_t cbid, CUstream s, uint8_t kind, uint64_t bytes)
{
	struct fake_work w = { .kind = FAKE_COPY, .bytes = bytes, .copy_kind = kind };

	calls.copy++;
	return submit(cbid, s, &w);
}

int fake_copy_peer(CUstream s, uint64_t bytes)
{
	int is_direct = fake_script_number("peers", 0) != 0;
	struct fake_work w[2] = {
		{ .kind = is_direct ? FAKE_PEER : FAKE_COPY,
		  .bytes = bytes,
		  .copy_kind = is_direct ? 10 : 2 },
		{ .kind = FAKE_COPY, .bytes = bytes, .copy_kind = 1 },
	};

	calls.copy++;
	return submit_all(318, s, w, is_direct ? 1 : 2);
}

int fake_set(uint32_t cbid, CUstream s, uint64_t bytes)
{
	struct fake_work w = { .kind = FAKE_SET, .bytes = bytes };

	calls.set++;
	return submit(cbid, s, &w);
}

int fake_graph_launch(uint32_t cbid, CUgraphExec e, CUstream s)
{
	uint32_t correlation = api_enter(cbid);
	int rc;

	pthread_mutex_lock(&lock);
	calls.graph++;
	n_launches++;
	rc = is_lost() ? ERROR_CONTEXT_DESTROYED : 0;
	fake_log("graph %u %u %u\n", e->id, e->g.n, correlation);
	for (uint32_t i = 0; rc == 0 && i < e->g.n; i++) {
		struct fake_work w = e->g.node[i];

		w.correlation = seen_as(correlation);
		w.graph = e->id;
		run(s, &w);
	}
	pthread_mutex_unlock(&lock);
	api_exit(cbid, correlation);
	return rc;
}

int fake_wait(uint32_t cbid, CUstream s)
{
	uint32_t correlation = api_enter(cbid);
	uint64_t t = 0;

	calls.sync++;
	for (unsigned i = 0; i < STREAMS; i++) {
		if ((!s || s == &streams[i]) && streams[i].ready > t)
			t = streams[i].ready;
	}
	fake_sleep_until(t);
	api_exit(cbid, correlation);
	return is_lost() ? ERROR_CONTEXT_DESTROYED : 0;
}

int fake_event_wait(uint32_t cbid, CUevent e)
{
	uint32_t correlation = api_enter(cbid);

	calls.sync++;
	fake_sleep_until(e->t);
	api_exit(cbid, correlation);
	return 0;
}

/* ---- graphs ------------------------------------------------------------------------------------- */

void fake_capture_begin(CUstream s)
{
	s->capture = calloc(1, sizeof(*s->capture));
	s->capture->id = next_graph++;
}

CUgraph fake_capture_end(CUstream s)
{
	CUgraph g = s->capture;

	s->capture = NULL;
	return g;
}

/* As the real one: nodes of the executable graph are others, in the same order. */
CUgraphExec fake_instantiate(CUgraph g)
{
	CUgraphExec e = calloc(1, sizeof(*e));

	e->id = next_graph++;
	e->g = *g;
	for (uint32_t i = 0; i < e->g.n; i++)
		e->g.node[i].node = next_node++;
	return e;
}

int fake_update(CUgraphExec e, CUgraph g)
{
	if (e->g.n != g->n)
		return 910; /* CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE */
	for (uint32_t i = 0; i < g->n; i++) {
		uint64_t node = e->g.node[i].node;

		e->g.node[i] = g->node[i];
		e->g.node[i].node = node;
	}
	return 0;
}

void fake_graph_free(CUgraph g)
{
	free(g);
}

void fake_exec_free(CUgraphExec e)
{
	free(e);
}

/* ---- the driver's functions --------------------------------------------------------------------- */

FAKE_EXPORT int cuInit(unsigned flags);
FAKE_EXPORT int cuDriverGetVersion(int *version);
FAKE_EXPORT int cuCtxGetDevice(CUdevice *number);
FAKE_EXPORT int cuCtxGetCurrent(CUcontext *context);
FAKE_EXPORT int cuCtxPushCurrent_v2(CUcontext context);
FAKE_EXPORT int cuCtxPopCurrent_v2(CUcontext *context);
FAKE_EXPORT int cuDeviceGetName(char *name, int bytes, CUdevice number);
FAKE_EXPORT int cuStreamIsCapturing(void *s, int *status);
FAKE_EXPORT int cuStreamSynchronize(void *s);
FAKE_EXPORT int cuCtxSynchronize(void);
FAKE_EXPORT int cuEventCreate(CUevent *e, unsigned flags);
FAKE_EXPORT int cuEventDestroy_v2(CUevent e);
FAKE_EXPORT int cuEventRecord(CUevent e, void *s);
FAKE_EXPORT int cuEventQuery(CUevent e);
FAKE_EXPORT int cuEventElapsedTime(float *ms, CUevent a, CUevent b);
FAKE_EXPORT int cuFuncGetName(const char **name, CUfunction f);
FAKE_EXPORT int cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
			       unsigned by, unsigned bz, unsigned shared, void *s, void **args,
			       void **extra);
FAKE_EXPORT int cuCtxSynchronize_v2(CUcontext c);
FAKE_EXPORT int cuEventSynchronize(CUevent e);
FAKE_EXPORT int cuLibraryGetKernel(void **kernel, void *library, const char *name);
FAKE_EXPORT int cuLibraryUnload(void *library);
FAKE_EXPORT int cuModuleUnload(void *module);
FAKE_EXPORT int cuKernelGetName(const char **name, void *kernel);
FAKE_EXPORT int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, void *s);
FAKE_EXPORT int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, void *s);
FAKE_EXPORT int cuMemcpyAsync(uintptr_t to, uintptr_t from, size_t bytes, void *s);
FAKE_EXPORT int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t n, void *s);
FAKE_EXPORT int cuMemsetD16Async(uintptr_t to, unsigned short value, size_t n, void *s);
FAKE_EXPORT int cuMemcpy2DAsync_v2(const size_t *box, void *s);
FAKE_EXPORT int cuMemcpy3DAsync_v2(const size_t *box, void *s);
FAKE_EXPORT int cuLaunchCooperativeKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz,
					  unsigned bx, unsigned by, unsigned bz, unsigned shared,
					  void *s, void **args);
FAKE_EXPORT int cuStreamBeginCapture_v2(void *s, int mode);
FAKE_EXPORT int cuStreamEndCapture(void *s, CUgraph *g);
FAKE_EXPORT int cuGraphInstantiateWithFlags(CUgraphExec *e, CUgraph g, unsigned long long flags);
FAKE_EXPORT int cuGraphExecUpdate_v2(CUgraphExec e, CUgraph g, void *info);
FAKE_EXPORT int cuGraphDestroy(CUgraph g);
FAKE_EXPORT int cuGraphExecDestroy(CUgraphExec e);
FAKE_EXPORT int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags,
				    int *status);
FAKE_EXPORT int cuGraphLaunch(CUgraphExec e, void *s);

int cuInit(unsigned flags)
{
	return flags ? ERROR_INVALID_VALUE : 0;
}

int cuDriverGetVersion(int *version)
{
	*version = (int)fake_script_number("driver", 13000);
	return 0;
}

int cuCtxGetDevice(CUdevice *number)
{
	uint32_t correlation = api_enter(16);

	errno = EIO;
	*number = device;
	api_exit(16, correlation);
	return 0;
}

int cuCtxGetCurrent(CUcontext *context)
{
	errno = EIO;
	*context = &streams[device];
	return 0;
}

int cuCtxPushCurrent_v2(CUcontext context)
{
	errno = EIO;
	below = device;
	device = (int)((CUstream)context - streams);
	return 0;
}

int cuCtxPopCurrent_v2(CUcontext *context)
{
	errno = EIO;
	*context = &streams[device];
	device = below;
	return 0;
}

int cuDeviceGetName(char *name, int bytes, CUdevice number)
{
	errno = EIO;
	if (number < 0 || number >= DEVICES)
		return ERROR_INVALID_VALUE;
	snprintf(name, (size_t)bytes, "Fake CUDA device");
	return 0;
}

int cuStreamIsCapturing(void *s, int *status)
{
	errno = EIO;
	*status = fake_stream_of(s)->capture != NULL;
	return 0;
}

int cuStreamSynchronize(void *s)
{
	return fake_wait(126, fake_stream_of(s));
}

int cuCtxSynchronize(void)
{
	return fake_wait(17, NULL);
}

int cuEventCreate(CUevent *e, unsigned flags)
{
	errno = EIO;
	(void)flags;
	*e = calloc(1, sizeof(**e));
	(*e)->device = device;
	calls.create++;
	fake_sleep_until(fake_now() + (uint64_t)fake_script_number("create_us", 0) * 1000);
	return 0;
}

int cuEventDestroy_v2(CUevent e)
{
	errno = EIO;
	free(e);
	calls.destroy++;
	return 0;
}

int cuEventRecord(CUevent e, void *stream)
{
	CUstream s = fake_stream_of(stream);
	uint64_t now = fake_now();

	errno = EIO;
	if (is_lost())
		return ERROR_CONTEXT_DESTROYED;
	if (e->device != s->device)
		return ERROR_INVALID_HANDLE;
	if (s->capture)
		return ERROR_CAPTURE_UNSUPPORTED;
	calls.event++;
	e->t = s->ready > now ? s->ready : now;
	e->is_recorded = 1;
	return 0;
}

int cuEventQuery(CUevent e)
{
	errno = EIO;
	if (is_lost())
		return ERROR_CONTEXT_DESTROYED;
	return !e->is_recorded || e->t > fake_now() ? ERROR_NOT_READY : 0;
}

int cuEventElapsedTime(float *ms, CUevent a, CUevent b)
{
	errno = EIO;
	if (a->device != b->device)
		return ERROR_INVALID_HANDLE;
	if (cuEventQuery(a) || cuEventQuery(b))
		return ERROR_NOT_READY;
	calls.elapsed++;
	*ms = (float)((double)(b->t - a->t) / 1e6);
	return 0;
}

/* Those of no context. */
static struct contextless {
	const char *name;
} kernels[64];
static unsigned n_kernels;

static int is_contextless(const void *f)
{
	return (const char *)f >= (const char *)kernels &&
	       (const char *)f < (const char *)(kernels + sizeof(kernels) / sizeof(kernels[0]));
}

/* A function is its name. */
static const char *name_of(const void *f)
{
	const struct contextless *k = f;

	return is_contextless(f) ? k->name : f;
}

int cuLibraryGetKernel(void **kernel, void *library, const char *name)
{
	(void)library;
	pthread_mutex_lock(&lock);
	kernels[n_kernels].name = name;
	*kernel = &kernels[n_kernels++ % 63];
	pthread_mutex_unlock(&lock);
	return 0;
}

/* Handles are what the program made them; a kernel's place is a function from now on, if it launches that. */
int cuLibraryUnload(void *library)
{
	return library ? 0 : ERROR_INVALID_VALUE;
}

int cuModuleUnload(void *module)
{
	return module ? 0 : ERROR_INVALID_VALUE;
}

int cuKernelGetName(const char **name, void *kernel)
{
	errno = EIO;
	calls.name++;
	if (!is_contextless(kernel))
		abort();
	*name = name_of(kernel);
	return 0;
}

int cuFuncGetName(const char **name, CUfunction f)
{
	errno = EIO;
	calls.name++;
	/* no handle of this kind: what the real one does with it nobody has promised */
	if (is_contextless(f))
		abort();
	*name = (const char *)f;
	return 0;
}

int cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
		   unsigned bz, unsigned shared, void *s, void **args, void **extra)
{
	(void)args;
	(void)extra;
	fake_log("args %u %u %u %u %u %u %u\n", gx, gy, gz, bx, by, bz, shared);
	return fake_launch(307, fake_stream_of(s), name_of(f));
}

int cuGraphLaunch(CUgraphExec e, void *s)
{
	return fake_graph_launch(514, e, fake_stream_of(s));
}

int cuCtxSynchronize_v2(CUcontext c)
{
	return c == &streams[device] ? fake_wait(17, NULL) : ERROR_INVALID_VALUE;
}

int cuEventSynchronize(CUevent e)
{
	return fake_event_wait(121, e);
}

int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, void *s)
{
	if (to && from)
		memmove((void *)to, from, bytes);
	return fake_copy(277, fake_stream_of(s), 1, bytes);
}

int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, void *s)
{
	if (to && from)
		memmove(to, (const void *)from, bytes);
	return fake_copy(279, fake_stream_of(s), 2, bytes);
}

int cuMemcpyAsync(uintptr_t to, uintptr_t from, size_t bytes, void *s)
{
	if (to && from)
		memmove((void *)to, (const void *)from, bytes);
	return fake_copy(306, fake_stream_of(s), 8, bytes);
}

int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t n, void *s)
{
	if (to)
		memset((void *)to, value, n);
	return fake_set(216, fake_stream_of(s), n);
}

int cuMemsetD16Async(uintptr_t to, unsigned short value, size_t n, void *s)
{
	(void)to;
	(void)value;
	return fake_set(218, fake_stream_of(s), n * 2);
}

/* The words of CUDA_MEMCPY2D and CUDA_MEMCPY3D: the size stands at the end. */
int cuMemcpy2DAsync_v2(const size_t *box, void *s)
{
	return fake_copy(288, fake_stream_of(s), 1, box[14] * box[15]);
}

int cuMemcpy3DAsync_v2(const size_t *box, void *s)
{
	return fake_copy(290, fake_stream_of(s), 2, box[22] * box[23] * box[24]);
}

int cuLaunchCooperativeKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
			      unsigned by, unsigned bz, unsigned shared, void *s, void **args)
{
	(void)args;
	fake_log("args %u %u %u %u %u %u %u\n", gx, gy, gz, bx, by, bz, shared);
	return fake_launch(477, fake_stream_of(s), name_of(f));
}

int cuStreamBeginCapture_v2(void *s, int mode)
{
	(void)mode;
	fake_capture_begin(fake_stream_of(s));
	return 0;
}

int cuStreamEndCapture(void *s, CUgraph *g)
{
	*g = fake_capture_end(fake_stream_of(s));
	return 0;
}

int cuGraphInstantiateWithFlags(CUgraphExec *e, CUgraph g, unsigned long long flags)
{
	(void)flags;
	*e = fake_instantiate(g);
	return 0;
}

int cuGraphExecUpdate_v2(CUgraphExec e, CUgraph g, void *info)
{
	(void)info;
	return fake_update(e, g);
}

int cuGraphDestroy(CUgraph g)
{
	fake_graph_free(g);
	return 0;
}

int cuGraphExecDestroy(CUgraphExec e)
{
	fake_exec_free(e);
	return 0;
}

/* ---- by name ------------------------------------------------------------------------------------ */

#define NAMED(name, since, function)                                                               \
	{                                                                                          \
#name, since, (void *)(uintptr_t)function                                          \
	}
static const struct {
	const char *name;
	int since;
	void *function;
} by_name[] = {
	NAMED(cuGetProcAddress, 12000, cuGetProcAddress_v2),
	NAMED(cuLibraryGetKernel, 12000, cuLibraryGetKernel),
	NAMED(cuLibraryUnload, 12000, cuLibraryUnload),
	NAMED(cuModuleUnload, 2000, cuModuleUnload),
	NAMED(cuEventCreate, 2000, cuEventCreate),
	NAMED(cuEventRecord, 2000, cuEventRecord),
	NAMED(cuEventSynchronize, 2000, cuEventSynchronize),
	NAMED(cuStreamSynchronize, 2000, cuStreamSynchronize),
	NAMED(cuCtxSynchronize, 13000, cuCtxSynchronize_v2),
	NAMED(cuCtxSynchronize, 2000, cuCtxSynchronize),
	NAMED(cuLaunchKernel, 4000, cuLaunchKernel),
	NAMED(cuMemcpyHtoDAsync, 3020, cuMemcpyHtoDAsync_v2),
	NAMED(cuMemcpyDtoHAsync, 3020, cuMemcpyDtoHAsync_v2),
	NAMED(cuMemcpyAsync, 4000, cuMemcpyAsync),
	NAMED(cuMemsetD8Async, 3020, cuMemsetD8Async),
	NAMED(cuMemsetD16Async, 3020, cuMemsetD16Async),
	NAMED(cuMemcpy2DAsync, 3020, cuMemcpy2DAsync_v2),
	NAMED(cuMemcpy3DAsync, 3020, cuMemcpy3DAsync_v2),
	NAMED(cuLaunchCooperativeKernel, 9000, cuLaunchCooperativeKernel),
	NAMED(cuStreamBeginCapture, 10010, cuStreamBeginCapture_v2),
	NAMED(cuStreamEndCapture, 10000, cuStreamEndCapture),
	NAMED(cuGraphInstantiate, 12000, cuGraphInstantiateWithFlags),
	NAMED(cuGraphExecUpdate, 12000, cuGraphExecUpdate_v2),
	NAMED(cuGraphLaunch, 10000, cuGraphLaunch),
	NAMED(cuGraphDestroy, 10000, cuGraphDestroy),
	NAMED(cuGraphExecDestroy, 10000, cuGraphExecDestroy),
};

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status)
{
	(void)flags;
	for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++) {
		if (strcmp(by_name[i].name, name) || version < by_name[i].since)
			continue;
		*function = by_name[i].function;
		if (status)
			*status = 0;
		return 0;
	}
	*function = NULL;
	if (status)
		*status = 1; /* CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND */
	return 500;	     /* CUDA_ERROR_NOT_FOUND */
}
