/* SPDX-License-Identifier: Apache-2.0 */
#include "golden.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "trace/writer.h"

#define START	   1000000000000u
#define MS	   1000000ull
#define N_NODES	   20
#define VIEW_NODE  19
#define EVENTS_MAX 256

struct maker {
	lmm_sink_fn sink;
	void *ctx;
	int rc;
	uint64_t t;
	uint64_t emitted;
	uint32_t step, call, epoch;
	int64_t rounds, energy_uj;
	uint64_t round_t;
	struct lmm_event ev[EVENTS_MAX];
	uint32_t n;
};

static struct lmm_node nodes[N_NODES];
static char names[N_NODES][32];

/* ---- items -------------------------------------------------------------------------------------- */

static void give(struct maker *m, const struct lmm_item *item)
{
	if (m->rc == 0)
		m->rc = m->sink(m->ctx, item);
}

static void flush(struct maker *m)
{
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };

	if (m->n == 0)
		return;
	item.events.stream = 0;
	item.events.n = m->n;
	item.events.ev = m->ev;
	m->emitted += m->n;
	give(m, &item);
	m->n = 0;
}

static struct lmm_event *event(struct maker *m, unsigned type, unsigned phase, uint32_t id)
{
	struct lmm_event *e;

	if (m->n == EVENTS_MAX)
		flush(m);
	e = &m->ev[m->n++];
	memset(e, 0, sizeof(*e));
	e->t = m->t;
	e->type = (uint8_t)type;
	e->phase = (uint8_t)phase;
	e->seq = LMM_SEQ_NONE;
	e->id = id;
	return e;
}

static void phase_begin(struct maker *m, unsigned phase, unsigned seq, uint32_t step)
{
	event(m, LMM_EV_PHASE_BEGIN, phase, step)->seq = (uint16_t)seq;
}

static void phase_end(struct maker *m, unsigned phase, unsigned seq, uint32_t step)
{
	event(m, LMM_EV_PHASE_END, phase, step)->seq = (uint16_t)seq;
}

static void count(struct maker *m, unsigned phase, uint32_t step, uint64_t value, uint64_t detail)
{
	struct lmm_event *e = event(m, LMM_EV_COUNT, phase, step);

	e->a = value;
	e->b = detail;
}

static void unaccounted(struct maker *m, uint32_t step, uint64_t ns)
{
	struct lmm_event *e = event(m, LMM_EV_UNACCOUNTED, 0, step);

	m->t += ns;
	e->a = m->t;
}

/* ---- the graph ---------------------------------------------------------------------------------- */

struct node_kind {
	const char *name, *op, *weight;
	uint8_t role;
};

static const struct node_kind block[8] = {
	{ "attn_norm", "RMS_NORM", "", LMM_ROLE_NORM },
	{ "Qcur", "MUL_MAT", "attn_q", LMM_ROLE_ATTENTION },
	{ "Kcur", "MUL_MAT", "attn_k", LMM_ROLE_ATTENTION },
	{ "kqv", "FLASH_ATTN_EXT", "", LMM_ROLE_ATTENTION },
	{ "attn_out", "MUL_MAT", "attn_output", LMM_ROLE_ATTENTION },
	{ "ffn_norm", "RMS_NORM", "", LMM_ROLE_NORM },
	{ "ffn_gate", "MUL_MAT", "ffn_gate", LMM_ROLE_MLP },
	{ "ffn_out", "MUL_MAT", "ffn_down", LMM_ROLE_MLP },
};

static void set_node(unsigned i, const char *name, const struct node_kind *kind, int32_t layer)
{
	struct lmm_node *n = &nodes[i];
	int has_weight = kind->weight[0] != '\0';

	(void)snprintf(names[i], sizeof(names[i]), "%s", name);
	n->name = names[i];
	n->op = kind->op;
	n->weight = kind->weight;
	n->layer = layer;
	n->role = kind->role;
	n->runs = i != VIEW_NODE;
	n->n_src = 2;
	n->bytes_read = has_weight ? 4096 : 256;
	n->bytes_written = 256;
	n->flops = has_weight ? 8192 : 64;
	n->out = (struct lmm_tensor_shape){ "f32", { 64, 1, 1, 1 } };
	n->src[0] = has_weight ? (struct lmm_tensor_shape){ "q4_1", { 64, 64, 1, 1 } }
			       : (struct lmm_tensor_shape){ "f32", { 64, 1, 1, 1 } };
	n->src[1] = (struct lmm_tensor_shape){ "f32", { 64, 1, 1, 1 } };
}

static void make_nodes(void)
{
	static const struct node_kind embedding = { "", "GET_ROWS", "token_embd.weight",
						    LMM_ROLE_EMBEDDING };
	static const struct node_kind norm = { "", "RMS_NORM", "", LMM_ROLE_NORM };
	static const struct node_kind head = { "", "MUL_MAT", "output.weight", LMM_ROLE_LM_HEAD };
	static const struct node_kind view = { "", "VIEW", "", LMM_ROLE_OTHER };
	char name[32];

	set_node(0, "embd", &embedding, -1);
	for (unsigned i = 0; i < 16; i++) {
		(void)snprintf(name, sizeof(name), "%s-%u", block[i % 8].name, i / 8);
		set_node(1 + i, name, &block[i % 8], (int32_t)(i / 8));
	}
	set_node(17, "result_norm", &norm, -1);
	set_node(18, "result_output", &head, -1);
	set_node(VIEW_NODE, "result_output (view)", &view, -1);
}

static void give_graph(struct maker *m, uint32_t id, uint32_t n_tokens)
{
	struct lmm_item item = { .kind = LMM_ITEM_GRAPH };

	item.graph.graph = id;
	item.graph.n_nodes = N_NODES;
	item.graph.n_tokens = n_tokens;
	item.graph.nodes = nodes;
	give(m, &item);
}

/* ---- passes and tokens -------------------------------------------------------------------------- */

struct pass {
	unsigned phase;
	uint32_t graph;
	uint32_t tokens, outputs; /* of the call; 0 in further passes of it */
	uint32_t position;
	uint32_t node_ns, node_slope_ns;
	int copies;
};

static void run_graph(struct maker *m, const struct pass *p)
{
	struct lmm_event *e = event(m, LMM_EV_GRAPH_BEGIN, 0, p->graph);

	e->b = m->step | (uint64_t)++m->epoch << 32;
	m->t += 500;
	for (uint32_t i = 0; i < N_NODES; i++) {
		if (i == VIEW_NODE)
			continue;
		event(m, LMM_EV_OP, 0, i);
		m->t += p->node_ns + p->node_slope_ns * i;
	}
	event(m, LMM_EV_GRAPH_END, 0, p->graph);
}

static void run_pass(struct maker *m, const struct pass *p)
{
	struct lmm_event *e;

	phase_begin(m, p->phase, LMM_SEQ_NONE, m->step);
	m->t += 100;
	e = event(m, LMM_EV_STEP, p->phase, m->step);
	e->a = p->tokens | (uint64_t)p->outputs << 32;
	e->b = 1 | (uint64_t)m->call << 32;
	if (p->tokens > 0) {
		e = event(m, LMM_EV_SEQ, 0, m->step);
		e->seq = 0;
		e->a = p->tokens | (uint64_t)p->outputs << 32;
		e->b = p->position;
	}
	m->t += 200;
	run_graph(m, p);
	m->t += 200;
	if (p->copies) {
		phase_begin(m, LMM_PHASE_COPY_TO_CPU, LMM_SEQ_NONE, m->step);
		m->t += 1000;
		phase_end(m, LMM_PHASE_COPY_TO_CPU, LMM_SEQ_NONE, m->step);
		count(m, LMM_PHASE_COPY_TO_CPU, m->step, 2048, 0);
	}
	m->t += 100;
	phase_end(m, p->phase, LMM_SEQ_NONE, m->step);
}

static void sample(struct maker *m)
{
	unaccounted(m, m->step, 700);
	phase_begin(m, LMM_PHASE_SAMPLING, 0, m->step);
	m->t += 1000;
	phase_begin(m, LMM_PHASE_SOFTMAX, 0, m->step);
	m->t += 800;
	phase_end(m, LMM_PHASE_SOFTMAX, 0, m->step);
	m->t += 1000;
	event(m, LMM_EV_TOKEN, 0, m->step)->seq = 0;
	m->t += 200;
	phase_end(m, LMM_PHASE_SAMPLING, 0, m->step);
	unaccounted(m, m->step, 700);
	phase_begin(m, LMM_PHASE_DETOKENIZE, 0, m->step);
	m->t += 500;
	phase_end(m, LMM_PHASE_DETOKENIZE, 0, m->step);
}

/* A package that draws 10 W and then 20 W, and a CPU that heats up. */
static void give_sensors(struct maker *m)
{
	static const struct lmm_sensor sensors[] = {
		{ 0, LMM_SENSOR_FREQUENCY, LMM_COMPONENT_CPU, "policy0", "hz",
		  "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "", "", 3000000000,
		  0 },
		{ 1, LMM_SENSOR_GOVERNOR, LMM_COMPONENT_CPU, "policy0", "state",
		  "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
		  "performance powersave", "", 0, 0 },
		{ 2, LMM_SENSOR_TEMPERATURE, LMM_COMPONENT_PACKAGE, "x86_pkg_temp", "millicelsius",
		  "/sys/class/thermal/thermal_zone0/temp", "", "", 0, 0 },
		{ 3, LMM_SENSOR_COOLING, LMM_COMPONENT_CPU, "Processor", "level",
		  "/sys/class/thermal/cooling_device0/cur_state", "", "", 3, 0 },
		{ 4, LMM_SENSOR_ENERGY, LMM_COMPONENT_PACKAGE, "package-0", "uj",
		  "/sys/class/powercap/intel-rapl:0/energy_uj", "", "", 0, 0 },
		{ 5, LMM_SENSOR_STALL, LMM_COMPONENT_MEMORY, "some", "us", "/proc/pressure/memory",
		  "", "", 0, 0 },
		{ 6, LMM_SENSOR_MEMORY, LMM_COMPONENT_MEMORY, "MemAvailable", "bytes",
		  "/proc/meminfo", "", "", 8ll << 30, 0 },
		{ 7, LMM_SENSOR_LOAD, LMM_COMPONENT_GPU, "GPU", "permille", "/sys/class", "",
		  "not there", 0, 0 },
	};

	for (size_t i = 0; i < sizeof(sensors) / sizeof(sensors[0]); i++)
		give(m, &(struct lmm_item){ .kind = LMM_ITEM_SENSOR, .sensor = sensors[i] });
}

static void give_round(struct maker *m)
{
	int64_t n = m->rounds++, us = (int64_t)(m->t - m->round_t) / 1000;
	struct lmm_sample s[7] = {
		{ 0, 3000000000 - n * 150000000 },
		{ 1, 1 },
		{ 2, 45000 + n * 2500 },
		{ 3, n == 1 },
		{ 4, 0 },
		{ 5, n * 10 },
		{ 6, (4ll << 30) - n * (1 << 20) },
	};

	flush(m);
	m->energy_uj += n ? us * (n < 3 ? 10 : 20) : 0;
	m->round_t = m->t;
	s[4].value = m->energy_uj;
	give(m, &(struct lmm_item){ .kind = LMM_ITEM_SAMPLES,
				    .samples = { .ticks = m->t, .n = 7, .samples = s } });
}

static void run_request(struct maker *m, uint64_t tokenize_ns, uint32_t chunks)
{
	struct pass pass = { LMM_PHASE_PREFILL, 1, chunks * 4, 1, 0, 20000, 100, 0 };

	phase_begin(m, LMM_PHASE_TOKENIZE, LMM_SEQ_NONE, LMM_STEP_NONE);
	m->t += tokenize_ns;
	phase_end(m, LMM_PHASE_TOKENIZE, LMM_SEQ_NONE, LMM_STEP_NONE);
	count(m, LMM_PHASE_TOKENIZE, LMM_STEP_NONE, chunks * 4, 0);
	unaccounted(m, m->step, 700);
	m->call++;
	for (uint32_t i = 0; i < chunks; i++) {
		m->step++;
		pass.copies = i + 1 == chunks;
		run_pass(m, &pass);
		pass.tokens = pass.outputs = 0;
	}
	sample(m);
	for (uint32_t i = 0; i < 3; i++) {
		struct pass decode = { LMM_PHASE_DECODE, 2, 1, 1, chunks * 4 + i, 1000, 10, 1 };

		unaccounted(m, m->step, 700);
		m->call++;
		m->step++;
		run_pass(m, &decode);
		give_round(m);
		sample(m);
	}
}

/* ---- session ------------------------------------------------------------------------------------ */

static void give_head(struct maker *m)
{
	struct lmm_item session = { .kind = LMM_ITEM_SESSION };
	struct lmm_item process = { .kind = LMM_ITEM_PROCESS };
	struct lmm_item stream = { .kind = LMM_ITEM_STREAM };
	struct lmm_item model = { .kind = LMM_ITEM_MODEL };

	session.session = (struct lmm_session){
		"00112233445566778899aabbccddeeff",
		"0.1.0",
		"llama-completion",
		"llama-completion -m tiny.gguf -p ***",
		"Linux 6.1.0 x86_64",
		"Made-up CPU",
		2,
		8ull << 30,
		LMM_CLOCK_MONOTONIC,
		0,
		0,
		START,
		1700000000000000000u,
	};
	process.process = (struct lmm_process){ 0,
						4242,
						4241,
						"llama-completion",
						"llama.cpp",
						"0.5.0 (golden)",
						"preload",
						START + 500000,
						10000,
						20000,
						0 };
	stream.stream = (struct lmm_stream){ 0, 0, 0, 4242 };
	model.model = (struct lmm_model){ 0,	       "Tiny",	"llama 1M Q4_1", "llama", "Q4_1",
					  "tiny.gguf", 1048576, 1000000,	 2,	  512,
					  64 };
	give(m, &session);
	give(m, &(struct lmm_item){ .kind = LMM_ITEM_CLOCK, .clock = { START, START, 20 } });
	give(m, &process);
	give(m, &stream);
	give(m, &model);
	give_graph(m, 1, 4);
	give_graph(m, 2, 1);
}

static void give_tail(struct maker *m)
{
	struct lmm_item reason = { .kind = LMM_ITEM_REASON };
	struct lmm_item loss = { .kind = LMM_ITEM_LOSS };
	struct lmm_item process_end = { .kind = LMM_ITEM_PROCESS_END };
	struct lmm_item end = { .kind = LMM_ITEM_END };

	reason.reason = (struct lmm_reason){ 0, LMM_LEVEL_KERNELS, "made up for the tests" };
	loss.loss = (struct lmm_loss){ 0, m->emitted, 0 };
	process_end.process_end = (struct lmm_process_end){ 0, m->t + 1 * MS };
	end.end = (struct lmm_end){ m->t + 2 * MS, 0, 5 * MS, 0 };
	give(m, &reason);
	give(m, &loss);
	give(m, &(struct lmm_item){ .kind = LMM_ITEM_CLOCK,
				    .clock = { m->t + 1 * MS, m->t + 1 * MS, 20 } });
	give(m, &process_end);
	give(m, &end);
}

int lmm_golden_items(lmm_sink_fn sink, void *ctx)
{
	struct maker m = { .sink = sink, .ctx = ctx, .t = START + 1 * MS };
	struct lmm_event *e;

	make_nodes();
	give_head(&m);
	give_sensors(&m);
	give_round(&m);
	phase_begin(&m, LMM_PHASE_MODEL_LOAD, LMM_SEQ_NONE, LMM_STEP_NONE);
	m.t += 100 * MS;
	phase_end(&m, LMM_PHASE_MODEL_LOAD, LMM_SEQ_NONE, LMM_STEP_NONE);
	count(&m, LMM_PHASE_MODEL_LOAD, LMM_STEP_NONE, 1048576, 256 | (uint64_t)3 << 32);
	phase_begin(&m, LMM_PHASE_CONTEXT_INIT, LMM_SEQ_NONE, LMM_STEP_NONE);
	m.t += 5 * MS;
	give_round(&m);
	phase_end(&m, LMM_PHASE_CONTEXT_INIT, LMM_SEQ_NONE, LMM_STEP_NONE);
	e = event(&m, LMM_EV_HINT, LMM_HINT_CONTEXT_NEW, 0);
	e->a = 1;
	m.t += 1 * MS;
	run_request(&m, 40000, 2);
	m.t += 2 * MS;
	e = event(&m, LMM_EV_HINT, LMM_HINT_MEMORY_CLEAR, 0);
	e->a = 1;
	run_request(&m, 20000, 1);
	flush(&m);
	give_round(&m);
	give_tail(&m);
	return m.rc;
}

int lmm_golden_write(const char *path)
{
	struct lmm_trace_writer_opts opts = { 0 };
	struct lmm_trace_writer *w;
	int rc = lmm_trace_writer_open(path, &opts, &w);
	int rc_close;

	if (rc < 0)
		return rc;
	rc = lmm_golden_items(lmm_trace_writer_item, w);
	rc_close = lmm_trace_writer_close(w);
	return rc < 0 ? rc : rc_close;
}
