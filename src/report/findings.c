/* SPDX-License-Identifier: Apache-2.0 */
/* Findings in words: what, where, how much, how sure, what to try. docs/findings.md has a paragraph on each. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "report/findings.h"
#include "report/text_internal.h"

/* ---- what to try -------------------------------------------------------------------------------- */

static const char *first_token_advice(const struct lmm_finding *f)
{
	if (strcmp(f->cause, "model_load") == 0) {
		return "keep the process running between requests, keep the file in memory (mmap, a warm page "
		       "cache), or a smaller quantization";
	}
	if (strcmp(f->cause, "context_init") == 0)
		return "a smaller context, fewer parallel sequences, or keep the context between requests";
	if (strcmp(f->cause, "first_use") == 0)
		return "keep the driver's or the engine's cache of compiled programs";
	return "a shorter prompt, the engine's prompt cache, or more threads for it where cores are free";
}

static const char *slow_tokens_advice(const struct lmm_finding *f)
{
	static const struct {
		const char *cause, *advice;
	} by_cause[] = {
		{ "others", "smaller batches for prompts, or fewer requests side by side" },
		{ "first_use", "keep the driver's or the engine's cache of compiled programs" },
		{ "lost_core",
		  "fewer threads than cores, or keep other programs off them (taskset, nice, cgroups)" },
		{ "page_faults", "lock the model in memory (--mlock), or free memory" },
		{ "frequency", "another governor, or better cooling: see the machine's state" },
		{ "throttled", "better cooling or a lower power limit: see the machine's state" },
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(by_cause); i++) {
		if (strcmp(f->cause, by_cause[i].cause) == 0)
			return by_cause[i].advice;
	}
	return "look at that time in `lmmeter export --to perfetto`; record with --threads all to see whether one "
	       "thread was late";
}

const char *lmm_finding_advice(const struct lmm_finding *f)
{
	switch ((enum lmm_finding_kind)f->kind) {
	case LMM_FINDING_FIRST_USE:
		return "keep the driver's or the engine's cache of compiled programs, or send a short prompt "
		       "ahead of the first request";
	case LMM_FINDING_HOST_BOUND:
		return "fewer and larger kernels (fusion), command buffers, or a faster core for the thread "
		       "that hands them over";
	case LMM_FINDING_READ_BACK:
		return "sample on the device, read back less, or prepare the next step meanwhile";
	case LMM_FINDING_DRIVER:
		return "fewer and larger submissions, or another driver version: what was handed over began late";
	case LMM_FINDING_DRAIN:
		return "nothing is lost but what the device idles around the copy: believe attributed times, "
		       "not the host's";
	case LMM_FINDING_PREFILL:
	case LMM_FINDING_PREFILL_KERNEL:
		return "other kernels or tile sizes for several rows; or the prompt's tokens one by one";
	case LMM_FINDING_FIRST_TOKEN:
		return first_token_advice(f);
	case LMM_FINDING_MEMORY_BOUND:
		return "fewer bytes: a smaller quantization, a shorter or quantized KV cache, or several sequences "
		       "or drafted tokens per pass; more threads help only until memory is busy";
	case LMM_FINDING_COMPUTE_BOUND:
		return "more cores, wider instructions or an accelerator; fewer bytes will not help";
	case LMM_FINDING_TOKEN_JITTER:
		return "keep other programs off the cores, a fixed clock, or fewer threads than cores; with several "
		       "requests, batches of one size";
	case LMM_FINDING_SLOW_TOKENS:
		return slow_tokens_advice(f);
	case LMM_FINDING_LOST_CORE:
		return "fewer threads than cores, or keep other programs off them (taskset, nice, cgroups)";
	case LMM_FINDING_THROTTLED:
		return "better cooling, a lower power limit or fewer threads, and measure when it is cool";
	case LMM_FINDING_THREAD_IMBALANCE:
		return "threads on cores of one kind (taskset, --cpu-mask), fewer of them, and no other program on "
		       "their cores";
	case LMM_FINDING_SLOW_LAYER:
		return "look at its operators (--layers, export --to perfetto): another kernel or weight type, or "
		       "memory of a distant node";
	default:
		return "";
	}
}

/* ---- what --------------------------------------------------------------------------------------- */

struct words {
	char *s;
	size_t bytes, n;
};

LMM_PRINTF(2, 3) static void say(struct words *w, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	n = vsnprintf(w->s + w->n, w->bytes - w->n, format, ap);
	va_end(ap);
	if (n > 0)
		w->n = w->n + (size_t)n < w->bytes ? w->n + (size_t)n : w->bytes - 1;
}

static struct lmm_human ns_of(const struct lmm_finding *f, const char *name)
{
	return lmm_human_ns(lmm_finding_number(f, name));
}

static struct lmm_human percent_of(const struct lmm_finding *f, const char *name)
{
	return lmm_human_percent(lmm_finding_number(f, name));
}

static struct lmm_human count_of(const struct lmm_finding *f, const char *name)
{
	return lmm_human_count((uint64_t)lmm_finding_number(f, name));
}

static void say_idle(struct words *w, const struct lmm_finding *f)
{
	static const char *const why[] = {
		[LMM_FINDING_HOST_BOUND] = "for commands that the host handed over late",
		[LMM_FINDING_READ_BACK] =
			"while the host read results back and began the next step",
		[LMM_FINDING_DRIVER] = "for its driver, which had the commands in time",
	};

	say(w, "in %s the device waited %s %s; it idled %s of the phase", lmm_phase_name(f->phase),
	    lmm_human_ns(f->ns).s, why[f->kind], percent_of(f, "idle_percent").s);
}

static void say_prefill(struct words *w, const struct lmm_finding *f)
{
	int is_same = strcmp(f->kernel, f->than_kernel) == 0;

	if (f->kind == LMM_FINDING_PREFILL) {
		say(w, "a token of a prompt takes %s, one of decode %s%s%.60s",
		    ns_of(f, "each_ns").s, ns_of(f, "than_ns").s,
		    f->kernel[0] ? "; longest in prefill: " : "", f->kernel);
		return;
	}
	say(w, "%.60s takes %s for each token of a prompt, %s%.60s%s %s", f->kernel,
	    ns_of(f, "each_ns").s, is_same ? "" : "and ", is_same ? "" : f->than_kernel,
	    is_same ? "in decode" : ", which does its work in decode,", ns_of(f, "than_ns").s);
}

static void say_first_token(struct words *w, const struct lmm_finding *f)
{
	static const char *const parts[][2] = {
		{ "model_load_ns", "loading the model" },
		{ "context_init_ns", "making the context" },
		{ "tokenize_ns", "tokenizing" },
		{ "prefill_ns", "the prompt" },
		{ "first_use_ns", "compiling programs" },
	};
	const char *between = ": ";

	say(w, "%s went by before the first token", lmm_human_ns(f->ns).s);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(parts); i++) {
		double ns = lmm_finding_number(f, parts[i][0]);

		if (ns < 0.01 * f->ns)
			continue;
		say(w, "%s%s %s", between, lmm_human_ns(ns).s, parts[i][1]);
		between = ", ";
	}
}

static void say_bound(struct words *w, const struct lmm_finding *f)
{
	int is_memory = f->kind == LMM_FINDING_MEMORY_BOUND;

	say(w,
	    "%s of %s goes into operators that wait for %s; longest: %.60s at %s GB/s and %s GFLOP/s",
	    percent_of(f, "phase_percent").s, lmm_phase_name(f->phase),
	    is_memory ? "memory" : "arithmetic", f->kernel,
	    lmm_human_rate(lmm_finding_number(f, "bytes_per_second") / 1e9).s,
	    lmm_human_rate(lmm_finding_number(f, "flops_per_second") / 1e9).s);
	say(w, ", of %s and %s at best",
	    lmm_human_rate(lmm_finding_number(f, "best_bytes_per_second") / 1e9).s,
	    lmm_human_rate(lmm_finding_number(f, "best_flops_per_second") / 1e9).s);
}

static void say_cause(struct words *w, const struct lmm_finding *f)
{
	if (strcmp(f->cause, "others") == 0) {
		say(w, "other requests' work came between");
	} else if (strcmp(f->cause, "first_use") == 0) {
		say(w, "a driver made something ready for its first use");
	} else if (strcmp(f->cause, "lost_core") == 0) {
		say(w, "a thread waited %s for a core around then", ns_of(f, "run_wait_ns").s);
	} else if (strcmp(f->cause, "page_faults") == 0) {
		say(w, "%s page faults around then, %s of them from disk",
		    lmm_human_count((uint64_t)(lmm_finding_number(f, "major_faults") +
					       lmm_finding_number(f, "minor_faults")))
			    .s,
		    count_of(f, "major_faults").s);
	} else if (strcmp(f->cause, "frequency") == 0) {
		say(w, "the clock was at %s of its mean", percent_of(f, "frequency_percent").s);
	} else if (strcmp(f->cause, "throttled") == 0) {
		say(w, "the machine was throttled");
	} else {
		say(w, "nothing that was recorded explains it");
	}
}

static void say_slow_tokens(struct words *w, const struct lmm_finding *f)
{
	say(w,
	    "%s of %s tokens took over %d times those before them, %s more in all; the worst %s for %s",
	    count_of(f, "slow").s, count_of(f, "tokens").s, LMM_SLOW_TOKEN_FACTOR,
	    ns_of(f, "over_ns").s, ns_of(f, "worst_ns").s, ns_of(f, "usual_ns").s);
	if (f->phase != LMM_PHASE_NONE)
		say(w, " in %s", lmm_phase_name(f->phase));
	say(w, ": ");
	say_cause(w, f);
}

static void say_layer(struct words *w, const struct lmm_finding *f)
{
	double others = lmm_finding_number(f, "layers") - 1;

	say(w, "layer %.0f takes %s longer in decode than layers of equal work, all the time",
	    lmm_finding_number(f, "layer"), percent_of(f, "over_percent").s);
	if (others > 0)
		say(w, "; so do %.0f more", others);
}

void lmm_finding_say(const struct lmm_finding *f, char *what, size_t bytes)
{
	struct words w = { what, bytes, 0 };
	const char *phase = lmm_phase_name(f->phase);

	what[0] = '\0';
	switch ((enum lmm_finding_kind)f->kind) {
	case LMM_FINDING_FIRST_USE:
		say(&w, "%s went into compiling programs and first launches, most of it in %s",
		    lmm_human_ns(f->ns).s, phase);
		break;
	case LMM_FINDING_HOST_BOUND:
	case LMM_FINDING_READ_BACK:
	case LMM_FINDING_DRIVER:
		say_idle(&w, f);
		break;
	case LMM_FINDING_DRAIN:
		say(&w,
		    "for %s the host waited in %s for work of the device's that belongs to what was before",
		    lmm_human_ns(f->ns).s, phase);
		break;
	case LMM_FINDING_PREFILL:
	case LMM_FINDING_PREFILL_KERNEL:
		say_prefill(&w, f);
		break;
	case LMM_FINDING_FIRST_TOKEN:
		say_first_token(&w, f);
		break;
	case LMM_FINDING_MEMORY_BOUND:
	case LMM_FINDING_COMPUTE_BOUND:
		say_bound(&w, f);
		break;
	case LMM_FINDING_TOKEN_JITTER:
		say(&w, "%s tokens of %s each differed from those before them by %s on the mean",
		    count_of(f, "tokens").s, ns_of(f, "mean_ns").s,
		    percent_of(f, "change_percent").s);
		break;
	case LMM_FINDING_SLOW_TOKENS:
		say_slow_tokens(&w, f);
		break;
	case LMM_FINDING_LOST_CORE:
		say(&w, "a thread was ready to run and had no core for %s, %s of the time",
		    lmm_human_ns(f->ns).s, percent_of(f, "run_wait_percent").s);
		break;
	case LMM_FINDING_THROTTLED:
		say(&w, "the machine was throttled for %s, %s of the time", lmm_human_ns(f->ns).s,
		    percent_of(f, "throttled_percent").s);
		break;
	case LMM_FINDING_THREAD_IMBALANCE:
		say(&w,
		    "one of %.0f threads worked %s, the mean of them %s; they waited %s of the time",
		    lmm_finding_number(f, "threads"), ns_of(f, "most_ns").s, ns_of(f, "mean_ns").s,
		    percent_of(f, "wait_percent").s);
		break;
	case LMM_FINDING_SLOW_LAYER:
		say_layer(&w, f);
		break;
	default:
		say(&w, "?");
		break;
	}
}

void lmm_finding_say_share(const struct lmm_finding *f, char *how, size_t bytes)
{
	struct words w = { how, bytes, 0 };

	how[0] = '\0';
	if (f->share_percent > 0)
		say(&w, "%s of the time, ", lmm_human_percent(f->share_percent).s);
	say(&w, "%s", lmm_certainty_name((enum lmm_certainty)f->certainty));
	if (f->span.end_ns) {
		say(&w, ", at %s s for %s", lmm_decimal((double)f->span.start_ns / 1e9, 4).s,
		    lmm_human_ns((double)(f->span.end_ns - f->span.start_ns)).s);
	}
}

void lmm__text_findings(const struct lmm_text *t)
{
	struct lmm_finding found[LMM_FINDINGS_MAX];
	size_t n = lmm_findings(t->r, NULL, 0, found, LMM_ARRAY_SIZE(found));

	if (n == 0)
		return;
	lmm__text_head(t, "Findings", 0);
	fputc('\n', t->out);
	for (size_t i = 0; i < n; i++) {
		char what[LMM_FINDING_BYTES], how[LMM_FINDING_BYTES];

		lmm_finding_say(&found[i], what, sizeof(what));
		lmm_finding_say_share(&found[i], how, sizeof(how));
		lmm__text_wrap(t, "  -", 4, "%s (%s). Try: %s.", what, how,
			       lmm_finding_advice(&found[i]));
	}
}
