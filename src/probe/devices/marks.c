/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node of ggml's graph a command is for. Every backend asks ggml_is_empty(node) of each node before it computes it.
 * Only the imports of device backends lead here: the CPU's asks a thousand times per token, and has a better hook.
 */
#include <pthread.h>

#include "probe/devices/device.h"
#include "probe/patch.h"

#define LOOK_AHEAD 64u /* nodes */

static bool (*is_empty)(const void *tensor);
static bool (*is_empty_again)(const void *tensor);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Further on than one node: views in between are not asked for. What is no node of the graph (a source) marks nothing. */
static LMM_NOINLINE void mark_search(struct lmm_thread *th, const void *tensor)
{
	uint32_t from = th->mark + 1, end = from + LOOK_AHEAD;

	for (uint32_t i = from; i < th->n_nodes && i < end; i++) {
		if (th->nodes[i] == tensor) {
			th->mark = i;
			return;
		}
	}
}

/*
 * The same for a backend that goes through all nodes before it begins with the first, and asks of nodes alone: one that lies behind is where
 * it begins anew.
 */
static LMM_NOINLINE void mark_search_again(struct lmm_thread *th, const void *tensor)
{
	uint32_t before = th->mark;

	mark_search(th, tensor);
	for (uint32_t i = 0; th->mark == before && i < before && i < th->n_nodes; i++) {
		if (th->nodes[i] == tensor)
			th->mark = i;
	}
}

static bool mark_again(const void *tensor)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_known() : NULL;

	if (th && th->graph && th->nodes) {
		uint32_t next = th->mark + 1;

		if (lmm_likely(next < th->n_nodes && th->nodes[next] == tensor)) {
			th->mark = next;
		} else if (next == 0 || th->nodes[th->mark] != tensor) {
			mark_search_again(th, tensor);
		}
	}
	return is_empty_again(tensor);
}

static bool mark(const void *tensor)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_known() : NULL;

	if (th && th->graph && th->nodes) {
		uint32_t next = th->mark + 1;

		if (lmm_likely(next < th->n_nodes && th->nodes[next] == tensor)) {
			th->mark = next;
		} else if (next == 0 || th->nodes[th->mark] != tensor) {
			mark_search(th, tensor);
		}
	}
	return is_empty(tensor);
}

void lmm_device_marks_begin(const char *other, bool is_asked_again)
{
	pthread_mutex_lock(&lock);
	if (is_asked_again) {
		lmm_patch_imports("ggml_is_empty", other, (void *)mark_again,
				  (void **)&is_empty_again);
	} else {
		lmm_patch_imports("ggml_is_empty", other, (void *)mark, (void **)&is_empty);
	}
	pthread_mutex_unlock(&lock);
}
