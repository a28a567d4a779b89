/* SPDX-License-Identifier: Apache-2.0 */
/* The page and its pieces, for every report that becomes one. Every string of others goes through lmm__html_text(). */
#ifndef LMM_REPORT_HTML_PARTS_H
#define LMM_REPORT_HTML_PARTS_H

#include <stddef.h>
#include <stdio.h>

#include "report/format.h"

/* Made harmless and escaped, for text and for attributes in double quotes; cut at 200 columns. */
void lmm__html_text(FILE *out, const char *s);

/* As lmm_human_ns(), with the sign for micro. */
struct lmm_human lmm__html_ns(double ns);

/* A cell of a table; class_name "" is none. */
void lmm__html_cell(FILE *out, const char *class_name, const char *text);
void lmm__html_ns_cell(FILE *out, const char *class_name, double ns);

/* JSON inside a script element: nothing in it may end the element. Blanks at the begin of lines are left out. */
void lmm__html_json(FILE *out, const char *json, size_t n);

/* Fills one place of the page: "title", "body", "report", "tokens". 0 or a negative errno. */
typedef int lmm_html_put_fn(const void *ctx, const char *name, size_t n, FILE *out);

/* The page with all its places filled. 0 or what put() returned. */
int lmm__html_page_put(FILE *out, lmm_html_put_fn *put, const void *ctx);

#endif
