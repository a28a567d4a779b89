/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's own declarations of Vulkan against the real headers: compiled, never run. */
#include <stddef.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include "probe/devices/vulkan/fns.h"

#define SIZE(ours, real) _Static_assert(sizeof(struct ours) == sizeof(real), #real)
#define AT(ours, a, real, b)                                                                       \
	_Static_assert(offsetof(struct ours, a) == offsetof(real, b), #real "." #b);               \
	_Static_assert(sizeof(((struct ours *)0)->a) == sizeof(((real *)0)->b), #real "." #b)
#define VALUE(ours, real) _Static_assert((long long)(ours) == (long long)(real), #real)

SIZE(vk_negotiate, VkNegotiateLayerInterface);
AT(vk_negotiate, version, VkNegotiateLayerInterface, loaderLayerInterfaceVersion);
AT(vk_negotiate, get_instance_proc, VkNegotiateLayerInterface, pfnGetInstanceProcAddr);
AT(vk_negotiate, get_device_proc, VkNegotiateLayerInterface, pfnGetDeviceProcAddr);
SIZE(vk_instance_link, VkLayerInstanceLink);
AT(vk_instance_link, get_instance_proc, VkLayerInstanceLink, pfnNextGetInstanceProcAddr);
SIZE(vk_device_link, VkLayerDeviceLink);
AT(vk_device_link, get_device_proc, VkLayerDeviceLink, pfnNextGetDeviceProcAddr);
AT(vk_layer_info, function, VkLayerInstanceCreateInfo, function);
AT(vk_layer_info, link, VkLayerInstanceCreateInfo, u.pLayerInfo);
AT(vk_layer_info, link, VkLayerDeviceCreateInfo, u.pLayerInfo);
SIZE(vk_device_create_info, VkDeviceCreateInfo);
AT(vk_device_create_info, n_extensions, VkDeviceCreateInfo, enabledExtensionCount);
AT(vk_device_create_info, extensions, VkDeviceCreateInfo, ppEnabledExtensionNames);
SIZE(vk_physical_device_properties, VkPhysicalDeviceProperties);
AT(vk_physical_device_properties, name, VkPhysicalDeviceProperties, deviceName);
AT(vk_physical_device_properties, limits.timestamp_period, VkPhysicalDeviceProperties,
   limits.timestampPeriod);
SIZE(vk_queue_family_properties, VkQueueFamilyProperties);
AT(vk_queue_family_properties, timestamp_bits, VkQueueFamilyProperties, timestampValidBits);
SIZE(vk_extension_properties, VkExtensionProperties);
SIZE(vk_vulkan_1_2_features, VkPhysicalDeviceVulkan12Features);
AT(vk_vulkan_1_2_features, host_query_reset, VkPhysicalDeviceVulkan12Features, hostQueryReset);
SIZE(vk_host_query_reset_features, VkPhysicalDeviceHostQueryResetFeatures);
SIZE(vk_device_queue_info2, VkDeviceQueueInfo2);
AT(vk_device_queue_info2, family, VkDeviceQueueInfo2, queueFamilyIndex);
SIZE(vk_command_pool_create_info, VkCommandPoolCreateInfo);
AT(vk_command_pool_create_info, family, VkCommandPoolCreateInfo, queueFamilyIndex);
SIZE(vk_command_buffer_allocate_info, VkCommandBufferAllocateInfo);
AT(vk_command_buffer_allocate_info, n, VkCommandBufferAllocateInfo, commandBufferCount);
SIZE(vk_command_buffer_begin_info, VkCommandBufferBeginInfo);
AT(vk_command_buffer_begin_info, flags, VkCommandBufferBeginInfo, flags);
SIZE(vk_buffer_copy, VkBufferCopy);
AT(vk_buffer_copy, bytes, VkBufferCopy, size);
SIZE(vk_buffer_copy2, VkBufferCopy2);
AT(vk_buffer_copy2, bytes, VkBufferCopy2, size);
SIZE(vk_copy_buffer_info2, VkCopyBufferInfo2);
AT(vk_copy_buffer_info2, regions, VkCopyBufferInfo2, pRegions);
SIZE(vk_submit_info, VkSubmitInfo);
AT(vk_submit_info, n_buffers, VkSubmitInfo, commandBufferCount);
AT(vk_submit_info, buffers, VkSubmitInfo, pCommandBuffers);
AT(vk_submit_info, n_signal, VkSubmitInfo, signalSemaphoreCount);
AT(vk_submit_info, signal, VkSubmitInfo, pSignalSemaphores);
SIZE(vk_timeline_submit_info, VkTimelineSemaphoreSubmitInfo);
AT(vk_timeline_submit_info, signal, VkTimelineSemaphoreSubmitInfo, pSignalSemaphoreValues);
SIZE(vk_command_buffer_submit_info, VkCommandBufferSubmitInfo);
AT(vk_command_buffer_submit_info, buffer, VkCommandBufferSubmitInfo, commandBuffer);
SIZE(vk_semaphore_submit_info, VkSemaphoreSubmitInfo);
AT(vk_semaphore_submit_info, value, VkSemaphoreSubmitInfo, value);
SIZE(vk_submit_info2, VkSubmitInfo2);
AT(vk_submit_info2, n_buffers, VkSubmitInfo2, commandBufferInfoCount);
AT(vk_submit_info2, buffers, VkSubmitInfo2, pCommandBufferInfos);
AT(vk_submit_info2, signal, VkSubmitInfo2, pSignalSemaphoreInfos);
SIZE(vk_semaphore_wait_info, VkSemaphoreWaitInfo);
AT(vk_semaphore_wait_info, values, VkSemaphoreWaitInfo, pValues);
SIZE(vk_query_pool_create_info, VkQueryPoolCreateInfo);
AT(vk_query_pool_create_info, n, VkQueryPoolCreateInfo, queryCount);
SIZE(vk_calibrated_timestamp_info, VkCalibratedTimestampInfoEXT);
SIZE(vk_shader_module_create_info, VkShaderModuleCreateInfo);
AT(vk_shader_module_create_info, code, VkShaderModuleCreateInfo, pCode);
SIZE(vk_specialization_info, VkSpecializationInfo);
AT(vk_specialization_info, data, VkSpecializationInfo, pData);
SIZE(vk_shader_stage_create_info, VkPipelineShaderStageCreateInfo);
AT(vk_shader_stage_create_info, name, VkPipelineShaderStageCreateInfo, pName);
SIZE(vk_compute_pipeline_create_info, VkComputePipelineCreateInfo);
AT(vk_compute_pipeline_create_info, stage, VkComputePipelineCreateInfo, stage);
SIZE(vk_object_name_info, VkDebugUtilsObjectNameInfoEXT);
AT(vk_object_name_info, name, VkDebugUtilsObjectNameInfoEXT, pObjectName);

VALUE(VK_OK, VK_SUCCESS);
VALUE(VK_INITIALIZATION_FAILED, VK_ERROR_INITIALIZATION_FAILED);
VALUE(VK_DEVICE_LOST, VK_ERROR_DEVICE_LOST);
VALUE(VK_S_QUERY_POOL_CREATE_INFO, VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO);
VALUE(VK_S_SHADER_MODULE_CREATE_INFO, VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO);
VALUE(VK_S_LOADER_INSTANCE_CREATE_INFO, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
VALUE(VK_S_LOADER_DEVICE_CREATE_INFO, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
VALUE(VK_S_VULKAN_1_2_FEATURES, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES);
VALUE(VK_S_CALIBRATED_TIMESTAMP_INFO, VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT);
VALUE(VK_S_TIMELINE_SUBMIT_INFO, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
VALUE(VK_S_HOST_QUERY_RESET_FEATURES, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_HOST_QUERY_RESET_FEATURES);
VALUE(VK_OBJECT_PIPELINE, VK_OBJECT_TYPE_PIPELINE);
VALUE(VK_QUERY_TIMESTAMP, VK_QUERY_TYPE_TIMESTAMP);
VALUE(VK_QUERY_64_BIT, VK_QUERY_RESULT_64_BIT);
VALUE(VK_STAGE_BOTTOM_OF_PIPE, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT);
VALUE(VK_STAGE_ALL_COMMANDS, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
VALUE(VK_USE_ONE_TIME, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT);
VALUE(VK_USE_SIMULTANEOUS, VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT);
VALUE(VK_BIND_COMPUTE, VK_PIPELINE_BIND_POINT_COMPUTE);
VALUE(VK_LEVEL_SECONDARY, VK_COMMAND_BUFFER_LEVEL_SECONDARY);
VALUE(VK_QUEUE_GRAPHICS, VK_QUEUE_GRAPHICS_BIT);
VALUE(VK_QUEUE_COMPUTE, VK_QUEUE_COMPUTE_BIT);
VALUE(VK_DOMAIN_DEVICE, VK_TIME_DOMAIN_DEVICE_EXT);
VALUE(VK_LAYER_LINK, VK_LAYER_LINK_INFO);
VALUE(VK_LAYER_NEGOTIATE_STRUCT, LAYER_NEGOTIATE_INTERFACE_STRUCT);
VALUE(VK_EXTENSION_NAME_MAX, VK_MAX_EXTENSION_NAME_SIZE);
