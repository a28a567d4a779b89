/* SPDX-License-Identifier: Apache-2.0 */
/* Findings against results made by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/findings.h"
#include "base/compiler.h"

#define assert_near(a, b) assert_true(fabs((double)(a) - (double)(b)) <= 1e-6)

static struct lmm_result_phase phases[3];
static struct lmm_result_kernel kernels[2];
static struct lmm_finding found[8];

/* Prefill 300 ms of 100 tokens, decode 600 ms of 20, softmax 100 ms: nothing to be said of. */
static struct lmm_result sound(void)
{
	struct lmm_result r = {
		.phases = phases, .n_phases = 3, .kernels = kernels, .n_kernels = 2
	};

	memset(phases, 0, sizeof(phases));
	memset(kernels, 0, sizeof(kernels));
	phases[0] = (struct lmm_result_phase){
		.phase = LMM_PHASE_PREFILL,
		.stats = { .count = 1, .total_ns = 300e6, .mean_ns = 300e6 },
		.host_ns = 300e6
	};
	phases[1] = (struct lmm_result_phase){
		.phase = LMM_PHASE_DECODE,
		.stats = { .count = 20, .total_ns = 600e6, .mean_ns = 30e6 },
		.host_ns = 500e6
	};
	phases[2] = (struct lmm_result_phase){ .phase = LMM_PHASE_SOFTMAX,
					       .stats = { .count = 20, .total_ns = 100e6 },
					       .host_ns = 190e6 };
	kernels[0] = (struct lmm_result_kernel){ .name = "b",
						 .phase = LMM_PHASE_DECODE,
						 .stats = { .count = 1 } };
	kernels[1] = (struct lmm_result_kernel){ .name = "a",
						 .phase = LMM_PHASE_PREFILL,
						 .stats = { .count = 1 } };
	r.steps.prefill_tokens = 100;
	r.steps.decode_tokens = 20;
	return r;
}

static void idle_set(struct lmm_result *r, enum lmm_gap_cause cause, double ns)
{
	r->evidence.idle[LMM_PHASE_DECODE][cause] =
		(struct lmm_result_idle){ .count = ns > 0, .total_ns = ns, .longest = { 5, 7 } };
}

static void test_nothing(void **state)
{
	struct lmm_result r = sound(), empty = { 0 };

	(void)state;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	assert_int_equal(lmm_findings(&empty, NULL, 0, found, 8), 0);
}

static void test_first_use(void **state)
{
	struct lmm_result r = sound();

	(void)state;
	phases[0].first_use_ns = 150e6;
	phases[1].first_use_ns = 50e6;
	idle_set(&r, LMM_GAP_HOST, 10e6);	/* 1 % */
	idle_set(&r, LMM_GAP_FIRST_USE, 200e6); /* is said already */
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_FIRST_USE);
	assert_int_equal(found[0].phase, LMM_PHASE_PREFILL);
	assert_int_equal(found[0].certainty, LMM_MEASURED);
	assert_near(found[0].ns, 200e6);
	assert_near(found[0].share_percent, 20);
	phases[0].first_use_ns = 19e6;
	phases[1].first_use_ns = 0;
	idle_set(&r, LMM_GAP_HOST, 0);
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	/* outside of requests */
	phases[0].first_use_ns = 200e6;
	phases[0].share_percent = -1;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
}

static void test_host_bound_and_order(void **state)
{
	struct lmm_result r = sound();

	(void)state;
	phases[1].first_use_ns = 50e6;
	idle_set(&r, LMM_GAP_HOST, 250e6);
	phases[1].device_ns = 750e6;
	phases[2].host_ns = 201e6;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 3);
	assert_int_equal(found[0].kind, LMM_FINDING_HOST_BOUND);
	assert_int_equal(found[0].certainty, LMM_ESTIMATED);
	assert_near(found[0].ns, 250e6);
	assert_int_equal(found[0].phase, LMM_PHASE_DECODE);
	assert_string_equal(found[0].cause, "host");
	assert_int_equal(found[0].span.start_ns, 5);
	assert_int_equal(found[0].span.end_ns, 7);
	/* of 250 idle and 750 at work, as the device's own stamps have it */
	assert_near(lmm_finding_number(&found[0], "idle_percent"), 25);
	assert_int_equal(found[1].kind, LMM_FINDING_DRAIN);
	assert_int_equal(found[1].phase, LMM_PHASE_SOFTMAX);
	assert_near(found[1].ns, 101e6);
	assert_int_equal(found[2].kind, LMM_FINDING_FIRST_USE);
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 1), 1);
	/* windows of kernel records make launches slow */
	r.device.windows.count = 1;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 2);
	assert_int_equal(found[0].kind, LMM_FINDING_DRAIN);
}

/* 300 ms less 20 of compiling over 11 tokens: 25.5 ms each, of decode 30: 0.85. */
static void test_prefill(void **state)
{
	struct lmm_result r = sound();

	(void)state;
	phases[0].first_use_ns = 20e6 - 1;
	phases[0].first_use_count = 1;
	r.steps.prefill_tokens = 11;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_PREFILL);
	assert_near(lmm_finding_number(&found[0], "each_ns"), (280e6 + 1) / 11);
	assert_near(lmm_finding_number(&found[0], "than_ns"), 30e6);
	assert_string_equal(found[0].kernel, "a");
	r.steps.prefill_tokens = 12; /* 23.3: 0.78 */
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	r.steps.prefill_tokens = 7;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	r.steps.prefill_tokens = 11;
	/* one decode pass of two tokens that compiled is no measure: 19 of 10 ms, of 18 tokens */
	phases[1].first_use_count = 1;
	phases[1].stats.mean_ns = 10e6;
	r.steps.decode_first_use_tokens = 2;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_near(lmm_finding_number(&found[0], "than_ns"), 10e6 * 19 / 18);
	r.steps.decode_tokens = 0;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
}

static void kernels_set(const struct lmm_result_kernel *from, size_t n, struct lmm_result *r)
{
	static struct lmm_result_kernel room[8];

	memcpy(room, from, n * sizeof(*from));
	r->kernels = room;
	r->n_kernels = n;
}

/* One pass of 100 tokens and 20 of one; what runs as often in either are partners, in order of their first number. */
static void test_prefill_kernels(void **state)
{
	static const struct lmm_result_kernel in[] = {
		{ .name = "mm5",
		  .phase = LMM_PHASE_PREFILL,
		  .stats = { .count = 4, .total_ns = 40e6, .mean_ns = 10e6 } },
		{ .name = "mm7_x",
		  .phase = LMM_PHASE_PREFILL,
		  .stats = { .count = 4, .total_ns = 8e6, .mean_ns = 2e6 } },
		{ .name = "mm9",
		  .phase = LMM_PHASE_PREFILL,
		  .stats = { .count = 4, .total_ns = 80e6, .mean_ns = 20e6 } },
		{ .name = "mm1",
		  .phase = LMM_PHASE_DECODE,
		  .stats = { .count = 80, .total_ns = 8e6, .mean_ns = 1e5 } },
		{ .name = "mm2",
		  .phase = LMM_PHASE_DECODE,
		  .stats = { .count = 80, .total_ns = 4e6, .mean_ns = 5e4 } },
		{ .name = "mm0",
		  .phase = LMM_PHASE_DECODE,
		  .stats = { .count = 20, .total_ns = 2e4, .mean_ns = 1e3 } },
	};
	struct lmm_result r = sound();
	struct lmm_result_kernel same[2] = { in[0], in[3] };

	(void)state;
	r.steps.prefill.count = 1;
	r.steps.decode.count = 20;
	kernels_set(in, LMM_ARRAY_SIZE(in), &r);
	/* mm9 takes 200 us for a token of a prompt, mm2 50: 150 us too many, in 100 tokens of 4 layers */
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_PREFILL_KERNEL);
	assert_string_equal(found[0].kernel, "mm9");
	assert_string_equal(found[0].than_kernel, "mm2");
	assert_near(lmm_finding_number(&found[0], "each_ns"), 200e3);
	assert_near(lmm_finding_number(&found[0], "than_ns"), 50e3);
	assert_near(found[0].ns, 150e3 * 100 * 4);
	/* mm5 and mm1 take 100 us either: of the same name they are partners however often they run */
	same[0].name = same[1].name = "mm";
	same[1].stats.mean_ns = 5e4;
	same[1].stats.count = 5;
	kernels_set(same, 2, &r);
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_near(found[0].ns, 50e3 * 100 * 4);
	same[1].stats.mean_ns = 1e5;
	kernels_set(same, 2, &r);
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
}

/* ---- what holds operators back ------------------------------------------------------------------ */

/* 100 GB/s and 1 TFLOP/s. */
static void test_bound(void **state)
{
	struct lmm_peaks peaks = { .bytes_per_second = 1e11, .flops_per_second = 1e12 };
	struct lmm_bound_found x = lmm_bound_find(1e9, 8e10, 2e11, &peaks);

	(void)state;
	assert_int_equal(x.bound, LMM_BOUND_MEMORY);
	assert_int_equal(x.certainty, LMM_COMPARED);
	assert_near(x.bytes_percent, 80);
	assert_near(x.flops_percent, 20);
	/* the fastest of a recording is no limit yet; that very different ones stop there makes it one */
	assert_int_equal(lmm_bound_find(1e9, 2e10, 8e11, &peaks).bound, LMM_BOUND_UNKNOWN);
	peaks.is_plateau = 1;
	assert_int_equal(lmm_bound_find(1e9, 2e10, 8e11, &peaks).bound, LMM_BOUND_COMPUTE);
	assert_int_equal(lmm_bound_find(1e9, 9e10, 8e11, &peaks).bound, LMM_BOUND_COMPUTE);
	/* near neither, or near both: the recording is no ruler for these */
	assert_int_equal(lmm_bound_find(1e9, 6e10, 2e11, &peaks).bound, LMM_BOUND_UNKNOWN);
	assert_int_equal(lmm_bound_find(1e9, 8e10, 3e11, &peaks).bound, LMM_BOUND_UNKNOWN);
	assert_int_equal(lmm_bound_find(0, 8e10, 3e11, &peaks).bound, LMM_BOUND_UNKNOWN);
	/* measured peaks are */
	peaks.is_measured = 1;
	x = lmm_bound_find(1e9, 8e10, 3e11, &peaks);
	assert_int_equal(x.bound, LMM_BOUND_MEMORY);
	assert_int_equal(x.certainty, LMM_ESTIMATED);
	assert_int_equal(lmm_bound_find(1e9, 7e10, 8e11, &peaks).bound, LMM_BOUND_COMPUTE);
	assert_int_equal(lmm_bound_find(1e9, 5e10, 5e11, &peaks).bound, LMM_BOUND_UNKNOWN);
	peaks.flops_per_second = 0;
	assert_int_equal(lmm_bound_find(1e9, 8e10, 3e11, &peaks).bound, LMM_BOUND_UNKNOWN);
}

/* The same product, of 2 MB of weights, in prefill of 100 tokens and in 20 steps of decode. */
static void test_bound_findings(void **state)
{
	static const struct lmm_result_kernel in[] = {
		{ .name = "mm",
		  .device = "CPU",
		  .phase = LMM_PHASE_DECODE,
		  .stats = { .count = 20, .total_ns = 4e8, .mean_ns = 2e7 },
		  .estimate_ns = 4e8,
		  .bytes = 40000000,
		  .flops = 80000000 },
		{ .name = "mm",
		  .device = "CPU",
		  .phase = LMM_PHASE_PREFILL,
		  .stats = { .count = 1, .total_ns = 2e8, .mean_ns = 2e8 },
		  .estimate_ns = 2e8,
		  .bytes = 2000000,
		  .flops = 400000000 },
	};
	struct lmm_peaks peaks = { "CPU", 1.5e8, 2.5e9, 1, 0 };
	struct lmm_result r = sound();

	(void)state;
	r.evidence.phases[LMM_PHASE_DECODE].all = (struct lmm_result_span){ 3, 9 };
	kernels_set(in, 2, &r);
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_MEMORY_BOUND);
	assert_int_equal(found[0].certainty, LMM_COMPARED);
	assert_int_equal(found[0].phase, LMM_PHASE_DECODE);
	assert_string_equal(found[0].kernel, "mm");
	assert_near(found[0].share_percent, 40);
	assert_int_equal(found[0].span.end_ns, 9);
	assert_near(lmm_finding_number(&found[0], "bytes_per_second"), 1e8);
	assert_near(lmm_finding_number(&found[0], "best_flops_per_second"), 2e9);
	/* with measured peaks the prompt's is told as well; those of another device are none */
	assert_int_equal(lmm_findings(&r, &peaks, 1, found, 8), 2);
	assert_int_equal(found[0].certainty, LMM_ESTIMATED);
	assert_int_equal(found[1].kind, LMM_FINDING_COMPUTE_BOUND);
	assert_int_equal(found[1].phase, LMM_PHASE_PREFILL);
	peaks.device = "gpu";
	assert_int_equal(lmm_findings(&r, &peaks, 1, found, 8), 1);
	/* without a prompt there is nothing that computes faster */
	r.n_kernels = 1;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
}

/* ---- threads, layers ---------------------------------------------------------------------------- */

static void test_threads(void **state)
{
	struct lmm_result_thread threads[] = {
		{ .tid = 1, .operators = 100, .busy_ns = 800e6, .wait_ns = 80e6 },
		{ .tid = 2, .operators = 100, .busy_ns = 800e6, .wait_ns = 320e6 },
		{ .tid = 3, .operators = 10, .busy_ns = 10e6 }, /* of another pool */
	};
	struct lmm_result r = sound();

	(void)state;
	r.threads = threads;
	r.n_threads = 3;
	/* 720 and 480 ms of work, the mean 600 */
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_THREAD_IMBALANCE);
	assert_near(found[0].ns, 120e6);
	assert_near(lmm_finding_number(&found[0], "wait_percent"), 25);
	threads[1].wait_ns =
		240e6; /* 560: the larger one is 12.5 % above the mean of 640, and then it is not */
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	threads[1].wait_ns = 239e6;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	r.n_threads = 1;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
}

#define LAYERS 12

/* Layers 0 to 9 are alike, the other two read twice as much. */
static void layers_make(struct lmm_result *r, struct lmm_result_layer_turns *layers)
{
	for (int i = 0; i < LAYERS; i++) {
		layers[i] = (struct lmm_result_layer_turns){ .layer = i,
							     .bytes = i < 10 ? 1000 : 2000 };
		for (unsigned t = 0; t < LMM_LAYER_TURNS; t++)
			layers[i].turns_ns[t] = (i < 10 ? 5e6 : 10e6) * (1 + 0.01 * (i % 3));
	}
	r->steps.decode.count = 32;
	r->evidence.layers = layers;
	r->evidence.n_layers = LAYERS;
}

static void test_layers(void **state)
{
	struct lmm_result_layer_turns layers[LAYERS];
	struct lmm_result r = sound();

	(void)state;
	layers_make(&r, layers);
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	/* a stall of half a second in one turn is no layer's way */
	layers[3].turns_ns[2] += 500e6;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	for (unsigned t = 0; t < LMM_LAYER_TURNS; t++)
		layers[4].turns_ns[t] *= 1.5;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_SLOW_LAYER);
	assert_near(lmm_finding_number(&found[0], "layer"), 4);
	assert_near(lmm_finding_number(&found[0], "layers"), 1);
	assert_near(found[0].ns, LMM_LAYER_TURNS * (5.05e6 * 1.5 - 5.05e6));
	/* in all turns but one */
	layers[4].turns_ns[7] /= 1.5;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
	layers[4].turns_ns[7] *= 1.5;
	r.steps.decode.count = 31;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 0);
}

/* Whoever often had no core spreads its work by that: only this is said. */
static void test_disturbed(void **state)
{
	struct lmm_result_sensor wait = { .kind = LMM_SENSOR_RUN_WAIT, .total = 60e6 };
	struct lmm_result_thread threads[] = {
		{ .tid = 1, .operators = 100, .busy_ns = 800e6, .wait_ns = 80e6 },
		{ .tid = 2, .operators = 100, .busy_ns = 800e6, .wait_ns = 320e6 },
	};
	struct lmm_result_layer_turns layers[LAYERS];
	struct lmm_result r = sound();

	(void)state;
	layers_make(&r, layers);
	for (unsigned t = 0; t < LMM_LAYER_TURNS; t++)
		layers[4].turns_ns[t] *= 1.5;
	r.threads = threads;
	r.n_threads = 2;
	r.machine.sensors = &wait;
	r.machine.n_sensors = 1;
	r.machine.sampled_ns = 1000e6;
	r.evidence.waiting = (struct lmm_result_span){ 100, 200 };
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 1);
	assert_int_equal(found[0].kind, LMM_FINDING_LOST_CORE);
	assert_near(found[0].ns, 60e6);
	assert_near(lmm_finding_number(&found[0], "run_wait_percent"), 6);
	assert_int_equal(found[0].span.start_ns, 100);
	wait.total = 40e6;
	assert_int_equal(lmm_findings(&r, NULL, 0, found, 8), 2);
	assert_int_equal(found[0].kind, LMM_FINDING_THREAD_IMBALANCE);
	assert_int_equal(found[1].kind, LMM_FINDING_SLOW_LAYER);
}

static void test_names(void **state)
{
	(void)state;
	for (int k = 0; k < LMM_FINDING_KINDS; k++)
		assert_non_null(lmm_finding_name((enum lmm_finding_kind)k));
	assert_string_equal(lmm_certainty_name(LMM_MEASURED), "measured");
	assert_string_equal(lmm_certainty_name(LMM_ESTIMATED), "estimated");
	assert_string_equal(lmm_certainty_name(LMM_COMPARED), "compared");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_first_use),
		cmocka_unit_test(test_host_bound_and_order),
		cmocka_unit_test(test_prefill),
		cmocka_unit_test(test_prefill_kernels),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_findings),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_disturbed),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
