/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Vulkan calls of a token as llama.cpp makes them, of a driver whose functions do nothing: five command buffers, each with 90
 * dispatches, each with a barrier and a pipeline bound before it, submitted, and the last waited for by its fence. This is loader
 * and driver at once; lmmeter's layer stands between where it is there.
 *
 *	vulkan		prints one JSON object; under lmmeter it has "on" and "off", else only "bare"; ns of a token, medians: of tokens
 *			in a row, and with 32 KB of other data touched between dispatches, as a driver does ("cold")
 */
#include <lmmeter/mark.h>

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include "token.h"

#define ROUNDS	   100
#define TOKENS	   5
#define SUBMITS	   5
#define DISPATCHES 90
#define PIPELINES  24
#define OTHER	   32768u /* bytes that come between */

/* A handle begins with the loader's word. */
struct object {
	const void *word;
};

static const char instance_word, device_word;
static struct object instance = { &instance_word }, device = { &device_word },
		     queue = { &device_word }, buffers[SUBMITS];
static uint64_t next_handle = 1;
static volatile unsigned char other[OTHER];
static size_t between; /* bytes touched in each call that sets something */

/* ---- the driver --------------------------------------------------------------------------------- */

static void touch(void)
{
	for (size_t k = 0; k < between; k += 64)
		other[k]++;
}

static VkResult create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a,
				VkInstance *to)
{
	(void)info;
	(void)a;
	*to = (VkInstance)&instance;
	return VK_SUCCESS;
}

static VkResult create_device(VkPhysicalDevice x, const VkDeviceCreateInfo *info,
			      const VkAllocationCallbacks *a, VkDevice *to)
{
	(void)x;
	(void)info;
	(void)a;
	*to = (VkDevice)&device;
	return VK_SUCCESS;
}

static void properties(VkPhysicalDevice x, VkPhysicalDeviceProperties *to)
{
	(void)x;
	memset(to, 0, sizeof(*to));
	to->limits.timestampPeriod = 1;
}

static void families(VkPhysicalDevice x, uint32_t *n, VkQueueFamilyProperties *to)
{
	(void)x;
	if (to)
		*to = (VkQueueFamilyProperties){ .queueFlags = VK_QUEUE_COMPUTE_BIT,
						 .queueCount = 1,
						 .timestampValidBits = 64 };
	*n = 1;
}

static void get_queue(VkDevice x, uint32_t family, uint32_t i, VkQueue *to)
{
	(void)x;
	(void)family;
	(void)i;
	*to = (VkQueue)&queue;
}

static VkResult create_pool(VkDevice x, const VkCommandPoolCreateInfo *info,
			    const VkAllocationCallbacks *a, VkCommandPool *to)
{
	(void)x;
	(void)info;
	(void)a;
	*to = (VkCommandPool)next_handle++;
	return VK_SUCCESS;
}

static VkResult create_query_pool(VkDevice x, const VkQueryPoolCreateInfo *info,
				  const VkAllocationCallbacks *a, VkQueryPool *to)
{
	(void)x;
	(void)info;
	(void)a;
	*to = (VkQueryPool)next_handle++;
	return VK_SUCCESS;
}

static VkResult results(VkDevice x, VkQueryPool pool, uint32_t first, uint32_t n, size_t bytes,
			void *to, VkDeviceSize stride, VkQueryResultFlags flags)
{
	(void)x;
	(void)pool;
	(void)first;
	(void)bytes;
	(void)stride;
	(void)flags;
	for (uint32_t i = 0; i < n; i++)
		((uint64_t *)to)[i] = next_handle++ << 10;
	return VK_SUCCESS;
}

static VkResult allocate(VkDevice x, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *to)
{
	(void)x;
	for (uint32_t i = 0; i < info->commandBufferCount; i++) {
		buffers[i].word = &device_word;
		to[i] = (VkCommandBuffer)&buffers[i];
	}
	return VK_SUCCESS;
}

static VkResult create_pipelines(VkDevice x, VkPipelineCache cache, uint32_t n,
				 const VkComputePipelineCreateInfo *info,
				 const VkAllocationCallbacks *a, VkPipeline *to)
{
	(void)x;
	(void)cache;
	(void)info;
	(void)a;
	for (uint32_t i = 0; i < n; i++)
		to[i] = (VkPipeline)next_handle++;
	return VK_SUCCESS;
}

static VkResult buffer_begin(VkCommandBuffer b, const VkCommandBufferBeginInfo *info)
{
	(void)b;
	(void)info;
	return VK_SUCCESS;
}

static VkResult buffer_end(VkCommandBuffer b)
{
	(void)b;
	return VK_SUCCESS;
}

static void bind_pipeline(VkCommandBuffer b, VkPipelineBindPoint point, VkPipeline pipeline)
{
	(void)b;
	(void)point;
	(void)pipeline;
	touch();
}

static void dispatch(VkCommandBuffer b, uint32_t nx, uint32_t ny, uint32_t nz)
{
	(void)b;
	(void)nx;
	(void)ny;
	(void)nz;
	touch();
}

static void barrier(VkCommandBuffer b, VkPipelineStageFlags from, VkPipelineStageFlags to,
		    VkDependencyFlags flags, uint32_t n_memory, const VkMemoryBarrier *memory,
		    uint32_t n_buffers, const VkBufferMemoryBarrier *of_buffers, uint32_t n_images,
		    const VkImageMemoryBarrier *images)
{
	(void)b;
	(void)from;
	(void)to;
	(void)flags;
	(void)n_memory;
	(void)memory;
	(void)n_buffers;
	(void)of_buffers;
	(void)n_images;
	(void)images;
	touch();
}

static void reset_queries(VkCommandBuffer b, VkQueryPool pool, uint32_t first, uint32_t n)
{
	(void)b;
	(void)pool;
	(void)first;
	(void)n;
}

static void write_timestamp(VkCommandBuffer b, VkPipelineStageFlagBits stage, VkQueryPool pool,
			    uint32_t query)
{
	(void)b;
	(void)stage;
	(void)pool;
	(void)query;
}

static VkResult submit(VkQueue q, uint32_t n, const VkSubmitInfo *info, VkFence fence)
{
	(void)q;
	(void)n;
	(void)info;
	(void)fence;
	return VK_SUCCESS;
}

static VkResult wait_fences(VkDevice x, uint32_t n, const VkFence *fences, VkBool32 all,
			    uint64_t timeout)
{
	(void)x;
	(void)n;
	(void)fences;
	(void)all;
	(void)timeout;
	return VK_SUCCESS;
}

static PFN_vkVoidFunction found(const char *name)
{
	static const struct {
		const char *name;
		PFN_vkVoidFunction fn;
	} all[] = {
#define FN(symbol, fn) { symbol, (PFN_vkVoidFunction)(fn) }
		FN("vkCreateInstance", create_instance),
		FN("vkCreateDevice", create_device),
		FN("vkGetPhysicalDeviceProperties", properties),
		FN("vkGetPhysicalDeviceQueueFamilyProperties", families),
		FN("vkGetDeviceQueue", get_queue),
		FN("vkCreateCommandPool", create_pool),
		FN("vkCreateQueryPool", create_query_pool),
		FN("vkGetQueryPoolResults", results),
		FN("vkAllocateCommandBuffers", allocate),
		FN("vkCreateComputePipelines", create_pipelines),
		FN("vkBeginCommandBuffer", buffer_begin),
		FN("vkEndCommandBuffer", buffer_end),
		FN("vkCmdBindPipeline", bind_pipeline),
		FN("vkCmdDispatch", dispatch),
		FN("vkCmdPipelineBarrier", barrier),
		FN("vkCmdResetQueryPool", reset_queries),
		FN("vkCmdWriteTimestamp", write_timestamp),
		FN("vkQueueSubmit", submit),
		FN("vkWaitForFences", wait_fences),
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(name, all[i].name) == 0)
			return all[i].fn;
	}
	return NULL;
}

static PFN_vkVoidFunction of_instance(VkInstance x, const char *name)
{
	(void)x;
	return found(name);
}

static PFN_vkVoidFunction of_device(VkDevice x, const char *name)
{
	(void)x;
	return found(name);
}

/* ---- the loader --------------------------------------------------------------------------------- */

static PFN_vkGetInstanceProcAddr first_of_instance = of_instance;
static PFN_vkGetDeviceProcAddr first_of_device = of_device;

static void layer_find(void)
{
	VkNegotiateLayerInterface layer = { .sType = LAYER_NEGOTIATE_INTERFACE_STRUCT,
					    .loaderLayerInterfaceVersion = 2 };
	PFN_vkNegotiateLoaderLayerInterfaceVersion negotiate;

	*(void **)&negotiate = dlsym(RTLD_DEFAULT, "lmm_vk_negotiate");
	if (!negotiate || negotiate(&layer) != VK_SUCCESS)
		return;
	first_of_instance = layer.pfnGetInstanceProcAddr;
	first_of_device = layer.pfnGetDeviceProcAddr;
}

/* ---- the program -------------------------------------------------------------------------------- */

static struct {
	PFN_vkBeginCommandBuffer begin;
	PFN_vkEndCommandBuffer end;
	PFN_vkCmdBindPipeline bind;
	PFN_vkCmdDispatch dispatch;
	PFN_vkCmdPipelineBarrier barrier;
	PFN_vkQueueSubmit submit;
	PFN_vkWaitForFences wait;
} vk;
static VkPipeline pipelines[PIPELINES];
static VkCommandBuffer lists[SUBMITS];
static VkQueue of_program;

#define GET(to, name) *(PFN_vkVoidFunction *)&(to) = first_of_device((VkDevice)&device, name)

static void make_device(void)
{
	VkLayerInstanceLink next = { .pfnNextGetInstanceProcAddr = of_instance };
	VkLayerInstanceCreateInfo chain = {
		.sType = VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO,
		.function = VK_LAYER_LINK_INFO,
		.u.pLayerInfo = &next,
	};
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
				      .pNext = &chain };
	VkLayerDeviceLink next_device = { .pfnNextGetInstanceProcAddr = of_instance,
					  .pfnNextGetDeviceProcAddr = of_device };
	VkLayerDeviceCreateInfo device_chain = {
		.sType = VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO,
		.function = VK_LAYER_LINK_INFO,
		.u.pLayerInfo = &next_device,
	};
	VkDeviceQueueCreateInfo queues = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					   .queueCount = 1 };
	VkDeviceCreateInfo device_info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
					   .pNext = &device_chain,
					   .queueCreateInfoCount = 1,
					   .pQueueCreateInfos = &queues };
	VkInstance i;
	VkDevice d;

	((PFN_vkCreateInstance)first_of_instance(NULL, "vkCreateInstance"))(&info, NULL, &i);
	((PFN_vkCreateDevice)first_of_instance(i, "vkCreateDevice"))((VkPhysicalDevice)&instance,
								     &device_info, NULL, &d);
}

static void make_objects(void)
{
	VkCommandPoolCreateInfo pool_info = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO };
	VkCommandBufferAllocateInfo info = { .sType =
						     VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
					     .commandBufferCount = SUBMITS };
	VkComputePipelineCreateInfo one = { .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
					    .stage = { .pName = "main" } };
	PFN_vkCreateComputePipelines make;
	PFN_vkCreateCommandPool make_pool;
	PFN_vkAllocateCommandBuffers make_buffers;
	PFN_vkGetDeviceQueue queue_of;

	GET(make_pool, "vkCreateCommandPool");
	GET(make_buffers, "vkAllocateCommandBuffers");
	GET(make, "vkCreateComputePipelines");
	GET(queue_of, "vkGetDeviceQueue");
	queue_of((VkDevice)&device, 0, 0, &of_program);
	make_pool((VkDevice)&device, &pool_info, NULL, &info.commandPool);
	make_buffers((VkDevice)&device, &info, lists);
	for (int i = 0; i < PIPELINES; i++)
		make((VkDevice)&device, VK_NULL_HANDLE, 1, &one, NULL, &pipelines[i]);
	GET(vk.begin, "vkBeginCommandBuffer");
	GET(vk.end, "vkEndCommandBuffer");
	GET(vk.bind, "vkCmdBindPipeline");
	GET(vk.dispatch, "vkCmdDispatch");
	GET(vk.barrier, "vkCmdPipelineBarrier");
	GET(vk.submit, "vkQueueSubmit");
	GET(vk.wait, "vkWaitForFences");
}

static void fill(VkCommandBuffer b)
{
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
					  .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };

	vk.begin(b, &info);
	for (unsigned i = 0; i < DISPATCHES; i++) {
		vk.barrier(b, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
			   VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 0, NULL, 0, NULL, 0, NULL);
		vk.bind(b, VK_PIPELINE_BIND_POINT_COMPUTE, pipelines[i % PIPELINES]);
		vk.dispatch(b, 64, 1, 1);
	}
	vk.end(b);
}

static void token(void)
{
	static struct lmm_mark_part part = { 1, 1, 1, 0 };
	VkFence fence = (VkFence)(uintptr_t)1;

	lmm_mark_step_begin(LMM_MARK_DECODE, &part, 1);
	for (int i = 0; i < SUBMITS; i++) {
		VkSubmitInfo info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
				      .commandBufferCount = 1,
				      .pCommandBuffers = &lists[i] };

		fill(lists[i]);
		vk.submit(of_program, 1, &info, i == SUBMITS - 1 ? fence : VK_NULL_HANDLE);
	}
	vk.wait((VkDevice)&device, 1, &fence, VK_TRUE, UINT64_MAX);
	lmm_mark_step_end();
}

static void hot_take(struct bench *b)
{
	between = 0;
	token();
	BENCH(b, TOKENS, token());
}

static void cold_take(struct bench *b)
{
	between = OTHER;
	token();
	BENCH(b, TOKENS, token());
}

int main(void)
{
	layer_find();
	make_device();
	make_objects();
	token_bench(ROUNDS, 5000000, hot_take, cold_take);
	return 0;
}
