/* SPDX-License-Identifier: Apache-2.0 */
#include "report/summary.h"

#include <stdio.h>

#include "report/format.h"

const struct lmm_result_process *lmm_first_engine(const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		if (r->processes[i].engine_name[0])
			return &r->processes[i];
	}
	return NULL;
}

size_t lmm_say_trouble(const struct lmm_result *r, struct lmm_sentence out[LMM_SENTENCES_MAX])
{
	size_t n = 0;

	if (!r->complete) {
		(void)snprintf(
			out[n++].s, sizeof(out->s),
			"The recording was cut: it has no proper end. What was recorded up to "
			"there is shown.");
	}
	if (!lmm_first_engine(r)) {
		(void)snprintf(
			out[n++].s, sizeof(out->s),
			"No engine was seen, so there is nothing to measure. 'lmmeter doctor -- "
			"COMMAND' says what can be seen of a command and what stands in the way. A "
			"parent that gives its children an environment of their own hides them: "
			"lmmeter attach --inject reaches them.");
	}
	if (r->records.lost > 0) {
		(void)snprintf(out[n++].s, sizeof(out->s),
			       "%s of %s records were lost: counts and sums are too low. A larger "
			       "--memory helps.",
			       lmm_human_count(r->records.lost).s,
			       lmm_human_count(r->records.emitted).s);
	}
	return n;
}

/* The phases with the largest shares, at most two; NULL where there are none. */
static void find_longest(const struct lmm_result *r, const struct lmm_result_phase *longest[2])
{
	longest[0] = longest[1] = NULL;
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		if (!(p->share_percent > 0))
			continue;
		if (!longest[0] || p->share_percent > longest[0]->share_percent) {
			longest[1] = longest[0];
			longest[0] = p;
		} else if (!longest[1] || p->share_percent > longest[1]->share_percent) {
			longest[1] = p;
		}
	}
}

static void say_phases(const struct lmm_result *r, const struct lmm_result_phase *longest[2],
		       struct lmm_sentence *out)
{
	char first[24], second[64] = "";

	(void)snprintf(first, sizeof(first), "%s", lmm_phase_name(longest[0]->phase));
	if (first[0] >= 'a' && first[0] <= 'z')
		first[0] = (char)(first[0] - 'a' + 'A');
	if (longest[1]) {
		(void)snprintf(second, sizeof(second), ", %s %s", lmm_phase_name(longest[1]->phase),
			       lmm_human_percent(longest[1]->share_percent).s);
	}
	/* of a program that tells phases and no requests */
	if (r->requests_total == 0) {
		(void)snprintf(out->s, sizeof(out->s), "%s took %s of the time in phases%s.", first,
			       lmm_human_percent(longest[0]->share_percent).s, second);
		return;
	}
	(void)snprintf(out->s, sizeof(out->s), "%s took %s of the time of %s request%s%s.", first,
		       lmm_human_percent(longest[0]->share_percent).s,
		       lmm_human_count(r->requests_total).s, r->requests_total == 1 ? "" : "s",
		       second);
}

static size_t say_operators(const struct lmm_result *r, struct lmm_sentence *out)
{
	double attention = 0, mlp = 0, total = 0;

	for (size_t i = 0; i < r->n_layers; i++) {
		attention += r->layers[i].attention_ns;
		mlp += r->layers[i].mlp_ns;
		total += r->layers[i].total_ns;
	}
	if (!(total > 0))
		return 0;
	(void)snprintf(
		out->s, sizeof(out->s),
		"Of the operators' time %s went into MLP, %s into attention, %s into the rest.",
		lmm_human_percent(100 * mlp / total).s,
		lmm_human_percent(100 * attention / total).s,
		lmm_human_percent(100 * (total - mlp - attention) / total).s);
	return 1;
}

static size_t say_shifts(const struct lmm_result *r, struct lmm_sentence *out)
{
	const struct lmm_result_shifts *s = &r->context_shifts;

	if (s->count == 0)
		return 0;
	(void)snprintf(
		out->s, sizeof(out->s),
		"The context was full %s time%s: the token%s behind that took %s more than the median.",
		lmm_human_count(s->count).s, s->count == 1 ? "" : "s", s->tokens == 1 ? "" : "s",
		lmm_human_ns(s->more_ns).s);
	return 1;
}

static size_t say_refusals(const struct lmm_result *r, struct lmm_sentence *out)
{
	const struct lmm_result_refusals *x = &r->context_refusals;

	if (x->count == 0)
		return 0;
	(void)snprintf(out->s, sizeof(out->s),
		       "The context had no room for the tokens of %s call%s (%s in all).",
		       lmm_human_count(x->count).s, x->count == 1 ? "" : "s",
		       lmm_human_ns(x->total_ns).s);
	return 1;
}

size_t lmm_say_summary(const struct lmm_result *r, struct lmm_sentence out[LMM_SENTENCES_MAX])
{
	const struct lmm_result_phase *longest[2];
	size_t n = 0;

	find_longest(r, longest);
	if (!longest[0])
		return 0;
	say_phases(r, longest, &out[n++]);
	if (r->ttft.count > 0 && r->tpot.count > 0) {
		(void)snprintf(out[n++].s, sizeof(out->s),
			       "The first token came after %s%s, each further one took %s.",
			       lmm_human_ns(r->ttft.p50_ns).s, r->ttft.count > 1 ? " (median)" : "",
			       lmm_human_ns(r->tpot.p50_ns).s);
	}
	n += say_shifts(r, &out[n]);
	n += say_refusals(r, &out[n]);
	return n + say_operators(r, &out[n]);
}
