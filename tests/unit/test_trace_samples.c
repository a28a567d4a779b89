/* SPDX-License-Identifier: Apache-2.0 */
/* Sensors' samples in a .lmt file: what they cost, where they can be picked up again, and what bad ones do. */
#include "trace_util.h"

#include <errno.h>

#include "base/bytes.h"
#include "trace/skim.h"

#define SENSORS 30u

static struct lmm_sample values[SENSORS];

/* Round i: two sensors move, the rest stand still. */
static struct lmm_item round_item(uint64_t i)
{
	for (uint32_t k = 0; k < SENSORS; k++)
		values[k] = (struct lmm_sample){ .sensor = k, .value = 1000000 + k };
	values[3].value = 2400000000 - (int64_t)i % 7 * 100000000;
	values[9].value = (int64_t)i * 1500000;
	return (struct lmm_item){
		.kind = LMM_ITEM_SAMPLES,
		.samples = { .ticks = i * 200000000, .n = SENSORS, .samples = values }
	};
}

static struct lmm_trace_writer *open_writer(const char *path, uint64_t max_size_bytes)
{
	struct lmm_trace_writer_opts opts = { .max_size_bytes = max_size_bytes };
	struct lmm_trace_writer *w;

	(void)unlink(path);
	assert_int_equal(lmm_trace_writer_open(path, &opts, &w), 0);
	return w;
}

static void put_rounds(struct lmm_trace_writer *w, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		struct lmm_item item = round_item(i);

		assert_int_equal(lmm_trace_writer_item(w, &item), 0);
	}
}

/* Every round that is read is the one that was written; returns how many, and the first one's number. */
static uint64_t check_rounds(struct lmm_trace *tr, uint64_t *first)
{
	const struct lmm_item *it;
	uint64_t n = 0;

	*first = UINT64_MAX;
	while (lmm_trace_next(tr, &it) > 0) {
		struct lmm_item expected;

		if (it->kind != LMM_ITEM_SAMPLES)
			continue;
		expected = round_item(it->samples.ticks / 200000000);
		assert_null(item_differs(&expected, it));
		if (n++ == 0)
			*first = it->samples.ticks / 200000000;
	}
	return n;
}

static void test_what_stands_still_costs_nothing(void **state)
{
	const char *path = temp_path("cost.lmt");
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct lmm_trace *tr;
	uint64_t bytes, first;

	(void)state;
	put_rounds(w, 0, 1000);
	bytes = lmm_trace_writer_size_bytes(w) - LMM_FILE_HEADER_BYTES;
	assert_int_equal(lmm_trace_writer_close(w), 0);
	/* a header, 5 bytes of time, a byte and 4 or 5 for each of the two; and 16 whole rounds */
	assert_in_range(bytes, 1000 * (LMM_CHUNK_HEADER_BYTES + 5),
			1000 * (LMM_CHUNK_HEADER_BYTES + 16) + 16 * SENSORS * 6);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	assert_int_equal(check_rounds(tr, &first), 1000);
	assert_int_equal(lmm_trace_rewind(tr), 0);
	assert_int_equal(check_rounds(tr, &first), 1000);
	lmm_trace_close(tr);
}

/* Who begins at a checkpoint sees all that comes behind it; who begins elsewhere, all from the next whole round on. */
static void test_reading_may_begin_in_the_middle(void **state)
{
	const char *path = temp_path("middle.lmt");
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct lmm_item checkpoint = { .kind = LMM_ITEM_CHECKPOINT,
				       .checkpoint = { .data = "x", .size_bytes = 1 } };
	struct lmm_trace *tr;
	uint64_t at, first;

	(void)state;
	put_rounds(w, 0, 10);
	assert_int_equal(lmm_trace_writer_flush(w), 0);
	at = lmm_trace_writer_size_bytes(w);
	assert_int_equal(lmm_trace_writer_item(w, &checkpoint), 0);
	put_rounds(w, 10, 20);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	assert_int_equal(lmm_trace_seek(tr, at), 0);
	assert_int_equal(check_rounds(tr, &first), 10);
	assert_int_equal(first, 10);
	/* the first round holds every sensor: its header says how long it is */
	{
		struct bytes b = read_whole(path);
		struct lmm_chunk c = { 0 };

		assert_int_equal(lmm_chunk_get(b.data + LMM_FILE_HEADER_BYTES, &c), 0);
		assert_int_equal(c.flags, LMM_CHUNK_KEY);
		at = LMM_FILE_HEADER_BYTES + LMM_CHUNK_HEADER_BYTES + c.stored_bytes;
		free(b.data);
	}
	assert_int_equal(lmm_trace_seek(tr, at), 0);
	assert_int_equal(check_rounds(tr, &first), 10);
	assert_int_equal(first, 10);
	assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_CUT);
	lmm_trace_close(tr);
}

static void test_max_size_takes_rounds_with_the_events(void **state)
{
	const char *path = temp_path("max.lmt");
	struct lmm_trace_writer *w = open_writer(path, 20000);
	struct lmm_event ev[500];
	struct lmm_trace *tr;
	uint64_t n, first;

	(void)state;
	for (uint32_t i = 0; i < 500; i++)
		ev[i] = (struct lmm_event){ .t = i, .type = LMM_EV_TOKEN, .id = i };
	for (uint64_t i = 0; i < 300; i++) {
		struct lmm_item item = { .kind = LMM_ITEM_EVENTS,
					 .events = { .stream = 1,
						     .n = 500,
						     .ev = ev,
						     .ring_from = i * 500,
						     .ring_to = i * 500 + 500 } };

		put_rounds(w, i, i + 1);
		assert_int_equal(lmm_trace_writer_item(w, &item), 0);
		if (lmm_trace_writer_is_full(w))
			assert_int_equal(lmm_trace_writer_compact(w), 0);
	}
	assert_true(lmm_trace_writer_size_bytes(w) < 30000);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	n = check_rounds(tr, &first);
	assert_true(n > 0 && n < 100);
	assert_int_equal(first + n, 300); /* the newest, and no hole */
	assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_CUT);
	lmm_trace_close(tr);
}

static void test_a_file_that_goes_on(void **state)
{
	const char *path = temp_path("append.lmt");
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct lmm_trace *tr;
	uint64_t first;

	(void)state;
	put_rounds(w, 0, 5);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &w), 0);
	put_rounds(w, 5, 9);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	assert_int_equal(check_rounds(tr, &first), 9);
	lmm_trace_close(tr);
}

static void test_rounds_that_cannot_be_are_refused(void **state)
{
	static const struct lmm_sample beyond[] = { { LMM_SENSORS_MAX, 1 } };
	static const struct lmm_sample twice[] = { { 4, 1 }, { 4, 2 } };
	static const struct lmm_sample back[] = { { 4, 1 }, { 3, 2 } };
	const struct lmm_samples bad[] = { { .n = 1, .samples = beyond },
					   { .n = 2, .samples = twice },
					   { .n = 2, .samples = back } };
	const char *path = temp_path("refused.lmt");
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct lmm_trace *tr;
	uint64_t first;

	(void)state;
	put_rounds(w, 0, 2);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(bad); i++) {
		struct lmm_item item = { .kind = LMM_ITEM_SAMPLES, .samples = bad[i] };

		assert_int_equal(lmm_trace_writer_item(w, &item), -EINVAL);
	}
	put_rounds(w, 2, 4);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	assert_int_equal(check_rounds(tr, &first), 4);
	lmm_trace_close(tr);
}

/* ---- made by hand ------------------------------------------------------------------------------- */

static int read_payload(unsigned flags, const void *payload, size_t n, enum lmm_trace_state *end,
			uint32_t *n_samples)
{
	struct bytes empty = write_items(NULL, 0, 0);
	uint8_t header[LMM_CHUNK_HEADER_BYTES];
	struct lmm_chunk c = { .type = LMM_ITEM_SAMPLES,
			       .flags = (uint16_t)flags,
			       .stored_bytes = (uint32_t)n,
			       .raw_bytes = (uint32_t)n,
			       .payload_crc = lmm_crc32c(0, payload, n) };
	struct lmm_buf f = { 0 };
	const struct lmm_item *it;
	struct lmm_trace *tr;
	int rc;

	lmm_chunk_put(header, &c);
	lmm_buf_put(&f, empty.data, empty.n);
	lmm_buf_put(&f, header, sizeof(header));
	lmm_buf_put(&f, payload, n);
	assert_int_equal(lmm_trace_open_memory(f.data, f.n, &tr), 0);
	rc = lmm_trace_next(tr, &it);
	*n_samples = rc > 0 ? it->samples.n : 0;
	*end = lmm_trace_state(tr, NULL);
	lmm_trace_close(tr);
	lmm_buf_free(&f);
	free(empty.data);
	return rc;
}

static void test_bad_payloads(void **state)
{
	static const struct {
		const char *payload;
		size_t n;
		int rc;
		enum lmm_trace_state end;
		uint32_t samples;
	} cases[] = {
		{ "\x05", 1, 1, LMM_TRACE_READING, 0 },
		{ "\x05\x00\x02\x04\x06", 5, 1, LMM_TRACE_READING, 2 },
		/* no time, a sensor without value, a varint without end, a value without end */
		{ "", 0, 0, LMM_TRACE_CORRUPT, 0 },
		{ "\x05\x00", 2, 0, LMM_TRACE_CORRUPT, 0 },
		{ "\x05\x80", 2, 0, LMM_TRACE_CORRUPT, 0 },
		{ "\x05\x00\xff\xff", 4, 0, LMM_TRACE_CORRUPT, 0 },
		/* sensor 1023 is the last one: 1024, the one behind 1023, 2^63 */
		{ "\x05\xfe\x0f\x02", 4, 1, LMM_TRACE_READING, 1 },
		{ "\x05\x80\x10\x02", 4, 0, LMM_TRACE_CORRUPT, 0 },
		{ "\x05\xfe\x0f\x02\x00\x02", 6, 0, LMM_TRACE_CORRUPT, 0 },
		{ "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, 0, LMM_TRACE_CORRUPT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(cases); i++) {
		enum lmm_trace_state end;
		uint32_t n;

		assert_int_equal(
			read_payload(LMM_CHUNK_KEY, cases[i].payload, cases[i].n, &end, &n),
			cases[i].rc);
		assert_int_equal(end, cases[i].end);
		assert_int_equal(n, cases[i].samples);
		/* nothing in front of it: it is passed over, whatever it says */
		assert_int_equal(read_payload(0, cases[i].payload, cases[i].n, &end, &n), 0);
		assert_int_equal(end, LMM_TRACE_CUT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_stands_still_costs_nothing),
		cmocka_unit_test(test_reading_may_begin_in_the_middle),
		cmocka_unit_test(test_max_size_takes_rounds_with_the_events),
		cmocka_unit_test(test_a_file_that_goes_on),
		cmocka_unit_test(test_rounds_that_cannot_be_are_refused),
		cmocka_unit_test(test_bad_payloads),
	};

	return cmocka_run_group_tests_name("trace_samples", tests, NULL, NULL);
}
