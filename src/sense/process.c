/* SPDX-License-Identifier: Apache-2.0 */
/* How the traced process fares: whether its threads get a core when they are ready to run, and its page faults. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sense/sense_internal.h"

#define THREADS_READ 16
#define LOOK_EVERY   10u /* rounds */

struct thread {
	char path[LMM_I_PATH_BYTES]; /* of its schedstat */
	int fd;			     /* -1: free */
	uint64_t waited;	     /* ns */
	uint8_t is_there;
};

struct process {
	int32_t pid; /* 0: none yet */
	int stat;    /* -1: not opened */
	uint32_t rounds;
	struct thread thread[THREADS_READ];
	uint64_t waited_ns; /* Σ over rounds of the thread that waited most */
};

/* ---- threads ------------------------------------------------------------------------------------ */

static void thread_close(struct thread *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

/* "ran waited slices", in ns, ns and a number. */
static int thread_waited(const struct thread *t, uint64_t *ns)
{
	char text[96], *end;
	int rc = lmm__read_text(t->fd, text, sizeof(text));

	if (rc < 0)
		return rc;
	(void)strtoull(text, &end, 10);
	if (*end != ' ')
		return -EINVAL;
	*ns = strtoull(end, NULL, 10);
	return 0;
}

static void thread_add(struct lmm_sense *s, const char *path, const char *name)
{
	struct process *p = s->process;
	char file[LMM_I_PATH_BYTES];
	struct thread *place = NULL;

	(void)name;
	if (lmm__path(file, sizeof(file), "%s/schedstat", path))
		return;
	for (unsigned i = 0; i < THREADS_READ; i++) {
		struct thread *t = &p->thread[i];

		if (t->fd >= 0 && strcmp(t->path, file) == 0) {
			t->is_there = 1;
			return;
		}
		if (t->fd < 0 && !place)
			place = t;
	}
	if (!place)
		return;
	place->fd = lmm__open(s, file);
	if (place->fd < 0)
		return;
	memcpy(place->path, file, sizeof(file));
	place->is_there = 1;
	if (thread_waited(place, &place->waited))
		thread_close(place);
}

/* Those that have ended make room. */
static int threads_look(struct lmm_sense *s)
{
	struct process *p = s->process;
	char folder[64];
	int rc;

	for (unsigned i = 0; i < THREADS_READ; i++)
		p->thread[i].is_there = 0;
	rc = lmm__path(folder, sizeof(folder), "/proc/%d/task", p->pid);
	if (rc == 0)
		rc = lmm__each(s, folder, "", THREADS_READ, thread_add);
	for (unsigned i = 0; i < THREADS_READ; i++) {
		if (!p->thread[i].is_there)
			thread_close(&p->thread[i]);
	}
	return rc;
}

static int read_run_wait(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	struct process *p = s->process;
	uint64_t most = 0;
	int n = 0;

	(void)x;
	if (p->pid == 0)
		return -ENODATA;
	if (p->rounds++ % LOOK_EVERY == 0)
		(void)threads_look(s);
	for (unsigned i = 0; i < THREADS_READ; i++) {
		struct thread *t = &p->thread[i];
		uint64_t now;

		if (t->fd < 0 || thread_waited(t, &now))
			continue;
		n++;
		if (now > t->waited && now - t->waited > most)
			most = now - t->waited;
		t->waited = now;
	}
	if (n == 0)
		return -ENODATA;
	p->waited_ns += most;
	*value = (int64_t)(p->waited_ns / 1000);
	return 0;
}

/* ---- page faults -------------------------------------------------------------------------------- */

/* Fields are counted behind the name, which may hold anything: the third is the first behind its bracket. */
static int read_faults(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	struct process *p = s->process;
	char text[1024], *at;
	int rc = p->stat < 0 ? -ENODATA : lmm__read_text(p->stat, text, sizeof(text));

	if (rc < 0)
		return rc;
	at = strrchr(text, ')');
	for (unsigned i = 2; at && i < x->what; i++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EINVAL;
	lmm__count_on(x, strtoull(at + 1, NULL, 10));
	*value = (int64_t)(x->sum & INT64_MAX);
	return 0;
}

static void add(struct lmm_sense *s, enum lmm_sensor_kind kind, const char *source, unsigned field)
{
	struct sensor *x = lmm__begin(s, FAMILY_PROCESS, kind, source);

	if (!x)
		return;
	x->read = field ? read_faults : read_run_wait;
	x->what = (uint8_t)field;
	lmm__name(x, LMM_COMPONENT_PROCESS, "process");
	(void)lmm__commit(s, x);
}

/* ---- all ---------------------------------------------------------------------------------------- */

int lmm__find_process(struct lmm_sense *s)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	s->process = p;
	p->stat = -1;
	for (unsigned i = 0; i < THREADS_READ; i++)
		p->thread[i].fd = -1;
	add(s, LMM_SENSOR_RUN_WAIT, "/proc/PID/task/*/schedstat", 0);
	add(s, LMM_SENSOR_MAJOR_FAULTS, "/proc/PID/stat", 12);
	add(s, LMM_SENSOR_MINOR_FAULTS, "/proc/PID/stat", 10);
	return 0;
}

static void forget(struct process *p)
{
	for (unsigned i = 0; i < THREADS_READ; i++)
		thread_close(&p->thread[i]);
	if (p->stat >= 0)
		close(p->stat);
	p->stat = -1;
}

void lmm_sense_watch(struct lmm_sense *s, int32_t pid)
{
	struct process *p = s->process;
	char path[64];

	if (!p || pid <= 0 || pid == p->pid)
		return;
	forget(p);
	p->pid = pid;
	p->rounds = 0;
	if (lmm__path(path, sizeof(path), "/proc/%d/stat", pid) == 0)
		p->stat = lmm__open(s, path);
	/* sums go on from where the last one's stood */
	for (unsigned i = 0; i < s->n_read; i++) {
		if (s->sensor[i].family == FAMILY_PROCESS)
			s->sensor[i].has_last = 0;
	}
}

void lmm__process_close(struct process *p)
{
	if (!p)
		return;
	forget(p);
	free(p);
}
