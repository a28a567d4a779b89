/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "analyze/analysis.h"
#include "base/clock.h"
#include "cli/options.h"
#include "cli/recordings.h"
#include "cli/serving.h"
#include "collect/process.h"

#define WAIT_MS 1000

struct serve_opts {
	const char *prometheus;
	int allow_remote;
};

static const struct lmm_opt options[] = {
	{ 0, "prometheus", LMM_OPT_STRING, offsetof(struct serve_opts, prometheus), "ADDRESS:PORT",
	  NULL, "answer GET /metrics there; port 0 takes one that is free" },
	{ 0, "allow-remote", LMM_OPT_FLAG, offsetof(struct serve_opts, allow_remote), NULL, NULL,
	  "ADDRESS may be one that other machines reach; whoever reaches it may read" },
};

static const char *const examples[] = {
	"lmmeter serve --prometheus 127.0.0.1:9464",
	"the recording of yours that is going on, until Ctrl-C",
	"lmmeter serve --prometheus 127.0.0.1:9464 4242",
	"that of this process (the engine's, or lmmeter's)",
	"lmmeter serve --prometheus 127.0.0.1:0 run.lmt",
	"the recording in this file, at a port that is printed",
	"curl -s http://127.0.0.1:9464/metrics | promtool check metrics",
	"what Prometheus gets",
	NULL,
};

const struct lmm_command lmm_command_serve = {
	.name = "serve",
	.synopsis = "--prometheus ADDRESS:PORT [options] [PID|FILE]",
	.summary = "answer Prometheus with the figures of a recording while it is made",
	.description =
		"Follows the file that `lmmeter run` writes, as `lmmeter top` does, and answers Prometheus (text format 0.0.4). "
		"Only this machine can reach it unless --allow-remote. When the recording has ended, its last figures are served "
		"until Ctrl-C. `lmmeter run --prometheus` does the same without a second process, as long as it records.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 0,
	.args_max = 1,
};

struct source {
	struct lmm_follow *follow;
	int32_t collector_pid; /* 0: not known */
	int is_over, has_told;
};

static volatile sig_atomic_t is_stopped;

static void stop(int sig)
{
	(void)sig;
	is_stopped = 1;
}

/* Takes what was written since the last scrape. */
static int look(void *ctx, struct lmm_settled *out, int *is_over)
{
	struct source *s = ctx;
	int is_alone = s->collector_pid && !lmm_process_is_alive(s->collector_pid);
	int rc = s->is_over ? 0 : lmm_follow_poll(s->follow);

	if (rc < 0)
		return rc;
	s->is_over = *is_over = rc == 0 || is_alone;
	if (s->is_over && !s->has_told) {
		s->has_told = 1;
		lmm_error("the recording has ended; its last figures are served until Ctrl-C");
	}
	return lmm_analysis_settled(lmm_follow_analysis(s->follow), s->is_over, out);
}

static int serve(const struct serve_opts *opts, struct source *source)
{
	struct lmm_serving_opts o = { .where = opts->prometheus,
				      .allow_remote = opts->allow_remote,
				      .look = look,
				      .ctx = source };
	struct lmm_serving *serving;
	int rc = lmm_serving_open(&o, &serving);

	if (rc)
		return rc;
	printf("%s\n", lmm_serving_url(serving));
	fflush(stdout);
	while (!is_stopped)
		lmm_serving_poll(serving, WAIT_MS);
	lmm_serving_close(serving);
	return LMM_EXIT_OK;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = stop };

	(void)signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
}

int lmm_cmd_serve(int argc, char **argv)
{
	struct serve_opts opts = { 0 };
	struct lmm_folder_session session;
	struct source source = { 0 };
	int rc;

	switch (lmm_options_parse(&lmm_command_serve, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	default:
		break;
	}
	if (!opts.prometheus) {
		lmm_error("say where to serve, as in lmmeter serve --prometheus 127.0.0.1:9464");
		return LMM_EXIT_USAGE;
	}
	rc = lmm_recording_choose(argc > 1 ? argv[1] : NULL, &session);
	if (rc > 0)
		lmm_recordings_say();
	if (rc)
		return LMM_EXIT_FAILURE;
	catch_signals();
	source.collector_pid = session.collector_pid;
	rc = lmm_follow_open(session.out_path, &source.follow);
	/* what is there already would make the first scrape wait */
	if (rc == 0)
		rc = lmm_follow_poll(source.follow);
	if (rc >= 0) {
		rc = serve(&opts, &source);
	} else {
		lmm_error("cannot read %s: %s", session.out_path, lmm_strerror(rc));
		rc = LMM_EXIT_FAILURE;
	}
	lmm_follow_close(source.follow);
	return rc;
}
