/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/doctor.h"

#define CPU_SECONDS 20

static void child(void (*fn)(void *arg), void *arg, int to)
{
	struct rlimit no_core = { 0, 0 }, cpu = { CPU_SECONDS, CPU_SECONDS };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* a group of its own, so that whatever it starts dies with it */
	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	setrlimit(RLIMIT_CPU, &cpu);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    dup2(to, STDOUT_FILENO) < 0)
		_exit(126);
	fn(arg);
	_exit(0);
}

/* Reads until the end, a full buffer or the time is up. 0 or -ETIMEDOUT. */
static int collect(int from, uint64_t until_ns, char *out, size_t bytes)
{
	char rest[4096];
	size_t n = 0;

	for (;;) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		uint64_t now = lmm_mono_ns();
		size_t room = bytes - 1 - n;
		ssize_t k;

		out[n] = '\0';
		if (now >= until_ns)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((until_ns - now) / 1000000u) + 1) <= 0)
			continue;
		k = read(from, room ? out + n : rest, room ? room : sizeof(rest));
		if (k == 0 || (k < 0 && errno != EINTR))
			return 0;
		if (room && k > 0)
			n += (size_t)k;
	}
}

/* It has closed its output, or it is to be killed: how it ended. */
static int reap(pid_t pid, int rc, uint64_t until_ns)
{
	const struct timespec pause = { 0, 2000000 };
	int status;

	while (rc == 0 && waitpid(pid, &status, WNOHANG) == 0) {
		if (lmm_mono_ns() >= until_ns)
			rc = -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	if (rc == 0)
		return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return rc;
}

int lmm_doctor_child(void (*fn)(void *arg), void *arg, int timeout_ms, char *out, size_t bytes)
{
	uint64_t until_ns = lmm_mono_ns() + (uint64_t)timeout_ms * 1000000u;
	int tell[2], rc;
	pid_t pid;

	out[0] = '\0';
	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		child(fn, arg, tell[1]);
	close(tell[1]);
	rc = pid < 0 ? -errno : collect(tell[0], until_ns, out, bytes);
	close(tell[0]);
	return pid < 0 ? rc : reap(pid, rc, until_ns);
}
