/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenCL from outside: what the files of this folder share. Every command of a queue is recorded as it is handed over
 * (enqueue.c), and, if its step is timed, keeps an event until the application itself has waited for it; then its
 * times are read (harvest.c). Nothing is ever waited for or flushed here. docs/opencl.md has the whole story.
 *
 * A hooked function has three ways in, of which one is at work in a process: the loader's layer (layer.c), which comes first if
 * the loader knows layers; the symbol lmm_hook_<name>, which the audit door hands out and liblmmeter-opencl.so jumps to.
 */
#ifndef LMM_PROBE_DEVICES_OPENCL_OPENCL_H
#define LMM_PROBE_DEVICES_OPENCL_OPENCL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "probe/devices/device.h"
#include "probe/devices/opencl/cl.h"
#include "probe/probe.h"

/* The functions that calls go on to; entries this implementation lacks are NULL. Set before anything is recorded. */
extern struct _cl_icd_dispatch lmm_cl;
/* What this API has in common with others. */
extern struct lmm_device_api lmm_cl_api;
/* 1: the loader calls us as a layer; calls that come by another way are passed on unseen. */
extern _Atomic int lmm_cl_is_layer;
/* 1: the loader takes its drivers down: nothing may be asked of them any more. */
extern _Atomic int lmm_cl_is_over;

/* Fills lmm_cl with the functions of the library that has fn, one of them. 0, or -1 if there is no OpenCL. */
int lmm_cl_bind(const void *fn);

#define LMM_CL_NOTHING(ret)                                                                        \
	__builtin_choose_expr(__builtin_types_compatible_p(ret, cl_int), CL_INVALID_OPERATION, NULL)

/* NOLINTBEGIN(bugprone-macro-parentheses): types and lists of parameters stand there */

/* Declares a hook with its ways in; the body follows and calls lmm_cl.<symbol>. */
#define LMM_CL_HOOK(ret, symbol, params, args)                                                     \
	static LMM_INLINE ret do_##symbol params;                                                  \
	ret CL_API_CALL lmm__layer_##symbol params;                                                \
	ret CL_API_CALL lmm__layer_##symbol params                                                 \
	{                                                                                          \
		return do_##symbol args;                                                           \
	}                                                                                          \
	LMM_EXPORT ret(*lmm_orig_##symbol) params;                                                 \
	static struct lmm_door door_##symbol = { .name = #symbol,                                  \
						 .orig = (void **)&lmm_orig_##symbol,              \
						 .has_wrappers = true };                           \
	LMM_EXPORT ret lmm_hook_##symbol params;                                                   \
	LMM_EXPORT ret lmm_hook_##symbol params                                                    \
	{                                                                                          \
		LMM_REAL(symbol);                                                                  \
		if (!fn)                                                                           \
			return LMM_CL_NOTHING(ret);                                                \
		if (atomic_load_explicit(&lmm_cl_is_layer, memory_order_relaxed) ||                \
		    LMM_FOREIGN(symbol) || lmm_cl_bind((const void *)fn))                          \
			return fn args;                                                            \
		return do_##symbol args;                                                           \
	}                                                                                          \
	static LMM_INLINE ret do_##symbol params

/* NOLINTEND(bugprone-macro-parentheses) */

/* ---- queues (objects.c) ------------------------------------------------------------------------- */

#define LMM_CL_PENDING                                                                             \
	4096u /* timed commands of one queue whose times are not read yet; a power of two */
#define LMM_CL_ASKED_MAX 16 /* words of a queue's property list that are remembered */

struct lmm_cl_pending {
	/* position + 1 when filled, so that a reader knows a finished entry from one that is being written */
	_Atomic uint32_t ready;
	cl_event event; /* ours to release; NULL: done */
	uint64_t t0,
		t1; /* before and after the enqueueing call; t1 0: the driver need not have stamped it in between */
};

struct lmm_cl_queue {
	_Atomic(cl_command_queue) handle; /* NULL: released */
	cl_device_id device;
	uint16_t number;
	uint16_t device_number;
	bool is_timed;	  /* its commands can be timed */
	bool is_ordered;  /* commands end in the order in which they were handed over */
	bool is_injected; /* the profiling bit is ours, not the application's */
	bool is_refused;  /* the driver makes no queue with that bit */
	bool has_list;	  /* made with a property list: asked[] */
	bool is_released; /* by the application; its events may live */
	uint8_t n_asked;
	cl_queue_properties asked[LMM_CL_ASKED_MAX];
	_Atomic uint32_t head;	  /* next position; a command's number */
	_Atomic uint32_t tail;	  /* positions before are done */
	atomic_flag is_harvested; /* by one thread at a time; who finds it set goes on */
	bool has_timer;		  /* clGetDeviceAndHostTimer() works */
	uint32_t told;		  /* the session in which it was described */
	struct lmm_device_clock clock;
	struct lmm_cl_pending pending[LMM_CL_PENDING];
};

/* The queue of that handle; NULL: not one of ours (made before we were there, or too many). */
struct lmm_cl_queue *lmm_cl_queue_find(cl_command_queue handle);
/* One that was made before we were there, or before the recording: noted as it is. NULL: there are too many. */
struct lmm_cl_queue *lmm_cl_queue_adopt(cl_command_queue handle);
/* All that were made, in order; *n gets how many. Entries are never freed. */
struct lmm_cl_queue *const *lmm_cl_queues(unsigned *n);

/* For whoever goes through them and writes. */
void lmm_cl_queues_lock(void);
void lmm_cl_queues_unlock(void);
/* Says so if there were too many to know them all. */
void lmm_cl_queues_full_say(void);

/* ---- recordings.c ------------------------------------------------------------------------------- */

/* Tells the session of the queues. They are known while nobody records, and it is its first command that tells. */
void lmm_cl_recording_begin(void);
void lmm_cl_told_after_fork(void);
/* Describes the queue in this session; with the lock held. */
void lmm_cl_queue_describe(struct lmm_cl_queue *q);

/* ---- kernels (objects.c) ------------------------------------------------------------------------ */

/* Number of a kernel object, described when it is first seen; *is_first is set if nothing of that name and program was before. */
uint32_t lmm_cl_kernel_number(cl_kernel kernel, bool *is_first);
void lmm_cl_kernels_after_fork(void);
/* What a kernel object is called; 0 or -1. */
int lmm_cl_kernel_name(cl_kernel kernel, char *name, size_t bytes);

/* ---- enqueue.c ---------------------------------------------------------------------------------- */

/* For commands that come by other functions than those of enqueue.c: the event to hand to the driver instead of `event`. */
struct lmm_cl_command {
	struct lmm_thread *th;
	struct lmm_cl_queue *q; /* NULL: not recorded */
	cl_event own;
	uint64_t t;
	uint32_t recording; /* in which it began */
	bool is_timed;
	bool is_sample;	  /* of what a call costs, timed or not */
	bool has_to_wait; /* for other events: some drivers stamp QUEUED when these have ended */
};
cl_event *lmm_cl_command_begin(struct lmm_cl_command *c, cl_command_queue queue, cl_uint n_wait,
			       cl_event *event);
/* The driver has no more events, of which ours are some: true if the call is to be made again, with *event as it is then. */
bool lmm_cl_is_out_of_events(struct lmm_cl_command *c, cl_int rc, cl_event **event);
/* The driver has answered rc; `asked` is the application's place for the event. */
void lmm_cl_command_end(struct lmm_cl_command *c, cl_int rc, const cl_event *asked, uint32_t kernel,
			uint64_t amount);

/* ---- harvest.c ---------------------------------------------------------------------------------- */

/* All commands of the queue up to position `upto` (not included) have ended: reads their times. */
void lmm_cl_harvest(struct lmm_cl_queue *q, uint32_t upto);
/* Those that the driver says have ended; asks, never waits. */
void lmm_cl_harvest_ended(struct lmm_cl_queue *q);
/* Gives all events back: what has not ended by now is never known. */
void lmm_cl_let_go(struct lmm_cl_queue *q);
/* The application has seen this event complete. */
void lmm_cl_event_ended(cl_event event);
/* Whether we hold a reference to the event. */
bool lmm_cl_event_is_held(const struct lmm_cl_queue *q, cl_event event);

#endif
