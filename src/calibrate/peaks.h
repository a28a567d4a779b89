/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine can do at most, as it was measured: how many bytes per second can be read, how many operations per second
 * computed. Stored as JSON, schema lmmeter.peaks/1 (docs/json.md).
 */
#ifndef LMM_CALIBRATE_PEAKS_H
#define LMM_CALIBRATE_PEAKS_H

#include <stddef.h>
#include <stdint.h>

#define LMM_PEAKS_SCHEMA      "lmmeter.peaks/1"
#define LMM_PEAKS_ROWS_MAX    64
#define LMM_PEAKS_CACHES_MAX  4
#define LMM_PEAKS_DEVICES_MAX 8
#define LMM_PEAKS_NAME_MAX    160
/* A spread above this says that the machine was not left alone. */
#define LMM_PEAKS_NOISY_PERCENT 10.0

/* Per second, over repetitions; best is the peak. All 0: not measured. */
struct lmm_peak {
	double best, median, worst;
	uint32_t repetitions;
};

struct lmm_peaks_row {
	uint32_t threads;
	struct lmm_peak read; /* bytes from memory, all threads together */
	struct lmm_peak f32;  /* floating-point operations; a product with its sum is two */
	struct lmm_peak int8; /* the same of 8-bit integers, summed up in 32 bits */
	struct lmm_peak cache[LMM_PEAKS_CACHES_MAX]; /* bytes; of peaks.caches */
};

struct lmm_peaks_cache {
	uint32_t level;
	uint64_t bytes; /* that each thread went through */
};

struct lmm_peaks_device {
	char platform[LMM_PEAKS_NAME_MAX], name[LMM_PEAKS_NAME_MAX], driver[LMM_PEAKS_NAME_MAX];
	uint32_t compute_units;
	uint64_t working_set_bytes;
	struct lmm_peak read, f32;
};

struct lmm_peaks {
	char cpu[LMM_PEAKS_NAME_MAX]; /* of the machine; as a recording's host_cpu */
	uint32_t cpus;
	uint64_t measured_realtime_ns;
	char f32_isa[32], int8_isa[32]; /* the instructions that were used; "": not measured */
	uint64_t working_set_bytes;	/* of reading from memory, all threads together */
	uint64_t cache_bytes; /* all caches of the last level, as the system says; 0: it does not */
	struct lmm_peaks_cache caches[LMM_PEAKS_CACHES_MAX];
	uint32_t n_caches;
	struct lmm_peaks_row rows[LMM_PEAKS_ROWS_MAX]; /* by threads, ascending */
	uint32_t n_rows;
	struct lmm_peaks_device devices[LMM_PEAKS_DEVICES_MAX];
	uint32_t n_devices;
};

/* How far below the best the median is, in percent of the best: what the rest of the machine took away. */
double lmm_peak_spread_percent(const struct lmm_peak *p);

/* The largest spread of all, caches left out. */
double lmm_peaks_spread_percent(const struct lmm_peaks *p);

/* Best, median and worst of n (at least 1) values, which are sorted. */
struct lmm_peak lmm_peak_of(double *values, uint32_t n);

/*
 * The row of so many threads; between two that were measured, both in proportion (then is all but best 0). -ENOENT: more or
 * fewer than were measured.
 */
int lmm_peaks_at(const struct lmm_peaks *p, uint32_t threads, struct lmm_peaks_row *row);

/* NULL: none of that name. */
const struct lmm_peaks_device *lmm_peaks_device(const struct lmm_peaks *p, const char *name);

/*
 * Where peaks of such a machine are stored: $XDG_CACHE_HOME/lmmeter/peaks-<key>.json, or below ~/.cache. -ENOENT: neither
 * variable is set to a path; -ENAMETOOLONG.
 */
int lmm_peaks_path(const char *cpu, uint32_t cpus, char *path, size_t bytes);

/*
 * Reads and checks a file. 0, -errno, or -EPROTO: it does not hold peaks. why (not NULL) gets half a sentence then, "" for
 * -errno.
 */
int lmm_peaks_read(const char *path, struct lmm_peaks *p, char *why, size_t why_bytes);

/* The same of text in memory. */
int lmm_peaks_parse(const char *text, size_t n, struct lmm_peaks *p, char *why, size_t why_bytes);

#endif
