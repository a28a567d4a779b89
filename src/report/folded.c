/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folded stacks: one line per stack, frames separated by ';', then a blank and its nanoseconds. Of two stacks that begin alike the
 * beginnings are one: a tree, whose nodes are numbered as they come.
 */
#include "report/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/format.h"
#include "report/idmap.h"
#include "report/stacks.h"

#define REQUESTS_APART 64 /* with more of them a picture shows none */

struct node {
	uint32_t number, parent, frame;
	uint64_t ns;
};

struct folded {
	struct lmm_idmap nodes; /* (parent, frame): struct node */
	struct node **order;	/* order[number - 1] */
	uint32_t n, cap;
};

static struct node *child(struct folded *f, uint32_t parent, uint32_t frame)
{
	struct node *node = lmm_idmap_make(&f->nodes, lmm_idmap_key(parent, frame), sizeof(*node));

	if (!node || node->number)
		return node;
	if (f->n == f->cap) {
		uint32_t cap = f->cap ? f->cap * 2 : 1024;
		struct node **order = realloc(f->order, cap * sizeof(struct node *));

		if (!order)
			return NULL;
		f->order = order;
		f->cap = cap;
	}
	f->order[f->n] = node;
	node->number = ++f->n;
	node->parent = parent;
	node->frame = frame;
	return node;
}

static int add(void *ctx, const struct lmm_stack *stack)
{
	struct folded *f = ctx;
	struct node *node = NULL;

	/* beside the others: their time is that of the thread they work for */
	if (stack->lane->kind == LMM_LANE_WORKER)
		return 0;
	for (unsigned i = 0; i < stack->depth; i++) {
		node = child(f, node ? node->number : 0, stack->frames[i]);
		if (!node)
			return -ENOMEM;
	}
	if (node)
		node->ns += stack->end_ns - stack->begin_ns;
	return 0;
}

/* A frame's name must not look like two, nor like a line's end. */
static void put_frame(FILE *out, const char *name)
{
	char fit[1024];

	lmm_text_fit(fit, sizeof(fit), name, 250);
	for (const char *p = fit; *p; p++)
		fputc(*p == ';' ? ':' : *p, out);
}

static void put_stack(const struct folded *f, const struct lmm_strpool *frames,
		      const struct node *node, FILE *out)
{
	const struct node *path[LMM_STACK_DEPTH];
	unsigned n = 0;

	for (; n < LMM_STACK_DEPTH; node = f->order[node->parent - 1]) {
		path[n++] = node;
		if (node->parent == 0)
			break;
	}
	while (n-- > 0) {
		put_frame(out, lmm_strpool_get(frames, path[n]->frame));
		if (n > 0)
			fputc(';', out);
	}
}

int lmm_export_folded(struct lmm_trace *tr, const struct lmm_result *r, FILE *out)
{
	struct lmm_strpool frames = { 0 };
	struct folded f = { 0 };
	struct lmm_stacks_opts opts = { .joins_requests = r->n_requests > REQUESTS_APART,
					.frames = &frames,
					.stack = add,
					.ctx = &f };
	int rc = lmm_stacks_read(tr, r, &opts);

	errno = 0;
	for (uint32_t i = 0; i < f.n && rc == 0; i++) {
		if (f.order[i]->ns == 0)
			continue;
		put_stack(&f, &frames, f.order[i], out);
		if (fprintf(out, " %" PRIu64 "\n", f.order[i]->ns) < 0)
			rc = errno ? -errno : -EIO;
	}
	free(f.order);
	lmm_idmap_free(&f.nodes, NULL);
	lmm_strpool_free(&frames);
	return rc;
}
