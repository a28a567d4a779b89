/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/options.h"
#include "cli/redact.h"
#include "cli/verify.h"

struct verify_opts {
	uint64_t runs, top, rounds;
	const char *keep;
	int opencl, json, show;
};

static const struct lmm_opt verify_table[] = {
	{ 0, "runs", LMM_OPT_U64, offsetof(struct verify_opts, runs), "N", NULL,
	  "run COMMAND N times for the phases (default 5), and once before to warm up" },
	{ 0, "opencl", LMM_OPT_FLAG, offsetof(struct verify_opts, opencl), NULL, NULL,
	  "verify kernels of OpenCL by running them repeatedly (default: if a device is seen)" },
	{ 0, "top", LMM_OPT_U64, offsetof(struct verify_opts, top), "N", NULL,
	  "so many kernels, those that take most of decode (default 3)" },
	{ 0, "rounds", LMM_OPT_U64, offsetof(struct verify_opts, rounds), "N", NULL,
	  "for each of these N runs (default 3)" },
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct verify_opts, json), NULL, NULL,
	  "a JSON document instead of text (schema lmmeter.verify/1)" },
	{ 0, "keep", LMM_OPT_STRING, offsetof(struct verify_opts, keep), "DIR", NULL,
	  "keep the recordings in DIR, which is made or empty" },
	{ 0, "show", LMM_OPT_FLAG, offsetof(struct verify_opts, show), NULL, NULL,
	  "let COMMAND's output through, to standard error" },
};

static const char *const verify_examples[] = {
	"lmmeter verify -- llama-completion -m model.gguf -p 'Hello' -n 64 -no-cnv",
	"phases, each against an independent recorder and the engine's own timings",
	"lmmeter verify --top 5 -- llama-completion -m m.gguf -ngl 99 -p Hi -n 64 --ignore-eos -no-cnv",
	"and the five longest kernels against their own repetition",
	"lmmeter verify --runs 20 --json -- ./my-benchmark.sh",
	"twenty runs, for programs",
	NULL,
};

const struct lmm_command lmm_command_verify = {
	.name = "verify",
	.synopsis = "[options] -- COMMAND [ARGUMENT]...",
	.summary = "say how true lmmeter's figures are, here and on this engine",
	.description =
		"Phases: runs COMMAND with lmmeter and, around it, a small recorder that shares nothing with it, and says how far "
		"the two agree, with 95 % intervals; beside it llama.cpp's own timings.\n\n"
		"Kernels: runs COMMAND again with every kernel of one name run again behind itself in most decode steps, and says "
		"whether these get longer by as much as lmmeter says that the kernel takes. The text that comes out of such "
		"runs may be wrong, and is dropped. It takes 11 decode steps to compare once; 50 and more per run are better.\n\n"
		"COMMAND gets no input. Ctrl-C ends it and gives what is known so far.",
	.exit_status =
		"0 if phases agree to 99 % and kernels to 98 %, or the difference is within the interval or what "
		"lmmeter's hooks take (phases under 5 us and kernels under 20 us are not judged); 1 if not, or on failure; 2 usage.",
	.opts = verify_table,
	.n_opts = LMM_ARRAY_SIZE(verify_table),
	.examples = verify_examples,
	.args_min = 1,
	.args_max = -1,
	.stops_at_argument = 1,
};

static int check_number(const char *name, uint64_t v, unsigned most)
{
	if (v >= 1 && v <= most)
		return 0;
	lmm_error("--%s takes a number from 1 to %u", name, most);
	return -1;
}

static int check_options(const struct verify_opts *o)
{
	return check_number("runs", o->runs, LMM_VERIFY_RUNS_MAX) ||
	       check_number("top", o->top, LMM_VERIFY_TOP_MAX) ||
	       check_number("rounds", o->rounds, LMM_VERIFY_ROUNDS_MAX);
}

/* ---- runs --------------------------------------------------------------------------------------- */

struct progress {
	int on;
	uint64_t begin_ns;
};

static void show_progress(void *arg, const char *what, unsigned number, unsigned of)
{
	const struct progress *p = arg;

	if (!p->on)
		return;
	if (number) {
		fprintf(stderr, "\r\x1b[K%s %u of %u", what, number, of);
	} else {
		fprintf(stderr, "\r\x1b[Kwarming up");
	}
	fprintf(stderr, " ... %.0f s", (double)(lmm_mono_ns() - p->begin_ns) / 1e9);
	fflush(stderr);
}

static int run_all(struct lmm_overhead_bench *b, const struct verify_opts *o,
		   struct lmm_verify_outcome *out)
{
	struct progress p = { isatty(STDERR_FILENO) && !o->show, lmm_mono_ns() };
	const struct lmm_verify_plan plan = { .runs = (unsigned)o->runs,
					      .top = (unsigned)o->top,
					      .rounds = (unsigned)o->rounds,
					      .progress = show_progress,
					      .arg = &p };
	int rc = lmm_verify_phases_run(b, &plan, out);

	out->asked = o->opencl;
	if (rc == 0 && (o->opencl || out->device_seen))
		rc = lmm_verify_kernels_run(b, &plan, out);
	if (p.on)
		fputs("\r\x1b[K", stderr);
	out->elapsed_ns = (double)(lmm_mono_ns() - p.begin_ns);
	out->end = LMM_OVERHEAD_END_PAIRS;
	if (rc)
		out->end = rc == -EINTR ? LMM_OVERHEAD_END_SIGNAL : LMM_OVERHEAD_END_FAILED;
	return rc;
}

/* ---- the command -------------------------------------------------------------------------------- */

static int print_outcome(const struct verify_opts *o, const struct lmm_verify_outcome *out)
{
	int rc;

	(void)signal(SIGPIPE, SIG_IGN); /* not before: the command would inherit it */
	if (o->json) {
		lmm_verify_print_json(out, stdout);
	} else {
		lmm_verify_print_text(out, stdout);
	}
	rc = lmm_stdout_finish();
	if (rc)
		return lmm_output_failed("standard output", rc);
	return lmm_verify_passed(out) ? LMM_EXIT_OK : LMM_EXIT_FAILURE;
}

static int measure(struct lmm_overhead_bench *b, const struct verify_opts *o)
{
	static struct lmm_verify_outcome out;
	int rc, status = LMM_EXIT_FAILURE;

	out.command_name = lmm_base_name(b->argv[0]);
	out.kept = b->keep ? b->folder : NULL;
	lmm_host_read(&out.host);
	rc = run_all(b, o, &out);
	if (out.n) {
		status = print_outcome(o, &out);
	} else if (rc == -EINTR) {
		lmm_error("it was ended before a run was measured");
	}
	lmm_verify_kernels_free(&out);
	return rc && rc != -EINTR ? LMM_EXIT_FAILURE : status;
}

int lmm_cmd_verify(int argc, char **argv)
{
	static struct lmm_overhead_bench b;
	struct verify_opts o = { .runs = 5, .top = 3, .rounds = 3 };
	int status;

	switch (lmm_options_parse(&lmm_command_verify, &argc, argv, &o)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	default:
		break;
	}
	if (check_options(&o))
		return LMM_EXIT_USAGE;
	b.argv = argv + 1;
	b.show = o.show;
	if (lmm_overhead_open(&b, o.keep))
		return LMM_EXIT_FAILURE;
	status = measure(&b, &o);
	lmm_overhead_close(&b);
	return status;
}
