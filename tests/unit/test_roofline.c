/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of rooflines on round numbers, worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/roofline.h"
#include "base/compiler.h"

#define assert_near(a, b)                                                                          \
	assert_true(fabs((double)(a) - (double)(b)) <= 1e-9 * fabs((double)(b)) + 1e-12)

/* 10 GB/s, 100 GFLOP/s, 400 GOP/s; prompts with twice the threads; a device of 100 GB/s and 1 TFLOP/s. */
static struct lmm_roofline_peaks peaks = {
	.cpu = { 10e9, 100e9, 400e9 },
	.cpu_prefill = { 20e9, 200e9, 800e9 },
	.devices = { { "GPU", { 100e9, 1000e9, 0 } } },
	.n_devices = 1,
};

enum { PRODUCT, ATTENTION, ADD, PROMPT, SILENT, N_KERNELS };

static struct lmm_result_kernel kernels[N_KERNELS];
static struct lmm_result_phase phases[3];
static struct lmm_result_model model;

/* 10 decode steps of 1 ms, 1.25 ms from token to token; 1 prefill of 2 ms. */
static struct lmm_result sound(void)
{
	struct lmm_result r = { .kernels = kernels,
				.n_kernels = N_KERNELS,
				.phases = phases,
				.n_phases = 3,
				.models = &model,
				.n_models = 1 };

	memset(kernels, 0, sizeof(kernels));
	for (unsigned i = 0; i < N_KERNELS; i++) {
		kernels[i].name = "x";
		kernels[i].op = "MUL_MAT";
		kernels[i].device = "CPU";
		kernels[i].weight_type = "";
		kernels[i].phase = LMM_PHASE_DECODE;
		kernels[i].stats.count = 10;
	}
	/* 5 MB and 40 MFLOP a step: 0.5 ms of memory, 0.1 ms of int8 */
	kernels[PRODUCT].weight_type = "q4_1";
	kernels[PRODUCT].bytes = 50000000;
	kernels[PRODUCT].weight_bytes = 48000000;
	kernels[PRODUCT].flops = 400000000;
	kernels[PRODUCT].estimate_ns = 8e6;
	/* a window of 256 positions of which 64 are filled: of 1.1 MB and 8 MFLOP a step 0.35 MB and 2 MFLOP count */
	kernels[ATTENTION].op = "FLASH_ATTN_EXT";
	kernels[ATTENTION].bytes = 11000000;
	kernels[ATTENTION].cache_bytes = 10000000;
	kernels[ATTENTION].cache_positions = 2560;
	kernels[ATTENTION].flops = 80000000;
	kernels[ATTENTION].estimate_ns = 1e6;
	/* in a cache: twice the peak of memory */
	kernels[ADD].op = "ADD";
	kernels[ADD].bytes = 2000000;
	kernels[ADD].flops = 100000;
	kernels[ADD].estimate_ns = 1e5;
	/* 5 MB, 1.28 GFLOP: 0.25 ms of memory, 1.6 ms of int8 with the threads of prefill */
	kernels[PROMPT].phase = LMM_PHASE_PREFILL;
	kernels[PROMPT].weight_type = "q8_0";
	kernels[PROMPT].stats.count = 1;
	kernels[PROMPT].bytes = 5000000;
	kernels[PROMPT].flops = 1280000000;
	kernels[PROMPT].estimate_ns = 2e6;
	/* of nothing known */
	kernels[SILENT].estimate_ns = 5e5;
	memset(phases, 0, sizeof(phases));
	phases[0] = (struct lmm_result_phase){ .phase = LMM_PHASE_TOKENIZE,
					       .stats = { .count = 1, .total_ns = 1e5 } };
	phases[1] = (struct lmm_result_phase){ .phase = LMM_PHASE_PREFILL,
					       .stats = { .count = 1, .total_ns = 2e6 } };
	phases[2] = (struct lmm_result_phase){ .phase = LMM_PHASE_DECODE,
					       .stats = { .count = 10, .total_ns = 10e6 } };
	model.size_bytes = 6000000;
	r.steps.decode.count = 10;
	r.steps.decode.mean_ns = 1e6;
	r.steps.decode_positions = 64;
	r.steps.prefill_positions = -1;
	r.itl.count = 10;
	r.itl.mean_ns = 1.25e6;
	return r;
}

static void test_operators(void **state)
{
	struct lmm_result r = sound();
	const struct lmm_roofline_row *x;
	struct lmm_roofline l;

	(void)state;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.n_kernels, N_KERNELS);
	x = &l.kernels[PRODUCT];
	assert_ptr_equal(x->kernel, &kernels[PRODUCT]);
	assert_near(x->bytes_per_second, 6.25e9);
	assert_near(x->flops_per_second, 50e9);
	assert_near(x->intensity, 8);
	assert_near(x->memory_percent, 62.5);
	assert_int_equal(x->is_int8, 1);
	assert_near(x->compute_percent, 12.5);
	assert_near(x->roof_ns, 5e6);
	assert_near(x->roof_percent, 62.5);
	assert_int_equal(x->bound, LMM_BOUND_MEMORY);
	x = &l.kernels[ATTENTION];
	assert_near(x->bytes, 3500000);
	assert_near(x->flops, 20000000);
	assert_int_equal(x->is_int8, 0);
	assert_near(x->memory_percent, 35);
	assert_near(x->compute_percent, 20);
	assert_int_equal(x->bound, LMM_BOUND_NEITHER);
	x = &l.kernels[ADD];
	assert_near(x->memory_percent, 200); /* said, not clipped */
	assert_int_equal(x->bound, LMM_BOUND_MEMORY);
	x = &l.kernels[PROMPT];
	assert_near(x->memory_percent, 12.5);
	assert_near(x->compute_percent, 80);
	assert_near(x->roof_ns, 1.6e6);
	assert_int_equal(x->bound, LMM_BOUND_COMPUTE);
	x = &l.kernels[SILENT];
	assert_int_equal(x->bound, LMM_BOUND_UNKNOWN);
	assert_true(x->memory_percent < 0 && x->compute_percent < 0 && x->roof_ns < 0);
	assert_true(x->intensity < 0);
	lmm_roofline_free(&l);
}

/* Over the phase's whole time: what lies between operators counts against it. */
static void test_phases(void **state)
{
	struct lmm_result r = sound();
	struct lmm_roofline l;

	(void)state;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.n_phases, 2);
	assert_int_equal(l.phases[0].phase, LMM_PHASE_PREFILL);
	assert_near(l.phases[0].compute_percent, 80);
	assert_int_equal(l.phases[0].bound, LMM_BOUND_COMPUTE);
	assert_near(l.phases[1].bytes, 50e6 + 3.5e6 + 2e6);
	assert_near(l.phases[1].bytes_per_second, 5.55e9);
	assert_near(l.phases[1].memory_percent, 55.5);
	/* 1 ms of int8, 0.2 ms and 1 us of f32 */
	assert_near(l.phases[1].compute_percent, 12.01);
	assert_near(l.phases[1].roof_ns, 5.55e6);
	assert_int_equal(l.phases[1].bound, LMM_BOUND_MEMORY);
	lmm_roofline_free(&l);
	phases[2].stats.total_ns = 12e6;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.phases[1].bound, LMM_BOUND_NEITHER);
	lmm_roofline_free(&l);
}

static void test_mbu(void **state)
{
	struct lmm_result r = sound();
	struct lmm_roofline l;

	(void)state;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.mbu.is_known, 1);
	assert_int_equal(l.mbu.from_model_size, 0);
	assert_int_equal(l.mbu.from_window, 0);
	assert_near(l.mbu.weight_bytes, 4800000);
	assert_near(l.mbu.cache_bytes, 250000); /* 64 of 256 positions */
	/* 5.05 MB in 1.25 ms are 4.04 GB/s of 10 */
	assert_near(l.mbu.bytes_per_second, 4.04e9);
	assert_near(l.mbu.percent, 40.4);
	assert_near(l.mbu.step_percent, 50.5);
	lmm_roofline_free(&l);
	/* where no position is known the window counts, and that is said */
	r.steps.decode_positions = -1;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.mbu.from_window, 1);
	assert_near(l.mbu.cache_bytes, 1000000);
	lmm_roofline_free(&l);
	/* a context longer than the window (it slides): no more than the window */
	r.steps.decode_positions = 5000;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_near(l.mbu.cache_bytes, 1000000);
	lmm_roofline_free(&l);
}

static void test_mbu_without(void **state)
{
	struct lmm_result r = sound();
	struct lmm_roofline l;

	(void)state;
	/* no operator: the model's size */
	r.n_kernels = 0;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.mbu.from_model_size, 1);
	assert_near(l.mbu.percent, 100 * 6e6 / 1.25e-3 / 10e9);
	assert_int_equal(l.n_phases, 0);
	lmm_roofline_free(&l);
	/* two models: whose? */
	r.n_models = 2;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.mbu.is_known, 0);
	assert_true(l.mbu.percent < 0);
	lmm_roofline_free(&l);
	/* prompts alone */
	r = sound();
	r.steps.decode.count = 0;
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_int_equal(l.mbu.is_known, 0);
	lmm_roofline_free(&l);
}

/* A device has its own peaks, no int8, and reads the whole window; one without peaks has rates alone. */
static void test_devices(void **state)
{
	struct lmm_result r = sound();
	struct lmm_roofline l;

	(void)state;
	kernels[PRODUCT].device = "GPU";
	kernels[ATTENTION].device = "GPU";
	kernels[ADD].device = "other";
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_near(l.kernels[PRODUCT].memory_percent, 6.25);
	assert_near(l.kernels[PRODUCT].compute_percent, 5);
	assert_int_equal(l.kernels[PRODUCT].is_int8, 0);
	assert_near(l.kernels[ATTENTION].bytes, 11e6);
	assert_near(l.kernels[ADD].bytes_per_second, 20e9);
	assert_true(l.kernels[ADD].memory_percent < 0 && l.kernels[ADD].compute_percent < 0);
	assert_int_equal(l.kernels[ADD].bound, LMM_BOUND_UNKNOWN);
	/* a transfer: it has bytes, and no node */
	kernels[PROMPT].op = "";
	lmm_roofline_free(&l);
	assert_int_equal(lmm_roofline_make(&r, &peaks, &l), 0);
	assert_near(l.kernels[PROMPT].bytes_per_second, 2.5e9);
	assert_true(l.kernels[PROMPT].memory_percent < 0);
	assert_int_equal(l.n_phases, 1);
	assert_int_equal(l.phases[0].phase, LMM_PHASE_DECODE);
	/* a phase with a part that has no peak has none */
	assert_true(l.phases[0].memory_percent < 0);
	assert_int_equal(l.phases[0].bound, LMM_BOUND_UNKNOWN);
	assert_string_equal(l.mbu.device, "GPU");
	assert_near(l.mbu.peak_bytes_per_second, 100e9);
	lmm_roofline_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operators), cmocka_unit_test(test_phases),
		cmocka_unit_test(test_mbu),	  cmocka_unit_test(test_mbu_without),
		cmocka_unit_test(test_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
