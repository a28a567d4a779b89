/* SPDX-License-Identifier: Apache-2.0 */
#include "report/json_sensors.h"

#include "report/json_writer.h"

static void put_or_null(struct lmm_json *j, const char *key, double value, int is_known)
{
	if (is_known) {
		lmm_json_double(j, key, value, 6);
	} else {
		lmm_json_null(j, key);
	}
}

static void put_sensor(struct lmm_json *j, const struct lmm_result_sensor *s)
{
	int is_sum = lmm_sensor_is_sum(s->kind), has = s->samples > 0;
	int is_level = has && !is_sum && s->kind != LMM_SENSOR_GOVERNOR;

	lmm_json_row_begin(j, NULL);
	lmm_json_u64(j, "sensor", s->sensor);
	lmm_json_string(j, "kind", lmm_sensor_kind_name(s->kind));
	lmm_json_string(j, "component", lmm_component_name(s->component));
	lmm_json_string(j, "name", s->name);
	lmm_json_string(j, "source", s->source);
	lmm_json_string(j, "unit", s->unit);
	lmm_json_u64(j, "samples", s->samples);
	put_or_null(j, "min", s->min, is_level);
	put_or_null(j, "mean", s->mean, is_level);
	put_or_null(j, "max", s->max, is_level);
	put_or_null(j, "total", s->total, has && is_sum);
	put_or_null(j, "limit", s->limit, s->limit > 0);
	if (s->state[0]) {
		lmm_json_string(j, "state", s->state);
	} else {
		lmm_json_null(j, "state");
	}
	lmm_json_ns(j, "throttled_ns", s->throttled_ns);
	lmm_json_object_end(j);
}

static void put_sensors(struct lmm_json *j, const struct lmm_result_machine *m)
{
	lmm_json_array_begin(j, "sensors");
	for (size_t i = 0; i < m->n_sensors; i++) {
		if (!m->sensors[i].absent[0])
			put_sensor(j, &m->sensors[i]);
	}
	lmm_json_array_end(j);
	lmm_json_array_begin(j, "sensors_absent");
	for (size_t i = 0; i < m->n_sensors; i++) {
		const struct lmm_result_sensor *s = &m->sensors[i];

		if (!s->absent[0])
			continue;
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "what", s->name);
		lmm_json_string(j, "source", s->source);
		lmm_json_string(j, "why", s->absent);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_phases(struct lmm_json *j, const struct lmm_result_phase_energy *phases)
{
	lmm_json_array_begin(j, "phases");
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		if (phases[p].mean_mw < 0)
			continue;
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "phase", lmm_phase_name(p));
		lmm_json_double(j, "total_uj", phases[p].total_uj, 3);
		lmm_json_double(j, "mean_mw", phases[p].mean_mw, 3);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_energy(struct lmm_json *j, const struct lmm_result_energy *e)
{
	if (!e->is_known) {
		lmm_json_null(j, "energy");
		return;
	}
	lmm_json_object_begin(j, "energy");
	lmm_json_bool(j, "estimated", 1);
	lmm_json_double(j, "total_uj", e->total_uj, 3);
	lmm_json_double(j, "mean_mw", e->mean_mw, 3);
	lmm_json_double(j, "requests_uj", e->requests_uj, 3);
	put_or_null(j, "output_token_uj", e->output_token_uj, e->output_token_uj >= 0);
	put_or_null(j, "decode_token_uj", e->decode_token_uj, e->decode_token_uj >= 0);
	put_or_null(j, "prompt_token_uj", e->prompt_token_uj, e->prompt_token_uj >= 0);
	put_phases(j, e->phases);
	lmm_json_array_begin(j, "sources");
	for (size_t i = 0; i < e->n_sources; i++) {
		const struct lmm_result_energy_source *s = &e->sources[i];

		lmm_json_object_begin(j, NULL);
		lmm_json_u64(j, "sensor", s->sensor);
		lmm_json_string(j, "name", s->name);
		lmm_json_string(j, "component", lmm_component_name(s->component));
		lmm_json_bool(j, "counted", s->is_counted);
		lmm_json_double(j, "total_uj", s->total_uj, 3);
		lmm_json_ns(j, "sampled_ns", s->sampled_ns);
		put_phases(j, s->phases);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

void lmm_json_sensors(struct lmm_json *j, const struct lmm_result_machine *m)
{
	put_sensors(j, m);
	lmm_json_row_begin(j, "machine");
	lmm_json_u64(j, "rounds", m->rounds);
	lmm_json_ns(j, "sampled_ns", m->sampled_ns);
	lmm_json_ns(j, "throttled_ns", m->throttled_ns);
	lmm_json_object_end(j);
	put_energy(j, &m->energy);
}
