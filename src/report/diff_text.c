/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "report/diff.h"
#include "report/diff_words.h"

#define UNPAIRED_MAX 10

static double share(double ns, double step_ns)
{
	return step_ns > 0 ? ns / step_ns * 100 : 0;
}

static void print_class(const struct lmm_diff *d, unsigned class_at, FILE *out)
{
	const struct lmm_diff_class_facts *f = &d->classes[class_at];
	const struct lmm_diff_item *step = lmm__diff_step_item(d, class_at);
	double before = f->step_ns[LMM_DIFF_BEFORE];

	if (!step || step->partner != LMM_DIFF_BOTH)
		return;
	fprintf(out, "%s, %s: %s before, %s after: %s (%s)\n", lmm_diff_class_name(class_at),
		lmm__diff_unit(class_at), lmm_human_ns(before).s,
		lmm_human_ns(f->step_ns[LMM_DIFF_AFTER]).s,
		lmm__diff_signed(step->change_percent).s, lmm__diff_interval(step).s);
	fprintf(out, "  of that %s in what changed below, ",
		lmm__diff_signed(share(f->named_ns, before)).s);
	if (f->has_common) {
		fprintf(out, "%s in all operators alike, ",
			lmm__diff_signed(share(f->common_ns, before)).s);
	}
	fprintf(out, "%s in noise and what cannot be named\n",
		lmm__diff_signed(share(f->rest_ns, before)).s);
}

static void print_changed(const struct lmm_diff *d, FILE *out)
{
	char name[LMM_DIFF_NAME_MAX], op[LMM_DIFF_NAME_MAX];

	if (d->n_changed == 0) {
		fputs("\nNothing changed beyond noise.\n", out);
		return;
	}
	fprintf(out, "\n%-22s %-14s %-8s %8s %8s %9s %-18s %8s\n", "Changed", "op", "step",
		"before", "after", "change", "  95 %", "of step");
	for (size_t i = 0; i < d->n_changed; i++) {
		const struct lmm_diff_item *item = &d->items[i];

		lmm__diff_name(item, 20, name);
		(void)lmm_text_fit(op, sizeof(op), item->key.op, 14);
		fprintf(out, "  %-20s %-14s %-8s %8s %8s %9s %-18s %8s\n", name, op,
			lmm_diff_class_name(item->class_at),
			lmm_human_ns(item->ns[LMM_DIFF_BEFORE]).s,
			lmm_human_ns(item->ns[LMM_DIFF_AFTER]).s,
			lmm__diff_signed(item->change_percent).s, lmm__diff_interval(item).s,
			lmm__diff_signed(item->cost_percent).s);
	}
}

static void print_unchanged(const struct lmm_diff *d, FILE *out)
{
	size_t n = d->n_compared - d->n_changed;
	double hidden = lmm__diff_hidden_percent(d);

	if (n == 0)
		return;
	fprintf(out, "\n%zu of %zu items did not change beyond noise", n, d->n_compared);
	if (hidden >= 0) {
		fprintf(out, "; no operator hides more than %s of its step",
			lmm_human_percent(hidden).s);
	}
	fputs(".\n", out);
}

static const char *partner_words(unsigned partner)
{
	switch (partner) {
	case LMM_DIFF_ONLY_BEFORE:
		return "only before";
	case LMM_DIFF_ONLY_AFTER:
		return "only after";
	default:
		return "not in every run";
	}
}

static void print_unpaired(const struct lmm_diff *d, FILE *out)
{
	char name[LMM_DIFF_NAME_MAX];
	size_t shown = 0;

	if (d->n_unpaired == 0)
		return;
	fprintf(out, "\nWithout partner: %zu\n", d->n_unpaired);
	for (size_t i = 0; i < d->n_items && shown < UNPAIRED_MAX; i++) {
		const struct lmm_diff_item *item = &d->items[i];

		if (item->partner == LMM_DIFF_BOTH)
			continue;
		shown++;
		lmm__diff_name(item, 30, name);
		fprintf(out, "  %-30s %-8s %-18s %8s before, %8s after\n", name,
			lmm_diff_class_name(item->class_at), partner_words(item->partner),
			lmm_human_ns(item->ns[LMM_DIFF_BEFORE]).s,
			lmm_human_ns(item->ns[LMM_DIFF_AFTER]).s);
	}
	if (d->n_unpaired > shown)
		fprintf(out, "  and %zu more (--json)\n", d->n_unpaired - shown);
}

static void print_verdict(const struct lmm_diff_report *r, FILE *out)
{
	size_t n = lmm_diff_beyond(r);

	if (r->limit_percent < 0)
		return;
	if (n == 0) {
		fprintf(out, "\nNo regression beyond %s.\n", lmm_human_percent(r->limit_percent).s);
		return;
	}
	fprintf(out, "\nREGRESSION: %zu %s slower by more than %s of the step.\n", n,
		n == 1 ? "item is" : "items are", lmm_human_percent(r->limit_percent).s);
}

void lmm_report_diff_text(const struct lmm_diff_report *r, FILE *out)
{
	const struct lmm_diff *d = r->d;
	char text[1024];

	fprintf(out, "%u %s before, %u after\n", d->n_runs[LMM_DIFF_BEFORE],
		d->n_runs[LMM_DIFF_BEFORE] == 1 ? "run" : "runs", d->n_runs[LMM_DIFF_AFTER]);
	if (d->is_within_only) {
		fputs("Note: one run a side: intervals tell how tokens scatter within these two runs, not how runs do.\n"
		      "      Three runs a side and more make a comparison that holds.\n",
		      out);
	}
	for (size_t i = 0; i < d->n_warnings; i++) {
		(void)lmm_text_fit(text, sizeof(text), d->warnings[i], 240);
		fprintf(out, "Note: %s\n", text);
	}
	fputc('\n', out);
	for (unsigned c = LMM_DIFF_CLASSES; c-- > 0;)
		print_class(d, c, out);
	print_changed(d, out);
	print_unchanged(d, out);
	print_unpaired(d, out);
	print_verdict(r, out);
}
