/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels by duplication: in decode steps of a process whose output nobody wants, the probe runs every kernel of one name again
 * (wire/repeat.h); what a step takes longer for it is what the kernel takes.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/verify.h"
#include "wire/repeat.h"

/* ---- what a report says of kernels -------------------------------------------------------------- */

/* Not what moves bytes, by the names that the probe gives it. */
static int is_kernel(const struct lmm_result_kernel *k)
{
	if (k->phase != LMM_PHASE_DECODE || strcmp(k->device, "CPU") == 0 || k->stats.count == 0 ||
	    strlen(k->name) >= LMM_VERIFY_NAME_BYTES || strchr(k->name, ':'))
		return 0;
	for (unsigned kind = LMM_KERNEL_PROGRAM + 1; kind < LMM_KERNEL_KIND_COUNT; kind++) {
		if (strcmp(k->name, lmm_kernel_kind_name(kind)) == 0)
			return 0;
	}
	return strcmp(k->name, "(other)") != 0;
}

static void add_timed(struct lmm_verify_timed *t, const struct lmm_result_kernel *row)
{
	t->ns += row->stats.total_ns;
	t->count += (double)row->stats.count;
}

static struct lmm_verify_block *block_get(struct lmm_verify_kernel *k, size_t number)
{
	size_t n = number + 1;
	struct lmm_verify_block *blocks;

	if (number < k->n_blocks)
		return &k->blocks[number];
	blocks = realloc(k->blocks, n * sizeof(*blocks));
	if (!blocks)
		return NULL;
	memset(blocks + k->n_blocks, 0, (n - k->n_blocks) * sizeof(*blocks));
	k->blocks = blocks;
	k->n_blocks = n;
	return &blocks[number];
}

/* The number behind what the name ends with; -1. */
static long block_behind(const char *suffix, const char *begin)
{
	size_t n = strlen(begin);
	char *end;
	unsigned long number;

	if (strncmp(suffix, begin, n) != 0)
		return -1;
	number = strtoul(suffix + n, &end, 10);
	return strcmp(end, ")") == 0 && number <= UINT16_MAX ? (long)number : -1;
}

/* suffix: what stands behind the kernel's name. */
static void add_further(struct lmm_verify_kernel *k, const struct lmm_result_kernel *row,
			const char *suffix, uint32_t first_block)
{
	long warm = block_behind(suffix, LMM_REPEAT_WARM_SUFFIX);
	long cold = block_behind(suffix, LMM_REPEAT_COLD_SUFFIX);
	struct lmm_verify_block *b = NULL;

	if (warm >= 0 || cold >= 0)
		b = block_get(k, first_block + (uint32_t)(warm >= 0 ? warm : cold));
	if (b)
		add_timed(warm >= 0 ? &b->warm : &b->cold, row);
}

/* Rows of one name differ in their role: they are one kernel for the device. */
static void add_report(struct lmm_verify_kernel *k, const struct lmm_result *r,
		       uint32_t first_block)
{
	size_t n = strlen(k->name);

	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *row = &r->kernels[i];

		if (!is_kernel(row))
			continue;
		if (strcmp(row->name, LMM_REPEAT_EMPTY_KERNEL) == 0)
			add_timed(&k->empty, row);
		if (strncmp(row->name, k->name, n) != 0)
			continue;
		if (row->name[n]) {
			add_further(k, row, row->name + n, first_block);
			continue;
		}
		add_timed(&k->own, row);
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

/* So that one further run of each of them, times this, lengthens a step by a fifth. */
static unsigned factor_of(const struct lmm_result *r, double kernel_ns)
{
	const struct lmm_result_phase *p = lmm_result_phase_find(r, LMM_PHASE_DECODE);
	double factor = p && kernel_ns > 0 ? ceil(0.2 * p->stats.total_ns / kernel_ns) : 0;

	return (unsigned)fmin(fmax(factor, 1), LMM_REPEAT_FACTOR_MAX);
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
		out->kernels[out->n_kernels].factor = factor_of(r, best_ns);
		out->n_kernels++;
	}
}

/* ---- a run -------------------------------------------------------------------------------------- */

struct taken {
	struct lmm_verify_outcome *out;
	struct lmm_verify_kernel *kernel; /* NULL: kernels are to be chosen */
	unsigned top;
	const char *log;      /* name of the probe's file in the folder */
	uint32_t first_block; /* of this run */
};

static int take_points(struct taken *t, const struct lmm_overhead_bench *b, const char *ruler)
{
	struct lmm_verify_kernel *k = t->kernel;
	size_t before = k->n;
	int rc;

	t->first_block = k->next_block;
	rc = lmm_verify_points_read(k, b->folder, ruler, t->log, t->first_block, &k->next_block);

	if (rc) {
		lmm_error("cannot read what the reference wrote: %s", lmm_strerror(rc));
		return -1;
	}
	if (k->n - before < LMM_REPEAT_TURNS) {
		lmm_error(
			"%s makes too few decode steps: repeated kernels take %u of them in a row, "
			"better many times that (llama.cpp: -n 64 --ignore-eos)",
			b->argv[0], LMM_REPEAT_TURNS + 3);
		return -1;
	}
	return 0;
}

static int take(void *arg, const struct lmm_overhead_bench *b, const char *ruler, const char *trace)
{
	const struct lmm_analysis_file_opts opts = { 0 };
	struct taken *t = arg;
	enum lmm_trace_state state;
	struct lmm_result *r;

	if (t->kernel && take_points(t, b, ruler))
		return -1;
	if (access(trace, R_OK) || lmm_analysis_file(trace, &opts, &r, &state)) {
		lmm_error("lmmeter recorded nothing of %s", b->argv[0]);
		return -1;
	}
	if (t->kernel) {
		add_report(t->kernel, r, t->first_block);
	} else {
		choose(t->out, r, t->top);
	}
	lmm_result_destroy(r);
	return 0;
}

static uint32_t random_number(void)
{
	uint32_t v = 0;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
		v = (uint32_t)(lmm_mono_ns() >> 10);
	return v;
}

/* A kernel with its repeats, or, without one, the choice. */
static int run(struct lmm_overhead_bench *b, struct taken *t, unsigned number)
{
	char name[32], log[48], repeat[sizeof(b->folder) + LMM_VERIFY_NAME_BYTES + 80];
	struct lmm_overhead_arm arm = {
		.name = name, .with = 1, .budget = "off", .take = take, .arg = t
	};
	double wall_ns;

	(void)snprintf(name, sizeof(name), "kernel%04u", number);
	(void)snprintf(log, sizeof(log), "%s.repeat", name);
	if (t->kernel) {
		(void)snprintf(repeat, sizeof(repeat), "%s:%u:%u:%s/%s", t->kernel->name,
			       random_number(), t->kernel->factor, b->folder, log);
		arm.repeat = repeat;
		t->log = log;
	}
	return lmm_overhead_run_arm(b, &arm, &wall_ns);
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static void shuffle(unsigned *v, unsigned n)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned k = random_number() % i, x = v[k];

		v[k] = v[i - 1];
		v[i - 1] = x;
	}
}

/* Every kernel once, in random order: what drifts with time falls on all of them alike. */
static int run_round(struct lmm_overhead_bench *b, const struct lmm_verify_plan *plan,
		     struct taken *t, unsigned *number)
{
	unsigned order[LMM_VERIFY_TOP_MAX], n = t->out->n_kernels;
	int rc = 0;

	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	shuffle(order, n);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		t->kernel = &t->out->kernels[order[i]];
		plan->progress(plan->arg, "kernels, run", ++*number, n * plan->rounds);
		rc = run(b, t, *number);
	}
	return rc;
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
		rc = run_round(b, plan, &t, &number);
	return rc;
}

void lmm_verify_kernels_free(struct lmm_verify_outcome *out)
{
	for (unsigned i = 0; i < out->n_kernels; i++) {
		free(out->kernels[i].points);
		free(out->kernels[i].blocks);
	}
	free(out->kernels);
}
