/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vkreuse LIBRARY: lmmeter's layer between no loader and a driver that does not exist. While the driver takes an instance or a
 * device down, another one is made that the loader tells apart by the same word, as if by another thread. It says which of
 * the two, 0 or 1, calls to the new one have reached: then, and when the old one is gone.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

/* A handle begins with the loader's word. */
struct object {
	const void *word;
};

static const char instance_word, device_word;
static struct object instances[2] = { { &instance_word }, { &instance_word } };
static struct object devices[2] = { { &device_word }, { &device_word } };
static VkNegotiateLayerInterface layer = { .sType = LAYER_NEGOTIATE_INTERFACE_STRUCT,
					   .loaderLayerInterfaceVersion = 2 };
static unsigned n_instances, n_devices; /* made */

static void make_instance(void);
static void make_device(void);
static void say_instance(const char *when);
static void say_device(const char *when);

/* ---- the driver --------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
						      const VkAllocationCallbacks *a,
						      VkInstance *to)
{
	(void)info;
	(void)a;
	*to = (VkInstance)&instances[n_instances++];
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance x, const VkAllocationCallbacks *a)
{
	(void)x;
	(void)a;
	make_instance();
	say_instance("during");
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical,
						    const VkDeviceCreateInfo *info,
						    const VkAllocationCallbacks *a, VkDevice *to)
{
	(void)physical;
	(void)info;
	(void)a;
	*to = (VkDevice)&devices[n_devices++];
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice x, const VkAllocationCallbacks *a)
{
	(void)x;
	(void)a;
	make_device();
	say_device("during");
}

static VKAPI_ATTR void VKAPI_CALL properties(VkPhysicalDevice x, VkPhysicalDeviceProperties *to)
{
	(void)x;
	memset(to, 0, sizeof(*to));
}

static VKAPI_ATTR void VKAPI_CALL families(VkPhysicalDevice x, uint32_t *n,
					   VkQueueFamilyProperties *to)
{
	(void)x;
	(void)to;
	*n = 0;
}

/* Each instance and device has functions of its own. */
static VKAPI_ATTR VkResult VKAPI_CALL which_0(VkDevice x)
{
	(void)x;
	return 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL which_1(VkDevice x)
{
	(void)x;
	return 1;
}

static PFN_vkVoidFunction found(const char *name, PFN_vkDeviceWaitIdle which)
{
#define FOUND(symbol, fn)                                                                          \
	if (strcmp(name, symbol) == 0)                                                             \
		return (PFN_vkVoidFunction)(fn);
	FOUND("vkCreateInstance", create_instance)
	FOUND("vkDestroyInstance", destroy_instance)
	FOUND("vkCreateDevice", create_device)
	FOUND("vkDestroyDevice", destroy_device)
	FOUND("vkGetPhysicalDeviceProperties", properties)
	FOUND("vkGetPhysicalDeviceQueueFamilyProperties", families)
	FOUND("vkDeviceWaitIdle", which)
	FOUND("vkWhich", which)
	return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_0(VkInstance x, const char *name)
{
	(void)x;
	return found(name, which_0);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_1(VkInstance x, const char *name)
{
	(void)x;
	return found(name, which_1);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_0(VkDevice x, const char *name)
{
	(void)x;
	return found(name, which_0);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_1(VkDevice x, const char *name)
{
	(void)x;
	return found(name, which_1);
}

/* ---- the loader and the program ----------------------------------------------------------------- */

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s\n", what);
		exit(3);
	}
}

static void make_instance(void)
{
	VkLayerInstanceLink next = { .pfnNextGetInstanceProcAddr =
					     n_instances ? instance_1 : instance_0 };
	VkLayerInstanceCreateInfo chain = {
		.sType = VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO,
		.function = VK_LAYER_LINK_INFO,
		.u.pLayerInfo = &next,
	};
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
				      .pNext = &chain };
	PFN_vkCreateInstance create =
		(PFN_vkCreateInstance)layer.pfnGetInstanceProcAddr(NULL, "vkCreateInstance");
	VkInstance x;

	must(create(&info, NULL, &x) == VK_SUCCESS, "vkCreateInstance");
}

static void make_device(void)
{
	VkLayerDeviceLink next = { .pfnNextGetDeviceProcAddr = n_devices ? device_1 : device_0 };
	VkLayerDeviceCreateInfo chain = {
		.sType = VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO,
		.function = VK_LAYER_LINK_INFO,
		.u.pLayerInfo = &next,
	};
	VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
				    .pNext = &chain };
	PFN_vkCreateDevice create = (PFN_vkCreateDevice)layer.pfnGetInstanceProcAddr(
		(VkInstance)&instances[0], "vkCreateDevice");
	VkDevice x;

	must(create((VkPhysicalDevice)&instances[0], &info, NULL, &x) == VK_SUCCESS,
	     "vkCreateDevice");
}

static void say_instance(const char *when)
{
	PFN_vkDeviceWaitIdle which = (PFN_vkDeviceWaitIdle)layer.pfnGetInstanceProcAddr(
		(VkInstance)&instances[1], "vkWhich");

	printf("instance %s %d\n", when, which ? (int)which(NULL) : -1);
}

static void say_device(const char *when)
{
	VkDevice x = (VkDevice)&devices[1];
	PFN_vkDeviceWaitIdle which =
		(PFN_vkDeviceWaitIdle)layer.pfnGetDeviceProcAddr(x, "vkDeviceWaitIdle");

	printf("device %s %d\n", when, which ? (int)which(x) : -1);
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	PFN_vkNegotiateLoaderLayerInterfaceVersion negotiate;
	VkDevice old_device = (VkDevice)&devices[0];
	VkInstance old_instance = (VkInstance)&instances[0];

	must(library != NULL, "vkreuse LIBRARY");
	negotiate = (PFN_vkNegotiateLoaderLayerInterfaceVersion)dlsym(library, "lmm_vk_negotiate");
	must(negotiate && negotiate(&layer) == VK_SUCCESS, "lmm_vk_negotiate");
	make_instance();
	make_device();
	((PFN_vkDestroyDevice)layer.pfnGetDeviceProcAddr(old_device, "vkDestroyDevice"))(old_device,
											 NULL);
	say_device("after");
	((PFN_vkDestroyInstance)layer.pfnGetInstanceProcAddr(old_instance, "vkDestroyInstance"))(
		old_instance, NULL);
	say_instance("after");
	return 0;
}
