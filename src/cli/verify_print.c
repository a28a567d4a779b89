/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/verify.h"
#include "lmmeter/version.h"
#include "report/format.h"
#include "wire/repeat.h"

const char *lmm_verify_phase_name(enum lmm_verify_phase phase)
{
	static const char *const names[LMM_VERIFY_PHASES] = {
		[LMM_VERIFY_PREFILL] = "prefill",   [LMM_VERIFY_DECODE] = "decode",
		[LMM_VERIFY_COPY] = "copy_to_cpu",  [LMM_VERIFY_SAMPLING] = "sampling",
		[LMM_VERIFY_TOKENIZE] = "tokenize", [LMM_VERIFY_DETOKENIZE] = "detokenize",
		[LMM_VERIFY_SUM] = "sum",
	};

	return names[phase];
}

struct lmm_verify_published lmm_verify_published(enum lmm_verify_phase phase)
{
	/* LMM_VERIFY_SOURCE, five models; sum: end to end. Softmax (99.97 to 99.99) stands alone there. */
	static const struct lmm_verify_published published[LMM_VERIFY_PHASES] = {
		[LMM_VERIFY_PREFILL] = { 99.99, 99.99 }, [LMM_VERIFY_DECODE] = { 99.91, 99.95 },
		[LMM_VERIFY_COPY] = { 91.84, 94.02 },	 [LMM_VERIFY_SAMPLING] = { 75.36, 92.76 },
		[LMM_VERIFY_SUM] = { 99.99, 99.99 },
	};

	return published[phase];
}

static unsigned kernels_shown(const struct lmm_verify_outcome *o)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->n_kernels; i++)
		n += o->kernels[i].n > 0;
	return n;
}

int lmm_verify_passed(const struct lmm_verify_outcome *o)
{
	unsigned known = 0;

	for (int p = 0; p < LMM_VERIFY_PHASES; p++) {
		struct lmm_verify_row r;

		lmm_verify_row(o->runs, o->n, (enum lmm_verify_phase)p, &r);
		if (r.verdict == LMM_VERIFY_UNKNOWN)
			continue;
		known++;
		if (!lmm_verify_is_fine(r.verdict))
			return 0;
	}
	for (unsigned i = 0; i < o->n_kernels; i++) {
		struct lmm_verify_kernel_row r;

		lmm_verify_kernel_row(&o->kernels[i], &r);
		if (!lmm_verify_is_fine(r.warm.verdict) || r.cold.verdict == LMM_VERIFY_OFF)
			return 0;
	}
	return known > 0 && o->asked <= (kernels_shown(o) > 0);
}

/* ---- cells -------------------------------------------------------------------------------------- */

/* Without a unit: the columns say it. Below 0 they say only that much. */
static struct lmm_human percent(double v)
{
	struct lmm_human h;

	if (isnan(v)) {
		(void)snprintf(h.s, sizeof(h.s), "-");
	} else if (v < -999) {
		(void)snprintf(h.s, sizeof(h.s), "< -999");
	} else {
		(void)snprintf(h.s, sizeof(h.s), "%.*f", fabs(v) < 99.9 ? 2 : 3, fmin(v, 100));
	}
	return h;
}

static struct lmm_human short_number(double v)
{
	struct lmm_human h;

	if (isnan(v)) {
		(void)snprintf(h.s, sizeof(h.s), "-");
	} else {
		(void)snprintf(h.s, sizeof(h.s), "%.*f", v < 1 ? 3 : (v < 100 ? 1 : 0), v);
	}
	return h;
}

static void range(char *text, size_t bytes, const char *low, const char *high)
{
	if (strcmp(low, "-") == 0) {
		(void)snprintf(text, bytes, "-");
	} else {
		(void)snprintf(text, bytes, "%s to %s", low, high);
	}
}

/* ---- phases ------------------------------------------------------------------------------------- */

static const char *title(enum lmm_verify_phase phase)
{
	if (phase == LMM_VERIFY_SAMPLING)
		return "sampling + softmax";
	return phase == LMM_VERIFY_SUM ? "sum against wall" : lmm_verify_phase_name(phase);
}

static void print_phase(FILE *out, enum lmm_verify_phase phase, const struct lmm_verify_row *r)
{
	struct lmm_verify_published pub = lmm_verify_published(phase);
	char interval[80], published[64] = "-";

	if (pub.low > 0) {
		(void)snprintf(published, sizeof(published),
			       pub.low < pub.high ? "%.2f-%.2f" : "%.2f", pub.low, pub.high);
	}
	range(interval, sizeof(interval), percent(r->alpha.low).s, percent(r->alpha.high).s);
	fprintf(out, "  %-18s %6s %8s %9s %7s  %-18s %5s %9s  %s\n", title(phase),
		lmm_decimal(r->calls, 1).s, lmm_human_ns(r->lmmeter_ns).s,
		lmm_human_ns(r->reference_ns).s, percent(r->alpha.mean).s, interval,
		short_number(r->epsilon.mean).s, percent(r->engine_alpha.mean).s, published);
}

static void print_finding(FILE *out, enum lmm_verify_phase phase, const struct lmm_verify_row *r)
{
	double short_by = r->reference_ns - r->lmmeter_ns;

	switch (r->verdict) {
	case LMM_VERIFY_CALLS:
		lmm_say(out,
			"%s: lmmeter and the reference counted different numbers of calls in %u run%s: they cannot be compared, "
			"and one of the two is wrong.",
			title(phase), r->differ, r->differ == 1 ? "" : "s");
		break;
	case LMM_VERIFY_OFF:
		lmm_say(out, "%s: lmmeter's figure is off by %s per call: not true to %.0f %%.",
			title(phase), lmm_human_ns(fabs(short_by)).s, LMM_VERIFY_PHASE_PERCENT);
		break;
	case LMM_VERIFY_OWN_COST:
		lmm_say(out,
			"%s: %s per call short of the reference, whose stamps enclose lmmeter's hooks: "
			"as much as these take, and no finding.",
			title(phase), lmm_human_ns(short_by).s);
		break;
	case LMM_VERIFY_INTERVAL:
		lmm_say(out, "%s: the interval reaches %.0f %%: these runs cannot tell.",
			title(phase), LMM_VERIFY_PHASE_PERCENT);
		break;
	case LMM_VERIFY_SHORT:
		lmm_say(out,
			"%s: shorter than 5 us, where lmmeter's own hooks weigh: not judged; off by %s.",
			title(phase), lmm_human_ns(fabs(short_by)).s);
		break;
	default:
		break;
	}
}

static void print_phase_notes(FILE *out, int device_seen)
{
	lmm_say(out,
		"Times are means per call. alpha = 100 (1 - |lmmeter - reference| / reference), in percent; eps*: us of "
		"difference per ms. engine: alpha against llama.cpp's own timings, where it prints them. The reference's "
		"stamps enclose lmmeter's hooks, so that it holds lmmeter's own cost as well.");
	lmm_say(out,
		"Phases are as the host brackets them%s; the sum is of all phases and what is unaccounted for, of a "
		"command with one request.",
		device_seen ? ", before a device's time is moved to the phase it belongs to" : "");
	lmm_say(out, "published: " LMM_VERIFY_SOURCE
		     " (another profiler and engine), five models; its sampling is without softmax "
		     "(99.97-99.99).");
}

static void print_phases(FILE *out, const struct lmm_verify_outcome *o)
{
	struct lmm_verify_row rows[LMM_VERIFY_PHASES];
	unsigned known = 0;

	for (int p = 0; p < LMM_VERIFY_PHASES; p++) {
		lmm_verify_row(o->runs, o->n, (enum lmm_verify_phase)p, &rows[p]);
		known += rows[p].verdict != LMM_VERIFY_UNKNOWN;
	}
	if (!known) {
		lmm_say(out,
			o->runs[0].calls
				? "lmmeter recorded nothing of this engine; 'lmmeter doctor -- COMMAND' says why."
				: "The command made no call of llama.cpp that a preloaded library can see: there is nothing to compare.");
		return;
	}
	fprintf(out,
		"\nPhases                calls  lmmeter reference   alpha  95 %% interval       "
		" eps*    engine  published\n");
	for (int p = 0; p < LMM_VERIFY_PHASES; p++) {
		if (rows[p].alpha.n)
			print_phase(out, (enum lmm_verify_phase)p, &rows[p]);
	}
	fputc('\n', out);
	for (int p = 0; p < LMM_VERIFY_PHASES; p++)
		print_finding(out, (enum lmm_verify_phase)p, &rows[p]);
	print_phase_notes(out, o->device_seen);
}

/* ---- kernels ------------------------------------------------------------------------------------ */

static void print_against(FILE *out, const char *how, const struct lmm_verify_against *a)
{
	char interval[80] = "-", error[64] = "-";

	if (!isnan(a->truth_ns.low)) {
		range(interval, sizeof(interval), lmm_human_ns(fmax(a->truth_ns.low, 0)).s,
		      lmm_human_ns(a->truth_ns.high).s);
	}
	if (a->truth_ns.n && a->lmmeter_ns.n) {
		(void)snprintf(error, sizeof(error), "%c%s",
			       a->lmmeter_ns.mean < a->truth_ns.mean ? '-' : '+',
			       lmm_human_ns(fabs(a->lmmeter_ns.mean - a->truth_ns.mean)).s);
	}
	fprintf(out, "    %-28s %8s %8s  %-20s %6s %9s\n", how,
		a->lmmeter_ns.n ? lmm_human_ns(a->lmmeter_ns.mean).s : "-",
		a->truth_ns.n ? lmm_human_ns(fmax(a->truth_ns.mean, 0)).s : "-", interval,
		a->verdict == LMM_VERIFY_SHORT ? "-" : percent(a->alpha).s, error);
}

static void print_kernel(FILE *out, const char *name, const struct lmm_verify_kernel_row *r)
{
	char fit[4 * 60 + 1];

	lmm_text_fit(fit, sizeof(fit), name, 60);
	fprintf(out, "  %s, %s per step, %s\n", fit, lmm_decimal(r->per_step, 1).s,
		lmm_human_ns(r->own_ns).s);
	print_against(out, "again at once", &r->warm);
	if (r->cold.verdict != LMM_VERIFY_UNKNOWN)
		print_against(out, "again with cold caches", &r->cold);
}

static void print_against_finding(FILE *out, const char *name, const char *how,
				  const struct lmm_verify_against *a)
{
	if (a->verdict == LMM_VERIFY_OFF) {
		lmm_say(out, "%s, %s: not true to %.0f %%, and outside of the truth's interval.",
			name, how, LMM_VERIFY_KERNEL_PERCENT);
	} else if (a->verdict == LMM_VERIFY_INTERVAL && isnan(a->truth_ns.low)) {
		lmm_say(out, "%s, %s: an interval takes six blocks, and there %s %u.", name, how,
			a->truth_ns.n == 1 ? "is" : "are", a->truth_ns.n);
	} else if (a->verdict == LMM_VERIFY_INTERVAL) {
		lmm_say(out, "%s, %s: these runs know the truth no better than from %s to %s.",
			name, how, lmm_human_ns(fmax(a->truth_ns.low, 0)).s,
			lmm_human_ns(a->truth_ns.high).s);
	}
}

static void print_kernel_finding(FILE *out, const struct lmm_verify_kernel *k,
				 const struct lmm_verify_kernel_row *r)
{
	if (r->warm.verdict == LMM_VERIFY_UNKNOWN)
		lmm_say(out, "%s: too few steps to compare.", k->name);
	print_against_finding(out, k->name, "at once", &r->warm);
	print_against_finding(out, k->name, "cold", &r->cold);
	if (k->remark[0]) {
		fputs("  ", out);
		lmm_say(out, "%s: %s", k->name, k->remark);
	}
}

static void print_kernel_notes(FILE *out, double gap_ns)
{
	lmm_say(out,
		"Beside the name: mean device time of the engine's own runs. Behind each of them the kernel ran again: at "
		"once, 1, 2 and 4 times or a multiple of that; and each time behind a filler that empties the caches. What it "
		"writes goes to copies of its buffers, so that each run finds the same input. truth: what a further run "
		"adds to a decode step, by the reference's stamps; lmmeter: mean device time of such runs; both the median over "
		"blocks of %u steps in random order. Kernels under 20 us are not judged: their error is shown.",
		LMM_REPEAT_TURNS);
	if (gap_ns > 0) {
		lmm_say(out,
			"Between two kernels lie %s, by an empty one: that much is taken off each truth.",
			lmm_human_ns(gap_ns).s);
	}
}

static void print_kernels(FILE *out, const struct lmm_verify_outcome *o)
{
	struct lmm_verify_kernel_row r = { .gap_ns = NAN };

	if (!kernels_shown(o))
		return;
	fprintf(out,
		"\nKernels of decode, run again       lmmeter    truth  95 %% interval         alpha     "
		"error\n");
	for (unsigned i = 0; i < o->n_kernels; i++) {
		lmm_verify_kernel_row(&o->kernels[i], &r);
		if (o->kernels[i].n)
			print_kernel(out, o->kernels[i].name, &r);
	}
	fputc('\n', out);
	for (unsigned i = 0; i < o->n_kernels; i++) {
		lmm_verify_kernel_row(&o->kernels[i], &r);
		if (o->kernels[i].n)
			print_kernel_finding(out, &o->kernels[i], &r);
	}
	print_kernel_notes(out, r.gap_ns);
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static const char *end_text(enum lmm_overhead_end end)
{
	if (end == LMM_OVERHEAD_END_SIGNAL)
		return "a signal ended it";
	return end == LMM_OVERHEAD_END_FAILED ? "a run failed" : "all runs are done";
}

/* How many figures are only not refuted. */
static unsigned unsure(const struct lmm_verify_outcome *o)
{
	struct lmm_verify_kernel_row k;
	struct lmm_verify_row r;
	unsigned n = 0;

	for (int p = 0; p < LMM_VERIFY_PHASES; p++) {
		lmm_verify_row(o->runs, o->n, (enum lmm_verify_phase)p, &r);
		n += r.verdict == LMM_VERIFY_INTERVAL;
	}
	for (unsigned i = 0; i < o->n_kernels; i++) {
		lmm_verify_kernel_row(&o->kernels[i], &k);
		n += k.warm.verdict == LMM_VERIFY_INTERVAL;
		n += k.cold.verdict == LMM_VERIFY_INTERVAL;
	}
	return n;
}

static void print_verdict(FILE *out, const struct lmm_verify_outcome *o)
{
	unsigned n = unsure(o);

	fputc('\n', out);
	if (!lmm_verify_passed(o)) {
		fputs("These figures are not confirmed.\n", out);
	} else if (n) {
		fprintf(out,
			"Nothing speaks against these figures; %u of them these runs cannot confirm (more "
			"--runs or\n--rounds, or a quieter machine, would tell).\n",
			n);
	} else {
		fputs("These figures are confirmed.\n", out);
	}
}

void lmm_verify_print_text(const struct lmm_verify_outcome *o, FILE *out)
{
	char name[4 * 40 + 1], cpu[4 * 60 + 1];

	lmm_text_fit(name, sizeof(name), o->command_name, 40);
	lmm_text_fit(cpu, sizeof(cpu), o->host.cpu, 40);
	fprintf(out, "%s: lmmeter %s against an independent recorder, %u run%s in %s; %s\n", name,
		LMM_VERSION_STRING, o->n, o->n == 1 ? "" : "s", lmm_human_ns(o->elapsed_ns).s,
		end_text(o->end));
	if (o->engine_name[0]) {
		fputs("Engine ", out);
		lmm_say(out, "%s %s", o->engine_name, o->engine_version);
	}
	fprintf(out, "Machine  %s, %u CPUs\n", cpu, o->host.cpus);
	if (o->n)
		print_phases(out, o);
	print_kernels(out, o);
	print_verdict(out, o);
	if (o->kept)
		fprintf(out, "\nRecordings are kept in %s\n", o->kept);
}
