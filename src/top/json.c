/* SPDX-License-Identifier: Apache-2.0 */
/* docs/json.md says what is written here. */
#include "base/compiler.h"
#include "report/json_writer.h"
#include "top/top.h"

#define KERNELS_SHOWN 10

static void put_stats(struct lmm_json *j, const char *key, const struct lmm_stats *s)
{
	lmm_json_object_begin(j, key);
	lmm_json_u64(j, "count", s->count);
	lmm_json_ns(j, "mean_ns", s->mean_ns);
	lmm_json_ns(j, "p50_ns", s->p50_ns);
	lmm_json_ns(j, "p95_ns", s->p95_ns);
	lmm_json_ns(j, "p99_ns", s->p99_ns);
	lmm_json_object_end(j);
}

static void put_phases(struct lmm_json *j, const struct lmm_top *t)
{
	lmm_json_array_begin(j, "phases");
	for (size_t i = 0; i < t->result->n_phases; i++) {
		const struct lmm_result_phase *p = &t->result->phases[i];

		if (p->share_percent < 0)
			continue;
		lmm_json_object_begin(j, NULL);
		lmm_json_string(j, "phase", lmm_phase_name(p->phase));
		lmm_json_u64(j, "count", p->stats.count);
		lmm_json_ns(j, "total_ns", p->stats.total_ns);
		lmm_json_double(j, "share_percent", p->share_percent, 6);
		lmm_json_double(j, "share_now_percent", 100 * t->phase_now[p->phase], 3);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_kernels(struct lmm_json *j, const struct lmm_top *t)
{
	lmm_json_array_begin(j, "kernels");
	for (size_t i = 0; i < t->result->n_kernels && i < KERNELS_SHOWN; i++) {
		const struct lmm_result_kernel *k = &t->result->kernels[i];
		const struct lmm_top_track *x = lmm_top_track(t, k);

		lmm_json_object_begin(j, NULL);
		lmm_json_string(j, "name", k->name);
		lmm_json_string(j, "op", k->op);
		lmm_json_string(j, "device", k->device);
		lmm_json_string(j, "phase", lmm_phase_name(k->phase));
		lmm_json_ns(j, "estimate_ns", k->estimate_ns);
		lmm_json_double(j, "share_now_percent",
				x ? 100 * (double)x->share[LMM_TOP_HISTORY - 1] : 0, 3);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_known(struct lmm_json *j, const char *key, double value, unsigned decimals)
{
	if (value >= 0) {
		lmm_json_double(j, key, value, decimals);
	} else {
		lmm_json_null(j, key);
	}
}

static void put_engines(struct lmm_json *j, const struct lmm_top *t)
{
	lmm_json_array_begin(j, "engines");
	for (size_t i = 0; i < t->result->n_processes && i < LMM_TOP_PROCESSES; i++) {
		const struct lmm_result_process *p = &t->result->processes[i];

		if (!p->engine_name[0] && !p->requests)
			continue;
		lmm_json_object_begin(j, NULL);
		lmm_json_i64(j, "pid", p->pid);
		lmm_json_string(j, "name", p->name);
		lmm_json_string(j, "engine", p->engine_name);
		lmm_json_u64(j, "requests", p->requests);
		lmm_json_u64(j, "output_tokens", p->output_tokens);
		put_known(j, "output_tokens_per_second_now", t->processes[i].tokens_per_second_now,
			  6);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
}

static void put_machine(struct lmm_json *j, const struct lmm_top *t)
{
	const struct lmm_top_machine *m = &t->machine;
	const struct lmm_result_machine *r = &t->result->machine;

	lmm_json_object_begin(j, "machine");
	put_known(j, "cpu_hz", m->cpu_hz, 0);
	put_known(j, "cpu_limit_hz", m->cpu_limit_hz, 0);
	put_known(j, "gpu_hz", m->gpu_hz, 0);
	put_known(j, "gpu_load_percent", m->gpu_load_percent, 3);
	put_known(j, "hottest_celsius", m->celsius, 3);
	if (m->celsius >= 0) {
		lmm_json_string(j, "hottest", r->sensors[m->hottest].name);
	} else {
		lmm_json_null(j, "hottest");
	}
	put_known(j, "power_mw", m->power_mw, 3);
	lmm_json_bool(j, "throttled", m->is_throttled);
	lmm_json_array_begin(j, "absent");
	for (size_t i = 0; i < r->n_sensors; i++) {
		if (r->sensors[i].absent[0])
			lmm_json_string(j, NULL, r->sensors[i].name);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

void lmm_top_json(const struct lmm_top *t, FILE *out)
{
	const struct lmm_result *r = t->result;
	struct lmm_json j;

	lmm_json_init(&j, out, 0);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.top/1");
	lmm_json_ns(&j, "duration_ns", r->duration_ns);
	lmm_json_bool(&j, "ended", t->has_ended);
	lmm_json_string(&j, "phase", lmm_phase_name(t->phase));
	lmm_json_u64(&j, "requests", r->requests_total);
	lmm_json_u64(&j, "output_tokens", t->tokens);
	lmm_json_double(&j, "output_tokens_per_second", r->output_tokens_per_second, 6);
	put_known(&j, "output_tokens_per_second_now", t->tokens_per_second_now, 6);
	put_stats(&j, "ttft", &r->ttft);
	put_stats(&j, "tpot", &r->tpot);
	put_stats(&j, "itl", &r->itl);
	put_phases(&j, t);
	put_kernels(&j, t);
	put_engines(&j, t);
	put_machine(&j, t);
	lmm_json_u64(&j, "lost", r->records.lost);
	lmm_json_double(&j, "overhead_percent", r->overhead.percent, 6);
	lmm_json_object_end(&j);
}
