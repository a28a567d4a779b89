/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine and the process said round by round, for as long as the second stage may still ask. */
#include "analyze/sensors_internal.h"
#include "analyze/state.h"

/* Grew by, since the round before. */
static uint64_t grown(uint64_t *last, uint64_t now, int is_known)
{
	uint64_t by = is_known ? lmm__minus(now, *last) : 0;

	*last = now;
	return by;
}

static uint64_t value_of(const struct sensor *s)
{
	return s->value > 0 ? (uint64_t)s->value : 0;
}

/* Only what this round said: t is its own. */
static void round_read(const struct sensors *x, uint64_t t, struct moment *now)
{
	for (uint32_t i = 0; i < x->n; i++) {
		const struct sensor *s = &x->at[i];

		if (s->samples == 0 || s->t != t)
			continue;
		switch (s->kind) {
		case LMM_SENSOR_FREQUENCY:
			/* threads that have work run on the fastest cores; the others' clocks say nothing of them */
			if (s->component == LMM_COMPONENT_CPU && value_of(s) > now->hz)
				now->hz = value_of(s);
			break;
		case LMM_SENSOR_RUN_WAIT:
			now->run_wait = value_of(s);
			now->has_process = 1;
			break;
		case LMM_SENSOR_MAJOR_FAULTS:
			now->major = value_of(s);
			now->has_process = 1;
			break;
		case LMM_SENSOR_MINOR_FAULTS:
			now->minor = value_of(s);
			now->has_process = 1;
			break;
		default:
			break;
		}
	}
}

static void stretch_on(struct stretch *x, const struct moment *m)
{
	if (x->now.t1 != m->t0)
		x->now.t0 = m->t0;
	x->now.t1 = m->t1;
	lmm__span_longest(&x->longest, x->now.t0, x->now.t1);
}

void lmm__moment_add(struct lmm_analysis *a, uint64_t t0, uint64_t t1, int throttled)
{
	struct moments *x = a->moments;
	struct moment m = { .t0 = t0, .t1 = t1, .throttled = (uint8_t)throttled };
	int was_known = x->has_process;

	round_read(a->sensors, t1, &m);
	x->has_process = m.has_process;
	m.has_process = m.has_process && was_known;
	m.run_wait = grown(&x->run_wait, m.run_wait, m.has_process) * 1000; /* of us */
	m.major = grown(&x->major, m.major, m.has_process);
	m.minor = grown(&x->minor, m.minor, m.has_process);
	if (t1 <= t0)
		return;
	if (m.hz) {
		x->hz_ticks += (double)m.hz * (double)(t1 - t0);
		x->hz_covered += t1 - t0;
	}
	if (m.throttled)
		stretch_on(&x->throttled, &m);
	if ((double)m.run_wait * MOMENT_WAITING >= (double)(t1 - t0) * lmm_clock_fit_rate(&a->fit))
		stretch_on(&x->waiting, &m);
	x->at[x->next] = m;
	x->next = (x->next + 1) % MOMENTS_KEPT;
	if (x->n < MOMENTS_KEPT)
		x->n++;
	lmm__slow_tokens_tell(&a->tokens, &m);
}
