/* SPDX-License-Identifier: Apache-2.0 */
#include "study/cell.h"

#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "report/json_writer.h"

const struct lmm_figure_about lmm_figures[LMM_FIGURES] = {
	[LMM_FIG_TTFT] = { "ttft_ns", "time to first token", "ns", 0, -1 },
	[LMM_FIG_TPOT] = { "tpot_ns", "time per output token", "ns", 0, -1 },
	[LMM_FIG_ITL_P50] = { "itl_p50_ns", "between tokens, median", "ns", 0, -1 },
	[LMM_FIG_ITL_P99] = { "itl_p99_ns", "between tokens, p99", "ns", 0, -1 },
	[LMM_FIG_REQUEST] = { "request_ns", "whole request", "ns", 0, -1 },
	[LMM_FIG_PROCESS] = { "process_ns", "whole command", "ns", 0, -1 },
	[LMM_FIG_LOAD] = { "load_ns", "loading the model", "ns", 0, -1 },
	[LMM_FIG_PREFILL_STEP] = { "prefill_token_ns", "prefill, per prompt token", "ns", 0, -1 },
	[LMM_FIG_DECODE_STEP] = { "decode_step_ns", "decode pass, median", "ns", 0, -1 },
	[LMM_FIG_PROMPT_TOKENS] = { "prompt_tokens", "prompt tokens", "", 3, 0 },
	[LMM_FIG_OUTPUT_TOKENS] = { "output_tokens", "output tokens", "", 3, 0 },
	[LMM_FIG_REQUESTS] = { "requests", "requests", "", 0, 0 },
	[LMM_FIG_MEMORY] = { "memory_bytes", "peak memory", "bytes", 0, -1 },
	[LMM_FIG_MODEL] = { "model_bytes", "model", "bytes", 0, -1 },
	[LMM_FIG_TOKEN_ENERGY] = { "token_energy_uj", "energy per output token", "uJ", 3, -1 },
	[LMM_FIG_FREQUENCY] = { "frequency_hz", "CPU frequency, mean", "Hz", 0, 0 },
	[LMM_FIG_TEMPERATURE] = { "temperature_celsius", "temperature, highest", "celsius", 1, 0 },
	[LMM_FIG_THROTTLED] = { "throttled_ns", "throttled", "ns", 0, -1 },
	[LMM_FIG_WAITED] = { "waited_percent", "waited for a core", "percent", 4, 0 },
	[LMM_FIG_OWN] = { "own_percent", "lmmeter's own cost", "percent", 4, 0 },
	[LMM_FIG_LOST] = { "lost_records", "records lost", "", 0, 0 },
	[LMM_FIG_IDLE] = { "device_idle_percent", "device idle", "percent", 3, -1 },
	[LMM_FIG_REFUSALS] = { "context_refusals", "calls without room", "", 0, 0 },
	[LMM_FIG_SHIFTS] = { "context_shifts", "context shifts", "", 0, 0 },
	[LMM_FIG_SHIFT] = { "context_shift_ns", "a context shift, beyond a usual token", "ns", 0,
			    -1 },
	[LMM_FIG_TOKEN_BYTES] = { "token_weight_bytes", "weights read per token", "bytes", 0, 0 },
	[LMM_FIG_MBU] = { "mbu_percent", "memory bandwidth used", "percent", 3, 0 },
};

const char *lmm_cell_status_name(unsigned status)
{
	static const char *const names[LMM_CELL_STATUSES] = { "missing", "ok",	      "failed",
							      "timeout", "no_engine", "refused" };

	return status < LMM_CELL_STATUSES ? names[status] : "?";
}

void lmm_cell_init(struct lmm_cell *c, uint32_t condition, uint32_t block)
{
	memset(c, 0, sizeof(*c));
	c->condition = condition;
	c->block = block;
	for (unsigned i = 0; i < LMM_FIGURES; i++)
		c->figures[i] = NAN;
}

static void write_kernel(struct lmm_json *j, const struct lmm_cell_kernel *k)
{
	lmm_json_row_begin(j, NULL);
	lmm_json_string(j, "name", k->name);
	lmm_json_string(j, "op", k->op);
	lmm_json_string(j, "weight_type", k->weight_type);
	lmm_json_u64(j, "phase", k->phase);
	lmm_json_u64(j, "role", k->role);
	lmm_json_u64(j, "count", k->count);
	lmm_json_ns(j, "total_ns", k->total_ns);
	lmm_json_double(j, "bytes", k->bytes, 0);
	lmm_json_double(j, "weight_bytes", k->weight_bytes, 0);
	lmm_json_double(j, "flops", k->flops, 0);
	lmm_json_object_end(j);
}

static void write_numbers(struct lmm_json *j, const char *key, const double *v, unsigned n)
{
	lmm_json_array_begin(j, key);
	for (unsigned i = 0; i < n; i++)
		lmm_json_ns(j, NULL, v[i]);
	lmm_json_array_end(j);
}

static void write_detail(struct lmm_json *j, const struct lmm_cell *c)
{
	lmm_json_row_begin(j, "parts");
	write_numbers(j, "phase_ns", c->phase_ns, LMM_PHASE_COUNT);
	write_numbers(j, "device_ns", c->device_ns, LMM_PHASE_COUNT);
	write_numbers(j, "prefill_role_ns", c->role_ns[0], LMM_ROLE_COUNT);
	write_numbers(j, "decode_role_ns", c->role_ns[1], LMM_ROLE_COUNT);
	write_numbers(j, "gap_ns", c->gap_ns, LMM_GAP_CAUSES);
	write_numbers(j, "window_itl_ns", c->windows, LMM_CELL_WINDOWS);
	lmm_json_object_end(j);
	lmm_json_u64(j, "spikes_total", c->spikes_total);
	lmm_json_array_begin(j, "spikes");
	for (uint32_t i = 0; i < c->n_spikes; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_u64(j, "token", c->spikes[i].token);
		lmm_json_ns(j, "itl_ns", c->spikes[i].itl_ns);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_array_begin(j, "kernels");
	for (uint32_t i = 0; i < c->n_kernels; i++)
		write_kernel(j, &c->kernels[i]);
	lmm_json_array_end(j);
}

void lmm_cell_write(const struct lmm_cell *c, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", LMM_CELL_SCHEMA);
	lmm_json_u64(&j, "condition", c->condition);
	lmm_json_u64(&j, "block", c->block);
	lmm_json_u64(&j, "position", c->position);
	lmm_json_string(&j, "status", lmm_cell_status_name(c->status));
	lmm_json_u64(&j, "naps", c->naps);
	lmm_json_string(&j, "reason", c->reason);
	lmm_json_u64(&j, "start_realtime_ns", c->start_realtime_ns);
	lmm_json_string(&j, "engine", c->engine);
	lmm_json_u64(&j, "level", c->level);
	lmm_json_object_begin(&j, "figures");
	for (unsigned i = 0; i < LMM_FIGURES; i++)
		lmm_json_double(&j, lmm_figures[i].key, c->figures[i], 4);
	lmm_json_object_end(&j);
	write_detail(&j, c);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
