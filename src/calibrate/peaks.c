/* SPDX-License-Identifier: Apache-2.0 */
#include "calibrate/peaks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

double lmm_peak_spread_percent(const struct lmm_peak *p)
{
	return p->best > 0 ? 100 * (p->best - p->median) / p->best : 0;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

double lmm_peaks_spread_percent(const struct lmm_peaks *p)
{
	double most = 0;

	for (uint32_t i = 0; i < p->n_rows; i++) {
		most = larger(most, lmm_peak_spread_percent(&p->rows[i].read));
		most = larger(most, lmm_peak_spread_percent(&p->rows[i].f32));
		most = larger(most, lmm_peak_spread_percent(&p->rows[i].int8));
	}
	for (uint32_t i = 0; i < p->n_devices; i++) {
		most = larger(most, lmm_peak_spread_percent(&p->devices[i].read));
		most = larger(most, lmm_peak_spread_percent(&p->devices[i].f32));
	}
	return most;
}

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

struct lmm_peak lmm_peak_of(double *values, uint32_t n)
{
	struct lmm_peak p = { .repetitions = n };

	qsort(values, n, sizeof(*values), compare);
	p.worst = values[0];
	p.best = values[n - 1];
	p.median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
	return p;
}

static struct lmm_peak between(const struct lmm_peak *a, const struct lmm_peak *b, double part)
{
	struct lmm_peak p = { 0 };

	if (a->best > 0 && b->best > 0)
		p.best = a->best + (b->best - a->best) * part;
	return p;
}

int lmm_peaks_at(const struct lmm_peaks *p, uint32_t threads, struct lmm_peaks_row *row)
{
	const struct lmm_peaks_row *a, *b;
	uint32_t i = 0;
	double part;

	while (i < p->n_rows && p->rows[i].threads < threads)
		i++;
	if (i == p->n_rows || (i == 0 && p->rows[0].threads != threads))
		return -ENOENT;
	b = &p->rows[i];
	if (b->threads == threads) {
		*row = *b;
		return 0;
	}
	a = b - 1;
	part = (double)(threads - a->threads) / (double)(b->threads - a->threads);
	memset(row, 0, sizeof(*row));
	row->threads = threads;
	row->read = between(&a->read, &b->read, part);
	row->f32 = between(&a->f32, &b->f32, part);
	row->int8 = between(&a->int8, &b->int8, part);
	return 0;
}

const struct lmm_peaks_device *lmm_peaks_device(const struct lmm_peaks *p, const char *name)
{
	for (uint32_t i = 0; i < p->n_devices; i++) {
		if (strcmp(p->devices[i].name, name) == 0)
			return &p->devices[i];
	}
	return NULL;
}

int lmm_peaks_path(const char *cpu, uint32_t cpus, char *path, size_t bytes)
{
	const char *cache = getenv("XDG_CACHE_HOME"); /* NOLINT(concurrency-mt-unsafe) */
	const char *home = getenv("HOME");	      /* NOLINT(concurrency-mt-unsafe) */
	uint64_t key = lmm_hash_u64(lmm_hash_str(LMM_HASH_SEED, cpu), cpus);
	int n;

	/* a relative path does not count: XDG's rule */
	if (cache && cache[0] == '/') {
		n = snprintf(path, bytes, "%s/lmmeter/peaks-%016" PRIx64 ".json", cache, key);
	} else if (home && home[0] == '/') {
		n = snprintf(path, bytes, "%s/.cache/lmmeter/peaks-%016" PRIx64 ".json", home, key);
	} else {
		return -ENOENT;
	}
	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}
