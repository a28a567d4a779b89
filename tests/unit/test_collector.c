/* SPDX-License-Identifier: Apache-2.0 */
/* The collector against a traced process that this test plays by hand, from the description in wire/session.h. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/collector.h"
#include "collect/patterns.h"
#include "wire/desc.h"
#include "wire/ring.h"

#define RING_BYTES (4096 + 1024 * sizeof(struct lmm_slot))

#define SEEN_MAX 160000u

struct seen {
	unsigned items[32];
	struct lmm_event ev[SEEN_MAX];
	size_t n;
	uint64_t emitted, lost;
	char process_name[64], engine_name[64], reason[64];
	uint32_t graph_nodes;
	char node_name[3][32];
	int flushes;
	int fail_with;
};

static int take(void *ctx, const struct lmm_item *it)
{
	struct seen *s = ctx;

	if (s->fail_with)
		return s->fail_with;
	s->items[it->kind]++;
	switch (it->kind) {
	case LMM_ITEM_EVENTS:
		assert_true(s->n + it->events.n <= SEEN_MAX);
		memcpy(s->ev + s->n, it->events.ev, it->events.n * sizeof(struct lmm_event));
		s->n += it->events.n;
		break;
	case LMM_ITEM_PROCESS:
		snprintf(s->process_name, sizeof(s->process_name), "%s", it->process.name);
		snprintf(s->engine_name, sizeof(s->engine_name), "%s", it->process.engine_name);
		break;
	case LMM_ITEM_REASON:
		snprintf(s->reason, sizeof(s->reason), "%s", it->reason.text);
		break;
	case LMM_ITEM_GRAPH:
		s->graph_nodes = it->graph.n_nodes;
		for (uint32_t i = 0; i < it->graph.n_nodes && i < 3; i++)
			snprintf(s->node_name[i], sizeof(s->node_name[i]), "%s",
				 it->graph.nodes[i].name);
		break;
	case LMM_ITEM_LOSS:
		s->emitted = it->loss.emitted;
		s->lost = it->loss.lost;
		break;
	default:
		break;
	}
	return 0;
}

static int flush(void *ctx)
{
	((struct seen *)ctx)->flushes++;
	return 0;
}

struct play {
	struct lmm_folder folder;
	struct lmm_collector *c;
	struct lmm_shm_process *p;
	struct lmm_ring *ring;
	struct lmm_writer w;
	struct seen seen;
	pid_t pid;
};

static void *make_file(const struct play *t, const char *name, size_t bytes)
{
	char path[600];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", t->folder.path, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static void say(const struct play *t, uint32_t kind, const struct lmm_buf *b)
{
	char path[600];
	uint32_t frame[2] = { (uint32_t)b->n, kind };
	int fd;

	snprintf(path, sizeof(path), "%s/p0.d", t->folder.path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, frame, 8), 8);
	assert_int_equal(write(fd, b->data, b->n), (ssize_t)b->n);
	close(fd);
	atomic_fetch_add(&t->p->desc_bytes, 8 + b->n);
}

/* A child that only waits stands for the traced process: its end is the process's end. */
static pid_t waiting_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static int setup(void **state)
{
	struct play *t = calloc(1, sizeof(*t));
	struct lmm_folder_opts fo = { .out_path = "/nowhere/x.lmt" };
	struct lmm_collector_opts co = { .sink = take, .flush = flush };
	struct lmm_session session = { .command_name = "x", .command_line = "x", .lmmeter = "0" };

	assert_non_null(t);
	assert_int_equal(lmm_folder_create(&fo, &t->folder), 0);
	co.sink_ctx = &t->seen;
	t->c = lmm_collector_create(&t->folder, &co);
	assert_non_null(t->c);
	assert_int_equal(lmm_collector_begin(t->c, &session), 0);
	t->pid = waiting_child();
	atomic_store(&t->folder.shm->n_processes, 1);
	t->p = make_file(t, "p0", sizeof(*t->p));
	t->p->magic = LMM_SHM_MAGIC;
	t->p->version = LMM_SHM_VERSION;
	t->p->bytes = sizeof(*t->p);
	t->p->pid = t->pid;
	strcpy(t->p->name, "engine");
	atomic_store(&t->p->state, LMM_SHM_PROCESS_RUNNING);
	t->ring = make_file(t, "p0.r0", RING_BYTES);
	assert_int_equal(lmm_ring_init(t->ring, RING_BYTES), 0);
	assert_int_equal(t->ring->n_slots, 1024);
	lmm_writer_attach(&t->w, t->ring, LMM_CLOCK_MONOTONIC);
	atomic_store(&t->p->n_rings, 1);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct play *t = *state;

	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	lmm_collector_destroy(t->c);
	munmap(t->p, sizeof(*t->p));
	munmap(t->ring, RING_BYTES);
	lmm_folder_close(&t->folder, 1);
	assert_int_not_equal(access(t->folder.path, F_OK), 0);
	free(t);
	return 0;
}

static void end_process(struct play *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	t->pid = 0;
	lmm_collector_check_alive(t->c);
}

static void put_tensor(struct lmm_buf *b, const char *name)
{
	lmm_buf_put_varint(b, 0);
	lmm_buf_put_str(b, name);
	lmm_buf_put_varint(b, 0);
	lmm_buf_put_str(b, "f32");
	for (int i = 0; i < 4; i++)
		lmm_buf_put_varint(b, i ? 1 : 64);
	lmm_buf_put_varint(b, 256);
}

/* Three nodes at 0, 400 and 1200 bytes from the first. */
static void say_graph(struct play *t, uint32_t number)
{
	static const int64_t at[] = { 0, 400, 1200 };
	static const char *const name[] = { "norm-0", "Qcur-0", "ffn_out-0" };
	struct lmm_buf b = { 0 };

	lmm_buf_put_varint(&b, number);
	lmm_buf_put_varint(&b, 1);
	lmm_buf_put_varint(&b, 3);
	for (int i = 0; i < 3; i++) {
		lmm_buf_put_zigzag(&b, at[i]);
		lmm_buf_put_varint(&b, 0);
		lmm_buf_put_str(&b, "ADD");
		put_tensor(&b, name[i]);
		lmm_buf_put_varint(&b, 1);
		lmm_buf_put_varint(&b, 0);
	}
	say(t, LMM_DESC_GRAPH, &b);
	lmm_buf_free(&b);
}

static void test_resolves_nodes_by_address(void **state)
{
	struct play *t = *state;
	const uint64_t base = 0x7f1234560000u;

	say_graph(t, 7);
	lmm_writer_put_wide(&t->w, 10, lmm_word(LMM_EV_GRAPH_BEGIN, 0, LMM_SEQ_NONE, 7), base, 1);
	lmm_writer_put(&t->w, 11, lmm_word_op(LMM_EV_OP, (void *)base));
	lmm_writer_put(&t->w, 12, lmm_word_op(LMM_EV_OP, (void *)(base + 1200)));
	lmm_writer_put(&t->w, 13, lmm_word_op(LMM_EV_OP_FUSED, (void *)(base + 400)));
	lmm_writer_put(&t->w, 14, lmm_word_op(LMM_EV_OP, (void *)(base + 8)));
	lmm_writer_put(&t->w, 15, lmm_word(LMM_EV_GRAPH_END, 0, LMM_SEQ_NONE, 7));
	lmm_writer_put(&t->w, 16, lmm_word_op(LMM_EV_OP, (void *)base));
	assert_int_equal(lmm_collector_poll(t->c), 7);
	assert_int_equal(t->seen.graph_nodes, 3);
	assert_string_equal(t->seen.node_name[1], "Qcur-0");
	assert_int_equal(t->seen.n, 7);
	assert_int_equal(t->seen.ev[0].id, 7);
	assert_int_equal(t->seen.ev[0].a, 0); /* no addresses in files */
	assert_int_equal(t->seen.ev[1].id, 0);
	assert_int_equal(t->seen.ev[2].id, 2);
	assert_int_equal(t->seen.ev[3].id, 1);
	assert_int_equal(t->seen.ev[3].type, LMM_EV_OP_FUSED);
	assert_int_equal(t->seen.ev[4].id, LMM_NODE_UNKNOWN);
	assert_int_equal(t->seen.ev[6].id, LMM_NODE_UNKNOWN); /* outside of a run */
}

/* What a thread recorded before it was killed is read, and every drop is counted. */
static void test_counts_after_sudden_end(void **state)
{
	struct play *t = *state;

	for (unsigned i = 0; i < 1500; i++)
		lmm_writer_put(&t->w, i, lmm_word(LMM_EV_TOKEN, 0, 0, i));
	end_process(t);
	lmm_collector_poll(t->c);
	lmm_collector_check_alive(t->c);
	assert_int_equal(t->seen.n, 1024);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(t->seen.ev[i].id, i);
	assert_int_equal(t->seen.emitted, 1500);
	assert_int_equal(t->seen.lost, 476);
	assert_int_equal(t->seen.items[LMM_ITEM_PROCESS_END], 1);
}

static void test_full_ring_goes_on_after_a_poll(void **state)
{
	struct play *t = *state;

	for (unsigned i = 0; i < 1100; i++)
		lmm_writer_put(&t->w, i, lmm_word(LMM_EV_TOKEN, 0, 0, i));
	lmm_collector_poll(t->c);
	assert_true(t->seen.flushes > 0);
	lmm_writer_put(&t->w, 5000, lmm_word(LMM_EV_TOKEN, 0, 0, 5000));
	lmm_collector_poll(t->c);
	assert_int_equal(t->seen.n, 1026); /* 1,024, the LOST event, and the last one */
	assert_int_equal(t->seen.ev[1024].type, LMM_EV_LOST);
	assert_int_equal(t->seen.ev[1024].a, 76);
	assert_int_equal(t->seen.ev[1025].id, 5000);
}

static void test_thread_takes_over_ring(void **state)
{
	struct play *t = *state;

	lmm_writer_put_wide(&t->w, 1, lmm_word(LMM_EV_THREAD, 0, LMM_SEQ_NONE, 0), 100, 0);
	lmm_writer_put(&t->w, 2, lmm_word(LMM_EV_TOKEN, 0, 0, 1));
	lmm_writer_put_wide(&t->w, 3, lmm_word(LMM_EV_THREAD, 0, LMM_SEQ_NONE, 0), 101, 0);
	lmm_writer_put(&t->w, 4, lmm_word(LMM_EV_TOKEN, 0, 0, 2));
	lmm_collector_poll(t->c);
	assert_int_equal(t->seen.items[LMM_ITEM_STREAM], 2);
	assert_int_equal(t->seen.n, 2);
}

static void test_engine_and_reason(void **state)
{
	struct play *t = *state;
	struct lmm_buf b = { 0 };

	lmm_buf_put_str(&b, "llama.cpp");
	lmm_buf_put_str(&b, "1.2");
	lmm_buf_put_str(&b, "audit");
	say(t, LMM_DESC_ENGINE, &b);
	lmm_buf_clear(&b);
	lmm_buf_put_varint(&b, LMM_LEVEL_PHASES);
	lmm_buf_put_str(&b, "because");
	say(t, LMM_DESC_REASON, &b);
	lmm_buf_free(&b);
	lmm_collector_poll(t->c);
	assert_string_equal(t->seen.process_name, "engine");
	assert_string_equal(t->seen.engine_name, "llama.cpp");
	assert_string_equal(t->seen.reason, "because");
}

/* Every byte of shared memory may be anything: no crash, no endless loop. */
static void test_hostile_shared_memory(void **state)
{
	struct play *t = *state;
	uint64_t x = 88172645463325252u;

	for (unsigned round = 0; round < 300; round++) {
		uint64_t *words = (uint64_t *)lmm_ring_slots(t->ring);

		t->seen.n = 0;
		for (unsigned i = 0; i < 2048; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			words[i] = x;
		}
		atomic_store(&t->ring->head,
			     round % 3 ? atomic_load(&t->ring->head) + x % 5000 : x);
		atomic_store(&t->p->n_rings, round % 7 ? 1u : UINT32_MAX);
		atomic_store(&t->p->desc_bytes, x);
		assert_true(lmm_collector_poll(t->c) >= 0);
	}
}

static void test_hostile_descriptors(void **state)
{
	struct play *t = *state;
	struct lmm_buf good = { 0 };
	uint64_t x = 123456789;
	uint8_t junk[512];

	for (unsigned round = 0; round < 3000; round++) {
		struct lmm_desc_graph g;
		struct lmm_item item;
		char arena[LMM_DESC_ARENA_BYTES];
		size_t n;

		x = x * 6364136223846793005u + 1442695040888963407u;
		n = (size_t)(x >> 33) % sizeof(junk);
		for (size_t i = 0; i < n; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			junk[i] = (uint8_t)(x >> (round % 2 ? 60 : 56));
		}
		if (lmm_desc_graph_read(junk, n, &g) == 0)
			lmm_desc_graph_free(&g);
		lmm_desc_item_read((uint32_t)(x % 8), junk, n, arena, &item);
	}
	lmm_buf_free(&good);
	say_graph(t, 1);
	assert_true(lmm_collector_poll(t->c) >= 0);
	assert_int_equal(t->seen.items[LMM_ITEM_GRAPH], 1);
}

/* A sink that fails ends storing; draining goes on, so that the traced process keeps its space. */
static void test_failing_sink(void **state)
{
	struct play *t = *state;

	t->seen.fail_with = -ENOSPC;
	for (unsigned i = 0; i < 1000; i++)
		lmm_writer_put(&t->w, i, lmm_word(LMM_EV_TOKEN, 0, 0, i));
	assert_int_equal(lmm_collector_poll(t->c), -ENOSPC);
	for (unsigned i = 0; i < 1000; i++)
		lmm_writer_put(&t->w, i, lmm_word(LMM_EV_TOKEN, 0, 0, i));
	assert_int_equal(lmm_ring_dropped(t->ring), 0);
}

/* ---- patterns ----------------------------------------------------------------------------------- */

/* Command i is of kernel 40 + i, node 7 i and amount `amount` + i. */
static void say_pattern(struct play *t, uint32_t number, uint32_t n, uint32_t amount)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_varint(&b, number);
	lmm_buf_put_varint(&b, n);
	for (uint32_t i = 0; i < n; i++) {
		lmm_buf_put_varint(&b, 40 + i);
		lmm_buf_put_varint(&b, 7 * i);
		lmm_buf_put_varint(&b, amount + i);
	}
	say(t, LMM_DESC_PATTERN, &b);
	lmm_buf_free(&b);
}

static void put_pattern(struct play *t, uint64_t at, uint32_t number, uint32_t n, uint32_t step)
{
	lmm_writer_put_wide(&t->w, at, lmm_word(LMM_EV_PATTERN, LMM_PHASE_DECODE, 5, number), n,
			    step);
}

static void test_patterns_are_told_one_by_one(void **state)
{
	struct play *t = *state;

	say_pattern(t, 3, 3, 1000);
	lmm_writer_put(&t->w, 10, lmm_word(LMM_EV_TOKEN, 0, 0, 1));
	put_pattern(t, 11, 3, 3, 9);
	lmm_writer_put(&t->w, 12, lmm_word(LMM_EV_TOKEN, 0, 0, 2));
	lmm_collector_poll(t->c);
	assert_int_equal(t->seen.n, 5);
	for (unsigned i = 0; i < 3; i++) {
		const struct lmm_event *e = &t->seen.ev[1 + i];

		assert_int_equal(e->type, LMM_EV_COMMAND_UNTIMED);
		assert_int_equal(e->t, 11);
		assert_int_equal(e->phase, LMM_PHASE_DECODE);
		assert_int_equal(e->seq, 5);
		assert_int_equal(e->id, 1);
		assert_int_equal(e->a, 40 + i + ((uint64_t)7 * i << 32));
		assert_int_equal(e->b, 9 + ((uint64_t)(1000 + i) << 32));
	}
	assert_int_equal(t->seen.ev[4].id, 2);
}

/* What nobody can tell of is counted, as many as it was. */
static void test_patterns_that_are_not_known(void **state)
{
	struct play *t = *state;

	say_pattern(t, 3, 3, 1000);
	put_pattern(t, 10, 4, 7, 1);			 /* never described */
	put_pattern(t, 11, 3, 2, 1);			 /* of another length */
	put_pattern(t, 12, 3 + LMM_DESC_PATTERNS, 3, 1); /* in the same place */
	put_pattern(t, 13, 4, UINT32_MAX, 1);
	lmm_collector_poll(t->c);
	end_process(t);
	assert_int_equal(t->seen.n, 0);
	assert_int_equal(t->seen.emitted, 7 + 2 + 3 + LMM_DESC_PATTERN_COMMANDS_MAX);
}

static void test_a_pattern_takes_an_older_ones_place(void **state)
{
	struct play *t = *state;

	say_pattern(t, 3, 3, 1000);
	say_pattern(t, 3 + LMM_DESC_PATTERNS, 2, 2000);
	put_pattern(t, 10, 3 + LMM_DESC_PATTERNS, 2, 1);
	put_pattern(t, 11, 3, 3, 1);
	lmm_collector_poll(t->c);
	assert_int_equal(t->seen.n, 2);
	assert_int_equal(t->seen.ev[1].b >> 32, 2001);
}

/* More than a batch holds when they are told one by one: in several, in their order. */
static void test_many_patterns(void **state)
{
	enum { EACH = LMM_DESC_PATTERN_COMMANDS_MAX, TIMES = 300 };
	struct play *t = *state;

	say_pattern(t, 1, EACH, 0);
	for (unsigned i = 0; i < TIMES; i++)
		put_pattern(t, 10 + i, 1, EACH, i);
	lmm_collector_poll(t->c);
	assert_int_equal(t->seen.n, EACH * TIMES);
	for (unsigned i = 0; i < EACH * TIMES; i++) {
		assert_int_equal(t->seen.ev[i].t, 10 + i / EACH);
		assert_int_equal((uint32_t)t->seen.ev[i].b, i / EACH);
		assert_int_equal(t->seen.ev[i].b >> 32, i % EACH);
	}
}

/* Another batch than the one that was measured: what does not fit is counted, and nothing is written behind the room. */
static void test_patterns_that_do_not_fit(void **state)
{
	static struct lmm_patterns p;
	static const uint8_t payload[] = { 1, 3, 40, 0, 5, 41, 1, 6, 42, 2, 7 };
	const struct lmm_event ev[] = {
		{ .type = LMM_EV_TOKEN, .id = 1 },
		{ .type = LMM_EV_PATTERN, .id = 1, .a = 3 },
		{ .type = LMM_EV_PATTERN, .id = 1, .a = 3 },
		{ .type = LMM_EV_TOKEN, .id = 2 },
		{ .type = LMM_EV_TOKEN, .id = 3 },
		{ .type = LMM_EV_TOKEN, .id = 4 },
	};
	struct lmm_event to[7] = { 0 };
	uint64_t unknown = 0;

	(void)state;
	assert_int_equal(lmm_patterns_add(&p, payload, sizeof(payload)), 0);
	assert_int_equal(lmm_patterns_fit(&p, ev, 6, 10), 6);
	assert_int_equal(lmm_patterns_fit(&p, ev, 6, 6), 2);
	assert_int_equal(lmm_patterns_expand(&p, ev, 6, to, 6, &unknown), 6);
	assert_int_equal(unknown, 3 + 1); /* the second pattern, and the last token */
	assert_int_equal(to[3].a >> 32, 2);
	assert_int_equal(to[4].id, 2);
	assert_int_equal(to[5].id, 3);
	assert_int_equal(to[6].type, 0);
	lmm_patterns_clear(&p);
}

static void test_hostile_patterns(void **state)
{
	static const uint8_t huge[] = { 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3 };
	struct play *t = *state;
	struct lmm_buf b = { 0 };

	say_pattern(t, 1, 0, 0);
	say_pattern(t, 2, LMM_DESC_PATTERN_COMMANDS_MAX + 1, 0);
	lmm_buf_put(&b, huge, sizeof(huge));
	say(t, LMM_DESC_PATTERN, &b);
	lmm_buf_clear(&b);
	lmm_buf_put_varint(&b, 4); /* cut in its third command */
	lmm_buf_put_varint(&b, 3);
	for (unsigned i = 0; i < 7; i++)
		lmm_buf_put_varint(&b, i);
	say(t, LMM_DESC_PATTERN, &b);
	lmm_buf_free(&b);
	for (uint32_t i = 1; i <= 4; i++)
		put_pattern(t, i, i, 3, 0);
	lmm_writer_put(&t->w, 12, lmm_word(LMM_EV_TOKEN, 0, 0, 2));
	lmm_collector_poll(t->c);
	assert_int_equal(t->seen.n, 1);
	assert_int_equal(t->seen.ev[0].type, LMM_EV_TOKEN);
}

static void test_folder_is_private(void **state)
{
	struct play *t = *state;
	char path[LMM_FOLDER_PATH_BYTES];

	assert_int_equal(access(t->folder.path, R_OK | W_OK | X_OK), 0);
	assert_int_equal(lmm_folder_find("/nowhere/x.lmt", path), -EBUSY); /* we are alive */
	t->folder.shm->collector_pid = t->pid;
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	t->pid = 0;
	assert_int_equal(lmm_folder_find("/nowhere/x.lmt", path), 0);
	assert_string_equal(path, t->folder.path);
	assert_int_equal(lmm_folder_find("/nowhere/y.lmt", path), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_resolves_nodes_by_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_after_sudden_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_ring_goes_on_after_a_poll, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_thread_takes_over_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_engine_and_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_shared_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patterns_are_told_one_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patterns_that_are_not_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_pattern_takes_an_older_ones_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_many_patterns, setup, teardown),
		cmocka_unit_test(test_patterns_that_do_not_fit),
		cmocka_unit_test_setup_teardown(test_hostile_patterns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failing_sink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_is_private, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
