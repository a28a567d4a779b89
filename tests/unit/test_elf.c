/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF reader against readelf's view of this very program, and against damage. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/cli/elf.c"

static uint8_t *image;
static size_t image_bytes;
static char scratch[] = "/tmp/lmm-elf-XXXXXX";

static int load_image(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	int out;

	(void)state;
	if (fd < 0 || fstat(fd, &st))
		return -1;
	image_bytes = (size_t)st.st_size;
	image = malloc(image_bytes);
	if (!image || read(fd, image, image_bytes) != (ssize_t)image_bytes)
		return -1;
	close(fd);
	out = mkstemp(scratch);
	if (out < 0)
		return -1;
	close(out);
	return 0;
}

static int drop_image(void **state)
{
	(void)state;
	free(image);
	unlink(scratch);
	return 0;
}

static void write_scratch(const uint8_t *data, size_t n)
{
	int fd = open(scratch, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	close(fd);
}

static int open_scratch(void)
{
	struct lmm_elf *e;
	int rc = lmm_elf_open(scratch, &e);

	assert_true(rc == 0 ? e != NULL : e == NULL);
	lmm_elf_close(e);
	return rc;
}

static void test_own_program(void **state)
{
	struct lmm_elf *e;
	int has_libc = 0, fd;

	(void)state;
	assert_int_equal(lmm_elf_open("/proc/self/exe", &e), 0);
	assert_int_equal(e->machine, lmm_elf_own_machine());
	assert_true(e->is_dynamic);
	assert_non_null(strstr(e->interp, "ld"));
	/* not access(): qemu-user looks for what is opened in the other machine's tree, and for nothing else there */
	fd = open(e->interp, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	for (uint32_t i = 0; i < e->n_needed; i++)
		has_libc |= strncmp(e->needed[i], "libc.", 5) == 0;
	assert_true(has_libc);
	/* called by this very function */
	assert_int_equal(lmm_elf_find(e, "close"), LMM_ELF_IMPORTED | LMM_ELF_RELOCATED);
	assert_int_equal(lmm_elf_find(e, "no_such_symbol"), 0);
	lmm_elf_close(e);
}

/* nm(1) is the judge: same symbols, defined and not. */
static void test_against_nm(void **state)
{
	struct lmm_elf *e;
	char line[1024], name[512], exe[900] = "";
	unsigned n = 0;
	FILE *nm;

	(void)state;
	assert_int_equal(lmm_elf_open("/proc/self/exe", &e), 0);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	snprintf(line, sizeof(line), "nm -D --without-symbol-versions '%s' 2>/dev/null", exe);
	nm = popen(line, "r");
	assert_non_null(nm);
	while (fgets(line, sizeof(line), nm)) {
		char kind;

		if (sscanf(line + 16, " %c %511s", &kind, name) != 2)
			continue;
		n++;
		assert_true(lmm_elf_find(e, name) &
			    (kind == 'U' || kind == 'w' || kind == 'v' ? LMM_ELF_IMPORTED
								       : LMM_ELF_DEFINED));
	}
	pclose(nm);
	lmm_elf_close(e);
	if (n == 0)
		skip();
}

/* A library that is found by its hash alone: section headers are cut off. */
static void test_no_sections(void **state)
{
	Elf64_Ehdr *eh = (void *)image;
	Elf64_Ehdr saved = *eh;
	struct lmm_elf *e;

	(void)state;
	eh->e_shoff = 0;
	eh->e_shnum = 0;
	write_scratch(image, image_bytes);
	*eh = saved;
	assert_int_equal(lmm_elf_open(scratch, &e), 0);
	assert_int_equal(lmm_elf_find(e, "close"), LMM_ELF_IMPORTED | LMM_ELF_RELOCATED);
	lmm_elf_close(e);
}

static void test_not_elf(void **state)
{
	struct lmm_elf *e;

	(void)state;
	write_scratch((const uint8_t *)"", 0);
	assert_int_equal(open_scratch(), -ENOEXEC);
	write_scratch((const uint8_t *)"#!/bin/sh\nexit 0\n", 17);
	assert_int_equal(open_scratch(), -ENOEXEC);
	assert_int_equal(lmm_elf_open("/no/such/file", &e), -ENOENT);
	assert_int_equal(lmm_elf_open("/", &e), -ENOEXEC);
	assert_int_equal(lmm_elf_open("/dev/zero", &e), -ENOEXEC);
}

static void test_other_class(void **state)
{
	uint8_t head[64];

	(void)state;
	memcpy(head, image, sizeof(head));
	head[EI_CLASS] = ELFCLASS32;
	write_scratch(head, sizeof(head));
	assert_int_equal(open_scratch(), -ENOTSUP);
	head[EI_CLASS] = ELFCLASS64;
	head[EI_DATA] = ELFDATA2MSB;
	write_scratch(head, sizeof(head));
	assert_int_equal(open_scratch(), -ENOTSUP);
}

/* Every length of the first pages, then in strides: an error or less is found, never a crash. */
static void test_truncated(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (size_t n = 0; n < image_bytes; n += n < 1024 ? 1 : image_bytes / 101 + 1) {
		write_scratch(image, n);
		refused += open_scratch() != 0;
	}
	assert_true(refused > 1000);
}

static void test_huge_counts(void **state)
{
	Elf64_Ehdr *eh = (void *)image;
	Elf64_Ehdr saved = *eh;

	(void)state;
	eh->e_shnum = 0xffff;
	eh->e_shoff = ~(uint64_t)0 - 8;
	write_scratch(image, image_bytes);
	assert_int_equal(open_scratch(), 0);
	*eh = saved;
	eh->e_phnum = 0xfffe;
	write_scratch(image, image_bytes);
	assert_int_equal(open_scratch(), LMM_E_LIMIT);
	*eh = saved;
	eh->e_phoff = ~(uint64_t)0 - 8;
	write_scratch(image, image_bytes);
	assert_int_equal(open_scratch(), LMM_E_CORRUPT);
	*eh = saved;
}

/* Words of the headers and of the dynamic section are replaced at random. */
static void test_mutated(void **state)
{
	static const uint64_t nasty[] = {
		0, 1, 0x7fffffff, 0xffffffff, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX
	};
	const Elf64_Ehdr *eh = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + eh->e_phoff);
	uint8_t *copy = malloc(image_bytes);
	size_t dynamic = 0;

	(void)state;
	assert_non_null(copy);
	for (unsigned i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_DYNAMIC)
			dynamic = ph[i].p_offset;
	srand(1);
	for (unsigned i = 0; i < 400; i++) {
		memcpy(copy, image, image_bytes);
		for (unsigned k = 0; k < 3; k++) {
			size_t base = (unsigned)rand() % 2 ? dynamic : 16;
			size_t at = base + (size_t)((unsigned)rand() % 120) * 8;
			uint64_t v = nasty[(unsigned)rand() % LMM_ARRAY_SIZE(nasty)];

			if (at + 8 <= image_bytes)
				memcpy(copy + at, &v, 8);
		}
		write_scratch(copy, image_bytes);
		open_scratch();
	}
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_program), cmocka_unit_test(test_against_nm),
		cmocka_unit_test(test_no_sections), cmocka_unit_test(test_not_elf),
		cmocka_unit_test(test_other_class), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_huge_counts), cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests(tests, load_image, drop_image);
}
