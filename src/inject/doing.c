/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread does, by /proc: threads that wait are asked first, as nobody misses their time. */
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/compiler.h"
#include "inject/thread.h"

static const struct {
	long number;
	const char *name;
	enum lmm_doing doing;
} waits[] = {
	{ SYS_read, "read", LMM_DOING_WAIT },
	{ SYS_recvfrom, "recvfrom", LMM_DOING_WAIT },
	{ SYS_recvmsg, "recvmsg", LMM_DOING_WAIT },
	{ SYS_accept, "accept", LMM_DOING_WAIT },
	{ SYS_accept4, "accept4", LMM_DOING_WAIT },
	{ SYS_wait4, "wait4", LMM_DOING_WAIT },
	{ SYS_waitid, "waitid", LMM_DOING_WAIT },
	{ SYS_pause, "pause", LMM_DOING_WAIT },
	{ SYS_futex, "futex", LMM_DOING_WAIT },
	/* the time that is left is written back */
	{ SYS_select, "select", LMM_DOING_WAIT },
	{ SYS_pselect6, "pselect6", LMM_DOING_WAIT },
	{ SYS_ppoll, "ppoll", LMM_DOING_WAIT },
	{ SYS_poll, "poll", LMM_DOING_TIMEOUT },
	{ SYS_nanosleep, "nanosleep", LMM_DOING_TIMEOUT },
	{ SYS_clock_nanosleep, "clock_nanosleep", LMM_DOING_TIMEOUT },
	{ SYS_epoll_wait, "epoll_wait", LMM_DOING_TIMEOUT },
	{ SYS_epoll_pwait, "epoll_pwait", LMM_DOING_TIMEOUT },
	{ SYS_epoll_pwait2, "epoll_pwait2", LMM_DOING_TIMEOUT },
};

/*
 * A thread that waits for a lock of the C library may hold another one. glibc's locks wait with FUTEX_WAIT; its conditions,
 * semaphores and joins with FUTEX_WAIT_BITSET. Others' own waits lie in code of their own.
 */
static int is_lock(const struct lmm_target *t, uint64_t operation, uint64_t pc)
{
	const struct lmm_region *r = lmm_target_region(t, pc);

	if ((operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET)
		return 0;
	return (operation & FUTEX_CMD_MASK) != FUTEX_WAIT || !r || r->object < 0 ||
	       (t->objects[r->object].roles & LMM_OBJECT_RUNTIME);
}

/* "number, six arguments, stack pointer, program counter" */
static enum lmm_doing waiting(const struct lmm_target *t, const char *line, char *where,
			      size_t bytes)
{
	uint64_t a[8];
	char *p;
	long number = strtol(line, &p, 10);

	for (unsigned i = 0; i < LMM_ARRAY_SIZE(a); i++) {
		if (*p != ' ')
			return LMM_DOING_OTHER;
		a[i] = strtoull(p, &p, 16);
	}
	for (size_t i = 0; i < LMM_ARRAY_SIZE(waits); i++) {
		if (waits[i].number != number)
			continue;
		if (number == SYS_futex && is_lock(t, a[1], a[7]))
			return LMM_DOING_OTHER;
		(void)snprintf(where, bytes, "waiting in %s()", waits[i].name);
		if (number == SYS_poll && (int)a[2] < 0)
			return LMM_DOING_WAIT;
		return waits[i].doing;
	}
	return LMM_DOING_OTHER;
}

enum lmm_doing lmm_thread_doing(const struct lmm_target *t, int32_t tid, char *where, size_t bytes)
{
	char path[80], line[256] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)t->pid, (int)tid);
	f = fopen(path, "re");
	if (!f)
		return LMM_DOING_OTHER;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	(void)fclose(f);
	if (strncmp(line, "running", 7) == 0)
		return LMM_DOING_RUN;
	return waiting(t, line, where, bytes);
}
