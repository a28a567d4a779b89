/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a library into a process that runs: one of its threads is made to call dlopen() as a signal handler would, and goes on
 * where it was. The other threads run on. docs/attach.md, "Without the library", has the whole story.
 */
#ifndef LMM_INJECT_INJECT_H
#define LMM_INJECT_INJECT_H

#include <stdint.h>

struct lmm_injection {
	int32_t tid; /* of the thread that made the call */
	uint32_t
		threads_seen; /* stops that were in vain: a thread was not where it may be called from */
	uint64_t stop_ns;    /* when it was asked to stop, CLOCK_MONOTONIC */
	uint64_t stopped_ns; /* until it was let go, into the call */
	char where[160];     /* what it did, for people: "computing in libggml-cpu.so" */
	char why[400];	     /* on failure: a sentence without its full stop */
};

/*
 * Makes process pid open `library`, an absolute path. 0: one of its threads does so now; when it is done, and whether the loader liked the
 * library, is for the caller to see. Else a negative errno and out->why; the process then runs on as if nothing had been; -EAGAIN: it may
 * be possible later. Whoever is killed meanwhile, this process included, the other runs on.
 */
int lmm_inject(int32_t pid, const char *library, struct lmm_injection *out);

#endif
