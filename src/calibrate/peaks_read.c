/* SPDX-License-Identifier: Apache-2.0 */
/* The file of peaks. It may have been written by another version, moved here from another machine, or edited. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "calibrate/json_read.h"
#include "calibrate/peaks.h"

#define FILE_MAX_BYTES 262144
#define RATE_MAX       1e18
#define THREADS_MAX    65536

struct reading {
	struct lmm_peaks *p;
	char schema[64];
};

/* ---- values ------------------------------------------------------------------------------------- */

/* What follows "name." in path; NULL if it is another one. */
static const char *inside(const char *path, const char *name)
{
	size_t n = strlen(name);

	return strncmp(path, name, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

/* What follows "name.<i>."; i is put into *at. Lists may be longer than we keep: NULL. */
static const char *item(const char *path, const char *name, uint32_t max, uint32_t *at)
{
	const char *p = inside(path, name);
	char *end;
	unsigned long i;

	if (!p)
		return NULL;
	i = strtoul(p, &end, 10);
	if (*end != '.' || i >= max)
		return NULL;
	*at = (uint32_t)i;
	return end + 1;
}

static void text_take(char *to, size_t bytes, const struct lmm_json_value *v)
{
	if (v->kind == LMM_JSON_STRING)
		(void)snprintf(to, bytes, "%s", v->text);
}

/* A whole number from 0 to 2^53; others leave 0. */
static uint64_t whole(const struct lmm_json_value *v)
{
	return v->kind == LMM_JSON_NUMBER && v->number >= 0 && v->number <= 9007199254740992.0
		       ? (uint64_t)v->number
		       : 0;
}

static void peak_take(struct lmm_peak *to, const char *key, const struct lmm_json_value *v)
{
	double rate = v->kind == LMM_JSON_NUMBER ? v->number : 0;

	if (strcmp(key, "best") == 0) {
		to->best = rate;
	} else if (strcmp(key, "median") == 0) {
		to->median = rate;
	} else if (strcmp(key, "worst") == 0) {
		to->worst = rate;
	} else if (strcmp(key, "repetitions") == 0) {
		to->repetitions = (uint32_t)whole(v);
	}
}

/* ---- parts of the document ---------------------------------------------------------------------- */

static void row_take(struct lmm_peaks *p, uint32_t i, const char *key,
		     const struct lmm_json_value *v)
{
	struct lmm_peaks_row *row = &p->rows[i];
	const char *rest;
	uint32_t level;

	p->n_rows = i >= p->n_rows ? i + 1 : p->n_rows;
	if (strcmp(key, "threads") == 0) {
		row->threads = whole(v) <= THREADS_MAX ? (uint32_t)whole(v) : 0;
	} else if ((rest = inside(key, "read_bytes_per_second"))) {
		peak_take(&row->read, rest, v);
	} else if ((rest = inside(key, "f32_flops_per_second"))) {
		peak_take(&row->f32, rest, v);
	} else if ((rest = inside(key, "int8_ops_per_second"))) {
		peak_take(&row->int8, rest, v);
	} else if ((rest = item(key, "caches", LMM_PEAKS_CACHES_MAX, &level))) {
		if (strcmp(rest, "level") == 0) {
			p->caches[level].level = (uint32_t)whole(v);
			p->n_caches = level >= p->n_caches ? level + 1 : p->n_caches;
		} else if (strcmp(rest, "working_set_bytes") == 0) {
			p->caches[level].bytes = whole(v);
		} else if ((rest = inside(rest, "read_bytes_per_second"))) {
			peak_take(&row->cache[level], rest, v);
		}
	}
}

static void device_take(struct lmm_peaks *p, uint32_t i, const char *key,
			const struct lmm_json_value *v)
{
	struct lmm_peaks_device *d = &p->devices[i];
	const char *rest;

	p->n_devices = i >= p->n_devices ? i + 1 : p->n_devices;
	if (strcmp(key, "platform") == 0) {
		text_take(d->platform, sizeof(d->platform), v);
	} else if (strcmp(key, "name") == 0) {
		text_take(d->name, sizeof(d->name), v);
	} else if (strcmp(key, "driver") == 0) {
		text_take(d->driver, sizeof(d->driver), v);
	} else if (strcmp(key, "compute_units") == 0) {
		d->compute_units = (uint32_t)whole(v);
	} else if (strcmp(key, "working_set_bytes") == 0) {
		d->working_set_bytes = whole(v);
	} else if ((rest = inside(key, "read_bytes_per_second"))) {
		peak_take(&d->read, rest, v);
	} else if ((rest = inside(key, "f32_flops_per_second"))) {
		peak_take(&d->f32, rest, v);
	}
}

static int head_take(struct lmm_peaks *p, const struct lmm_json_value *v)
{
	if (strcmp(v->path, "host.cpu") == 0) {
		text_take(p->cpu, sizeof(p->cpu), v);
	} else if (strcmp(v->path, "host.cpus") == 0) {
		p->cpus = (uint32_t)whole(v);
	} else if (strcmp(v->path, "measured_realtime_ns") == 0) {
		/* beyond 2^53: rounded to some hundred ns */
		p->measured_realtime_ns =
			v->number > 0 && v->number < 1.8e19 ? (uint64_t)v->number : 0;
	} else if (strcmp(v->path, "f32_instructions") == 0) {
		text_take(p->f32_isa, sizeof(p->f32_isa), v);
	} else if (strcmp(v->path, "int8_instructions") == 0) {
		text_take(p->int8_isa, sizeof(p->int8_isa), v);
	} else if (strcmp(v->path, "working_set_bytes") == 0) {
		p->working_set_bytes = whole(v);
	} else if (strcmp(v->path, "last_level_cache_bytes") == 0) {
		p->cache_bytes = whole(v);
	}
	return 0;
}

static int value_take(void *ctx, const struct lmm_json_value *v)
{
	struct reading *r = ctx;
	const char *rest;
	uint32_t i;

	if (strcmp(v->path, "schema") == 0) {
		text_take(r->schema, sizeof(r->schema), v);
	} else if ((rest = item(v->path, "cpu", LMM_PEAKS_ROWS_MAX, &i))) {
		row_take(r->p, i, rest, v);
	} else if ((rest = item(v->path, "opencl", LMM_PEAKS_DEVICES_MAX, &i))) {
		device_take(r->p, i, rest, v);
	} else {
		return head_take(r->p, v);
	}
	return 0;
}

/* ---- whether it can be ------------------------------------------------------------------------- */

LMM_PRINTF(3, 4) static int bad(char *why, size_t bytes, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	(void)vsnprintf(why, bytes, format, ap);
	va_end(ap);
	return -EPROTO;
}

static int peak_holds(const struct lmm_peak *p)
{
	return p->worst > 0 && p->median >= p->worst && p->best >= p->median && p->best <= RATE_MAX;
}

static int peak_holds_or_none(const struct lmm_peak *p)
{
	return (p->best == 0 && p->median == 0 && p->worst == 0) || peak_holds(p);
}

static int check(const struct reading *r, char *why, size_t bytes)
{
	const struct lmm_peaks *p = r->p;

	if (strcmp(r->schema, LMM_PEAKS_SCHEMA) != 0) {
		return bad(why, bytes, "its schema is '%s' and not %s", r->schema,
			   LMM_PEAKS_SCHEMA);
	}
	if (!p->cpu[0] || p->cpus == 0)
		return bad(why, bytes, "it does not say of which machine it is (host)");
	if (p->n_rows == 0)
		return bad(why, bytes, "it has no row in cpu[]");
	for (uint32_t i = 0; i < p->n_rows; i++) {
		const struct lmm_peaks_row *row = &p->rows[i];

		if (row->threads == 0 || (i && row->threads <= p->rows[i - 1].threads))
			return bad(why, bytes, "cpu[%u].threads does not ascend from 1", i);
		if (!peak_holds(&row->read) || !peak_holds(&row->f32) ||
		    !peak_holds_or_none(&row->int8))
			return bad(why, bytes, "cpu[%u] has rates that cannot be", i);
	}
	for (uint32_t i = 0; i < p->n_devices; i++) {
		if (!peak_holds_or_none(&p->devices[i].read) ||
		    !peak_holds_or_none(&p->devices[i].f32))
			return bad(why, bytes, "opencl[%u] has rates that cannot be", i);
	}
	return 0;
}

int lmm_peaks_parse(const char *text, size_t n, struct lmm_peaks *p, char *why, size_t why_bytes)
{
	struct reading r = { .p = p };

	memset(p, 0, sizeof(*p));
	why[0] = '\0';
	if (lmm_json_walk(text, n, value_take, &r))
		return bad(why, why_bytes, "it is not JSON");
	return check(&r, why, why_bytes);
}

int lmm_peaks_read(const char *path, struct lmm_peaks *p, char *why, size_t why_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	char *text = NULL;
	struct stat st;
	size_t n = 0;

	why[0] = '\0';
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		rc = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
	} else if (!S_ISREG(st.st_mode)) {
		rc = bad(why, why_bytes, "it is no regular file");
	} else if (st.st_size > FILE_MAX_BYTES) {
		rc = bad(why, why_bytes, "it is too long for one");
	} else {
		text = malloc(FILE_MAX_BYTES);
		rc = text ? 0 : -ENOMEM;
	}
	while (rc == 0 && n < FILE_MAX_BYTES) {
		ssize_t k = read(fd, text + n, FILE_MAX_BYTES - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			rc = -errno;
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	close(fd);
	if (rc == 0)
		rc = lmm_peaks_parse(text, n, p, why, why_bytes);
	free(text);
	return rc;
}
