/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "trace/fields.h"
#include "trace/format.h"

/* name, op, weight, layer, role, runs, n_src, three sizes and a shape take a byte each at least */
#define NODE_BYTES_MIN 11

/* A block that grows to what is asked of it and is used again for the next item. */
struct block {
	void *data;
	size_t bytes;
};

struct lmm_decoder {
	struct block arena; /* strings, with their NULs */
	size_t arena_used;
	struct block events;
	struct block nodes;
	struct block shapes;
	struct block strings;
	struct lmm_events_state state;
	struct lmm_samples_state samples;
	struct lmm_sample sample[LMM_SENSORS_MAX];
};

struct lmm_decoder *lmm_decoder_create(void)
{
	return calloc(1, sizeof(struct lmm_decoder));
}

void lmm_decoder_destroy(struct lmm_decoder *d)
{
	if (!d)
		return;
	free(d->arena.data);
	free(d->events.data);
	free(d->nodes.data);
	free(d->shapes.data);
	free(d->strings.data);
	free(d);
}

void lmm_decoder_reset(struct lmm_decoder *d)
{
	d->samples.is_set = 0;
}

static int block_reserve(struct block *b, size_t n, size_t size)
{
	size_t bytes = n * size; /* n is bounded by the payload's length */
	void *data;

	if (bytes <= b->bytes)
		return 0;
	data = malloc(bytes);
	if (!data)
		return -ENOMEM;
	free(b->data);
	b->data = data;
	b->bytes = bytes;
	return 0;
}

/* A string takes its length and bytes in the payload, bytes and NUL here: an arena of the payload's size is enough. */
static int arena_reset(struct lmm_decoder *d, size_t payload_bytes)
{
	d->arena_used = 0;
	return block_reserve(&d->arena, payload_bytes + 1, 1);
}

static const char *get_string(struct lmm_decoder *d, struct lmm_cur *c)
{
	size_t n;
	const char *s = lmm_cur_str(c, LMM_TRACE_STRING_MAX, &n);
	char *out = (char *)d->arena.data + d->arena_used;

	if (c->bad)
		return "";
	memcpy(out, s, n);
	out[n] = '\0';
	d->arena_used += n + 1;
	return out;
}

/* ---- plain items -------------------------------------------------------------------------------- */

static void get_unsigned(struct lmm_cur *c, char *member, unsigned bytes)
{
	uint64_t v = lmm_cur_varint(c);

	if (bytes < 8 && v >> (8 * bytes))
		c->bad = 1;
	memcpy(member, &v, bytes); /* little-endian */
}

static void get_signed(struct lmm_cur *c, char *member, unsigned bytes)
{
	int64_t v = lmm_cur_zigzag(c);

	if (bytes == 4 && (v < INT32_MIN || v > INT32_MAX))
		c->bad = 1;
	memcpy(member, &v, bytes);
}

static int get_fields(struct lmm_decoder *d, struct lmm_fields f, struct lmm_cur *c,
		      struct lmm_item *item)
{
	for (size_t i = 0; i < f.n; i++) {
		char *member = (char *)item + f.fields[i].offset;
		int is_absent = lmm_cur_left(c) == 0; /* written by an older version */
		const char *s;

		if (f.fields[i].kind == LMM_FIELD_STRING) {
			s = is_absent ? "" : get_string(d, c);
			memcpy(member, &s, sizeof(s));
		} else if (is_absent) {
			memset(member, 0, f.fields[i].bytes);
		} else if (f.fields[i].kind == LMM_FIELD_UNSIGNED) {
			get_unsigned(c, member, f.fields[i].bytes);
		} else {
			get_signed(c, member, f.fields[i].bytes);
		}
	}
	return c->bad ? LMM_E_CORRUPT : 1;
}

/* ---- graphs ------------------------------------------------------------------------------------- */

struct graph_tables {
	const char **strings;
	struct lmm_tensor_shape *shapes;
	uint64_t n_strings;
	uint64_t n_shapes;
};

static uint32_t get_u32(struct lmm_cur *c)
{
	uint64_t v = lmm_cur_varint(c);

	if (v > UINT32_MAX)
		c->bad = 1;
	return (uint32_t)v;
}

static uint8_t get_u8(struct lmm_cur *c)
{
	uint64_t v = lmm_cur_varint(c);

	if (v > UINT8_MAX)
		c->bad = 1;
	return (uint8_t)v;
}

static const char *get_interned(struct lmm_cur *c, const struct graph_tables *t)
{
	uint64_t i = lmm_cur_varint(c);

	if (i < t->n_strings)
		return t->strings[i];
	c->bad = 1;
	return "";
}

static void get_shape(struct lmm_cur *c, const struct graph_tables *t, struct lmm_tensor_shape *out)
{
	uint64_t i = lmm_cur_varint(c);

	if (i < t->n_shapes) {
		*out = t->shapes[i];
	} else {
		c->bad = 1;
	}
}

static int get_tables(struct lmm_decoder *d, struct lmm_cur *c, struct graph_tables *t)
{
	t->n_strings = lmm_cur_varint(c);
	if (t->n_strings > (uint64_t)LMM_READ_NODES_MAX * 8)
		return LMM_E_LIMIT;
	if (t->n_strings > lmm_cur_left(c))
		return LMM_E_CORRUPT;
	if (block_reserve(&d->strings, (size_t)t->n_strings + 1, sizeof(*t->strings)))
		return -ENOMEM;
	t->strings = d->strings.data;
	for (uint64_t i = 0; i < t->n_strings && !c->bad; i++)
		t->strings[i] = get_string(d, c);

	t->n_shapes = lmm_cur_varint(c);
	if (t->n_shapes > (uint64_t)LMM_READ_NODES_MAX * 5)
		return LMM_E_LIMIT;
	if (c->bad || t->n_shapes > lmm_cur_left(c) / 5)
		return LMM_E_CORRUPT;
	if (block_reserve(&d->shapes, (size_t)t->n_shapes + 1, sizeof(*t->shapes)))
		return -ENOMEM;
	t->shapes = d->shapes.data;
	for (uint64_t i = 0; i < t->n_shapes && !c->bad; i++) {
		t->shapes[i].type = get_interned(c, t);
		for (int k = 0; k < 4; k++)
			t->shapes[i].ne[k] = lmm_cur_zigzag(c);
	}
	return c->bad ? LMM_E_CORRUPT : 0;
}

static void get_node(struct lmm_cur *c, const struct graph_tables *t, struct lmm_node *node)
{
	static const struct lmm_tensor_shape no_shape = { "", { 0, 0, 0, 0 } };
	int64_t layer;

	node->name = get_interned(c, t);
	node->op = get_interned(c, t);
	node->weight = get_interned(c, t);
	layer = lmm_cur_zigzag(c);
	if (layer < INT32_MIN || layer > INT32_MAX)
		c->bad = 1;
	node->layer = (int32_t)layer;
	node->role = get_u8(c);
	node->runs = get_u8(c);
	node->n_src = get_u8(c);
	node->bytes_read = lmm_cur_varint(c);
	node->bytes_written = lmm_cur_varint(c);
	node->flops = lmm_cur_varint(c);
	get_shape(c, t, &node->out);
	if (node->n_src > LMM_NODE_SRC_MAX)
		c->bad = 1;
	for (unsigned i = 0; i < LMM_NODE_SRC_MAX; i++) {
		if (i < node->n_src && !c->bad) {
			get_shape(c, t, &node->src[i]);
		} else {
			node->src[i] = no_shape;
		}
	}
}

static int get_graph(struct lmm_decoder *d, struct lmm_cur *c, struct lmm_graph *g)
{
	struct graph_tables t = { 0 };
	struct lmm_node *nodes;
	uint64_t n_nodes, n_more;
	int rc;

	g->process = get_u32(c);
	g->graph = get_u32(c);
	g->n_tokens = get_u32(c);
	rc = get_tables(d, c, &t);
	if (rc)
		return rc;
	n_nodes = lmm_cur_varint(c);
	n_more = lmm_cur_varint(c);
	if (n_nodes > LMM_READ_NODES_MAX)
		return LMM_E_LIMIT;
	if (c->bad || n_nodes > lmm_cur_left(c) / NODE_BYTES_MIN || n_more > lmm_cur_left(c))
		return LMM_E_CORRUPT;
	if (block_reserve(&d->nodes, (size_t)n_nodes + 1, sizeof(*nodes)))
		return -ENOMEM;
	nodes = d->nodes.data;
	memset(nodes, 0, (size_t)n_nodes * sizeof(*nodes));
	for (uint64_t i = 0; i < n_nodes && !c->bad; i++) {
		get_node(c, &t, &nodes[i]);
		for (uint64_t k = 0; k < n_more && !c->bad; k++)
			(void)lmm_cur_varint(c);
	}
	g->n_nodes = (uint32_t)n_nodes;
	g->nodes = nodes;
	return c->bad ? LMM_E_CORRUPT : 1;
}

/* ---- events ------------------------------------------------------------------------------------- */

static void add32(struct lmm_cur *c, uint64_t *v, unsigned shift)
{
	uint32_t d = (uint32_t)lmm_unzigzag(get_u32(c));
	uint32_t now = (uint32_t)(*v >> shift) + d;

	*v = (*v & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)now << shift;
}

/* Anything but a plain operator. Time bytes have been read into dt unless the tag's flag is set. */
static LMM_NOINLINE void get_other(struct lmm_events_state *s, struct lmm_cur *c, unsigned tag,
				   uint64_t dt, struct lmm_event *ev)
{
	unsigned type = lmm_cur_u8(c), diff = lmm_cur_u8(c);
	struct lmm_event *last = &s->last[type];
	uint64_t *clock = lmm_events_state_clock(s, type);
	uint64_t seq, id = last->id;

	if (diff & ~(unsigned)LMM_DIFF_ALL)
		c->bad = 1;
	if (tag & LMM_TAG_FLAG)
		dt = (uint64_t)lmm_cur_zigzag(c);
	*clock += dt;
	if (diff & LMM_DIFF_PHASE)
		last->phase = lmm_cur_u8(c);
	if (diff & LMM_DIFF_SEQ) {
		seq = lmm_cur_varint(c);
		if (seq > UINT16_MAX)
			c->bad = 1;
		last->seq = (uint16_t)seq;
	}
	if (diff & LMM_DIFF_ID) {
		add32(c, &id, 0);
		last->id = (uint32_t)id;
	}
	if (diff & LMM_DIFF_A_LOW)
		add32(c, &last->a, 0);
	if (diff & LMM_DIFF_A_HIGH)
		add32(c, &last->a, 32);
	if (diff & LMM_DIFF_B_LOW)
		add32(c, &last->b, 0);
	if (diff & LMM_DIFF_B_HIGH)
		add32(c, &last->b, 32);
	last->type = (uint8_t)type;
	last->t = *clock;
	*ev = *last;
	if (type == LMM_EV_UNACCOUNTED)
		ev->a += ev->t;
	if (type == LMM_EV_GRAPH_BEGIN || type == LMM_EV_EPOCH)
		s->node = UINT32_MAX;
}

static uint32_t get_op_node(struct lmm_events_state *s, struct lmm_cur *rest, unsigned kind)
{
	if (kind == LMM_TAG_NODE_UNKNOWN)
		return LMM_NODE_UNKNOWN;
	if (kind == LMM_TAG_NODE_FAR) {
		s->node += (uint32_t)lmm_unzigzag(get_u32(rest));
	} else {
		s->node += kind;
	}
	return s->node;
}

struct columns {
	const uint8_t *tags;
	const uint8_t *times;
	const uint8_t *times_end;
	struct lmm_cur rest;
};

/* 0 or -1. Ahead of its bounds check this reads at most 4 bytes, which LMM_DECODE_PAD covers. */
static int get_events(struct lmm_events_state *s, struct columns *col, struct lmm_event *ev,
		      uint32_t n)
{
	static const uint32_t masks[4] = { 0xff, 0xffff, 0xffffff, 0xffffffff };
	const uint8_t *times = col->times;

	for (uint32_t i = 0; i < n; i++) {
		unsigned tag = col->tags[i], kind = tag >> 3;
		uint32_t dt;

		if (lmm_unlikely(times > col->times_end))
			return -1;
		memcpy(&dt, times, sizeof(dt));
		dt &= masks[tag & 3];
		if (lmm_unlikely(kind == LMM_TAG_OTHER)) {
			if (!(tag & LMM_TAG_FLAG))
				times += (tag & 3) + 1;
			get_other(s, &col->rest, tag, dt, &ev[i]);
			continue;
		}
		times += (tag & 3) + 1;
		s->t += dt;
		ev[i].t = s->t;
		ev[i].type = tag & LMM_TAG_FLAG ? LMM_EV_OP_FUSED : LMM_EV_OP;
		ev[i].phase = 0;
		ev[i].seq = LMM_SEQ_NONE;
		ev[i].a = ev[i].b = 0;
		if (lmm_likely(kind < LMM_TAG_NODE_DELTAS)) {
			ev[i].id = s->node += kind;
		} else {
			ev[i].id = get_op_node(s, &col->rest, kind);
		}
	}
	return times == col->times_end && !col->rest.bad ? 0 : -1;
}

static int get_batch(struct lmm_decoder *d, const struct lmm_chunk *chunk, struct lmm_cur *c,
		     struct lmm_events *batch)
{
	struct columns col;
	uint64_t t0, times_bytes;

	if (chunk->count > LMM_READ_EVENTS_MAX)
		return LMM_E_LIMIT;
	batch->stream = chunk->stream;
	batch->n = chunk->count;
	batch->ring_from = lmm_cur_varint(c);
	batch->ring_to = batch->ring_from + lmm_cur_varint(c);
	t0 = lmm_cur_varint(c);
	times_bytes = lmm_cur_varint(c);
	if (c->bad || chunk->count > lmm_cur_left(c) ||
	    times_bytes > lmm_cur_left(c) - chunk->count)
		return LMM_E_CORRUPT;
	col.tags = lmm_cur_get(c, chunk->count);
	col.times = lmm_cur_get(c, (size_t)times_bytes);
	col.times_end = col.times + times_bytes;
	col.rest = *c;
	if (block_reserve(&d->events, (size_t)chunk->count + 1, sizeof(struct lmm_event)))
		return -ENOMEM;
	batch->ev = d->events.data;
	lmm_events_state_init(&d->state, t0);
	return get_events(&d->state, &col, d->events.data, chunk->count) ? LMM_E_CORRUPT : 1;
}

/* ---- samples ------------------------------------------------------------------------------------ */

static void get_changes(struct lmm_samples_state *s, struct lmm_cur *c)
{
	uint64_t next = 0;

	while (lmm_cur_left(c) && !c->bad) {
		uint64_t word = lmm_cur_varint(c), gap = word >> 1;

		if (gap >= LMM_SENSORS_MAX - next) {
			c->bad = 1;
			return;
		}
		next += gap;
		s->has[next] = !(word & 1);
		if (s->has[next]) {
			s->value[next] =
				(int64_t)((uint64_t)s->value[next] + (uint64_t)lmm_cur_zigzag(c));
		}
		next++;
	}
}

static int get_samples(struct lmm_decoder *d, const struct lmm_chunk *chunk, struct lmm_cur *c,
		       struct lmm_samples *out)
{
	struct lmm_samples_state *s = &d->samples;

	if (chunk->flags & LMM_CHUNK_KEY)
		memset(s, 0, sizeof(*s));
	if (!(chunk->flags & LMM_CHUNK_KEY) && !s->is_set)
		return 0;
	s->ticks += lmm_cur_varint(c);
	get_changes(s, c);
	s->is_set = !c->bad;
	out->ticks = s->ticks;
	out->samples = d->sample;
	for (uint32_t i = 0; i < LMM_SENSORS_MAX; i++) {
		if (s->has[i]) {
			d->sample[out->n++] =
				(struct lmm_sample){ .sensor = i, .value = s->value[i] };
		}
	}
	return c->bad ? LMM_E_CORRUPT : 1;
}

int lmm_decode_item(struct lmm_decoder *d, const struct lmm_chunk *c, const uint8_t *raw,
		    struct lmm_item *item)
{
	struct lmm_cur cur = lmm_cur_make(raw, c->raw_bytes);
	struct lmm_fields f = lmm_fields_of(c->type);

	memset(item, 0, sizeof(*item));
	item->kind = (enum lmm_item_kind)c->type;
	if (f.fields || c->type == LMM_ITEM_GRAPH) {
		if (arena_reset(d, c->raw_bytes))
			return -ENOMEM;
		return f.fields ? get_fields(d, f, &cur, item) : get_graph(d, &cur, &item->graph);
	}
	if (c->type == LMM_ITEM_EVENTS)
		return get_batch(d, c, &cur, &item->events);
	if (c->type == LMM_ITEM_SAMPLES)
		return get_samples(d, c, &cur, &item->samples);
	if (c->type == LMM_ITEM_CHECKPOINT) {
		item->checkpoint.data = raw;
		item->checkpoint.size_bytes = c->raw_bytes;
		return 1;
	}
	return 0;
}
