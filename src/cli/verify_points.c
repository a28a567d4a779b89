/* SPDX-License-Identifier: Apache-2.0 */
/* Two files that know nothing of each other: when each decode step was, and what was repeated in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verify.h"
#include "reference/reference.h"
#include "wire/repeat.h"

#define CONTEXTS_MAX 64

/* ---- decode steps, by the reference ------------------------------------------------------------- */

struct step {
	uint64_t from_ns, to_ns;
};

struct steps {
	struct step *v;
	size_t n, room;
	struct {
		uint64_t id, from_ns; /* 0: its last pass was of several tokens */
	} contexts[CONTEXTS_MAX];
	unsigned n_contexts;
};

static int push_step(struct steps *s, uint64_t from_ns, uint64_t to_ns)
{
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 256;
		struct step *v = realloc(s->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->room = room;
	}
	s->v[s->n++] = (struct step){ from_ns, to_ns };
	return 0;
}

static int add_pass(struct steps *s, const struct lmm_reference_call *call)
{
	unsigned i = 0;
	int rc = 0;

	while (i < s->n_contexts && s->contexts[i].id != call->context)
		i++;
	if (i == CONTEXTS_MAX)
		return 0;
	if (i == s->n_contexts) {
		s->contexts[s->n_contexts].from_ns = 0;
		s->contexts[s->n_contexts++].id = call->context;
	}
	if (s->contexts[i].from_ns && call->from_ns > s->contexts[i].from_ns)
		rc = push_step(s, s->contexts[i].from_ns, call->from_ns);
	s->contexts[i].from_ns = call->tokens == 1 ? call->from_ns : 0;
	return rc;
}

static int add_calls(void *arg, const struct lmm_reference_call *calls, size_t n, uint64_t all)
{
	struct steps *s = arg;
	int rc = 0;

	(void)all;
	s->n_contexts = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (lmm_reference_kind(&calls[i]) == LMM_REFERENCE_DECODE)
			rc = add_pass(s, &calls[i]);
	}
	return rc;
}

/* NULL: none of the reference's. */
static const struct step *step_at(const struct steps *s, uint64_t t)
{
	for (size_t i = 0; i < s->n; i++) {
		if (t >= s->v[i].from_ns && t < s->v[i].to_ns)
			return &s->v[i];
	}
	return NULL;
}

/* ---- the probe's log ---------------------------------------------------------------------------- */

static int mode_named(const char *name)
{
	static const char *const names[] = { LMM_REPEAT_MODE_NAMES };

	for (int i = 0; i < LMM_REPEAT_MODES; i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

static int push_point(struct lmm_verify_kernel *k, const struct lmm_verify_point *p)
{
	if (k->n == k->room) {
		size_t room = k->room ? k->room * 2 : 256;
		struct lmm_verify_point *v = realloc(k->points, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		k->points = v;
		k->room = room;
	}
	k->points[k->n++] = *p;
	return 0;
}

/* The next n numbers of the line, with single spaces between; 0 if that is all of it. */
static int read_numbers(const char *line, uint64_t *v, unsigned n)
{
	char *end;

	for (unsigned i = 0; i < n; i++) {
		v[i] = strtoull(line, &end, 10);
		if (end == line || *end != (i + 1 < n ? ' ' : '\0'))
			return -1;
		line = end + 1;
	}
	return 0;
}

struct log {
	struct lmm_verify_kernel *kernel;
	struct steps steps;
	uint32_t first_block, next_block;
};

/* step T MODE K B N */
static int add_step(struct log *l, char *line)
{
	struct lmm_verify_point p = { 0 };
	const struct step *step;
	char *mode = strchr(line, ' '), *rest = mode ? strchr(mode + 1, ' ') : NULL;
	uint64_t t, v[3];
	int at;

	if (!rest)
		return 0;
	*mode++ = *rest++ = '\0';
	at = mode_named(mode);
	if (at < 0 || read_numbers(line, &t, 1) || read_numbers(rest, v, 3) || v[0] > UINT16_MAX ||
	    v[1] > UINT16_MAX || v[2] > UINT32_MAX)
		return 0;
	step = step_at(&l->steps, t);
	if (!step)
		return 0;
	p.mode = (uint8_t)at;
	p.times = (uint16_t)v[0];
	p.block = l->first_block + (uint32_t)v[1];
	p.further = (uint32_t)v[2];
	p.step_ns = (double)(step->to_ns - step->from_ns);
	if (p.block >= l->next_block)
		l->next_block = p.block + 1;
	return push_point(l->kernel, &p);
}

static int add_line(struct log *l, char *line)
{
	char *rest = strchr(line, ' ');
	uint64_t v[2];

	if (!rest)
		return 0;
	*rest++ = '\0';
	if (strcmp(line, "step") == 0)
		return add_step(l, rest);
	if (strcmp(line, "scratch") == 0 && read_numbers(rest, v, 2) == 0) {
		l->kernel->copied = (unsigned)v[0];
		l->kernel->buffers = (unsigned)v[1];
	} else if (strcmp(line, "in-place") == 0 || strcmp(line, "fault") == 0) {
		(void)snprintf(l->kernel->remark, sizeof(l->kernel->remark), "%s", rest);
	}
	return 0;
}

static int read_log(void *arg, int fd)
{
	FILE *f = fdopen(fd, "r");
	char line[256];
	int rc = 0;

	if (!f) {
		close(fd);
		return 0;
	}
	while (rc == 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		rc = add_line(arg, line);
	}
	fclose(f);
	return rc;
}

int lmm_verify_points_read(struct lmm_verify_kernel *k, const char *folder, const char *ruler,
			   const char *log, uint32_t first_block, uint32_t *next_block)
{
	struct log l = { .kernel = k, .first_block = first_block, .next_block = first_block };
	int rc = lmm_reference_each(folder, ruler, add_calls, &l.steps);

	if (rc == 0)
		rc = lmm_runs_each_file(folder, log, read_log, &l);
	*next_block = l.next_block;
	free(l.steps.v);
	return rc;
}
