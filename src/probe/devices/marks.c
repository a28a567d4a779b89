/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node of ggml's graph a command is for. Every backend asks ggml_is_empty(node) of each node before it computes it.
 * Only the imports of device backends lead here: the CPU's asks a thousand times per token, and has a better hook. Some look through
 * all nodes before they compute any (CUDA's, whether they make a graph), and then compute none: so what was asked about is only
 * kept, and it is the command that looks which node that was.
 */
#include <pthread.h>

#include "probe/devices/device.h"
#include "probe/patch.h"

#define LOOK_AHEAD 64u /* nodes: views in between are not asked about, nor what is fused */
#define LEAPS_MAX  4u  /* that found nothing, in a run of a graph: each looks at all nodes */

_Thread_local struct lmm_asked lmm_asked __attribute__((tls_model("initial-exec")));

static bool (*is_empty)(const void *tensor);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool mark(const void *tensor)
{
	struct lmm_asked *a = &lmm_asked;

	a->tensor[a->n++ % LMM_ASKED] = tensor;
	return is_empty(tensor);
}

#define BLOCK 8u

/* Whether it is one of so many: without a branch for each, as most are not. */
static LMM_INLINE bool is_in_block(const void *const *node, const void *x)
{
	return (node[0] == x) | (node[1] == x) | (node[2] == x) | (node[3] == x) | (node[4] == x) |
	       (node[5] == x) | (node[6] == x) | (node[7] == x);
}

/* From `from` on; n_nodes: it is not there. */
static uint32_t node_find(const struct lmm_thread *th, uint32_t from, uint32_t end,
			  const void *tensor)
{
	uint32_t i = from;

	end = end < th->n_nodes ? end : th->n_nodes;
	while (i + BLOCK <= end && !is_in_block(&th->nodes[i], tensor))
		i += BLOCK;
	for (; i < end; i++) {
		if (th->nodes[i] == tensor)
			return i;
	}
	return th->n_nodes;
}

/* What is no node of the graph (a source), or lies behind, is passed over: backends ask about sources as well. */
static bool mark_move(struct lmm_thread *th, uint32_t from, uint32_t end)
{
	const struct lmm_asked *a = &lmm_asked;
	/* at first, too: Vulkan's backend looks for the last node that is not empty before it begins */
	uint32_t n = a->n - th->asked;

	for (uint32_t back = 1; back <= n && back <= LMM_ASKED; back++) {
		const void *tensor = a->tensor[(a->n - back) % LMM_ASKED];
		uint32_t i;

		if (th->mark != LMM_NODE_UNKNOWN && th->nodes[th->mark] == tensor)
			return true;
		i = node_find(th, from, end, tensor);
		if (i < th->n_nodes) {
			th->mark = i;
			return true;
		}
	}
	return false;
}

/* Nothing but the last node, which some look at before they begin. */
static bool is_glance(const struct lmm_thread *th)
{
	const struct lmm_asked *a = &lmm_asked;

	return th->mark == LMM_NODE_UNKNOWN && a->n - th->asked == 1 &&
	       th->nodes[th->n_nodes - 1] == a->tensor[(a->n - 1) % LMM_ASKED];
}

/*
 * Beyond what is near another device's nodes may lie: layers that the CPU computes. A leap there may be mistaken (the last node of a part
 * of the graph); then the next search goes on where it leapt from.
 */
static bool mark_leap(struct lmm_thread *th, uint32_t from)
{
	if (!mark_move(th, from, th->n_nodes))
		return false;
	th->leapt_from = from;
	return true;
}

void lmm_device_mark_search(struct lmm_thread *th)
{
	uint32_t from = th->mark + 1, before = th->leapt_from;

	if (mark_move(th, from, from + LOOK_AHEAD)) {
		th->leapt_from = th->mark + 1 == from ? before : th->mark + 1;
	} else if (th->leaps < LEAPS_MAX && !is_glance(th) && !mark_leap(th, from) &&
		   (before == from || !mark_leap(th, before))) {
		th->leaps++;
	}
	th->asked = lmm_asked.n;
}

void lmm_device_marks_begin(const char *other)
{
	pthread_mutex_lock(&lock);
	lmm_patch_imports("ggml_is_empty", other, (void *)mark, (void **)&is_empty);
	pthread_mutex_unlock(&lock);
}

void lmm_device_marks_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}
