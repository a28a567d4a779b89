/* SPDX-License-Identifier: Apache-2.0 */
/* The asking side of wire/control.h: how a running process of this user is told to join a session, or to leave it. */
#ifndef LMM_COLLECT_CONTROL_H
#define LMM_COLLECT_CONTROL_H

#include "collect/folder.h"
#include "wire/control.h"

struct lmm_control {
	struct lmm_shm_control *shm;
	int fd;
	int32_t pid;
	char base[LMM_FOLDER_PATH_BYTES];  /* the folder that the file is in, from here */
	char inner[LMM_FOLDER_PATH_BYTES]; /* the same as the process sees it */
};

/*
 * Looks through what process pid has mapped. 0 and *out; or
 *	-ESRCH	there is no such process
 *	-EPERM	it is another user's, or it may not be looked into
 *	-ENOENT	it does not have liblmmeter.so
 *	-EAGAIN	it has, but no engine has been called in it yet
 *	-EBUSY	it is in a session of `lmmeter run`
 *	LMM_E_CORRUPT, or another negative errno
 */
int lmm_control_open(int32_t pid, struct lmm_control *out);
void lmm_control_close(struct lmm_control *c);

/* Holds the process for this asker until close. 0, or -EBUSY: another one has it. */
int lmm_control_lock(struct lmm_control *c);
/* Whether somebody holds it. */
int lmm_control_is_locked(const struct lmm_control *c);

/*
 * Asks it to join the session in `folder` (made with opts.base = c->base), or with NULL to leave, and waits for the answer: 0, its
 * negative errno, -ETIMEDOUT, or -ESRCH: it has ended meanwhile.
 */
int lmm_control_ask(struct lmm_control *c, const struct lmm_folder *folder, unsigned timeout_ms);

#endif
