/* SPDX-License-Identifier: Apache-2.0 */
/* First stage: one stream's events in their order. Counts them, nests phases, and tells the second stage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/state.h"

/* ---- streams ------------------------------------------------------------------------------------ */

static struct stream **stream_set(struct lmm_analysis *a, uint32_t index)
{
	return &a->streams[(size_t)(index % (LMM_I_STREAMS / LMM_I_WAYS)) * LMM_I_WAYS];
}

struct stream *lmm__stream(struct lmm_analysis *a, uint32_t index)
{
	struct stream **set = stream_set(a, index);

	for (unsigned i = 0; i < LMM_I_WAYS; i++) {
		if (set[i] && set[i]->index == index)
			return set[i];
	}
	return NULL;
}

/* A free place, else that of the stream that has been silent longest. */
static struct stream **stream_place(struct lmm_analysis *a, uint32_t index)
{
	struct stream **set = stream_set(a, index), **oldest = &set[0];

	for (unsigned i = 0; i < LMM_I_WAYS; i++) {
		if (!set[i])
			return &set[i];
		if (set[i]->used < (*oldest)->used)
			oldest = &set[i];
	}
	return oldest;
}

/* Of a stream that makes room for another only its counters are kept. */
static void stream_retire(struct lmm_analysis *a, const struct stream *s)
{
	a->past_stored += s->stored;
	a->past_invalid += s->invalid;
	a->past_operators += s->operators;
	a->past_has_loss |= s->has_loss;
	a->past_emitted += s->has_loss ? s->emitted : s->stored + s->lost_marked;
	a->past_lost += s->has_loss ? s->lost : s->lost_marked;
}

int lmm__stream_put(struct lmm_analysis *a, const struct lmm_stream *from)
{
	struct stream **at;

	if (lmm__stream(a, from->stream))
		return 0; /* said again */
	at = stream_place(a, from->stream);
	if (*at) {
		stream_retire(a, *at);
	} else {
		*at = malloc(sizeof(**at));
	}
	if (!*at)
		return -ENOMEM;
	memset(*at, 0, sizeof(**at));
	(*at)->index = from->stream;
	(*at)->used = ++a->serial;
	(*at)->tid = from->tid;
	(*at)->process = lmm__process_slot(a, from->process);
	(*at)->step = LMM_STEP_NONE;
	(*at)->untimed_step = LMM_STEP_NONE;
	return 0;
}

void lmm__stream_loss(struct lmm_analysis *a, const struct lmm_loss *l)
{
	struct stream *s = lmm__stream(a, l->stream);

	if (!s)
		return;
	s->has_loss = 1;
	s->emitted = l->emitted;
	s->lost = l->lost;
}

/* ---- facts -------------------------------------------------------------------------------------- */

static struct fact fact_make(const struct stream *s, unsigned kind, uint64_t t)
{
	struct fact f = { 0 };

	f.t = t;
	f.kind = (uint8_t)kind;
	f.stream = s->index;
	f.process = s->process;
	return f;
}

static void piece_push(struct lmm_analysis *a, const struct stream *s, const struct frame *f,
		       uint64_t t0, uint64_t t)
{
	struct fact x = fact_make(s, FACT_PIECE, t);

	x.t0 = t0;
	x.phase = f->phase;
	x.seq = f->seq;
	x.step = f->step;
	x.a = f->ticks;
	x.b = f->begin;
	lmm__fact_push(a, &x);
	lmm__sensors_piece(a->sensors, f->phase, t0, t);
}

/* Books the innermost phase up to t. */
static void piece_cut(struct lmm_analysis *a, struct stream *s, uint64_t t)
{
	struct frame *f;

	if (s->depth && t > s->piece_t) {
		f = &s->frames[s->depth - 1];
		f->ticks += t - s->piece_t;
		piece_push(a, s, f, s->piece_t, t);
	}
	s->piece_t = t;
}

void lmm__embedding(struct lmm_analysis *a, struct stream *s, uint64_t t0, uint64_t t1)
{
	struct frame *top, part;

	if (s->depth == 0)
		return;
	piece_cut(a, s, t0);
	top = &s->frames[s->depth - 1];
	part = *top;
	part.phase = LMM_PHASE_EMBEDDING;
	top->embedding += t1 - t0;
	if (t1 > t0)
		piece_push(a, s, &part, t0, t1);
	s->piece_t = t1;
}

/* ---- phases ------------------------------------------------------------------------------------- */

static int is_recorded_phase(unsigned phase)
{
	return phase > LMM_PHASE_NONE && phase < LMM_PHASE_UNACCOUNTED &&
	       phase != LMM_PHASE_WAITING;
}

/* Frames from `keep` on have no end: they are not counted. What passed since events were lost is nobody's. */
static void frames_drop(struct lmm_analysis *a, struct stream *s, uint32_t keep, uint64_t t)
{
	while (s->depth > keep) {
		if (!(s->frames[s->depth - 1].flags & FRAME_SUSPECT)) {
			piece_cut(a, s, t);
			s->invalid++;
		}
		s->piece_t = t;
		s->depth--;
	}
}

/* A pass never runs inside another of the same stream: the end of the one before is missing. */
static void frames_mend(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	if (!lmm_phase_is_step(e->phase))
		return;
	for (uint32_t i = 0; i < s->depth; i++) {
		if (lmm_phase_is_step(s->frames[i].phase)) {
			frames_drop(a, s, i, e->t);
			return;
		}
	}
}

static void phase_begin(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct frame *f;

	a->processes[s->process].pairs++;
	if (!is_recorded_phase(e->phase)) {
		s->invalid++;
		return;
	}
	frames_mend(a, s, e);
	if (s->depth == LMM_I_DEPTH) {
		s->too_deep++;
		s->invalid++;
		return;
	}
	if (e->phase == LMM_PHASE_MODEL_LOAD)
		lmm__load_flush(a, s, 0, 0);
	piece_cut(a, s, e->t);
	f = &s->frames[s->depth++];
	memset(f, 0, sizeof(*f));
	f->phase = e->phase;
	f->seq = e->seq;
	f->step = e->id;
	f->begin = e->t;
}

/* Says that the innermost phase has ended; what embedding operators took is an occurrence of its own. */
static void phase_ended(struct lmm_analysis *a, struct stream *s, uint64_t t)
{
	struct frame *f = &s->frames[s->depth - 1];
	struct fact x = fact_make(s, FACT_PIECE, t);

	x.phase = f->phase;
	x.seq = f->seq;
	x.step = f->step;
	x.flags = FACT_LAST;
	if (f->flags & FRAME_SHIFT && !(f->flags & FRAME_FORWARD))
		x.flags |= FACT_IS_SHIFT;
	if (f->flags & FRAME_FIRST_USE)
		x.flags |= FACT_IS_FIRST_USE;
	if (f->embedding) {
		struct fact y = x;

		y.phase = LMM_PHASE_EMBEDDING;
		y.flags = FACT_LAST;
		y.t0 = y.b = t;
		y.a = f->embedding;
		lmm__fact_push(a, &y);
	}
	x.t0 = t > s->piece_t ? s->piece_t : t;
	x.a = f->ticks + (t - x.t0);
	x.b = f->begin;
	lmm__fact_push(a, &x);
	lmm__sensors_piece(a->sensors, f->phase, x.t0, t);
	s->piece_t = t;
	if (f->phase == LMM_PHASE_MODEL_LOAD) {
		s->load_ticks = lmm__minus(t, f->begin);
		s->has_load = 1;
	}
	s->depth--;
}

static void phase_end(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	uint32_t at = s->depth;

	if (s->too_deep) {
		s->too_deep--;
		s->invalid++;
		return;
	}
	while (at > 0 && s->frames[at - 1].phase != e->phase)
		at--;
	if (at == 0) {
		s->invalid++;
		return;
	}
	frames_drop(a, s, at, e->t);
	phase_ended(a, s, e->t);
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void unaccounted(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct fact f = fact_make(s, FACT_IDLE, e->a);

	/* no phase is open now, whatever got lost */
	frames_drop(a, s, 0, e->t);
	s->too_deep = 0;
	if (e->a < e->t) {
		s->invalid++;
		return;
	}
	f.t0 = e->t;
	f.step = e->id;
	lmm__fact_push(a, &f);
	lmm__sensors_piece(a->sensors, LMM_PHASE_UNACCOUNTED, e->t, e->a);
}

static void step(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct fact f = fact_make(s, FACT_STEP, e->t);
	struct context *c;

	if (!lmm_phase_is_step(e->phase)) {
		s->invalid++;
		return;
	}
	c = lmm__context_get(a, s->process, (uint32_t)e->b, e->t);
	s->step = e->id;
	s->step_phase = e->phase;
	s->step_context = c ? c->serial : 0;
	s->passed[e->id % LMM_I_PASSED].step = e->id;
	s->passed[e->id % LMM_I_PASSED].context = s->step_context;
	if (c && c->begun == 0)
		c->begun = e->t;
	f.t0 = s->depth ? s->frames[s->depth - 1].begin : e->t;
	f.phase = e->phase;
	f.step = e->id;
	f.context = s->step_context;
	f.a = e->a;
	f.b = e->b >> 32;
	lmm__fact_push(a, &f);
}

static void plain_fact(struct lmm_analysis *a, const struct stream *s, const struct lmm_event *e,
		       unsigned kind)
{
	struct fact f = fact_make(s, kind, e->t);

	f.phase = e->phase;
	f.seq = e->seq;
	f.step = e->id;
	f.a = e->a;
	f.b = e->b;
	lmm__fact_push(a, &f);
}

static void token(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	/* a request may end here, in the middle of a phase */
	piece_cut(a, s, e->t);
	plain_fact(a, s, e, FACT_TOKEN);
}

static void count(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	if (e->phase == LMM_PHASE_TOKENIZE) {
		plain_fact(a, s, e, FACT_COUNT);
	} else if (e->phase == LMM_PHASE_MODEL_LOAD) {
		lmm__load_flush(a, s, e->a, e->b);
	} else if (e->phase >= LMM_PHASE_COUNT) {
		s->invalid++;
	}
}

static void hint(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct fact f = fact_make(s, FACT_HINT, e->t);

	if (e->phase == LMM_HINT_RECORDING_ON || e->phase == LMM_HINT_RECORDING_OFF) {
		for (uint32_t i = 0; i < s->depth; i++)
			s->frames[i].flags |= FRAME_SUSPECT;
		lmm__ops_lost(s);
		return;
	}
	f.phase = e->phase;
	f.seq = e->seq;
	f.b = e->b;
	lmm__context_hint(a, s, e, &f.context);
	if (f.context)
		lmm__fact_push(a, &f);
}

static void lost(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	s->lost_marked += e->a;
	for (uint32_t i = 0; i < s->depth; i++)
		s->frames[i].flags |= FRAME_SUSPECT;
	lmm__ops_lost(s);
	lmm__device_lost(a, s->process);
}

/* A command of a window is told when the window has closed, with the instant at which it was handed over. */
static int may_be_late(unsigned type)
{
	return type == LMM_EV_COMMAND || type == LMM_EV_COMMAND_UNTIMED ||
	       type == LMM_EV_DEVICE_GRAPH;
}

void lmm__stream_event(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	uint64_t t = e->type == LMM_EV_UNACCOUNTED ? e->a : e->t;

	if (e->type != LMM_EV_COMPLETION && t >= s->newest) {
		s->newest = t;
	} else if (e->type != LMM_EV_COMPLETION && !may_be_late(e->type)) {
		s->invalid++;
	}
	switch (e->type) {
	case LMM_EV_PHASE_BEGIN:
		phase_begin(a, s, e);
		break;
	case LMM_EV_PHASE_END:
		phase_end(a, s, e);
		break;
	case LMM_EV_UNACCOUNTED:
		unaccounted(a, s, e);
		break;
	case LMM_EV_STEP:
		step(a, s, e);
		break;
	case LMM_EV_SEQ:
		plain_fact(a, s, e, FACT_SEQ);
		break;
	case LMM_EV_TOKEN:
		token(a, s, e);
		break;
	case LMM_EV_COUNT:
		count(a, s, e);
		break;
	case LMM_EV_HINT:
		hint(a, s, e);
		break;
	case LMM_EV_GRAPH_BEGIN:
		lmm__graph_begin(a, s, e);
		break;
	case LMM_EV_GRAPH_END:
		lmm__graph_end(a, s, e);
		break;
	case LMM_EV_EPOCH:
		lmm__epoch(a, s, e);
		break;
	case LMM_EV_BARRIER:
		if (s->op.is_set && e->t >= s->op.t)
			s->op.barrier = e->t;
		break;
	case LMM_EV_COMMAND:
	case LMM_EV_COMMAND_UNTIMED:
	case LMM_EV_COMPLETION:
	case LMM_EV_DEVICE_CLOCK:
	case LMM_EV_DEVICE_GRAPH:
	case LMM_EV_HARVEST:
	case LMM_EV_FIRST_USE:
	case LMM_EV_WINDOW:
	case LMM_EV_CALLS:
		lmm__device_event(a, s, e);
		break;
	case LMM_EV_LOST:
		lost(a, s, e);
		break;
	case LMM_EV_SPAN:
		lmm__named_take(a, s, e);
		break;
	case LMM_EV_THREAD:
		break;
	default:
		s->invalid++;
		break;
	}
}

static uint64_t count_stored(const struct lmm_event *ev, uint32_t n)
{
	uint64_t stored = 0;

	for (uint32_t i = 0; i < n; i++)
		stored += !lmm_event_is_meta(ev[i].type);
	return stored;
}

int lmm__events(struct lmm_analysis *a, const struct lmm_events *batch)
{
	struct stream *s = lmm__stream(a, batch->stream);

	if (!s || s->process == LMM_I_NONE) {
		uint64_t n = count_stored(batch->ev, batch->n);

		a->past_stored += n;
		a->past_emitted += n;
		a->past_invalid += n;
		return 0;
	}
	s->used = ++a->serial;
	for (uint32_t i = 0; i < batch->n;) {
		const struct lmm_event *e = &batch->ev[i];
		uint32_t ops = lmm__ops(a, s, e, batch->n - i);

		i += ops;
		if (ops)
			continue;
		s->stored += !lmm_event_is_meta(e->type);
		lmm__stream_event(a, s, e);
		i++;
	}
	if (s->newest > a->newest)
		a->newest = s->newest;
	return a->failed ? -ENOMEM : 0;
}
