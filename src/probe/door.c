/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in: which real function a hooked call must go on to. */
#include "probe/probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "probe/hooks.h"
#include "probe/session.h"

static pthread_mutex_t doors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_door *doors;

/* A loaded object: the one around an address. dladdr() would search its symbols one by one, which takes long. */
struct object {
	uintptr_t addr; /* looked for */
	uintptr_t lo, len;
	const char *path; /* the loader's; "" for the main program */
};

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct object *o = arg;
	uintptr_t lo = UINTPTR_MAX, hi = 0;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t a = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD)
			continue;
		lo = a < lo ? a : lo;
		hi = a + ph->p_memsz > hi ? a + ph->p_memsz : hi;
	}
	if (o->addr < lo || o->addr >= hi)
		return 0;
	o->lo = lo;
	o->len = hi - lo;
	o->path = info->dlpi_name;
	return 1;
}

static int object_around(const void *addr, struct object *o)
{
	memset(o, 0, sizeof(*o));
	o->addr = (uintptr_t)addr;
	return dl_iterate_phdr(object_visit, o);
}

/* In this library. */
static int is_own_address(const void *addr)
{
	static _Atomic uintptr_t own_lo, own_len;
	struct object o;

	if (!atomic_load_explicit(&own_len, memory_order_acquire) &&
	    object_around((const void *)&doors, &o)) {
		atomic_store_explicit(&own_lo, o.lo, memory_order_relaxed);
		atomic_store_explicit(&own_len, o.len, memory_order_release);
	}
	return (uintptr_t)addr - own_lo < own_len;
}

/* In this library, or a jump into it in one of those beside it (doors/). */
static int is_own(const void *fn)
{
	const char *name;
	struct object o;

	if (is_own_address(fn))
		return 1;
	if (!object_around(fn, &o) || !o.path)
		return 0;
	name = strrchr(o.path, '/');
	return strncmp(name ? name + 1 : o.path, "liblmmeter", 10) == 0;
}

/* The symbol in the scope of a loaded object; NULL if it has none but ours. */
static void *scope_lookup(const char *name, const char *path)
{
	void *h = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	void *fn;

	if (!h)
		return NULL;
	fn = dlsym(h, name);
	dlclose(h);
	return fn && !is_own(fn) ? fn : NULL;
}

struct nth_object {
	unsigned n;
	char path[PATH_BYTES];
};

static int nth_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct nth_object *o = arg;

	(void)size;
	if (o->n-- > 0)
		return 0;
	snprintf(o->path, sizeof(o->path), "%s", info->dlpi_name);
	return 1;
}

/* Whoever defines the symbol, but for `not_this`: one object after the other, as nothing may be opened while they are
 * walked. */
static void *anywhere_lookup(const char *name, const void *not_this)
{
	struct nth_object o;
	void *fn = NULL;

	for (unsigned i = 0; !fn; i++) {
		o.n = i;
		if (!dl_iterate_phdr(nth_visit, &o))
			return NULL;
		if (o.path[0])
			fn = scope_lookup(name, o.path);
		if (fn == not_this)
			fn = NULL;
	}
	return fn;
}

/*
 * What the code in object o would be bound to without us: behind us in the global scope, else in the scope of its own
 * object (modules that were opened RTLD_LOCAL: backends, Node addons, Python extensions).
 * A preload of the user's that has the symbol as well stands before us and asked for the next one: that is not itself.
 */
static void *object_lookup(const char *name, const struct object *o)
{
	void *fn = dlsym(RTLD_NEXT, name);
	void *first;

	if (fn && !is_own(fn))
		return fn;
	/* put in late, we stand behind nobody: the first in the global scope is the real one */
	fn = lmm_hooks_are_patched_in ? dlsym(RTLD_DEFAULT, name) : NULL;
	if (fn && !is_own(fn))
		return fn;
	fn = o->path && o->path[0] ? scope_lookup(name, o->path) : NULL;
	first = dlsym(RTLD_DEFAULT, name);
	if (fn && (fn != first || (uintptr_t)fn - o->lo >= o->len))
		return fn;
	/* a tail call or a pointer hides who called */
	return anywhere_lookup(name, first);
}

void *lmm_door_lookup(const char *name, const void *ra)
{
	struct object o;

	object_around(ra, &o);
	return object_lookup(name, &o);
}

void *lmm_door_beside(const char *name, const void *fn)
{
	struct object o;
	void *found =
		object_around(fn, &o) && o.path && o.path[0] ? scope_lookup(name, o.path) : NULL;

	return found ? found : object_lookup(name, &o);
}

void *lmm_door_anyone(const char *name)
{
	void *fn = dlsym(RTLD_DEFAULT, name);

	return fn && !is_own(fn) ? fn : anywhere_lookup(name, NULL);
}

static int order_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *path = info->dlpi_name;

	(void)size;
	(void)arg;
	if (is_own_address((const void *)info->dlpi_addr))
		return -1;
	/* the program itself has no name, and the kernel's object is no file */
	return path && path[0] && !strstr(path, "vdso");
}

bool lmm_door_is_late(void)
{
	return dl_iterate_phdr(order_visit, NULL) > 0;
}

static void door_remember(struct lmm_door *d, const struct object *o, void *fn)
{
	uint32_t n = atomic_load_explicit(&d->n_sites, memory_order_relaxed);

	if (n == LMM_DOOR_SITES)
		return; /* rare callers stay on the slow road */
	d->site[n].lo = o->lo;
	d->site[n].len = o->len;
	d->site[n].fn = fn;
	/* pairs with the acquire in door_recall() */
	atomic_store_explicit(&d->n_sites, n + 1, memory_order_release);
}

static void *door_recall(const struct lmm_door *d, uintptr_t ra)
{
	uint32_t n = atomic_load_explicit(&d->n_sites, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		if (ra - d->site[i].lo < d->site[i].len)
			return d->site[i].fn;
	}
	return NULL;
}

static void door_list(struct lmm_door *d)
{
	for (struct lmm_door *p = doors; p; p = p->next) {
		if (p == d)
			return;
	}
	d->next = doors;
	doors = d;
}

/*
 * CUDA's driver: one per process, and called by many libraries that each have a runtime inside, some with functions of the same names: what the
 * door was given first is what all mean.
 */
static bool is_of_one_copy(const struct lmm_door *d)
{
	return d->name[0] == 'c' && d->name[1] == 'u' && d->name[2] >= 'A' && d->name[2] <= 'Z';
}

static void *door_learn(struct lmm_door *d, const void *ra)
{
	struct object o;
	int found = object_around(ra, &o);
	void *fn = NULL;

	/* the imports that lead here all went to the same one */
	if (lmm_hooks_are_patched_in || is_of_one_copy(d))
		fn = *d->orig;
	if (!fn)
		fn = object_lookup(d->name, &o);
	/* dlsym() through the audit door: the caller's own scope (libffi, say) may not hold the symbol, or have a wrapper of it
	 * that has asked for it, but the door was given the real one. */
	if (!fn || (d->has_wrappers && *d->orig && (uintptr_t)fn - o.lo < o.len))
		fn = *d->orig;
	if (!fn)
		return NULL;
	pthread_mutex_lock(&doors_lock);
	door_list(d);
	if (!*d->orig)
		*d->orig = fn;
	if (found && !door_recall(d, (uintptr_t)ra)) {
		door_remember(d, &o, fn);
		if (d->site_len == 0 && fn == *d->orig) {
			d->site_lo = o.lo;
			d->site_len = o.len;
		}
	}
	pthread_mutex_unlock(&doors_lock);
	if (fn != *d->orig) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "a second copy of the engine is loaded and is not recorded (%s)",
				   d->name);
	}
	return fn;
}

LMM_COLD void *lmm_door_find(struct lmm_door *d, const void *ra)
{
	int saved = errno;
	void *fn = is_of_one_copy(d) && d->site_len ? *d->orig : door_recall(d, (uintptr_t)ra);

	if (!fn)
		fn = door_learn(d, ra);
	errno = saved;
	return fn;
}

LMM_COLD void *lmm_door_resolve(struct lmm_door *d, const void *ra)
{
	void *fn = lmm_door_find(d, ra);
	int saved = errno;

	lmm_probe_start();
	errno = saved;
	return fn;
}

void lmm_doors_reset(void)
{
	pthread_mutex_init(&doors_lock, NULL);
	for (struct lmm_door *d = doors; d; d = d->next) {
		d->site_len = 0;
		atomic_store(&d->n_sites, 0);
	}
}
