/* SPDX-License-Identifier: Apache-2.0 */
#include "report/diff_words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/diff.h"

static const char *total_name(const struct lmm_diff_item *i)
{
	if (strcmp(i->key.name, "ttft") == 0)
		return "TTFT";
	return strcmp(i->key.name, "tpot") == 0 ? "TPOT" : "whole step";
}

void lmm__diff_name(const struct lmm_diff_item *i, int columns, char out[LMM_DIFF_NAME_MAX])
{
	char whole[LMM_DIFF_NAME_MAX];

	switch (i->key.level) {
	case LMM_DIFF_TOTAL:
		(void)snprintf(whole, sizeof(whole), "%s", total_name(i));
		break;
	case LMM_DIFF_PHASE:
		(void)snprintf(whole, sizeof(whole), "phase %s", i->key.name);
		break;
	case LMM_DIFF_ROLE:
		(void)snprintf(whole, sizeof(whole), "role %s", lmm_role_name(i->key.role));
		break;
	case LMM_DIFF_LAYER:
		(void)snprintf(whole, sizeof(whole), "layer %d", (int)i->key.layer);
		break;
	default:
		(void)snprintf(whole, sizeof(whole), "%s%s", i->key.name,
			       i->key.is_fused ? " (fused)" : "");
		break;
	}
	(void)lmm_text_fit(out, LMM_DIFF_NAME_MAX, whole, columns);
}

struct lmm_human lmm__diff_signed(double percent)
{
	struct lmm_human h;
	double size = fabs(percent);

	(void)snprintf(h.s, sizeof(h.s), "%+.*f %%", size < 10 ? 2 : size < 100 ? 1 : 0, percent);
	return h;
}

struct lmm_human lmm__diff_interval(const struct lmm_diff_item *i)
{
	double size = fmax(fabs(i->low_percent), fabs(i->high_percent));
	int digits = size < 10 ? 2 : size < 100 ? 1 : 0;
	struct lmm_human h = { "-" };

	if (i->is_judged) {
		(void)snprintf(h.s, sizeof(h.s), "%+.*f to %+.*f %%", digits, i->low_percent,
			       digits, i->high_percent);
	}
	return h;
}

const char *lmm__diff_unit(unsigned class_at)
{
	static const char *const units[LMM_DIFF_CLASSES] = { "per prompt token", "per step",
							     "per step", "per step" };

	return class_at < LMM_DIFF_CLASSES ? units[class_at] : "";
}

const struct lmm_diff_item *lmm__diff_step_item(const struct lmm_diff *d, unsigned class_at)
{
	for (size_t i = 0; i < d->n_items; i++) {
		const struct lmm_diff_item *item = &d->items[i];

		if (item->class_at == class_at && item->key.level == LMM_DIFF_TOTAL &&
		    strcmp(item->key.name, "step") == 0)
			return item;
	}
	return NULL;
}

double lmm__diff_hidden_percent(const struct lmm_diff *d)
{
	double most = -1;

	for (size_t i = 0; i < d->n_items; i++) {
		const struct lmm_diff_item *item = &d->items[i];
		double step = d->classes[item->class_at].step_ns[LMM_DIFF_BEFORE];

		if (item->is_judged && !item->is_changed && item->key.level == LMM_DIFF_KERNEL &&
		    step > 0)
			most = fmax(most, fmax(-item->low_ns, item->high_ns) / step * 100);
	}
	return most;
}

size_t lmm_diff_beyond(const struct lmm_diff_report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->d->n_items && r->limit_percent >= 0; i++)
		n += (size_t)lmm_diff_is_beyond(&r->d->items[i], r->limit_percent);
	return n;
}
