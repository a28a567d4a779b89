/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_BASE_PHASE_H
#define LMM_BASE_PHASE_H

#include <stdbool.h>

#include "lmmeter/trace.h"

/* Whether phases of that kind (LMM_PHASE_*) are forward passes: steps begin with them. */
static inline bool lmm_phase_is_step(unsigned phase)
{
	return phase == LMM_PHASE_PREFILL || phase == LMM_PHASE_DECODE ||
	       phase == LMM_PHASE_DRAFT || phase == LMM_PHASE_VERIFY;
}

#endif
