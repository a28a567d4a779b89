/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "trace/encode.h"
#include "trace/format.h"
#include "trace/writer_internal.h"

#define WRITE_AT_BYTES	   (256u << 10) /* written out when this much has come together */
#define SAMPLES_PER_KEY	   64		/* rounds; what --max-size leaves begins with one */
#define COMPRESS_MIN_BYTES 64		/* below this a compressor has nothing to find */

/* ---- bytes to the file -------------------------------------------------------------------------- */

size_t lmm__write_at(int fd, const uint8_t *data, size_t n, uint64_t offset, int *err)
{
	size_t done = 0;

	while (done < n) {
		ssize_t rc = pwrite(fd, data + done, n - done, (off_t)(offset + done));

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0) {
			*err = rc < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)rc;
	}
	return done;
}

int lmm__read_at(int fd, void *data, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t rc = pread(fd, (char *)data + done, n - done, (off_t)(offset + done));

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		if (rc == 0)
			return 0;
		done += (size_t)rc;
	}
	return 1;
}

/* How much of n bytes of chunks, of which maybe the last is not whole, are whole batches. */
static size_t whole_bytes(const uint8_t *data, size_t n)
{
	size_t at = 0, whole = 0;
	struct lmm_chunk c;

	while (n - at >= LMM_CHUNK_HEADER_BYTES && lmm_chunk_get(data + at, &c) == 0) {
		if (n - at - LMM_CHUNK_HEADER_BYTES < c.stored_bytes)
			break;
		at += LMM_CHUNK_HEADER_BYTES + c.stored_bytes;
		if (!(c.flags & LMM_CHUNK_CONTINUED))
			whole = at;
	}
	return whole;
}

static int write_out(struct lmm_trace_writer *w)
{
	size_t done;
	int err = 0;

	if (w->error)
		return w->error;
	done = lmm__write_at(w->fd, w->out.data, w->out.n, w->file_bytes, &err);
	if (done < w->out.n) {
		done = whole_bytes(w->out.data, done);
		w->error = err;
		/* if even this fails, the reader finds the cut by itself */
		if (ftruncate(w->fd, (off_t)(w->file_bytes + done)) != 0)
			w->error = err;
	}
	w->file_bytes += done;
	lmm_buf_clear(&w->out);
	return w->error;
}

/* ---- chunks ------------------------------------------------------------------------------------- */

static size_t compress_payload(struct lmm_trace_writer *w, uint8_t *dst)
{
	const struct lmm_codec *codec = w->opts.codec;

	if (!codec || w->payload.n < COMPRESS_MIN_BYTES)
		return 0;
	return codec->compress(codec->ctx, dst, w->payload.n - 1, w->payload.data, w->payload.n);
}

/* Appends the payload as a chunk; c says what it is, this fills in the rest. */
static int put_chunk(struct lmm_trace_writer *w, struct lmm_chunk *c)
{
	size_t n = w->payload.n;
	uint8_t *header, *stored;

	if (lmm_buf_reserve(&w->out, LMM_CHUNK_HEADER_BYTES + n)) {
		w->out.overflow = 0; /* what is in there is whole */
		return -ENOMEM;
	}
	header = w->out.data + w->out.n;
	stored = header + LMM_CHUNK_HEADER_BYTES;
	c->raw_bytes = (uint32_t)n;
	c->coding = LMM_CODING_NONE;
	c->stored_bytes = (uint32_t)compress_payload(w, stored);
	if (c->stored_bytes) {
		c->coding = (uint8_t)w->opts.codec->coding;
	} else if (n) {
		c->stored_bytes = c->raw_bytes;
		memcpy(stored, w->payload.data, n);
	}
	c->payload_crc = lmm_crc32c(0, stored, c->stored_bytes);
	lmm_chunk_put(header, c);
	w->out.n += LMM_CHUNK_HEADER_BYTES + c->stored_bytes;
	return 0;
}

static int put_events(struct lmm_trace_writer *w, const struct lmm_events *batch, unsigned flags)
{
	struct lmm_chunk c = {
		.type = LMM_ITEM_EVENTS,
		.flags = (uint16_t)flags,
		.count = batch->n,
		.stream = batch->stream,
	};
	int rc;

	lmm_buf_clear(&w->payload);
	rc = lmm_encode_events(w->encoder, batch, &w->payload);
	return rc ? rc : put_chunk(w, &c);
}

static int put_pending(struct lmm_trace_writer *w)
{
	int rc;

	if (!w->pending.used)
		return 0;
	rc = put_events(w, &w->pending.batch, 0);
	w->pending.used = rc != 0;
	return rc;
}

static int put_long_batch(struct lmm_trace_writer *w, const struct lmm_events *batch)
{
	struct lmm_events part = *batch;
	size_t before = w->out.n;
	int rc = 0;

	part.ring_to = part.ring_from;
	part.n = LMM_CHUNK_EVENTS_MAX;
	while (rc == 0 && (size_t)(batch->ev + batch->n - part.ev) > LMM_CHUNK_EVENTS_MAX) {
		rc = put_events(w, &part, LMM_CHUNK_CONTINUED);
		part.ev += LMM_CHUNK_EVENTS_MAX;
	}
	if (rc == 0) {
		part.n = (uint32_t)(batch->ev + batch->n - part.ev);
		part.ring_to = batch->ring_to;
		rc = put_events(w, &part, 0);
	}
	if (rc)
		w->out.n = before;
	return rc;
}

static int take_events(struct lmm_trace_writer *w, const struct lmm_events *batch)
{
	struct lmm_events *have = &w->pending.batch;
	int joins = w->pending.used && have->stream == batch->stream &&
		    have->ring_to == batch->ring_from &&
		    have->n + (uint64_t)batch->n <= LMM_CHUNK_EVENTS_MAX;
	int rc;

	if (batch->n == 0 && batch->ring_from == batch->ring_to)
		return 0;
	if (!joins) {
		rc = put_pending(w);
		if (rc)
			return rc;
		if (batch->n > LMM_CHUNK_EVENTS_MAX)
			return put_long_batch(w, batch);
		*have = *batch;
		have->ev = w->pending.events;
		have->n = 0;
		w->pending.used = 1;
	}
	if (batch->n)
		memcpy(w->pending.events + have->n, batch->ev, batch->n * sizeof(*batch->ev));
	have->n += batch->n;
	have->ring_to = batch->ring_to;
	return 0;
}

static int put_samples(struct lmm_trace_writer *w, const struct lmm_samples *samples)
{
	struct lmm_chunk c = { .type = LMM_ITEM_SAMPLES };
	int rc;

	if (w->samples_since_key == SAMPLES_PER_KEY)
		w->samples.is_set = 0;
	if (!w->samples.is_set) {
		c.flags = LMM_CHUNK_KEY;
		w->samples_since_key = 0;
	}
	w->samples_since_key++;
	rc = lmm_encode_samples(&w->samples, samples, &w->payload);
	if (rc == 0)
		rc = put_chunk(w, &c);
	if (rc)
		w->samples.is_set = 0;
	return rc;
}

static int take_item(struct lmm_trace_writer *w, const struct lmm_item *item)
{
	struct lmm_chunk c = { .type = (uint8_t)item->kind };
	int rc = put_pending(w);

	if (rc)
		return rc;
	if (item->kind == LMM_ITEM_LOSS)
		c.stream = item->loss.stream;
	lmm_buf_clear(&w->payload);
	if (item->kind == LMM_ITEM_SAMPLES)
		return put_samples(w, &item->samples);
	/* a reader may begin there */
	if (item->kind == LMM_ITEM_CHECKPOINT)
		w->samples.is_set = 0;
	rc = lmm_encode_item(item, &w->payload);
	return rc ? rc : put_chunk(w, &c);
}

int lmm_trace_writer_item(void *ctx, const struct lmm_item *item)
{
	struct lmm_trace_writer *w = ctx;
	int rc;

	if (w->error)
		return w->error;
	rc = item->kind == LMM_ITEM_EVENTS ? take_events(w, &item->events) : take_item(w, item);
	if (rc == 0 && w->out.n >= WRITE_AT_BYTES)
		rc = write_out(w);
	return rc;
}

int lmm_trace_writer_flush(struct lmm_trace_writer *w)
{
	int rc = w->error ? w->error : put_pending(w);

	return rc ? rc : write_out(w);
}

uint64_t lmm_trace_writer_size_bytes(const struct lmm_trace_writer *w)
{
	return w->file_bytes + w->out.n;
}

void lmm_trace_writer_dropped(const struct lmm_trace_writer *w, struct lmm_dropped *out)
{
	*out = w->dropped;
}

/* ---- open and close ----------------------------------------------------------------------------- */

static void make_file_header(uint8_t h[LMM_FILE_HEADER_BYTES])
{
	uint16_t version = LMM_FILE_VERSION;
	uint32_t header_bytes = LMM_FILE_HEADER_BYTES, crc;

	memset(h, 0, LMM_FILE_HEADER_BYTES);
	memcpy(h, lmm_file_signature, sizeof(lmm_file_signature));
	memcpy(h + 8, &version, 2);
	memcpy(h + 10, &version, 2); /* the oldest reader version that can read this */
	memcpy(h + 16, &header_bytes, 4);
	crc = lmm_crc32c(0, h, 60);
	memcpy(h + 60, &crc, 4);
}

/* Splits path and keeps its folder, which compaction needs later. */
static int keep_directory(struct lmm_trace_writer *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");

	if (!dir)
		return -ENOMEM;
	w->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (w->dir_fd < 0)
		return -errno;
	w->name = strdup(slash ? slash + 1 : path);
	return w->name ? 0 : -ENOMEM;
}

static void writer_free(struct lmm_trace_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	free(w->name);
	lmm_buf_free(&w->out);
	lmm_buf_free(&w->payload);
	lmm_encoder_destroy(w->encoder);
	free(w);
}

static int writer_create(const char *path, const struct lmm_trace_writer_opts *opts,
			 struct lmm_trace_writer **out)
{
	struct lmm_trace_writer *w = calloc(1, sizeof(*w));
	int rc;

	*out = NULL;
	if (!w)
		return -ENOMEM;
	w->fd = w->dir_fd = -1;
	if (opts)
		w->opts = *opts;
	w->full_bytes = w->opts.max_size_bytes;
	w->encoder = lmm_encoder_create();
	rc = w->encoder ? 0 : -ENOMEM;
	if (rc == 0 && w->opts.max_size_bytes)
		rc = keep_directory(w, path);
	if (rc) {
		writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

int lmm__lock_file(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	return -EBUSY;
}

int lmm_trace_writer_open(const char *path, const struct lmm_trace_writer_opts *opts,
			  struct lmm_trace_writer **out)
{
	struct lmm_trace_writer *w;
	uint8_t header[LMM_FILE_HEADER_BYTES];
	int rc = writer_create(path, opts, &w);

	*out = NULL;
	if (rc)
		return rc;
	w->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		rc = -errno;
		writer_free(w);
		return rc;
	}
	(void)lmm__lock_file(w->fd);
	make_file_header(header);
	if (lmm__write_at(w->fd, header, sizeof(header), 0, &rc) < sizeof(header)) {
		(void)unlink(path);
		writer_free(w);
		return rc;
	}
	w->file_bytes = sizeof(header);
	*out = w;
	return 0;
}

static int check_file_header(const uint8_t h[LMM_FILE_HEADER_BYTES], uint32_t *header_bytes)
{
	uint16_t reader;
	uint32_t crc;

	memcpy(&reader, h + 10, 2);
	memcpy(header_bytes, h + 16, 4);
	memcpy(&crc, h + 60, 4);
	if (memcmp(h, lmm_file_signature, sizeof(lmm_file_signature)) != 0)
		return LMM_E_NOT_LMT;
	if (crc != lmm_crc32c(0, h, 60))
		return LMM_E_CORRUPT;
	if (reader > LMM_FILE_VERSION)
		return LMM_E_VERSION;
	if (*header_bytes < LMM_FILE_HEADER_BYTES || *header_bytes > LMM_FILE_HEADER_MAX)
		return LMM_E_CORRUPT;
	return 0;
}

/* 1: a whole chunk at offset, its payload in w->payload; 0: the file ends before; negative: error. */
static int read_chunk(struct lmm_trace_writer *w, uint64_t offset, struct lmm_chunk *c)
{
	uint8_t header[LMM_CHUNK_HEADER_BYTES];
	struct stat st;
	int rc = lmm__read_at(w->fd, header, sizeof(header), offset);

	if (rc <= 0)
		return rc;
	if (lmm_chunk_get(header, c) || c->stored_bytes > LMM_CHUNK_PAYLOAD_MAX)
		return LMM_E_CORRUPT;
	if (fstat(w->fd, &st))
		return -errno;
	offset += sizeof(header);
	if ((uint64_t)st.st_size < offset + c->stored_bytes)
		return 0;
	lmm_buf_clear(&w->payload);
	if (lmm_buf_reserve(&w->payload, c->stored_bytes))
		return -ENOMEM;
	rc = lmm__read_at(w->fd, w->payload.data, c->stored_bytes, offset);
	if (rc > 0 && lmm_crc32c(0, w->payload.data, c->stored_bytes) != c->payload_crc)
		return LMM_E_CORRUPT;
	w->payload.n = c->stored_bytes;
	return rc;
}

static int find_end(struct lmm_trace_writer *w)
{
	uint8_t header[LMM_FILE_HEADER_BYTES];
	uint32_t header_bytes = 0;
	struct lmm_chunk c;
	uint64_t at;
	int rc = lmm__read_at(w->fd, header, sizeof(header), 0);

	if (rc < 0)
		return rc;
	rc = rc == 0 ? LMM_E_NOT_LMT : check_file_header(header, &header_bytes);
	if (rc)
		return rc;
	at = w->file_bytes = header_bytes;
	while ((rc = read_chunk(w, at, &c)) > 0) {
		at += LMM_CHUNK_HEADER_BYTES + c.stored_bytes;
		if (!(c.flags & LMM_CHUNK_CONTINUED))
			w->file_bytes = at;
		if (c.type == LMM_ITEM_DROPPED && c.coding == LMM_CODING_NONE) {
			struct lmm_cur cur = lmm_cur_make(w->payload.data, w->payload.n);

			w->dropped.batches = lmm_cur_varint(&cur);
			w->dropped.events = lmm_cur_varint(&cur);
		}
	}
	return rc;
}

int lmm_trace_writer_open_append(const char *path, const struct lmm_trace_writer_opts *opts,
				 struct lmm_trace_writer **out)
{
	struct lmm_trace_writer *w;
	int rc = writer_create(path, opts, &w);

	*out = NULL;
	if (rc)
		return rc;
	w->fd = open(path, O_RDWR | O_CLOEXEC);
	rc = w->fd < 0 ? -errno : lmm__lock_file(w->fd);
	if (rc == 0)
		rc = find_end(w);
	if (rc == 0 && ftruncate(w->fd, (off_t)w->file_bytes))
		rc = -errno;
	if (rc) {
		writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

int lmm_trace_writer_close(struct lmm_trace_writer *w)
{
	int rc;

	if (!w)
		return 0;
	rc = lmm_trace_writer_flush(w);
	writer_free(w);
	return rc;
}
