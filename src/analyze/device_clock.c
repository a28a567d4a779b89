/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/device_clock.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define DRIFT_UNKNOWN 100e-6 /* clocks of one machine, before they were compared for long */
#define DRIFT_KNOWN   5e-6   /* left over once the rate was measured */
#define WANDER	      1e-6   /* between two pairs, of the distance to the nearer one */
/* The measured rate counts once the pairs' uncertainty is this small beside their distance. */
#define RATE_ERROR 5e-6
/* Two pairs that disagree by more than clocks ever drift apart, and by more than their errors, are not both true. */
#define DRIFT_MOST 500e-6

double lmm_device_clock_rate(uint64_t ticks_per_second, double session_ns_per_tick)
{
	return ticks_per_second ? 1e9 / (double)ticks_per_second / session_ns_per_tick : 1;
}

/*
 * A driver may stamp a command later than in the call that hands it over, and then its pair says that the device's clock is further than it
 * is: 1: x is such a pair, if y is true; 0: they agree, or it is y.
 */
static int is_late(const struct lmm_clock_sample *x, const struct lmm_clock_sample *y,
		   double nominal)
{
	double host = (double)(int64_t)(y->host - x->host);
	double device = (double)(int64_t)(y->device - x->device) * nominal;
	double doubt = (double)x->error + (double)y->error + fabs(device) * DRIFT_MOST;

	return host - device > doubt;
}

static void drop_late(struct lmm_device_clock *c, const struct lmm_clock_sample *x, double nominal)
{
	struct lmm_clock_sample kept[LMM_DEVICE_CLOCK_SAMPLES];
	uint32_t n = 0, oldest = c->n < LMM_DEVICE_CLOCK_SAMPLES ? 0 : c->next;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct lmm_clock_sample *s =
			&c->newest[(oldest + i) % LMM_DEVICE_CLOCK_SAMPLES];

		if (!is_late(s, x, nominal))
			kept[n++] = *s;
	}
	if (n == c->n && !is_late(&c->first, x, nominal))
		return;
	if (is_late(&c->first, x, nominal))
		c->first = n ? kept[0] : *x;
	memcpy(c->newest, kept, n * sizeof(*kept));
	c->n = n;
	c->next = n % LMM_DEVICE_CLOCK_SAMPLES;
}

int lmm_device_clock_add(struct lmm_device_clock *c, const struct lmm_event *e, double nominal)
{
	struct lmm_clock_sample x = { .host = e->t - (e->b >> 32),
				      .device = e->a,
				      .error = (uint32_t)e->b };

	if (e->b >> 32 > e->t)
		return -1;
	for (uint32_t i = 0; i < c->n; i++) {
		if (!is_late(&x, &c->newest[i], nominal))
			continue;
		if (++c->dropped < LMM_DEVICE_CLOCK_SAMPLES)
			return 0;
		/* so many are not late: the clock was set, or runs as none does, and what is known of it is no good */
		c->n = c->next = 0;
	}
	c->dropped = 0;
	drop_late(c, &x, nominal);
	/* the first ones of all come from a program that warms up: a better one near them takes their place */
	if (c->n == 0 || (x.error < c->first.error && c->n < LMM_DEVICE_CLOCK_SAMPLES))
		c->first = x;
	c->newest[c->next] = x;
	c->next = (c->next + 1) % LMM_DEVICE_CLOCK_SAMPLES;
	if (c->n < LMM_DEVICE_CLOCK_SAMPLES)
		c->n++;
	return 0;
}

/* The rate between the first pair and another, and what is left of the drift; else what was promised. */
static double rate_measure(const struct lmm_clock_sample *x, const struct lmm_clock_sample *y,
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

static void place(const struct lmm_clock_sample *x, uint64_t stamp, double rate, double drift,
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
static void place_between(const struct lmm_clock_sample *x, const struct lmm_clock_sample *y,
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
static void neighbours(const struct lmm_device_clock *c, uint64_t stamp,
		       const struct lmm_clock_sample **x, const struct lmm_clock_sample **y)
{
	*x = *y = NULL;
	for (uint32_t i = 0; i <= c->n; i++) {
		const struct lmm_clock_sample *s = i < c->n ? &c->newest[i] : &c->first;

		if (s->device <= stamp && (!*x || s->device > (*x)->device))
			*x = s;
		if (s->device >= stamp && (!*y || s->device < (*y)->device))
			*y = s;
	}
}

uint64_t lmm_device_clock_place(const struct lmm_device_clock *c, uint64_t stamp, double nominal,
				uint64_t *error)
{
	const struct lmm_clock_sample *newest, *before, *behind;
	struct placed best = { .error = -1 };
	double rate, drift;

	*error = 0;
	if (c->n == 0)
		return 0;
	newest = &c->newest[(c->next + LMM_DEVICE_CLOCK_SAMPLES - 1) % LMM_DEVICE_CLOCK_SAMPLES];
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
