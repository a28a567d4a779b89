/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs kernels again for `lmmeter verify` (wire/repeat.h). At work only in a process that it started for that: waits, allocates
 * and logs as no other part of the probe may.
 */
#ifndef LMM_PROBE_DEVICES_OPENCL_REPEAT_H
#define LMM_PROBE_DEVICES_OPENCL_REPEAT_H

#include <stdbool.h>

#include "probe/devices/opencl/opencl.h"

/* Read before each launch; set once, when the library is loaded. */
extern bool lmm_cl_is_repeating;

struct lmm_cl_launch {
	cl_command_queue queue;
	cl_kernel kernel;
	cl_uint dimensions;
	const size_t *offset, *global, *local;
};

/* Around an application's launch. */
void lmm_cl_repeat_before(const struct lmm_cl_launch *l);
void lmm_cl_repeat_after(const struct lmm_cl_launch *l);

#endif
