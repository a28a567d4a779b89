/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of a window of the CUDA layer: which turn has them, and which has none of them. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cuda_beside.h"

static struct lmm_thread thread;

static bool put(uint32_t kernel, struct lmm_cu_graph *graph)
{
	struct lmm_cu_command c = { .th = &thread, .t = lmm_now() };

	return lmm_cu_log_put(&c, kernel, graph ? LMM_KERNEL_COMMAND_BUFFER : LMM_KERNEL_PROGRAM, 1,
			      graph);
}

static void correlate(uint32_t correlation)
{
	lmm_cu_self.is_inside = 1;
	lmm_cu_log_correlate(307, correlation);
	lmm_cu_self.is_inside = 0;
}

static uint32_t handed(const struct lmm_cu_log *log)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < log->n; i++)
		n += log->entries[i].is_handed;
	return n;
}

static void test_turns(void **state)
{
	struct lmm_cu_log log;

	(void)state;
	assert_int_equal(lmm_cu_log_open(), 0);
	lmm_cu_log_begin();
	correlate(12);
	assert_true(put(40, NULL));
	/* under way while the log is read: it is of the turn in which it returns, and has begun before that */
	lmm_cu_log_begin();
	correlate(14);
	log = lmm_cu_log_turn(false);
	assert_int_equal(handed(&log), 1);
	assert_int_equal(log.entries[0].call.kernel, 40);
	assert_int_equal(log.entries[0].call.correlation[0], 12);
	assert_true(put(41, NULL));
	lmm_cu_log_begin();
	assert_true(put(42, NULL));
	log = lmm_cu_log_turn(true);
	assert_int_equal(handed(&log), 2);
	assert_int_equal(log.entries[0].call.kernel, 41);
	assert_int_equal(log.entries[0].call.correlation[0], 14);
	/* a number is of one call */
	assert_int_equal(log.entries[1].call.correlation[0], 0);
}

/* CUPTI's numbers begin anew with each window: a call of an older one must not be found by them. */
static void test_call_of_an_older_window(void **state)
{
	struct lmm_cu_log log;

	(void)state;
	assert_int_equal(lmm_cu_log_open(), 0);
	lmm_cu_log_begin();
	correlate(12);
	(void)lmm_cu_log_turn(true);
	assert_false(put(40, NULL)); /* none is open */
	assert_int_equal(lmm_cu_log_open(), 0);
	assert_false(put(40, NULL));
	log = lmm_cu_log_turn(true);
	assert_int_equal(handed(&log), 0);
}

/* The hook had looked when nothing was open, and then CUPTI told of the call: it is noted. What has a smaller number was before. */
static void test_call_when_it_opens(void **state)
{
	struct lmm_cu_log log;

	(void)state;
	lmm_cu_self.window = 0;
	assert_int_equal(lmm_cu_log_open(), 0);
	correlate(22);
	assert_true(put(40, NULL));
	lmm_cu_log_begin();
	correlate(24);
	assert_true(put(40, NULL));
	assert_int_equal(lmm_cu_log_first(), 22);
	log = lmm_cu_log_turn(true);
	assert_int_equal(handed(&log), 2);
	assert_int_equal(log.entries[0].call.correlation[0], 22);
}

/* The device may be many turns behind with one; what CUPTI has lost does not fill the room. */
static void test_carried(void **state)
{
	struct lmm_cu_log log;
	uint32_t n = 0;

	(void)state;
	assert_int_equal(lmm_cu_log_open(), 0);
	lmm_cu_log_begin();
	assert_true(put(40, NULL));
	for (unsigned i = 0; i < 10; i++) {
		log = lmm_cu_log_turn(false);
		assert_int_equal(handed(&log), 1);
		assert_true(lmm_cu_log_carry(&log.entries[0], false));
	}
	for (uint32_t i = 0; i < LMM_CU_ROOM / 2; i++)
		assert_true(put(40, NULL));
	for (unsigned turn = 0; turn < 2; turn++) {
		log = lmm_cu_log_turn(false);
		n = 0;
		for (uint32_t i = 0; i < log.n; i++)
			n += lmm_cu_log_carry(&log.entries[i], false);
	}
	assert_int_equal(n, LMM_CU_ROOM / 4);
	(void)lmm_cu_log_turn(true);
}

static void test_room(void **state)
{
	struct lmm_cu_graph graph = { .n = 1000 };
	struct lmm_cu_log log;

	(void)state;
	assert_int_equal(lmm_cu_log_open(), 0);
	lmm_cu_log_begin();
	for (uint32_t i = 0; i < LMM_CU_ROOM - 1; i++)
		assert_true(put(40, NULL));
	assert_true(put(40, &graph));
	assert_int_equal(lmm_cu_log_pending(), LMM_CU_ROOM - 1 + 1000);
	assert_false(put(40, NULL));
	assert_false(put(40, &graph));
	log = lmm_cu_log_turn(false);
	assert_int_equal(handed(&log), LMM_CU_ROOM);
	assert_int_equal(log.roomless, 1001);
	assert_int_equal(lmm_cu_log_pending(), 0);
	assert_true(put(40, NULL));
	log = lmm_cu_log_turn(true);
	assert_int_equal(handed(&log), 1);
	assert_int_equal(log.roomless, 0);
}

enum { WRITERS = 3, CALLS = 100000 };
static _Atomic unsigned n_writing;

static void *writer(void *noted)
{
	uint32_t n = 0;

	lmm_cu_self.window = *(uint32_t *)noted;
	for (uint32_t i = 0; i < CALLS; i++)
		n += put(40, NULL);
	*(uint32_t *)noted = n;
	atomic_fetch_sub(&n_writing, 1);
	return NULL;
}

/* Calls that return while the log is read are in one turn each: whoever is caught between its place and what it writes there takes another. */
static void test_reading_meanwhile(void **state)
{
	pthread_t threads[WRITERS];
	uint32_t noted[WRITERS], seen = 0, all = 0;
	struct lmm_cu_log log;
	bool is_last;

	(void)state;
	assert_int_equal(lmm_cu_log_open(), 0);
	lmm_cu_log_begin();
	atomic_store(&n_writing, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		noted[i] = lmm_cu_self.window;
		assert_int_equal(pthread_create(&threads[i], NULL, writer, &noted[i]), 0);
	}
	do {
		is_last = !atomic_load(&n_writing);
		log = lmm_cu_log_turn(is_last);
		seen += handed(&log);
	} while (!is_last);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		all += noted[i];
	}
	assert_true(all > 0);
	assert_int_equal(seen, all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_call_of_an_older_window),
		cmocka_unit_test(test_call_when_it_opens),
		cmocka_unit_test(test_carried),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_reading_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
