/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what a program hands to CUDA, without any of lmmeter's code: preloaded, it writes "name count" lines to GPU_COUNT_OUT. What is
 * handed over while a stream is captured is no work yet and counts apart. With GPU_COUNT_EVENTS set it also times every 16th launch of a
 * graph by a pair of events around it: "graph_ns MEAN" and "graph_timed N" lines.
 *
 * llama-bench draws each token with rand(). GPU_COUNT_STAMPS names a file to hold, for each, when it did, while the program runs: ns of
 * CLOCK_MONOTONIC << 1 | whether lmmeter was told to record, and the longest of its waits for the device since, ns, two words of 8 bytes.
 * GPU_COUNT_BLOCKS=N: lmmeter is told so in one of two blocks of N tokens, whichever, and not to in the other.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct dim3 {
	unsigned x, y, z;
};

enum { KERNELS, GRAPHS, COPIES, SETS, CAPTURED, KINDS };
static const char *const names[] = { "kernels", "graphs", "copies", "sets", "captured" };
static _Atomic unsigned long counts[KINDS];
static _Atomic int capturing;

/* The next one, or, for a caller that was opened for itself alone, what its own scope has. */
static void *real(const char *name, const void *caller)
{
	void *fn = dlsym(RTLD_NEXT, name), *h;
	Dl_info i;

	if (!fn && dladdr(caller, &i) && (h = dlopen(i.dli_fname, RTLD_LAZY | RTLD_NOLOAD)))
		fn = dlsym(h, name);
	if (!fn)
		abort();
	return fn;
}

static void count(int kind, int rc)
{
	if (rc == 0)
		atomic_fetch_add(&counts[capturing && kind != GRAPHS ? CAPTURED : kind], 1);
}

#define CALL(kind, symbol, params, args)                                                           \
	int symbol params;                                                                         \
	int symbol params                                                                          \
	{                                                                                          \
		static int(*fn) params;                                                            \
		int rc;                                                                            \
                                                                                                   \
		if (!fn)                                                                           \
			*(void **)&fn = real(#symbol, __builtin_return_address(0));                \
		rc = fn args;                                                                      \
		count(kind, rc);                                                                   \
		return rc;                                                                         \
	}
CALL(KERNELS, cudaLaunchKernel,
     (const void *f, struct dim3 g, struct dim3 b, void **a, size_t shared, void *s),
     (f, g, b, a, shared, s))
CALL(KERNELS, __cudaLaunchKernel,
     (const void *f, struct dim3 g, struct dim3 b, void **a, size_t shared, void *s),
     (f, g, b, a, shared, s))
CALL(KERNELS, cudaLaunchKernelExC, (const void *c, const void *f, void **a), (c, f, a))

/* ---- when tokens are drawn ---------------------------------------------------------------------- */

#define STAMPS (1u << 21)

static struct {
	uint64_t at, wait_ns;
} * stamps; /* NULL: nobody asked */
static unsigned n_stamps, block;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void stamps_open(void)
{
	const char *path = getenv("GPU_COUNT_STAMPS"), *n = getenv("GPU_COUNT_BLOCKS");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0 && ftruncate(fd, STAMPS * sizeof(*stamps)) == 0) {
		void *p = mmap(NULL, STAMPS * sizeof(*stamps), PROT_READ | PROT_WRITE, MAP_SHARED,
			       fd, 0);

		stamps = p == MAP_FAILED ? NULL : p;
	}
	if (fd >= 0)
		close(fd);
	block = n ? (unsigned)strtoul(n, NULL, 10) : 0;
}

/* Of each two blocks the first at random, the second the other. */
static unsigned is_recorded(unsigned token)
{
	static int (*set)(int);
	static unsigned seed = 1, first, now;

	if (!set)
		*(void **)&set = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	if (token % block || !set)
		return now;
	if (token / block % 2 == 0)
		first = (unsigned)rand_r(&seed) >> 8 & 1;
	now = token / block % 2 == 0 ? first : !first;
	set((int)now);
	return now;
}

int rand(void)
{
	static int (*fn)(void);
	unsigned i = n_stamps, is = 0;

	if (!fn)
		*(void **)&fn = real("rand", __builtin_return_address(0));
	if (stamps && i < STAMPS) {
		if (block)
			is = is_recorded(i);
		stamps[i].at = now_ns() << 1 | is;
		n_stamps++;
	}
	return fn();
}

#define WAIT(symbol, params, args)                                                                 \
	int symbol params;                                                                         \
	int symbol params                                                                          \
	{                                                                                          \
		static int(*fn) params;                                                            \
		uint64_t from = stamps ? now_ns() : 0, took;                                       \
		int rc;                                                                            \
                                                                                                   \
		if (!fn)                                                                           \
			*(void **)&fn = real(#symbol, __builtin_return_address(0));                \
		rc = fn args;                                                                      \
		took = from ? now_ns() - from : 0;                                                 \
		if (n_stamps && took > stamps[n_stamps - 1].wait_ns)                               \
			stamps[n_stamps - 1].wait_ns = took;                                       \
		return rc;                                                                         \
	}
WAIT(cudaStreamSynchronize, (void *s), (s))
WAIT(cudaDeviceSynchronize, (void), ())
WAIT(cudaEventSynchronize, (void *e), (e))

/* ---- a pair of events around a launch ----------------------------------------------------------- */

#define EVERY 16

static struct {
	void *from, *to;
	int is_open; /* not read yet */
	unsigned long launches, timed;
	double ns;
	const void *caller; /* whose scope has the runtime */
} pair;

static int call(const char *name, void *a, void *b)
{
	int (*fn)(void *, void *);

	*(void **)&fn = real(name, pair.caller);
	return fn(a, b);
}

/* The program has waited for the last one since, or it is let be. */
static void pair_read(void)
{
	int (*elapsed)(float *, void *, void *);
	float ms = 0;

	*(void **)&elapsed = real("cudaEventElapsedTime", pair.caller);
	if (pair.is_open && elapsed(&ms, pair.from, pair.to) == 0) {
		pair.ns += (double)ms * 1e6;
		pair.timed++;
	}
	pair.is_open = 0;
}

int cudaGraphLaunch(void *e, void *s);
int cudaGraphLaunch(void *e, void *s)
{
	static int (*fn)(void *, void *);
	int is_timed = getenv("GPU_COUNT_EVENTS") && pair.launches++ % EVERY == 0, rc;

	if (!fn)
		*(void **)&fn = real("cudaGraphLaunch", __builtin_return_address(0));
	pair.caller = __builtin_return_address(0);
	if (is_timed) {
		pair_read();
		if (!pair.from && (call("cudaEventCreateWithFlags", &pair.from, NULL) ||
				   call("cudaEventCreateWithFlags", &pair.to, NULL)))
			is_timed = 0;
	}
	if (is_timed)
		is_timed = call("cudaEventRecord", pair.from, s) == 0;
	rc = fn(e, s);
	if (is_timed)
		pair.is_open = call("cudaEventRecord", pair.to, s) == 0;
	count(GRAPHS, rc);
	return rc;
}

CALL(COPIES, cudaMemcpyAsync, (void *d, const void *q, size_t n, int k, void *s), (d, q, n, k, s))
CALL(COPIES, cudaMemcpy, (void *d, const void *q, size_t n, int k), (d, q, n, k))
CALL(COPIES, cudaMemcpy2DAsync,
     (void *d, size_t dp, const void *q, size_t qp, size_t w, size_t h, int k, void *s),
     (d, dp, q, qp, w, h, k, s))
CALL(COPIES, cudaMemcpyPeerAsync, (void *d, int dd, const void *q, int qd, size_t n, void *s),
     (d, dd, q, qd, n, s))
CALL(SETS, cudaMemsetAsync, (void *d, int v, size_t n, void *s), (d, v, n, s))
CALL(SETS, cudaMemset, (void *d, int v, size_t n), (d, v, n))

int cudaStreamBeginCapture(void *s, int mode);
int cudaStreamBeginCapture(void *s, int mode)
{
	static int (*fn)(void *, int);
	int rc;

	if (!fn)
		*(void **)&fn = real("cudaStreamBeginCapture", __builtin_return_address(0));
	rc = fn(s, mode);
	capturing += rc == 0;
	return rc;
}

int cudaStreamEndCapture(void *s, void **g);
int cudaStreamEndCapture(void *s, void **g)
{
	static int (*fn)(void *, void **);

	if (!fn)
		*(void **)&fn = real("cudaStreamEndCapture", __builtin_return_address(0));
	capturing -= capturing > 0;
	return fn(s, g);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("GPU_COUNT_OUT");
	unsigned long all = 0;
	FILE *f;

	for (int i = 0; i < KINDS; i++)
		all += counts[i];
	f = path && all ? fopen(path, "w") : NULL;
	if (!f)
		return;
	for (int i = 0; i < KINDS; i++)
		fprintf(f, "%s %lu\n", names[i], (unsigned long)counts[i]);
	if (pair.timed) {
		fprintf(f, "graph_ns %.0f\n", pair.ns / (double)pair.timed);
		fprintf(f, "graph_timed %lu\n", pair.timed);
	}
	fclose(f);
}
