/* SPDX-License-Identifier: Apache-2.0 */
#include "report/owner.h"

#include <errno.h>
#include <string.h>

#define STEPS	    1024 /* of a process that may still be spoken of; a power of two */
#define ROUNDING_NS 2u
#define SLACK_NS    1000u /* a request's begin and end were converted and rounded each by itself */

struct step {
	uint32_t step, n_seqs;
	uint16_t seq; /* the first one */
	uint8_t phase, is_set;
};

struct steps {
	struct step at[STEPS]; /* by step % STEPS */
};

/* Requests are in order of start: how many had begun by t_ns. */
static size_t begun_by(const struct lmm_result *r, uint64_t t_ns)
{
	size_t low = 0, high = r->n_requests;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->requests[middle].start_ns <= t_ns) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static int is_running(const struct lmm_result_request *q, uint64_t t_ns)
{
	return t_ns <= q->end_ns + SLACK_NS;
}

size_t lmm_request_at(const struct lmm_result *r, uint32_t process, uint32_t context, uint16_t seq,
		      uint64_t t_ns)
{
	size_t named = LMM_OWNER_NONE, only = 0, n = 0;

	for (size_t i = begun_by(r, t_ns + SLACK_NS); i-- > 0;) {
		const struct lmm_result_request *q = &r->requests[i];

		if (q->process != process || q->context != context || !is_running(q, t_ns))
			continue;
		only = i;
		n++;
		/* the next one of that name may have been tokenized while this one still ran */
		if (q->seq == seq && (named == LMM_OWNER_NONE || t_ns <= q->end_ns + ROUNDING_NS))
			named = i;
	}
	if (named != LMM_OWNER_NONE)
		return named;
	return n == 1 ? only : LMM_OWNER_NONE;
}

/* Of the whole process. */
static size_t only_request(const struct lmm_result *r, uint32_t process, uint64_t t_ns)
{
	size_t only = LMM_OWNER_NONE;

	for (size_t i = begun_by(r, t_ns); i-- > 0;) {
		const struct lmm_result_request *q = &r->requests[i];

		if (q->process != process || t_ns >= q->end_ns)
			continue;
		if (only != LMM_OWNER_NONE)
			return LMM_OWNER_SEVERAL;
		only = i;
	}
	return only;
}

int lmm_request_covers(const struct lmm_result *r, uint32_t process, uint64_t begin_ns,
		       uint64_t end_ns)
{
	for (size_t i = begun_by(r, begin_ns + 1); i-- > 0;) {
		const struct lmm_result_request *q = &r->requests[i];

		if (q->process == process && end_ns <= q->end_ns + 1)
			return 1;
	}
	return 0;
}

static struct step *find_step(const struct lmm_owners *o, uint32_t process, uint32_t step)
{
	struct steps *all = lmm_idmap_get(&o->steps, process);
	struct step *s = all ? &all->at[step % STEPS] : NULL;

	return s && s->is_set && s->step == step ? s : NULL;
}

int lmm_owners_note(struct lmm_owners *o, uint32_t process, const struct lmm_event *e)
{
	struct steps *all = lmm_idmap_make(&o->steps, process, sizeof(*all));
	struct step *s;

	if (!all)
		return -ENOMEM;
	if (e->type == LMM_EV_STEP) {
		s = &all->at[e->id % STEPS];
		memset(s, 0, sizeof(*s));
		s->step = e->id;
		s->phase = e->phase;
		s->is_set = 1;
		s->seq = LMM_SEQ_NONE;
	} else if (e->type == LMM_EV_SEQ) {
		s = find_step(o, process, e->id);
		if (s && s->n_seqs++ == 0)
			s->seq = e->seq;
	}
	return 0;
}

void lmm_owners_free(struct lmm_owners *o)
{
	lmm_idmap_free(&o->steps, NULL);
}

size_t lmm_owner(const struct lmm_owners *o, const struct lmm_result *r, uint32_t process,
		 const struct lmm_slice_of *of, uint64_t t_ns)
{
	const struct step *s = find_step(o, process, of->step);
	uint16_t seq = of->seq;
	size_t at = LMM_OWNER_NONE;

	if (s && seq == LMM_SEQ_NONE) {
		if (s->n_seqs > 1)
			return LMM_OWNER_SEVERAL;
		seq = s->seq;
	}
	if (s && s->phase != LMM_PHASE_DRAFT)
		at = lmm_request_at(r, process, of->context, seq, t_ns);
	/* a draft model's context is not the request's own, and a prompt is tokenized before any step */
	return at == LMM_OWNER_NONE ? only_request(r, process, t_ns) : at;
}
