/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small Vulkan program: vkplay WHAT [COUNT]. It prints what it did, as it counted itself, and a sum over what was computed, which is
 * the same whoever watches. Each dispatch stands behind a barrier but where WHAT says otherwise.
 *
 *	once		buffers for one submit each, waited for by a fence
 *	again		one buffer, submitted COUNT times
 *	twice		one buffer that may be in flight twice, submitted COUNT times without waiting between
 *	secondary	secondary buffers, run by primary ones
 *	threads		two threads with a device each
 *	shared		two threads on one queue, with a lock around submits
 *	timeline	waits on a timeline semaphore
 *	poll		asks a fence until it says yes
 *	host-reset	enables resetting of queries from the host
 *	groups		dispatches three by three between barriers
 *	long		many dispatches in one buffer
 *	unwaited	submits all, then waits once for the device
 *	two		vkQueueSubmit2() and vkCmdPipelineBarrier2()
 *	copies		fills, updates and copies beside the dispatches
 *	named		names its pipelines by debug-utils
 *	wrong		does what is not allowed: a filling that ends nowhere
 *	killed		kills itself with work under way
 *	lost		goes on behind an error of the device, and says which
 *	cut		as once, with the recording switched off and on in the middle of each buffer
 *	carried		as again, with the recording switched off and on behind the buffer's end
 *	errno		says what errno is when a device and a shader module were made
 *	wide		vkQueueSubmit2(), waits on a timeline semaphore that all commands signal, and not for the fence that every
 *			other submit has as well; kills itself at the end
 *	many		COUNT buffers with 100 groups each, none like another
 *	varied		buffers for one submit each, the same ones in turn but for what is drawn: commands changed, added, left out,
 *			pipelines made anew, another recording begun
 *	unseen		buffers that are the same each time and run a secondary one, which was recorded while nobody looked
 *	huge		more dispatches in one buffer than can be timed
 *	crowd		COUNT buffers of one dispatch in one submit
 *	narrow		as wide, with one that compute shaders alone signal; waits for the queue at the end
 *	overtaken	submits a buffer again while the thread that waited for it is held up, by whoever stalls at $WATCH_STALL
 *	forked		a child plays once while a thread of its parent is held up as there
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vulkan/vulkan.h>

#include "shaders.h"

#define WORDS	   16384u
#define GROUPS	   (WORDS / 64)
#define PER_BUFFER 10u

#define MUST(call)                                                                                 \
	do {                                                                                       \
		VkResult rc_ = (call);                                                             \
		if (rc_ < 0) {                                                                     \
			fprintf(stderr, "%s: %d\n", #call, (int)rc_);                              \
			exit(3);                                                                   \
		}                                                                                  \
	} while (0)

struct play {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	uint32_t family;
	VkBuffer buffer;
	VkDeviceMemory memory;
	uint32_t *words;
	VkDescriptorSetLayout set_layout;
	VkPipelineLayout layout;
	VkDescriptorPool descriptors;
	VkDescriptorSet set;
	VkPipeline add, mix;
	VkCommandPool pool;
	VkFence fence;
	unsigned long dispatches; /* submitted */
};

static const char *what;
static unsigned long wanted = 20;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

static int is(const char *name)
{
	return strcmp(what, name) == 0;
}

/* ---- set-up ------------------------------------------------------------------------------------- */

static VkInstance make_instance(void)
{
	VkApplicationInfo app = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
				  .apiVersion = VK_API_VERSION_1_3 };
	const char *utils = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
				      .pApplicationInfo = &app,
				      .enabledExtensionCount = is("named"),
				      .ppEnabledExtensionNames = &utils };
	VkInstance x;

	MUST(vkCreateInstance(&info, NULL, &x));
	return x;
}

static void make_device(struct play *p)
{
	float priority = 1;
	uint32_t n = 1;
	VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					  .queueCount = 1,
					  .pQueuePriorities = &priority };
	VkPhysicalDeviceVulkan13Features f13 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
		.synchronization2 = is("two") || is("wide") || is("narrow"),
	};
	VkPhysicalDeviceVulkan12Features f12 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
		.pNext = &f13,
		.timelineSemaphore = is("timeline") || is("wide") || is("narrow"),
		.hostQueryReset = is("host-reset"),
	};
	VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
				    .pNext = &f12,
				    .queueCreateInfoCount = 1,
				    .pQueueCreateInfos = &queue };

	MUST(vkEnumeratePhysicalDevices(p->instance, &n, &p->physical));
	MUST(vkCreateDevice(p->physical, &info, NULL, &p->device));
	if (is("errno"))
		printf("device %d\n", errno);
	if (vkGetDeviceProcAddr(p->device, "vkGetCalibratedTimestampsEXT"))
		puts("an extension shows that was not asked for");
	vkGetDeviceQueue(p->device, 0, 0, &p->queue);
}

/* The first that the host can write and read without more ado: which one that is differs between drivers. */
static uint32_t memory_type(const struct play *p, uint32_t allowed)
{
	const VkMemoryPropertyFlags wanted_flags =
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	VkPhysicalDeviceMemoryProperties has;

	vkGetPhysicalDeviceMemoryProperties(p->physical, &has);
	for (uint32_t i = 0; i < has.memoryTypeCount; i++) {
		if (allowed >> i & 1 &&
		    (has.memoryTypes[i].propertyFlags & wanted_flags) == wanted_flags)
			return i;
	}
	fputs("no memory that the host can map\n", stderr);
	exit(3);
}

static void make_memory(struct play *p)
{
	VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
				    .size = WORDS * 4,
				    .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
					     VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
					     VK_BUFFER_USAGE_TRANSFER_DST_BIT };
	VkMemoryAllocateInfo allocate = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO };
	VkMemoryRequirements need;
	void *at;

	MUST(vkCreateBuffer(p->device, &info, NULL, &p->buffer));
	vkGetBufferMemoryRequirements(p->device, p->buffer, &need);
	allocate.allocationSize = need.size;
	allocate.memoryTypeIndex = memory_type(p, need.memoryTypeBits);
	MUST(vkAllocateMemory(p->device, &allocate, NULL, &p->memory));
	MUST(vkBindBufferMemory(p->device, p->buffer, p->memory, 0));
	MUST(vkMapMemory(p->device, p->memory, 0, VK_WHOLE_SIZE, 0, &at));
	p->words = at;
	for (unsigned i = 0; i < WORDS; i++)
		p->words[i] = i;
}

static void make_set(struct play *p)
{
	VkDescriptorSetLayoutBinding binding = { .descriptorType =
							 VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
						 .descriptorCount = 1,
						 .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
	VkDescriptorSetLayoutCreateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = 1,
		.pBindings = &binding
	};
	VkPipelineLayoutCreateInfo layout = { .sType =
						      VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
					      .setLayoutCount = 1 };
	VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1 };
	VkDescriptorPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
					    .maxSets = 1,
					    .poolSizeCount = 1,
					    .pPoolSizes = &size };
	VkDescriptorSetAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorSetCount = 1
	};
	VkDescriptorBufferInfo range = { p->buffer, 0, VK_WHOLE_SIZE };
	VkWriteDescriptorSet write = { .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
				       .descriptorCount = 1,
				       .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
				       .pBufferInfo = &range };

	MUST(vkCreateDescriptorSetLayout(p->device, &set, NULL, &p->set_layout));
	layout.pSetLayouts = &p->set_layout;
	MUST(vkCreatePipelineLayout(p->device, &layout, NULL, &p->layout));
	MUST(vkCreateDescriptorPool(p->device, &pool, NULL, &p->descriptors));
	allocate.descriptorPool = p->descriptors;
	allocate.pSetLayouts = &p->set_layout;
	MUST(vkAllocateDescriptorSets(p->device, &allocate, &p->set));
	write.dstSet = p->set;
	vkUpdateDescriptorSets(p->device, 1, &write, 0, NULL);
}

/* As some engines do it: the code is copied, and an instruction without effect put into its beginning. */
static VkPipeline make_pipeline(struct play *p, const uint32_t *code, size_t bytes, uint32_t rounds)
{
	VkSpecializationMapEntry entry = { 0, 0, sizeof(rounds) };
	VkSpecializationInfo special = { 1, &entry, sizeof(rounds), &rounds };
	uint32_t *changed = malloc(bytes + 8);
	VkShaderModuleCreateInfo module = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
					    .codeSize = bytes + 8,
					    .pCode = changed };
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
			   .pName = "main",
			   .pSpecializationInfo = &special },
		.layout = p->layout,
	};
	VkPipeline x;

	if (!changed)
		exit(3);
	memcpy(changed, code, 20);
	changed[5] = 2u << 16 | 17; /* OpCapability Shader, once more */
	changed[6] = 1;
	memcpy(changed + 7, code + 5, bytes - 20);
	module.codeSize = bytes + 8;
	MUST(vkCreateShaderModule(p->device, &module, NULL, &info.stage.module));
	if (is("errno"))
		printf("module %d\n", errno);
	MUST(vkCreateComputePipelines(p->device, VK_NULL_HANDLE, 1, &info, NULL, &x));
	vkDestroyShaderModule(p->device, info.stage.module, NULL);
	free(changed);
	return x;
}

static void name_it(const struct play *p, VkPipeline x, const char *name)
{
	VkDebugUtilsObjectNameInfoEXT info = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
		.objectType = VK_OBJECT_TYPE_PIPELINE,
		.objectHandle = (uint64_t)x,
		.pObjectName = name
	};
	PFN_vkSetDebugUtilsObjectNameEXT fn =
		(PFN_vkSetDebugUtilsObjectNameEXT)vkGetInstanceProcAddr(
			p->instance, "vkSetDebugUtilsObjectNameEXT");

	MUST(fn(p->device, &info));
}

static void begin(struct play *p)
{
	VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					 .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT };
	VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };

	make_device(p);
	make_memory(p);
	make_set(p);
	p->add = make_pipeline(p, play_add_data, sizeof(play_add_data), 4);
	p->mix = make_pipeline(p, play_mix_data, sizeof(play_mix_data), 0);
	if (is("named")) {
		name_it(p, p->add, "the adder");
		name_it(p, p->mix, "the mixer");
	}
	MUST(vkCreateCommandPool(p->device, &pool, NULL, &p->pool));
	MUST(vkCreateFence(p->device, &fence, NULL, &p->fence));
}

static void end(struct play *p)
{
	vkDestroyFence(p->device, p->fence, NULL);
	vkDestroyCommandPool(p->device, p->pool, NULL);
	vkDestroyPipeline(p->device, p->add, NULL);
	vkDestroyPipeline(p->device, p->mix, NULL);
	vkDestroyDescriptorPool(p->device, p->descriptors, NULL);
	vkDestroyPipelineLayout(p->device, p->layout, NULL);
	vkDestroyDescriptorSetLayout(p->device, p->set_layout, NULL);
	vkUnmapMemory(p->device, p->memory);
	vkDestroyBuffer(p->device, p->buffer, NULL);
	vkFreeMemory(p->device, p->memory, NULL);
	vkDestroyDevice(p->device, NULL);
}

/* ---- recording ---------------------------------------------------------------------------------- */

static VkCommandBuffer make_buffer(struct play *p, VkCommandBufferLevel level)
{
	VkCommandBufferAllocateInfo info = { .sType =
						     VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
					     .commandPool = p->pool,
					     .level = level,
					     .commandBufferCount = 1 };
	VkCommandBuffer x;

	MUST(vkAllocateCommandBuffers(p->device, &info, &x));
	return x;
}

static void barrier(VkCommandBuffer b)
{
	VkMemoryBarrier old = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_MEMORY_WRITE_BIT,
				VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT };
	VkMemoryBarrier2 new = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
				 .srcStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
				 .srcAccessMask = VK_ACCESS_2_SHADER_WRITE_BIT,
				 .dstStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
				 .dstAccessMask = VK_ACCESS_2_SHADER_READ_BIT |
						  VK_ACCESS_2_SHADER_WRITE_BIT };
	VkDependencyInfo all = { .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
				 .memoryBarrierCount = 1,
				 .pMemoryBarriers = &new };

	if (is("two")) {
		vkCmdPipelineBarrier2(b, &all);
	} else {
		vkCmdPipelineBarrier(b, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
				     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &old, 0, NULL, 0,
				     NULL);
	}
}

/* A recording of this program, if there is one, ends, and another begins. */
static void next_recording(void)
{
	int (*set)(int on);

	*(void **)&set = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	if (set) {
		set(0);
		set(1);
	}
}

/* n dispatches, the first of each three by another pipeline. */
static void record(struct play *p, VkCommandBuffer b, VkCommandBufferUsageFlags flags, unsigned n)
{
	VkCommandBufferInheritanceInfo inherit = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_INHERITANCE_INFO
	};
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
					  .flags = flags,
					  .pInheritanceInfo = &inherit };

	MUST(vkBeginCommandBuffer(b, &info));
	vkCmdBindDescriptorSets(b, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &p->set, 0,
				NULL);
	for (unsigned i = 0; i < n; i++) {
		int is_grouped = is("groups") && i % 3 != 2;

		if (is("cut") && i == n / 2)
			next_recording();
		vkCmdBindPipeline(b, VK_PIPELINE_BIND_POINT_COMPUTE, i % 3 ? p->mix : p->add);
		/* groups work on parts of their own: nothing of theirs overlaps */
		vkCmdDispatch(b, is("groups") ? 1 : GROUPS, 1, 1);
		if (!is_grouped)
			barrier(b);
	}
	if (is("copies")) {
		static const uint32_t data[16] = { 1, 2, 3 };
		const VkBufferCopy copy = { 0, WORDS * 2, 1024 };

		vkCmdFillBuffer(b, p->buffer, 0, 4096, 7);
		vkCmdUpdateBuffer(b, p->buffer, 8192, sizeof(data), data);
		barrier(b);
		vkCmdCopyBuffer(b, p->buffer, p->buffer, 1, &copy);
	}
	if (is("wrong"))
		vkCmdFillBuffer(b, p->buffer, 0, 3, 7);
	MUST(vkEndCommandBuffer(b));
}

/* Groups from `first` on; of seven commands, each of which is one of four. Returns how many of them are dispatches. */
static unsigned record_groups(struct play *p, VkCommandBuffer b, unsigned first, unsigned n)
{
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
	unsigned dispatches = 0;

	MUST(vkBeginCommandBuffer(b, &info));
	vkCmdBindDescriptorSets(b, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &p->set, 0,
				NULL);
	for (unsigned i = 0; i < 7 * n; i++) {
		unsigned which = (first + i / 7) >> i % 7 * 2 & 3;

		if (which == 2) {
			vkCmdFillBuffer(b, p->buffer, 0, 4, 7);
		} else if (which == 3) {
			vkCmdUpdateBuffer(b, p->buffer, 8, 4, &first);
		} else {
			vkCmdBindPipeline(b, VK_PIPELINE_BIND_POINT_COMPUTE,
					  which ? p->mix : p->add);
			vkCmdDispatch(b, 1, 1, 1);
			dispatches++;
		}
		if (i % 7 == 6)
			barrier(b);
	}
	MUST(vkEndCommandBuffer(b));
	return dispatches;
}

/* ---- submitting --------------------------------------------------------------------------------- */

static VkResult submit(struct play *p, VkCommandBuffer b, unsigned n, VkFence fence)
{
	VkSubmitInfo info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			      .commandBufferCount = 1,
			      .pCommandBuffers = &b };
	VkCommandBufferSubmitInfo one = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
					  .commandBuffer = b };
	VkSubmitInfo2 two = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
			      .commandBufferInfoCount = 1,
			      .pCommandBufferInfos = &one };
	VkResult rc;

	pthread_mutex_lock(&queue_lock);
	rc = is("two") ? vkQueueSubmit2(p->queue, 1, &two, fence)
		       : vkQueueSubmit(p->queue, 1, &info, fence);
	pthread_mutex_unlock(&queue_lock);
	if (rc == VK_SUCCESS)
		p->dispatches += n;
	return rc;
}

static void wait_fence(struct play *p)
{
	if (is("poll")) {
		while (vkGetFenceStatus(p->device, p->fence) == VK_NOT_READY)
			usleep(100);
	} else {
		MUST(vkWaitForFences(p->device, 1, &p->fence, VK_TRUE, UINT64_MAX));
	}
	MUST(vkResetFences(p->device, 1, &p->fence));
}

static void run_once(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	unsigned n = is("huge")	    ? 5000
		     : is("long")   ? 1000
		     : is("groups") ? 3 * PER_BUFFER
				    : PER_BUFFER;

	for (unsigned long i = 0; i < wanted; i++) {
		record(p, b, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, n);
		MUST(submit(p, b, n, p->fence));
		if (is("killed") && i == wanted / 2)
			kill(getpid(), SIGKILL);
		wait_fence(p);
	}
}

static void run_again(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	record(p, b, is("twice") ? VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT : 0, PER_BUFFER);
	if (is("carried"))
		next_recording();
	for (unsigned long i = 0; i < wanted; i++) {
		MUST(submit(p, b, PER_BUFFER, is("twice") ? VK_NULL_HANDLE : p->fence));
		if (!is("twice"))
			wait_fence(p);
	}
	MUST(vkQueueWaitIdle(p->queue));
}

static void run_many(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	for (unsigned i = 0; i < wanted; i++) {
		unsigned n = record_groups(p, b, 100 * i, 100);

		MUST(submit(p, b, n, p->fence));
		wait_fence(p);
	}
}

/* ---- what an engine does from token to token, and what may come between ------------------------- */

#define USUAL 20u

static struct {
	unsigned long adds, mixes, groups, copies;
} varied;

static unsigned draw(void)
{
	static unsigned seed = 7;

	return (unsigned)rand_r(&seed) >> 8;
}

/* The first handle that is free again may be the other one's. */
static void pipelines_anew(struct play *p)
{
	vkDestroyPipeline(p->device, p->add, NULL);
	vkDestroyPipeline(p->device, p->mix, NULL);
	if (draw() & 1) {
		p->mix = make_pipeline(p, play_mix_data, sizeof(play_mix_data), 0);
		p->add = make_pipeline(p, play_add_data, sizeof(play_add_data), 4);
	} else {
		p->add = make_pipeline(p, play_add_data, sizeof(play_add_data), 4);
		p->mix = make_pipeline(p, play_mix_data, sizeof(play_mix_data), 0);
	}
}

static void record_one(struct play *p, VkCommandBuffer b, int is_add, unsigned groups)
{
	vkCmdBindPipeline(b, VK_PIPELINE_BIND_POINT_COMPUTE, is_add ? p->add : p->mix);
	vkCmdDispatch(b, groups, 1, 1);
	barrier(b);
	varied.adds += is_add ? 1 : 0;
	varied.mixes += is_add ? 0 : 1;
	varied.groups += groups;
}

/* For one submit. */
static void begin_buffer(struct play *p, VkCommandBuffer b)
{
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
					  .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };

	MUST(vkBeginCommandBuffer(b, &info));
	vkCmdBindDescriptorSets(b, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &p->set, 0,
				NULL);
}

/* Returns how many dispatches it has. */
static unsigned record_varied(struct play *p, VkCommandBuffer b, unsigned turn)
{
	const VkBufferCopy copy = { 0, WORDS * 2, 1024 };
	unsigned kind = draw() % 40, at = draw() % USUAL;
	unsigned n = kind == 3 ? at : kind == 4 ? USUAL + at : USUAL;

	if (kind == 5)
		pipelines_anew(p);
	if (kind == 6)
		next_recording();
	begin_buffer(p, b);
	for (unsigned i = 0; i < n; i++) {
		/* with each pipeline in the other one's place, what is bound may look as before */
		int is_add = (i % (2 + turn % 3) == 0) != (kind == 5);

		if (kind == 2 && i == at) {
			vkCmdCopyBuffer(b, p->buffer, p->buffer, 1, &copy);
			barrier(b);
			varied.copies++;
		}
		record_one(p, b, kind == 0 && i == at ? !is_add : is_add,
			   kind == 1 && i == at ? 3 : 1 + i % 2);
	}
	MUST(vkEndCommandBuffer(b));
	return n;
}

static void run_varied(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	for (unsigned i = 0; i < wanted; i++) {
		unsigned n = record_varied(p, b, i);

		MUST(submit(p, b, n, p->fence));
		wait_fence(p);
	}
	printf("adds %lu mixes %lu groups %lu copies %lu\n", varied.adds, varied.mixes,
	       varied.groups, varied.copies);
}

/* The secondary one runs behind `at` of twelve dispatches, or (12) behind all. */
static void record_with_secondary(struct play *p, VkCommandBuffer b, VkCommandBuffer second,
				  unsigned at)
{
	begin_buffer(p, b);
	for (unsigned i = 0; i <= 12; i++) {
		if (i == at) {
			vkCmdExecuteCommands(b, 1, &second);
			barrier(b);
			vkCmdBindDescriptorSets(b, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1,
						&p->set, 0, NULL);
		}
		if (i < 12)
			record_one(p, b, i % 3 == 0, 1);
	}
	MUST(vkEndCommandBuffer(b));
}

static void run_unseen(struct play *p)
{
	VkCommandBuffer second = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_SECONDARY);
	int (*set)(int on);

	*(void **)&set = dlsym(RTLD_DEFAULT, "lmm_recording_set");
	if (set)
		set(0);
	record(p, second, VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT, 3);
	if (set)
		set(1);
	for (unsigned i = 0; i < wanted; i++) {
		VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

		/* that the dispatches alone come again is learned, before they come with the other */
		record_with_secondary(p, b, second, i % 4 < 2 ? 13 : i % 8 < 4 ? 12 : i % 3 * 5);
		MUST(submit(p, b, i % 4 < 2 ? 12 : 12 + 3, p->fence));
		wait_fence(p);
		vkFreeCommandBuffers(p->device, p->pool, 1, &b);
	}
}

static void run_crowd(struct play *p)
{
	VkCommandBuffer *all = calloc(wanted, sizeof(VkCommandBuffer));
	VkSubmitInfo info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			      .commandBufferCount = (uint32_t)wanted,
			      .pCommandBuffers = all };

	if (!all)
		exit(3);
	for (unsigned long i = 0; i < wanted; i++) {
		all[i] = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
		record(p, all[i], VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, 1);
	}
	MUST(vkQueueSubmit(p->queue, 1, &info, p->fence));
	p->dispatches += wanted;
	wait_fence(p);
	free(all);
}

static void run_secondary(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkCommandBuffer second[2] = { make_buffer(p, VK_COMMAND_BUFFER_LEVEL_SECONDARY),
				      make_buffer(p, VK_COMMAND_BUFFER_LEVEL_SECONDARY) };
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };

	record(p, second[0], 0, 3);
	record(p, second[1], 0, 2);
	for (unsigned long i = 0; i < wanted; i++) {
		MUST(vkBeginCommandBuffer(b, &info));
		vkCmdExecuteCommands(b, 2, second);
		barrier(b);
		MUST(vkEndCommandBuffer(b));
		MUST(submit(p, b, 5, p->fence));
		wait_fence(p);
	}
}

static VkSemaphore make_timeline(const struct play *p)
{
	VkSemaphoreTypeCreateInfo type = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
					   .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE };
	VkSemaphoreCreateInfo create = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
					 .pNext = &type };
	VkSemaphore x;

	MUST(vkCreateSemaphore(p->device, &create, NULL, &x));
	return x;
}

static void run_timeline(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkSemaphore semaphore = make_timeline(p);
	uint64_t value = 0;
	VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &value
	};
	VkSubmitInfo info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			      .pNext = &values,
			      .commandBufferCount = 1,
			      .pCommandBuffers = &b,
			      .signalSemaphoreCount = 1,
			      .pSignalSemaphores = &semaphore };
	VkSemaphoreWaitInfo wait = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
				     .semaphoreCount = 1,
				     .pSemaphores = &semaphore,
				     .pValues = &value };

	for (unsigned long i = 0; i < wanted; i++) {
		record(p, b, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, PER_BUFFER);
		value++;
		MUST(vkQueueSubmit(p->queue, 1, &info, VK_NULL_HANDLE));
		p->dispatches += PER_BUFFER;
		MUST(vkWaitSemaphores(p->device, &wait, UINT64_MAX));
	}
	vkDestroySemaphore(p->device, semaphore, NULL);
}

static void run_stages(struct play *p)
{
	VkSemaphoreSubmitInfo signal = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
					 .semaphore = make_timeline(p),
					 .stageMask =
						 is("wide")
							 ? VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT
							 : VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT };
	VkCommandBufferSubmitInfo one = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO };
	VkSubmitInfo2 info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
			       .commandBufferInfoCount = 1,
			       .pCommandBufferInfos = &one,
			       .signalSemaphoreInfoCount = 1,
			       .pSignalSemaphoreInfos = &signal };
	VkSemaphoreWaitInfo wait = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
				     .semaphoreCount = 1,
				     .pSemaphores = &signal.semaphore,
				     .pValues = &signal.value };
	VkFenceCreateInfo create = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
	VkFence fence;

	for (unsigned long i = 0; i < wanted; i++) {
		one.commandBuffer = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
		record(p, one.commandBuffer, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
		       PER_BUFFER);
		signal.value++;
		fence = VK_NULL_HANDLE;
		if (is("wide") && i % 2 == 0)
			MUST(vkCreateFence(p->device, &create, NULL, &fence));
		MUST(vkQueueSubmit2(p->queue, 1, &info, fence));
		p->dispatches += PER_BUFFER;
		MUST(vkWaitSemaphores(p->device, &wait, UINT64_MAX));
	}
	if (is("wide"))
		kill(getpid(), SIGKILL);
	MUST(vkQueueWaitIdle(p->queue));
	vkDestroySemaphore(p->device, signal.semaphore, NULL);
}

static void run_unwaited(struct play *p)
{
	for (unsigned long i = 0; i < wanted; i++) {
		VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

		record(p, b, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, PER_BUFFER);
		MUST(submit(p, b, PER_BUFFER, VK_NULL_HANDLE));
	}
	MUST(vkDeviceWaitIdle(p->device));
}

/* ---- beside a thread that is held up ------------------------------------------------------------ */

static void stall_file(char *path, size_t bytes, const char *suffix)
{
	const char *at = getenv("WATCH_STALL");

	snprintf(path, bytes, "%s%s", at ? at : "", at ? suffix : "");
}

static void stall_wait(void)
{
	char path[512];

	stall_file(path, sizeof(path), ".here");
	while (path[0] && access(path, F_OK))
		usleep(1000);
}

static void stall_end(void)
{
	char path[512];
	int fd;

	stall_file(path, sizeof(path), ".go");
	fd = path[0] ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd >= 0)
		close(fd);
}

static void *held_up(void *arg)
{
	struct play *p = arg;

	MUST(vkWaitForFences(p->device, 1, &p->fence, VK_TRUE, UINT64_MAX));
	return NULL;
}

static void run_overtaken(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	pthread_t thread;

	record(p, b, 0, PER_BUFFER);
	MUST(submit(p, b, PER_BUFFER, p->fence));
	if (pthread_create(&thread, NULL, held_up, p))
		exit(3);
	stall_wait();
	MUST(vkWaitForFences(p->device, 1, &p->fence, VK_TRUE, UINT64_MAX));
	MUST(submit(p, b, PER_BUFFER, VK_NULL_HANDLE));
	MUST(vkQueueWaitIdle(p->queue));
	stall_end();
	pthread_join(thread, NULL);
	MUST(vkDeviceWaitIdle(p->device));
}

/* Vulkan is begun anew in it: nothing of the parent's is touched. */
static void play_in_child(void)
{
	static struct play own;

	own.instance = make_instance();
	begin(&own);
	run_once(&own);
	_exit(0);
}

static void run_forked(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	pthread_t thread;
	int status = -1;
	pid_t child;

	record(p, b, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, PER_BUFFER);
	MUST(submit(p, b, PER_BUFFER, p->fence));
	if (pthread_create(&thread, NULL, held_up, p))
		exit(3);
	stall_wait();
	child = fork();
	if (child == 0)
		play_in_child();
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fprintf(stderr, "child: %d\n", status);
	stall_end();
	pthread_join(thread, NULL);
}

/* The device may go at any submit or wait. */
static void run_lost(struct play *p)
{
	VkCommandBuffer b = make_buffer(p, VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkResult rc = VK_SUCCESS;

	for (unsigned long i = 0; i < wanted && rc == VK_SUCCESS; i++) {
		record(p, b, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, PER_BUFFER);
		rc = submit(p, b, PER_BUFFER, p->fence);
		if (rc == VK_SUCCESS)
			rc = vkWaitForFences(p->device, 1, &p->fence, VK_TRUE, UINT64_MAX);
		if (rc == VK_SUCCESS)
			rc = vkResetFences(p->device, 1, &p->fence);
	}
	printf("result %d\n", (int)rc);
	vkDeviceWaitIdle(p->device);
}

static void *run(void *arg)
{
	struct play *p = arg;

	if (is("again") || is("twice") || is("carried")) {
		run_again(p);
	} else if (is("secondary")) {
		run_secondary(p);
	} else if (is("timeline")) {
		run_timeline(p);
	} else if (is("wide") || is("narrow")) {
		run_stages(p);
	} else if (is("crowd")) {
		run_crowd(p);
	} else if (is("unseen")) {
		run_unseen(p);
	} else if (is("varied")) {
		run_varied(p);
	} else if (is("many")) {
		run_many(p);
	} else if (is("unwaited")) {
		run_unwaited(p);
	} else if (is("lost")) {
		run_lost(p);
	} else if (is("forked")) {
		run_forked(p);
	} else if (is("overtaken")) {
		run_overtaken(p);
	} else {
		run_once(p);
	}
	return NULL;
}

/* A pool and a fence of its own, all else is the first one's. */
static void run_shared(struct play *p)
{
	VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					 .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT };
	VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
	struct play other = *p;
	pthread_t thread;

	MUST(vkCreateCommandPool(p->device, &pool, NULL, &other.pool));
	MUST(vkCreateFence(p->device, &fence, NULL, &other.fence));
	if (pthread_create(&thread, NULL, run, &other))
		exit(3);
	run(p);
	pthread_join(thread, NULL);
	p->dispatches += other.dispatches;
	vkDestroyFence(p->device, other.fence, NULL);
	vkDestroyCommandPool(p->device, other.pool, NULL);
}

static uint32_t sum(const struct play *p)
{
	uint32_t all = 0;

	for (unsigned i = 0; i < WORDS; i++)
		all = all * 31 + p->words[i];
	return all;
}

int main(int argc, char **argv)
{
	static struct play plays[2];
	unsigned n;
	unsigned long dispatches = 0;

	what = argc > 1 ? argv[1] : "once";
	if (argc > 2)
		wanted = strtoul(argv[2], NULL, 10);
	n = is("threads") ? 2 : 1;
	for (unsigned i = 0; i < n; i++) {
		plays[i].instance = i ? plays[0].instance : make_instance();
		begin(&plays[i]);
	}
	if (is("threads")) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, run, &plays[1]))
			return 3;
		run(&plays[0]);
		pthread_join(thread, NULL);
	} else if (is("shared")) {
		run_shared(&plays[0]);
	} else {
		run(&plays[0]);
	}
	for (unsigned i = 0; i < n; i++) {
		dispatches += plays[i].dispatches;
		/* two threads on the same memory are nobody's example */
		printf("sum %08x\n", is("shared") ? 0 : sum(&plays[i]));
		end(&plays[i]);
	}
	vkDestroyInstance(plays[0].instance, NULL);
	printf("dispatches %lu\n", dispatches);
	return 0;
}
