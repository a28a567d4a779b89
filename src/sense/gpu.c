/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs that say something in files: Adreno, Mali, Jetson and other devfreq devices, AMD, Intel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sense/sense_internal.h"

#define DEVICES_MAX 16
#define CARDS_MAX   8

/* Drivers say Hz, kHz or MHz; no GPU runs below 50 MHz or above 5 GHz, so the number tells which. */
static int read_clock(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	int64_t v;
	int rc = lmm__read_number(x->fd[0], &v);

	(void)s;
	if (rc)
		return rc;
	if (v < 0 || v > x->max)
		return -ERANGE;
	*value = v < 50000 ? v * 1000000 : v < 50000000 ? v * 1000 : v;
	return 0;
}

static struct sensor *add_clock(struct lmm_sense *s, const char *name, const char *path)
{
	struct sensor *x = lmm__begin(s, FAMILY_GPU, LMM_SENSOR_FREQUENCY, path);

	if (!x || lmm__file(s, x, 0, path))
		return NULL;
	x->read = read_clock;
	lmm__name(x, LMM_COMPONENT_GPU, "%s", name);
	return lmm__commit(s, x) ? NULL : x;
}

static struct sensor *add_load(struct lmm_sense *s, const char *name, const char *path,
			       int64_t factor)
{
	struct sensor *x = lmm__add(s, FAMILY_GPU, LMM_SENSOR_LOAD, path, factor);

	if (x)
		lmm__name(x, LMM_COMPONENT_GPU, "%s", name);
	return x;
}

/* ---- Adreno ------------------------------------------------------------------------------------- */

/* "busy total" in us since the last reading, which begins anew. "0 0": it slept all the time. */
static int read_gpubusy(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	char text[64], *second;
	int64_t busy, total;
	int rc = lmm__read_text(x->fd[0], text, sizeof(text));

	(void)s;
	if (rc < 0)
		return rc;
	rc = lmm__parse_number(text + strspn(text, " "), &busy);
	second = strchr(text + strspn(text, " "), ' ');
	if (rc == 0)
		rc = second ? lmm__parse_number(second + strspn(second, " "), &total) : -EINVAL;
	if (rc)
		return rc;
	if (busy < 0 || busy > total || total > INT32_MAX)
		return -ERANGE;
	*value = total ? busy * 1000 / total : 0;
	return 0;
}

static void find_adreno(struct lmm_sense *s)
{
	static const char busy[] = "/sys/class/kgsl/kgsl-3d0/gpubusy";
	struct sensor *x = lmm__begin(s, FAMILY_GPU, LMM_SENSOR_LOAD, busy);

	if (x && lmm__file(s, x, 0, busy) == 0) {
		x->read = read_gpubusy;
		lmm__name(x, LMM_COMPONENT_GPU, "kgsl-3d0");
		(void)lmm__commit(s, x);
	}
	if (!lmm__has(s, LMM_SENSOR_LOAD, LMM_COMPONENT_GPU))
		add_load(s, "kgsl-3d0", "/sys/class/kgsl/kgsl-3d0/gpu_busy_percentage", 10);
	if (!add_clock(s, "kgsl-3d0", "/sys/class/kgsl/kgsl-3d0/gpuclk") &&
	    !add_clock(s, "kgsl-3d0", "/sys/class/kgsl/kgsl-3d0/devfreq/cur_freq"))
		add_clock(s, "kgsl-3d0", "/sys/class/kgsl/kgsl-3d0/clock_mhz");
	x = lmm__add(s, FAMILY_GPU, LMM_SENSOR_TEMPERATURE, "/sys/class/kgsl/kgsl-3d0/temp", 1);
	if (x)
		lmm__name(x, LMM_COMPONENT_GPU, "kgsl-3d0");
}

/* ---- Mali, devfreq ------------------------------------------------------------------------------ */

static void find_devfreq(struct lmm_sense *s, const char *device, const char *name)
{
	char path[LMM_I_PATH_BYTES];

	if (lmm__path(path, sizeof(path), "%s/cur_freq", device) == 0)
		add_clock(s, name, path);
}

static void find_gpu_devfreq(struct lmm_sense *s, const char *device, const char *name)
{
	if (strstr(name, "gpu") || strstr(name, "mali") || strstr(name, "kgsl"))
		find_devfreq(s, device, name);
}

/* The vendors put the same two numbers under several names. */
static void find_mali(struct lmm_sense *s)
{
	static const char *const loads[] = { "/sys/class/misc/mali0/device/utilization",
					     "/sys/kernel/gpu/gpu_load",
					     "/sys/kernel/gpu/gpu_busy" };
	static const char *const clocks[] = { "/sys/class/misc/mali0/device/clock",
					      "/sys/kernel/gpu/gpu_clock" };
	struct sensor *x = NULL;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(loads) && !x; i++)
		x = add_load(s, "mali0", loads[i], 10);
	(void)lmm__each(s, "/sys/class/misc/mali0/device/devfreq", "", DEVICES_MAX, find_devfreq);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(clocks); i++) {
		if (!lmm__has(s, LMM_SENSOR_FREQUENCY, LMM_COMPONENT_GPU))
			add_clock(s, "mali0", clocks[i]);
	}
}

static void find_jetson(struct lmm_sense *s)
{
	if (!add_load(s, "gpu.0", "/sys/devices/gpu.0/load", 1))
		add_load(s, "gpu.0", "/sys/devices/platform/gpu.0/load", 1);
	if (!lmm__has(s, LMM_SENSOR_FREQUENCY, LMM_COMPONENT_GPU))
		(void)lmm__each(s, "/sys/class/devfreq", "", DEVICES_MAX, find_gpu_devfreq);
}

/* ---- graphics cards ----------------------------------------------------------------------------- */

/* "0: 500Mhz\n1: 2100Mhz *": the line with the star is the clock now. */
static int read_dpm(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	char text[1024], *star, *colon;
	int rc = lmm__read_text(x->fd[0], text, sizeof(text));
	int64_t mhz;

	(void)s;
	if (rc < 0)
		return rc;
	star = strchr(text, '*');
	if (!star)
		return -EAGAIN;
	*star = '\0';
	colon = strrchr(text, ':');
	if (!colon)
		return -EINVAL;
	rc = lmm__parse_number(colon + 1 + strspn(colon + 1, " "), &mhz);
	if (rc == 0 && (mhz < 0 || mhz > 100000))
		rc = -ERANGE;
	if (rc == 0)
		*value = mhz * 1000000;
	return rc;
}

static void find_card_monitor(struct lmm_sense *s, const char *monitor, const char *name)
{
	static const char *const powers[] = { "power1_average", "power1_input" };
	char path[LMM_I_PATH_BYTES];
	struct sensor *energy = NULL, *power = NULL;

	(void)name;
	if (lmm__path(path, sizeof(path), "%s/energy1_input", monitor) == 0)
		energy = lmm__add(s, FAMILY_GPU, LMM_SENSOR_ENERGY, path, 1);
	if (energy)
		lmm__name(energy, LMM_COMPONENT_GPU, "card");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(powers) && !power; i++) {
		if (lmm__path(path, sizeof(path), "%s/%s", monitor, powers[i]) == 0)
			power = lmm__add(s, FAMILY_GPU, LMM_SENSOR_POWER, path, 1);
	}
	if (power) {
		lmm__name(power, LMM_COMPONENT_GPU, "card");
		power->item.part_of = energy ? energy->item.sensor + 1 : 0;
	}
}

static void find_card_clock(struct lmm_sense *s, const char *card, const char *name)
{
	/* i915 with one and several GTs */
	static const char *const intel[] = { "gt/gt0/rps_act_freq_mhz", "gt/gt0/rps_cur_freq_mhz",
					     "gt_act_freq_mhz", "gt_cur_freq_mhz" };
	char path[LMM_I_PATH_BYTES];
	struct sensor *x;

	if (lmm__path(path, sizeof(path), "%s/device/pp_dpm_sclk", card))
		return;
	x = lmm__begin(s, FAMILY_GPU, LMM_SENSOR_FREQUENCY, path);
	if (x && lmm__file(s, x, 0, path) == 0) {
		x->read = read_dpm;
		lmm__name(x, LMM_COMPONENT_GPU, "%s", name);
		if (lmm__commit(s, x) == 0)
			return;
	}
	for (size_t i = 0; i < LMM_ARRAY_SIZE(intel); i++) {
		if (lmm__path(path, sizeof(path), "%s/%s", card, intel[i]) == 0 &&
		    add_clock(s, name, path))
			return;
	}
}

static void find_card(struct lmm_sense *s, const char *card, const char *name)
{
	char path[LMM_I_PATH_BYTES];
	unsigned before = s->n;

	if (strchr(name, '-')) /* a connector of one */
		return;
	if (lmm__path(path, sizeof(path), "%s/device/gpu_busy_percent", card) == 0)
		add_load(s, name, path, 10);
	find_card_clock(s, card, name);
	if (lmm__path(path, sizeof(path), "%s/device/hwmon", card))
		return;
	(void)lmm__each(s, path, "hwmon", DEVICES_MAX, find_card_monitor);
	for (unsigned i = before; i < s->n; i++)
		lmm__name(&s->sensor[i], LMM_COMPONENT_GPU, "%s", name);
}

void lmm__find_gpu(struct lmm_sense *s)
{
	find_adreno(s);
	find_mali(s);
	find_jetson(s);
	(void)lmm__each(s, "/sys/class/drm", "card", CARDS_MAX, find_card);
}
