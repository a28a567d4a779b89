/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's clock on the session's timeline: from pairs of instants with known uncertainty. A stamp is placed by the pair
 * that leaves the least doubt: its own uncertainty, and more the farther away it lies, as clocks drift.
 */
#include <math.h>
#include <string.h>

#include "analyze/state.h"

#define DRIFT_UNKNOWN 100e-6 /* clocks of one machine, before they were compared for long */
#define DRIFT_KNOWN   5e-6   /* left over once the rate was measured */
#define WANDER	      1e-6   /* between two pairs, of the distance to the nearer one */
/* The measured rate counts once the pairs' uncertainty is this small beside their distance. */
#define RATE_ERROR 5e-6

static struct device_clock *clock_find(const struct lmm_analysis *a, uint32_t process,
				       uint32_t device)
{
	for (uint32_t i = 0; i < a->n_device_clocks; i++) {
		struct device_clock *c = &a->device_clocks[i];

		if (c->process == process && c->device == device)
			return c;
	}
	return NULL;
}

/* Session ticks per device tick, were both as fast as they say. */
static double nominal_rate(const struct lmm_analysis *a, const struct queue *q)
{
	if (q->ticks_per_second == 0)
		return 1;
	return 1e9 / (double)q->ticks_per_second / lmm_clock_fit_rate(&a->fit);
}

void lmm__device_clock(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e)
{
	struct device_clock *c = clock_find(a, s->process, e->id);
	struct clock_sample x = { .host = e->t - (e->b >> 32),
				  .device = e->a,
				  .error = (uint32_t)e->b };

	if (e->b >> 32 > e->t) {
		s->invalid++;
		return;
	}
	if (!c) {
		if (a->n_device_clocks == LMM_I_DEVICES)
			return;
		c = &a->device_clocks[a->n_device_clocks++];
		memset(c, 0, sizeof(*c));
		c->process = s->process;
		c->device = e->id;
		c->first = x;
	}
	/* the first ones of all come from a program that warms up: a better one near them takes its place */
	if (x.error < c->first.error && c->n < LMM_I_CLOCKS)
		c->first = x;
	c->newest[c->next] = x;
	c->next = (c->next + 1) % LMM_I_CLOCKS;
	if (c->n < LMM_I_CLOCKS)
		c->n++;
}

/* The rate between the first pair and another, and what is left of the drift; else what was promised. */
static double rate_measure(const struct clock_sample *x, const struct clock_sample *y,
			   double nominal, double *drift)
{
	double host = (double)(int64_t)(y->host - x->host);
	double device = (double)(int64_t)(y->device - x->device);
	double doubt = (double)x->error + (double)y->error, rate;

	*drift = DRIFT_UNKNOWN;
	if (host <= 0 || device <= 0 || doubt / host > RATE_ERROR)
		return nominal;
	rate = host / device;
	if (rate < nominal * 0.98 || rate > nominal * 1.02)
		return nominal;
	*drift = DRIFT_KNOWN;
	return rate;
}

struct placed {
	double host, error;
};

static void place(const struct clock_sample *x, uint64_t stamp, double rate, double drift,
		  struct placed *best)
{
	double away = (double)(int64_t)(stamp - x->device) * rate;
	double error = (double)x->error + fabs(away) * drift;

	if (best->error >= 0 && error >= best->error)
		return;
	best->error = error;
	best->host = (double)x->host + away;
}

/* Between two pairs clocks go straight but for what they wander in between. */
static void place_between(const struct clock_sample *x, const struct clock_sample *y,
			  uint64_t stamp, double nominal, struct placed *best)
{
	double device = (double)(int64_t)(y->device - x->device);
	double host = (double)(int64_t)(y->host - x->host), from, left, error;

	if (device <= 0 || host <= 0 || host < device * nominal * 0.98 ||
	    host > device * nominal * 1.02)
		return;
	from = (double)(stamp - x->device) / device * host;
	left = host - from;
	error = (double)(x->error > y->error ? x->error : y->error);
	error += (from < left ? from : left) * WANDER;
	if (best->error >= 0 && error >= best->error)
		return;
	best->error = error;
	best->host = (double)x->host + from;
}

/* The pairs next to the stamp on either side; NULL: none lies there. */
static void neighbours(const struct device_clock *c, uint64_t stamp, const struct clock_sample **x,
		       const struct clock_sample **y)
{
	*x = *y = NULL;
	for (uint32_t i = 0; i <= c->n; i++) {
		const struct clock_sample *s = i < c->n ? &c->newest[i] : &c->first;

		if (s->device <= stamp && (!*x || s->device > (*x)->device))
			*x = s;
		if (s->device >= stamp && (!*y || s->device < (*y)->device))
			*y = s;
	}
}

uint64_t lmm__device_time(const struct lmm_analysis *a, const struct queue *q, uint32_t process,
			  uint64_t stamp, uint64_t *error)
{
	const struct device_clock *c = clock_find(a, process, q->device_number);
	struct placed best = { .error = -1 };
	double nominal = nominal_rate(a, q), rate, drift;
	const struct clock_sample *newest, *before, *behind;

	if (!c || c->n == 0)
		return 0;
	newest = &c->newest[(c->next + LMM_I_CLOCKS - 1) % LMM_I_CLOCKS];
	rate = rate_measure(&c->first, newest, nominal, &drift);
	place(&c->first, stamp, rate, drift, &best);
	for (uint32_t i = 0; i < c->n; i++)
		place(&c->newest[i], stamp, rate, drift, &best);
	neighbours(c, stamp, &before, &behind);
	if (before && behind)
		place_between(before, behind, stamp, nominal, &best);
	*error = best.error < 9e18 ? (uint64_t)best.error : INT64_MAX;
	return best.host > 0 && best.host < 9e18 ? (uint64_t)best.host : 0;
}

uint64_t lmm__device_span(const struct lmm_analysis *a, const struct queue *q, uint64_t span)
{
	double ticks = (double)span * nominal_rate(a, q);

	return ticks < 9e18 ? (uint64_t)(ticks + 0.5) : INT64_MAX;
}
