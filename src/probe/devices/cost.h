/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What timing one command costs on a device, found out while the program works: some commands are handed over timed and some
 * not, by lot, and the call's median duration of either kind is compared. Reading the times later is added as
 * it is measured. It is done anew now and then, as devices change speed. What that does not see, as it happens on the device, shows in
 * whole steps: those that are timed against those just before them. One struct per device API; zeroes are a good start.
 */
#ifndef LMM_PROBE_DEVICES_COST_H
#define LMM_PROBE_DEVICES_COST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "probe/devices/budget.h"
#include "probe/probe.h"

#define LMM_DEVICE_COST_SAMPLES 96 /* of either kind */

struct lmm_device_cost {
	/* 1: the thread that calibrates, or any if none does yet, asks for each command. Read relaxed. */
	_Atomic int is_calibrating;
	_Atomic uint64_t harvest_mticks; /* reading one command's times, smoothed, thousandths */
	_Atomic uint64_t device_mticks;	 /* what timing costs the device itself, likewise */
	/* Of the calibrating thread alone, but for owner and cost. */
	_Atomic(const struct lmm_thread *) owner;
	_Atomic uint64_t seen_t;      /* the owner's last sample */
	_Atomic uint64_t cost_mticks; /* thousandths of a tick; 0: not known */
	_Atomic uint64_t done_t;
	uint32_t session; /* in which the samples are taken */
	uint32_t n[2];
	uint32_t passed;
	uint64_t lot;
	uint32_t ticks[2][LMM_DEVICE_COST_SAMPLES];
	struct lmm_step_cost steps; /* of decode */
	/* in the newest of those, and times in the newest that is timed; 0: not known */
	_Atomic uint32_t step_commands, step_timed;
};

/* This thread's decode step has ended, and another follows it. */
void lmm_device_cost_step(struct lmm_device_cost *c, struct lmm_thread *th, uint64_t ticks);

/* A session begins: what it costs is found out anew, unless everything is to be timed anyway. */
void lmm_device_cost_renew(struct lmm_device_cost *c);
/* True if this command is a sample; *is_timed is decided by lot then. */
bool lmm_device_cost_begin(struct lmm_device_cost *c, const struct lmm_thread *th, bool *is_timed);
/* The sample that began at t0 has been handed over and recorded. */
void lmm_device_cost_end(struct lmm_device_cost *c, const struct lmm_thread *th, bool is_timed,
			 uint64_t t0);

/* For an API in which timing is a call of its own: how long one took. */
void lmm_device_cost_sample(struct lmm_device_cost *c, const struct lmm_thread *th, uint64_t ticks);

/* And what it cost the device. */
void lmm_device_cost_on_device(struct lmm_device_cost *c, double ticks);

/* Ticks per timed command, more than an untimed one; 0: not known yet. */
double lmm_device_cost_ticks(struct lmm_device_cost *c);

/* Records that the times of n commands, not 0, were read from t0 to t1, and what timing a command costs. */
void lmm_device_cost_harvest(struct lmm_device_cost *c, struct lmm_thread *th, uint64_t t0,
			     uint64_t t1, uint32_t n);

#endif
