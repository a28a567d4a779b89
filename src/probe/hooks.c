/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/hooks.h"
#include "probe/gnu_hash.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/engines/tvm_late.h"
#include "probe/patch.h"
#include "probe/probe.h"

#define HOOKS_MAX 256u
#define SITES_MAX 8192u

bool lmm_hooks_are_patched_in;

/* ---- our own table: lmm_hook_X and lmm_orig_X, by name as the audit door has it ------------------ */

struct hook {
	const char *name;
	void *fn;
	void **orig;
	void *real;	  /* what it leads on to, or will */
	uint32_t n_sites; /* imports that lead to it */
	bool has_other;	  /* some imports lead to another function of that name */
};

static struct hook hooks[HOOKS_MAX];
static unsigned n_hooks;

static int hook_order(const void *a, const void *b)
{
	return strcmp(((const struct hook *)a)->name, ((const struct hook *)b)->name);
}

static struct hook *hook_find(const char *name)
{
	const struct hook key = { .name = name };

	/* engines' and device APIs' names alone: most imports end here */
	if (!strchr("lgcT_", name[0]))
		return NULL;
	return bsearch(&key, hooks, n_hooks, sizeof(key), hook_order);
}

static void own_symbols(const struct lmm_imports *x, const char *prefix,
			void (*take)(const char *name, void *at))
{
	uint32_t n = x->gnu_hash ? lmm_gnu_hash_count(x->gnu_hash) : 0;
	size_t len = strlen(prefix);

	for (uint32_t i = 0; i < n; i++) {
		const char *name = x->strings + x->symbols[i].st_name;

		if (x->symbols[i].st_shndx != SHN_UNDEF && strncmp(name, prefix, len) == 0)
			take(name + len, (void *)(x->base + x->symbols[i].st_value));
	}
}

static void take_hook(const char *name, void *at)
{
	if (n_hooks < HOOKS_MAX)
		hooks[n_hooks++] = (struct hook){ .name = name, .fn = at };
}

static void take_orig(const char *name, void *at)
{
	struct hook *h = hook_find(name);

	if (h)
		h->orig = at;
}

static bool is_own(const struct lmm_imports *x)
{
	return (uintptr_t)&n_hooks - x->lo < x->len;
}

static int own_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct lmm_imports x;

	(void)size;
	(void)arg;
	if (!lmm_imports_read(info, &x) || !is_own(&x))
		return 0;
	own_symbols(&x, "lmm_hook_", take_hook);
	qsort(hooks, n_hooks, sizeof(hooks[0]), hook_order);
	own_symbols(&x, "lmm_orig_", take_orig);
	return 1;
}

/* ---- the imports of others ---------------------------------------------------------------------- */

struct site {
	uintptr_t slot;
	struct hook *hook;
	void *was;  /* what lay there */
	void *real; /* the function behind it */
	bool is_lazy, is_changed;
};

static struct site sites[SITES_MAX];
static unsigned n_sites;
static unsigned long long seen_objects; /* how many the loader has ever loaded */

static struct site *site_at(uintptr_t slot)
{
	for (unsigned i = 0; i < n_sites; i++) {
		if (sites[i].slot == slot)
			return &sites[i];
	}
	return NULL;
}

static void site_note(void *ctx, const struct lmm_imports *x, const struct lmm_import *import)
{
	struct hook *h = hook_find(import->name);
	struct site *s;
	void *value;

	(void)ctx;
	if (!h || !h->orig)
		return;
	/* an OpenCL that calls itself by these names is no application */
	if (import->own && import->name[0] == 'c')
		return;
	value = atomic_load_explicit((_Atomic(void *) *)import->slot, memory_order_acquire);
	s = site_at(import->slot);
	if (value == h->fn)
		return;
	if (!s) {
		if (n_sites == SITES_MAX)
			return;
		s = &sites[n_sites++];
	}
	*s = (struct site){ .slot = import->slot, .hook = h, .was = value, .real = value };
	s->is_lazy = import->is_lazy && value != import->own && (uintptr_t)value - x->lo < x->len;
}

static bool is_ours(const struct lmm_imports *x)
{
	const char *name = x->path ? strrchr(x->path, '/') : NULL;

	return is_own(x) || (name && strncmp(name, "/liblmmeter", 11) == 0);
}

static int note_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct lmm_imports x;

	(void)size;
	seen_objects = info->dlpi_adds;
	if (lmm_imports_read(info, &x) && !is_ours(&x))
		lmm_imports_each(&x, site_note, arg);
	return 0;
}

/*
 * Which function each leads to. Not while the objects are walked: looking a symbol up takes the loader's other lock.
 * Of several functions of one name (two copies of an engine) the first is recorded, the others are left alone.
 */
static void sites_resolve(void)
{
	for (unsigned i = 0; i < n_sites; i++) {
		struct site *s = &sites[i];

		if (s->is_changed)
			continue;
		if (s->is_lazy)
			s->real = lmm_door_lookup(s->hook->name, (const void *)s->slot);
		if (s->real && !s->hook->real)
			s->hook->real = s->real;
		s->hook->has_other |= s->real && s->real != s->hook->real;
	}
}

/* Before the first import leads to a hook, it must know where to go on. */
static void hooks_aim(void)
{
	bool has_moved = false;

	for (unsigned i = 0; i < n_hooks; i++) {
		struct hook *h = &hooks[i];

		if (!h->real || *h->orig == h->real)
			continue;
		has_moved |= *h->orig != NULL;
		*h->orig = h->real;
	}
	if (has_moved)
		lmm_doors_reset();
}

static void site_change(const struct lmm_imports *x, struct site *s)
{
	if (s->is_changed || !s->real || s->real != s->hook->real)
		return;
	s->is_changed = lmm_slot_change(x, s->slot, s->was, s->hook->fn) ||
			/* bound meanwhile */
			lmm_slot_change(x, s->slot, s->real, s->hook->fn);
	s->hook->n_sites += s->is_changed;
}

static void site_restore(const struct lmm_imports *x, struct site *s)
{
	if (s->is_changed)
		lmm_slot_change(x, s->slot, s->hook->fn, s->real);
}

/* Those of objects that are loaded still. */
static int change_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	void (*change)(const struct lmm_imports *, struct site *) =
		*(void (**)(const struct lmm_imports *, struct site *))arg;
	struct lmm_imports x;

	(void)size;
	if (!lmm_imports_read(info, &x))
		return 0;
	for (unsigned i = 0; i < n_sites; i++) {
		if (sites[i].slot - x.lo < x.len)
			change(&x, &sites[i]);
	}
	return 0;
}

static void sites_each(void (*change)(const struct lmm_imports *, struct site *))
{
	dl_iterate_phdr(change_visit, (void *)&change);
}

/* ---- what is not seen --------------------------------------------------------------------------- */

static bool is_unseen(const char *name)
{
	const struct hook *h = hook_find(name);

	return h && !h->n_sites && lmm_door_anyone(name);
}

static void say_what_is_unseen(void)
{
	lmm_session_reason(LMM_LEVEL_KERNELS,
			   "lmmeter was put into the running process: what it called through "
			   "addresses that it had asked for by name before (ctypes) is not seen");
	if (is_unseen("llama_decode")) {
		lmm_session_reason(
			LMM_LEVEL_KERNELS,
			"nobody imports llama_decode() here: steps are taken from their graphs");
	}
	if (is_unseen("ggml_graph_compute") || is_unseen("ggml_cpu_extra_compute_forward")) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "the CPU backend calls its own functions directly: operators "
				   "are not seen");
	}
	for (unsigned i = 0; i < n_hooks; i++) {
		if (hooks[i].has_other) {
			lmm_session_reason(
				LMM_LEVEL_KERNELS,
				"a second copy of the engine is loaded and is not recorded (%s)",
				hooks[i].name);
		}
	}
}

static int count_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	*(unsigned long long *)arg = info->dlpi_adds;
	return 1;
}

static bool has_news(void)
{
	unsigned long long now = 0;

	dl_iterate_phdr(count_visit, &now);
	return now != seen_objects;
}

void lmm_hooks_fill(void)
{
	if (!lmm_hooks_are_patched_in || !has_news())
		return;
	if (!n_hooks)
		dl_iterate_phdr(own_visit, NULL);
	dl_iterate_phdr(note_visit, NULL);
	sites_resolve();
	hooks_aim();
	sites_each(site_change);
	lmm_tvm_old_late();
	if (lmm_tvm_late()) {
		lmm_session_reason(
			LMM_LEVEL_OFF,
			"TVM's functions are not laid out as they are known: preload lmmeter");
	}
	say_what_is_unseen();
	lmm_vk_look_around();
}

void lmm_hooks_empty(void)
{
	if (!lmm_hooks_are_patched_in)
		return;
	sites_each(site_restore);
	lmm_tvm_late_end();
	lmm_cl_queues_forget();
	for (unsigned i = 0; i < n_hooks; i++) {
		hooks[i].real = NULL;
		hooks[i].n_sites = 0;
		hooks[i].has_other = false;
	}
	n_sites = 0;
	seen_objects = 0;
}

void lmm_hooks_after_fork(void)
{
	seen_objects = 0;
}

/* Called by liblmmeter-inject.so, in a process that may never have heard of us. A library that was preloaded needs no patching. */
LMM_EXPORT void lmm_inject_begin(void);

LMM_EXPORT void lmm_inject_begin(void)
{
	lmm_hooks_are_patched_in = lmm_door_is_late();
	lmm_probe_start();
}
