/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4180: cells of a row one after the other, CRLF, quotes around text. Write errors stay in the stream's error flag. */
#ifndef LMM_REPORT_CSV_WRITER_H
#define LMM_REPORT_CSV_WRITER_H

#include <stdint.h>
#include <stdio.h>

struct lmm_csv {
	FILE *out;
	int has_cells;
};

void lmm_csv_u64(struct lmm_csv *c, uint64_t v);
void lmm_csv_i64(struct lmm_csv *c, int64_t v);
void lmm_csv_bool(struct lmm_csv *c, int v);
void lmm_csv_decimal(struct lmm_csv *c, double v, unsigned decimals,
		     int known);		       /* not known: empty */
void lmm_csv_ns(struct lmm_csv *c, double ns);	       /* to the picosecond */
void lmm_csv_string(struct lmm_csv *c, const char *s); /* what steers terminals is shown escaped */
void lmm_csv_end(struct lmm_csv *c);		       /* of the row */

#endif
