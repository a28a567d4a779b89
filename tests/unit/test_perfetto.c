/* SPDX-License-Identifier: Apache-2.0 */
/* The exports: what bytes come out, and which slices are drawn from events written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/export.h"
#include "report/idmap.h"
#include "report/protobuf.h"
#include "report/strpool.h"
#include "report/timeline.h"
#include "report_sample.h"
#include "trace_util.h"

/* ---- wire format -------------------------------------------------------------------------------- */

/* The examples of protobuf's own encoding guide: field 1 = 150, field 2 = "testing", field 3 = {field 1 = 150}. */
static void test_guide(void **state)
{
	static const uint8_t want[] = { 0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e',  's',	't',  'i',
					'n',  'g',  0x1a, 0x03, 0x08, 0x96, 0x01, 0x20, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x29, 0,
					0,    0,    0,	  0,	0,    0xf0, 0x3f };
	struct lmm_buf b = { 0 };
	size_t begin;

	(void)state;
	lmm_pb_u64(&b, 1, 150);
	lmm_pb_string(&b, 2, "testing");
	begin = lmm_pb_begin(&b, 3);
	lmm_pb_u64(&b, 1, 150);
	lmm_pb_end(&b, begin);
	lmm_pb_i64(&b, 4, -1);
	lmm_pb_double(&b, 5, 1.0);
	assert_int_equal(b.n, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	lmm_buf_free(&b);
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = { 0, 1, 127, 128, 129, 16383, 16384, 100000 };

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(lengths); i++) {
		struct lmm_buf b = { 0 };
		struct lmm_cur c;
		size_t begin = lmm_pb_begin(&b, 1);

		for (size_t k = 0; k < lengths[i]; k++)
			lmm_buf_put_u8(&b, (uint8_t)k);
		lmm_pb_end(&b, begin);
		lmm_buf_put_u8(&b, 0x77);
		c = lmm_cur_make(b.data, b.n);
		assert_int_equal(lmm_cur_varint(&c), 0x0a);
		assert_int_equal(lmm_cur_varint(&c), lengths[i]);
		for (size_t k = 0; k < lengths[i]; k++)
			assert_int_equal(lmm_cur_u8(&c), (uint8_t)k);
		assert_int_equal(lmm_cur_u8(&c), 0x77);
		assert_int_equal(lmm_cur_left(&c), 0);
		assert_false(c.bad);
		lmm_buf_free(&b);
	}
}

static void test_bad_text(void **state)
{
	static const uint8_t want[] = { 0x0a, 0x05, 'a', 0xef, 0xbf, 0xbd, 'b' };
	struct lmm_buf b = { 0 };

	(void)state;
	lmm_pb_string(&b, 1,
		      "a\xff"
		      "b");
	assert_int_equal(b.n, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	lmm_buf_free(&b);
}

static void test_pool(void **state)
{
	struct lmm_strpool pool = { 0 };
	struct lmm_idmap map = { 0 };
	char text[16];
	int is_new;

	(void)state;
	for (uint32_t i = 1; i <= 5000; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(lmm_strpool_add(&pool, text, &is_new), i);
		assert_true(is_new);
		*(uint32_t *)lmm_idmap_make(&map, (uint64_t)i << 30, sizeof(uint32_t)) = i;
	}
	for (uint32_t i = 1; i <= 5000; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(lmm_strpool_add(&pool, text, &is_new), i);
		assert_false(is_new);
		assert_string_equal(lmm_strpool_get(&pool, i), text);
		assert_int_equal(*(uint32_t *)lmm_idmap_get(&map, (uint64_t)i << 30), i);
	}
	assert_null(lmm_idmap_get(&map, 7));
	lmm_strpool_free(&pool);
	lmm_idmap_free(&map, NULL);
}

/* ---- timeline ----------------------------------------------------------------------------------- */

#define LINES_MAX  16384
#define TRACKS_MAX 65536

struct drawn {
	char lines[LINES_MAX];
	size_t n;
	const char *tracks[TRACKS_MAX];
	uint64_t ends[TRACKS_MAX];
	unsigned slices;
};

static const char *track_names[] = { "requests",  "tokens", "steps",  "phases", "layers",
				     "operators", "queue",  "sensor", "spans" };

static void put_line(struct drawn *d, const char *text)
{
	int n = snprintf(d->lines + d->n, LINES_MAX - d->n, "%s", text);

	d->n = n > 0 && d->n + (size_t)n < LINES_MAX ? d->n + (size_t)n : d->n;
}

static int on_session(void *ctx, const struct lmm_result *r, uint64_t start_ns)
{
	(void)ctx;
	(void)r;
	(void)start_ns;
	return 0;
}

static int on_track(void *ctx, const struct lmm_track *t)
{
	struct drawn *d = ctx;

	assert_true(t->track > 0 && t->track < TRACKS_MAX);
	assert_null(d->tracks[t->track]);
	d->tracks[t->track] = track_names[t->kind];
	return 0;
}

/* Every slice of every test goes through here: none may overlap the one before it on its track. */
static int on_slice(void *ctx, const struct lmm_slice *s)
{
	struct drawn *d = ctx;
	char line[256], part[32] = "";

	assert_non_null(d->tracks[s->track]);
	assert_true(s->begin_ns <= s->end_ns);
	assert_true(s->begin_ns >= d->ends[s->track]);
	d->ends[s->track] = s->end_ns;
	d->slices++;
	for (unsigned i = 0; i < s->n_args; i++) {
		if (strcmp(s->args[i].key, "part") == 0)
			(void)snprintf(part, sizeof(part), " part %llu",
				       (unsigned long long)s->args[i].u64);
	}
	(void)snprintf(line, sizeof(line), "%s %s %s %llu-%llu%s\n", d->tracks[s->track],
		       s->category, s->name, (unsigned long long)s->begin_ns,
		       (unsigned long long)s->end_ns, part);
	put_line(d, line);
	return 0;
}

static int on_counter(void *ctx, const struct lmm_counter *c)
{
	struct drawn *d = ctx;
	char line[192];

	(void)snprintf(line, sizeof(line), "%s%s%s %llu %.0f\n", d->tracks[c->track],
		       strcmp(c->unit, "tokens/s") ? " " : "",
		       strcmp(c->unit, "tokens/s") ? c->name : "", (unsigned long long)c->t_ns,
		       c->value);
	put_line(d, line);
	return 0;
}

static const struct lmm_timeline_ops ops = { on_session, on_track, on_slice, on_counter, NULL };

static struct lmm_node two_nodes[2] = {
	{ .name = "embd",
	  .op = "GET_ROWS",
	  .weight = "",
	  .layer = -1,
	  .role = LMM_ROLE_EMBEDDING,
	  .runs = 1 },
	{ .name = "ffn_out-3",
	  .op = "MUL_MAT",
	  .weight = "",
	  .layer = 3,
	  .role = LMM_ROLE_MLP,
	  .runs = 1 },
};

static const char *process_name = "p";

static void put_item(struct lmm_trace_writer *w, const struct lmm_item *item)
{
	assert_int_equal(lmm_trace_writer_item(w, item), 0);
}

/* A trace of one process whose op_cost is 5 ns, with one graph (7) and the given events in one stream. */
static char made[128]; /* by make_trace(), the newest */

static struct lmm_trace *make_trace(const struct lmm_event *ev, uint32_t n)
{
	static unsigned serial;
	struct lmm_trace_writer_opts opts = { 0 };
	struct lmm_item item = { .kind = LMM_ITEM_SESSION };
	struct lmm_trace_writer *w;
	struct lmm_trace *tr;
	char name[32];

	for (unsigned i = 0; i < 2; i++)
		two_nodes[i].out.type = two_nodes[i].src[0].type = two_nodes[i].src[1].type =
			two_nodes[i].src[2].type = two_nodes[i].src[3].type = "f32";
	(void)snprintf(name, sizeof(name), "t%u.lmt", serial++);
	(void)snprintf(made, sizeof(made), "%s", temp_path(name));
	assert_int_equal(lmm_trace_writer_open(made, &opts, &w), 0);
	item.session = (struct lmm_session){ .id = "00",
					     .lmmeter = "0",
					     .command_name = "c",
					     .command_line = "",
					     .host_os = "",
					     .host_cpu = "",
					     .clock = LMM_CLOCK_MONOTONIC };
	put_item(w, &item);
	item = (struct lmm_item){ .kind = LMM_ITEM_PROCESS };
	item.process = (struct lmm_process){ .pid = 10,
					     .name = process_name,
					     .engine_name = "",
					     .engine_version = "",
					     .door = "",
					     .op_cost_ps = 5000 };
	put_item(w, &item);
	item = (struct lmm_item){ .kind = LMM_ITEM_STREAM };
	item.stream.tid = 10;
	put_item(w, &item);
	item = (struct lmm_item){ .kind = LMM_ITEM_NAME };
	item.name = (struct lmm_name){ .number = 3, .text = "outer" };
	put_item(w, &item);
	item = (struct lmm_item){ .kind = LMM_ITEM_GRAPH };
	item.graph =
		(struct lmm_graph){ .graph = 7, .n_nodes = 2, .n_tokens = 1, .nodes = two_nodes };
	put_item(w, &item);
	for (uint32_t at = 0; at < n; at += 1000) {
		item = (struct lmm_item){ .kind = LMM_ITEM_EVENTS };
		item.events.n = n - at < 1000 ? n - at : 1000;
		item.events.ev = ev + at;
		put_item(w, &item);
	}
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_open(temp_path(name), &tr), 0);
	return tr;
}

static void check_drawn(const struct lmm_event *ev, uint32_t n, const char *want)
{
	struct drawn *d = calloc(1, sizeof(*d));
	struct lmm_result r = { 0 };
	struct lmm_trace *tr = make_trace(ev, n);

	assert_non_null(d);
	assert_int_equal(lmm_timeline_draw(tr, &r, &ops, d), 0);
	assert_string_equal(d->lines, want);
	lmm_trace_close(tr);
	free(d);
}

#define BEGIN(time, what, step_)                                                                   \
	{                                                                                          \
		.t = (time), .type = LMM_EV_PHASE_BEGIN, .phase = (what), .seq = LMM_SEQ_NONE,     \
		.id = (step_)                                                                      \
	}
#define END(time, what, step_)                                                                     \
	{                                                                                          \
		.t = (time), .type = LMM_EV_PHASE_END, .phase = (what), .seq = LMM_SEQ_NONE,       \
		.id = (step_)                                                                      \
	}
#define STEP(time, what, step_)                                                                    \
	{                                                                                          \
		.t = (time), .type = LMM_EV_STEP, .phase = (what), .id = (step_),                  \
		.a = 1 | 1ull << 32, .b = 1 | 1ull << 32                                           \
	}
#define TOKEN(time, step_)                                                                         \
	{                                                                                          \
		.t = (time), .type = LMM_EV_TOKEN, .id = (step_)                                   \
	}
#define OP(time, node)                                                                             \
	{                                                                                          \
		.t = (time), .type = LMM_EV_OP, .id = (node)                                       \
	}
#define GRAPH(time, step_)                                                                         \
	{                                                                                          \
		.t = (time), .type = LMM_EV_GRAPH_BEGIN, .id = 7, .b = (step_)                     \
	}
#define GRAPH_END(time)                                                                            \
	{                                                                                          \
		.t = (time), .type = LMM_EV_GRAPH_END, .id = 7                                     \
	}
#define HINT(time, what)                                                                           \
	{                                                                                          \
		.t = (time), .type = LMM_EV_HINT, .phase = (what), .a = 1                          \
	}

/* Levels where they change, a counter of energy as the power between two samples, and what is not drawn. */
static void test_sensors(void **state)
{
	static struct lmm_result_sensor sensors[] = {
		{ .sensor = 2,
		  .kind = LMM_SENSOR_TEMPERATURE,
		  .name = "BIG",
		  .unit = "celsius",
		  .scale = 1e-3 },
		{ .sensor = 5,
		  .kind = LMM_SENSOR_ENERGY,
		  .name = "package-0",
		  .unit = "uj",
		  .scale = 1 },
		{ .sensor = 6,
		  .kind = LMM_SENSOR_GOVERNOR,
		  .name = "policy0",
		  .unit = "state",
		  .scale = 1 },
	};
	static struct lmm_result_process process = { .name = "c" };
	struct lmm_result r = { .processes = &process,
				.n_processes = 1,
				.machine = { .sensors = sensors, .n_sensors = 3 } };
	static const struct lmm_sample rounds[][4] = {
		{ { 2, 41000 }, { 5, 0 }, { 6, 1 }, { 9, 1 } },
		{ { 2, 41000 }, { 5, 1000 }, { 6, 0 }, { 9, 2 } },
		{ { 2, 43000 }, { 5, 4000 }, { 6, 0 }, { 9, 3 } },
	};
	struct drawn *d = calloc(1, sizeof(*d));
	struct lmm_trace_writer *w;
	struct lmm_trace *tr;

	(void)state;
	assert_non_null(d);
	lmm_trace_close(make_trace(NULL, 0)); /* with the process */
	assert_int_equal(lmm_trace_writer_open_append(made, NULL, &w), 0);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(rounds); i++) {
		struct lmm_item item = {
			.kind = LMM_ITEM_SAMPLES,
			.samples = { .ticks = 1000000 + i * 100000, .n = 4, .samples = rounds[i] }
		};

		put_item(w, &item);
	}
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_trace_open(made, &tr), 0);
	assert_int_equal(lmm_timeline_draw(tr, &r, &ops, d), 0);
	/* 1000 uj in 100 us, then 3000 */
	assert_string_equal(d->lines, "sensor BIG temperature (celsius) 1000000 41\n"
				      "sensor package-0 energy (mw) 1000000 10000\n"
				      "sensor BIG temperature (celsius) 1200000 43\n"
				      "sensor package-0 energy (mw) 1100000 30000\n");
	lmm_trace_close(tr);
	free(d);
}

/* Nested phases are cut; the embedding is cut out of the pass; an operator ends 5 ns
 * before the next begins. */
static void test_one_step(void **state)
{
	static const struct lmm_event ev[] = {
		{ .t = 900, .type = LMM_EV_UNACCOUNTED, .id = 0, .a = 1000 },
		BEGIN(1000, LMM_PHASE_DECODE, 1),
		STEP(1010, LMM_PHASE_DECODE, 1),
		GRAPH(1020, 1),
		OP(1030, 0),
		OP(1135, 1),
		OP(1240, 1),
		GRAPH_END(1345),
		BEGIN(1400, LMM_PHASE_COPY_TO_CPU, 1),
		END(1450, LMM_PHASE_COPY_TO_CPU, 1),
		END(1500, LMM_PHASE_DECODE, 1),
	};

	(void)state;
	check_drawn(ev, LMM_ARRAY_SIZE(ev),
		    "phases phase unaccounted 900-1000\n"
		    "operators embedding embd 1030-1130\n"
		    "phases phase decode 1000-1030\n"
		    "phases phase embedding 1030-1135\n"
		    "operators mlp ffn_out 1135-1235\n"
		    "operators mlp ffn_out 1240-1340\n"
		    "layers layer layer 3 1135-1340\n"
		    "phases phase decode 1135-1400 part 1\n"
		    "phases phase copy_to_cpu 1400-1450\n"
		    "phases phase decode 1450-1500 part 2\n"
		    "steps step decode 1000-1500\n");
}

/* A pass that is waited for in a second bracket is one pass; what follows a warm-up is none, though it has its step. */
static void test_brackets(void **state)
{
	static const struct lmm_event ev[] = {
		BEGIN(1000, LMM_PHASE_DECODE, 1), STEP(1010, LMM_PHASE_DECODE, 1),
		END(1500, LMM_PHASE_DECODE, 1),	  HINT(1550, LMM_HINT_PERF_RESET),
		BEGIN(1600, LMM_PHASE_DECODE, 1), END(1700, LMM_PHASE_DECODE, 1),
		HINT(1800, LMM_HINT_PERF_RESET),  BEGIN(1900, LMM_PHASE_SAMPLING, 1),
		END(1950, LMM_PHASE_SAMPLING, 1),
	};

	(void)state;
	check_drawn(ev, LMM_ARRAY_SIZE(ev),
		    "phases warmup decode 1000-1500\nsteps warmup decode 1000-1500\n"
		    "phases warmup decode 1600-1700 part 1\nsteps warmup decode 1600-1700\n"
		    "phases phase sampling 1900-1950\n");
}

/* Spans come when they end: the inner ones first, on tracks of their own. One without a name, and nonsense. */
static void test_spans(void **state)
{
	static const struct lmm_event ev[] = {
		{ .t = 1400,
		  .type = LMM_EV_SPAN,
		  .phase = 1,
		  .id = 4,
		  .a = 300,
		  .b = LMM_STEP_NONE },
		{ .t = 1500, .type = LMM_EV_SPAN, .phase = 1, .id = 3, .a = 50, .b = 2 },
		{ .t = 1600, .type = LMM_EV_SPAN, .phase = 0, .id = 3, .a = 600, .b = 2 },
		{ .t = 1700, .type = LMM_EV_SPAN, .phase = 200, .id = 3, .a = 10, .b = 2 },
		{ .t = 1800, .type = LMM_EV_SPAN, .phase = 0, .id = 3, .a = 5000, .b = 2 },
	};

	(void)state;
	check_drawn(ev, LMM_ARRAY_SIZE(ev),
		    "spans span unknown 1100-1400\nspans span outer 1450-1500\n"
		    "spans span outer 1000-1600\n");
}

/* What comes before PERF_RESET, with no token chosen, is told apart, though the hint comes after it. */
static void test_warmup(void **state)
{
	static const struct lmm_event ev[] = {
		BEGIN(1000, LMM_PHASE_DECODE, 1), STEP(1010, LMM_PHASE_DECODE, 1),
		END(1500, LMM_PHASE_DECODE, 1),	  HINT(1600, LMM_HINT_PERF_RESET),
		BEGIN(2000, LMM_PHASE_DECODE, 2), STEP(2010, LMM_PHASE_DECODE, 2),
		END(2500, LMM_PHASE_DECODE, 2),	  TOKEN(2600, 2),
		HINT(2700, LMM_HINT_PERF_RESET),  HINT(2800, LMM_HINT_WARMUP_ON),
		BEGIN(3000, LMM_PHASE_DECODE, 3), STEP(3010, LMM_PHASE_DECODE, 3),
		END(3500, LMM_PHASE_DECODE, 3),	  HINT(3600, LMM_HINT_WARMUP_OFF),
		BEGIN(4000, LMM_PHASE_DECODE, 4), STEP(4010, LMM_PHASE_DECODE, 4),
		END(4500, LMM_PHASE_DECODE, 4),
	};

	(void)state;
	check_drawn(ev, LMM_ARRAY_SIZE(ev),
		    "phases warmup decode 1000-1500\nsteps warmup decode 1000-1500\n"
		    "phases phase decode 2000-2500\nsteps step decode 2000-2500\n"
		    "phases warmup decode 3000-3500\nsteps warmup decode 3000-3500\n"
		    "phases phase decode 4000-4500\nsteps step decode 4000-4500\n"
		    "tokens 0 2\ntokens 500000000 0\n");
}

/* Numbers of contexts are used again, and each use has its own warm-up; llama-bench's is a whole request. */
static void test_context_reuse(void **state)
{
	static const struct lmm_event ev[] = {
		HINT(900, LMM_HINT_CONTEXT_NEW),
		BEGIN(1000, LMM_PHASE_DECODE, 1),
		STEP(1010, LMM_PHASE_DECODE, 1),
		END(1500, LMM_PHASE_DECODE, 1),
		TOKEN(1600, 1),
		HINT(1700, LMM_HINT_CONTEXT_FREE),
		HINT(1900, LMM_HINT_CONTEXT_NEW),
		BEGIN(2000, LMM_PHASE_DECODE, 2),
		STEP(2010, LMM_PHASE_DECODE, 2),
		END(2500, LMM_PHASE_DECODE, 2),
		HINT(2700, LMM_HINT_PERF_RESET),
		BEGIN(3000, LMM_PHASE_DECODE, 3),
		STEP(3010, LMM_PHASE_DECODE, 3),
		END(3500, LMM_PHASE_DECODE, 3),
	};

	(void)state;
	check_drawn(ev, LMM_ARRAY_SIZE(ev),
		    "phases phase decode 1000-1500\nsteps step decode 1000-1500\n"
		    "phases warmup decode 2000-2500\nsteps warmup decode 2000-2500\n"
		    "phases phase decode 3000-3500\nsteps step decode 3000-3500\n"
		    "tokens 0 2\ntokens 500000000 0\n");
}

static void test_bench(void **state)
{
	static const struct lmm_event ev[] = {
		HINT(900, LMM_HINT_MEMORY_CLEAR),  BEGIN(1000, LMM_PHASE_DECODE, 1),
		STEP(1010, LMM_PHASE_DECODE, 1),   END(1500, LMM_PHASE_DECODE, 1),
		HINT(1900, LMM_HINT_MEMORY_CLEAR), BEGIN(2000, LMM_PHASE_DECODE, 2),
		STEP(2010, LMM_PHASE_DECODE, 2),   END(2500, LMM_PHASE_DECODE, 2),
		HINT(2700, LMM_HINT_MEMORY_CLEAR), BEGIN(3000, LMM_PHASE_DECODE, 3),
		STEP(3010, LMM_PHASE_DECODE, 3),   END(3500, LMM_PHASE_DECODE, 3),
	};

	(void)state;
	process_name = "llama-bench";
	check_drawn(ev, LMM_ARRAY_SIZE(ev),
		    "phases warmup decode 1000-1500\nsteps warmup decode 1000-1500\n"
		    "phases phase decode 2000-2500\nsteps step decode 2000-2500\n"
		    "phases phase decode 3000-3500\nsteps step decode 3000-3500\n");
	process_name = "p";
}

/* Records that were lost: an operator without an end is not drawn, a phase whose end is missing ends with its parent. */
static void test_losses(void **state)
{
	static const struct lmm_event ev[] = {
		BEGIN(1000, LMM_PHASE_DECODE, 1),
		GRAPH(1020, 1),
		OP(1030, 1),
		{ .t = 1100, .type = LMM_EV_LOST, .a = 3 },
		OP(1235, 1),
		GRAPH_END(1340),
		BEGIN(1400, LMM_PHASE_COPY_TO_CPU, 1),
		END(1500, LMM_PHASE_DECODE, 1),
		END(1600, LMM_PHASE_SAMPLING, 1),
		BEGIN(1700, LMM_PHASE_SAMPLING, 1),
		OP(1750, 1),
	};

	(void)state;
	check_drawn(
		ev, LMM_ARRAY_SIZE(ev),
		"operators mlp ffn_out 1235-1335\nlayers layer layer 3 1235-1335\n"
		"phases phase decode 1000-1400\nphases phase copy_to_cpu 1400-1500\nsteps wait decode 1000-1500\n");
}

static void test_device(void **state)
{
	static const struct lmm_event ev[] = {
		GRAPH(500, 1),
		{ .t = 600,
		  .type = LMM_EV_COMMAND,
		  .phase = LMM_PHASE_DECODE,
		  .seq = 2,
		  .id = 5,
		  .a = 1ull << 32,
		  .b = 1 },
		{ .t = 610,
		  .type = LMM_EV_COMMAND,
		  .phase = LMM_PHASE_DECODE,
		  .seq = 2,
		  .id = 6,
		  .a = 1ull << 32,
		  .b = 1 },
		{ .t = 700, .type = LMM_EV_COMPLETION, .seq = 2, .id = 5, .a = 100 },
		{ .t = 750, .type = LMM_EV_COMPLETION, .seq = 2, .id = 6, .a = 100 },
		{ .t = 900, .type = LMM_EV_COMPLETION, .seq = 2, .id = 99, .a = 10 },
	};

	(void)state;
	/* the second begins while the first runs: a track of its own */
	check_drawn(
		ev, LMM_ARRAY_SIZE(ev),
		"queue command ffn_out 700-800\nqueue command ffn_out 750-850\nqueue command command 900-910\n");
}

static void test_requests(void **state)
{
	struct drawn *d = calloc(1, sizeof(*d));
	struct lmm_result r = { 0 };
	struct lmm_result_request q[3] = {
		{ .id = 1, .seq = 0, .complete = 1, .start_ns = 100, .wall_ns = 50 },
		{ .id = 2, .seq = 1, .complete = 1, .start_ns = 120, .wall_ns = 100 },
		{ .id = 3, .seq = 0, .complete = 1, .start_ns = 150, .wall_ns = 10 },
	};
	struct lmm_trace *tr = make_trace(NULL, 0);

	(void)state;
	assert_non_null(d);
	r.requests = q;
	r.n_requests = 3;
	assert_int_equal(lmm_timeline_draw(tr, &r, &ops, d), 0);
	assert_string_equal(
		d->lines, "requests request request 1 100-150\nrequests request request 2 120-220\n"
			  "requests request request 3 150-160\n");
	assert_int_equal(d->ends[1], 160);
	assert_int_equal(d->ends[2], 220);
	lmm_trace_close(tr);
	free(d);
}

/* Any events, in any order, with any numbers: nothing overlaps (on_slice looks), nothing breaks. */
static void test_nonsense(void **state)
{
	enum { N = 20000 };
	struct lmm_event *ev = calloc(N, sizeof(*ev));
	struct drawn *d = calloc(1, sizeof(*d));
	struct lmm_result r = { 0 };
	uint64_t random = 42, t = 1000;
	struct lmm_trace *tr;

	(void)state;
	assert_non_null(ev);
	assert_non_null(d);
	for (uint32_t i = 0; i < N; i++) {
		static const uint8_t types[] = { 1,    2,    3,	   4,	 5,    6,    7,	  0x40,
						 0x41, 0x42, 0x43, 0x45, 0x46, 0x47, 0x4a };
		uint64_t v = next_random(&random);

		t += v % 100;
		ev[i].t = v % 50 == 0 ? next_random(&random) : t;
		ev[i].type = types[(v >> 8) % LMM_ARRAY_SIZE(types)];
		ev[i].phase = (uint8_t)((v >> 16) % 17);
		ev[i].seq = (uint16_t)((v >> 24) % 3);
		ev[i].id = (uint32_t)((v >> 32) % 9);
		if (lmm_event_is_wide(ev[i].type)) {
			ev[i].a = v % 7 ? t + v % 1000 : next_random(&random);
			ev[i].b = v % 7 ? v % 5 : next_random(&random);
		}
	}
	tr = make_trace(ev, N);
	assert_int_equal(lmm_timeline_draw(tr, &r, &ops, d), 0);
	assert_true(d->slices > 1000);
	lmm_trace_close(tr);
	free(d);
	free(ev);
}

/* ---- packets ------------------------------------------------------------------------------------ */

static uint64_t field_u64(struct lmm_cur message, uint32_t field, struct lmm_cur *inner)
{
	uint64_t found = 0;

	while (lmm_cur_left(&message) > 0) {
		uint64_t tag = lmm_cur_varint(&message);
		uint64_t value = 0;
		const void *data = NULL;

		if ((tag & 7) == 0) {
			value = lmm_cur_varint(&message);
		} else if ((tag & 7) == 1) {
			value = lmm_cur_u64(&message);
		} else {
			assert_int_equal(tag & 7, 2);
			value = lmm_cur_varint(&message);
			data = lmm_cur_get(&message, value);
			assert_non_null(data);
		}
		assert_false(message.bad);
		if (tag >> 3 != field)
			continue;
		found = value;
		if (inner)
			*inner = lmm_cur_make(data, value);
	}
	return found;
}

/* Begins and ends alternate on each track, stamps are those of the events, a packet of one clock goes first. */
static void test_packets(void **state)
{
	static const struct lmm_event ev[] = {
		BEGIN(1000, LMM_PHASE_DECODE, 1),
		STEP(1010, LMM_PHASE_DECODE, 1),
		GRAPH(1020, 1),
		OP(1030, 1),
		GRAPH_END(1345),
		END(1500, LMM_PHASE_DECODE, 1),
	};
	struct lmm_trace *tr = make_trace(ev, LMM_ARRAY_SIZE(ev));
	uint8_t open[16] = { 0 };
	struct lmm_cur all, packet, inner, clocks;
	unsigned packets = 0, slices = 0;
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	(void)state;
	assert_non_null(out);
	assert_int_equal(lmm_export_perfetto(tr, &sample_result, out), 0);
	assert_int_equal(fclose(out), 0);
	all = lmm_cur_make(text, n);
	while (lmm_cur_left(&all) > 0) {
		uint64_t length, type, track;

		assert_int_equal(lmm_cur_varint(&all), 0x0a);
		length = lmm_cur_varint(&all);
		packet = lmm_cur_make(lmm_cur_get(&all, length), length);
		assert_false(all.bad);
		assert_int_equal(field_u64(packet, 10, NULL), 1);
		if (packets++ == 0) {
			assert_true(field_u64(packet, 6, &inner) > 0);
			assert_int_equal(field_u64(inner, 2, NULL), 3);
			assert_true(field_u64(inner, 1, &clocks) > 0);
			assert_int_equal(field_u64(clocks, 1, NULL), 1);
			assert_true(field_u64(clocks, 2, NULL) == sample_result.start_realtime_ns);
		}
		if (field_u64(packet, 11, &inner) == 0)
			continue;
		type = field_u64(inner, 9, NULL);
		track = field_u64(inner, 11, NULL);
		assert_true(track < sizeof(open));
		assert_int_equal(open[track], type == 2);
		open[track] = type == 1;
		slices += type == 1;
		assert_true(field_u64(packet, 8, NULL) >= 1000);
	}
	/* two requests of the sample, and phase, step, layer and operator */
	assert_int_equal(slices, 6);
	for (size_t i = 0; i < sizeof(open); i++)
		assert_false(open[i]);
	lmm_trace_close(tr);
	free(text);
}

static void test_full_disk(void **state)
{
	struct lmm_trace *tr = make_trace(NULL, 0);
	FILE *out = fopen("/dev/full", "w");
	struct lmm_result *many = calloc(1, sizeof(*many));
	struct lmm_result_request *q = calloc(500, sizeof(*q));

	(void)state;
	assert_non_null(out);
	assert_non_null(many);
	assert_non_null(q);
	*many = sample_result;
	for (unsigned i = 0; i < 500; i++)
		q[i] = (struct lmm_result_request){ .id = i + 1,
						    .start_ns = i * 10ull,
						    .wall_ns = 10 };
	many->requests = q;
	many->n_requests = 500;
	assert_int_equal(lmm_export_perfetto(tr, many, out), -ENOSPC);
	assert_true(ferror(out));
	clearerr(out);
	assert_int_equal(lmm_export_chrome(tr, many, out), -ENOSPC);
	assert_true(ferror(out));
	fclose(out);
	free(q);
	free(many);
	lmm_trace_close(tr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guide),	      cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_bad_text),      cmocka_unit_test(test_pool),
		cmocka_unit_test(test_one_step),      cmocka_unit_test(test_sensors),
		cmocka_unit_test(test_brackets),      cmocka_unit_test(test_warmup),
		cmocka_unit_test(test_context_reuse), cmocka_unit_test(test_bench),
		cmocka_unit_test(test_spans),	      cmocka_unit_test(test_losses),
		cmocka_unit_test(test_device),	      cmocka_unit_test(test_requests),
		cmocka_unit_test(test_nonsense),      cmocka_unit_test(test_packets),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
