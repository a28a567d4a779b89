/* SPDX-License-Identifier: Apache-2.0 */
/* Command buffers and their pools: made, begun, ended, reset, freed. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/vulkan/vulkan.h"

#define BUFFERS	  8192u /* handles that are told apart; a power of two */
#define POOLS_MAX 1024u

/* By handle, for the hot path: an entry's key is written last, and never leaves its place. */
static struct lmm_vk_buffer buffers[BUFFERS] __attribute__((aligned(64)));
static unsigned n_buffers;
static _Atomic bool is_full;
static _Atomic uint32_t full_said;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	struct lmm_vk_device *device; /* NULL: not in use */
	vk_handle handle;
	uint16_t family;
	struct lmm_vk_buffer *first;
} pools[POOLS_MAX];
static unsigned n_pools;

static uint32_t slot_of(void *handle, bool *found)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)handle) & (BUFFERS - 1);

	for (;; k = (k + 1) & (BUFFERS - 1)) {
		void *key = atomic_load_explicit(&buffers[k].handle, memory_order_acquire);

		*found = key == handle;
		if (*found || !key)
			return k;
	}
}

/* Where a handle that is not there may go: the place of one that is gone, or a new one. With the lock held. NULL: there is none. */
static struct lmm_vk_buffer *slot_take(void *handle)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)handle) & (BUFFERS - 1);

	for (;; k = (k + 1) & (BUFFERS - 1)) {
		if (!atomic_load_explicit(&buffers[k].handle, memory_order_relaxed))
			break;
		if (!buffers[k].is_alive)
			return &buffers[k];
	}
	if (n_buffers >= BUFFERS / 2)
		return NULL;
	n_buffers++;
	return &buffers[k];
}

struct lmm_vk_buffer *lmm_vk_buffer_find(void *handle)
{
	bool found;
	uint32_t k = slot_of(handle, &found);

	return lmm_likely(found && buffers[k].is_alive) ? &buffers[k] : NULL;
}

void lmm_vk_buffer_has_ended(struct lmm_vk_buffer *b)
{
	/* what will be written again must be read before that */
	if (b->queue)
		lmm_vk_has_ended(b->queue, b->upto, !b->list || !b->list->is_one_time);
	b->queue = NULL;
}

/* What it held is of no use any more; whoever still has times to read keeps it. */
static void buffer_empty(struct lmm_vk_buffer *b)
{
	lmm_vk_buffer_has_ended(b);
	if (b->list)
		lmm_vk_list_unref(b->list);
	b->list = NULL;
	b->is_unseen = false;
	b->pipeline = 0;
}

/* ---- pools -------------------------------------------------------------------------------------- */

/* With the lock held; -1: not known. */
static int pool_at(const struct lmm_vk_device *d, vk_handle handle)
{
	for (unsigned i = 0; i < n_pools; i++) {
		if (pools[i].device == d && pools[i].handle == handle)
			return (int)i;
	}
	return -1;
}

static void pool_note(struct lmm_vk_device *d, vk_handle handle, uint32_t family)
{
	unsigned i = 0;

	pthread_mutex_lock(&lock);
	while (i < n_pools && pools[i].device)
		i++;
	if (i < POOLS_MAX) {
		pools[i].device = d;
		pools[i].handle = handle;
		pools[i].family = (uint16_t)family;
		pools[i].first = NULL;
		if (i == n_pools)
			n_pools++;
	}
	pthread_mutex_unlock(&lock);
}

/* Empties all buffers of the pool, by whose rule nobody else touches them now. */
static void pool_empty(const struct lmm_vk_device *d, vk_handle handle, bool is_gone)
{
	struct lmm_vk_buffer *b = NULL;
	int i;

	pthread_mutex_lock(&lock);
	i = pool_at(d, handle);
	if (i >= 0) {
		b = pools[i].first;
		if (is_gone)
			pools[i].device = NULL;
	}
	pthread_mutex_unlock(&lock);
	for (struct lmm_vk_buffer *next; b; b = next) {
		/* once it is not alive its place may be another's */
		next = b->next_of_pool;
		buffer_empty(b);
		b->is_alive = b->is_alive && !is_gone;
	}
}

int32_t lmm__vkCreateCommandPool(void *device, const struct vk_command_pool_create_info *info,
				 const void *allocator, vk_handle *pool)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkCreateCommandPool(device, info, allocator, pool);

	if (rc == VK_OK)
		pool_note(d, *pool, info->family);
	return rc;
}

void lmm__vkDestroyCommandPool(void *device, vk_handle pool, const void *allocator)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);

	if (pool)
		pool_empty(d, pool, true);
	d->fn.vkDestroyCommandPool(device, pool, allocator);
}

int32_t lmm__vkResetCommandPool(void *device, vk_handle pool, uint32_t flags)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);

	pool_empty(d, pool, false);
	return d->fn.vkResetCommandPool(device, pool, flags);
}

/* ---- buffers ------------------------------------------------------------------------------------ */

/* With the lock held. */
static void buffer_note(struct lmm_vk_device *d, const struct vk_command_buffer_allocate_info *info,
			void *handle)
{
	int pool = pool_at(d, info->pool);
	bool found;
	uint32_t k = slot_of(handle, &found);
	struct lmm_vk_buffer *b = found ? &buffers[k] : slot_take(handle);

	if (pool < 0 || !b) {
		atomic_store(&is_full, true);
		return;
	}
	b->is_secondary = info->level == VK_LEVEL_SECONDARY;
	b->is_unseen = false;
	b->family = pools[pool].family;
	b->pool = info->pool;
	b->device = d;
	b->list = NULL;
	b->queue = NULL;
	b->pipeline = 0;
	b->next_of_pool = pools[pool].first;
	pools[pool].first = b;
	b->is_alive = true;
	/* pairs with the acquire in slot_of() */
	atomic_store_explicit(&b->handle, handle, memory_order_release);
}

/* With the lock held. */
static void buffer_forget(struct lmm_vk_buffer *b)
{
	int pool = pool_at(b->device, b->pool);
	struct lmm_vk_buffer **at = pool >= 0 ? &pools[pool].first : NULL;

	while (at && *at && *at != b)
		at = &(*at)->next_of_pool;
	if (at && *at)
		*at = b->next_of_pool;
	b->is_alive = false;
}

int32_t lmm__vkAllocateCommandBuffers(void *device,
				      const struct vk_command_buffer_allocate_info *info,
				      void **handles)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkAllocateCommandBuffers(device, info, handles);

	if (rc != VK_OK)
		return rc;
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < info->n; i++)
		buffer_note(d, info, handles[i]);
	pthread_mutex_unlock(&lock);
	if (atomic_load(&is_full) && lmm_vk_is_unsaid(&full_said)) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "more than %u Vulkan command buffers at a time: what further "
				   "ones hold is not told apart",
				   BUFFERS / 2);
	}
	return rc;
}

void lmm__vkFreeCommandBuffers(void *device, vk_handle pool, uint32_t n, void *const *handles)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);

	for (uint32_t i = 0; i < n; i++) {
		struct lmm_vk_buffer *b = handles[i] ? lmm_vk_buffer_find(handles[i]) : NULL;

		if (!b)
			continue;
		buffer_empty(b);
		pthread_mutex_lock(&lock);
		buffer_forget(b);
		pthread_mutex_unlock(&lock);
	}
	d->fn.vkFreeCommandBuffers(device, pool, n, handles);
}

int32_t lmm__vkBeginCommandBuffer(void *handle, const struct vk_command_buffer_begin_info *info)
{
	struct lmm_vk_device *d = lmm_vk_device_of(handle);
	struct lmm_vk_buffer *b = lmm_vk_buffer_find(handle);
	uint32_t recording = lmm_recording();

	if (b) {
		buffer_empty(b);
		b->is_simultaneous = info->flags & VK_USE_SIMULTANEOUS;
		b->is_unseen = !recording;
		b->list = recording ? lmm_vk_list_new(d) : NULL;
		if (b->list) {
			b->list->recording = recording;
			b->list->is_one_time = info->flags & VK_USE_ONE_TIME;
		}
	}
	return d->fn.vkBeginCommandBuffer(handle, info);
}

int32_t lmm__vkEndCommandBuffer(void *handle)
{
	struct lmm_vk_device *d = lmm_vk_device_of(handle);
	struct lmm_vk_buffer *b = lmm_vk_buffer_find(handle);

	if (b && b->list) {
		/* what came when the recording had ended is missing, even if another has begun */
		if (b->list->recording != lmm_recording() || !lmm_vk_pattern_end(b->list)) {
			b->is_unseen = true;
		} else {
			lmm_vk_group_close(b);
		}
	}
	return d->fn.vkEndCommandBuffer(handle);
}

int32_t lmm__vkResetCommandBuffer(void *handle, uint32_t flags)
{
	struct lmm_vk_device *d = lmm_vk_device_of(handle);
	struct lmm_vk_buffer *b = lmm_vk_buffer_find(handle);

	if (b)
		buffer_empty(b);
	return d->fn.vkResetCommandBuffer(handle, flags);
}

/* ---- the device's and the process's life -------------------------------------------------------- */

void lmm_vk_buffers_forget(struct lmm_vk_device *d)
{
	for (unsigned k = 0; k < BUFFERS; k++) {
		if (buffers[k].device == d && buffers[k].is_alive) {
			buffer_empty(&buffers[k]);
			buffers[k].is_alive = false;
		}
	}
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < n_pools; i++) {
		if (pools[i].device == d)
			pools[i].device = NULL;
	}
	pthread_mutex_unlock(&lock);
}

void lmm_vk_buffers_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (unsigned k = 0; k < BUFFERS; k++)
		buffers[k].is_alive = false;
	n_pools = 0;
}
