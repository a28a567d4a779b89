/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens come with the step and the sequence that they were chosen for; which request that is, the analysis has found out
 * already: it is the one that ran at that time.
 */
#include "report/tokens.h"

#include <errno.h>
#include <stdlib.h>

#include "report/owner.h"
#include "report/timeline_internal.h"

#define STEPS	4096 /* of a process that tokens may still speak of; a power of two */
#define PENDING 4096 /* tokens that were read before their step */

struct bucket {
	struct lmm_token_point least, most;
	uint64_t n;
};

struct gathered {
	struct bucket *buckets;
	size_t n_buckets;
	uint64_t last_ns, tokens;
};

struct step {
	uint32_t step, context;
	uint8_t phase, is_set;
};

struct steps {
	struct step steps[STEPS]; /* by step % STEPS */
};

struct token {
	uint32_t process;
	struct lmm_event event;
};

struct gather {
	const struct lmm_result *r;
	struct lmm_tl *tl;
	struct gathered *requests; /* as r->requests */
	uint64_t stride;
	struct lmm_idmap steps; /* by process: struct steps */
	struct token pending[PENDING];
	uint32_t n_pending;
};

/* ---- the request ---------------------------------------------------------------------------------- */

/* NULL: none's, as in warm-ups. */
static struct gathered *request_of(const struct gather *g, uint32_t process, uint32_t context,
				   uint16_t seq, uint64_t t_ns)
{
	size_t at = lmm_request_at(g->r, process, context, seq, t_ns);

	return at == LMM_OWNER_NONE ? NULL : &g->requests[at];
}

/* ---- the fastest and the slowest ---------------------------------------------------------------- */

static void bucket_add(struct bucket *b, const struct lmm_token_point *p)
{
	if (b->n == 0 || p->itl_ns < b->least.itl_ns)
		b->least = *p;
	/* of two that are alike both are kept */
	if (b->n == 0 || p->itl_ns >= b->most.itl_ns)
		b->most = *p;
	b->n++;
}

static void token_add(const struct gather *g, struct gathered *q, uint64_t t_ns)
{
	struct lmm_token_point p = {
		.t_ns = t_ns,
		.token = q->tokens,
		.itl_ns = t_ns > q->last_ns ? t_ns - q->last_ns : 0,
	};

	q->last_ns = t_ns;
	if (q->tokens++ > 0 && (p.token - 1) / g->stride < q->n_buckets)
		bucket_add(&q->buckets[(p.token - 1) / g->stride], &p);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int note_step(struct gather *g, uint32_t process, const struct lmm_event *e)
{
	struct steps *all = lmm_idmap_make(&g->steps, process, sizeof(*all));
	struct step *step = all ? &all->steps[e->id % STEPS] : NULL;

	if (!step)
		return -ENOMEM;
	step->step = e->id;
	step->context = (uint32_t)e->b;
	step->phase = e->phase;
	step->is_set = 1;
	return 0;
}

/* 0: its step is not known. */
static int take_token(struct gather *g, uint32_t process, const struct lmm_event *e)
{
	const struct steps *all = lmm_idmap_get(&g->steps, process);
	const struct step *step = all ? &all->steps[e->id % STEPS] : NULL;
	uint64_t t_ns = lmm__tl_ns(g->tl, e->t);
	struct gathered *q = NULL;

	if (!step || !step->is_set || step->step != e->id)
		return 0;
	if (step->phase != LMM_PHASE_DRAFT && t_ns >= g->tl->start_ns) {
		t_ns -= g->tl->start_ns;
		q = request_of(g, process, step->context, e->seq, t_ns);
	}
	if (q)
		token_add(g, q, t_ns);
	return 1;
}

/* Threads come in batches: a token may stand before the step that another thread made. */
static void token_keep(struct gather *g, uint32_t process, const struct lmm_event *e)
{
	if (g->n_pending == PENDING)
		return;
	g->pending[g->n_pending].process = process;
	g->pending[g->n_pending++].event = *e;
}

static void take_pending(struct gather *g)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < g->n_pending; i++) {
		if (!take_token(g, g->pending[i].process, &g->pending[i].event))
			g->pending[kept++] = g->pending[i];
	}
	g->n_pending = kept;
}

static int take_events(struct gather *g, const struct lmm_events *item)
{
	const struct lmm_tl_stream *s = lmm_idmap_get(&g->tl->streams, item->stream);
	int rc = 0;

	for (uint32_t i = 0; s && i < item->n && rc == 0; i++) {
		const struct lmm_event *e = &item->ev[i];

		if (e->type == LMM_EV_STEP) {
			rc = note_step(g, s->process->process, e);
		} else if (e->type == LMM_EV_TOKEN && !take_token(g, s->process->process, e)) {
			token_keep(g, s->process->process, e);
		}
	}
	take_pending(g);
	return rc;
}

static int take_items(struct gather *g, struct lmm_trace *tr)
{
	const struct lmm_item *item;
	int rc = lmm_trace_rewind(tr);

	while (rc == 0 && (rc = lmm_trace_next(tr, &item)) > 0)
		rc = item->kind == LMM_ITEM_EVENTS ? take_events(g, &item->events) : 0;
	return rc;
}

static int make_buckets(struct gather *g, uint64_t points_max)
{
	uint64_t total = 0;

	for (size_t i = 0; i < g->r->n_requests; i++)
		total += g->r->requests[i].output_tokens;
	g->stride = total / points_max * 2 + 2;
	g->requests = calloc(g->r->n_requests + 1, sizeof(*g->requests));
	for (size_t i = 0; g->requests && i < g->r->n_requests; i++) {
		struct gathered *q = &g->requests[i];

		q->n_buckets = g->r->requests[i].output_tokens / g->stride + 1;
		q->buckets = calloc(q->n_buckets, sizeof(*q->buckets));
		if (!q->buckets)
			return -ENOMEM;
	}
	return g->requests ? 0 : -ENOMEM;
}

/* ---- the result --------------------------------------------------------------------------------- */

static void points_put(struct lmm_token_series *s, const struct bucket *b)
{
	int in_order = b->least.token < b->most.token;

	if (b->n == 0)
		return;
	s->points[s->n++] = in_order ? b->least : b->most;
	if (b->least.token != b->most.token)
		s->points[s->n++] = in_order ? b->most : b->least;
}

static int series_make(struct lmm_token_series *s, const struct lmm_result_request *request,
		       const struct gathered *q)
{
	s->request = request;
	s->points = calloc(2 * q->n_buckets, sizeof(*s->points));
	if (!s->points)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_buckets; i++)
		points_put(s, &q->buckets[i]);
	return 0;
}

static int tokens_make(const struct gather *g, struct lmm_tokens **out)
{
	struct lmm_tokens *tokens = calloc(1, sizeof(*tokens));
	int rc = 0;

	*out = tokens;
	if (!tokens)
		return -ENOMEM;
	tokens->stride = g->stride;
	tokens->series = calloc(g->r->n_requests + 1, sizeof(*tokens->series));
	if (!tokens->series)
		return -ENOMEM;
	tokens->n = g->r->n_requests;
	for (size_t i = 0; i < tokens->n && rc == 0; i++) {
		tokens->count += g->requests[i].tokens > 0 ? g->requests[i].tokens - 1 : 0;
		rc = series_make(&tokens->series[i], &g->r->requests[i], &g->requests[i]);
	}
	return rc;
}

static void gather_destroy(struct gather *g)
{
	for (size_t i = 0; g->requests && i < g->r->n_requests; i++)
		free(g->requests[i].buckets);
	free(g->requests);
	lmm_idmap_free(&g->steps, NULL);
	if (g->tl)
		lmm__tl_destroy(g->tl);
	free(g);
}

int lmm_tokens_read(struct lmm_trace *tr, const struct lmm_result *r, uint64_t points_max,
		    struct lmm_tokens **out)
{
	struct gather *g = calloc(1, sizeof(*g));
	int rc;

	*out = NULL;
	if (!g)
		return -ENOMEM;
	g->r = r;
	g->tl = calloc(1, sizeof(*g->tl));
	rc = g->tl ? make_buckets(g, points_max) : -ENOMEM;
	if (rc == 0)
		rc = lmm__tl_scan(g->tl, tr);
	if (rc == 0) {
		g->tl->start_ns = lmm__tl_ns(g->tl, g->tl->start_ticks);
		rc = take_items(g, tr);
	}
	if (rc == 0)
		rc = tokens_make(g, out);
	if (rc < 0) {
		lmm_tokens_destroy(*out);
		*out = NULL;
	}
	gather_destroy(g);
	return rc;
}

void lmm_tokens_destroy(struct lmm_tokens *tokens)
{
	if (!tokens)
		return;
	for (size_t i = 0; i < tokens->n; i++)
		free(tokens->series[i].points);
	free(tokens->series);
	free(tokens);
}
