/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of what sensors said. Levels are drawn where they change, sums as what they grew by per time. */
#include <errno.h>
#include <stdio.h>

#include "report/timeline_internal.h"

/* "mw" for energy, "percent" for time of which so much was spent; NULL: it is not drawn. */
static const char *drawn_unit(const struct lmm_result_sensor *s)
{
	switch (s->kind) {
	case LMM_SENSOR_ENERGY:
		return "mw";
	case LMM_SENSOR_STALL:
	case LMM_SENSOR_RUN_WAIT:
		return "percent";
	case LMM_SENSOR_FREQUENCY:
	case LMM_SENSOR_TEMPERATURE:
	case LMM_SENSOR_COOLING:
	case LMM_SENSOR_THROTTLE_REASONS:
	case LMM_SENSOR_POWER:
	case LMM_SENSOR_LOAD:
	case LMM_SENSOR_MEMORY:
		return s->unit;
	default:
		return NULL;
	}
}

/* uj per ns are kW, ns per ns is a share */
static double rate(const struct lmm_result_sensor *s, int64_t from, int64_t to, uint64_t ns)
{
	double grown = ((double)to - (double)from) * s->scale / (double)ns;

	return s->kind == LMM_SENSOR_ENERGY ? grown * 1e6 : grown * 100;
}

static const struct lmm_result_sensor *sensor_find(const struct lmm_tl *tl, uint32_t sensor)
{
	const struct lmm_result_machine *m = &tl->r->machine;

	for (size_t i = 0; i < m->n_sensors; i++) {
		if (m->sensors[i].sensor == sensor)
			return &m->sensors[i];
	}
	return NULL;
}

static int sensor_begin(struct lmm_tl *tl, struct lmm_tl_sensor *to, uint32_t sensor)
{
	/* the machine has no track of its own: they stand with the first process */
	const struct lmm_tl_process *p =
		tl->r->n_processes ? lmm__tl_process(tl, tl->r->processes[0].process) : NULL;
	const struct lmm_result_sensor *s = sensor_find(tl, sensor);
	const char *unit = s ? drawn_unit(s) : NULL;
	char name[128];

	to->is_seen = 1;
	if (!p || !unit)
		return 0;
	(void)snprintf(name, sizeof(name), "%.64s %s (%s)", s->name, lmm_sensor_kind_name(s->kind),
		       unit);
	to->name = lmm_strpool_add(&tl->strings, name, NULL);
	to->sensor = to->track.sensor = s;
	return to->name ? lmm__tl_track(tl, &to->track, LMM_TRACK_SENSOR, p, 0, name) : -ENOMEM;
}

static int sensor_draw(struct lmm_tl *tl, struct lmm_tl_sensor *to, int64_t value, uint64_t t_ns)
{
	struct lmm_counter c = { .track = to->track.id, .t_ns = t_ns };
	int is_sum = lmm_sensor_is_sum(to->sensor->kind);
	int has = to->has_value;
	int64_t before = to->value;
	uint64_t before_ns = to->t_ns;

	to->has_value = 1;
	to->value = value;
	to->t_ns = t_ns;
	c.name = lmm_strpool_get(&tl->strings, to->name);
	c.unit = drawn_unit(to->sensor);
	if (!is_sum && (!has || value != before)) {
		c.value = (double)value * to->sensor->scale;
		return tl->ops->counter(tl->ctx, &c);
	}
	if (!is_sum || !has || t_ns <= before_ns)
		return 0;
	/* from here on it grew like that */
	c.t_ns = before_ns;
	c.value = rate(to->sensor, before, value, t_ns - before_ns);
	return tl->ops->counter(tl->ctx, &c);
}

int lmm__tl_samples(struct lmm_tl *tl, const struct lmm_samples *samples)
{
	uint64_t t_ns = lmm__tl_ns(tl, samples->ticks);
	int rc = 0;

	for (uint32_t i = 0; i < samples->n && rc == 0; i++) {
		struct lmm_tl_sensor *to =
			lmm_idmap_make(&tl->sensors, samples->samples[i].sensor, sizeof(*to));

		if (!to)
			return -ENOMEM;
		if (!to->is_seen)
			rc = sensor_begin(tl, to, samples->samples[i].sensor);
		if (rc == 0 && to->sensor)
			rc = sensor_draw(tl, to, samples->samples[i].value, t_ns);
	}
	return rc;
}
