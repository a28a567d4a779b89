/* SPDX-License-Identifier: Apache-2.0 */
/* A cell's file, which may have been cut or written by others. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "calibrate/json_read.h"
#include "study/cell.h"

struct parsing {
	struct lmm_cell *cell;
	int has_schema, has_status;
};

static void text_take(char *to, size_t bytes, const struct lmm_json_value *v)
{
	if (v->kind == LMM_JSON_STRING)
		(void)snprintf(to, bytes, "%s", v->text);
}

static uint64_t whole(const struct lmm_json_value *v, double max)
{
	return v->kind == LMM_JSON_NUMBER && v->number >= 0 && v->number <= max
		       ? (uint64_t)v->number
		       : 0;
}

static int status_take(struct parsing *p, const struct lmm_json_value *v)
{
	for (unsigned i = LMM_CELL_OK; v->kind == LMM_JSON_STRING && i < LMM_CELL_STATUSES; i++) {
		if (strcmp(v->text, lmm_cell_status_name(i)) == 0) {
			p->cell->status = (uint8_t)i;
			p->has_status = 1;
			return 0;
		}
	}
	return -EPROTO;
}

/* "spikes.3.token": the number, *rest what follows it; -1 if it is none, or not below max. */
static int index_take(const char *path, const char **rest, unsigned max)
{
	char *end;
	unsigned long i = strtoul(path, &end, 10);

	if (end == path || i >= max)
		return -1;
	*rest = *end == '.' ? end + 1 : end;
	return (int)i;
}

static void numbers_take(const char *path, const struct lmm_json_value *v, struct lmm_cell *c)
{
	const struct {
		const char *key;
		double *to;
		unsigned n;
	} lists[] = {
		{ "phase_ns.", c->phase_ns, LMM_PHASE_COUNT },
		{ "device_ns.", c->device_ns, LMM_PHASE_COUNT },
		{ "prefill_role_ns.", c->role_ns[0], LMM_ROLE_COUNT },
		{ "decode_role_ns.", c->role_ns[1], LMM_ROLE_COUNT },
		{ "gap_ns.", c->gap_ns, LMM_GAP_CAUSES },
		{ "window_itl_ns.", c->windows, LMM_CELL_WINDOWS },
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(lists); i++) {
		size_t n = strlen(lists[i].key);
		const char *rest;
		int at;

		if (strncmp(path, lists[i].key, n) != 0)
			continue;
		at = index_take(path + n, &rest, lists[i].n);
		if (at >= 0 && v->kind == LMM_JSON_NUMBER)
			lists[i].to[at] = v->number;
	}
}

static void spike_take(const char *path, const struct lmm_json_value *v, struct lmm_cell *c)
{
	const char *rest;
	int at = index_take(path, &rest, LMM_CELL_SPIKES_MAX);

	if (at < 0 || v->kind != LMM_JSON_NUMBER)
		return;
	c->n_spikes = (uint32_t)at + 1;
	if (strcmp(rest, "token") == 0) {
		c->spikes[at].token = whole(v, 1e15);
	} else {
		c->spikes[at].itl_ns = v->number;
	}
}

static void kernel_number(struct lmm_cell_kernel *k, const char *key,
			  const struct lmm_json_value *v)
{
	const struct {
		const char *key;
		double *to;
	} numbers[] = { { "total_ns", &k->total_ns },
			{ "bytes", &k->bytes },
			{ "weight_bytes", &k->weight_bytes },
			{ "flops", &k->flops } };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(numbers); i++) {
		if (strcmp(key, numbers[i].key) == 0 && v->kind == LMM_JSON_NUMBER)
			*numbers[i].to = v->number;
	}
	if (strcmp(key, "phase") == 0) {
		k->phase = (uint8_t)whole(v, LMM_PHASE_COUNT - 1);
	} else if (strcmp(key, "role") == 0) {
		k->role = (uint8_t)whole(v, LMM_ROLE_COUNT - 1);
	} else if (strcmp(key, "count") == 0) {
		k->count = whole(v, 1e15);
	}
}

static void kernel_take(const char *path, const struct lmm_json_value *v, struct lmm_cell *c)
{
	const char *rest;
	int at = index_take(path, &rest, LMM_CELL_KERNELS_MAX);
	struct lmm_cell_kernel *k;

	if (at < 0)
		return;
	k = &c->kernels[at];
	c->n_kernels = (uint32_t)at + 1;
	if (strcmp(rest, "name") == 0) {
		text_take(k->name, sizeof(k->name), v);
	} else if (strcmp(rest, "op") == 0) {
		text_take(k->op, sizeof(k->op), v);
	} else if (strcmp(rest, "weight_type") == 0) {
		text_take(k->weight_type, sizeof(k->weight_type), v);
	} else {
		kernel_number(k, rest, v);
	}
}

static void figure_take(const char *key, const struct lmm_json_value *v, struct lmm_cell *c)
{
	for (unsigned i = 0; v->kind == LMM_JSON_NUMBER && i < LMM_FIGURES; i++) {
		if (strcmp(key, lmm_figures[i].key) == 0)
			c->figures[i] = v->number;
	}
}

static void top_take(struct lmm_cell *c, const struct lmm_json_value *v)
{
	const char *key = v->path;

	if (strcmp(key, "condition") == 0) {
		c->condition = (uint32_t)whole(v, UINT32_MAX);
	} else if (strcmp(key, "block") == 0) {
		c->block = (uint32_t)whole(v, UINT32_MAX);
	} else if (strcmp(key, "position") == 0) {
		c->position = (uint32_t)whole(v, UINT32_MAX);
	} else if (strcmp(key, "naps") == 0) {
		c->naps = (uint8_t)whole(v, 255);
	} else if (strcmp(key, "level") == 0) {
		c->level = (uint8_t)whole(v, 255);
	} else if (strcmp(key, "start_realtime_ns") == 0) {
		c->start_realtime_ns = whole(v, 9e18);
	} else if (strcmp(key, "spikes_total") == 0) {
		c->spikes_total = whole(v, 1e15);
	} else if (strcmp(key, "reason") == 0) {
		text_take(c->reason, sizeof(c->reason), v);
	} else if (strcmp(key, "engine") == 0) {
		text_take(c->engine, sizeof(c->engine), v);
	}
}

static int value_take(void *ctx, const struct lmm_json_value *v)
{
	static const struct {
		const char *prefix;
		void (*take)(const char *path, const struct lmm_json_value *v, struct lmm_cell *c);
	} parts[] = { { "figures.", figure_take },
		      { "parts.", numbers_take },
		      { "spikes.", spike_take },
		      { "kernels.", kernel_take } };
	struct parsing *p = ctx;

	if (strcmp(v->path, "schema") == 0) {
		p->has_schema = v->kind == LMM_JSON_STRING && strcmp(v->text, LMM_CELL_SCHEMA) == 0;
		return p->has_schema ? 0 : -EPROTO;
	}
	if (strcmp(v->path, "status") == 0)
		return status_take(p, v);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(parts); i++) {
		size_t n = strlen(parts[i].prefix);

		if (strncmp(v->path, parts[i].prefix, n) == 0) {
			parts[i].take(v->path + n, v, p->cell);
			return 0;
		}
	}
	top_take(p->cell, v);
	return 0;
}

int lmm_cell_parse(struct lmm_cell *c, const char *text, size_t n)
{
	struct parsing p = { .cell = c };
	int rc;

	lmm_cell_init(c, 0, 0);
	rc = lmm_json_walk(text, n, value_take, &p);
	return rc == 0 && p.has_schema && p.has_status ? 0 : -EPROTO;
}
