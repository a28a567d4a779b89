/* SPDX-License-Identifier: Apache-2.0 */
/* TVM's C interface of 2025 on (tvm/ffi/c_api.h) as far as its functions' calls go: shared by tvm.c and tvm_late.c. */
#ifndef LMM_PROBE_ENGINES_TVM_FFI_H
#define LMM_PROBE_ENGINES_TVM_FFI_H

#include <string.h>

#include "probe/engines/tvm_calls.h"

enum {
	LMM_TVM_INT = 1,
	LMM_TVM_OPAQUE = 4,
	LMM_TVM_RAW_STR = 8,
	LMM_TVM_OBJECT = 64, /* from here on a value is an object */
	LMM_TVM_STR = 65,
	LMM_TVM_FUNCTION = 68,
	LMM_TVM_SHAPE = 69,
	LMM_TVM_TENSOR = 70,
};

struct lmm_tvm_any {
	int32_t type;
	uint32_t rest;
	union {
		int64_t i;
		void *p;
	} v;
};

struct lmm_tvm_bytes {
	const char *data;
	size_t n;
};

/* An object begins with its counts and its type; what it holds lies behind a header that was 16 bytes once. NULL: it is of another type. */
static inline void *lmm_tvm_cell(void *object, int32_t type)
{
	int32_t at_0, at_8;

	memcpy(&at_0, object, sizeof(at_0));
	memcpy(&at_8, (const char *)object + 8, sizeof(at_8));
	if (at_8 == type)
		return (char *)object + 24;
	return at_0 == type ? (char *)object + 16 : NULL;
}

/* Returns not 0 if it failed. */
typedef int (*lmm_tvm_safe_call)(void *self, const struct lmm_tvm_any *args, int32_t n,
				 struct lmm_tvm_any *result);

/* A call that tells something: begins to tell it. NULL: nobody records it, or its end need not be told. */
struct lmm_tvm_told {
	struct lmm_thread *th;
	struct lmm_tvm_call call;
	bool has_end;
};

struct lmm_tvm_told lmm_tvm_tell(enum lmm_tvm_what what, const struct lmm_tvm_any *args, int32_t n);
void lmm_tvm_told(const struct lmm_tvm_told *told, int rc);

/* The runtime was there before us: binds what is not bound when functions are registered, and takes copies and scopes over. */
void lmm_tvm_ffi_late(void);

#endif
