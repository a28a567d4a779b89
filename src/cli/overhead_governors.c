/* SPDX-License-Identifier: Apache-2.0 */
/* CPU frequency governors, as Linux's cpufreq shows them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/overhead.h"

static int open_governor(const struct lmm_governors *g, unsigned cpu, int flags)
{
	char path[1100];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/cpu%u/cpufreq/scaling_governor", g->root, cpu);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_governor(const struct lmm_governors *g, unsigned cpu, char *name, size_t bytes)
{
	int fd = open_governor(g, cpu, O_RDONLY);
	ssize_t n;

	name[0] = '\0';
	if (fd < 0)
		return fd;
	n = read(fd, name, bytes - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return 0;
}

static int write_governor(const struct lmm_governors *g, unsigned cpu, const char *name)
{
	int fd = open_governor(g, cpu, O_WRONLY | O_TRUNC);
	ssize_t n;
	int rc;

	if (fd < 0)
		return fd;
	n = write(fd, name, strlen(name));
	rc = n == (ssize_t)strlen(name) ? 0 : (n < 0 ? -errno : -EIO);
	close(fd);
	return rc;
}

int lmm_governors_open(struct lmm_governors *g, const char *root)
{
	int fd;

	memset(g, 0, sizeof(*g));
	if (strlen(root) >= sizeof(g->root))
		return -ENOENT;
	memcpy(g->root, root, strlen(root) + 1);
	for (unsigned cpu = 0; cpu < LMM_GOVERNOR_CPUS_MAX; cpu++) {
		if (read_governor(g, cpu, g->former[cpu], sizeof(g->former[cpu])) == 0)
			g->n = cpu + 1;
	}
	if (!g->former[0][0])
		return -ENOENT;
	fd = open_governor(g, 0, O_WRONLY);
	if (fd < 0)
		return fd == -ENOENT ? -ENOENT : -EACCES;
	close(fd);
	return 0;
}

int lmm_governors_set(const struct lmm_governors *g, const char *name)
{
	for (unsigned cpu = 0; cpu < g->n; cpu++) {
		int rc = g->former[cpu][0] ? write_governor(g, cpu, name) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

int lmm_governors_restore(const struct lmm_governors *g)
{
	int first = 0;

	for (unsigned cpu = 0; cpu < g->n; cpu++) {
		int rc = g->former[cpu][0] ? write_governor(g, cpu, g->former[cpu]) : 0;

		if (rc && !first)
			first = rc;
	}
	return first;
}
