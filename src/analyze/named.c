/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that programs name themselves: how often each ran, and how long. */
#include <errno.h>
#include <stdlib.h>

#include "analyze/build.h"
#include "analyze/state.h"

/* Numbers of a process count from 1, so the first look mostly finds it. */
static struct named *named_find(const struct lmm_analysis *a, uint32_t process, uint32_t number)
{
	for (uint32_t i = 0, at = number - 1; i < a->n_named; i++, at++) {
		struct named *n = &a->named[at % a->n_named];

		if (n->number == number && n->process == process)
			return n;
	}
	return NULL;
}

void lmm__name_put(struct lmm_analysis *a, const struct lmm_name *from)
{
	struct named *n;

	if (a->n_named == LMM_I_NAMED || named_find(a, from->process, from->number))
		return;
	n = &a->named[a->n_named++];
	n->process = from->process;
	n->number = from->number;
	n->name = lmm__text_add(&a->text, from->text);
}

void lmm__named_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct named *n;

	if (s->process == LMM_I_NONE || e->a > e->t) {
		s->invalid++;
		return;
	}
	n = named_find(a, a->processes[s->process].index, e->id);
	if (n)
		lmm_hist_add(&n->hist, e->a);
}

/* ---- result ------------------------------------------------------------------------------------- */

static int is_first_of_name(const struct lmm_analysis *a, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++) {
		if (a->named[i].name == a->named[at].name)
			return 0;
	}
	return 1;
}

/* A name may be at several places of a program, and in several processes. */
static int span_sum(struct builder *b, uint32_t at)
{
	const struct lmm_analysis *a = b->a;
	struct lmm_hist sum = { 0 };
	int rc = 0;

	for (uint32_t i = at; rc == 0 && i < a->n_named; i++) {
		if (a->named[i].name == a->named[at].name)
			rc = lmm_hist_merge(&sum, &a->named[i].hist);
	}
	if (rc == 0 && sum.count) {
		b->r->named[b->r->n_named++] = (struct lmm_result_named){
			.name = builder_text(b, a->named[at].name),
			.stats = lmm__stats_make(&sum, b->rate),
		};
	}
	lmm_hist_free(&sum);
	return rc;
}

static int span_compare(const void *x, const void *y)
{
	const struct lmm_result_named *a = x, *b = y;

	return (a->stats.total_ns < b->stats.total_ns) - (a->stats.total_ns > b->stats.total_ns);
}

int lmm__named_build(struct builder *b)
{
	const struct lmm_analysis *a = b->a;
	struct lmm_result *r = b->r;

	r->named = lmm__array_new(a->n_named, sizeof(*r->named));
	if (!r->named)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->n_named; i++) {
		if (is_first_of_name(a, i) && span_sum(b, i))
			return -ENOMEM;
	}
	qsort(r->named, r->n_named, sizeof(*r->named), span_compare);
	return 0;
}
