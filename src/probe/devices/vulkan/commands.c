/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands as they are recorded into a command buffer. This is the hot path of every dispatch: docs/design.md, "Hot path". A stamp
 * ends what lies between two barriers of the program's own; in some steps every command gets one.
 */
#include "base/hash.h"
#include "probe/devices/vulkan/vulkan.h"

/* One list in so many shows what a stamp costs the device. */
#define DOUBLE_EVERY 8u
/* Of the timed steps, one in so many tells apart what ran between two barriers, as stamps there might part what overlaps. */
#define SPLIT_EVERY 8u

static LMM_INLINE const struct lmm_vk_fns *next_of(void *buffer)
{
	return &lmm_vk_device_of(buffer)->fn;
}

/* A thread records into one for long. Entries never leave their place. */
static _Thread_local struct lmm_vk_buffer *recent __attribute__((tls_model("initial-exec")));

static LMM_INLINE struct lmm_vk_buffer *find(void *buffer)
{
	struct lmm_vk_buffer *b = recent;

	if (lmm_likely(b && atomic_load_explicit(&b->handle, memory_order_acquire) == buffer &&
		       b->is_alive))
		return b;
	b = lmm_vk_buffer_find(buffer);
	recent = b;
	return b;
}

/* ---- whether it is timed ------------------------------------------------------------------------ */

static bool is_split(const struct lmm_thread *th)
{
	if (!lmm_session_device_budget_ppm())
		return true;
	return lmm_hash_u64(LMM_HASH_SEED + 1, th->step) % SPLIT_EVERY == 0;
}

static void simultaneous_say(void)
{
	static _Atomic uint32_t said;

	if (lmm_vk_is_unsaid(&said)) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "Vulkan command buffers that may be in flight twice: what they "
				   "hold is counted and not timed");
	}
}

/* Secondary ones are timed by the one that runs them; the slots of one that may be in flight twice would be written twice. */
static bool can_be_timed(const struct lmm_vk_buffer *b)
{
	const struct lmm_vk_device *d = b->device;

	if (b->is_secondary || b->family >= d->n_families || !d->family[b->family].bits)
		return false;
	if (b->is_simultaneous) {
		simultaneous_say();
		return false;
	}
	return lmm_vk_family_resets(d, b->family) || (d->has_host_reset && b->list->is_one_time);
}

/* At its first command. One that may be submitted again is stamped whatever the step is, as it is recorded once. */
static LMM_NOINLINE void decide(struct lmm_vk_buffer *b)
{
	struct lmm_vk_list *l = b->list;
	struct lmm_thread *th = lmm_thread_self();

	l->is_decided = true;
	if (!th)
		return;
	lmm_device_step(th, &lmm_vk_api, lmm_now());
	l->is_split = is_split(th);
	l->is_timed = can_be_timed(b) && (th->is_device_timed || !l->is_one_time);
	if (!l->is_timed && l->is_one_time && !b->is_secondary && l->n == 0)
		lmm_vk_pattern_expect(l, th);
}

/* ---- stamps ------------------------------------------------------------------------------------- */

/* What a stamp costs the program: its own call. What reading it costs is measured there. */
static LMM_NOINLINE void stamp_sampled(struct lmm_vk_list *l, void *buffer)
{
	const struct lmm_thread *th = lmm_thread_known();
	uint64_t t0 = lmm_now();

	lmm_vk_list_stamp(l, buffer);
	if (th)
		lmm_device_cost_sample(&lmm_vk_api.cost, th, lmm_now() - t0);
}

static LMM_INLINE void stamp(struct lmm_vk_list *l, void *buffer)
{
	if (lmm_unlikely(lmm_vk_api.cost.is_calibrating)) {
		stamp_sampled(l, buffer);
	} else {
		lmm_vk_list_stamp(l, buffer);
	}
}

/* Several that ran between two stamps are one command, which stands for all of them. */
static LMM_NOINLINE void group_merge(struct lmm_vk_list *l)
{
	struct lmm_vk_command *first = &l->commands[l->group];
	uint32_t n = l->n - l->group;

	first->kernel = lmm_vk_kernel_of_group(first, n);
	first->amount = n;
	l->n = l->group + 1;
}

void lmm_vk_group_close(struct lmm_vk_buffer *b)
{
	struct lmm_vk_list *l = b->list;

	if (!l || l->group == l->n || !l->is_timed)
		return;
	/* nothing says when it began, or there is no room to say when it ended (secondary buffers of old) */
	if (!l->n_stamps || l->n_stamps >= l->n_chunks * LMM_VK_CHUNK) {
		l->group = l->n;
		return;
	}
	if (l->n - l->group > 1)
		group_merge(l);
	l->commands[l->group].stamp = l->n_stamps;
	l->group = l->n;
	l->n_timed++;
	stamp(l, atomic_load_explicit(&b->handle, memory_order_relaxed));
}

/* ---- commands ----------------------------------------------------------------------------------- */

static void no_room_say(const struct lmm_vk_list *l)
{
	static _Atomic uint32_t list_said, device_said;

	if (l->n_chunks < LMM_VK_CHUNKS) {
		if (lmm_vk_is_unsaid(&device_said)) {
			lmm_session_reason(
				LMM_LEVEL_PHASES,
				"a Vulkan device has no room for more timestamps: some commands "
				"are counted and not timed");
		}
	} else if (lmm_vk_is_unsaid(&list_said)) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "a Vulkan command buffer has more than %u timestamps: what lies "
				   "behind them is counted and not timed",
				   LMM_VK_CHUNKS * LMM_VK_CHUNK);
	}
}

/* There is no room for more times: what is known by then stays. */
static LMM_COLD void stop_timing(struct lmm_vk_buffer *b)
{
	if (b->list->n_stamps)
		lmm_vk_group_close(b);
	b->list->is_timed = false;
	no_room_say(b->list);
}

static LMM_NOINLINE void stamps_begin(struct lmm_vk_list *l, void *buffer)
{
	uint32_t n = atomic_fetch_add_explicit(&l->device->n_timed_lists, 1, memory_order_relaxed);

	l->is_doubled = n % DOUBLE_EVERY == DOUBLE_EVERY - 1;
	stamp(l, buffer);
	if (l->is_doubled)
		stamp(l, buffer);
}

static LMM_INLINE bool make_room(struct lmm_vk_buffer *b, void *buffer)
{
	struct lmm_vk_list *l = b->list;

	if (lmm_unlikely(l->n == l->cap) && !lmm_vk_list_grow(l)) {
		b->is_unseen = true;
		return false;
	}
	if (!l->is_timed)
		return true;
	if (l->is_split && l->n > l->group)
		lmm_vk_group_close(b);
	if (lmm_unlikely(l->n_stamps + 2 > l->n_chunks * LMM_VK_CHUNK) &&
	    !lmm_vk_list_grow_stamps(l, buffer)) {
		stop_timing(b);
		return true;
	}
	if (lmm_unlikely(l->n_stamps == 0))
		stamps_begin(l, buffer);
	return true;
}

static LMM_NOINLINE void list_command(struct lmm_vk_buffer *b, void *buffer, vk_handle pipeline,
				      uint32_t kernel, uint32_t amount)
{
	struct lmm_vk_command *c;
	struct lmm_thread *th;

	if (!make_room(b, buffer))
		return;
	th = lmm_thread_known();
	c = &b->list->commands[b->list->n++];
	c->pipeline = pipeline;
	c->kernel = pipeline ? lmm_vk_kernel_of(pipeline) : kernel;
	c->graph = th ? th->graph : 0;
	c->node = th ? lmm_device_node(th) : LMM_NODE_UNKNOWN;
	c->amount = amount;
	c->stamp = 0;
}

/* It is the next one of what was expected. */
static LMM_INLINE bool is_expected(struct lmm_vk_list *l, vk_handle pipeline, uint32_t kernel,
				   uint32_t amount)
{
	const struct lmm_vk_pattern *p = l->pattern;
	const struct lmm_vk_command *c = &p->command[l->n];

	if (lmm_unlikely(l->n == p->n || c->pipeline != pipeline || c->amount != amount ||
			 (!pipeline && c->kernel != kernel)))
		return false;
	l->n++;
	return true;
}

/* From here on it is listed. False: out of memory. */
static LMM_NOINLINE bool leave(struct lmm_vk_buffer *b)
{
	if (lmm_vk_pattern_leave(b->list)) {
		lmm_vk_pattern_mark(b->list);
		return true;
	}
	b->is_unseen = true;
	return false;
}

/* A command is about to be recorded: a kernel of the pipeline, or (pipeline 0) one of a kind. */
static LMM_INLINE void command(struct lmm_vk_buffer *b, void *buffer, vk_handle pipeline,
			       uint32_t kernel, uint64_t x)
{
	uint32_t amount = x < UINT32_MAX ? (uint32_t)x : UINT32_MAX;
	struct lmm_vk_list *l = b ? b->list : NULL;

	if (!l)
		return;
	if (lmm_unlikely(!l->is_decided))
		decide(b);
	if (lmm_likely(l->pattern)) {
		if (lmm_likely(is_expected(l, pipeline, kernel, amount)) || !leave(b))
			return;
	}
	list_command(b, buffer, pipeline, kernel, amount);
}

static LMM_INLINE void dispatch(void *buffer, uint64_t groups)
{
	struct lmm_vk_buffer *b = find(buffer);

	command(b, buffer, b ? b->pipeline : 0, 0, groups);
}

static LMM_INLINE void other(void *buffer, enum lmm_kernel_kind kind, uint64_t bytes)
{
	command(find(buffer), buffer, 0, kind, bytes);
}

/* ---- hooks -------------------------------------------------------------------------------------- */

void lmm__vkCmdBindPipeline(void *buffer, int32_t point, vk_handle pipeline)
{
	if (point == VK_BIND_COMPUTE && lmm_recording()) {
		struct lmm_vk_buffer *b = find(buffer);

		if (b)
			b->pipeline = pipeline;
	}
	next_of(buffer)->vkCmdBindPipeline(buffer, point, pipeline);
}

void lmm__vkCmdDispatch(void *buffer, uint32_t x, uint32_t y, uint32_t z)
{
	if (lmm_recording())
		dispatch(buffer, (uint64_t)x * y * z);
	next_of(buffer)->vkCmdDispatch(buffer, x, y, z);
}

/* NOLINTBEGIN(readability-function-size): Vulkan's own lists of parameters */
void lmm__vkCmdDispatchBase(void *buffer, uint32_t x0, uint32_t y0, uint32_t z0, uint32_t x,
			    uint32_t y, uint32_t z)
{
	if (lmm_recording())
		dispatch(buffer, (uint64_t)x * y * z);
	next_of(buffer)->vkCmdDispatchBase(buffer, x0, y0, z0, x, y, z);
}

void lmm__vkCmdDispatchIndirect(void *buffer, vk_handle from, uint64_t offset)
{
	if (lmm_recording())
		dispatch(buffer, 0);
	next_of(buffer)->vkCmdDispatchIndirect(buffer, from, offset);
}

void lmm__vkCmdCopyBuffer(void *buffer, vk_handle from, vk_handle to, uint32_t n,
			  const struct vk_buffer_copy *regions)
{
	if (lmm_recording()) {
		uint64_t bytes = 0;

		for (uint32_t i = 0; i < n; i++)
			bytes += regions[i].bytes;
		other(buffer, LMM_KERNEL_COPY, bytes);
	}
	next_of(buffer)->vkCmdCopyBuffer(buffer, from, to, n, regions);
}

void lmm__vkCmdCopyBuffer2(void *buffer, const struct vk_copy_buffer_info2 *info)
{
	if (lmm_recording()) {
		uint64_t bytes = 0;

		for (uint32_t i = 0; i < info->n; i++)
			bytes += info->regions[i].bytes;
		other(buffer, LMM_KERNEL_COPY, bytes);
	}
	next_of(buffer)->vkCmdCopyBuffer2(buffer, info);
}

void lmm__vkCmdFillBuffer(void *buffer, vk_handle to, uint64_t offset, uint64_t bytes,
			  uint32_t data)
{
	if (lmm_recording()) /* all ones: to the end, wherever that is */
		other(buffer, LMM_KERNEL_FILL, bytes == UINT64_MAX ? 0 : bytes);
	next_of(buffer)->vkCmdFillBuffer(buffer, to, offset, bytes, data);
}

void lmm__vkCmdUpdateBuffer(void *buffer, vk_handle to, uint64_t offset, uint64_t bytes,
			    const void *data)
{
	if (lmm_recording())
		other(buffer, LMM_KERNEL_WRITE, bytes);
	next_of(buffer)->vkCmdUpdateBuffer(buffer, to, offset, bytes, data);
}

void lmm__vkCmdCopyImage(void *buffer, vk_handle from, int32_t from_layout, vk_handle to,
			 int32_t to_layout, uint32_t n, const void *regions)
{
	if (lmm_recording())
		other(buffer, LMM_KERNEL_COPY, 0);
	next_of(buffer)->vkCmdCopyImage(buffer, from, from_layout, to, to_layout, n, regions);
}

void lmm__vkCmdCopyBufferToImage(void *buffer, vk_handle from, vk_handle to, int32_t layout,
				 uint32_t n, const void *regions)
{
	if (lmm_recording())
		other(buffer, LMM_KERNEL_COPY, 0);
	next_of(buffer)->vkCmdCopyBufferToImage(buffer, from, to, layout, n, regions);
}

void lmm__vkCmdCopyImageToBuffer(void *buffer, vk_handle from, int32_t layout, vk_handle to,
				 uint32_t n, const void *regions)
{
	if (lmm_recording())
		other(buffer, LMM_KERNEL_COPY, 0);
	next_of(buffer)->vkCmdCopyImageToBuffer(buffer, from, layout, to, n, regions);
}

static LMM_INLINE void barrier(void *buffer)
{
	struct lmm_vk_buffer *b = find(buffer);

	if (b && b->list && b->list->is_timed)
		lmm_vk_group_close(b);
}

void lmm__vkCmdPipelineBarrier(void *buffer, uint32_t from, uint32_t to, uint32_t flags,
			       uint32_t n_memory, const void *memory, uint32_t n_buffers,
			       const void *buffers, uint32_t n_images, const void *images)
{
	if (lmm_recording())
		barrier(buffer);
	next_of(buffer)->vkCmdPipelineBarrier(buffer, from, to, flags, n_memory, memory, n_buffers,
					      buffers, n_images, images);
}
/* NOLINTEND(readability-function-size) */

void lmm__vkCmdPipelineBarrier2(void *buffer, const void *info)
{
	if (lmm_recording())
		barrier(buffer);
	next_of(buffer)->vkCmdPipelineBarrier2(buffer, info);
}

/* ---- secondary buffers -------------------------------------------------------------------------- */

/* Behind what is listed, in the group that is open. */
static bool append(struct lmm_vk_buffer *b, const struct lmm_vk_command *c)
{
	struct lmm_vk_list *l = b->list;

	l->may_be_learned = false;
	if (l->pattern && !leave(b))
		return false;
	if (l->n == l->cap && !lmm_vk_list_grow(l)) {
		b->is_unseen = true;
		return false;
	}
	l->commands[l->n] = *c;
	l->commands[l->n++].stamp = 0;
	return true;
}

/* Their commands stand in the list of the one that runs them, and are timed as a whole. */
static void take_over(struct lmm_vk_buffer *b, const struct lmm_vk_buffer *from)
{
	static const struct lmm_vk_command unseen = { .kernel = LMM_KERNEL_COMMAND_BUFFER,
						      .node = LMM_NODE_UNKNOWN };
	const struct lmm_vk_list *l = from->list;

	if (from->is_unseen || !l) {
		append(b, &unseen);
		return;
	}
	for (uint32_t i = 0; i < l->n; i++) {
		const struct lmm_vk_command c = lmm_vk_list_at(l, i, b->list->recording);

		if (!append(b, &c))
			return;
	}
}

static bool holds_commands(void *const *buffers, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct lmm_vk_buffer *from = lmm_vk_buffer_find(buffers[i]);

		if (from && from->list && from->list->n)
			return true;
	}
	return false;
}

static bool begin_listing(struct lmm_vk_buffer *b, void *buffer)
{
	if (!b->list->is_decided)
		decide(b);
	return (!b->list->pattern || leave(b)) && make_room(b, buffer);
}

void lmm__vkCmdExecuteCommands(void *buffer, uint32_t n, void *const *buffers)
{
	struct lmm_vk_buffer *b = lmm_recording() ? find(buffer) : NULL;

	/* one without any may stand inside a render pass, where nothing else is allowed */
	if (b && b->list && (!holds_commands(buffers, n) || begin_listing(b, buffer))) {
		for (uint32_t i = 0; i < n; i++) {
			const struct lmm_vk_buffer *from = lmm_vk_buffer_find(buffers[i]);

			if (from)
				take_over(b, from);
		}
	}
	next_of(buffer)->vkCmdExecuteCommands(buffer, n, buffers);
}
