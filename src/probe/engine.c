/* SPDX-License-Identifier: Apache-2.0 */
/* What all engine adapters share: who the engine is, and numbers for its steps and calls. */
#include <stdatomic.h>

#include "probe/probe.h"

static _Atomic uint32_t described; /* recording word of the last description */

static void describe(const char *name, const char *version, const char *door)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_str(&b, name);
	lmm_buf_put_str(&b, version);
	lmm_buf_put_str(&b, door);
	lmm_session_describe(LMM_DESC_ENGINE, &b);
	lmm_buf_free(&b);
}

void lmm_engine_after_fork(void)
{
	atomic_store(&described, 0);
}

bool lmm_engine_is_described(void)
{
	uint32_t now = lmm_recording();

	return !now || atomic_load_explicit(&described, memory_order_relaxed) == now;
}

void lmm_engine_describe_by(const char *name, const char *version, const char *door)
{
	uint32_t now = lmm_recording();

	if (now && atomic_exchange(&described, now) != now)
		describe(name, version, door);
}

void lmm_engine_describe(const char *name, const char *version)
{
	lmm_engine_describe_by(name, version, "");
}

void lmm_engine_describe_unknown(const char *door)
{
	/* an engine that is known will say so itself, now or later */
	if (!lmm_engine_is_described())
		describe("unknown", "", door);
}

uint32_t lmm_step_next(void)
{
	static _Atomic uint32_t next = 1;

	return atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
}

uint32_t lmm_graph_next(void)
{
	static _Atomic uint32_t next = 1;

	return atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
}

uint32_t lmm_call_next(void)
{
	static _Atomic uint32_t next = 1;

	return atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
}
