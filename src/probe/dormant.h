/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library without a session: the hooks pass everything on, and a thread that sleeps waits for `lmmeter attach` (wire/control.h).
 * It does the joining, so the engine's own threads are never held up.
 */
#ifndef LMM_PROBE_DORMANT_H
#define LMM_PROBE_DORMANT_H

/* Makes the file and starts the thread. Nothing happens where that cannot be done. Once per process. */
void lmm_dormant_start(void);
/* Takes the file away. */
void lmm_dormant_stop(void);
/* In a child: the file and the thread are the parent's. */
void lmm_dormant_after_fork(void);

#endif
