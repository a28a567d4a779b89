/* SPDX-License-Identifier: Apache-2.0 */
/* A state that was read from bytes: what one part says of another must be there. */
#include "analyze/state.h"

static int texts_check(const struct lmm_analysis *a, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!lmm__text_is_valid(&a->text, ids[i]))
			return -1;
	}
	return 0;
}

static int names_check(const struct lmm_analysis *a)
{
	const struct session *s = &a->session;
	const uint32_t head[] = { s->id,      s->lmmeter,  s->command_name, s->command_line,
				  s->host_os, s->host_cpu, a->cpu };
	int rc = texts_check(a, head, LMM_ARRAY_SIZE(head));

	for (uint32_t i = 0; i < a->n_reasons; i++)
		rc |= texts_check(a, &a->reasons[i].text, 1);
	for (uint32_t i = 0; i < a->n_bases; i++)
		rc |= texts_check(a, &a->bases[i].name, 3);
	for (uint32_t i = 0; i < a->n_keys; i++)
		rc |= texts_check(a, &a->keys[i].device, 1);
	for (uint32_t i = 0; i < a->n_processes; i++)
		rc |= texts_check(a, &a->processes[i].name, 4);
	for (uint32_t i = 0; i < a->n_models; i++)
		rc |= texts_check(a, &a->models[i].name, 5);
	for (uint32_t i = 0; i < a->n_device_names; i++)
		rc |= texts_check(a, &a->device_names[i].name, 2);
	for (uint32_t i = 0; i < a->n_named; i++)
		rc |= texts_check(a, &a->named[i].name, 1);
	for (uint32_t i = 0; i < a->n_queues; i++)
		rc |= texts_check(a, &a->queues[i].device, 1);
	return rc;
}

static int streams_check(struct lmm_analysis *a)
{
	for (uint32_t i = 0; i < LMM_I_STREAMS; i++) {
		struct stream *s = a->streams[i];

		if (!s)
			continue;
		if (s->index % (LMM_I_STREAMS / LMM_I_WAYS) != i / LMM_I_WAYS)
			return -1;
		if (s->process == LMM_I_NONE ? s->run.is_active || s->depth
					     : s->process >= a->n_processes)
			return -1;
		if (s->op.is_set && !s->run.is_active)
			return -1;
	}
	return 0;
}

static int contexts_check(const struct lmm_analysis *a)
{
	for (uint32_t i = 0; i < a->n_contexts; i++) {
		const struct context *c = &a->contexts[i];

		if (c->serial > a->next_context || c->process >= a->n_processes)
			return -1;
		if (c->n_held && (c->is_decided || c->serial == 0))
			return -1;
		for (uint32_t k = 0; k < i; k++) {
			if (c->serial && a->contexts[k].serial == c->serial)
				return -1;
		}
	}
	return 0;
}

static int events_check(const struct lmm_analysis *a)
{
	for (uint32_t i = 0; i < a->n_facts; i++) {
		const struct fact *f = &a->facts[i];

		if (f->process >= a->n_processes ||
		    (f->kind == FACT_PIECE && f->phase >= LMM_PHASE_COUNT))
			return -1;
	}
	for (uint32_t i = 0; i < a->n_requests; i++) {
		const struct request *r = &a->requests[i];

		if (r->process >= a->n_processes || r->state == 0)
			return -1;
		/* an undecided one is booked when its context is decided */
		if (r->state == REQUEST_HELD &&
		    !lmm__context((struct lmm_analysis *)(uintptr_t)a, r->context))
			return -1;
	}
	for (uint32_t i = 0; i < a->n_tokenizes; i++) {
		if (a->tokenizes[i].phase >= LMM_PHASE_COUNT)
			return -1;
	}
	for (uint32_t i = 0; (i = lmm__flight_next(a, i)) < LMM_I_FLIGHT; i++) {
		if (a->flights[i].process >= a->n_processes)
			return -1;
	}
	for (uint32_t i = 0; i < a->n_done; i++) {
		if (a->done[i].process >= a->n_processes)
			return -1;
	}
	return 0;
}

int lmm__references_check(struct lmm_analysis *a)
{
	if (a->facts_max == 0 || a->n_facts > a->facts_max || names_check(a) || streams_check(a) ||
	    contexts_check(a) || events_check(a))
		return LMM_E_CORRUPT;
	for (uint32_t i = 0; i < a->n_spans; i++) {
		if (a->spans[i].t1 <= a->spans[i].t0 || (i && a->spans[i].t0 <= a->spans[i - 1].t1))
			return LMM_E_CORRUPT;
	}
	lmm__runs_resettle(a);
	return 0;
}
