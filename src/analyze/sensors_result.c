/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "analyze/build.h"
#include "analyze/sensors.h"
#include "analyze/sensors_internal.h"

/* What is stored × scale = what is reported. */
static const struct {
	const char *unit;
	double scale;
} units[LMM_SENSOR_KIND_COUNT] = {
	[0] = { "", 1 },
	[LMM_SENSOR_FREQUENCY] = { "hz", 1 },
	[LMM_SENSOR_GOVERNOR] = { "state", 1 },
	[LMM_SENSOR_TEMPERATURE] = { "celsius", 1e-3 },
	[LMM_SENSOR_COOLING] = { "level", 1 },
	[LMM_SENSOR_THROTTLE_COUNT] = { "events", 1 },
	[LMM_SENSOR_THROTTLE_TIME] = { "ns", 1e3 },
	[LMM_SENSOR_THROTTLE_REASONS] = { "bits", 1 },
	[LMM_SENSOR_ENERGY] = { "uj", 1 },
	[LMM_SENSOR_POWER] = { "mw", 1e-3 },
	[LMM_SENSOR_STALL] = { "ns", 1e3 },
	[LMM_SENSOR_MEMORY] = { "bytes", 1 },
	[LMM_SENSOR_LOAD] = { "percent", 0.1 },
	[LMM_SENSOR_VOLTAGE] = { "uv", 1 },
	[LMM_SENSOR_CURRENT] = { "ua", 1 },
	[LMM_SENSOR_RUN_WAIT] = { "ns", 1e3 },
	[LMM_SENSOR_MAJOR_FAULTS] = { "events", 1 },
	[LMM_SENSOR_MINOR_FAULTS] = { "events", 1 },
};

/* ---- sensors ------------------------------------------------------------------------------------ */

/* The word of that number; "" if there is none. */
static void state_copy(const char *states, int64_t at, char *word, size_t bytes)
{
	word[0] = '\0';
	for (; *states; at--) {
		size_t n = strcspn(states, " ");

		if (at == 0 && n < bytes) {
			memcpy(word, states, n);
			word[n] = '\0';
		}
		states += n;
		states += strspn(states, " ");
	}
}

static void sensor_build(struct builder *b, const struct sensor *s, struct lmm_result_sensor *to)
{
	double scale = units[s->kind].scale;

	to->sensor = s->id;
	to->kind = s->kind;
	to->component = s->component;
	to->name = builder_text(b, s->name);
	to->unit = units[s->kind].unit;
	to->scale = scale;
	to->source = builder_text(b, s->source);
	to->absent = builder_text(b, s->absent);
	to->samples = s->samples;
	to->limit = (double)s->limit * scale;
	to->throttled_ns = builder_ns(b, s->throttled);
	if (s->samples == 0)
		return;
	if (lmm_sensor_is_sum(s->kind)) {
		to->total = ((double)s->value - (double)s->first) * scale;
		if (s->kind == LMM_SENSOR_THROTTLE_TIME)
			to->throttled_ns = to->total;
		return;
	}
	to->min = (double)s->min * scale;
	to->max = (double)s->max * scale;
	to->newest = (double)s->value * scale;
	to->mean = s->covered ? s->weighted / (double)s->covered * scale : (double)s->value * scale;
	if (s->kind == LMM_SENSOR_GOVERNOR) {
		state_copy(builder_text(b, s->states), s->value, to->state, sizeof(to->state));
		to->has_changed = s->min != s->max;
	}
}

/* ---- energy ------------------------------------------------------------------------------------- */

/* A source that measures all of the machine is enough; else the parts that are not measured twice; else the battery. */
static unsigned rank(const struct sensor *s)
{
	if (s->component == LMM_COMPONENT_BOARD)
		return 3;
	return s->component == LMM_COMPONENT_BATTERY ? 1 : 2;
}

/* Nothing else that was sampled measures it as well. */
static int is_whole(const struct sensors *x, const struct sensor *s)
{
	const struct sensor *whole;

	if (s->part_of == 0 || s->part_of > LMM_SENSORS_MAX || x->place[s->part_of - 1] == 0)
		return 1;
	whole = &x->at[x->place[s->part_of - 1] - 1];
	return !whole->energy || x->sources[whole->energy - 1].sampled == 0;
}

static unsigned best_rank(const struct sensors *x)
{
	unsigned best = 0;

	for (uint32_t i = 0; i < x->n; i++) {
		const struct sensor *s = &x->at[i];

		if (s->energy && is_whole(x, s) && x->sources[s->energy - 1].sampled &&
		    rank(s) > best)
			best = rank(s);
	}
	return best;
}

static double phase_ns(const struct lmm_result *r, unsigned phase)
{
	const struct lmm_result_phase *p = lmm_result_phase_find(r, phase);

	return p && !p->warmup_only ? p->stats.total_ns : 0;
}

/* The mean power while the phase ran, as its brackets have it, times the time that the report gives it. */
static void source_build(struct builder *b, const struct sensor *s, const struct source *from,
			 struct lmm_result_energy_source *to)
{
	/* uw × ticks to uj */
	double scale = s->kind == LMM_SENSOR_POWER ? b->rate * 1e-9 : 1;

	to->sensor = s->id;
	to->name = builder_text(b, s->name);
	to->component = s->component;
	to->total_uj = from->total * scale;
	to->sampled_ns = builder_ns(b, from->sampled);
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		double ns = builder_ns(b, from->ticks[p]);

		to->phases[p].phase = (uint8_t)p;
		to->phases[p].mean_mw = -1;
		if (!(ns > 0))
			continue;
		/* uj per ns are kW */
		to->phases[p].mean_mw = from->energy[p] * scale / ns * 1e6;
		to->phases[p].total_uj = from->energy[p] * scale / ns * phase_ns(b->r, p);
	}
}

static void energy_add(struct lmm_result_energy *e, const struct lmm_result_energy_source *s)
{
	e->is_known = 1;
	e->total_uj += s->total_uj;
	e->mean_mw += s->sampled_ns > 0 ? s->total_uj / s->sampled_ns * 1e6 : 0;
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		if (s->phases[p].mean_mw < 0)
			continue;
		if (e->phases[p].mean_mw < 0)
			e->phases[p].mean_mw = 0;
		e->phases[p].mean_mw += s->phases[p].mean_mw;
		e->phases[p].total_uj += s->phases[p].total_uj;
	}
}

static double per_token(double uj, uint64_t tokens)
{
	return uj > 0 && tokens ? uj / (double)tokens : -1;
}

static void tokens_build(const struct builder *b, struct lmm_result_energy *e)
{
	for (unsigned p = LMM_PHASE_TOKENIZE; p < LMM_PHASE_COUNT; p++)
		e->requests_uj += e->phases[p].total_uj;
	e->output_token_uj = per_token(e->requests_uj, b->a->output_tokens);
	e->decode_token_uj =
		per_token(e->phases[LMM_PHASE_DECODE].total_uj, b->a->main->decode_tokens);
	e->prompt_token_uj =
		per_token(e->phases[LMM_PHASE_PREFILL].total_uj, b->a->main->prefill_tokens);
}

static void energy_build(struct builder *b, struct lmm_result_energy *e)
{
	const struct sensors *x = b->a->sensors;
	unsigned best = best_rank(x);

	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		e->phases[p].phase = (uint8_t)p;
		e->phases[p].mean_mw = -1;
	}
	for (uint32_t i = 0; i < x->n; i++) {
		const struct sensor *s = &x->at[i];
		struct lmm_result_energy_source *to = &e->sources[e->n_sources];

		if (!s->energy || x->sources[s->energy - 1].sampled == 0)
			continue;
		e->n_sources++;
		source_build(b, s, &x->sources[s->energy - 1], to);
		to->is_counted = is_whole(x, s) && rank(s) == best;
		if (to->is_counted)
			energy_add(e, to);
	}
	tokens_build(b, e);
}

int lmm__sensors_build(struct builder *b)
{
	const struct sensors *x = b->a->sensors;
	struct lmm_result_machine *m = &b->r->machine;

	m->sensors = lmm__array_new(x->n, sizeof(*m->sensors));
	m->energy.sources = lmm__array_new(x->n_sources, sizeof(*m->energy.sources));
	if (!m->sensors || !m->energy.sources)
		return -ENOMEM;
	for (uint32_t id = 0; id < LMM_SENSORS_MAX; id++) {
		if (x->place[id])
			sensor_build(b, &x->at[x->place[id] - 1], &m->sensors[m->n_sensors++]);
	}
	m->rounds = x->rounds;
	m->sampled_ns = builder_ns(b, x->newest - x->begun);
	m->throttled_ns = builder_ns(b, x->throttled);
	energy_build(b, &m->energy);
	return 0;
}
