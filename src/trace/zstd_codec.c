/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/zstd_codec.h"

#include <stdlib.h>
#include <zstd.h>

#include "lmmeter/trace.h"
#include "trace/format.h"
#include "trace/writer.h"

struct zstd_codec {
	struct lmm_codec codec; /* first: what the caller holds */
	ZSTD_CCtx *context;
	int level;
};

static size_t compress(void *ctx, void *dst, size_t dst_bytes, const void *src, size_t src_bytes)
{
	struct zstd_codec *z = ctx;
	size_t n = ZSTD_compressCCtx(z->context, dst, dst_bytes, src, src_bytes, z->level);

	return ZSTD_isError(n) ? 0 : n;
}

struct lmm_codec *lmm_zstd_codec_create(int level)
{
	struct zstd_codec *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->context = ZSTD_createCCtx();
	if (!z->context) {
		free(z);
		return NULL;
	}
	z->level = level;
	z->codec.coding = LMM_CODING_ZSTD;
	z->codec.compress = compress;
	z->codec.ctx = z;
	return &z->codec;
}

void lmm_zstd_codec_destroy(struct lmm_codec *codec)
{
	struct zstd_codec *z = (struct zstd_codec *)codec;

	if (!z)
		return;
	ZSTD_freeCCtx(z->context);
	free(z);
}

struct lmm_zstd_reader {
	ZSTD_DCtx *context;
};

struct lmm_zstd_reader *lmm_zstd_reader_create(void)
{
	struct lmm_zstd_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->context = ZSTD_createDCtx();
	if (!r->context) {
		free(r);
		return NULL;
	}
	return r;
}

void lmm_zstd_reader_destroy(struct lmm_zstd_reader *r)
{
	if (!r)
		return;
	ZSTD_freeDCtx(r->context);
	free(r);
}

int lmm_zstd_reader_decompress(struct lmm_zstd_reader *r, void *dst, size_t dst_bytes,
			       const void *src, size_t src_bytes)
{
	size_t n = ZSTD_decompressDCtx(r->context, dst, dst_bytes, src, src_bytes);

	return ZSTD_isError(n) || n != dst_bytes ? LMM_E_CORRUPT : 0;
}
