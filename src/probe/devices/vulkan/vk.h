/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of Vulkan's ABI that the layer needs, from the specification: so it is built where no headers of Vulkan are. Names are
 * those of the specification in lower case, without "Vk"; tests/fake/vulkan/abi.c compares them with the real headers.
 */
#ifndef LMM_PROBE_DEVICES_VULKAN_VK_H
#define LMM_PROBE_DEVICES_VULKAN_VK_H

#include <stddef.h>
#include <stdint.h>

/* Dispatchable handles are pointers; the others are 64 bits wide on every platform that this is built for. */
_Static_assert(sizeof(void *) == 8, "Vulkan's other handles are taken for 64 bits");
typedef uint64_t vk_handle;
typedef void (*vk_void_fn)(void);

enum {
	VK_OK = 0,
	VK_NOT_READY_YET = 1,
	VK_INITIALIZATION_FAILED = -3,
	VK_DEVICE_LOST = -4,

	VK_S_SUBMIT_INFO = 4,
	VK_S_QUERY_POOL_CREATE_INFO = 11,
	VK_S_SHADER_MODULE_CREATE_INFO = 16,
	VK_S_LOADER_INSTANCE_CREATE_INFO = 47,
	VK_S_LOADER_DEVICE_CREATE_INFO = 48,
	VK_S_VULKAN_1_2_FEATURES = 51,
	VK_S_CALIBRATED_TIMESTAMP_INFO = 1000184000,
	VK_S_TIMELINE_SUBMIT_INFO = 1000207003,
	VK_S_HOST_QUERY_RESET_FEATURES = 1000261000,

	VK_OBJECT_PIPELINE = 19,
	VK_QUERY_TIMESTAMP = 2,
	VK_QUERY_64_BIT = 1,
	VK_STAGE_BOTTOM_OF_PIPE = 0x2000,
	VK_STAGE_ALL_COMMANDS = 0x10000,
	VK_USE_ONE_TIME = 1,
	VK_USE_SIMULTANEOUS = 4,
	VK_BIND_COMPUTE = 1,
	VK_LEVEL_SECONDARY = 1,
	VK_QUEUE_GRAPHICS = 1,
	VK_QUEUE_COMPUTE = 2,
	VK_DOMAIN_DEVICE = 0,
	VK_LAYER_LINK = 0,
	VK_LAYER_NEGOTIATE_STRUCT = 1,
	VK_EXTENSION_NAME_MAX = 256,
};

/* How every structure of a pNext chain begins. */
struct vk_base {
	int32_t type;
	const void *next;
};

typedef vk_void_fn vk_get_instance_proc(void *instance, const char *name);
typedef vk_void_fn vk_get_device_proc(void *device, const char *name);

/* ---- the loader --------------------------------------------------------------------------------- */

struct vk_negotiate {
	int32_t type;
	void *next;
	uint32_t version;
	vk_get_instance_proc *get_instance_proc;
	vk_get_device_proc *get_device_proc;
	vk_get_instance_proc *get_physical_device_proc;
};

struct vk_instance_link {
	struct vk_instance_link *next;
	vk_get_instance_proc *get_instance_proc;
	vk_get_instance_proc *get_physical_device_proc;
};

struct vk_device_link {
	struct vk_device_link *next;
	vk_get_instance_proc *get_instance_proc;
	vk_get_device_proc *get_device_proc;
};

struct vk_layer_info { /* of an instance or a device */
	int32_t type;
	const void *next;
	int32_t function;
	void *link;
};

/* ---- devices ------------------------------------------------------------------------------------ */

struct vk_device_create_info {
	int32_t type;
	const void *next;
	uint32_t flags;
	uint32_t n_queues;
	const void *queues;
	uint32_t n_layers;
	const char *const *layers;
	uint32_t n_extensions;
	const char *const *extensions;
	const void *features;
};

struct vk_physical_device_properties {
	uint32_t api_version, driver_version, vendor, device;
	int32_t type;
	char name[256];
	uint8_t cache_uuid[16];
	struct {
		uint64_t before[52];
		uint32_t before_too;
		uint32_t timestamp_compute_and_graphics;
		float timestamp_period; /* nanoseconds per tick */
		uint32_t after[19];
	} limits;
	uint32_t sparse[5];
};

struct vk_queue_family_properties {
	uint32_t flags;
	uint32_t n_queues;
	uint32_t timestamp_bits; /* 0: no timestamps */
	uint32_t granularity[3];
};

struct vk_extension_properties {
	char name[VK_EXTENSION_NAME_MAX];
	uint32_t version;
};

struct vk_vulkan_1_2_features {
	int32_t type;
	void *next;
	uint32_t before[36];
	uint32_t host_query_reset;
	uint32_t after[11];
};

struct vk_host_query_reset_features {
	int32_t type;
	void *next;
	uint32_t host_query_reset;
};

struct vk_device_queue_info2 {
	int32_t type;
	const void *next;
	uint32_t flags, family, index;
};

/* ---- command buffers ---------------------------------------------------------------------------- */

struct vk_command_pool_create_info {
	int32_t type;
	const void *next;
	uint32_t flags, family;
};

struct vk_command_buffer_allocate_info {
	int32_t type;
	const void *next;
	vk_handle pool;
	int32_t level;
	uint32_t n;
};

struct vk_command_buffer_begin_info {
	int32_t type;
	const void *next;
	uint32_t flags;
	const void *inheritance;
};

struct vk_buffer_copy {
	uint64_t from, to, bytes;
};

struct vk_buffer_copy2 {
	int32_t type;
	const void *next;
	uint64_t from, to, bytes;
};

struct vk_copy_buffer_info2 {
	int32_t type;
	const void *next;
	vk_handle from, to;
	uint32_t n;
	const struct vk_buffer_copy2 *regions;
};

/* ---- submits ------------------------------------------------------------------------------------ */

struct vk_submit_info {
	int32_t type;
	const void *next;
	uint32_t n_wait;
	const vk_handle *wait;
	const uint32_t *wait_stages;
	uint32_t n_buffers;
	void *const *buffers;
	uint32_t n_signal;
	const vk_handle *signal;
};

struct vk_timeline_submit_info {
	int32_t type;
	const void *next;
	uint32_t n_wait;
	const uint64_t *wait;
	uint32_t n_signal;
	const uint64_t *signal;
};

struct vk_command_buffer_submit_info {
	int32_t type;
	const void *next;
	void *buffer;
	uint32_t device_mask;
};

struct vk_semaphore_submit_info {
	int32_t type;
	const void *next;
	vk_handle semaphore;
	uint64_t value;
	uint64_t stages;
	uint32_t device_index;
};

struct vk_submit_info2 {
	int32_t type;
	const void *next;
	uint32_t flags;
	uint32_t n_wait;
	const struct vk_semaphore_submit_info *wait;
	uint32_t n_buffers;
	const struct vk_command_buffer_submit_info *buffers;
	uint32_t n_signal;
	const struct vk_semaphore_submit_info *signal;
};

struct vk_semaphore_wait_info {
	int32_t type;
	const void *next;
	uint32_t flags; /* 1: any of them */
	uint32_t n;
	const vk_handle *semaphores;
	const uint64_t *values;
};

/* ---- queries, clocks ---------------------------------------------------------------------------- */

struct vk_query_pool_create_info {
	int32_t type;
	const void *next;
	uint32_t flags;
	int32_t query_type;
	uint32_t n;
	uint32_t statistics;
};

struct vk_calibrated_timestamp_info {
	int32_t type;
	const void *next;
	int32_t domain;
};

/* ---- pipelines ---------------------------------------------------------------------------------- */

struct vk_shader_module_create_info {
	int32_t type;
	const void *next;
	uint32_t flags;
	size_t bytes;
	const uint32_t *code;
};

struct vk_specialization_info {
	uint32_t n;
	const void *entries;
	size_t bytes;
	const void *data;
};

struct vk_shader_stage_create_info {
	int32_t type;
	const void *next;
	uint32_t flags;
	uint32_t stage;
	vk_handle module;
	const char *name;
	const struct vk_specialization_info *specialization;
};

struct vk_compute_pipeline_create_info {
	int32_t type;
	const void *next;
	uint32_t flags;
	struct vk_shader_stage_create_info stage;
	vk_handle layout;
	vk_handle base;
	int32_t base_index;
};

struct vk_object_name_info {
	int32_t type;
	const void *next;
	int32_t object_type;
	uint64_t object;
	const char *name;
};

#endif
