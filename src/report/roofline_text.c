/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "report/roofline.h"
#include "report/text_internal.h"

#define TOP_KERNELS 10

static struct lmm_human rate(double per_second)
{
	return lmm_human_rate(per_second / 1e9);
}

/* In at most 8 columns. */
static struct lmm_human percent(double v)
{
	struct lmm_human h = { "-" };

	if (v >= 0)
		(void)snprintf(h.s, sizeof(h.s), v < 1000 ? "%.1f %%" : "%.0f %%", v);
	return h;
}

static void print_roof(const struct lmm_text *t, const char *label, const struct lmm_roof *roof,
		       const char *with)
{
	lmm__text_wrap(t, label, 11, "memory %s GB/s, %s GFLOP/s f32%s%s%s %s",
		       rate(roof->read_bytes).s, rate(roof->f32_ops).s,
		       roof->int8_ops > 0 ? ", " : "",
		       roof->int8_ops > 0 ? rate(roof->int8_ops).s : "",
		       roof->int8_ops > 0 ? " GOP/s int8" : "", with);
}

static void print_cpu_peaks(const struct lmm_text *t, const struct lmm_roofline_report *x)
{
	const struct lmm_roof *cpu = &x->peaks->cpu;
	char with[128];

	(void)snprintf(with, sizeof(with), "with %u %s", x->decode.measured,
		       x->decode.measured == 1 ? "thread" : "threads");
	print_roof(t, "Peaks", cpu, with);
	if (x->prefill.measured != x->decode.measured) {
		(void)snprintf(with, sizeof(with), "with the %u of prefill", x->prefill.measured);
		print_roof(t, "", &x->peaks->cpu_prefill, with);
	}
	if (x->decode.threads || x->decode.measured <= 1 || !(x->one_thread.read_bytes > 0))
		return;
	lmm__text_wrap(
		t, "", 11,
		"how many threads the engine used is not known: with 1 shares of memory are %.2f, of computing %.2f times as "
		"large (--threads N)",
		cpu->read_bytes / x->one_thread.read_bytes,
		x->one_thread.f32_ops > 0 ? cpu->f32_ops / x->one_thread.f32_ops : 0);
}

static void print_peaks(const struct lmm_text *t, const struct lmm_roofline_report *x)
{
	char name[256];

	print_cpu_peaks(t, x);
	for (uint32_t i = 0; i < x->peaks->n_devices; i++) {
		(void)lmm_text_fit(name, sizeof(name), x->peaks->devices[i].name, 40);
		print_roof(t, "", &x->peaks->devices[i].roof, name);
	}
	for (size_t i = 0; i < x->n_warnings; i++)
		lmm__text_wrap(t, "Note", 11, "%s", x->warnings[i]);
}

static void print_mbu(const struct lmm_text *t, const struct lmm_roofline_report *x)
{
	const struct lmm_mbu *m = &x->l->mbu;

	if (!m->is_known) {
		lmm__text_wrap(t, "MBU", 11,
			       "not known: there is no step of decode whose weights could be seen");
		return;
	}
	lmm__text_wrap(
		t, "MBU", 11,
		"%s: %s of weights and %s of KV cache%s per token in %s are %s GB/s of %s; %s in the forward pass alone (%s)",
		percent(m->percent).s, lmm_human_bytes(m->weight_bytes).s,
		lmm_human_bytes(m->cache_bytes).s,
		m->from_model_size ? " (not seen; the model's size taken for the weights)"
		: m->from_window   ? " (as far as the graph looks)"
				   : "",
		lmm_human_ns(m->token_ns).s, rate(m->bytes_per_second).s,
		m->peak_bytes_per_second > 0 ? rate(m->peak_bytes_per_second).s : "?",
		percent(m->step_percent).s, lmm_human_ns(m->step_ns).s);
}

static void print_rates(const struct lmm_text *t, const struct lmm_roofline_row *x)
{
	int is_known = x->bytes > 0 || x->flops > 0;

	fprintf(t->out, "%8s", lmm_human_ns(x->time_ns).s);
	if (!is_known) {
		fprintf(t->out, "%6s%9s%7s%8s%8s %s\n", "-", "-", "-", "-", "-",
			lmm_bound_name(x->bound));
		return;
	}
	fprintf(t->out, "%6s%9s%7s%8s%8s %s\n", rate(x->bytes_per_second).s,
		rate(x->flops_per_second).s,
		x->intensity >= 0 ? lmm_human_rate(x->intensity).s : "-",
		percent(x->memory_percent).s, percent(x->compute_percent).s,
		lmm_bound_name(x->bound));
}

static void print_heads(const struct lmm_text *t, const char *title, const char *columns)
{
	lmm__text_head(t, title, 18);
	fprintf(t->out, "%-28s%8s%6s%9s%7s%8s%8s %s\n", columns, "total", "GB/s", "GFLOP/s",
		"FLOP/B", "memory", "compute", "bound");
}

static void print_phases(const struct lmm_text *t, const struct lmm_roofline *l)
{
	print_heads(t, "Phases", "");
	for (size_t i = 0; i < l->n_phases; i++) {
		fprintf(t->out, "  %-44s", lmm_phase_name(l->phases[i].phase));
		print_rates(t, &l->phases[i]);
	}
}

static void print_kernel(const struct lmm_text *t, const struct lmm_roofline_row *x)
{
	const struct lmm_result_kernel *k = x->kernel;

	fputs("  ", t->out);
	if (strcmp(k->device, "CPU") == 0) {
		lmm__text_cell(t, k->name, 15);
		fputc(' ', t->out);
		lmm__text_cell(t, k->op, 14);
	} else {
		lmm__text_cell(t, k->name, 30);
	}
	fputc(' ', t->out);
	lmm__text_cell(t, lmm_phase_name(x->phase), 7);
	fputc(' ', t->out);
	lmm__text_cell(t, k->weight_type, 5);
	print_rates(t, x);
}

static void print_kernels(const struct lmm_text *t, const struct lmm_roofline_report *x)
{
	size_t n = x->l->n_kernels;

	if (!x->all_kernels && n > TOP_KERNELS)
		n = TOP_KERNELS;
	print_heads(t, "Operators", "op             phase   type");
	for (size_t i = 0; i < n; i++)
		print_kernel(t, &x->l->kernels[i]);
	if (n < x->l->n_kernels)
		fprintf(t->out, "  and %zu more (--kernels)\n", x->l->n_kernels - n);
}

static int is_above(const struct lmm_roofline_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].memory_percent > 100 || rows[i].compute_percent > 100)
			return 1;
	}
	return 0;
}

void lmm_report_roofline_text(const struct lmm_roofline_report *x, FILE *out)
{
	struct lmm_text_opts opts = { 0 };
	const struct lmm_text t = { .r = x->r, .opts = &opts, .out = out };

	lmm__text_wrap(&t, "Machine", 11, "%s, %" PRIu32 " CPUs", x->r->host_cpu, x->r->host_cpus);
	print_peaks(&t, x);
	print_mbu(&t, x);
	print_phases(&t, x->l);
	print_kernels(&t, x);
	fputc('\n', out);
	lmm__text_wrap(
		&t, "", 2,
		"bound: memory or compute if that peak explains half of the time and more; neither: overhead, or how it is written");
	if (is_above(x->l->kernels, x->l->n_kernels) || is_above(x->l->phases, x->l->n_phases)) {
		lmm__text_wrap(
			&t, "", 2,
			"above 100 %%: what it reads lay in a cache, or the peaks were measured on a busier machine than this ran on");
	}
}
