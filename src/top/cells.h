/* SPDX-License-Identifier: Apache-2.0 */
/* Putting things on the grid. What lies outside of it is left out; names are made harmless. */
#ifndef LMM_TOP_CELLS_H
#define LMM_TOP_CELLS_H

#include "base/compiler.h"
#include "top/top.h"

void lmm__put_code(struct lmm_top_screen *s, unsigned row, unsigned column, uint8_t style,
		   uint32_t code);

/* Returns the column behind it. */
LMM_PRINTF(5, 6)
unsigned lmm__put(struct lmm_top_screen *s, unsigned row, unsigned column, uint8_t style,
		  const char *format, ...);

/* A name in so many columns. */
void lmm__put_name(struct lmm_top_screen *s, unsigned row, unsigned column, unsigned columns,
		   const char *name);

/* Ends before column end. */
void lmm__put_right(struct lmm_top_screen *s, unsigned row, unsigned end, uint8_t style,
		    const char *text);

/* A share of so many columns, in eighths of one; something is never nothing. */
void lmm__put_bar(struct lmm_top_screen *s, unsigned row, unsigned column, unsigned columns,
		  double fraction);

/* The newest of LMM_TOP_HISTORY values, each a block as high as it is. */
void lmm__put_trend(struct lmm_top_screen *s, unsigned row, unsigned column, unsigned columns,
		    const float *history);

/* ---- pages, from row 1 to the last but one (pages.c) -------------------------------------------- */

void lmm__page_requests(const struct lmm_top *t, const struct lmm_top_view *v,
			struct lmm_top_screen *s);
void lmm__page_engines(const struct lmm_top *t, const struct lmm_top_view *v,
		       struct lmm_top_screen *s);
void lmm__page_sensors(const struct lmm_top *t, const struct lmm_top_view *v,
		       struct lmm_top_screen *s);
void lmm__page_help(struct lmm_top_screen *s);

#endif
