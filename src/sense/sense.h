/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what the machine says about itself: clocks, heat, power, memory. docs/sensors.md lists the files. Used in the lmmeter
 * process only. Everything is optional: what is not there is described as absent, with the reason, and nothing fails.
 *
 * Files are looked for and opened once; a round is one pread(2) per file. One thread at a time.
 */
#ifndef LMM_SENSE_SENSE_H
#define LMM_SENSE_SENSE_H

#include <stdint.h>

#include "lmmeter/trace.h"

struct lmm_sense;

#define LMM_SENSE_NVML	    "libnvidia-ml.so.1"
#define LMM_SENSE_PERIOD_NS 100000000u /* of rounds, while they are cheap */

struct lmm_sense_opts {
	const char *
		root; /* "" or NULL: this machine; else a folder with sys/ and proc/ as a machine has them */
	uint8_t process;  /* 1: how one process fares, once lmm_sense_watch() has named it */
	const char *nvml; /* NVIDIA's management library, by name or path; NULL: not asked */
};

/* Looks for sensors; takes some milliseconds. NULL: no memory. */
struct lmm_sense *lmm_sense_create(const struct lmm_sense_opts *opts);
void lmm_sense_destroy(struct lmm_sense *s); /* accepts NULL */

/* All sensors, those that are absent behind those that are read. Strings are valid as long as s is. */
unsigned lmm_sense_count(const struct lmm_sense *s);
const struct lmm_sensor *lmm_sense_sensor(const struct lmm_sense *s, unsigned i);

/*
 * One round, stamped `ticks`. Heat, throttling, governors and memory change slowly: such a sensor is read in every tenth round
 * and keeps its value in between. What cannot be read or makes no sense is left out of this round. *out is valid until the
 * next call.
 */
void lmm_sense_read(struct lmm_sense *s, uint64_t ticks, struct lmm_samples *out);

/*
 * When the next round may come: LMM_SENSE_PERIOD_NS after the last one, or later where rounds are dear, so that they use
 * no more than 0.1 % of a core and do not hold the caller up for more than 2 % of the time.
 */
uint64_t lmm_sense_period_ns(const struct lmm_sense *s);

/*
 * From now on the process's sensors speak of this one; until then they say nothing. Its threads are looked for once a second,
 * the first 16 are read.
 */
void lmm_sense_watch(struct lmm_sense *s, int32_t pid);

/* CPU time of a round, mean of the last ones. */
uint64_t lmm_sense_cost_ns(const struct lmm_sense *s);

#endif
