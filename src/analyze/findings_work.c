/* SPDX-License-Identifier: Apache-2.0 */
/* How evenly work is spread: over threads, and over layers that are alike. */
#include <stdlib.h>

#include "analyze/findings_internal.h"

/* ---- threads ------------------------------------------------------------------------------------ */

/*
 * Equal shares differ by a few percent (rows that do not divide by the number of threads). An operator that one thread runs alone
 * makes its share larger for good reason: up to an eighth more is taken for that.
 */
#define IMBALANCE_FACTOR 1.125

/* Threads of one process that ran as many operators as any, more or less: the others belong to another pool. */
struct pool {
	unsigned n;
	double work, most, wait, busy; /* Σ work, the largest, Σ of waiting, Σ of all */
};

static struct pool pool_of(const struct lmm_result *r, uint32_t process)
{
	struct pool p = { 0 };
	uint64_t most = 0;

	for (size_t i = 0; i < r->n_threads; i++) {
		const struct lmm_result_thread *t = &r->threads[i];

		if (t->process == process && t->operators > most)
			most = t->operators;
	}
	for (size_t i = 0; i < r->n_threads; i++) {
		const struct lmm_result_thread *t = &r->threads[i];
		double work = t->busy_ns - t->wait_ns;

		if (t->process != process || t->operators < most / 2)
			continue;
		p.n++;
		p.work += work;
		p.wait += t->wait_ns;
		p.busy += t->busy_ns;
		if (work > p.most)
			p.most = work;
	}
	return p;
}

static void find_threads_of(struct finding_list *l, uint32_t process)
{
	const struct pool p = pool_of(l->r, process);
	struct lmm_finding f;
	double mean;

	if (p.n < 2 || !(p.work > 0))
		return;
	mean = p.work / p.n;
	if (p.most < IMBALANCE_FACTOR * mean)
		return;
	f = lmm__finding(LMM_FINDING_THREAD_IMBALANCE, LMM_ESTIMATED, LMM_PHASE_NONE,
			 p.most - mean);
	f.span = l->r->evidence.phases[LMM_PHASE_DECODE].all;
	if (f.span.end_ns == 0)
		f.span = l->r->evidence.phases[LMM_PHASE_PREFILL].all;
	lmm__finding_say(&f, "threads", p.n);
	lmm__finding_say(&f, "most_ns", p.most);
	lmm__finding_say(&f, "mean_ns", mean);
	lmm__finding_say(&f, "wait_percent", 100 * p.wait / p.busy);
	lmm__finding_add(l, &f, SHARE_MIN_PERCENT);
}

void lmm__find_threads(struct finding_list *l)
{
	const struct lmm_result *r = l->r;

	if (lmm__finding_is_disturbed(r))
		return;
	for (size_t i = 0; i < r->n_threads; i++) { /* sorted by process */
		if (i == 0 || r->threads[i].process != r->threads[i - 1].process)
			find_threads_of(l, r->threads[i].process);
	}
}

/* ---- layers ------------------------------------------------------------------------------------- */

/*
 * Layers of equal work differ by up to 15 % in recordings of some seconds (where their weights lie in memory, what else the machine
 * did). A stall hits one turn; whoever is a quarter slower in each of the eight is slow all the time.
 */
#define LAYER_FACTOR	  1.25
#define LAYER_LIKE_MIN	  6    /* with fewer there is no telling what is usual */
#define LAYER_PASSES	  32   /* four a turn */
#define LAYER_MIN_PERCENT 0.5  /* one of thirty has 3 % in all */
#define LAYER_LIKE	  0.01 /* bytes may differ by so much: a KV cache's padding */

static int ns_compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

static int is_like(const struct lmm_result_layer_turns *a, const struct lmm_result_layer_turns *b)
{
	double x = (double)a->bytes, y = (double)b->bytes;

	return x <= y * (1 + LAYER_LIKE) && y <= x * (1 + LAYER_LIKE);
}

/* Of those that do the same work as layer `at`, itself among them; returns how many there are. */
static size_t median_of_like(const struct lmm_result_evidence *e, size_t at, unsigned turn,
			     double *room, double *median)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_layers; i++) {
		if (is_like(&e->layers[at], &e->layers[i]))
			room[n++] = e->layers[i].turns_ns[turn];
	}
	qsort(room, n, sizeof(*room), ns_compare);
	*median = room[n / 2];
	return n;
}

/* What a layer takes longer than its like, by the median of all turns; 0: not in each of them. */
static double layer_over(const struct lmm_result_evidence *e, size_t at, double *room,
			 double *usual)
{
	double over[LMM_LAYER_TURNS], medians[LMM_LAYER_TURNS];

	*usual = 0;
	for (unsigned t = 0; t < LMM_LAYER_TURNS; t++) {
		double ns = e->layers[at].turns_ns[t], median;

		if (median_of_like(e, at, t, room, &median) < LAYER_LIKE_MIN || !(median > 0) ||
		    ns < LAYER_FACTOR * median)
			return 0;
		over[t] = ns - median;
		medians[t] = median;
	}
	qsort(over, LMM_LAYER_TURNS, sizeof(over[0]), ns_compare);
	qsort(medians, LMM_LAYER_TURNS, sizeof(medians[0]), ns_compare);
	*usual = medians[LMM_LAYER_TURNS / 2] * LMM_LAYER_TURNS;
	return over[LMM_LAYER_TURNS / 2] * LMM_LAYER_TURNS;
}

void lmm__find_layers(struct finding_list *l)
{
	const struct lmm_result_evidence *e = &l->r->evidence;
	double *room = calloc(e->n_layers ? e->n_layers : 1, sizeof(*room));
	double most = 0, most_usual = 0, all = 0, usual;
	struct lmm_finding f;
	size_t worst = 0, n = 0;
	int is_enough =
		l->r->steps.decode.count >= LAYER_PASSES && !lmm__finding_is_disturbed(l->r);

	for (size_t i = 0; room && is_enough && i < e->n_layers; i++) {
		double over = layer_over(e, i, room, &usual);

		n += over > 0;
		all += over;
		if (over > most) {
			most = over;
			most_usual = usual;
			worst = i;
		}
	}
	free(room);
	if (n == 0)
		return;
	f = lmm__finding(LMM_FINDING_SLOW_LAYER, LMM_MEASURED, LMM_PHASE_DECODE, all);
	f.span = e->phases[LMM_PHASE_DECODE].all;
	lmm__finding_say(&f, "layers", (double)n);
	lmm__finding_say(&f, "layer", e->layers[worst].layer);
	lmm__finding_say(&f, "layer_ns", most_usual + most);
	lmm__finding_say(&f, "usual_ns", most_usual);
	lmm__finding_say(&f, "over_percent", 100 * most / most_usual);
	lmm__finding_add(l, &f, LAYER_MIN_PERCENT);
}
