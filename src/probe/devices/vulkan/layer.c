/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: what the loader asks a layer for, and the instances and devices that are made through us. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/vulkan/vulkan.h"

#define INSTANCES_MAX	  256
#define INTERFACE_VERSION 2u
#define CALIBRATED_EXT	  "VK_EXT_calibrated_timestamps"
#define CALIBRATED_KHR	  "VK_KHR_calibrated_timestamps"

typedef int32_t create_instance_fn(const struct vk_base *, const void *, void **);
typedef vk_void_fn find_fn(void *, const char *);
typedef void destroy_fn(void *, const void *);

struct instance {
	_Atomic(void *) key; /* NULL: not in use */
	void *handle;
	vk_get_instance_proc *get_proc;
	struct lmm_vk_instance_fns fn;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct instance instances[INSTANCES_MAX];
static _Atomic bool is_layer;

LMM_EXPORT int32_t lmm_vk_negotiate(struct vk_negotiate *x);

/* ---- instances ---------------------------------------------------------------------------------- */

static struct instance *instance_of(void *handle)
{
	void *key = *(void **)handle;

	for (unsigned i = 0; i < INSTANCES_MAX; i++) {
		if (atomic_load_explicit(&instances[i].key, memory_order_acquire) == key)
			return &instances[i];
	}
	return NULL;
}

/* As the specification has it, or as the extension that was there before it. */
static vk_void_fn named_fn(find_fn *get_proc, void *handle, const char *name)
{
	static const char *const suffixes[] = { "", "KHR", "EXT" };
	vk_void_fn fn = NULL;

	for (size_t i = 0; !fn && i < LMM_ARRAY_SIZE(suffixes); i++) {
		char whole[96];

		(void)snprintf(whole, sizeof(whole), "%s%s", name, suffixes[i]);
		fn = get_proc(handle, whole);
	}
	return fn;
}

static void instance_fill(struct instance *x, void *handle, vk_get_instance_proc *get_proc)
{
	static const struct {
		const char *name;
		size_t offset;
	} used[] = {
#define NAMED(ret, name, params) { #name, offsetof(struct lmm_vk_instance_fns, name) },
		LMM_VK_INSTANCE_USED(NAMED)
#undef NAMED
	};

	x->handle = handle;
	x->get_proc = get_proc;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(used); i++) {
		vk_void_fn fn = named_fn(get_proc, handle, used[i].name);

		memcpy((char *)&x->fn + used[i].offset, (void *)&fn, sizeof(fn));
	}
}

/* True: there is a place for it, and calls to it find us. */
static bool instance_add(void *handle, vk_get_instance_proc *get_proc)
{
	struct instance *x = NULL;
	int saved = errno;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; !x && i < INSTANCES_MAX; i++) {
		if (!atomic_load(&instances[i].key))
			x = &instances[i];
	}
	if (x) {
		instance_fill(x, handle, get_proc);
		/* pairs with the acquire in instance_of() */
		atomic_store_explicit(&x->key, *(void **)handle, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	errno = saved;
	return x != NULL;
}

void lmm_vk_instances_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

/* The loader's link to the next layer, moved on to the one behind. */
static struct vk_layer_info *link_of(const void *chain, int32_t type)
{
	const struct vk_base *at = chain;

	for (; at; at = at->next) {
		const struct vk_layer_info *x = (const void *)at;

		if (at->type == type && x->function == VK_LAYER_LINK)
			return (struct vk_layer_info *)x;
	}
	return NULL;
}

static int32_t create_instance(const struct vk_base *info, const void *allocator, void **instance)
{
	struct vk_layer_info *x = link_of(info->next, VK_S_LOADER_INSTANCE_CREATE_INFO);
	struct vk_instance_link *link = x ? x->link : NULL;
	create_instance_fn *create;
	vk_get_instance_proc *get_proc;
	int32_t rc;

	if (!link)
		return VK_INITIALIZATION_FAILED;
	get_proc = link->get_instance_proc;
	create = (create_instance_fn *)get_proc(NULL, "vkCreateInstance");
	if (!create)
		return VK_INITIALIZATION_FAILED;
	x->link = link->next;
	rc = create(info, allocator, instance);
	if (rc == VK_OK && !instance_add(*instance, get_proc)) {
		/* it cannot work without us any more: the loader's table leads here */
		destroy_fn *destroy = (destroy_fn *)get_proc(*instance, "vkDestroyInstance");

		if (destroy)
			destroy(*instance, allocator);
		rc = VK_INITIALIZATION_FAILED;
	}
	return rc;
}

static void destroy_instance(void *handle, const void *allocator)
{
	struct instance *x = handle ? instance_of(handle) : NULL;
	destroy_fn *destroy;

	if (!x)
		return;
	destroy = x->fn.vkDestroyInstance;
	/* before the driver: then both the key and our place may be another instance's */
	atomic_store(&x->key, NULL);
	destroy(handle, allocator);
}

/* ---- devices ------------------------------------------------------------------------------------ */

static bool has_name(const char *const *names, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static bool driver_has(const struct instance *x, void *physical, const char *extension)
{
	struct vk_extension_properties *all;
	uint32_t n = 0;
	bool has = false;

	if (!x->fn.vkEnumerateDeviceExtensionProperties ||
	    x->fn.vkEnumerateDeviceExtensionProperties(physical, NULL, &n, NULL) || !n)
		return false;
	all = calloc(n, sizeof(*all));
	if (!all)
		return false;
	if (x->fn.vkEnumerateDeviceExtensionProperties(physical, NULL, &n, all) >= 0) {
		for (uint32_t i = 0; i < n && !has; i++)
			has = strncmp(all[i].name, extension, sizeof(all[i].name)) == 0;
	}
	free(all);
	return has;
}

static bool has_device_domain(const struct instance *x, void *physical)
{
	int32_t domains[16];
	uint32_t n = LMM_ARRAY_SIZE(domains);

	if (!x->fn.vkGetPhysicalDeviceCalibrateableTimeDomains ||
	    x->fn.vkGetPhysicalDeviceCalibrateableTimeDomains(physical, &n, domains) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (domains[i] == VK_DOMAIN_DEVICE)
			return true;
	}
	return false;
}

static const char *clock_extension(const struct instance *x, void *physical,
				   const struct vk_device_create_info *info)
{
	const char *extension =
		driver_has(x, physical, CALIBRATED_EXT) ? CALIBRATED_EXT : CALIBRATED_KHR;

	if (has_name(info->extensions, info->n_extensions, CALIBRATED_EXT) ||
	    has_name(info->extensions, info->n_extensions, CALIBRATED_KHR) ||
	    !driver_has(x, physical, extension) || !has_device_domain(x, physical))
		return NULL;
	return extension;
}

/* The application's extensions and that one, to be freed; NULL: it stays as it is. */
static const char **names_with_clock(const struct instance *x, void *physical,
				     const struct vk_device_create_info *info)
{
	int saved = errno;
	const char *extension = clock_extension(x, physical, info);
	const char **names = extension ? calloc(info->n_extensions + 1u, sizeof(*names)) : NULL;

	errno = saved;
	if (!names)
		return NULL;
	if (info->n_extensions)
		memcpy(names, info->extensions, info->n_extensions * sizeof(*names));
	names[info->n_extensions] = extension;
	return names;
}

/*
 * Calibrated timestamps are asked for where the driver has them. The application notices nothing of it: the extension changes no
 * behaviour, and its function is not shown to who has not enabled it.
 */
static int32_t create_with_clock(const struct instance *x, void *physical,
				 const struct vk_device_create_info *info, const void *allocator,
				 void **device, struct vk_layer_info *chain, bool *is_ours)
{
	struct vk_device_create_info more = *info;
	const char **names = names_with_clock(x, physical, info);
	void *link = chain->link;
	int saved = errno;
	int32_t rc;

	*is_ours = false;
	if (!names)
		return x->fn.vkCreateDevice(physical, info, allocator, device);
	more.n_extensions++;
	more.extensions = names;
	rc = x->fn.vkCreateDevice(physical, &more, allocator, device);
	free(names);
	*is_ours = rc == VK_OK;
	if (rc == VK_OK)
		return rc;
	/* what it thinks of the application's own wish, it may say itself; the layers below have moved the link on */
	chain->link = link;
	errno = saved;
	return x->fn.vkCreateDevice(physical, info, allocator, device);
}

static bool resets_from_host(const void *chain)
{
	const struct vk_base *at = chain;

	for (; at; at = at->next) {
		if (at->type == VK_S_VULKAN_1_2_FEATURES)
			return ((const struct vk_vulkan_1_2_features *)at)->host_query_reset;
		if (at->type == VK_S_HOST_QUERY_RESET_FEATURES)
			return ((const struct vk_host_query_reset_features *)at)->host_query_reset;
	}
	return false;
}

static void device_fill(struct lmm_vk_device *d)
{
	static const struct {
		const char *name;
		size_t offset;
	} used[] = {
#define NAMED(ret, name, params) { #name, offsetof(struct lmm_vk_fns, name) },
		LMM_VK_HOOKED(NAMED) LMM_VK_USED(NAMED)
#undef NAMED
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(used); i++) {
		vk_void_fn fn = named_fn(d->get_proc, d->handle, used[i].name);

		memcpy((char *)&d->fn + used[i].offset, (void *)&fn, sizeof(fn));
	}
}

static void device_describe(struct lmm_vk_device *d, const struct instance *x, void *physical)
{
	struct vk_queue_family_properties family[LMM_VK_FAMILIES];
	struct vk_physical_device_properties p;
	uint32_t n = LMM_VK_FAMILIES;

	memset(&p, 0, sizeof(p));
	memset(family, 0, sizeof(family));
	x->fn.vkGetPhysicalDeviceProperties(physical, &p);
	x->fn.vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, family);
	p.name[sizeof(p.name) - 1] = 0;
	memcpy(d->name, p.name, sizeof(d->name));
	d->period = (double)p.limits.timestamp_period;
	d->n_families = n < LMM_VK_FAMILIES ? n : LMM_VK_FAMILIES;
	for (unsigned i = 0; i < d->n_families; i++) {
		d->family[i].bits = d->period > 0 ? family[i].timestamp_bits : 0;
		d->family[i].flags = family[i].flags;
	}
}

/* The recording begins here, for programs in which nothing began it before. */
static void device_made(struct lmm_vk_device *d, const struct instance *x, void *physical,
			const struct vk_device_create_info *info, bool is_clock_ours)
{
	int saved = errno;

	device_fill(d);
	device_describe(d, x, physical);
	d->has_host_reset = resets_from_host(info->next) && d->fn.vkResetQueryPool;
	d->is_clock_ours = is_clock_ours;
	d->has_clock = d->fn.vkGetCalibratedTimestamps != NULL && has_device_domain(x, physical);
	lmm_device_api_add(&lmm_vk_api);
	lmm_probe_start();
	lmm_vk_device_begin(d);
	if (lmm_session_is_joined()) {
		lmm_engine_describe_unknown("vulkan");
		lmm_device_marks_begin("vkGetInstanceProcAddr");
	}
	errno = saved;
}

static int32_t create_device(void *physical, const struct vk_device_create_info *info,
			     const void *allocator, void **device)
{
	struct vk_layer_info *chain = link_of(info->next, VK_S_LOADER_DEVICE_CREATE_INFO);
	struct vk_device_link *link = chain ? chain->link : NULL;
	const struct instance *x = instance_of(physical);
	struct lmm_vk_device *d;
	vk_get_device_proc *get_proc;
	bool is_clock_ours;
	int32_t rc;

	if (!link || !x)
		return VK_INITIALIZATION_FAILED;
	get_proc = link->get_device_proc;
	chain->link = link->next;
	rc = create_with_clock(x, physical, info, allocator, device, chain, &is_clock_ours);
	if (rc != VK_OK)
		return rc;
	d = lmm_vk_device_add(*device);
	if (!d) {
		destroy_fn *destroy = (destroy_fn *)get_proc(*device, "vkDestroyDevice");

		if (destroy)
			destroy(*device, allocator);
		return VK_INITIALIZATION_FAILED;
	}
	d->handle = *device;
	d->get_proc = get_proc;
	device_made(d, x, physical, info, is_clock_ours);
	return rc;
}

/* ---- finding functions -------------------------------------------------------------------------- */

static vk_void_fn get_device_proc(void *device, const char *name);
static vk_void_fn get_instance_proc(void *instance, const char *name);

struct named {
	const char *name;
	vk_void_fn fn;
};

#define FOUND(symbol, function)                                                                    \
	{                                                                                          \
		symbol, (vk_void_fn)(function)                                                     \
	}
static const struct named instance_hooks[] = {
	FOUND("vkGetInstanceProcAddr", get_instance_proc),
	FOUND("vkCreateInstance", create_instance),
	FOUND("vkDestroyInstance", destroy_instance),
	FOUND("vkCreateDevice", create_device),
};
static const struct named device_hooks[] = { FOUND("vkGetDeviceProcAddr", get_device_proc),
#define HOOK(ret, name, params) FOUND(#name, lmm__##name),
					     LMM_VK_HOOKED(HOOK)
#undef HOOK
};

static vk_void_fn find(const struct named *all, size_t n, const char *name, size_t bytes)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(all[i].name, name, bytes) == 0 && all[i].name[bytes] == 0)
			return all[i].fn;
	}
	return NULL;
}

/* A function that came as an extension has the same parameters as what became of it. */
static vk_void_fn device_hook(const char *name)
{
	size_t n = strlen(name);
	vk_void_fn fn = find(device_hooks, LMM_ARRAY_SIZE(device_hooks), name, n);

	if (!fn && n > 3 && strcmp(name + n - 3, "KHR") == 0)
		fn = find(device_hooks, LMM_ARRAY_SIZE(device_hooks), name, n - 3);
	return fn;
}

/* What the next one lacks must go on lacking. */
static vk_void_fn get_device_proc(void *device, const char *name)
{
	const struct lmm_vk_device *d = device ? lmm_vk_device_of(device) : NULL;
	vk_void_fn next, hook;

	if (!d || !name)
		return NULL;
	if (d->is_clock_ours && strncmp(name, "vkGetCalibratedTimestamps", 25) == 0)
		return NULL;
	next = d->get_proc(device, name);
	hook = next ? device_hook(name) : NULL;
	return hook ? hook : next;
}

static vk_void_fn get_instance_proc(void *instance, const char *name)
{
	const struct instance *x;
	vk_void_fn next, hook;

	if (!name)
		return NULL;
	hook = find(instance_hooks, LMM_ARRAY_SIZE(instance_hooks), name, strlen(name));
	if (hook)
		return hook;
	x = instance ? instance_of(instance) : NULL;
	if (!x)
		return NULL;
	next = x->get_proc(instance, name);
	hook = next ? device_hook(name) : NULL;
	return hook ? hook : next;
}

/* The manifest says that this is vkNegotiateLoaderLayerInterfaceVersion(): that name is no other library's business. */
int32_t lmm_vk_negotiate(struct vk_negotiate *x)
{
	if (!x || x->type != VK_LAYER_NEGOTIATE_STRUCT || x->version < INTERFACE_VERSION)
		return VK_INITIALIZATION_FAILED;
	x->version = INTERFACE_VERSION;
	x->get_instance_proc = get_instance_proc;
	x->get_device_proc = get_device_proc;
	x->get_physical_device_proc = NULL;
	atomic_store(&is_layer, true);
	return VK_OK;
}

bool lmm_vk_is_layer(void)
{
	return atomic_load(&is_layer);
}
