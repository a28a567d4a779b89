/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs hold their SPIR-V in variables, whose names say more than "main": in the symbol table of the file that the code
 * was made from. Some change the code's beginning before they hand it over, so a variable is recognised by how it ends.
 * Looked at when modules are made, once per file.
 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "probe/devices/vulkan/vulkan.h"

#define MAGIC	   0x07230203u
#define OBJECTS	   8
#define TAIL	   64u	/* bytes by which a variable is found */
#define CHANGE_MAX 256u /* bytes that the code may be longer or shorter than the variable */

struct variable {
	uint64_t tail;
	const uint8_t *at; /* in the file as it is mapped */
	size_t bytes;
	const char *name;
};

struct object {
	uintptr_t base;
	struct variable *variables; /* by tail; NULL: there are none */
	size_t n;
};

struct file {
	const uint8_t *at;
	size_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct object objects[OBJECTS];
static unsigned n_objects;

/* ---- the file ----------------------------------------------------------------------------------- */

static int file_map(const char *path, struct file *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *at = MAP_FAILED;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(ElfW(Ehdr)))
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return -1;
	f->at = at;
	f->bytes = (size_t)st.st_size;
	return 0;
}

static bool is_inside(const struct file *f, uint64_t offset, uint64_t bytes)
{
	return offset <= f->bytes && bytes <= f->bytes - offset;
}

static const ElfW(Shdr) * sections_of(const struct file *f, unsigned *n)
{
	const ElfW(Ehdr) *e = (const void *)f->at;

	*n = e->e_shnum;
	if (memcmp(e->e_ident, ELFMAG, SELFMAG) != 0 || e->e_shentsize != sizeof(ElfW(Shdr)) ||
	    e->e_shoff % sizeof(void *) || !is_inside(f, e->e_shoff, *n * sizeof(ElfW(Shdr))))
		return NULL;
	return (const void *)(f->at + e->e_shoff);
}

/* Where the file has what lies at an address; NULL: nowhere. */
static const uint8_t *address_in(const struct file *f, const ElfW(Shdr) * sections, unsigned n,
				 const ElfW(Sym) * s)
{
	const ElfW(Shdr) * x;
	uint64_t offset;

	if (s->st_shndx == SHN_UNDEF || s->st_shndx >= n)
		return NULL;
	x = &sections[s->st_shndx];
	if (x->sh_type != SHT_PROGBITS || s->st_value < x->sh_addr)
		return NULL;
	offset = s->st_value - x->sh_addr;
	if (offset > x->sh_size || s->st_size > x->sh_size - offset ||
	    !is_inside(f, x->sh_offset, x->sh_size))
		return NULL;
	return f->at + x->sh_offset + offset;
}

/* ---- variables ---------------------------------------------------------------------------------- */

static uint64_t tail_hash(const void *code, size_t bytes)
{
	return lmm_hash_bytes(LMM_HASH_SEED, (const uint8_t *)code + bytes - TAIL, TAIL);
}

static int by_tail(const void *a, const void *b)
{
	uint64_t x = ((const struct variable *)a)->tail, y = ((const struct variable *)b)->tail;

	return (x > y) - (x < y);
}

static bool is_code(const uint8_t *at, size_t bytes)
{
	uint32_t magic;

	if (!at || bytes < TAIL || bytes % sizeof(magic))
		return false;
	memcpy(&magic, at, sizeof(magic));
	return magic == MAGIC;
}

static void table_read(const struct file *f, const ElfW(Shdr) * sections, unsigned n,
		       const ElfW(Shdr) * table, struct object *o)
{
	const ElfW(Sym) *symbols = (const void *)(f->at + table->sh_offset);
	size_t all = table->sh_size / sizeof(*symbols);
	const ElfW(Shdr) *names = &sections[table->sh_link];

	o->variables = calloc(all ? all : 1, sizeof(*o->variables));
	for (size_t i = 0; o->variables && i < all; i++) {
		const ElfW(Sym) *s = &symbols[i];
		const uint8_t *at = NULL;

		if (ELF64_ST_TYPE(s->st_info) == STT_OBJECT && s->st_name < names->sh_size)
			at = address_in(f, sections, n, s);
		if (!is_code(at, s->st_size))
			continue;
		o->variables[o->n++] = (struct variable){
			.tail = tail_hash(at, s->st_size),
			.at = at,
			.bytes = s->st_size,
			.name = (const char *)f->at + names->sh_offset + s->st_name,
		};
	}
	if (o->variables && o->n)
		qsort(o->variables, o->n, sizeof(*o->variables), by_tail);
}

/* Strings end inside the table if its last byte is 0. */
static bool is_table(const struct file *f, const ElfW(Shdr) * sections, unsigned n, unsigned i)
{
	const ElfW(Shdr) *x = &sections[i], *names;

	if (x->sh_type != SHT_SYMTAB || x->sh_link >= n || x->sh_offset % sizeof(void *) ||
	    !is_inside(f, x->sh_offset, x->sh_size))
		return false;
	names = &sections[x->sh_link];
	return names->sh_size && is_inside(f, names->sh_offset, names->sh_size) &&
	       f->at[names->sh_offset + names->sh_size - 1] == 0;
}

/* The file stays mapped if it holds something: its pages are read when they are needed, and given back by the system. */
static void object_read(struct object *o, const char *path)
{
	const ElfW(Shdr) * sections;
	struct file f;
	unsigned n;

	if (file_map(path, &f))
		return;
	sections = sections_of(&f, &n);
	for (unsigned i = 0; sections && i < n && !o->n; i++) {
		if (is_table(&f, sections, n, i))
			table_read(&f, sections, n, &sections[i], o);
	}
	if (!o->n) {
		free(o->variables);
		o->variables = NULL;
		munmap((void *)f.at, f.bytes);
	}
}

/* The loader knows a program by what it was called by, which may lie in PATH, or nowhere. */
static const char *path_of(const Dl_info *info)
{
	Dl_info program;

	if (dladdr((const void *)getauxval(AT_PHDR), &program) &&
	    program.dli_fbase == info->dli_fbase)
		return "/proc/self/exe";
	return info->dli_fname;
}

/* With the lock held. */
static const struct object *object_of(const void *ra)
{
	Dl_info info;
	struct object *o;

	if (!dladdr(ra, &info) || !info.dli_fname)
		return NULL;
	for (unsigned i = 0; i < n_objects; i++) {
		if (objects[i].base == (uintptr_t)info.dli_fbase)
			return &objects[i];
	}
	if (n_objects == OBJECTS)
		return NULL;
	o = &objects[n_objects++];
	o->base = (uintptr_t)info.dli_fbase;
	object_read(o, path_of(&info));
	return o;
}

void lmm_vk_embedded_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

/* ---- finding one -------------------------------------------------------------------------------- */

/* Bytes from the end on in which both agree. */
static size_t agreement(const struct variable *v, const uint8_t *code, size_t bytes)
{
	size_t most = v->bytes < bytes ? v->bytes : bytes, n = 0;

	while (n < most && v->at[v->bytes - 1 - n] == code[bytes - 1 - n])
		n++;
	return n;
}

static const struct variable *variable_find(const struct object *o, const uint32_t *code,
					    size_t bytes)
{
	uint64_t tail = tail_hash(code, bytes);
	const struct variable *best = NULL;
	size_t lo = 0, hi = o->n, most = bytes / 2;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->variables[mid].tail < tail) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	for (; lo < o->n && o->variables[lo].tail == tail; lo++) {
		const struct variable *v = &o->variables[lo];
		size_t same, more = v->bytes > bytes ? v->bytes - bytes : bytes - v->bytes;

		if (more > CHANGE_MAX)
			continue;
		same = agreement(v, (const uint8_t *)code, bytes);
		if (same > most) {
			most = same;
			best = v;
		}
	}
	return best;
}

int lmm_vk_embedded_name(const uint32_t *code, size_t bytes, const void *ra, char *name,
			 size_t name_bytes)
{
	const struct variable *v = NULL;
	const struct object *o;
	size_t n;

	if (!is_code((const uint8_t *)code, bytes))
		return -1;
	pthread_mutex_lock(&lock);
	o = object_of(ra);
	if (o && o->n)
		v = variable_find(o, code, bytes);
	pthread_mutex_unlock(&lock);
	if (!v)
		return -1;
	n = strlen(v->name);
	if (n > 5 && strcmp(v->name + n - 5, "_data") == 0)
		n -= 5;
	(void)snprintf(name, name_bytes, "%.*s", (int)n, v->name);
	return 0;
}
