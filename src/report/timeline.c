/* SPDX-License-Identifier: Apache-2.0 */
#include "report/timeline_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/phase.h"

/* ---- drawing ------------------------------------------------------------------------------------ */

uint64_t lmm__tl_ns(const struct lmm_tl *tl, uint64_t ticks)
{
	return lmm_clock_fit_ns(&tl->fit, ticks);
}

int lmm__tl_track(struct lmm_tl *tl, struct lmm_tl_track *track, enum lmm_track_kind kind,
		  const struct lmm_tl_process *p, int32_t tid, const char *name)
{
	struct lmm_track t = {
		.kind = kind,
		.process = p->process,
		.pid = p->pid,
		.tid = tid,
		.name = name,
		.process_name = lmm_strpool_get(&tl->strings, p->name),
		.sensor = track->sensor,
	};

	if (track->id)
		return 0;
	track->id = t.track = ++tl->n_tracks;
	return tl->ops->track(tl->ctx, &t);
}

struct lmm_slice_of lmm__tl_of(struct lmm_tl_process *p, unsigned phase, uint32_t step,
			       uint64_t t_ns)
{
	const struct lmm_tl_step *s = lmm__tl_find_step(p, step);

	return (struct lmm_slice_of){
		.step = step,
		.context = s ? s->context : 0,
		.seq = LMM_SEQ_NONE,
		.phase = (uint8_t)phase,
		.is_warmup = s && t_ns < s->warm_until_ns,
		.layer = -1,
	};
}

int lmm__tl_slice(struct lmm_tl *tl, struct lmm_tl_track *track, struct lmm_slice *slice)
{
	slice->track = track->id;
	if (slice->begin_ns < track->last_end_ns)
		slice->begin_ns = track->last_end_ns;
	if (slice->end_ns < slice->begin_ns)
		slice->end_ns = slice->begin_ns;
	track->last_end_ns = slice->end_ns;
	return tl->ops->slice(tl->ctx, slice);
}

static struct lmm_arg *next_arg(struct lmm_slice *s, const char *key, enum lmm_arg_kind kind)
{
	struct lmm_arg *a =
		&s->args[s->n_args < LMM_SLICE_ARGS_MAX ? s->n_args++ : LMM_SLICE_ARGS_MAX - 1];

	a->key = key;
	a->kind = kind;
	return a;
}

void lmm__tl_arg_u64(struct lmm_slice *s, const char *key, uint64_t value)
{
	next_arg(s, key, LMM_ARG_U64)->u64 = value;
}

void lmm__tl_arg_i64(struct lmm_slice *s, const char *key, int64_t value)
{
	next_arg(s, key, LMM_ARG_I64)->i64 = value;
}

void lmm__tl_arg_string(struct lmm_slice *s, const char *key, const char *value)
{
	next_arg(s, key, LMM_ARG_STRING)->string = value;
}

int lmm__tl_is_warm(struct lmm_tl_process *p, uint32_t step, uint64_t t_ns)
{
	return lmm__tl_of(p, LMM_PHASE_NONE, step, t_ns).is_warmup;
}

/* ---- phases ------------------------------------------------------------------------------------- */

static int draw_piece(struct lmm_tl *tl, struct lmm_tl_stream *s, struct lmm_tl_phase *p,
		      uint64_t end_ns)
{
	struct lmm_slice slice = {
		.begin_ns = p->piece_ns,
		.end_ns = end_ns,
		.name = lmm_phase_name(p->phase),
		.of = lmm__tl_of(s->process, p->phase, p->step, p->piece_ns),
	};
	int rc;

	slice.category = slice.of.is_warmup ? "warmup" : "phase";
	slice.of.seq = p->seq;

	if (p->step != LMM_STEP_NONE)
		lmm__tl_arg_u64(&slice, "step", p->step);
	if (p->seq != LMM_SEQ_NONE)
		lmm__tl_arg_u64(&slice, "seq", p->seq);
	if (p->part > 0)
		lmm__tl_arg_u64(&slice, "part", p->part);
	p->part++;
	rc = lmm__tl_track(tl, &s->phases_track, LMM_TRACK_PHASES, s->process, s->tid, "phases");
	return rc < 0 ? rc : lmm__tl_slice(tl, &s->phases_track, &slice);
}

/* What lies between the last cut and t belongs to the innermost phase. */
static int cut_phase(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t t_ns)
{
	struct lmm_tl_phase *top;

	if (s->depth == 0)
		return 0;
	top = &s->phases[s->depth - 1];
	if (t_ns <= top->piece_ns)
		return 0;
	return draw_piece(tl, s, top, t_ns);
}

/* The pass of a step may come in several brackets: the engine is waited for in a call of its own. */
static struct lmm_tl_step *pass_of(const struct lmm_tl_stream *s, const struct lmm_tl_phase *p)
{
	struct lmm_tl_step *step = lmm__tl_find_step(s->process, p->step);

	return step && step->phase == p->phase ? step : NULL;
}

static int phase_begin(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	uint64_t t_ns = lmm__tl_ns(tl, e->t);
	const struct lmm_tl_step *pass;
	struct lmm_tl_phase *p;
	int rc = cut_phase(tl, s, t_ns);

	if (s->depth == LMM_TL_DEPTH) {
		s->too_deep++;
		return rc;
	}
	p = &s->phases[s->depth++];
	memset(p, 0, sizeof(*p));
	p->phase = e->phase;
	p->seq = e->seq;
	p->step = e->id;
	p->begin_ns = p->piece_ns = t_ns;
	p->position = LMM_POS_ABSENT;
	pass = pass_of(s, p);
	p->part = pass ? pass->parts : 0;
	return rc;
}

static void draw_step_args(struct lmm_slice *slice, const struct lmm_tl_phase *p,
			   const struct lmm_event *e)
{
	lmm__tl_arg_u64(slice, "tokens", (uint32_t)e->a);
	lmm__tl_arg_u64(slice, "outputs", e->a >> 32);
	lmm__tl_arg_u64(slice, "context", (uint32_t)e->b);
	lmm__tl_arg_u64(slice, "call", e->b >> 32);
	if (p->n_seqs > 0)
		lmm__tl_arg_u64(slice, "sequences", p->n_seqs);
	if (p->position != LMM_POS_ABSENT)
		lmm__tl_arg_u64(slice, "position", p->position);
}

static int draw_step(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_tl_phase *p,
		     uint64_t end_ns)
{
	const struct lmm_event *e = &p->step_event;
	struct lmm_slice slice = {
		.begin_ns = p->begin_ns,
		.end_ns = end_ns,
		.name = lmm_phase_name(p->phase),
		/* a bracket without a STEP goes on with its step: the program waits for the device */
		.category = p->has_step ? "step" : "wait",
		.of = lmm__tl_of(s->process, p->phase, p->step, p->begin_ns),
	};
	int rc;

	if (slice.of.is_warmup)
		slice.category = "warmup";
	lmm__tl_arg_u64(&slice, "step", p->step);
	if (p->has_step)
		draw_step_args(&slice, p, e);
	rc = lmm__tl_track(tl, &s->steps_track, LMM_TRACK_STEPS, s->process, s->tid, "steps");
	return rc < 0 ? rc : lmm__tl_slice(tl, &s->steps_track, &slice);
}
static int phase_pop(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t t_ns)
{
	struct lmm_tl_phase *p = &s->phases[s->depth - 1];
	struct lmm_tl_step *pass = pass_of(s, p);
	int rc = cut_phase(tl, s, t_ns);

	/* one that took no time is drawn all the same, so that slices can be counted */
	if (rc == 0 && p->part == 0)
		rc = draw_piece(tl, s, p, t_ns);
	if (rc == 0 && (p->has_step || lmm_phase_is_step(p->phase)))
		rc = draw_step(tl, s, p, t_ns);
	if (pass)
		pass->parts = p->part;
	s->depth--;
	if (s->depth > 0)
		s->phases[s->depth - 1].piece_ns = t_ns;
	return rc;
}

static int phase_end(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	uint64_t t_ns = lmm__tl_ns(tl, e->t);
	unsigned depth = s->depth;
	int rc = 0;

	if (s->too_deep > 0) {
		s->too_deep--;
		return 0;
	}
	while (depth > 0 && s->phases[depth - 1].phase != e->phase)
		depth--;
	/* ends that were lost: whatever is still open inside ends here too */
	while (depth > 0 && s->depth >= depth && rc == 0)
		rc = phase_pop(tl, s, t_ns);
	return rc;
}

int lmm__tl_embedding(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t begin_ns,
		      uint64_t end_ns)
{
	struct lmm_tl_phase piece = {
		.phase = LMM_PHASE_EMBEDDING,
		.seq = LMM_SEQ_NONE,
		.step = s->run_step,
		.piece_ns = begin_ns,
	};
	int rc = cut_phase(tl, s, begin_ns);

	piece.part = s->embedding_drawn && s->embedding_step == s->run_step;
	s->embedding_drawn = 1;
	s->embedding_step = s->run_step;
	if (rc == 0)
		rc = draw_piece(tl, s, &piece, end_ns);
	if (s->depth > 0)
		s->phases[s->depth - 1].piece_ns = end_ns;
	return rc;
}

static int draw_unaccounted(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_tl_phase piece = {
		.phase = LMM_PHASE_UNACCOUNTED,
		.seq = LMM_SEQ_NONE,
		.step = e->id,
		.piece_ns = lmm__tl_ns(tl, e->t),
	};

	return draw_piece(tl, s, &piece, lmm__tl_ns(tl, e->a));
}

/* ---- steps and tokens --------------------------------------------------------------------------- */

static uint64_t warm_until_ns(const struct lmm_tl *tl, const struct lmm_tl_context *c,
			      uint32_t step)
{
	if (c->is_warming)
		return UINT64_MAX;
	for (uint32_t i = c->n; i-- > 0 && c->warmups[i].before > step;) {
		if (c->warmups[i].from <= step)
			return lmm__tl_ns(tl, c->warmups[i].until_ticks);
	}
	return 0;
}

static int note_step(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_tl_step *step = lmm__tl_note_step(s->process, e);
	const struct lmm_tl_context *c = lmm__tl_context(tl, s->process->process, (uint32_t)e->b);

	if (!c)
		return -ENOMEM;
	step->warm_until_ns = warm_until_ns(tl, c, e->id);
	if (s->depth > 0 && s->phases[s->depth - 1].step == e->id) {
		s->phases[s->depth - 1].has_step = 1;
		s->phases[s->depth - 1].step_event = *e;
	}
	return 0;
}

static void note_seq(struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_tl_phase *top = s->depth > 0 ? &s->phases[s->depth - 1] : NULL;

	if (!top || !top->has_step || top->step != e->id)
		return;
	if (top->n_seqs++ == 0) {
		top->position = e->b;
	} else {
		top->position = LMM_POS_ABSENT;
	}
}

/* What comes behind the end of a warm-up may still speak of its last step. */
static void end_warming(struct lmm_tl_process *p, uint32_t context, uint64_t t_ns)
{
	for (unsigned i = 0; i < LMM_TL_STEPS; i++) {
		if (p->steps[i].context == context && p->steps[i].warm_until_ns == UINT64_MAX)
			p->steps[i].warm_until_ns = t_ns;
	}
}

/* From where the positions were moved to the next token, which waits for that. */
static int draw_shift(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t end_ns)
{
	struct lmm_slice slice = { .begin_ns = s->shift_ns,
				   .end_ns = end_ns,
				   .name = "context shift",
				   .category = "context_shift" };
	int rc;

	s->shift_ns = 0;
	lmm__tl_arg_u64(&slice, "positions", s->shift_positions);
	rc = lmm__tl_track(tl, &s->shifts_track, LMM_TRACK_SPANS, s->process, s->tid,
			   "context shifts");
	return rc < 0 ? rc : lmm__tl_slice(tl, &s->shifts_track, &slice);
}

/* An instant: the call that was refused is drawn as its phase. */
static int draw_refusal(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	uint64_t t_ns = lmm__tl_ns(tl, e->t);
	struct lmm_slice slice = { .begin_ns = t_ns,
				   .end_ns = t_ns,
				   .name = "no room in the context",
				   .category = "context_refusal" };
	int rc = lmm__tl_track(tl, &s->refusals_track, LMM_TRACK_SPANS, s->process, s->tid,
			       "no room in the context");

	lmm__tl_arg_u64(&slice, "step", e->b);
	return rc < 0 ? rc : lmm__tl_slice(tl, &s->refusals_track, &slice);
}

static int note_hint(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_tl_context *c;

	if (e->phase == LMM_HINT_NO_ROOM)
		return draw_refusal(tl, s, e);
	if (e->phase == LMM_HINT_SEQ_SHIFT && s->has_token) {
		s->shift_ns = lmm__tl_ns(tl, e->t);
		s->shift_positions = e->b;
	}
	if (e->phase != LMM_HINT_WARMUP_ON && e->phase != LMM_HINT_WARMUP_OFF)
		return 0;
	c = lmm__tl_context(tl, s->process->process, (uint32_t)e->a);
	if (!c)
		return -ENOMEM;
	c->is_warming = e->phase == LMM_HINT_WARMUP_ON;
	if (!c->is_warming)
		end_warming(s->process, (uint32_t)e->a, lmm__tl_ns(tl, e->t));
	return 0;
}

static int draw_rate(struct lmm_tl *tl, struct lmm_tl_process *p, uint64_t window, uint64_t tokens)
{
	static const char name[] = "output tokens/s";
	int rc = lmm__tl_track(tl, &p->tokens_track, LMM_TRACK_TOKENS, p, 0, name);
	struct lmm_counter c = { .track = p->tokens_track.id,
				 .name = name,
				 .unit = "tokens/s",
				 .t_ns = tl->start_ns + (window - 1) * LMM_TL_RATE_NS,
				 .value = (double)tokens * 1e9 / LMM_TL_RATE_NS };

	return rc < 0 ? rc : tl->ops->counter(tl->ctx, &c);
}

/* Ends the window that is being counted; the next one with tokens is `next`, 0: none comes. */
static int end_window(struct lmm_tl *tl, struct lmm_tl_process *p, uint64_t next)
{
	int rc = 0;

	if (p->tokens_window == 0)
		return 0;
	rc = draw_rate(tl, p, p->tokens_window, p->tokens_count);
	if (rc == 0 && next != p->tokens_window + 1)
		rc = draw_rate(tl, p, p->tokens_window + 1, 0);
	return rc;
}

static int count_token(struct lmm_tl *tl, struct lmm_tl_process *p, const struct lmm_event *e)
{
	uint64_t t_ns = lmm__tl_ns(tl, e->t);
	uint64_t window = (t_ns > tl->start_ns ? t_ns - tl->start_ns : 0) / LMM_TL_RATE_NS + 1;
	int rc = 0;

	/* threads come in batches: a token that is late counts where the counting is */
	if (window > p->tokens_window) {
		rc = end_window(tl, p, window);
		p->tokens_window = window;
		p->tokens_count = 0;
	}
	p->tokens_count++;
	return rc;
}

static int note_token(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	int rc = s->shift_ns ? draw_shift(tl, s, lmm__tl_ns(tl, e->t)) : 0;

	s->has_token = 1;
	return rc < 0 ? rc : count_token(tl, s->process, e);
}

/* ---- spans -------------------------------------------------------------------------------------- */

static int draw_span(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	const uint32_t *name = lmm_idmap_get(&tl->names, lmm_idmap_key(s->process->process, e->id));
	struct lmm_slice slice = {
		.begin_ns = lmm__tl_ns(tl, e->t - e->a),
		.end_ns = lmm__tl_ns(tl, e->t),
		.name = name ? lmm_strpool_get(&tl->strings, *name) : "unknown",
		.category = "span",
	};
	struct lmm_tl_track *track;
	int rc;

	if (e->phase >= LMM_TL_SPANS || e->a > e->t)
		return 0;
	if ((uint32_t)e->b != LMM_STEP_NONE)
		lmm__tl_arg_u64(&slice, "step", (uint32_t)e->b);
	track = &s->spans_track[e->phase];
	rc = lmm__tl_track(tl, track, LMM_TRACK_SPANS, s->process, s->tid, "spans");
	return rc < 0 ? rc : lmm__tl_slice(tl, track, &slice);
}

static int note_name(struct lmm_tl *tl, const struct lmm_name *item)
{
	uint32_t *name = lmm_idmap_make(&tl->names, lmm_idmap_key(item->process, item->number),
					sizeof(*name));

	if (!name)
		return -ENOMEM;
	*name = lmm_strpool_add(&tl->strings, item->text, NULL);
	return *name ? 0 : -ENOMEM;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static int draw_request(struct lmm_tl *tl, struct lmm_tl_track *lane,
			const struct lmm_result_request *q)
{
	struct lmm_slice slice = { .category = "request" };
	char name[40];

	(void)snprintf(name, sizeof(name), "request %" PRIu64, q->id);
	slice.name = name;
	slice.begin_ns = tl->start_ns + q->start_ns;
	slice.end_ns = slice.begin_ns + (q->wall_ns > 0 ? (uint64_t)(q->wall_ns + 0.5) : 0);
	lmm__tl_arg_u64(&slice, "id", q->id);
	lmm__tl_arg_u64(&slice, "prompt_tokens", q->prompt_tokens);
	lmm__tl_arg_u64(&slice, "cached_tokens", q->cached_tokens);
	lmm__tl_arg_u64(&slice, "output_tokens", q->output_tokens);
	if (q->ttft_ns >= 0)
		lmm__tl_arg_u64(&slice, "ttft_ns", (uint64_t)(q->ttft_ns + 0.5));
	if (q->tpot_ns >= 0)
		lmm__tl_arg_u64(&slice, "tpot_ns", (uint64_t)(q->tpot_ns + 0.5));
	if (q->seq != LMM_SEQ_NONE)
		lmm__tl_arg_u64(&slice, "seq", q->seq);
	if (!q->complete)
		lmm__tl_arg_u64(&slice, "incomplete", 1);
	if (q->joined)
		lmm__tl_arg_u64(&slice, "joined", 1);
	return lmm__tl_slice(tl, lane, &slice);
}

/* Requests of a process that run at once go to tracks of their own. Few: at most LMM_RESULT_REQUESTS_MAX. */
struct lane {
	struct lmm_tl_track track;
	uint32_t process;
};

static struct lane *find_lane(struct lane *lanes, size_t *n, uint32_t process, uint64_t begin_ns)
{
	for (size_t i = 0; i < *n; i++) {
		if (lanes[i].process == process && lanes[i].track.last_end_ns <= begin_ns)
			return &lanes[i];
	}
	lanes[*n].process = process;
	return &lanes[(*n)++];
}

int lmm__tl_requests(struct lmm_tl *tl)
{
	struct lane *lanes = calloc(tl->r->n_requests ? tl->r->n_requests : 1, sizeof(*lanes));
	size_t n = 0;
	int rc = lanes ? 0 : -ENOMEM;

	for (size_t i = 0; i < tl->r->n_requests && rc == 0; i++) {
		const struct lmm_result_request *q = &tl->r->requests[i];
		const struct lmm_tl_process *p = lmm__tl_process(tl, q->process);
		struct lane *lane = find_lane(lanes, &n, q->process, tl->start_ns + q->start_ns);

		rc = p ? lmm__tl_track(tl, &lane->track, LMM_TRACK_REQUESTS, p, 0, "requests")
		       : -ENOMEM;
		if (rc == 0)
			rc = draw_request(tl, &lane->track, q);
	}
	free(lanes);
	return rc;
}

/* ---- walking ------------------------------------------------------------------------------------ */

static int tell_event(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	if (!tl->ops->event ||
	    (e->type != LMM_EV_STEP && e->type != LMM_EV_SEQ && e->type != LMM_EV_TOKEN))
		return 0;
	return tl->ops->event(tl->ctx, s->process->process, lmm__tl_ns(tl, e->t), e);
}

static int draw_event(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	switch (e->type) {
	case LMM_EV_OP:
	case LMM_EV_OP_FUSED:
		return lmm__tl_op(tl, s, e);
	case LMM_EV_BARRIER:
		s->op_barrier_ns = lmm__tl_ns(tl, e->t);
		return 0;
	case LMM_EV_GRAPH_BEGIN:
	case LMM_EV_EPOCH:
		return lmm__tl_run_begin(tl, s, e);
	case LMM_EV_GRAPH_END:
		return lmm__tl_run_end(tl, s, lmm__tl_ns(tl, e->t));
	case LMM_EV_PHASE_BEGIN:
		return phase_begin(tl, s, e);
	case LMM_EV_PHASE_END:
		return phase_end(tl, s, e);
	case LMM_EV_STEP:
		return note_step(tl, s, e);
	case LMM_EV_SEQ:
		note_seq(s, e);
		return 0;
	case LMM_EV_TOKEN:
		return note_token(tl, s, e);
	case LMM_EV_UNACCOUNTED:
		return draw_unaccounted(tl, s, e);
	case LMM_EV_HINT:
		return note_hint(tl, s, e);
	case LMM_EV_COMMAND:
		return lmm__tl_command(tl, s, e);
	case LMM_EV_COMPLETION:
		return lmm__tl_completion(tl, s, e);
	case LMM_EV_DEVICE_CLOCK:
		return lmm__tl_device_clock(tl, s, e);
	case LMM_EV_DEVICE_GRAPH:
		lmm__tl_device_graph(tl, s, e);
		return 0;
	case LMM_EV_SPAN:
		return draw_span(tl, s, e);
	case LMM_EV_LOST:
		/* the operator that runs has no known end */
		s->op_is_open = 0;
		return 0;
	default:
		return 0;
	}
}

static int draw_events(struct lmm_tl *tl, const struct lmm_events *item)
{
	struct lmm_tl_stream *s = lmm_idmap_get(&tl->streams, item->stream);
	int rc = 0;

	for (uint32_t i = 0; s && i < item->n && rc == 0; i++) {
		rc = tell_event(tl, s, &item->ev[i]);
		if (rc == 0)
			rc = draw_event(tl, s, &item->ev[i]);
	}
	return rc;
}

static int note_kernel(struct lmm_tl *tl, const struct lmm_kernel *item)
{
	uint32_t *name = lmm_idmap_make(&tl->kernels, lmm_idmap_key(item->process, item->kernel),
					sizeof(*name));

	if (!name)
		return -ENOMEM;
	*name = lmm_strpool_add(&tl->strings, item->name, NULL);
	return *name ? 0 : -ENOMEM;
}

static int note_queue(struct lmm_tl *tl, const struct lmm_queue *item)
{
	struct lmm_tl_queue *q =
		lmm_idmap_make(&tl->queues, lmm_idmap_key(item->process, item->queue), sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->ticks_per_second = item->ticks_per_second;
	q->device_number = item->device_number;
	q->device = lmm_strpool_add(&tl->strings, item->device, NULL);
	return q->device ? 0 : -ENOMEM;
}

static int draw_item(struct lmm_tl *tl, const struct lmm_item *item)
{
	switch (item->kind) {
	case LMM_ITEM_GRAPH:
		return lmm__tl_graph(tl, &item->graph);
	case LMM_ITEM_KERNEL:
		return note_kernel(tl, &item->kernel);
	case LMM_ITEM_QUEUE:
		return note_queue(tl, &item->queue);
	case LMM_ITEM_NAME:
		return note_name(tl, &item->name);
	case LMM_ITEM_EVENTS:
		return draw_events(tl, &item->events);
	case LMM_ITEM_SAMPLES:
		return lmm__tl_samples(tl, &item->samples);
	default:
		return 0;
	}
}

static int draw_items(struct lmm_tl *tl, struct lmm_trace *tr)
{
	const struct lmm_item *item;
	int rc = lmm_trace_rewind(tr);

	while (rc == 0 && (rc = lmm_trace_next(tr, &item)) > 0)
		rc = draw_item(tl, item);
	return rc;
}

/* What is open when the records end has no known end and is not drawn, as it is not counted. */
static int draw_rests(struct lmm_tl *tl)
{
	int rc = 0;

	for (uint32_t i = 0; i < tl->streams.n_slots && rc == 0; i++) {
		if (tl->streams.slots[i].value)
			rc = lmm__tl_run_abandon(tl, tl->streams.slots[i].value);
	}
	for (uint32_t i = 0; i < tl->processes.n_slots && rc == 0; i++) {
		if (tl->processes.slots[i].value)
			rc = end_window(tl, tl->processes.slots[i].value, 0);
	}
	return rc;
}

static void free_context(void *value)
{
	free(((struct lmm_tl_context *)value)->warmups);
}

static void free_graph(void *value)
{
	free(((struct lmm_tl_graph *)value)->ops);
}

void lmm__tl_destroy(struct lmm_tl *tl)
{
	lmm_idmap_free(&tl->processes, NULL);
	lmm_idmap_free(&tl->contexts, free_context);
	lmm_idmap_free(&tl->streams, NULL);
	lmm_idmap_free(&tl->graphs, free_graph);
	lmm_idmap_free(&tl->kernels, NULL);
	lmm_idmap_free(&tl->names, NULL);
	lmm_idmap_free(&tl->queues, NULL);
	lmm_idmap_free(&tl->clocks, NULL);
	lmm_idmap_free(&tl->sensors, NULL);
	lmm_strpool_free(&tl->strings);
	free(tl);
}

int lmm_timeline_draw(struct lmm_trace *tr, const struct lmm_result *r,
		      const struct lmm_timeline_ops *ops, void *ctx)
{
	struct lmm_tl *tl = calloc(1, sizeof(*tl));
	int rc;

	if (!tl)
		return -ENOMEM;
	tl->ops = ops;
	tl->ctx = ctx;
	tl->r = r;
	rc = lmm__tl_scan(tl, tr);
	tl->start_ns = lmm__tl_ns(tl, tl->start_ticks);
	if (rc == 0)
		rc = ops->session(ctx, r, tl->start_ns);
	if (rc == 0)
		rc = lmm__tl_requests(tl);
	if (rc == 0)
		rc = draw_items(tl, tr);
	if (rc == 0)
		rc = draw_rests(tl);
	lmm__tl_destroy(tl);
	return rc;
}
