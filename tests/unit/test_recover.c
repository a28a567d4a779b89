/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording that ends at every point at which it can end, and a recovery that does: each event is in the file once. What
 * is killed is a child that stops before or after each item, flush, and in the middle of a write.
 */
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lmmeter/trace.h"
#include "trace/writer.h"

/* ---- dying on demand ---------------------------------------------------------------------------- */

static int points_left = -1; /* -1: live */
static const char *dying_path;

static void point(void)
{
	if (points_left == 0)
		_exit(42);
	if (points_left > 0)
		points_left--;
}

static int dying_item(void *w, const struct lmm_item *item)
{
	int rc;

	point();
	rc = lmm_trace_writer_item(w, item);
	point();
	return rc;
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_size;
}

/* The point between the other two leaves what was to be written half done. */
static int dying_flush(struct lmm_trace_writer *w)
{
	off_t before = size_of(dying_path);
	int rc;

	point();
	rc = lmm_trace_writer_flush(w);
	if (points_left == 0 && truncate(dying_path, before + (size_of(dying_path) - before) / 2))
		_exit(43);
	point();
	if (points_left >= 0)
		point();
	return rc;
}

#define lmm_trace_writer_item  dying_item
#define lmm_trace_writer_flush dying_flush
#include "../../src/cli/recover.c"
#undef lmm_trace_writer_item
#undef lmm_trace_writer_flush

static char said[512];

void lmm_error(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(said, sizeof(said), format, ap);
	va_end(ap);
}

/* ---- a session ---------------------------------------------------------------------------------- */

#define RING_SLOTS  1024u
#define RING_BYTES  (LMM_RING_HEADER_BYTES + RING_SLOTS * sizeof(struct lmm_slot))
#define RINGS	    2u
#define TOKENS_MAX  4096u
#define GRAPH_NODES 3

#include "wire/desc.h"
#include "wire/ring.h"

static const int64_t node_offset[GRAPH_NODES] = { 0, 400, 1200 };

/* What all processes of a test see of it. */
struct ledger {
	uint32_t tokens;    /* put, of which … */
	uint32_t operators; /* … put as well */
};

struct play {
	char dir[64];
	char path[128];
	struct lmm_folder folder;
	struct lmm_shm_process *p;
	struct lmm_ring *ring[RINGS];
	struct ledger *ledger;
	uint64_t max_size_bytes;
	pid_t engine;
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

static void describe(const struct play *t, uint32_t kind, const struct lmm_buf *b)
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

static void put_name(struct lmm_buf *b, const char *name)
{
	lmm_buf_put_varint(b, 0);
	lmm_buf_put_str(b, name);
}

static void describe_graph(const struct play *t)
{
	struct lmm_buf b = { 0 };
	char name[16];

	lmm_buf_put_varint(&b, 1);
	lmm_buf_put_varint(&b, 1);
	lmm_buf_put_varint(&b, GRAPH_NODES);
	for (int i = 0; i < GRAPH_NODES; i++) {
		lmm_buf_put_zigzag(&b, node_offset[i]);
		put_name(&b, "ADD");
		snprintf(name, sizeof(name), "node-%d", i);
		put_name(&b, name);
		put_name(&b, "f32");
		for (int k = 0; k < 4; k++)
			lmm_buf_put_varint(&b, 1);
		lmm_buf_put_varint(&b, 4);
		lmm_buf_put_varint(&b, 1);
		lmm_buf_put_varint(&b, 0);
	}
	describe(t, LMM_DESC_GRAPH, &b);
	lmm_buf_free(&b);
}

static void describe_engine(const struct play *t)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_str(&b, "llama.cpp");
	lmm_buf_put_str(&b, "1");
	lmm_buf_put_str(&b, "preload");
	describe(t, LMM_DESC_ENGINE, &b);
	lmm_buf_free(&b);
}

/* The same remark twice: both are meant. */
static void describe_remark(const struct play *t)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_varint(&b, LMM_LEVEL_KERNELS);
	lmm_buf_put_str(&b, "remark");
	describe(t, LMM_DESC_REASON, &b);
	lmm_buf_free(&b);
}

static pid_t waiting_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	return pid;
}

static void open_session(struct play *t)
{
	struct lmm_folder_opts fo = { .out_path = t->path };

	assert_int_equal(lmm_folder_create(&fo, &t->folder), 0);
	atomic_store(&t->folder.shm->n_processes, 1);
	t->p = make_file(t, "p0", sizeof(*t->p));
	t->p->magic = LMM_SHM_MAGIC;
	t->p->version = LMM_SHM_VERSION;
	t->p->bytes = sizeof(*t->p);
	t->engine = waiting_child();
	t->p->pid = t->engine;
	atomic_store(&t->p->state, LMM_SHM_PROCESS_RUNNING);
	for (uint32_t k = 0; k < RINGS; k++) {
		char name[16];

		snprintf(name, sizeof(name), "p0.r%u", k);
		t->ring[k] = make_file(t, name, RING_BYTES);
		assert_int_equal(lmm_ring_init(t->ring[k], RING_BYTES), 0);
	}
	atomic_store(&t->p->n_rings, RINGS);
	t->p->no_ring_lost = 7;
	memset(t->ledger, 0, sizeof(*t->ledger));
	describe_engine(t);
}

static void end_engine(struct play *t)
{
	if (t->engine > 0) {
		kill(t->engine, SIGKILL);
		waitpid(t->engine, NULL, 0);
	}
	t->engine = 0;
}

static void close_session(struct play *t)
{
	end_engine(t);
	munmap(t->p, sizeof(*t->p));
	for (uint32_t k = 0; k < RINGS; k++)
		munmap(t->ring[k], RING_BYTES);
	lmm_folder_close(&t->folder, 1);
	unlink(t->path);
}

static int setup(void **state)
{
	static struct play t;

	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/dev/shm/lmm-recover-XXXXXX");
	if (!mkdtemp(t.dir)) {
		strcpy(t.dir, "/tmp/lmm-recover-XXXXXX");
		if (!mkdtemp(t.dir))
			return -1;
	}
	snprintf(t.path, sizeof(t.path), "%s/x.lmt", t.dir);
	setenv("LMMETER_DIR", t.dir, 1);
	dying_path = t.path;
	t.ledger = mmap(NULL, sizeof(*t.ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	*state = &t;
	return t.ledger == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	struct play *t = *state;
	char base[128];

	munmap(t->ledger, sizeof(*t->ledger));
	snprintf(base, sizeof(base), "%s/lmmeter-%u", t->dir, (unsigned)geteuid());
	rmdir(base);
	return rmdir(t->dir);
}

/* ---- what is recorded --------------------------------------------------------------------------- */

static uint64_t now = 1000;

static void put_thread(struct lmm_writer *w, uint64_t tid)
{
	atomic_store(&w->ring->tid, (int32_t)tid);
	lmm_writer_put_wide(w, now++, lmm_word(LMM_EV_THREAD, 0, LMM_SEQ_NONE, 0), tid, 0);
}

/* Each bears the thread that it is of. */
static void put_tokens(struct play *t, struct lmm_writer *w, unsigned n)
{
	unsigned tid = (unsigned)atomic_load(&w->ring->tid);

	for (unsigned i = 0; i < n; i++)
		lmm_writer_put(w, now++, lmm_word(LMM_EV_TOKEN, 0, tid, t->ledger->tokens++));
}

static void put_operators(struct play *t, struct lmm_writer *w, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		lmm_writer_put(w, now++,
			       lmm_word_op(LMM_EV_OP, (void *)(0x10000 + node_offset[i])));
		t->ledger->operators++;
	}
}

static void put_run_begin(struct lmm_writer *w)
{
	lmm_writer_put_wide(w, now++, lmm_word(LMM_EV_GRAPH_BEGIN, 0, LMM_SEQ_NONE, 1), 0x10000, 1);
}

static void put_run_end(struct lmm_writer *w)
{
	lmm_writer_put(w, now++, lmm_word(LMM_EV_GRAPH_END, 0, LMM_SEQ_NONE, 1));
}

static void attach(const struct play *t, struct lmm_writer *w)
{
	for (uint32_t k = 0; k < RINGS; k++)
		lmm_writer_attach(&w[k], t->ring[k], LMM_CLOCK_MONOTONIC);
}

/* Rounds of recording: a poll comes behind each, so each ends where something is under way. */
static void produce(struct play *t, struct lmm_writer *w, unsigned round)
{
	switch (round) {
	case 0:
		put_thread(&w[0], 100);
		put_thread(&w[1], 101);
		put_tokens(t, &w[0], 10);
		put_tokens(t, &w[1], 3);
		break;
	case 1: /* a run goes on over polls */
		describe_graph(t);
		put_run_begin(&w[0]);
		put_operators(t, &w[0], 0, 1);
		break;
	case 2:
		put_operators(t, &w[0], 1, 2);
		describe_remark(t);
		break;
	case 3: /* ends, and the ring passes to another thread that begins one */
		put_operators(t, &w[0], 2, 3);
		put_run_end(&w[0]);
		put_thread(&w[0], 102);
		put_tokens(t, &w[0], 5);
		put_run_begin(&w[0]);
		put_operators(t, &w[0], 0, 2);
		break;
	case 4: /* twice around the smaller half of the ring */
		put_tokens(t, &w[1], 700);
		describe_remark(t);
		break;
	case 5:
		put_tokens(t, &w[1], 700);
		put_operators(t, &w[0], 2, 3);
		break;
	default:
		put_run_end(&w[0]);
		put_thread(&w[1], 103);
		put_tokens(t, &w[1], 1);
		break;
	}
}

#define ROUNDS 7u

/* ---- the lmmeter that dies ---------------------------------------------------------------------- */

struct recorder {
	struct lmm_trace_writer *writer;
	struct lmm_collector *collector;
};

static int recorder_item(void *ctx, const struct lmm_item *item)
{
	return dying_item(((struct recorder *)ctx)->writer, item);
}

static int recorder_flush(void *ctx)
{
	return dying_flush(((struct recorder *)ctx)->writer);
}

static void keep_small(struct play *t, struct recorder *r)
{
	if (!t->max_size_bytes || !lmm_trace_writer_is_full(r->writer))
		return;
	lmm_collector_settle(r->collector);
	point();
	if (lmm_trace_writer_compact(r->writer))
		_exit(44);
	point();
}

static void record(struct play *t, unsigned rounds)
{
	struct recorder r = { 0 };
	struct lmm_collector_opts co = { .sink = recorder_item,
					 .sink_ctx = &r,
					 .flush = recorder_flush };
	struct lmm_trace_writer_opts wo = { .max_size_bytes = t->max_size_bytes };
	struct lmm_session session = { .lmmeter = "0", .command_name = "x", .command_line = "x" };
	struct lmm_writer w[RINGS];

	lmm_folder_take_over(&t->folder);
	r.collector = lmm_collector_create(&t->folder, &co);
	if (!r.collector || lmm_trace_writer_open(t->path, &wo, &r.writer))
		_exit(45);
	point();
	lmm_collector_begin(r.collector, &session);
	attach(t, w);
	for (unsigned i = 0; i < rounds; i++) {
		produce(t, w, i);
		point();
		lmm_collector_poll(r.collector);
		keep_small(t, &r);
		point();
	}
	_exit(points_left < 0 ? 0 : 46); /* did not die where it was to */
}

/* 1: it died at that point, 0: it has none such. */
static int record_until(struct play *t, int points, unsigned rounds)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		points_left = points;
		record(t, rounds);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 46 ||
		    WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == 42;
}

static int recover_until(struct play *t, int points)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		points_left = points;
		lmm_recover(t->path);
		_exit(points_left < 0 ? 0 : 46);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 46 ||
		    WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == 42;
}

/* ---- what is found ------------------------------------------------------------------------------ */

struct found {
	uint8_t token[TOKENS_MAX];
	uint64_t tokens, operators, unknown, stored, lost, emitted;
	uint64_t dropped;
	unsigned items[LMM_ITEM_SAMPLES + 1];
	uint64_t loss_emitted[64], loss_lost[64];
	struct lmm_end end;
	uint64_t newest;
	int32_t tid[64]; /* by stream */
};

static void find_events(struct found *f, const struct lmm_events *batch)
{
	for (uint32_t i = 0; i < batch->n; i++) {
		const struct lmm_event *e = &batch->ev[i];

		if (e->t > f->newest)
			f->newest = e->t;
		if (e->type == LMM_EV_LOST)
			continue;
		assert_int_not_equal(e->type, LMM_EV_THREAD);
		f->stored++;
		if (e->type == LMM_EV_TOKEN) {
			assert_int_equal(e->seq, f->tid[batch->stream]);
			assert_true(e->id < TOKENS_MAX);
			assert_int_equal(f->token[e->id]++, 0); /* once */
			f->tokens++;
		} else if (e->type == LMM_EV_OP) {
			f->operators++;
			f->unknown += e->id >= GRAPH_NODES;
		}
	}
}

static void find(struct play *t, struct found *f, enum lmm_trace_state want)
{
	const struct lmm_item *it;
	struct lmm_trace *tr;

	memset(f, 0, sizeof(*f));
	assert_int_equal(lmm_trace_open(t->path, &tr), 0);
	while (lmm_trace_next(tr, &it) > 0) {
		f->items[it->kind]++;
		if (it->kind == LMM_ITEM_EVENTS)
			find_events(f, &it->events);
		else if (it->kind == LMM_ITEM_DROPPED)
			f->dropped = it->dropped.events;
		else if (it->kind == LMM_ITEM_END)
			f->end = it->end;
		if (it->kind == LMM_ITEM_STREAM) {
			assert_true(it->stream.stream < 64);
			f->tid[it->stream.stream] = it->stream.tid;
		}
		if (it->kind == LMM_ITEM_LOSS) {
			assert_true(it->loss.stream < 64);
			f->loss_emitted[it->loss.stream] = it->loss.emitted;
			f->loss_lost[it->loss.stream] = it->loss.lost;
		}
	}
	assert_int_equal(lmm_trace_state(tr, NULL), want);
	lmm_trace_close(tr);
	for (unsigned i = 0; i < 64; i++) {
		f->emitted += f->loss_emitted[i];
		f->lost += f->loss_lost[i];
	}
}

static int is_gone(const struct play *t)
{
	return access(t->folder.path, F_OK) != 0;
}

/* After a recovery that went to its end. */
static void check_all_there(struct play *t)
{
	struct found f;

	find(t, &f, LMM_TRACE_COMPLETE);
	assert_true(is_gone(t));
	assert_int_equal(
		f.tokens + f.operators + f.dropped >= t->ledger->tokens + t->ledger->operators, 1);
	if (!t->max_size_bytes) {
		assert_int_equal(f.tokens, t->ledger->tokens);
		assert_int_equal(f.operators, t->ledger->operators);
		assert_int_equal(f.items[LMM_ITEM_DROPPED], 0);
	}
	/* with a limit, the beginning of a run may have been given back: its three operators, at most */
	assert_true(f.unknown <= (t->max_size_bytes ? 3 : 0));
	assert_int_equal(f.lost, 0);
	/* as the counters of the streams say */
	assert_int_equal(f.emitted, f.stored + f.dropped);
	assert_int_equal(f.items[LMM_ITEM_SESSION], 1);
	assert_int_equal(f.items[LMM_ITEM_PROCESS],
			 2); /* as it joins, and when it names its engine */
	assert_int_equal(f.items[LMM_ITEM_PROCESS_END], 1);
	assert_int_equal(f.items[LMM_ITEM_END], 1);
	assert_true(f.items[LMM_ITEM_GRAPH] <= 1);
	assert_true(f.items[LMM_ITEM_REASON] <= 2);
	assert_int_equal(f.end.exit_status, -1);
	assert_int_equal(f.end.no_ring_lost, 7);
	if (f.newest)
		assert_int_equal(f.end.ticks, f.newest);
}

static void test_every_end_of_a_recording(void **state)
{
	struct play *t = *state;
	int died = 1;
	int points;

	for (points = 0; died; points++) {
		open_session(t);
		died = record_until(t, points, ROUNDS);
		end_engine(t);
		said[0] = '\0';
		lmm_recover(t->path);
		/* it died before there was a file */
		if (access(t->path, F_OK) == 0) {
			check_all_there(t);
			assert_non_null(strstr(said, "recovered"));
			said[0] = '\0';
			lmm_recover(t->path);
			assert_string_equal(said, "");
		}
		close_session(t);
	}
	assert_true(points > 60);
}

/* The engine goes on when lmmeter has died: what is there is fetched, at any time, and all of it when it has ended. */
static void test_engine_goes_on(void **state)
{
	struct play *t = *state;
	int died = 1;

	/* from where the file has a session */
	for (int points = 8; died; points++) {
		struct lmm_writer w[RINGS];
		struct found f;

		open_session(t);
		died = record_until(t, points, ROUNDS);
		attach(t, w);
		now = 1000000;
		put_tokens(t, &w[0], 20);
		lmm_recover(t->path);
		assert_non_null(strstr(said, "1 processes"));
		assert_false(is_gone(t));
		find(t, &f, LMM_TRACE_CUT);
		assert_int_equal(f.tokens, t->ledger->tokens);
		assert_int_equal(f.items[LMM_ITEM_PROCESS_END], 0);
		put_tokens(t, &w[1], 20);
		recover_until(t, points % 7);
		put_tokens(t, &w[0], 20);
		end_engine(t);
		lmm_recover(t->path);
		check_all_there(t);
		close_session(t);
	}
}

/* A recovery is killed, at each point, and another one is, and then one is not. */
static void test_every_end_of_a_recovery(void **state)
{
	static const int recorded[] = { 20, 33, 41, 58, 70, -1 };
	struct play *t = *state;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(recorded); i++) {
		int died = 1;

		for (int points = 0; died; points++) {
			open_session(t);
			record_until(t, recorded[i], ROUNDS);
			end_engine(t);
			died = recover_until(t, points);
			recover_until(t, points / 2);
			lmm_recover(t->path);
			check_all_there(t);
			close_session(t);
			assert_true(points < 500);
		}
	}
}

static void test_with_max_size(void **state)
{
	struct play *t = *state;
	int died = 1;
	int points;

	t->max_size_bytes = 2000;
	for (points = 2; died; points++) {
		open_session(t);
		died = record_until(t, points, ROUNDS);
		end_engine(t);
		recover_until(t, points % 11);
		lmm_recover(t->path);
		check_all_there(t);
		close_session(t);
	}
	t->max_size_bytes = 0;
	assert_true(points > 60);
}

/*
 * Rings that ran over: what was lost is counted once, over several recoveries, and by one thread after the other on the
 * same ring.
 */
static void test_lost_events(void **state)
{
	struct play *t = *state;

	for (int points = 20; points < 70; points += 7) {
		struct lmm_writer w[RINGS];
		struct found f;
		unsigned loser = 0;
		uint64_t first;

		open_session(t);
		record_until(t, points, 5);
		attach(t, w);
		now = 1000000;
		put_tokens(t, &w[0], 1500);
		lmm_recover(t->path);
		find(t, &f, LMM_TRACE_CUT);
		first = f.lost;
		assert_true(first > 0);
		while (f.loss_lost[loser] == 0)
			loser++;
		put_tokens(t, &w[0], 5);
		lmm_recover(t->path);
		put_thread(&w[0], 105);
		put_tokens(t, &w[0], 5);
		lmm_recover(t->path);
		put_tokens(t, &w[0], 1500);
		end_engine(t);
		lmm_recover(t->path);
		find(t, &f, LMM_TRACE_COMPLETE);
		assert_true(f.lost > first);
		assert_int_equal(f.loss_lost[loser], first);
		assert_int_equal(f.tokens + f.lost, t->ledger->tokens);
		assert_int_equal(f.emitted, f.stored + f.lost);
		close_session(t);
	}
}

static void test_not_ours(void **state)
{
	struct play *t = *state;
	struct found f;
	int fd;

	/* no such file, no trace, and no session */
	said[0] = '\0';
	lmm_recover("/no/such/file");
	fd = open(t->path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "no trace at all", 15), 15);
	close(fd);
	lmm_recover(t->path);
	assert_string_equal(said, "");
	/* a session whose file became something else: said, and kept */
	open_session(t);
	end_engine(t);
	t->folder.shm->collector_pid = 0;
	lmm_recover(t->path);
	assert_non_null(strstr(said, "cannot be added"));
	assert_false(is_gone(t));
	close_session(t);
	/* a collector that lives */
	open_session(t);
	record_until(t, 40, ROUNDS);
	lmm_folder_take_over(&t->folder);
	said[0] = '\0';
	lmm_recover(t->path);
	assert_non_null(strstr(said, "is being recorded"));
	find(t, &f, LMM_TRACE_CUT);
	close_session(t);
}

/* Under some emulators a child spins for ever. */
static int fork_works(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	for (int i = 0; i < 200; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 1;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_end_of_a_recording, setup, teardown),
		cmocka_unit_test_setup_teardown(test_engine_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_end_of_a_recovery, setup, teardown),
		cmocka_unit_test_setup_teardown(test_with_max_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
	};

	if (!fork_works()) {
		puts("SKIP: children of fork() do not run here");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
