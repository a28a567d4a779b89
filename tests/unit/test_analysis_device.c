/* SPDX-License-Identifier: Apache-2.0 */
/* What devices do: clocks, phases by what the device worked for, gaps, steps that were not timed. */
#include "tape.h"

#include "analyze/device_clock.h"

#define OFFSET 1000000000000u /* of the device's clock */

/* ---- clocks ------------------------------------------------------------------------------------- */

/* Host ns to device ns: ppm faster, and an offset. */
static uint64_t device_at(uint64_t host, double ppm)
{
	return OFFSET + (uint64_t)((double)host * (1 + ppm / 1e6));
}

static void sample(struct lmm_device_clock *c, uint64_t host, double ppm, int64_t wrong,
		   uint32_t error)
{
	struct lmm_event e = { .t = (uint64_t)((int64_t)host + wrong) + 500,
			       .a = device_at(host, ppm),
			       .b = error | 500ull << 32 };

	assert_int_equal(lmm_device_clock_add(c, &e, 1), 0);
}

static void test_clock(void **state)
{
	static const double ppm[] = { 0, 50, -50 };

	(void)state;
	for (size_t k = 0; k < LMM_ARRAY_SIZE(ppm); k++) {
		struct lmm_device_clock c = { 0 };
		uint64_t error, random = 7;

		assert_int_equal(lmm_device_clock_place(&c, OFFSET, 1, &error), 0);
		for (uint64_t host = 1000000000; host < 5000000000; host += 100000000) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			sample(&c, host, ppm[k], (int64_t)(random >> 33) % 300 - 150, 200);
			/* between this pair and the one before, as commands of the last step lie */
			for (uint64_t back = 0; host > 1000000000 && back <= 100000000;
			     back += 9999999) {
				uint64_t at = lmm_device_clock_place(
					&c, device_at(host - back, ppm[k]), 1, &error);

				assert_true(at + error >= host - back && at <= host - back + error);
				assert_true(error <= 300);
			}
		}
	}
}

/* A stamp before all pairs is placed with the doubt that its distance asks for. */
static void test_clock_drifts(void **state)
{
	struct lmm_device_clock c = { 0 };
	uint64_t error, at;

	(void)state;
	sample(&c, 2000000000, 80, 0, 100);
	at = lmm_device_clock_place(&c, device_at(1000000000, 80), 1, &error);
	assert_true(error >= 80000 && error <= 200000);
	assert_true(at + error >= 1000000000 && at <= 1000000000 + error);
}

/* One pair of a stamp that came 500 us late, among nine that did not; first, in the middle, last. */
static void test_clock_drops_late_pairs(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 10; late++) {
		struct lmm_device_clock c = { 0 };
		uint64_t error = 0, at = 0;

		for (unsigned i = 0; i < 10; i++) {
			uint64_t host = 1000000000 + i * 40000000ull;

			/* the tightest of all, so that it would be taken for the best */
			sample(&c, host, 30, i == late ? -500000 : 0, i == late ? 100 : 2000);
		}
		for (uint64_t host = 1000000000; host < 1400000000; host += 10000000) {
			at = lmm_device_clock_place(&c, device_at(host, 30), 1, &error);
			assert_true(at + error >= host && at <= host + error);
			assert_true(error <= 100000);
		}
		at = lmm_device_clock_place(&c, device_at(1340000000, 30), 1, &error);
		assert_true(error <= 5000);
	}
}

/* A clock that was set ahead: its pairs look late, but there are no others any more. */
static void test_clock_that_was_set(void **state)
{
	struct lmm_device_clock c = { 0 };
	uint64_t error = 0, at;

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		sample(&c, 1000000000 + i * 40000000ull, 0, i >= 10 ? -5000000 : 0, 200);
	at = lmm_device_clock_place(&c, device_at(2100000000, 0), 1, &error);
	assert_true(error < 1000);
	assert_true(at + 5000000 + error >= 2100000000 && at + 5000000 <= 2100000000 + error);
}

/* ---- a session ---------------------------------------------------------------------------------- */

static void queue(struct tape *p, unsigned number, int out_of_order)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_QUEUE);

	it->queue = (struct lmm_queue){ .queue = (uint16_t)number,
					.device = "gpu",
					.ticks_per_second = 1000000000,
					.out_of_order = (uint8_t)out_of_order };
}

static void kernel(struct tape *p, uint32_t number, const char *name, enum lmm_kernel_kind kind)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_KERNEL);

	it->kernel = (struct lmm_kernel){
		.kernel = number, .name = name, .device = "", .kind = (uint8_t)kind
	};
}

static void session(struct tape *p)
{
	tape_begin(p, "engine", 0);
	queue(p, 0, 0);
	queue(p, 1, 0);
	kernel(p, 1, "read", LMM_KERNEL_READ);
	kernel(p, 7, "marker", LMM_KERNEL_MARKER);
	kernel(p, 40, "mul", LMM_KERNEL_PROGRAM);
}

static void command(struct tape *p, uint64_t t, unsigned type, unsigned phase, uint32_t step,
		    unsigned q, uint32_t id, uint32_t k)
{
	struct lmm_event *e = tape_event(p, t, type);

	e->id = id;
	e->seq = (uint16_t)q;
	e->phase = (uint8_t)phase;
	e->a = k | (uint64_t)LMM_NODE_UNKNOWN << 32;
	e->b = step;
}

static void clock_said(struct tape *p, uint64_t t, uint32_t error)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_DEVICE_CLOCK);

	e->a = t + OFFSET;
	e->b = error;
}

/* It ran from t0 to t1 on the host's timeline. */
static void ran(struct tape *p, unsigned q, uint32_t id, uint64_t t0, uint64_t t1)
{
	struct lmm_event *e = tape_event(p, t0 + OFFSET, LMM_EV_COMPLETION);

	e->id = id;
	e->seq = (uint16_t)q;
	e->a = t1 - t0;
}

/*
 * One decode step of an asynchronous engine: it hands a kernel over within 100 ns, then waits in the copy until 900 ns, and
 * is done at 1,000. The kernel runs from 50 to 850, the transfer from 860 to 890.
 */
static void step(struct tape *p, uint64_t t, uint32_t number, uint32_t *id)
{
	tape_in(p, t, LMM_PHASE_DECODE, number, LMM_SEQ_NONE);
	tape_step(p, t + 1, LMM_PHASE_DECODE, number, 1, 1, 0, number);
	command(p, t + 40, LMM_EV_COMMAND, LMM_PHASE_DECODE, number, 0, *id, 40);
	tape_in(p, t + 100, LMM_PHASE_COPY_TO_CPU, number, LMM_SEQ_NONE);
	command(p, t + 110, LMM_EV_COMMAND, LMM_PHASE_COPY_TO_CPU, number, 0, *id + 1, 1);
	clock_said(p, t + 895, 0);
	ran(p, 0, *id, t + 50, t + 850);
	ran(p, 0, *id + 1, t + 860, t + 890);
	*id += 2;
	tape_out(p, t + 900, LMM_PHASE_COPY_TO_CPU, number, LMM_SEQ_NONE);
	tape_out(p, t + 1000, LMM_PHASE_DECODE, number, LMM_SEQ_NONE);
}

static void test_phases_by_device(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t id = 1;

	(void)state;
	session(&p);
	step(&p, 10000, 1, &id);
	step(&p, 11000, 2, &id);
	tape_end(&p, 13000);
	r = tape_result(&p);
	/* of the copy's 800 ns the device spent 750 on the decode */
	assert_ns(phase_total(r, LMM_PHASE_COPY_TO_CPU), 2 * 50);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 2 * 950);
	assert_ns(result_phase(r, LMM_PHASE_COPY_TO_CPU)->host_ns, 2 * 800);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->device_ns, 2 * 800);
	assert_ns(result_phase(r, LMM_PHASE_COPY_TO_CPU)->device_ns, 2 * 30);
	assert_int_equal(result_phase(r, LMM_PHASE_DECODE)->stats.count, 2);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->stats.max_ns, 950);
	/* the same in the request, whose phases make its wall */
	assert_int_equal(r->n_requests, 1);
	assert_ns(request_phase(&r->requests[0], LMM_PHASE_COPY_TO_CPU), 2 * 50);
	assert_ns(request_phase(&r->requests[0], LMM_PHASE_DECODE) +
			  request_phase(&r->requests[0], LMM_PHASE_PREFILL) +
			  request_phase(&r->requests[0], LMM_PHASE_COPY_TO_CPU),
		  r->requests[0].wall_ns - r->requests[0].unaccounted_ns);
	assert_ns(r->device.busy_ns, 2 * 830);
	assert_int_equal(r->device.timed, 4);
	assert_int_equal(r->device.early, 0);
	assert_int_equal(r->records.invalid, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* What was handed over outside of any phase and runs in one: not the bracket's, and the request's wall has it. */
static void test_of_no_phase(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t id = 2;

	(void)state;
	session(&p);
	command(&p, 9000, LMM_EV_COMMAND, LMM_PHASE_NONE, LMM_STEP_NONE, 1, 1, 40);
	step(&p, 10000, 1, &id);
	step(&p, 11000, 2, &id);
	ran(&p, 1, 1, 10900, 10930);
	tape_end(&p, 13000);
	r = tape_result(&p);
	assert_int_equal(r->n_requests, 1);
	assert_ns(r->requests[0].wall_ns, 2000);
	assert_ns(r->requests[0].unaccounted_ns, 30);
	assert_ns(request_phase(&r->requests[0], LMM_PHASE_COPY_TO_CPU) +
			  request_phase(&r->requests[0], LMM_PHASE_PREFILL) +
			  request_phase(&r->requests[0], LMM_PHASE_DECODE),
		  2000 - 30);
	lmm_result_destroy(r);
	tape_free(&p);
}

static double gap(const struct lmm_result *r, enum lmm_gap_cause cause)
{
	return r->device.gaps[cause].stats.total_ns;
}

static void test_gaps(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t id = 1;

	(void)state;
	session(&p);
	step(&p, 10000, 1, &id); /* between kernel and read: handed over in time, 10 ns */
	step(&p, 11000, 2, &id); /* after the read of step 1, at 10890: until 11050, 160 ns */
	tape_in(&p, 12000, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_step(&p, 12001, LMM_PHASE_DECODE, 3, 1, 1, 0, 3);
	command(&p, 12010, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, 5, 40);
	command(&p, 12100, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, 6, 40);
	command(&p, 12110, LMM_EV_COMMAND_UNTIMED, LMM_PHASE_DECODE, 3, 0, 0, 40);
	command(&p, 12120, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, 7, 40);
	clock_said(&p, 12500, 0);
	ran(&p, 0, 5, 12020, 12050);
	ran(&p, 0, 6, 12130,
	    12150); /* handed over 50 ns after the one before had ended: the host */
	ran(&p, 0, 7, 12400, 12450); /* one that was not timed lies between */
	tape_out(&p, 12600, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_end(&p, 13000);
	r = tape_result(&p);
	assert_ns(gap(r, LMM_GAP_DRIVER), 10 + 10);
	assert_ns(gap(r, LMM_GAP_READBACK), 160 + 130);
	assert_ns(gap(r, LMM_GAP_HOST), 80);
	assert_ns(gap(r, LMM_GAP_UNKNOWN), 0);
	assert_ns(r->device.gaps[LMM_GAP_HOST].unsure_ns, 0);
	assert_int_equal(r->device.untimed, 1);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* What the clocks cannot tell is not claimed. */
static void test_gaps_within_error(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	session(&p);
	tape_in(&p, 12000, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_step(&p, 12001, LMM_PHASE_DECODE, 3, 1, 1, 0, 3);
	command(&p, 12010, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, 1, 40);
	command(&p, 12060, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, 2, 40);
	command(&p, 12070, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, 3, 40);
	clock_said(&p, 12500, 40);
	ran(&p, 0, 1, 12020, 12050);
	ran(&p, 0, 2, 12080, 12100); /* 30 ns: within the error */
	ran(&p, 0, 3, 12200, 12300); /* 100 ns, handed over 30 ns before: which it was is unsure */
	tape_out(&p, 12600, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_end(&p, 13000);
	r = tape_result(&p);
	assert_ns(gap(r, LMM_GAP_UNKNOWN), 30);
	assert_ns(gap(r, LMM_GAP_DRIVER), 100);
	assert_ns(r->device.gaps[LMM_GAP_DRIVER].unsure_ns, 100);
	assert_ns(r->device.clock_error_max_ns, 40);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* More stretches of work than are kept at once: the first token, which ends what was held of the context, is taken meanwhile. */
static void test_more_work_than_is_kept(void **state)
{
	enum { STEPS = 10, COMMANDS = 2000 };
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t id = 0;

	(void)state;
	session(&p);
	for (uint32_t n = 1; n <= STEPS; n++) {
		uint64_t t = 1000000ull * n;

		tape_in(&p, t, LMM_PHASE_DECODE, n, LMM_SEQ_NONE);
		tape_step(&p, t + 1, LMM_PHASE_DECODE, n, 1, 1, 1, n);
		for (uint32_t i = 0; i < COMMANDS; i++) {
			uint64_t at = t + 100 + i * 100;

			command(&p, at, LMM_EV_COMMAND, LMM_PHASE_DECODE, n, 0, ++id, 40);
			clock_said(&p, at + 80, 0);
			ran(&p, 0, id, at + 10, at + 60);
		}
		tape_out(&p, t + 900000, LMM_PHASE_DECODE, n, LMM_SEQ_NONE);
		tape_token(&p, t + 910000, n, LMM_SEQ_NONE);
	}
	tape_end(&p, 1000000ull * (STEPS + 1));
	r = tape_result(&p);
	assert_ns(r->device.busy_ns, 50.0 * STEPS * COMMANDS);
	assert_int_equal(r->device.timed, STEPS * COMMANDS);
	lmm_result_destroy(r);
	tape_free(&p);
}

static void first_use(struct tape *p, uint64_t t0, uint64_t t1, uint32_t step, uint32_t kernel)
{
	struct lmm_event *e = tape_event(p, t1, LMM_EV_FIRST_USE);

	e->phase = LMM_PHASE_DECODE;
	e->id = step;
	e->a = t0;
	e->b = kernel;
}

/*
 * Steps 1, 2 and 4 run mul; step 3, of 9,000 ns, builds a program from 100 to 3,000, launches it from 3,100 to 5,000, runs it from
 * 5,100 to 8,100, and once more to 8,200.
 */
static void steps_of_first_use(struct tape *p)
{
	uint32_t id = 1;

	kernel(p, 41, "new", LMM_KERNEL_PROGRAM);
	step(p, 10000, 1, &id);
	step(p, 11000, 2, &id);
	tape_in(p, 20000, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	tape_step(p, 20001, LMM_PHASE_DECODE, 3, 1, 1, 0, 3);
	command(p, 20040, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, id, 40);
	first_use(p, 20100, 23000, 3, 0);
	command(p, 23100, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, id + 1, 41);
	first_use(p, 23100, 25000, 3, 41);
	command(p, 25010, LMM_EV_COMMAND, LMM_PHASE_DECODE, 3, 0, id + 2, 41);
	clock_said(p, 28900, 0);
	ran(p, 0, id, 20050, 20850);
	ran(p, 0, id + 1, 25100, 28100);
	ran(p, 0, id + 2, 28100, 28200);
	tape_out(p, 29000, LMM_PHASE_DECODE, 3, LMM_SEQ_NONE);
	id += 3;
	step(p, 30000, 4, &id);
	tape_end(p, 32000);
}

static const struct lmm_result_kernel *kernel_named(const struct lmm_result *r, const char *name)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (strcmp(r->kernels[i].name, name) == 0)
			return &r->kernels[i];
	}
	return NULL;
}

/* What happens once is told apart: totals have it, mean to max do not. */
static void test_first_use_is_kept_apart(void **state)
{
	struct tape p = { 0 };
	const struct lmm_result_phase *decode;
	const struct lmm_result_kernel *k;
	struct lmm_result *r;

	(void)state;
	session(&p);
	steps_of_first_use(&p);
	r = tape_result(&p);
	decode = result_phase(r, LMM_PHASE_DECODE);
	assert_int_equal(decode->stats.count, 4);
	assert_int_equal(decode->first_use_count, 1);
	assert_ns(decode->stats.total_ns, 3 * 950 + 9000);
	assert_ns(decode->stats.mean_ns, 950);
	assert_ns(decode->stats.max_ns, 950);
	assert_ns(decode->first_use_ns, 2900 + 1900);
	assert_ns(decode->first_use_host_ns, 9000);
	assert_int_equal(r->steps.decode.count, 4);
	assert_int_equal(r->steps.decode_first_use_count, 1);
	assert_int_equal(r->steps.decode_first_use_tokens, 1);
	assert_ns(r->steps.decode.max_ns, 1000);
	assert_int_equal(r->device.steps_timed, 3);
	k = kernel_named(r, "new");
	assert_non_null(k);
	assert_int_equal(k->stats.count, 2);
	assert_int_equal(k->first_use_count, 1);
	assert_ns(k->stats.total_ns, 3100);
	assert_ns(k->stats.max_ns, 100);
	assert_ns(k->first_use_ns, 2900 + 1900);
	assert_int_equal(kernel_named(r, "mul")->first_use_count, 0);
	assert_ns(kernel_named(r, "mul")->first_use_ns, 0);
	/* from the end of mul to the first run: neither the host's nor the driver's habit */
	assert_ns(gap(r, LMM_GAP_FIRST_USE), 25100 - 20850);
	assert_ns(gap(r, LMM_GAP_HOST), 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A prompt's embedding is of no step. */
static void test_first_use_outside_of_steps(void **state)
{
	struct tape p = { 0 };
	const struct lmm_result_phase *embedding;
	struct lmm_result *r;
	uint32_t id = 1;

	(void)state;
	session(&p);
	tape_in(&p, 10000, LMM_PHASE_EMBEDDING, LMM_STEP_NONE, LMM_SEQ_NONE);
	command(&p, 10100, LMM_EV_COMMAND, LMM_PHASE_EMBEDDING, LMM_STEP_NONE, 0, id++, 40);
	first_use(&p, 10100, 10700, LMM_STEP_NONE, 40);
	tape_out(&p, 10800, LMM_PHASE_EMBEDDING, LMM_STEP_NONE, LMM_SEQ_NONE);
	step(&p, 20000, 1, &id);
	tape_in(&p, 22000, LMM_PHASE_EMBEDDING, LMM_STEP_NONE, LMM_SEQ_NONE);
	tape_out(&p, 22100, LMM_PHASE_EMBEDDING, LMM_STEP_NONE, LMM_SEQ_NONE);
	step(&p, 23000, 2, &id);
	tape_end(&p, 25000);
	r = tape_result(&p);
	embedding = result_phase(r, LMM_PHASE_EMBEDDING);
	assert_int_equal(embedding->stats.count, 2);
	assert_int_equal(embedding->first_use_count, 1);
	assert_ns(embedding->stats.total_ns, 900);
	assert_ns(embedding->stats.max_ns, 100);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Where there is nothing else, mean to max are of what there is; programs built long before are no kernel's. */
static void test_first_use_alone(void **state)
{
	struct tape p = { 0 };
	const struct lmm_result_kernel *k;
	struct lmm_result *r;

	(void)state;
	session(&p);
	tape_in(&p, 20000, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_step(&p, 20001, LMM_PHASE_DECODE, 1, 1, 1, 0, 1);
	first_use(&p, 20100, 20900, 1, 0);
	command(&p, 21000, LMM_EV_COMMAND, LMM_PHASE_DECODE, 1, 0, 1, 1);
	command(&p, 21100, LMM_EV_COMMAND, LMM_PHASE_DECODE, 1, 0, 2, 40);
	first_use(&p, 21100, 21200, 1, 40);
	clock_said(&p, 22900, 0);
	ran(&p, 0, 1, 21050, 21060);
	ran(&p, 0, 2, 22000, 22500);
	tape_out(&p, 23000, LMM_PHASE_DECODE, 1, LMM_SEQ_NONE);
	tape_end(&p, 24000);
	r = tape_result(&p);
	k = kernel_named(r, "mul");
	assert_non_null(k);
	assert_int_equal(k->first_use_count, 1);
	assert_ns(k->stats.mean_ns, 500);
	assert_ns(k->first_use_ns, 100);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->stats.mean_ns, 3000);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->first_use_ns, 800 + 100);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A first launch that builds a program itself is told once; what happens in no phase is of none. */
static void test_first_use(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	struct lmm_event *e;
	uint32_t id = 1;

	(void)state;
	session(&p);
	step(&p, 10000, 1, &id);
	tape_in(&p, 20000, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_step(&p, 20001, LMM_PHASE_DECODE, 2, 1, 1, 0, 2);
	for (unsigned i = 0; i < 3;
	     i++) { /* a build from 20,100 to 20,400, in a launch from 20,050 to 20,450; another one */
		static const uint64_t from[] = { 20100, 20050, 20500 },
				      to[] = { 20400, 20450, 20600 };

		e = tape_event(&p, to[i], LMM_EV_FIRST_USE);
		e->phase = LMM_PHASE_DECODE;
		e->id = 2;
		e->a = from[i];
		e->b = i ? 40 : 0;
	}
	tape_out(&p, 21000, LMM_PHASE_DECODE, 2, LMM_SEQ_NONE);
	tape_end(&p, 22000);
	r = tape_result(&p);
	/* the launch's 50 ns ahead of the build are not told: it is known when the build has been counted */
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->first_use_ns, 300 + 50 + 100);
	assert_ns(result_phase(r, LMM_PHASE_COPY_TO_CPU)->first_use_ns, 0);
	assert_int_equal(r->records.invalid, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Two queues at once are one busy device; markers do no work. */
static void test_union(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;

	(void)state;
	session(&p);
	for (uint32_t i = 1; i <= 3; i++) {
		command(&p, 10000 + i, LMM_EV_COMMAND, LMM_PHASE_NONE, LMM_STEP_NONE, i % 2, i,
			i == 3 ? 7 : 40);
	}
	clock_said(&p, 12000, 0);
	ran(&p, 1, 1, 10100, 10300);
	ran(&p, 0, 2, 10200, 10500);
	ran(&p, 1, 3, 10300, 11900);
	tape_end(&p, 13000);
	r = tape_result(&p);
	assert_ns(r->device.busy_ns, 400);
	assert_int_equal(r->device.in_flight, 0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A step that is not timed is split as the others were, and says that it is an estimate. */
static void test_estimate(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	const struct lmm_result_kernel *mul = NULL;
	uint32_t id = 1, n = 1;

	(void)state;
	session(&p);
	for (; n <= 4; n++)
		step(&p, 10000 + 1000 * n, n, &id);
	tape_in(&p, 15000, LMM_PHASE_DECODE, n, LMM_SEQ_NONE);
	tape_step(&p, 15001, LMM_PHASE_DECODE, n, 1, 1, 0, n);
	command(&p, 15040, LMM_EV_COMMAND_UNTIMED, LMM_PHASE_DECODE, n, 0, 0, 40);
	tape_in(&p, 15100, LMM_PHASE_COPY_TO_CPU, n, LMM_SEQ_NONE);
	tape_out(&p, 15900, LMM_PHASE_COPY_TO_CPU, n, LMM_SEQ_NONE);
	tape_out(&p, 16000, LMM_PHASE_DECODE, n, LMM_SEQ_NONE);
	tape_end(&p, 17000);
	r = tape_result(&p);
	assert_ns(phase_total(r, LMM_PHASE_COPY_TO_CPU), 5 * 50);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), 5 * 950);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->estimated_ns, 750);
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (strcmp(r->kernels[i].name, "mul") == 0)
			mul = &r->kernels[i];
	}
	assert_non_null(mul);
	assert_int_equal(mul->stats.count, 4);
	assert_int_equal(mul->untimed, 1);
	assert_ns(mul->estimate_ns, 5 * 800);
	/* they were all alike */
	assert_true(mul->estimate_half_ns >= 0 && mul->estimate_half_ns < 40);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Timed steps of 1,000 ns against untimed ones of 900 and 1,100. */
static void test_step_check(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t id = 1, n = 1;
	uint64_t t = 20000;

	(void)state;
	session(&p);
	for (; n <= 4; n++)
		step(&p, 10000 + 1000 * n, n, &id);
	for (uint64_t whole = 900; whole <= 1100; whole += 200, n++) {
		tape_in(&p, t, LMM_PHASE_DECODE, n, LMM_SEQ_NONE);
		tape_step(&p, t + 1, LMM_PHASE_DECODE, n, 1, 1, 0, n);
		command(&p, t + 40, LMM_EV_COMMAND_UNTIMED, LMM_PHASE_DECODE, n, 0, 0, 40);
		tape_out(&p, t + whole, LMM_PHASE_DECODE, n, LMM_SEQ_NONE);
		t += whole;
	}
	tape_end(&p, t + 1000);
	r = tape_result(&p);
	assert_int_equal(r->device.steps_timed, 4);
	assert_int_equal(r->device.steps_untimed, 2);
	assert_true(r->device.steps_percent > -0.01 && r->device.steps_percent < 0.01);
	/* one degree of freedom: 12.7062 * sqrt(20000 / 2) / 1000 */
	assert_true(r->device.steps_half_percent > 124 && r->device.steps_half_percent < 130);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* Saved in the middle and read again it says the same. */
static void test_saved(void **state)
{
	struct tape p = { 0 };
	struct lmm_analysis *a, *b;
	struct lmm_buf buf = { 0 };
	struct lmm_result *r, *whole;
	uint32_t id = 1;

	(void)state;
	session(&p);
	for (uint32_t n = 1; n <= 5; n++)
		step(&p, 10000 + 1000 * n, n, &id);
	tape_end(&p, 17000);
	whole = tape_result(&p);
	for (size_t cut = 0; cut < p.n; cut++) {
		a = tape_analysis();
		b = tape_analysis();
		tape_play(&p, 0, cut, a);
		buf.n = 0;
		assert_int_equal(lmm_analysis_save(a, &buf), 0);
		assert_int_equal(lmm_analysis_load(b, buf.data, buf.n), 0);
		tape_play(&p, cut, p.n, b);
		r = lmm_analysis_result(b);
		assert_non_null(r);
		assert_ns(phase_total(r, LMM_PHASE_DECODE), phase_total(whole, LMM_PHASE_DECODE));
		assert_ns(gap(r, LMM_GAP_READBACK), gap(whole, LMM_GAP_READBACK));
		assert_ns(r->device.busy_ns, whole->device.busy_ns);
		lmm_result_destroy(r);
		lmm_analysis_destroy(a);
		lmm_analysis_destroy(b);
	}
	lmm_buf_free(&buf);
	lmm_result_destroy(whole);
	tape_free(&p);
}

enum { MANY_KERNELS = 250 };

/*
 * A step of 10,000 ns with many short kernels, of 20 ns every 30 from 500 on; the copy waits from 1,000 to 9,000. 233 of the kernels
 * lie within it. late: each is handed over 5 ns before it runs, and not all of them at 40.
 */
static void step_of_many(struct tape *p, uint64_t t, uint32_t number, uint32_t *id, int late)
{
	uint32_t i = 0;

	tape_in(p, t, LMM_PHASE_DECODE, number, LMM_SEQ_NONE);
	tape_step(p, t + 1, LMM_PHASE_DECODE, number, 1, 1, 0, number);
	for (; i < MANY_KERNELS && (!late || 495 + 30 * i < 1000); i++) {
		command(p, t + (late ? 495 + 30 * i : 40), LMM_EV_COMMAND, LMM_PHASE_DECODE, number,
			0, *id + i, 40);
	}
	tape_in(p, t + 1000, LMM_PHASE_COPY_TO_CPU, number, LMM_SEQ_NONE);
	for (; i < MANY_KERNELS; i++) {
		command(p, t + 495 + 30 * i, LMM_EV_COMMAND, LMM_PHASE_DECODE, number, 0, *id + i,
			40);
	}
	clock_said(p, t + 8995, 0);
	for (i = 0; i < MANY_KERNELS; i++)
		ran(p, 0, *id + i, t + 500 + 30 * i, t + 520 + 30 * i);
	*id += MANY_KERNELS;
	tape_out(p, t + 9000, LMM_PHASE_COPY_TO_CPU, number, LMM_SEQ_NONE);
	tape_out(p, t + 10000, LMM_PHASE_DECODE, number, LMM_SEQ_NONE);
}

/* What the driver needs between two kernels that it has is the kernels' time: from 1,000 to the last one's end, at 7,990. */
static void test_dispatch_belongs_to_the_kernels(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint32_t id = 1;

	(void)state;
	session(&p);
	step_of_many(&p, 20000, 1, &id, 0);
	tape_end(&p, 40000);
	r = tape_result(&p);
	assert_ns(phase_total(r, LMM_PHASE_COPY_TO_CPU), 8000 - 6990);
	assert_ns(r->device.busy_ns, MANY_KERNELS * 20.0);
	assert_ns(gap(r, LMM_GAP_DRIVER), (MANY_KERNELS - 1) * 10.0);
	lmm_result_destroy(r);
	tape_free(&p);
}

/*
 * Far more intervals than are remembered, long before the second stage asks for them, and let go in the middle of brackets: the
 * phases are still right, as whoever needs the oldest is served first.
 */
static void test_many(void **state)
{
	enum { STEPS = 200, IN_COPY = 8000 - 233 * 20 };
	struct tape p = { 0 };
	struct lmm_analysis *a;
	struct lmm_result *r;
	uint32_t id = 1;

	(void)state;
	session(&p);
	a = tape_analysis();
	tape_play(&p, 0, p.n, a);
	for (uint32_t n = 1; n <= STEPS; n++) {
		p.n = 0;
		step_of_many(&p, 10000 + 10000ull * n, n, &id, 1);
		tape_play(&p, 0, p.n, a);
	}
	r = lmm_analysis_result(a);
	assert_ns(phase_total(r, LMM_PHASE_COPY_TO_CPU), STEPS * (double)IN_COPY);
	assert_ns(phase_total(r, LMM_PHASE_DECODE), STEPS * (10000.0 - IN_COPY));
	assert_ns(result_phase(r, LMM_PHASE_COPY_TO_CPU)->stats.max_ns, IN_COPY);
	lmm_result_destroy(r);
	lmm_analysis_destroy(a);
	tape_free(&p);
}

/* ---- windows of kernel records, passes, command buffers ----------------------------------------- */

static void window(struct tape *p, uint64_t t, enum lmm_window what, uint32_t id, uint64_t a,
		   uint64_t b)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_WINDOW);

	e->phase = (uint8_t)what;
	e->id = id;
	e->a = a;
	e->b = b;
}

static const struct lmm_result_kernel *named(const struct lmm_result *r, const char *name)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (strcmp(r->kernels[i].name, name) == 0)
			return &r->kernels[i];
	}
	return NULL;
}

/* A step whose one launch is command buffer 50, and that takes `ticks`. */
static void buffer_step(struct tape *p, uint64_t t, uint32_t number, uint64_t ticks, int is_open)
{
	tape_in(p, t, LMM_PHASE_DECODE, number, LMM_SEQ_NONE);
	tape_step(p, t + 1, LMM_PHASE_DECODE, number, 1, 1, 0, number);
	if (is_open) {
		window(p, t + 2, LMM_WINDOW_STEP, number, 0, 0);
	} else {
		command(p, t + 40, LMM_EV_COMMAND_UNTIMED, LMM_PHASE_DECODE, number, 0, 0, 50);
	}
	tape_out(p, t + ticks, LMM_PHASE_DECODE, number, LMM_SEQ_NONE);
	tape_token(p, t + ticks + 1, number, 0);
}

/* What a window saw of one launch: two runs of "mul" that overlap by 100, told when step 4 has begun. */
static void buffer_told(struct tape *p, uint64_t t, uint32_t number, uint32_t id)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_DEVICE_GRAPH);

	e->phase = 1;
	e->id = 50;
	e->a = 1;
	command(p, t, LMM_EV_COMMAND, LMM_PHASE_DECODE, number, 0, id, 40);
	ran(p, 0, id, t + 50, t + 350);
	command(p, t, LMM_EV_COMMAND, LMM_PHASE_DECODE, number, 0, id + 1, 40);
	ran(p, 0, id + 1, t + 250, t + 650);
}

/*
 * Of ten steps of one launch each the third and fourth lie in a window and take twice as long. The launch consists of two runs that
 * overlap; those of the others are as many.
 */
static void test_window(void **state)
{
	struct tape p = { 0 };
	const struct lmm_result_kernel *mul;
	struct lmm_result *r;
	uint64_t t = 10000;

	(void)state;
	session(&p);
	kernel(&p, 50, "graph", LMM_KERNEL_COMMAND_BUFFER);
	for (uint32_t i = 1; i <= 10; i++) {
		int is_open = i == 3 || i == 4;

		if (i == 3)
			window(&p, t - 1, LMM_WINDOW_STALL, 3, t - 301, 0);
		buffer_step(&p, t, i, is_open ? 2000 : 1000, is_open);
		if (i == 4) {
			clock_said(&p, t + 2010, 0);
			buffer_told(&p, 12100, 3, 1);
			buffer_told(&p, 14500, 4, 3);
			window(&p, t + 2300, LMM_WINDOW_STALL, 4, t + 2100, 1);
			window(&p, t + 2301, LMM_WINDOW_RECORDS, 2, 4 | 5ull << 32, 1);
			window(&p, t + 2302, LMM_WINDOW_LOSS, 0, 6, 7);
			window(&p, t + 2303, LMM_WINDOW_CHECK, 2, 1200, 1250);
			window(&p, t + 2304, LMM_WINDOW_END, 2, 11700, 1500);
		}
		t += is_open ? 2400 : 1400;
	}
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->records.invalid, 0);
	mul = named(r, "mul");
	assert_non_null(mul);
	assert_null(named(r, "graph"));
	assert_int_equal(mul->stats.count, 4);
	assert_int_equal(mul->untimed, 16);
	assert_ns(mul->stats.total_ns, 2 * 700);
	assert_ns(mul->exclusive_ns, 2 * 600);
	assert_ns(r->device.busy_ns, 2 * 600);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->device_ns, 2 * 600);
	/* in the sum, and in nothing else */
	assert_int_equal(r->steps.decode.count, 10);
	assert_ns(r->steps.decode.max_ns, 1000);
	assert_int_equal(r->itl.count, 7);
	assert_int_equal(r->itl_apart, 2);
	assert_int_equal(r->device.windows.count, 1);
	assert_int_equal(r->device.windows.steps, 2);
	assert_int_equal(r->device.windows.expected, 5);
	assert_int_equal(r->device.windows.unmatched, 1);
	assert_int_equal(r->device.windows.dropped, 6);
	assert_int_equal(r->device.windows.invalid, 7);
	assert_ns(r->device.windows.stall_ns[0], 300);
	assert_ns(r->device.windows.stall_ns[1], 200);
	assert_true(r->overhead.device_ns >= 300 + 200 + 1500);
	lmm_result_destroy(r);
	tape_free(&p);
}

/* A pass timed as a whole: the device was busy with it, its commands are not timed, and the step is no step that is not. */
static void test_pass(void **state)
{
	struct tape p = { 0 };
	struct lmm_result *r;
	uint64_t t = 10000;

	(void)state;
	session(&p);
	kernel(&p, LMM_KERNEL_PASS, "pass", LMM_KERNEL_PASS);
	for (uint32_t i = 1; i <= 3; i++, t += 2000) {
		tape_in(&p, t, LMM_PHASE_DECODE, i, LMM_SEQ_NONE);
		tape_step(&p, t + 1, LMM_PHASE_DECODE, i, 1, 1, 0, i);
		command(&p, t + 40, LMM_EV_COMMAND, LMM_PHASE_DECODE, i, 1, i, LMM_KERNEL_PASS);
		command(&p, t + 40, LMM_EV_COMMAND_UNTIMED, LMM_PHASE_DECODE, i, 0, 0, 40);
		clock_said(&p, t + 895, 0);
		ran(&p, 1, i, t + 50, t + 850);
		tape_out(&p, t + 1000, LMM_PHASE_DECODE, i, LMM_SEQ_NONE);
	}
	tape_end(&p, t);
	r = tape_result(&p);
	assert_int_equal(r->records.invalid, 0);
	assert_null(named(r, "pass"));
	assert_int_equal(r->device.timed, 0);
	assert_int_equal(r->device.untimed, 3);
	assert_ns(r->device.busy_ns, 3 * 800);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->device_ns, 3 * 800);
	assert_ns(result_phase(r, LMM_PHASE_DECODE)->estimated_ns, 0);
	assert_int_equal(r->device.steps_timed, 3);
	lmm_result_destroy(r);
	tape_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_clock_drifts),
		cmocka_unit_test(test_clock_drops_late_pairs),
		cmocka_unit_test(test_clock_that_was_set),
		cmocka_unit_test(test_phases_by_device),
		cmocka_unit_test(test_of_no_phase),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_gaps_within_error),
		cmocka_unit_test(test_more_work_than_is_kept),
		cmocka_unit_test(test_first_use),
		cmocka_unit_test(test_first_use_is_kept_apart),
		cmocka_unit_test(test_first_use_alone),
		cmocka_unit_test(test_first_use_outside_of_steps),
		cmocka_unit_test(test_union),
		cmocka_unit_test(test_estimate),
		cmocka_unit_test(test_step_check),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_dispatch_belongs_to_the_kernels),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
