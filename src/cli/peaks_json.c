/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/peaks_store.h"
#include "lmmeter/version.h"
#include "report/json_writer.h"

static void put_peak(struct lmm_json *j, const char *key, const struct lmm_peak *peak)
{
	if (!(peak->best > 0)) {
		lmm_json_null(j, key);
		return;
	}
	lmm_json_row_begin(j, key);
	lmm_json_double(j, "best", peak->best, 0);
	lmm_json_double(j, "median", peak->median, 0);
	lmm_json_double(j, "worst", peak->worst, 0);
	lmm_json_double(j, "spread_percent", lmm_peak_spread_percent(peak), 2);
	lmm_json_u64(j, "repetitions", peak->repetitions);
	lmm_json_object_end(j);
}

static void put_row(struct lmm_json *j, const struct lmm_peaks *p, const struct lmm_peaks_row *row)
{
	lmm_json_object_begin(j, NULL);
	lmm_json_u64(j, "threads", row->threads);
	put_peak(j, "read_bytes_per_second", &row->read);
	put_peak(j, "f32_flops_per_second", &row->f32);
	put_peak(j, "int8_ops_per_second", &row->int8);
	lmm_json_array_begin(j, "caches");
	for (uint32_t i = 0; i < p->n_caches; i++) {
		lmm_json_object_begin(j, NULL);
		lmm_json_u64(j, "level", p->caches[i].level);
		lmm_json_u64(j, "working_set_bytes", p->caches[i].bytes);
		put_peak(j, "read_bytes_per_second", &row->cache[i]);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void put_device(struct lmm_json *j, const struct lmm_peaks_device *d)
{
	lmm_json_object_begin(j, NULL);
	lmm_json_string(j, "platform", d->platform);
	lmm_json_string(j, "name", d->name);
	lmm_json_string(j, "driver", d->driver);
	lmm_json_u64(j, "compute_units", d->compute_units);
	lmm_json_u64(j, "working_set_bytes", d->working_set_bytes);
	put_peak(j, "read_bytes_per_second", &d->read);
	put_peak(j, "f32_flops_per_second", &d->f32);
	lmm_json_object_end(j);
}

void lmm_peaks_json(const struct lmm_peaks *p, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", LMM_PEAKS_SCHEMA);
	lmm_json_string(&j, "lmmeter", LMM_VERSION_STRING);
	lmm_json_row_begin(&j, "host");
	lmm_json_string(&j, "cpu", p->cpu);
	lmm_json_u64(&j, "cpus", p->cpus);
	lmm_json_object_end(&j);
	lmm_json_u64(&j, "measured_realtime_ns", p->measured_realtime_ns);
	lmm_json_double(&j, "spread_percent", lmm_peaks_spread_percent(p), 2);
	lmm_json_bool(&j, "noisy", lmm_peaks_spread_percent(p) > LMM_PEAKS_NOISY_PERCENT);
	lmm_json_string(&j, "f32_instructions", p->f32_isa);
	lmm_json_string(&j, "int8_instructions", p->int8_isa);
	lmm_json_u64(&j, "working_set_bytes", p->working_set_bytes);
	lmm_json_u64(&j, "last_level_cache_bytes", p->cache_bytes);
	lmm_json_array_begin(&j, "cpu");
	for (uint32_t i = 0; i < p->n_rows; i++)
		put_row(&j, p, &p->rows[i]);
	lmm_json_array_end(&j);
	lmm_json_array_begin(&j, "opencl");
	for (uint32_t i = 0; i < p->n_devices; i++)
		put_device(&j, &p->devices[i]);
	lmm_json_array_end(&j);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
