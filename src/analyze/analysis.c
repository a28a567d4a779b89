/* SPDX-License-Identifier: Apache-2.0 */
/* Takes items: descriptions are kept here, events go on to stream.c. */
#include "analyze/analysis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

#define NAME_SLOTS 8192 /* as in text.c */

static int tables_create(struct lmm_analysis *a)
{
	a->bases = calloc(LMM_I_BASES, sizeof(*a->bases));
	a->base_slots = calloc(NAME_SLOTS, sizeof(*a->base_slots));
	a->keys = calloc(LMM_I_KEYS, sizeof(*a->keys));
	a->key_slots = calloc(NAME_SLOTS, sizeof(*a->key_slots));
	a->processes = calloc(LMM_I_PROCESSES, sizeof(*a->processes));
	a->models = calloc(LMM_I_MODELS, sizeof(*a->models));
	a->loads = calloc(LMM_I_LOADS, sizeof(*a->loads));
	a->device_names = calloc(LMM_I_DEVICE_NAMES, sizeof(*a->device_names));
	a->queues = calloc(LMM_I_QUEUES, sizeof(*a->queues));
	a->named = calloc(LMM_I_NAMED, sizeof(*a->named));
	a->device_clocks = calloc(LMM_I_DEVICES, sizeof(*a->device_clocks));
	a->streams = calloc(LMM_I_STREAMS, sizeof(struct stream *));
	a->flights = calloc(LMM_I_FLIGHT, sizeof(*a->flights));
	a->flights_used = calloc(LMM_I_FLIGHT / 64, sizeof(*a->flights_used));
	a->main = lmm__ledger_create();
	a->warm = lmm__ledger_create();
	a->contexts = calloc(LMM_I_CONTEXTS, sizeof(*a->contexts));
	a->facts = calloc(LMM_I_FACTS, sizeof(*a->facts));
	a->steps = calloc(LMM_I_STEPS, sizeof(*a->steps));
	a->tokenizes = calloc(LMM_I_TOKENIZES, sizeof(*a->tokenizes));
	a->idles = calloc(LMM_I_IDLES, sizeof(*a->idles));
	a->requests = calloc(LMM_I_REQUESTS, sizeof(*a->requests));
	a->done = calloc(LMM_RESULT_REQUESTS_MAX, sizeof(*a->done));
	a->sensors = lmm__sensors_create();
	a->moments = calloc(1, sizeof(*a->moments));
	return a->bases && a->base_slots && a->keys && a->key_slots && a->processes && a->models &&
	       a->loads && a->device_names && a->queues && a->named && a->device_clocks &&
	       a->streams && a->flights && a->flights_used && a->main && a->warm && a->contexts &&
	       a->facts && a->steps && a->tokenizes && a->idles && a->requests && a->done &&
	       a->sensors && a->moments;
}

struct lmm_analysis *lmm_analysis_create(void)
{
	struct lmm_analysis *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	if (!tables_create(a)) {
		lmm_analysis_destroy(a);
		return NULL;
	}
	/* number 0 of either is what has no place of its own */
	a->n_bases = a->n_keys = 1;
	a->bases[0].name = lmm__text_add(&a->text, "(other)");
	a->bases[0].role = LMM_ROLE_OTHER;
	a->cpu = lmm__text_add(&a->text, "CPU");
	a->exit_status = -1;
	a->facts_max = LMM_I_FACTS; /* tests take fewer, to see the second stage at work */
	return a;
}

static void contents_free(struct lmm_analysis *a)
{
	for (uint32_t i = 0; a->processes && i < a->n_processes; i++) {
		for (uint32_t g = 0; g < a->processes[i].n_graphs; g++)
			lmm__graph_free(a->processes[i].graphs[g]);
		free(a->processes[i].graphs);
		free(a->processes[i].busy);
	}
	for (uint32_t i = 0; a->streams && i < LMM_I_STREAMS; i++)
		free(a->streams[i]);
	for (uint32_t i = 0; a->contexts && i < a->n_contexts; i++) {
		for (uint32_t k = 0; k < a->contexts[i].n_held; k++)
			lmm__ledger_destroy(a->contexts[i].held[k].ledger);
	}
	for (uint32_t i = 0; a->requests && i < a->n_requests; i++) {
		lmm_hist_free(&a->requests[i].gaps);
		lmm_hist_free(&a->requests[i].idle);
	}
	for (uint32_t i = 0; a->named && i < a->n_named; i++)
		lmm_hist_free(&a->named[i].hist);
	lmm__ledger_destroy(a->main);
	lmm__ledger_destroy(a->warm);
	lmm_hist_free(&a->ttft);
	lmm_hist_free(&a->tpot);
	lmm_hist_free(&a->duration);
	lmm_hist_free(&a->itl);
	lmm_hist_free(&a->device_errors);
	lmm__text_free(&a->text);
}

void lmm__analysis_clear(struct lmm_analysis *a)
{
	contents_free(a);
	free(a->bases);
	free(a->base_slots);
	free(a->keys);
	free(a->key_slots);
	free(a->processes);
	free(a->models);
	free(a->loads);
	free(a->device_names);
	free(a->queues);
	free(a->named);
	free(a->device_clocks);
	free(a->streams);
	free(a->flights);
	free(a->flights_used);
	free(a->contexts);
	free(a->facts);
	free(a->steps);
	free(a->tokenizes);
	free(a->idles);
	free(a->requests);
	free(a->done);
	lmm__sensors_destroy(a->sensors);
	free(a->moments);
	memset(a, 0, sizeof(*a));
}

unsigned lmm_analysis_phase(const struct lmm_analysis *a)
{
	const struct stream *newest = NULL;

	for (uint32_t i = 0; i < LMM_I_STREAMS; i++) {
		const struct stream *s = a->streams[i];

		if (s && s->depth && (!newest || s->newest > newest->newest))
			newest = s;
	}
	return newest ? newest->frames[newest->depth - 1].phase : LMM_PHASE_NONE;
}

void lmm_analysis_destroy(struct lmm_analysis *a)
{
	if (!a)
		return;
	lmm__analysis_clear(a);
	free(a);
}

/* ---- descriptions ------------------------------------------------------------------------------- */

static void session_put(struct lmm_analysis *a, const struct lmm_session *from)
{
	struct session *s = &a->session;

	s->id = lmm__text_add(&a->text, from->id);
	s->lmmeter = lmm__text_add(&a->text, from->lmmeter);
	s->command_name = lmm__text_add(&a->text, from->command_name);
	s->command_line = lmm__text_add(&a->text, from->command_line);
	s->host_os = lmm__text_add(&a->text, from->host_os);
	s->host_cpu = lmm__text_add(&a->text, from->host_cpu);
	s->host_cpus = from->host_cpus;
	s->host_memory_bytes = from->host_memory_bytes;
	s->clock = from->clock;
	s->threads_all = from->threads_all;
	s->embedded = from->embedded;
	s->start_ticks = from->start_ticks;
	s->start_realtime_ns = from->start_realtime_ns;
	s->is_set = 1;
}

static void own_ticks_set(const struct lmm_analysis *a, struct process *p)
{
	double ticks = p->op_cost_ps / 1000.0 / lmm_clock_fit_rate(&a->fit);

	p->own_ticks = ticks < 1e9 ? (uint64_t)(ticks + 0.5) : 0;
}

static void process_put(struct lmm_analysis *a, const struct lmm_process *from)
{
	uint32_t at = lmm__process_slot(a, from->process);
	struct process *p;

	if (at == LMM_I_NONE) {
		if (a->n_processes == LMM_I_PROCESSES)
			return;
		at = a->n_processes++;
		a->processes[at].level = LMM_LEVEL_KERNELS;
	}
	p = &a->processes[at];
	p->index = from->process;
	p->pid = from->pid;
	p->parent_pid = from->parent_pid;
	p->name = lmm__text_add(&a->text, from->name);
	p->engine_name = lmm__text_add(&a->text, from->engine_name);
	p->engine_version = lmm__text_add(&a->text, from->engine_version);
	p->door = lmm__text_add(&a->text, from->door);
	p->start = from->start_ticks;
	p->op_cost_ps = from->op_cost_ps;
	p->pair_cost_ps = from->pair_cost_ps;
	p->is_joined = from->joined;
	p->is_marked = strcmp(from->door, "mark") == 0;
	/* its warm-up is over by then */
	p->is_bench = !from->joined && strcmp(from->name, "llama-bench") == 0;
	own_ticks_set(a, p);
}

/* A model that is described again is loaded again. */
static void model_put(struct lmm_analysis *a, const struct lmm_model *from)
{
	uint32_t name = lmm__text_add(&a->text, from->name),
		 file = lmm__text_add(&a->text, from->file);
	struct model *m = NULL;

	for (uint32_t i = 0; i < a->n_models && !m; i++) {
		struct model *x = &a->models[i];

		if (x->process == from->process && x->name == name && x->file == file &&
		    x->size_bytes == from->size_bytes)
			m = x;
	}
	if (!m) {
		if (a->n_models == LMM_I_MODELS)
			return;
		m = &a->models[a->n_models++];
	}
	m->process = from->process;
	m->name = name;
	m->file = file;
	m->description = lmm__text_add(&a->text, from->description);
	m->architecture = lmm__text_add(&a->text, from->architecture);
	m->quantization = lmm__text_add(&a->text, from->quantization);
	m->size_bytes = from->size_bytes;
	m->parameters = from->parameters;
	m->layers = from->layers;
	m->vocabulary = from->vocabulary;
	m->embedding = from->embedding;
	m->described++;
}

static void reason_put(struct lmm_analysis *a, const struct lmm_reason *from)
{
	uint32_t at = lmm__process_slot(a, from->process);
	uint32_t text = lmm__text_add(&a->text, from->text);

	if (at != LMM_I_NONE && from->level < a->processes[at].level)
		a->processes[at].level = from->level;
	for (uint32_t i = 0; i < a->n_reasons; i++) {
		if (a->reasons[i].text == text)
			return;
	}
	if (a->n_reasons < LMM_I_REASONS)
		a->reasons[a->n_reasons++].text = text;
}

static void device_name_put(struct lmm_analysis *a, const struct lmm_kernel *from)
{
	struct device_name *d;

	if (a->n_device_names == LMM_I_DEVICE_NAMES)
		return;
	d = &a->device_names[a->n_device_names++];
	d->process = from->process;
	d->kernel = from->kernel;
	d->name = lmm__text_add(&a->text, from->name);
	d->device = lmm__text_add(&a->text, from->device);
	d->program_hash = from->program_hash;
	d->kind = from->kind < LMM_KERNEL_KIND_COUNT ? from->kind : LMM_KERNEL_PROGRAM;
}

static void queue_put(struct lmm_analysis *a, const struct lmm_queue *from)
{
	struct queue *q;

	if (a->n_queues == LMM_I_QUEUES)
		return;
	q = &a->queues[a->n_queues++];
	memset(q, 0, sizeof(*q));
	q->process = from->process;
	q->queue = from->queue;
	q->device = lmm__text_add(&a->text, from->device);
	q->ticks_per_second = from->ticks_per_second;
	q->device_number = from->device_number;
	q->out_of_order = from->out_of_order != 0;
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void clock_put(struct lmm_analysis *a, const struct lmm_clock *from)
{
	lmm_clock_fit_add(&a->fit, from);
	if (from->error_ns > a->clock_error_ns)
		a->clock_error_ns = from->error_ns;
	for (uint32_t i = 0; i < a->n_processes; i++)
		own_ticks_set(a, &a->processes[i]);
}

static struct load *load_slot(struct lmm_analysis *a, uint32_t process, uint64_t bytes)
{
	for (uint32_t i = 0; i < a->n_loads; i++) {
		if (a->loads[i].process == process && a->loads[i].bytes == bytes)
			return &a->loads[i];
	}
	if (a->n_loads == LMM_I_LOADS)
		return NULL;
	a->loads[a->n_loads].process = process;
	a->loads[a->n_loads].bytes = bytes;
	return &a->loads[a->n_loads++];
}

/* Books the MODEL_LOAD that ended last on a stream, with what its COUNT says. */
void lmm__load_flush(struct lmm_analysis *a, struct stream *s, uint64_t bytes, uint64_t faults)
{
	struct load *l;

	if (!s->has_load || s->process == LMM_I_NONE)
		return;
	s->has_load = 0;
	l = load_slot(a, a->processes[s->process].index, bytes);
	if (!l)
		return;
	l->count++;
	l->ticks += s->load_ticks;
	l->minor += (uint32_t)faults;
	l->major += faults >> 32;
}

static void process_end(struct lmm_analysis *a, const struct lmm_process_end *from)
{
	uint32_t at = lmm__process_slot(a, from->process);

	if (at == LMM_I_NONE)
		return;
	a->processes[at].has_ended = 1;
	a->processes[at].end = from->ticks;
}

static void end_put(struct lmm_analysis *a, const struct lmm_end *from)
{
	a->has_end = 1;
	a->end_ticks = from->ticks;
	a->exit_status = from->exit_status;
	a->collector_cpu_ns = from->collector_cpu_ns;
	a->no_ring_lost = from->no_ring_lost;
}

static int checkpoint(struct lmm_analysis *a, const struct lmm_checkpoint *c)
{
	int rc = lmm_analysis_load(a, c->data, c->size_bytes);

	/* of another version of lmmeter: what was read up to here stands */
	return rc == LMM_E_VERSION ? 0 : rc;
}

static int graph_put(struct lmm_analysis *a, const struct lmm_graph *g)
{
	uint32_t at = lmm__process_slot(a, g->process);

	return at == LMM_I_NONE ? 0 : lmm__graph_put(a, at, g);
}

int lmm_analysis_item(void *ctx, const struct lmm_item *item)
{
	struct lmm_analysis *a = ctx;

	switch (item->kind) {
	case LMM_ITEM_EVENTS:
		return lmm__events(a, &item->events);
	case LMM_ITEM_GRAPH:
		return graph_put(a, &item->graph);
	case LMM_ITEM_STREAM:
		return lmm__stream_put(a, &item->stream);
	case LMM_ITEM_CHECKPOINT:
		return checkpoint(a, &item->checkpoint);
	case LMM_ITEM_SESSION:
		session_put(a, &item->session);
		break;
	case LMM_ITEM_PROCESS:
		process_put(a, &item->process);
		break;
	case LMM_ITEM_MODEL:
		model_put(a, &item->model);
		break;
	case LMM_ITEM_CLOCK:
		clock_put(a, &item->clock);
		break;
	case LMM_ITEM_REASON:
		reason_put(a, &item->reason);
		break;
	case LMM_ITEM_KERNEL:
		device_name_put(a, &item->kernel);
		break;
	case LMM_ITEM_QUEUE:
		queue_put(a, &item->queue);
		break;
	case LMM_ITEM_NAME:
		lmm__name_put(a, &item->name);
		break;
	case LMM_ITEM_LOSS:
		lmm__stream_loss(a, &item->loss);
		break;
	case LMM_ITEM_DROPPED:
		a->dropped_events = item->dropped.events;
		break;
	case LMM_ITEM_PROCESS_END:
		process_end(a, &item->process_end);
		break;
	case LMM_ITEM_END:
		end_put(a, &item->end);
		break;
	case LMM_ITEM_SENSOR:
		lmm__sensor_put(a, &item->sensor);
		break;
	case LMM_ITEM_SAMPLES:
		lmm__samples_take(a, &item->samples);
		break;
	default:
		break; /* of a later version */
	}
	return a->failed ? -ENOMEM : 0;
}
