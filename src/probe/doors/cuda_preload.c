/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liblmmeter-cuda.so: CUDA's hooked functions under their own names. In a library of its own: what liblmmeter.so exports is found by programs
 * that ask whether there is a CUDA, in every process that has it preloaded; this one holds launches, copies, graphs and waits alone.
 */
#include "probe/devices/cuda/hooks.h"
#include "probe/doors/jump.h"

#define DOOR(symbol) LMM_JUMP_TO(symbol, lmm_hook_##symbol);
LMM_CU_HOOKS(DOOR)
