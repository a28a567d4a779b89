/* SPDX-License-Identifier: Apache-2.0 */
/* From ticks and tables to what is printed. Works on a private copy of the state, which it brings to its end. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/build.h"
#include "analyze/sensors.h"
#include "analyze/settled.h"
#include "base/bytes.h"

static const char overhead_method[] =
	"operators and begin/end pairs recorded, times the cost of each as calibrated in the process";
static const char overhead_method_device[] =
	"operators, begin/end pairs and device commands recorded, times the cost of each as calibrated in the process, and the "
	"time spent on reading commands' times as measured there";

/* The result owns the strings of the copy that it was made from. */
struct box {
	struct lmm_result r;
	struct text text;
};

uint64_t lmm__since_start(const struct builder *b, uint64_t ticks)
{
	uint64_t t = lmm_clock_fit_ns(&b->a->fit, ticks);

	return lmm__minus(t, lmm_clock_fit_ns(&b->a->fit, b->a->session.start_ticks));
}

struct lmm_stats lmm__stats_make(const struct lmm_hist *h, double rate)
{
	struct lmm_stats s = { 0 };

	if (h->count == 0)
		return s;
	s.count = h->count;
	s.total_ns = (double)h->sum * rate;
	s.mean_ns = s.total_ns / (double)h->count;
	s.min_ns = (double)h->min * rate;
	s.p50_ns = lmm_hist_quantile(h, 0.50) * rate;
	s.p95_ns = lmm_hist_quantile(h, 0.95) * rate;
	s.p99_ns = lmm_hist_quantile(h, 0.99) * rate;
	s.max_ns = (double)h->max * rate;
	return s;
}

struct lmm_stats lmm__stats_split(const struct split *h, double rate)
{
	struct lmm_stats s = lmm__stats_make(h->steady.count ? &h->steady : &h->first, rate);

	s.count = lmm__split_count(h);
	s.total_ns = (double)lmm__split_sum(h) * rate;
	return s;
}

void *lmm__array_new(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* ---- session ------------------------------------------------------------------------------------ */

static uint64_t end_ticks(const struct lmm_analysis *a)
{
	return a->has_end ? a->end_ticks : a->newest;
}

static int session_build(struct builder *b)
{
	const struct session *s = &b->a->session;
	struct lmm_result *r = b->r;

	r->id = builder_text(b, s->id);
	r->lmmeter = builder_text(b, s->lmmeter);
	r->command_name = builder_text(b, s->command_name);
	r->command_line = builder_text(b, s->command_line);
	r->host_os = builder_text(b, s->host_os);
	r->host_cpu = builder_text(b, s->host_cpu);
	r->host_cpus = s->host_cpus;
	r->host_memory_bytes = s->host_memory_bytes;
	r->start_realtime_ns = s->start_realtime_ns;
	r->duration_ns = (double)lmm__since_start(b, end_ticks(b->a));
	r->exit_status = b->a->exit_status;
	r->clock = s->clock;
	r->threads_all = s->threads_all;
	r->embedded = s->embedded;
	r->complete = b->a->has_end;
	r->clock_error_ns = b->a->clock_error_ns;
	return 0;
}

static int process_compare(const void *x, const void *y)
{
	const struct lmm_result_process *a = x, *b = y;

	return a->process < b->process ? -1 : a->process > b->process;
}

static int processes_build(struct builder *b)
{
	struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;

	r->processes = lmm__array_new(a->n_processes, sizeof(*r->processes));
	if (!r->processes)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->n_processes; i++) {
		const struct process *p = &a->processes[i];
		struct lmm_result_process *to = &r->processes[r->n_processes++];

		to->process = p->index;
		to->pid = p->pid;
		to->parent_pid = p->parent_pid;
		to->name = builder_text(b, p->name);
		to->engine_name = builder_text(b, p->engine_name);
		to->engine_version = builder_text(b, p->engine_version);
		to->door = builder_text(b, p->door);
		to->start_ns = lmm__since_start(b, p->start);
		to->end_ns = lmm__since_start(b, p->has_ended ? p->end : end_ticks(a));
		to->requests = p->requests;
		to->output_tokens = p->output_tokens;
	}
	qsort(r->processes, r->n_processes, sizeof(*r->processes), process_compare);
	return 0;
}

/* Loads are told from one another by their size in bytes; one without is the process's first model's. */
static void model_loads(struct builder *b, uint32_t at, struct lmm_result_model *to)
{
	const struct lmm_analysis *a = b->a;
	const struct model *m = &a->models[at];
	int is_first = 1;

	for (uint32_t i = 0; i < at; i++)
		is_first &= a->models[i].process != m->process;
	for (uint32_t i = 0; i < a->n_loads; i++) {
		const struct load *l = &a->loads[i];
		int is_other = 0;

		for (uint32_t k = 0; k < a->n_models; k++) {
			is_other |= a->models[k].process == l->process &&
				    a->models[k].size_bytes == l->bytes;
		}
		if (l->process != m->process ||
		    (l->bytes != m->size_bytes && (is_other || !is_first)))
			continue;
		to->loads += (uint32_t)l->count;
		to->load_ns += builder_ns(b, l->ticks);
		to->minor_faults += l->minor;
		to->major_faults += l->major;
	}
}

static int models_build(struct builder *b)
{
	struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;

	r->models = lmm__array_new(a->n_models, sizeof(*r->models));
	if (!r->models)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->n_models; i++) {
		const struct model *m = &a->models[i];
		struct lmm_result_model *to = &r->models[r->n_models++];

		to->process = m->process;
		to->name = builder_text(b, m->name);
		to->description = builder_text(b, m->description);
		to->architecture = builder_text(b, m->architecture);
		to->quantization = builder_text(b, m->quantization);
		to->file = builder_text(b, m->file);
		to->size_bytes = m->size_bytes;
		to->parameters = m->parameters;
		to->layers = m->layers;
		to->vocabulary = m->vocabulary;
		to->embedding = m->embedding;
		model_loads(b, i, to);
	}
	return 0;
}

/* ---- phases ------------------------------------------------------------------------------------- */

/* Loading is no part of a request; waiting is others' time over again. */
static int phase_has_share(unsigned phase)
{
	return phase >= LMM_PHASE_TOKENIZE;
}

static int phases_build(struct builder *b)
{
	const struct phase_sum *sums = b->a->main->phases, *warm = b->a->warm->phases;
	struct lmm_result *r = b->r;
	double whole = 0;

	r->phases = lmm__array_new(LMM_PHASE_COUNT, sizeof(*r->phases));
	if (!r->phases)
		return -ENOMEM;
	for (unsigned i = 1; i < LMM_PHASE_COUNT; i++) {
		if (phase_has_share(i))
			whole += builder_ns(b, lmm__split_sum(&sums[i].hist) + sums[i].moved_in);
	}
	for (unsigned i = 1; i < LMM_PHASE_COUNT; i++) {
		int is_warm = lmm__split_count(&sums[i].hist) == 0 && sums[i].device == 0;
		const struct phase_sum *s = is_warm ? &warm[i] : &sums[i];
		struct lmm_result_phase *to = &r->phases[r->n_phases];

		if (lmm__split_count(&s->hist) == 0 && s->device == 0)
			continue;
		r->n_phases++;
		to->phase = (uint8_t)i;
		to->warmup_only = (uint8_t)is_warm;
		to->stats = lmm__stats_split(&s->hist, b->rate);
		to->stats.total_ns += builder_ns(b, s->moved_in);
		to->estimated_ns = builder_ns(b, s->estimated);
		to->first_use_ns = builder_ns(b, s->first_use);
		to->first_use_count = s->hist.first.count;
		to->first_use_host_ns = builder_ns(b, s->host_first);
		to->host_ns = builder_ns(b, s->host);
		to->device_ns = builder_ns(b, s->device);
		to->share_percent = -1;
		if (phase_has_share(i) && !is_warm && whole > 0)
			to->share_percent = 100 * to->stats.total_ns / whole;
	}
	return 0;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static int done_compare(const void *x, const void *y)
{
	const struct done *a = x, *b = y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	if (a->context_id != b->context_id)
		return a->context_id < b->context_id ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return a->end < b->end ? -1 : a->end > b->end;
}

static void request_build(struct builder *b, const struct done *d, struct lmm_result_request *to)
{
	to->process = b->a->processes[d->process].index;
	to->context = d->context_id;
	to->seq = d->seq;
	to->complete = d->is_complete;
	to->start_ns = lmm__since_start(b, d->start);
	to->end_ns = lmm__since_start(b, d->end);
	to->prompt_tokens = d->computed + d->cached;
	to->cached_tokens = d->cached;
	to->output_tokens = d->tokens;
	to->prefill_steps = d->prefill_steps;
	to->decode_steps = d->decode_steps;
	to->joined = d->is_joined;
	to->ttft_ns = -1;
	if (d->tokens && !d->is_joined)
		to->ttft_ns = builder_ns(b, lmm__minus(d->first_token, d->start));
	to->tpot_ns = -1;
	if (d->tokens > 1) {
		to->tpot_ns = builder_ns(b, lmm__minus(d->last_token, d->first_token)) /
			      (double)(d->tokens - 1);
	}
	to->context_shifts = d->shifts;
	to->context_refusals = d->refused;
	to->wall_ns = builder_ns(b, lmm__minus(d->end, d->start));
	to->unaccounted_ns = builder_ns(b, d->sums[LMM_PHASE_UNACCOUNTED].ticks);
	for (unsigned i = 1; i < LMM_PHASE_UNACCOUNTED; i++) {
		struct lmm_result_request_phase *p = &to->phases[to->n_phases];

		if (d->sums[i].count == 0 && d->sums[i].ticks == 0)
			continue;
		p->phase = (uint8_t)i;
		p->total_ns = builder_ns(b, d->sums[i].ticks);
		p->count = d->sums[i].count;
		to->n_phases++;
	}
}

static void shifts_build(struct builder *b)
{
	const struct shifts *s = &b->a->shifts;
	struct lmm_result_shifts *to = &b->r->context_shifts;

	to->count = s->n;
	to->tokens = s->tokens;
	to->total_ns = builder_ns(b, s->ticks);
	to->more_ns = fmax(to->total_ns - (double)s->tokens * b->r->itl.p50_ns, 0);
}

static void refusals_build(struct builder *b)
{
	b->r->context_refusals.count = b->a->refusals.n;
	b->r->context_refusals.total_ns = builder_ns(b, b->a->refusals.ticks);
}

static void request_totals(struct builder *b)
{
	struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;
	uint64_t ran = a->spans_past;

	for (uint32_t i = 0; i < a->n_spans; i++)
		ran += a->spans[i].t1 - a->spans[i].t0;
	r->requests_total = a->requests_total;
	r->warmup_requests = a->warm_requests;
	r->ttft = lmm__stats_make(&a->ttft, b->rate);
	r->tpot = lmm__stats_make(&a->tpot, b->rate);
	r->itl = lmm__stats_make(&a->itl, b->rate);
	r->itl_apart = a->gaps_apart;
	shifts_build(b);
	refusals_build(b);
	if (ran)
		r->output_tokens_per_second = (double)a->output_tokens / builder_ns(b, ran) * 1e9;
	if (lmm__split_sum(&a->main->prefill)) {
		r->prompt_tokens_per_second = (double)a->main->prefill_tokens /
					      builder_ns(b, lmm__split_sum(&a->main->prefill)) *
					      1e9;
	}
}

static int requests_build(struct builder *b)
{
	struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;
	struct lmm_result_request_phase *phases =
		lmm__array_new((size_t)a->n_done * LMM_PHASE_COUNT, sizeof(*phases));

	r->requests = lmm__array_new(a->n_done, sizeof(*r->requests));
	if (!r->requests || !phases) {
		free(phases);
		return -ENOMEM;
	}
	/* one block, found by the first */
	r->requests[0].phases = phases;
	qsort(a->done, a->n_done, sizeof(*a->done), done_compare);
	for (uint32_t i = 0; i < a->n_done; i++) {
		struct lmm_result_request *to = &r->requests[i];

		to->id = a->requests_total - a->n_done + i + 1;
		to->phases = phases + (size_t)i * LMM_PHASE_COUNT;
		request_build(b, &a->done[i], to);
	}
	r->n_requests = a->n_done;
	request_totals(b);
	return 0;
}

/* ---- records, overhead, level ------------------------------------------------------------------- */

static int records_build(struct builder *b)
{
	const struct lmm_analysis *a = b->a;
	struct lmm_result_records *to = &b->r->records;

	to->stored = a->past_stored;
	to->invalid = a->past_invalid;
	to->operators = a->past_operators;
	to->emitted = a->past_emitted + a->no_ring_lost;
	to->lost = a->past_lost + a->no_ring_lost;
	to->dropped_detail = a->dropped_events;
	for (uint32_t i = 0; i < LMM_I_STREAMS; i++) {
		const struct stream *s = a->streams[i];
		uint64_t lost, seen;

		if (!s)
			continue;
		lost = s->has_loss && s->lost > s->lost_marked ? s->lost : s->lost_marked;
		seen = s->stored + lost;
		to->stored += s->stored;
		to->invalid += s->invalid;
		to->operators += s->operators;
		to->lost += lost;
		/* the thread's own count, unless it was read before the newest events came */
		to->emitted += s->has_loss && s->emitted > seen ? s->emitted : seen;
	}
	return 0;
}

static double time_inside(const struct builder *b, const struct ledger *l)
{
	double sum = 0;

	for (unsigned i = LMM_PHASE_EMBEDDING; i < LMM_PHASE_UNACCOUNTED; i++) {
		if (i == LMM_PHASE_DETOKENIZE)
			continue;
		sum += builder_ns(b, lmm__split_sum(&l->phases[i].hist) + l->phases[i].moved_in);
	}
	return sum;
}

/*
 * A command is recorded with one stamp, as half a pair is; one of many that are recorded at once costs half of that (docs/overhead.md has
 * both on an H100). Making it timeable costs what was calibrated (0 where nothing was, with --budget off), reading its times what
 * was measured.
 */
static double device_cost_ns(const struct builder *b, const struct process *p)
{
	double each = (double)(p->commands - p->at_once), at_once = (double)p->at_once / 2;

	return (each + at_once) * p->pair_cost_ps / 2000 +
	       builder_ns(b, p->command_cost_mticks) / 1000 * (double)p->harvested +
	       builder_ns(b, p->harvest_ticks);
}

static int overhead_build(struct builder *b)
{
	const struct lmm_analysis *a = b->a;
	struct lmm_result_overhead *to = &b->r->overhead;
	double inside = time_inside(b, a->main) + time_inside(b, a->warm);
	uint64_t most = 0;

	for (uint32_t i = 0; i < a->n_processes; i++) {
		const struct process *p = &a->processes[i];

		to->total_ns += ((double)p->operators * p->op_cost_ps +
				 (double)p->pairs * p->pair_cost_ps) /
				1000;
		to->device_ns += device_cost_ns(b, p);
		if (p->operators + p->pairs < most || p->op_cost_ps + p->pair_cost_ps == 0)
			continue;
		most = p->operators + p->pairs;
		to->operator_ns = p->op_cost_ps / 1000.0;
		to->phase_pair_ns = p->pair_cost_ps / 1000.0;
	}
	to->device_ns += builder_ns(b, a->windows.stall_ticks[0] + a->windows.stall_ticks[1] +
					       a->windows.slowed_ticks);
	to->total_ns += to->device_ns;
	if (inside > 0)
		to->percent = 100 * to->total_ns / inside;
	to->collector_cpu_ns = (double)a->collector_cpu_ns;
	to->method = to->device_ns > 0 ? overhead_method_device : overhead_method;
	return 0;
}

/* What was seen, and not more than the reasons of the best process allow. */
static int level_build(struct builder *b)
{
	const struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;
	uint8_t allowed = LMM_LEVEL_OFF, seen = LMM_LEVEL_OFF;
	uint64_t pairs = 0;

	r->level.reasons = lmm__array_new(a->n_reasons, sizeof(*r->level.reasons));
	if (!r->level.reasons)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->n_reasons; i++)
		r->level.reasons[r->level.n_reasons++] = builder_text(b, a->reasons[i].text);
	for (uint32_t i = 0; i < a->n_processes; i++) {
		if (a->processes[i].level > allowed)
			allowed = a->processes[i].level;
		pairs += a->processes[i].pairs;
	}
	if (a->main->kernel_ticks || a->warm->kernel_ticks || r->n_kernels) {
		seen = LMM_LEVEL_KERNELS;
	} else if (pairs) {
		seen = LMM_LEVEL_PHASES;
	} else if (r->records.stored) {
		seen = LMM_LEVEL_COUNTS;
	}
	r->level.reached = seen < allowed ? seen : allowed;
	return 0;
}

/* ---- all ---------------------------------------------------------------------------------------- */

static int result_build(struct builder *b)
{
	static int (*const parts[])(struct builder *) = {
		session_build,	    processes_build,  models_build,	  phases_build,
		requests_build,	    lmm__steps_build, lmm__layers_build,  lmm__kernels_build,
		lmm__threads_build, lmm__named_build, lmm__device_build,  records_build,
		overhead_build,	    level_build,      lmm__sensors_build, lmm__evidence_build,
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(parts); i++) {
		int rc = parts[i](b);

		if (rc)
			return rc;
	}
	return 0;
}

static struct lmm_analysis *analysis_copy(const struct lmm_analysis *a)
{
	struct lmm_analysis *copy = lmm_analysis_create();
	struct lmm_buf buf = { 0 };
	int rc = copy ? lmm_analysis_save(a, &buf) : -ENOMEM;

	if (rc == 0)
		rc = lmm_analysis_load(copy, buf.data, buf.n);
	lmm_buf_free(&buf);
	if (rc) {
		lmm_analysis_destroy(copy);
		return NULL;
	}
	return copy;
}

/* Of a copy, which goes. */
static struct lmm_result *result_of(struct lmm_analysis *a)
{
	struct builder b = { .a = a };

	b.box = calloc(1, sizeof(*b.box));
	if (!b.box)
		goto err;
	b.r = &b.box->r;
	b.rate = lmm_clock_fit_rate(&b.a->fit);
	if (result_build(&b) || b.a->failed)
		goto err;
	b.box->text = b.a->text;
	memset(&b.a->text, 0, sizeof(b.a->text));
	lmm_analysis_destroy(b.a);
	return b.r;
err:
	lmm_analysis_destroy(b.a);
	lmm_result_destroy(b.r);
	return NULL;
}

struct lmm_result *lmm_analysis_result(const struct lmm_analysis *a)
{
	struct lmm_analysis *copy = analysis_copy(a);

	if (!copy)
		return NULL;
	lmm__finish(copy);
	return result_of(copy);
}

int lmm_analysis_settled(const struct lmm_analysis *a, int is_over, struct lmm_settled *out)
{
	struct lmm_analysis *copy = analysis_copy(a);

	memset(out, 0, sizeof(*out));
	if (!copy)
		return -ENOMEM;
	if (is_over) {
		lmm__finish(copy);
	} else {
		lmm__settle(copy);
	}
	out->output_tokens = lmm__tokens_settled(copy);
	out->ns_per_tick = lmm_clock_fit_rate(&copy->fit);
	if (lmm_hist_merge(&out->ttft, &copy->ttft) || lmm_hist_merge(&out->tpot, &copy->tpot) ||
	    lmm_hist_merge(&out->duration, &copy->duration)) {
		lmm_analysis_destroy(copy);
		return -ENOMEM;
	}
	out->result = result_of(copy);
	return out->result ? 0 : -ENOMEM;
}

void lmm_settled_free(struct lmm_settled *s)
{
	lmm_result_destroy(s->result);
	lmm_hist_free(&s->ttft);
	lmm_hist_free(&s->tpot);
	lmm_hist_free(&s->duration);
	memset(s, 0, sizeof(*s));
}

void lmm_result_destroy(struct lmm_result *r)
{
	struct box *box = (struct box *)r; /* its first member */

	if (!r)
		return;
	free(r->processes);
	free(r->models);
	free(r->phases);
	if (r->requests)
		free(r->requests[0].phases);
	free(r->requests);
	free(r->steps.bins);
	free(r->layers);
	free(r->kernels);
	free(r->threads);
	free(r->named);
	free(r->level.reasons);
	free(r->machine.sensors);
	free(r->evidence.layers);
	free(r->machine.energy.sources);
	lmm__text_free(&box->text);
	free(box);
}

const struct lmm_result_phase *lmm_result_phase_find(const struct lmm_result *r, unsigned phase)
{
	for (size_t i = 0; i < r->n_phases; i++) {
		if (r->phases[i].phase == phase)
			return &r->phases[i];
	}
	return NULL;
}
