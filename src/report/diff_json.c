/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "report/diff.h"
#include "report/json_writer.h"

static const char *partner_name(unsigned partner)
{
	static const char *const names[] = { "both", "only_before", "only_after", "sometimes" };

	return names[partner];
}

static void put_known(struct lmm_json *j, const char *key, double value, int is_known)
{
	lmm_json_double(j, key, is_known ? value : NAN, 6);
}

static void put_runs(struct lmm_json *j, const struct lmm_diff *d)
{
	lmm_json_row_begin(j, "runs");
	lmm_json_u64(j, "before", d->n_runs[LMM_DIFF_BEFORE]);
	lmm_json_u64(j, "after", d->n_runs[LMM_DIFF_AFTER]);
	lmm_json_bool(j, "within_only", d->is_within_only);
	lmm_json_object_end(j);
}

static void put_class(struct lmm_json *j, const struct lmm_diff *d, unsigned class_at)
{
	const struct lmm_diff_class_facts *f = &d->classes[class_at];

	if (!f->is_seen)
		return;
	lmm_json_object_begin(j, NULL);
	lmm_json_string(j, "class", lmm_diff_class_name(class_at));
	lmm_json_u64(j, "before_steps", f->steps[LMM_DIFF_BEFORE]);
	lmm_json_u64(j, "after_steps", f->steps[LMM_DIFF_AFTER]);
	lmm_json_ns(j, "before_ns", f->step_ns[LMM_DIFF_BEFORE]);
	lmm_json_ns(j, "after_ns", f->step_ns[LMM_DIFF_AFTER]);
	put_known(j, "common_percent", f->common_percent, f->has_common);
	put_known(j, "common_low_percent", f->common_low_percent, f->has_common);
	put_known(j, "common_high_percent", f->common_high_percent, f->has_common);
	lmm_json_ns(j, "change_ns", f->change_ns);
	lmm_json_ns(j, "named_ns", f->named_ns);
	lmm_json_ns(j, "common_ns", f->common_ns);
	lmm_json_ns(j, "rest_ns", f->rest_ns);
	lmm_json_object_end(j);
}

static void put_key(struct lmm_json *j, const struct lmm_diff_key *key)
{
	int has_role = key->level == LMM_DIFF_ROLE || key->level == LMM_DIFF_KERNEL;

	lmm_json_string(j, "level", lmm_diff_level_name(key->level));
	lmm_json_string(j, "name", key->name);
	lmm_json_string(j, "op", key->op);
	if (has_role) {
		lmm_json_string(j, "role", lmm_role_name(key->role));
	} else {
		lmm_json_null(j, "role");
	}
	if (key->level == LMM_DIFF_LAYER) {
		lmm_json_i64(j, "layer", key->layer);
	} else {
		lmm_json_null(j, "layer");
	}
	lmm_json_string(j, "device", key->device);
	lmm_json_string(j, "weight_type", key->weight_type);
	lmm_json_bool(j, "fused", key->is_fused);
}

static void put_item(struct lmm_json *j, const struct lmm_diff_report *r,
		     const struct lmm_diff_item *i)
{
	int has_change = i->partner == LMM_DIFF_BOTH;

	lmm_json_row_begin(j, NULL);
	lmm_json_string(j, "class", lmm_diff_class_name(i->class_at));
	put_key(j, &i->key);
	lmm_json_string(j, "partner", partner_name(i->partner));
	lmm_json_bool(j, "changed", i->is_changed);
	lmm_json_bool(j, "beyond_limit",
		      r->limit_percent >= 0 && lmm_diff_is_beyond(i, r->limit_percent));
	lmm_json_ns(j, "before_ns", i->ns[LMM_DIFF_BEFORE]);
	lmm_json_ns(j, "after_ns", i->ns[LMM_DIFF_AFTER]);
	lmm_json_ns(j, "before_mean_ns", i->mean_ns[LMM_DIFF_BEFORE]);
	lmm_json_ns(j, "after_mean_ns", i->mean_ns[LMM_DIFF_AFTER]);
	put_known(j, "change_percent", i->change_percent, has_change);
	put_known(j, "low_percent", i->low_percent, i->is_judged);
	put_known(j, "high_percent", i->high_percent, i->is_judged);
	put_known(j, "change_ns", i->change_ns, has_change);
	put_known(j, "low_ns", i->low_ns, i->is_judged);
	put_known(j, "high_ns", i->high_ns, i->is_judged);
	put_known(j, "step_percent", i->cost_percent, has_change);
	lmm_json_double(j, "p", i->is_judged ? i->p : NAN, 9);
	lmm_json_object_end(j);
}

void lmm_report_diff_json(const struct lmm_diff_report *r, FILE *out)
{
	const struct lmm_diff *d = r->d;
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.diff/1");
	put_runs(&j, d);
	lmm_json_array_begin(&j, "warnings");
	for (size_t i = 0; i < d->n_warnings; i++)
		lmm_json_string(&j, NULL, d->warnings[i]);
	lmm_json_array_end(&j);
	put_known(&j, "limit_percent", r->limit_percent, r->limit_percent >= 0);
	lmm_json_u64(&j, "beyond_limit", lmm_diff_beyond(r));
	lmm_json_u64(&j, "changed", d->n_changed);
	lmm_json_u64(&j, "compared", d->n_compared);
	lmm_json_u64(&j, "without_partner", d->n_unpaired);
	lmm_json_array_begin(&j, "classes");
	for (unsigned c = 0; c < LMM_DIFF_CLASSES; c++)
		put_class(&j, d, c);
	lmm_json_array_end(&j);
	lmm_json_array_begin(&j, "items");
	for (size_t i = 0; i < d->n_items; i++)
		put_item(&j, r, &d->items[i]);
	lmm_json_array_end(&j);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
