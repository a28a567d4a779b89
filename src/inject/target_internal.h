/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_INJECT_TARGET_INTERNAL_H
#define LMM_INJECT_TARGET_INTERNAL_H

#include "inject/target.h"

/* Reads the object whose file is mapped from lo on; its path is the caller's. 0, or -ENOEXEC: none is. */
int lmm_object_read(const struct lmm_target *t, uint64_t lo, struct lmm_object *o);

/* Why the system does not let this process be traced; scope: kernel.yama.ptrace_scope, -1: there is none. Static. */
const char *lmm_refusal(int scope);
int lmm_yama_scope(void);

#endif
