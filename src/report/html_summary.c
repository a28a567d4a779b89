/* SPDX-License-Identifier: Apache-2.0 */
/* The top of the page: what was recorded, what it says in short, and its tokens. */
#include <inttypes.h>
#include <sys/wait.h>
#include <time.h>

#include "base/compiler.h"
#include "report/findings.h"
#include "report/html_internal.h"
#include "report/summary.h"

/* ---- what, and in short ------------------------------------------------------------------------- */

static void put_sentences(FILE *out, const char *class_name, const struct lmm_sentence *said,
			  size_t n)
{
	if (n == 0)
		return;
	fprintf(out, "<p class=\"%s\">", class_name);
	for (size_t i = 0; i < n; i++) {
		fputs(i > 0 ? " " : "", out);
		lmm__html_text(out, said[i].s);
	}
	fputs("</p>\n", out);
}

static void put_when(FILE *out, const struct lmm_result *r)
{
	time_t seconds = (time_t)(r->start_realtime_ns / 1000000000u);
	char date[32];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) && strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		fprintf(out, "%s UTC \u00b7 ", date);
	fprintf(out, "ran %s", lmm__html_ns(r->duration_ns).s);
	if (r->exit_status >= 0 && WIFSIGNALED(r->exit_status)) {
		fprintf(out, " \u00b7 ended by signal %d", WTERMSIG(r->exit_status));
	} else if (r->exit_status >= 0 && WIFEXITED(r->exit_status)) {
		fprintf(out, " \u00b7 exit status %d", WEXITSTATUS(r->exit_status));
	}
}

void lmm__html_head(const struct lmm_html *h)
{
	struct lmm_sentence said[LMM_SENTENCES_MAX];
	size_t n;

	fputs("<header>\n<h1>", h->out);
	lmm__html_text(h->out, h->r->command_name[0] ? h->r->command_name : "lmmeter");
	fputs("</h1>\n<p class=\"quiet\">", h->out);
	if (h->r->n_models > 0) {
		const struct lmm_result_model *m = &h->r->models[0];

		lmm__html_text(h->out, m->name[0] ? m->name : m->file);
		fputs(" \u00b7 ", h->out);
	}
	put_when(h->out, h->r);
	fputs("</p>\n", h->out);
	n = lmm_say_trouble(h->r, said);
	put_sentences(h->out, "warning", said, n);
	n = lmm_say_summary(h->r, said);
	put_sentences(h->out, "summary", said, n);
	fputs("</header>\n", h->out);
}

void lmm__html_findings(const struct lmm_html *h)
{
	struct lmm_finding found[LMM_FINDINGS_MAX];
	size_t n = lmm_findings(h->r, NULL, 0, found, LMM_ARRAY_SIZE(found));

	if (n == 0)
		return;
	fputs("<section id=\"findings\">\n<h2>Findings</h2>\n<ul class=\"findings\">\n", h->out);
	for (size_t i = 0; i < n; i++) {
		char what[LMM_FINDING_BYTES], how[LMM_FINDING_BYTES];

		lmm_finding_say(&found[i], what, sizeof(what));
		lmm_finding_say_share(&found[i], how, sizeof(how));
		fprintf(h->out, "<li data-finding=\"%s\"><b>%s</b><div>",
			lmm_finding_name((enum lmm_finding_kind)found[i].kind),
			found[i].share_percent > 0 ? lmm_human_percent(found[i].share_percent).s
						   : lmm_human_ns(found[i].ns).s);
		lmm__html_text(h->out, what);
		fprintf(h->out, ". <span class=\"quiet\">(%s)</span><br>Try: ", how);
		lmm__html_text(h->out, lmm_finding_advice(&found[i]));
		fputs(".</div></li>\n", h->out);
	}
	fputs("</ul>\n</section>\n", h->out);
}

/* ---- key figures -------------------------------------------------------------------------------- */

static void put_figure(FILE *out, const char *name, const char *value, const char *remark)
{
	fprintf(out, "<div><dt>%s</dt><dd>%s<small>%s</small></dd></div>\n", name, value, remark);
}

static void put_time(FILE *out, const char *name, double ns, const char *remark)
{
	put_figure(out, name, lmm__html_ns(ns).s, remark);
}

void lmm__html_figures(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;

	if (r->ttft.count == 0)
		return;
	fputs("<section id=\"figures\">\n<h2>Key figures</h2>\n<dl class=\"figures\">\n", h->out);
	put_time(h->out, "TTFT", r->ttft.p50_ns,
		 r->ttft.count > 1 ? "first token, p50" : "first token");
	if (r->tpot.count > 0) {
		put_time(h->out, "TPOT", r->tpot.p50_ns,
			 r->tpot.count > 1 ? "per token, p50" : "per token");
	}
	put_figure(h->out, "Output", lmm_human_rate(r->output_tokens_per_second).s, "tokens/s");
	put_figure(h->out, "Prompt", lmm_human_rate(r->prompt_tokens_per_second).s, "tokens/s");
	if (r->itl.count > 0) {
		put_time(h->out, "ITL p50", r->itl.p50_ns, "between tokens");
		put_time(h->out, "ITL p95", r->itl.p95_ns, "");
		put_time(h->out, "ITL p99", r->itl.p99_ns, "");
	}
	fputs("</dl>\n</section>\n", h->out);
}

/* ---- tokens and requests ------------------------------------------------------------------------ */

static void put_distribution(FILE *out, const char *name, const char *what,
			     const struct lmm_stats *s)
{
	const double values[] = { s->p50_ns, s->p95_ns, s->p99_ns, s->max_ns };

	if (s->count == 0)
		return;
	fprintf(out, "<tr><td class=\"name\">%s<small>%s</small></td>", name, what);
	lmm__html_cell(out, "wide", lmm_human_count(s->count).s);
	lmm__html_ns_cell(out, "wide", s->mean_ns);
	lmm__html_ns_cell(out, "wide", s->min_ns);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(values); i++)
		lmm__html_ns_cell(out, "", values[i]);
	fputs("</tr>\n", out);
}

static void put_request(FILE *out, const struct lmm_result_request *q)
{
	char id[40], prompt[64];

	(void)snprintf(id, sizeof(id), "%" PRIu64 "%s%s", q->id, q->joined ? " +" : "",
		       q->complete ? "" : " *");
	(void)snprintf(prompt, sizeof(prompt), "%" PRIu64, q->prompt_tokens);
	fputs("<tr>", out);
	lmm__html_cell(out, "name", id);
	lmm__html_ns_cell(out, "wide", (double)q->start_ns);
	lmm__html_cell(out, "", prompt);
	lmm__html_cell(out, "wide", lmm_human_count(q->cached_tokens).s);
	lmm__html_cell(out, "", lmm_human_count(q->output_tokens).s);
	lmm__html_cell(out, "", q->ttft_ns >= 0 ? lmm__html_ns(q->ttft_ns).s : "\u2013");
	lmm__html_cell(out, "", q->tpot_ns >= 0 ? lmm__html_ns(q->tpot_ns).s : "\u2013");
	lmm__html_ns_cell(out, "wide", q->wall_ns);
	fputs("</tr>\n", out);
}

static void put_requests(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;
	int is_running = 0, was_running = 0;

	fprintf(h->out,
		"<details><summary>Requests: %s</summary>\n<table><thead><tr><th>Request</th>"
		"<th class=\"wide\">start</th><th>prompt</th><th class=\"wide\">cached</th>"
		"<th>output</th><th>TTFT</th><th>TPOT</th><th class=\"wide\">all</th></tr>"
		"</thead><tbody>\n",
		lmm_human_count(r->requests_total).s);
	for (size_t i = 0; i < r->n_requests; i++) {
		put_request(h->out, &r->requests[i]);
		is_running |= !r->requests[i].complete;
		was_running |= r->requests[i].joined;
	}
	fputs("</tbody></table>\n", h->out);
	if (was_running)
		fputs("<p class=\"quiet\">+ under way when the recording began</p>\n", h->out);
	if (is_running)
		fputs("<p class=\"quiet\">* still running when the recording ended</p>\n", h->out);
	if (r->n_requests < r->requests_total) {
		fprintf(h->out, "<p class=\"quiet\">The newest %zu are shown.</p>\n",
			r->n_requests);
	}
	fputs("</details>\n", h->out);
}

void lmm__html_tokens(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;

	if (r->ttft.count == 0)
		return;
	fputs("<section id=\"tokens\">\n<h2>Token by token</h2>\n"
	      "<div id=\"token-plot\"></div>\n",
	      h->out);
	if (h->tokens->stride > 2) {
		fprintf(h->out,
			"<p class=\"quiet\">Of every %s tokens in a row the fastest and the slowest "
			"are drawn.</p>\n",
			lmm_human_count(h->tokens->stride).s);
	}
	fputs("<table><thead><tr><th>Time</th><th class=\"wide\">count</th><th class=\"wide\">mean</th>"
	      "<th class=\"wide\">min</th><th>p50</th><th>p95</th><th>p99</th><th>max</th></tr>"
	      "</thead><tbody>\n",
	      h->out);
	put_distribution(h->out, "TTFT", "to the first token", &r->ttft);
	put_distribution(h->out, "TPOT", "per further token", &r->tpot);
	put_distribution(h->out, "ITL", "from token to token", &r->itl);
	fputs("</tbody></table>\n", h->out);
	put_requests(h);
	fputs("</section>\n", h->out);
}
