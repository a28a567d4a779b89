/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels by duplication: the probe enqueues every kernel of one name K further times behind itself, and what a decode step
 * takes longer for it is what the kernel takes. The output of such a run is worth nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/verify.h"

static const unsigned repeats[LMM_VERIFY_REPEATS] = { 0, 1, 2, 4 };

/* ---- what a report says of kernels -------------------------------------------------------------- */

static int is_kernel(const struct lmm_result_kernel *k)
{
	return k->phase == LMM_PHASE_DECODE && strcmp(k->device, "CPU") != 0 &&
	       k->stats.count > 0 && strncmp(k->name, "kernel_", 7) == 0 &&
	       strlen(k->name) < LMM_VERIFY_NAME_BYTES;
}

/* Rows of one name differ in their role: they are one kernel for the device. */
static void add_report(struct lmm_verify_kernel *k, const struct lmm_result *r)
{
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *row = &r->kernels[i];

		if (!is_kernel(row) || strcmp(row->name, k->name) != 0)
			continue;
		k->timed_ns += row->stats.total_ns;
		k->timed += (double)row->stats.count;
		k->runs += (double)(row->stats.count + row->untimed);
	}
	k->steps += (double)r->steps.decode.count;
}

static double total_of(const struct lmm_result *r, const char *name)
{
	double total = 0;

	for (size_t i = 0; i < r->n_kernels; i++) {
		if (is_kernel(&r->kernels[i]) && strcmp(r->kernels[i].name, name) == 0)
			total += r->kernels[i].estimate_ns;
	}
	return total;
}

static int is_chosen(const struct lmm_verify_outcome *out, const char *name)
{
	for (unsigned i = 0; i < out->n_kernels; i++) {
		if (strcmp(out->kernels[i].name, name) == 0)
			return 1;
	}
	return 0;
}

/* The longest in sum, `top` of them. */
static void choose(struct lmm_verify_outcome *out, const struct lmm_result *r, unsigned top)
{
	while (out->n_kernels < top) {
		const char *best = NULL;
		double best_ns = 0;

		for (size_t i = 0; i < r->n_kernels; i++) {
			const char *name = r->kernels[i].name;
			double ns;

			if (!is_kernel(&r->kernels[i]) || is_chosen(out, name))
				continue;
			ns = total_of(r, name);
			if (ns > best_ns) {
				best = name;
				best_ns = ns;
			}
		}
		if (!best)
			return;
		(void)snprintf(out->kernels[out->n_kernels].name, LMM_VERIFY_NAME_BYTES, "%s",
			       best);
		out->n_kernels++;
	}
}

/* ---- a run -------------------------------------------------------------------------------------- */

struct taken {
	struct lmm_verify_outcome *out;
	struct lmm_verify_kernel *kernel; /* NULL: kernels are to be chosen */
	unsigned top, times;
};

/* The median of the run's decode steps. */
static int take_step(struct taken *t, const struct lmm_overhead_bench *b, const char *ruler)
{
	struct lmm_overhead_times times = { 0 };
	struct lmm_overhead_run run = { 0 };
	int rc = lmm_overhead_times_read(&times, b->folder, ruler);

	if (rc == 0)
		lmm_overhead_times_sum(&times, &run);
	lmm_overhead_times_free(&times);
	if (rc) {
		lmm_error("cannot read what the reference wrote: %s", lmm_strerror(rc));
		return -1;
	}
	if (!(run.decode_ns > 0)) {
		lmm_error(
			"%s makes no two decode steps in a row: there is nothing that repeated kernels could lengthen",
			b->argv[0]);
		return -1;
	}
	if (t->kernel && t->kernel->n < LMM_VERIFY_POINTS_MAX) {
		t->kernel->repeats[t->kernel->n] = t->times;
		t->kernel->step_ns[t->kernel->n++] = run.decode_ns;
	}
	return 0;
}

static int take(void *arg, const struct lmm_overhead_bench *b, const char *ruler, const char *trace)
{
	const struct lmm_analysis_file_opts opts = { 0 };
	struct taken *t = arg;
	enum lmm_trace_state state;
	struct lmm_result *r;

	if (take_step(t, b, ruler))
		return -1;
	if (t->kernel && t->times)
		return 0;
	if (access(trace, R_OK) || lmm_analysis_file(trace, &opts, &r, &state)) {
		lmm_error("lmmeter recorded nothing of %s", b->argv[0]);
		return -1;
	}
	if (t->kernel) {
		add_report(t->kernel, r);
	} else {
		choose(t->out, r, t->top);
	}
	lmm_result_destroy(r);
	return 0;
}

/* A kernel with `times` further runs, or, without one, the choice. */
static int run(struct lmm_overhead_bench *b, struct taken *t, unsigned number)
{
	char name[32], repeat[LMM_VERIFY_NAME_BYTES + 16];
	struct lmm_overhead_arm arm = {
		.name = name, .with = 1, .budget = "off", .take = take, .arg = t
	};
	double wall_ns;

	(void)snprintf(name, sizeof(name), "kernel%04u", number);
	if (t->kernel && t->times) {
		(void)snprintf(repeat, sizeof(repeat), "%s:%u", t->kernel->name, t->times);
		arm.repeat = repeat;
	}
	return lmm_overhead_run_arm(b, &arm, &wall_ns);
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static unsigned random_below(unsigned n)
{
	uint32_t v = 0;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
		v = (uint32_t)(lmm_mono_ns() >> 10);
	return v % n;
}

static void shuffle(unsigned *v, unsigned n)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned k = random_below(i), x = v[k];

		v[k] = v[i - 1];
		v[i - 1] = x;
	}
}

/* Every kernel with every number of repeats, in random order: what drifts with time falls on all of them alike. */
static int run_round(struct lmm_overhead_bench *b, const struct lmm_verify_plan *plan,
		     struct lmm_verify_outcome *out, unsigned *number)
{
	unsigned order[LMM_VERIFY_TOP_MAX * LMM_VERIFY_REPEATS];
	unsigned n = out->n_kernels * LMM_VERIFY_REPEATS;

	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	shuffle(order, n);
	for (unsigned i = 0; i < n; i++) {
		struct taken t = { .out = out,
				   .kernel = &out->kernels[order[i] / LMM_VERIFY_REPEATS],
				   .times = repeats[order[i] % LMM_VERIFY_REPEATS] };
		int rc;

		plan->progress(plan->arg, "kernels, run", ++*number, n * plan->rounds);
		rc = run(b, &t, *number);
		if (rc)
			return rc;
	}
	return 0;
}

int lmm_verify_kernels_run(struct lmm_overhead_bench *b, const struct lmm_verify_plan *plan,
			   struct lmm_verify_outcome *out)
{
	struct taken t = { .out = out, .top = plan->top };
	unsigned number = 0;
	int rc;

	out->kernels = calloc(plan->top, sizeof(*out->kernels));
	if (!out->kernels) {
		lmm_error("out of memory");
		return -1;
	}
	plan->progress(plan->arg, "kernels, run", 0, 0);
	rc = run(b, &t, 0);
	if (rc == 0 && out->n_kernels == 0) {
		lmm_error("no kernel of a device was seen in decode");
		return -1;
	}
	for (; rc == 0 && out->rounds < plan->rounds; out->rounds += rc == 0)
		rc = run_round(b, plan, out, &number);
	return rc;
}
