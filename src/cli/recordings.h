/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings that go on: which one is meant, and all of them in words and as JSON. */
#ifndef LMM_CLI_RECORDINGS_H
#define LMM_CLI_RECORDINGS_H

#include <stdio.h>

#include "collect/folder.h"

#define LMM_RECORDINGS_MAX 32 /* that are offered to choose from */

/*
 * Which recording is meant by a process, a file, or NULL (the one that goes on): out_path is its file, collector_pid who writes it
 * (0: not known). 0; 1: NULL, and there are several; -1: an lmm_error() has said why there is none.
 */
int lmm_recording_choose(const char *what, struct lmm_folder_session *s);

/* "2 recordings go on; name one …", and which, by lmm_error(). */
void lmm_recordings_say(void);

struct lmm_recording_line {
	char s[sizeof(((struct lmm_folder_session *)0)->out_path) + 128];
};

/* "4242 llama-server  run.lmt (lmmeter 4240)" */
struct lmm_recording_line lmm_recording_line(const struct lmm_folder_session *s);

/* Schema lmmeter.recordings/1 in docs/json.md. */
void lmm_recordings_json(const struct lmm_folder_session *list, unsigned n, FILE *out);

#endif
