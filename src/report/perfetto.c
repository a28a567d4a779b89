/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perfetto's native format: a Trace message, which is TracePacket after TracePacket, so it can be written as it comes.
 * Field numbers are those of perfetto's public .proto files (trace_packet, track_event, track_descriptor,
 * interned_data, clock_snapshot). Repeated strings are interned: given once with a number, then named by it.
 */
#include "report/export.h"

#include <errno.h>
#include <string.h>

#include "report/protobuf.h"
#include "report/strpool.h"
#include "report/timeline.h"

enum {
	TRACE_PACKET = 1,

	PACKET_CLOCK_SNAPSHOT = 6,
	PACKET_TIMESTAMP = 8,
	PACKET_SEQUENCE_ID = 10,
	PACKET_TRACK_EVENT = 11,
	PACKET_INTERNED_DATA = 12,
	PACKET_SEQUENCE_FLAGS = 13,
	PACKET_TIMESTAMP_CLOCK_ID = 58,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK_DESCRIPTOR = 60,
	PACKET_FIRST_ON_SEQUENCE = 87,

	SNAPSHOT_CLOCKS = 1,
	SNAPSHOT_PRIMARY = 2,
	CLOCK_ID = 1,
	CLOCK_TIMESTAMP = 2,

	TRACK_UUID = 1,
	TRACK_NAME = 2,
	TRACK_PROCESS = 3,
	TRACK_THREAD = 4,
	TRACK_PARENT_UUID = 5,
	TRACK_COUNTER = 8,
	TRACK_RANK = 12,
	TRACK_SIBLING_MERGE = 15,

	PROCESS_PID = 1,
	PROCESS_NAME = 6,
	THREAD_PID = 1,
	THREAD_TID = 2,
	THREAD_NAME = 5,

	EVENT_CATEGORY_IIDS = 3,
	EVENT_ANNOTATIONS = 4,
	EVENT_TYPE = 9,
	EVENT_NAME_IID = 10,
	EVENT_TRACK_UUID = 11,
	EVENT_DOUBLE_COUNTER = 44,

	ANNOTATION_NAME_IID = 1,
	ANNOTATION_UINT = 3,
	ANNOTATION_INT = 4,
	ANNOTATION_STRING_IID = 17,

	INTERNED_CATEGORIES = 1,
	INTERNED_EVENT_NAMES = 2,
	INTERNED_ANNOTATION_NAMES = 3,
	INTERNED_ANNOTATION_STRINGS = 29,
	INTERNED_IID = 1,
	INTERNED_TEXT = 2,
};

enum {
	SEQUENCE = 1,
	FLAG_STATE_CLEARED = 1,
	FLAG_NEEDS_STATE = 2,
	CLOCK_REALTIME_ID = 1,
	CLOCK_MONOTONIC_ID = 3,
	EVENT_SLICE_BEGIN = 1,
	EVENT_SLICE_END = 2,
	EVENT_COUNTER = 4,
	MERGE_NONE = 2,
};

enum { N_TABLES = 4 };

static const uint32_t table_fields[N_TABLES] = { INTERNED_CATEGORIES, INTERNED_EVENT_NAMES,
						 INTERNED_ANNOTATION_NAMES,
						 INTERNED_ANNOTATION_STRINGS };

enum table { CATEGORIES, EVENT_NAMES, ANNOTATION_NAMES, ANNOTATION_STRINGS };

struct perfetto {
	FILE *out;
	struct lmm_buf packet;
	struct lmm_buf interned; /* entries that the packet being made needs for the first time */
	struct lmm_strpool tables[N_TABLES];
	struct lmm_strpool
		known; /* processes and threads that have a descriptor, as "pid" and "pid/tid" */
	int is_out_of_memory;
};

/* ---- packets ------------------------------------------------------------------------------------ */

static size_t packet_begin(struct perfetto *p)
{
	lmm_buf_clear(&p->packet);
	lmm_buf_clear(&p->interned);
	return lmm_pb_begin(&p->packet, TRACE_PACKET);
}

static int packet_end(struct perfetto *p, size_t begin)
{
	lmm_pb_u64(&p->packet, PACKET_SEQUENCE_ID, SEQUENCE);
	if (p->interned.n > 0)
		lmm_pb_bytes(&p->packet, PACKET_INTERNED_DATA, p->interned.data, p->interned.n);
	lmm_pb_end(&p->packet, begin);
	if (p->packet.overflow || p->interned.overflow || p->is_out_of_memory)
		return -ENOMEM;
	errno = 0;
	if (fwrite(p->packet.data, 1, p->packet.n, p->out) != p->packet.n)
		return errno ? -errno : -EIO;
	return 0;
}

static uint32_t intern(struct perfetto *p, enum table table, const char *text)
{
	int is_new;
	uint32_t iid = lmm_strpool_add(&p->tables[table], text, &is_new);

	if (iid == 0)
		p->is_out_of_memory = 1;
	if (is_new) {
		size_t entry = lmm_pb_begin(&p->interned, table_fields[table]);

		lmm_pb_u64(&p->interned, INTERNED_IID, iid);
		lmm_pb_string(&p->interned, INTERNED_TEXT, text);
		lmm_pb_end(&p->interned, entry);
	}
	return iid;
}

/* ---- session ------------------------------------------------------------------------------------ */

static void put_clock(struct perfetto *p, uint32_t id, uint64_t t_ns)
{
	size_t clock = lmm_pb_begin(&p->packet, SNAPSHOT_CLOCKS);

	lmm_pb_u64(&p->packet, CLOCK_ID, id);
	lmm_pb_u64(&p->packet, CLOCK_TIMESTAMP, t_ns);
	lmm_pb_end(&p->packet, clock);
}

/*
 * Stamps are CLOCK_MONOTONIC. Without the snapshot that makes it the trace's own clock, Perfetto would take it for one
 * that it cannot convert to CLOCK_BOOTTIME, whose distance the recording does not know.
 */
static int put_session(void *ctx, const struct lmm_result *r, uint64_t start_ns)
{
	struct perfetto *p = ctx;
	size_t packet = packet_begin(p);
	size_t inner = lmm_pb_begin(&p->packet, PACKET_CLOCK_SNAPSHOT);
	int rc;

	put_clock(p, CLOCK_MONOTONIC_ID, start_ns);
	put_clock(p, CLOCK_REALTIME_ID, r->start_realtime_ns);
	lmm_pb_u64(&p->packet, SNAPSHOT_PRIMARY, CLOCK_MONOTONIC_ID);
	lmm_pb_end(&p->packet, inner);
	rc = packet_end(p, packet);
	if (rc < 0)
		return rc;
	packet = packet_begin(p);
	lmm_pb_u64(&p->packet, PACKET_FIRST_ON_SEQUENCE, 1);
	lmm_pb_u64(&p->packet, PACKET_SEQUENCE_FLAGS, FLAG_STATE_CLEARED);
	inner = lmm_pb_begin(&p->packet, PACKET_DEFAULTS);
	lmm_pb_u64(&p->packet, PACKET_TIMESTAMP_CLOCK_ID, CLOCK_MONOTONIC_ID);
	lmm_pb_end(&p->packet, inner);
	return packet_end(p, packet);
}

/* ---- tracks ------------------------------------------------------------------------------------- */

/* Tracks get their number, processes and threads numbers from 2^32 and from 2^63 on. */
static uint64_t process_uuid(uint32_t process)
{
	return (1ull << 32) + process;
}

static uint64_t thread_uuid(const struct lmm_track *t)
{
	return (1ull << 63) | (uint64_t)t->process << 32 | (uint32_t)t->tid;
}

static int is_first(struct perfetto *p, uint64_t uuid)
{
	char key[24];
	int is_new;

	(void)snprintf(key, sizeof(key), "%llx", (unsigned long long)uuid);
	if (lmm_strpool_add(&p->known, key, &is_new) == 0)
		p->is_out_of_memory = 1;
	return is_new;
}

static int put_process(struct perfetto *p, const struct lmm_track *t)
{
	size_t packet, track, inner;

	if (!is_first(p, process_uuid(t->process)))
		return 0;
	packet = packet_begin(p);
	track = lmm_pb_begin(&p->packet, PACKET_TRACK_DESCRIPTOR);
	lmm_pb_u64(&p->packet, TRACK_UUID, process_uuid(t->process));
	inner = lmm_pb_begin(&p->packet, TRACK_PROCESS);
	lmm_pb_i64(&p->packet, PROCESS_PID, t->pid);
	lmm_pb_string(&p->packet, PROCESS_NAME, t->process_name);
	lmm_pb_end(&p->packet, inner);
	lmm_pb_end(&p->packet, track);
	return packet_end(p, packet);
}

static int put_thread(struct perfetto *p, const struct lmm_track *t)
{
	size_t packet, track, inner;

	if (t->tid == 0 || !is_first(p, thread_uuid(t)))
		return 0;
	packet = packet_begin(p);
	track = lmm_pb_begin(&p->packet, PACKET_TRACK_DESCRIPTOR);
	lmm_pb_u64(&p->packet, TRACK_UUID, thread_uuid(t));
	lmm_pb_u64(&p->packet, TRACK_PARENT_UUID, process_uuid(t->process));
	inner = lmm_pb_begin(&p->packet, TRACK_THREAD);
	lmm_pb_i64(&p->packet, THREAD_PID, t->pid);
	lmm_pb_i64(&p->packet, THREAD_TID, t->tid);
	lmm_pb_end(&p->packet, inner);
	lmm_pb_end(&p->packet, track);
	return packet_end(p, packet);
}

static int put_track(void *ctx, const struct lmm_track *t)
{
	struct perfetto *p = ctx;
	size_t packet, track;
	int rc = put_process(p, t);

	if (rc == 0)
		rc = put_thread(p, t);
	if (rc < 0)
		return rc;
	packet = packet_begin(p);
	track = lmm_pb_begin(&p->packet, PACKET_TRACK_DESCRIPTOR);
	lmm_pb_u64(&p->packet, TRACK_UUID, t->track);
	lmm_pb_string(&p->packet, TRACK_NAME, t->name);
	lmm_pb_u64(&p->packet, TRACK_PARENT_UUID,
		   t->tid ? thread_uuid(t) : process_uuid(t->process));
	lmm_pb_u64(&p->packet, TRACK_RANK, t->kind);
	/* requests that run at once have tracks of one name */
	lmm_pb_u64(&p->packet, TRACK_SIBLING_MERGE, MERGE_NONE);
	if (t->kind == LMM_TRACK_TOKENS || t->kind == LMM_TRACK_SENSOR)
		lmm_pb_end(&p->packet, lmm_pb_begin(&p->packet, TRACK_COUNTER));
	lmm_pb_end(&p->packet, track);
	return packet_end(p, packet);
}

/* ---- slices and counters ------------------------------------------------------------------------ */

static void put_arg(struct perfetto *p, const struct lmm_arg *arg)
{
	size_t annotation = lmm_pb_begin(&p->packet, EVENT_ANNOTATIONS);

	lmm_pb_u64(&p->packet, ANNOTATION_NAME_IID, intern(p, ANNOTATION_NAMES, arg->key));
	switch (arg->kind) {
	case LMM_ARG_U64:
		lmm_pb_u64(&p->packet, ANNOTATION_UINT, arg->u64);
		break;
	case LMM_ARG_I64:
		lmm_pb_i64(&p->packet, ANNOTATION_INT, arg->i64);
		break;
	case LMM_ARG_STRING:
		lmm_pb_u64(&p->packet, ANNOTATION_STRING_IID,
			   intern(p, ANNOTATION_STRINGS, arg->string));
		break;
	}
	lmm_pb_end(&p->packet, annotation);
}

static size_t event_begin(struct perfetto *p, uint64_t t_ns, uint32_t track, unsigned type)
{
	size_t event;

	lmm_pb_u64(&p->packet, PACKET_TIMESTAMP, t_ns);
	lmm_pb_u64(&p->packet, PACKET_SEQUENCE_FLAGS, FLAG_NEEDS_STATE);
	event = lmm_pb_begin(&p->packet, PACKET_TRACK_EVENT);
	lmm_pb_u64(&p->packet, EVENT_TYPE, type);
	lmm_pb_u64(&p->packet, EVENT_TRACK_UUID, track);
	return event;
}

static int put_slice(void *ctx, const struct lmm_slice *s)
{
	struct perfetto *p = ctx;
	size_t packet = packet_begin(p);
	size_t event = event_begin(p, s->begin_ns, s->track, EVENT_SLICE_BEGIN);
	int rc;

	lmm_pb_u64(&p->packet, EVENT_CATEGORY_IIDS, intern(p, CATEGORIES, s->category));
	lmm_pb_u64(&p->packet, EVENT_NAME_IID, intern(p, EVENT_NAMES, s->name));
	for (unsigned i = 0; i < s->n_args; i++)
		put_arg(p, &s->args[i]);
	lmm_pb_end(&p->packet, event);
	rc = packet_end(p, packet);
	if (rc < 0)
		return rc;
	packet = packet_begin(p);
	event = event_begin(p, s->end_ns, s->track, EVENT_SLICE_END);
	lmm_pb_end(&p->packet, event);
	return packet_end(p, packet);
}

static int put_counter(void *ctx, const struct lmm_counter *c)
{
	struct perfetto *p = ctx;
	size_t packet = packet_begin(p);
	size_t event = event_begin(p, c->t_ns, c->track, EVENT_COUNTER);

	lmm_pb_double(&p->packet, EVENT_DOUBLE_COUNTER, c->value);
	lmm_pb_end(&p->packet, event);
	return packet_end(p, packet);
}

int lmm_export_perfetto(struct lmm_trace *tr, const struct lmm_result *r, FILE *out)
{
	static const struct lmm_timeline_ops ops = { put_session, put_track, put_slice, put_counter,
						     NULL };
	struct perfetto p = { .out = out };
	int rc = lmm_timeline_draw(tr, r, &ops, &p);

	for (size_t i = 0; i < N_TABLES; i++)
		lmm_strpool_free(&p.tables[i]);
	lmm_strpool_free(&p.known);
	lmm_buf_free(&p.packet);
	lmm_buf_free(&p.interned);
	return rc;
}
