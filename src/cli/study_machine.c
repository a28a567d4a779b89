/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions that are the machine's: governors, frequency caps, CPU quota, load beside the engine, and its heat. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/study_run.h"
#include "sense/sense.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define QUOTA_PERIOD_US 100000u
#define V2_QUOTA	"cpu.max"
#define V1_QUOTA	"cpu.cfs_quota_us"

/* Where version 1 has its cpu controller: systems of before 2020, Android. */
static const char *const v1_roots[] = { CGROUP_ROOT "/cpu", CGROUP_ROOT "/cpu,cpuacct",
					"/dev/cpuctl" };

/* ---- small files --------------------------------------------------------------------------------- */

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	rc = n == (ssize_t)strlen(text) ? 0 : n < 0 ? -errno : -EIO;
	close(fd);
	return rc;
}

static int file_word(const char *path, char *out, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	out[0] = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, out, bytes - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

/* ---- frequency caps ------------------------------------------------------------------------------ */

static void cap_path(unsigned cpu, char *out, size_t bytes)
{
	(void)snprintf(out, bytes, LMM_GOVERNORS_ROOT "/cpu%u/cpufreq/scaling_max_freq", cpu);
}

static int caps_set(const struct lmm_study_machine *m, const char *khz)
{
	int rc = 0;

	for (unsigned cpu = 0; cpu < LMM_GOVERNOR_CPUS_MAX && rc == 0; cpu++) {
		char path[160];

		if (!m->former_max[cpu][0])
			continue;
		cap_path(cpu, path, sizeof(path));
		rc = file_write(path, khz ? khz : m->former_max[cpu]);
	}
	return rc;
}

static void caps_remember(struct lmm_study_machine *m)
{
	for (unsigned cpu = 0; cpu < LMM_GOVERNOR_CPUS_MAX; cpu++) {
		char path[160];

		cap_path(cpu, path, sizeof(path));
		if (file_word(path, m->former_max[cpu], sizeof(m->former_max[cpu])) == 0)
			m->has_caps = 1;
	}
}

/* ---- CPU quota ------------------------------------------------------------------------------------ */

/* 0: made below the group `path` of a hierarchy, and it has that control. */
static int group_make(const char *root, const char *path, const char *control, char *out,
		      size_t bytes)
{
	char file[320];
	int n = snprintf(out, bytes, "%s%s/lmmeter-study-%d", root,
			 strcmp(path, "/") == 0 ? "" : path, (int)getpid());

	if (n <= 0 || (size_t)n >= bytes)
		return -ENAMETOOLONG;
	if (mkdir(out, 0755) && errno != EEXIST)
		return -errno;
	(void)snprintf(file, sizeof(file), "%s/%s", out, control);
	if (access(file, W_OK) == 0)
		return 0;
	(void)rmdir(out);
	return -ENOENT;
}

/* Version 2 gives the control to groups only whose parent has no processes, or is the root. */
static int group_below(const char *root, const char *path, const char *control, char *out,
		       size_t bytes)
{
	int rc = group_make(root, path, control, out, bytes);

	return rc && strcmp(path, "/") != 0 ? group_make(root, "/", control, out, bytes) : rc;
}

/* "4:cpu,cpuacct": among the controllers of a hierarchy of version 1. */
static int has_cpu(const char *controllers)
{
	for (const char *p = controllers; *p; p += *p == ',') {
		size_t n = strcspn(p, ",");

		if (n == 3 && memcmp(p, "cpu", 3) == 0)
			return 1;
		p += n;
	}
	return 0;
}

/* A group of our own of either version: below the one we are in, or below the root. */
static int cgroup_make(char *out, size_t bytes)
{
	char line[512];
	FILE *f = fopen("/proc/self/cgroup", "re");
	int rc = -ENOENT;

	if (!f)
		return -errno;
	while (rc && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (strcmp(controllers, ":") == 0)
			rc = group_below(CGROUP_ROOT, path, V2_QUOTA, out, bytes);
		for (size_t i = 0; rc && has_cpu(controllers + 1) && i < LMM_ARRAY_SIZE(v1_roots);
		     i++)
			rc = group_below(v1_roots[i], path, V1_QUOTA, out, bytes);
	}
	(void)fclose(f);
	return rc;
}

static int control_write(const char *cgroup, const char *control, const char *text)
{
	char path[320];

	(void)snprintf(path, sizeof(path), "%s/%s", cgroup, control);
	return file_write(path, text);
}

static int quota_set(const char *cgroup, const char *percent)
{
	unsigned long us = strtoul(percent, NULL, 10) * (QUOTA_PERIOD_US / 100);
	char text[64];
	int is_max = strcmp(percent, "max") == 0, rc;

	if (is_max) {
		(void)snprintf(text, sizeof(text), "max %u", QUOTA_PERIOD_US);
	} else {
		(void)snprintf(text, sizeof(text), "%lu %u", us, QUOTA_PERIOD_US);
	}
	rc = control_write(cgroup, V2_QUOTA, text);
	if (rc != -ENOENT)
		return rc;
	(void)snprintf(text, sizeof(text), "%u", QUOTA_PERIOD_US);
	rc = control_write(cgroup, "cpu.cfs_period_us", text);
	if (is_max) {
		(void)snprintf(text, sizeof(text), "-1");
	} else {
		(void)snprintf(text, sizeof(text), "%lu", us);
	}
	return rc ? rc : control_write(cgroup, V1_QUOTA, text);
}

static int quota_check(char *why, size_t bytes)
{
	char group[256];
	int rc = cgroup_make(group, sizeof(group));

	if (rc == 0) {
		rc = quota_set(group, "max");
		(void)rmdir(group);
	}
	if (rc) {
		(void)snprintf(
			why, bytes,
			"this process may not set a CPU quota (%s): control groups with the cpu controller, as root",
			lmm_strerror(rc));
	}
	return rc ? -1 : 0;
}

/* ---- checks ---------------------------------------------------------------------------------------- */

static int affinity_check(const struct lmm_factor *f, char *why, size_t bytes)
{
	cpu_set_t ours;
	uint8_t set[1024];

	if (sched_getaffinity(0, sizeof(ours), &ours))
		return 0;
	for (uint32_t i = 0; i < f->n; i++) {
		if (lmm_plan_cpus(f->levels[i], set, sizeof(set)) < 0)
			continue;
		for (unsigned c = 0; c < sizeof(set); c++) {
			if (set[c] && (c >= CPU_SETSIZE || !CPU_ISSET(c, &ours))) {
				(void)snprintf(why, bytes,
					       "there is no CPU %u here that we may use", c);
				return -1;
			}
		}
	}
	return 0;
}

static int governors_check(char *why, size_t bytes)
{
	static struct lmm_governors g;
	int rc = lmm_governors_open(&g, LMM_GOVERNORS_ROOT);

	if (rc == 0)
		return 0;
	(void)snprintf(
		why, bytes,
		rc == -ENOENT
			? "this machine shows no cpufreq; cpu_quota_percent and load slow an engine down, but are not the same"
			: "frequencies may only be set by root");
	return -1;
}

int lmm_study_machine_check(const struct lmm_plan *p, uint32_t factor, char *why, size_t bytes)
{
	const struct lmm_factor *f = &p->factors[factor];

	switch (f->kind) {
	case LMM_FACTOR_AFFINITY:
		return affinity_check(f, why, bytes);
	case LMM_FACTOR_GOVERNOR:
	case LMM_FACTOR_FREQUENCY:
		return governors_check(why, bytes);
	case LMM_FACTOR_QUOTA:
		return quota_check(why, bytes);
	default:
		return 0;
	}
}

/* ---- load beside the engine ------------------------------------------------------------------------- */

static void load_run(pid_t parent)
{
	volatile uint64_t x = 1;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t i = 0; getppid() == parent; i++) {
		for (unsigned k = 0; k < 1u << 24; k++)
			x = x * 6364136223846793005u + 1442695040888963407u;
	}
	_exit(0);
}

static int load_start(struct lmm_study_machine *m, unsigned n)
{
	pid_t parent = getpid();

	while (m->n_loads < n && m->n_loads < LMM_STUDY_LOADS_MAX) {
		pid_t pid = fork();

		if (pid == 0)
			load_run(parent);
		if (pid < 0)
			return -errno;
		m->loads[m->n_loads++] = pid;
	}
	return 0;
}

void lmm_study_machine_ease(struct lmm_study_machine *m)
{
	for (unsigned i = 0; i < m->n_loads; i++)
		kill(m->loads[i], SIGKILL);
	while (m->n_loads > 0)
		waitpid(m->loads[--m->n_loads], NULL, 0);
}

/* ---- heat ------------------------------------------------------------------------------------------ */

double lmm_study_machine_celsius(struct lmm_study_machine *m)
{
	struct lmm_samples samples;
	double highest = NAN;

	if (!m->sense)
		return NAN;
	/* heat is read anew in every tenth round */
	for (unsigned i = 0; i < 10; i++)
		lmm_sense_read(m->sense, lmm_mono_ns(), &samples);
	for (uint32_t i = 0; i < samples.n; i++) {
		const struct lmm_sensor *s = lmm_sense_sensor(m->sense, samples.samples[i].sensor);

		if (s && s->kind == LMM_SENSOR_TEMPERATURE)
			highest = fmax(highest, (double)samples.samples[i].value / 1e3);
	}
	return highest;
}

/* ---- the whole ------------------------------------------------------------------------------------- */

void lmm_study_machine_open(struct lmm_study_machine *m, const struct lmm_plan *p)
{
	memset(m, 0, sizeof(*m));
	if (lmm_plan_factor_of(p, LMM_FACTOR_GOVERNOR) >= 0)
		m->has_governors = lmm_governors_open(&m->governors, LMM_GOVERNORS_ROOT) == 0;
	if (lmm_plan_factor_of(p, LMM_FACTOR_FREQUENCY) >= 0)
		caps_remember(m);
	if (lmm_plan_factor_of(p, LMM_FACTOR_QUOTA) >= 0 &&
	    cgroup_make(m->cgroup, sizeof(m->cgroup)))
		m->cgroup[0] = '\0';
	if (p->cools_by_heat) {
		const struct lmm_sense_opts opts = { 0 };

		m->sense = lmm_sense_create(&opts);
	}
	m->rest_celsius = lmm_study_machine_celsius(m);
}

void lmm_study_machine_close(struct lmm_study_machine *m)
{
	lmm_study_machine_ease(m);
	if (m->has_governors)
		(void)lmm_governors_restore(&m->governors);
	if (m->has_caps)
		(void)caps_set(m, NULL);
	if (m->cgroup[0])
		(void)rmdir(m->cgroup);
	lmm_sense_destroy(m->sense);
	m->sense = NULL;
}

static int factor_set(struct lmm_study_machine *m, const struct lmm_factor *f, const char *level,
		      char *procs, size_t procs_bytes)
{
	switch (f->kind) {
	case LMM_FACTOR_AFFINITY:
		if (lmm_plan_cpus(level, m->cpus, sizeof(m->cpus)) < 0)
			return -EINVAL;
		m->child->cpus = m->cpus;
		m->child->n_cpus = sizeof(m->cpus);
		return 0;
	case LMM_FACTOR_GOVERNOR:
		return m->has_governors ? lmm_governors_set(&m->governors, level) : -ENOENT;
	case LMM_FACTOR_FREQUENCY:
		return m->has_caps ? caps_set(m, level) : -ENOENT;
	case LMM_FACTOR_QUOTA:
		if (!m->cgroup[0])
			return -ENOENT;
		(void)snprintf(procs, procs_bytes, "%s/cgroup.procs", m->cgroup);
		m->child->cgroup = procs;
		return quota_set(m->cgroup, level);
	case LMM_FACTOR_LOAD:
		return load_start(m, (unsigned)strtoul(level, NULL, 10));
	default:
		return 0;
	}
}

int lmm_study_machine_set(struct lmm_study_machine *m, const struct lmm_plan *p, uint32_t condition,
			  char *why, size_t bytes)
{
	static char procs[320];

	for (uint32_t i = 0; i < p->n_factors; i++) {
		const struct lmm_factor *f = &p->factors[i];
		const char *level = f->levels[lmm_plan_level(p, condition, i)];
		int rc = factor_set(m, f, level, procs, sizeof(procs));

		if (rc) {
			(void)snprintf(why, bytes, "%s=%.60s could not be set: %s", f->name, level,
				       lmm_strerror(rc));
			return -1;
		}
	}
	return 0;
}
