/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of a recording over HTTP, for Prometheus: answers whoever asks for /metrics, in the thread that polls. Nothing listens
 * unless this is opened.
 */
#ifndef LMM_CLI_SERVING_H
#define LMM_CLI_SERVING_H

#include "analyze/settled.h"

struct lmm_serving;

/* What is known now, at a scrape. *is_over: nothing more will come. 0, or a negative error. */
typedef int lmm_serving_fn(void *ctx, struct lmm_settled *out, int *is_over);

struct lmm_serving_opts {
	const char *where; /* ADDRESS:PORT; port 0: one that is free */
	int allow_remote;  /* the address may be another than a loopback's */
	lmm_serving_fn *look;
	void *ctx;
};

/* 0; else an lmm_error() has said why nothing listens: 1, or 2 where the address makes no sense. */
int lmm_serving_open(const struct lmm_serving_opts *opts, struct lmm_serving **out);

/* http://ADDRESS:PORT/metrics */
const char *lmm_serving_url(const struct lmm_serving *s);

/* Answers what has come, and waits up to ms for more. A signal ends the waiting. */
void lmm_serving_poll(struct lmm_serving *s, int ms);

/* Accepts NULL. */
void lmm_serving_close(struct lmm_serving *s);

#endif
