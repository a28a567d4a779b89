/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "inject/permit.h"
#include "inject/target_internal.h"
#include "inject/thread.h"
#include "lmmeter/trace.h"

#define THREADS_MAX  4096u
#define PATIENCE_NS  3000000000u /* for a moment in which a thread may be called from */
#define CHOOSY_NS    300000000u	 /* so long only from the best ones */
#define REST_NS	     1300000
#define STOP_SECONDS 5

/* ---- which thread ------------------------------------------------------------------------------- */

static uint32_t threads_list(int32_t pid, int32_t *tids)
{
	char path[64];
	struct dirent *e;
	uint32_t n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && n < THREADS_MAX &&
	       (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		int32_t tid = (int32_t)strtol(e->d_name, NULL, 10);

		if (tid > 0)
			tids[n++] = tid;
	}
	if (d)
		(void)closedir(d);
	return n;
}

/* All threads that do this, one after the other. */
static int try_all(const struct lmm_target *t, const char *library, enum lmm_doing doing,
		   struct lmm_injection *out)
{
	static int32_t tids[THREADS_MAX];
	uint32_t n = threads_list(t->pid, tids);

	if (!n)
		return -ESRCH;
	for (uint32_t i = 0; i < n; i++) {
		int rc;

		if (lmm_thread_doing(t, tids[i], out->where, sizeof(out->where)) != doing)
			continue;
		rc = lmm_thread_call(t, tids[i], library, out);
		if (rc != -EAGAIN && rc != -ESRCH)
			return rc;
		out->threads_seen++;
	}
	return -EAGAIN;
}

static int find_moment(const struct lmm_target *t, const char *library, struct lmm_injection *out)
{
	uint64_t start_ns = lmm_mono_ns();
	struct timespec rest = { 0, REST_NS };

	for (;;) {
		uint64_t waited_ns = lmm_mono_ns() - start_ns;
		int rc = try_all(t, library, LMM_DOING_WAIT, out);

		if (rc == -EAGAIN)
			rc = try_all(t, library, LMM_DOING_RUN, out);
		if (rc == -EAGAIN && waited_ns > CHOOSY_NS)
			rc = try_all(t, library, LMM_DOING_TIMEOUT, out);
		if (rc != -EAGAIN || waited_ns > PATIENCE_NS)
			return rc;
		nanosleep(&rest, NULL);
	}
}

static void explain(int rc, struct lmm_injection *out)
{
	const char *why = lmm_strerror(rc);

	if (rc == -EAGAIN)
		why = "none of its threads was where a library may be loaded from, for 3 s: try again when it does something else";
	if (rc == -EINTR)
		why = "one of its threads waits where it cannot be stopped (for a disk?): try again later";
	if (rc == -EPERM || rc == -EACCES)
		why = lmm_refusal(lmm_yama_scope());
	if (rc == -ESRCH)
		why = "it has ended";
	(void)snprintf(out->why, sizeof(out->why), "%s", why);
}

/* ---- a process of its own ----------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

static int work(int32_t pid, const char *library, struct lmm_injection *out)
{
	/* again and again: the first may come between two waits */
	struct itimerval t = { { 0, 100000 }, { STOP_SECONDS, 0 } };
	struct sigaction a = { .sa_handler = on_alarm };
	struct lmm_target target;
	sigset_t alarms;
	int rc;

	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigaction(SIGALRM, &a, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	rc = lmm_target_open(pid, &target, out->why, sizeof(out->why));
	if (rc == 0) {
		setitimer(ITIMER_REAL, &t, NULL);
		rc = find_moment(&target, library, out);
		if (rc)
			explain(rc, out);
	}
	lmm_target_close(&target);
	return rc;
}

struct answer {
	int rc;
	struct lmm_injection injection;
};

/* What a tracer leaves attached is let go when it ends: so it is a process that ends at once, and not lmmeter, which goes on. */
static void tracer(int32_t pid, const char *library, int tell)
{
	struct answer a = { 0 };

	a.rc = work(pid, library, &a.injection);
	_exit(write(tell, &a, sizeof(a)) == sizeof(a) ? 0 : 1);
}

static int hear(int fd, struct answer *a)
{
	size_t n = 0;

	while (n < sizeof(*a)) {
		ssize_t k = read(fd, (char *)a + n, sizeof(*a) - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -EPIPE;
		n += (size_t)k;
	}
	return 0;
}

int lmm_inject(int32_t pid, const char *library, struct lmm_injection *out)
{
	struct answer a = { 0 };
	int tell[2], rc;
	pid_t child;

	memset(out, 0, sizeof(*out));
	rc = lmm_permit(pid, library, out->why, sizeof(out->why));
	if (rc)
		return rc;
	if (pipe2(tell, O_CLOEXEC)) {
		explain(-errno, out);
		return -errno;
	}
	child = fork();
	if (child == 0) {
		close(tell[0]);
		tracer(pid, library, tell[1]);
	}
	close(tell[1]);
	rc = child < 0 ? -errno : hear(tell[0], &a);
	close(tell[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	if (rc) {
		explain(rc, out);
		return rc;
	}
	*out = a.injection;
	return a.rc;
}
