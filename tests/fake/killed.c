/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into lmmeter: its $TEST_KILLED-th removal of a file or folder by unlinkat() or rmdir() kills it, before that goes. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void count(void)
{
	static long n;
	const char *last = getenv("TEST_KILLED");

	if (last && ++n == strtol(last, NULL, 10))
		kill(getpid(), SIGKILL);
}

int unlinkat(int folder, const char *name, int flags)
{
	count();
	return (int)syscall(SYS_unlinkat, folder, name, flags);
}

int rmdir(const char *path)
{
	count();
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
