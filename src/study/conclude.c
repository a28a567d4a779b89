/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences about times and phases that the data may carry. Each rule says when it is said; conclude_models.c has those on variants. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "report/format.h"
#include "study/conclude.h"

#define HALF_PERCENT	50.0
#define MATMUL_PERCENT	60.0
#define IDLE_PERCENT	20.0
#define SCALING_PERCENT 70.0
#define DRIFT_PERCENT	3.0
#define WAITED_PERCENT	5.0
#define MBU_PERCENT	40.0
#define OWN_PERCENT	1.0
#define LEAST_MAX	0.6931471805599453 /* log 2 */

/* ---- adding ---------------------------------------------------------------------------------------- */

struct lmm_conclusion *lmm__conclusion_add(struct lmm_study_findings *f, const char *id,
					   const char *rule, unsigned confidence)
{
	struct lmm_conclusion *c;

	if (f->n_conclusions == f->conclusions_cap) {
		uint32_t cap = f->conclusions_cap ? f->conclusions_cap * 2 : 32;

		c = realloc(f->conclusions, cap * sizeof(*c));
		if (!c)
			return NULL;
		f->conclusions = c;
		f->conclusions_cap = cap;
	}
	c = &f->conclusions[f->n_conclusions++];
	memset(c, 0, sizeof(*c));
	c->id = id;
	c->rule = rule;
	c->confidence = (uint8_t)confidence;
	return c;
}

const char *lmm_confidence_name(unsigned confidence)
{
	static const char *const names[] = { "sure", "likely", "remark" };

	return confidence < LMM_ARRAY_SIZE(names) ? names[confidence] : "?";
}

/* "bigger.gguf" of a path, other levels as they are. */
const char *lmm__level_name(const struct lmm_plan *p, uint32_t factor, uint32_t level)
{
	const char *text = p->factors[factor].levels[level];
	const char *slash = p->factors[factor].kind == LMM_FACTOR_MODEL ? strrchr(text, '/') : NULL;

	return slash ? slash + 1 : text;
}

/* ---- effects --------------------------------------------------------------------------------------- */

static double percent_of(double change)
{
	return 100 * expm1(change);
}

/* From a doubling on nobody thinks in percent. */
static void change_say(const struct lmm_contrast_estimate *e, char *out, size_t bytes)
{
	double percent = percent_of(e->change);

	if (e->change > M_LN2) {
		(void)snprintf(out, bytes, "%.3g times as much [%.3g, %.3g]", exp(e->change),
			       exp(e->low), exp(e->high));
		return;
	}
	(void)snprintf(out, bytes, "%.3g %% %s [%+.3g, %+.3g]", fabs(percent),
		       percent < 0 ? "less" : "more", percent_of(e->low), percent_of(e->high));
}

static int is_of_level(const struct lmm_study_contrast *c, const struct lmm_study_contrast *like)
{
	return c->e.is_changed && c->factor == like->factor && c->level == like->level;
}

/* All that a level changes is one sentence; its figure is the first of them. */
static int effect_say(struct lmm_study_findings *f, uint32_t first)
{
	const struct lmm_study_contrast *c = &f->contrasts[first];
	const struct lmm_plan *p = f->s->plan;
	struct lmm_conclusion *to = lmm__conclusion_add(
		f, "effect",
		"a level of a factor changes figures over all other factors, beyond doubt: Holm over all such comparisons at 0.005, and by 0.2 % at least",
		LMM_SURE);
	const char *before = ":";
	double p_most = 0;
	size_t n;

	if (!to)
		return -ENOMEM;
	to->value = percent_of(c->e.change);
	to->threshold = 100 * LMM_CONTRAST_TRIFLE;
	n = (size_t)snprintf(to->text, sizeof(to->text), "%.64s=%.80s instead of %.80s",
			     p->factors[c->factor].name, lmm__level_name(p, c->factor, c->level),
			     lmm__level_name(p, c->factor, c->base));
	for (uint32_t i = first; i < f->n_main; i++) {
		char change[96], figure[192];

		if (!is_of_level(&f->contrasts[i], c))
			continue;
		p_most = fmax(p_most, f->contrasts[i].e.p);
		change_say(&f->contrasts[i].e, change, sizeof(change));
		(void)snprintf(figure, sizeof(figure), "%s %s %s", before,
			       lmm_figures[f->contrasts[i].figure].label, change);
		before = ",";
		/* what has no room is in the table */
		if (n + strlen(figure) + 2 <= sizeof(to->text))
			n += (size_t)snprintf(to->text + n, sizeof(to->text) - n, "%s", figure);
	}
	(void)snprintf(to->text + n, sizeof(to->text) - n, ".");
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "mean of %u pairs of conditions in each block, p = %.2g at most, unadjusted",
		       c->pairs, p_most);
	return 0;
}

static int rule_effects(struct lmm_study_findings *f)
{
	int rc = 0;

	for (uint32_t i = 0; i < f->n_main && rc == 0; i++) {
		int is_said = !f->contrasts[i].e.is_changed;

		for (uint32_t k = 0; k < i && !is_said; k++)
			is_said = is_of_level(&f->contrasts[k], &f->contrasts[i]);
		if (!is_said)
			rc = effect_say(f, i);
	}
	return rc;
}

/* For time figures: a factor none of whose levels makes a difference, and what would have been seen. */
static int rule_no_difference(struct lmm_study_findings *f)
{
	const struct lmm_plan *p = f->s->plan;

	for (uint32_t i = 0; i < p->n_factors; i++) {
		for (unsigned k = 0; k < 2; k++) {
			double least = 0;
			unsigned judged = 0, differ = 0;
			struct lmm_conclusion *to;

			for (uint32_t n = 0; n < f->n_main; n++) {
				const struct lmm_study_contrast *c = &f->contrasts[n];

				if (c->factor != i || c->figure != lmm_study_compared[k] ||
				    !c->e.is_judged)
					continue;
				judged++;
				differ += c->e.is_changed || c->e.low > 0 || c->e.high < 0;
				least = fmax(least, c->e.least_80);
			}
			if (judged == 0 || differ > 0 || least > LEAST_MAX)
				continue;
			to = lmm__conclusion_add(
				f, "no_difference",
				"the intervals of all levels of a factor hold 0, for TTFT or for TPOT, and a doubling would have been found; said with what would have been found four times out of five",
				LMM_REMARK);
			if (!to)
				return -ENOMEM;
			to->value = percent_of(least);
			(void)snprintf(
				to->text, sizeof(to->text),
				"%.64s: no difference in %s was seen; one of %.2g %% would have been found with 80 %%.",
				p->factors[i].name, lmm_figures[lmm_study_compared[k]].label,
				percent_of(least));
			(void)snprintf(to->evidence, sizeof(to->evidence),
				       judged == 1
					       ? "1 comparison, 0 lies in its interval"
					       : "%u comparisons, 0 lies in the interval of each",
				       judged);
		}
	}
	return 0;
}

/* ---- phases ---------------------------------------------------------------------------------------- */

struct dominance {
	double lowest; /* prompt to output ratio from which on it dominates everywhere */
	double highest_not;
	uint32_t n, n_over, first;
	double share, half;
};

static double ratio_of(const struct lmm_study_findings *f, uint32_t condition)
{
	double output = lmm_study_mean(f, condition, LMM_FIG_OUTPUT_TOKENS)->value;

	return output > 0 ? lmm_study_mean(f, condition, LMM_FIG_PROMPT_TOKENS)->value / output
			  : NAN;
}

static void dominance_find(const struct lmm_study_findings *f, lmm_cell_value_fn *share,
			   struct dominance *d)
{
	*d = (struct dominance){ .lowest = HUGE_VAL, .highest_not = -HUGE_VAL };
	for (uint32_t c = 0; c < f->s->plan->n_conditions; c++) {
		double mean, half, ratio = ratio_of(f, c);
		uint32_t n = lmm_study_cell_mean(f->s, c, share, &mean, &half);

		if (n == 0 || isnan(ratio))
			continue;
		d->n++;
		if (n >= 2 && mean - half > HALF_PERCENT) {
			d->n_over++;
			if (ratio < d->lowest) {
				d->lowest = ratio;
				d->first = c;
				d->share = mean;
				d->half = half;
			}
		} else if (ratio > d->highest_not) {
			d->highest_not = ratio;
		}
	}
}

static int dominance_say(struct lmm_study_findings *f, const char *id, const char *rule,
			 const char *phase, const struct dominance *d)
{
	struct lmm_conclusion *to = lmm__conclusion_add(f, id, rule, LMM_LIKELY);
	char name[160];

	if (!to)
		return -ENOMEM;
	to->value = d->share;
	to->threshold = HALF_PERCENT;
	lmm_plan_condition_name(f->s->plan, d->first, name, sizeof(name));
	if (d->n_over == d->n) {
		(void)snprintf(to->text, sizeof(to->text),
			       "%s takes more than half of a request's time under every condition.",
			       phase);
	} else if (d->highest_not < d->lowest) {
		(void)snprintf(
			to->text, sizeof(to->text),
			"%s takes more than half of a request's time from %.3g prompt tokens per output token on (not yet at %.3g).",
			phase, d->lowest, d->highest_not);
	} else {
		(void)snprintf(
			to->text, sizeof(to->text),
			"%s takes more than half of a request's time under %u of %u conditions; the ratio of prompt to output tokens alone does not decide it.",
			phase, d->n_over, d->n);
	}
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "%.3g %% \u00b1 %.2g at %.3g prompt tokens per output token (%s)", d->share,
		       d->half, d->lowest, name);
	return 0;
}

static int rule_prefill_dominates(struct lmm_study_findings *f)
{
	struct dominance d;

	dominance_find(f, lmm_cell_prefill_percent, &d);
	return d.n_over == 0
		       ? 0
		       : dominance_say(
				 f, "prefill_dominates",
				 "prefill's share of a request lies above 50 %, with the lower end of its 95 % interval over blocks",
				 "Prefill", &d);
}

static int rule_decode_dominates(struct lmm_study_findings *f)
{
	struct dominance d;
	struct lmm_conclusion *to;

	dominance_find(f, lmm_cell_decode_percent, &d);
	if (d.n_over == 0)
		return 0;
	to = lmm__conclusion_add(
		f, "decode_dominates",
		"decode's share of a request lies above 50 %, with the lower end of its 95 % interval over blocks",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = d.share;
	to->threshold = HALF_PERCENT;
	(void)snprintf(to->text, sizeof(to->text),
		       "Decode takes more than half of a request's time under %u of %u conditions.",
		       d.n_over, d.n);
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "%.3g %% \u00b1 %.2g where the prompt is shortest for its output", d.share,
		       d.half);
	return 0;
}

/* The smallest and the largest of all conditions' means, each drawn in by its interval. */
static uint32_t range_of(const struct lmm_study_findings *f, lmm_cell_value_fn *value, double *low,
			 double *high)
{
	uint32_t n_all = 0;

	*low = HUGE_VAL;
	*high = -HUGE_VAL;
	for (uint32_t c = 0; c < f->s->plan->n_conditions; c++) {
		double mean, half;
		uint32_t n = lmm_study_cell_mean(f->s, c, value, &mean, &half);

		if (n < 2)
			continue;
		n_all++;
		*low = fmin(*low, mean - half);
		*high = fmax(*high, mean + half);
	}
	return n_all;
}

static int rule_matmul(struct lmm_study_findings *f)
{
	struct lmm_conclusion *to;
	double low, high;
	uint32_t n = range_of(f, lmm_cell_matmul_percent, &low, &high);

	if (n == 0 || low <= MATMUL_PERCENT)
		return 0;
	to = lmm__conclusion_add(
		f, "matmul_share",
		"matrix products take more than 60 % of the operators' time under every condition, intervals and all",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = low;
	to->threshold = MATMUL_PERCENT;
	(void)snprintf(to->text, sizeof(to->text),
		       "Matrix products take %.0f to %.0f %% of the operators' time.", low,
		       fmin(high, 100));
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "operators MUL_MAT and MUL_MAT_ID among the %u longest, %u conditions",
		       LMM_CELL_KERNELS_MAX, n);
	return 0;
}

static double idle_value(const struct lmm_cell *c)
{
	return c->figures[LMM_FIG_IDLE];
}

/* "read_back 61 %, …": of all cells together, the longest first. */
static void gaps_say(const struct lmm_study *s, char *out, size_t bytes)
{
	double gaps[LMM_GAP_CAUSES] = { 0 }, all = 0;
	size_t at = 0;

	for (size_t i = 0; i < (size_t)s->n_blocks * s->plan->n_conditions; i++) {
		for (unsigned k = 0; s->cells[i].status == LMM_CELL_OK && k < LMM_GAP_CAUSES; k++) {
			gaps[k] += s->cells[i].gap_ns[k];
			all += s->cells[i].gap_ns[k];
		}
	}
	out[0] = '\0';
	for (unsigned n = 0; n < LMM_GAP_CAUSES && all > 0; n++) {
		unsigned most = 0;

		for (unsigned k = 1; k < LMM_GAP_CAUSES; k++)
			most = gaps[k] > gaps[most] ? k : most;
		if (gaps[most] < 0.01 * all || at >= bytes)
			return;
		at += (size_t)snprintf(out + at, bytes - at, "%s%s %.0f %%", n ? ", " : "",
				       lmm_gap_name(most), 100 * gaps[most] / all);
		gaps[most] = 0;
	}
}

static int rule_idle(struct lmm_study_findings *f)
{
	struct lmm_conclusion *to;
	double low, high;
	char gaps[200];

	if (range_of(f, idle_value, &low, &high) == 0 || high <= IDLE_PERCENT)
		return 0;
	to = lmm__conclusion_add(
		f, "device_idle",
		"under some condition the device is idle for more than 20 % of its span",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = high;
	to->threshold = IDLE_PERCENT;
	(void)snprintf(to->text, sizeof(to->text),
		       "The device is idle for %.0f to %.0f %% of its span inside steps.",
		       fmax(low, 0), fmin(high, 100));
	gaps_say(f->s, gaps, sizeof(gaps));
	(void)snprintf(to->evidence, sizeof(to->evidence), "gaps between timed commands%s%s",
		       gaps[0] ? ", all conditions together: " : "", gaps);
	return 0;
}

/* ---- threads --------------------------------------------------------------------------------------- */

static int rule_scaling(struct lmm_study_findings *f)
{
	const struct lmm_plan *p = f->s->plan;
	int at = lmm_plan_factor_find(p, "threads");

	for (uint32_t i = 0; at >= 0 && i < f->n_main; i++) {
		const struct lmm_study_contrast *c = &f->contrasts[i];
		double more, speedup, least, reached;
		struct lmm_conclusion *to;

		if (c->factor != (uint32_t)at || c->figure != LMM_FIG_TPOT || !c->e.is_judged)
			continue;
		more = strtod(p->factors[at].levels[c->level], NULL) /
		       strtod(p->factors[at].levels[c->base], NULL);
		if (!(more > 1) || more > 1e6)
			continue;
		speedup = exp(-c->e.change);
		least = exp(-c->e.low);
		reached = 100 * least / more;
		if (reached >= SCALING_PERCENT)
			continue;
		to = lmm__conclusion_add(
			f, "poor_scaling",
			"with N times the threads a token is less than 0.7 N times as fast, at the good end of the interval",
			LMM_LIKELY);
		if (!to)
			return -ENOMEM;
		to->value = 100 * speedup / more;
		to->threshold = SCALING_PERCENT;
		(void)snprintf(
			to->text, sizeof(to->text),
			"With %s threads instead of %s a token is %.2f times as fast, %.0f %% of what the threads would give.",
			p->factors[at].levels[c->level], p->factors[at].levels[c->base], speedup,
			100 * speedup / more);
		(void)snprintf(to->evidence, sizeof(to->evidence),
			       "at most %.2f times by the interval", least);
	}
	return 0;
}

/* ---- over the length of a run ------------------------------------------------------------------------ */

static int rule_drift(struct lmm_study_findings *f)
{
	const struct lmm_plan *p = f->s->plan;
	double most = 0, half_of = 0;
	uint32_t at = 0, n_over = 0, n_all = 0;
	struct lmm_conclusion *to;
	char name[160];

	for (uint32_t c = 0; c < p->n_conditions; c++) {
		double mean, half;

		if (lmm_study_cell_mean(f->s, c, lmm_cell_drift_percent, &mean, &half) < 2)
			continue;
		n_all++;
		if (mean - half <= DRIFT_PERCENT)
			continue;
		n_over++;
		if (mean > most) {
			most = mean;
			half_of = half;
			at = c;
		}
	}
	if (n_over == 0)
		return 0;
	to = lmm__conclusion_add(
		f, "slows_down",
		"the last tenth of the tokens takes more than 3 % longer than the first, at the low end of the interval over blocks",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = most;
	to->threshold = DRIFT_PERCENT;
	lmm_plan_condition_name(p, at, name, sizeof(name));
	(void)snprintf(
		to->text, sizeof(to->text),
		"Tokens get slower while a run goes on under %u of %u conditions, by %.3g %% \u00b1 %.2g at most (%s): a longer context, heat, or both.",
		n_over, n_all, most, half_of, name);
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "mean time between tokens of the last tenth against the first");
	return 0;
}

/* A token that is slow in nearly every block is the engine's own doing: a context shift, a cache that grows. */
static uint32_t spike_blocks(const struct lmm_study *s, uint32_t condition, uint64_t token,
			     double *itl_ns, uint32_t *n_ok)
{
	uint32_t n = 0;

	*n_ok = 0;
	*itl_ns = 0;
	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);

		*n_ok += c->status == LMM_CELL_OK;
		for (uint32_t i = 0; c->status == LMM_CELL_OK && i < c->n_spikes; i++) {
			if (c->spikes[i].token != token)
				continue;
			n++;
			*itl_ns += c->spikes[i].itl_ns;
			break;
		}
	}
	*itl_ns = n ? *itl_ns / n : 0;
	return n;
}

static int spike_say(struct lmm_study_findings *f, uint32_t condition, uint64_t token,
		     double itl_ns, uint32_t n, uint32_t n_ok)
{
	double usual = lmm_study_mean(f, condition, LMM_FIG_ITL_P50)->value;
	struct lmm_conclusion *to = lmm__conclusion_add(
		f, "event",
		"the same token takes more than three times the median in at least four of five blocks, three blocks and more",
		LMM_LIKELY);
	char name[160];

	if (!to)
		return -ENOMEM;
	to->value = itl_ns / usual;
	to->threshold = 3;
	lmm_plan_condition_name(f->s->plan, condition, name, sizeof(name));
	(void)snprintf(
		to->text, sizeof(to->text),
		"Token %lu takes %.1f times the usual time, %s more (%s): something that the engine does there, such as a context shift or a longer attention window.",
		(unsigned long)token, itl_ns / usual, lmm_human_ns(itl_ns - usual).s, name);
	(void)snprintf(to->evidence, sizeof(to->evidence), "in %u of %u blocks", n, n_ok);
	return 0;
}

static int rule_events(struct lmm_study_findings *f)
{
	const struct lmm_study *s = f->s;

	for (uint32_t c = 0; c < s->plan->n_conditions; c++) {
		const struct lmm_cell *first = lmm_study_cell(s, 0, c);

		for (uint32_t i = 0; first->status == LMM_CELL_OK && i < first->n_spikes; i++) {
			uint64_t token = first->spikes[i].token;
			uint32_t n_ok, n;
			double itl;

			n = spike_blocks(s, c, token, &itl, &n_ok);
			if (n_ok < 3 || n * 5 < n_ok * 4)
				continue;
			if (spike_say(f, c, token, itl, n, n_ok))
				return -ENOMEM;
			break; /* the longest of a condition */
		}
	}
	return 0;
}

static double shifts_value(const struct lmm_cell *c)
{
	return c->figures[LMM_FIG_SHIFTS];
}

static double shift_value(const struct lmm_cell *c)
{
	return c->figures[LMM_FIG_SHIFT];
}

/* Under each condition in whose every block the context was full. */
static int rule_shifts(struct lmm_study_findings *f)
{
	for (uint32_t c = 0; c < f->s->plan->n_conditions; c++) {
		double shifts, cost, half = NAN, ignored;
		uint32_t n = lmm_study_cell_mean(f->s, c, shift_value, &cost, &half);
		struct lmm_conclusion *to;
		char name[160];

		if (n < 3 || n != lmm_study_cell_mean(f->s, c, shifts_value, &shifts, &ignored) ||
		    !(cost - half > 0))
			continue;
		to = lmm__conclusion_add(
			f, "context_shift",
			"the context was full in every block of a condition, three blocks and more, and the interval of what that cost lies above 0",
			LMM_LIKELY);
		if (!to)
			return -ENOMEM;
		to->value = cost;
		to->threshold = 0;
		lmm_plan_condition_name(f->s->plan, c, name, sizeof(name));
		(void)snprintf(
			to->text, sizeof(to->text),
			"The context is full %.3g times in a run, and the token behind that takes %s more than the median (%s).",
			shifts, lmm_human_ns(cost).s, name);
		(void)snprintf(to->evidence, sizeof(to->evidence), "%s +- %s over %u blocks",
			       lmm_human_ns(cost).s, lmm_human_ns(half).s, n);
	}
	return 0;
}

/* NaN: there was none. */
static double refusals_value(const struct lmm_cell *c)
{
	return c->figures[LMM_FIG_REFUSALS] > 0 ? c->figures[LMM_FIG_REFUSALS] : NAN;
}

static double figures_known(const struct lmm_cell *c)
{
	return isnan(c->figures[LMM_FIG_REFUSALS]) ? NAN : 1;
}

/* Under each condition in whose every block calls found no room. */
static int rule_refusals(struct lmm_study_findings *f)
{
	for (uint32_t c = 0; c < f->s->plan->n_conditions; c++) {
		double refusals, half, ignored;
		uint32_t n = lmm_study_cell_mean(f->s, c, refusals_value, &refusals, &half);
		struct lmm_conclusion *to;
		char name[160];

		if (n < 3 || n != lmm_study_cell_mean(f->s, c, figures_known, &ignored, &ignored))
			continue;
		to = lmm__conclusion_add(
			f, "context_full",
			"in every block of a condition, three blocks and more, a call's tokens found no room in the context",
			LMM_LIKELY);
		if (!to)
			return -ENOMEM;
		to->value = refusals;
		to->threshold = 0;
		lmm_plan_condition_name(f->s->plan, c, name, sizeof(name));
		(void)snprintf(
			to->text, sizeof(to->text),
			"The context has no room for %.3g calls in a run: they are tried again with fewer tokens, or their request ends (%s).",
			refusals, name);
		(void)snprintf(to->evidence, sizeof(to->evidence), "%u blocks", n);
	}
	return 0;
}

/* ---- what to keep in mind ----------------------------------------------------------------------------- */

static int remark(struct lmm_study_findings *f, const char *id, const char *rule, double value,
		  double threshold, const char *text)
{
	struct lmm_conclusion *to = lmm__conclusion_add(f, id, rule, LMM_REMARK);

	if (!to)
		return -ENOMEM;
	to->value = value;
	to->threshold = threshold;
	(void)snprintf(to->text, sizeof(to->text), "%s", text);
	return 0;
}

static int rule_holes(struct lmm_study_findings *f)
{
	char text[256];

	if (f->n_holes + f->n_missing == 0)
		return 0;
	(void)snprintf(
		text, sizeof(text),
		"%u of %u cells could not be measured, %u were not run: what is compared is what is left.",
		f->n_holes, f->n_holes + f->n_ok + f->n_missing, f->n_missing);
	return remark(f, "holes", "a cell has no figures", f->n_holes + f->n_missing, 0, text);
}

static double figure_worst(const struct lmm_study_findings *f, unsigned figure, uint32_t *n_over,
			   double limit)
{
	double worst = -HUGE_VAL;

	*n_over = 0;
	for (size_t i = 0; i < (size_t)f->s->n_blocks * f->s->plan->n_conditions; i++) {
		const struct lmm_cell *c = &f->s->cells[i];

		if (c->status != LMM_CELL_OK || isnan(c->figures[figure]))
			continue;
		worst = fmax(worst, c->figures[figure]);
		*n_over += c->figures[figure] > limit;
	}
	return worst;
}

static int rule_machine(struct lmm_study_findings *f)
{
	const struct {
		const char *id, *rule, *format;
		unsigned figure;
		double limit;
	} rules[] = {
		{ "not_quiet", "an engine waited for a core for more than 5 % of a run",
		  "The machine was not quiet: in %u cells the engine waited for a core for more than 5 %% of the time, %.0f %% at most.",
		  LMM_FIG_WAITED, WAITED_PERCENT },
		{ "throttled", "something was throttled in a cell",
		  "The machine was throttled in %u cells, for %.0f ns at most.", LMM_FIG_THROTTLED,
		  0 },
		{ "lost", "records were lost in a cell",
		  "Records were lost in %u cells, %.0f at most.", LMM_FIG_LOST, 0 },
		{ "own_cost", "lmmeter's own cost, by arithmetic, is above 1 %",
		  "In %u cells lmmeter itself cost more than 1 %% of the time, %.2g %% at most.",
		  LMM_FIG_OWN, OWN_PERCENT },
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(rules); i++) {
		uint32_t n;
		double worst = figure_worst(f, rules[i].figure, &n, rules[i].limit);
		char text[256];

		if (n == 0)
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(text, sizeof(text), rules[i].format, n, worst);
#pragma GCC diagnostic pop
		if (remark(f, rules[i].id, rules[i].rule, worst, rules[i].limit, text))
			return -ENOMEM;
	}
	return 0;
}

static int rule_not_clocks(struct lmm_study_findings *f)
{
	const struct lmm_plan *p = f->s->plan;
	int quota = lmm_plan_factor_of(p, LMM_FACTOR_QUOTA),
	    load = lmm_plan_factor_of(p, LMM_FACTOR_LOAD);
	char text[256];

	if (quota < 0 && load < 0)
		return 0;
	(void)snprintf(
		text, sizeof(text),
		"%s is not a lower clock: it stops an engine and lets it go on, and says nothing of how a slower core would do.",
		quota >= 0 && load >= 0 ? "A CPU quota, or load beside the engine,"
		: quota >= 0		? "A CPU quota"
					: "Load beside the engine");
	return remark(f, "not_clocks", "the plan has a factor cpu_quota_percent or load", 0, 0,
		      text);
}

/* Of an engine that others kept from its cores it says nothing. */
static double mbu_value(const struct lmm_cell *c)
{
	return c->figures[LMM_FIG_WAITED] > WAITED_PERCENT ? NAN : c->figures[LMM_FIG_MBU];
}

static int rule_mbu(struct lmm_study_findings *f)
{
	struct lmm_conclusion *to;
	double low, high;

	if (range_of(f, mbu_value, &low, &high) == 0 || high >= MBU_PERCENT)
		return 0;
	to = lmm__conclusion_add(
		f, "low_mbu",
		"under no condition does decoding read its weights at 40 % of the measured peak, intervals and all, in runs that were not kept from their cores",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = high;
	to->threshold = MBU_PERCENT;
	(void)snprintf(
		to->text, sizeof(to->text),
		"Decoding is not bound by memory: it uses %.2g to %.2g %% of the bandwidth that lmmeter calibrate measured.",
		fmax(low, 0), high);
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "weights and cache per token over time per token");
	return 0;
}

int lmm_study_conclude(struct lmm_study_findings *f)
{
	static int (*const rules[])(struct lmm_study_findings * f) = {
		rule_holes,
		rule_prefill_dominates,
		rule_decode_dominates,
		rule_matmul,
		rule_idle,
		lmm__conclude_models,
		rule_effects,
		rule_no_difference,
		rule_scaling,
		rule_mbu,
		rule_drift,
		rule_events,
		rule_shifts,
		rule_refusals,
		rule_not_clocks,
		rule_machine,
	};
	int rc = 0;

	f->n_conclusions = 0;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(rules) && rc == 0; i++)
		rc = rules[i](f);
	return rc;
}
