/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a .lmt file from items, as they come. What is handed over and followed by lmm_trace_writer_flush() is in the
 * file: nothing is held back for the end. docs/format.md is the format.
 */
#ifndef LMM_TRACE_WRITER_H
#define LMM_TRACE_WRITER_H

#include <stddef.h>

#include "lmmeter/trace.h"

/*
 * A way to compress a chunk's payload. The injected library passes none (it links libc only); lmmeter passes zstd
 * (trace/zstd_codec.h). compress returns the compressed size, or 0 if it does not help or fits not.
 */
struct lmm_codec {
	unsigned coding;
	size_t (*compress)(void *ctx, void *dst, size_t dst_bytes, const void *src,
			   size_t src_bytes);
	void *ctx;
};

struct lmm_trace_writer;

struct lmm_trace_writer_opts {
	const struct lmm_codec *codec; /* NULL: none */
	uint64_t max_size_bytes;       /* 0: no limit; else oldest event batches go first */
};

/*
 * Creates path (0600, O_EXCL: an existing file is never overwritten; -EEXIST). opts may be NULL; the codec must outlive
 * the writer. On error *out is NULL and no file is left.
 */
int lmm_trace_writer_open(const char *path, const struct lmm_trace_writer_opts *opts,
			  struct lmm_trace_writer **out);

/*
 * Opens a file that ends early, cuts off what comes behind its last whole item and goes on there. -EBUSY: somebody
 * writes it now. LMM_E_NOT_LMT, LMM_E_VERSION; LMM_E_CORRUPT (the file stays as it is) if it is damaged, not only cut.
 * What is in it already says the reader: of each stream, ring_to of the last EVENTS item.
 */
int lmm_trace_writer_open_append(const char *path, const struct lmm_trace_writer_opts *opts,
				 struct lmm_trace_writer **out);

/*
 * A lmm_sink_fn. A full disk (-ENOSPC) or any other write error is sticky: the item is not in the file, the file is
 * cut back to the last whole chunk, and later items give the same error. Not sticky: -ENOMEM, -EINVAL (no such item)
 * and LMM_E_LIMIT (too large); the item is not in the file.
 *
 * EVENTS batches of any length are taken. Consecutive ones of a stream whose ring positions join are stored as one; one
 * of more than 8,192 events comes back as several of which only the last has moved ring_to.
 */
int lmm_trace_writer_item(void *ctx, const struct lmm_item *item);

/* Hands everything to the kernel. 0 or the sticky error. */
int lmm_trace_writer_flush(struct lmm_trace_writer *w);

/*
 * 1 when the file is over max_size_bytes: the caller then gives a CHECKPOINT and calls lmm_trace_writer_compact(),
 * which rewrites the file without the oldest half of its event batches, older checkpoints and superseded counters, and
 * with a DROPPED item at its end. A file that stays too large for other reasons (graphs) is full again only when it
 * has grown by a quarter of the limit. Rings' tails must have been released before: the newest batch of a
 * stream may be among what goes.
 *
 * 0, or a negative error and the old file stays as it was; out of space there is sticky like any write error. -ESTALE: the
 * path does not lead to the file any more, somebody has moved it.
 */
int lmm_trace_writer_is_full(const struct lmm_trace_writer *w);
int lmm_trace_writer_compact(struct lmm_trace_writer *w);

/* All that compaction has taken out so far, as in the file's DROPPED item. */
void lmm_trace_writer_dropped(const struct lmm_trace_writer *w, struct lmm_dropped *out);

uint64_t lmm_trace_writer_size_bytes(const struct lmm_trace_writer *w);

/* Flushes and closes; accepts NULL. 0 or the sticky error. */
int lmm_trace_writer_close(struct lmm_trace_writer *w);

#endif
