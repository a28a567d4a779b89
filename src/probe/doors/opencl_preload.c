/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liblmmeter-opencl.so: OpenCL's hooked functions under their own names, for `lmmeter run --door preload`. In a library of its own: a
 * preloaded clFinish() is found by programs that only want to know whether there is an OpenCL.
 */
#include "probe/devices/opencl/hooks.h"
#include "probe/doors/jump.h"

#define DOOR(symbol) LMM_JUMP_TO(symbol, lmm_hook_##symbol);
LMM_CL_HOOKS(DOOR)
