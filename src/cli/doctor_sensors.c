/* SPDX-License-Identifier: Apache-2.0 */
/* Which sensors a recording would sample here. */
#include <string.h>

#include "cli/doctor.h"
#include "sense/sense.h"

/* "" where the kind says it. */
static const char *component_of(const struct lmm_sensor *x)
{
	const char *name = lmm_component_name(x->component);

	if (x->component == LMM_COMPONENT_OTHER ||
	    strncmp(lmm_sensor_kind_name(x->kind), name, strlen(name)) == 0)
		return "";
	return name;
}

/* "cpu frequency", each once, with how many there are. */
static void readable_add(struct lmm_doctor_machine *m, const struct lmm_sense *s, unsigned at)
{
	const struct lmm_sensor *x = lmm_sense_sensor(s, at);
	size_t used = strlen(m->sensors_readable);
	const char *component = component_of(x);
	unsigned n = 0;

	for (unsigned i = 0; i < lmm_sense_count(s); i++) {
		const struct lmm_sensor *y = lmm_sense_sensor(s, i);

		if (y->absent[0] || y->kind != x->kind || y->component != x->component)
			continue;
		if (i < at)
			return; /* said */
		n++;
	}
	if (used + 48 > sizeof(m->sensors_readable))
		return;
	(void)snprintf(m->sensors_readable + used, sizeof(m->sensors_readable) - used,
		       n > 1 ? "%s%s%s%s (%u)" : "%s%s%s%s", used ? ", " : "", component,
		       component[0] ? " " : "", lmm_sensor_kind_name(x->kind), n);
}

static void absent_add(struct lmm_doctor_machine *m, const struct lmm_sensor *x)
{
	struct lmm_doctor_absent *a = &m->sensor_absent[m->n_sensors_absent];

	if (m->n_sensors_absent == LMM_DOCTOR_ABSENT)
		return;
	m->n_sensors_absent++;
	(void)snprintf(a->what, sizeof(a->what), "%s", x->name);
	(void)snprintf(a->why, sizeof(a->why), "%s", x->absent);
}

void lmm_doctor_sensors(struct lmm_doctor_machine *m)
{
	struct lmm_sense_opts opts = { .nvml = LMM_SENSE_NVML };
	struct lmm_sense *s = lmm_sense_create(&opts);

	for (unsigned i = 0; s && i < lmm_sense_count(s); i++) {
		const struct lmm_sensor *x = lmm_sense_sensor(s, i);

		if (x->absent[0]) {
			absent_add(m, x);
		} else {
			readable_add(m, s, i);
		}
	}
	lmm_sense_destroy(s);
}
