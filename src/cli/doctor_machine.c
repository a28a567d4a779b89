/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/doctor.h"
#include "cli/redact.h"
#include "wire/ring.h"

#define RING_SLOTS 4096u
#define STAMPS	   2048u
#define ROUNDS	   16u

static void first_line(const char *path, char *text, size_t bytes)
{
	FILE *f = fopen(path, "re");

	text[0] = '\0';
	if (!f)
		return;
	if (!fgets(text, (int)bytes, f))
		text[0] = '\0';
	(void)fclose(f);
	text[strcspn(text, "\n")] = '\0';
}

static void clock_reason(struct lmm_doctor_machine *m)
{
	const char *force = getenv("LMMETER_CLOCK"); /* NOLINT(concurrency-mt-unsafe) */
	char source[32];

	first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
		   sizeof(source));
	if (m->clock == LMM_CLOCK_TSC) {
		(void)snprintf(m->clock_reason, sizeof(m->clock_reason),
			       "the counter is invariant and the kernel (%s) trusts it",
			       source[0] ? source : "which does not say its source");
	} else if (m->clock == LMM_CLOCK_CNTVCT) {
		(void)snprintf(m->clock_reason, sizeof(m->clock_reason),
			       "the generic timer is constant and common to all cores");
	} else if (force && strcmp(force, "monotonic") == 0) {
		(void)snprintf(m->clock_reason, sizeof(m->clock_reason),
			       "LMMETER_CLOCK=monotonic asks for it");
	} else {
		(void)snprintf(m->clock_reason, sizeof(m->clock_reason),
			       "the counter is not invariant or the kernel (%s) does not trust it",
			       source[0] ? source : "?");
	}
}

/* A stamp and its record, into a ring of our own: smallest of several rounds. */
static double stamp_cost_ns(uint8_t clock)
{
	size_t bytes = LMM_RING_HEADER_BYTES + RING_SLOTS * sizeof(struct lmm_slot);
	struct lmm_ring *ring = aligned_alloc(64, bytes);
	uint64_t best = UINT64_MAX;
	struct lmm_writer w;

	if (!ring || lmm_ring_init(ring, bytes)) {
		free(ring);
		return 0;
	}
	lmm_writer_attach(&w, ring, clock);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t begin = lmm_mono_ns(), took;

		for (unsigned i = 0; i < STAMPS; i++)
			lmm_writer_put(&w, lmm_ticks(clock), lmm_word_op(LMM_EV_OP, ring));
		took = lmm_mono_ns() - begin;
		lmm_ring_release(ring, w.head);
		best = took < best ? took : best;
	}
	free(ring);
	return (double)best / STAMPS;
}

static const char *file_system_name(long type, int *in_memory)
{
	static const struct {
		long type;
		const char *name;
		int in_memory;
	} known[] = {
		{ 0x01021994, "tmpfs", 1 }, { 0x858458f6, "ramfs", 1 },
		{ 0xef53, "ext4", 0 },	    { 0x9123683e, "btrfs", 0 },
		{ 0x58465342, "xfs", 0 },   { 0x794c7630, "overlayfs", 0 },
		{ 0x2fc12fc1, "zfs", 0 },   { 0xf2f52010, "f2fs", 0 },
		{ 0x6969, "nfs", 0 },	    { 0x01021997, "9p", 0 },
		{ 0x65735546, "fuse", 0 },
	};

	*in_memory = 0;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(known); i++) {
		if (known[i].type != type)
			continue;
		*in_memory = known[i].in_memory;
		return known[i].name;
	}
	return "unknown";
}

/* The folder that a recording would use: one is made and removed. */
static void find_folder(struct lmm_doctor *d)
{
	struct lmm_doctor_machine *m = &d->machine;
	struct lmm_folder_opts opts = { 0 };
	struct lmm_folder folder;
	struct statfs fs;
	struct statvfs space;
	int in_memory = 0;
	char *slash;

	m->folder_error = lmm_folder_create(&opts, &folder);
	if (m->folder_error) {
		lmm_doctor_gap(d, "LMMETER_DIR=/dev/shm lmmeter run …",
			       "no folder for shared memory can be made (%s)",
			       lmm_strerror(m->folder_error));
		return;
	}
	memcpy(m->folder, folder.path, sizeof(m->folder));
	slash = strrchr(m->folder, '/');
	if (slash)
		*slash = '\0';
	(void)snprintf(m->file_system, sizeof(m->file_system), "%s",
		       statfs(folder.path, &fs) ? "unknown"
						: file_system_name((long)fs.f_type, &in_memory));
	m->folder_in_memory = (uint8_t)in_memory;
	if (statvfs(folder.path, &space) == 0)
		m->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
	lmm_folder_close(&folder, 1);
	if (!in_memory) {
		lmm_doctor_note(
			d,
			"the rings lie on %s, not in memory: its writes disturb what is measured; "
			"LMMETER_DIR can name a folder on a tmpfs",
			m->file_system);
	}
	if (m->free_bytes < (uint64_t)16 << 20) {
		lmm_doctor_gap(
			d,
			"LMMETER_DIR=DIR lmmeter run …, with DIR on a file system that has 64 MiB free",
			"there is hardly any room for shared memory in %s", m->folder);
	}
}

static void find_c_library(struct lmm_doctor_machine *m)
{
#ifdef _CS_GNU_LIBC_VERSION
	if (confstr(_CS_GNU_LIBC_VERSION, m->c_library, sizeof(m->c_library)) > 0) {
		m->c_library_audits = 1;
		return;
	}
#endif
	(void)snprintf(m->c_library, sizeof(m->c_library), "not glibc");
}

/* The file of a library as a program would load it; "": there is none. */
static void library_find(const char *name, char *path, size_t bytes)
{
	struct link_map *map = NULL;
	void *lib = dlopen(name, RTLD_LAZY | RTLD_LOCAL);

	if (!lib)
		return;
	if (dlinfo(lib, RTLD_DI_LINKMAP, &map) == 0 && map)
		(void)snprintf(path, bytes, "%s", map->l_name);
	dlclose(lib);
}

/* A library that reads a variable of the environment carries its name. */
static uint8_t knows_variable(const char *path, const char *variable)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t knows = 0;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
		void *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (text != MAP_FAILED) {
			knows = memmem(text, (size_t)st.st_size, variable, strlen(variable) + 1) !=
				NULL;
			munmap(text, (size_t)st.st_size);
		}
	}
	if (fd >= 0)
		close(fd);
	return knows;
}

static void find_opencl(struct lmm_doctor *d)
{
	struct lmm_doctor_machine *m = &d->machine;

	library_find("libOpenCL.so.1", m->opencl, sizeof(m->opencl));
	if (!m->opencl[0])
		return;
	m->opencl_has_layers = knows_variable(m->opencl, "OPENCL_LAYERS");
	if (!m->opencl_has_layers) {
		lmm_doctor_note(d,
				"OpenCL's loader here (%s) takes no layers: kernels are seen with "
				"lmmeter run --door preload -- COMMAND",
				lmm_base_name(m->opencl));
	}
}

/* Needs to know where the libraries are. */
static void find_vulkan(struct lmm_doctor *d)
{
	struct lmm_doctor_machine *m = &d->machine;

	library_find("libvulkan.so.1", m->vulkan, sizeof(m->vulkan));
	if (!m->vulkan[0])
		return;
	m->vulkan_finds_layer = m->libs.vulkan[0] && knows_variable(m->vulkan, "VK_ADD_LAYER_PATH");
	if (!m->libs.vulkan[0]) {
		lmm_doctor_note(d, "lmmeter's Vulkan layer was not found beside liblmmeter.so: "
				   "kernels that run on Vulkan are not seen");
	} else if (!m->vulkan_finds_layer) {
		lmm_doctor_note(
			d,
			"Vulkan's loader here (%s) does not know VK_ADD_LAYER_PATH: kernels "
			"are seen with VK_LAYER_PATH=DIR lmmeter run, with DIR the folder "
			"of the program's own layers, or any",
			lmm_base_name(m->vulkan));
	}
}

void lmm_doctor_machine(struct lmm_doctor *d)
{
	struct lmm_doctor_machine *m = &d->machine;

	lmm_host_read(&m->host);
	m->clock = (uint8_t)lmm_clock_choose();
	clock_reason(m);
	m->stamp_ns = stamp_cost_ns(m->clock);
	find_folder(d);
	find_c_library(m);
	find_opencl(d);
	lmm_doctor_cuda(d);
	lmm_doctor_sensors(m);
	m->libs_error = lmm_libs_find(&m->libs);
	find_vulkan(d);
	if (m->libs_error) {
		lmm_doctor_gap(
			d,
			"LMMETER_LIB_DIR=DIR lmmeter run …, with DIR the folder of liblmmeter.so",
			"liblmmeter.so was not found beside lmmeter: nothing can be recorded");
	} else if (!m->libs.audit[0] || !m->c_library_audits) {
		lmm_doctor_note(
			d, "there is no audit door here: an engine that Python opens with ctypes "
			   "cannot be seen");
	}
}
