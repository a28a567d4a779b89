/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's management library, opened by name if it is there. Its functions and structures are those of NVML's stable
 * interface; none of its headers is needed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sense/sense_internal.h"

#define DEVICES_MAX 8

/* Reasons that slow the GPU down: power cap, heat, power brake; not idleness, not the user's own settings. */
#define REASONS_THROTTLING 0xecull

typedef struct device *device_t;

struct utilization {
	unsigned gpu_percent, memory_percent;
};

struct nvml {
	void *library;
	device_t device[DEVICES_MAX];
	int (*init)(void);
	int (*shutdown)(void);
	int (*count)(unsigned *n);
	int (*by_index)(unsigned i, device_t *device);
	int (*name)(device_t device, char *name, unsigned bytes);
	int (*clock)(device_t device, unsigned type, unsigned *mhz);
	int (*max_clock)(device_t device, unsigned type, unsigned *mhz);
	int (*utilization)(device_t device, struct utilization *u);
	int (*power)(device_t device, unsigned *mw);
	int (*energy)(device_t device, unsigned long long *mj);
	int (*reasons)(device_t device, unsigned long long *bits);
	int (*temperature)(device_t device, unsigned sensor, unsigned *celsius);
};

enum quantity { CLOCK_GRAPHICS, CLOCK_MEMORY, LOAD, POWER, ENERGY, REASONS, TEMPERATURE };

static const struct {
	uint8_t kind;
	const char *source;
} quantities[] = {
	[CLOCK_GRAPHICS] = { LMM_SENSOR_FREQUENCY, "nvmlDeviceGetClockInfo" },
	[CLOCK_MEMORY] = { LMM_SENSOR_FREQUENCY, "nvmlDeviceGetClockInfo" },
	[LOAD] = { LMM_SENSOR_LOAD, "nvmlDeviceGetUtilizationRates" },
	[POWER] = { LMM_SENSOR_POWER, "nvmlDeviceGetPowerUsage" },
	[ENERGY] = { LMM_SENSOR_ENERGY, "nvmlDeviceGetTotalEnergyConsumption" },
	[REASONS] = { LMM_SENSOR_THROTTLE_REASONS, "nvmlDeviceGetCurrentClocksThrottleReasons" },
	[TEMPERATURE] = { LMM_SENSOR_TEMPERATURE, "nvmlDeviceGetTemperature" },
};

static int symbols_find(struct nvml *n)
{
	const struct {
		const char *name;
		void *slot;
	} symbols[] = {
		{ "nvmlInit_v2", &n->init },
		{ "nvmlShutdown", &n->shutdown },
		{ "nvmlDeviceGetCount_v2", &n->count },
		{ "nvmlDeviceGetHandleByIndex_v2", &n->by_index },
		{ "nvmlDeviceGetName", &n->name },
		{ "nvmlDeviceGetClockInfo", &n->clock },
		{ "nvmlDeviceGetMaxClockInfo", &n->max_clock },
		{ "nvmlDeviceGetUtilizationRates", &n->utilization },
		{ "nvmlDeviceGetPowerUsage", &n->power },
		{ "nvmlDeviceGetTotalEnergyConsumption", &n->energy },
		{ "nvmlDeviceGetCurrentClocksThrottleReasons", &n->reasons },
		{ "nvmlDeviceGetTemperature", &n->temperature },
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(symbols); i++) {
		void *p = dlsym(n->library, symbols[i].name);

		if (!p)
			return -ENOSYS;
		memcpy(symbols[i].slot, &p, sizeof(p)); /* a function's address, as POSIX has it */
	}
	return 0;
}

static int read_nvml(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	const struct nvml *n = s->nvml;
	device_t device = n->device[x->device];
	struct utilization u = { 0, 0 };
	unsigned long long wide = 0;
	unsigned narrow = 0;
	int rc;

	switch (x->what) {
	case CLOCK_GRAPHICS:
		rc = n->clock(device, 0, &narrow);
		*value = (int64_t)narrow * 1000000;
		break;
	case CLOCK_MEMORY:
		rc = n->clock(device, 2, &narrow);
		*value = (int64_t)narrow * 1000000;
		break;
	case LOAD:
		rc = n->utilization(device, &u);
		*value = (int64_t)u.gpu_percent * 10;
		break;
	case POWER:
		rc = n->power(device, &narrow);
		*value = (int64_t)narrow * 1000;
		break;
	case ENERGY:
		rc = n->energy(device, &wide);
		if (rc == 0 && wide < INT64_MAX / 1000)
			lmm__count_on(x, (uint64_t)wide * 1000);
		*value = (int64_t)(x->sum & INT64_MAX);
		break;
	case REASONS:
		rc = n->reasons(device, &wide);
		*value = (int64_t)(wide & REASONS_THROTTLING);
		break;
	default:
		rc = n->temperature(device, 0, &narrow);
		*value = (int64_t)narrow * 1000;
	}
	return rc ? -EIO : 0;
}

static struct sensor *add_what(struct lmm_sense *s, unsigned device, enum quantity what,
			       const char *name)
{
	struct sensor *x = lmm__begin(s, FAMILY_NVML, (enum lmm_sensor_kind)quantities[what].kind,
				      quantities[what].source);

	if (!x)
		return NULL;
	x->read = read_nvml;
	x->device = (uint8_t)device;
	x->what = (uint8_t)what;
	lmm__name(x, what == CLOCK_MEMORY ? LMM_COMPONENT_MEMORY : LMM_COMPONENT_GPU, "%s%s", name,
		  what == CLOCK_MEMORY ? " memory" : "");
	return lmm__commit(s, x) ? NULL : x;
}

static void find_device(struct lmm_sense *s, unsigned i)
{
	struct nvml *n = s->nvml;
	char name[96], numbered[LMM_I_NAME_BYTES];
	struct sensor *x;
	unsigned mhz;

	if (n->by_index(i, &n->device[i]) || n->name(n->device[i], name, sizeof(name)))
		return;
	name[sizeof(name) - 1] = '\0';
	(void)lmm__path(numbered, sizeof(numbered), "%u: %.40s", i, name);
	x = add_what(s, i, CLOCK_GRAPHICS, numbered);
	if (x && n->max_clock(n->device[i], 0, &mhz) == 0)
		x->item.limit = (int64_t)mhz * 1000000;
	x = add_what(s, i, CLOCK_MEMORY, numbered);
	if (x && n->max_clock(n->device[i], 2, &mhz) == 0)
		x->item.limit = (int64_t)mhz * 1000000;
	add_what(s, i, LOAD, numbered);
	/* asking for the energy takes 4 ms of CPU time on an H200, for the power 0.03 */
	if (!add_what(s, i, POWER, numbered))
		add_what(s, i, ENERGY, numbered);
	add_what(s, i, REASONS, numbered);
	add_what(s, i, TEMPERATURE, numbered);
}

void lmm__find_nvml(struct lmm_sense *s, const char *library)
{
	struct nvml *n = calloc(1, sizeof(*n));
	unsigned devices = 0;

	if (n)
		n->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!n || !n->library) {
		free(n);
		return;
	}
	if (symbols_find(n) || n->init()) {
		lmm__missing(s, FAMILY_NVML, library, -EIO);
		dlclose(n->library);
		free(n);
		return;
	}
	s->nvml = n;
	if (n->count(&devices))
		devices = 0;
	for (unsigned i = 0; i < devices && i < DEVICES_MAX; i++)
		find_device(s, i);
}

void lmm__nvml_close(struct nvml *n)
{
	if (!n)
		return;
	(void)n->shutdown();
	dlclose(n->library);
	free(n);
}
