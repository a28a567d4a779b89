/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/process.h"

/* ---- finding the file --------------------------------------------------------------------------- */

struct mapped {
	char path
		[LMM_FOLDER_PATH_BYTES]; /* of the control file, as the process sees it; "": none */
	uint64_t inode;
	int has_library, has_session;
};

/* "c" and digits, in a folder lmmeter-<user>. */
static int is_control(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && name[1] == 'c' && name[2] && name[2 + strspn(name + 2, "0123456789")] == 0 &&
	       strstr(path, "/lmmeter-");
}

/* What stands behind n words and the blanks between them. */
static const char *behind_words(const char *line, unsigned n)
{
	for (; n > 0; n--) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return line;
}

/* A line of maps: address, rights, offset, device, inode, path. */
static void look_at(struct mapped *m, const char *line)
{
	const char *at = behind_words(line, 4), *path, *name;
	size_t n;

	path = at + strcspn(at, "/");
	n = strlen(path);
	if (n == 0 || n >= sizeof(m->path))
		return;
	name = strrchr(path, '/');
	if (name && strcmp(name, "/liblmmeter.so") == 0)
		m->has_library = 1;
	if (name && strcmp(name, "/session") == 0 && strstr(path, "/lmmeter-"))
		m->has_session = 1;
	if (is_control(path)) {
		memcpy(m->path, path, n + 1);
		m->inode = strtoull(at, NULL, 10);
	}
}

static int look_through(int32_t pid, struct mapped *m)
{
	char path[64], *line = NULL;
	size_t bytes = 0;
	struct stat st;
	FILE *maps;

	memset(m, 0, sizeof(*m));
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st))
		return -ESRCH;
	if (st.st_uid != geteuid())
		return -EPERM;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == ENOENT ? -ESRCH : -EPERM;
	while (getline(&line, &bytes, maps) > 0) {
		line[strcspn(line, "\n")] = 0;
		look_at(m, line);
	}
	free(line);
	fclose(maps);
	return 0;
}

/* ---- the file ----------------------------------------------------------------------------------- */

/* Opens it where it is from here: the process may have another root. */
static int control_reach(int32_t pid, const struct mapped *m, struct lmm_control *c)
{
	char path[LMM_FOLDER_PATH_BYTES];
	struct stat st;

	for (int inside = 0; inside < 2; inside++) {
		int n = inside ? snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, m->path)
			       : snprintf(path, sizeof(path), "%s", m->path);

		if (n >= (int)sizeof(path))
			return -ENAMETOOLONG;
		c->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (c->fd >= 0 && fstat(c->fd, &st) == 0 && st.st_ino == m->inode)
			break;
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
	}
	if (c->fd < 0)
		return -ENOENT;
	*strrchr(path, '/') = 0;
	memcpy(c->base, path, sizeof(c->base));
	memcpy(c->inner, m->path, sizeof(c->inner));
	*strrchr(c->inner, '/') = 0;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return st.st_size < (off_t)sizeof(*c->shm) ? LMM_E_CORRUPT : 0;
}

static int control_map(struct lmm_control *c)
{
	void *p = mmap(NULL, sizeof(*c->shm), PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	c->shm = p;
	if (c->shm->magic != LMM_SHM_CONTROL_MAGIC || c->shm->version != LMM_SHM_CONTROL_VERSION ||
	    c->shm->bytes != sizeof(*c->shm))
		return LMM_E_CORRUPT;
	return 0;
}

int lmm_control_open(int32_t pid, struct lmm_control *out)
{
	struct mapped m;
	int rc = look_through(pid, &m);

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	out->pid = pid;
	if (rc)
		return rc;
	if (!m.path[0])
		return m.has_session ? -EBUSY : m.has_library ? -EAGAIN : -ENOENT;
	rc = control_reach(pid, &m, out);
	if (rc == 0)
		rc = control_map(out);
	if (rc)
		lmm_control_close(out);
	return rc;
}

void lmm_control_close(struct lmm_control *c)
{
	if (c->shm)
		munmap(c->shm, sizeof(*c->shm));
	if (c->fd >= 0)
		close(c->fd);
	c->shm = NULL;
	c->fd = -1;
}

/* ---- asking ------------------------------------------------------------------------------------- */

int lmm_control_lock(struct lmm_control *c)
{
	if (flock(c->fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	atomic_store(&c->shm->asker_pid, getpid());
	return 0;
}

int lmm_control_is_locked(const struct lmm_control *c)
{
	if (flock(c->fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK;
	flock(c->fd, LOCK_UN);
	return 0;
}

static int fill_dir(struct lmm_control *c, const struct lmm_folder *folder)
{
	char dir[LMM_CONTROL_DIR_BYTES] = "";

	if (folder && snprintf(dir, sizeof(dir), "%s%s", c->inner, strrchr(folder->path, '/')) >=
			      (int)sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(c->shm->dir, dir, sizeof(dir));
	return 0;
}

int lmm_control_ask(struct lmm_control *c, const struct lmm_folder *folder, unsigned timeout_ms)
{
	uint64_t until_ns = lmm_mono_ns() + timeout_ms * 1000000ull;
	struct timespec t = { 0, 50000000 };
	uint32_t number, answered;
	int rc = fill_dir(c, folder);

	if (rc)
		return rc;
	/* pairs with the acquire in the sleeper's wait_for_requests() */
	number = atomic_fetch_add_explicit(&c->shm->request, 1, memory_order_release) + 1;
	syscall(SYS_futex, &c->shm->request, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	while ((answered = atomic_load_explicit(&c->shm->answered, memory_order_acquire)) !=
	       number) {
		if (!lmm_process_is_alive(c->pid))
			return -ESRCH;
		if (lmm_mono_ns() > until_ns)
			return -ETIMEDOUT;
		syscall(SYS_futex, &c->shm->answered, FUTEX_WAIT, answered, &t, NULL, 0);
	}
	return atomic_load_explicit(&c->shm->answer, memory_order_relaxed);
}
