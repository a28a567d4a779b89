/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze/roofline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

const char *lmm_bound_name(unsigned bound)
{
	static const char *const names[] = { "unknown", "memory", "compute", "neither" };

	return bound < LMM_ARRAY_SIZE(names) ? names[bound] : "unknown";
}

static const struct lmm_roof *roof_of(const struct lmm_roofline_peaks *p, const char *device,
				      unsigned phase)
{
	static const struct lmm_roof none;

	if (strcmp(device, "CPU") == 0)
		return phase == LMM_PHASE_PREFILL ? &p->cpu_prefill : &p->cpu;
	for (uint32_t i = 0; i < p->n_devices; i++) {
		if (strcmp(p->devices[i].name, device) == 0)
			return &p->devices[i].roof;
	}
	return &none;
}

/* Engines multiply quantised weights with activations that they quantise to 8 bits, too. */
static int is_quantised(const char *type)
{
	static const char *const starts[] = { "q", "iq", "tq", "mxfp", "nvfp", "i8" };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(starts); i++) {
		if (strncmp(type, starts[i], strlen(starts[i])) == 0)
			return 1;
	}
	return 0;
}

/* ---- one row ------------------------------------------------------------------------------------ */

/* Least times by either peak; < 0: not known. */
struct least {
	double memory_ns, compute_ns;
};

static double least_ns(double amount, double per_second)
{
	if (amount <= 0)
		return 0;
	return per_second > 0 ? amount / per_second * 1e9 : -1;
}

/* What belongs to no node of a graph (transfers, an engine's own kernels) is not held against peaks. */
static int is_known(const struct lmm_roofline_row *x)
{
	return (!x->kernel || x->kernel->op[0]) && (x->bytes > 0 || x->flops > 0);
}

static void rates_fill(struct lmm_roofline_row *x)
{
	double seconds = x->time_ns / 1e9;

	x->bytes_per_second = seconds > 0 ? x->bytes / seconds : 0;
	x->flops_per_second = seconds > 0 ? x->flops / seconds : 0;
	x->intensity = x->bytes > 0 ? x->flops / x->bytes : -1;
}

/* memory_bound_ns: the part of roof_ns where memory is the nearer roof. */
static void bound_fill(struct lmm_roofline_row *x, const struct least *t, double memory_bound_ns)
{
	x->memory_percent = x->compute_percent = x->roof_percent = -1;
	if (x->time_ns <= 0 || !is_known(x)) {
		x->roof_ns = -1;
		return;
	}
	if (t->memory_ns >= 0)
		x->memory_percent = 100 * t->memory_ns / x->time_ns;
	if (t->compute_ns >= 0)
		x->compute_percent = 100 * t->compute_ns / x->time_ns;
	if (x->roof_ns < 0)
		return;
	x->roof_percent = 100 * x->roof_ns / x->time_ns;
	if (x->roof_percent < LMM_ROOFLINE_BOUND_PERCENT) {
		x->bound = LMM_BOUND_NEITHER;
	} else {
		x->bound = 2 * memory_bound_ns >= x->roof_ns ? LMM_BOUND_MEMORY : LMM_BOUND_COMPUTE;
	}
}

static double filled_positions(const struct lmm_result *r, unsigned phase)
{
	return phase == LMM_PHASE_DECODE    ? r->steps.decode_positions
	       : phase == LMM_PHASE_PREFILL ? r->steps.prefill_positions
					    : -1;
}

/* How much of the window that attention was shown was filled, where the engine skips the rest: ggml on the CPU. */
static double filled_part(const struct lmm_result *r, const struct lmm_result_kernel *k)
{
	double window, filled = filled_positions(r, k->phase),
		       runs = (double)(k->stats.count + k->untimed);

	if (k->cache_positions == 0 || runs <= 0 || filled < 0 || strcmp(k->device, "CPU") != 0)
		return 1;
	window = (double)k->cache_positions / runs;
	return filled < window ? filled / window : 1;
}

static void kernel_row(const struct lmm_result *r, const struct lmm_roofline_peaks *peaks,
		       const struct lmm_result_kernel *k, struct lmm_roofline_row *x,
		       struct least *t)
{
	const struct lmm_roof *roof = roof_of(peaks, k->device, k->phase);
	double part = filled_part(r, k);

	x->kernel = k;
	x->phase = k->phase;
	x->count = k->stats.count + k->untimed;
	x->time_ns = k->estimate_ns;
	x->bytes = (double)k->bytes - (double)k->cache_bytes * (1 - part);
	x->flops = (double)k->flops * part;
	x->is_int8 = is_quantised(k->weight_type) && roof->int8_ops > 0;
	rates_fill(x);
	t->memory_ns = least_ns(x->bytes, roof->read_bytes);
	t->compute_ns = least_ns(x->flops, x->is_int8 ? roof->int8_ops : roof->f32_ops);
	x->roof_ns = t->memory_ns < 0 || t->compute_ns < 0 ? -1
		     : t->memory_ns > t->compute_ns	   ? t->memory_ns
							   : t->compute_ns;
	bound_fill(x, t, t->memory_ns >= t->compute_ns ? x->roof_ns : 0);
}

/* ---- phases ------------------------------------------------------------------------------------- */

static double sum(double a, double b)
{
	return a < 0 || b < 0 ? -1 : a + b;
}

/* All kernels of it, over the whole time of the phase. */
static void phase_row(const struct lmm_roofline *l, const struct least *each,
		      const struct lmm_result_phase *p, struct lmm_roofline_row *x)
{
	struct least all = { 0, 0 };
	double memory_bound_ns = 0;

	x->phase = p->phase;
	x->count = p->stats.count;
	x->time_ns = p->stats.total_ns;
	for (size_t i = 0; i < l->n_kernels; i++) {
		const struct lmm_roofline_row *k = &l->kernels[i];

		if (k->phase != p->phase || !is_known(k))
			continue;
		x->bytes += k->bytes;
		x->flops += k->flops;
		all.memory_ns = sum(all.memory_ns, each[i].memory_ns);
		all.compute_ns = sum(all.compute_ns, each[i].compute_ns);
		x->roof_ns = sum(x->roof_ns, k->roof_ns);
		if (each[i].memory_ns >= each[i].compute_ns)
			memory_bound_ns += k->roof_ns;
	}
	rates_fill(x);
	bound_fill(x, &all, memory_bound_ns);
}

static int has_kernels(const struct lmm_roofline *l, unsigned phase)
{
	for (size_t i = 0; i < l->n_kernels; i++) {
		if (l->kernels[i].phase == phase && is_known(&l->kernels[i]))
			return 1;
	}
	return 0;
}

/* ---- whole tokens ------------------------------------------------------------------------------- */

/* The device that reads most of what a token needs. */
static const char *mbu_device(const struct lmm_roofline *l)
{
	const struct lmm_result_kernel *most = NULL;

	for (size_t i = 0; i < l->n_kernels; i++) {
		const struct lmm_result_kernel *k = l->kernels[i].kernel;

		if (k->phase == LMM_PHASE_DECODE &&
		    (!most ||
		     k->weight_bytes + k->cache_bytes > most->weight_bytes + most->cache_bytes))
			most = k;
	}
	return most ? most->device : "CPU";
}

static void mbu_bytes(const struct lmm_roofline *l, const struct lmm_result *r, struct lmm_mbu *m)
{
	double steps = (double)r->steps.decode.count;

	for (size_t i = 0; i < l->n_kernels; i++) {
		const struct lmm_result_kernel *k = l->kernels[i].kernel;
		double part = filled_part(r, k);

		if (k->phase != LMM_PHASE_DECODE)
			continue;
		m->weight_bytes += (double)k->weight_bytes / steps;
		m->cache_bytes += (double)k->cache_bytes * part / steps;
		m->from_window |= k->cache_positions && r->steps.decode_positions < 0;
	}
	if (m->weight_bytes > 0 || r->n_models != 1)
		return;
	m->from_model_size = 1;
	m->weight_bytes = (double)r->models[0].size_bytes;
}

static double mbu_percent(const struct lmm_mbu *m, double ns)
{
	if (!(ns > 0) || !(m->peak_bytes_per_second > 0))
		return -1;
	return 100 * (m->weight_bytes + m->cache_bytes) / (ns / 1e9) / m->peak_bytes_per_second;
}

static void mbu_make(const struct lmm_roofline *l, const struct lmm_result *r,
		     const struct lmm_roofline_peaks *peaks, struct lmm_mbu *m)
{
	m->device = mbu_device(l);
	m->percent = m->step_percent = -1;
	if (r->steps.decode.count == 0 || r->itl.count == 0)
		return;
	mbu_bytes(l, r, m);
	if (!(m->weight_bytes > 0))
		return;
	m->is_known = 1;
	m->token_ns = r->itl.mean_ns;
	m->step_ns = r->steps.decode.mean_ns;
	m->peak_bytes_per_second = roof_of(peaks, m->device, LMM_PHASE_DECODE)->read_bytes;
	m->bytes_per_second =
		m->token_ns > 0 ? (m->weight_bytes + m->cache_bytes) / (m->token_ns / 1e9) : 0;
	m->percent = mbu_percent(m, m->token_ns);
	m->step_percent = mbu_percent(m, m->step_ns);
}

/* ---- all ---------------------------------------------------------------------------------------- */

int lmm_roofline_make(const struct lmm_result *r, const struct lmm_roofline_peaks *peaks,
		      struct lmm_roofline *into)
{
	struct least *each = calloc(r->n_kernels + 1, sizeof(*each));

	memset(into, 0, sizeof(*into));
	into->kernels = calloc(r->n_kernels + 1, sizeof(*into->kernels));
	into->phases = calloc(r->n_phases + 1, sizeof(*into->phases));
	if (!each || !into->kernels || !into->phases) {
		free(each);
		lmm_roofline_free(into);
		return -ENOMEM;
	}
	for (size_t i = 0; i < r->n_kernels; i++)
		kernel_row(r, peaks, &r->kernels[i], &into->kernels[i], &each[i]);
	into->n_kernels = r->n_kernels;
	for (size_t i = 0; i < r->n_phases; i++) {
		if (has_kernels(into, r->phases[i].phase))
			phase_row(into, each, &r->phases[i], &into->phases[into->n_phases++]);
	}
	mbu_make(into, r, peaks, &into->mbu);
	free(each);
	return 0;
}

void lmm_roofline_free(struct lmm_roofline *x)
{
	free(x->kernels);
	free(x->phases);
	memset(x, 0, sizeof(*x));
}
