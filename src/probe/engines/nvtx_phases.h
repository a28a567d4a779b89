/* SPDX-License-Identifier: Apache-2.0 */
/* What the names of ranges say of phases. */
#ifndef LMM_PROBE_ENGINES_NVTX_PHASES_H
#define LMM_PROBE_ENGINES_NVTX_PHASES_H

#include <stdbool.h>

/*
 * The phase (LMM_PHASE_*) of a range with that text, LMM_PHASE_NONE of most. *is_numbered: the text has numbers of the moment in it, and
 * there are as many texts as there are steps. Docs/gpu.md has the list, with the engines that name their ranges so. Any thread.
 */
unsigned lmm_nvtx_phase(const char *text, bool *is_numbered);

#endif
