/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/launch.h"
#include "cli/live.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "cli/record.h"
#include "cli/redact.h"
#include "cli/signals.h"
#include "collect/control.h"
#include "collect/process.h"
#include "inject/inject.h"

#define ANSWER_MS  5000 /* joining is a few milliseconds' work; a machine may be busy */
#define LOOK_NS	   20000000
#define PAGE_NS	   500000
#define INJECT_MS  100 /* between two looks for an engine */
#define DETACH_NS  20000000000u
#define LINE_BYTES 4096
#define WORDS_MAX  512

/* ---- the process -------------------------------------------------------------------------------- */

static const char *why_not(int rc)
{
	switch (rc) {
	case -ESRCH:
		return "there is no such process";
	case -EPERM:
		return "it is another user's, or may not be looked into: attach as the user who runs it";
	case -ENOENT:
		return "lmmeter's library is not in it: --inject puts it in; or start it with lmmeter run --dormant";
	case -EAGAIN:
		return "no engine has been called in it yet; --wait 10m waits until one is";
	case -EBUSY:
		return "it is being recorded already: lmmeter top shows it";
	default:
		return lmm_strerror(rc);
	}
}

static int parse_pid(const char *text, int32_t *pid)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || end == text || *end || v <= 0 || v > INT32_MAX) {
		lmm_error("'%s' is no process number", text);
		return -EINVAL;
	}
	*pid = (int32_t)v;
	return 0;
}

/* Its words as /proc has them, without what must not be kept. */
static void command_of(int32_t pid, char *name, size_t name_bytes, char *line, size_t bytes)
{
	static char text[65536];
	char path[64], *argv[WORDS_MAX + 1];
	size_t n = 0, words = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		(void)fclose(f);
	}
	text[n] = 0;
	for (size_t i = 0; i < n && words < WORDS_MAX; i += strlen(text + i) + 1)
		argv[words++] = text + i;
	argv[words] = NULL;
	(void)snprintf(name, name_bytes, "%s", words ? lmm_base_name(argv[0]) : "process");
	line[0] = 0;
	if (words)
		lmm_redact_command(argv, line, bytes);
}

/* ---- attach ------------------------------------------------------------------------------------- */

struct attach_opts {
	const char *out;
	struct lmm_outcome outcome;
	uint64_t for_ns, wait_ns;
	int inject;
	int threads;
	uint64_t memory_bytes;
	uint64_t max_size_bytes;
	uint64_t budget_ppm;
	int live;
	const char *sysfs;
};

static const char *const threads_choices[] = { "first", "all", NULL };

static const struct lmm_opt attach_table[] = {
	{ 'o', "output", LMM_OPT_STRING, offsetof(struct attach_opts, out), "FILE", NULL,
	  "record to FILE (default: lmmeter-<command>-<time>.lmt here)" },
	{ 0, "for", LMM_OPT_DURATION, offsetof(struct attach_opts, for_ns), "TIME", NULL,
	  "detach after TIME: 30s, 5m (default: at Ctrl-C, at lmmeter detach, or when the process ends)" },
	{ 0, "wait", LMM_OPT_DURATION, offsetof(struct attach_opts, wait_ns), "TIME", NULL,
	  "wait so long for the process to call an engine" },
	{ 0, "inject", LMM_OPT_FLAG, offsetof(struct attach_opts, inject), NULL, NULL,
	  "put the library into a process that was started without it (Linux x86-64; ptrace must be allowed)" },
	{ 0, "json", LMM_OPT_STRING, offsetof(struct attach_opts, outcome.json), "FILE", NULL,
	  "also write the report as JSON to FILE" },
	{ 'q', "quiet", LMM_OPT_FLAG, offsetof(struct attach_opts, outcome.quiet), NULL, NULL,
	  "print no report at the end" },
	{ 0, "threads", LMM_OPT_CHOICE, offsetof(struct attach_opts, threads), NULL,
	  threads_choices, "compute threads whose operators are recorded" },
	{ 0, "memory", LMM_OPT_SIZE, offsetof(struct attach_opts, memory_bytes), "SIZE", NULL,
	  "ceiling for all rings together (default 64M)" },
	{ 0, "max-size", LMM_OPT_SIZE, offsetof(struct attach_opts, max_size_bytes), "SIZE", NULL,
	  "keep FILE below SIZE: oldest step detail goes first, totals stay exact" },
	{ 0, "budget", LMM_OPT_SHARE, offsetof(struct attach_opts, budget_ppm), "SHARE", NULL,
	  "what recording and timing GPU kernels may cost of a step's time, a quarter of it the timing (default 1%); off: time all of them" },
	{ 0, "sysfs", LMM_OPT_STRING, offsetof(struct attach_opts, sysfs), "DIR", NULL,
	  "read sensors from DIR/sys and DIR/proc, a model of a machine, instead of this one's" },
	{ 0, "live", LMM_OPT_FLAG, offsetof(struct attach_opts, live), NULL, NULL,
	  "watch it meanwhile, as `lmmeter top` shows it" },
	{ 0, "requests", LMM_OPT_FLAG, offsetof(struct attach_opts, outcome.text.requests), NULL,
	  NULL, "report every request" },
	{ 0, "steps", LMM_OPT_FLAG, offsetof(struct attach_opts, outcome.text.steps), NULL, NULL,
	  "report step time against context length" },
	{ 0, "layers", LMM_OPT_FLAG, offsetof(struct attach_opts, outcome.text.layers), NULL, NULL,
	  "report every layer" },
	{ 0, "kernels", LMM_OPT_FLAG, offsetof(struct attach_opts, outcome.text.kernels), NULL,
	  lmm_kernels_choices,
	  "report every operator; on CUDA, always: time all kernels (a token may take 1.5 times as long); off: none; else in "
	  "short windows, as often as --budget allows" },
};

static const char *const attach_examples[] = {
	"lmmeter run --dormant -- llama-server -m model.gguf &",
	"start a server that can be recorded later; until then nothing is",
	"lmmeter attach $! --for 30s",
	"record half a minute of it",
	"lmmeter attach 4242 -o slow.lmt --live",
	"record until Ctrl-C, and watch",
	"lmmeter attach $(pidof llama-server) --inject --for 30s",
	"the same for a server that was started without lmmeter",
	"lmmeter detach 4242",
	"end the recording from another terminal",
	NULL,
};

const struct lmm_command lmm_command_attach = {
	.name = "attach",
	.synopsis = "PID [options]",
	.summary = "record a process that runs already",
	.description =
		"Switches recording on in a process of yours that was started with `lmmeter run --dormant`, or with liblmmeter.so preloaded, "
		"and off again at the end. The process is not stopped. What was under way when the recording began is shown as far "
		"as it was seen: a request without its beginning has no time to first token.\n\n"
		"With --inject the process may have been started without lmmeter: one of its threads is made to load the library, and the calls "
		"of its engine lead through lmmeter until the recording ends. Only that thread waits for it, some milliseconds at most. docs/attach.md "
		"says what is not seen then.",
	.opts = attach_table,
	.n_opts = LMM_ARRAY_SIZE(attach_table),
	.examples = attach_examples,
	.args_min = 1,
	.args_max = 1,
};

struct attachment {
	int32_t pid;
	struct lmm_control control;
	struct lmm_record record;
	struct lmm_live *live;
	uint64_t asked_ns;
};

static void pause_ns(long ns)
{
	struct timespec t = { 0, ns };

	nanosleep(&t, NULL);
}

static int wait_for_page(struct attachment *a)
{
	uint64_t until_ns = lmm_mono_ns() + ANSWER_MS * 1000000ull;
	int rc;

	while ((rc = lmm_control_open(a->pid, &a->control)) != 0 && lmm_mono_ns() < until_ns) {
		if (!lmm_process_is_alive(a->pid))
			return -ESRCH;
		pause_ns(PAGE_NS);
	}
	return rc;
}

/* Has the process open the library, which makes the page at once. -EAGAIN: it has no engine yet; said unless it `may_wait`. */
static int put_in(struct attachment *a, int may_wait)
{
	struct lmm_injection how;
	uint64_t made_ns, held_ns; /* the page is what the load ends with */
	struct lmm_libs libs;
	int rc;

	if (lmm_libs_find(&libs) || !libs.inject[0]) {
		lmm_error(
			"liblmmeter-inject.so was not found beside lmmeter; LMMETER_LIB_DIR says where it is");
		return -ENOENT;
	}
	rc = lmm_inject(a->pid, libs.inject, &how);
	if (rc == -EAGAIN && may_wait)
		return rc;
	if (rc) {
		lmm_error("cannot put lmmeter into process %d: %s", (int)a->pid, how.why);
		return rc;
	}
	rc = wait_for_page(a);
	if (rc == -ESRCH) {
		lmm_error("cannot put lmmeter into process %d: it has ended", (int)a->pid);
		return rc;
	}
	if (rc) {
		lmm_error(
			"process %d was made to load %s, but it has not: its loader refuses it (is its C library older than "
			"this lmmeter's?), or waits for another of its threads",
			(int)a->pid, libs.inject);
		return rc;
	}
	made_ns = a->control.shm->made_ns;
	held_ns = made_ns > how.stop_ns ? made_ns - how.stop_ns : how.stopped_ns;
	lmm_error(
		"lmmeter is in process %d: thread %d (%s) was stopped for %.2f ms, the others ran on",
		(int)a->pid, (int)how.tid, how.where, (double)held_ns / 1e6);
	return 0;
}

/* Finds the process's page, waiting for it as long as the user said. */
static int find(struct attachment *a, const struct attach_opts *o)
{
	uint64_t until_ns = lmm_mono_ns() + o->wait_ns;
	int rc, told = 0;

	for (;;) {
		int may_wait = lmm_mono_ns() < until_ns;

		rc = lmm_control_open(a->pid, &a->control);
		if (o->inject && (rc == -ENOENT || rc == -EAGAIN)) {
			rc = put_in(a, may_wait);
			if (rc && !(rc == -EAGAIN && may_wait))
				return rc;
		}
		if ((rc != -EAGAIN && rc != -ENOENT) || !may_wait)
			break;
		if (!told)
			lmm_error("waiting for process %d to call an engine", (int)a->pid);
		told = 1;
		if (lmm_signals_wait(o->inject ? INJECT_MS : LOOK_NS / 1000000))
			break;
	}
	if (rc == 0)
		rc = lmm_control_lock(&a->control);
	if (rc)
		lmm_error("cannot attach to process %d: %s", (int)a->pid, why_not(rc));
	return rc;
}

static int join(struct attachment *a)
{
	int rc;

	a->asked_ns = lmm_mono_ns();
	rc = lmm_control_ask(&a->control, &a->record.folder, ANSWER_MS);
	if (rc) {
		lmm_error("process %d has not joined: %s", (int)a->pid,
			  rc == -ESRCH	     ? "it has ended"
			  : rc == -ETIMEDOUT ? "it does not answer (is it stopped?)"
					     : lmm_strerror(rc));
		return rc;
	}
	lmm_error(
		"attached to process %d in %.1f ms; Ctrl-C or `lmmeter detach %d` ends the recording",
		(int)a->pid, (double)(lmm_mono_ns() - a->asked_ns) / 1e6, (int)a->pid);
	return 0;
}

/* The hooks stop at once; then the process leaves, if it still lives. */
static void leave(struct attachment *a)
{
	int rc;

	atomic_fetch_and(&a->record.folder.shm->recording, ~1u);
	rc = lmm_control_ask(&a->control, NULL, ANSWER_MS);
	if (rc && rc != -ESRCH)
		lmm_error("process %d does not answer; its hooks pass everything on", (int)a->pid);
}

static void record_until_end(struct attachment *a, uint64_t for_ns)
{
	uint64_t start_ns = lmm_mono_ns();

	for (;;) {
		int ms = lmm_record_poll(&a->record), sig;

		if (a->live)
			lmm_live_poll(a->live, a->record.analysis);
		if (for_ns && lmm_mono_ns() - start_ns >= for_ns)
			break;
		lmm_collector_check_alive(a->record.collector);
		if (lmm_collector_processes(a->record.collector) &&
		    !lmm_collector_alive(a->record.collector))
			break;
		sig = lmm_signals_wait(ms);
		if (sig && sig != SIGCHLD)
			break;
	}
	leave(a);
}

static int open_record(struct attachment *a, const struct attach_opts *o)
{
	static char name[256], line[LINE_BYTES];
	struct lmm_record_opts ro = { .out_path = o->out,
				      .command_name = name,
				      .command_line = line,
				      .memory_bytes = o->memory_bytes,
				      .max_size_bytes = o->max_size_bytes,
				      .threads_all = (uint8_t)(o->threads == 1),
				      .device_budget_ppm = (uint32_t)o->budget_ppm,
				      .kernel_times = lmm_outcome_kernel_times(&o->outcome),
				      .sysfs = o->sysfs,
				      .folder_base = a->control.base };

	if (o->sysfs && access(o->sysfs, R_OK | X_OK)) {
		lmm_error("--sysfs %s: %s", o->sysfs, lmm_strerror(-errno));
		return -ENOENT;
	}
	command_of(a->pid, name, sizeof(name), line, sizeof(line));
	return lmm_record_open(&a->record, &ro);
}

static int attach(struct attachment *a, const struct attach_opts *o)
{
	struct lmm_result *result = NULL;
	int rc = open_record(a, o), fds[3];

	if (rc)
		return rc;
	rc = join(a);
	if (rc == 0) {
		if (o->live)
			a->live = lmm_live_open(fds);
		record_until_end(a, o->for_ns);
		lmm_live_close(a->live);
	}
	lmm_record_close(&a->record, -1, &result);
	if (rc == 0 && result)
		lmm_outcome_tell(&o->outcome, result, &a->record);
	if (rc == 0 && !result)
		rc = -ENOMEM;
	lmm_result_destroy(result);
	return rc;
}

int lmm_cmd_attach(int argc, char **argv)
{
	struct attach_opts o = { .budget_ppm = 10000 };
	struct attachment a = { .control.fd = -1 };
	sigset_t old;
	int rc;

	switch (lmm_options_parse(&lmm_command_attach, &argc, argv, &o)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	default:
		break;
	}
	if (parse_pid(argv[1], &a.pid))
		return LMM_EXIT_USAGE;
	lmm_signals_block(&old);
	rc = find(&a, &o);
	if (rc == 0)
		rc = attach(&a, &o);
	lmm_control_close(&a.control);
	return rc ? LMM_EXIT_FAILURE : LMM_EXIT_OK;
}

/* ---- detach ------------------------------------------------------------------------------------- */

static const char *const detach_examples[] = {
	"lmmeter detach 4242",
	"end the recording of this process; `lmmeter attach` prints its report",
	NULL,
};

const struct lmm_command lmm_command_detach = {
	.name = "detach",
	.synopsis = "PID",
	.summary = "end the recording of a process",
	.description =
		"Ends what `lmmeter attach PID` records, and waits until its file is written. The process goes on as if it had never been "
		"recorded.",
	.examples = detach_examples,
	.args_min = 1,
	.args_max = 1,
};

/* Whoever records ends in good order; if he does not, the process is told itself. */
static int end_recording(struct lmm_control *c)
{
	uint64_t until_ns = lmm_mono_ns() + DETACH_NS;
	int32_t asker = atomic_load(&c->shm->asker_pid);

	if (asker > 0)
		kill(asker, SIGTERM);
	while (lmm_control_is_locked(c)) {
		if (lmm_mono_ns() > until_ns)
			return lmm_control_ask(c, NULL, ANSWER_MS);
		pause_ns(LOOK_NS);
	}
	return 0;
}

int lmm_cmd_detach(int argc, char **argv)
{
	struct lmm_control c;
	char none;
	int32_t pid;
	int rc;

	switch (lmm_options_parse(&lmm_command_detach, &argc, argv, &none)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	default:
		break;
	}
	if (parse_pid(argv[1], &pid))
		return LMM_EXIT_USAGE;
	rc = lmm_control_open(pid, &c);
	if (rc) {
		lmm_error("cannot detach from process %d: %s", (int)pid,
			  rc == -EBUSY ? "lmmeter run records it, until it ends" : why_not(rc));
		return LMM_EXIT_FAILURE;
	}
	if (!lmm_control_is_locked(&c)) {
		lmm_error("process %d is not being recorded", (int)pid);
		rc = -ENOENT;
	} else {
		rc = end_recording(&c);
		if (rc)
			lmm_error("process %d does not answer: %s", (int)pid, lmm_strerror(rc));
	}
	lmm_control_close(&c);
	return rc ? LMM_EXIT_FAILURE : LMM_EXIT_OK;
}
