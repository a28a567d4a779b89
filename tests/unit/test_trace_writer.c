/* SPDX-License-Identifier: Apache-2.0 */
/* The .lmt writer when things go wrong or too large: full disks, files that exist, cut files, --max-size. */
#include "trace_util.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define N_SAMPLES LMM_ARRAY_SIZE(sample_items)

/* ---- what a batch is made of: recognised when it is read back ------------------------------------ */

#define BATCH_EVENTS 1000

/* Batch number k of a stream: incompressible times, ring positions k * 1000 … */
static struct lmm_item make_batch(uint32_t stream, uint64_t k, struct lmm_event ev[BATCH_EVENTS])
{
	uint64_t random = k * 2 + 1;
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };

	for (uint32_t i = 0; i < BATCH_EVENTS; i++)
		ev[i] = (struct lmm_event){ .t = (k << 32) + (uint64_t)i * 70000 +
						 next_random(&random) % 65536,
					    .type = LMM_EV_OP,
					    .seq = LMM_SEQ_NONE,
					    .id = i };
	item.events = (struct lmm_events){ .stream = stream,
					   .n = BATCH_EVENTS,
					   .ev = ev,
					   .ring_from = k * BATCH_EVENTS,
					   .ring_to = (k + 1) * BATCH_EVENTS };
	return item;
}

static void assert_is_batch(const struct lmm_item *it, uint64_t k)
{
	static struct lmm_event ev[BATCH_EVENTS];
	struct lmm_item expected = make_batch(it->events.stream, k, ev);

	assert_null(item_differs(&expected, it));
}

static struct lmm_trace_writer *open_writer(const char *path, uint64_t max_size_bytes)
{
	struct lmm_trace_writer_opts opts = { .max_size_bytes = max_size_bytes };
	struct lmm_trace_writer *w;

	assert_int_equal(lmm_trace_writer_open(path, &opts, &w), 0);
	assert_non_null(w);
	return w;
}

static int put_batch(struct lmm_trace_writer *w, uint32_t stream, uint64_t k)
{
	static struct lmm_event ev[BATCH_EVENTS];
	struct lmm_item item = make_batch(stream, k, ev);
	int rc = lmm_trace_writer_item(w, &item);

	return rc ? rc : lmm_trace_writer_flush(w);
}

/* ---- creation ----------------------------------------------------------------------------------- */

static void test_an_existing_file_is_never_overwritten(void **state)
{
	const char *path = temp_path("exists");
	struct lmm_trace_writer *w = (struct lmm_trace_writer *)1;
	struct bytes b;

	(void)state;
	write_whole(path, "precious", 8);
	assert_int_equal(lmm_trace_writer_open(path, NULL, &w), -EEXIST);
	assert_null(w);
	b = read_whole(path);
	assert_int_equal(b.n, 8);
	free(b.data);
	assert_int_equal(lmm_trace_writer_open(temp_path("no/such/folder"), NULL, &w), -ENOENT);
	assert_int_equal(lmm_trace_writer_close(NULL), 0);
}

static void test_the_file_is_private(void **state)
{
	const char *path = temp_path("private.lmt");
	struct lmm_trace_writer *w;
	mode_t mask = umask(0);
	struct stat st;

	(void)state;
	w = open_writer(path, 0);
	(void)umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(lmm_trace_writer_close(w), 0);
}

static void test_bad_items_leave_the_writer_in_order(void **state)
{
	const char *path = temp_path("bad_items.lmt");
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct lmm_item bad = { .kind = (enum lmm_item_kind)99 };
	struct lmm_item large = { .kind = LMM_ITEM_CHECKPOINT };
	struct lmm_item wide = { .kind = LMM_ITEM_GRAPH };
	struct bytes b;

	(void)state;
	assert_int_equal(lmm_trace_writer_item(w, &bad), -EINVAL);
	large.checkpoint.data = "";
	large.checkpoint.size_bytes = (size_t)LMM_CHUNK_PAYLOAD_MAX + 1;
	assert_int_equal(lmm_trace_writer_item(w, &large), LMM_E_LIMIT);
	wide.graph.n_nodes = LMM_READ_NODES_MAX + 1;
	assert_int_equal(lmm_trace_writer_item(w, &wide), LMM_E_LIMIT);
	for (size_t i = 0; i < N_SAMPLES; i++)
		assert_int_equal(lmm_trace_writer_item(w, &sample_items[i]), 0);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	b = read_whole(path);
	assert_reads(&b, sample_items, N_SAMPLES, LMM_TRACE_COMPLETE);
	free(b.data);
}

/* ---- full disks --------------------------------------------------------------------------------- */

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk that is full at any byte whatever: whole items up to there, the same error from then on. */
static void test_full_disk_leaves_whole_items(void **state)
{
	struct bytes whole = write_items(sample_items, N_SAMPLES, 0);
	const char *path = temp_path("full.lmt");

	(void)state;
	for (size_t room = 0; room <= whole.n; room++) {
		struct lmm_trace_writer *w;
		struct bytes b;
		size_t taken = 0;
		int rc;

		limit_file_size(room);
		rc = lmm_trace_writer_open(path, NULL, &w);
		if (room < LMM_FILE_HEADER_BYTES) {
			assert_int_equal(rc, -EFBIG);
			assert_int_equal(access(path, F_OK), -1); /* nothing is left behind */
			continue;
		}
		assert_int_equal(rc, 0);
		while (taken < N_SAMPLES && rc == 0) {
			rc = lmm_trace_writer_item(w, &sample_items[taken]);
			if (rc == 0)
				rc = lmm_trace_writer_flush(w);
			taken += rc == 0;
		}
		assert_int_equal(rc, room < whole.n ? -EFBIG : 0);
		limit_file_size(RLIM_INFINITY);
		/* sticky, even if there is room again */
		assert_int_equal(lmm_trace_writer_flush(w), rc);
		assert_int_equal(lmm_trace_writer_item(w, &sample_items[0]), rc);
		assert_int_equal(lmm_trace_writer_close(w), rc);
		if (rc == 0)
			break;
		b = read_whole(path);
		assert_true(b.n <= room);
		assert_reads(&b, sample_items, taken, LMM_TRACE_CUT);
		free(b.data);
		(void)unlink(path);
	}
	limit_file_size(RLIM_INFINITY);
	(void)unlink(path);
	free(whole.data);
}

/* Several items in one write, of which some fit. */
static void test_full_disk_in_the_middle_of_many_items(void **state)
{
	const char *path = temp_path("full2.lmt");
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct lmm_item item = { .kind = LMM_ITEM_LOSS };
	const struct lmm_item *it;
	struct lmm_trace *tr;
	uint64_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		item.loss.emitted = i;
		assert_int_equal(lmm_trace_writer_item(w, &item), 0);
	}
	limit_file_size(20000);
	assert_int_equal(lmm_trace_writer_close(w), -EFBIG);
	limit_file_size(RLIM_INFINITY);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	while (lmm_trace_next(tr, &it) == 1)
		assert_int_equal(it->loss.emitted, n++);
	assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_CUT);
	/* 32 bytes and a payload of three or four each */
	assert_in_range(n, (20000 - 64) / 36 - 1, (20000 - 64) / 35);
	lmm_trace_close(tr);
	(void)unlink(path);
}

/* A batch in several chunks is in the file as a whole or not at all. */
static void test_full_disk_takes_back_half_a_batch(void **state)
{
	static struct lmm_event ev[20000];
	const char *path = temp_path("full3.lmt");
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };
	struct lmm_trace_writer *w = open_writer(path, 0);
	struct bytes b;

	(void)state;
	for (uint32_t i = 0; i < LMM_ARRAY_SIZE(ev); i++)
		ev[i] = (struct lmm_event){
			.t = i, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = i
		};
	item.events = (struct lmm_events){ .n = LMM_ARRAY_SIZE(ev), .ev = ev, .ring_to = 20000 };
	assert_int_equal(lmm_trace_writer_item(w, &sample_items[0]), 0);
	assert_int_equal(lmm_trace_writer_item(w, &item), 0);
	limit_file_size(30000); /* the first part fits, the third does not */
	assert_int_equal(lmm_trace_writer_close(w), -EFBIG);
	limit_file_size(RLIM_INFINITY);
	b = read_whole(path);
	assert_reads(&b, sample_items, 1, LMM_TRACE_CUT);
	free(b.data);
	(void)unlink(path);
}

/* ---- going on with a cut file ------------------------------------------------------------------- */

static void test_append_goes_on_at_any_cut(void **state)
{
	struct bytes whole = write_items(sample_items, N_SAMPLES, 1);
	const char *path = temp_path("append.lmt");

	(void)state;
	for (size_t n = 0; n <= whole.n; n++) {
		struct lmm_trace_writer *w;
		struct lmm_trace *tr;
		const struct lmm_item *it;
		struct bytes b;
		size_t have = 0;
		int rc;

		write_whole(path, whole.data, n);
		rc = lmm_trace_writer_open_append(path, NULL, &w);
		if (n < LMM_FILE_HEADER_BYTES) {
			assert_int_equal(rc, LMM_E_NOT_LMT);
			assert_null(w);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(lmm_trace_open(path, &tr), 0);
		while (lmm_trace_next(tr, &it) > 0)
			have++;
		lmm_trace_close(tr);
		for (size_t i = have; i < N_SAMPLES; i++)
			assert_int_equal(lmm_trace_writer_item(w, &sample_items[i]), 0);
		assert_int_equal(lmm_trace_writer_close(w), 0);
		b = read_whole(path);
		assert_reads(&b, sample_items, N_SAMPLES, LMM_TRACE_COMPLETE);
		free(b.data);
	}
	(void)unlink(path);
	free(whole.data);
}

static void test_append_takes_back_half_a_batch(void **state)
{
	static struct lmm_event ev[20000];
	struct lmm_item items[2] = { sample_items[0], { .kind = LMM_ITEM_EVENTS } };
	const char *path = temp_path("append2.lmt");
	struct lmm_trace_writer *w;
	struct bytes b;

	(void)state;
	for (uint32_t i = 0; i < LMM_ARRAY_SIZE(ev); i++)
		ev[i] = (struct lmm_event){ .t = i, .type = LMM_EV_TOKEN, .id = i };
	items[1].events =
		(struct lmm_events){ .n = LMM_ARRAY_SIZE(ev), .ev = ev, .ring_to = 20000 };
	b = write_items(items, 2, 0);
	write_whole(path, b.data, b.n - 1);
	free(b.data);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &w), 0);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	b = read_whole(path);
	assert_reads(&b, items, 1, LMM_TRACE_CUT);
	free(b.data);
}

/* What a reader has seen of the chunk that was cut is not what a recovery puts in its place. */
static void test_reader_follows_a_recovery(void **state)
{
	struct bytes whole = write_items(sample_items, 2, 0);
	const char *path = temp_path("append4.lmt");
	struct lmm_trace_writer *w;
	struct lmm_trace *tr;
	const struct lmm_item *it;

	(void)state;
	write_whole(path, whole.data, whole.n - 1);
	free(whole.data);
	assert_int_equal(lmm_trace_open(path, &tr), 0);
	assert_int_equal(lmm_trace_next(tr, &it), 1);
	assert_int_equal(lmm_trace_next(tr, &it), 0);
	assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_CUT);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &w), 0);
	assert_int_equal(lmm_trace_writer_item(w, &sample_items[3]), 0);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_next(tr, &it), 1);
	assert_null(item_differs(&sample_items[3], it));
	lmm_trace_close(tr);
	(void)unlink(path);
}

static void test_append_refuses_what_it_would_destroy(void **state)
{
	struct bytes whole = write_items(sample_items, N_SAMPLES, 0);
	const char *path = temp_path("append3.lmt");
	struct lmm_trace_writer *w, *other;
	struct bytes after;

	(void)state;
	/* a damaged chunk in the middle */
	whole.data[whole.n / 2] ^= 1;
	write_whole(path, whole.data, whole.n);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &w), LMM_E_CORRUPT);
	after = read_whole(path);
	assert_int_equal(after.n, whole.n);
	assert_memory_equal(after.data, whole.data, whole.n);
	free(after.data);
	free(whole.data);
	/* no trace at all */
	write_whole(path, "precious", 8);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &w), LMM_E_NOT_LMT);
	(void)unlink(path);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &w), -ENOENT);
	/* somebody writes it */
	w = open_writer(path, 0);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &other), -EBUSY);
	assert_null(other);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_writer_open_append(path, NULL, &other), 0);
	assert_int_equal(lmm_trace_writer_close(other), 0);
}

/* ---- --max-size --------------------------------------------------------------------------------- */

static void put_checkpoint(struct lmm_trace_writer *w, uint64_t number)
{
	struct lmm_item item = { .kind = LMM_ITEM_CHECKPOINT };

	item.checkpoint.data = &number;
	item.checkpoint.size_bytes = sizeof(number);
	assert_int_equal(lmm_trace_writer_item(w, &item), 0);
}

/* What a compacted file must hold: batches from a first on without a hole, the newest checkpoint, sums that agree. */
static void check_compacted(const char *path, uint64_t batches, uint64_t checkpoint,
			    const struct lmm_dropped *dropped)
{
	uint64_t first = 0, next = 0, checkpoints = 0, others = 0, losses = 0;
	struct lmm_dropped said = { 0, 0 };
	const struct lmm_item *it;
	struct lmm_trace *tr;

	assert_int_equal(lmm_trace_open(path, &tr), 0);
	while (lmm_trace_next(tr, &it) > 0) {
		switch (it->kind) {
		case LMM_ITEM_EVENTS:
			if (!next)
				first = next = it->events.ring_from / BATCH_EVENTS;
			assert_is_batch(it, next++);
			break;
		case LMM_ITEM_CHECKPOINT:
			checkpoints++;
			assert_memory_equal(it->checkpoint.data, &checkpoint, sizeof(checkpoint));
			break;
		case LMM_ITEM_DROPPED:
			assert_int_equal(said.batches, 0);
			said = it->dropped;
			break;
		case LMM_ITEM_LOSS:
			losses++;
			assert_int_equal(it->loss.emitted, batches);
			break;
		default:
			others++;
		}
	}
	assert_int_equal(lmm_trace_state(tr, NULL), LMM_TRACE_CUT);
	lmm_trace_close(tr);
	assert_int_equal(next, batches);
	assert_int_equal(said.batches, first);
	assert_int_equal(said.events, first * BATCH_EVENTS);
	assert_int_equal(dropped->batches, said.batches);
	assert_int_equal(dropped->events, said.events);
	assert_int_equal(checkpoints, checkpoint ? 1 : 0);
	assert_int_equal(losses, 1);
	assert_int_equal(others, 2);
}

static void assert_only_file(const char *name)
{
	DIR *d = opendir(temp_folder);
	struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.' || entry->d_name[1] > '.')
			assert_string_equal(entry->d_name, name);
	(void)closedir(d);
}

static void test_compaction_keeps_the_newest_and_counts_exactly(void **state)
{
	const char *path = temp_path("max.lmt");
	char folder[64];
	struct lmm_trace_writer *w = open_writer(path, 100000);
	struct lmm_item loss = { .kind = LMM_ITEM_LOSS, .loss = { .stream = 7 } };
	uint64_t compactions = 0;
	struct lmm_dropped dropped;

	(void)state;
	/* the traced program may change its directory */
	assert_non_null(getcwd(folder, sizeof(folder)));
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(lmm_trace_writer_item(w, &sample_items[0]), 0);
	assert_int_equal(lmm_trace_writer_item(w, &sample_items[4]), 0);
	for (uint64_t k = 0; k < 400; k++) {
		assert_int_equal(put_batch(w, 5, k), 0);
		loss.loss.emitted = k + 1;
		assert_int_equal(lmm_trace_writer_item(w, &loss), 0);
		assert_true(lmm_trace_writer_size_bytes(w) < 105000);
		if (!lmm_trace_writer_is_full(w))
			continue;
		put_checkpoint(w, ++compactions);
		assert_int_equal(lmm_trace_writer_compact(w), 0);
		assert_false(lmm_trace_writer_is_full(w));
		assert_in_range(lmm_trace_writer_size_bytes(w), 45000, 60000);
		lmm_trace_writer_dropped(w, &dropped);
		check_compacted(path, k + 1, compactions, &dropped);
	}
	assert_in_range(compactions, 20, 30); /* 400 batches of 3 kB, 50 kB at a time */
	lmm_trace_writer_dropped(w, &dropped);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(chdir(folder), 0);
	assert_only_file("max.lmt");
	(void)unlink(path);
}

/* A recovery goes on with the sums that the file says. */
static void test_dropped_sums_survive_append(void **state)
{
	const char *path = temp_path("max2.lmt");
	struct lmm_trace_writer_opts opts = { .max_size_bytes = 20000 };
	struct lmm_trace_writer *w = open_writer(path, opts.max_size_bytes);
	struct lmm_dropped before, after;

	(void)state;
	for (uint64_t k = 0; k < 10; k++)
		assert_int_equal(put_batch(w, 5, k), 0);
	assert_int_equal(lmm_trace_writer_compact(w), 0);
	lmm_trace_writer_dropped(w, &before);
	assert_in_range(before.batches, 5, 6);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_writer_open_append(path, &opts, &w), 0);
	lmm_trace_writer_dropped(w, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(lmm_trace_writer_compact(w), 0);
	lmm_trace_writer_dropped(w, &after);
	assert_in_range(after.batches, before.batches + 2, before.batches + 3);
	assert_int_equal(after.events, after.batches * BATCH_EVENTS);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	(void)unlink(path);
}

/* Graphs are not thrown away: a limit below them must not make every batch a rewrite. */
static void test_a_limit_that_cannot_be_held_does_not_thrash(void **state)
{
	const char *path = temp_path("max3.lmt");
	struct lmm_trace_writer *w = open_writer(path, 4000);
	static char text[60000];
	struct lmm_item item = { .kind = LMM_ITEM_REASON, .reason = { .text = text } };
	unsigned compactions = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(lmm_trace_writer_item(w, &item), 0);
	for (uint64_t k = 0; k < 1000; k++) {
		item = (struct lmm_item){ .kind = LMM_ITEM_LOSS,
					  .loss = { .stream = 1, .emitted = k } };
		assert_int_equal(lmm_trace_writer_item(w, &item), 0);
		if (lmm_trace_writer_is_full(w)) {
			compactions++;
			assert_int_equal(lmm_trace_writer_compact(w), 0);
		}
	}
	assert_in_range(compactions, 1, 40);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	(void)unlink(path);
}

static void test_failed_compaction_keeps_the_old_file(void **state)
{
	char path[128], moved[128];
	struct lmm_trace_writer *w;
	struct bytes before, after;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", temp_path("max4.lmt"));
	(void)snprintf(moved, sizeof(moved), "%s", temp_path("moved.lmt"));
	w = open_writer(path, 10000);
	for (uint64_t k = 0; k < 10; k++)
		assert_int_equal(put_batch(w, 5, k), 0);
	before = read_whole(path);
	/* the disk is full */
	limit_file_size(5000);
	assert_int_equal(lmm_trace_writer_compact(w), -EFBIG);
	limit_file_size(RLIM_INFINITY);
	after = read_whole(path);
	assert_int_equal(after.n, before.n);
	assert_memory_equal(after.data, before.data, before.n);
	free(after.data);
	assert_only_file("max4.lmt");
	assert_int_equal(put_batch(w, 5, 10), -EFBIG);
	assert_int_equal(lmm_trace_writer_close(w), -EFBIG);
	/* somebody has moved it and made another of its name */
	assert_int_equal(unlink(path), 0);
	w = open_writer(path, 10000);
	for (uint64_t k = 0; k < 10; k++)
		assert_int_equal(put_batch(w, 5, k), 0);
	assert_int_equal(rename(path, moved), 0);
	write_whole(path, "precious", 8);
	assert_int_equal(lmm_trace_writer_compact(w), -ESTALE);
	assert_int_equal(put_batch(w, 5, 10), 0);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	after = read_whole(path);
	assert_int_equal(after.n, 8);
	free(after.data);
	after = read_whole(moved);
	assert_true(after.n > before.n);
	free(after.data);
	free(before.data);
	(void)unlink(path);
	(void)unlink(moved);
}

/* A long batch is taken out as a whole. */
static void test_compaction_drops_whole_batches(void **state)
{
	static struct lmm_event ev[20000];
	const char *path = temp_path("max5.lmt");
	struct lmm_trace_writer *w = open_writer(path, 1);
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };
	struct lmm_item left[2] = { { .kind = LMM_ITEM_EVENTS }, { .kind = LMM_ITEM_DROPPED } };
	struct bytes b;

	(void)state;
	for (uint32_t i = 0; i < LMM_ARRAY_SIZE(ev); i++)
		ev[i] = (struct lmm_event){
			.t = i, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = i
		};
	item.events = (struct lmm_events){ .n = LMM_ARRAY_SIZE(ev), .ev = ev, .ring_to = 20000 };
	assert_int_equal(lmm_trace_writer_item(w, &item), 0);
	item.events.n = 8000;
	item.events.ring_from = 20000;
	item.events.ring_to = 28000;
	assert_int_equal(lmm_trace_writer_item(w, &item), 0);
	assert_int_equal(lmm_trace_writer_compact(w), 0);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	left[0] = item;
	left[1].dropped = (struct lmm_dropped){ .batches = 1, .events = 20000 };
	b = read_whole(path);
	assert_reads(&b, left, 2, LMM_TRACE_CUT);
	free(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compaction_keeps_the_newest_and_counts_exactly),
		cmocka_unit_test(test_failed_compaction_keeps_the_old_file),
		cmocka_unit_test(test_an_existing_file_is_never_overwritten),
		cmocka_unit_test(test_the_file_is_private),
		cmocka_unit_test(test_bad_items_leave_the_writer_in_order),
		cmocka_unit_test(test_full_disk_leaves_whole_items),
		cmocka_unit_test(test_full_disk_in_the_middle_of_many_items),
		cmocka_unit_test(test_full_disk_takes_back_half_a_batch),
		cmocka_unit_test(test_append_goes_on_at_any_cut),
		cmocka_unit_test(test_append_takes_back_half_a_batch),
		cmocka_unit_test(test_reader_follows_a_recovery),
		cmocka_unit_test(test_append_refuses_what_it_would_destroy),
		cmocka_unit_test(test_dropped_sums_survive_append),
		cmocka_unit_test(test_a_limit_that_cannot_be_held_does_not_thrash),
		cmocka_unit_test(test_compaction_drops_whole_batches),
	};

	(void)signal(SIGXFSZ, SIG_IGN); /* a full disk is an error number */
	return cmocka_run_group_tests_name("trace_writer", tests, NULL, NULL);
}
