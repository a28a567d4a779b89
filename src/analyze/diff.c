/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the partners of items in all runs, and makes one table of what the statistics say of them. */
#include "analyze/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/diff_internal.h"
#include "analyze/diff_stats.h"

/* Family-wise: one false alarm in a hundred comparisons, over totals and all the rest together. */
#define ALPHA_TOTALS   0.001
#define ALPHA_ITEMS    0.006
#define TRIFLE_PERCENT 0.1 /* of the step: less is nobody's regression */

/* ---- one item in all runs ----------------------------------------------------------------------- */

struct candidate {
	struct lmm_diff_item item;
	struct lmm_diff_cell *cells; /* by run */
};

struct table {
	struct lmm_diff_run *const *runs;
	uint32_t n_runs, n_before;
	struct candidate *at;
	uint32_t n, cap;
};

static int is_of_kernels(unsigned level)
{
	return level == LMM_DIFF_ROLE || level == LMM_DIFF_LAYER || level == LMM_DIFF_KERNEL;
}

/* Steady steps, if there are any; where kernels count, those whose kernels were all timed. */
static int row_counts(const struct lmm_diff_sheet *s, const struct lmm_diff_row *row,
		      unsigned level)
{
	if (s->steps && row->flags & LMM_DIFF_FIRST_USE)
		return 0;
	return !is_of_kernels(level) || !(row->flags & LMM_DIFF_NO_KERNELS);
}

static void cell_take(const struct lmm_diff_run *run, unsigned class_at,
		      const struct lmm_diff_key *key, struct lmm_diff_cell *cell)
{
	const struct lmm_diff_sheet *s = &run->sheets[class_at];
	int32_t column = lmm_diff_sheet_find(s, key);
	double values[LMM_DIFF_ROWS];
	uint32_t n = 0;

	for (uint32_t i = 0; column >= 0 && i < s->n_rows; i++) {
		const struct lmm_diff_row *row = &s->rows[i];
		double unit = class_at == LMM_DIFF_PREFILL && row->tokens ? row->tokens : 1;

		if (row_counts(s, row, key->level)) {
			values[n++] = (uint32_t)column < row->n
					      ? row->values[column] * run->ns_per_tick / unit
					      : 0;
		}
	}
	if (n)
		lmm_diff_cell_fill(cell, values, n);
}

static double plain_mean(const struct lmm_diff_run *run, unsigned class_at,
			 const struct lmm_diff_key *key)
{
	const struct lmm_diff_sheet *s = &run->sheets[class_at];
	int32_t column = lmm_diff_sheet_find(s, key);
	uint64_t units = class_at == LMM_DIFF_PREFILL ? s->tokens : s->steps;

	if (column < 0 || units == 0)
		return 0;
	return s->columns[column].total * run->ns_per_tick / (double)units;
}

static struct candidate *candidate_new(struct table *t, unsigned class_at,
				       const struct lmm_diff_key *key)
{
	struct candidate *c;

	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;
		struct candidate *at = realloc(t->at, cap * sizeof(*at));

		if (!at)
			return NULL;
		t->at = at;
		t->cap = cap;
	}
	c = &t->at[t->n];
	memset(c, 0, sizeof(*c));
	c->cells = calloc(t->n_runs, sizeof(*c->cells));
	if (!c->cells)
		return NULL;
	t->n++;
	c->item.class_at = (uint8_t)class_at;
	c->item.key = *key;
	return c;
}

static void sides_fill(const struct table *t, struct candidate *c)
{
	uint32_t n[LMM_DIFF_SIDES] = { 0 };
	uint32_t runs[LMM_DIFF_SIDES] = { t->n_before, t->n_runs - t->n_before };

	for (uint32_t r = 0; r < t->n_runs; r++) {
		unsigned side = r < t->n_before ? LMM_DIFF_BEFORE : LMM_DIFF_AFTER;

		n[side] += c->cells[r].mean > 0;
		c->item.ns[side] += c->cells[r].mean / runs[side];
	}
	if (n[0] == runs[0] && n[1] == runs[1]) {
		c->item.partner = LMM_DIFF_BOTH;
	} else if (n[1] == 0) {
		c->item.partner = LMM_DIFF_ONLY_BEFORE;
	} else if (n[0] == 0) {
		c->item.partner = LMM_DIFF_ONLY_AFTER;
	} else {
		c->item.partner = LMM_DIFF_SOMETIMES;
	}
}

static int candidate_of_key(struct table *t, unsigned class_at, const struct lmm_diff_key *key)
{
	struct candidate *c = candidate_new(t, class_at, key);

	if (!c)
		return -1;
	for (uint32_t r = 0; r < t->n_runs; r++) {
		unsigned side = r < t->n_before ? LMM_DIFF_BEFORE : LMM_DIFF_AFTER;
		uint32_t runs = side == LMM_DIFF_BEFORE ? t->n_before : t->n_runs - t->n_before;

		cell_take(t->runs[r], class_at, key, &c->cells[r]);
		c->item.mean_ns[side] += plain_mean(t->runs[r], class_at, key) / runs;
	}
	sides_fill(t, c);
	/* nothing was steady, or its time is too short for the clock */
	if (c->item.ns[0] <= 0 && c->item.ns[1] <= 0) {
		free(c->cells);
		t->n--;
	}
	return 0;
}

static int is_known(const struct table *t, uint32_t run, unsigned class_at,
		    const struct lmm_diff_key *key)
{
	for (uint32_t r = 0; r < run; r++) {
		if (lmm_diff_sheet_find(&t->runs[r]->sheets[class_at], key) >= 0)
			return 1;
	}
	return 0;
}

static int candidates_of_class(struct table *t, unsigned class_at)
{
	for (uint32_t r = 0; r < t->n_runs; r++) {
		const struct lmm_diff_sheet *s = &t->runs[r]->sheets[class_at];

		for (uint32_t i = 0; i < s->n_columns; i++) {
			const struct lmm_diff_key *key = &s->columns[i].key;

			if (!is_known(t, r, class_at, key) && candidate_of_key(t, class_at, key))
				return -1;
		}
	}
	return 0;
}

static int candidate_of_requests(struct table *t, unsigned class_at, const char *name)
{
	struct lmm_diff_key key = { LMM_DIFF_TOTAL, 0, 0, -1, name, "", "", "" };
	struct candidate *c = candidate_new(t, class_at, &key);

	if (!c)
		return -1;
	for (uint32_t r = 0; r < t->n_runs; r++) {
		const struct lmm_diff_run *run = t->runs[r];
		int is_ttft = class_at == LMM_DIFF_PREFILL;

		lmm_diff_cell_fill(&c->cells[r], is_ttft ? run->ttft_ns : run->tpot_ns,
				   is_ttft ? run->n_ttft : run->n_tpot);
	}
	sides_fill(t, c);
	memcpy(c->item.mean_ns, c->item.ns, sizeof(c->item.mean_ns));
	if (c->item.partner != LMM_DIFF_BOTH) {
		free(c->cells);
		t->n--;
	}
	return 0;
}

/* ---- estimates ---------------------------------------------------------------------------------- */

static int is_step(const struct lmm_diff_item *i)
{
	return i->key.level == LMM_DIFF_TOTAL && strcmp(i->key.name, "step") == 0;
}

static uint8_t kind_of(const struct lmm_diff_item *i, double step_ns)
{
	if (i->key.level == LMM_DIFF_TOTAL)
		return LMM_DIFF_RAW;
	if (i->key.level == LMM_DIFF_KERNEL && i->ns[LMM_DIFF_BEFORE] >= step_ns * 0.001)
		return LMM_DIFF_LEAF;
	return LMM_DIFF_DIVIDED;
}

static double percent(double log_ratio)
{
	return expm1(log_ratio) * 100;
}

static void estimate_put(struct lmm_diff_item *i, const struct lmm_diff_estimate *e, double step_ns)
{
	double before = i->ns[LMM_DIFF_BEFORE];

	i->is_judged = e->is_judged;
	i->p = e->p;
	i->change_percent = percent(e->change);
	i->change_ns = before * expm1(e->change);
	if (e->is_judged) {
		i->low_percent = percent(e->low);
		i->high_percent = percent(e->high);
		i->low_ns = before * expm1(e->low);
		i->high_ns = before * expm1(e->high);
	}
	if (i->key.level == LMM_DIFF_TOTAL)
		step_ns = before;
	if (step_ns > 0) {
		i->cost_percent = i->change_ns / step_ns * 100;
		i->cost_low_percent = i->low_ns / step_ns * 100;
	}
}

static void common_put(struct lmm_diff_class_facts *f, const struct lmm_diff_estimate *common)
{
	f->has_common = common->is_judged;
	if (!f->has_common)
		return;
	f->common_percent = percent(common->change);
	f->common_low_percent = percent(common->low);
	f->common_high_percent = percent(common->high);
	f->common_ns = f->step_ns[LMM_DIFF_BEFORE] * expm1(common->change);
}

static void facts_fill(const struct table *t, unsigned class_at, struct lmm_diff_class_facts *f)
{
	for (uint32_t r = 0; r < t->n_runs; r++) {
		const struct lmm_diff_sheet *s = &t->runs[r]->sheets[class_at];
		unsigned side = r < t->n_before ? LMM_DIFF_BEFORE : LMM_DIFF_AFTER;

		f->steps[side] += s->steps ? s->steps : s->first_use_steps;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		const struct lmm_diff_item *item = &t->at[i].item;

		if (item->class_at == class_at && is_step(item)) {
			f->is_seen = 1;
			memcpy(f->step_ns, item->ns, sizeof(f->step_ns));
			f->change_ns = item->ns[LMM_DIFF_AFTER] - item->ns[LMM_DIFF_BEFORE];
		}
	}
}

/* Those of a class that have partners. Returns how many were estimated, or -1. */
static int class_estimate(struct table *t, unsigned class_at, struct lmm_diff_class_facts *f)
{
	struct lmm_diff_cell *cells = calloc((size_t)t->n * t->n_runs + 1, sizeof(*cells));
	struct lmm_diff_estimate *out = calloc(t->n + 1, sizeof(*out)), common;
	uint8_t *kinds = calloc(t->n + 1, 1);
	uint32_t n = 0, k = 0;
	int rc = cells && out && kinds ? 0 : -1;

	for (uint32_t i = 0; i < t->n && rc == 0; i++) {
		const struct candidate *c = &t->at[i];

		if (c->item.class_at != class_at || c->item.partner != LMM_DIFF_BOTH)
			continue;
		memcpy(&cells[(size_t)n * t->n_runs], c->cells, t->n_runs * sizeof(*cells));
		kinds[n++] = kind_of(&c->item, f->step_ns[LMM_DIFF_BEFORE]);
	}
	if (rc == 0 && n) {
		rc = lmm_diff_estimate(cells, kinds, n, t->n_before, t->n_runs - t->n_before, out,
				       &common);
	}
	for (uint32_t i = 0; i < t->n && rc == 0; i++) {
		struct lmm_diff_item *item = &t->at[i].item;

		if (item->class_at == class_at && item->partner == LMM_DIFF_BOTH)
			estimate_put(item, &out[k++], f->step_ns[LMM_DIFF_BEFORE]);
	}
	if (rc == 0 && n)
		common_put(f, &common);
	free(cells);
	free(out);
	free(kinds);
	return rc;
}

/* ---- verdicts ----------------------------------------------------------------------------------- */

static int verdict_family(struct lmm_diff *d, int is_total, double alpha)
{
	double *p = calloc(d->n_items + 1, sizeof(*p));
	uint8_t *passes = calloc(d->n_items + 1, 1);
	uint32_t n = 0, k = 0;
	int rc = p && passes ? 0 : -1;

	for (size_t i = 0; i < d->n_items && rc == 0; i++) {
		const struct lmm_diff_item *item = &d->items[i];

		if (item->is_judged && (item->key.level == LMM_DIFF_TOTAL) == is_total)
			p[n++] = item->p;
	}
	if (rc == 0)
		rc = lmm_diff_holm(p, n, alpha, passes);
	for (size_t i = 0; i < d->n_items && rc == 0; i++) {
		struct lmm_diff_item *item = &d->items[i];

		if (item->is_judged && (item->key.level == LMM_DIFF_TOTAL) == is_total) {
			item->is_changed =
				passes[k++] && fabs(item->cost_percent) >= TRIFLE_PERCENT;
		}
	}
	free(p);
	free(passes);
	return rc;
}

static int is_of_operators(const struct lmm_diff_key *key)
{
	static const unsigned phases[] = { LMM_PHASE_PREFILL, LMM_PHASE_DECODE, LMM_PHASE_DRAFT,
					   LMM_PHASE_VERIFY, LMM_PHASE_EMBEDDING };

	for (unsigned i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		if (strcmp(key->name, lmm_phase_name(phases[i])) == 0)
			return 1;
	}
	return 0;
}

/* What of the step's change is said by name: no instant twice. */
static double named_ns(const struct lmm_diff_item *i, int has_kernels)
{
	if (i->key.level != LMM_DIFF_KERNEL &&
	    (i->key.level != LMM_DIFF_PHASE || (has_kernels && is_of_operators(&i->key))))
		return 0;
	if (i->partner == LMM_DIFF_ONLY_BEFORE || i->partner == LMM_DIFF_ONLY_AFTER)
		return i->ns[LMM_DIFF_AFTER] - i->ns[LMM_DIFF_BEFORE];
	return i->is_changed ? i->change_ns : 0;
}

static void explain(struct lmm_diff *d)
{
	int has_kernels[LMM_DIFF_CLASSES] = { 0 };

	for (size_t i = 0; i < d->n_items; i++)
		has_kernels[d->items[i].class_at] |= d->items[i].key.level == LMM_DIFF_KERNEL;
	for (size_t i = 0; i < d->n_items; i++) {
		const struct lmm_diff_item *item = &d->items[i];

		d->classes[item->class_at].named_ns += named_ns(item, has_kernels[item->class_at]);
		d->n_changed += item->is_changed;
		d->n_compared += item->partner == LMM_DIFF_BOTH;
		d->n_unpaired += item->partner != LMM_DIFF_BOTH;
	}
	for (unsigned c = 0; c < LMM_DIFF_CLASSES; c++) {
		struct lmm_diff_class_facts *f = &d->classes[c];

		f->rest_ns = f->change_ns - f->named_ns - f->common_ns;
	}
}

/* Changed ones first, then by what they cost; the order does not depend on that of files. */
static int compare_items(const void *a, const void *b)
{
	const struct lmm_diff_item *x = a, *y = b;
	double cost = fabs(y->change_ns) - fabs(x->change_ns);

	if (x->is_changed != y->is_changed)
		return y->is_changed - x->is_changed;
	if (x->is_changed && x->key.level != y->key.level &&
	    (x->key.level == LMM_DIFF_TOTAL || y->key.level == LMM_DIFF_TOTAL))
		return x->key.level == LMM_DIFF_TOTAL ? -1 : 1;
	if (cost != 0)
		return cost > 0 ? 1 : -1;
	if (x->class_at != y->class_at)
		return y->class_at - x->class_at;
	if (x->key.level != y->key.level)
		return y->key.level - x->key.level;
	if (x->key.layer != y->key.layer)
		return x->key.layer < y->key.layer ? -1 : 1;
	return strcmp(x->key.name, y->key.name);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static int table_fill(struct table *t)
{
	for (unsigned c = 0; c < LMM_DIFF_CLASSES; c++) {
		if (candidates_of_class(t, c))
			return -1;
	}
	if (candidate_of_requests(t, LMM_DIFF_PREFILL, "ttft"))
		return -1;
	return candidate_of_requests(t, LMM_DIFF_DECODE, "tpot");
}

static int items_take(struct lmm_diff *d, struct table *t)
{
	d->items = calloc(t->n + 1, sizeof(*d->items));
	if (!d->items)
		return -1;
	for (unsigned c = 0; c < LMM_DIFF_CLASSES; c++) {
		facts_fill(t, c, &d->classes[c]);
		if (class_estimate(t, c, &d->classes[c]))
			return -1;
	}
	for (uint32_t i = 0; i < t->n; i++)
		d->items[d->n_items++] = t->at[i].item;
	if (verdict_family(d, 1, ALPHA_TOTALS) || verdict_family(d, 0, ALPHA_ITEMS))
		return -1;
	explain(d);
	qsort(d->items, d->n_items, sizeof(*d->items), compare_items);
	return 0;
}

struct lmm_diff *lmm_diff_create(struct lmm_diff_run *const *runs, uint32_t n_before,
				 uint32_t n_after)
{
	struct table t = { .runs = runs, .n_runs = n_before + n_after, .n_before = n_before };
	struct lmm_diff *d = calloc(1, sizeof(*d));
	int rc = -1;

	if (d) {
		d->n_runs[LMM_DIFF_BEFORE] = n_before;
		d->n_runs[LMM_DIFF_AFTER] = n_after;
		d->is_within_only = n_before + n_after == 2;
		rc = table_fill(&t);
	}
	if (rc == 0)
		rc = items_take(d, &t);
	if (rc == 0)
		rc = lmm__diff_warn(d, runs);
	for (uint32_t i = 0; i < t.n; i++)
		free(t.at[i].cells);
	free(t.at);
	if (rc == 0)
		return d;
	lmm_diff_destroy(d);
	return NULL;
}

void lmm_diff_destroy(struct lmm_diff *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_warnings; i++)
		free((char *)d->warnings[i]);
	free(d->warnings);
	free(d->items);
	free(d);
}

int lmm_diff_is_beyond(const struct lmm_diff_item *item, double limit_percent)
{
	return item->is_changed && item->cost_low_percent > limit_percent;
}
