/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings out of hand-written recordings: a clean one has none, and each of the others differs from it in one thing and has
 * exactly that one. A recording: load 100 ms, a prompt of 16 tokens in 80 ms, then tokens of 10 ms, sensors every 100 ms.
 */
#include "tape.h"

#include "analyze/findings.h"
#include "report/findings.h"

#define MS     UINT64_C(1000000)
#define LAYERS 12
#define OPS    (2 * LAYERS)

enum { WAIT, MAJOR, MINOR, CLOCK, COOLING, SENSORS };

struct play {
	struct tape p;
	uint64_t t, next_round;
	int64_t values[SENSORS]; /* as the next round says them */
	uint32_t step;
	/* what is otherwise than in a clean recording */
	uint32_t tokens;
	uint64_t load, prefill, prompt;
	uint64_t q_share_percent; /* of a layer's time in prefill that its first operator takes */
	uint32_t slow_layer;
	uint8_t has_graphs;
};

static const struct lmm_tensor_shape shape = { "f32", { 8, 1, 1, 1 } };

/* Graph 1 is of one token, graph 2 of the prompt: the same weights, and so many times the arithmetic. */
static void graphs_put(struct play *x)
{
	static struct lmm_node nodes[2][OPS];
	static char names[OPS][16];

	for (unsigned g = 0; g < 2; g++) {
		struct lmm_item *it = tape_item(&x->p, LMM_ITEM_GRAPH);
		uint64_t width = g ? x->prompt : 1;

		for (unsigned i = 0; i < OPS; i++) {
			(void)snprintf(names[i], sizeof(names[i]), "%s-%u", i % 2 ? "ffn" : "Qcur",
				       i / 2);
			nodes[g][i] = (struct lmm_node){ .name = names[i],
							 .op = "MUL_MAT",
							 .weight = "",
							 .layer = (int)i / 2,
							 .role = i % 2 ? LMM_ROLE_MLP
								       : LMM_ROLE_ATTENTION,
							 .runs = 1,
							 .n_src = 1,
							 .bytes_read = 2u << 20,
							 .flops = width * (4u << 20) };
			nodes[g][i].out = nodes[g][i].src[0] = shape;
		}
		it->graph = (struct lmm_graph){ .graph = 1 + g,
						.n_nodes = OPS,
						.n_tokens = (uint32_t)width,
						.nodes = nodes[g] };
	}
}

static void sensors_put(struct play *x)
{
	tape_sensor(&x->p, WAIT, LMM_SENSOR_RUN_WAIT, LMM_COMPONENT_PROCESS, "process");
	tape_sensor(&x->p, MAJOR, LMM_SENSOR_MAJOR_FAULTS, LMM_COMPONENT_PROCESS, "process");
	tape_sensor(&x->p, MINOR, LMM_SENSOR_MINOR_FAULTS, LMM_COMPONENT_PROCESS, "process");
	tape_sensor(&x->p, CLOCK, LMM_SENSOR_FREQUENCY, LMM_COMPONENT_CPU, "policy0");
	tape_sensor(&x->p, COOLING, LMM_SENSOR_COOLING, LMM_COMPONENT_CPU, "Processor");
	x->values[CLOCK] = 2000000000;
}

/* Rounds that have come due: each says that the process waited 0.5 ms and took 20 cheap faults. */
static void rounds_put(struct play *x)
{
	for (; x->next_round <= x->t; x->next_round += 100 * MS) {
		x->values[WAIT] += 500;
		x->values[MINOR] += 20;
		tape_round(&x->p, x->next_round, x->values, SENSORS);
	}
}

/* 24 operators in `ticks`; a slow layer takes that much from the others. */
static void graph_put(struct play *x, uint64_t t, uint64_t ticks, uint32_t graph,
		      uint64_t q_percent, int has_slow)
{
	uint64_t parts = 10 * LAYERS + (has_slow ? 6 : 0), at = 0;

	tape_graph_begin(&x->p, t, graph, x->step);
	for (uint32_t i = 0; i < LAYERS; i++) {
		uint64_t width = has_slow && i == x->slow_layer ? 16 : 10;

		tape_op(&x->p, t + at * ticks / parts, 2 * i, 0);
		tape_op(&x->p, t + (100 * at + width * q_percent) * ticks / parts / 100, 2 * i + 1,
			0);
		at += width;
	}
	tape_graph_end(&x->p, t + ticks, graph);
}

/* A pass that takes `ticks`, of which 0.5 ms are sampling, and gives a token. */
static void pass_put(struct play *x, unsigned phase, uint64_t tokens, uint64_t ticks)
{
	uint64_t end = x->t + ticks - MS / 2;
	int is_decode = phase == LMM_PHASE_DECODE;

	tape_in(&x->p, x->t, phase, x->step, LMM_SEQ_NONE);
	tape_step(&x->p, x->t + 1, phase, x->step, tokens, 1, 0, x->step);
	tape_seq(&x->p, x->t + 2, x->step, 0, tokens, 1, LMM_POS_ABSENT);
	if (x->has_graphs) {
		graph_put(x, x->t + 10, end - x->t - 20, is_decode ? 1 : 2,
			  is_decode ? 50 : x->q_share_percent, is_decode && x->slow_layer);
	}
	tape_out(&x->p, end, phase, x->step, LMM_SEQ_NONE);
	tape_in(&x->p, end, LMM_PHASE_SAMPLING, x->step, 0);
	tape_token(&x->p, end + MS / 4, x->step, 0);
	tape_out(&x->p, end + MS / 2, LMM_PHASE_SAMPLING, x->step, 0);
	x->t += ticks;
	x->step++;
	rounds_put(x);
}

static void begin(struct play *x)
{
	tape_begin(&x->p, "engine", 0);
	sensors_put(x);
	if (x->has_graphs)
		graphs_put(x);
	x->t = x->next_round = 10 * MS;
	rounds_put(x);
	tape_span(&x->p, x->t, x->t + x->load, LMM_PHASE_MODEL_LOAD, LMM_STEP_NONE, LMM_SEQ_NONE);
	x->t += x->load;
	rounds_put(x);
	pass_put(x, LMM_PHASE_PREFILL, x->prompt, x->prefill);
}

/* Token i of an undisturbed engine: 10 ms, a few percent more or less. */
static uint64_t usual(uint32_t i)
{
	return 10 * MS + i * 7919 % 13 * (MS / 20) - 6 * (MS / 20);
}

static void tokens_put(struct play *x, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		pass_put(x, LMM_PHASE_DECODE, 1, usual(i));
}

static struct play clean(void)
{
	return (struct play){ .tokens = 64,
			      .load = 100 * MS,
			      .prefill = 80 * MS,
			      .prompt = 16,
			      .q_share_percent = 50,
			      .has_graphs = 1,
			      .step = 1 };
}

/* ---- what is expected --------------------------------------------------------------------------- */

static struct lmm_finding found[LMM_FINDINGS_MAX];

/* The only one, whichever stage is how far behind; NULL: none at all. It is left in found[0] but for its strings. */
static void expect(struct play *x, const char *id, const char *cause)
{
	static const uint32_t delays[] = { 0, 1, 8 };

	if (x->p.n && x->p.entries[x->p.n - 1].item.kind != LMM_ITEM_END)
		tape_end(&x->p, x->t + MS);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(delays); i++) {
		char what[LMM_FINDING_BYTES];
		struct lmm_result *r;
		size_t n;

		tape_delay = delays[i];
		r = tape_result(&x->p);
		n = lmm_findings(r, NULL, 0, found, LMM_FINDINGS_MAX);
		for (size_t k = 0; k < n; k++) {
			lmm_finding_say(&found[k], what, sizeof(what));
			if (n != (id != NULL))
				print_error("%s: %s\n", lmm_finding_name(found[k].kind), what);
		}
		assert_int_equal(n, id != NULL);
		assert_int_equal(r->records.invalid, 0);
		if (id) {
			assert_string_equal(lmm_finding_name(found[0].kind), id);
			assert_string_equal(found[0].cause, cause);
			assert_true(found[0].span.end_ns > found[0].span.start_ns);
			assert_true(found[0].span.end_ns <= x->t + MS);
			assert_true(strlen(what) > 20 && strlen(what) < LMM_FINDING_BYTES - 1);
			assert_true(found[0].n_numbers > 0);
			assert_true(strlen(lmm_finding_advice(&found[0])) > 20);
		}
		lmm_result_destroy(r);
	}
	tape_delay = 0;
	tape_free(&x->p);
}

/* Within a percent. */
static void expect_number(const char *name, double value)
{
	double is = lmm_finding_number(&found[0], name);

	if (is < 0.99 * value || is > 1.01 * value)
		print_error("%s is %f\n", name, is);
	assert_true(is >= 0.99 * value && is <= 1.01 * value);
}

/* ---- recordings --------------------------------------------------------------------------------- */

static void test_clean(void **state)
{
	struct play x = clean();

	(void)state;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, NULL, "");
	/* short, long, and without operators */
	x = clean();
	begin(&x);
	tokens_put(&x, 0, 3);
	expect(&x, NULL, "");
	x = clean();
	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 2000);
	expect(&x, NULL, "");
}

static void test_growing_context_is_no_jitter(void **state)
{
	struct play x = clean();

	(void)state;
	begin(&x);
	for (uint32_t i = 0; i < 400; i++)
		pass_put(&x, LMM_PHASE_DECODE, 1, usual(i) + i * (MS / 5));
	expect(&x, NULL, "");
}

static void test_first_token(void **state)
{
	struct play x = clean();

	(void)state;
	x.load = 2000 * MS;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, "first_token", "model_load");
	expect_number("model_load_ns", 2000e6);
	expect_number("prefill_ns", 80e6);
	assert_int_equal(found[0].span.start_ns, 10 * MS);
	x = clean();
	x.prompt = 400;
	x.prefill = 1200 * MS;
	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, "first_token", "prefill");
}

/* 800 tokens, one of which takes so long. */
static struct play slow(uint64_t ticks)
{
	struct play x = clean();

	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 400);
	pass_put(&x, LMM_PHASE_DECODE, 1, ticks);
	return x;
}

static void test_slow_token(void **state)
{
	struct play x = slow(400 * MS);

	(void)state;
	tokens_put(&x, 401, 800);
	expect(&x, "slow_tokens", "unknown");
	expect_number("slow", 1);
	expect_number("worst_ns", 400e6);
	expect_number("usual_ns", 10e6);
	expect_number("over_ns", 390e6);
	assert_int_equal(found[0].phase, LMM_PHASE_DECODE);
	assert_int_equal(found[0].certainty, LMM_MEASURED);
	/* 60 ms longer is no pause that a reader sees, and 0.7 % of the time */
	x = slow(70 * MS);
	tokens_put(&x, 401, 800);
	expect(&x, NULL, "");
}

/* The same, and in the rounds that it touches the process says what happened to it. */
static struct play slow_and(unsigned sensor, int64_t by)
{
	struct play x = clean();

	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 400);
	x.values[sensor] += by;
	pass_put(&x, LMM_PHASE_DECODE, 1, 400 * MS);
	tokens_put(&x, 401, 800);
	return x;
}

static void test_slow_token_causes(void **state)
{
	struct play x = slow_and(WAIT, 350000);

	(void)state;
	expect(&x, "slow_tokens", "lost_core");
	assert_int_equal(found[0].certainty, LMM_ESTIMATED);
	assert_true(lmm_finding_number(&found[0], "run_wait_ns") >= 350e6);
	assert_true(lmm_finding_number(&found[0], "run_wait_ns") < 355e6);
	x = slow_and(WAIT, 150000); /* less than half of it */
	expect(&x, "slow_tokens", "unknown");
	x = slow_and(MAJOR, 3000); /* of 0.1 ms at the least */
	expect(&x, "slow_tokens", "page_faults");
	expect_number("major_faults", 3000);
	x = slow_and(MINOR, 500000);
	expect(&x, "slow_tokens", "page_faults");
}

/* Seven tokens of 60 ms at a quarter of the clock: more in a row would be the usual. */
static void test_slow_token_frequency(void **state)
{
	struct play x = clean();

	(void)state;
	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 400);
	x.values[CLOCK] /= 4;
	for (unsigned i = 0; i < 7; i++)
		pass_put(&x, LMM_PHASE_DECODE, 1, 60 * MS);
	x.values[CLOCK] *= 4;
	tokens_put(&x, 407, 800);
	expect(&x, "slow_tokens", "frequency");
	expect_number("slow", 7);
	assert_true(lmm_finding_number(&found[0], "frequency_percent") < 30);
}

/* Another request's prompt of 64 tokens goes along in the pass. */
static void test_slow_token_others(void **state)
{
	struct play x = clean();

	(void)state;
	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 400);
	tape_in(&x.p, x.t, LMM_PHASE_PREFILL, x.step, LMM_SEQ_NONE);
	tape_step(&x.p, x.t + 1, LMM_PHASE_PREFILL, x.step, 65, 1, 0, x.step);
	tape_seq(&x.p, x.t + 2, x.step, 0, 1, 1, LMM_POS_ABSENT);
	tape_seq(&x.p, x.t + 2, x.step, 1, 64, 0, LMM_POS_ABSENT);
	tape_out(&x.p, x.t + 399 * MS, LMM_PHASE_PREFILL, x.step, LMM_SEQ_NONE);
	tape_in(&x.p, x.t + 399 * MS, LMM_PHASE_SAMPLING, x.step, 0);
	tape_token(&x.p, x.t + 400 * MS, x.step, 0);
	tape_out(&x.p, x.t + 400 * MS, LMM_PHASE_SAMPLING, x.step, 0);
	x.t += 400 * MS;
	x.step++;
	tokens_put(&x, 401, 800);
	expect(&x, "slow_tokens", "others");
}

static void test_jitter(void **state)
{
	struct play x = clean();

	(void)state;
	x.has_graphs = 0;
	begin(&x);
	for (uint32_t i = 0; i < 200; i++)
		pass_put(&x, LMM_PHASE_DECODE, 1, (i % 2 ? 6 : 14) * MS);
	expect(&x, "token_jitter", "");
	/* each is 8 ms from the median of an odd number of them; of 8, 10, 12 and 14 the longer kind is the median */
	expect_number("change_percent", 100 * 188 * 8.0 / (192 * 10.0));
	expect_number("mean_ns", 10e6);
}

static void test_lost_core(void **state)
{
	struct play x = clean();
	uint64_t from = 0;

	(void)state;
	x.has_graphs = 0;
	begin(&x);
	for (uint32_t i = 0; i < 400; i++) {
		if (i == 200)
			from = x.t;
		if (i >= 200 && i % 10 == 0)
			x.values[WAIT] += 20000; /* of every 100 ms */
		pass_put(&x, LMM_PHASE_DECODE, 1, usual(i));
	}
	expect(&x, "lost_core", "");
	assert_true(found[0].span.start_ns >= from - 200 * MS);
	assert_true(found[0].span.end_ns >= from + 1800 * MS);
}

static void test_throttled(void **state)
{
	struct play x = clean();

	(void)state;
	x.has_graphs = 0;
	begin(&x);
	tokens_put(&x, 0, 200);
	x.values[COOLING] = 2;
	tokens_put(&x, 200, 250);
	x.values[COOLING] = 0;
	tokens_put(&x, 250, 800);
	expect(&x, "throttled", "");
	expect_number("throttled_ns", 500e6);
	assert_int_equal(found[0].span.end_ns - found[0].span.start_ns, 500 * MS);
}

static void test_slow_layer(void **state)
{
	struct play x = clean();

	(void)state;
	x.slow_layer = 5;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, "slow_layer", "");
	assert_ns(lmm_finding_number(&found[0], "layer"), 5);
	expect_number("over_percent", 60);
}

/* Decode as before, and a prompt whose tokens cost a thirteenth: then decode computes much less than it could. */
static void test_bounds(void **state)
{
	struct play x = clean();

	(void)state;
	x.prefill = 20 * MS;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, "memory_bound", "");
	assert_int_equal(found[0].phase, LMM_PHASE_DECODE);
	expect_number("operators", 2);
	/* 48 MiB in 9.5 ms */
	expect_number("bytes_per_second", 24 * 2097152.0 / 9.5e-3);
	/* a prompt's tokens three quarters as long as those of decode: it moves a twelfth of the bytes and is no faster */
	x = clean();
	x.prefill = 120 * MS;
	begin(&x);
	tokens_put(&x, 0, 200);
	expect(&x, "compute_bound", "");
	assert_int_equal(found[0].phase, LMM_PHASE_DECODE);
}

static void test_prefill(void **state)
{
	struct play x = clean();

	(void)state;
	x.has_graphs = 0;
	x.prefill = 200 * MS;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, "prefill_per_token", "");
	expect_number("each_ns", 199.5e6 / 16);
	assert_int_equal(found[0].span.start_ns, 110 * MS);
	assert_int_equal(found[0].span.end_ns, 309 * MS + MS / 2);
	/* as fast as before, but 95 % of it in one operator, which has half in decode */
	x = clean();
	x.prefill = 120 * MS;
	x.q_share_percent = 95;
	begin(&x);
	tokens_put(&x, 0, 64);
	expect(&x, "prefill_kernel", "");
	expect_number("than_ns", 9.5e6 / 24);
}

/* ---- threads ------------------------------------------------------------------------------------ */

/* A run of one operator on two threads: they reach its barrier after so long, and it ends behind the later one. */
static void run_put(struct play *x, uint64_t first, uint64_t second)
{
	uint64_t end = x->t + (first > second ? first : second);
	struct lmm_event *e;

	tape_in(&x->p, x->t, LMM_PHASE_DECODE, x->step, LMM_SEQ_NONE);
	tape_step(&x->p, x->t, LMM_PHASE_DECODE, x->step, 1, 1, 0, x->step);
	tape_graph_begin(&x->p, x->t, 1, x->step);
	tape_op(&x->p, x->t, 0, 0);
	(void)tape_event(&x->p, x->t + first, LMM_EV_BARRIER);
	tape_op(&x->p, end, 1, 0);
	(void)tape_event(&x->p, end + 1, LMM_EV_BARRIER);
	tape_graph_end(&x->p, end + 2, 1);
	tape_out(&x->p, end + 2, LMM_PHASE_DECODE, x->step, LMM_SEQ_NONE);
	x->p.stream = 1;
	e = tape_event(&x->p, x->t, LMM_EV_EPOCH);
	e->id = 1;
	tape_op(&x->p, x->t, 0, 0);
	(void)tape_event(&x->p, x->t + second, LMM_EV_BARRIER);
	tape_op(&x->p, end, 1, 0);
	(void)tape_event(&x->p, end + 1, LMM_EV_BARRIER);
	x->p.stream = 0;
	x->t = end + MS;
	x->step++;
}

static void test_threads(void **state)
{
	(void)state;
	for (unsigned uneven = 0; uneven < 2; uneven++) {
		struct play x = clean();

		tape_begin(&x.p, "engine", 0);
		x.p.entries[0].item.session.threads_all = 1;
		graphs_put(&x);
		x.t = MS;
		for (unsigned i = 0; i < 50; i++)
			run_put(&x, 8 * MS, uneven ? 4 * MS : 8 * MS - i % 10 * (MS / 10));
		expect(&x, uneven ? "thread_imbalance" : NULL, "");
		if (!uneven)
			continue;
		expect_number("most_ns", 400e6);
		expect_number("mean_ns", 300e6);
	}
}

/* ---- devices ------------------------------------------------------------------------------------ */

static void command_put(struct play *x, uint64_t t, uint32_t id, uint32_t kernel, unsigned phase)
{
	struct lmm_event *e = tape_event(&x->p, t, LMM_EV_COMMAND);

	e->id = id;
	e->seq = 0;
	e->phase = (uint8_t)phase;
	e->a = kernel | (uint64_t)LMM_NODE_UNKNOWN << 32;
	e->b = x->step;
}

static void ran_put(struct play *x, uint32_t id, uint64_t t0, uint64_t t1)
{
	struct lmm_event *e = tape_event(&x->p, t0, LMM_EV_COMPLETION);

	e->id = id;
	e->seq = 0;
	e->a = t1 - t0;
}

/* A device whose clock is the host's: three kernels a step and the read of their result. */
struct steps {
	uint64_t hand_over; /* host: between the first kernel and the second */
	uint64_t dispatch;  /* driver: before the third begins, which was handed over in time */
	uint64_t between;   /* from the read to the next step's first kernel */
	uint64_t compile;   /* ahead of the first step's first kernel */
};

static void device_step_put(struct play *x, const struct steps *s, uint32_t id)
{
	uint64_t a = x->t + MS / 50, b, c, d, end;
	struct lmm_event *e;

	if (x->step == 0 && s->compile) {
		e = tape_event(&x->p, x->t + s->compile, LMM_EV_FIRST_USE);
		e->a = x->t;
		e->phase = LMM_PHASE_DECODE;
		e->id = x->step;
		a += s->compile;
	}
	b = a + 3 * MS + s->hand_over;
	c = b + 3 * MS + s->dispatch;
	d = c + 3 * MS;
	end = d + MS / 10;
	command_put(x, a, id, 40, LMM_PHASE_DECODE);
	command_put(x, s->hand_over ? b : a + 1, id + 1, 40, LMM_PHASE_DECODE);
	command_put(x, s->hand_over ? b + 1 : a + 2, id + 2, 40, LMM_PHASE_DECODE);
	command_put(x, s->hand_over ? b + 2 : a + 3, id + 3, 1, LMM_PHASE_COPY_TO_CPU);
	e = tape_event(&x->p, end, LMM_EV_DEVICE_CLOCK);
	e->a = end;
	ran_put(x, id, a, a + 3 * MS);
	ran_put(x, id + 1, b, b + 3 * MS);
	ran_put(x, id + 2, c, c + 3 * MS);
	ran_put(x, id + 3, d, end);
	x->t = end;
}

static void device_put(struct play *x, const struct steps *s, uint32_t n)
{
	static const char *const names[] = { "read", "mul" };
	struct lmm_item *it;

	tape_begin(&x->p, "engine", 0);
	it = tape_item(&x->p, LMM_ITEM_QUEUE);
	it->queue = (struct lmm_queue){ .device = "gpu", .ticks_per_second = 1000000000 };
	for (uint32_t k = 0; k < 2; k++) {
		it = tape_item(&x->p, LMM_ITEM_KERNEL);
		it->kernel =
			(struct lmm_kernel){ .kernel = k ? 40 : 1,
					     .name = names[k],
					     .device = "",
					     .kind = k ? LMM_KERNEL_PROGRAM : LMM_KERNEL_READ };
	}
	x->t = MS;
	x->step = 0;
	for (uint32_t i = 0; i < n; i++, x->step++) {
		tape_in(&x->p, x->t, LMM_PHASE_DECODE, x->step, LMM_SEQ_NONE);
		tape_step(&x->p, x->t, LMM_PHASE_DECODE, x->step, 1, 1, 0, x->step);
		device_step_put(x, s, 1 + 4 * i);
		tape_out(&x->p, x->t, LMM_PHASE_DECODE, x->step, LMM_SEQ_NONE);
		x->t += s->between;
	}
}

static void test_device(void **state)
{
	static const struct {
		struct steps steps;
		const char *id, *cause;
		double gaps_ns; /* 0: the finding has none */
	} cases[] = {
		{ { 0, 0, MS / 10, 0 }, NULL, "", 0 },
		{ { MS, 0, MS / 10, 0 }, "host_bound", "host", 30e6 },
		{ { 0, MS, MS / 10, 0 }, "driver_bound", "driver", 30e6 },
		{ { 0, 0, 2 * MS, 0 }, "read_back_bound", "read_back", 29 * 2.02e6 },
		{ { 0, 0, MS / 10, 50 * MS }, "first_use", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(cases); i++) {
		struct play x = clean();

		device_put(&x, &cases[i].steps, 30);
		expect(&x, cases[i].id, cases[i].cause);
		if (cases[i].id)
			assert_int_equal(found[0].phase, LMM_PHASE_DECODE);
		if (cases[i].gaps_ns > 0)
			expect_number("gaps_ns", cases[i].gaps_ns);
	}
	/* the last one: its range is that of the compiling */
	assert_int_equal(found[0].span.start_ns, MS);
	assert_int_equal(found[0].span.end_ns, 51 * MS);
}

/* The softmax's bracket holds the device's decode. */
static void test_drain(void **state)
{
	static const struct steps none = { 0, 0, MS / 10, 0 };
	struct play x = clean();

	(void)state;
	device_put(&x, &none, 0);
	for (uint32_t i = 0; i < 30; i++, x.step++) {
		uint64_t t = x.t;

		tape_in(&x.p, t, LMM_PHASE_DECODE, x.step, LMM_SEQ_NONE);
		tape_step(&x.p, t, LMM_PHASE_DECODE, x.step, 1, 1, 0, x.step);
		tape_out(&x.p, t + MS / 100, LMM_PHASE_DECODE, x.step, LMM_SEQ_NONE);
		tape_in(&x.p, t + MS / 100, LMM_PHASE_SOFTMAX, x.step, LMM_SEQ_NONE);
		device_step_put(&x, &none, 1 + 4 * i);
		tape_out(&x.p, x.t, LMM_PHASE_SOFTMAX, x.step, LMM_SEQ_NONE);
		x.t += MS / 10;
	}
	expect(&x, "drain", "");
	assert_int_equal(found[0].phase, LMM_PHASE_SOFTMAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_growing_context_is_no_jitter),
		cmocka_unit_test(test_first_token),
		cmocka_unit_test(test_slow_token),
		cmocka_unit_test(test_slow_token_causes),
		cmocka_unit_test(test_slow_token_frequency),
		cmocka_unit_test(test_slow_token_others),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_lost_core),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_slow_layer),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_prefill),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
