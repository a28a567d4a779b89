/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one operator slower: behind each run of an operator named TEST_SLOW ("ffn_out" for "ffn_out-0", "ffn_out-1", …) the
 * first compute thread spins for TEST_SLOW_NS. An operator lasts until the next one starts, so the time is its own.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "next.h"

static const char *slow_name;
static uint64_t slow_ns;

__attribute__((constructor)) static void start(void)
{
	const char *ns = getenv("TEST_SLOW_NS");

	slow_name = getenv("TEST_SLOW");
	slow_ns = ns ? strtoull(ns, NULL, 10) : 0;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

const char *ggml_get_name(const void *tensor);

static bool is_slow(const void *node)
{
	static __typeof__(&ggml_get_name) name_of;
	const char *name;
	size_t n = slow_name ? strlen(slow_name) : 0;

	if (n == 0)
		return false;
	if (!name_of)
		*(void **)&name_of = next_function("ggml_get_name", __builtin_return_address(0));
	name = name_of(node);
	return strncmp(name, slow_name, n) == 0 && (name[n] == '-' || name[n] == '\0');
}

static void spin(const int *ith, const void *node)
{
	uint64_t end;

	if (*ith != 0 || !is_slow(node))
		return;
	end = now_ns() + slow_ns;
	while (now_ns() < end)
		;
}

/* The first member of ggml's compute parameters is the number of the thread. */
bool ggml_cpu_extra_compute_forward(int *params, void *node);
bool ggml_cpu_extra_compute_forward(int *params, void *node)
{
	bool done;

	NEXT(ggml_cpu_extra_compute_forward);
	done = next(params, node);
	spin(params, node);
	return done;
}

void ggml_compute_forward_rms_norm_mul_fused(int *params, void *node, void *mul);
void ggml_compute_forward_rms_norm_mul_fused(int *params, void *node, void *mul)
{
	NEXT(ggml_compute_forward_rms_norm_mul_fused);
	next(params, node, mul);
	spin(params, node);
}
