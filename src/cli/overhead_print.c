/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/overhead.h"
#include "lmmeter/version.h"
#include "report/format.h"
#include "report/json_writer.h"

/* Published: LM-Meter, arXiv 2510.06126: tokens per second without and with it, as printed there. */
#define PUBLISHED_SOURCE "LM-Meter, arXiv 2510.06126"
static const struct {
	const char *governor, *phase;
	double without_tokens_per_s, with_tokens_per_s, slowdown_percent;
} published[] = {
	{ "performance", "prefill", 0.680, 0.680, 0.00 },
	{ "performance", "decode", 8.327, 8.319, 0.10 },
	{ "conservative", "prefill", 0.679, 0.679, 0.00 },
	{ "conservative", "decode", 7.954, 7.885, 0.87 },
	{ "powersave", "prefill", 0.658, 0.641, 2.58 },
	{ "powersave", "decode", 2.703, 2.676, 0.99 },
};

/* What a token takes there in decode: under performance and under powersave. */
static const double published_token_ns[] = { 120e6, 370e6 };

static const char *const verdict_names[] = {
	[LMM_OVERHEAD_UNKNOWN] = "unknown",	[LMM_OVERHEAD_SLOWER] = "slower",
	[LMM_OVERHEAD_FASTER] = "faster",	[LMM_OVERHEAD_NONE_VISIBLE] = "none_visible",
	[LMM_OVERHEAD_TOO_NOISY] = "too_noisy",
};

static const struct quantity {
	const char *key, *title;
	enum lmm_overhead_which which;
} quantities[] = {
	{ "prefill", "prefill", LMM_OVERHEAD_PREFILL },
	{ "decode", "decode step", LMM_OVERHEAD_DECODE },
	{ "process", "whole process", LMM_OVERHEAD_WALL },
};

/* ---- text --------------------------------------------------------------------------------------- */

/* As many digits as the size asks for: "+0.043 %", "-12.3 %". */
static struct lmm_human signed_percent(double v)
{
	struct lmm_human h;
	double a = fabs(v);

	(void)snprintf(h.s, sizeof(h.s), "%+.*f %%", a < 0.1 ? 3 : (a < 10 ? 2 : 1), v);
	return h;
}

static struct lmm_human plus_minus(double half_width)
{
	struct lmm_human h = signed_percent(half_width), out;

	(void)snprintf(out.s, sizeof(out.s), "± %.20s", h.s + 1);
	return out;
}

static void interval_text(char *text, size_t bytes, const struct lmm_overhead_interval *i)
{
	if (i->n >= 2) {
		(void)snprintf(text, bytes, "%s to %s", signed_percent(i->low_percent).s,
			       signed_percent(i->high_percent).s);
	} else {
		(void)snprintf(text, bytes, "-");
	}
}

static void print_row(FILE *out, const struct quantity *q, const struct lmm_overhead_metric *m)
{
	char interval[80], same[128] = "-", same_interval[80];

	interval_text(interval, sizeof(interval), &m->slowdown);
	interval_text(same_interval, sizeof(same_interval), &m->same);
	if (m->same.n >= 2) {
		(void)snprintf(same, sizeof(same), "%s (%s)", signed_percent(m->same.percent).s,
			       same_interval);
	} else if (m->same.n == 1) {
		(void)snprintf(same, sizeof(same), "%s (once)", signed_percent(m->same.percent).s);
	}
	fprintf(out, "  %-13s %8s %8s %9s  %-21s  %s\n", q->title, lmm_human_ns(m->without_ns).s,
		lmm_human_ns(m->with_ns).s, signed_percent(m->slowdown.percent).s, interval, same);
}

struct noise {
	char s[128];
};

static struct noise noise_text(const struct lmm_overhead_interval *same)
{
	struct noise t = { "" };

	if (same->n >= 2) {
		(void)snprintf(
			t.s, sizeof(t.s), "runs without lmmeter differ by %s, %s, from each other",
			signed_percent(same->percent).s, plus_minus(same->half_width_percent).s);
	} else {
		(void)snprintf(t.s, sizeof(t.s), "two runs without lmmeter differ by %s",
			       same->n ? signed_percent(same->percent).s : "an unknown amount");
	}
	return t;
}

static void print_verdict(FILE *out, const struct quantity *q, const struct lmm_overhead_metric *m)
{
	const struct lmm_overhead_interval *s = &m->slowdown;

	switch (m->verdict) {
	case LMM_OVERHEAD_SLOWER:
		lmm_say(out, "%s: slower with lmmeter by %s, %s.", q->title,
			signed_percent(s->percent).s + 1, plus_minus(s->half_width_percent).s);
		break;
	case LMM_OVERHEAD_FASTER:
		lmm_say(out,
			"%s: took %s less with lmmeter, %s, which recording cannot bring about: chance, or where things lie in "
			"memory.",
			q->title, signed_percent(s->percent).s + 1,
			plus_minus(s->half_width_percent).s);
		break;
	case LMM_OVERHEAD_NONE_VISIBLE:
		lmm_say(out, "%s: no slowdown to be seen; if there is one, it is below %s.",
			q->title, signed_percent(s->high_percent).s + 1);
		break;
	case LMM_OVERHEAD_TOO_NOISY:
		lmm_say(out,
			"%s: this machine is too noisy to tell: %s is known to no better than %s; %s.",
			q->title, signed_percent(s->percent).s, plus_minus(s->half_width_percent).s,
			noise_text(&m->same).s);
		break;
	default:
		lmm_say(out, "%s: one pair tells nothing of how sure this is.", q->title);
		break;
	}
}

static const char *end_text(enum lmm_overhead_end end)
{
	static const char *const texts[] = {
		[LMM_OVERHEAD_END_PRECISION] = "the interval is narrow enough",
		[LMM_OVERHEAD_END_PAIRS] = "all pairs have run",
		[LMM_OVERHEAD_END_TIME] = "the time is used up",
		[LMM_OVERHEAD_END_SIGNAL] = "a signal ended it",
		[LMM_OVERHEAD_END_FAILED] = "a run failed",
	};

	return texts[end];
}

static uint64_t calls_seen(const struct lmm_overhead_series *s)
{
	uint64_t calls = 0;

	for (unsigned i = 0; i < s->n; i++)
		calls += s->pairs[i].without.calls + s->pairs[i].with.calls;
	return calls;
}

static void print_comparison(FILE *out, const struct lmm_overhead_series *s)
{
	struct lmm_overhead_metric m[LMM_ARRAY_SIZE(quantities)];

	fprintf(out, "\nSlowdown         without     with  slowdown  95 %% interval          "
		     "same against same (noise)\n");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(quantities); i++) {
		lmm_overhead_compare(s->pairs, s->n, quantities[i].which, &m[i]);
		if (m[i].slowdown.n)
			print_row(out, &quantities[i], &m[i]);
	}
	fputc('\n', out);
	if (!calls_seen(s)) {
		lmm_say(out,
			"The command made no call of llama.cpp that a preloaded library can see: "
			"only the whole process is compared.");
	} else if (!s->cost.reports) {
		lmm_say(out,
			"lmmeter recorded nothing of this engine: what is compared here is not recording. "
			"'lmmeter doctor -- COMMAND' says why.");
	}
	for (size_t i = 0; i < LMM_ARRAY_SIZE(quantities); i++) {
		if (m[i].slowdown.n)
			print_verdict(out, &quantities[i], &m[i]);
	}
	lmm_say(out, "The whole process includes lmmeter's own start and end.");
}

static void print_share(FILE *out, const struct lmm_overhead_per_token *t, const char *where,
			double token_ns)
{
	fprintf(out, "  %-40s %9s  %s\n", where, lmm_human_ns(token_ns).s,
		signed_percent(t->total_ns / token_ns * 100).s);
}

static void print_arithmetic(FILE *out, const struct lmm_overhead_series *s)
{
	struct lmm_overhead_per_token t;
	struct lmm_overhead_metric decode;

	if (!lmm_overhead_cost_per_token(&s->cost, &t))
		return;
	lmm_overhead_compare(s->pairs, s->n, LMM_OVERHEAD_DECODE, &decode);
	fputs("\nBy arithmetic: records per token, times the cost of each as calibrated in the runs\n",
	      out);
	lmm_say(out,
		"%s operators × %s + %s phases × %s = %s per token of decode; %s of the time in "
		"steps and sampling",
		lmm_decimal(t.operators, 1).s, lmm_human_ns(t.operator_ns).s,
		lmm_decimal(t.phases, 1).s, lmm_human_ns(t.phase_pair_ns).s,
		lmm_human_ns(t.total_ns).s, signed_percent(t.percent).s + 1);
	fprintf(out, "  %-40s %9s  %s\n", "share of a token's time", "token", "slowdown");
	if (decode.without_ns > 0)
		print_share(out, &t, "here", decode.without_ns);
	print_share(out, &t, "at the token time of performance below", published_token_ns[0]);
	print_share(out, &t, "at the token time of powersave below", published_token_ns[1]);
	if (s->cost.lost) {
		lmm_say(out, "%s records were lost in these runs.",
			lmm_human_count(s->cost.lost).s);
	}
}

static void print_published(FILE *out)
{
	fputs("\nPublished: " PUBLISHED_SOURCE " (another profiler, engine and machine)\n", out);
	fputs("  governor         prefill   decode  token of decode\n", out);
	for (size_t i = 0; i + 1 < LMM_ARRAY_SIZE(published); i += 2) {
		fprintf(out, "  %-14s %7.2f %%  %5.2f %%  %15s\n", published[i].governor,
			published[i].slowdown_percent, published[i + 1].slowdown_percent,
			lmm_human_ns(1e9 / published[i + 1].without_tokens_per_s).s);
	}
}

static void print_head(FILE *out, const struct lmm_overhead_outcome *o,
		       const struct lmm_overhead_series *s)
{
	char name[4 * 40 + 1];

	lmm_text_fit(name, sizeof(name), o->command_name, 40);
	fprintf(out, "%s with and without lmmeter %s: %u pair%s in %s; %s\n", name,
		LMM_VERSION_STRING, s->n, s->n == 1 ? "" : "s", lmm_human_ns(s->elapsed_ns).s,
		end_text(s->end));
}

void lmm_overhead_print_text(const struct lmm_overhead_outcome *o, FILE *out)
{
	char cpu[4 * 60 + 1];

	lmm_text_fit(cpu, sizeof(cpu), o->host.cpu, 40);
	for (unsigned i = 0; i < o->n; i++) {
		const struct lmm_overhead_series *s = &o->series[i];

		if (!s->n)
			continue;
		if (i)
			fputc('\n', out);
		print_head(out, o, s);
		if (s->cost.engine_name[0]) {
			fputs("Engine ", out);
			lmm_say(out, "%s %s, recorded at level %s", s->cost.engine_name,
				s->cost.engine_version, lmm_level_name(s->cost.level));
		}
		fprintf(out, "Machine  %s, %u CPUs%s%s\n", cpu, o->host.cpus,
			s->governor ? ", governor " : "", s->governor ? s->governor : "");
		print_comparison(out, s);
		print_arithmetic(out, s);
	}
	print_published(out);
	if (o->governors_error) {
		fputs("\nGovernors\n", out);
		lmm_say(out, "%s: they are left as they are, and cost × count is what remains.",
			o->governors_error);
	}
	if (o->kept)
		fprintf(out, "\nRecordings are kept in %s\n", o->kept);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void put_ns_or_null(struct lmm_json *j, const char *key, double ns)
{
	if (ns > 0) {
		lmm_json_ns(j, key, ns);
	} else {
		lmm_json_null(j, key);
	}
}

static void put_interval(struct lmm_json *j, const char *key, const struct lmm_overhead_interval *i)
{
	lmm_json_row_begin(j, key);
	lmm_json_u64(j, "count", i->n);
	lmm_json_double(j, "percent", i->n ? i->percent : NAN, 4);
	lmm_json_double(j, "low_percent", i->n ? i->low_percent : NAN, 4);
	lmm_json_double(j, "high_percent", i->n ? i->high_percent : NAN, 4);
	lmm_json_double(j, "half_width_percent", i->n ? i->half_width_percent : NAN, 4);
	lmm_json_object_end(j);
}

static void put_metric(struct lmm_json *j, const struct lmm_overhead_series *s,
		       const struct quantity *q)
{
	struct lmm_overhead_metric m;

	lmm_overhead_compare(s->pairs, s->n, q->which, &m);
	if (!m.slowdown.n) {
		lmm_json_null(j, q->key);
		return;
	}
	lmm_json_object_begin(j, q->key);
	lmm_json_ns(j, "without_ns", m.without_ns);
	lmm_json_ns(j, "with_ns", m.with_ns);
	put_interval(j, "slowdown", &m.slowdown);
	put_interval(j, "noise", &m.same);
	lmm_json_string(j, "verdict", verdict_names[m.verdict]);
	lmm_json_object_end(j);
}

static void put_arithmetic(struct lmm_json *j, const struct lmm_overhead_series *s)
{
	struct lmm_overhead_per_token t;
	struct lmm_overhead_metric decode;

	if (!lmm_overhead_cost_per_token(&s->cost, &t)) {
		lmm_json_null(j, "arithmetic");
		return;
	}
	lmm_overhead_compare(s->pairs, s->n, LMM_OVERHEAD_DECODE, &decode);
	lmm_json_object_begin(j, "arithmetic");
	lmm_json_double(j, "operators_per_token", t.operators, 3);
	lmm_json_ns(j, "operator_ns", t.operator_ns);
	lmm_json_double(j, "phases_per_token", t.phases, 3);
	lmm_json_ns(j, "phase_pair_ns", t.phase_pair_ns);
	lmm_json_ns(j, "per_token_ns", t.total_ns);
	lmm_json_double(j, "percent", t.percent, 6);
	lmm_json_u64(j, "lost", s->cost.lost);
	lmm_json_array_begin(j, "shares");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(published_token_ns) + 1; i++) {
		double token_ns = i ? published_token_ns[i - 1] : decode.without_ns;

		if (token_ns <= 0)
			continue;
		lmm_json_row_begin(j, NULL);
		lmm_json_ns(j, "token_ns", token_ns);
		lmm_json_double(j, "percent", t.total_ns / token_ns * 100, 6);
		lmm_json_bool(j, "measured_here", i == 0);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_run(struct lmm_json *j, const char *key, const struct lmm_overhead_run *r)
{
	lmm_json_row_begin(j, key);
	lmm_json_ns(j, "wall_ns", r->wall_ns);
	put_ns_or_null(j, "first_token_ns", r->first_token_ns);
	put_ns_or_null(j, "prefill_ns", r->prefill_ns);
	put_ns_or_null(j, "decode_step_ns", r->decode_ns);
	lmm_json_u64(j, "prefills", r->prefills);
	lmm_json_u64(j, "decode_steps", r->decodes);
	lmm_json_u64(j, "calls", r->calls);
	lmm_json_u64(j, "calls_not_kept", r->not_kept);
	lmm_json_object_end(j);
}

static void put_pairs(struct lmm_json *j, const struct lmm_overhead_series *s)
{
	lmm_json_array_begin(j, "pairs");
	for (unsigned i = 0; i < s->n; i++) {
		lmm_json_object_begin(j, NULL);
		lmm_json_bool(j, "with_first", s->pairs[i].with_first);
		put_run(j, "without", &s->pairs[i].without);
		put_run(j, "with", &s->pairs[i].with);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_series(struct lmm_json *j, const struct lmm_overhead_series *s)
{
	static const char *const ends[] = {
		[LMM_OVERHEAD_END_PRECISION] = "precision", [LMM_OVERHEAD_END_PAIRS] = "pairs",
		[LMM_OVERHEAD_END_TIME] = "time",	    [LMM_OVERHEAD_END_SIGNAL] = "signal",
		[LMM_OVERHEAD_END_FAILED] = "failure",
	};

	lmm_json_object_begin(j, NULL);
	if (s->governor) {
		lmm_json_string(j, "governor", s->governor);
	} else {
		lmm_json_null(j, "governor");
	}
	lmm_json_string(j, "ended_by", ends[s->end]);
	lmm_json_ns(j, "elapsed_ns", s->elapsed_ns);
	lmm_json_bool(j, "engine_seen", calls_seen(s) > 0);
	if (s->cost.engine_name[0]) {
		lmm_json_row_begin(j, "engine");
		lmm_json_string(j, "name", s->cost.engine_name);
		lmm_json_string(j, "version", s->cost.engine_version);
		lmm_json_object_end(j);
	} else {
		lmm_json_null(j, "engine");
	}
	if (s->cost.reports) {
		lmm_json_string(j, "level", lmm_level_name(s->cost.level));
	} else {
		lmm_json_null(j, "level");
	}
	for (size_t i = 0; i < LMM_ARRAY_SIZE(quantities); i++)
		put_metric(j, s, &quantities[i]);
	put_arithmetic(j, s);
	put_pairs(j, s);
	lmm_json_object_end(j);
}

static void put_published(struct lmm_json *j)
{
	lmm_json_object_begin(j, "published");
	lmm_json_string(j, "source", PUBLISHED_SOURCE);
	lmm_json_array_begin(j, "rows");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(published); i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "governor", published[i].governor);
		lmm_json_string(j, "phase", published[i].phase);
		lmm_json_double(j, "without_tokens_per_second", published[i].without_tokens_per_s,
				3);
		lmm_json_double(j, "with_tokens_per_second", published[i].with_tokens_per_s, 3);
		lmm_json_double(j, "slowdown_percent", published[i].slowdown_percent, 2);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

void lmm_overhead_put_host(struct lmm_json *j, const struct lmm_host *h)
{
	lmm_json_row_begin(j, "host");
	lmm_json_string(j, "os", h->os);
	lmm_json_string(j, "cpu", h->cpu);
	lmm_json_u64(j, "cpus", h->cpus);
	lmm_json_u64(j, "memory_bytes", h->memory_bytes);
	lmm_json_object_end(j);
}

void lmm_overhead_print_json(const struct lmm_overhead_outcome *o, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.overhead/1");
	lmm_json_string(&j, "lmmeter", LMM_VERSION_STRING);
	lmm_json_string(&j, "command_name", o->command_name);
	lmm_overhead_put_host(&j, &o->host);
	if (o->governors_asked && o->governors_error) {
		lmm_json_string(&j, "governors_error", o->governors_error);
	} else {
		lmm_json_null(&j, "governors_error");
	}
	lmm_json_array_begin(&j, "series");
	for (unsigned i = 0; i < o->n; i++) {
		if (o->series[i].n)
			put_series(&j, &o->series[i]);
	}
	lmm_json_array_end(&j);
	put_published(&j);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
