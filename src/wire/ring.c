/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ring.h"

#include <stddef.h>

#define ACQ memory_order_acquire
#define REL memory_order_release
#define RLX memory_order_relaxed

int lmm_ring_init(struct lmm_ring *r, size_t bytes)
{
	uint32_t n = 64;

	if (bytes < LMM_RING_HEADER_BYTES + n * sizeof(struct lmm_slot))
		return -1;
	while (n <= 0x40000000u &&
	       LMM_RING_HEADER_BYTES + (size_t)n * 2 * sizeof(struct lmm_slot) <= bytes)
		n *= 2;
	memset(r, 0, sizeof(*r));
	r->n_slots = n;
	return 0;
}

void lmm_writer_attach(struct lmm_writer *w, struct lmm_ring *r, uint8_t clock)
{
	memset(w, 0, sizeof(*w));
	w->ring = r;
	w->slots = lmm_ring_slots(r);
	w->mask = r->n_slots - 1;
	w->head = atomic_load_explicit(&r->head, RLX);
	w->limit = w->head; /* the first event asks for tail */
	w->clock = clock;
}

static void put_wide_raw(struct lmm_writer *w, uint64_t t, uint64_t word, uint64_t a, uint64_t b)
{
	struct lmm_slot *s = &w->slots[w->head & w->mask];

	s[0].t = t;
	s[0].w = word;
	s[1].t = a;
	s[1].w = b;
	w->head += 2;
	/* pairs with the acquire in lmm_ring_drain() */
	atomic_store_explicit(&w->ring->head, w->head, REL);
}

/* If a wide event would straddle the end, puts a filler; the caller has made sure of 3 slots. */
static void align_for_wide(struct lmm_writer *w)
{
	struct lmm_slot *s;

	if ((w->head & w->mask) != w->mask)
		return;
	s = &w->slots[w->head & w->mask];
	s->t = 0;
	s->w = LMM_EV_NONE;
	w->head++;
	atomic_store_explicit(&w->ring->head, w->head, REL);
}

void lmm_writer_lose(struct lmm_writer *w, uint64_t n)
{
	w->lost += n;
	/* one producer: no read-modify-write is needed */
	atomic_store_explicit(&w->ring->dropped, atomic_load_explicit(&w->ring->dropped, RLX) + n,
			      RLX);
}

int lmm_writer_make_room(struct lmm_writer *w, uint64_t slots, uint64_t t)
{
	uint64_t size = w->mask + 1;
	/* pairs with the release in lmm_ring_release(): the slots before tail have been read */
	uint64_t tail = atomic_load_explicit(&w->ring->tail, ACQ);
	/* a LOST event, with filler, must fit as well when one is owed */
	uint64_t need = slots + (w->lost ? 3 : 0);

	if (tail > w->head || w->head - tail > size)
		tail = w->head - size; /* nonsense from the other side: treat the ring as full */
	w->limit = tail + size;
	if (w->limit - w->head < need) {
		w->limit = w->head;
		lmm_writer_lose(w, 1);
		return 0;
	}
	if (w->lost) {
		uint64_t lost = w->lost;

		w->lost = 0;
		align_for_wide(w);
		put_wide_raw(w, t, lmm_word(LMM_EV_LOST, 0, LMM_SEQ_NONE, 0), lost, 0);
	}
	return 1;
}

void lmm_writer_put_wide(struct lmm_writer *w, uint64_t t, uint64_t word, uint64_t a, uint64_t b)
{
	if (lmm_unlikely(w->head + 3 > w->limit) && !lmm_writer_make_room(w, 3, t))
		return;
	align_for_wide(w);
	put_wide_raw(w, t, word, a, b);
}

size_t lmm_ring_drain(struct lmm_ring *r, uint32_t n_slots, uint64_t *pos, struct lmm_event *ev,
		      size_t max, uint64_t *bad)
{
	return lmm_ring_drain_to(r, n_slots, UINT64_MAX, pos, ev, max, bad);
}

size_t lmm_ring_drain_to(struct lmm_ring *r, uint32_t n_slots, uint64_t limit, uint64_t *pos,
			 struct lmm_event *ev, size_t max, uint64_t *bad)
{
	/* pairs with the release in lmm_writer_put() */
	uint64_t head = atomic_load_explicit(&r->head, ACQ);
	struct lmm_slot *slots = lmm_ring_slots(r);
	uint64_t p = *pos, mask = n_slots - 1;
	size_t n = 0;

	if (head < p)
		head = p;
	if (head - p > n_slots)
		head = p + n_slots;
	if (head > limit)
		head = limit;
	while (p < head && n < max) {
		struct lmm_slot s = slots[p & mask];
		unsigned type = (unsigned)(s.w & 0xff);
		struct lmm_event *e = &ev[n];

		if (type == LMM_EV_THREAD && n > 0)
			break;
		e->t = s.t;
		e->type = (uint8_t)type;
		e->a = e->b = 0;
		if (type == LMM_EV_OP || type == LMM_EV_OP_FUSED) {
			e->phase = 0;
			e->seq = LMM_SEQ_NONE;
			e->id = LMM_NODE_UNKNOWN;
			e->a = s.w >> 8;
			p++;
			n++;
			continue;
		}
		e->phase = (uint8_t)(s.w >> 8);
		e->seq = (uint16_t)(s.w >> 16);
		e->id = (uint32_t)(s.w >> 32);
		if (!lmm_event_is_wide(type)) {
			p++;
			if (type > LMM_EV_BARRIER) {
				(*bad)++;
			} else if (type != LMM_EV_NONE) {
				n++;
			}
			continue;
		}
		if (type >= LMM_EV_TYPE_END || (p & mask) == mask || head - p < 2) {
			p++;
			(*bad)++;
			continue;
		}
		e->a = slots[(p + 1) & mask].t;
		e->b = slots[(p + 1) & mask].w;
		p += 2;
		n++;
	}
	*pos = p;
	return n;
}

void lmm_ring_release(struct lmm_ring *r, uint64_t pos)
{
	/* pairs with the acquire in lmm_writer_make_room() */
	atomic_store_explicit(&r->tail, pos, REL);
}

uint64_t lmm_ring_dropped(const struct lmm_ring *r)
{
	return atomic_load_explicit(&r->dropped, RLX);
}
