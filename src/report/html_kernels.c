/* SPDX-License-Identifier: Apache-2.0 */
/* Operators and device kernels with their distributions, and what the device did. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "report/html_internal.h"

#define TOP_KERNELS 12

/* ---- distributions ------------------------------------------------------------------------------ */

/* From the shortest to the longest run of all kernels of a table: a logarithm, as they differ by thousands. */
struct span {
	double low_ns, high_ns;
};

static double place(const struct span *s, double ns)
{
	double width = log(s->high_ns / s->low_ns);

	if (!(ns > s->low_ns) || !(width > 0))
		return 0;
	return fmin(100, 100 * log(ns / s->low_ns) / width);
}

/* A line from min to max, a bar from p50 to p95, ticks at p50 and p99. */
static void put_distribution(FILE *out, const struct lmm_stats *x, const struct span *s)
{
	double p50 = place(s, x->p50_ns), p95 = place(s, x->p95_ns);

	fprintf(out, "<td class=\"spread\"><svg width=\"100%%\" height=\"14\"><title>min %s, ",
		lmm__html_ns(x->min_ns).s);
	fprintf(out, "p50 %s, p95 %s, p99 %s, max %s</title>", lmm__html_ns(x->p50_ns).s,
		lmm__html_ns(x->p95_ns).s, lmm__html_ns(x->p99_ns).s, lmm__html_ns(x->max_ns).s);
	fprintf(out, "<line class=\"range\" x1=\"%s%%\" x2=\"%s%%\" y1=\"7\" y2=\"7\"/>",
		lmm_decimal(place(s, x->min_ns), 1).s, lmm_decimal(place(s, x->max_ns), 1).s);
	fprintf(out, "<rect class=\"middle\" x=\"%s%%\" width=\"%s%%\" y=\"3\" height=\"8\"/>",
		lmm_decimal(p50, 1).s, lmm_decimal(fmax(p95 - p50, 0), 1).s);
	fprintf(out, "<line class=\"median\" x1=\"%s%%\" x2=\"%s%%\" y1=\"1\" y2=\"13\"/>",
		lmm_decimal(p50, 1).s, lmm_decimal(p50, 1).s);
	fprintf(out,
		"<line class=\"range\" x1=\"%s%%\" x2=\"%s%%\" y1=\"3\" y2=\"11\"/></svg></td>",
		lmm_decimal(place(s, x->p99_ns), 1).s, lmm_decimal(place(s, x->p99_ns), 1).s);
}

/* ---- tables ------------------------------------------------------------------------------------- */

struct table {
	const char *device; /* "CPU": operators */
	size_t rows;
	double total_ns;
	struct span span;
	int has_first_use;
};

static struct table table_of(const struct lmm_result *r, const char *device)
{
	struct table t = { .device = device };

	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];

		if (strcmp(k->device, device) != 0)
			continue;
		t.rows++;
		t.total_ns += k->estimate_ns;
		t.has_first_use |= k->first_use_count > 0;
		if (k->stats.min_ns > 0 && (t.span.low_ns <= 0 || k->stats.min_ns < t.span.low_ns))
			t.span.low_ns = k->stats.min_ns;
		t.span.high_ns = fmax(t.span.high_ns, k->stats.max_ns);
	}
	return t;
}

/* The name, and below it what else tells it from others. */
static void put_name(FILE *out, const struct lmm_result_kernel *k)
{
	fputs("<td class=\"name\"><b>", out);
	lmm__html_text(out, k->name);
	fprintf(out, "</b><small>%s \u00b7 %s", lmm_phase_name(k->phase), lmm_role_name(k->role));
	if (k->op[0] && strcmp(k->op, k->name) != 0) {
		fputs(" \u00b7 ", out);
		lmm__html_text(out, k->op);
	}
	if (k->weight_type[0]) {
		fputs(" \u00b7 ", out);
		lmm__html_text(out, k->weight_type);
	}
	fputs(k->fused ? " \u00b7 with the next one</small></td>" : "</small></td>", out);
}

/* The sum of all runs; with its interval where only some were timed. */
static void put_total(FILE *out, const struct lmm_result_kernel *k)
{
	fprintf(out, "<td>%s", lmm__html_ns(k->estimate_ns).s);
	if (k->untimed > 0 && (k->estimate_half_ns < 0 || !(k->estimate_ns > 0))) {
		fputs("<small>too few timed</small>", out);
	} else if (k->untimed > 0) {
		fprintf(out, "<small>\u00b1 %s</small>",
			lmm_human_percent(100 * k->estimate_half_ns / k->estimate_ns).s);
	}
	fputs("</td>", out);
}

static void put_first_use(FILE *out, const struct lmm_result_kernel *k)
{
	if (k->first_use_count == 0) {
		lmm__html_cell(out, "wide", "");
	} else {
		fprintf(out, "<td class=\"wide\">%s<small>%s \u00d7</small></td>",
			lmm__html_ns(k->first_use_ns).s, lmm_human_count(k->first_use_count).s);
	}
}

static void put_kernel(FILE *out, const struct lmm_result_kernel *k, const struct table *t)
{
	fputs("<tr>", out);
	put_name(out, k);
	lmm__html_cell(out, "",
		       lmm_human_percent(lmm__html_percent(k->estimate_ns, t->total_ns)).s);
	put_total(out, k);
	lmm__html_cell(out, "wide", lmm_human_short(k->stats.count + k->untimed).s);
	put_distribution(out, &k->stats, &t->span);
	lmm__html_ns_cell(out, "wide", k->stats.p50_ns);
	lmm__html_ns_cell(out, "wide", k->stats.p99_ns);
	if (t->has_first_use)
		put_first_use(out, k);
	fputs("</tr>\n", out);
}

/* Rows `from` to before `to` of the table. */
static void put_rows(const struct lmm_html *h, const struct table *t, size_t from, size_t to)
{
	fputs("<table class=\"kernels\"><thead><tr><th>Name</th><th>share</th><th>total</th>"
	      "<th class=\"wide\">count</th><th class=\"spread\">",
	      h->out);
	fprintf(h->out, "<span>%s</span>", lmm__html_ns(t->span.low_ns).s);
	fprintf(h->out,
		"<span>%s</span></th><th class=\"wide\">p50</th><th class=\"wide\">p99</th>",
		lmm__html_ns(t->span.high_ns).s);
	fputs(t->has_first_use ? "<th class=\"wide\">first use</th>" : "", h->out);
	fputs("</tr></thead><tbody>\n", h->out);
	for (size_t i = 0, n = 0; i < h->r->n_kernels && n < to; i++) {
		if (strcmp(h->r->kernels[i].device, t->device) != 0)
			continue;
		if (n++ >= from)
			put_kernel(h->out, &h->r->kernels[i], t);
	}
	fputs("</tbody></table>\n", h->out);
}

static void put_table(const struct lmm_html *h, const struct table *t)
{
	size_t top = t->rows < TOP_KERNELS ? t->rows : TOP_KERNELS;

	if (h->r->device.seen && strcmp(t->device, "CPU") != 0) {
		fputs("<h2>Kernels on ", h->out);
		lmm__html_text(h->out, t->device);
	} else {
		fputs("<h2>Operators", h->out);
	}
	fputs("</h2>\n", h->out);
	put_rows(h, t, 0, top);
	if (top < t->rows) {
		fprintf(h->out, "<details><summary>%zu more</summary>\n", t->rows - top);
		put_rows(h, t, top, t->rows);
		fputs("</details>\n", h->out);
	}
}

static int is_first_of_device(const struct lmm_result *r, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(r->kernels[i].device, r->kernels[at].device) == 0)
			return 0;
	}
	return 1;
}

void lmm__html_kernels(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;

	if (r->n_kernels == 0)
		return;
	fputs("<section id=\"kernels\">\n", h->out);
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (is_first_of_device(r, i)) {
			struct table t = table_of(r, r->kernels[i].device);

			put_table(h, &t);
		}
	}
	fputs("<p class=\"quiet\">One run each: a line from the shortest to the longest with a tick at "
	      "p99, a bar from p50 to p95; the axis is logarithmic.</p>\n</section>\n",
	      h->out);
}

/* ---- the device --------------------------------------------------------------------------------- */

static void put_state(FILE *out, const char *name, const char *why, const struct lmm_stats *gaps,
		      double ns, double all_ns)
{
	fprintf(out,
		"<tr><td class=\"name\">%s<small>%s</small></td><td class=\"bar\"><svg width=\"100%%\" "
		"height=\"16\" aria-hidden=\"true\"><rect class=\"%s\" y=\"3\" width=\"%s%%\" height=\"9\"/>"
		"</svg></td>",
		name, why, gaps ? "idle" : "attributed",
		lmm_decimal(lmm__html_percent(ns, all_ns), 2).s);
	lmm__html_cell(out, "", lmm_human_percent(lmm__html_percent(ns, all_ns)).s);
	lmm__html_ns_cell(out, "", ns);
	lmm__html_cell(out, "wide", gaps ? lmm_human_count(gaps->count).s : "");
	lmm__html_cell(out, "wide", gaps ? lmm__html_ns(gaps->p50_ns).s : "");
	fputs("</tr>\n", out);
}

static void put_commands(FILE *out, const struct lmm_result_device *d)
{
	fprintf(out, "<p class=\"quiet\">%s commands timed, %s not (one step in %s).",
		lmm_human_count(d->timed).s, lmm_human_count(d->untimed).s,
		lmm_human_count(d->every ? d->every : 1).s);
	if (d->in_flight)
		fprintf(out, " %s still in flight at the end.", lmm_human_count(d->in_flight).s);
	if (d->unavailable) {
		fprintf(out, " Of %s the driver gave no times.", lmm_human_count(d->unavailable).s);
	}
	if (d->failed)
		fprintf(out, " %s failed.", lmm_human_count(d->failed).s);
	fprintf(out, " Stamps were placed on the host's timeline within %s (95 %%), ",
		lmm__html_ns(d->clock_error_ns).s);
	fprintf(out, "%s at worst.</p>\n", lmm__html_ns(d->clock_error_max_ns).s);
}

void lmm__html_device(const struct lmm_html *h)
{
	const struct lmm_result_device *d = &h->r->device;
	double all_ns = d->busy_ns;

	if (!d->seen)
		return;
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++)
		all_ns += d->gaps[i].stats.total_ns;
	fputs("<section id=\"device\">\n<h2>Device</h2>\n<table><thead><tr><th>State</th>"
	      "<th class=\"bar\"></th><th>share</th><th>total</th><th class=\"wide\">gaps</th>"
	      "<th class=\"wide\">p50</th></tr></thead><tbody>\n",
	      h->out);
	put_state(h->out, "busy", "ran a command that does work", NULL, d->busy_ns, all_ns);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		const struct lmm_result_gap *g = &d->gaps[i];
		char name[48];

		(void)snprintf(name, sizeof(name), "idle: %s", lmm_gap_name(i));
		if (g->stats.count > 0) {
			put_state(h->out, name, lmm_gap_reason(i), &g->stats, g->stats.total_ns,
				  all_ns);
		}
	}
	fputs("</tbody></table>\n", h->out);
	put_commands(h->out, d);
	fputs("</section>\n", h->out);
}
