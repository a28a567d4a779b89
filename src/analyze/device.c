/* SPDX-License-Identifier: Apache-2.0 */
/* Device commands: two halves, from two streams, in any order. */
#include <string.h>

#include "analyze/state.h"

enum { HAS_COMMAND = 1, HAS_COMPLETION = 2 };

static struct flight *flight_at(struct lmm_analysis *a, uint32_t process, uint32_t queue,
				uint32_t id)
{
	uint32_t at = id % 4096u + queue * 4096u + process * 2654435761u;

	return &a->flights[at % LMM_I_FLIGHT];
}

void lmm__flight_use(struct lmm_analysis *a, uint32_t at, int is_used)
{
	uint64_t bit = (uint64_t)1 << at % 64;

	if (is_used) {
		a->flights_used[at / 64] |= bit;
	} else {
		a->flights_used[at / 64] &= ~bit;
	}
}

uint32_t lmm__flight_next(const struct lmm_analysis *a, uint32_t at)
{
	for (; at < LMM_I_FLIGHT; at = (at / 64 + 1) * 64) {
		uint64_t word = a->flights_used[at / 64] >> at % 64;

		if (word)
			return at + (uint32_t)__builtin_ctzll(word);
	}
	return LMM_I_FLIGHT;
}

static int flight_is(const struct flight *f, uint32_t process, uint32_t queue, uint32_t id)
{
	return f->has && f->process == process && f->queue == queue && f->id == id;
}

static struct queue *queue_find(const struct lmm_analysis *a, uint32_t process, uint32_t queue)
{
	uint32_t index = a->processes[process].index;

	for (uint32_t i = 0; i < a->n_queues; i++) {
		if (a->queues[i].process == index && a->queues[i].queue == queue)
			return &a->queues[i];
	}
	return NULL;
}

static const struct device_name *kernel_find(const struct lmm_analysis *a, uint32_t process,
					     uint32_t kernel)
{
	uint32_t index = a->processes[process].index;

	/* numbers are given in order: it is where it stands, or nearby if several processes share the list */
	for (uint32_t i = 0, at = kernel; i < a->n_device_names; i++, at++) {
		const struct device_name *d = &a->device_names[at % a->n_device_names];

		if (d->process == index && d->kernel == kernel)
			return d;
	}
	return NULL;
}

/* ---- clocks ------------------------------------------------------------------------------------- */

static struct device_clock *clock_find(const struct lmm_analysis *a, uint32_t process,
				       uint32_t device)
{
	for (uint32_t i = 0; i < a->n_device_clocks; i++) {
		struct device_clock *c = &a->device_clocks[i];

		if (c->process == process && c->device == device)
			return c;
	}
	return NULL;
}

static double device_rate(const struct lmm_analysis *a, const struct queue *q)
{
	return lmm_device_clock_rate(q->ticks_per_second, lmm_clock_fit_rate(&a->fit));
}

static void device_clock(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct device_clock *c = clock_find(a, s->process, e->id);
	const struct queue *q = queue_find(a, s->process, e->seq);

	if (!c && a->n_device_clocks < LMM_I_DEVICES) {
		c = &a->device_clocks[a->n_device_clocks++];
		memset(c, 0, sizeof(*c));
		c->process = s->process;
		c->device = e->id;
	}
	if (c && lmm_device_clock_add(&c->clock, e, q ? device_rate(a, q) : 1))
		s->invalid++;
}

/* A span of device ticks as session ticks. */
static uint64_t device_span(const struct lmm_analysis *a, const struct queue *q, uint64_t span)
{
	double ticks = (double)span * device_rate(a, q);

	return ticks < 9e18 ? (uint64_t)(ticks + 0.5) : INT64_MAX;
}

/* ---- what a command is -------------------------------------------------------------------------- */

struct command {
	const struct device_name *name; /* NULL: not described */
	const struct graph_node *node;	/* NULL: of no node */
	struct queue *queue;		/* NULL: not described */
	struct ledger *ledger;
	unsigned phase; /* what it is booked to */
	uint16_t key;
};

static int moves_bytes(unsigned kind)
{
	return kind >= LMM_KERNEL_READ && kind <= LMM_KERNEL_MAP;
}

static int command_name(struct lmm_analysis *a, const struct flight *f, struct command *c)
{
	const struct graph *g = lmm__graph_find(a, f->process, f->graph);
	struct base b = { 0 };
	struct key k = { 0 };

	c->name = kernel_find(a, f->process, f->kernel);
	c->node = g && f->node < g->n ? &g->nodes[f->node] : NULL;
	c->queue = queue_find(a, f->process, f->queue);
	c->ledger = lmm__ledger_now(a, f->context);
	c->phase = f->phase < LMM_PHASE_COUNT ? f->phase : LMM_PHASE_NONE;
	if (c->node && c->node->flags & NODE_EMBEDDING)
		c->phase = LMM_PHASE_EMBEDDING;
	if (c->node)
		b = a->bases[c->node->base];
	if (c->name)
		b.name = c->name->name;
	k.base = lmm__base(a, &b);
	k.phase = (uint8_t)c->phase;
	k.device = c->queue ? c->queue->device : 0;
	k.ticks_per_second = c->queue ? c->queue->ticks_per_second : 0;
	c->key = lmm__key(a, &k);
	if (lmm__ledger_grow_kernels(c->ledger, a->n_keys)) {
		a->failed = 1;
		return -1;
	}
	return 0;
}

/* The same, and what it did counts. */
static int command_look(struct lmm_analysis *a, const struct flight *f, struct command *c)
{
	if (command_name(a, f, c))
		return -1;
	if (c->name && moves_bytes(c->name->kind)) {
		c->ledger->kernels[c->key].bytes += f->amount;
		return 0;
	}
	if (c->node) {
		struct kernel_sum *sum = &c->ledger->kernels[c->key];

		sum->bytes += c->node->bytes;
		sum->flops += c->node->flops;
		sum->streamed += c->node->streamed;
		sum->positions += c->node->positions;
	}
	return 0;
}

/* ---- booking ------------------------------------------------------------------------------------ */

static unsigned kind_of(const struct command *c)
{
	return c->name ? c->name->kind : LMM_KERNEL_PROGRAM;
}

/* Puts it on the host's timeline, if that can be told. Returns what of it belongs to no command that was told before. */
static uint64_t command_place(struct lmm_analysis *a, const struct flight *f,
			      const struct command *c, uint64_t ticks)
{
	const struct device_clock *clock = clock_find(a, f->process, c->queue->device_number);
	struct busy b = { .step = f->step, .phase = (uint8_t)c->phase };
	uint64_t error = 0, dispatch, added;

	if (clock) {
		b.t0 = lmm_device_clock_place(&clock->clock, f->started, device_rate(a, c->queue),
					      &error);
	}
	if (b.t0 == 0)
		return ticks;
	b.t1 = b.t0 + ticks;
	/* nothing starts before it is handed over: what the pairs promised does not hold here (QUEUED of some drivers is no
	 * stamp of the call), and the doubt is larger than they say */
	if (b.t0 + error < f->t) {
		a->device_early++;
		error = f->t - b.t0;
	}
	lmm_hist_add(&a->device_errors, error);
	dispatch = lmm__device_gap(c->queue, f, kind_of(c), &b, error, c->ledger);
	/* a marker's time is that of others */
	if (kind_of(c) == LMM_KERNEL_MARKER || b.t1 <= b.t0)
		return 0;
	added = lmm__busy_add(a, f->process, &b, dispatch > error ? dispatch : error);
	/* it makes room by deciding older things, after which the ledger may be another one */
	lmm__ledger_now(a, f->context)->device_busy += added;
	return added;
}

/* All that a step handed over in a phase: the device was busy with it, and that is all. */
static void pass_book(struct lmm_analysis *a, const struct flight *f)
{
	struct command c = { .name = kernel_find(a, f->process, f->kernel),
			     .queue = queue_find(a, f->process, f->queue),
			     .ledger = lmm__ledger_now(a, f->context),
			     .phase = f->phase < LMM_PHASE_COUNT ? f->phase : LMM_PHASE_NONE };
	uint64_t added;

	if (!c.queue)
		return;
	added = command_place(a, f, &c, device_span(a, c.queue, f->duration));
	lmm__ledger_now(a, f->context)->phases[c.phase].device += added;
}

static int is_pass(const struct lmm_analysis *a, const struct flight *f)
{
	const struct device_name *name = kernel_find(a, f->process, f->kernel);

	return name && name->kind == LMM_KERNEL_PASS;
}

static void flight_book(struct lmm_analysis *a, const struct flight *f)
{
	struct command c;
	uint64_t ticks, alone;

	if (is_pass(a, f)) {
		pass_book(a, f);
		return;
	}
	if (command_look(a, f, &c))
		return;
	c.ledger->timed++;
	ticks = c.queue ? device_span(a, c.queue, f->duration) : f->duration;
	lmm__split_add(&c.ledger->kernels[c.key].hist, f->duration, f->is_first);
	alone = c.queue ? command_place(a, f, &c, ticks) : ticks;
	/* to place it may have decided what its context was there for */
	c.ledger = lmm__ledger_now(a, f->context);
	if (lmm__ledger_grow_kernels(c.ledger, a->n_keys)) {
		a->failed = 1;
		return;
	}
	c.ledger->kernels[c.key].alone += alone;
	c.ledger->kernels[c.key].in_buffer += f->is_in_buffer;
	if (kind_of(&c) == LMM_KERNEL_MARKER)
		return;
	c.ledger->phases[c.phase].device += alone;
	lmm__layer_add(c.ledger, c.node, f->phase < LMM_PHASE_COUNT ? f->phase : LMM_PHASE_NONE,
		       f->step, alone);
}

/* It ended, and that is all that is known. */
static void flight_without_times(struct lmm_analysis *a, const struct flight *f)
{
	struct queue *q = queue_find(a, f->process, f->queue);
	struct command c;

	if (f->status == LMM_COMPLETION_DISORDERED) {
		a->past_invalid++;
		a->device_disordered++;
	} else if (f->status == LMM_COMPLETION_FAILED) {
		a->device_failed++;
	} else {
		a->device_unavailable++;
	}
	if (q)
		q->has_last = 0;
	if (is_pass(a, f))
		return;
	if (command_look(a, f, &c))
		return;
	c.ledger->untimed++;
	c.ledger->kernels[c.key].untimed++;
}

/* ---- pairing ------------------------------------------------------------------------------------ */

/* Whoever finds the place taken by another pair's half takes it over: that one waits no longer. */
static struct flight *flight_open(struct lmm_analysis *a, struct stream *s,
				  const struct lmm_event *e)
{
	struct flight *f = flight_at(a, s->process, e->seq, e->id);

	if (flight_is(f, s->process, e->seq, e->id))
		return f;
	if (f->has == HAS_COMPLETION)
		a->past_invalid++;
	memset(f, 0, sizeof(*f));
	f->process = s->process;
	f->queue = e->seq;
	f->id = e->id;
	return f;
}

static void flight_add(struct lmm_analysis *a, struct stream *s, struct flight *f, unsigned half)
{
	if (f->has & half)
		s->invalid++; /* said twice */
	f->has |= (uint8_t)half;
	lmm__flight_use(a, (uint32_t)(f - a->flights), 1);
	if (f->has != (HAS_COMMAND | HAS_COMPLETION))
		return;
	if (f->status == LMM_COMPLETION_OK) {
		flight_book(a, f);
	} else {
		flight_without_times(a, f);
	}
	f->has = 0;
	lmm__flight_use(a, (uint32_t)(f - a->flights), 0);
}

static void command_take(struct lmm_analysis *a, const struct stream *s, struct flight *f,
			 const struct lmm_event *e)
{
	uint32_t step = (uint32_t)e->b;

	a->processes[s->process].commands++;
	f->t = e->t;
	f->phase = e->phase;
	f->kernel = (uint32_t)e->a;
	f->node = (uint32_t)(e->a >> 32);
	f->graph = s->device_graph;
	f->step = step;
	f->amount = (uint32_t)(e->b >> 32);
	f->context = lmm__stream_context(s, step);
}

static void last_keep(struct stream *s, const struct flight *f, int is_timed)
{
	s->last = *f;
	s->last.has = HAS_COMMAND;
	s->last_is_timed = (uint8_t)is_timed;
	s->commands_since_build += s->commands_since_build < UINT8_MAX;
}

void lmm__step_mark(struct lmm_analysis *a, const struct stream *s, uint64_t t, uint32_t step,
		    unsigned kind, uint64_t ticks)
{
	struct fact x = { .t = t,
			  .a = ticks,
			  .kind = (uint8_t)kind,
			  .stream = s->index,
			  .process = s->process,
			  .step = step };

	lmm__fact_push(a, &x);
}

/* What the buffer consists of is told this time: its row stands for the other times. */
static void buffer_open(struct lmm_analysis *a, struct stream *s, const struct flight *f)
{
	struct flight buffer = *f;
	struct command c;

	s->buffer_begins = 0;
	buffer.kernel = s->buffer;
	buffer.node = LMM_NODE_UNKNOWN;
	if (command_name(a, &buffer, &c))
		return;
	c.ledger->kernels[c.key].opened++;
	c.ledger->kernels[c.key].is_buffer = 1;
}

static void take_command(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct flight *f = flight_open(a, s, e);
	struct queue *q = queue_find(a, s->process, e->seq);

	command_take(a, s, f, e);
	if (q) {
		f->is_behind_hole = q->has_hole;
		q->has_hole = 0;
	}
	if (is_pass(a, f)) {
		s->pass_step = f->step;
	} else {
		f->is_in_buffer = s->buffer != 0;
		if (s->buffer && s->buffer_begins)
			buffer_open(a, s, f);
		last_keep(s, f, 1);
	}
	flight_add(a, s, f, HAS_COMMAND);
}

static void take_completion(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct flight *f;

	if (e->a > INT64_MAX || e->phase > LMM_COMPLETION_FAILED) { /* ended before it began */
		s->invalid++;
		return;
	}
	f = flight_open(a, s, e);
	f->status = e->phase;
	f->started = e->t;
	f->duration = e->a;
	flight_add(a, s, f, HAS_COMPLETION);
}

static void take_command_untimed(struct lmm_analysis *a, struct stream *s,
				 const struct lmm_event *e)
{
	struct flight f = { .process = s->process, .queue = e->seq };
	struct queue *q = queue_find(a, s->process, e->seq);
	struct command c;

	command_take(a, s, &f, e);
	if (q)
		q->has_hole = 1;
	a->processes[s->process].at_once += e->id == 1;
	last_keep(s, &f, 0);
	if (command_look(a, &f, &c))
		return;
	c.ledger->untimed++;
	c.ledger->kernels[c.key].untimed++;
	c.ledger->kernels[c.key].is_buffer |= kind_of(&c) == LMM_KERNEL_COMMAND_BUFFER;
	/* that it is timed as a whole was said before */
	if (f.step != LMM_STEP_NONE && f.step != s->untimed_step && f.step != s->pass_step) {
		s->untimed_step = f.step;
		lmm__step_mark(a, s, e->t, f.step, FACT_UNTIMED, 0);
	}
}

/* Events of the process were lost: nothing is claimed of what lay between two commands. */
void lmm__device_lost(struct lmm_analysis *a, uint32_t process)
{
	uint32_t index = a->processes[process].index;

	for (uint32_t i = 0; i < a->n_queues; i++) {
		if (a->queues[i].process == index)
			a->queues[i].has_hole = 1;
	}
}

static void take_harvest(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct process *p = &a->processes[s->process];

	if (e->a > e->t) {
		s->invalid++;
		return;
	}
	p->harvest_ticks += e->t - e->a;
	p->harvested += e->id;
	p->command_cost_mticks = (uint32_t)e->b;
	p->device_every = (uint32_t)(e->b >> 32);
}

/* The newest command was the first of its kernel; programs that were built right before it were built for it. */
static void first_launch(struct lmm_analysis *a, struct stream *s, uint32_t kernel, uint64_t ticks)
{
	struct flight *f, last = s->last;
	struct command c;

	if (last.has != HAS_COMMAND || last.kernel != kernel)
		return;
	last.process = s->process;
	f = flight_at(a, last.process, last.queue, last.id);
	if (s->last_is_timed && flight_is(f, last.process, last.queue, last.id))
		f->is_first = 1;
	if (s->commands_since_build <= 1)
		ticks += s->build_ticks;
	s->build_ticks = 0;
	if (command_name(a, &last, &c) == 0)
		c.ledger->kernels[c.key].first_use += ticks;
}

static void program_built(struct stream *s, uint64_t ticks)
{
	s->build_ticks = s->commands_since_build ? ticks : s->build_ticks + ticks;
	s->commands_since_build = 0;
}

static void take_first_use(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct ledger *l = lmm__ledger_now(a, s->step == e->id ? s->step_context : 0);
	uint64_t from = e->a > s->first_use_end ? e->a : s->first_use_end;
	/* a first launch may build a program itself: that time is told once */
	uint64_t ticks = lmm__minus(e->t, from);

	if (e->a > e->t || e->phase >= LMM_PHASE_COUNT) {
		s->invalid++;
		return;
	}
	if (e->t > s->first_use_end)
		s->first_use_end = e->t;
	l->phases[e->phase].first_use += ticks;
	if (ticks)
		lmm__span_extend(&l->places.first_use[e->phase], from, e->t);
	for (uint32_t i = 0; i < s->depth; i++)
		s->frames[i].flags |= FRAME_FIRST_USE;
	if (e->b) {
		first_launch(a, s, (uint32_t)e->b, ticks);
	} else {
		program_built(s, ticks);
	}
	lmm__step_mark(a, s, e->t, e->id, FACT_FIRST_USE, ticks);
}

static void take_graph(struct stream *s, const struct lmm_event *e)
{
	if (e->phase == 0) {
		s->device_graph = e->id;
	} else if (e->phase == 1) {
		s->buffer = e->id;
		s->buffer_begins = e->a == 1;
	} else {
		s->invalid++;
	}
}

void lmm__device_event(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	switch (e->type) {
	case LMM_EV_COMMAND:
		take_command(a, s, e);
		break;
	case LMM_EV_COMMAND_UNTIMED:
		take_command_untimed(a, s, e);
		break;
	case LMM_EV_COMPLETION:
		take_completion(a, s, e);
		break;
	case LMM_EV_DEVICE_CLOCK:
		device_clock(a, s, e);
		break;
	case LMM_EV_FIRST_USE:
		take_first_use(a, s, e);
		break;
	case LMM_EV_DEVICE_GRAPH:
		take_graph(s, e);
		break;
	case LMM_EV_WINDOW:
		lmm__window_take(a, s, e);
		break;
	case LMM_EV_CALLS:
		lmm__calls_take(a, s, e);
		break;
	default: /* LMM_EV_HARVEST */
		take_harvest(a, s, e);
		break;
	}
}
