/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/launch.h"
#include "cli/live.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "cli/record.h"
#include "cli/redact.h"
#include "cli/serving.h"
#include "cli/signals.h"

#define EXIT_LMMETER_FAILED 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND	    127

struct run_opts {
	const char *out;
	struct lmm_outcome outcome;
	int threads;
	int door;
	uint64_t memory_bytes;
	uint64_t max_size_bytes;
	uint64_t budget_ppm;
	int expand, instrument;
	int live;
	int dormant;
	const char *sysfs;
	const char *prometheus;
	int allow_remote;
};

static const char *const threads_choices[] = { "first", "all", NULL };
static const char *const door_choices[] = { "auto", "preload", "audit", NULL };

static const struct lmm_opt run_table[] = {
	{ 'o', "output", LMM_OPT_STRING, offsetof(struct run_opts, out), "FILE", NULL,
	  "record to FILE (default: lmmeter-<command>-<time>.lmt here)" },
	{ 0, "json", LMM_OPT_STRING, offsetof(struct run_opts, outcome.json), "FILE", NULL,
	  "also write the report as JSON to FILE" },
	{ 'q', "quiet", LMM_OPT_FLAG, offsetof(struct run_opts, outcome.quiet), NULL, NULL,
	  "print no report at the end" },
	{ 0, "threads", LMM_OPT_CHOICE, offsetof(struct run_opts, threads), NULL, threads_choices,
	  "compute threads whose operators are recorded" },
	{ 0, "memory", LMM_OPT_SIZE, offsetof(struct run_opts, memory_bytes), "SIZE", NULL,
	  "ceiling for all rings together (default 64M)" },
	{ 0, "max-size", LMM_OPT_SIZE, offsetof(struct run_opts, max_size_bytes), "SIZE", NULL,
	  "keep FILE below SIZE: oldest step detail goes first, totals stay exact" },
	{ 0, "budget", LMM_OPT_SHARE, offsetof(struct run_opts, budget_ppm), "SHARE", NULL,
	  "what recording and timing GPU kernels may cost of a step's time (default 1%): they are timed on as many steps as a quarter of it allows; "
	  "off: on all of them" },
	{ 0, "expand-command-buffers", LMM_OPT_FLAG, offsetof(struct run_opts, expand), NULL, NULL,
	  "hide OpenCL's command buffers from the command, so that it enqueues every kernel and each is timed" },
	{ 0, "instrument", LMM_OPT_FLAG, offsetof(struct run_opts, instrument), NULL, NULL,
	  "time the compiled functions of a TVM model on a CPU too, by its virtual machine's own instrument: costs some 1% of a token" },
	{ 0, "sysfs", LMM_OPT_STRING, offsetof(struct run_opts, sysfs), "DIR", NULL,
	  "read sensors from DIR/sys and DIR/proc, a model of a machine, instead of this one's" },
	{ 0, "door", LMM_OPT_CHOICE, offsetof(struct run_opts, door), NULL, door_choices,
	  "way into the command" },
	{ 0, "live", LMM_OPT_FLAG, offsetof(struct run_opts, live), NULL, NULL,
	  "watch it while it runs, as `lmmeter top` shows it; what the command writes to the terminal comes when it ends" },
	{ 0, "dormant", LMM_OPT_FLAG, offsetof(struct run_opts, dormant), NULL, NULL,
	  "record nothing yet: `lmmeter attach` switches recording on and off while it runs (OpenCL queues are made with profiling)" },
	{ 0, "prometheus", LMM_OPT_STRING, offsetof(struct run_opts, prometheus), "ADDRESS:PORT",
	  NULL, "answer Prometheus there while it records, as `lmmeter serve` does" },
	{ 0, "allow-remote", LMM_OPT_FLAG, offsetof(struct run_opts, allow_remote), NULL, NULL,
	  "ADDRESS may be one that other machines reach" },
	{ 0, "requests", LMM_OPT_FLAG, offsetof(struct run_opts, outcome.text.requests), NULL, NULL,
	  "report every request" },
	{ 0, "steps", LMM_OPT_FLAG, offsetof(struct run_opts, outcome.text.steps), NULL, NULL,
	  "report step time against context length" },
	{ 0, "layers", LMM_OPT_FLAG, offsetof(struct run_opts, outcome.text.layers), NULL, NULL,
	  "report every layer" },
	{ 0, "kernels", LMM_OPT_FLAG, offsetof(struct run_opts, outcome.text.kernels), NULL,
	  lmm_kernels_choices,
	  "report every operator; on CUDA, where timing kernels slows the program, always: time them all (a token may take 1.5 "
	  "times as long); off: none; else in short windows, as often as --budget allows" },
};

static const char *const run_examples[] = {
	"lmmeter run -- llama-completion -m model.gguf -p 'Hello' -n 64 -no-cnv",
	"record one generation and report where its time went",
	"lmmeter run -o server.lmt -- llama-server -m model.gguf",
	"record a server until it ends (Ctrl-C ends both in good order)",
	"lmmeter run --live -- llama-server -m model.gguf",
	"watch it while it serves (`lmmeter top` does so from another terminal)",
	"lmmeter run --prometheus 127.0.0.1:9464 -- llama-server -m model.gguf",
	"let Prometheus watch it",
	"lmmeter run --json report.json -q -- sh -c './bench.sh'",
	"follow a script and its children; only JSON",
	"lmmeter run --threads all -- llama-bench -m model.gguf",
	"show how evenly the compute threads are loaded",
	"lmmeter run --budget 0.5% -- llama-completion -m model.gguf -ngl 99 -p 'Hello'",
	"on a GPU, spend less on the times of its kernels",
	NULL,
};

const struct lmm_command lmm_command_run = {
	.name = "run",
	.synopsis = "[options] -- COMMAND [ARGUMENT]...",
	.summary = "run a command and record where its engine spends the time",
	.description =
		"Runs COMMAND as it is, with its own input, output, signals and exit status, and records every process of it that "
		"loads an engine. The report goes to standard error when the last of them has ended.",
	.exit_status =
		"the command's own; 125 if lmmeter failed before it ran, 126 if COMMAND cannot be executed, 127 if it "
		"was not found. A command that died of a signal is followed by the same signal.",
	.opts = run_table,
	.n_opts = LMM_ARRAY_SIZE(run_table),
	.examples = run_examples,
	.args_min = 1,
	.args_max = -1,
	.stops_at_argument = 1,
};

/* ---- the run ------------------------------------------------------------------------------------ */

struct run {
	struct lmm_record record;
	pid_t child;
	int child_ended;
	int status;
	int stop; /* recording is to end although processes live */
	uint64_t waiting_since_ns;
	int told_waiting;
	struct lmm_live *live;	     /* NULL: none */
	struct lmm_serving *serving; /* NULL: none */
};

static void reap(struct run *r)
{
	int status;

	if (!r->child_ended && waitpid(r->child, &status, WNOHANG) == r->child) {
		r->child_ended = 1;
		r->status = status;
		r->waiting_since_ns = lmm_mono_ns();
	}
}

static void on_signal(struct run *r, int sig)
{
	if (sig == SIGTERM || sig == SIGHUP) {
		if (!r->child_ended) {
			kill(r->child, sig);
		} else {
			r->stop = 1;
		}
	} else if ((sig == SIGINT || sig == SIGQUIT) && r->child_ended) {
		r->stop = 1;
	}
}

/* The command has ended; processes of it with an engine may live on (a server in the background). */
static int must_go_on(struct run *r)
{
	if (!r->child_ended)
		return 1;
	if (r->stop || lmm_collector_alive(r->record.collector) == 0)
		return 0;
	if (!r->told_waiting && lmm_mono_ns() - r->waiting_since_ns > 1000000000u) {
		r->told_waiting = 1;
		lmm_error(
			"the command has ended, %u of its processes still run and are recorded; Ctrl-C ends the recording",
			lmm_collector_alive(r->record.collector));
	}
	return 1;
}

static void record_until_end(struct run *r)
{
	for (;;) {
		int ms = lmm_record_poll(&r->record);

		if (r->live)
			lmm_live_poll(r->live, r->record.analysis);
		if (r->serving)
			lmm_serving_poll(r->serving, 0);
		reap(r);
		if (r->child_ended)
			lmm_collector_check_alive(r->record.collector);
		if (!must_go_on(r))
			return;
		on_signal(r, lmm_signals_wait(ms));
	}
}

/* The command's own end becomes ours. */
static int pass_on(int status)
{
	if (WIFSIGNALED(status)) {
		int sig = WTERMSIG(status);
		struct rlimit no_core = { 0, 0 };
		sigset_t set;

		/* the command has left its core file, if any; ours would be of no use */
		setrlimit(RLIMIT_CORE, &no_core);
		signal(sig, SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, sig);
		raise(sig);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		return 128 + sig;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_LMMETER_FAILED;
}

static int launch_failed(int rc, const char *command)
{
	if (rc == -ENOENT) {
		lmm_error("%s: not found", command);
		return EXIT_NOT_FOUND;
	}
	lmm_error("%s: cannot be executed: %s", command, lmm_strerror(rc));
	return rc == -ENOMEM || rc == -EAGAIN || rc == -EMFILE ? EXIT_LMMETER_FAILED
							       : EXIT_NOT_EXECUTABLE;
}

static int libs_find(struct lmm_libs *libs)
{
	int rc = lmm_libs_find(libs);

	if (rc) {
		lmm_error(
			"liblmmeter.so was not found beside lmmeter; set LMMETER_LIB_DIR to its folder");
	}
	return rc;
}

/* We become the command: nobody of us stays. */
static int run_dormant(const struct run_opts *o, char **argv)
{
	struct lmm_libs libs;
	struct lmm_launch l = { .libs = &libs,
				.door = (enum lmm_door_choice)o->door,
				.threads_all = o->threads == 1,
				.expands_command_buffers = o->expand,
				.wants_instrument = o->instrument };
	int rc;

	if (o->out || o->outcome.json || o->live || o->prometheus) {
		lmm_error(
			"--dormant records nothing yet: -o, --json and --live belong to lmmeter attach, --prometheus to lmmeter serve");
		return EXIT_LMMETER_FAILED;
	}
	if (libs_find(&libs))
		return EXIT_LMMETER_FAILED;
	rc = lmm_launch_dormant(&l, argv);
	if (rc == -EINVAL) {
		lmm_error("--dormant: ld.so cannot preload from a path with blanks: %s",
			  libs.probe);
		return EXIT_LMMETER_FAILED;
	}
	return launch_failed(rc, argv[0]);
}

static int look(void *ctx, struct lmm_settled *out, int *is_over)
{
	const struct run *r = ctx;

	*is_over = 0;
	return lmm_analysis_settled(r->record.analysis, 0, out);
}

/* Before the recording is made: an address that makes no sense must not cost a run. */
static int serve(struct run *r, const struct run_opts *o)
{
	struct lmm_serving_opts so = {
		.where = o->prometheus, .allow_remote = o->allow_remote, .look = look, .ctx = r
	};

	if (!o->prometheus)
		return 0;
	if (lmm_serving_open(&so, &r->serving))
		return EXIT_LMMETER_FAILED;
	fprintf(stderr, "lmmeter: %s\n", lmm_serving_url(r->serving));
	return 0;
}

static int start(struct run *r, const struct run_opts *o, char **argv, sigset_t *old)
{
	struct lmm_libs libs;
	char line[4096];
	struct lmm_record_opts ro = { .out_path = o->out,
				      .command_name = lmm_base_name(argv[0]),
				      .command_line = line,
				      .memory_bytes = o->memory_bytes,
				      .max_size_bytes = o->max_size_bytes,
				      .threads_all = (uint8_t)(o->threads == 1),
				      .device_budget_ppm = (uint32_t)o->budget_ppm,
				      .kernel_times = lmm_outcome_kernel_times(&o->outcome),
				      .sysfs = o->sysfs };
	struct lmm_launch l = { .session_dir = r->record.folder.path,
				.libs = &libs,
				.door = (enum lmm_door_choice)o->door,
				.threads_all = o->threads == 1,
				.expands_command_buffers = o->expand,
				.wants_instrument = o->instrument };
	int fds[3];
	int rc;

	if (o->sysfs && access(o->sysfs, R_OK | X_OK)) {
		lmm_error("--sysfs %s: %s", o->sysfs, lmm_strerror(-errno));
		return EXIT_LMMETER_FAILED;
	}
	if (libs_find(&libs))
		return EXIT_LMMETER_FAILED;
	lmm_redact_command(argv, line, sizeof(line));
	if (serve(r, o))
		return EXIT_LMMETER_FAILED;
	if (lmm_record_open(&r->record, &ro)) {
		lmm_serving_close(r->serving);
		return EXIT_LMMETER_FAILED;
	}
	if (o->live)
		r->live = lmm_live_open(fds);
	if (r->live)
		l.fds = fds;
	l.mask = *old;
	rc = lmm_launch(&l, argv, &r->child);
	if (rc) {
		struct lmm_result *result;

		lmm_live_close(r->live);
		lmm_serving_close(r->serving);
		lmm_record_close(&r->record, -1, &result);
		lmm_result_destroy(result);
		return launch_failed(rc, argv[0]);
	}
	return 0;
}

int lmm_cmd_run(int argc, char **argv)
{
	struct run_opts o = { .budget_ppm = 10000 };
	struct run r = { 0 };
	struct lmm_result *result = NULL;
	sigset_t old;
	int rc;

	switch (lmm_options_parse(&lmm_command_run, &argc, argv, &o)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return EXIT_LMMETER_FAILED; /* 2 could be the command's own */
	default:
		break;
	}
	if (o.dormant)
		return run_dormant(&o, argv + 1);
	lmm_signals_block(&old);
	rc = start(&r, &o, argv + 1, &old);
	if (rc)
		return rc;
	record_until_end(&r);
	lmm_live_close(r.live);
	lmm_serving_close(r.serving);
	lmm_record_close(&r.record, r.child_ended ? r.status : -1, &result);
	if (result)
		lmm_outcome_tell(&o.outcome, result, &r.record);
	lmm_result_destroy(result);
	return pass_on(r.status);
}
