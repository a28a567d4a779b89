/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_CALIBRATE_CALIBRATE_INTERNAL_H
#define LMM_CALIBRATE_CALIBRATE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* ---- kernels.c ---------------------------------------------------------------------------------- */

/* The best that this CPU has. Results are returned so that no compiler leaves the work out. */
struct kernels {
	const char *f32_isa, *int8_isa;
	uint64_t (*read)(const void *data, size_t bytes); /* bytes: whole KiB */
	float (*f32)(uint64_t rounds, float a, float b);
	uint32_t f32_ops;				/* per round */
	int32_t (*int8)(uint64_t rounds, int32_t seed); /* NULL: none */
	uint32_t int8_ops;
};

void lmm__kernels_choose(struct kernels *k);

/* ---- workers.c ---------------------------------------------------------------------------------- */

#define REPETITIONS_MAX 100

enum work { WORK_READ, WORK_F32, WORK_INT8 };

struct job {
	const struct kernels *kernels;
	enum work work;
	uint32_t threads;
	size_t bytes; /* WORK_READ: that each thread goes through again and again */
	uint32_t repetitions;
	uint64_t repetition_ns;
};

/*
 * Bytes or operations per second of all threads, for each repetition: from when the first of them began to when the last one ended,
 * so that threads that only took turns are not added up. 0 or -errno.
 */
int lmm__job_run(const struct job *job, double rates[REPETITIONS_MAX]);

/* ---- caches.c ----------------------------------------------------------------------------------- */

#define LEVELS_MAX 4

/* bytes[i]: of one data cache of level i + 1 as CPU 0 sees it; last_bytes: all of the last level. 0: not known. */
struct caches {
	uint64_t bytes[LEVELS_MAX];
	uint64_t last_bytes;
};

void lmm__caches_read(const char *cpu_folder, struct caches *c);

#define CPU_FOLDER "/sys/devices/system/cpu"

#endif
