/* SPDX-License-Identifier: Apache-2.0 */
/* Processes by number: which live, since when, and what those of another name space are called here. */
#ifndef LMM_COLLECT_PROCESS_H
#define LMM_COLLECT_PROCESS_H

#include <stdint.h>

/* 1 if a process with this number exists and is not a zombie. */
int lmm_process_is_alive(int32_t pid);

/* When it started, in clock ticks since boot; 0: not known. */
uint64_t lmm_process_started(int32_t pid);

/* This process's name space of numbers, by inode; 0: /proc does not say. */
uint64_t lmm_pid_namespace(void);

/*
 * The number here of the process that calls itself pid in that name space (0: taken for ours); 0 if none is seen. Looks through
 * /proc: not for every round.
 */
int32_t lmm_process_seen_from_here(int32_t pid, uint64_t pid_namespace);

#endif
