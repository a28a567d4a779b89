/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long trace out of a short one, and how fast it is read.
 *
 *	bench_trace make REAL.lmt OUT.lmt RECORDS	decode steps go on until there are RECORDS events; each interval between
 *							two events is drawn from those that the real run had at that place
 *	bench_trace read FILE.lmt [ROUNDS]		reads every event; prints one JSON object
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/analysis.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "lmmeter/trace.h"
#include "trace/writer.h"
#include "trace/zstd_codec.h"

#define BATCH	     4096
#define EXAMPLES_MAX 512

static void fail(const char *what, int rc)
{
	fprintf(stderr, "bench_trace: %s: %s\n", what, rc ? lmm_strerror(rc) : "not as expected");
	exit(1);
}

/* ---- a real run, taken apart -------------------------------------------------------------------- */

struct real {
	uint32_t stream;
	struct lmm_event *ev;
	size_t n, cap;
	size_t start[EXAMPLES_MAX]; /* where steps of the commonest shape begin */
	size_t n_examples;
	size_t length; /* events in each */
};

static void real_add(struct real *r, const struct lmm_events *e)
{
	if (r->n + e->n > r->cap) {
		r->cap = (r->n + e->n) * 2;
		r->ev = realloc(r->ev, r->cap * sizeof(*r->ev));
		if (!r->ev)
			fail("memory", 0);
	}
	memcpy(r->ev + r->n, e->ev, e->n * sizeof(*e->ev));
	r->n += e->n;
}

/* The stream that carries the graphs. */
static uint32_t main_stream(const char *path)
{
	uint64_t graphs[1024] = { 0 };
	const struct lmm_item *it;
	struct lmm_trace *tr;
	uint32_t best = 0;
	int rc = lmm_trace_open(path, &tr);

	if (rc)
		fail(path, rc);
	while ((rc = lmm_trace_next(tr, &it)) > 0) {
		if (it->kind != LMM_ITEM_EVENTS || it->events.stream >= 1024)
			continue;
		for (uint32_t i = 0; i < it->events.n; i++)
			graphs[it->events.stream] += it->events.ev[i].type == LMM_EV_GRAPH_BEGIN;
	}
	lmm_trace_close(tr);
	for (uint32_t s = 0; s < 1024; s++)
		if (graphs[s] > graphs[best])
			best = s;
	return best;
}

static void real_read(struct real *r, const char *path)
{
	const struct lmm_item *it;
	struct lmm_trace *tr;
	int rc;

	r->stream = main_stream(path);
	rc = lmm_trace_open(path, &tr);
	if (rc)
		fail(path, rc);
	while ((rc = lmm_trace_next(tr, &it)) > 0)
		if (it->kind == LMM_ITEM_EVENTS && it->events.stream == r->stream)
			real_add(r, &it->events);
	lmm_trace_close(tr);
}

/* A call's phase, and not that of a wait behind it: a STEP follows. */
static int is_step_start(const struct lmm_event *e)
{
	return e->type == LMM_EV_PHASE_BEGIN && e->phase == LMM_PHASE_DECODE &&
	       e[1].type == LMM_EV_STEP;
}

static int same_shape(const struct real *r, size_t a, size_t b)
{
	for (size_t i = 0; i < r->length; i++) {
		const struct lmm_event *x = &r->ev[a + i], *y = &r->ev[b + i];

		if (x->type != y->type || x->phase != y->phase)
			return 0;
	}
	return 1;
}

static void real_examples(struct real *r)
{
	size_t begins[4096], n = 0, middle;

	for (size_t i = 0; i + 1 < r->n && n < 4096; i++)
		if (is_step_start(&r->ev[i]))
			begins[n++] = i;
	if (n < 8)
		fail("too few decode steps in the real trace", 0);
	middle = n / 2;
	r->length = begins[middle + 1] - begins[middle];
	for (size_t i = 0; i + 1 < n && r->n_examples < EXAMPLES_MAX; i++)
		if (begins[i + 1] - begins[i] == r->length &&
		    same_shape(r, begins[middle], begins[i]))
			r->start[r->n_examples++] = begins[i];
	if (r->n_examples < 4)
		fail("decode steps differ too much", 0);
}

/* ---- and put together --------------------------------------------------------------------------- */

struct make {
	struct real real;
	struct lmm_trace_writer *writer;
	struct lmm_analysis *analysis;
	struct lmm_event batch[BATCH];
	uint32_t n;
	uint64_t made, t, random;
	uint32_t step, epoch;
	uint64_t position;
};

static void emit(struct make *m, const struct lmm_item *item)
{
	int rc = lmm_analysis_item(m->analysis, item);

	if (rc == 0)
		rc = lmm_trace_writer_item(m->writer, item);
	if (rc)
		fail("writing", rc);
}

static void flush(struct make *m)
{
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };

	if (!m->n)
		return;
	item.events.stream = m->real.stream;
	item.events.n = m->n;
	item.events.ev = m->batch;
	emit(m, &item);
	m->n = 0;
}

static uint64_t draw(struct make *m, uint64_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random % below;
}

/* How long after the event before it the i-th event of a step came, in one of the real steps. */
static uint64_t interval(struct make *m, size_t i)
{
	const struct lmm_event *e = &m->real.ev[m->real.start[draw(m, m->real.n_examples)] + i];
	uint64_t at = e->type == LMM_EV_UNACCOUNTED ? e->a : e->t;
	uint64_t before = e[-1].type == LMM_EV_UNACCOUNTED ? e[-1].a : e[-1].t;

	return at > before ? at - before : 0;
}

static void make_event(struct make *m, size_t i)
{
	const struct lmm_event *shape = &m->real.ev[m->real.start[0] + i];
	struct lmm_event e = *shape;
	uint64_t before = m->t;

	m->t += interval(m, i);
	e.t = m->t;
	if (e.type == LMM_EV_UNACCOUNTED) {
		e.t = before;
		e.a = m->t;
	}
	if (e.type == LMM_EV_GRAPH_BEGIN)
		e.b = (uint64_t)m->step | (uint64_t)++m->epoch << 32;
	else if (e.type == LMM_EV_SEQ && e.b != LMM_POS_ABSENT)
		e.b = m->position;
	if (e.type == LMM_EV_STEP || e.type == LMM_EV_SEQ || e.type == LMM_EV_PHASE_BEGIN ||
	    e.type == LMM_EV_PHASE_END || e.type == LMM_EV_TOKEN || e.type == LMM_EV_COUNT ||
	    e.type == LMM_EV_UNACCOUNTED)
		e.id = e.id == LMM_STEP_NONE ? e.id : m->step;
	m->batch[m->n++] = e;
	m->made++;
	if (m->n == BATCH)
		flush(m);
}

static void make_steps(struct make *m, uint64_t records)
{
	const struct real *r = &m->real;

	while (r->n + m->made < records) {
		m->step++;
		m->position++;
		for (size_t i = 0; i < r->length; i++)
			make_event(m, i);
	}
	flush(m);
}

static void make_checkpoint(struct make *m)
{
	struct lmm_item item = { .kind = LMM_ITEM_CHECKPOINT };
	struct lmm_buf state = { 0 };

	if (lmm_analysis_save(m->analysis, &state))
		fail("saving the analysis", 0);
	item.checkpoint.data = state.data;
	item.checkpoint.size_bytes = state.n;
	if (lmm_trace_writer_item(m->writer, &item))
		fail("writing the checkpoint", 0);
	lmm_buf_free(&state);
}

/* What was behind the last real event belongs behind the last made one. */
static void forward(struct make *m, const struct lmm_item *it, uint64_t records)
{
	struct lmm_item item = *it;

	switch (it->kind) {
	case LMM_ITEM_CHECKPOINT:
	case LMM_ITEM_DROPPED:
		return;
	case LMM_ITEM_LOSS:
	case LMM_ITEM_PROCESS_END:
	case LMM_ITEM_END:
		if (!m->made)
			make_steps(m, records);
		break;
	default:
		break;
	}
	if (it->kind == LMM_ITEM_LOSS && it->loss.stream == m->real.stream)
		item.loss.emitted += m->made;
	if (it->kind == LMM_ITEM_PROCESS_END && item.process_end.ticks < m->t)
		item.process_end.ticks = m->t;
	if (it->kind == LMM_ITEM_END) {
		item.end.ticks = item.end.ticks < m->t ? m->t : item.end.ticks;
		lmm_analysis_item(m->analysis, &item);
		make_checkpoint(m);
		if (lmm_trace_writer_item(m->writer, &item))
			fail("writing the end", 0);
		return;
	}
	emit(m, &item);
}

static int make(const char *from, const char *to, uint64_t records)
{
	struct lmm_codec *codec = lmm_zstd_codec_create(1);
	struct lmm_trace_writer_opts opts = { .codec = codec };
	static struct make m;
	const struct lmm_item *it;
	struct lmm_trace *tr;
	int rc;

	real_read(&m.real, from);
	real_examples(&m.real);
	m.random = 88172645463325252u;
	m.t = m.real.ev[m.real.n - 1].t;
	for (size_t i = 0; i < m.real.n; i++) {
		const struct lmm_event *e = &m.real.ev[i];

		if (e->type == LMM_EV_STEP)
			m.step = e->id > m.step ? e->id : m.step;
		if (e->type == LMM_EV_SEQ && e->b != LMM_POS_ABSENT)
			m.position = e->b;
		if (e->type == LMM_EV_GRAPH_BEGIN)
			m.epoch = (uint32_t)(e->b >> 32);
	}
	m.analysis = lmm_analysis_create();
	rc = lmm_trace_writer_open(to, &opts, &m.writer);
	if (rc || !m.analysis)
		fail(to, rc);
	rc = lmm_trace_open(from, &tr);
	if (rc)
		fail(from, rc);
	while ((rc = lmm_trace_next(tr, &it)) > 0)
		forward(&m, it, records);
	lmm_trace_close(tr);
	rc = lmm_trace_writer_close(m.writer);
	if (rc)
		fail(to, rc);
	lmm_zstd_codec_destroy(codec);
	lmm_analysis_destroy(m.analysis);
	printf("{\"real_events\":%zu,\"made_events\":%llu,\"step_events\":%zu,\"examples\":%zu}\n",
	       m.real.n, (unsigned long long)m.made, m.real.length, m.real.n_examples);
	free(m.real.ev);
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int read_all(const char *path, int rounds)
{
	uint64_t records = 0, operators = 0, best = UINT64_MAX, sum = 0;

	for (int i = 0; i < rounds; i++) {
		uint64_t from = lmm_mono_ns(), t;
		const struct lmm_item *it;
		struct lmm_trace *tr;
		int rc = lmm_trace_open(path, &tr);

		if (rc)
			fail(path, rc);
		records = operators = 0;
		while ((rc = lmm_trace_next(tr, &it)) > 0) {
			if (it->kind != LMM_ITEM_EVENTS)
				continue;
			records += it->events.n;
			for (uint32_t k = 0; k < it->events.n; k++) {
				unsigned type = it->events.ev[k].type;

				operators += type == LMM_EV_OP || type == LMM_EV_OP_FUSED;
				sum += it->events.ev[k].t;
			}
		}
		lmm_trace_close(tr);
		if (rc)
			fail(path, rc);
		t = lmm_mono_ns() - from;
		best = t < best ? t : best;
	}
	printf("{\"records\":%llu,\"operators\":%llu,\"seconds\":%.4f,\"records_per_second\":%.0f,\"check\":%llu}\n",
	       (unsigned long long)records, (unsigned long long)operators, (double)best / 1e9,
	       (double)records * 1e9 / (double)best, (unsigned long long)(sum & 0xffff));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "make"))
		return make(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	if (argc >= 3 && !strcmp(argv[1], "read"))
		return read_all(argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3);
	fprintf(stderr,
		"usage: bench_trace make REAL OUT RECORDS | bench_trace read FILE [ROUNDS]\n");
	return 2;
}
