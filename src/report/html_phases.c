/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time went, by phase, by layer, and by what the program itself named. */
#include <inttypes.h>
#include <math.h>

#include "base/compiler.h"
#include "report/html_internal.h"

/* Host and attributed times that are nearer than this are the same to a reader. */
#define DIFFER_PERCENT 5.0

/* ---- phases ------------------------------------------------------------------------------------- */

/* What a bar's whole length stands for, and what a share is a share of. */
struct scale {
	double longest_percent;
	double sum_ns;
};

static int host_differs(const struct lmm_result_phase *p)
{
	return p->host_ns > 0 &&
	       fabs(p->host_ns - p->stats.total_ns) * 100 > DIFFER_PERCENT * p->host_ns;
}

static struct scale scale_of(const struct lmm_result *r)
{
	struct scale s = { 0, 0 };

	for (size_t i = 0; i < r->n_phases; i++) {
		if (r->phases[i].share_percent >= 0)
			s.sum_ns += r->phases[i].stats.total_ns;
	}
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		if (p->share_percent < 0)
			continue;
		s.longest_percent = fmax(s.longest_percent, p->share_percent);
		if (host_differs(p)) {
			s.longest_percent =
				fmax(s.longest_percent, lmm__html_percent(p->host_ns, s.sum_ns));
		}
	}
	return s;
}

static void put_bars(FILE *out, const struct lmm_result_phase *p, const struct scale *s)
{
	double host = lmm__html_percent(p->host_ns, s->sum_ns);

	fprintf(out,
		"<td class=\"bar\"><svg width=\"100%%\" height=\"16\" aria-hidden=\"true\">"
		"<rect class=\"attributed\" y=\"1\" width=\"%s%%\" height=\"9\"/>",
		lmm_decimal(lmm__html_percent(p->share_percent, s->longest_percent), 2).s);
	if (host_differs(p)) {
		fprintf(out, "<rect class=\"host\" y=\"12\" width=\"%s%%\" height=\"3\"/>",
			lmm_decimal(lmm__html_percent(host, s->longest_percent), 2).s);
	}
	fputs("</svg></td>", out);
}

static void put_phase(FILE *out, const struct lmm_result_phase *p, const struct scale *s)
{
	const struct lmm_stats *x = &p->stats;

	fputs("<tr>", out);
	lmm__html_cell(out, "name", lmm_phase_name(p->phase));
	if (p->share_percent >= 0) {
		put_bars(out, p, s);
		lmm__html_cell(out, "", lmm_human_percent(p->share_percent).s);
	} else {
		fputs("<td class=\"bar\"></td><td>\u2013</td>", out);
	}
	fprintf(out, "<td>%s%s</td>", p->estimated_ns > 0 ? "\u2248 " : "",
		lmm__html_ns(x->total_ns).s);
	lmm__html_cell(out, "wide", host_differs(p) ? lmm__html_ns(p->host_ns).s : "");
	lmm__html_cell(out, "wide", lmm_human_short(x->count).s);
	lmm__html_ns_cell(out, "wide", x->p50_ns);
	lmm__html_ns_cell(out, "wide", x->p95_ns);
	lmm__html_ns_cell(out, "wide", x->max_ns);
	fputs("</tr>\n", out);
}

static void put_legend(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;
	int any_differs = 0, any_estimated = 0;

	for (size_t i = 0; i < r->n_phases; i++) {
		any_differs |= r->phases[i].share_percent >= 0 && host_differs(&r->phases[i]);
		any_estimated |= r->phases[i].estimated_ns > 0;
	}
	if (!any_differs && !any_estimated)
		return;
	fputs("<p class=\"quiet\">", h->out);
	if (any_differs) {
		fputs("<span class=\"key attributed\"></span> to whom the time belongs "
		      "<span class=\"key host\"></span> what the host's own brackets say, where "
		      "that differs. ",
		      h->out);
	}
	if (any_estimated)
		fputs("\u2248 partly from steps whose commands were not timed.", h->out);
	fputs("</p>\n", h->out);
}

void lmm__html_phases(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;
	struct scale s = scale_of(r);

	if (r->n_phases == 0)
		return;
	fputs("<section id=\"phases\">\n<h2>Phases</h2>\n<table><thead><tr><th>Phase</th>"
	      "<th class=\"bar\"></th><th>share</th><th>total</th><th class=\"wide\">host's view</th>"
	      "<th class=\"wide\">count</th><th class=\"wide\">p50</th><th class=\"wide\">p95</th>"
	      "<th class=\"wide\">max</th></tr></thead><tbody>\n",
	      h->out);
	for (size_t i = 0; i < r->n_phases; i++) {
		if (r->phases[i].share_percent >= 0)
			put_phase(h->out, &r->phases[i], &s);
	}
	for (size_t i = 0; i < r->n_phases; i++) {
		if (r->phases[i].share_percent < 0 && !r->phases[i].warmup_only)
			put_phase(h->out, &r->phases[i], &s);
	}
	fputs("</tbody></table>\n", h->out);
	put_legend(h);
	fputs("</section>\n", h->out);
}

/* ---- layers ------------------------------------------------------------------------------------- */

enum { ROLES = 4 };

static const char *const role_names[ROLES] = { "attention", "MLP", "norm", "other" };

static double role_ns(const struct lmm_result_layer *l, unsigned role)
{
	const double ns[ROLES] = { l->attention_ns, l->mlp_ns, l->norm_ns, l->other_ns };

	return ns[role];
}

static double role_sum(const struct lmm_result_layer *l, size_t n, unsigned role)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += role_ns(&l[i], role);
	return sum;
}

static void put_heat_row(FILE *out, const struct lmm_result_layer *l, size_t n, unsigned role,
			 double most_ns)
{
	fprintf(out,
		"<tr><td class=\"name\">%s</td><td class=\"heat\"><svg width=\"100%%\" "
		"height=\"22\" preserveAspectRatio=\"none\" viewBox=\"0 0 %zu 1\">",
		role_names[role], n);
	for (size_t i = 0; i < n; i++) {
		double ns = role_ns(&l[i], role);

		fprintf(out, "<rect x=\"%zu\" width=\"1\" height=\"1\" fill-opacity=\"%s\">", i,
			lmm_decimal(most_ns > 0 ? ns / most_ns : 0, 3).s);
		fprintf(out, "<title>layer %" PRId32 ", %s: %s</title></rect>", l[i].layer,
			role_names[role], lmm__html_ns(ns).s);
	}
	fprintf(out, "</svg></td><td>%s</td></tr>\n", lmm__html_ns(role_sum(l, n, role)).s);
}

static void put_heat(FILE *out, const struct lmm_result_layer *l, size_t n)
{
	double most_ns = 0;

	for (size_t i = 0; i < n; i++) {
		for (unsigned role = 0; role < ROLES; role++)
			most_ns = fmax(most_ns, role_ns(&l[i], role));
	}
	fprintf(out,
		"<table class=\"layers\"><thead><tr><th>Role</th><th><span>layer %" PRId32 "</span>"
		"<span>%" PRId32 "</span></th><th>all</th></tr></thead><tbody>\n",
		l[0].layer, l[n - 1].layer);
	for (unsigned role = 0; role < ROLES; role++) {
		if (role_sum(l, n, role) > 0)
			put_heat_row(out, l, n, role, most_ns);
	}
	fprintf(out,
		"</tbody></table>\n<p class=\"quiet\">Full colour: %s in one layer, over the whole "
		"recording.</p>\n",
		lmm__html_ns(most_ns).s);
}

static void put_layer(FILE *out, const struct lmm_result_layer *l)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%" PRId32, l->layer);
	fputs("<tr>", out);
	lmm__html_cell(out, "name", l->layer < 0 ? "of none" : name);
	for (unsigned role = 0; role < ROLES; role++)
		lmm__html_ns_cell(out, role < 2 ? "" : "wide", role_ns(l, role));
	lmm__html_ns_cell(out, "wide", l->prefill_ns);
	lmm__html_ns_cell(out, "wide", l->decode_ns);
	lmm__html_ns_cell(out, "", l->total_ns);
	fputs("</tr>\n", out);
}

void lmm__html_layers(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;
	size_t none = r->n_layers > 0 && r->layers[0].layer < 0;

	if (r->n_layers == 0)
		return;
	fputs("<section id=\"layers\">\n<h2>Layers</h2>\n", h->out);
	if (r->n_layers > none)
		put_heat(h->out, r->layers + none, r->n_layers - none);
	if (none) {
		fprintf(h->out,
			"<p class=\"quiet\">Of no layer (embedding, LM head, last norm): %s.</p>\n",
			lmm__html_ns(r->layers[0].total_ns).s);
	}
	fputs("<details><summary>In figures</summary>\n<table><thead><tr><th>Layer</th>"
	      "<th>attention</th><th>MLP</th><th class=\"wide\">norm</th><th class=\"wide\">other</th>"
	      "<th class=\"wide\">prefill</th><th class=\"wide\">decode</th><th>total</th></tr></thead>"
	      "<tbody>\n",
	      h->out);
	for (size_t i = 0; i < r->n_layers; i++)
		put_layer(h->out, &r->layers[i]);
	fputs("</tbody></table></details>\n</section>\n", h->out);
}

/* ---- spans -------------------------------------------------------------------------------------- */

#define SPANS_MAX 100u

static void put_span(FILE *out, const struct lmm_result_named *span)
{
	const struct lmm_stats *x = &span->stats;

	fputs("<tr>", out);
	lmm__html_cell(out, "name", span->name);
	lmm__html_ns_cell(out, "", x->total_ns);
	lmm__html_cell(out, "", lmm_human_short(x->count).s);
	lmm__html_ns_cell(out, "", x->p50_ns);
	lmm__html_ns_cell(out, "wide", x->p95_ns);
	lmm__html_ns_cell(out, "wide", x->p99_ns);
	lmm__html_ns_cell(out, "wide", x->max_ns);
	fputs("</tr>\n", out);
}

void lmm__html_spans(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;

	if (r->n_named == 0)
		return;
	fputs("<section id=\"spans\">\n<h2>Spans</h2>\n<p class=\"quiet\">What the program itself named. They lie within one "
	      "another, in phases and beside them, so they add up to nothing.</p>\n<table><thead><tr><th>Span</th><th>total</th>"
	      "<th>count</th><th>p50</th><th class=\"wide\">p95</th><th class=\"wide\">p99</th><th class=\"wide\">max</th></tr>"
	      "</thead><tbody>\n",
	      h->out);
	for (size_t i = 0; i < r->n_named && i < SPANS_MAX; i++)
		put_span(h->out, &r->named[i]);
	fputs("</tbody></table>\n", h->out);
	if (r->n_named > SPANS_MAX) {
		fprintf(h->out, "<p class=\"quiet\">The %u longest in sum of %zu.</p>\n", SPANS_MAX,
			r->n_named);
	}
	fputs("</section>\n", h->out);
}
