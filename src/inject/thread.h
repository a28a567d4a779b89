/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of a process, under ptrace: stopped, looked at, made to call, and let go. */
#ifndef LMM_INJECT_THREAD_H
#define LMM_INJECT_THREAD_H

#include "inject/frame.h"
#include "inject/inject.h"
#include "inject/target.h"

/* What a thread does, as far as is known without touching it. */
enum lmm_doing {
	LMM_DOING_OTHER, /* something it must not be disturbed in */
	LMM_DOING_WAIT,	 /* waiting in a system call that begins again unnoticed */
	LMM_DOING_TIMEOUT, /* the same with a time-out that would begin anew, or one that is noticed */
	LMM_DOING_RUN,
};

enum lmm_doing lmm_thread_doing(const struct lmm_target *t, int32_t tid, char *where, size_t bytes);

/*
 * Stops thread tid; if it is where a library may be loaded, lays the call upon it, and lets it go. 0: it calls;
 * -EAGAIN: it was not, another time or another thread may be; -EPERM, -ESRCH, -EINTR (it does not stop), …
 * The caller's SIGALRM ends a wait that is too long; whatever is left attached is let go when the caller ends.
 */
int lmm_thread_call(const struct lmm_target *t, int32_t tid, const char *text,
		    struct lmm_injection *out);

#endif
