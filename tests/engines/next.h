/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests' own preload libraries, which share no code with src/: the function behind ours. In the global scope that
 * is RTLD_NEXT; modules opened RTLD_LOCAL (ggml's CPU backends, Node addons) are in no global scope, and then it is what
 * the caller's own object would have found.
 */
#ifndef LMM_TEST_NEXT_H
#define LMM_TEST_NEXT_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static inline void *next_function(const char *name, const void *caller)
{
	void *fn = dlsym(RTLD_NEXT, name);
	Dl_info info;

	if (!fn && dladdr(caller, &info)) {
		void *object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);

		if (object)
			fn = dlsym(object, name);
	}
	if (!fn) {
		fprintf(stderr, "test preload: nothing behind %s\n", name);
		abort();
	}
	return fn;
}

/* Declares `next`, the real function of the same type as the function it stands in. */
#define NEXT(name)                                                                                  \
	static __typeof__(&name) next;                                                              \
	do {                                                                                        \
		if (__builtin_expect(!next, 0))                                                     \
			*(void **)&next = next_function(#name, __builtin_return_address(0));        \
	} while (0)

#endif
