/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that was put into a process that runs (lmmeter attach --inject): nothing was bound to its hooks, so the imports of
 * all loaded objects are changed to lead to them while a recording goes on, and back when it ends.
 */
#ifndef LMM_PROBE_HOOKS_H
#define LMM_PROBE_HOOKS_H

#include <stdbool.h>

/* Set before any hook runs, and for good. */
extern bool lmm_hooks_are_patched_in;

/*
 * Lets every import of a hooked symbol lead to its hook. Called again it looks after what was loaded meanwhile. Without
 * lmm_hooks_are_patched_in both do nothing. The thread of dormant.c alone calls them.
 */
void lmm_hooks_fill(void);
/* Puts back what was there. Calls that are in a hook end in it. */
void lmm_hooks_empty(void);
/* A child has the imports that its parent has: they are looked through again when it is recorded itself. */
void lmm_hooks_after_fork(void);

#endif
