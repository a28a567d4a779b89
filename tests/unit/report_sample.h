/* SPDX-License-Identifier: Apache-2.0 */
/* A result filled by hand, with round numbers and names that mean no good: what the reports are tested with. */
#ifndef LMM_TESTS_REPORT_SAMPLE_H
#define LMM_TESTS_REPORT_SAMPLE_H

#include "analyze/result.h"
#include "base/compiler.h"

#define SAMPLE_HOSTILE "a\"b,c\\d\n\x1b[31m\xff\xc3\xa9\xe2\x80\xae"

static const struct lmm_stats sample_decode = { 50, 50e7, 1e7, 9e6, 1e7, 1.2e7, 1.3e7, 1.5e7 };
static const struct lmm_stats sample_prefill = { 2, 1.2e8, 6e7, 4e7, 6e7, 8e7, 8e7, 8e7 };

static struct lmm_result_process sample_processes[] = {
	{ 0, 4242, 4241, "llama-completion", "llama.cpp", "0.25.1 (b179c95)", "preload", 1000000,
	  2000000000, 2, 51 },
	{ 1, 4243, 4242, SAMPLE_HOSTILE, "", "", "preload", 5000000, 6000000, 0, 0 },
};

static struct lmm_result_model sample_models[] = {
	{ 0, "SmolLM2 135M Instruct", "llama 135M Q4_1", "llama", "Q4_1", "SmolLM2.gguf", 98566144,
	  134515008, 30, 49152, 576, 1, 2.3e8, 23456, 12 },
};

static struct lmm_result_phase sample_phases[] = {
	{ LMM_PHASE_MODEL_LOAD,
	  0,
	  { 1, 2.3e8, 2.3e8, 2.3e8, 2.3e8, 2.3e8, 2.3e8, 2.3e8 },
	  2.3e8,
	  0,
	  0,
	  -1,
	  0,
	  0,
	  0 },
	{ LMM_PHASE_TOKENIZE,
	  0,
	  { 1, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5 },
	  1e5,
	  0,
	  0,
	  0.016,
	  0,
	  0,
	  0 },
	{ LMM_PHASE_PREFILL,
	  0,
	  { 2, 1.2e8, 6e7, 4e7, 6e7, 8e7, 8e7, 8e7 },
	  1.21e8,
	  0,
	  0,
	  19.0,
	  0,
	  0,
	  0 },
	{ LMM_PHASE_DECODE,
	  0,
	  { 50, 50e7, 1e7, 9e6, 1e7, 1.2e7, 1.3e7, 1.5e7 },
	  5.01e8,
	  2e6,
	  0,
	  79.1,
	  0,
	  0,
	  0 },
	{ LMM_PHASE_SAMPLING,
	  0,
	  { 51, 1.02e7, 2e5, 1e5, 2e5, 3e5, 3.5e5, 4e5 },
	  0,
	  0,
	  0,
	  1.6,
	  0,
	  0,
	  0 },
	{ LMM_PHASE_UNACCOUNTED,
	  0,
	  { 60, 1.8e6, 3e4, 1e3, 3e4, 5e4, 6e4, 7e4 },
	  0,
	  0,
	  0,
	  0.284,
	  0,
	  0,
	  0 },
};

static struct lmm_result_request_phase sample_request_phases[] = {
	{ LMM_PHASE_TOKENIZE, 1e5, 1 },
	{ LMM_PHASE_PREFILL, 1.2e8, 2 },
	{ LMM_PHASE_DECODE, 5e8, 50 },
	{ LMM_PHASE_SAMPLING, 1.02e7, 51 },
};

static struct lmm_result_request sample_requests[] = {
	{ 1,  0, 1,  LMM_SEQ_NONE, 1,	   0, 300000000, 932100000, 20,	   4,
	  51, 2, 50, 1.25e8,	   1.02e7, 0, 0,	 6.321e8,   1.8e6, sample_request_phases,
	  4 },
	{ 2, 0, 1, 3, 0, 0, 990000000, 995000000, 7, 0, 0, 1, 0, -1, -1, 0, 0, 5e6, 0, NULL, 0 },
};

static struct lmm_result_context_bin sample_bins[] = {
	{ 0, 32, { 12, 1.1e8, 9.2e6, 9e6, 9.2e6, 9.4e6, 9.5e6, 9.5e6 } },
	{ 32, 64, { 38, 3.9e8, 1.03e7, 9.1e6, 1e7, 1.2e7, 1.3e7, 1.5e7 } },
};

static struct lmm_result_layer sample_layers[] = {
	{ -1, 0, 0, 1e6, 9e7, 9.1e7, 2e7, 7.1e7 },
	{ 0, 6e7, 1.1e8, 5e6, 1e6, 1.76e8, 3e7, 1.46e8 },
	{ 1, 6.1e7, 1.2e8, 5e6, 2e6, 1.88e8, 3e7, 1.58e8 },
};

static struct lmm_result_kernel sample_kernels[] = {
	{ "ffn_gate",
	  "MUL_MAT",
	  LMM_ROLE_MLP,
	  "CPU",
	  LMM_PHASE_DECODE,
	  0,
	  "q4_1",
	  { 1500, 1.5e8, 1e5, 9e4, 1e5, 1.2e5, 1.3e5, 2e5 },
	  0,
	  1.5e8,
	  0,
	  3000000000,
	  6000000000,
	  2,
	  1.5e6,
	  2900000000,
	  0,
	  0,
	  1.5e8 },
	{ SAMPLE_HOSTILE,
	  "RMS_NORM",
	  LMM_ROLE_NORM,
	  "CPU",
	  LMM_PHASE_PREFILL,
	  1,
	  "",
	  { 3, 1.5e4, 5e3, 4e3, 5e3, 6e3, 6e3, 6e3 },
	  0,
	  1.5e4,
	  0,
	  0,
	  0,
	  0,
	  0,
	  0,
	  0,
	  0,
	  1.5e4 },
};

static struct lmm_result_thread sample_threads[] = {
	{ 0, 4242, 51500, 5e8, 2e7 },
	{ 0, 4244, 51500, 4.9e8, 6e7 },
};

/* the longest in sum first */
static struct lmm_result_named sample_named[] = {
	{ "search", { 3, 6e6, 2e6, 1e6, 2e6, 3e6, 3e6, 3e6 } },
	{ "re\"rank,\x1b", { 1, 1.5e6, 1.5e6, 1.5e6, 1.5e6, 1.5e6, 1.5e6, 1.5e6 } },
};

static const char *sample_reasons[] = { "no weights are visible: bytes and FLOPs are missing" };

static const struct lmm_result sample_result = {
	.id = "00112233445566778899aabbccddeeff",
	.lmmeter = "0.1.0",
	.command_name = "llama-completion",
	.command_line = "llama-completion -m SmolLM2.gguf -p ***",
	.host_os = "Linux 6.1.0 x86_64",
	.host_cpu = "AMD EPYC",
	.host_cpus = 2,
	.host_memory_bytes = 8ull << 30,
	.start_realtime_ns = 1700000000123456789ull,
	.duration_ns = 2.31e9,
	.exit_status = 0,
	.clock = LMM_CLOCK_TSC,
	.complete = 1,
	.clock_error_ns = 25.5,
	.processes = sample_processes,
	.n_processes = 2,
	.models = sample_models,
	.n_models = 1,
	.phases = sample_phases,
	.n_phases = LMM_ARRAY_SIZE(sample_phases),
	.requests = sample_requests,
	.n_requests = 2,
	.requests_total = 2,
	.warmup_requests = 1,
	.ttft = { 1, 1.25e8, 1.25e8, 1.25e8, 1.25e8, 1.25e8, 1.25e8, 1.25e8 },
	.tpot = { 1, 1.02e7, 1.02e7, 1.02e7, 1.02e7, 1.02e7, 1.02e7, 1.02e7 },
	.itl = { 50, 5.1e8, 1.02e7, 9.2e6, 1.02e7, 1.25e7, 1.35e7, 1.55e7 },
	.output_tokens_per_second = 80.04,
	.prompt_tokens_per_second = 133.333333333,
	.steps = { { 2, 1.2e8, 6e7, 4e7, 6e7, 8e7, 8e7, 8e7 },
		   { 50, 50e7, 1e7, 9e6, 1e7, 1.2e7, 1.3e7, 1.5e7 },
		   16,
		   50,
		   0,
		   1,
		   0,
		   1,
		   1,
		   sample_bins,
		   2,
		   0,
		   0 },
	.layers = sample_layers,
	.n_layers = 3,
	.kernels = sample_kernels,
	.n_kernels = 2,
	.threads = sample_threads,
	.n_threads = 2,
	.named = sample_named,
	.n_named = 2,
	.graph_span_ns = 6.1e8,
	.graph_kernels_ns = 6.0e8,
	.graph_gaps_ns = 9e6,
	.graph_own_ns = 1e6,
	.records = { 27000, 26990, 10, 2, 0, 26000 },
	.overhead = { 12.345678, 25.5, 0, 3.5e5, 0.0567, 4.5e7,
		      "measured in this very process before it began" },
	.level = { LMM_LEVEL_KERNELS, sample_reasons, 1 },
};

#endif
