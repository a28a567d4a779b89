/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "trace/fields.h"
#include "trace/format.h"

/* ---- plain items -------------------------------------------------------------------------------- */

/* Cuts long strings between characters. */
static size_t string_bytes(const char *s)
{
	size_t n = strnlen(s, LMM_TRACE_STRING_MAX + 1);

	if (n <= LMM_TRACE_STRING_MAX)
		return n;
	for (n = LMM_TRACE_STRING_MAX; n > LMM_TRACE_STRING_MAX - 4; n--) {
		if (((uint8_t)s[n] & 0xc0) != 0x80)
			return n;
	}
	return LMM_TRACE_STRING_MAX; /* not UTF-8 */
}

static void put_string(struct lmm_buf *out, const char *s)
{
	size_t n = s ? string_bytes(s) : 0;

	lmm_buf_put_varint(out, n);
	lmm_buf_put(out, s, n);
}

static uint64_t load_unsigned(const void *p, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes); /* little-endian */
	return v;
}

static int64_t load_signed(const void *p, unsigned bytes)
{
	unsigned unused_bits = 64 - 8 * bytes;

	return (int64_t)(load_unsigned(p, bytes) << unused_bits) >> unused_bits;
}

static void put_fields(const struct lmm_item *item, struct lmm_fields f, struct lmm_buf *out)
{
	for (size_t i = 0; i < f.n; i++) {
		const char *member = (const char *)item + f.fields[i].offset;
		const char *s;

		switch (f.fields[i].kind) {
		case LMM_FIELD_UNSIGNED:
			lmm_buf_put_varint(out, load_unsigned(member, f.fields[i].bytes));
			break;
		case LMM_FIELD_SIGNED:
			lmm_buf_put_zigzag(out, load_signed(member, f.fields[i].bytes));
			break;
		default:
			memcpy(&s, member, sizeof(s));
			put_string(out, s);
		}
	}
}

/* ---- graphs ------------------------------------------------------------------------------------- */

/* Open addressing; slots hold index + 1 of what is interned. Sized for all that can come: never grows. */
struct intern {
	uint32_t *slots;
	const void **entries;
	uint32_t mask;
	uint32_t n;
};

struct graph_tables {
	struct intern strings; /* const char * */
	struct intern shapes;  /* const struct lmm_tensor_shape * */
};

static int intern_init(struct intern *in, uint32_t max_entries)
{
	uint32_t size = 16;

	while (size < max_entries * 2)
		size *= 2;
	in->slots = calloc(size, sizeof(*in->slots));
	in->entries = calloc((size_t)max_entries + 1, sizeof(*in->entries));
	in->mask = size - 1;
	in->n = 0;
	return in->slots && in->entries ? 0 : -ENOMEM;
}

static void intern_free(struct intern *in)
{
	free(in->slots);
	free(in->entries);
}

static uint32_t intern(struct intern *in, const void *what, uint64_t hash,
		       int (*equal)(const void *a, const void *b))
{
	uint32_t i = (uint32_t)hash & in->mask;

	for (; in->slots[i]; i = (i + 1) & in->mask) {
		if (equal(in->entries[in->slots[i] - 1], what))
			return in->slots[i] - 1;
	}
	in->entries[in->n] = what;
	in->slots[i] = ++in->n;
	return in->n - 1;
}

static int strings_equal(const void *a, const void *b)
{
	return strcmp(a, b) == 0;
}

static uint32_t intern_string(struct graph_tables *t, const char *s)
{
	if (!s)
		s = "";
	return intern(&t->strings, s, lmm_hash_str(LMM_HASH_SEED, s), strings_equal);
}

static int shapes_equal(const void *a, const void *b)
{
	const struct lmm_tensor_shape *x = a, *y = b;

	return memcmp(x->ne, y->ne, sizeof(x->ne)) == 0 &&
	       strcmp(x->type ? x->type : "", y->type ? y->type : "") == 0;
}

static uint32_t intern_shape(struct graph_tables *t, const struct lmm_tensor_shape *s)
{
	uint64_t hash = lmm_hash_bytes(LMM_HASH_SEED, s->ne, sizeof(s->ne));

	return intern(&t->shapes, s, lmm_hash_str(hash, s->type ? s->type : ""), shapes_equal);
}

static void put_node(const struct lmm_node *node, struct graph_tables *t, struct lmm_buf *out)
{
	unsigned n_src = node->n_src < LMM_NODE_SRC_MAX ? node->n_src : LMM_NODE_SRC_MAX;

	lmm_buf_put_varint(out, intern_string(t, node->name));
	lmm_buf_put_varint(out, intern_string(t, node->op));
	lmm_buf_put_varint(out, intern_string(t, node->weight));
	lmm_buf_put_zigzag(out, node->layer);
	lmm_buf_put_varint(out, node->role);
	lmm_buf_put_varint(out, node->runs);
	lmm_buf_put_varint(out, n_src);
	lmm_buf_put_varint(out, node->bytes_read);
	lmm_buf_put_varint(out, node->bytes_written);
	lmm_buf_put_varint(out, node->flops);
	lmm_buf_put_varint(out, intern_shape(t, &node->out));
	for (unsigned i = 0; i < n_src; i++)
		lmm_buf_put_varint(out, intern_shape(t, &node->src[i]));
}

static void put_tables(struct graph_tables *t, struct lmm_buf *out)
{
	/* types first: they may add strings */
	struct lmm_buf shapes = { 0 };

	lmm_buf_put_varint(&shapes, t->shapes.n);
	for (uint32_t i = 0; i < t->shapes.n; i++) {
		const struct lmm_tensor_shape *s = t->shapes.entries[i];

		lmm_buf_put_varint(&shapes, intern_string(t, s->type));
		for (int d = 0; d < 4; d++)
			lmm_buf_put_zigzag(&shapes, s->ne[d]);
	}
	lmm_buf_put_varint(out, t->strings.n);
	for (uint32_t i = 0; i < t->strings.n; i++)
		put_string(out, t->strings.entries[i]);
	lmm_buf_put(out, shapes.data, shapes.n);
	out->overflow |= shapes.overflow;
	lmm_buf_free(&shapes);
}

static int put_graph(const struct lmm_graph *g, struct lmm_buf *out)
{
	struct graph_tables t = { 0 };
	struct lmm_buf nodes = { .max = LMM_CHUNK_PAYLOAD_MAX };
	int rc = -ENOMEM;

	if (g->n_nodes > LMM_READ_NODES_MAX)
		return LMM_E_LIMIT;
	if (intern_init(&t.strings, g->n_nodes * (3 + 1 + LMM_NODE_SRC_MAX)) ||
	    intern_init(&t.shapes, g->n_nodes * (1 + LMM_NODE_SRC_MAX)))
		goto out_free;
	for (uint32_t i = 0; i < g->n_nodes; i++)
		put_node(&g->nodes[i], &t, &nodes);
	lmm_buf_put_varint(out, g->process);
	lmm_buf_put_varint(out, g->graph);
	lmm_buf_put_varint(out, g->n_tokens);
	put_tables(&t, out);
	lmm_buf_put_varint(out, g->n_nodes);
	lmm_buf_put_varint(out, 0); /* further varints behind each node */
	lmm_buf_put(out, nodes.data, nodes.n);
	if (!nodes.overflow)
		rc = 0;
out_free:
	lmm_buf_free(&nodes);
	intern_free(&t.strings);
	intern_free(&t.shapes);
	return rc;
}

int lmm_encode_item(const struct lmm_item *item, struct lmm_buf *out)
{
	struct lmm_fields f = lmm_fields_of((unsigned)item->kind);
	size_t before = out->n;
	int rc = 0;

	if (f.fields) {
		put_fields(item, f, out);
	} else if (item->kind == LMM_ITEM_GRAPH) {
		rc = put_graph(&item->graph, out);
	} else if (item->kind == LMM_ITEM_CHECKPOINT &&
		   item->checkpoint.size_bytes > LMM_CHUNK_PAYLOAD_MAX) {
		rc = LMM_E_LIMIT;
	} else if (item->kind == LMM_ITEM_CHECKPOINT) {
		lmm_buf_put(out, item->checkpoint.data, item->checkpoint.size_bytes);
	} else {
		rc = -EINVAL;
	}
	if (rc == 0 && out->overflow)
		rc = -ENOMEM;
	if (rc == 0 && out->n - before > LMM_CHUNK_PAYLOAD_MAX)
		rc = LMM_E_LIMIT;
	return rc;
}

/* ---- samples ------------------------------------------------------------------------------------ */

/* How many sensors are passed over since the last one named, and if this one is silent now; then by how much it differs. */
static void put_sample(struct lmm_samples_state *s, uint32_t sensor, uint32_t *next, int has,
		       int64_t value, struct lmm_buf *out)
{
	if (s->has[sensor] == has && (!has || s->value[sensor] == value))
		return;
	lmm_buf_put_varint(out, (uint64_t)(sensor - *next) << 1 | !has);
	if (has) {
		lmm_buf_put_zigzag(out, (int64_t)((uint64_t)value - (uint64_t)s->value[sensor]));
		s->value[sensor] = value;
	}
	s->has[sensor] = (uint8_t)has;
	*next = sensor + 1;
}

static int samples_are_valid(const struct lmm_samples *x)
{
	for (uint32_t i = 0; i < x->n; i++) {
		if (x->samples[i].sensor >= LMM_SENSORS_MAX ||
		    (i && x->samples[i].sensor <= x->samples[i - 1].sensor))
			return 0;
	}
	return 1;
}

int lmm_encode_samples(struct lmm_samples_state *state, const struct lmm_samples *samples,
		       struct lmm_buf *out)
{
	uint32_t next = 0, at = 0;

	if (!samples_are_valid(samples)) {
		state->is_set = 0;
		return -EINVAL;
	}
	if (!state->is_set)
		memset(state, 0, sizeof(*state));
	lmm_buf_put_varint(out, samples->ticks - state->ticks);
	state->ticks = samples->ticks;
	for (uint32_t i = 0; i < LMM_SENSORS_MAX; i++) {
		int has = at < samples->n && samples->samples[at].sensor == i;

		put_sample(state, i, &next, has, has ? samples->samples[at].value : 0, out);
		at += has;
	}
	state->is_set = !out->overflow;
	return out->overflow ? -ENOMEM : 0;
}

/* ---- events ------------------------------------------------------------------------------------- */

#define TIME_BYTES_MAX 4
/* type, which fields, time, phase, seq, id and four halves as varints */
#define REST_BYTES_MAX (1 + 1 + 10 + 1 + 3 + 5 * 5)

struct lmm_encoder {
	struct lmm_events_state state;
	uint8_t tags[LMM_CHUNK_EVENTS_MAX];
	uint8_t times[LMM_CHUNK_EVENTS_MAX * TIME_BYTES_MAX];
	uint8_t rest[LMM_CHUNK_EVENTS_MAX * REST_BYTES_MAX];
	uint8_t *time_end;
	uint8_t *rest_end;
};

struct lmm_encoder *lmm_encoder_create(void)
{
	return malloc(sizeof(struct lmm_encoder));
}

void lmm_encoder_destroy(struct lmm_encoder *e)
{
	free(e);
}

static void rest_varint(struct lmm_encoder *e, uint64_t v)
{
	while (v >= 0x80) {
		*e->rest_end++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*e->rest_end++ = (uint8_t)v;
}

/* Difference of two 32-bit numbers, modulo 2^32. */
static void rest_diff32(struct lmm_encoder *e, uint64_t now, uint64_t before)
{
	int32_t d = (int32_t)((uint32_t)now - (uint32_t)before);

	rest_varint(e, (uint32_t)lmm_zigzag(d));
}

/* Returns the bytes of dt, less one. */
static unsigned put_time(struct lmm_encoder *e, uint32_t dt)
{
	unsigned more = dt < 1u << 8 ? 0 : dt < 1u << 16 ? 1 : dt < 1u << 24 ? 2 : 3;

	memcpy(e->time_end, &dt, sizeof(dt)); /* little-endian; what is too much is overwritten */
	e->time_end += more + 1;
	return more;
}

static uint8_t put_op(struct lmm_encoder *e, const struct lmm_event *ev, uint32_t dt)
{
	unsigned flag = ev->type == LMM_EV_OP_FUSED ? LMM_TAG_FLAG : 0;
	uint32_t node_delta = ev->id - e->state.node;
	unsigned kind = LMM_TAG_NODE_FAR;

	if (ev->id == LMM_NODE_UNKNOWN) {
		kind = LMM_TAG_NODE_UNKNOWN;
	} else {
		if (node_delta < LMM_TAG_NODE_DELTAS) {
			kind = node_delta;
		} else {
			rest_diff32(e, ev->id, e->state.node);
		}
		e->state.node = ev->id;
	}
	return (uint8_t)(kind << 3 | flag | put_time(e, dt));
}

/* As the file has it: addresses and what narrow events do not have are left out, an end becomes a duration. */
static struct lmm_event normalise(const struct lmm_event *ev)
{
	struct lmm_event e = *ev;

	if (!lmm_event_is_wide(e.type)) {
		e.a = e.b = 0;
	} else if (e.type == LMM_EV_GRAPH_BEGIN || e.type == LMM_EV_EPOCH) {
		e.a = 0;
	} else if (e.type == LMM_EV_UNACCOUNTED) {
		e.a -= e.t;
	}
	return e;
}

static unsigned differences(const struct lmm_event *ev, const struct lmm_event *last)
{
	uint64_t a = ev->a ^ last->a, b = ev->b ^ last->b;
	unsigned diff = 0;

	diff |= ev->phase != last->phase ? LMM_DIFF_PHASE : 0;
	diff |= ev->seq != last->seq ? LMM_DIFF_SEQ : 0;
	diff |= ev->id != last->id ? LMM_DIFF_ID : 0;
	diff |= (uint32_t)a ? LMM_DIFF_A_LOW : 0;
	diff |= a >> 32 ? LMM_DIFF_A_HIGH : 0;
	diff |= (uint32_t)b ? LMM_DIFF_B_LOW : 0;
	diff |= b >> 32 ? LMM_DIFF_B_HIGH : 0;
	return diff;
}

static uint8_t put_other(struct lmm_encoder *e, const struct lmm_event *event, uint64_t dt)
{
	struct lmm_event ev = normalise(event), *last = &e->state.last[ev.type];
	unsigned diff = differences(&ev, last);
	unsigned tag = LMM_TAG_OTHER << 3;

	*e->rest_end++ = ev.type;
	*e->rest_end++ = (uint8_t)diff;
	if (dt <= UINT32_MAX) {
		tag |= put_time(e, (uint32_t)dt);
	} else {
		tag |= LMM_TAG_FLAG;
		rest_varint(e, lmm_zigzag((int64_t)dt));
	}
	if (diff & LMM_DIFF_PHASE)
		*e->rest_end++ = ev.phase;
	if (diff & LMM_DIFF_SEQ)
		rest_varint(e, ev.seq);
	if (diff & LMM_DIFF_ID)
		rest_diff32(e, ev.id, last->id);
	if (diff & LMM_DIFF_A_LOW)
		rest_diff32(e, ev.a, last->a);
	if (diff & LMM_DIFF_A_HIGH)
		rest_diff32(e, ev.a >> 32, last->a >> 32);
	if (diff & LMM_DIFF_B_LOW)
		rest_diff32(e, ev.b, last->b);
	if (diff & LMM_DIFF_B_HIGH)
		rest_diff32(e, ev.b >> 32, last->b >> 32);
	*last = ev;
	if (ev.type == LMM_EV_GRAPH_BEGIN || ev.type == LMM_EV_EPOCH)
		e->state.node = UINT32_MAX;
	return (uint8_t)tag;
}

static int is_plain_op(const struct lmm_event *ev)
{
	return (ev->type == LMM_EV_OP || ev->type == LMM_EV_OP_FUSED) && ev->phase == 0 &&
	       ev->seq == LMM_SEQ_NONE;
}

int lmm_encode_events(struct lmm_encoder *e, const struct lmm_events *batch, struct lmm_buf *out)
{
	uint64_t t0 = batch->n ? batch->ev[0].t : 0;

	if (batch->n > LMM_CHUNK_EVENTS_MAX)
		return LMM_E_LIMIT;
	lmm_events_state_init(&e->state, t0);
	e->time_end = e->times;
	e->rest_end = e->rest;
	for (uint32_t i = 0; i < batch->n; i++) {
		const struct lmm_event *ev = &batch->ev[i];
		uint64_t *clock = lmm_events_state_clock(&e->state, ev->type);
		uint64_t dt = ev->t - *clock;

		if (lmm_likely(is_plain_op(ev) && dt <= UINT32_MAX)) {
			e->tags[i] = put_op(e, ev, (uint32_t)dt);
		} else {
			e->tags[i] = put_other(e, ev, dt);
		}
		*clock = ev->t;
	}
	lmm_buf_put_varint(out, batch->ring_from);
	lmm_buf_put_varint(out, batch->ring_to - batch->ring_from);
	lmm_buf_put_varint(out, t0);
	lmm_buf_put_varint(out, (uint64_t)(e->time_end - e->times));
	lmm_buf_put(out, e->tags, batch->n);
	lmm_buf_put(out, e->times, (size_t)(e->time_end - e->times));
	lmm_buf_put(out, e->rest, (size_t)(e->rest_end - e->rest));
	return out->overflow ? -ENOMEM : 0;
}
