/* SPDX-License-Identifier: Apache-2.0 */
/* From what a recording says to a cell's figures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/result.h"
#include "report/tokens.h"
#include "study/cell.h"

#define SPIKE_FACTOR  3.0
#define WINDOW_TOKENS 2u /* at least, in a tenth of the tokens */

static double known(double v)
{
	return v > 0 ? v : NAN;
}

static void times_take(struct lmm_cell *c, const struct lmm_result *r)
{
	double *f = c->figures, wall = 0, prompt = 0, output = 0;
	size_t n = 0;

	for (size_t i = 0; i < r->n_requests; i++) {
		if (r->requests[i].joined || !r->requests[i].complete)
			continue;
		wall += r->requests[i].wall_ns;
		prompt += (double)r->requests[i].prompt_tokens;
		output += (double)r->requests[i].output_tokens;
		n++;
	}
	f[LMM_FIG_TTFT] = known(r->ttft.mean_ns);
	f[LMM_FIG_TPOT] = known(r->tpot.mean_ns);
	f[LMM_FIG_ITL_P50] = known(r->itl.p50_ns);
	f[LMM_FIG_ITL_P99] = known(r->itl.p99_ns);
	f[LMM_FIG_REQUESTS] = (double)r->requests_total;
	if (n) {
		f[LMM_FIG_REQUEST] = known(wall / (double)n);
		f[LMM_FIG_PROMPT_TOKENS] = prompt / (double)n;
		f[LMM_FIG_OUTPUT_TOKENS] = output / (double)n;
	}
	if (r->steps.prefill_tokens) {
		f[LMM_FIG_PREFILL_STEP] =
			known(r->steps.prefill.total_ns / (double)r->steps.prefill_tokens);
	}
	f[LMM_FIG_DECODE_STEP] = known(r->steps.decode.p50_ns);
	f[LMM_FIG_OWN] = r->overhead.percent;
	f[LMM_FIG_LOST] = (double)r->records.lost;
	f[LMM_FIG_REFUSALS] = (double)r->context_refusals.count;
	f[LMM_FIG_SHIFTS] = (double)r->context_shifts.count;
	if (r->context_shifts.count) {
		f[LMM_FIG_SHIFT] = r->context_shifts.more_ns / (double)r->context_shifts.count;
	}
}

static void models_take(struct lmm_cell *c, const struct lmm_result *r)
{
	double load = 0;

	for (size_t i = 0; i < r->n_models; i++)
		load += r->models[i].load_ns;
	if (r->n_models == 0)
		return;
	c->figures[LMM_FIG_LOAD] = known(load);
	c->figures[LMM_FIG_MODEL] = known((double)r->models[0].size_bytes);
}

static void sensors_take(struct lmm_cell *c, const struct lmm_result *r)
{
	const struct lmm_result_machine *m = &r->machine;
	double hz = 0, heat = -HUGE_VAL;
	unsigned n_hz = 0;

	for (size_t i = 0; i < m->n_sensors; i++) {
		const struct lmm_result_sensor *s = &m->sensors[i];

		if (s->absent[0] || s->samples == 0)
			continue;
		if (s->kind == LMM_SENSOR_FREQUENCY && s->component == LMM_COMPONENT_CPU) {
			hz += s->mean;
			n_hz++;
		} else if (s->kind == LMM_SENSOR_TEMPERATURE) {
			heat = fmax(heat, s->max);
		} else if (s->kind == LMM_SENSOR_RUN_WAIT && m->sampled_ns > 0) {
			c->figures[LMM_FIG_WAITED] = 100 * s->total / m->sampled_ns;
		}
	}
	if (n_hz)
		c->figures[LMM_FIG_FREQUENCY] = hz / n_hz;
	if (heat > -300)
		c->figures[LMM_FIG_TEMPERATURE] = heat;
	c->figures[LMM_FIG_THROTTLED] = m->throttled_ns;
	if (m->energy.is_known && m->energy.output_token_uj > 0)
		c->figures[LMM_FIG_TOKEN_ENERGY] = m->energy.output_token_uj;
}

static void phases_take(struct lmm_cell *c, const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		if (p->warmup_only || p->phase >= LMM_PHASE_COUNT)
			continue;
		c->phase_ns[p->phase] = p->stats.total_ns;
		c->device_ns[p->phase] = p->device_ns;
	}
}

static void kernel_copy(struct lmm_cell_kernel *to, const struct lmm_result_kernel *k)
{
	(void)snprintf(to->name, sizeof(to->name), "%s", k->name);
	(void)snprintf(to->op, sizeof(to->op), "%s", k->op);
	(void)snprintf(to->weight_type, sizeof(to->weight_type), "%s", k->weight_type);
	to->phase = k->phase;
	to->role = k->role;
	to->count = k->stats.count + k->untimed;
	to->total_ns = k->estimate_ns;
	to->bytes = (double)k->bytes;
	to->weight_bytes = (double)k->weight_bytes;
	to->flops = (double)k->flops;
}

static void kernels_take(struct lmm_cell *c, const struct lmm_result *r)
{
	double bytes = 0;

	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];
		int is_decode = k->phase == LMM_PHASE_DECODE;

		if (k->role >= LMM_ROLE_COUNT || (!is_decode && k->phase != LMM_PHASE_PREFILL))
			continue;
		c->role_ns[is_decode][k->role] += k->estimate_ns;
		if (is_decode)
			bytes += (double)k->weight_bytes;
		if (c->n_kernels < LMM_CELL_KERNELS_MAX)
			kernel_copy(&c->kernels[c->n_kernels++], k);
	}
	if (r->steps.decode_tokens && bytes > 0)
		c->figures[LMM_FIG_TOKEN_BYTES] = bytes / (double)r->steps.decode_tokens;
}

static void device_take(struct lmm_cell *c, const struct lmm_result *r)
{
	double gaps = 0;

	if (!r->device.seen)
		return;
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		c->gap_ns[r->device.gaps[i].cause] += r->device.gaps[i].stats.total_ns;
		gaps += r->device.gaps[i].stats.total_ns;
	}
	if (r->device.busy_ns + gaps > 0)
		c->figures[LMM_FIG_IDLE] = 100 * gaps / (r->device.busy_ns + gaps);
}

/* ---- tokens one by one -------------------------------------------------------------------------- */

/* The longest are kept, the longest first. */
static void spike_add(struct lmm_cell *c, uint64_t token, double itl_ns)
{
	uint32_t at = c->n_spikes;

	c->spikes_total++;
	while (at > 0 && c->spikes[at - 1].itl_ns < itl_ns)
		at--;
	if (at == LMM_CELL_SPIKES_MAX)
		return;
	if (c->n_spikes < LMM_CELL_SPIKES_MAX)
		c->n_spikes++;
	memmove(&c->spikes[at + 1], &c->spikes[at], (c->n_spikes - at - 1) * sizeof(c->spikes[0]));
	c->spikes[at] = (struct lmm_cell_spike){ token, itl_ns };
}

static void tokens_take(struct lmm_cell *c, const struct lmm_tokens *t)
{
	double sums[LMM_CELL_WINDOWS] = { 0 }, limit = SPIKE_FACTOR * c->figures[LMM_FIG_ITL_P50];
	uint64_t counts[LMM_CELL_WINDOWS] = { 0 }, all = 0, at = 0;

	for (size_t s = 0; s < t->n; s++)
		all += t->series[s].n;
	for (size_t s = 0; s < t->n; s++) {
		for (size_t i = 0; i < t->series[s].n; i++, at++) {
			const struct lmm_token_point *p = &t->series[s].points[i];
			uint64_t w = at * LMM_CELL_WINDOWS / all;

			sums[w] += (double)p->itl_ns;
			counts[w]++;
			if ((double)p->itl_ns > limit)
				spike_add(c, p->token, (double)p->itl_ns);
		}
	}
	if (all < (uint64_t)WINDOW_TOKENS * LMM_CELL_WINDOWS)
		return;
	for (unsigned w = 0; w < LMM_CELL_WINDOWS; w++)
		c->windows[w] = counts[w] ? sums[w] / (double)counts[w] : 0;
}

void lmm_cell_take(struct lmm_cell *c, const struct lmm_result *r, const struct lmm_tokens *tokens)
{
	times_take(c, r);
	models_take(c, r);
	sensors_take(c, r);
	phases_take(c, r);
	kernels_take(c, r);
	device_take(c, r);
	if (tokens)
		tokens_take(c, tokens);
	if (r->n_processes) {
		(void)snprintf(c->engine, sizeof(c->engine), "%.40s %.50s",
			       r->processes[0].engine_name, r->processes[0].engine_version);
	}
	for (size_t i = 0; i < r->n_processes; i++) {
		if (r->processes[i].engine_name[0]) {
			(void)snprintf(c->engine, sizeof(c->engine), "%.40s %.50s",
				       r->processes[i].engine_name, r->processes[i].engine_version);
			break;
		}
	}
	c->level = r->level.reached;
	c->status = r->requests_total || r->steps.decode_tokens || r->steps.prefill_tokens
			    ? LMM_CELL_OK
			    : LMM_CELL_NO_ENGINE;
	if (c->status == LMM_CELL_NO_ENGINE) {
		(void)snprintf(
			c->reason, sizeof(c->reason),
			"no forward pass of an engine was seen: lmmeter doctor -- COMMAND says why");
	}
}
