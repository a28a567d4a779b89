/* SPDX-License-Identifier: Apache-2.0 */
/* What a window has seen becomes commands with times, in the order in which the device did them. */
#include "probe/devices/cuda/window.h"

/* Phase and step of the thread's own words must not be used: the commands are those of steps that have gone. */
static void command_put(struct lmm_thread *th, const struct lmm_cu_record *r,
			const struct lmm_cu_call *c, struct lmm_cu_stream *s, uint32_t id)
{
	uint64_t amount = r->amount < UINT32_MAX ? r->amount : UINT32_MAX;
	uint32_t step = c ? c->step : LMM_STEP_NONE;
	uint64_t t = c ? c->t : lmm_now();

	if (r->tag_graph && (r->tag_graph != th->graph_said || step != th->graph_said_step)) {
		th->graph_said = r->tag_graph;
		th->graph_said_step = step;
		lmm_writer_put_wide(&th->w, t,
				    lmm_word(LMM_EV_DEVICE_GRAPH, 0, LMM_SEQ_NONE, r->tag_graph), 0,
				    step);
	}
	lmm_writer_put_wide(
		&th->w, t, lmm_word(LMM_EV_COMMAND, c ? c->phase : LMM_PHASE_NONE, s->number, id),
		r->kernel | (uint64_t)(r->tag_graph ? r->tag_node : LMM_NODE_UNKNOWN) << 32,
		step | amount << 32);
}

/* Whether this and what follows came with the launch of a graph, and which. */
static void buffer_put(struct lmm_thread *th, struct lmm_cu_call *c, uint32_t *last, uint32_t entry)
{
	uint32_t buffer = c && c->kind == LMM_KERNEL_COMMAND_BUFFER ? entry : 0;

	if (buffer == *last)
		return;
	*last = buffer;
	lmm_writer_put_wide(&th->w, c ? c->t : lmm_now(),
			    lmm_word(LMM_EV_DEVICE_GRAPH, 1, LMM_SEQ_NONE, buffer ? c->kernel : 0),
			    buffer && !c->is_told, c ? c->step : LMM_STEP_NONE);
	if (buffer)
		c->is_told = true;
}

static void clock_put(struct lmm_thread *th, struct lmm_cu_stream *s)
{
	uint64_t t0 = lmm_now(), mono = lmm_mono_ns(), t1 = lmm_now();

	lmm_device_clock_put(th, &s->clock, s->number, lmm_cu_device_number(false), t0, t1, mono);
}

static void record_put(struct lmm_thread *th, const struct lmm_cu_record *r,
		       const struct lmm_cu_call *c)
{
	struct lmm_device_times x = { .queued = r->start,
				      .submitted = r->start,
				      .started = r->start,
				      .ended = r->end,
				      .status = LMM_COMPLETION_OK };
	struct lmm_cu_stream *s = lmm_cu_stream_of_cupti(r->stream);

	if (!s || s->told != lmm_device_session()) {
		s = lmm_cu_stream_name(c && c->stream ? lmm_cu_stream_find(c->stream) : s,
				       r->stream);
		if (!s)
			return;
	}
	clock_put(th, s);
	x.id = s->next_id++;
	command_put(th, r, c, s, x.id);
	lmm_device_completion_put(th, s->number, &x);
}

/* Handed over, and nothing is known of it: it counts. */
static void unseen_put(struct lmm_thread *th, const struct lmm_cu_call *c)
{
	const struct lmm_cu_stream *s = c->stream ? lmm_cu_stream_find(c->stream) : NULL;
	uint64_t amount = c->amount < UINT32_MAX ? c->amount : UINT32_MAX;

	if (!s || !c->kernel)
		return;
	lmm_writer_put_wide(&th->w, c->t, lmm_word(LMM_EV_COMMAND_UNTIMED, c->phase, s->number, 0),
			    c->kernel | (uint64_t)LMM_NODE_UNKNOWN << 32, c->step | amount << 32);
}

/* 0: not known. */
static uint32_t expected_of(const struct lmm_cu_entry *e)
{
	const struct lmm_cu_call *c = &e->call;

	/* between devices that do not reach each other's memory the driver makes two copies of one */
	if (c->kind == LMM_KERNEL_COPY && e->seen == 2)
		return 2;
	if (c->kind != LMM_KERNEL_COMMAND_BUFFER)
		return 1;
	return c->list ? c->list->n : 0;
}

/* It was under way when its turn began: what it handed over may have been told with the turn before. */
static bool is_across(const struct lmm_cu_log *log, const struct lmm_cu_call *c)
{
	return c->n_carried ? c->is_across : c->t < log->since_t;
}

static void call_put(struct lmm_thread *th, const struct lmm_cu_log *log,
		     const struct lmm_cu_entry *e, bool is_last)
{
	const struct lmm_cu_call *c = &e->call;
	uint32_t seen = c->n_before + e->seen;

	if (seen && seen >= expected_of(e))
		return;
	/* of another thread, or another stream: the device may have it before it yet */
	if (!is_last && lmm_cu_log_carry(e, is_across(log, c)))
		return;
	if (!seen && !is_across(log, c))
		unseen_put(th, c);
}

static void calls_put(struct lmm_thread *th, const struct lmm_cu_log *log, bool is_last,
		      struct lmm_cu_joined *j)
{
	j->expected += log->roomless;
	for (uint32_t i = 0; i < log->n; i++) {
		const struct lmm_cu_entry *e = &log->entries[i];
		uint32_t expected;

		if (!e->is_handed)
			continue;
		expected = expected_of(e);
		if (!expected) {
			j->expected += e->seen;
		} else if (!e->call.n_carried) {
			j->expected += expected;
		}
		call_put(th, log, e, is_last);
	}
}

/*
 * Its call has returned when that is noted, and another thread may have been put aside before: the next turn has the call then. False:
 * it has been waited for, or there is nothing to wait for.
 */
static bool is_early(const struct lmm_cu_record *r, const struct lmm_cu_log *log, bool is_last)
{
	return !r->entry && !r->is_kept && !is_last && !log->roomless;
}

/* What runs before and behind it on its stream has no numbers in a row: that is no idle time in between. */
static void hole_leave(const struct lmm_cu_record *r)
{
	struct lmm_cu_stream *s = lmm_cu_stream_of_cupti(r->stream);

	if (s)
		s->next_id++;
}

struct lmm_cu_joined lmm_cu_join(struct lmm_thread *th, bool is_last)
{
	struct lmm_cu_joined j = { 0 };
	uint32_t n_records, n_kept = 0, buffer = 0;
	/* first: what is read here is of calls that had begun when the turn ends */
	struct lmm_cu_record *r = lmm_cu_records(&n_records);
	struct lmm_cu_log log = lmm_cu_log_turn(is_last);
	uint64_t end = 0;

	if (!r || !log.entries)
		return j;
	lmm_cu_match(r, n_records, log.entries, log.n);
	for (uint32_t i = 0; i < n_records; i++) {
		uint64_t from = r[i].start > end ? r[i].start : end;
		struct lmm_cu_call *c = r[i].entry ? &log.entries[r[i].entry - 1].call : NULL;

		/* handed over when the recording had been switched off, and nobody was asked any more */
		if (!c && !lmm_recording())
			continue;
		if (!r[i].is_kept && r[i].end > end)
			end = r[i].end;
		/* handed over before the window was open, and told then */
		if (!c && r[i].correlation < lmm_cu_log_first())
			continue;
		if (!r[i].is_kept && end > from)
			j.union_ns += end - from;
		if (is_early(&r[i], &log, is_last)) {
			r[i].is_kept = true;
			r[n_kept++] = r[i];
			hole_leave(&r[i]);
			continue;
		}
		/* its call found no room, and has been told as one without a time */
		if (!c && log.roomless) {
			j.dropped++;
			continue;
		}
		buffer_put(th, c, &buffer, r[i].entry);
		record_put(th, &r[i], c);
		j.records++;
		j.unmatched += !c;
	}
	buffer_put(th, NULL, &buffer, 0);
	calls_put(th, &log, is_last, &j);
	lmm_cu_records_drop(n_records, n_kept);
	return j;
}
