/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's operators come before the piece of a phase in which they ran: they are kept until it is there. */
#include "report/stacks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/idmap.h"
#include "report/owner.h"

struct op {
	uint64_t begin_ns, end_ns;
	uint32_t name, role, layer; /* frames; layer 0: none */
	uint32_t step, context;
	uint8_t phase;
};

struct lane {
	struct lmm_lane lane;
	uint32_t process;
	struct op *ops; /* of no piece yet */
	uint32_t n_ops, cap_ops;
};

/* By the track's number. */
struct track {
	struct lane *lane;
	enum lmm_track_kind kind;
};

struct stacks {
	const struct lmm_stacks_opts *opts;
	const struct lmm_result *r;
	struct lmm_owners owners;
	struct lmm_idmap threads; /* (process, thread): struct lane */
	struct lmm_idmap queues;  /* track: struct lane */
	struct lmm_idmap tracks;  /* struct track */
	uint64_t start_ns;
	uint32_t n_lanes;
};

/* ---- lanes -------------------------------------------------------------------------------------- */

static void lane_begin(struct stacks *s, struct lane *l, const struct lmm_track *t,
		       enum lmm_lane_kind kind)
{
	if (l->lane.lane)
		return;
	l->lane.lane = ++s->n_lanes;
	l->lane.kind = kind;
	l->process = t->process;
	if (kind == LMM_LANE_DEVICE) {
		(void)snprintf(l->lane.name, sizeof(l->lane.name), "%.60s %" PRId32 ": %.60s",
			       t->process_name, t->pid, t->name);
	} else {
		(void)snprintf(l->lane.name, sizeof(l->lane.name),
			       "%.60s %" PRId32 ": thread %" PRId32, t->process_name, t->pid,
			       t->tid);
	}
}

static int put_track(void *ctx, const struct lmm_track *t)
{
	struct stacks *s = ctx;
	struct track *track;

	if (t->kind != LMM_TRACK_PHASES && t->kind != LMM_TRACK_OPERATORS &&
	    t->kind != LMM_TRACK_QUEUE)
		return 0;
	track = lmm_idmap_make(&s->tracks, t->track, sizeof(*track));
	if (!track)
		return -ENOMEM;
	track->kind = t->kind;
	if (t->kind == LMM_TRACK_QUEUE) {
		track->lane = lmm_idmap_make(&s->queues, t->track, sizeof(*track->lane));
	} else {
		track->lane =
			lmm_idmap_make(&s->threads, lmm_idmap_key(t->process, (uint32_t)t->tid),
				       sizeof(*track->lane));
	}
	if (!track->lane)
		return -ENOMEM;
	lane_begin(s, track->lane, t,
		   t->kind == LMM_TRACK_QUEUE ? LMM_LANE_DEVICE : LMM_LANE_THREAD);
	return 0;
}

/* ---- frames ------------------------------------------------------------------------------------- */

static uint32_t frame(struct stacks *s, const char *name)
{
	return lmm_strpool_add(s->opts->frames, name, NULL);
}

static uint32_t owner_frame(struct stacks *s, uint32_t process, const struct lmm_slice_of *of,
			    uint64_t t_ns)
{
	size_t at = lmm_owner(&s->owners, s->r, process, of, t_ns);
	char name[40];

	if (at == LMM_OWNER_NONE)
		return frame(s, "no request");
	if (s->opts->joins_requests)
		return frame(s, "requests");
	if (at == LMM_OWNER_SEVERAL)
		return frame(s, "several requests");
	(void)snprintf(name, sizeof(name), "request %" PRIu64, s->r->requests[at].id);
	return frame(s, name);
}

static uint32_t layer_frame(struct stacks *s, int32_t layer)
{
	char name[24];

	(void)snprintf(name, sizeof(name), "layer %" PRId32, layer);
	return frame(s, name);
}

/* "Qcur (MUL_MAT)" */
static uint32_t op_frame(struct stacks *s, const struct lmm_slice *slice)
{
	char name[256];

	if (!slice->of.op || !*slice->of.op)
		return frame(s, slice->name);
	(void)snprintf(name, sizeof(name), "%.200s (%.40s)", slice->name, slice->of.op);
	return frame(s, name);
}

static int make_op(struct stacks *s, const struct lmm_slice *slice, struct op *op)
{
	op->begin_ns = slice->begin_ns > s->start_ns ? slice->begin_ns - s->start_ns : 0;
	op->end_ns = slice->end_ns > s->start_ns ? slice->end_ns - s->start_ns : 0;
	op->name = op_frame(s, slice);
	op->role = frame(s, lmm_role_name(slice->of.role));
	op->layer = slice->of.layer >= 0 ? layer_frame(s, slice->of.layer) : 0;
	op->step = slice->of.step;
	op->context = slice->of.context;
	op->phase = slice->of.phase;
	return op->name && op->role && (slice->of.layer < 0 || op->layer) ? 0 : -ENOMEM;
}

/* ---- stacks ------------------------------------------------------------------------------------- */

static int give(struct stacks *s, struct lmm_stack *stack, uint64_t begin_ns, uint64_t end_ns)
{
	stack->begin_ns = begin_ns;
	stack->end_ns = end_ns;
	for (unsigned i = 0; i < stack->depth; i++) {
		if (stack->frames[i] == 0)
			return -ENOMEM;
	}
	return end_ns > begin_ns ? s->opts->stack(s->opts->ctx, stack) : 0;
}

static int give_op(struct stacks *s, const struct lmm_stack *around, const struct op *op)
{
	struct lmm_stack stack = *around;

	/* the phase of the embedding is that of its operators */
	if (op->role != stack.frames[stack.depth - 1])
		stack.frames[stack.depth++] = op->role;
	if (op->layer)
		stack.frames[stack.depth++] = op->layer;
	stack.frames[stack.depth++] = op->name;
	return give(s, &stack, op->begin_ns, op->end_ns);
}

/* In no bracket of its own thread: a worker's, or what ran outside. */
static int give_alone(struct stacks *s, const struct lane *l, const struct op *op)
{
	struct lmm_slice_of of = { .step = op->step, .context = op->context, .seq = LMM_SEQ_NONE };
	struct lmm_stack stack = { .lane = &l->lane, .depth = 2 };

	stack.frames[0] = owner_frame(s, l->process, &of, op->begin_ns);
	stack.frames[1] = frame(s, op->phase ? lmm_phase_name(op->phase) : "no phase");
	return give_op(s, &stack, op);
}

static void ops_drop(struct lane *l, uint32_t n)
{
	l->n_ops -= n;
	if (n > 0)
		memmove(l->ops, l->ops + n, l->n_ops * sizeof(*l->ops));
}

static int op_keep(struct lane *l, const struct op *op)
{
	if (l->n_ops == l->cap_ops) {
		uint32_t cap = l->cap_ops ? l->cap_ops * 2 : 1024;
		struct op *ops = realloc(l->ops, cap * sizeof(*ops));

		if (!ops)
			return -ENOMEM;
		l->ops = ops;
		l->cap_ops = cap;
	}
	l->ops[l->n_ops++] = *op;
	return 0;
}

static int put_op(struct stacks *s, struct lane *l, const struct lmm_slice *slice)
{
	struct op op;
	int rc;

	if (slice->of.is_warmup)
		return 0;
	rc = make_op(s, slice, &op);
	if (rc)
		return rc;
	if (!slice->of.is_worker)
		return op_keep(l, &op);
	l->lane.kind = LMM_LANE_WORKER;
	return give_alone(s, l, &op);
}

/* The phase's own time between operators that ran in the piece, and those. */
static int put_piece(struct stacks *s, struct lane *l, const struct lmm_slice *slice)
{
	uint64_t at_ns = slice->begin_ns - s->start_ns, end_ns = slice->end_ns - s->start_ns;
	struct lmm_stack stack = { .lane = &l->lane, .depth = 2 };
	uint32_t i = 0;
	int rc = 0;

	for (; i < l->n_ops && l->ops[i].begin_ns < at_ns && rc == 0; i++)
		rc = give_alone(s, l, &l->ops[i]);
	if (rc == 0 && !slice->of.is_warmup) {
		stack.frames[0] = owner_frame(s, l->process, &slice->of, at_ns);
		stack.frames[1] = frame(s, slice->name);
	}
	for (; i < l->n_ops && l->ops[i].begin_ns < end_ns && rc == 0; i++) {
		struct op op = l->ops[i];

		op.end_ns = op.end_ns < end_ns ? op.end_ns : end_ns;
		if (slice->of.is_warmup)
			continue;
		rc = give(s, &stack, at_ns, op.begin_ns);
		if (rc == 0)
			rc = give_op(s, &stack, &op);
		at_ns = op.end_ns;
	}
	if (rc == 0 && !slice->of.is_warmup)
		rc = give(s, &stack, at_ns, end_ns);
	ops_drop(l, i);
	return rc;
}

static int put_command(struct stacks *s, struct lane *l, const struct lmm_slice *slice)
{
	struct lmm_stack stack = { .lane = &l->lane, .depth = 2 };
	struct op op;
	int rc;

	if (slice->of.is_warmup)
		return 0;
	rc = make_op(s, slice, &op);
	if (rc)
		return rc;
	stack.frames[0] = frame(s, l->lane.name);
	stack.frames[1] = frame(s, op.phase ? lmm_phase_name(op.phase) : "no phase");
	return give_op(s, &stack, &op);
}

/* Time that is in no phase counts inside requests only, as in the report. */
static int counts(const struct stacks *s, const struct lane *l, const struct lmm_slice *slice)
{
	return slice->of.phase != LMM_PHASE_UNACCOUNTED ||
	       lmm_request_covers(s->r, l->process, slice->begin_ns - s->start_ns,
				  slice->end_ns - s->start_ns);
}

static int put_slice(void *ctx, const struct lmm_slice *slice)
{
	struct stacks *s = ctx;
	const struct track *track = lmm_idmap_get(&s->tracks, slice->track);

	if (!track || slice->begin_ns < s->start_ns)
		return 0;
	switch (track->kind) {
	case LMM_TRACK_OPERATORS:
		return put_op(s, track->lane, slice);
	case LMM_TRACK_PHASES:
		return counts(s, track->lane, slice) ? put_piece(s, track->lane, slice) : 0;
	case LMM_TRACK_QUEUE:
		return strcmp(slice->category, "pass") ? put_command(s, track->lane, slice) : 0;
	default:
		return 0;
	}
}

/* ---- all ---------------------------------------------------------------------------------------- */

static int put_session(void *ctx, const struct lmm_result *r, uint64_t start_ns)
{
	(void)r;
	((struct stacks *)ctx)->start_ns = start_ns;
	return 0;
}

static int put_counter(void *ctx, const struct lmm_counter *counter)
{
	(void)ctx;
	(void)counter;
	return 0;
}

static int put_event(void *ctx, uint32_t process, uint64_t t_ns, const struct lmm_event *e)
{
	(void)t_ns;
	return lmm_owners_note(&((struct stacks *)ctx)->owners, process, e);
}

static int put_rests(struct stacks *s)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->threads.n_slots && rc == 0; i++) {
		const struct lane *l = s->threads.slots[i].value;

		for (uint32_t k = 0; l && k < l->n_ops && rc == 0; k++)
			rc = give_alone(s, l, &l->ops[k]);
	}
	return rc;
}

static void free_lane(void *value)
{
	free(((struct lane *)value)->ops);
}

int lmm_stacks_read(struct lmm_trace *tr, const struct lmm_result *r,
		    const struct lmm_stacks_opts *opts)
{
	static const struct lmm_timeline_ops ops = { put_session, put_track, put_slice, put_counter,
						     put_event };
	struct stacks s = { .opts = opts, .r = r };
	int rc = lmm_timeline_draw(tr, r, &ops, &s);

	if (rc == 0)
		rc = put_rests(&s);
	lmm_owners_free(&s.owners);
	lmm_idmap_free(&s.threads, free_lane);
	lmm_idmap_free(&s.queues, NULL);
	lmm_idmap_free(&s.tracks, NULL);
	return rc;
}
