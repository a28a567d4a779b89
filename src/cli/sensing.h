/* SPDX-License-Identifier: Apache-2.0 */
/* Sensors of a recording: described at its beginning, sampled while it goes on. */
#ifndef LMM_CLI_SENSING_H
#define LMM_CLI_SENSING_H

#include <stdint.h>

#include "lmmeter/trace.h"

struct lmm_sense;

struct lmm_sensing {
	struct lmm_sense *sense; /* NULL: nothing is sampled (any more) */
	uint64_t next_ns;
	uint8_t clock; /* enum lmm_clock_kind of the session */
	lmm_sink_fn sink;
	void *sink_ctx;
};

/*
 * Gives the sink a SENSOR item for each sensor, present or absent. root: NULL for this machine, else a folder that is a model of
 * one. sink, sink_ctx and clock are set by the caller before. 0, -ENOMEM, or the sink's error.
 */
int lmm_sensing_open(struct lmm_sensing *s, const char *root);

/*
 * Gives the sink a round of samples if one is due, or in any case. Call it right after the rings were emptied: the analysis takes
 * it that what was recorded before a round comes before it. The sink's first error ends it.
 */
void lmm_sensing_poll(struct lmm_sensing *s, int now);

/* How this process fares is sampled from now on. */
void lmm_sensing_watch(struct lmm_sensing *s, int32_t pid);

void lmm_sensing_close(struct lmm_sensing *s);

#endif
