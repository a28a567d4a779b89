/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA layer: launches, copies and graph launches as programs hand them over (commands.c), graphs as they are captured (graphs.c),
 * waits (waits.c), events around sampled steps (pairs.c), and CUPTI in short windows (window.h). While no window is
 * open nothing of CUPTI is called: it would slow the program down (docs/gpu.md). What lmmeter itself asks of CUDA goes to the
 * driver, whose errors the program's cudaGetLastError() does not see.
 */
#ifndef LMM_PROBE_DEVICES_CUDA_CUDA_H
#define LMM_PROBE_DEVICES_CUDA_CUDA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "probe/devices/cuda/api.h"
#include "probe/devices/device.h"
#include "probe/probe.h"

extern struct lmm_device_api lmm_cu_api;

/* ---- the driver (driver.c) ---------------------------------------------------------------------- */

/* Functions of libcuda.so.1; those that a driver lacks are NULL. */
struct lmm_cu_driver {
	cuda_result (*cuDriverGetVersion)(int *version);
	cuda_result (*cuCtxGetCurrent)(void **context);
	cuda_result (*cuCtxGetDevice)(int *device);
	cuda_result (*cuDeviceGetName)(char *name, int bytes, int device);
	cuda_result (*cuThreadExchangeStreamCaptureMode)(int *mode);
	cuda_result (*cuStreamIsCapturing)(cuda_stream stream, int *status);
	cuda_result (*cuCtxPushCurrent_v2)(void *context);
	cuda_result (*cuCtxPopCurrent_v2)(void **context);
	cuda_result (*cuEventCreate)(cuda_event *event, unsigned flags);
	cuda_result (*cuEventDestroy_v2)(cuda_event event);
	cuda_result (*cuEventRecord)(cuda_event event, cuda_stream stream);
	cuda_result (*cuEventQuery)(cuda_event event);
	cuda_result (*cuEventElapsedTime)(float *ms, cuda_event from, cuda_event to);
	cuda_result (*cuFuncGetName)(const char **name, void *function);
	cuda_result (*cuKernelGetName)(const char **name, void *kernel);
	cuda_result (*cuLibraryGetKernelCount)(unsigned *n, void *library);
	/* of the runtime, where the program has one */
	cuda_result (*cudaFuncGetName)(const char **name, const void *function);
	cuda_result (*cudaPeekAtLastError)(void);
	cuda_result (*cudaGetLastError)(void);
};
extern struct lmm_cu_driver lmm_cu;

/* Finds them, once; fn: a hooked function as the program would have called it. Takes the loader's lock. */
void lmm_cu_bind(const void *fn);
/* True while nothing is known against asking the driver: it is there, and the thread has a context. */
bool lmm_cu_is_ready(void);
/* The thread's; NULL: none. */
void *lmm_cu_context(void);

/* ---- threads ------------------------------------------------------------------------------------ */

struct lmm_cu_graph;

#define LMM_CU_MARKS 32u /* of one thread, not read yet; a power of two */

/* An instant of a stream at which an event was recorded: what follows belongs to the phase of the step. */
struct lmm_cu_mark {
	cuda_event event;
	uint64_t mono_ns; /* before it was recorded */
	uint32_t step, id;
	uint8_t phase;
	bool is_end;	   /* nothing follows */
	bool is_in_window; /* its time is compared with the kernels' */
};

/* What a thread's calls cost it in the step that goes on. */
struct lmm_cu_sums {
	uint64_t call_ticks, wait_ticks;
	uint32_t calls, waits;
};

struct lmm_cu_thread {
	uint8_t is_inside; /* a hooked call: what it calls itself is not the program's */
	uint8_t is_timed;  /* the step, by events */
	uint8_t has_step;
	uint32_t session;
	uint32_t step; /* the one that goes on */
	uint64_t step_t;
	uint8_t step_phase, was_timed, was_in_window;
	uint16_t timed_kinds;	 /* bit: a step of that phase was timed */
	uint32_t window;	 /* in which the call that is being made began; 0: none */
	uint32_t correlation[2]; /* CUPTI's numbers of it, the newest first; 0: none */
	struct lmm_cu_sums sums;
	struct lmm_cu_graph *capture; /* being captured on this thread; NULL: none */
	cuda_stream capture_stream;
	struct lmm_budget budget;
	struct lmm_step_before step_before;
	/* pairs.c: made when first needed */
	struct lmm_cu_marks *marks;
};

extern _Thread_local struct lmm_cu_thread lmm_cu_self __attribute__((tls_model("initial-exec")));

/* ---- streams (streams.c) ------------------------------------------------------------------------ */

struct lmm_cu_stream {
	_Atomic(cuda_stream) handle;
	uint16_t number;		  /* the queue of its commands */
	uint16_t pass_number;		  /* the queue of what is timed by events */
	_Atomic uint32_t told, pass_told; /* in which session they were described */
	_Atomic uint32_t cupti;		  /* what CUPTI calls it, + 1; 0: not known */
	uint32_t next_id;		  /* whose has the window */
	_Atomic uint32_t next_pass;
	struct lmm_device_clock clock, pass_clock; /* pass_clock: of whoever has set the flag */
	_Atomic int pass_clock_is_taken;
};

/* The stream as a queue, made and described when it is first seen; NULL: no memory. Lock-free where it is known, or where there are too many. */
struct lmm_cu_stream *lmm_cu_stream_find(cuda_stream handle);
/* The one that CUPTI calls so; NULL: none yet. */
struct lmm_cu_stream *lmm_cu_stream_of_cupti(uint32_t id);
/* The same, and if there is none: `s` if it has no such name yet, else one of its own. */
struct lmm_cu_stream *lmm_cu_stream_name(struct lmm_cu_stream *s, uint32_t id);
void lmm_cu_stream_pass_tell(struct lmm_cu_stream *s);
uint16_t lmm_cu_device_number(bool is_pass);
void lmm_cu_streams_after_fork(void);

/* ---- kernels (kernels.c) ------------------------------------------------------------------------ */

/* Number of the kernel that the host knows by this address; described when it is first seen. */
uint32_t lmm_cu_kernel_number(const void *function, bool is_driver);
/* What is launched by this handle is a CUkernel of that library, and no CUfunction. */
void lmm_cu_kernel_is_contextless(const void *kernel, const void *library);
void lmm_cu_library_is_gone(const void *library);
/* Functions are unloaded: a handle may be another one's from now on, and is asked for its name anew. */
void lmm_cu_kernels_doubt(void);
/* By the name that the compiler gave it. */
uint32_t lmm_cu_kernel_named(const char *mangled);
void lmm_cu_kernels_after_fork(void);

/*
 * A short name of a compiled one: "ggml::mul_mat_q<8, true>" of _ZN4ggml9mul_mat_qIL9ggml_type8ELb1EEEvPKv; what is not
 * understood is left out. to: at least 8 bytes.
 */
void lmm_cu_demangle(const char *mangled, char *to, size_t bytes);

/* ---- graphs (graphs.c) -------------------------------------------------------------------------- */

struct lmm_cu_node {
	uint32_t kernel; /* as of lmm_cu_kernel_number(), or a kind */
	uint32_t graph, node;
	uint8_t kind; /* enum lmm_kernel_kind */
};

/* What was captured, in the order in which it was handed over. Never changed once it is finished. */
struct lmm_cu_graph {
	uint32_t n, room;
	uint32_t recording; /* in which its numbers are good */
	uint32_t number;    /* as a command; 0: not told yet */
	bool is_incomplete; /* no memory, or more than we take */
	struct lmm_cu_node *nodes;
	struct lmm_cu_graph *next; /* retired after it */
	uint32_t turn;		   /* of the log when it was retired */
};

/* The call is part of a capture by this thread: noted, and no work of a device yet. */
bool lmm_cu_is_captured(struct lmm_thread *th, cuda_stream stream, uint32_t kernel, unsigned kind);
/* Of an executable graph; NULL: it was made unseen. */
struct lmm_cu_graph *lmm_cu_graph_of(cuda_exec exec);
/* Its number as a command. */
uint32_t lmm_cu_graph_number(struct lmm_cu_graph *g);
bool lmm_cu_is_capturing(void);
void lmm_cu_graphs_after_fork(void);

/* ---- commands (commands.c) ---------------------------------------------------------------------- */

struct lmm_cu_command {
	struct lmm_thread *th;
	cuda_stream stream;
	uint64_t t;
};

/*
 * A hooked call begins that hands something to the stream. is_work: the device's time of a step may begin with it, as it does not with what
 * is written for it: each of those is waited for by itself (llama.cpp's inputs). False: it is not recorded.
 */
bool lmm_cu_begin(struct lmm_cu_command *c, const void *fn, cuda_stream stream, bool is_work);
/* It has answered rc. graph: NULL but for the launch of one that is known. */
void lmm_cu_end(struct lmm_cu_command *c, cuda_result rc, uint32_t kernel, unsigned kind,
		uint64_t amount, struct lmm_cu_graph *graph);
/* The program has waited for the device, and the call has answered rc. */
void lmm_cu_waited(struct lmm_thread *th, cuda_result rc);
/* Tells what handing over and waiting cost this thread in its step, since that was told last. */
void lmm_cu_sums_put(struct lmm_thread *th, uint64_t t);
/* Tells what is left to tell: the thread, or the process, ends. */
void lmm_cu_calls_end(void);
/* A step begins, or what takes a step's place where none is known. */
void lmm_cu_step_begin(struct lmm_thread *th, uint64_t t);

/* Declares a hook; the body follows, and begins with LMM_CU_ENTER(). */
/* NOLINTBEGIN(bugprone-macro-parentheses): types and lists of parameters stand there */
#define LMM_CU_HOOK(symbol, params)                                                                \
	LMM_EXPORT cuda_result(*lmm_orig_##symbol) params;                                         \
	static struct lmm_door door_##symbol = { .name = #symbol,                                  \
						 .orig = (void **)&lmm_orig_##symbol };            \
	LMM_EXPORT cuda_result lmm_hook_##symbol params;                                           \
	LMM_EXPORT cuda_result lmm_hook_##symbol params

/* The function to call, as fn. What is not recorded has returned by then: a call from a second copy, or from within another. */
#define LMM_CU_ENTER(symbol, args)                                                                 \
	LMM_REAL(symbol);                                                                          \
	if (lmm_unlikely(!fn))                                                                     \
		return CUDA_ERROR_INVALID_VALUE;                                                   \
	if (!lmm_recording() || LMM_FOREIGN(symbol) || lmm_cu_self.is_inside)                      \
	return fn args
/* NOLINTEND(bugprone-macro-parentheses) */

/* ---- pairs (pairs.c) ---------------------------------------------------------------------------- */

/* Before a command of this stream is handed over, in a step that is timed: records an event where the phase changes. */
void lmm_cu_pair_mark(struct lmm_thread *th, cuda_stream stream, uint64_t t);
/* Before the program waits: the end of what was handed over. */
void lmm_cu_pair_close(void);
/* It has waited: reads what has ended. */
void lmm_cu_pair_harvest(struct lmm_thread *th);
/* Ticks that timing a step costs, as far as known. */
double lmm_cu_pair_cost(void);
/* What a step took that has ended. */
void lmm_cu_pair_cost_take(uint64_t step_ticks, bool is_timed, bool is_in_window);
/* What one takes that is not timed; 0: not known yet. */
uint64_t lmm_cu_pair_step_ticks(void);
void lmm_cu_pairs_renew(void);
/* This thread ends: another may have its events. */
void lmm_cu_pairs_give_back(void);
/* The child's thread has the parent's events. */
void lmm_cu_pairs_after_fork(void);

#endif
