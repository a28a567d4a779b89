/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What timing one command costs on this device, found out while the program works: some commands are handed over with an
 * event and some without, by lot, and the call's median duration of either kind is compared. Reading the times
 * later is added as it is measured (lmm_cl_harvest_cost()). It is done anew now and then, as devices change speed.
 */
#ifndef LMM_PROBE_DEVICES_OPENCL_CALIBRATE_H
#define LMM_PROBE_DEVICES_OPENCL_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "probe/probe.h"

/* 1: the thread that calibrates, or any if none does yet, asks for each command. Read relaxed. */
extern _Atomic int lmm_cl_is_calibrating;

/* A session begins: what it costs is found out anew, unless everything is to be timed anyway. */
void lmm_cl_calibrate_renew(void);
/* True if this command is a sample; *is_timed is decided by lot then. */
bool lmm_cl_calibrate_begin(const struct lmm_thread *th, bool *is_timed);
/* The sample that began at t0 has been handed over and recorded. */
void lmm_cl_calibrate_end(const struct lmm_thread *th, bool is_timed, uint64_t t0);

/* Ticks per timed command, more than an untimed one; 0: not known yet. */
double lmm_cl_command_cost(void);

#endif
