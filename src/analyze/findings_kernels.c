/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel of prefill does the work of which in decode. Engines have others for several rows, whose names differ in numbers
 * (TVM: fused_NT_matmul6_add1_kernel and fused_NT_matmul1_add_kernel). They are partners if they bear the same name, or the same
 * but for its digits and both run as often in a pass; of several such, the first with the first, in order of their first number.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/findings_internal.h"

#define NAME_BYTES 96

/* A name's runs in one phase, whatever layers and roles they are in. */
struct side {
	const char *name;
	char stem[NAME_BYTES]; /* the name without digits */
	unsigned long order;   /* its first number */
	double ns;	       /* of each run */
	double per_pass;       /* runs */
	uint8_t is_paired;
};

struct sides {
	struct side *v;
	size_t n;
};

static void stem_make(struct side *s)
{
	const char *digit = strpbrk(s->name, "0123456789");
	size_t n = 0;

	s->order = digit ? strtoul(digit, NULL, 10) : 0;
	for (const char *c = s->name; *c && n < sizeof(s->stem) - 1; c++) {
		if (!isdigit((unsigned char)*c))
			s->stem[n++] = *c;
	}
	s->stem[n] = 0;
}

static int order_compare(const void *x, const void *y)
{
	const struct side *a = x, *b = y;
	int rc = strcmp(a->stem, b->stem);

	if (rc)
		return rc;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return strcmp(a->name, b->name);
}

static struct side *side_of(struct sides *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->v[i].name, name) == 0)
			return &all->v[i];
	}
	all->v[all->n] = (struct side){ .name = name };
	return &all->v[all->n++];
}

/* Everything that ran in a phase of so many passes, in order. */
static int sides_make(struct sides *all, const struct lmm_result *r, uint8_t phase, uint64_t passes)
{
	all->v = calloc(r->n_kernels ? r->n_kernels : 1, sizeof(*all->v));
	all->n = 0;
	if (!all->v)
		return -1;
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];
		struct side *s;

		if (k->phase != phase || k->stats.count == 0)
			continue;
		s = side_of(all, k->name);
		s->ns += k->stats.mean_ns * (double)(k->stats.count + k->untimed);
		s->per_pass += (double)(k->stats.count + k->untimed);
	}
	for (size_t i = 0; i < all->n; i++) {
		all->v[i].ns /= all->v[i].per_pass;
		all->v[i].per_pass /= (double)passes;
		stem_make(&all->v[i]);
	}
	qsort(all->v, all->n, sizeof(*all->v), order_compare);
	return 0;
}

static struct side *same_name(const struct sides *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->v[i].name, name) == 0)
			return &all->v[i];
	}
	return NULL;
}

/* The first that is free and may be its partner. */
static struct side *same_stem(const struct sides *all, const struct side *s)
{
	for (size_t i = 0; i < all->n; i++) {
		struct side *x = &all->v[i];

		if (!x->is_paired && strcmp(x->stem, s->stem) == 0 && x->per_pass == s->per_pass)
			return x;
	}
	return NULL;
}

static void pair_look(struct lmm_kernel_pair *worst, const struct side *p, const struct side *d,
		      uint64_t prefill_passes, double tokens_per_pass)
{
	double each = p->ns / tokens_per_pass;
	double over = (each - d->ns) * tokens_per_pass * p->per_pass * (double)prefill_passes;

	if (worst->prefill && over <= worst->over_ns)
		return;
	*worst = (struct lmm_kernel_pair){ .prefill = p->name,
					   .decode = d->name,
					   .each_ns = each,
					   .than_ns = d->ns,
					   .over_ns = over };
}

int lmm__kernel_pair_worst(const struct lmm_result *r, struct lmm_kernel_pair *worst)
{
	uint64_t passes = r->steps.prefill.count, decodes = r->steps.decode.count;
	double rows = passes ? (double)r->steps.prefill_tokens / (double)passes : 0;
	double decode_rows = decodes ? (double)r->steps.decode_tokens / (double)decodes : 0;
	struct sides prefill = { 0 }, decode = { 0 };

	*worst = (struct lmm_kernel_pair){ 0 };
	if (!passes || !decodes || !(decode_rows > 0) ||
	    sides_make(&prefill, r, LMM_PHASE_PREFILL, passes) ||
	    sides_make(&decode, r, LMM_PHASE_DECODE, decodes))
		goto out;
	for (size_t i = 0; i < prefill.n; i++) {
		struct side *d = same_name(&decode, prefill.v[i].name);

		if (d)
			d->is_paired = prefill.v[i].is_paired = 1;
		if (d)
			pair_look(worst, &prefill.v[i], d, passes, rows / decode_rows);
	}
	for (size_t i = 0; i < prefill.n; i++) {
		struct side *d = prefill.v[i].is_paired ? NULL : same_stem(&decode, &prefill.v[i]);

		if (!d)
			continue;
		d->is_paired = 1;
		pair_look(worst, &prefill.v[i], d, passes, rows / decode_rows);
	}
out:
	free(prefill.v);
	free(decode.v);
	return worst->prefill != NULL;
}
