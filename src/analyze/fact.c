/* SPDX-License-Identifier: Apache-2.0 */
/* The heap that puts facts of different streams into order of time. */
#include "analyze/state.h"

static int is_before(const struct fact *a, const struct fact *b)
{
	return a->t != b->t ? a->t < b->t : a->serial < b->serial;
}

static void sift_up(struct fact *h, uint32_t at)
{
	struct fact f = h[at];

	while (at > 0 && is_before(&f, &h[(at - 1) / 2])) {
		h[at] = h[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	h[at] = f;
}

static void sift_down(struct fact *h, uint32_t n, struct fact f)
{
	uint32_t at = 0, child;

	while ((child = at * 2 + 1) < n) {
		if (child + 1 < n && is_before(&h[child + 1], &h[child]))
			child++;
		if (!is_before(&h[child], &f))
			break;
		h[at] = h[child];
		at = child;
	}
	h[at] = f;
}

static void take_oldest(struct lmm_analysis *a)
{
	struct fact oldest = a->facts[0];

	a->n_facts--;
	if (a->n_facts)
		sift_down(a->facts, a->n_facts, a->facts[a->n_facts]);
	lmm__fact_take(a, &oldest);
}

void lmm__fact_push(struct lmm_analysis *a, struct fact *f)
{
	if (a->n_facts >= a->facts_max)
		take_oldest(a);
	f->serial = ++a->serial;
	a->facts[a->n_facts] = *f;
	sift_up(a->facts, a->n_facts++);
}

void lmm__facts_until(struct lmm_analysis *a, uint64_t t)
{
	while (a->n_facts && a->facts[0].t <= t)
		take_oldest(a);
}

void lmm__facts_flush(struct lmm_analysis *a)
{
	while (a->n_facts)
		take_oldest(a);
}
