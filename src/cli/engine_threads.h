/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_CLI_ENGINE_THREADS_H
#define LMM_CLI_ENGINE_THREADS_H

#include <stdint.h>

struct lmm_result;

/*
 * How many threads the engine computed with: as the user says (given; 0: nothing), else as its command line says in
 * llama.cpp's way (-t, -tb), else as many as recorded operators (--threads all). Returns where that is from: "option",
 * "command_line", "recording", or "unknown" with both 0.
 */
const char *lmm_engine_threads(const struct lmm_result *r, uint32_t given, uint32_t *decode,
			       uint32_t *prefill);

#endif
