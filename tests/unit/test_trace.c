/* SPDX-License-Identifier: Apache-2.0 */
/* What is written to a .lmt file is what is read from it. */
#include "trace_util.h"

#include <errno.h>

#define N_SAMPLES LMM_ARRAY_SIZE(sample_items)

static void test_every_kind_round_trips(void **state)
{
	(void)state;
	for (int level = 0; level <= 3; level++) {
		struct bytes b = write_items(sample_items, N_SAMPLES, level);

		assert_reads(&b, sample_items, N_SAMPLES, LMM_TRACE_COMPLETE);
		free(b.data);
	}
}

static void test_file_and_memory_read_alike(void **state)
{
	struct bytes b = write_items(sample_items, N_SAMPLES, 1);
	const char *path = temp_path("file.lmt");
	struct lmm_trace *tr;
	const struct lmm_item *it;
	uint64_t offset;

	(void)state;
	write_whole(path, b.data, b.n);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N_SAMPLES; i++) {
			assert_int_equal(lmm_trace_next(tr, &it), 1);
			assert_null(item_differs(&sample_items[i], it));
			assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_READING);
		}
		assert_int_equal(lmm_trace_next(tr, &it), 0);
		assert_null(it);
		assert_int_equal(lmm_trace_state(tr, &offset), LMM_TRACE_COMPLETE);
		assert_int_equal(offset, b.n);
		assert_int_equal(lmm_trace_rewind(tr), 0);
	}
	lmm_trace_close(tr);
	free(b.data);
}

static void test_null_strings_read_as_empty(void **state)
{
	struct lmm_item items[2] = { { .kind = LMM_ITEM_MODEL }, { .kind = LMM_ITEM_GRAPH } };
	struct lmm_node node = { .op = NULL };
	struct bytes b;

	(void)state;
	items[1].graph.nodes = &node;
	items[1].graph.n_nodes = 1;
	b = write_items(items, 2, 0);
	assert_reads(&b, items, 2, LMM_TRACE_CUT);
	free(b.data);
}

static void test_long_strings_are_cut_between_characters(void **state)
{
	struct lmm_item item = { .kind = LMM_ITEM_REASON };
	const struct lmm_item *it;
	struct lmm_trace *tr;
	size_t n = 300000;
	char *text = malloc(n + 1);
	struct bytes b;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		text[i] = "\xe2\x82\xac"[i % 3]; /* 65535 is a multiple of 3 … */
	text[0] = 'x';				 /* … so shift by one: x is alone */
	memmove(text + 1, text, n - 1);
	text[0] = 'x';
	text[1] = '\xe2';
	text[n] = '\0';
	item.reason.text = text;
	b = write_items(&item, 1, 1);
	assert_int_equal(lmm_trace_open_memory(b.data, b.n, &tr), 0);
	assert_int_equal(lmm_trace_next(tr, &it), 1);
	/* 1 + 3 * 21844 = 65533, the next would end at 65536 */
	assert_int_equal(strlen(it->reason.text), 65533);
	assert_memory_equal(it->reason.text, text, 65533);
	lmm_trace_close(tr);
	free(b.data);
	free(text);
}

/* ---- events ------------------------------------------------------------------------------------- */

static const uint64_t extremes[] = { 0,
				     1,
				     127,
				     128,
				     255,
				     256,
				     65535,
				     65536,
				     0xffffff,
				     0x1000000,
				     0x7fffffff,
				     0x80000000,
				     0xffffffff,
				     0x100000000,
				     0x7fffffffffffffff,
				     0x8000000000000000,
				     0xffffffffffffffff };
#define N_EXTREMES LMM_ARRAY_SIZE(extremes)

static void assert_events_round_trip(struct lmm_event *ev, uint32_t n, int level)
{
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };
	struct bytes b;

	item.events.stream = 1;
	item.events.ev = ev;
	item.events.n = n;
	b = write_items(&item, 1, level);
	assert_reads(&b, &item, 1, LMM_TRACE_CUT);
	free(b.data);
}

/* Every type there can be, with every extreme in every field, in an order that jumps about. */
static void test_every_event_type_with_extreme_values(void **state)
{
	struct lmm_event ev[N_EXTREMES * 7];
	uint64_t random = 42;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint32_t n = 0;

		for (unsigned field = 0; field < 7; field++) {
			for (unsigned i = 0; i < N_EXTREMES; i++) {
				uint64_t r = next_random(&random);
				uint64_t x = extremes[i];

				ev[n++] = (struct lmm_event){
					.t = field == 0 ? x : r % 1000000,
					.type = (uint8_t)(field == 6 ? r >> 40 : type),
					.phase = (uint8_t)(field == 1 ? x : 0),
					.seq = (uint16_t)(field == 2 ? x : LMM_SEQ_NONE),
					.id = (uint32_t)(field == 3 ? x : r >> 50),
					.a = field == 4 ? x : r,
					.b = field == 5 ? x : r >> 3,
				};
			}
		}
		assert_events_round_trip(ev, n, 0);
	}
}

static void test_random_event_streams(void **state)
{
	static struct lmm_event ev[5000];
	uint64_t random = 7;

	(void)state;
	for (int round = 0; round < 200; round++) {
		uint32_t n = (uint32_t)(next_random(&random) % LMM_ARRAY_SIZE(ev));
		unsigned wildness = (unsigned)(next_random(&random) % 4);
		uint64_t t = next_random(&random);
		uint32_t node = 0;

		for (uint32_t i = 0; i < n; i++) {
			uint64_t r = next_random(&random);

			t += wildness == 3 ? r : r % (1u << (8 * wildness + 4));
			node = r % 97 == 0 ? (uint32_t)(r >> 32) : node + (uint32_t)(r >> 20) % 40;
			ev[i] = (struct lmm_event){ .t = t,
						    .type = LMM_EV_OP + (r >> 60 == 1),
						    .seq = LMM_SEQ_NONE,
						    .id = node };
			if ((r >> 8) % 8 > wildness * 2)
				continue;
			ev[i].type = (uint8_t)(r >> 16);
			ev[i].phase = (uint8_t)(r >> 24);
			ev[i].seq = (uint16_t)(r >> 32);
			ev[i].a = next_random(&random) >> (r >> 56 & 63);
			ev[i].b = next_random(&random) >> (r >> 50 & 63);
		}
		assert_events_round_trip(ev, n ? n : 1, round & 1);
	}
}

static void test_operators_take_few_bytes(void **state)
{
	static struct lmm_event ev[8192];
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };
	struct bytes b;

	(void)state;
	/* 1,000 to 130,000 ticks, node after node: a tag and two or three bytes of time */
	for (uint32_t i = 0; i < 8192; i++)
		ev[i] = (struct lmm_event){ .t = 1ull << 50 | i * 40000ull,
					    .type = LMM_EV_OP,
					    .seq = LMM_SEQ_NONE,
					    .id = i % 515 * 2 };
	item.events.ev = ev;
	item.events.n = 8192;
	b = write_items(&item, 1, 0);
	assert_in_range(b.n, 64 + 32 + 8192 * 3, 64 + 32 + 8192 * 3 + 100);
	free(b.data);
}

/* ---- batches ------------------------------------------------------------------------------------ */

static void test_long_batch_is_split_and_only_its_last_part_moves_the_ring(void **state)
{
	uint32_t n = 3 * 8192 + 5;
	struct lmm_event *ev = calloc(n, sizeof(*ev));
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS }, parts[4];
	struct bytes b;

	(void)state;
	assert_non_null(ev);
	for (uint32_t i = 0; i < n; i++)
		ev[i] = (struct lmm_event){
			.t = i * 7ull, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = i
		};
	item.events = (struct lmm_events){
		.stream = 3, .n = n, .ev = ev, .ring_from = 50, .ring_to = 99999
	};
	b = write_items(&item, 1, 1);
	for (uint32_t i = 0; i < 4; i++) {
		parts[i] = item;
		parts[i].events.ev = ev + (size_t)i * 8192;
		parts[i].events.n = i < 3 ? 8192 : 5;
		parts[i].events.ring_to = i < 3 ? 50 : 99999;
	}
	assert_reads(&b, parts, 4, LMM_TRACE_CUT);
	free(b.data);
	free(ev);
}

static struct lmm_item batch(uint32_t stream, const struct lmm_event *ev, uint32_t n, uint64_t from,
			     uint64_t to)
{
	return (struct lmm_item){
		.kind = LMM_ITEM_EVENTS,
		.events = { .stream = stream, .n = n, .ev = ev, .ring_from = from, .ring_to = to }
	};
}

static void test_adjacent_batches_of_a_stream_become_one(void **state)
{
	const struct lmm_event *ev = sample_events;
	struct lmm_item in[] = {
		batch(1, ev, 2, 10, 12),
		batch(1, ev + 2, 2, 12, 15), /* join */
		batch(1, ev, 1, 16, 17),     /* a hole in between */
		batch(2, ev, 1, 17, 18),     /* another stream */
		batch(2, NULL, 0, 18, 20),
		batch(2, NULL, 0, 20, 20), /* no events, but the ring moved */
	};
	struct lmm_item expected[] = {
		batch(1, ev, 4, 10, 15),
		batch(1, ev, 1, 16, 17),
		batch(2, ev, 1, 17, 20),
	};
	struct bytes b = write_items(in, LMM_ARRAY_SIZE(in), 0);

	(void)state;
	assert_reads(&b, expected, LMM_ARRAY_SIZE(expected), LMM_TRACE_CUT);
	free(b.data);
}

/* A file that is being written is read as far as it goes, and further when there is more. */
static void test_reader_follows_a_writer(void **state)
{
	const char *path = temp_path("follow.lmt");
	struct lmm_codec *codec = lmm_zstd_codec_create(1);
	struct lmm_trace_writer_opts opts = { .codec = codec };
	struct lmm_trace_writer *w;
	struct lmm_trace *tr;
	const struct lmm_item *it;

	(void)state;
	assert_int_equal(lmm_trace_writer_open(path, &opts, &w), 0);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	for (size_t i = 0; i < N_SAMPLES; i++) {
		assert_int_equal(lmm_trace_next(tr, &it), 0);
		assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_CUT);
		assert_int_equal(lmm_trace_writer_item(w, &sample_items[i]), 0);
		assert_int_equal(lmm_trace_writer_flush(w), 0);
		assert_int_equal(lmm_trace_next(tr, &it), 1);
		assert_null(item_differs(&sample_items[i], it));
	}
	assert_int_equal(lmm_trace_next(tr, &it), 0);
	assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_COMPLETE);
	lmm_trace_close(tr);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	lmm_zstd_codec_destroy(codec);
}

static void test_clock_items_give_nanoseconds(void **state)
{
	struct lmm_item items[] = {
		{ .kind = LMM_ITEM_CLOCK, .clock = { .ticks = 1000, .mono_ns = 5000 } },
		{ .kind = LMM_ITEM_CLOCK, .clock = { .ticks = 3000, .mono_ns = 6000 } },
	};
	struct bytes b = write_items(items, 2, 0);
	const struct lmm_item *it;
	struct lmm_trace *tr;

	(void)state;
	assert_int_equal(lmm_trace_open_memory(b.data, b.n, &tr), 0);
	assert_int_equal(lmm_trace_ns(tr, 77), 77);
	assert_int_equal(lmm_trace_next(tr, &it), 1);
	assert_int_equal(lmm_trace_next(tr, &it), 1);
	assert_int_equal(lmm_trace_ns(tr, 2000), 5500);
	assert_int_equal(lmm_trace_ns(tr, 4000), 6500);
	assert_int_equal(lmm_trace_ns(tr, 0), 4500);
	lmm_trace_close(tr);
	free(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_round_trips),
		cmocka_unit_test(test_file_and_memory_read_alike),
		cmocka_unit_test(test_null_strings_read_as_empty),
		cmocka_unit_test(test_long_strings_are_cut_between_characters),
		cmocka_unit_test(test_every_event_type_with_extreme_values),
		cmocka_unit_test(test_random_event_streams),
		cmocka_unit_test(test_operators_take_few_bytes),
		cmocka_unit_test(test_long_batch_is_split_and_only_its_last_part_moves_the_ring),
		cmocka_unit_test(test_adjacent_batches_of_a_stream_become_one),
		cmocka_unit_test(test_reader_follows_a_writer),
		cmocka_unit_test(test_clock_items_give_nanoseconds),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
