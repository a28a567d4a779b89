/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests' own preload libraries, which share no code with src/: the function behind ours. In the global scope that
 * is RTLD_NEXT; modules opened RTLD_LOCAL (ggml's CPU backends, Node addons) are in no global scope, and then it is what
 * the caller's own object would have found.
 */
#ifndef LMM_TEST_NEXT_H
#define LMM_TEST_NEXT_H

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct search {
	const char *name;
	void *caller_base;
	void *found;
};

/* Any other object that itself has the function: for callers that a tail call or a pointer has hidden. */
static int search_object(struct dl_phdr_info *object, size_t size, void *arg)
{
	struct search *s = arg;
	Dl_info info;
	void *handle, *fn;

	(void)size;
	if (!object->dlpi_name || !object->dlpi_name[0])
		return 0;
	handle = dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
	if (!handle)
		return 0;
	fn = dlsym(handle, s->name);
	dlclose(handle);
	if (fn && dladdr(fn, &info) && info.dli_fbase != s->caller_base &&
	    !strcmp(info.dli_fname, object->dlpi_name))
		s->found = fn;
	return s->found != NULL;
}

static inline void *next_function(const char *name, const void *caller)
{
	void *fn = dlsym(RTLD_NEXT, name);
	Dl_info info, self;

	if (!fn && dladdr(caller, &info) && dladdr((const void *)next_function, &self) &&
	    info.dli_fbase != self.dli_fbase) {
		void *object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);

		fn = object ? dlsym(object, name) : NULL;
		if (!fn) {
			struct search s = { .name = name, .caller_base = self.dli_fbase };

			dl_iterate_phdr(search_object, &s);
			fn = s.found;
		}
	}
	if (!fn) {
		fprintf(stderr, "test preload: nothing behind %s\n", name);
		abort();
	}
	return fn;
}

/* Declares `next`, the real function of the same type as the function it stands in. */
#define NEXT(name)                                                                                 \
	static __typeof__(&name) next;                                                             \
	do {                                                                                       \
		if (__builtin_expect(!next, 0))                                                    \
			*(void **)&next = next_function(#name, __builtin_return_address(0));       \
	} while (0)

#endif
