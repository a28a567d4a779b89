/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The injected library: what engines and devices share. docs/design.md, "Hot path", is law in this room: no lock,
 * allocation, system call, formatting or string comparison per event; every call is forwarded exactly once with its
 * arguments unchanged; errno is kept; trouble lowers the level and never touches the host.
 */
#ifndef LMM_PROBE_PROBE_H
#define LMM_PROBE_PROBE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "probe/devices/budget.h"
#include "wire/desc.h"
#include "wire/ring.h"
#include "wire/session.h"

/* ---- is anybody listening ----------------------------------------------------------------------- */

/* Points to the session's recording word, or to a word that is always 0: never NULL. */
extern const _Atomic uint32_t *_Atomic lmm_recording_word;

/* The word if recording is on (odd, never 0), else 0. One relaxed load and a branch for the caller. */
static inline uint32_t lmm_recording(void)
{
	const _Atomic uint32_t *word =
		atomic_load_explicit(&lmm_recording_word, memory_order_relaxed);
	uint32_t w = atomic_load_explicit(word, memory_order_relaxed);

	return (w & 1u) ? w : 0;
}

/* The same, and of one that has just been switched off: what is left to tell belongs to it. */
static inline uint32_t lmm_recording_or_last(void)
{
	const _Atomic uint32_t *word =
		atomic_load_explicit(&lmm_recording_word, memory_order_relaxed);

	return atomic_load_explicit(word, memory_order_relaxed) | 1u;
}

/* Joins the session, once per process, when the first hook of an engine is about to run. Cheap afterwards. */
void lmm_probe_start(void);

/* The clock kind of the session; valid once recording is on. */
extern uint8_t lmm_probe_clock;
/* 1: every compute thread records operators. */
extern uint8_t lmm_probe_threads_all;

/* 1: some thread got no ring; what it would have recorded is counted. */
extern uint8_t lmm_probe_lossy;

/* Switches recording of the whole session on or off; returns what it was, or -1 without a session.
 * Exported for benchmarks that compare both in one process. */
LMM_EXPORT int lmm_recording_set(int on);

/* ---- threads ------------------------------------------------------------------------------------ */

#define LMM_PHASE_DEPTH 16

/* What a recording thread keeps. Only its own thread touches it. */
struct lmm_thread {
	struct lmm_writer w;
	uint32_t session; /* lmm_session_number when it got its ring */
	size_t ring_bytes;
	uint8_t ops_on;	 /* operators are recorded now: inside a graph run that is sampled */
	uint8_t depth;	 /* open phases */
	uint8_t in_call; /* inside an engine call that makes steps */
	uint8_t passes;	 /* forward passes begun in it, saturated */
	uint8_t apply_depth;
	uint8_t accept_depth;
	uint8_t in_read; /* inside a call that reads what a pass has left: it may wait for it */
	uint8_t window;	 /* a sampling window is open: 0 no, 1 opened, 2 a token was chosen in it */
	uint8_t call_phase;
	uint16_t seq; /* sequence of the last sampling window */
	uint16_t call_ctx;
	uint32_t step;	    /* step of the current or last engine call */
	uint32_t call;	    /* its number */
	uint32_t recording; /* value of the recording word when this thread last began a phase */
	uint32_t ring_index;
	uint64_t left_t;      /* when the last outermost phase was left; 0: unknown */
	uint8_t window_pends; /* its token is noted with the context */
	uint16_t window_ctx;  /* context whose logits the window is about; 0: unknown */
	int32_t window_row;
	uint64_t window_t; /* when the window last saw a call */
	uint32_t graph;	   /* graph about to run on this thread; 0: not known */
	uint32_t graph_step;
	const void *graph_base;
	uint8_t phase[LMM_PHASE_DEPTH];
	/* Device commands. The nodes are the engine's own list, good while the graph runs. */
	const void *const *nodes;
	uint32_t n_nodes;
	uint32_t mark;		    /* node that is being computed, or LMM_NODE_UNKNOWN */
	uint32_t asked;		    /* of lmm_asked, as many are accounted for in the mark */
	uint32_t leapt_from, leaps; /* where the mark was before; searches of all nodes in vain */
	uint32_t mark_left,
		mark_next; /* behind so many commands the mark is the next one; 0: it stays */
	uint32_t graph_said, graph_said_step;
	uint32_t device_step;
	uint8_t is_device_timed;
	uint8_t device_step_phase;
	uint16_t timed_kinds; /* bit: a step of that phase was timed as a whole */
	struct lmm_budget budget;
	const void *device_step_api; /* that the step began on */
	struct lmm_step_before step_before;
};

extern _Thread_local struct lmm_thread *lmm_self __attribute__((tls_model("initial-exec")));

/*
 * The tensors that a ggml backend has last asked about on this thread (devices/marks.c); a power of two of them. They are compared
 * with nodes and never looked into.
 */
#define LMM_ASKED 4u
struct lmm_asked {
	const void *tensor[LMM_ASKED];
	uint32_t n; /* asked so far; the newest is the one before */
};
extern _Thread_local struct lmm_asked lmm_asked __attribute__((tls_model("initial-exec")));

/* Differs in each session that this process has joined, and in the child of a fork. */
extern _Atomic uint32_t lmm_session_number;

struct lmm_thread *lmm_thread_create(void);

/* This thread's state, made on first use in a session; NULL when there is no ring for it (the loss is counted by lmm_no_ring()). */
static inline struct lmm_thread *lmm_thread_self(void)
{
	struct lmm_thread *th = lmm_self;

	if (lmm_likely(th && th->session == atomic_load_explicit(&lmm_session_number,
								 memory_order_relaxed)))
		return th;
	return lmm_thread_create();
}

/* The same without making it, for calls between others that do; NULL: it has none in this session. */
static inline struct lmm_thread *lmm_thread_known(void)
{
	struct lmm_thread *th = lmm_self;

	if (th && th->session == atomic_load_explicit(&lmm_session_number, memory_order_relaxed))
		return th;
	return NULL;
}

/* The same for whoever ends a recording: hooks are off already, and what is kept has to be told. */
struct lmm_thread *lmm_thread_at_end(void);

/* n events could not be recorded because this thread has no ring. */
void lmm_no_ring(unsigned n);

/* Prepares the thread key and puts this process's rings aside after fork(). */
void lmm_threads_init(void);
/* Around the joining of a further session: no thread gets a ring meanwhile, and each will get a new one. */
void lmm_threads_renew_begin(void);
void lmm_threads_renew_end(void);
void lmm_threads_after_fork(void);

/* ---- phases ------------------------------------------------------------------------------------- */

/*
 * Stamps of a hook's first instant, read before anything else: after a forward pass the caches are cold, and what the
 * hook itself then waits for must lie on one side of the stamp that the engine's own timers agree with. Two stamps, as the gap
 * before and the phase behind are measured apart. t is 0 while not recording.
 */
struct lmm_entry {
	uint64_t gap_end_t;
	uint64_t t;
};

void lmm_phase_enter(struct lmm_thread *th, unsigned phase, unsigned seq, uint32_t step,
		     struct lmm_entry at);
void lmm_phase_leave(struct lmm_thread *th, unsigned seq, uint32_t step);
/* The same with a stamp already taken, for a phase whose end is known only later. */
void lmm_phase_leave_at(struct lmm_thread *th, unsigned seq, uint32_t step, uint64_t t);

/* Outside of phases: what was since the last one ends at t, and what comes begins there. */
void lmm_phase_gap(struct lmm_thread *th, uint64_t t);

static inline uint64_t lmm_now(void)
{
	return lmm_ticks(lmm_probe_clock);
}

static inline struct lmm_entry lmm_enter(void)
{
	struct lmm_entry at = { 0, 0 };

	if (lmm_recording()) {
		at.gap_end_t = lmm_now();
		at.t = lmm_now();
	}
	return at;
}

/* ---- session (session.c) ------------------------------------------------------------------------ */

/* Maps a new file of this process in the session's folder; NULL on failure. */
void *lmm_session_map_ring(uint32_t index, size_t *bytes);
/* Publishes that rings below n exist. */
void lmm_session_publish_rings(uint32_t n);
/* Appends a descriptor; loss-free or counted, then it returns false. Takes a lock: never on the hot path. */
bool lmm_session_describe(enum lmm_desc_kind kind, const struct lmm_buf *payload);
/* How much was described so far, in bytes: what lies far behind may have been let go, and a recovery will not find it. */
uint64_t lmm_session_described_bytes(void);
/* Says once (per text) why the level is not higher, or a remark with LMM_LEVEL_KERNELS. printf-like. */
void lmm_session_reason(enum lmm_level level, const char *format, ...) LMM_PRINTF(2, 3);
void lmm_session_count_no_ring(uint64_t n);
uint32_t lmm_session_op_every(void);
/* What timing device commands may cost, in millionths of the step time; 0: no limit. */
uint32_t lmm_session_device_budget_ppm(void);
/* What recording a device command costs, as calibrated when the session was joined. */
double lmm_session_command_ticks(void);
/* When kernels are timed where that slows the program. */
enum lmm_kernel_times lmm_session_kernel_times(void);
/* LMMETER_CUPTI, or "". */
const char *lmm_session_cupti_path(void);
/* Command buffers are to be hidden from this program. */
bool lmm_session_expands_command_buffers(void);
/* What an engine's own instruments tell is worth their price. */
bool lmm_session_wants_instrument(void);
/* True if it was joined while the engine was at work. */
bool lmm_session_has_joined_late(void);
/* True if this process takes part in a session. */
bool lmm_session_is_joined(void);
/* True if it takes part in none until somebody asks for it. */
bool lmm_session_is_asleep(void);
/* True if what a session to come needs is to be made ready while asleep, at a price. */
bool lmm_session_is_prepared(void);

/* ---- doors (door.c) ----------------------------------------------------------------------------- */

#define LMM_DOOR_SITES 12

/*
 * One hooked symbol. orig is what calls from known places go to. "Places" are address ranges of loaded objects: two
 * copies of an engine in one process (two Python packages that bring ggml along) must not be mixed up, so a call from an
 * object that has not been looked up yet takes the slow road once.
 */
struct lmm_door {
	const char *name;
	void **orig;	    /* &lmm_orig_<name> */
	bool has_wrappers;  /* libraries have functions of this name that look the real one up */
	uintptr_t site_lo;  /* the place that calls most */
	uintptr_t site_len; /* 0: nothing resolved */
	struct {
		uintptr_t lo, len;
		void *fn;
	} site[LMM_DOOR_SITES];
	_Atomic uint32_t n_sites;
	struct lmm_door *next; /* all doors, for fork() */
};

/* The real function for a call from ra; NULL if there is none. Starts the session on first use. */
void *lmm_door_resolve(struct lmm_door *d, const void *ra);
/* The same without starting: for calls that libraries make while they are loaded, before we have read our environment. */
void *lmm_door_find(struct lmm_door *d, const void *ra);
/* Makes every door take the slow road once more. */
void lmm_doors_reset(void);
/* A function of the same engine that is not hooked: looked up as the code at ra would; NULL if there is none. */
void *lmm_door_lookup(const char *name, const void *ra);
/* A function as the library has it that defines fn; else as code of that library would be bound. */
void *lmm_door_beside(const char *name, const void *fn);
/* For code that is bound already: whoever has the symbol, but us. */
void *lmm_door_anyone(const char *name);
/* Whether other libraries were loaded before this one: what they did by then was not seen. */
bool lmm_door_is_late(void);

/*
 * Declares hook and slot of a symbol. "alias": the symbol itself, for LD_PRELOAD; lmm_hook_ and lmm_orig_: for the audit
 * door, which finds them by name.
 */
#define LMM_HOOK(ret, symbol, ...)                                                                 \
	LMM_EXPORT ret (*lmm_orig_##symbol)(__VA_ARGS__);                                          \
	static struct lmm_door door_##symbol = { .name = #symbol,                                  \
						 .orig = (void **)&lmm_orig_##symbol };            \
	LMM_EXPORT ret lmm_hook_##symbol(__VA_ARGS__);                                             \
	LMM_EXPORT ret symbol(__VA_ARGS__) __attribute__((alias("lmm_hook_" #symbol)));            \
	LMM_EXPORT ret lmm_hook_##symbol(__VA_ARGS__)

/*
 * In a hook: the function to call, as fn. If the call came from a second copy of the engine it is not ours to record:
 * LMM_FOREIGN() is then true. after_slow: a statement for a call that has taken the slow road.
 */
#define LMM_SITE_KNOWN(symbol)                                                                     \
	((uintptr_t)__builtin_return_address(0) - door_##symbol.site_lo < door_##symbol.site_len)
#define LMM_REAL_THEN(symbol, after_slow)                                                          \
	__typeof__(lmm_orig_##symbol) fn = lmm_orig_##symbol;                                      \
	do {                                                                                       \
		const void *ra_ = __builtin_return_address(0);                                     \
		if (lmm_unlikely((uintptr_t)ra_ - door_##symbol.site_lo >=                         \
				 door_##symbol.site_len)) {                                        \
			*(void **)&fn = lmm_door_resolve(&door_##symbol, ra_);                     \
			after_slow;                                                                \
		}                                                                                  \
	} while (0)
#define LMM_REAL(symbol) LMM_REAL_THEN(symbol, (void)0)
/* The same without starting the recording, for what libraries call while they are loaded. */
#define LMM_REAL_EARLY(symbol)                                                                     \
	__typeof__(lmm_orig_##symbol) fn = NULL;                                                   \
	*(void **)&fn = lmm_door_find(&door_##symbol, __builtin_return_address(0))
/* The same, and the entry stamps as at. The very first call of all starts the recording by looking its function up. */
#define LMM_ENTER(symbol)                                                                          \
	struct lmm_entry at = lmm_enter();                                                         \
	LMM_REAL_THEN(symbol, if (!at.t) at = lmm_enter())
#define LMM_FOREIGN(symbol) lmm_unlikely(fn != lmm_orig_##symbol)

/* ---- ggml (engines/ggml.c) ---------------------------------------------------------------------- */

/*
 * Sees to it that the graph is described and notes it in th->graph and th->graph_base. n_tokens may be NULL; else it gets
 * the batch width read off the graph, 0 if unknown. ra: a place inside the engine, to find its functions from.
 */
void lmm_ggml_graph(struct lmm_thread *th, void *cgraph, const void *ra, uint32_t *n_tokens);
/* The scheduler (re)allocated a graph: what was cached of its address may be stale. */
void lmm_ggml_graph_changed(void);
void lmm_ggml_after_fork(void);

/* Number of the current graph run, for worker threads. */
struct lmm_run {
	_Atomic uint32_t epoch;
	uint32_t graph;
	uint32_t step;
	const void *base;
};
extern struct lmm_run lmm_run_now;

/* Says which engine this is, once. */
void lmm_llama_describe_engine(const void *ra);
/* A call of the engine goes on that began before the recording did: what it still runs has no step. */
bool lmm_llama_is_under_way(const struct lmm_thread *th);
void lmm_llama_after_fork(void);
void lmm_tvm_after_fork(void);
void lmm_nvtx_after_fork(void);
void lmm_device_after_fork(void);
/* CUDA's part of fork(), and of the end of a session: a window that is open closes with the program's next wait. */
void lmm_cu_after_fork(void);
/* A thread that has recorded ends. */
void lmm_cu_thread_end(void);
void lmm_cu_recording_end(void);
/* While somebody still listens: what a window that is open has seen. */
void lmm_cu_recording_tell(void);
/* The process leaves in good order: says why no kernel was timed, if none was. */
void lmm_cu_process_end(void);
#ifdef LMM_OPENCL
/* Devices' part of fork(): the parent's queues and events are the parent's. */
void lmm_cl_after_fork(void);
/* The session was left: gives back what commands have left with us. Not for the engine's own threads: it may wait. */
void lmm_cl_recording_end(void);
/* From now on nobody tells us what becomes of queues: those that are still there are found again by their next command. */
void lmm_cl_queues_forget(void);
/* The engine has made its context: says so if it uses an OpenCL that we have no way into. */
void lmm_cl_look_around(void);
#else
static inline void lmm_cl_recording_end(void)
{
}
static inline void lmm_cl_after_fork(void)
{
}
static inline void lmm_cl_queues_forget(void)
{
}
static inline void lmm_cl_look_around(void)
{
}
#endif

/* The same of Vulkan, whose layer knows of itself whether it is at work. */
void lmm_vk_after_fork(void);
void lmm_vk_look_around(void);

/* ---- all engines (engine.c) --------------------------------------------------------------------- */

/* Whether this recording knows its engine (or there is no recording to tell it to). */
bool lmm_engine_is_described(void);
/* Says who it is; the first one of a recording counts. */
void lmm_engine_describe(const char *name, const char *version);
void lmm_engine_describe_by(const char *name, const char *version, const char *door);
/* The session may be the parent's, and so the recording: the child has not said it in there. */
void lmm_engine_after_fork(void);
/* A program that uses a device, and no engine that is known here. */
void lmm_engine_describe_unknown(const char *door);
/* Numbers that no two steps, calls, graphs of this process share. */
uint32_t lmm_step_next(void);
uint32_t lmm_call_next(void);
uint32_t lmm_graph_next(void);

#endif
