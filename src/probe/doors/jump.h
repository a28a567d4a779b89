/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exported symbols that are one jump: through a pointer (to a function) that lies `offset` bytes behind the object `table`. A jump and
 * not a call, so that whoever is reached sees who called, and arguments of any kind pass as they are.
 */
#ifndef LMM_PROBE_DOORS_JUMP_H
#define LMM_PROBE_DOORS_JUMP_H

#if defined(__x86_64__)
#define LMM_JUMP_TEXT(symbol)                                                                      \
	".text\n.p2align 4\n.globl " #symbol "\n.type " #symbol ", @function\n" #symbol            \
	":\n\tendbr64\n"
/* To a symbol of another library. */
#define LMM_JUMP_TO(symbol, target)                                                                \
	__asm__(LMM_JUMP_TEXT(symbol) "\tjmp *" #target "@GOTPCREL(%rip)\n.size " #symbol          \
				      ", . - " #symbol "\n")
/* Through a word of a hidden table; the number is one of the preprocessor's. */
#define LMM_JUMP_BY(symbol, table, number)                                                         \
	__asm__(LMM_JUMP_TEXT(symbol) "\tjmp *" #table "+8*" #number "(%rip)\n.size " #symbol      \
				      ", . - " #symbol "\n")
#elif defined(__aarch64__)
#define LMM_JUMP_TEXT(symbol)                                                                      \
	".text\n.p2align 4\n.globl " #symbol "\n.type " #symbol ", %function\n" #symbol            \
	":\n\thint #34\n"
#define LMM_JUMP_TO(symbol, target)                                                                \
	__asm__(LMM_JUMP_TEXT(symbol) "\tadrp x16, :got:" #target                                  \
				      "\n\tldr x16, [x16, :got_lo12:" #target                      \
				      "]\n\tbr x16\n.size " #symbol ", . - " #symbol "\n")
#define LMM_JUMP_BY(symbol, table, number)                                                         \
	__asm__(LMM_JUMP_TEXT(symbol) "\tadrp x16, " #table "\n\tadd x16, x16, :lo12:" #table      \
				      "\n\tldr x16, [x16, #8*" #number                             \
				      "]\n\tbr x16\n.size " #symbol ", . - " #symbol "\n")
#endif

#endif
