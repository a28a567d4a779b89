/* SPDX-License-Identifier: Apache-2.0 */
#include "report/csv_writer.h"

#include <inttypes.h>
#include <string.h>

#include "report/format.h"

static void lead(struct lmm_csv *c)
{
	if (c->has_cells)
		fputc(',', c->out);
	c->has_cells = 1;
}

void lmm_csv_end(struct lmm_csv *c)
{
	fputs("\r\n", c->out);
	c->has_cells = 0;
}

void lmm_csv_u64(struct lmm_csv *c, uint64_t v)
{
	lead(c);
	fprintf(c->out, "%" PRIu64, v);
}

void lmm_csv_i64(struct lmm_csv *c, int64_t v)
{
	lead(c);
	fprintf(c->out, "%" PRId64, v);
}

void lmm_csv_bool(struct lmm_csv *c, int v)
{
	lead(c);
	fputs(v ? "true" : "false", c->out);
}

void lmm_csv_decimal(struct lmm_csv *c, double v, unsigned decimals, int known)
{
	lead(c);
	if (known)
		fputs(lmm_decimal(v, decimals).s, c->out);
}

void lmm_csv_ns(struct lmm_csv *c, double ns)
{
	lmm_csv_decimal(c, ns, 3, 1);
}

void lmm_csv_string(struct lmm_csv *c, const char *s)
{
	lead(c);
	fputc('"', c->out);
	while (*s) {
		char shown[16];
		uint32_t code;
		size_t n = lmm_utf8_next(s, &code);

		if (code == '"') {
			fputs("\"\"", c->out);
		} else if (lmm_code_is_unsafe(code)) {
			char one[5] = { s[0] };

			memcpy(one, s, n);
			lmm_text_fit(shown, sizeof(shown), one, (int)sizeof(shown) - 1);
			fputs(shown, c->out);
		} else {
			fwrite(s, 1, n, c->out);
		}
		s += n;
	}
	fputc('"', c->out);
}
