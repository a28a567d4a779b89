/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a mangled name that people read: nested names, and template arguments that are numbers or plain types. Not a demangler;
 * what it does not know it leaves out, and a name that is not mangled stays as it is.
 */
#include <string.h>

#include "probe/devices/cuda/cuda.h"

struct in {
	const char *s;
	char *to;
	size_t n, room; /* written, room without the NUL */
	unsigned depth;
};

static void put(struct in *x, const char *text, size_t n)
{
	if (n > x->room - x->n)
		n = x->room - x->n;
	memcpy(x->to + x->n, text, n);
	x->n += n;
}

static void put_text(struct in *x, const char *text)
{
	put(x, text, strlen(text));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* <length> <identifier> */
static bool source_name(struct in *x)
{
	size_t n = 0;

	while (is_digit(*x->s) && n < 4096)
		n = n * 10 + (size_t)(*x->s++ - '0');
	if (!n || strnlen(x->s, n) < n)
		return false;
	if (n > 9 && strncmp(x->s, "_GLOBAL__N", 10) == 0) {
		put_text(x, "(anonymous)");
	} else {
		put(x, x->s, n);
	}
	x->s += n;
	return true;
}

static const char *builtin(char c)
{
	switch (c) {
	case 'f':
		return "float";
	case 'd':
		return "double";
	case 'i':
		return "int";
	case 'j':
		return "unsigned";
	case 'l':
		return "long";
	case 'm':
		return "unsigned long";
	case 'x':
		return "long long";
	case 'y':
		return "unsigned long long";
	case 'c':
		return "char";
	case 'a':
		return "signed char";
	case 'h':
		return "unsigned char";
	case 's':
		return "short";
	case 't':
		return "unsigned short";
	case 'b':
		return "bool";
	case 'v':
		return "void";
	default:
		return NULL;
	}
}

static bool nested(struct in *x);
static bool arguments(struct in *x);

/* L <type> <value> E; of values alone the number is told. */
static bool literal(struct in *x)
{
	bool is_bool = *x->s == 'b';

	if (is_digit(*x->s)) { /* of an enumeration, whose name is left out */
		size_t kept = x->n;

		if (!source_name(x))
			return false;
		x->n = kept;
	} else if (*x->s == 'N') {
		size_t kept = x->n;

		x->s++;
		if (!nested(x))
			return false;
		x->n = kept;
	} else if (builtin(*x->s)) {
		x->s++;
	} else {
		return false;
	}
	if (*x->s == 'n') {
		put_text(x, "-");
		x->s++;
	}
	if (!is_digit(*x->s))
		return false;
	if (is_bool) {
		put_text(x, *x->s == '0' ? "false" : "true");
		x->s++;
	}
	for (; !is_bool && is_digit(*x->s); x->s++)
		put(x, x->s, 1);
	return *x->s++ == 'E';
}

static bool argument(struct in *x)
{
	char c = *x->s;

	if (c == 'L') {
		x->s++;
		return literal(x);
	}
	if (is_digit(c)) {
		if (!source_name(x))
			return false;
		return *x->s != 'I' || arguments(x);
	}
	if (c == 'N') {
		x->s++;
		return nested(x);
	}
	if (c == 'P' || c == 'K') { /* a pointer, const */
		x->s++;
		if (!argument(x))
			return false;
		if (c == 'P')
			put_text(x, "*");
		return true;
	}
	if (builtin(c)) {
		put_text(x, builtin(c));
		x->s++;
		return true;
	}
	return false;
}

/* I <argument>… E */
static bool arguments(struct in *x)
{
	bool is_first = true;

	if (++x->depth > 16)
		return false;
	x->s++;
	put_text(x, "<");
	while (*x->s && *x->s != 'E') {
		if (!is_first)
			put_text(x, ", ");
		is_first = false;
		if (!argument(x)) {
			put_text(x, "…>");
			return false;
		}
	}
	put_text(x, ">");
	x->depth--;
	return *x->s++ == 'E';
}

/* Behind N: names, each perhaps with arguments, up to E. */
static bool nested(struct in *x)
{
	bool is_first = true;

	while (*x->s == 'K' || *x->s == 'V')
		x->s++;
	while (*x->s && *x->s != 'E') {
		if (*x->s == 'I') {
			if (!arguments(x))
				return false;
			continue;
		}
		if (!is_first)
			put_text(x, "::");
		is_first = false;
		if (*x->s == 'S' && x->s[1] == 't') {
			put_text(x, "std");
			x->s += 2;
		} else if (!is_digit(*x->s) || !source_name(x)) {
			return false;
		}
	}
	return *x->s++ == 'E';
}

void lmm_cu_demangle(const char *mangled, char *to, size_t bytes)
{
	struct in x = { .s = mangled, .to = to, .room = bytes - 1 };

	if (strncmp(mangled, "_Z", 2) == 0) {
		x.s += 2;
		if (*x.s == 'L') /* of internal linkage */
			x.s++;
		if (*x.s == 'N') {
			x.s++;
			nested(&x);
		} else if (source_name(&x) && *x.s == 'I') {
			arguments(&x);
		}
	}
	if (x.n == 0)
		put_text(&x, mangled);
	to[x.n] = 0;
}
