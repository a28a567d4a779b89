/* SPDX-License-Identifier: Apache-2.0 */
#include "top/cells.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "report/format.h"

void lmm__put_code(struct lmm_top_screen *s, unsigned row, unsigned column, uint8_t style,
		   uint32_t code)
{
	if (row >= s->rows || column >= s->columns)
		return;
	s->cells[row * s->columns + column] = (struct lmm_top_cell){ code, style };
}

/* Returns the column behind it. Names in it are made harmless. */
unsigned lmm__put(struct lmm_top_screen *s, unsigned row, unsigned column, uint8_t style,
		  const char *format, ...)
{
	char text[512], safe[2048];
	const char *c = safe;
	va_list ap;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 loses sight of va_start */
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	lmm_text_fit(safe, sizeof(safe), text, (int)sizeof(text) - 1);
	while (*c && column < s->columns) {
		uint32_t code;

		c += lmm_utf8_next(c, &code);
		lmm__put_code(s, row, column++, style, code);
	}
	return column;
}

/* A name in so many columns. */
void lmm__put_name(struct lmm_top_screen *s, unsigned row, unsigned column, unsigned columns,
		   const char *name)
{
	char safe[512];

	lmm_text_fit(safe, sizeof(safe), name, columns > 120 ? 120 : (int)columns);
	lmm__put(s, row, column, LMM_TOP_PLAIN, "%s", safe);
}

void lmm__put_right(struct lmm_top_screen *s, unsigned row, unsigned end, uint8_t style,
		    const char *text)
{
	unsigned n = (unsigned)strlen(text);

	lmm__put(s, row, end > n ? end - n : 0, style, "%s", text);
}

/* Eighths of a column; something is never nothing. */
void lmm__put_bar(struct lmm_top_screen *s, unsigned row, unsigned column, unsigned columns,
		  double fraction)
{
	unsigned eighths = fraction > 0 ? (unsigned)(fraction * columns * 8 + 0.5) : 0;

	if (eighths > columns * 8)
		eighths = columns * 8;
	if (fraction > 0 && eighths == 0)
		eighths = 1;
	for (; eighths >= 8; eighths -= 8)
		lmm__put_code(s, row, column++, LMM_TOP_BAR, 0x2588);
	if (eighths)
		lmm__put_code(s, row, column, LMM_TOP_BAR, 0x2590 - eighths);
}

/* The newest values, each a block as high as it is. */
void lmm__put_trend(struct lmm_top_screen *s, unsigned row, unsigned column, unsigned columns,
		    const float *history)
{
	unsigned n = columns < LMM_TOP_HISTORY ? columns : LMM_TOP_HISTORY;
	const float *v = history + LMM_TOP_HISTORY - n;
	float most = 0;

	for (unsigned i = 0; i < n; i++)
		most = v[i] > most ? v[i] : most;
	for (unsigned i = 0; i < n; i++) {
		unsigned level = most > 0 ? (unsigned)(v[i] / most * 7 + 0.5f) : 0;

		if (v[i] > 0)
			lmm__put_code(s, row, column + i, LMM_TOP_BAR, 0x2581 + level);
	}
}
