/* SPDX-License-Identifier: Apache-2.0 */
/* What the injected library has beside the files of its CUDA layer that are tested here. */
#ifndef CUDA_BESIDE_H
#define CUDA_BESIDE_H

#include "probe/devices/cuda/window.h"

static _Atomic uint32_t recording = 1;
const _Atomic uint32_t *_Atomic lmm_recording_word = &recording;
uint8_t lmm_probe_clock = LMM_CLOCK_MONOTONIC;
_Thread_local struct lmm_thread *lmm_self;
_Thread_local struct lmm_asked lmm_asked;
_Thread_local struct lmm_cu_thread lmm_cu_self;
_Atomic uint32_t lmm_session_number;

void lmm_device_mark_search(struct lmm_thread *th)
{
	(void)th;
}

#endif
