/* SPDX-License-Identifier: Apache-2.0 */
/* The page of `report --html`: sections in order, and the data for its plot (docs/html.md). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "report/export.h"
#include "report/html_internal.h"
#include "report/html_page.h"
#include "report/json_writer.h"
#include "report/report.h"

#define POINTS_MAX   8000 /* of the plot: twice what is a pixel each on a wide screen */
#define REQUESTS_MAX 200  /* the page stays small */
#define KERNELS_MAX  300

#define TEXT_COLUMNS 200

/* ---- building blocks ---------------------------------------------------------------------------- */

void lmm__html_text(FILE *out, const char *s)
{
	char shown[4 * TEXT_COLUMNS + 1];

	lmm_text_fit(shown, sizeof(shown), s, TEXT_COLUMNS);
	for (const char *p = shown; *p; p++) {
		switch (*p) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*p, out);
		}
	}
}

struct lmm_human lmm__html_ns(double ns)
{
	struct lmm_human plain = lmm_human_ns(ns), h;
	size_t n = strlen(plain.s);

	if (n < 3 || strcmp(plain.s + n - 3, " us") != 0)
		return plain;
	(void)snprintf(h.s, sizeof(h.s), "%.*s \u00b5s", (int)(n - 3), plain.s);
	return h;
}

void lmm__html_cell(FILE *out, const char *class_name, const char *text)
{
	fprintf(out, class_name[0] ? "<td class=\"%s\">" : "<td>", class_name);
	lmm__html_text(out, text);
	fputs("</td>", out);
}

void lmm__html_ns_cell(FILE *out, const char *class_name, double ns)
{
	lmm__html_cell(out, class_name, lmm__html_ns(ns).s);
}

void lmm__html_pair(FILE *out, const char *name, const char *value)
{
	fprintf(out, "<dt>%s</dt><dd>", name);
	lmm__html_text(out, value);
	fputs("</dd>\n", out);
}

double lmm__html_percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* ---- data --------------------------------------------------------------------------------------- */

void lmm__html_json(FILE *out, const char *json, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (json[i] == '\n') {
			while (i + 1 < n && json[i + 1] == ' ')
				i++;
		} else if (json[i] == '<' || json[i] == '>' || json[i] == '&') {
			fprintf(out, "\\u%04x", (unsigned)json[i]);
		} else {
			fputc(json[i], out);
		}
	}
}

static int put_report(const struct lmm_html *h)
{
	char *json = NULL;
	size_t n = 0;
	FILE *text = open_memstream(&json, &n);

	if (!text)
		return -ENOMEM;
	lmm_report_json(h->r, text);
	if (fclose(text) == 0)
		lmm__html_json(h->out, json, n);
	free(json);
	return 0;
}

static void put_series(struct lmm_json *j, const struct lmm_token_series *s)
{
	lmm_json_object_begin(j, NULL);
	lmm_json_u64(j, "id", s->request->id);
	lmm_json_array_begin(j, "token");
	for (size_t i = 0; i < s->n; i++)
		lmm_json_u64(j, NULL, s->points[i].token);
	lmm_json_array_end(j);
	lmm_json_array_begin(j, "t_us");
	for (size_t i = 0; i < s->n; i++)
		lmm_json_double(j, NULL, (double)s->points[i].t_ns / 1e3, 0);
	lmm_json_array_end(j);
	lmm_json_array_begin(j, "itl_us");
	for (size_t i = 0; i < s->n; i++)
		lmm_json_double(j, NULL, (double)s->points[i].itl_ns / 1e3, 3);
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static int put_tokens(const struct lmm_html *h)
{
	struct lmm_json j;

	lmm_json_init(&j, h->out, 0);
	lmm_json_object_begin(&j, NULL);
	lmm_json_u64(&j, "stride", h->tokens->stride);
	lmm_json_u64(&j, "count", h->tokens->count);
	lmm_json_array_begin(&j, "requests");
	for (size_t i = 0; i < h->tokens->n; i++) {
		if (h->tokens->series[i].n > 0)
			put_series(&j, &h->tokens->series[i]);
	}
	lmm_json_array_end(&j);
	lmm_json_object_end(&j);
	return 0;
}

/* ---- the page ----------------------------------------------------------------------------------- */

static int put_title(const struct lmm_html *h)
{
	lmm__html_text(h->out, h->r->command_name[0] ? h->r->command_name : "lmmeter");
	fputs(" \u00b7 lmmeter", h->out);
	return 0;
}

/* Each writes its own section, or nothing where there is nothing to say. */
static int put_body(const struct lmm_html *h)
{
	static void (*const sections[])(const struct lmm_html *h) = {
		lmm__html_head,	  lmm__html_findings, lmm__html_figures,   lmm__html_tokens,
		lmm__html_phases, lmm__html_layers,   lmm__html_spans,	   lmm__html_kernels,
		lmm__html_device, lmm__html_state,    lmm__html_recording, lmm__html_machine,
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(sections); i++)
		sections[i](h);
	return 0;
}

static int put_part(const void *ctx, const char *name, size_t n, FILE *out)
{
	static const struct {
		const char *name;
		int (*put)(const struct lmm_html *h);
	} parts[] = { { "title", put_title },
		      { "body", put_body },
		      { "report", put_report },
		      { "tokens", put_tokens } };

	(void)out;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(parts); i++) {
		if (strlen(parts[i].name) == n && memcmp(parts[i].name, name, n) == 0)
			return parts[i].put(ctx);
	}
	return -EINVAL;
}

int lmm__html_page_put(FILE *out, lmm_html_put_fn *put, const void *ctx)
{
	static const char open[] = "<!--@", close[] = "-->";
	const char *p = lmm__html_page, *place;

	while ((place = strstr(p, open))) {
		const char *name = place + strlen(open), *end = strstr(name, close);
		int rc = end ? 0 : -EINVAL;

		fwrite(p, 1, (size_t)(place - p), out);
		if (rc == 0)
			rc = put(ctx, name, (size_t)(end - name), out);
		if (rc < 0)
			return rc;
		p = end + strlen(close);
	}
	fputs(p, out);
	return 0;
}

int lmm_export_html(struct lmm_trace *tr, const struct lmm_result *r, FILE *out)
{
	struct lmm_result shown = *r; /* the newest requests, the longest kernels */
	struct lmm_tokens *tokens;
	struct lmm_html h = { .r = &shown, .out = out };
	int rc;

	if (shown.n_requests > REQUESTS_MAX) {
		shown.requests += shown.n_requests - REQUESTS_MAX;
		shown.n_requests = REQUESTS_MAX;
	}
	if (shown.n_kernels > KERNELS_MAX)
		shown.n_kernels = KERNELS_MAX;
	rc = lmm_tokens_read(tr, &shown, POINTS_MAX, &tokens);
	h.tokens = tokens;
	if (rc == 0)
		rc = lmm__html_page_put(out, put_part, &h);
	lmm_tokens_destroy(tokens);
	if (rc == 0 && ferror(out))
		rc = -EIO;
	return rc;
}
