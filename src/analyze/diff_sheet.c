/* SPDX-License-Identifier: Apache-2.0 */
/* Steps as rows, items as columns; of many steps an evenly spread part is kept, drawn at random in each stretch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/analysis.h"
#include "analyze/diff.h"
#include "base/compiler.h"
#include "base/hash.h"

static const char *const class_names[] = { "prefill", "decode", "draft", "verify" };
_Static_assert(LMM_ARRAY_SIZE(class_names) == LMM_DIFF_CLASSES, "every class has a name");
static const char *const level_names[] = { "total", "phase", "role", "layer", "kernel" };
_Static_assert(LMM_ARRAY_SIZE(level_names) == LMM_DIFF_LEVELS, "every level has a name");

const char *lmm_diff_class_name(unsigned class_at)
{
	return class_at < LMM_DIFF_CLASSES ? class_names[class_at] : "?";
}

const char *lmm_diff_level_name(unsigned level)
{
	return level < LMM_DIFF_LEVELS ? level_names[level] : "?";
}

/* ---- columns ------------------------------------------------------------------------------------ */

static uint64_t key_hash(const struct lmm_diff_key *k)
{
	uint64_t h =
		lmm_hash_u64(LMM_HASH_SEED, (uint64_t)k->level << 40 | k->role << 8 | k->is_fused);

	h = lmm_hash_u64(h, (uint64_t)(int64_t)k->layer);
	h = lmm_hash_str(h, k->name);
	h = lmm_hash_str(h, k->op);
	h = lmm_hash_str(h, k->device);
	return lmm_hash_str(h, k->weight_type);
}

static int key_is(const struct lmm_diff_key *a, const struct lmm_diff_key *b)
{
	return a->level == b->level && a->role == b->role && a->is_fused == b->is_fused &&
	       a->layer == b->layer && strcmp(a->name, b->name) == 0 && strcmp(a->op, b->op) == 0 &&
	       strcmp(a->device, b->device) == 0 && strcmp(a->weight_type, b->weight_type) == 0;
}

static uint32_t *slot_of(const struct lmm_diff_sheet *s, const struct lmm_diff_key *key)
{
	uint32_t at = (uint32_t)key_hash(key) & (s->n_slots - 1);

	while (s->slots[at] && !key_is(&s->columns[s->slots[at] - 1].key, key))
		at = (at + 1) & (s->n_slots - 1);
	return &s->slots[at];
}

int32_t lmm_diff_sheet_find(const struct lmm_diff_sheet *s, const struct lmm_diff_key *key)
{
	return s->n_slots ? (int32_t)*slot_of(s, key) - 1 : -1;
}

static int columns_grow(struct lmm_diff_sheet *s)
{
	uint32_t cap = s->columns_cap ? s->columns_cap * 2 : 64;
	struct lmm_diff_column *columns;
	uint32_t *slots;

	if (cap > LMM_DIFF_COLUMNS)
		return -1;
	columns = realloc(s->columns, cap * sizeof(*columns));
	if (!columns)
		return -1;
	s->columns = columns;
	slots = calloc((size_t)cap * 2, sizeof(*slots));
	if (!slots)
		return -1;
	free(s->slots);
	s->columns_cap = cap;
	s->slots = slots;
	s->n_slots = cap * 2;
	for (uint32_t i = 0; i < s->n_columns; i++)
		*slot_of(s, &s->columns[i].key) = i + 1;
	return 0;
}

static void key_free(struct lmm_diff_key *k)
{
	free((char *)k->name);
	free((char *)k->op);
	free((char *)k->device);
	free((char *)k->weight_type);
}

static int key_copy(struct lmm_diff_key *to, const struct lmm_diff_key *from)
{
	*to = *from;
	to->name = strdup(from->name);
	to->op = strdup(from->op);
	to->device = strdup(from->device);
	to->weight_type = strdup(from->weight_type);
	if (to->name && to->op && to->device && to->weight_type)
		return 0;
	key_free(to);
	return -1;
}

int32_t lmm_diff_sheet_column(struct lmm_diff_sheet *s, const struct lmm_diff_key *key)
{
	int32_t found = lmm_diff_sheet_find(s, key);
	struct lmm_diff_column *c;

	if (found >= 0)
		return found;
	if (s->n_columns == s->columns_cap && columns_grow(s))
		return -1;
	c = &s->columns[s->n_columns];
	if (key_copy(&c->key, key))
		return -1;
	c->total = 0;
	*slot_of(s, key) = ++s->n_columns;
	return (int32_t)s->n_columns - 1;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static uint64_t random_next(struct lmm_diff_sheet *s)
{
	s->random += LMM_HASH_SEED;
	return lmm_hash_u64(LMM_HASH_SEED, s->random);
}

static int row_put(struct lmm_diff_row *row, const double *values, uint32_t n, uint32_t tokens,
		   unsigned flags)
{
	float *to = realloc(row->values, (n ? n : 1) * sizeof(*to));

	if (!to)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		to[i] = (float)values[i];
	row->values = to;
	row->n = n;
	row->tokens = tokens;
	row->flags = (uint8_t)flags;
	return 0;
}

/* One of each two neighbours stays. */
static void rows_halve(struct lmm_diff_sheet *s)
{
	for (uint32_t i = 0; i < LMM_DIFF_ROWS / 2u; i++) {
		uint32_t stays = 2 * i + (uint32_t)(random_next(s) >> 63);
		struct lmm_diff_row row = s->rows[i];

		s->rows[i] = s->rows[stays];
		s->rows[stays] = row;
	}
	s->n_rows = LMM_DIFF_ROWS / 2;
	s->stride *= 2;
}

int lmm_diff_sheet_row(struct lmm_diff_sheet *s, const double *values, uint32_t n, uint32_t tokens,
		       unsigned flags)
{
	int rc = 0;

	if (!s->rows) {
		s->rows = calloc(LMM_DIFF_ROWS, sizeof(*s->rows));
		s->stride = 1;
	}
	if (!s->rows)
		return -ENOMEM;
	if (flags & LMM_DIFF_FIRST_USE) {
		s->first_use_steps++;
	} else {
		s->steps++;
		s->tokens += tokens;
		for (uint32_t i = 0; i < n; i++)
			s->columns[i].total += values[i];
	}
	if (s->in_stride == 0 && s->n_rows == LMM_DIFF_ROWS)
		rows_halve(s);
	if (s->in_stride == 0)
		s->n_rows++;
	/* the k-th of a stretch takes the place with a chance of 1 in k: each is as likely to stay */
	if (random_next(s) % ++s->in_stride == 0)
		rc = row_put(&s->rows[s->n_rows - 1], values, n, tokens, flags);
	if (s->in_stride == s->stride)
		s->in_stride = 0;
	return rc;
}

/* ---- runs --------------------------------------------------------------------------------------- */

static void sheet_free(struct lmm_diff_sheet *s)
{
	for (uint32_t i = 0; s->rows && i < LMM_DIFF_ROWS; i++)
		free(s->rows[i].values);
	for (uint32_t i = 0; i < s->n_columns; i++)
		key_free(&s->columns[i].key);
	free(s->rows);
	free(s->columns);
	free(s->slots);
}

struct lmm_diff_run *lmm_diff_run_create(void)
{
	struct lmm_diff_run *run = calloc(1, sizeof(*run));

	if (run)
		run->ns_per_tick = 1;
	return run;
}

void lmm_diff_run_destroy(struct lmm_diff_run *run)
{
	if (!run)
		return;
	for (unsigned i = 0; i < LMM_DIFF_CLASSES; i++)
		sheet_free(&run->sheets[i]);
	free(run->ttft_ns);
	free(run->tpot_ns);
	if (run->facts)
		lmm_result_destroy(run->facts);
	free(run);
}
