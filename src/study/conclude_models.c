/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences about variants of a model: what they keep, what they cost, where fewer bytes were not less time. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "study/conclude.h"

#define BYTES_FEWER	  0.95
#define TIME_FOLLOWS	  0.5 /* of the bytes saved, as logarithms */
#define TOP1_LOST_PERCENT 95.0
#define TOP1_KEPT_PERCENT 97.0
#define KLD_KEPT	  0.02
#define QUANTIZED_BITS	  15.5
#define FALLBACK_PERCENT  5.0

static const char *variant_name(const struct lmm_study_findings *f, uint32_t variant)
{
	return lmm__level_name(f->s->plan, (uint32_t)f->s->variant_factor, variant);
}

/* ---- quality --------------------------------------------------------------------------------------- */

static int lost_say(struct lmm_study_findings *f, uint32_t i)
{
	const struct lmm_variant *v = &f->s->variants[i];
	struct lmm_conclusion *to;

	if (!(v->top1.value + v->top1.half < TOP1_LOST_PERCENT))
		return 0;
	to = lmm__conclusion_add(
		f, "quality_lost",
		"the most likely token differs from the reference's on more than 5 % of the text, at the good end of the interval",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = v->top1.value;
	to->threshold = TOP1_LOST_PERCENT;
	(void)snprintf(
		to->text, sizeof(to->text),
		"%s changes the most likely token on %.3g %% \u00b1 %.2g of the text; perplexity %.4g \u00b1 %.2g.",
		variant_name(f, i), 100 - v->top1.value, v->top1.half, v->perplexity.value,
		v->perplexity.half);
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "llama-perplexity: KL divergence %.3g \u00b1 %.2g to %s", v->kld.value,
		       v->kld.half, f->s->plan->quality_reference);
	return 0;
}

static int kept_say(struct lmm_study_findings *f, uint32_t i)
{
	const struct lmm_variant *v = &f->s->variants[i];
	struct lmm_conclusion *to;

	if (!(v->top1.value - v->top1.half > TOP1_KEPT_PERCENT &&
	      v->kld.value + v->kld.half < KLD_KEPT))
		return 0;
	to = lmm__conclusion_add(
		f, "quality_kept",
		"the most likely token agrees on more than 97 % of the text and the KL divergence lies below 0.02, intervals and all",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = v->top1.value;
	to->threshold = TOP1_KEPT_PERCENT;
	(void)snprintf(
		to->text, sizeof(to->text),
		"%s keeps what the reference says: the same most likely token on %.4g %% \u00b1 %.2g of the text.",
		variant_name(f, i), v->top1.value, v->top1.half);
	(void)snprintf(to->evidence, sizeof(to->evidence), "KL divergence %.3g \u00b1 %.2g to %s",
		       v->kld.value, v->kld.half, f->s->plan->quality_reference);
	return 0;
}

static int rule_reference(struct lmm_study_findings *f)
{
	const struct lmm_variant *v = f->reference >= 0 ? &f->s->variants[f->reference] : NULL;
	struct lmm_conclusion *to;

	if (!v || !(v->bits_per_weight < QUANTIZED_BITS))
		return 0;
	to = lmm__conclusion_add(f, "reference_quantized",
				 "the reference itself has fewer than 15.5 bits per weight",
				 LMM_REMARK);
	if (!to)
		return -ENOMEM;
	to->value = v->bits_per_weight;
	to->threshold = QUANTIZED_BITS;
	(void)snprintf(
		to->text, sizeof(to->text),
		"The reference %s is itself quantized (%.2f bits per weight): quality is what is kept of that, not of the original, and larger types made of it add nothing.",
		variant_name(f, (uint32_t)f->reference), v->bits_per_weight);
	return 0;
}

static int is_fallen_back(const struct lmm_variant *v)
{
	return 100 * v->fallback_tensors / v->fallback_of > FALLBACK_PERCENT;
}

static int rule_fallback(struct lmm_study_findings *f)
{
	const struct lmm_study *s = f->s;
	struct lmm_conclusion *to = NULL;
	char bits[256] = "", more[32] = "";
	int n = 0, n_bits = 0, n_more = 0;

	for (uint32_t i = 0; i < s->n_variants; i++) {
		const struct lmm_variant *v = &s->variants[i];

		if (!is_fallen_back(v))
			continue;
		if (n >= 200) { /* no room for more names */
			n_more++;
			continue;
		}
		if (!to) {
			to = lmm__conclusion_add(
				f, "fallback",
				"llama-quantize gave more than 5 % of the tensors that were to get a type of the K family another one",
				LMM_REMARK);
			if (!to)
				return -ENOMEM;
			to->value = 100 * v->fallback_tensors / v->fallback_of;
			to->threshold = FALLBACK_PERCENT;
		}
		n += snprintf(to->text + n, sizeof(to->text) - (size_t)n, "%s%.40s (%.0f of %.0f)",
			      n ? ", " : "", variant_name(f, i), v->fallback_tensors,
			      v->fallback_of);
		n_bits += snprintf(bits + n_bits, sizeof(bits) - (size_t)n_bits, "%s%.3g",
				   n_bits ? ", " : "", v->bits_per_weight);
	}
	if (!to)
		return 0;
	if (n_more)
		(void)snprintf(more, sizeof(more), " and %d more", n_more);
	(void)snprintf(
		to->text + n, sizeof(to->text) - (size_t)n,
		"%s: little more than names here, as so many tensors got another type (rows that are no multiple of the type's block); %s bits per weight in all.",
		more, bits);
	(void)snprintf(to->evidence, sizeof(to->evidence), "as llama-quantize said");
	return 0;
}

/* ---- bytes against time ------------------------------------------------------------------------------ */

struct slow_kernel {
	const char *name, *type;
	double then_gbs, now_gbs;
	double lost_ns; /* per decoded token, what it would save at the other one's bandwidth */
};

static void kernel_sum(const struct lmm_study *s, uint32_t level, const char *name, double *bytes,
		       double *ns, double *tokens, const char **type)
{
	*bytes = *ns = *tokens = 0;
	for (uint32_t c = 0; c < s->plan->n_conditions; c++) {
		if (lmm_plan_level(s->plan, c, (uint32_t)s->variant_factor) != level)
			continue;
		for (uint32_t b = 0; b < s->n_blocks; b++) {
			const struct lmm_cell *cell = lmm_study_cell(s, b, c);

			if (cell->status != LMM_CELL_OK)
				continue;
			*tokens += fmax(cell->figures[LMM_FIG_OUTPUT_TOKENS] - 1, 0);
			for (uint32_t i = 0; i < cell->n_kernels; i++) {
				const struct lmm_cell_kernel *k = &cell->kernels[i];

				if (k->phase != LMM_PHASE_DECODE || strcmp(k->name, name) != 0 ||
				    k->weight_bytes <= 0)
					continue;
				*bytes += k->weight_bytes;
				*ns += k->total_ns;
				*type = k->weight_type;
			}
		}
	}
}

/* The operator of decode that lost most time by reading its weights more slowly than the other variant reads its own. */
static void kernel_blame(const struct lmm_study *s, uint32_t level, uint32_t base,
			 struct slow_kernel *worst)
{
	const struct lmm_cell *names = NULL;

	memset(worst, 0, sizeof(*worst));
	for (uint32_t c = 0; c < s->plan->n_conditions && !names; c++) {
		if (lmm_plan_level(s->plan, c, (uint32_t)s->variant_factor) == level &&
		    lmm_study_cell(s, 0, c)->status == LMM_CELL_OK)
			names = lmm_study_cell(s, 0, c);
	}
	for (uint32_t i = 0; names && i < names->n_kernels; i++) {
		const char *name = names->kernels[i].name, *type = "", *other;
		double bytes, ns, tokens, base_bytes, base_ns, base_tokens, lost;

		if (names->kernels[i].phase != LMM_PHASE_DECODE ||
		    names->kernels[i].weight_bytes <= 0)
			continue;
		kernel_sum(s, level, name, &bytes, &ns, &tokens, &type);
		kernel_sum(s, base, name, &base_bytes, &base_ns, &base_tokens, &other);
		if (!(ns > 0 && base_ns > 0 && base_bytes > 0 && tokens > 0))
			continue;
		lost = (ns - bytes / (base_bytes / base_ns)) / tokens;
		if (lost > worst->lost_ns) {
			*worst = (struct slow_kernel){ name, type, base_bytes / base_ns, bytes / ns,
						       lost };
		}
	}
}

static double bytes_of(const struct lmm_study *s, uint32_t level)
{
	double sum = 0;
	uint32_t n = 0;

	for (size_t i = 0; i < (size_t)s->n_blocks * s->plan->n_conditions; i++) {
		const struct lmm_cell *c = &s->cells[i];

		if (c->status != LMM_CELL_OK || !(c->figures[LMM_FIG_TOKEN_BYTES] > 0) ||
		    lmm_plan_level(s->plan, c->condition, (uint32_t)s->variant_factor) != level)
			continue;
		sum += c->figures[LMM_FIG_TOKEN_BYTES];
		n++;
	}
	return n ? sum / n : NAN;
}

/* Whichever of the two reads less: the variant or, more often than one would think, the reference. */
static int bytes_say(struct lmm_study_findings *f, const struct lmm_study_contrast *c)
{
	double ratio = bytes_of(f->s, c->level) / bytes_of(f->s, c->base);
	int is_reversed = ratio > 1;
	uint32_t few = is_reversed ? c->base : c->level, many = is_reversed ? c->level : c->base;
	double change = is_reversed ? -c->e.change : c->e.change;
	double low = is_reversed ? -c->e.high : c->e.low,
	       high = is_reversed ? -c->e.low : c->e.high;
	struct lmm_conclusion *to;
	struct slow_kernel k;

	ratio = is_reversed ? 1 / ratio : ratio;
	/* the lower end is the most time that may have been saved */
	if (!(ratio < BYTES_FEWER) || !(low > TIME_FOLLOWS * log(ratio)))
		return 0;
	to = lmm__conclusion_add(
		f, "bytes_without_time",
		"a variant and the reference: one reads more than 5 % fewer bytes per token, but its time per token is less by less than half of that (as logarithms), at the good end of the interval",
		LMM_LIKELY);
	if (!to)
		return -ENOMEM;
	to->value = 100 * expm1(change);
	to->threshold = 100 * (pow(ratio, TIME_FOLLOWS) - 1);
	kernel_blame(f->s, few, many, &k);
	(void)snprintf(
		to->text, sizeof(to->text),
		"%s reads %.0f %% fewer bytes per token than %s, but its time per token is %+.3g %% [%+.3g, %+.3g].",
		variant_name(f, few), 100 * (1 - ratio), variant_name(f, many), 100 * expm1(change),
		100 * expm1(low), 100 * expm1(high));
	if (k.lost_ns > 0) {
		(void)snprintf(
			to->evidence, sizeof(to->evidence),
			"%.60s (%.15s) reads at %.3g GB/s where %.60s reads at %.3g: %.3g us per token lost there, the most of all operators",
			k.name, k.type, k.now_gbs, variant_name(f, many), k.then_gbs,
			k.lost_ns / 1e3);
	} else {
		(void)snprintf(to->evidence, sizeof(to->evidence),
			       "no single operator is to blame");
	}
	return 0;
}

/* ---- what they are worth ------------------------------------------------------------------------------ */

static int rule_score(struct lmm_study_findings *f)
{
	int32_t best = -1, next = -1;
	struct lmm_conclusion *to;
	int is_clear;

	for (uint32_t i = 0; i < f->s->n_variants; i++) {
		if (isnan(f->worths[i].score.value))
			continue;
		if (best < 0 || f->worths[i].score.value > f->worths[best].score.value) {
			next = best;
			best = (int32_t)i;
		} else if (next < 0 || f->worths[i].score.value > f->worths[next].score.value) {
			next = (int32_t)i;
		}
	}
	if (next < 0)
		return 0;
	is_clear = f->worths[best].score.low > f->worths[next].score.high;
	to = lmm__conclusion_add(
		f, "score",
		"two variants and more have a score (ours, docs/study.md); the first leads if the intervals do not meet",
		is_clear ? LMM_LIKELY : LMM_REMARK);
	if (!to)
		return -ENOMEM;
	to->value = f->worths[best].score.value;
	(void)snprintf(
		to->text, sizeof(to->text),
		is_clear
			? "By our harmonic score %s leads with %.3f [%.3f, %.3f], before %s with %.3f."
			: "By our harmonic score %s is first with %.3f [%.3f, %.3f], but cannot be told from %s with %.3f.",
		variant_name(f, (uint32_t)best), f->worths[best].score.value,
		f->worths[best].score.low, f->worths[best].score.high,
		variant_name(f, (uint32_t)next), f->worths[next].score.value);
	(void)snprintf(to->evidence, sizeof(to->evidence),
		       "weights: quality %g, time %g, memory %g, energy %g; reference %s",
		       f->s->plan->weight_quality, f->s->plan->weight_time,
		       f->s->plan->weight_memory, f->s->plan->weight_energy,
		       f->s->plan->quality_reference);
	return 0;
}

static int rule_dominated(struct lmm_study_findings *f)
{
	for (uint32_t i = 0; i < f->s->n_variants; i++) {
		struct lmm_conclusion *to;

		if (f->worths[i].dominated_by < 0)
			continue;
		to = lmm__conclusion_add(
			f, "dominated",
			"another variant is surely better in quality, TTFT, TPOT, memory or energy, and not worse by more than 1 % in any of them, intervals and all",
			LMM_LIKELY);
		if (!to)
			return -ENOMEM;
		(void)snprintf(to->text, sizeof(to->text),
			       "There is no reason to take %s here: %s is better.",
			       variant_name(f, i),
			       variant_name(f, (uint32_t)f->worths[i].dominated_by));
		(void)snprintf(to->evidence, sizeof(to->evidence), "Pareto over what was measured");
	}
	return 0;
}

int lmm__conclude_models(struct lmm_study_findings *f)
{
	int rc;

	if (f->s->n_variants == 0)
		return 0;
	rc = rule_reference(f);
	if (rc == 0)
		rc = rule_fallback(f);
	for (uint32_t i = 0; rc == 0 && i < f->s->n_variants; i++) {
		if ((int32_t)i == f->reference)
			continue;
		rc = lost_say(f, i);
		if (rc == 0)
			rc = kept_say(f, i);
	}
	for (uint32_t i = 0; rc == 0 && i < f->n_main; i++) {
		if ((int)f->contrasts[i].factor == f->s->variant_factor &&
		    f->contrasts[i].figure == LMM_FIG_TPOT && f->contrasts[i].e.is_judged)
			rc = bytes_say(f, &f->contrasts[i]);
	}
	if (rc == 0)
		rc = rule_score(f);
	return rc ? rc : rule_dominated(f);
}
