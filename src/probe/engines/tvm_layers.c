/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: which commands and compiled functions of a pass are which layer's. */
#include <errno.h>

#include "probe/engines/tvm_kernels.h"
#include "probe/engines/tvm_state.h"

/*
 * The only thing of a layer that is told is its attention. Of the commands between two of these the last ones make ready for
 * the second, as many as there were before the first attention of the pass: they are its layer's, the others the layer's before.
 * How many there are is known from the layer before, and from the pass before for the first.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	struct lmm_tvm_layers *model;
	uint32_t ahead;	 /* commands before the first attention */
	uint32_t from;	 /* command at which the last one ended */
	int32_t last;	 /* its layer; -1: none in this pass yet */
	uint8_t is_host; /* no device does the work: the host's time is the layers' */
	uint8_t is_told; /* compiled functions come to us in this pass */
	uint8_t is_sampled;
	uint32_t kernels;     /* of the pass, by now */
	uint32_t slot, until; /* behind so many of them the slot is the next one; 0: it stays */
	uint32_t next;
	struct lmm_tvm_graph graph;
} layers;

static uint32_t commands_of_pass(const struct lmm_thread *th)
{
	if (layers.is_host)
		return layers.kernels;
	return th->device_step == th->step ? th->budget.commands : 0;
}

static void op_put(struct lmm_thread *th, uint32_t kernel, uint32_t slot)
{
	lmm_writer_put(&th->w, lmm_now(), lmm_word_op(LMM_EV_OP, lmm_tvm_node(kernel, slot)));
}

/* Without a device the layers' time is the host's: an operator each for attention and rest, or for what runs in the rest. */
static void host_begin(struct lmm_thread *th)
{
	layers.is_host = 1;
	lmm_writer_put_wide(&th->w, lmm_now(),
			    lmm_word(LMM_EV_GRAPH_BEGIN, 0, LMM_SEQ_NONE, th->graph),
			    (uint64_t)(uintptr_t)lmm_tvm_node(0, 0), (uint64_t)th->step);
}

static void host_end(struct lmm_thread *th)
{
	lmm_writer_put(&th->w, lmm_now(), lmm_word(LMM_EV_GRAPH_END, 0, LMM_SEQ_NONE, th->graph));
	layers.is_host = 0;
}

void lmm_tvm_layers_end(struct lmm_thread *th)
{
	if (th->graph && layers.is_host)
		host_end(th);
	th->graph = 0;
	th->mark = LMM_NODE_UNKNOWN;
	th->mark_left = 0;
}

void lmm_tvm_layers_begin(struct lmm_thread *th, struct lmm_tvm_layers *of)
{
	uint32_t every = lmm_session_op_every();

	lmm_tvm_layers_end(th); /* of a compiled function that has failed */
	layers.graph = lmm_tvm_graph_get((uint32_t)(of->highest + 1));
	th->graph = layers.graph.number;
	th->mark = 0; /* what makes ready for the first attention is layer 0's */
	th->mark_left = 0;
	layers.model = of;
	layers.last = -1;
	layers.is_host = layers.is_told = 0;
	layers.is_sampled = every == 1 || (every > 1 && th->step % every == 0);
	layers.kernels = layers.slot = layers.until = 0;
	lmm_tvm_machine_forget();
}

/* Where a layer begins, as it costs: kernels that were met since get their nodes. */
static LMM_COLD void graph_renew(struct lmm_thread *th)
{
	int saved = errno;

	host_end(th);
	layers.graph = lmm_tvm_graph_get((uint32_t)(layers.model->highest + 1));
	th->graph = layers.graph.number;
	host_begin(th);
	errno = saved;
}

/* Without a node of its own it is the layer's. */
static uint32_t kernel_node(uint32_t kernel)
{
	bool has_slot = layers.slot / 2 < layers.graph.layers || layers.slot == LMM_TVM_OUTPUT;

	return kernel < layers.graph.kernels && has_slot ? kernel : 0;
}

/* One that embeds or is of the softmax is a run of its own. */
static void kernel_alone_begin(struct lmm_thread *th, uint32_t kernel)
{
	int saved = errno;

	if (lmm_tvm.doing != LMM_TVM_EMBEDDING && lmm_tvm.doing != LMM_TVM_SOFTMAX)
		return;
	lmm_tvm_layers_end(th); /* of one that has failed */
	layers.graph = lmm_tvm_graph_get(0);
	errno = saved;
	th->graph = layers.graph.number;
	layers.slot = LMM_TVM_OUTPUT;
	host_begin(th);
	op_put(th, kernel_node(kernel), layers.slot);
}

void lmm_tvm_kernel_begin(struct lmm_thread *th, uint32_t kernel)
{
	if (lmm_tvm_is_stale(th))
		return;
	if (lmm_tvm.doing != LMM_TVM_FORWARD) {
		kernel_alone_begin(th, kernel);
		return;
	}
	if (!layers.is_told) {
		layers.is_told = 1;
		if (!layers.is_host)
			host_begin(th);
	}
	if (layers.until && layers.kernels >= layers.until) {
		layers.slot = layers.next;
		layers.until = 0;
	}
	layers.kernels++;
	if (layers.is_sampled)
		op_put(th, kernel_node(kernel), layers.slot);
}

void lmm_tvm_kernel_end(struct lmm_thread *th)
{
	if (lmm_tvm_is_stale(th) || !th->graph || !layers.is_host)
		return;
	if (lmm_tvm.doing != LMM_TVM_FORWARD) {
		lmm_tvm_layers_end(th);
	} else if (layers.is_sampled) {
		op_put(th, kernel_node(LMM_TVM_MACHINE_KERNEL), layers.slot);
	}
}

void lmm_tvm_layer_begin(struct lmm_thread *th, int64_t layer, bool is_device)
{
	uint32_t commands;

	if (lmm_tvm_is_stale(th) || lmm_tvm.doing != LMM_TVM_FORWARD || layer < 0 ||
	    layer >= LMM_TVM_LAYERS_MAX)
		return;
	commands = commands_of_pass(th);
	if (layers.last < 0) {
		layers.ahead = commands;
		if (commands == 0 && !is_device && !layers.is_host)
			host_begin(th);
		if (!is_device)
			lmm_tvm_machine_take();
	} else {
		layers.model->between = commands - layers.from;
	}
	if (layer > layers.model->highest)
		layers.model->highest = (int32_t)layer;
	th->mark = 2 * (uint32_t)layer;
	th->mark_left = 0;
	if (!layers.is_host)
		return;
	if (lmm_tvm_graph_is_old(&layers.graph))
		graph_renew(th);
	layers.slot = th->mark;
	layers.until = 0;
	op_put(th, 0, layers.slot);
}

/* What of the host comes behind the attention of that layer. */
static void host_rest(struct lmm_thread *th, uint32_t layer)
{
	bool is_last = (int32_t)layer >= layers.model->highest;
	uint32_t between = layers.model->between;

	layers.slot = 2 * layer + 1;
	layers.next = is_last ? LMM_TVM_OUTPUT : 2 * layer + 2;
	if (layers.is_told && between > layers.ahead) {
		layers.until = layers.kernels + between - layers.ahead;
	} else if (is_last) {
		layers.slot = LMM_TVM_OUTPUT;
	}
	if (layers.is_told && layers.is_sampled) {
		op_put(th, kernel_node(LMM_TVM_MACHINE_KERNEL), layers.slot);
	} else {
		op_put(th, 0, layers.slot);
	}
}

void lmm_tvm_layer_end(struct lmm_thread *th, int64_t layer)
{
	if (lmm_tvm_is_stale(th) || lmm_tvm.doing != LMM_TVM_FORWARD || layer < 0 ||
	    layer >= LMM_TVM_LAYERS_MAX)
		return;
	layers.last = (int32_t)layer;
	layers.from = commands_of_pass(th);
	th->mark = 2 * (uint32_t)layer + 1;
	if (layers.is_host) {
		host_rest(th, (uint32_t)layer);
	} else if (layers.model->between > layers.ahead) {
		th->mark_left = layers.model->between - layers.ahead;
		th->mark_next =
			layer < layers.model->highest ? 2 * (uint32_t)layer + 2 : LMM_NODE_UNKNOWN;
	}
}
