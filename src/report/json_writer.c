/* SPDX-License-Identifier: Apache-2.0 */
#include "report/json_writer.h"

#include <inttypes.h>
#include <string.h>

#include "report/format.h"

void lmm_json_init(struct lmm_json *j, FILE *out, int pretty)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
	j->pretty = pretty;
}

static void put_code(FILE *out, uint32_t code, const char *bytes, size_t n)
{
	if (code == LMM_UTF8_INVALID) {
		fputs("\\ufffd", out);
	} else if (code == '"' || code == '\\') {
		fprintf(out, "\\%c", (int)code);
	} else if (code < 0x10000 && lmm_code_is_unsafe(code)) {
		fprintf(out, "\\u%04" PRIx32, code);
	} else if (lmm_code_is_unsafe(code)) {
		fprintf(out, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800u + ((code - 0x10000u) >> 10),
			0xdc00u + ((code - 0x10000u) & 0x3ffu));
	} else {
		fwrite(bytes, 1, n, out);
	}
}

void lmm_json_put_string(FILE *out, const char *value)
{
	fputc('"', out);
	while (*value) {
		uint32_t code;
		size_t n = lmm_utf8_next(value, &code);

		put_code(out, code, value, n);
		value += n;
	}
	fputc('"', out);
}

static void new_line(struct lmm_json *j)
{
	if (!j->pretty)
		return;
	if (j->inline_depth && j->depth >= j->inline_depth) {
		fputc(' ', j->out);
		return;
	}
	fprintf(j->out, "\n%*s", 2 * j->depth, "");
}

/* What goes before a value: comma, line, key. */
static void lead(struct lmm_json *j, const char *key)
{
	if (j->depth > 0 && j->depth < LMM_JSON_DEPTH) {
		if (j->has_items[j->depth])
			fputc(',', j->out);
		j->has_items[j->depth] = 1;
		new_line(j);
	}
	if (key) {
		lmm_json_put_string(j->out, key);
		fputs(j->pretty ? ": " : ":", j->out);
	}
}

static void begin(struct lmm_json *j, const char *key, char bracket)
{
	lead(j, key);
	fputc(bracket, j->out);
	j->depth++;
	if (j->depth < LMM_JSON_DEPTH)
		j->has_items[j->depth] = 0;
}

static void end(struct lmm_json *j, char bracket)
{
	int had_items = j->depth < LMM_JSON_DEPTH && j->has_items[j->depth];
	int on_one_line = j->inline_depth && j->depth >= j->inline_depth;

	j->depth--;
	if (on_one_line && j->depth < j->inline_depth)
		j->inline_depth = 0;
	if (had_items && on_one_line && j->pretty) {
		fputc(' ', j->out);
	} else if (had_items) {
		new_line(j);
	}
	fputc(bracket, j->out);
	if (j->depth == 0)
		fputc('\n', j->out);
}

void lmm_json_object_begin(struct lmm_json *j, const char *key)
{
	begin(j, key, '{');
}

void lmm_json_object_end(struct lmm_json *j)
{
	end(j, '}');
}

void lmm_json_array_begin(struct lmm_json *j, const char *key)
{
	begin(j, key, '[');
}

void lmm_json_array_end(struct lmm_json *j)
{
	end(j, ']');
}

void lmm_json_row_begin(struct lmm_json *j, const char *key)
{
	begin(j, key, '{');
	if (!j->inline_depth)
		j->inline_depth = j->depth;
}

void lmm_json_string(struct lmm_json *j, const char *key, const char *value)
{
	lead(j, key);
	lmm_json_put_string(j->out, value);
}

void lmm_json_u64(struct lmm_json *j, const char *key, uint64_t value)
{
	lead(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void lmm_json_i64(struct lmm_json *j, const char *key, int64_t value)
{
	lead(j, key);
	fprintf(j->out, "%" PRId64, value);
}

void lmm_json_bool(struct lmm_json *j, const char *key, int value)
{
	lead(j, key);
	fputs(value ? "true" : "false", j->out);
}

void lmm_json_null(struct lmm_json *j, const char *key)
{
	lead(j, key);
	fputs("null", j->out);
}

void lmm_json_double(struct lmm_json *j, const char *key, double value, unsigned decimals)
{
	lead(j, key);
	fputs(lmm_decimal(value, decimals).s, j->out);
}

void lmm_json_ns(struct lmm_json *j, const char *key, double ns)
{
	lmm_json_double(j, key, ns, 3);
}
