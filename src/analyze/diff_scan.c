/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a recording: steps with their phases, and which of them are warm-up (docs/events.md). */
#include "analyze/diff_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *lmm__diff_grow(void **at, uint32_t *n, uint32_t *cap, size_t size)
{
	void *element;

	if (*n == *cap) {
		uint32_t more = *cap ? *cap * 2 : 8;
		void *p = realloc(*at, more * size);

		if (!p)
			return NULL;
		*at = p;
		*cap = more;
	}
	element = (char *)*at + (size_t)(*n)++ * size;
	memset(element, 0, size);
	return element;
}

struct lmm_diff_process *lmm__diff_process(struct lmm_diff_scan *sc, uint32_t process)
{
	for (uint32_t i = 0; i < sc->processes.n; i++) {
		if (sc->processes.at[i].process == process)
			return &sc->processes.at[i];
	}
	return NULL;
}

/* ---- open steps --------------------------------------------------------------------------------- */

static struct lmm_diff_step *step_by_serial(struct lmm_diff_scan *sc, uint64_t serial)
{
	struct lmm_diff_step *st = &sc->steps[serial % LMM_DIFF_OPEN];

	return st->serial == serial ? st : NULL;
}

struct lmm_diff_step *lmm__diff_step(struct lmm_diff_scan *sc, uint32_t process, uint32_t step)
{
	for (uint64_t back = 0; back < LMM_DIFF_OPEN && back < sc->serial; back++) {
		struct lmm_diff_step *st = step_by_serial(sc, sc->serial - back);

		if (st && st->step == step && st->process == process)
			return step_by_serial(sc, st->lead);
	}
	return NULL;
}

void lmm__diff_book(struct lmm_diff_scan *sc, struct lmm_diff_step *st, int32_t column,
		    double ticks)
{
	if (column < 0)
		return;
	if ((uint32_t)column >= st->cap) {
		uint32_t cap = ((uint32_t)column + 64) & ~63u;
		double *values = realloc(st->values, cap * sizeof(*values));

		if (!values) {
			sc->failed = -ENOMEM;
			return;
		}
		st->values = values;
		st->cap = cap;
	}
	for (; st->n <= (uint32_t)column; st->n++)
		st->values[st->n] = 0;
	st->values[column] += ticks;
}

void lmm__diff_book_phase(struct lmm_diff_scan *sc, struct lmm_diff_step *st, unsigned phase,
			  double ticks)
{
	struct lmm_diff_key whole = { LMM_DIFF_TOTAL, 0, 0, -1, "step", "", "", "" };
	struct lmm_diff_key key = { LMM_DIFF_PHASE, 0, 0, -1, lmm_phase_name(phase), "", "", "" };
	struct lmm_diff_sheet *sheet = &sc->run->sheets[st->class_at];

	lmm__diff_book(sc, st, lmm_diff_sheet_column(sheet, &whole), ticks);
	lmm__diff_book(sc, st, lmm_diff_sheet_column(sheet, &key), ticks);
}

static void step_close(struct lmm_diff_scan *sc, struct lmm_diff_step *st)
{
	if (st->serial == 0)
		return;
	if (st->lead == st->serial && st->has_ended && !st->is_dropped && st->n > 0 &&
	    lmm_diff_sheet_row(&sc->run->sheets[st->class_at], st->values, st->n, st->tokens,
			       st->flags))
		sc->failed = -ENOMEM;
	st->serial = 0;
}

static unsigned class_of(unsigned phase)
{
	switch (phase) {
	case LMM_PHASE_PREFILL:
		return LMM_DIFF_PREFILL;
	case LMM_PHASE_DRAFT:
		return LMM_DIFF_DRAFT;
	case LMM_PHASE_VERIFY:
		return LMM_DIFF_VERIFY;
	default:
		return LMM_DIFF_DECODE;
	}
}

/* ---- contexts ----------------------------------------------------------------------------------- */

static struct lmm_diff_context *context_get(struct lmm_diff_scan *sc, uint32_t process,
					    uint32_t context)
{
	struct lmm_diff_context *c;

	for (uint32_t i = 0; i < sc->contexts.n; i++) {
		c = &sc->contexts.at[i];
		if (c->process == process && c->context == context)
			return c;
	}
	c = LMM_DIFF_NEW(sc->contexts);
	if (!c) {
		sc->failed = -ENOMEM;
		return NULL;
	}
	c->process = process;
	c->context = context;
	return c;
}

/* What the context did so far was warm-up. 1: it did something. */
static int steps_drop(struct lmm_diff_scan *sc, const struct lmm_diff_context *c)
{
	int n = 0;

	for (unsigned i = 0; i < LMM_DIFF_OPEN; i++) {
		struct lmm_diff_step *st = &sc->steps[i];

		if (!st->serial || st->process != c->process || st->context != c->context ||
		    st->use != c->use)
			continue;
		st->is_dropped = 1;
		n = 1;
	}
	return n;
}

static void take_hint(struct lmm_diff_scan *sc, const struct lmm_diff_stream *s,
		      const struct lmm_event *e)
{
	struct lmm_diff_context *c = context_get(sc, s->process, (uint32_t)e->a);
	const struct lmm_diff_process *p = lmm__diff_process(sc, s->process);
	struct lmm_diff_step *refused;

	if (!c)
		return;
	switch (e->phase) {
	case LMM_HINT_CONTEXT_NEW:
		c->use++;
		c->is_decided = c->is_warming = 0;
		break;
	case LMM_HINT_WARMUP_ON:
	case LMM_HINT_WARMUP_OFF:
		c->is_warming = e->phase == LMM_HINT_WARMUP_ON;
		break;
	case LMM_HINT_NO_ROOM:
		refused = lmm__diff_step(sc, s->process, (uint32_t)e->b);
		if (refused)
			refused->is_dropped = 1;
		break;
	case LMM_HINT_MEMORY_CLEAR:
	case LMM_HINT_PERF_RESET:
		/* llama-bench never chooses a token: its first request is the only warm-up */
		if (!c->is_decided && steps_drop(sc, c))
			c->is_decided = p && p->is_bench && e->phase == LMM_HINT_MEMORY_CLEAR;
		break;
	default:
		break;
	}
}

static void take_token(struct lmm_diff_scan *sc, const struct lmm_diff_stream *s,
		       const struct lmm_event *e)
{
	const struct lmm_diff_step *st = lmm__diff_step(sc, s->process, e->id);
	struct lmm_diff_context *c = st ? context_get(sc, s->process, st->context) : NULL;

	if (c && !c->is_warming)
		c->is_decided = 1;
}

static void take_step(struct lmm_diff_scan *sc, const struct lmm_diff_stream *s,
		      const struct lmm_event *e)
{
	const struct lmm_diff_context *c = context_get(sc, s->process, (uint32_t)e->b);
	const struct lmm_diff_step *last = sc->serial ? step_by_serial(sc, sc->serial) : NULL;
	struct lmm_diff_step *st = &sc->steps[++sc->serial % LMM_DIFF_OPEN];

	step_close(sc, st);
	st->serial = st->lead = sc->serial;
	st->process = s->process;
	st->step = e->id;
	st->context = (uint32_t)e->b;
	st->call = (uint32_t)(e->b >> 32);
	st->tokens = (uint32_t)e->a;
	st->use = c ? c->use : 0;
	st->class_at = (uint8_t)class_of(e->phase);
	st->flags = 0;
	st->has_ended = 0;
	st->is_dropped = c && c->is_warming;
	st->n = 0;
	if (st->tokens == 0 && last && last->process == st->process &&
	    last->context == st->context && last->call == st->call)
		st->lead = last->lead;
}

/* ---- phases ------------------------------------------------------------------------------------- */

static int is_between_requests(unsigned next)
{
	return next == LMM_PHASE_TOKENIZE || next == LMM_PHASE_PREFILL ||
	       next == LMM_PHASE_MODEL_LOAD || next == LMM_PHASE_CONTEXT_INIT;
}

/* Time of the program's own: of the step before, if generation goes on behind it. */
static void book_idle(struct lmm_diff_scan *sc, struct lmm_diff_stream *s, unsigned next)
{
	struct lmm_diff_step *st = NULL;

	if (s->idle_to > s->idle_from && !is_between_requests(next))
		st = lmm__diff_step(sc, s->process, s->idle_step);
	if (st) {
		lmm__diff_book_phase(sc, st, LMM_PHASE_UNACCOUNTED,
				     (double)(s->idle_to - s->idle_from));
	}
	s->idle_to = s->idle_from = 0;
}

static void book_piece(struct lmm_diff_scan *sc, struct lmm_diff_stream *s, uint64_t t)
{
	struct lmm_diff_frame *top = s->depth ? &s->frames[s->depth - 1] : NULL;
	struct lmm_diff_step *st = top ? lmm__diff_step(sc, s->process, top->step) : NULL;

	if (st && t > top->from)
		lmm__diff_book_phase(sc, st, top->phase, (double)(t - top->from));
	if (top)
		top->from = t;
}

static void phase_begin(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
			const struct lmm_event *e)
{
	book_idle(sc, s, e->phase);
	book_piece(sc, s, e->t);
	if (s->depth == LMM_DIFF_DEPTH) {
		s->too_deep++;
		return;
	}
	s->frames[s->depth++] = (struct lmm_diff_frame){ e->id, e->phase, e->t };
}

static void phase_end(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
		      const struct lmm_event *e)
{
	uint32_t depth = s->depth;
	struct lmm_diff_step *st;

	if (s->too_deep > 0) {
		s->too_deep--;
		return;
	}
	while (depth > 0 && s->frames[depth - 1].phase != e->phase)
		depth--;
	if (depth == 0)
		return;
	book_piece(sc, s, e->t);
	s->depth = depth - 1;
	if (s->depth)
		s->frames[s->depth - 1].from = e->t;
	st = lmm_phase_is_step(e->phase) ? lmm__diff_step(sc, s->process, e->id) : NULL;
	if (st)
		st->has_ended = 1;
}

/* Steps that were open when events were lost have no known times. */
static void take_lost(struct lmm_diff_scan *sc, struct lmm_diff_stream *s)
{
	for (unsigned i = 0; i < LMM_DIFF_OPEN; i++) {
		if (sc->steps[i].process == s->process && !sc->steps[i].has_ended)
			sc->steps[i].is_dropped = 1;
	}
	s->depth = s->too_deep = 0;
	s->in_run = s->op_is_set = 0;
}

static void take_first_use(struct lmm_diff_scan *sc, const struct lmm_diff_stream *s,
			   const struct lmm_event *e)
{
	struct lmm_diff_step *st = lmm__diff_step(sc, s->process, e->id);

	if (st)
		st->flags |= LMM_DIFF_FIRST_USE;
}

/* ---- items -------------------------------------------------------------------------------------- */

static void take_event(struct lmm_diff_scan *sc, struct lmm_diff_stream *s,
		       const struct lmm_event *e)
{
	switch (e->type) {
	case LMM_EV_PHASE_BEGIN:
		phase_begin(sc, s, e);
		break;
	case LMM_EV_PHASE_END:
		phase_end(sc, s, e);
		break;
	case LMM_EV_STEP:
		take_step(sc, s, e);
		break;
	case LMM_EV_TOKEN:
		take_token(sc, s, e);
		break;
	case LMM_EV_HINT:
		take_hint(sc, s, e);
		break;
	case LMM_EV_UNACCOUNTED:
		s->idle_from = e->t;
		s->idle_to = e->a;
		s->idle_step = e->id;
		break;
	case LMM_EV_FIRST_USE:
		take_first_use(sc, s, e);
		break;
	case LMM_EV_LOST:
		take_lost(sc, s);
		break;
	default:
		lmm__diff_op_event(sc, s, e);
		break;
	}
}

static struct lmm_diff_stream *stream_find(struct lmm_diff_scan *sc, uint32_t stream)
{
	for (uint32_t i = sc->streams.n; i-- > 0;) {
		if (sc->streams.at[i].stream == stream)
			return &sc->streams.at[i];
	}
	return NULL;
}

static int take_stream(struct lmm_diff_scan *sc, const struct lmm_stream *item)
{
	struct lmm_diff_stream *s = stream_find(sc, item->stream);

	if (!s)
		s = LMM_DIFF_NEW(sc->streams);
	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->stream = item->stream;
	s->process = item->process;
	return 0;
}

static int take_process(struct lmm_diff_scan *sc, const struct lmm_process *item)
{
	struct lmm_diff_process *p = lmm__diff_process(sc, item->process);

	if (!p)
		p = LMM_DIFF_NEW(sc->processes);
	if (!p)
		return -ENOMEM;
	p->process = item->process;
	p->op_cost_ps = item->op_cost_ps;
	p->is_bench = strcmp(item->name, "llama-bench") == 0;
	return 0;
}

static int take_events(struct lmm_diff_scan *sc, const struct lmm_events *item)
{
	struct lmm_diff_stream *s = stream_find(sc, item->stream);

	for (uint32_t i = 0; s && i < item->n; i++)
		take_event(sc, s, &item->ev[i]);
	return sc->failed;
}

static int take_item(struct lmm_diff_scan *sc, const struct lmm_item *item)
{
	switch (item->kind) {
	case LMM_ITEM_PROCESS:
		return take_process(sc, &item->process);
	case LMM_ITEM_STREAM:
		return take_stream(sc, &item->stream);
	case LMM_ITEM_GRAPH:
		return lmm__diff_graph(sc, &item->graph);
	case LMM_ITEM_KERNEL:
		return lmm__diff_kernel(sc, &item->kernel);
	case LMM_ITEM_QUEUE:
		return lmm__diff_queue(sc, &item->queue);
	case LMM_ITEM_CLOCK:
		lmm_clock_fit_add(&sc->fit, &item->clock);
		return 0;
	case LMM_ITEM_EVENTS:
		return take_events(sc, &item->events);
	default:
		return 0;
	}
}

static void scan_end(struct lmm_diff_scan *sc)
{
	for (uint64_t i = 1; i <= LMM_DIFF_OPEN; i++)
		step_close(sc, &sc->steps[(sc->serial + i) % LMM_DIFF_OPEN]);
	sc->run->ns_per_tick = lmm_clock_fit_rate(&sc->fit);
}

static void scan_free(struct lmm_diff_scan *sc)
{
	for (unsigned i = 0; i < LMM_DIFF_OPEN; i++)
		free(sc->steps[i].values);
	for (unsigned i = 0; i < LMM_DIFF_GRAPHS; i++)
		lmm__diff_graph_free(&sc->graphs[i]);
	for (uint32_t i = 0; i < sc->kernels.n; i++)
		free(sc->kernels.at[i].name);
	for (uint32_t i = 0; i < sc->queues.n; i++)
		free(sc->queues.at[i].device);
	free(sc->streams.at);
	free(sc->processes.at);
	free(sc->contexts.at);
	free(sc->kernels.at);
	free(sc->queues.at);
	free(sc->flights);
	free(sc);
}

/* ---- a file ------------------------------------------------------------------------------------- */

/* A checkpoint would replace what the analysis has taken from the records themselves. */
static int items_take(struct lmm_trace *tr, struct lmm_diff_scan *sc, struct lmm_analysis *a)
{
	const struct lmm_item *item;
	int rc;

	while ((rc = lmm_trace_next(tr, &item)) > 0) {
		if (item->kind != LMM_ITEM_CHECKPOINT)
			rc = lmm_analysis_item(a, item);
		if (rc >= 0)
			rc = take_item(sc, item);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int requests_take(struct lmm_diff_run *run)
{
	const struct lmm_result *r = run->facts;
	size_t n = r->n_requests ? r->n_requests : 1;

	run->ttft_ns = calloc(n, sizeof(*run->ttft_ns));
	run->tpot_ns = calloc(n, sizeof(*run->tpot_ns));
	if (!run->ttft_ns || !run->tpot_ns)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_requests; i++) {
		if (r->requests[i].ttft_ns > 0)
			run->ttft_ns[run->n_ttft++] = r->requests[i].ttft_ns;
		if (r->requests[i].tpot_ns > 0)
			run->tpot_ns[run->n_tpot++] = r->requests[i].tpot_ns;
	}
	return 0;
}

static int trace_scan(struct lmm_trace *tr, struct lmm_diff_run *run)
{
	struct lmm_diff_scan *sc = calloc(1, sizeof(*sc));
	struct lmm_analysis *a = lmm_analysis_create();
	int rc = sc && a ? 0 : -ENOMEM;

	if (rc == 0) {
		sc->run = run;
		rc = items_take(tr, sc, a);
	}
	if (rc == 0) {
		scan_end(sc);
		rc = sc->failed;
	}
	if (rc == 0) {
		run->facts = lmm_analysis_result(a);
		rc = run->facts ? requests_take(run) : -ENOMEM;
	}
	if (sc)
		scan_free(sc);
	lmm_analysis_destroy(a);
	return rc;
}

int lmm_diff_run_file(const char *path, struct lmm_diff_run **run, enum lmm_trace_state *state)
{
	struct lmm_trace *tr;
	int rc = lmm_trace_open(path, &tr);

	*run = NULL;
	if (rc)
		return rc;
	*run = lmm_diff_run_create();
	rc = *run ? trace_scan(tr, *run) : -ENOMEM;
	*state = lmm_trace_state(tr, NULL);
	lmm_trace_close(tr);
	if (rc) {
		lmm_diff_run_destroy(*run);
		*run = NULL;
	}
	return rc;
}
