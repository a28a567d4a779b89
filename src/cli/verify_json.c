/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "cli/verify.h"
#include "lmmeter/version.h"
#include "report/json_writer.h"
#include "wire/repeat.h"

static void put_interval(struct lmm_json *j, const char *key, const struct lmm_verify_interval *i)
{
	lmm_json_row_begin(j, key);
	lmm_json_u64(j, "count", i->n);
	lmm_json_double(j, "mean", i->n ? i->mean : NAN, 4);
	lmm_json_double(j, "low", i->n ? i->low : NAN, 4);
	lmm_json_double(j, "high", i->n ? i->high : NAN, 4);
	lmm_json_object_end(j);
}

static void put_published(struct lmm_json *j, enum lmm_verify_phase phase)
{
	struct lmm_verify_published p = lmm_verify_published(phase);

	if (!(p.low > 0)) {
		lmm_json_null(j, "published_percent");
		return;
	}
	lmm_json_row_begin(j, "published_percent");
	lmm_json_double(j, "low", p.low, 2);
	lmm_json_double(j, "high", p.high, 2);
	lmm_json_object_end(j);
}

static void put_run(struct lmm_json *j, const struct lmm_verify_run *run,
		    enum lmm_verify_phase phase)
{
	lmm_json_row_begin(j, NULL);
	lmm_json_ns(j, "lmmeter_ns", run->lmmeter[phase].ns);
	lmm_json_u64(j, "lmmeter_calls", run->lmmeter[phase].calls);
	lmm_json_ns(j, "reference_ns", run->reference[phase].ns);
	lmm_json_u64(j, "reference_calls", run->reference[phase].calls);
	lmm_json_object_end(j);
}

static void put_phase(struct lmm_json *j, const struct lmm_verify_outcome *o,
		      enum lmm_verify_phase phase)
{
	struct lmm_verify_row r;

	lmm_verify_row(o->runs, o->n, phase, &r);
	if (r.verdict == LMM_VERIFY_UNKNOWN)
		return;
	lmm_json_object_begin(j, NULL);
	lmm_json_string(j, "phase", lmm_verify_phase_name(phase));
	lmm_json_double(j, "calls", r.calls, 1);
	lmm_json_ns(j, "lmmeter_ns", r.lmmeter_ns);
	lmm_json_ns(j, "reference_ns", r.reference_ns);
	put_interval(j, "alpha_percent", &r.alpha);
	put_interval(j, "epsilon_us_per_ms", &r.epsilon);
	if (r.engine_alpha.n) {
		lmm_json_ns(j, "engine_ns", r.engine_ns);
		put_interval(j, "engine_alpha_percent", &r.engine_alpha);
	} else {
		lmm_json_null(j, "engine_ns");
		lmm_json_null(j, "engine_alpha_percent");
	}
	put_published(j, phase);
	lmm_json_string(j, "verdict", lmm_verify_verdict_name(r.verdict));
	lmm_json_array_begin(j, "runs");
	for (unsigned i = 0; i < o->n; i++)
		put_run(j, &o->runs[i], phase);
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_ns(struct lmm_json *j, const char *key, const struct lmm_verify_interval *t)
{
	if (!t->n) {
		lmm_json_null(j, key);
		return;
	}
	lmm_json_row_begin(j, key);
	lmm_json_u64(j, "count", t->n);
	lmm_json_double(j, "mean", t->mean, 3);
	lmm_json_double(j, "low", t->low, 3);
	lmm_json_double(j, "high", t->high, 3);
	lmm_json_object_end(j);
}

static void put_against(struct lmm_json *j, const char *key, const struct lmm_verify_against *a)
{
	lmm_json_object_begin(j, key);
	put_ns(j, "lmmeter_ns", &a->lmmeter_ns);
	put_ns(j, "truth_ns", &a->truth_ns);
	lmm_json_bool(j, "within", a->is_inside);
	lmm_json_double(j, "alpha_percent", a->alpha, 4);
	lmm_json_double(j, "epsilon_us_per_ms", a->epsilon, 4);
	lmm_json_double(j, "error_ns", a->lmmeter_ns.mean - a->truth_ns.mean, 3);
	lmm_json_string(j, "verdict", lmm_verify_verdict_name(a->verdict));
	lmm_json_object_end(j);
}

static void put_point(struct lmm_json *j, const struct lmm_verify_point *p)
{
	static const char *const names[] = { LMM_REPEAT_MODE_NAMES };

	lmm_json_row_begin(j, NULL);
	lmm_json_u64(j, "block", p->block);
	lmm_json_string(j, "mode", names[p->mode]);
	lmm_json_u64(j, "repeats", p->times);
	lmm_json_u64(j, "further_runs", p->further);
	lmm_json_ns(j, "step_ns", p->step_ns);
	lmm_json_object_end(j);
}

static void put_kernel(struct lmm_json *j, const struct lmm_verify_kernel *k)
{
	struct lmm_verify_kernel_row r;

	lmm_verify_kernel_row(k, &r);
	lmm_json_object_begin(j, NULL);
	lmm_json_string(j, "name", k->name);
	lmm_json_double(j, "runs_per_step", r.per_step, 3);
	lmm_json_double(j, "own_ns", r.own_ns, 3);
	lmm_json_double(j, "gap_ns", r.gap_ns, 3);
	lmm_json_u64(j, "buffers", k->buffers);
	lmm_json_u64(j, "buffers_copied", k->copied);
	lmm_json_string(j, "remark", k->remark);
	put_against(j, "warm", &r.warm);
	put_against(j, "cold", &r.cold);
	lmm_json_array_begin(j, "points");
	for (size_t i = 0; i < k->n; i++)
		put_point(j, &k->points[i]);
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_kernels(struct lmm_json *j, const struct lmm_verify_outcome *o)
{
	if (!o->n_kernels) {
		lmm_json_null(j, "kernels");
		return;
	}
	lmm_json_object_begin(j, "kernels");
	lmm_json_u64(j, "rounds", o->rounds);
	lmm_json_array_begin(j, "rows");
	for (unsigned i = 0; i < o->n_kernels; i++)
		put_kernel(j, &o->kernels[i]);
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_head(struct lmm_json *j, const struct lmm_verify_outcome *o)
{
	lmm_json_string(j, "schema", "lmmeter.verify/1");
	lmm_json_string(j, "lmmeter", LMM_VERSION_STRING);
	lmm_json_string(j, "command_name", o->command_name);
	lmm_overhead_put_host(j, &o->host);
	if (o->engine_name[0]) {
		lmm_json_row_begin(j, "engine");
		lmm_json_string(j, "name", o->engine_name);
		lmm_json_string(j, "version", o->engine_version);
		lmm_json_object_end(j);
	} else {
		lmm_json_null(j, "engine");
	}
	lmm_json_u64(j, "runs", o->n);
	lmm_json_string(j, "ended_by",
			o->end == LMM_OVERHEAD_END_SIGNAL   ? "signal"
			: o->end == LMM_OVERHEAD_END_FAILED ? "failure"
							    : "runs");
	lmm_json_ns(j, "elapsed_ns", o->elapsed_ns);
	lmm_json_bool(j, "passed", lmm_verify_passed(o));
}

void lmm_verify_print_json(const struct lmm_verify_outcome *o, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	put_head(&j, o);
	lmm_json_array_begin(&j, "phases");
	for (int p = 0; p < LMM_VERIFY_PHASES; p++)
		put_phase(&j, o, (enum lmm_verify_phase)p);
	lmm_json_array_end(&j);
	put_kernels(&j, o);
	lmm_json_string(&j, "published_source", LMM_VERIFY_SOURCE);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
