/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a trace for its newest checkpoint, without unpacking what that one already counts. */
#ifndef LMM_TRACE_SKIM_H
#define LMM_TRACE_SKIM_H

#include <stdint.h>

#include "lmmeter/trace.h"

/* From now on EVENTS are left out (1) or given (0). Their checksums are looked at all the same. */
void lmm_trace_skim(struct lmm_trace *tr, int is_on);

/* On from an offset that lmm_trace_state() gave. 0 or a negative error. */
int lmm_trace_seek(struct lmm_trace *tr, uint64_t offset_bytes);

#endif
