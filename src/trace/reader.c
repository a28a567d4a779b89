/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "trace/decode.h"
#include "trace/format.h"
#include "trace/skim.h"
#include "trace/zstd_codec.h"

#define WINDOW_BYTES (256u << 10) /* read at a time */

/*
 * Files are read, not mapped: one that shrinks meanwhile (its writer cuts back after a full disk) must not kill the reader
 * by SIGBUS.
 */
struct lmm_trace {
	int fd; /* -1: memory */
	const uint8_t *memory;
	uint64_t memory_bytes;
	struct lmm_buf window; /* bytes of the file from window_at on */
	uint64_t window_at;

	uint64_t first; /* offset of the first chunk */
	uint64_t at;	/* of the next */
	enum lmm_trace_state state;
	int has_ended; /* an END item was given */
	int is_skimming;

	struct lmm_buf raw;
	struct lmm_zstd_reader *zstd;
	struct lmm_decoder *decoder;
	struct lmm_clock_fit fit;
	struct lmm_item item;
};

/* ---- bytes -------------------------------------------------------------------------------------- */

static int window_fill(struct lmm_trace *tr, uint64_t offset, size_t n)
{
	struct stat st;

	tr->window.n = 0;
	if (n < WINDOW_BYTES) {
		n = WINDOW_BYTES;
	} else if (fstat(tr->fd, &st)) {
		return -errno;
	} else if ((uint64_t)st.st_size < offset + n) {
		return 0; /* do not make room for what a header only claims */
	}
	if (lmm_buf_reserve(&tr->window, n)) {
		tr->window.overflow = 0;
		return -ENOMEM;
	}
	tr->window_at = offset;
	while (tr->window.n < n) {
		ssize_t rc = pread(tr->fd, tr->window.data + tr->window.n, n - tr->window.n,
				   (off_t)(offset + tr->window.n));

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		if (rc == 0)
			break;
		tr->window.n += (size_t)rc;
	}
	return 0;
}

/* 1: *data has n bytes from offset on. 0: the file ends before. Negative: error. */
static int bytes_at(struct lmm_trace *tr, uint64_t offset, size_t n, const uint8_t **data)
{
	int rc;

	if (tr->fd < 0) {
		if (offset > tr->memory_bytes || n > tr->memory_bytes - offset)
			return 0;
		*data = tr->memory + offset;
		return 1;
	}
	if (offset < tr->window_at || offset - tr->window_at > tr->window.n ||
	    n > tr->window.n - (offset - tr->window_at)) {
		rc = window_fill(tr, offset, n);
		if (rc < 0)
			return rc;
		if (n > tr->window.n)
			return 0;
	}
	*data = tr->window.data + (offset - tr->window_at);
	return 1;
}

/* ---- open --------------------------------------------------------------------------------------- */

static int is_big_endian(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 0;
}

/* A file that ends within its header, but begins like one, is cut: there is nothing in it. */
static int read_file_header(struct lmm_trace *tr)
{
	const uint8_t *h;
	uint32_t header_bytes, crc;
	uint16_t reader;
	int rc = bytes_at(tr, 0, sizeof(lmm_file_signature), &h);

	if (rc < 0)
		return rc;
	if (rc == 0 || memcmp(h, lmm_file_signature, sizeof(lmm_file_signature)) != 0)
		return LMM_E_NOT_LMT;
	tr->first = tr->at = LMM_FILE_HEADER_BYTES;
	rc = bytes_at(tr, 0, LMM_FILE_HEADER_BYTES, &h);
	if (rc <= 0)
		return rc;
	memcpy(&crc, h + 60, 4);
	if (crc != lmm_crc32c(0, h, 60))
		return LMM_E_CORRUPT;
	memcpy(&reader, h + 10, 2);
	memcpy(&header_bytes, h + 16, 4);
	if (reader > LMM_FILE_VERSION)
		return LMM_E_VERSION;
	if (header_bytes < LMM_FILE_HEADER_BYTES || header_bytes > LMM_FILE_HEADER_MAX)
		return LMM_E_CORRUPT;
	tr->first = tr->at = header_bytes;
	return 0;
}

static int trace_open(struct lmm_trace *tr, struct lmm_trace **out)
{
	int rc = -ENOMEM;

	tr->zstd = lmm_zstd_reader_create();
	tr->decoder = lmm_decoder_create();
	if (tr->zstd && tr->decoder)
		rc = read_file_header(tr);
	if (rc) {
		lmm_trace_close(tr);
		return rc;
	}
	*out = tr;
	return 0;
}

int lmm_trace_open(const char *path, struct lmm_trace **out)
{
	struct lmm_trace *tr;
	struct stat st;
	int fd, rc = 0;

	*out = NULL;
	if (is_big_endian())
		return LMM_E_ENDIAN;
	/* a fifo must not make this wait for a writer */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		rc = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
	} else if (!S_ISREG(st.st_mode)) {
		rc = -ESPIPE;
	}
	tr = rc ? NULL : calloc(1, sizeof(*tr));
	if (!tr) {
		close(fd);
		return rc ? rc : -ENOMEM;
	}
	tr->fd = fd;
	return trace_open(tr, out);
}

int lmm_trace_open_memory(const void *data, size_t size_bytes, struct lmm_trace **out)
{
	struct lmm_trace *tr;

	*out = NULL;
	if (is_big_endian())
		return LMM_E_ENDIAN;
	tr = calloc(1, sizeof(*tr));
	if (!tr)
		return -ENOMEM;
	tr->fd = -1;
	tr->memory = data;
	tr->memory_bytes = size_bytes;
	return trace_open(tr, out);
}

void lmm_trace_close(struct lmm_trace *tr)
{
	if (!tr)
		return;
	if (tr->fd >= 0)
		close(tr->fd);
	lmm_buf_free(&tr->window);
	lmm_buf_free(&tr->raw);
	lmm_zstd_reader_destroy(tr->zstd);
	lmm_decoder_destroy(tr->decoder);
	free(tr);
}

/* ---- chunks ------------------------------------------------------------------------------------- */

/* The next chunk's stored bytes, checked. 1, 0 (state says why) or a negative error. */
static int next_chunk(struct lmm_trace *tr, struct lmm_chunk *c, const uint8_t **stored)
{
	const uint8_t *header;
	int rc = bytes_at(tr, tr->at, 1, &header);

	if (rc <= 0) {
		tr->state = rc == 0 && tr->has_ended ? LMM_TRACE_COMPLETE : LMM_TRACE_CUT;
		return rc;
	}
	rc = bytes_at(tr, tr->at, LMM_CHUNK_HEADER_BYTES, &header);
	if (rc <= 0) {
		tr->state = LMM_TRACE_CUT;
		return rc;
	}
	tr->state = LMM_TRACE_CORRUPT;
	if (lmm_chunk_get(header, c))
		return 0;
	if (c->stored_bytes > LMM_CHUNK_PAYLOAD_MAX || c->raw_bytes > LMM_CHUNK_PAYLOAD_MAX)
		return LMM_E_LIMIT;
	rc = bytes_at(tr, tr->at + LMM_CHUNK_HEADER_BYTES, c->stored_bytes, stored);
	if (rc <= 0) {
		tr->state = LMM_TRACE_CUT;
		return rc;
	}
	if (lmm_crc32c(0, *stored, c->stored_bytes) != c->payload_crc)
		return 0;
	return 1;
}

/* Makes the payload from what is stored. 0 or a negative error. */
static int unpack(struct lmm_trace *tr, const struct lmm_chunk *c, const uint8_t *stored)
{
	int rc = 0;

	lmm_buf_clear(&tr->raw);
	if (lmm_buf_reserve(&tr->raw, (size_t)c->raw_bytes + LMM_DECODE_PAD)) {
		tr->raw.overflow = 0;
		return -ENOMEM;
	}
	switch (c->coding) {
	case LMM_CODING_NONE:
		if (c->stored_bytes != c->raw_bytes)
			return LMM_E_CORRUPT;
		if (c->raw_bytes)
			memcpy(tr->raw.data, stored, c->raw_bytes);
		break;
	case LMM_CODING_ZSTD:
		rc = lmm_zstd_reader_decompress(tr->zstd, tr->raw.data, c->raw_bytes, stored,
						c->stored_bytes);
		break;
	default:
		return LMM_E_CODEC;
	}
	memset(tr->raw.data + c->raw_bytes, 0, LMM_DECODE_PAD);
	return rc;
}

/* 1: tr->item is set. 0: nothing for this build. Or a negative error. */
static int take_chunk(struct lmm_trace *tr, const struct lmm_chunk *c, const uint8_t *stored)
{
	int rc;

	if (c->type == 0 || c->type > LMM_ITEM_NAME)
		return 0; /* kinds to come may be coded in ways to come */
	if (tr->is_skimming && c->type == LMM_ITEM_EVENTS)
		return 0;
	rc = unpack(tr, c, stored);
	if (rc)
		return rc;
	rc = lmm_decode_item(tr->decoder, c, tr->raw.data, &tr->item);
	if (rc <= 0)
		return rc;
	if (tr->item.kind == LMM_ITEM_CLOCK)
		lmm_clock_fit_add(&tr->fit, &tr->item.clock);
	if (tr->item.kind == LMM_ITEM_END)
		tr->has_ended = 1;
	return 1;
}

int lmm_trace_next(struct lmm_trace *tr, const struct lmm_item **item)
{
	struct lmm_chunk c;
	const uint8_t *stored;
	int rc;

	*item = NULL;
	for (;;) {
		rc = next_chunk(tr, &c, &stored);
		if (rc <= 0)
			return rc;
		rc = take_chunk(tr, &c, stored);
		if (rc < 0)
			return rc == LMM_E_CORRUPT ? 0 : rc;
		tr->at += LMM_CHUNK_HEADER_BYTES + c.stored_bytes;
		tr->state = LMM_TRACE_READING;
		if (rc == 0)
			continue;
		*item = &tr->item;
		return 1;
	}
}

enum lmm_trace_state lmm_trace_state(const struct lmm_trace *tr, uint64_t *offset_bytes)
{
	if (offset_bytes)
		*offset_bytes = tr->at;
	return tr->state;
}

void lmm_trace_skim(struct lmm_trace *tr, int is_on)
{
	tr->is_skimming = is_on;
}

int lmm_trace_seek(struct lmm_trace *tr, uint64_t offset_bytes)
{
	int has_ended = tr->has_ended;
	int rc = lmm_trace_rewind(tr);

	/* END may stand before that offset */
	tr->has_ended = has_ended;
	tr->at = offset_bytes;
	return rc;
}

int lmm_trace_rewind(struct lmm_trace *tr)
{
	tr->at = tr->first;
	tr->state = LMM_TRACE_READING;
	tr->has_ended = 0;
	tr->window.n = 0;
	lmm_decoder_reset(tr->decoder);
	return 0;
}

uint64_t lmm_trace_ns(const struct lmm_trace *tr, uint64_t ticks)
{
	return lmm_clock_fit_ns(&tr->fit, ticks);
}
