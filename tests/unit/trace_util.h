/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the .lmt file: items of every kind, files in memory, comparison field by field. */
#ifndef LMM_TESTS_TRACE_UTIL_H
#define LMM_TESTS_TRACE_UTIL_H

/* cmocka.h wants these */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"
#include "trace/format.h"
#include "trace/writer.h"
#include "trace/zstd_codec.h"

/* xorshift64*: the same numbers on every machine */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

/* ---- files -------------------------------------------------------------------------------------- */

struct bytes {
	uint8_t *data;
	size_t n;
};

/* A folder of its own for each test program, gone at exit. */
static char temp_folder[64];

static inline void remove_temp_folder(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", temp_folder);
	if (system(command) != 0)
		(void)fprintf(stderr, "%s stays\n", temp_folder);
}

static inline const char *temp_path(const char *name)
{
	static char path[128];

	if (!temp_folder[0]) {
		(void)snprintf(temp_folder, sizeof(temp_folder), "/tmp/lmm_test_XXXXXX");
		if (!mkdtemp(temp_folder))
			abort();
		(void)atexit(remove_temp_folder);
	}
	(void)snprintf(path, sizeof(path), "%s/%s", temp_folder, name);
	return path;
}

static inline struct bytes read_whole(const char *path)
{
	struct bytes b = { NULL, 0 };
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	b.n = (size_t)st.st_size;
	b.data = malloc(b.n + 1);
	assert_non_null(b.data);
	assert_int_equal(read(fd, b.data, b.n), b.n);
	close(fd);
	return b;
}

static inline void write_whole(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

/* Writes the items through the real writer. level 0: no compression. */
static inline struct bytes write_items(const struct lmm_item *items, size_t n, int level)
{
	struct lmm_codec *codec = level ? lmm_zstd_codec_create(level) : NULL;
	struct lmm_trace_writer_opts opts = { .codec = codec };
	struct lmm_trace_writer *w;
	const char *path = temp_path("items.lmt");
	struct bytes b;

	(void)unlink(path);
	assert_int_equal(lmm_trace_writer_open(path, &opts, &w), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(lmm_trace_writer_item(w, &items[i]), 0);
	assert_int_equal(lmm_trace_writer_close(w), 0);
	b = read_whole(path);
	(void)unlink(path);
	lmm_zstd_codec_destroy(codec);
	return b;
}

/* ---- items -------------------------------------------------------------------------------------- */

static const struct lmm_node sample_nodes[] = {
	{ .name = "inp_embd",
	  .op = "GET_ROWS",
	  .weight = "token_embd.weight",
	  .layer = -1,
	  .role = LMM_ROLE_EMBEDDING,
	  .n_src = 2,
	  .runs = 1,
	  .bytes_read = 2304,
	  .bytes_written = 4,
	  .flops = 0,
	  .out = { "f32", { 576, 1, 1, 1 } },
	  .src = { { "q4_1", { 576, 49152, 1, 1 } }, { "i32", { 1, 1, 1, 1 } } } },
	{ .name = "attn_norm-0",
	  .op = "RMS_NORM",
	  .weight = "",
	  .layer = 0,
	  .role = LMM_ROLE_NORM,
	  .n_src = 1,
	  .runs = 1,
	  .bytes_read = UINT64_MAX,
	  .bytes_written = 1,
	  .flops = UINT64_MAX,
	  .out = { "f32", { 576, 1, 1, 1 } },
	  .src = { { "f32", { 576, 1, 1, 1 } } } },
	{ .name = "",
	  .op = "VIEW",
	  .weight = "",
	  .layer = INT32_MAX,
	  .role = 255,
	  .n_src = 0,
	  .runs = 0,
	  .out = { "", { INT64_MIN, INT64_MAX, 0, -1 } } },
	{ .name = "ffn_gate-29",
	  .op = "MUL_MAT",
	  .weight = "blk.29.ffn_gate.weight",
	  .layer = INT32_MIN,
	  .role = LMM_ROLE_MLP,
	  .n_src = 4,
	  .runs = 1,
	  .bytes_read = 5,
	  .bytes_written = 6,
	  .flops = 7,
	  .out = { "f32", { 1536, 1, 1, 1 } },
	  .src = { { "q4_1", { 576, 1536, 1, 1 } },
		   { "f32", { 576, 1, 1, 1 } },
		   { "f32", { 1, 2, 3, 4 } },
		   { "bf16", { 1, 2, 3, 4 } } } },
};

static const struct lmm_event sample_events[] = {
	{ .t = 5000, .type = LMM_EV_UNACCOUNTED, .id = 6, .a = 5600 },
	{ .t = 5610,
	  .type = LMM_EV_PHASE_BEGIN,
	  .phase = LMM_PHASE_DECODE,
	  .seq = LMM_SEQ_NONE,
	  .id = 7 },
	{ .t = 5700,
	  .type = LMM_EV_STEP,
	  .phase = LMM_PHASE_DECODE,
	  .id = 7,
	  .a = 1 | 1ull << 32,
	  .b = 1 | 99ull << 32 },
	{ .t = 5710, .type = LMM_EV_SEQ, .seq = 3, .id = 7, .a = 1 | 1ull << 32, .b = 1234 },
	{ .t = 5800, .type = LMM_EV_GRAPH_BEGIN, .id = 2, .b = 7 | 8ull << 32 },
	{ .t = 5900, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = 0 },
	{ .t = 6900, .type = LMM_EV_OP_FUSED, .seq = LMM_SEQ_NONE, .id = 1 },
	{ .t = 96900, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = 3 },
	{ .t = 9690000, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = LMM_NODE_UNKNOWN },
	{ .t = 9690300, .type = LMM_EV_OP, .seq = LMM_SEQ_NONE, .id = 4 },
	{ .t = 9700000, .type = LMM_EV_GRAPH_END, .seq = LMM_SEQ_NONE, .id = 2 },
	{ .t = 9700100,
	  .type = LMM_EV_PHASE_END,
	  .phase = LMM_PHASE_DECODE,
	  .seq = LMM_SEQ_NONE,
	  .id = 7 },
};

static const struct lmm_sample sample_round[] = {
	{ 0, 2400000000 }, { 1, INT64_MIN }, { 7, 0 },
	{ 8, INT64_MAX },  { 500, -1 },	     { LMM_SENSORS_MAX - 1, 71000 },
};

static const struct lmm_sample sample_next[] = {
	{ 0, 2400000000 },
	{ 1, INT64_MAX },
	{ 8, INT64_MIN },
	{ LMM_SENSORS_MAX - 1, 70000 },
};

/* One item of every kind, with extreme values. */
static const struct lmm_item sample_items[] = {
	{ .kind = LMM_ITEM_SESSION,
	  .session = { .id = "0123456789abcdef0123456789abcdef",
		       .lmmeter = "0.1.0",
		       .command_name = "llama-completion",
		       .command_line = "llama-completion -m m.gguf -p \xe2\x80\xa6",
		       .host_os = "Linux",
		       .host_cpu = "",
		       .host_cpus = UINT32_MAX,
		       .host_memory_bytes = UINT64_MAX,
		       .clock = 255,
		       .threads_all = 1,
		       .embedded = 1,
		       .start_ticks = UINT64_MAX,
		       .start_realtime_ns = 1ull << 63 } },
	{ .kind = LMM_ITEM_PROCESS,
	  .process = { .process = 1,
		       .pid = INT32_MAX,
		       .parent_pid = INT32_MIN,
		       .name = "a",
		       .engine_name = "llama.cpp",
		       .engine_version = "0.5.0 (abc)",
		       .door = "preload",
		       .start_ticks = 4711,
		       .op_cost_ps = 11800,
		       .pair_cost_ps = UINT32_MAX,
		       .joined = 1 } },
	{ .kind = LMM_ITEM_STREAM, .stream = { .stream = 5, .process = 1, .ring = 9, .tid = -1 } },
	{ .kind = LMM_ITEM_MODEL,
	  .model = { .process = 1,
		     .name = "SmolLM2",
		     .description = "llama 135M Q4_1",
		     .architecture = "llama",
		     .quantization = "Q4_1",
		     .file = "s.gguf",
		     .size_bytes = 98765432,
		     .parameters = 134515008,
		     .layers = 30,
		     .vocabulary = 49152,
		     .embedding = 576 } },
	{ .kind = LMM_ITEM_GRAPH,
	  .graph = { .process = 1,
		     .graph = 2,
		     .n_nodes = LMM_ARRAY_SIZE(sample_nodes),
		     .n_tokens = 512,
		     .nodes = sample_nodes } },
	{ .kind = LMM_ITEM_GRAPH, .graph = { .process = 1, .graph = 3 } },
	{ .kind = LMM_ITEM_CLOCK, .clock = { .ticks = 1000, .mono_ns = 500, .error_ns = 12 } },
	{ .kind = LMM_ITEM_EVENTS,
	  .events = { .stream = 5,
		      .n = LMM_ARRAY_SIZE(sample_events),
		      .ev = sample_events,
		      .ring_from = 100,
		      .ring_to = 117 } },
	{ .kind = LMM_ITEM_REASON,
	  .reason = { .process = 1, .level = LMM_LEVEL_PHASES, .text = "no graph hook" } },
	{ .kind = LMM_ITEM_KERNEL,
	  .kernel = { .process = 1, .kernel = UINT32_MAX, .name = "mul_mv", .device = "gpu0" } },
	{ .kind = LMM_ITEM_QUEUE,
	  .queue = { .process = 1,
		     .queue = 65535,
		     .device = "gpu0",
		     .ticks_per_second = 19200000 } },
	{ .kind = LMM_ITEM_NAME,
	  .name = { .process = 1, .number = UINT32_MAX, .text = "load weights" } },
	{ .kind = LMM_ITEM_CLOCK,
	  .clock = { .ticks = 3000, .mono_ns = UINT64_MAX - 1, .error_ns = UINT32_MAX } },
	{ .kind = LMM_ITEM_EVENTS,
	  .events = { .stream = UINT32_MAX,
		      .n = 0,
		      .ring_from = UINT64_MAX - 2,
		      .ring_to = UINT64_MAX } },
	{ .kind = LMM_ITEM_SENSOR,
	  .sensor = { .sensor = UINT32_MAX,
		      .kind = LMM_SENSOR_GOVERNOR,
		      .component = 255,
		      .name = "policy0",
		      .unit = "state",
		      .source = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
		      .states = "performance powersave",
		      .absent = "not there",
		      .limit = INT64_MIN,
		      .part_of = UINT32_MAX } },
	{ .kind = LMM_ITEM_SAMPLES,
	  .samples = { .ticks = UINT64_MAX - 5,
		       .n = LMM_ARRAY_SIZE(sample_round),
		       .samples = sample_round } },
	{ .kind = LMM_ITEM_SAMPLES,
	  .samples = { .ticks = 4, .n = LMM_ARRAY_SIZE(sample_next), .samples = sample_next } },
	{ .kind = LMM_ITEM_SAMPLES, .samples = { .ticks = 4 } },
	{ .kind = LMM_ITEM_CHECKPOINT, .checkpoint = { .data = "\0state\xff", .size_bytes = 7 } },
	{ .kind = LMM_ITEM_SAMPLES,
	  .samples = { .ticks = 9000,
		       .n = LMM_ARRAY_SIZE(sample_round),
		       .samples = sample_round } },
	{ .kind = LMM_ITEM_LOSS, .loss = { .stream = 5, .emitted = UINT64_MAX, .lost = 3 } },
	{ .kind = LMM_ITEM_DROPPED, .dropped = { .batches = 12, .events = 98304 } },
	{ .kind = LMM_ITEM_PROCESS_END, .process_end = { .process = 1, .ticks = 9999 } },
	{ .kind = LMM_ITEM_END,
	  .end = { .ticks = 10000, .exit_status = -1, .collector_cpu_ns = 77, .no_ring_lost = 1 } },
};

/* ---- comparison --------------------------------------------------------------------------------- */

/* Returns the name of the first field that differs, or NULL. */
#define DIFFERS(x, y, field)                                                                       \
	do {                                                                                       \
		if ((x)->field != (y)->field)                                                      \
			return #field;                                                             \
	} while (0)
#define DIFFERS_TEXT(x, y, field)                                                                  \
	do {                                                                                       \
		if (strcmp((x)->field ? (x)->field : "", (y)->field ? (y)->field : "") != 0)       \
			return #field;                                                             \
	} while (0)

static inline const char *shape_differs(const struct lmm_tensor_shape *x,
					const struct lmm_tensor_shape *y)
{
	DIFFERS_TEXT(x, y, type);
	return memcmp(x->ne, y->ne, sizeof(x->ne)) ? "ne" : NULL;
}

static inline const char *node_differs(const struct lmm_node *x, const struct lmm_node *y)
{
	DIFFERS_TEXT(x, y, name);
	DIFFERS_TEXT(x, y, op);
	DIFFERS_TEXT(x, y, weight);
	DIFFERS(x, y, layer);
	DIFFERS(x, y, role);
	DIFFERS(x, y, n_src);
	DIFFERS(x, y, runs);
	DIFFERS(x, y, bytes_read);
	DIFFERS(x, y, bytes_written);
	DIFFERS(x, y, flops);
	if (shape_differs(&x->out, &y->out))
		return "out";
	for (unsigned i = 0; i < x->n_src; i++)
		if (shape_differs(&x->src[i], &y->src[i]))
			return "src";
	return NULL;
}

/* x as handed over, y as read back: narrow events carry no a and b, graph addresses are not stored. */
static inline const char *event_differs(const struct lmm_event *x, const struct lmm_event *y)
{
	int is_wide = lmm_event_is_wide(x->type);
	uint64_t a = is_wide && x->type != LMM_EV_GRAPH_BEGIN && x->type != LMM_EV_EPOCH ? x->a : 0;

	DIFFERS(x, y, t);
	DIFFERS(x, y, type);
	DIFFERS(x, y, phase);
	DIFFERS(x, y, seq);
	DIFFERS(x, y, id);
	if (a != y->a)
		return "a";
	return (is_wide ? x->b : 0) != y->b ? "b" : NULL;
}

static inline const char *events_differ(const struct lmm_events *x, const struct lmm_events *y)
{
	DIFFERS(x, y, stream);
	DIFFERS(x, y, n);
	DIFFERS(x, y, ring_from);
	DIFFERS(x, y, ring_to);
	for (uint32_t i = 0; i < x->n; i++)
		if (event_differs(&x->ev[i], &y->ev[i]))
			return event_differs(&x->ev[i], &y->ev[i]);
	return NULL;
}

static inline const char *session_differs(const struct lmm_session *x, const struct lmm_session *y)
{
	DIFFERS_TEXT(x, y, id);
	DIFFERS_TEXT(x, y, lmmeter);
	DIFFERS_TEXT(x, y, command_name);
	DIFFERS_TEXT(x, y, command_line);
	DIFFERS_TEXT(x, y, host_os);
	DIFFERS_TEXT(x, y, host_cpu);
	DIFFERS(x, y, host_cpus);
	DIFFERS(x, y, host_memory_bytes);
	DIFFERS(x, y, clock);
	DIFFERS(x, y, threads_all);
	DIFFERS(x, y, embedded);
	DIFFERS(x, y, start_ticks);
	DIFFERS(x, y, start_realtime_ns);
	return NULL;
}

static inline const char *process_differs(const struct lmm_process *x, const struct lmm_process *y)
{
	DIFFERS(x, y, process);
	DIFFERS(x, y, pid);
	DIFFERS(x, y, parent_pid);
	DIFFERS_TEXT(x, y, name);
	DIFFERS_TEXT(x, y, engine_name);
	DIFFERS_TEXT(x, y, engine_version);
	DIFFERS_TEXT(x, y, door);
	DIFFERS(x, y, start_ticks);
	DIFFERS(x, y, op_cost_ps);
	DIFFERS(x, y, pair_cost_ps);
	DIFFERS(x, y, joined);
	return NULL;
}

static inline const char *model_differs(const struct lmm_model *x, const struct lmm_model *y)
{
	DIFFERS(x, y, process);
	DIFFERS_TEXT(x, y, name);
	DIFFERS_TEXT(x, y, description);
	DIFFERS_TEXT(x, y, architecture);
	DIFFERS_TEXT(x, y, quantization);
	DIFFERS_TEXT(x, y, file);
	DIFFERS(x, y, size_bytes);
	DIFFERS(x, y, parameters);
	DIFFERS(x, y, layers);
	DIFFERS(x, y, vocabulary);
	DIFFERS(x, y, embedding);
	return NULL;
}

static inline const char *graph_differs(const struct lmm_graph *x, const struct lmm_graph *y)
{
	DIFFERS(x, y, process);
	DIFFERS(x, y, graph);
	DIFFERS(x, y, n_nodes);
	DIFFERS(x, y, n_tokens);
	for (uint32_t i = 0; i < x->n_nodes; i++)
		if (node_differs(&x->nodes[i], &y->nodes[i]))
			return node_differs(&x->nodes[i], &y->nodes[i]);
	return NULL;
}

static inline const char *small_differs(const struct lmm_item *x, const struct lmm_item *y)
{
	switch (x->kind) {
	case LMM_ITEM_STREAM:
		DIFFERS(x, y, stream.stream);
		DIFFERS(x, y, stream.process);
		DIFFERS(x, y, stream.ring);
		DIFFERS(x, y, stream.tid);
		return NULL;
	case LMM_ITEM_CLOCK:
		DIFFERS(x, y, clock.ticks);
		DIFFERS(x, y, clock.mono_ns);
		DIFFERS(x, y, clock.error_ns);
		return NULL;
	case LMM_ITEM_REASON:
		DIFFERS(x, y, reason.process);
		DIFFERS(x, y, reason.level);
		DIFFERS_TEXT(x, y, reason.text);
		return NULL;
	case LMM_ITEM_KERNEL:
		DIFFERS(x, y, kernel.process);
		DIFFERS(x, y, kernel.kernel);
		DIFFERS_TEXT(x, y, kernel.name);
		DIFFERS_TEXT(x, y, kernel.device);
		return NULL;
	case LMM_ITEM_QUEUE:
		DIFFERS(x, y, queue.process);
		DIFFERS(x, y, queue.queue);
		DIFFERS_TEXT(x, y, queue.device);
		DIFFERS(x, y, queue.ticks_per_second);
		return NULL;
	case LMM_ITEM_NAME:
		DIFFERS(x, y, name.process);
		DIFFERS(x, y, name.number);
		DIFFERS_TEXT(x, y, name.text);
		return NULL;
	default:
		return "kind";
	}
}

static inline const char *counter_differs(const struct lmm_item *x, const struct lmm_item *y)
{
	switch (x->kind) {
	case LMM_ITEM_CHECKPOINT:
		DIFFERS(x, y, checkpoint.size_bytes);
		return memcmp(x->checkpoint.data, y->checkpoint.data, x->checkpoint.size_bytes)
			       ? "data"
			       : NULL;
	case LMM_ITEM_LOSS:
		DIFFERS(x, y, loss.stream);
		DIFFERS(x, y, loss.emitted);
		DIFFERS(x, y, loss.lost);
		return NULL;
	case LMM_ITEM_DROPPED:
		DIFFERS(x, y, dropped.batches);
		DIFFERS(x, y, dropped.events);
		return NULL;
	case LMM_ITEM_PROCESS_END:
		DIFFERS(x, y, process_end.process);
		DIFFERS(x, y, process_end.ticks);
		return NULL;
	case LMM_ITEM_END:
		DIFFERS(x, y, end.ticks);
		DIFFERS(x, y, end.exit_status);
		DIFFERS(x, y, end.collector_cpu_ns);
		DIFFERS(x, y, end.no_ring_lost);
		return NULL;
	default:
		return small_differs(x, y);
	}
}

static inline const char *sensor_differs(const struct lmm_sensor *x, const struct lmm_sensor *y)
{
	DIFFERS(x, y, sensor);
	DIFFERS(x, y, kind);
	DIFFERS(x, y, component);
	DIFFERS_TEXT(x, y, name);
	DIFFERS_TEXT(x, y, unit);
	DIFFERS_TEXT(x, y, source);
	DIFFERS_TEXT(x, y, states);
	DIFFERS_TEXT(x, y, absent);
	DIFFERS(x, y, limit);
	DIFFERS(x, y, part_of);
	return NULL;
}

static inline const char *samples_differ(const struct lmm_samples *x, const struct lmm_samples *y)
{
	DIFFERS(x, y, ticks);
	DIFFERS(x, y, n);
	for (uint32_t i = 0; i < x->n; i++) {
		DIFFERS(x, y, samples[i].sensor);
		DIFFERS(x, y, samples[i].value);
	}
	return NULL;
}

static inline const char *item_differs(const struct lmm_item *x, const struct lmm_item *y)
{
	DIFFERS(x, y, kind);
	switch (x->kind) {
	case LMM_ITEM_SESSION:
		return session_differs(&x->session, &y->session);
	case LMM_ITEM_PROCESS:
		return process_differs(&x->process, &y->process);
	case LMM_ITEM_MODEL:
		return model_differs(&x->model, &y->model);
	case LMM_ITEM_GRAPH:
		return graph_differs(&x->graph, &y->graph);
	case LMM_ITEM_EVENTS:
		return events_differ(&x->events, &y->events);
	case LMM_ITEM_SENSOR:
		return sensor_differs(&x->sensor, &y->sensor);
	case LMM_ITEM_SAMPLES:
		return samples_differ(&x->samples, &y->samples);
	default:
		return counter_differs(x, y);
	}
}

/* Checks that the trace in memory gives just these items, and its state at the end. */
static inline void assert_reads(const struct bytes *b, const struct lmm_item *items, size_t n,
				enum lmm_trace_state end)
{
	struct lmm_trace *tr;
	const struct lmm_item *it;

	assert_int_equal(lmm_trace_open_memory(b->data, b->n, &tr), 0);
	for (size_t i = 0; i < n; i++) {
		const char *field;

		assert_int_equal(lmm_trace_next(tr, &it), 1);
		field = item_differs(&items[i], it);
		if (field)
			fail_msg("item %zu (kind %d): %s differs", i, (int)items[i].kind, field);
	}
	assert_int_equal(lmm_trace_next(tr, &it), 0);
	assert_int_equal(lmm_trace_state(tr, NULL), end);
	lmm_trace_close(tr);
}

#endif
