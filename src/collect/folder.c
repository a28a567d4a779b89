/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define DEFAULT_MEMORY_BYTES (64u << 20)
#define DEFAULT_RING_BYTES   (2u << 20)

/* Fills base with the i-th place to try. 0: there is no such place; 1: tried by name as it is; */
static int base_candidate(unsigned i, char base[LMM_FOLDER_PATH_BYTES])
{
	static const char *const variable[] = { "LMMETER_DIR", "XDG_RUNTIME_DIR", NULL, "TMPDIR",
						NULL };
	static const char *const fixed[] = { NULL, NULL, "/dev/shm", NULL, "/tmp" };
	const char *dir;

	if (i >= LMM_ARRAY_SIZE(fixed))
		return 0;
	dir = variable[i] ? getenv(variable[i]) : fixed[i];
	base[0] = 0;
	if (dir && dir[0] == '/' && strlen(dir) < LMM_FOLDER_PATH_BYTES - 64)
		snprintf(base, LMM_FOLDER_PATH_BYTES, "%s/lmmeter-%u", dir, (unsigned)geteuid());
	return 1;
}

/* Makes sure of a folder of our own, that no one else can enter. */
static int own_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return 0;
}

static int session_file(const char *dir, char path[LMM_FOLDER_PATH_BYTES])
{
	int n = snprintf(path, LMM_FOLDER_PATH_BYTES, "%s/session", dir);

	return n > 0 && n < LMM_FOLDER_PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int map_session(int fd, struct lmm_folder *f)
{
	void *p = mmap(NULL, sizeof(*f->shm), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	f->shm = p;
	return 0;
}

static void fill_session(struct lmm_shm_session *s, const struct lmm_folder_opts *opts)
{
	s->version = LMM_SHM_VERSION;
	s->bytes = sizeof(*s);
	s->clock = (uint8_t)lmm_clock_choose();
	s->threads_all = opts->threads_all;
	s->ring_bytes = opts->ring_bytes ? opts->ring_bytes : DEFAULT_RING_BYTES;
	s->memory_bytes = opts->memory_bytes ? opts->memory_bytes : DEFAULT_MEMORY_BYTES;
	s->collector_pid = getpid();
	if (opts->out_path)
		snprintf(s->out_path, sizeof(s->out_path), "%s", opts->out_path);
	atomic_store(&s->op_every, 1);
	atomic_store(&s->recording, 1);
	s->magic = LMM_SHM_MAGIC;
}

static int session_make(const char *base, const struct lmm_folder_opts *opts, struct lmm_folder *f)
{
	char path[LMM_FOLDER_PATH_BYTES];
	int fd, rc = own_dir(base);

	if (rc)
		return rc;
	if (snprintf(f->path, sizeof(f->path), "%s/s-%d-XXXXXX", base, (int)getpid()) >=
	    (int)sizeof(f->path))
		return -ENAMETOOLONG;
	if (!mkdtemp(f->path))
		return -errno;
	rc = session_file(f->path, path);
	if (rc)
		goto err_dir;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	rc = fd < 0 ? -errno : -posix_fallocate(fd, 0, sizeof(*f->shm));
	if (rc == 0)
		rc = map_session(fd, f);
	if (fd >= 0)
		close(fd);
	if (rc)
		goto err_file;
	fill_session(f->shm, opts);
	return 0;

err_file:
	unlink(path);
err_dir:
	rmdir(f->path);
	return rc;
}

int lmm_folder_create(const struct lmm_folder_opts *opts, struct lmm_folder *out)
{
	char base[LMM_FOLDER_PATH_BYTES];
	int rc = -ENOENT;

	for (unsigned i = 0; base_candidate(i, base); i++) {
		int last;

		if (!base[0])
			continue;
		memset(out, 0, sizeof(*out));
		last = session_make(base, opts, out);
		if (last == 0)
			return 0;
		rc = last;
	}
	return rc;
}

int lmm_folder_open(const char *path, struct lmm_folder *out)
{
	char file[LMM_FOLDER_PATH_BYTES];
	struct stat st;
	int fd, rc;

	memset(out, 0, sizeof(*out));
	if (strlen(path) >= sizeof(out->path))
		return -ENAMETOOLONG;
	memcpy(out->path, path, strlen(path) + 1);
	rc = session_file(path, file);
	if (rc)
		return rc;
	fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) ? -errno : 0;
	if (rc == 0 && (st.st_uid != geteuid() || st.st_size < (off_t)sizeof(*out->shm)))
		rc = LMM_E_CORRUPT;
	if (rc == 0)
		rc = map_session(fd, out);
	close(fd);
	if (rc == 0 && (out->shm->magic != LMM_SHM_MAGIC || out->shm->version != LMM_SHM_VERSION ||
			out->shm->bytes != sizeof(*out->shm))) {
		lmm_folder_close(out, 0);
		rc = LMM_E_CORRUPT;
	}
	return rc;
}

static void remove_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, "session") == 0 || e->d_name[0] == 'p' ||
		    strncmp(e->d_name, "liblmmeter", 10) == 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(dir);
}

void lmm_folder_close(struct lmm_folder *f, int remove)
{
	if (f->shm)
		munmap(f->shm, sizeof(*f->shm));
	f->shm = NULL;
	if (remove && f->path[0])
		remove_files(f->path);
}

int lmm_process_is_alive(int32_t pid)
{
	char path[64], text[512];
	const char *state;
	ssize_t n;
	int fd;

	if (pid <= 0 || (kill(pid, 0) && errno == ESRCH))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	state = strrchr(text, ')');
	return !state || (state[1] && state[2] != 'Z' && state[2] != 'X');
}

static int folder_matches(const char *dir, const char *out_path)
{
	struct lmm_folder f;
	char said[sizeof(f.shm->out_path)];
	int rc = lmm_folder_open(dir, &f);

	if (rc)
		return -ENOENT;
	memcpy(said, f.shm->out_path, sizeof(said));
	said[sizeof(said) - 1] = 0;
	rc = strcmp(said, out_path)			  ? -ENOENT
	     : lmm_process_is_alive(f.shm->collector_pid) ? -EBUSY
							  : 0;
	lmm_folder_close(&f, 0);
	return rc;
}

static int find_below(const char *base, const char *out_path, char path[LMM_FOLDER_PATH_BYTES])
{
	DIR *d = opendir(base);
	struct dirent *e;
	int rc = -ENOENT;

	if (!d)
		return -ENOENT;
	while (rc == -ENOENT && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "s-", 2) != 0)
			continue;
		if (snprintf(path, LMM_FOLDER_PATH_BYTES, "%s/%s", base, e->d_name) >=
		    LMM_FOLDER_PATH_BYTES)
			continue;
		rc = folder_matches(path, out_path);
	}
	closedir(d);
	return rc;
}

int lmm_folder_find(const char *out_path, char path[LMM_FOLDER_PATH_BYTES])
{
	char base[LMM_FOLDER_PATH_BYTES];
	int rc = -ENOENT;

	for (unsigned i = 0; rc == -ENOENT && base_candidate(i, base); i++)
		if (base[0])
			rc = find_below(base, out_path, path);
	return rc;
}
