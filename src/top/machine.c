/* SPDX-License-Identifier: Apache-2.0 */
#include "top/top.h"

static void clocks_update(struct lmm_top_machine *m, const struct lmm_result_machine *now)
{
	double cpu = 0, gpu = 0;
	unsigned n_cpu = 0;

	m->cpu_limit_hz = m->gpu_load_percent = -1;
	for (size_t i = 0; i < now->n_sensors; i++) {
		const struct lmm_result_sensor *s = &now->sensors[i];

		if (s->samples == 0)
			continue;
		if (s->kind == LMM_SENSOR_FREQUENCY && s->component == LMM_COMPONENT_CPU) {
			cpu += s->newest;
			n_cpu++;
			if (s->limit > m->cpu_limit_hz && s->limit > 0)
				m->cpu_limit_hz = s->limit;
		} else if (s->kind == LMM_SENSOR_FREQUENCY && s->component == LMM_COMPONENT_GPU) {
			gpu = s->newest > gpu ? s->newest : gpu;
		} else if (s->kind == LMM_SENSOR_LOAD && s->component == LMM_COMPONENT_GPU &&
			   s->newest > m->gpu_load_percent) {
			m->gpu_load_percent = s->newest;
		}
	}
	m->cpu_hz = n_cpu ? cpu / n_cpu : -1;
	m->gpu_hz = gpu > 0 ? gpu : -1;
}

static void heat_update(struct lmm_top_machine *m, const struct lmm_result_machine *now)
{
	m->celsius = -1;
	for (size_t i = 0; i < now->n_sensors; i++) {
		const struct lmm_result_sensor *s = &now->sensors[i];

		if (s->samples && s->kind == LMM_SENSOR_TEMPERATURE && s->newest > m->celsius) {
			m->celsius = s->newest;
			m->hottest = (uint32_t)i;
		}
	}
	m->is_throttled = now->throttled_ns > m->throttled_ns;
	m->throttled_ns = now->throttled_ns;
}

/* Energy comes with the rounds of samples, which have a clock of their own: without a new one the last word stands. */
static void power_update(struct lmm_top_machine *m, const struct lmm_result_machine *now)
{
	double elapsed_ns = now->sampled_ns - m->sampled_ns;

	if (!now->energy.is_known) {
		m->power_mw = -1;
	} else if (elapsed_ns > 0) {
		/* uj / ns = 1e6 mW */
		m->power_mw = (now->energy.total_uj - m->energy_uj) / elapsed_ns * 1e6;
	}
	m->energy_uj = now->energy.total_uj;
	m->sampled_ns = now->sampled_ns;
}

void lmm__top_machine_update(struct lmm_top_machine *m, const struct lmm_result_machine *now)
{
	clocks_update(m, now);
	heat_update(m, now);
	power_update(m, now);
}
