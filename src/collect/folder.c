/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/process.h"

#define DEFAULT_MEMORY_BYTES (64u << 20)
#define DEFAULT_RING_BYTES   (2u << 20)
#define GONE		     "gone-" /* begins the name of a folder that is being removed */

/* Fills base with the i-th place to try. 0: there is no such place; 1: tried by name as it is; */
static int base_candidate(unsigned i, char base[LMM_FOLDER_PATH_BYTES])
{
	static const char *const variable[] = { "LMMETER_DIR", "XDG_RUNTIME_DIR", NULL, "TMPDIR",
						NULL };
	static const char *const fixed[] = { NULL, NULL, "/dev/shm", NULL, "/tmp" };
	const char *dir;

	if (i >= LMM_ARRAY_SIZE(fixed))
		return 0;
	dir = variable[i] ? getenv(variable[i]) : fixed[i]; /* NOLINT(concurrency-mt-unsafe) */
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

/* ---- whose it is -------------------------------------------------------------------------------- */

static int collector_is_alive(const struct lmm_shm_session *s)
{
	uint64_t started;

	if (!lmm_process_is_alive(s->collector_pid))
		return 0;
	started = lmm_process_started(s->collector_pid);
	return !started || !s->collector_started || started == s->collector_started;
}

/* The number may have come round: a traced process has the session's files mapped. */
static int has_mapped(int32_t pid, const char *folder)
{
	const char *name = strrchr(folder, '/');
	char path[64], *line = NULL;
	size_t bytes = 0;
	int found = 0, has_lines = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno != ENOENT;
	while (name && !found && getline(&line, &bytes, maps) > 0) {
		has_lines = 1;
		found = strstr(line, name) != NULL;
	}
	free(line);
	fclose(maps);
	/* its first thread has ended: then nothing is shown, though the others have it mapped */
	return found || !has_lines;
}

/* ---- the folder --------------------------------------------------------------------------------- */

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
	s->device_budget_ppm = opts->device_budget_ppm;
	s->kernel_times = opts->kernel_times;
	s->ring_bytes = opts->ring_bytes ? opts->ring_bytes : DEFAULT_RING_BYTES;
	s->memory_bytes = opts->memory_bytes ? opts->memory_bytes : DEFAULT_MEMORY_BYTES;
	s->pid_namespace = lmm_pid_namespace();
	s->collector_pid = getpid();
	s->collector_started = lmm_process_started(s->collector_pid);
	if (opts->out_path)
		snprintf(s->out_path, sizeof(s->out_path), "%s", opts->out_path);
	atomic_store(&s->op_every, 1);
	atomic_store(&s->recording, opts->is_asleep ? 0 : 1);
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

int lmm_folder_base(char base[LMM_FOLDER_PATH_BYTES])
{
	int rc = -ENOENT;

	for (unsigned i = 0; base_candidate(i, base); i++) {
		if (base[0] && (rc = own_dir(base)) == 0)
			return 0;
	}
	return rc;
}

int lmm_folder_create(const struct lmm_folder_opts *opts, struct lmm_folder *out)
{
	char base[LMM_FOLDER_PATH_BYTES];
	int rc = -ENOENT;

	if (opts->base) {
		memset(out, 0, sizeof(*out));
		return session_make(opts->base, opts, out);
	}
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
	while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (strcmp(e->d_name, "session") == 0 || e->d_name[0] == 'p' ||
		    strncmp(e->d_name, "liblmmeter", 10) == 0)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	rmdir(dir);
}

/* It goes at once, by its name: killed at it, another one sees what is left to do. */
static void folder_remove(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	char gone[LMM_FOLDER_PATH_BYTES + sizeof(GONE)];

	snprintf(gone, sizeof(gone), "%.*s" GONE "%s", (int)(name - path), path, name);
	remove_files(rename(path, gone) == 0 ? gone : path);
}

void lmm_folder_close(struct lmm_folder *f, int remove)
{
	if (f->shm)
		munmap(f->shm, sizeof(*f->shm));
	f->shm = NULL;
	if (remove && f->path[0])
		folder_remove(f->path);
}

void lmm_folder_take_over(struct lmm_folder *f)
{
	f->shm->collector_started = lmm_process_started(getpid());
	f->shm->collector_pid = getpid();
}

void lmm_folder_let_go(struct lmm_folder *f)
{
	f->shm->collector_pid = 0;
}

static int32_t traced_pid(const struct lmm_folder *f, uint32_t i)
{
	char path[LMM_FOLDER_PATH_BYTES + 32];
	struct lmm_shm_process p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/p%u", f->path, i);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	n = read(fd, &p, sizeof(p));
	close(fd);
	return n == (ssize_t)sizeof(p) ? lmm_process_seen_from_here(p.pid, p.pid_namespace) : 0;
}

unsigned lmm_folder_alive(const struct lmm_folder *f)
{
	uint32_t n = atomic_load(&f->shm->n_processes);
	unsigned alive = 0;

	for (uint32_t i = 0; i < n && i < LMM_SHM_PROCESS_MAX; i++) {
		int32_t pid = traced_pid(f, i);

		alive += pid > 0 && lmm_process_is_alive(pid) && has_mapped(pid, f->path);
	}
	return alive;
}

/* ---- folders of others -------------------------------------------------------------------------- */

static void said_path(const struct lmm_folder *f, char path[sizeof(f->shm->out_path)])
{
	memcpy(path, f->shm->out_path, sizeof(f->shm->out_path));
	path[sizeof(f->shm->out_path) - 1] = 0;
}

static int folder_matches(const char *dir, void *ctx)
{
	const char *out_path = ctx;
	struct lmm_folder f;
	char said[sizeof(f.shm->out_path)];
	int rc = lmm_folder_open(dir, &f);

	if (rc)
		return -ENOENT;
	said_path(&f, said);
	if (strcmp(said, out_path) != 0) {
		rc = -ENOENT;
	} else if (f.shm->pid_namespace != lmm_pid_namespace() || collector_is_alive(f.shm)) {
		rc = -EBUSY;
	}
	lmm_folder_close(&f, 0);
	return rc;
}

/* Calls visit for each folder below base whose name begins so until it returns something else than -ENOENT. */
static int for_each(const char *base, const char *begin, int (*visit)(const char *dir, void *ctx),
		    void *ctx, char path[LMM_FOLDER_PATH_BYTES])
{
	DIR *d = opendir(base);
	struct dirent *e;
	int rc = -ENOENT;

	if (!d)
		return -ENOENT;
	while (rc == -ENOENT && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (strncmp(e->d_name, begin, strlen(begin)) != 0)
			continue;
		if (snprintf(path, LMM_FOLDER_PATH_BYTES, "%s/%s", base, e->d_name) <
		    LMM_FOLDER_PATH_BYTES)
			rc = visit(path, ctx);
	}
	closedir(d);
	return rc;
}

static int for_each_session(const char *base, int (*visit)(const char *dir, void *ctx), void *ctx,
			    char path[LMM_FOLDER_PATH_BYTES])
{
	return for_each(base, "s-", visit, ctx, path);
}

int lmm_folder_find(const char *out_path, char path[LMM_FOLDER_PATH_BYTES])
{
	char base[LMM_FOLDER_PATH_BYTES];
	int rc = -ENOENT;

	for (unsigned i = 0; rc == -ENOENT && base_candidate(i, base); i++) {
		if (base[0])
			rc = for_each_session(base, folder_matches, (void *)out_path, path);
	}
	return rc;
}

static int is_abandoned(const struct lmm_folder *f)
{
	char said[sizeof(f->shm->out_path)];
	struct stat st;

	if (f->shm->pid_namespace != lmm_pid_namespace() || collector_is_alive(f->shm))
		return 0;
	said_path(f, said);
	if (said[0] && (lstat(said, &st) == 0 || (errno != ENOENT && errno != ENOTDIR)))
		return 0;
	return lmm_folder_alive(f) == 0;
}

/* Always -ENOENT: go on. */
static int sweep_one(const char *dir, void *ctx)
{
	struct lmm_folder f;

	(void)ctx;
	if (lmm_folder_open(dir, &f) == 0)
		lmm_folder_close(&f, is_abandoned(&f));
	return -ENOENT;
}

/* Always -ENOENT: go on. */
static int gone_one(const char *dir, void *ctx)
{
	(void)ctx;
	remove_files(dir);
	return -ENOENT;
}

/* What others could have put there is not touched. */
static void sweep(const char *begin, int (*visit)(const char *dir, void *ctx))
{
	char base[LMM_FOLDER_PATH_BYTES], path[LMM_FOLDER_PATH_BYTES];
	struct stat st;

	for (unsigned i = 0; base_candidate(i, base); i++) {
		if (base[0] && lstat(base, &st) == 0 && S_ISDIR(st.st_mode) &&
		    st.st_uid == geteuid() && !(st.st_mode & 077))
			for_each(base, begin, visit, NULL, path);
	}
}

void lmm_folder_sweep(void)
{
	sweep("s-", sweep_one);
	lmm_folder_sweep_gone();
}

void lmm_folder_sweep_gone(void)
{
	sweep(GONE, gone_one);
}

/* ---- what is being recorded --------------------------------------------------------------------- */

struct search {
	int32_t pid;
	struct lmm_folder_session *out;
	unsigned n, max;
};

static int has_traced(const struct lmm_folder *f, int32_t pid)
{
	uint32_t n = atomic_load(&f->shm->n_processes);

	for (uint32_t i = 0; i < n && i < LMM_SHM_PROCESS_MAX; i++) {
		if (traced_pid(f, i) == pid)
			return 1;
	}
	return 0;
}

static void traced_fill(const struct lmm_folder *f, struct lmm_folder_session *to)
{
	uint32_t n = atomic_load(&f->shm->n_processes);

	for (uint32_t i = 0; i < n && i < LMM_SHM_PROCESS_MAX; i++) {
		int32_t pid = traced_pid(f, i);

		if (pid <= 0 || !lmm_process_is_alive(pid) || !has_mapped(pid, f->path))
			continue;
		to->alive++;
		to->traced_pid = to->traced_pid ? to->traced_pid : pid;
	}
}

/* The oldest ones fall out at the end. */
static void search_put(struct search *x, const struct lmm_folder *f)
{
	struct lmm_folder_session s = { .collector_pid = f->shm->collector_pid,
					.started = f->shm->collector_started };
	unsigned at = x->n;

	said_path(f, s.out_path);
	/* two of the places may be one */
	for (unsigned i = 0; i < x->n; i++) {
		if (x->out[i].collector_pid == s.collector_pid &&
		    strcmp(x->out[i].out_path, s.out_path) == 0)
			return;
	}
	traced_fill(f, &s);
	while (at > 0 && x->out[at - 1].started < s.started)
		at--;
	if (at == x->max)
		return;
	x->n += x->n < x->max;
	memmove(&x->out[at + 1], &x->out[at], (x->n - at - 1) * sizeof(*x->out));
	x->out[at] = s;
}

/* Always -ENOENT: all are looked at. */
static int recording_look(const char *dir, void *ctx)
{
	struct search *x = ctx;
	struct lmm_folder f;

	if (lmm_folder_open(dir, &f))
		return -ENOENT;
	if (f.shm->out_path[0] && f.shm->pid_namespace == lmm_pid_namespace() &&
	    collector_is_alive(f.shm) &&
	    (!x->pid || f.shm->collector_pid == x->pid || has_traced(&f, x->pid)))
		search_put(x, &f);
	lmm_folder_close(&f, 0);
	return -ENOENT;
}

unsigned lmm_folder_recordings(int32_t pid, struct lmm_folder_session *out, unsigned max)
{
	char base[LMM_FOLDER_PATH_BYTES], path[LMM_FOLDER_PATH_BYTES];
	struct search x = { .pid = pid, .out = out, .max = max };

	for (unsigned i = 0; base_candidate(i, base); i++) {
		if (base[0])
			for_each_session(base, recording_look, &x, path);
		/* $LMMETER_DIR: what was named is what is meant */
		if (i == 0 && base[0])
			break;
	}
	return x.n;
}
