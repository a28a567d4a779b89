/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a session's folder (0700, in a tmpfs of the user's where there is one), and what the two sides say to
 * each other there. All files are 0600.
 *
 *	session		struct lmm_shm_session: made by the collector, mapped by every traced process
 *	p<i>		struct lmm_shm_process: made by traced process number i
 *	p<i>.r<k>	ring k of that process (wire/ring.h), one per recording thread
 *	p<i>.d		its descriptors, appended with write(2): strings, graphs, models (wire/desc.h)
 *
 * Files and not memfds: they outlive both processes, so a recovery can still read them.
 * Nothing in here is trusted by the other side: indices are bounded, sizes taken from fstat(2).
 */
#ifndef LMM_WIRE_SESSION_H
#define LMM_WIRE_SESSION_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"

#define LMM_SHM_MAGIC	    0x316d68736d6d6cu /* "lmmshm1" */
#define LMM_SHM_VERSION	    4u
#define LMM_SHM_PROCESS_MAX 4096u /* processes with an engine in one session */
#define LMM_SHM_RING_MAX    1024u /* recording threads of one process */

/* Environment of the traced processes. */
#define LMM_ENV_SESSION	   "LMMETER_SESSION"	/* the folder */
#define LMM_ENV_INSTRUMENT "LMMETER_INSTRUMENT" /* 1: ask engines for what they tell at a price */
#define LMM_ENV_EXPAND	   "LMMETER_EXPAND_COMMAND_BUFFERS" /* 1: hide them from the program */
#define LMM_ENV_REPEAT	   "LMMETER_REPEAT"		    /* wire/repeat.h */
#define LMM_ENV_CUPTI	   "LMMETER_CUPTI"		    /* the file of CUPTI's library */
#define LMM_ENV_OUT	   "LMMETER_OUT" /* embedded mode: write this file, with no lmmeter process */
#define LMM_ENV_DORMANT                                                                            \
	"LMMETER_DORMANT" /* 1: make devices ready to be timed, for a session to come */

/* When kernels are timed one by one on devices where that slows the program. */
enum lmm_kernel_times {
	LMM_KERNEL_TIMES_WINDOWS = 0, /* in short windows, as often as the budget allows */
	LMM_KERNEL_TIMES_ALWAYS = 1,
	LMM_KERNEL_TIMES_OFF = 2,
	LMM_KERNEL_TIMES_COUNT
};

struct lmm_shm_session {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes; /* sizeof(struct lmm_shm_session) */
	uint8_t clock;	/* enum lmm_clock_kind */
	uint8_t threads_all;
	uint8_t kernel_times; /* enum lmm_kernel_times */
	uint8_t pad0;
	/* Odd: record; even: hooks pass calls through. Counted up at each switch, so that whoever was told something
	 * in an earlier recording can see that it must be told again. */
	_Atomic uint32_t recording;
	_Atomic uint32_t op_every; /* operators in one of this many steps; 1: all, 0: none */
	/* What timing device commands may cost, in millionths of the step time; 0: time all of them. */
	uint32_t device_budget_ppm;
	uint32_t ring_bytes;   /* wanted size of a ring, a power of two */
	uint64_t memory_bytes; /* ceiling for all rings of the session */
	_Atomic uint64_t memory_used_bytes;
	_Atomic uint32_t n_processes; /* numbers handed out so far; may pass LMM_SHM_PROCESS_MAX */
	int32_t collector_pid;
	_Atomic uint64_t refused_processes; /* could not make their files */
	/* Who collects, beyond doubt: process numbers mean something in one name space only, and come round. */
	uint64_t pid_namespace;	    /* inode */
	uint64_t collector_started; /* clock ticks since boot */
	char out_path[3976];	    /* absolute path of the .lmt, for a recovery; "" if none */
};

enum lmm_shm_process_state {
	LMM_SHM_PROCESS_STARTING = 0,
	LMM_SHM_PROCESS_RUNNING = 1,
	LMM_SHM_PROCESS_ENDED = 2, /* left in good order */
};

struct lmm_shm_process {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes;
	int32_t pid; /* as its own name space has it, and its parent's */
	int32_t parent_pid;
	uint64_t pid_namespace; /* inode; 0: not known, taken for the collector's */
	uint64_t start_ticks;
	uint32_t op_cost_ps;
	uint32_t pair_cost_ps;
	_Atomic uint32_t state;
	uint32_t has_begun_before; /* 1: the engine was at work when it joined */
	uint32_t pad0;
	_Atomic uint32_t n_rings;      /* rings 0 … n_rings - 1 exist and are initialised */
	_Atomic uint64_t desc_bytes;   /* valid bytes of p<i>.d */
	_Atomic uint64_t no_ring_lost; /* events of threads that got no ring */
	_Atomic uint64_t desc_lost;    /* descriptors that could not be written */
	char name[64];		       /* file name of the executable, NUL-terminated */
};

_Static_assert(sizeof(struct lmm_shm_session) <= 4096 + 64,
	       "session page is part of the wire format");

#endif
