/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and queues. Entries are made under a lock and never freed, so that the hot path finds them without one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/vulkan/vulkan.h"

#define DEVICES_MAX 256
#define QUEUES_MAX  64

struct lmm_device_api lmm_vk_api = { .recording_begin = lmm_vk_recording_begin };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_vk_device *devices[DEVICES_MAX];
static _Atomic unsigned n_devices;
static struct lmm_vk_queue *queues[QUEUES_MAX];
static _Atomic unsigned n_queues;
static _Atomic uint32_t told; /* the session that is told of the queues */

/* ---- devices ------------------------------------------------------------------------------------ */

_Atomic(struct lmm_vk_device *) lmm_vk_device_first;

/* Of several the first: threads that work with one each would take it from one another at every command. */
static void first_note(struct lmm_vk_device *d)
{
	struct lmm_vk_device *old =
		atomic_load_explicit(&lmm_vk_device_first, memory_order_acquire);

	if (!old || !atomic_load_explicit(&old->key, memory_order_acquire))
		atomic_store_explicit(&lmm_vk_device_first, d, memory_order_release);
}

struct lmm_vk_device *lmm_vk_device_by_key(void *key)
{
	/* pairs with the release in lmm_vk_device_add() */
	unsigned n = atomic_load_explicit(&n_devices, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		if (atomic_load_explicit(&devices[i]->key, memory_order_acquire) == key) {
			first_note(devices[i]);
			return devices[i];
		}
	}
	return NULL;
}

static struct lmm_vk_device *device_place(void)
{
	unsigned n = atomic_load(&n_devices);
	struct lmm_vk_device *d;

	for (unsigned i = 0; i < n; i++) {
		if (!atomic_load(&devices[i]->key))
			return devices[i];
	}
	if (n == DEVICES_MAX)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	pthread_mutex_init(&d->lock, NULL);
	devices[n] = d;
	atomic_store_explicit(&n_devices, n + 1, memory_order_release);
	return d;
}

struct lmm_vk_device *lmm_vk_device_add(void *handle)
{
	struct lmm_vk_device *d;

	pthread_mutex_lock(&lock);
	d = device_place();
	if (d) {
		d->number = lmm_device_number_next();
		d->stamp_ns = 0;
		d->newest = 0;
		d->is_full = false;
		memset(&d->clock, 0, sizeof(d->clock));
		atomic_store_explicit(&d->key, *(void **)handle, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return d;
}

void lmm_vk_device_begin(struct lmm_vk_device *d)
{
	d->begun_ns = lmm_vk_host_ns();
	d->begun_t = lmm_now();
}

/* What was not read by now never is: its query pools go. */
static void pending_drop(struct lmm_vk_queue *q)
{
	uint32_t head = atomic_load(&q->head);

	for (uint32_t at = atomic_load(&q->tail); at != head; at++) {
		struct lmm_vk_pending *p = &q->pending[at % LMM_VK_PENDING];

		if (p->list)
			lmm_vk_list_unref(p->list);
		p->list = NULL;
	}
	atomic_store(&q->tail, head);
	atomic_store(&q->n_in_flight, 0);
}

void lmm_vk_device_remove(struct lmm_vk_device *d)
{
	unsigned n = atomic_load(&n_queues);
	int saved = errno;

	for (unsigned i = 0; i < n; i++) {
		struct lmm_vk_queue *q = queues[i];

		if (q->device != d || !atomic_load(&q->handle))
			continue;
		lmm_vk_has_ended(q, atomic_load(&q->head), true);
		pending_drop(q);
		atomic_store(&q->handle, NULL);
	}
	lmm_vk_buffers_forget(d);
	for (unsigned i = 0; i < d->n_pools; i++)
		d->fn.vkDestroyQueryPool(d->handle, d->pools[i], NULL);
	d->n_pools = 0;
	while (d->free_chunks) {
		struct lmm_vk_chunk *c = d->free_chunks;

		d->free_chunks = c->next;
		free(c);
	}
	errno = saved;
}

/* ---- queues ------------------------------------------------------------------------------------- */

struct lmm_vk_queue *lmm_vk_queue_find(void *handle)
{
	/* pairs with the release in queue_add() */
	unsigned n = atomic_load_explicit(&n_queues, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		if (atomic_load_explicit(&queues[i]->handle, memory_order_relaxed) == handle)
			return queues[i];
	}
	return NULL;
}

struct lmm_vk_queue *const *lmm_vk_queues(unsigned *n)
{
	*n = atomic_load_explicit(&n_queues, memory_order_acquire);
	return queues;
}

bool lmm_vk_family_resets(const struct lmm_vk_device *d, uint32_t family)
{
	return family < d->n_families && d->family[family].bits &&
	       d->family[family].flags & (VK_QUEUE_GRAPHICS | VK_QUEUE_COMPUTE);
}

/* With the lock held. */
static void queue_describe(struct lmm_vk_queue *q)
{
	const struct lmm_vk_device *d = q->device;
	uint32_t bits = q->family < d->n_families ? d->family[q->family].bits : 0;
	struct lmm_device_queue x = {
		.device = d->name[0] ? d->name : "Vulkan device",
		.ticks_per_second = d->period > 0 ? (uint64_t)(1e9 / d->period + 0.5) : 1000000000u,
		.number = q->number,
		.device_number = d->number,
		.is_ordered = true, /* what is timed is not begun before what was timed has ended */
	};

	lmm_device_queue_describe(&x);
	q->told = lmm_device_session();
	if (!bits) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "a Vulkan queue of %s has no timestamps: its commands are "
				   "counted and not timed",
				   x.device);
	}
}

static struct lmm_vk_queue *queue_place(void)
{
	unsigned n = atomic_load(&n_queues);
	struct lmm_vk_queue *q;

	for (unsigned i = 0; i < n; i++) {
		q = queues[i];
		if (q && !atomic_load(&q->handle) &&
		    atomic_load(&q->head) == atomic_load(&q->tail) &&
		    q->told != lmm_device_session())
			return q;
	}
	if (n == QUEUES_MAX)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->number = lmm_device_queue_next();
	queues[n] = q;
	/* pairs with the acquire in lmm_vk_queue_find() */
	atomic_store_explicit(&n_queues, n + 1, memory_order_release);
	return q;
}

/* With the lock held. */
static void queue_fill(struct lmm_vk_queue *q, struct lmm_vk_device *d, void *handle,
		       uint32_t family)
{
	q->device = d;
	q->family = (uint16_t)family;
	q->told = 0;
	if (lmm_session_is_joined())
		queue_describe(q);
	atomic_store_explicit(&q->handle, handle, memory_order_release);
}

void lmm_vk_queue_note(struct lmm_vk_device *d, void *handle, uint32_t family)
{
	struct lmm_vk_queue *q;
	int saved = errno;

	pthread_mutex_lock(&lock);
	q = lmm_vk_queue_find(handle);
	if (!q) {
		q = queue_place();
		if (q)
			queue_fill(q, d, handle, family);
	}
	pthread_mutex_unlock(&lock);
	if (!q) {
		lmm_session_reason(
			LMM_LEVEL_KERNELS,
			"more than %d Vulkan queues: commands of further ones are not seen",
			QUEUES_MAX);
	}
	errno = saved;
}

/* ---- sessions ----------------------------------------------------------------------------------- */

LMM_COLD void lmm_vk_recording_begin(void)
{
	uint32_t session = lmm_device_session();
	unsigned n = atomic_load(&n_queues);

	pthread_mutex_lock(&lock);
	if (atomic_load(&told) != session) {
		lmm_engine_describe_unknown("vulkan");
		for (unsigned i = 0; i < n; i++) {
			if (queues[i]->told != session && atomic_load(&queues[i]->handle))
				queue_describe(queues[i]);
		}
		for (unsigned i = 0; i < atomic_load(&n_devices); i++)
			lmm_vk_device_begin(devices[i]);
		lmm_device_cost_renew(&lmm_vk_api.cost);
		atomic_store(&told, session);
	}
	pthread_mutex_unlock(&lock);
	lmm_device_marks_begin("vkGetInstanceProcAddr");
}

/* Vulkan itself forbids the child to use what its parent made: it begins anew. */
void lmm_vk_after_fork(void)
{
	unsigned n = atomic_load(&n_queues);

	pthread_mutex_init(&lock, NULL);
	for (unsigned i = 0; i < n; i++) {
		atomic_store(&queues[i]->handle, NULL);
		atomic_store(&queues[i]->tail, atomic_load(&queues[i]->head));
		atomic_store(&queues[i]->seen, atomic_load(&queues[i]->head));
		atomic_store(&queues[i]->n_in_flight, 0);
		/* whoever was at it stayed with the parent */
		atomic_flag_clear(&queues[i]->is_harvested);
		queues[i]->told = 0;
	}
	n = atomic_load(&n_devices);
	for (unsigned i = 0; i < n; i++)
		pthread_mutex_init(&devices[i]->lock, NULL);
	atomic_store(&told, 0);
	lmm_vk_instances_after_fork();
	lmm_vk_buffers_after_fork();
	lmm_vk_pipelines_after_fork();
	lmm_vk_patterns_after_fork();
	lmm_vk_embedded_after_fork();
}

/* ---- what was not seen -------------------------------------------------------------------------- */

void lmm_vk_look_around(void)
{
	if (lmm_vk_is_layer() || !lmm_device_library_is_loaded("libvulkan.so"))
		return;
	lmm_session_reason(LMM_LEVEL_KERNELS,
			   "Vulkan is loaded, and its loader has not loaded lmmeter's layer: if "
			   "kernels run on it, they are not seen");
}

/* ---- hooks -------------------------------------------------------------------------------------- */

void lmm__vkDestroyDevice(void *device, const void *allocator)
{
	struct lmm_vk_device *d = device ? lmm_vk_device_of(device) : NULL;
	void (*destroy)(void *, const void *);

	if (!d)
		return;
	lmm_vk_device_remove(d);
	destroy = d->fn.vkDestroyDevice;
	/* before the driver: then both the key and our place may be another device's */
	atomic_store(&d->key, NULL);
	destroy(device, allocator);
}

void lmm__vkGetDeviceQueue(void *device, uint32_t family, uint32_t index, void **queue)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);

	d->fn.vkGetDeviceQueue(device, family, index, queue);
	if (*queue)
		lmm_vk_queue_note(d, *queue, family);
}

void lmm__vkGetDeviceQueue2(void *device, const struct vk_device_queue_info2 *info, void **queue)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);

	d->fn.vkGetDeviceQueue2(device, info, queue);
	if (*queue)
		lmm_vk_queue_note(d, *queue, info->family);
}
