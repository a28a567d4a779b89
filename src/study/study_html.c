/* SPDX-License-Identifier: Apache-2.0 */
/* The page of `study report --html`: conclusions, tables, plots. It loads nothing and stands without scripts. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/html_parts.h"
#include "study/conclude.h"
#include "study/study_html.h"

#define ROWS_MAX   500u
#define PLOT_LEFT  60.0
#define PLOT_WIDTH 640.0
#define ROW_HEIGHT 18

/* ---- pieces ---------------------------------------------------------------------------------------- */

static void put_heading(FILE *out, const char *id, const char *text)
{
	fprintf(out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, text);
}

static void put_number(FILE *out, const char *text)
{
	lmm__html_cell(out, "", text);
}

static void put_mean_ns(FILE *out, const struct lmm_mean *m)
{
	double half_percent = 50 * (m->high - m->low) / m->value;
	char text[96] = "\u2013";

	if (!isnan(m->value) && isnan(m->low)) {
		(void)snprintf(text, sizeof(text), "%s", lmm__html_ns(m->value).s);
	} else if (!isnan(m->value)) {
		(void)snprintf(text, sizeof(text),
			       half_percent < 100 ? "%s \u00b1 %.1f %%" : "%s \u00b1 > 100 %%",
			       lmm__html_ns(m->value).s, half_percent);
	}
	put_number(out, text);
}

/* Of any length: a piece of text is cut at 200 columns. */
static void put_long(FILE *out, const char *text)
{
	while (*text) {
		char piece[160];
		size_t n = strlen(text);

		if (n >= sizeof(piece)) {
			for (n = sizeof(piece) - 1; n > 1 && text[n - 1] != ' ';)
				n--;
			if (n == 1)
				n = sizeof(piece) - 1;
		}
		memcpy(piece, text, n);
		piece[n] = '\0';
		lmm__html_text(out, piece);
		text += n;
	}
}

/* ---- sections -------------------------------------------------------------------------------------- */

static void put_head(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_study *s = f->s;

	fputs("<header>\n<h1>", out);
	lmm__html_text(out, s->name);
	fprintf(out,
		"</h1>\n<p class=\"quiet\">%u conditions, %u blocks, %u of %u cells measured. ",
		s->plan->n_conditions, s->n_blocks, f->n_ok, s->n_blocks * s->plan->n_conditions);
	lmm__html_text(out, s->cpu);
	fprintf(out, ", %u CPUs, %s, lmmeter ", s->cpus,
		lmm_human_bytes((double)s->memory_bytes).s);
	lmm__html_text(out, s->lmmeter);
	fputs("</p>\n</header>\n", out);
}

static void put_conclusions(const struct lmm_study_findings *f, FILE *out)
{
	put_heading(out, "conclusions", "Conclusions");
	if (f->n_conclusions == 0)
		fputs("<p>None that the data carry.</p>\n", out);
	fputs("<ul class=\"findings\">\n", out);
	for (uint32_t i = 0; i < f->n_conclusions; i++) {
		const struct lmm_conclusion *c = &f->conclusions[i];

		fputs("<li><div><p>", out);
		put_long(out, c->text);
		fprintf(out, " <span class=\"quiet\">(%s)</span></p><p class=\"quiet\">",
			lmm_confidence_name(c->confidence));
		put_long(out, c->evidence);
		fputs(c->evidence[0] ? ". Said when " : "Said when ", out);
		put_long(out, c->rule);
		fputs(".</p></div></li>\n", out);
	}
	fputs("</ul>\n</section>\n", out);
}

static void put_measured(FILE *out, const struct lmm_measured *m)
{
	char text[64] = "\u2013";

	if (!isnan(m->value)) {
		(void)snprintf(text, sizeof(text), isnan(m->half) ? "%.4g" : "%.4g \u00b1 %.2g",
			       m->value, m->half);
	}
	put_number(out, text);
}

static void put_variant(const struct lmm_study_findings *f, uint32_t i, FILE *out)
{
	const struct lmm_variant *v = &f->s->variants[i];
	const struct lmm_study_worth *w = &f->worths[i];
	char text[96] = "\u2013";

	fputs("<tr>", out);
	lmm__html_cell(out, "name", lmm__level_name(f->s->plan, (uint32_t)f->s->variant_factor, i));
	put_number(out, isnan(v->size_bytes) ? "\u2013" : lmm_human_bytes(v->size_bytes).s);
	if (!isnan(v->bits_per_weight))
		(void)snprintf(text, sizeof(text), "%.2f", v->bits_per_weight);
	put_number(out, text);
	put_measured(out, &v->perplexity);
	put_measured(out, &v->kld);
	put_measured(out, &v->top1);
	(void)snprintf(text, sizeof(text), "\u2013");
	if (!isnan(w->score.value)) {
		(void)snprintf(text, sizeof(text), "%.3f [%.3f, %.3f]", w->score.value,
			       w->score.low, w->score.high);
	}
	put_number(out, text);
	put_number(out, isnan(w->tpot.value) ? "\u2013" : w->dominated_by < 0 ? "yes" : "no");
	fputs("</tr>\n", out);
}

static void put_variants(const struct lmm_study_findings *f, FILE *out)
{
	if (f->s->n_variants < 2)
		return;
	put_heading(out, "variants", "Variants");
	fputs("<table><thead><tr><th>Variant</th><th>size</th><th>bits per weight</th><th>perplexity</th>"
	      "<th>KL divergence</th><th>same token, %</th><th>score (ours)</th><th>frontier</th></tr></thead>\n<tbody>\n",
	      out);
	for (uint32_t i = 0; i < f->s->n_variants; i++)
		put_variant(f, i, out);
	fputs("</tbody></table>\n<p class=\"quiet\">The score is lmmeter's own, a harmonic mean of quality kept and cost saved; "
	      "the frontier is over quality, TTFT, TPOT, memory and energy, as far as they were measured.</p>\n</section>\n",
	      out);
}

/* ---- the frontier, drawn ----------------------------------------------------------------------------- */

#define MAP_WIDTH  640.0
#define MAP_HEIGHT 260.0
#define MAP_EDGE   48.0

struct axis {
	double low, high;
};

/* With a tenth of room at both ends. */
static void axis_take(struct axis *a, const struct lmm_dear *d)
{
	a->low = fmin(a->low, d->value);
	a->high = fmax(a->high, d->value);
}

static double axis_place(const struct axis *a, double v, double length)
{
	double room = fmax(a->high - a->low, a->high * 1e-3) * 0.1;
	double at = (v - a->low + room) / (a->high - a->low + 2 * room);

	return MAP_EDGE + (length - 2 * MAP_EDGE) * fmin(fmax(at, 0), 1);
}

void lmm__study_svg_begin(FILE *out, double width, double height, const char *title, const char *by)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%%\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
		"role=\"img\" aria-label=\"%s%s",
		(int)width, (int)height, title, by[0] ? " by " : "");
	lmm__html_text(out, by);
	fputs("\">", out);
}

/* For where there is no page.css. */
static const char *colour_of(const char *class_name)
{
	if (strcmp(class_name, "attributed") == 0)
		return "#3567b7";
	return strcmp(class_name, "host") == 0 ? "#d08a3c" : "#b9bdc2";
}

void lmm__study_rect(FILE *out, const char *class_name, double x, double y, double width,
		     double height)
{
	fprintf(out,
		"<rect class=\"%s\" fill=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"/>",
		class_name, colour_of(class_name), lmm_decimal(x, 1).s, lmm_decimal(y, 1).s,
		lmm_decimal(width, 1).s, lmm_decimal(height, 1).s);
}

void lmm__study_text(FILE *out, double x, double y, const char *anchor, const char *text)
{
	fprintf(out,
		"<text x=\"%s\" y=\"%s\" text-anchor=\"%s\" fill=\"currentColor\" font-size=\"12\">",
		lmm_decimal(x, 1).s, lmm_decimal(y, 1).s, anchor);
	lmm__html_text(out, text);
	fputs("</text>", out);
}

static void put_point(const struct lmm_study_findings *f, uint32_t i, const struct axis *time,
		      const struct axis *quality, FILE *out)
{
	const struct lmm_study_worth *w = &f->worths[i];
	double x = axis_place(time, w->tpot.value, MAP_WIDTH);
	double y = MAP_HEIGHT - axis_place(quality, w->quality.value, MAP_HEIGHT);
	double left = isnan(w->tpot.low) ? x : axis_place(time, w->tpot.low, MAP_WIDTH);
	double right = isnan(w->tpot.high) ? x : axis_place(time, w->tpot.high, MAP_WIDTH);

	lmm__study_rect(out, "host", left, y - 1, fmax(right - left, 1), 2);
	lmm__study_rect(out, w->dominated_by < 0 ? "attributed" : "idle", x - 4, y - 4, 8, 8);
	lmm__study_text(out, x + 8, y - 6, "start",
			lmm__level_name(f->s->plan, (uint32_t)f->s->variant_factor, i));
}

/* How many variants can be drawn. */
static uint32_t axes_take(const struct lmm_study_findings *f, struct axis *time,
			  struct axis *quality)
{
	uint32_t n = 0;

	*time = *quality = (struct axis){ HUGE_VAL, -HUGE_VAL };
	for (uint32_t i = 0; i < f->s->n_variants; i++) {
		if (isnan(f->worths[i].tpot.value) || isnan(f->worths[i].quality.value))
			continue;
		axis_take(time, &f->worths[i].tpot);
		axis_take(quality, &f->worths[i].quality);
		n++;
	}
	return n;
}

static void draw_frontier(const struct lmm_study_findings *f, const struct axis *time,
			  const struct axis *quality, FILE *out)
{
	char text[128];

	lmm__study_svg_begin(out, MAP_WIDTH, MAP_HEIGHT,
			     "variants by time per token and perplexity", "");
	lmm__study_rect(out, "idle", MAP_EDGE / 2, MAP_HEIGHT - MAP_EDGE / 2, MAP_WIDTH - MAP_EDGE,
			1);
	lmm__study_rect(out, "idle", MAP_EDGE / 2, MAP_EDGE / 2, 1, MAP_HEIGHT - MAP_EDGE);
	(void)snprintf(text, sizeof(text), "time per token: %s to %s", lmm__html_ns(time->low).s,
		       lmm__html_ns(time->high).s);
	lmm__study_text(out, MAP_WIDTH - MAP_EDGE / 2, MAP_HEIGHT - 6, "end", text);
	(void)snprintf(text, sizeof(text),
		       "perplexity: %.3g to %.3g times the reference's; down is better",
		       quality->low, quality->high);
	lmm__study_text(out, MAP_EDGE / 2, 14, "start", text);
	for (uint32_t i = 0; i < f->s->n_variants; i++) {
		if (!isnan(f->worths[i].tpot.value) && !isnan(f->worths[i].quality.value))
			put_point(f, i, time, quality, out);
	}
	fputs("</svg>\n", out);
}

static void put_frontier(const struct lmm_study_findings *f, FILE *out)
{
	struct axis time, quality;

	if (axes_take(f, &time, &quality) < 2)
		return;
	put_heading(out, "frontier", "Quality against time");
	fputs("<p class=\"quiet\">Lines are 95 % intervals of time; grey ones are dominated.</p>\n",
	      out);
	draw_frontier(f, &time, &quality, out);
	fputs("</section>\n", out);
}

int lmm_study_plot(const struct lmm_study_findings *f, unsigned number,
		   char name[LMM_STUDY_PLOT_NAME], FILE *out)
{
	struct axis time, quality;

	if (number > 0)
		return lmm__study_growth_plot(f, number - 1, name, out);
	if (axes_take(f, &time, &quality) < 2)
		return 0;
	(void)snprintf(name, LMM_STUDY_PLOT_NAME, "quality-time");
	draw_frontier(f, &time, &quality, out);
	return 1;
}

/* ---- conditions -------------------------------------------------------------------------------------- */

static void put_bar(FILE *out, double prefill, double decode)
{
	fprintf(out,
		"<td class=\"bar\"><svg width=\"100%%\" height=\"12\" role=\"img\" aria-label=\"prefill %s %%, decode %s %%\">",
		lmm_decimal(prefill, 1).s, lmm_decimal(decode, 1).s);
	fprintf(out, "<rect class=\"attributed\" y=\"1\" height=\"10\" width=\"%s%%\"/>",
		lmm_decimal(prefill, 2).s);
	fprintf(out,
		"<rect class=\"host\" y=\"1\" height=\"10\" x=\"%s%%\" width=\"%s%%\"/></svg></td>",
		lmm_decimal(prefill, 2).s, lmm_decimal(decode, 2).s);
}

static void put_condition(const struct lmm_study_findings *f, uint32_t c, FILE *out)
{
	const struct lmm_mean *memory = lmm_study_mean(f, c, LMM_FIG_MEMORY);
	double prefill, decode, half;
	char name[400];

	lmm_plan_condition_name(f->s->plan, c, name, sizeof(name));
	fputs("<tr>", out);
	lmm__html_cell(out, "name", name);
	put_mean_ns(out, lmm_study_mean(f, c, LMM_FIG_TTFT));
	put_mean_ns(out, lmm_study_mean(f, c, LMM_FIG_TPOT));
	put_number(out, isnan(memory->value) ? "\u2013" : lmm_human_bytes(memory->value).s);
	if (lmm_study_cell_mean(f->s, c, lmm_cell_prefill_percent, &prefill, &half) &&
	    lmm_study_cell_mean(f->s, c, lmm_cell_decode_percent, &decode, &half)) {
		put_bar(out, prefill, decode);
	} else {
		lmm__html_cell(out, "bar", "\u2013");
	}
	fputs("</tr>\n", out);
}

static void put_conditions(const struct lmm_study_findings *f, FILE *out)
{
	uint32_t n = f->s->plan->n_conditions;

	put_heading(out, "conditions", "Conditions");
	fputs("<table><thead><tr><th>Condition</th><th>TTFT</th><th>per token</th><th>memory</th>"
	      "<th class=\"bar\">prefill, decode</th></tr></thead>\n<tbody>\n",
	      out);
	for (uint32_t c = 0; c < n && c < ROWS_MAX; c++)
		put_condition(f, c, out);
	fputs("</tbody></table>\n", out);
	if (n > ROWS_MAX) {
		fprintf(out, "<p class=\"quiet\">The first %u of %u; --csv has all.</p>\n",
			ROWS_MAX, n);
	}
	fputs("</section>\n", out);
}

/* ---- effects, drawn -------------------------------------------------------------------------------- */

/* Where a change lies on the plot, which reaches from -most to most percent. */
static double place(double change, double most)
{
	double percent = fmin(fmax(100 * expm1(change), -most), most);

	return PLOT_LEFT + (PLOT_WIDTH - PLOT_LEFT) * (percent + most) / (2 * most);
}

static double most_of(const struct lmm_study_findings *f, unsigned figure)
{
	double most = 1;

	for (uint32_t i = 0; i < f->n_main; i++) {
		const struct lmm_contrast_estimate *e = &f->contrasts[i].e;

		if (f->contrasts[i].figure == figure && e->is_judged)
			most = fmax(most, fabs(100 * expm1(e->change)) * 1.3);
	}
	return fmin(most, 1000);
}

static void put_whisker(FILE *out, const struct lmm_contrast_estimate *e, double y, double most)
{
	fprintf(out, "<rect class=\"host\" x=\"%s\" width=\"%s\" y=\"%s\" height=\"3\"/>",
		lmm_decimal(place(e->low, most), 1).s,
		lmm_decimal(fmax(place(e->high, most) - place(e->low, most), 1), 1).s,
		lmm_decimal(y, 1).s);
	fprintf(out, "<rect class=\"attributed\" x=\"%s\" width=\"4\" y=\"%s\" height=\"9\"/>",
		lmm_decimal(place(e->change, most) - 2, 1).s, lmm_decimal(y - 3, 1).s);
}

static void put_effect(const struct lmm_study_findings *f, const struct lmm_study_contrast *c,
		       double most, FILE *out)
{
	const struct lmm_plan *p = f->s->plan;
	char name[300], text[128];

	(void)snprintf(name, sizeof(name), "%.60s=%.80s / %.80s", p->factors[c->factor].name,
		       lmm__level_name(p, c->factor, c->level),
		       lmm__level_name(p, c->factor, c->base));
	fputs("<tr>", out);
	lmm__html_cell(out, "name", name);
	(void)snprintf(text, sizeof(text), "%+.2f %%", 100 * expm1(c->e.change));
	put_number(out, text);
	(void)snprintf(text, sizeof(text), "[%+.2f, %+.2f]", 100 * expm1(c->e.low),
		       100 * expm1(c->e.high));
	put_number(out, c->e.is_judged ? text : "one block");
	put_number(out, c->e.is_changed ? "changed" : "");
	(void)snprintf(text, sizeof(text), "%.0f %%", 100 * c->e.power_2);
	put_number(out, c->e.is_judged ? text : "");
	fprintf(out,
		"<td class=\"bar\"><svg width=\"100%%\" height=\"%d\" viewBox=\"%s 0 %s %d\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
		ROW_HEIGHT, lmm_decimal(PLOT_LEFT, 0).s, lmm_decimal(PLOT_WIDTH - PLOT_LEFT, 0).s,
		ROW_HEIGHT);
	fprintf(out, "<rect class=\"host\" x=\"%s\" width=\"1\" height=\"%d\"/>",
		lmm_decimal(place(0, most), 1).s, ROW_HEIGHT);
	if (c->e.is_judged)
		put_whisker(out, &c->e, ROW_HEIGHT / 2.0 - 1.5, most);
	fputs("</svg></td></tr>\n", out);
}

static void put_effects(const struct lmm_study_findings *f, FILE *out)
{
	for (unsigned k = 0; k < LMM_STUDY_COMPARED; k++) {
		unsigned figure = lmm_study_compared[k], n = 0;

		for (uint32_t i = 0; i < f->n_main; i++)
			n += f->contrasts[i].figure == figure && f->contrasts[i].pairs > 0;
		if (n == 0)
			continue;
		fprintf(out, "<section id=\"effect-%s\">\n<h2>Effects on the %s</h2>\n",
			lmm_figures[figure].key, lmm_figures[figure].label);
		fputs("<table><thead><tr><th>Level / base</th><th>change</th><th>95 %</th><th></th>"
		      "<th>2 % found</th><th class=\"bar\">change and interval, 0 in the middle</th></tr></thead>\n<tbody>\n",
		      out);
		for (uint32_t i = 0; i < f->n_main; i++) {
			if (f->contrasts[i].figure == figure && f->contrasts[i].pairs > 0)
				put_effect(f, &f->contrasts[i], most_of(f, figure), out);
		}
		fputs("</tbody></table>\n</section>\n", out);
	}
}

static void put_holes(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_study *s = f->s;
	uint32_t shown = 0;

	if (f->n_holes == 0)
		return;
	put_heading(out, "holes", "Holes");
	fputs("<table><thead><tr><th>Condition</th><th>block</th><th>status</th><th>why</th></tr></thead>\n<tbody>\n",
	      out);
	for (size_t i = 0; i < (size_t)s->n_blocks * s->plan->n_conditions && shown < ROWS_MAX;
	     i++) {
		const struct lmm_cell *c = &s->cells[i];
		char name[400];

		if (c->status <= LMM_CELL_OK)
			continue;
		shown++;
		lmm_plan_condition_name(s->plan, c->condition, name, sizeof(name));
		fputs("<tr>", out);
		lmm__html_cell(out, "name", name);
		fprintf(out, "<td>%u</td>", c->block + 1);
		put_number(out, lmm_cell_status_name(c->status));
		put_number(out, c->reason);
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table>\n</section>\n", out);
}

/* ---- the page -------------------------------------------------------------------------------------- */

static int put_json(const struct lmm_study_findings *f, FILE *out)
{
	char *json = NULL;
	size_t n = 0;
	FILE *text = open_memstream(&json, &n);

	if (!text)
		return -ENOMEM;
	lmm_study_json(f, text);
	if (fclose(text) == 0)
		lmm__html_json(out, json, n);
	free(json);
	return 0;
}

static int put_body(const struct lmm_study_findings *f, FILE *out)
{
	put_head(f, out);
	put_conclusions(f, out);
	put_variants(f, out);
	put_frontier(f, out);
	lmm__study_growth_put(f, out);
	put_conditions(f, out);
	put_effects(f, out);
	put_holes(f, out);
	return 0;
}

static int put_part(const void *ctx, const char *name, size_t n, FILE *out)
{
	const struct lmm_study_findings *f = ctx;

	if (n == 5 && memcmp(name, "title", n) == 0) {
		lmm__html_text(out, f->s->name);
		fputs(" \u00b7 lmmeter study", out);
		return 0;
	}
	if (n == 4 && memcmp(name, "body", n) == 0)
		return put_body(f, out);
	if (n == 6 && memcmp(name, "report", n) == 0)
		return put_json(f, out);
	/* no single run is drawn */
	fputs("{\"requests\": []}", out);
	return 0;
}

void lmm_study_html(const struct lmm_study_findings *f, FILE *out)
{
	(void)lmm__html_page_put(out, put_part, f);
}
