/* SPDX-License-Identifier: Apache-2.0 */
/* The small languages of a plan: holes, variables, times, lists of CPUs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "study/plan.h"
#include "study/plan_internal.h"

/* ---- holes -------------------------------------------------------------------------------------- */

static char *buf_text(struct lmm_buf *b)
{
	lmm_buf_put_u8(b, 0);
	if (b->overflow) {
		lmm_buf_free(b);
		return NULL;
	}
	return (char *)b->data;
}

/* Bytes that a hole or a doubled brace at p takes, 0: it is an ordinary one, -1: it is neither. */
static int brace_take(const char *p, struct lmm_buf *b, lmm_plan_value_fn *value, void *ctx)
{
	const char *end, *text;

	if (p[0] != '{' && p[0] != '}')
		return 0;
	if (p[1] == p[0]) {
		lmm_buf_put_u8(b, (uint8_t)p[0]);
		return 2;
	}
	end = strchr(p, '}');
	if (p[0] == '}' || !end)
		return -1;
	text = value(ctx, p + 1, (size_t)(end - p - 1));
	if (!text)
		return -1;
	lmm_buf_put(b, text, strlen(text));
	return (int)(end - p + 1);
}

char *lmm_plan_fill(const char *word, lmm_plan_value_fn *value, void *ctx)
{
	struct lmm_buf b = { .max = 1u << 20 };

	for (const char *p = word; *p;) {
		int n = brace_take(p, &b, value, ctx);

		if (n < 0) {
			lmm_buf_free(&b);
			return NULL;
		}
		if (n == 0)
			lmm_buf_put_u8(&b, (uint8_t)*p);
		p += n ? n : 1;
	}
	return buf_text(&b);
}

/* ---- variables ---------------------------------------------------------------------------------- */

#define NAME_MAX_BYTES 128

/* "NAME=value\n…": the value's bytes; NULL: it is not among them. */
static const char *line_find(const char *lines, const char *name, size_t *n)
{
	size_t name_n = strlen(name);

	for (const char *p = lines; p && *p;) {
		size_t line = strcspn(p, "\n");

		if (line > name_n && strncmp(p, name, name_n) == 0 && p[name_n] == '=') {
			*n = line - name_n - 1;
			return p + name_n + 1;
		}
		p += line + (p[line] == '\n');
	}
	return NULL;
}

static void used_note(struct lmm_plan_variables *v, const char *name, const char *value, size_t n)
{
	size_t had = v->used ? strlen(v->used) : 0, room = had + strlen(name) + n + 3, at;
	char *more;

	if (line_find(v->used, name, &at))
		return;
	more = realloc(v->used, room);
	if (!more)
		return;
	(void)snprintf(more + had, room - had, "%s=%.*s\n", name, (int)n, value);
	v->used = more;
}

/* NULL: it is not set, or to nothing. What spans lines is not taken. */
static const char *variable_find(struct lmm_plan_variables *v, const char *name, size_t name_n,
				 size_t *n)
{
	char key[NAME_MAX_BYTES];
	const char *value;

	if (name_n == 0 || name_n >= sizeof(key))
		return NULL;
	memcpy(key, name, name_n);
	key[name_n] = '\0';
	if (v->given) {
		value = line_find(v->given, key, n);
	} else {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
		value = strcmp(key, "PLAN_DIR") == 0 ? v->folder : getenv(key);
		*n = value ? strlen(value) : 0;
	}
	if (!value || *n == 0 || *n > LMM_PLAN_TEXT_MAX || memchr(value, '\n', *n))
		return NULL;
	used_note(v, key, value, *n);
	return value;
}

static void put_home(struct lmm_plan_variables *v, struct lmm_buf *b, const char **p,
		     const char *end)
{
	const char *home;
	size_t n;

	if (*p >= end || **p != '~' || (*p + 1 < end && (*p)[1] != '/'))
		return;
	home = variable_find(v, "HOME", 4, &n);
	if (!home)
		return;
	lmm_buf_put(b, home, n);
	(*p)++;
}

/* "${NAME}", "${NAME:-default}": what lies between the braces. 0, or -1 and *name_n is of a name that is not set. */
static int put_variable(struct lmm_plan_variables *v, struct lmm_buf *b, const char *inside,
			const char *end, size_t *name_n)
{
	const char *text;
	size_t n;

	*name_n = strcspn(inside, ":}");
	text = variable_find(v, inside, *name_n, &n);
	if (text) {
		lmm_buf_put(b, text, n);
		return 0;
	}
	inside += *name_n;
	if (inside[0] != ':' || inside[1] != '-')
		return -1;
	inside += 2;
	put_home(v, b, &inside, end);
	lmm_buf_put(b, inside, (size_t)(end - inside));
	return 0;
}

char *lmm__plan_variables(struct lmm_plan_variables *v, const char *text, char *why,
			  size_t why_bytes)
{
	struct lmm_buf b = { .max = 1u << 20 };
	const char *p = text;

	why[0] = '\0';
	put_home(v, &b, &p, p + strlen(p));
	while (*p) {
		const char *end = p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;
		size_t n = 0;

		if (!end) {
			lmm_buf_put_u8(&b, (uint8_t)*p++);
			continue;
		}
		if (put_variable(v, &b, p + 2, end, &n)) {
			(void)snprintf(why, why_bytes, "the variable %.*s is not set",
				       (int)(n < 64 ? n : 64), p + 2);
			lmm_buf_free(&b);
			return NULL;
		}
		p = end + 1;
	}
	return buf_text(&b);
}

/* ---- times and CPUs ------------------------------------------------------------------------------ */

int lmm_plan_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "m", 60e9 }, { "h", 3600e9 } };
	char *end;
	double v;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtod(text, &end);
	for (size_t i = 0; errno == 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) == 0 && v * units[i].ns < 1e18) {
			*ns = (uint64_t)(v * units[i].ns);
			return 0;
		}
	}
	return -EINVAL;
}

int lmm_plan_cpus(const char *text, uint8_t *set, unsigned max)
{
	int count = 0;

	memset(set, 0, max);
	for (const char *p = text;; p++) {
		char *end;
		unsigned long from, to;

		if (*p < '0' || *p > '9')
			return -EINVAL;
		from = to = strtoul(p, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			to = strtoul(end + 1, &end, 10);
		if (to < from || to >= max)
			return -EINVAL;
		for (unsigned long c = from; c <= to; c++) {
			count += !set[c];
			set[c] = 1;
		}
		p = end;
		if (!*p)
			return count;
		if (*p != ',')
			return -EINVAL;
	}
}
