/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON that is valid whatever it is given: bytes that are no UTF-8 become U+FFFD, NaN and infinities null.
 * The caller balances begin and end and nests fewer than LMM_JSON_DEPTH levels.
 */
#ifndef LMM_REPORT_JSON_WRITER_H
#define LMM_REPORT_JSON_WRITER_H

#include <stdint.h>
#include <stdio.h>

#define LMM_JSON_DEPTH 16

struct lmm_json {
	FILE *out;
	int pretty; /* 1: a line per value, two blanks per level; small objects may still be kept on one line */
	int depth;
	int inline_depth; /* containers at this depth and below stay on one line; 0: none */
	uint8_t has_items[LMM_JSON_DEPTH];
};

void lmm_json_init(struct lmm_json *j, FILE *out, int pretty);

/* key is NULL inside arrays and for the document itself. */
void lmm_json_object_begin(struct lmm_json *j, const char *key);
void lmm_json_object_end(struct lmm_json *j);
void lmm_json_array_begin(struct lmm_json *j, const char *key);
void lmm_json_array_end(struct lmm_json *j);
/* An object whose content stays on one line. */
void lmm_json_row_begin(struct lmm_json *j, const char *key);

void lmm_json_string(struct lmm_json *j, const char *key, const char *value);
void lmm_json_u64(struct lmm_json *j, const char *key, uint64_t value);
void lmm_json_i64(struct lmm_json *j, const char *key, int64_t value);
void lmm_json_bool(struct lmm_json *j, const char *key, int value);
void lmm_json_null(struct lmm_json *j, const char *key);
/* At most `decimals` digits behind the point. */
void lmm_json_double(struct lmm_json *j, const char *key, double value, unsigned decimals);
/* Nanoseconds, to the picosecond. */
void lmm_json_ns(struct lmm_json *j, const char *key, double ns);

/* A string with its quotes, without a writer around it. */
void lmm_json_put_string(FILE *out, const char *value);

#endif
