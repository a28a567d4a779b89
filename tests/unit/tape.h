/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A synthetic session, written down event by event: the clock is CLOCK_MONOTONIC, so ticks are nanoseconds and every
 * expected figure can be worked out by hand. Played into an analysis as a whole or cut anywhere.
 */
#ifndef LMM_TESTS_TAPE_H
#define LMM_TESTS_TAPE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/state.h"
#include "base/bytes.h"

#define TAPE_MAX     65536
#define TAPE_SENSORS 8

struct tape_entry {
	struct lmm_item item; /* EVENTS: one event, in ev; SAMPLES: in sample */
	struct lmm_event ev;
	struct lmm_sample sample[TAPE_SENSORS];
};

struct tape {
	struct tape_entry *entries;
	size_t n;
	uint64_t t; /* of the next event */
	uint32_t stream;
	uint32_t epoch;
};

static inline void tape_free(struct tape *p)
{
	free(p->entries);
	p->entries = NULL;
}

static inline struct lmm_item *tape_item(struct tape *p, enum lmm_item_kind kind)
{
	struct tape_entry *e;

	if (!p->entries)
		p->entries = calloc(TAPE_MAX, sizeof(*p->entries));
	assert_non_null(p->entries);
	assert_true(p->n < TAPE_MAX);
	e = &p->entries[p->n++];
	memset(e, 0, sizeof(*e));
	e->item.kind = kind;
	return &e->item;
}

static inline void tape_process(struct tape *p, uint32_t process, const char *name,
				uint32_t op_cost_ps)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_PROCESS);

	it->process = (struct lmm_process){ .process = process,
					    .pid = 100 + (int)process,
					    .name = name,
					    .engine_name = "llama.cpp",
					    .engine_version = "",
					    .door = "preload",
					    .op_cost_ps = op_cost_ps,
					    .pair_cost_ps = 50000 };
}

static inline void tape_stream(struct tape *p, uint32_t stream, uint32_t process)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_STREAM);

	it->stream = (struct lmm_stream){ .stream = stream,
					  .process = process,
					  .tid = 1000 + (int)stream };
}

static inline void tape_clock(struct tape *p, uint64_t ticks)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_CLOCK);

	it->clock = (struct lmm_clock){ .ticks = ticks, .mono_ns = ticks, .error_ns = 0 };
}

/* SESSION, two CLOCKs, process 0 with streams 0 and 1. */
static inline void tape_begin(struct tape *p, const char *name, uint32_t op_cost_ps)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_SESSION);

	it->session = (struct lmm_session){ .id = "0123456789abcdef0123456789abcdef",
					    .lmmeter = "0",
					    .command_name = name,
					    .command_line = name,
					    .host_os = "",
					    .host_cpu = "" };
	tape_clock(p, 1000);
	tape_clock(p, 2000);
	tape_process(p, 0, name, op_cost_ps);
	tape_stream(p, 0, 0);
	tape_stream(p, 1, 0);
}

static inline struct lmm_event *tape_event(struct tape *p, uint64_t t, unsigned type)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_EVENTS);
	struct tape_entry *e = &p->entries[p->n - 1];

	e->ev.t = t;
	e->ev.type = (uint8_t)type;
	e->ev.seq = LMM_SEQ_NONE;
	it->events.stream = p->stream;
	it->events.n = 1;
	return &e->ev;
}

static inline void tape_phase(struct tape *p, uint64_t t, unsigned type, unsigned phase,
			      uint32_t step, unsigned seq)
{
	struct lmm_event *e = tape_event(p, t, type);

	e->phase = (uint8_t)phase;
	e->id = step;
	e->seq = (uint16_t)seq;
}

static inline void tape_in(struct tape *p, uint64_t t, unsigned phase, uint32_t step, unsigned seq)
{
	tape_phase(p, t, LMM_EV_PHASE_BEGIN, phase, step, seq);
}

static inline void tape_out(struct tape *p, uint64_t t, unsigned phase, uint32_t step, unsigned seq)
{
	tape_phase(p, t, LMM_EV_PHASE_END, phase, step, seq);
}

static inline void tape_span(struct tape *p, uint64_t t0, uint64_t t1, unsigned phase,
			     uint32_t step, unsigned seq)
{
	tape_in(p, t0, phase, step, seq);
	tape_out(p, t1, phase, step, seq);
}

static inline void tape_idle(struct tape *p, uint64_t t0, uint64_t t1, uint32_t step)
{
	struct lmm_event *e = tape_event(p, t0, LMM_EV_UNACCOUNTED);

	e->a = t1;
	e->id = step;
}

static inline void tape_step(struct tape *p, uint64_t t, unsigned phase, uint32_t step,
			     uint64_t tokens, uint64_t outputs, uint64_t context, uint64_t call)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_STEP);

	e->phase = (uint8_t)phase;
	e->id = step;
	e->a = tokens | outputs << 32;
	e->b = context | call << 32;
}

static inline void tape_seq(struct tape *p, uint64_t t, uint32_t step, unsigned seq,
			    uint64_t tokens, uint64_t outputs, uint64_t position)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_SEQ);

	e->id = step;
	e->seq = (uint16_t)seq;
	e->a = tokens | outputs << 32;
	e->b = position;
}

static inline void tape_token(struct tape *p, uint64_t t, uint32_t step, unsigned seq)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_TOKEN);

	e->id = step;
	e->seq = (uint16_t)seq;
}

static inline void tape_count(struct tape *p, uint64_t t, unsigned phase, uint64_t value,
			      uint64_t b)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_COUNT);

	e->phase = (uint8_t)phase;
	e->a = value;
	e->b = b;
}

static inline void tape_hint(struct tape *p, uint64_t t, unsigned hint, unsigned seq,
			     uint64_t context, uint64_t b)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_HINT);

	e->phase = (uint8_t)hint;
	e->seq = (uint16_t)seq;
	e->a = context;
	e->b = b;
}

static inline void tape_graph_begin(struct tape *p, uint64_t t, uint32_t graph, uint32_t step)
{
	struct lmm_event *e = tape_event(p, t, LMM_EV_GRAPH_BEGIN);

	e->id = graph;
	e->b = step | (uint64_t)++p->epoch << 32;
}

static inline void tape_graph_end(struct tape *p, uint64_t t, uint32_t graph)
{
	tape_event(p, t, LMM_EV_GRAPH_END)->id = graph;
}

static inline void tape_op(struct tape *p, uint64_t t, uint32_t node, int fused)
{
	tape_event(p, t, fused ? LMM_EV_OP_FUSED : LMM_EV_OP)->id = node;
}

static inline void tape_lost(struct tape *p, uint64_t t, uint64_t n)
{
	tape_event(p, t, LMM_EV_LOST)->a = n;
}

static inline struct lmm_sensor *tape_sensor(struct tape *p, uint32_t sensor, unsigned kind,
					     unsigned component, const char *name)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_SENSOR);

	it->sensor = (struct lmm_sensor){ .sensor = sensor,
					  .kind = (uint8_t)kind,
					  .component = (uint8_t)component,
					  .name = name,
					  .unit = "",
					  .source = "",
					  .states = "",
					  .absent = "" };
	return &it->sensor;
}

#define TAPE_SILENT INT64_MIN

/* A round in which sensors 0 … n - 1 say these values. */
static inline void tape_round(struct tape *p, uint64_t t, const int64_t *values, uint32_t n)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_SAMPLES);
	struct tape_entry *e = &p->entries[p->n - 1];

	assert_true(n <= TAPE_SENSORS);
	it->samples.ticks = t;
	for (uint32_t i = 0; i < n; i++) {
		if (values[i] != TAPE_SILENT)
			e->sample[it->samples.n++] =
				(struct lmm_sample){ .sensor = i, .value = values[i] };
	}
}

static inline void tape_process_end(struct tape *p, uint32_t process, uint64_t t)
{
	struct lmm_item *it = tape_item(p, LMM_ITEM_PROCESS_END);

	it->process_end.process = process;
	it->process_end.ticks = t;
}

static inline void tape_end(struct tape *p, uint64_t t)
{
	struct lmm_item *it;

	tape_process_end(p, 0, t);
	it = tape_item(p, LMM_ITEM_END);
	it->end.ticks = t;
}

/* ---- playing ------------------------------------------------------------------------------------ */

static inline struct lmm_item tape_get(const struct tape *p, size_t i)
{
	struct lmm_item it = p->entries[i].item;

	if (it.kind == LMM_ITEM_EVENTS)
		it.events.ev = &p->entries[i].ev;
	if (it.kind == LMM_ITEM_SAMPLES)
		it.samples.samples = p->entries[i].sample;
	return it;
}

static inline void tape_play(const struct tape *p, size_t from, size_t to, struct lmm_analysis *a)
{
	for (size_t i = from; i < to; i++) {
		struct lmm_item it = tape_get(p, i);

		assert_int_equal(lmm_analysis_item(a, &it), 0);
	}
}

/* 0: as it is; else the second stage is only so many facts behind the first. */
static uint32_t tape_delay;

static inline struct lmm_analysis *tape_analysis(void)
{
	struct lmm_analysis *a = lmm_analysis_create();

	assert_non_null(a);
	if (tape_delay)
		a->facts_max = tape_delay;
	return a;
}

static inline struct lmm_result *tape_result(const struct tape *p)
{
	struct lmm_analysis *a = tape_analysis();
	struct lmm_result *r;

	assert_non_null(a);
	tape_play(p, 0, p->n, a);
	r = lmm_analysis_result(a);
	assert_non_null(r);
	lmm_analysis_destroy(a);
	return r;
}

/* ---- reading results ---------------------------------------------------------------------------- */

static inline const struct lmm_result_phase *result_phase(const struct lmm_result *r,
							  unsigned phase)
{
	for (size_t i = 0; i < r->n_phases; i++)
		if (r->phases[i].phase == phase)
			return &r->phases[i];
	return NULL;
}

static inline double phase_total(const struct lmm_result *r, unsigned phase)
{
	const struct lmm_result_phase *p = result_phase(r, phase);

	return p && !p->warmup_only ? p->stats.total_ns : 0;
}

static inline double request_phase(const struct lmm_result_request *q, unsigned phase)
{
	for (size_t i = 0; i < q->n_phases; i++)
		if (q->phases[i].phase == phase)
			return q->phases[i].total_ns;
	return 0;
}

static inline double request_sum(const struct lmm_result_request *q)
{
	double sum = q->unaccounted_ns;

	for (size_t i = 0; i < q->n_phases; i++)
		sum += q->phases[i].total_ns;
	return sum;
}

#define assert_ns(a, b) assert_true((a) > (b)-1e-6 && (a) < (b) + 1e-6)

static inline void dump_stats(FILE *f, const char *what, const struct lmm_stats *s)
{
	fprintf(f, "%s n=%llu %a %a %a %a %a %a %a\n", what, (unsigned long long)s->count,
		s->total_ns, s->mean_ns, s->min_ns, s->p50_ns, s->p95_ns, s->p99_ns, s->max_ns);
}

static inline void dump_requests(FILE *f, const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_requests; i++) {
		const struct lmm_result_request *q = &r->requests[i];

		fprintf(f,
			"request %llu p%u c%u s%u %u start=%llu tokens %llu %llu %llu steps %llu %llu %a %a %a %a\n",
			(unsigned long long)q->id, q->process, q->context, q->seq, q->complete,
			(unsigned long long)q->start_ns, (unsigned long long)q->prompt_tokens,
			(unsigned long long)q->cached_tokens, (unsigned long long)q->output_tokens,
			(unsigned long long)q->prefill_steps, (unsigned long long)q->decode_steps,
			q->ttft_ns, q->tpot_ns, q->wall_ns, q->unaccounted_ns);
		for (size_t k = 0; k < q->n_phases; k++)
			fprintf(f, "  %s %a n=%llu\n", lmm_phase_name(q->phases[k].phase),
				q->phases[k].total_ns, (unsigned long long)q->phases[k].count);
	}
	fprintf(f, "total %llu warm %llu %a %a\n", (unsigned long long)r->requests_total,
		(unsigned long long)r->warmup_requests, r->output_tokens_per_second,
		r->prompt_tokens_per_second);
	dump_stats(f, "ttft", &r->ttft);
	dump_stats(f, "tpot", &r->tpot);
	dump_stats(f, "itl", &r->itl);
}

static inline void dump_work(FILE *f, const struct lmm_result *r)
{
	dump_stats(f, "prefill", &r->steps.prefill);
	dump_stats(f, "decode", &r->steps.decode);
	fprintf(f, "positions %a %a\n", r->steps.prefill_positions, r->steps.decode_positions);
	fprintf(f, "steps %llu %llu %llu\n", (unsigned long long)r->steps.prefill_tokens,
		(unsigned long long)r->steps.decode_tokens,
		(unsigned long long)r->steps.warmup_steps);
	for (size_t i = 0; i < r->steps.n_bins; i++) {
		fprintf(f, "bin %llu %llu ", (unsigned long long)r->steps.bins[i].context_from,
			(unsigned long long)r->steps.bins[i].context_to);
		dump_stats(f, "", &r->steps.bins[i].stats);
	}
	for (size_t i = 0; i < r->n_layers; i++)
		fprintf(f, "layer %d %a %a %a %a %a %a %a\n", r->layers[i].layer,
			r->layers[i].attention_ns, r->layers[i].mlp_ns, r->layers[i].norm_ns,
			r->layers[i].other_ns, r->layers[i].total_ns, r->layers[i].prefill_ns,
			r->layers[i].decode_ns);
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];

		fprintf(f, "kernel %s %s %s %s %s %u %s %llu %llu ", k->name, k->op,
			lmm_role_name(k->role), k->device, lmm_phase_name(k->phase), k->fused,
			k->weight_type, (unsigned long long)k->bytes, (unsigned long long)k->flops);
		fprintf(f, "%llu %llu %llu ", (unsigned long long)k->weight_bytes,
			(unsigned long long)k->cache_bytes, (unsigned long long)k->cache_positions);
		dump_stats(f, "", &k->stats);
	}
	for (size_t i = 0; i < r->n_threads; i++)
		fprintf(f, "thread %d %llu %a %a\n", r->threads[i].tid,
			(unsigned long long)r->threads[i].operators, r->threads[i].busy_ns,
			r->threads[i].wait_ns);
	fprintf(f, "span %a %a %a %a\n", r->graph_span_ns, r->graph_kernels_ns, r->graph_gaps_ns,
		r->graph_own_ns);
}

static inline void dump_machine(FILE *f, const struct lmm_result_machine *m)
{
	fprintf(f, "machine %llu %a %a\n", (unsigned long long)m->rounds, m->sampled_ns,
		m->throttled_ns);
	for (size_t i = 0; i < m->n_sensors; i++) {
		const struct lmm_result_sensor *s = &m->sensors[i];

		fprintf(f, "sensor %u %u %u %s %s %s %s %s %llu %a %a %a %a %a %a %u %a\n",
			s->sensor, s->kind, s->component, s->name, s->unit, s->source, s->absent,
			s->state, (unsigned long long)s->samples, s->min, s->mean, s->max,
			s->newest, s->total, s->limit, s->has_changed, s->throttled_ns);
	}
	fprintf(f, "energy %u %a %a %a %a %a %a\n", m->energy.is_known, m->energy.total_uj,
		m->energy.mean_mw, m->energy.requests_uj, m->energy.output_token_uj,
		m->energy.decode_token_uj, m->energy.prompt_token_uj);
	for (size_t i = 0; i < m->energy.n_sources; i++) {
		const struct lmm_result_energy_source *s = &m->energy.sources[i];

		fprintf(f, "source %u %s %u %u %a %a\n", s->sensor, s->name, s->component,
			s->is_counted, s->total_uj, s->sampled_ns);
		for (unsigned p = 0; p < LMM_PHASE_COUNT; p++)
			fprintf(f, " %a %a\n", s->phases[p].total_uj, s->phases[p].mean_mw);
	}
}

static inline void dump_span(FILE *f, const char *what, const struct lmm_result_span *s)
{
	fprintf(f, " %s %llu %llu", what, (unsigned long long)s->start_ns,
		(unsigned long long)s->end_ns);
}

static inline void dump_tokens(FILE *f, const struct lmm_result_token_times *t)
{
	fprintf(f, "tokens %llu %a %a %llu %a", (unsigned long long)t->count, t->total_ns,
		t->changes_ns, (unsigned long long)t->slow, t->over_ns);
	dump_span(f, "", &t->span);
	for (unsigned i = 0; i < t->n_worst; i++) {
		const struct lmm_result_slow_token *x = &t->worst[i];

		dump_span(f, "slow", &x->span);
		fprintf(f, " %a %u %u %u %u %a %llu %llu %a", x->usual_ns, x->phase, x->cause,
			x->has_process, x->throttled, x->run_wait_ns,
			(unsigned long long)x->major_faults, (unsigned long long)x->minor_faults,
			x->frequency_percent);
	}
}

static inline void dump_evidence(FILE *f, const struct lmm_result_evidence *e)
{
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		fprintf(f, "place %u %a", p, e->first_token.phases_ns[p]);
		dump_span(f, "all", &e->phases[p].all);
		dump_span(f, "longest", &e->phases[p].longest);
		dump_span(f, "first_use", &e->phases[p].first_use);
		for (unsigned c = 0; c < LMM_GAP_CAUSES; c++) {
			fprintf(f, " gaps %llu %a", (unsigned long long)e->idle[p][c].count,
				e->idle[p][c].total_ns);
			dump_span(f, "", &e->idle[p][c].longest);
		}
		fputc('\n', f);
	}
	dump_tokens(f, &e->tokens);
	fprintf(f, "first %a", e->first_token.first_use_ns);
	dump_span(f, "", &e->first_token.span);
	dump_span(f, "throttled", &e->throttled);
	dump_span(f, "waiting", &e->waiting);
	for (size_t i = 0; i < e->n_layers; i++) {
		fprintf(f, " layer %d %llu", e->layers[i].layer,
			(unsigned long long)e->layers[i].bytes);
		for (unsigned t = 0; t < LMM_LAYER_TURNS; t++)
			fprintf(f, " %a", e->layers[i].turns_ns[t]);
	}
	fputc('\n', f);
}

/* Every figure of a result as text, exactly. The caller frees it. */
static inline char *result_dump(const struct lmm_result *r)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	fprintf(f, "%s %s %s %a %d %u %a\n", r->id, r->command_name, r->command_line,
		r->duration_ns, r->exit_status, r->complete, r->clock_error_ns);
	for (size_t i = 0; i < r->n_processes; i++)
		fprintf(f, "process %u %d %s %s %llu %llu\n", r->processes[i].process,
			r->processes[i].pid, r->processes[i].name, r->processes[i].door,
			(unsigned long long)r->processes[i].start_ns,
			(unsigned long long)r->processes[i].end_ns);
	for (size_t i = 0; i < r->n_models; i++)
		fprintf(f, "model %s %u %a %llu %llu\n", r->models[i].name, r->models[i].loads,
			r->models[i].load_ns, (unsigned long long)r->models[i].minor_faults,
			(unsigned long long)r->models[i].major_faults);
	for (size_t i = 0; i < r->n_phases; i++) {
		fprintf(f, "phase %s %u %a %a %a ", lmm_phase_name(r->phases[i].phase),
			r->phases[i].warmup_only, r->phases[i].host_ns, r->phases[i].device_ns,
			r->phases[i].share_percent);
		dump_stats(f, "", &r->phases[i].stats);
	}
	dump_requests(f, r);
	dump_work(f, r);
	fprintf(f, "records %llu %llu %llu %llu %llu %llu\n",
		(unsigned long long)r->records.emitted, (unsigned long long)r->records.stored,
		(unsigned long long)r->records.lost, (unsigned long long)r->records.invalid,
		(unsigned long long)r->records.dropped_detail,
		(unsigned long long)r->records.operators);
	fprintf(f, "overhead %a %a %a %a level %u\n", r->overhead.operator_ns,
		r->overhead.phase_pair_ns, r->overhead.total_ns, r->overhead.percent,
		r->level.reached);
	for (size_t i = 0; i < r->level.n_reasons; i++)
		fprintf(f, "reason %s\n", r->level.reasons[i]);
	dump_machine(f, &r->machine);
	dump_evidence(f, &r->evidence);
	assert_int_equal(fclose(f), 0);
	return text;
}

#endif
