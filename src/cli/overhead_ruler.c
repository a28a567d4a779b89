/* SPDX-License-Identifier: Apache-2.0 */
/* The file of the reference recorder: from an engine's calls to the times of prefill and decode. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/overhead.h"
#include "reference/reference.h"

#define CONTEXTS_MAX 64

/* ---- lists -------------------------------------------------------------------------------------- */

static int push(double **v, size_t *n, size_t *room, double value)
{
	if (*n == *room) {
		size_t more = *room ? *room * 2 : 256;
		double *p = realloc(*v, more * sizeof(*p));

		if (!p)
			return -ENOMEM;
		*v = p;
		*room = more;
	}
	(*v)[(*n)++] = value;
	return 0;
}

void lmm_overhead_times_free(struct lmm_overhead_times *t)
{
	free(t->decodes);
	free(t->prefills);
	memset(t, 0, sizeof(*t));
}

/* ---- calls to times ----------------------------------------------------------------------------- */

/* What one context of the engine is doing. */
struct context {
	uint64_t id;
	uint64_t prefill_from_ns; /* 0: none is open */
	uint64_t synced_ns;	  /* the open prefill was waited for until then; 0 */
	uint64_t decode_from_ns;  /* the pass before was one of a single token, begun then; 0 */
};

struct walk {
	struct lmm_overhead_times *times;
	struct context contexts[CONTEXTS_MAX];
	unsigned n;
	struct context *last; /* that made the newest pass */
	int only_read;	      /* prefills whose result nobody reads do not count */
	int rc;
};

static struct context *context_of(struct walk *w, uint64_t id)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (w->contexts[i].id == id)
			return &w->contexts[i];
	}
	if (w->n == CONTEXTS_MAX)
		return NULL;
	w->contexts[w->n].id = id;
	return &w->contexts[w->n++];
}

static void prefill_close(struct walk *w, struct context *c, uint64_t end_ns, int is_read)
{
	struct lmm_overhead_times *t = w->times;
	uint64_t from = c->prefill_from_ns;

	c->prefill_from_ns = c->synced_ns = 0;
	if (!from || end_ns <= from || (w->only_read && !is_read))
		return;
	if (!t->first_token_at_ns || from < t->first_token_at_ns) {
		t->first_token_at_ns = from;
		t->first_token_ns = (double)(end_ns - from);
	}
	if (!w->rc) {
		w->rc = push(&t->prefills, &t->n_prefills, &t->prefills_room,
			     (double)(end_ns - from));
	}
}

static void on_pass(struct walk *w, const struct lmm_reference_call *call)
{
	struct context *c = context_of(w, call->context);
	struct lmm_overhead_times *t = w->times;
	int single = lmm_reference_kind(call) == LMM_REFERENCE_DECODE && call->tokens == 1;

	if (!c)
		return;
	w->last = c;
	if (c->synced_ns) {
		prefill_close(w, c, c->synced_ns, 0);
	} else if (single) {
		prefill_close(w, c, call->from_ns, 0);
	}
	if (!single) {
		/* a prompt may be cut into several passes; they are one prefill */
		if (!c->prefill_from_ns)
			c->prefill_from_ns = call->from_ns;
		c->decode_from_ns = 0;
		return;
	}
	if (c->decode_from_ns && call->from_ns > c->decode_from_ns && !w->rc) {
		w->rc = push(&t->decodes, &t->n_decodes, &t->decodes_room,
			     (double)(call->from_ns - c->decode_from_ns));
	}
	c->decode_from_ns = call->from_ns;
}

static int is_read(const struct lmm_reference_call *call)
{
	enum lmm_reference_kind kind = lmm_reference_kind(call);

	return kind == LMM_REFERENCE_READ || kind == LMM_REFERENCE_SAMPLE ||
	       kind == LMM_REFERENCE_APPLY;
}

static void on_call(struct walk *w, const struct lmm_reference_call *call)
{
	struct context *c = call->context ? context_of(w, call->context) : w->last;

	switch (lmm_reference_kind(call)) {
	case LMM_REFERENCE_DECODE:
	case LMM_REFERENCE_ENCODE:
		on_pass(w, call);
		break;
	case LMM_REFERENCE_SYNC:
		if (c && c->prefill_from_ns)
			c->synced_ns = call->to_ns;
		break;
	case LMM_REFERENCE_READ:
	case LMM_REFERENCE_SAMPLE:
	case LMM_REFERENCE_APPLY:
		if (c && call->to_ns)
			prefill_close(w, c, call->to_ns, 1);
		break;
	default:
		break;
	}
}

int lmm_overhead_times_add(struct lmm_overhead_times *t, const struct lmm_reference_call *calls,
			   size_t n)
{
	struct walk *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->times = t;
	for (size_t i = 0; i < n; i++)
		w->only_read |= is_read(&calls[i]);
	for (size_t i = 0; i < n; i++)
		on_call(w, &calls[i]);
	for (unsigned i = 0; i < w->n; i++) {
		if (w->contexts[i].synced_ns)
			prefill_close(w, &w->contexts[i], w->contexts[i].synced_ns, 0);
	}
	rc = w->rc;
	free(w);
	return rc;
}

void lmm_overhead_times_sum(struct lmm_overhead_times *t, struct lmm_overhead_run *run)
{
	run->first_token_ns = t->first_token_ns;
	run->prefills = (uint32_t)t->n_prefills;
	run->decodes = (uint32_t)t->n_decodes;
	run->calls = t->calls;
	run->not_kept = t->not_kept;
	run->prefill_ns = 0;
	for (size_t i = 0; i < t->n_prefills; i++)
		run->prefill_ns += t->prefills[i] / (double)t->n_prefills;
	run->decode_ns = t->n_decodes ? lmm_overhead_median(t->decodes, t->n_decodes) : 0;
}

/* ---- files -------------------------------------------------------------------------------------- */

int lmm_runs_each_file(const char *folder, const char *prefix, int (*fn)(void *arg, int fd),
		       void *arg)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;
	int rc = 0;

	if (!dir)
		return -errno;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	while (rc == 0 && (e = readdir(dir))) {
		int fd;

		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			rc = fn(arg, fd);
	}
	closedir(dir);
	return rc;
}

struct each {
	lmm_reference_fn fn;
	void *arg;
};

static int map_file(const struct each *each, int fd)
{
	const struct lmm_reference *f;
	struct stat st;
	uint64_t n;
	int rc = 0;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof(*f))
		return 0;
	f = mmap(NULL, sizeof(*f), PROT_READ, MAP_PRIVATE, fd, 0);
	if (f == MAP_FAILED)
		return -errno;
	if (f->magic == LMM_REFERENCE_MAGIC) {
		n = atomic_load_explicit(&f->n, memory_order_acquire);
		rc = each->fn(each->arg, f->calls,
			      n < LMM_REFERENCE_MAX ? (size_t)n : LMM_REFERENCE_MAX, n);
	}
	munmap((void *)(uintptr_t)f, sizeof(*f));
	return rc;
}

static int read_file(void *arg, int fd)
{
	int rc = map_file(arg, fd);

	close(fd);
	return rc;
}

int lmm_reference_each(const char *folder, const char *prefix, lmm_reference_fn fn, void *arg)
{
	struct each each = { fn, arg };

	return lmm_runs_each_file(folder, prefix, read_file, &each);
}

static int add_calls(void *arg, const struct lmm_reference_call *calls, size_t n, uint64_t all)
{
	struct lmm_overhead_times *t = arg;

	t->calls += all;
	t->not_kept += all - n;
	return lmm_overhead_times_add(t, calls, n);
}

int lmm_overhead_times_read(struct lmm_overhead_times *t, const char *folder, const char *prefix)
{
	return lmm_reference_each(folder, prefix, add_calls, t);
}
