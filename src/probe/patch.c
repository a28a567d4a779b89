/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/patch.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/probe.h"

#if defined(__x86_64__)
#define RELOC_SLOT R_X86_64_JUMP_SLOT
#define RELOC_GLOB R_X86_64_GLOB_DAT
#elif defined(__aarch64__)
#define RELOC_SLOT R_AARCH64_JUMP_SLOT
#define RELOC_GLOB R_AARCH64_GLOB_DAT
#else
#define RELOC_SLOT 0xffffffffu
#define RELOC_GLOB 0xffffffffu
#endif

#define SLOTS_MAX 16

/* ---- reading an object -------------------------------------------------------------------------- */

/* glibc relocates these words in place, other loaders leave them as they are in the file. */
static uintptr_t dynamic_address(uintptr_t base, uintptr_t p)
{
	return p < base ? p + base : p;
}

static void dynamic_read(struct lmm_imports *x, const ElfW(Dyn) * d)
{
	for (; d->d_tag != DT_NULL; d++) {
		uintptr_t p = dynamic_address(x->base, d->d_un.d_ptr);

		switch (d->d_tag) {
		case DT_SYMTAB:
			x->symbols = (const void *)p;
			break;
		case DT_STRTAB:
			x->strings = (const void *)p;
			break;
		case DT_GNU_HASH:
			x->gnu_hash = (const void *)p;
			break;
		case DT_JMPREL:
			x->table[0] = (const void *)p;
			break;
		case DT_PLTRELSZ:
			x->n[0] = d->d_un.d_val / sizeof(ElfW(Rela));
			break;
		case DT_RELA:
			x->table[1] = (const void *)p;
			break;
		case DT_RELASZ:
			x->n[1] = d->d_un.d_val / sizeof(ElfW(Rela));
			break;
		default:
			break;
		}
	}
}

bool lmm_imports_read(const struct dl_phdr_info *info, struct lmm_imports *x)
{
	uintptr_t lo = UINTPTR_MAX, hi = 0;

	*x = (struct lmm_imports){ .base = info->dlpi_addr, .path = info->dlpi_name };
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t at = x->base + ph->p_vaddr;

		if (ph->p_type == PT_DYNAMIC)
			dynamic_read(x, (const void *)at);
		if (ph->p_type == PT_GNU_RELRO) {
			x->relro = at;
			x->relro_len = ph->p_memsz;
		}
		if (ph->p_type == PT_LOAD) {
			lo = at < lo ? at : lo;
			hi = at + ph->p_memsz > hi ? at + ph->p_memsz : hi;
		}
	}
	x->lo = lo;
	x->len = hi > lo ? hi - lo : 0;
	return x->symbols && x->strings && (x->table[0] || x->table[1]);
}

void lmm_imports_each(const struct lmm_imports *x, lmm_import_fn *fn, void *ctx)
{
	for (unsigned t = 0; t < 2; t++) {
		for (size_t i = 0; x->table[t] && i < x->n[t]; i++) {
			const ElfW(Rela) *r = &x->table[t][i];
			uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info);
			const ElfW(Sym) * s;
			struct lmm_import import;

			if (type != RELOC_SLOT && type != RELOC_GLOB)
				continue;
			s = &x->symbols[ELF64_R_SYM(r->r_info)];
			import.name = x->strings + s->st_name;
			import.slot = x->base + r->r_offset;
			import.is_lazy = type == RELOC_SLOT;
			import.own = NULL;
			if (s->st_shndx != SHN_UNDEF)
				import.own = (void *)(x->base + s->st_value);
			fn(ctx, x, &import);
		}
	}
}

/* ---- writing ------------------------------------------------------------------------------------ */

static int page_protect(uintptr_t slot, int protection)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return mprotect((void *)(slot & ~(page - 1)), page, protection);
}

bool lmm_slot_change(const struct lmm_imports *x, uintptr_t slot, void *was, void *fn)
{
	_Atomic(void *) *at = (void *)slot;
	bool is_guarded = slot - x->relro < x->relro_len, done;

	if (atomic_load_explicit(at, memory_order_acquire) != was)
		return false;
	if (is_guarded && page_protect(slot, PROT_READ | PROT_WRITE))
		return false;
	done = atomic_compare_exchange_strong_explicit(at, &was, fn, memory_order_release,
						       memory_order_relaxed);
	if (is_guarded)
		page_protect(slot, PROT_READ);
	return done;
}

/* ---- one import --------------------------------------------------------------------------------- */

struct search {
	const char *symbol, *other;
	uintptr_t slot; /* of the object that is looked at; 0: none */
	bool has_other;
	void *to; /* NULL: the slots are only noted */
	struct {
		uintptr_t slot;
		void *was;
	} found[SLOTS_MAX];
	unsigned n;
	int n_done;
};

static void import_visit(void *ctx, const struct lmm_imports *x, const struct lmm_import *import)
{
	struct search *s = ctx;

	(void)x;
	if (!s->slot && strcmp(import->name, s->symbol) == 0)
		s->slot = import->slot;
	s->has_other |= strcmp(import->name, s->other) == 0;
}

static void *slot_value(uintptr_t slot)
{
	return atomic_load_explicit((_Atomic(void *) *)slot, memory_order_acquire);
}

static void found_change(struct search *s, const struct lmm_imports *x)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->found[i].slot == s->slot && s->found[i].was != s->to)
			s->n_done += lmm_slot_change(x, s->slot, slot_value(s->slot), s->to);
	}
}

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	struct lmm_imports x;

	(void)size;
	s->slot = 0;
	s->has_other = false;
	if (!lmm_imports_read(info, &x))
		return 0;
	lmm_imports_each(&x, import_visit, s);
	if (!s->slot || !s->has_other)
		return 0;
	if (s->to) {
		found_change(s, &x);
	} else if (s->n < SLOTS_MAX) {
		s->found[s->n].slot = s->slot;
		s->found[s->n++].was = slot_value(s->slot);
	}
	return 0;
}

int lmm_patch_imports(const char *symbol, const char *other, void *fn, void **orig)
{
	struct search s = { .symbol = symbol, .other = other };

	dl_iterate_phdr(object_visit, &s);
	for (unsigned i = 0; i < s.n; i++) {
		s.n_done += s.found[i].was == fn;
		/* not what lies in the slot: before its first call that is the way to the loader */
		if (s.found[i].was != fn && !*orig)
			*orig = lmm_door_lookup(symbol, (const void *)s.found[i].slot);
	}
	s.to = fn;
	if (*orig && s.n)
		dl_iterate_phdr(object_visit, &s);
	return s.n_done;
}
