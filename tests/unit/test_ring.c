/* SPDX-License-Identifier: Apache-2.0 */
/* The ring, one thread: what goes in comes out in order, or is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ring.h"

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

/* A block of just the ring's size: a sanitizer sees what goes beyond. */
static struct lmm_ring *make_ring(uint32_t n_slots)
{
	size_t bytes = LMM_RING_HEADER_BYTES + n_slots * sizeof(struct lmm_slot);
	struct lmm_ring *r = aligned_alloc(64, bytes);

	assert_non_null(r);
	memset(r, 0xaa, bytes);
	assert_int_equal(lmm_ring_init(r, bytes), 0);
	assert_int_equal(r->n_slots, n_slots);
	return r;
}

static void test_sizes(void **state)
{
	static const struct {
		size_t slots;
		uint32_t n;
	} sizes[] = { { 64, 64 }, { 127, 64 }, { 128, 128 }, { 1000, 512 } };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = LMM_RING_HEADER_BYTES + sizes[i].slots * 16;
		struct lmm_ring *r = aligned_alloc(64, (bytes + 63) / 64 * 64);

		assert_non_null(r);
		assert_int_equal(lmm_ring_init(r, bytes), 0);
		assert_int_equal(r->n_slots, sizes[i].n);
		assert_int_equal(lmm_ring_init(r, LMM_RING_HEADER_BYTES + 64 * 16 - 1), -1);
		free(r);
	}
}

static void test_events_come_out_as_they_went_in(void **state)
{
	struct lmm_ring *r = make_ring(64);
	struct lmm_writer w;
	struct lmm_event ev[8];
	uint64_t pos = 0, bad = 0;

	(void)state;
	lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
	lmm_writer_put(&w, 100, lmm_word(LMM_EV_PHASE_BEGIN, LMM_PHASE_DECODE, 0xfffe, 0xfffffffe));
	lmm_writer_put(&w, 200, lmm_word_op(LMM_EV_OP, (void *)(uintptr_t)0xff123456789abcull));
	lmm_writer_put_wide(&w, 300, lmm_word(LMM_EV_SEQ, 3, 7, 9), 1ull << 63, UINT64_MAX);
	lmm_writer_put(&w, 400, lmm_word_op(LMM_EV_OP_FUSED, (void *)(uintptr_t)8));
	assert_int_equal(lmm_ring_drain(r, 64, &pos, ev, 8, &bad), 4);
	assert_int_equal(pos, 5);
	assert_int_equal(bad, 0);
	assert_memory_equal(&ev[0],
			    (&(struct lmm_event){ 100, LMM_EV_PHASE_BEGIN, LMM_PHASE_DECODE, 0xfffe,
						  0xfffffffe, 0, 0 }),
			    32);
	assert_memory_equal(&ev[1],
			    (&(struct lmm_event){ 200, LMM_EV_OP, 0, LMM_SEQ_NONE, LMM_NODE_UNKNOWN,
						  0xff123456789abcull, 0 }),
			    32);
	assert_memory_equal(
		&ev[2], (&(struct lmm_event){ 300, LMM_EV_SEQ, 3, 7, 9, 1ull << 63, UINT64_MAX }),
		32);
	assert_memory_equal(&ev[3],
			    (&(struct lmm_event){ 400, LMM_EV_OP_FUSED, 0, LMM_SEQ_NONE,
						  LMM_NODE_UNKNOWN, 8, 0 }),
			    32);
	assert_int_equal(lmm_ring_drain(r, 64, &pos, ev, 8, &bad), 0);
	free(r);
}

/* A wide event never straddles the end, whatever the position. */
static void test_wide_events_at_the_end(void **state)
{
	struct lmm_ring *r = make_ring(64);
	struct lmm_writer w;
	struct lmm_event ev[4];
	uint64_t pos = 0, bad = 0;

	(void)state;
	lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
	for (uint64_t i = 0; i < 1000; i++) {
		if (i % 3 == 0)
			lmm_writer_put(&w, i, lmm_word(LMM_EV_TOKEN, 0, 0, (uint32_t)i));
		lmm_writer_put_wide(&w, i, lmm_word(LMM_EV_COUNT, 0, 0, (uint32_t)i), i * 3, i * 5);
		assert_int_equal(lmm_ring_drain(r, 64, &pos, ev, 4, &bad), i % 3 == 0 ? 2 : 1);
		lmm_ring_release(r, pos);
		assert_int_equal(ev[i % 3 == 0].id, i);
		assert_int_equal(ev[i % 3 == 0].a, i * 3);
		assert_int_equal(ev[i % 3 == 0].b, i * 5);
		assert_true(((pos - 1) & 63) !=
			    0); /* its second slot is never the first of the ring */
	}
	assert_int_equal(bad, 0);
	assert_int_equal(lmm_ring_dropped(r), 0);
	free(r);
}

static void test_a_full_ring_drops_counts_and_says_so(void **state)
{
	struct lmm_ring *r = make_ring(64);
	struct lmm_writer w;
	struct lmm_event ev[128];
	uint64_t pos = 0, bad = 0;
	size_t n;

	(void)state;
	lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
	for (uint32_t i = 0; i < 100; i++)
		lmm_writer_put(&w, i, lmm_word(LMM_EV_TOKEN, 0, 0, i));
	assert_int_equal(lmm_ring_dropped(r), 36);
	n = lmm_ring_drain(r, 64, &pos, ev, 128, &bad);
	assert_int_equal(n, 64);
	assert_int_equal(ev[63].id, 63);
	/* drained, but not released: still full */
	lmm_writer_put(&w, 100, lmm_word(LMM_EV_TOKEN, 0, 0, 100));
	assert_int_equal(lmm_ring_dropped(r), 37);
	lmm_ring_release(r, pos);
	lmm_writer_put(&w, 101, lmm_word(LMM_EV_TOKEN, 0, 0, 101));
	n = lmm_ring_drain(r, 64, &pos, ev, 128, &bad);
	assert_int_equal(n, 2);
	assert_int_equal(ev[0].type, LMM_EV_LOST);
	assert_int_equal(ev[0].t, 101);
	assert_int_equal(ev[0].a, 37);
	assert_int_equal(ev[1].id, 101);
	assert_int_equal(bad, 0);
	free(r);
}

static void test_a_new_owner_goes_on_where_the_ring_stands(void **state)
{
	struct lmm_ring *r = make_ring(64);
	struct lmm_writer w;
	struct lmm_event ev[64];
	uint64_t pos = 0, bad = 0, next = 0;

	(void)state;
	for (uint64_t i = 0; i < 300; i++) {
		if (i % 7 == 0)
			lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
		lmm_writer_put(&w, i, lmm_word(LMM_EV_TOKEN, 0, 0, (uint32_t)i));
		if (i % 20 != 19)
			continue;
		for (size_t k = 0, n = lmm_ring_drain(r, 64, &pos, ev, 64, &bad); k < n; k++)
			assert_int_equal(ev[k].id, next++);
		lmm_ring_release(r, pos);
	}
	assert_int_equal(next, 300);
	free(r);
}

/*
 * An independent model: it knows only what was emitted, in order. What comes out must be that, with holes, and each
 * hole must be announced by a LOST event with its exact size before anything that follows it.
 */
struct model {
	uint64_t emitted;
	uint64_t
		seen; /* events of the model that are accounted for, decoded or announced as lost */
	uint64_t decoded; /* LOST not counted */
	uint64_t announced;
};

static void emit(struct lmm_writer *w, struct model *m, int wide)
{
	uint32_t id = (uint32_t)m->emitted++;

	if (wide)
		lmm_writer_put_wide(w, id * 3ull, lmm_word(LMM_EV_COUNT, 1, 2, id), ~(uint64_t)id,
				    id * 7ull);
	else
		lmm_writer_put(w, id * 3ull, lmm_word(LMM_EV_TOKEN, 1, 2, id));
}

static void check(struct model *m, const struct lmm_event *ev)
{
	if (ev->type == LMM_EV_LOST) {
		assert_true(ev->a > 0);
		m->seen += ev->a;
		m->announced += ev->a;
		return;
	}
	assert_int_equal(ev->id, m->seen);
	assert_int_equal(ev->t, ev->id * 3ull);
	if (ev->type == LMM_EV_COUNT) {
		assert_int_equal(ev->a, ~(uint64_t)ev->id);
		assert_int_equal(ev->b, ev->id * 7ull);
	} else {
		assert_int_equal(ev->type, LMM_EV_TOKEN);
	}
	m->seen++;
	m->decoded++;
}

static void run_model(uint64_t seed, uint32_t n_slots)
{
	struct lmm_ring *r = make_ring(n_slots);
	struct lmm_event ev[50];
	struct model m = { 0 };
	struct lmm_writer w;
	uint64_t pos = 0, bad = 0, random = seed;
	unsigned wide_percent = (unsigned)(next_random(&random) % 101);
	size_t n;

	lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
	for (int step = 0; step < 3000; step++) {
		uint64_t x = next_random(&random);

		for (uint64_t i = 0; i < x % (n_slots / 2); i++)
			emit(&w, &m, next_random(&random) % 100 < wide_percent);
		n = lmm_ring_drain(r, n_slots, &pos, ev, (x >> 32) % 51, &bad);
		for (size_t i = 0; i < n; i++)
			check(&m, &ev[i]);
		if ((x >> 50) % 3)
			lmm_ring_release(r, pos);
		/* at any moment: what is not out yet is in the ring or was dropped */
		assert_true(m.decoded + lmm_ring_dropped(r) <= m.emitted);
		assert_true(m.announced <= lmm_ring_dropped(r));
	}
	while ((n = lmm_ring_drain(r, n_slots, &pos, ev, 50, &bad)) > 0)
		for (size_t i = 0; i < n; i++)
			check(&m, &ev[i]);
	assert_int_equal(bad, 0);
	assert_int_equal(m.emitted, m.decoded + lmm_ring_dropped(r));
	assert_true(m.decoded > 0);
	free(r);
}

static void test_random_sequences_against_a_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		run_model(seed, seed % 2 ? 64 : 256);
}

/* What belongs to two threads never shares a range of positions; a limit ends a drain like a head. */
static void test_a_new_thread_begins_a_drain(void **state)
{
	struct lmm_ring *r = make_ring(64);
	struct lmm_event ev[64];
	uint64_t pos = 0, bad = 0;
	struct lmm_writer w;

	(void)state;
	lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
	lmm_writer_put_wide(&w, 1, lmm_word(LMM_EV_THREAD, 0, LMM_SEQ_NONE, 0), 11, 0);
	lmm_writer_put(&w, 2, lmm_word(LMM_EV_TOKEN, 0, 0, 1));
	lmm_writer_put(&w, 3, lmm_word(LMM_EV_TOKEN, 0, 0, 2));
	lmm_writer_put_wide(&w, 4, lmm_word(LMM_EV_THREAD, 0, LMM_SEQ_NONE, 0), 12, 0);
	lmm_writer_put(&w, 5, lmm_word(LMM_EV_TOKEN, 0, 0, 3));
	assert_int_equal(lmm_ring_drain_to(r, 64, 3, &pos, ev, 64, &bad), 2);
	assert_int_equal(pos, 3);
	assert_int_equal(lmm_ring_drain(r, 64, &pos, ev, 64, &bad), 1);
	assert_int_equal(pos, 4);
	assert_int_equal(ev[0].id, 2);
	assert_int_equal(lmm_ring_drain(r, 64, &pos, ev, 64, &bad), 2);
	assert_int_equal(ev[0].type, LMM_EV_THREAD);
	assert_int_equal(ev[0].a, 12);
	assert_int_equal(ev[1].id, 3);
	assert_int_equal(pos, 7);
	assert_int_equal(bad, 0);
	free(r);
}

/* ---- the other side is not trusted --------------------------------------------------------------- */

static void test_hostile_head(void **state)
{
	static const uint64_t heads[] = { 1,
					  63,
					  64,
					  65,
					  1000,
					  1ull << 32,
					  (1ull << 63) - 1,
					  1ull << 63,
					  UINT64_MAX,
					  UINT64_MAX - 63 };
	uint64_t random = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		for (uint64_t start = 0; start < 3; start++) {
			struct lmm_ring *r = make_ring(64);
			uint64_t pos = start * 31, first = pos, bad = 0;
			struct lmm_event ev[16];
			size_t total = 0, n;

			for (int k = 0; k < 64; k++) {
				lmm_ring_slots(r)[k].t = next_random(&random);
				lmm_ring_slots(r)[k].w = next_random(&random);
			}
			atomic_store(&r->head, heads[i]);
			do {
				uint64_t before = pos;

				n = lmm_ring_drain(r, 64, &pos, ev, 16, &bad);
				assert_true(n <= 16);
				assert_true(pos - before <= 64);
				total += n;
			} while (n && pos - first < 1000);
			assert_true(total + bad <= pos - first);
			free(r);
		}
	}
}

/* Random words in the slots: each is an event, a filler or counted as bad; never a read beyond the ring. */
static void test_hostile_slots(void **state)
{
	uint64_t random = 5;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct lmm_ring *r = make_ring(64);
		uint64_t pos = next_random(&random) % 64, first = pos, bad = 0, slots = 0,
			 fillers = 0;
		struct lmm_event ev[64];
		size_t n;

		for (int k = 0; k < 64; k++)
			lmm_ring_slots(r)[k].w = next_random(&random) & 0xffffffffffff7f;
		atomic_store(&r->head, pos + 64);
		for (uint64_t p = pos; p < pos + 64; p++)
			fillers += (lmm_ring_slots(r)[p & 63].w & 0xff) == LMM_EV_NONE;
		while ((n = lmm_ring_drain(r, 64, &pos, ev, 64, &bad)) > 0) {
			for (size_t i = 0; i < n; i++) {
				assert_true(ev[i].type != LMM_EV_NONE &&
					    ev[i].type < LMM_EV_TYPE_END);
				assert_true(ev[i].type <= LMM_EV_BARRIER ||
					    ev[i].type >= LMM_EV_WIDE);
				assert_true(i == 0 || ev[i].type != LMM_EV_THREAD);
				slots += lmm_event_is_wide(ev[i].type) ? 2 : 1;
			}
		}
		assert_int_equal(pos, first + 64);
		/* fillers inside wide events are their second halves */
		assert_in_range(64 - slots - bad, 0, fillers);
		free(r);
	}
}

static void test_hostile_tail_counts_as_full(void **state)
{
	static const uint64_t tails[] = { 1000, UINT64_MAX, 1ull << 63, 35 };
	struct lmm_event ev[64];

	(void)state;
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct lmm_ring *r = make_ring(64);
		uint64_t pos = 0, bad = 0;
		struct lmm_writer w;

		lmm_writer_attach(&w, r, LMM_CLOCK_TSC);
		for (uint32_t k = 0; k < 100; k++) {
			lmm_writer_put(&w, k, lmm_word(LMM_EV_TOKEN, 0, 0, k));
			if (k % 10 == 9) {
				(void)lmm_ring_drain(r, 64, &pos, ev, 64, &bad);
				lmm_ring_release(r, pos);
			}
		}
		assert_int_equal(pos, 100);
		atomic_store(&r->tail, tails[i]);
		for (uint32_t k = 100; k < 300; k++)
			lmm_writer_put(&w, k, lmm_word(LMM_EV_TOKEN, 0, 0, k));
		/* room that was known before may be used; beyond that nothing is overwritten */
		assert_true(atomic_load(&r->head) <= 100 + 64);
		assert_int_equal(lmm_ring_dropped(r) + atomic_load(&r->head), 300);
		free(r);
	}
}

/* An event that stands for many, dropped: all of them are lost. */
static void test_dropped_stands_for_many(void **state)
{
	struct lmm_ring *r = make_ring(64);
	struct lmm_event ev[64];
	struct lmm_writer w;
	uint64_t pos = 0, bad = 0;
	size_t n;

	(void)state;
	lmm_writer_attach(&w, r, 0);
	for (unsigned i = 0; i < 64; i++)
		lmm_writer_put(&w, i, lmm_word(LMM_EV_TOKEN, 0, 0, i));
	assert_int_equal(w.lost, 0);
	lmm_writer_put_wide(&w, 64, lmm_word(LMM_EV_PATTERN, 0, 0, 1), 90, 0);
	assert_int_equal(w.lost, 1);
	lmm_writer_lose(&w, 89);
	assert_int_equal(lmm_ring_dropped(r), 90);
	lmm_ring_drain(r, 64, &pos, ev, 64, &bad);
	lmm_ring_release(r, pos);
	lmm_writer_put(&w, 70, lmm_word(LMM_EV_TOKEN, 0, 0, 70));
	n = lmm_ring_drain(r, 64, &pos, ev, 64, &bad);
	assert_int_equal(n, 2);
	assert_int_equal(ev[0].type, LMM_EV_LOST);
	assert_int_equal(ev[0].a, 90);
	assert_int_equal(bad, 0);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_events_come_out_as_they_went_in),
		cmocka_unit_test(test_wide_events_at_the_end),
		cmocka_unit_test(test_a_full_ring_drops_counts_and_says_so),
		cmocka_unit_test(test_a_new_owner_goes_on_where_the_ring_stands),
		cmocka_unit_test(test_a_new_thread_begins_a_drain),
		cmocka_unit_test(test_random_sequences_against_a_model),
		cmocka_unit_test(test_dropped_stands_for_many),
		cmocka_unit_test(test_hostile_head),
		cmocka_unit_test(test_hostile_slots),
		cmocka_unit_test(test_hostile_tail_counts_as_full),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
