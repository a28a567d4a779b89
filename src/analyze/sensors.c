/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/sensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/sensors_internal.h"
#include "analyze/state.h"
#include "base/bytes.h"

struct sensors *lmm__sensors_create(void)
{
	return calloc(1, sizeof(struct sensors));
}

void lmm__sensors_destroy(struct sensors *x)
{
	free(x);
}

/* ---- descriptions ------------------------------------------------------------------------------- */

static struct sensor *sensor_find(struct sensors *x, uint32_t id)
{
	return id < LMM_SENSORS_MAX && x->place[id] ? &x->at[x->place[id] - 1] : NULL;
}

void lmm__sensor_put(struct lmm_analysis *a, const struct lmm_sensor *from)
{
	struct sensors *x = a->sensors;
	struct sensor *s;

	/* more than can be kept, or described again: the first word stands */
	if (from->sensor >= LMM_SENSORS_MAX || x->place[from->sensor] || x->n == SENSORS_KEPT)
		return;
	if (from->kind == 0 || from->kind >= LMM_SENSOR_KIND_COUNT)
		return;
	s = &x->at[x->n++];
	x->place[from->sensor] = (uint16_t)x->n;
	s->id = from->sensor;
	s->kind = from->kind;
	s->component =
		from->component < LMM_COMPONENT_COUNT ? from->component : LMM_COMPONENT_OTHER;
	s->name = lmm__text_add(&a->text, from->name);
	s->source = lmm__text_add(&a->text, from->source);
	s->states = lmm__text_add(&a->text, from->states);
	s->absent = lmm__text_add(&a->text, from->absent);
	s->limit = from->limit;
	s->part_of = from->part_of;
	if (!s->absent && (s->kind == LMM_SENSOR_ENERGY || s->kind == LMM_SENSOR_POWER) &&
	    x->n_sources < SOURCES_KEPT)
		s->energy = (uint8_t)++x->n_sources;
}

/* ---- intervals ---------------------------------------------------------------------------------- */

void lmm__sensors_piece(struct sensors *x, unsigned phase, uint64_t t0, uint64_t t)
{
	if (t0 < x->newest)
		t0 = x->newest;
	if (t > t0 && phase < LMM_PHASE_COUNT)
		x->booked[phase] += t - t0;
}

/* Phases that are open now have run up to now; their next piece begins here. */
static void open_phases_book(struct lmm_analysis *a, uint64_t t)
{
	for (uint32_t i = 0; i < LMM_I_STREAMS; i++) {
		const struct stream *s = a->streams[i];
		const struct frame *f;

		if (!s || s->depth == 0)
			continue;
		f = &s->frames[s->depth - 1];
		if (!(f->flags & FRAME_SUSPECT))
			lmm__sensors_piece(a->sensors, f->phase, s->piece_t, t);
	}
}

/* Where phases of several streams run side by side each takes its part of what was used. */
static void energy_share(struct sensors *x, struct source *to, double energy, uint64_t dt)
{
	double together = 0, share;

	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++)
		together += (double)x->booked[p];
	share = energy / (together > (double)dt ? together : (double)dt);
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		to->energy[p] += share * (double)x->booked[p];
		to->ticks[p] += x->booked[p];
	}
	to->total += energy;
	to->sampled += dt;
}

static int is_throttled(const struct sensor *s, int64_t value)
{
	switch (s->kind) {
	case LMM_SENSOR_COOLING:
		return s->value > 0;
	case LMM_SENSOR_THROTTLE_REASONS:
		return s->value != 0;
	case LMM_SENSOR_THROTTLE_COUNT:
	case LMM_SENSOR_THROTTLE_TIME:
		return value > s->value;
	default:
		return 0;
	}
}

/* From one value to the next: what changes by steps stands until it does, the rest moves in a straight line. */
static double between(const struct sensor *s, int64_t value)
{
	if (s->kind == LMM_SENSOR_GOVERNOR || s->kind == LMM_SENSOR_COOLING ||
	    s->kind == LMM_SENSOR_THROTTLE_REASONS)
		return (double)s->value;
	return ((double)s->value + (double)value) / 2;
}

/* Returns 1 if it slowed its part down. */
static int interval_take(struct sensors *x, struct sensor *s, int64_t value, uint64_t dt)
{
	int throttled = is_throttled(s, value);

	s->weighted += between(s, value) * (double)dt;
	s->covered += dt;
	if (throttled)
		s->throttled += dt;
	if (s->energy && s->kind == LMM_SENSOR_POWER) {
		energy_share(x, &x->sources[s->energy - 1], between(s, value) * (double)dt, dt);
	} else if (s->energy && value >= s->value) {
		energy_share(x, &x->sources[s->energy - 1], (double)value - (double)s->value, dt);
	}
	return throttled;
}

static void value_take(struct sensor *s, int64_t value, uint64_t t)
{
	if (s->samples == 0) {
		s->first = s->min = s->max = value;
	} else if (value < s->min) {
		s->min = value;
	} else if (value > s->max) {
		s->max = value;
	}
	s->samples++;
	s->value = value;
	s->t = t;
}

/* Time goes on from round to round; one that does not is another recording's, and only its values count. */
void lmm__samples_take(struct lmm_analysis *a, const struct lmm_samples *from)
{
	struct sensors *x = a->sensors;
	uint64_t dt = x->rounds && from->ticks > x->newest ? from->ticks - x->newest : 0;
	int throttled = 0;

	if (x->rounds && dt == 0)
		return;
	if (dt)
		open_phases_book(a, from->ticks);
	for (uint32_t i = 0; i < from->n; i++) {
		struct sensor *s = sensor_find(x, from->samples[i].sensor);
		int64_t value = from->samples[i].value;

		if (!s || s->absent)
			continue;
		if (dt && s->samples && s->t == x->newest)
			throttled |= interval_take(x, s, value, dt);
		value_take(s, value, from->ticks);
	}
	if (x->rounds == 0)
		x->begun = from->ticks;
	if (throttled)
		x->throttled += dt;
	lmm__moment_add(a, dt ? x->newest : from->ticks, from->ticks, throttled);
	x->rounds++;
	x->newest = from->ticks;
	memset(x->booked, 0, sizeof(x->booked));
}

/* ---- the state as bytes ------------------------------------------------------------------------- */

struct walk {
	struct lmm_buf *out; /* writing */
	struct lmm_cur *in;  /* reading */
	int bad;
};

static void walk_u64(struct walk *w, uint64_t *v)
{
	if (w->out) {
		lmm_buf_put_varint(w->out, *v);
	} else {
		*v = lmm_cur_varint(w->in);
	}
}

static uint64_t walk_max(struct walk *w, uint64_t v, uint64_t max)
{
	walk_u64(w, &v);
	if (v <= max)
		return v;
	w->bad = 1;
	return 0;
}

static void walk_i64(struct walk *w, int64_t *v)
{
	uint64_t u = lmm_zigzag(*v);

	walk_u64(w, &u);
	*v = lmm_unzigzag(u);
}

/* Sums of energy: never negative, and finite. */
static void walk_double(struct walk *w, double *v)
{
	uint64_t bits;

	memcpy(&bits, v, sizeof(bits));
	walk_u64(w, &bits);
	memcpy(v, &bits, sizeof(bits));
	if (!(*v > -1e300 && *v < 1e300)) {
		*v = 0;
		w->bad = 1;
	}
}

static void walk_text(struct walk *w, const struct text *text, uint32_t *id)
{
	*id = (uint32_t)walk_max(w, *id, UINT32_MAX);
	if (w->in && !lmm__text_is_valid(text, *id))
		w->bad = 1;
}

static void walk_sensor(struct walk *w, struct sensors *x, const struct text *text, uint32_t i)
{
	struct sensor *s = &x->at[i];

	s->id = (uint32_t)walk_max(w, s->id, LMM_SENSORS_MAX - 1);
	if (w->in && x->place[s->id])
		w->bad = 1;
	x->place[s->id] = (uint16_t)(i + 1);
	s->kind = (uint8_t)walk_max(w, s->kind, LMM_SENSOR_KIND_COUNT - 1);
	s->component = (uint8_t)walk_max(w, s->component, LMM_COMPONENT_COUNT - 1);
	walk_text(w, text, &s->name);
	walk_text(w, text, &s->source);
	walk_text(w, text, &s->states);
	walk_text(w, text, &s->absent);
	walk_i64(w, &s->limit);
	s->part_of = (uint32_t)walk_max(w, s->part_of, UINT32_MAX);
	s->energy = (uint8_t)walk_max(w, s->energy, x->n_sources);
	walk_u64(w, &s->samples);
	walk_u64(w, &s->t);
	walk_i64(w, &s->value);
	walk_i64(w, &s->first);
	walk_i64(w, &s->min);
	walk_i64(w, &s->max);
	walk_double(w, &s->weighted);
	walk_u64(w, &s->covered);
	walk_u64(w, &s->throttled);
	if (s->kind == 0)
		w->bad = 1;
}

static void walk_all(struct walk *w, struct sensors *x, const struct text *text)
{
	x->n_sources = (uint32_t)walk_max(w, x->n_sources, SOURCES_KEPT);
	x->n = (uint32_t)walk_max(w, x->n, SENSORS_KEPT);
	for (uint32_t i = 0; i < x->n && !w->bad; i++)
		walk_sensor(w, x, text, i);
	for (uint32_t i = 0; i < x->n_sources && !w->bad; i++) {
		walk_double(w, &x->sources[i].total);
		walk_u64(w, &x->sources[i].sampled);
		for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
			walk_double(w, &x->sources[i].energy[p]);
			walk_u64(w, &x->sources[i].ticks[p]);
		}
	}
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++)
		walk_u64(w, &x->booked[p]);
	walk_u64(w, &x->rounds);
	walk_u64(w, &x->begun);
	walk_u64(w, &x->newest);
	walk_u64(w, &x->throttled);
}

void lmm__sensors_save(struct sensors *x, struct lmm_buf *out)
{
	struct walk w = { .out = out };

	walk_all(&w, x, NULL);
}

int lmm__sensors_load(struct sensors *x, const struct text *text, struct lmm_cur *in)
{
	struct walk w = { .in = in };

	walk_all(&w, x, text);
	return w.bad || in->bad ? -1 : 0;
}
