/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit door (LD_AUDIT): sees the bindings that a preload cannot: dlsym() by handle (Python's ctypes, tables of
 * functions filled by hand). It lives in a link namespace of its own with a C library of its own, so it
 * stays tiny, keeps no state but where liblmmeter.so is, and looks into that one's dynamic symbols by itself:
 * for symbol X the hook lmm_hook_X and the slot lmm_orig_X. By name, not by a table: programs linked BIND_NOW
 * are bound before the preloaded library is relocated, when such a table would still hold raw offsets.
 */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

#include "probe/gnu_hash.h"

#define EXPORT __attribute__((visibility("default")))

static const struct link_map *lib;
/* Our own: the library, and those that have symbols under others' names and lead to it. */
#define OWN_MAX 4
static uintptr_t *own_cookies[OWN_MAX];
static unsigned n_own;
/* OpenCL's loaders, CUDA's runtime and its profiler: what they ask of a driver by name is the driver's own, and must stay so. */
#define LOADERS_MAX 8
static uintptr_t *loader_cookies[LOADERS_MAX];
static unsigned n_loaders;
static const ElfW(Sym) * symbols;
static const char *strings;
static uint32_t n_symbols;

static void read_symbols(const struct link_map *map)
{
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		uintptr_t p = d->d_un.d_ptr;

		/* glibc has relocated these words already or not, depending on its version */
		if (p < map->l_addr)
			p += map->l_addr;
		switch (d->d_tag) {
		case DT_SYMTAB:
			symbols = (const void *)p;
			break;
		case DT_STRTAB:
			strings = (const void *)p;
			break;
		case DT_HASH:
			n_symbols = ((const uint32_t *)p)[1];
			break;
		case DT_GNU_HASH:
			if (!n_symbols)
				n_symbols = lmm_gnu_hash_count((const void *)p);
			break;
		default:
			break;
		}
	}
}

static void *find(const char *prefix, size_t prefix_len, const char *name)
{
	for (uint32_t i = 0; i < n_symbols; i++) {
		const char *s = strings + symbols[i].st_name;

		if (symbols[i].st_shndx != SHN_UNDEF && strncmp(s, prefix, prefix_len) == 0 &&
		    strcmp(s + prefix_len, name) == 0)
			return (void *)(lib->l_addr + symbols[i].st_value);
	}
	return NULL;
}

EXPORT unsigned la_version(unsigned version)
{
	return version < LAV_CURRENT ? version : LAV_CURRENT;
}

EXPORT unsigned la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
	const char *base = strrchr(map->l_name, '/');

	if (lmid != LM_ID_BASE)
		return 0;
	if (base && strncmp(base, "/liblmmeter", 11) == 0 && n_own < OWN_MAX)
		own_cookies[n_own++] = cookie;
	if (!lib && base && strcmp(base, "/liblmmeter.so") == 0) {
		lib = map;
		read_symbols(map);
		return LA_FLG_BINDTO;
	}
	if (base &&
	    (strncmp(base, "/libOpenCL", 10) == 0 || strncmp(base, "/libcudart", 10) == 0 ||
	     strncmp(base, "/libcupti", 9) == 0) &&
	    n_loaders < LOADERS_MAX)
		loader_cookies[n_loaders++] = cookie;
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

static int is_own(const uintptr_t *cookie)
{
	for (unsigned i = 0; i < n_own; i++) {
		if (own_cookies[i] == cookie)
			return 1;
	}
	return 0;
}

static int is_loader(const uintptr_t *cookie)
{
	for (unsigned i = 0; i < n_loaders; i++) {
		if (loader_cookies[i] == cookie)
			return 1;
	}
	return 0;
}

/* Names of engines and device APIs only: everything else costs one comparison of a character or two, once per binding. */
static int is_engine_symbol(const char *name)
{
	if (name[0] == 'c' && name[1] == 'u')
		return (name[2] >= 'A' && name[2] <= 'Z') || (name[2] == 'd' && name[3] == 'a');
	if (name[0] == 'c')
		return name[1] == 'l' && name[2] >= 'A' && name[2] <= 'Z';
	if (name[0] == '_')
		return strncmp(name, "__cudaLaunch", 12) == 0;
	if (name[0] == 'T')
		return strncmp(name, "TVM", 3) == 0;
	return strncmp(name, "llama_", 6) == 0 || strncmp(name, "ggml_", 5) == 0;
}

static __attribute__((used)) uintptr_t symbind(Elf64_Sym *sym, unsigned index, uintptr_t *refcook,
					       uintptr_t *defcook, unsigned *flags,
					       const char *name)
{
	void *hook, **orig;

	(void)index;
	*flags |= LA_SYMB_NOPLTENTER | LA_SYMB_NOPLTEXIT;
	/* Bindings through the PLT reach the preloaded library by themselves; where one does not, an interposer of
	 * the user's stands before it and must stay there. */
	if (!(*flags & LA_SYMB_DLSYM))
		return sym->st_value;
	if (!lib || !is_engine_symbol(name) || is_own(refcook) || is_own(defcook) ||
	    is_loader(refcook))
		return sym->st_value;
	hook = find("lmm_hook_", 9, name);
	orig = find("lmm_orig_", 9, name);
	if (!hook || !orig)
		return sym->st_value;
	/* one copy of an engine at a time: a second one stays as it is, and so does a door that a preload has used */
	if (*orig && *orig != (void *)sym->st_value)
		return sym->st_value;
	*orig = (void *)sym->st_value;
	return (uintptr_t)hook;
}

/* An alias: the C library's own declaration names its parameters otherwise. */
EXPORT uintptr_t la_symbind64(Elf64_Sym *, unsigned, uintptr_t *, uintptr_t *, unsigned *,
			      const char *) __attribute__((alias("symbind")));
