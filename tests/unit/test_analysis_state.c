/* SPDX-License-Identifier: Apache-2.0 */
/* The state as bytes: cut anywhere it goes on as if nothing had happened, and no bytes can hurt it. */
#include "tape.h"

#include <errno.h>
#include <unistd.h>

#include "trace/writer.h"

static uint64_t dice_state;

static uint64_t dice(uint64_t n)
{
	dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
	return (dice_state >> 33) % n;
}

static const struct lmm_tensor_shape shape = { "f32", { 8, 1, 1, 1 } };
static struct lmm_node nodes[6];

static void nodes_make(void)
{
	static const char *const names[] = { "embd",	  "norm-0", "Qcur-0",
					     "ffn_out-0", "node_4", "result_output" };
	static const char *const ops[] = { "GET_ROWS", "RMS_NORM",	 "MUL_MAT",
					   "MUL_MAT",  "FLASH_ATTN_EXT", "MUL_MAT" };
	static const uint8_t roles[] = { LMM_ROLE_EMBEDDING, LMM_ROLE_NORM,  LMM_ROLE_ATTENTION,
					 LMM_ROLE_MLP,	     LMM_ROLE_OTHER, LMM_ROLE_LM_HEAD };

	for (unsigned i = 0; i < 6; i++) {
		nodes[i] = (struct lmm_node){ .name = names[i],
					      .op = ops[i],
					      .weight = i % 2 ? "" : "blk.0.some.weight",
					      .layer = (int)i - 1,
					      .role = roles[i],
					      .n_src = 3,
					      .runs = 1,
					      .bytes_read = i * 1000 };
		nodes[i].out = nodes[i].src[0] = nodes[i].src[1] = nodes[i].src[2] = shape;
	}
}

static void graph_put(struct tape *p, uint32_t process, uint32_t graph, uint32_t n_tokens)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_GRAPH);

	it->graph = (struct lmm_graph){ .process = process,
					.graph = graph,
					.n_nodes = 6,
					.n_tokens = n_tokens,
					.nodes = nodes };
}

static void descriptions_put(struct tape *p, const char *name)
{
	struct lmm_item *it;

	nodes_make();
	tape_begin(p, name, 7000);
	tape_process(p, 4, "llama-bench", 3000);
	tape_stream(p, 2, 4);
	graph_put(p, 0, 1, 1);
	graph_put(p, 0, 2, 0);
	graph_put(p, 4, 1, 8);
	it = tape_item(p, LMM_ITEM_MODEL);
	it->model = (struct lmm_model){ .process = 0,
					.name = "m",
					.description = "d",
					.architecture = "a",
					.quantization = "q",
					.file = "f",
					.size_bytes = 777 };
	it = tape_item(p, LMM_ITEM_REASON);
	it->reason =
		(struct lmm_reason){ .process = 0, .level = LMM_LEVEL_KERNELS, .text = "because" };
	it = tape_item(p, LMM_ITEM_QUEUE);
	it->queue = (struct lmm_queue){
		.process = 0, .queue = 1, .device = "gpu", .ticks_per_second = 1000000
	};
	it = tape_item(p, LMM_ITEM_KERNEL);
	it->kernel = (struct lmm_kernel){ .process = 0, .kernel = 2, .name = "k", .device = "gpu" };
	tape_sensor(p, 0, LMM_SENSOR_POWER, LMM_COMPONENT_BOARD, "VDD_IN");
	tape_sensor(p, 1, LMM_SENSOR_ENERGY, LMM_COMPONENT_PACKAGE, "package-0");
	tape_sensor(p, 2, LMM_SENSOR_COOLING, LMM_COMPONENT_CPU, "Processor")->limit = 3;
	tape_sensor(p, 3, LMM_SENSOR_GOVERNOR, LMM_COMPONENT_CPU, "policy0")->states = "a bc";
	tape_sensor(p, 4, LMM_SENSOR_LOAD, LMM_COMPONENT_GPU, "GPU")->absent = "not there";
}

/* One pass of sequences 0 and 1 in context c, on the tape's stream. */
static uint64_t pass(struct tape *p, uint64_t t, unsigned phase, uint32_t step, uint64_t tokens,
		     uint64_t c, uint64_t position)
{
	int64_t values[] = { 1000 + step * 7, step * 13, step % 2, step % 2 };

	tape_idle(p, t, t + 30, step - 1);
	tape_in(p, t + 31, phase, step, LMM_SEQ_NONE);
	tape_step(p, t + 32, phase, step, 2 * tokens, 2, c, step);
	tape_seq(p, t + 33, step, 0, tokens, 1, position);
	tape_seq(p, t + 33, step, 1, tokens, 1, position);
	tape_graph_begin(p, t + 40, 1, step);
	for (uint32_t i = 0; i < 6; i++)
		tape_op(p, t + 45 + 20 * i, i, i == 1);
	tape_graph_end(p, t + 180, 1);
	tape_round(p, t + 180, values, 4);
	tape_span(p, t + 181, t + 190, LMM_PHASE_COPY_TO_CPU, step, LMM_SEQ_NONE);
	tape_out(p, t + 200, phase, step, LMM_SEQ_NONE);
	for (unsigned s = 0; s < 2; s++) {
		uint64_t u = t + 200 + 50 * s;

		tape_in(p, u, LMM_PHASE_SAMPLING, step, s);
		tape_span(p, u + 5, u + 10, LMM_PHASE_SOFTMAX, step, s);
		tape_token(p, u + 20, step, s);
		tape_out(p, u + 30, LMM_PHASE_SAMPLING, step, s);
		tape_span(p, u + 30, u + 45, LMM_PHASE_DETOKENIZE, step, s);
	}
	return t + 300;
}

static void session_make(struct tape *p)
{
	struct lmm_event *e;
	struct lmm_item *it;
	uint64_t t = 30000;

	descriptions_put(p, "llama-server");
	tape_span(p, 10000, 20000, LMM_PHASE_MODEL_LOAD, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, 20001, LMM_PHASE_MODEL_LOAD, 777, 5);
	tape_hint(p, 20002, LMM_HINT_CONTEXT_NEW, LMM_SEQ_NONE, 3, 0);
	tape_hint(p, 20003, LMM_HINT_WARMUP_ON, LMM_SEQ_NONE, 3, 0);
	tape_in(p, 20010, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_step(p, 20011, LMM_PHASE_PREFILL, 1, 2, 1, 3, 1);
	tape_out(p, 20100, LMM_PHASE_PREFILL, 1, LMM_SEQ_NONE);
	tape_hint(p, 20101, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 3, 0);
	tape_hint(p, 20102, LMM_HINT_PERF_RESET, LMM_SEQ_NONE, 3, 0);
	tape_hint(p, 20103, LMM_HINT_WARMUP_OFF, LMM_SEQ_NONE, 3, 0);
	p->stream = 1;
	tape_span(p, 29000, 29100, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_count(p, 29101, LMM_PHASE_TOKENIZE, 5, 0);
	p->stream = 0;
	t = pass(p, t, LMM_PHASE_PREFILL, 2, 5, 3, 0);
	for (uint32_t i = 0; i < 3; i++)
		t = pass(p, t, LMM_PHASE_DECODE, 3 + i, 1, 3, 5 + i);
	tape_lost(p, t, 3);
	e = tape_event(p, t, LMM_EV_COMMAND);
	e->id = 1;
	e->seq = 1;
	e->a = 2 | 2ull << 32;
	e->b = 5;
	p->stream = 1;
	e = tape_event(p, 5, LMM_EV_COMPLETION);
	e->id = 1;
	e->seq = 1;
	e->a = 7;
	p->stream = 2;
	tape_hint(p, 25000, LMM_HINT_CONTEXT_NEW, LMM_SEQ_NONE, 0, 0);
	for (uint32_t i = 0; i < 3; i++) {
		tape_in(p, 26000 + 1000 * i, LMM_PHASE_PREFILL, 1 + i, LMM_SEQ_NONE);
		tape_step(p, 26001 + 1000 * i, LMM_PHASE_PREFILL, 1 + i, 8, 1, 0, 1 + i);
		tape_out(p, 26500 + 1000 * i, LMM_PHASE_PREFILL, 1 + i, LMM_SEQ_NONE);
		if (i == 2) {
			tape_in(p, 28510, LMM_PHASE_DECODE, 4, LMM_SEQ_NONE);
			tape_step(p, 28511, LMM_PHASE_DECODE, 4, 1, 1, 0, 4);
			tape_out(p, 28590, LMM_PHASE_DECODE, 4, LMM_SEQ_NONE);
		}
		tape_hint(p, 26600 + 1000 * i, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 0, 0);
	}
	p->stream = 0;
	(void)pass(p, t, LMM_PHASE_PREFILL, 7, 9, 3, 2);
	it = tape_item(p, LMM_ITEM_LOSS);
	it->loss = (struct lmm_loss){ .stream = 0, .emitted = 1000, .lost = 3 };
	tape_end(p, t + 1000);
}

static char *play_dump(const struct tape *p)
{
	struct lmm_result *r = tape_result(p);
	char *text = result_dump(r);

	lmm_result_destroy(r);
	return text;
}

/* The dump when the state goes through bytes after k entries. */
static char *cut_dump(const struct tape *p, size_t k)
{
	struct lmm_analysis *a = tape_analysis(), *b = lmm_analysis_create();
	struct lmm_buf buf = { 0 }, again = { 0 };
	struct lmm_result *r;
	char *text;

	assert_non_null(a);
	assert_non_null(b);
	tape_play(p, 0, k, a);
	assert_int_equal(lmm_analysis_save(a, &buf), 0);
	assert_int_equal(lmm_analysis_load(b, buf.data, buf.n), 0);
	assert_int_equal(lmm_analysis_save(b, &again), 0);
	assert_int_equal(buf.n, again.n);
	assert_memory_equal(buf.data, again.data, buf.n);
	tape_play(p, k, p->n, b);
	r = lmm_analysis_result(b);
	assert_non_null(r);
	text = result_dump(r);
	lmm_result_destroy(r);
	lmm_buf_free(&buf);
	lmm_buf_free(&again);
	lmm_analysis_destroy(a);
	lmm_analysis_destroy(b);
	return text;
}

static void cut_everywhere(const struct tape *p, size_t stride)
{
	char *whole = play_dump(p);

	for (size_t k = 0; k <= p->n; k += stride) {
		char *cut = cut_dump(p, k);

		assert_string_equal(whole, cut);
		free(cut);
	}
	free(whole);
}

static void test_cut_session_anywhere(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	session_make(&p);
	r = tape_result(&p);
	/* the session is worth cutting: requests of both sequences, twice, and two of three of the bench */
	assert_int_equal(r->requests_total, 6);
	assert_int_equal(r->warmup_requests, 2);
	assert_true(r->n_kernels > 6);
	lmm_result_destroy(r);
	cut_everywhere(&p, 1);
	/* and with the second stage close behind the first, so that the cut goes through its state too */
	tape_delay = 2;
	r = tape_result(&p);
	/* twice 8 tokens at 0, one at 8 */
	assert_true(r->steps.prefill_positions == 4.5);
	assert_true(r->steps.decode_positions == 9);
	lmm_result_destroy(r);
	cut_everywhere(&p, 1);
	tape_delay = 0;
	tape_free(&p);
}

/* Anything at all, but of the right shape; times mostly in order. */
static void noise_make(struct tape *p, size_t n, uint64_t seed)
{
	static const uint8_t types[] = {
		LMM_EV_OP,
		LMM_EV_OP,
		LMM_EV_OP_FUSED,
		LMM_EV_PHASE_BEGIN,
		LMM_EV_PHASE_END,
		LMM_EV_PHASE_BEGIN,
		LMM_EV_PHASE_END,
		LMM_EV_GRAPH_BEGIN,
		LMM_EV_GRAPH_END,
		LMM_EV_TOKEN,
		LMM_EV_BARRIER,
		LMM_EV_STEP,
		LMM_EV_SEQ,
		LMM_EV_SEQ,
		LMM_EV_UNACCOUNTED,
		LMM_EV_COUNT,
		LMM_EV_HINT,
		LMM_EV_COMMAND,
		LMM_EV_COMPLETION,
		LMM_EV_LOST,
		LMM_EV_EPOCH,
		LMM_EV_THREAD,
		99,
	};
	uint64_t t = 10000;

	dice_state = seed;
	descriptions_put(p, dice(2) ? "llama-bench" : "x");
	while (p->n < n) {
		struct lmm_event *e;

		p->stream = (uint32_t)dice(4);
		t += dice(50);
		e = tape_event(p, dice(40) ? t : t - dice(3000), types[dice(sizeof(types))]);
		e->phase = (uint8_t)dice(e->type == LMM_EV_HINT ? 14 : 17);
		e->seq = dice(5) ? (uint16_t)dice(3) : (uint16_t)LMM_SEQ_NONE;
		e->id = (uint32_t)(e->type <= LMM_EV_OP_FUSED ? dice(8) : dice(6));
		e->a = dice(4) ? dice(9) | dice(9) << 32 : t + dice(100);
		e->b = dice(4) ? dice(4) | dice(12) << 32 : dice(2) ? LMM_POS_ABSENT : dice(30);
		if (e->type == LMM_EV_UNACCOUNTED && dice(8))
			e->a = e->t + dice(40);
		if (e->type == LMM_EV_STEP || e->type == LMM_EV_PHASE_BEGIN)
			e->phase = (uint8_t)(dice(10) ? 4 + dice(10) : e->phase);
		if (dice(100) == 0)
			graph_put(p, dice(2) ? 0 : 4, (uint32_t)dice(5), (uint32_t)dice(2));
		if (dice(150) == 0)
			tape_clock(p, t);
		if (dice(200) == 0)
			tape_stream(p, (uint32_t)(dice(4) + 4096 * dice(2)), dice(2) ? 0 : 4);
	}
	tape_end(p, t);
}

static void test_noise(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct tape p = { 0 };
		struct lmm_result *r;
		uint64_t events = 0;

		noise_make(&p, 3000, seed);
		r = tape_result(&p);
		for (size_t i = 0; i < p.n; i++)
			events += p.entries[i].item.kind == LMM_ITEM_EVENTS &&
				  !lmm_event_is_meta(p.entries[i].ev.type);
		assert_int_equal(r->records.stored, events);
		assert_int_equal(r->records.emitted, r->records.stored + r->records.lost);
		assert_true(r->records.invalid > 0);
		lmm_result_destroy(r);
		tape_delay = seed % 2 ? 20 : 0;
		if (seed <= 4)
			cut_everywhere(&p, 61);
		tape_delay = 0;
		tape_free(&p);
	}
}

/* Whether events come one by one or in batches makes no difference. */
static void test_batches(void **state)
{
	struct tape p = { 0 };
	struct lmm_analysis *a = lmm_analysis_create();
	struct lmm_event *batch = calloc(TAPE_MAX, sizeof(*batch));
	struct lmm_result *r;
	char *whole, *batched;

	(void)state;
	noise_make(&p, 3000, 77);
	whole = play_dump(&p);
	for (size_t i = 0; i < p.n;) {
		struct lmm_item it = tape_get(&p, i);
		uint32_t n = 0;

		if (it.kind == LMM_ITEM_EVENTS) {
			while (i + n < p.n && p.entries[i + n].item.kind == LMM_ITEM_EVENTS &&
			       p.entries[i + n].item.events.stream == it.events.stream) {
				batch[n] = p.entries[i + n].ev;
				n++;
			}
			it.events.ev = batch;
			it.events.n = n;
		}
		assert_int_equal(lmm_analysis_item(a, &it), 0);
		i += n ? n : 1;
	}
	r = lmm_analysis_result(a);
	batched = result_dump(r);
	assert_string_equal(whole, batched);
	free(whole);
	free(batched);
	free(batch);
	lmm_result_destroy(r);
	lmm_analysis_destroy(a);
	tape_free(&p);
}

/* Asking for a result changes nothing. */
static void test_result_is_a_look(void **state)
{
	struct tape p = { 0 };
	struct lmm_analysis *a = lmm_analysis_create();
	struct lmm_result *r;
	char *whole, *looked;

	(void)state;
	session_make(&p);
	whole = play_dump(&p);
	for (size_t i = 0; i < p.n; i++) {
		tape_play(&p, i, i + 1, a);
		lmm_result_destroy(lmm_analysis_result(a));
	}
	r = lmm_analysis_result(a);
	looked = result_dump(r);
	assert_string_equal(whole, looked);
	free(whole);
	free(looked);
	lmm_result_destroy(r);
	lmm_analysis_destroy(a);
	tape_free(&p);
}

static void test_checkpoint_item(void **state)
{
	struct tape p = { 0 };
	struct lmm_analysis *a = lmm_analysis_create(), *b = lmm_analysis_create();
	struct lmm_buf buf = { 0 };
	struct lmm_item it = { .kind = LMM_ITEM_CHECKPOINT };
	struct lmm_result *r;
	char *whole, *text;

	(void)state;
	session_make(&p);
	whole = play_dump(&p);
	tape_play(&p, 0, p.n / 2, a);
	assert_int_equal(lmm_analysis_save(a, &buf), 0);
	it.checkpoint.data = buf.data;
	it.checkpoint.size_bytes = buf.n;
	tape_play(&p, 0, 20, b); /* is replaced */
	assert_int_equal(lmm_analysis_item(b, &it), 0);
	tape_play(&p, p.n / 2, p.n, b);
	r = lmm_analysis_result(b);
	text = result_dump(r);
	assert_string_equal(whole, text);
	it.checkpoint.size_bytes = buf.n / 2;
	assert_int_equal(lmm_analysis_item(b, &it), LMM_E_CORRUPT);
	free(whole);
	free(text);
	lmm_result_destroy(r);
	lmm_buf_free(&buf);
	lmm_analysis_destroy(a);
	lmm_analysis_destroy(b);
	tape_free(&p);
}

/* Every byte is damaged in turn: refused or taken, and whatever was taken can be gone on with. */
static void test_damaged_state(void **state)
{
	struct tape p = { 0 };
	struct lmm_analysis *a;
	struct lmm_buf buf = { 0 };
	unsigned refused = 0;

	(void)state;
	session_make(&p);
	tape_delay = 20;
	a = tape_analysis();
	tape_delay = 0;
	tape_play(&p, 0, p.n - 30, a);
	assert_int_equal(lmm_analysis_save(a, &buf), 0);
	lmm_analysis_destroy(a);
	for (size_t n = 0; n < buf.n; n += 7) {
		a = lmm_analysis_create();
		assert_true(lmm_analysis_load(a, buf.data, n) < 0);
		lmm_analysis_destroy(a);
	}
	dice_state = 5;
	for (size_t i = 0; i < buf.n; i++) {
		uint8_t was = buf.data[i];
		struct lmm_result *r;

		buf.data[i] ^= (uint8_t)(1 + dice(255));
		a = lmm_analysis_create();
		if (lmm_analysis_load(a, buf.data, buf.n) == 0) {
			for (size_t k = p.n - 30; k < p.n; k++) {
				struct lmm_item it = tape_get(&p, k);

				(void)lmm_analysis_item(a, &it);
			}
			r = lmm_analysis_result(a);
			lmm_result_destroy(r);
		} else {
			refused++;
		}
		lmm_analysis_destroy(a);
		buf.data[i] = was;
	}
	assert_true(refused > 0);
	lmm_buf_free(&buf);
	tape_free(&p);
}

/* ---- files -------------------------------------------------------------------------------------- */

static char path[64];

/* Writes the tape; a checkpoint after `at` entries, damaged if asked for. */
static void file_write(const struct tape *p, size_t at, int is_damaged)
{
	struct lmm_trace_writer *w;
	struct lmm_analysis *a = lmm_analysis_create();
	struct lmm_buf buf = { 0 };

	(void)snprintf(path, sizeof(path), "/tmp/lmm-test-%d.lmt", (int)getpid());
	(void)unlink(path);
	assert_int_equal(lmm_trace_writer_open(path, NULL, &w), 0);
	for (size_t i = 0; i < p->n; i++) {
		struct lmm_item it = tape_get(p, i), c = { .kind = LMM_ITEM_CHECKPOINT };

		if (i == at) {
			assert_int_equal(lmm_analysis_save(a, &buf), 0);
			if (is_damaged)
				buf.data[0] = 99;
			c.checkpoint.data = buf.data;
			c.checkpoint.size_bytes = buf.n;
			assert_int_equal(lmm_trace_writer_item(w, &c), 0);
		}
		assert_int_equal(lmm_analysis_item(a, &it), 0);
		assert_int_equal(lmm_trace_writer_item(w, &it), 0);
	}
	assert_int_equal(lmm_trace_writer_close(w), 0);
	lmm_buf_free(&buf);
	lmm_analysis_destroy(a);
}

static char *file_dump(int recompute, enum lmm_trace_state *how)
{
	struct lmm_analysis_file_opts opts = { .recompute = recompute };
	struct lmm_result *r;
	char *text;

	assert_int_equal(lmm_analysis_file(path, &opts, &r, how), 0);
	text = result_dump(r);
	lmm_result_destroy(r);
	return text;
}

/* Live, from the checkpoint, from all records, with a checkpoint of another version: the same. */
static void test_file(void **state)
{
	struct tape p = { 0 };
	char *live, *text;

	(void)state;
	session_make(&p);
	live = play_dump(&p);
	for (int way = 0; way < 8; way++) {
		enum lmm_trace_state how = LMM_TRACE_READING;
		size_t at = way & 1 ? p.n - 1 : p.n / 2;

		file_write(&p, way == 6 ? p.n + 1 : at, (way & 2) != 0);
		text = file_dump((way & 4) != 0, &how);
		assert_int_equal(how, LMM_TRACE_COMPLETE);
		assert_string_equal(live, text);
		free(text);
	}
	(void)unlink(path);
	free(live);
	tape_free(&p);
}

/* A checkpoint is used, not only looked at: what it says stands against the records before it. */
static void test_file_uses_checkpoint(void **state)
{
	struct tape p = { 0 }, q = { 0 };
	struct lmm_result *r;
	struct lmm_item *it;
	struct lmm_trace_writer *w;
	struct lmm_analysis *a = lmm_analysis_create();
	struct lmm_buf buf = { 0 };
	struct lmm_item c = { .kind = LMM_ITEM_CHECKPOINT };

	(void)state;
	session_make(&p);
	tape_play(&p, 0, p.n, a);
	assert_int_equal(lmm_analysis_save(a, &buf), 0);
	descriptions_put(&q, "other");
	it = tape_item(&q, LMM_ITEM_DROPPED);
	it->dropped.events = 123;
	(void)snprintf(path, sizeof(path), "/tmp/lmm-test-%d.lmt", (int)getpid());
	(void)unlink(path);
	assert_int_equal(lmm_trace_writer_open(path, NULL, &w), 0);
	for (size_t i = 0; i < q.n; i++) {
		if (i == q.n - 1) {
			c.checkpoint.data = buf.data;
			c.checkpoint.size_bytes = buf.n;
			assert_int_equal(lmm_trace_writer_item(w, &c), 0);
		}
		assert_int_equal(lmm_trace_writer_item(w, &q.entries[i].item), 0);
	}
	assert_int_equal(lmm_trace_writer_close(w), 0);
	assert_int_equal(lmm_analysis_file(path, NULL, &r, NULL), 0);
	assert_string_equal(r->command_name, "llama-server");
	assert_int_equal(r->requests_total, 6);
	assert_int_equal(r->records.dropped_detail, 123);
	assert_true(r->records.stored > 123);
	lmm_result_destroy(r);
	/* going through the records, what was dropped is counted but cannot be seen */
	assert_int_equal(lmm_analysis_file(path, &(struct lmm_analysis_file_opts){ .recompute = 1 },
					   &r, NULL),
			 0);
	assert_string_equal(r->command_name, "other");
	assert_int_equal(r->records.stored, 123);
	lmm_result_destroy(r);
	(void)unlink(path);
	assert_int_equal(lmm_analysis_file(path, NULL, &r, NULL), -ENOENT);
	assert_null(r);
	lmm_buf_free(&buf);
	lmm_analysis_destroy(a);
	tape_free(&p);
	tape_free(&q);
}

/* The state of a long run is not larger than that of a short one. */
static void test_size_is_bounded(void **state)
{
	struct tape p = { 0 };
	struct lmm_analysis *a = lmm_analysis_create();
	struct lmm_buf early = { 0 }, late = { 0 };
	struct lmm_result *r;
	uint64_t t = 30000;
	uint32_t step = 1;

	(void)state;
	descriptions_put(&p, "x");
	tape_play(&p, 0, p.n, a);
	for (unsigned request = 0; request < 6000; request++) {
		p.n = 0;
		t = pass(&p, t, LMM_PHASE_PREFILL, step++, 5, 3, 0);
		t = pass(&p, t, LMM_PHASE_DECODE, step++, 1, 3, 5) + 1000;
		tape_play(&p, 0, p.n, a);
		if (request == 2000)
			assert_int_equal(lmm_analysis_save(a, &early), 0);
	}
	assert_int_equal(lmm_analysis_save(a, &late), 0);
	assert_true(late.n < early.n + early.n / 8);
	assert_true(late.n < 600000);
	lmm_analysis_destroy(a);
	a = lmm_analysis_create();
	assert_int_equal(lmm_analysis_load(a, late.data, late.n), 0);
	r = lmm_analysis_result(a);
	/* 4 tokens in 31 … 595 of each round, all rounds alike: also of those that are only a sum by now */
	assert_true(r->output_tokens_per_second > 4 / 564e-9 * (1 - 1e-9));
	assert_true(r->output_tokens_per_second < 4 / 564e-9 * (1 + 1e-9));
	assert_int_equal(r->requests_total, 12000);
	assert_int_equal(r->n_requests, LMM_RESULT_REQUESTS_MAX);
	assert_int_equal(r->requests[0].id, 12000 - 1000 + 1);
	assert_int_equal(r->requests[999].id, 12000);
	assert_int_equal(r->steps.decode.count, 6000);
	assert_int_equal(r->ttft.count, 12000);
	lmm_result_destroy(r);
	lmm_buf_free(&early);
	lmm_buf_free(&late);
	lmm_analysis_destroy(a);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_session_anywhere),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_result_is_a_look),
		cmocka_unit_test(test_checkpoint_item),
		cmocka_unit_test(test_damaged_state),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_uses_checkpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
