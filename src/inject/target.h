/* SPDX-License-Identifier: Apache-2.0 */
/* A process that runs, as /proc and its own memory show it. */
#ifndef LMM_INJECT_TARGET_H
#define LMM_INJECT_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* What an object has that tells where its code may be interrupted; bits. */
enum lmm_object_role {
	LMM_OBJECT_RUNTIME =
		1, /* C library, loader, allocators, exceptions: may hold a lock that dlopen() takes */
	LMM_OBJECT_ENGINE = 2, /* an engine, or an API that engines use */
};

struct lmm_object {
	uint64_t base; /* what is added to the addresses in its file */
	uint64_t symbols, strings, gnu_hash, hash;
	unsigned roles;
	char path[512];
};

struct lmm_region {
	uint64_t lo, hi;
	int32_t object; /* -1: none */
	uint8_t is_code, is_writable, is_stack;
	uint8_t is_anonymous;
};

struct lmm_target {
	int32_t pid;
	int mem; /* /proc/PID/mem; -1: not opened */
	struct lmm_object *objects;
	uint32_t n_objects;
	struct lmm_region *regions;
	uint32_t n_regions;
	uint64_t dlopen;
	int dlopen_flags;
	uint64_t sigreturn; /* code of its C library that returns from a signal handler */
};

/* Reads what is there. 0, or a negative errno and a sentence in `why`. To be closed in either case. */
int lmm_target_open(int32_t pid, struct lmm_target *t, char *why, size_t bytes);
void lmm_target_close(struct lmm_target *t);

/* The region around addr; NULL: there is none. */
const struct lmm_region *lmm_target_region(const struct lmm_target *t, uint64_t addr);
/* n bytes of its memory. 0, or a negative errno. */
int lmm_target_read(const struct lmm_target *t, uint64_t addr, void *to, size_t n);
int lmm_target_write(const struct lmm_target *t, uint64_t addr, const void *from, size_t n);

/* Address of a symbol that the object defines; 0: none. */
uint64_t lmm_object_symbol(const struct lmm_target *t, const struct lmm_object *o,
			   const char *name);

/* A number from /proc/PID/status (or a task's), as it is written there; `none` if there is no such line. */
long long lmm_status_number(int32_t pid, const char *key, int base, long long none);

#endif
