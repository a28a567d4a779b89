/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/launch.h"
#include "cli/options.h"
#include "cli/overhead.h"
#include "cli/redact.h"

#define TIME_DEFAULT_S 120
#define SERIES_MAX     8
#define NOT_GIVEN      UINT64_MAX

struct overhead_opts {
	uint64_t pairs; /* 0: as many as it takes */
	const char *time;
	const char *governors;
	const char *keep;
	int json;
	int show;
	/* read from the above */
	uint64_t time_s;
	char names[SERIES_MAX][LMM_GOVERNOR_NAME_BYTES];
	unsigned n_names;
};

static const struct lmm_opt overhead_table[] = {
	{ 0, "pairs", LMM_OPT_U64, offsetof(struct overhead_opts, pairs), "N", NULL,
	  "run N pairs (default: until decode is known to ± 0.5 %, 3 to 10)" },
	{ 0, "time", LMM_OPT_STRING, offsetof(struct overhead_opts, time), "TIME", NULL,
	  "begin no pair after TIME, 90s or 5m, but for the first three (default 120s, none with "
	  "--pairs)" },
	{ 0, "governors", LMM_OPT_STRING, offsetof(struct overhead_opts, governors), "LIST", NULL,
	  "all of it under each of these CPU frequency governors, powersave,performance; what "
	  "was set is set again at the end" },
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct overhead_opts, json), NULL, NULL,
	  "a JSON document instead of text (schema lmmeter.overhead/1)" },
	{ 0, "keep", LMM_OPT_STRING, offsetof(struct overhead_opts, keep), "DIR", NULL,
	  "keep the recordings in DIR, which is made or empty" },
	{ 0, "show", LMM_OPT_FLAG, offsetof(struct overhead_opts, show), NULL, NULL,
	  "let COMMAND's output through, to standard error" },
};

static const char *const overhead_examples[] = {
	"lmmeter overhead -- llama-completion -m model.gguf -p 'Hello' -n 64 -no-cnv",
	"how much slower this gets, with intervals",
	"lmmeter overhead --pairs 30 --json -- llama-bench -m model.gguf",
	"thirty pairs, for programs",
	"lmmeter overhead --governors performance,powersave -- ./my-benchmark.sh",
	"at high and at low clock rates",
	NULL,
};

const struct lmm_command lmm_command_overhead = {
	.name = "overhead",
	.synopsis = "[options] -- COMMAND [ARGUMENT]...",
	.summary = "say how much recording slows a command down",
	.description =
		"Runs COMMAND with and without lmmeter, in pairs of random order, the first of which warms up and is left out, "
		"and compares prefill, decode and the whole process, with 95 % intervals. Both arms are timed by a small recorder "
		"that shares nothing with lmmeter. Beside it stands what follows from lmmeter's calibrated cost per record. "
		"COMMAND gets no input, and its output is dropped. Ctrl-C ends it and gives what was measured so far.",
	.exit_status =
		"0, whatever was found; 1 if COMMAND failed or no pair could be measured; 2 usage.",
	.opts = overhead_table,
	.n_opts = LMM_ARRAY_SIZE(overhead_table),
	.examples = overhead_examples,
	.args_min = 1,
	.args_max = -1,
	.stops_at_argument = 1,
};

/* ---- options ------------------------------------------------------------------------------------ */

static int parse_time(const char *text, uint64_t *seconds)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > 1000000)
			return -ERANGE;
	}
	if (p == text)
		return -EINVAL;
	if (strcmp(p, "m") == 0) {
		v *= 60;
	} else if (*p && strcmp(p, "s") != 0) {
		return -EINVAL;
	}
	*seconds = v;
	return 0;
}

static int parse_governors(struct overhead_opts *o)
{
	const char *p = o->governors;

	while (1) {
		size_t n = strcspn(p, ",");

		if (n == 0 || n >= LMM_GOVERNOR_NAME_BYTES || o->n_names == SERIES_MAX ||
		    strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789") < n)
			return -EINVAL;
		memcpy(o->names[o->n_names++], p, n);
		if (!p[n])
			return 0;
		p += n + 1;
	}
}

static int check_options(struct overhead_opts *o)
{
	if (o->pairs == NOT_GIVEN) {
		o->pairs = 0;
	} else if (o->pairs == 0 || o->pairs > LMM_OVERHEAD_PAIRS_MAX) {
		lmm_error("--pairs takes a number from 1 to %u", LMM_OVERHEAD_PAIRS_MAX);
		return -1;
	}
	o->time_s = o->pairs ? UINT64_MAX : TIME_DEFAULT_S;
	if (o->time && parse_time(o->time, &o->time_s)) {
		lmm_error("--time takes a time such as 90s or 5m, not '%s'", o->time);
		return -1;
	}
	if (o->governors && parse_governors(o)) {
		lmm_error("--governors takes up to %d names with commas between them, not '%s'",
			  SERIES_MAX, o->governors);
		return -1;
	}
	return 0;
}

/* ---- pairs -------------------------------------------------------------------------------------- */

struct progress {
	int on;
	const char *governor;
	uint64_t begin_ns;
};

static void show_progress(const struct progress *p, unsigned pair, unsigned of, int at_most)
{
	char what[64] = "warming up";

	if (!p->on)
		return;
	if (pair) {
		(void)snprintf(what, sizeof(what), "pair %u of %s%u", pair,
			       at_most ? "at most " : "", of);
	}
	fprintf(stderr, "\r\x1b[K%s%s%s ... %.0f s", p->governor ? p->governor : "",
		p->governor ? ": " : "", what, (double)(lmm_mono_ns() - p->begin_ns) / 1e9);
	fflush(stderr);
}

static void clear_progress(const struct progress *p)
{
	if (p->on)
		fputs("\r\x1b[K", stderr);
}

static int coin(void)
{
	unsigned char c = 0;

	if (getrandom(&c, 1, GRND_NONBLOCK) != 1)
		c = (unsigned char)(lmm_mono_ns() >> 10);
	return c & 1;
}

static int run_pair(struct lmm_overhead_bench *b, const char *governor, unsigned number,
		    struct lmm_overhead_pair *pair, struct lmm_overhead_cost *cost)
{
	for (int k = 0; k < 2; k++) {
		int with = pair->with_first ^ k;
		char name[96];
		int rc;

		(void)snprintf(name, sizeof(name), "%s%spair%03u-%s", governor ? governor : "",
			       governor ? "-" : "", number, with ? "with" : "without");
		rc = lmm_overhead_run_once(b, name, with, with ? &pair->with : &pair->without,
					   cost);
		if (rc)
			return rc;
	}
	return 0;
}

/* 1: no further pair, and s->end says why. */
static int is_enough(const struct overhead_opts *o, struct lmm_overhead_series *s, unsigned most,
		     uint64_t begin_ns)
{
	struct lmm_overhead_metric m;

	s->end = LMM_OVERHEAD_END_PAIRS;
	if (s->n >= most)
		return 1;
	if (s->n < LMM_OVERHEAD_PAIRS_MIN)
		return 0;
	s->end = LMM_OVERHEAD_END_TIME;
	if ((lmm_mono_ns() - begin_ns) / 1000000000u >= o->time_s)
		return 1;
	if (o->pairs)
		return 0;
	lmm_overhead_compare(s->pairs, s->n, LMM_OVERHEAD_DECODE, &m);
	if (!m.slowdown.n)
		lmm_overhead_compare(s->pairs, s->n, LMM_OVERHEAD_WALL, &m);
	s->end = LMM_OVERHEAD_END_PRECISION;
	return m.slowdown.n >= LMM_OVERHEAD_PAIRS_MIN &&
	       m.slowdown.half_width_percent <= LMM_OVERHEAD_TARGET_PERCENT;
}

static int run_series(struct lmm_overhead_bench *b, const struct overhead_opts *o,
		      struct lmm_overhead_series *s)
{
	unsigned most = o->pairs ? (unsigned)o->pairs : LMM_OVERHEAD_PAIRS_DEFAULT;
	struct progress p = { isatty(STDERR_FILENO) && !o->show, s->governor, lmm_mono_ns() };
	struct lmm_overhead_pair warm_up = { 0 };
	struct lmm_overhead_cost unused = { 0 };
	int rc;

	s->pairs = calloc(most, sizeof(*s->pairs));
	if (!s->pairs) {
		lmm_error("out of memory");
		return -1;
	}
	show_progress(&p, 0, 0, 0);
	rc = run_pair(b, s->governor, 0, &warm_up, &unused);
	while (rc == 0 && !is_enough(o, s, most, p.begin_ns)) {
		struct lmm_overhead_pair *pair = &s->pairs[s->n];

		show_progress(&p, s->n + 1, most, !o->pairs);
		pair->with_first = (uint8_t)coin();
		rc = run_pair(b, s->governor, s->n + 1, pair, &s->cost);
		s->n += rc == 0;
	}
	clear_progress(&p);
	s->elapsed_ns = (double)(lmm_mono_ns() - p.begin_ns);
	if (rc)
		s->end = rc == -EINTR ? LMM_OVERHEAD_END_SIGNAL : LMM_OVERHEAD_END_FAILED;
	return rc;
}

/* ---- governors ---------------------------------------------------------------------------------- */

/* Each once, so that a name that the kernel does not know shows now and not after minutes. */
static int try_governors(const struct lmm_governors *g, const struct overhead_opts *o)
{
	int rc = 0;

	for (unsigned i = 0; i < o->n_names && rc == 0; i++) {
		rc = lmm_governors_set(g, o->names[i]);
		if (rc) {
			lmm_error("the governor %s cannot be set: %s", o->names[i],
				  rc == -EINVAL ? "the kernel does not know it" : lmm_strerror(rc));
		}
	}
	if (lmm_governors_restore(g))
		lmm_error("a governor could not be set back");
	return rc ? -1 : 0;
}

static int run_governors(struct lmm_overhead_bench *b, const struct overhead_opts *o,
			 const struct lmm_governors *g, struct lmm_overhead_outcome *out)
{
	int rc = try_governors(g, o);

	for (unsigned i = 0; i < o->n_names && rc == 0; i++) {
		out->series[i].governor = o->names[i];
		out->n = i + 1;
		rc = lmm_governors_set(g, o->names[i]);
		if (rc == 0)
			rc = run_series(b, o, &out->series[i]);
	}
	if (lmm_governors_restore(g)) {
		lmm_error("a governor could not be set back; cpu0 had %s", g->former[0]);
		rc = rc ? rc : -1;
	}
	return rc;
}

static int run_all(struct lmm_overhead_bench *b, const struct overhead_opts *o,
		   struct lmm_overhead_outcome *out)
{
	static struct lmm_governors g;
	int rc;

	if (o->governors) {
		rc = lmm_governors_open(&g, LMM_GOVERNORS_ROOT);
		if (rc == 0)
			return run_governors(b, o, &g, out);
		out->governors_error = rc == -ENOENT
					       ? "this machine shows no cpufreq"
					       : "this user may not set this machine's governors";
	}
	out->n = 1;
	return run_series(b, o, &out->series[0]);
}

/* ---- the command -------------------------------------------------------------------------------- */

static int print_outcome(const struct overhead_opts *o, const struct lmm_overhead_outcome *out)
{
	int rc;

	(void)signal(SIGPIPE, SIG_IGN); /* not before: the command would inherit it */
	if (o->json) {
		lmm_overhead_print_json(out, stdout);
	} else {
		lmm_overhead_print_text(out, stdout);
	}
	rc = lmm_stdout_finish();
	return rc ? lmm_output_failed("standard output", rc) : LMM_EXIT_OK;
}

static int measure(struct lmm_overhead_bench *b, const struct overhead_opts *o)
{
	struct lmm_overhead_series series[SERIES_MAX] = { 0 };
	struct lmm_overhead_outcome out = { .command_name = lmm_base_name(b->argv[0]),
					    .governors_asked = o->governors,
					    .kept = b->keep ? b->folder : NULL,
					    .series = series };
	unsigned measured = 0;
	int rc, status = LMM_EXIT_FAILURE;

	lmm_host_read(&out.host);
	rc = run_all(b, o, &out);
	for (unsigned i = 0; i < out.n; i++)
		measured += series[i].n;
	if (measured) {
		status = print_outcome(o, &out);
	} else if (rc == -EINTR) {
		lmm_error("it was ended before a pair was measured");
	}
	for (unsigned i = 0; i < out.n; i++)
		free(series[i].pairs);
	return rc && rc != -EINTR ? LMM_EXIT_FAILURE : status;
}

int lmm_cmd_overhead(int argc, char **argv)
{
	static struct lmm_overhead_bench b;
	struct overhead_opts o = { .pairs = NOT_GIVEN };
	int status;

	switch (lmm_options_parse(&lmm_command_overhead, &argc, argv, &o)) {
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
