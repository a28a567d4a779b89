/* SPDX-License-Identifier: Apache-2.0 */
/* The view beside a recording of this process's own (lmmeter run --live). */
#ifndef LMM_CLI_LIVE_H
#define LMM_CLI_LIVE_H

#include "analyze/analysis.h"

struct lmm_live;

/*
 * Takes the terminal for the view; what of the command's input and output is that terminal goes elsewhere: fds[0 … 2] is what the
 * command gets for its 0 … 2, -1 what we have. NULL: an lmm_error() has said why there is no view.
 */
struct lmm_live *lmm_live_open(int fds[3]);

/* Draws if it is time to, and looks at the keys. */
void lmm_live_poll(struct lmm_live *l, const struct lmm_analysis *a);

/* Gives the terminal back and prints on it what the command has written. Accepts NULL. */
void lmm_live_close(struct lmm_live *l);

#endif
