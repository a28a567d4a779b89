/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call laid upon a thread as the kernel lays a signal handler upon it: below its stack's end a frame with all that it was, in
 * the kernel's own format, and the C library's way back from handlers as return address. So the thread comes back to where it was by
 * itself, whoever lives then.
 */
#ifndef LMM_INJECT_FRAME_H
#define LMM_INJECT_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#define LMM_XSTATE_BYTES 16384 /* AMX and all: 11 KiB */

struct lmm_thread_state {
	/* as ptrace gives it (NT_X86_XSTATE): the whole area, uncompacted */
	unsigned char xstate[LMM_XSTATE_BYTES] __attribute__((aligned(64)));
	size_t xstate_bytes;
	struct user_regs_struct regs;
	uint64_t signal_mask;
};

struct lmm_frame {
	unsigned char bytes[LMM_XSTATE_BYTES + 8192];
	size_t n;
	uint64_t at;		      /* where it belongs; then the stack pointer at the call */
	struct user_regs_struct regs; /* which make the call */
};

struct lmm_call {
	uint64_t function;
	const char *text; /* first argument */
	int number;	  /* second */
	uint64_t sigreturn;
};

/* 0, or -E2BIG. */
int lmm_frame_make(struct lmm_frame *f, const struct lmm_thread_state *s,
		   const struct lmm_call *call);

/*
 * A thread that was stopped in a system call begins it again, as it would have without us: makes its registers say so. False: it
 * was in none that can be begun again; they are unchanged then.
 */
int lmm_restart_call(struct user_regs_struct *regs);

#endif
