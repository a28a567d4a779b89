/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled functions on TVM's CPU target, seen through the virtual machine's own instrument: a function that it calls before and
 * after each of its Call instructions. And the graph that stands for the model: kernel 0 is a layer as a whole.
 */
#ifndef LMM_PROBE_ENGINES_TVM_KERNELS_H
#define LMM_PROBE_ENGINES_TVM_KERNELS_H

#include "probe/engines/tvm_ffi.h"

#define LMM_TVM_LAYERS_MAX 256u
/* Slot 2 N is layer N's attention with what makes ready for it, 2 N + 1 its rest; OUTPUT: what is of no layer. */
#define LMM_TVM_OUTPUT (2 * LMM_TVM_LAYERS_MAX)
#define LMM_TVM_SLOTS  (LMM_TVM_OUTPUT + 1)
/* The virtual machine itself, between two compiled functions. */
#define LMM_TVM_MACHINE_KERNEL 1u

/* What the graph of that number has. */
struct lmm_tvm_graph {
	uint32_t number;
	uint32_t kernels; /* below that */
	uint32_t met;	  /* as many were known */
	uint32_t layers;  /* of those but the first */
};

/* The graph that has the kernels known by now, in so many layers; described if it is new. Not for each event. */
struct lmm_tvm_graph lmm_tvm_graph_get(uint32_t layers);
/* Whether a kernel was met that the graph does not have. */
bool lmm_tvm_graph_is_old(const struct lmm_tvm_graph *g);
/* What events call the node. */
const void *lmm_tvm_node(uint32_t kernel, uint32_t slot);

/* On this thread a machine calls a function that is given it. */
void lmm_tvm_machine_seen(const struct lmm_tvm_any *args, int32_t n);
/* A pass begins: what was seen before is another one's. */
void lmm_tvm_machine_forget(void);
/* The pass is done by the host: from now on its machine says what it calls, unless it says so to someone else. */
void lmm_tvm_machine_take(void);

void lmm_tvm_kernels_after_fork(void);

#endif
