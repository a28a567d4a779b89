/* SPDX-License-Identifier: Apache-2.0 */
/* Plays NVIDIA's management library: two devices, of which the second does not tell its power. */
#include <stdio.h>

#include "base/compiler.h"

#define NOT_SUPPORTED 3
#define TOO_SHORT     7

struct device {
	int number;
	unsigned long long mj;
};

static struct device devices[2] = { { 0, 1000000 }, { 1, 0 } };

struct utilization {
	unsigned gpu, memory;
};

LMM_EXPORT int nvmlInit_v2(void);
LMM_EXPORT int nvmlShutdown(void);
LMM_EXPORT int nvmlDeviceGetCount_v2(unsigned *n);
LMM_EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, struct device **d);
LMM_EXPORT int nvmlDeviceGetName(struct device *d, char *name, unsigned bytes);
LMM_EXPORT int nvmlDeviceGetClockInfo(struct device *d, unsigned type, unsigned *mhz);
LMM_EXPORT int nvmlDeviceGetMaxClockInfo(struct device *d, unsigned type, unsigned *mhz);
LMM_EXPORT int nvmlDeviceGetUtilizationRates(struct device *d, struct utilization *u);
LMM_EXPORT int nvmlDeviceGetPowerUsage(struct device *d, unsigned *mw);
LMM_EXPORT int nvmlDeviceGetTotalEnergyConsumption(struct device *d, unsigned long long *mj);
LMM_EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(struct device *d,
							 unsigned long long *bits);
LMM_EXPORT int nvmlDeviceGetTemperature(struct device *d, unsigned sensor, unsigned *celsius);

int nvmlInit_v2(void)
{
	return 0;
}

int nvmlShutdown(void)
{
	return 0;
}

int nvmlDeviceGetCount_v2(unsigned *n)
{
	*n = LMM_ARRAY_SIZE(devices);
	return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, struct device **d)
{
	*d = &devices[i];
	return 0;
}

int nvmlDeviceGetName(struct device *d, char *name, unsigned bytes)
{
	(void)d;
	if (bytes < 64)
		return TOO_SHORT;
	(void)snprintf(name, bytes, "Fake GPU");
	return 0;
}

int nvmlDeviceGetClockInfo(struct device *d, unsigned type, unsigned *mhz)
{
	(void)d;
	*mhz = type == 0 ? 1755 : 2619;
	return 0;
}

int nvmlDeviceGetMaxClockInfo(struct device *d, unsigned type, unsigned *mhz)
{
	(void)d;
	*mhz = type == 0 ? 1980 : 2619;
	return 0;
}

int nvmlDeviceGetUtilizationRates(struct device *d, struct utilization *u)
{
	(void)d;
	u->gpu = 42;
	u->memory = 7;
	return 0;
}

int nvmlDeviceGetPowerUsage(struct device *d, unsigned *mw)
{
	*mw = 123456;
	return d->number ? NOT_SUPPORTED : 0;
}

int nvmlDeviceGetTotalEnergyConsumption(struct device *d, unsigned long long *mj)
{
	*mj = d->mj += 5;
	return 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(struct device *d, unsigned long long *bits)
{
	(void)d;
	*bits = 0x1 | 0x2 | 0x4 | 0x20;
	return 0;
}

int nvmlDeviceGetTemperature(struct device *d, unsigned sensor, unsigned *celsius)
{
	(void)d;
	*celsius = sensor == 0 ? 61 : 0;
	return 0;
}
