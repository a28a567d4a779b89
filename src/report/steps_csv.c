/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row for each step, and one for each process with what was in none. What is said of a step comes from several threads, hence late:
 * the newest steps wait, the oldest is written when there is no room for another.
 */
#include "report/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/csv_writer.h"
#include "report/idmap.h"
#include "report/owner.h"

#define ROWS	     1024 /* of a process that wait; a power of two */
#define SENSORS	     32
#define REQUESTS_ROW 8 /* that are named; of more the first ones */

struct row {
	uint8_t is_set, has_step, is_warm, is_counted;
	uint8_t phase;
	uint32_t step, context;
	uint64_t tokens, outputs, n_seqs, position;
	uint64_t start_ns;
	uint64_t wall_ns, device_ns;
	uint64_t phase_ns[LMM_PHASE_COUNT];
	uint64_t n_tokens, itl_ns;
	size_t requests[REQUESTS_ROW];
	unsigned n_requests;
	double sensors[SENSORS];
	uint32_t has_sensor; /* bits */
};

struct process {
	uint32_t process;
	struct row outside;
	struct row rows[ROWS]; /* by step % ROWS */
};

struct column {
	const struct lmm_result_sensor *sensor;
	uint32_t track; /* 0: not announced yet */
	uint8_t has_value;
	double value; /* the newest */
};

/* By the track's number. */
struct track {
	enum lmm_track_kind kind;
	uint32_t process;
};

struct steps {
	struct lmm_csv csv;
	const struct lmm_result *r;
	uint64_t start_ns;
	struct lmm_owners owners;
	struct lmm_idmap tracks;    /* struct track */
	struct lmm_idmap processes; /* struct process */
	struct column columns[SENSORS];
	uint32_t n_columns;
	struct last_token {
		uint8_t is_set;
		uint64_t t_ns;
	} * last; /* as r->requests */
};

/* ---- writing ------------------------------------------------------------------------------------ */

static int is_column(unsigned phase)
{
	/* waiting is what other requests' steps do */
	return phase != LMM_PHASE_NONE && phase != LMM_PHASE_WAITING;
}

static void put_header(struct steps *s)
{
	fputs("request,process,step,kind,context,position,tokens,outputs,sequences,start_ns,wall_ns",
	      s->csv.out);
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		if (is_column(i))
			fprintf(s->csv.out, ",%s_ns", lmm_phase_name(i));
	}
	fputs(",device_ns,output_tokens,itl_ns", s->csv.out);
	s->csv.has_cells = 1;
	for (uint32_t i = 0; i < s->n_columns; i++) {
		const struct lmm_result_sensor *x = s->columns[i].sensor;
		char name[160];

		(void)snprintf(name, sizeof(name), "%.100s.%s_%s", x->name,
			       lmm_sensor_kind_name(x->kind), x->unit);
		lmm_csv_string(&s->csv, name);
	}
	lmm_csv_end(&s->csv);
}

static void put_requests(struct steps *s, const struct row *row)
{
	char text[REQUESTS_ROW * 24] = "";
	size_t at = 0;

	for (unsigned i = 0; i < row->n_requests && at < sizeof(text); i++) {
		int n = snprintf(text + at, sizeof(text) - at, "%s%" PRIu64, i ? " " : "",
				 s->r->requests[row->requests[i]].id);

		at += n > 0 ? (size_t)n : 0;
	}
	if (row->n_requests > 1) {
		lmm_csv_string(&s->csv, text);
	} else {
		lmm_csv_decimal(&s->csv,
				row->n_requests ? (double)s->r->requests[row->requests[0]].id : 0,
				0, row->n_requests > 0);
	}
}

/* Empty where there is nothing to say. */
static void put_known(struct steps *s, uint64_t v, int known)
{
	lmm_csv_decimal(&s->csv, (double)v, 0, known);
}

/* A pass, or at least a bracket of one, that is no warm-up. */
static int is_step(const struct row *row)
{
	return row->wall_ns > 0 || (row->has_step && !row->is_warm);
}

static void put_row(struct steps *s, uint32_t process, const struct row *row)
{
	put_requests(s, row);
	lmm_csv_u64(&s->csv, process);
	put_known(s, row->step, row->step != LMM_STEP_NONE);
	lmm_csv_string(&s->csv, is_step(row) ? lmm_phase_name(row->phase) : "outside");
	put_known(s, row->context, row->has_step);
	put_known(s, row->position, row->n_seqs == 1 && row->position != LMM_POS_ABSENT);
	put_known(s, row->tokens, row->has_step);
	put_known(s, row->outputs, row->has_step);
	put_known(s, row->n_seqs, row->n_seqs > 0);
	put_known(s, row->start_ns, is_step(row));
	put_known(s, row->wall_ns, is_step(row));
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		if (is_column(i))
			lmm_csv_u64(&s->csv, row->phase_ns[i]);
	}
	lmm_csv_u64(&s->csv, row->device_ns);
	lmm_csv_u64(&s->csv, row->n_tokens);
	put_known(s, row->itl_ns, row->itl_ns > 0);
	for (uint32_t i = 0; i < s->n_columns; i++)
		lmm_csv_decimal(&s->csv, row->sensors[i], 3, (int)(row->has_sensor >> i & 1));
	lmm_csv_end(&s->csv);
}

/* What is said of a step that does not count: a warm-up whose text is printed later, or one before the first (time until then). */
static void row_merge(struct row *into, const struct row *row)
{
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++)
		into->phase_ns[i] += row->phase_ns[i];
	into->device_ns += row->device_ns;
	into->n_tokens += row->n_tokens;
	into->itl_ns += row->itl_ns;
	into->is_set |= row->is_counted;
}

static int row_flush(struct steps *s, struct process *p, struct row *row)
{
	errno = 0;
	if (row != &p->outside && !is_step(row)) {
		row_merge(&p->outside, row);
	} else if (row->is_set) {
		put_row(s, p->process, row);
	}
	memset(row, 0, sizeof(*row));
	if (ferror(s->csv.out))
		return errno ? -errno : -EIO;
	return 0;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static struct process *process_of(struct steps *s, uint32_t process)
{
	struct process *p = lmm_idmap_make(&s->processes, process, sizeof(*p));

	if (p) {
		p->process = process;
		p->outside.step = LMM_STEP_NONE;
	}
	return p;
}

/* The step's row, made if need be; what is said of one that was written already goes to what is in none. NULL: *rc says why. */
static struct row *row_of(struct steps *s, uint32_t process, uint32_t step, int *rc)
{
	struct process *p = process_of(s, process);
	struct row *row;

	*rc = p ? 0 : -ENOMEM;
	if (!p)
		return NULL;
	row = step == LMM_STEP_NONE ? &p->outside : &p->rows[step % ROWS];
	if (row->is_set && row->step == step)
		return row;
	if (row->is_set && row->step > step && step != LMM_STEP_NONE) {
		row = &p->outside;
		row->is_set = 1;
		return row;
	}
	if (row->is_set)
		*rc = row_flush(s, p, row);
	row->is_set = 1;
	row->step = step;
	row->position = LMM_POS_ABSENT;
	return row;
}

static void note_request(struct row *row, size_t request)
{
	if (request >= LMM_OWNER_SEVERAL || row->n_requests == REQUESTS_ROW)
		return;
	for (unsigned i = 0; i < row->n_requests; i++) {
		if (row->requests[i] == request)
			return;
	}
	row->requests[row->n_requests++] = request;
}

/* ---- events ------------------------------------------------------------------------------------- */

static void take_step(struct steps *s, struct row *row, const struct lmm_event *e, uint64_t t_ns)
{
	row->has_step = 1;
	row->phase = e->phase;
	row->context = (uint32_t)e->b;
	row->tokens = (uint32_t)e->a;
	row->outputs = e->a >> 32;
	row->start_ns = t_ns;
	for (uint32_t i = 0; i < s->n_columns; i++) {
		row->sensors[i] = s->columns[i].value;
		row->has_sensor |= (uint32_t)s->columns[i].has_value << i;
	}
}

/* A draft model's tokens are only proposed. */
static void take_token(struct steps *s, struct row *row, size_t request, uint64_t t_ns)
{
	struct last_token *last;

	if (request >= LMM_OWNER_SEVERAL || (row->has_step && row->phase == LMM_PHASE_DRAFT))
		return;
	last = &s->last[request];
	row->n_tokens++;
	if (last->is_set && t_ns > last->t_ns)
		row->itl_ns += t_ns - last->t_ns;
	last->is_set = 1;
	last->t_ns = t_ns;
}

static int put_event(void *ctx, uint32_t process, uint64_t t_ns, const struct lmm_event *e)
{
	struct steps *s = ctx;
	int rc = lmm_owners_note(&s->owners, process, e);
	struct row *row = rc == 0 ? row_of(s, process, e->id, &rc) : NULL;
	struct lmm_slice_of of = { .step = e->id, .seq = e->seq };
	size_t request;

	if (rc)
		return rc;
	t_ns = t_ns > s->start_ns ? t_ns - s->start_ns : 0;
	if (e->type == LMM_EV_STEP) {
		take_step(s, row, e, t_ns);
		return 0;
	}
	of.context = row->context;
	request = lmm_owner(&s->owners, s->r, process, &of, t_ns);
	note_request(row, request);
	if (e->type == LMM_EV_TOKEN) {
		take_token(s, row, request, t_ns);
	} else if (row->n_seqs++ == 0) {
		row->position = e->b;
	}
	return 0;
}

/* ---- slices ------------------------------------------------------------------------------------- */

static void take_slice(struct steps *s, const struct track *track, const struct lmm_slice *slice,
		       struct row *row)
{
	uint64_t ns = slice->end_ns - slice->begin_ns;

	row->is_counted = 1;
	switch (track->kind) {
	case LMM_TRACK_PHASES:
		row->phase_ns[slice->of.phase] += ns;
		break;
	case LMM_TRACK_QUEUE:
		row->device_ns += ns;
		break;
	default:
		/* the pass; a second bracket of it waits for its result */
		if (row->wall_ns == 0)
			row->start_ns = slice->begin_ns - s->start_ns;
		row->phase = slice->of.phase;
		row->wall_ns += ns;
		if (row->n_requests == 0) {
			note_request(row, lmm_owner(&s->owners, s->r, track->process, &slice->of,
						    slice->begin_ns - s->start_ns));
		}
		break;
	}
}

static int put_slice(void *ctx, const struct lmm_slice *slice)
{
	struct steps *s = ctx;
	const struct track *track = lmm_idmap_get(&s->tracks, slice->track);
	struct row *row;
	int rc;

	if (!track || slice->begin_ns < s->start_ns)
		return 0;
	/* time that is in no phase counts inside requests only, as in the report */
	if (slice->of.phase == LMM_PHASE_UNACCOUNTED &&
	    !lmm_request_covers(s->r, track->process, slice->begin_ns - s->start_ns,
				slice->end_ns - s->start_ns))
		return 0;
	row = row_of(s, track->process, slice->of.step, &rc);
	if (rc)
		return rc;
	if (slice->of.is_warmup) {
		row->is_warm = 1;
	} else {
		take_slice(s, track, slice, row);
	}
	return 0;
}

static int put_track(void *ctx, const struct lmm_track *t)
{
	struct steps *s = ctx;
	struct track *track;

	if (t->kind == LMM_TRACK_SENSOR) {
		for (uint32_t i = 0; i < s->n_columns; i++) {
			if (s->columns[i].sensor == t->sensor)
				s->columns[i].track = t->track;
		}
		return 0;
	}
	if (t->kind != LMM_TRACK_PHASES && t->kind != LMM_TRACK_STEPS && t->kind != LMM_TRACK_QUEUE)
		return 0;
	track = lmm_idmap_make(&s->tracks, t->track, sizeof(*track));
	if (!track)
		return -ENOMEM;
	track->kind = t->kind;
	track->process = t->process;
	return 0;
}

static int put_counter(void *ctx, const struct lmm_counter *counter)
{
	struct steps *s = ctx;

	for (uint32_t i = 0; i < s->n_columns; i++) {
		if (s->columns[i].track != counter->track)
			continue;
		s->columns[i].value = counter->value;
		s->columns[i].has_value = 1;
	}
	return 0;
}

static int put_session(void *ctx, const struct lmm_result *r, uint64_t start_ns)
{
	struct steps *s = ctx;

	s->start_ns = start_ns;
	for (size_t i = 0; i < r->machine.n_sensors && s->n_columns < SENSORS; i++) {
		const struct lmm_result_sensor *x = &r->machine.sensors[i];

		if (x->samples &&
		    (x->kind == LMM_SENSOR_FREQUENCY || x->kind == LMM_SENSOR_TEMPERATURE))
			s->columns[s->n_columns++].sensor = x;
	}
	put_header(s);
	return 0;
}

/* ---- all ---------------------------------------------------------------------------------------- */

static int row_compare(const void *x, const void *y)
{
	const struct row *a = x, *b = y;

	return a->step < b->step ? -1 : a->step > b->step;
}

static int put_rests(struct steps *s)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->processes.n_slots; i++) {
		struct process *p = s->processes.slots[i].value;

		if (!p)
			continue;
		qsort(p->rows, ROWS, sizeof(p->rows[0]), row_compare);
		for (uint32_t k = 0; k < ROWS && rc == 0; k++)
			rc = row_flush(s, p, &p->rows[k]);
		if (rc == 0)
			rc = row_flush(s, p, &p->outside);
	}
	return rc;
}

int lmm_export_steps(struct lmm_trace *tr, const struct lmm_result *r, FILE *out)
{
	static const struct lmm_timeline_ops ops = { put_session, put_track, put_slice, put_counter,
						     put_event };
	struct steps s = { .csv = { .out = out }, .r = r };
	int rc;

	s.last = calloc(r->n_requests + 1, sizeof(*s.last));
	rc = s.last ? lmm_timeline_draw(tr, r, &ops, &s) : -ENOMEM;
	if (rc == 0)
		rc = put_rests(&s);
	free(s.last);
	lmm_owners_free(&s.owners);
	lmm_idmap_free(&s.tracks, NULL);
	lmm_idmap_free(&s.processes, NULL);
	return rc;
}
