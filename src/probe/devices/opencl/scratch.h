/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of what a kernel writes, so that a repeat (repeat.h) finds the input of the run before it and not its output. Which
 * arguments are written is tried out: a launch with a copy in an argument's place either changes the copy or does not.
 * Under the lock of repeat.c; needs the loader's layer, as nothing else says which buffers a kernel works on.
 */
#ifndef LMM_PROBE_DEVICES_OPENCL_SCRATCH_H
#define LMM_PROBE_DEVICES_OPENCL_SCRATCH_H

#include <stdbool.h>

#include "probe/devices/opencl/opencl.h"

struct lmm_cl_launch;

/* printf-like: a line of the log. */
typedef void (*lmm_cl_scratch_say)(const char *format, ...) LMM_PRINTF(1, 2);

/* Puts the functions that have to be seen into the layer's table. */
void lmm_cl_scratch_watch(struct _cl_icd_dispatch *layer);

/* Finds out what this launch writes, and makes the copies. Runs the kernel several times. */
void lmm_cl_scratch_learn(const struct lmm_cl_launch *l, lmm_cl_scratch_say say);
/* Whether that was done, with whatever outcome. */
bool lmm_cl_scratch_is_known(void);

/* The kernel's next launches write copies; as it was. */
void lmm_cl_scratch_enter(const struct lmm_cl_launch *l);
void lmm_cl_scratch_leave(const struct lmm_cl_launch *l);

#endif
