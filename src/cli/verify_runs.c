/* SPDX-License-Identifier: Apache-2.0 */
/* Runs under lmmeter and the reference, and what the two say of each. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "cli/cli.h"
#include "cli/verify.h"

struct heard {
	struct lmm_verify_outcome *out;
	struct lmm_verify_run *run; /* NULL: it warms up */
	struct lmm_verify_ear ear;
};

/* ---- what lmmeter says -------------------------------------------------------------------------- */

static void take_phases(struct lmm_verify_run *run, const struct lmm_result *r)
{
	static const struct {
		uint8_t phase;
		enum lmm_verify_phase to;
	} map[] = {
		{ LMM_PHASE_PREFILL, LMM_VERIFY_PREFILL },
		{ LMM_PHASE_DECODE, LMM_VERIFY_DECODE },
		{ LMM_PHASE_COPY_TO_CPU, LMM_VERIFY_COPY },
		{ LMM_PHASE_SAMPLING, LMM_VERIFY_SAMPLING }, /* its brackets hold softmax */
		{ LMM_PHASE_TOKENIZE, LMM_VERIFY_TOKENIZE },
		{ LMM_PHASE_DETOKENIZE, LMM_VERIFY_DETOKENIZE },
	};

	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		for (size_t k = 0; k < LMM_ARRAY_SIZE(map); k++) {
			if (p->phase != map[k].phase || p->warmup_only)
				continue;
			run->lmmeter[map[k].to].ns = p->host_ns;
			run->lmmeter[map[k].to].calls = p->stats.count;
		}
	}
}

/* With several requests there is no wall that is theirs alone. */
static void take_sum(struct lmm_verify_run *run, const struct lmm_result *r)
{
	struct lmm_verify_figure *f = &run->lmmeter[LMM_VERIFY_SUM];

	if (r->requests_total != 1 || r->n_requests != 1 || run->processes != 1)
		return;
	f->ns = r->requests[0].unaccounted_ns;
	for (size_t i = 0; i < r->requests[0].n_phases; i++) {
		if (r->requests[0].phases[i].phase != LMM_PHASE_UNACCOUNTED)
			f->ns += r->requests[0].phases[i].total_ns;
	}
	f->calls = 1;
}

static void take_engine(struct lmm_verify_outcome *out, const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_processes && !out->engine_name[0]; i++) {
		(void)snprintf(out->engine_name, sizeof(out->engine_name), "%s",
			       r->processes[i].engine_name);
		(void)snprintf(out->engine_version, sizeof(out->engine_version), "%s",
			       r->processes[i].engine_version);
	}
	out->device_seen |= r->device.seen;
}

/* ---- what the reference says -------------------------------------------------------------------- */

static int add_calls(void *arg, const struct lmm_reference_call *calls, size_t n, uint64_t all)
{
	struct lmm_verify_run *run = arg;

	run->calls += all;
	run->not_kept += all - n;
	return lmm_verify_calls_add(run, calls, n);
}

static void hear(void *arg, const char *bytes, size_t n)
{
	struct heard *h = arg;

	lmm_verify_hear(&h->ear, bytes, n);
}

static int take(void *arg, const struct lmm_overhead_bench *b, const char *ruler, const char *trace)
{
	const struct lmm_analysis_file_opts opts = { 0 };
	struct heard *h = arg;
	enum lmm_trace_state state;
	struct lmm_result *r;
	int rc;

	if (!h->run)
		return 0;
	rc = lmm_reference_each(b->folder, ruler, add_calls, h->run);
	if (rc) {
		lmm_error("cannot read what the reference wrote: %s", lmm_strerror(rc));
		return -1;
	}
	memcpy(h->run->engine_ns, h->ear.ns, sizeof(h->run->engine_ns));
	/* a command without an engine leaves no trace */
	if (access(trace, R_OK) || lmm_analysis_file(trace, &opts, &r, &state))
		return 0;
	take_phases(h->run, r);
	take_sum(h->run, r);
	take_engine(h->out, r);
	lmm_result_destroy(r);
	return 0;
}

/* ---- runs --------------------------------------------------------------------------------------- */

int lmm_verify_phases_run(struct lmm_overhead_bench *b, const struct lmm_verify_plan *plan,
			  struct lmm_verify_outcome *out)
{
	for (unsigned i = 0; i <= plan->runs; i++) {
		struct heard h = { .out = out, .run = i ? &out->runs[out->n] : NULL };
		struct lmm_overhead_arm arm = { .with = 1, .hear = hear, .take = take, .arg = &h };
		char name[32];
		double wall_ns;
		int rc;

		(void)snprintf(name, sizeof(name), "run%03u", i);
		arm.name = name;
		plan->progress(plan->arg, "run", i, plan->runs);
		rc = lmm_overhead_run_arm(b, &arm, &wall_ns);
		if (rc)
			return rc;
		out->n += i > 0;
	}
	return 0;
}
