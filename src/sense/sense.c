/* SPDX-License-Identifier: Apache-2.0 */
/* The list of sensors, and rounds. */
#include "sense/sense.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sense/sense_internal.h"

#define SLOW_EVERY  10u	  /* rounds */
#define CPU_SHARE   1000u /* a round may take one part in so many of the period */
#define WALL_SHARE  50u
#define MEAN_ROUNDS 16

static const struct {
	const char *unit;
	int64_t min, max; /* beyond any machine that could be meant: garbage */
	uint8_t is_slow;
} kinds[LMM_SENSOR_KIND_COUNT] = {
	[LMM_SENSOR_FREQUENCY] = { "hz", 0, 100000000000, 0 },
	[LMM_SENSOR_GOVERNOR] = { "state", 0, 255, 1 },
	[LMM_SENSOR_TEMPERATURE] = { "millicelsius", -60000, 250000, 1 },
	[LMM_SENSOR_COOLING] = { "level", 0, INT32_MAX, 1 },
	[LMM_SENSOR_THROTTLE_COUNT] = { "events", 0, INT64_MAX, 1 },
	[LMM_SENSOR_THROTTLE_TIME] = { "us", 0, INT64_MAX, 1 },
	[LMM_SENSOR_THROTTLE_REASONS] = { "bits", 0, INT64_MAX, 0 },
	[LMM_SENSOR_ENERGY] = { "uj", 0, INT64_MAX, 0 },
	[LMM_SENSOR_POWER] = { "uw", 0, 100000000000, 0 },
	[LMM_SENSOR_STALL] = { "us", 0, INT64_MAX, 1 },
	[LMM_SENSOR_MEMORY] = { "bytes", 0, INT64_MAX, 1 },
	[LMM_SENSOR_LOAD] = { "permille", 0, 1000, 0 },
	[LMM_SENSOR_VOLTAGE] = { "uv", 0, 10000000000, 1 },
	[LMM_SENSOR_CURRENT] = { "ua", -1000000000, 1000000000, 1 },
	[LMM_SENSOR_RUN_WAIT] = { "us", 0, INT64_MAX, 0 },
	[LMM_SENSOR_MAJOR_FAULTS] = { "events", 0, INT64_MAX, 0 },
	[LMM_SENSOR_MINOR_FAULTS] = { "events", 0, INT64_MAX, 0 },
};

static const struct {
	const char *name;
	uint8_t kind, component;
	uint8_t is_expected; /* said even where there simply is none */
	const char *source;
} families[FAMILY_COUNT] = {
	[FAMILY_FREQUENCY] = { "CPU frequency", LMM_SENSOR_FREQUENCY, LMM_COMPONENT_CPU, 1,
			       "/sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq" },
	[FAMILY_GOVERNOR] = { "CPU governor", LMM_SENSOR_GOVERNOR, LMM_COMPONENT_CPU, 1,
			      "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor" },
	[FAMILY_TEMPERATURE] = { "temperature", LMM_SENSOR_TEMPERATURE, LMM_COMPONENT_OTHER, 1,
				 "/sys/class/thermal/thermal_zone*/temp" },
	[FAMILY_THROTTLING] = { "throttling", LMM_SENSOR_COOLING, LMM_COMPONENT_OTHER, 1,
				"/sys/class/thermal/cooling_device*/cur_state" },
	[FAMILY_MEMORY] = { "memory pressure", LMM_SENSOR_STALL, LMM_COMPONENT_MEMORY, 1,
			    "/proc/pressure/memory" },
	[FAMILY_GPU] = { "GPU", LMM_SENSOR_LOAD, LMM_COMPONENT_GPU, 1, "/sys/class" },
	[FAMILY_POWER] = { "power", LMM_SENSOR_POWER, LMM_COMPONENT_OTHER, 1, "/sys/class" },
	[FAMILY_RAPL] = { "CPU energy (RAPL)", LMM_SENSOR_ENERGY, LMM_COMPONENT_PACKAGE, 0,
			  "/sys/class/powercap" },
	[FAMILY_RAILS] = { "power rails", LMM_SENSOR_POWER, LMM_COMPONENT_BOARD, 0,
			   "/sys/class/hwmon" },
	[FAMILY_BATTERY] = { "battery", LMM_SENSOR_POWER, LMM_COMPONENT_BATTERY, 0,
			     "/sys/class/power_supply" },
	[FAMILY_PROCESS] = { "process", LMM_SENSOR_RUN_WAIT, LMM_COMPONENT_PROCESS, 0, "/proc" },
	[FAMILY_NVML] = { "NVIDIA GPU (NVML)", LMM_SENSOR_LOAD, LMM_COMPONENT_GPU, 0, "NVML" },
};

/* ---- adding ------------------------------------------------------------------------------------- */

static void sensor_close(struct sensor *x)
{
	for (unsigned i = 0; i < LMM_I_FILES; i++) {
		if (x->fd[i] >= 0)
			close(x->fd[i]);
		x->fd[i] = -1;
	}
}

void lmm__missing(struct lmm_sense *s, enum family family, const char *path, int error)
{
	struct tally *t = &s->tally[family];

	/* what is there and cannot be read says more than what is not there */
	if (t->error && (t->error != -ENOENT || error == -ENOENT))
		return;
	t->error = error;
	(void)snprintf(t->source, sizeof(t->source), "%s", path);
}

void lmm__count_on(struct sensor *x, uint64_t raw)
{
	if (x->has_last && raw >= x->last) {
		x->sum += raw - x->last;
	} else if (x->has_last && x->wrap >= x->last) {
		x->sum += x->wrap - x->last + raw;
	}
	x->last = raw;
	x->has_last = 1;
}

/* A number, behind a key or alone in its file. */
static int read_file(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	char text[4096];
	const char *at = text;
	int64_t v;
	int rc = lmm__read_text(x->fd[0], text, x->key ? sizeof(text) : 64);

	(void)s;
	if (rc >= 0 && x->key) {
		at = strstr(text, x->key);
		if (!at)
			return -EINVAL;
		at += strlen(x->key);
		at += strspn(at, " \t");
	}
	if (rc >= 0)
		rc = lmm__parse_number(at, &v);
	if (rc < 0)
		return rc;
	if (__builtin_mul_overflow(v, x->factor, &v))
		return -ERANGE;
	if (lmm_sensor_is_sum(x->item.kind)) {
		if (v < 0)
			return -ERANGE;
		lmm__count_on(x, (uint64_t)v);
		v = (int64_t)(x->sum & INT64_MAX);
	}
	*value = v;
	return 0;
}

static void sensor_init(struct lmm_sense *s, struct sensor *x, enum family family,
			enum lmm_sensor_kind kind, const char *source)
{
	memset(x, 0, sizeof(*x));
	x->item.sensor = s->n;
	x->item.kind = (uint8_t)kind;
	x->item.unit = kinds[kind].unit;
	x->item.name = x->name;
	x->item.source = x->source;
	x->item.states = x->states;
	x->item.absent = "";
	(void)snprintf(x->source, sizeof(x->source), "%s", source);
	for (unsigned i = 0; i < LMM_I_FILES; i++)
		x->fd[i] = -1;
	x->factor = 1;
	x->min = kinds[kind].min;
	x->max = kinds[kind].max;
	x->is_slow = kinds[kind].is_slow;
	x->family = (uint8_t)family;
}

static int sensor_read(struct lmm_sense *s, struct sensor *x)
{
	int64_t v = 0;
	int rc = x->read(s, x, &v);

	if (rc == 0 && (v < x->min || v > x->max))
		rc = -ERANGE;
	x->has_value = rc == 0;
	x->value = v;
	return rc;
}

struct sensor *lmm__begin(struct lmm_sense *s, enum family family, enum lmm_sensor_kind kind,
			  const char *source)
{
	struct sensor *x = &s->sensor[s->n];

	/* room is kept for what is said of families that are missing */
	if (s->n >= LMM_I_SENSORS - FAMILY_COUNT)
		return NULL;
	sensor_init(s, x, family, kind, source);
	x->read = read_file;
	return x;
}

int lmm__file(struct lmm_sense *s, struct sensor *x, unsigned i, const char *path)
{
	int rc;

	x->fd[i] = lmm__open(s, path);
	if (x->fd[i] >= 0)
		return 0;
	rc = x->fd[i];
	lmm__missing(s, (enum family)x->family, path, rc);
	sensor_close(x);
	return rc;
}

int lmm__commit(struct lmm_sense *s, struct sensor *x)
{
	int rc = sensor_read(s, x);

	/* asleep or not asked long enough: it may say more later */
	if (rc && rc != -EAGAIN && rc != -ENODATA) {
		lmm__missing(s, (enum family)x->family, x->source, rc);
		sensor_close(x);
		return rc;
	}
	s->tally[x->family].seen++;
	s->n++;
	return 0;
}

struct sensor *lmm__add(struct lmm_sense *s, enum family family, enum lmm_sensor_kind kind,
			const char *path, int64_t factor)
{
	struct sensor *x = lmm__begin(s, family, kind, path);

	if (!x || lmm__file(s, x, 0, path))
		return NULL;
	x->factor = factor;
	return lmm__commit(s, x) ? NULL : x;
}

void lmm__name(struct sensor *x, enum lmm_component component, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	(void)vsnprintf(x->name, sizeof(x->name), format, ap);
	va_end(ap);
	x->item.component = (uint8_t)component;
}

uint32_t lmm__reader_of(const struct lmm_sense *s, const char *path)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (strcmp(s->sensor[i].source, path) == 0)
			return i + 1;
	}
	return 0;
}

int lmm__has(const struct lmm_sense *s, enum lmm_sensor_kind kind, enum lmm_component component)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->sensor[i].item.kind == kind && s->sensor[i].item.component == component)
			return 1;
	}
	return 0;
}

/* ---- what is missing ---------------------------------------------------------------------------- */

static const char *why_absent(int error)
{
	switch (error) {
	case 0:
	case -ENOENT:
	case -ENOTDIR:
		return "not there";
	case -EACCES:
	case -EPERM:
		return "not readable: permission denied";
	case -EINVAL:
	case -ERANGE:
		return "it makes no sense";
	default:
		return "not readable";
	}
}

static int is_readable(const struct lmm_sense *s, enum family family)
{
	if (family == FAMILY_GPU && s->tally[FAMILY_NVML].seen)
		return 1;
	if (family != FAMILY_POWER)
		return s->tally[family].seen > 0;
	for (unsigned i = 0; i < s->n_read; i++) {
		if (s->sensor[i].item.kind == LMM_SENSOR_POWER ||
		    s->sensor[i].item.kind == LMM_SENSOR_ENERGY)
			return 1;
	}
	return 0;
}

static void say_missing(struct lmm_sense *s, enum family family)
{
	const struct tally *t = &s->tally[family];
	struct sensor *x = &s->sensor[s->n];
	int is_there = t->error != 0 && t->error != -ENOENT && t->error != -ENOTDIR;

	if (is_readable(s, family) || (!is_there && !families[family].is_expected))
		return;
	sensor_init(s, x, family, (enum lmm_sensor_kind)families[family].kind,
		    t->source[0] ? t->source : families[family].source);
	lmm__name(x, (enum lmm_component)families[family].component, "%s", families[family].name);
	x->item.absent = why_absent(t->error);
	s->n++;
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The first ones are dear: nothing is in the caches yet. */
static uint64_t mean_on(uint64_t mean, uint64_t value)
{
	return mean ? (mean * (MEAN_ROUNDS - 1) + value) / MEAN_ROUNDS : value;
}

static void round_cost(struct lmm_sense *s, uint64_t cpu_ns, uint64_t wall_ns)
{
	s->cpu_ns = mean_on(s->cpu_ns, cpu_ns);
	s->wall_ns = mean_on(s->wall_ns, wall_ns);
}

void lmm_sense_read(struct lmm_sense *s, uint64_t ticks, struct lmm_samples *out)
{
	uint64_t cpu = thread_cpu_ns(), wall = lmm_mono_ns();

	out->ticks = ticks;
	out->n = 0;
	out->samples = s->samples;
	for (unsigned i = 0; i < s->n_read; i++) {
		struct sensor *x = &s->sensor[i];

		if (!x->is_slow || s->rounds == 0 || (s->rounds + i) % SLOW_EVERY == 0)
			(void)sensor_read(s, x);
		if (x->has_value) {
			s->samples[out->n++] =
				(struct lmm_sample){ .sensor = i, .value = x->value };
		}
	}
	s->rounds++;
	round_cost(s, thread_cpu_ns() - cpu, lmm_mono_ns() - wall);
}

uint64_t lmm_sense_period_ns(const struct lmm_sense *s)
{
	uint64_t period = LMM_SENSE_PERIOD_NS;

	if (s->cpu_ns * CPU_SHARE > period)
		period = s->cpu_ns * CPU_SHARE;
	if (s->wall_ns * WALL_SHARE > period)
		period = s->wall_ns * WALL_SHARE;
	return period;
}

uint64_t lmm_sense_cost_ns(const struct lmm_sense *s)
{
	return s->cpu_ns;
}

/* ---- all ---------------------------------------------------------------------------------------- */

struct lmm_sense *lmm_sense_create(const struct lmm_sense_opts *opts)
{
	struct lmm_sense *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (opts->root &&
	    lmm__path(s->root, sizeof(s->root), "%s", strcmp(opts->root, "/") ? opts->root : "")) {
		free(s);
		return NULL;
	}
	lmm__find_cpu(s);
	lmm__find_thermal(s);
	lmm__find_memory(s);
	lmm__find_power(s);
	lmm__find_gpu(s);
	if (opts->nvml)
		lmm__find_nvml(s, opts->nvml);
	if (opts->process && lmm__find_process(s)) {
		lmm_sense_destroy(s);
		return NULL;
	}
	s->n_read = s->n;
	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		say_missing(s, (enum family)i);
	return s;
}

void lmm_sense_destroy(struct lmm_sense *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		sensor_close(&s->sensor[i]);
	lmm__nvml_close(s->nvml);
	lmm__process_close(s->process);
	free(s);
}

unsigned lmm_sense_count(const struct lmm_sense *s)
{
	return s->n;
}

const struct lmm_sensor *lmm_sense_sensor(const struct lmm_sense *s, unsigned i)
{
	return i < s->n ? &s->sensor[i].item : NULL;
}
