/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the command, with or without lmmeter, and what it leaves. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/launch.h"
#include "cli/overhead.h"
#include "cli/signals.h"
#include "reference/reference.h"
#include "wire/session.h"

#define RULER_NAME "liblmmeter-reference.so"
#define PATH_BYTES 4096

#define EXIT_LMMETER_FAILED 125

/* ---- where things are --------------------------------------------------------------------------- */

static int path_join(char *out, size_t bytes, const char *dir, const char *name)
{
	int n = snprintf(out, bytes, "%s/%s", dir, name);

	return n > 0 && (size_t)n < bytes ? 0 : -ENAMETOOLONG;
}

/* Beside liblmmeter.so where that is installed; in a room of its own in a build tree. */
static int find_ruler(char *out, size_t bytes)
{
	static const char *const places[] = { RULER_NAME, "../reference/" RULER_NAME };
	struct lmm_libs libs;
	char *slash;

	if (lmm_libs_find(&libs))
		return -ENOENT;
	slash = strrchr(libs.probe, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	for (size_t i = 0; i < LMM_ARRAY_SIZE(places); i++) {
		char path[PATH_BYTES];
		char *real;

		if (path_join(path, sizeof(path), libs.probe, places[i]))
			continue;
		real = realpath(path, NULL);
		if (real && strlen(real) < bytes) {
			memcpy(out, real, strlen(real) + 1);
			free(real);
			return 0;
		}
		free(real);
	}
	return -ENOENT;
}

static int find_self(char *out, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", out, bytes - 1);

	if (n <= 0)
		return -ENOENT;
	out[n] = '\0';
	return 0;
}

/* ld.so cuts LD_PRELOAD at blanks and colons: such a path gets a link in our folder. */
static void make_preloadable(struct lmm_overhead_bench *b)
{
	char link[PATH_BYTES];

	if (strpbrk(b->ruler, " :\t\n") &&
	    path_join(link, sizeof(link), b->folder, RULER_NAME) == 0 && !strpbrk(link, " :\t\n") &&
	    symlink(b->ruler, link) == 0)
		memcpy(b->ruler, link, strlen(link) + 1);
}

/* ---- the folder --------------------------------------------------------------------------------- */

static int is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Takes away the files whose names begin with prefix; their number. */
static unsigned clear_folder(const char *folder, const char *prefix, int only_count)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;
	unsigned n = 0;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	while (dir && (e = readdir(dir))) {
		if (is_dot(e->d_name) || strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		n++;
		if (!only_count)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
	return n;
}

static int open_keep(struct lmm_overhead_bench *b, const char *dir)
{
	char real[PATH_BYTES];

	if ((mkdir(dir, 0777) && errno != EEXIST) || !realpath(dir, real)) {
		lmm_error("cannot make the folder %s: %s", dir, lmm_strerror(-errno));
		return -1;
	}
	if (clear_folder(real, "", 1) > 0) {
		lmm_error("%s is not empty; give --keep another folder", dir);
		return -1;
	}
	memcpy(b->folder, real, strlen(real) + 1);
	b->keep = 1;
	return 0;
}

static int open_folder(struct lmm_overhead_bench *b, const char *keep_dir)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *tmp = getenv("TMPDIR");

	if (keep_dir)
		return open_keep(b, keep_dir);
	if (!path_join(b->folder, sizeof(b->folder), tmp && tmp[0] == '/' ? tmp : "/tmp",
		       "lmmeter-runs.XXXXXX") &&
	    mkdtemp(b->folder))
		return 0;
	lmm_error("cannot make a temporary folder: %s; set TMPDIR", lmm_strerror(-errno));
	b->folder[0] = '\0';
	return -1;
}

/* ---- open and close ------------------------------------------------------------------------------ */

int lmm_overhead_open(struct lmm_overhead_bench *b, const char *keep_dir)
{
	if (find_self(b->self, sizeof(b->self))) {
		lmm_error("/proc/self/exe cannot be read");
		return -1;
	}
	if (find_ruler(b->ruler, sizeof(b->ruler))) {
		lmm_error(RULER_NAME " was not found beside liblmmeter.so; set LMMETER_LIB_DIR to "
				     "their folder");
		return -1;
	}
	if (open_folder(b, keep_dir))
		return -1;
	make_preloadable(b);
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, it would take the exit status with it */
	lmm_signals_block(&b->mask);
	return 0;
}

void lmm_overhead_close(struct lmm_overhead_bench *b)
{
	if (!b->folder[0])
		return;
	if (!b->keep) {
		clear_folder(b->folder, "", 0);
		(void)rmdir(b->folder);
	}
	pthread_sigmask(SIG_SETMASK, &b->mask, NULL);
}

/* The command has a process group of its own, so a Ctrl-C reaches us alone and is passed on; the second one kills. */
static void on_signal(struct lmm_overhead_bench *b, pid_t child, int sig)
{
	kill(-child, b->signal ? SIGKILL : sig);
	b->signal = sig;
}

/* What is there of it; 0 at its end. */
static int hear(const struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm, int fd)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		arm->hear(arm->arg, bytes, (size_t)n);
		if (b->show && write(STDERR_FILENO, bytes, (size_t)n) < 0)
			return 0;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Until there is something to hear or a signal; its number, or 0. */
static int wait_for_signal(const struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm,
			   int signals, int *ear)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = *ear, .events = POLLIN } };
	struct signalfd_siginfo info;

	if (poll(fds, LMM_ARRAY_SIZE(fds), -1) < 0)
		return 0;
	if (fds[1].revents && !hear(b, arm, *ear)) {
		close(*ear);
		*ear = -1;
	}
	if (!fds[0].revents || read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

/* ear: the read end of its standard error, closed here; -1. The status, or -1. */
static int wait_for(struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm, pid_t child,
		    int ear)
{
	int status = -1, signals;
	sigset_t set;
	pid_t got;

	lmm_signals_set(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	while ((got = waitpid(child, &status, signals < 0 ? 0 : WNOHANG)) == 0) {
		int sig = wait_for_signal(b, arm, signals, &ear);

		if (sig > 0 && sig != SIGCHLD)
			on_signal(b, child, sig);
	}
	/* a child of its own may hold the other end for long: what is said by now is all */
	if (ear >= 0) {
		hear(b, arm, ear);
		close(ear);
	}
	if (signals >= 0)
		close(signals);
	return got == child ? status : -1;
}

/* One that came while no command ran. */
static int signal_pending(struct lmm_overhead_bench *b)
{
	struct timespec now = { 0, 0 };
	sigset_t set;
	int sig;

	lmm_signals_set(&set);
	while ((sig = sigtimedwait(&set, NULL, &now)) > 0) {
		if (sig != SIGCHLD)
			b->signal = sig;
	}
	return b->signal != 0;
}

/* ---- a process ---------------------------------------------------------------------------------- */

static int set_environment(const struct lmm_overhead_bench *b, const char *name, const char *repeat)
{
	const char *user = getenv("LD_PRELOAD"); /* NOLINT(concurrency-mt-unsafe) */
	size_t bytes = strlen(b->ruler) + (user ? strlen(user) : 0) + 2;
	char *preload = malloc(bytes), file[PATH_BYTES];
	int rc;

	if (!preload || path_join(file, sizeof(file), b->folder, name))
		return -1;
	(void)snprintf(preload, bytes, "%s%s%s", user && user[0] ? user : "",
		       user && user[0] ? ":" : "", b->ruler);
	/* NOLINTBEGIN(concurrency-mt-unsafe): a child of one thread */
	unsetenv(LMM_ENV_OUT);
	unsetenv(LMM_ENV_SESSION);
	unsetenv(LMM_ENV_REPEAT);
	rc = setenv("LD_PRELOAD", preload, 1) || setenv(LMM_REFERENCE_ENV, file, 1) ||
	     (repeat && setenv(LMM_ENV_REPEAT, repeat, 1));
	/* NOLINTEND(concurrency-mt-unsafe) */
	free(preload);
	return rc;
}

/* say: where its standard error goes; -1. */
static int set_streams(const struct lmm_overhead_bench *b, int say)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -1;
	/* stdout is for our result */
	if (dup2(b->show ? STDERR_FILENO : null, STDOUT_FILENO) < 0)
		return -1;
	if (say < 0 && b->show)
		return 0;
	return dup2(say < 0 ? null : say, STDERR_FILENO) < 0 ? -1 : 0;
}

struct child {
	const char *ruler_file, *repeat;
	char **argv;
	int say; /* -1 */
	pid_t pid;
};

static void run_child(const struct lmm_overhead_bench *b, const struct child *c, int tell)
{
	int error;

	setpgid(0, 0);
	if (set_environment(b, c->ruler_file, c->repeat) == 0 && set_streams(b, c->say) >= 0) {
		pthread_sigmask(SIG_SETMASK, &b->mask, NULL);
		execvp(c->argv[0], c->argv);
	}
	error = errno;
	if (write(tell, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* 0 and c->pid, or the negative errno of what failed. */
static int start(const struct lmm_overhead_bench *b, struct child *c)
{
	int tell[2], error = 0;
	ssize_t n;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	c->pid = fork();
	if (c->pid == 0)
		run_child(b, c, tell[1]);
	error = errno;
	close(tell[1]);
	if (c->pid < 0) {
		close(tell[0]);
		return -error;
	}
	do {
		n = read(tell[0], &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	close(tell[0]);
	if (n != (ssize_t)sizeof(error))
		return 0;
	waitpid(c->pid, NULL, 0);
	return -error;
}

/* As start(), with a pipe behind its standard error if somebody hears; *ear is the read end, or -1. */
static int start_heard(const struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm,
		       struct child *c, int *ear)
{
	int ends[2] = { -1, -1 }, rc;

	*ear = -1;
	if (arm->hear && pipe2(ends, O_CLOEXEC))
		return -errno;
	if (arm->hear && fcntl(ends[0], F_SETFL, O_NONBLOCK)) {
		rc = -errno;
		goto err_pipe;
	}
	c->say = ends[1];
	rc = start(b, c);
	if (rc)
		goto err_pipe;
	*ear = ends[0];
	if (ends[1] >= 0)
		close(ends[1]);
	return 0;

err_pipe:
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
	return rc;
}

/* `lmmeter run -q -o trace -- command…`; freed by the caller. */
static char **with_lmmeter(struct lmm_overhead_bench *b, const char *budget, char *trace)
{
	static char run[] = "run", quiet[] = "-q", output[] = "-o", end[] = "--";
	static char budget_option[] = "--budget", budget_value[32];
	char *head[8] = { b->self, run, quiet, output, trace };
	size_t n = 0, heads = 5;
	char **argv;

	if (budget) {
		(void)snprintf(budget_value, sizeof(budget_value), "%s", budget);
		head[heads++] = budget_option;
		head[heads++] = budget_value;
	}
	head[heads++] = end;
	while (b->argv[n])
		n++;
	argv = calloc(heads + n + 1, sizeof(*argv));
	if (!argv)
		return NULL;
	memcpy(argv, head, heads * sizeof(*argv));
	memcpy(argv + heads, b->argv, n * sizeof(*argv));
	return argv;
}

/* ---- what lmmeter says of its own cost ---------------------------------------------------------- */

static void add_result(struct lmm_overhead_cost *c, const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (r->kernels[i].phase == LMM_PHASE_DECODE)
			c->decode_operators += (double)r->kernels[i].stats.count;
	}
	for (size_t i = 0; i < r->n_phases; i++) {
		uint8_t phase = r->phases[i].phase;

		if (!r->phases[i].warmup_only &&
		    (phase == LMM_PHASE_DECODE ||
		     (phase >= LMM_PHASE_COPY_TO_CPU && phase <= LMM_PHASE_DETOKENIZE)))
			c->phases += (double)r->phases[i].stats.count;
	}
	for (size_t i = 0; i < r->n_requests; i++)
		c->output_tokens += (double)r->requests[i].output_tokens;
	for (size_t i = 0; i < r->n_processes && !c->engine_name[0]; i++) {
		(void)snprintf(c->engine_name, sizeof(c->engine_name), "%s",
			       r->processes[i].engine_name);
		(void)snprintf(c->engine_version, sizeof(c->engine_version), "%s",
			       r->processes[i].engine_version);
	}
	c->decode_tokens += (double)r->steps.decode_tokens;
	c->operator_ns += r->overhead.operator_ns;
	c->phase_pair_ns += r->overhead.phase_pair_ns;
	c->percent += r->overhead.percent;
	c->lost += r->records.lost;
	c->level = c->reports == 0 || r->level.reached < c->level ? r->level.reached : c->level;
	c->reports++;
}

/* A command without an engine leaves no trace, and that is no error. */
static void read_trace(struct lmm_overhead_cost *c, const char *trace)
{
	const struct lmm_analysis_file_opts opts = { 0 };
	enum lmm_trace_state state;
	struct lmm_result *r;

	if (access(trace, R_OK) || lmm_analysis_file(trace, &opts, &r, &state))
		return;
	add_result(c, r);
	lmm_result_destroy(r);
}

/* ---- a run -------------------------------------------------------------------------------------- */

static int judge_start(const struct lmm_overhead_bench *b, int rc)
{
	if (rc == -ENOENT) {
		lmm_error("%s: not found", b->argv[0]);
	} else {
		lmm_error("%s: cannot be executed: %s", b->argv[0], lmm_strerror(rc));
	}
	return -1;
}

static int judge_end(const struct lmm_overhead_bench *b, int status, int with)
{
	const char *how = with ? "with lmmeter " : "";
	const char *advice = b->show ? "" : "; --show shows what it says";

	if (status < 0) {
		lmm_error("%s: its end was not seen", b->argv[0]);
	} else if (WIFSIGNALED(status)) {
		lmm_error("%s %sdied of signal %d%s", b->argv[0], how, WTERMSIG(status), advice);
	} else if (with && WEXITSTATUS(status) == EXIT_LMMETER_FAILED) {
		lmm_error("lmmeter run failed%s", advice);
	} else if (WEXITSTATUS(status) != 0) {
		lmm_error("%s %sended with status %d%s", b->argv[0], how, WEXITSTATUS(status),
			  advice);
	} else {
		return 0;
	}
	return -1;
}

/* Runs it to its end. */
static int run_whole(struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm,
		     struct child *c, double *wall_ns)
{
	uint64_t begin = lmm_mono_ns();
	int ear, status, rc = start_heard(b, arm, c, &ear);

	if (rc)
		return judge_start(b, rc);
	status = wait_for(b, arm, c->pid, ear);
	*wall_ns = (double)(lmm_mono_ns() - begin);
	if (b->signal)
		return -EINTR;
	return judge_end(b, status, arm->with);
}

int lmm_overhead_run_arm(struct lmm_overhead_bench *b, const struct lmm_overhead_arm *arm,
			 double *wall_ns)
{
	char ruler_name[128], trace_name[128], trace[PATH_BYTES];
	struct child c = { .ruler_file = ruler_name, .repeat = arm->repeat, .argv = b->argv };
	char **own = NULL;
	int rc;

	(void)snprintf(ruler_name, sizeof(ruler_name), "%s.calls", arm->name);
	(void)snprintf(trace_name, sizeof(trace_name), "%s.lmt", arm->name);
	if (signal_pending(b))
		return -EINTR;
	if (path_join(trace, sizeof(trace), b->folder, trace_name)) {
		lmm_error("%s: the name is too long", b->folder);
		return -1;
	}
	if (arm->with)
		c.argv = own = with_lmmeter(b, arm->budget, trace);
	if (!c.argv) {
		lmm_error("out of memory");
		return -1;
	}
	rc = run_whole(b, arm, &c, wall_ns);
	free(own);
	if (rc == 0 && arm->take)
		rc = arm->take(arm->arg, b, ruler_name, trace);
	clear_folder(b->folder, b->keep ? ruler_name : arm->name, 0);
	return rc;
}

struct taken {
	struct lmm_overhead_run *run;
	struct lmm_overhead_cost *cost; /* NULL: without lmmeter */
};

static int take(void *arg, const struct lmm_overhead_bench *b, const char *ruler, const char *trace)
{
	struct lmm_overhead_times times = { 0 };
	const struct taken *t = arg;
	int rc = lmm_overhead_times_read(&times, b->folder, ruler);

	if (rc == 0)
		lmm_overhead_times_sum(&times, t->run);
	lmm_overhead_times_free(&times);
	if (rc) {
		lmm_error("cannot read what the ruler wrote: %s", lmm_strerror(rc));
		return -1;
	}
	if (t->cost)
		read_trace(t->cost, trace);
	return 0;
}

int lmm_overhead_run_once(struct lmm_overhead_bench *b, const char *name, int with,
			  struct lmm_overhead_run *run, struct lmm_overhead_cost *cost)
{
	struct taken taken = { run, with ? cost : NULL };
	const struct lmm_overhead_arm arm = {
		.name = name, .with = with, .take = take, .arg = &taken
	};

	memset(run, 0, sizeof(*run));
	return lmm_overhead_run_arm(b, &arm, &run->wall_ns);
}
