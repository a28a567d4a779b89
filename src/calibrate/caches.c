/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of caches, from sysfs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibrate/calibrate_internal.h"

#define CPUS_MAX    4096
#define INDICES_MAX 10

static int read_word(const char *folder, unsigned cpu, unsigned index, const char *file,
		     char text[64])
{
	char path[256];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/cpu%u/cache/index%u/%s", folder, cpu, index, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, 63);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/* "32768K" */
static uint64_t size_of(const char *text)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (v > (1ull << 40))
		return 0;
	return *end == 'K' ? v << 10 : *end == 'M' ? v << 20 : v;
}

struct cache {
	unsigned level;
	uint64_t bytes;
	unsigned first_cpu; /* of those that share it */
};

static int cache_read(const char *folder, unsigned cpu, unsigned index, struct cache *c)
{
	char level[64], type[64], size[64], shared[64];

	if (read_word(folder, cpu, index, "level", level) ||
	    read_word(folder, cpu, index, "type", type) ||
	    read_word(folder, cpu, index, "size", size))
		return -1;
	c->level = (unsigned)strtoul(level, NULL, 10);
	c->bytes = strcmp(type, "Instruction") == 0 ? 0 : size_of(size);
	c->first_cpu = cpu;
	if (read_word(folder, cpu, index, "shared_cpu_list", shared) == 0)
		c->first_cpu = (unsigned)strtoul(shared, NULL, 10);
	return c->level >= 1 && c->level <= LEVELS_MAX ? 0 : -1;
}

void lmm__caches_read(const char *cpu_folder, struct caches *c)
{
	unsigned last = 0;
	struct cache x;

	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < INDICES_MAX; i++) {
		if (cache_read(cpu_folder, 0, i, &x) || x.bytes == 0)
			continue;
		c->bytes[x.level - 1] = x.bytes;
		last = x.level > last ? x.level : last;
	}
	for (unsigned cpu = 0; last && cpu < CPUS_MAX; cpu++) {
		unsigned found = 0;

		for (unsigned i = 0; i < INDICES_MAX; i++) {
			if (cache_read(cpu_folder, cpu, i, &x))
				continue;
			found++;
			if (x.level == last && x.first_cpu == cpu)
				c->last_bytes += x.bytes;
		}
		/* a CPU that is off has no caches; the first number without a folder is the end */
		if (!found) {
			char path[256];

			(void)snprintf(path, sizeof(path), "%s/cpu%u", cpu_folder, cpu);
			if (access(path, F_OK) != 0)
				break;
		}
	}
}
