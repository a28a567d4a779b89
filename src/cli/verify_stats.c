/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/verify.h"
#include "wire/repeat.h"

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

/* How many values may be cut off either end: the largest k with P(Bin(n, 1/2) < k) <= 2.5 %. */
static unsigned sign_test_cut(unsigned n)
{
	double term = exp2(-(double)n), sum = term;
	unsigned k = 0;

	/* its terms are too small for a double: the normal distribution's */
	if (n > 500)
		return (unsigned)(n / 2.0 - 1.96 * sqrt(n) / 2);
	while (sum <= 0.025 && k < n / 2) {
		k++;
		term *= (double)(n - k + 1) / k;
		sum += term;
	}
	return k;
}

void lmm_verify_median(double *v, unsigned n, struct lmm_verify_interval *out)
{
	unsigned cut;

	out->n = n;
	out->mean = out->low = out->high = NAN;
	if (n == 0)
		return;
	out->mean = lmm_overhead_median(v, n);
	cut = sign_test_cut(n);
	if (cut > 0) {
		out->low = v[cut - 1];
		out->high = v[n - cut];
	}
}

double lmm_verify_slope(const double *x, const double *y, unsigned n)
{
	double mx = 0, my = 0, xx = 0, xy = 0;

	for (unsigned i = 0; i < n; i++) {
		mx += x[i] / n;
		my += y[i] / n;
	}
	for (unsigned i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		xy += (x[i] - mx) * (y[i] - my);
	}
	return n >= 2 && xx > 0 ? xy / xx : NAN;
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

#define BLOCKS_MAX 4096u

/* What the steps of one block say of a further run. NaN where nothing was run in the turn. */
struct block {
	double warm_ns, cold_ns, empty_ns;
};

static double mean_of(const double *v, unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += v[i];
	return n ? sum / n : NAN;
}

/* Warm: slope of the step over the further runs. Cold: what the kernel adds to the fillers. Empty: what it adds. */
static struct block block_of(const struct lmm_verify_point *p)
{
	double x[LMM_REPEAT_TURNS], y[LMM_REPEAT_TURNS], none[LMM_REPEAT_TURNS];
	double fill = NAN, cold = NAN, cold_runs = 0, empty = NAN, empty_runs = 0;
	unsigned lines = 0, nones = 0;

	for (unsigned i = 0; i < LMM_REPEAT_TURNS; i++) {
		if (p[i].mode == LMM_REPEAT_NONE || p[i].mode == LMM_REPEAT_WARM) {
			x[lines] = p[i].further;
			y[lines++] = p[i].step_ns;
		}
		if (p[i].mode == LMM_REPEAT_NONE)
			none[nones++] = p[i].step_ns;
		if (p[i].mode == LMM_REPEAT_FILL)
			fill = p[i].step_ns;
		if (p[i].mode == LMM_REPEAT_COLD) {
			cold = p[i].step_ns;
			cold_runs = p[i].further;
		}
		if (p[i].mode == LMM_REPEAT_EMPTY) {
			empty = p[i].step_ns;
			empty_runs = p[i].further;
		}
	}
	return (struct block){
		.warm_ns = lmm_verify_slope(x, y, lines),
		.cold_ns = cold_runs > 0 ? (cold - fill) / cold_runs : NAN,
		.empty_ns = empty_runs > 0 ? (empty - mean_of(none, nones)) / empty_runs : NAN,
	};
}

static void push_known(double *v, unsigned *n, double x)
{
	if (!isnan(x))
		v[(*n)++] = x;
}

static double mean_ns(const struct lmm_verify_timed *t)
{
	return t->count > 0 ? t->ns / t->count : NAN;
}

static enum lmm_verify_verdict judge_kernel(const struct lmm_verify_against *a)
{
	if (a->truth_ns.n == 0 || !(a->lmmeter_ns.mean > 0))
		return LMM_VERIFY_UNKNOWN;
	if (a->lmmeter_ns.mean < LMM_VERIFY_KERNEL_NS)
		return LMM_VERIFY_SHORT;
	if (a->alpha >= LMM_VERIFY_KERNEL_PERCENT)
		return LMM_VERIFY_TRUE;
	return a->is_inside || isnan(a->truth_ns.low) ? LMM_VERIFY_INTERVAL : LMM_VERIFY_OFF;
}

/* One value per block: lmmeter's mean of the recorded runs; what a further run added to a step. */
struct values {
	double lmmeter[BLOCKS_MAX], truth[BLOCKS_MAX];
	unsigned n_lmmeter, n_truth;
};

static void compare(struct lmm_verify_against *a, struct values *v, double gap_ns)
{
	double gap = gap_ns > 0 ? gap_ns : 0, p;

	lmm_verify_median(v->lmmeter, v->n_lmmeter, &a->lmmeter_ns);
	lmm_verify_median(v->truth, v->n_truth, &a->truth_ns);
	a->truth_ns.mean -= gap;
	a->truth_ns.low -= gap;
	a->truth_ns.high -= gap;
	p = a->lmmeter_ns.mean;
	a->alpha = lmm_verify_alpha(p, a->truth_ns.mean);
	a->epsilon = lmm_verify_epsilon(p, a->truth_ns.mean);
	a->is_inside =
		a->lmmeter_ns.low <= a->truth_ns.high && a->lmmeter_ns.high >= a->truth_ns.low;
	a->verdict = judge_kernel(a);
}

void lmm_verify_kernel_row(const struct lmm_verify_kernel *k, struct lmm_verify_kernel_row *out)
{
	static struct values warm, cold;
	static double empty[BLOCKS_MAX];
	struct lmm_verify_interval gap;
	unsigned n_empty = 0;

	memset(out, 0, sizeof(*out));
	warm.n_lmmeter = warm.n_truth = cold.n_lmmeter = cold.n_truth = 0;
	for (size_t i = 0, end, n = 0; i < k->n && n < BLOCKS_MAX; i = end, n++) {
		struct block b;

		for (end = i; end < k->n && k->points[end].block == k->points[i].block;)
			end++;
		if (end - i != LMM_REPEAT_TURNS)
			continue;
		b = block_of(&k->points[i]);
		push_known(warm.truth, &warm.n_truth, b.warm_ns);
		push_known(cold.truth, &cold.n_truth, b.cold_ns);
		push_known(empty, &n_empty, b.empty_ns);
	}
	for (size_t i = 0; i < k->n_blocks && i < BLOCKS_MAX; i++) {
		push_known(warm.lmmeter, &warm.n_lmmeter, mean_ns(&k->blocks[i].warm));
		push_known(cold.lmmeter, &cold.n_lmmeter, mean_ns(&k->blocks[i].cold));
	}
	out->own_ns = mean_ns(&k->own);
	out->per_step = k->steps > 0 ? k->runs / k->steps : 0;
	lmm_verify_median(empty, n_empty, &gap);
	out->gap_ns = gap.mean - mean_ns(&k->empty);
	compare(&out->warm, &warm, out->gap_ns);
	compare(&out->cold, &cold, out->gap_ns);
}
