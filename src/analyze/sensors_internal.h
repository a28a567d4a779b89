/* SPDX-License-Identifier: Apache-2.0 */
/* What sensors.c keeps and sensors_result.c makes of it. */
#ifndef LMM_ANALYZE_SENSORS_INTERNAL_H
#define LMM_ANALYZE_SENSORS_INTERNAL_H

#include <stdint.h>

#include "lmmeter/trace.h"

#define SENSORS_KEPT 512
#define SOURCES_KEPT 32

struct sensor {
	uint32_t id;
	uint8_t kind, component;
	uint8_t energy; /* 1 + place in sources, 0: it tells neither energy nor power */
	uint32_t name, source, states, absent; /* texts */
	int64_t limit;
	uint32_t part_of;
	uint64_t samples;
	uint64_t t; /* of the newest value */
	int64_t value, first, min, max;
	double weighted;  /* Σ value × ticks */
	uint64_t covered; /* Σ ticks: both ends were sampled */
	uint64_t throttled;
};

/* In uj, or for POWER in uw × ticks. */
struct source {
	double total;
	uint64_t sampled; /* ticks */
	double energy[LMM_PHASE_COUNT];
	uint64_t ticks[LMM_PHASE_COUNT]; /* how long the phase ran while it was sampled */
};

struct sensors {
	struct sensor at[SENSORS_KEPT];
	uint16_t place[LMM_SENSORS_MAX]; /* by number: 1 + index, 0: none */
	uint32_t n, n_sources;
	struct source sources[SOURCES_KEPT];
	uint64_t booked[LMM_PHASE_COUNT]; /* ticks since the newest round */
	uint64_t rounds, begun, newest;
	uint64_t throttled;
};

#endif
