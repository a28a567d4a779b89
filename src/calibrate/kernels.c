/* SPDX-License-Identifier: Apache-2.0 */
/* What is run to find the peaks: reading, products with sums of floats, and of 8-bit integers. */
#include <string.h>

#include "base/compiler.h"
#include "calibrate/calibrate_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

/* Variables, no array: compilers keep an array of so many in memory. */
#define EACH6(x)  x(0) x(1) x(2) x(3) x(4) x(5)
#define EACH12(x) EACH6(x) x(6) x(7) x(8) x(9) x(10) x(11)
#define EACH20(x) EACH12(x) x(12) x(13) x(14) x(15) x(16) x(17) x(18) x(19)

/* ---- of every CPU of this architecture ---------------------------------------------------------- */

#define NAME(x) x##_base
#define TARGET
#define WIDTH 16
#if defined(__aarch64__)
#define EACH	  EACH20
#define BASE_SUMS 20
#else
#define EACH	  EACH12
#define BASE_SUMS 12
#endif
#include "calibrate/kernels_body.inc"

#if defined(__x86_64__)

#define NAME(x) x##_avx2
#define TARGET	__attribute__((target("avx2,fma")))
#define WIDTH	32
#define EACH	EACH12
#include "calibrate/kernels_body.inc"

#define NAME(x) x##_avx512
#define TARGET	__attribute__((target("avx512f")))
#define WIDTH	64
#define EACH	EACH20
#include "calibrate/kernels_body.inc"

/* ---- 8-bit integers ----------------------------------------------------------------------------- */

__attribute__((target("avx512f,avx512vnni"))) static int32_t int8_avx512(uint64_t rounds,
									 int32_t seed)
{
	__m512i a = _mm512_set1_epi32(seed), b = _mm512_set1_epi32(seed ^ 0x01010101), all = a;

#define OPEN(k) __m512i x##k = _mm512_set1_epi32(k);
/* the intrinsic makes gcc 12 copy every register around the loop */
#define STEP(k)	 __asm__("vpdpbusd %2, %1, %0" : "+v"(x##k) : "v"(a), "v"(b));
#define CLOSE(k) all = _mm512_add_epi32(all, x##k);
	EACH20(OPEN)
	while (rounds--) {
		EACH20(STEP)
	}
	EACH20(CLOSE)
#undef OPEN
#undef STEP
#undef CLOSE
	return _mm512_reduce_add_epi32(all);
}

/*
 * As engines do it where there is no instruction of its own: three for 32 products. The factors change with the sums, or the
 * products would be taken out of the loop.
 */
__attribute__((target("avx2"))) static int32_t int8_avx2(uint64_t rounds, int32_t seed)
{
	__m256i a = _mm256_set1_epi32(seed), b = _mm256_set1_epi32(seed ^ 0x01010101), all = a;
	const __m256i ones = _mm256_set1_epi16(1);

#define OPEN(k) __m256i x##k = _mm256_set1_epi32(k);
#define STEP(k)                                                                                    \
	x##k = _mm256_add_epi32(                                                                   \
		x##k,                                                                              \
		_mm256_madd_epi16(_mm256_maddubs_epi16(a, _mm256_xor_si256(b, x##k)), ones));
#define CLOSE(k) all = _mm256_add_epi32(all, x##k);
	EACH12(OPEN)
	while (rounds--) {
		EACH12(STEP)
	}
	EACH12(CLOSE)
#undef OPEN
#undef STEP
#undef CLOSE
	return _mm256_extract_epi32(all, 0) + _mm256_extract_epi32(all, 5);
}

static void choose_best(struct kernels *k)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
		k->f32_isa = "avx2+fma";
		k->read = read_avx2;
		k->f32 = f32_avx2;
		k->f32_ops = 12 * 8 * 2;
		k->int8_isa = "avx2";
		k->int8 = int8_avx2;
		k->int8_ops = 12 * 32 * 2;
	}
	if (__builtin_cpu_supports("avx512f")) {
		k->f32_isa = "avx512f";
		k->read = read_avx512;
		k->f32 = f32_avx512;
		k->f32_ops = 20 * 16 * 2;
	}
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni")) {
		k->int8_isa = "avx512vnni";
		k->int8 = int8_avx512;
		k->int8_ops = 20 * 64 * 2;
	}
}

#elif defined(__aarch64__) && defined(__linux__)

#define HWCAP_DOTPROD (1ul << 20)

/* The instruction in assembly, as not every compiler has the intrinsic for one function alone. */
#if defined(__clang__)
#define WITH_DOTPROD
#define TARGET_DOTPROD __attribute__((target("dotprod")))
#else
#define WITH_DOTPROD ".arch armv8.2-a+dotprod\n\t"
#define TARGET_DOTPROD
#endif

TARGET_DOTPROD static int32_t int8_dotprod(uint64_t rounds, int32_t seed)
{
	int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(seed));
	int32x4_t all = vdupq_n_s32(0);

#define OPEN(k)	 int32x4_t x##k = vdupq_n_s32(k);
#define STEP(k)	 __asm__(WITH_DOTPROD "sdot %0.4s, %1.16b, %1.16b" : "+w"(x##k) : "w"(a));
#define CLOSE(k) all = vaddq_s32(all, x##k);
	EACH20(OPEN)
	while (rounds--) {
		EACH20(STEP)
	}
	EACH20(CLOSE)
#undef OPEN
#undef STEP
#undef CLOSE
	return vaddvq_s32(all);
}

static void choose_best(struct kernels *k)
{
	k->f32_isa = "neon";
	if (getauxval(AT_HWCAP) & HWCAP_DOTPROD) {
		k->int8_isa = "dotprod";
		k->int8 = int8_dotprod;
		k->int8_ops = 20 * 16 * 2;
	}
}

#else

static void choose_best(struct kernels *k)
{
	(void)k;
}

#endif

void lmm__kernels_choose(struct kernels *k)
{
	memset(k, 0, sizeof(*k));
	k->f32_isa = "baseline";
	k->int8_isa = "";
	k->read = read_base;
	k->f32 = f32_base;
	k->f32_ops = BASE_SUMS * 4 * 2;
	choose_best(k);
}
