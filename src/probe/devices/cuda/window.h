/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUPTI in windows. It is attached at the begin of a step, on the program's own thread, and detached some steps later, inside the
 * exit callback of a call in which that thread waits for the device: elsewhere cuptiFinalize() is not safe, and without it the
 * program goes on paying. While a window is open each launch is noted with its tag (log.c), CUPTI's records are copied as its buffers
 * come back (records.c), and both are joined by the correlation id when the window has closed (join.c).
 */
#ifndef LMM_PROBE_DEVICES_CUDA_WINDOW_H
#define LMM_PROBE_DEVICES_CUDA_WINDOW_H

#include "probe/devices/cuda/cuda.h"

/* ---- CUPTI's functions (cupti.c) ---------------------------------------------------------------- */

struct lmm_cupti {
	int (*cuptiGetVersion)(uint32_t *version);
	int (*cuptiGetResultString)(int rc, const char **text);
	int (*cuptiSubscribe)(void **subscriber, cupti_callback_fn *fn, void *user);
	int (*cuptiUnsubscribe)(void *subscriber);
	int (*cuptiEnableCallback)(uint32_t on, void *subscriber, int domain, uint32_t cbid);
	int (*cuptiActivityRegisterTimestampCallback)(uint64_t (*fn)(void));
	int (*cuptiActivityRegisterCallbacks)(cupti_request_fn *request,
					      cupti_complete_fn *complete);
	int (*cuptiActivityEnable)(int kind);
	int (*cuptiActivityDisable)(int kind);
	int (*cuptiActivityFlushAll)(uint32_t flag);
	int (*cuptiActivityGetNextRecord)(uint8_t *buffer, size_t valid, void **record);
	int (*cuptiActivityGetNumDroppedRecords)(void *context, uint32_t stream, size_t *n);
	int (*cuptiFinalize)(void);
};
extern struct lmm_cupti lmm_cupti;

/* Opens the library that belongs to the program's CUDA. 0, or -1 with the reason in why. Calls none of its functions but the version's. */
int lmm_cupti_open(char *why, size_t bytes);
const char *lmm_cupti_text(int rc);

/* ---- the window (window.c) ---------------------------------------------------------------------- */

/* 1: CUPTI records. Read relaxed. */
extern _Atomic int lmm_cu_window_is_open;

/* This thread's steps open and close the window that is open. */
bool lmm_cu_window_is_mine(void);
/* A step begins on this thread: opens a window if it is time. */
void lmm_cu_window_step(struct lmm_thread *th, uint64_t t);
/* The thread is about to wait, and has waited: the window may close in between. */
void lmm_cu_window_wait_begin(void);
void lmm_cu_window_wait_end(struct lmm_thread *th);
/* A step that took so long has ended in it. */
void lmm_cu_window_step_took(uint64_t ticks);
/* Events say that the device worked for so long in steps of the window. */
void lmm_cu_window_check(uint64_t pass_ns);
/* This thread ends. */
void lmm_cu_window_leave(void);
void lmm_cu_window_renew(void);
void lmm_cu_window_after_fork(void);
/* One is open or about to be: what it has noted of graphs must stay. */
bool lmm_cu_window_holds(void);

/* Ticks of the session's clock per ns, as far as known. */
double lmm_cu_ticks_per_ns(void);

/* ---- what the program hands over meanwhile (log.c) ---------------------------------------------- */

#define LMM_CU_ROOM 32768u /* calls, and records, between two readings */

struct lmm_cu_call {
	uint32_t correlation
		[2]; /* 0: none; of a runtime's call that makes several of the driver's, the last two */
	uint64_t t, amount;
	cuda_stream stream;
	struct lmm_cu_graph *list; /* what a graph consists of; NULL: not known, or no graph */
	uint32_t step, graph, node, kernel;
	uint8_t phase, kind;
	bool is_told;	   /* as a graph whose nodes are told */
	uint8_t n_carried; /* through so many turns, */
	bool is_across;	   /* in the beginning of whose first it was under way; */
	uint32_t n_before; /* and which had so many of its records */
};

struct lmm_cu_entry {
	_Atomic uint64_t state; /* in which turn it was written (log.c) */
	struct lmm_cu_call call;
	/* the reader's */
	bool is_handed;
	uint32_t seen; /* records */
	bool is_exact; /* some of which bear its very number */
};

/* Calls of one turn. */
struct lmm_cu_log {
	struct lmm_cu_entry *entries;
	uint32_t n;
	uint32_t roomless; /* records of calls that found no room */
	uint64_t since_t;  /* when the turn began */
};

/* Makes room for the calls of a window. 0 or -1. */
int lmm_cu_log_open(void);
/* This thread makes a call while a window is open. */
void lmm_cu_log_begin(void);
/* It has handed something over. False: its window has gone, or there is no room. */
bool lmm_cu_log_put(const struct lmm_cu_command *c, uint32_t kernel, unsigned kind, uint64_t amount,
		    struct lmm_cu_graph *graph);
/* CUPTI says which number the call has that this thread makes. */
void lmm_cu_log_correlate(uint32_t cbid, uint32_t correlation);
/* Records with smaller numbers than this are of calls from before the window, which count already. */
uint32_t lmm_cu_log_first(void);
/* A new turn begins; of the one before, to be read until the next. is_last: of this window. One thread at a time. */
struct lmm_cu_log lmm_cu_log_turn(bool is_last);
/*
 * Records of this call may come yet: it is of the turn that goes on, too. False: there is no room, or they are not waited for any more.
 */
bool lmm_cu_log_carry(const struct lmm_cu_entry *e, bool is_across);
/* How many turns there were. A call is carried through so many at most, then it is forgotten. */
uint32_t lmm_cu_log_turns(void);
#define LMM_CU_CARRIED_MAX 64u
/* Records to come for the calls of this turn, about. */
uint32_t lmm_cu_log_pending(void);

/* Numbers of the driver's calls that hand something over. */
extern const uint16_t lmm_cu_log_cbids[];
extern const unsigned lmm_cu_log_n_cbids;

/* ---- what the device did (records.c) ------------------------------------------------------------ */

struct lmm_cu_record {
	uint64_t start, end; /* ns of CLOCK_MONOTONIC */
	uint64_t node, amount;
	uint32_t correlation, kernel;
	uint32_t stream;	      /* as CUPTI numbers it on its device, and that device */
	uint32_t entry;		      /* of the log, + 1; 0: none */
	uint32_t tag_graph, tag_node; /* of the engine's graph */
	uint8_t kind;		      /* enum lmm_kernel_kind */
	bool is_kept;		      /* it was read before, when its call had not been noted */
};

/* A window opens. 0 or -1. */
int lmm_cu_records_open(uint64_t from_ns);
void lmm_cu_records_request(uint8_t **buffer, size_t *bytes, size_t *records_max);
void lmm_cu_records_complete(void *context, uint32_t stream, uint8_t *buffer, size_t bytes,
			     size_t valid);
/* Those that are there, for one reader; further ones may come meanwhile. */
struct lmm_cu_record *lmm_cu_records(uint32_t *n);
/* The first n have been read, and all but the first n_kept of them told: those are read again. */
void lmm_cu_records_drop(uint32_t n, uint32_t n_kept);
uint32_t lmm_cu_records_n(void);
/* What was lost and what made no sense. */
struct lmm_cu_losses {
	uint64_t dropped; /* CUPTI had no room, or we */
	uint64_t garbage; /* without or with senseless stamps */
};
/* Since it was asked last, or the window opened. */
struct lmm_cu_losses lmm_cu_records_losses_take(void);

/* ---- joined (join.c) ---------------------------------------------------------------------------- */

struct lmm_cu_joined {
	uint32_t records, expected, unmatched;
	uint32_t dropped; /* records whose calls found no room */
	uint64_t union_ns;
};

/* Gives records their entries and tags and tells all of them, in order of time. is_last: the window has closed. */
struct lmm_cu_joined lmm_cu_join(struct lmm_thread *th, bool is_last);
/* The pure part: entries for records, and tags for those of graphs. Sorts both by time and number. */
void lmm_cu_match(struct lmm_cu_record *r, uint32_t n_records, struct lmm_cu_entry *e,
		  uint32_t n_entries);

#endif
