/* SPDX-License-Identifier: Apache-2.0 */
/* Cut, corrupted and hostile .lmt files: never a crash, a hang or an item that was not written. */
#include "trace_util.h"

#include <errno.h>

#include "base/bytes.h"

#define N_SAMPLES LMM_ARRAY_SIZE(sample_items)

/* Reads what there is: every item must be the one that was written. Returns their number and how the reading ended. */
static size_t read_prefix(const uint8_t *data, size_t n, enum lmm_trace_state *end, int *rc)
{
	/* a copy of just this size: a sanitizer sees reads behind it */
	uint8_t *copy = malloc(n ? n : 1);
	struct lmm_trace *tr;
	const struct lmm_item *it;
	size_t items = 0;

	assert_non_null(copy);
	memcpy(copy, data, n);
	*end = LMM_TRACE_READING;
	*rc = lmm_trace_open_memory(copy, n, &tr);
	if (*rc) {
		free(copy);
		return 0;
	}
	while ((*rc = lmm_trace_next(tr, &it)) > 0) {
		assert_true(items < N_SAMPLES);
		assert_null(item_differs(&sample_items[items], it));
		items++;
	}
	*end = lmm_trace_state(tr, NULL);
	lmm_trace_close(tr);
	free(copy);
	return items;
}

static void test_cut_at_every_byte_gives_a_prefix(void **state)
{
	(void)state;
	for (int level = 0; level <= 1; level++) {
		struct bytes b = write_items(sample_items, N_SAMPLES, level);
		size_t last = 0;

		for (size_t n = 0; n <= b.n; n++) {
			enum lmm_trace_state end;
			int rc;
			size_t items = read_prefix(b.data, n, &end, &rc);

			assert_in_range(items, last, last + 1); /* more bytes never give less */
			last = items;
			if (n < 8) {
				assert_int_equal(rc, LMM_E_NOT_LMT);
				continue;
			}
			assert_int_equal(rc, 0);
			assert_int_equal(end, n == b.n ? LMM_TRACE_COMPLETE : LMM_TRACE_CUT);
		}
		assert_int_equal(last, N_SAMPLES);
		free(b.data);
	}
}

static void test_no_flipped_bit_goes_unnoticed(void **state)
{
	(void)state;
	for (int level = 0; level <= 1; level++) {
		struct bytes b = write_items(sample_items, N_SAMPLES, level);

		for (size_t bit = 0; bit < b.n * 8; bit++) {
			enum lmm_trace_state end;
			size_t items;
			int rc;

			b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			items = read_prefix(b.data, b.n, &end, &rc);
			b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_true(items < N_SAMPLES);
			if (rc == 0)
				assert_int_equal(end, LMM_TRACE_CORRUPT);
			else
				assert_true(rc == LMM_E_NOT_LMT || rc == LMM_E_CORRUPT);
		}
		free(b.data);
	}
}

/* ---- made by hand, with checksums that are right ------------------------------------------------- */

static void start_file(struct lmm_buf *f)
{
	struct bytes b = write_items(NULL, 0, 0);

	lmm_buf_put(f, b.data, b.n);
	free(b.data);
}

static void add_chunk(struct lmm_buf *f, struct lmm_chunk c, const void *payload, size_t n)
{
	uint8_t header[LMM_CHUNK_HEADER_BYTES];

	if (!c.stored_bytes)
		c.stored_bytes = (uint32_t)n;
	if (!c.raw_bytes)
		c.raw_bytes = (uint32_t)n;
	c.payload_crc = lmm_crc32c(0, payload, n);
	lmm_chunk_put(header, &c);
	lmm_buf_put(f, header, sizeof(header));
	lmm_buf_put(f, payload, n);
}

/* Reads a file of this one chunk: 1 and *it for an item; else the rc, with the state. */
static int read_one(const struct lmm_chunk *c, const void *payload, size_t n,
		    enum lmm_trace_state *end)
{
	struct lmm_buf f = { 0 };
	struct lmm_trace *tr;
	const struct lmm_item *it;
	int rc;

	start_file(&f);
	add_chunk(&f, *c, payload, n);
	assert_int_equal(lmm_trace_open_memory(f.data, f.n, &tr), 0);
	rc = lmm_trace_next(tr, &it);
	*end = lmm_trace_state(tr, NULL);
	lmm_trace_close(tr);
	lmm_buf_free(&f);
	return rc;
}

static void assert_chunk_gives(struct lmm_chunk c, const char *payload, size_t n, int rc,
			       enum lmm_trace_state end)
{
	enum lmm_trace_state state;

	assert_int_equal(read_one(&c, payload, n, &state), rc);
	assert_int_equal(state, end);
}

static void assert_corrupt(struct lmm_chunk c, const char *payload, size_t n)
{
	assert_chunk_gives(c, payload, n, 0, LMM_TRACE_CORRUPT);
}

static void test_hostile_lengths(void **state)
{
	struct lmm_chunk clock = { .type = LMM_ITEM_CLOCK };
	struct lmm_chunk c;

	(void)state;
	c = clock; /* claims to be longer than the file */
	c.stored_bytes = c.raw_bytes = 100;
	assert_chunk_gives(c, "abc", 3, 0, LMM_TRACE_CUT);
	c.stored_bytes = c.raw_bytes = LMM_CHUNK_PAYLOAD_MAX;
	assert_chunk_gives(c, "abc", 3, 0, LMM_TRACE_CUT);
	c.stored_bytes = LMM_CHUNK_PAYLOAD_MAX + 1;
	assert_chunk_gives(c, "abc", 3, LMM_E_LIMIT, LMM_TRACE_CORRUPT);
	c = clock;
	c.raw_bytes = UINT32_MAX;
	assert_chunk_gives(c, "abc", 3, LMM_E_LIMIT, LMM_TRACE_CORRUPT);
	c.raw_bytes = 2; /* not what is stored, uncompressed */
	assert_corrupt(c, "abc", 3);
	c = clock;
	c.coding = 2;
	assert_chunk_gives(c, "abc", 3, LMM_E_CODEC, LMM_TRACE_CORRUPT);
	c.coding = LMM_CODING_ZSTD; /* no zstd frame */
	assert_corrupt(c, "abc", 3);
}

static void test_hostile_strings_and_numbers(void **state)
{
	struct lmm_chunk reason = { .type = LMM_ITEM_REASON }, stream = { .type = LMM_ITEM_STREAM };
	struct lmm_chunk clock = { .type = LMM_ITEM_CLOCK };

	(void)state;
	assert_corrupt(reason,
		       "\1\2\x0a"
		       "abc",
		       6); /* string beyond the end */
	assert_corrupt(reason, "\1\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		       12);					 /* 2^64 - 1 bytes */
	assert_corrupt(reason, "\1\2\xff", 3);			 /* half a varint */
	assert_corrupt(reason, "\1\x80\x02\0", 4);		 /* a level of 256 */
	assert_corrupt(stream, "\xff\xff\xff\xff\x1f\0\0\0", 8); /* 2^33 - 1 */
	assert_corrupt(stream, "\0\0\0\xff\xff\xff\xff\x1f", 8); /* tid beyond int32 */
	assert_corrupt(clock, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\0\0", 12); /* 65 bits */
	assert_chunk_gives(clock, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0", 12, 1,
			   LMM_TRACE_READING);
}

static void test_hostile_events(void **state)
{
	struct lmm_chunk c = { .type = LMM_ITEM_EVENTS, .count = 2 };

	(void)state;
	/* ring_from, ring_to, t0, bytes of times, tags, times */
	assert_chunk_gives(c, "\0\0\0\2\x08\x08\1\1", 8, 1, LMM_TRACE_READING);
	assert_corrupt(c, "\0\0\0\2\x08", 5);		       /* tags missing */
	assert_corrupt(c, "\0\0\0\3\x08\x08\1\1", 8);	       /* times beyond the end */
	assert_corrupt(c, "\0\0\0\1\x08\x08\1\1", 8);	       /* a time of another column */
	assert_corrupt(c, "\0\0\0\2\x0b\x0b\1\1", 8);	       /* times of four bytes each */
	assert_corrupt(c, "\0\0\0\4\x08\x08\1\1\1\1", 10);     /* times left over */
	assert_corrupt(c, "\0\0\0\2\x08\xf8\1\1", 8);	       /* rest missing */
	assert_corrupt(c, "\0\0\0\2\x08\xf8\1\1\x03\x80", 10); /* a field that there is not */
	assert_corrupt(c, "\0\0\0\2\x08\xf8\1\1\x03\x02\x80\x80\x04", 13); /* seq of 17 bits */
	assert_chunk_gives(c, "\0\0\0\2\x08\xf8\1\1\x03\x02\xff\xff\x03", 13, 1, LMM_TRACE_READING);
	c.count = LMM_READ_EVENTS_MAX + 1;
	assert_chunk_gives(c, "\0\0\0\0", 4, LMM_E_LIMIT, LMM_TRACE_CORRUPT);
	c.count = LMM_READ_EVENTS_MAX;
	assert_corrupt(c, "\0\0\0\0", 4);
}

/* Tags that ask for far more time than there is. */
static void test_events_without_times(void **state)
{
	struct lmm_chunk c = { .type = LMM_ITEM_EVENTS, .count = LMM_READ_EVENTS_MAX };
	static char payload[4 + LMM_READ_EVENTS_MAX];

	(void)state;
	memset(payload + 4, 0x0b, LMM_READ_EVENTS_MAX);
	assert_corrupt(c, payload, sizeof(payload));
	memset(payload + 4, 0xfb, LMM_READ_EVENTS_MAX); /* OTHER, and no rest either */
	assert_corrupt(c, payload, sizeof(payload));
}

static void test_hostile_graphs(void **state)
{
	struct lmm_chunk c = { .type = LMM_ITEM_GRAPH };
	/* process, graph, tokens; strings, shapes, nodes and further varints of each */
	static const char good[] = "\0\0\0"
				   "\1\0"
				   "\1\0\0\0\0\0"
				   "\1\0"
				   "\0\0\0\0\0\0\0\0\0\0\0";

	(void)state;
	assert_chunk_gives(c, good, sizeof(good) - 1, 1, LMM_TRACE_READING);
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_corrupt(c, good, n);
	assert_corrupt(c,
		       "\0\0\0"
		       "\x7f"
		       "abc",
		       7); /* 127 strings in three bytes */
	assert_chunk_gives(c, "\0\0\0\xff\xff\xff\xff\x0f", 8, LMM_E_LIMIT, LMM_TRACE_CORRUPT);
	assert_chunk_gives(c, "\0\0\0\0\xff\xff\xff\xff\x0f", 9, LMM_E_LIMIT, LMM_TRACE_CORRUPT);
	assert_chunk_gives(c, "\0\0\0\0\0\xff\xff\xff\xff\x0f\0", 11, LMM_E_LIMIT,
			   LMM_TRACE_CORRUPT);
	assert_corrupt(c, "\0\0\0\0\0\xff\xff\3\0", 9); /* 65,535 nodes in no bytes */
	assert_corrupt(c,
		       "\0\0\0"
		       "\1\0"
		       "\1\1\0\0\0\0",
		       11); /* a type that is no string */
	assert_corrupt(c,
		       "\0\0\0"
		       "\1\0"
		       "\1\0\0\0\0\0"
		       "\1\0"
		       "\1\0\0\0\0\0\0\0\0\0\0",
		       24);
	assert_corrupt(c,
		       "\0\0\0"
		       "\1\0"
		       "\1\0\0\0\0\0"
		       "\1\0"
		       "\0\0\0\0\0\0\0\0\0\0\1",
		       24);
	/* five sources */
	assert_corrupt(c,
		       "\0\0\0"
		       "\1\0"
		       "\1\0\0\0\0\0"
		       "\1\0"
		       "\0\0\0\0\0\0\5\0\0\0\0\0\0\0\0\0",
		       29);
	/* more varints behind each node than there are bytes */
	assert_corrupt(c,
		       "\0\0\0"
		       "\1\0"
		       "\1\0\0\0\0\0"
		       "\1\x7f"
		       "\0\0\0\0\0\0\0\0\0\0\0",
		       24);
}

/* ---- later and earlier versions ------------------------------------------------------------------ */

static void test_unknown_kinds_and_fields_are_passed_over(void **state)
{
	struct lmm_chunk unknown = { .type = 200, .coding = 77, .flags = 0xfffe };
	struct lmm_chunk loss = { .type = LMM_ITEM_LOSS, .flags = 0x8000 };
	struct lmm_chunk graph = { .type = LMM_ITEM_GRAPH };
	/* one node with two more varints, and something behind it all */
	static const char wide[] = "\1\2\3"
				   "\1\1x"
				   "\1\0\2\4\6\x08"
				   "\1\2"
				   "\0\0\0\0\0\0\0\0\0\0\0"
				   "\x81\1\0"
				   "future";
	struct lmm_node node = {
		.name = "x", .op = "x", .weight = "x", .out = { "x", { 1, 2, 3, 4 } }
	};
	struct lmm_item expected[] = {
		{ .kind = LMM_ITEM_LOSS, .loss = { .stream = 1, .emitted = 2, .lost = 3 } },
		{ .kind = LMM_ITEM_LOSS, .loss = { .stream = 4, .emitted = 5, .lost = 0 } },
		{ .kind = LMM_ITEM_GRAPH,
		  .graph = { .process = 1,
			     .graph = 2,
			     .n_tokens = 3,
			     .n_nodes = 1,
			     .nodes = &node } },
	};
	struct lmm_buf f = { 0 };
	struct bytes b;

	(void)state;
	start_file(&f);
	add_chunk(&f, unknown, "whatever", 8);
	add_chunk(&f, loss, "\1\2\3\4\5\6", 6);
	unknown.type = 0;
	add_chunk(&f, unknown, "", 0);
	add_chunk(&f, loss, "\4\5", 2);
	add_chunk(&f, graph, wide, sizeof(wide) - 1);
	b = (struct bytes){ f.data, f.n };
	assert_reads(&b, expected, LMM_ARRAY_SIZE(expected), LMM_TRACE_CUT);
	lmm_buf_free(&f);
}

static void patch_header(struct lmm_buf *f, size_t at, const void *bytes, size_t n)
{
	uint32_t crc;

	memcpy(f->data + at, bytes, n);
	crc = lmm_crc32c(0, f->data, 60);
	memcpy(f->data + 60, &crc, 4);
}

static int open_rc(const struct lmm_buf *f)
{
	struct lmm_trace *tr;
	int rc = lmm_trace_open_memory(f->data, f->n, &tr);

	assert_true(rc == 0 ? tr != NULL : tr == NULL);
	lmm_trace_close(tr);
	return rc;
}

static void test_newer_file_versions(void **state)
{
	struct lmm_buf f = { 0 };
	uint16_t two = 2;
	uint32_t bytes = 100;
	uint8_t more[36] = { 1, 2, 3 };
	struct lmm_chunk loss = { .type = LMM_ITEM_LOSS };
	struct lmm_item expected = { .kind = LMM_ITEM_LOSS, .loss = { .stream = 1 } };
	struct bytes b;

	(void)state;
	start_file(&f);
	patch_header(&f, 8, &two, 2); /* written by version 2, readable by 1 */
	assert_int_equal(open_rc(&f), 0);
	patch_header(&f, 16, &bytes, 4); /* with a longer header */
	lmm_buf_put(&f, more, sizeof(more));
	add_chunk(&f, loss, "\1", 1);
	b = (struct bytes){ f.data, f.n };
	assert_reads(&b, &expected, 1, LMM_TRACE_CUT);
	patch_header(&f, 10, &two, 2); /* not readable by 1 */
	assert_int_equal(open_rc(&f), LMM_E_VERSION);
	bytes = 63;
	two = 1;
	patch_header(&f, 10, &two, 2);
	patch_header(&f, 16, &bytes, 4);
	assert_int_equal(open_rc(&f), LMM_E_CORRUPT);
	bytes = 4097;
	patch_header(&f, 16, &bytes, 4);
	assert_int_equal(open_rc(&f), LMM_E_CORRUPT);
	lmm_buf_free(&f);
}

static void test_what_is_no_trace(void **state)
{
	struct lmm_trace *tr;
	const char *path = temp_path("other");

	(void)state;
	assert_int_equal(lmm_trace_open(temp_path("absent"), &tr), -ENOENT);
	assert_null(tr);
	assert_int_equal(lmm_trace_open("/tmp", &tr), -EISDIR);
	assert_int_equal(lmm_trace_open("/dev/null", &tr), -ESPIPE);
	path = temp_path("other");
	write_whole(path, "", 0);
	assert_int_equal(lmm_trace_open(path, &tr), LMM_E_NOT_LMT);
	write_whole(path, "\x89PNG\r\n\x1a\n and more than 64 bytes, so that it looks like one",
		    58);
	assert_int_equal(lmm_trace_open(path, &tr), LMM_E_NOT_LMT);
	assert_null(tr);
	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(lmm_trace_open(path, &tr), -ESPIPE);
	lmm_trace_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_at_every_byte_gives_a_prefix),
		cmocka_unit_test(test_no_flipped_bit_goes_unnoticed),
		cmocka_unit_test(test_hostile_lengths),
		cmocka_unit_test(test_hostile_strings_and_numbers),
		cmocka_unit_test(test_hostile_events),
		cmocka_unit_test(test_events_without_times),
		cmocka_unit_test(test_hostile_graphs),
		cmocka_unit_test(test_unknown_kinds_and_fields_are_passed_over),
		cmocka_unit_test(test_newer_file_versions),
		cmocka_unit_test(test_what_is_no_trace),
	};

	return cmocka_run_group_tests_name("trace_damage", tests, NULL, NULL);
}
