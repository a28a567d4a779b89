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

/* The last rounds, the loss of every stream, and END. 0 or the sink's error. */
int lmm_collector_finish(struct lmm_collector *c, int exit_status);

/*
 * For a recovery: says that the file already holds the events of a process's ring up to `position`, and that this stream
 * and process numbers are taken. Before the first poll.
 */
int lmm_collector_resume(struct lmm_collector *c, const struct lmm_stream *stream,
			 uint64_t position);

#endif
