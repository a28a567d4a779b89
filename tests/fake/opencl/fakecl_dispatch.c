/* SPDX-License-Identifier: Apache-2.0 */
/* The table that the loader calls through, and the two names it looks for. */
#include "fakecl_api.h"

#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#define ENTRY(name) .name = fake_##name,
const struct _cl_icd_dispatch fake_dispatch = { FAKECL_API(ENTRY) };

typedef void (*address)(void);

EXPORT cl_int clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id *platforms, cl_uint *n);
EXPORT void *clGetExtensionFunctionAddress(const char *name);

#define NAMED(name) { #name, (address)fake_##name },
static const struct {
	const char *name;
	address function;
} names[] = { { "clIcdGetPlatformIDsKHR", (address)clIcdGetPlatformIDsKHR },
	      FAKECL_API(NAMED) FAKECL_EXTENSIONS(NAMED) };

static void *function_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(name, names[i].name))
			return (void *)names[i].function;
	}
	return NULL;
}

void *fake_clGetExtensionFunctionAddress(const char *name)
{
	return function_find(name);
}

void *fake_clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *name)
{
	return platform == &the_platform ? function_find(name) : NULL;
}

void *clGetExtensionFunctionAddress(const char *name)
{
	return function_find(name);
}

cl_int clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id *platforms, cl_uint *n)
{
	return fake_clGetPlatformIDs(room, platforms, n);
}
