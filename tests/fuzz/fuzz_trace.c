/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .lmt reader on any bytes whatever. A fuzzer cannot guess checksums: those of the input are put right first, in half of the
 * cases, so that it gets to what lies behind them. What reads as events must survive being written and read again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lmmeter/trace.h"
#include "trace/decode.h"
#include "trace/encode.h"
#include "trace/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void mend_checksums(uint8_t *data, size_t n)
{
	uint32_t crc, magic = LMM_CHUNK_MAGIC, stored;
	size_t at = LMM_FILE_HEADER_BYTES;

	if (n < LMM_FILE_HEADER_BYTES)
		return;
	memcpy(data, lmm_file_signature, sizeof(lmm_file_signature));
	crc = lmm_crc32c(0, data, 60);
	memcpy(data + 60, &crc, 4);
	while (n - at >= LMM_CHUNK_HEADER_BYTES) {
		uint8_t *header = data + at;

		memcpy(&stored, header + 8, 4);
		at += LMM_CHUNK_HEADER_BYTES;
		if (stored > n - at)
			stored = (uint32_t)(n - at);
		memcpy(header, &magic, 4);
		memcpy(header + 8, &stored, 4);
		if (header[5] == LMM_CODING_NONE)
			memcpy(header + 12, &stored, 4);
		crc = lmm_crc32c(0, data + at, stored);
		memcpy(header + 24, &crc, 4);
		crc = lmm_crc32c(0, header, 28);
		memcpy(header + 28, &crc, 4);
		at += stored;
	}
}

static uint64_t touched;

static void touch(const char *s)
{
	touched += strlen(s);
}

/* Goes through every byte that an item points to: a sanitizer sees what does not belong to it. */
static void touch_item(const struct lmm_item *it)
{
	const uint8_t *p;

	switch (it->kind) {
	case LMM_ITEM_SESSION:
		touch(it->session.id);
		touch(it->session.command_line);
		touch(it->session.host_cpu);
		break;
	case LMM_ITEM_MODEL:
		touch(it->model.name);
		touch(it->model.file);
		break;
	case LMM_ITEM_REASON:
		touch(it->reason.text);
		break;
	case LMM_ITEM_GRAPH:
		for (uint32_t i = 0; i < it->graph.n_nodes; i++) {
			const struct lmm_node *node = &it->graph.nodes[i];

			touch(node->name);
			touch(node->op);
			touch(node->weight);
			touch(node->out.type);
			for (unsigned k = 0; k < node->n_src; k++)
				touch(node->src[k].type);
		}
		break;
	case LMM_ITEM_NAME:
		touch(it->name.text);
		break;
	case LMM_ITEM_SENSOR:
		touch(it->sensor.name);
		touch(it->sensor.unit);
		touch(it->sensor.source);
		touch(it->sensor.states);
		touch(it->sensor.absent);
		break;
	case LMM_ITEM_SAMPLES:
		for (uint32_t i = 0; i < it->samples.n; i++)
			touched += (uint64_t)it->samples.samples[i].value;
		break;
	case LMM_ITEM_CHECKPOINT:
		p = it->checkpoint.data;
		for (size_t i = 0; i < it->checkpoint.size_bytes; i++)
			touched += p[i];
		break;
	default:
		break;
	}
}

static int is_as_stored(const struct lmm_event *x, const struct lmm_event *y)
{
	int no_a = !lmm_event_is_wide(x->type) || x->type == LMM_EV_GRAPH_BEGIN ||
		   x->type == LMM_EV_EPOCH;
	int no_b = !lmm_event_is_wide(x->type);

	return x->t == y->t && x->type == y->type && x->phase == y->phase && x->seq == y->seq &&
	       x->id == y->id && y->a == (no_a ? 0 : x->a) && y->b == (no_b ? 0 : x->b);
}

static void check_round_trip(const struct lmm_events *batch)
{
	struct lmm_events part = *batch;
	struct lmm_encoder *e = lmm_encoder_create();
	struct lmm_decoder *d = lmm_decoder_create();
	struct lmm_buf out = { 0 };
	struct lmm_chunk c = { .type = LMM_ITEM_EVENTS, .stream = batch->stream };
	struct lmm_item item;

	if (!e || !d)
		abort();
	if (part.n > LMM_CHUNK_EVENTS_MAX)
		part.n = LMM_CHUNK_EVENTS_MAX;
	if (lmm_encode_events(e, &part, &out))
		abort();
	c.count = part.n;
	c.raw_bytes = (uint32_t)out.n;
	if (lmm_buf_reserve(&out, LMM_DECODE_PAD) || lmm_decode_item(d, &c, out.data, &item) != 1)
		abort();
	if (item.events.n != part.n || item.events.stream != part.stream ||
	    item.events.ring_from != part.ring_from || item.events.ring_to != part.ring_to)
		abort();
	for (uint32_t i = 0; i < part.n; i++)
		if (!is_as_stored(&part.ev[i], &item.events.ev[i]))
			abort();
	lmm_buf_free(&out);
	lmm_encoder_destroy(e);
	lmm_decoder_destroy(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct lmm_trace *tr;
	const struct lmm_item *it;
	uint8_t *copy = malloc(n + 1);
	uint64_t offset;
	int rc;

	if (!copy)
		abort();
	memcpy(copy, data, n);
	/* the last byte decides, so that it stays where it is when the input grows */
	if (n && !(data[n - 1] & 1))
		mend_checksums(copy, n);
	rc = lmm_trace_open_memory(copy, n, &tr);
	while (rc >= 0 && tr && (rc = lmm_trace_next(tr, &it)) > 0) {
		touch_item(it);
		if (it->kind == LMM_ITEM_EVENTS)
			check_round_trip(&it->events);
		touched += lmm_trace_ns(tr, it->clock.ticks);
	}
	if (tr) {
		if (lmm_trace_state(tr, &offset) == LMM_TRACE_READING ||
		    offset > n + LMM_FILE_HEADER_MAX)
			abort();
		if (rc == 0 && lmm_trace_rewind(tr))
			abort();
	}
	lmm_trace_close(tr);
	free(copy);
	return 0;
}
