/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/recover.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "cli/cli.h"
#include "collect/collector.h"
#include "lmmeter/version.h"
#include "trace/encode.h"
#include "trace/writer.h"
#include "trace/zstd_codec.h"

#define STREAMS_MAX (1u << 20)

/* What the file holds of a stream. */
struct stream {
	struct lmm_stream item;
	uint8_t is_known;
	uint8_t has_loss;
	uint64_t position; /* of its ring */
	uint64_t kept;	   /* emitted - lost, as its newest LOSS item says */
	uint64_t lost;
	uint64_t since; /* events behind that item */
	uint64_t lost_marked;
};

/* An item that is said once per time it is meant; the collector says them all again. */
struct said {
	uint64_t hash;
	uint8_t taken;
};

struct recovery {
	const char *path;
	struct lmm_folder folder;
	struct lmm_trace_writer *writer;
	struct lmm_codec *codec;
	struct lmm_collector *collector;
	struct stream *stream; /* by number */
	uint32_t n_streams;
	struct said *said;
	size_t n_said, cap_said;
	uint8_t ended[LMM_SHM_PROCESS_MAX];
	uint8_t has_session;
	uint8_t has_end;
	uint8_t has_taken_over;
	uint64_t newest;
	uint64_t events; /* recovered */
	struct lmm_buf scratch;
};

/* ---- what the file holds ------------------------------------------------------------------------ */

static int is_said_once(const struct lmm_item *item)
{
	switch (item->kind) {
	case LMM_ITEM_PROCESS:
	case LMM_ITEM_MODEL:
	case LMM_ITEM_GRAPH:
	case LMM_ITEM_REASON:
	case LMM_ITEM_KERNEL:
	case LMM_ITEM_QUEUE:
	case LMM_ITEM_NAME:
		return 1;
	default:
		return 0;
	}
}

static int item_hash(struct recovery *r, const struct lmm_item *item, uint64_t *hash)
{
	int rc;

	lmm_buf_clear(&r->scratch);
	rc = lmm_encode_item(item, &r->scratch);
	*hash = lmm_hash_bytes(lmm_hash_u64(LMM_HASH_SEED, item->kind), r->scratch.data,
			       r->scratch.n);
	return rc;
}

static int note_said(struct recovery *r, const struct lmm_item *item)
{
	struct said *more;
	int rc;

	if (r->n_said == r->cap_said) {
		size_t cap = r->cap_said ? r->cap_said * 2 : 256;

		more = realloc(r->said, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		r->said = more;
		r->cap_said = cap;
	}
	rc = item_hash(r, item, &r->said[r->n_said].hash);
	r->said[r->n_said].taken = 0;
	r->n_said += rc == 0;
	return rc;
}

/* 1: the file has it already; each of several equal ones counts once. */
static int take_said(struct recovery *r, const struct lmm_item *item)
{
	size_t lo = 0, hi = r->n_said;
	uint64_t hash;

	if (!is_said_once(item) || item_hash(r, item, &hash))
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->said[mid].hash < hash) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	for (; lo < r->n_said && r->said[lo].hash == hash; lo++) {
		if (r->said[lo].taken)
			continue;
		r->said[lo].taken = 1;
		return 1;
	}
	return 0;
}

static int note_stream(struct recovery *r, const struct lmm_stream *item)
{
	struct stream *s;

	if (item->stream >= STREAMS_MAX)
		return LMM_E_LIMIT;
	if (item->stream >= r->n_streams) {
		uint32_t n = item->stream + 1;

		s = realloc(r->stream, n * sizeof(*s));
		if (!s)
			return -ENOMEM;
		memset(s + r->n_streams, 0, (n - r->n_streams) * sizeof(*s));
		r->stream = s;
		r->n_streams = n;
	}
	s = &r->stream[item->stream];
	s->item = *item;
	s->is_known = 1;
	return 0;
}

static void note_events(struct recovery *r, const struct lmm_events *batch)
{
	struct stream *s;

	if (batch->stream >= r->n_streams)
		return;
	s = &r->stream[batch->stream];
	if (batch->ring_to > s->position)
		s->position = batch->ring_to;
	for (uint32_t i = 0; i < batch->n; i++) {
		const struct lmm_event *e = &batch->ev[i];

		if (e->type == LMM_EV_LOST) {
			s->lost_marked += e->a;
		} else {
			s->since++;
		}
		if (e->type != LMM_EV_COMPLETION && e->t > r->newest)
			r->newest = e->t;
	}
}

static void note_loss(struct recovery *r, const struct lmm_loss *loss)
{
	struct stream *s;

	if (loss->stream >= r->n_streams)
		return;
	s = &r->stream[loss->stream];
	s->has_loss = 1;
	s->lost = loss->lost;
	s->kept = loss->emitted > loss->lost ? loss->emitted - loss->lost : 0;
	s->since = 0;
}

static int note_item(struct recovery *r, const struct lmm_item *item)
{
	if (is_said_once(item))
		return note_said(r, item);
	switch (item->kind) {
	case LMM_ITEM_SESSION:
		r->has_session = 1;
		return 0;
	case LMM_ITEM_STREAM:
		return note_stream(r, &item->stream);
	case LMM_ITEM_EVENTS:
		note_events(r, &item->events);
		return 0;
	case LMM_ITEM_LOSS:
		note_loss(r, &item->loss);
		return 0;
	case LMM_ITEM_PROCESS_END:
		if (item->process_end.process < LMM_SHM_PROCESS_MAX)
			r->ended[item->process_end.process] = 1;
		return 0;
	case LMM_ITEM_END:
		r->has_end = 1;
		return 0;
	default:
		return 0;
	}
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = ((const struct said *)a)->hash, y = ((const struct said *)b)->hash;

	return (x > y) - (x < y);
}

static int read_file(struct recovery *r)
{
	const struct lmm_item *item;
	struct lmm_trace *tr;
	int rc = lmm_trace_open(r->path, &tr);

	if (rc)
		return rc;
	while ((rc = lmm_trace_next(tr, &item)) > 0) {
		rc = note_item(r, item);
		if (rc)
			break;
	}
	if (rc == 0 && lmm_trace_state(tr, NULL) == LMM_TRACE_CORRUPT)
		rc = LMM_E_CORRUPT;
	lmm_trace_close(tr);
	if (r->n_said)
		qsort(r->said, r->n_said, sizeof(*r->said), by_hash);
	return rc;
}

/* ---- where the collector goes on ---------------------------------------------------------------- */

static int by_ring(const void *a, const void *b)
{
	const struct lmm_stream *x = &((const struct stream *)a)->item;
	const struct lmm_stream *y = &((const struct stream *)b)->item;

	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	if (x->ring != y->ring)
		return x->ring < y->ring ? -1 : 1;
	return (x->stream > y->stream) - (x->stream < y->stream);
}

/* A ring's streams, oldest first, are one thread after the other. */
static int resume_rings(struct recovery *r)
{
	struct lmm_collector_ring at = { 0 };
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->n_streams; i++) {
		const struct stream *s = &r->stream[i];
		const struct stream *next = i + 1 < r->n_streams ? s + 1 : NULL;

		if (!s->is_known)
			continue;
		at.position = s->position > at.position ? s->position : at.position;
		if (next && next->item.process == s->item.process &&
		    next->item.ring == s->item.ring) {
			at.lost_before += s->has_loss ? s->lost : s->lost_marked;
			continue;
		}
		at.stream = s->item;
		at.stored = s->kept + s->since;
		at.lost_marked = s->lost_marked;
		if (s->item.process >= LMM_SHM_PROCESS_MAX || !r->ended[s->item.process])
			rc = lmm_collector_resume_ring(r->collector, &at);
		memset(&at, 0, sizeof(at));
	}
	return rc;
}

static int resume(struct recovery *r)
{
	struct lmm_session session = { .lmmeter = LMM_VERSION_STRING,
				       .command_name = "",
				       .command_line = "" };
	int rc = 0;

	lmm_collector_resume(r->collector, r->n_streams, r->newest);
	for (uint32_t i = 0; rc == 0 && i < LMM_SHM_PROCESS_MAX; i++) {
		if (r->ended[i])
			rc = lmm_collector_resume_ended(r->collector, i);
	}
	/* numbers that no item explains come first, and are skipped */
	if (r->n_streams)
		qsort(r->stream, r->n_streams, sizeof(*r->stream), by_ring);
	if (rc == 0)
		rc = resume_rings(r);
	if (rc == 0 && !r->has_session)
		rc = lmm_collector_begin(r->collector, &session);
	return rc;
}

/* ---- the work ----------------------------------------------------------------------------------- */

static int put_item(void *ctx, const struct lmm_item *item)
{
	struct recovery *r = ctx;
	uint64_t n = 0;
	int rc;

	if (take_said(r, item))
		return 0;
	for (uint32_t i = 0; item->kind == LMM_ITEM_EVENTS && i < item->events.n; i++)
		n += !lmm_event_is_meta(item->events.ev[i].type);
	rc = lmm_trace_writer_item(r->writer, item);
	r->events += rc == 0 ? n : 0;
	return rc;
}

static int flush_items(void *ctx)
{
	struct recovery *r = ctx;

	return lmm_trace_writer_flush(r->writer);
}

/* Traced processes that live go on undisturbed: what they have recorded is fetched, and the session stays. */
static int collect(struct recovery *r, unsigned alive)
{
	struct lmm_collector_opts co = {
		.sink = put_item, .sink_ctx = r, .flush = flush_items, .keep_on_error = 1
	};
	int rc;

	r->collector = lmm_collector_create(&r->folder, &co);
	if (!r->collector)
		return -ENOMEM;
	rc = resume(r);
	if (rc == 0) {
		rc = alive ? lmm_collector_drain(r->collector)
			   : lmm_collector_finish(r->collector, -1);
	}
	lmm_collector_destroy(r->collector);
	return rc;
}

static int recover(struct recovery *r, unsigned *alive)
{
	struct lmm_trace_writer_opts wo = { 0 };
	int rc;

	wo.codec = r->codec = lmm_zstd_codec_create(1);
	if (!r->codec)
		return -ENOMEM;
	/* whoever has the file open for writing has the session, too */
	rc = lmm_trace_writer_open_append(r->path, &wo, &r->writer);
	if (rc == 0)
		rc = read_file(r);
	if (rc)
		return rc;
	lmm_folder_take_over(&r->folder);
	r->has_taken_over = 1;
	*alive = lmm_folder_alive(&r->folder);
	if (!r->has_end)
		rc = collect(r, *alive);
	return rc;
}

static void say(const struct recovery *r, int rc, unsigned alive)
{
	unsigned long long n = r->events;

	if (rc == -EBUSY) {
		lmm_error("%s is being written: it is shown up to now", r->path);
	} else if (rc) {
		lmm_error(
			"what lmmeter left behind when it was killed cannot be added to %s: %s; it is kept in %s",
			r->path, lmm_strerror(rc), r->folder.path);
	} else if (alive && !r->has_end) {
		lmm_error(
			"lmmeter was killed; %llu events were recovered, and %u processes that it traced still run: "
			"call this again when they have ended",
			n, alive);
	} else if (!r->has_end) {
		lmm_error("lmmeter was killed; %llu events were recovered", n);
	}
}

static void recovery_free(struct recovery *r)
{
	lmm_zstd_codec_destroy(r->codec);
	lmm_buf_free(&r->scratch);
	free(r->stream);
	free(r->said);
	free(r);
}

static void recover_from(const char *path, const char *dir)
{
	struct recovery *r = calloc(1, sizeof(*r));
	unsigned alive = 0;
	int rc, closed;

	if (!r)
		return;
	r->path = path;
	/* gone in the meantime: another one was quicker */
	if (lmm_folder_open(dir, &r->folder)) {
		recovery_free(r);
		return;
	}
	rc = recover(r, &alive);
	if (rc == 0)
		rc = lmm_trace_writer_flush(r->writer);
	if (r->has_taken_over)
		lmm_folder_let_go(&r->folder);
	/* the folder goes before the lock on the file does */
	lmm_folder_close(&r->folder, rc == 0 && alive == 0);
	closed = lmm_trace_writer_close(r->writer);
	say(r, rc ? rc : closed, alive);
	recovery_free(r);
}

void lmm_recover(const char *path)
{
	char full[PATH_MAX], dir[LMM_FOLDER_PATH_BYTES];
	int rc;

	if (!realpath(path, full))
		return;
	lmm_folder_sweep_gone();
	rc = lmm_folder_find(full, dir);
	if (rc == -EBUSY) {
		lmm_error("%s is being recorded: it is shown up to now", path);
	} else if (rc == 0) {
		recover_from(path, dir);
	}
}
