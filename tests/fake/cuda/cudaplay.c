/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that hands work to CUDA as llama.cpp's backend does, and says its steps by marks. Its scenes:
 *
 *	decode N	a prompt of two eager passes, then a token eagerly, one with capture and instantiation, and N by one graph
 *			launch each; every step ends with a synchronising call and the copy of the logits
 *	eager N		N tokens, kernel by kernel
 *	streams N	N tokens whose kernels go to two streams
 *	driver N	N tokens by the driver's own functions
 *	bare N		N rounds without marks
 *	update N	as decode, and the graph is captured and updated anew every 16 tokens
 *	renew N		as update, but each of 1,201 nodes and every token
 *	beside N	as update, but each token is captured, and one kernel of it goes to a stream that takes no part
 *	large N		as decode, by a graph of 1,201 nodes
 *	huge N		one pass of 36,001 launches
 *	threads N	as eager, on two threads
 *	workers N	N threads after each other, of ten passes each without marks
 *	gpus N		as eager, on two devices in turn
 *	peers N		as eager, and hands the result to another device
 *	behind N	as eager, and another stream has as much to do, for which nobody waits
 *	wide N		N tokens, each on the next of 100 streams
 *	kinds N		N rounds of 3,000 kernels, by the driver's own functions
 *	graphs N	N rounds of 300 executable graphs
 *	unwaited	one pass, and no wait at all
 *	rare N		N rounds of what engines seldom ask the driver for
 *	unload N	N launches of a function, then of another one that has the handle of the first, whose module is gone
 *	pauses N	three times: waits for a line of input; then N tokens eagerly, and a pass that nobody waits for yet
 *	gpupauses N	the same, with N tokens of gpus
 *	offpauses N	as pauses, and the first time it switches the recording off and on again before
 *	fork N		as decode, by a child too
 *	noexit N	as decode, and it leaves by _exit()
 *	killed N	as decode, and it kills itself
 *
 * It prints a checksum of what was computed, what became of errno and "done", or what failed.
 */
#include <lmmeter/mark.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOGITS 512

struct dim3 {
	unsigned x, y, z;
};

struct config {
	struct dim3 grid, block;
	size_t shared;
	void *stream;
	void *attributes;
	unsigned n_attributes;
};

extern void **__cudaRegisterFatBinary(void *binary);
extern void __cudaRegisterFatBinaryEnd(void **handle);
extern void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
				   int limit, void *tid, void *bid, void *block, void *grid,
				   int *size);
extern int cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args,
			    size_t shared, void *s);
extern int __cudaLaunchKernel(const void *f, struct dim3 grid, struct dim3 block, void **args,
			      size_t shared, void *s);
extern int cudaLaunchKernelExC(const struct config *c, const void *f, void **args);
extern int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *s);
extern int cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
			       size_t bytes, void *s);
extern int cudaMemcpy(void *to, const void *from, size_t bytes, int kind);
extern int cudaMemsetAsync(void *to, int value, size_t bytes, void *s);
extern int cudaStreamCreateWithFlags(void **s, unsigned flags);
extern int cudaSetDevice(int number);
extern int cudaStreamSynchronize(void *s);
extern int cudaDeviceSynchronize(void);
extern int cudaStreamBeginCapture(void *s, int mode);
extern int cudaStreamEndCapture(void *s, void **g);
extern int cudaGraphInstantiate(void **e, void *g, unsigned long long flags);
extern int cudaGraphExecUpdate(void *e, void *g, void *info);
extern int cudaGraphLaunch(void *e, void *s);
extern int cudaGraphDestroy(void *g);
extern int cudaGraphExecDestroy(void *e);
extern int cudaGetLastError(void);
extern int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
			  unsigned bz, unsigned shared, void *s, void **args, void **extra);
extern int cuStreamSynchronize(void *s);
extern int cuLaunchCooperativeKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
				     unsigned by, unsigned bz, unsigned shared, void *s,
				     void **args);
extern int cuMemsetD16Async(size_t to, unsigned short value, size_t n, void *s);
extern int cuMemcpy2DAsync_v2(const size_t *box, void *s);
extern int cuMemcpy3DAsync_v2(const size_t *box, void *s);
extern int cuModuleUnload(void *module);

/* What nvcc makes of a kernel: a function of the host, whose address stands for it. */
static char stub_norm, stub_matmul, stub_attention, stub_add;
static void *stream, *side;
static float logits[LOGITS], device_logits[LOGITS];
static unsigned long sum;
static int layers = 6;
static int spoilt; /* values that errno had */
static void *beside;

static void kernels_register(void)
{
	static int binary;
	void **handle = __cudaRegisterFatBinary(&binary);
	static const struct {
		const char *host, *name;
	} all[] = {
		{ &stub_norm, "_Z12rms_norm_f32ILi1024EEvPKfPfi" },
		{ &stub_matmul, "_ZN4ggml9mul_mat_qIL9ggml_type2ELi8EEEvPKvS3_Pf" },
		{ &stub_attention, "_Z14flash_attn_extILi64EEvPKf" },
		{ &stub_add, "k_bin_bcast" },
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		__cudaRegisterFunction(handle, all[i].host, (char *)(size_t)all[i].name,
				       all[i].name, -1, NULL, NULL, NULL, NULL, NULL);
	__cudaRegisterFatBinaryEnd(handle);
}

static int launch(const void *f, void *s)
{
	struct dim3 grid = { 12, 2, 1 }, block = { 32, 4, 1 };
	void *args[] = { &sum };

	return __cudaLaunchKernel(f, grid, block, args, 0, s);
}

static int launch_overlapping(const void *f, void *s)
{
	struct config c = { { 8, 1, 1 }, { 64, 1, 1 }, 0, s, NULL, 0 };

	return cudaLaunchKernelExC(&c, f, NULL);
}

/* A forward pass: 4 kernels per layer, and a memset. */
static int forward(void *s)
{
	int rc = cudaMemsetAsync(NULL, 0, 4096, s);

	spoilt |= errno;
	for (int i = 0; i < layers; i++) {
		rc |= launch(&stub_norm, s);
		rc |= launch(&stub_matmul, s);
		rc |= launch_overlapping(&stub_attention, s);
		rc |= launch(&stub_add, side ? side : s);
		spoilt |= errno;
	}
	return rc;
}

static int forward_driver(void *s)
{
	int rc = 0;

	for (int i = 0; i < layers; i++)
		rc |= cuLaunchKernel((void *)(size_t) "driver_kernel", 4, 1, 1, 32, 1, 1, 0, s,
				     NULL, NULL);
	return rc | cuStreamSynchronize(s);
}

static int read_back(void *s)
{
	int rc = cudaMemcpyAsync(logits, device_logits, sizeof(logits), 2, s);

	rc |= cudaStreamSynchronize(s);
	spoilt |= errno;
	for (int i = 0; i < LOGITS; i++)
		sum = sum * 31 + (unsigned long)(logits[i] * 16);
	if (side)
		rc |= cudaDeviceSynchronize();
	return rc;
}

static void compute(unsigned at)
{
	for (int i = 0; i < LOGITS; i++)
		device_logits[i] = (float)((at + (unsigned)i) % 97);
}

static int ask(unsigned tokens, unsigned at, int (*pass)(void *s), void *s)
{
	struct lmm_mark_part part = { 1, tokens, 1, at };
	int rc;

	lmm_mark_step_begin(LMM_MARK_AUTO, &part, 1);
	compute(at);
	rc = pass(s);
	lmm_mark_phase_begin(LMM_MARK_COPY_TO_CPU, 1);
	rc |= read_back(s);
	lmm_mark_phase_end(LMM_MARK_COPY_TO_CPU);
	lmm_mark_step_end();
	lmm_mark_token(1);
	spoilt |= errno;
	return rc;
}

/* ---- with a graph ------------------------------------------------------------------------------- */

static void *exec;

static int capture(void *s)
{
	void *graph = NULL;
	int rc = cudaStreamBeginCapture(s, 2);

	rc |= forward(s);
	if (beside)
		rc |= launch(&stub_add, beside);
	rc |= cudaStreamEndCapture(s, &graph);
	if (exec) {
		rc |= cudaGraphExecUpdate(exec, graph, NULL);
	} else {
		rc |= cudaGraphInstantiate(&exec, graph, 0);
	}
	rc |= cudaGraphDestroy(graph);
	return rc | cudaGraphLaunch(exec, s);
}

static int replay(void *s)
{
	return cudaGraphLaunch(exec, s);
}

static int decode(unsigned n, unsigned every)
{
	int rc = ask(8, 0, forward, stream);

	rc |= ask(1, 8, forward, stream);
	for (unsigned i = 0; i < n; i++)
		rc |= ask(1, 9 + i, !exec || (every && i % every == 0) ? capture : replay, stream);
	return rc;
}

/* ---- scenes ------------------------------------------------------------------------------------- */

static int eager(unsigned n)
{
	int rc = ask(8, 0, forward, stream);

	for (unsigned i = 0; i < n; i++)
		rc |= ask(1, 8 + i, forward, stream);
	return rc;
}

static int driver(unsigned n)
{
	int rc = 0;

	for (unsigned i = 0; i < n; i++)
		rc |= ask(1, 8 + i, forward_driver, stream);
	return rc;
}

static int bare(unsigned n)
{
	int rc = 0;

	for (unsigned i = 0; i < n; i++)
		rc |= forward(stream) | read_back(stream);
	return rc;
}

static void *worker(void *arg)
{
	void *s = NULL;
	int rc = cudaStreamCreateWithFlags(&s, 1);

	for (unsigned i = 0; i < *(unsigned *)arg; i++)
		rc |= forward(s) | cudaStreamSynchronize(s);
	return rc ? arg : NULL;
}

static int workers(unsigned n)
{
	unsigned passes = 10;
	pthread_t other;
	void *failed;
	int rc = 0;

	layers = 60;
	for (unsigned i = 0; i < n; i++) {
		rc |= pthread_create(&other, NULL, worker, &passes);
		pthread_join(other, &failed);
		rc |= failed != NULL;
	}
	return rc;
}

static unsigned gpu;

/* What is handed over next goes to the stream of a device that is not the thread's any more. */
static int forward_and_leave(void *s)
{
	int rc = forward(s);

	gpu = !gpu;
	return rc | cudaSetDevice((int)gpu);
}

static int gpus(unsigned n)
{
	static void *second;
	int rc = cudaSetDevice(1);

	if (!second)
		rc |= cudaStreamCreateWithFlags(&second, 1);
	gpu = 0;
	rc |= cudaSetDevice(0);
	for (unsigned i = 0; i < n; i++) {
		/* the default streams of both have the same handle */
		if (i % 3 == 0)
			rc |= ask(1, i, forward, NULL);
		rc |= ask(1, i, forward_and_leave, gpu ? second : stream);
	}
	return rc;
}

static int off_and_on(unsigned n)
{
	static int has_been;
	int (*set)(int on);

	*(void **)&set = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	if (!has_been++ && set && set(0) == 1)
		set(1);
	return eager(n);
}

static int pauses(unsigned n, int (*work)(unsigned n))
{
	int rc = 0;

	for (int i = 0; i < 3; i++) {
		puts("pause");
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
		rc |= work(n) | forward(stream);
	}
	return rc | cudaStreamSynchronize(stream);
}

static int rare(unsigned n)
{
	/* CUDA_MEMCPY2D and CUDA_MEMCPY3D as words: from the host to the device, and the other way */
	size_t area[16] = { [2] = 1, [9] = 2, [14] = 100, [15] = 30 };
	size_t volume[25] = { [4] = 2, [15] = 1, [22] = 100, [23] = 30, [24] = 2 };
	int rc = 0;

	for (unsigned i = 0; i < n; i++) {
		lmm_mark_step_begin(LMM_MARK_DECODE, NULL, 0);
		rc |= cuMemcpy2DAsync_v2(area, stream);
		rc |= cuMemsetD16Async(0, 0, 1000, stream);
		rc |= cuLaunchCooperativeKernel((void *)(size_t) "whole_grid", 4, 1, 1, 32, 1, 1, 0,
						stream, NULL);
		rc |= cuMemcpy3DAsync_v2(volume, stream);
		rc |= cudaStreamSynchronize(stream);
		lmm_mark_step_end();
	}
	return rc;
}

static int unload(unsigned n)
{
	/* the fake driver's function is its name */
	static char function[16] = "early";
	int rc = 0;

	for (int k = 0; k < 2; k++) {
		for (unsigned i = 0; i < n; i++)
			rc |= cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL);
		rc |= cudaStreamSynchronize(stream) | cuModuleUnload(function);
		strcpy(function, "late");
	}
	return rc;
}

static int peers(unsigned n)
{
	static char here[64], there[64];
	int rc = cudaSetDevice(0);

	for (unsigned i = 0; i < n; i++) {
		rc |= ask(1, i, forward, stream);
		rc |= cudaMemcpyPeerAsync(there, 1, here, 0, sizeof(here), stream);
	}
	return rc | cudaStreamSynchronize(stream);
}

static int behind(unsigned n)
{
	void *other = NULL;
	int rc = cudaStreamCreateWithFlags(&other, 1);

	for (unsigned i = 0; i < n; i++)
		rc |= forward(other) | ask(1, i, forward, stream);
	return rc | cudaStreamSynchronize(other);
}

static int wide(unsigned n)
{
	void *s[100];
	int rc = 0;

	for (unsigned i = 0; i < 100; i++)
		rc |= cudaStreamCreateWithFlags(&s[i], 1);
	for (unsigned i = 0; i < n; i++)
		rc |= ask(1, i, forward, s[i % 100]);
	return rc;
}

static int kinds(unsigned n)
{
	static char names[3000][16];
	int rc = 0;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < 3000; k++) {
			snprintf(names[k], sizeof(names[k]), "kind_%u", k);
			rc |= cuLaunchKernel(names[k], 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL);
		}
		rc |= cuStreamSynchronize(stream);
	}
	return rc;
}

static int graphs(unsigned n)
{
	static void *execs[300];
	int rc = 0;

	for (unsigned i = 0; i < 300; i++) {
		rc |= capture(stream);
		execs[i] = exec;
		exec = NULL;
	}
	for (unsigned i = 0; i < n * 300; i++)
		rc |= cudaGraphLaunch(execs[i % 300], stream) | cudaStreamSynchronize(stream);
	return rc;
}

static int threads(unsigned n)
{
	pthread_t other;
	void *failed;
	int rc = pthread_create(&other, NULL, worker, &n);

	rc |= eager(n);
	pthread_join(other, &failed);
	return rc | (failed != NULL);
}

static int forked(unsigned n)
{
	pid_t child;
	int status = 0, rc = decode(n, 0);

	child = fork();
	if (child == 0)
		exit(decode(n, 0) ? 1 : 0);
	waitpid(child, &status, 0);
	return rc | status;
}

/* The most memory that the process has had: of its own, not of what it was before it was this program. */
static int peak_print(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "VmHWM:", 6) == 0)
			printf("%s", line);
	}
	return f ? fclose(f) : 1;
}

static int play(const char *scene, unsigned n)
{
	if (strcmp(scene, "eager") == 0)
		return eager(n);
	if (strcmp(scene, "streams") == 0) {
		cudaStreamCreateWithFlags(&side, 1);
		return eager(n);
	}
	if (strcmp(scene, "driver") == 0)
		return driver(n);
	if (strcmp(scene, "bare") == 0)
		return bare(n);
	if (strcmp(scene, "update") == 0)
		return decode(n, 16);
	if (strcmp(scene, "beside") == 0) {
		cudaStreamCreateWithFlags(&beside, 1);
		return decode(n, 1);
	}
	if (strcmp(scene, "large") == 0)
		layers = 300;
	if (strcmp(scene, "renew") == 0) {
		layers = 300;
		return decode(n, 1) | peak_print();
	}
	if (strcmp(scene, "huge") == 0) {
		layers = 9000;
		return ask(8, 0, forward, stream);
	}
	if (strcmp(scene, "workers") == 0)
		return workers(n);
	if (strcmp(scene, "gpus") == 0)
		return gpus(n);
	if (strcmp(scene, "peers") == 0)
		return peers(n);
	if (strcmp(scene, "behind") == 0)
		return behind(n);
	if (strcmp(scene, "wide") == 0)
		return wide(n);
	if (strcmp(scene, "kinds") == 0)
		return kinds(n);
	if (strcmp(scene, "graphs") == 0)
		return graphs(n);
	if (strcmp(scene, "unwaited") == 0)
		return forward(stream);
	if (strcmp(scene, "unload") == 0)
		return unload(n);
	if (strcmp(scene, "rare") == 0)
		return rare(n);
	if (strcmp(scene, "pauses") == 0)
		return pauses(n, eager);
	if (strcmp(scene, "gpupauses") == 0)
		return pauses(n, gpus);
	if (strcmp(scene, "offpauses") == 0)
		return pauses(n, off_and_on);
	if (strcmp(scene, "threads") == 0)
		return threads(n);
	if (strcmp(scene, "fork") == 0)
		return forked(n);
	return decode(n, 0);
}

int main(int argc, char **argv)
{
	const char *scene = argc > 1 ? argv[1] : "decode";
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 8;
	int rc;

	kernels_register();
	errno = 0;
	rc = cudaStreamCreateWithFlags(&stream, 1);
	if (strcmp(scene, "unwaited") != 0)
		rc |= cudaMemcpy(device_logits, logits, sizeof(logits), 1);
	rc |= play(scene, n);
	printf("sum %lu last error %d errno %d\n%s\n", sum, cudaGetLastError(), spoilt | errno,
	       rc ? "failed" : "done");
	fflush(stdout);
	if (strcmp(scene, "noexit") == 0)
		_exit(rc != 0);
	if (strcmp(scene, "killed") == 0)
		kill(getpid(), SIGKILL);
	if (exec)
		rc |= cudaGraphExecDestroy(exec);
	return rc != 0;
}
