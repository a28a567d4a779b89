/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that engines, models and files give are bytes of others: this is where they become harmless, and where numbers
 * get units that people read.
 */
#ifndef LMM_REPORT_FORMAT_H
#define LMM_REPORT_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LMM_UTF8_INVALID 0xffffffffu

/* The code point at s (not at its end) and the bytes it takes; LMM_UTF8_INVALID and 1 for a byte that starts none. */
size_t lmm_utf8_next(const char *s, uint32_t *code);

/* Appends code; returns its 1 to 4 bytes. */
size_t lmm_utf8_put(char dst[4], uint32_t code);

/* 1: steers terminals or hides text (control characters, direction marks, invisible ones). */
int lmm_code_is_unsafe(uint32_t code);

/*
 * src made harmless in dst, at most `columns` wide and ended with "~" if it had to be cut; unsafe code points as \x1b or
 * \u202e, bytes that are no UTF-8 as \xff. Returns the columns used. dst should hold 4 bytes per column and 1.
 */
int lmm_text_fit(char *dst, size_t size, const char *src, int columns);

/* Returned by value so that several fit in one printf: "11.2 ms". */
struct lmm_human {
	char s[32];
};

struct lmm_human
lmm_human_ns(double ns); /* "0", "340 ns", "1.23 us", "11.2 ms", "2.50 s", "3m05s" */
/* "host", "read_back", "driver", "first_use", "unknown": enum lmm_gap_cause. Static. */
const char *lmm_gap_name(unsigned cause);
const char *lmm_gap_reason(unsigned cause);	  /* the same in words. Static. */
struct lmm_human lmm_human_bytes(double bytes);	  /* "512 B", "94.1 MiB" */
struct lmm_human lmm_human_count(uint64_t count); /* "1,234,567" */
struct lmm_human lmm_human_short(uint64_t count); /* "123,456", "1.23 M": at most 7 columns */
struct lmm_human lmm_human_si(double v);	  /* "135 M": with k, M, G, T */
struct lmm_human lmm_human_hz(double hz);	  /* "2.40 GHz" */
struct lmm_human lmm_human_rate(double v);	  /* three digits: "84.2", "1,230" */
struct lmm_human lmm_human_percent(double v);	  /* "78.3 %" */

/* A decimal number that does not depend on the locale, with at most `decimals` (0 to 9) digits behind the point and no
 * zeros at its end. NaN and infinities give "null". */
struct lmm_human lmm_decimal(double v, unsigned decimals);

const char *lmm_level_name(unsigned level);
const char *lmm_clock_name(unsigned clock);

#endif
