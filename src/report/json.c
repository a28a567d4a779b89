/* SPDX-License-Identifier: Apache-2.0 */
/* docs/json.md and docs/report.schema.json say what is written here; a test holds the three together. */
#include "base/compiler.h"
#include "report/findings.h"
#include "report/json_sensors.h"
#include "report/json_writer.h"
#include "report/report.h"

#include <inttypes.h>
#include <sys/wait.h>
#include <time.h>

#include "report/format.h"

static void put_stats_values(struct lmm_json *j, const struct lmm_stats *s)
{
	lmm_json_u64(j, "count", s->count);
	lmm_json_ns(j, "total_ns", s->total_ns);
	lmm_json_ns(j, "mean_ns", s->mean_ns);
	lmm_json_ns(j, "min_ns", s->min_ns);
	lmm_json_ns(j, "p50_ns", s->p50_ns);
	lmm_json_ns(j, "p95_ns", s->p95_ns);
	lmm_json_ns(j, "p99_ns", s->p99_ns);
	lmm_json_ns(j, "max_ns", s->max_ns);
}

static void put_stats(struct lmm_json *j, const char *key, const struct lmm_stats *s)
{
	lmm_json_row_begin(j, key);
	put_stats_values(j, s);
	lmm_json_object_end(j);
}

static void put_ns_or_null(struct lmm_json *j, const char *key, double ns, int known)
{
	if (known) {
		lmm_json_ns(j, key, ns);
	} else {
		lmm_json_null(j, key);
	}
}

/* ---- session ------------------------------------------------------------------------------------ */

static void put_engine(struct lmm_json *j, const struct lmm_result_process *p)
{
	if (!p || !p->engine_name[0]) {
		lmm_json_null(j, "engine");
		return;
	}
	lmm_json_row_begin(j, "engine");
	lmm_json_string(j, "name", p->engine_name);
	lmm_json_string(j, "version", p->engine_version);
	lmm_json_object_end(j);
}

static const struct lmm_result_process *first_engine(const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		if (r->processes[i].engine_name[0])
			return &r->processes[i];
	}
	return NULL;
}

static void put_processes(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "processes");
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct lmm_result_process *p = &r->processes[i];

		lmm_json_object_begin(j, NULL);
		lmm_json_u64(j, "process", p->process);
		lmm_json_i64(j, "pid", p->pid);
		lmm_json_i64(j, "parent_pid", p->parent_pid);
		lmm_json_string(j, "name", p->name);
		put_engine(j, p);
		lmm_json_string(j, "door", p->door);
		lmm_json_u64(j, "start_ns", p->start_ns);
		lmm_json_u64(j, "end_ns", p->end_ns);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_model_values(struct lmm_json *j, const struct lmm_result_model *m)
{
	lmm_json_u64(j, "process", m->process);
	lmm_json_string(j, "name", m->name);
	lmm_json_string(j, "description", m->description);
	lmm_json_string(j, "architecture", m->architecture);
	lmm_json_string(j, "quantization", m->quantization);
	lmm_json_string(j, "file", m->file);
	lmm_json_u64(j, "size_bytes", m->size_bytes);
	lmm_json_u64(j, "parameters", m->parameters);
	lmm_json_u64(j, "layers", m->layers);
	lmm_json_u64(j, "vocabulary", m->vocabulary);
	lmm_json_u64(j, "embedding", m->embedding);
	lmm_json_u64(j, "loads", m->loads);
	lmm_json_ns(j, "load_ns", m->load_ns);
	lmm_json_u64(j, "minor_faults", m->minor_faults);
	lmm_json_u64(j, "major_faults", m->major_faults);
}

static void put_models(struct lmm_json *j, const struct lmm_result *r)
{
	if (r->n_models > 0) {
		lmm_json_object_begin(j, "model");
		put_model_values(j, &r->models[0]);
		lmm_json_object_end(j);
	} else {
		lmm_json_null(j, "model");
	}
	lmm_json_array_begin(j, "models");
	for (size_t i = 0; i < r->n_models; i++) {
		lmm_json_object_begin(j, NULL);
		put_model_values(j, &r->models[i]);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_exit(struct lmm_json *j, int32_t status)
{
	if (status >= 0 && WIFEXITED(status)) {
		lmm_json_i64(j, "exit_status", WEXITSTATUS(status));
	} else {
		lmm_json_null(j, "exit_status");
	}
	if (status >= 0 && WIFSIGNALED(status)) {
		lmm_json_i64(j, "exit_signal", WTERMSIG(status));
	} else {
		lmm_json_null(j, "exit_signal");
	}
}

/* start_realtime_ns is larger than a double holds exactly, so it is also there as text. */
static void put_start_time(struct lmm_json *j, uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	char date[32], text[48];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
		lmm_json_null(j, "start_time");
		return;
	}
	(void)snprintf(text, sizeof(text), "%s.%09" PRIu64 "Z", date, realtime_ns % 1000000000u);
	lmm_json_string(j, "start_time", text);
}

static void put_session(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_object_begin(j, "session");
	lmm_json_string(j, "id", r->id);
	lmm_json_string(j, "lmmeter_version", r->lmmeter);
	lmm_json_string(j, "command_name", r->command_name);
	lmm_json_string(j, "command_line", r->command_line);
	put_start_time(j, r->start_realtime_ns);
	lmm_json_u64(j, "start_realtime_ns", r->start_realtime_ns);
	lmm_json_ns(j, "duration_ns", r->duration_ns);
	put_exit(j, r->exit_status);
	lmm_json_bool(j, "complete", r->complete);
	lmm_json_bool(j, "embedded", r->embedded);
	lmm_json_bool(j, "threads_all", r->threads_all);
	lmm_json_string(j, "clock", lmm_clock_name(r->clock));
	lmm_json_ns(j, "clock_error_ns", r->clock_error_ns);
	lmm_json_row_begin(j, "host");
	lmm_json_string(j, "os", r->host_os);
	lmm_json_string(j, "cpu", r->host_cpu);
	lmm_json_u64(j, "cpus", r->host_cpus);
	lmm_json_u64(j, "memory_bytes", r->host_memory_bytes);
	lmm_json_object_end(j);
	put_engine(j, first_engine(r));
	put_models(j, r);
	put_processes(j, r);
	lmm_json_object_end(j);
}

/* ---- what took the time ------------------------------------------------------------------------- */

static void put_phases(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "phases");
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "phase", lmm_phase_name(p->phase));
		put_stats_values(j, &p->stats);
		if (p->share_percent >= 0) {
			lmm_json_double(j, "share_percent", p->share_percent, 6);
		} else {
			lmm_json_null(j, "share_percent");
		}
		put_ns_or_null(j, "host_ns", p->host_ns, p->host_ns > 0);
		put_ns_or_null(j, "device_ns", p->device_ns, p->device_ns > 0);
		lmm_json_ns(j, "estimated_ns", p->estimated_ns);
		lmm_json_ns(j, "first_use_ns", p->first_use_ns);
		lmm_json_u64(j, "first_use_count", p->first_use_count);
		lmm_json_bool(j, "warmup_only", p->warmup_only);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_tokens(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_object_begin(j, "tokens");
	put_stats(j, "ttft", &r->ttft);
	put_stats(j, "tpot", &r->tpot);
	put_stats(j, "itl", &r->itl);
	lmm_json_double(j, "output_tokens_per_second", r->output_tokens_per_second, 6);
	lmm_json_double(j, "prompt_tokens_per_second", r->prompt_tokens_per_second, 6);
	lmm_json_object_end(j);
}

static void put_request(struct lmm_json *j, const struct lmm_result_request *q)
{
	lmm_json_object_begin(j, NULL);
	lmm_json_u64(j, "id", q->id);
	lmm_json_u64(j, "process", q->process);
	lmm_json_u64(j, "context", q->context);
	if (q->seq == LMM_SEQ_NONE) {
		lmm_json_null(j, "seq");
	} else {
		lmm_json_u64(j, "seq", q->seq);
	}
	lmm_json_bool(j, "complete", q->complete);
	lmm_json_bool(j, "joined", q->joined);
	lmm_json_u64(j, "start_ns", q->start_ns);
	lmm_json_u64(j, "prompt_tokens", q->prompt_tokens);
	lmm_json_u64(j, "cached_tokens", q->cached_tokens);
	lmm_json_u64(j, "output_tokens", q->output_tokens);
	lmm_json_u64(j, "prefill_steps", q->prefill_steps);
	lmm_json_u64(j, "decode_steps", q->decode_steps);
	put_ns_or_null(j, "ttft_ns", q->ttft_ns, q->ttft_ns >= 0);
	put_ns_or_null(j, "tpot_ns", q->tpot_ns, q->tpot_ns >= 0);
	lmm_json_u64(j, "context_shifts", q->context_shifts);
	lmm_json_u64(j, "context_refusals", q->context_refusals);
	lmm_json_ns(j, "wall_ns", q->wall_ns);
	lmm_json_ns(j, "unaccounted_ns", q->unaccounted_ns);
	lmm_json_array_begin(j, "phases");
	for (size_t i = 0; i < q->n_phases; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "phase", lmm_phase_name(q->phases[i].phase));
		lmm_json_u64(j, "count", q->phases[i].count);
		lmm_json_ns(j, "total_ns", q->phases[i].total_ns);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_shifts(struct lmm_json *j, const struct lmm_result_shifts *s)
{
	lmm_json_row_begin(j, "context_shifts");
	lmm_json_u64(j, "count", s->count);
	lmm_json_u64(j, "tokens", s->tokens);
	lmm_json_ns(j, "total_ns", s->total_ns);
	lmm_json_ns(j, "more_ns", s->more_ns);
	lmm_json_object_end(j);
}

static void put_refusals(struct lmm_json *j, const struct lmm_result_refusals *x)
{
	lmm_json_row_begin(j, "context_refusals");
	lmm_json_u64(j, "count", x->count);
	lmm_json_ns(j, "total_ns", x->total_ns);
	lmm_json_object_end(j);
}

static void put_requests(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_row_begin(j, "requests_summary");
	lmm_json_u64(j, "total", r->requests_total);
	lmm_json_u64(j, "shown", r->n_requests);
	lmm_json_u64(j, "warmup", r->warmup_requests);
	lmm_json_object_end(j);
	put_shifts(j, &r->context_shifts);
	put_refusals(j, &r->context_refusals);
	lmm_json_array_begin(j, "requests");
	for (size_t i = 0; i < r->n_requests; i++)
		put_request(j, &r->requests[i]);
	lmm_json_array_end(j);
}

static void put_passes(struct lmm_json *j, const char *key, const struct lmm_stats *s,
		       uint64_t first_use_count)
{
	lmm_json_row_begin(j, key);
	put_stats_values(j, s);
	lmm_json_u64(j, "first_use_count", first_use_count);
	lmm_json_object_end(j);
}

static void put_steps(struct lmm_json *j, const struct lmm_result_steps *s)
{
	lmm_json_object_begin(j, "steps");
	lmm_json_u64(j, "prefill_tokens", s->prefill_tokens);
	lmm_json_u64(j, "decode_tokens", s->decode_tokens);
	lmm_json_u64(j, "warmup_steps", s->warmup_steps);
	put_passes(j, "prefill", &s->prefill, s->prefill_first_use_count);
	put_passes(j, "decode", &s->decode, s->decode_first_use_count);
	lmm_json_array_begin(j, "by_context");
	for (size_t i = 0; i < s->n_bins; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_u64(j, "context_from", s->bins[i].context_from);
		lmm_json_u64(j, "context_to", s->bins[i].context_to);
		put_stats_values(j, &s->bins[i].stats);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_layers(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "layers");
	for (size_t i = 0; i < r->n_layers; i++) {
		const struct lmm_result_layer *l = &r->layers[i];

		lmm_json_row_begin(j, NULL);
		lmm_json_i64(j, "layer", l->layer);
		lmm_json_ns(j, "attention_ns", l->attention_ns);
		lmm_json_ns(j, "mlp_ns", l->mlp_ns);
		lmm_json_ns(j, "norm_ns", l->norm_ns);
		lmm_json_ns(j, "other_ns", l->other_ns);
		lmm_json_ns(j, "total_ns", l->total_ns);
		lmm_json_ns(j, "prefill_ns", l->prefill_ns);
		lmm_json_ns(j, "decode_ns", l->decode_ns);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_kernels(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "kernels");
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];

		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "name", k->name);
		lmm_json_string(j, "op", k->op);
		lmm_json_string(j, "role", lmm_role_name(k->role));
		lmm_json_string(j, "device", k->device);
		lmm_json_string(j, "phase", lmm_phase_name(k->phase));
		lmm_json_bool(j, "fused", k->fused);
		lmm_json_string(j, "weight_type", k->weight_type);
		put_stats_values(j, &k->stats);
		lmm_json_ns(j, "first_use_ns", k->first_use_ns);
		lmm_json_ns(j, "exclusive_ns", k->exclusive_ns);
		lmm_json_u64(j, "first_use_count", k->first_use_count);
		lmm_json_u64(j, "untimed", k->untimed);
		lmm_json_ns(j, "estimate_ns", k->estimate_ns);
		put_ns_or_null(j, "estimate_half_ns", k->estimate_half_ns,
			       k->estimate_half_ns >= 0);
		lmm_json_u64(j, "bytes", k->bytes);
		lmm_json_u64(j, "flops", k->flops);
		lmm_json_u64(j, "weight_bytes", k->weight_bytes);
		lmm_json_u64(j, "cache_bytes", k->cache_bytes);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_threads(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "threads");
	for (size_t i = 0; i < r->n_threads; i++) {
		const struct lmm_result_thread *t = &r->threads[i];

		lmm_json_row_begin(j, NULL);
		lmm_json_u64(j, "process", t->process);
		lmm_json_i64(j, "tid", t->tid);
		lmm_json_u64(j, "operators", t->operators);
		lmm_json_ns(j, "busy_ns", t->busy_ns);
		lmm_json_ns(j, "wait_ns", t->wait_ns);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_spans(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "spans");
	for (size_t i = 0; i < r->n_named; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "name", r->named[i].name);
		put_stats_values(j, &r->named[i].stats);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

/* ---- how far it can be trusted ------------------------------------------------------------------ */

static void put_graphs(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_row_begin(j, "graphs");
	lmm_json_ns(j, "span_ns", r->graph_span_ns);
	lmm_json_ns(j, "kernels_ns", r->graph_kernels_ns);
	lmm_json_ns(j, "gaps_ns", r->graph_gaps_ns);
	lmm_json_ns(j, "own_ns", r->graph_own_ns);
	lmm_json_object_end(j);
}

static void put_gap_causes(struct lmm_json *j, const struct lmm_result_device *d)
{
	lmm_json_array_begin(j, "gaps");
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		if (d->gaps[i].stats.count == 0)
			continue;
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "cause", lmm_gap_name(d->gaps[i].cause));
		put_stats_values(j, &d->gaps[i].stats);
		lmm_json_ns(j, "unsure_ns", d->gaps[i].unsure_ns);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_idle_phase(struct lmm_json *j, const struct lmm_result *r, unsigned phase)
{
	const struct lmm_result_phase *p = lmm_result_phase_find(r, phase);
	const struct lmm_result_idle *idle = r->evidence.idle[phase];
	double all = p && !p->warmup_only ? p->device_ns : 0;

	for (unsigned c = 0; c < LMM_GAP_CAUSES; c++)
		all += idle[c].total_ns;
	for (unsigned c = 0; c < LMM_GAP_CAUSES; c++) {
		if (idle[c].count == 0)
			continue;
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "phase", lmm_phase_name(phase));
		lmm_json_string(j, "cause", lmm_gap_name(c));
		lmm_json_u64(j, "count", idle[c].count);
		lmm_json_ns(j, "total_ns", idle[c].total_ns);
		lmm_json_double(j, "share_percent", 100 * idle[c].total_ns / all, 6);
		lmm_json_u64(j, "start_ns", idle[c].longest.start_ns);
		lmm_json_u64(j, "end_ns", idle[c].longest.end_ns);
		lmm_json_object_end(j);
	}
}

static void put_idle(struct lmm_json *j, const struct lmm_result *r)
{
	lmm_json_array_begin(j, "idle");
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++)
		put_idle_phase(j, r, p);
	lmm_json_array_end(j);
}

static void put_stall(struct lmm_json *j, const char *key, const struct lmm_result_windows *w,
		      unsigned which)
{
	lmm_json_row_begin(j, key);
	lmm_json_ns(j, "total_ns", w->stall_ns[which]);
	lmm_json_ns(j, "max_ns", w->stall_max_ns[which]);
	lmm_json_object_end(j);
}

static void put_windows(struct lmm_json *j, const struct lmm_result_device *d)
{
	const struct lmm_result_windows *w = &d->windows;

	if (!w->count && !w->openings) {
		lmm_json_null(j, "windows");
		return;
	}
	lmm_json_object_begin(j, "windows");
	lmm_json_u64(j, "count", w->count);
	lmm_json_u64(j, "steps", w->steps);
	lmm_json_ns(j, "open_ns", w->open_ns);
	lmm_json_u64(j, "records", w->records);
	lmm_json_u64(j, "expected", w->expected);
	lmm_json_u64(j, "unmatched", w->unmatched);
	lmm_json_u64(j, "dropped", w->dropped);
	lmm_json_u64(j, "invalid", w->invalid);
	put_stall(j, "attach", w, 0);
	put_stall(j, "detach", w, 1);
	lmm_json_u64(j, "check_steps", w->check_steps);
	put_ns_or_null(j, "records_union_ns", w->union_ns, w->check_steps > 0);
	put_ns_or_null(j, "events_ns", w->pass_ns, w->check_steps > 0);
	lmm_json_object_end(j);
}

static void put_calls(struct lmm_json *j, const struct lmm_result_device *d)
{
	if (!d->calls && !d->waits) {
		lmm_json_null(j, "calls");
		return;
	}
	lmm_json_row_begin(j, "calls");
	lmm_json_u64(j, "count", d->calls);
	lmm_json_ns(j, "total_ns", d->calls_ns);
	lmm_json_u64(j, "waits", d->waits);
	lmm_json_ns(j, "wait_ns", d->waits_ns);
	lmm_json_object_end(j);
}

static void put_device(struct lmm_json *j, const struct lmm_result *r)
{
	const struct lmm_result_device *d = &r->device;

	if (!d->seen) {
		lmm_json_null(j, "device");
		return;
	}
	lmm_json_object_begin(j, "device");
	lmm_json_ns(j, "busy_ns", d->busy_ns);
	put_gap_causes(j, d);
	put_idle(j, r);
	lmm_json_u64(j, "timed", d->timed);
	lmm_json_u64(j, "untimed", d->untimed);
	lmm_json_u64(j, "in_flight", d->in_flight);
	lmm_json_u64(j, "unavailable", d->unavailable);
	lmm_json_u64(j, "failed", d->failed);
	lmm_json_u64(j, "early", d->early);
	lmm_json_u64(j, "every", d->every);
	lmm_json_ns(j, "clock_error_ns", d->clock_error_ns);
	lmm_json_ns(j, "clock_error_max_ns", d->clock_error_max_ns);
	put_ns_or_null(j, "command_cost_ns", d->command_cost_ns, d->command_cost_ns > 0);
	lmm_json_ns(j, "harvest_cost_ns", d->harvest_cost_ns);
	lmm_json_row_begin(j, "step_check");
	lmm_json_u64(j, "timed", d->steps_timed);
	lmm_json_u64(j, "untimed", d->steps_untimed);
	if (d->steps_half_percent >= 0) {
		lmm_json_double(j, "slower_percent", d->steps_percent, 6);
		lmm_json_double(j, "half_percent", d->steps_half_percent, 6);
	} else {
		lmm_json_null(j, "slower_percent");
		lmm_json_null(j, "half_percent");
	}
	lmm_json_object_end(j);
	put_calls(j, d);
	put_windows(j, d);
	lmm_json_object_end(j);
}

static void put_records(struct lmm_json *j, const struct lmm_result_records *c)
{
	lmm_json_row_begin(j, "records");
	lmm_json_u64(j, "emitted", c->emitted);
	lmm_json_u64(j, "stored", c->stored);
	lmm_json_u64(j, "lost", c->lost);
	lmm_json_u64(j, "invalid", c->invalid);
	lmm_json_u64(j, "dropped_detail", c->dropped_detail);
	lmm_json_u64(j, "operators", c->operators);
	lmm_json_object_end(j);
}

static void put_overhead(struct lmm_json *j, const struct lmm_result_overhead *o)
{
	lmm_json_object_begin(j, "overhead");
	lmm_json_ns(j, "operator_ns", o->operator_ns);
	lmm_json_ns(j, "phase_pair_ns", o->phase_pair_ns);
	lmm_json_ns(j, "device_ns", o->device_ns);
	lmm_json_ns(j, "total_ns", o->total_ns);
	lmm_json_double(j, "percent", o->percent, 6);
	lmm_json_ns(j, "collector_cpu_ns", o->collector_cpu_ns);
	lmm_json_string(j, "method", o->method);
	lmm_json_object_end(j);
}

static void put_word(struct lmm_json *j, const char *key, const char *word)
{
	if (word[0]) {
		lmm_json_string(j, key, word);
	} else {
		lmm_json_null(j, key);
	}
}

static void put_span(struct lmm_json *j, const struct lmm_result_span *s)
{
	if (s->end_ns) {
		lmm_json_u64(j, "start_ns", s->start_ns);
		lmm_json_u64(j, "end_ns", s->end_ns);
	} else {
		lmm_json_null(j, "start_ns");
		lmm_json_null(j, "end_ns");
	}
}

static void put_numbers(struct lmm_json *j, const struct lmm_finding *f)
{
	lmm_json_object_begin(j, "numbers");
	for (unsigned i = 0; i < f->n_numbers; i++)
		lmm_json_double(j, f->numbers[i].name, f->numbers[i].value, 3);
	lmm_json_object_end(j);
}

static void put_findings(struct lmm_json *j, const struct lmm_result *r)
{
	struct lmm_finding found[LMM_FINDINGS_MAX];
	size_t n = lmm_findings(r, NULL, 0, found, LMM_ARRAY_SIZE(found));

	lmm_json_array_begin(j, "findings");
	for (size_t i = 0; i < n; i++) {
		const struct lmm_finding *f = &found[i];
		char what[LMM_FINDING_BYTES];

		lmm_finding_say(f, what, sizeof(what));
		lmm_json_object_begin(j, NULL);
		lmm_json_string(j, "id", lmm_finding_name((enum lmm_finding_kind)f->kind));
		lmm_json_string(j, "sentence", what);
		put_word(j, "phase", f->phase == LMM_PHASE_NONE ? "" : lmm_phase_name(f->phase));
		put_word(j, "cause", f->cause);
		put_word(j, "operator", f->kernel);
		lmm_json_ns(j, "time_ns", f->ns);
		lmm_json_double(j, "share_percent", f->share_percent, 6);
		put_span(j, &f->span);
		put_numbers(j, f);
		lmm_json_string(j, "certainty",
				lmm_certainty_name((enum lmm_certainty)f->certainty));
		lmm_json_string(j, "next_step", lmm_finding_advice(f));
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_level(struct lmm_json *j, const struct lmm_result_level *l)
{
	lmm_json_object_begin(j, "level");
	lmm_json_string(j, "reached", lmm_level_name(l->reached));
	lmm_json_array_begin(j, "reasons");
	for (size_t i = 0; i < l->n_reasons; i++)
		lmm_json_string(j, NULL, l->reasons[i]);
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

void lmm_report_json(const struct lmm_result *r, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.report/1");
	put_session(&j, r);
	put_phases(&j, r);
	put_tokens(&j, r);
	put_findings(&j, r);
	put_requests(&j, r);
	put_steps(&j, &r->steps);
	put_layers(&j, r);
	put_kernels(&j, r);
	put_threads(&j, r);
	put_spans(&j, r);
	put_graphs(&j, r);
	put_device(&j, r);
	lmm_json_sensors(&j, &r->machine);
	put_records(&j, &r->records);
	put_overhead(&j, &r->overhead);
	put_level(&j, &r->level);
	lmm_json_object_end(&j);
}
