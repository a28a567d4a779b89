/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in: which real function a hooked call must go on to. */
#include "probe/probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t doors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_door *doors;

struct object {
	uintptr_t addr; /* looked for */
	uintptr_t lo, len;
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
	return 1;
}

static int is_own(const void *fn)
{
	Dl_info a, b;

	return dladdr(fn, &a) && dladdr((const void *)&doors, &b) && a.dli_fbase == b.dli_fbase;
}

/*
 * What the code at ra would be bound to without us: behind us in the global scope, else in the scope of its own object
 * (modules that were opened RTLD_LOCAL: backends, Node addons, Python extensions).
 */
void *lmm_door_lookup(const char *name, const void *ra)
{
	void *fn = dlsym(RTLD_NEXT, name);
	Dl_info info;

	if (fn && !is_own(fn))
		return fn;
	fn = NULL;
	if (dladdr(ra, &info) && info.dli_fname && info.dli_fname[0]) {
		void *h = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);

		if (h) {
			fn = dlsym(h, name);
			dlclose(h);
		}
	}
	return fn && !is_own(fn) ? fn : NULL;
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

	for (uint32_t i = 0; i < n; i++)
		if (ra - d->site[i].lo < d->site[i].len)
			return d->site[i].fn;
	return NULL;
}

static void door_list(struct lmm_door *d)
{
	for (struct lmm_door *p = doors; p; p = p->next)
		if (p == d)
			return;
	d->next = doors;
	doors = d;
}

static void *door_learn(struct lmm_door *d, const void *ra)
{
	struct object o = { .addr = (uintptr_t)ra };
	void *fn = lmm_door_lookup(d->name, ra);

	/* dlsym() through the audit door: the caller's own scope (libffi, say) may not hold the symbol, but the door
	 * was given the real one. */
	if (!fn)
		fn = *d->orig;
	if (!fn)
		return NULL;
	pthread_mutex_lock(&doors_lock);
	door_list(d);
	if (!*d->orig)
		*d->orig = fn;
	if (!door_recall(d, (uintptr_t)ra) && dl_iterate_phdr(object_visit, &o)) {
		door_remember(d, &o, fn);
		if (d->site_len == 0 && fn == *d->orig) {
			d->site_lo = o.lo;
			d->site_len = o.len;
		}
	}
	pthread_mutex_unlock(&doors_lock);
	if (fn != *d->orig)
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "a second copy of the engine is loaded and is not recorded (%s)",
				   d->name);
	return fn;
}

LMM_COLD void *lmm_door_resolve(struct lmm_door *d, const void *ra)
{
	int saved = errno;
	void *fn = door_recall(d, (uintptr_t)ra);

	if (!fn)
		fn = door_learn(d, ra);
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
