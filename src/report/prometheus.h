/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session as Prometheus reads it: text exposition, version 0.0.4. docs/export.md has the names. What is measured as OpenTelemetry's
 * conventions for generative AI describe it has their name, all else begins with lmmeter_.
 */
#ifndef LMM_REPORT_PROMETHEUS_H
#define LMM_REPORT_PROMETHEUS_H

#include <stdio.h>

#include "analyze/settled.h"

/* Remembers what counters have said: none ever goes back. */
struct lmm_prometheus;

struct lmm_prometheus *lmm_prometheus_create(void);    /* NULL: no memory */
void lmm_prometheus_destroy(struct lmm_prometheus *p); /* accepts NULL */

struct lmm_prometheus_opts {
	int has_ended;	     /* nobody records any more */
	uint64_t own_cpu_ns; /* of the process that answers */
};

/* 0 or -ENOMEM. Write errors stay in out's error flag. */
int lmm_prometheus_write(struct lmm_prometheus *p, const struct lmm_settled *s,
			 const struct lmm_prometheus_opts *opts, FILE *out);

#endif
