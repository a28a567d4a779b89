/* SPDX-License-Identifier: Apache-2.0 */
/* What writer.c and compact.c share. */
#ifndef LMM_TRACE_WRITER_INTERNAL_H
#define LMM_TRACE_WRITER_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "trace/format.h"
#include "trace/writer.h"

struct lmm_encoder;

/* Batches of one stream that wait to be one chunk. */
struct lmm_pending {
	int used;
	struct lmm_events batch; /* ev = events */
	struct lmm_event events[LMM_CHUNK_EVENTS_MAX];
};

struct lmm_trace_writer {
	int fd;
	int dir_fd; /* with max_size_bytes: the program may change its directory */
	char *name; /* in dir_fd */
	struct lmm_trace_writer_opts opts;
	int error;	     /* sticky */
	uint64_t file_bytes; /* whole chunks that are in the file */
	uint64_t full_bytes; /* from here on it is full; 0: never */
	struct lmm_buf out;  /* whole chunks that are not */
	struct lmm_encoder *encoder;
	struct lmm_buf payload;
	struct lmm_dropped dropped;
	struct lmm_samples_state samples;
	uint32_t samples_since_key;
	struct lmm_pending pending;
};

/* Returns the number of bytes written; less than n: *err is set. */
size_t lmm__write_at(int fd, const uint8_t *data, size_t n, uint64_t offset, int *err);

/* 1: all n bytes are there, 0: the file ends before, negative: an error. */
int lmm__read_at(int fd, void *data, size_t n, uint64_t offset);

/*
 * 0, or -EBUSY if another writer has it. Advisory: it keeps a recovery from a file that is still being written. Not
 * every file system can; then nothing is locked.
 */
int lmm__lock_file(int fd);

#endif
