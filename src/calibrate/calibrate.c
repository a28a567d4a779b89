/* SPDX-License-Identifier: Apache-2.0 */
#include "calibrate/calibrate.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "calibrate/calibrate_internal.h"

/* Rounds over all points, so that a disturbance that lasts meets each of them at most in part. */
#define ROUNDS		3u
#define REPETITIONS_MIN 4u /* of a point in a round */
/* Short, so that some pass between two turns of others; many, if there is time for them. */
#define REPETITION_NS	  2500000.0
#define REPETITION_NS_MIN 500000.0
/* Between threads counts that are measured all: up to here; beyond, half as many again each time. */
#define DENSE_MAX 8u

#define MIB		((uint64_t)1 << 20)
#define WORKING_SET_MIN (128 * MIB)
#define WORKING_SET_MAX (2048 * MIB)
#define PAGE		4096u

enum point_kind { POINT_MEMORY, POINT_F32, POINT_INT8, POINT_CACHE };

struct point {
	enum point_kind kind;
	uint32_t row, cache;
	uint32_t n;
	double rates[ROUNDS * REPETITIONS_MAX];
};

struct plan {
	const struct lmm_calibrate_opts *opts;
	struct lmm_peaks *p;
	struct kernels kernels;
	uint64_t repetition_ns;
	uint32_t repetitions;
	struct point *points;
	uint32_t n_points;
};

uint32_t lmm_calibrate_threads(void)
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n > 0 ? (uint32_t)n : 1;
}

/* ---- what is to be measured --------------------------------------------------------------------- */

static void plan_threads(struct lmm_peaks *p, uint32_t most)
{
	for (uint32_t t = 1; p->n_rows + 1 < LMM_PEAKS_ROWS_MAX && t < most;) {
		p->rows[p->n_rows++].threads = t;
		t += t < DENSE_MAX ? 1 : t / 2;
	}
	p->rows[p->n_rows++].threads = most;
}

/* Half of a private cache, and of the last one a share that leaves room when all threads use it. */
static void plan_caches(struct lmm_peaks *p, const struct caches *c, uint32_t most)
{
	unsigned last = LEVELS_MAX;

	while (last && c->bytes[last - 1] == 0)
		last--;
	for (unsigned i = 0; i < last; i++) {
		uint64_t bytes = c->bytes[i] / 2, below = i ? c->bytes[i - 1] : 0;

		if (i + 1 == last && i > 0) {
			bytes = c->last_bytes / 2 / most;
			bytes = bytes > c->bytes[i] / 2 ? c->bytes[i] / 2 : bytes;
		}
		bytes -= bytes % PAGE;
		/* what fits into the cache below would measure that one */
		if (bytes == 0 || bytes < 2 * below || p->n_caches == LMM_PEAKS_CACHES_MAX)
			continue;
		p->caches[p->n_caches].level = i + 1;
		p->caches[p->n_caches++].bytes = bytes;
	}
}

/* Four times what all caches of the last level hold, if a quarter of the memory that is free allows it. */
static uint64_t working_set(const struct caches *c)
{
	long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t bytes = c->last_bytes * 4, room;

	bytes = bytes < WORKING_SET_MIN ? WORKING_SET_MIN : bytes;
	bytes = bytes > WORKING_SET_MAX ? WORKING_SET_MAX : bytes;
	room = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 4 : bytes;
	return bytes < room ? bytes : room;
}

static void plan_point(struct plan *plan, enum point_kind kind, uint32_t row, uint32_t cache)
{
	plan->points[plan->n_points++] = (struct point){ .kind = kind, .row = row, .cache = cache };
}

static int plan_make(struct plan *plan, const struct caches *c)
{
	struct lmm_peaks *p = plan->p;
	uint32_t most = plan->opts->threads ? plan->opts->threads : lmm_calibrate_threads();
	double each;

	plan_threads(p, most);
	plan_caches(p, c, most);
	p->cache_bytes = c->last_bytes;
	p->working_set_bytes = working_set(c);
	plan->points =
		calloc((size_t)p->n_rows * (3 + LMM_PEAKS_CACHES_MAX), sizeof(*plan->points));
	if (!plan->points)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_rows; i++) {
		plan_point(plan, POINT_MEMORY, i, 0);
		plan_point(plan, POINT_F32, i, 0);
		if (plan->kernels.int8)
			plan_point(plan, POINT_INT8, i, 0);
		for (uint32_t k = 0; k < p->n_caches; k++)
			plan_point(plan, POINT_CACHE, i, k);
	}
	each = plan->opts->seconds * 1e9 / ((double)plan->n_points * ROUNDS);
	plan->repetitions = REPETITIONS_MIN;
	while (plan->repetitions < REPETITIONS_MAX && plan->repetitions * REPETITION_NS < each)
		plan->repetitions++;
	/* one more to warm up */
	each /= plan->repetitions + 1;
	plan->repetition_ns = (uint64_t)(each < REPETITION_NS_MIN ? REPETITION_NS_MIN : each);
	return 0;
}

/* ---- measuring ---------------------------------------------------------------------------------- */

static struct job job_of(const struct plan *plan, const struct point *x)
{
	const struct lmm_peaks *p = plan->p;
	struct job job = { .kernels = &plan->kernels,
			   .threads = p->rows[x->row].threads,
			   .repetitions = plan->repetitions,
			   .repetition_ns = plan->repetition_ns };
	uint64_t slice = p->working_set_bytes / job.threads;

	job.work = x->kind == POINT_F32 ? WORK_F32 : x->kind == POINT_INT8 ? WORK_INT8 : WORK_READ;
	if (x->kind == POINT_MEMORY)
		job.bytes = (size_t)(slice < PAGE ? PAGE : slice - slice % PAGE);
	if (x->kind == POINT_CACHE)
		job.bytes = (size_t)p->caches[x->cache].bytes;
	return job;
}

static int point_run(struct plan *plan, uint32_t round, uint32_t at)
{
	static const char *const names[] = { "memory", "f32", "int8", "cache" };
	struct point *x = &plan->points[at];
	const struct job job = job_of(plan, x);
	double rates[REPETITIONS_MAX];
	char what[64];
	int rc;

	(void)snprintf(what, sizeof(what), "%s, %u %s", names[x->kind], job.threads,
		       job.threads == 1 ? "thread" : "threads");
	if (plan->opts->progress &&
	    plan->opts->progress(plan->opts->ctx,
				 (double)(round * plan->n_points + at) / (ROUNDS * plan->n_points),
				 what))
		return -EINTR;
	rc = lmm__job_run(&job, rates);
	for (uint32_t i = 0; rc == 0 && i < plan->repetitions; i++)
		x->rates[x->n++] = rates[i];
	return rc;
}

static void point_store(const struct plan *plan, struct point *x)
{
	struct lmm_peaks_row *row = &plan->p->rows[x->row];
	struct lmm_peak peak = lmm_peak_of(x->rates, x->n);

	switch (x->kind) {
	case POINT_MEMORY:
		row->read = peak;
		break;
	case POINT_F32:
		row->f32 = peak;
		break;
	case POINT_INT8:
		row->int8 = peak;
		break;
	case POINT_CACHE:
		row->cache[x->cache] = peak;
		break;
	}
}

int lmm_calibrate_cpu(const struct lmm_calibrate_opts *opts, struct lmm_peaks *p)
{
	struct plan plan = { .opts = opts, .p = p };
	struct timespec now;
	struct caches caches;
	int rc;

	lmm__kernels_choose(&plan.kernels);
	(void)snprintf(p->f32_isa, sizeof(p->f32_isa), "%s", plan.kernels.f32_isa);
	(void)snprintf(p->int8_isa, sizeof(p->int8_isa), "%s", plan.kernels.int8_isa);
	lmm__caches_read(CPU_FOLDER, &caches);
	rc = plan_make(&plan, &caches);
	for (uint32_t r = 0; rc == 0 && r < ROUNDS; r++) {
		for (uint32_t i = 0; rc == 0 && i < plan.n_points; i++)
			rc = point_run(&plan, r, i);
	}
	for (uint32_t i = 0; rc == 0 && i < plan.n_points; i++)
		point_store(&plan, &plan.points[i]);
	if (clock_gettime(CLOCK_REALTIME, &now) == 0) {
		p->measured_realtime_ns =
			(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	}
	free(plan.points);
	return rc;
}
