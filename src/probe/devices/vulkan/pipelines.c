/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shader modules and pipelines, and what they are called: a name that the application gave the object, else the entry point, else,
 * where that is "main", what the code or the program that holds it says. A kernel is its name and the hash of its code.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/vulkan/vulkan.h"

#define NAME_MAX   160
#define MODULES	   4096u
#define PIPELINES  16384u /* handles; a power of two */
#define KERNELS	   4096u  /* by name and code; a power of two */
#define GROUPS_MAX (KERNELS / 2)
#define FIRST	   LMM_DEVICE_KERNEL_FIRST
#define OTHER	   LMM_DEVICE_KERNEL_OTHER

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The newest of a handle counts; programs destroy modules as soon as the pipeline is made. */
static struct {
	vk_handle handle;
	uint64_t hash;
	char *name; /* NULL: nothing but the entry point's */
} modules[MODULES];
static unsigned next_module;

/* By handle, for the hot path: a key is written last, and never leaves its place. */
static struct {
	_Atomic uint64_t handle;
	_Atomic uint32_t kernel;
	uint64_t hash;
} pipelines[PIPELINES];
static unsigned n_pipelines;
static _Atomic bool is_full;	   /* there was one more */
static _Atomic uint32_t n_changed; /* kernels of handles that had others */

static struct kernel {
	uint64_t key; /* of name and code; 0: free */
	uint64_t hash;
	const char *name;
	enum lmm_kernel_kind kind;
	_Atomic uint32_t number;
	_Atomic uint32_t recording; /* in which it was last described */
} kernels[KERNELS];
static unsigned n_kernels;
/* What is bound was made where nobody looked, or beyond the room for pipelines. */
static struct kernel unknown = { .name = "?", .kind = LMM_KERNEL_PROGRAM };

/* Groups by the kernels in them; written like the pipelines. */
static struct {
	_Atomic uint64_t hash;
	_Atomic uint32_t kernel;
} groups[KERNELS];
static _Atomic unsigned n_groups;

/* ---- kernels ------------------------------------------------------------------------------------ */

/* With the lock held. OTHER: there is no room, or no memory. */
static uint32_t kernel_index(const char *name, uint64_t hash, enum lmm_kernel_kind kind)
{
	uint64_t key = lmm_hash_str(hash ^ LMM_HASH_SEED ^ kind, name) | 1;
	uint32_t k = (uint32_t)key & (KERNELS - 1);

	for (; kernels[k].key && kernels[k].key != key; k = (k + 1) & (KERNELS - 1))
		;
	if (!kernels[k].key) {
		char *kept = n_kernels < KERNELS - 1 ? strdup(name) : NULL;

		if (!kept)
			return OTHER;
		n_kernels++;
		kernels[k].hash = hash;
		kernels[k].name = kept;
		kernels[k].kind = kind;
		kernels[k].key = key;
	}
	return FIRST + k;
}

static LMM_NOINLINE void other_say(void)
{
	static _Atomic uint32_t said;

	if (lmm_vk_is_unsaid(&said)) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "more than %u Vulkan kernels, or groups of them between "
				   "barriers: further ones are not told apart, \"(other)\"",
				   LMM_DEVICE_KERNELS);
	}
}

static void unknown_say(void)
{
	static _Atomic uint32_t said;

	if (atomic_load(&is_full) && lmm_vk_is_unsaid(&said)) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "more than %u Vulkan pipelines: kernels of further ones are not "
				   "known, \"?\"",
				   PIPELINES / 2);
	}
}

/* Once per recording. */
static LMM_NOINLINE uint32_t describe(struct kernel *k, uint32_t recording)
{
	uint32_t number = lmm_device_kernel_number(k->name, k->hash, k->kind, NULL);

	if (k == &unknown)
		unknown_say();
	atomic_store_explicit(&k->number, number, memory_order_relaxed);
	atomic_store_explicit(&k->recording, recording, memory_order_release);
	return number;
}

uint32_t lmm_vk_kernel_tell(uint32_t kernel)
{
	uint32_t now = lmm_recording();
	struct kernel *k = &unknown;

	if (kernel >= FIRST) {
		k = &kernels[kernel - FIRST];
	} else if (kernel) {
		if (lmm_unlikely(kernel == OTHER))
			other_say();
		return lmm_device_kind_number((enum lmm_kernel_kind)kernel);
	}
	if (lmm_likely(atomic_load_explicit(&k->recording, memory_order_acquire) == now))
		return atomic_load_explicit(&k->number, memory_order_relaxed);
	return describe(k, now);
}

void lmm_vk_pipelines_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (unsigned k = 0; k < KERNELS; k++)
		atomic_store(&kernels[k].recording, 0);
	atomic_store(&unknown.recording, 0);
}

/* ---- groups ------------------------------------------------------------------------------------- */

static const char *command_name(const struct lmm_vk_command *c)
{
	if (c->kernel >= FIRST)
		return kernels[c->kernel - FIRST].name;
	if (c->kernel == OTHER)
		return "(other)";
	return c->kernel ? lmm_kernel_kind_name(c->kernel) : "?";
}

/* "a + b x2": cut where there is no more room. */
static void group_name(const struct lmm_vk_command *c, uint32_t n, char *name, size_t bytes)
{
	size_t at = 0;

	name[0] = 0;
	for (uint32_t i = 0, same; i < n && at < bytes; i += same) {
		int wrote;

		for (same = 1; i + same < n && c[i + same].kernel == c[i].kernel; same++)
			;
		wrote = snprintf(name + at, bytes - at, "%s%s", i ? " + " : "",
				 command_name(&c[i]));
		at += wrote > 0 ? (size_t)wrote : 0;
		if (same > 1 && at < bytes) {
			wrote = snprintf(name + at, bytes - at, " x%u", same);
			at += wrote > 0 ? (size_t)wrote : 0;
		}
	}
}

static LMM_COLD uint32_t group_learn(const struct lmm_vk_command *c, uint32_t n, uint64_t hash)
{
	uint32_t k = (uint32_t)hash & (KERNELS - 1), kernel;
	char name[NAME_MAX];
	int saved = errno;

	pthread_mutex_lock(&lock);
	group_name(c, n, name, sizeof(name));
	kernel = kernel_index(name, hash, LMM_KERNEL_COMMAND_BUFFER);
	for (; groups[k].hash && groups[k].hash != hash; k = (k + 1) & (KERNELS - 1))
		;
	if (!groups[k].hash && n_groups < GROUPS_MAX) {
		n_groups++;
		atomic_store_explicit(&groups[k].kernel, kernel, memory_order_relaxed);
		/* pairs with the acquire in lmm_vk_kernel_of_group() */
		atomic_store_explicit(&groups[k].hash, hash, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	errno = saved;
	return kernel;
}

uint32_t lmm_vk_kernel_of_group(const struct lmm_vk_command *c, uint32_t n)
{
	uint64_t hash = LMM_HASH_SEED;
	uint32_t k;

	for (uint32_t i = 0; i < n; i++)
		hash = lmm_hash_u64(hash, c[i].kernel);
	hash |= 1;
	for (k = (uint32_t)hash & (KERNELS - 1);; k = (k + 1) & (KERNELS - 1)) {
		uint64_t key = atomic_load_explicit(&groups[k].hash, memory_order_acquire);

		if (lmm_likely(key == hash))
			return atomic_load_explicit(&groups[k].kernel, memory_order_relaxed);
		if (!key) {
			return atomic_load_explicit(&n_groups, memory_order_relaxed) < GROUPS_MAX
				       ? group_learn(c, n, hash)
				       : OTHER;
		}
	}
}

/* ---- modules ------------------------------------------------------------------------------------ */

static void module_name(const struct vk_shader_module_create_info *info, const void *ra, char *name)
{
	if (lmm_vk_embedded_name(info->code, info->bytes, ra, name, NAME_MAX) &&
	    lmm_vk_spirv_name(info->code, info->bytes, "main", name, NAME_MAX))
		name[0] = 0;
}

static void module_note(vk_handle handle, const struct vk_shader_module_create_info *info,
			const void *ra)
{
	unsigned at;
	char name[NAME_MAX];

	module_name(info, ra, name);
	pthread_mutex_lock(&lock);
	at = next_module++ % MODULES;
	free(modules[at].name);
	modules[at].handle = handle;
	modules[at].hash = lmm_hash_bytes(LMM_HASH_SEED, info->code, info->bytes);
	modules[at].name = name[0] ? strdup(name) : NULL;
	pthread_mutex_unlock(&lock);
}

int32_t lmm__vkCreateShaderModule(void *device, const struct vk_shader_module_create_info *info,
				  const void *allocator, vk_handle *module)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	int32_t rc = d->fn.vkCreateShaderModule(device, info, allocator, module);
	int saved = errno;

	if (rc == VK_OK)
		module_note(*module, info, __builtin_return_address(0));
	errno = saved;
	return rc;
}

/* ---- pipelines ---------------------------------------------------------------------------------- */

static uint32_t pipeline_slot(vk_handle handle, bool *found)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, handle) & (PIPELINES - 1);

	for (;; k = (k + 1) & (PIPELINES - 1)) {
		uint64_t key = atomic_load_explicit(&pipelines[k].handle, memory_order_acquire);

		*found = key == handle;
		if (*found || !key)
			return k;
	}
}

/* With the lock held. */
static void kernel_note(uint32_t slot, uint32_t kernel, bool is_known)
{
	uint32_t before = atomic_exchange(&pipelines[slot].kernel, kernel);

	/* behind it: who has read the old kernel knows the old number */
	if (is_known && before != kernel)
		atomic_fetch_add(&n_changed, 1);
}

uint32_t lmm_vk_pipelines_changed(void)
{
	return atomic_load_explicit(&n_changed, memory_order_relaxed);
}

uint32_t lmm_vk_kernel_of(vk_handle pipeline)
{
	bool found;
	uint32_t k = pipeline_slot(pipeline, &found);

	return found ? atomic_load_explicit(&pipelines[k].kernel, memory_order_relaxed) : 0;
}

/* What the stage of a pipeline brings along instead of a module. */
static const struct vk_shader_module_create_info *
code_of(const struct vk_shader_stage_create_info *s)
{
	const struct vk_base *at = s->next;

	while (at && at->type != VK_S_SHADER_MODULE_CREATE_INFO)
		at = at->next;
	return (const void *)at;
}

/* With the lock held: name and code of the stage. */
static void stage_look(const struct vk_shader_stage_create_info *s, const void *ra, char *name,
		       uint64_t *hash)
{
	const struct vk_shader_module_create_info *code = s->module ? NULL : code_of(s);
	bool is_plain = strcmp(s->name, "main") == 0;
	unsigned n = next_module < MODULES ? next_module : MODULES;

	(void)snprintf(name, NAME_MAX, "%s", s->name);
	*hash = 0;
	if (code) {
		*hash = lmm_hash_bytes(LMM_HASH_SEED, code->code, code->bytes);
		if (is_plain)
			module_name(code, ra, name);
	}
	for (unsigned i = 1; s->module && i <= n; i++) {
		unsigned at = (next_module - i) % MODULES;

		if (modules[at].handle != s->module)
			continue;
		*hash = modules[at].hash;
		if (is_plain && modules[at].name)
			(void)snprintf(name, NAME_MAX, "%s", modules[at].name);
		break;
	}
	if (!name[0] || strcmp(name, "main") == 0)
		(void)snprintf(name, NAME_MAX, "main %08x", (unsigned)(*hash >> 32));
	if (s->specialization && s->specialization->data)
		*hash = lmm_hash_bytes(*hash, s->specialization->data, s->specialization->bytes);
}

static void pipeline_note(vk_handle handle, const struct vk_shader_stage_create_info *s,
			  const void *ra)
{
	char name[NAME_MAX];
	uint64_t hash;
	bool found;
	uint32_t k;

	pthread_mutex_lock(&lock);
	stage_look(s, ra, name, &hash);
	k = pipeline_slot(handle, &found);
	if (found || n_pipelines < PIPELINES / 2) {
		n_pipelines += !found;
		pipelines[k].hash = hash;
		kernel_note(k, kernel_index(name, hash, LMM_KERNEL_PROGRAM), found);
		/* pairs with the acquire in pipeline_slot() */
		atomic_store_explicit(&pipelines[k].handle, handle, memory_order_release);
	} else {
		atomic_store(&is_full, true);
	}
	pthread_mutex_unlock(&lock);
}

int32_t lmm__vkCreateComputePipelines(void *device, vk_handle cache, uint32_t n,
				      const struct vk_compute_pipeline_create_info *infos,
				      const void *allocator, vk_handle *to)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);
	uint64_t t0 = lmm_recording() ? lmm_now() : 0;
	int32_t rc = d->fn.vkCreateComputePipelines(device, cache, n, infos, allocator, to);
	int saved = errno;
	struct lmm_thread *th = t0 ? lmm_thread_self() : NULL;

	if (th)
		lmm_device_first_use(th, t0, 0);
	/* those that could not be made are 0, the others may be there */
	for (uint32_t i = 0; i < n; i++) {
		if (to[i] && rc >= 0)
			pipeline_note(to[i], &infos[i].stage, __builtin_return_address(0));
	}
	errno = saved;
	return rc;
}

static void pipeline_name(vk_handle handle, const char *name)
{
	int saved = errno;
	bool found;
	uint32_t k;

	pthread_mutex_lock(&lock);
	k = pipeline_slot(handle, &found);
	if (found)
		kernel_note(k, kernel_index(name, pipelines[k].hash, LMM_KERNEL_PROGRAM), true);
	pthread_mutex_unlock(&lock);
	errno = saved;
}

int32_t lmm__vkSetDebugUtilsObjectNameEXT(void *device, const struct vk_object_name_info *info)
{
	struct lmm_vk_device *d = lmm_vk_device_of(device);

	if (info->object_type == VK_OBJECT_PIPELINE && info->name && info->name[0])
		pipeline_name(info->object, info->name);
	return d->fn.vkSetDebugUtilsObjectNameEXT(device, info);
}
