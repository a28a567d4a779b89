/* SPDX-License-Identifier: Apache-2.0 */
/* Embedded mode: a collector thread inside the traced process writes the .lmt, where no lmmeter process can be. */
#ifndef LMM_PROBE_EMBED_H
#define LMM_PROBE_EMBED_H

#include <stddef.h>

/* Makes a session folder and starts the thread. On success dir holds the folder; else it is left empty. */
void lmm_embed_start(const char *out_path, char *dir, size_t dir_bytes);
/* The last drain; the file is closed in good order. Nothing happens if not in embedded mode. */
void lmm_embed_stop(void);
/* In a child: its own file beside the parent's (out_path gets the process id), started on its first hook. */
void lmm_embed_after_fork(char *out_path, size_t bytes, char *dir);

#endif
