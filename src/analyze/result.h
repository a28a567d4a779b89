/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the analysis found: the one structure that every report and export format prints. All durations are
 * nanoseconds (already converted), all arrays are owned by the result, sorted as said, and deterministic:
 * the same trace gives the same result, byte for byte. Strings are never NULL.
 */
#ifndef LMM_ANALYZE_RESULT_H
#define LMM_ANALYZE_RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/result_evidence.h"
#include "analyze/result_sensors.h"
#include "lmmeter/trace.h"

/*
 * A distribution of durations, in ns. count and total_ns are of all. Where a first_use_count stands beside it, so many of them
 * had drivers make things ready for their first use: they are kept out of mean to max, unless there are none but these.
 */
struct lmm_stats {
	uint64_t count;
	double total_ns;
	double mean_ns;
	double min_ns;
	double p50_ns;
	double p95_ns;
	double p99_ns;
	double max_ns;
};

struct lmm_result_process {
	uint32_t process;
	int32_t pid;
	int32_t parent_pid;
	const char *name;
	const char *engine_name;
	const char *engine_version;
	const char *door;
	uint64_t start_ns; /* from the session's start */
	uint64_t end_ns;
	uint64_t requests; /* all of it, warm-ups not counted */
	uint64_t output_tokens;
};

struct lmm_result_model {
	uint32_t process;
	const char *name, *description, *architecture, *quantization, *file;
	uint64_t size_bytes, parameters;
	uint32_t layers, vocabulary, embedding;
	uint32_t loads; /* times it was loaded (llama-cli loads twice) */
	double load_ns; /* total */
	uint64_t minor_faults, major_faults;
};

/*
 * total_ns: attributed and exclusive. host_ns: what the host's brackets alone would have said (phases nest there, so
 * embedding is part of prefill's host_ns). device_ns: time of device commands booked to it. The latter two are 0
 * where nothing of the kind was seen.
 */
struct lmm_result_phase {
	uint8_t phase;
	uint8_t warmup_only;	/* seen only in warm-up */
	struct lmm_stats stats; /* one value per occurrence: per step, window or call */
	double host_ns;
	double device_ns;
	double estimated_ns; /* part of the total that comes from steps whose commands were not timed */
	double share_percent; /* of the sum of phases + unaccounted inside requests; < 0: not part of it */
	double first_use_ns; /* part of host_ns in which drivers compiled programs or took a kernel's first launch */
	double first_use_host_ns; /* part of host_ns in the occurrences that first_use_count counts */
	uint64_t first_use_count;
};

struct lmm_result_request_phase {
	uint8_t phase;
	double total_ns;
	uint64_t count;
};

struct lmm_result_request {
	uint64_t id; /* 1, 2, … in order of start over the whole session */
	uint32_t process;
	uint32_t context;
	uint16_t seq;	  /* LMM_SEQ_NONE where the engine names none */
	uint8_t complete; /* 0: still running when the recording ended */
	uint8_t joined; /* 1: under way when the recording began; the counts are of what was seen */
	uint64_t start_ns;	/* from the session's start */
	uint64_t end_ns;	/* likewise; its last record */
	uint64_t prompt_tokens; /* processed + cached */
	uint64_t cached_tokens; /* taken from the engine's prompt cache, not computed */
	uint64_t output_tokens;
	uint64_t prefill_steps;
	uint64_t decode_steps;
	double ttft_ns; /* start to first token chosen; < 0: none was, or joined */
	double tpot_ns; /* mean time per output token after the first; < 0: fewer than two */
	uint64_t context_shifts;   /* how often its positions were moved to make room */
	uint64_t context_refusals; /* calls with its tokens for which there was no room */
	double wall_ns; /* from its first record to its last, by the mean rate of the clock */
	double unaccounted_ns;
	struct lmm_result_request_phase *phases; /* in enum order, only those that occurred */
	size_t n_phases;
};

/* Decode steps by context length: [from, to) positions already in the context when the step began. */
struct lmm_result_context_bin {
	uint64_t context_from, context_to;
	struct lmm_stats stats; /* of single-sequence decode steps */
};

/*
 * A context that is full drops positions and moves those behind them, which the engine computes anew before the next token. What that cost is
 * an estimate: how much longer those tokens took than the median one did.
 */
struct lmm_result_shifts {
	uint64_t count;
	uint64_t tokens; /* the first ones behind them */
	double total_ns; /* since the tokens before */
	double more_ns;	 /* of that, above the median; never below 0 */
};

/* Calls that the engine refused as its context had no room for their tokens. It tries again with fewer, or gives up. */
struct lmm_result_refusals {
	uint64_t count;
	double total_ns; /* that these calls took */
};

struct lmm_result_steps {
	struct lmm_stats prefill; /* one value per forward pass */
	struct lmm_stats decode;
	uint64_t prefill_tokens;
	uint64_t decode_tokens;
	uint64_t prefill_first_use_count; /* passes */
	uint64_t decode_first_use_count;
	uint64_t prefill_first_use_tokens; /* part of the tokens in these */
	uint64_t decode_first_use_tokens;
	uint64_t warmup_steps;
	struct lmm_result_context_bin *bins;
	size_t n_bins;
	/* positions of the KV cache that are filled for a token, its own with them, on average; < 0: not known */
	double prefill_positions, decode_positions;
};

/* Time of kernels by layer; layer -1 holds what belongs to none (embedding, LM head, …) in other_ns. */
struct lmm_result_layer {
	int32_t layer;
	double attention_ns, mlp_ns, norm_ns, other_ns;
	double total_ns;
	double prefill_ns, decode_ns; /* the same total split by phase */
};

/* Kernels of one name (tensor name without its layer), op, role, device and phase; sorted by estimate_ns, descending. */
struct lmm_result_kernel {
	const char *name;
	const char *op;
	uint8_t role;
	const char *device;
	uint8_t phase;
	uint8_t fused;		 /* runs with the following node fused into it */
	const char *weight_type; /* "q4_1", "" if it uses no weight */
	struct lmm_stats stats;	 /* of the runs that were timed */
	uint64_t untimed;	 /* further runs, not timed to stay inside the budget */
	double estimate_ns;	 /* of all runs; equals stats.total_ns where untimed is 0 */
	double estimate_half_ns; /* half of its 95 % interval; < 0: not to be told (fewer than two timed runs) */
	uint64_t bytes; /* read + written, all runs together */
	uint64_t flops;
	uint64_t first_use_count; /* first runs, part of stats.count */
	double first_use_ns; /* host time of making it ready: its program was compiled, it was launched first */
	uint64_t weight_bytes; /* part of bytes: weights that were read */
	uint64_t cache_bytes;  /* part of bytes: KV cache, as far as the graph looked at it */
	uint64_t
		cache_positions; /* the same in positions, all runs together; 0: not FLASH_ATTN_EXT */
	double exclusive_ns; /* of the timed runs: what of them no device command covers that had begun before */
};

struct lmm_result_gap {
	uint8_t cause;
	struct lmm_stats stats;
	double unsure_ns; /* part of the total where the error of the clocks could make it another cause */
};

/* Windows in which kernels were recorded one by one, on devices where that slows the program. Their steps are apart from the statistics. */
struct lmm_result_windows {
	uint64_t count, steps, openings; /* openings: tried ones among them */
	double open_ns;
	uint64_t records, expected; /* of graphs' nodes and of what was handed over */
	uint64_t unmatched, dropped, invalid;
	double stall_ns[2], stall_max_ns[2]; /* lmmeter's own, to open and to close */
	uint64_t check_steps;		     /* 0: none of the steps was timed by events as well */
	double union_ns, pass_ns; /* of the device's work in them: by records, and by events */
};

/* All devices together. Gaps are claimed between timed commands of in-order queues, inside steps, and nowhere else. */
struct lmm_result_device {
	uint8_t seen; /* 0: no device command was recorded, the rest is 0 */
	uint64_t timed, untimed, in_flight;
	uint64_t unavailable; /* ended, but the driver gives no times */
	uint64_t failed;
	uint64_t early; /* seem to have started before they were handed over: the clocks disagree */
	double busy_ns; /* of the union over all queues, warm-ups left out */
	double clock_error_ns; /* 95 of 100 stamps were placed on the host's timeline within this */
	double clock_error_max_ns;
	uint32_t every;		/* the last steps were timed one in so many */
	double command_cost_ns; /* of making one command timeable, as calibrated; 0: not calibrated */
	double harvest_cost_ns; /* of reading its times, as measured */
	struct lmm_result_gap gaps[LMM_GAP_CAUSES];
	/* The check on cost × count: decode steps of one token, as the host brackets them, timed against not (wholly) timed. */
	uint64_t steps_timed, steps_untimed;
	double steps_percent; /* mean of the former over that of the latter; valid if half >= 0 */
	double steps_half_percent; /* half of the 95 % interval (Welch's); < 0: fewer than two of either */
	/* What handing commands over, and waiting for them, cost the program's threads; calls 0: not recorded. */
	uint64_t calls, waits;
	double calls_ns, waits_ns;
	struct lmm_result_windows windows;
};

/* Spans that programs named themselves, all of one name; sorted by their sum, descending. */
struct lmm_result_named {
	const char *name;
	struct lmm_stats stats;
};

/* With --threads all: compute threads side by side. */
struct lmm_result_thread {
	uint32_t process;
	int32_t tid;
	uint64_t operators;
	double busy_ns; /* from each operator's start on this thread to the next's; includes its barrier wait */
	double wait_ns; /* part of it after the first thread had reached the next operator's start: see docs/json.md */
};

struct lmm_result_records {
	uint64_t emitted, stored, lost, invalid;
	uint64_t dropped_detail; /* events taken out of the file by --max-size; counted in stored */
	uint64_t operators;	 /* part of stored */
};

struct lmm_result_overhead {
	double operator_ns;	 /* calibrated cost of recording one operator */
	double phase_pair_ns;	 /* … and of one begin/end pair */
	double device_ns;	 /* part of the total that device commands cost */
	double total_ns;	 /* count × cost, in the traced process */
	double percent;		 /* of the time inside steps and sampling */
	double collector_cpu_ns; /* CPU time of the lmmeter process */
	const char *method;	 /* one sentence */
};

struct lmm_result_level {
	uint8_t reached; /* enum lmm_level */
	const char **reasons;
	size_t n_reasons;
};

struct lmm_result {
	/* session */
	const char *id, *lmmeter, *command_name, *command_line, *host_os, *host_cpu;
	uint32_t host_cpus;
	uint64_t host_memory_bytes;
	uint64_t start_realtime_ns;
	double duration_ns;
	int32_t exit_status; /* as wait(2); -1 unknown */
	uint8_t clock, threads_all, embedded;
	uint8_t complete; /* 0: the recording was cut */
	double clock_error_ns;
	struct lmm_result_process *processes; /* by index */
	size_t n_processes;
	struct lmm_result_model *models;
	size_t n_models;

	struct lmm_result_phase *phases; /* in enum order; UNACCOUNTED last */
	size_t n_phases;

	struct lmm_result_request *requests; /* by id; the newest LMM_RESULT_REQUESTS_MAX */
	size_t n_requests;
	uint64_t requests_total; /* all, warm-ups not counted */
	uint64_t warmup_requests;
	struct lmm_stats ttft;
	struct lmm_stats tpot; /* one value per request */
	struct lmm_stats itl;  /* one value per token after a request's first */
	uint64_t
		itl_apart; /* such tokens that are left out, as lmmeter itself slowed their steps down */
	struct lmm_result_shifts context_shifts;
	struct lmm_result_refusals context_refusals;
	double output_tokens_per_second; /* while requests ran */
	double prompt_tokens_per_second; /* tokens computed in prefill ÷ prefill + embedding + copy time */

	struct lmm_result_steps steps;
	struct lmm_result_layer *layers; /* by layer, -1 first */
	size_t n_layers;
	struct lmm_result_kernel *kernels;
	size_t n_kernels;
	struct lmm_result_thread *threads;
	size_t n_threads;
	struct lmm_result_named *named; /* of the first 1,024 names of sites */
	size_t n_named;

	/* operators: Σ kernels + gaps + own = span, over all graph runs of first compute threads */
	double graph_span_ns, graph_kernels_ns, graph_gaps_ns, graph_own_ns;

	struct lmm_result_device device;
	struct lmm_result_records records;
	struct lmm_result_overhead overhead;
	struct lmm_result_level level;
	struct lmm_result_machine machine;
	struct lmm_result_evidence evidence;
};

#define LMM_RESULT_REQUESTS_MAX 1000

/* NULL: it was not seen. */
const struct lmm_result_phase *lmm_result_phase_find(const struct lmm_result *r, unsigned phase);

#endif
