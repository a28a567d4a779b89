/* SPDX-License-Identifier: Apache-2.0 */
/* What the rest of this room may ask of the session beyond probe.h. */
#ifndef LMM_PROBE_SESSION_H
#define LMM_PROBE_SESSION_H

#include <stddef.h>

#define PATH_BYTES 4096

/* A new file of `bytes` zeroed and reserved bytes, mapped; NULL: it cannot be had, or is there already. */
void *lmm_session_map_new(const char *path, size_t bytes);

/*
 * Joins the session in dir while the engine runs, and begins to record; whatever was described in an earlier one is described
 * again. 0 or a negative errno. The thread of dormant.c alone calls these two.
 */
int lmm_session_attach(const char *dir);
/* Ends recording and leaves the session. The hooks pass everything on again. */
void lmm_session_detach(void);

#endif
