/* SPDX-License-Identifier: Apache-2.0 */
/* zstd for chunks: lmmeter's side only, the injected library links libc alone. */
#ifndef LMM_TRACE_ZSTD_CODEC_H
#define LMM_TRACE_ZSTD_CODEC_H

#include <stddef.h>

struct lmm_codec;
struct lmm_zstd_reader;

/* For struct lmm_trace_writer_opts; used by one thread at a time. NULL: no memory. level: 1 to 3 are sensible. */
struct lmm_codec *lmm_zstd_codec_create(int level);
void lmm_zstd_codec_destroy(struct lmm_codec *codec); /* accepts NULL */

struct lmm_zstd_reader *lmm_zstd_reader_create(void);	 /* NULL: no memory */
void lmm_zstd_reader_destroy(struct lmm_zstd_reader *r); /* accepts NULL */

/* 0 if src is whole and gives exactly dst_bytes; LMM_E_CORRUPT otherwise. */
int lmm_zstd_reader_decompress(struct lmm_zstd_reader *r, void *dst, size_t dst_bytes,
			       const void *src, size_t src_bytes);

#endif
