/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that falls asleep: while the file of $TEST_NAP is there, the first process that asks for CLOCK_BOOTTIME twice finds it
 * as many seconds ahead as the file says, once; the file goes then. Preloaded into lmmeter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static long ahead, asked;
	const char *path = getenv("TEST_NAP");
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);
	FILE *f;

	if (clock != CLOCK_BOOTTIME || !path)
		return rc;
	/* the begin of the first cell is asked for once, its end then */
	if (asked++ == 1) {
		f = fopen(path, "r");
		if (f) {
			if (fscanf(f, "%ld", &ahead) != 1)
				ahead = 0;
			fclose(f);
			remove(path);
		}
	}
	ts->tv_sec += ahead;
	return rc;
}
