/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state as bytes. Every structure has one function that walks its fields, for writing and for reading alike, so the two
 * cannot differ. What is read is not trusted: numbers are bounded where they are read, references are checked at the
 * end (check.c), and nothing is allocated for elements that are not there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"
#include "base/bytes.h"

#define STATE_VERSION 24

struct io {
	struct lmm_buf *out; /* writing */
	struct lmm_cur *in;  /* reading */
	int bad;
	uint64_t last_bytes[LMM_I_BASES]; /* of the last node of a base: most nodes repeat it */
	uint64_t last_flops[LMM_I_BASES];
	uint64_t last_streamed[LMM_I_BASES];
	uint64_t last_positions[LMM_I_BASES];
};

/* ---- fields ------------------------------------------------------------------------------------- */

static void io_u64(struct io *io, uint64_t *v)
{
	if (io->out) {
		lmm_buf_put_varint(io->out, *v);
	} else {
		*v = lmm_cur_varint(io->in);
	}
}

/* A number up to max. */
static uint64_t io_max(struct io *io, uint64_t v, uint64_t max)
{
	io_u64(io, &v);
	if (v > max) {
		io->bad = 1;
		return 0;
	}
	return v;
}

static void io_u32(struct io *io, uint32_t *v)
{
	*v = (uint32_t)io_max(io, *v, UINT32_MAX);
}

static void io_u16(struct io *io, uint16_t *v)
{
	*v = (uint16_t)io_max(io, *v, UINT16_MAX);
}

static void io_u8(struct io *io, uint8_t *v)
{
	*v = (uint8_t)io_max(io, *v, UINT8_MAX);
}

static void io_i32(struct io *io, int32_t *v)
{
	uint32_t u = (uint32_t)*v;

	io_u32(io, &u);
	*v = (int32_t)u;
}

/* How many elements follow: each takes a byte at least, so a lie costs nothing. */
static void io_count(struct io *io, uint32_t *n, uint32_t max)
{
	*n = (uint32_t)io_max(io, *n, max);
	if (io->in && (io->in->bad || *n > lmm_cur_left(io->in))) {
		io->bad = 1;
		*n = 0;
	}
}

/* Times lie near one another: their difference is shorter. */
static void io_near(struct io *io, uint64_t *v, uint64_t base)
{
	uint64_t d = lmm_zigzag((int64_t)(*v - base));

	io_u64(io, &d);
	*v = base + (uint64_t)lmm_unzigzag(d);
}

/* Never negative, and finite. */
static void io_double(struct io *io, double *v)
{
	uint64_t bits;

	memcpy(&bits, v, sizeof(bits));
	io_u64(io, &bits);
	memcpy(v, &bits, sizeof(bits));
	if (!(*v >= 0 && *v < 1e300)) {
		*v = 0;
		io->bad = 1;
	}
}

static void io_hist(struct io *io, struct lmm_hist *h)
{
	if (io->out) {
		lmm_hist_save(h, io->out);
	} else if (!io->bad && lmm_hist_load(h, io->in)) {
		io->bad = 1;
	}
}

static void io_tallies(struct io *io, struct tally *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		io_u64(io, &t[i].count);
		io_u64(io, &t[i].ticks);
	}
}

static void io_span(struct io *io, struct span *s)
{
	io_u64(io, &s->t0);
	io_near(io, &s->t1, s->t0);
}

/* ---- structures --------------------------------------------------------------------------------- */

static void io_session(struct io *io, struct session *s)
{
	io_u32(io, &s->id);
	io_u32(io, &s->lmmeter);
	io_u32(io, &s->command_name);
	io_u32(io, &s->command_line);
	io_u32(io, &s->host_os);
	io_u32(io, &s->host_cpu);
	io_u32(io, &s->host_cpus);
	io_u64(io, &s->host_memory_bytes);
	io_u64(io, &s->start_ticks);
	io_u64(io, &s->start_realtime_ns);
	io_u8(io, &s->clock);
	io_u8(io, &s->threads_all);
	io_u8(io, &s->embedded);
	io_u8(io, &s->is_set);
}

static void io_fit(struct io *io, struct lmm_clock_fit *fit)
{
	uint64_t ticks = 0, ns = 0;

	io_count(io, &fit->n, LMM_CLOCK_FIT_MAX);
	io_u32(io, &fit->stride);
	io_u32(io, &fit->to_go);
	if (fit->n == 0 && fit->to_go)
		io->bad = 1; /* there is none whose place could be taken */
	for (uint32_t i = 0; i < fit->n; i++) {
		io_near(io, &fit->pairs[i].ticks, ticks);
		io_near(io, &fit->pairs[i].mono_ns, ns);
		io_u32(io, &fit->pairs[i].error_ns);
		/* lmm_clock_fit_add() keeps them in order; conversion relies on it */
		if (i && (fit->pairs[i].ticks <= ticks || fit->pairs[i].mono_ns < ns))
			io->bad = 1;
		ticks = fit->pairs[i].ticks;
		ns = fit->pairs[i].mono_ns;
	}
}

static void io_text(struct io *io, struct text *x)
{
	const void *data;

	io_count(io, &x->n, LMM_I_TEXT_BYTES);
	if (io->out) {
		lmm_buf_put(io->out, x->data, x->n);
		return;
	}
	data = io->bad ? NULL : lmm_cur_get(io->in, x->n);
	free(x->data);
	x->data = x->n && data ? malloc(x->n) : NULL;
	if (x->n && !x->data) {
		io->bad = 1;
		x->n = 0;
		return;
	}
	if (x->n)
		memcpy(x->data, data, x->n);
	x->cap = x->n;
	if (lmm__text_rehash(x))
		io->bad = 1;
}

static void io_names(struct io *io, struct lmm_analysis *a)
{
	io_count(io, &a->n_bases, LMM_I_BASES);
	for (uint32_t i = 0; i < a->n_bases; i++) {
		io_u32(io, &a->bases[i].name);
		io_u32(io, &a->bases[i].op);
		io_u32(io, &a->bases[i].weight_type);
		a->bases[i].role = (uint8_t)io_max(io, a->bases[i].role, LMM_ROLE_COUNT - 1);
	}
	io_count(io, &a->n_keys, LMM_I_KEYS);
	for (uint32_t i = 0; i < a->n_keys; i++) {
		struct key *k = &a->keys[i];

		k->base = (uint16_t)io_max(io, k->base, a->n_bases ? a->n_bases - 1 : 0);
		k->phase = (uint8_t)io_max(io, k->phase, LMM_PHASE_COUNT - 1);
		k->fused = (uint8_t)io_max(io, k->fused, 1);
		io_u32(io, &k->device);
		io_u64(io, &k->ticks_per_second);
	}
	io_u32(io, &a->cpu);
	if (a->n_bases == 0 || a->n_keys == 0)
		io->bad = 1;
	if (io->in && !io->bad)
		lmm__names_rehash(a);
}

/* A value that mostly is that of the last node of its base. */
static void io_again(struct io *io, uint64_t *last, uint64_t *v)
{
	uint64_t change = *v ^ *last;

	io_u64(io, &change);
	*last = *v = change ^ *last;
}

static void io_node(struct io *io, const struct lmm_analysis *a, struct graph_node *n,
		    const struct graph_node *before)
{
	uint64_t base = n->base, layer = n->layer;

	io_near(io, &base, before ? before->base + 1u : 0);
	io_near(io, &layer, before ? before->layer : 0);
	if (base >= a->n_bases || layer >= LMM_I_LAYERS) {
		io->bad = 1;
		return;
	}
	n->base = (uint16_t)base;
	n->layer = (uint16_t)layer;
	io_again(io, &io->last_bytes[base], &n->bytes);
	io_again(io, &io->last_flops[base], &n->flops);
	io_again(io, &io->last_streamed[base], &n->streamed);
	io_again(io, &io->last_positions[base], &n->positions);
	n->flags = (uint8_t)io_max(io, n->flags, NODE_EMBEDDING);
	n->part = (uint8_t)lmm__role_part(a->bases[base].role);
}

static void io_graph_head(struct io *io, struct graph *g)
{
	io_u32(io, &g->id);
	io_count(io, &g->n, LMM_I_GRAPH_NODES);
	io_u32(io, &g->n_tokens);
	io_u64(io, &g->used);
	io_u8(io, &g->embeds);
}

static void io_graph_nodes(struct io *io, const struct lmm_analysis *a, struct graph *g)
{
	for (uint32_t i = 0; i < g->n && !io->bad; i++)
		io_node(io, a, &g->nodes[i], i ? &g->nodes[i - 1] : NULL);
}

static void graph_load(struct io *io, struct lmm_analysis *a, uint32_t process)
{
	struct graph head = { 0 }, *g;
	uint64_t serial = a->serial;

	io_graph_head(io, &head);
	g = io->bad ? NULL : lmm__graph_new(a, process, head.id, head.n);
	if (!g) {
		io->bad = 1;
		return;
	}
	a->serial = serial;
	g->n_tokens = head.n_tokens;
	g->used = head.used;
	g->embeds = head.embeds;
	io_graph_nodes(io, a, g);
}

static void io_graphs(struct io *io, struct lmm_analysis *a, uint32_t process)
{
	struct process *p = &a->processes[process];
	uint32_t n = p->n_graphs;

	io_count(io, &n, LMM_I_GRAPHS);
	for (uint32_t i = 0; i < n && !io->bad; i++) {
		if (io->in) {
			graph_load(io, a, process);
		} else {
			io_graph_head(io, p->graphs[i]);
			io_graph_nodes(io, a, p->graphs[i]);
		}
	}
}

static void io_sample(struct io *io, struct lmm_clock_sample *s)
{
	io_u64(io, &s->host);
	io_u64(io, &s->device);
	io_u64(io, &s->error);
}

static void io_device_clock(struct io *io, struct device_clock *d)
{
	struct lmm_device_clock *c = &d->clock;

	io_u32(io, &d->process);
	io_u32(io, &d->device);
	c->n = (uint32_t)io_max(io, c->n, LMM_DEVICE_CLOCK_SAMPLES);
	c->next = (uint32_t)io_max(io, c->next, LMM_DEVICE_CLOCK_SAMPLES - 1);
	c->dropped = (uint32_t)io_max(io, c->dropped, LMM_DEVICE_CLOCK_SAMPLES);
	io_sample(io, &c->first);
	for (uint32_t i = 0; i < c->n; i++)
		io_sample(io, &c->newest[i]);
}

static void io_busy(struct io *io, struct process *p)
{
	uint32_t n = p->busy ? p->busy->n : 0;
	uint64_t near = 0;

	io_count(io, &n, LMM_I_BUSY);
	if (n && !p->busy && io->in)
		p->busy = calloc(1, sizeof(*p->busy));
	if (n == 0 || !p->busy) {
		io->bad |= n != 0;
		return;
	}
	for (uint32_t i = 0; i < n && !io->bad; i++) {
		struct busy *b = &p->busy->at[i];

		io_near(io, &b->t0, near);
		io_near(io, &b->t1, b->t0);
		io_u32(io, &b->step);
		b->phase = (uint8_t)io_max(io, b->phase, LMM_PHASE_COUNT - 1);
		/* disjoint and in order: lmm__busy_parts() relies on it */
		if (b->t1 <= b->t0 || (i && b->t0 < near))
			io->bad = 1;
		near = b->t1;
	}
	p->busy->n = io->bad ? 0 : n;
}

static void io_lead(struct io *io, struct lead *l)
{
	io_u64(io, &l->begun);
	io_near(io, &l->token, l->begun);
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++)
		io_u64(io, &l->ticks[i]);
	io_u64(io, &l->first_use);
}

static void io_process(struct io *io, struct lmm_analysis *a, uint32_t at)
{
	struct process *p = &a->processes[at];

	io_u32(io, &p->index);
	io_i32(io, &p->pid);
	io_i32(io, &p->parent_pid);
	io_u32(io, &p->name);
	io_u32(io, &p->engine_name);
	io_u32(io, &p->engine_version);
	io_u32(io, &p->door);
	io_u64(io, &p->start);
	io_u64(io, &p->end);
	io_u32(io, &p->op_cost_ps);
	io_u32(io, &p->pair_cost_ps);
	io_u64(io, &p->own_ticks);
	io_u64(io, &p->operators);
	io_u64(io, &p->pairs);
	io_u64(io, &p->requests);
	io_u64(io, &p->output_tokens);
	io_u8(io, &p->has_ended);
	io_u8(io, &p->is_bench);
	io_u8(io, &p->is_joined);
	io_u8(io, &p->has_tokenized);
	io_u8(io, &p->is_marked);
	io_u8(io, &p->level);
	io_u64(io, &p->harvest_ticks);
	io_u64(io, &p->harvested);
	io_u64(io, &p->commands);
	io_u64(io, &p->at_once);
	io_u64(io, &p->command_cost_mticks);
	io_u32(io, &p->device_every);
	io_lead(io, &p->lead);
	io_busy(io, p);
	io_graphs(io, a, at);
}

static void io_processes(struct io *io, struct lmm_analysis *a)
{
	uint32_t n = a->n_processes;

	io_count(io, &n, LMM_I_PROCESSES);
	for (uint32_t i = 0; i < n && !io->bad; i++) {
		if (io->in)
			a->n_processes = i + 1;
		io_process(io, a, i);
	}
}

static void io_model(struct io *io, struct model *m)
{
	io_u32(io, &m->process);
	io_u32(io, &m->name);
	io_u32(io, &m->description);
	io_u32(io, &m->architecture);
	io_u32(io, &m->quantization);
	io_u32(io, &m->file);
	io_u64(io, &m->size_bytes);
	io_u64(io, &m->parameters);
	io_u32(io, &m->layers);
	io_u32(io, &m->vocabulary);
	io_u32(io, &m->embedding);
	io_u32(io, &m->described);
}

static void io_load(struct io *io, struct load *l)
{
	io_u32(io, &l->process);
	io_u64(io, &l->bytes);
	io_u64(io, &l->count);
	io_u64(io, &l->ticks);
	io_u64(io, &l->minor);
	io_u64(io, &l->major);
}

static void io_device_name(struct io *io, struct device_name *d)
{
	io_u32(io, &d->process);
	io_u32(io, &d->kernel);
	io_u32(io, &d->name);
	io_u32(io, &d->device);
	io_u64(io, &d->program_hash);
	io_u8(io, &d->kind);
}

static void io_named(struct io *io, struct named *n)
{
	io_u32(io, &n->process);
	io_u32(io, &n->number);
	io_u32(io, &n->name);
	io_hist(io, &n->hist);
}

static void io_queue(struct io *io, struct queue *q)
{
	io_u32(io, &q->process);
	io_u32(io, &q->queue);
	io_u32(io, &q->device);
	io_u64(io, &q->ticks_per_second);
	io_u32(io, &q->device_number);
	q->out_of_order = (uint8_t)io_max(io, q->out_of_order, 1);
	q->has_last = (uint8_t)io_max(io, q->has_last, 1);
	io_u8(io, &q->last_kind);
	io_u8(io, &q->last_phase);
	q->has_hole = (uint8_t)io_max(io, q->has_hole, 1);
	io_u32(io, &q->last_id);
	io_u32(io, &q->last_step);
	io_u32(io, &q->last_context);
	io_u64(io, &q->last_end);
}

static void io_flight(struct io *io, struct flight *f)
{
	f->has = (uint8_t)io_max(io, f->has, 2);
	if (f->has == 0)
		return;
	f->phase = (uint8_t)io_max(io, f->phase, UINT8_MAX);
	io_u8(io, &f->status);
	f->is_behind_hole = (uint8_t)io_max(io, f->is_behind_hole, 1);
	f->is_first = (uint8_t)io_max(io, f->is_first, 1);
	f->is_in_buffer = (uint8_t)io_max(io, f->is_in_buffer, 1);
	io_u16(io, &f->queue);
	io_u32(io, &f->process);
	io_u32(io, &f->id);
	io_u32(io, &f->kernel);
	io_u32(io, &f->node);
	io_u32(io, &f->graph);
	io_u32(io, &f->step);
	io_u32(io, &f->context);
	io_u32(io, &f->amount);
	io_u64(io, &f->t);
	io_u64(io, &f->started);
	io_u64(io, &f->duration);
}

static void io_flights(struct io *io, struct lmm_analysis *a)
{
	uint32_t n = 0;

	for (uint32_t at = 0; (at = lmm__flight_next(a, at)) < LMM_I_FLIGHT; at++)
		n++;
	io_count(io, &n, LMM_I_FLIGHT);
	for (uint32_t i = 0, at = 0; i < n && !io->bad; i++, at++) {
		if (io->out)
			at = lmm__flight_next(a, at);
		at = (uint32_t)io_max(io, at, LMM_I_FLIGHT - 1);
		io_flight(io, &a->flights[at]);
		lmm__flight_use(a, at, a->flights[at].has != 0);
	}
}

static void io_split(struct io *io, struct split *s)
{
	io_hist(io, &s->steady);
	io_hist(io, &s->first);
}

static void io_places(struct io *io, struct places *p)
{
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		io_span(io, &p->all[i]);
		io_span(io, &p->longest[i]);
		io_span(io, &p->first_use[i]);
		for (unsigned c = 0; c < LMM_GAP_CAUSES; c++) {
			io_u64(io, &p->gaps[i][c].count);
			io_u64(io, &p->gaps[i][c].ticks);
			io_span(io, &p->gaps[i][c].longest);
		}
	}
}

static void io_layer(struct io *io, struct layer_sum *y)
{
	for (unsigned p = 0; p < LAYER_PARTS; p++)
		io_u64(io, &y->part[p]);
	io_u64(io, &y->prefill);
	io_u64(io, &y->decode);
	for (unsigned t = 0; t < LMM_LAYER_TURNS; t++)
		io_u64(io, &y->turn[t]);
	io_u64(io, &y->bytes);
}

static void io_filled(struct io *io, struct filled *f)
{
	io_u64(io, &f->tokens);
	io_u64(io, &f->positions);
}

static void io_ledger(struct io *io, struct ledger *l)
{
	uint32_t bins = l->n_bins, layers = l->n_layers, kernels = l->n_kernels;

	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		io_split(io, &l->phases[i].hist);
		io_u64(io, &l->phases[i].host);
		io_u64(io, &l->phases[i].host_first);
		io_u64(io, &l->phases[i].device);
		io_u64(io, &l->phases[i].moved_in);
		io_u64(io, &l->phases[i].first_use);
		io_u64(io, &l->phases[i].estimated);
	}
	io_split(io, &l->prefill);
	io_split(io, &l->decode);
	io_u64(io, &l->prefill_tokens);
	io_u64(io, &l->decode_tokens);
	io_u64(io, &l->prefill_first_tokens);
	io_u64(io, &l->decode_first_tokens);
	io_u64(io, &l->steps);
	io_u64(io, &l->span);
	io_u64(io, &l->kernel_ticks);
	io_u64(io, &l->gap);
	io_u64(io, &l->own);
	io_u64(io, &l->device_busy);
	io_u64(io, &l->timed);
	io_u64(io, &l->untimed);
	io_hist(io, &l->step_timed);
	io_hist(io, &l->step_untimed);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		io_hist(io, &l->device_gaps[i].hist);
		io_u64(io, &l->device_gaps[i].unsure);
	}
	io_places(io, &l->places);
	io_filled(io, &l->prefill_filled);
	io_filled(io, &l->decode_filled);
	io_u64(io, &l->bin_width);
	io_count(io, &bins, LMM_I_BINS);
	io_count(io, &layers, LMM_I_LAYERS);
	io_count(io, &kernels, LMM_I_KEYS);
	if (l->bin_width < LMM_I_BIN_WIDTH || (l->bin_width & (l->bin_width - 1)) ||
	    l->bin_width > (uint64_t)1 << 60)
		io->bad = 1;
	if (io->in && !io->bad &&
	    (lmm__ledger_grow_bins(l, bins) || lmm__ledger_grow_layers(l, layers) ||
	     lmm__ledger_grow_kernels(l, kernels)))
		io->bad = 1;
	if (io->bad)
		return;
	for (uint32_t i = 0; i < bins; i++)
		io_hist(io, &l->bins[i]);
	for (uint32_t i = 0; i < layers; i++)
		io_layer(io, &l->layers[i]);
	for (uint32_t i = 0; i < kernels; i++) {
		io_split(io, &l->kernels[i].hist);
		io_u64(io, &l->kernels[i].first_use);
		io_u64(io, &l->kernels[i].untimed);
		io_u64(io, &l->kernels[i].alone);
		io_u64(io, &l->kernels[i].opened);
		io_u64(io, &l->kernels[i].in_buffer);
		io_u8(io, &l->kernels[i].is_buffer);
		io_u64(io, &l->kernels[i].bytes);
		io_u64(io, &l->kernels[i].flops);
		io_u64(io, &l->kernels[i].streamed);
		io_u64(io, &l->kernels[i].positions);
	}
}

static void io_context(struct io *io, struct context *c)
{
	uint32_t n = c->n_held;

	io_u32(io, &c->process);
	io_u32(io, &c->id);
	io_u32(io, &c->serial);
	io_u64(io, &c->used);
	io_u64(io, &c->begun);
	io_u64(io, &c->gone);
	io_u8(io, &c->is_decided);
	io_u8(io, &c->is_warm1);
	io_u8(io, &c->is_warm2);
	io_u64(io, &c->tokens);
	io_u64(io, &c->requests);
	io_u64(io, &c->first_call);
	io_u64(io, &c->cleared);
	io_u32(io, &c->step);
	io_u8(io, &c->has_step);
	io_count(io, &n, LMM_I_HELD);
	for (uint32_t i = 0; i < n && !io->bad; i++) {
		struct held *h = &c->held[i];

		if (io->in) {
			h->ledger = lmm__ledger_create();
			if (!h->ledger) {
				io->bad = 1;
				return;
			}
			c->n_held = i + 1;
		}
		io_u64(io, &h->from);
		io_u64(io, &h->to);
		io_ledger(io, h->ledger);
	}
}

static void io_frame(struct io *io, struct frame *f)
{
	f->phase = (uint8_t)io_max(io, f->phase, LMM_PHASE_COUNT - 1);
	io_u8(io, &f->flags);
	io_u16(io, &f->seq);
	io_u32(io, &f->step);
	io_u64(io, &f->begin);
	io_u64(io, &f->ticks);
	io_u64(io, &f->embedding);
}

/* The graph and the ledger of a run are found again when all is read. */
static void io_run(struct io *io, struct lmm_analysis *a, const struct stream *s, struct run *r)
{
	uint8_t has_graph = r->is_active && r->graph;

	r->is_active = (uint8_t)io_max(io, r->is_active, 1);
	io_u32(io, &r->graph_id); /* commands name it behind the run's end too */
	r->is_tainted = (uint8_t)io_max(io, r->is_tainted, 1);
	io_u8(io, &has_graph);
	if (!r->is_active)
		return;
	r->is_worker = (uint8_t)io_max(io, r->is_worker, 1);
	r->class_at = (uint8_t)io_max(io, r->class_at, LMM_I_CLASSES - 2) & 0xfe;
	r->turn = (uint8_t)io_max(io, r->turn, LMM_LAYER_TURNS - 1);
	io_u32(io, &r->context);
	io_u64(io, &r->begin);
	io_u64(io, &r->kernels);
	io_u64(io, &r->gap);
	io_u64(io, &r->own);
	if (io->in && has_graph)
		r->graph = lmm__graph_peek(a, s->process, r->graph_id);
}

static void io_stream(struct io *io, struct lmm_analysis *a, struct stream *s)
{
	io_u32(io, &s->index);
	io_u64(io, &s->used);
	io_u32(io, &s->process);
	io_i32(io, &s->tid);
	io_count(io, &s->depth, LMM_I_DEPTH);
	for (uint32_t i = 0; i < s->depth; i++)
		io_frame(io, &s->frames[i]);
	io_u32(io, &s->too_deep);
	io_u64(io, &s->piece_t);
	io_u64(io, &s->newest);
	io_run(io, a, s, &s->run);
	io_u64(io, &s->op.t);
	io_u64(io, &s->op.barrier);
	io_u32(io, &s->op.node);
	s->op.is_fused = (uint8_t)io_max(io, s->op.is_fused, 1);
	s->op.is_set = (uint8_t)io_max(io, s->op.is_set, 1);
	io_u32(io, &s->step);
	io_u8(io, &s->step_phase);
	io_u32(io, &s->step_context);
	for (unsigned i = 0; i < LMM_I_PASSED; i++) {
		io_u32(io, &s->passed[i].step);
		io_u32(io, &s->passed[i].context);
	}
	io_u32(io, &s->device_graph);
	io_u32(io, &s->pass_step);
	io_u32(io, &s->buffer);
	s->buffer_begins = (uint8_t)io_max(io, s->buffer_begins, 1);
	io_u64(io, &s->first_use_end);
	io_u64(io, &s->build_ticks);
	io_u8(io, &s->commands_since_build);
	io_flight(io, &s->last);
	s->last_is_timed = (uint8_t)io_max(io, s->last_is_timed, 1);
	io_u32(io, &s->untimed_step);
	io_u64(io, &s->load_ticks);
	io_u8(io, &s->has_load);
	io_u64(io, &s->stored);
	io_u64(io, &s->invalid);
	io_u64(io, &s->operators);
	io_u64(io, &s->lost_marked);
	io_u8(io, &s->has_loss);
	io_u64(io, &s->emitted);
	io_u64(io, &s->lost);
	io_u64(io, &s->busy);
	io_u64(io, &s->wait);
	io_tallies(io, s->since, LMM_PHASE_COUNT);
	io_u64(io, &s->last_token);
	for (unsigned i = 0; i < LMM_I_DEPTH; i++) {
		io_u64(io, &s->away[i].begin);
		io_u64(io, &s->away[i].ticks);
		io_u8(io, &s->away[i].phase);
	}
	s->next_away = (uint32_t)io_max(io, s->next_away, LMM_I_DEPTH - 1);
}

static void io_streams(struct io *io, struct lmm_analysis *a)
{
	uint32_t n = 0, at = 0;

	for (uint32_t i = 0; i < LMM_I_STREAMS; i++)
		n += a->streams[i] != NULL;
	io_count(io, &n, LMM_I_STREAMS);
	for (uint32_t i = 0; i < n && !io->bad; i++, at++) {
		while (io->out && !a->streams[at])
			at++;
		at = (uint32_t)io_max(io, at, LMM_I_STREAMS - 1);
		if (io->in && !a->streams[at])
			a->streams[at] = calloc(1, sizeof(struct stream));
		if (!a->streams[at]) {
			io->bad = 1;
			return;
		}
		io_stream(io, a, a->streams[at]);
	}
}

static void io_fact(struct io *io, struct fact *f, uint64_t near)
{
	io_near(io, &f->t, near);
	io_u64(io, &f->serial);
	io_near(io, &f->t0, f->t);
	io_u64(io, &f->a);
	io_near(io, &f->b, f->kind == FACT_PIECE ? f->t : 0);
	io_u32(io, &f->stream);
	io_u32(io, &f->process);
	io_u32(io, &f->step);
	io_u32(io, &f->context);
	io_u16(io, &f->seq);
	io_u8(io, &f->phase);
	f->flags = (uint8_t)io_max(io, f->flags, FACT_LAST | FACT_IS_SHIFT | FACT_IS_FIRST_USE);
}

static void io_step(struct io *io, struct step *s)
{
	s->is_set = (uint8_t)io_max(io, s->is_set, 1);
	if (!s->is_set)
		return;
	s->phase = (uint8_t)io_max(io, s->phase, LMM_PHASE_COUNT - 1);
	io_u8(io, &s->is_unnamed);
	io_u8(io, &s->has_ended);
	io_u8(io, &s->is_pending);
	io_u8(io, &s->is_counted);
	io_u8(io, &s->is_shift);
	io_u8(io, &s->is_untimed);
	io_u8(io, &s->is_first_use);
	io_u8(io, &s->is_slowed);
	io_u32(io, &s->process);
	io_u32(io, &s->id);
	io_u32(io, &s->context);
	io_u64(io, &s->begin);
	io_u64(io, &s->call);
	io_u64(io, &s->tokens);
	io_u64(io, &s->outputs);
	io_u64(io, &s->ticks);
	io_u64(io, &s->whole);
	io_u32(io, &s->n_seq);
	io_u64(io, &s->position);
}

static void io_tokenize(struct io *io, struct tokenize *x)
{
	io_u32(io, &x->process);
	io_u32(io, &x->stream);
	io_u64(io, &x->t0);
	io_near(io, &x->t1, x->t0);
	io_u64(io, &x->ticks);
	io_u64(io, &x->tokens);
	io_u8(io, &x->has_count);
	io_u8(io, &x->is_begin);
	io_u32(io, &x->context);
	io_u16(io, &x->seq);
	io_u8(io, &x->phase);
	io_tallies(io, x->since, LMM_PHASE_COUNT);
}

static void io_recent(struct io *io, struct recent *r)
{
	r->n = (uint32_t)io_max(io, r->n, RECENT_KEPT);
	r->next = (uint32_t)io_max(io, r->next, RECENT_KEPT - 1);
	for (uint32_t i = 0; i < r->n; i++)
		io_u64(io, &r->at[i]);
}

static void io_mark(struct io *io, struct mark *m)
{
	m->is_set = (uint8_t)io_max(io, m->is_set, 1);
	if (!m->is_set)
		return;
	io_u64(io, &m->t);
	io_tallies(io, m->sums, LMM_PHASE_COUNT);
}

static void io_shifts(struct io *io, struct shifts *s)
{
	io_u64(io, &s->n);
	io_u64(io, &s->tokens);
	io_u64(io, &s->ticks);
}

static void io_request(struct io *io, struct request *r)
{
	io_u32(io, &r->process);
	io_u32(io, &r->context);
	io_u32(io, &r->context_id);
	io_u16(io, &r->seq);
	r->state = (uint8_t)io_max(io, r->state, REQUEST_HELD);
	io_u8(io, &r->is_warm);
	io_u8(io, &r->is_complete);
	io_u8(io, &r->is_joined);
	io_u64(io, &r->first);
	io_near(io, &r->start, r->first);
	io_near(io, &r->newest, r->first);
	io_u32(io, &r->stream);
	io_u32(io, &r->first_stream);
	io_u64(io, &r->on_stream);
	io_u64(io, &r->call);
	io_u64(io, &r->call_end);
	io_u64(io, &r->call_outputs);
	io_u32(io, &r->call_step);
	io_u64(io, &r->gaps_apart);
	io_u64(io, &r->draft_call);
	io_u32(io, &r->draft_context);
	io_u64(io, &r->newest_call.first);
	io_u64(io, &r->newest_call.tokens);
	io_u64(io, &r->newest_call.prefill_steps);
	io_u64(io, &r->newest_call.decode_steps);
	io_u8(io, &r->newest_call.had_outputs);
	io_u8(io, &r->newest_call.is_prompt);
	io_u64(io, &r->refused);
	io_u64(io, &r->holds);
	io_u32(io, &r->n_moved);
	io_shifts(io, &r->shifts);
	io_u64(io, &r->prompt_end);
	io_u64(io, &r->computed);
	io_u64(io, &r->cached);
	io_u8(io, &r->has_outputs);
	io_u64(io, &r->tokens);
	io_u64(io, &r->first_token);
	io_u64(io, &r->last_token);
	io_u64(io, &r->guessed);
	io_u64(io, &r->first_guess);
	io_u64(io, &r->last_guess);
	io_u64(io, &r->prefill_steps);
	io_u64(io, &r->decode_steps);
	io_u64(io, &r->earlier_token);
	io_tallies(io, r->sums, LMM_PHASE_COUNT);
	for (unsigned i = 0; i < MARKS; i++)
		io_mark(io, &r->marks[i]);
	io_tallies(io, r->since, LMM_PHASE_COUNT);
	io_u64(io, &r->booked);
	io_count(io, &r->n_leads, LMM_I_LEADS);
	for (uint32_t i = 0; i < r->n_leads; i++)
		io_span(io, &r->leads[i]);
	io_recent(io, &r->recent);
	io_hist(io, &r->gaps);
	io_hist(io, &r->idle);
}

static void io_done(struct io *io, struct done *d)
{
	io_u32(io, &d->process);
	io_u32(io, &d->context_id);
	io_u16(io, &d->seq);
	io_u8(io, &d->is_complete);
	io_u8(io, &d->is_joined);
	io_u64(io, &d->start);
	io_near(io, &d->end, d->start);
	io_u64(io, &d->computed);
	io_u64(io, &d->cached);
	io_u64(io, &d->tokens);
	io_near(io, &d->first_token, d->start);
	io_near(io, &d->last_token, d->end);
	io_u64(io, &d->prefill_steps);
	io_u64(io, &d->decode_steps);
	io_u64(io, &d->shifts);
	io_u64(io, &d->refused);
	io_tallies(io, d->sums, LMM_PHASE_COUNT);
}

/* ---- all ---------------------------------------------------------------------------------------- */

static void io_windows(struct io *io, struct windows *w)
{
	io_u64(io, &w->n);
	io_u64(io, &w->steps);
	io_u64(io, &w->open_ticks);
	io_u64(io, &w->slowed_ticks);
	io_u64(io, &w->records);
	io_u64(io, &w->expected);
	io_u64(io, &w->unmatched);
	io_u64(io, &w->dropped);
	io_u64(io, &w->garbage);
	for (unsigned i = 0; i < 2; i++) {
		io_u64(io, &w->stalls[i]);
		io_u64(io, &w->stall_ticks[i]);
		io_u64(io, &w->stall_max[i]);
	}
	io_u64(io, &w->check_steps);
	io_u64(io, &w->union_ns);
	io_u64(io, &w->pass_ns);
	io_u64(io, &w->calls);
	io_u64(io, &w->call_ticks);
	io_u64(io, &w->waits);
	io_u64(io, &w->wait_ticks);
}

static void io_head(struct io *io, struct lmm_analysis *a)
{
	io_session(io, &a->session);
	io_fit(io, &a->fit);
	io_u32(io, &a->clock_error_ns);
	io_u64(io, &a->newest);
	io_u64(io, &a->serial);
	io_u64(io, &a->end_ticks);
	io_u8(io, &a->has_end);
	io_i32(io, &a->exit_status);
	io_u64(io, &a->collector_cpu_ns);
	io_u64(io, &a->no_ring_lost);
	io_u64(io, &a->dropped_events);
	io_u64(io, &a->past_stored);
	io_u64(io, &a->past_invalid);
	io_u64(io, &a->past_operators);
	io_u64(io, &a->past_emitted);
	io_u64(io, &a->past_lost);
	io_u8(io, &a->past_has_loss);
	io_u64(io, &a->warm_requests);
	io_u32(io, &a->next_context);
	io_u64(io, &a->requests_total);
	io_u64(io, &a->output_tokens);
	io_u64(io, &a->spans_floor);
	io_u64(io, &a->spans_past);
	io_hist(io, &a->ttft);
	io_hist(io, &a->tpot);
	io_hist(io, &a->duration);
	io_hist(io, &a->itl);
	io_hist(io, &a->device_errors);
	io_u64(io, &a->device_early);
	io_u64(io, &a->device_unavailable);
	io_u64(io, &a->device_failed);
	io_u64(io, &a->device_disordered);
	io_windows(io, &a->windows);
	io_u64(io, &a->gaps_apart);
	io_shifts(io, &a->shifts);
	io_u64(io, &a->refusals.n);
	io_u64(io, &a->refusals.ticks);
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		io_u64(io, &a->away_of[i]);
		for (unsigned k = 0; k < LMM_PHASE_COUNT; k++)
			io_u64(io, &a->away_to[i][k]);
	}
	io_count(io, &a->n_reasons, LMM_I_REASONS);
	for (uint32_t i = 0; i < a->n_reasons; i++)
		io_u32(io, &a->reasons[i].text);
}

#define IO_ARRAY(io, array, n, max, walk)                                                          \
	do {                                                                                       \
		io_count(io, &(n), max);                                                           \
		for (uint32_t i_ = 0; i_ < (n); i_++)                                              \
			walk(io, &(array)[i_]);                                                    \
	} while (0)

static void io_descriptions(struct io *io, struct lmm_analysis *a)
{
	io_text(io, &a->text);
	io_names(io, a);
	if (io->bad)
		return;
	io_processes(io, a);
	IO_ARRAY(io, a->models, a->n_models, LMM_I_MODELS, io_model);
	IO_ARRAY(io, a->loads, a->n_loads, LMM_I_LOADS, io_load);
	IO_ARRAY(io, a->device_names, a->n_device_names, LMM_I_DEVICE_NAMES, io_device_name);
	IO_ARRAY(io, a->queues, a->n_queues, LMM_I_QUEUES, io_queue);
	IO_ARRAY(io, a->named, a->n_named, LMM_I_NAMED, io_named);
	IO_ARRAY(io, a->device_clocks, a->n_device_clocks, LMM_I_DEVICES, io_device_clock);
}

static void io_sums(struct io *io, struct lmm_analysis *a)
{
	uint64_t near = 0;

	io_flights(io, a);
	io_ledger(io, a->main);
	io_ledger(io, a->warm);
	IO_ARRAY(io, a->contexts, a->n_contexts, LMM_I_CONTEXTS, io_context);
	io_streams(io, a);
	a->facts_max = (uint32_t)io_max(io, a->facts_max, LMM_I_FACTS);
	io_count(io, &a->n_facts, LMM_I_FACTS);
	for (uint32_t i = 0; i < a->n_facts; i++) {
		io_u8(io, &a->facts[i].kind);
		io_fact(io, &a->facts[i], near);
		near = a->facts[i].t;
	}
	for (uint32_t i = 0; i < LMM_I_STEPS; i++)
		io_step(io, &a->steps[i]);
	IO_ARRAY(io, a->tokenizes, a->n_tokenizes, LMM_I_TOKENIZES, io_tokenize);
	io_count(io, &a->n_idles, LMM_I_IDLES);
	for (uint32_t i = 0; i < a->n_idles; i++) {
		io_u32(io, &a->idles[i].stream);
		io_span(io, &a->idles[i].span);
	}
	IO_ARRAY(io, a->requests, a->n_requests, LMM_I_REQUESTS, io_request);
	IO_ARRAY(io, a->done, a->n_done, LMM_RESULT_REQUESTS_MAX, io_done);
	IO_ARRAY(io, a->spans, a->n_spans, LMM_I_SPANS, io_span);
}

static void io_sensors(struct io *io, struct lmm_analysis *a)
{
	if (io->out) {
		lmm__sensors_save(a->sensors, io->out);
	} else if (lmm__sensors_load(a->sensors, &a->text, io->in)) {
		io->bad = 1;
	}
}

static void io_moment(struct io *io, struct moment *m)
{
	io_u64(io, &m->t0);
	io_near(io, &m->t1, m->t0);
	io_u64(io, &m->run_wait);
	io_u64(io, &m->major);
	io_u64(io, &m->minor);
	io_u64(io, &m->hz);
	m->has_process = (uint8_t)io_max(io, m->has_process, 1);
	m->throttled = (uint8_t)io_max(io, m->throttled, 1);
}

static void io_moments(struct io *io, struct moments *x)
{
	x->next = (uint32_t)io_max(io, x->next, MOMENTS_KEPT - 1);
	io_count(io, &x->n, MOMENTS_KEPT);
	for (uint32_t i = 0; i < x->n; i++)
		io_moment(io, &x->at[i]);
	io_u64(io, &x->run_wait);
	io_u64(io, &x->major);
	io_u64(io, &x->minor);
	x->has_process = (uint8_t)io_max(io, x->has_process, 1);
	io_double(io, &x->hz_ticks);
	io_u64(io, &x->hz_covered);
	io_span(io, &x->throttled.now);
	io_span(io, &x->throttled.longest);
	io_span(io, &x->waiting.now);
	io_span(io, &x->waiting.longest);
}

static void io_slow_token(struct io *io, struct slow_token *x)
{
	io_u64(io, &x->t0);
	io_near(io, &x->t1, x->t0);
	io_u64(io, &x->usual);
	io_near(io, &x->told, x->t1);
	io_u64(io, &x->run_wait);
	io_u64(io, &x->major);
	io_u64(io, &x->minor);
	io_u64(io, &x->hz);
	x->phase = (uint8_t)io_max(io, x->phase, LMM_PHASE_COUNT - 1);
	x->cause = (uint8_t)io_max(io, x->cause, LMM_TOKEN_CAUSES - 1);
	x->has_process = (uint8_t)io_max(io, x->has_process, 1);
	x->throttled = (uint8_t)io_max(io, x->throttled, 1);
}

static void io_token_watch(struct io *io, struct token_watch *w)
{
	io_u64(io, &w->count);
	io_u64(io, &w->ticks);
	io_u64(io, &w->changes);
	io_u64(io, &w->slow);
	io_u64(io, &w->over);
	io_span(io, &w->span);
	IO_ARRAY(io, w->worst, w->n_worst, LMM_RESULT_SLOW_TOKENS, io_slow_token);
}

static void io_analysis(struct io *io, struct lmm_analysis *a)
{
	io_head(io, a);
	io_descriptions(io, a);
	if (!io->bad)
		io_sums(io, a);
	if (!io->bad)
		io_sensors(io, a);
	if (!io->bad) {
		io_moments(io, a->moments);
		io_token_watch(io, &a->tokens);
	}
}

/* ---- both ends ---------------------------------------------------------------------------------- */

int lmm_analysis_save(const struct lmm_analysis *a, struct lmm_buf *out)
{
	struct io *io = calloc(1, sizeof(*io));
	int rc;

	if (!io)
		return -ENOMEM;
	io->out = out;
	lmm_buf_put_varint(out, STATE_VERSION);
	/* writing leaves every field as it was */
	io_analysis(io, (struct lmm_analysis *)(uintptr_t)a);
	rc = out->overflow ? -ENOMEM : 0;
	free(io);
	return rc;
}

static int load_into(struct lmm_analysis *fresh, struct lmm_cur *in)
{
	struct io *io = calloc(1, sizeof(*io));
	int rc;

	if (!io)
		return -ENOMEM;
	io->in = in;
	io_analysis(io, fresh);
	rc = io->bad || in->bad || lmm_cur_left(in) ? LMM_E_CORRUPT : lmm__references_check(fresh);
	free(io);
	return rc;
}

int lmm_analysis_load(struct lmm_analysis *a, const void *data, size_t size_bytes)
{
	struct lmm_cur in = lmm_cur_make(data, size_bytes);
	struct lmm_analysis *fresh, old;
	int rc;

	if (lmm_cur_varint(&in) != STATE_VERSION)
		return in.bad ? LMM_E_CORRUPT : LMM_E_VERSION;
	fresh = lmm_analysis_create();
	if (!fresh)
		return -ENOMEM;
	rc = load_into(fresh, &in);
	if (rc == 0) {
		old = *a;
		*a = *fresh;
		*fresh = old;
	}
	lmm_analysis_destroy(fresh);
	return rc;
}
