/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process that has liblmmeter.so and no session is asked to join one, and to leave it: a file of one page that its
 * library makes at the engine's first call and sleeps on. No socket and no descriptor: a program that closes all descriptors
 * it does not know takes nothing, and nobody listens.
 *
 *	c<pid>		struct lmm_shm_control, in the folder where that user's sessions are (0600 in 0700)
 *
 * Who asks holds flock(2) on the file from before the question until the session has ended: there is one at a time, and when he dies
 * the sleeper sees it. Both words are futexes (shared). Nothing in here is trusted by the other side.
 */
#ifndef LMM_WIRE_CONTROL_H
#define LMM_WIRE_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

#define LMM_SHM_CONTROL_MAGIC	0x317463746d6d6cu /* "lmmtct1" */
#define LMM_SHM_CONTROL_VERSION 1u
#define LMM_CONTROL_DIR_BYTES	512

struct lmm_shm_control {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes; /* sizeof(struct lmm_shm_control) */
	int32_t pid;	/* as its own name space has it */
	/* Counted up by who asks, when dir is filled in; counted after it by the sleeper, when answer is. */
	_Atomic uint32_t request;
	_Atomic uint32_t answered;
	_Atomic int32_t answer;	    /* 0, or a negative errno */
	_Atomic uint32_t is_joined; /* to a session that was asked for here */
	_Atomic int32_t
		asker_pid; /* who holds the lock, for `detach`; as its own name space has it */
	char dir[LMM_CONTROL_DIR_BYTES]; /* the session to join, as the sleeper sees it; "": leave */
	uint64_t made_ns;		 /* CLOCK_MONOTONIC */
};

_Static_assert(sizeof(struct lmm_shm_control) <= 4096, "one page");

#endif
