/* SPDX-License-Identifier: Apache-2.0 */
/* What a study shows, for people. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/format.h"
#include "study/conclude.h"

#define WIDTH	   100
#define ROWS_SHOWN 40u

/* ---- words ----------------------------------------------------------------------------------------- */

/* Sentences, 100 wide; further lines four deeper. */
static void say(FILE *out, const char *lead, const char *text)
{
	char shown[4 * 1000 + 1];
	int column = (int)strlen(lead);

	lmm_text_fit(shown, sizeof(shown), text, 1000);
	fputs(lead, out);
	for (const char *p = shown; *p;) {
		size_t n = strcspn(p, " ");

		if (column > 6 && column + (int)n > WIDTH) {
			fputs("\n      ", out);
			column = 6;
		}
		fprintf(out, "%.*s", (int)n, p);
		column += (int)n;
		p += n;
		if (*p) {
			fputc(' ', out);
			column++;
			p++;
		}
	}
	fputc('\n', out);
}

/* "8.09 ms" and half its interval in percent: "8.09 ms  1.2 %". */
static void put_time(FILE *out, const struct lmm_mean *m)
{
	if (isnan(m->value)) {
		fprintf(out, "  %9s %7s", "-", "");
	} else if (isnan(m->low)) {
		fprintf(out, "  %9s %7s", lmm_human_ns(m->value).s, "");
	} else {
		char half[32];
		double percent = 50 * (m->high - m->low) / m->value;

		(void)snprintf(half, sizeof(half), percent < 100 ? "+-%.1f%%" : ">100%%", percent);
		fprintf(out, "  %9s %7s", lmm_human_ns(m->value).s, half);
	}
}

static void put_percent(FILE *out, const struct lmm_study *s, uint32_t condition,
			lmm_cell_value_fn *value)
{
	double mean, half;

	if (lmm_study_cell_mean(s, condition, value, &mean, &half) && !isnan(mean)) {
		fprintf(out, " %7.1f%%", mean);
	} else {
		fprintf(out, " %8s", "-");
	}
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void put_head(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_study *s = f->s;
	char shown[400];

	lmm_text_fit(shown, sizeof(shown), s->name, 80);
	fprintf(out, "%s: %u conditions, %u blocks, %u of %u cells measured", shown,
		s->plan->n_conditions, s->n_blocks, f->n_ok, s->n_blocks * s->plan->n_conditions);
	if (f->n_holes)
		fprintf(out, ", %u failed", f->n_holes);
	if (f->n_missing)
		fprintf(out, ", %u not run yet", f->n_missing);
	fputc('\n', out);
	lmm_text_fit(shown, sizeof(shown), s->cpu, 60);
	fprintf(out, "Machine  %s, %u CPUs, %s\n", shown, s->cpus,
		lmm_human_bytes((double)s->memory_bytes).s);
}

static void put_conclusions(const struct lmm_study_findings *f, FILE *out)
{
	fputs("\nConclusions\n", out);
	if (f->n_conclusions == 0)
		fputs("  none that the data carry\n", out);
	for (uint32_t i = 0; i < f->n_conclusions; i++) {
		const struct lmm_conclusion *c = &f->conclusions[i];
		char lead[32];

		(void)snprintf(lead, sizeof(lead), "  %-7s ", lmm_confidence_name(c->confidence));
		say(out, lead, c->text);
		if (c->evidence[0])
			say(out, "            ", c->evidence);
	}
}

/* Its levels, or (condition < 0) the factors' names; what has one level only is the same everywhere. */
static void put_levels(const struct lmm_plan *p, int64_t condition, FILE *out)
{
	char text[400] = "", fit[4 * 30 + 1];
	size_t n = 0;

	for (uint32_t i = 0; i < p->n_factors && n < sizeof(text) - 80; i++) {
		if (p->factors[i].n < 2)
			continue;
		n += (size_t)snprintf(
			text + n, 70, "%s%.60s", n ? " " : "",
			condition < 0
				? p->factors[i].name
				: lmm__level_name(p, i, lmm_plan_level(p, (uint32_t)condition, i)));
	}
	lmm_text_fit(fit, sizeof(fit), n ? text : "(one condition)", 30);
	fprintf(out, "  %-30s", fit);
}

static void put_condition(const struct lmm_study_findings *f, uint32_t c, FILE *out)
{
	const struct lmm_mean *memory = lmm_study_mean(f, c, LMM_FIG_MEMORY);
	uint32_t n = 0;

	for (uint32_t b = 0; b < f->s->n_blocks; b++)
		n += lmm_study_cell(f->s, b, c)->status == LMM_CELL_OK;
	put_levels(f->s->plan, c, out);
	fprintf(out, "%3u", n);
	put_time(out, lmm_study_mean(f, c, LMM_FIG_TTFT));
	put_time(out, lmm_study_mean(f, c, LMM_FIG_TPOT));
	put_percent(out, f->s, c, lmm_cell_prefill_percent);
	put_percent(out, f->s, c, lmm_cell_decode_percent);
	fprintf(out, " %9s\n", isnan(memory->value) ? "-" : lmm_human_bytes(memory->value).s);
}

static void put_conditions(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_plan *p = f->s->plan;
	uint32_t shown = p->n_conditions < ROWS_SHOWN ? p->n_conditions : ROWS_SHOWN;

	fputs("\nConditions, means over blocks with 95 % intervals\n", out);
	put_levels(p, -1, out);
	fprintf(out, "%3s  %17s  %17s %8s %8s %9s\n", "n", "TTFT        ", "per token     ",
		"prefill", "decode", "memory");
	for (uint32_t c = 0; c < shown; c++)
		put_condition(f, c, out);
	if (shown < p->n_conditions)
		fprintf(out, "  and %u more (--json, --csv)\n", p->n_conditions - shown);
}

static void put_decode(const struct lmm_study_findings *f, uint32_t c, FILE *out)
{
	static const uint8_t roles[] = { LMM_ROLE_ATTENTION, LMM_ROLE_MLP, LMM_ROLE_NORM,
					 LMM_ROLE_LM_HEAD };
	const struct lmm_mean *mbu = lmm_study_mean(f, c, LMM_FIG_MBU);
	struct lmm_study_decode d;

	lmm_study_decode(f->s, c, &d);
	if (isnan(d.role_percent[0]))
		return;
	put_levels(f->s->plan, c, out);
	for (size_t i = 0; i < sizeof(roles); i++)
		fprintf(out, " %8.1f%%", d.role_percent[roles[i]]);
	if (isnan(mbu->value)) {
		fprintf(out, " %7s", "-");
	} else {
		fprintf(out, " %6.1f%%", mbu->value);
	}
	for (uint32_t i = 0; i < d.n_types && i < 2; i++) {
		if (d.types[i].gb_per_second > 0)
			fprintf(out, " %s %.3g", d.types[i].name, d.types[i].gb_per_second);
	}
	fputc('\n', out);
}

static void put_decodes(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_plan *p = f->s->plan;

	fputs("\nDecode, by role; MBU; GB/s at which weights are read, by type\n", out);
	put_levels(p, -1, out);
	fprintf(out, " %9s %9s %9s %9s %7s\n", "attention", "mlp", "norm", "lm_head", "MBU");
	for (uint32_t c = 0; c < p->n_conditions && c < ROWS_SHOWN; c++)
		put_decode(f, c, out);
}

/* At most eight columns, whatever a single disturbed block makes of an interval. */
static struct lmm_human short_percent(double change)
{
	double percent = 100 * expm1(change);
	struct lmm_human h;

	if (percent > 9999) {
		(void)snprintf(h.s, sizeof(h.s), ">+9999");
	} else {
		(void)snprintf(h.s, sizeof(h.s), "%+.2f", percent);
	}
	return h;
}

static void put_contrast(const struct lmm_study_findings *f, const struct lmm_study_contrast *c,
			 FILE *out)
{
	const struct lmm_plan *p = f->s->plan;
	char name[300], fit[4 * 36 + 1], interval[80];

	(void)snprintf(name, sizeof(name), "%.60s %.80s / %.80s", p->factors[c->factor].name,
		       lmm__level_name(p, c->factor, c->level),
		       lmm__level_name(p, c->factor, c->base));
	lmm_text_fit(fit, sizeof(fit), name, 28);
	(void)snprintf(interval, sizeof(interval), "[%s, %s]", short_percent(c->e.low).s,
		       short_percent(c->e.high).s);
	fprintf(out, "  %-28s %-21s %9s%% %20s  ", fit, lmm_figures[c->figure].label,
		short_percent(c->e.change).s, c->e.is_judged ? interval : "one block");
	if (!c->e.is_judged) {
		fputs("-\n", out);
	} else {
		fprintf(out, "%-7s %3.0f%%\n",
			c->e.is_changed			? "changed"
			: c->e.low > 0 || c->e.high < 0 ? "unsure"
							: "-",
			100 * c->e.power_2);
	}
}

static void put_contrasts(const struct lmm_study_findings *f, FILE *out)
{
	if (f->n_main == 0)
		return;
	fprintf(out, "\n%-30s %-21s %10s %20s  %-7s %4s\n", "Effects, over all other factors",
		"figure", "change", "95 %", "", "2 %*");
	for (uint32_t i = 0; i < f->n_main; i++) {
		if (f->contrasts[i].pairs)
			put_contrast(f, &f->contrasts[i], out);
	}
	fputs("  * how likely a change of 2 % would have been called one, by the scatter that was seen\n",
	      out);
}

static void put_measured(FILE *out, const struct lmm_measured *m, int width)
{
	char text[48] = "-";

	if (!isnan(m->value)) {
		(void)snprintf(text, sizeof(text), isnan(m->half) ? "%.4g" : "%.4g +-%.2g",
			       m->value, m->half);
	}
	fprintf(out, " %*s", width, text);
}

static void put_variants(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_study *s = f->s;

	if (s->n_variants < 2)
		return;
	fprintf(out, "\n%-14s %9s %5s %12s %16s %13s %13s %s\n", "Variants", "size", "bits",
		"perplexity", "KL divergence", "same token %", "score (ours)", "frontier");
	for (uint32_t i = 0; i < s->n_variants; i++) {
		const struct lmm_variant *v = &s->variants[i];
		const struct lmm_study_worth *w = &f->worths[i];
		char fit[4 * 12 + 1], score[48] = "-", bits[16] = "-";

		lmm_text_fit(fit, sizeof(fit),
			     lmm__level_name(s->plan, (uint32_t)s->variant_factor, i), 12);
		if (!isnan(v->bits_per_weight))
			(void)snprintf(bits, sizeof(bits), "%.2f", v->bits_per_weight);
		if (!isnan(w->score.value)) {
			(void)snprintf(score, sizeof(score), "%.3f +-%.3f", w->score.value,
				       (w->score.high - w->score.low) / 2);
		}
		fprintf(out, "  %-12s %9s %5s", fit,
			isnan(v->size_bytes) ? "-" : lmm_human_bytes(v->size_bytes).s, bits);
		put_measured(out, &v->perplexity, 12);
		put_measured(out, &v->kld, 16);
		put_measured(out, &v->top1, 13);
		fprintf(out, " %13s %s%s\n", score,
			isnan(w->tpot.value)  ? "-"
			: w->dominated_by < 0 ? "yes"
					      : "no",
			v->is_reference ? ", reference" : "");
		if (v->reason[0])
			say(out, "    ", v->reason);
	}
}

static void put_holes(const struct lmm_study_findings *f, FILE *out)
{
	const struct lmm_study *s = f->s;
	uint32_t shown = 0;

	if (f->n_holes == 0)
		return;
	fputs("\nHoles\n", out);
	for (size_t i = 0; i < (size_t)s->n_blocks * s->plan->n_conditions && shown < ROWS_SHOWN;
	     i++) {
		const struct lmm_cell *c = &s->cells[i];
		char name[300], text[1000];

		if (c->status <= LMM_CELL_OK)
			continue;
		shown++;
		lmm_plan_condition_name(s->plan, c->condition, name, sizeof(name));
		(void)snprintf(text, sizeof(text), "block %u, %s: %s: %s", c->block + 1, name,
			       lmm_cell_status_name(c->status), c->reason);
		say(out, "  ", text);
	}
	if (shown < f->n_holes)
		fprintf(out, "  and %u more (--csv)\n", f->n_holes - shown);
}

void lmm_study_text(const struct lmm_study_findings *f, FILE *out)
{
	put_head(f, out);
	put_conclusions(f, out);
	put_variants(f, out);
	put_conditions(f, out);
	put_decodes(f, out);
	put_contrasts(f, out);
	put_holes(f, out);
}
