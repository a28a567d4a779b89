/* SPDX-License-Identifier: Apache-2.0 */
/* A child of a study, with all its processes: started under a condition, ended when it takes too long. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/signals.h"
#include "cli/study_run.h"
#include "report/format.h"

#define TERM_WAIT_NS 3000000000u /* from asking to killing */
#define POLL_MS	     200
#define LOG_TAIL     4096

static int stream_set(int fd, const char *path, int append)
{
	int flags = O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC);
	int to = open(path ? path : "/dev/null", path ? flags : O_WRONLY, 0666);
	int rc = to < 0 || dup2(to, fd) < 0 ? -1 : 0;

	if (to > STDERR_FILENO)
		close(to);
	return rc;
}

static int streams_set(const struct lmm_study_child *c)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -1;
	if (null > STDERR_FILENO)
		close(null);
	return stream_set(STDOUT_FILENO, c->out_path, 0) ||
			       stream_set(STDERR_FILENO, c->log_path, 0)
		       ? -1
		       : 0;
}

static int affinity_set(const struct lmm_study_child *c)
{
	cpu_set_t set;

	if (!c->cpus)
		return 0;
	CPU_ZERO(&set);
	for (unsigned i = 0; i < c->n_cpus && i < CPU_SETSIZE; i++) {
		if (c->cpus[i])
			CPU_SET(i, &set);
	}
	return sched_setaffinity(0, sizeof(set), &set);
}

static int cgroup_enter(const struct lmm_study_child *c)
{
	int fd, rc;

	if (!c->cgroup)
		return 0;
	fd = open(c->cgroup, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = write(fd, "0", 1) == 1 ? 0 : -1;
	close(fd);
	return rc;
}

static int env_set(const struct lmm_study_child *c)
{
	for (char *const *e = c->env; e && *e; e++) {
		if (putenv(*e)) /* NOLINT(concurrency-mt-unsafe): a child of one thread */
			return -1;
	}
	return 0;
}

static void run_child(const struct lmm_study_child *c, int tell)
{
	int error;

	setpgid(0, 0);
	/* what goes on after a kill -9 would disturb the study that is gone on with */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (streams_set(c) == 0 && affinity_set(c) == 0 && cgroup_enter(c) == 0 &&
	    env_set(c) == 0) {
		(void)signal(SIGXFSZ, SIG_DFL);
		(void)signal(SIGPIPE, SIG_DFL);
		pthread_sigmask(SIG_SETMASK, &c->mask, NULL);
		execvp(c->argv[0], c->argv);
	}
	error = errno;
	if (write(tell, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static int start(const struct lmm_study_child *c, pid_t *pid)
{
	int tell[2], error = 0;
	ssize_t n;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	*pid = fork();
	if (*pid == 0)
		run_child(c, tell[1]);
	if (*pid < 0) {
		error = errno;
	} else {
		(void)setpgid(*pid, *pid);
	}
	close(tell[1]);
	do {
		n = *pid < 0 ? 0 : read(tell[0], &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	close(tell[0]);
	if (n == (ssize_t)sizeof(error))
		waitpid(*pid, NULL, 0);
	return error ? -error : 0;
}

/* What is due by now: the end of one that takes too long; it is asked once, then killed. */
static void limit_keep(struct lmm_study_child *c, pid_t pid, uint64_t begin_ns)
{
	uint64_t took = lmm_mono_ns() - begin_ns;

	if (!c->limit_ns || took < c->limit_ns)
		return;
	kill(-pid, c->timed_out && took > c->limit_ns + TERM_WAIT_NS ? SIGKILL : SIGTERM);
	c->timed_out = 1;
}

/* The child has a process group of its own, so a Ctrl-C reaches us alone and is passed on; the second one kills. */
static void signal_pass(struct lmm_study_child *c, pid_t pid, int sig)
{
	if (sig <= 0 || sig == SIGCHLD)
		return;
	kill(-pid, c->signal ? SIGKILL : sig);
	c->signal = sig;
}

int lmm_study_child_run(struct lmm_study_child *c)
{
	uint64_t begin = lmm_mono_ns();
	struct rusage usage = { 0 };
	pid_t pid = -1, got;
	int rc = start(c, &pid);

	c->status = -1;
	c->signal = 0;
	c->timed_out = 0;
	if (rc)
		return rc;
	while ((got = wait4(pid, &c->status, WNOHANG, &usage)) == 0 ||
	       (got < 0 && errno == EINTR)) {
		uint64_t left = c->limit_ns ? c->limit_ns - (lmm_mono_ns() - begin) : UINT64_MAX;
		int ms = left / 1000000 < POLL_MS ? (int)(left / 1000000) + 1 : POLL_MS;

		signal_pass(c, pid, lmm_signals_wait(ms));
		limit_keep(c, pid, begin);
	}
	/* whatever it left behind would disturb the next one */
	kill(-pid, SIGKILL);
	c->wall_ns = lmm_mono_ns() - begin;
	c->max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
	return 0;
}

void lmm_study_child_why(const struct lmm_study_child *c, char *out, size_t bytes)
{
	out[0] = '\0';
	if (c->timed_out) {
		(void)snprintf(out, bytes, "it took longer than its budget of %s",
			       lmm_human_ns((double)c->limit_ns).s);
	} else if (c->status != -1 && WIFSIGNALED(c->status)) {
		(void)snprintf(out, bytes, "it died of signal %d%s", WTERMSIG(c->status),
			       WTERMSIG(c->status) == SIGKILL ? " (it may have run out of memory)"
							      : "");
	} else if (c->status == -1 || WEXITSTATUS(c->status) != 0) {
		(void)snprintf(out, bytes, "it ended with status %d",
			       c->status == -1 ? -1 : WEXITSTATUS(c->status));
	}
}

/* ---- what it said ------------------------------------------------------------------------------- */

void lmm_study_log_tail(const char *path, char *out, size_t bytes)
{
	char text[LOG_TAIL + 1], *line, *end;
	FILE *f = fopen(path, "re");
	size_t n, had = strlen(out);

	if (!f)
		return;
	(void)fseek(f, -LOG_TAIL, SEEK_END);
	n = fread(text, 1, LOG_TAIL, f);
	(void)fclose(f);
	text[n] = '\0';
	for (end = text + n; end > text && strchr(" \r\n\t", end[-1]);)
		*--end = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (*line && had + 8 < bytes) {
		char shown[4 * 160 + 1];

		lmm_text_fit(shown, sizeof(shown), line, 160);
		(void)snprintf(out + had, bytes - had, "%s%s", had ? ": " : "", shown);
	}
}
