/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that writes events as fast as it can and one that reads them at its leisure: all come in order and whole, or are
 * counted, and each hole is announced with its size.
 *
 * Once with the reader on a mapping of its own, as in life, and once on the writer's, where ThreadSanitizer sees that both
 * touch the same slots. LMM_LONG=1: fifty times as many.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wire/ring.h"

#define RING_BYTES (LMM_RING_HEADER_BYTES + 256 * sizeof(struct lmm_slot))
#define EVENTS	   1000000u

struct race {
	struct lmm_ring *writer_side;
	struct lmm_ring *reader_side;
	uint32_t events;
	_Atomic int is_done;
	/* what the reader found */
	uint64_t decoded;
	uint64_t announced;
	uint64_t bad;
};

static void fail(const char *what, uint64_t got, uint64_t expected)
{
	(void)fprintf(stderr, "%s: %llu instead of %llu\n", what, (unsigned long long)got,
		      (unsigned long long)expected);
	exit(1);
}

static int has_room(const struct lmm_writer *w)
{
	return w->head - atomic_load_explicit(&w->ring->tail, memory_order_relaxed) < 250;
}

static void *write_events(void *arg)
{
	struct race *race = arg;
	struct lmm_writer w;

	lmm_writer_attach(&w, race->writer_side, LMM_CLOCK_TSC);
	for (uint32_t i = 0; i < race->events; i++) {
		uint64_t t = (uint64_t)i << 20;

		if (i % 7 == 3)
			lmm_writer_put_wide(&w, t, lmm_word(LMM_EV_COUNT, 1, 2, i), ~t, t + 1);
		else
			lmm_writer_put(&w, t, lmm_word(LMM_EV_TOKEN, 1, 2, i));
		/* polite for most of the time: an engine waits for its operators as well */
		while (i >> 12 & 7 && !has_room(&w))
			(void)sched_yield();
	}
	atomic_store_explicit(&race->is_done, 1, memory_order_release);
	return NULL;
}

static void check_event(struct race *race, const struct lmm_event *ev)
{
	uint64_t expected = race->decoded + race->announced;

	if (ev->type == LMM_EV_LOST) {
		race->announced += ev->a;
		return;
	}
	if (ev->id != expected)
		fail("event", ev->id, expected);
	if (ev->t != (uint64_t)ev->id << 20)
		fail("time", ev->t, (uint64_t)ev->id << 20);
	if (ev->type != (ev->id % 7 == 3 ? LMM_EV_COUNT : LMM_EV_TOKEN))
		fail("type of event", ev->type, ev->id);
	if (ev->type == LMM_EV_COUNT && (ev->a != ~ev->t || ev->b != ev->t + 1))
		fail("a and b of event", ev->a, ev->id);
	race->decoded++;
}

static void *read_events(void *arg)
{
	struct race *race = arg;
	struct lmm_event ev[64];
	uint64_t pos = 0;
	uint32_t n_slots = race->reader_side->n_slots;

	for (uint64_t round = 0;; round++) {
		int is_done = atomic_load_explicit(&race->is_done, memory_order_acquire);
		size_t n = lmm_ring_drain(race->reader_side, n_slots, &pos, ev, 1 + round % 64,
					  &race->bad);

		for (size_t i = 0; i < n; i++)
			check_event(race, &ev[i]);
		lmm_ring_release(race->reader_side, pos);
		if (is_done && n == 0)
			return NULL;
		if (n == 0)
			(void)sched_yield();
	}
}

static void run(const char *name, struct lmm_ring *writer_side, struct lmm_ring *reader_side,
		uint32_t events)
{
	struct race race = { .writer_side = writer_side,
			     .reader_side = reader_side,
			     .events = events };
	uint64_t dropped;
	pthread_t writer, reader;

	if (lmm_ring_init(writer_side, RING_BYTES) ||
	    pthread_create(&writer, NULL, write_events, &race) ||
	    pthread_create(&reader, NULL, read_events, &race)) {
		perror("start");
		exit(1);
	}
	(void)pthread_join(writer, NULL);
	(void)pthread_join(reader, NULL);
	dropped = lmm_ring_dropped(reader_side);
	(void)printf("%s: %u emitted, %llu decoded, %llu dropped\n", name, events,
		     (unsigned long long)race.decoded, (unsigned long long)dropped);
	if (race.bad)
		fail("bad slots", race.bad, 0);
	if (race.decoded + dropped != events)
		fail("decoded and dropped", race.decoded + dropped, events);
	/* the last hole has nobody behind it who could announce it */
	if (race.announced > dropped)
		fail("announced", race.announced, dropped);
	if (race.decoded < events / 2)
		fail("decoded", race.decoded, events / 2);
}

int main(void)
{
	const char *is_long = getenv("LMM_LONG");
	uint32_t events = is_long && *is_long ? EVENTS * 50 : EVENTS;
	int fd = memfd_create("ring", MFD_CLOEXEC);
	void *a, *b;

	if (fd < 0 || ftruncate(fd, RING_BYTES)) {
		perror("memfd");
		return 1;
	}
	a = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (a == MAP_FAILED || b == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	run("two mappings", a, b, events);
	run("one mapping", a, a, events);
	return 0;
}
