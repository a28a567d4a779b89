/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_BASE_COMPILER_H
#define LMM_BASE_COMPILER_H

#define lmm_likely(x)	__builtin_expect(!!(x), 1)
#define lmm_unlikely(x) __builtin_expect(!!(x), 0)

#ifndef LMM_EXPORT
#define LMM_EXPORT __attribute__((visibility("default")))
#endif
#define LMM_NOINLINE	 __attribute__((noinline))
#define LMM_INLINE	 inline __attribute__((always_inline))
#define LMM_COLD	 __attribute__((cold, noinline))
#define LMM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define LMM_ALIGNED(n)	 __attribute__((aligned(n)))
#define LMM_UNUSED	 __attribute__((unused))

#define LMM_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
