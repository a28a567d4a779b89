/* SPDX-License-Identifier: Apache-2.0 */
/* Imports of loaded objects: the words through which their code calls functions of others, found and changed while they are in use. */
#ifndef LMM_PROBE_PATCH_H
#define LMM_PROBE_PATCH_H

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A loaded object, as far as its imports go. */
struct lmm_imports {
	uintptr_t base;
	uintptr_t lo, len; /* from its first to its last byte */
	const char *path;
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *gnu_hash;
	const ElfW(Rela) * table[2];
	size_t n[2];
	uintptr_t relro, relro_len;
};

struct lmm_import {
	const char *name;
	uintptr_t slot;
	void *own;    /* the object's own function of that name; NULL: it has none */
	bool is_lazy; /* before the first call the way to the loader lies there */
};

/* False: it has no imports. Only inside dl_iterate_phdr(): later it may be unloaded. */
bool lmm_imports_read(const struct dl_phdr_info *info, struct lmm_imports *x);
typedef void lmm_import_fn(void *ctx, const struct lmm_imports *x, const struct lmm_import *import);
void lmm_imports_each(const struct lmm_imports *x, lmm_import_fn *fn, void *ctx);

/* Puts fn into a slot of the object unless that no longer holds `was`. */
bool lmm_slot_change(const struct lmm_imports *x, uintptr_t slot, void *was, void *fn);

/*
 * In every loaded object that imports `symbol` and, beside it, `other`, lets the import lead to fn, unless it does already;
 * *orig gets what it led to (what the object would be bound to, if it was not bound yet). Returns how many imports
 * lead to fn now. Not for the hot path; callers take turns.
 */
int lmm_patch_imports(const char *symbol, const char *other, void *fn, void **orig);

#endif
