/* SPDX-License-Identifier: Apache-2.0 */
#include "report/diff.h"
#include "report/diff_words.h"

/* A cell of a table: what would end it or be markup is escaped. */
static void put_cell(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '|' || *text == '`' || *text == '<' || *text == '\\' || *text == '*' ||
		    *text == '_' || *text == '[' || *text == '@')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_headline(const struct lmm_diff_report *r, FILE *out)
{
	const struct lmm_diff *d = r->d;
	size_t n = lmm_diff_beyond(r);

	if (n) {
		fprintf(out, "### :x: lmmeter: %zu beyond %s\n\n", n,
			lmm_human_percent(r->limit_percent).s);
	} else if (d->n_changed) {
		fprintf(out, "### lmmeter: %zu changed\n\n", d->n_changed);
	} else {
		fputs("### :white_check_mark: lmmeter: nothing changed beyond noise\n\n", out);
	}
	fprintf(out, "%u before, %u after%s\n\n", d->n_runs[LMM_DIFF_BEFORE],
		d->n_runs[LMM_DIFF_AFTER],
		d->is_within_only ? "; one run a side: how runs scatter is not known" : "");
	for (size_t i = 0; i < d->n_warnings; i++) {
		fputs("> ", out);
		put_cell(d->warnings[i], out);
		fputs("\n>\n", out);
	}
	if (d->n_warnings)
		fputc('\n', out);
}

static void print_row(const struct lmm_diff_item *item, FILE *out)
{
	char name[LMM_DIFF_NAME_MAX], op[LMM_DIFF_NAME_MAX];

	lmm__diff_name(item, 60, name);
	(void)lmm_text_fit(op, sizeof(op), item->key.op, 40);
	fputs("| ", out);
	put_cell(name, out);
	fputs(" | ", out);
	put_cell(op, out);
	fprintf(out, " | %s | %s | %s | %s | %s | %s |\n", lmm_diff_class_name(item->class_at),
		lmm_human_ns(item->ns[LMM_DIFF_BEFORE]).s, lmm_human_ns(item->ns[LMM_DIFF_AFTER]).s,
		lmm__diff_signed(item->change_percent).s, lmm__diff_interval(item).s,
		lmm__diff_signed(item->cost_percent).s);
}

void lmm_report_diff_markdown(const struct lmm_diff_report *r, FILE *out)
{
	const struct lmm_diff *d = r->d;

	print_headline(r, out);
	fputs("| item | op | step | before | after | change | 95 % | of the step |\n"
	      "|---|---|---|--:|--:|--:|--:|--:|\n",
	      out);
	for (unsigned c = LMM_DIFF_CLASSES; c-- > 0;) {
		const struct lmm_diff_item *step = lmm__diff_step_item(d, c);

		if (step && step->partner == LMM_DIFF_BOTH && !step->is_changed)
			print_row(step, out);
	}
	for (size_t i = 0; i < d->n_changed; i++)
		print_row(&d->items[i], out);
	fprintf(out, "\n%zu of %zu items did not change beyond noise, %zu have no partner.\n",
		d->n_compared - d->n_changed, d->n_compared, d->n_unpaired);
}
