/* SPDX-License-Identifier: Apache-2.0 */
/* Tables in the form of LM-Meter's (SEC '25, arXiv 2510.06126): its phases in its order, milliseconds, one of each phase in sum. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "report/format.h"
#include "report/report.h"

/* Lowest and highest of its five models on a Pixel 8 Pro, ms; 2,667 to 9,860 end to end. */
static const struct {
	uint8_t phase;
	const char *name;
	double low_ms, high_ms;
} rows[] = {
	{ LMM_PHASE_EMBEDDING, "embedding", 0.6753, 0.9844 },
	{ LMM_PHASE_PREFILL, "prefill", 2399.386, 9301.1318 },
	{ LMM_PHASE_DECODE, "decode", 34.6845, 62.5669 },
	{ LMM_PHASE_SOFTMAX, "softmax", 142.6166, 502.3319 },
	{ LMM_PHASE_COPY_TO_CPU, "copy_probs_to_cpu", 0.3081, 0.557 },
	{ LMM_PHASE_SAMPLING, "sampling", 0.03, 0.1698 },
};

#define END_TO_END_LOW_MS  2667.3113
#define END_TO_END_HIGH_MS 9859.5473
#define DIFFER_PERCENT	   5.0

static const struct lmm_result_phase *phase_of(const struct lmm_result *r, uint8_t phase)
{
	const struct lmm_result_phase *p = lmm_result_phase_find(r, phase);

	return p && !p->warmup_only && p->stats.count > 0 ? p : NULL;
}

/* Without what happens once: by the other occurrences, or by taking it off where there are none. */
static double steady_ns(const struct lmm_result_phase *p)
{
	if (p->stats.count > p->first_use_count)
		return p->stats.mean_ns;
	return fmax(p->stats.total_ns - p->first_use_ns, 0) / (double)p->stats.count;
}

static double host_ns(const struct lmm_result_phase *p)
{
	uint64_t steady = p->stats.count - p->first_use_count;

	if (steady)
		return (p->host_ns - p->first_use_host_ns) / (double)steady;
	return fmax(p->host_ns - p->first_use_ns, 0) / (double)p->stats.count;
}

static int differs(const struct lmm_result_phase *p)
{
	return fabs(steady_ns(p) - host_ns(p)) * 100 > DIFFER_PERCENT * host_ns(p);
}

static void print_row(FILE *out, const char *name, double ns, double host, const char *count,
		      double low_ms, double high_ms)
{
	fprintf(out, "  %-20s %12.4f %12.4f %10s   %9.4f to %9.4f\n", name, ns / 1e6, host / 1e6,
		count, low_ms, high_ms);
}

static void print_phases(const struct lmm_result *r, FILE *out)
{
	double sum = 0, host_sum = 0;

	fprintf(out,
		"Phase, ms each         attributed     bracketed      count   published, Pixel 8 "
		"Pro\n");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(rows); i++) {
		const struct lmm_result_phase *p = phase_of(r, rows[i].phase);

		if (!p)
			continue;
		print_row(out, rows[i].name, steady_ns(p), host_ns(p),
			  lmm_human_count(p->stats.count).s, rows[i].low_ms, rows[i].high_ms);
		sum += steady_ns(p);
		host_sum += host_ns(p);
	}
	print_row(out, "end to end", sum, host_sum, "", END_TO_END_LOW_MS, END_TO_END_HIGH_MS);
}

static void print_differences(const struct lmm_result *r, FILE *out)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(rows); i++) {
		const struct lmm_result_phase *p = phase_of(r, rows[i].phase);

		if (!p || !differs(p) || !(p->device_ns > 0))
			continue;
		fprintf(out, "  %s: the bracket is %s.\n", rows[i].name,
			host_ns(p) > steady_ns(p)
				? "longer: the host waited in it for the device's earlier work"
				: "shorter: the device went on with its work behind it");
	}
}

static int is_kernel(const struct lmm_result_kernel *k)
{
	return k->stats.count > 0 && strcmp(k->device, "CPU") != 0;
}

/* TVM's name of a kernel is that of its function and this. */
static int name_length(const char *name)
{
	static const char suffix[] = "_kernel";
	size_t n = strlen(name);

	if (n > sizeof(suffix) - 1 && strcmp(name + n - (sizeof(suffix) - 1), suffix) == 0)
		n -= sizeof(suffix) - 1;
	return n > 44 ? 44 : (int)n;
}

static int is_same(const struct lmm_result_kernel *a, const struct lmm_result_kernel *b)
{
	return a->phase == b->phase && strcmp(a->name, b->name) == 0;
}

/* Rows that differ in their role alone are one kernel there. */
static void print_kernel(const struct lmm_result *r, size_t at, FILE *out)
{
	const struct lmm_result_kernel *k = &r->kernels[at];
	double total = 0, count = 0;

	for (size_t i = 0; i < at; i++) {
		if (is_kernel(&r->kernels[i]) && is_same(&r->kernels[i], k))
			return;
	}
	for (size_t i = at; i < r->n_kernels; i++) {
		if (is_kernel(&r->kernels[i]) && is_same(&r->kernels[i], k)) {
			total += r->kernels[i].stats.mean_ns * (double)r->kernels[i].stats.count;
			count += (double)r->kernels[i].stats.count;
		}
	}
	fprintf(out, "  %-44.*s %-11s %12.4f %10s\n", name_length(k->name), k->name,
		lmm_phase_name(k->phase), total / count / 1e6, lmm_human_count((uint64_t)count).s);
}

static void print_kernels(const struct lmm_result *r, FILE *out)
{
	int has_any = 0;

	for (size_t i = 0; i < r->n_kernels; i++) {
		if (!is_kernel(&r->kernels[i]) || r->kernels[i].phase == LMM_PHASE_NONE)
			continue;
		if (!has_any) {
			fputs("\nKernel, ms each                                phase               mean"
			      "      count\n",
			      out);
		}
		has_any = 1;
		print_kernel(r, i, out);
	}
}

void lmm_report_paper(const struct lmm_result *r, FILE *out)
{
	print_phases(r, out);
	fputc('\n', out);
	print_differences(r, out);
	fputs("  attributed: the device's time of the phase, and the host's where the device did nothing.\n"
	      "  bracketed: from the phase's begin to its end on the host.\n"
	      "  Both without the driver's compiling and first launches.\n"
	      "  end to end: one of each phase, as published.\n"
	      "  published: LM-Meter, arXiv 2510.06126, five models of 0.4 to 3 billion parameters; its softmax\n"
	      "      is bracketed by the host. docs/paper.md compares the two.\n",
	      out);
	print_kernels(r, out);
}
