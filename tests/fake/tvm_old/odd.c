/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runtime of 2025 on whose functions are laid out as nobody knows them: what a call would jump to is no code. usage: odd LIBRARY, which is
 * loaded late and must leave them as they are.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FUNCTION = 68 };

static struct object {
	int64_t count;
	int32_t type, padding;
	void *deleter, *safe_call, *cpp_call;
} object = { 1, FUNCTION, 0, NULL, &object, NULL };

int TVMFFIFunctionGetGlobal(const void *name, void **out);

int TVMFFIFunctionGetGlobal(const void *name, void **out)
{
	(void)name;
	*out = &object;
	return 0;
}

int main(int argc, char **argv)
{
	const struct object before = object;

	if (argc != 2 || !dlopen(argv[1], RTLD_NOW))
		return 2;
	printf("%s\n", memcmp(&before, &object, sizeof(object)) == 0 ? "untouched" : "changed");
	return 0;
}
