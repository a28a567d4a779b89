/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory or compute. With measured peaks it is the one of which more is used. Without, the recording itself is the ruler: who moves
 * bytes nearly as fast as anyone while others compute several times as much could compute more, if the bytes came. And where
 * operators that need few bytes and such that need many stop at the same FLOP/s, it is not the bytes that hold them back; that
 * somebody is the fastest says nothing.
 */
#include <string.h>

#include "analyze/findings_internal.h"

#define NEAR_MEASURED_PERCENT 60 /* few kernels come nearer to a peak of long, plain loops */
#define NEAR_SEEN_PERCENT     70
#define FAR_SEEN_PERCENT      25	/* four times as much was seen to be possible */
#define SEEN_SHARE	      0.01	/* of the device's time, to count among the best */
#define SEEN_BYTES	      1048576.0 /* per run: less may come out of a core's own cache */
#define BOUND_MIN_PERCENT     10.0
#define PLATEAU_FACTOR	      4.0

/* Bytes and FLOPs are of all runs, timed or not. */
static double kernel_ns(const struct lmm_result_kernel *k)
{
	return k->estimate_ns;
}

struct lmm_bound_found lmm_bound_find(double ns, double bytes, double flops,
				      const struct lmm_peaks *peaks)
{
	struct lmm_bound_found to = { .bound = LMM_BOUND_UNKNOWN,
				      .certainty =
					      peaks->is_measured ? LMM_ESTIMATED : LMM_COMPARED };
	double near = peaks->is_measured ? NEAR_MEASURED_PERCENT : NEAR_SEEN_PERCENT;
	int is_memory, is_compute;

	if (!(ns > 0) || !(peaks->bytes_per_second > 0) || !(peaks->flops_per_second > 0))
		return to;
	to.bytes_percent = 100 * bytes / ns * 1e9 / peaks->bytes_per_second;
	to.flops_percent = 100 * flops / ns * 1e9 / peaks->flops_per_second;
	is_memory = to.bytes_percent >= near;
	is_compute = to.flops_percent >= near;
	if (peaks->is_measured) {
		is_memory &= to.bytes_percent >= to.flops_percent;
	} else {
		is_memory &= to.flops_percent <= FAR_SEEN_PERCENT;
		is_compute &= peaks->is_plateau;
	}
	if (is_memory) {
		to.bound = LMM_BOUND_MEMORY;
	} else if (is_compute) {
		to.bound = LMM_BOUND_COMPUTE;
	}
	return to;
}

/* Those of the device that count: enough time, and arithmetic at all. */
static int is_ruler(const struct lmm_result_kernel *k, const char *device, double whole_ns)
{
	return strcmp(k->device, device) == 0 && kernel_ns(k) > SEEN_SHARE * whole_ns &&
	       k->flops > 0;
}

static double rate_of(const struct lmm_result_kernel *k, uint64_t amount)
{
	return (double)amount / kernel_ns(k) * 1e9;
}

static void best_seen(const struct lmm_result *r, double whole_ns, struct lmm_peaks *best)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];
		double runs = (double)(k->stats.count + k->untimed);

		if (!is_ruler(k, best->device, whole_ns))
			continue;
		if (rate_of(k, k->flops) > best->flops_per_second)
			best->flops_per_second = rate_of(k, k->flops);
		if ((double)k->bytes >= SEEN_BYTES * runs &&
		    rate_of(k, k->bytes) > best->bytes_per_second)
			best->bytes_per_second = rate_of(k, k->bytes);
	}
}

/* FLOPs per byte of those that compute at nearly the best rate: are they far apart? */
static int plateau_seen(const struct lmm_result *r, double whole_ns, const struct lmm_peaks *best)
{
	double least = 0, most = 0;

	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];
		double intensity;

		if (!is_ruler(k, best->device, whole_ns) || k->bytes == 0 ||
		    100 * rate_of(k, k->flops) < NEAR_SEEN_PERCENT * best->flops_per_second)
			continue;
		intensity = (double)k->flops / (double)k->bytes;
		if (intensity > most)
			most = intensity;
		if (least == 0 || intensity < least)
			least = intensity;
	}
	return most >= PLATEAU_FACTOR * least && least > 0;
}

struct lmm_peaks lmm_peaks_seen(const struct lmm_result *r, const char *device)
{
	struct lmm_peaks best = { .device = device };
	double whole = 0;

	for (size_t i = 0; i < r->n_kernels; i++) {
		if (strcmp(r->kernels[i].device, device) == 0)
			whole += kernel_ns(&r->kernels[i]);
	}
	best_seen(r, whole, &best);
	best.is_plateau = (uint8_t)plateau_seen(r, whole, &best);
	return best;
}

/* What operators of a phase that have one bound are together, and the longest of them. */
struct bound_sum {
	unsigned n;
	double ns, phase_ns;
	const struct lmm_result_kernel *longest;
	struct lmm_bound_found of_longest;
	struct lmm_peaks peaks;
};

static struct lmm_peaks peaks_of(const struct finding_list *l, const char *device)
{
	for (size_t i = 0; i < l->n_peaks; i++) {
		if (strcmp(l->peaks[i].device, device) == 0)
			return l->peaks[i];
	}
	return lmm_peaks_seen(l->r, device);
}

static struct bound_sum bound_sum(const struct finding_list *l, unsigned phase,
				  enum lmm_bound bound)
{
	const struct lmm_result *r = l->r;
	struct bound_sum s = { 0 };

	for (size_t i = 0; i < r->n_kernels; i++) { /* the longest first */
		const struct lmm_result_kernel *k = &r->kernels[i];
		struct lmm_peaks peaks;
		struct lmm_bound_found found;

		if (k->phase != phase)
			continue;
		s.phase_ns += kernel_ns(k);
		if (k->flops == 0)
			continue;
		peaks = peaks_of(l, k->device);
		found = lmm_bound_find(kernel_ns(k), (double)k->bytes, (double)k->flops, &peaks);
		if (found.bound != bound)
			continue;
		s.n++;
		s.ns += kernel_ns(k);
		if (s.longest)
			continue;
		s.longest = k;
		s.of_longest = found;
		s.peaks = peaks;
	}
	return s;
}

static void find_bound(struct finding_list *l, unsigned phase, enum lmm_bound bound,
		       enum lmm_finding_kind kind)
{
	const struct bound_sum s = bound_sum(l, phase, bound);
	struct lmm_finding f;
	double ns;

	if (!s.longest)
		return;
	ns = kernel_ns(s.longest);
	f = lmm__finding(kind, (enum lmm_certainty)s.of_longest.certainty, phase, s.ns);
	f.kernel = s.longest->name;
	f.span = l->r->evidence.phases[phase].all;
	lmm__finding_say(&f, "operators", s.n);
	lmm__finding_say(&f, "phase_percent", 100 * s.ns / s.phase_ns);
	lmm__finding_say(&f, "bytes_per_second", (double)s.longest->bytes / ns * 1e9);
	lmm__finding_say(&f, "best_bytes_per_second", s.peaks.bytes_per_second);
	lmm__finding_say(&f, "flops_per_second", (double)s.longest->flops / ns * 1e9);
	lmm__finding_say(&f, "best_flops_per_second", s.peaks.flops_per_second);
	lmm__finding_add(l, &f, BOUND_MIN_PERCENT);
}

void lmm__find_bound(struct finding_list *l)
{
	static const uint8_t phases[] = { LMM_PHASE_PREFILL, LMM_PHASE_DECODE };

	for (size_t i = 0; i < sizeof(phases); i++) {
		find_bound(l, phases[i], LMM_BOUND_MEMORY, LMM_FINDING_MEMORY_BOUND);
		find_bound(l, phases[i], LMM_BOUND_COMPUTE, LMM_FINDING_COMPUTE_BOUND);
	}
}
