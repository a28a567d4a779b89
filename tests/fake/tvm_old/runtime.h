/* SPDX-License-Identifier: Apache-2.0 */
/* TVM's C interface of 2024 as far as the stand-in has it. */
#ifndef FAKE_TVM_OLD_RUNTIME_H
#define FAKE_TVM_OLD_RUNTIME_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { CODE_INT = 0, CODE_NONE = 4, CODE_OBJECT = 8, CODE_STR = 11 };

union value {
	int64_t i;
	double d;
	void *p;
};

struct shape {
	uint32_t type;
	int32_t count;
	void *deleter;
	const int64_t *data;
	uint64_t n;
};

struct tensor {
	void *data;
	int32_t device_type, device_id, dimensions;
	uint8_t code, bits;
	uint16_t lanes;
	const int64_t *shape, *strides;
	uint64_t offset;
};

typedef int (*packed_function)(union value *args, int *codes, int n, void *out, void *self);

int TVMFuncGetGlobal(const char *name, void **out);
int TVMFuncRegisterGlobal(const char *name, void *function, int override);
int TVMFuncCreateFromCFunc(packed_function call, void *self, void (*end)(void *self), void **out);
int TVMFuncCall(void *function, union value *args, int *codes, int n, union value *value,
		int *code);
int TVMCFuncSetReturn(void *result, union value *value, int *code, int n);
int TVMObjectFree(void *object);
void _ZN3tvm7runtime7NDArray13CopyFromBytesEPKvm(void *self, const void *bytes, size_t n);
void _ZN3tvm7runtime7NDArray10CopyFromToEPK8DLTensorPS2_Pv(const struct tensor *from,
							   struct tensor *to, void *stream);

/* tvm::runtime::NVTXScopedRange's constructor and destructor */
void fake_scope_begin(void *self,
		      const char *name) __asm__("_ZN3tvm7runtime15NVTXScopedRangeC1EPKc");
void fake_scope_end(void *self) __asm__("_ZN3tvm7runtime15NVTXScopedRangeD1Ev");

static inline int64_t fake_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static inline void fake_work(int us)
{
	int64_t end = fake_now_ns() + us * 1000ll;

	while (fake_now_ns() < end)
		;
}

#endif
