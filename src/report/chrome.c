/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of chrome://tracing: complete events ("X"), counters ("C") and names ("M"). Times are microseconds from the
 * session's start with three decimals. A track is a thread of its own there, numbered as the tracks are.
 */
#include "report/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "report/format.h"
#include "report/json_writer.h"
#include "report/strpool.h"
#include "report/timeline.h"

struct chrome {
	FILE *out;
	uint64_t start_ns;
	int has_events;
	struct lmm_strpool known; /* processes that have a name */
	int32_t *pids;		  /* by track */
	uint32_t n_pids, cap_pids;
};

static void next_event(struct chrome *c)
{
	fputs(c->has_events ? ",\n" : "\n", c->out);
	c->has_events = 1;
}

static void put_us(FILE *out, uint64_t ns)
{
	fprintf(out, "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
}

static int put_session(void *ctx, const struct lmm_result *r, uint64_t start_ns)
{
	struct chrome *c = ctx;

	c->start_ns = start_ns;
	fputs("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"lmmeter\":", c->out);
	lmm_json_put_string(c->out, r->lmmeter);
	fputs(",\"command\":", c->out);
	lmm_json_put_string(c->out, r->command_name);
	fprintf(c->out, ",\"start_realtime_ns\":\"%" PRIu64 "\"},\"traceEvents\":[",
		r->start_realtime_ns);
	return 0;
}

static void put_name(struct chrome *c, const char *kind, int32_t pid, uint32_t tid,
		     const char *name)
{
	next_event(c);
	fprintf(c->out,
		"{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%" PRId32 ",\"tid\":%" PRIu32
		",\"args\":{\"name\":",
		kind, pid, tid);
	lmm_json_put_string(c->out, name);
	fputs("}}", c->out);
}

static int note_pid(struct chrome *c, int32_t pid)
{
	if (c->n_pids == c->cap_pids) {
		uint32_t cap = c->cap_pids ? c->cap_pids * 2 : 16;
		int32_t *pids = realloc(c->pids, cap * sizeof(*pids));

		if (!pids)
			return -ENOMEM;
		c->pids = pids;
		c->cap_pids = cap;
	}
	c->pids[c->n_pids++] = pid;
	return 0;
}

static int put_track(void *ctx, const struct lmm_track *t)
{
	struct chrome *c = ctx;
	char name[160], pid[16];
	int is_new;

	(void)snprintf(pid, sizeof(pid), "%" PRId32, t->pid);
	if (lmm_strpool_add(&c->known, pid, &is_new) == 0)
		return -ENOMEM;
	if (is_new)
		put_name(c, "process_name", t->pid, 0, t->process_name);
	if (t->tid) {
		(void)snprintf(name, sizeof(name), "%s (thread %" PRId32 ")", t->name, t->tid);
	} else {
		(void)snprintf(name, sizeof(name), "%.120s", t->name);
	}
	put_name(c, "thread_name", t->pid, t->track, name);
	next_event(c);
	fprintf(c->out,
		"{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":%" PRId32 ",\"tid\":%" PRIu32
		",\"args\":{\"sort_index\":%u}}",
		t->pid, t->track, (unsigned)t->kind);
	return note_pid(c, t->pid);
}

static void put_arg(FILE *out, const struct lmm_arg *arg)
{
	fprintf(out, "\"%s\":", arg->key);
	switch (arg->kind) {
	case LMM_ARG_U64:
		fprintf(out, "%" PRIu64, arg->u64);
		break;
	case LMM_ARG_I64:
		fprintf(out, "%" PRId64, arg->i64);
		break;
	case LMM_ARG_STRING:
		lmm_json_put_string(out, arg->string);
		break;
	}
}

static uint64_t since_start(const struct chrome *c, uint64_t t_ns)
{
	return t_ns > c->start_ns ? t_ns - c->start_ns : 0;
}

static int put_slice(void *ctx, const struct lmm_slice *s)
{
	struct chrome *c = ctx;
	uint64_t begin_ns = since_start(c, s->begin_ns);

	errno = 0;
	next_event(c);
	fputs("{\"ph\":\"X\",\"name\":", c->out);
	lmm_json_put_string(c->out, s->name);
	fputs(",\"cat\":", c->out);
	lmm_json_put_string(c->out, s->category);
	fprintf(c->out, ",\"pid\":%" PRId32 ",\"tid\":%" PRIu32 ",\"ts\":", c->pids[s->track - 1],
		s->track);
	put_us(c->out, begin_ns);
	fputs(",\"dur\":", c->out);
	put_us(c->out, since_start(c, s->end_ns) - begin_ns);
	fputs(",\"args\":{", c->out);
	for (unsigned i = 0; i < s->n_args; i++) {
		if (i > 0)
			fputc(',', c->out);
		put_arg(c->out, &s->args[i]);
	}
	if (fputs("}}", c->out) < 0 || ferror(c->out))
		return errno ? -errno : -EIO;
	return 0;
}

static int put_counter(void *ctx, const struct lmm_counter *counter)
{
	struct chrome *c = ctx;

	next_event(c);
	fputs("{\"ph\":\"C\",\"name\":", c->out);
	lmm_json_put_string(c->out, counter->name);
	fprintf(c->out, ",\"pid\":%" PRId32 ",\"ts\":", c->pids[counter->track - 1]);
	put_us(c->out, since_start(c, counter->t_ns));
	fprintf(c->out, ",\"args\":{\"%s\":%s}}", counter->unit, lmm_decimal(counter->value, 3).s);
	return 0;
}

int lmm_export_chrome(struct lmm_trace *tr, const struct lmm_result *r, FILE *out)
{
	static const struct lmm_timeline_ops ops = { put_session, put_track, put_slice, put_counter,
						     NULL };
	struct chrome c = { .out = out };
	int rc = lmm_timeline_draw(tr, r, &ops, &c);

	if (rc == 0)
		fputs("\n]}\n", out);
	lmm_strpool_free(&c.known);
	free(c.pids);
	return rc;
}
