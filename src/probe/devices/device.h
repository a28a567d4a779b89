/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device APIs of this folder share: which steps are timed, the records of a command and of its times, the numbers of
 * queues, devices and kernels, and which node of ggml's graph a command is for. An API is told of each session once, by
 * the first command in it; it brings the stamps and never waits for a device.
 *
 * The way of a command: lmm_device_count() when the program hands it over, lmm_device_command_put() when the driver has taken it;
 * later, if it is timed, lmm_device_clock_put() and lmm_device_completion_put() on whichever thread has seen it end.
 */
#ifndef LMM_PROBE_DEVICES_DEVICE_H
#define LMM_PROBE_DEVICES_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "probe/devices/cost.h"
#include "probe/probe.h"

/* A program whose steps nobody knows is looked at in pieces of so many commands. */
#define LMM_DEVICE_COMMANDS_WITHOUT_STEP 256u

struct lmm_device_api {
	/* A session has begun: describes what is there. May be called again in the same session, and by several threads. */
	void (*recording_begin)(void);
	struct lmm_device_cost cost;
	struct lmm_device_api *next; /* of those that are known */
	bool is_known;
};

/* The process uses this API; more than once does no harm. Takes a lock. */
void lmm_device_api_add(struct lmm_device_api *api);
/* This session; never 0. */
static inline uint32_t lmm_device_session(void)
{
	return atomic_load_explicit(&lmm_session_number, memory_order_relaxed) + 1;
}

/* Numbers that no two queues, or devices, of this process share, whatever their APIs. */
uint16_t lmm_device_queue_next(void);
uint16_t lmm_device_number_next(void);

/* ---- steps -------------------------------------------------------------------------------------- */

/* All APIs that are known describe what is there, once a session. */
void lmm_device_recording_tell(void);
/* Decides whether the step that begins is timed: th->is_device_timed. */
void lmm_device_step_begin(struct lmm_thread *th, struct lmm_device_api *api, uint64_t t);

/* Before anything is recorded of a command that is handed over at t: notices a new step. */
static LMM_INLINE void lmm_device_step(struct lmm_thread *th, struct lmm_device_api *api,
				       uint64_t t)
{
	if (lmm_unlikely(th->step != th->device_step ||
			 (th->step == LMM_STEP_NONE &&
			  th->budget.commands >= LMM_DEVICE_COMMANDS_WITHOUT_STEP)))
		lmm_device_step_begin(th, api, t);
}

/* The same, and the command counts. */
static LMM_INLINE void lmm_device_count(struct lmm_thread *th, struct lmm_device_api *api,
					uint64_t t)
{
	lmm_device_step(th, api, t);
	th->budget.commands++;
}

/* ---- records ------------------------------------------------------------------------------------ */

/* The phase that a thread is in. */
static LMM_INLINE unsigned lmm_device_phase(const struct lmm_thread *th)
{
	unsigned at = th->depth < LMM_PHASE_DEPTH ? th->depth : LMM_PHASE_DEPTH;

	return at ? th->phase[at - 1] : LMM_PHASE_NONE;
}

/* The mark moves to the newest tensor that was asked about and is a node further on (marks.c). */
LMM_NOINLINE void lmm_device_mark_search(struct lmm_thread *th);

#define LMM_MARK_NEAR 8u /* views between two nodes that are computed, and what is fused */

static LMM_INLINE uint32_t lmm_device_node_asked(struct lmm_thread *th)
{
	const struct lmm_asked *a = &lmm_asked;
	const void *newest = a->tensor[(a->n - 1) % LMM_ASKED];
	uint32_t next = th->mark + 1;

	if (th->asked == a->n)
		return th->mark;
	for (uint32_t i = next; i < th->n_nodes && i < next + LMM_MARK_NEAR; i++) {
		if (lmm_likely(th->nodes[i] == newest)) {
			/* a leap before it was right, as in lmm_device_mark_search() */
			if (i != next)
				th->leapt_from = i + 1;
			th->mark = i;
			th->asked = a->n;
			return i;
		}
	}
	lmm_device_mark_search(th);
	return th->mark;
}

/* The node that a command of this thread is for, LMM_NODE_UNKNOWN if none is known. Moves on where the mark says so. */
static LMM_INLINE uint32_t lmm_device_node(struct lmm_thread *th)
{
	uint32_t node = th->mark;

	if (!th->graph)
		return LMM_NODE_UNKNOWN;
	if (th->nodes)
		return lmm_device_node_asked(th);
	if (th->mark_left && --th->mark_left == 0)
		th->mark = th->mark_next;
	return node;
}

void lmm_device_graph_say(struct lmm_thread *th, uint32_t graph, uint64_t t);

struct lmm_device_command {
	uint64_t t; /* before it was handed over */
	uint64_t amount;
	uint32_t graph; /* 0: none */
	uint32_t node;
	uint32_t kernel;
	uint32_t id; /* of a timed one, in its queue */
	uint16_t queue;
	bool is_timed;
};

static LMM_INLINE void lmm_device_command_put(struct lmm_thread *th,
					      const struct lmm_device_command *c)
{
	unsigned type = c->is_timed ? LMM_EV_COMMAND : LMM_EV_COMMAND_UNTIMED;
	uint64_t amount = c->amount < UINT32_MAX ? c->amount : UINT32_MAX;

	if (lmm_unlikely(c->graph &&
			 (c->graph != th->graph_said || th->step != th->graph_said_step)))
		lmm_device_graph_say(th, c->graph, c->t);
	lmm_writer_put_wide_inline(&th->w, c->t,
				   lmm_word(type, lmm_device_phase(th), c->queue, c->id),
				   c->kernel | (uint64_t)c->node << 32, th->step | amount << 32);
}

/* n commands at once, none of them timed, as a PATTERN describes them (LMM_DESC_PATTERN); all of them for nodes of x->graph. */
void lmm_device_pattern_put(struct lmm_thread *th, const struct lmm_device_command *x,
			    uint32_t pattern, uint32_t n);

/* Stamps of the device's own clock; in order where the status says so. */
struct lmm_device_times {
	uint64_t queued, submitted, started, ended;
	uint32_t id;
	uint8_t status; /* enum lmm_completion */
};

void lmm_device_completion_put(struct lmm_thread *th, uint16_t queue,
			       const struct lmm_device_times *x);

/* What was last said of a device's clock; zeroes: nothing. */
struct lmm_device_clock {
	uint64_t t; /* when that was */
	uint32_t error;
	uint32_t session;
};

/* True while the clocks need not be compared anew, unless a tighter pair of instants turns up. */
bool lmm_device_clock_is_fresh(const struct lmm_device_clock *clock, uint64_t now);
/* The device's clock showed `stamp` at some instant from t0 to t1; told if it says more than what was told. */
void lmm_device_clock_put(struct lmm_thread *th, struct lmm_device_clock *clock, uint16_t queue,
			  uint16_t device, uint64_t t0, uint64_t t1, uint64_t stamp);

/* What the driver did from t0 on and will not do again: kernel 0: it built a program; else the kernel's first launch. */
void lmm_device_first_use(struct lmm_thread *th, uint64_t t0, uint32_t kernel);

/* A library whose file's name begins so is in the process. Walks all that are loaded. */
bool lmm_device_library_is_loaded(const char *name);

/* Describes a queue in this session. */
struct lmm_device_queue {
	const char *device;
	uint64_t ticks_per_second; /* of its stamps */
	uint16_t number, device_number;
	bool is_ordered; /* commands end in the order in which they were handed over */
};
void lmm_device_queue_describe(const struct lmm_device_queue *q);

/* ---- kernels (kernels.c) ------------------------------------------------------------------------ */

#define LMM_DEVICE_KERNEL_FIRST 32u /* numbers below are kinds of commands */
#define LMM_DEVICE_KERNEL_OTHER                                                                    \
	(LMM_DEVICE_KERNEL_FIRST - 1) /* one beyond the room; a kind for lmm_device_kind_number() */
#define LMM_DEVICE_KERNELS 2048u      /* told apart by number */

/*
 * Number of the kernel of that name and code, described if it is new to this recording; one number stands for all beyond the room.
 * is_first may be NULL; else it is set if no kernel of that name and code was asked for before with it. Takes a lock.
 */
uint32_t lmm_device_kernel_number(const char *name, uint64_t code_hash, enum lmm_kernel_kind kind,
				  bool *is_first);
/* Number of a command that is not a kernel. */
uint32_t lmm_device_kind_number(enum lmm_kernel_kind kind);
/* The one that stands for all beyond the room. Lock-free once it was described. */
uint32_t lmm_device_kernel_other(void);
void lmm_device_kernels_after_fork(void);

/* ---- marks.c ------------------------------------------------------------------------------------ */

/*
 * Makes the node of ggml's graph that is being computed known to commands, for backends that import `other` as well; again when
 * further objects may have come.
 */
void lmm_device_marks_begin(const char *other);
void lmm_device_marks_after_fork(void);

#endif
