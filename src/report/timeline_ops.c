/* SPDX-License-Identifier: Apache-2.0 */
#include "report/timeline_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/roles.h"

/* ---- graphs ------------------------------------------------------------------------------------- */

static size_t put_shape(char *out, size_t size, const char *lead,
			const struct lmm_tensor_shape *shape)
{
	int dims = 4;
	int n = snprintf(out, size, "%s%.15s[", lead, shape->type);
	size_t at = n > 0 ? (size_t)n : 0;

	while (dims > 1 && shape->ne[dims - 1] == 1)
		dims--;
	for (int i = 0; i < dims && at < size; i++) {
		n = snprintf(out + at, size - at, "%s%" PRId64, i ? "," : "", shape->ne[i]);
		at += n > 0 ? (size_t)n : 0;
	}
	if (at + 1 < size) {
		out[at++] = ']';
		out[at] = '\0';
	}
	return at < size ? at : size - 1;
}

/* "f32[1536,7] = q4_1[576,1536], f32[576,7]" */
static void describe_shape(const struct lmm_node *node, char *out, size_t size)
{
	size_t at = put_shape(out, size, "", &node->out);

	for (unsigned i = 0; i < node->n_src && i < LMM_NODE_SRC_MAX && at + 1 < size; i++)
		at += put_shape(out + at, size - at, i ? ", " : " = ", &node->src[i]);
}

static int describe_op(struct lmm_tl *tl, const struct lmm_node *node, struct lmm_tl_op *op)
{
	char name[LMM_BASE_NAME_MAX], shape[512];

	lmm_roles_base_name(node, name);
	describe_shape(node, shape, sizeof(shape));
	op->name = lmm_strpool_add(&tl->strings, name, NULL);
	op->op = lmm_strpool_add(&tl->strings, node->op, NULL);
	op->shape = lmm_strpool_add(&tl->strings, shape, NULL);
	op->layer = node->layer;
	op->role = node->role;
	op->bytes = node->bytes_read + node->bytes_written;
	op->flops = node->flops;
	return op->name && op->op && op->shape ? 0 : -ENOMEM;
}

int lmm__tl_graph(struct lmm_tl *tl, const struct lmm_graph *graph)
{
	uint64_t key = lmm_idmap_key(graph->process, graph->graph);
	struct lmm_tl_graph *g = lmm_idmap_make(&tl->graphs, key, sizeof(*g));
	struct lmm_tl_op *ops;
	int rc = 0;

	if (!g)
		return -ENOMEM;
	/* described twice (a recovery does that): the first stays, streams point to it */
	if (g->ops || graph->n_nodes == 0)
		return 0;
	ops = calloc(graph->n_nodes, sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	for (uint32_t i = 0; i < graph->n_nodes && rc == 0; i++)
		rc = describe_op(tl, &graph->nodes[i], &ops[i]);
	g->ops = ops;
	g->n_ops = graph->n_nodes;
	return rc;
}

/* ---- layers ------------------------------------------------------------------------------------- */

static int layer_flush(struct lmm_tl *tl, struct lmm_tl_stream *s)
{
	struct lmm_slice slice = { .begin_ns = s->layer_begin_ns, .end_ns = s->layer_end_ns };
	char name[24];
	int rc;

	if (s->layer < 0)
		return 0;
	(void)snprintf(name, sizeof(name), "layer %" PRId32, s->layer);
	slice.name = name;
	slice.category =
		lmm__tl_is_warm(s->process, s->run_step, s->layer_begin_ns) ? "warmup" : "layer";
	s->layer = -1;
	rc = lmm__tl_track(tl, &s->layers_track, LMM_TRACK_LAYERS, s->process, s->tid, "layers");
	return rc < 0 ? rc : lmm__tl_slice(tl, &s->layers_track, &slice);
}

static int layer_extend(struct lmm_tl *tl, struct lmm_tl_stream *s, int32_t layer,
			uint64_t begin_ns, uint64_t end_ns)
{
	int rc = 0;

	if (layer != s->layer) {
		rc = layer_flush(tl, s);
		s->layer = layer;
		s->layer_begin_ns = begin_ns;
	}
	s->layer_end_ns = end_ns;
	return rc;
}

/* ---- operators ---------------------------------------------------------------------------------- */

/* The hook's own time between this operator and the next; fractions of a nanosecond are carried on. */
static uint64_t take_own_ns(struct lmm_tl_stream *s)
{
	uint64_t ps = (uint64_t)s->process->op_cost_ps + s->own_rest_ps;

	s->own_rest_ps = (uint32_t)(ps % 1000);
	return ps / 1000;
}

static unsigned run_phase(const struct lmm_tl_stream *s, const struct lmm_tl_op *op)
{
	const struct lmm_tl_step *step = lmm__tl_find_step(s->process, s->run_step);

	if (op->role == LMM_ROLE_EMBEDDING)
		return LMM_PHASE_EMBEDDING;
	if (step)
		return step->phase;
	return s->depth > 0 ? s->phases[s->depth - 1].phase : LMM_PHASE_NONE;
}

static void op_of(const struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_tl_op *op,
		  struct lmm_slice_of *of)
{
	*of = lmm__tl_of(s->process, run_phase(s, op), s->run_step, s->op_ns);
	of->role = op->role;
	of->layer = op->layer;
	of->is_worker = s->is_worker;
	of->op = op->name ? lmm_strpool_get(&tl->strings, op->op) : NULL;
}

static int op_close(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t t_ns)
{
	static const struct lmm_tl_op unknown = { .layer = -1 };
	const struct lmm_tl_op *op = &unknown;
	struct lmm_slice slice = { .begin_ns = s->op_ns };
	uint64_t own_ns;
	int rc;

	if (!s->op_is_open)
		return 0;
	s->op_is_open = 0;
	if (s->graph && s->op_node < s->graph->n_ops)
		op = &s->graph->ops[s->op_node];
	own_ns = take_own_ns(s);
	slice.end_ns = t_ns > s->op_ns + own_ns ? t_ns - own_ns : s->op_ns;
	slice.name = op->name ? lmm_strpool_get(&tl->strings, op->name) : "unknown";
	op_of(tl, s, op, &slice.of);
	slice.category = slice.of.is_warmup ? "warmup" : lmm_role_name(op->role);
	if (op->name) {
		lmm__tl_arg_string(&slice, "op", slice.of.op);
		lmm__tl_arg_string(&slice, "shape", lmm_strpool_get(&tl->strings, op->shape));
		lmm__tl_arg_u64(&slice, "bytes", op->bytes);
		lmm__tl_arg_u64(&slice, "flops", op->flops);
	}
	if (op->layer >= 0)
		lmm__tl_arg_i64(&slice, "layer", op->layer);
	lmm__tl_arg_string(&slice, "phase", slice.of.phase ? lmm_phase_name(slice.of.phase) : "");
	if (s->op_is_fused)
		lmm__tl_arg_u64(&slice, "fused", 1);
	if (s->op_barrier_ns && s->op_barrier_ns < slice.end_ns)
		lmm__tl_arg_u64(&slice, "wait_ns", slice.end_ns - s->op_barrier_ns);
	rc = lmm__tl_track(tl, &s->operators_track, LMM_TRACK_OPERATORS, s->process, s->tid,
			   "operators");
	if (rc == 0)
		rc = lmm__tl_slice(tl, &s->operators_track, &slice);
	if (rc < 0 || s->is_worker)
		return rc;
	if (op->role == LMM_ROLE_EMBEDDING) {
		rc = lmm__tl_embedding(tl, s, slice.begin_ns, t_ns);
		if (rc < 0)
			return rc;
	}
	return layer_extend(tl, s, op->layer, slice.begin_ns, slice.end_ns);
}

int lmm__tl_run_abandon(struct lmm_tl *tl, struct lmm_tl_stream *s)
{
	int rc = 0;

	/* a worker hears of no end: its last operator ends at the barrier where the run ended */
	if (s->op_is_open && s->is_worker && s->op_barrier_ns)
		rc = op_close(tl, s, s->op_barrier_ns);
	s->op_is_open = 0;
	s->in_graph = 0;
	return rc < 0 ? rc : layer_flush(tl, s);
}

int lmm__tl_run_begin(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	int rc = lmm__tl_run_abandon(tl, s);

	s->graph = s->device_graph =
		lmm_idmap_get(&tl->graphs, lmm_idmap_key(s->process->process, e->id));
	s->in_graph = 1;
	s->is_worker = e->type == LMM_EV_EPOCH;
	s->run_step = (uint32_t)e->b;
	return rc;
}

int lmm__tl_run_end(struct lmm_tl *tl, struct lmm_tl_stream *s, uint64_t t_ns)
{
	int rc = op_close(tl, s, t_ns);

	return rc < 0 ? rc : lmm__tl_run_abandon(tl, s);
}

int lmm__tl_op(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	uint64_t t_ns = lmm__tl_ns(tl, e->t);
	int rc = op_close(tl, s, t_ns);

	s->op_is_open = 1;
	s->op_is_fused = e->type == LMM_EV_OP_FUSED;
	s->op_node = e->id;
	s->op_ns = t_ns;
	s->op_barrier_ns = 0;
	return rc;
}

/* ---- device commands ---------------------------------------------------------------------------- */

static struct lmm_tl_queue *find_queue(struct lmm_tl *tl, const struct lmm_tl_stream *s,
				       uint32_t queue)
{
	return lmm_idmap_make(&tl->queues, lmm_idmap_key(s->process->process, queue),
			      sizeof(struct lmm_tl_queue));
}

int lmm__tl_command(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_tl_queue *q = find_queue(tl, s, e->seq);
	uint32_t node = (uint32_t)(e->a >> 32);
	struct lmm_tl_command *c;
	const uint32_t *name;

	if (!q)
		return -ENOMEM;
	c = &q->commands[e->id % LMM_TL_COMMANDS];
	name = lmm_idmap_get(&tl->kernels, lmm_idmap_key(s->process->process, (uint32_t)e->a));
	c->id = e->id;
	c->is_set = 1;
	c->step = (uint32_t)e->b;
	c->phase = e->phase;
	c->name = name ? *name : 0;
	c->node = s->device_graph && node < s->device_graph->n_ops ? &s->device_graph->ops[node]
								   : NULL;
	return 0;
}

void lmm__tl_device_graph(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	if (e->phase != 0) /* it names a command buffer */
		return;
	s->device_graph = lmm_idmap_get(&tl->graphs, lmm_idmap_key(s->process->process, e->id));
}

static double queue_rate(const struct lmm_tl *tl, const struct lmm_tl_queue *q)
{
	return lmm_device_clock_rate(q->ticks_per_second, lmm_clock_fit_rate(&tl->fit));
}

int lmm__tl_device_clock(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_device_clock *c =
		lmm_idmap_make(&tl->clocks, lmm_idmap_key(s->process->process, e->id), sizeof(*c));
	const struct lmm_tl_queue *q = find_queue(tl, s, e->seq);

	if (!c || !q)
		return -ENOMEM;
	/* what makes no sense is left out */
	lmm_device_clock_add(c, e, queue_rate(tl, q));
	return 0;
}

/* Where a stamp of the queue's device lies. A device whose clock was never compared is taken to share the session's. */
static uint64_t device_ns(const struct lmm_tl *tl, const struct lmm_tl_stream *s,
			  const struct lmm_tl_queue *q, uint64_t stamp)
{
	const struct lmm_device_clock *c =
		lmm_idmap_get(&tl->clocks, lmm_idmap_key(s->process->process, q->device_number));
	uint64_t error, ticks = c ? lmm_device_clock_place(c, stamp, queue_rate(tl, q), &error) : 0;

	return lmm__tl_ns(tl, ticks ? ticks : stamp);
}

static struct lmm_tl_track *free_lane(struct lmm_tl_queue *q, uint64_t begin_ns)
{
	for (unsigned i = 0; i < LMM_TL_LANES; i++) {
		if (q->lanes[i].last_end_ns <= begin_ns)
			return &q->lanes[i];
	}
	return &q->lanes[0];
}

static void describe_command(const struct lmm_tl *tl, struct lmm_tl_process *p,
			     const struct lmm_tl_command *c, struct lmm_slice *slice)
{
	uint32_t node = c->node ? c->node->name : 0;

	slice->of = lmm__tl_of(p, c->phase, c->step, slice->begin_ns);
	if (c->node) {
		slice->of.role = c->node->role;
		slice->of.layer = c->node->layer;
	}
	if (c->name || node)
		slice->name = lmm_strpool_get(&tl->strings, c->name ? c->name : node);
	if (c->name && node)
		lmm__tl_arg_string(slice, "node", lmm_strpool_get(&tl->strings, node));
	if (slice->of.is_warmup)
		slice->category = "warmup";
	/* no command: all of a step's, which have no times of their own */
	if (strcmp(slice->name, lmm_kernel_kind_name(LMM_KERNEL_PASS)) == 0)
		slice->category = "pass";
	lmm__tl_arg_string(slice, "phase", lmm_phase_name(c->phase));
}

int lmm__tl_completion(struct lmm_tl *tl, struct lmm_tl_stream *s, const struct lmm_event *e)
{
	struct lmm_tl_queue *q = find_queue(tl, s, e->seq);
	struct lmm_slice slice = {
		.category = "command",
		.name = "command",
		.of = { .step = LMM_STEP_NONE, .seq = LMM_SEQ_NONE, .layer = -1 }
	};
	const struct lmm_tl_command *c;
	struct lmm_tl_track *lane;
	const char *device;
	int rc;

	if (!q)
		return -ENOMEM;
	c = &q->commands[e->id % LMM_TL_COMMANDS];
	if (e->phase != LMM_COMPLETION_OK)
		return 0; /* nobody knows when */
	slice.begin_ns = device_ns(tl, s, q, e->t);
	if (q->ticks_per_second) {
		slice.end_ns = slice.begin_ns +
			       (uint64_t)((double)e->a * 1e9 / (double)q->ticks_per_second);
	} else {
		slice.end_ns = lmm__tl_ns(tl, e->t + e->a);
	}
	if (c->is_set && c->id == e->id)
		describe_command(tl, s->process, c, &slice);
	device = lmm_strpool_get(&tl->strings, q->device);
	lane = free_lane(q, slice.begin_ns);
	rc = lmm__tl_track(tl, lane, LMM_TRACK_QUEUE, s->process, 0, device[0] ? device : "device");
	return rc < 0 ? rc : lmm__tl_slice(tl, lane, &slice);
}
