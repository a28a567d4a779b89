/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector: finds the processes of a session, empties their rings, resolves addresses, keeps the clock fit, and
 * hands everything on as items. Used by the lmmeter process, by the embedded mode's thread and by a recovery.
 * Its memory does not grow with the length of the run. One thread at a time.
 */
#ifndef LMM_COLLECT_COLLECTOR_H
#define LMM_COLLECT_COLLECTOR_H

#include "base/clock.h"
#include "collect/folder.h"
#include "lmmeter/trace.h"

struct lmm_collector;

struct lmm_collector_opts {
	lmm_sink_fn
		sink; /* gets every item; its first error is kept and ends storing, not draining */
	void *sink_ctx;
	/* Called when all items of a poll were handed over and before the rings' space is given back. May be NULL.
	 * What it makes durable is what a recovery need not read again. */
	int (*flush)(void *ctx);
	/* 1: after an error nothing is given back or removed (a recovery can be tried again; the engine could not wait). */
	uint8_t keep_on_error;
};

/* The folder must outlive the collector. NULL: no memory. */
struct lmm_collector *lmm_collector_create(struct lmm_folder *folder,
					   const struct lmm_collector_opts *opts);
void lmm_collector_destroy(struct lmm_collector *c);

/* Emits SESSION (with id, clock, start and host filled in; the caller fills the rest) and a first CLOCK. */
int lmm_collector_begin(struct lmm_collector *c, struct lmm_session *session);

/*
 * One round over all processes and rings. Returns the number of events handed on, or the sink's error. Call it every
 * 20 ms or so, at once again when it returned much.
 */
long lmm_collector_poll(struct lmm_collector *c);

/* Processes of the session that joined and are still alive, as of the last poll. */
unsigned lmm_collector_alive(const struct lmm_collector *c);
/* Looks now, not at the usual period, which processes live; those that have gone are read to the end. */
void lmm_collector_check_alive(struct lmm_collector *c);
/* Processes that ever joined. */
unsigned lmm_collector_processes(const struct lmm_collector *c);
/* How full the fullest ring was at the last poll, 0 … 100. */
unsigned lmm_collector_pressure_percent(const struct lmm_collector *c);

/*
 * Hands on the counters of every stream and gives back all that was read, when what was flushed may be taken out of the
 * file again: a recovery then needs nothing that lies before (but may not know the graph of a run that goes on). 0 or
 * the sink's error.
 */
int lmm_collector_settle(struct lmm_collector *c);

/* The last rounds, the loss of every stream, and END. 0 or the sink's error. */
int lmm_collector_finish(struct lmm_collector *c, int exit_status);

/* ---- recovery: all of these before the first poll ----------------------------------------------- */

/* What the file holds of one ring. */
struct lmm_collector_ring {
	struct lmm_stream stream; /* the newest of the ring */
	uint64_t position;	  /* its events are in the file up to here */
	uint64_t stored;	  /* events of the stream in the file, valid or not */
	uint64_t lost_marked;	  /* sum of its LOST events */
	uint64_t lost_before;	  /* by earlier streams of the ring */
};

/* The recording goes on where a file ends: streams below n_streams are taken, the newest event was at `newest`. */
void lmm_collector_resume(struct lmm_collector *c, uint32_t n_streams, uint64_t newest);
/* LMM_E_CORRUPT: no such ring can be. -ENOMEM. */
int lmm_collector_resume_ring(struct lmm_collector *c, const struct lmm_collector_ring *ring);
/* The file says that this process has ended and all of it was read. */
int lmm_collector_resume_ended(struct lmm_collector *c, uint32_t process);
/* Reads what is there now, once. 0 or the sink's error. */
int lmm_collector_drain(struct lmm_collector *c);

#endif
