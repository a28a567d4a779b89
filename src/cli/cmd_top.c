/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/analysis.h"
#include "base/clock.h"
#include "cli/options.h"
#include "cli/recordings.h"
#include "collect/folder.h"
#include "collect/process.h"
#include "top/top.h"

#define JSON_EVERY_MS 1000

/* Beside 0 and negative errors. Behind those of enum lmm_top_key. */
enum {
	SAID = 100, /* what went wrong has been said */
	LEFT,	    /* by the user */
};

struct top_opts {
	int json, list;
};

static const struct lmm_opt options[] = {
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct top_opts, json), NULL, NULL,
	  "an object per second on standard output instead (schema lmmeter.top/1); with --list one in all "
	  "(lmmeter.recordings/1)" },
	{ 0, "list", LMM_OPT_FLAG, offsetof(struct top_opts, list), NULL, NULL,
	  "list the recordings that go on instead" },
};

static const char *const examples[] = {
	"lmmeter top",
	"watch the recording of yours that is going on; of several, choose one",
	"lmmeter top 4242",
	"that of this process (the engine's, or lmmeter's)",
	"lmmeter top run.lmt --json | jq '.output_tokens_per_second_now'",
	"the recording in this file, for programs",
	"lmmeter top --list",
	"which recordings go on: lmmeter's and the engine's processes, and the files",
	NULL,
};

const struct lmm_command lmm_command_top = {
	.name = "top",
	.synopsis = "[PID|FILE] [options]",
	.summary = "watch a recording while it is made",
	.description =
		"Follows the file that `lmmeter run` writes in another terminal; the engine does not notice. The figures are those of the "
		"whole recording so far, as `lmmeter report` gives them, but for \"now\" and the trends. Keys: q quits, k kernels, r requests, "
		"e engines (tab chooses one), s sensors, n another recording, p holds the picture, ? helps.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 0,
	.args_max = 1,
};

struct watch {
	struct lmm_folder_session session;
	struct lmm_follow *follow;
	struct lmm_top *top;
};

static volatile sig_atomic_t is_stopped;

static void stop(int sig)
{
	(void)sig;
	is_stopped = 1;
}

/* ---- which recording ---------------------------------------------------------------------------- */

/* By the user's choice; the list is read anew while it is shown. 0, or LEFT. */
static int ask(struct lmm_top_terminal *terminal, struct lmm_folder_session *s)
{
	struct lmm_folder_session list[LMM_RECORDINGS_MAX];
	struct lmm_recording_line lines[LMM_RECORDINGS_MAX];
	const char *texts[LMM_RECORDINGS_MAX];
	unsigned at = 0;
	int chosen = -EAGAIN;

	while (chosen == -EAGAIN && !is_stopped) {
		unsigned n = lmm_folder_recordings(0, list, LMM_RECORDINGS_MAX);

		for (unsigned i = 0; i < n; i++) {
			lines[i] = lmm_recording_line(&list[i]);
			texts[i] = lines[i].s;
		}
		chosen = lmm_top_choose(terminal, texts, n, &at);
	}
	if (chosen < 0)
		return LEFT;
	*s = list[chosen];
	return 0;
}

/* ---- watching it -------------------------------------------------------------------------------- */

static void watch_close(struct watch *w)
{
	lmm_top_destroy(w->top);
	lmm_follow_close(w->follow);
	w->top = NULL;
	w->follow = NULL;
}

/* 0 or a negative error. */
static int watch_open(struct watch *w)
{
	int rc = lmm_follow_open(w->session.out_path, &w->follow);

	if (rc)
		return rc;
	w->top = lmm_top_create();
	return w->top ? 0 : -ENOMEM;
}

/* 1: goes on, 0: it will not change any more, negative: error. */
static int look(struct watch *w)
{
	int rc = lmm_follow_poll(w->follow);

	if (rc < 0)
		return rc;
	w->top->has_ended = rc == 0;
	w->top->is_alone =
		rc && w->session.collector_pid && !lmm_process_is_alive(w->session.collector_pid);
	if (lmm_top_update(w->top, lmm_follow_analysis(w->follow)))
		return -ENOMEM;
	return rc && !w->top->is_alone;
}

/* 0, a negative error, SAID or LEFT. */
static int stream(struct watch *w)
{
	int rc = watch_open(w);

	while (rc == 0 && !is_stopped) {
		int goes_on = look(w);

		if (goes_on < 0)
			return goes_on;
		lmm_top_json(w->top, stdout);
		rc = lmm_stdout_finish();
		if (rc)
			return lmm_output_failed("standard output", rc) ? SAID : LEFT;
		if (!goes_on)
			break;
		(void)poll(NULL, 0, JSON_EVERY_MS);
	}
	return rc;
}

/* Until a key ends it: LMM_TOP_QUIT or LMM_TOP_OTHERS; or a negative error. */
static int show(struct watch *w, struct lmm_top_terminal *terminal, struct lmm_top_view *view)
{
	int rc = watch_open(w), goes_on = 1;
	uint64_t next = 0;

	while (rc == 0 && !is_stopped) {
		uint64_t now = lmm_mono_ns();
		enum lmm_top_key key;

		if (goes_on && !view->is_paused && now >= next) {
			goes_on = look(w);
			next = now + LMM_TOP_PERIOD_MS * UINT64_C(1000000);
		}
		if (goes_on < 0)
			return goes_on;
		lmm_top_draw(terminal, w->top, view);
		key = lmm_top_key(terminal, LMM_TOP_PERIOD_MS, view);
		if (key == LMM_TOP_QUIT || key == LMM_TOP_OTHERS)
			return (int)key;
	}
	return rc ? rc : LMM_TOP_QUIT;
}

/* The engine comes first: where it uses every core, the view waits for what is left over. */
static void step_back(void)
{
	const struct sched_param none = { 0 };

	(void)sched_setscheduler(0, SCHED_IDLE, &none);
}

/* 0, a negative error, SAID or LEFT. */
static int show_all(struct watch *w, const char *what)
{
	struct lmm_top_view view = { .has_others = what == NULL };
	struct lmm_top_terminal *terminal;
	int which = lmm_recording_choose(what, &w->session), rc;

	if (which < 0)
		return SAID;
	rc = lmm_top_terminal_open(&terminal);
	if (rc) {
		lmm_error("no view: %s; --json needs none", lmm_top_terminal_why(rc));
		return SAID;
	}
	step_back();
	if (which > 0)
		rc = ask(terminal, &w->session);
	while (rc == 0) {
		rc = show(w, terminal, &view);
		if (rc != LMM_TOP_OTHERS)
			break;
		watch_close(w);
		view = (struct lmm_top_view){ .has_others = 1 };
		rc = ask(terminal, &w->session);
	}
	lmm_top_terminal_close(terminal);
	return rc == LMM_TOP_QUIT ? 0 : rc;
}

static int list_all(const struct top_opts *opts)
{
	struct lmm_folder_session list[LMM_RECORDINGS_MAX];
	unsigned n = lmm_folder_recordings(0, list, LMM_RECORDINGS_MAX);

	if (opts->json) {
		lmm_recordings_json(list, n, stdout);
	} else {
		for (unsigned i = 0; i < n; i++)
			puts(lmm_recording_line(&list[i]).s);
		if (n == 0)
			puts("no recording of yours is going on");
	}
	return lmm_stdout_status();
}

static void signals_take(void)
{
	struct sigaction act = { .sa_handler = stop };

	(void)signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

int lmm_cmd_top(int argc, char **argv)
{
	struct top_opts opts = { 0 };
	struct watch w = { 0 };
	int rc;

	switch (lmm_options_parse(&lmm_command_top, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	default:
		break;
	}
	signals_take();
	if (opts.list)
		return list_all(&opts);
	if (opts.json) {
		rc = lmm_recording_choose(argv[1], &w.session);
		if (rc > 0)
			lmm_recordings_say();
		rc = rc ? SAID : stream(&w);
	} else {
		rc = show_all(&w, argv[1]);
	}
	watch_close(&w);
	if (rc < 0)
		lmm_error("cannot read %s: %s", w.session.out_path, lmm_strerror(rc));
	return rc == 0 || rc == LEFT ? LMM_EXIT_OK : LMM_EXIT_FAILURE;
}
