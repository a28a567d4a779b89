/* SPDX-License-Identifier: Apache-2.0 */
/* --max-size: a trace is rewritten without its oldest event batches. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/encode.h"
#include "trace/writer_internal.h"

#define COPY_BYTES	 (128u << 10)
#define TEMP_TRIES	 100
#define LOSS_STREAMS_MAX 65536u /* superseded LOSS items of higher streams stay */

struct compaction {
	struct lmm_trace_writer *w;
	uint64_t first; /* offset of the first chunk */
	/* found on the first way through the file */
	uint64_t events_bytes;
	uint64_t checkpoint; /* offset of the newest */
	uint64_t *loss;	     /* offset of each stream's newest, 0: none */
	uint32_t n_loss;
	/* made on the second */
	uint64_t drop_bytes; /* still to go */
	int in_batch;	     /* the next EVENTS chunk belongs to the one just dropped */
	uint32_t n_clocks;
	struct lmm_dropped dropped;
	int fd;
	uint64_t fd_bytes;
	uint64_t run_from, run_to; /* to be kept, not copied yet */
	uint8_t *buffer;	   /* COPY_BYTES */
	int disk_error;
};

typedef int (*chunk_fn)(struct compaction *k, uint64_t offset, const struct lmm_chunk *c);

static uint64_t chunk_bytes(const struct lmm_chunk *c)
{
	return LMM_CHUNK_HEADER_BYTES + (uint64_t)c->stored_bytes;
}

static int for_each_chunk(struct compaction *k, chunk_fn fn)
{
	uint8_t header[LMM_CHUNK_HEADER_BYTES];
	struct lmm_chunk c;

	for (uint64_t at = k->first; at < k->w->file_bytes; at += chunk_bytes(&c)) {
		int rc = lmm__read_at(k->w->fd, header, sizeof(header), at);

		if (rc < 0)
			return rc;
		if (rc == 0 || lmm_chunk_get(header, &c))
			return LMM_E_CORRUPT;
		rc = fn(k, at, &c);
		if (rc)
			return rc;
	}
	return 0;
}

static int note_loss(struct compaction *k, uint64_t offset, uint32_t stream)
{
	uint32_t n = k->n_loss ? k->n_loss : 16;
	uint64_t *loss;

	if (stream >= LOSS_STREAMS_MAX)
		return 0;
	while (n <= stream)
		n *= 2;
	if (n > k->n_loss) {
		loss = realloc(k->loss, n * sizeof(*loss));
		if (!loss)
			return -ENOMEM;
		memset(loss + k->n_loss, 0, (n - k->n_loss) * sizeof(*loss));
		k->loss = loss;
		k->n_loss = n;
	}
	k->loss[stream] = offset;
	return 0;
}

static int survey_chunk(struct compaction *k, uint64_t offset, const struct lmm_chunk *c)
{
	if (c->type == LMM_ITEM_EVENTS) {
		k->events_bytes += chunk_bytes(c);
	} else if (c->type == LMM_ITEM_CHECKPOINT) {
		k->checkpoint = offset;
	} else if (c->type == LMM_ITEM_LOSS) {
		return note_loss(k, offset, c->stream);
	}
	return 0;
}

/* Whole batches go, oldest first. */
static int drops_events(struct compaction *k, const struct lmm_chunk *c)
{
	if (!k->drop_bytes && !k->in_batch)
		return 0;
	k->drop_bytes -= chunk_bytes(c) < k->drop_bytes ? chunk_bytes(c) : k->drop_bytes;
	k->in_batch = (c->flags & LMM_CHUNK_CONTINUED) != 0;
	k->dropped.batches += !k->in_batch;
	k->dropped.events += c->count;
	return 1;
}

static int drops(struct compaction *k, uint64_t offset, const struct lmm_chunk *c)
{
	switch (c->type) {
	case LMM_ITEM_EVENTS:
		return drops_events(k, c);
	case LMM_ITEM_SAMPLES:
		/* those up to the next that stands on its own say nothing any more: readers pass over them */
		return k->drop_bytes != 0;
	case LMM_ITEM_CHECKPOINT:
		return offset != k->checkpoint;
	case LMM_ITEM_LOSS:
		return c->stream < k->n_loss && k->loss[c->stream] != offset;
	case LMM_ITEM_CLOCK:
		/* every other one where nothing is left to be timed, so that they do not pile up for ever */
		return k->drop_bytes && (k->n_clocks++ & 1);
	case LMM_ITEM_DROPPED:
		return 1; /* a new one says the sum */
	default:
		return 0;
	}
}

static int append(struct compaction *k, const uint8_t *data, size_t n)
{
	int err = 0;

	k->fd_bytes += lmm__write_at(k->fd, data, n, k->fd_bytes, &err);
	k->disk_error |= err != 0;
	return err;
}

static int copy_run(struct compaction *k)
{
	while (k->run_from < k->run_to) {
		uint64_t left = k->run_to - k->run_from;
		size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;
		int rc = lmm__read_at(k->w->fd, k->buffer, n, k->run_from);

		if (rc <= 0)
			return rc < 0 ? rc : LMM_E_CORRUPT;
		rc = append(k, k->buffer, n);
		if (rc)
			return rc;
		k->run_from += n;
	}
	return 0;
}

static int copy_chunk(struct compaction *k, uint64_t offset, const struct lmm_chunk *c)
{
	if (drops(k, offset, c))
		return 0;
	if (offset != k->run_to) {
		int rc = copy_run(k);

		if (rc)
			return rc;
		k->run_from = offset;
	}
	k->run_to = offset + chunk_bytes(c);
	return 0;
}

static int append_dropped(struct compaction *k)
{
	struct lmm_item item = { .kind = LMM_ITEM_DROPPED, .dropped = k->dropped };
	struct lmm_chunk c = { .type = LMM_ITEM_DROPPED };
	struct lmm_buf *payload = &k->w->payload;
	uint8_t header[LMM_CHUNK_HEADER_BYTES];
	int rc;

	if (!k->dropped.batches)
		return 0;
	lmm_buf_clear(payload);
	rc = lmm_encode_item(&item, payload);
	if (rc)
		return rc;
	c.stored_bytes = c.raw_bytes = (uint32_t)payload->n;
	c.payload_crc = lmm_crc32c(0, payload->data, payload->n);
	lmm_chunk_put(header, &c);
	rc = append(k, header, sizeof(header));
	return rc ? rc : append(k, payload->data, payload->n);
}

static int write_copy(struct compaction *k)
{
	uint32_t header_bytes;
	int rc = lmm__read_at(k->w->fd, &header_bytes, sizeof(header_bytes), 16);

	if (rc <= 0)
		return rc < 0 ? rc : LMM_E_CORRUPT;
	k->first = k->run_to = header_bytes;
	rc = for_each_chunk(k, survey_chunk);
	if (rc)
		return rc;
	k->drop_bytes = (k->events_bytes + 1) / 2;
	rc = for_each_chunk(k, copy_chunk);
	if (rc == 0)
		rc = copy_run(k);
	return rc ? rc : append_dropped(k);
}

static int open_temporary(struct compaction *k, char *name, size_t name_bytes)
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		int n = snprintf(name, name_bytes, ".%.200s.%d-%d", k->w->name, (int)getpid(), i);

		if (n < 0 || (size_t)n >= name_bytes)
			return -ENAMETOOLONG;
		k->fd = openat(k->w->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (k->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	k->disk_error = errno == ENOSPC || errno == EDQUOT;
	return -errno;
}

/* Whoever has moved the file, or put another in its place, does not lose that one. */
static int is_still_ours(const struct lmm_trace_writer *w)
{
	struct stat ours, there;

	return fstat(w->fd, &ours) == 0 &&
	       fstatat(w->dir_fd, w->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int replace(struct compaction *k)
{
	struct lmm_trace_writer *w = k->w;
	char name[256];
	int rc;

	if (!is_still_ours(w))
		return -ESTALE;
	rc = open_temporary(k, name, sizeof(name));
	if (rc)
		return rc;
	(void)lmm__lock_file(k->fd);
	rc = write_copy(k);
	if (rc == 0 && renameat(w->dir_fd, name, w->dir_fd, w->name))
		rc = -errno;
	if (rc) {
		(void)unlinkat(w->dir_fd, name, 0);
		close(k->fd);
		return rc;
	}
	close(w->fd);
	w->fd = k->fd;
	w->file_bytes = k->fd_bytes;
	w->dropped = k->dropped;
	w->samples.is_set = 0;
	return 0;
}

int lmm_trace_writer_compact(struct lmm_trace_writer *w)
{
	struct compaction k = { .w = w, .dropped = w->dropped };
	int rc = lmm_trace_writer_flush(w);

	if (rc)
		return rc;
	if (!w->opts.max_size_bytes)
		return 0;
	k.buffer = malloc(COPY_BYTES);
	rc = k.buffer ? replace(&k) : -ENOMEM;
	free(k.buffer);
	free(k.loss);
	if (k.disk_error)
		w->error = rc;
	/* what cannot be made small enough must not be tried after every batch */
	w->full_bytes = w->file_bytes + w->opts.max_size_bytes / 4;
	if (w->full_bytes < w->opts.max_size_bytes)
		w->full_bytes = w->opts.max_size_bytes;
	return rc;
}

int lmm_trace_writer_is_full(const struct lmm_trace_writer *w)
{
	return w->full_bytes && !w->error && lmm_trace_writer_size_bytes(w) > w->full_bytes;
}
