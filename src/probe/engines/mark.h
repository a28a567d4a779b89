/* SPDX-License-Identifier: Apache-2.0 */
/* Engines that mark themselves: their tables get our door, the session says when it begins and when a child begins anew. */
#ifndef LMM_PROBE_ENGINES_MARK_H
#define LMM_PROBE_ENGINES_MARK_H

#include <stdbool.h>
#include <stdint.h>

struct lmm_mark_site;
struct lmm_mark_table;

/* From now on the marks of the object whose table this is come to us; false: it is of a version that is not known here. */
bool lmm_mark_open(struct lmm_mark_table *table);

/* Opens the tables of all objects that are loaded: where their notes say they are (mark_find.c). */
void lmm_mark_find(void);

/* Spans of this thread, for others who learn of them (nvtx.c); the last one: a span that began at `from`, on whichever thread. */
void lmm_span_begin(struct lmm_mark_site *site);
void lmm_span_end(void);
void lmm_span_put(struct lmm_mark_site *site, uint64_t from);
/*
 * A span of this thread whose name says that it is a phase (LMM_PHASE_*, those that marks have); lmm_span_end() ends it, too. It stays a
 * span where an adapter or the program's marks tell phases, and a step that begins within one does.
 */
void lmm_range_begin(struct lmm_mark_site *site, unsigned phase);

/* The recording word may be another one now: a session was joined, or there is none. */
void lmm_mark_started(void);
void lmm_mark_after_fork(void);

#endif
