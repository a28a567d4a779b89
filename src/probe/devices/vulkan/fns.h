/* SPDX-License-Identifier: Apache-2.0 */
/* Vulkan's functions by name: those that the layer hooks, and those that it only calls. X(returns, name, parameters). */
#ifndef LMM_PROBE_DEVICES_VULKAN_FNS_H
#define LMM_PROBE_DEVICES_VULKAN_FNS_H

#include "probe/devices/vulkan/vk.h"

#define LMM_VK_HOOKED(X)                                                                           \
	X(void, vkDestroyDevice, (void *device, const void *allocator))                            \
	X(void, vkGetDeviceQueue, (void *device, uint32_t family, uint32_t index, void **queue))   \
	X(void, vkGetDeviceQueue2,                                                                 \
	  (void *device, const struct vk_device_queue_info2 *info, void **queue))                  \
	X(int32_t, vkCreateCommandPool,                                                            \
	  (void *device, const struct vk_command_pool_create_info *info, const void *allocator,    \
	   vk_handle *pool))                                                                       \
	X(void, vkDestroyCommandPool, (void *device, vk_handle pool, const void *allocator))       \
	X(int32_t, vkResetCommandPool, (void *device, vk_handle pool, uint32_t flags))             \
	X(int32_t, vkAllocateCommandBuffers,                                                       \
	  (void *device, const struct vk_command_buffer_allocate_info *info, void **buffers))      \
	X(void, vkFreeCommandBuffers,                                                              \
	  (void *device, vk_handle pool, uint32_t n, void *const *buffers))                        \
	X(int32_t, vkBeginCommandBuffer,                                                           \
	  (void *buffer, const struct vk_command_buffer_begin_info *info))                         \
	X(int32_t, vkEndCommandBuffer, (void *buffer))                                             \
	X(int32_t, vkResetCommandBuffer, (void *buffer, uint32_t flags))                           \
	X(void, vkCmdExecuteCommands, (void *buffer, uint32_t n, void *const *buffers))            \
	X(void, vkCmdBindPipeline, (void *buffer, int32_t point, vk_handle pipeline))              \
	X(void, vkCmdDispatch, (void *buffer, uint32_t x, uint32_t y, uint32_t z))                 \
	X(void, vkCmdDispatchBase,                                                                 \
	  (void *buffer, uint32_t x0, uint32_t y0, uint32_t z0, uint32_t x, uint32_t y,            \
	   uint32_t z))                                                                            \
	X(void, vkCmdDispatchIndirect, (void *buffer, vk_handle from, uint64_t offset))            \
	X(void, vkCmdCopyBuffer,                                                                   \
	  (void *buffer, vk_handle from, vk_handle to, uint32_t n,                                 \
	   const struct vk_buffer_copy *regions))                                                  \
	X(void, vkCmdCopyBuffer2, (void *buffer, const struct vk_copy_buffer_info2 *info))         \
	X(void, vkCmdFillBuffer,                                                                   \
	  (void *buffer, vk_handle to, uint64_t offset, uint64_t bytes, uint32_t data))            \
	X(void, vkCmdUpdateBuffer,                                                                 \
	  (void *buffer, vk_handle to, uint64_t offset, uint64_t bytes, const void *data))         \
	X(void, vkCmdCopyImage,                                                                    \
	  (void *buffer, vk_handle from, int32_t from_layout, vk_handle to, int32_t to_layout,     \
	   uint32_t n, const void *regions))                                                       \
	X(void, vkCmdCopyBufferToImage,                                                            \
	  (void *buffer, vk_handle from, vk_handle to, int32_t layout, uint32_t n,                 \
	   const void *regions))                                                                   \
	X(void, vkCmdCopyImageToBuffer,                                                            \
	  (void *buffer, vk_handle from, int32_t layout, vk_handle to, uint32_t n,                 \
	   const void *regions))                                                                   \
	X(void, vkCmdPipelineBarrier,                                                              \
	  (void *buffer, uint32_t from, uint32_t to, uint32_t flags, uint32_t n_memory,            \
	   const void *memory, uint32_t n_buffers, const void *buffers, uint32_t n_images,         \
	   const void *images))                                                                    \
	X(void, vkCmdPipelineBarrier2, (void *buffer, const void *info))                           \
	X(int32_t, vkQueueSubmit,                                                                  \
	  (void *queue, uint32_t n, const struct vk_submit_info *submits, vk_handle fence))        \
	X(int32_t, vkQueueSubmit2,                                                                 \
	  (void *queue, uint32_t n, const struct vk_submit_info2 *submits, vk_handle fence))       \
	X(int32_t, vkQueueWaitIdle, (void *queue))                                                 \
	X(int32_t, vkDeviceWaitIdle, (void *device))                                               \
	X(int32_t, vkWaitForFences,                                                                \
	  (void *device, uint32_t n, const vk_handle *fences, uint32_t all, uint64_t timeout))     \
	X(int32_t, vkGetFenceStatus, (void *device, vk_handle fence))                              \
	X(int32_t, vkGetSemaphoreCounterValue,                                                     \
	  (void *device, vk_handle semaphore, uint64_t *value))                                    \
	X(int32_t, vkWaitSemaphores,                                                               \
	  (void *device, const struct vk_semaphore_wait_info *info, uint64_t timeout))             \
	X(int32_t, vkCreateShaderModule,                                                           \
	  (void *device, const struct vk_shader_module_create_info *info, const void *allocator,   \
	   vk_handle *module))                                                                     \
	X(int32_t, vkCreateComputePipelines,                                                       \
	  (void *device, vk_handle cache, uint32_t n,                                              \
	   const struct vk_compute_pipeline_create_info *infos, const void *allocator,             \
	   vk_handle *pipelines))                                                                  \
	X(int32_t, vkSetDebugUtilsObjectNameEXT,                                                   \
	  (void *device, const struct vk_object_name_info *info))

#define LMM_VK_USED(X)                                                                             \
	X(int32_t, vkCreateQueryPool,                                                              \
	  (void *device, const struct vk_query_pool_create_info *info, const void *allocator,      \
	   vk_handle *pool))                                                                       \
	X(void, vkDestroyQueryPool, (void *device, vk_handle pool, const void *allocator))         \
	X(void, vkCmdResetQueryPool, (void *buffer, vk_handle pool, uint32_t first, uint32_t n))   \
	X(void, vkResetQueryPool, (void *device, vk_handle pool, uint32_t first, uint32_t n))      \
	X(void, vkCmdWriteTimestamp,                                                               \
	  (void *buffer, uint32_t stage, vk_handle pool, uint32_t query))                          \
	X(int32_t, vkGetQueryPoolResults,                                                          \
	  (void *device, vk_handle pool, uint32_t first, uint32_t n, size_t bytes, void *to,       \
	   uint64_t stride, uint32_t flags))                                                       \
	X(int32_t, vkGetCalibratedTimestamps,                                                      \
	  (void *device, uint32_t n, const struct vk_calibrated_timestamp_info *infos,             \
	   uint64_t *stamps, uint64_t *deviation))

#define LMM_VK_INSTANCE_USED(X)                                                                    \
	X(void, vkDestroyInstance, (void *instance, const void *allocator))                        \
	X(int32_t, vkCreateDevice,                                                                 \
	  (void *physical, const struct vk_device_create_info *info, const void *allocator,        \
	   void **device))                                                                         \
	X(void, vkGetPhysicalDeviceProperties,                                                     \
	  (void *physical, struct vk_physical_device_properties *to))                              \
	X(void, vkGetPhysicalDeviceQueueFamilyProperties,                                          \
	  (void *physical, uint32_t *n, struct vk_queue_family_properties *to))                    \
	X(int32_t, vkEnumerateDeviceExtensionProperties,                                           \
	  (void *physical, const char *layer, uint32_t *n, struct vk_extension_properties *to))    \
	X(int32_t, vkGetPhysicalDeviceCalibrateableTimeDomains,                                    \
	  (void *physical, uint32_t *n, int32_t *to))

/* NOLINTBEGIN(bugprone-macro-parentheses): types and lists of parameters stand there */
#define LMM_VK_FIELD(ret, name, params) ret(*name) params;
struct lmm_vk_fns {
	LMM_VK_HOOKED(LMM_VK_FIELD) LMM_VK_USED(LMM_VK_FIELD)
};
struct lmm_vk_instance_fns {
	LMM_VK_INSTANCE_USED(LMM_VK_FIELD)
};

#define LMM_VK_DECLARE(ret, name, params) ret lmm__##name params;
LMM_VK_HOOKED(LMM_VK_DECLARE)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
