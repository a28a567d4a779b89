/* SPDX-License-Identifier: Apache-2.0 */
/* Energy and power: RAPL, the INA3221 monitors of Jetsons, batteries. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sense/sense_internal.h"

#define ZONES_MAX    64
#define MONITORS_MAX 64
#define RAILS	     4

/* ---- RAPL --------------------------------------------------------------------------------------- */

static enum lmm_component zone_component(const char *name)
{
	if (strncmp(name, "package", 7) == 0)
		return LMM_COMPONENT_PACKAGE;
	if (strcmp(name, "dram") == 0)
		return LMM_COMPONENT_MEMORY;
	if (strcmp(name, "psys") == 0)
		return LMM_COMPONENT_BOARD;
	if (strcmp(name, "core") == 0)
		return LMM_COMPONENT_CPU;
	return strcmp(name, "uncore") == 0 ? LMM_COMPONENT_GPU : LMM_COMPONENT_OTHER;
}

/* intel-rapl:0:1 is a part of intel-rapl:0, and measured with it, unless it is the memory. */
static uint32_t zone_parent(const struct lmm_sense *s, const char *zone)
{
	char path[LMM_I_PATH_BYTES];
	const char *name = strrchr(zone, '/') + 1, *last = strrchr(name, ':');

	if (!last || last == strchr(name, ':') ||
	    lmm__path(path, sizeof(path), "%.*s/energy_uj", (int)(last - zone), zone))
		return 0;
	return lmm__reader_of(s, path);
}

static void find_zone(struct lmm_sense *s, const char *zone, const char *dir)
{
	char path[LMM_I_PATH_BYTES], name[LMM_I_NAME_BYTES];
	struct sensor *x;
	int64_t range;

	if (lmm__path(path, sizeof(path), "%s/name", zone) ||
	    lmm__text_of(s, path, name, sizeof(name)) < 0 ||
	    lmm__path(path, sizeof(path), "%s/energy_uj", zone))
		return;
	x = lmm__add(s, FAMILY_RAPL, LMM_SENSOR_ENERGY, path, 1);
	if (!x)
		return;
	lmm__name(x, zone_component(name), "%s", name[0] ? name : dir);
	if (x->item.component != LMM_COMPONENT_MEMORY)
		x->item.part_of = zone_parent(s, zone);
	if (lmm__path(path, sizeof(path), "%s/max_energy_range_uj", zone) == 0 &&
	    lmm__number_of(s, path, &range) == 0 && range > 0)
		x->wrap = (uint64_t)range;
}

/* ---- rails -------------------------------------------------------------------------------------- */

static int ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

static enum lmm_component rail_component(const char *name)
{
	int is_cpu = strstr(name, "CPU") != NULL, is_gpu = strstr(name, "GPU") != NULL;

	/* what the whole board draws: VDD_IN, POM_5V_IN */
	if (ends_with(name, "_IN"))
		return LMM_COMPONENT_BOARD;
	if (is_cpu && is_gpu)
		return LMM_COMPONENT_CPU_GPU;
	if (is_cpu || is_gpu)
		return is_cpu ? LMM_COMPONENT_CPU : LMM_COMPONENT_GPU;
	if (strstr(name, "DDR") || strstr(name, "VDDRQ"))
		return LMM_COMPONENT_MEMORY;
	return LMM_COMPONENT_SOC;
}

/* Millivolts × milliamperes. */
static int read_product(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	int64_t mv, ma;
	int rc = lmm__read_number(x->fd[0], &mv);

	(void)s;
	if (rc == 0)
		rc = lmm__read_number(x->fd[1], &ma);
	if (rc == 0 && __builtin_mul_overflow(mv, ma, value))
		rc = -ERANGE;
	return rc;
}

static void find_rail(struct lmm_sense *s, const char *monitor, unsigned i)
{
	char path[LMM_I_PATH_BYTES], current[LMM_I_PATH_BYTES], name[LMM_I_NAME_BYTES];
	struct sensor *x;

	if (lmm__path(path, sizeof(path), "%s/in%u_label", monitor, i) ||
	    lmm__text_of(s, path, name, sizeof(name)) < 0 || strcmp(name, "NC") == 0 ||
	    lmm__path(path, sizeof(path), "%s/in%u_input", monitor, i) ||
	    lmm__path(current, sizeof(current), "%s/curr%u_input", monitor, i))
		return;
	x = lmm__begin(s, FAMILY_RAILS, LMM_SENSOR_POWER, path);
	if (!x || lmm__file(s, x, 0, path) || lmm__file(s, x, 1, current))
		return;
	x->read = read_product;
	lmm__name(x, rail_component(name), "%s", name);
	(void)lmm__commit(s, x);
}

static void find_monitor(struct lmm_sense *s, const char *monitor, const char *dir)
{
	char path[LMM_I_PATH_BYTES], name[LMM_I_NAME_BYTES];

	(void)dir;
	if (lmm__path(path, sizeof(path), "%s/name", monitor) ||
	    lmm__text_of(s, path, name, sizeof(name)) < 0 || strcmp(name, "ina3221") != 0)
		return;
	for (unsigned i = 1; i < RAILS; i++)
		find_rail(s, monitor, i);
}

/* NVIDIA's driver before JetPack 5 multiplies itself. */
static void find_old_monitor(struct lmm_sense *s, const char *monitor, const char *dir)
{
	char path[LMM_I_PATH_BYTES], name[LMM_I_NAME_BYTES];
	struct sensor *x;

	(void)dir;
	for (unsigned i = 0; i < RAILS; i++) {
		if (lmm__path(path, sizeof(path), "%s/rail_name_%u", monitor, i) ||
		    lmm__text_of(s, path, name, sizeof(name)) < 0 ||
		    lmm__path(path, sizeof(path), "%s/in_power%u_input", monitor, i))
			continue;
		x = lmm__add(s, FAMILY_RAILS, LMM_SENSOR_POWER, path, 1000);
		if (x)
			lmm__name(x, rail_component(name), "%s", name);
	}
}

static void find_old_bus(struct lmm_sense *s, const char *path, const char *name)
{
	(void)name;
	(void)lmm__each(s, path, "iio:device", MONITORS_MAX, find_old_monitor);
}

/* ---- batteries ---------------------------------------------------------------------------------- */

/* While it is charged, what flows through it is not what the machine draws. */
static int discharges(const struct sensor *x, unsigned status)
{
	char text[LMM_I_NAME_BYTES];

	return lmm__read_text(x->fd[status], text, sizeof(text)) > 0 &&
	       strcmp(text, "Discharging") == 0;
}

/* Vendors disagree on the sign. */
static int read_battery(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	int64_t uv, ua;
	int rc;

	(void)s;
	if (!discharges(x, 2))
		return -EAGAIN;
	rc = lmm__read_number(x->fd[0], &uv);
	if (rc == 0)
		rc = lmm__read_number(x->fd[1], &ua);
	if (rc)
		return rc;
	if (ua < INT32_MIN || ua > INT32_MAX || uv < 0 || uv > INT32_MAX)
		return -ERANGE;
	*value = uv * llabs(ua) / 1000000;
	return 0;
}

static int read_battery_power(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	int rc;

	(void)s;
	if (!discharges(x, 1))
		return -EAGAIN;
	rc = lmm__read_number(x->fd[0], value);
	if (rc == 0 && *value == INT64_MIN)
		rc = -ERANGE;
	if (rc == 0)
		*value = llabs(*value);
	return rc;
}

static void add_battery_value(struct lmm_sense *s, const char *battery, const char *file,
			      enum lmm_sensor_kind kind, const char *name)
{
	char path[LMM_I_PATH_BYTES];
	struct sensor *x;

	if (lmm__path(path, sizeof(path), "%s/%s", battery, file))
		return;
	x = lmm__add(s, FAMILY_BATTERY, kind, path, 1);
	if (x)
		lmm__name(x, LMM_COMPONENT_BATTERY, "%s", name);
}

static void add_battery_power(struct lmm_sense *s, const char *battery, const char *name)
{
	char path[LMM_I_PATH_BYTES], current[LMM_I_PATH_BYTES], status[LMM_I_PATH_BYTES];
	struct sensor *x;
	int64_t uw;

	if (lmm__path(status, sizeof(status), "%s/status", battery) ||
	    lmm__path(current, sizeof(current), "%s/current_now", battery) ||
	    lmm__path(path, sizeof(path), "%s/power_now", battery))
		return;
	if (lmm__number_of(s, path, &uw) == 0) {
		x = lmm__begin(s, FAMILY_BATTERY, LMM_SENSOR_POWER, path);
		if (!x || lmm__file(s, x, 0, path) || lmm__file(s, x, 1, status))
			return;
		x->read = read_battery_power;
	} else {
		if (lmm__path(path, sizeof(path), "%s/voltage_now", battery))
			return;
		x = lmm__begin(s, FAMILY_BATTERY, LMM_SENSOR_POWER, path);
		if (!x || lmm__file(s, x, 0, path) || lmm__file(s, x, 1, current) ||
		    lmm__file(s, x, 2, status))
			return;
		x->read = read_battery;
	}
	x->is_slow = 1; /* and asking takes its time */
	lmm__name(x, LMM_COMPONENT_BATTERY, "%s", name);
	(void)lmm__commit(s, x);
}

static void find_battery(struct lmm_sense *s, const char *supply, const char *name)
{
	char path[LMM_I_PATH_BYTES], text[LMM_I_NAME_BYTES];

	if (lmm__path(path, sizeof(path), "%s/type", supply) ||
	    lmm__text_of(s, path, text, sizeof(text)) < 0 || strcmp(text, "Battery") != 0)
		return;
	/* a mouse's */
	if (lmm__path(path, sizeof(path), "%s/scope", supply) == 0 &&
	    lmm__text_of(s, path, text, sizeof(text)) > 0 && strcmp(text, "Device") == 0)
		return;
	add_battery_power(s, supply, name);
	add_battery_value(s, supply, "voltage_now", LMM_SENSOR_VOLTAGE, name);
	add_battery_value(s, supply, "current_now", LMM_SENSOR_CURRENT, name);
}

void lmm__find_power(struct lmm_sense *s)
{
	(void)lmm__each(s, "/sys/class/powercap", "intel-rapl:", ZONES_MAX, find_zone);
	(void)lmm__each(s, "/sys/class/hwmon", "hwmon", MONITORS_MAX, find_monitor);
	(void)lmm__each(s, "/sys/bus/i2c/drivers/ina3221x", "", MONITORS_MAX, find_old_bus);
	(void)lmm__each(s, "/sys/class/power_supply", "", MONITORS_MAX, find_battery);
}
