/* SPDX-License-Identifier: Apache-2.0 */
#include "calibrate/json_read.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX  16
#define NUMBER_MAX 64

struct walk {
	const char *p, *end;
	lmm_json_fn *fn;
	void *ctx;
	unsigned depth;
	char path[LMM_JSON_PATH_MAX];
	size_t path_n;
	char string[LMM_JSON_STRING_MAX];
};

static int value(struct walk *w);

static void space(struct walk *w)
{
	while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r'))
		w->p++;
}

static int take(struct walk *w, char c)
{
	space(w);
	if (w->p == w->end || *w->p != c)
		return -EPROTO;
	w->p++;
	return 0;
}

static int take_word(struct walk *w, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(w->end - w->p) < n || memcmp(w->p, word, n) != 0)
		return -EPROTO;
	w->p += n;
	return 0;
}

static int hex4(struct walk *w, unsigned *code)
{
	*code = 0;
	if (w->end - w->p < 4)
		return -EPROTO;
	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)*w->p++;

		if (!isxdigit(c))
			return -EPROTO;
		*code = *code << 4 | (isdigit(c) ? c - 0u - '0' : (c | 0x20u) - 'a' + 10u);
	}
	return 0;
}

/* Only what one byte holds: the rest stands as it is in what we write. */
static int escaped(struct walk *w, char *c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	unsigned code;

	if (w->p == w->end)
		return -EPROTO;
	if (*w->p == 'u') {
		w->p++;
		if (hex4(w, &code))
			return -EPROTO;
		*c = '?';
		if (code > 0 && code < 0x80)
			*c = (char)code;
		return 0;
	}
	at = strchr(from, *w->p);
	if (!at || !*at)
		return -EPROTO;
	*c = to[at - from];
	w->p++;
	return 0;
}

static int string(struct walk *w)
{
	size_t n = 0;

	if (take(w, '"'))
		return -EPROTO;
	while (w->p < w->end && *w->p != '"') {
		char c = *w->p++;

		if ((unsigned char)c < 0x20 || (c == '\\' && escaped(w, &c)) ||
		    n + 1 >= sizeof(w->string))
			return -EPROTO;
		w->string[n++] = c;
	}
	w->string[n] = '\0';
	return take(w, '"');
}

static int number(struct walk *w, double *v)
{
	char text[NUMBER_MAX];
	size_t n = 0;
	char *end;

	while (w->p + n < w->end && n + 1 < sizeof(text) && w->p[n] &&
	       strchr("+-.0123456789eE", w->p[n])) {
		text[n] = w->p[n];
		n++;
	}
	text[n] = '\0';
	if (!isdigit((unsigned char)text[0]) &&
	    !(text[0] == '-' && isdigit((unsigned char)text[1])))
		return -EPROTO;
	*v = strtod(text, &end);
	if (*end)
		return -EPROTO;
	w->p += n;
	return 0;
}

static int path_push(struct walk *w, const char *name)
{
	size_t n = strlen(name);

	if (w->path_n + n + 2 > sizeof(w->path))
		return -EPROTO;
	if (w->path_n)
		w->path[w->path_n++] = '.';
	memcpy(w->path + w->path_n, name, n + 1);
	w->path_n += n;
	return 0;
}

static void path_pop(struct walk *w, size_t n)
{
	w->path_n = n;
	w->path[n] = '\0';
}

static int member(struct walk *w)
{
	size_t before = w->path_n;
	int rc;

	space(w);
	if (string(w) || path_push(w, w->string) || take(w, ':'))
		return -EPROTO;
	rc = value(w);
	path_pop(w, before);
	return rc;
}

static int element(struct walk *w, unsigned at)
{
	char name[16] = "";
	size_t before = w->path_n, n = sizeof(name) - 1;
	int rc;

	do {
		name[--n] = (char)('0' + at % 10);
		at /= 10;
	} while (at);
	if (path_push(w, name + n))
		return -EPROTO;
	rc = value(w);
	path_pop(w, before);
	return rc;
}

static int container(struct walk *w, char closing)
{
	int rc = 0;

	w->p++;
	if (++w->depth > DEPTH_MAX)
		return -EPROTO;
	space(w);
	if (w->p < w->end && *w->p == closing) {
		w->p++;
		w->depth--;
		return 0;
	}
	for (unsigned i = 0; rc == 0; i++) {
		rc = closing == '}' ? member(w) : element(w, i);
		if (rc == 0 && take(w, ','))
			break;
	}
	w->depth--;
	return rc ? rc : take(w, closing);
}

static int leaf(struct walk *w)
{
	struct lmm_json_value v = { .path = w->path, .kind = LMM_JSON_NULL, .text = "" };
	int rc;

	switch (*w->p) {
	case '"':
		v.kind = LMM_JSON_STRING;
		rc = string(w);
		v.text = w->string;
		break;
	case 't':
		v.kind = LMM_JSON_BOOL;
		v.number = 1;
		rc = take_word(w, "true");
		break;
	case 'f':
		v.kind = LMM_JSON_BOOL;
		rc = take_word(w, "false");
		break;
	case 'n':
		rc = take_word(w, "null");
		break;
	default:
		v.kind = LMM_JSON_NUMBER;
		rc = number(w, &v.number);
		break;
	}
	return rc ? rc : w->fn(w->ctx, &v);
}

static int value(struct walk *w)
{
	space(w);
	if (w->p == w->end)
		return -EPROTO;
	if (*w->p == '{')
		return container(w, '}');
	if (*w->p == '[')
		return container(w, ']');
	return leaf(w);
}

int lmm_json_walk(const char *text, size_t n, lmm_json_fn *fn, void *ctx)
{
	struct walk w = { .p = text, .end = text + n, .fn = fn, .ctx = ctx };
	int rc = value(&w);

	if (rc)
		return rc;
	space(&w);
	return w.p == w.end ? 0 : -EPROTO;
}
