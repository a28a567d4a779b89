/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/target_internal.h"
#include "lmmeter/trace.h"

#define OBJECTS_MAX 4096u
#define REGIONS_MAX 65536u
#define CODE_MAX    ((size_t)4 << 20)

/* ---- memory ------------------------------------------------------------------------------------- */

int lmm_target_read(const struct lmm_target *t, uint64_t addr, void *to, size_t n)
{
	ssize_t k = pread(t->mem, to, n, (off_t)addr);

	return k == (ssize_t)n ? 0 : k < 0 ? -errno : -EFAULT;
}

int lmm_target_write(const struct lmm_target *t, uint64_t addr, const void *from, size_t n)
{
	ssize_t k = pwrite(t->mem, from, n, (off_t)addr);

	return k == (ssize_t)n ? 0 : k < 0 ? -errno : -EFAULT;
}

const struct lmm_region *lmm_target_region(const struct lmm_target *t, uint64_t addr)
{
	for (uint32_t i = 0; i < t->n_regions; i++) {
		if (addr - t->regions[i].lo < t->regions[i].hi - t->regions[i].lo)
			return &t->regions[i];
	}
	return NULL;
}

/* ---- what is mapped ----------------------------------------------------------------------------- */

static void *grown(void *old, uint32_t n, uint32_t max, size_t bytes)
{
	/* at powers of two */
	if (n & (n - 1))
		return old;
	return n >= max ? NULL : reallocarray(old, n ? 2 * (size_t)n : 1, bytes);
}

/* The object of this path, made if the mapping is where its file begins; -1: none. */
static int32_t object_of(struct lmm_target *t, uint64_t lo, uint64_t offset, const char *path)
{
	struct lmm_object *o;

	for (uint32_t i = t->n_objects; i-- > 0 && offset;) {
		if (strcmp(t->objects[i].path, path) == 0)
			return (int32_t)i;
	}
	if (offset || path[0] != '/')
		return -1;
	o = grown(t->objects, t->n_objects, OBJECTS_MAX, sizeof(*o));
	if (!o)
		return -1;
	t->objects = o;
	o += t->n_objects;
	memset(o, 0, sizeof(*o));
	(void)snprintf(o->path, sizeof(o->path), "%s", path);
	return lmm_object_read(t, lo, o) ? -1 : (int32_t)t->n_objects++;
}

/* lo-hi rights offset device inode path */
static int region_add(struct lmm_target *t, char *line)
{
	char *p = line, rights[4], *path;
	uint64_t lo = strtoull(p, &p, 16), hi = strtoull(p + (*p == '-'), &p, 16), offset;
	struct lmm_region *r;

	if (*p != ' ' || strlen(p) < 6)
		return 0;
	memcpy(rights, p + 1, sizeof(rights));
	offset = strtoull(p + 6, &p, 16);
	path = strpbrk(p, "/[");
	path = path ? path : p + strlen(p);
	path[strcspn(path, "\n")] = 0;
	r = grown(t->regions, t->n_regions, REGIONS_MAX, sizeof(*r));
	if (!r)
		return -ENOMEM;
	t->regions = r;
	r += t->n_regions++;
	*r = (struct lmm_region){ .lo = lo,
				  .hi = hi,
				  .object = object_of(t, lo, offset, path),
				  .is_code = rights[2] == 'x',
				  .is_writable = rights[1] == 'w',
				  .is_stack = strcmp(path, "[stack]") == 0,
				  .is_anonymous = !path[0] };
	return 0;
}

static int regions_read(struct lmm_target *t)
{
	char path[64], *line = NULL;
	size_t bytes = 0;
	int rc = 0;
	FILE *maps;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)t->pid);
	maps = fopen(path, "re");
	if (!maps)
		return -errno;
	while (rc == 0 && getline(&line, &bytes, maps) > 0)
		rc = region_add(t, line);
	free(line);
	(void)fclose(maps);
	return rc;
}

/* ---- what is called ----------------------------------------------------------------------------- */

/* mov $15, %rax; syscall: what the C library has every signal handler return to. */
static uint64_t sigreturn_in(const struct lmm_target *t, const struct lmm_region *r)
{
	static const unsigned char code[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	size_t n = r->hi - r->lo < CODE_MAX ? (size_t)(r->hi - r->lo) : CODE_MAX;
	unsigned char *text = malloc(n), *found = NULL;
	uint64_t at = 0;

	if (text && lmm_target_read(t, r->lo, text, n) == 0)
		found = memmem(text, n, code, sizeof(code));
	if (found)
		at = r->lo + (uint64_t)(found - text);
	free(text);
	return at;
}

static void sigreturn_find(struct lmm_target *t, int32_t libc)
{
	for (uint32_t i = 0; i < t->n_regions && !t->sigreturn; i++) {
		if (t->regions[i].object == libc && t->regions[i].is_code)
			t->sigreturn = sigreturn_in(t, &t->regions[i]);
	}
}

static int functions_find(struct lmm_target *t, char *why, size_t bytes)
{
	int32_t libc = -1;
	uint64_t private = 0;

	for (uint32_t i = 0; i < t->n_objects; i++) {
		const struct lmm_object *o = &t->objects[i];

		if (lmm_object_symbol(t, o, "gnu_get_libc_version"))
			libc = (int32_t)i;
		if (!t->dlopen && (o->roles & LMM_OBJECT_RUNTIME))
			t->dlopen = lmm_object_symbol(t, o, "dlopen");
		if (!private)
		private = lmm_object_symbol(t, o, "__libc_dlopen_mode");
	}
	t->dlopen_flags = 2; /* RTLD_NOW, local */
	if (!t->dlopen && private) {
		/* glibc before 2.34 without its libdl */
		t->dlopen = private;
		t->dlopen_flags = (int)(2 | 0x80000000u);
	}
	if (libc < 0) {
		(void)snprintf(
			why, bytes,
			"its C library is not glibc, and how others load a library into a program that runs is not known: start it with lmmeter run");
		return -ENOTSUP;
	}
	sigreturn_find(t, libc);
	if (t->dlopen && t->sigreturn)
		return 0;
	(void)snprintf(why, bytes,
		       "its glibc has no dlopen() that could be found: start it with lmmeter run");
	return -ENOTSUP;
}

static int engine_find(const struct lmm_target *t, char *why, size_t bytes)
{
	for (uint32_t i = 0; i < t->n_objects; i++) {
		if (t->objects[i].roles & LMM_OBJECT_ENGINE)
			return 0;
	}
	(void)snprintf(
		why, bytes,
		"no engine that lmmeter knows is loaded in it (or it is linked into the program without its names, where there is nothing to hook)");
	return -EAGAIN;
}

int lmm_target_open(int32_t pid, struct lmm_target *t, char *why, size_t bytes)
{
	char path[64];
	int rc;

	memset(t, 0, sizeof(*t));
	t->pid = pid;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	t->mem = open(path, O_RDWR | O_CLOEXEC);
	if (t->mem < 0) {
		rc = -errno;
		(void)snprintf(why, bytes, "%s",
			       rc == -ENOENT ? "there is no such process"
					     : lmm_refusal(lmm_yama_scope()));
		return rc;
	}
	rc = regions_read(t);
	if (rc) {
		(void)snprintf(why, bytes, "what it has mapped cannot be read: %s",
			       lmm_strerror(rc));
		return rc;
	}
	rc = functions_find(t, why, bytes);
	return rc ? rc : engine_find(t, why, bytes);
}

void lmm_target_close(struct lmm_target *t)
{
	if (t->mem >= 0)
		close(t->mem);
	free(t->objects);
	free(t->regions);
	memset(t, 0, sizeof(*t));
	t->mem = -1;
}
