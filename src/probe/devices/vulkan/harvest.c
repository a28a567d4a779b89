/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the times of what has ended, when the application has just seen it end: its own waits, its own questions, or its recording
 * a command buffer anew.
 */
#include <errno.h>
#include <time.h>

#include "probe/devices/vulkan/vulkan.h"

#define CLOCK_TRIES 3

/* ---- stamps ------------------------------------------------------------------------------------- */

static uint32_t bits_of(const struct lmm_vk_queue *q)
{
	return q->device->family[q->family].bits;
}

static uint64_t mask_of(uint32_t bits)
{
	return bits < 64 ? ((uint64_t)1 << bits) - 1 : UINT64_MAX;
}

uint64_t lmm_vk_host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * A stamp beyond its bits: the one that is nearest to what the host's clock says since the last. With the device's lock held.
 */
static uint64_t whole_stamp(const struct lmm_vk_device *d, uint64_t raw, uint32_t bits)
{
	uint64_t mask = mask_of(bits), expected, on;

	if (bits >= 64)
		return raw;
	if (!d->stamp_ns) /* one round on: what lies a little before it is not below 0 */
		return (raw & mask) + mask + 1;
	expected = d->stamp + (uint64_t)((double)(lmm_vk_host_ns() - d->stamp_ns) / d->period);
	on = (raw - expected) & mask;
	return on <= mask / 2 ? expected + on : expected - (mask + 1 - on);
}

static void stamp_note(struct lmm_vk_device *d, uint64_t stamp)
{
	d->stamp = stamp;
	d->stamp_ns = lmm_vk_host_ns();
}

/* Whether the last stamp of the list is there. An old one of the same slot is not newer than what was read. */
static bool has_ended(const struct lmm_vk_queue *q, const struct lmm_vk_list *l)
{
	struct lmm_vk_device *d = q->device;
	uint32_t last = l->n_stamps - 1;
	const struct lmm_vk_chunk *c = l->chunks[last / LMM_VK_CHUNK];
	uint64_t raw;
	bool is_new;

	if (d->fn.vkGetQueryPoolResults(d->handle, c->pool, c->first + last % LMM_VK_CHUNK, 1,
					sizeof(raw), &raw, sizeof(raw), VK_QUERY_64_BIT) != VK_OK)
		return false;
	pthread_mutex_lock(&d->lock);
	is_new = whole_stamp(d, raw, bits_of(q)) > d->newest;
	pthread_mutex_unlock(&d->lock);
	return is_new;
}

/* ---- clocks ------------------------------------------------------------------------------------- */

/* The tightest of a few: the first call after a long computation finds the caches cold. */
static void clock_compare(struct lmm_thread *th, struct lmm_vk_queue *q)
{
	static const struct vk_calibrated_timestamp_info info = {
		.type = VK_S_CALIBRATED_TIMESTAMP_INFO,
		.domain = VK_DOMAIN_DEVICE,
	};
	uint64_t t0 = lmm_now(), best_t0 = 0, best_t1 = UINT64_MAX, best = 0, raw, deviation;
	struct lmm_vk_device *d = q->device;

	if (lmm_device_clock_is_fresh(&d->clock, t0))
		return;
	for (int i = 0; i < CLOCK_TRIES; i++) {
		uint64_t t1;

		if (d->fn.vkGetCalibratedTimestamps(d->handle, 1, &info, &raw, &deviation) !=
		    VK_OK) {
			d->has_clock = false;
			return;
		}
		t1 = lmm_now();
		if (t1 - t0 < best_t1 - best_t0) {
			best_t0 = t0;
			best_t1 = t1;
			best = raw;
		}
		t0 = t1;
	}
	pthread_mutex_lock(&d->lock);
	best = whole_stamp(d, best, bits_of(q));
	stamp_note(d, best);
	pthread_mutex_unlock(&d->lock);
	lmm_device_clock_put(th, &d->clock, q->number, d->number, best_t0, best_t1, best);
}

/* ---- one list ----------------------------------------------------------------------------------- */

static void completion_put(struct lmm_thread *th, const struct lmm_vk_queue *q, uint32_t id,
			   uint64_t started, uint64_t ended)
{
	struct lmm_device_times x = {
		.queued = started,
		.submitted = started,
		.started = started,
		.ended = ended,
		.id = id,
		.status =
			started && started <= ended ? LMM_COMPLETION_OK : LMM_COMPLETION_DISORDERED,
	};

	lmm_device_completion_put(th, q->number, &x);
}

/* All but the first n. */
static void without_times(struct lmm_thread *th, const struct lmm_vk_queue *q,
			  const struct lmm_vk_pending *p, uint32_t n, uint8_t status)
{
	struct lmm_device_times x = { .status = status };

	for (uint32_t i = n; i < p->list->n_timed; i++) {
		x.id = p->id + i;
		lmm_device_completion_put(th, q->number, &x);
	}
}

/*
 * What was read by now is of that submit: the device has not been given the slots again, which another thread may do while they are
 * read. Without a recording submits are not counted.
 */
static bool is_current(const struct lmm_vk_pending *p)
{
	/* pairs with the fence in buffer_before(): before what the device writes then */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&p->list->serial, memory_order_relaxed) == p->serial &&
	       lmm_recording() == p->recording;
}

/* Where the driver has no clock to ask: it began after the submit, and had ended when it was seen to. */
static void clock_from_list(struct lmm_thread *th, struct lmm_vk_queue *q,
			    const struct lmm_vk_pending *p, uint64_t first)
{
	struct lmm_vk_device *d = q->device;

	if (!d->has_clock)
		lmm_device_clock_put(th, &d->clock, q->number, d->number, p->t, lmm_now(), first);
}

/* How far a stamp of few bits goes on from another; 0: not at all, as it is an older one. */
static uint64_t distance(uint64_t from, uint64_t to, uint32_t bits)
{
	uint64_t mask = mask_of(bits), on = (to - from) & mask;

	return on <= mask / 2 ? on : 0;
}

/* A list's stamps are read piece by piece; its last one is looked at first and says where all of them lie. */
struct reading {
	const struct lmm_vk_list *list;
	uint32_t bits;
	uint64_t raw, stamp; /* of the last one that was read */
};

static bool reading_begin(struct reading *r, const struct lmm_vk_queue *q,
			  const struct lmm_vk_pending *p)
{
	const struct lmm_vk_list *l = p->list;
	struct lmm_vk_device *d = q->device;
	uint32_t last = l->n_stamps - 1;
	struct lmm_vk_chunk c = *l->chunks[last / LMM_VK_CHUNK];
	uint64_t end, whole;

	*r = (struct reading){ .list = l, .bits = bits_of(q) };
	c.first += last % LMM_VK_CHUNK;
	if (!lmm_vk_chunk_read(d, &c, 1, &end) || !lmm_vk_chunk_read(d, l->chunks[0], 1, &r->raw) ||
	    !is_current(p))
		return false;
	pthread_mutex_lock(&d->lock);
	whole = whole_stamp(d, end, r->bits);
	stamp_note(d, whole);
	if (whole > d->newest)
		d->newest = whole;
	pthread_mutex_unlock(&d->lock);
	r->stamp = whole - ((end - r->raw) & mask_of(r->bits));
	return true;
}

/* Two stamps with nothing between: what one of them costs the device, in ticks of ours. */
static void doubled_take(const struct lmm_vk_device *d, const struct reading *r, uint64_t second)
{
	double ns = (double)distance(r->raw, second, r->bits) * d->period;
	uint64_t now_ns = lmm_vk_host_ns(), now_t = lmm_now();

	if (now_ns > d->begun_ns) {
		lmm_device_cost_on_device(&lmm_vk_api.cost, ns * (double)(now_t - d->begun_t) /
								    (double)(now_ns - d->begun_ns));
	}
}

static void piece_put(struct lmm_thread *th, const struct lmm_vk_queue *q, struct reading *r,
		      const uint64_t *stamps, uint32_t n, uint32_t id)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t on = distance(r->raw, stamps[i], r->bits);
		bool is_ordered = on || stamps[i] == r->raw;

		completion_put(th, q, id + i, is_ordered ? r->stamp : 0,
			       is_ordered ? r->stamp + on : 0);
		if (is_ordered) {
			r->raw = stamps[i];
			r->stamp += on;
		}
	}
}

/* Numbers of those that are told. A stamp is the end of one command and the start of the next. */
static void list_read(struct lmm_thread *th, struct lmm_vk_queue *q, const struct lmm_vk_pending *p)
{
	const struct lmm_vk_list *l = p->list;
	uint64_t stamps[LMM_VK_CHUNK];
	uint32_t told = 0;
	struct reading r;

	if (!reading_begin(&r, q, p)) {
		without_times(th, q, p, 0, LMM_COMPLETION_UNAVAILABLE);
		return;
	}
	clock_from_list(th, q, p, r.stamp);
	for (uint32_t at = 0; at < l->n_stamps; at += LMM_VK_CHUNK) {
		uint32_t n = l->n_stamps - at < LMM_VK_CHUNK ? l->n_stamps - at : LMM_VK_CHUNK;
		uint32_t begin = at ? 0 : 1 + l->is_doubled; /* nothing lies before the first */

		if (!lmm_vk_chunk_read(l->device, l->chunks[at / LMM_VK_CHUNK], n, stamps) ||
		    !is_current(p))
			break;
		if (begin == 2) {
			uint64_t on = distance(r.raw, stamps[1], r.bits);

			doubled_take(l->device, &r, stamps[1]);
			r.raw += on;
			r.stamp += on;
		}
		piece_put(th, q, &r, stamps + begin, n - begin, p->id + told);
		told += n - begin;
	}
	without_times(th, q, p, told, LMM_COMPLETION_UNAVAILABLE);
}

/* ---- a queue ------------------------------------------------------------------------------------ */

/* How many commands were told of. */
static uint32_t entry_done(struct lmm_thread *th, struct lmm_vk_queue *q,
			   const struct lmm_vk_pending *p, bool is_lost)
{
	struct lmm_vk_list *l = p->list;
	uint32_t n = 0;

	if (p->recording == lmm_recording()) {
		n = l->n_timed;
		if (is_lost) {
			without_times(th, q, p, 0, LMM_COMPLETION_FAILED);
		} else if (!is_current(p)) {
			without_times(th, q, p, 0, LMM_COMPLETION_UNAVAILABLE);
		} else {
			list_read(th, q, p);
		}
	}
	atomic_fetch_sub_explicit(&q->n_in_flight, l->n_timed, memory_order_relaxed);
	lmm_vk_list_unref(l);
	return n;
}

static uint32_t harvest(struct lmm_thread *th, struct lmm_vk_queue *q, uint32_t upto, bool ask,
			bool is_lost)
{
	uint32_t at = atomic_load_explicit(&q->tail, memory_order_relaxed), total = 0;

	for (; (int32_t)(upto - at) > 0; at++) {
		const struct lmm_vk_pending *p = &q->pending[at % LMM_VK_PENDING];

		if (!p->list)
			continue;
		if (ask && !has_ended(q, p->list))
			break;
		total += entry_done(th, q, p, is_lost);
	}
	/* pairs with the acquire in pending_put() */
	atomic_store_explicit(&q->tail, at, memory_order_release);
	return total;
}

static void harvest_measured(struct lmm_vk_queue *q, uint32_t upto, bool ask, bool is_lost)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_self() : NULL;
	int saved = errno;
	uint64_t t0, t1;
	uint32_t n;

	if (!th || (int32_t)(upto - atomic_load_explicit(&q->tail, memory_order_relaxed)) <= 0)
		return;
	if (atomic_flag_test_and_set_explicit(&q->is_harvested, memory_order_acquire))
		return;
	t0 = lmm_now();
	if (q->device->has_clock && !is_lost)
		clock_compare(th, q);
	n = harvest(th, q, upto, ask, is_lost);
	atomic_flag_clear_explicit(&q->is_harvested, memory_order_release);
	t1 = lmm_now();
	if (n)
		lmm_device_cost_harvest(&lmm_vk_api.cost, th, t0, t1, n);
	errno = saved;
}

/* Nothing that the queues of the device were given is under way, as far as it matters: what was handed over while nothing waits
 * to be read is not looked at. */
static bool is_idle(const struct lmm_vk_device *d)
{
	struct lmm_vk_queue *const *all;
	unsigned n;

	all = lmm_vk_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		const struct lmm_vk_queue *q = all[i];
		uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);

		if (q->device == d && (int32_t)(head - atomic_load(&q->seen)) > 0 &&
		    head != atomic_load(&q->tail))
			return false;
	}
	return true;
}

static bool is_much(const struct lmm_vk_queue *q)
{
	return atomic_load_explicit(&q->head, memory_order_relaxed) -
			       atomic_load_explicit(&q->tail, memory_order_relaxed) >=
		       LMM_VK_PENDING / 2 ||
	       atomic_load_explicit(&q->n_in_flight, memory_order_relaxed) >= LMM_VK_IN_FLIGHT / 2;
}

void lmm_vk_has_ended(struct lmm_vk_queue *q, uint32_t upto, bool now)
{
	struct lmm_vk_queue *const *all;
	unsigned n;

	if ((int32_t)(upto - atomic_load(&q->seen)) > 0)
		atomic_store(&q->seen, upto);
	if (now || is_much(q)) {
		harvest_measured(q, upto, false, false);
		return;
	}
	if (!is_idle(q->device))
		return;
	all = lmm_vk_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		if (all[i]->device == q->device && atomic_load(&all[i]->handle))
			harvest_measured(all[i], atomic_load(&all[i]->seen), false, false);
	}
}

void lmm_vk_harvest_ended(struct lmm_vk_queue *q)
{
	harvest_measured(q, atomic_load_explicit(&q->head, memory_order_acquire), true, false);
}

static LMM_COLD void device_each(const struct lmm_vk_device *d, bool is_lost)
{
	struct lmm_vk_queue *const *all;
	unsigned n;

	all = lmm_vk_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		if (all[i]->device != d || !atomic_load(&all[i]->handle))
			continue;
		atomic_store(&all[i]->seen, atomic_load(&all[i]->head));
		harvest_measured(all[i], atomic_load(&all[i]->head), false, is_lost);
	}
}

LMM_COLD void lmm_vk_device_is_lost(struct lmm_vk_device *d)
{
	if (!lmm_recording())
		return;
	lmm_session_reason(LMM_LEVEL_PHASES,
			   "the Vulkan device %s was lost: what it was given then failed", d->name);
	device_each(d, true);
}

/* ---- what has ended ----------------------------------------------------------------------------- */

/* Position behind the newest entry that the signal tells of, and other signals of the same; *found is false if there is none. */
static uint32_t signal_find(const struct lmm_vk_queue *q, vk_handle signal, uint64_t value,
			    bool *found)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
	uint32_t upto = atomic_load_explicit(&q->head, memory_order_acquire);

	*found = false;
	for (uint32_t at = upto; at != tail && !*found; at--) {
		const struct lmm_vk_pending *p = &q->pending[(at - 1) % LMM_VK_PENDING];

		/* a fence has no value, a semaphore one that is not 0 */
		*found = p->signal == signal && !p->value == !value && p->value <= value;
		if (!*found && !p->is_more)
			upto = at - 1;
	}
	return upto;
}

static void signal_has_ended(const struct lmm_vk_device *d, vk_handle signal, uint64_t value)
{
	struct lmm_vk_queue *const *all;
	unsigned n;

	all = lmm_vk_queues(&n);
	for (unsigned i = 0; i < n; i++) {
		struct lmm_vk_queue *q = all[i];
		uint32_t upto;
		bool found;

		if (q->device != d || atomic_load_explicit(&q->head, memory_order_relaxed) ==
					      atomic_load_explicit(&q->tail, memory_order_relaxed))
			continue;
		upto = signal_find(q, signal, value, &found);
		if (found)
			lmm_vk_has_ended(q, upto, false);
	}
}

/* Looks at what a call has said of the device; true: something may have ended. */
static LMM_INLINE bool has_news(struct lmm_vk_device *d, int32_t rc)
{
	if (lmm_unlikely(rc == VK_DEVICE_LOST))
		lmm_vk_device_is_lost(d);
	return rc == VK_OK && lmm_recording();
}

int32_t lmm__vkQueueWaitIdle(void *queue)
{
	struct lmm_vk_device *d = lmm_vk_device_of(queue);
	int32_t rc = d->fn.vkQueueWaitIdle(queue);
	struct lmm_vk_queue *q = has_news(d, rc) ? lmm_vk_queue_find(queue) : NULL;

	/* nobody else may have submitted to it meanwhile */
	if (q)
		lmm_vk_has_ended(q, atomic_load_explicit(&q->head, memory_order_acquire), false);
	return rc;
}

int32_t lmm__vkDeviceWaitIdle(void *device)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkDeviceWaitIdle(device);

	if (has_news(d, rc))
		device_each(d, false);
	return rc;
}

int32_t lmm__vkWaitForFences(void *device, uint32_t n, const vk_handle *fences, uint32_t all,
			     uint64_t timeout)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkWaitForFences(device, n, fences, all, timeout);
	int saved = errno;

	if (!has_news(d, rc))
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		if (all || n == 1 || d->fn.vkGetFenceStatus(device, fences[i]) == VK_OK)
			signal_has_ended(d, fences[i], 0);
	}
	errno = saved;
	return rc;
}

int32_t lmm__vkGetFenceStatus(void *device, vk_handle fence)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkGetFenceStatus(device, fence);

	if (has_news(d, rc))
		signal_has_ended(d, fence, 0);
	return rc;
}

int32_t lmm__vkGetSemaphoreCounterValue(void *device, vk_handle semaphore, uint64_t *value)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkGetSemaphoreCounterValue(device, semaphore, value);

	if (has_news(d, rc) && *value)
		signal_has_ended(d, semaphore, *value);
	return rc;
}

int32_t lmm__vkWaitSemaphores(void *device, const struct vk_semaphore_wait_info *info,
			      uint64_t timeout)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkWaitSemaphores(device, info, timeout);
	int saved = errno;

	if (!has_news(d, rc))
		return rc;
	for (uint32_t i = 0; i < info->n; i++) {
		uint64_t value = info->values[i];

		/* any of them: which one is to be asked */
		if (info->flags && info->n > 1 &&
		    d->fn.vkGetSemaphoreCounterValue(device, info->semaphores[i], &value) != VK_OK)
			continue;
		if (value)
			signal_has_ended(d, info->semaphores[i], value);
	}
	errno = saved;
	return rc;
}
