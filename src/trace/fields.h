/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of the plain items, in the order in which the file has them. Append only; a reader that knows more than the
 * file has leaves the rest 0 or "".
 */
#ifndef LMM_TRACE_FIELDS_H
#define LMM_TRACE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"

enum lmm_field_kind {
	LMM_FIELD_UNSIGNED, /* varint */
	LMM_FIELD_SIGNED,   /* zigzag varint */
	LMM_FIELD_STRING,   /* varint length, bytes */
};

struct lmm_field {
	uint16_t offset; /* in struct lmm_item */
	uint8_t kind;	 /* enum lmm_field_kind */
	uint8_t bytes;	 /* of the member */
};

#define LMM_FIELD(member, field_kind)                                                              \
	{                                                                                          \
		.offset = offsetof(struct lmm_item, member), .kind = (field_kind),                 \
		.bytes = sizeof(((struct lmm_item *)0)->member)                                    \
	}
#define LMM_U(member)	LMM_FIELD(member, LMM_FIELD_UNSIGNED)
#define LMM_S(member)	LMM_FIELD(member, LMM_FIELD_SIGNED)
#define LMM_STR(member) LMM_FIELD(member, LMM_FIELD_STRING)

static const struct lmm_field lmm_fields_session[] = {
	LMM_STR(session.id),
	LMM_STR(session.lmmeter),
	LMM_STR(session.command_name),
	LMM_STR(session.command_line),
	LMM_STR(session.host_os),
	LMM_STR(session.host_cpu),
	LMM_U(session.host_cpus),
	LMM_U(session.host_memory_bytes),
	LMM_U(session.clock),
	LMM_U(session.threads_all),
	LMM_U(session.embedded),
	LMM_U(session.start_ticks),
	LMM_U(session.start_realtime_ns),
};

static const struct lmm_field lmm_fields_process[] = {
	LMM_U(process.process),	     LMM_S(process.pid),	   LMM_S(process.parent_pid),
	LMM_STR(process.name),	     LMM_STR(process.engine_name), LMM_STR(process.engine_version),
	LMM_STR(process.door),	     LMM_U(process.start_ticks),   LMM_U(process.op_cost_ps),
	LMM_U(process.pair_cost_ps), LMM_U(process.joined),
};

static const struct lmm_field lmm_fields_stream[] = {
	LMM_U(stream.stream),
	LMM_U(stream.process),
	LMM_U(stream.ring),
	LMM_S(stream.tid),
};

static const struct lmm_field lmm_fields_model[] = {
	LMM_U(model.process),	     LMM_STR(model.name),	  LMM_STR(model.description),
	LMM_STR(model.architecture), LMM_STR(model.quantization), LMM_STR(model.file),
	LMM_U(model.size_bytes),     LMM_U(model.parameters),	  LMM_U(model.layers),
	LMM_U(model.vocabulary),     LMM_U(model.embedding),
};

static const struct lmm_field lmm_fields_clock[] = {
	LMM_U(clock.ticks),
	LMM_U(clock.mono_ns),
	LMM_U(clock.error_ns),
};

static const struct lmm_field lmm_fields_reason[] = {
	LMM_U(reason.process),
	LMM_U(reason.level),
	LMM_STR(reason.text),
};

static const struct lmm_field lmm_fields_kernel[] = {
	LMM_U(kernel.process),	LMM_U(kernel.kernel), LMM_STR(kernel.name),
	LMM_STR(kernel.device), LMM_U(kernel.kind),   LMM_U(kernel.program_hash),
};

static const struct lmm_field lmm_fields_queue[] = {
	LMM_U(queue.process),	       LMM_U(queue.queue),	   LMM_STR(queue.device),
	LMM_U(queue.ticks_per_second), LMM_U(queue.device_number), LMM_U(queue.out_of_order),
};

static const struct lmm_field lmm_fields_name[] = {
	LMM_U(name.process),
	LMM_U(name.number),
	LMM_STR(name.text),
};

static const struct lmm_field lmm_fields_loss[] = {
	LMM_U(loss.stream),
	LMM_U(loss.emitted),
	LMM_U(loss.lost),
};

static const struct lmm_field lmm_fields_dropped[] = {
	LMM_U(dropped.batches),
	LMM_U(dropped.events),
};

static const struct lmm_field lmm_fields_process_end[] = {
	LMM_U(process_end.process),
	LMM_U(process_end.ticks),
};

static const struct lmm_field lmm_fields_end[] = {
	LMM_U(end.ticks),
	LMM_S(end.exit_status),
	LMM_U(end.collector_cpu_ns),
	LMM_U(end.no_ring_lost),
};

static const struct lmm_field lmm_fields_sensor[] = {
	LMM_U(sensor.sensor),	LMM_U(sensor.kind),	LMM_U(sensor.component),
	LMM_STR(sensor.name),	LMM_STR(sensor.unit),	LMM_STR(sensor.source),
	LMM_STR(sensor.states), LMM_STR(sensor.absent), LMM_S(sensor.limit),
	LMM_U(sensor.part_of),
};

struct lmm_fields {
	const struct lmm_field *fields; /* NULL: not a plain item */
	size_t n;
};

#define LMM_FIELDS(table)                                                                          \
	{                                                                                          \
		(table), LMM_ARRAY_SIZE(table)                                                     \
	}

static const struct lmm_fields lmm_item_fields[] = {
	[LMM_ITEM_SESSION] = LMM_FIELDS(lmm_fields_session),
	[LMM_ITEM_PROCESS] = LMM_FIELDS(lmm_fields_process),
	[LMM_ITEM_STREAM] = LMM_FIELDS(lmm_fields_stream),
	[LMM_ITEM_MODEL] = LMM_FIELDS(lmm_fields_model),
	[LMM_ITEM_CLOCK] = LMM_FIELDS(lmm_fields_clock),
	[LMM_ITEM_REASON] = LMM_FIELDS(lmm_fields_reason),
	[LMM_ITEM_KERNEL] = LMM_FIELDS(lmm_fields_kernel),
	[LMM_ITEM_QUEUE] = LMM_FIELDS(lmm_fields_queue),
	[LMM_ITEM_LOSS] = LMM_FIELDS(lmm_fields_loss),
	[LMM_ITEM_DROPPED] = LMM_FIELDS(lmm_fields_dropped),
	[LMM_ITEM_PROCESS_END] = LMM_FIELDS(lmm_fields_process_end),
	[LMM_ITEM_END] = LMM_FIELDS(lmm_fields_end),
	[LMM_ITEM_SENSOR] = LMM_FIELDS(lmm_fields_sensor),
	[LMM_ITEM_NAME] = LMM_FIELDS(lmm_fields_name),
};

/* The plain item's fields; fields is NULL for EVENTS, GRAPH, CHECKPOINT, SAMPLES and unknown kinds. */
static inline struct lmm_fields lmm_fields_of(unsigned kind)
{
	static const struct lmm_fields none = { NULL, 0 };

	return kind < LMM_ARRAY_SIZE(lmm_item_fields) ? lmm_item_fields[kind] : none;
}

#endif
