/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>

static int counter_is_invariant(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(0x80000007u, &a, &b, &c, &d))
		return 0;
	return (d & 1u << 8) != 0;
}

/* The kernel watches the TSC and falls back to hpet or acpi_pm when it misbehaves. Virtual machines run on
 * kvm-clock or hyperv pages, which are scaled TSCs: fine. An unreadable file (Android) is no evidence. */
static int kernel_trusts_counter(void)
{
	char name[32] = "";
	int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
		      O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 1;
	n = read(fd, name, sizeof(name) - 1);
	close(fd);
	if (n <= 0)
		return 1;
	return strncmp(name, "hpet", 4) != 0 && strncmp(name, "acpi_pm", 7) != 0 &&
	       strncmp(name, "jiffies", 7) != 0 && strncmp(name, "refined", 7) != 0;
}
#endif

enum lmm_clock_kind lmm_clock_choose(void)
{
	const char *force = getenv("LMMETER_CLOCK"); /* NOLINT(concurrency-mt-unsafe) */

	if (force && strcmp(force, "monotonic") == 0)
		return LMM_CLOCK_MONOTONIC;
#if defined(__x86_64__)
	if (counter_is_invariant() && kernel_trusts_counter())
		return LMM_CLOCK_TSC;
#elif defined(__aarch64__)
	/* The generic timer is architecturally constant and common to all cores. */
	return LMM_CLOCK_CNTVCT;
#endif
	return LMM_CLOCK_MONOTONIC;
}

void lmm_clock_pair(enum lmm_clock_kind kind, int tries, struct lmm_clock *out)
{
	uint64_t best = UINT64_MAX;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < tries || i == 0; i++) {
		uint64_t n0 = lmm_mono_ns();
		uint64_t t = lmm_ticks((uint8_t)kind);
		uint64_t n1 = lmm_mono_ns();

		if (n1 - n0 < best) {
			best = n1 - n0;
			out->ticks = t;
			out->mono_ns = n0 + (n1 - n0) / 2;
		}
	}
	if (kind == LMM_CLOCK_MONOTONIC) {
		out->mono_ns = out->ticks;
		best = 0;
	}
	out->error_ns = (uint32_t)(best / 2 > UINT32_MAX ? UINT32_MAX : best / 2);
}

void lmm_clock_fit_add(struct lmm_clock_fit *fit, const struct lmm_clock *pair)
{
	const struct lmm_clock *newest = fit->n ? &fit->pairs[fit->n - 1] : NULL;

	if (newest && (pair->ticks <= newest->ticks || pair->mono_ns < newest->mono_ns))
		return;
	if (fit->to_go) {
		fit->to_go--;
		fit->pairs[fit->n - 1] = *pair;
		return;
	}
	if (fit->n == LMM_CLOCK_FIT_MAX) {
		for (uint32_t i = 1; i < LMM_CLOCK_FIT_MAX / 2; i++)
			fit->pairs[i] = fit->pairs[2 * (size_t)i];
		fit->n = LMM_CLOCK_FIT_MAX / 2;
		fit->stride = fit->stride ? fit->stride * 2 : 2;
		/* the pair in hand is a whole new stride behind the last one kept */
		fit->pairs[fit->n++] = *pair;
		return;
	}
	fit->pairs[fit->n++] = *pair;
	fit->to_go = fit->stride > 1 && fit->n > 1 ? fit->stride - 1 : 0;
}

static uint64_t add_ns(uint64_t base, double ns)
{
	if (ns < 0)
		return -ns >= (double)base ? 0 : base - (uint64_t)-ns;
	return ns >= (double)(UINT64_MAX - base) ? UINT64_MAX : base + (uint64_t)ns;
}

uint64_t lmm_clock_fit_ns(const struct lmm_clock_fit *fit, uint64_t ticks)
{
	uint32_t lo = 0, hi;
	const struct lmm_clock *a, *b;
	double rate;

	if (fit->n == 0)
		return ticks;
	a = &fit->pairs[0];
	/* signed: ticks before the first pair are valid */
	if (fit->n == 1)
		return add_ns(a->mono_ns, (double)(int64_t)(ticks - a->ticks));
	hi = fit->n - 1;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (fit->pairs[mid].ticks <= ticks) {
			lo = mid;
		} else {
			hi = mid;
		}
	}
	a = &fit->pairs[lo];
	b = &fit->pairs[hi];
	rate = (double)(b->mono_ns - a->mono_ns) / (double)(b->ticks - a->ticks);
	return add_ns(a->mono_ns, rate * (double)(int64_t)(ticks - a->ticks));
}

double lmm_clock_fit_rate(const struct lmm_clock_fit *fit)
{
	const struct lmm_clock *a, *b;

	if (fit->n < 2)
		return 1.0;
	a = &fit->pairs[0];
	b = &fit->pairs[fit->n - 1];
	return (double)(b->mono_ns - a->mono_ns) / (double)(b->ticks - a->ticks);
}
