/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects that a process has loaded, read from its memory and not from files: those may have been replaced, or lie below
 * another root. Nothing of what is read is trusted.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "inject/target_internal.h"

#define SEGMENTS_MAX 64u
#define DYNAMIC_MAX  256u
#define CHAIN_MAX    100000u

static uint32_t gnu_hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

/* The symbol with this number if it is that name and is defined here. */
static uint64_t symbol_at(const struct lmm_target *t, const struct lmm_object *o, uint64_t i,
			  const char *name)
{
	size_t n = strlen(name) + 1;
	char text[128];
	Elf64_Sym s;

	if (n > sizeof(text) || lmm_target_read(t, o->symbols + i * sizeof(s), &s, sizeof(s)) ||
	    s.st_shndx == SHN_UNDEF || !s.st_value ||
	    lmm_target_read(t, o->strings + s.st_name, text, n) || memcmp(text, name, n) != 0)
		return 0;
	return o->base + s.st_value;
}

static uint64_t find_gnu(const struct lmm_target *t, const struct lmm_object *o, const char *name)
{
	uint32_t head[4], h = gnu_hash_of(name), i, link;
	uint64_t word, buckets, chains;

	if (lmm_target_read(t, o->gnu_hash, head, sizeof(head)) || !head[0] || !head[2])
		return 0;
	if (lmm_target_read(t, o->gnu_hash + 16 + (uint64_t)(h / 64 % head[2]) * 8, &word, 8) ||
	    !(word >> h % 64 & 1) || !(word >> (h >> (head[3] & 31)) % 64 & 1))
		return 0;
	buckets = o->gnu_hash + 16 + (uint64_t)head[2] * 8;
	chains = buckets + (uint64_t)head[0] * 4;
	if (lmm_target_read(t, buckets + (uint64_t)(h % head[0]) * 4, &i, 4) || i < head[1])
		return 0;
	for (unsigned n = 0; n < CHAIN_MAX; n++, i++) {
		uint64_t found;

		if (lmm_target_read(t, chains + (uint64_t)(i - head[1]) * 4, &link, 4))
			return 0;
		found = (link | 1) == (h | 1) ? symbol_at(t, o, i, name) : 0;
		if (found || (link & 1))
			return found;
	}
	return 0;
}

/* The older table tells how many symbols there are: they are looked through. */
static uint64_t find_old(const struct lmm_target *t, const struct lmm_object *o, const char *name)
{
	uint32_t head[2];

	if (lmm_target_read(t, o->hash, head, sizeof(head)))
		return 0;
	for (uint32_t i = 1; i < head[1] && i < CHAIN_MAX; i++) {
		uint64_t found = symbol_at(t, o, i, name);

		if (found)
			return found;
	}
	return 0;
}

uint64_t lmm_object_symbol(const struct lmm_target *t, const struct lmm_object *o, const char *name)
{
	if (!o->symbols || !o->strings)
		return 0;
	if (o->gnu_hash)
		return find_gnu(t, o, name);
	return o->hash ? find_old(t, o, name) : 0;
}

/* glibc relocates these words in place, other loaders leave them as they are in the file. */
static uint64_t relocated(const struct lmm_object *o, uint64_t p)
{
	return p < o->base ? p + o->base : p;
}

static void dynamic_read(const struct lmm_target *t, struct lmm_object *o, uint64_t at)
{
	for (unsigned i = 0; i < DYNAMIC_MAX; i++) {
		Elf64_Dyn d;

		if (lmm_target_read(t, at + i * sizeof(d), &d, sizeof(d)) || d.d_tag == DT_NULL)
			return;
		switch (d.d_tag) {
		case DT_SYMTAB:
			o->symbols = relocated(o, d.d_un.d_ptr);
			break;
		case DT_STRTAB:
			o->strings = relocated(o, d.d_un.d_ptr);
			break;
		case DT_GNU_HASH:
			o->gnu_hash = relocated(o, d.d_un.d_ptr);
			break;
		case DT_HASH:
			o->hash = relocated(o, d.d_un.d_ptr);
			break;
		default:
			break;
		}
	}
}

/*
 * A library with one of these symbols can hold a lock that dlopen() takes, or be in the midst of what must not be begun again:
 * the C library and its loader, whoever allocates, whoever unwinds.
 */
static const char *const runtime_symbols[] = {
	"malloc",
	"free",
	"_Znwm",
	"dlopen",
	"__tls_get_addr",
	"pthread_mutex_lock",
	"_Unwind_RaiseException",
};

/* One of these is called by every engine that is known, or exported by it. */
static const char *const engine_symbols[] = {
	"llama_decode",
	"ggml_graph_compute",
	"ggml_backend_sched_graph_compute_async",
	"TVMFFIFunctionGetGlobal",
	"TVMFuncGetGlobal",
	"clEnqueueNDRangeKernel",
};

static int has_any(const struct lmm_target *t, const struct lmm_object *o, const char *const *names,
		   size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (lmm_object_symbol(t, o, names[i]))
			return 1;
	}
	return 0;
}

int lmm_object_read(const struct lmm_target *t, uint64_t lo, struct lmm_object *o)
{
	Elf64_Phdr ph[SEGMENTS_MAX];
	uint64_t dynamic = 0;
	int has_base = 0;
	Elf64_Ehdr eh;

	if (lmm_target_read(t, lo, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(ph[0]) ||
	    eh.e_phnum > SEGMENTS_MAX ||
	    lmm_target_read(t, lo + eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0])))
		return -ENOEXEC;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && !has_base) {
			o->base = lo - (ph[i].p_vaddr & ~(uint64_t)4095);
			has_base = 1;
		}
		if (ph[i].p_type == PT_DYNAMIC)
			dynamic = ph[i].p_vaddr;
	}
	if (!has_base)
		return -ENOEXEC;
	if (dynamic)
		dynamic_read(t, o, o->base + dynamic);
	if (has_any(t, o, runtime_symbols, LMM_ARRAY_SIZE(runtime_symbols)))
		o->roles |= LMM_OBJECT_RUNTIME;
	/* we export what we hook */
	if (!strstr(o->path, "/liblmmeter") &&
	    has_any(t, o, engine_symbols, LMM_ARRAY_SIZE(engine_symbols)))
		o->roles |= LMM_OBJECT_ENGINE;
	return 0;
}
