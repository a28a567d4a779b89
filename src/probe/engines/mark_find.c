/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of marks are found by a note of the file that has them (lmmeter/mark.h): a program that is not position independent
 * cannot be reached by a symbol of ours that it does not know when it is linked, and it exports none of its own.
 */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

#include "lmmeter/mark.h"
#include "probe/engines/mark.h"
#include "probe/probe.h"

#define NOTE_TYPE 1u

/* What the note says, behind its name. */
struct note {
	int64_t table; /* less the address of this word */
	uint32_t flags;
} __attribute__((packed));

/* Whether it lies in memory of the object that may be used so (PF_R, PF_W). */
static bool is_loaded(const struct dl_phdr_info *info, uintptr_t at, size_t bytes, unsigned use)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && (ph->p_flags & use) == use && at >= lo &&
		    ph->p_memsz >= bytes && at - lo <= ph->p_memsz - bytes)
			return true;
	}
	return false;
}

static void table_take(const struct dl_phdr_info *info, const char *desc)
{
	uintptr_t table;
	struct note n;

	memcpy(&n, desc, sizeof(n));
	table = (uintptr_t)desc + (uintptr_t)n.table;
	if (table % _Alignof(struct lmm_mark_table) == 0 &&
	    is_loaded(info, table, sizeof(struct lmm_mark_table), PF_R | PF_W))
		lmm_mark_open((struct lmm_mark_table *)table);
}

static size_t padded(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static void notes_read(const struct dl_phdr_info *info, const ElfW(Phdr) * ph)
{
	const char *p = (const char *)info->dlpi_addr + ph->p_vaddr;
	size_t left = ph->p_memsz, align = ph->p_align == 8 ? 8 : 4;
	ElfW(Nhdr) h;

	if (!is_loaded(info, (uintptr_t)p, left, PF_R))
		return;
	while (left >= sizeof(h)) {
		size_t desc, whole;

		memcpy(&h, p, sizeof(h));
		if (h.n_namesz > left || h.n_descsz > left)
			return;
		desc = padded(sizeof(h) + h.n_namesz, align);
		whole = padded(desc + h.n_descsz, align);
		if (desc + h.n_descsz > left)
			return;
		if (h.n_type == NOTE_TYPE && h.n_namesz == sizeof("lmmeter") &&
		    h.n_descsz >= sizeof(struct note) &&
		    memcmp(p + sizeof(h), "lmmeter", sizeof("lmmeter")) == 0)
			table_take(info, p + desc);
		if (whole >= left)
			return;
		p += whole;
		left -= whole;
	}
}

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_NOTE)
			notes_read(info, &info->dlpi_phdr[i]);
	}
	return 0;
}

/* We have been initialised: a mark may start us. */
static _Atomic bool has_looked;

void lmm_mark_find(void)
{
	dl_iterate_phdr(object_visit, NULL);
	atomic_store(&has_looked, true);
}

/* Libraries that are opened later say so themselves, if we are in their scope. Those that are there before us are found. */
LMM_EXPORT void lmm_mark_join_1(struct lmm_mark_table *table);

void lmm_mark_join_1(struct lmm_mark_table *table)
{
	if (atomic_load(&has_looked))
		lmm_mark_open(table);
}
