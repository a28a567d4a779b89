/* SPDX-License-Identifier: Apache-2.0 */
/* Thermal zones, and the cooling devices that slow a processor down. */
#include <string.h>

#include "sense/sense_internal.h"

#define ZONES_MAX   96
#define DEVICES_MAX 96

static void find_zone(struct lmm_sense *s, const char *zone, const char *name)
{
	char path[LMM_I_PATH_BYTES], type[LMM_I_NAME_BYTES];
	struct sensor *x;

	if (lmm__path(path, sizeof(path), "%s/type", zone))
		return;
	(void)lmm__text_of(s, path, type, sizeof(type));
	if (lmm__path(path, sizeof(path), "%s/temp", zone))
		return;
	x = lmm__add(s, FAMILY_TEMPERATURE, LMM_SENSOR_TEMPERATURE, path, 1);
	if (!x)
		return;
	lmm__name(x,
		  strcasestr(type, "gpu")   ? LMM_COMPONENT_GPU
		  : strcasestr(type, "cpu") ? LMM_COMPONENT_CPU
		  : strcasestr(type, "pkg") ? LMM_COMPONENT_PACKAGE
		  : strcasestr(type, "bat") ? LMM_COMPONENT_BATTERY
					    : LMM_COMPONENT_OTHER,
		  "%s", type[0] ? type : name);
}

/* Fans, modems and screens cool as well, but what they do is no throttling. */
static int component_slowed(const char *type)
{
	static const struct {
		const char *word;
		uint8_t component;
	} words[] = {
		{ "gpu", LMM_COMPONENT_GPU },	    { "kgsl", LMM_COMPONENT_GPU },
		{ "mali", LMM_COMPONENT_GPU },	    { "cpu", LMM_COMPONENT_CPU },
		{ "processor", LMM_COMPONENT_CPU }, { "powerclamp", LMM_COMPONENT_CPU },
		{ "devfreq", LMM_COMPONENT_OTHER }, { "ddr", LMM_COMPONENT_MEMORY },
	};

	if (strcasestr(type, "fan"))
		return -1;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(words); i++) {
		if (strcasestr(type, words[i].word))
			return words[i].component;
	}
	return -1;
}

static void find_cooling(struct lmm_sense *s, const char *device, const char *name)
{
	char path[LMM_I_PATH_BYTES], type[LMM_I_NAME_BYTES];
	struct sensor *x;
	int component;
	int64_t limit;

	(void)name;
	if (lmm__path(path, sizeof(path), "%s/type", device) ||
	    lmm__text_of(s, path, type, sizeof(type)) < 0)
		return;
	component = component_slowed(type);
	if (component < 0 || lmm__path(path, sizeof(path), "%s/cur_state", device))
		return;
	x = lmm__begin(s, FAMILY_THROTTLING, LMM_SENSOR_COOLING, path);
	if (!x || lmm__file(s, x, 0, path))
		return;
	x->min = -1; /* intel_powerclamp at rest */
	lmm__name(x, (enum lmm_component)component, "%s", type);
	if (lmm__path(path, sizeof(path), "%s/max_state", device) == 0 &&
	    lmm__number_of(s, path, &limit) == 0 && limit > 0 && limit <= x->max)
		x->item.limit = limit;
	(void)lmm__commit(s, x);
}

void lmm__find_thermal(struct lmm_sense *s)
{
	int rc = lmm__each(s, "/sys/class/thermal", "thermal_zone", ZONES_MAX, find_zone);

	if (rc)
		lmm__missing(s, FAMILY_TEMPERATURE, "/sys/class/thermal", rc);
	rc = lmm__each(s, "/sys/class/thermal", "cooling_device", DEVICES_MAX, find_cooling);
	if (rc)
		lmm__missing(s, FAMILY_THROTTLING, "/sys/class/thermal", rc);
}
