/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/findings.h"
#include "analyze/findings_internal.h"

#include <string.h>

#define IDLE_MIN_PERCENT 5.0 /* any engine that samples on the host has some */
#define DRAIN_FACTOR	 2.0 /* so much longer is the host's bracket than what belongs to the phase */
#define PREFILL_FACTOR	 0.8 /* of a decode token's time */
#define PREFILL_TOKENS	 8   /* fewer are no prompt to judge by */
/* Waking up takes 5 to 50 us where cores are free, some hundred times a second; what is more, others took. */
#define DISTURBED_PERCENT 5.0

/* ---- the list ----------------------------------------------------------------------------------- */

const char *lmm_finding_name(enum lmm_finding_kind kind)
{
	static const char *const names[LMM_FINDING_KINDS] = {
		[LMM_FINDING_FIRST_USE] = "first_use",
		[LMM_FINDING_HOST_BOUND] = "host_bound",
		[LMM_FINDING_READ_BACK] = "read_back_bound",
		[LMM_FINDING_DRIVER] = "driver_bound",
		[LMM_FINDING_DRAIN] = "drain",
		[LMM_FINDING_PREFILL] = "prefill_per_token",
		[LMM_FINDING_PREFILL_KERNEL] = "prefill_kernel",
		[LMM_FINDING_FIRST_TOKEN] = "first_token",
		[LMM_FINDING_MEMORY_BOUND] = "memory_bound",
		[LMM_FINDING_COMPUTE_BOUND] = "compute_bound",
		[LMM_FINDING_TOKEN_JITTER] = "token_jitter",
		[LMM_FINDING_SLOW_TOKENS] = "slow_tokens",
		[LMM_FINDING_LOST_CORE] = "lost_core",
		[LMM_FINDING_THROTTLED] = "throttled",
		[LMM_FINDING_THREAD_IMBALANCE] = "thread_imbalance",
		[LMM_FINDING_SLOW_LAYER] = "slow_layer",
	};

	return names[kind];
}

const char *lmm_certainty_name(enum lmm_certainty certainty)
{
	static const char *const names[LMM_CERTAINTIES] = { "measured", "estimated", "compared" };

	return names[certainty];
}

struct lmm_finding lmm__finding(enum lmm_finding_kind kind, enum lmm_certainty certainty,
				unsigned phase, double ns)
{
	return (struct lmm_finding){ .kind = (uint8_t)kind,
				     .certainty = (uint8_t)certainty,
				     .phase = (uint8_t)phase,
				     .ns = ns,
				     .cause = "",
				     .kernel = "",
				     .than_kernel = "" };
}

void lmm__finding_say(struct lmm_finding *f, const char *name, double value)
{
	if (f->n_numbers < LMM_FINDING_NUMBERS)
		f->numbers[f->n_numbers++] = (struct lmm_number){ name, value };
}

double lmm_finding_number(const struct lmm_finding *f, const char *name)
{
	for (unsigned i = 0; i < f->n_numbers; i++) {
		if (strcmp(f->numbers[i].name, name) == 0)
			return f->numbers[i].value;
	}
	return 0;
}

/* When there is no room, the least goes. */
static void list_insert(struct finding_list *l, const struct lmm_finding *x)
{
	size_t at;

	if (l->room == 0)
		return;
	if (l->n == l->room) {
		if (l->v[l->n - 1].ns >= x->ns)
			return;
		l->n--;
	}
	for (at = l->n++; at > 0 && l->v[at - 1].ns < x->ns; at--)
		l->v[at] = l->v[at - 1];
	l->v[at] = *x;
}

void lmm__finding_add(struct finding_list *l, const struct lmm_finding *f, double min_percent)
{
	struct lmm_finding x = *f;

	x.share_percent = l->whole_ns > 0 ? 100 * f->ns / l->whole_ns : 0;
	if (x.share_percent >= min_percent)
		list_insert(l, &x);
}

void lmm__finding_add_apart(struct finding_list *l, const struct lmm_finding *f)
{
	list_insert(l, f);
}

const struct lmm_result_phase *lmm__finding_phase(const struct lmm_result *r, unsigned phase)
{
	const struct lmm_result_phase *p = lmm_result_phase_find(r, phase);

	return p && !p->warmup_only ? p : NULL;
}

/* ---- devices ------------------------------------------------------------------------------------ */

/* Inside phases that are part of requests. */
static void find_first_use(struct finding_list *l)
{
	const struct lmm_result *r = l->r;
	struct lmm_finding f = lmm__finding(LMM_FINDING_FIRST_USE, LMM_MEASURED, 0, 0);
	double most = 0;

	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		if (p->share_percent < 0)
			continue;
		f.ns += p->first_use_ns;
		if (p->first_use_ns > most) {
			most = p->first_use_ns;
			f.phase = p->phase;
		}
	}
	f.span = r->evidence.phases[f.phase].first_use;
	lmm__finding_say(&f, "first_use_ns", f.ns);
	lmm__finding_say(&f, "phase_first_use_ns", most);
	lmm__finding_add(l, &f, SHARE_MIN_PERCENT);
}

static double idle_of(const struct lmm_result *r, unsigned phase)
{
	double idle = 0;

	for (unsigned c = 0; c < LMM_GAP_CAUSES; c++)
		idle += r->evidence.idle[phase][c].total_ns;
	return idle;
}

/* In one phase, for one cause. First use has a finding of its own, and what the clocks cannot tell has none. */
static void find_idle(struct finding_list *l, unsigned phase, enum lmm_gap_cause cause,
		      enum lmm_finding_kind kind)
{
	static const char *const causes[LMM_GAP_CAUSES] = { [LMM_GAP_HOST] = "host",
							    [LMM_GAP_READBACK] = "read_back",
							    [LMM_GAP_DRIVER] = "driver" };
	const struct lmm_result_idle *gap = &l->r->evidence.idle[phase][cause];
	const struct lmm_result_phase *p = lmm__finding_phase(l->r, phase);
	struct lmm_finding f = lmm__finding(kind, LMM_ESTIMATED, phase, gap->total_ns);
	double idle = idle_of(l->r, phase), busy = p ? p->device_ns : 0;

	/* where kernels were recorded in windows, these made the launches slow that the device waited for */
	if (gap->count == 0 || l->r->device.windows.count)
		return;
	f.cause = causes[cause];
	f.span = gap->longest;
	lmm__finding_say(&f, "gaps", (double)gap->count);
	lmm__finding_say(&f, "gaps_ns", gap->total_ns);
	lmm__finding_say(&f, "longest_ns", (double)(gap->longest.end_ns - gap->longest.start_ns));
	lmm__finding_say(&f, "idle_ns", idle);
	lmm__finding_say(&f, "idle_percent", 100 * idle / (idle + busy));
	lmm__finding_add(l, &f, cause == LMM_GAP_HOST ? SHARE_MIN_PERCENT : IDLE_MIN_PERCENT);
}

static void find_drain(struct finding_list *l)
{
	static const uint8_t phases[] = { LMM_PHASE_SOFTMAX, LMM_PHASE_SAMPLING };

	for (size_t i = 0; i < sizeof(phases); i++) {
		const struct lmm_result_phase *p = lmm__finding_phase(l->r, phases[i]);
		struct lmm_finding f;

		if (!p || p->host_ns < DRAIN_FACTOR * p->stats.total_ns)
			continue;
		f = lmm__finding(LMM_FINDING_DRAIN, LMM_MEASURED, phases[i],
				 p->host_ns - p->stats.total_ns);
		f.span = l->r->evidence.phases[phases[i]].longest;
		lmm__finding_say(&f, "host_ns", p->host_ns);
		lmm__finding_say(&f, "attributed_ns", p->stats.total_ns);
		lmm__finding_add(l, &f, SHARE_MIN_PERCENT);
	}
}

/* ---- prefill ------------------------------------------------------------------------------------ */

static const char *longest_kernel(const struct lmm_result *r, uint8_t phase)
{
	for (size_t i = 0; i < r->n_kernels; i++) { /* sorted */
		if (r->kernels[i].phase == phase && r->kernels[i].stats.count > 0)
			return r->kernels[i].name;
	}
	return "";
}

/* By the passes that made nothing ready for its first use, if there are such. */
static double each_token(const struct lmm_result *r, uint8_t phase, uint64_t tokens,
			 uint64_t first_use_tokens)
{
	const struct lmm_result_phase *p = lmm__finding_phase(r, phase);

	if (!p || tokens == 0)
		return 0;
	if (p->stats.count <= p->first_use_count || tokens <= first_use_tokens)
		return (p->stats.total_ns - p->first_use_ns) / (double)tokens;
	return p->stats.mean_ns * (double)(p->stats.count - p->first_use_count) /
	       (double)(tokens - first_use_tokens);
}

static void say_each(struct lmm_finding *f, double each_ns, double than_ns, uint64_t tokens)
{
	lmm__finding_say(f, "each_ns", each_ns);
	lmm__finding_say(f, "than_ns", than_ns);
	lmm__finding_say(f, "tokens", (double)tokens);
}

/* A prompt's tokens go through the model together and ought to cost a fraction of what each chosen one does. */
static void find_prefill(struct finding_list *l)
{
	const struct lmm_result *r = l->r;
	uint64_t tokens = r->steps.prefill_tokens;
	double each = each_token(r, LMM_PHASE_PREFILL, tokens, r->steps.prefill_first_use_tokens);
	double than = each_token(r, LMM_PHASE_DECODE, r->steps.decode_tokens,
				 r->steps.decode_first_use_tokens);
	struct lmm_finding f = lmm__finding(LMM_FINDING_PREFILL, LMM_ESTIMATED, LMM_PHASE_PREFILL,
					    each * (double)tokens);

	if (tokens < PREFILL_TOKENS || !(than > 0) || each < PREFILL_FACTOR * than)
		return;
	f.kernel = longest_kernel(r, LMM_PHASE_PREFILL);
	f.span = r->evidence.phases[LMM_PHASE_PREFILL].longest;
	say_each(&f, each, than, tokens);
	lmm__finding_add(l, &f, SHARE_MIN_PERCENT);
}

static void find_prefill_kernel(struct finding_list *l)
{
	const struct lmm_result *r = l->r;
	struct lmm_kernel_pair worst;
	struct lmm_finding f;

	if (r->steps.prefill_tokens < PREFILL_TOKENS || !lmm__kernel_pair_worst(r, &worst))
		return;
	f = lmm__finding(LMM_FINDING_PREFILL_KERNEL, LMM_ESTIMATED, LMM_PHASE_PREFILL,
			 worst.over_ns);
	f.kernel = worst.prefill;
	f.than_kernel = worst.decode;
	f.span = r->evidence.phases[LMM_PHASE_PREFILL].longest;
	say_each(&f, worst.each_ns, worst.than_ns, r->steps.prefill_tokens);
	lmm__finding_add(l, &f, SHARE_MIN_PERCENT);
}

/* ---- all ---------------------------------------------------------------------------------------- */

/* How long, on the mean, one of its threads could not run though it was ready; in percent of the time that was sampled. */
static double wait_percent(const struct lmm_result *r, double *ns)
{
	*ns = 0;
	for (size_t i = 0; i < r->machine.n_sensors; i++) {
		if (r->machine.sensors[i].kind == LMM_SENSOR_RUN_WAIT)
			*ns += r->machine.sensors[i].total;
	}
	return r->machine.sampled_ns > 0 ? 100 * *ns / r->machine.sampled_ns : 0;
}

int lmm__finding_is_disturbed(const struct lmm_result *r)
{
	double ns;

	return wait_percent(r, &ns) >= DISTURBED_PERCENT;
}

static void find_lost_core(struct finding_list *l)
{
	struct lmm_finding f;
	double ns, percent = wait_percent(l->r, &ns);

	if (percent < DISTURBED_PERCENT)
		return;
	f = lmm__finding(LMM_FINDING_LOST_CORE, LMM_MEASURED, LMM_PHASE_NONE, ns);
	f.span = l->r->evidence.waiting;
	lmm__finding_say(&f, "run_wait_ns", ns);
	lmm__finding_say(&f, "run_wait_percent", percent);
	lmm__finding_add_apart(l, &f);
}

/* A cooling device may say so and cost nothing: then the tokens show it. */
static void find_throttled(struct finding_list *l)
{
	const struct lmm_result_machine *m = &l->r->machine;
	struct lmm_finding f =
		lmm__finding(LMM_FINDING_THROTTLED, LMM_ESTIMATED, LMM_PHASE_NONE, m->throttled_ns);

	if (!(m->sampled_ns > 0) || 100 * m->throttled_ns < SHARE_MIN_PERCENT * m->sampled_ns)
		return;
	f.span = l->r->evidence.throttled;
	lmm__finding_say(&f, "throttled_ns", m->throttled_ns);
	lmm__finding_say(&f, "throttled_percent", 100 * m->throttled_ns / m->sampled_ns);
	lmm__finding_add_apart(l, &f);
}

size_t lmm_findings(const struct lmm_result *r, const struct lmm_peaks *peaks, size_t n_peaks,
		    struct lmm_finding *out, size_t room)
{
	struct finding_list l = {
		.v = out, .room = room, .r = r, .peaks = peaks, .n_peaks = n_peaks
	};

	for (size_t i = 0; i < r->n_phases; i++) {
		if (r->phases[i].share_percent >= 0)
			l.whole_ns += r->phases[i].stats.total_ns;
	}
	find_first_use(&l);
	for (unsigned p = 0; p < LMM_PHASE_COUNT; p++) {
		find_idle(&l, p, LMM_GAP_HOST, LMM_FINDING_HOST_BOUND);
		find_idle(&l, p, LMM_GAP_READBACK, LMM_FINDING_READ_BACK);
		find_idle(&l, p, LMM_GAP_DRIVER, LMM_FINDING_DRIVER);
	}
	find_drain(&l);
	find_prefill(&l);
	find_prefill_kernel(&l);
	lmm__find_first_token(&l);
	lmm__find_bound(&l);
	lmm__find_token_times(&l);
	find_lost_core(&l);
	find_throttled(&l);
	lmm__find_threads(&l);
	lmm__find_layers(&l);
	return l.n;
}
