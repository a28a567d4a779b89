/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An independent counter: a Vulkan layer, built with the real headers and sharing no code with src/, that writes what it saw to
 * $WATCH_LOG when the process ends. Above lmmeter's layer it sees what the application does, below it what the driver gets.
 *
 *	NAME COUNT		calls of a function
 *	submitted COUNT		dispatches in all command buffers submitted, as often as they were
 *	label TEXT		with WATCH_LABELS=1: for each submitted dispatch in turn, the node's label it stood in
 *
 * Below lmmeter it can also be a driver of another kind: WATCH_BITS=N: timestamps have N bits; WATCH_NO_QUERIES=1: query pools
 * cannot be made; WATCH_NO_CLOCK=1: no calibrated timestamps; WATCH_LOST=N: the device is lost at the Nth wait for a fence;
 * WATCH_STRICT=1: what was submitted by vkQueueSubmit2() has no times before a wait for a fence, a queue or the device;
 * WATCH_ERRNO=N: that is errno when a device or a shader module was made, and N + 1 when families of queues were asked for;
 * WATCH_STALL=PATH: the first who reads several times at once makes PATH.here and waits for PATH.go before.
 * For one instance and one device at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define BUFFERS 4096
#define DEPTH	8
#define LABEL	128

#define COUNTED(X)                                                                                 \
	X(vkCmdDispatch)                                                                           \
	X(vkCmdCopyBuffer)                                                                         \
	X(vkCmdFillBuffer)                                                                         \
	X(vkCmdUpdateBuffer)                                                                       \
	X(vkCmdPipelineBarrier)                                                                    \
	X(vkCmdWriteTimestamp)                                                                     \
	X(vkCmdResetQueryPool)                                                                     \
	X(vkQueueSubmit)                                                                           \
	X(vkQueueSubmit2)                                                                          \
	X(vkQueueWaitIdle)                                                                         \
	X(vkDeviceWaitIdle)                                                                        \
	X(vkWaitForFences)                                                                         \
	X(vkGetQueryPoolResults)

#define USED(X)                                                                                    \
	COUNTED(X)                                                                                 \
	X(vkBeginCommandBuffer)                                                                    \
	X(vkCmdExecuteCommands)                                                                    \
	X(vkCmdBeginDebugUtilsLabelEXT)                                                            \
	X(vkCmdEndDebugUtilsLabelEXT)                                                              \
	X(vkCreateQueryPool)                                                                       \
	X(vkCreateShaderModule)                                                                    \
	X(vkGetCalibratedTimestampsEXT)                                                            \
	X(vkDestroyDevice)

#define FIELD(name) static PFN_##name next_##name;
USED(FIELD)
#define NUMBER(name) N_##name,
enum { COUNTED(NUMBER) N_ALL };
static unsigned long counts[N_ALL], submitted;
static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static PFN_vkGetPhysicalDeviceQueueFamilyProperties next_families;
static PFN_vkCreateDevice next_create;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *out;
static int wants_labels, has_no_queries, has_no_clock, is_strict;
static int is_under_way;     /* something, as far as what was waited for says */
static int leaves_errno;     /* 0: as it is */
static const char *stall_at; /* NULL: nowhere, or it is over */
static unsigned bits = 64;
static unsigned long lost_at;
static VkResult is_lost; /* VK_ERROR_DEVICE_LOST from then on */

struct buffer {
	VkCommandBuffer handle;
	unsigned long dispatches;
	unsigned depth;
	char stack[DEPTH][LABEL];
	char (*labels)[LABEL]; /* of each dispatch */
	unsigned long room;
};
static struct buffer buffers[BUFFERS];

static struct buffer *buffer_of(VkCommandBuffer handle)
{
	unsigned i = 0;

	while (i < BUFFERS - 1 && buffers[i].handle && buffers[i].handle != handle)
		i++;
	buffers[i].handle = handle;
	return &buffers[i];
}

static void count(int what)
{
	__atomic_fetch_add(&counts[what], 1, __ATOMIC_RELAXED);
}

/* ---- what is looked at -------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL on_begin(VkCommandBuffer handle,
					       const VkCommandBufferBeginInfo *info)
{
	struct buffer *b;

	pthread_mutex_lock(&lock);
	b = buffer_of(handle);
	b->dispatches = 0;
	b->depth = 0;
	pthread_mutex_unlock(&lock);
	return next_vkBeginCommandBuffer(handle, info);
}

static VKAPI_ATTR void VKAPI_CALL on_dispatch(VkCommandBuffer handle, uint32_t x, uint32_t y,
					      uint32_t z)
{
	struct buffer *b;

	count(N_vkCmdDispatch);
	pthread_mutex_lock(&lock);
	b = buffer_of(handle);
	if (wants_labels) {
		/* the outermost is the submit's, the innermost the pipeline's */
		unsigned at = b->depth > 1 && strncmp(b->stack[0], "submit", 6) == 0 ? 1 : 0;

		if (b->dispatches == b->room) {
			b->room = b->room ? 2 * b->room : 256;
			b->labels = realloc(b->labels, b->room * sizeof(*b->labels));
			if (!b->labels)
				abort();
		}
		snprintf(b->labels[b->dispatches], LABEL, "%s", b->depth ? b->stack[at] : "");
	}
	b->dispatches++;
	pthread_mutex_unlock(&lock);
	next_vkCmdDispatch(handle, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL on_label(VkCommandBuffer handle, const VkDebugUtilsLabelEXT *x)
{
	struct buffer *b;

	pthread_mutex_lock(&lock);
	b = buffer_of(handle);
	if (b->depth < DEPTH)
		snprintf(b->stack[b->depth], LABEL, "%s", x->pLabelName);
	b->depth++;
	pthread_mutex_unlock(&lock);
	if (next_vkCmdBeginDebugUtilsLabelEXT)
		next_vkCmdBeginDebugUtilsLabelEXT(handle, x);
}

static VKAPI_ATTR void VKAPI_CALL on_label_end(VkCommandBuffer handle)
{
	struct buffer *b;

	pthread_mutex_lock(&lock);
	b = buffer_of(handle);
	if (b->depth)
		b->depth--;
	pthread_mutex_unlock(&lock);
	if (next_vkCmdEndDebugUtilsLabelEXT)
		next_vkCmdEndDebugUtilsLabelEXT(handle);
}

static VKAPI_ATTR void VKAPI_CALL on_execute(VkCommandBuffer handle, uint32_t n,
					     const VkCommandBuffer *from)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < n; i++)
		buffer_of(handle)->dispatches += buffer_of(from[i])->dispatches;
	pthread_mutex_unlock(&lock);
	next_vkCmdExecuteCommands(handle, n, from);
}

static VKAPI_ATTR VkResult VKAPI_CALL on_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *x,
						VkFence fence)
{
	count(N_vkQueueSubmit);
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < x[i].commandBufferCount; k++) {
			const struct buffer *b = buffer_of(x[i].pCommandBuffers[k]);

			submitted += b->dispatches;
			for (unsigned long d = 0; wants_labels && out && d < b->dispatches; d++)
				fprintf(out, "label %s\n", b->labels[d]);
		}
	}
	pthread_mutex_unlock(&lock);
	return next_vkQueueSubmit(queue, n, x, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL on_submit2(VkQueue queue, uint32_t n, const VkSubmitInfo2 *x,
						 VkFence fence)
{
	count(N_vkQueueSubmit2);
	__atomic_store_n(&is_under_way, is_strict, __ATOMIC_RELAXED);
	return next_vkQueueSubmit2(queue, n, x, fence);
}

#define PASS(ret, name, params, args)                                                              \
	static VKAPI_ATTR ret VKAPI_CALL count_##name params                                       \
	{                                                                                          \
		count(N_##name);                                                                   \
		return next_##name args;                                                           \
	}
PASS(void, vkCmdCopyBuffer,
     (VkCommandBuffer c, VkBuffer from, VkBuffer to, uint32_t n, const VkBufferCopy *r),
     (c, from, to, n, r))
PASS(void, vkCmdFillBuffer,
     (VkCommandBuffer c, VkBuffer to, VkDeviceSize at, VkDeviceSize n, uint32_t v),
     (c, to, at, n, v))
PASS(void, vkCmdUpdateBuffer,
     (VkCommandBuffer c, VkBuffer to, VkDeviceSize at, VkDeviceSize n, const void *v),
     (c, to, at, n, v))
PASS(void, vkCmdPipelineBarrier,
     (VkCommandBuffer c, VkPipelineStageFlags a, VkPipelineStageFlags b, VkDependencyFlags f,
      uint32_t n, const VkMemoryBarrier *m, uint32_t nb, const VkBufferMemoryBarrier *mb,
      uint32_t ni, const VkImageMemoryBarrier *mi),
     (c, a, b, f, n, m, nb, mb, ni, mi))
PASS(void, vkCmdWriteTimestamp,
     (VkCommandBuffer c, VkPipelineStageFlagBits s, VkQueryPool p, uint32_t q), (c, s, p, q))
PASS(void, vkCmdResetQueryPool, (VkCommandBuffer c, VkQueryPool p, uint32_t q, uint32_t n),
     (c, p, q, n))

/* ---- other drivers ------------------------------------------------------------------------------ */

static void all_has_ended(void)
{
	__atomic_store_n(&is_under_way, 0, __ATOMIC_RELAXED);
}

static VKAPI_ATTR VkResult VKAPI_CALL on_queue_idle(VkQueue q)
{
	VkResult rc = next_vkQueueWaitIdle(q);

	count(N_vkQueueWaitIdle);
	all_has_ended();
	return rc;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_idle(VkDevice d)
{
	count(N_vkDeviceWaitIdle);
	next_vkDeviceWaitIdle(d);
	all_has_ended();
	return is_lost;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_fences(VkDevice d, uint32_t n, const VkFence *f,
						VkBool32 all, uint64_t t)
{
	VkResult rc = next_vkWaitForFences(d, n, f, all, t);

	count(N_vkWaitForFences);
	all_has_ended();
	if (lost_at && counts[N_vkWaitForFences] == lost_at)
		is_lost = VK_ERROR_DEVICE_LOST;
	return is_lost ? is_lost : rc;
}

static uint64_t cut(uint64_t stamp)
{
	return bits < 64 ? stamp & (((uint64_t)1 << bits) - 1) : stamp;
}

/* What other threads do meanwhile lies between two reads of this one. */
static void stall(void)
{
	const char *at = __atomic_exchange_n(&stall_at, NULL, __ATOMIC_RELAXED);
	char path[512];
	int fd;

	if (!at)
		return;
	snprintf(path, sizeof(path), "%s.here", at);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	close(fd);
	snprintf(path, sizeof(path), "%s.go", at);
	while (access(path, F_OK))
		usleep(1000);
}

static VKAPI_ATTR VkResult VKAPI_CALL on_results(VkDevice d, VkQueryPool p, uint32_t q, uint32_t n,
						 size_t bytes, void *to, VkDeviceSize s,
						 VkQueryResultFlags f)
{
	uint64_t *stamps = to;
	VkResult rc;

	count(N_vkGetQueryPoolResults);
	if (n > 1)
		stall();
	if (__atomic_load_n(&is_under_way, __ATOMIC_RELAXED))
		return VK_NOT_READY;
	rc = next_vkGetQueryPoolResults(d, p, q, n, bytes, to, s, f);
	for (uint32_t i = 0; rc == VK_SUCCESS && s == 8 && i < n; i++)
		stamps[i] = cut(stamps[i]);
	return rc;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_pool(VkDevice d, const VkQueryPoolCreateInfo *info,
					      const VkAllocationCallbacks *a, VkQueryPool *to)
{
	return has_no_queries ? VK_ERROR_OUT_OF_DEVICE_MEMORY
			      : next_vkCreateQueryPool(d, info, a, to);
}

static VKAPI_ATTR VkResult VKAPI_CALL on_module(VkDevice d, const VkShaderModuleCreateInfo *info,
						const VkAllocationCallbacks *a, VkShaderModule *to)
{
	VkResult rc = next_vkCreateShaderModule(d, info, a, to);

	errno = leaves_errno ? leaves_errno : errno;
	return rc;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_clock(VkDevice d, uint32_t n,
					       const VkCalibratedTimestampInfoEXT *info,
					       uint64_t *to, uint64_t *deviation)
{
	VkResult rc = next_vkGetCalibratedTimestampsEXT(d, n, info, to, deviation);

	if (has_no_clock)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	for (uint32_t i = 0; i < n; i++)
		to[i] = cut(to[i]);
	return rc;
}

static VKAPI_ATTR void VKAPI_CALL on_families(VkPhysicalDevice p, uint32_t *n,
					      VkQueueFamilyProperties *to)
{
	next_families(p, n, to);
	for (uint32_t i = 0; to && i < *n; i++)
		to[i].timestampValidBits = bits;
	errno = leaves_errno ? leaves_errno + 1 : errno;
}

/* ---- layer -------------------------------------------------------------------------------------- */

static void *link_of(const void *chain, VkStructureType type)
{
	VkLayerInstanceCreateInfo *x = (void *)chain;

	while (x && !(x->sType == type && x->function == VK_LAYER_LINK_INFO))
		x = (void *)x->pNext;
	return x;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_instance(const VkInstanceCreateInfo *info,
						  const VkAllocationCallbacks *a, VkInstance *to)
{
	VkLayerInstanceCreateInfo *x =
		link_of(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
	VkResult rc;

	next_instance = x->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	x->u.pLayerInfo = x->u.pLayerInfo->pNext;
	rc = ((PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance"))(info, a, to);
	if (rc != VK_SUCCESS)
		return rc;
	/* now: later the loader would give the topmost layer's */
	next_families = (PFN_vkGetPhysicalDeviceQueueFamilyProperties)next_instance(
		*to, "vkGetPhysicalDeviceQueueFamilyProperties");
	next_create = (PFN_vkCreateDevice)next_instance(*to, "vkCreateDevice");
	return rc;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_device(VkPhysicalDevice physical,
						const VkDeviceCreateInfo *info,
						const VkAllocationCallbacks *a, VkDevice *to)
{
	VkLayerDeviceCreateInfo *x =
		link_of(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
	VkResult rc;

	next_device = x->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	x->u.pLayerInfo = x->u.pLayerInfo->pNext;
	rc = next_create(physical, info, a, to);
	if (rc == VK_SUCCESS) {
#define LOAD(name) next_##name = (PFN_##name)next_device(*to, #name);
		USED(LOAD)
	}
	errno = leaves_errno ? leaves_errno : errno;
	return rc;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice device, const char *name);
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance(VkInstance x, const char *name);

static PFN_vkVoidFunction mine(const char *name)
{
#define MINE(symbol, fn)                                                                           \
	if (strcmp(name, #symbol) == 0)                                                            \
		return (PFN_vkVoidFunction)(fn);
	MINE(vkGetInstanceProcAddr, get_instance)
	MINE(vkGetDeviceProcAddr, get_device)
	MINE(vkCreateInstance, on_instance)
	MINE(vkCreateDevice, on_device)
	MINE(vkBeginCommandBuffer, on_begin)
	MINE(vkCmdDispatch, on_dispatch)
	MINE(vkCmdExecuteCommands, on_execute)
	MINE(vkQueueSubmit, on_submit)
	MINE(vkQueueSubmit2, on_submit2)
	MINE(vkCmdBeginDebugUtilsLabelEXT, on_label)
	MINE(vkCmdEndDebugUtilsLabelEXT, on_label_end)
	MINE(vkCmdCopyBuffer, count_vkCmdCopyBuffer)
	MINE(vkCmdFillBuffer, count_vkCmdFillBuffer)
	MINE(vkCmdUpdateBuffer, count_vkCmdUpdateBuffer)
	MINE(vkCmdPipelineBarrier, count_vkCmdPipelineBarrier)
	MINE(vkCmdWriteTimestamp, count_vkCmdWriteTimestamp)
	MINE(vkCmdResetQueryPool, count_vkCmdResetQueryPool)
	MINE(vkQueueWaitIdle, on_queue_idle)
	MINE(vkDeviceWaitIdle, on_idle)
	MINE(vkWaitForFences, on_fences)
	MINE(vkGetQueryPoolResults, on_results)
	MINE(vkCreateQueryPool, on_pool)
	MINE(vkCreateShaderModule, on_module)
	MINE(vkGetCalibratedTimestampsEXT, on_clock)
	MINE(vkGetPhysicalDeviceQueueFamilyProperties, on_families)
	return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice device, const char *name)
{
	PFN_vkVoidFunction next = next_device ? next_device(device, name) : NULL;
	PFN_vkVoidFunction fn = next ? mine(name) : NULL;

	return fn ? fn : next;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance(VkInstance x, const char *name)
{
	PFN_vkVoidFunction fn = mine(name);

	if (fn)
		return fn;
	return next_instance ? next_instance(x, name) : NULL;
}

VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *x)
{
	x->loaderLayerInterfaceVersion = 2;
	x->pfnGetInstanceProcAddr = get_instance;
	x->pfnGetDeviceProcAddr = get_device;
	x->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}

static unsigned long asked(const char *name, unsigned long otherwise)
{
	const char *v = getenv(name);

	return v ? strtoul(v, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("WATCH_LOG");

	out = path ? fopen(path, "we") : NULL;
	wants_labels = (int)asked("WATCH_LABELS", 0);
	has_no_queries = (int)asked("WATCH_NO_QUERIES", 0);
	has_no_clock = (int)asked("WATCH_NO_CLOCK", 0);
	bits = (unsigned)asked("WATCH_BITS", 64);
	lost_at = asked("WATCH_LOST", 0);
	leaves_errno = (int)asked("WATCH_ERRNO", 0);
	is_strict = (int)asked("WATCH_STRICT", 0);
	stall_at = getenv("WATCH_STALL");
}

__attribute__((destructor)) static void end(void)
{
	static const char *const names[] = {
#define NAME(name) #name,
		COUNTED(NAME)
	};

	if (!out)
		return;
	for (int i = 0; i < N_ALL; i++)
		fprintf(out, "%s %lu\n", names[i], counts[i]);
	fprintf(out, "submitted %lu\n", submitted);
	fclose(out);
}
