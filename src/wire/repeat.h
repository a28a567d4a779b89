/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels run again behind themselves, for `lmmeter verify`, in a process whose output nobody wants.
 *
 * LMMETER_REPEAT=NAME:SEED:FACTOR:FILE chooses the kernels called NAME. From decode step to decode step the probe runs something further
 * behind each of them, K times; what, and K, is drawn from SEED in blocks, of which each holds every turn once
 * (LMM_REPEAT_BLOCK), so that what drifts falls on all turns alike. The K of the block times FACTOR (1 to LMM_REPEAT_FACTOR_MAX),
 * for kernels that take little of a step; fillers and empty kernels by their own number. FILE.<pid> gets lines of text, in this order:
 *
 *	scratch W A		the kernel has A arguments that are buffers; repeats write their own copies of W of them
 *	in-place REASON		there are no copies: a repeat works on what the run before left
 *	fault TEXT		something that cannot be had; turns that need it do nothing
 *	step T MODE K B N	the step whose first command came at T (CLOCK_MONOTONIC, ns) was one of that mode in block B,
 *				and N further runs (of MODE fill: fillers) were enqueued in it
 */
#ifndef LMM_WIRE_REPEAT_H
#define LMM_WIRE_REPEAT_H

enum lmm_repeat_mode {
	LMM_REPEAT_NONE,       /* nothing */
	LMM_REPEAT_WARM,       /* the kernel */
	LMM_REPEAT_WARM_TIMED, /* the kernel, recorded as a kernel "NAME (repeat B)" */
	LMM_REPEAT_FILL, /* a filler: writes to more memory than the caches hold; behind some of the kernels only */
	LMM_REPEAT_COLD,	/* a filler and the kernel, likewise */
	LMM_REPEAT_COLD_TIMED,	/* the same, the kernel recorded as "NAME (cold repeat B)" */
	LMM_REPEAT_EMPTY,	/* a kernel that does nothing: what lies between two kernels */
	LMM_REPEAT_EMPTY_TIMED, /* the same, recorded as "lmmeter_empty" */
	LMM_REPEAT_MODES
};

/* As they stand in the log. */
#define LMM_REPEAT_MODE_NAMES                                                                      \
	"none", "warm", "warm-timed", "fill", "cold", "cold-timed", "empty", "empty-timed"

/* Behind NAME; then B and ")". */
#define LMM_REPEAT_WARM_SUFFIX	" (repeat "
#define LMM_REPEAT_COLD_SUFFIX	" (cold repeat "
#define LMM_REPEAT_EMPTY_KERNEL "lmmeter_empty"

#define LMM_REPEAT_FACTOR_MAX 64u

/* Turns of a block: X(mode, K). */
#define LMM_REPEAT_BLOCK(X)                                                                        \
	X(NONE, 0)                                                                                 \
	X(NONE, 0)                                                                                 \
	X(WARM, 1)                                                                                 \
	X(WARM, 2)                                                                                 \
	X(WARM, 4)                                                                                 \
	X(WARM_TIMED, 2)                                                                           \
	X(FILL, 2)                                                                                 \
	X(COLD, 2)                                                                                 \
	X(COLD_TIMED, 2)                                                                           \
	X(EMPTY, 4)                                                                                \
	X(EMPTY_TIMED, 4)

#define LMM_REPEAT_TURNS 11u

#endif
