/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/patterns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int lmm_patterns_add(struct lmm_patterns *p, const void *payload, size_t bytes)
{
	struct lmm_cur c = lmm_cur_make(payload, bytes);
	uint64_t number = lmm_cur_varint(&c), n = lmm_cur_varint(&c);
	struct lmm_pattern_command *command;
	struct lmm_pattern *to;

	if (c.bad || number > UINT32_MAX || n == 0 || n > LMM_DESC_PATTERN_COMMANDS_MAX)
		return LMM_E_CORRUPT;
	command = malloc(n * sizeof(*command));
	if (!command)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		command[i].kernel = (uint32_t)lmm_cur_varint(&c);
		command[i].node = (uint32_t)lmm_cur_varint(&c);
		command[i].amount = (uint32_t)lmm_cur_varint(&c);
	}
	if (c.bad) {
		free(command);
		return LMM_E_CORRUPT;
	}
	to = &p->at[number % LMM_DESC_PATTERNS];
	free(to->command);
	*to = (struct lmm_pattern){ (uint32_t)number, (uint32_t)n, command };
	return 0;
}

void lmm_patterns_clear(struct lmm_patterns *p)
{
	for (size_t i = 0; i < LMM_DESC_PATTERNS; i++)
		free(p->at[i].command);
	memset(p, 0, sizeof(*p));
}

/* NULL: not known, or not of as many commands as the event says. */
static const struct lmm_pattern *find(const struct lmm_patterns *p, const struct lmm_event *e)
{
	const struct lmm_pattern *found = &p->at[e->id % LMM_DESC_PATTERNS];

	return found->n && found->number == e->id && found->n == e->a ? found : NULL;
}

size_t lmm_patterns_fit(const struct lmm_patterns *p, const struct lmm_event *ev, size_t n,
			size_t max)
{
	size_t count = 0, i;

	for (i = 0; i < n; i++) {
		const struct lmm_pattern *of =
			ev[i].type == LMM_EV_PATTERN ? find(p, &ev[i]) : NULL;

		count += ev[i].type != LMM_EV_PATTERN ? 1 : of ? of->n : 0;
		if (count > max)
			break;
	}
	return i;
}

static size_t expand_one(const struct lmm_pattern *p, const struct lmm_event *e,
			 struct lmm_event *to)
{
	for (uint32_t i = 0; i < p->n; i++) {
		const struct lmm_pattern_command *c = &p->command[i];

		to[i] = *e;
		to[i].type = LMM_EV_COMMAND_UNTIMED;
		to[i].id = 1; /* at once */
		to[i].a = c->kernel | (uint64_t)c->node << 32;
		to[i].b = (uint32_t)e->b | (uint64_t)c->amount << 32;
	}
	return p->n;
}

static uint64_t commands_of(const struct lmm_event *e)
{
	return e->a < LMM_DESC_PATTERN_COMMANDS_MAX ? e->a : LMM_DESC_PATTERN_COMMANDS_MAX;
}

size_t lmm_patterns_expand(const struct lmm_patterns *p, const struct lmm_event *ev, size_t n,
			   struct lmm_event *to, size_t max, uint64_t *unknown)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		int is_pattern = ev[i].type == LMM_EV_PATTERN;
		const struct lmm_pattern *of = is_pattern ? find(p, &ev[i]) : NULL;

		if (!is_pattern && count < max) {
			to[count++] = ev[i];
		} else if (of && of->n <= max - count) {
			count += expand_one(of, &ev[i], to + count);
		} else {
			*unknown += is_pattern ? commands_of(&ev[i]) : 1;
		}
	}
	return count;
}
