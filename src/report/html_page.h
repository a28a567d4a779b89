/* SPDX-License-Identifier: Apache-2.0 */
/* src/report/html/ with its styles and scripts inside, as cmake/embed_page.cmake makes it. */
#ifndef LMM_REPORT_HTML_PAGE_H
#define LMM_REPORT_HTML_PAGE_H

/* Ends with NUL. Places that are to be filled are comments: <!--@name-->. */
extern const char lmm__html_page[];

#endif
