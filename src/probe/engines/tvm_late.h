/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_PROBE_ENGINES_TVM_LATE_H
#define LMM_PROBE_ENGINES_TVM_LATE_H

/*
 * Takes over what TVM's runtime has registered before we were there; nothing to do if it came to us then, or if there is none.
 * -1: its objects are not as they are known, and are left alone. May be called again, from any thread; never on the hot path.
 */
int lmm_tvm_late(void);
/* Gives back what that took. */
void lmm_tvm_late_end(void);
/* The same for TVM up to 0.19. */
void lmm_tvm_old_late(void);

#endif
