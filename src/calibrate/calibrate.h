/* SPDX-License-Identifier: Apache-2.0 */
/* Measures what this machine can do at most. */
#ifndef LMM_CALIBRATE_CALIBRATE_H
#define LMM_CALIBRATE_CALIBRATE_H

#include "calibrate/peaks.h"

struct lmm_calibrate_opts {
	uint32_t threads; /* the most; 0: as many as this process may use CPUs */
	double seconds; /* all of the CPU's measurements together, about; and each OpenCL device's */
	/* Called between measurements: done of all, and what comes. Not 0 ends the work with -EINTR. NULL: none. */
	int (*progress)(void *ctx, double done, const char *what);
	void *ctx;
};

/* Fills all of *p but cpu, cpus and devices. 0 or -errno. */
int lmm_calibrate_cpu(const struct lmm_calibrate_opts *opts, struct lmm_peaks *p);

/*
 * Measures every OpenCL device, of each name one, and puts them into p->devices. libOpenCL.so.1 is opened by name. 0 or
 * -errno; *why (never NULL afterwards, static) says what is missing: on -ENOSYS, -ENOENT and -EIO, and for devices that were left out.
 */
int lmm_calibrate_opencl(const struct lmm_calibrate_opts *opts, struct lmm_peaks *p,
			 const char **why);

/* CPUs that this process may use, at least 1. */
uint32_t lmm_calibrate_threads(void);

#endif
