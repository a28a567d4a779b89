/* SPDX-License-Identifier: Apache-2.0 */
/* Reads JSON (RFC 8259) of others, strictly, value by value: no tree is made. */
#ifndef LMM_CALIBRATE_JSON_READ_H
#define LMM_CALIBRATE_JSON_READ_H

#include <stddef.h>

#define LMM_JSON_PATH_MAX   128
#define LMM_JSON_STRING_MAX 512

enum lmm_json_kind { LMM_JSON_NULL, LMM_JSON_BOOL, LMM_JSON_NUMBER, LMM_JSON_STRING };

/* path: "cpu.0.read_bytes_per_second.best". text of strings, unescaped, NUL-terminated; number of numbers and bools. */
struct lmm_json_value {
	const char *path;
	enum lmm_json_kind kind;
	const char *text;
	double number;
};

/* Anything but 0 ends the walk and is its result. */
typedef int lmm_json_fn(void *ctx, const struct lmm_json_value *v);

/* 0; what fn returned; or -EPROTO: it is not JSON, or deeper or longer than the limits above. */
int lmm_json_walk(const char *text, size_t n, lmm_json_fn *fn, void *ctx);

#endif
