/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When devices worked, and for which phase of which step: the union over queues, an instant belonging to whoever was said to
 * hold it first. Brackets of the host are held against it: what the device did meanwhile is not theirs.
 */
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

/* Index of the first interval that ends behind t. */
static uint32_t first_behind(const struct busy_list *l, uint64_t t)
{
	uint32_t lo = 0, hi = l->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (l->at[mid].t1 <= t) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

/* The earliest instant that is still to be asked for, if that lies before t: brackets that are known or open now. */
static uint64_t oldest_wanted(const struct lmm_analysis *a, uint32_t process, uint64_t t)
{
	for (uint32_t i = 0; i < a->n_facts; i++) {
		const struct fact *f = &a->facts[i];

		if (f->process == process && (f->kind == FACT_PIECE || f->kind == FACT_IDLE) &&
		    f->t0 < t)
			t = f->t0;
	}
	for (uint32_t i = 0; i < LMM_I_STREAMS; i++) {
		const struct stream *s = a->streams[i];

		if (s && s->process == process && s->depth && s->piece_t < t)
			t = s->piece_t;
	}
	return t;
}

/* Room for one more: whoever needs the oldest is served first. One bracket alone cannot keep all of it. */
static void make_room(struct lmm_analysis *a, uint32_t process)
{
	struct busy_list *l = a->processes[process].busy;
	uint64_t t = l->at[LMM_I_BUSY / 2].t0;
	uint32_t drop;

	lmm__facts_until(a, t);
	drop = first_behind(l, oldest_wanted(a, process, t));
	if (drop == 0)
		drop = LMM_I_BUSY / 4;
	l->n -= drop;
	memmove(l->at, l->at + drop, l->n * sizeof(l->at[0]));
}

static int continues(const struct busy *before, const struct busy *b, uint64_t near)
{
	return before->phase == b->phase && before->step == b->step && b->t0 - before->t1 <= near;
}

static void insert(struct busy_list *l, const struct busy *b, uint64_t near)
{
	uint32_t at = first_behind(l, b->t0);

	if (at > 0 && continues(&l->at[at - 1], b, near)) {
		l->at[at - 1].t1 = b->t1;
		return;
	}
	memmove(&l->at[at + 1], &l->at[at], (l->n - at) * sizeof(l->at[0]));
	l->at[at] = *b;
	l->n++;
}

uint64_t lmm__busy_add(struct lmm_analysis *a, uint32_t process, const struct busy *from,
		       uint64_t near)
{
	struct process *p = &a->processes[process];
	struct busy rest = *from;
	uint64_t added = 0;

	if (!p->busy)
		p->busy = calloc(1, sizeof(*p->busy));
	if (!p->busy) {
		a->failed = 1;
		return 0;
	}
	while (rest.t0 < rest.t1) {
		struct busy piece = rest;
		const struct busy *next;
		uint32_t at;

		if (p->busy->n == LMM_I_BUSY)
			make_room(a, process);
		at = first_behind(p->busy, rest.t0);
		next = at < p->busy->n ? &p->busy->at[at] : NULL;
		if (next && next->t0 <= rest.t0) { /* taken */
			rest.t0 = next->t1;
			continue;
		}
		if (next && next->t0 < piece.t1)
			piece.t1 = next->t0;
		rest.t0 = piece.t1;
		added += piece.t1 - piece.t0;
		insert(p->busy, &piece, near);
	}
	return added;
}

static void part_add(struct busy_part *parts, unsigned *n, const struct busy *b, uint64_t ticks)
{
	unsigned i = 0;

	while (i < *n && (parts[i].phase != b->phase || parts[i].step != b->step))
		i++;
	if (i == LMM_I_PARTS)
		i--; /* more than a bracket ever sees: the last one takes the rest */
	if (i == *n) {
		parts[i].phase = b->phase;
		parts[i].step = b->step;
		parts[i].ticks = 0;
		++*n;
	}
	parts[i].ticks += ticks;
}

unsigned lmm__busy_parts(const struct lmm_analysis *a, uint32_t process, const struct busy *bracket,
			 struct busy_part *parts)
{
	const struct busy_list *l = a->processes[process].busy;
	unsigned n = 0;

	if (!l)
		return 0;
	for (uint32_t i = first_behind(l, bracket->t0); i < l->n && l->at[i].t0 < bracket->t1;
	     i++) {
		const struct busy *b = &l->at[i];
		uint64_t t0 = b->t0 > bracket->t0 ? b->t0 : bracket->t0;
		uint64_t t1 = b->t1 < bracket->t1 ? b->t1 : bracket->t1;

		if (b->phase != bracket->phase || b->step != bracket->step)
			part_add(parts, &n, b, t1 - t0);
	}
	return n;
}
