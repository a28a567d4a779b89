/* SPDX-License-Identifier: Apache-2.0 */
/* Submits: what the command buffers hold is told of now, with the step and phase of whoever submits them. */
#include "probe/devices/vulkan/vulkan.h"

#define KEPT 512u

struct submit {
	struct lmm_vk_queue *q;
	struct lmm_thread *th;
	uint64_t t;
	uint32_t recording;
	bool is_open; /* no signal stands behind what was told of last */
	/* what the buffers held before the driver had them: another thread may record them anew as soon as it has */
	uint32_t n_kept, n_told;
	struct lmm_vk_list *kept[KEPT];
};

/* ---- before ------------------------------------------------------------------------------------- */

/* The thread, queue and time that what follows is told with; false: it is not. */
static bool submit_begin(struct submit *s, void *queue)
{
	s->n_kept = s->n_told = 0;
	s->is_open = false;
	s->recording = lmm_recording();
	s->q = s->recording ? lmm_vk_queue_find(queue) : NULL;
	if (!s->q)
		return false;
	s->th = lmm_thread_self();
	if (!s->th) {
		lmm_no_ring(1);
		return false;
	}
	/* a program that never waits is asked now and then what has ended */
	if (lmm_unlikely(atomic_load_explicit(&s->q->head, memory_order_relaxed) -
				 atomic_load_explicit(&s->q->tail, memory_order_relaxed) >=
			 LMM_VK_PENDING / 2))
		lmm_vk_harvest_ended(s->q);
	s->t = lmm_now();
	lmm_device_step(s->th, &lmm_vk_api, s->t);
	return true;
}

/* NULL: nobody knows what it holds. */
static struct lmm_vk_list *list_of(const struct lmm_vk_buffer *b)
{
	return b && !b->is_unseen ? b->list : NULL;
}

/* The driver has refused. */
static void refused(struct submit *s, int32_t rc)
{
	if (rc == VK_DEVICE_LOST)
		lmm_vk_device_is_lost(s->q->device);
	for (; s->n_told < s->n_kept; s->n_told++) {
		if (s->kept[s->n_told])
			lmm_vk_list_unref(s->kept[s->n_told]);
	}
}

/* The driver has it then, and another thread may record it anew while it is told of. */
static LMM_COLD void not_kept(void)
{
	static _Atomic uint32_t said;

	if (lmm_vk_is_unsaid(&said)) {
		lmm_session_reason(
			LMM_LEVEL_PHASES,
			"more than %u Vulkan command buffers in one submit: what further "
			"ones hold is not told apart",
			KEPT);
	}
}

/* Submitted before, it must have ended by now, and its slots will be written anew. */
static void buffer_before(struct submit *s, void *handle)
{
	struct lmm_vk_buffer *b = lmm_vk_buffer_find(handle);
	struct lmm_vk_list *l = list_of(b);

	if (s->n_kept < KEPT) {
		if (l)
			lmm_vk_list_ref(l);
		s->kept[s->n_kept++] = l;
	} else {
		not_kept();
	}
	if (!b || !b->list)
		return;
	if (b->queue)
		lmm_vk_buffer_has_ended(b);
	atomic_fetch_add_explicit(&b->list->serial, 1, memory_order_relaxed);
	/* pairs with the fence in is_current() */
	atomic_thread_fence(memory_order_release);
}

/* ---- behind ------------------------------------------------------------------------------------- */

static bool pending_put(struct lmm_vk_queue *q, const struct lmm_vk_pending *p)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&q->tail, memory_order_acquire) >= LMM_VK_PENDING)
		return false;
	q->pending[head % LMM_VK_PENDING] = *p;
	/* pairs with the acquire in harvest.c */
	atomic_store_explicit(&q->head, head + 1, memory_order_release);
	return true;
}

/* Number of its first timed command in *id; false: it is not timed. */
static bool timing_begin(const struct submit *s, struct lmm_vk_buffer *b, struct lmm_vk_list *l,
			 uint32_t *id)
{
	struct lmm_vk_queue *q = s->q;
	const struct lmm_vk_pending p = {
		.list = l,
		.t = s->t,
		.id = q->next_id,
		.recording = s->recording,
		.serial = atomic_load_explicit(&l->serial, memory_order_relaxed),
	};
	uint32_t in_flight = atomic_load_explicit(&q->n_in_flight, memory_order_relaxed);

	if (!l->n_timed || !(l->is_one_time || s->th->is_device_timed) ||
	    in_flight + l->n_timed > LMM_VK_IN_FLIGHT)
		return false;
	lmm_vk_list_ref(l);
	atomic_fetch_add_explicit(&q->n_in_flight, l->n_timed, memory_order_relaxed);
	if (!pending_put(q, &p)) {
		atomic_fetch_sub_explicit(&q->n_in_flight, l->n_timed, memory_order_relaxed);
		lmm_vk_list_unref(l);
		return false;
	}
	*id = q->next_id;
	q->next_id += l->n_timed;
	if (b && b->list == l) {
		b->queue = q;
		b->upto = atomic_load_explicit(&q->head, memory_order_relaxed);
	}
	return true;
}

static void list_put(const struct submit *s, const struct lmm_vk_list *l, bool is_timed,
		     uint32_t id)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct lmm_vk_command c = lmm_vk_list_at(l, i, s->recording);
		struct lmm_device_command x = {
			.t = s->t,
			.amount = c.amount,
			.graph = c.graph,
			.node = c.node,
			.kernel = lmm_vk_kernel_tell(c.kernel),
			.queue = s->q->number,
			.is_timed = is_timed && c.stamp,
		};

		if (x.is_timed)
			x.id = id++;
		lmm_device_command_put(s->th, &x);
	}
	s->th->budget.commands += l->n;
	s->th->budget.timed += is_timed ? l->n_timed : 0;
}

/* One that nobody looked at when it was recorded. */
static void unseen_put(const struct submit *s)
{
	struct lmm_device_command x = {
		.t = s->t,
		.node = LMM_NODE_UNKNOWN,
		.kernel = lmm_device_kind_number(LMM_KERNEL_COMMAND_BUFFER),
		.queue = s->q->number,
	};

	lmm_device_command_put(s->th, &x);
	s->th->budget.commands++;
}

/* What was expected is told by its number. False: it is not that, and is listed; or there is no memory for that, and l is NULL. */
static bool pattern_put(const struct submit *s, struct lmm_vk_list **l)
{
	const struct lmm_vk_pattern *p = (*l)->pattern;
	const struct lmm_device_command x = {
		.t = s->t,
		.graph = p->graph,
		.queue = s->q->number,
	};

	if (p->recording != s->recording || p->n != (*l)->n || lmm_vk_pattern_is_old(p)) {
		if (!lmm_vk_pattern_leave(*l)) {
			lmm_vk_list_unref(*l);
			*l = NULL;
		}
		return false;
	}
	lmm_device_pattern_put(s->th, &x, p->number, p->n);
	s->th->budget.commands += p->n;
	s->th->budget.at_once += p->n;
	return true;
}

static void buffer_behind(struct submit *s, void *handle)
{
	struct lmm_vk_buffer *b = lmm_vk_buffer_find(handle);
	struct lmm_vk_list *l = s->n_told < s->n_kept ? s->kept[s->n_told++] : NULL;
	uint32_t id = 0;
	bool is_timed;

	s->is_open = true;
	if (l && l->pattern && pattern_put(s, &l)) {
		lmm_vk_list_unref(l);
		return;
	}
	if (!l) {
		unseen_put(s);
		return;
	}
	is_timed = timing_begin(s, b, l, &id);
	list_put(s, l, is_timed, id);
	lmm_vk_list_unref(l);
}

/* What says later that all before it has ended, or 0: that something is under way. Of no use if nothing waits for that. */
static void signal_behind(struct submit *s, vk_handle signal, uint64_t value)
{
	const struct lmm_vk_pending p = { .signal = signal,
					  .value = value,
					  .is_more = !s->is_open };

	s->is_open = false;
	if (atomic_load_explicit(&s->q->head, memory_order_relaxed) !=
	    atomic_load_explicit(&s->q->tail, memory_order_relaxed))
		pending_put(s->q, &p);
}

/* ---- hooks -------------------------------------------------------------------------------------- */

static void timeline_behind(struct submit *s, const struct vk_submit_info *x)
{
	const struct vk_base *at = x->next;

	while (at && at->type != VK_S_TIMELINE_SUBMIT_INFO)
		at = at->next;
	if (at) {
		const struct vk_timeline_submit_info *values = (const void *)at;

		for (uint32_t i = 0; i < x->n_signal && i < values->n_signal; i++) {
			if (values->signal[i])
				signal_behind(s, x->signal[i], values->signal[i]);
		}
	}
}

int32_t lmm__vkQueueSubmit(void *queue, uint32_t n, const struct vk_submit_info *submits,
			   vk_handle fence)
{
	const struct lmm_vk_device *d = lmm_vk_device_of(queue);
	struct submit s;
	int32_t rc;

	if (!submit_begin(&s, queue))
		return d->fn.vkQueueSubmit(queue, n, submits, fence);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < submits[i].n_buffers; k++)
			buffer_before(&s, submits[i].buffers[k]);
	}
	rc = d->fn.vkQueueSubmit(queue, n, submits, fence);
	if (rc != VK_OK) {
		refused(&s, rc);
		return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < submits[i].n_buffers; k++)
			buffer_behind(&s, submits[i].buffers[k]);
		timeline_behind(&s, &submits[i]);
	}
	signal_behind(&s, fence, 0);
	return rc;
}

/* What some stages signal says nothing of the others. */
static void semaphore_behind(struct submit *s, const struct vk_semaphore_submit_info *x)
{
	if (x->value && x->stages & (VK_STAGE_ALL_COMMANDS | VK_STAGE_BOTTOM_OF_PIPE))
		signal_behind(s, x->semaphore, x->value);
}

int32_t lmm__vkQueueSubmit2(void *queue, uint32_t n, const struct vk_submit_info2 *submits,
			    vk_handle fence)
{
	const struct lmm_vk_device *d = lmm_vk_device_of(queue);
	struct submit s;
	int32_t rc;

	if (!submit_begin(&s, queue))
		return d->fn.vkQueueSubmit2(queue, n, submits, fence);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < submits[i].n_buffers; k++)
			buffer_before(&s, submits[i].buffers[k].buffer);
	}
	rc = d->fn.vkQueueSubmit2(queue, n, submits, fence);
	if (rc != VK_OK) {
		refused(&s, rc);
		return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct vk_submit_info2 *x = &submits[i];

		for (uint32_t k = 0; k < x->n_buffers; k++)
			buffer_behind(&s, x->buffers[k].buffer);
		for (uint32_t k = 0; k < x->n_signal; k++)
			semaphore_behind(&s, &x->signal[k]);
	}
	signal_behind(&s, fence, 0);
	return rc;
}
