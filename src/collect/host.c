/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

static void cpu_name(char *name, size_t bytes)
{
	static const char *const keys[] = { "model name", "Hardware", "Model", "CPU implementer" };
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");

	name[0] = 0;
	if (!f)
		return;
	while (!name[0] && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		for (size_t i = 0; colon && i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				snprintf(name, bytes, "%s", colon + 2);
		}
	}
	fclose(f);
	name[strcspn(name, "\n")] = 0;
}

void lmm_host_read(struct lmm_host *h)
{
	struct utsname u;
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE),
	     cpus = sysconf(_SC_NPROCESSORS_ONLN);

	memset(h, 0, sizeof(*h));
	if (uname(&u) == 0) {
		snprintf(h->os, sizeof(h->os), "%.48s %.48s %.48s", u.sysname, u.release,
			 u.machine);
	}
	cpu_name(h->cpu, sizeof(h->cpu));
	h->cpus = cpus > 0 ? (uint32_t)cpus : 0;
	h->memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

void lmm_host_random_hex(char *text, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t h = lmm_hash_u64(LMM_HASH_SEED, lmm_counter());
	unsigned char raw[32] = { 0 };
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, raw, sizeof(raw)) < 0)
			raw[0] = 0;
		close(fd);
	}
	for (size_t i = 0; i + 1 < bytes; i++) {
		h = lmm_hash_u64(h, raw[i % sizeof(raw)] + i);
		text[i] = digits[(h >> 17) & 15];
	}
	if (bytes)
		text[bytes - 1] = 0;
}
