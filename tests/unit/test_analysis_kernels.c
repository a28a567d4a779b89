/* SPDX-License-Identifier: Apache-2.0 */
/* Operators, graph runs, layers, threads and device commands out of hand-written events. */
#include "tape.h"

/* spelt out: a constant is no constant expression for clang */
#define Q4                                                                                         \
	{                                                                                          \
		"q4_1",                                                                            \
		{                                                                                  \
			8, 8, 1, 1                                                                 \
		}                                                                                  \
	}
#define F32                                                                                        \
	{                                                                                          \
		"f32",                                                                             \
		{                                                                                  \
			8, 1, 1, 1                                                                 \
		}                                                                                  \
	}

#define NODE(n, o, w, l, r, b, f)                                                                  \
	{                                                                                          \
		.name = (n), .op = (o), .weight = (w), .layer = (l), .role = LMM_ROLE_##r,         \
		.n_src = 2, .runs = 1, .bytes_read = (b), .bytes_written = 1, .flops = (f),        \
		.out = F32,                                                                        \
		.src = { Q4,                                                                       \
			 F32 }                                                                     \
	}

/* 0: embedding; 1-5 layer 0; 6-7 layer 1; 8-9 behind all layers */
static const struct lmm_node nodes[] = {
	NODE("embd", "GET_ROWS", "token_embd.weight", -1, EMBEDDING, 9, 0),
	NODE("norm-0", "RMS_NORM", "", 0, NORM, 9, 3),
	NODE("attn_norm-0", "MUL", "blk.0.attn_norm.weight", 0, NORM, 9, 1),
	NODE("Qcur-0", "MUL_MAT", "blk.0.attn_q.weight", 0, ATTENTION, 99, 128),
	NODE("node_4", "FLASH_ATTN_EXT", "", 0, ATTENTION, 9, 10),
	NODE("ffn_out-0", "MUL_MAT", "blk.0.ffn_down.weight", 0, MLP, 99, 128),
	NODE("norm-1", "RMS_NORM", "", 1, NORM, 9, 3),
	NODE("Qcur-1", "MUL_MAT", "blk.1.attn_q.weight", 1, ATTENTION, 99, 128),
	NODE("result_norm", "MUL", "output_norm.weight", -1, NORM, 9, 1),
	NODE("result_output", "MUL_MAT", "output.weight", -1, LM_HEAD, 99, 1000),
};
#define N_NODES 10

static void tape_graph(struct tape *p, uint32_t graph, uint32_t n_tokens,
		       const struct lmm_node *from, uint32_t n)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_GRAPH);

	it->graph = (struct lmm_graph){
		.process = 0, .graph = graph, .n_nodes = n, .n_tokens = n_tokens, .nodes = from
	};
}

/* A pass at t: 10 ns before the graph, gap 7, operators of 100, 110, … ns; returns its end. */
static uint64_t pass(struct tape *p, uint64_t t, unsigned phase, uint32_t step)
{
	tape_in(p, t, phase, step, LMM_SEQ_NONE);
	tape_step(p, t + 1, phase, step, phase == LMM_PHASE_PREFILL ? 4 : 1, 1, 0, step);
	tape_graph_begin(p, t + 10, 5, step);
	t += 17;
	for (uint32_t i = 0; i < N_NODES; i++) {
		tape_op(p, t, i, i == 1);
		t += 100 + 10 * i;
	}
	tape_graph_end(p, t, 5);
	tape_out(p, t + 20, phase, step, LMM_SEQ_NONE);
	return t + 20;
}

/* Σ (100 + 10 i), i = 0 … 9 */
#define PASS_OPS 1450

static const struct lmm_result_kernel *kernel_find(const struct lmm_result *r, const char *name,
						   unsigned phase, unsigned fused)
{
	for (size_t i = 0; i < r->n_kernels; i++)
		if (strcmp(r->kernels[i].name, name) == 0 && r->kernels[i].phase == phase &&
		    r->kernels[i].fused == fused)
			return &r->kernels[i];
	return NULL;
}

static const struct lmm_result_layer *layer_find(const struct lmm_result *r, int32_t layer)
{
	for (size_t i = 0; i < r->n_layers; i++)
		if (r->layers[i].layer == layer)
			return &r->layers[i];
	return NULL;
}

static void passes_make(struct tape *p, uint32_t op_cost_ps)
{
	uint64_t t = 10000;

	tape_begin(p, "engine", op_cost_ps);
	tape_graph(p, 5, 4, nodes, N_NODES);
	t = pass(p, t, LMM_PHASE_PREFILL, 1);
	t = pass(p, t, LMM_PHASE_DECODE, 2);
	t = pass(p, t, LMM_PHASE_DECODE, 3);
	tape_end(p, t);
}

static void test_sums(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	double kernels = 0, layers = 0;

	(void)state;
	passes_make(&p, 5000); /* 5 ns of each operator are ours */
	r = tape_result(&p);
	assert_ns(r->graph_span_ns, 3 * (7 + PASS_OPS));
	assert_ns(r->graph_gaps_ns, 3 * 7);
	assert_ns(r->graph_own_ns, 3 * N_NODES * 5);
	assert_ns(r->graph_kernels_ns, 3 * (PASS_OPS - N_NODES * 5));
	for (size_t i = 0; i < r->n_kernels; i++)
		kernels += r->kernels[i].stats.total_ns;
	for (size_t i = 0; i < r->n_layers; i++)
		layers += r->layers[i].total_ns;
	assert_ns(kernels, r->graph_kernels_ns);
	assert_ns(layers, r->graph_kernels_ns);
	assert_ns(kernels + r->graph_gaps_ns + r->graph_own_ns, r->graph_span_ns);
	assert_int_equal(r->records.operators, 3 * N_NODES);
	assert_int_equal(r->records.invalid, 0);
	assert_int_equal(r->level.reached, LMM_LEVEL_KERNELS);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_tables(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_kernel *k;
	const struct lmm_result_layer *y;

	(void)state;
	passes_make(&p, 0);
	r = tape_result(&p);
	k = kernel_find(r, "Qcur", LMM_PHASE_DECODE, 0);
	assert_non_null(k);
	assert_string_equal(k->op, "MUL_MAT");
	assert_string_equal(k->device, "CPU");
	assert_string_equal(k->weight_type, "q4_1");
	assert_int_equal(k->role, LMM_ROLE_ATTENTION);
	assert_int_equal(k->stats.count, 4); /* two layers, two steps */
	assert_ns(k->stats.total_ns, 2 * (130 + 170));
	assert_int_equal(k->bytes, 4 * 100);
	assert_int_equal(k->flops, 4 * 128);
	assert_int_equal(k->weight_bytes,
			 4 * (99 - 32)); /* all that is read but the other source */
	assert_int_equal(k->cache_bytes, 0);
	k = kernel_find(r, "flash_attn_ext", LMM_PHASE_DECODE, 0);
	assert_int_equal(k->cache_bytes, 2 * 32);
	assert_int_equal(k->cache_positions, 2);
	assert_int_equal(k->weight_bytes, 0);
	assert_ns(kernel_find(r, "flash_attn_ext", LMM_PHASE_PREFILL, 0)->stats.total_ns, 140);
	/* fused and not are told apart */
	assert_ns(kernel_find(r, "norm", LMM_PHASE_DECODE, 1)->stats.total_ns, 2 * 110);
	/* the weight of what was fused in is read, too */
	k = kernel_find(r, "norm", LMM_PHASE_DECODE, 1);
	assert_int_equal(k->weight_bytes, 2 * 32);
	assert_int_equal(k->bytes, 2 * (10 + 32));
	assert_int_equal(k->flops, 2 * (3 + 1));
	assert_ns(kernel_find(r, "norm", LMM_PHASE_DECODE, 0)->stats.total_ns, 2 * 160);
	assert_string_equal(kernel_find(r, "attn_norm", LMM_PHASE_DECODE, 0)->weight_type, "f32");
	assert_ns(kernel_find(r, "embd", LMM_PHASE_EMBEDDING, 0)->stats.total_ns, 3 * 100);
	for (size_t i = 1; i < r->n_kernels; i++)
		assert_true(r->kernels[i - 1].stats.total_ns >= r->kernels[i].stats.total_ns);

	assert_int_equal(r->n_layers, 3);
	assert_int_equal(r->layers[0].layer, -1);
	y = layer_find(r, 0);
	assert_ns(y->norm_ns, 3 * (110 + 120));
	assert_ns(y->attention_ns, 3 * (130 + 140));
	assert_ns(y->mlp_ns, 3 * 150);
	assert_ns(y->prefill_ns, 110 + 120 + 130 + 140 + 150);
	assert_ns(y->decode_ns, 2 * (110 + 120 + 130 + 140 + 150));
	assert_ns(layer_find(r, -1)->other_ns, 3 * (100 + 190));
	lmm_result_destroy(r);
	tape_free(&p);
}

/* The embedding operator is taken out of the phase around it; brackets stay what they are. */
static void test_embedding(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_request *q;
	double whole = 17 + PASS_OPS + 20;

	(void)state;
	passes_make(&p, 0);
	r = tape_result(&p);
	assert_ns(phase_total(r, LMM_PHASE_EMBEDDING), 3 * 100);
	assert_int_equal(result_phase(r, LMM_PHASE_EMBEDDING)->stats.count, 3);
	assert_ns(phase_total(r, LMM_PHASE_PREFILL), whole - 100);
	assert_ns(result_phase(r, LMM_PHASE_PREFILL)->host_ns, whole);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 2 * (whole - 100));
	q = &r->requests[0];
	assert_ns(request_phase(q, LMM_PHASE_EMBEDDING), 3 * 100);
	assert_ns(request_sum(q), q->wall_ns);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_own_is_capped(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	passes_make(&p, 105000);
	r = tape_result(&p);
	/* operator 0 took 100 ns, less than ours; the others 105 of theirs */
	assert_ns(r->graph_own_ns, 3 * (100 + 9 * 105));
	assert_ns(r->graph_kernels_ns + r->graph_own_ns + r->graph_gaps_ns, r->graph_span_ns);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_lost_in_a_run(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint64_t t = 10000;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_graph(&p, 5, 1, nodes, N_NODES);
	t = pass(&p, t, LMM_PHASE_DECODE, 1);
	tape_in(&p, t, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, t + 1, LMM_PHASE_DECODE, 2, 1, 1, 0, 2);
	tape_graph_begin(&p, t + 10, 5, 2);
	tape_op(&p, t + 20, 0, 0);
	tape_op(&p, t + 120, 1, 0);
	tape_op(&p, t + 220, 2, 0); /* known to begin, not when it ended */
	tape_lost(&p, t + 400, 7);
	tape_op(&p, t + 400, 5, 0);
	tape_op(&p, t + 450, 6, 0);
	tape_graph_end(&p, t + 500, 5);
	tape_out(&p, t + 520, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	t = pass(&p, t + 520, LMM_PHASE_DECODE, 3);
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->records.lost, 7);
	assert_int_equal(r->records.invalid, 0);
	assert_int_equal(r->records.operators, 2 * N_NODES + 5);
	/* sums of runs are of whole runs only; of the other, operators with an end are in the table */
	assert_ns(r->graph_span_ns, 2 * (7 + PASS_OPS));
	assert_int_equal(kernel_find(r, "attn_norm", LMM_PHASE_DECODE, 0)->stats.count, 2);
	assert_int_equal(kernel_find(r, "ffn_out", LMM_PHASE_DECODE, 0)->stats.count, 3);
	assert_int_equal(kernel_find(r, "ffn_out", LMM_PHASE_DECODE, 0)->stats.min_ns, 50);
	assert_int_equal(r->steps.decode.count, 3);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_cut_in_a_run(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_graph(&p, 5, 1, nodes, N_NODES);
	tape_in(&p, 10000, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, 10001, LMM_PHASE_DECODE, 2, 1, 1, 0, 2);
	tape_graph_begin(&p, 10010, 5, 2);
	tape_op(&p, 10020, 0, 0);
	tape_op(&p, 10120, 1, 0);
	r = tape_result(&p);
	assert_int_equal(r->complete, 0);
	assert_int_equal(r->exit_status, -1);
	assert_int_equal(r->n_requests, 1);
	assert_int_equal(r->requests[0].complete, 0);
	assert_int_equal(r->records.operators, 2);
	assert_ns(r->graph_span_ns, 0);
	assert_int_equal(r->n_kernels, 1);
	assert_int_equal(r->records.invalid, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_unknown_nodes(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_graph(&p, 5, 1, nodes, N_NODES);
	tape_graph_begin(&p, 10000, 5, 2);
	tape_op(&p, 10000, LMM_NODE_UNKNOWN, 0);
	tape_op(&p, 10100, N_NODES, 0);
	tape_op(&p, 10200, 3, 0);
	tape_graph_end(&p, 10250, 5);
	tape_graph_begin(&p, 11000, 77, 2); /* never described */
	tape_op(&p, 11000, 0, 0);
	tape_graph_end(&p, 11030, 77);
	tape_op(&p, 12000, 0, 0); /* in no graph */
	tape_graph_end(&p, 12000, 5);
	r = tape_result(&p);
	/* two unknown nodes, the graph, its operator, the operator in none, an end without begin */
	assert_int_equal(r->records.invalid, 6);
	assert_int_equal(r->records.stored, 10);
	assert_int_equal(kernel_find(r, "(other)", LMM_PHASE_NONE, 0)->stats.count, 3);
	assert_ns(kernel_find(r, "(other)", LMM_PHASE_NONE, 0)->stats.total_ns, 230);
	assert_ns(r->graph_kernels_ns, 280);
	assert_ns(r->graph_span_ns, 280);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A graph that shifts positions is no step of its request; its time counts. */
static void test_shift_graph(void **state)
{
	static const struct lmm_node shift[] = { NODE("cache_k_l0 (view)", "ROPE", "", 0, ATTENTION,
						      5, 5) };
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_graph(&p, 5, 1, nodes, N_NODES);
	tape_graph(&p, 6, 0, shift, 1);
	(void)pass(&p, 10000, LMM_PHASE_PREFILL, 1);
	tape_in(&p, 20000, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, 20001, LMM_PHASE_DECODE, 2, 1, 1, 0, 2);
	tape_graph_begin(&p, 20010, 6, 2);
	tape_op(&p, 20010, 0, 0);
	tape_graph_end(&p, 20040, 6);
	tape_out(&p, 20050, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_in(&p, 20050, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_step(&p, 20051, LMM_PHASE_DECODE, 3, 0, 0, 0, 2);
	tape_graph_begin(&p, 20060, 5, 3);
	tape_op(&p, 20060, 1, 0);
	tape_graph_end(&p, 20100, 5);
	tape_out(&p, 20100, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_end(&p, 30000);
	r = tape_result(&p);
	assert_int_equal(r->steps.decode.count, 1);
	assert_ns(r->steps.decode.total_ns, 50);
	assert_int_equal(r->steps.decode_tokens, 1);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 100);
	assert_int_equal(r->requests[0].decode_steps, 1);
	assert_int_equal(r->requests[0].prefill_steps, 1);
	assert_ns(request_sum(&r->requests[0]),
		  r->requests[0].wall_ns - (20000 - 10000 - 17 - PASS_OPS - 20));
	lmm_result_destroy(r);
	tape_free(&p);
}

static void barrier(struct tape *p, uint64_t t)
{
	(void)tape_event(p, t, LMM_EV_BARRIER);
}

static void test_threads(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	struct lmm_event *e;

	(void)state;
	tape_begin(&p, "engine", 0);
	p.entries[0].item.session.threads_all = 1;
	tape_graph(&p, 5, 1, nodes, N_NODES);
	tape_graph_begin(&p, 10000, 5, 2);
	tape_op(&p, 10000, 1, 0);
	barrier(&p, 10070); /* inside the operator */
	barrier(&p, 10090);
	tape_op(&p, 10100, 2, 0);
	barrier(&p, 10150);
	tape_graph_end(&p, 10150, 5);
	p.stream = 1;
	e = tape_event(&p, 10005, LMM_EV_EPOCH);
	e->id = 5;
	tape_op(&p, 10010, 1, 0);
	barrier(&p, 10050);
	tape_op(&p, 10100, 2, 0);
	barrier(&p, 10120);
	e = tape_event(&p, 20000, LMM_EV_EPOCH);
	e->id = 5;
	tape_op(&p, 20010, 1, 0);
	r = tape_result(&p);
	assert_int_equal(r->n_threads, 2);
	assert_int_equal(r->threads[0].tid, 1000);
	assert_int_equal(r->threads[0].operators, 2);
	assert_ns(r->threads[0].busy_ns, 150);
	assert_ns(r->threads[0].wait_ns, 10);
	assert_int_equal(r->threads[1].operators, 3);
	/* its last operator of a run ends where it reached the barrier; the very last has no end */
	assert_ns(r->threads[1].busy_ns, 90 + 20);
	assert_ns(r->threads[1].wait_ns, 50);
	/* kernels are of the first thread only */
	assert_ns(r->graph_kernels_ns, 150);
	assert_int_equal(kernel_find(r, "norm", LMM_PHASE_NONE, 0)->stats.count, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void command(struct tape *p, uint64_t t, unsigned queue, uint32_t id, uint32_t kernel,
		    uint32_t node)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_COMMAND);

	e->id = id;
	e->seq = (uint16_t)queue;
	e->phase = LMM_PHASE_DECODE;
	e->a = kernel | (uint64_t)node << 32;
	e->b = 2;
}

static void completion(struct tape *p, uint64_t t, unsigned queue, uint32_t id, uint64_t duration)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_COMPLETION);

	e->id = id;
	e->seq = (uint16_t)queue;
	e->a = duration;
}

static void test_device(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_kernel *k;
	struct lmm_item *it;

	(void)state;
	tape_begin(&p, "engine", 0);
	tape_graph(&p, 5, 1, nodes, N_NODES);
	it = tape_item(&p, LMM_ITEM_QUEUE);
	it->queue = (struct lmm_queue){
		.process = 0, .queue = 3, .device = "gpu", .ticks_per_second = 100000000
	};
	it = tape_item(&p, LMM_ITEM_KERNEL);
	it->kernel =
		(struct lmm_kernel){ .process = 0, .kernel = 9, .name = "mul_mv", .device = "gpu" };
	tape_in(&p, 10000, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, 10001, LMM_PHASE_DECODE, 2, 1, 1, 0, 2);
	tape_graph_begin(&p, 10010, 5, 2);
	command(&p, 10020, 3, 1, 9, 3);
	command(&p, 10030, 3, 2, 9, 7);
	command(&p, 10040, 3, 3, 9, 5); /* in flight at the end */
	tape_graph_end(&p, 10050, 5);
	tape_out(&p, 10060, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	p.stream = 1;
	completion(&p, 5, 3, 2, 20); /* out of order, and by another clock */
	completion(&p, 4, 3, 1, 10);
	completion(&p, 4, 3, 4, 10);	       /* of no command that was seen … */
	completion(&p, 9, 3, 5, (uint64_t)-7); /* ended before it began */
	p.stream = 0;
	command(&p, 10070, 3, 4, 9, 3); /* … until now */
	p.stream = 1;
	completion(&p, 9, 3, 99, 1);
	r = tape_result(&p);
	assert_int_equal(r->n_kernels, 1);
	k = kernel_find(r, "mul_mv", LMM_PHASE_DECODE, 0);
	assert_non_null(k);
	assert_string_equal(k->device, "gpu");
	assert_string_equal(k->op, "MUL_MAT");
	/* 10 ns a tick */
	assert_int_equal(k->stats.count, 3);
	assert_ns(k->stats.total_ns, 400);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->device_ns, 400);
	assert_ns(layer_find(r, 0)->attention_ns, 200);
	assert_ns(layer_find(r, 1)->attention_ns, 200);
	assert_int_equal(r->records.invalid, 2);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void test_clock_rate(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	tape_begin(&p, "engine", 5000);
	for (size_t i = 0; i < p.n; i++) {
		struct lmm_item *it = &p.entries[i].item;

		if (it->kind == LMM_ITEM_CLOCK)
			it->clock.mono_ns = it->clock.ticks / 2; /* 2 ticks per ns */
	}
	tape_graph(&p, 5, 4, nodes, N_NODES);
	tape_end(&p, pass(&p, 10000, LMM_PHASE_DECODE, 1));
	r = tape_result(&p);
	assert_ns(r->graph_span_ns, (7 + PASS_OPS) / 2.0);
	assert_ns(r->graph_own_ns, N_NODES * 5);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), (17 + PASS_OPS + 20 - 100) / 2.0);
	assert_ns(r->overhead.operator_ns, 5);
	assert_ns(r->overhead.total_ns, N_NODES * 5 + 1 * 50);
	assert_ns(r->overhead.percent, 100 * (N_NODES * 5 + 50) / ((17 + PASS_OPS + 20) / 2.0));
	lmm_result_destroy(r);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),	      cmocka_unit_test(test_tables),
		cmocka_unit_test(test_embedding),     cmocka_unit_test(test_own_is_capped),
		cmocka_unit_test(test_lost_in_a_run), cmocka_unit_test(test_cut_in_a_run),
		cmocka_unit_test(test_unknown_nodes), cmocka_unit_test(test_shift_graph),
		cmocka_unit_test(test_threads),	      cmocka_unit_test(test_device),
		cmocka_unit_test(test_clock_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
