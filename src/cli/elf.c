/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"

#define SEGMENTS_MAX 256u
#define DYNAMIC_MAX  4096u /* entries */
#define NEEDED_MAX   1024u
#define NOTES_MAX    65536
#define INTERP_MAX   4096u
#define TABLE_MAX    ((uint64_t)256 << 20) /* bytes of any one table */
#define SYMBOLS_MAX  (4u << 20)

/* Where the tables of the dynamic section lie: file offsets and bytes, 0: there is none. */
struct table {
	uint64_t offset;
	uint64_t bytes;
};

struct reader {
	int fd;
	uint64_t size;
	Elf64_Ehdr eh;
	Elf64_Phdr *ph;
	struct lmm_elf *elf;
	/* addresses and sizes, as found */
	uint64_t strtab, strsz, symtab, hash, gnu_hash;
	uint64_t rela, relasz, jmprel, pltrelsz;
	uint64_t soname, rpath, runpath;
	uint8_t has_soname, has_rpath, has_runpath;
	uint64_t needed[NEEDED_MAX];
};

static int read_at(const struct reader *r, uint64_t offset, void *to, uint64_t n)
{
	char *p = to;

	if (offset > r->size || n > r->size - offset)
		return LMM_E_CORRUPT;
	while (n) {
		ssize_t k = pread(r->fd, p, n, (off_t)offset);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			return LMM_E_CORRUPT; /* it became shorter meanwhile */
		p += k;
		offset += (uint64_t)k;
		n -= (uint64_t)k;
	}
	return 0;
}

/* n bytes from the file in memory of their own, with a NUL behind them. */
static int read_new(const struct reader *r, uint64_t offset, uint64_t n, char **out)
{
	int rc;

	*out = NULL;
	if (offset > r->size || n > r->size - offset)
		return LMM_E_CORRUPT;
	if (n > TABLE_MAX)
		return LMM_E_LIMIT;
	*out = calloc(1, n + 1);
	if (!*out)
		return -ENOMEM;
	rc = read_at(r, offset, *out, n);
	if (rc) {
		free(*out);
		*out = NULL;
	}
	return rc;
}

/* ---- headers ------------------------------------------------------------------------------------ */

static int read_header(struct reader *r)
{
	const unsigned char *id = r->eh.e_ident;

	if (r->size < EI_NIDENT || read_at(r, 0, &r->eh, EI_NIDENT) ||
	    memcmp(id, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB)
		return -ENOTSUP;
	return read_at(r, 0, &r->eh, sizeof(r->eh));
}

static int read_segments(struct reader *r)
{
	char *data;
	int rc;

	if (r->eh.e_phnum == 0)
		return 0;
	if (r->eh.e_phentsize != sizeof(Elf64_Phdr))
		return LMM_E_CORRUPT;
	if (r->eh.e_phnum > SEGMENTS_MAX)
		return LMM_E_LIMIT;
	rc = read_new(r, r->eh.e_phoff, (uint64_t)r->eh.e_phnum * sizeof(Elf64_Phdr), &data);
	r->ph = (Elf64_Phdr *)(void *)data;
	return rc;
}

/* The table that lies at addr once loaded; of bytes 0: all that its segment has in the file from there on. */
static struct table table_at(const struct reader *r, uint64_t addr, uint64_t bytes)
{
	struct table none = { 0, 0 };

	for (unsigned i = 0; addr && i < r->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &r->ph[i];
		uint64_t in = addr - ph->p_vaddr;
		struct table t;

		if (ph->p_type != PT_LOAD || addr < ph->p_vaddr || in >= ph->p_filesz)
			continue;
		if (ph->p_offset > r->size || in > r->size - ph->p_offset)
			return none;
		t.offset = ph->p_offset + in;
		t.bytes = ph->p_filesz - in;
		if (t.bytes > r->size - t.offset)
			t.bytes = r->size - t.offset;
		if (bytes > t.bytes)
			return none;
		t.bytes = bytes ? bytes : t.bytes;
		return t;
	}
	return none;
}

static int read_interp(struct reader *r, const Elf64_Phdr *ph)
{
	int rc;

	if (ph->p_filesz == 0 || ph->p_filesz > INTERP_MAX || r->elf->interp_memory)
		return LMM_E_CORRUPT;
	rc = read_new(r, ph->p_offset, ph->p_filesz, &r->elf->interp_memory);
	if (rc == 0)
		r->elf->interp = r->elf->interp_memory;
	return rc;
}

/* ---- notes -------------------------------------------------------------------------------------- */

/* One of lmmeter's own: where its table is, and flags. */
static unsigned note_marks(const Elf64_Nhdr *h, const char *name, const char *desc)
{
	uint32_t flags;

	if (h->n_namesz != sizeof("lmmeter") || memcmp(name, "lmmeter", sizeof("lmmeter")) != 0 ||
	    h->n_type != 1 || h->n_descsz < 12)
		return 0;
	memcpy(&flags, desc + 8, sizeof(flags));
	return LMM_ELF_MARKS | (flags & 1 ? LMM_ELF_MARKS_STATIC : 0);
}

/* They only tell more: damaged ones are no reason to refuse the file. */
static void read_notes(struct reader *r, const Elf64_Phdr *ph)
{
	uint64_t align = ph->p_align == 8 ? 8 : 4, left = ph->p_filesz;
	const char *p;
	char *data;

	if (left > NOTES_MAX || read_new(r, ph->p_offset, left, &data))
		return;
	p = data;
	while (left >= sizeof(Elf64_Nhdr)) {
		uint64_t desc, whole;
		Elf64_Nhdr h;

		memcpy(&h, p, sizeof(h));
		desc = (sizeof(h) + (uint64_t)h.n_namesz + align - 1) & ~(align - 1);
		whole = (desc + h.n_descsz + align - 1) & ~(align - 1);
		if (desc + h.n_descsz > left)
			break;
		r->elf->marks |= (uint8_t)note_marks(&h, p + sizeof(h), p + desc);
		whole = whole < left ? whole : left;
		p += whole;
		left -= whole;
	}
	free(data);
}

/* ---- the dynamic section ------------------------------------------------------------------------ */

static void take_dynamic(struct reader *r, const Elf64_Dyn *d)
{
	const struct {
		int64_t tag;
		uint64_t *value;
	} plain[] = {
		{ DT_STRTAB, &r->strtab },     { DT_STRSZ, &r->strsz },
		{ DT_SYMTAB, &r->symtab },     { DT_HASH, &r->hash },
		{ DT_GNU_HASH, &r->gnu_hash }, { DT_RELA, &r->rela },
		{ DT_RELASZ, &r->relasz },     { DT_JMPREL, &r->jmprel },
		{ DT_PLTRELSZ, &r->pltrelsz }, { DT_SONAME, &r->soname },
		{ DT_RPATH, &r->rpath },       { DT_RUNPATH, &r->runpath },
	};
	struct lmm_elf *e = r->elf;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(plain); i++) {
		if (d->d_tag == plain[i].tag)
			*plain[i].value = d->d_un.d_val;
	}
	if (d->d_tag == DT_NEEDED && e->n_needed < NEEDED_MAX) {
		r->needed[e->n_needed++] = d->d_un.d_val;
	} else if (d->d_tag == DT_FLAGS_1 && (d->d_un.d_val & DF_1_PIE)) {
		e->is_pie = 1;
	}
	r->has_soname |= d->d_tag == DT_SONAME;
	r->has_rpath |= d->d_tag == DT_RPATH;
	r->has_runpath |= d->d_tag == DT_RUNPATH;
}

static int read_dynamic(struct reader *r, const Elf64_Phdr *ph)
{
	uint64_t n = ph->p_filesz / sizeof(Elf64_Dyn);

	if (n > DYNAMIC_MAX)
		return LMM_E_LIMIT;
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Dyn d;
		int rc = read_at(r, ph->p_offset + i * sizeof(d), &d, sizeof(d));

		if (rc)
			return rc;
		if (d.d_tag == DT_NULL)
			break;
		take_dynamic(r, &d);
	}
	r->elf->is_dynamic = 1;
	return 0;
}

static const char *string_at(const struct reader *r, uint64_t offset)
{
	return r->elf->strings && offset < r->strsz ? r->elf->strings + offset : "";
}

static int read_strings(struct reader *r)
{
	struct table t = table_at(r, r->strtab, r->strsz);
	struct lmm_elf *e = r->elf;
	int rc;

	if (!r->strtab || !r->strsz)
		return 0;
	if (!t.bytes)
		return LMM_E_CORRUPT;
	rc = read_new(r, t.offset, t.bytes, &e->strings);
	if (rc)
		return rc;
	e->needed = calloc(e->n_needed ? e->n_needed : 1, sizeof(*e->needed));
	if (!e->needed)
		return -ENOMEM;
	for (uint32_t i = 0; i < e->n_needed; i++)
		e->needed[i] = string_at(r, r->needed[i]);
	if (r->has_soname)
		e->soname = string_at(r, r->soname);
	if (r->has_rpath)
		e->rpath = string_at(r, r->rpath);
	if (r->has_runpath)
		e->runpath = string_at(r, r->runpath);
	return 0;
}

/* ---- how many symbols --------------------------------------------------------------------------- */

/* Nothing says it outright. Each source gives a lower bound; sections may have been stripped, hashes may leave out imports. */
static uint64_t count_by_sections(const struct reader *r)
{
	uint64_t n = 0;

	if (r->eh.e_shentsize != sizeof(Elf64_Shdr))
		return 0;
	for (unsigned i = 0; i < r->eh.e_shnum; i++) {
		Elf64_Shdr sh;
		uint64_t at = (uint64_t)i * sizeof(sh);

		if (r->eh.e_shoff > r->size || at > r->size - r->eh.e_shoff ||
		    read_at(r, r->eh.e_shoff + at, &sh, sizeof(sh)))
			return n;
		if (sh.sh_type == SHT_DYNSYM && sh.sh_addr == r->symtab)
			n = sh.sh_size / sizeof(Elf64_Sym);
	}
	return n;
}

static uint64_t count_by_hash(const struct reader *r)
{
	struct table t = table_at(r, r->hash, 0);
	uint32_t head[2];

	if (t.bytes < sizeof(head) || read_at(r, t.offset, head, sizeof(head)))
		return 0;
	return head[1];
}

/* From the last bucket's start to the end of its chain. */
static uint64_t gnu_chain_end(const uint32_t *words, uint64_t n_words, const uint32_t head[4])
{
	uint64_t buckets = 4 + (uint64_t)head[2] * 2, chains = buckets + head[0];
	uint32_t last = 0;

	if (chains > n_words)
		return 0;
	for (uint64_t i = buckets; i < chains; i++)
		last = words[i] > last ? words[i] : last;
	if (last < head[1])
		return head[1];
	for (uint64_t i = chains + (last - head[1]); i < n_words; i++) {
		if (words[i] & 1)
			return i - chains + head[1] + 1;
	}
	return 0;
}

static uint64_t count_by_gnu_hash(const struct reader *r)
{
	struct table t = table_at(r, r->gnu_hash, 0);
	uint32_t head[4];
	uint64_t n;
	char *data;

	if (t.bytes > TABLE_MAX)
		t.bytes = TABLE_MAX;
	if (t.bytes < sizeof(head) || read_at(r, t.offset, head, sizeof(head)) ||
	    read_new(r, t.offset, t.bytes & ~(uint64_t)3, &data))
		return 0;
	n = gnu_chain_end((const uint32_t *)(const void *)data, t.bytes / 4, head);
	free(data);
	return n;
}

/* ---- symbols ------------------------------------------------------------------------------------ */

typedef void (*rela_fn)(struct reader *r, uint32_t symbol, uint64_t *state);

static int for_each_rela(struct reader *r, uint64_t addr, uint64_t bytes, rela_fn fn,
			 uint64_t *state)
{
	struct table t = table_at(r, addr, bytes);
	char *data;
	int rc;

	if (!bytes || !t.bytes)
		return 0;
	rc = read_new(r, t.offset, t.bytes, &data);
	if (rc)
		return rc;
	for (uint64_t i = 0; i < t.bytes / sizeof(Elf64_Rela); i++) {
		Elf64_Rela rela;

		memcpy(&rela, data + i * sizeof(rela), sizeof(rela));
		if (ELF64_R_SYM(rela.r_info))
			fn(r, (uint32_t)ELF64_R_SYM(rela.r_info), state);
	}
	free(data);
	return 0;
}

static void rela_max(struct reader *r, uint32_t symbol, uint64_t *state)
{
	(void)r;
	*state = symbol >= *state ? (uint64_t)symbol + 1 : *state;
}

static void rela_mark(struct reader *r, uint32_t symbol, uint64_t *state)
{
	(void)state;
	if (symbol < r->elf->n_symbols)
		r->elf->symbols[symbol].use |= LMM_ELF_RELOCATED;
}

static int count_symbols(struct reader *r, uint64_t *n)
{
	const uint64_t said[] = { count_by_sections(r), count_by_hash(r), count_by_gnu_hash(r) };
	uint64_t used = 0;
	int rc = for_each_rela(r, r->rela, r->relasz, rela_max, &used);

	if (rc == 0)
		rc = for_each_rela(r, r->jmprel, r->pltrelsz, rela_max, &used);
	*n = used;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(said); i++)
		*n = said[i] > *n ? said[i] : *n;
	return rc;
}

static void take_symbol(struct reader *r, uint32_t i, const Elf64_Sym *s)
{
	struct lmm_elf_symbol *to = &r->elf->symbols[i];
	unsigned bind = ELF64_ST_BIND(s->st_info);
	unsigned visible = ELF64_ST_VISIBILITY(s->st_other);

	to->name = string_at(r, s->st_name);
	if (s->st_shndx == SHN_UNDEF) {
		to->use |= LMM_ELF_IMPORTED;
	} else if (bind != STB_LOCAL && (visible == STV_DEFAULT || visible == STV_PROTECTED)) {
		to->use |= LMM_ELF_DEFINED;
	}
}

static int read_symbols(struct reader *r)
{
	struct table t = table_at(r, r->symtab, 0);
	struct lmm_elf *e = r->elf;
	uint64_t n;
	char *data;
	int rc = count_symbols(r, &n);

	if (rc || !t.bytes || !e->strings)
		return rc;
	/* damaged counts end where the file does */
	if (n > t.bytes / sizeof(Elf64_Sym))
		n = t.bytes / sizeof(Elf64_Sym);
	if (n > SYMBOLS_MAX)
		return LMM_E_LIMIT;
	rc = read_new(r, t.offset, n * sizeof(Elf64_Sym), &data);
	if (rc)
		return rc;
	e->symbols = calloc(n ? n : 1, sizeof(*e->symbols));
	if (!e->symbols) {
		free(data);
		return -ENOMEM;
	}
	e->n_symbols = (uint32_t)n;
	for (uint32_t i = 0; i < n; i++) {
		Elf64_Sym s;

		memcpy(&s, data + (size_t)i * sizeof(s), sizeof(s));
		take_symbol(r, i, &s);
	}
	free(data);
	rc = for_each_rela(r, r->rela, r->relasz, rela_mark, NULL);
	return rc ? rc : for_each_rela(r, r->jmprel, r->pltrelsz, rela_mark, NULL);
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static int read_all(struct reader *r)
{
	int rc = read_header(r);

	if (rc)
		return rc;
	r->elf->type = r->eh.e_type;
	r->elf->machine = r->eh.e_machine;
	rc = read_segments(r);
	for (unsigned i = 0; rc == 0 && i < r->eh.e_phnum; i++) {
		if (r->ph[i].p_type == PT_INTERP) {
			rc = read_interp(r, &r->ph[i]);
		} else if (r->ph[i].p_type == PT_NOTE) {
			read_notes(r, &r->ph[i]);
		} else if (r->ph[i].p_type == PT_DYNAMIC && !r->elf->is_dynamic) {
			rc = read_dynamic(r, &r->ph[i]);
		}
	}
	if (rc == 0 && r->elf->is_dynamic)
		rc = read_strings(r);
	if (rc == 0 && r->elf->is_dynamic)
		rc = read_symbols(r);
	return rc;
}

static int open_regular(const char *path, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -ENOEXEC;
	if (rc) {
		close(fd);
		return rc;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

int lmm_elf_open(const char *path, struct lmm_elf **out)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct lmm_elf *e = calloc(1, sizeof(*e));
	int rc = -ENOMEM;

	*out = NULL;
	if (!r || !e)
		goto out;
	e->interp = e->soname = e->rpath = e->runpath = "";
	r->elf = e;
	r->fd = open_regular(path, &r->size);
	rc = r->fd < 0 ? r->fd : read_all(r);
	if (r->fd >= 0)
		close(r->fd);
	if (rc == 0) {
		*out = e;
		e = NULL;
	}
out:
	if (r)
		free(r->ph);
	free(r);
	lmm_elf_close(e);
	return rc;
}

void lmm_elf_close(struct lmm_elf *e)
{
	if (!e)
		return;
	free(e->interp_memory);
	free(e->strings);
	free((void *)e->needed);
	free(e->symbols);
	free(e);
}

unsigned lmm_elf_find(const struct lmm_elf *e, const char *name)
{
	unsigned use = 0;

	/* versions of a symbol are symbols of their own */
	for (uint32_t i = 0; i < e->n_symbols; i++) {
		if (strcmp(e->symbols[i].name, name) == 0)
			use |= e->symbols[i].use;
	}
	return use;
}

uint16_t lmm_elf_own_machine(void)
{
#if defined(__x86_64__)
	return EM_X86_64;
#elif defined(__aarch64__)
	return EM_AARCH64;
#else
	return EM_NONE;
#endif
}

const char *lmm_elf_machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "aarch64";
	case EM_386:
		return "i386";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "riscv";
	default:
		return "?";
	}
}
