/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "report/json_writer.h"
#include "report/roofline.h"

static void put_known(struct lmm_json *j, const char *key, double v, unsigned decimals)
{
	lmm_json_double(j, key, v >= 0 ? v : NAN, decimals);
}

static void put_roof(struct lmm_json *j, const struct lmm_roof *roof)
{
	put_known(j, "read_bytes_per_second", roof->read_bytes > 0 ? roof->read_bytes : -1, 0);
	put_known(j, "f32_flops_per_second", roof->f32_ops > 0 ? roof->f32_ops : -1, 0);
	put_known(j, "int8_ops_per_second", roof->int8_ops > 0 ? roof->int8_ops : -1, 0);
}

static void put_cpu(struct lmm_json *j, const char *key, const struct lmm_roof *roof,
		    uint32_t threads)
{
	lmm_json_row_begin(j, key);
	lmm_json_u64(j, "threads", threads);
	put_roof(j, roof);
	lmm_json_object_end(j);
}

static void put_peaks(struct lmm_json *j, const struct lmm_roofline_report *x)
{
	lmm_json_object_begin(j, "peaks");
	lmm_json_u64(j, "measured_realtime_ns", x->measured_realtime_ns);
	lmm_json_double(j, "spread_percent", x->spread_percent, 2);
	lmm_json_bool(j, "noisy", x->is_noisy);
	put_cpu(j, "cpu", &x->peaks->cpu, x->decode.measured);
	put_cpu(j, "cpu_prefill", &x->peaks->cpu_prefill, x->prefill.measured);
	lmm_json_array_begin(j, "devices");
	for (uint32_t i = 0; i < x->peaks->n_devices; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "device", x->peaks->devices[i].name);
		put_roof(j, &x->peaks->devices[i].roof);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_threads(struct lmm_json *j, const struct lmm_roofline_report *x)
{
	lmm_json_row_begin(j, "threads");
	if (x->decode.threads) {
		lmm_json_u64(j, "decode", x->decode.threads);
		lmm_json_u64(j, "prefill", x->prefill.threads);
	} else {
		lmm_json_null(j, "decode");
		lmm_json_null(j, "prefill");
	}
	lmm_json_string(j, "source", x->threads_source);
	lmm_json_object_end(j);
}

static void put_mbu(struct lmm_json *j, const struct lmm_mbu *m)
{
	if (!m->is_known) {
		lmm_json_null(j, "mbu");
		return;
	}
	lmm_json_object_begin(j, "mbu");
	put_known(j, "percent", m->percent, 3);
	put_known(j, "step_percent", m->step_percent, 3);
	lmm_json_string(j, "device", m->device);
	lmm_json_double(j, "weight_bytes", m->weight_bytes, 1);
	lmm_json_double(j, "cache_bytes", m->cache_bytes, 1);
	lmm_json_string(j, "bytes_source", m->from_model_size ? "model_size" : "operators");
	lmm_json_bool(j, "cache_is_window", m->from_window);
	lmm_json_ns(j, "token_ns", m->token_ns);
	lmm_json_ns(j, "step_ns", m->step_ns);
	lmm_json_double(j, "bytes_per_second", m->bytes_per_second, 0);
	put_known(j, "peak_bytes_per_second",
		  m->peak_bytes_per_second > 0 ? m->peak_bytes_per_second : -1, 0);
	lmm_json_object_end(j);
}

static void put_row(struct lmm_json *j, const struct lmm_roofline_row *x)
{
	lmm_json_row_begin(j, NULL);
	if (x->kernel) {
		lmm_json_string(j, "name", x->kernel->name);
		lmm_json_string(j, "op", x->kernel->op);
		lmm_json_string(j, "role", lmm_role_name(x->kernel->role));
		lmm_json_string(j, "device", x->kernel->device);
		lmm_json_string(j, "weight_type", x->kernel->weight_type);
		lmm_json_bool(j, "fused", x->kernel->fused);
	}
	lmm_json_string(j, "phase", lmm_phase_name(x->phase));
	lmm_json_u64(j, "count", x->count);
	lmm_json_ns(j, "time_ns", x->time_ns);
	lmm_json_double(j, "bytes", x->bytes, 1);
	lmm_json_double(j, "flops", x->flops, 1);
	lmm_json_double(j, "bytes_per_second", x->bytes_per_second, 0);
	lmm_json_double(j, "flops_per_second", x->flops_per_second, 0);
	put_known(j, "flops_per_byte", x->intensity, 4);
	put_known(j, "memory_percent", x->memory_percent, 3);
	put_known(j, "compute_percent", x->compute_percent, 3);
	if (x->kernel)
		lmm_json_string(j, "compute_peak", x->is_int8 ? "int8" : "f32");
	put_known(j, "roof_ns", x->roof_ns, 3);
	put_known(j, "roof_percent", x->roof_percent, 3);
	lmm_json_string(j, "bound", lmm_bound_name(x->bound));
	lmm_json_object_end(j);
}

static void put_rows(struct lmm_json *j, const char *key, const struct lmm_roofline_row *rows,
		     size_t n)
{
	lmm_json_array_begin(j, key);
	for (size_t i = 0; i < n; i++)
		put_row(j, &rows[i]);
	lmm_json_array_end(j);
}

void lmm_report_roofline_json(const struct lmm_roofline_report *x, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.roofline/1");
	lmm_json_row_begin(&j, "host");
	lmm_json_string(&j, "cpu", x->r->host_cpu);
	lmm_json_u64(&j, "cpus", x->r->host_cpus);
	lmm_json_object_end(&j);
	put_threads(&j, x);
	put_peaks(&j, x);
	lmm_json_array_begin(&j, "warnings");
	for (size_t i = 0; i < x->n_warnings; i++)
		lmm_json_string(&j, NULL, x->warnings[i]);
	lmm_json_array_end(&j);
	lmm_json_row_begin(&j, "filled_positions");
	put_known(&j, "prefill", x->r->steps.prefill_positions, 3);
	put_known(&j, "decode", x->r->steps.decode_positions, 3);
	lmm_json_object_end(&j);
	put_mbu(&j, &x->l->mbu);
	put_rows(&j, "phases", x->l->phases, x->l->n_phases);
	put_rows(&j, "kernels", x->l->kernels, x->l->n_kernels);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
