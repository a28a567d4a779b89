/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks as JSON, on streams and in the user's cache; what calibrate and roofline share. */
#ifndef LMM_CLI_PEAKS_STORE_H
#define LMM_CLI_PEAKS_STORE_H

#include <stdio.h>

#include "calibrate/peaks.h"

struct lmm_calibration {
	uint64_t threads; /* 0: as many as there are */
	double seconds;
	int opencl;
};

#define LMM_CALIBRATE_SECONDS 10.0

/*
 * Measures this machine, with progress on stderr if that is a terminal, and says there why OpenCL could not be measured.
 * 0, or -1 when that was said.
 */
int lmm_peaks_measure(const struct lmm_calibration *c, struct lmm_peaks *p);

/* Schema lmmeter.peaks/1, and a newline. */
void lmm_peaks_json(const struct lmm_peaks *p, FILE *out);

/* Stores them for machines like this one, 0600, whole or not at all. 0 or -errno; path gets where. */
int lmm_peaks_store(const struct lmm_peaks *p, char *path, size_t bytes);

#endif
