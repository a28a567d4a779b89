/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a process can have a library put into it, told before it is touched. */
#ifndef LMM_INJECT_PERMIT_H
#define LMM_INJECT_PERMIT_H

#include <stddef.h>
#include <stdint.h>

/* 0, or a negative errno and why not, with what to do. */
int lmm_permit(int32_t pid, const char *library, char *why, size_t bytes);

#endif
