/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/patch.h"

#include <elf.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
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

struct imports {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *strings;
	const ElfW(Rela) * table[2];
	size_t n[2];
	uintptr_t relro, relro_len;
};

struct search {
	const char *symbol, *other;
	struct {
		uintptr_t slot;
		uintptr_t relro, relro_len;
	} found[SLOTS_MAX];
	unsigned n;
};

/* glibc relocates these words in place, other loaders leave them as they are in the file. */
static uintptr_t dynamic_address(uintptr_t base, uintptr_t p)
{
	return p < base ? p + base : p;
}

static void imports_read(struct imports *x, const ElfW(Dyn) * d)
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

/* Where the object keeps the address of that import; 0: it has none. */
static uintptr_t import_slot(const struct imports *x, const char *symbol)
{
	for (unsigned t = 0; t < 2; t++) {
		for (size_t i = 0; x->table[t] && i < x->n[t]; i++) {
			const ElfW(Rela) *r = &x->table[t][i];
			uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info);
			const char *name;

			if (type != RELOC_SLOT && type != RELOC_GLOB)
				continue;
			name = x->strings + x->symbols[ELF64_R_SYM(r->r_info)].st_name;
			if (strcmp(name, symbol) == 0)
				return x->base + r->r_offset;
		}
	}
	return 0;
}

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	struct imports x = { .base = info->dlpi_addr };
	uintptr_t slot;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_DYNAMIC)
			imports_read(&x, (const void *)(x.base + ph->p_vaddr));
		if (ph->p_type == PT_GNU_RELRO) {
			x.relro = x.base + ph->p_vaddr;
			x.relro_len = ph->p_memsz;
		}
	}
	if (!x.symbols || !x.strings || !import_slot(&x, s->other))
		return 0;
	slot = import_slot(&x, s->symbol);
	if (slot && s->n < SLOTS_MAX) {
		s->found[s->n].slot = slot;
		s->found[s->n].relro = x.relro;
		s->found[s->n++].relro_len = x.relro_len;
	}
	return 0;
}

static int page_protect(uintptr_t slot, int protection)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return mprotect((void *)(slot & ~(page - 1)), page, protection);
}

static int slot_write(uintptr_t slot, uintptr_t relro, uintptr_t relro_len, void *fn)
{
	_Atomic(void *) *at = (void *)slot;
	int is_guarded = slot - relro < relro_len;

	if (is_guarded && page_protect(slot, PROT_READ | PROT_WRITE))
		return -1;
	atomic_store_explicit(at, fn, memory_order_release);
	if (is_guarded)
		page_protect(slot, PROT_READ);
	return 0;
}

int lmm_patch_imports(const char *symbol, const char *other, void *fn, void **orig)
{
	struct search s = { .symbol = symbol, .other = other };
	int n = 0;

	dl_iterate_phdr(object_visit, &s);
	for (unsigned i = 0; i < s.n; i++) {
		_Atomic(void *) *at = (void *)s.found[i].slot;

		if (atomic_load_explicit(at, memory_order_acquire) == fn) {
			n++;
			continue;
		}
		/* not what lies in the slot: before its first call that is the way to the loader */
		if (!*orig)
			*orig = lmm_door_lookup(symbol, (const void *)s.found[i].slot);
		if (*orig &&
		    slot_write(s.found[i].slot, s.found[i].relro, s.found[i].relro_len, fn) == 0)
			n++;
	}
	return n;
}
