/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a window of the CUDA layer and the calls that they come from, when either is read before the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_beside.h"

static struct lmm_cu_stream stream;
static struct lmm_cu_record records[64];
static uint32_t n_records;
static struct lmm_cu_entry entries[64];
static struct lmm_cu_log turn_log;
static uint32_t n_told;	 /* by device_completion_put */
static uint32_t told[8]; /* their numbers in the stream */

struct lmm_cu_record *lmm_cu_records(uint32_t *n)
{
	*n = n_records;
	return records;
}

void lmm_cu_records_drop(uint32_t n, uint32_t n_kept)
{
	memmove(records + n_kept, records + n, (n_records - n) * sizeof(*records));
	n_records -= n - n_kept;
}

struct lmm_cu_log lmm_cu_log_turn(bool is_last)
{
	(void)is_last;
	return turn_log;
}

uint32_t lmm_cu_log_first(void)
{
	return 10;
}

bool lmm_cu_log_carry(const struct lmm_cu_entry *e, bool is_across)
{
	(void)e;
	(void)is_across;
	return true;
}

struct lmm_cu_stream *lmm_cu_stream_of_cupti(uint32_t id)
{
	(void)id;
	return &stream;
}

struct lmm_cu_stream *lmm_cu_stream_find(cuda_stream handle)
{
	(void)handle;
	return &stream;
}

struct lmm_cu_stream *lmm_cu_stream_name(struct lmm_cu_stream *s, uint32_t id)
{
	(void)id;
	return s;
}

uint16_t lmm_cu_device_number(bool is_pass)
{
	return is_pass;
}

void lmm_device_clock_put(struct lmm_thread *th, struct lmm_device_clock *clock, uint16_t queue,
			  uint16_t device, uint64_t t0, uint64_t t1, uint64_t stamp)
{
	(void)th;
	(void)clock;
	(void)queue;
	(void)device;
	(void)t0;
	(void)t1;
	(void)stamp;
}

void lmm_device_completion_put(struct lmm_thread *th, uint16_t queue,
			       const struct lmm_device_times *x)
{
	(void)th;
	(void)queue;
	if (n_told < LMM_ARRAY_SIZE(told))
		told[n_told] = x->id;
	n_told++;
}

/* ---- a window ----------------------------------------------------------------------------------- */

static struct lmm_thread thread;

static void record(uint32_t correlation, uint64_t start, uint64_t end)
{
	records[n_records++] = (struct lmm_cu_record){ .start = start,
						       .end = end,
						       .correlation = correlation,
						       .kernel = 5,
						       .kind = LMM_KERNEL_PROGRAM };
}

/* The turn has these calls; 0 ends. */
static struct lmm_cu_joined join(const uint32_t *calls, bool is_last)
{
	memset(entries, 0, sizeof(entries));
	turn_log = (struct lmm_cu_log){ .entries = entries, .since_t = 0 };
	for (; *calls; calls++) {
		struct lmm_cu_entry *e = &entries[turn_log.n++];

		e->is_handed = true;
		e->call.correlation[0] = *calls;
		e->call.kernel = 5;
		e->call.kind = LMM_KERNEL_PROGRAM;
		e->call.t = 1;
	}
	n_told = 0;
	return lmm_cu_join(&thread, is_last);
}

#define CALLS(...) ((const uint32_t[]){ __VA_ARGS__, 0 })

static void window_begin(void)
{
	static struct {
		struct lmm_ring ring;
		char slots[1 << 16];
	} LMM_ALIGNED(64) memory;

	memset(&memory, 0, sizeof(memory));
	assert_int_equal(lmm_ring_init(&memory.ring, LMM_RING_HEADER_BYTES + 16 * 1024), 0);
	lmm_writer_attach(&thread.w, &memory.ring, LMM_CLOCK_MONOTONIC);
	n_records = 0;
}

/* A thread was put aside between its call and noting it: the record is read a turn before the call. */
static void test_record_before_its_call(void **state)
{
	struct lmm_cu_joined j;

	(void)state;
	window_begin();
	record(12, 1000, 2000);
	record(14, 3000, 4000);
	record(16, 5000, 6000);
	j = join(CALLS(12, 16), false);
	assert_int_equal(j.records, 2);
	assert_int_equal(j.unmatched, 0);
	assert_int_equal(j.union_ns, 3000);
	assert_int_equal(n_told, 2);
	/* what ran between them is to come: they are not neighbours */
	assert_int_equal(told[1], told[0] + 2);
	assert_int_equal(n_records, 1);
	record(18, 7000, 7500);
	j = join(CALLS(14, 18), false);
	assert_int_equal(j.records, 2);
	assert_int_equal(j.unmatched, 0);
	/* its time was counted */
	assert_int_equal(j.union_ns, 500);
	assert_int_equal(n_records, 0);
}

/* One without a call is told, a turn later. */
static void test_record_without_call(void **state)
{
	struct lmm_cu_joined j;

	(void)state;
	window_begin();
	record(14, 3000, 4000);
	j = join(CALLS(20), false);
	assert_int_equal(j.records, 0);
	assert_int_equal(n_records, 1);
	record(22, 8000, 9000);
	j = join(CALLS(22), false);
	assert_int_equal(j.records, 2);
	assert_int_equal(j.unmatched, 1);
	assert_int_equal(n_records, 0);
	/* no turn follows the last one */
	record(24, 9000, 9500);
	j = join(CALLS(26), true);
	assert_int_equal(j.records, 1);
	assert_int_equal(j.unmatched, 1);
	assert_int_equal(n_records, 0);
	/* from before the window: told then */
	record(9, 100, 200);
	j = join(CALLS(28), false);
	assert_int_equal(j.records, 0);
	assert_int_equal(n_records, 0);
}

/* The recording was switched off, and CUPTI has gone on: that is nobody's. */
static void test_records_behind_the_end(void **state)
{
	struct lmm_cu_joined j;

	(void)state;
	window_begin();
	record(12, 1000, 2000);
	record(14, 3000, 4000);
	recording = 0;
	j = join(CALLS(12), true);
	recording = 1;
	assert_int_equal(j.records, 1);
	assert_int_equal(j.unmatched, 0);
	assert_int_equal(j.union_ns, 1000);
	assert_int_equal(n_records, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_before_its_call),
		cmocka_unit_test(test_record_without_call),
		cmocka_unit_test(test_records_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
