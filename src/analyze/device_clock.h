/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's clock on the session's timeline, from pairs of instants with known uncertainty (DEVICE_CLOCK events). A stamp is
 * placed by what leaves the least doubt: between its two neighbours, or from one pair, whose uncertainty grows with the distance as
 * clocks drift. Fed online, in the order of the events; small, and free of pointers.
 */
#ifndef LMM_ANALYZE_DEVICE_CLOCK_H
#define LMM_ANALYZE_DEVICE_CLOCK_H

#include <stdint.h>

#include "lmmeter/trace.h"

#define LMM_DEVICE_CLOCK_SAMPLES 8 /* newest ones that are kept, beside the first */

/* Host: session ticks, within error to either side; device: its own ticks. */
struct lmm_clock_sample {
	uint64_t host, device, error;
};

/* Zeroed it knows nothing. */
struct lmm_device_clock {
	uint32_t n, next; /* of newest[] */
	uint32_t dropped; /* new ones in a row */
	struct lmm_clock_sample first;
	struct lmm_clock_sample newest[LMM_DEVICE_CLOCK_SAMPLES];
};

/*
 * Takes a DEVICE_CLOCK event. Pairs that a late stamp spoilt are told by those that contradict them, whichever came first, and dropped.
 * nominal: session ticks per device tick, were both as fast as they say. 0, or -1 if it makes no sense.
 */
int lmm_device_clock_add(struct lmm_device_clock *c, const struct lmm_event *e, double nominal);

/*
 * Session ticks of a device stamp; *error gets how far off that may be. 0 if nothing is known of the clock.
 * nominal: session ticks per device tick, were both as fast as they say.
 */
uint64_t lmm_device_clock_place(const struct lmm_device_clock *c, uint64_t stamp, double nominal,
				uint64_t *error);

/* That rate, for a device clock of so many ticks per second (0: the session's clock). */
double lmm_device_clock_rate(uint64_t ticks_per_second, double session_ns_per_tick);

#endif
