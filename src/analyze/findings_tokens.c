/* SPDX-License-Identifier: Apache-2.0 */
/* The first token, and how evenly the others came. */
#include "analyze/findings_internal.h"

#define FIRST_TOKEN_NS 1e9 /* from here on people notice that they wait */
#define JITTER_PERCENT                                                                             \
	25 /* mean change; an undisturbed engine's is 2 to 10, with another program on its cores 15 */
#define JITTER_TOKENS	      32
#define PAUSE_NS	      100e6 /* a reader sees it, however long the answer is */
#define TOKEN_PHASE(t, phase) ((t)->phases_ns[LMM_PHASE_##phase])

const char *lmm_token_cause_name(unsigned cause)
{
	static const char *const names[LMM_TOKEN_CAUSES] = {
		[LMM_TOKEN_UNKNOWN] = "unknown",	 [LMM_TOKEN_OTHERS] = "others",
		[LMM_TOKEN_FIRST_USE] = "first_use",	 [LMM_TOKEN_LOST_CORE] = "lost_core",
		[LMM_TOKEN_PAGE_FAULTS] = "page_faults", [LMM_TOKEN_FREQUENCY] = "frequency",
		[LMM_TOKEN_THROTTLED] = "throttled",
	};

	return cause < LMM_TOKEN_CAUSES ? names[cause] : "?";
}

/* ---- the first ---------------------------------------------------------------------------------- */

/* Parts of it, and the largest as its cause. */
static void say_parts(struct lmm_finding *f, const struct lmm_number *parts, size_t n)
{
	static const char *const causes[] = { "model_load", "context_init", "tokenize", "prefill",
					      "first_use" };
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		lmm__finding_say(f, parts[i].name, parts[i].value);
		if (parts[i].value > parts[most].value)
			most = i;
	}
	f->cause = causes[most];
}

void lmm__find_first_token(struct finding_list *l)
{
	const struct lmm_result_first_token *t = &l->r->evidence.first_token;
	double passes = TOKEN_PHASE(t, EMBEDDING) + TOKEN_PHASE(t, PREFILL) +
			TOKEN_PHASE(t, DECODE) + TOKEN_PHASE(t, COPY_TO_CPU) +
			TOKEN_PHASE(t, SOFTMAX) + TOKEN_PHASE(t, SAMPLING);
	/* drivers make things ready in passes, mostly, and before them */
	double first_use = t->first_use_ns < passes ? t->first_use_ns : passes;
	const struct lmm_number parts[] = {
		{ "model_load_ns", TOKEN_PHASE(t, MODEL_LOAD) },
		{ "context_init_ns", TOKEN_PHASE(t, CONTEXT_INIT) },
		{ "tokenize_ns", TOKEN_PHASE(t, TOKENIZE) },
		{ "prefill_ns", passes - first_use },
		{ "first_use_ns", first_use },
	};
	struct lmm_finding f =
		lmm__finding(LMM_FINDING_FIRST_TOKEN, LMM_MEASURED, LMM_PHASE_NONE, 0);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		f.ns += parts[i].value;
	if (f.ns < FIRST_TOKEN_NS)
		return;
	f.span = t->span;
	say_parts(&f, parts, sizeof(parts) / sizeof(parts[0]));
	lmm__finding_add_apart(l, &f);
}

/* ---- the others --------------------------------------------------------------------------------- */

static void find_jitter(struct finding_list *l)
{
	const struct lmm_result_token_times *t = &l->r->evidence.tokens;
	uint64_t n = t->count - t->slow;
	struct lmm_finding f = lmm__finding(LMM_FINDING_TOKEN_JITTER, LMM_MEASURED,
					    LMM_PHASE_DECODE, t->changes_ns);
	double changes = t->total_ns > 0 ? 100 * t->changes_ns / t->total_ns : 0;

	if (n < JITTER_TOKENS || changes < JITTER_PERCENT)
		return;
	f.span = t->span;
	lmm__finding_say(&f, "tokens", (double)n);
	lmm__finding_say(&f, "mean_ns", t->total_ns / (double)t->count);
	lmm__finding_say(&f, "change_percent", changes);
	lmm__finding_add(l, &f, SHARE_MIN_PERCENT);
}

static void say_worst(struct lmm_finding *f, const struct lmm_result_slow_token *worst)
{
	f->span = worst->span;
	f->phase = worst->phase;
	f->cause = lmm_token_cause_name(worst->cause);
	lmm__finding_say(f, "worst_ns", (double)(worst->span.end_ns - worst->span.start_ns));
	lmm__finding_say(f, "usual_ns", worst->usual_ns);
	if (worst->has_process) {
		lmm__finding_say(f, "run_wait_ns", worst->run_wait_ns);
		lmm__finding_say(f, "major_faults", (double)worst->major_faults);
		lmm__finding_say(f, "minor_faults", (double)worst->minor_faults);
	}
	if (worst->frequency_percent >= 0)
		lmm__finding_say(f, "frequency_percent", worst->frequency_percent);
	/* what explains it was sampled over whole rounds, in which the token is a part */
	if (worst->cause > LMM_TOKEN_FIRST_USE)
		f->certainty = LMM_ESTIMATED;
}

static void find_slow(struct finding_list *l)
{
	const struct lmm_result_token_times *t = &l->r->evidence.tokens;
	const struct lmm_result_slow_token *worst = &t->worst[0];
	struct lmm_finding f =
		lmm__finding(LMM_FINDING_SLOW_TOKENS, LMM_MEASURED, LMM_PHASE_NONE, t->over_ns);
	double pause;

	if (t->n_worst == 0)
		return;
	pause = (double)(worst->span.end_ns - worst->span.start_ns) - worst->usual_ns;
	lmm__finding_say(&f, "tokens", (double)t->count);
	lmm__finding_say(&f, "slow", (double)t->slow);
	lmm__finding_say(&f, "over_ns", t->over_ns);
	say_worst(&f, worst);
	lmm__finding_add(l, &f, pause >= PAUSE_NS ? 0 : SHARE_MIN_PERCENT);
}

void lmm__find_token_times(struct finding_list *l)
{
	find_jitter(l);
	find_slow(l);
}
