/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* State letter and start (clock ticks since boot) of a process. 0, -ENOENT if there is none, or another negative errno. */
static int process_stat(int32_t pid, char *state, uint64_t *started)
{
	char path[64], text[1024];
	const char *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -ENOENT;
	text[n] = 0;
	/* the name before it may hold anything */
	p = strrchr(text, ')');
	if (!p || !p[1])
		return -EINVAL;
	*state = p[2];
	*started = 0;
	/* state is field 3, the start field 22 */
	for (unsigned field = 2; *p && field < 22; p++)
		field += *p == ' ';
	*started = strtoull(p, NULL, 10);
	return 0;
}

uint64_t lmm_process_started(int32_t pid)
{
	uint64_t started = 0;
	char state = 0;

	return process_stat(pid, &state, &started) ? 0 : started;
}

uint64_t lmm_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
}

/* Whether a thread of it is there that is no zombie. */
static int has_threads(int32_t pid)
{
	char path[64];
	struct dirent *e;
	int found = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		uint64_t started;
		char state = 'X';

		if (e->d_name[0] == '.' ||
		    process_stat((int32_t)strtol(e->d_name, NULL, 10), &state, &started))
			continue;
		found = state != 'Z' && state != 'X';
	}
	if (d)
		closedir(d);
	return found;
}

int lmm_process_is_alive(int32_t pid)
{
	uint64_t started = 0;
	char state = 0;
	int rc;

	if (pid <= 0 || (kill(pid, 0) && errno == ESRCH))
		return 0;
	rc = process_stat(pid, &state, &started);
	if (rc)
		return rc != -ENOENT;
	/* the first thread may have ended, or been killed first, while others go on */
	return (state != 'Z' && state != 'X') || has_threads(pid);
}

/* ---- other name spaces -------------------------------------------------------------------------- */

static uint64_t namespace_of(int32_t pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return stat(path, &st) ? 0 : (uint64_t)st.st_ino;
}

/* The innermost number of a process that is seen from here as pid; 0: not known. */
static int32_t inner_pid(int32_t pid)
{
	char path[64], *line = NULL;
	size_t bytes = 0;
	int32_t inner = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && getline(&line, &bytes, f) > 0) {
		char *last = strncmp(line, "NSpid:", 6) == 0 ? strrchr(line, '\t') : NULL;

		if (last)
			inner = (int32_t)strtol(last, NULL, 10);
	}
	free(line);
	if (f)
		(void)fclose(f);
	return inner;
}

int32_t lmm_process_seen_from_here(int32_t pid, uint64_t pid_namespace)
{
	int32_t found = 0;
	struct dirent *e;
	DIR *d;

	if (!pid_namespace || pid_namespace == lmm_pid_namespace())
		return pid;
	d = opendir("/proc");
	while (d && !found && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		int32_t here = (int32_t)strtol(e->d_name, NULL, 10);

		if (here > 0 && namespace_of(here) == pid_namespace && inner_pid(here) == pid)
			found = here;
	}
	if (d)
		closedir(d);
	return found;
}
