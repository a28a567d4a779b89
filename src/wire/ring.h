/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: one producer (a thread of the traced process), one consumer (the collector), in shared memory.
 *
 * It is made of 16-byte slots. A narrow event is one slot, a wide one two; the first 16 bytes of both are
 * {ticks, type | phase << 8 | seq << 16 | id << 32}, except for OP and OP_FUSED, whose second word is
 * {type | tensor address << 8}: an address has at most 56 significant bits (ARM's top byte is a tag).
 * Wide events do not straddle the end: a one-slot filler (type NONE) is put before them.
 *
 * The producer owns head and dropped, the consumer owns tail. Positions count slots since the ring was made and
 * never wrap. Every slot up to head is accounted for by the consumer: emitted = decoded + invalid + dropped. head is
 * the only word that publishes, so this holds exactly when the producer is killed between any two instructions (but for one that
 * is dropped and stands for many, which is counted in two).
 *
 * The other side is never trusted: the consumer bounds head by tail + size, the producer bounds tail by head.
 */
#ifndef LMM_WIRE_RING_H
#define LMM_WIRE_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"

struct lmm_slot {
	uint64_t t;
	uint64_t w;
};

enum lmm_ring_state {
	LMM_RING_FREE = 0,
	LMM_RING_OWNED = 1,   /* a thread writes */
	LMM_RING_RETIRED = 2, /* its thread has ended; the collector drains it and sets FREE */
};

/* At the start of every ring's memory; slots follow at LMM_RING_HEADER_BYTES. */
struct lmm_ring {
	/* producer's line */
	_Atomic uint64_t head;
	_Atomic uint64_t dropped; /* events that found the ring full */
	uint64_t pad0[6];
	/* consumer's line */
	LMM_ALIGNED(64) _Atomic uint64_t tail;
	uint64_t pad1[7];
	/* set-up, written once by the producer's process */
	LMM_ALIGNED(64) uint32_t n_slots; /* a power of two */
	_Atomic uint32_t state;		  /* enum lmm_ring_state */
	_Atomic int32_t tid;
	uint32_t pad2[13];
};

#define LMM_RING_HEADER_BYTES 256
_Static_assert(sizeof(struct lmm_slot) == 16, "slots are 16 bytes");
_Static_assert(sizeof(struct lmm_ring) == 192, "ring header is part of the wire format");
_Static_assert(sizeof(struct lmm_event) == 32, "events are 32 bytes");

static inline struct lmm_slot *lmm_ring_slots(struct lmm_ring *r)
{
	return (struct lmm_slot *)((char *)r + LMM_RING_HEADER_BYTES);
}

/* A thread's private view of its ring: what the hot path touches, in one cache line. */
struct lmm_writer {
	struct lmm_slot *slots;
	uint64_t head;
	uint64_t limit; /* head may grow to here without asking for tail again */
	uint64_t mask;
	struct lmm_ring *ring;
	uint64_t lost;	/* since the last LOST event */
	uint32_t epoch; /* last graph-compute epoch announced by this thread */
	uint8_t clock;	/* enum lmm_clock_kind */
	uint8_t pad[3];
};

/*
 * Lays out an empty ring in bytes of zeroed memory (LMM_RING_HEADER_BYTES + 16 * a power of two).
 * Returns 0, or -1 if bytes is too small for 64 slots.
 */
int lmm_ring_init(struct lmm_ring *r, size_t bytes);

/* Takes over an initialised ring where it stands. */
void lmm_writer_attach(struct lmm_writer *w, struct lmm_ring *r, uint8_t clock);

/* The slow half, for an event stamped t: asks for tail, counts a drop or announces an earlier one. Returns 1 if
 * `slots` are free now. */
int lmm_writer_make_room(struct lmm_writer *w, uint64_t slots, uint64_t t);

/* Stores a narrow event where the caller has seen head < limit. */
static inline void lmm_writer_store(struct lmm_writer *w, uint64_t t, uint64_t word)
{
	struct lmm_slot *s = &w->slots[w->head & w->mask];

	s->t = t;
	s->w = word;
	w->head++;
	/* pairs with the acquire in lmm_ring_drain() */
	atomic_store_explicit(&w->ring->head, w->head, memory_order_release);
}

/* Narrow: the hot path. A full ring drops and counts, never waits. */
static inline void lmm_writer_put(struct lmm_writer *w, uint64_t t, uint64_t word)
{
	if (lmm_unlikely(w->head >= w->limit) && !lmm_writer_make_room(w, 1, t))
		return;
	lmm_writer_store(w, t, word);
}

static inline uint64_t lmm_word(unsigned type, unsigned phase, unsigned seq, uint32_t id)
{
	return (uint64_t)type | (uint64_t)phase << 8 | (uint64_t)(seq & 0xffffu) << 16 |
	       (uint64_t)id << 32;
}

static inline uint64_t lmm_word_op(unsigned type, const void *node)
{
	return (uint64_t)type | (uint64_t)(uintptr_t)node << 8;
}

/* An event that was just dropped stood for n more. */
void lmm_writer_lose(struct lmm_writer *w, uint64_t n);

void lmm_writer_put_wide(struct lmm_writer *w, uint64_t t, uint64_t word, uint64_t a, uint64_t b);

/* The same where every nanosecond counts: without a call while there is room. */
static inline void lmm_writer_put_wide_inline(struct lmm_writer *w, uint64_t t, uint64_t word,
					      uint64_t a, uint64_t b)
{
	struct lmm_slot *s = &w->slots[w->head & w->mask];

	/* a filler may be needed, or a LOST event is owed (then the limit is the head) */
	if (lmm_unlikely(w->head + 3 > w->limit || (w->head & w->mask) == w->mask)) {
		lmm_writer_put_wide(w, t, word, a, b);
		return;
	}
	s[0].t = t;
	s[0].w = word;
	s[1].t = a;
	s[1].w = b;
	w->head += 2;
	/* pairs with the acquire in lmm_ring_drain() */
	atomic_store_explicit(&w->ring->head, w->head, memory_order_release);
}

/* ---- consumer ----------------------------------------------------------------------------------- */

/*
 * Copies out events between *pos and head, at most max, and moves *pos; the caller stores it to tail with
 * lmm_ring_release() when the events are safe. For OP and OP_FUSED the address is in a and id is
 * LMM_NODE_UNKNOWN. Returns the number of events; *bad gets the number of slots that made no sense and were
 * skipped. A head beyond reason is taken for head = *pos + n_slots. A THREAD event is the first of those returned or not
 * among them: what belongs to two threads never shares a range of positions.
 */
size_t lmm_ring_drain(struct lmm_ring *r, uint32_t n_slots, uint64_t *pos, struct lmm_event *ev,
		      size_t max, uint64_t *bad);

/* The same, as if head were not beyond limit, which is where an earlier drain ended. */
size_t lmm_ring_drain_to(struct lmm_ring *r, uint32_t n_slots, uint64_t limit, uint64_t *pos,
			 struct lmm_event *ev, size_t max, uint64_t *bad);

void lmm_ring_release(struct lmm_ring *r, uint64_t pos);

uint64_t lmm_ring_dropped(const struct lmm_ring *r);

#endif
