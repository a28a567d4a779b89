/* SPDX-License-Identifier: Apache-2.0 */
/* When lmmeter itself was killed: the rings have outlived it. What they hold goes where it belongs, into the file. */
#ifndef LMM_CLI_RECOVER_H
#define LMM_CLI_RECOVER_H

/*
 * Completes the recording in path if there is something to add to it, and says on stderr what was done or why it could not
 * be. A file that was closed in good order, or is not ours, is not touched. Exactly once: an event is in the file or in
 * a ring, whenever this is interrupted.
 */
void lmm_recover(const char *path);

#endif
