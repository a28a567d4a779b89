/* SPDX-License-Identifier: Apache-2.0 */
/* Frequency and governor of each cpufreq policy, and the counters of x86's thermal throttling. */
#include <errno.h>
#include <string.h>

#include "sense/sense_internal.h"

#define POLICIES_MAX 16 /* a server with more has one per core: the first ones stand for the rest */
#define CORES_MAX    16

/* The place of a word in a list of words. */
static int state_find(const char *states, const char *word)
{
	size_t n = strlen(word);
	int at = 0;

	for (const char *p = states; *p; at++) {
		size_t k = strcspn(p, " ");

		if (k == n && strncmp(p, word, n) == 0)
			return at;
		p += k;
		p += strspn(p, " ");
	}
	return -EINVAL;
}

static int read_state(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	char text[LMM_I_NAME_BYTES];
	int rc = lmm__read_text(x->fd[0], text, sizeof(text));

	(void)s;
	if (rc >= 0)
		rc = state_find(x->states, text);
	*value = rc;
	return rc < 0 ? rc : 0;
}

static int is_printable(const char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			return 0;
	}
	return 1;
}

static void find_governor(struct lmm_sense *s, const char *policy, const char *name)
{
	char path[LMM_I_PATH_BYTES], list[LMM_I_PATH_BYTES], now[LMM_I_NAME_BYTES];
	struct sensor *x;

	if (lmm__path(path, sizeof(path), "%s/scaling_governor", policy) ||
	    lmm__path(list, sizeof(list), "%s/scaling_available_governors", policy))
		return;
	x = lmm__begin(s, FAMILY_GOVERNOR, LMM_SENSOR_GOVERNOR, path);
	if (!x || lmm__file(s, x, 0, path))
		return;
	x->read = read_state;
	(void)lmm__text_of(s, list, x->states, sizeof(x->states));
	/* not all of them say which there are: the one in use will do */
	if (lmm__read_text(x->fd[0], now, sizeof(now)) > 0 && state_find(x->states, now) < 0)
		(void)lmm__path(x->states, sizeof(x->states), "%s", now);
	if (!is_printable(x->states))
		x->states[0] = '\0';
	lmm__name(x, LMM_COMPONENT_CPU, "%s", name);
	(void)lmm__commit(s, x);
}

static void find_policy(struct lmm_sense *s, const char *policy, const char *name)
{
	char path[LMM_I_PATH_BYTES];
	struct sensor *x;
	int64_t khz;

	if (lmm__path(path, sizeof(path), "%s/scaling_cur_freq", policy))
		return;
	x = lmm__add(s, FAMILY_FREQUENCY, LMM_SENSOR_FREQUENCY, path, 1000);
	if (x) {
		lmm__name(x, LMM_COMPONENT_CPU, "%s", name);
		if (lmm__path(path, sizeof(path), "%s/cpuinfo_max_freq", policy) == 0 &&
		    lmm__number_of(s, path, &khz) == 0 && khz > 0 && khz <= x->max / 1000)
			x->item.limit = khz * 1000;
	}
	find_governor(s, policy, name);
}

static void add_throttle(struct lmm_sense *s, const char *cpu, const char *file,
			 enum lmm_sensor_kind kind, const char *name)
{
	char path[LMM_I_PATH_BYTES];
	struct sensor *x;

	if (lmm__path(path, sizeof(path), "%s/thermal_throttle/%s", cpu, file))
		return;
	x = lmm__add(s, FAMILY_THROTTLING, kind, path, kind == LMM_SENSOR_THROTTLE_TIME ? 1000 : 1);
	if (x)
		lmm__name(x, LMM_COMPONENT_CPU, "%s", name);
}

/* A core's first CPU, and a package's, speak for all. */
static void find_throttle(struct lmm_sense *s, const char *cpu, const char *name)
{
	char path[LMM_I_PATH_BYTES], siblings[LMM_I_NAME_BYTES], package[LMM_I_NAME_BYTES];
	int64_t number, first;

	if (lmm__parse_number(name + 3, &number) ||
	    lmm__path(path, sizeof(path), "%s/topology/thread_siblings_list", cpu))
		return;
	if (lmm__text_of(s, path, siblings, sizeof(siblings)) > 0) {
		siblings[strcspn(siblings, ",-")] = '\0';
		if (lmm__parse_number(siblings, &first) == 0 && first != number)
			return;
	}
	add_throttle(s, cpu, "core_throttle_count", LMM_SENSOR_THROTTLE_COUNT, name);
	if (lmm__path(path, sizeof(path), "%s/topology/package_cpus_list", cpu) ||
	    lmm__text_of(s, path, package, sizeof(package)) < 0)
		return;
	package[strcspn(package, ",-")] = '\0';
	if (lmm__parse_number(package, &first) || first != number)
		return;
	add_throttle(s, cpu, "package_throttle_count", LMM_SENSOR_THROTTLE_COUNT,
		     "package of this CPU");
	add_throttle(s, cpu, "package_throttle_total_time_ms", LMM_SENSOR_THROTTLE_TIME,
		     "package of this CPU");
}

void lmm__find_cpu(struct lmm_sense *s)
{
	int rc = lmm__each(s, "/sys/devices/system/cpu/cpufreq", "policy", POLICIES_MAX,
			   find_policy);

	if (rc) {
		lmm__missing(s, FAMILY_FREQUENCY, "/sys/devices/system/cpu/cpufreq", rc);
		lmm__missing(s, FAMILY_GOVERNOR, "/sys/devices/system/cpu/cpufreq", rc);
	}
	(void)lmm__each(s, "/sys/devices/system/cpu", "cpu", CORES_MAX, find_throttle);
}
