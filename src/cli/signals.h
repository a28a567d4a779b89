/* SPDX-License-Identifier: Apache-2.0 */
/* The signals that end a recording, taken one at a time between its rounds. */
#ifndef LMM_CLI_SIGNALS_H
#define LMM_CLI_SIGNALS_H

#include <signal.h>

/* Those that are meant here. */
void lmm_signals_set(sigset_t *set);

/* SIGCHLD, SIGINT, SIGQUIT, SIGTERM and SIGHUP come by lmm_signals_wait() from here on; *old: what a child is to get. */
void lmm_signals_block(sigset_t *old);

/* Whether one of them that asks for the end (all but SIGCHLD) has come and was not taken yet. */
int lmm_signals_ask_for_end(void);

/* Waits ms or until one of them; returns it, or 0. */
int lmm_signals_wait(int ms);

#endif
