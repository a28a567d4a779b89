/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of protobuf's wire format as a writer needs: fields of a message into a buffer, messages in messages. The
 * buffer's sticky overflow tells of missing memory.
 */
#ifndef LMM_REPORT_PROTOBUF_H
#define LMM_REPORT_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

void lmm_pb_u64(struct lmm_buf *b, uint32_t field, uint64_t value);
void lmm_pb_i64(struct lmm_buf *b, uint32_t field, int64_t value); /* int32, int64: not zigzag */
void lmm_pb_double(struct lmm_buf *b, uint32_t field, double value);
void lmm_pb_bytes(struct lmm_buf *b, uint32_t field, const void *data, size_t n);
/* Bytes that are no UTF-8 become U+FFFD, as readers reject such strings. */
void lmm_pb_string(struct lmm_buf *b, uint32_t field, const char *value);

/* A message as a field: what is written between begin and end is its content; begin's result goes to end. */
size_t lmm_pb_begin(struct lmm_buf *b, uint32_t field);
void lmm_pb_end(struct lmm_buf *b, size_t begin);

#endif
