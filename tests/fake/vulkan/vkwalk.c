/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine that computes a graph of 400 nodes over and over, in five command buffers, of a Vulkan that does nothing: layers of 16 nodes
 * are alike, the first and the last nodes are not. It is made of lmmeter's own objects, so that it can play the engine's adapter and
 * look into lists. Prints how many commands have another node than they are for, and how many were told at once.
 *
 *	vkwalk usual		five runs
 *	vkwalk more		… and one with a further buffer, of other work, between two
 *	vkwalk moved N		… and four in which buffers begin and end N nodes earlier
 *	vkwalk small		… and nine in fifty buffers
 *	vkwalk across N		… and one buffer in which another graph begins behind 32 nodes, as expected for N more commands
 *	vkwalk shut		… and nine in fifty buffers while no file can be opened
 *	vkwalk cut		… one that ends early, and four usual ones
 *	vkwalk ahead		… and four in which all buffers are recorded before the first is submitted
 *	vkwalk between		… and four with a short buffer of other work between two, all recorded ahead
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "probe/devices/vulkan/vulkan.h"

#define NODES	  400u
#define PER_LAYER 16u
#define BUFFERS	  8u

struct object {
	const void *word; /* the loader's, for the device */
};

static const char device_word;
static struct object device = { &device_word }, queue = { &device_word }, buffers[BUFFERS];
static char tensors[NODES];
static const void *nodes[NODES];
static uint32_t graph;
static struct lmm_thread *th;
static unsigned long n_wrong, n_told, n_at_once;

/* ---- the driver --------------------------------------------------------------------------------- */

static int32_t begin_buffer(void *b, const struct vk_command_buffer_begin_info *info)
{
	(void)b;
	(void)info;
	return 0;
}

static int32_t end_buffer(void *b)
{
	(void)b;
	return 0;
}

static void bind(void *b, int32_t point, vk_handle pipeline)
{
	(void)b;
	(void)point;
	(void)pipeline;
}

static void dispatch(void *b, uint32_t x, uint32_t y, uint32_t z)
{
	(void)b;
	(void)x;
	(void)y;
	(void)z;
}

static int32_t submit(void *q, uint32_t n, const struct vk_submit_info *s, vk_handle fence)
{
	(void)q;
	(void)n;
	(void)s;
	(void)fence;
	return 0;
}

static int32_t allocate(void *d, const struct vk_command_buffer_allocate_info *info, void **to)
{
	(void)d;
	for (uint32_t i = 0; i < info->n; i++)
		to[i] = &buffers[i];
	return 0;
}

static int32_t create_pool(void *d, const struct vk_command_pool_create_info *info, const void *a,
			   vk_handle *to)
{
	(void)d;
	(void)info;
	(void)a;
	*to = 1;
	return 0;
}

/* ---- the engine --------------------------------------------------------------------------------- */

void lmm__vkCmdBindPipeline(void *buffer, int32_t point, vk_handle pipeline);
void lmm__vkCmdDispatch(void *buffer, uint32_t x, uint32_t y, uint32_t z);
int32_t lmm__vkAllocateCommandBuffers(void *device,
				      const struct vk_command_buffer_allocate_info *info,
				      void **to);
int32_t lmm__vkCreateCommandPool(void *device, const struct vk_command_pool_create_info *info,
				 const void *allocator, vk_handle *pool);
int32_t lmm__vkBeginCommandBuffer(void *buffer, const struct vk_command_buffer_begin_info *info);
int32_t lmm__vkEndCommandBuffer(void *buffer);
int32_t lmm__vkQueueSubmit(void *queue, uint32_t n, const struct vk_submit_info *submits,
			   vk_handle fence);

static vk_handle pipeline_of(unsigned node)
{
	return node < 4 || node >= NODES - 4 ? 1000 + node : 100 + node % PER_LAYER;
}

static const struct lmm_vk_command *command_at(const struct lmm_vk_list *l, unsigned i)
{
	return l->pattern ? &l->pattern->command[i] : &l->commands[i];
}

static void look(const struct lmm_vk_list *l, unsigned from)
{
	for (unsigned i = 0; l && i < l->n; i++) {
		const struct lmm_vk_command *c = command_at(l, i);

		n_wrong += c->graph == graph && c->node != from + i;
		n_wrong += c->graph != graph;
		n_told++;
		n_at_once += l->pattern != NULL;
	}
}

static void record(unsigned which, unsigned from, unsigned to)
{
	const struct vk_command_buffer_begin_info info = { .flags = VK_USE_ONE_TIME };
	void *b = &buffers[which];

	lmm__vkBeginCommandBuffer(b, &info);
	for (unsigned i = from; i < to; i++) {
		lmm_asked.tensor[lmm_asked.n++ % LMM_ASKED] = nodes[i];
		lmm__vkCmdBindPipeline(b, VK_BIND_COMPUTE, pipeline_of(i));
		lmm__vkCmdDispatch(b, 1, 1, 1);
	}
	lmm__vkEndCommandBuffer(b);
	look(lmm_vk_buffer_find(b)->list, from);
}

/* For no node that is new: the kernels of a layer. */
static void record_other(unsigned which, unsigned n)
{
	const struct vk_command_buffer_begin_info info = { .flags = VK_USE_ONE_TIME };
	void *b = &buffers[which];

	lmm__vkBeginCommandBuffer(b, &info);
	for (unsigned i = 0; i < n; i++) {
		lmm__vkCmdBindPipeline(b, VK_BIND_COMPUTE, pipeline_of(PER_LAYER + i));
		lmm__vkCmdDispatch(b, 1, 1, 1);
	}
	lmm__vkEndCommandBuffer(b);
}

static void hand_over(unsigned which)
{
	void *b = &buffers[which];
	const struct vk_submit_info info = { .n_buffers = 1, .buffers = &b };

	lmm__vkQueueSubmit(&queue, 1, &info, 0);
}

static void run_begin(void)
{
	th->step++;
	th->graph = graph;
	th->nodes = nodes;
	th->n_nodes = NODES;
	th->mark = LMM_NODE_UNKNOWN;
	th->leaps = th->leapt_from = 0;
	th->asked = lmm_asked.n;
}

/* Buffers end at `first`, and every n nodes from there on, up to `end`. */
static void run_in(unsigned first, unsigned n, unsigned end)
{
	unsigned to = first;

	run_begin();
	for (unsigned from = 0; from < end; from = to, to = to + n < end ? to + n : end) {
		record(0, from, to);
		hand_over(0);
	}
	th->graph = 0;
}

static void run(unsigned first, unsigned end)
{
	run_in(first, 80, end);
}

/* Of the commands that lie behind the other graph's begin none has the first one's nodes. */
static void run_across(unsigned as_expected)
{
	const struct vk_command_buffer_begin_info info = { .flags = VK_USE_ONE_TIME };
	const struct lmm_vk_list *l;
	void *b = &buffers[0];

	run_begin();
	lmm__vkBeginCommandBuffer(b, &info);
	for (unsigned i = 0; i < 80; i++) {
		if (i == 32)
			th->graph = graph + 1;
		lmm_asked.tensor[lmm_asked.n++ % LMM_ASKED] = nodes[i];
		lmm__vkCmdBindPipeline(b, VK_BIND_COMPUTE,
				       pipeline_of(i) + (i < 32 + as_expected ? 0 : 1));
		lmm__vkCmdDispatch(b, 1, 1, 1);
	}
	lmm__vkEndCommandBuffer(b);
	l = lmm_vk_buffer_find(b)->list;
	for (unsigned i = 32; i < l->n; i++) {
		const struct lmm_vk_command *c = command_at(l, i);

		n_wrong += c->graph == graph;
		n_told++;
	}
	hand_over(0);
	th->graph = 0;
}

/* Nothing can be described then. */
static void run_shut(void)
{
	struct rlimit old, none;

	if (getrlimit(RLIMIT_NOFILE, &old))
		exit(3);
	none = old;
	none.rlim_cur = 0;
	if (setrlimit(RLIMIT_NOFILE, &none))
		exit(3);
	for (unsigned i = 0; i < 9; i++)
		run_in(8, 8, NODES);
	if (setrlimit(RLIMIT_NOFILE, &old))
		exit(3);
}

static void run_with_other(void)
{
	run_begin();
	for (unsigned from = 0; from < NODES; from += 80) {
		record(0, from, from + 80);
		hand_over(0);
		if (from == 80) {
			record_other(1, 10);
			hand_over(1);
		}
	}
	th->graph = 0;
}

static void run_ahead(unsigned other)
{
	run_begin();
	for (unsigned i = 0; i < 5; i++) {
		record(i, i * 80, i * 80 + 80);
		if (other && i == 1)
			record_other(5, other);
	}
	for (unsigned i = 0; i < 5; i++)
		hand_over(i);
	if (other)
		hand_over(5);
	th->graph = 0;
}

static void set_up(void)
{
	static const struct vk_command_pool_create_info pool;
	static const struct vk_command_buffer_allocate_info all = { .pool = 1, .n = BUFFERS };
	struct lmm_vk_device *d;
	void *handles[BUFFERS];
	vk_handle handle;

	for (unsigned i = 0; i < NODES; i++)
		nodes[i] = &tensors[i];
	for (unsigned i = 0; i < BUFFERS; i++)
		buffers[i].word = &device_word;
	lmm_probe_start();
	d = lmm_vk_device_add(&device);
	if (!d || !(th = lmm_thread_self()))
		exit(3);
	d->handle = &device;
	d->fn.vkBeginCommandBuffer = begin_buffer;
	d->fn.vkEndCommandBuffer = end_buffer;
	d->fn.vkCmdBindPipeline = bind;
	d->fn.vkCmdDispatch = dispatch;
	d->fn.vkQueueSubmit = submit;
	d->fn.vkAllocateCommandBuffers = allocate;
	d->fn.vkCreateCommandPool = create_pool;
	lmm_vk_queue_note(d, &queue, 0);
	lmm__vkCreateCommandPool(&device, &pool, NULL, &handle);
	lmm__vkAllocateCommandBuffers(&device, &all, handles);
	graph = 1;
	th->step = 0;
}

static void say(const char *what)
{
	printf("%s: %lu wrong of %lu, %lu at once\n", what, n_wrong, n_told, n_at_once);
	n_wrong = n_told = n_at_once = 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "usual";

	set_up();
	for (unsigned i = 0; i < 5; i++)
		run(80, NODES);
	say("usual");
	if (strcmp(what, "more") == 0)
		run_with_other();
	if (strcmp(what, "cut") == 0)
		run(80, 160);
	if (strcmp(what, "across") == 0 && argc > 2)
		run_across((unsigned)atoi(argv[2]));
	if (strcmp(what, "shut") == 0)
		run_shut();
	for (unsigned i = 0; i < 9 && strcmp(what, "small") == 0; i++)
		run_in(8, 8, NODES);
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(what, "moved") == 0 && argc > 2)
			run(80 - (unsigned)atoi(argv[2]), NODES);
		if (strcmp(what, "more") == 0 || strcmp(what, "cut") == 0)
			run(80, NODES);
		if (strcmp(what, "ahead") == 0)
			run_ahead(0);
		if (strcmp(what, "between") == 0)
			run_ahead(6);
	}
	say(what);
	return 0;
}
