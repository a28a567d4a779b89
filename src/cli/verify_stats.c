/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/verify.h"

/* ---- of numbers --------------------------------------------------------------------------------- */

double lmm_verify_alpha(double p, double g)
{
	return g > 0 ? 100 * (1 - fabs(p - g) / g) : NAN;
}

double lmm_verify_epsilon(double p, double g)
{
	return g > 0 ? 1000 * fabs(p - g) / g : NAN;
}

void lmm_verify_mean(const double *v, unsigned n, struct lmm_verify_interval *out)
{
	double mean = 0, squares = 0, half;

	out->n = n;
	out->mean = out->low = out->high = NAN;
	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		mean += v[i] / n;
	out->mean = mean;
	if (n == 1)
		return;
	for (unsigned i = 0; i < n; i++)
		squares += (v[i] - mean) * (v[i] - mean);
	half = lmm_overhead_t975(n - 1) * sqrt(squares / (n - 1) / n);
	out->low = mean - half;
	out->high = mean + half;
}

int lmm_verify_line_fit(const double *x, const double *y, unsigned n, struct lmm_verify_line *out)
{
	double mx = 0, my = 0, xx = 0, xy = 0, rest = 0, half;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < n; i++) {
		mx += x[i] / n;
		my += y[i] / n;
	}
	for (unsigned i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		xy += (x[i] - mx) * (y[i] - my);
	}
	if (n < 2 || xx <= 0)
		return -EINVAL;
	out->n = out->slope.n = n;
	out->slope.mean = xy / xx;
	out->at_zero = my - out->slope.mean * mx;
	out->slope.low = out->slope.high = NAN;
	if (n == 2)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		double off = y[i] - out->at_zero - out->slope.mean * x[i];

		rest += off * off;
	}
	half = lmm_overhead_t975(n - 2) * sqrt(rest / (n - 2) / xx);
	out->slope.low = out->slope.mean - half;
	out->slope.high = out->slope.mean + half;
	return 0;
}

/* ---- verdicts ----------------------------------------------------------------------------------- */

const char *lmm_verify_verdict_name(enum lmm_verify_verdict verdict)
{
	static const char *const names[] = {
		[LMM_VERIFY_UNKNOWN] = "unknown",   [LMM_VERIFY_TRUE] = "true",
		[LMM_VERIFY_INTERVAL] = "interval", [LMM_VERIFY_OWN_COST] = "own_cost",
		[LMM_VERIFY_SHORT] = "short",	    [LMM_VERIFY_CALLS] = "calls_differ",
		[LMM_VERIFY_OFF] = "off",
	};

	return names[verdict];
}

int lmm_verify_is_fine(enum lmm_verify_verdict verdict)
{
	return verdict == LMM_VERIFY_TRUE || verdict == LMM_VERIFY_INTERVAL ||
	       verdict == LMM_VERIFY_OWN_COST || verdict == LMM_VERIFY_SHORT;
}

static enum lmm_verify_verdict judge_phase(const struct lmm_verify_row *r)
{
	double short_by = r->reference_ns - r->lmmeter_ns;

	if (r->differ)
		return LMM_VERIFY_CALLS;
	if (r->alpha.n == 0)
		return LMM_VERIFY_UNKNOWN;
	if (r->reference_ns < LMM_VERIFY_PHASE_NS)
		return LMM_VERIFY_SHORT;
	if (r->alpha.mean >= LMM_VERIFY_PHASE_PERCENT)
		return LMM_VERIFY_TRUE;
	if (short_by > 0 && short_by <= LMM_VERIFY_HOOK_NS)
		return LMM_VERIFY_OWN_COST;
	return r->alpha.high >= LMM_VERIFY_PHASE_PERCENT ? LMM_VERIFY_INTERVAL : LMM_VERIFY_OFF;
}

/* ---- phases ------------------------------------------------------------------------------------- */

/* lmmeter counts each pass of a prompt that the engine cuts, the reference the calls. */
static int calls_differ(const struct lmm_verify_run *run, enum lmm_verify_phase phase)
{
	uint64_t ours = run->lmmeter[phase].calls, theirs = run->reference[phase].calls;

	if (phase == LMM_VERIFY_SUM)
		return 0;
	if (phase == LMM_VERIFY_PREFILL)
		return ours < theirs || (ours > 0 && theirs == 0);
	return ours != theirs;
}

static double engine_ns(const struct lmm_verify_run *run, enum lmm_verify_phase phase)
{
	switch (phase) {
	case LMM_VERIFY_PREFILL:
		return run->engine_ns[LMM_VERIFY_PROMPT_EVAL];
	case LMM_VERIFY_DECODE:
		return run->engine_ns[LMM_VERIFY_EVAL];
	case LMM_VERIFY_SAMPLING:
		return run->engine_ns[LMM_VERIFY_SAMPLED];
	default:
		return 0;
	}
}

/* Sums, before the means are taken. */
struct row_sums {
	double alphas[LMM_VERIFY_RUNS_MAX], epsilons[LMM_VERIFY_RUNS_MAX];
	double engine[LMM_VERIFY_RUNS_MAX];
	double ours, theirs, calls, engine_ns;
	unsigned n, n_engine;
};

static void add_run(struct row_sums *s, const struct lmm_verify_run *run,
		    enum lmm_verify_phase phase)
{
	const struct lmm_verify_figure *p = &run->lmmeter[phase], *g = &run->reference[phase];
	double engine = engine_ns(run, phase);

	if (p->calls == 0 || g->calls == 0 || !(g->ns > 0))
		return;
	s->ours += p->ns;
	s->theirs += g->ns;
	s->calls += (double)g->calls;
	s->alphas[s->n] = lmm_verify_alpha(p->ns, g->ns);
	s->epsilons[s->n++] = lmm_verify_epsilon(p->ns, g->ns);
	if (engine > 0) {
		s->engine_ns += engine;
		s->engine[s->n_engine++] = lmm_verify_alpha(p->ns, engine);
	}
}

void lmm_verify_row(const struct lmm_verify_run *runs, unsigned n, enum lmm_verify_phase phase,
		    struct lmm_verify_row *out)
{
	static struct row_sums s; /* too large for the stack */

	memset(&s, 0, sizeof(s));
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < n && i < LMM_VERIFY_RUNS_MAX; i++) {
		out->differ += (unsigned)calls_differ(&runs[i], phase);
		add_run(&s, &runs[i], phase);
	}
	lmm_verify_mean(s.alphas, s.n, &out->alpha);
	lmm_verify_mean(s.epsilons, s.n, &out->epsilon);
	lmm_verify_mean(s.engine, s.n_engine, &out->engine_alpha);
	if (s.n) {
		out->calls = s.calls / s.n;
		out->lmmeter_ns = s.ours / s.calls;
		out->reference_ns = s.theirs / s.calls;
	}
	if (s.n_engine)
		out->engine_ns = s.engine_ns / s.n_engine;
	out->verdict = judge_phase(out);
}

/* ---- kernels ------------------------------------------------------------------------------------ */

static enum lmm_verify_verdict judge_kernel(const struct lmm_verify_kernel_row *r)
{
	if (r->truth_ns.n == 0 || !(r->lmmeter_ns > 0))
		return LMM_VERIFY_UNKNOWN;
	if (r->lmmeter_ns < LMM_VERIFY_KERNEL_NS)
		return LMM_VERIFY_SHORT;
	if (r->alpha >= LMM_VERIFY_KERNEL_PERCENT)
		return LMM_VERIFY_TRUE;
	return r->is_inside ? LMM_VERIFY_INTERVAL : LMM_VERIFY_OFF;
}

void lmm_verify_kernel_row(const struct lmm_verify_kernel *k, struct lmm_verify_kernel_row *out)
{
	struct lmm_verify_line line;

	memset(out, 0, sizeof(*out));
	out->alpha = out->epsilon = NAN;
	if (k->timed > 0 && k->steps > 0) {
		out->lmmeter_ns = k->timed_ns / k->timed;
		out->per_step = k->runs / k->steps;
	}
	if (out->per_step > 0 && !lmm_verify_line_fit(k->repeats, k->step_ns, k->n, &line)) {
		out->truth_ns = line.slope;
		out->truth_ns.mean /= out->per_step;
		out->truth_ns.low /= out->per_step;
		out->truth_ns.high /= out->per_step;
		out->alpha = lmm_verify_alpha(out->lmmeter_ns, out->truth_ns.mean);
		out->epsilon = lmm_verify_epsilon(out->lmmeter_ns, out->truth_ns.mean);
		out->is_inside = out->lmmeter_ns >= out->truth_ns.low &&
				 out->lmmeter_ns <= out->truth_ns.high;
	}
	out->verdict = judge_kernel(out);
}
