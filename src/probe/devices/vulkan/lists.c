/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command buffer holds, and where its timestamps go: pieces of query pools that are made as they are needed, belong to one
 * list at a time and come back when its times were read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/vulkan/vulkan.h"

#define POOL_CHUNKS 16u
#define POOLS_MAX   LMM_ARRAY_SIZE(((struct lmm_vk_device *)0)->pools)

/* ---- query pools -------------------------------------------------------------------------------- */

/* With the device's lock held. */
static LMM_COLD void pool_add(struct lmm_vk_device *d)
{
	const struct vk_query_pool_create_info info = {
		.type = VK_S_QUERY_POOL_CREATE_INFO,
		.query_type = VK_QUERY_TIMESTAMP,
		.n = POOL_CHUNKS * LMM_VK_CHUNK,
	};
	vk_handle pool;

	if (d->is_full)
		return;
	if (d->n_pools == POOLS_MAX || d->fn.vkCreateQueryPool(d->handle, &info, NULL, &pool)) {
		d->is_full = true;
		return;
	}
	d->pools[d->n_pools++] = pool;
	for (unsigned i = 0; i < POOL_CHUNKS; i++) {
		struct lmm_vk_chunk *c = calloc(1, sizeof(*c));

		if (!c)
			return;
		c->pool = pool;
		c->first = i * LMM_VK_CHUNK;
		c->next = d->free_chunks;
		d->free_chunks = c;
	}
}

static struct lmm_vk_chunk *chunk_take(struct lmm_vk_device *d)
{
	struct lmm_vk_chunk *c;
	int saved = errno;

	pthread_mutex_lock(&d->lock);
	if (!d->free_chunks)
		pool_add(d);
	c = d->free_chunks;
	if (c)
		d->free_chunks = c->next;
	pthread_mutex_unlock(&d->lock);
	errno = saved;
	return c;
}

bool lmm_vk_list_grow_stamps(struct lmm_vk_list *l, void *buffer)
{
	struct lmm_vk_device *d = l->device;
	struct lmm_vk_chunk *c;

	if (l->n_stamps + 2 <= l->n_chunks * LMM_VK_CHUNK)
		return true;
	c = l->n_chunks < LMM_VK_CHUNKS ? chunk_take(d) : NULL;
	if (!c)
		return false;
	l->chunks[l->n_chunks++] = c;
	/* what the device may write again must be reset by the device, in its turn */
	if (d->has_host_reset && l->is_one_time) {
		d->fn.vkResetQueryPool(d->handle, c->pool, c->first, LMM_VK_CHUNK);
	} else {
		d->fn.vkCmdResetQueryPool(buffer, c->pool, c->first, LMM_VK_CHUNK);
	}
	return true;
}

void lmm_vk_list_stamp(struct lmm_vk_list *l, void *buffer)
{
	const struct lmm_vk_chunk *c = l->chunks[l->n_stamps / LMM_VK_CHUNK];
	uint32_t query = c->first + l->n_stamps++ % LMM_VK_CHUNK;

	l->device->fn.vkCmdWriteTimestamp(buffer, VK_STAGE_BOTTOM_OF_PIPE, c->pool, query);
}

bool lmm_vk_chunk_read(const struct lmm_vk_device *d, const struct lmm_vk_chunk *c, uint32_t n,
		       uint64_t *to)
{
	return d->fn.vkGetQueryPoolResults(d->handle, c->pool, c->first, n, n * sizeof(*to), to,
					   sizeof(*to), VK_QUERY_64_BIT) == VK_OK;
}

/* ---- lists -------------------------------------------------------------------------------------- */

struct lmm_vk_list *lmm_vk_list_new(struct lmm_vk_device *d)
{
	struct lmm_vk_list *l;
	int saved = errno;

	pthread_mutex_lock(&d->lock);
	l = d->free_lists;
	if (l)
		d->free_lists = l->next;
	pthread_mutex_unlock(&d->lock);
	if (!l)
		l = calloc(1, sizeof(*l));
	errno = saved;
	if (!l)
		return NULL;
	*l = (struct lmm_vk_list){ .device = d, .cap = l->cap, .commands = l->commands };
	atomic_store_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void lmm_vk_list_unref(struct lmm_vk_list *l)
{
	struct lmm_vk_device *d = l->device;

	if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (l->pattern)
		lmm_vk_pattern_unref(l->pattern);
	l->pattern = NULL;
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < l->n_chunks; i++) {
		l->chunks[i]->next = d->free_chunks;
		d->free_chunks = l->chunks[i];
	}
	l->n_chunks = 0;
	l->next = d->free_lists;
	d->free_lists = l;
	pthread_mutex_unlock(&d->lock);
}

LMM_COLD bool lmm_vk_list_grow(struct lmm_vk_list *l)
{
	uint32_t cap = l->cap ? 2 * l->cap : 256;
	int saved = errno;
	struct lmm_vk_command *more = realloc(l->commands, cap * sizeof(*more));

	errno = saved;
	if (!more)
		return false;
	l->commands = more;
	l->cap = cap;
	return true;
}
