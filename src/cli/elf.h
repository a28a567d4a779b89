/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ELF file (64-bit, little-endian) says to a dynamic loader. The file is read, never mapped or executed, and nothing
 * in it is trusted: every offset is held against its size, every table has a limit, damage ends in an error.
 */
#ifndef LMM_CLI_ELF_H
#define LMM_CLI_ELF_H

#include <stddef.h>
#include <stdint.h>

enum {
	LMM_ELF_DEFINED = 1,  /* the file has the symbol for others */
	LMM_ELF_IMPORTED = 2, /* it wants the symbol from others */
	LMM_ELF_RELOCATED =
		4, /* it reaches the symbol through the dynamic loader: such a use can be hooked */
};

/* What the file says of marks of its own (lmmeter/mark.h). */
enum {
	LMM_ELF_MARKS = 1,
	LMM_ELF_MARKS_STATIC = 2, /* with mark_static.h: they need no loader */
};

struct lmm_elf_symbol {
	const char *name;
	uint8_t use; /* LMM_ELF_… */
};

/* All strings are owned by the structure; "" where the file says nothing. */
struct lmm_elf {
	uint16_t type;	  /* ET_EXEC, ET_DYN, … */
	uint16_t machine; /* EM_X86_64, … */
	uint8_t is_dynamic;
	uint8_t is_pie;
	uint8_t marks; /* LMM_ELF_MARK… */
	const char *interp;
	const char *soname;
	const char *rpath, *runpath;
	const char **needed;
	uint32_t n_needed;
	struct lmm_elf_symbol *symbols; /* the dynamic ones */
	uint32_t n_symbols;
	char *strings; /* what the pointers above point into */
	char *interp_memory;
};

/*
 * Reads path. 0: *out must be closed with lmm_elf_close(). A negative errno; -ENOEXEC: no ELF file; -ENOTSUP: one of another
 * class or byte order; LMM_E_CORRUPT: damaged; LMM_E_LIMIT: beyond reason. *out is NULL then.
 */
int lmm_elf_open(const char *path, struct lmm_elf **out);

/* Accepts NULL. */
void lmm_elf_close(struct lmm_elf *e);

/* LMM_ELF_… of a symbol, 0 if the file does not know it. */
unsigned lmm_elf_find(const struct lmm_elf *e, const char *name);

/* The machine that this program was compiled for, as in lmm_elf.machine. */
uint16_t lmm_elf_own_machine(void);
/* "x86-64", "aarch64", …; "?" for others. Static. */
const char *lmm_elf_machine_name(uint16_t machine);

#endif
