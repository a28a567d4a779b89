/* SPDX-License-Identifier: Apache-2.0 */
/* Two things that would spoil a study: another one beside it, and a machine that was asleep. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/study_run.h"

/*
 * A name in the abstract space of sockets: it is the whole machine's, no file is left behind by a kill, and the kernel says who
 * holds it. LMMETER_STUDY_LOCK is for tests, which run side by side.
 */
static socklen_t name_make(struct sockaddr_un *a)
{
	const char *own = getenv("LMMETER_STUDY_LOCK"); /* NOLINT(concurrency-mt-unsafe) */
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "lmmeter-study%s%.60s",
		     own && own[0] ? "-" : "", own ? own : "");
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static pid_t holder_of(const struct sockaddr_un *a, socklen_t n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred who = { 0 };
	socklen_t size = sizeof(who);

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)a, n) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size))
		who.pid = 0;
	close(fd);
	return who.pid;
}

int lmm_study_lock(pid_t *pid)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;
	struct sockaddr_un a;
	socklen_t n = name_make(&a);

	*pid = 0;
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&a, n) == 0 && listen(fd, 8) == 0)
		return fd;
	rc = errno == EADDRINUSE ? -EBUSY : -errno;
	close(fd);
	if (rc == -EBUSY)
		*pid = holder_of(&a, n);
	return rc;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void lmm_study_nap_begin(struct lmm_study_nap *n)
{
	n->mono_ns = clock_ns(CLOCK_MONOTONIC);
	n->boot_ns = clock_ns(CLOCK_BOOTTIME);
}

uint64_t lmm_study_nap_ns(const struct lmm_study_nap *n)
{
	uint64_t mono = clock_ns(CLOCK_MONOTONIC) - n->mono_ns;
	uint64_t boot = clock_ns(CLOCK_BOOTTIME) - n->boot_ns;

	return boot > mono ? boot - mono : 0;
}
