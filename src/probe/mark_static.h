/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmmeter/mark_static.h: marks (mark.h) in a program that is linked statically, -static or -static-pie.
 *
 * No loader runs there that could bring liblmmeter.so in, so the program has to have the recording's other half in it: this
 * header is that half, made of lmmeter's own source files when it was built. One C file of the program, C11 or later with the
 * compiler's extensions, consists of the line
 *
 *	#include <lmmeter/mark_static.h>
 *
 * and all others include <lmmeter/mark.h> alone. It needs the C library and its threads, adds some 30 KB to the program and does
 * nothing unless `lmmeter run` started it (LMMETER_SESSION is set) and the program has no loader: linked dynamically, the
 * same program leaves its marks to liblmmeter.so. What is not there: LMMETER_OUT, device commands, other engines' phases.
 * lmmeter must be of a version that shares the layout of the session's files with the one that this header came with;
 * if not, nothing is recorded and the program runs as without lmmeter.
 */
#ifndef LMMETER_MARK_STATIC_H
#define LMMETER_MARK_STATIC_H

#ifdef __cplusplus
#error "lmmeter/mark_static.h goes into a C file; the C++ files of the program include lmmeter/mark.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#pragma GCC system_header

/* Ahead of the visibility that is ours alone. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

#define LMM_API
#define LMM_EXPORT
#define LMM_MARK_NOTE_FLAGS "1"

#include "lmmeter/mark.h"

#if LMM_MARK_IS_ON

#include "base/clock.c"

#include "base/bytes.c"

#include "wire/ring.c"

#include "probe/engine.c"

#include "probe/thread.c"

#include "probe/session.c"

#include "probe/engines/mark.c"

/* What of the library is not in it. */
void lmm_embed_start(const char *path, char *dir, size_t dir_bytes)
{
	(void)path;
	(void)dir;
	(void)dir_bytes;
}

void lmm_embed_stop(void)
{
}

void lmm_embed_after_fork(char *path, size_t bytes, char *dir)
{
	(void)path;
	(void)bytes;
	(void)dir;
}

/* lmmeter attach finds liblmmeter.so alone. */
void lmm_dormant_start(void)
{
}

void lmm_dormant_stop(void)
{
}

void lmm_dormant_after_fork(void)
{
}

bool lmm_door_is_late(void)
{
	return false;
}

int lmm_tvm_late(void)
{
	return 0;
}

void lmm_tvm_old_late(void)
{
}

void lmm_hooks_after_fork(void)
{
}

void lmm_doors_reset(void)
{
}

void lmm_ggml_after_fork(void)
{
}

void lmm_llama_after_fork(void)
{
}

void lmm_tvm_after_fork(void)
{
}

void lmm_nvtx_after_fork(void)
{
}

void lmm_device_after_fork(void)
{
}

void lmm_cu_after_fork(void)
{
}

void lmm_vk_after_fork(void)
{
}

void lmm_cu_thread_end(void)
{
}

void lmm_cu_recording_tell(void)
{
}

void lmm_cu_recording_end(void)
{
}

void lmm_cu_process_end(void)
{
}

static int has_loader(struct dl_phdr_info *program, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < program->dlpi_phnum; i++) {
		if (program->dlpi_phdr[i].p_type == PT_INTERP)
			return 2;
	}
	return 1; /* the program is the first object */
}

void lmm_mark_find(void)
{
	if (session_dir[0] && dl_iterate_phdr(has_loader, NULL) == 1)
		lmm_mark_open(&lmm_mark_table_1);
}

#endif

#pragma GCC visibility pop

#endif
