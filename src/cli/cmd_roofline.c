/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/analysis.h"
#include "base/compiler.h"
#include "cli/engine_threads.h"
#include "cli/options.h"
#include "cli/peaks_store.h"
#include "cli/recover.h"
#include "collect/host.h"
#include "report/roofline.h"

#define WARNINGS_MAX  16
#define WARNING_BYTES 320
#define THREADS_MAX   1024u

struct roofline_opts {
	const char *peaks;
	uint64_t threads;
	int calibrate, kernels, json;
};

static const struct lmm_opt options[] = {
	{ 0, "peaks", LMM_OPT_STRING, offsetof(struct roofline_opts, peaks), "FILE", NULL,
	  "peaks of the machine that was recorded, by lmmeter calibrate -o FILE" },
	{ 0, "threads", LMM_OPT_U64, offsetof(struct roofline_opts, threads), "N", NULL,
	  "the engine used N threads (default: what the recording tells)" },
	{ 0, "calibrate", LMM_OPT_FLAG, offsetof(struct roofline_opts, calibrate), NULL, NULL,
	  "measure this machine first, as lmmeter calibrate does" },
	{ 0, "kernels", LMM_OPT_FLAG, offsetof(struct roofline_opts, kernels), NULL, NULL,
	  "every operator, not only the ten longest" },
	{ 0, "json", LMM_OPT_FLAG, offsetof(struct roofline_opts, json), NULL, NULL,
	  "a JSON document instead of text (schema lmmeter.roofline/1)" },
};

static const char *const examples[] = {
	"lmmeter calibrate && lmmeter roofline run.lmt",
	"every operator against the peaks of this machine",
	"lmmeter roofline run.lmt --json | jq .mbu.percent",
	"how much of the memory's bandwidth a token uses",
	"lmmeter roofline phone.lmt --peaks phone.json",
	"a recording of another machine, with that machine's peaks",
	NULL,
	NULL,
};

const struct lmm_command lmm_command_roofline = {
	.name = "roofline",
	.synopsis = "FILE [options]",
	.summary = "hold every operator against what this machine can do",
	.description =
		"Says of every phase and operator how many bytes and operations per second it reached, what share of the measured "
		"peaks that is, and which of them bounds it; and how much of the memory's bandwidth a token uses (MBU). docs/roofline.md defines "
		"each figure. Peaks come from `lmmeter calibrate`.",
	.exit_status = "0; 1 if a file cannot be read, or there are no peaks for it; 2 usage.",
	.opts = options,
	.n_opts = LMM_ARRAY_SIZE(options),
	.examples = examples,
	.args_min = 1,
	.args_max = 1,
};

/* What is said beside the figures. */
struct notes {
	char text[WARNINGS_MAX][WARNING_BYTES];
	const char *list[WARNINGS_MAX];
	size_t n;
};

LMM_PRINTF(2, 3) static void note(struct notes *x, const char *format, ...)
{
	va_list ap;

	if (x->n == WARNINGS_MAX)
		return;
	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	(void)vsnprintf(x->text[x->n], WARNING_BYTES, format, ap);
	va_end(ap);
	x->list[x->n] = x->text[x->n];
	x->n++;
}

/* ---- peaks -------------------------------------------------------------------------------------- */

static int has_devices(const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (strcmp(r->kernels[i].device, "CPU") != 0)
			return 1;
	}
	return 0;
}

static int peaks_failed(const char *path, int rc, const char *why)
{
	if (why[0]) {
		lmm_error("%s holds no peaks: %s; lmmeter calibrate makes such a file", path, why);
	} else {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
	}
	return -1;
}

static int peaks_given(const struct lmm_result *r, const char *path, struct lmm_peaks *p,
		       struct notes *notes)
{
	char why[160] = "";
	int rc = lmm_peaks_read(path, p, why, sizeof(why));

	if (rc < 0)
		return peaks_failed(path, rc, why);
	if (strcmp(p->cpu, r->host_cpu) != 0 || p->cpus != r->host_cpus) {
		note(notes, "the peaks are of another machine (%s, %u CPUs) than the recording",
		     p->cpu, p->cpus);
	}
	return 0;
}

static int peaks_measured(const struct lmm_result *r, struct lmm_peaks *p)
{
	const struct lmm_calibration c = { .seconds = LMM_CALIBRATE_SECONDS,
					   .opencl = has_devices(r) };
	char path[4096];
	int rc;

	if (lmm_peaks_measure(&c, p))
		return -1;
	rc = lmm_peaks_store(p, path, sizeof(path));
	if (rc < 0)
		lmm_error("the peaks are used, but could not be stored: %s", lmm_strerror(rc));
	return 0;
}

static int peaks_stored(const char *file, const struct lmm_host *host, struct lmm_peaks *p)
{
	char path[4096], why[160] = "";
	int rc = lmm_peaks_path(host->cpu, host->cpus, path, sizeof(path));

	if (rc == 0)
		rc = lmm_peaks_read(path, p, why, sizeof(why));
	if (rc == -ENOENT) {
		lmm_error(
			"this machine's peaks are not known: run lmmeter calibrate (10 s), or lmmeter roofline %s --calibrate",
			file);
		return -1;
	}
	if (rc < 0)
		return peaks_failed(path, rc, why);
	if (strcmp(p->cpu, host->cpu) != 0 || p->cpus != host->cpus) {
		lmm_error("%s is of another machine (%s, %u CPUs): run lmmeter calibrate", path,
			  p->cpu, p->cpus);
		return -1;
	}
	return 0;
}

/* 0 and *p filled, or -1 when it was said why not. */
static int peaks_find(const char *file, const struct lmm_result *r,
		      const struct roofline_opts *opts, struct lmm_peaks *p, struct notes *notes)
{
	struct lmm_host host;

	if (opts->peaks)
		return peaks_given(r, opts->peaks, p, notes);
	lmm_host_read(&host);
	if (strcmp(host.cpu, r->host_cpu) != 0 || host.cpus != r->host_cpus) {
		lmm_error(
			"%s was recorded on another machine (%s, %u CPUs; this is %s, %u CPUs): run lmmeter calibrate -o FILE there and give it with --peaks FILE",
			file, r->host_cpu, r->host_cpus, host.cpu, host.cpus);
		return -1;
	}
	return opts->calibrate ? peaks_measured(r, p) : peaks_stored(file, &host, p);
}

/* ---- which of them ------------------------------------------------------------------------------ */

static struct lmm_roof roof_of_row(const struct lmm_peaks_row *row)
{
	return (struct lmm_roof){ row->read.best, row->f32.best, row->int8.best };
}

/* Peaks of so many threads; of the most that were measured if that is not known, or more. */
static struct lmm_roof cpu_roof(const struct lmm_peaks *p, struct lmm_roofline_threads *t,
				struct notes *notes)
{
	const struct lmm_peaks_row *last = &p->rows[p->n_rows - 1];
	struct lmm_peaks_row row;

	if (t->threads && lmm_peaks_at(p, t->threads, &row) == 0) {
		t->measured = t->threads;
		return roof_of_row(&row);
	}
	t->measured = last->threads;
	if (t->threads > last->threads) {
		note(notes,
		     "the engine used %u threads, peaks were measured for up to %u: these are taken (lmmeter calibrate --threads %u)",
		     t->threads, last->threads, t->threads);
	} else if (t->threads) {
		note(notes, "peaks were not measured for %u threads: those of %u are taken",
		     t->threads, last->threads);
	}
	return roof_of_row(last);
}

static void devices_take(const struct lmm_peaks *p, const struct lmm_result *r,
			 struct lmm_roofline_peaks *to, struct notes *notes)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		const char *name = r->kernels[i].device;
		const struct lmm_peaks_device *d = lmm_peaks_device(p, name);
		int is_said = strcmp(name, "CPU") == 0;

		for (size_t k = 0; k < i && !is_said; k++)
			is_said = strcmp(r->kernels[k].device, name) == 0;
		if (is_said)
			continue;
		if (!d || to->n_devices == LMM_ROOFLINE_DEVICES_MAX) {
			note(notes, "no peaks of %s: run lmmeter calibrate --opencl", name);
			continue;
		}
		to->devices[to->n_devices].name = d->name;
		to->devices[to->n_devices].roof.read_bytes = d->read.best;
		to->devices[to->n_devices++].roof.f32_ops = d->f32.best;
	}
}

static void peaks_take(const struct lmm_peaks *p, const struct lmm_result *r,
		       struct lmm_roofline_peaks *to, struct lmm_roofline_report *x,
		       struct notes *notes)
{
	to->cpu = cpu_roof(p, &x->decode, notes);
	if (x->prefill.threads == x->decode.threads) {
		x->prefill = x->decode;
		to->cpu_prefill = to->cpu;
	} else {
		to->cpu_prefill = cpu_roof(p, &x->prefill, notes);
	}
	x->one_thread = roof_of_row(&p->rows[0]);
	devices_take(p, r, to, notes);
	x->measured_realtime_ns = p->measured_realtime_ns;
	x->spread_percent = lmm_peaks_spread_percent(p);
	x->is_noisy = x->spread_percent > LMM_PEAKS_NOISY_PERCENT;
	if (x->is_noisy) {
		note(notes,
		     "the peaks were measured on a machine that was not quiet (spread %.0f %%): shares may be too high",
		     x->spread_percent);
	}
}

/* ---- command ------------------------------------------------------------------------------------ */

static int print_roofline(const struct lmm_result *r, const struct roofline_opts *opts,
			  const struct lmm_peaks *p, struct notes *notes)
{
	struct lmm_roofline_report x = { .r = r, .all_kernels = opts->kernels };
	struct lmm_roofline_peaks peaks = { 0 };
	struct lmm_roofline l;
	int rc;

	x.threads_source = lmm_engine_threads(r, (uint32_t)opts->threads, &x.decode.threads,
					      &x.prefill.threads);
	peaks_take(p, r, &peaks, &x, notes);
	rc = lmm_roofline_make(r, &peaks, &l);
	if (rc < 0)
		return lmm_output_failed("standard output", rc);
	x.l = &l;
	x.peaks = &peaks;
	x.warnings = notes->list;
	x.n_warnings = notes->n;
	if (opts->json) {
		lmm_report_roofline_json(&x, stdout);
	} else {
		lmm_report_roofline_text(&x, stdout);
	}
	lmm_roofline_free(&l);
	rc = lmm_stdout_finish();
	return rc < 0 ? lmm_output_failed("standard output", rc) : LMM_EXIT_OK;
}

static int roofline_file(const char *path, const struct roofline_opts *opts, struct lmm_peaks *p)
{
	struct lmm_analysis_file_opts analysis = { 0 };
	enum lmm_trace_state state = LMM_TRACE_READING;
	int rc, status = LMM_EXIT_FAILURE;
	struct notes notes = { .n = 0 };
	struct lmm_result *r;

	lmm_recover(path);
	rc = lmm_analysis_file(path, &analysis, &r, &state);
	if (rc < 0) {
		lmm_error("cannot read %s: %s", path, lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	if (state == LMM_TRACE_CUT) {
		note(&notes, "the recording was cut: it is shown up to there");
	} else if (state == LMM_TRACE_CORRUPT) {
		note(&notes, "the recording is damaged: it is shown up to there");
	}
	if (r->n_kernels == 0) {
		lmm_error("%s holds no operator or kernel that could be held against peaks", path);
	} else if (peaks_find(path, r, opts, p, &notes) == 0) {
		status = print_roofline(r, opts, p, &notes);
	}
	lmm_result_destroy(r);
	return status;
}

static int usage_check(const struct roofline_opts *opts)
{
	if (opts->threads == 0 || (opts->threads > THREADS_MAX && opts->threads != UINT64_MAX)) {
		lmm_error("--threads takes a number from 1 to %u", THREADS_MAX);
		return -1;
	}
	if (opts->peaks && opts->calibrate) {
		lmm_error("--peaks and --calibrate: one at a time");
		return -1;
	}
	return 0;
}

int lmm_cmd_roofline(int argc, char **argv)
{
	struct roofline_opts opts = { .threads = UINT64_MAX };
	struct lmm_peaks *p;
	int status;

	switch (lmm_options_parse(&lmm_command_roofline, &argc, argv, &opts)) {
	case LMM_PARSE_HELP:
		return LMM_EXIT_OK;
	case LMM_PARSE_USAGE:
		return LMM_EXIT_USAGE;
	case LMM_PARSE_OK:
		break;
	}
	if (usage_check(&opts))
		return LMM_EXIT_USAGE;
	opts.threads = opts.threads == UINT64_MAX ? 0 : opts.threads;
	(void)signal(SIGPIPE, SIG_IGN);
	p = calloc(1, sizeof(*p));
	if (!p)
		return lmm_output_failed("the peaks", -ENOMEM);
	status = roofline_file(argv[1], &opts, p);
	free(p);
	return status;
}
