/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of CUDA kernels by the address that they are launched by. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "probe/devices/cuda/cuda.h"

enum { SLOTS = 2 * LMM_DEVICE_KERNELS, OTHER = 31 };

/* What the injected library has beside it. */
static const _Atomic uint32_t recording = 1;
const _Atomic uint32_t *_Atomic lmm_recording_word = &recording;
struct lmm_cu_driver lmm_cu;

/* A kernel's number is its name's, which is that of its address. */
uint32_t lmm_device_kernel_number(const char *name, uint64_t code_hash, enum lmm_kernel_kind kind,
				  bool *is_first)
{
	(void)code_hash;
	(void)kind;
	(void)is_first;
	return (uint32_t)strtoul(name + 1, NULL, 10);
}

uint32_t lmm_device_kernel_other(void)
{
	return OTHER;
}

static _Atomic unsigned n_asked;
static pthread_barrier_t *both;

static cuda_result func_name(const char **name, void *function)
{
	static _Thread_local char text[32];

	snprintf(text, sizeof(text), "k%zu", (size_t)(uintptr_t)function);
	*name = text;
	atomic_fetch_add(&n_asked, 1);
	if (both)
		pthread_barrier_wait(both);
	return 0;
}

static unsigned n_asked_kernels;

/* Of a handle that is a CUkernel. */
static cuda_result kernel_name(const char **name, void *kernel)
{
	(void)kernel;
	*name = "k77";
	n_asked_kernels++;
	return 0;
}

static void *number_of(void *function)
{
	return (void *)(uintptr_t)lmm_cu_kernel_number(function, true);
}

static uint32_t slot(uintptr_t function)
{
	return (uint32_t)lmm_hash_u64(LMM_HASH_SEED, function) & (SLOTS - 1);
}

/* Two threads meet two kernels first at the same time, whose place is the same. */
static void test_same_place(void **state)
{
	pthread_barrier_t barrier;
	pthread_t other;
	void *answer;
	uintptr_t a = 1000, b = a + 1;

	(void)state;
	lmm_cu.cuFuncGetName = func_name;
	while (slot(b) != slot(a))
		b++;
	pthread_barrier_init(&barrier, NULL, 2);
	both = &barrier;
	assert_int_equal(pthread_create(&other, NULL, number_of, (void *)a), 0);
	assert_int_equal(lmm_cu_kernel_number((void *)b, true), b);
	pthread_join(other, &answer);
	assert_int_equal((uintptr_t)answer, a);
	both = NULL;
	assert_int_equal(n_asked, 2);
	assert_int_equal(lmm_cu_kernel_number((void *)a, true), a);
	assert_int_equal(lmm_cu_kernel_number((void *)b, true), b);
	assert_int_equal(n_asked, 2);
	pthread_barrier_destroy(&barrier);
}

/* What a handle is, and whose name it has, is asked again when something was unloaded. */
static void test_unloaded(void **state)
{
	static char library, other_library, kernel[2];
	uint32_t number = (uint32_t)(uintptr_t)&kernel[0];

	(void)state;
	lmm_cu.cuKernelGetName = kernel_name;
	lmm_cu_kernel_is_contextless(&kernel[0], &library);
	lmm_cu_kernel_is_contextless(&kernel[1], &other_library);
	assert_int_equal(lmm_cu_kernel_number(&kernel[0], true), 77);
	assert_int_equal(lmm_cu_kernel_number(&kernel[0], true), 77);
	assert_int_equal(n_asked_kernels, 1);
	/* its place is a function's now */
	lmm_cu_library_is_gone(&library);
	lmm_cu_kernels_doubt();
	assert_int_equal(lmm_cu_kernel_number(&kernel[0], true), number);
	assert_int_equal(n_asked_kernels, 1);
	assert_int_equal(lmm_cu_kernel_number(&kernel[1], true), 77);
	/* and a kernel's again */
	lmm_cu_kernel_is_contextless(&kernel[0], &other_library);
	lmm_cu_kernels_doubt();
	assert_int_equal(lmm_cu_kernel_number(&kernel[0], true), 77);
}

/* Libraries come and go: places of kernels that are gone are used again. */
static void test_many_libraries(void **state)
{
	static char library, kernels[64];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned k = 0; k < 64; k++)
			lmm_cu_kernel_is_contextless(&kernels[k], &library);
		lmm_cu_library_is_gone(&library);
	}
	lmm_cu_kernel_is_contextless(&kernels[0], &library);
	lmm_cu_kernels_doubt();
	assert_int_equal(lmm_cu_kernel_number(&kernels[0], true), 77);
}

/* Beyond the room nobody is asked any more. */
static void test_room(void **state)
{
	unsigned asked;

	(void)state;
	for (uintptr_t i = 0; i < LMM_DEVICE_KERNELS; i++)
		(void)lmm_cu_kernel_number((void *)(10000000 + i), true);
	asked = n_asked;
	assert_in_range(asked, LMM_DEVICE_KERNELS - 2, LMM_DEVICE_KERNELS);
	assert_int_equal(lmm_cu_kernel_number((void *)20000000, true), OTHER);
	assert_int_equal(lmm_cu_kernel_number((void *)10000000, true), 10000000);
	assert_int_equal(n_asked, asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_place),
		cmocka_unit_test(test_unloaded),
		cmocka_unit_test(test_many_libraries),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
