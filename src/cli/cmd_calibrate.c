/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/options.h"
#include "cli/peaks_store.h"
#include "lmmeter/trace.h"
#include "report/format.h"

#define THREADS_MAX 1024u
#define SECONDS_MAX 3600.0

struct calibrate_opts {
	uint64_t threads;
	const char *seconds, *output;
	int opencl, json, force;
};

static const struct lmm_opt options[] = {
	{ 0, "threads", LMM_OPT_U64, offsetof(struct calibrate_opts, threads), "N", NULL,
	  "measure 1 to N threads (default: as many as there are CPUs for this process)" },
	{ 0, "seconds", LMM_OPT_STRING, offsetof(struct calibrate_opts, seconds), "S", NULL,
	  "time for all of the CPU's measurements together, about; and for each OpenCL device (default 10)" },
	{ 0, "opencl", LMM_OPT_FLAG, offsetof(struct calibrate_opts, opencl), NULL, NULL,
	  "measure OpenCL devices, too" },
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct calibrate_opts, json), NULL, NULL,
	  "a JSON document instead of text (schema lmmeter.peaks/1)" },
	{ 'o', "output", LMM_OPT_STRING, offsetof(struct calibrate_opts, output), "FILE", NULL,
	  "store the peaks in FILE instead of the cache" },
	{ 0, "force", LMM_OPT_FLAG, offsetof(struct calibrate_opts, force), NULL, NULL,
	  "overwrite FILE if it exists" },
};

static const char *const examples[] = {
	"lmmeter calibrate",
	"measure this machine; roofline finds the result",
	"lmmeter calibrate --opencl --seconds 20",
	"the same with every OpenCL device, more thoroughly",
	"lmmeter calibrate -o phone.json",
	"for a recording that is looked at elsewhere: roofline --peaks phone.json",
	NULL,
	NULL,
};

const struct lmm_command lmm_command_calibrate = {
	.name = "calibrate",
	.synopsis = "[options]",
	.summary = "measure what this machine can do at most",
	.description =
		"Measures how fast this machine reads memory and caches and computes, with 1 to N threads, and keeps the result in "
		"$XDG_CACHE_HOME/lmmeter (~/.cache/lmmeter) for `lmmeter roofline`. Let nothing else run meanwhile. The peak is the best of "
		"several repetitions; the spread says how far below it the median was.",
	.exit_status = "0; 1 if something could not be measured or stored; 2 usage.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 0,
	.args_max = 0,
};

/* ---- text --------------------------------------------------------------------------------------- */

static void print_rate(const struct lmm_peak *peak, const char *unit)
{
	char text[64];

	if (!(peak->best > 0)) {
		printf("%21s", "-");
		return;
	}
	(void)snprintf(text, sizeof(text), "%s %s", lmm_human_rate(peak->best / 1e9).s, unit);
	printf("%13s %7s", text, lmm_human_percent(lmm_peak_spread_percent(peak)).s);
}

static void print_row(const struct lmm_peaks *p, const struct lmm_peaks_row *row)
{
	printf("  %7u", row->threads);
	print_rate(&row->read, "GB/s");
	print_rate(&row->f32, "GFLOP/s");
	print_rate(&row->int8, "GOP/s");
	for (uint32_t i = 0; i < p->n_caches; i++)
		printf("%9s", lmm_human_rate(row->cache[i].best / 1e9).s);
	putchar('\n');
}

static void print_cpu(const struct lmm_peaks *p)
{
	char safe[512];

	(void)lmm_text_fit(safe, sizeof(safe), p->cpu, 80);
	printf("%s, %u CPUs\n\n", safe, p->cpus);
	printf("  %7s%13s %7s%13s %7s%13s %7s", "threads", "memory", "spread", "f32", "spread",
	       "int8", "spread");
	for (uint32_t i = 0; i < p->n_caches; i++)
		printf("%8s%u", "L", p->caches[i].level);
	putchar('\n');
	for (uint32_t i = 0; i < p->n_rows; i++)
		print_row(p, &p->rows[i]);
	putchar('\n');
	lmm_say(stdout, "read: %s, from caches (GB/s)%s per thread; f32 by %s, int8 by %s",
		lmm_human_bytes((double)p->working_set_bytes).s, p->n_caches ? " half of one" : "",
		p->f32_isa, p->int8_isa[0] ? p->int8_isa : "nothing that this build knows");
}

static void print_devices(const struct lmm_peaks *p)
{
	char safe[512];

	for (uint32_t i = 0; i < p->n_devices; i++) {
		const struct lmm_peaks_device *d = &p->devices[i];

		(void)lmm_text_fit(safe, sizeof(safe), d->name, 60);
		printf("\nOpenCL: %s, %u compute units\n\n  %7s", safe, d->compute_units, "");
		print_rate(&d->read, "GB/s");
		print_rate(&d->f32, "GFLOP/s");
		printf("   from %s\n", lmm_human_bytes((double)d->working_set_bytes).s);
	}
}

static void print_noise(const struct lmm_peaks *p)
{
	double spread = lmm_peaks_spread_percent(p);

	if (spread <= LMM_PEAKS_NOISY_PERCENT)
		return;
	putchar('\n');
	lmm_say(stdout,
		"TOO NOISY: half of some repetitions were more than %s below the best. Something else ran, or the clock changed: stop "
		"it and measure again, or longer (--seconds).",
		lmm_human_percent(LMM_PEAKS_NOISY_PERCENT).s);
}

/* ---- command ------------------------------------------------------------------------------------ */

static int file_finish(const struct lmm_peaks *p, const char *path, FILE *out)
{
	int rc;

	lmm_peaks_json(p, out);
	rc = lmm_output_close(out);
	if (rc == 0)
		return LMM_EXIT_OK;
	lmm_output_discard(path);
	return lmm_output_failed(path, rc);
}

static int cache_store(const struct lmm_peaks *p)
{
	char path[4096] = "";
	int rc = lmm_peaks_store(p, path, sizeof(path));

	if (rc == 0) {
		lmm_error("stored in %s", path);
		return LMM_EXIT_OK;
	}
	if (path[0])
		return lmm_output_failed(path, rc);
	lmm_error(
		"cannot store the peaks: neither XDG_CACHE_HOME nor HOME names a folder (-o FILE)");
	return LMM_EXIT_FAILURE;
}

static void print_peaks(const struct lmm_peaks *p, const struct calibrate_opts *opts)
{
	if (opts->json) {
		lmm_peaks_json(p, stdout);
		return;
	}
	print_cpu(p);
	print_devices(p);
	print_noise(p);
}

static int calibrate(const struct lmm_calibration *c, const struct calibrate_opts *opts,
		     struct lmm_peaks *p)
{
	int is_stdout = opts->output && strcmp(opts->output, "-") == 0, status, rc;
	FILE *out = NULL;

	/* before anything takes time */
	rc = opts->output ? lmm_output_open(opts->output, opts->force, &out) : 0;
	if (rc < 0)
		return lmm_output_failed(opts->output, rc);
	if (lmm_peaks_measure(c, p)) {
		if (out)
			(void)lmm_output_close(out);
		lmm_output_discard(opts->output);
		return LMM_EXIT_FAILURE;
	}
	status = out ? file_finish(p, opts->output, out) : cache_store(p);
	if (status == LMM_EXIT_OK && !is_stdout)
		print_peaks(p, opts);
	rc = lmm_stdout_finish();
	return rc < 0 && rc != -EPIPE ? lmm_output_failed("standard output", rc) : status;
}

/* 0 and *c filled, or -1 when what is wrong was said. */
static int usage_check(const struct calibrate_opts *opts, struct lmm_calibration *c)
{
	char *end = NULL;

	c->threads = opts->threads;
	c->opencl = opts->opencl;
	c->seconds = opts->seconds ? strtod(opts->seconds, &end) : LMM_CALIBRATE_SECONDS;
	if (opts->threads == 0 || opts->threads > THREADS_MAX) {
		if (opts->threads != UINT64_MAX) {
			lmm_error("--threads takes a number from 1 to %u", THREADS_MAX);
			return -1;
		}
		c->threads = 0;
	}
	if ((end && (*end || end == opts->seconds)) ||
	    !(c->seconds > 0 && c->seconds <= SECONDS_MAX)) {
		lmm_error("--seconds takes a number above 0, up to %g", SECONDS_MAX);
		return -1;
	}
	return 0;
}

int lmm_cmd_calibrate(int argc, char **argv)
{
	struct calibrate_opts opts = { .threads = UINT64_MAX };
	struct lmm_calibration c;
	struct lmm_peaks *p;
	int status;

	switch (lmm_options_parse(&lmm_command_calibrate, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	if (usage_check(&opts, &c))
		return LMM_EXIT_USAGE;
	(void)signal(SIGPIPE, SIG_IGN);
	p = malloc(sizeof(*p));
	if (!p)
		return lmm_output_failed("the peaks", -ENOMEM);
	status = calibrate(&c, &opts, p);
	free(p);
	return status;
}
